"""Read the folder of a record that nobody vouches for: bounded, and nothing but plain files.

Links are not followed, devices and pipes not opened, other names than those of a record refused
before anything is read. What lies beside a sealed record on the machine it was made on (raw
attempts, the lock, the status page) is named and not opened.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relkit.errors import UsageError
from relkit.verify_record.verdict import unsafe

MEGABYTE = 1 << 20
CAPS = {
    "ledger.jsonl": 32 * MEGABYTE,
    "ledger.head": 128,
    "policy.json": MEGABYTE,
    "manifest.json": MEGABYTE,
    "manifest-2.json": MEGABYTE,
    "release.ipynb": 16 * MEGABYTE,
    "release.html": 16 * MEGABYTE,
    "seal.json": MEGABYTE,
    "VERIFY.md": MEGABYTE,
    "SHA256SUMS": MEGABYTE,
    "SHA256SUMS.sigstore": MEGABYTE,
    "SHA256SUMS.asc": 64 * 1024,
    "trust/trusted_root.json": MEGABYTE,
    "trust/allowed_signers": MEGABYTE,
    "trust/gpg-keys.asc": MEGABYTE,
}
"""The files of a record at its top, and how many bytes each may have."""
NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,150}"
FOLDERS = {
    "decisions": r"[0-9]{4,9}-(?:decided|waived|handed-over)-[a-z0-9-]{1,60}"
    r"\.json(?:\.sig|\.asc|\.sigstore)?",
    "signatures": NAME + r"\.(?:asc|sigstore)",
    "provenance": rf"provenance-{NAME}",
    "trust": NAME,
}
SMALL = 256 * 1024  # bytes of a file in a folder
ALL = 64 * MEGABYTE
MANY = 4_000  # files
OUTSIDE = re.compile(r"lock|status\.html|\.status\.html\.new|attempts|ledger\.torn-[0-9a-f]{1,64}")
"""What is no part of the sealed set and may lie beside it."""


@dataclass(frozen=True)
class Pack:
    """The files of a record by their paths in it; `beside` are names that were not opened."""

    files: Mapping[str, bytes] = field(repr=False)
    beside: tuple[str, ...] = ()


def cap(path: str) -> int:
    """Return how many bytes a file of a record may have; 0 for what is none of its names."""
    if path in CAPS:
        return CAPS[path]
    folder, _, name = path.rpartition("/")
    pattern = FOLDERS.get(folder)
    return SMALL if pattern and folder != "trust" and re.fullmatch(pattern, name) else 0


def read_record(folder: Path) -> Pack:
    """Return the files of a record; writes nothing.

    Raises `UsageError` (``NO_RECORD``) if there is no such folder, `RecordError`: ``RECORD_LINK``,
    ``RECORD_DEVICE``, ``RECORD_NAME``, ``RECORD_TOO_LARGE``, ``RECORD_UNREADABLE``.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise UsageError(
            f"{folder.name} is no folder of a record",
            code="NO_RECORD",
            remedy="Give the folder with SHA256SUMS in it.",
        )
    try:
        return _read(folder)
    except OSError as error:
        raise unsafe("RECORD_UNREADABLE", f"{error.filename}: {error.strerror}") from error


def _read(folder: Path) -> Pack:
    files: dict[str, bytes] = {}
    beside: list[str] = []
    left = ALL
    for path, entry in _entries(folder):
        if OUTSIDE.fullmatch(path):
            beside.append(path)
            continue
        allowed = cap(path)
        if not allowed:
            raise unsafe("RECORD_NAME", f"{path!r} is no name of a record's file")
        if len(files) == MANY:
            raise unsafe("RECORD_TOO_LARGE", f"there are more than {MANY} files")
        files[path] = _bytes(entry, path, min(allowed, left))
        left -= len(files[path])
    return Pack(files, tuple(sorted(beside)))


def _entries(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield what lies in a record by its path in it; only the folders of a record are opened."""
    with os.scandir(folder) as found:
        for number, entry in enumerate(found):
            if number > MANY:
                raise unsafe("RECORD_TOO_LARGE", f"there are more than {MANY} files")
            if _is_folder(entry) and entry.name in FOLDERS:
                yield from _inside(entry)
            else:
                yield entry.name, Path(entry.path)


def _inside(above: os.DirEntry[str]) -> Iterator[tuple[str, Path]]:
    with os.scandir(above.path) as found:
        for number, entry in enumerate(found):
            path = f"{above.name}/{entry.name}"
            if number > MANY:
                raise unsafe("RECORD_TOO_LARGE", f"there are more than {MANY} files")
            if _is_folder(entry):
                raise unsafe("RECORD_NAME", f"{path!r} is a folder")
            yield path, Path(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell folders from files; refuse what is neither."""
    if entry.is_symlink():
        raise unsafe("RECORD_LINK", f"{entry.name!r} is a link")
    mode = entry.stat(follow_symlinks=False).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise unsafe("RECORD_DEVICE", f"{entry.name!r} is neither a file nor a folder")
    return stat.S_ISDIR(mode)


def _bytes(path: Path, name: str, allowed: int) -> bytes:
    """Return a file's bytes, if it is a file and has no more than allowed."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise unsafe("RECORD_DEVICE", f"{name!r} is no file")
        data = b"" if found.st_size > allowed else file.read(allowed + 1)
    if found.st_size > allowed or len(data) > allowed:
        raise unsafe(
            "RECORD_TOO_LARGE", f"{name!r} has {found.st_size} bytes; {allowed} are allowed"
        )
    return data
