"""A run held open for writing: its world, and who may write what into its ledger."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from relkit import records as log
from relkit.decision import SKEW, Decision, Verdict, check_decision, decision_text
from relkit.errors import GateError, OrderError, RecordError
from relkit.history import History
from relkit.ledger import Ledger
from relkit.policy import MANAGER
from relkit.ports import World
from relkit.release import Release
from relkit.standing import Progress, Proposal
from relkit.step import Step
from relkit.values import Json, Request, Signed, digest_of

Observer = Callable[[str], None]
SECOND = timedelta(seconds=1)


class Held(History):
    """What all parts of a `Run` share."""

    def __init__(self, release: Release, world: World, ledger: Ledger) -> None:
        super().__init__(release, ledger)
        self.world = world
        self.observe: Observer = lambda _: None
        self._refused: dict[tuple[str, str], list[GateError]] = {}
        self._forged: dict[str, GateError] = {}

    @property
    def manager(self) -> str:
        """The name of the release manager in office."""
        return self.handed_over.to if self.handed_over else self.policy.person(MANAGER).name

    def refusals(self, step: str) -> tuple[GateError, ...]:
        """Return why answers that were found for a step count for nothing, as it was asked last."""
        found = self._refused.items()
        return tuple(one for (name, _), errors in found if name == step for one in errors)

    def world_of(self, name: str) -> World:
        """Return the world as a step is planned with it: its nonce is the step's."""
        return dataclasses.replace(self.world, nonce=self.nonce_of(name))

    def propose(self, name: str) -> Proposal:
        """Return what the step would do, or did. Changes nothing.

        Raises `OrderError` (``NOT_YET``) if a step before it is not complete.
        """
        step = self.step(name)
        if begun := self.recorded(name):
            return begun
        if unfinished := self._unfinished(step):
            raise OrderError(
                f"{name} comes after {', '.join(unfinished)}",
                code="NOT_YET",
                remedy=f"Run {unfinished[0]} first.",
            )
        plan = step.plan(self.release, self.world_of(name), self.results, self.revision)
        return self.proposal(step, plan)

    def require_person(self, who: str, role: str, reason: str) -> None:
        """Refuse who may not speak here, or gives no reason.

        Raises `GateError`: ``NOT_AT_THE_NOTEBOOK``, ``NOT_IN_ROLE``, ``HANDED_OVER``,
        ``REASON_MISSING``.
        """
        self.policy.require_present(role)
        self.policy.require_role(who, role)
        if self.handed_over is not None and not self.in_office(who, role):
            raise GateError(
                f"{who} is not the release manager of this run any more: it was handed over to "
                f"{self.handed_over.to}",
                code="HANDED_OVER",
                remedy=f"Let {self.handed_over.to} do it, or hand the run back.",
            )
        if not reason.strip():
            raise GateError(
                "a decision needs a reason",
                code="REASON_MISSING",
                remedy="Write in a few words what was looked at.",
            )

    def request(self, step: str, plan: Json, roles: tuple[str, ...], waives: str = "") -> Request:
        """Return what is asked now: to decide on a plan, or to accept a failed check of it."""
        return Request(
            release=self.release.name,
            revision=self.revision,
            step=step,
            nonce=self.inputs.nonce,
            plan=plan,
            digest=digest_of(plan),
            roles=roles,
            policy=self.inputs.policy_digest,
            head=self.ledger.head,
            expires=self.now() + timedelta(hours=self.policy.request_hours),
            waives=waives,
            manager=self.handed_over.to if self.handed_over else "",
            rehearsal=self.inputs.rehearsal,
            world=self.inputs.world,
            typed="" if waives else self.typed(step),
        )

    def typed(self, name: str) -> str:
        """Return what is typed back to approve a step (`name_back`)."""
        return name_back(self, name)

    def said(
        self, request: Request, who: str, role: str, verdict: Verdict, reason: str, typed: str = ""
    ) -> tuple[Decision, Signed]:
        """Have a person who sits here sign an answer; return it once it was verified.

        Raises `GateError` as `require_person` does, ``PRODUCTION_UNCONFIRMED``, and
        ``APPROVAL_SIGNATURE``.
        """
        self.require_person(who, role, reason)
        before = [one + SECOND for one in self._made(request.step, who, role)]
        at = max([self.now(), *before])  # of two words of one second the rejection would count
        text = decision_text(
            request, who=who, role=role, verdict=verdict, reason=reason, at=at, typed=typed
        )
        signed = self.world.attestations.sign(who=who, text=text)
        return self.check(signed, [request]), signed

    def _made(self, step: str, who: str, role: str) -> list[datetime]:
        """Return when a person spoke on a step before, by a clock that may be ahead of this one."""
        progress = self._progress.get(step, Progress())
        said = [(one.who, one.role, one.made) for one in progress.decisions]
        said += [(one.who, one.role, one.made) for one in progress.waivers]
        return [made for name, part, made in said if (name, part) == (who, role)]

    def check(self, signed: Signed, requests: list[Request]) -> Decision:
        """Return what an answer to one of these requests says, or refuse it (`GateError`)."""
        return check_decision(
            signed,
            requests=requests,
            policy=self.policy,
            verifier=self.world.attestations,
            now=self.now(),
        )

    def now(self) -> datetime:
        """Return the present time, which is not before the newest record (T64)."""
        return max(self.world.clock.now(), self.ledger.records[-1].at)

    def _record(self, entry: log.Entry) -> None:
        """Write a record; raise `RecordError` (``CLOCK_BACKWARDS``) if time went backwards."""
        if (now := self.world.clock.now()) < (last := self.ledger.records[-1].at) - SKEW:
            raise RecordError(
                f"it is {now:%Y-%m-%d %H:%M:%S} UTC by this clock, and {last:%Y-%m-%d %H:%M:%S} "
                "by the newest record",
                code="CLOCK_BACKWARDS",
                remedy="Set the clock of this machine, then run this again.",
            )
        self._account(self.ledger.append(entry))


def name_back(history: History, step: str) -> str:
    """Return what is typed back to approve a step: the name of a world that is no rehearsal.

    It is asked where the way back ends: at the last gate before a step that is irreversible.
    """
    final = any(step in _last_gates(one) for one in history.steps.values() if one.irreversible)
    return "" if history.inputs.rehearsal or not final else history.inputs.world


def _last_gates(step: Step[Any]) -> set[str]:
    """Return the steps at whose gates people say the last word before a step; itself, if it has."""
    if step.gate:
        return {step.name}
    return {gate for before in step.after for gate in _last_gates(before)}
