"""The expected files of a zip that a build service made; nothing in it is used as a path."""

from __future__ import annotations

import errno
import os
import stat
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO

from relkit.errors import CheckError, WorldError

MAX_ENTRIES = 50_000
MAX_FILE_BYTES = 2_000_000_000
PIECE = 1 << 20
ENCRYPTED = 1
UNREADABLE = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error),
    *(EOFError, NotImplementedError, RuntimeError, ValueError, UnicodeDecodeError),
)


def unzip(archive: Path, wanted: Collection[str], folder: Path) -> int:
    """Write those members whose last name is wanted into `folder`; return how many others it has.

    Raises `CheckError` (``UNLISTED_FILE`` for a name that is there twice, ``DELIVERY_UNFIT`` for
    anything but a regular file) and `WorldError` (``SERVICE_UNREADABLE``, ``TOO_LARGE``).
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [one for one in opened.infolist() if not one.is_dir()]
            chosen = _chosen(members, wanted, folder)
            for name, member in chosen.items():
                _write(opened, member, folder / name)
    except UNREADABLE as error:
        raise WorldError(
            f"what the service gave is no whole zip: {str(error)[:200]}",
            code="SERVICE_UNREADABLE",
            remedy="Run it again; if it stays so, look at the artifact in a browser.",
        ) from error
    return len(members) - len(chosen)


def _chosen(
    members: list[zipfile.ZipInfo], wanted: Collection[str], folder: Path
) -> dict[str, zipfile.ZipInfo]:
    if len(members) > MAX_ENTRIES:
        raise _too_large("the zip", f"{len(members)} entries", f"{MAX_ENTRIES}")
    found: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        name = member.filename.replace("\\", "/").rpartition("/")[2]
        if name not in wanted:
            continue
        if name in found or (folder / name).exists():
            raise CheckError(
                f"{name} is there twice, once as {member.filename[:200]!a}",
                code="UNLISTED_FILE",
                remedy="Have the build corrected; nobody knows which of them is meant.",
            )
        found[name] = _fit(member, name)
    return found


def _fit(member: zipfile.ZipInfo, name: str) -> zipfile.ZipInfo:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in {0, stat.S_IFREG} or member.flag_bits & ENCRYPTED:
        raise CheckError(
            f"{name} in the zip is {'encrypted' if member.flag_bits & ENCRYPTED else 'no file'}, "
            "not a regular file",
            code="DELIVERY_UNFIT",
            remedy="Only regular files are delivered; mend the build.",
        )
    if member.file_size > MAX_FILE_BYTES:
        raise _too_large(name, f"{member.file_size} bytes", f"{MAX_FILE_BYTES}")
    return member


def _opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    try:
        return archive.open(member)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise zipfile.BadZipFile(f"{member.filename[:200]!a} lies nowhere in it") from error


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Unpack one member, by pieces; `zipfile` checks its CRC and that it is not longer."""
    with _opened(opened, member) as source, target.open("xb") as file:
        while piece := source.read(PIECE):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _too_large(what: str, found: str, most: str) -> WorldError:
    return WorldError(
        f"{what} has {found}, more than {most}",
        code="TOO_LARGE",
        remedy="Look at the artifact in a browser; this is not what a release has.",
    )
