"""SBOMs of the sample tree, for tests of what writes, reads and checks them."""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from sources import write
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from relkit import cli_sbom
from relkit.building.archive import Form, Member, payload, tar_key
from relkit.building.contents import TREE_SBOM, WHEELS, Contents
from relkit.building.origins import NO_ORIGINS, Origins
from relkit.building.sbom import Sbom, sbom_name, source_sbom
from relkit.building.sbom_check import check_sbom
from relkit.rehearsal.bundled import WHEEL
from relkit.rehearsal.tree import files, history
from relkit.release import Version

VERSION = Version.parse("3.15.0a2")
NAME = f"Python-{VERSION}.tgz"
SHA256 = "5e" * 32
CREATED = 1790000000
TREE = files(history(Version.parse("3.15.0a3"))[0].stand)

Document = dict[str, Any]
Change = Callable[[Document], object]


def contents(tree: Mapping[str, bytes] = TREE) -> Contents:
    found = Contents()
    for path, data in tree.items():
        found.take(path, data)
    return found


def sbom(given: Contents | None = None, origins: Origins = NO_ORIGINS) -> Sbom:
    return source_sbom(
        contents() if given is None else given,
        name=NAME,
        sha256=SHA256,
        version=VERSION,
        created=CREATED,
        origins=origins,
    )


def document(given: Contents | None = None, origins: Origins = NO_ORIGINS) -> Document:
    found: Document = json.loads(sbom(given, origins).text)
    return found


def check(text: str, given: Contents | None = None) -> None:
    check_sbom(text, name=NAME, sha256=SHA256, contents=contents() if given is None else given)


def messages(text: str, folder: Path) -> list[str]:
    """Return what the SPDX project's own tool finds wrong."""
    path = folder / sbom_name(NAME)
    path.write_text(text, encoding="utf-8")
    found = validate_full_spdx_document(parse_file(str(path)))
    return [one.validation_message for one in found]


def with_wheel(name: str, vendor: str, path: str = "pip/_vendor/vendor.txt") -> dict[str, bytes]:
    """Return the tree with another wheel in the place of its own."""
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(path, vendor)
    tree = {path: data for path, data in TREE.items() if path != WHEEL}
    return {**tree, WHEELS + name: target.getvalue()}


def with_tree_sbom(change: Change) -> dict[str, bytes]:
    told = json.loads(TREE[TREE_SBOM])
    change(told)
    return {**TREE, TREE_SBOM: json.dumps(told).encode()}


def package(told: Document, name: str) -> dict[str, Any]:
    [found] = [one for one in told["packages"] if one["name"] == name]
    return dict(found)


def related(told: Document, kind: str) -> set[tuple[str, str]]:
    return {
        (one["spdxElementId"], one["relatedSpdxElement"])
        for one in told["relationships"]
        if one["relationshipType"] == kind
    }


def broken(key: str, value: object) -> Change:
    return lambda told: told.update({key: value})


def contains(subject: str, file: str, kind: str = "CONTAINS") -> Change:
    triple = {
        "spdxElementId": subject,
        "relatedSpdxElement": file,
        "relationshipType": kind,
    }
    return lambda told: told["relationships"].append(triple)


def archive(folder: Path, tree: Mapping[str, bytes] = TREE) -> Path:
    members = [Member(path, data) for path, data in tree.items()]
    members += [Member("Lib/link.py", b"abacus.py", link=True)]
    ordered = sorted(members, key=lambda member: tar_key(member.path))
    tgz, _ = write(folder, payload(ordered, Form(f"Python-{VERSION}", CREATED)))
    return tgz


def run(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    cli_sbom.declare(parser.add_subparsers(required=True))
    options = parser.parse_args(["sbom", *map(str, arguments)])
    status: int = options.command(options)
    return status
