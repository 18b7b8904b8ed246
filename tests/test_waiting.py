"""What is awaited is shown with people and times, and batch waits for it up to a limit."""

from __future__ import annotations

import argparse
import time as clocks
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st

from relkit import awaiting, cli_run
from relkit.awaiting import duration, held_up, wait
from relkit.errors import GateError, RecordError, UsageError, WaitingError, WorldError
from relkit.history import History
from relkit.page import page
from relkit.run import Run
from relkit.values import Person

BAKER = Person(
    name="Bo", role="the baker", time_zone="Asia/Tokyo", identities=(toy.identity("Bo"),)
)
POLICY = toy.POLICY.model_copy(update={"people": (*toy.POLICY.people, BAKER)})

pytestmark = pytest.mark.usefixtures("toy_steps")


@pytest.fixture
def world(tmp_path: Path) -> toy.Toy:
    made = toy.Toy.at(tmp_path / "world", policy=POLICY)
    made.people.obliging = True
    made.builds.swift = False
    return made


def baking(world: toy.Toy, record: Path) -> Run:
    """Return a run that waits for the cake."""
    run = world.open(record)
    with pytest.raises(WaitingError, match="the cake"):
        list(run.advance())
    return run


# --- what is shown ----------------------------------------------------------------------------


def test_what_is_awaited_is_shown_with_people_and_times_in_their_zone(
    world: toy.Toy, record: Path
) -> None:
    run = baking(world, record)
    text = awaiting.awaited(run).text
    assert "the cake" in text
    assert "the baker (Bo)" in text
    assert "2026-05-05 12:00 UTC (Tue 21:00 Asia/Tokyo)" in text
    assert "2026-05-05 13:00 UTC (Tue 22:00 Asia/Tokyo)" in text
    assert "1 h 00 min" in text
    assert "bake" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "Tue 22:00 Asia/Tokyo" in page(run)


def test_what_is_late_is_called_overdue(world: toy.Toy, record: Path) -> None:
    run = baking(world, record)
    world.clock.time += timedelta(hours=2, minutes=5)
    assert "OVERDUE by 1 h 05 min" in awaiting.awaited(run).text


def test_what_is_there_by_now_is_awaited_no_more(world: toy.Toy, record: Path) -> None:
    run = baking(world, record)
    world.builds.set("cake", "done")
    assert awaiting.awaited(run).text == ""


def test_a_decision_is_awaited_from_each_role(world: toy.Toy, record: Path) -> None:
    world.people.obliging = False
    run = world.open(record)
    with pytest.raises(WaitingError, match="decide"):
        list(run.advance())
    text = awaiting.awaited(run).text
    assert "release-manager (Rika)" in text
    assert "expert (Elif, Emil)" in text
    assert "no limit" in text


def test_a_run_that_somebody_else_has_open_is_told_from_its_ledger(
    world: toy.Toy, record: Path
) -> None:
    baking(world, record)
    text = awaiting.awaited(History.read(record)).text
    assert "the cake" in text
    assert "the baker" in text


def test_nothing_awaited_is_nothing_shown(world: toy.Toy, record: Path) -> None:
    assert awaiting.awaited(world.open(record)).text == ""


# --- one look ---------------------------------------------------------------------------------


def test_a_run_is_held_up_until_what_it_waits_for_is_there(world: toy.Toy, record: Path) -> None:
    run = baking(world, record)
    assert held_up(run)
    world.builds.set("cake", "done")
    assert not held_up(run)


@pytest.mark.parametrize("status", ["absent", "failed"])
def test_what_was_lost_or_failed_is_not_waited_for(
    world: toy.Toy, record: Path, status: str
) -> None:
    run = baking(world, record)
    world.builds.set("cake", status)
    assert not held_up(run)


