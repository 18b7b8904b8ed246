"""Build: the source archives compared with the tag, built, tested, and used as a user would."""

from __future__ import annotations

from relkit.plan import Check, Plan, Result
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.collect import checks_of_source, collect_source
from relkit.steps.delivery import (
    BUILD_MACHINE,
    MACHINES,
    PHASE,
    Facts,
    build_of,
    built,
    facts,
)

__all__ = [
    "Facts",
    "build_of",
    "built",
    "compare_source",
    "facts",
    "test_source",
    "try_source",
]


@step(phase=PHASE, where=MACHINES, after=[collect_source], returns=Facts)
def compare_source(release: Release, world: World, results: Results) -> Plan:
    """Compare the archives with the tag.

    Every member of the archives is compared with the git tree of the commit, by blob id. What only
    the archive has, and what it lacks, must be on the list for that; the two archives must hold the
    same bytes; nothing stray may be in them. What cannot be explained was reviewed by nobody: it
    must not be published.
    """
    build, _ = checks_of_source(release, world, results, results[collect_source].files)
    result = yield from built(world, build, BUILD_MACHINE)
    if result is None:
        return
    found = facts(result)
    yield Check(
        "every file of the archives is explained by the commit",
        found.facts.get("unexplained") == "0" and int(found.facts.get("compared", 0)) > 0,
        found="; ".join(f"{name} {value}" for name, value in found.facts.items()),
        code="TREE_MISMATCH",
        remedy="Do not publish: find where the archive and the tag part.",
    )
    yield Result(found)


@step(phase=PHASE, where=MACHINES, after=[collect_source], returns=Facts)
def test_source(release: Release, world: World, results: Results) -> Plan:
    """Build and test from the tarball.

    The collected `.tar.xz` is unpacked elsewhere, configured and built, and with what came out the
    tests are run that the world names. It is the file that people will get, and not the clone, that
    has to work. An empty test run is a failure; the whole test suite is what the buildbots ran.
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
    return Check(
        f"the tests pass: {' '.join(world.tests)}",
        int(run) > 0 and failed == "0",
        found=f"{run} run, {failed} failed {found.get('failures', '')}".rstrip(),
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
