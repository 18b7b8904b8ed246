"""What no step foresaw: one guarded action."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import toy
from test_run import (
    RM,
    WHY,
    events,
    interrupt_at,
    on_disk,
    refused,
    unchanged,
    upto,
)

from relkit import deviation, ports
from relkit.errors import UsageError, VerificationError
from relkit.history import History
from relkit.run import Run

pytestmark = pytest.mark.usefixtures("toy_steps")
BOX = {"key": "door", "value": "open"}
DO: dict[str, Any] = {
    "do": ("box", "put", BOX),
    "read": ("box", "value", {"key": "door"}),
    "expected": "open",
    "undo": ("box", "put", {"key": "door", "value": "shut"}),
}
SAID: dict[str, Any] = {"who": RM[0], "role": RM[1], "reason": "the key was lost"}


@pytest.fixture
def run(world: toy.Toy, record: Path) -> Run:
    return world.open(record)


def test_a_deviation_is_recorded_before_and_after_and_flagged_for_ever(
    run: Run, world: toy.Toy, record: Path
) -> None:
    seen: list[str] = []
    world.box.moment = lambda: seen.append(events(run)[-1])
    run.deviate(**DO, **SAID)
    assert set(seen) == {"deviated"}
    assert events(run)[-2:] == ["deviated", "deviation-done"]
    for history in (run, History.read(record)):
        (found,) = history.deviations
        assert (found.entry.who, found.entry.reason) == ("Rika", "the key was lost")
        assert str(found.action.do) == "box.put(key=door, value=open)"
        assert found.done is not None
        assert (found.done.found, found.done.evidence) == (False, "open")


def test_a_deviation_cell_that_is_run_twice_does_nothing_twice(run: Run, world: toy.Toy) -> None:
    run.deviate(**DO, **SAID)
    before = on_disk(run)
    run.deviate(**DO, **SAID)
    assert on_disk(run) == before
    assert world.box.read()["door"]["times"] == 1
    world.box.put(key="door", value="jammed")
    run.deviate(**DO, **SAID)
    assert len(run.deviations) == 2, "it was undone by somebody, and done again"


def test_a_deviation_that_was_cut_off_asks_anew(
    run: Run, world: toy.Toy, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for moment in (0, 1):
        with monkeypatch.context() as patch:
            patch.setattr(world.box, "moment", interrupt_at(moment))
            with pytest.raises(KeyboardInterrupt):
                run.deviate(**DO, **SAID)
        run.close()
        run = world.open(record)
    done = run.deviate(**DO, **SAID)
    assert done.done is not None
    assert done.done.found is False
    assert events(run).count("deviated") == 1
    assert world.box.read()["door"]["times"] == 1


def test_a_deviation_that_finds_its_end_reached_says_so(run: Run, world: toy.Toy) -> None:
    world.box.put(key="door", value="open")
    done = run.deviate(**DO, **SAID).done
    assert done is not None
    assert done.found
    run.abandon(*WHY)
    assert world.box.read()["door"] == {"value": "open", "times": 1}, "not ours to take back"


def test_a_deviation_that_does_not_work_is_told(
    run: Run, world: toy.Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(world.box, "change", lambda *_: None)
        assert refused(VerificationError, partial(run.deviate, **DO, **SAID)).code == "READ_BACK"
    assert run.deviations[0].done is None
    run.deviate(**DO, **SAID)
    assert len(run.deviations) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"do": ("cellar", "put", BOX)}, "PORT_UNKNOWN"),
        ({"do": ("policy", "model_copy", {})}, "PORT_UNKNOWN"),
        ({"do": ("nonce", "upper", {})}, "PORT_UNKNOWN"),
        ({"do": ("__class__", "put", BOX)}, "PORT_UNKNOWN"),
        ({"do": ("box", "burn", {})}, "METHOD_UNFIT"),
        ({"do": ("people", "testify", {"testimony": {}})}, "METHOD_UNFIT"),
        ({"undo": ("people", "tell", {})}, "METHOD_UNFIT"),
        ({"do": ("box", "value", {"key": "door"})}, "METHOD_UNFIT"),
        ({"do": ("box", "__init__", {})}, "METHOD_UNFIT"),
        ({"do": ("box", "_put", BOX)}, "METHOD_UNFIT"),
        ({"read": ("box", "put", BOX)}, "METHOD_UNFIT"),
        ({"undo": ("box", "value", {"key": "door"})}, "METHOD_UNFIT"),
        ({"do": ("box", "put", {"key": "door"})}, "ARGUMENTS_UNFIT"),
        ({"do": ("box", "put", {**BOX, "more": 1})}, "ARGUMENTS_UNFIT"),
        ({"do": ("box", "put", {"key": 1, "value": []})}, "ARGUMENTS_UNFIT"),
        ({"do": ("box", "put", ["door"])}, "ARGUMENTS_UNFIT"),
        ({"do": ("box", "put", {"self": 1, **BOX})}, "ARGUMENTS_UNFIT"),
        ({"undo": None}, "UNDO_MISSING"),
        ({"undo": None, "note": "  "}, "UNDO_MISSING"),
        ({"note": "both"}, "UNDO_MISSING"),
    ],
)
def test_a_deviation_is_refused_before_anything_happens(
    run: Run, change: dict[str, Any], code: str
) -> None:
    call = partial(run.deviate, **{**DO, **change}, **SAID)
    assert unchanged(run, UsageError, call) == code


def test_the_ports_of_a_real_world_are_told_apart_by_what_they_return(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deviation.methods_of(ports.Tracker)["relabel"] is True
    assert deviation.methods_of(ports.Tracker)["labels"] is False
    monkeypatch.setattr(type(run.world), "__annotations__", ports.World.__annotations__)
    monkeypatch.setattr(type(run.world), "__module__", "relkit.ports")
    call = run._call(("tracker", "relabel", {"number": 1, "remove": "a", "add": ""}), writes=True)
    assert str(call) == "tracker.relabel(number=1, remove=a, add=)"


def test_a_respin_leaves_deviations_and_says_so_and_abandoning_takes_them_back(
    run: Run, world: toy.Toy
) -> None:
    upto(run, "hang")
    run.deviate(**DO, **SAID)
    run.respin("paint", *WHY)
    assert run.respun[0].stays[-1] == "deviation: box.put: of no step"
    assert world.box.value(key="door") == "open"
    run.abandon(*WHY)
    assert world.box.value(key="door") == "shut"
    (found,) = run.deviations
    assert found.taken_back is not None
