"""The packages of ensurepip's wheels, and where a package index says they come from.

The tree has pip as a wheel, and in it, in ``pip/_vendor/vendor.txt``, names and versions of what
pip brings along. What neither says is where each was published: that is an origin.
"""

from __future__ import annotations

import hashlib
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from types import MappingProxyType

from relkit.building.contents import Contents
from relkit.errors import CheckError

MAX_VENDOR_BYTES = 64 << 10
WHEEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9._]*)-([0-9][A-Za-z0-9.!+]*)-[^-/]+-[^-/]+-[^-/]+\.whl")
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([0-9][A-Za-z0-9.!+]*)")
SEPARATORS = re.compile(r"[-_.]+")
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(NotImplementedError, RuntimeError, OSError, EOFError, ValueError, LookupError),
)
"""What `zipfile` raises for archives that are none, or are of a kind it does not know."""


@dataclass(frozen=True, order=True)
class Bundled:
    """A package of an index: a wheel of the tree, or (`within` that wheel's package) vendored.

    `name` is in the normal form of PEP 503; `file` and `sha256` are of the wheel in the tree, and
    empty for what is vendored.
    """

    name: str
    version: str
    within: str = ""
    file: str = ""
    sha256: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Origin:
    """Where a package was published, and the SHA-256 of the file there, as the index states it."""

    url: str
    sha256: str


Origins = Mapping[Bundled, Origin]
NO_ORIGINS: Origins = MappingProxyType({})
"""What is known without asking an index."""


def bundled(contents: Contents) -> tuple[Bundled, ...]:
    """Return the packages of the tree's wheels, each before what it vendors, in order of name.

    Raises `CheckError` (``SBOM_WHEEL``) for a wheel, or a list in it, that cannot be read.
    """
    return tuple(
        package
        for path in contents.wheels
        for package in _packages(path.rpartition("/")[2], contents.kept[path])
    )


def _packages(file: str, data: bytes) -> Iterator[Bundled]:
    match = WHEEL.fullmatch(file)
    if match is None:
        raise _unreadable(file, "its name is not that of a wheel")
    name, version = normal(match[1]), match[2]
    yield Bundled(name, version, file=file, sha256=hashlib.sha256(data).hexdigest())
    yield from sorted(_vendored(file, name, data))


def _vendored(file: str, name: str, data: bytes) -> Iterator[Bundled]:
    """Yield what ``vendor.txt`` pins, one ``name==version`` a line."""
    seen: set[str] = set()
    for line in _vendor_list(file, name, data).splitlines():
        pin = line.partition("#")[0].strip()
        if not pin:
            continue
        match = PIN.fullmatch(pin)
        if match is None or normal(match[1]) in seen:
            raise _unreadable(file, f"it vendors {pin[:60]!r}, which is no pin, or a second one")
        seen.add(normal(match[1]))
        yield Bundled(normal(match[1]), match[2], within=name)


def _vendor_list(file: str, name: str, data: bytes) -> str:
    try:
        with zipfile.ZipFile(BytesIO(data)) as wheel:
            path = f"{name}/_vendor/vendor.txt"
            if path not in wheel.namelist():
                return ""
            with wheel.open(path) as member:
                text = member.read(MAX_VENDOR_BYTES + 1)
            if len(text) > MAX_VENDOR_BYTES:
                raise _unreadable(file, f"its vendor.txt has more than {MAX_VENDOR_BYTES} bytes")
            return text.decode("utf-8")
    except DAMAGED as error:
        raise _unreadable(file, str(error)) from error


def normal(name: str) -> str:
    """Return a package's name in the normal form of PEP 503."""
    return SEPARATORS.sub("-", name).lower()


def _unreadable(file: str, why: str) -> CheckError:
    return CheckError(
        f"the bundled wheel {file} cannot be read: {why}",
        code="SBOM_WHEEL",
        remedy="Look at Lib/ensurepip/_bundled in the tagged tree; mend the branch, not the SBOM.",
    )
