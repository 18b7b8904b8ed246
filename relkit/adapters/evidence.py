"""Evidence for manual steps: the message that asks for it, and what is given.

It is ``evidence/NAME.NUMBER-DIGEST.json``, in the order it came; NAME is also that of the message.
The digest keeps two people from choosing one name at the same time. Nothing of it is signed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from relkit.adapters.value_files import locked, read_value, safe_name, write_value
from relkit.errors import WorldError
from relkit.values import Person, Testimony, Value, digest_of

ASKED = "evidence: "
"""How the subject of a message begins that asks for evidence; its name follows."""
FORM = "Answer in this form: "
NUMBER = re.compile(r"(\d{4})(-[0-9a-f]{8})?\.json", flags=re.ASCII)
LAST_NUMBER = 9999
MAX_BYTES = 1 << 17


class Message(Value):
    """A message as it lies in the outbox."""

    nonce: str
    subject: str
    text: str
    roles: tuple[str, ...]


def require_same(there: Value, given: Value, name: str) -> None:
    """Raise `WorldError` (``SENT_DIFFERENTLY``) unless what was sent is what is to be sent."""
    if there != given:
        raise WorldError(
            f"{name} was sent before with other contents; this was not sent",
            code="SENT_DIFFERENTLY",
            remedy="Nothing is sent twice under one name; begin a new run in a new world.",
        )


def asked_for(message: Path, role: str) -> str:
    """Return the name of the evidence that a message, given as its file, asks of a role.

    Raises `WorldError`: ``NOT_ASKED``, ``STATE_UNREADABLE``.
    """
    mine = "Name the file of the message that asked you for it."
    asked = read_value(message, Message, mine)
    if asked.subject != f"{ASKED}{message.stem}" or asked.nonce != message.stem:
        raise WorldError(
            f"{message.name} asks for no evidence, it is about {asked.subject}",
            code="NOT_ASKED",
            remedy=mine,
        )
    if role not in asked.roles:
        raise WorldError(
            f"{message.name} asks {', '.join(asked.roles) or 'nobody'}, not {role}",
            code="NOT_ASKED",
            remedy="Let somebody in one of these roles give it.",
        )
    return asked.nonce


def require_words(given: Testimony) -> None:
    """Raise `WorldError` (``EVIDENCE_INVALID``) for evidence that says nothing."""
    if not given.text.strip():
        raise no_evidence(f"{given.name} has no words")


def require_known(given: Testimony, roster: Iterable[Person]) -> None:
    """Raise `WorldError` (``EVIDENCE_FOREIGN``, ``EVIDENCE_INVALID``) for what nobody may say."""
    if (given.who, given.role) not in {(one.name, one.role) for one in roster}:
        raise WorldError(
            f"{given.name} is said by {given.who}, who is not {given.role} in this world",
            code="EVIDENCE_FOREIGN",
            remedy="Let somebody in the role that is asked give it: what comes last counts.",
        )
    require_words(given)


def require_about(given: Testimony, name: str, file: str) -> None:
    """Raise `WorldError` (``EVIDENCE_INVALID``) for evidence that lies under another name."""
    if given.name != name:
        raise no_evidence(f"{file} is about {given.name}")


def add_testimony(folder: Path, given: Testimony) -> None:
    """Keep evidence in a folder, after what was given before; the same again changes nothing."""
    first = folder / f"{safe_name(given.name)}.0001.json"
    with locked(first):
        files = testimonies(folder, given.name)
        if not files or read_value(files[-1], Testimony) != given:
            name = next_name([one.name for one in files], given)
            write_value(folder / name, given, new=True)


def testimonies(folder: Path, name: str) -> list[Path]:
    """Return the files with evidence of a name, numbered in the order they came."""
    there = (one.name for one in folder.glob("*.json"))
    return [folder / one for one in named(there, name)]


def named(files: Iterable[str], name: str) -> list[str]:
    """Return those names of files that have evidence of a name, in the order it came."""
    safe_name(name)
    mine = (one for one in files if one.startswith(f"{name}."))
    return sorted(one for one in mine if NUMBER.fullmatch(one.removeprefix(f"{name}.")))


def next_name(files: list[str], given: Testimony) -> str:
    """Return the name of the file for one more, after those which are there.

    Raises `WorldError` (``EVIDENCE_FULL``).
    """
    last = NUMBER.search(files[-1]) if files else None
    number = int(last[1]) + 1 if last else 1
    if number > LAST_NUMBER:
        raise WorldError(
            f"{files[-1]} has the last number that there is for evidence",
            code="EVIDENCE_FULL",
            remedy="See who put it there, and take it away.",
        )
    return f"{given.name}.{number:04}-{digest_of(given.to_data())[:8]}.json"


def read_testimony(data: bytes, file: str) -> Testimony:
    """Return the evidence in a file that somebody put there (``EVIDENCE_INVALID``)."""
    try:
        if len(data) <= MAX_BYTES:
            return Testimony.model_validate_json(data)
    except (ValidationError, RecursionError) as error:
        raise no_evidence(f"{file}: {str(error).splitlines()[0]}") from error
    raise no_evidence(f"{file} has more than {MAX_BYTES} bytes")


def no_evidence(why: str) -> WorldError:
    """Return the refusal of what is there or given as evidence."""
    return WorldError(
        f"this is no evidence: {why}",
        code="EVIDENCE_INVALID",
        remedy="Let somebody in the role that is asked give it.",
    )
