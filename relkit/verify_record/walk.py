"""The ledger once more from its beginning: whether each record could follow those before it.

A run writes by rules (`relkit.run`, `relkit.respin`, `relkit.deviation`); here the same rules are
asked of what was written. What breaks one is kept as a fault, by the property it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from relkit import records as log
from relkit.errors import GateError, ReleaseError
from relkit.history import History
from relkit.inputs import steps_digest
from relkit.ledger import Ledger
from relkit.plan import PlanData
from relkit.policy import MANAGER
from relkit.records import Record
from relkit.release import Release
from relkit.standing import Progress, Proposal
from relkit.step import Step, needed
from relkit.values import Json

BEFORE_PLAN = log.Asked | log.Decided | log.Waived | log.SetGoing | log.Waited
OF_STEP = BEFORE_PLAN | log.Planned | log.Started | log.Done | log.Completed
AFTER_END = log.TakenOver | log.Recovered
BACK = log.TakenBack | log.Stopped | log.Revised | log.Abandoned | log.DeviationTakenBack


@dataclass(frozen=True)
class Fault:
    """A rule that a record breaks; `subject` is the property it belongs to."""

    subject: str
    code: str
    number: int
    text: str


class Broken(Exception):  # noqa: N818 (a fault, found)
    """Ends the look at one record."""

    def __init__(self, code: str, text: str, subject: str = "order") -> None:
        super().__init__(text)
        self.code = code
        self.subject = subject


class Walk(History):
    """A history that was looked at record by record.

    `plans` are the recorded plans by step and digest, in all revisions; `faults` what is wrong, in
    the order of the ledger.
    """

    def __init__(self, release: Release, ledger: Ledger) -> None:
        self.faults: list[Fault] = []
        self.plans: dict[tuple[str, str], Json] = {}
        self.waived: list[tuple[str, log.Waived]] = []
        self._last: datetime | None = None
        super().__init__(release, ledger)

    @property
    def same_recipe(self) -> bool:
        """Whether this relkit has the steps that the run was made with."""
        return self.inputs.steps_digest == steps_digest(self.release)

    def _account(self, record: Record) -> None:
        if self._last is not None and record.at < self._last:
            why = f"it is of {record.at:%Y-%m-%d %H:%M:%S}, the one before of later"
            self._fault(record, "ledger", "TIME_BACKWARDS", why)
        self._last = record.at
        try:
            self._require(record)
        except Broken as broken:
            self._fault(record, broken.subject, broken.code, str(broken))
        except GateError as error:
            self._fault(record, "decisions", f"APPROVAL_{error.code}", str(error))
        except ReleaseError as error:
            self._fault(record, "order", error.code, str(error))
        super()._account(record)

    def _fault(self, record: Record, subject: str, code: str, why: str) -> None:
        self.faults.append(Fault(subject, code, record.number, f"record {record.number}: {why}"))

    # --- rules ----------------------------------------------------------------------------

    def _require(self, record: Record) -> None:
        entry = record.entry
        if (record.number == 0) != isinstance(entry, log.Opened):
            raise Broken("ORDER_OPENING", "a run is opened once, by its first record")
        if self.abandoned is not None and not isinstance(entry, AFTER_END):
            raise Broken("ORDER_AFTER_END", "the run was abandoned before it")
        going_back = isinstance(entry, BACK) and getattr(entry, "respin", True)
        if (self.respinning is not None) != going_back and not isinstance(entry, AFTER_END):
            state = "is" if self.respinning else "was not"
            raise Broken("ORDER_RESPIN", f"{entry.event}, and something {state} being taken back")
        if isinstance(entry, OF_STEP):
            self._require_step(record, entry)
        else:
            self._require_run(entry)

    def _require_step(self, record: Record, entry: OF_STEP) -> None:
        """Ask the rules of what is done of a step, in order."""
        step, progress = self.step(entry.step), self.progress(entry.step)
        before = {one.name for one in needed(step, self.release.kind)}
        if unfinished := [n for n in self.steps if n in before and self._open(n)]:
            raise Broken("ORDER_NOT_YET", f"{step.name} comes after {', '.join(unfinished)}")
        if progress.result is not None:
            raise Broken("ORDER_AFTER_COMPLETE", f"{step.name} was complete before it")
        if isinstance(entry, BEFORE_PLAN):
            if progress.plan is not None:
                raise Broken("ORDER_AFTER_PLAN", f"{step.name} had begun before it")
            if isinstance(entry, log.Asked):
                self._require_asked(record, step, entry)
            if isinstance(entry, log.Waived):
                self.waived.append((step.name, entry))
        elif isinstance(entry, log.Planned):
            self._require_planned(step, progress, entry)
        else:
            self._require_carried(step, progress, entry)

    def _open(self, name: str) -> bool:
        return self.progress(name).result is None

    def _require_asked(self, record: Record, step: Step[Any], asked: log.Asked) -> None:
        gate = step.gate or ""
        wanted = self.policy.waivers if asked.waives else self.policy.roles(gate, self.release.kind)
        if asked.roles != wanted:
            raise Broken("APPROVAL_ROLE", f"asked {asked.roles}, not {wanted}", "decisions")
        if asked.head != record.previous:
            raise Broken("APPROVAL_HEAD", "it names another record as the newest", "decisions")

    def _require_planned(self, step: Step[Any], progress: Progress, planned: log.Planned) -> None:
        """Ask whether a step could begin: it is the plan of now, its checks hold, people agreed."""
        if progress.plan is not None:
            raise Broken("ORDER_AFTER_PLAN", f"{step.name} had begun before it")
        plan = PlanData.model_validate(planned.plan)
        self.plans[step.name, planned.digest] = plan.decided
        subject = (plan.version, plan.revision, plan.step)
        if subject != (self.release.name, self.revision, step.name) or plan.digest != (
            planned.digest
        ):
            raise Broken("ORDER_PLAN", f"the plan is of {subject}, digest {plan.digest}")
        shown = self.proposal(step, plan)
        self._require_waived(shown)
        self._require_decided(step, shown)

    def _require_waived(self, shown: Proposal) -> None:
        """Refuse a plan with a check that fails, or a wait that goes on, and is not waived."""
        waived = shown.waived
        stops = [(one.name, one.waivable) for one in shown.plan.failing]
        stops += [(one.what, one.waivable) for one in shown.plan.awaited]
        for name, waivable in stops:
            if not waivable:
                raise Broken("CHECK_FAILED", f"{name!r} stops the step and is not waivable", WAIVER)
            if name not in waived:
                raise Broken("WAIVER_MISSING", f"{name!r} is waived by too few persons", WAIVER)
        names = {name for name, _ in stops} | {one.what for one in shown.plan.waits}
        if idle := sorted(waived - names):
            raise Broken("WAIVER_UNFIT", f"{idle[0]!r} is waived and did not stop the plan", WAIVER)

    def _require_decided(self, step: Step[Any], shown: Proposal) -> None:
        """Refuse a plan that was begun without the decisions its gate asks for."""
        if not shown.undecided:
            return
        roles = self.policy.roles(step.gate or "", self.release.kind)
        said = [one for one in shown.progress.decisions if one.digest == shown.plan.digest]
        counting = [one for one in said if self.in_office(one.who, one.role)]
        if lacking := self.policy.missing(roles, counting):
            why = f"{step.name} began without {' and '.join(lacking)}"
            raise Broken("APPROVAL_MISSING", why, "decisions")

    def _require_carried(
        self, step: Step[Any], progress: Progress, entry: log.Started | log.Done | log.Completed
    ) -> None:
        """Ask the rules of actions: in order, begun before done, all of them before the end."""
        if progress.plan is None:
            raise Broken("ORDER_NOT_PLANNED", f"{step.name} has no plan before it")
        actions = len(progress.plan.actions)
        if isinstance(entry, log.Completed):
            if len(progress.done) != actions:
                raise Broken("ORDER_NOT_DONE", f"{len(progress.done)} of {actions} actions done")
            _require_result(progress.plan, entry)
            return
        number = entry.action
        if not 0 <= number < actions or any(n not in progress.done for n in range(number)):
            raise Broken(
                "ORDER_ACTION", f"action {number} of {actions} comes too early, or is none"
            )
        begun = number in progress.started
        if number in progress.done or (isinstance(entry, log.Started) and begun):
            raise Broken("ORDER_ACTION", f"action {number} was begun or done before it")
        if isinstance(entry, log.Done) and entry.found == begun:
            how = "was begun" if begun else "was never begun"
            raise Broken("ORDER_ACTION", f"action {number} {how}, says it was found: {entry.found}")

    def _require_run(self, entry: log.Entry) -> None:
        """Ask the rules of what happens to a run as a whole."""
        match entry:
            case log.TakenBack():
                self._require_taken_back(entry)
            case log.Respun() | log.Deviated():
                self._require_speaker(entry.who, entry.role)
                if isinstance(entry, log.Respun):
                    self._require_scope(entry)
                elif entry.number != len(self.deviations):
                    raise Broken("ORDER_DEVIATION", f"deviation {entry.number} is out of turn")
            case log.DeviationDone(number=number) | log.DeviationTakenBack(number=number):
                if not 0 <= number < len(self.deviations):
                    raise Broken("ORDER_DEVIATION", f"there is no deviation {number}")
            case log.HandedOver():
                self._require_speaker(entry.who, entry.role)
                self.policy.require_role(entry.to, MANAGER)
            case log.Revised() | log.Abandoned():
                self._require_all_back()
            case _:
                pass

    def _require_speaker(self, who: str, role: str) -> None:
        self.policy.require_role(who, role)
        if not self.in_office(who, role):
            raise Broken("APPROVAL_ROLE", f"{who} had handed the run over", "decisions")

    def _require_taken_back(self, entry: log.TakenBack) -> None:
        progress, number = self.progress(entry.step), entry.action
        if progress.plan is None or number not in progress.started | set(progress.done):
            raise Broken("ORDER_TAKEN_BACK", f"action {number} of {entry.step} was not begun")
        if progress.result is not None and not entry.respin:
            raise Broken("ORDER_AFTER_COMPLETE", f"{entry.step} was complete before it")
        action = progress.plan.actions[number]
        if action.undo is None or not (entry.respin or action.temporary):
            raise Broken("ORDER_TAKEN_BACK", f"action {number} of {entry.step} has no way back")

    def _require_scope(self, respin: log.Respun) -> None:
        names = self.steps if respin.abandons else self.dependent(respin.step)
        wanted = [name for name in names if self.progress(name).records]
        if list(respin.scope) != wanted:
            raise Broken("ORDER_RESPIN", "it does not take back all that needs the step")
        for name in wanted:
            progress = self.progress(name)
            if self.steps[name].irreversible and (progress.started or progress.done):
                raise Broken("ORDER_NO_WAY_BACK", f"{name} had begun: it is never taken back")

    def _require_all_back(self) -> None:
        """Refuse the end of a respin in which something of its scope was left as it was done."""
        for name in self.respinning.scope if self.respinning else ():
            progress = self.progress(name)
            for number, action in enumerate(progress.plan.actions if progress.plan else ()):
                if number in progress.started and action.undo is not None:
                    raise Broken("ORDER_RESPIN", f"action {number} of {name} was not taken back")
            if progress.going:
                raise Broken("ORDER_RESPIN", f"what {name} set going was not stopped")


WAIVER = "waivers"


def _require_result(plan: PlanData, entry: log.Completed) -> None:
    if isinstance(plan.result, dict) and plan.result != entry.result:
        raise Broken("ORDER_RESULT", f"the result of {entry.step} is not that of its plan")
