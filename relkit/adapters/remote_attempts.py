"""Attempts at builds beyond this machine: the folders in which others look for what was made."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from relkit.adapters.attempts import told
from relkit.adapters.disk import sync_folder
from relkit.building.ending import Ending
from relkit.building.job import JOB, OUTCOME, write_whole
from relkit.values import Build, BuildState


def begin_attempt(home: Path, number: int, build: Build, run: int) -> None:
    """Make the attempt of a build in a run (its number in the journal); it appears whole."""
    new = home / ".attempt"
    shutil.rmtree(new, ignore_errors=True)  # of a process that was killed here
    new.mkdir(parents=True)
    job = {
        "build": build.model_dump(mode="json"),
        "run": run,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_whole(new / JOB, json.dumps(job, indent=1, sort_keys=True))
    new.rename(home / f"attempt-{number}")
    sync_folder(home)


def run_number(attempt: Path | None) -> int:
    """Return the number of an attempt's run in the journal; 0 where there is none."""
    if attempt is None:
        return 0
    try:
        number = told(attempt)["run"]
    except (ValueError, KeyError, OSError):
        return 0
    return number if isinstance(number, int) else 0


def give_up(attempt: Path, state: BuildState) -> None:
    """End an attempt for which another one comes; why it failed stays to be read."""
    if not (attempt / OUTCOME).exists():
        with closing(Ending(attempt)) as ending:
            ending.failed(state.detail or state.status)
