"""Run release notebooks with papermill and the engine of `relkit.engine`."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from relkit import errors
from relkit.errors import ReleaseError, WorldError


def execute(
    notebook: nbformat.NotebookNode, target: Path, parameters: Mapping[str, str], *, progress: bool
) -> int:
    """Execute a notebook into `target`; return the exit status: 0 done, 75 waiting, 1 or 2 refused.

    Raises `WorldError` (``KERNEL_LOST``) for a kernel that died; `target` says so too.
    """
    logging.getLogger("papermill").setLevel(logging.ERROR)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="relkit-") as folder:
        source = Path(folder) / target.name
        nbformat.write(notebook, source)
        try:
            papermill.execute_notebook(
                source,
                target,
                dict(parameters),
                engine_name="relkit",
                progress_bar=progress,
                request_save_on_cell_execute=True,
            )
        except PapermillExecutionError as error:
            return exit_status(error.ename)
        except (DeadKernelError, CellTimeoutError) as error:
            raise WorldError(
                f"the kernel of {target.name} ended before the notebook: {type(error).__name__}",
                code="KERNEL_LOST",
                remedy="Run this again: what is done is not done again.",
            ) from error
    return 0


def exit_status(ename: str) -> int:
    """Return the exit status of an error by its name; 1 for what is not ours."""
    kind = getattr(errors, ename, None)
    return kind.exit_status if isinstance(kind, type) and issubclass(kind, ReleaseError) else 1


def next_attempt(folder: Path, what: str) -> Path:
    """Return a new file name for an attempt: ``attempts/003-run.ipynb``."""
    attempts = folder / "attempts"
    taken = [int(path.name[:3]) for path in attempts.glob("[0-9][0-9][0-9]-*.ipynb")]
    return attempts / f"{max(taken, default=0) + 1:03}-{what}.ipynb"
