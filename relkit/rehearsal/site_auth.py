"""Keys and request limits of the two APIs of the python.org stand-in."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from relkit.rehearsal.site_http import Call
from relkit.rehearsal.site_store import Store, User


@dataclass(frozen=True)
class Limits:
    """How many requests the site lets through; the defaults are its own."""

    v1_per_hour: int = 600
    v2_per_day: int = 3000
    v2_anonymous_per_day: int = 100


class BadKeyError(Exception):
    """There are credentials, and they are nobody's."""


def v1_user(store: Store, call: Call) -> User | None:
    """Return who calls v1; None: nobody in particular."""
    asked = {name for name, _ in call.query}
    header = call.headers.get("authorization")
    if asked & {"username", "api_key"}:
        raise BadKeyError
    if header is None:
        return None
    scheme, _, rest = header.partition(" ")
    name, _, key = rest.partition(":")
    user = store.user("v1_key", key) if ":" not in key else None
    if scheme.lower() != "apikey" or user is None or user.name != name:
        raise BadKeyError
    return user


def v2_user(store: Store, call: Call) -> User | None:
    """Return who calls v2; other schemes than its own are not looked at."""
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "token":
        return None
    user = store.user("v2_token", token.strip())
    if user is None:
        raise BadKeyError
    return user


class Throttle:
    """A limit for each identity in a sliding window.

    It is kept in memory: a rehearsal started anew has its whole allowance again.
    """

    def __init__(self, window: timedelta, clock: Callable[[], datetime]) -> None:
        self._window = window
        self._clock = clock
        self._times: dict[str, list[datetime]] = defaultdict(list)

    def wait_seconds(self, identity: str, limit: int) -> int:
        """Return how long the identity must wait; 0: not at all."""
        start = self._clock() - self._window
        times = [time for time in self._times[identity] if time > start]
        self._times[identity] = times
        if len(times) < limit:
            return 0
        return max(1, math.ceil((times[-limit] - start).total_seconds()))

    def count(self, identity: str) -> None:
        """Count one request."""
        self._times[identity].append(self._clock())
