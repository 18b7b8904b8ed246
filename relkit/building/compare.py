"""Compare source archives with the tree of a commit: what users unpack is what was tagged.

Every file of the archive is held against git by its blob id (the lesson of xz 5.6.0, whose archive
had a file which git did not). Three differences are allowed, and counted: paths which archives
leave out (`relkit.building.archive.REMOVED`), line ends which the commit's own attributes ask for,
and ``Misc/NEWS``, which is made again and compared. Whatever else differs is unexplained.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from relkit.building.archive import NEWS, is_removed, to_bytes
from relkit.building.archive_read import Found, read_members
from relkit.building.archive_stream import TarStream, unpacked
from relkit.building.objects import Entry, Objects
from relkit.errors import CheckError

STRAY = (
    *("*.pyc", "*.pyo", "__pycache__", "*.orig", "*.rej", "*.swp", "*~"),
    *(".hg*", ".git", ".svn", "CVS", ".DS_Store", "._*"),
)
"""Names, of files or folders, that tools leave behind (incidents: ``.pyc``, ``.hgtags``)."""
LONE_NEWLINE = re.compile(rb"(?<!\r)\n")


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

    `equal` and `by_eol` count files, `removed` paths of the commit; `tree_sha256` is over a line
    of mode, SHA-256 and path for each file of the archive, in its order.
    """

    equal: int
    by_eol: int
    removed: int
    generated: tuple[str, ...]
    unexplained: tuple[Difference, ...]
    payload_sha256: str
    payload_bytes: int
    tree_sha256: str

    @property
    def files(self) -> int:
        """The number of files in the archive that were compared."""
        return self.equal + self.by_eol + len(self.generated)

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

    expected: dict[str, Entry]
    made: Mapping[str, bytes]
    dos: frozenset[str]  # paths whose attributes ask for CRLF
    equal: int = 0
    generated: list[str] = field(default_factory=list)
    changed: dict[str, str] = field(default_factory=dict)  # path: blob id in the archive
    differences: list[Difference] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    parents: set[str] = field(default_factory=set)

    def take(self, found: Found) -> None:
        """Compare one member; what differs in content alone waits for the look at line ends."""
        path = found.path
        if _is_stray(path):
            self.differences.append(Difference(path, "stray"))
        if found.kind == "folder":
            self.folders.add(path)
            return
        self.parents.update(_parents(path))
        entry = self.expected.pop(path, None)
        if path in self.made:
            same = found.data == self.made[path] and found.kind == "file" and not found.executable
            self._note(path, "" if same else "content")
            self.generated.append(path)
        elif entry is None or is_removed(path):
            self._note(path, "only-in-archive")
        elif found.kind != ("link" if entry.mode == "120000" else "file"):
            self._note(path, "kind")
        elif found.executable != (entry.mode == "100755"):
            self._note(path, "mode")
        elif (blob := _blob_id(found.data)) != entry.blob or path in self.dos:
            self.changed[path] = blob
        else:
            self.equal += 1

    def _note(self, path: str, what: str) -> None:
        if what:
            self.differences.append(Difference(path, what))

    def finish(self) -> int:
        """Look at what is left over; return the number of paths left out with a reason."""
        left = [path for path in self.expected if not is_removed(path)]
        left += self.made.keys() - set(self.generated)
        self.differences += [Difference(path, "only-in-git") for path in left]
        empty = self.folders - self.parents - {""}
        self.differences += [Difference(path, "empty-folder") for path in empty]
        return sum(is_removed(path) for path in self.expected)


def compare(
    objects: Objects, commit: str, *, archives: tuple[Path, Path], top: str, news: bytes | None
) -> TreeReport:
    """Compare the archives (``.tgz`` and ``.tar.xz`` of one release) with a commit.

    `news` is ``Misc/NEWS`` made again from the commit; None if the commit has no entries for it.
    Raises `CheckError`: ``ARCHIVE_UNSAFE``, ``ARCHIVE_DAMAGED``, ``ARCHIVES_DIFFER``. Differences
    to the commit are in the report; its `verify` refuses them.
    """
    entries = {entry.path: entry for entry in objects.entries(commit)}
    blobs = {path: entry.blob for path, entry in entries.items()}
    dos = frozenset(path for path, eol in objects.eol(commit, list(blobs)).items() if eol == "crlf")
    comparison = _Comparison(entries, {} if news is None else {NEWS: news}, dos)
    stream = unpacked(archives[1])
    tree = hashlib.sha256()
    for found in read_members(stream, top):
        comparison.take(found)
        tree.update(_tree_line(found))
    _check_same_tar(stream, archives[0])
    removed = comparison.finish()
    changed = comparison.changed
    by_eol = {
        path for path in changed.keys() & dos if changed[path] == _dos_id(objects, blobs[path])
    }
    unexplained = [Difference(path, "content") for path in changed.keys() - by_eol]
    return TreeReport(
        equal=comparison.equal,
        by_eol=len(by_eol),
        removed=removed,
        generated=tuple(comparison.generated),
        unexplained=tuple(sorted(comparison.differences + unexplained)),
        payload_sha256=stream.sha256,
        payload_bytes=stream.size,
        tree_sha256=tree.hexdigest(),
    )


def _check_same_tar(stream: TarStream, tgz: Path) -> None:
    """Refuse a ``.tgz`` that unpacks to other bytes than the ``.tar.xz``."""
    other = unpacked(tgz)
    other.drain()
    if other.sha256 != stream.sha256:
        raise CheckError(
            f"{other.name} unpacks to {other.sha256}, {stream.name} to {stream.sha256}",
            code="ARCHIVES_DIFFER",
            remedy="Build both archives anew from the tagged commit.",
        )


def _dos_id(objects: Objects, blob: str) -> str:
    """Return the blob id which a stored text has with CRLF at the end of its lines."""
    return _blob_id(LONE_NEWLINE.sub(b"\r\n", objects.blob(blob)))


def _blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _tree_line(found: Found) -> bytes:
    if found.kind == "folder":
        return b""
    mode = {"link": b"120000"}.get(found.kind, b"100755" if found.executable else b"100644")
    digest = hashlib.sha256(found.data).hexdigest().encode()
    return b"%s %s %s\n" % (mode, digest, to_bytes(found.path))


def _is_stray(path: str) -> bool:
    return any(fnmatchcase(part, pattern) for part in path.split("/") for pattern in STRAY)


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
