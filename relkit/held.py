"""A run held open for writing: its world, and who may write what into its ledger."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from relkit import records as log
from relkit.errors import GateError, OrderError
from relkit.history import History
from relkit.ledger import Ledger
from relkit.policy import MANAGER
from relkit.ports import World
from relkit.release import Release
from relkit.standing import Proposal

Observer = Callable[[str], None]


class Held(History):
    """What all parts of a `Run` share."""

    def __init__(self, release: Release, world: World, ledger: Ledger) -> None:
        super().__init__(release, ledger)
        self.world = world
        self.observe: Observer = lambda _: None

    @property
    def manager(self) -> str:
        """The name of the release manager in office."""
        return self.handed_over.to if self.handed_over else self.world.policy.person(MANAGER).name

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
        progress = self._progress[name]
        if unfinished := self._unfinished(step):
            raise OrderError(
                f"{name} comes after {', '.join(unfinished)}",
                code="NOT_YET",
                remedy=f"Run {unfinished[0]} first.",
            )
        plan = step.plan(self.release, self.world_of(name), self.results, self.revision)
        return Proposal(step, plan, progress)

    def in_office(self, who: str, role: str) -> bool:
        """Tell whether a person still speaks for a role: a run has one release manager."""
        return role != MANAGER or self.handed_over is None or who == self.handed_over.to

    def require_person(self, who: str, role: str, reason: str) -> None:
        """Refuse who may not speak here, or gives no reason.

        Raises `GateError`: ``NOT_AT_THE_NOTEBOOK``, ``NOT_IN_ROLE``, ``HANDED_OVER``,
        ``REASON_MISSING``.
        """
        self.world.policy.require_present(role)
        self.world.policy.require_role(who, role)
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

    def _record(self, entry: log.Entry) -> None:
        self._account(self.ledger.append(entry))
