"""The public side as a stranger gets it: GET alone, signed in nowhere, slowly, and with limits.

Nothing is followed, nothing kept between two calls, and no answer is read further than it may be
long. What an answer means is for the caller to say.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import requests

from relkit.adapters.pacing import THROTTLED, Pace, soon
from relkit.adapters.public import PATH, arriving
from relkit.adapters.web import MAX_TEXT_BYTES, Web, content_type, quoted
from relkit.errors import WorldError

OK, NOT_FOUND, GONE, FAILURES = 200, 404, 410, 500
DENIED = frozenset({401, 403})
PER_SECOND = 10.0
"""How many requests python.org takes from one address."""


@dataclass(frozen=True)
class Got:
    """What an address gave; `cut` says that more came than may, and was not read.

    `data` is empty unless it was to be kept; `location` is where a redirect would lead.
    """

    status: int
    size: int
    sha256: str
    kind: str
    location: str = ""
    cut: bool = False
    data: bytes = b""


class Visit(Pace):
    """Lets `per_second` requests begin in a second, and none after `seconds`; for all threads."""

    def __init__(self, per_second: float = PER_SECOND, seconds: float = 3600) -> None:
        super().__init__(per_second)
        self._seconds, self._end = seconds, time.monotonic() + seconds
        self.requests = 0

    def wait(self) -> None:
        """Return when the next request may begin."""
        self.require_time()
        super().wait()
        with self._lock:
            self.requests += 1

    def end(self) -> None:
        """Let nothing begin any more, and what is under way end at the next bytes that come."""
        self._end = -math.inf

    def require_time(self) -> None:
        """Raise `WorldError` (``DEADLINE``) when the time is up."""
        if time.monotonic() > self._end:
            raise WorldError(
                f"not done after {self._seconds:.0f} seconds",
                code="DEADLINE",
                remedy="Run it again with a later --deadline, or when the site answers quickly.",
            )


class Stranger:
    """Reads one site; `told` hears how many bytes have come, now and then."""

    def __init__(
        self,
        url: str,
        visit: Visit,
        *,
        told: Callable[[int], None] = lambda _: None,
        timeout_seconds: tuple[float, float] = (5.0, 60.0),
    ) -> None:
        self._web = Web(url, timeout_seconds)
        self.url = self._web.url
        self._visit = visit
        self._told = told

    def fetch(
        self,
        path: str,
        *,
        limit: int = MAX_TEXT_BYTES,
        keep: bool = False,
        into: Path | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Got:
        """Get a path (without a slash at its start), at most `limit` bytes of it.

        Raises `WorldError`: ``BAD_PATH``, ``SITE_UNREACHABLE``, ``SITE_THROTTLED``,
        ``SITE_FAILED`` (the site's own errors), ``DEADLINE``.
        """
        if PATH.fullmatch(f"/{path}") is None or ".." in path.split("/"):
            raise _error("BAD_PATH", f"{path[:80]!r} is not a path of the site")
        full = path + (f"?{urlencode(query)}" if query else "")
        with self._answer(full) as response:
            return self._read(response, limit, keep=keep, into=into)

    def json(self, path: str, **query: str) -> object:
        """Return the JSON value at a path of an API.

        Raises what `fetch` raises and ``SITE_DENIED``, ``SITE_MISSING``, ``SITE_REDIRECT``,
        ``SITE_UNREADABLE``.
        """
        got = self.fetch(path, keep=True, query=query)
        said = f"{self.url}{path} answered {got.status}"
        if got.status in DENIED:
            raise _error("SITE_DENIED", said)
        if got.status in {NOT_FOUND, GONE}:
            raise _error("SITE_MISSING", said)
        if got.location:
            raise _error("SITE_REDIRECT", f"{said}, leading to {quoted(got.location)}")
        if got.status != OK or got.cut or got.kind != "application/json":
            raise _error("SITE_UNREADABLE", f"{said} with {got.kind or 'nothing'}, not with JSON")
        try:
            found: object = json.loads(got.data)
        except (ValueError, RecursionError) as error:
            raise _error("SITE_UNREADABLE", f"{said} with JSON that cannot be read") from error
        return found

    def _answer(self, full: str) -> _Closing:
        """Return an answer that is the site's word; one that says "later" is asked for again."""
        for last in (False, True):
            self._visit.wait()
            answer = _Closing(self._web, full)
            status, headers = answer.response.status_code, answer.response.headers
            if status != THROTTLED and status < FAILURES:
                return answer
            after = soon(answer.response)
            answer.close()
            said = f"{self.url}{full} answered {status}"
            if status != THROTTLED:
                raise _error("SITE_FAILED", said)
            if last or after is None:
                later = quoted(headers.get("Retry-After", "")) or "some"
                raise _error("SITE_THROTTLED", f"{said}: later, in {later} s")
            time.sleep(after)
        raise AssertionError

    def _read(
        self, response: requests.Response, limit: int, *, keep: bool, into: Path | None
    ) -> Got:
        digest, size, kept = hashlib.sha256(), 0, bytearray()
        file = into.open("wb") if into else None
        try:
            for chunk in self._chunks(response):
                size += len(chunk)
                if size > limit:
                    break
                digest.update(chunk)
                if keep:
                    kept += chunk
                if file:
                    file.write(chunk)
        finally:
            if file:
                file.close()
        redirect = 300 <= response.status_code < 400  # noqa: PLR2004 (HTTP's redirects)
        return Got(
            status=response.status_code,
            size=size,
            sha256=digest.hexdigest(),
            kind=content_type(response),
            location=response.headers.get("Location", "") if redirect else "",
            cut=size > limit,
            data=bytes(kept),
        )

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """Yield what has come, however little it is: a body that drips meets the deadline too."""
        for chunk in arriving(response):
            self._visit.require_time()
            self._told(len(chunk))
            yield chunk


class _Closing:
    """An open answer."""

    def __init__(self, web: Web, path: str) -> None:
        self._context = web.request("GET", path)
        self.response = self._context.__enter__()

    def __enter__(self) -> requests.Response:
        return self.response

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; what has not come is not waited for."""
        self._context.__exit__(None, None, None)


def _error(code: str, said: str) -> WorldError:
    return WorldError(
        said, code=code, remedy="Look at the address in a browser, then run this again."
    )
