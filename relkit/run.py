"""Carry one release through its steps: propose, decide, apply, resume."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Self

from relkit import records as log
from relkit.errors import (
    CheckError,
    GateError,
    OrderError,
    RecordError,
    VerificationError,
    WaitingError,
)
from relkit.history import History, Proposal, inputs
from relkit.ledger import Ledger
from relkit.plan import WaitData
from relkit.ports import World
from relkit.release import Release
from relkit.step import Step, steps_of
from relkit.values import Json, Request, digest_of

Observer = Callable[[str], None]
POLL_SECONDS = 0.1


class Run(History):
    """One release being carried out; all its state is the ledger and the world."""

    def __init__(self, release: Release, world: World, ledger: Ledger) -> None:
        super().__init__(release, ledger)
        self.world = world
        self.observe: Observer = lambda _: None

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

    def propose(self, name: str) -> Proposal:
        """Return what the step would do, or did. Changes nothing.

        Raises `OrderError` (``NOT_YET``) if a step before it is not complete.
        """
        step = self.step(name)
        if begun := self.recorded(name):
            return begun
        progress = self._progress[name]
        if unfinished := self._unfinished(step):
            raise OrderError(
                f"{name} comes after {', '.join(unfinished)}",
                code="NOT_YET",
                remedy=f"Run {unfinished[0]} first.",
            )
        plan = step.plan(self.release, self.world, self.results, self.ledger.revision)
        return Proposal(step, plan, progress)

    def ask(self, proposal: Proposal) -> tuple[str, ...]:
        """Ask those who decide, once for each plan; take in answers; return the roles missing.

        Raises `GateError` (``GATE_REJECTED``).
        """
        step, digest = proposal.step, proposal.plan.digest
        if step.gate is None or proposal.progress.plan is not None:
            return ()
        roles = self.world.policy.roles(step.gate)
        if digest not in proposal.progress.asked:  # asked twice is harmless, never asked is not
            self.world.people.ask(request=self._request(proposal, roles))
            self._record(log.Asked(step=step.name, digest=digest, roles=roles))
        self._take_answers(step, digest)
        decisions = [one for one in proposal.progress.decisions if one.digest == digest]
        return self.world.policy.missing(step.gate, decisions)

    def decide(self, proposal: Proposal, verdict: str, who: str, role: str, reason: str) -> None:
        """Record a decision made in the notebook, on exactly this proposal.

        Raises `GateError`: ``NOT_AT_THE_NOTEBOOK``, ``NOT_IN_ROLE``, ``REASON_MISSING``,
        ``NO_GATE``.
        """
        if proposal.step.gate is None or proposal.progress.plan is not None:
            raise GateError(
                f"{proposal.step.name} has nothing left to decide",
                code="NO_GATE",
                remedy="Look at its records: it has begun, or it has no gate.",
            )
        self.world.policy.require_present(role)
        self.world.policy.require_role(who, role)
        _require_reason(reason)
        decision = log.Decided.model_validate(
            {
                "step": proposal.step.name,
                "digest": proposal.plan.digest,
                "who": who,
                "role": role,
                "verdict": verdict,
                "reason": reason.strip(),
                "via": "notebook",
            }
        )
        self._record(decision)

    def waive(self, proposal: Proposal, check: str, who: str, role: str, reason: str) -> None:
        """Record that a failed check of this proposal is accepted.

        Raises `GateError`: ``NOT_WAIVABLE``, ``NOT_IN_ROLE``, ``REASON_MISSING``.
        """
        failing = [one.name for one in proposal.plan.failing if one.waivable]
        if check not in failing or role not in self.world.policy.waivers:
            raise GateError(
                f"{check!r} cannot be waived by {role}",
                code="NOT_WAIVABLE",
                remedy=f"What can be waived here: {', '.join(failing) or 'nothing'}.",
            )
        self.world.policy.require_present(role)
        self.world.policy.require_role(who, role)
        _require_reason(reason)
        digest = proposal.plan.digest
        self._record(
            log.Waived(
                step=proposal.step.name,
                digest=digest,
                check=check,
                who=who,
                role=role,
                reason=reason.strip(),
            )
        )

    def apply(self, name: str) -> Proposal:
        """Do what the step plans, as far as it is not done; return it as it stands then.

        A complete step is returned as it was recorded. Raises `OrderError`, `CheckError`,
        `WaitingError` (``GATE_OPEN``, ``NOT_READY``), `GateError`, `VerificationError`.
        """
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
        end = time.monotonic() + self.world.patience_seconds
        while True:
            self._require_checks(proposal)
            awaited = proposal.plan.awaited
            if not awaited:
                return proposal
            deadlines = [self._await(proposal, wait) for wait in awaited]
            shown = f"until {min(deadlines):%Y-%m-%d %H:%M} UTC {awaited[0].progress}".rstrip()
            self.observe(f"waiting for {awaited[0].what} from {awaited[0].whom} {shown}")
            if time.monotonic() > end or min(deadlines) < self.world.clock.now():
                raise WaitingError(
                    f"{proposal.step.name} waits for {awaited[0].what} from {awaited[0].whom} "
                    f"until {min(deadlines):%Y-%m-%d %H:%M} UTC",
                    code="NOT_READY",
                    remedy="Run this again when it is there; after the deadline, ask them.",
                )
            time.sleep(POLL_SECONDS)
            proposal = self.propose(proposal.step.name)

    def _await(self, proposal: Proposal, wait: WaitData) -> datetime:
        """Set going what does not go; record once that it is awaited; return its deadline."""
        noted = proposal.progress.waited.get(wait.what)
        if wait.start is not None:
            self._record(
                log.SetGoing(step=proposal.step.name, what=wait.what, again=noted is not None)
            )
            wait.start(self.world)
        if noted is None:
            deadline = self.world.clock.now() + timedelta(minutes=wait.minutes)
            noted = log.Waited(
                step=proposal.step.name, what=wait.what, whom=wait.whom, deadline=deadline
            )
            self._record(noted)
        return noted.deadline

    def _require_checks(self, proposal: Proposal) -> None:
        digest = proposal.plan.digest
        waived = {one.check for one in proposal.progress.waivers if one.digest == digest}
        for check in proposal.plan.failing:
            if check.waivable and check.name in waived:
                continue
            raise CheckError(
                f"{check.name}: {check.verdict}" + (f" ({check.found})" if check.found else ""),
                code=check.code if check.verdict == "fail" else "CANNOT_CHECK",
                remedy=check.remedy,
            )

    def _require_gate(self, proposal: Proposal) -> None:
        if missing := self.ask(proposal):
            raise WaitingError(
                f"{proposal.step.name} waits for {' and '.join(missing)} to decide on plan "
                f"{proposal.plan.digest:.8}",
                code="GATE_OPEN",
                remedy="Decide in the cell above, or let those asked answer; then run this again.",
            )

    def _carry_out(self, proposal: Proposal, number: int) -> None:
        """Ask, record, act, ask again, record."""
        progress, name = proposal.progress, proposal.step.name
        if number in progress.done:
            return
        action = proposal.plan.actions[number]
        self.observe(f"{number + 1} of {len(proposal.plan.actions)}: {action.do}")
        begun = number in progress.started
        holds, evidence = action.holds(self.world)
        if not holds:
            if not begun:
                self._record(log.Started(step=name, action=number))
            begun = True
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

    def _take_back(self, proposal: Proposal) -> None:
        """Undo the temporary actions of a step that failed, the last one first."""
        for number in sorted(proposal.progress.done, reverse=True):
            action = proposal.plan.actions[number]
            if action.temporary and action.undo is not None:
                action.undo(self.world)
                self._record(log.TakenBack(step=proposal.step.name, action=number))

    def _request(self, proposal: Proposal, roles: tuple[str, ...]) -> Request:
        return Request(
            release=str(self.release.version),
            revision=self.ledger.revision,
            step=proposal.step.name,
            nonce=self.inputs.nonce,
            plan=proposal.plan.decided,
            digest=proposal.plan.digest,
            roles=roles,
        )

    def _take_answers(self, step: Step[Any], digest: str) -> None:
        """Record the answers that came for this plan and are not recorded yet."""
        decisions = self._progress[step.name].decisions
        known = Counter(one for one in decisions if one.via == "answer")
        for answer in self.world.people.answers(digest=digest):
            decision = log.Decided(
                **answer.model_dump(exclude={"nonce"}),
                via="answer",
            )
            if known[decision]:  # once for each time it came: a person may come back to it
                known[decision] -= 1
                continue
            if (answer.nonce, answer.step) != (self.inputs.nonce, step.name):
                raise GateError(
                    f"an answer by {answer.who} is for {answer.step} of another run",
                    code="ANSWER_FOREIGN",
                    remedy="Have the answer to this run's request sent.",
                )
            self.world.policy.require_role(answer.who, answer.role)
            self._record(decision)

    def _record(self, entry: log.Entry) -> None:
        self._account(self.ledger.append(entry))


def steps_digest(release: Release) -> str:
    """Return the digest of the recipe: the kind's steps in order, with their gates and `after`."""
    steps = steps_of(release.kind)
    return digest_of([[one.name, one.gate, [n.name for n in one.after]] for one in steps])


