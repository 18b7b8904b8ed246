"""The files of a commit, read and added to without a work tree: names that lie there are data."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from relkit.adapters.git_command import GitCommand, Identity, failure
from relkit.adapters.git_names import check_path
from relkit.errors import WorldError
from relkit.values import ObjectId

PLAIN = "100644"
MAX_BYTES = 4 << 20
"""No file that is read here is longer, whoever put it there."""
MOST_BYTES = 256 << 20
"""Nor are those that are read at once, all together."""
TOO_LONG = b" " * (MAX_BYTES + 1)
ENTRY = re.compile(r"(\d{6}) (\w+) ([0-9a-f]{40}) +(\d+|-)\t(.+)", flags=re.DOTALL)


@dataclass(frozen=True)
class Tree:
    """The files of a commit; None: of an empty branch."""

    git: GitCommand
    commit: ObjectId | None

    def get(self, path: str) -> bytes | None:
        """Return a plain file, at most one byte more than `MAX_BYTES` of it; None: there is none.

        Raises `WorldError` (``FILE_UNREADABLE``) for a link or anything else at that place.
        """
        found = self._entries(check_path(path))
        if not found:
            return None
        mode, object_id, size, _ = found[0]
        if mode not in {PLAIN, "100755"}:
            raise WorldError(
                f"{path} is there, but is no plain file: its mode is {mode}",
                code="FILE_UNREADABLE",
                remedy="See who put it there; move it away.",
            )
        return self._blobs({object_id: size})[object_id] if size <= MAX_BYTES else TOO_LONG

    def below(
        self, folder: str, pick: Callable[[list[str]], list[str]], longest: int = MAX_BYTES
    ) -> dict[str, bytes]:
        """Return those plain files right below a folder which `pick` takes of their names.

        It gets the names in order. A file with more than `longest` bytes has just what shows that,
        one byte more. Raises `WorldError` (``FILES_TOO_LARGE``).
        """
        found = {
            path.rpartition("/")[2]: (object_id, size)
            for mode, object_id, size, path in self._entries(f"{check_path(folder)}/")
            if mode == PLAIN
        }
        picked = {name: found[name] for name in pick(sorted(found))}
        if (total := sum(min(size, longest + 1) for _, size in picked.values())) > MOST_BYTES:
            raise WorldError(
                f"{folder} has {len(picked)} files with {total} bytes, more than {MOST_BYTES}",
                code="FILES_TOO_LARGE",
                remedy="Find out who put them there, and move them away.",
            )
        data = self._blobs({one: size for one, size in picked.values() if size <= longest})
        too_long = b" " * (longest + 1)
        return {name: data.get(one, too_long) for name, (one, _) in picked.items()}

    def with_files(
        self, files: Mapping[str, bytes], message: str, who: Identity, when: datetime | None
    ) -> ObjectId:
        """Make a commit on top of this one that has other files, too; return it."""
        with tempfile.TemporaryDirectory(prefix="relkit-") as folder:
            index = self.git.with_environment(GIT_INDEX_FILE=str(Path(folder) / "index"))
            if self.commit:
                index.run("read-tree", self.commit)
            for path, data in files.items():
                file = Path(folder) / "file"
                file.write_bytes(data)
                blob = self.git.line("hash-object", "-w", "--no-filters", str(file))
                index.run("update-index", "--add", "--cacheinfo", f"{PLAIN},{blob},{path}")
            tree = index.line("write-tree")
        git = self.git.with_environment(**who.stamps(when or self._time()))
        parents = ("-p", self.commit) if self.commit else ()
        return git.line("commit-tree", tree, *parents, "-m", message)

    def _time(self) -> datetime:
        if self.commit is None:
            return datetime(2001, 1, 1, tzinfo=UTC)
        seconds = self.git.line("log", "-1", "--format=%ct", self.commit)
        return datetime.fromtimestamp(int(seconds), UTC)

    def _entries(self, path: str) -> list[tuple[str, ObjectId, int, str]]:
        """Return mode, object, size and path of the files at a path or right below a folder."""
        if self.commit is None:
            return []
        listed = self.git.run("ls-tree", "-z", "--long", "--full-tree", self.commit, "--", path)
        found = [ENTRY.fullmatch(line) for line in listed.fields()]
        return [
            (one[1], one[3], int(one[4]) if one[2] == "blob" else 0, one[5])
            for one in found
            if one is not None
        ]

    def _blobs(self, sizes: Mapping[ObjectId, int]) -> dict[ObjectId, bytes]:
        """Return what is in blobs, each given with its size."""
        with tempfile.NamedTemporaryFile("w", encoding="ascii", prefix="relkit-") as asked:
            asked.write("".join(f"{one}\n" for one in sizes))
            asked.flush()
            answer = self.git.ask("cat-file", "--batch=", given=Path(asked.name))
        rest, found = memoryview(answer.output), {}
        for object_id, size in sizes.items():
            # An empty line before each blob, and a line end behind it.
            found[object_id], rest = bytes(rest[1 : size + 1]), rest[size + 2 :]
        if answer.status != 0 or rest:
            raise failure("cat-file", answer)
        return found
