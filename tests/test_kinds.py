"""Every kind of release on every branch: rehearsed to its sealed record, its guards on the way.

One walk a subject. Before each step is applied it is proposed, as it is (nothing may fire: the
quiet path) and with each of its guards' bad cases (each must fire, where the table says so).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from guards import GUARDS, SUBJECTS, Guard, Subject, codes, instead, warned
from rehearsals import PATIENCE_SECONDS, ROOT, WORLD, answer, await_that, git

from relkit import seal
from relkit.errors import CheckError, GateError, ReleaseError, WaitingError
from relkit.history import History
from relkit.kinds import AMENDMENTS, EVERY, KINDS, Kind
from relkit.manifest import builds
from relkit.opening import Opened, open_release, record_folder
from relkit.plan import PlanData
from relkit.rehearsal.ports import RehearsalPeople
from relkit.rehearsal.world import make_rehearsal
from relkit.release import Release
from relkit.run import Run
from relkit.step import STEPS, steps_of
from relkit.verify_record import read_record, verify
from relkit.worlds import read_world_file

EXPECTED_WARNINGS = (
    "no open deferred-blocker of ",
    "the SBOMs say of each bundled package ",  # a rehearsal asks no package index
    "epubcheck finds no error",  # it is not installed everywhere
)
"""How the names of checks begin that may warn in a healthy release."""


def ready(run: Run, name: str) -> PlanData:
    """Return the plan of a step once nothing is awaited; set going what it awaits."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        plan = run.propose(name).plan
        if not plan.awaited:
            return plan
        for wait in plan.awaited:
            if wait.start is not None:
                wait.start(run.world)
        assert time.monotonic() < end, plan.awaited
        time.sleep(0.2)


def missed(run: Run, guard: Guard) -> str:
    """Try a guard; return what is wrong with it, empty if it does what its row says."""
    step, world = STEPS[guard.step], guard.twisted(run.world, run.release)
    plan = step.plan(run.release, world, run.results, run.ledger.revision)
    fires, must = guard.code in codes(plan), guard.must_fire(run.release)
    return "" if fires == must else f"{guard}: {'fires' if fires else 'is silent'} {codes(plan)}"


def walk(run: Run) -> Iterator[str]:
    """Carry a run to its end; yield what is wrong on the way."""
    for name in run.steps:
        plan = ready(run, name)
        yield from (f"{name}: {check.name} fails" for check in plan.failing)
        yield from (
            f"{name}: {one} warns" for one in warned(plan) if not one.startswith(EXPECTED_WARNINGS)
        )
        yield from filter(None, (missed(run, one) for one in GUARDS if one.step == name))
        run.apply(name)


@pytest.mark.slow
@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_each_kind_is_rehearsed_to_its_end_and_each_guard_fires_only_in_its_bad_case(
    subject: Subject, tmp_path: Path
) -> None:
    """I03, I32, I33, I34, I42, I53: no guard is loud or dumb in a kind it was not made for."""
    records = str(tmp_path / "records")
    folder = record_folder(subject.name, records, subject.kind)
    opened = open_release(subject.name, subject.kind, subject.date, WORLD, records)
    try:
        assert list(walk(opened.run)) == []
        assert History.read(folder).complete
        seal.close(folder, opened.run.world)
        policy, trust = opened.run.policy.digest, opened.run.world.signers.trust()
    finally:
        opened.close()
    root = trust["trusted_root.json"].encode()
    found = verify(read_record(folder), policy_sha256=policy, trust_root=root)
    assert (found.status, [one for one in found.lines if one.outcome != "verified"]) == (0, [])


# --- several releases in one world --------------------------------------------------------------


@contextmanager
def opened(records: Path, name: str, date: str, *, picks: str = "") -> Iterator[Opened]:
    """Open a run in a world of its own or of those before it."""
    one = open_release(name, "", date, WORLD, str(records), picks=picks)
    try:
        yield one
    finally:
        one.close()


def rehearse(records: Path, name: str, date: str) -> None:
    """Rehearse a release to its end."""
    with opened(records, name, date) as one:
        assert [step.step.name for step in one.run.advance()] == list(one.run.steps)


def upstream(records: Path, *command: str) -> str:
    """Ask plain git about upstream."""
    return git(records / "world" / "upstream.git", *command)


