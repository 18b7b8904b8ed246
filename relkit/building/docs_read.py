"""Archives of the docs read to their end, with the checksums of their form, and nothing unpacked.

What is odd is refused, as in source archives: names that lead elsewhere or differ only in case,
links, what stands before or behind the archive.
"""

from __future__ import annotations

import bz2
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from relkit.building.archive_read import MAX_FILE_BYTES, read_members
from relkit.building.archive_stream import READ_SIZE, TarStream
from relkit.errors import CheckError

UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, struct.error),
    *(OSError, EOFError, ValueError, RuntimeError, KeyError, CheckError),
)
"""What reading a damaged archive raises; `zipfile` lets those of its own parts through."""
END_RECORD = 22
END_MARK = b"PK\5\6"
ENCRYPTED = 0x1


def broken(name: str, why: str) -> CheckError:
    """Return the refusal of an archive (``DOCS_ARCHIVE``)."""
    return CheckError(
        f"{name}: {why}", code="DOCS_ARCHIVE", remedy="Read the build's log; build it anew."
    )


def files(path: Path, top: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an archive, with names below its top folder; `top` empty: it has none."""
    read = _tar_files if path.name.endswith(".tar.bz2") else _zip_files
    try:
        yield from read(path, top)
    except UNREADABLE as error:
        why = error.args[0] if isinstance(error, CheckError) else error
        raise broken(path.name, f"it cannot be read: {why}") from error


def _tar_files(path: Path, top: str) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as file:
        pieces = iter(lambda: file.read(READ_SIZE), b"")
        for found in read_members(TarStream(path.name, _unpacked(pieces)), top):
            if found.kind == "link":
                raise ValueError(f"{found.path} is a link")
            if found.kind == "file":
                yield found.path, found.data


def _unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack exactly one stream; `bz2.open` reads on over whatever stands behind it."""
    unpacker = bz2.BZ2Decompressor()
    for piece in pieces:
        if unpacker.eof:
            raise ValueError("it goes on after its end")
        if data := unpacker.decompress(piece, READ_SIZE):
            yield data
        while not unpacker.needs_input and not unpacker.eof:
            yield unpacker.decompress(b"", READ_SIZE)
    if not unpacker.eof:
        raise EOFError("it is cut")
    if unpacker.unused_data:
        raise ValueError("it goes on after its end")


def _zip_files(path: Path, top: str) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        _check_frame(path, archive)
        seen = set()
        for info in archive.infolist():
            name = _plain_name(info, top)
            if name.casefold() in seen:
                raise ValueError(f"it has {info.filename} twice, perhaps in another case")
            seen.add(name.casefold())
            if not info.is_dir():
                yield name, archive.read(info)


def _check_frame(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse bytes before the first entry and behind the end, which `zipfile` passes over."""
    with path.open("rb") as file:
        file.seek(-END_RECORD, os.SEEK_END)
        end = file.read()
    if min((one.header_offset for one in archive.infolist()), default=0):
        raise ValueError("something stands before its first entry")
    if not end.startswith(END_MARK):
        raise ValueError("it goes on after its end")


def _plain_name(info: zipfile.ZipInfo, top: str) -> str:
    name = info.filename.removeprefix(f"{top}/") if top else info.filename
    if (
        {"", ".", ".."} & {*name.removesuffix("/").split("/")}
        or "\\" in name
        or not name.isprintable()
    ):
        raise ValueError(f"{info.filename!r} is no plain name of a file")
    if top and name == info.filename:
        raise ValueError(f"{info.filename!r} is not below {top}")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if (
        kind not in {0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG}
        or info.flag_bits & ENCRYPTED
    ):
        raise ValueError(f"{info.filename!r} is no file that can be read")
    if info.file_size > MAX_FILE_BYTES:
        raise ValueError(f"{info.filename!r} says it has {info.file_size} bytes")
    return name
