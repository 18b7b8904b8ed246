"""The newer API of the python.org stand-in: creates, edits and deletes.

It has the site's own error of July 2026: a second file for a system of a release is refused as
soon as one of them has the download button. Left out: writing `os` rows, `release_page`.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta

from relkit.rehearsal.site_auth import BadKeyError, Limits, Throttle, v2_user
from relkit.rehearsal.site_fields import FIELDS, MODELS, Row, Table
from relkit.rehearsal.site_filters import v2_filtered
from relkit.rehearsal.site_http import JSON, Call, Refused, Reply
from relkit.rehearsal.site_model import Model
from relkit.rehearsal.site_store import User
from relkit.rehearsal.site_v2_rows import checked

BASE = "/api/v2/downloads/"
DELETE_ALL = "delete_by_release"
SERVER_ERROR = "<!doctype html><html lang=en><title>Server Error (500)</title><h1>Server Error</h1>"


def refused(status: int, detail: str, **headers: str) -> Refused:
    """Make an answer with a `detail`."""
    return Refused(Reply.json(status, {"detail": detail}, **headers))


class V2:
    """Answers below ``/api/v2/downloads/``."""

    def __init__(self, model: Model, limits: Limits) -> None:
        self._model = model
        self._limits = limits
        self._throttle = Throttle(timedelta(days=1), model.clock)

    def answer(self, call: Call, table: Table, rest: str) -> Reply:
        """Answer a call to ``<table>/<rest>``; every admitted call counts against the limit."""
        try:
            user = self._admit(call)
            return self._dispatch(call, user, table, rest)
        except Refused as answer:
            return answer.reply

    def _admit(self, call: Call) -> User | None:
        try:
            user = v2_user(self._model.store, call)
        except BadKeyError as error:
            raise refused(401, "Invalid token.", www_authenticate="Token") from error
        if not call.is_read and user is None:
            message = "Authentication credentials were not provided."
            raise refused(401, message, www_authenticate="Token")
        if not call.is_read and not (user and user.is_staff):
            raise refused(403, "You do not have permission to perform this action.")
        limit = self._limits.v2_per_day if user else self._limits.v2_anonymous_per_day
        identity = f"user {user.name}" if user else f"address {call.address}"
        if wait := self._throttle.wait_seconds(identity, limit):
            message = f"Request was throttled. Expected available in {wait} seconds."
            raise refused(429, message, retry_after=str(wait))
        self._throttle.count(identity)
        return user

    def _dispatch(self, call: Call, user: User | None, table: Table, rest: str) -> Reply:
        if table == "release_file" and rest == DELETE_ALL:
            return self._delete_files(call)
        allowed = {"GET", "HEAD", "PUT", "PATCH", "DELETE"} if rest else {"GET", "HEAD", "POST"}
        if call.method not in (allowed if table != "os" else {"GET", "HEAD"}):
            raise refused(405, f'Method "{call.method}" not allowed.')
        if rest:
            return self._detail(call, user, table, rest)
        if call.method == "POST":
            return self._create(call, table)
        rows = v2_filtered(table, self._model, user, call.query)
        return Reply.json(200, [shown(call, table, row) for row in rows])

    def _detail(self, call: Call, user: User | None, table: Table, rest: str) -> Reply:
        rows = {row["id"]: row for row in self._model.visible(table, user)}
        row = rows.get(int(rest)) if rest.isdecimal() else None
        if row is None:
            raise refused(404, f"No {MODELS[table]} matches the given query.")
        if call.method == "DELETE":
            self._model.delete(table, row)
            return Reply(204)
        if call.method in {"PUT", "PATCH"}:
            row = self._change(call, table, row)
        return Reply.json(200, shown(call, table, row))

    def _create(self, call: Call, table: Table) -> Reply:
        row = checked(self._model, table, _body(call), None, partial=False)
        number = self._model.save(table, row)
        row = {**row, "id": number}
        location = f"http://{call.host}{BASE}{table}/{number}/"
        return Reply.json(201, shown(call, table, row), location=location)

    def _change(self, call: Call, table: Table, row: Row) -> Row:
        partial = call.method == "PATCH"
        new = checked(self._model, table, _body(call), row, partial=partial)
        try:
            self._model.save(table, new, row["id"])
        except sqlite3.IntegrityError as error:  # a second button gets as far as the database
            raise Refused(Reply.text(500, SERVER_ERROR)) from error
        return {**new, "id": row["id"]}

    def _delete_files(self, call: Call) -> Reply:
        if call.method != "DELETE":
            raise refused(405, f'Method "{call.method}" not allowed.')
        asked = dict(call.query).get("release", "")
        if not asked.isdecimal():
            raise Refused(Reply(400))
        for row in self._model.store.rows("release_file"):
            if row["release"] == int(asked):
                self._model.delete("release_file", row)
        return Reply(204)


def shown(call: Call, table: Table, row: Row) -> Row:
    """Return a row as v2 shows it: links are whole addresses, dates end in Z."""
    base = f"http://{call.host}{BASE}"
    value = {field.name: row[field.name] for field in FIELDS[table]}
    value["resource_uri"] = f"{base}{table}/{row['id']}/"
    if table == "release":
        value |= {"release_date": row["release_date"] + "Z", "release_page": None}
    if table == "release_file":
        value |= {name: f"{base}{name}/{row[name]}/" for name in ("os", "release")}
    return value


def _body(call: Call) -> Row:
    content_type = call.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise refused(415, f'Unsupported media type "{content_type}" in request.')
    try:
        value = json.loads(call.body.decode() or "{}")
    except ValueError as error:
        raise refused(400, f"JSON parse error - {error}") from error
    if not isinstance(value, dict):
        message = f"Invalid data. Expected a dictionary, but got {type(value).__name__}."
        raise Refused(Reply.json(400, {"non_field_errors": [message]}))
    return value
