"""A rehearsal killed at 25 instants spread over its whole duration ends in 25 equal worlds.

Each is killed once, from a copy of a rehearsal that stands shortly before the instant, and run
again to its end. Twenty run without a notebook, five through papermill.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import rehearsals
from cells import read
from rehearsals import DATE, VERSION

from relkit.errors import RecordError
from relkit.history import History
from relkit.seal import Seal

pytestmark = pytest.mark.slow
SEED = "3.15.0a1"
BARE, NOTEBOOKS = 20, 5


@pytest.fixture(scope="session")
def calm(snapshots: Path) -> dict[str, Any]:
    """Return what the world is after a rehearsal that nobody killed."""
    return rehearsals.calm_world(snapshots)


def instant(snapshots: Path, number: int) -> tuple[str, float]:
    """Return a step and the seconds since it was begun: one instant in each twentieth of a run."""
    seconds = json.loads((snapshots / rehearsals.SECONDS).read_text())
    chance = random.Random(f"{SEED} {number}")  # noqa: S311 (instants, not secrets)
    rest = (number + chance.random()) / BARE * sum(seconds.values())
    for name, taken in seconds.items():
        if rest < taken:
            return name, rest
        rest -= taken
    return "close-run", seconds["close-run"]


def kill_within(records: Path, snapshots: Path, step: str, seconds: float) -> None:
    """Run without a notebook, and kill that process some seconds after a step was begun."""
    if step != "opened":
        rehearsals.copy(snapshots / rehearsals.stand_before(step), records)
    with rehearsals.started(*rehearsals.bare(records)) as child:
        assert child.stdout is not None
        if step == "opened":
            rehearsals.await_that((records / "world").exists, "no world was begun")
        else:
            names = ["opened", *rehearsals.STEPS]
            rehearsals.await_line(child.stdout, names[names.index(step) - 1])
        time.sleep(seconds)
        os.killpg(child.pid, signal.SIGKILL)
        assert child.wait() in {-signal.SIGKILL, 0}  # the last instant may come too late


@pytest.mark.parametrize("number", range(BARE))
def test_a_killed_run_that_is_run_again_ends_in_the_same_world(
    number: int, snapshots: Path, calm: dict[str, Any], tmp_path: Path
) -> None:
    records = tmp_path / "records"
    step, seconds = instant(snapshots, number)
    kill_within(records, snapshots, step, seconds)
    if number % 2:
        rehearsals.kill_builds(records)
    with rehearsals.opened_at(records) as opened:
        list(rehearsals.advance(opened))
        assert rehearsals.final_world(opened) == calm, f"killed {seconds:.2f} s into {step}"
    assert_sound(records)


def assert_sound(records: Path) -> None:
    history = History.read(records / VERSION)
    assert history.complete
    assert not rehearsals.done_twice(history)


# --- papermill ---------------------------------------------------------------------------------


def lines(records: Path) -> int:
    with suppress(FileNotFoundError):
        return (records / VERSION / "ledger.jsonl").read_bytes().count(b"\n")
    return 0


def rehearse(records: Path) -> tuple[str | Path, ...]:
    return (rehearsals.BIN / "relkit", "rehearse", VERSION, "--date", DATE, "--records", records)


@pytest.mark.parametrize("number", range(NOTEBOOKS))
def test_a_killed_notebook_that_is_run_again_ends_in_the_same_world(
    number: int, snapshots: Path, calm: dict[str, Any], tmp_path: Path
) -> None:
    records = tmp_path / "records"
    chance = random.Random(f"{SEED} notebook {number}")  # noqa: S311 (instants, not secrets)
    part = (number + chance.random()) / NOTEBOOKS
    record = int(2 + part * (lines(snapshots / "whole") - 4))
    stand = [one for one in rehearsals.STANDS if lines(snapshots / one) < record][-1]
    rehearsals.copy(snapshots / stand, records)
    victims = ("everything", "the kernel", "papermill")[number % 3]
    with rehearsals.started(*rehearse(records)) as command:
        rehearsals.await_that(lambda: lines(records) >= record, f"record {record} did not come")
        kill(victims, command, records)
        assert command.wait(rehearsals.PATIENCE_SECONDS) != 0
    assert_true_marks(records, victims)
    rehearse_again(records)
    with rehearsals.opened_at(records) as opened:
        assert rehearsals.final_world(opened) == calm, f"{victims} killed at record {record}"
    assert_sound(records)
    assert_sealed(records)


def kill(victims: str, command: subprocess.Popen[str], records: Path) -> None:
    kernels = rehearsals.kernels_of(command.pid)
    assert kernels
    if victims != "the kernel":
        rehearsals.kill_group(command.pid)
    if victims != "papermill":
        for kernel in kernels:
            rehearsals.kill_group(kernel)
    if victims == "everything":
        rehearsals.kill_builds(records)
    else:
        rehearsals.await_that(lambda: not rehearsals.living(kernels), "an orphan works on for ever")


def assert_true_marks(records: Path, victims: str) -> None:
    """The attempt that was cut off does not say that anything after it was done."""
    (path,) = (records / VERSION).glob("attempts/*.ipynb")
    attempt = read(path)
    mark = attempt.metadata.get("relkit", {}).get("status")
    assert mark == ("aborted" if victims == "the kernel" else None)
    for cell in attempt.cells:
        if cell.cell_type == "code" and not cell.outputs and not cell.execution_count:
            assert cell.metadata.get("papermill", {}).get("status") != "completed", cell.id


def rehearse_again(records: Path) -> None:
    done = rehearsals.relkit(*rehearse(records)[1:])
    assert done.returncode == 0, done.stderr


def assert_sealed(records: Path) -> None:
    seal = Seal.model_validate_json((records / VERSION / "seal.json").read_text())
    endings = [one.ended for one in seal.attempts.values()]
    assert endings[-1] == "done"
    assert set(endings[:-1]) <= {"", "aborted"}


def test_a_killed_run_holds_nobody_up(snapshots: Path, tmp_path: Path) -> None:
    records = tmp_path / "records"
    rehearsals.copy(snapshots / "push-to-fork", records)
    with rehearsals.started(*rehearsals.bare(records)) as child:
        assert child.stdout is not None
        rehearsals.await_line(child.stdout, "opened")
        with pytest.raises(RecordError, match="RUN_LOCKED"):
            rehearsals.open_at(records)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    with rehearsals.opened_at(records) as opened:
        events = [one.entry.event for one in opened.run.ledger]
    assert events[-1] == "taken-over"
