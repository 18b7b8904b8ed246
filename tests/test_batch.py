"""papermill with our engine: true statuses, true marks, a kernel that nobody else reaches."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import papermill
import pytest
from cells import Notebook, asked, notebook, read, text, write

from relkit import batch
from relkit.engine import PARAMETERS
from relkit.errors import UsageError, WorldError
from relkit.marks import ending_of, put_mark
from relkit.notebook import open_run

BIN = Path(sys.executable).parent
WAITING = """\
from relkit.errors import WaitingError
raise WaitingError("nobody is here", code="GATE_OPEN", remedy="Wait.")"""
WRONG = """\
from relkit.errors import UsageError
raise UsageError("no", code="BAD_VERSION", remedy="Another one.")"""
DIE = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
WIDGET = "import ipywidgets; ipywidgets.Button(description='push')"


def executed(target: Path, *cells: str, status: int = 0) -> Notebook:
    """Execute cells, expect this exit status, and return what was written."""
    found = batch.execute(asked(*cells), target, {"version": "3.15.0a1"}, progress=False)
    assert found == status
    return read(target)


def statuses(nb: Notebook) -> dict[str, str]:
    ours = [cell for cell in nb.cells if cell.id.startswith("cell-")]
    return {cell.id: cell.metadata.papermill.status for cell in ours}


def test_a_notebook_that_ran_to_its_end_is_done_and_keeps_no_widget_state(tmp_path: Path) -> None:
    nb = executed(tmp_path / "out.ipynb", WIDGET, "print(version)")
    assert ending_of(nb) == "done"
    assert statuses(nb) == {"cell-0": "completed", "cell-1": "completed"}
    assert "widgets" not in nb.metadata
    assert nb.cells[-1].outputs[0].text == "3.15.0a1\n"


@pytest.mark.parametrize(
    ("cell", "status", "ending"),
    [(WAITING, 75, "waiting"), (WRONG, 2, "failed"), ("1 / 0", 1, "failed")],
    ids=["waiting", "usage", "other"],
)
def test_it_stops_where_a_cell_refuses(tmp_path: Path, cell: str, status: int, ending: str) -> None:
    nb = executed(tmp_path / "out.ipynb", "1", cell, "2", status=status)
    assert ending_of(nb) == ending
    assert nb.metadata.relkit.cell == "cell-1"
    assert statuses(nb) == {"cell-0": "completed", "cell-1": "failed", "cell-2": "pending"}
    assert not nb.cells[-1].outputs


def test_our_refusals_are_two_lines_and_no_traceback(tmp_path: Path) -> None:
    nb = executed(tmp_path / "out.ipynb", WAITING, status=75)
    (error,) = nb.cells[-1].outputs
    assert error.traceback == [
        "WaitingError: GATE_OPEN: nobody is here",
        "What to do: Wait.",
    ]


def test_after_a_lost_kernel_nothing_that_did_not_run_is_completed(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="KERNEL_LOST"):
        batch.execute(asked("1", DIE, "2"), tmp_path / "out.ipynb", {}, progress=False)
    nb = read(tmp_path / "out.ipynb")
    assert statuses(nb) == {"cell-0": "completed", "cell-1": "failed", "cell-2": "pending"}
    assert ending_of(nb) == "aborted"
    assert nb.metadata.relkit.reason == "DeadKernelError"


def test_after_a_time_out_nothing_that_did_not_run_is_completed(tmp_path: Path) -> None:
    source = write(tmp_path / "in.ipynb", asked("1", "import time; time.sleep(60)", "2"))
    out = tmp_path / "out.ipynb"
    options = ["--engine", "relkit", "--execution-timeout", "1", "--no-progress-bar"]
    done = subprocess.run(
        [BIN / "papermill", *options, source, out],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    nb = read(out)
    assert statuses(nb) == {"cell-0": "completed", "cell-1": "failed", "cell-2": "pending"}
    assert (ending_of(nb), nb.metadata.relkit.reason) == ("aborted", "CellTimeoutError")


def test_where_no_kernel_can_be_started_no_cell_is_completed(tmp_path: Path) -> None:
    nb = asked("1")
    nb.metadata.kernelspec.name = "no-such-kernel"
    with pytest.raises(Exception, match="no-such-kernel"):
        batch.execute(nb, tmp_path / "out.ipynb", {}, progress=False)
    found = read(tmp_path / "out.ipynb")
    assert "completed" not in statuses(found).values()
    assert ending_of(found) == "aborted"


def test_unknown_parameters_are_refused_before_a_kernel_is_started(tmp_path: Path) -> None:
    given = {"version": "3.15.0a1", "verison": "3.15.0a1"}
    with pytest.raises(UsageError, match=r"PARAMETER_UNKNOWN.*'verison'"):
        batch.execute(asked("1"), tmp_path / "out.ipynb", given, progress=False)


def test_the_engine_knows_the_parameters_that_a_run_is_opened_with() -> None:
    known = inspect.signature(open_run).parameters
    assert tuple(name for name in known if name != "unknown") == PARAMETERS


def test_the_kernel_is_reached_through_files_of_this_user_only(tmp_path: Path) -> None:
    look = """\
