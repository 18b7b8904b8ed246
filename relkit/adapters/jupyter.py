"""How the kernel that this process is can be reached, and the server that started it.

Read are the kernel's connection file, the file in which its server says how it is run
(``jpserver-PID.json`` in the runtime folder), and what listens on the server's port. That file
alone does not do: of a server on all addresses it may say ``localhost``. Which server it is says
the process that started the kernel. Keys and tokens are looked at, and never handed on.
"""

from __future__ import annotations

import ipaddress
import json
import os
import stat
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_runtime_dir

from relkit.values import Reach

MAX_BYTES = 1 << 16
OTHERS = stat.S_IRWXG | stat.S_IRWXO
WRITERS = stat.S_IWGRP | stat.S_IWOTH
ENTERING = stat.S_IXGRP | stat.S_IXOTH
LISTENING = "0A"
"""The state of such a socket in ``/proc/net/tcp``."""
NET = Path("/proc/net")
NO_KERNEL = Reach(how="not in a notebook: nothing listens", faults=())


class _UnknownError(Exception):
    """Something cannot be seen; the text says what."""


def reach() -> Reach:
    """Look at this process."""
    connection = _connection_file()
    if connection is None:
        return NO_KERNEL
    started_by = {os.getppid()}
    if (parent := os.environ.get("JPY_PARENT_PID", "")).isdigit():
        started_by.add(int(parent))
    return reach_of(
        connection,
        started_by=started_by,
        served=bool(os.environ.get("JPY_SESSION_NAME")),
        folders=(connection.parent, Path(jupyter_runtime_dir())),
    )


def reach_of(
    connection: Path,
    *,
    started_by: Collection[int],
    served: bool,
    folders: Collection[Path],
    net: Path = NET,
) -> Reach:
    """Look at a kernel by its connection file.

    `started_by` are the processes that may be its server, `served` says that there is one, and
    `folders` are where servers describe themselves.
    """
    try:
        how, faults = _kernel(connection)
        files = [folder / f"jpserver-{pid}.json" for folder in folders for pid in started_by]
        file = next(filter(os.path.lexists, files), None)
        if file is not None:
            server, more = _server(file, net)
            return Reach(how=f"{how}, {server}", faults=(*faults, *more))
        if served:
            return Reach(how="the server that started the kernel does not say how", faults=None)
    except _UnknownError as unknown:
        return Reach(how=str(unknown), faults=None)
    return Reach(how=f"{how}, without a server", faults=tuple(faults))


def _connection_file() -> Path | None:
    """Return the connection file of the kernel this process is; None: it is none."""
    module = sys.modules.get("ipykernel.kernelapp")
    application = getattr(module, "IPKernelApp", None)
    if application is None or not application.initialized():
        return None
    return Path(application.instance().abs_connection_file)


# --- the kernel ---------------------------------------------------------------------------------


def _kernel(file: Path) -> tuple[str, list[str]]:
    """Return how a kernel is reached, and what is wrong with that."""
    told, faults = _read(file, "connection file")
    match transport := told.get("transport"):
        case "ipc":
            faults += _open_sockets(file, str(told.get("ip", "")))
        case "tcp":
            faults.append("the kernel listens on ports, where everybody on this machine comes in")
            if not _loopback(str(told.get("ip", ""))):
                faults.append(f"the kernel listens on {told.get('ip') or 'all addresses'}")
        case _:
            raise _UnknownError(f"kernels over {str(transport)[:40]!r} are not known")
    if not told.get("key"):
        faults.append("what is sent to the kernel is not signed: its key is empty")
    return f"kernel over {transport}", faults


def _open_sockets(file: Path, prefix: str) -> Iterator[str]:
    """Yield what lets others connect to sockets named after `prefix`, a path."""
    if not prefix:
        raise _UnknownError("the connection file does not say where the kernel's sockets are")
    place = file.parent / prefix
    try:
        folder = place.parent.stat().st_mode
        modes = [one.lstat().st_mode for one in place.parent.iterdir() if _named(one, place)]
    except OSError as error:
        raise _UnknownError(f"the kernel's sockets cannot be seen: {error.strerror}") from error
    if folder & ENTERING and any(mode & WRITERS for mode in modes):
        yield "others can write to the kernel's sockets"


def _named(path: Path, place: Path) -> bool:
    return path.name.startswith(f"{place.name}-")


# --- the server ---------------------------------------------------------------------------------


def _server(file: Path, net: Path) -> tuple[str, list[str]]:
    """Return how a server is reached, and what is wrong with that."""
    told, faults = _read(file, "file about the server")
    where = "a socket"
    if not told.get("sock"):
        addresses = _addresses(told, net)
        where = ", ".join(sorted(addresses))
        if strange := sorted(one for one in addresses if not _loopback(one)):
            faults.append(f"the server listens on {', '.join(strange)}, not only on 127.0.0.1")
    if not told.get("token") and told.get("password") is not True:
        faults.append("the server asks nobody for a token")
    return f"server on {where}", faults


def _addresses(told: Mapping[str, Any], net: Path) -> set[str]:
    """Return the addresses a server listens on: as the system has it, or else as it says."""
    port, named = told.get("port"), str(told.get("hostname", ""))
    if type(port) is not int:
        raise _UnknownError("the server does not say its port")
    if (net / "tcp").exists():
        if found := {address for at, address in _listening(net) if at == port}:
            return found
        raise _UnknownError(f"nothing listens on the server's port {port}")
    if named == "localhost":  # that is also said by one that listens everywhere
        raise _UnknownError("the server says localhost; only an address is certain: 127.0.0.1")
    return {named}


def _listening(net: Path) -> Iterator[tuple[int, str]]:
    """Yield port and address of each listening TCP socket (Linux)."""
    for name in ("tcp", "tcp6"):
        try:
            lines = (net / name).read_text(encoding="ascii").splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            _, local, _, state, *_ = line.split()
            if state == LISTENING:
                address, _, port = local.partition(":")
                yield int(port, 16), _address(bytes.fromhex(address))


def _address(words: bytes) -> str:
    """Return an address that the system wrote in words of four bytes, each in its own order."""
    parts = [words[at : at + 4] for at in range(0, len(words), 4)]
    if sys.byteorder == "little":
        parts = [part[::-1] for part in parts]
    return str(ipaddress.ip_address(b"".join(parts)))


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


# --- files that only their owner may read -------------------------------------------------------


def _read(path: Path, what: str) -> tuple[dict[str, Any], list[str]]:
    """Return what a file says, and what is wrong with its permissions."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            mode = os.fstat(handle)
            told = json.loads(file.read(MAX_BYTES))
    except OSError as error:
        raise _UnknownError(f"the {what} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _UnknownError(f"the {what} cannot be understood") from error
    if not isinstance(told, dict):
        raise _UnknownError(f"the {what} cannot be understood")
    faults = []
    if mode.st_mode & OTHERS:
        faults.append(f"others may open the {what} ({stat.S_IMODE(mode.st_mode):04o})")
    if mode.st_uid != os.geteuid():
        faults.append(f"the {what} is somebody else's")
    return told, faults
