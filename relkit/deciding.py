"""What people say in a run: requests, decisions, waivers, evidence, and who is in charge."""

from __future__ import annotations

from collections import Counter
from typing import Any

from relkit import records as log
from relkit.errors import GateError
from relkit.held import Held
from relkit.policy import MANAGER
from relkit.standing import Proposal
from relkit.step import Step
from relkit.values import Request, Testimony

EVIDENCE = "evidence: "
"""What the waits of manual steps begin with."""


class Deciding(Held):
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
        roles = self.world.policy.roles(step.gate)
        if not self._asked(proposal, roles):  # asked twice is harmless, never asked is not
            self.world.people.ask(request=self._request(proposal, roles))
            self._record(log.Asked(step=step.name, digest=digest, roles=roles))
        self._take_answers(step, digest)
        made = proposal.progress.decisions
        counting = [one for one in made if one.digest == digest]
        counting = [one for one in counting if self.in_office(one.who, one.role)]
        return self.world.policy.missing(step.gate, counting)

    def decide(self, proposal: Proposal, verdict: str, who: str, role: str, reason: str) -> None:
        """Record a decision made in the notebook, on exactly this proposal.

        Raises `GateError`: ``NOT_AT_THE_NOTEBOOK``, ``NOT_IN_ROLE``, ``HANDED_OVER``,
        ``REASON_MISSING``, ``NO_GATE``.
        """
        if not proposal.undecided:
            raise GateError(
                f"{proposal.step.name} has nothing left to decide",
                code="NO_GATE",
                remedy="Look at its records: it has begun, has no gate, or nothing is in its plan.",
            )
        self.require_going()
        self.require_person(who, role, reason)
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
        """Record that a failed check of this proposal is accepted, or that a wait is given up.

        `check` is the name of the check, or what is awaited. Raises `GateError`:
        ``NOT_WAIVABLE``, ``NOT_IN_ROLE``, ``HANDED_OVER``, ``REASON_MISSING``.
        """
        waivable = proposal.waivable
        if check not in waivable or role not in self.world.policy.waivers:
            raise GateError(
                f"{check!r} cannot be waived by {role}",
                code="NOT_WAIVABLE",
                remedy=f"What can be waived here: {', '.join(waivable) or 'nothing'}.",
            )
        self.require_going()
        self.require_person(who, role, reason)
        waiver = log.Waived(
            step=proposal.step.name,
            digest=proposal.plan.digest,
            check=check,
            who=who,
            role=role,
            reason=reason.strip(),
        )
        self._record(waiver)

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
        self.world.policy.require_role(to, MANAGER)
        self._record(log.HandedOver(to=to, who=who, role=role, reason=reason.strip()))

    def testify(self, name: str, who: str, role: str, text: str) -> None:
        """Give evidence for a manual step that waits for it; what was given last counts.

        `name` is what follows ``evidence: `` in what is awaited. Raises `GateError`:
        ``NOT_ASKED``, ``NOT_IN_ROLE``, ``REASON_MISSING``.
        """
        self.require_going()
        step, whom = self._awaiting(name)
        self.world.policy.require_role(who, role)
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

    def _asked(self, proposal: Proposal, roles: tuple[str, ...]) -> bool:
        """Tell whether everybody was asked about this plan who speaks for these roles now."""
        if MANAGER not in roles or proposal.plan.digest not in proposal.progress.asked:
            return proposal.plan.digest in proposal.progress.asked
        for record in reversed(self.ledger.records):
            match record.entry:
                case log.HandedOver():
                    return False
                case log.Asked(step=step, digest=digest) if step == proposal.step.name:
                    if digest == proposal.plan.digest:
                        return True
        return False

    def _request(self, proposal: Proposal, roles: tuple[str, ...]) -> Request:
        return Request(
            release=self.release.name,
            revision=self.revision,
            step=proposal.step.name,
            nonce=self.inputs.nonce,
            plan=proposal.plan.decided,
            digest=proposal.plan.digest,
            roles=roles,
            manager=self.handed_over.to if self.handed_over else "",
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
            if self.in_office(answer.who, answer.role):
                self._record(decision)
            else:  # it lies where it came, and must not stop the one who is in office now
                self.observe(f"{answer.who} handed this run over: the answer does not count")
