"""The day before: whether each system of a world answers, and lets us do what a release needs.

Nothing is begun and no record is written. All rows of `relkit.doctor_table` are asked, whatever
becomes of the others, each for as long as it may take. What could not be told counts as something
to be seen to, with its own remedy: how a person finds out.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from relkit.adapters.web import quoted
from relkit.doctor_rows import Question, questions
from relkit.doctor_table import ROWS, Row
from relkit.errors import ReleaseError
from relkit.plan import Check
from relkit.ports import World
from relkit.probe import Seen
from relkit.release import Release
from relkit.secret_scan import known_values

HELD = timedelta(days=2)
"""So long after the day of the release what signs in must still be good."""
HIDDEN = "[secret]"
Outcome = Literal["well", "ill", "unknown", "absent"]


@dataclass(frozen=True)
class Finding:
    """What was found of one thing of a row. `absent`: the world has no such system."""

    row: str
    what: str
    outcome: Outcome
    code: str = ""
    found: str = ""
    remedy: str = ""

    @property
    def well(self) -> bool:
        """Whether a release can go on with it."""
        return self.outcome in {"well", "absent"}


def examine(
    release: Release,
    world: World,
    *,
    begin: Callable[[str], None] = lambda _: None,
    rows: tuple[Row, ...] = ROWS,
) -> Iterator[Finding]:
    """Yield what is found, each as soon as it is known; `begin` is told of each row before."""
    asked = questions(release, world)
    for row in rows:
        if (question := asked.get(row.name)) is None:
            yield Finding(row.name, row.name, "absent")
            continue
        begin(row.name)
        for one in _answered(row, question, release):
            yield _without_secrets(one, world)


def _answered(row: Row, question: Question, release: Release) -> list[Finding]:
    """Ask in a thread, which is left behind where it takes too long.

    Not so where a person may be asked: whoever interrupts that gets the terminal back as it was.
    """
    if row.seconds is None:
        return _findings(row, question, release)
    box: queue.SimpleQueue[list[Finding]] = queue.SimpleQueue()
    context = copy_context()

    def ask() -> None:
        box.put(context.run(_findings, row, question, release))

    threading.Thread(target=ask, name=f"doctor: {row.name}", daemon=True).start()
    try:
        return box.get(timeout=row.seconds)
    except queue.Empty:
        said = f"no answer after {row.seconds:.0f} seconds"
        return [Finding(row.name, row.name, "unknown", "NO_ANSWER", said, row.unknown)]


def _findings(row: Row, question: Question, release: Release) -> list[Finding]:
    try:
        seen = question()
        if isinstance(seen, Seen):
            return [_of_seen(row, seen, release)]
        return [_of_check(row, one) for one in seen]
    except ReleaseError as error:
        said = Exception.__str__(error)
        return [Finding(row.name, row.name, "ill", error.code, said, error.remedy)]
    except Exception as error:  # noqa: BLE001 (a fault of ours must not keep the other rows away)
        said = f"relkit itself failed: {type(error).__name__}: {error}"
        return [Finding(row.name, row.name, "unknown", "FAULT", said, row.unknown)]


def _of_seen(row: Row, seen: Seen, release: Release) -> Finding:
    if seen.unsure:
        return Finding(row.name, row.name, "unknown", "UNKNOWN", seen.found, seen.unsure)
    if seen.until is None:
        return Finding(row.name, row.name, "well", found=seen.found)
    found = f"{seen.found}; good until {seen.until:%Y-%m-%d %H:%M} UTC"
    if seen.until < _needed(release.time):
        remedy = "Have it renewed before the release, then run this again."
        return Finding(row.name, row.name, "ill", "EXPIRES", found, remedy)
    return Finding(row.name, row.name, "well", found=found)


def _needed(time: datetime) -> datetime:
    return time + HELD


def _of_check(row: Row, item: Check) -> Finding:
    if item.ok or item.warns:
        found = item.found if item.ok else f"{item.code}: {item.found}"
        return Finding(row.name, item.name, "well", found=found)
    if item.ok is None:
        return Finding(row.name, item.name, "unknown", "UNKNOWN", item.found, row.unknown)
    return Finding(row.name, item.name, "ill", item.code, item.found, item.remedy)


def _without_secrets(one: Finding, world: World) -> Finding:
    """Return a finding in which nothing stands that is secret, and nothing moves a terminal."""
    known = sorted(known_values(os.environ, *world.secrets()), key=len, reverse=True)

    def plain(text: str) -> str:
        for secret in known:
            text = text.replace(secret, HIDDEN)
        return "\n".join(quoted(line) for line in text.splitlines())

    return replace(one, what=plain(one.what), found=plain(one.found), remedy=plain(one.remedy))
