"""The elements of an SPDX 2.3 document as JSON has them, and their text.

Section numbers are those of the specification. Nothing here knows of CPython.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from relkit.errors import CheckError

Element = dict[str, object]
DOCUMENT = "SPDXRef-DOCUMENT"
FILE, PACKAGE = "SPDXRef-FILE-", "SPDXRef-PACKAGE-"
UNKNOWN = "NOASSERTION"
UNFIT = re.compile(r"[^A-Za-z0-9.-]+")
MARKED = re.compile(r"-[0-9a-f]{16}\Z")
encode = json.JSONEncoder(sort_keys=True, allow_nan=False).encode


def ids(prefix: str, names: Iterable[str]) -> dict[str, str]:
    """Return an id for each name, valid (3.2.4) and unlike any other, in whatever order they come.

    Characters that ids cannot have become a hyphen. Names which that makes equal (``a_b`` and
    ``a/b``) get a digest of their own at the end, and so does a name that looks as if it had one.
    (python/release-tools #197: ids that stood twice.)
    """
    plain = {name: UNFIT.sub("-", name) for name in names}
    count = Counter(plain.values())
    return {
        name: prefix + (one if count[one] == 1 and not MARKED.search(one) else _marked(one, name))
        for name, one in plain.items()
    }


def _marked(plain: str, name: str) -> str:
    return f"{plain}-{hashlib.sha256(_utf8(name)).hexdigest()[:16]}"


def _utf8(name: str) -> bytes:
    try:
        return name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CheckError(
            f"the file name {name!r} is not UTF-8, and JSON is",
            code="SBOM_NAME",
            remedy="Rename the file on the branch; an SBOM cannot name it.",
        ) from error


def file(spdx_id: str, path: str, digests: tuple[str, str]) -> Element:
    """Return a file with its SHA-1 and SHA-256 (8)."""
    _utf8(path)
    return {
        "SPDXID": spdx_id,
        "fileName": path,
        "checksums": [*checksum("SHA1", digests[0]), *checksum("SHA256", digests[1])],
    }


def checksum(algorithm: str, value: str) -> list[Element]:
    """Return a list with one digest; an empty list, if there is none."""
    return [{"algorithm": algorithm, "checksumValue": value}] if value else []


def reference(category: str, kind: str, locator: str) -> Element:
    """Return an external reference of a package (7.21)."""
    return {"referenceCategory": category, "referenceType": kind, "referenceLocator": locator}


def cpe(product: str, version: str, update: str = "*") -> Element:
    """Return the name (CPE 2.3) by which lists of vulnerabilities know ``vendor:product``."""
    locator = f"cpe:2.3:a:{product}:{version}:{update}" + 6 * ":*"
    return reference("SECURITY", "cpe23Type", locator)


def creation(created: int, creators: list[str]) -> Element:
    """Return who made the document, and when (6.8, 6.9): seconds since 1970, UTC."""
    return {
        "created": f"{datetime.fromtimestamp(created, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "creators": creators,
    }


def verification_code(digests: Iterable[str]) -> Element:
    """Return the code of a package's files (7.9): a SHA-1 over their sorted SHA-1."""
    code = hashlib.sha1("".join(sorted(digests)).encode(), usedforsecurity=False).hexdigest()
    return {"packageVerificationCodeValue": code}


def relationships(triples: Iterable[tuple[str, str, str]]) -> list[Element]:
    """Return relationships (11) in order; each is given as subject, type and object."""
    names = ("spdxElementId", "relationshipType", "relatedSpdxElement")
    return [dict(zip(names, triple, strict=True)) for triple in sorted(triples)]


def text(document: Mapping[str, object]) -> str:
    """Return the document as JSON, with a line for each package, file and relationship."""
    lines = []
    for key in sorted(document):
        value = document[key]
        if isinstance(value, list):
            items = ",\n".join(map(encode, value))
            lines.append(f"{encode(key)}: [\n{items}\n]")
        else:
            lines.append(f"{encode(key)}: {encode(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
