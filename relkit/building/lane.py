"""A lane of packing: a compressor in a process of its own, between a queue and a new file."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import IO, Self, cast

from relkit.errors import WorldError

READ_SIZE = 1 << 16
CONTROL_SECONDS = 60.0
KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What a tool inherits: gzip, for one, takes options from its environment."""


def plain_environment() -> dict[str, str]:
    """Return what a tool needs around it to be found, and nothing that changes what it does."""
    return {name: os.environ[name] for name in KEPT if name in os.environ} | {"LC_ALL": "C"}


@dataclass(frozen=True)
class Packed:
    """A file as it was written: size, and SHA-256 of the bytes on their way to the disk."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Compressor:
    """A program that packs its standard input; `extra` is in its environment."""

    name: str
    command: tuple[str, ...]
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What surrounds it: ours, without the options that gzip takes from there."""
        ours = {name: value for name, value in os.environ.items() if name != "GZIP"}
        return {**ours, **self.extra}

    def packed(self, data: bytes) -> bytes:
        """Return some data as it packs it."""
        try:
            return subprocess.run(
                self.command,
                env=self.environment,
                input=data,
                capture_output=True,
                timeout=CONTROL_SECONDS,
                check=True,
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise self.failed(str(error)) from error

    def started(self) -> subprocess.Popen[bytes]:
        """Start it between two pipes."""
        try:
            return subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        except OSError as error:
            raise self.failed(str(error)) from error

    def failed(self, how: str) -> WorldError:
        """Return the error that says so (``GZIP_FAILED``, ``XZ_FAILED``)."""
        return WorldError(
            f"{self.name} {how}",
            code=f"{self.name.upper()}_FAILED",
            remedy=f"Look for the message of {self.name} in the build's log, or above.",
        )


class _Output:
    """A new file that is hashed while it is written, and safe on the disk once it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self._size = 0

    def __enter__(self) -> Self:
        self._file = self._path.open("xb")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._file:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)
        self._file.write(data)

    def packed(self) -> Packed:
        return Packed(self._path.name, self._size, self._hash.hexdigest())


class Lane:
    """Packs what is put into it to a new file.

    Up to `waiting` pieces wait for the compressor, so that whoever puts them need not. `progress`
    hears, in a thread of the lane's, how many bytes the compressor has taken. Needs two workers of
    the pool.
    """

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        tool: Compressor,
        path: Path,
        *,
        waiting: int,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._tool, self._progress = tool, progress
        self._queue: Queue[bytes] = Queue(maxsize=waiting)
        self._ended = self._broken = False
        self._process = tool.started()
        self._fed: Future[bool] = pool.submit(self._feed)
        self.packed: Future[Packed] = pool.submit(self._run, path)
        """What was written, once it is."""

    def put(self, piece: bytes) -> None:
        """Give it a piece, which is not empty; raise what the lane has failed with."""
        if self._broken or self.packed.done():
            self.end()
            self.packed.result()
            raise self._tool.failed("ended before its input did")
        self._queue.put(piece)

    def end(self) -> None:
        """Say that there is no more."""
        if not self._ended:
            self._ended = True
            self._queue.put(b"")

    def halt(self) -> None:
        """End it at once, with whatever it has written."""
        self._process.kill()
        self.end()

    def _feed(self) -> bool:
        """Give the pieces to the compressor; tell whether it has taken them all."""
        pieces, taken = iter(self._queue.get, b""), 0
        try:
            with cast("IO[bytes]", self._process.stdin) as sink:
                for piece in pieces:
                    sink.write(piece)
                    taken += len(piece)
                    self._progress(taken)
        except BrokenPipeError:
            return False
        finally:
            # Whoever puts must not wait for ever on a lane that has failed.
            self._broken = True
            for _ in pieces:
                pass
        return True

    def _run(self, path: Path) -> Packed:
        """Write what the compressor makes; whatever fails, it is not left running."""
        try:
            return self._written(path)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def _written(self, path: Path) -> Packed:
        with cast("IO[bytes]", self._process.stdout) as source, _Output(path) as output:
            while data := source.read(READ_SIZE):
                output.write(data)
            if status := self._process.wait():
                raise self._tool.failed(f"ended with status {status}")
            if not self._fed.result():
                raise self._tool.failed("ended before its input did")
        return output.packed()
