"""Build: the source archives compared with the tag, built, tested, and used as a user would."""

from __future__ import annotations

from relkit.building.archive import removals
from relkit.expected import SBOM
from relkit.plan import Check, Evidence, Plan, Result
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.collect import Source, checks_of_source, collect_source
from relkit.steps.delivery import (
    BUILD_MACHINE,
    MACHINES,
    PHASE,
    Facts,
    build_of,
    built,
    facts,
)
from relkit.steps.sboms import fit
from relkit.values import Build

__all__ = [
    "Facts",
    "build_of",
    "built",
    "compare_source",
    "facts",
    "test_source",
    "try_source",
]

ALLOWED = {
    "by_eol": "have the line ends (CRLF) that .gitattributes of the commit asks for",
    "generated": "was made anew from the commit's entries by blurb, and is equal",
}
"""What may differ between an archive and its commit, by the fact that counts it, and why."""


@step(phase=PHASE, where=MACHINES, after=[collect_source], returns=Facts)
def compare_source(release: Release, world: World, results: Results) -> Plan:
    """Compare the archives with the tag.

    Three things are held apart, for none stands for another. *Content*: every member of the
    archives is compared with the git tree of the commit, by blob id; what only the archive has, and
    what it lacks, must be on the list for that. What cannot be explained was reviewed by nobody: it
    must not be published. *Payload*: both archives unpack to the same bytes. *Bitwise*: a second
    build made the same files, which was seen when they were collected. Each SBOM must list exactly
    the files of its archive. Anybody can do the same alone, with `relkit verify source`.
    """
    source = results[collect_source]
    build, _ = checks_of_source(release, world, results, source.files)
    result = yield from built(world, build, BUILD_MACHINE)
    if result is None:
        return
    found = facts(result)
    counts = [f"{found.facts.get(name)} {name}" for name in ("compared", "unexplained")]
    yield Check(
        "content: every file of the archives is explained by the commit",
        found.facts.get("unexplained") == "0" and int(found.facts.get("compared", 0)) > 0,
        found=", ".join([*counts, found.facts.get("differences", "")]).removesuffix(", "),
        code="TREE_MISMATCH",
        remedy="Do not publish: find where the archive and the tag part.",
    )
    packed, unpacked = (x.get("payload_sha256", "") for x in (source.facts, found.facts))
    yield Check(
        "payload: both archives unpack to the tar that was packed",
        packed == unpacked != "",
        found=f"{unpacked or 'nothing'} was unpacked, {packed or 'nothing'} packed",
        code="ARCHIVES_DIFFER",
        remedy="Do not publish: one of the archives was made from something else.",
    )
    yield from fit(source.files, found.facts)
    yield Evidence("How equal the archives are", _levels(release, build, source, found.facts))
    yield Result(found)


def _levels(release: Release, build: Build, source: Source, found: dict[str, str]) -> str:
    """Return the levels of equality, a line each, and every class of difference with its reason."""
    archives = (file for file in source.files if not file.name.endswith(SBOM))
    counts = (
        f"{found[name]} {why}" for name, why in ALLOWED.items() if found.get(name, "0") != "0"
    )
    levels = {
        "content": [
            f"{found.get('compared')} files of the archives, held against commit {build.commit}",
            f"{found.get('unexplained')} are not explained by it",
            f"{found.get('equal')} are equal by blob id",
            *counts,
            *_left_out(release, found.get("left_out", "")),
            f"SHA-256 {found.get('tree_sha256')} of modes, digests and paths",
        ],
        "payload": [
            f"both archives unpack to one tar of {found.get('payload_bytes')} bytes",
            f"SHA-256 {found.get('payload_sha256')}",
        ],
        "bitwise": [
            "a second build, in other surroundings, made the same files",
            *(f"SHA-256 {file.sha256} {file.name}" for file in archives),
            "as far as this run knows, no second party has built them",
        ],
    }
    return "".join(
        f"{'' if number else level:9}{line}\n"
        for level, lines in levels.items()
        for number, line in enumerate(lines)
    )


def _left_out(release: Release, said: str) -> list[str]:
    """Return what archives leave out, with counts as the comparison stated them, and the reasons.

    What is `said` are counts and paths in turn; the reasons are those of the list of the branch.
    """
    words, reasons = said.split(), {one.path: one.reason for one in removals(release.version)}
    counted = zip(words[::2], words[1::2], strict=True)
    return [
        f"{count} of the commit left out, {path}: {reasons.get(path, 'no reason is known')}"
        for count, path in counted
    ]


@step(phase=PHASE, where=MACHINES, after=[collect_source], returns=Facts)
def test_source(release: Release, world: World, results: Results) -> Plan:
    """Build and test from the tarball.

    The collected `.tar.xz` is unpacked elsewhere, configured and built, and with what came out the
    tests are run that the world names. It is the file that people will get, and not the clone, that
    has to work. Each test case that the interpreter lists must have run, or say why it was skipped:
    an empty test run is a failure. The whole test suite is what the buildbots ran.
    """
    _, build = checks_of_source(release, world, results, results[collect_source].files)
    result = yield from built(world, build, BUILD_MACHINE)
    if result is None:
        return
    found = facts(result)
    yield Check(
        f"the interpreter says it is {release.version}",
        found.facts.get("version") == str(release.version),
        found=found.facts.get("version", "nothing"),
        code="VERSION_STAMP",
        remedy="The archive was made from another tree than it should.",
    )
    yield _tests_pass(world, found.facts)
    yield Result(found)


def _tests_pass(world: World, found: dict[str, str]) -> Check:
    run, failed = found.get("tests_run", "0"), found.get("tests_failed", "nobody knows how many")
    skipped, expected = int(found.get("tests_skipped", 0)), int(found.get("tests_expected", 0))
    idle = found.get("files_skipped", "")
    said = [
        f"{run} run, {failed} failed {found.get('failures', '')}".rstrip(),
        f"{skipped} skipped, {expected} expected",
        *([f"nothing ran of {idle}"] if idle else []),
    ]
    return Check(
        f"the tests pass: {' '.join(world.tests)}",
        int(run) > 0 and failed == "0" and 0 < expected <= int(run) + skipped,
        found="; ".join(said),
        code="TESTS_FAILED",
        remedy="Read the log of the build; a failure here is a failure of the release.",
    )


@step(phase=PHASE, where=MACHINES, after=[test_source], returns=Facts)
def try_source(release: Release, world: World, results: Results) -> Plan:
    """Try it as a user would.

    The build is installed; from the installation a virtual environment is made, pip is asked for
    its version, and a C extension is built, imported and called. A file that was forgotten in `make
    install` is found here and not by those who install the release.
    """
    _, build = checks_of_source(release, world, results, results[collect_source].files)
    result = yield from built(world, build, BUILD_MACHINE)
    if result is None:
        return
    found = facts(result)
    for name, what in (
        ("venv", "a virtual environment can be made"),
        ("pip", "pip runs in it"),
        ("extension", "a C extension can be built, imported and called"),
    ):
        yield Check(
            what,
            bool(found.facts.get(name)),
            found=found.facts.get(name, ""),
            code="TRY_FAILED",
            remedy="Read the log of the build test.",
        )
    yield Result(found)
