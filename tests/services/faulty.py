"""A proxy on loopback that does to a service what networks and services do.

Faults have the names of `faults.FAULTS`. Without one, calls are passed on as they are, and noted.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from relkit.errors import ReleaseError

HOLD_SECONDS = 5.0
"""How long a call that times out is held; clients in tests wait for less."""
UPSTREAM_SECONDS = 180.0
"""For the service itself, which may be slow on a machine that has much to do."""
HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host"}
READS = {"GET", "HEAD"}
BAD, NOTHING = 400, 204
STATUSES = {
    "401": 401,
    "403": 403,
    "404": 404,
    "409": 409,
    "429": 429,
    "500 without effect": 500,
}
WRITES = (
    "time-out before the effect",
    "time-out after the effect",
    "connection cut in an upload",
    *("401", "403", "404", "409", "429"),
    "500 without effect",
    "500 with effect",
    "HTML instead of JSON",
    "truncated body",
)
"""What can happen to a call that writes."""
PAGE = b"<!doctype html><html><title>Sorry</title><p>Something is being repaired.</html>"


@dataclass(frozen=True)
class Call:
    """A call that reached the proxy; `upstream` is what the service answered (0: not asked)."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    upstream: int


@dataclass
class Fault:
    """What happens to the next `times` calls it fits, after `skip` of them went well."""

    name: str
    method: str
    path: str
    times: int
    skip: int
    effect: bool
    headers: dict[str, str]

    def takes(self, method: str, path: str) -> bool:
        """Tell whether it strikes this call, and count it."""
        if self.times == 0 or self.method not in {"", method} or self.path not in path:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class Faulty:
    """The proxy; `url` is its address, without a slash at the end.

    A call that times out is held for `hold_seconds`, and then cut off.
    """

    upstream: str
    url: str = ""
    hold_seconds: float = HOLD_SECONDS
    calls: list[Call] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    seen: dict[str, Answer] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)
    """Set once a call is held: what it was to have done, it has done."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(  # noqa: PLR0913 (each says which call is meant, or what comes of it)
        self,
        name: str,
        *,
        method: str = "",
        path: str = "",
        times: int = 1,
        skip: int = 0,
        effect: bool = False,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Let the next calls of a method (any, if empty) to a path that contains `path` go wrong.

        `headers` are added to the answer (``{"Retry-After": "7"}``). HTML comes without an effect
        unless `effect`. ``stale cache for three cycles`` strikes reads only: they are answered as
        that address was answered before, or by 404 if it never was; with `effect` that is passed
        on, as caches do. ``clock skew`` gives a date of the past, or the one in `headers`.
        """
        if name.startswith("stale"):
            method, times = method or "GET", max(times, 3) if times == 1 else times
        made = Fault(name, method, path, times, skip, effect, headers or {})
        with self.lock:
            self.faults.append(made)

    def clear(self) -> None:
        """End all faults."""
        with self.lock:
            self.faults.clear()

    def effects(self, method: str = "", path: str = "") -> int:
        """Count the writes that the service carried out, of a method to paths containing `path`."""
        return sum(
            0 < call.upstream < BAD
            and call.method not in READS
            and method in {"", call.method}
            and path in call.path
            for call in self.calls
        )

    def asked(self, method: str = "", path: str = "") -> list[Call]:
        """Return the calls that came, whatever became of them."""
        return [one for one in self.calls if method in {"", one.method} and path in one.path]

    def strike(self, method: str, path: str) -> Fault | None:
        """Return the fault that strikes a call."""
        with self.lock:
            return next((one for one in self.faults if one.takes(method, path)), None)


def refusal(act: Callable[[], object]) -> ReleaseError | None:
    """Return what a call is refused with, if it is."""
    try:
        act()
    except ReleaseError as error:
        return error
    return None


