"""One attempt at a build, as anybody finds it in its folder: running, done, failed or lost.

Nothing here starts anything; `relkit.adapters.processes` does.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import cast

from relkit.building.job import JOB, LOCK, OUT, OUTCOME, PART, PID, TOOLS_LOCK, WORK, hold
from relkit.errors import UsageError, WorldError
from relkit.values import BuildState, Json

WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
ATTEMPT = re.compile(r"attempt-([0-9]+)")
KILLED = "killed"
END_SECONDS = 10.0
"""How long a build may take to say which process it is, and then to die."""
MOST_LOST = 5
"""A build whose attempts are lost so often has failed: starting it again does not help."""


def delivered_by(folder: Path, *, nonce: str, name: str) -> Path | None:
    """Return the folder of what a finished build delivers, below the builds' `folder`."""
    last = newest(home_of(folder, nonce, name))
    return last / OUT if last is not None and status_of(last).status == "done" else None


def home_of(folder: Path, nonce: str, name: str) -> Path:
    """Return the folder of a build; refuse (``BAD_NAME``) names that are no plain words."""
    for word in nonce, name:
        if not WORD.fullmatch(word):
            raise UsageError(
                f"{word[:40]!r} cannot name a build",
                code="BAD_NAME",
                remedy="Use the run's nonce and a build's name as the steps have them.",
            )
    return folder.absolute() / nonce / name


def number_of(attempt: Path | None) -> int:
    """Return the number of an attempt; 0 for none."""
    found = ATTEMPT.fullmatch(attempt.name) if attempt else None
    return int(found[1]) if found else 0


def newest(home: Path) -> Path | None:
    """Return the newest attempt at a build, by number."""
    attempts = [path for path in home.glob("attempt-*") if number_of(path)]
    return max(attempts, key=number_of, default=None)


def told(attempt: Path) -> Json:
    """Return what the process of an attempt was told."""
    return cast("Json", json.loads((attempt / JOB).read_text(encoding="utf-8")))


def outcome(attempt: Path) -> Json:
    """Return how an attempt ended."""
    return cast("Json", json.loads((attempt / OUTCOME).read_text(encoding="utf-8")))


def status_of(attempt: Path) -> BuildState:
    """Tell how an attempt stands."""
    since = datetime.fromisoformat(str(told(attempt)["started"]))
    if not (attempt / OUTCOME).exists():
        lock = hold(attempt / LOCK, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if lock is None:
            return BuildState(status="running", detail=_part(attempt), since=since)
        os.close(lock)
        # It may have ended between the two looks.
        if not (attempt / OUTCOME).exists():
            return _lost(attempt, since)
    failure = outcome(attempt)["failure"]
    if failure is not None:
        return BuildState(status="failed", detail=str(failure), since=since)
    return BuildState(status="done", since=since)


def _lost(attempt: Path, since: datetime) -> BuildState:
    if (number := number_of(attempt)) >= MOST_LOST:
        return BuildState(status="failed", detail=f"{KILLED} {number} times", since=since)
    return BuildState(status="lost", detail=KILLED, since=since)


def _part(attempt: Path) -> str:
    try:
        return (attempt / PART).read_text(encoding="ascii")
    except FileNotFoundError:
        return "starting"


def end(attempt: Path) -> None:
    """Kill the process of an attempt with its tools, if it runs, and see that it is dead."""
    until = time.monotonic() + END_SECONDS
    while status_of(attempt).status == "running":
        if time.monotonic() >= until:
            raise WorldError(
                f"the build {attempt.parent.name} cannot be ended",
                code="BUILD_NOT_ENDED",
                remedy=f"See what its process does; its number is in {attempt.name}/{PID}.",
            )
        # It writes its number first of all; it holds its lock, so the number is still its own.
        with suppress(FileNotFoundError, ProcessLookupError):
            os.killpg(int((attempt / PID).read_text(encoding="ascii")), signal.SIGKILL)
        time.sleep(0.02)


def clear(attempt: Path) -> None:
    """End what a dead build has left running, and remove its working files; the log stays."""
    _end_tools(attempt)
    for name in WORK, OUT:
        shutil.rmtree(attempt / name, ignore_errors=True)


def _end_tools(attempt: Path) -> None:
    """End the tools of a build whose own process is dead.

    They hold their lock, so some of them live, in the group that has the dead process's number. As
    long as the group lives, the system gives that number to nobody else.
    """
    lock = hold(attempt / TOOLS_LOCK)
    if lock is not None:
        os.close(lock)
        return
    leader = int((attempt / PID).read_text(encoding="ascii"))
    try:
        os.kill(leader, 0)
    except ProcessLookupError:
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)
