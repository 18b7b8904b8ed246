"""One writer for a run: an advisory lock that ends with its process."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from relkit.errors import RecordError


@dataclass
class Lock:
    """The right to write a run's record, held through an open, locked file."""

    descriptor: int

    @classmethod
    def take(cls, folder: Path) -> tuple[Self, str]:
        """Take the lock of `folder`; also say how an earlier holder was lost (empty: it was not).

        Raises `RecordError` (``RUN_LOCKED``) if a living process of this machine holds it, or if
        another machine did and never released it.
        """
        path = folder / "lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
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
        _write(descriptor, json.dumps({"host": socket.gethostname(), "process": os.getpid()}))
        lost = f"process {holder.get('process')} ended without closing the run" if holder else ""
        return cls(descriptor), lost

    def release(self) -> None:
        """Give the run free; harmless if it is."""
        if self.descriptor >= 0:
            _write(self.descriptor, "")
            os.close(self.descriptor)
            self.descriptor = -1


def _holder(descriptor: int) -> dict[str, object]:
    text = os.pread(descriptor, 500, 0)
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
