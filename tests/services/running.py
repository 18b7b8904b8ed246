"""Starting a server, waiting until it answers, and stopping it with all it has started."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)
TIMEOUT_SECONDS = 30.0
STOP_SECONDS = 5.0
LOG_SHOWN = 2000
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where servers are that an ordinary user's PATH does not have."""


class NotStartedError(Exception):
    """A server ended, or did not answer in time; the message ends with the end of its log."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens at now.

    It is none of those that the system gives to connections: until a slow server takes it, one
    of these may.
    """
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            return port


def answers(port: int, host: str = HOST) -> bool:
    """Tell whether somebody takes connections there; to be used as `ready`."""
    with suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def program(name: str) -> str | None:
    """Return the full path of a program, also of one that only administrators have on PATH."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_PATH}")


def lacking(programs: Mapping[str, str]) -> str:
    """Return which Debian packages are needed for programs (by name), empty if all are there."""
    gone = {package: name for name, package in programs.items() if program(name) is None}
    said = (f"{name} is missing (Debian package {package})" for package, name in gone.items())
    return ", ".join(said)


def skip_without(reason: str) -> None:
    """Skip the test for a reason, unless it is empty; fail with ``RELKIT_NO_SKIP=1`` (as CI)."""
    if reason and os.environ.get("RELKIT_NO_SKIP"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def start(
    argv: Sequence[str],
    *,
    ready: Callable[[], bool],
    log: Path,
    timeout_seconds: float = TIMEOUT_SECONDS,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own; return it once `ready` says yes.

    What it prints is appended to `log`. Where `ready` raises `OSError`, it is not ready yet.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=None if env is None else dict(env),
            start_new_session=True,
        )
    try:
        _wait(process, argv[0], ready, log, timeout_seconds)
    except BaseException:
        stop(process)
        raise
    return process


def _wait(
    process: subprocess.Popen[bytes],
    name: str,
    ready: Callable[[], bool],
    log: Path,
    timeout_seconds: float,
) -> None:
    end = time.monotonic() + timeout_seconds
    while True:
        # A server that ended with status 0 has not started, either.
        if process.poll() is not None:
            raise NotStartedError(f"{name} ended with {process.returncode}: {tail(log)}")
        with suppress(OSError):
            if ready():
                return
        if time.monotonic() > end:
            raise NotStartedError(f"{name} does not answer: {tail(log)}")
        time.sleep(0.03)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and all of its session: politely, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # what outlived its parent


@contextmanager
def running(
    argv: Sequence[str],
    *,
    ready: Callable[[], bool],
    log: Path,
    timeout_seconds: float = TIMEOUT_SECONDS,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server while the context lasts."""
    process = start(argv, ready=ready, log=log, timeout_seconds=timeout_seconds, cwd=cwd, env=env)
    try:
        yield process
    finally:
        stop(process)


def descendants(pid: int) -> tuple[int, ...]:
    """Return the processes a process has started, and theirs, the youngest generation last."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in listed.stdout.decode().splitlines()]
    found, parents = [], {pid}
    while parents := {child for child, parent in pairs if parent in parents}:
        found += sorted(parents)
    return tuple(found)


def tail(log: Path) -> str:
    """Return the end of a log."""
    return log.read_text(encoding="utf-8", errors="replace")[-LOG_SHOWN:] if log.exists() else ""
