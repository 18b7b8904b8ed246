"""What can stand in a ledger: one model for each kind of event, and the record that carries it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field, TypeAdapter

from relkit.values import Digest, Json, Value


def _in_utc(time: datetime) -> datetime:
    if time.utcoffset() != timedelta(0):
        raise ValueError("not in UTC")
    return time


Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Opened(Value):
    """Record 0: the inputs of the run."""

    event: Literal["opened"] = "opened"
    version: str
    kind: str
    time: Time
    world: str
    world_digest: Digest
    policy_digest: Digest
    rehearsal: bool
    nonce: str
    relkit: str
    steps_digest: Digest


class TakenOver(Value):
    """The run goes on after a holder that ended without releasing it."""

    event: Literal["taken-over"] = "taken-over"
    reason: str


class Recovered(Value):
    """A line that was cut while it was written was put aside, into the file named here."""

    event: Literal["recovered"] = "recovered"
    torn: str
    sha256: Digest


class Asked(Value):
    """A request for decisions was put to the people in `roles`."""

    event: Literal["asked"] = "asked"
    step: str
    digest: Digest
    roles: tuple[str, ...]


class Decided(Value):
    """A person's decision on one plan digest; `via` says how it reached the run."""

    event: Literal["decided"] = "decided"
    step: str
    digest: Digest
    who: str
    role: str
    verdict: Literal["approve", "reject"]
    reason: str
    via: Literal["notebook", "answer"]


class Waived(Value):
    """A failed check of one plan digest is accepted, for a reason."""

    event: Literal["waived"] = "waived"
    step: str
    digest: Digest
    check: str
    who: str
    role: str
    reason: str


class SetGoing(Value):
    """A build was set going; `again`: an earlier one of the same name was lost."""

    event: Literal["set-going"] = "set-going"
    step: str
    what: str
    again: bool


class Waited(Value):
    """Something is awaited, from whom and until when (said once for each wait)."""

    event: Literal["waited"] = "waited"
    step: str
    what: str
    whom: str
    deadline: Time


class Planned(Value):
    """The plan that is now carried out; from here on it rules."""

    event: Literal["planned"] = "planned"
    step: str
    digest: Digest
    plan: Json


class Started(Value):
    """Action number `action` of the plan is about to be done."""

    event: Literal["started"] = "started"
    step: str
    action: int


class Done(Value):
    """Reading back shows the action's result; `found`: it was so before anything was done."""

    event: Literal["done"] = "done"
    step: str
    action: int
    found: bool
    evidence: str


class TakenBack(Value):
    """A temporary action was undone, since a later one failed; it will be done again."""

    event: Literal["taken-back"] = "taken-back"
    step: str
    action: int


class Completed(Value):
    """All actions are done; `result` is handed to later steps."""

    event: Literal["completed"] = "completed"
    step: str
    result: Json


Entry = Annotated[
    Opened
    | TakenOver
    | Recovered
    | Asked
    | Decided
    | Waived
    | SetGoing
    | Waited
    | Planned
    | Started
    | Done
    | TakenBack
    | Completed,
    Field(discriminator="event"),
]


class Record(Value):
    """One line of the ledger."""

    number: int
    at: Time
    revision: int
    previous: Digest
    entry: Entry


RECORD = TypeAdapter(Record)
