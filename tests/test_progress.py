from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy import Toy

from relkit.errors import CheckError, WaitingError
from relkit.progress import Ticker
from relkit.run import Run

pytestmark = pytest.mark.usefixtures("toy_steps")


@pytest.fixture
def run(world: Toy, record: Path) -> Iterator[Run]:
    run = world.open(record)
    run.apply("look")
    before = signal.getsignal(signal.SIGINT)
    yield run
    assert signal.getsignal(signal.SIGINT) == before
    run.close()


def interrupts(world: Toy, *moments: int) -> None:
    """Interrupt at these of the moments before and after each change of the box."""
    passed = iter(range(100))

    def moment() -> None:
        if next(passed) in moments:
            signal.raise_signal(signal.SIGINT)

    world.box.moment = moment


def done(run: Run) -> list[int]:
    return sorted(run.progress("paint").done)


def paint(run: Run) -> None:
    with Ticker(run, lambda: None):
        run.apply("paint")


def test_an_interrupt_ends_a_step_between_two_actions(run: Run, world: Toy) -> None:
    interrupts(world, 0)
    with pytest.raises(WaitingError, match="INTERRUPTED"):
        paint(run)
    assert done(run) == [0], "the action came to its end, the next one was not begun"
    assert run.progress("paint").started == {0}
    paint(run)
    assert run.status("paint") == "complete"
    assert world.box.read()["wall"]["times"] == 1


def test_an_interrupt_of_the_last_action_stops_what_comes_after(run: Run, world: Toy) -> None:
    interrupts(world, 3)
    with pytest.raises(WaitingError, match="INTERRUPTED"):
        paint(run)
    assert run.status("paint") == "complete"


def test_a_second_interrupt_does_not_wait(run: Run, world: Toy) -> None:
    interrupts(world, 0, 1)
    with pytest.raises(WaitingError, match="INTERRUPTED"):
        paint(run)
    assert done(run) == []
    paint(run)
    assert done(run) == [0, 1]


def test_a_refusal_stays_what_it_is(run: Run, world: Toy) -> None:
    world.box.moment = lambda: (_ for _ in ()).throw(CheckError("x", code="X", remedy="y"))
    with pytest.raises(CheckError):
        paint(run)


def test_whoever_draws_hears_that_something_changed(run: Run) -> None:
    states = []
    with Ticker(run, lambda: states.append(run.status("paint"))):
        run.apply("paint")
    assert states[-1] == "complete"
