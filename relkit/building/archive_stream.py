"""The tar inside a source archive: unpacked in bounded pieces, hashed on the way, whole or refused.

A file that is cut, padded or damaged is refused as ``ARCHIVE_DAMAGED``, one that unpacks to more
than a source archive can hold as ``ARCHIVE_UNSAFE``. Limits are three to four times what the
largest archive of CPython 3.13 has.
"""

from __future__ import annotations

import hashlib
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from relkit.building.archive import BLOCK
from relkit.errors import CheckError, UsageError

MAX_TAR_BYTES = 384 << 20
MAX_RATIO = 60
"""How many times larger a tar may be than its file; source is 4 to 6 times as large."""
RATIO_FROM_BYTES = 48 << 20  # a small archive may hold one long run of zeros
MAX_PADDING = 1 << 20
XZ_MEMORY = 72 << 20  # enough for xz -9
READ_SIZE = 1 << 18

Unpack = Callable[[Iterator[bytes], str], Iterator[bytes]]


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
        if end <= len(self._buffer):
            data = self._buffer[self._at : end]
            self._at = end
            return data
        parts = [self._buffer[self._at :]]
        missing = size - len(parts[0])
        while missing > 0:
            piece = next(self._pieces, None)
            if piece is None:
                raise damaged(f"{self.name} ends in the middle of a member")
            self._take(piece)
            parts.append(piece)
            missing -= len(piece)
        self._buffer = parts[-1]
        self._at = len(self._buffer) + missing
        return b"".join(parts)[:size]

    def finish(self) -> None:
        """Read to the end of the file, where nothing but zeros may stand."""
        rest = self._buffer[self._at :]
        padding = 0
        while rest:
            padding += len(rest)
            if rest.strip(b"\0"):
                raise damaged(f"{self.name} goes on after its end")
            if padding > MAX_PADDING:
                raise unsafe(f"{self.name} is padded with more than {MAX_PADDING} bytes")
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


class ArchiveStream(TarStream):
    """The tar inside a file; `file_sha256` and `file_size` are of what was read of the file.

    Once `finish` or `drain` has returned, that is the whole file: the bytes which were judged.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path.name, self._unpacked(path, _unpacker(path.name)))
        self.file_size = 0
        self._file_hash = hashlib.sha256()

    @property
    def file_sha256(self) -> str:
        """Digest of what has been read of the file so far."""
        return self._file_hash.hexdigest()

    def _read(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(READ_SIZE):
                self._file_hash.update(piece)
                self.file_size += len(piece)
                yield piece

    def _unpacked(self, path: Path, unpack: Unpack) -> Iterator[bytes]:
        """Unpack in bounded pieces; exactly one gzip member or xz stream, whole and alone."""
        try:
            yield from filter(None, unpack(self._read(path), self.name))
        except (zlib.error, lzma.LZMAError, EOFError) as error:
            raise damaged(f"{self.name} cannot be unpacked: {error}") from error

    def _take(self, piece: bytes) -> None:
        super()._take(piece)
        if self.size > max(RATIO_FROM_BYTES, MAX_RATIO * self.file_size):
            raise unsafe(f"{self.name} unpacks to more than {MAX_RATIO} times its size")


def unpacked(path: Path) -> ArchiveStream:
    """Return the tar inside a ``.tgz`` (``.tar.gz``) or ``.tar.xz`` file."""
    return ArchiveStream(path)


def _unpacker(name: str) -> Unpack:
    if name.endswith((".tgz", ".tar.gz")):
        return _inflated
    if name.endswith(".tar.xz"):
        return _unxzed
    raise UsageError(
        f"{name} is not named like a source archive",
        code="ARCHIVE_NAME",
        remedy="Give files named *.tgz or *.tar.xz, as they were published.",
    )


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
    unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
    for piece in pieces:
        if unpacker.eof:
            raise damaged(f"{name} goes on after its end")
        yield unpacker.decompress(piece, READ_SIZE)
        while not unpacker.needs_input and not unpacker.eof:
            yield unpacker.decompress(b"", READ_SIZE)
    if not unpacker.eof or unpacker.unused_data:
        raise damaged(f"{name} is cut, or goes on after its end")
