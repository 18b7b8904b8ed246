"""Build: several machines at once, everything collected by digest and tried as a user would."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from functools import partial

from relkit.manifest import expected_of
from relkit.plan import Action, Check, Expect, Item, Plan, Result, Wait
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.prepare import message
from relkit.steps.source import commit_release, push_to_fork, tag_release
from relkit.texts import notice
from relkit.values import Artifact, Build, BuildResult, Value

PHASE = "Build"
HOURS = {"source": 1, "rebuild": 1, "compare": 1, "test": 3, "stranger": 2}
EXPERT_HOURS = 24


class Artifacts(Value):
    """Collected files, in order of name."""

    files: tuple[Artifact, ...]


class Facts(Value):
    """What a build states about itself, as text."""

    facts: dict[str, str]


def build_of(
    release: Release, world: World, results: Results, name: str, *inputs: Artifact, **options: str
) -> Build:
    """Describe a build of this run for the release commit."""
    return Build(
        name=name,
        nonce=world.nonce,
        version=str(release.version),
        commit=results[commit_release].commit,
        inputs=inputs,
        options=options,
    )


def built(world: World, build: Build, whom: str) -> Generator[Item, None, BuildResult | None]:
    """Yield what the step needs to know of a build, and return what it left once it is done."""
    state = world.builders.state(name=build.name, nonce=build.nonce)
    yield Check(
        f"the build {build.name} has not failed",
        state.status != "failed",
        found=state.detail,
        code="BUILD_FAILED",
        remedy=f"Read the log of {build.name}; remove that build to have it made anew.",
    )
    needs_start = state.status in {"absent", "lost"}
    yield Wait(
        f"the build {build.name}",
        whom,
        timedelta(hours=HOURS.get(build.name, EXPERT_HOURS)),
        ready=state.status == "done",
        progress=state.detail,
        start=partial(world.builders.start, build=build) if needs_start else None,
    )
    done = state.status == "done"
    return world.builders.result(name=build.name, nonce=build.nonce) if done else None


def facts(result: BuildResult) -> Facts:
    """Return the facts of a build as text, as they stand in the record."""
    words = {
        name: " ".join(value) if isinstance(value, tuple) else str(value)
        for name, value in sorted(result.facts.items())
    }
    return Facts(facts=words)


@step(phase=PHASE, where="build machines", after=[push_to_fork])
def start_builds(release: Release, world: World, results: Results) -> Plan:
    """Start the builds.

    Source archives (twice, in different surroundings) and the platforms' builds start side by
    side, each for the commit id, never for a name that can move. They go on by themselves; the
    steps below collect them.
    """
    for name in ("source", "rebuild", *release.platforms):
        build = _platform_build(release, world, results, name)
        yield Action(
            do=partial(world.builders.start, build=build),
            done=Expect(partial(world.builders.started, name=name, nonce=world.nonce)),
            undo="a build may end by itself; what it makes is not collected",
        )


def _platform_build(release: Release, world: World, results: Results, name: str) -> Build:
    names = ";".join(file.name for file in expected_of(release, name))
    return build_of(release, world, results, name, files=names, tag=release.tag)


@step(phase=PHASE, where="mail", after=[push_to_fork])
def tell_experts(release: Release, world: World, results: Results) -> Plan:
    """Hand over to the experts.

    They learn the commit id, the tag and its object id, and check that what they build is that.
    """
    experts = tuple(one for one in world.people.roster() if one.role.endswith("-expert"))
    tag = results[tag_release]
    subject = f"Python {release.version} is tagged on the fork"
    body = f"Tag {tag.name} (object {tag.tag_object}) on commit {tag.commit}. Please build."
    yield from message(world, "tagged", subject, notice(release, experts, subject, body))


@step(phase=PHASE, where="release manager's machine", after=[start_builds], returns=Artifacts)
def collect_source(release: Release, world: World, results: Results) -> Plan:
    """Collect the source archives.

    Both builds must have made the same bytes; then the files are taken by digest. From here on
    an artifact is known by its SHA-256. Comparing and testing them begins at once, beside what
    the experts do.
    """
    build = _platform_build(release, world, results, "source")
    first = yield from built(world, build, "the build machine")
    again = yield from built(
        world, build.model_copy(update={"name": "rebuild"}), "the build machine"
    )
    if first is None or again is None:
        return
    yield Check(
        "two builds in different surroundings made the same bytes",
        first.files == again.files,
        found="; ".join(f"{file.name} {file.sha256}" for file in again.files),
        code="REBUILD_DIFFERS",
        remedy="Compare the two builds; something of their surroundings is in the archive.",
    )
    yield from collected(release, world, "source", first)
    for check in _checks_of_source(release, world, results, first.files):
        yield Action(
            do=partial(world.builders.start, build=check),
            done=Expect(partial(world.builders.started, name=check.name, nonce=world.nonce)),
            undo="a build may end by itself; what it finds is not looked at",
        )


def _checks_of_source(
    release: Release, world: World, results: Results, files: tuple[Artifact, ...]
) -> tuple[Build, Build]:
    """Describe the builds that judge the archives: the comparison with the tag, and the test."""
    archive = next(file for file in files if file.name.endswith(".tar.xz"))
    compare = build_of(release, world, results, "compare", *files)
    test = build_of(release, world, results, "test", archive, tests=" ".join(world.tests))
    return compare, test


def collected(release: Release, world: World, name: str, result: BuildResult) -> Plan:
    """Yield the checks and actions that take exactly the expected files of a build."""
    wanted = sorted(file.name for file in expected_of(release, name))
    found = sorted(file.name for file in result.files)
    yield Check(
        f"{name} delivers exactly the expected files",
        found == wanted and all(file.size for file in result.files),
        found=", ".join(sorted({*wanted} ^ {*found})),
        code="UNLISTED_FILE" if {*found} - {*wanted} else "FILE_MISSING",
        remedy="Have the build corrected; only the expected set is ever signed.",
    )
    for file in result.files:
        yield file
        yield Action(
            do=partial(
                world.artifacts.collect,
                name=file.name,
                sha256=file.sha256,
                build=name,
                nonce=world.nonce,
            ),
            done=Expect(partial(world.artifacts.artifact, name=file.name), equals=file),
            undo="collected files are this run's own",
        )
    yield Result(Artifacts(files=tuple(sorted(result.files, key=lambda file: file.name))))


def _collect_platforms(release: Release, world: World, results: Results, *names: str) -> Plan:
    """Yield what collecting the builds of some platforms takes, as far as this version has them."""
    files: list[Artifact] = []
    commit = results[commit_release].commit
    for name in [name for name in names if name in release.platforms]:
        build = _platform_build(release, world, results, name)
        result = yield from built(world, build, f"{name}-expert")
        if result is None:
            continue
        yield Check(
            f"{name} was built from {commit}",
            (result.facts.get("commit"), result.facts.get("version"))
            == (commit, str(release.version)),
            found=f"{result.facts.get('commit')}, {result.facts.get('version')}",
            code="SUBJECT_MISMATCH",
            remedy="Have it built from the release commit.",
        )
        for item in collected(release, world, name, result):
            if not isinstance(item, Result):
                yield item
        files += result.files
    yield Result(Artifacts(files=tuple(sorted(files, key=lambda file: file.name))))


@step(
    phase=PHASE,
    where="Windows machine",
    after=[start_builds],
    returns=Artifacts,
    actor="windows-expert",
)
def collect_windows(release: Release, world: World, results: Results) -> Plan:
    """Collect the Windows files.

    Installers and embeddable packages from the Windows expert's pipeline: exact names, built
    from the release commit, taken by digest.
    """
    yield from _collect_platforms(release, world, results, "windows")


@step(
    phase=PHASE,
    where="macOS machine",
    after=[start_builds],
    returns=Artifacts,
    actor="macos-expert",
)
def collect_macos(release: Release, world: World, results: Results) -> Plan:
    """Collect the macOS installer.

    From the macOS expert's machine, in the same way.
    """
    yield from _collect_platforms(release, world, results, "macos")


@step(phase=PHASE, where="build machines", after=[start_builds], returns=Artifacts)
def collect_mobile(release: Release, world: World, results: Results) -> Plan:
    """Collect the Android and iOS files.

    Android from 3.14 on, iOS from 3.15 on; before that there is nothing to collect.
    """
    yield from _collect_platforms(release, world, results, "android", "ios")


@step(phase=PHASE, where="build machines", after=[collect_source], returns=Facts)
def compare_source(release: Release, world: World, results: Results) -> Plan:
    """Compare the archives with the tag.

    Every member of the archives is compared with the git tree of the commit, by blob id. What
    only the archive has, and what it lacks, must be on the list for that; the two archives must
    hold the same bytes; nothing stray may be in them.
    """
    build, _ = _checks_of_source(release, world, results, results[collect_source].files)
    result = yield from built(world, build, "the build machine")
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


@step(phase=PHASE, where="build machines", after=[collect_source], returns=Facts)
def test_source(release: Release, world: World, results: Results) -> Plan:
    """Build and test from the tarball.

    The collected `.tar.xz` is unpacked elsewhere, configured, built, and the test selection of
    this world is run with what came out. An empty test run is a failure.
    """
    _, build = _checks_of_source(release, world, results, results[collect_source].files)
    result = yield from built(world, build, "the build machine")
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
    yield Check(
        f"the tests pass: {' '.join(world.tests)}",
        int(found.facts.get("tests_run", 0)) > 0 and found.facts.get("tests_failed") == "0",
        found=f"{found.facts.get('tests_run', 0)} run, {found.facts.get('tests_failed')} failed",
        code="TESTS_FAILED",
        remedy="Read the log of the build; a failure here is a failure of the release.",
    )
    yield Result(found)


@step(phase=PHASE, where="build machines", after=[test_source], returns=Facts)
def try_source(release: Release, world: World, results: Results) -> Plan:
    """Try it as a user would.

    The build is installed; from the installation a virtual environment is made, pip is asked
    for its version, and a C extension is built, imported and called.
    """
    _, build = _checks_of_source(release, world, results, results[collect_source].files)
    result = yield from built(world, build, "the build machine")
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


@step(
    phase=PHASE,
    where="Windows machine",
    after=[collect_windows, tell_experts],
    gate="windows",
    actor="windows-expert",
)
def approve_windows(_release: Release, _world: World, results: Results) -> Plan:
    """Green light: Windows.

    The Windows expert has installed and tried exactly these files, and says so. Nobody else can
    say it. Another platform's new file does not touch this approval.
    """
    yield from results[collect_windows].files


@step(
    phase=PHASE,
    where="macOS machine",
    after=[collect_macos, tell_experts],
    gate="macos",
    actor="macos-expert",
)
def approve_macos(_release: Release, _world: World, results: Results) -> Plan:
    """Green light: macOS.

    The macOS expert has installed and tried exactly this file, and says so.
    """
    yield from results[collect_macos].files
