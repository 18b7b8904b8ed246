"""What the record shows: notebook and guide, against what the ledger says.

Nothing is executed: what each cell of the notebook shows of a sealed record is made here once more
from the ledger, by the functions that made it, and compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from relkit import flags, render, sealing, view
from relkit.errors import VerificationError
from relkit.graph import as_text, draw
from relkit.guide import guide as guide_of
from relkit.kinds import Kind
from relkit.plain import MEDIA, require_plain
from relkit.step import Step
from relkit.verify_record.case import Case
from relkit.verify_record.strict import json_of
from relkit.verify_record.verdict import refuse
from relkit.verify_record.walk import Walk
from relkit.verify_record.wholeness import seal_of
from relkit.view import View

GIVEN = "injected-parameters"
Cell = dict[str, Any]  # JSON
METADATA = {"kernelspec", "language_info"}
FIELDS = {
    "code": {"cell_type", "execution_count", "id", "metadata", "outputs", "source"},
    "markdown": {"cell_type", "id", "metadata", "source"},
}


def notebook(case: Case) -> str:
    """Compare the notebook with the template of its kind, and its outputs with the ledger."""
    cells = cells_of(case)
    outputs = [one for cell in cells for one in cell.get("outputs", [])]
    for one in outputs:
        _require_plain_fields(one)
    if case.walked is None or not case.same_relkit:
        _require_harmless(outputs)
    case.require_same_relkit()
    _require_template(case.walk, cells)
    shown, drawn = 0, _picture(case.walk)
    for cell in cells:
        wanted = [one.bundle() for one in _shown(case.walk, str(cell["id"]), drawn)]
        found = [{n: joined(v) for n, v in one["data"].items()} for one in cell.get("outputs", [])]
        if found != wanted:
            _require_harmless(outputs)
            why = f"cell {cell['id']} displays what is not in the ledger"
            raise refuse("CLAIM_WITHOUT_EVENT", f"{why}: {_difference(found, wanted)}")
        shown += len(found)
    return f"{len(cells)} cells as relkit renders them; {shown} outputs say what the ledger says"


def cells_of(case: Case) -> list[Cell]:
    """Return the cells, with no field in them that is not known here."""
    made: dict[str, Any] = json_of(case.bytes(sealing.NOTEBOOK), sealing.NOTEBOOK)
    cells = made.get("cells")
    fields = {"cells", "metadata", "nbformat", "nbformat_minor"}
    if set(made) != fields or not isinstance(cells, list) or made["nbformat"] != 4:  # noqa: PLR2004
        raise refuse("MALFORMED", f"{sealing.NOTEBOOK} is no notebook of form 4")
    if not isinstance(made["metadata"], dict) or set(made["metadata"]) - METADATA:
        raise refuse("FORBIDDEN_MIME", "the notebook has widget state, or other data of its own")
    for cell in cells:
        fits = isinstance(cell, dict) and set(cell) == FIELDS.get(str(cell.get("cell_type")))
        if not fits or not isinstance(cell["id"], str) or not isinstance(cell["metadata"], dict):
            raise refuse("MALFORMED", "the notebook has a cell that is neither code nor text")
        if set(cell["metadata"]) - {"tags"} or not isinstance(cell.get("outputs", []), list):
            raise refuse("FORBIDDEN_MIME", f"cell {cell['id']} carries data of its own")
    return cells


def _require_plain_fields(output: object) -> None:
    """Refuse an output that is not a display of text, HTML or a picture."""
    if not isinstance(output, dict) or output.get("output_type") != "display_data":
        raise refuse("FORBIDDEN_MIME", "an output is none that a cell of relkit makes")
    data = output.get("data")
    fields = {"data", "metadata", "output_type"}
    if set(output) != fields or output["metadata"] or not isinstance(data, dict):
        raise refuse("FORBIDDEN_MIME", "an output carries data of its own")
    if strange := sorted(set(data) - MEDIA):
        raise refuse("FORBIDDEN_MIME", f"an output of the type {strange[0]}")
    for text in data.values():
        joined(text)


def _require_harmless(outputs: list[Cell]) -> None:
    """Refuse HTML that does or loads something; what equals our own needs no second look."""
    for output in outputs:
        try:
            require_plain(joined(output["data"].get("text/html", "")))
        except VerificationError as error:
            raise refuse(error.code, f"an output: {error}") from error


def joined(text: object) -> str:
    """Return what a notebook file keeps as lines."""
    if isinstance(text, list) and all(isinstance(one, str) for one in text):
        return "".join(text)
    if isinstance(text, str):
        return text
    raise refuse("MALFORMED", "an output or a source is no text")


def _require_template(walk: Walk, cells: list[Cell]) -> None:
    """Refuse other code or prose than this relkit renders for the kind."""
    wanted = [*_template(walk.release.kind, tuple(walk.steps.values()))]
    place = next(n for n, one in enumerate(wanted) if one[0] == "parameters")
    wanted.insert(place + 1, (GIVEN, "code", _given(walk)))
    found = [(cell["id"], cell["cell_type"], joined(cell["source"])) for cell in cells]
    for mine, theirs in zip(found, wanted, strict=False):
        if mine != theirs:
            raise refuse(
                "RUNBOOK_MODIFIED", f"cell {mine[0]} is not the one of relkit ({theirs[0]})"
            )
    if len(found) != len(wanted):
        raise refuse("RUNBOOK_MODIFIED", f"{len(found)} cells, relkit renders {len(wanted)}")


@lru_cache(maxsize=4)
def _template(kind: Kind, _: tuple[Step[Any], ...]) -> tuple[tuple[str, str, str], ...]:
    """Return the cells of a kind whose steps are these."""
    cells = render.cells_of(kind)
    return tuple((one["id"], one["cell_type"], one["source"]) for one in cells)


def _given(walk: Walk) -> str:
    """Return the cell with the parameters, as papermill writes it."""
    opened = walk.inputs
    parameters = {
        "version": opened.version,
        "kind": opened.kind,
        "date": f"{opened.time:%Y-%m-%dT%H:%M:%SZ}",
        "world": opened.world,
        "records": "records",
    } | ({"picks": " ".join(opened.picks)} if opened.picks else {})
    lines = [f'{name} = "{_escaped(value)}"\n' for name, value in parameters.items()]
    return "".join(["# Parameters\n", *lines])


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode().replace('"', r"\"")


def _picture(walk: Walk) -> View:
    states = {one: walk.status(one) for one in walk.steps}
    return View(as_text(walk.release.kind, states), draw(walk.release.kind, states))


def _shown(walk: Walk, name: str, drawn: View) -> Iterator[View]:
    """Yield what a cell shows of a run that is over (`relkit.notebook.Face`)."""
    if name == "open":
        yield View.of([view.opened(walk), flags.flags(walk)])
    elif name in {"picture", "picture-again"}:
        yield drawn
    elif name == "close":
        yield View.of([flags.flags(walk), view.records(walk.ledger)])
    else:
        step, _, what = name.rpartition("-")
        if step in walk.steps and what in {"step", "apply", "propose"}:
            yield _recorded(walk, step, proposed=what == "propose")
        elif step in walk.steps and what == "gate":
            progress = walk.progress(step)
            yield view.decisions(walk.steps[step], progress.records, progress.plan)


def _recorded(walk: Walk, name: str, *, proposed: bool) -> View:
    past, done = flags.superseded(walk, name), walk.recorded(name)
    if done is None:
        return View.of([past, view.line(f"{name}: not reached")])
    if proposed:
        return View.of([past, view.proposal(done)])
    records = view.details("Records", view.records(done.progress.records).text)
    return View.of([past, view.carried(done), view.result(done), records])


def _difference(found: list[dict[str, str]], wanted: list[dict[str, str]]) -> str:
    """Return the first line that differs."""
    if len(found) != len(wanted):
        return f"{len(found)} outputs, not {len(wanted)}"
    for mine, theirs in zip(found, wanted, strict=True):
        for kind in ("text/plain", "text/html"):
            here, there = mine.get(kind, "").splitlines(), theirs.get(kind, "").splitlines()
            for line, other in zip([*here, ""], [*there, ""], strict=False):
                if line != other:
                    return f"{line[:150]!r}, the ledger has {other[:150]!r}"
    return "other media types"


def guide(case: Case) -> str:
    """Compare the commands of the guide with those that relkit writes: people will run them."""
    found = case.bytes(sealing.GUIDE)
    case.require_same_relkit()
    signed_by = seal_of(case).signed_by
    own = {sealing.GUIDE, sealing.SEAL, sealing.SUMS, *sealing.signature_names()}
    rest = {path: data for path, data in case.pack.files.items() if path not in own}
    if guide_of(case.walk, rest, signed_by) != found:
        raise refuse("GUIDE_MODIFIED", f"{sealing.GUIDE} has other words or commands than relkit's")
    return "the commands of VERIFY.md are those that relkit writes"
