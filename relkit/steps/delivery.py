"""How steps deal with builds: describe one, wait for it, take exactly what it should deliver."""

from __future__ import annotations

import re
from collections.abc import Generator
from datetime import timedelta
from functools import partial

from pydantic import Field

from relkit.building.provenance import check_provenance, read_provenance
from relkit.errors import CheckError
from relkit.manifest import expected_of
from relkit.plan import Action, Check, Evidence, Expect, Item, Plan, Wait
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results
from relkit.steps.source import commit_release
from relkit.values import Artifact, Build, BuildResult, ObjectId, Value

PHASE = "Build"
HERE, MACHINES = "release manager's machine", "build machines"
BUILD_MACHINE = "the build machine"
HOURS = {"source": 1, "rebuild": 1, "compare": 1, "test": 3, "stranger": 2, "docs": 4}
EXPERT_HOURS = 24
NAMED_VERSION = re.compile(r"(?<![0-9.])3\.[0-9]+(?:\.[0-9]+)?(?:(?:a|b|rc)[0-9]+)?")


class Artifacts(Value):
    """Collected files, in order of name; none where what was waived did not come."""

    files: tuple[Artifact, ...] = ()


class Facts(Value):
    """What a build states about itself, as text."""

    facts: dict[str, str]


class Documentation(Artifacts):
    """The collected archives of the docs, and what their build states about them."""

    facts: dict[str, str] = Field(default_factory=dict)


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


def delivering(release: Release, world: World, commit: ObjectId, name: str) -> Build:
    """Describe a build that delivers files of the expected set, which it is told by name."""
    return Build(
        name=name,
        nonce=world.nonce,
        version=str(release.version),
        commit=commit,
        options={
            "files": ";".join(file.name for file in expected_of(release, name)),
            "tag": release.tag,
        },
    )


def started(world: World, build: Build) -> Action:
    """Return the action that sets a build going."""
    mine = {"name": build.name, "nonce": build.nonce}
    return Action(
        do=partial(world.builders.start, build=build),
        done=Expect(partial(world.builders.started, **mine)),
        undo=partial(world.builders.cancel, **mine),
    )


def built(
    world: World, build: Build, whom: str, *, waivable: bool = False
) -> Generator[Item, None, BuildResult | None]:
    """Yield what the step needs to know of a build, and return what it left once it is done.

    With `waivable` the step can go on without it.
    """
    state = world.builders.state(name=build.name, nonce=build.nonce)
    yield Check(
        f"the build {build.name} has not failed",
        state.status != "failed",
        found=state.detail,
        code="BUILD_FAILED",
        remedy=f"Read the log of {build.name}; mend it, and begin anew with relkit respin.",
        waivable=waivable,
    )
    needs_start = state.status in {"absent", "lost"}
    yield Wait(
        f"the build {build.name}",
        whom,
        timedelta(hours=HOURS.get(build.name, EXPERT_HOURS)),
        ready=state.status == "done",
        progress=state.detail,
        start=partial(world.builders.start, build=build) if needs_start else None,
        stop=partial(world.builders.cancel, name=build.name, nonce=build.nonce),
        waivable=waivable,
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


def stamped(release: Release, commit: ObjectId, name: str, result: BuildResult) -> Check:
    """Return the check that a build was made from the release commit, for this version."""
    found = (result.facts.get("commit"), result.facts.get("version"))
    return Check(
        f"{name} was built from {commit}",
        found == (commit, str(release.version)),
        found=f"{found[0]}, {found[1]}",
        code="SUBJECT_MISMATCH",
        remedy="Have it built from the release commit.",
    )


def collected(release: Release, world: World, build: Build, result: BuildResult) -> Plan:
    """Yield the checks and actions that take exactly the expected files of a build."""
    name = build.name
    wanted = sorted(file.name for file in expected_of(release, name))
    found = sorted(file.name for file in result.files)
    alien = other_versions(release, found)
    yield Check(
        f"no file of {name} is named after another version",
        not alien,
        found=", ".join(alien),
        code="OTHER_VERSION",
        remedy="Find where the other version's name comes from, then have it built anew.",
    )
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
                nonce=build.nonce,
            ),
            done=Expect(partial(world.artifacts.artifact, name=file.name), equals=file),
            undo=partial(world.artifacts.discard, name=file.name),
        )
    yield from _stated(world, build, result)


def provenance_fits(world: World, build: Build, result: BuildResult) -> Check:
    """Return the check that a build says of its files what the plan and the policy ask (T17).

    An expert's build that says nothing can be let through by a waiver; those of the source never,
    and none that says something else.
    """
    builder = world.policy.builders.get(build.name)
    found, code = "", ""
    try:
        check_provenance(result.provenance, build=build, files=result.files, builder=builder)
    except CheckError as error:
        found, code = str(error), error.code
    return Check(
        f"{build.name} was made from {build.options.get('tag')} at {build.commit} "
        f"by {builder or 'nobody'}, as its provenance says of exactly these files",
        not code,
        found=found,
        code=code or "PROVENANCE_MISSING",
        remedy="Use nothing of this build until it is known how it was made; have it made anew.",
        waivable=code == "PROVENANCE_MISSING" and build.name not in {"source", "rebuild"},
    )


def _stated(world: World, build: Build, result: BuildResult) -> Plan:
    """Yield what becomes of a build's provenance: compared, shown, and kept beside the files."""
    check = provenance_fits(world, build, result)
    yield check
    if not check.ok:
        return
    name = f"provenance-{build.name}.json"
    yield Evidence(f"Provenance of {build.name}", read_provenance(result.provenance).line)
    yield Action(
        do=partial(world.artifacts.write, name=name, text=result.provenance),
        done=Expect(partial(world.artifacts.read, name=name), equals=result.provenance),
        undo=partial(world.artifacts.discard, name=name),
    )


def other_versions(release: Release, names: list[str]) -> list[str]:
    """Return the file names that state another version than the release's (I44)."""
    own = str(release.version)
    return [name for name in names if any(one != own for one in NAMED_VERSION.findall(name))]


def in_order(files: tuple[Artifact, ...] | list[Artifact]) -> tuple[Artifact, ...]:
    """Return files in order of name."""
    return tuple(sorted(files, key=lambda file: file.name))
