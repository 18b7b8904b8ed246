"""What adapters on folders share: names brought to the disk, failures of a server in our words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relkit.errors import WorldError


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def failing(action: str, server: str) -> Iterator[None]:
    """Raise `WorldError` (``SERVER_FAILED``) where the system refuses something of a server."""
    try:
        yield
    except OSError as error:
        raise WorldError(
            f"cannot {action}: {error.strerror or error}",
            code="SERVER_FAILED",
            remedy=f"Mend the {server} (space, rights), then run the step again.",
        ) from error
