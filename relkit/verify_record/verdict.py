"""What verifying a record comes to: a line for each property, and one verdict.

The outcome of a property is ``verified``, ``REFUSED``, ``missing`` (the record is not complete, or
was never sealed) or ``cannot check`` (what it takes was not given, or is not on this machine).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from relkit.errors import RecordError

Outcome = Literal["verified", "REFUSED", "missing", "cannot check"]
VERIFIED, REFUSED, WRONG_USAGE, INCOMPLETE, CANNOT_CHECK = range(5)
"""The exit statuses; whoever reads the record wrongly used has no verdict."""
LONGEST = 2_000


@dataclass(frozen=True)
class Property:
    """One property: its outcome, a stable code (empty if verified), and what was found."""

    name: str
    outcome: Outcome
    code: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """Everything that is to be said about a record, in order.

    `unchecked` is never empty; `notes` are what in the run was not by the book, and that it was
    a rehearsal.
    """

    status: int
    lines: tuple[Property, ...]
    unchecked: tuple[str, ...]
    waivers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The verdict in words."""
        names = {
            VERIFIED: "VERIFIED",
            REFUSED: "REFUSED",
            INCOMPLETE: "INCOMPLETE",
            CANNOT_CHECK: "CANNOT CHECK",
        }
        return names[self.status] + (" WITH WAIVERS" if self.waivers else "")


class Judged(Exception):  # noqa: N818 (a judgment, not always an error)
    """Ends the look at one property."""

    def __init__(self, outcome: Outcome, code: str, text: str) -> None:
        super().__init__(text)
        self.outcome = outcome
        self.code = code


def refuse(code: str, text: str) -> Judged:
    """Return the judgment that a property does not hold."""
    return Judged("REFUSED", code, text)


def missing(code: str, text: str) -> Judged:
    """Return the judgment that something is not there yet."""
    return Judged("missing", code, text)


def cannot(code: str, text: str) -> Judged:
    """Return the judgment that nothing can be said."""
    return Judged("cannot check", code, text)


def status_of(lines: tuple[Property, ...]) -> int:
    """Return the exit status for these lines; the worst outcome counts."""
    outcomes = {line.outcome for line in lines}
    if "REFUSED" in outcomes:
        return REFUSED
    if "cannot check" in outcomes:
        return CANNOT_CHECK
    return INCOMPLETE if "missing" in outcomes else VERIFIED


def plain(text: str, limit: int = LONGEST) -> str:
    """Return foreign text as one line that changes no terminal and hides nothing.

    What is not printable (control characters, escapes, what turns text round) is spelled out.
    """
    shown = "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text[:limit]
    )
    return shown + "…" * (len(text) > limit)


def unsafe(code: str, text: str) -> RecordError:
    """Return the refusal of a folder that is not read at all."""
    return RecordError(
        plain(text),
        code=code,
        remedy="Do not use this record. Get it from where it was published, and show this output.",
    )
