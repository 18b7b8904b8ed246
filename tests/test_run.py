from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import toy

import relkit.run
import relkit.step
from relkit import ledger as ledger_module
from relkit import records as log
from relkit.errors import (
    CheckError,
    GateError,
    OrderError,
    RecordError,
    ReleaseError,
    UsageError,
    VerificationError,
    WaitingError,
    WorldError,
)
from relkit.history import History
from relkit.ledger import Ledger
from relkit.plan import Action, Expect, Plan
from relkit.policy import Policy
from relkit.ports import World
from relkit.release import Release
from relkit.run import Run
from relkit.standing import Progress
from relkit.step import Results, step
from relkit.values import Request, canonical, digest_of

pytestmark = pytest.mark.usefixtures("toy_steps")
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["toy"])
RM, EXPERT = ("Rika", "release-manager"), ("Elif", "expert")
WHY = (*RM, "the wall is crooked")


@pytest.fixture
def run(world: toy.Toy, record: Path) -> Run:
    return world.open(record)


def events(run: Run, step: str = "") -> list[str]:
    """Return the events of a step in the ledger as it stands on the disk."""
    found = [one.entry for one in Ledger.read(run.ledger.path.parent, toy.Clock().now)]
    return [one.event for one in found if not step or getattr(one, "step", None) == step]


def on_disk(run: Run) -> bytes:
    return run.ledger.path.read_bytes()


def refused(kind: type[ReleaseError], call: Callable[..., object], *given: object) -> ReleaseError:
    with pytest.raises(kind) as refusal:
        call(*given)
    assert refusal.value.code.isupper()
    assert refusal.value.remedy
    return refusal.value


def unchanged(
    run: Run, kind: type[ReleaseError], call: Callable[..., object], *given: object
) -> str:
    """Return the code of a refusal that changed nothing, in the ledger or outside."""
    before, outside = on_disk(run), toy.toy_of(run.world).outside
    code = refused(kind, call, *given).code
    assert (on_disk(run), toy.toy_of(run.world).outside) == (before, outside)
    return code


def interrupt_at(moment: int) -> Callable[[], None]:
    """Return what interrupts whoever changes the outside: 0 before, 1 after the first change."""
    moments = count()

    def step_in() -> None:
        if next(moments) >= moment:
            raise KeyboardInterrupt

    return step_in


def approve(run: Run, name: str = "hang", *people: tuple[str, str]) -> None:
    for who, role in people or (RM, EXPERT):
        run.decide(run.propose(name), "approve", who, role, "seen")


def upto(run: Run, name: str) -> Run:
    """Carry out what comes before a step."""
    for one in toy.ORDER[: toy.ORDER.index(name)]:
        if one == "hang":
            approve(run)
        if one == "bake":
            toy.toy_of(run.world).builds.set("cake", "done")
        run.apply(one)
    return run


# --- the quiet path -----------------------------------------------------------------------------


def test_a_run_goes_through_all_steps_and_says_so(record: Path, tmp_path: Path) -> None:
    world = toy.Toy.at(tmp_path / "world", patience_seconds=60)
    run = world.open(record)
    approve(upto(run, "hang"))
    assert [one.step.name for one in run.advance()] == list(toy.ORDER)
    assert run.complete
    assert {run.status(name) for name in toy.ORDER} == {"complete"}
    assert world.box.read() == {
        "wall": {"value": "blue", "times": 1},
        "a": {"value": "full", "times": 1},
        "b": {"value": "full", "times": 1},
        "hung": {"value": "a boat", "times": 1},
    }
    assert world.people.read()["nonce-1-party"] == ["cake 1"]


def test_an_action_is_recorded_before_it_is_done_and_after_it_was_read_back(
    run: Run, world: toy.Toy
) -> None:
    run.apply("look")
    seen: list[list[str]] = []
    world.box.moment = lambda: seen.append(events(run, "paint"))
    run.apply("paint")
    assert seen[0] == seen[1] == ["planned", "started"]
    assert seen[2] == ["planned", "started", "done", "started"]
    assert events(run, "paint") == [*seen[2], "done", "completed"]
    assert run.progress("paint").started == {0, 1}


def test_the_first_record_names_the_inputs(run: Run, world: toy.Toy) -> None:
    first = run.ledger.records[0].entry
    assert isinstance(first, log.Opened)
    assert (first.version, first.kind, first.time) == ("3.15.0a1", "alpha", toy.RELEASE.time)
    assert (first.world, first.nonce, first.rehearsal) == ("toy", "nonce-1", True)
    assert first.policy_digest == digest_of(world.policy.to_data())


def test_results_are_handed_on_through_the_ledger(run: Run, world: toy.Toy) -> None:
    world.box.turn("knob colour", "green")
    run.apply("look")
    world.box.turn("knob colour", "red")
    assert run.results[relkit.step.STEPS["look"]] == toy.Seen(colour="green")
    run.apply("paint")
    assert world.box.value(key="wall") == "green"