@pytest.mark.slow
def test_after_beta_1_both_branches_are_right_and_the_next_alpha_can_be_made(
    tmp_path: Path,
) -> None:
    rehearse(tmp_path, "3.15.0b1", "2026-05-05")
    versions = {
        branch: upstream(tmp_path, "show", f"{branch}:Include/patchlevel.h")
        for branch in ("main", "3.15", "v3.15.0b1")
    }
    assert '"3.16.0a0"' in versions["main"]
    assert '"3.15.0b1+dev"' in versions["3.15"]
    assert '"3.15.0b1"' in versions["v3.15.0b1"]
    rehearse(tmp_path, "3.16.0a1", "2026-10-20")  # from main, and it builds
    rehearse(tmp_path, "3.15.0b2", "2026-05-26")  # from the new branch, and it builds


FORGED_CANDIDATE = Guard(
    "choose-base", "CANDIDATE_ELSEWHERE", "repo.contains", instead(value=False)
)
"""A tag of a candidate on a commit that the branch does not have; only picks ask for it."""


@pytest.mark.slow
def test_a_candidate_is_made_from_the_one_before_with_picks_and_merged_back(
    tmp_path: Path,
) -> None:
    name, day = "3.15.0rc2", "2026-09-01"
    file, _ = read_world_file(ROOT / WORLD)
    make_rehearsal(file, tmp_path / name, Release.parse(name, "", day))
    picked, left = upstream(tmp_path, "rev-list", "-2", "3.15").split()
    with opened(tmp_path, name, day, picks=picked) as one:
        for proposal in one.run.advance():
            if proposal.step.name == "make-clone":
                assert not missed(one.run, FORGED_CANDIDATE)
        assert one.run.complete
    made = upstream(tmp_path, "log", "-2", "--format=%s", f"v{name}").splitlines()
    assert made == [f"Python {name}", upstream(tmp_path, "log", "-1", "--format=%s", picked)]
    assert upstream(tmp_path, "merge-base", "--is-ancestor", f"v{name}", "3.15") == ""
    assert left not in upstream(tmp_path, "rev-list", f"v{name}").split()
    news = set(upstream(tmp_path, "ls-tree", "-r", "--name-only", "3.15").split("\n"))
    assert f"Misc/NEWS.d/{name}.rst" in news
    waiting = [path for path in news if "NEWS.d/next" in path and "README" not in path]
    assert waiting  # what was not picked is told by the next release
    told = upstream(tmp_path, "show", f"v{name}:Misc/NEWS.d/{name}.rst")
    assert not [path for path in waiting if path.removesuffix(".rst").split(".")[-1] in told]


@pytest.mark.slow
def test_security_releases_of_one_day_go_side_by_side(tmp_path: Path) -> None:
    """I38: two releases of one day shared one state."""
    day, names = "2026-03-03", ("3.12.13", "3.11.15", "3.10.20")
    with ExitStack() as stack:
        runs = [stack.enter_context(opened(tmp_path, name, day)).run for name in names]
        walks = [run.advance() for run in runs]
        steps = zip_longest(*walks)  # one step of each in turn
        assert [one.step.name for one in list(steps)[-1]] == ["close-run"] * len(names)
    assert all(upstream(tmp_path, "rev-parse", f"v{name}^{{commit}}") for name in names)


def test_a_security_release_waits_for_no_installers() -> None:
    release = Release.parse("3.12.13", "", "2026-03-03")
    assert set(builds(release)) == {"source", "docs"}
    names = {step.name for step in steps_of(release.kind)}
    assert not names & {"collect-windows", "collect-macos", "collect-mobile", "approve-windows"}
    assert {"collect-source", "place-files"} <= names


# --- the way back -------------------------------------------------------------------------------

MANAGER = ("Rae Manager", "release-manager")


def reject_once(run: Run, step: str, records: Path) -> None:
    """Have the expert of a step reject what there is to approve."""
    people = RehearsalPeople(folder=records / "world", roster=run.world.policy.people)
    calm, run.world = run.world, replace(run.world, people=people, patience_seconds=0)
    with pytest.raises(WaitingError, match="GATE_OPEN"):
        run.apply(step)
    proposal = run.propose(step)
    request = records / "world" / "requests" / f"{proposal.plan.digest}.json"
    person = run.world.policy.person(run.steps[step].actor)
    answer(request, person.name, person.role, "reject", "it does not start")
    with pytest.raises(GateError, match="GATE_REJECTED"):
        run.apply(step)
    run.world = calm


