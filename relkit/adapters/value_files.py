"""JSON files that hold one value each, and survive a kill.

A file is replaced whole, by one that is already on the disk, so that a reader never meets half of
one. Who reads and then writes holds the lock beside it meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Generic, TextIO, TypeVar

from relkit.adapters.disk import sync_folder
from relkit.errors import WorldError
from relkit.values import Value

S = TypeVar("S", bound=Value)

REMEDY = "Put the world's file back as it was, or begin with a new world."
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,150}")


class StateFile(Generic[S]):
    """A JSON file that holds one value."""

    def __init__(self, path: Path, model: type[S]) -> None:
        self.path = path
        self._model = model

    def read(self) -> S:
        """Return the value; raise `WorldError` (``STATE_UNREADABLE``) if there is none."""
        return read_value(self.path, self._model)

    def write(self, value: S) -> None:
        """Put a value in place of what is there."""
        write_value(self.path, value)

    def change(self, edit: Callable[[S], S]) -> None:
        """Replace the value by what `edit` makes of it, with everybody else waiting."""
        with locked(self.path):
            before = self.read()
            after = edit(before)
            if after != before:
                self.write(after)


def read_value(path: Path, model: type[S], remedy: str = REMEDY) -> S:
    """Return the value in a JSON file; raise `WorldError` (``STATE_UNREADABLE``)."""
    try:
        if path.exists() and not path.is_file():  # a device has no end
            raise ValueError("it is no plain file")  # noqa: TRY301 (said as all else that is wrong)
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:  # ValidationError among them
        why = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise WorldError(
            f"{path.name} is not a readable {model.__name__}: {why}",
            code="STATE_UNREADABLE",
            remedy=remedy,
        ) from error


def write_value(path: Path, value: Value, *, new: bool = False) -> None:
    """Write a value as JSON, indented for people."""
    write_whole(path, value.model_dump_json(indent=2).encode() + b"\n", new=new)


def write_whole(path: Path, data: bytes, *, new: bool = False) -> None:
    """Write a file so that it is there whole and on the disk, or not at all.

    With `new`, a file that is there already is left alone and `FileExistsError` is raised. Raises
    `WorldError` (``STATE_WRITE``) if it cannot be written.
    """
    try:
        _write_whole(path, data, new=new)
    except OSError as error:
        if new and path.exists():
            raise
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> WorldError:
    return WorldError(
        f"{path.name} cannot be written: {error.strerror}",
        code="STATE_WRITE",
        remedy="Make room, or see to the rights of the world's folder; then run this again.",
    )


def _write_whole(path: Path, data: bytes, *, new: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if new:
            os.link(name, path)
        else:
            Path(name).replace(path)
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()
    sync_folder(path.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that goes with a file; the end of the process gives it free."""
    with _lock_file(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lock_file(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return (path.parent / f".{path.name}.lock").open("w")
    except OSError as error:
        raise _not_written(path, error) from error


def safe_name(text: str) -> str:
    """Return `text` if it can be a file's name; raise `WorldError` (``BAD_NAME``)."""
    if NAME.fullmatch(text) is None:
        raise WorldError(
            f"{text[:40]!r} cannot name a file of the world",
            code="BAD_NAME",
            remedy="Use letters, digits, dots, dashes and plus signs.",
        )
    return text