def test_a_step_that_is_complete_is_shown_as_it_was_recorded(run: Run, world: toy.Toy) -> None:
    first = run.apply("look")
    before = on_disk(run)
    world.box.turn("knob broken", "since then")
    assert run.apply("look") == run.propose("look") == first
    assert on_disk(run) == before


def test_proposing_and_reading_write_nothing(run: Run, world: toy.Toy) -> None:
    """I57: a dry run made the tag."""
    upto(run, "send")
    before, outside = toy.tree(run.ledger.path.parent), world.outside
    for name in toy.ORDER:
        run.propose(name)
        run.status(name)
        run.progress(name)
        run.recorded(name)
    assert History.read(run.ledger.path.parent).results == run.results
    assert toy.tree(run.ledger.path.parent) == before
    assert world.outside == outside


def test_a_failing_check_that_only_warns_stops_nothing(run: Run, world: toy.Toy) -> None:
    world.box.turn("knob dust", "everywhere")
    assert run.apply("look").plan.checks[2].verdict == "warning"


# --- what is there already ----------------------------------------------------------------------


def test_what_is_done_already_is_found_and_not_done(run: Run, world: toy.Toy) -> None:
    run.apply("look")
    world.box.put(key="wall", value="blue")
    run.apply("paint")
    assert world.box.read()["wall"]["times"] == 1
    first, second = (run.progress("paint").done[number].entry for number in (0, 1))
    assert isinstance(first, log.Done)
    assert isinstance(second, log.Done)
    assert (first.found, second.found) == (True, False)
    assert run.progress("paint").started == {1}


def test_what_is_half_done_is_finished_and_nothing_in_it_done_twice(
    run: Run, world: toy.Toy
) -> None:
    run.apply("look")
    world.box.put(key="a", value="full")
    run.apply("paint")
    assert {world.box.read()[key]["times"] for key in ("a", "b", "wall")} == {1}


def test_what_is_there_in_another_form_is_not_taken_for_done(run: Run, world: toy.Toy) -> None:
    run.apply("look")
    world.box.put(key="wall", value="red")
    run.apply("paint")
    assert world.box.read()["wall"] == {"value": "blue", "times": 2}


def test_applying_twice_is_recorded_once(run: Run, world: toy.Toy) -> None:
    upto(run, "send").apply("send")
    before, outside = on_disk(run), world.outside
    for name in reversed(toy.ORDER):
        assert run.apply(name).complete
    assert on_disk(run) == before
    assert world.outside == outside


