"""From the five parameters of a notebook to an open run."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import relkit.steps  # noqa: F401 (declares the steps)
from relkit.errors import RecordError
from relkit.history import inputs
from relkit.ledger import Ledger
from relkit.ports import World
from relkit.release import Release, Version
from relkit.run import Run
from relkit.worlds import read_world_file

GIT_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_SSH_COMMAND")


@dataclass(frozen=True)
class Opened:
    """An open run, and how to let go of its world."""

    run: Run
    close_world: Callable[[], None]

    def close(self) -> None:
        """Give run and world free."""
        self.run.close()
        self.close_world()


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
    path = project_folder() / world
    opened, close = open_world(path, folder, release, repository)
    try:
        return Opened(Run.open(release, opened, folder), close)
    except BaseException:
        close()
        raise


def open_world(
    path: Path, record: Path, release: Release, repository: str = ""
) -> tuple[World, Callable[[], None]]:
    """Open the world a file describes, for one release; return it and how to close it."""
    from relkit.rehearsal.world import open_rehearsal  # noqa: PLC0415 (only the form that is used)

    file, digest = read_world_file(path)
    return open_rehearsal(file, digest, record, release, repository)


def _recorded_date(folder: Path) -> str:
    """Return the date a run was opened with, or today."""
    now = datetime.now(UTC)
    if not (folder / "ledger.jsonl").exists():
        return f"{now:%Y-%m-%d}"
    ledger = Ledger.read(folder, lambda: now)
    return f"{inputs(ledger).time:%Y-%m-%dT%H:%M:%SZ}" if ledger.records else f"{now:%Y-%m-%d}"


def require_clean_environment() -> None:
    """Raise `RecordError` (``ENV_GIT``) if git is redirected by the environment."""
    if found := [name for name in GIT_VARIABLES if name in os.environ]:
        raise RecordError(
            f"the environment sets {', '.join(found)}",
            code="ENV_GIT",
            remedy="Unset these variables: they would redirect git to another repository.",
        )
