"""The people of a rehearsal: an outbox, requests, and answers, each a file of its own.

A request is ``requests/DIGEST.json``, its answers are ``requests/DIGEST.NUMBER.ROLE.json`` in the
order they came. Answers are only added: who decides anew adds another one. So it is with the
evidence for manual steps, ``evidence/NAME.NUMBER.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from relkit.errors import WorldError
from relkit.policy import MANAGER
from relkit.rehearsal.evidence import (
    ASKED,
    FORM,
    Message,
    add_testimony,
    no_evidence,
    require_words,
    testimonies,
)
from relkit.rehearsal.state import locked, read_value, safe_name, write_value
from relkit.values import Answer, Person, Request, Testimony, Value, digest_of

Verdict = Literal["approve", "reject"]
Hook = Callable[[str, str], None]


class RehearsalPeople:
    """The form of the port `People` on folders: ``outbox``, ``requests``, ``evidence``.

    The people in `automatic` roles look at a request at once and answer it, and give evidence
    when asked for it, just as the message shows it. `hooks` say what a person in a role does when
    told something: they get subject and text, and are called before the message counts as sent,
    so after a kill perhaps once more. `done` is called with name and text of the evidence that
    an automatic person gives, and of what anybody else does: it does what is said to be done.
    """

    def __init__(
        self,
        *,
        folder: Path,
        roster: tuple[Person, ...],
        automatic: tuple[str, ...] = (),
        hooks: Mapping[str, Hook] | None = None,
        done: Hook = lambda _name, _text: None,
    ) -> None:
        self._evidence = folder / "evidence"
        self._done = done
        self._outbox = folder / "outbox"
        self._requests = folder / "requests"
        self._roster = roster
        self._automatic = frozenset(automatic)
        self._hooks = hooks or {}

    def roster(self) -> tuple[Person, ...]:
        """Return everybody with a role."""
        return self._roster

    def tell(self, *, nonce: str, subject: str, text: str, roles: tuple[str, ...]) -> None:
        """Send a message; `nonce` makes it findable."""
        message = Message(nonce=nonce, subject=subject, text=text, roles=roles)
        if self.told(nonce=nonce):
            _require_same(read_value(self._message(nonce), Message), message, nonce)
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
        path = self._requests / f"{request.digest}.json"
        if path.exists():
            before = read_value(path, Request).model_copy(update={"manager": request.manager})
            _require_same(before, request, path.name)
        write_value(path, request)
        former = {MANAGER} if request.manager else set()
        answered = {
            one.role
            for one in self.answers(digest=request.digest)
            if one.role not in former or one.who == request.manager
        }
        playing = self._automatic & set(request.roles) - answered
        for person in self._first(playing, request.manager):
            _look_and_answer(path, person)

    def testimony(self, *, name: str) -> Testimony | None:
        """Return what was given last as evidence for a manual step.

        Raises `WorldError`: ``EVIDENCE_INVALID`` if somebody put another thing there,
        ``EVIDENCE_FOREIGN`` if it is said by somebody who is not in that role.
        """
        files = testimonies(self._evidence, name)
        if not files:
            return None
        given = read_value(files[-1], Testimony)
        self._require_known(given)
        if given.name != name:
            raise no_evidence(f"{files[-1].name} is about {given.name}")
        return given

    def testify(self, *, testimony: Testimony) -> None:
        """Keep what a person gives as evidence; saying the same thing again changes nothing.

        Raises `WorldError`: ``EVIDENCE_FOREIGN`` for somebody who is not in the role,
        ``EVIDENCE_INVALID`` for no words.
        """
        self._require_known(testimony)
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

    def _require_known(self, given: Testimony) -> None:
        if (given.who, given.role) not in {(one.name, one.role) for one in self._roster}:
            raise WorldError(
                f"{given.name} is said by {given.who}, who is not {given.role} in this world",
                code="EVIDENCE_FOREIGN",
                remedy="Let somebody in the role that is asked give it: what comes last counts.",
            )
        require_words(given)

    def answers(self, *, digest: str) -> tuple[Answer, ...]:
        """Return the answers to a request in the order they came.

        Raises `WorldError` (``ANSWER_INVALID``) if one is not an answer to it by its people.
        """
        path = self._requests / f"{safe_name(digest)}.json"
        if not path.exists():
            return ()
        request = read_value(path, Request)
        known = {(person.name, person.role) for person in self._roster}
        found = [(file, _read_answer(file)) for file in _answer_files(path)]
        for file, one in found:
            fits = (one.step, one.digest, one.nonce) == (request.step, digest, request.nonce)
            asked = one.role in request.roles and (one.who, one.role) in known
            if not (fits and asked and file.name.endswith(f".{one.role}.json")):
                raise _invalid(file, f"it is by {one.who} ({one.role}) for {one.step}")
        return tuple(one for _, one in found)

    def _message(self, nonce: str) -> Path:
        return self._outbox / f"{safe_name(nonce)}.json"


def answer(request: Path, who: str, role: str, verdict: Verdict, reason: str) -> None:
    """Answer a request, given as its file; saying the same thing again changes nothing.

    The plan in it is hashed anew: what is decided on is what the digest stands for. Raises
    `WorldError`: ``REQUEST_ALTERED``, ``STATE_UNREADABLE``, ``NOT_ASKED``.
    """
    asked = read_value(request, Request)
    if role not in asked.roles:
        raise WorldError(
            f"{asked.step} asks {', '.join(asked.roles) or 'nobody'}, not {role}",
            code="NOT_ASKED",
            remedy="Let somebody in one of these roles answer.",
        )
    if verdict == "approve" and (found := digest_of(asked.plan)) != asked.digest:
        raise WorldError(
            f"the plan in {request.name} has the digest {found}, the request is for {asked.digest}",
            code="REQUEST_ALTERED",
            remedy="Do not approve it; tell the release manager.",
        )
    given = Answer(
        step=asked.step,
        digest=asked.digest,
        nonce=asked.nonce,
        who=who,
        role=role,
        verdict=verdict,
        reason=reason,
    )
    with locked(request):
        _add_answer(request, given)


def _add_answer(request: Path, given: Answer) -> None:
    files = _answer_files(request)
    before = [one for one in map(_read_answer, files) if (one.who, one.role) == _by(given)]
    if not before or before[-1] != given:
        name = f"{request.stem}.{len(files) + 1:04}.{safe_name(given.role)}.json"
        write_value(request.with_name(name), given, new=True)


def _by(one: Answer) -> tuple[str, str]:
    return one.who, one.role


def _answer_files(request: Path) -> list[Path]:
    """Return the files with answers, numbered in the order they came."""
    return sorted(request.parent.glob(f"{request.stem}.*.json"))


def _read_answer(file: Path) -> Answer:
    try:
        return read_value(file, Answer)
    except WorldError as error:
        raise _invalid(file, "it is no answer at all") from error


def _look_and_answer(request: Path, person: Person) -> None:
    """Answer as a rehearsal person: approve what is what it says, reject anything else."""
    asked = read_value(request, Request)
    if digest_of(asked.plan) == asked.digest:
        answer(request, person.name, person.role, "approve", "looked at in a rehearsal")
    else:
        answer(request, person.name, person.role, "reject", "the plan has another digest")


def _invalid(file: Path, why: str) -> WorldError:
    return WorldError(
        f"{file.name} is not an answer to this request by its people: {why}",
        code="ANSWER_INVALID",
        remedy="Find out who put it there; move it away, then run this again.",
    )


def _require_same(there: Value, given: Value, name: str) -> None:
    if there != given:
        raise WorldError(
            f"{name} was sent before with other contents",
            code="SENT_DIFFERENTLY",
            remedy="Nothing is sent twice under one name; begin a new run in a new world.",
        )
