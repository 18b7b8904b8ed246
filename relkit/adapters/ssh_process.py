"""Running OpenSSH's programs on this machine: what they take and give, and for how long."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self, cast

from relkit.errors import WorldError

COMMAND_SECONDS = 1800.0
"""How long a remote command may take, or the sending of one file: some lines are slow."""
LIMIT_BYTES = 32 << 20
"""More than the longest listing that is believed: 20,000 docs with digests are 4 MB."""
ECHO = "sftp> "
INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR", "TMPDIR")


@dataclass(frozen=True)
class Ran:
    """What a program gave: exit status, output, and what it said besides."""

    status: int
    out: bytes
    err: str


def called(
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
    with _Watch(process) as watch:
        output = cast("IO[bytes]", process.stdout)  # it was asked for
        out = _echoes(output, begun, watch) if begun else output.read(LIMIT_BYTES)
        if len(out) >= LIMIT_BYTES:
            raise too_much()
        process.wait()
    return out


class _Watch:
    """Ends a program that takes too long for what it does now, or that is left before its end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._timer = threading.Timer(0, process.kill)

    def __enter__(self) -> Self:
        self.again()
        return self

    def again(self) -> None:
        """Begin to count anew."""
        self._timer.cancel()
        self._timer = threading.Timer(COMMAND_SECONDS, self._process.kill)
        self._timer.daemon = True
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._process.poll() is None:
            self._process.kill()


def _echoes(output: IO[bytes], begun: Callable[[str], None], watch: _Watch) -> bytes:
    read = b""
    for line in output:
        read = (read + line)[-(1 << 16) :]
        if line.startswith(ECHO.encode()):
            watch.again()
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
