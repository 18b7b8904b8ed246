"""The tables of the documents name tests that are there, and leave no row out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"
NAMED = re.compile(r"`(test_[a-z0-9_]+\.py)(?:::(test_[a-z0-9_]+))?`")
INCIDENTS = [*(f"I{number:02}" for number in range(1, 63)), *(f"P{n:02}" for n in range(1, 16))]


def names_in(name: str) -> set[str]:
    """Return the names of the tests in a file; none if there is no such file."""
    path = TESTS / name
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
    return {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}


def text_of(file: str, test: str) -> str:
    """Return a test as it is written, with its name, docstring and parameters."""
    lines = (TESTS / file).read_text(encoding="utf-8").splitlines()
    tree = ast.parse("\n".join(lines))
    tests = (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) and one.name == test)
    one = next(tests)
    first = min([one.lineno, *(decorator.lineno for decorator in one.decorator_list)])
    return "\n".join(lines[first - 1 : one.end_lineno])


def rows(name: str) -> list[list[str]]:
    lines = (DOCS / name).read_text(encoding="utf-8").splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"
    ]
    return cells[2:]


def test_every_incident_has_a_row_and_only_one() -> None:
    assert [row[0] for row in rows("incidents.md")] == INCIDENTS


@pytest.mark.parametrize("row", rows("incidents.md"), ids=lambda row: row[0])
def test_the_tests_of_an_incident_are_there(row: list[str]) -> None:
    named = NAMED.findall(row[-1])
    assert named
    for file, test in named:
        assert names_in(file), file
        assert not test or test in names_in(file), f"{file}::{test}"


@pytest.mark.parametrize(
    "row", [row for row in rows("incidents.md") if row[0].startswith("I")], ids=lambda row: row[0]
)
def test_a_test_of_an_incident_carries_its_number(row: list[str]) -> None:
    carried = re.compile(rf"(?<![a-z0-9]){row[0]}(?![0-9])", flags=re.IGNORECASE)
    named = [(file, test) for file, test in NAMED.findall(row[-1]) if test]
    assert any(carried.search(text_of(file, test)) for file, test in named)


def test_the_tests_named_against_threats_are_there() -> None:
    named = [found for row in rows("threats.md") for found in NAMED.findall(row[-1])]
    assert named
    missing = [f"{file}::{test}" for file, test in named if test and test not in names_in(file)]
    assert not missing
