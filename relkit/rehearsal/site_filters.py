"""Which rows a list of the python.org stand-in holds, for the filters each API knows."""

from __future__ import annotations

from collections.abc import Callable

from relkit.rehearsal.site_fields import FIELDS, Row, Table
from relkit.rehearsal.site_http import Refused, Reply
from relkit.rehearsal.site_model import Model
from relkit.rehearsal.site_store import User

Query = tuple[tuple[str, str], ...]
SIMPLE: dict[Table, frozenset[str]] = {
    "os": frozenset({"name", "slug"}),
    "release": frozenset({"name", "slug", "is_published", "pre_release", "version"}),
    "release_file": frozenset({"name", "slug", "os", "release"}),
}
ACROSS = frozenset({"release__slug", "release__name", "os__slug"})
TRUE, FALSE = frozenset({"true", "True", "1"}), frozenset({"false", "False", "0"})


def v1_filtered(table: Table, model: Model, user: User | None, query: Query) -> list[Row]:
    """Return the rows v1 lists. A name it does not know is ignored, and everything comes back."""
    rows = model.visible(table, user)
    for name, text in query:
        if keep := _v1_filter(table, model, name, text):
            rows = [row for row in rows if keep(row)]
    return rows


def _v1_filter(table: Table, model: Model, name: str, text: str) -> Callable[[Row], bool] | None:
    name = name.removesuffix("__exact")
    if name == "order_by":
        raise _refused(f"The '{text}' field does not allow ordering.")
    if table == "release" and name == "version__startswith":
        return lambda row: str(row["version"]).startswith(text)
    if table == "release_file" and name == "description__contains":
        return lambda row: text in row["description"]
    if table == "release_file" and name in ACROSS:
        other, _, column = name.partition("__")
        there = {row["id"] for row in model.store.rows(_table(other)) if str(row[column]) == text}
        return lambda row: row[other] in there
    kinds = {field.name: field.kind for field in FIELDS[table]}
    column, _, lookup = name.partition("__")
    if name in SIMPLE[table]:
        if kinds[name] == "flag" and text not in TRUE | FALSE:
            raise _refused(f"['“{text}” value must be either True or False.']")
        if kinds[name] in {"number", "link"} and not text.isdecimal():
            raise _refused("Invalid resource lookup data provided (mismatched type).")
        return lambda row: _same(row[name], text)
    if column in SIMPLE[table] and kinds[column] != "link":
        raise _refused(f"'{lookup}' is not an allowed filter on the '{column}' field.")
    if column in kinds:
        raise _refused(f"The '{column}' field does not allow filtering.")
    return None


def _refused(message: str) -> Refused:
    return Refused(Reply.json(400, {"error": message}))


def v2_filtered(table: Table, model: Model, user: User | None, query: Query) -> list[Row]:
    """Return the rows v2 lists; for files it refuses the filters it does not know."""
    rows = model.visible(table, user)
    for name, text in query:
        if table == "release_file":
            _check_v2(model, name, text)
        if name == "description__contains" and table == "release_file":
            rows = [row for row in rows if text in row["description"]]
        elif name in SIMPLE[table]:
            rows = [row for row in rows if _same(row[name], text)]
    return rows


def _check_v2(model: Model, name: str, text: str) -> None:
    if name not in SIMPLE["release_file"] | {"description__contains"}:
        message = f"'exact' is not an allowed filter on the '{name}' field."
        raise Refused(Reply.json(400, {"error": [message]}))
    if name in {"os", "release"}:
        numbers = {str(row["id"]) for row in model.store.rows(_table(name))}
        if text not in numbers:
            message = "Select a valid choice. That choice is not one of the available choices."
            raise Refused(Reply.json(400, {name: [message]}))


def _table(name: str) -> Table:
    return "os" if name == "os" else "release"


def _same(value: object, text: str) -> bool:
    if isinstance(value, bool):
        return text in (TRUE if value else FALSE)
    return str(value) == text
