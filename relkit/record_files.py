"""The files of a record's folder: what is there, and how the sealed ones are put there."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from relkit.adapters.disk import sync_folder
from relkit.errors import RecordError
from relkit.lock import on_disk
from relkit.sealing import ATTEMPTS, FOLDERS, SEAL, SUMS, signature_names


def listing(folder: Path) -> list[str]:
    """Return the paths of all files in a record's folder, sorted.

    Raises `RecordError` (``UNLISTED_FILE``) for links, devices, and folders of other names.
    """
    found = []
    for place, folders, names in os.walk(folder):
        here = Path(place)
        for path in (here / name for name in [*folders, *names]):
            mode, name = path.lstat().st_mode, path.relative_to(folder).as_posix()
            if stat.S_ISREG(mode):
                found.append(name)
            elif not stat.S_ISDIR(mode) or name.partition("/")[0] not in {*FOLDERS, ATTEMPTS}:
                raise unlisted([name])
    return sorted(found)


def unlisted(names: Sequence[str]) -> RecordError:
    """Return the refusal of files that are no part of a record."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""  # noqa: PLR2004
    return RecordError(
        f"the record's folder holds what is no part of a record: {', '.join(names[:5])}{more}",
        code="UNLISTED_FILE",
        remedy="Find out who put it there, move it elsewhere, and seal again.",
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: Path) -> bytes | None:
    """Return the bytes of a file; None: there is none."""
    return path.read_bytes() if path.is_file() else None


def write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write what differs, the list of digests last; before that there is none, nor a signature."""
    differ = [path for path in files if read(folder / path) != files[path]]
    if differ:
        with on_disk("the seal"):
            for name in (*signature_names(), SUMS, SEAL):
                (folder / name).unlink(missing_ok=True)
            sync_folder(folder)
        for path in _in_order(differ):
            write(folder / path, files[path])
    with on_disk("the seal"):
        for path in (*files, *signature_names()):
            (folder / f"{path}.new").unlink(missing_ok=True)  # of a process that was killed


def _in_order(differ: Sequence[str]) -> Iterator[str]:
    yield from (path for path in differ if path not in {SEAL, SUMS})
    yield from (SEAL, SUMS)


def write(path: Path, data: bytes) -> None:
    """Put a file in place, whole or not at all."""
    with on_disk(path.name):
        path.parent.mkdir(exist_ok=True)
        fresh = path.with_name(f"{path.name}.new")
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_folder(path.parent)
