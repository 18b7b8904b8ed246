"""Archives of HTML docs: what is in them, looked at as a whole before anything is written (T29).

``.zip`` and ``.tar.bz2``, with one folder at the top, as CPython's Doc/Makefile packs them.
"""

from __future__ import annotations

import bz2
import math
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from relkit.errors import CheckError, UsageError

MAX_FILES = 20_000
MAX_BYTES = 1 << 30
"""The docs of 3.15 have about 1,500 files with 75 MB."""
MAX_HEADER_BYTES = 64_000_000
"""Of all headers of a tar: they are kept in memory, and pack to next to nothing."""
MAX_NAME_BYTES = 255
PIECE = 1 << 20
ENCRYPTED = 0x1
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""The others may ask for gigabytes of memory before they give a byte."""
BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError),
    *(ValueError, NotImplementedError, RuntimeError),
)


@dataclass(frozen=True)
class Member:
    """A file or folder of an archive: its parts of path, and what opens it (None: a folder)."""

    parts: tuple[str, ...]
    size: int
    open: Callable[[], IO[bytes] | None] | None


@contextmanager
def opened_archive(archive: Path, name: str) -> Iterator[tuple[Member, ...]]:
    """Open an archive and give its members, the folder at its top left out.

    `name` says what it is, in its end and to people. Raises `CheckError` (``ARCHIVE_UNSAFE``,
    ``ARCHIVE_BROKEN``), also for what is found out while members are read, and `UsageError`
    (``ARCHIVE_UNKNOWN``).
    """
    reader = next((READERS[end] for end in READERS if name.endswith(end)), None)
    if reader is None:
        raise UsageError(
            f"{name} is neither {' nor '.join(READERS)}",
            code="ARCHIVE_UNKNOWN",
            remedy="Unpack one of the archives of the HTML docs.",
        )
    try:
        with reader(archive) as members:
            yield _stripped(_checked(members, name), name)
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, not of the archive
        raise CheckError(
            f"{name} cannot be read: {error}",
            code="ARCHIVE_BROKEN",
            remedy="Have the docs built again; nothing was unpacked.",
        ) from error


def copied(member: Member, target: IO[bytes], name: str) -> None:
    """Write a file of an archive; refuse it if it is not as long as the archive says."""
    source = member.open() if member.open else None
    if source is None:
        raise unsafe(name, "/".join(member.parts), "is no file")
    left = member.size
    with source:
        while piece := source.read(PIECE):
            left -= len(piece)
            if left < 0:
                break
            target.write(piece)
    if left:
        raise unsafe(name, "/".join(member.parts), f"has not the {member.size} bytes it claims")


def unsafe(name: str, member: str, what: str) -> CheckError:
    """Return the refusal of an archive for one of its members."""
    shown = ascii(member if len(member) <= 80 else f"{member[:80]}...")  # noqa: PLR2004 (one line)
    return CheckError(
        f"{name}: {shown} {what}",
        code="ARCHIVE_UNSAFE",
        remedy="Find out who made this archive; nothing of it was unpacked.",
    )


Found = Iterator[tuple[str, int, str, Callable[[], IO[bytes] | None] | None]]
"""Name, size, why it is refused (empty: it is not), and what opens it (None: a folder)."""


@contextmanager
def _zip(archive: Path) -> Iterator[Found]:
    with zipfile.ZipFile(archive) as opened:
        yield (
            (
                one.orig_filename,
                one.file_size,
                _refused_in_zip(one),
                None if one.is_dir() else partial(opened.open, one),
            )
            for one in opened.infolist()
        )


def _refused_in_zip(one: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(one.external_attr >> 16)
    if kind not in {0, stat.S_IFDIR if one.is_dir() else stat.S_IFREG}:
        return "is a link or a device"
    if one.compress_type not in METHODS:
        return f"is packed in an unusual way ({one.compress_type})"
    return "is encrypted" if one.flag_bits & ENCRYPTED else ""


class _Unpacked(bz2.BZ2File):
    """A tar, of which no more than `left` bytes are read; what is skipped does not count."""

    left: float = math.inf

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= self.left:
            raise ValueError(f"its headers have more than {MAX_HEADER_BYTES} bytes")
        self.left -= size
        return super().read(size)


@contextmanager
def _tar(archive: Path) -> Iterator[Found]:
    with _Unpacked(archive) as unpacked:
        unpacked.left = MAX_HEADER_BYTES
        with tarfile.open(fileobj=unpacked, mode="r:") as opened:
            yield _listed(opened, unpacked)


def _listed(opened: tarfile.TarFile, unpacked: _Unpacked) -> Found:
    for one in opened:
        yield _in_tar(opened, one)
    unpacked.left = math.inf


def _in_tar(
    opened: tarfile.TarFile, one: tarfile.TarInfo
) -> tuple[str, int, str, Callable[[], IO[bytes] | None] | None]:
    plain = one.isdir() or (one.isreg() and not one.issparse())
    opens = None if one.isdir() else partial(opened.extractfile, one)
    return one.name, one.size, "" if plain else "is a link or a device", opens


READERS: Mapping[str, Callable[[Path], AbstractContextManager[Found]]] = {
    ".zip": _zip,
    ".tar.bz2": _tar,
}


def _checked(found: Found, archive: str) -> list[Member]:
    """Read the list of members, and refuse the archive for any that is not plain."""
    members: dict[tuple[str, ...], Member] = {}
    total = 0
    for name, size, refused, opens in found:
        total += size
        if refused := refused or _bad_name(name):
            raise unsafe(archive, name, refused)
        parts = tuple(name.removesuffix("/").split("/"))
        if parts in members:
            raise unsafe(archive, name, "is there twice")
        members[parts] = Member(parts, size, opens)
        if size < 0 or total > MAX_BYTES or len(members) > MAX_FILES:
            raise unsafe(archive, name, f"is one too many: more than {MAX_BYTES} bytes, or files")
    for parts in members:
        for end in range(1, len(parts)):
            above = members.get(parts[:end])
            if above is not None and above.open is not None:
                raise unsafe(archive, "/".join(parts), "is below a file")
    return list(members.values())


def _bad_name(name: str) -> str:
    parts = name.removesuffix("/").split("/")
    if any(part in {"", ".", ".."} for part in parts):
        return "leads elsewhere"
    if "\\" in name or ":" in parts[0] or not name.isprintable():
        return "is not a plain name"
    if unicodedata.normalize("NFC", name) != name:
        return "is not a plain name"
    try:
        too_long = max(len(part.encode()) for part in parts) > MAX_NAME_BYTES
    except UnicodeEncodeError:
        return "is not a plain name"
    return "has too long a name" if too_long else ""


def _stripped(members: list[Member], archive: str) -> tuple[Member, ...]:
    """Leave out the one folder at the top."""
    tops = {member.parts[0] for member in members}
    inside = tuple(
        Member(member.parts[1:], member.size, member.open) for member in members if member.parts[1:]
    )
    loose = any(len(member.parts) == 1 and member.open is not None for member in members)
    if len(tops) != 1 or loose or not any(member.open for member in inside):
        raise unsafe(archive, ", ".join(sorted(tops)[:5]), "is not one folder with files")
    return inside