def test_a_read_back_that_fails_stops_the_step_and_the_next_run_asks_anew(
    run: Run, world: toy.Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.apply("look")
    with monkeypatch.context() as patch:
        patch.setattr(world.box, "change", lambda *_: None)
        error = refused(VerificationError, run.apply, "paint")
    assert error.code == "READ_BACK"
    assert "box.put(key=wall, value=blue)" in str(error)
    assert events(run, "paint") == ["planned", "started"]
    assert run.status("paint") == "begun"
    run.apply("paint")
    assert events(run, "paint").count("started") == 2
    assert world.box.read()["wall"]["times"] == 1


def test_a_temporary_action_whose_end_was_not_seen_is_taken_back(
    run: Run, world: toy.Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a branch stays open after an answer of its server was lost."""

    @step(phase="More", where="the door")
    def air(_release: Release, world: World, _results: Results) -> Plan:
        """Open the door for a moment."""
        box = toy.toy_of(world).box
        yield Action(
            do=partial(box.put, key="door", value="open"),
            done=Expect(partial(box.value, key="door"), equals="open"),
            undo=partial(box.put, key="door", value="shut"),
            temporary=True,
        )

    run.steps[air.name] = air
    run._progress[air.name] = Progress()
    read = toy.Box.value

    def value(self: toy.Box, *, key: str) -> str | None:
        if (found := read(self, key=key)) == "open":
            raise WorldError("no answer", code="LOST", remedy="Again.")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(toy.Box, "value", value)
        refused(WorldError, run.apply, air.name)
    assert world.box.value(key="door") == "shut"
    assert run.apply(air.name).complete
    assert events(run, air.name)[-6:] == [
        "planned",
        "started",
        "taken-back",
        "started",
        "done",
        "completed",
    ]


def test_a_result_that_cannot_be_read_stops_the_step(
    run: Run, world: toy.Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cake(_: toy.Builds, *, name: str) -> None:
        """Find no cake, whatever its name."""

    upto(run, "bake")
    world.builds.set("cake", "done")
    with monkeypatch.context() as patch:
        patch.setattr(toy.Builds, "cake", cake)
        assert refused(VerificationError, run.apply, "bake").code == "READ_BACK"
    assert run.status("bake") == "begun"
    assert run.apply("bake").complete


# --- checks, order, unknown steps ---------------------------------------------------------------


def test_a_failed_check_stops_before_anything_is_recorded(run: Run, world: toy.Toy) -> None:
    world.box.turn("knob broken", "yes")
    before = on_disk(run)
    error = refused(CheckError, run.apply, "look")
    assert (error.code, error.remedy) == ("BROKEN", "Mend it.")
    assert on_disk(run) == before


def test_what_cannot_be_seen_stops_as_well(run: Run, world: toy.Toy) -> None:
    world.box.turn("knob lamp", "dark")
    assert refused(CheckError, run.apply, "look").code == "CANNOT_CHECK"


def test_a_step_before_its_own_is_refused_in_every_way(run: Run, world: toy.Toy) -> None:
    before, outside = on_disk(run), world.outside
    for name in toy.ORDER[1:]:
        for call in (run.propose, run.apply):
            error = refused(OrderError, call, name)
            assert error.code == "NOT_YET"
            assert f"{name} comes after " in str(error)
        assert run.status(name) == "pending"
    assert (on_disk(run), world.outside) == (before, outside)


def test_only_what_comes_before_counts_not_what_stands_before(run: Run) -> None:
    run.apply("look")
    run.apply("paint")
    assert run.status("hang") == "ready"
    assert run.propose("bake").step.name == "bake", "hang is not complete, and need not be"
    assert refused(OrderError, run.propose, "send").code == "NOT_YET"


def test_an_unknown_step_is_refused(run: Run) -> None:
    for call in (run.propose, run.apply, run.status, run.progress, run.recorded):
        error = refused(UsageError, call, "rm -rf")
        assert error.code == "STEP_UNKNOWN"
        assert "look, paint" in error.remedy


# --- gates --------------------------------------------------------------------------------------


def test_nothing_happens_without_approval(run: Run, world: toy.Toy) -> None:
    upto(run, "hang")
    error = refused(WaitingError, run.apply, "hang")
    assert (error.code, error.exit_status) == ("GATE_OPEN", 75)
    assert "release-manager and expert" in str(error)
    assert error.remedy.startswith("Decide in the notebook, or with relkit decide on the request")
    assert world.box.value(key="hung") is None
    assert events(run, "hang") == ["asked"]
    assert run.status("hang") == "decide"


def test_who_decides_elsewhere_is_named_with_the_way_to_do_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    upto(run, "hang")
    far = run.policy.model_copy(update={"present": ("release-manager",)})
    monkeypatch.setattr(type(run), "policy", property(lambda _: far))
    error = refused(WaitingError, run.apply, "hang")
    begin = "Decide in the notebook, and have expert decide elsewhere, with relkit decide on the"
    assert error.remedy.startswith(begin)


def test_every_role_must_approve(run: Run) -> None:
    upto(run, "hang")
    approve(run, "hang", RM)
    assert "waits for expert to decide" in str(refused(WaitingError, run.apply, "hang"))
    approve(run, "hang", ("Emil", "expert"))
    assert run.apply("hang").complete


def test_people_are_asked_once_for_each_plan_and_get_what_they_decide_on(
    run: Run, world: toy.Toy
) -> None:
    upto(run, "hang")
    for _ in range(3):
        refused(WaitingError, run.apply, "hang")
        run.ask(run.propose("hang"))
    (request,) = world.people.requests()
    assert events(run, "hang") == ["asked"]
    assert request.digest == digest_of(request.plan) == run.propose("hang").plan.digest
    assert (request.step, request.revision, request.release) == ("hang", 1, "3.15.0a1")
    assert request.roles == ("release-manager", "expert")


@pytest.mark.parametrize("knob", ["picture", "label", "nail"])
def test_an_approval_is_bound_to_what_was_approved(run: Run, world: toy.Toy, knob: str) -> None:
    approve(upto(run, "hang"))
    world.box.turn(f"knob {knob}", "another")
    refused(CheckError if knob == "nail" else WaitingError, run.apply, "hang")
    assert world.box.value(key="hung") is None
    world.box.turn(f"knob {knob}", {"picture": "a boat", "label": "A boat\n", "nail": ""}[knob])
    assert run.apply("hang").complete, "what was approved is what is there again"


def test_what_changes_by_itself_leaves_the_gate_open(run: Run, world: toy.Toy) -> None:
    run.apply("look")
    first = run.propose("hang").plan.digest
    world.box.turn("knob gossip", "much")
    world.clock.time += timedelta(days=1)
    assert run.propose("hang").plan.digest == first


def test_a_decision_on_a_plan_that_moved_is_kept_and_counts_for_nothing(
    run: Run, world: toy.Toy
) -> None:
    old = upto(run, "hang").propose("hang")
    world.box.turn("knob picture", "a house")
    run.decide(old, "approve", *RM, "seen")
    run.decide(old, "approve", *EXPERT, "seen")
    refused(WaitingError, run.apply, "hang")
    assert events(run, "hang") == ["decided", "decided", "asked"]


def test_a_rejection_stops_whoever_else_approves_until_the_same_person_decides_anew(
    run: Run, world: toy.Toy
) -> None:
    upto(run, "hang")
    run.decide(run.propose("hang"), "reject", *EXPERT, "it is upside down")
    approve(run, "hang", RM, ("Emil", "expert"))
    error = refused(GateError, run.apply, "hang")
    assert error.code == "GATE_REJECTED"
    assert "Elif (expert) rejected hang: it is upside down" in str(error)
    assert world.box.value(key="hung") is None
    approve(run, "hang", EXPERT)
    assert run.apply("hang").complete
    assert events(run, "hang").count("decided") == 4, "both decisions stay"


def test_a_rejection_stands_until_what_was_rejected_changes(run: Run, world: toy.Toy) -> None:
    upto(run, "hang")
    run.decide(run.propose("hang"), "reject", *EXPERT, "not a boat")
    world.box.turn("knob picture", "a house")
    approve(run)
    assert run.apply("hang").complete


def test_an_experts_approval_cannot_be_typed_at_the_notebook(record: Path, tmp_path: Path) -> None:
    """T62: the release manager alone cannot give an expert's green light."""
    strict = toy.POLICY.model_copy(update={"present": ("release-manager",)})
    run = upto(toy.Toy.at(tmp_path / "strict", policy=strict).open(record), "hang")
    error = refused(GateError, run.decide, run.propose("hang"), "approve", *EXPERT, "seen")
    assert error.code == "NOT_AT_THE_NOTEBOOK"
    assert "decided" not in events(run, "hang")


def test_an_approval_can_be_taken_back_before_it_is_used(run: Run) -> None:
    approve(upto(run, "hang"))
    run.decide(run.propose("hang"), "reject", *RM, "wait")
    assert refused(GateError, run.apply, "hang").code == "GATE_REJECTED"


@pytest.mark.parametrize("who", ["Rika", "Mallory", "", "elif", "Elif "])
def test_only_who_is_in_a_role_decides_in_it(run: Run, who: str) -> None:
    upto(run, "hang")
    before = on_disk(run)
    call = (run.decide, run.propose("hang"), "approve", who, "expert", "seen")
    error = refused(GateError, *call)
    assert error.code == "NOT_IN_ROLE"
    assert "Elif, Emil" in str(error)
    assert on_disk(run) == before


@pytest.mark.parametrize("reason", ["", "  ", "\n\t"])
def test_a_decision_needs_a_reason(run: Run, reason: str) -> None:
    upto(run, "hang")
    before = on_disk(run)
    call = (run.decide, run.propose("hang"), "approve", *RM, reason)
    assert refused(GateError, *call).code == "REASON_MISSING"
    assert on_disk(run) == before


def test_nothing_is_decided_without_a_gate_or_after_it(run: Run) -> None:
    before = on_disk(run)
    call = (run.decide, run.propose("look"), "approve", *RM, "seen")
    assert refused(GateError, *call).code == "NO_GATE"
    assert on_disk(run) == before
    approve(upto(run, "hang"))
    done = run.apply("hang")
    assert refused(GateError, run.decide, done, "reject", *RM, "late").code == "NO_GATE"
    assert run.ask(done) == ()


def test_a_gate_that_the_policy_does_not_know_is_never_open(record: Path, tmp_path: Path) -> None:
    policy = toy.POLICY.model_copy(update={"gates": {}})
    run = toy.Toy.at(tmp_path / "world", policy=policy).open(record)
    upto(run, "hang")
    assert refused(GateError, run.apply, "hang").code == "GATE_UNKNOWN"


# --- answers from elsewhere ---------------------------------------------------------------------


def asked(run: Run) -> Request:
    upto(run, "hang")
    refused(WaitingError, run.apply, "hang")
    return toy.toy_of(run.world).people.requests()[-1]


def test_an_answer_opens_the_gate_and_is_recorded_once(run: Run, world: toy.Toy) -> None:
    request = asked(run)
    world.people.send(world.people.answer(request, "expert"), request.key)
    for _ in range(3):
        refused(WaitingError, run.apply, "hang")
    assert events(run, "hang") == ["asked", "decided"]
    world.people.send(world.people.answer(request, "release-manager"), request.key)
    assert run.apply("hang").complete
    assert {one.via for one in run.progress("hang").decisions} == {"answer"}


def test_a_person_may_change_an_answer_and_come_back_to_it(run: Run, world: toy.Toy) -> None:
    request = asked(run)
    approve(run, "hang", RM)
    later = [toy.NOW + timedelta(seconds=number) for number in range(3)]
    answer = partial(world.people.answer, request, "expert")
    for made in (
        answer(at=later[0]),
        answer(verdict="reject", reason="upside down", at=later[1]),
    ):
        world.people.send(made, request.key)
    assert refused(GateError, run.apply, "hang").code == "GATE_REJECTED"
    world.people.send(answer(at=later[0]), request.key)
    assert refused(GateError, run.apply, "hang").code == "GATE_REJECTED", "the old one, once more"
    world.people.send(answer(at=later[2]), request.key)
    assert run.apply("hang").complete
    assert events(run, "hang").count("decided") == 4


@pytest.mark.parametrize("change", [{"nonce": "another run"}, {"step": "send"}])
def test_an_answer_to_something_else_is_refused(
    run: Run, world: toy.Toy, change: dict[str, str]
) -> None:
    request = asked(run)
    answer = world.people.answer(request.model_copy(update=change), "expert")
    world.people.send(answer, request.key)
    assert "APPROVAL_FOREIGN" in str(refused(WaitingError, run.apply, "hang"))
    assert events(run, "hang") == ["asked"]


def test_an_answer_on_another_digest_opens_nothing(run: Run, world: toy.Toy) -> None:
    request = asked(run)
    approve(run, "hang", RM)
    other = request.model_copy(update={"digest": "0" * 64})
    world.people.send(world.people.answer(other, "expert"), request.key)
    assert "APPROVAL_FOREIGN" in str(refused(WaitingError, run.apply, "hang"))
    assert world.box.value(key="hung") is None


@pytest.mark.parametrize(
    ("who", "role"), [("Rika", "expert"), ("Mallory", "expert"), ("Elif", "baker")]
)
def test_an_answer_by_somebody_without_the_role_is_refused(
    run: Run, world: toy.Toy, who: str, role: str
) -> None:
    request = asked(run)
    world.people.send(world.people.answer(request, role, who=who), request.key)
    assert "APPROVAL_ROLE" in str(refused(WaitingError, run.apply, "hang"))
    assert events(run, "hang") == ["asked"]


# --- waivers ------------------------------------------------------------------------------------


def test_a_failed_check_can_be_waived_where_the_step_allows_it(run: Run, world: toy.Toy) -> None:
    world.box.turn("knob lamp", "red")
    assert refused(CheckError, run.apply, "look").code == "LAMP"
    run.waive(run.propose("look"), "the lamp is green", *RM, "the lamp is broken")
    done = run.apply("look")
    assert done.plan.checks[1].verdict == "fail", "the verdict stays"
    assert [one.reason for one in done.progress.waivers] == ["the lamp is broken"]


def test_a_waiver_is_bound_to_its_plan(run: Run, world: toy.Toy) -> None:
    world.box.turn("knob lamp", "red")
    run.waive(run.propose("look"), "the lamp is green", *RM, "the lamp is broken")
    world.box.turn("knob lamp", "dark")
    assert refused(CheckError, run.apply, "look").code == "CANNOT_CHECK"
    world.box.turn("knob lamp", "red")
    world.box.turn("knob dust", "some")
    assert refused(CheckError, run.apply, "look").code == "LAMP"


def test_a_waiver_does_not_open_a_gate(run: Run, world: toy.Toy) -> None:
    upto(run, "hang")
    world.box.turn("knob nail", "loose")
    run.waive(run.propose("hang"), "the nail holds", *RM, "it is light")
    assert refused(WaitingError, run.apply, "hang").code == "GATE_OPEN"
    approve(run)
    assert run.apply("hang").complete


@pytest.mark.parametrize(
    ("check", "who", "role", "reason", "code"),
    [
        ("the box is whole", *RM, "no", "NOT_WAIVABLE"),
        ("the box is clean", *RM, "no", "NOT_WAIVABLE"),
        ("no such check", *RM, "no", "NOT_WAIVABLE"),
        ("the lamp is green", *EXPERT, "no", "NOT_WAIVABLE"),
        ("the lamp is green", "Elif", "release-manager", "no", "NOT_IN_ROLE"),
        ("the lamp is green", *RM, " ", "REASON_MISSING"),
    ],
)
def test_a_waiver_is_refused_where_policy_or_step_do_not_allow_it(  # noqa: PLR0913, PLR0917 (a table)
    run: Run, world: toy.Toy, check: str, who: str, role: str, reason: str, code: str
) -> None:
    for knob in ("broken", "lamp", "dust"):
        world.box.turn(f"knob {knob}", "red")
    before = on_disk(run)
    call = (run.waive, run.propose("look"), check, who, role, reason)
    assert refused(GateError, *call).code == code
    assert on_disk(run) == before


def test_a_planted_waiver_of_what_cannot_be_waived_counts_for_nothing(
    run: Run, world: toy.Toy, record: Path
) -> None:
    world.box.turn("knob broken", "yes")
    digest = run.propose("look").plan.digest
    run.close()
    who, role = RM
    waiver = log.Waived(
        step="look",
        digest=digest,
        check="the box is whole",
        who=who,
        role=role,
        reason="no",
        via="notebook",
        made=toy.NOW,
        signed=toy.UNSIGNED,
    )
    planted(record, waiver)
    assert refused(CheckError, world.open(record).apply, "look").code == "BROKEN"


def test_a_check_that_passes_cannot_be_waived_beforehand(run: Run) -> None:
    call = (run.waive, run.propose("look"), "the lamp is green", *RM, "in case")
    assert refused(GateError, *call).code == "NOT_WAIVABLE"


# --- waits --------------------------------------------------------------------------------------


def test_a_run_without_patience_says_what_it_waits_for_and_ends(run: Run, world: toy.Toy) -> None:
    world.builds.swift = False
    upto(run, "bake")
    error = refused(WaitingError, run.apply, "bake")
    assert (error.code, error.exit_status) == ("NOT_READY", 75)
    assert "the cake from the baker until 2026-05-05 13:00 UTC" in str(error)
    assert events(run, "bake") == ["set-going", "waited"]
    assert run.status("bake") == "waiting"
    assert world.builds.starts(name="cake") == 1


def test_what_goes_is_not_started_again_and_its_deadline_stays(run: Run, world: toy.Toy) -> None:
    world.builds.swift = False
    upto(run, "bake")
    for minutes in (0, 10, 20):
        world.clock.time = toy.NOW + timedelta(minutes=minutes)
        assert "13:00 UTC" in str(refused(WaitingError, run.apply, "bake"))
    assert events(run, "bake") == ["set-going", "waited"]
    assert world.builds.starts(name="cake") == 1
    world.builds.set("cake", "done")
    assert run.apply("bake").progress.result == {"name": "cake", "starts": 1}


def test_what_was_lost_is_set_going_again_and_the_record_says_so(run: Run, world: toy.Toy) -> None:
    world.builds.swift = False
    upto(run, "bake")
    refused(WaitingError, run.apply, "bake")
    world.builds.set("cake", "absent")
    world.clock.time += timedelta(minutes=30)
    assert "13:00 UTC" in str(refused(WaitingError, run.apply, "bake")), "the same deadline"
    found = [one.entry for one in run.progress("bake").records]
    assert [one.again for one in found if isinstance(one, log.SetGoing)] == [False, True]
    assert events(run, "bake").count("waited") == 1
    assert world.builds.starts(name="cake") == 2


def test_a_patient_run_goes_on_as_soon_as_it_is_there(
    record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = toy.Toy.at(tmp_path / "world", patience_seconds=60)
    world.builds.swift = False
    run = upto(world.open(record), "bake")
    said: list[str] = []
    run.observe = said.append
    naps = iter(range(5))

    def nap(_: float) -> None:
        if next(naps) == 3:
            world.builds.set("cake", "done")

    monkeypatch.setattr(time, "sleep", nap)
    assert run.apply("bake").complete
    assert said[0] == "waiting for the cake from the baker until 2026-05-05 13:00 UTC: absent"
    assert len(said) == 4
    assert events(run, "bake") == ["set-going", "waited", "planned", "completed"]


def test_a_patient_run_ends_at_the_deadline(
    record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    monkeypatch.setattr(time, "sleep", naps.append)
    world = toy.Toy.at(tmp_path / "world", patience_seconds=60)
    world.builds.swift = False
    run = upto(world.open(record), "bake")
    world.builds.start(name="cake")
    run._await(run.propose("bake"), run.propose("bake").plan.waits[0])
    world.clock.time += timedelta(hours=2)
    assert refused(WaitingError, run.apply, "bake").code == "NOT_READY"
    assert naps == []


def test_a_failed_check_ends_the_waiting_at_once(
    record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = toy.Toy.at(tmp_path / "world", patience_seconds=60)
    world.builds.swift = False
    run = upto(world.open(record), "bake")
    monkeypatch.setattr(time, "sleep", lambda _: world.builds.set("cake", "failed"))
    assert refused(CheckError, run.apply, "bake").code == "BURNT"


# --- opening again ------------------------------------------------------------------------------


def test_a_run_goes_on_in_another_process_where_it_stood(
    run: Run, world: toy.Toy, record: Path
) -> None:
    upto(run, "hang")
    run.decide(run.propose("hang"), "approve", *RM, "seen")
    run.close()
    again = world.open(record)
    assert [again.status(name) for name in toy.ORDER] == [
        "complete",
        "complete",
        "ready",
        "ready",
        "pending",
    ]
    approve(again, "hang", EXPERT)
    assert again.apply("hang").complete


def test_a_resumed_run_follows_the_recorded_plan_even_if_the_world_moved(
    run: Run, world: toy.Toy, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve(upto(run, "hang"))
    with monkeypatch.context() as patch:
        patch.setattr(world.box, "change", lambda *_: None)
        refused(VerificationError, run.apply, "hang")
    run.close()
    for knob, value in (("picture", "a house"), ("nail", "loose")):
        world.box.turn(f"knob {knob}", value)
    again = world.open(record)
    assert again.propose("hang").plan.subjects[0].size == len("a boat")
    assert again.apply("hang").complete
    assert world.box.value(key="hung") == "a boat"


def test_a_closed_run_changes_nothing_any_more(run: Run, world: toy.Toy) -> None:
    upto(run, "paint")
    run.close()
    before = world.outside
    assert refused(RecordError, run.apply, "paint").code == "RUN_NOT_HELD"
    assert world.outside == before


def other_date(_: toy.Toy) -> Release:
    return Release.parse("3.15.0a1", "alpha", "2026-05-06")


def other_version(_: toy.Toy) -> Release:
    return Release.parse("3.15.0a2", "alpha", "2026-05-05")


def other_steps(_: toy.Toy) -> Release:
    del relkit.step.STEPS["send"]
    return toy.RELEASE


STRICTER: Policy = toy.POLICY.model_copy(update={"waivers": ()})


@pytest.mark.parametrize(
    ("given", "changes", "code"),
    [
        (other_version, {}, "OTHER_RELEASE"),
        (other_date, {}, "OTHER_DATE"),
        (other_steps, {}, "STEPS_CHANGED"),
        (lambda _: toy.RELEASE, {"policy": STRICTER}, "POLICY_CHANGED"),
        (lambda _: toy.RELEASE, {"digest": "e" * 64}, "WORLD_CHANGED"),
        (lambda _: toy.RELEASE, {"name": "production"}, "WORLD_CHANGED"),
        (lambda _: toy.RELEASE, {"nonce": "nonce-2"}, "WORLD_CHANGED"),
        (lambda _: toy.RELEASE, {"rehearsal": False}, "WORLD_CHANGED"),
    ],
    ids=["version", "date", "steps", "policy", "world", "name", "nonce", "rehearsal"],
)
def test_a_run_is_not_opened_with_anything_else_than_it_was_begun_with(
    run: Run,
    world: toy.Toy,
    record: Path,
    given: Callable[[toy.Toy], Release],
    changes: dict[str, Any],
    code: str,
) -> None:
    upto(run, "hang").close()
    before = toy.tree(record)
    other = replace(world, **changes)
    assert refused(RecordError, other.open, record, given(world)).code == code
    assert toy.tree(record) == before
    if code != "STEPS_CHANGED":
        assert world.open(record).status("paint") == "complete", "and is not held by the refused"


def test_another_record_in_the_place_of_this_one_is_refused(
    run: Run, world: toy.Toy, record: Path, tmp_path: Path
) -> None:
    run.close()
    other = tmp_path / "records" / "3.15.0a2"
    world.open(other, other_version(world)).close()
    for name in ("ledger.jsonl", "ledger.head"):
        (record / name).write_bytes((other / name).read_bytes())
    assert refused(RecordError, world.open, record).code == "OTHER_RELEASE"


def test_two_runs_of_one_release_at_the_same_time_are_refused(
    run: Run, world: toy.Toy, record: Path
) -> None:
    assert refused(RecordError, world.open, record).code == "RUN_LOCKED"
    run.close()
    world.open(record).close()


def planted(record: Path, entry: log.Entry) -> None:
    """Append a well-made line that the engine never wrote."""
    ledger = Ledger.open(record, toy.Clock().now)
    ledger.append(entry)
    ledger.close()


@pytest.mark.parametrize(
    "entry",
    [
        log.Started(step="no-such-step", action=0),
        log.Planned(step="paint", digest="0" * 64, plan={}),
        log.Planned(step="paint", digest="0" * 64, plan={"actions": "all"}),
    ],
    ids=["a step that is none", "an empty plan", "a bent plan"],
)
def test_a_planted_record_is_refused(
    run: Run, world: toy.Toy, record: Path, entry: log.Entry
) -> None:
    run.close()
    planted(record, entry)
    assert refused(RecordError, world.open, record).code == "LEDGER_INVALID"
    assert refused(RecordError, History.read, record).code == "LEDGER_INVALID"


def test_a_planted_plan_must_have_the_digest_it_claims(
    run: Run, world: toy.Toy, record: Path
) -> None:
    run.apply("look")
    plan = run.propose("paint").plan
    run.close()
    data = json.loads(canonical(plan.to_data()))
    data["actions"][0]["do"]["arguments"]["value"] = "pink"
    planted(record, log.Planned(step="paint", digest=plan.digest, plan=data))
    assert refused(RecordError, world.open, record).code == "LEDGER_INVALID"


def test_a_ledger_that_does_not_begin_with_an_opening_is_refused(
    world: toy.Toy, record: Path
) -> None:
    planted(record, log.Started(step="paint", action=0))
    assert refused(RecordError, world.open, record).code == "LEDGER_INVALID"


def test_a_folder_without_a_record_is_no_history(tmp_path: Path) -> None:
    assert refused(RecordError, History.read, tmp_path).code == "NO_RECORD"
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_plans_nothing_is_complete(run: Run) -> None:
    assert run.apply("look").plan.actions == ()
    assert events(run, "look") == ["planned", "completed"]


# --- killed at any instant ----------------------------------------------------------------------


def lay_traps(world: toy.Toy, moment: Callable[[], bool]) -> None:
    """Call `moment` before, inside and after each record, and around each change outside.

    It returns True where the process is to be killed; this process is a child that ends anyway.
    """
    write, note = Ledger._write, ledger_module._write_head

    def trap() -> None:
        if moment():
            os.kill(os.getpid(), signal.SIGKILL)

    def torn_write(ledger: Ledger, line: bytes, number: int) -> None:
        trap()
        if moment():
            with ledger.path.open("ab") as file:
                file.write(line[: len(line) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        write(ledger, line, number)
        trap()

    def trapped_note(folder: Path, number: int, digest: str) -> None:
        trap()
        note(folder, number, digest)

    patch = pytest.MonkeyPatch()
    patch.setattr(Ledger, "_write", torn_write)
    patch.setattr(ledger_module, "_write_head", trapped_note)
    for one in (world.box, world.builds, world.people):
        one.moment = trap


def hasten(patch: pytest.MonkeyPatch) -> None:
    """Leave out what a killed process does not need: what is written outlives it unflushed."""
    patch.setattr(os, "fsync", lambda _: None)
    patch.setattr(relkit.run, "POLL_SECONDS", 0)


def carry_out(folder: Path, kill_at: int) -> int:
    """Carry the toy release out to the end; count the moments at which it could be killed."""
    relkit.step.STEPS.clear()
    toy.declare()
    hasten(pytest.MonkeyPatch())
    world = toy.Toy.at(folder / "world", patience_seconds=60)
    world.people.obliging = True
    moments = count()
    lay_traps(world, lambda: next(moments) == kill_at)
    run = world.open(folder / "record")
    assert [one.step.name for one in run.advance()] == list(toy.ORDER)
    run.close()
    return next(moments)


def nursery(folder: str, answer: Connection) -> None:
    """Carry out once; then fork a child for each moment, which is killed at it."""
    total = carry_out(Path(folder) / "whole", -1)
    for kill_at in range(total):
        child = os.fork()
        if child == 0:
            carry_out(Path(folder) / str(kill_at), kill_at)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    answer.send(total)


def test_a_run_killed_at_any_instant_ends_in_the_same_world_and_does_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasten(monkeypatch)
    here, there = FORK.Pipe()
    child = FORK.Process(target=nursery, args=(str(tmp_path), there))
    child.start()
    there.close()
    total = here.recv()
    child.join()
    assert total > 100
    whole = toy.Toy.at(tmp_path / "whole" / "world").outside
    for kill_at in range(total):
        folder = tmp_path / str(kill_at)
        world = toy.Toy.at(folder / "world", patience_seconds=60)
        world.people.obliging = True
        run = world.open(folder / "record")
        for _ in run.advance():
            pass
        run.close()
        assert world.outside == whole, f"killed at moment {kill_at}"
        assert_recorded_once(folder / "record")


def assert_recorded_once(folder: Path) -> None:
    entries = [one.entry for one in Ledger.read(folder, toy.Clock().now)]
    seen = Counter(
        (one.event, one.step, getattr(one, "action", None))
        for one in entries
        if isinstance(one, log.Planned | log.Done | log.Completed | log.Asked | log.Waited)
    )
    assert set(seen.values()) == {1}
    opened = [one for one in entries if isinstance(one, log.Opened)]
    assert len(opened) == 1
    decided = Counter(one.who for one in entries if isinstance(one, log.Decided))
    assert decided == {"Rika": 1, "Elif": 1}


def test_a_run_that_was_killed_says_that_it_was_taken_over(
    run: Run, world: toy.Toy, record: Path
) -> None:
    run.apply("look")
    descriptor = run.ledger.lock
    assert descriptor is not None
    os.close(descriptor.descriptor)  # what the system does when a process is killed
    again = world.open(record)
    assert isinstance(again.ledger.records[-1].entry, log.TakenOver)
    again.close()


def test_an_undo_is_recorded_with_the_action(run: Run) -> None:
    paint = upto(run, "paint").apply("paint")
    put, fill = paint.plan.actions
    assert str(put.undo) == "box.put(key=wall, value=white)"
    assert (fill.undo, fill.undo_note) == (None, "what is full stays full")