def test_a_gate_holds_up_until_all_have_answered(world: toy.Toy, record: Path) -> None:
    world.people.obliging = False
    run = world.open(record)
    with pytest.raises(WaitingError, match="decide"):
        list(run.advance())
    (request,) = world.people.requests()
    for role in request.roles:
        assert held_up(run)
        world.people.send(world.people.answer(request, role), request.key)
    assert not held_up(run)


def test_a_no_ends_the_waiting(world: toy.Toy, record: Path) -> None:
    world.people.obliging = False
    run = world.open(record)
    with pytest.raises(WaitingError, match="decide"):
        list(run.advance())
    (request,) = world.people.requests()
    no = world.people.answer(request, request.roles[0], verdict="reject")
    world.people.send(no, request.key)
    with pytest.raises(GateError):
        held_up(run)


def test_looking_changes_nothing_outside(world: toy.Toy, record: Path) -> None:
    run = baking(world, record)
    before, head = world.outside, run.ledger.head
    for _ in range(3):
        assert held_up(run)
    assert (world.outside, run.ledger.head) == (before, head)


def test_a_run_is_less_patient_than_its_world_where_it_is_told(tmp_path: Path) -> None:
    patient = toy.Toy.at(tmp_path / "world", patience_seconds=3600.0)
    patient.people.obliging = True
    patient.builds.swift = False
    run = patient.open(tmp_path / "record")
    run.patience_seconds = 0.0
    with pytest.raises(WaitingError, match="the cake"):
        list(run.advance())


# --- waiting ----------------------------------------------------------------------------------


class Time:
    """A clock that goes on by sleeping only."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.rests: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now

    def wait(self, looks: list[object], limit: float) -> bool:
        """Wait with these answers to looking; the last one stays."""
        answers = iter(looks)
        last = looks[-1]

        def look() -> bool:
            answer = next(answers, last)
            if isinstance(answer, Exception):
                raise answer
            return bool(answer)

        return wait(look, self.now + limit, sleep=self.sleep, clock=self.clock)


def test_looks_become_rare_and_never_rarer_than_a_minute() -> None:
    time = Time()
    assert not time.wait([True], limit=7200)
    assert time.rests[0] == awaiting.POLL_SECONDS
    assert sorted(time.rests[:-1]) == time.rests[:-1]
    assert max(time.rests) == awaiting.SLOWEST_SECONDS
    assert sum(time.rests) == pytest.approx(7200)


def test_it_ends_as_soon_as_nothing_holds_the_run_up() -> None:
    time = Time()
    assert time.wait([True, True, False], limit=7200)
    assert time.rests == [5.0, 7.5, 11.25]


def test_no_time_is_no_further_look() -> None:
    time = Time()
    assert not time.wait([AssertionError("looked")], limit=0)
    assert time.rests == []


def test_a_run_that_somebody_has_open_is_waited_for() -> None:
    held = RecordError("open elsewhere", code="RUN_LOCKED", remedy="Wait.")
    assert Time().wait([held, held, False], limit=600)
    broken = RecordError("cut", code="LEDGER_CUT", remedy="Look.")
    with pytest.raises(RecordError, match="cut"):
        Time().wait([broken], limit=600)


def test_a_network_that_is_away_is_waited_for_and_said_once() -> None:
    away = WorldError("no answer", code="SITE_UNREACHABLE", remedy="Look.")
    said: list[str] = []
    time = Time()
    answers = iter((away, away, False))

    def look() -> bool:
        answer: bool | WorldError = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert wait(look, time.now + 600, sleep=time.sleep, clock=time.clock, say=said.append)
    assert len(said) == 1
    assert "SITE_UNREACHABLE: no answer" in said[0]


@pytest.mark.parametrize("clock", ["monotonic", "time"])
def test_time_goes_on_by_either_clock_and_back_by_none(
    monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    """A laptop that slept has a monotonic clock that did not; a wall clock may be set back."""
    before = awaiting.clock()
    moved = getattr(clocks, clock)() + 7200
    monkeypatch.setattr(clocks, clock, lambda: moved)
    assert awaiting.clock() >= before + 7200
    monkeypatch.setattr(clocks, clock, lambda: 0.0)
    assert awaiting.clock() >= before


def test_after_a_sleep_longer_than_the_limit_there_is_one_look_and_no_more() -> None:
    time = Time()
    looks = []

    def slept(seconds: float) -> None:
        time.sleep(seconds + 10_000)

    def look() -> bool:
        looks.append(time.now)
        return True

    assert not wait(look, time.now + 7200, sleep=slept, clock=time.clock)
    assert len(looks) == 1


# --- the command ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("2h", 7200), ("1h30m", 5400), ("90m", 5400), ("2d", 172_800), ("45s", 45)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "2", "h", "-1h", "1.5h", "2h ", "2H", "1m1h", "31d", "9999d", "\u0662h", "0x1s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        duration(text)
    assert caught.value.code == "BAD_DURATION"


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    with suppress(UsageError):
        assert 0 <= duration(text) <= awaiting.LONGEST.total_seconds()


class Attempts:
    """Attempts that end with these statuses; the command is told to wait or not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *statuses: int) -> None:
        self.left = list(statuses)
        monkeypatch.setattr(cli_run, "_attempt", lambda *_: self.left.pop(0))
        monkeypatch.setattr(cli_run, "_held_up", lambda _: False)
        monkeypatch.setattr(cli_run, "_awaited", lambda _: "the table")
        monkeypatch.setattr(awaiting, "POLL_SECONDS", 0.01)

    def run(self, wait: str) -> int:
        return cli_run.run(argparse.Namespace(wait=wait))


