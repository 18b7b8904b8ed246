"""The way back: a new revision from a step on, or the end of a run without a release.

What was done is taken back in the reverse order of the ledger, each action by its own `undo`, and
asked about before and after, as in the way there; what was set going for a wait is stopped where
its turn comes. A process killed in the middle leaves a run in
which nothing else is done until the same command has come to its end.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from relkit import records as log
from relkit.errors import OrderError, VerificationError
from relkit.held import Held
from relkit.plan import ActionData, Call


@dataclass(frozen=True)
class Back:
    """An action of ours that was begun: its place in the ledger, and the record of its undoing."""

    place: int
    name: str
    action: ActionData
    step: str
    number: int

    @property
    def short(self) -> str:
        """Its name without its arguments."""
        return f"{self.step or 'deviation'}: {self.action.do.port}.{self.action.do.method}"

    def entry(self, evidence: str) -> log.TakenBack | log.DeviationTakenBack:
        """Return the record that says that it was taken back."""
        if not self.step:
            return log.DeviationTakenBack(number=self.number, evidence=evidence)
        return log.TakenBack(step=self.step, action=self.number, respin=True, evidence=evidence)


@dataclass(frozen=True)
class Running:
    """What a wait of ours set going, or may have: its place in the ledger, and what ends it."""

    place: int
    step: str
    what: str
    stop: Call


class Respinning(Held):
    """The part of a run that takes back."""

    def respin(self, step: str, who: str, role: str, reason: str) -> int:
        """Take back a step and all that needs it; return the new revision.

        What was found done before is left as it was. Run again after a failure or a kill, it goes
        on, with the words it was begun with. Raises `UsageError` (``STEP_UNKNOWN``), `GateError`
        as a decision does, `OrderError` (``NOTHING_BEGUN``, ``NO_WAY_BACK``, ``ABANDONED``,
        ``RESPIN_UNFINISHED`` of another one), `VerificationError` (``READ_BACK``), `WorldError`.
        """
        scope = [name for name in self.dependent(step) if self.progress(name).records]
        self.require_person(who, role, reason)
        now = self.respinning
        if now is None or now.abandons or now.step != step:
            self.require_going()
            self._require_begun(step, scope)
            self._require_way_back(scope)
            now = log.Respun(
                who=who,
                role=role,
                reason=reason.strip(),
                revision=self.revision,
                step=step,
                scope=tuple(scope),
                stays=self._stays(scope, abandons=False),
            )
            self._record(now)
        self._take_back_all(now)
        self._record(log.Revised(revision=self.revision + 1))
        return self.revision

    def abandon(self, who: str, role: str, reason: str, *, skipped: bool = False) -> None:
        """Take back everything and end the run; with `skipped` the version is never made.

        Deviations are taken back, too. Raises as `respin` does.
        """
        self.require_person(who, role, reason)
        now = self.respinning
        if now is None or not now.abandons:
            self.require_going()
            scope = [name for name in self.steps if self.progress(name).records]
            self._require_way_back(scope)
            now = log.Respun(
                who=who,
                role=role,
                reason=reason.strip(),
                revision=self.revision,
                step=next(iter(self.steps)),
                scope=tuple(scope),
                stays=self._stays(scope, abandons=True),
                abandons=True,
                skipped=skipped,
            )
            self._record(now)
        self._take_back_all(now)
        ending = log.Abandoned(who=now.who, role=now.role, reason=now.reason, skipped=now.skipped)
        self._record(ending)

    # --- inside ---------------------------------------------------------------------------

    def _require_begun(self, step: str, scope: list[str]) -> None:
        """Refuse a respin without a use; a step stuck at a failed check may need another nonce."""
        stuck = self.status(step) == "ready" and bool(self.propose(step).plan.failing)
        if not scope and not stuck:
            raise OrderError(
                f"neither {step} nor what needs it has begun",
                code="NOTHING_BEGUN",
                remedy=f"Run {step}, or name a step before it.",
            )

    def _require_way_back(self, scope: list[str]) -> None:
        for name in scope:
            progress = self.progress(name)
            if self.steps[name].irreversible and (progress.started or progress.done):
                raise OrderError(
                    f"{name} has begun, and there is no way back from it",
                    code="NO_WAY_BACK",
                    remedy="Go on: what is published is mended by another release.",
                )

    def _stays(self, scope: list[str], *, abandons: bool) -> tuple[str, ...]:
        """Return what will stay as it was done, with the reason."""
        found = [one for one in self._ours(scope) if not _goes_back(one, abandons=abandons)]
        words = (f"{one.short}: {one.action.undo_note or 'of no step'}" for one in found)
        return tuple(dict.fromkeys(words))

    def _take_back_all(self, respin: log.Respun) -> None:
        """Undo and stop in reverse what is not taken back yet."""
        ours = self._ours(respin.scope)
        back = [one for one in ours if _goes_back(one, abandons=respin.abandons)]
        both: list[Back | Running] = [*back, *self._running(respin.scope)]
        for number, one in enumerate(sorted(both, key=lambda one: -one.place), 1):
            call = one.stop if isinstance(one, Running) else one.action.undo
            self.observe(f"{number} of {len(both)}: {call}")
            if isinstance(one, Running):
                self._stop(one)
            else:
                self._take_back_one(one)

    def _running(self, scope: Collection[str]) -> list[Running]:
        """Return what was set going for waits and not stopped."""
        return [
            Running(going.place, name, what, going.stop)
            for name in scope
            for what, going in self.progress(name).going.items()
        ]

    def _stop(self, one: Running) -> None:
        """Stop, record: whoever is killed in between stops again what is over."""
        one.stop(self.world)
        self._record(log.Stopped(step=one.step, what=one.what))

    def _take_back_one(self, one: Back) -> None:
        """Ask, undo, ask again, record."""
        holds, evidence = one.action.holds(self.world)
        if holds and one.action.undo is not None:
            one.action.undo(self.world)
            holds, evidence = one.action.holds(self.world)
        if holds:
            raise VerificationError(
                f"{one.action.undo} was done to take back {one.name}; reading by "
                f"{one.action.read} still gives {evidence}",
                code="READ_BACK",
                remedy="Look at that system first; then run this again, which asks it anew.",
            )
        self._record(one.entry(evidence))

    def _ours(self, scope: Collection[str]) -> list[Back]:
        """Return what we did or began and did not take back, in the order of the ledger.

        What was found done was never begun by us, and is not in it.
        """
        found = []
        for name in scope:
            progress = self.progress(name)
            actions = progress.plan.actions if progress.plan else ()
            for number, action in enumerate(actions):
                if number not in progress.started:
                    continue
                label = f"{name}: {action.do}"
                found.append(Back(progress.places[number], label, action, name, number))
        for one in self.deviations:
            if one.taken_back is None and not (one.done and one.done.found):
                number, label = one.entry.number, f"deviation {one.entry.number}: {one.action.do}"
                found.append(Back(one.record.number, label, one.action, "", number))
        return sorted(found, key=lambda one: one.place)


def _goes_back(one: Back, *, abandons: bool) -> bool:
    """Tell whether something is undone: a deviation is of no step, and goes with the run."""
    return one.action.undo is not None and (abandons or bool(one.step))
