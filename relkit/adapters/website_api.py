"""Calls to the two APIs of python.org's downloads database, with every answer checked.

A write is never retried: what it did is unknown unless the site clearly accepted or refused it. A
read that the site asks to come later is asked once more, if that is soon.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from relkit.adapters.web import Web, content_type, quoted, text
from relkit.errors import WorldError

Version = Literal["v1", "v2"]
OK = 200
REDIRECTS, REFUSALS, FAILURES = 300, 400, 500
MISSING, CONFLICT, THROTTLED, DENIED = 404, 409, 429, {401, 403}
LIMITS: dict[Version, tuple[int, int]] = {"v1": (600, 3_600), "v2": (3_000, 86_400)}
"""How many calls of one user each API lets through in how many seconds."""
READS = 2
"""Calls that whoever comes again makes before room is asked for."""
PATIENCE_SECONDS = 60
"""How long a read waits at most, when the site says to come later."""


@dataclass(frozen=True)
class Answer:
    """What the site answered: `value` is the JSON, if it was; `said` is the whole for people."""

    status: int
    said: str
    value: object
    location: str
    retry_after: str


class UnknownStateError(WorldError):
    """A write got no answer that says whether it was carried out (``SITE_UNKNOWN_STATE``).

    `status` is that of the answer, 0 if there was none.
    """

    status = 0


def unknown_state(said: str, status: int = 0) -> UnknownStateError:
    """Make the error for a write of which nothing certain is known."""
    error = UnknownStateError(
        f"{said}; the site does not show whether it was done",
        code="SITE_UNKNOWN_STATE",
        remedy="Wait a minute and run the step again: it looks first. Do not repeat it by hand.",
    )
    error.status = status
    return error


def unreadable(said: str) -> WorldError:
    """Make the error for an answer that is not what the API promises."""
    return WorldError(
        said,
        code="SITE_UNREADABLE",
        remedy="Look at the address in a browser; the site or something before it has changed.",
    )


class Api:
    """The APIs of one site. The two callables give the secrets when they are needed.

    `v2_token` gives the token, `v1_key` the user and the key with a colon between them. `denied` is
    told which API refused its secret. `tell` is told what is waited for, and `sleep` waits.
    """

    def __init__(
        self,
        web: Web,
        v2_token: Callable[[], str],
        v1_key: Callable[[], str],
        *,
        denied: Callable[[Version], None] = lambda _: None,
        tell: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._web = web
        self._secrets: dict[Version, Callable[[], str]] = {"v1": v1_key, "v2": v2_token}
        self._denied, self._tell, self._sleep = denied, tell, sleep
        self._called: dict[Version, deque[float]] = {"v1": deque(), "v2": deque()}

    def require_room(self, version: Version, calls: int) -> None:
        """Refuse to begin what the site would stop in the middle (``SITE_THROTTLED``).

        Counted is what this object asked; other clients of the same user are not seen.
        """
        limit, window = LIMITS[version]
        called, now = self._called[version], time.monotonic()
        while called and called[0] <= now - window:
            called.popleft()
        excess = len(called) + calls - limit
        if excess > 0:
            last = called[min(excess + READS, len(called)) - 1] if called else now
            wait = math.ceil(last + window - now)
            raise WorldError(
                f"{calls} calls of {version} are needed; the site lets {limit} through in {window}"
                f" seconds, and {len(called)} were made",
                code="SITE_THROTTLED",
                remedy=f"Run the step again in {wait} seconds: nothing was written.",
            )

    def get(self, version: Version, path: str, **query: str) -> Any:  # noqa: ANN401 (whatever JSON holds)
        """Return the JSON value at a path such as ``release/``."""
        answer = self._ask(version, "GET", path, query=query)
        if answer.status == THROTTLED and (wait := _soon(answer.retry_after)):
            self._tell(f"waiting {wait} seconds, as python.org asks")
            self._sleep(wait)
            answer = self._ask(version, "GET", path, query=query)
        if answer.status >= FAILURES:
            raise WorldError(
                answer.said,
                code="SITE_FAILED",
                remedy="The site itself has failed: run the step again later.",
            )
        self._refuse(version, answer)
        if answer.status != OK or answer.value is None:
            raise unreadable(answer.said)
        return answer.value

    def write(
        self, version: Version, method: str, path: str, fields: Mapping[str, object] | None = None
    ) -> Answer:
        """Change something; return the answer, whose status is below 300.

        Raises `UnknownStateError`, or `WorldError` if the site refused.
        """
        try:
            answer = self._ask(version, method, path, fields=fields)
        except WorldError as error:
            raise unknown_state(str(error)) from error
        if answer.status >= FAILURES:
            raise unknown_state(answer.said, answer.status)
        self._refuse(version, answer)
        return answer

    def _ask(
        self,
        version: Version,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> Answer:
        secret = self._secrets[version]()
        scheme = {"v1": "ApiKey", "v2": "Token"}[version]
        headers = {"Authorization": f"{scheme} {secret}", "Accept": "application/json"}
        self._called[version].append(time.monotonic())
        path = f"api/{version}/downloads/{path}" + (f"?{urlencode(query)}" if query else "")
        with self._web.request(method, path, headers=headers, json=fields) as response:
            words = text(response)
        line = quoted(words, (secret, secret.rpartition(":")[2]))
        if content_type(response) == "text/html" and line:
            line = "an HTML page"
        return Answer(
            status=response.status_code,
            said=f"{method} {response.url} answered {response.status_code}: {line or 'nothing'}",
            value=_json(words) if content_type(response) == "application/json" else None,
            location=response.headers.get("Location", ""),
            retry_after=quoted(response.headers.get("Retry-After", "some")),
        )

    def _refuse(self, version: Version, answer: Answer) -> None:
        if answer.status < REDIRECTS:
            return
        if answer.status in DENIED:
            self._denied(version)
        code, remedy = _refused(answer)
        raise WorldError(answer.said, code=code, remedy=remedy)


def _json(words: str) -> object:
    try:
        return json.loads(words)
    except (ValueError, RecursionError):  # cut off, or made to break readers
        return None


def _soon(retry_after: str) -> int:
    """Return how long to wait before a read is asked again; 0: it is not."""
    wait = int(retry_after) if retry_after.isdecimal() and len(retry_after) < 5 else 0  # noqa: PLR2004 (digits)
    return wait if wait <= PATIENCE_SECONDS else 0


def _refused(answer: Answer) -> tuple[str, str]:
    """Return the code and the remedy for a status below 500 that is no success."""
    if answer.status < REFUSALS:
        return "SITE_REDIRECT", "Correct the site's address: redirects are not followed."
    if answer.status == THROTTLED:
        return "SITE_THROTTLED", f"Run the step again in {answer.retry_after} seconds."
    if answer.status in DENIED:
        return "SITE_DENIED", "Renew the key for the site, or ask for the right to write."
    if answer.status == MISSING:
        return "SITE_MISSING", "Look at the release's rows on the site; somebody removed one."
    if answer.status == CONFLICT:
        return "SITE_CONFLICT", "Find out who else is writing, then run the step again."
    return "SITE_REFUSED", "Compare what was sent with what the site says about it."
