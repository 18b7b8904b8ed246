"""The cache in front of the python.org stand-in, as its CDN.

Like the real one it keeps what it once fetched, also an answer that there is no such file, until
exactly that URL is purged. It keeps it for ever: the real lifetimes (an hour for a 404, seven days
for a page, five years for a file) are all longer than a rehearsal. It dies with its process.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from relkit.rehearsal.site_http import Call, Reply

HELD_BYTES = 4_000_000
"""Files up to this size are kept as bytes, larger ones as an open file."""
ENTRIES = 500
STATUSES = frozenset({200, 301, 302, 404})


class Cache:
    """Answers to GET by path and query."""

    def __init__(self) -> None:
        self._entries: dict[str, Reply] = {}
        self._lock = threading.Lock()
        self._purges = 0

    def get(self, key: str) -> Reply | None:
        """Return the answer kept under a key.

        A large file that was written into (not replaced) is gone, so it counts as not kept.
        """
        with self._lock:
            kept = self._entries.get(key)
            if kept is not None and kept.file is not None and not kept.file.unchanged():
                del self._entries[key]
                return None
            return kept

    def mark(self) -> int:
        """Return how many purges there were; take it before asking the origin."""
        with self._lock:
            return self._purges

    def put(self, key: str, reply: Reply, mark: int) -> None:
        """Keep an answer, unless something was purged since `mark`: it could be an old one."""
        if reply.status not in STATUSES:
            return
        if reply.file is not None and reply.file.size <= HELD_BYTES:
            reply = replace(reply, body=reply.file.read(), file=None)
        with self._lock:
            if mark == self._purges:
                self._entries[key] = reply
                if len(self._entries) > ENTRIES:
                    del self._entries[next(iter(self._entries))]

    def purge(self, key: str) -> None:
        """Forget one address."""
        with self._lock:
            self._purges += 1
            self._entries.pop(key, None)

    def purge_under(self, prefix: str) -> None:
        """Forget all addresses with a prefix: what the site does with a surrogate key."""
        with self._lock:
            self._purges += 1
            for key in [key for key in self._entries if key.startswith(prefix)]:
                del self._entries[key]


def cache_key(call: Call) -> str:
    """Return the path, and the query where it counts: below /ftp/ it is cut off."""
    if not call.query or call.path.startswith("/ftp/"):
        return call.path
    return call.path + "?" + "&".join(f"{name}={value}" for name, value in call.query)
