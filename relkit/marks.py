"""The mark of our engine on an executed notebook: how it ended, and over which contents.

`metadata.relkit` holds it. It counts only for the execution it was made over, so that an attempt
which another engine, or a person, executed again is never taken for one of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relkit.values import digest_of

Notebook = Any  # nbformat has no types


def put_mark(nb: Notebook, ending: Mapping[str, str]) -> None:
    """Mark an executed notebook with how it ended."""
    nb.metadata["relkit"] = {**ending, "digest": _contents(nb)}


def ending_of(nb: Notebook) -> str:
    """Return the status that our engine marked a notebook with; empty: not as our engine left it.

    The statuses are ``done``, ``waiting``, ``failed`` and ``aborted``.
    """
    mark = nb.metadata.get("relkit", {})
    ours = isinstance(mark, dict) and mark.get("digest") == _contents(nb)
    return str(mark.get("status", "")) if ours else ""


def _contents(nb: Notebook) -> str:
    """Return the digest of code, outputs and when papermill began.

    Text does not count: papermill adds cells that tell of an error later.
    """
    begun = nb.metadata.get("papermill", {}).get("start_time")
    names = ("id", "source", "execution_count", "outputs")
    code = [[cell.get(name) for name in names] for cell in nb.cells if cell.cell_type == "code"]
    return digest_of([begun, code])
