"""Make the notebook of a record once more: from its ledger alone, with nothing of this machine.

It is executed in replay, in a process of its own: nothing is appended, no outside system is asked.
"""

from __future__ import annotations

import getpass
import re
import socket
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import Environment, PackageLoader
from nbconvert import HTMLExporter

from relkit import batch, render
from relkit.environment import environment
from relkit.errors import VerificationError
from relkit.history import History
from relkit.marks import ending_of
from relkit.plain import HIDING, MEDIA, forbidden, require_plain
from relkit.sealing import NOTEBOOK, PAGE
from relkit.values import canonical

GIVEN = "injected-parameters"
SHORTEST_NAME = 4


def shown(history: History, folder: Path) -> dict[str, bytes]:
    """Return notebook and page of a record, by name; raises what `replay` raises."""
    notebook = replay(history, folder)
    page = to_html(notebook, f"Python {history.release.name}: record")
    text = nbformat.writes(notebook, version=4) + "\n"
    return {NOTEBOOK: text.encode(), PAGE: page.encode()}


def replay(history: History, folder: Path) -> nbformat.NotebookNode:
    """Return the notebook of the run, executed in replay and freed of what is of this machine.

    Raises `VerificationError`: ``REPLAY_FAILED``, ``FORBIDDEN_MIME``, ``MACHINE_IN_RECORD``.
    """
    opened = history.inputs
    parameters = {
        "version": opened.version,
        "kind": opened.kind,
        "date": f"{opened.time:%Y-%m-%dT%H:%M:%SZ}",
        "world": opened.world,
        "records": "records",
    } | ({"picks": " ".join(opened.picks)} if opened.picks else {})
    source = render.notebook(history.release.kind)
    meant = f"{nbformat.writes(source)} {canonical(history.inputs.policy).decode()}"
    with tempfile.TemporaryDirectory(prefix="relkit-") as place:
        target = Path(place) / NOTEBOOK
        with environment(RELKIT_RUNNER="replay", RELKIT_REPLAY=str(folder.resolve())):
            status = batch.execute(source, target, parameters, progress=False)
        executed = nbformat.read(target, as_version=4)
    if status or ending_of(executed) != "done":
        raise VerificationError(
            f"the replay ended with {executed.metadata.get('relkit')}",
            code="REPLAY_FAILED",
            remedy="Look at the ledger: relkit status shows it.",
        )
    return cleaned(executed, [str(folder.resolve()), place, *machine_names(meant)])


def machine_names(meant: str) -> Iterator[str]:
    """Yield what this machine and its user are called, except for what `meant` says anyway.

    `meant` are the words of the record that were chosen: its notebook's source and its policy. A
    name of up to three letters, or of a word in there, tells nobody anything.
    """
    if (home := str(Path.home())) != "/":
        yield home
    names = {socket.gethostname(), socket.gethostname().partition(".")[0], _user()}
    words = set(re.findall(r"\w+", meant.lower()))
    common = {"root", "localhost", "user", "runner", *words}
    yield from sorted(n for n in names if len(n) >= SHORTEST_NAME and n.lower() not in common)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may know its user by number only
        return ""


def cleaned(executed: Any, private: Iterable[str]) -> nbformat.NotebookNode:  # noqa: ANN401 (untyped)
    """Take off times and names of this machine; refuse outputs that are not plain."""
    for name in ("papermill", "relkit", "widgets"):
        executed.metadata.pop(name, None)
    for cell in executed.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if GIVEN in cell.metadata.get("tags", []):
            cell.id = GIVEN  # papermill's own is random
        for output in cell.get("outputs", []):
            if strange := sorted(set(output.get("data", {})) - MEDIA):
                raise forbidden(f"{', '.join(strange)} in cell {cell.id}")
            if any(HIDING.search(one) for one in output.get("data", {}).values()):
                raise forbidden(f"control characters in cell {cell.id}")
        require_impersonal(str(cell), private, f"cell {cell.id}")
    checked: nbformat.NotebookNode = executed
    return checked


def require_impersonal(text: str, private: Iterable[str], where: str) -> None:
    """Raise `VerificationError` (``MACHINE_IN_RECORD``) if a text names this machine."""
    for name in private:
        if re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", text):
            kind = "a path" if name.startswith("/") else "the name of a host or user"
            raise VerificationError(
                f"{where} holds {kind} of this machine, {name!r}",
                code="MACHINE_IN_RECORD",
                remedy="A record says what was done, not where: mend the step that says so.",
            )


def to_html(executed: nbformat.NotebookNode, title: str) -> str:
    """Return a notebook as one HTML page without scripts that loads nothing."""
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(executed)
    body = re.sub(r"<script\b.*?</script>", "", body, flags=re.DOTALL)
    pages = Environment(loader=PackageLoader("relkit", "templates"), autoescape=True)
    page = pages.get_template("record.html.j2").render(title=title, body=body)
    require_plain(page)
    return page
