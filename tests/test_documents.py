"""The documents name tests, codes, commands, modules and places that are there, and all of them."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from test_layers import FLOORS

from relkit.adapters.secrets import NAMES
from relkit.cli import _parser

TESTS = Path(__file__).parent
ROOT = TESTS.parent
DOCS = ROOT / "docs"
WRITTEN = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
NAMED = re.compile(r"`(test_[a-z0-9_]+\.py)(?:::(test_[a-z0-9_]+))?`")
SHORT = re.compile(r"`(test_[a-z0-9_]+\.py)(?:::[a-z0-9_]+)?`|`…_([a-z0-9_]+)`")
"""A test in full, or by the end of its name, in the file that was named last."""
CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
INCIDENTS = [*(f"I{number:02}" for number in range(1, 63)), *(f"P{n:02}" for n in range(1, 16))]


@cache
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


def short_names(cell: str) -> Iterator[tuple[str, str]]:
    """Yield the file and the end of the name of each test that is named by that."""
    file = ""
    for named, end in SHORT.findall(cell):
        file = named or file
        if end:
            yield file, end


def test_the_tests_named_against_threats_are_there() -> None:
    cells = [row[-1] for row in rows("threats.md")]
    named = [found for cell in cells for found in NAMED.findall(cell)]
    assert named
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (one := names_in(file)) or (test and test not in one)
    ]
    for file, end in (found for cell in cells for found in short_names(cell)):
        fit = [one for one in names_in(file) if one.endswith(f"_{end}")]
        missing += [f"{file}: {end} is of {len(fit)}"] * (len(fit) != 1)
    assert not missing


def test_the_codes_of_the_documents_are_those_of_the_program() -> None:
    """A code that is put together of two words stands whole in a test at least."""
    sources = [*(ROOT / "relkit").rglob("*.py"), *TESTS.rglob("*.py")]
    known = {one for path in sources for one in CODE.findall(path.read_text(encoding="utf-8"))}
    cells = [row[2] for row in rows("threats.md")]
    said = {one for cell in cells for one in CODE.findall(cell)}
    for name in ("production.md", "experts.md"):
        said |= set(re.findall(rf"`({CODE.pattern})`", (DOCS / name).read_text(encoding="utf-8")))
    assert {one for one in said - known if not one.startswith("RELKIT_")} == set()


def test_the_design_has_every_module_on_its_floor() -> None:
    text = (DOCS / "design.md").read_text(encoding="utf-8").split("| floor | modules | what |")[1]
    shown = [line.split(" | ")[1] for line in text.split("\n\n")[0].splitlines()[2:]]
    named = [{one.rstrip("/") for one in re.findall(r"`([^`]+)`", cell)} for cell in shown]
    floors = [named[0] | named[1], named[2], named[3] | named[4], named[5] | named[6], *named[7:]]
    for floor, (said, known) in enumerate(zip(floors[::-1], ordered(), strict=True)):
        commands = {one for one in known if one.startswith("cli_")} if "cli_*" in said else set()
        assert known - commands == said - {"cli_*"}, floor


def ordered() -> list[set[str]]:
    """Return the packages and modules of each floor, without those which stand below a package."""
    return [{one for one in floor if one[:2] != "__" and "." not in one} for floor in FLOORS]


def commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield each command that does something, with the words that call it."""
    below = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    if not below:
        yield parser.prog
    for one in below:
        for sub in one.choices.values():
            yield from commands(sub)


def test_the_readme_has_every_command_once() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("| `relkit ")]
    for name in commands(_parser()):
        known = [line for line in table if re.match(rf"\| `{name}[ `]", line)]
        assert len(known) == (2 if name == "relkit rehearse" else 1), name


def test_every_secret_stands_where_production_is_told() -> None:
    text = (DOCS / "production.md").read_text(encoding="utf-8")
    assert [one for one in NAMES if f"keyring set relkit:cpython {one}" not in text] == []


def test_every_program_that_is_run_on_a_server_stands_where_production_is_told() -> None:
    adapters = ROOT / "relkit" / "adapters"
    sources = [path.read_text(encoding="utf-8") for path in adapters.glob("*.py")]
    calls = [call for text in sources for call in re.findall(r"EACH, ([^)]*)", text)]
    used = {re.findall(r'"([a-z][a-z0-9]+)"', call)[0] for call in calls}
    assert {"stat", "tar"} < used
    text = (
        (DOCS / "production.md").read_text(encoding="utf-8").split("On the servers relkit runs")[1]
    )
    assert [one for one in sorted(used) if f"`{one}`" not in text.split("\n\n")[0]] == []


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_links_lead_to_what_is_there(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", path.read_text(encoding="utf-8"))
    for file, anchor in links:
        target = path.parent / file if file else path
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


def anchors(path: Path) -> set[str]:
    """Return what leads to the headings of a document, as GitHub makes it."""
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in heads}
