"""Results that appear whole or not at all, whenever their maker is killed.

They are made in a hidden folder beside the place where they are to be, brought safely to the disk,
and only then given their names. What a killed maker leaves there is removed by the next one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from filecmp import cmp
from pathlib import Path

from relkit.building.lane import Packed
from relkit.errors import CheckError, WorldError


@contextmanager
def own_folder(path: Path) -> Iterator[Path]:
    """Make a folder of a known name for one process at a time; empty now, and gone at the end.

    Raises `CheckError` (``EXPORT_RUNNING``) while another process is at work in it, and
    `WorldError` (``BAD_FOLDER``) where none can be made.
    """
    try:
        descriptor = _held(path)
    except OSError as error:
        raise WorldError(
            f"no working folder can be made: {error}",
            code="BAD_FOLDER",
            remedy="Give a folder for the results in which you may write.",
        ) from error
    try:
        for one in path.iterdir():
            _removed(one)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def _held(path: Path) -> int:
    """Lock the folder itself: whoever waits for it never gets one that was removed meanwhile."""
    while True:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), path.lstat()):
                    return descriptor
            except BlockingIOError as error:
                os.close(descriptor)
                raise CheckError(
                    f"another process is at work in {path}",
                    code="EXPORT_RUNNING",
                    remedy="Wait for its end, or give another folder.",
                ) from error
            os.close(descriptor)


def _removed(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def placing(out: Path, name: str) -> Iterator[Place]:
    """Give a folder for the results called `name`, whose files can be placed in `out`."""
    with own_folder(out / f".{name}.part") as hidden:
        yield Place(hidden, out)


class Place:
    """A hidden `folder` in which results are made, and the one where they are to be."""

    def __init__(self, folder: Path, out: Path) -> None:
        self.folder = folder
        self._out = out

    def write(self, name: str, text: str) -> Packed:
        """Make a result of a text."""
        data = text.encode()
        with (self.folder / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return Packed(name, len(data), hashlib.sha256(data).hexdigest())

    def finish(self, names: Sequence[str]) -> tuple[str, ...]:
        """Give results their names, in this order; they must be on the disk already.

        Returns those which were there with the same bytes, and are left alone. Raises
        `CheckError` (``WOULD_OVERWRITE``) for other bytes, before any result appears.
        """
        there = [name for name in names if os.path.lexists(self._out / name)]
        for name in there:
            self._check_same(name)
        for name in names:
            if name not in there:
                self._appear(name)
        descriptor = os.open(self._out, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return tuple(there)

    def _check_same(self, name: str) -> None:
        target = self._out / name
        if (
            target.is_symlink()
            or not target.is_file()
            or not cmp(self.folder / name, target, shallow=False)
        ):
            raise would_overwrite(target, "is there with other bytes")

    def _appear(self, name: str) -> None:
        """Give one result its name; a link never takes the place of what has appeared meanwhile."""
        source, target = self.folder / name, self._out / name
        try:
            target.hardlink_to(source)
        except FileExistsError as error:
            raise would_overwrite(target, "has appeared meanwhile") from error
        except OSError:  # a file system that has no links
            source.rename(target)


def would_overwrite(path: Path, how: str) -> CheckError:
    """Return the refusal to replace a file."""
    return CheckError(
        f"{path} {how}",
        code="WOULD_OVERWRITE",
        remedy="Look at what it is, then move it away, or give another folder.",
    )
