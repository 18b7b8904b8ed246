"""A small GitHub on loopback that acts on a rehearsal's own state, without any of its checks.

The issues, labels, protection and check runs of the upstream repository are those of the
rehearsal's tracker, and a locked branch refuses pushes; a workflow that is dispatched really
builds. Other repositories have issues only. What it answers, and what it is asked, is held against
GitHub's description by Prism, which stands before it.
"""

from __future__ import annotations

import http.server
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from services import github_standin_actions as actions
from services import github_standin_branches as branches
from services import github_standin_tracker as tracker
from services.github_standin_state import Asked, Place, Reply, Workflow, refused

API_VERSION = "2022-11-28"
TOKEN = "rehearsal-token"  # noqa: S105 (of a server on loopback)
ROUTES: tuple[tuple[str, str, Callable[[Place, Asked], Reply]], ...] = (
    *tracker.ROUTES,
    *branches.ROUTES,
    *actions.ROUTES,
)


@contextmanager
def github_standin(
    state: Path,
    *,
    repository: str = "python/cpython",
    workflow: Workflow | None = None,
    token: str = TOKEN,
) -> Iterator[str]:
    """Serve a rehearsal's folder; yield the address, without a slash at the end.

    `repository` is upstream. `workflow` says what is built when it is dispatched; None: nothing can
    be. Artifacts and logs come from a second server, which refuses whoever shows it a token.
    """
    tickets = Tickets()
    with _served(tickets.answer) as store:
        place = Place(
            state, repository, workflow, lambda data, kind: tickets.url(store, data, kind)
        )

        def answer(asked: Asked) -> Reply:
            if asked.headers.get("authorization") != f"Bearer {token}":
                return refused(401, "Bad credentials")
            if asked.headers.get("x-github-api-version") != API_VERSION:
                return refused(400, "no such version of the API")
            return _routed(place, asked)

        with _served(answer) as url:
            yield url


def _routed(place: Place, asked: Asked) -> Reply:
    parts = asked.path.strip("/").split("/")
    for method, route, act in ROUTES:
        wanted = route.strip("/").split("/")
        names = _fitting(wanted, parts)
        if method == asked.method and names is not None:
            return act(place, asked.with_names(names))
    return refused(404, "Not Found")


def _fitting(wanted: list[str], parts: list[str]) -> dict[str, str] | None:
    """Return what the words in braces of a route stand for; None if the path is another."""
    if len(wanted) != len(parts):
        return None
    pairs = list(zip(wanted, parts, strict=True))
    if any(not one.startswith("{") and one != two for one, two in pairs):
        return None
    return {one[1:-1]: unquote(two) for one, two in pairs if one.startswith("{")}


@dataclass
class Tickets:
    """Addresses that each give one content, for a while."""

    contents: dict[str, tuple[bytes, str]] = field(default_factory=dict)

    def url(self, host: str, data: bytes, kind: str) -> str:
        path = f"/{secrets.token_hex(8)}"
        self.contents[path] = (data, kind)
        return f"{host}{path}"

    def answer(self, asked: Asked) -> Reply:
        if "authorization" in asked.headers:
            return refused(400, "a token was sent to another host")
        data, kind = self.contents.get(asked.path, (b"", ""))
        return Reply(200, data, kind) if kind else refused(404, "no such ticket")


@contextmanager
def _served(answer: Callable[[Asked], Reply]) -> Iterator[str]:
    class Handler(_Handler):
        respond = staticmethod(answer)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    respond: Callable[[Asked], Reply]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing."""

    def handle_any(self) -> None:
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        asked = Asked(
            method=self.command,
            path=parts.path,
            query=dict(parse_qsl(parts.query)),
            headers={name.lower(): text for name, text in self.headers.items()},
            body=_read(body),
            host=f"http://{self.headers.get('Host', '127.0.0.1')}",
        )
        self._send(type(self).respond(asked))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 (as the base class calls them)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, text in reply.headers.items():
            self.send_header(name, text)
        if reply.kind:
            self.send_header("Content-Type", reply.kind)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body)


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
