"""The public side of python.org behind a content delivery network, which keeps what it has seen.

A purge is believed only when it shows: a file has the bytes that the origin has, a page or listing
was made by the origin after the purge was begun, which its header ``Age`` tells. Only the network's
places near this machine are seen; others can be behind for hours, so look again later (I52).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import requests

from relkit.adapters.cdn_purge import Progress, Purger
from relkit.adapters.pacing import Pace, PacedWeb, Sleep
from relkit.adapters.public import GONE, NOT_FOUND, OK, PublicSite, Verify, checked, summed
from relkit.adapters.purge_notes import Clocks, Moment, Notes
from relkit.adapters.web import MAX_TEXT_BYTES, TIMEOUT_SECONDS, content_type, quoted
from relkit.errors import WorldError
from relkit.ports import Downloads
from relkit.values import Fetched

Origin = Callable[[tuple[str, ...]], Mapping[str, tuple[int, str] | None]]
"""For public paths of files: size and SHA-256 of each as it lies on the download server."""

PURGES = 3
"""How often what is still old is purged again before a person has to look."""
PAUSE_SECONDS = 4.0
"""Before looking anew the first time; then twice as long each time."""
SETTLE_SECONDS = 1.0
"""``Age`` has whole seconds; so much before the first call the time is noted."""
THREADS = 4
PER_SECOND = 8.0
"""python.org counts more than ten calls a second as an attack."""
ANSWERS = frozenset({OK, 301, 302, 303, 307, 308, NOT_FOUND, GONE})
BUSY, FAILURES = 429, 500


class Doubt(NamedTuple):
    """Why a path is not proven; not `old`: it could not be seen."""

    words: str
    old: bool


class CdnSite(PublicSite):
    """The site at `base_url` as its readers get it, through the network's cache.

    `origin` tells what lies on the download server (`origin_of`). `notes` is a file of this run
    alone, in which is kept what was purged when, with the ids of the answers. `api`, `service`,
    `key` and `denied` are as `Purger` has them. The deadline counts from each `purged`, by the
    machine's clock of `clocks`. `progress` is told ``3 of 130: …``.
    """

    def __init__(  # noqa: PLR0913 (each is another fact about the world)
        self,
        base_url: str,
        *,
        verify: Verify,
        origin: Origin,
        notes: Path,
        key: Callable[[], str],
        api: str = "https://api.fastly.com/",
        service: str = "",
        denied: Callable[[], None] = lambda: None,
        deadline_seconds: float = 600,
        per_second: float = PER_SECOND,
        timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS,
        progress: Progress = lambda _: None,
        clocks: Clocks | None = None,
        sleep: Sleep = time.sleep,
    ) -> None:
        super().__init__(base_url, verify=verify, origin_headers={})
        pace = Pace(per_second, sleep)
        self._web = site = PacedWeb(base_url, pace, timeout_seconds, sleep)
        interface = PacedWeb(api, pace, timeout_seconds, sleep)
        self._purger = Purger(site, interface, service, key, denied)
        self._notes = Notes(notes, clocks or Clocks())
        self._now = self._notes.clocks.machine
        self._origin, self._progress, self._sleep = origin, progress, sleep
        self._deadline = deadline_seconds

    def fetch(self, *, path: str) -> Fetched:
        """Get a path whole; a redirect is an answer like another, and is not followed."""
        self._progress(f"read {path}")
        return super().fetch(path=path)

    def purge(self, *, paths: tuple[str, ...]) -> None:
        """Ask the cache to forget these paths; all are asked before a refusal is raised."""
        for path in paths:
            checked(path)
        self._notes.begin(paths)
        self._sleep(SETTLE_SECONDS)
        self._purge(paths)

    def purged(self, *, paths: tuple[str, ...]) -> bool:
        """Tell whether it shows that these paths were forgotten after `purge` was called for them.

        What is old is purged again; False only if exactly these paths were never asked for. Raises
        `WorldError` (``CDN_STALE``, ``CDN_UNSEEN``) where it does not show within the deadline.
        """
        for path in paths:
            checked(path)
        since = self._notes.begun(paths)
        if since is None:
            return False
        end, pause = self._now() + self._deadline, PAUSE_SECONDS
        truth = self._origin(tuple(path for path in paths if not path.endswith("/")))
        doubts = self._look(paths, truth, since, end)
        for _ in range(PURGES):
            if not doubts or self._now() + pause > end:
                break
            self._sleep(pause)
            pause *= 2
            if old := tuple(path for path, doubt in doubts.items() if doubt.old):
                self._purge(old)
            doubts = self._look(tuple(doubts), truth, since, end)
        self._require(doubts, len(paths))
        return True

    def _purge(self, paths: tuple[str, ...]) -> None:
        asked = self._purger.ask(paths, self._progress)
        self._notes.answered(asked.ids)
        asked.require(len(paths))

    def _look(
        self,
        paths: tuple[str, ...],
        truth: Mapping[str, tuple[int, str] | None],
        since: Moment,
        end: float,
    ) -> dict[str, Doubt]:
        """Fetch paths, a few at a time; return what is not proven of them."""

        def in_time() -> None:
            if self._now() > end:
                raise WorldError(
                    "no time was left for it", code="CDN_UNSEEN", remedy="Run it again."
                )

        def look(path: str) -> Doubt | None:
            try:
                in_time()
                if path in truth:
                    return self._file(path, truth[path], in_time)
                return self._page(path, since, in_time)
            except WorldError as error:
                return Doubt(str(error), old=False)

        found = {}
        with ThreadPoolExecutor(THREADS) as pool:
            looks = zip(paths, pool.map(look, paths), strict=True)
            for number, (path, doubt) in enumerate(looks, 1):
                self._progress(f"{number} of {len(paths)}: read {path}")
                if doubt is not None:
                    found[path] = doubt
        return found

    def _file(
        self, path: str, truth: tuple[int, str] | None, in_time: Callable[[], None]
    ) -> Doubt | None:
        """Compare a file with what the origin has."""
        limit = max(truth[0] if truth else 0, MAX_TEXT_BYTES)
        with self._web.request("GET", checked(path)) as response:
            status = response.status_code
            got = summed(response, limit, each=in_time) if status == OK else None
            if _unseen(status):
                return Doubt(f"answered {status}", old=False)
            if truth is None and status in {NOT_FOUND, GONE}:
                return None
            if got is not None and got == truth:
                return None
            found, there = (f"{x[0]} bytes, {x[1]}" if x else "no file" for x in (got, truth))
            more = "more than the " if got and got[0] > limit else ""
            kind = " text/html" if content_type(response) == "text/html" else ""
            if packed := quoted(response.headers.get("Content-Encoding", "")):
                kind += f" packed by {packed}"
            words = f"the public gets {status}{kind}, {more}{found}; the origin has {there}"
            return Doubt(f"{words}; age {_age_in_words(response)}", old=True)

    def _page(self, path: str, since: Moment, in_time: Callable[[], None]) -> Doubt | None:
        """Look whether an answer was made by the origin after the purge was begun."""
        gone_by = self._notes.clocks.since(since)
        with self._web.request("GET", checked(path)) as response:
            _, digest = summed(response, MAX_TEXT_BYTES, each=in_time)
            status, age = response.status_code, _age(response)
            if status not in ANSWERS:
                return Doubt(f"answered {status}", old=not _unseen(status))
            # What is 5 seconds old by its header may be nearly 6.
            if age is not None and age + 1 <= gone_by:
                return None
            words = f"the public gets {status}, {digest}"
            ages = f"age {_age_in_words(response)}, purged {gone_by:.0f} s ago"
            return Doubt(f"{words}; {ages}", old=True)

    def _require(self, doubts: dict[str, Doubt], total: int) -> None:
        if not doubts:
            return
        lines = "; ".join(
            f"{path}: {doubt.words}{self._ids(path)}" for path, doubt in doubts.items()
        )
        if any(doubt.old for doubt in doubts.values()):
            raise WorldError(
                f"{len(doubts)} of {total} paths do not show what the origin has: {lines}",
                code="CDN_STALE",
                remedy="Ask the infrastructure team to purge these addresses, with the ids of the "
                "purges; then run the step again.",
            )
        raise WorldError(
            f"{len(doubts)} of {total} paths could not be looked at: {lines}",
            code="CDN_UNSEEN",
            remedy="Look whether the site can be reached, then run the step again.",
        )

    def _ids(self, path: str) -> str:
        found = self._notes.ids(path)
        return f" (purges {', '.join(found)})" if found else ""


def origin_of(downloads: Downloads) -> Origin:
    """Return how to look at the files of a download server, below the path of their address."""

    def origin(paths: tuple[str, ...]) -> dict[str, tuple[int, str] | None]:
        stored = downloads.placed_all(paths=tuple(path[1:] for path in paths)) if paths else {}
        found = ((path, stored[path[1:]]) for path in paths)
        return {path: (x.artifact.size, x.artifact.sha256) if x else None for path, x in found}

    return origin


def _unseen(status: int) -> bool:
    return status >= FAILURES or status == BUSY


def _age(response: requests.Response) -> int | None:
    """Return for how many seconds caches have had an answer; None: they do not say so.

    An answer that comes straight from the origin says 0 here: the cache adds the header always.
    """
    said = response.headers.get("Age", "").strip()
    return int(said) if said.isascii() and said.isdecimal() and len(said) <= 10 else None  # noqa: PLR2004 (digits)


def _age_in_words(response: requests.Response) -> str:
    age = _age(response)
    return "not told" if age is None else f"{age} s"
