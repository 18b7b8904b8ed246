"""A small file put into staging and taken away again: whether we may, and whether it stays whole.

Its name and its bytes are always the same, so that what a killed process left is known again, on
the server and here; no release has a file of that name. What has the name and other bytes is not
ours, and is left alone.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from relkit.adapters.superseded import FOLDER
from relkit.adapters.value_files import locked, write_whole
from relkit.errors import WorldError
from relkit.ports import Downloads
from relkit.probe import Seen

NAME = "relkit-doctor.txt"
TEXT = b"relkit looks whether staging can be written. This is no file of a release.\n"
SHA256 = hashlib.sha256(TEXT).hexdigest()
FORMER = b"relkit looks whether the staging of Python "
"""What the file began with when it lay among the collected files."""
OURS = re.compile(rf"{re.escape(NAME)}(\.[0-9]{{1,6}})?|\.{re.escape(NAME)}\.part|\..{{1,20}}\.tmp")
MOST = 200


@dataclass(frozen=True)
class ProbeFile:
    """The file, put into a `folder` of staging (``ftp/python/3.15.0``).

    `downloads` sends from `source`, a folder of this machine that has nothing else. `shelf` is the
    folder of the collected files.
    """

    downloads: Downloads
    source: Path
    folder: str
    shelf: Path

    def __call__(self) -> Seen:
        """Write it, read it, remove it, and look that it is gone.

        Raises `WorldError` (``DIGEST_CHANGED``), and what the server refuses.
        """
        path = f"{self.folder}/{NAME}"
        with locked(self.source / NAME):
            swept = self._sweep(path)
            write_whole(self.source / NAME, TEXT)
            try:
                self.downloads.stage_all(files={path: SHA256})
                there = self._there(path)
            finally:
                self.downloads.unstage_all(files={path: SHA256})
                (self.source / NAME).unlink(missing_ok=True)
            left = self._there(path)
        if there is None or left is not None:
            seen = "it was gone before it was removed" if there is None else "it is there again"
            return Seen(seen, "See whether another doctor is at work; then run this again.")
        if there != SHA256:
            raise WorldError(
                f"{NAME} was written with the SHA-256 {SHA256}, and read as {there}",
                code="DIGEST_CHANGED",
                remedy="See who else writes to staging just now; then run this again.",
            )
        found = f"written, read as {SHA256:.12}, removed"
        return Seen(f"{found}; {swept} left by an earlier run removed first" if swept else found)

    def _there(self, path: str) -> str | None:
        found = self.downloads.staged_all(paths=(path,))[path]
        return found.artifact.sha256 if found else None

    def _sweep(self, path: str) -> int:
        """Remove what an earlier run left; return how many files."""
        old = [one for one in self._candidates() if _ours(one)]
        for one in old:
            one.unlink()
        there = self._there(path)
        self.downloads.unstage_all(files={path: SHA256})
        return len(old) + (there is not None)

    def _candidates(self) -> list[Path]:
        aside = (self.shelf / FOLDER).glob(f"{NAME}.*")
        cut_off = self.source.glob(".*.tmp")
        return [self.shelf / NAME, self.shelf / f".{NAME}.part", *aside, *cut_off]


def _ours(path: Path) -> bool:
    """Tell whether a file here is an earlier probe: by its name, and what it begins with."""
    if (
        not OURS.fullmatch(path.name)
        or path.is_symlink()
        or not path.is_file()
        or path.stat().st_size > MOST
    ):
        return False
    data = path.read_bytes()
    return data.startswith(FORMER) or any(one.startswith(data) for one in (FORMER, TEXT))
