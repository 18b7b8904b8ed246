"""The people of a rehearsal: an outbox, requests, and answers, each a file of its own.

Requests and answers lie in ``requests`` (`relkit.adapters.meeting`). Evidence for manual steps is
in ``evidence`` (`relkit.adapters.evidence`); who gives it anew adds another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from relkit.adapters.drafts import require_text
from relkit.adapters.evidence import (
    ASKED,
    FORM,
    Message,
    add_testimony,
    require_about,
    require_known,
    require_same,
    testimonies,
)
from relkit.adapters.meeting import Meeting, add_answer
from relkit.adapters.value_files import read_value, safe_name, write_value
from relkit.decision import Decision, Verdict, decision_text, read_decision
from relkit.errors import GateError
from relkit.policy import MANAGER
from relkit.values import Person, Request, Signed, Testimony, digest_of

Hook = Callable[[str, str], None]


class Sign(Protocol):
    """Signs a text as one of the people of the rehearsal."""

    def __call__(self, *, who: str, text: str) -> Signed:
        """Return the text with that person's signature."""


class RehearsalPeople:
    """The form of the port `People` on folders: ``outbox``, ``requests``, ``evidence``.

    The people in `automatic` roles look at a request at once and answer it, and give evidence
    when asked for it, just as the message shows it. `hooks` say what a person in a role does when
    told something: they get subject and text, and are called before the message counts as sent,
    so after a kill perhaps once more. `done` is called with name and text of the evidence that
    an automatic person gives, and of what anybody else does: it does what is said to be done.
    `sign` signs as one of them; nobody is automatic without it.
    """

    def __init__(  # noqa: PLR0913 (what the rehearsal plays)
        self,
        *,
        folder: Path,
        roster: tuple[Person, ...],
        automatic: tuple[str, ...] = (),
        hooks: Mapping[str, Hook] | None = None,
        done: Hook = lambda _name, _text: None,
        sign: Sign | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC).replace(microsecond=0),
    ) -> None:
        self._evidence = folder / "evidence"
        self._done = done
        self._outbox = folder / "outbox"
        self._meeting = Meeting(folder / "requests")
        self._sign = sign
        self._now = now
        self._roster = roster
        self._automatic = frozenset(automatic)
        self._hooks = hooks or {}

    def roster(self) -> tuple[Person, ...]:
        """Return everybody with a role."""
        return self._roster

    def tell(self, *, nonce: str, subject: str, text: str, roles: tuple[str, ...]) -> None:
        """Send a message; `nonce` makes it findable."""
        for one in (subject, text, *roles):
            require_text(one)
        message = Message(nonce=nonce, subject=subject, text=text, roles=roles)
        if self.told(nonce=nonce):
            require_same(read_value(self._message(nonce), Message), message, nonce)
            return
        for role in roles:
            if role in self._hooks:
                self._hooks[role](subject, text)
        if subject.startswith(ASKED):
            self._give_evidence(subject.removeprefix(ASKED), text, roles)
        write_value(self._message(nonce), message)

    def told(self, *, nonce: str) -> bool:
        """Tell whether the message with this nonce was sent."""
        return self._message(nonce).exists()

    def ask(self, *, request: Request) -> None:
        """Put a request where those who decide find it; automatic people answer it now.

        After a hand-over it is put anew, and the release manager in office answers it.
        """
        self._meeting.put(request)
        made = [_said(one) for one in self.answers(key=request.key)]
        answered = {(one.who, one.role) for one in made if one and self._counts(one, request)}
        for person in self._first(self._automatic & set(request.roles), request.manager):
            if (person.name, person.role) not in answered:
                self._answer(request, person)

    def _counts(self, said: Decision, request: Request) -> bool:
        """Tell whether an answer is to this request, or one before it about the same plan."""
        same = (said.revision, said.nonce) == (request.revision, request.nonce)
        return same and said.expires >= self._now()

    def _answer(self, request: Request, person: Person) -> None:
        """Answer as a rehearsal person: approve what is what it says, reject anything else."""
        same = digest_of(request.plan) == request.digest
        verdict: Verdict = "approve" if same else "reject"
        reason = "looked at in a rehearsal" if same else "the plan has another digest"
        text = decision_text(
            request,
            who=person.name,
            role=person.role,
            verdict=verdict,
            reason=reason,
            at=self._now(),
        )
        if self._sign is not None:
            signed = self._sign(who=person.name, text=text)
            add_answer(self._meeting.path(request.key), signed)

    def testimony(self, *, name: str) -> Testimony | None:
        """Return what was given last as evidence for a manual step.

        Raises `WorldError`: ``EVIDENCE_INVALID`` if somebody put another thing there,
        ``EVIDENCE_FOREIGN`` if it is said by somebody who is not in that role.
        """
        files = testimonies(self._evidence, name)
        if not files:
            return None
        given = read_value(files[-1], Testimony)
        require_known(given, self._roster)
        require_about(given, name, files[-1].name)
        return given

    def testify(self, *, testimony: Testimony) -> None:
        """Keep what a person gives as evidence; saying the same thing again changes nothing.

        Raises `WorldError`: ``EVIDENCE_FOREIGN`` for somebody who is not in the role,
        ``EVIDENCE_INVALID`` for no words.
        """
        require_known(testimony, self._roster)
        require_text(testimony.text)
        if testimony.role not in self._automatic:
            self._done(testimony.name, testimony.text)
        add_testimony(self._evidence, testimony)

    def _give_evidence(self, name: str, text: str, roles: tuple[str, ...]) -> None:
        """Have an automatic person do what is asked for and say so, in the form that is shown."""
        words = text.partition(FORM)[2].removesuffix("\n")
        for person in self._first(self._automatic & set(roles)):
            if words.strip() and self.testimony(name=name) is None:
                self._done(name, words)
                self.testify(
                    testimony=Testimony(name=name, who=person.name, role=person.role, text=words)
                )

    def _first(self, roles: frozenset[str], manager: str = "") -> tuple[Person, ...]:
        """Return the first person of the roster in each of some roles.

        Of the release managers it is the one named `manager`, if one is.
        """
        able = [one for one in reversed(self._roster) if one.role in roles]
        able += [one for one in able if (one.name, one.role) == (manager, MANAGER)]
        return tuple({one.role: one for one in able}.values())

    def answers(self, *, key: str) -> tuple[Signed, ...]:
        """Return the answers to a request, by its key, in the order they came."""
        return self._meeting.answers(key)

    def _message(self, nonce: str) -> Path:
        return self._outbox / f"{safe_name(nonce)}.json"


def _said(signed: Signed) -> Decision | None:
    """Return what somebody says, or what claims to be that; None if it says nothing."""
    try:
        return read_decision(signed.text)
    except GateError:
        return None
