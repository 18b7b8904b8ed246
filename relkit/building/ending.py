"""How a build ends: what it delivers, and its outcome, in the very folder in which it began."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from relkit.building.job import FILE_NAME, OUT, OUTCOME, WORK, Fact, Input, write_whole
from relkit.errors import CheckError, WorldError


class Ending:
    """The end of the build in a folder; made when it begins.

    The folder is held open: another that came in its place, where the first was deleted below a
    running build, has an attempt of its own, and no outcome is written into it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let the folder go; a process that looks often would run out of descriptors."""
        os.close(self._held)

    def done(self, files: Sequence[Input], facts: Mapping[str, Fact], provenance: str) -> None:
        """Say what the build leaves: from now on it is done."""
        self._write(failure=None, files=files, facts=facts, provenance=provenance)

    def failed(self, reason: str) -> None:
        """Say why it failed; on a full disk by giving back what the build has written."""
        try:
            self._write(failure=reason)
        except OSError:
            for name in WORK, OUT:
                shutil.rmtree(self._folder / name, ignore_errors=True)
            self._write(failure=reason)

    def _write(
        self,
        *,
        failure: str | None,
        files: Sequence[Input] = (),
        facts: Mapping[str, Fact] | None = None,
        provenance: str = "",
    ) -> None:
        outcome = {
            "failure": failure,
            "files": [asdict(file) for file in files],
            "facts": facts or {},
            "provenance": provenance,
        }
        text = json.dumps(outcome, sort_keys=True) + "\n"
        self.require_folder()
        write_whole(self._folder / OUTCOME, text)

    def require_folder(self) -> None:
        """Refuse to go on (``BUILD_FOLDER_GONE``) where the folder is another, or none."""
        try:
            same = os.path.samestat(os.fstat(self._held), self._folder.stat())
        except FileNotFoundError:
            same = False
        if not same:
            raise WorldError(
                f"the folder {self._folder.name}, in which this build began, is gone",
                code="BUILD_FOLDER_GONE",
                remedy="It was cancelled meanwhile. Start the build again, if it is still wanted.",
            )


def delivered(out: Path) -> list[Input]:
    """Describe the files in `out`, in order of name, once they are safely on the disk.

    Raises `CheckError` (``DELIVERY_UNFIT``) for anything but regular files with plain names: a
    link is not followed, and nobody waits for the other end of a pipe.
    """
    files = [_described(path) for path in sorted(out.iterdir())]
    folder = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return files


def _described(path: Path) -> Input:
    try:
        if not FILE_NAME.fullmatch(path.name) or not stat.S_ISREG(path.lstat().st_mode):
            raise _unfit(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unfit(path) from error
    with os.fdopen(descriptor, "rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Input(path.name, file.tell(), digest)


def _unfit(path: Path) -> CheckError:
    return CheckError(
        f"the build leaves {path.name[:80]!r}, which is no regular file with a plain name",
        code="DELIVERY_UNFIT",
        remedy="Only files that can be collected by name are delivered; mend the build.",
    )
