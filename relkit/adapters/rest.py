"""Calls to a service that speaks JSON over HTTP, with every answer checked.

Nothing is retried, but for a reading call that the service asks to repeat within a minute. What a
write did is unknown unless the service clearly accepted or refused it: then `UnknownStateError`,
and whoever wrote looks for the effect before anything else.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import quote, urlencode

from relkit.adapters.web import Web, content_type, quoted, text
from relkit.errors import UsageError, WorldError

Method = Literal["POST", "PUT", "PATCH", "DELETE"]
Query = Mapping[str, str] | Sequence[tuple[str, str]]
"""What follows the question mark; pairs, where a name stands there more than once."""
REDIRECTS, FAILURES = 300, 500
SIGN_IN = 203
"""With a page instead of JSON: what Azure says to whoever shows it a key that has expired."""
DENIED, THROTTLED, MOVED = {401, 403, SIGN_IN}, {403, 429}, {301, 302, 303, 307, 308}
REFUSED = (
    (DENIED, "DENIED", "Renew the key for the service, or ask for the right to do it."),
    ({404}, "MISSING", "Look whether the names in the world's file are right."),
    ({410}, "GONE", "It was there: see what deleted it, or begin anew with relkit respin."),
    ({409, 412, 422}, "CONFLICT", "Compare what was asked with what the service says about it."),
    (range(300, 400), "REDIRECT", "Correct the service's address: redirects are not followed."),
    (range(400, 500), "REFUSED", "Compare what was sent with what the service says about it."),
)
MOST_WAITED_SECONDS = 60
LACKING = ("SECRET_MISSING", "SECRET_UNFIT", "SECRET_UNKNOWN")
"""Codes of a secret that cannot be had: nothing was sent."""
ABSENT = {"SERVICE_MISSING", "SERVICE_GONE"}
UNSEEN = "how it stands there is not known"
JSON_TYPES = ("application/json", "application/problem+json")


@dataclass(frozen=True)
class Answer:
    """What a service answered: `value` is the JSON, if it was; `said` is the whole for people.

    `headers` are by their names in lower case; `blank` is an answer without a body.
    """

    status: int
    said: str
    value: Any
    headers: Mapping[str, str]
    blank: bool = False

    @property
    def time(self) -> datetime | None:
        """When it was given by the service's own clock (UTC), if it says so."""
        return _http_date(self.headers.get("date", ""))

    def throttled_seconds(self) -> int | None:
        """Return for how long the service wants not to be asked; None: it is not throttling.

        0 if it does not say. A service may also throttle by 403, and say so in words only.
        """
        if self.status not in THROTTLED:
            return None
        said = self.headers.get("retry-after", "")
        now = self.time or datetime.now(UTC)
        if said.isdecimal():
            return int(said[:9])
        if (until := _http_date(said)) is not None:
            return max(0, round((until - now).total_seconds()))
        reset = self.headers.get("x-ratelimit-reset", "")
        if self.headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
            return max(0, int(reset[:11]) - round(now.timestamp()))
        if "rate limit" in self.said.lower():  # GitHub's second limit: at least a minute
            return MOST_WAITED_SECONDS
        return None if self.status in DENIED else 0


class UnknownStateError(WorldError):
    """A write got no answer that says whether it was carried out (``SERVICE_UNKNOWN_STATE``).

    `status` is that of the answer, 0 if there was none.
    """

    status = 0


