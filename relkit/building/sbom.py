"""The SBOM of a source archive: SPDX 2.3 as JSON.

It says that the archive is CPython, that CPython depends on the packages of the tree's own
``Misc/sbom.spdx.json``, on pip and on what pip brings along, and which file belongs to which of
them. Same input, same bytes: everything is sorted, the time is the commit's, and ids follow from
names alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed
from urllib.parse import quote

from relkit.building import spdx
from relkit.building.contents import Contents
from relkit.building.origins import Bundled, Origin, Origins, bundled
from relkit.building.sbom_tree import Tree, read_tree, unreadable
from relkit.building.spdx import Element
from relkit.release import Version

CPYTHON = "cpython"
PSF = "Organization: Python Software Foundation"
MANAGERS = "Person: Python Release Managers"
MAKERS = {"pip": "Organization: Python Packaging Authority"}
FTP = "https://www.python.org/ftp/python"
STAGES = {"a": "alpha", "b": "beta", "rc": "rc"}


@dataclass(frozen=True)
class Sbom:
    """An SBOM's text, and what it lacks: a line for each thing no look-up could say."""

    text: str
    lacks: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """A package: what is said of it, the paths of its files if it has any, and who needs it."""

    fields: Element
    files: Sequence[str] = ()
    needed_by: str = CPYTHON


def sbom_name(name: str) -> str:
    """Return the file name of an artifact's SBOM."""
    return f"{name}.spdx.json"


def source_sbom(
    contents: Contents, *, name: str, sha256: str, version: Version, created: int, origins: Origins
) -> Sbom:
    """Return the SBOM of a source archive; `created` is the commit's time, since 1970.

    Raises `CheckError`: ``SBOM_TREE`` if the tree's SBOM is missing or cannot be read,
    ``SBOM_MISMATCH`` if the archive has other files than that SBOM names, ``SBOM_WHEEL`` and
    ``SBOM_NAME`` for wheels and file names that cannot be read.
    """
    extra = bundled(contents)
    tree = read_tree(contents, without={one.name for one in extra if one.file})
    parts = _parts(contents, tree, extra, origins)
    taken = {path for part in parts.values() for path in part.files}
    own = [path for path in contents.digests if path not in taken]
    subject = _Part(_subject(name, sha256, version), own, needed_by="")
    document = {
        "SPDXID": spdx.DOCUMENT,
        "spdxVersion": "SPDX-2.3",
        "name": "CPython SBOM",
        "dataLicense": "CC0-1.0",
        "documentNamespace": f"{FTP}/{version.base}/{sbom_name(name)}",
        "creationInfo": spdx.creation(created, [MANAGERS, f"Tool: relkit-{installed('relkit')}"]),
        **_elements(contents, {**parts, CPYTHON: subject}, tree),
    }
    return Sbom(spdx.text(document), _lacks(extra, origins))


def _parts(
    contents: Contents, tree: Tree, extra: Iterable[Bundled], origins: Origins
) -> dict[str, _Part]:
    """Return all packages but CPython, by the names that their ids are made of."""
    if CPYTHON in tree.packages:
        raise unreadable(f"it names a package {CPYTHON}, which is the archive itself")
    parts = {
        name: _Part(fields, sorted(tree.files.get(name, ())))
        for name, fields in tree.packages.items()
    }
    for one in extra:
        # A tree may have a package of the same name, in another version, as pip has.
        key = f"{one.name} in {one.within}" if one.name in tree.packages else one.name
        wheels = [path for path in contents.wheels if path.rpartition("/")[2] == one.file]
        fields = _bundled_fields(one, origins.get(one))
        parts[key] = _Part(fields, wheels, needed_by=one.within or CPYTHON)
    return parts


def _bundled_fields(package: Bundled, origin: Origin | None) -> Element:
    purl = f"pkg:pypi/{package.name}@{quote(package.version, safe='')}"
    refs = [spdx.reference("PACKAGE_MANAGER", "purl", purl)]
    fields: Element = {
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": origin.url if origin else spdx.UNKNOWN,
        "licenseConcluded": spdx.UNKNOWN,
        "externalRefs": refs,
        "primaryPackagePurpose": "SOURCE",
    }
    if digest := package.sha256 or (origin.sha256 if origin else ""):
        fields["checksums"] = spdx.checksum("SHA256", digest)
    if package.file:
        fields["packageFileName"] = package.file
    if package.name in MAKERS:
        fields["originator"] = MAKERS[package.name]
        refs.append(spdx.cpe(f"pypa:{package.name}", package.version))
    return fields


def _subject(name: str, sha256: str, version: Version) -> Element:
    # The dictionary of CPEs has the stage of a pre-release in the field after the version.
    stage = f"{STAGES[version.level]}{version.serial}" if version.suffix else "*"
    return {
        "name": "CPython",
        "versionInfo": str(version),
        "packageFileName": name,
        "downloadLocation": f"{FTP}/{version.base}/{name}",
        "checksums": spdx.checksum("SHA256", sha256),
        "licenseConcluded": "PSF-2.0",
        "originator": PSF,
        "externalRefs": [spdx.cpe("python:python", version.base, stage)],
        "primaryPackagePurpose": "SOURCE",
    }


def _elements(contents: Contents, parts: Mapping[str, _Part], tree: Tree) -> Element:
    packages, files = spdx.ids(spdx.PACKAGE, parts), spdx.ids(spdx.FILE, contents.digests)
    needs = {(part.needed_by, name) for name, part in parts.items() if part.needed_by}
    triples = {(spdx.DOCUMENT, "DESCRIBES", packages[CPYTHON])}
    triples |= {
        (packages[one], "DEPENDS_ON", packages[other]) for one, other in needs | {*tree.depends}
    }
    for name, part in parts.items():
        triples |= {(packages[name], "CONTAINS", files[path]) for path in part.files}
    return {
        "packages": [_package(packages[name], parts[name], contents) for name in sorted(parts)],
        "files": [
            spdx.file(files[path], path, digests)
            for path, digests in sorted(contents.digests.items())
        ],
        "relationships": spdx.relationships(triples),
    }


def _package(spdx_id: str, part: _Part, contents: Contents) -> Element:
    fields = {**part.fields, "SPDXID": spdx_id, "supplier": PSF, "filesAnalyzed": bool(part.files)}
    if part.files:
        digests = (contents.digests[path][0] for path in part.files)
        fields["packageVerificationCode"] = spdx.verification_code(digests)
    return fields


def _lacks(extra: Iterable[Bundled], origins: Origins) -> tuple[str, ...]:
    return tuple(
        f"{package}: no download location{'' if package.file else ' and no digest'}"
        for package in extra
        if package not in origins
    )
