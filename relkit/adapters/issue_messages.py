"""Messages to people as issues of GitHub, each sent once.

An issue is found again by its label and by a line of its text, ``relkit-message: NONCE``. The
words stand in a code block, each line after a bar: there GitHub mentions nobody, renders nothing
and closes no issue, and no line begins with what robots take for a command. Mentioned are those
of the roster whose names on GitHub the world has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ValidationError

from relkit.adapters.evidence import Message
from relkit.adapters.rest import Answer, Rest, UnknownStateError
from relkit.adapters.value_files import read_value, safe_name, write_value
from relkit.errors import UsageError, WorldError
from relkit.values import Person, Value

LABEL = "relkit-message"
MARK = "relkit-message: "
SETTLED = timedelta(seconds=90)
"""After so long an issue that GitHub has made is in its lists."""
PER_PAGE, MOST_PAGES = 100, 20
LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})")
REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,60}/[A-Za-z0-9_.-]{1,90}")
LONGEST_TITLE = 200
LONGEST = 60_000
"""GitHub takes 65,536 characters."""


class Sent(Value):
    """What is known of a message on this machine; `number` 0: it was begun to be sent `at`."""

    number: int
    at: datetime


class _Label(BaseModel):
    name: str


class _Issue(BaseModel):
    number: int
    body: str | None = None
    labels: tuple[_Label, ...] = ()
    pull_request: object = None


class IssueMessages:
    """Messages in the issues of a repository of GitHub.

    `folder` keeps what was sent from here. `mentions` has people's names on GitHub, by the names
    in the policy.
    """

    def __init__(
        self,
        rest: Rest,
        *,
        repository: str,
        folder: Path,
        mentions: Mapping[str, str] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._mentions = dict(mentions or {})
        wrong = [one for one in self._mentions.values() if not LOGIN.fullmatch(one)]
        if wrong or not REPOSITORY.fullmatch(repository):
            raise UsageError(
                f"{(wrong or [repository])[0]!a} is no name on GitHub",
                code="BAD_NAME",
                remedy="Correct it in the world's file.",
            )
        self._rest = rest
        self._path = f"repos/{repository}/issues"
        self._folder = folder
        self._now = now

    def tell(self, message: Message, people: Iterable[Person]) -> None:
        """Send a message, unless it was sent.

        Raises `UnknownStateError`, `WorldError` (``MESSAGE_PENDING``, ``MESSAGE_UNLABELLED``) and
        what `Rest` raises.
        """
        file = self._file(message.nonce)
        if self.told(message.nonce):
            return
        now = self._now()
        if file.exists() and abs(now - (begun := read_value(file, Sent).at)) < SETTLED:
            raise WorldError(
                f"the message {message.nonce} was begun to be sent at {begun:%H:%M:%S} UTC, and "
                f"GitHub does not show it: it may still do so until {begun + SETTLED:%H:%M:%S}",
                code="MESSAGE_PENDING",
                remedy="Run this again after that time; it looks first.",
            )
        write_value(file, Sent(number=0, at=now))
        fields = {
            "title": _title(message.subject),
            "body": self._body(message, people),
            "labels": [LABEL],
        }
        try:
            made = self._one(self._rest.write("POST", self._path, fields))
        except UnknownStateError:
            raise
        except WorldError:
            file.unlink()  # clearly refused: nothing to wait for
            raise
        write_value(file, Sent(number=made.number, at=now))
        if LABEL not in {one.name for one in made.labels}:
            raise WorldError(
                f"the message {message.nonce} is issue #{made.number}, without its label {LABEL}",
                code="MESSAGE_UNLABELLED",
                remedy=f"Give it the label {LABEL}, and the token the right to label issues there.",
            )

    def told(self, nonce: str) -> bool:
        """Tell whether a message was sent, as GitHub shows it now.

        Raises `WorldError`: ``MESSAGE_MISSING`` where one that was sent is not there,
        ``MESSAGES_TOO_MANY``, and what `Rest` raises.
        """
        file = self._file(nonce)
        if file.exists() and (number := read_value(file, Sent).number):
            found = self._rest.find(f"{self._path}/{number}")
            if found is not None and _is(self._one(found), nonce):
                return True
            raise WorldError(
                f"the message {nonce} was sent as issue #{number}, which is not there or is "
                "another one now",
                code="MESSAGE_MISSING",
                remedy="Look for it on GitHub; if somebody deleted it, tell people by yourself, "
                f"and restore the line {MARK}{nonce} in it.",
            )
        if number := self._found(nonce):
            write_value(file, Sent(number=number, at=self._now()))
        return bool(number)

    def _found(self, nonce: str) -> int:
        for page in range(1, MOST_PAGES + 1):
            query = {"labels": LABEL, "state": "all", "per_page": str(PER_PAGE)}
            answer = self._rest.get(self._path, {**query, "page": str(page)})
            try:
                rows = [_Issue.model_validate(one) for one in _list(answer.value)]
            except (TypeError, ValidationError) as error:
                raise self._rest.unreadable(answer.said) from error
            for one in rows:
                if _is(one, nonce):
                    return one.number
            if len(rows) < PER_PAGE:
                return 0
        raise WorldError(
            f"there are more than {MOST_PAGES * PER_PAGE} issues with the label {LABEL}",
            code="MESSAGES_TOO_MANY",
            remedy="Take the label off those of releases that are done.",
        )

    def _one(self, answer: Answer) -> _Issue:
        try:
            return _Issue.model_validate(answer.value)
        except ValidationError as error:
            raise self._rest.unknown(answer.said) from error

    def _body(self, message: Message, people: Iterable[Person]) -> str:
        known = tuple(people)
        mentioned = [f"@{self._mentions[one.name]}" for one in known if one.name in self._mentions]
        to = ", ".join(f"{one.name} ({one.role})" for one in known) or ", ".join(message.roles)
        words = f"To: {to}\nAbout: {message.subject}\n\n{message.text}"
        shown = "".join(one if one.isprintable() or one == "\n" else " " for one in words)
        fence = "`" * (1 + max([2, *(len(run) for run in re.findall("`+", shown))]))
        lines = [f"| {line}".rstrip() for line in shown[:LONGEST].split("\n")]
        head = f"{MARK}{message.nonce}\n\n"
        tail = f"\n\n{' '.join(dict.fromkeys(mentioned))}" if mentioned else ""
        return "\n".join([f"{head}{fence}text", *lines, f"{fence}{tail}"]) + "\n"

    def _file(self, nonce: str) -> Path:
        return self._folder / f"{safe_name(nonce)}.json"


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(type(value).__name__)
    return value


def _is(issue: _Issue, nonce: str) -> bool:
    """Tell whether an issue is the message: its first line says so."""
    first = (issue.body or "").split("\n", 1)[0].rstrip("\r")
    return issue.pull_request is None and first == f"{MARK}{nonce}"


def _title(subject: str) -> str:
    line = " ".join("".join(one if one.isprintable() else " " for one in subject).split())
    return f"relkit: {line[:LONGEST_TITLE]}"
