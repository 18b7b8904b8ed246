"""The journal of runs at one service: what was to be started, and what came of it.

One folder for each service and each nonce, a file for each run. The intention is on the disk before
the service hears of it; its id comes after. A run without an id is one whose answer was lost.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field

from relkit.adapters.attempts import alone
from relkit.adapters.value_files import read_value, write_value
from relkit.values import Build, Value

FILE = re.compile(r"run-([0-9]+)\.json")


class Run(Value):
    """A run that was to be started for `build` at `intended` (UTC); other builds may share it.

    `run` is the service's id, None as long as it is not known. Builds in `left` were cancelled:
    they take no part in it any more. In one that is `cancelled` nobody takes part.
    """

    number: int
    intended: datetime
    build: Build
    run: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    left: tuple[str, ...] = ()
    cancelled: bool = False


class Journal:
    """The runs of one service for one run of relkit, by number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def alone(self) -> AbstractContextManager[None]:
        """Let one process at a time decide what is started or cancelled."""
        return alone(self._folder / "lock")

    def runs(self) -> list[Run]:
        """Return all runs, in order of number. Raises `WorldError` (``STATE_UNREADABLE``)."""
        files = [path for path in self._folder.glob("run-*.json") if FILE.fullmatch(path.name)]
        return sorted((read_value(path, Run) for path in files), key=lambda run: run.number)

    def run(self, number: int) -> Run:
        """Return one run. Raises `WorldError` (``STATE_UNREADABLE``)."""
        return read_value(self._folder / f"run-{number}.json", Run)

    def intend(self, build: Build) -> Run:
        """Write that a run for this build is about to be started."""
        number = max((run.number for run in self.runs()), default=0) + 1
        run = Run(number=number, intended=datetime.now(UTC), build=build)
        self.write(run)
        return run

    def renew(self, run: Run) -> Run:
        """Write that a run which surely was not started is about to be started once more.

        Where it has to be looked for again, a list of runs must have had its time since then.
        """
        return self.write(run.model_copy(update={"intended": datetime.now(UTC)}))

    def write(self, run: Run) -> Run:
        """Keep what is known of a run, and bring it to the disk."""
        write_value(self._folder / f"run-{run.number}.json", run)
        return run

    def open_to(self, build: Build, after: int) -> Run | None:
        """Return the newest run which a build may share: of its commit, and number above `after`.

        A build that failed in a run, or was taken out of it, never joins the same one again.
        """
        for run in reversed(self.runs()):
            if run.build.commit == build.commit and run.build.version == build.version:
                fits = run.number > after and not run.cancelled and build.name not in run.left
                return run if fits else None
        return None
