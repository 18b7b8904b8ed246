"""What the command line says of itself: every command, on a terminal of 80 columns."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from relkit.cli import _parser


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield every command that does something."""
    below = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    if not below:
        yield parser
    for one in below:
        for sub in one.choices.values():
            yield from commands(sub)


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


EVERY = [pytest.param(one, id=one.prog) for one in commands(_parser())]


@pytest.mark.parametrize("command", EVERY)
def test_each_help_fits_80_columns_and_says_how_the_command_ends(
    command: argparse.ArgumentParser,
) -> None:
    said = command.format_help()
    assert max(map(len, said.splitlines())) <= 80
    foot = said.partition("\nexit statuses:\n")[2].splitlines()
    statuses = [int(one.split()[0]) for one in foot[: (*foot, "").index("")]]
    assert statuses[:3] == [0, 1, 2]
    assert statuses == sorted(statuses)


@pytest.mark.parametrize("command", EVERY)
def test_each_option_says_what_it_is(command: argparse.ArgumentParser) -> None:
    assert [one.dest for one in command._actions if not one.help] == []


@pytest.mark.parametrize("command", EVERY)
def test_examples_are_of_the_command(command: argparse.ArgumentParser) -> None:
    said = command.format_help().partition("\nfor example:\n")[2]
    first = [one.strip() for one in said.splitlines()[:1]]
    assert all(one.startswith(f"{command.prog} ") for one in first)


def test_the_help_of_all_names_each_status() -> None:
    said = _parser().format_help()
    assert max(map(len, said.splitlines())) <= 80
    foot = said.partition("exit statuses:\n")[2]
    assert [one.split()[0] for one in foot.splitlines()] == [
        "0",
        "1",
        "2",
        "3",
        "4",
        "75",
        "130",
        "141",
    ]
