"""The people of a release, who meet in a git repository.

On one branch of it lie, each a file of its own that is only ever added:

* ``requests/KEY.json``, and the answers to it beside it (`relkit.adapters.meeting`);
* ``messages/NONCE.json``, what people were told (issues of GitHub tell them, too, if there are);
* ``evidence/NAME.NUMBER-DIGEST.json`` (`relkit.adapters.evidence`).

Everything is read afresh from there, and added on top of what is there: two who add at once do not
meet, and what was cut off is added when it is run again. Whoever may push there is believed for
nothing but signatures; evidence has none, and is shown as that.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from pydantic import ValidationError

from relkit.adapters.drafts import require_text
from relkit.adapters.evidence import (
    Message,
    named,
    next_name,
    read_testimony,
    require_about,
    require_known,
    require_same,
)
from relkit.adapters.git_command import Identity
from relkit.adapters.git_file import Branch, Tree
from relkit.adapters.issue_messages import IssueMessages
from relkit.adapters.meeting import MAX_ANSWER_BYTES, Meeting, require_few
from relkit.adapters.value_files import NAME, safe_name
from relkit.errors import WorldError
from relkit.values import Person, Request, Signed, Testimony, Value

REQUESTS, MESSAGES, EVIDENCE = "requests", "messages", "evidence"


class MeetingPeople:
    """The form of the port `People` on a branch of a git repository.

    `roster` is the policy's, `who` makes the commits. `issues` tells people what they are told;
    without it they find it in the repository alone.
    """

    def __init__(
        self,
        *,
        meeting: Branch,
        roster: tuple[Person, ...],
        who: Identity,
        issues: IssueMessages | None = None,
    ) -> None:
        self._meeting = meeting
        self._roster = roster
        self._who = who
        self._issues = issues

    def roster(self) -> tuple[Person, ...]:
        """Return everybody with a role."""
        return self._roster

    def tell(self, *, nonce: str, subject: str, text: str, roles: tuple[str, ...]) -> None:
        """Send a message; `nonce` makes it findable. It is never sent twice.

        Raises `WorldError`: ``SENT_DIFFERENTLY``, ``MESSAGE_PENDING``, and those of the network.
        """
        for one in (subject, text, *roles):
            require_text(one)
        message = Message(nonce=nonce, subject=subject, text=text, roles=roles)
        path = _message(nonce)

        def edited(tree: Tree) -> dict[str, bytes]:
            if (there := tree.get(path)) is None:
                return {path: _bytes(message)}
            require_same(_read_message(there, path), message, nonce)
            return {}

        self._meeting.commit(edited, f"Message {nonce}", self._who)
        if self._issues is not None:
            people = tuple(one for one in self._roster if one.role in roles)
            self._issues.tell(message, people)

    def told(self, *, nonce: str) -> bool:
        """Tell whether the message with this nonce was sent."""
        path = _message(nonce)
        if self._meeting.read(path) is None:
            return False
        return self._issues is None or self._issues.told(nonce)

    def ask(self, *, request: Request) -> None:
        """Put a request where those who decide find it."""
        path = f"{REQUESTS}/{request.key}.json"
        commit = f"Ask {request.key[:12]}"
        self._meeting.commit(lambda _: {path: _bytes(request)}, commit, self._who)

    def answers(self, *, key: str) -> tuple[Signed, ...]:
        """Return the answers to a request, by its key, in the order they came, unchecked.

        Raises `WorldError` (``ANSWERS_TOO_MANY``), and those of the network.
        """
        begins, own = f"{safe_name(key)}.", f"{key}.json"

        def fitting(names: list[str]) -> list[str]:
            answers = (one for one in names if one.startswith(begins) and one.endswith(".json"))
            return require_few([one for one in answers if one != own], key)

        found = self._meeting.files(REQUESTS, fitting, MAX_ANSWER_BYTES)
        with tempfile.TemporaryDirectory(prefix="relkit-") as folder:
            for number, (name, content) in enumerate(found.items()):
                plain = name if NAME.fullmatch(name) else f"{key}.unnamed-{number}.json"
                (Path(folder) / plain).write_bytes(content)
            return Meeting(Path(folder)).answers(key)

    def testimony(self, *, name: str) -> Testimony | None:
        """Return what was given last as evidence for a manual step.

        Raises `WorldError`: ``EVIDENCE_INVALID`` if somebody put another thing there,
        ``EVIDENCE_FOREIGN`` if it is said by somebody who is not in that role.
        """
        safe_name(name)
        found = self._meeting.files(EVIDENCE, lambda files: named(files, name)[-1:])
        if not found:
            return None
        [last] = found
        given = read_testimony(found[last], last)
        require_known(given, self._roster)
        require_about(given, name, last)
        return given

    def testify(self, *, testimony: Testimony) -> None:
        """Keep what a person gives as evidence; saying the same thing again changes nothing.

        Raises `WorldError`: ``EVIDENCE_FOREIGN``, ``EVIDENCE_INVALID``, and those of the network.
        """
        require_known(testimony, self._roster)
        require_text(testimony.text)
        safe_name(testimony.name)

        def edited(tree: Tree) -> dict[str, bytes]:
            last = tree.below(EVIDENCE, lambda files: named(files, testimony.name)[-1:])
            if _bytes(testimony) in last.values():
                return {}
            return {f"{EVIDENCE}/{next_name([*last], testimony)}": _bytes(testimony)}

        self._meeting.commit(edited, f"Evidence {testimony.name}", self._who)


def _message(nonce: str) -> str:
    return f"{MESSAGES}/{safe_name(nonce)}.json"


def _bytes(value: Value) -> bytes:
    return value.model_dump_json(indent=2).encode() + b"\n"


def _read_message(data: bytes, path: str) -> Message:
    try:
        return Message.model_validate_json(data)
    except (ValidationError, RecursionError) as error:
        raise WorldError(
            f"{path} of the meeting place is no message: {str(error).splitlines()[0]}",
            code="STATE_UNREADABLE",
            remedy="See who put it there, and take it away.",
        ) from error
