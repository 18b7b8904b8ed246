"""What the ledger says about a run: how each step stands. Needs no world and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from relkit import records as log
from relkit.errors import RecordError, UsageError
from relkit.ledger import Ledger
from relkit.plan import PlanData
from relkit.records import Record
from relkit.release import Release
from relkit.step import Results, Step, needed, steps_of
from relkit.values import Digest, Json

Status = Literal["pending", "ready", "decide", "waiting", "begun", "complete"]


@dataclass
class Progress:
    """What the ledger says about one step."""

    plan: PlanData | None = None
    started: set[int] = field(default_factory=set)
    done: dict[int, Record] = field(default_factory=dict)
    result: Json | None = None
    asked: set[Digest] = field(default_factory=set)
    decisions: list[log.Decided] = field(default_factory=list)
    waivers: list[log.Waived] = field(default_factory=list)
    waited: dict[str, log.Waited] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Take one record of the step into account."""
        self.records.append(record)
        match record.entry:
            case log.Asked(digest=digest):
                self.asked.add(digest)
            case log.Decided() as decision:
                self.decisions.append(decision)
            case log.Waived() as waiver:
                self.waivers.append(waiver)
            case log.Waited(what=what) as wait:
                self.waited[what] = wait
            case _:
                self._carry(record)

    def _carry(self, record: Record) -> None:
        """Take a record of what was carried out into account."""
        match record.entry:
            case log.Planned(plan=plan, digest=digest):
                self.plan = PlanData.model_validate(plan)
                if self.plan.digest != digest:
                    raise ValueError(f"its plan has digest {self.plan.digest}, not {digest}")
            case log.Started(action=number):
                self.started.add(number)
            case log.Done(action=number):
                self.done[number] = record
            case log.TakenBack(action=number):
                self.started.discard(number)
                self.done.pop(number, None)
            case log.Completed(result=result):
                self.result = result
            case _:
                pass


@dataclass(frozen=True)
class Proposal:
    """A step with the plan that rules: the recorded one once it has begun, else one made now."""

    step: Step[Any]
    plan: PlanData
    progress: Progress

    @property
    def complete(self) -> bool:
        """Whether everything in it is done."""
        return self.progress.result is not None


class History:
    """What the ledger says about a run; needs no world and changes nothing."""

    def __init__(self, release: Release, ledger: Ledger) -> None:
        self.release = release
        self.ledger = ledger
        self.steps = {step.name: step for step in steps_of(release.kind)}
        self._progress: dict[str, Progress] = {name: Progress() for name in self.steps}
        for record in ledger:
            self._account(record)

    @classmethod
    def read(cls, folder: Path) -> History:
        """Read the record in `folder`, whatever release it is of.

        Raises `RecordError`: ``LEDGER_…``, ``NO_RECORD``.
        """
        ledger = Ledger.read(folder, lambda: datetime.now(UTC))
        if not ledger.records:
            raise RecordError(
                f"{folder.name} holds no record of a release",
                code="NO_RECORD",
                remedy="Give the version of a release that was begun, and its records folder.",
            )
        return History(release_of(inputs(ledger)), ledger)

    @property
    def inputs(self) -> log.Opened:
        """Record 0."""
        return inputs(self.ledger)

    @property
    def results(self) -> Results:
        """The results of the completed steps."""
        found = self._progress.items()
        return Results({name: one.result for name, one in found if one.result is not None})

    @property
    def complete(self) -> bool:
        """Whether every step is complete."""
        return all(one.result is not None for one in self._progress.values())

    def step(self, name: str) -> Step[Any]:
        """Return a step of this kind; raise `UsageError` (``STEP_UNKNOWN``)."""
        if name not in self.steps:
            raise UsageError(
                f"{self.release.kind} has no step {name!r}",
                code="STEP_UNKNOWN",
                remedy=f"Its steps are {', '.join(self.steps)}.",
            )
        return self.steps[name]

    def progress(self, name: str) -> Progress:
        """Return what the ledger says about a step."""
        return self._progress[self.step(name).name]

    def status(self, name: str) -> Status:
        """Say how a step stands."""
        progress = self.progress(name)
        if progress.result is not None:
            return "complete"
        if progress.plan is not None:
            return "begun"
        if self._unfinished(self.steps[name]):
            return "pending"
        if progress.asked:
            return "decide"
        return "waiting" if progress.waited else "ready"

    def recorded(self, name: str) -> Proposal | None:
        """Return a step with its recorded plan; None if it has not begun."""
        progress = self.progress(name)
        if progress.plan is None:
            return None
        return Proposal(self.steps[name], progress.plan, progress)

    def _unfinished(self, step: Step[Any]) -> list[str]:
        before = {one.name for one in needed(step, self.release.kind)}
        return [n for n in self.steps if n in before and self._progress[n].result is None]

    def _account(self, record: Record) -> None:
        name = getattr(record.entry, "step", None)
        try:
            if name is not None:
                self._progress[name].add(record)
        except (KeyError, ValueError) as error:
            raise RecordError(
                f"record {record.number} is not of a step of {self.release.kind} as this relkit "
                f"has it: {str(error).splitlines()[0]}",
                code="LEDGER_INVALID",
                remedy="Use the relkit that wrote the record, or put the ledger back from a copy.",
            ) from error


def release_of(opened: log.Opened) -> Release:
    """Return the release a run was opened for."""
    return Release.parse(opened.version, opened.kind, f"{opened.time:%Y-%m-%dT%H:%M:%SZ}")


def inputs(ledger: Ledger) -> log.Opened:
    """Return record 0; raise `RecordError` (``LEDGER_INVALID``) if it is something else."""
    first = ledger.records[0].entry if ledger.records else None
    if isinstance(first, log.Opened):
        return first
    raise RecordError(
        "the ledger does not begin with the opening of a run",
        code="LEDGER_INVALID",
        remedy="Put the ledger back from a copy of the record.",
    )
