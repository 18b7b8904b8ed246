"""What a run waits for, from whom, since when and until when; and waiting for it in batch.

Nobody sleeps with the run in hand: between two looks it is closed, so that whoever is awaited can
decide in a notebook, or another process go on with it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from relkit import page
from relkit.errors import RecordError, UsageError, WorldError
from relkit.history import History
from relkit.policy import Policy
from relkit.run import Run
from relkit.view import View, line, table

POLL_SECONDS = 5.0
SLOWEST_SECONDS = 60.0
GROWTH = 1.5
ATTEMPT_SECONDS = 60.0
"""How long a step may wait within an attempt: what is there soon needs no new one."""
DURATION = re.compile(r"(?:([0-9]{1,4})d)?(?:([0-9]{1,4})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,8})s)?")
HOUR = 60
_BEGUN = time.monotonic(), time.time()
COLUMNS = ("what", "from", "since", "deadline", "left", "step")
UNITS = ("days", "hours", "minutes", "seconds")
LONGEST = timedelta(days=30)


def duration(text: str) -> float:
    """Return a duration in seconds: ``2h``, ``1h30m``, ``2d``, ``45s``, or ``0``: to look once.

    Raises `UsageError` (``BAD_DURATION``).
    """
    found = DURATION.fullmatch(text if text != "0" else "0s")
    parts = [int(one or 0) for one in found.groups()] if text and found else []
    whole = timedelta(**dict(zip(UNITS, parts, strict=True))) if parts else None
    if whole is None or whole > LONGEST:
        raise UsageError(
            f"{text[:40]!r} is no duration of at most {LONGEST.days} days",
            code="BAD_DURATION",
            remedy="Give it as 2h, 90m, 1h30m, 2d, or 0 to look once.",
        )
    return whole.total_seconds()


def clock() -> float:
    """Return how long this process has been there, by whichever clock went on further.

    The monotonic one stands still while a laptop sleeps; the one on the wall may be set back.
    """
    return max(time.monotonic() - _BEGUN[0], time.time() - _BEGUN[1])


def patience(until: float) -> str:
    """Return how many seconds a step of the next attempt waits, `until` being of `clock`."""
    return f"{min(max(until - clock(), 0), ATTEMPT_SECONDS):.0f}"


def awaited(history: History, policy: Policy | None = None) -> View:
    """Return all that is awaited, over all steps; nothing if nothing is.

    Times are UTC, and those of the people who are awaited, as far as the policy names them. An open
    run is looked at: what is there by now is not awaited. A closed one says what the ledger knows.
    """
    policy = history.policy if isinstance(history, Run) else policy
    now = history.ledger.now()
    there = _there(history) if isinstance(history, Run) else set()
    rows = [
        (
            one.what,
            page.people(one.whom, policy),
            _both(one.since, one.whom, policy),
            "no limit" if one.until is None else _both(one.until, one.whom, policy),
            "" if one.until is None else _left(one.until - now),
            one.step,
        )
        for one in page.awaited(history, policy)
        if (one.step, one.what) not in there
    ]
    title = line("AWAITED", strong=True) if rows else View("", "")
    return View.of([title, replace(table(COLUMNS, rows), text="\n".join(map(_in_words, rows)))])


def held_up(run: Run) -> bool:
    """Look once: tell whether the next step still waits for others and for nothing else.

    Takes in what they answered. Raises `GateError` where somebody said no.
    """
    name = _next(run)
    if name is None:
        return False
    proposal = run.propose(name)
    run.take_waivers(proposal)
    failing = [one for one in proposal.plan.failing if one.name not in proposal.waived]
    if proposal.progress.plan is not None or failing:
        return False
    if awaited := proposal.awaited:
        return all(one.start is None for one in awaited)  # what was lost is started anew
    return bool(run.ask(proposal))


def wait(
    look: Callable[[], bool],
    until: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = clock,
    say: Callable[[str], None] = lambda _: None,
) -> bool:
    """Look, ever more slowly, until nothing holds the run up (True) or the time is over (False).

    `until` is a moment of `clock`. A run that somebody else has open is still held up, and so is
    one that could not be looked at, as while a network is away: that is said, each thing once.
    """
    told: set[str] = set()
    for rest in _rests():
        left = until - clock()
        if left <= 0:
            return False
        sleep(min(rest, left))
        try:
            if not look():
                return True
        except RecordError as error:
            if error.code != "RUN_LOCKED":
                raise
        except WorldError as error:
            if (text := str(error)) not in told:
                told.add(text)
                say(f"{text}\nLooking again until the time is over.")
    raise AssertionError("rests do not end")


def _rests() -> Iterator[float]:
    rest = POLL_SECONDS
    while True:
        yield rest
        rest = min(rest * GROWTH, SLOWEST_SECONDS)


def _next(run: Run) -> str | None:
    return next((name for name in run.steps if run.status(name) != "complete"), None)


def _there(run: Run) -> set[tuple[str, str]]:
    """Return what the next step waits for no more, though nothing of it was recorded."""
    name = _next(run)
    if name is None or run.abandoned or run.progress(name).plan is not None:
        return set()
    proposal = run.propose(name)
    held = {one.what for one in proposal.awaited}
    return {(name, what) for what in proposal.progress.waited if what not in held}


def _in_words(row: tuple[str, ...]) -> str:
    """Return a row for a terminal, which is no wider than one of its times."""
    what, whom, since, deadline, left, step = row
    end = f": {left}" if left else ""
    lines = (f"{what}, for {step}", f"from      {whom}", f"since     {since}")
    return "\n    ".join((*lines, f"deadline  {deadline}{end}"))


def _both(moment: datetime, whom: str, policy: Policy | None) -> str:
    there = page.their_time(moment, whom, policy)
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" + (f" ({there})" if there else "")


def _left(left: timedelta) -> str:
    minutes = abs(int(left.total_seconds())) // 60
    words = f"{minutes // HOUR} h {minutes % HOUR:02} min" if minutes >= HOUR else f"{minutes} min"
    return f"OVERDUE by {words}" if left < timedelta() else words