import json, os, pathlib
from ipykernel.connect import get_connection_file
connection = json.loads(pathlib.Path(get_connection_file()).read_text())
folder = pathlib.Path(connection["ip"]).parent
print(json.dumps([connection["transport"], oct(folder.stat().st_mode & 0o777)]))"""
    nb = executed(tmp_path / "out.ipynb", look)
    assert json.loads(nb.cells[-1].outputs[0].text) == ["ipc", "0o700"]


def test_a_kernel_knows_that_it_runs_in_batch(tmp_path: Path) -> None:
    nb = executed(tmp_path / "out.ipynb", "from relkit.notebook import runner; print(runner())")
    assert nb.cells[-1].outputs[0].text == "batch\n"


# --- whose attempt it is -----------------------------------------------------------------------


def test_an_attempt_that_another_engine_ran_again_is_not_ours(tmp_path: Path) -> None:
    executed(tmp_path / "ours.ipynb", "1")
    options: dict[str, Any] = {"progress_bar": False, "engine_name": "nbclient"}
    papermill.execute_notebook(tmp_path / "ours.ipynb", tmp_path / "theirs.ipynb", **options)
    theirs = read(tmp_path / "theirs.ipynb")
    assert ending_of(read(tmp_path / "ours.ipynb")) == "done"
    assert theirs.metadata.relkit.status == "done"  # it carries our mark, and the same outputs
    assert ending_of(theirs) == ""


def test_a_mark_counts_for_the_contents_it_was_made_over() -> None:
    nb = asked("1")
    assert ending_of(nb) == ""
    put_mark(nb, {"status": "done"})
    assert ending_of(nb) == "done"
    nb.cells = [*notebook(text("said", "An error.")).cells, *nb.cells]
    assert ending_of(nb) == "done"
    nb.cells[-1].source = "2"
    assert ending_of(nb) == ""


@pytest.mark.parametrize("mark", [{}, {"status": "done"}, {"digest": 1}, "done", ["done"], None])
def test_a_mark_that_is_none_does_not_count(mark: object) -> None:
    nb = asked("1")
    nb.metadata["relkit"] = mark
    assert ending_of(nb) == ""


def test_our_engine_takes_off_an_earlier_mark(tmp_path: Path) -> None:
    nb = asked("1 / 0")
    put_mark(nb, {"status": "done"})
    batch.execute(nb, tmp_path / "out.ipynb", {}, progress=False)
    assert ending_of(read(tmp_path / "out.ipynb")) == "failed"


# --- names -------------------------------------------------------------------------------------


def test_attempts_are_numbered_on(tmp_path: Path) -> None:
    assert batch.next_attempt(tmp_path, "run") == tmp_path / "attempts" / "001-run.ipynb"
    (tmp_path / "attempts").mkdir()
    for name in ("001-run.ipynb", "007-run.ipynb", "notes.ipynb", "099-run.html"):
        (tmp_path / "attempts" / name).touch()
    assert batch.next_attempt(tmp_path, "run").name == "008-run.ipynb"


@pytest.mark.parametrize(
    ("name", "status"),
    [("WaitingError", 75), ("UsageError", 2), ("CheckError", 1), ("ValueError", 1), ("", 1)],
)
def test_the_exit_status_is_that_of_the_error_and_of_ours_only(name: str, status: int) -> None:
    assert batch.exit_status(name) == status


@pytest.mark.parametrize("name", ["ClassVar", "annotations", "__doc__"])
def test_what_else_the_errors_module_holds_is_no_error(name: str) -> None:
    assert batch.exit_status(name) == 1
