"""What the ledger says about a run: how each step stands. Needs no world and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from relkit import records as log
from relkit.errors import OrderError, RecordError, UsageError
from relkit.inputs import inputs, release_of
from relkit.ledger import Ledger
from relkit.plan import PlanData
from relkit.policy import MANAGER, Policy, read_policy
from relkit.records import Record
from relkit.release import Release
from relkit.standing import Deviation, Progress, Proposal, Status, Superseded
from relkit.step import Results, Step, needed, steps_of
from relkit.values import digest_of

__all__ = ["History", "Progress", "Proposal", "Status", "Superseded", "inputs", "release_of"]


class History:
    """What the ledger says about a run; needs no world and changes nothing.

    `superseded` has what was done in revisions that were given up, in the order of the ledger;
    `respun` the records by which they were. `respinning` is a respin that was begun and is not
    finished, `abandoned` how the run ended, if it did so without a release, `handed_over` who
    took it over last, and `deviations` are all actions that no step foresaw.
    """

    def __init__(self, release: Release, ledger: Ledger) -> None:
        self.release = release
        self.ledger = ledger
        self.steps = {step.name: step for step in steps_of(release.kind)}
        self.revision = 1
        self.superseded: list[Superseded] = []
        self.respun: list[log.Respun] = []
        self.respinning: log.Respun | None = None
        self.abandoned: log.Abandoned | None = None
        self.deviations: list[Deviation] = []
        self.handed_over: log.HandedOver | None = None
        self._progress: dict[str, Progress] = {name: Progress() for name in self.steps}
        self._since: dict[str, int] = {}
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
                f"{folder} holds no record of a release",
                code="NO_RECORD",
                remedy="Give the version of a release that was begun, and its records folder.",
            )
        return History(release_of(inputs(ledger)), ledger)

    @property
    def inputs(self) -> log.Opened:
        """Record 0."""
        return inputs(self.ledger)

    @cached_property
    def policy(self) -> Policy:
        """Who may decide and sign in this run, as record 0 has it.

        Its digest is that of what stands there: a later relkit may know fields that it does not
        have. Raises `GateError` (``POLICY_INVALID``), `RecordError` (``POLICY_ALTERED``).
        """
        opened = self.inputs
        if (found := digest_of(opened.policy)) != opened.policy_digest:
            raise RecordError(
                f"the policy in record 0 has the digest {found}, not {opened.policy_digest}",
                code="POLICY_ALTERED",
                remedy="Put the ledger back from a copy of the record.",
            )
        return read_policy(opened.policy)

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
        """Return what the ledger says about a step in the present revision."""
        return self._progress[self.step(name).name]

    def status(self, name: str) -> Status:
        """Say how a step stands; in an abandoned run nothing is ready any more."""
        progress = self.progress(name)
        if progress.result is not None:
            return "complete"
        if progress.plan is not None:
            return "begun"
        if self.abandoned or self._unfinished(self.steps[name]):
            return "pending"
        if any(not one.waives for one in progress.asked):
            return "decide"
        return "waiting" if progress.waited else "ready"

    def recorded(self, name: str) -> Proposal | None:
        """Return a step with its recorded plan; None if it has not begun."""
        progress = self.progress(name)
        if progress.plan is None:
            return None
        return self.proposal(self.steps[name], progress.plan)

    def proposal(self, step: Step[Any], plan: PlanData) -> Proposal:
        """Return a step with the plan that rules."""
        return Proposal(step, plan, self._progress[step.name], self.enough_waivers)

    def enough_waivers(self, waivers: list[log.Waived]) -> bool:
        """Tell whether enough persons have accepted a check; see `waivers_missing`."""
        return not self.waivers_missing(waivers)

    def waivers_missing(self, waivers: Iterable[log.Waived]) -> int:
        """Return how many more persons have to accept one failed check.

        Like a decision, what a former release manager said of an open plan counts no more.
        """
        counting = [one for one in waivers if self.in_office(one.who, one.role)]
        return self.policy.waivers_missing(self.release.kind, counting)

    def in_office(self, who: str, role: str) -> bool:
        """Tell whether a person still speaks for a role: a run has one release manager."""
        return role != MANAGER or self.handed_over is None or who == self.handed_over.to

    def nonce_of(self, name: str) -> str:
        """Return the nonce a step is planned with.

        The run's own; from a respin that the step depends on, it ends with the revision. What
        goes on beside the respun steps is so found again under the name it was begun with.
        """
        since = self._since.get(self.step(name).name, 1)
        return f"{self.inputs.nonce}-r{since}" if since > 1 else self.inputs.nonce

    def dependent(self, name: str) -> list[str]:
        """Return a step and all that need it, directly or not, in their order."""
        found = {self.step(name).name}
        for one in self.steps.values():
            if found & {before.name for before in needed(one, self.release.kind)}:
                found.add(one.name)
        return [one for one in self.steps if one in found]

    def require_going(self) -> None:
        """Raise `OrderError` (``ABANDONED``, ``RESPIN_UNFINISHED``) if nothing can be done now."""
        if self.abandoned is not None:
            raise OrderError(
                f"{self.release.name} was abandoned by {self.abandoned.who}: "
                f"{self.abandoned.reason}",
                code="ABANDONED",
                remedy="Read or seal the record; make the release anew in another records folder.",
            )
        if (respin := self.respinning) is not None:
            raise OrderError(
                f"{self._word(respin)}, begun by {respin.who}, is not finished",
                code="RESPIN_UNFINISHED",
                remedy=f"Run it again to its end: {self._command(respin)}",
            )

    def _word(self, respin: log.Respun) -> str:
        return "abandoning the run" if respin.abandons else f"the respin from {respin.step}"

    def _command(self, respin: log.Respun) -> str:
        what = "abandon" if respin.abandons else "respin"
        where = "" if respin.abandons else f" --from {respin.step}"
        kind = "" if self.release.facts.publishes else f" --kind {self.release.kind}"
        return f"relkit {what} {self.release.name}{kind}{where}."

    def _unfinished(self, step: Step[Any]) -> list[str]:
        before = {one.name for one in needed(step, self.release.kind)}
        return [n for n in self.steps if n in before and self._progress[n].result is None]

    # --- taking records into account --------------------------------------------------------

    def _account(self, record: Record) -> None:
        try:
            self._take(record)
        except (LookupError, ValueError) as error:
            raise RecordError(
                f"record {record.number} is not of a run of {self.release.kind} as this relkit "
                f"has it: {str(error).splitlines()[0]}",
                code="LEDGER_INVALID",
                remedy="Use the relkit that wrote the record, or put the ledger back from a copy.",
            ) from error

    def _take(self, record: Record) -> None:
        match record.entry:
            case log.Respun() as respin:
                self._begin_respin(respin)
            case log.Revised(revision=revision):
                self._end_respin(revision)
            case log.Abandoned() as ending:
                self._end_respin(self.revision)
                self.abandoned = ending
            case log.Deviated() as deviated:
                self.deviations.append(Deviation(record, deviated))
            case log.DeviationDone(number=number) as done:
                self.deviations[number].done = done
            case log.DeviationTakenBack(number=number) as back:
                self.deviations[number].taken_back = back
            case log.HandedOver() as handed:
                self.handed_over = handed
            case entry:
                if name := getattr(entry, "step", ""):
                    self._progress[name].add(record)
        if record.revision != self.revision:
            raise ValueError(f"it is of revision {record.revision}, not {self.revision}")

    def _begin_respin(self, respin: log.Respun) -> None:
        if self.respinning or self.abandoned or respin.revision != self.revision:
            raise ValueError(f"a respin of revision {respin.revision} cannot begin here")
        if strangers := {respin.step, *respin.scope} - set(self.steps):
            raise ValueError(f"no such steps: {', '.join(sorted(strangers))}")
        self.respinning = respin
        self.respun.append(respin)

    def _end_respin(self, revision: int) -> None:
        """Put what was done in the scope aside; its steps are as if they had never begun."""
        respin = self.respinning
        if respin is None or revision != self.revision + (not respin.abandons):
            raise ValueError(f"no respin ends here with revision {revision}")
        for name in respin.scope:
            self.superseded.append(Superseded(self.revision, name, self._progress[name]))
            self._progress[name] = Progress()
        self._since |= dict.fromkeys(self.dependent(respin.step), revision)
        self.revision, self.respinning = revision, None
