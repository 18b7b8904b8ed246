"""papermill's engine for release notebooks, with statuses that are true.

papermill marks every cell as completed after a timeout or a dead kernel, also cells that never
ran. `RelkitEngine` corrects that, and marks what it executed: `metadata.relkit` of a notebook says
how the attempt ended. A notebook without this mark was cut off, or run by another engine.

papermill loads this module by its entry point; importing it before papermill is a circle.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from papermill.engines import NBClientEngine, NotebookExecutionManager

from relkit.environment import environment
from relkit.errors import UsageError, WaitingError
from relkit.marks import put_mark

WAITING = WaitingError.__name__
PARAMETERS = ("version", "kind", "date", "world", "records", "picks")


class PrivateKernelManager(AsyncKernelManager):
    """A kernel reached through sockets in a private folder, not over the network."""

    def __init__(self, **options: Any) -> None:
        self._folder = tempfile.mkdtemp(prefix="relkit-")
        super().__init__(transport="ipc", ip=f"{self._folder}/k", **options)

    async def _async_cleanup_resources(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002
        await super()._async_cleanup_resources(restart)
        if not restart:
            shutil.rmtree(self._folder, ignore_errors=True)

    cleanup_resources = _async_cleanup_resources


class SparingManager(NotebookExecutionManager):  # type: ignore[misc] # papermill has no types
    """Saves an attempt as each cell of code begins, and in the end.

    papermill saves four times for a section, prose and code, and each time everything: that took
    longer than most steps.
    """

    saving = True

    def cell_start(self, cell: Any, cell_index: int | None = None, **more: Any) -> None:
        """Mark a cell as running; save if it is code."""
        self.saving = cell.cell_type == "code"
        super().cell_start(cell, cell_index, **more)
        self.saving = True

    def cell_complete(self, cell: Any, cell_index: int | None = None, **more: Any) -> None:
        """Mark a cell as completed; the next one to begin saves it."""
        self.saving = False
        super().cell_complete(cell, cell_index, **more)
        self.saving = True

    def save(self, **more: Any) -> None:
        """Save, unless that comes soon anyway."""
        if self.saving:
            super().save(**more)


class RelkitEngine(NBClientEngine):  # type: ignore[misc] # papermill has no types
    """papermill's engine, with statuses which are true and without widget state."""

    @classmethod
    def execute_notebook(cls, nb: Any, kernel_name: str, **options: Any) -> Any:
        """Execute; an earlier attempt's marks are taken off first."""
        for part in (nb, *nb.cells):
            part.metadata.pop("relkit", None)
        _check_parameters(nb)
        with environment(RELKIT_RUNNER=os.environ.get("RELKIT_RUNNER", "batch")):
            return super().execute_notebook(nb, kernel_name, **options)

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
        """Execute, and mark how it ended, also where papermill would say it is completed."""
        nb_man.__class__ = SparingManager  # papermill offers no other way to have one's own
        options.setdefault("store_widget_state", False)
        options.setdefault("kernel_manager_class", PrivateKernelManager)
        # A kernel that is ended after a refusal would call that an error.
        options.setdefault("extra_arguments", ["--IPKernelApp.log_level=50"])
        nb = nb_man.nb
        try:
            super().execute_managed_notebook(nb_man, kernel_name, **options)
        except BaseException as error:
            started = [cell for cell in nb.cells if cell.metadata.papermill.get("start_time")]
            # papermill takes all cells before the one that failed for completed.
            nb_man.cell_exception(started[-1] if started else nb.cells[0])
            put_mark(nb, {"status": "aborted", "reason": type(error).__name__})
            raise
        put_mark(nb, _ending(nb))


def _ending(nb: Any) -> dict[str, str]:
    """Return how an executed notebook ended: done, waiting or failed, and in which cell."""
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                status = "waiting" if output.ename == WAITING else "failed"
                last = output.traceback[-1] if output.traceback else ""
                remedy = last if last.startswith("What to do: ") else ""
                return {"status": status, "cell": cell.id, "why": output.evalue, "remedy": remedy}
    return {"status": "done"}


def _check_parameters(nb: Any) -> None:
    """Refuse parameters a release notebook does not have; papermill only warns of them."""
    given = nb.metadata.get("papermill", {}).get("parameters", {})
    if strange := sorted(set(given) - set(PARAMETERS)):
        raise UsageError(
            f"a release notebook has no parameter {', '.join(map(repr, strange))}",
            code="PARAMETER_UNKNOWN",
            remedy=f"The parameters are {', '.join(PARAMETERS)}.",
        )
