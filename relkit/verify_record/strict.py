"""Text and JSON of a record, read so that no two readers can understand them differently."""

from __future__ import annotations

import json
import re
from typing import NoReturn

from relkit.verify_record.verdict import refuse

MAX_DEPTH = 64
OUT_OF_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\[\]{}"]++', flags=re.DOTALL)
"""What does not count for the depth."""


def text_of(data: bytes, name: str) -> str:
    """Return bytes as UTF-8 text; refuses (``MALFORMED``) any other, and a byte order mark."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refuse("MALFORMED", f"{name} is not UTF-8: {error.reason}") from error
    if text.startswith("\ufeff"):
        raise refuse("MALFORMED", f"{name} begins with a byte order mark")
    return text


def json_of(data: bytes, name: str) -> dict[str, object]:
    """Return an object in JSON.

    Refuses (``MALFORMED``) doubled keys, numbers that are none, and what is nested too deep.
    """
    text = text_of(data, name)
    _require_shallow(data, name)

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [key for key, _ in pairs]
            doubled = next(key for key in names if names.count(key) > 1)
            raise refuse("MALFORMED", f"{name} has the key {doubled[:60]!r} twice")
        return found

    def constant(word: str) -> NoReturn:
        raise refuse("MALFORMED", f"{name}: {word} is no number")

    try:
        found = json.loads(text, object_pairs_hook=unique, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise refuse("MALFORMED", f"{name} is no JSON: {str(error)[:200]}") from error
    if not isinstance(found, dict):
        raise refuse("MALFORMED", f"{name} is no JSON object")
    return found


def _require_shallow(data: bytes, name: str) -> None:
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in OUT_OF_STRINGS.sub(b"", data):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise refuse("MALFORMED", f"{name} is nested deeper than {MAX_DEPTH}")
