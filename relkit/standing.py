"""How one step stands: what the ledger says about it, and the plan that rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from relkit import records as log
from relkit.plan import ActionData, Call, PlanData, WaitData
from relkit.records import Record
from relkit.step import Step
from relkit.values import Json

Status = Literal["pending", "ready", "decide", "waiting", "begun", "complete"]


@dataclass(frozen=True)
class Going:
    """Something that was set going: the number of the newest record of it, and what ends it."""

    place: int
    stop: Call


@dataclass
class Progress:
    """What the ledger says about one step in one revision; actions by their number."""

    plan: PlanData | None = None
    started: set[int] = field(default_factory=set)
    done: dict[int, Record] = field(default_factory=dict)
    result: Json | None = None
    asked: list[log.Asked] = field(default_factory=list)
    decisions: list[log.Decided] = field(default_factory=list)
    waivers: list[log.Waived] = field(default_factory=list)
    waited: dict[str, log.Waited] = field(default_factory=dict)
    going: dict[str, Going] = field(default_factory=dict)
    """What was set going for a wait and not stopped, by what is awaited."""
    taken_back: dict[int, Record] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)
    """The number of the newest record that says that an action was begun or done."""

    def add(self, record: Record) -> None:
        """Take one record of the step into account."""
        self.records.append(record)
        match record.entry:
            case log.Asked() as asked:
                self.asked.append(asked)
            case log.Decided() as decision:
                self.decisions.append(decision)
            case log.Waived() as waiver:
                self.waivers.append(waiver)
            case log.Waited(what=what) as wait:
                self.waited[what] = wait
            case log.SetGoing(what=what, stop=stop) if stop is not None:
                self.going[what] = Going(record.number, Call.model_validate(stop))
            case log.Stopped(what=what):
                del self.going[what]
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
                self.places[number] = record.number
            case log.Done(action=number):
                self.done[number] = record
                self.places[number] = record.number
                self.taken_back.pop(number, None)
            case log.TakenBack(action=number):
                self.started.discard(number)
                self.done.pop(number, None)
                self.taken_back[number] = record
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
    enough: Callable[[list[log.Waived]], bool] = field(default=bool, compare=False)
    """Tells whether these waivers of one check are enough; the policy says so."""

    @property
    def undecided(self) -> bool:
        """Whether people are asked: it has a gate, has not begun, and there is something in it.

        A plan without actions, subjects and evidence changes nothing and says nothing new:
        whoever were asked could only approve that nothing happens.
        """
        plan, gate = self.plan, self.step.gate
        something = plan.actions or plan.subjects or plan.evidence
        return gate is not None and self.progress.plan is None and bool(something)

    @property
    def waived(self) -> set[str]:
        """The names of the checks and waits that are waived for exactly this plan."""
        said = self.said_waived
        return {check for check, waivers in said.items() if self.enough(waivers)}

    @property
    def said_waived(self) -> dict[str, list[log.Waived]]:
        """Who has waived what for exactly this plan, be it enough or not."""
        found: dict[str, list[log.Waived]] = {}
        for one in self.progress.waivers:
            if one.digest == self.plan.digest:
                found.setdefault(one.check, []).append(one)
        return found

    @property
    def awaited(self) -> tuple[WaitData, ...]:
        """The waits that hold it up: those that are neither over nor waived."""
        waived = self.waived
        waits = self.plan.awaited
        return tuple(one for one in waits if not (one.waivable and one.what in waived))

    @property
    def waivable(self) -> tuple[str, ...]:
        """The failed checks and the waits that can be waived and are not."""
        failing = [one.name for one in self.plan.failing if one.waivable]
        waits = [one.what for one in self.plan.awaited if one.waivable]
        return tuple(one for one in (*failing, *waits) if one not in self.waived)

    @property
    def complete(self) -> bool:
        """Whether everything in it is done."""
        return self.progress.result is not None


@dataclass(frozen=True)
class Superseded:
    """What was said and done of a step in a revision that was given up."""

    revision: int
    step: str
    progress: Progress


@dataclass
class Deviation:
    """One action that no step foresaw, as the ledger has it."""

    record: Record
    entry: log.Deviated
    done: log.DeviationDone | None = None
    taken_back: log.DeviationTakenBack | None = None

    @property
    def action(self) -> ActionData:
        """The action as data."""
        return ActionData.model_validate(self.entry.action)
