"""Kernels and servers that others can reach, or not: forged files, and real servers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from jupyter_client.blocking.client import BlockingKernelClient

from relkit.adapters import jupyter
from relkit.adapters.jupyter import reach, reach_of
from relkit.values import Reach

PROJECT = Path(__file__).resolve().parents[1]
HIDDEN = "a-token-that-is-never-shown"
STARTS = 60  # seconds


@pytest.fixture
def runtime() -> Iterator[Path]:
    """Return a private folder with a short path, for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="r-"))
    yield folder
    shutil.rmtree(folder)


def write(path: Path, data: object, mode: int = 0o600) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    path.chmod(mode)
    return path


def kernel(folder: Path, mode: int = 0o600, **other: object) -> Path:
    """Write a connection file; without `other` a good one."""
    told = {"transport": "ipc", "ip": str(folder / "k"), "key": HIDDEN} | other
    return write(folder / "kernel-1.json", told, mode)


def server(folder: Path, mode: int = 0o600, **other: object) -> Path:
    """Write what a server says of itself; without `other` a good one."""
    told = {"hostname": "127.0.0.1", "port": 8888, "sock": "", "token": HIDDEN, "password": False}
    return write(folder / "jpserver-7.json", told | other, mode)


def net(folder: Path, *addresses: str, port: int = 8888) -> Path:
    """Write what the system tells of listening sockets, as Linux does."""
    lines = ["  sl  local_address rem_address   st tx_queue"]
    for number, address in enumerate(addresses):
        packed = socket.inet_aton(address)
        words = packed[::-1] if sys.byteorder == "little" else packed
        lines.append(f"   {number}: {words.hex().upper()}:{port:04X} 00000000:0000 0A 0:0 00:0")
    write(folder / "tcp", "\n".join(lines) + "\n")
    return folder


def look(folder: Path, *addresses: str, served: bool = True) -> Reach:
    return reach_of(
        folder / "kernel-1.json",
        started_by={7},
        served=served,
        folders=(folder,),
        net=net(folder, *(addresses or ("127.0.0.1",))),
    )


# --- forged files -----------------------------------------------------------------------------


def test_sockets_in_a_private_folder_and_a_server_with_a_token_are_fine(runtime: Path) -> None:
    kernel(runtime)
    server(runtime)
    assert look(runtime) == Reach(how="kernel over ipc, server on 127.0.0.1", faults=())


def test_this_process_is_no_kernel() -> None:
    assert reach().faults == ()


def test_a_kernel_without_a_server_needs_none(runtime: Path) -> None:
    kernel(runtime)
    assert look(runtime, served=False).faults == ()


def test_a_kernel_on_ports_is_open_to_everybody_on_the_machine(runtime: Path) -> None:
    kernel(runtime, transport="tcp", ip="127.0.0.1")
    [fault] = look(runtime, served=False).faults or ()
    assert "everybody on this machine" in fault


@pytest.mark.parametrize("ip", ["0.0.0.0", "", "192.0.2.7"])  # noqa: S104 (what is refused)
def test_a_kernel_on_other_addresses_is_open_to_more(runtime: Path, ip: str) -> None:
    kernel(runtime, transport="tcp", ip=ip)
    faults = look(runtime, served=False).faults or ()
    assert f"the kernel listens on {ip or 'all addresses'}" in faults


def test_messages_without_a_key_are_a_fault(runtime: Path) -> None:
    kernel(runtime, key="")
    [fault] = look(runtime, served=False).faults or ()
    assert "its key is empty" in fault


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_connection_file_that_others_may_open_is_a_fault(runtime: Path, mode: int) -> None:
    kernel(runtime, mode)
    assert look(runtime, served=False).faults == (
        f"others may open the connection file ({mode:04o})",
    )


def test_a_description_with_the_token_that_others_may_read_is_a_fault(runtime: Path) -> None:
    kernel(runtime)
    server(runtime, 0o644)
    assert look(runtime).faults == ("others may open the file about the server (0644)",)


def test_sockets_that_others_may_write_to_are_a_fault(runtime: Path) -> None:
    kernel(runtime)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(runtime / "k-1"))
        (runtime / "k-1").chmod(0o777)
        assert look(runtime, served=False).faults == ()  # nobody gets to them
        runtime.chmod(0o755)
        [fault] = look(runtime, served=False).faults or ()
    assert fault == "others can write to the kernel's sockets"


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.7"])  # noqa: S104 (what is refused)
@pytest.mark.parametrize("said", ["localhost", "127.0.0.1"])
def test_a_server_that_listens_elsewhere_is_found_whatever_it_says(
    runtime: Path, address: str, said: str
) -> None:
    kernel(runtime)
    server(runtime, hostname=said)
    assert look(runtime, "127.0.0.1", address).faults == (
        f"the server listens on {address}, not only on 127.0.0.1",
    )


def test_without_the_systems_word_only_an_address_is_certain(runtime: Path) -> None:
    kernel(runtime)
    arguments: dict[str, Any] = {"started_by": {7}, "served": True, "folders": (runtime,)}
    for said, faults in (
        ("127.0.0.1", 0),
        ("::1", 0),
        ("localhost", None),
        ("0.0.0.0", 1),  # noqa: S104 (what is refused)
        ("", 1),
    ):
        server(runtime, hostname=said)
        found = reach_of(runtime / "kernel-1.json", **arguments, net=runtime / "none").faults
        assert (None if found is None else len(found)) == faults, said


