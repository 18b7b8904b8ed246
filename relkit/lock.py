"""One writer for a run: an advisory lock that ends with its process."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from relkit.errors import RecordError

MARK = 500  # bytes of a holder's mark that are read


@dataclass
class Lock:
    """The right to write a run's record, held through an open, locked file."""

    descriptor: int
    found: str
    """The mark of a holder that was lost; empty if the lock was free."""

    @classmethod
    def take(cls, folder: Path) -> tuple[Self, str]:
        """Take the lock of `folder`; also say how an earlier holder was lost (empty: it was not).

        Raises `RecordError`: ``RUN_LOCKED`` if a living process of this machine holds it, or if
        another machine did and never released it; ``RECORD_NOT_WRITTEN``.
        """
        with on_disk("the lock of the run"):
            return cls._take(folder / "lock")

    @classmethod
    def _take(cls, path: Path) -> tuple[Self, str]:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise RecordError(
                f"another process holds this run: {_described(holder)}",
                code="RUN_LOCKED",
                remedy="Go on there, or end that kernel or command and run this again.",
            ) from error
        holder = _holder(descriptor)
        if holder and holder.get("host") != socket.gethostname():
            os.close(descriptor)
            raise RecordError(
                f"another machine holds this run: {_described(holder)}",
                code="RUN_LOCKED",
                remedy=f"End it there; if that machine is lost, delete {path.name} and say why in "
                "the operation note.",
            )
        found = os.pread(descriptor, MARK, 0).decode(errors="replace")
        try:
            _write(descriptor, json.dumps({"host": socket.gethostname(), "process": os.getpid()}))
        except OSError:
            os.close(descriptor)
            raise
        lost = f"process {holder.get('process')} ended without closing the run" if holder else ""
        return cls(descriptor, found), lost

    def release(self, *, unused: bool = False) -> None:
        """Give the run free; harmless if it is.

        With `unused` a lost holder's mark stays, for whoever takes the run over in earnest.
        """
        if self.descriptor >= 0:
            _write(self.descriptor, self.found if unused else "")
            os.close(self.descriptor)
            self.descriptor = -1


@contextmanager
def on_disk(what: str) -> Iterator[None]:
    """Turn what the disk refuses into a `RecordError` (``RECORD_NOT_WRITTEN``)."""
    try:
        yield
    except OSError as error:
        raise RecordError(
            f"{what} was not written: {error}",
            code="RECORD_NOT_WRITTEN",
            remedy="Make room on the disk of the record, then run the cell again.",
        ) from error


def _holder(descriptor: int) -> dict[str, object]:
    text = os.pread(descriptor, MARK, 0)
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {"process": "unknown", "host": socket.gethostname()}
    return found if isinstance(found, dict) else {}


def _described(holder: dict[str, object]) -> str:
    return f"process {holder.get('process', 'unknown')} on {holder.get('host', 'this machine')}"


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
    os.fsync(descriptor)
