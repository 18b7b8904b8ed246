"""From the five parameters of a notebook to an open run."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import relkit.steps  # noqa: F401 (declares the steps)
from relkit.errors import RecordError
from relkit.history import inputs
from relkit.ledger import Ledger
from relkit.release import Release, Version
from relkit.run import Run
from relkit.worlds import read_world_file

GIT_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_SSH_COMMAND")


@dataclass(frozen=True)
class Opened:
    """An open run, and how to let go of its world."""

    run: Run
    close: Callable[[], None]
    """Gives the world free, then the run."""


def project_folder() -> Path:
    """Return the nearest folder, from the current one upwards, that holds `worlds`."""
    here = Path.cwd()
    return next((one for one in (here, *here.parents) if (one / "worlds").is_dir()), here)


def record_folder(version: str, records: str) -> Path:
    """Return the folder of a release's record: ``<records>/<version>``."""
    return project_folder() / records / str(Version.parse(version))


def open_release(
    version: str, kind: str, date: str, world: str, records: str, repository: str = ""
) -> Opened:
    """Open the run of a release in a world, both begun where they are not there yet.

    `repository` is the source of a rehearsal's upstream, used when its world is made.
    """
    folder = record_folder(version, records)
    release = Release.parse(version, kind, date or _recorded_date(folder))
    from relkit.rehearsal.world import make_rehearsal, open_rehearsal  # noqa: PLC0415 (only the form that is used)

    file, digest = read_world_file(project_folder() / world)
    make_rehearsal(file, folder, release, repository)
    ledger = Ledger.open(folder, _now)  # from here on nobody else touches the world of this run
    with ExitStack() as stack:
        stack.callback(ledger.close)
        opened, close = open_rehearsal(file, digest, folder, release)
        stack.callback(close)
        run = Run.begin(release, opened, ledger)
        return Opened(run, stack.pop_all().close)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _recorded_date(folder: Path) -> str:
    """Return the date a run was opened with, or today."""
    ledger = Ledger.read(folder, _now)
    return f"{inputs(ledger).time:%Y-%m-%dT%H:%M:%SZ}" if ledger.records else f"{_now():%Y-%m-%d}"


def require_clean_environment() -> None:
    """Raise `RecordError` (``ENV_GIT``) if git is redirected by the environment."""
    if found := [name for name in GIT_VARIABLES if name in os.environ]:
        raise RecordError(
            f"the environment sets {', '.join(found)}",
            code="ENV_GIT",
            remedy="Unset these variables: they would redirect git to another repository.",
        )
