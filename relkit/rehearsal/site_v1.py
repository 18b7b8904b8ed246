"""The older API of the python.org stand-in: creates and deletes, never edits.

Kept: statuses, bodies, paging, what is ignored. Left out, since no client of ours may use them:
writing `os` rows, a release sent as an object inside a file, `schema/` and `set/`.
"""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import timedelta
from urllib.parse import urlencode

from relkit.rehearsal.site_auth import BadKeyError, Limits, Throttle, v1_user
from relkit.rehearsal.site_fields import FIELDS, Row, Table, address_errors, slug_of
from relkit.rehearsal.site_filters import v1_filtered
from relkit.rehearsal.site_http import JSON, Call, Refused, Reply
from relkit.rehearsal.site_model import Model
from relkit.rehearsal.site_store import User
from relkit.rehearsal.site_v1_rows import CANNED, refused, value

BASE = "/api/v1/downloads/"
MAX_BODY_BYTES = 2_621_440
DEFAULT_PAGE, MAX_PAGE = 20, 1000


class V1:
    """Answers below ``/api/v1/downloads/``."""

    def __init__(self, model: Model, limits: Limits) -> None:
        self._model = model
        self._limit = limits.v1_per_hour
        self._throttle = Throttle(timedelta(hours=1), model.clock)

    def answer(self, call: Call, table: Table, rest: str) -> Reply:
        """Answer a call to ``<table>/<rest>``; errors do not count against the limit."""
        try:
            user, identity = self._admit(call, table, rest)
            reply = self._dispatch(call, user, table, rest)
        except Refused as answer:
            return answer.reply
        self._throttle.count(identity)
        return reply

    def _admit(self, call: Call, table: Table, rest: str) -> tuple[User | None, str]:
        allowed = ["GET", "DELETE"] if rest else ["GET", "POST"]
        if table == "os":
            allowed = ["GET"]
        elif table == "release_file" and not rest:
            allowed = ["GET", "POST", "DELETE"]
        if call.method not in allowed:
            raise refused(405, ",".join(allowed))
        try:
            user = v1_user(self._model.store, call)
        except BadKeyError as error:
            raise refused(401) from error
        if not call.is_read and not (user and user.is_staff):
            raise refused(401)
        identity = user.name if user else call.address
        if wait := self._throttle.wait_seconds(identity, self._limit):
            raise Refused(Reply.text(429, "", retry_after=str(wait)))
        return user, identity

    def _dispatch(self, call: Call, user: User | None, table: Table, rest: str) -> Reply:
        if rest:
            return self._detail(call, user, table, rest)
        if call.method == "POST":
            return self._create(call, table)
        if call.method == "DELETE":
            return self._delete_files(call)
        rows = v1_filtered(table, self._model, user, call.query)
        return self._page(call, table, rows)

    def _page(self, call: Call, table: Table, rows: list[Row]) -> Reply:
        asked = dict(call.query)
        limit = _whole(asked, "limit", DEFAULT_PAGE) or MAX_PAGE
        limit, offset = min(limit, MAX_PAGE), _whole(asked, "offset", 0)
        before, after = offset - limit, offset + limit
        meta = {
            "limit": limit,
            "next": _turn(call, limit, after) if after < len(rows) else None,
            "offset": offset,
            "previous": _turn(call, limit, before) if before >= 0 else None,
            "total_count": len(rows),
        }
        objects = [shown(table, row) for row in rows[offset : offset + limit]]
        return _json({"meta": meta, "objects": objects})

    def _detail(self, call: Call, user: User | None, table: Table, rest: str) -> Reply:
        row = self._model.store.row(table, int(rest)) if rest.isdecimal() else None
        if row is None:
            raise refused(404)
        if table == "release" and not row["is_published"] and not (user and user.is_staff):
            raise refused(401)
        if call.method == "DELETE":
            self._model.delete(table, row)
            return Reply.text(204, "")
        return _json(shown(table, row))

    def _delete_files(self, call: Call) -> Reply:
        asked = [value for name, value in call.query if name == "release"]
        if len(asked) != 1 or len(call.query) != 1:
            raise refused(
                400,
                {"error": "Deleting release files requires exactly one 'release' filter."},
            )
        if not asked[0].isdecimal():
            raise refused(
                400, {"error": "Invalid resource lookup data provided (mismatched type)."}
            )
        for row in self._model.store.rows("release_file"):
            if row["release"] == int(asked[0]):
                self._model.delete("release_file", row)
        return Reply.text(204, "")

    def _create(self, call: Call, table: Table) -> Reply:
        body = _body(call)
        row = {field.name: value(self._model, field, body) for field in FIELDS[table]}
        if not row["slug"]:
            row["slug"] = slug_of(row["name"])
        if table == "release_file" and (errors := address_errors(row)):
            raise refused(400, {"downloads/release_file": errors})
        try:
            number = self._model.save(table, row)
        except sqlite3.IntegrityError as error:
            raise refused(500, CANNED) from error
        return Reply.text(201, "", location=f"{BASE}{table}/{number}/")


def shown(table: Table, row: Row) -> Row:
    """Return a row as v1 shows it: keys in alphabetical order, links as paths."""
    value = {name: row[name] for name in (field.name for field in FIELDS[table])}
    value["resource_uri"] = f"{BASE}{table}/{row['id']}/"
    if table == "release":
        value["release_page"] = None
    if table == "release_file":
        value |= {name: f"{BASE}{name}/{row[name]}/" for name in ("os", "release")}
    return dict(sorted(value.items()))


def _turn(call: Call, limit: int, offset: int) -> str:
    asked = [*dict(call.query).items()]
    kept = [(name, value) for name, value in asked if name not in {"limit", "offset"}]
    return f"{call.path}?{urlencode([*kept, ('limit', limit), ('offset', offset)])}"


def _json(value: object) -> Reply:
    return Reply.json(200, value, cache_control="no-cache", vary="Accept")


def _body(call: Call) -> Row:
    if call.headers.get("content-type", "").partition(";")[0] != JSON:
        raise refused(415, CANNED)
    if len(call.body) > MAX_BODY_BYTES:
        raise refused(500, CANNED)
    try:
        value = json.loads(call.body.decode())
    except UnicodeDecodeError as error:
        raise refused(500, CANNED) from error
    except ValueError as error:
        raise refused(400, {"error": "Request is not valid JSON."}) from error
    return value if isinstance(value, dict) else {}


def _whole(asked: dict[str, str], name: str, default: int) -> int:
    text = asked.get(name, str(default))
    if not re.fullmatch(r"-?\d+", text):
        positive = "Please provide a positive integer."
        raise refused(400, {"error": f"Invalid {name} '{text}' provided. {positive}"})
    if int(text) < 0:
        positive = "Please provide a positive integer &gt;= 0."
        raise refused(400, {"error": f"Invalid {name} '{text}' provided. {positive}"})
    return int(text)
