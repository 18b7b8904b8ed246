"""How v2 of the python.org stand-in checks the values of a row; all its errors come at once."""

from __future__ import annotations

import re
from typing import Any, cast

from relkit.rehearsal.site_fields import (
    FIELDS,
    MAX_NUMBER,
    MIN_NUMBER,
    SIDECARS,
    UNIQUE,
    VERSIONS,
    Field,
    Row,
    Table,
    address_errors,
    stored_date,
)
from relkit.rehearsal.site_http import Refused, Reply
from relkit.rehearsal.site_model import Model

LINK = re.compile(r"(?:https?://[^/]+)?/api/v2/downloads/(os|release)/(\d+)/")
TRUE, FALSE = (
    frozenset(form(word) for word in words for form in (str, str.title, str.upper))
    for words in (
        ("true", "t", "yes", "y", "on", "1", "1.0"),
        ("false", "f", "no", "n", "off", "0", "0.0"),
    )
)
URL = re.compile(r"(?:https?|ftps?)://[\w.-]+(?:@[\w.-]+)?(?::\d+)?(?:[/?#]\S*)?")
ADDRESSES = frozenset({"url", "release_notes_url", *SIDECARS})
DATES = "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]"


class _Bad(Exception):  # noqa: N818 (a message on its way into the answer)
    """A value is refused with this message."""


def checked(model: Model, table: Table, body: Row, old: Row | None, *, partial: bool) -> Row:
    """Return the whole row that a body makes, from nothing or of an `old` row.

    Optional fields that are absent keep the old value, even in a PUT.
    """
    row: Row = {}
    errors: dict[str, list[str]] = {}
    for field in FIELDS[table]:
        try:
            if field.name in body:
                row[field.name] = _value(model, field, body[field.name])
            else:
                row[field.name] = _absent(model, field, old, partial=partial)
        except _Bad as error:
            errors[field.name] = [str(error)]
    _refuse(errors | _taken(model, table, row, old))
    if table == "release_file":
        _refuse(_second(model, row, old))
        _refuse(address_errors(row))
    return row


def _refuse(errors: dict[str, list[str]]) -> None:
    if errors:
        raise Refused(Reply.json(400, errors))


def _taken(model: Model, table: Table, row: Row, old: Row | None) -> dict[str, list[str]]:
    others = [other for other in model.store.rows(table) if not old or other["id"] != old["id"]]
    return {
        name: [message]
        for name, message in UNIQUE[table].items()
        if name in row and any(other[name] == row[name] for other in others)
    }


def _second(model: Model, row: Row, old: Row | None) -> dict[str, list[str]]:
    """Refuse a second file beside one with the button, whether it asks for the button or not.

    The real site loses the condition of its index here; edits that leave system and release as
    they are do not come by.
    """
    place = (row["os"], row["release"])
    if old is not None and place == (old["os"], old["release"]):
        return {}
    for other in model.store.rows("release_file"):
        if (other["os"], other["release"]) == place and other["download_button"]:
            return {"non_field_errors": ["The fields os, release must make a unique set."]}
    return {}


def _absent(model: Model, field: Field, old: Row | None, *, partial: bool) -> Any:  # noqa: ANN401 (as the field's kind has it)
    if field.required and not partial:
        raise _Bad("This field is required.")
    if old is not None:
        return old[field.name]
    return model.now() if field.kind == "date" else field.default


def _value(model: Model, field: Field, value: object) -> Any:  # noqa: ANN401 (as the field's kind has it)
    if value is None:
        raise _Bad("This field may not be null.")
    match field.kind:
        case "flag":
            return _flag(value)
        case "number":
            return _number(field.name, value)
        case "date":
            return _date(value)
        case "link":
            return _link(model, field.name, value)
        case "text":
            return _text(field, value)


def _text(field: Field, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _Bad("Not a valid string.")
    text = str(value).strip()
    if not text and field.required:
        raise _Bad("This field may not be blank.")
    if field.limit is not None and len(text) > field.limit:
        raise _Bad(f"Ensure this field has no more than {field.limit} characters.")
    if "\0" in text:
        raise _Bad("Null characters are not allowed.")
    if half := re.search("[\ud800-\udfff]", text):
        raise _Bad(f"Surrogate characters are not allowed: U+{ord(half[0]):X}.")
    if field.name in ADDRESSES and text and not URL.fullmatch(text):
        raise _Bad("Enter a valid URL.")
    if field.name == "slug" and not re.fullmatch(r"[-a-zA-Z0-9_]+", text):
        raise _Bad('Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.')
    return text


def _flag(value: object) -> bool:
    if str(value) in TRUE:
        return True
    if str(value) in FALSE:
        return False
    raise _Bad("Must be a valid boolean.")


def _number(name: str, value: object) -> int:
    if name == "version" and str(value) not in map(str, VERSIONS):
        raise _Bad(f'"{value}" is not a valid choice.')
    try:
        number = int(re.sub(r"\.0*\s*$", "", str(value)))
    except ValueError as error:
        raise _Bad("A valid integer is required.") from error
    if number > MAX_NUMBER:
        raise _Bad(f"Ensure this value is less than or equal to {MAX_NUMBER}.")
    if number < MIN_NUMBER:
        raise _Bad(f"Ensure this value is greater than or equal to {MIN_NUMBER}.")
    return number


def _date(value: object) -> str:
    try:
        return stored_date(str(value))
    except ValueError as error:
        raise _Bad(
            f"Datetime has wrong format. Use one of these formats instead: {DATES}."
        ) from error


def _link(model: Model, name: str, value: object) -> int:
    if not isinstance(value, str):
        kind = type(value).__name__
        raise _Bad(f"Incorrect type. Expected URL string, received {kind}.")
    found = LINK.fullmatch(value)
    if found is None:
        known = "/api/v1/downloads/" in value
        raise _Bad(f"Invalid hyperlink - {'Incorrect' if known else 'No'} URL match.")
    if found[1] != name:
        raise _Bad("Invalid hyperlink - Incorrect URL match.")
    if model.store.row(cast("Table", name), int(found[2])) is None:
        raise _Bad("Invalid hyperlink - Object does not exist.")
    return int(found[2])
