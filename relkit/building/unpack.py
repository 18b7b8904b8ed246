"""Unpack a source archive as its users do, but whole: what is cut off somewhere is no archive."""

from __future__ import annotations

import lzma
import sys
import tarfile
from pathlib import Path

from relkit.errors import CheckError

END = bytes(tarfile.BLOCKSIZE)
PIECE = 1 << 16


def unpack(archive: Path, folder: Path, top: str) -> Path:
    """Unpack a ``.tar.xz`` into an empty folder and return its one top folder.

    Raises `CheckError`: ``UNPACK_FAILED`` for an archive that is damaged, ends too early, leads out
    of the folder or has another top; ``PYTHON_TOO_OLD``.
    """
    if not hasattr(tarfile, "data_filter"):
        raise CheckError(
            f"Python {sys.version.split()[0]} unpacks archives without looking at the names in it",
            code="PYTHON_TOO_OLD",
            remedy="Use Python 3.11.4 or newer.",
        )
    try:
        _extract(archive, folder)
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise _failed(archive, str(error)) from error
    found = sorted(path.name for path in folder.iterdir())
    if found != [top] or not (folder / top).is_dir():
        raise _failed(archive, f"it unpacks to {', '.join(found)[:200] or 'nothing'}, not to {top}")
    return folder / top


def _extract(archive: Path, folder: Path) -> None:
    """Unpack the members, of which none may fail, and read on to the end.

    `tarfile` takes an archive that stops between two members for a whole one; the end that GNU tar
    and POSIX ask for, two empty blocks, says that nothing is lacking.
    """
    with lzma.open(archive) as stream:
        with tarfile.open(fileobj=stream, mode="r:", errorlevel=2) as file:
            file.extractall(folder, filter="data")
        rest = stream.read(PIECE)
        ended = rest.startswith(END)
        while rest:
            ended = ended and not rest.strip(b"\0")
            rest = stream.read(PIECE)
    if not ended:
        raise _failed(archive, "it does not end as a tar does: something is cut off or added")


def _failed(archive: Path, reason: str) -> CheckError:
    return CheckError(
        f"{archive.name} cannot be unpacked: {reason}",
        code="UNPACK_FAILED",
        remedy="Do not publish it: find out how it was made, and have it made again.",
    )
