"""What a place beyond this machine must be able to do, so that builds can run there."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Protocol

from relkit.values import Build, BuildState


class BuildService(Protocol):
    """One place beyond this machine where builds run; adapters raise `WorldError`.

    Builds that name the same service object share its run: `start` is called for one of them.
    """

    def find(self, *, build: Build, since: datetime) -> str | None:
        """Return the run started for this build at or after `since` (UTC); None: surely none.

        It is asked when the answer to starting was lost. Raises ``RUN_AMBIGUOUS`` where several
        could be it.
        """

    def start(self, *, build: Build) -> str:
        """Start a run and return its id.

        Raises `UnknownStateError` where it is not known whether it started.
        """

    def state(self, *, build: Build, run: str) -> BuildState:
        """Tell how a run stands: running, failed or done, with one line for people."""

    def fetch(self, *, build: Build, run: str, folder: Path) -> dict[str, str]:
        """Download the files named in `build.options` into an empty folder; return facts.

        Each file is checked against the digest which the service states, if it states one. The
        facts (``commit``, ``version``, ``run``) are as the service has them, not as they were
        asked for.
        """

    def cancel(self, *, build: Build, run: str) -> None:
        """End a run; one that has ended is left alone."""

    def log(self, *, build: Build, run: str) -> str:
        """Return what the run says about itself, at most 4,000 characters."""

    def builder(self) -> str:
        """Return the URI of who builds there, as the policy and the provenance name it."""
