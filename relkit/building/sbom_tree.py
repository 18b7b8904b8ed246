"""Read the SBOM that a tree of CPython brings: ``Misc/sbom.spdx.json``, part of a document.

It has packages, their files with digests, and which package contains which file; CPython's own
tools keep it. The first trees that had one (3.12.2, 3.13.0a3) named pip in it as well.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from relkit.building.contents import TREE_SBOM, Contents
from relkit.building.origins import normal
from relkit.building.spdx import Element
from relkit.errors import CheckError

STATED = {"SHA1": 0, "SHA256": 1}
"""Where `Contents` has the digest of an algorithm."""


@dataclass(frozen=True)
class Tree:
    """The packages of a tree by name, the paths of each one's files, and who needs whom."""

    packages: Mapping[str, Element]
    files: Mapping[str, Collection[str]]
    depends: Collection[tuple[str, str]]


def read_tree(contents: Contents, without: Collection[str] = ()) -> Tree:
    """Read the tree's SBOM, and hold its files against the archive's.

    Packages of the names `without`, and what they need, are left out; their files are not taken
    for theirs then. Raises `CheckError` (``SBOM_TREE``, ``SBOM_MISMATCH``).
    """
    try:
        document = json.loads(contents.kept[TREE_SBOM])
        paths = {one["SPDXID"]: _checked(one, contents) for one in document["files"]}
        packages = {one["SPDXID"]: dict(one) for one in document["packages"]}
        tree = _tree(packages, paths, document["relationships"], without)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise unreadable(f"{type(error).__name__}: {error}") from error
    if len(paths) != len(document["files"]) or len(packages) != len(document["packages"]):
        raise unreadable("two of its elements have one id")
    return tree


def _tree(
    packages: dict[str, Element],
    paths: Mapping[str, str],
    relationships: list[dict[str, Any]],
    without: Collection[str],
) -> Tree:
    triples = [
        (one["spdxElementId"], one["relationshipType"], one["relatedSpdxElement"])
        for one in relationships
    ]
    gone = {key for key, one in packages.items() if normal(str(one["name"])) in without}
    gone |= {other for one, kind, other in triples if kind == "DEPENDS_ON" and one in gone}
    names = {key: str(one["name"]) for key, one in packages.items() if key not in gone}
    if len(set(names.values())) != len(names):
        raise ValueError("two of its packages have one name")
    files: dict[str, set[str]] = {}
    depends = set()
    for one, kind, other in triples:
        if one in gone:
            continue
        if kind == "CONTAINS":
            files.setdefault(names[one], set()).add(paths[other])
        elif kind == "DEPENDS_ON":
            depends.add((names[one], names[other]))
        else:
            raise ValueError(f"{one} {kind} {other} is nothing this SBOM can say")
    return Tree({names[key]: packages[key] for key in names}, files, depends)


def _checked(file: dict[str, Any], contents: Contents) -> str:
    """Return the path of a file, if the archive has that file with the digests stated."""
    path = str(file["fileName"])
    stated = {one["algorithm"]: str(one["checksumValue"]).lower() for one in file["checksums"]}
    if path not in contents.digests:
        raise _mismatch(path, f"the archive does not have it; stated is {stated['SHA256']}")
    for algorithm in sorted(STATED.keys() & {*stated, "SHA256"}):
        found = contents.digests[path][STATED[algorithm]]
        if stated[algorithm] != found:
            raise _mismatch(path, f"{algorithm} is {found}, stated is {stated[algorithm]}")
    return path


def _mismatch(path: str, what: str) -> CheckError:
    return CheckError(
        f"{path}, which {TREE_SBOM} names: {what}",
        code="SBOM_MISMATCH",
        remedy="Bring file and Misc/sbom.spdx.json together on the branch (make regen-sbom).",
    )


def unreadable(why: str) -> CheckError:
    """Return the refusal of a tree's SBOM that is missing or not what it should be."""
    return CheckError(
        f"{TREE_SBOM} of the archive is missing or cannot be read: {why}",
        code="SBOM_TREE",
        remedy="Mend it on the branch (make regen-sbom), then tag and build anew.",
    )
