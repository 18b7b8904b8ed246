"""The collected files of a release: taken by digest, read-only, never replaced.

What the release itself writes (a manifest, digests in a text file) lies beside them; what a respin
discards lies in the folder ``superseded``.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from relkit.adapters.attempts import delivered_by
from relkit.adapters.subjects import digest_changed, opened, text_of
from relkit.adapters.superseded import put_aside
from relkit.errors import CheckError, UsageError, WorldError
from relkit.values import Artifact

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,150}")
PIECE = 1 << 20


class Shelf:
    """`relkit.ports.Artifacts` as a folder; `builds` is where builds deliver."""

    def __init__(self, folder: Path, builds: Path) -> None:
        self._folder = folder
        self._builds = builds

    def collect(self, *, name: str, sha256: str, build: str, nonce: str) -> None:
        """Copy one file from a finished build; what is hashed are the very bytes that are kept."""
        target = self._path(name)
        if self._is_there(target, sha256):
            return
        out = delivered_by(self._builds, nonce=nonce, name=build)
        if out is None:
            raise CheckError(
                f"the build {build} has delivered nothing",
                code="ARTIFACT_MISSING",
                remedy="Wait for the build, or start it.",
            )
        with opened(out / name) as delivered:
            self._keep(target, _pieces(delivered.handle), sha256)

    def artifact(self, *, name: str) -> Artifact | None:
        """Return a collected file, hashed now."""
        path = self._path(name)
        if not os.path.lexists(path):
            return None
        with opened(path) as found:
            return Artifact(name=name, size=found.size, sha256=found.sha256)

    def discard(self, *, name: str) -> None:
        """Put a file or text aside as ``superseded/<name>.<n>``; none is fine."""
        put_aside(self._path(name))

    def write(self, *, name: str, text: str) -> None:
        """Write a text, whole or not at all; the same one again changes nothing."""
        data = text.encode()
        target, sha256 = self._path(name), hashlib.sha256(data).hexdigest()
        if not self._is_there(target, sha256):
            self._keep(target, [data], sha256)

    def read(self, *, name: str) -> str | None:
        """Return a text."""
        path = self._path(name)
        return text_of(path) if os.path.lexists(path) else None

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise UsageError(
                f"{name[:40]!r} is not the name of an artifact",
                code="BAD_NAME",
                remedy="Use a plain file name as the manifest has it.",
            )
        return self._folder / name

    @staticmethod
    def _is_there(path: Path, sha256: str) -> bool:
        """Tell whether a file is there already; refuse (``WOULD_OVERWRITE``) another one."""
        if not os.path.lexists(path):
            return False
        with opened(path) as found:
            if found.sha256 != sha256:
                raise CheckError(
                    f"{path.name} is there with the digest {found.sha256}, not {sha256}",
                    code="WOULD_OVERWRITE",
                    remedy="A collected file is never replaced; open a new revision of the run.",
                )
        _temporary(path).unlink(missing_ok=True)  # of a process that was killed
        return True

    def _keep(self, target: Path, pieces: Iterable[bytes], sha256: str) -> None:
        """Write a new file by way of a temporary one; it appears whole, right and read-only."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with _alone(self._folder):
                if not self._is_there(target, sha256):  # another process may have been quicker
                    _put(target, pieces, sha256)
        except OSError as error:
            raise WorldError(
                f"{target.name} cannot be kept: {error.strerror or error}",
                code="ARTIFACT_NOT_WRITTEN",
                remedy="Make room, or make the folder of the artifacts writable, and run again.",
            ) from error


def _put(target: Path, pieces: Iterable[bytes], sha256: str) -> None:
    temporary = _temporary(target)
    try:
        temporary.unlink(missing_ok=True)  # of a process that was killed
        found = _written(temporary, pieces)
        if found != sha256:
            raise digest_changed(target.name, found, sha256)
        temporary.chmod(0o444)
        os.link(temporary, target)  # unlike a rename, this never replaces anything
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time write here: they use the same temporary names.

    The folder itself is locked, so that no other file is in it.
    """
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


def _written(path: Path, pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    with path.open("xb") as file:
        for piece in pieces:
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()
