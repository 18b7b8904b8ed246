"""Close a record: execute its notebook once more in replay, and take the digest of every file.

The sealed notebook is made from the ledger alone, in a process of its own; nothing is appended and
no outside system is asked. `seal.json` holds the SHA-256 of every file of the record. Raw attempts
are named with their digests; they are not part of the sealed set.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, Literal

import nbformat
from jinja2 import Environment, PackageLoader
from nbconvert import HTMLExporter

from relkit import batch, render
from relkit.environment import environment
from relkit.errors import RecordError, VerificationError
from relkit.history import History
from relkit.marks import ending_of
from relkit.plain import MEDIA, forbidden, require_plain
from relkit.steps.amend import AMENDED, close_amendment
from relkit.steps.sign import MANIFEST, close_manifest
from relkit.values import Digest, Value

NOTEBOOK, PAGE, SEAL = "release.ipynb", "release.html", "seal.json"
FORM = 1
GIVEN = "injected-parameters"
LEFT_OUT = {SEAL, "lock", "status.html"}
KILLED = (".new", f"replay-{NOTEBOOK}")
"""What the names of files end with that a killed process leaves behind."""


class Attempt(Value):
    """A raw attempt: its digest, and how our engine says it ended (empty: not our engine)."""

    sha256: Digest
    ended: str


class Seal(Value):
    """What a record consisted of when it was closed; `ended` says how its run did.

    What an abandoned run made is taken back, and no manifest is sealed with it.
    """

    form: int = FORM
    version: str
    ledger_head: Digest
    ledger_records: int
    revision: int = 1
    ended: Literal["complete", "abandoned"] = "complete"
    files: dict[str, Digest]
    attempts: dict[str, Attempt]


def seal(folder: Path) -> Seal:
    """Seal the record of a complete or abandoned run; sealing again gives the same seal.

    Raises `RecordError`: ``NOT_COMPLETE``, ``LEDGER_…``; `VerificationError`: ``REPLAY_FAILED``,
    ``FORBIDDEN_MIME``.
    """
    history = History.read(folder)
    if not history.complete and history.abandoned is None:
        unfinished = [n for n in history.steps if history.status(n) != "complete"]
        raise RecordError(
            f"{len(unfinished)} steps are not complete, the first is {unfinished[0]}",
            code="NOT_COMPLETE",
            remedy="Finish the run or abandon it, then seal it.",
        )
    for name, closing in ((MANIFEST, close_manifest), (AMENDED, close_amendment)):
        if closing in history.results:
            _write(folder / name, history.results[closing].to_text())
    replayed = replay(history, folder)
    _write(folder / NOTEBOOK, nbformat.writes(replayed, version=4) + "\n")
    _write(folder / PAGE, to_html(replayed, f"Python {history.release.name}: record"))
    sealed = Seal(
        version=history.release.name,
        ledger_head=history.ledger.head,
        ledger_records=len(history.ledger.records),
        revision=history.revision,
        ended="complete" if history.abandoned is None else "abandoned",
        files=_digests(folder),
        attempts={path.name: _attempt(path) for path in sorted(folder.glob("attempts/*.ipynb"))},
    )
    _write(folder / SEAL, sealed.model_dump_json(indent=1) + "\n")
    return sealed


def replay(history: History, folder: Path) -> nbformat.NotebookNode:
    """Return the notebook of the run, executed in replay and freed of what is of this machine."""
    target = folder / f"replay-{NOTEBOOK}"
    opened = history.inputs
    parameters = {
        "version": opened.version,
        "kind": opened.kind,
        "date": f"{opened.time:%Y-%m-%dT%H:%M:%SZ}",
        "world": opened.world,
        "records": "records",
    } | ({"picks": " ".join(opened.picks)} if opened.picks else {})
    with environment(RELKIT_RUNNER="replay", RELKIT_REPLAY=str(folder.resolve())):
        source = render.notebook(history.release.kind)
        status = batch.execute(source, target, parameters, progress=False)
    executed = nbformat.read(target, as_version=4)
    target.unlink()
    if status or ending_of(executed) != "done":
        raise VerificationError(
            f"the replay ended with {executed.metadata.get('relkit')}",
            code="REPLAY_FAILED",
            remedy="Look at the ledger: relkit status shows it.",
        )
    return _cleaned(executed, str(folder.resolve()))


def _cleaned(executed: Any, private: str) -> nbformat.NotebookNode:  # noqa: ANN401 (untyped)
    """Take off times and names of this machine; refuse outputs that are not plain."""
    for name in ("papermill", "relkit"):
        executed.metadata.pop(name, None)
    for cell in executed.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if GIVEN in cell.metadata.get("tags", []):
            cell.id = GIVEN  # papermill's own is random
        for output in cell.get("outputs", []):
            if strange := sorted(set(output.get("data", {})) - MEDIA):
                raise forbidden(f"{', '.join(strange)} in cell {cell.id}")
            if private in str(output):
                raise forbidden(f"a path of this machine in cell {cell.id}")
    checked: nbformat.NotebookNode = executed
    return checked


def to_html(executed: nbformat.NotebookNode, title: str) -> str:
    """Return a notebook as one HTML page without scripts that loads nothing."""
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(executed)
    body = re.sub(r"<script\b.*?</script>", "", body, flags=re.DOTALL)
    pages = Environment(loader=PackageLoader("relkit", "templates"), autoescape=True)
    page = pages.get_template("record.html.j2").render(title=title, body=body)
    require_plain(page)
    return page


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    kept = [path for path in files if path.name not in LEFT_OUT]
    return {path.name: _sha256(path) for path in kept if not path.name.endswith(KILLED)}


def _attempt(path: Path) -> Attempt:
    """Describe an attempt; one that another engine made says so by saying nothing."""
    try:
        ended = ending_of(nbformat.read(path, as_version=4))
    except (nbformat.ValidationError, ValueError, LookupError, TypeError, AttributeError):
        ended = "unreadable"
    return Attempt(sha256=_sha256(path), ended=ended)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
