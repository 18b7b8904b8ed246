"""One server by OpenSSH's `ssh` and `sftp`: one connection, remote commands, and file transfer.

No name ever stands in a remote command line (T41): those are fixed, and take names on their
standard input, each ended by NUL; changes are made by SFTP, whose commands hold checked names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from relkit.adapters.git_command import said
from relkit.adapters.ssh_refusals import Pin, refusal
from relkit.errors import WorldError

LOST = 255
"""What ssh and sftp end with where the connection failed, not the remote command."""
IDLE_SECONDS = 120
"""How long a connection outlives a process that was killed."""
COMMAND_SECONDS = 1800.0
LIMIT_BYTES = 32 << 20
"""More than the longest listing that is believed: 20,000 docs with digests are 4 MB."""
PIECE_BYTES = 255 << 10
"""The most that OpenSSH's server takes in one request."""
ECHO = "sftp> "
INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR", "TMPDIR")


@dataclass(frozen=True)
class Ran:
    """What a program gave: exit status, output, and what it said besides."""

    status: int
    out: bytes
    err: str


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
        done = _called(["ssh", *self._shared, *port, "-T", "--", self._target, *argv], stdin)
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
        done = _called(argv, text, folder=folder, begun=begun)
        # Where the connection breaks while it writes, it is ended by SIGPIPE.
        if done.status == LOST or done.status < 0 or "Connection closed" in done.err:
            self._lost(done)
        return done

    def connect(self) -> None:
        """Make the connection, unless it is there."""
        port = ("-p", str(self.pin.port))
        if self._socket.exists():
            return  # where nobody answers there, a call makes a connection of its own
        master = ("-o", "ControlMaster=yes", "-o", f"ControlPersist={IDLE_SECONDS}", "-f", "-N")
        done = _called(["ssh", *self._shared, *master, *port, "--", self._target], b"")
        if done.status:
            raise refusal(self.pin, done.err)

    def close(self) -> None:
        """End the connection; the next call makes another one."""
        if self._socket.exists():
            _called(["ssh", *self._shared, "-O", "exit", "--", self._target], b"")
            self._socket.unlink(missing_ok=True)

    def _lost(self, done: Ran) -> None:
        self.close()
        raise refusal(self.pin, done.err)


def failed(where: str, what: str, done: Ran) -> WorldError:
    """Return the error for a remote command or sftp's that should not have failed."""
    return WorldError(
        f"{what} on {where} ended with status {done.status}: {said(done.err) or 'no words'}; "
        "what is there now is not known",
        code="REMOTE_FAILED",
        remedy="Read the server's words; mend that, then run this again: it looks first.",
    )


def _called(
    argv: Sequence[str],
    stdin: bytes,
    *,
    folder: Path | None = None,
    begun: Callable[[str], None] | None = None,
) -> Ran:
    """Run a program of this machine, with files for what goes in and what it says besides."""
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment |= {"LC_ALL": "C", "LANGUAGE": "C"}
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as words:
        given.write(stdin)
        given.seek(0)
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=words,
                cwd=folder,
                env=environment,
            )
        except FileNotFoundError as error:
            raise _missing(argv[0]) from error
        with process:
            out = _read(process, begun)
        words.seek(0)
        err = words.read(1 << 20).decode(errors="replace")
    return Ran(process.returncode, out, err)


def _read(process: subprocess.Popen[bytes], begun: Callable[[str], None] | None) -> bytes:
    """Read a program's output until it ends; end it where it takes too long or says too much."""
    watch = threading.Timer(COMMAND_SECONDS, process.kill)
    watch.daemon = True
    watch.start()
    try:
        output = cast("IO[bytes]", process.stdout)  # it was asked for
        out = _echoes(output, begun) if begun else output.read(LIMIT_BYTES)
        if len(out) >= LIMIT_BYTES:
            raise too_much()
        process.wait()
    finally:
        watch.cancel()
        if process.poll() is None:
            process.kill()
    return out


def _echoes(output: IO[bytes], begun: Callable[[str], None]) -> bytes:
    read = b""
    for line in output:
        read = (read + line)[-(1 << 16) :]
        if line.startswith(ECHO.encode()):
            begun(line.decode(errors="replace").removeprefix(ECHO).rstrip("\n"))
    return read


def too_much() -> WorldError:
    """Return the refusal of a listing that is longer than any that is believed (T43)."""
    return WorldError(
        f"the server lists more than {LIMIT_BYTES >> 20} MB of names",
        code="REMOTE_NAME",
        remedy="Look at the folder on the server: it is not what a release leaves there.",
    )


def _missing(name: str) -> WorldError:
    return WorldError(
        f"{name} is not to be found on PATH",
        code="TOOL_MISSING",
        remedy="Install OpenSSH's client (Debian: openssh-client), then go on.",
    )


def _left(sockets: Path, leave: list[str]) -> None:
    """End a connection when nothing uses it any more, and remove its folder."""
    if (sockets / "s").exists():
        subprocess.run(leave, capture_output=True, check=False, timeout=10)
    shutil.rmtree(sockets, ignore_errors=True)
