"""Write the notebook of a kind from its steps. Nobody edits these notebooks by hand.

What a kind is about stands in ``relkit/about``; everything else is said by the steps themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import relkit.steps  # noqa: F401 (declares the steps)
from relkit.graph import draw
from relkit.graph.traits import MANUAL, risks_of
from relkit.kinds import KINDS, RELEASES, TRANSITIONS, Kind, where
from relkit.policy import MANAGER
from relkit.step import Step, needed, steps_of

if TYPE_CHECKING:
    from nbformat import NotebookNode

Cell = dict[str, Any]
"""A cell of a notebook, as its JSON has it (nbformat 4.5)."""
METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python"},
}
PARAMETERS = """\
version = "{subject}"
kind = "{kind}"
date = ""
world = "worlds/practice.toml"
records = "records\""""
PICKS = '\npicks = ""'
PARAMETERS_PROSE = """\
## Parameters

{version}; the kind, which must fit it; the date of the release (`2026-05-05`, or a time in UTC;
empty: the day the run is opened); the world it is made in; the folder of the records{picks}. No
secrets: these stand in the record. In `worlds/practice.toml` nothing real can happen; for a real
release a file of production stands here, as `docs/production.md` says."""
VERSION_PROSE = "The version"
BRANCH_PROSE = "The branch, as text, for `version`: a transition is about a branch"
PICKS_PROSE = """;
the commits to pick onto the last candidate (full ids with spaces between them; empty: the whole
branch is released)"""
OPEN = """\
from relkit.notebook import open_run

run = open_run(version, kind, date, world, records{picks})"""
PICTURE_PROSE = """\
## The picture

Above, the release at one look: a lane for each zone of trust, a place for each step, and what goes
from zone to zone. Below, every step with the machine or system it is about, what must be complete
before it, what it hands on, where risk comes from, and how it stands. What is not connected can
happen side by side."""
RECIPE = "\n\n![The steps of {kind}, before anything is done](pictures/{kind}.svg)"
CLOSE_PROSE = """\
## Close the record

When every step is complete, the record is sealed by a process of its own: it runs this notebook
once more in replay, in which each step shows what was recorded, and keeps the result with the
digest of every file of the record."""
BESIDE = 5  # titles in a hint
INSTALLERS = where(publishes=True, installers=True)
WHY, WHY_ELSE = "the installer does not start on arm64", "a fix was missing"
ENDING = "two blockers were found; the next one is made on Friday"
ENDING_ELSE = "one more release is made before"


