"""The two compressions of a source archive, side by side and with reproducible bytes.

``.tgz`` is made by GNU gzip (zlib and pigz give other bytes), ``.tar.xz`` by liblzma with preset 6
and CRC64 in one block, which takes one thread. The slower one alone decides how long it takes.
"""

from __future__ import annotations

import hashlib
import lzma
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import IO, Self, cast

from relkit.errors import CheckError, WorldError

GZIP = ("gzip", "-9", "--no-name")
READ_SIZE = 1 << 16
WAITING_PIECES = 16
CONTROLS = {
    "gzip": "3edeed51b3891fded58d7ec34e8c2219aacbb5fc33782e3db252a1e7edbc1b06",
    "xz": "db90bc5f431ec08b4fb0125998b107871a40516e70b6030ef19d771212b03fee",
}
"""SHA-256 of `control_text` as packed by gzip 1.12 and liblzma 5.4.1."""


@dataclass(frozen=True)
class Packed:
    """A file as it was written: size, and SHA-256 of the bytes on their way to the disk."""

    name: str
    size: int
    sha256: str


class _Output:
    """A new file that is hashed while it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self._size = 0

    def __enter__(self) -> Self:
        self._file = self._path.open("xb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)
        self._file.write(data)

    def packed(self) -> Packed:
        return Packed(self._path.name, self._size, self._hash.hexdigest())


class _Lane:
    """A consumer of pieces in a thread of its own, behind a short queue."""

    def __init__(
        self, pool: ThreadPoolExecutor, consume: Callable[[Iterator[bytes]], Packed]
    ) -> None:
        self._queue: Queue[bytes] = Queue(maxsize=WAITING_PIECES)
        self.packed: Future[Packed] = pool.submit(self._run, consume)

    def put(self, piece: bytes) -> None:
        self._queue.put(piece)

    def end(self) -> None:
        self._queue.put(b"")

    def _run(self, consume: Callable[[Iterator[bytes]], Packed]) -> Packed:
        pieces = iter(self._queue.get, b"")
        try:
            return consume(pieces)
        finally:
            # Whoever puts must not wait for ever on a lane that has failed.
            for _ in pieces:
                pass


def pack(pieces: Iterable[bytes], *, tgz: Path, xz: Path) -> tuple[Packed, Packed, Packed]:
    """Write a tar, given in pieces, to both files; neither may exist.

    Returns what was written for ``.tgz`` and ``.tar.xz``, and the tar itself as a third. After an
    error the files are incomplete, and the caller throws them away.
    """
    seen, size = hashlib.sha256(), 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        lanes = _Lane(pool, lambda its: _gzip(its, tgz)), _Lane(pool, lambda its: _xz(its, xz))
        try:
            for piece in pieces:
                seen.update(piece)
                size += len(piece)
                for lane in lanes:
                    lane.put(piece)
        finally:
            for lane in lanes:
                lane.end()
    made_tgz, made_xz = (lane.packed.result() for lane in lanes)
    return made_tgz, made_xz, Packed("tar", size, seen.hexdigest())


def _xz(pieces: Iterable[bytes], path: Path) -> Packed:
    packer = lzma.LZMACompressor(format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, preset=6)
    with _Output(path) as output:
        for piece in pieces:
            output.write(packer.compress(piece))
        output.write(packer.flush())
    return output.packed()


def _gzip(pieces: Iterable[bytes], path: Path) -> Packed:
    with (
        subprocess.Popen(GZIP, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
        _Output(path) as output,
        ThreadPoolExecutor(max_workers=1) as pool,
    ):
        drained = pool.submit(_drain, cast("IO[bytes]", process.stdout), output)
        try:
            _feed(pieces, cast("IO[bytes]", process.stdin))
        except BrokenPipeError:
            drained.result()  # where our own disk is full, this says so
    if process.returncode:
        raise WorldError(
            f"gzip ended with status {process.returncode}",
            code="GZIP_FAILED",
            remedy="Look for gzip's own message in the build's log.",
        )
    drained.result()
    return output.packed()


def _feed(pieces: Iterable[bytes], sink: IO[bytes]) -> None:
    with sink:
        for piece in pieces:
            sink.write(piece)


def _drain(source: IO[bytes], output: _Output) -> None:
    """Take what gzip makes; closing its output on an error is what stops gzip."""
    with source:
        while data := source.read(READ_SIZE):
            output.write(data)


# --- a control before anything is packed ------------------------------------------------------


def control_text() -> bytes:
    """Return 256 kB that look like source to a compressor and are the same everywhere."""
    digests = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(512)]
    lines = [f"    {digests[number * 7 % 512]} = {digests[number % 89]}" for number in range(1900)]
    return "\n".join(lines).encode()


def check_compressors() -> None:
    """Refuse compressors which give other bytes than those known (``TOOL_DRIFT``).

    Version numbers do not tell: a `gzip` on the path may be pigz, and zlib has several makers.
    """
    text = control_text()
    packer = lzma.LZMACompressor(format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, preset=6)
    packed = {
        "gzip": subprocess.run(GZIP, input=text, capture_output=True, check=True).stdout,
        "xz": packer.compress(text) + packer.flush(),
    }
    for name, expected in CONTROLS.items():
        digest = hashlib.sha256(packed[name]).hexdigest()
        if digest != expected:
            raise CheckError(
                f"{name} packs the control text to {digest}, not to {expected}",
                code="TOOL_DRIFT",
                remedy="Use GNU gzip and a Python linked with liblzma: other tools give archives "
                "which nobody can reproduce.",
            )