@contextmanager
def faulty(upstream: str) -> Iterator[Faulty]:
    """Stand before the service at an address ``http://127.0.0.1:PORT``; ended with the block."""
    proxy = Faulty(upstream.rstrip("/"))

    class Handler(_Handler):
        state = proxy

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.over.set()
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    state: Faulty
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing: calls are noted."""

    def handle_any(self) -> None:
        self.close_connection = True
        length = int(self.headers.get("Content-Length") or 0)
        fault = self.state.strike(self.command, self.path)
        name = fault.name if fault else ""
        if name == "connection cut in an upload":
            self._note(self.rfile.read(length // 2), 0)
            return
        body = self.rfile.read(length)
        if fault is None:
            self._send(self._passed_on(body))
        elif name in STATUSES:
            self._note(body, 0)
            self._send(_refusal(STATUSES[name], fault))
        elif name == "time-out before the effect":
            self._note(body, 0)
            self._hold()
        elif name.startswith("stale"):
            self._stale(fault, body)
        else:
            self._spoilt(fault, body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_PURGE = handle_any  # noqa: N815 (the base class looks for these)

    def _hold(self) -> None:
        self.state.held.set()
        self.state.over.wait(self.state.hold_seconds)

    def _stale(self, fault: Fault, body: bytes) -> None:
        """Answer a read as its address was answered before."""
        old = self.state.seen.get(self.path)
        if old is None and fault.effect:
            self._send(self._passed_on(body))
            return
        self._note(body, 0)
        self._send(old or _refusal(404, fault))

    def _spoilt(self, fault: Fault, body: bytes) -> None:
        """Let the service act, or not, and spoil its answer."""
        html = Answer(200, [("Content-Type", "text/html; charset=utf-8")], PAGE)
        if fault.name == "HTML instead of JSON" and not fault.effect:
            self._note(body, 0)
            self._send(html)
            return
        answer = self._passed_on(body)
        if fault.name == "time-out after the effect":
            self._hold()
        elif fault.name == "500 with effect":
            self._send(_refusal(500, fault))
        elif fault.name == "truncated body":
            self._send(answer, cut=True)
        elif fault.name == "wrong digest":
            self._send(Answer(answer.status, answer.headers, _changed(answer.body)))
        elif fault.name == "clock skew":
            date = fault.headers.get("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
            self._send(answer, date=date)
        elif fault.name == "HTML instead of JSON":
            self._send(html)
        else:
            raise AssertionError(f"no proxy does this: {fault.name}")

    def _passed_on(self, body: bytes) -> Answer:
        parts = urlsplit(self.state.upstream)
        connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port, timeout=UPSTREAM_SECONDS
        )
        headers = {name: text for name, text in self.headers.items() if name.lower() not in HOP}
        with contextlib.closing(connection):
            # The service makes addresses in its answers from the name it is called by: ours.
            headers["Host"] = self.headers.get("Host", parts.netloc)
            connection.request(self.command, parts.path + self.path, body or None, headers)
            response = connection.getresponse()
            content = response.read()
        kept = [(name, text) for name, text in response.getheaders() if name.lower() not in HOP]
        answer = Answer(response.status, kept, content)
        self._note(body, response.status)
        if self.command == "GET":
            self.state.seen[self.path] = answer
        return answer

    def _note(self, body: bytes, status: int) -> None:
        headers = {name.lower(): text for name, text in self.headers.items()}
        call = Call(self.command, self.path, headers, body, status)
        with self.state.lock:
            self.state.calls.append(call)

    def _send(self, answer: Answer, *, cut: bool = False, date: str = "") -> None:
        with contextlib.suppress(ConnectionError):  # whoever asked has given up
            # What has no body cannot be cut off in it.
            self.send_response_only(200 if cut and answer.status == NOTHING else answer.status)
            for name, text in answer.headers:
                if name.lower() not in {"content-length", "date" if date else ""}:
                    self.send_header(name, text)
            if date:
                self.send_header("Date", date)
            length = len(answer.body) or (2 if cut else 0)  # cut is also what had nothing to say
            if self.command == "HEAD":  # there is no body, and its length is told all the same
                told = {name.lower(): text for name, text in answer.headers}
                length = int(told.get("content-length", 0))
            if answer.status != NOTHING or cut:
                self.send_header("Content-Length", str(length))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body[: length // 2] if cut else answer.body)


def _refusal(status: int, fault: Fault) -> Answer:
    headers = {"Content-Type": "application/json"}
    if status == STATUSES["429"]:
        headers["Retry-After"] = "7"
    words = f'{{"message": "injected: {fault.name}", "status": "{status}"}}'
    return Answer(status, [*(headers | fault.headers).items()], words.encode())


def _changed(body: bytes) -> bytes:
    """Return other bytes of the same length."""
    return bytes([*body[:-1], body[-1] ^ 1]) if body else body
