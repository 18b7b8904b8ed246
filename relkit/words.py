"""JSON data as people read it: no quotes, braces or programming words, nothing left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

NOTHING, EMPTY = "none", "empty"
SPOKEN = {True: "yes", False: "no", None: NOTHING}


def in_words(value: object) -> str:
    """Return JSON data on one line; text stays as it is.

    ``{"locked": true, "rules": []}`` becomes ``locked: yes; rules: none``; what has a name begins
    with it: ``v3.15.0a1 (commit: …)``.
    """
    match value:
        case str():
            return value
        case Mapping() if "name" in value:
            rest = {key: one for key, one in value.items() if key != "name"}
            return f"{value['name']} ({in_words(rest)})" if rest else str(value["name"])
        case Mapping():
            return (
                "; ".join(f"{key}: {part_in_words(one)}" for key, one in value.items()) or NOTHING
            )
        case Sequence():
            return ", ".join(map(part_in_words, value)) or NOTHING
        case bool() | None:
            return SPOKEN[value]
        case _:
            return str(value)


def part_in_words(value: object) -> str:
    """Return a part of something larger: bracketed where it has parts, never empty."""
    if value == "":
        return EMPTY
    bracketed = isinstance(value, Mapping) and value and "name" not in value
    return f"({in_words(value)})" if bracketed else in_words(value)
