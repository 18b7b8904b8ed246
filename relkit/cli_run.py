"""`relkit run`: every step that is ready, in batch, as often as one has time to wait."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.plain import visible

if TYPE_CHECKING:
    from relkit.opening import Opened

WAITING = 75


def run(options: argparse.Namespace) -> int:
    """Attempt all steps; where they wait for others, wait as long as was asked for, and go on."""
    from relkit import awaiting, seal

    limit = getattr(options, "wait", "")
    until = awaiting.clock() + awaiting.duration(limit) if limit else None
    status = _attempt(options, until)
    while status == WAITING and until is not None and awaiting.clock() < until:
        _say(f"Waiting until {_clock_in(until)}; looking at most every minute.")
        if not awaiting.wait(lambda: _held_up(options), until, say=_say):
            break
        status = _again(options, until)
    if status == 0:
        with closing(open_run(options)) as opened:
            seal.close(folder_of(options), opened.run.world)
    elif status == WAITING:
        _say(_awaited(options))
    return status


def _again(options: argparse.Namespace, until: float) -> int:
    """Attempt all steps once more; if another process is at it already, that is waited for."""
    from relkit.errors import RecordError

    try:
        return _attempt(options, until)
    except RecordError as error:
        if error.code != "RUN_LOCKED":
            raise
        _say(str(error))
        return WAITING


def _attempt(options: argparse.Namespace, until: float | None) -> int:
    """Open the run once here, so that what is wrong is refused before a notebook is started."""
    from relkit import awaiting, batch, render
    from relkit.environment import environment
    from relkit.history import History

    folder = folder_of(options)
    if (folder / "ledger.head").exists():
        History.read(folder).require_going()
    open_run(options).close()
    history = History.read(folder)
    names = ["version", "kind", "date", "world", "records", *(["picks"] if options.picks else [])]
    given = {name: getattr(options, name) for name in names}
    target = batch.next_attempt(folder, "run")
    source = render.notebook(history.release.kind)
    patience = {} if until is None else {"RELKIT_PATIENCE": awaiting.patience(until)}
    with environment(**patience):
        status = batch.execute(source, target, given, progress=sys.stderr.isatty())
    if status:
        _say(_why(target))
    return status


def _held_up(options: argparse.Namespace) -> bool:
    from relkit import awaiting

    with closing(open_run(options)) as opened:
        return awaiting.held_up(opened.run)


def _awaited(options: argparse.Namespace) -> str:
    """Return the table of all that is awaited; what is there by now is not, if we can look."""
    from relkit import awaiting
    from relkit.errors import RecordError, WorldError
    from relkit.history import History

    try:
        with closing(open_run(options)) as opened:
            return awaiting.awaited(opened.run).text
    except (RecordError, WorldError):  # somebody else has opened it meanwhile; the network is away
        return awaiting.awaited(History.read(folder_of(options))).text


def _clock_in(until: float) -> str:
    from relkit import awaiting

    end = datetime.now(UTC) + timedelta(seconds=until - awaiting.clock())
    return f"{end:%Y-%m-%d %H:%M} UTC"


def _say(text: str) -> None:
    print(visible(text), file=sys.stderr)


def _why(attempt: Path) -> str:
    """Return why an attempt stopped, and where it can be read."""
    import nbformat

    mark = nbformat.read(attempt, as_version=4).metadata.get("relkit", {})
    lines = [f"{mark.get('status')} at {mark.get('cell')}: {mark.get('why')}", mark.get("remedy")]
    return "\n".join(filter(None, [*lines, f"Read {attempt}"]))


def open_run(options: argparse.Namespace) -> Opened:
    """Open the run that the options of a command name."""
    from relkit.opening import open_release

    return open_release(
        options.version,
        options.kind,
        getattr(options, "date", ""),
        options.world,
        options.records,
        getattr(options, "repo", ""),
        getattr(options, "picks", ""),
    )


def folder_of(options: argparse.Namespace) -> Path:
    """Return the folder of the record that the options of a command name."""
    from relkit.opening import record_folder

    return record_folder(options.version, options.records, options.kind)
