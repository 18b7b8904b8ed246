"""One server by OpenSSH's `ssh` and `sftp`: one connection, remote commands, and file transfer.

No name ever stands in a remote command line (T41): those are fixed, and take names on their
standard input, each ended by NUL; changes are made by SFTP, whose commands hold checked names.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from relkit.adapters.git_command import said
from relkit.adapters.ssh_process import ECHO, Ran, called
from relkit.adapters.ssh_refusals import Pin, refusal
from relkit.errors import WorldError

LOST = 255
"""What ssh and sftp end with where the connection failed, not the remote command."""
IDLE_SECONDS = 120
"""How long a connection outlives a process that was killed."""
PIECE_BYTES = 255 << 10
"""The most that OpenSSH's server takes in one request."""


def nul(names: Iterable[str]) -> bytes:
    """Return names as standard input of a fixed command: each ended by NUL."""
    return b"".join(name.encode() + b"\0" for name in names)


class SshPlace:
    """One server. The connection is made at first use, and again after it was lost.

    Raises `WorldError`: ``HOSTKEY``, ``SSH_UNREACHABLE``, ``SSH_DENIED``, ``TOOL_MISSING``.
    """

    def __init__(self, config: Path, pin: Pin) -> None:
        self.pin = pin
        # Below the folder of the configuration, the name could be too long for a socket.
        sockets = Path(tempfile.mkdtemp(prefix="relkit-ssh-"))
        self._socket = sockets / "s"
        self._shared = ("-F", str(config), "-o", f"ControlPath={self._socket}")
        self._known = config.with_name("known_hosts")
        leave = ["ssh", *self._shared, "-O", "exit", "--", self._target]
        self._leave = weakref.finalize(self, _left, sockets, leave)

    @property
    def _target(self) -> str:
        return f"{self.pin.user}@{self.pin.host}" if self.pin.user else self.pin.host

    def __str__(self) -> str:
        return f"{self.pin.user}@{self.pin.name}" if self.pin.user else self.pin.name

    def run(self, argv: Sequence[str], stdin: bytes = b"") -> Ran:
        """Run a fixed command; all that varies is given by `stdin`. The caller judges the status.

        `argv` are constants of relkit's own, joined by blanks for the shell of the server.
        """
        self.connect()
        port = ("-p", str(self.pin.port))
        done = called(["ssh", *self._shared, *port, "-T", "--", self._target, *argv], stdin)
        if done.status == LOST or done.status < 0:
            self._lost(done)
        return done

    def asked(self, argv: Sequence[str], stdin: bytes = b"") -> bytes:
        """Run a fixed command that must end with status 0; return its output.

        What it says on standard error is no failure (I08). Raises ``REMOTE_FAILED``.
        """
        done = self.run(argv, stdin)
        if done.status:
            raise failed(str(self), " ".join(argv[:3]), done)
        return done.out

    def sftp(
        self,
        commands: Sequence[str],
        *,
        folder: Path | None = None,
        begun: Callable[[str], None] | None = None,
    ) -> Ran:
        """Run sftp's commands in order; the first that fails ends them, and gives status 1.

        Local names are relative to `folder`. `begun` is told each command when it begins.
        A command with ``-`` before it may fail. All words are of checked, narrow grammars.
        """
        self.connect()
        port = ("-P", str(self.pin.port))
        argv = [
            "sftp",
            "-q",
            "-B",
            str(PIECE_BYTES),
            *self._shared,
            *port,
            "-b",
            "-",
            "--",
            self._target,
        ]
        text = "".join(f"{one}\n" for one in commands).encode("ascii")
        done = called(argv, text, folder=folder, begun=begun)
        if _is_lost(done) and not _has_begun(done) and not self.run(("true",)).status:
            done = called(argv, text, folder=folder, begun=begun)
            if _is_lost(done) and not _has_begun(done):
                raise refusal(self.pin, f"subsystem request failed: no SFTP there; {done.err}")
        if _is_lost(done):
            self._lost(done)
        return done

    def connect(self) -> None:
        """Make the connection, unless it is there."""
        port = ("-p", str(self.pin.port))
        if self._socket.exists():
            return  # where nobody answers there, a call makes a connection of its own
        master = ("-o", "ControlMaster=yes", "-o", f"ControlPersist={IDLE_SECONDS}", "-f", "-N")
        done = called(["ssh", *self._shared, *master, *port, "--", self._target], b"")
        if done.status:
            raise refusal(self.pin, done.err)

    def close(self) -> None:
        """End the connection; the next call makes another one."""
        if self._socket.exists():
            called(["ssh", *self._shared, "-O", "exit", "--", self._target], b"")
            self._socket.unlink(missing_ok=True)

    def _lost(self, done: Ran) -> None:
        self.close()
        raise refusal(self.pin, done.err)


def _is_lost(done: Ran) -> bool:
    """Tell whether the connection broke; while it writes, sftp is then ended by SIGPIPE."""
    return done.status == LOST or done.status < 0 or "Connection closed" in done.err


def _has_begun(done: Ran) -> bool:
    return ECHO.encode() in done.out


def failed(where: str, what: str, done: Ran) -> WorldError:
    """Return the error for a remote command or sftp's that should not have failed."""
    words = said(done.err) or said(done.out[:200]) or "no words"
    return WorldError(
        f"{what} on {where} ended with status {done.status}: {words}; "
        "what is there now is not known",
        code="REMOTE_FAILED",
        remedy="Read the server's words; mend that, then run this again: it looks first.",
    )


def _left(sockets: Path, leave: list[str]) -> None:
    """End a connection when nothing uses it any more, and remove its folder."""
    if (sockets / "s").exists():
        subprocess.run(leave, capture_output=True, check=False, timeout=10)
    shutil.rmtree(sockets, ignore_errors=True)