class Rest:
    """One service; `name` is what messages call it (``GitHub``).

    `headers` give those of each call, credentials among them, when they are needed; `secrets` are
    left out of every message. `denied` is told when the service refuses the credentials, so that
    they are asked for anew.
    """

    def __init__(
        self,
        name: str,
        web: Web,
        *,
        headers: Callable[[], Mapping[str, str]] = dict,
        secrets: Callable[[], tuple[str, ...]] = tuple,
        denied: Callable[[], None] = lambda: None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.web = web
        self._headers, self._secrets, self._denied = headers, secrets, denied
        self._wait = wait

    def get(self, path: str, query: Query | None = None) -> Answer:
        """Return a good answer with JSON. Raises `WorldError`, among them ``SERVICE_MISSING``."""
        answer = self._asked(path, query)
        self._refuse(answer, UNSEEN)
        if answer.value is None:
            raise self.unreadable(answer.said)
        return answer

    def lead(self, path: str) -> str:
        """Return where a reading call is sent on to. Raises `WorldError`, as `get` does."""
        answer = self._asked(path)
        if answer.status not in MOVED:
            self._refuse(answer, UNSEEN)
            raise self.unreadable(answer.said)
        return answer.headers.get("location", "")

    def find(
        self, path: str, query: Mapping[str, str] | None = None, *, saying: str = ""
    ) -> Answer | None:
        """Return a good answer with JSON; None where there is nothing at the path (404, 410).

        With `saying`, only where the service says these words about it; else ``SERVICE_MISSING``.
        """
        try:
            return self.get(path, query)
        except WorldError as error:
            if error.code in ABSENT and saying in str(error):
                return None
            raise

    def write(self, method: Method, path: str, fields: object = None) -> Answer:
        """Change something; return the answer, whose status is below 300.

        Raises `UnknownStateError`, or `WorldError` if the service refused.
        """
        try:
            answer = self.ask(method, path, fields=fields)
        except WorldError as error:
            if error.code in LACKING:
                raise
            raise self.unknown(str(error)) from error
        if answer.status >= FAILURES:
            raise self.unknown(answer.said, answer.status)
        good = answer.status < REDIRECTS
        if good and answer.value is None and not answer.blank:  # another than the service answered
            raise self.unknown(answer.said)
        self._refuse(answer, "nothing was changed")
        return answer

    def ask(
        self, method: str, path: str, *, query: Query | None = None, fields: object = None
    ) -> Answer:
        """Ask once and return whatever is answered. Raises ``SERVICE_UNREACHABLE``, ``…_LARGE``."""
        headers = {"Accept": "application/json", **self._headers()}
        full = path + (f"?{urlencode(query)}" if query else "")
        try:
            with self.web.request(method, full, headers=headers, json=fields) as response:
                words = text(response)
        except WorldError as error:
            code = "UNREACHABLE" if error.code == "SITE_UNREACHABLE" else "UNREADABLE"
            raise self.error(code, quoted(error.args[0], self._secrets()), error.remedy) from error
        line = quoted(words, self._secrets())
        if content_type(response) == "text/html" and line:
            line = "an HTML page"
        return Answer(
            status=response.status_code,
            said=f"{method} {path} answered {response.status_code}: {line or 'nothing'}",
            value=_json(words) if content_type(response) in JSON_TYPES else None,
            headers={name.lower(): value for name, value in response.headers.items()},
            blank=not words.strip(),
        )

    def error(self, code: str, said: str, remedy: str) -> WorldError:
        """Make an error of the service; `code` without ``SERVICE_`` before it."""
        return WorldError(f"{self.name}: {said}", code=f"SERVICE_{code}", remedy=remedy)

    def unreadable(self, said: str) -> WorldError:
        """Make the error for an answer that is not what the service's description promises."""
        remedy = "Look at the address in a browser; the service or something before it changed."
        return self.error("UNREADABLE", f"{said}; {UNSEEN}", remedy)

    def unknown(self, said: str, status: int = 0) -> UnknownStateError:
        """Make the error for a write of which nothing certain is known."""
        error = UnknownStateError(
            f"{self.name}: {said}; it does not show whether that was done",
            code="SERVICE_UNKNOWN_STATE",
            remedy="Wait a minute, run the step again: it looks first. Do not repeat it by hand.",
        )
        error.status = status
        return error

    def _asked(self, path: str, query: Query | None = None) -> Answer:
        """Read, once more if the service asks for that within a minute; refuse its failures."""
        answer = self.ask("GET", path, query=query)
        if 0 < (seconds := answer.throttled_seconds() or 0) <= MOST_WAITED_SECONDS:
            self._wait(float(seconds))
            answer = self.ask("GET", path, query=query)
        if answer.status >= FAILURES:
            said = f"{answer.said}; {UNSEEN}"
            raise self.error("FAILED", said, "The service itself has failed: run it later.")
        return answer

    def _refuse(self, answer: Answer, stands: str) -> None:
        status = answer.status
        if status < REDIRECTS and (status != SIGN_IN or answer.value is not None):
            return
        if (seconds := answer.throttled_seconds()) is not None:
            code, remedy = "THROTTLED", f"Run the step again in {seconds or 'some'} seconds."
        else:
            code, remedy = next(found[1:] for found in REFUSED if status in found[0])
        if code == "DENIED":
            self._denied()
        raise self.error(code, f"{answer.said}; {stands}", remedy)


def segment(text: str) -> str:
    """Return `text` as one part of a path; refuse (``BAD_NAME``) what would be another path."""
    if text in {"", ".", ".."} or not text.isprintable():  # half a surrogate pair is not, either
        raise UsageError(
            f"{quoted(ascii(text[:80]))} cannot be part of an address",
            code="BAD_NAME",
            remedy="Correct the name; see where it came from.",
        )
    return quote(text, safe="")


def _http_date(said: str) -> datetime | None:
    try:
        return parsedate_to_datetime(said).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _json(words: str) -> object:
    try:
        return json.loads(words)
    except (ValueError, RecursionError):  # cut off, or made to break readers
        return None
