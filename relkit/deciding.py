"""What people say in a run: requests, decisions, waivers, evidence, and who is in charge."""

from __future__ import annotations

from typing import Any, Literal

from relkit import records as log
from relkit.asking import Asking, Last
from relkit.decision import Decision, Verdict
from relkit.errors import GateError
from relkit.policy import MANAGER
from relkit.standing import Proposal
from relkit.step import Step
from relkit.values import Request, Signed, Testimony

Via = Literal["notebook", "answer"]
HAND_OVER = "hand-over"
"""What stands for the step in the statement that hands a run over."""
EVIDENCE = "evidence: "
"""What the waits of manual steps begin with."""


class Deciding(Asking):
    """The part of a run that is about people."""

    def ask(self, proposal: Proposal) -> tuple[str, ...]:
        """Ask those who decide, once for each plan; take in answers; return the roles missing.

        Nobody is asked where there is nothing to decide (`Proposal.undecided`). Of the release
        managers only the one in office counts, and is asked anew. Raises `GateError`
        (``GATE_REJECTED``).
        """
        step, digest = proposal.step, proposal.plan.digest
        if step.gate is None or not proposal.undecided:
            return ()
        self.require_going()
        requests = self._put(proposal)
        made = self._progress[step.name].decisions
        last = {
            (one.who, one.role): (one.made, one.verdict) for one in made if one.digest == digest
        }
        for decision, signed in self._answers(step, requests, last):
            self._record(_decided(step, digest, decision, signed, "answer"))
        counting = [one for one in made if one.digest == digest]
        counting = [one for one in counting if self.in_office(one.who, one.role)]
        return self.policy.missing(self._roles(step), counting)

    def decide(
        self,
        proposal: Proposal,
        verdict: Verdict,
        who: str,
        role: str,
        reason: str,
        *,
        typed: str = "",
    ) -> None:
        """Sign and record a decision made in the notebook, on exactly this proposal.

        `typed` is what the person typed back (`Request.typed`). Raises `GateError`:
        ``NOT_AT_THE_NOTEBOOK``, ``NOT_IN_ROLE``, ``HANDED_OVER``, ``REASON_MISSING``, ``NO_GATE``,
        ``APPROVAL_ROLE``, ``APPROVAL_SIGNATURE``, ``PRODUCTION_UNCONFIRMED``.
        """
        if not proposal.undecided:
            raise GateError(
                f"{proposal.step.name} has nothing left to decide",
                code="NO_GATE",
                remedy="Look at its records: it has begun, has no gate, or nothing is in its plan.",
            )
        self.require_going()
        decision, signed = self.said(self.asked(proposal), who, role, verdict, reason, typed)
        entry = _decided(proposal.step, proposal.plan.digest, decision, signed, "notebook")
        self._record(entry)

    def asked(self, proposal: Proposal, waives: str = "") -> Request:
        """Return what is asked, or would be asked now, about a plan, or to waive a check of it."""
        return self._requests(proposal, waives)[-1]

    def waive(self, proposal: Proposal, check: str, who: str, role: str, reason: str) -> None:
        """Sign and record that a failed check of this proposal is accepted, or a wait given up.

        `check` is the name of the check, or what is awaited. Where the policy wants more than one
        person for that, the others are asked. Raises `GateError`: ``NOT_WAIVABLE``,
        ``NOT_IN_ROLE``, ``HANDED_OVER``, ``REASON_MISSING``, ``APPROVAL_SIGNATURE``.
        """
        waivable = proposal.waivable
        if check not in waivable or role not in self.policy.waivers:
            raise GateError(
                f"{check!r} cannot be waived by {role}",
                code="NOT_WAIVABLE",
                remedy=f"What can be waived here: {', '.join(waivable) or 'nothing'}.",
            )
        self.require_going()
        self.require_person(who, role, reason)
        alone = self.policy.waivers_needed.get(self.release.kind, 1) == 1
        wanted = self._requests if alone else self._put
        request = wanted(proposal, waives=check)[-1]
        decision, signed = self.said(request, who, role, "approve", reason)
        self._record(_waived(decision, proposal.plan.digest, signed, "notebook"))

    def half_waived(self, proposal: Proposal, check: str) -> str:
        """Return who has waived what one person alone cannot waive, and who is still needed.

        It is a part of a sentence; empty, if nobody has.
        """
        said = proposal.said_waived.get(check, [])
        missing = self.waivers_missing(said)
        if not said or not missing:
            return ""
        names = ", ".join(sorted({one.who for one in said}))
        others = {one.name: one for one in self.policy.people if one.role in self.policy.waivers}
        able = [
            f"{one.name} ({one.role})"
            for one in others.values()
            if one.name not in {x.who for x in said} and self.in_office(one.name, one.role)
        ]
        refused = "".join(f"; refused: {one}" for one in self.refusals(proposal.step.name))
        return (
            f"; waived by {names}, which takes {missing} more: "
            f"{' or '.join(able) or 'nobody can'}{refused}"
        )

    def take_waivers(self, proposal: Proposal) -> None:
        """Take in what others say to the waivers that were begun for this plan.

        Raises `GateError` (``WAIVER_REJECTED``) if somebody says no, or no more.
        """
        plan, waivable = proposal.plan, proposal.waivable
        stops = {*(one.name for one in plan.failing), *(one.what for one in plan.awaited)}
        asked = stops & {one.waives for one in proposal.progress.asked}
        for check in proposal.said_waived:
            if check in waivable or check in asked:
                self._take_waivers(proposal, check)

    def _take_waivers(self, proposal: Proposal, check: str) -> None:
        """Record who else accepts a failed check; what a person said last counts."""
        said = proposal.said_waived[check]
        made: Last = {(one.who, one.role): (one.made, "approve") for one in said}
        found = list(self._answers(proposal.step, self._put(proposal, waives=check), made))
        last = {(one.who, one.role): (one, signed) for one, signed in found}
        for decision, _ in last.values():
            if decision.verdict == "reject":
                raise GateError(
                    f"{decision.who} ({decision.role}) does not waive {check!r}: {decision.reason}",
                    code="WAIVER_REJECTED",
                    remedy="Mend what the check found, or let the same person decide anew.",
                )
        for decision, signed in last.values():
            self._record(_waived(decision, proposal.plan.digest, signed, "answer"))

    def hand_over(self, to: str, who: str, role: str, reason: str) -> None:
        """Make another release manager of the policy the one of this run.

        From then on nobody else decides, waives or takes back in that role, and what others in
        it decided on plans that are still open counts no more. Raises `GateError` as `decide`
        does, and ``NOT_HANDED_OVER`` if that changes nothing.
        """
        self.require_going()
        self.require_person(who, role, reason)
        if role != MANAGER or to == who:
            raise GateError(
                f"a run is handed over by its {MANAGER} to another one, not by {who} ({role}) "
                f"to {to}",
                code="NOT_HANDED_OVER",
                remedy="Name another release manager of the policy.",
            )
        self.policy.require_role(to, MANAGER)
        request = self.request(HAND_OVER, {"to": to}, (MANAGER,))
        _, signed = self.said(request, who, role, "approve", reason)
        entry = log.HandedOver(to=to, who=who, role=role, reason=reason.strip(), signed=signed)
        self._record(entry)

    def testify(self, name: str, who: str, role: str, text: str) -> None:
        """Give evidence for a manual step that waits for it; what was given last counts.

        `name` is what follows ``evidence: `` in what is awaited. Raises `GateError`:
        ``NOT_ASKED``, ``NOT_IN_ROLE``, ``REASON_MISSING``.
        """
        self.require_going()
        step, whom = self._awaiting(name)
        self.policy.require_role(who, role)
        if role != whom:
            raise GateError(
                f"evidence {name!r} is asked of {whom}, not of {role}",
                code="NOT_ASKED",
                remedy=f"Let {whom} give it.",
            )
        if not text.strip():
            raise GateError(
                f"there is nothing in the evidence {name!r}",
                code="REASON_MISSING",
                remedy="Give what the request asks for: it shows the form.",
            )
        key = f"{self.nonce_of(step)}-{name}"
        given = Testimony(name=key, who=who, role=role, text=text.strip())
        self.world.people.testify(testimony=given)

    def _awaiting(self, name: str) -> tuple[str, str]:
        """Return the step that waits for evidence of this name, and the role it asks."""
        asked = {
            what.removeprefix(EVIDENCE): (step, wait.whom)
            for step, progress in self._progress.items()
            for what, wait in progress.waited.items()
            if what.startswith(EVIDENCE) and progress.plan is None
        }
        if name not in asked:
            raise GateError(
                f"nobody waits for evidence {name!r}",
                code="NOT_ASKED",
                remedy=f"What is awaited: {', '.join(asked) or 'nothing'}.",
            )
        return asked[name]


def _decided(
    step: Step[Any], digest: str, decision: Decision, signed: Signed, via: Via
) -> log.Decided:
    words = _words(decision, digest, signed, via)
    return log.Decided(step=step.name, verdict=decision.verdict, **words)


def _waived(decision: Decision, digest: str, signed: Signed, via: Via) -> log.Waived:
    words = _words(decision, digest, signed, via)
    return log.Waived(step=decision.step, check=decision.waives, **words)


def _words(decision: Decision, digest: str, signed: Signed, via: Via) -> dict[str, Any]:
    """Return what the records of a decision and of a waiver both say."""
    return {
        "digest": digest,
        "who": decision.who,
        "role": decision.role,
        "reason": decision.reason,
        "via": via,
        "made": decision.at,
        "signed": signed,
    }
