"""What steps look at in SBOMs: that each is valid, of exactly its file, and what it lacks."""

from __future__ import annotations

from collections.abc import Mapping

from relkit.building.sbom_check import check_sbom
from relkit.errors import CheckError
from relkit.expected import SBOM
from relkit.plan import Check, Plan
from relkit.ports import World
from relkit.values import Artifact, Build, BuildResult

LACKS = "sbom_lacks"
"""The fact of a build that names what its SBOMs lack, a line each."""


def described(world: World, build: Build, files: tuple[Artifact, ...]) -> Plan:
    """Yield the checks that each SBOM a build delivers is valid, and of the file it lies beside.

    The SBOM is read here, by its digest, and compared with the digest of the file as it was
    computed here; what the build says of it is not asked. (T24)
    """
    named = {file.name: file for file in files}
    for file in files:
        if (sbom := named.get(f"{file.name}{SBOM}")) is not None:
            yield _describes(world, build, sbom, file)


def _describes(world: World, build: Build, sbom: Artifact, file: Artifact) -> Check:
    found, code = file.sha256, ""
    try:
        text = world.builders.read(name=build.name, nonce=build.nonce, file=sbom)
        check_sbom(text or "", name=file.name, sha256=file.sha256, contents=None)
    except CheckError as error:
        found, code = str(error), error.code
    return Check(
        f"{sbom.name} is a valid SBOM and names {file.name} by its SHA-256",
        not code,
        found=found,
        code=code or "SBOM_SUBJECT",
        remedy="Have the SBOM made anew, of exactly this file; it is never corrected by hand.",
    )


def lacking(result: BuildResult) -> Plan:
    """Yield the warning that names what the SBOMs of a build lack: it stops nothing."""
    lacks = result.facts.get(LACKS, ())
    if any(file.name.endswith(SBOM) for file in result.files):
        yield Check(
            "the SBOMs say of each bundled package where it comes from",
            not lacks,
            found="; ".join(lacks) if isinstance(lacks, tuple) else str(lacks),
            remedy="Name a package index in the world's file, or let them go out as they are.",
            warns=True,
        )


def fit(files: tuple[Artifact, ...], found: Mapping[str, str]) -> Plan:
    """Yield the check that the SBOMs among files were held against their archives, each one.

    `found` are the facts of the comparison, which read every file of the archives.
    """
    if count := sum(file.name.endswith(SBOM) for file in files):
        said = found.get("sboms", "none was compared")
        yield Check(
            "each SBOM lists exactly the files of its archive, by digest",
            said == f"{count} equal",
            found=said,
            code="SBOM_FILES",
            remedy="Do not publish: have archives and SBOMs built anew from the commit.",
        )