@cache
def _texts() -> Environment:
    texts = Environment(
        loader=PackageLoader("relkit", "about"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 (our own Markdown)
    )
    texts.filters["and"] = _listed
    return texts


def _listed(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def notebook(kind: Kind, *, recipe: bool = False) -> NotebookNode:
    """Return the notebook of a kind, without outputs, with fixed cell ids (see `cells_of`)."""
    from nbformat import from_dict  # noqa: PLC0415 (takes seconds, and not everybody needs it)

    made = {"cells": cells_of(kind, recipe=recipe), "metadata": METADATA}
    return from_dict({**made, "nbformat": 4, "nbformat_minor": 5})


def cells_of(kind: Kind, *, recipe: bool = False) -> list[Cell]:
    """Return the cells of a kind's notebook, without outputs, with fixed ids.

    With `recipe` it shows the picture of the recipe from a file beside it, for who reads it before
    it is run; in a record nothing may be loaded.
    """
    picks = KINDS[kind].picks
    cells = [
        _prose("about", _text(kind, kind)),
        _prose("operation-note", "*Operation note: your own words about this release.*"),
        _prose("parameters-prose", _parameters_prose(kind)),
        _code("parameters", _parameters(kind), tags=["parameters"]),
        _prose("open-prose", "## Open the run"),
        _code("open", OPEN.format(picks=", picks" if picks else "")),
        _prose("picture-prose", PICTURE_PROSE + (RECIPE.format(kind=kind) if recipe else "")),
        _code("picture", "run.picture()"),
    ]
    for phase, steps in groupby(steps_of(kind), key=lambda step: step.phase):
        cells.append(_prose(f"phase-{phase.lower()}", f"## {phase}"))
        for step in steps:
            cells += _section(step, kind)
    cells += [
        _prose("close-prose", CLOSE_PROSE),
        _code("picture-again", "run.picture()"),
        _code("close", "run.seal()"),
        _prose("wrong", _text("wrong", kind)),
    ]
    return cells


def _text(name: str, kind: Kind) -> str:
    """Return a text of `relkit/about`, filled in with what the steps of a kind say."""
    steps = steps_of(kind)
    manual = [step for step in steps if MANUAL in risks_of(step)]
    final = [step for step in steps if step.irreversible]
    told = {step.actor: None for step in steps if step.actor != MANAGER}
    begun = [step.name for step in steps if step.phase != steps[0].phase]
    text = (
        _texts()
        .get_template(f"{name}.md.j2")
        .render(
            kind=kind,
            subject=KINDS[kind].example,
            steps=len(steps),
            phases=list(dict.fromkeys(step.phase for step in steps)),
            gates=[step for step in steps if step.gate],
            manual=manual,
            final=final,
            actors=list(told),
            manager=MANAGER,
            key="signing key" in {risk.name for step in steps for risk in risks_of(step)},
            installers=kind in INSTALLERS,
            publishes=kind in RELEASES,
            why=WHY if KINDS[kind].installers else WHY_ELSE,
            ending=ENDING if kind in RELEASES else ENDING_ELSE,
            example=next(
                (n for n in begun if n == "commit-release"), (begun or [steps[0].name])[0]
            ),
        )
    )
    return _tidy(text)


def _tidy(text: str) -> str:
    """Return Markdown without the empty lines that templates leave: at most one, none in lists."""
    lines: list[str] = []
    for line in text.strip().splitlines():
        if line or (lines and lines[-1]):
            lines.append(line.rstrip())
    between = zip(["", *lines], lines, [*lines[1:], ""], strict=False)
    kept = [line for before, line, after in between if line or not _in_list(before, after)]
    return "\n".join(kept)


def _in_list(before: str, after: str) -> bool:
    return before.startswith("* ") and after.startswith("* ")


def _parameters(kind: Kind) -> str:
    facts = KINDS[kind]
    return PARAMETERS.format(subject=facts.example, kind=kind) + (PICKS if facts.picks else "")


def _parameters_prose(kind: Kind) -> str:
    facts = KINDS[kind]
    version = BRANCH_PROSE if kind in TRANSITIONS else VERSION_PROSE
    return PARAMETERS_PROSE.format(version=version, picks=PICKS_PROSE if facts.picks else "")


def _section(step: Step[Any], kind: Kind) -> list[Cell]:
    """Return the cells of one step: prose, then one cell, or three where it has a gate."""
    prose = f"### {step.title}\n\n{step.prose}\n\n*{'; '.join(_facts(step, kind))}*"
    if step.irreversible:
        prose += "\n\n**No way back:** what this step begins is never undone."
    if beside := _beside(step, kind):
        more = f" and {len(beside) - BESIDE} more" if len(beside) > BESIDE else ""
        prose += f"\n\n*Beside it:* {' · '.join(beside[:BESIDE])}{more}."
    cells = [_prose(f"{step.name}-prose", prose)]
    calls = ["propose", "gate", "apply"] if step.gate else ["step"]
    return cells + [_code(f"{step.name}-{call}", f'run.{call}("{step.name}")') for call in calls]


def _facts(step: Step[Any], kind: Kind) -> Iterator[str]:
    """Yield the facts of a section's last line."""
    yield f"where: {step.where}"
    yield f"answers for it: {step.actor}"
    chosen = needed(step, kind)
    if before := [one.title for one in steps_of(kind) if one in chosen]:
        yield f"after: {', '.join(before)}"


def _beside(step: Step[Any], kind: Kind) -> list[str]:
    """Return the titles of the steps that neither need this one nor are needed by it."""
    above = _above(kind)
    return [
        one.title
        for one in steps_of(kind)
        if one is not step and one not in above[step] and step not in above[one]
    ]


@cache
def _above(kind: Kind) -> dict[Step[Any], set[Step[Any]]]:
    """Return for each step of a kind all that must be complete before it."""
    found: dict[Step[Any], set[Step[Any]]] = {}
    for step in steps_of(kind):
        before = needed(step, kind)
        found[step] = before.union(*(found[one] for one in before))
    return found


def _prose(name: str, text: str) -> Cell:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def _code(name: str, text: str, tags: list[str] | None = None) -> Cell:
    marked = {"metadata": {"tags": tags} if tags else {}, "source": text}
    return {"cell_type": "code", "execution_count": None, "id": name, "outputs": [], **marked}


def text_of(kind: Kind) -> str:
    """Return the notebook file of a kind."""
    from nbformat import writes  # noqa: PLC0415

    return str(writes(notebook(kind, recipe=True), version=4)) + "\n"


def render(folder: Path, *, check: bool) -> list[Path]:
    """Write the notebooks and pictures of all kinds; return the files that were different."""
    wanted = {f"{kind}.ipynb": text_of(kind) for kind in sorted(Kind)}
    wanted |= {f"pictures/{kind}.svg": draw(kind, {}) + "\n" for kind in sorted(Kind)}
    changed = []
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            changed.append(path)
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    return changed
