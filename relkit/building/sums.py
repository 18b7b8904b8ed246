"""``SHA256SUMS``: digests of files as plain tools read them (``sha256sum -c SHA256SUMS``).

One line a file, in order of name: digest, two spaces, name. Names that such a tool would read
otherwise, or look for in another folder, are refused; there is no escaped form.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from relkit.building.job import FILE_NAME
from relkit.building.statement import SHA256, Named
from relkit.errors import CheckError

SUMS = "SHA256SUMS"


def checksums(files: Iterable[Named]) -> str:
    """Return the text of ``SHA256SUMS`` for files beside it.

    Raises `CheckError`: ``BAD_NAME``, ``BAD_DIGEST``, ``NAME_DOUBLED``, ``NO_FILES``.
    """
    lines = sorted((_plain(one), one.sha256) for one in files)
    if not lines:
        raise _refused("there is no file to check", "NO_FILES")
    for (name, _), (other, _) in pairwise(lines):
        if name == other:
            raise _refused(f"{name} is there twice", "NAME_DOUBLED")
    return "".join(f"{sha256}  {name}\n" for name, sha256 in lines)


def _plain(file: Named) -> str:
    if not FILE_NAME.fullmatch(file.name):
        raise _refused(f"{file.name[:80]!r} is no plain file name", "BAD_NAME")
    if not SHA256.fullmatch(file.sha256):
        raise _refused(f"{file.sha256[:80]!r} of {file.name} is no SHA-256", "BAD_DIGEST")
    return file.name


def _refused(what: str, code: str) -> CheckError:
    return CheckError(
        what,
        code=code,
        remedy="Give each file once, by the name the manifest has for it, with its SHA-256.",
    )
