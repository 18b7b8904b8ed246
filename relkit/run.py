"""Carry one release through its steps: propose, decide, apply, resume."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from relkit import records as log
from relkit.deciding import Deciding
from relkit.deviation import Deviating
from relkit.errors import CheckError, VerificationError, WaitingError
from relkit.inputs import inputs, opening, require_same
from relkit.ledger import Ledger
from relkit.plan import WaitData
from relkit.ports import World
from relkit.release import Release
from relkit.respin import Respinning
from relkit.standing import Proposal
from relkit.telling import telling
from relkit.values import Json

POLL_SECONDS = 0.1
REST = 5
"""How many times as long as a look took a waiting run rests: looking may mean hashing."""
RARELY, SLOWEST = 20, 60.0
"""What has taken long is looked at more rarely: after a twentieth of that, at most a minute."""


class Run(Deciding, Respinning, Deviating):
    """One release being carried out; all its state is the ledger and the world."""

    patience_seconds = math.inf
    """How long a step waits at most, where the world has more patience."""

    @classmethod
    def open(cls, release: Release, world: World, folder: Path) -> Self:
        """Open the run kept in `folder` for writing, or begin it there.

        Raises `RecordError`: ``RUN_LOCKED``, ``LEDGER_…``, ``OTHER_RELEASE``, ``WORLD_CHANGED``,
        ``POLICY_CHANGED``, ``STEPS_CHANGED``.
        """
        ledger = Ledger.open(folder, world.clock.now)
        try:
            return cls.begin(release, world, ledger)
        except BaseException:
            ledger.close()
            raise

    @classmethod
    def begin(cls, release: Release, world: World, ledger: Ledger) -> Self:
        """Go on with the run whose ledger is held, or begin it; raises as `open` does."""
        ledger.now = world.clock.now
        if not ledger.records:
            ledger.append(opening(release, world))
        require_same(inputs(ledger), opening(release, world))
        return cls(release, world, ledger)

    def apply(self, name: str) -> Proposal:
        """Do what the step plans, as far as it is not done; return it as it stands then.

        A complete step is returned as it was recorded. Raises `OrderError`, `CheckError`,
        `WaitingError` (``GATE_OPEN``, ``NOT_READY``), `GateError`, `VerificationError`; and
        `OrderError` (``ABANDONED``, ``RESPIN_UNFINISHED``) if nothing is to be done any more.
        """
        self.require_going()
        proposal = self.propose(name)
        if proposal.complete:
            return proposal
        if proposal.progress.plan is None:
            proposal = self._ready(proposal)
            self._require_gate(proposal)
            plan = proposal.plan
            self._record(log.Planned(step=name, digest=plan.digest, plan=plan.to_data()))
        try:
            for number in range(len(proposal.plan.actions)):
                self._carry_out(proposal, number)
        except Exception:
            self._take_back(proposal)
            raise
        result = proposal.plan.result
        value = result if isinstance(result, dict) else _data(result(self.world))
        self._record(log.Completed(step=name, result=value))
        return self.propose(name)

    def advance(self) -> Iterator[Proposal]:
        """Apply the steps in order; yield each as it is complete; raise where it stops."""
        for name in self.steps:
            yield self.apply(name)

    def close(self) -> None:
        """Let another process go on with the run."""
        self.ledger.close()

    # --- inside ---------------------------------------------------------------------------

    def _ready(self, proposal: Proposal) -> Proposal:
        """Wait as long as the world is patient; refuse failed checks at once."""
        begun = time.monotonic()
        end = begun + min(self.world.patience_seconds, self.patience_seconds)
        rest = POLL_SECONDS
        while True:
            self.take_waivers(proposal)
            self._require_checks(proposal)
            awaited = proposal.awaited
            if not awaited:
                return proposal
            deadlines = [self._await(proposal, wait) for wait in awaited]
            until = f"until {min(deadlines):%Y-%m-%d %H:%M} UTC"
            shown = ": ".join(filter(None, [until, awaited[0].progress]))
            self.observe(f"waiting for {awaited[0].what} from {awaited[0].whom} {shown}")
            if time.monotonic() > end or min(deadlines) < self.world.clock.now():
                raise WaitingError(
                    f"{proposal.step.name} waits for {awaited[0].what} from {awaited[0].whom} "
                    f"until {min(deadlines):%Y-%m-%d %H:%M} UTC"
                    + self.half_waived(proposal, awaited[0].what),
                    code="NOT_READY",
                    remedy="Run this again when it is there; after the deadline, ask them.",
                )
            time.sleep(rest)
            looked = time.monotonic()
            proposal = self.propose(proposal.step.name)
            now = time.monotonic()
            rest = max(POLL_SECONDS, REST * (now - looked), min((now - begun) / RARELY, SLOWEST))

    def _await(self, proposal: Proposal, wait: WaitData) -> datetime:
        """Set going what does not go; record once that it is awaited; return its deadline."""
        noted = proposal.progress.waited.get(wait.what)
        if wait.start is not None:
            going = log.SetGoing(
                step=proposal.step.name,
                what=wait.what,
                again=noted is not None,
                stop=None if wait.stop is None else wait.stop.to_data(),
            )
            self._record(going)
            wait.start(self.world)
        if noted is None:
            deadline = self.world.clock.now() + timedelta(minutes=wait.minutes)
            noted = log.Waited(
                step=proposal.step.name, what=wait.what, whom=wait.whom, deadline=deadline
            )
            self._record(noted)
        return noted.deadline

    def _require_checks(self, proposal: Proposal) -> None:
        waived = proposal.waived
        for check in proposal.plan.failing:
            if check.waivable and check.name in waived:
                continue
            found = f" ({check.found})" if check.found else ""
            raise CheckError(
                f"{check.name}: {check.verdict}{found}{self.half_waived(proposal, check.name)}",
                code=check.code if check.verdict == "fail" else "CANNOT_CHECK",
                remedy=check.remedy,
            )

    def _require_gate(self, proposal: Proposal) -> None:
        if missing := self.ask(proposal):
            raise WaitingError(
                f"{proposal.step.name} waits for {' and '.join(missing)} to decide on plan "
                f"{proposal.plan.digest:.8}"
                + "".join(f"; refused: {one}" for one in self.refusals(proposal.step.name)),
                code="GATE_OPEN",
                remedy=f"{self._decide(missing)} on the request {proposal.plan.digest:.8}….json; "
                "then run this again.",
            )

    def _decide(self, roles: Sequence[str]) -> str:
        """Return how these roles decide: those who sit here in the notebook, others elsewhere."""
        elsewhere = [one for one in roles if one not in self.policy.present]
        if not elsewhere:
            return "Decide in the notebook, or with relkit decide"
        here = "Decide in the notebook, and have" if len(elsewhere) < len(roles) else "Have"
        return f"{here} {' and '.join(elsewhere)} decide elsewhere, with relkit decide"

    def _carry_out(self, proposal: Proposal, number: int) -> None:
        """Ask, record, act, ask again, record."""
        progress, name = proposal.progress, proposal.step.name
        action = proposal.plan.actions[number]
        if number in progress.done:
            if not self._lapsed(proposal, number):
                return
            self._record(log.TakenBack(step=name, action=number))
        self.observe(f"{number + 1} of {len(proposal.plan.actions)}: {action.do}")
        begun = number in progress.started
        holds, evidence = action.holds(self.world)
        if not holds:
            if not begun:
                self._record(log.Started(step=name, action=number))
            begun = True
            with telling(self.observe):
                action.do(self.world)
            holds, evidence = action.holds(self.world)
        if not holds:
            raise VerificationError(
                f"{action.do} was done; reading back by {action.read} gives {evidence}, "
                f"expected: {action.expects} {action.expected or ''}",
                code="READ_BACK",
                remedy="Look at that system first; then run this again, which asks it anew.",
            )
        self._record(log.Done(step=name, action=number, found=not begun, evidence=evidence))

    def _lapsed(self, proposal: Proposal, number: int) -> bool:
        """Tell whether a temporary action was taken back, which was not recorded, and is needed.

        So it is after a failure on a full disk, or a kill right after `_take_back` had undone it.
        """
        plan, action = proposal.plan, proposal.plan.actions[number]
        if not action.temporary or action.holds(self.world)[0]:
            return False
        rest = [n for n in range(number + 1, len(plan.actions)) if n not in proposal.progress.done]
        needing = [plan.actions[n] for n in rest if plan.actions[n].do != action.undo]
        return any(not one.holds(self.world)[0] for one in needing)

    def _take_back(self, proposal: Proposal) -> None:
        """Undo the temporary actions of a step that failed, the last one first.

        Also one that was begun and whose end was not seen: its answer may have been lost.
        """
        progress = proposal.progress
        for number in sorted(progress.started | progress.done.keys(), reverse=True):
            action = proposal.plan.actions[number]
            if action.temporary and action.undo is not None:
                action.undo(self.world)
                self._record(log.TakenBack(step=proposal.step.name, action=number))


def _data(value: Any) -> Json:  # noqa: ANN401 (what a port's reading method returned)
    if value is None:
        raise VerificationError(
            "the step's result cannot be read",
            code="READ_BACK",
            remedy="Look at the system it is read from; then run this again.",
        )
    data: Json = value.to_data()
    return data
