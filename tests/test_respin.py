"""The way back: respin and abandon."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import toy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_deviation import DO
from test_run import (
    EXPERT,
    RM,
    WHY,
    approve,
    events,
    hasten,
    interrupt_at,
    lay_traps,
    refused,
    unchanged,
    upto,
)

import relkit.step
from relkit import records as log
from relkit.errors import (
    CheckError,
    GateError,
    OrderError,
    RecordError,
    UsageError,
    VerificationError,
    WaitingError,
)
from relkit.history import History
from relkit.ledger import Ledger
from relkit.plan import Action, Expect, Plan
from relkit.release import Release
from relkit.run import Run
from relkit.standing import Progress
from relkit.step import Results, Step, step

pytestmark = pytest.mark.usefixtures("toy_steps")
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["toy"])


@pytest.fixture
def run(world: toy.Toy, record: Path) -> Run:
    return world.open(record)


def whole(run: Run) -> Run:
    """Carry out everything."""
    toy.toy_of(run.world).builds.set("cake", "done")
    for one in toy.ORDER:
        if one == "hang":
            approve(run)
        run.apply(one)
    return run


def baked(run: Run) -> Run:
    """Have the cake baked by this run."""
    for one in ("look", "paint"):
        run.apply(one)
    refused(WaitingError, run.apply, "bake")
    run.apply("bake")
    return run


def taken_back(run: Run) -> list[tuple[str, int]]:
    found = [one.entry for one in Ledger.read(run.ledger.path.parent, toy.Clock().now)]
    return [(one.step, one.action) for one in found if isinstance(one, log.TakenBack)]


def stopped(run: Run) -> list[tuple[str, str]]:
    found = [one.entry for one in Ledger.read(run.ledger.path.parent, toy.Clock().now)]
    return [(one.step, one.what) for one in found if isinstance(one, log.Stopped)]


# --- respin: what is taken back -----------------------------------------------------------------


def test_a_respin_takes_back_the_step_and_all_that_needs_it_and_nothing_else(
    run: Run, world: toy.Toy
) -> None:
    whole(run)
    assert run.respin("paint", *WHY) == 2
    assert [run.status(one) for one in toy.ORDER] == [
        "complete",
        "ready",
        "complete",
        "pending",
        "pending",
    ]
    assert world.box.value(key="wall") == "white"
    assert world.box.value(key="hung") == "a boat", "hanging does not need the paint"
    assert taken_back(run) == [("paint", 0)]


def test_what_was_done_is_taken_back_in_the_reverse_order_of_the_ledger(run: Run) -> None:
    whole(run).respin("look", *WHY)
    assert taken_back(run) == [("hang", 0), ("paint", 0)]
    kinds = [one.entry.event for one in run.ledger][-4:]
    assert kinds == ["respun", "taken-back", "taken-back", "revised"]


def test_the_record_names_the_scope_the_reason_and_what_stays(run: Run) -> None:
    whole(run).respin("paint", *WHY)
    (respun,) = run.respun
    assert (respun.revision, respun.step, respun.scope) == (1, "paint", ("paint", "bake", "send"))
    assert (respun.who, respun.role, respun.reason) == WHY
    assert [one.partition(": ")[0] for one in respun.stays] == ["paint", "send"]
    assert respun.stays[1].endswith(": a message stays sent")
    assert [one.revision for one in run.ledger][-3:] == [1, 1, 2]


def test_only_what_was_begun_is_in_the_scope(run: Run) -> None:
    upto(run, "hang").respin("look", *WHY)
    assert run.respun[0].scope == ("look", "paint")


def test_what_was_found_done_stays(run: Run, world: toy.Toy) -> None:
    run.apply("look")
    world.box.put(key="wall", value="blue")
    run.apply("paint")
    run.respin("paint", *WHY)
    assert world.box.read()["wall"] == {"value": "blue", "times": 1}
    assert taken_back(run) == []


def test_what_was_begun_and_not_finished_is_taken_back_too(
    run: Run, world: toy.Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.apply("look")
    with monkeypatch.context() as patch:
        patch.setattr(world.box, "moment", interrupt_at(1))
        with pytest.raises(KeyboardInterrupt):
            run.apply("paint")
    assert events(run, "paint") == ["planned", "started"]
    assert world.box.value(key="wall") == "blue"
    run.respin("paint", *WHY)
    assert world.box.value(key="wall") == "white"
    assert taken_back(run) == [("paint", 0)]


def test_what_does_not_hold_any_more_is_not_undone_again(run: Run, world: toy.Toy) -> None:
    upto(run, "hang")
    world.box.put(key="wall", value="papered")
    run.respin("paint", *WHY)
    assert world.box.value(key="wall") == "papered"
    assert taken_back(run) == [("paint", 0)]


def test_what_a_wait_set_going_is_stopped_in_its_turn(run: Run, world: toy.Toy) -> None:
    world.builds.swift = False
    for one in ("look", "paint"):
        run.apply(one)
    refused(WaitingError, run.apply, "bake")
    upto(run, "hang")
    approve(run)
    run.apply("hang")
    run.respin("look", *WHY)
    assert world.builds.status(name="cake") == "absent"
    kinds = [one.entry.event for one in run.ledger][-5:]
    assert kinds == ["respun", "taken-back", "stopped", "taken-back", "revised"]
    assert (taken_back(run), stopped(run)) == (
        [("hang", 0), ("paint", 0)],
        [("bake", "the cake")],
    )


def test_what_was_set_going_and_came_to_its_end_is_stopped_too(run: Run, world: toy.Toy) -> None:
    baked(run).respin("bake", *WHY)
    assert (world.builds.status(name="cake"), stopped(run)) == ("absent", [("bake", "the cake")])
    baked(run)
    assert world.builds.starts(name="cake") == 2
    run.respin("bake", *WHY)
    assert stopped(run) == [("bake", "the cake")] * 2


def test_what_was_lost_and_set_going_again_is_stopped_once(run: Run, world: toy.Toy) -> None:
    world.builds.swift = False
    for one in ("look", "paint"):
        run.apply(one)
    for _ in range(2):
        refused(WaitingError, run.apply, "bake")
        world.builds.set("cake", "absent")
    run.abandon(*WHY)
    assert stopped(run) == [("bake", "the cake")]


def test_what_nobody_of_this_run_set_going_or_beside_the_scope_goes_on(
    run: Run, world: toy.Toy
) -> None:
    world.builds.set("cake", "running")
    for one in ("look", "paint"):
        run.apply(one)
    refused(WaitingError, run.apply, "bake")
    run.respin("paint", *WHY)
    assert (world.builds.status(name="cake"), stopped(run)) == ("running", [])
    world.builds.set("cake", "absent")
    run.apply("paint")
    refused(WaitingError, run.apply, "bake")
    upto(run, "hang")
    run.decide(run.propose("hang"), "approve", *EXPERT, "seen")
    refused(WaitingError, run.apply, "hang")
    run.respin("hang", *WHY)
    assert stopped(run) == [], "hanging does not need the cake"


def test_a_stop_that_fails_is_called_again_by_the_same_command(
    run: Run, world: toy.Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    baked(run)
    with monkeypatch.context() as patch:
        patch.setattr(world.builds, "moment", interrupt_at(1))
        with pytest.raises(KeyboardInterrupt):
            run.respin("bake", *WHY)
    assert stopped(run) == []
    assert refused(OrderError, run.apply, "bake").code == "RESPIN_UNFINISHED"
    assert run.respin("bake", *WHY) == 2
    assert stopped(run) == [("bake", "the cake")]


def test_a_record_without_the_call_that_stops_is_read_and_written_as_it_was() -> None:
    line = {"event": "set-going", "step": "bake", "what": "the cake", "again": False}
    entry = log.SetGoing.model_validate(line)
    assert (entry.stop, entry.to_data()) == (None, line)
    progress = Progress()
    progress.add(log.Record(number=1, at=toy.NOW, revision=1, previous="0" * 64, entry=entry))
    assert progress.going == {}


def test_an_undo_that_does_not_work_stops_the_respin_which_can_then_be_run_again(
    run: Run, world: toy.Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    upto(run, "hang")
    with monkeypatch.context() as patch:
        patch.setattr(world.box, "change", lambda *_: None)
        error = refused(VerificationError, run.respin, "paint", *WHY)
    assert error.code == "READ_BACK"
    assert "box.put(key=wall, value=white)" in str(error)
    assert (taken_back(run), run.revision) == ([], 1)
    assert refused(OrderError, run.apply, "look").code == "RESPIN_UNFINISHED"
    assert run.respin("paint", *RM, "other words") == 2
    assert [one.reason for one in run.respun] == [WHY[2]]


def test_a_waits_deadline_and_a_gates_decisions_begin_anew(run: Run, world: toy.Toy) -> None:
    upto(run, "hang")
    refused(WaitingError, run.apply, "hang")
    run.respin("hang", *WHY)
    assert run.progress("hang").records == []
    assert run.status("hang") == "ready"
    old = world.people.requests()[-1]
    world.people.send(world.people.answer(old, "expert"), old.key)
    refused(WaitingError, run.apply, "hang")
    new = max(world.people.requests(), key=lambda one: one.revision)
    assert (old.revision, new.revision, old.nonce) == (1, 2, new.nonce)
    assert old.digest != new.digest
    assert events(run, "hang").count("decided") == 0, "an answer to the old request is of no use"


def test_a_rejection_is_overcome_by_a_respin_and_a_new_decision(run: Run, world: toy.Toy) -> None:
    upto(run, "hang")
    run.decide(run.propose("hang"), "reject", *EXPERT, "upside down")
    assert refused(GateError, run.apply, "hang").code == "GATE_REJECTED"
    run.respin("look", *WHY)
    world.box.turn("knob colour", "red")
    upto(run, "hang")
    approve(run)
    assert run.apply("hang").complete
    assert world.box.value(key="wall") == "red"


def test_after_a_respin_the_run_goes_to_its_end_and_hands_on_the_new_results(
    run: Run, world: toy.Toy
) -> None:
    whole(run)
    run.respin("look", *WHY)
    world.box.turn("knob colour", "red")
    assert whole(run).complete
    assert run.results[relkit.step.STEPS["look"]] == toy.Seen(colour="red")
    assert (world.box.value(key="wall"), world.box.value(key="hung")) == ("red", "a boat")
    plans = [run.progress(one).plan for one in toy.ORDER]
    assert {one.revision for one in plans if one is not None} == {2}


# --- respin: what stays to be seen --------------------------------------------------------------


def test_the_superseded_stays_visible_with_its_plans_and_decisions(run: Run, record: Path) -> None:
    whole(run).respin("hang", *WHY)
    for history in (run, History.read(record)):
        first, second = history.superseded
        assert [(one.revision, one.step) for one in (first, second)] == [(1, "hang"), (1, "send")]
        assert [one.who for one in first.progress.decisions] == ["Rika", "Elif"]
        assert first.progress.plan is not None
        assert list(first.progress.taken_back) == [0]
        assert second.progress.result == {}
        assert history.revision == history.ledger.revision == 2


def test_messages_of_a_new_revision_are_new_ones(run: Run, world: toy.Toy) -> None:
    whole(run).respin("send", *WHY)
    run.apply("send")
    assert set(world.people.read()) >= {"nonce-1-party", "nonce-1-r2-party"}


def test_only_what_depends_on_the_respun_step_has_a_new_nonce(run: Run) -> None:
    whole(run).respin("paint", *WHY)
    found = {one: run.nonce_of(one) for one in toy.ORDER}
    assert {one for one, nonce in found.items() if nonce == "nonce-1"} == {"look", "hang"}
    assert {nonce for one, nonce in found.items() if one in {"paint", "bake", "send"}} == {
        "nonce-1-r2"
    }
    assert run.inputs.nonce == "nonce-1"


def test_a_second_respin_counts_on(run: Run, world: toy.Toy, record: Path) -> None:
    whole(run).respin("send", *WHY)
    run.apply("send")
    assert run.respin("send", *WHY) == 3
    run.apply("send")
    assert "nonce-1-r3-party" in world.people.read()
    run.close()
    again = world.open(record)
    assert (again.revision, again.complete, len(again.superseded)) == (3, True, 2)


# --- respin: what is refused --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "role", "reason", "code"),
    [
        (*RM, " ", "REASON_MISSING"),
        ("Elif", RM[1], "so", "NOT_IN_ROLE"),
        ("Rika", "expert", "so", "NOT_IN_ROLE"),
        ("Rika", "baker", "so", "NOT_AT_THE_NOTEBOOK"),
    ],
)
def test_who_may_not_speak_or_gives_no_reason_takes_nothing_back(
    run: Run, who: str, role: str, reason: str, code: str
) -> None:
    whole(run)
    words = (who, role, reason)
    deviate = partial(run.deviate, **DO, who=who, role=role, reason=reason)
    assert unchanged(run, GateError, run.respin, "paint", *words) == code
    assert unchanged(run, GateError, run.abandon, *words) == code
    assert unchanged(run, GateError, deviate) == code
    assert unchanged(run, GateError, run.hand_over, "Nora", *words) == code


def test_an_unknown_step_and_one_that_never_began_are_refused(run: Run) -> None:
    upto(run, "hang")
    assert unchanged(run, UsageError, run.respin, "rm -rf", *WHY) == "STEP_UNKNOWN"
    assert unchanged(run, OrderError, run.respin, "bake", *WHY) == "NOTHING_BEGUN"


def test_a_step_that_is_stuck_before_it_began_can_be_made_anew(run: Run, world: toy.Toy) -> None:
    """A build that failed before anybody waited for it is nowhere in the ledger."""
    upto(run, "hang")
    world.builds.set("cake", "failed")
    assert refused(CheckError, run.apply, "bake").code == "BURNT"
    assert run.progress("bake").records == []
    assert run.respin("bake", *WHY) == 2
    assert (run.respun[0].scope, run.nonce_of("send")) == ((), "nonce-1-r2")


def test_a_revision_that_cannot_be_written_down_has_not_begun(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    upto(run, "hang")
    write = Ledger._write

    def full(ledger: Ledger, line: bytes, number: int) -> None:
        if b'"revised"' in line:
            raise RecordError("no space", code="RECORD_NOT_WRITTEN", remedy="Make some.")
        write(ledger, line, number)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_write", full)
        assert refused(RecordError, run.respin, "paint", *WHY).code == "RECORD_NOT_WRITTEN"
    assert (run.revision, run.ledger.revision) == (1, 1)
    assert run.respin("paint", *WHY) == 2


def test_there_is_no_way_back_from_what_is_irreversible(run: Run, world: toy.Toy) -> None:
    toy.declare_more()
    run = world.open(run.ledger.path.parent.with_name("more"))
    for one in ("quiet", "buy"):
        world.box.turn("knob candles", "yes")
        run.apply("look") if one == "quiet" else None
        run.apply(one)
    whole(run)
    world.box.turn("knob rain", "much")
    refused(CheckError, run.apply, "sing")
    run.respin("send", *WHY)
    world.box.turn("knob rain", "")
    run.apply("send")
    run.apply("sing")
    assert unchanged(run, OrderError, run.respin, "paint", *WHY) == "NO_WAY_BACK"
    assert unchanged(run, OrderError, run.abandon, *WHY) == "NO_WAY_BACK"
    assert run.respin("buy", *WHY) == 3, "what the song does not need can be taken back"


def test_an_irreversible_action_that_may_have_been_done_counts(
    run: Run, world: toy.Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.declare_more()
    run = whole(world.open(run.ledger.path.parent.with_name("more")))
    with monkeypatch.context() as patch:
        patch.setattr(world.box, "change", lambda *_: None)
        refused(VerificationError, run.apply, "sing")
    assert unchanged(run, OrderError, run.respin, "look", *WHY) == "NO_WAY_BACK"


@pytest.mark.parametrize(
    "entry",
    [
        log.Revised(revision=2),
        log.Revised(revision=1),
        log.Abandoned(who="Rika", role=RM[1], reason="so", skipped=False),
        log.Respun(revision=2, step="look", scope=("look",), who="R", role="r", reason="r"),
        log.Respun(revision=1, step="look", scope=("cellar",), who="R", role="r", reason="r"),
        log.DeviationDone(number=3, found=False, evidence=""),
        log.Stopped(step="bake", what="the cake"),
        log.SetGoing(
            step="bake",
            what="the cake",
            again=False,
            stop={"port": "ledger", "method": "_write", "arguments": {}},
        ),
    ],
    ids=[
        *("revision", "same revision", "end", "other revision", "other step", "deviation"),
        *("stop of nothing", "private stop"),
    ],
)
def test_a_planted_turn_of_the_run_is_refused(
    run: Run, world: toy.Toy, record: Path, entry: log.Entry
) -> None:
    run.apply("look")
    run.close()
    ledger = Ledger.open(record, toy.Clock().now)
    ledger.append(entry)
    ledger.close()
    assert refused(RecordError, world.open, record).code == "LEDGER_INVALID"
    assert refused(RecordError, History.read, record).code == "LEDGER_INVALID"


# --- a respin that was cut off ------------------------------------------------------------------


def interrupted(run: Run, monkeypatch: pytest.MonkeyPatch, call: Callable[[], object]) -> None:
    """Let a call end in the middle of taking back."""
    box = toy.toy_of(run.world).box
    with monkeypatch.context() as patch:
        patch.setattr(box, "moment", interrupt_at(0))
        with pytest.raises(KeyboardInterrupt):
            call()


def test_a_run_in_the_middle_of_a_respin_does_nothing_else(
    run: Run, world: toy.Toy, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole(run)
    proposal = run.propose("hang")
    interrupted(run, monkeypatch, partial(run.respin, "paint", *WHY))
    run.close()
    again = world.open(record)
    for call in (
        partial(again.apply, "paint"),
        partial(again.apply, "send"),
        partial(again.respin, "hang", *WHY),
        partial(again.abandon, *WHY),
        partial(again.hand_over, "Nora", *WHY),
        partial(again.deviate, **DO, who=RM[0], role=RM[1], reason="so"),
        partial(again.testify, "bell", *EXPERT, "rung"),
    ):
        error = refused(OrderError, call)
        assert error.code == "RESPIN_UNFINISHED"
        assert "relkit respin 3.15.0a1 --from paint" in error.remedy
    assert refused(GateError, again.decide, proposal, "approve", *WHY).code == "NO_GATE"
    assert again.respin("paint", *WHY) == 2
    assert again.apply("paint").complete


def kill(folder: Path, way: str, kill_at: int) -> int:
    """Carry the toy release out, take it back, go on; count the moments of taking back."""
    relkit.step.STEPS.clear()
    toy.declare()
    hasten(pytest.MonkeyPatch())
    world = obliging(folder)
    run = world.open(folder / "record")
    for _ in run.advance():
        pass
    moments = count()
    lay_traps(world, lambda: next(moments) == kill_at)
    take_back(run, way)
    run.close()
    return next(moments)


def obliging(folder: Path) -> toy.Toy:
    world = toy.Toy.at(folder / "world", patience_seconds=60)
    world.people.obliging = True
    return world


def take_back(run: Run, way: str) -> None:
    """Do what a person does, who runs the command until it has come to its end."""
    if way == "abandon":
        if run.abandoned is None:
            run.abandon(*WHY, skipped=True)
        return
    if run.revision == 1:
        run.respin("look", *WHY)
    for _ in run.advance():
        pass


def nursery(folder: str, way: str, answer: Connection) -> None:
    total = kill(Path(folder) / "whole", way, -1)
    for kill_at in range(total):
        child = os.fork()
        if child == 0:
            kill(Path(folder) / str(kill_at), way, kill_at)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    answer.send(total)


@pytest.mark.parametrize("way", ["respin", "abandon"])
def test_taking_back_that_is_killed_at_any_instant_ends_in_the_same_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    hasten(monkeypatch)
    here, there = FORK.Pipe()
    child = FORK.Process(target=nursery, args=(str(tmp_path), way, there))
    child.start()
    there.close()
    total = here.recv()
    child.join()
    assert total > (15 if way == "abandon" else 100)
    expected = obliging(tmp_path / "whole").outside
    for kill_at in range(total):
        folder = tmp_path / str(kill_at)
        world = obliging(folder)
        run = world.open(folder / "record")
        take_back(run, way)
        run.close()
        assert world.outside == expected, f"killed at moment {kill_at}"
        assert taken_back(run) == [("hang", 0), ("paint", 0)]
        assert stopped(run) == [("bake", "the cake")]
        assert len(run.respun) == 1
        assert (run.abandoned is not None) == (way == "abandon")


# --- any recipe, stopped anywhere ---------------------------------------------------------------


def chain(number: int, after: list[Step[Any]], actions: int) -> Step[Any]:
    """Declare a step of some actions, each with its way back."""

    def planner(_release: Release, world: Any, _results: Results) -> Plan:  # noqa: ANN401 (a toy)
        box = toy.toy_of(world).box
        for one in range(actions):
            key = f"{number}-{one}"
            yield Action(
                do=partial(box.put, key=key, value="done"),
                done=Expect(partial(box.value, key=key), equals="done"),
                undo=partial(box.put, key=key, value="back"),
            )

    planner.__name__ = f"s{number}"
    return step(phase="p", where="w", after=after)(planner)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_recipe_is_taken_back_from_anywhere_and_carried_out_again(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("any")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relkit.step, "STEPS", {})
        made: list[Step[Any]] = []
        for number in range(data.draw(st.integers(1, 6))):
            after = data.draw(st.lists(st.sampled_from(made), unique=True)) if made else []
            made.append(chain(number, after, data.draw(st.integers(0, 2))))
        world = toy.Toy.at(folder / "world")
        run = world.open(folder / "record")
        names = [one.name for one in made][: data.draw(st.integers(1, len(made)))]
        for name in names:
            run.apply(name)
        done = [one for one in run.ledger if isinstance(one.entry, log.Done)]
        start = data.draw(st.sampled_from(names))
        closure = set(run.dependent(start))
        run.respin(start, *WHY)
        order = [(one.entry.step, one.entry.action) for one in done]  # type: ignore[union-attr] # Done
        assert taken_back(run) == [one for one in reversed(order) if one[0] in closure]
        assert {one for one in run.steps if run.status(one) == "complete"} == {*names} - closure
        assert History.read(folder / "record").superseded == run.superseded
        run.close()
        run = world.open(folder / "record")
        assert all(one.complete for one in run.advance())
        found = world.box.read().values()
        assert {one["value"] for one in found} <= {"done"}
        assert {one["times"] for one in found} <= {1, 3}


# --- abandon ------------------------------------------------------------------------------------


def test_an_abandoned_run_is_taken_back_whole_and_over(
    run: Run, world: toy.Toy, record: Path
) -> None:
    """I59: a version could not be given up."""
    whole(run)
    run.abandon(*WHY, skipped=True)
    assert (world.box.value(key="wall"), world.box.value(key="hung")) == ("white", "")
    run.close()
    for history in (world.open(record), History.read(record)):
        assert history.abandoned == log.Abandoned(
            who=RM[0], role=RM[1], reason=WHY[2], skipped=True
        )
        assert {history.status(one) for one in toy.ORDER} == {"pending"}
        assert [one.step for one in history.superseded] == list(toy.ORDER)
        assert (history.complete, history.revision) == (False, 1)
        assert refused(OrderError, history.require_going).code == "ABANDONED"


def test_nothing_is_done_in_an_abandoned_run(run: Run) -> None:
    upto(run, "hang")
    run.abandon(*WHY)
    calls: list[Callable[[], object]] = [
        *(partial(run.apply, one) for one in toy.ORDER),
        partial(run.respin, "look", *WHY),
        partial(run.abandon, *WHY),
        partial(run.deviate, **DO, who=RM[0], role=RM[1], reason="so"),
        partial(run.hand_over, "Nora", *WHY),
    ]
    for call in calls:
        assert unchanged(run, OrderError, call) == "ABANDONED"


def test_a_run_can_be_abandoned_before_anything_began(run: Run) -> None:
    run.abandon(*WHY)
    assert [one.entry.event for one in run.ledger] == ["opened", "respun", "abandoned"]


def test_abandoning_that_was_cut_off_goes_on_with_its_first_words(
    run: Run, world: toy.Toy, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole(run)
    interrupted(run, monkeypatch, partial(run.abandon, *WHY, skipped=True))
    run.close()
    again = world.open(record)
    error = refused(OrderError, again.apply, "look")
    assert "relkit abandon 3.15.0a1" in error.remedy
    assert refused(OrderError, again.respin, "look", *WHY).code == "RESPIN_UNFINISHED"
    again.abandon(*RM, "again")
    assert again.abandoned is not None
    assert (again.abandoned.reason, again.abandoned.skipped) == (WHY[2], True)


# --- other releases -----------------------------------------------------------------------------


def test_picks_are_part_of_what_a_run_is_opened_with(world: toy.Toy, tmp_path: Path) -> None:
    first, other = "a" * 40, "b" * 40
    asked = partial(Release.parse, "3.15.0rc2", "rc", "2026-09-01")
    record = tmp_path / "records" / "3.15.0rc2"
    world.open(record, asked(first)).close()
    assert History.read(record).release.picks == (first,)
    assert History.read(record).inputs.picks == (first,)
    for picks in (other, "", f"{first} {other}"):
        assert refused(RecordError, world.open, record, asked(picks)).code == "OTHER_RELEASE"
    world.open(record, asked(first)).close()


def test_a_transition_is_named_after_its_branch(world: toy.Toy, tmp_path: Path) -> None:
    release = Release.parse("3.13", "begin-security-only", "2026-10-08")
    record = tmp_path / release.key
    run = world.open(record, release)
    assert (run.inputs.version, run.inputs.kind) == ("3.13", "begin-security-only")
    assert History.read(record).release == release
    assert refused(RecordError, replace(world).open, record, toy.RELEASE).code == "RUN_LOCKED"
    run.close()
    assert refused(RecordError, world.open, record, toy.RELEASE).code == "OTHER_RELEASE"
