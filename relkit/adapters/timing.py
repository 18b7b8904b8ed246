"""By how much this machine's clock differs from that of a server it talks to."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests

TIMEOUT_SECONDS = 10.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def seconds_ahead(url: str) -> float | None:
    """Return by how many seconds the clock here is ahead of the server's; None: it says no time.

    The header Date of any answer is read, also of a refusal; it has whole seconds. Half of the
    time the answer took is taken off.
    """
    try:
        with requests.Session() as session:
            session.trust_env = urlsplit(url).hostname not in LOOPBACK
            before = datetime.now(UTC)
            answer = session.head(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
            after = datetime.now(UTC)
        theirs = parsedate_to_datetime(answer.headers["Date"])
    except (requests.RequestException, KeyError, ValueError):
        return None
    if theirs.tzinfo is None:  # "-0000": the zone is not known
        theirs = theirs.replace(tzinfo=UTC)
    return (before + (after - before) / 2 - theirs).total_seconds()


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """Return the present time, UTC, whole seconds."""
        return datetime.now(UTC).replace(microsecond=0)
