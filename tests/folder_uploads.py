"""A server where experts upload, as a folder of this machine."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from relkit.adapters.disk import failing
from relkit.adapters.incoming import MAX_ENTRIES, Entry
from relkit.adapters.incoming_ssh import text_within
from relkit.adapters.subjects import opened
from relkit.errors import CheckError

SERVER = "server of the uploads"


class FolderUploads:
    """`relkit.adapters.incoming.Uploads` below a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def list(self, *, folder: str) -> tuple[Entry, ...] | None:
        """Return what lies in a folder, in order of name; links are not followed."""
        path = self._path(folder)
        if path.is_symlink() or not path.is_dir():
            return None
        with failing(f"look into {folder}", SERVER):
            found = sorted(islice(path.iterdir(), MAX_ENTRIES + 1))
            return tuple(_entry(one) for one in found)

    def digests(self, *, folder: str, names: Sequence[str]) -> Mapping[str, str]:
        """Return the SHA-256 of those files that are there."""
        found = {}
        for name in names:
            try:
                with opened(self._path(folder) / name) as subject:
                    found[name] = subject.sha256
            except CheckError:
                continue  # not there: whoever asked says so
        return found

    def get(self, *, folder: str, name: str, target: Path) -> None:
        """Copy a file."""
        with failing(f"read {name} in {folder}", SERVER):
            shutil.copyfile(self._path(folder) / name, target, follow_symlinks=False)

    def read(self, *, folder: str, name: str, limit: int) -> str:
        """Return a text; refuse (``TOO_LARGE``, ``NOT_UTF8``) what is none."""
        with (
            failing(f"read {name} in {folder}", SERVER),
            (self._path(folder) / name).open("rb") as file,
        ):
            return text_within(file.read(limit + 1), name, limit)

    def _path(self, folder: str) -> Path:
        return self._root / folder.lstrip("/")


def _entry(path: Path) -> Entry:
    about = path.lstat()
    return Entry(path.name, about.st_size, about.st_mtime, stat.S_ISREG(about.st_mode))