@pytest.mark.parametrize(
    ("wait", "statuses", "left"),
    [("", [75, 1], [1]), ("0", [75, 1], [1]), ("1h", [75, 75, 1], []), ("1h", [1, 75], [75])],
    ids=["not asked to", "look once", "until it fails", "failed at once"],
)
def test_batch_waits_as_long_as_it_was_told(
    monkeypatch: pytest.MonkeyPatch, wait: str, statuses: list[int], left: list[int]
) -> None:
    attempts = Attempts(monkeypatch, *statuses)
    assert attempts.run(wait) == (1 if wait == "1h" else 75)
    assert attempts.left == left


def test_another_process_that_goes_on_with_the_run_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    attempts = Attempts(monkeypatch, 75)
    held = RecordError("open elsewhere", code="RUN_LOCKED", remedy="Wait.")
    ends = iter((75, held, 1))

    def attempt(*_: object) -> int:
        end: int | RecordError = next(ends)
        if isinstance(end, Exception):
            raise end
        return end

    monkeypatch.setattr(cli_run, "_attempt", attempt)
    assert attempts.run("1h") == 1
    assert "RUN_LOCKED: open elsewhere" in capsys.readouterr().err


def test_a_run_that_is_open_elsewhere_from_the_start_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = Attempts(monkeypatch)

    def attempt(*_: object) -> int:
        raise RecordError("open elsewhere", code="RUN_LOCKED", remedy="Wait.")

    monkeypatch.setattr(cli_run, "_attempt", attempt)
    with pytest.raises(RecordError, match="RUN_LOCKED"):
        attempts.run("1h")


def test_what_is_awaited_is_told_from_the_ledger_while_the_world_does_not_answer(
    world: toy.Toy, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    baking(world, record)

    def away(_: object) -> None:
        raise WorldError("no answer", code="SITE_UNREACHABLE", remedy="Look.")

    monkeypatch.setattr(cli_run, "open_run", away)
    monkeypatch.setattr(cli_run, "folder_of", lambda _: record)
    assert "the cake" in cli_run._awaited(argparse.Namespace())


def test_who_gives_up_waiting_says_what_is_awaited(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Attempts(monkeypatch, 75).run("0") == cli_run.WAITING
    assert "the table" in capsys.readouterr().err
