"""What the sample tree brings along of others, and says so in an SBOM of its own, as CPython does.

Everything here is ours and stands in for something: a "vendored" library of two files, and a
wheel named pip that installs nothing.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from io import BytesIO

SINCE = 12
"""The first minor version whose tree has an SBOM. (Earlier ones bundle wheels as well.)"""
SBOM = "Misc/sbom.spdx.json"
LIBRARY = "Modules/beads/"
PIP_VERSION = "0.0"
WHEEL = f"Lib/ensurepip/_bundled/pip-{PIP_VERSION}-py3-none-any.whl"
SUMMARY = "A stand-in for pip in relkit's sample tree; it installs nothing"
INFO = f"pip-{PIP_VERSION}.dist-info"
MEMBERS = {
    "pip/__init__.py": f'"""{SUMMARY}."""\n',
    "pip/_vendor/__init__.py": "",
    "pip/_vendor/vendor.txt": "abacus-wires==2.1\ncountable==0.4.1  # and none of them is there\n",
    f"{INFO}/METADATA": f"Metadata-Version: 2.1\nName: pip\nVersion: {PIP_VERSION}\n"
    f"Summary: {SUMMARY}\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: relkit\nRoot-Is-Purelib: true\n"
    "Tag: py3-none-any\n",
    f"{INFO}/RECORD": "",
}


def bundled(tree: Mapping[str, bytes], minor: int) -> dict[str, bytes]:
    """Return the wheel and the SBOM of a tree that has the library."""
    if minor < SINCE:
        return {}
    return {WHEEL: wheel(), SBOM: _sbom(tree).encode("ascii")}


def wheel() -> bytes:
    """Return the wheel: the same bytes wherever it is made, so nothing in it is compressed."""
    target = BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, text in MEMBERS.items():
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o100644 << 16
            archive.writestr(member, text)
    return target.getvalue()


def _sbom(tree: Mapping[str, bytes]) -> str:
    """Return an SBOM in the form of CPython's ``Misc/sbom.spdx.json``."""
    paths = sorted(path for path in tree if path.startswith(LIBRARY))
    package = "SPDXRef-PACKAGE-beads"
    document = {
        "SPDXID": "SPDXRef-DOCUMENT",
        "spdxVersion": "SPDX-2.3",
        "files": [_file(path, tree[path]) for path in paths],
        "packages": [
            {
                "SPDXID": package,
                "name": "beads",
                "versionInfo": "1.0",
                "downloadLocation": "NOASSERTION",
                "licenseConcluded": "NOASSERTION",
                "originator": "Organization: The relkit authors",
                "primaryPackagePurpose": "SOURCE",
            }
        ],
        "relationships": [
            {
                "spdxElementId": package,
                "relatedSpdxElement": _id(path),
                "relationshipType": "CONTAINS",
            }
            for path in paths
        ],
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _file(path: str, data: bytes) -> dict[str, object]:
    sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    checksums = {"SHA1": sha1, "SHA256": hashlib.sha256(data).hexdigest()}
    return {
        "SPDXID": _id(path),
        "fileName": path,
        "checksums": [
            {"algorithm": name, "checksumValue": value} for name, value in checksums.items()
        ],
    }


def _id(path: str) -> str:
    return "SPDXRef-FILE-" + path.replace("/", "-")
