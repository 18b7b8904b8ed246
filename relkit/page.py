"""The status page of a run: one static file for all who wait for something, or are waited for.

Made from the ledger alone and without scripts; nothing in it leads or loads from elsewhere. It
renews itself, so that it can lie on any web server, or be opened from a folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from relkit import records as log
from relkit.graph import draw
from relkit.history import History, Status
from relkit.lock import on_disk
from relkit.plan import ActionData
from relkit.policy import Policy
from relkit.records import Record
from relkit.run import Run
from relkit.view import STATES

REFRESH_SECONDS = 30
NEWEST = 25  # records that are shown
OPEN: tuple[Status, ...] = ("begun", "decide", "waiting", "ready")

WORDS = {
    "opened": "opened for {entry.version} in the world {entry.world}",
    "taken-over": "taken over: {entry.reason}",
    "recovered": "a line that was cut is kept in {entry.torn}",
    "asked": "{roles} asked about plan {entry.digest:.8}",
    "decided": "plan {entry.digest:.8} {verdict} by {entry.who} ({entry.role}): {entry.reason}",
    "waived": "WAIVED by {entry.who} ({entry.role}): {entry.check}: {entry.reason}",
    "set-going": "{entry.what} set going{again}",
    "waited": "{entry.what} awaited from {entry.whom} until {deadline}",
    "planned": "plan {entry.digest:.8} begun",
    "started": "{action} begun",
    "done": "{action} {how}: {entry.evidence}",
    "taken-back": "{action} taken back, {why}",
    "stopped": "{entry.what} stopped, in a respin",
    "completed": "complete",
    "respun": "REVISION {entry.revision} GIVEN UP from {entry.step} on by {entry.who} "
    "({entry.role}): {entry.reason}",
    "revised": "revision {entry.revision} begins",
    "abandoned": "ABANDONED by {entry.who} ({entry.role}): {entry.reason}",
    "deviated": "DEVIATION {entry.number} ({deed}) begun by {entry.who} ({entry.role}): "
    "{entry.reason}",
    "deviation-done": "deviation {entry.number} {how}: {entry.evidence}",
    "deviation-taken-back": "deviation {entry.number} taken back",
    "handed-over": "HANDED OVER to {entry.to} by {entry.who} ({entry.role}): {entry.reason}",
}
"""What a record says, by its event."""

STRANGE = {"respun", "abandoned", "deviated", "deviation-taken-back", "handed-over"}
"""What in a run is not by the book, and stays visible."""

UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
"""Characters that hide text, turn it round, or cannot stand in XML."""


def _plain(value: object) -> object:
    return UNSEEN.sub("\N{REPLACEMENT CHARACTER}", value) if type(value) is str else value


_PAGES = Environment(
    loader=PackageLoader("relkit", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_plain,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Said:
    """A decision as it is shown; `note` says why it does not count, if it does not."""

    record: Record
    entry: log.Decided
    note: str

    @property
    def counts(self) -> bool:
        """Whether the gate goes by it."""
        return not self.note


@dataclass(frozen=True)
class Gate:
    """A gate: the roles that must approve, those that have not, and all that was decided."""

    step: str
    title: str
    name: str
    roles: tuple[str, ...]
    missing: tuple[str, ...]
    asked: datetime | None
    said: tuple[Said, ...]
    state: str
    word: Status


@dataclass(frozen=True)
class Awaited:
    """What is awaited, from whom, since when and until when."""

    step: str
    what: str
    whom: str
    since: datetime
    until: datetime | None


def page(history: History, policy: Policy | None = None) -> str:
    """Return the page (HTML that is XML as well) as of the ledger's present time.

    The policy names the people of the roles; a `Run` brings its own. Without one, the roles of a
    gate are known once they were asked.
    """
    policy = history.world.policy if isinstance(history, Run) else policy
    states = {name: history.status(name) for name in history.steps}
    gates = [_gate(history, name, policy) for name, one in history.steps.items() if one.gate]
    return _PAGES.get_template("page.html.j2").render(
        refresh=REFRESH_SECONDS,
        opened=history.inputs,
        release=history.release,
        ledger=history.ledger,
        now=history.ledger.now(),
        time=_time,
        people=lambda role: people(role, policy),
        theirs=lambda moment, role: their_time(moment, role, policy),
        picture=draw(history.release.kind, states),
        complete=list(states.values()).count("complete"),
        steps=history.steps,
        current=[(n, STATES[states[n]], states[n]) for n in states if states[n] in OPEN],
        gates=gates,
        awaited=awaited(history, policy),
        revision=history.revision,
        abandoned=history.abandoned,
        strange=[one for one in history.ledger if one.entry.event in STRANGE],
        words=words,
        waivers=[r for r in history.ledger if isinstance(r.entry, log.Waived)],
        newest=[(r, getattr(r.entry, "step", ""), words(r.entry)) for r in _newest(history)],
    )


def write(history: History, path: Path, policy: Policy | None = None) -> None:
    """Put the page at `path`, whole or not at all; for one writer at a time.

    Raises `RecordError` (``RECORD_NOT_WRITTEN``).
    """
    fresh = path.with_name(f".{path.name}.new")
    with on_disk(path.name):
        with fresh.open("wb") as file:
            file.write(page(history, policy).encode())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)


# --- gates ------------------------------------------------------------------------------------


def _gate(history: History, name: str, policy: Policy | None) -> Gate:
    step, progress, word = history.steps[name], history.progress(name), history.status(name)
    asked = [(r.at, r.entry) for r in progress.records if isinstance(r.entry, log.Asked)]
    current = progress.plan.digest if progress.plan else asked[-1][1].digest if asked else ""
    roles = asked[-1][1].roles if asked else ()
    if policy is not None and step.gate is not None:
        roles = policy.gates[step.gate]
    said = tuple(_said(progress.records, current))
    approved = {one.entry.role for one in said if one.counts and one.entry.verdict == "approve"}
    rejected = [one.entry.who for one in said if one.counts and one.entry.verdict == "reject"]
    missing = tuple(role for role in roles if role not in approved)
    return Gate(
        step=name,
        title=step.title,
        name=step.gate or "",
        roles=roles,
        missing=missing if word == "decide" else (),
        asked=asked[-1][0] if asked else None,
        said=(*_given_up(history, name), *said),
        state=_state(word, rejected, missing),
        word=word,
    )


def _given_up(history: History, name: str) -> Iterator[Said]:
    """Yield the decisions of revisions that were given up: they stay visible, and void."""
    for one in history.superseded:
        if one.step == name:
            for record in one.progress.records:
                if isinstance(entry := record.entry, log.Decided):
                    yield Said(record, entry, f"of revision {one.revision}, which was given up")


def _said(records: list[Record], current: str) -> Iterator[Said]:
    """Yield the decisions of a gate, each with why it does not count, if it does not."""
    decided = [(r, r.entry) for r in records if isinstance(r.entry, log.Decided)]
    last = {(entry.who, entry.role, entry.digest): record for record, entry in decided}
    for record, entry in decided:
        if entry.digest != current:
            yield Said(record, entry, "about another plan")
        elif last[entry.who, entry.role, entry.digest] is not record:
            yield Said(record, entry, "replaced by a later decision")
        else:
            yield Said(record, entry, "")


def _state(word: Status, rejected: list[str], missing: tuple[str, ...]) -> str:
    if word in {"begun", "complete"}:
        return "passed"
    if rejected:
        return f"REJECTED by {' and '.join(rejected)}"
    if word == "decide":
        return f"waits for {' and '.join(missing)}" if missing else "approved, not yet carried out"
    return {"pending": "not reached", "waiting": "waits for others first"}.get(word, "nobody asked")


# --- what is awaited --------------------------------------------------------------------------


def awaited(history: History, policy: Policy | None = None) -> list[Awaited]:
    """Return what steps wait for, as far as the ledger knows, and the decisions gates wait for."""
    states = {name: history.status(name) for name in history.steps}
    gates = [_gate(history, name, policy) for name, one in history.steps.items() if one.gate]
    return [*_waits(history, states), *_undecided(gates)]


def _waits(history: History, states: dict[str, Status]) -> Iterator[Awaited]:
    """Yield what steps wait for, as far as the ledger knows; a step that has begun has it all."""
    for name in history.steps:
        if states[name] not in {"begun", "complete"}:
            waived = {one.check for one in history.progress(name).waivers}
            for record in history.progress(name).records:
                if isinstance(entry := record.entry, log.Waited) and entry.what not in waived:
                    yield Awaited(name, entry.what, entry.whom, record.at, entry.deadline)


def _undecided(gates: list[Gate]) -> Iterator[Awaited]:
    for gate in gates:
        if gate.asked is not None:
            for role in gate.missing:
                yield Awaited(gate.step, f"decision at gate {gate.name}", role, gate.asked, None)


def people(role: str, policy: Policy | None) -> str:
    """Return a role with the names of those who have it."""
    names = [one.name for one in policy.people if one.role == role] if policy else []
    return f"{role} ({', '.join(names)})" if names else role


def their_time(moment: datetime, role: str, policy: Policy | None) -> str:
    """Return a moment where those who have a role live; empty where all of them live by UTC."""
    mine = (one.time_zone for one in policy.people if one.role == role) if policy else ()
    zones = [zone for zone in dict.fromkeys(mine) if zone != "UTC"]
    return ", ".join(f"{moment.astimezone(ZoneInfo(one)):%a %H:%M} {one}" for one in zones)


# --- records ----------------------------------------------------------------------------------


def _newest(history: History) -> list[Record]:
    return list(reversed(history.ledger.records[-NEWEST:]))


def words(entry: log.Entry) -> str:
    """Return one record as a sentence; plans by the beginning of their digest."""
    number = getattr(entry, "action", 0)
    deed = ActionData.model_validate(entry.action).do if isinstance(entry, log.Deviated) else ""
    computed = {
        "roles": " and ".join(getattr(entry, "roles", ())),
        "action": f"action {number + 1}" if isinstance(number, int) else "",
        "deadline": _time(entry.deadline) if isinstance(entry, log.Waited) else "",
        "how": "found done" if getattr(entry, "found", False) else "done",
        "verdict": {"approve": "APPROVED", "reject": "REJECTED"}.get(getattr(entry, "verdict", "")),
        "deed": deed,
        "why": "in a respin" if getattr(entry, "respin", False) else "for a later one failed",
        "again": " again, for it was lost" if getattr(entry, "again", False) else "",
    }
    return WORDS.get(entry.event, entry.event).format(entry=entry, **computed)


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