def test_a_server_that_asks_for_nothing_is_a_fault(runtime: Path) -> None:
    kernel(runtime)
    server(runtime, token="")
    assert look(runtime).faults == ("the server asks nobody for a token",)
    server(runtime, token="", password=True)
    assert look(runtime).faults == ()


def test_a_server_that_is_not_found_is_not_taken_for_a_good_one(runtime: Path) -> None:
    kernel(runtime)
    assert look(runtime).faults is None
    server(runtime, port=9999)  # nothing listens there
    assert look(runtime).faults is None


@pytest.mark.parametrize(
    "data",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 50_000,
        '{"transport": "carrier pigeon"}',
        '{"transport": "ipc"}',
    ],
)
def test_a_connection_file_that_cannot_be_understood_is_not_taken_for_a_good_one(
    runtime: Path, data: str
) -> None:
    write(runtime / "kernel-1.json", data)
    assert look(runtime, served=False).faults is None


@pytest.mark.parametrize("data", ["", "{", "7", '{"port": "8888"}', '{"port": true}'])
def test_a_description_that_cannot_be_understood_is_not_taken_for_a_good_one(
    runtime: Path, data: str
) -> None:
    kernel(runtime)
    write(runtime / "jpserver-7.json", data)
    assert look(runtime).faults is None


def test_a_missing_file_a_link_and_a_pipe_are_not_read(runtime: Path) -> None:
    assert look(runtime, served=False).faults is None
    elsewhere = write(runtime / "elsewhere", {"transport": "ipc"})
    (runtime / "kernel-1.json").symlink_to(elsewhere)
    assert look(runtime, served=False).faults is None
    (runtime / "kernel-1.json").unlink()
    os.mkfifo(runtime / "kernel-1.json")
    assert look(runtime, served=False).faults is None


def test_no_secret_and_no_path_is_told(runtime: Path) -> None:
    kernel(runtime, 0o644)
    server(runtime, 0o644)
    shown = look(runtime, "0.0.0.0").model_dump_json()  # noqa: S104 (what is refused)
    assert HIDDEN not in shown
    assert str(runtime) not in shown


def test_addresses_of_both_families_are_read_as_the_system_writes_them() -> None:
    four, six = bytes.fromhex("0100007F"), bytes.fromhex("00000000000000000000000001000000")
    if sys.byteorder == "little":
        assert jupyter._address(four) == "127.0.0.1"
        assert jupyter._address(six) == "::1"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        if jupyter.NET.joinpath("tcp").exists():
            assert (port, "127.0.0.1") in set(jupyter._listening(jupyter.NET))


# --- real servers -----------------------------------------------------------------------------


@contextlib.contextmanager
def running(runtime: Path, *options: str, settings: str = "") -> Iterator[dict[str, Any]]:
    """Run a server of one's own; yield what it says of itself."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", f"--ServerApp.port={port}"]
    command += [*options, *(["--allow-root"] if os.getuid() == 0 else [])]
    places = {f"JUPYTER_{x}_DIR": str(runtime / x.lower()) for x in ("CONFIG", "DATA")}
    places |= {"JUPYTER_RUNTIME_DIR": str(runtime / "r"), "JUPYTER_CONFIG_PATH": settings}
    places |= {"IPYTHONDIR": str(runtime / "i"), "JUPYTER_PLATFORM_DIRS": "0"}
    with (runtime / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=os.environ | places, stdout=log, stderr=log
        )
    try:
        yield awaited(runtime / "r" / f"jpserver-{process.pid}.json", process)
    finally:
        process.terminate()
        process.wait(STARTS)


def awaited(file: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    end = time.monotonic() + STARTS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads(file.read_text())
            requests.get(f"http://127.0.0.1:{found['port']}/api", timeout=10)
            return found
        time.sleep(0.1)
    raise TimeoutError("the server does not start")


def told_inside(runtime: Path, found: dict[str, Any]) -> Reach:
    """Start a kernel as a browser does, and let it look at itself."""
    answer = requests.post(
        f"http://127.0.0.1:{found['port']}/api/sessions",
        json={"path": "a.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}},
        headers={"Authorization": f"token {found['token']}"},
        timeout=STARTS,
    )
    answer.raise_for_status()
    connection = runtime / "r" / f"kernel-{answer.json()['kernel']['id']}.json"
    client = BlockingKernelClient(connection_file=str(connection))
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(STARTS)
        said: list[str] = []
        code = "from relkit.adapters.jupyter import reach; print(reach().model_dump_json())"
        client.execute_interactive(
            code,
            timeout=STARTS,
            output_hook=lambda message: said.append(message["content"].get("text", "")),
        )
    finally:
        client.stop_channels()
    return Reach.model_validate_json("".join(said))


@pytest.mark.slow
def test_a_server_with_the_settings_of_make_lab_is_fine(runtime: Path) -> None:
    with running(runtime, settings="jupyter") as found:
        assert told_inside(runtime, found) == Reach(
            how="kernel over ipc, server on 127.0.0.1", faults=()
        )


@pytest.mark.slow
def test_a_server_with_bad_settings_is_told_of_each(runtime: Path) -> None:
    options = ("--ServerApp.ip=*", "--IdentityProvider.token=", "--ServerApp.password=")
    more = "--ServerApp.disable_check_xsrf=True"
    with running(runtime, *options, more) as found:
        said = told_inside(runtime, found)
    assert found["hostname"] == "localhost"  # the description does not tell it
    tcp, everywhere, asks = said.faults or ()
    assert "everybody on this machine" in tcp
    assert everywhere.startswith("the server listens on 0.0.0.0")
    assert asks == "the server asks nobody for a token"
