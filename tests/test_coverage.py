"""The coverage table: no step of PEP 101 and none of ours is missing, and each has its reason."""

from __future__ import annotations

from pathlib import Path

from relkit import coverage
from relkit.kinds import EVERY, RELEASES, Kind
from relkit.step import STEPS, steps_of

DOCS = Path(__file__).parents[1] / "docs"


def test_every_step_of_the_pep_has_steps_of_ours_or_says_why_not() -> None:
    for row in coverage.rows():
        assert row["steps"] or row.get("differs"), row
        assert set(row["steps"]) <= set(STEPS), row


def test_every_step_of_ours_is_in_the_table() -> None:
    named = {name for row in coverage.rows() for name in row["steps"]}
    assert set(STEPS) == named


def test_no_cell_of_the_page_is_empty() -> None:
    lines = [line for line in coverage.text().splitlines() if line.startswith("|")]
    assert len(lines) > len(STEPS)
    assert not [line for line in lines if "|  |" in line or "| |" in line]


def test_the_page_is_as_it_is_made() -> None:
    assert (DOCS / "coverage.md").read_text(encoding="utf-8") == coverage.text()


def test_every_kind_has_steps_and_every_step_a_kind() -> None:
    assert all(steps_of(kind) for kind in Kind)
    assert all(step.kinds for step in STEPS.values())


def test_kinds_are_said_shortly() -> None:
    assert coverage.kinds_in_words(EVERY) == "all"
    assert coverage.kinds_in_words(RELEASES - {Kind.SECURITY}) == "all releases but security"
    assert coverage.kinds_in_words(frozenset({Kind.FINAL, Kind.RC})) == "rc, final"
