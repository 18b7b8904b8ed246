"""The files that are signed, and the signature files beside them."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from relkit.errors import CheckError, WorldError

MAX_SIGNATURE_BYTES = 1 << 20
MAX_TEXT_BYTES = 16 << 20


class Subject(NamedTuple):
    """A file as it was hashed just now, still open (at its start), with its SHA-256 and size."""

    handle: io.BufferedReader
    sha256: str
    size: int


@contextmanager
def opened(path: Path, sha256: str | None = None) -> Iterator[Subject]:
    """Open a file once and hash it in pieces; refuse it unless it has the digest, if one is given.

    Raises `CheckError`: ``ARTIFACT_MISSING`` (also for what is not a regular file),
    ``DIGEST_CHANGED``.
    """
    with _regular(path) as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
        size = handle.tell()
        if sha256 not in {None, found}:
            raise digest_changed(path.name, found, sha256)
        handle.seek(0)
        yield Subject(handle, found, size)


def text_of(path: Path, sha256: str | None = None) -> str:
    """Return a file's text; refuse it unless its bytes have the digest, if one is given.

    Raises `CheckError`: ``ARTIFACT_MISSING``, ``TOO_LARGE``, ``DIGEST_CHANGED``, ``NOT_TEXT``.
    """
    with _regular(path) as handle:
        data = handle.read(MAX_TEXT_BYTES + 1)
    if len(data) > MAX_TEXT_BYTES:
        raise CheckError(
            f"{path.name} has more than {MAX_TEXT_BYTES} bytes, more than any text of a release",
            code="TOO_LARGE",
            remedy="Only texts of a release are read whole: manifests, statements, SBOMs.",
        )
    found = hashlib.sha256(data).hexdigest()
    if sha256 not in {None, found}:
        raise digest_changed(path.name, found, sha256)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise CheckError(
            f"{path.name} is no text in UTF-8: {error}",
            code="NOT_TEXT",
            remedy="Find out what it is; then have it made anew.",
        ) from error


def _regular(path: Path) -> io.BufferedReader:
    try:
        # No links, and no waiting for the other end of a pipe.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        file = os.fdopen(handle, "rb")
    except OSError as error:
        raise _missing(path.name, error.strerror or "cannot be read") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _missing(path.name, "not a regular file")
    return file


def _missing(name: str, reason: str) -> CheckError:
    return CheckError(
        f"{name} cannot be signed or verified: {reason}",
        code="ARTIFACT_MISSING",
        remedy="Collect the file from its build again.",
    )


def digest_changed(name: str, found: str, expected: str | None) -> CheckError:
    """Return the refusal of a file with other bytes than the release has agreed on."""
    return CheckError(
        f"{name} has the digest {found}, not {expected}",
        code="DIGEST_CHANGED",
        remedy="Find out who changed the file; then collect it from its build again.",
    )


def read_signature(path: Path) -> bytes | None:
    """Return a signature file's bytes; None: no file; empty: something which cannot be one."""
    try:
        with _regular(path) as handle:
            data = handle.read(MAX_SIGNATURE_BYTES + 1)
    except CheckError:
        return b"" if os.path.lexists(path) else None
    return data if len(data) <= MAX_SIGNATURE_BYTES else b""


def write_signature(path: Path, data: bytes, verify: Callable[[bytes], None]) -> None:
    """Write a signature file, read-only, which `verify` accepts as it was written.

    It appears whole or not at all and replaces what was there.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # of a process that was killed
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        verify(temporary.read_bytes())
        temporary.chmod(0o444)
        temporary.replace(path)
    except OSError as error:
        raise WorldError(
            f"{path.name} cannot be written: {error.strerror or error}",
            code="SIGNATURE_NOT_WRITTEN",
            remedy="Make room, or make the folder of the artifacts writable, and run again.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
