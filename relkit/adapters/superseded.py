"""What a respin takes back on this machine is put aside, never deleted."""

from __future__ import annotations

import os
from pathlib import Path

from relkit.adapters.disk import sync_folder
from relkit.errors import WorldError

FOLDER = "superseded"


def put_aside(path: Path) -> None:
    """Rename a file or folder to ``superseded/<name>.<n>`` beside it; none is fine.

    Whatever is there is moved as it is: a link is not followed. The caller is the only writer.
    """
    if not os.path.lexists(path):
        return
    folder = path.parent / FOLDER
    try:
        folder.mkdir(exist_ok=True)
        path.rename(_free(folder, path.name))
        for changed in (folder, path.parent):
            sync_folder(changed)
    except OSError as error:
        raise WorldError(
            f"{path.name} cannot be put aside: {error.strerror or error}",
            code="NOT_PUT_ASIDE",
            remedy="Make its folder writable, then run this again.",
        ) from error


def _free(folder: Path, name: str) -> Path:
    number = 1
    while os.path.lexists(found := folder / f"{name}.{number}"):
        number += 1
    return found
