"""in-toto Statements, version 1: what is said (a predicate) about which files (subjects).

Written in one form, so that equal content has equal bytes: JSON as RFC 8785 has it (sorted keys, no
spaces, UTF-8) for the values that are allowed, and one line feed. These are text, whole numbers
that every reader of JSON keeps, true and false, lists, and objects with ASCII keys. Read strictly,
in whatever layout: what two readers could understand differently is refused.
https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NoReturn, Protocol

from relkit.errors import CheckError

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
FIELDS = {"_type", "subject", "predicateType", "predicate"}
SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_BYTES = 1 << 20
MAX_NUMBER = 2**53 - 1
"""Readers that hold numbers as doubles change larger ones."""
MAX_DEPTH = 40


class Named(Protocol):
    """A file by name and SHA-256, such as `Subject` or `relkit.values.Artifact`."""

    @property
    def name(self) -> str:
        """The file's name."""

    @property
    def sha256(self) -> str:
        """The SHA-256 of its bytes, lower case hexadecimal."""


@dataclass(frozen=True)
class Subject:
    """A file that a statement is about."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Statement:
    """A statement that was read: its subjects in order of name, and what it says about them."""

    subjects: tuple[Subject, ...]
    predicate: Mapping[str, object]


def statement(
    subjects: Iterable[Named], *, predicate_type: str, predicate: Mapping[str, object]
) -> str:
    """Return a statement as text, subjects in order of name, with a line feed at its end.

    Raises `CheckError` (``STATEMENT_INVALID``) for what `read_statement` would refuse.
    """
    named = sorted(subjects, key=lambda one: one.name)
    data = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": one.name, "digest": {"sha256": one.sha256}} for one in named],
        "predicateType": predicate_type,
        "predicate": predicate,
    }
    text = json.dumps(_plain(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    read_statement(f"{text}\n", predicate_type=predicate_type)
    return f"{text}\n"


def read_statement(text: str, *, predicate_type: str) -> Statement:
    """Read a statement about files, by SHA-256, with a predicate of this type.

    Raises `CheckError` (``STATEMENT_INVALID``) for any other, for unknown and doubled fields, no
    subjects, two subjects of one name, and more than `MAX_BYTES`.
    """
    data = _object(_parsed(text), FIELDS, "the statement")
    for field, wanted in (("_type", STATEMENT_TYPE), ("predicateType", predicate_type)):
        if data[field] != wanted:
            refuse(f"its {field} is {_shown(data[field])}, not {wanted}")
    listed, predicate = data["subject"], data["predicate"]
    if not isinstance(listed, list) or not listed:
        refuse("it is about no file: its subject is no list, or empty")
    if not isinstance(predicate, dict):
        refuse(f"its predicate is {_shown(predicate)}, not an object")
    subjects = tuple(_subject(one) for one in listed)
    for first, second in pairwise(sorted(one.name for one in subjects)):
        if first == second:
            refuse(f"it has two subjects named {first}")
    return Statement(tuple(sorted(subjects, key=lambda one: one.name)), predicate)


def refuse(what: str, error: Exception | None = None) -> NoReturn:
    """Raise the refusal of a statement, with what is wrong in it."""
    raise CheckError(
        f"this is no statement that can be relied on: {what}",
        code="STATEMENT_INVALID",
        remedy="Get the statement from the build again; whoever made it must mend this.",
    ) from error


def _subject(data: object) -> Subject:
    fields = _object(data, {"name", "digest"}, "a subject")
    name = fields["name"]
    sha256 = _object(fields["digest"], {"sha256"}, "a subject's digest")["sha256"]
    if not isinstance(name, str) or not name or not name.isprintable():
        refuse(f"a subject is named {_shown(name)}")
    if not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
        refuse(f"the SHA-256 of {name} is {_shown(sha256)}")
    return Subject(name, sha256)


def _object(data: object, names: set[str], what: str) -> dict[str, object]:
    """Return an object that has exactly these fields."""
    if not isinstance(data, dict):
        refuse(f"{what} is {_shown(data)}, not an object")
    if data.keys() != names:
        refuse(
            f"{what} has the fields {', '.join(sorted(data)) or 'none'}, "
            f"not {', '.join(sorted(names))}"
        )
    return data


def _parsed(text: str) -> object:
    try:
        if len(text.encode()) > MAX_BYTES:
            refuse(f"it has more than {MAX_BYTES} bytes")
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # among them: no UTF-8, endless numbers
        refuse(f"it is no JSON: {error}"[:200], error)
    return _plain(data)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        refuse(f"the field {_shown(doubled)} is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    refuse(f"{name} is no number")


def _plain(data: object, depth: int = 0) -> object:
    """Return data as JSON types; refuse values that have more than one form, or none."""
    if depth > MAX_DEPTH:
        refuse(f"it is nested deeper than {MAX_DEPTH}")
    match data:
        case str():
            _check_text(data)
            return data
        case bool():
            return data
        case int() if abs(data) <= MAX_NUMBER:
            return data
        case list() | tuple():
            return [_plain(one, depth + 1) for one in data]
        case Mapping():
            return {_key(name): _plain(value, depth + 1) for name, value in data.items()}
        case _:
            refuse(f"{_shown(data)} is neither text, whole number, list nor object")


def _key(name: object) -> str:
    if not isinstance(name, str) or not name.isascii() or not name.isprintable():
        refuse(f"a field is named {_shown(name)}")
    return name


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        refuse(f"{_shown(text)} is no Unicode text", error)


def _shown(value: object) -> str:
    return ascii(value)[:100]
