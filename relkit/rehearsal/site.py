"""An embedded stand-in for python.org: its downloads APIs, pages, file server and cache.

It keeps the rules a client has to live with (statuses, error texts, what is ignored, limits) and
shows pages one can look at. It listens on 127.0.0.1 only. What it does not keep: the lifetimes of
the cache, ``Cache-Control`` for browsers (the real one would let a browser keep a page for a week),
and pages other than those of downloads.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, cast
from urllib.parse import quote

from relkit.errors import UsageError
from relkit.rehearsal.site_admin import Admin
from relkit.rehearsal.site_auth import Limits
from relkit.rehearsal.site_cache import Cache, cache_key
from relkit.rehearsal.site_fields import Row, Table
from relkit.rehearsal.site_http import Call, Reply
from relkit.rehearsal.site_model import Model
from relkit.rehearsal.site_pages import Pages, latest_target, relative_href, static
from relkit.rehearsal.site_server import Server
from relkit.rehearsal.site_store import STAFF, Store
from relkit.rehearsal.site_v1 import V1
from relkit.rehearsal.site_v2 import V2

API = re.compile(r"/api/(v1|v2)/downloads/(os|release|release_file)/(?:([^/]+)/)?")
PAGE = re.compile(r"/downloads/(?:(release|latest)/([^/]+)/|(?!release/)([^/]+)/)?")
LATEST = re.compile(r"python2|python3(?:\.\d+)?|prerelease|pymanager", flags=re.ASCII)
ORIGIN_HEADER = "X-Rehearsal-Origin"
"""Sent with ``1``, the answer comes from behind the cache."""


@dataclass
class Fault:
    """A failure to happen once, to the next call with this method and start of path.

    With `effect` the call is carried out first. The client then gets `reply`, or None: the
    connection is dropped; before that it waits `stall_seconds`.
    """

    method: str
    path: str
    reply: Reply | None = None
    effect: bool = True
    stall_seconds: float = 0


def _now() -> datetime:
    return datetime.now(UTC)


class Site:
    """The stand-in; it serves while the `with` block lasts.

    `public` holds ``ftp/``, `docs` what is served below ``/docs/``; both may be empty or missing.
    `v1_key` and `v2_token` are secrets, made at the first start.
    """

    def __init__(
        self,
        database: Path,
        public: Path,
        docs: Path,
        *,
        limits: Limits | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._public, self._docs = public, docs
        self._store = Store(database)
        self.cache = Cache()
        self._model = model = Model(self._store, self.cache, clock)
        self._pages = Pages(self._store)
        self._admin = Admin(model, self._pages)
        self._apis: dict[str, V1 | V2] = {
            "v1": V1(model, limits or Limits()),
            "v2": V2(model, limits or Limits()),
        }
        self.faults: list[Fault] = []
        self.log: deque[tuple[str, str, int]] = deque(maxlen=1000)
        """Method, path and status of the last calls; status 0: the connection was dropped."""
        self._closing = threading.Event()
        self._server = Server(self.handle)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving and close the database."""
        self._closing.set()
        self._server.stop()
        self._store.close()

    @property
    def url(self) -> str:
        """The address, with a final slash."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    @property
    def v1_key(self) -> str:
        """User and key for v1, with a colon between them. Secret."""
        return f"{STAFF}:{self._store.secret(STAFF, 'v1_key')}"

    @property
    def v2_token(self) -> str:
        """The token for v2. Secret."""
        return self._store.secret(STAFF, "v2_token")

    @property
    def purges(self) -> list[tuple[str, str]]:
        """The calls (method, URL) the real site would have made to its CDN, oldest first."""
        return self._store.purges()

    def releases(self) -> list[Row]:
        """Return all release rows, drafts included."""
        return self._store.rows("release")

    def seed(self, row: Row, text: str) -> None:
        """Add a release with its page text that was there before, unless it is."""
        with self._store.write():
            if self._pages.row(row["slug"]) is None:
                number = self._model.save("release", row)
                self._store.set_content(number, text)

    def content(self, slug: str) -> str | None:
        """Return the page text (markdown) of a release."""
        row = self._pages.row(slug)
        return None if row is None else str(row["content"])

    def export_page(self, slug: str, folder: Path) -> Path:
        """Write a release's page to ``<folder>/<slug>.html``, to look at without the server."""
        html = self._pages.exported(slug, relative_href(self._public, folder))
        if html is None:
            raise UsageError(
                f"the site has no release {slug!r}",
                code="SITE_MISSING",
                remedy="Export the page after the release was added.",
            )
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{slug}.html"
        written = target.with_suffix(".part")
        written.write_text(html, encoding="utf-8")
        return written.replace(target)

    def handle(self, call: Call) -> Reply | None:
        """Answer a call; None: drop the connection."""
        fault = next((f for f in self.faults if _hit(f, call)), None)
        if fault is None:
            reply: Reply | None = self._respond(call)
        else:
            self.faults.remove(fault)
            if fault.effect:
                self._respond(call)
            reply = fault.reply
        self.log.append((call.method, call.path, reply.status if reply else 0))
        if fault is not None:
            self._closing.wait(fault.stall_seconds)
        return reply

    def _respond(self, call: Call) -> Reply:
        if call.method == "PURGE":
            self.cache.purge(cache_key(call))
            return Reply.json(200, {"status": "ok", "id": f"rehearsal-{time.monotonic_ns()}"})
        if call.path.startswith("/api/"):
            return self._api(call)
        if call.path.startswith("/admin/"):
            return self._admin.answer(call) or self._missing()
        if not call.is_read:
            return Reply(405, headers={"Allow": "GET, HEAD"})
        if call.headers.get(ORIGIN_HEADER.lower()) == "1":
            return self._page(call.path)
        return self._cached(call)

    def _api(self, call: Call) -> Reply:
        if not call.path.endswith("/"):
            query = "&".join(f"{quote(name)}={quote(value)}" for name, value in call.query)
            location = quote(call.path + "/") + (f"?{query}" if query else "")
            return Reply(301, headers={"Location": location})
        found = API.fullmatch(call.path)
        if found is None:
            return self._missing()
        version, table, rest = found.groups()
        return self._apis[version].answer(call, cast("Table", table), rest or "")

    def _cached(self, call: Call) -> Reply:
        key, mark = cache_key(call), self.cache.mark()
        reply = self.cache.get(key)
        hit = reply is not None
        if reply is None:
            reply = self._page(call.path)
            self.cache.put(key, reply, mark)
        return replace(reply, headers={**reply.headers, "X-Cache": "HIT" if hit else "MISS"})

    def _page(self, path: str) -> Reply:
        if path.startswith("/ftp/"):
            return static(self._pages, self._public, path) or self._missing()
        if path.startswith("/docs/"):
            return static(self._pages, self._docs, path.removeprefix("/docs")) or self._missing()
        if path == "/":
            return Reply(302, headers={"Location": "/downloads/"})
        if PAGE.fullmatch(path + "/"):
            return Reply(301, headers={"Location": quote(path + "/")})
        found = PAGE.fullmatch(path)
        if found is None:
            return self._missing()
        return self._downloads(found[1] or "", found[2] or found[3] or "") or self._missing()

    def _downloads(self, kind: str, name: str) -> Reply | None:
        if kind == "release":
            return self._pages.release(name)
        if not kind and name != "latest":
            return self._pages.system(name) if name else self._pages.downloads()
        name = name if kind else "python3"
        if LATEST.fullmatch(name) is None:
            return None
        if name == "pymanager":  # the real one stumbles where there is no such release
            return self._pages.message(500, "Server error", "There is no such release.")
        slug = latest_target(self._store, name)
        return Reply(
            302, headers={"Location": f"/downloads/release/{slug}/" if slug else "/downloads/"}
        )

    def _missing(self) -> Reply:
        return self._pages.message(404, "Not found", "There is nothing at this address.")


def _hit(fault: Fault, call: Call) -> bool:
    return call.method == fault.method and call.path.startswith(fault.path)
