"""From the parameters of a notebook to an open run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import relkit.steps  # noqa: F401 (declares the steps)
from relkit import records as log
from relkit.errors import UsageError
from relkit.inputs import inputs
from relkit.kinds import BESIDE
from relkit.ledger import Ledger
from relkit.ports import World
from relkit.release import Release, Version
from relkit.run import Run
from relkit.worlds import WorldFile, read_world_file

ANY_DAY = "2000-01-01"  # what stands beside versions has its name on every day


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


def record_folder(subject: str, records: str, kind: str = "") -> Path:
    """Return the folder of a record: ``3.15.0a1`` or ``3.13-begin-security-only`` in `records`.

    `subject` is a version, with the kind of a transition a branch, or the folder's own name.
    """
    about, _, named = str(subject).partition("-")  # papermill may have made a number of it
    if named in BESIDE and not kind:
        subject, kind = about, named
    if kind in BESIDE:
        name = Release.parse(subject, kind, ANY_DAY).key
    else:
        name = str(Version.parse(subject))
    return project_folder() / records / name


def open_release(  # noqa: PLR0913, PLR0917 (the parameters of a notebook)
    version: str,
    kind: str,
    date: str,
    world: str,
    records: str,
    repository: str = "",
    picks: str = "",
) -> Opened:
    """Open the run of a release in a world, both begun where they are not there yet.

    `date`, `picks` and `world` may be empty for a run that was begun: they are what they were.
    `repository` is the source of a rehearsal's upstream, used when its world is made.
    """
    folder = record_folder(version, records, kind)
    recorded = _recorded(folder)
    if recorded is not None:
        date = date or f"{recorded.time:%Y-%m-%dT%H:%M:%SZ}"
        picks = picks or " ".join(recorded.picks)
    release = Release.parse(version, kind, date or f"{_now():%Y-%m-%d}", picks)
    file, digest = read_world_file(_world_file(world, recorded))
    _prepare(file, folder, release, repository)
    ledger = Ledger.open(folder, _now)  # from here on nobody else touches the world of this run
    with ExitStack() as stack:
        stack.callback(ledger.close)
        opened, close = _open(file, digest, folder, release)
        stack.callback(close)
        run = Run.begin(release, opened, ledger)
        return Opened(run, stack.pop_all().close)


def open_world(
    version: str, kind: str, date: str, world: str, records: str
) -> tuple[Release, World, Callable[[], None]]:
    """Open the world of a release without beginning its run; return also how to close it."""
    release = Release.parse(version, kind, date or f"{_now():%Y-%m-%d}")
    folder = record_folder(version, records, kind)
    file, digest = read_world_file(_world_file(world, _recorded(folder)))
    _prepare(file, folder, release, "")
    opened, close = _open(file, digest, folder, release)
    return release, opened, close


def _prepare(file: WorldFile, folder: Path, release: Release, repository: str) -> None:
    """Make what is missing of a world; refuse what cannot be opened, before anything is begun."""
    if file.rehearsal:
        from relkit.rehearsal.world import make_rehearsal  # noqa: PLC0415 (only the form in use)

        make_rehearsal(file, folder, release, repository)
    else:
        from relkit.real.production import require_complete  # noqa: PLC0415

        require_complete(file, release)


def _open(
    file: WorldFile, digest: str, folder: Path, release: Release
) -> tuple[World, Callable[[], None]]:
    if file.rehearsal:
        from relkit.rehearsal.world import open_rehearsal  # noqa: PLC0415 (only the form in use)

        return open_rehearsal(file, digest, folder, release)
    from relkit.real.production import open_production  # noqa: PLC0415

    return open_production(file, digest, folder, release)


def world_is_there(folder: Path, world: str = "") -> bool:
    """Tell whether the world of a recorded run is where it was; none is made by asking.

    Raises `UsageError` (``WORLD_FILE``) where there is a world and no file that describes it.
    """
    if not world and not any(folder.parent.glob("*/world.json")):
        return False
    file, _ = read_world_file(_world_file(world, _recorded(folder)))
    return (folder.parent / file.state / "world.json").exists()


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _recorded(folder: Path) -> log.Opened | None:
    """Return what a run was opened with; None if there is none."""
    ledger = Ledger.read(folder, _now)
    return inputs(ledger) if ledger.records else None


def _world_file(world: str, recorded: log.Opened | None) -> Path:
    """Return the file of a world: the one that is named, or the one a run was opened with."""
    if world:
        return project_folder() / world
    if recorded is not None:
        for path in sorted((project_folder() / "worlds").glob("*.toml")):
            if hashlib.sha256(path.read_bytes()).hexdigest() == recorded.world_digest:
                return path
    raise UsageError(
        "no file in worlds/ describes the world this run was opened in"
        if recorded
        else "a run that is not begun needs a world",
        code="WORLD_FILE",
        remedy="Name the world's file: --world worlds/rehearsal.toml.",
    )