@pytest.mark.slow
def test_a_rejected_installer_is_made_anew_by_a_respin_and_the_release_ends(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, "3.15.0a2", "2025-11-18") as one:
        run = one.run
        for proposal in run.advance():
            if proposal.step.name == "collect-macos":
                break
        windows = run.propose("collect-windows").plan.digest
        for name in run.steps:
            if name == "approve-macos":
                break
            run.apply(name)
        reject_once(run, "approve-macos", tmp_path)
        run.respin("collect-macos", *MANAGER, "the installer does not start")
        assert run.status("approve-macos") == "pending"
        assert run.propose("collect-windows").plan.digest == windows
        for _ in run.advance():
            pass
        assert run.complete
        assert run.ledger.revision == 2
    seal.seal(record_folder("3.15.0a2", str(tmp_path)))


@pytest.mark.slow
def test_a_failed_build_is_made_anew_by_a_respin_from_the_release_commit_on(
    tmp_path: Path,
) -> None:
    with opened(tmp_path, "3.15.0a2", "2025-11-18") as one:
        run = one.run
        for proposal in run.advance():
            if proposal.step.name == "start-builds":
                break
        before = upstream(tmp_path, "for-each-ref")
        broken = tmp_path / "world" / "builds" / run.world.nonce / "source"
        await_that(lambda: any(broken.glob("attempt-*/outcome.json")), "the source is built")
        for outcome in broken.glob("attempt-*/outcome.json"):
            outcome.write_text('{"facts": {}, "failure": "BUILD_FAILED: planted", "files": []}\n')
        with pytest.raises(CheckError, match="BUILD_FAILED"):
            run.apply("collect-source")
        run.respin("release-news", *MANAGER, "the build failed")
        assert upstream(tmp_path, "for-each-ref") == before
        fork = git(tmp_path / "world" / "fork.git", "for-each-ref")
        assert "v3.15.0a2" not in fork.split()[-1]
        for _ in run.advance():
            pass
        assert run.complete


@pytest.mark.slow
def test_an_abandoned_run_leaves_the_world_as_it_was(tmp_path: Path) -> None:
    with opened(tmp_path, "3.15.0a2", "2025-11-18") as one:
        world, run = one.run.world, one.run

        def looks() -> dict[str, Any]:
            state = tmp_path / "world"
            return {
                "refs": {name: git(state / f"{name}.git", "show-ref") for name in BARE},
                "protection": world.tracker.protection(branch="main"),
                "site": world.website.release(slug=run.release.slug),
                "staging": sorted(str(x) for x in state.glob("servers/*/ftp/**/*") if x.is_file()),
                "clone": world.repo.clone_state(),
                "artifacts": [x.name for x in state.glob("artifacts/3.15.0a2/*") if x.is_file()],
            }

        before = looks()
        for proposal in run.advance():
            if proposal.step.name == "draft-website":
                break
        assert looks() != before
        run.abandon(*MANAGER, "a blocker turned up", skipped=True)
        assert looks() == before
        with pytest.raises(ReleaseError, match="ABANDONED"):
            run.apply("preflight")
    assert History.read(record_folder("3.15.0a2", str(tmp_path))).abandoned


BARE = ("upstream", "fork", "peps")


# --- the table ----------------------------------------------------------------------------------


def test_the_table_has_every_kind_and_every_guard_a_step_of_the_kinds_it_fires_in() -> None:
    # An amendment needs a release that lacks something: tests/test_amendment.py walks through one.
    assert {one.kind for one in SUBJECTS} == EVERY - AMENDMENTS
    for guard in GUARDS:
        assert STEPS[guard.step].kinds, guard
        assert guard.kinds & frozenset(STEPS[guard.step].kinds), guard


def test_every_kind_has_guards_at_its_first_and_its_last_decision() -> None:
    guarded = {guard.step for guard in GUARDS}
    for kind in Kind:
        gates = [step.name for step in steps_of(kind) if step.gate]
        assert gates, kind
        assert guarded & {step.name for step in steps_of(kind)}, kind


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_the_kind_of_a_subject_follows_from_its_version_and_day(subject: Subject) -> None:
    given = subject.kind if not KINDS[subject.kind].publishes else ""
    assert Release.parse(subject.name, given, subject.date).kind == subject.kind
