"""How relkit covers PEP 101: ``docs/coverage.md``, made from the steps and ``pep101.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import groupby
from types import FunctionType
from typing import Any

import relkit.steps  # noqa: F401 (declares the steps)
from relkit.deviation import methods_of, ports_of
from relkit.graph.traits import MANUAL, calls, risks_of
from relkit.kinds import EVERY, RELEASES, TRANSITIONS, Kind
from relkit.ports import World
from relkit.step import STEPS, Step

HEAD = """\
# How relkit covers PEP 101

Made by `relkit render` from the declared steps and from `relkit/pep101.toml`; not edited by hand.
*How*: **automatic** is planned, done and read back by relkit; **decided** waits for people at a
gate; **evidence** is done by a person elsewhere, who says so, and what is said is checked; **look**
changes nothing.
"""
GROUPS = {EVERY: "all", RELEASES: "all releases", TRANSITIONS: "all transitions"}


def rows() -> list[dict[str, Any]]:
    """Return the steps of PEP 101: section, its words in ours, our steps, why ours differ."""
    data = tomllib.loads((files("relkit") / "pep101.toml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = data["step"]
    return found


def kinds_in_words(kinds: frozenset[Kind]) -> str:
    """Return a set of kinds in words; what most of them share is said by what is missing."""
    if kinds in GROUPS:
        return GROUPS[kinds]
    if kinds < RELEASES and len(RELEASES - kinds) <= len(kinds):
        return f"all releases but {', '.join(one for one in Kind if one in RELEASES - kinds)}"
    return ", ".join(one for one in Kind if one in kinds)


def how(step: Step[Any]) -> str:
    """Return how a step is done, as its declaration and code say."""
    if step.gate:
        return f"decided (gate *{step.gate}*)"
    if MANUAL in risks_of(step):
        return "evidence"
    made = calls(step.planner) if isinstance(step.planner, FunctionType) else frozenset[str]()
    return "automatic" if made & _writing() else "look"


@cache
def _writing() -> frozenset[str]:
    """Return the methods of the ports that change something, as ``repo.push``."""
    return frozenset(
        f"{port}.{name}"
        for port, kind in ports_of(World).items()
        for name, changes in methods_of(kind).items()
        if changes
    )


def text() -> str:
    """Return the page: PEP 101 by section, then each of our steps with what it stands for."""
    return "\n".join([HEAD, *_by_pep(), *_by_step(), ""])


def _by_pep() -> Iterator[str]:
    for section, group in groupby(rows(), key=lambda row: str(row["section"])):
        yield f"## {section}\n"
        yield "| PEP 101 | relkit | kinds | who | how | where ours differs, and why |"
        yield "|---|---|---|---|---|---|"
        for row in group:
            steps = [STEPS[name] for name in row["steps"]]
            cells = [
                row["pep"],
                _joined(f"`{one.name}`" for one in steps) or "none",
                _joined(kinds_in_words(frozenset(one.kinds)) for one in steps) or "none",
                _joined(one.actor for one in steps) or "nobody",
                _joined(how(one) for one in steps) or "not done",
                row.get("differs", "as the PEP has it"),
            ]
            yield f"| {' | '.join(cells)} |"
        yield ""


def _joined(words: Iterator[str] | Any) -> str:  # noqa: ANN401 (any iterable of words)
    return "; ".join(dict.fromkeys(words))


def _by_step() -> Iterator[str]:
    stands = {name: row["pep"] for row in reversed(rows()) for name in row["steps"]}
    yield "## Our steps\n"
    yield "| step | phase | kinds | who | how | no way back | PEP 101 |"
    yield "|---|---|---|---|---|---|---|"
    for step in STEPS.values():
        kinds, back = kinds_in_words(frozenset(step.kinds)), "yes" if step.irreversible else "no"
        cells = [f"`{step.name}`", step.phase, kinds, step.actor, how(step), back]
        yield f"| {' | '.join(cells)} | {stands[step.name]} |"
