"""GitHub's REST API: how it is signed in to, how its lists are read whole, what names it is given.

All that relkit asks of it stands in GitHub's description of this version of the API.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, ValidationError

from relkit.adapters.rest import Answer, Rest
from relkit.adapters.web import Web, quoted
from relkit.errors import UsageError

API_VERSION = "2022-11-28"
"""The version of the API whose description the calls are tested against."""
PAGE = 100
MOST_PAGES = 50
NEXT = re.compile(r'<([^<>]{1,2000})>\s*;\s*rel="next"')
FULL_ID = re.compile(r"[0-9a-f]{40}")
BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:+-]{0,48}[A-Za-z0-9]")
REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,60}/[A-Za-z0-9_.-]{1,90}")


class Told(BaseModel):
    """What is read of an answer; all else in it is left aside."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


T = TypeVar("T", bound=Told)


@dataclass(frozen=True)
class Listed(Generic[T]):
    """A list of several pages; `complete` only if nothing can be missing of it."""

    items: tuple[T, ...]
    complete: bool


def github(
    web: Web,
    token: Callable[[], str],
    *,
    denied: Callable[[], None] = lambda: None,
    wait: Callable[[float], None] = time.sleep,
) -> Rest:
    """Return the API at the address of `web`; the token is asked for at each call.

    `denied` is told that GitHub does not take it. `wait` waits for seconds, where GitHub asks to.
    """

    def headers() -> Mapping[str, str]:
        return {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token()}",
            "X-GitHub-Api-Version": API_VERSION,
        }

    return Rest(
        "GitHub", web, headers=headers, secrets=lambda: (token(),), denied=denied, wait=wait
    )


class _User(Told):
    login: str


class SignedIn(NamedTuple):
    """Whom a token is of; `until`: when it ends, None if it says nothing of that."""

    login: str
    until: datetime | None


def signed_in(rest: Rest) -> SignedIn:
    """Return whom a token is of, and until when it is good (UTC), if that is ever.

    The header has ``2026-12-01 12:00:00 UTC``, or ``+0200`` in the place of the zone's name.
    """
    answer = rest.get("user")
    login = told(rest, _User, answer.value, answer.said).login
    said = answer.headers.get("github-authentication-token-expiration", "")
    if not said:
        return SignedIn(login, None)
    try:
        until = datetime.strptime(said.replace("UTC", "+0000"), "%Y-%m-%d %H:%M:%S %z")
    except ValueError as error:
        raise rest.unreadable(f"the token is good until {quoted(ascii(said))}") from error
    return SignedIn(login, until.astimezone(UTC))


def told(rest: Rest, model: type[T], value: object, said: str) -> T:
    """Return what is read of a value; raise `WorldError` (``SERVICE_UNREADABLE``)."""
    try:
        return model.model_validate_json(json.dumps(value))  # strict, as JSON has types
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise rest.unreadable(f"{said}; {place or 'it'}: {first['msg']}") from error


def pages(
    rest: Rest,
    path: str,
    model: type[T],
    query: Mapping[str, str] | None = None,
    *,
    within: str = "",
) -> Listed[T]:
    """Read a list with all its pages; `within` is the key of an answer that has the items.

    Only the query of the next page's address is used: GitHub's own addresses lead elsewhere. A
    list that moved while it was read, or whose count is another one, is not complete.
    """
    asked = {"per_page": str(PAGE), **(query or {})}
    items: list[T] = []
    following: dict[str, str] | None = {}
    count = -1
    for _ in range(MOST_PAGES):
        answer = rest.get(path, asked | (following or {}))
        found = _items(rest, answer, within)
        items += [told(rest, model, one, answer.said) for one in found]
        count = answer.value.get("total_count", -1) if within else -1
        following = _next(answer)
        if following is None or not found:
            break
    whole = following is None and count in {-1, len(items)}
    return Listed(tuple(items), complete=whole and len(set(items)) == len(items))


def _items(rest: Rest, answer: Answer, within: str) -> list[Any]:
    value = answer.value
    if within and isinstance(value, dict):
        value = value.get(within)
    if not isinstance(value, list):
        raise rest.unreadable(answer.said)
    return value


def _next(answer: Answer) -> dict[str, str] | None:
    found = NEXT.search(answer.headers.get("link", ""))
    return dict(parse_qsl(found[1].partition("?")[2].partition("#")[0])) if found else None


def checked(text: str, form: re.Pattern[str], what: str) -> str:
    """Return a name that GitHub is given; refuse (``BAD_NAME``) what has not the form of one."""
    if form.fullmatch(text) is None:
        raise UsageError(
            f"{quoted(ascii(text[:80]))} is no {what}",
            code="BAD_NAME",
            remedy=f"Give {what} in plain letters, digits, dots and dashes.",
        )
    return text
