"""Compare source archives with the tree of a commit: what users unpack is what was tagged.

Every file of the archive is held against git by its blob id (the lesson of xz 5.6.0, whose archive
had a file which git did not). Three differences are allowed, and counted: paths which archives
leave out (`relkit.building.archive.REMOVED`), line ends which the commit's own attributes ask for,
and ``Misc/NEWS``, which is made again and compared. Whatever else differs is unexplained.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relkit.building.archive import NEWS, is_removed, to_bytes
from relkit.building.archive_read import Found, read_members
from relkit.building.archive_stream import TarStream, unpacked
from relkit.building.objects import Entry, Objects, Tree
from relkit.errors import CheckError

STRAY = re.compile(
    r"(?:^|/)(?:[^/]*\.(?:pyc|pyo|orig|rej|swp)|[^/]*~|__pycache__|"
    r"\.hg[^/]*|\.git|\.svn|CVS|\.DS_Store|\._[^/]*)(?:/|$)"
)
"""Names, of files or folders, that tools leave behind (incidents: ``.pyc``, ``.hgtags``)."""
LINK, EXECUTABLE = "120000", "100755"
EVERYBODY_WRITES = 0o002  # the group may: releases of 2021 were made so
LONE_NEWLINE = re.compile(rb"(?<!\r)\n")

IsNews = Callable[[bytes], bool]


@dataclass(frozen=True, order=True)
class Difference:
    """A path on which archive and commit disagree, and how.

    `what` is one of only-in-archive, only-in-git, content, mode, kind, stray, empty-folder.
    """

    path: str
    what: str


@dataclass(frozen=True)
class TreeReport:
    """What a comparison found.

    `equal` and `by_eol` count files; `left_out` counts files of the commit by the path of their
    `relkit.building.archive.Removal`; `tree_sha256` is over a line
    of mode, SHA-256 and path for each file of the archive, in its order. `name` is the archive's.
    """

    equal: int
    by_eol: int
    left_out: Mapping[str, int]
    generated: tuple[str, ...]
    unexplained: tuple[Difference, ...]
    payload_sha256: str
    payload_bytes: int
    tree_sha256: str
    name: str

    @property
    def files(self) -> int:
        """The number of files in the archive that were compared."""
        return self.equal + self.by_eol + len(self.generated)

    @property
    def removed(self) -> int:
        """The number of files of the commit that archives leave out."""
        return sum(self.left_out.values())

    def verify(self) -> None:
        """Refuse an archive with unexplained differences (``TREE_MISMATCH``)."""
        if not self.unexplained:
            return
        first = ", ".join(f"{item.path} ({item.what})" for item in self.unexplained[:5])
        raise CheckError(
            f"the archive differs from the commit in {len(self.unexplained)} paths: {first}",
            code="TREE_MISMATCH",
            remedy="Do not publish it. Find where the difference comes from, then build anew.",
        )


@dataclass
class _Comparison:
    """The state of one comparison while the archive streams by."""

    commit: Tree
    expected: dict[str, Entry]
    dos: frozenset[str]  # paths whose attributes ask for CRLF
    is_news: IsNews | None
    equal: int = 0
    by_eol: int = 0
    generated: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    empty: set[str] = field(default_factory=set)  # folders in which no file was seen yet
    tree: hashlib._Hash = field(default_factory=hashlib.sha256)

    def take(self, found: Found) -> None:
        """Compare one member."""
        path = found.path
        if STRAY.search(path):
            self._note(path, "stray")
        if found.kind == "folder":
            self.empty.add(path)
            if found.mode & EVERYBODY_WRITES:
                self._note(path, "mode")
            return
        self.tree.update(_tree_line(found))
        self._fill(path)
        entry = self.expected.pop(path, None)
        if path == NEWS and self.is_news is not None:
            self._take_news(found, self.is_news)
        elif entry is None or is_removed(path, self.commit.removals):
            self._note(path, "only-in-archive")
        elif found.kind != ("link" if entry.mode == LINK else "file"):
            self._note(path, "kind")
        elif entry.mode != LINK and _is_other_mode(found, executable=entry.mode == EXECUTABLE):
            self._note(path, "mode")
        else:
            self._take_content(found, entry)

    def _take_news(self, found: Found, is_news: IsNews) -> None:
        self.generated.append(NEWS)
        if found.kind != "file":
            self._note(NEWS, "kind")
        elif _is_other_mode(found, executable=False):
            self._note(NEWS, "mode")
        elif not is_news(found.data):
            self._note(NEWS, "content")

    def _take_content(self, found: Found, entry: Entry) -> None:
        if found.path in self.dos:
            same = _is_with_dos_ends(self.commit.objects, found.data, entry.blob)
            self.by_eol += same
        else:
            same = _blob_id(found.data) == entry.blob
            self.equal += same
        if not same:
            self._note(found.path, "content")

    def _fill(self, path: str) -> None:
        folder = path.rpartition("/")[0]
        while folder in self.empty:
            self.empty.remove(folder)
            folder = folder.rpartition("/")[0]

    def _note(self, path: str, what: str) -> None:
        self.differences.append(Difference(path, what))

    def finish(self) -> dict[str, int]:
        """Look at what is left over; return how many paths were left out for each reason."""
        left = {path for path in self.expected if not is_removed(path, self.commit.removals)}
        if self.is_news is not None and not self.generated:
            left.add(NEWS)
        self.differences += [Difference(path, "only-in-git") for path in left]
        self.differences += [Difference(path, "empty-folder") for path in self.empty - {""}]
        counts = {one.path: sum(map(one.holds, self.expected)) for one in self.commit.removals}
        return {path: count for path, count in counts.items() if count}


def compare(
    tree: Tree,
    archive: Path,
    *,
    top: str,
    news: bytes | None,
    look: Callable[[Found], None] = lambda _: None,
) -> TreeReport:
    """Compare one archive (``.tgz`` or ``.tar.xz``) with a commit; `look` sees each member.

    `news` is ``Misc/NEWS`` made again from the commit; None if the commit has no entries for it.
    Raises `CheckError`: ``ARCHIVE_UNSAFE``, ``ARCHIVE_DAMAGED``. Differences to the commit are in
    the report; its `verify` refuses them.
    """
    is_news = None if news is None else lambda data: data == news
    return compare_tar(tree, unpacked(archive), top=top, is_news=is_news, look=look)


def compare_tar(
    tree: Tree,
    stream: TarStream,
    *,
    top: str,
    is_news: IsNews | None,
    look: Callable[[Found], None] = lambda _: None,
) -> TreeReport:
    """Compare a tar with a commit while it streams by, as `compare` does an archive.

    `is_news` says whether a content is that of ``Misc/NEWS``; None if the commit has no entries.
    """
    entries = {entry.path: entry for entry in tree.objects.entries(tree.commit)}
    ends = tree.objects.eol(tree.commit, list(entries))
    dos = frozenset(path for path, eol in ends.items() if eol == "crlf")
    comparison = _Comparison(tree, entries, dos, is_news)
    for found in read_members(stream, top):
        comparison.take(found)
        look(found)
    left_out = comparison.finish()
    return TreeReport(
        equal=comparison.equal,
        by_eol=comparison.by_eol,
        left_out=left_out,
        generated=tuple(comparison.generated),
        unexplained=tuple(sorted(comparison.differences)),
        payload_sha256=stream.sha256,
        payload_bytes=stream.size,
        tree_sha256=comparison.tree.hexdigest(),
        name=stream.name,
    )


def check_same_payload(report: TreeReport, other: Path) -> None:
    """Refuse (``ARCHIVES_DIFFER``) an archive that unpacks to other bytes than the one compared."""
    stream = unpacked(other)
    stream.drain()
    check_same_tar(report, stream)


def check_same_tar(report: TreeReport, stream: TarStream) -> None:
    """Refuse (``ARCHIVES_DIFFER``) a tar, read to its end, that is not the one compared."""
    if stream.sha256 != report.payload_sha256:
        raise CheckError(
            f"{stream.name} unpacks to {stream.sha256}, {report.name} to {report.payload_sha256}",
            code="ARCHIVES_DIFFER",
            remedy="Build both archives anew from the tagged commit.",
        )


def _is_with_dos_ends(objects: Objects, data: bytes, blob: str) -> bool:
    """Tell whether a content is a stored text with CRLF at the end of its lines.

    A text is stored with LF, as a rule, and then its id says it; else the stored text is read.
    """
    if not LONE_NEWLINE.search(data) and _blob_id(data.replace(b"\r\n", b"\n")) == blob:
        return True
    return data == LONE_NEWLINE.sub(b"\r\n", objects.blob(blob))


def _blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _tree_line(found: Found) -> bytes:
    mode = {"link": b"120000"}.get(found.kind, b"100755" if found.executable else b"100644")
    digest = hashlib.sha256(found.data).hexdigest().encode()
    return b"%s %s %s\n" % (mode, digest, to_bytes(found.path))


def _is_other_mode(found: Found, *, executable: bool) -> bool:
    return found.executable != executable or bool(found.mode & EVERYBODY_WRITES)
