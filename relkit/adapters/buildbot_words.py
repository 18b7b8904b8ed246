"""What a build says about how it went, and what a master's clock says."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from relkit.adapters.buildbot_rows import API, BuildRow, ChunkRow, LogRow, StepRow, fresh, rows
from relkit.adapters.rest import Rest
from relkit.errors import WorldError

STDIO = "stdio"
LINES = 60
LOG_TAIL = 4000
SKEW_SECONDS = 300.0
"""How far the master's clock may be from ours: which run is meant is told by time."""
FINE = {None, 0, 1, 3}
"""The results of steps that broke nothing: none yet, success, warnings, skipped."""


def broken_step(rest: Rest, build: BuildRow | None) -> str:
    """Say in a line which step of a build broke, and how."""
    if build is None:
        return "it was never built"
    broken = [one for one in _steps(rest, build) if one.results not in FINE]
    said = [f"step {one.name}: {one.state_string}".strip(": ") for one in broken[:1]]
    return said[0] if said else build.state_string


def tail_of(rest: Rest, build: BuildRow) -> str:
    """Return the end of the log of the step that broke, or else of the last one with a log."""
    steps = _steps(rest, build)
    broken = [one for one in steps if one.results not in FINE]
    for step in (*broken, *reversed(steps)):
        logs = rows(rest, f"steps/{step.stepid}/logs", LogRow, [fresh("logid")])
        for log in logs:
            if log.name == STDIO and log.num_lines:
                return _tail(rest, log)
    return ""


def _steps(rest: Rest, build: BuildRow) -> tuple[StepRow, ...]:
    return rows(rest, f"builds/{build.buildid}/steps", StepRow, [fresh("stepid")])


def _tail(rest: Rest, log: LogRow) -> str:
    query = [("offset", str(max(log.num_lines - LINES, 0))), ("limit", str(LINES))]
    chunks = rows(rest, f"logs/{log.logid}/contents", ChunkRow, query, key="logchunks")
    lines = "".join(one.content for one in chunks).splitlines(keepends=True)
    return "".join(line[1:] for line in lines)[-LOG_TAIL:]


def ahead(rest: Rest) -> float:
    """Return by how many seconds the master's clock is ahead of ours; refuse (``CLOCK_SKEW``)."""
    answer = rest.get(f"{API}masters", [fresh("masterid")])
    ours = datetime.now(UTC)
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", ""))
        seconds = (theirs - ours).total_seconds()
    except (ValueError, TypeError) as error:
        raise rest.unreadable("its answer has no date") from error
    if abs(seconds) > SKEW_SECONDS:
        raise WorldError(
            f"{rest.name}: its clock says {theirs:%Y-%m-%d %H:%M:%S}, ours "
            f"{ours:%Y-%m-%d %H:%M:%S} UTC; which run is ours cannot be told",
            code="CLOCK_SKEW",
            remedy="Correct this machine's clock, or tell those who run the master.",
        )
    return seconds
