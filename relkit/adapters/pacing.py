"""HTTP at a low rate, for sites that watch how often one address asks them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import requests

from relkit.adapters.web import TIMEOUT_SECONDS, Web

Sleep = Callable[[float], None]
THROTTLED = 429
LONGEST_WAIT_SECONDS = 60
REPEATABLE = frozenset({"GET", "HEAD", "PURGE"})
"""What does the same when it is asked twice."""


class Pace:
    """Lets at most so many calls a second begin, whatever thread they are from."""

    def __init__(self, per_second: float, sleep: Sleep = time.sleep) -> None:
        self._gap, self._sleep = 1 / per_second, sleep
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when it is the caller's turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        if turn > now:
            self._sleep(turn - now)


class PacedWeb(Web):
    """A site that is asked at a pace; once it may say when to ask again, within a minute."""

    def __init__(
        self,
        url: str,
        pace: Pace,
        timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS,
        sleep: Sleep = time.sleep,
    ) -> None:
        super().__init__(url, timeout_seconds)
        self._pace, self._sleep = pace, sleep

    @contextmanager
    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        form: Mapping[str, str] | None = None,
    ) -> Iterator[requests.Response]:
        """Ask in turn; what can be repeated is, once, if the site says after how many seconds."""
        self._pace.wait()
        with super().request(method, path, headers=headers, json=json, form=form) as response:
            seconds = soon(response) if method in REPEATABLE else None
            if seconds is None:
                yield response
                return
        self._sleep(seconds)
        self._pace.wait()
        with super().request(method, path, headers=headers, json=json, form=form) as response:
            yield response


def soon(response: requests.Response) -> int | None:
    """Return after how many seconds a site wants to be asked again; None: not within a minute."""
    said = response.headers.get("Retry-After", "")
    if response.status_code != THROTTLED or not (said.isascii() and said.isdecimal()):
        return None
    return int(said) if len(said) <= 2 and int(said) <= LONGEST_WAIT_SECONDS else None  # noqa: PLR2004 (digits)
