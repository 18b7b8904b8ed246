"""The download server as folders: a staging area and a public tree, with the same layout below.

A file gets its name by a hard link, which fails if the name is taken, so nothing is ever
overwritten; the name it had before is removed afterwards. A process killed in between leaves a
file under both names, or one that begins with ``.part-``: the next call mends both. Each call has
names of its own for what is not whole, so that two at once do not meet there.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from relkit.adapters.disk import failing, sync_folder
from relkit.adapters.downloads_shared import (
    FILE_MODE,
    FOLDER_MODE,
    absent,
    changed,
    checked,
    in_the_way,
    part_name,
    would_overwrite,
)
from relkit.values import Artifact, StoredFile

SERVER = "download server"
CHUNK_BYTES = 1024 * 1024


class FolderServer:
    """A download server whose `staging` and `public` trees are folders of one file system.

    `source` is the folder with the collected files and their signatures.
    """

    def __init__(self, *, staging: Path, public: Path, source: Path) -> None:
        self._staging, self._public, self._source = staging, public, source

    def stage_all(self, *, files: dict[str, str]) -> None:
        """Copy collected files to staging; digests are computed from the bytes written."""
        for path, sha256 in files.items():
            with failing(f"stage {path}", SERVER):
                target = _open_folder(self._staging, path)
                if not _is_there(target, sha256):
                    _copy(self._source / target.name, target, sha256)
                _drop_parts(target, sha256)

    def staged_all(self, *, paths: tuple[str, ...]) -> dict[str, StoredFile | None]:
        """Return files in staging, hashed now."""
        return {path: self._staged(path) for path in paths}

    def unstage_all(self, *, files: dict[str, str]) -> None:
        """Remove files from staging, each if it has its digest."""
        for path, sha256 in files.items():
            with failing(f"unstage {path}", SERVER):
                target = _place(self._staging, path)
                _drop_parts(target, sha256)
                if (found := _stored(target)) is None:
                    continue
                if found.artifact.sha256 != sha256:
                    raise changed(target, found.artifact.sha256, sha256)
                target.unlink()
                sync_folder(target.parent)

    def place_all(self, *, files: dict[str, str]) -> None:
        """Move files from staging to the public tree, each in one step and never over another."""
        for path, sha256 in files.items():
            with failing(f"place {path}", SERVER):
                self._move(path, sha256)

    def placed_all(self, *, paths: tuple[str, ...]) -> dict[str, StoredFile | None]:
        """Return files of the public tree, hashed now; None while a move is half done."""
        return {path: self._placed(path) for path in paths}

    def _staged(self, path: str) -> StoredFile | None:
        with failing(f"read {path} in staging", SERVER):
            return _stored(_place(self._staging, path))

    def _placed(self, path: str) -> StoredFile | None:
        with failing(f"read {path}", SERVER):
            public, staged = (_place(one, path) for one in (self._public, self._staging))
            found = _stored(public)
            half = found and staged.exists() and staged.samefile(public)  # of a killed move
            return None if half else found

    def _move(self, path: str, sha256: str) -> None:
        staged = _place(self._staging, path)
        _drop_parts(staged, sha256)
        target = _open_folder(self._public, path)
        if not _is_there(target, sha256):
            _check_digest(staged, sha256)
            _name(staged, target, sha256)
        found = _stored(staged)  # of a move that was killed between its two halves
        if found is not None and found.artifact.sha256 == sha256:
            staged.unlink(missing_ok=True)
            sync_folder(staged.parent)


def _place(root: Path, path: str) -> Path:
    """Return where a file is; a symbolic link on the way there is refused."""
    *folders, name = map(checked, path.split("/"))
    place = root
    for part in folders:
        place /= part
        if place.is_symlink():
            raise in_the_way(place)
    return place / name


def _open_folder(root: Path, path: str) -> Path:
    """Make the folders of a file, each with the right mode whatever the umask says."""
    *folders, name = map(checked, path.split("/"))  # all of them, before any is made
    root.mkdir(parents=True, exist_ok=True)
    place = root
    for part in folders:
        place /= part
        with suppress(FileExistsError):
            place.mkdir()
            sync_folder(place.parent)
        status = place.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise in_the_way(place)
        if stat.S_IMODE(status.st_mode) != FOLDER_MODE:
            place.chmod(FOLDER_MODE)
    return place / name


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file to read; links are not followed, and a pipe is not waited for."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    if path.is_symlink():
        raise in_the_way(path)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise in_the_way(path)
    with os.fdopen(descriptor, "rb") as file:
        yield file


def _stored(path: Path) -> StoredFile | None:
    try:
        with _opened(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            status = os.fstat(file.fileno())
    except FileNotFoundError:
        return None
    artifact = Artifact(name=path.name, size=status.st_size, sha256=digest)
    return StoredFile(artifact=artifact, mode=f"{stat.S_IMODE(status.st_mode):04o}")


def _is_there(target: Path, sha256: str) -> bool:
    """Tell whether the target has the bytes already, and refuse it if it has others."""
    found = _stored(target)
    if found is None:
        return False
    if found.artifact.sha256 != sha256:
        raise would_overwrite(target.name, found.artifact.sha256, sha256)
    if found.mode != f"{FILE_MODE:04o}":
        target.chmod(FILE_MODE)
    return True


def _check_digest(path: Path, sha256: str) -> None:
    found = _stored(path)
    if found is None:
        raise absent(path.name, "staging")
    if found.artifact.sha256 != sha256:
        raise changed(path, found.artifact.sha256, sha256)
    path.chmod(FILE_MODE)


def _drop_parts(target: Path, sha256: str) -> None:
    """Remove what processes that were killed have left of a file."""
    for left in target.parent.glob(part_name(target.name, sha256, nonce="[0-9a-f]" * 12)):
        left.unlink(missing_ok=True)


def _copy(source: Path, target: Path, sha256: str) -> None:
    part = target.with_name(part_name(target.name, sha256))
    try:
        found = _copy_bytes(source, part)
        if found != sha256:
            raise changed(source, found, sha256)
        _name(part, target, sha256)
    finally:
        part.unlink(missing_ok=True)


def _copy_bytes(source: Path, part: Path) -> str:
    """Copy to a new file, on disk when this returns; return the digest of what was copied."""
    digest = hashlib.sha256()
    try:
        with _opened(source) as old, part.open("xb") as new:
            while chunk := old.read(CHUNK_BYTES):
                digest.update(chunk)
                new.write(chunk)
            new.flush()
            os.fchmod(new.fileno(), FILE_MODE)
            os.fsync(new.fileno())
    except FileNotFoundError as error:
        raise absent(source.name, "the collected files") from error
    return digest.hexdigest()


def _name(path: Path, target: Path, sha256: str) -> None:
    """Give a file its final name, unless somebody was quicker."""
    try:
        os.link(path, target, follow_symlinks=False)
    except (FileExistsError, FileNotFoundError):  # who was, has removed ours as left over
        if not _is_there(target, sha256):
            raise
    sync_folder(target.parent)
