"""The expected files of a zip that a build service made; nothing in it is used as a path.

What unpacking can cost is bounded before it begins: the list of members is read only if it is
short, and members only if the list says that they are small enough, which nothing exceeds.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

from relkit.errors import CheckError, WorldError

MAX_ENTRIES = 20_000
MAX_DIRECTORY_BYTES = 4_000_000
"""The list of members, packed: in memory it takes about eight times as much."""
MAX_FILE_BYTES = 2_000_000_000
MAX_ALL_BYTES = 8_000_000_000
SMALL_BYTES, MAX_RATIO = 50_000_000, 100
"""Files of a release are packed already; one that is not small shrinks no further than this."""
PIECE = 1 << 20
ENCRYPTED = 1
HARMFUL = re.compile(r"[\0:]|^/|(?:^|/)\.\.(?:/|$)")
"""What a plain place has not; zipfile itself cuts a name at a NUL."""
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""The others may ask for gigabytes of memory before they give a byte."""
UNREADABLE = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, NotImplementedError),
    *(OverflowError, RuntimeError, ValueError, UnicodeDecodeError),
)


class _Bounded(io.BufferedReader):
    """A file of which nobody reads more in one piece than the longest list of members."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise _too_large("the zip's list of members", f"{size} bytes", MAX_DIRECTORY_BYTES)
        return super().read(size)


def unzip(archive: Path, wanted: Collection[str], folder: Path) -> int:
    """Write those members whose last name is wanted into `folder`; return how many others it has.

    Raises `CheckError` (``UNLISTED_FILE`` for a name that is there twice, ``DELIVERY_UNFIT`` for
    anything but a regular file in a plain place) and `WorldError` (``SERVICE_UNREADABLE``,
    ``TOO_LARGE``).
    """
    try:
        with _Bounded(io.FileIO(archive)) as file, zipfile.ZipFile(file) as opened:
            members = [one for one in opened.infolist() if not one.filename.endswith("/")]
            chosen = _chosen(members, wanted, folder)
            for name, member in chosen.items():
                _write(opened, member, folder / name)
    except UNREADABLE as error:
        raise _unreadable(str(error)) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place before the beginning of the file
            raise
        raise _unreadable("a member lies nowhere in it") from error
    return len(members) - len(chosen)


def _chosen(
    members: list[zipfile.ZipInfo], wanted: Collection[str], folder: Path
) -> dict[str, zipfile.ZipInfo]:
    if len(members) > MAX_ENTRIES:
        raise _too_large("the zip", f"{len(members)} entries", MAX_ENTRIES)
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
        _require_fit(member, name)
        found[name] = member
    if (size := sum(one.file_size for one in found.values())) > MAX_ALL_BYTES:
        raise _too_large("what the zip has", f"{size} bytes", MAX_ALL_BYTES)
    return found


def _require_fit(member: zipfile.ZipInfo, name: str) -> None:
    kind, place = stat.S_IFMT(member.external_attr >> 16), member.orig_filename.replace("\\", "/")
    unfit = {
        "encrypted": bool(member.flag_bits & ENCRYPTED),
        "no file": kind not in {0, stat.S_IFREG},
        f"packed in an unusual way ({member.compress_type})": member.compress_type not in METHODS,
        f"at {place[:200]!a}": HARMFUL.search(place) is not None,
    }
    if found := [what for what, is_so in unfit.items() if is_so]:
        raise CheckError(
            f"{name} in the zip is {found[0]}, not a regular file in a plain place",
            code="DELIVERY_UNFIT",
            remedy="Only regular files are delivered; mend the build.",
        )
    if member.file_size > MAX_FILE_BYTES:
        raise _too_large(name, f"{member.file_size} bytes", MAX_FILE_BYTES)
    if member.file_size > max(SMALL_BYTES, MAX_RATIO * member.compress_size):
        said = f"{member.file_size} bytes out of {member.compress_size}"
        raise _too_large(name, said, f"{MAX_RATIO} for each")


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Unpack one member, by pieces; `zipfile` checks that it is not longer.

    What ends too early it takes for whole; that is found here. No file of a release is empty.
    """
    crc = size = 0
    with opened.open(member) as source, target.open("xb") as file:
        while piece := source.read(PIECE):
            crc = zlib.crc32(piece, crc)
            size += file.write(piece)
        if not size or (size, crc) != (member.file_size, member.CRC):
            found, listed = f"{size} bytes, CRC {crc:08x}", f"{member.file_size}, {member.CRC:08x}"
            raise _unreadable(f"{target.name} has {found}; listed are {listed}")
        file.flush()
        os.fsync(file.fileno())


def _unreadable(said: str) -> WorldError:
    return WorldError(
        f"what the service gave is no whole zip: {said[:200]}; nothing of it was kept",
        code="SERVICE_UNREADABLE",
        remedy="Run it again; if it stays so, look at the artifact in a browser.",
    )


def _too_large(what: str, found: str, most: int | str) -> WorldError:
    return WorldError(
        f"{what} has {found}, more than {most}; nothing of it was kept",
        code="TOO_LARGE",
        remedy="Look at the artifact in a browser; this is not what a release has.",
    )
