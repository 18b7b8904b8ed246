"""An archive of HTML docs, checked and packed once more as plain files with plain modes."""

from __future__ import annotations

import hashlib
import stat
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from relkit.adapters.docs import copy_checked
from relkit.adapters.docs_archive import Member, copied, opened_archive
from relkit.adapters.docs_shared import FILE_MODE, FOLDER_MODE

PIECE = 1 << 20

Content = dict[tuple[str, ...], tuple[int, str]]
"""Mode and digest (of a folder: none) by the parts of path."""


def repacked(folder: Path, archive: Path, sha256: str) -> Content:
    """Pack an archive's files as ``packed.tar`` of a folder; return what they are.

    Raises `CheckError` as `relkit.adapters.docs_archive.opened_archive` does.
    """
    copy_checked(archive, folder / "archive", sha256)
    content: Content = {}
    with (
        opened_archive(folder / "archive", archive.name) as members,
        tarfile.open(folder / "packed.tar", "w", format=tarfile.PAX_FORMAT) as packed,
    ):
        for member in members:
            _add(packed, member, archive.name, content)
    return content


def _add(packed: tarfile.TarFile, member: Member, archive: str, content: Content) -> None:
    """Add a file or folder, with the folders above it, all with plain modes."""
    above = member.parts[: -1 if member.open else None]
    for end in range(1, len(above) + 1):
        if above[:end] not in content:
            content[above[:end]] = stat.S_IFDIR | FOLDER_MODE, ""
            info = tarfile.TarInfo("/".join(above[:end]))
            info.type, info.mode = tarfile.DIRTYPE, FOLDER_MODE
            packed.addfile(info)
    if member.open:
        with tempfile.SpooledTemporaryFile(max_size=8 * PIECE) as file:
            copied(member, file, archive)
            file.seek(0)
            info = tarfile.TarInfo("/".join(member.parts))
            info.size, info.mode = member.size, FILE_MODE
            content[member.parts] = stat.S_IFREG | FILE_MODE, _hashed(file)
            packed.addfile(info, file)


def _hashed(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()
