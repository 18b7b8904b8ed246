"""Evidence for manual steps in a rehearsal: the message that asks for it, and what is given.

It is ``evidence/NAME.NUMBER.json``, in the order it came; NAME is also that of the message.
"""

from __future__ import annotations

from pathlib import Path

from relkit.adapters.value_files import locked, read_value, safe_name, write_value
from relkit.errors import WorldError
from relkit.values import Testimony, Value

ASKED = "evidence: "
"""How the subject of a message begins that asks for evidence; its name follows."""
FORM = "Answer in this form: "


class Message(Value):
    """A message as it lies in the outbox."""

    nonce: str
    subject: str
    text: str
    roles: tuple[str, ...]


def asked_for(message: Path, role: str) -> str:
    """Return the name of the evidence that a message, given as its file, asks of a role.

    Raises `WorldError`: ``NOT_ASKED``, ``STATE_UNREADABLE``.
    """
    asked = read_value(message, Message)
    if asked.subject != f"{ASKED}{message.stem}" or asked.nonce != message.stem:
        raise WorldError(
            f"{message.name} asks for no evidence, it is about {asked.subject}",
            code="NOT_ASKED",
            remedy="Name the file of the message that asked you for it.",
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


def add_testimony(folder: Path, given: Testimony) -> None:
    """Keep evidence in a folder, after what was given before; the same again changes nothing."""
    first = folder / f"{safe_name(given.name)}.0001.json"
    with locked(first):
        files = testimonies(folder, given.name)
        if not files or read_value(files[-1], Testimony) != given:
            name = f"{given.name}.{len(files) + 1:04}.json"
            write_value(folder / name, given, new=True)


def testimonies(folder: Path, name: str) -> list[Path]:
    """Return the files with evidence of a name, numbered in the order they came."""
    return sorted(folder.glob(f"{safe_name(name)}.[0-9][0-9][0-9][0-9].json"))


def no_evidence(why: str) -> WorldError:
    """Return the refusal of what is there or given as evidence."""
    return WorldError(
        f"this is no evidence: {why}",
        code="EVIDENCE_INVALID",
        remedy="Let somebody in the role that is asked give it.",
    )
