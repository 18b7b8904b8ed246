"""What comparing a published release with its manifest comes to: lines, changes, one status.

Outcomes and exit statuses are those of `relkit.verify_record`: a line is ``verified``, ``REFUSED``,
``missing`` (nothing was given to compare with) or ``cannot check`` (it could not be read now).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from relkit.verify_record.verdict import Outcome, Property, plain, status_of

How = Literal["added", "changed", "removed", "wrong", "unknown", "not given"]
"""What happened to a thing. ``unknown``: it may be as it was; ``not given``: the caller's part."""
OUTCOMES: dict[How, Outcome] = {"unknown": "cannot check", "not given": "missing"}
"""Of all others: REFUSED."""
ORDER: tuple[Outcome, ...] = ("REFUSED", "cannot check", "missing", "verified")
MOST = 200
"""Changes of one line that are told; what is more is counted."""
WORDS = {0: "VERIFIED", 1: "REFUSED", 3: "INCOMPLETE", 4: "CANNOT CHECK"}


@dataclass(frozen=True)
class Change:
    """One thing that is not as it was: what, a stable code, and what was found."""

    line: str
    how: How
    what: str
    code: str
    text: str


@dataclass(frozen=True)
class Line:
    """How one kind of thing stands; `since` is the day it was recorded, empty if it was not."""

    name: str
    outcome: Outcome
    code: str
    text: str
    since: str


@dataclass(frozen=True)
class Report:
    """Everything that is to be said, in order; `trusted` is what was taken on the caller's word."""

    version: str
    time: str
    against: str
    status: int
    lines: tuple[Line, ...]
    changes: tuple[Change, ...]
    trusted: tuple[str, ...]
    notes: tuple[str, ...]
    unchecked: tuple[str, ...]

    @property
    def words(self) -> str:
        """The verdict in words."""
        return WORDS[self.status]


@dataclass
class Look:
    """What is found while one kind of thing is looked at; threads may share one."""

    name: str
    since: str = ""
    good: str = ""
    """What the line says if nothing is found."""
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def found(self, how: How, what: str, code: str, text: str) -> None:
        """Take note of a change."""
        self.changes.append(Change(self.name, how, plain(what, 300), code, plain(text, 600)))

    def line(self) -> Line:
        """Return what there is to say; the worst change gives the code."""
        if not self.changes:
            return Line(self.name, "verified", "", plain(self.good), self.since)
        worst = min(self.changes, key=lambda one: ORDER.index(outcome_of(one)))
        counted = Counter(one.how for one in self.changes)
        if len(self.changes) == 1:
            text = f"{worst.what}: {worst.text}" if worst.what else worst.text
        else:
            text = ", ".join(f"{number} {how}" for how, number in counted.items())
        return Line(self.name, outcome_of(worst), worst.code, text, self.since)

    def told(self) -> Iterator[Change]:
        """Yield the changes in order, as many as are told."""
        every = sorted(self.changes, key=lambda one: (ORDER.index(outcome_of(one)), one.what))
        yield from every[:MOST]
        if (rest := len(every) - MOST) > 0:
            yield Change(self.name, every[MOST].how, f"and {rest} more", every[MOST].code, "")


def outcome_of(change: Change) -> Outcome:
    """Return what a change makes of its line."""
    return OUTCOMES.get(change.how, "REFUSED")


def status(lines: tuple[Line, ...]) -> int:
    """Return the exit status; the worst line counts."""
    return status_of(tuple(Property(one.name, one.outcome, one.code, "") for one in lines))
