"""The tar inside a source archive: unpacked in bounded pieces, hashed on the way, whole or refused.

A file that is cut, padded or damaged is refused as ``ARCHIVE_DAMAGED``, one that unpacks to more
than a source archive can hold as ``ARCHIVE_UNSAFE``.
"""

from __future__ import annotations

import hashlib
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path

from relkit.building.archive import BLOCK
from relkit.errors import CheckError

MAX_TAR_BYTES = 1 << 30
READ_SIZE = 1 << 18


def unsafe(message: str) -> CheckError:
    """Return the refusal of an archive which holds what a release's archive never does."""
    return CheckError(
        message,
        code="ARCHIVE_UNSAFE",
        remedy="Do not unpack it. Build the archives anew from the tagged commit.",
    )


def damaged(message: str) -> CheckError:
    """Return the refusal of an archive which is not whole."""
    return CheckError(
        message,
        code="ARCHIVE_DAMAGED",
        remedy="Fetch or build the archive again.",
    )


class TarStream:
    """A tar that comes in pieces, none of them empty: read forwards once, hashed on the way."""

    def __init__(self, name: str, pieces: Iterator[bytes]) -> None:
        self.name = name
        self.size = 0
        self._pieces = pieces
        self._hash = hashlib.sha256()
        self._buffer = b""
        self._at = 0

    @property
    def sha256(self) -> str:
        """Digest of what has been unpacked so far."""
        return self._hash.hexdigest()

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes; refuse an archive that ends before."""
        end = self._at + size
        while len(self._buffer) < end:
            piece = next(self._pieces, None)
            if piece is None:
                raise damaged(f"{self.name} ends in the middle of a member")
            self._take(piece)
            self._buffer = self._buffer[self._at :] + piece
            self._at, end = 0, size
        data = self._buffer[self._at : end]
        self._at = end
        return data

    def finish(self) -> None:
        """Read to the end of the file, where nothing but zeros may stand."""
        rest = self._buffer[self._at :]
        while rest:
            if rest.strip(b"\0"):
                raise damaged(f"{self.name} goes on after its end")
            rest = next(self._pieces, b"")
            self._take(rest)
        if self.size % BLOCK:
            raise damaged(f"{self.name} ends in the middle of a block")

    def drain(self) -> None:
        """Read to the end of the file, whatever stands there."""
        for piece in self._pieces:
            self._take(piece)

    def _take(self, piece: bytes) -> None:
        self._hash.update(piece)
        self.size += len(piece)
        if self.size > MAX_TAR_BYTES:
            raise unsafe(f"{self.name} unpacks to more than {MAX_TAR_BYTES} bytes")


def unpacked(path: Path) -> TarStream:
    """Return the tar inside a ``.tgz`` or ``.tar.xz`` file."""
    return TarStream(path.name, _unpacked(path))


def _unpacked(path: Path) -> Iterator[bytes]:
    """Unpack in bounded pieces; exactly one gzip member or xz stream, whole and alone."""
    unpack = _inflated if path.name.endswith(".tgz") else _unxzed
    try:
        with path.open("rb") as handle:
            yield from filter(None, unpack(iter(lambda: handle.read(READ_SIZE), b""), path.name))
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise damaged(f"{path.name} cannot be unpacked: {error}") from error


def _inflated(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=31)
    for piece in pieces:
        waiting = piece
        while waiting and not unpacker.eof:
            yield unpacker.decompress(waiting, READ_SIZE)
            waiting = unpacker.unconsumed_tail
        if unpacker.unused_data or (waiting and unpacker.eof):
            raise damaged(f"{name} goes on after its end")
    if not unpacker.eof:
        raise damaged(f"{name} is cut")


def _unxzed(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=256 << 20)
    for piece in pieces:
        if unpacker.eof:
            raise damaged(f"{name} goes on after its end")
        yield unpacker.decompress(piece, READ_SIZE)
        while not unpacker.needs_input and not unpacker.eof:
            yield unpacker.decompress(b"", READ_SIZE)
    if not unpacker.eof or unpacker.unused_data:
        raise damaged(f"{name} is cut, or goes on after its end")
