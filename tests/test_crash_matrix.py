"""A rehearsal is crashed at a point of each type of action, and goes on as if nothing had been.

`make crash-matrix` crashes at all moments of more actions; `docs/crash-matrix.md` has its table.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import crash
import crash_matrix
import pytest
import rehearsals
from crash import Point, Verdict

from relkit.kinds import Kind
from relkit.step import steps_of

pytestmark = pytest.mark.slow
MATRIX = Path(crash_matrix.__file__)
CARELESS = """
import sys
from pathlib import Path
import crash
from relkit.plan import ActionData

honest, asked = ActionData.holds, set()

def careless(action, world):
    first = str(action.do) not in asked
    asked.add(str(action.do))
    return (False, "") if first else honest(action, world)

ActionData.holds = careless
folder = Path(sys.argv[1])
point = crash.Point("", "push-to-fork", "repo.push", 0, "", crash.AFTER)
print(crash.crash(folder / "alpha", folder / "careless", point).fault)
"""
FULL_DISK = """
import sys
from pathlib import Path
import crash

folder = Path(sys.argv[1])
point = crash.Point("", "push-upstream", "repo.push", 1, "", crash.FULL_BEGUN)
print("fault:", crash.crash(folder / "alpha", folder / "full", point).fault)
"""
FORGETFUL = """
import sys
from pathlib import Path
import crash
from relkit.ledger import Ledger

Ledger.recover = lambda ledger: None
folder = Path(sys.argv[1])
point = crash.Point("", "push-to-fork", "repo.push", 0, "", crash.HALF)
print(crash.crash(folder / "alpha", folder / "forgetful", point).fault)
"""


@pytest.fixture(scope="session")
def matrix(shared: Path) -> Path:
    """Return a folder with the crashes of the sample, made once by a process without threads."""

    def make(folder: Path) -> None:
        done = run(str(MATRIX), "--each", "sample", folder)
        assert done.returncode in {0, 1}, done.stderr

    return rehearsals.once(shared, "crash-matrix", make)


@pytest.fixture(scope="session")
def verdicts(matrix: Path) -> list[Verdict]:
    return crash_matrix.known(matrix / "sample.jsonl")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=rehearsals.ROOT,
        env={"PATH": str(rehearsals.BIN) + ":/usr/bin:/bin", "PYTHONPATH": str(MATRIX.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=rehearsals.PATIENCE_SECONDS,
    )


def test_nothing_is_lost_doubled_or_different_after_a_crash_in_each_type_of_action(
    verdicts: list[Verdict],
) -> None:
    assert {one.point.title: one.fault for one in verdicts if one.fault} == {}


def test_the_sample_has_every_type_of_action_and_every_moment(
    matrix: Path, verdicts: list[Verdict]
) -> None:
    every = list(crash.points(matrix / "alpha"))
    assert {one.point.type for one in verdicts} == {one.type for one in every}
    assert {one.point.moment for one in verdicts} == {*crash.ACTS, *crash.LINES}


def test_the_matrix_begins_from_every_step_of_an_alpha(matrix: Path) -> None:
    stands = {path.name for path in (matrix / "alpha" / "before").iterdir()}
    assert stands == {step.name for step in steps_of(Kind.ALPHA)}


def test_an_engine_that_acts_without_asking_first_does_not_survive(matrix: Path) -> None:
    done = run("-c", CARELESS, matrix)
    assert "it was done again" in done.stdout, done.stderr


def test_an_engine_that_writes_on_after_a_torn_line_does_not_survive(matrix: Path) -> None:
    done = run("-c", FORGETFUL, matrix)
    assert "the second process ended with 1" in done.stdout, done.stderr


def test_what_was_taken_back_on_a_full_disk_is_done_again_where_it_is_needed(matrix: Path) -> None:
    """The protection was put back, which could not be recorded: the push needs it lifted."""
    done = run("-c", FULL_DISK, matrix)
    assert done.stdout == "fault: \n", done.stderr


def test_what_is_different_is_said_by_its_place() -> None:
    wanted, found = {"site": {"rows": [1]}, "refs": {}}, {"site": {"rows": [1, 1]}, "refs": {}}
    assert crash.differences(wanted, found) == ["site / rows: [1, 1], undisturbed [1]"]
    assert crash.differences(wanted, wanted) == []


def test_the_first_points_however_few_have_as_many_of_each_type() -> None:
    points = [
        ("alpha", Point("", "step", kind, number, "", crash.BEFORE))
        for kind in ("often", "seldom")
        for number in range({"often": 8, "seldom": 3}[kind])
    ]
    placed = crash_matrix.in_turn(points)
    assert sorted(placed, key=str) == sorted(points, key=str)
    assert Counter(one.type for _, one in placed[:6]) == {"often": 3, "seldom": 3}


def test_the_table_counts_what_survived_and_names_what_did_not() -> None:
    point = Point("3.15.0a1 alpha", "push-to-fork", "repo.push", 0, "", crash.AFTER)
    broken = Verdict(Point(**{**vars(point), "moment": crash.FULL}), "it was done again", 1.0)
    text = crash_matrix.document([Verdict(point, "", 1.0), broken], "place", 7)
    assert "**2 points, 1 survived**" in text
    assert "7 points left out" in text
    assert "| repo.push | push-to-fork | 1 | 1 | 1 of 2 |" in text
    assert "- 3.15.0a1 alpha push-to-fork repo.push 0: no space: it was done again" in text


def test_a_point_is_read_back_as_it_was_kept(tmp_path: Path) -> None:
    kept = Verdict(Point("run", "step", "type", 1, "", crash.SHORT), "", 1.5)
    (tmp_path / "lines").write_text(json.dumps(kept.to_data()) + "\n")
    assert crash_matrix.known(tmp_path / "lines") == [kept]
