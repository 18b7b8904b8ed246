"""What can stand in a ledger: one model for each kind of event, and the record that carries it.

Of a step: asked, decided, waived, set-going, waited, planned, started, done, taken-back, stopped,
completed.
Of the run: opened, taken-over, recovered, respun, revised, abandoned, deviated, deviation-done,
deviation-taken-back, handed-over.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field, TypeAdapter

from relkit.values import Digest, Json, Signed, Value


def _in_utc(time: datetime) -> datetime:
    if time.utcoffset() != timedelta(0):
        raise ValueError("not in UTC")
    return time


Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Opened(Value):
    """Record 0: the inputs of the run."""

    event: Literal["opened"] = "opened"
    version: str
    """The version, or the branch of a transition."""
    kind: str
    time: Time
    picks: tuple[str, ...] = ()
    world: str
    world_digest: Digest
    policy_digest: Digest
    policy: Json
    """Who may decide and sign: a `relkit.policy.Policy` with that digest."""
    systems: tuple[str, ...] = ()
    """In production the real systems, each as ``git.upstream: ADDRESS``."""
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
    """A request for decisions is put to the people in `roles`, or one to waive a check.

    `head` is the newest line of the ledger that the request names: that before this one.
    """

    event: Literal["asked"] = "asked"
    step: str
    digest: Digest
    roles: tuple[str, ...]
    head: Digest
    expires: Time
    waives: str = ""
    manager: str = ""


class Decided(Value):
    """A person's decision on one plan digest; `via` says how it reached the run.

    `signed` is the statement with that person's signature (`relkit.decision`), `made` the time
    it says.
    """

    event: Literal["decided"] = "decided"
    step: str
    digest: Digest
    who: str
    role: str
    verdict: Literal["approve", "reject"]
    reason: str
    via: Literal["notebook", "answer"]
    made: Time
    signed: Signed


class Waived(Value):
    """A failed check of one plan digest is accepted by a person, for a reason; see `Decided`."""

    event: Literal["waived"] = "waived"
    step: str
    digest: Digest
    check: str
    who: str
    role: str
    reason: str
    via: Literal["notebook", "answer"]
    made: Time
    signed: Signed


class SetGoing(Value):
    """A build was set going; `again`: an earlier one of the same name was lost.

    `stop` is the call, as data of a plan, that ends it; where there is none the record has no such
    field, as all had none once.
    """

    event: Literal["set-going"] = "set-going"
    step: str
    what: str
    again: bool
    stop: Annotated[Json | None, Field(exclude_if=lambda stop: stop is None)] = None


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
    """An action was undone, as reading back shows.

    A temporary one since a later one of its step failed (it will be done again), any in a
    `respin`.
    """

    event: Literal["taken-back"] = "taken-back"
    step: str
    action: int
    respin: bool = False
    evidence: str = ""


class Stopped(Value):
    """What was set going for a wait is ended, or was over, in a respin."""

    event: Literal["stopped"] = "stopped"
    step: str
    what: str


class Completed(Value):
    """All actions are done; `result` is handed to later steps."""

    event: Literal["completed"] = "completed"
    step: str
    result: Json


# --- what happens to a run as a whole -----------------------------------------------------------


class Respun(Value):
    """A step and all that needs it are taken back from here on, until `Revised` or `Abandoned`.

    `stays` names what was done and has no way back, each as ``step: port.method: why``. The
    last two fields are those of `Abandoned`, if it ends so.
    """

    event: Literal["respun"] = "respun"
    revision: int
    """The revision that is given up."""
    step: str
    scope: tuple[str, ...]
    who: str
    role: str
    reason: str
    stays: tuple[str, ...] = ()
    abandons: bool = False
    skipped: bool = False


class Revised(Value):
    """Everything of the scope is taken back: a new revision begins with this record."""

    event: Literal["revised"] = "revised"
    revision: int


class Abandoned(Value):
    """Everything is taken back, and the run is over; `skipped`: the version is never made."""

    event: Literal["abandoned"] = "abandoned"
    who: str
    role: str
    reason: str
    skipped: bool


class Deviated(Value):
    """What no step foresaw is about to be done; `action` is an action of a plan as data."""

    event: Literal["deviated"] = "deviated"
    number: int
    action: Json
    who: str
    role: str
    reason: str


class DeviationDone(Value):
    """Reading back shows a deviation's result; `found`: it was so before anything was done."""

    event: Literal["deviation-done"] = "deviation-done"
    number: int
    found: bool
    evidence: str


class DeviationTakenBack(Value):
    """A deviation was undone while the run was abandoned, as reading back shows."""

    event: Literal["deviation-taken-back"] = "deviation-taken-back"
    number: int
    evidence: str


class HandedOver(Value):
    """From here on `to` is the release manager of this run, and nobody else."""

    event: Literal["handed-over"] = "handed-over"
    to: str
    who: str
    role: str
    reason: str
    signed: Signed


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
    | Stopped
    | Completed
    | Respun
    | Revised
    | Abandoned
    | Deviated
    | DeviationDone
    | DeviationTakenBack
    | HandedOver,
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
