"""How v1 of the python.org stand-in reads the values of a row; its first error is the answer."""

from __future__ import annotations

import re
from typing import Any, cast

from relkit.rehearsal.site_fields import (
    MAX_NUMBER,
    MIN_NUMBER,
    Field,
    Row,
    Table,
    stored_date,
)
from relkit.rehearsal.site_http import Refused, Reply
from relkit.rehearsal.site_model import Model

CANNED = {"error_message": "Sorry, this request could not be processed. Please try again later."}
FLAGS = dict.fromkeys((True, "t", "True", "1"), True) | dict.fromkeys(
    (False, "f", "False", "0"), False
)
LINK = re.compile(r"(?:https?://[^/]+)?/api/v[12]/downloads/(os|release)/(\d+)/")


def refused(status: int, value: object = "") -> Refused:
    """Make the answer to a bad request: a JSON object, or text."""
    is_text = isinstance(value, str)
    return Refused(Reply.text(status, str(value)) if is_text else Reply.json(status, value))


def value(model: Model, field: Field, body: Row) -> Any:  # noqa: ANN401 (as the field's kind has it)
    """Return what a body means for a field; nothing and null mean its default."""
    if field.kind == "link":
        return _link(model, field.name, body)
    if body.get(field.name) is None:
        return model.now() if field.kind == "date" else field.default
    value = body[field.name]
    match field.kind:
        case "flag":
            return _flag(value)
        case "number":
            return _number(value)
        case "date":
            return _date(field.name, value)
        case "text":
            return _text(field, value)


def _link(model: Model, name: str, body: Row) -> int:
    if name not in body:
        message = f"The '{name}' field has no data and doesn't allow a default or null value."
        raise refused(400, {"error": message})
    value = body[name]
    if value is None:
        raise refused(500, CANNED)
    if not isinstance(value, str):
        message = f"The '{name}' field was given data that was not a URI: {value}."
        raise refused(400, {"error": message})
    found = LINK.fullmatch(value)
    if found is None or found[1] != name:
        raise refused(404, CANNED)
    if model.store.row(cast("Table", name), int(found[2])) is None:
        message = f"Could not find the provided downloads/{name} object via resource URI '{value}'."
        raise refused(400, {"error": message})
    return int(found[2])


def _text(field: Field, value: object) -> str:
    text = str(value)
    if re.search("[\0\ud800-\udfff]", text) or len(text) > (field.limit or len(text)):
        raise refused(500, CANNED)
    return text


def _flag(value: object) -> bool:
    try:
        return FLAGS[cast("bool", value)]
    except (KeyError, TypeError) as error:
        message = f"['“{value}” value must be either True or False.']"
        raise refused(400, {"error": message}) from error


def _number(value: Any) -> int:  # noqa: ANN401 (whatever the JSON held)
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise refused(500, CANNED) from error
    if not MIN_NUMBER <= number <= MAX_NUMBER:
        raise refused(500, CANNED)
    return number


def _date(name: str, value: object) -> str:
    try:
        return stored_date(str(value))
    except ValueError as error:
        message = (
            f"Datetime provided to '{name}' field doesn't appear to be a valid datetime"
            f" string: '{value}'"
        )
        raise refused(400, {"error": message}) from error
