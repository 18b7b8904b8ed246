"""A line to a server on this machine that breaks when it is told to, and counts what goes up.

It knows nothing of what it carries, so that it serves any protocol over TCP.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from services.running import HOST

PIECE = 1 << 14


@dataclass
class Wire:
    """A line that is up. `sent` is how many bytes went to the server, on all connections."""

    port: int
    _to: int
    sent: int = 0
    breaks: int = 0
    _budget: int | None = None
    _stalls: bool = False
    _pairs: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cut_after(self, count: int, *, stall: bool = False) -> None:
        """Break the line once, after so many more bytes; or say nothing more, for good."""
        self._budget, self._stalls = count, stall

    def mend(self) -> None:
        """Let everything through again, on new connections."""
        self._budget, self._stalls = None, False
        self.cut()

    def cut(self) -> None:
        """Break all connections now."""
        self.breaks += 1
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for one in (one for pair in pairs for one in pair):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection((HOST, self._to))
            except OSError:
                near.close()
                continue
            with self._lock:
                self._pairs.append((near, far))
            for way in ((near, far, True), (far, near, False)):
                threading.Thread(target=self._carry, args=way, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, up: bool) -> None:  # noqa: FBT001 (of a thread)
        with suppress(OSError):
            while piece := source.recv(PIECE):
                if up and not self._passes(len(piece)):
                    continue
                if not up and self._stalls and self._budget is not None and self._budget < 0:
                    continue
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _passes(self, size: int) -> bool:
        if self._budget is not None:
            self._budget -= size
            if self._budget < 0:
                if not self._stalls:
                    self._budget = None
                    self.cut()
                return False
        self.sent += size
        return True


@contextmanager
def wire(port: int) -> Iterator[Wire]:
    """Lay a line to a port of this machine."""
    with socket.create_server((HOST, 0)) as listener:
        line = Wire(listener.getsockname()[1], port)
        thread = threading.Thread(target=line.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield line
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            line.cut()
            thread.join(5)
