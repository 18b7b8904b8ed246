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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from relkit.building.job import JOB, LOCK, OUT, OUTCOME, PART, PID, TOOLS_LOCK, WORK, hold
from relkit.errors import CheckError, UsageError, WorldError
from relkit.values import Build, BuildResult, BuildState, Json

WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
ATTEMPT = re.compile(r"attempt-([0-9]+)")
PROCESS = re.compile(rb"[1-9][0-9]{0,9}\n")
KILLED, DAMAGED = "killed", "what it left cannot be read"
PART_BYTES = 200
CLEAR_SECONDS = 5.0
"""How long tools that end by themselves may go on writing into a folder that is removed."""
END_SECONDS = 10.0
"""How long a build may take to say which process it is, and then to die."""
MOST_LOST = 5
"""A build whose attempts are lost so often has failed: starting it again does not help."""


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Let one process at a time decide what is started or cancelled.

    The lock lies where nothing is ever put aside: who waits for it waits for the right one.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = hold(lock, fcntl.LOCK_EX)
    if held is None:
        raise WorldError(
            f"{lock} cannot be locked, so nothing was started or cancelled",
            code="NO_LOCKS",
            remedy="Keep the builds on a file system of this machine that has locks.",
        )
    try:
        yield
    finally:
        os.close(held)


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


class Outcome(BuildResult):
    """How an attempt ended: why it failed, or None and what it left."""

    failure: str | None


def check_same(attempt: Path, build: Build) -> None:
    """Refuse (``BUILD_OTHER``) a build that differs from the one an attempt is for."""
    known = Build.model_validate(told(attempt)["build"])
    if known != build:
        raise CheckError(
            f"the build {build.name} of this run is {known.model_dump()}, not {build.model_dump()}",
            code="BUILD_OTHER",
            remedy="A build is never replaced under its name: open a new revision of the run.",
        )


def told(attempt: Path) -> Json:
    """Return what the process of an attempt was told."""
    return cast("Json", json.loads((attempt / JOB).read_text(encoding="utf-8")))


def outcome(attempt: Path) -> Json:
    """Return how an attempt ended."""
    return cast("Json", json.loads((attempt / OUTCOME).read_text(encoding="utf-8")))


def status_of(attempt: Path) -> BuildState:
    """Tell how an attempt stands.

    What was written by something else, or is damaged, is no end of a build: the attempt is lost.
    """
    since = _since(attempt)
    if not (attempt / OUTCOME).exists():
        lock = hold(attempt / LOCK, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if lock is None:
            return BuildState(status="running", detail=_doing(attempt, since), since=since)
        os.close(lock)
        # It may have ended between the two looks.
        if not (attempt / OUTCOME).exists():
            return _lost(attempt, since, KILLED)
    try:
        ended = Outcome.model_validate_json((attempt / OUTCOME).read_bytes())
    except ValidationError:
        return _lost(attempt, since, DAMAGED)
    if since is None:
        return _lost(attempt, since, DAMAGED)
    if ended.failure is not None:
        return BuildState(status="failed", detail=ended.failure, since=since)
    return BuildState(status="done", since=since)


def _since(attempt: Path) -> datetime | None:
    """Return when an attempt was started; None if that cannot be read."""
    try:
        since = datetime.fromisoformat(str(told(attempt)["started"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return since if since.tzinfo else None


def _lost(attempt: Path, since: datetime | None, why: str) -> BuildState:
    if (number := number_of(attempt)) >= MOST_LOST:
        return BuildState(status="failed", detail=f"{why} {number} times", since=since)
    return BuildState(status="lost", detail=why, since=since)


def _doing(attempt: Path, since: datetime | None) -> str:
    """Say in one line what an attempt does, and for how long it has been at work."""
    try:
        with (attempt / PART).open("rb") as file:
            said = file.read(PART_BYTES).decode("ascii", "replace").partition("\n")[0]
    except FileNotFoundError:
        said = "starting"
    part = "".join(one for one in said if one.isprintable()).strip() or "at work"
    # A clock that was put back says nothing.
    minutes = int((datetime.now(UTC) - since).total_seconds() // 60) if since else 0
    return f"{part}, {_spoken(minutes)}" if minutes > 0 else part


def _spoken(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min"


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
        with suppress(ProcessLookupError):
            if (leader := _leader(attempt)) is not None:
                os.killpg(leader, signal.SIGKILL)
        time.sleep(0.02)


def _leader(attempt: Path) -> int | None:
    """Return the number of an attempt's process; None if it has not said it, or something else.

    Other numbers mean other processes to the system: 0 all of our own group, 1 the system itself.
    """
    try:
        said = (attempt / PID).read_bytes()
    except FileNotFoundError:
        return None
    return int(said) if PROCESS.fullmatch(said) and int(said) > 1 else None


def clear(attempt: Path) -> None:
    """End what a dead build has left running, and remove its working files; the log stays."""
    _end_tools(attempt)
    until = time.monotonic() + CLEAR_SECONDS
    for name in WORK, OUT:
        shutil.rmtree(attempt / name, ignore_errors=True)
        while (attempt / name).exists() and time.monotonic() < until:
            time.sleep(0.05)
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
    leader = _leader(attempt)
    if leader is None:
        return
    try:
        os.kill(leader, 0)
    except ProcessLookupError:
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)
