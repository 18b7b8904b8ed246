"""The HTTP server of the python.org stand-in: sockets, threads, nothing about the site."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from relkit.rehearsal.site_http import Call, Reply

Handle = Callable[[Call], Reply | None]
MAX_BODY_BYTES = 32 * 1024 * 1024
IDLE_SECONDS = 60
STOP_SECONDS = 5


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "relkit-rehearsal", ""
    wbufsize = -1  # headers and body in one packet
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    handle_call: Handle

    def _serve(self) -> None:
        call = self._call()
        reply = Reply(413) if call is None else self._reply(call)
        if reply is None:
            self.close_connection = True
        else:
            self._send(reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_PURGE = _serve  # noqa: N815 (http.server asks for these names)

    def _call(self) -> Call | None:
        length = self.headers.get("Content-Length", "0")
        if (
            not length.isdecimal()
            or int(length) > MAX_BODY_BYTES
            or "Transfer-Encoding" in self.headers
        ):
            self.close_connection = True
            return None
        parts = urlsplit(self.path)
        return Call(
            self.command,
            unquote(parts.path),
            tuple(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(int(length)),
            self.client_address[0],
        )

    def _reply(self, call: Call) -> Reply | None:
        try:
            return type(self).handle_call(call)
        except Exception:  # noqa: BLE001 (a server answers whatever happens; the cause is printed)
            self.server.handle_error(self.request, self.client_address)
            return Reply.text(500, "<!doctype html><title>Server Error (500)</title>")

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        headers = {"Content-Type": reply.content_type, "Content-Length": str(reply.size)}
        fixed = {"X-Rehearsal": "not python.org", "X-Content-Type-Options": "nosniff"}
        for name, value in (headers | fixed | dict(reply.headers)).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        for chunk in [reply.body] if reply.file is None else reply.file.chunks():
            self.wfile.write(chunk)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is inherited)
        """Print nothing: the notebook it may run beside has its own record."""


class Server(ThreadingHTTPServer):
    """Serves on a free port of 127.0.0.1, in threads of its own."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handle: Handle) -> None:
        handler = type("_BoundHandler", (_Handler,), {"handle_call": staticmethod(handle)})
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def server_bind(self) -> None:
        """Bind without asking for the machine's name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.socket.getsockname()[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and end the connections that are open."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        self.server_close()
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the client was quicker
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, STOP_SECONDS)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (inherited)
        """Remember the connection while it lasts."""
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 (inherited)
        """Forget the connection."""
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (inherited)
        """Print the cause, unless the client just went away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