def opening(release: Release, world: World) -> log.Opened:
    """Return record 0 as it would be written now."""
    return log.Opened(
        version=str(release.version),
        kind=release.kind,
        time=release.time,
        world=world.name,
        world_digest=world.digest,
        policy_digest=world.policy.digest,
        rehearsal=world.rehearsal,
        nonce=world.nonce,
        relkit=installed_version("relkit"),
        steps_digest=steps_digest(release),
    )


def require_same(recorded: log.Opened, now: log.Opened) -> None:
    """Raise `RecordError` if the run was opened for something else than is asked now."""
    codes = {
        "version": "OTHER_RELEASE",
        "kind": "OTHER_RELEASE",
        "time": "OTHER_DATE",
        "world": "WORLD_CHANGED",
        "rehearsal": "WORLD_CHANGED",
        "nonce": "WORLD_CHANGED",
        "world_digest": "WORLD_CHANGED",
        "policy_digest": "POLICY_CHANGED",
        "steps_digest": "STEPS_CHANGED",
    }
    for name, code in codes.items():
        before, after = getattr(recorded, name), getattr(now, name)
        if before != after:
            raise RecordError(
                f"this run was opened with {name} {before}, now it is {after}",
                code=code,
                remedy="Go on with what the run was opened with, or use another records folder.",
            )


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise GateError(
            "a decision needs a reason",
            code="REASON_MISSING",
            remedy="Write in a few words what was looked at.",
        )


def _data(value: Any) -> Json:  # noqa: ANN401 (what a port's reading method returned)
    if value is None:
        raise VerificationError(
            "the step's result cannot be read",
            code="READ_BACK",
            remedy="Look at the system it is read from; then run this again.",
        )
    data: Json = value.to_data()
    return data
