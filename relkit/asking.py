"""What is asked of people in a run, and which of the answers that lie there count."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from relkit import records as log
from relkit.decision import Decision, Verdict
from relkit.errors import GateError
from relkit.held import Held
from relkit.standing import Proposal
from relkit.step import Step
from relkit.values import Request, Signed, digest_of

Last = dict[tuple[str, str], tuple[datetime, Verdict]]
"""The last recorded word of each person in a role: when it was made, and what it says."""
MAX_REFUSALS = 50
"""So many refused answers to one request are named."""


class Asking(Held):
    """The part of a run that puts requests and takes in answers."""

    def _roles(self, step: Step[Any]) -> tuple[str, ...]:
        return self.policy.roles(step.gate or "", self.release.kind)

    def _put(self, proposal: Proposal, waives: str = "") -> list[Request]:
        """Put the request for a plan, or for a waiver, where people find it.

        Returns all that were put for it, the newest last: it is put anew after a hand-over, and
        when nobody's answer would be taken any more. Recorded first, and then put: putting it
        again is harmless.
        """
        *before, wanted = self._requests(proposal, waives)
        if wanted.head == self.ledger.head:  # nobody was asked for this yet
            entry = log.Asked(
                step=wanted.step,
                digest=wanted.digest,
                roles=wanted.roles,
                head=wanted.head,
                expires=wanted.expires,
                waives=waives,
                manager=wanted.manager,
            )
            self._record(entry)
        self.world.people.ask(request=wanted)
        return [*before, wanted]

    def _requests(self, proposal: Proposal, waives: str = "") -> list[Request]:
        """Return what was asked about a plan, or for a waiver, the newest last.

        If nobody was asked yet, or nobody's answer would be taken any more, the last one is what
        would be asked now.
        """
        step = proposal.step
        roles = self.policy.waivers if waives else self._roles(step)
        now = self.request(step.name, proposal.plan.decided, roles, waives)
        asked = [
            now.model_copy(
                update={"head": one.head, "expires": one.expires, "manager": one.manager}
            )
            for one in self._progress[step.name].asked
            if (one.digest, one.waives) == (now.digest, waives)
        ]
        stale = not asked or asked[-1].manager != now.manager or asked[-1].expires < self.now()
        return [*asked, now] if stale else asked

    def _answers(
        self, step: Step[Any], requests: list[Request], last: Last
    ) -> Iterator[tuple[Decision, Signed]]:
        """Yield the answers that count and are not recorded yet, in the order they were made.

        `last` is what is recorded as each one's last word. Of two words of one second a rejection
        is the later one, in whatever order they lie there. Who handed the run over counts no
        more. What is no answer to the request is named, and does not stop the others.
        """
        progress = self._progress[step.name]
        known = {one.signed for one in progress.decisions}
        known |= {one.signed for one in progress.waivers}
        found = []
        refused = self._refused[step.name, requests[-1].waives] = []
        for signed in self.world.people.answers(key=requests[-1].key):
            if signed in known:
                continue
            try:
                decision = self._counting(signed, requests)
                _require_newer(decision, last)
            except GateError as refusal:
                if len(refused) < MAX_REFUSALS:
                    self.observe(str(refusal))
                    refused.append(refusal)
                continue
            if self.in_office(decision.who, decision.role):
                found.append((decision, signed))
            else:  # it lies where it came, and must not stop the one who is in office now
                self.observe(f"{decision.who} handed this run over: the answer does not count")
        yield from sorted(found, key=lambda one: (one[0].at, one[0].verdict == "reject"))

    def _counting(self, signed: Signed, requests: list[Request]) -> Decision:
        """Do what `check` does; a forged signature is verified once, however often it is met.

        Whoever can write where answers lie could otherwise keep every look at them busy.
        """
        key = digest_of(signed.to_data())
        if key in self._forged:
            raise self._forged[key]
        try:
            return self.check(signed, requests)
        except GateError as refusal:
            if refusal.code == "APPROVAL_SIGNATURE":
                self._forged[key] = refusal
            raise


def _require_newer(decision: Decision, last: Last) -> None:
    """Refuse an answer that is older than what the same person said last."""
    made, verdict = last.get((decision.who, decision.role), (decision.at, "approve"))
    if (made, verdict == "reject") > (decision.at, decision.verdict == "reject"):
        raise GateError(
            f"the answer of {decision.who} ({decision.role}) does not count: it is of "
            f"{decision.at:%Y-%m-%d %H:%M:%S} UTC, a later one of "
            f"{made:%Y-%m-%d %H:%M:%S} UTC is recorded",
            code="APPROVAL_REPLAYED",
            remedy="Ask that person; who decides anew makes a new answer.",
        )
