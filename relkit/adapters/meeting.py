"""Where requests and answers meet: one folder, which everybody can read and add to.

A request is ``KEY.json``; what else is named ``KEY.*.json`` is taken for an answer to it. Answers
are only ever added, under names that two people never both choose, so that git merges them. The
folder may be shared in any way, such as a git repository that each one pulls and pushes: what lies
there is believed for its signatures alone.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from relkit.adapters.value_files import safe_name, write_value
from relkit.decision import Decision, read_decision
from relkit.errors import GateError, WorldError
from relkit.values import Request, Signed, digest_of

T = TypeVar("T")
MAX_BYTES = 4 << 20
"""More than a request or an answer ever has."""
MAX_ANSWER_BYTES = 1 << 17
MAX_ANSWERS = 5_000
"""So many files are looked at for one request: people give few, the others cost little each."""
MAX_JUNK = 20
"""So many of the files that are no answers are named; the others are counted."""


class Meeting:
    """Requests and answers in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, key: str) -> Path:
        """Return the file of a request."""
        return self._folder / f"{safe_name(key)}.json"

    def put(self, request: Request) -> None:
        """Put a request in place of whatever lies there; the same again changes nothing."""
        path = self.path(request.key)
        try:
            there = _request(path)
        except WorldError:
            there = None
        if there != request:
            write_value(path, request)

    def answers(self, key: str) -> tuple[Signed, ...]:
        """Return the answers to a request, and then what is none, which has no signature.

        What is none says what it is, as far as it is not too much; it stops nobody. Raises
        `WorldError` (``ANSWERS_TOO_MANY``).
        """
        found = [_answer(file) for file in require_few(answer_files(self.path(key)), key)]
        junk = [one for one in found if not one.signature]
        if more := len(junk[MAX_JUNK:]):
            junk[MAX_JUNK:] = [_none(f"{more} more files are no answers")]
        return (*(one for one in found if one.signature), *junk)


def require_few(answers: list[T], key: str) -> list[T]:
    """Return the answers to a request, unless nobody can have given so many."""
    if len(answers) > MAX_ANSWERS:
        raise WorldError(
            f"there are {len(answers)} answers to {key}, more than {MAX_ANSWERS}",
            code="ANSWERS_TOO_MANY",
            remedy="Find out who put them there, and move them away.",
        )
    return answers


def answer_files(request: Path) -> list[Path]:
    """Return what lies beside a request as answers to it, in order of name."""
    return sorted(request.parent.glob(f"{safe_name(request.stem)}.*.json"))


def add_answer(request: Path, signed: Signed) -> Path:
    """Keep an answer beside its request; return its file. The same again changes nothing.

    It is named by the time it states and its digest, ``KEY.20261121T093000Z-DIGEST.json``.
    """
    said = read_decision(signed.text)
    name = f"{request.stem}.{said.at:%Y%m%dT%H%M%SZ}-{digest_of(signed.to_data())[:16]}.json"
    path = request.with_name(safe_name(name))
    try:
        write_value(path, signed, new=True)
    except FileExistsError:
        write_value(path, signed)
    return path


def said_before(request: Path, who: str, role: str) -> tuple[Decision, ...]:
    """Return what lies there as said by a person in a role, whoever said it."""
    found = []
    for file in answer_files(request):
        try:
            said = read_decision(_answer(file).text)
        except GateError:
            continue
        if (said.who, said.role) == (who, role):
            found.append(said)
    return tuple(found)


def read_request(path: Path) -> Request:
    """Return a request whose plan has the digest it names, and that lies under its own name.

    Raises `WorldError`: ``STATE_UNREADABLE``, ``REQUEST_ALTERED``.
    """
    asked = _request(path)
    if (found := digest_of(asked.plan)) != asked.digest:
        raise WorldError(
            f"the plan in {path.name} has the digest {found}, the request is for {asked.digest}",
            code="REQUEST_ALTERED",
            remedy="Do not approve it; tell the release manager.",
        )
    if (asked.step, asked.revision) != (asked.plan.get("step"), asked.plan.get("revision")):
        raise WorldError(
            f"the plan in {path.name} is one of {asked.plan.get('step')!a}, revision "
            f"{asked.plan.get('revision')!a}; the request says {asked.step!a}, {asked.revision}",
            code="REQUEST_ALTERED",
            remedy="Do not approve it; tell the release manager.",
        )
    return asked


def _request(path: Path) -> Request:
    try:
        return Request.model_validate_json(read_bounded(path))
    except (OSError, ValueError, RecursionError) as error:
        raise WorldError(
            f"{path.name} is not a readable Request: {_why(error)}",
            code="STATE_UNREADABLE",
            remedy="Name the file of the request, as the release manager's run has put it: the "
            "plan's digest and .json. Longer names beside it are answers.",
        ) from error


def _answer(file: Path) -> Signed:
    """Return what a file holds as an answer; anything else is named, in an answer that is none."""
    try:
        return Signed.model_validate_json(read_bounded(file, min(MAX_ANSWER_BYTES, MAX_BYTES)))
    except (OSError, ValueError, RecursionError) as error:
        return _none(f"{file.name} is no answer: {_why(error)}")


def _none(words: str) -> Signed:
    return Signed(scheme="ssh", text=words, signature="")


def read_bounded(path: Path, limit: int | None = None) -> bytes:
    """Return what is in a plain file of at most so many bytes; follow no link, wait for nobody.

    The limit is `MAX_BYTES` unless it is given.
    Raises `OSError`, or `ValueError` for what is no plain file, or too large.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no plain file")
        most = MAX_BYTES if limit is None else limit
        if found.st_size > most:
            raise ValueError(f"it has {found.st_size} bytes, more than {most}")
        return file.read(most)


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))} {first['msg']}".strip()
    return error.strerror or "" if isinstance(error, OSError) else str(error)
