"""Write the notebook of a kind from its steps. Nobody edits these notebooks by hand."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import relkit.steps  # noqa: F401 (declares the steps)
from relkit.release import RELEASES, Kind
from relkit.step import Step, steps_of

METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python"},
}
EXAMPLES = {Kind.ALPHA: "3.15.0a1"}
ABOUT = {
    Kind.ALPHA: (
        "Carries an alpha of Python from a fit branch to a published, pushed and recorded release.",
        """\
* **Who:** the release manager runs the cells; the Windows and macOS experts and the web editor
  answer from their own machines.
* **How long:** half a day on CPython, most of it waiting for builds; half a minute in a rehearsal
  on the sample tree.
* **You need:** this environment, a signing key and identity, and nothing open at the tracker.
* **No way back** from the gate *Decide to publish* on; before it everything can be taken back.

Run the cells from top to bottom. A cell can be run twice, the kernel can be restarted, and another
day is as good: what is done is kept in the record and never done again. A cell that refuses says
why and what to do; the table of contents (the list at the left edge) marks its section. The stop
button ends a step between two actions. The picture below follows the run: *Create New View for Cell
Output*, in its context menu, keeps it in sight.""",
    )
}
PARAMETERS = """\
version = "{version}"
kind = "{kind}"
date = ""
world = "worlds/practice.toml"
records = "records\""""
PARAMETERS_PROSE = """\
## Parameters

The version; the kind, which must fit it; the date of the release (`2026-05-05`, or a time in UTC;
empty: the day the run is opened); the world it is made in; the folder of the records. No secrets:
these stand in the record. The world given here is for practice, so that nothing real can happen."""
OPEN = """\
from relkit.notebook import open_run

run = open_run(version, kind, date, world, records)"""
PICTURE_PROSE = """\
## The picture

Every step, what must be complete before it, on which machine it changes something, and how it
stands. What is not connected can happen side by side."""
CLOSE_PROSE = """\
## Close the record

When every step is complete, the record is sealed by a process of its own: it runs this notebook
once more in replay, in which each step shows what was recorded, and keeps the result with the
digest of every file of the record."""


def notebook(kind: Kind) -> nbformat.NotebookNode:
    """Return the notebook of a kind, without outputs, with fixed cell ids."""
    subtitle, about = ABOUT[kind]
    parameters = PARAMETERS.format(version=EXAMPLES[kind], kind=kind)
    cells = [
        _prose("about", f"# CPython {kind}\n\n> {subtitle}\n\n{about}"),
        _prose("operation-note", "*Operation note: your own words about this release.*"),
        _prose("parameters-prose", PARAMETERS_PROSE),
        _code("parameters", parameters, tags=["parameters"]),
        _prose("open-prose", "## Open the run"),
        _code("open", OPEN),
        _prose("picture-prose", PICTURE_PROSE),
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
    ]
    return new_notebook(cells=cells, metadata=METADATA)


def _section(step: Step[Any], kind: Kind) -> list[nbformat.NotebookNode]:
    """Return the cells of one step: prose, then one cell, or three where it has a gate."""
    before = [one.title for one in step.after if kind in one.kinds]
    facts = [f"changes: {step.where}", f"answers for it: {step.actor}"]
    facts += [f"after: {', '.join(before)}"] if before else []
    prose = f"### {step.title}\n\n{step.prose}\n\n*{'; '.join(facts)}*"
    cells = [_prose(f"{step.name}-prose", prose)]
    calls = ["propose", "gate", "apply"] if step.gate else ["step"]
    return cells + [_code(f"{step.name}-{call}", f'run.{call}("{step.name}")') for call in calls]


def _prose(name: str, text: str) -> nbformat.NotebookNode:
    return new_markdown_cell(text, id=name)


def _code(name: str, text: str, tags: list[str] | None = None) -> nbformat.NotebookNode:
    return new_code_cell(text, id=name, metadata={"tags": tags} if tags else {})


def text_of(kind: Kind) -> str:
    """Return the notebook file of a kind."""
    return nbformat.writes(notebook(kind), version=4) + "\n"


def render(folder: Path, *, check: bool) -> list[Path]:
    """Write the notebooks of all kinds; return those that were different."""
    changed = []
    for kind in sorted(RELEASES):
        path = folder / f"{kind}.ipynb"
        text = text_of(kind)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            changed.append(path)
            if not check:
                path.write_text(text, encoding="utf-8")
    return changed
