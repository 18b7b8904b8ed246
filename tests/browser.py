"""A real JupyterLab in a real browser, as a person meets it, and what can be read there.

The server is the one of `make lab`; all it keeps is in a folder of the test. The browser can reach
127.0.0.1 and nothing else, and every address that the page asks for is noted.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cells import Notebook, read
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Locator, Page, ViewportSize, sync_playwright

PROJECT = Path(__file__).resolve().parent.parent
FLAGS = """--disable-gpu --disable-dev-shm-usage --disable-background-networking --no-first-run
--disable-component-update --disable-sync --disable-default-apps --no-proxy-server"""
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
WINDOW = ViewportSize(width=1280, height=900)
STARTS = 60  # seconds in which the server answers
PATIENCE = 120  # seconds for whatever a person waits for
IDLE = """name => {
  const main = window.jupyterapp ? [...window.jupyterapp.shell.widgets("main")] : [];
  const panel = main.find(one => one.context && one.context.path.endsWith(name));
  const kernel = panel && panel.sessionContext.session && panel.sessionContext.session.kernel;
  return !!(kernel && panel.context.isReady && window.jupyterapp.shell.currentWidget === panel
            && kernel.connectionStatus === "connected" && kernel.status === "idle");
}"""
EXECUTE = """command => {
  window.executed = "";
  window.jupyterapp.commands.execute(command).then(() => { window.executed = command; });
}"""
EXECUTED = "command => window.executed === command"
RESTART = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
SELECT = """id => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const place = notebook.widgets.findIndex(one => one.model.id === id);
  notebook.activeCellIndex = place;
  notebook.deselectAll();
  return notebook.scrollToItem(place, "start").then(() => place);
}"""


def chromium() -> str | None:
    """Return Debian's Chromium; Playwright's own one would have to be downloaded."""
    return shutil.which("chromium")


@dataclass
class Server:
    """A running JupyterLab: where it is, who may come in, and what it works on."""

    url: str
    token: str
    project: Path
    runtime: Path

    def memory(self) -> int:
        """Return the most memory that one of its kernels had so far, in kB; 0 if none runs."""
        most = 0
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if str(self.runtime).encode() in (process / "cmdline").read_bytes():
                    status = (process / "status").read_text()
                    most = max(most, int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]))
        return most


@contextmanager
def jupyterlab(folder: Path) -> Iterator[Server]:
    """Open a copy of the project with `make lab`, as a person does; keep everything in `folder`.

    The environment is the one the tests run in. `folder` must have a short path: kernels listen
    on sockets below it, and the system allows about 100 characters for their names.
    """
    project = folder / "project"
    for name in ("jupyter", "notebooks", "worlds"):
        shutil.copytree(PROJECT / name, project / name)
    shutil.copy(PROJECT / "Makefile", project)
    names = {f"JUPYTER_{x.upper()}_DIR": str(folder / x[0]) for x in ("config", "data", "runtime")}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = [f"--ServerApp.port={port}", "--LabApp.expose_app_in_browser=True", "--no-browser"]
    options += ["--allow-root"] if os.getuid() == 0 else []
    command = ["make", "--old-file=env", "lab", f"VENV={sys.prefix}", f"LAB={' '.join(options)}"]
    every = os.environ | names | {"IPYTHONDIR": str(folder / "i")}
    with (folder / "log").open("wb") as log:
        making = subprocess.Popen(command, cwd=project, env=every, stdout=log, stderr=log)
    try:
        found = _started(folder / "r", port, making)
        yield Server(f"http://127.0.0.1:{port}", str(found["token"]), project, folder / "r")
    finally:
        for path in (folder / "r").glob("jpserver-*.json"):  # `make` would leave it running
            os.kill(int(json.loads(path.read_text())["pid"]), signal.SIGTERM)
        making.wait(STARTS)


def _started(runtime: Path, port: int, making: subprocess.Popen[bytes]) -> dict[str, object]:
    """Return what the server writes of itself, with the token that the settings made."""
    end = time.monotonic() + STARTS
    while time.monotonic() < end and making.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            with suppress(ValueError):
                found: dict[str, object] = json.loads(path.read_text())
                if found["port"] == port:
                    return found
        time.sleep(0.1)
    raise TimeoutError("JupyterLab does not start")


@contextmanager
def browser() -> Iterator[tuple[Page, list[str]]]:
    """Open a window of Chromium; yield it and the addresses it asked for, as they come."""
    assert chromium(), "there is no chromium here; Debian: apt-get install chromium"
    asked: list[str] = []
    # Without a user namespace, as root in a container, its sandbox cannot be made.
    more = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(
            executable_path=chromium(), args=[*FLAGS.split(), OFFLINE, *more]
        )
        page = chrome.new_page(viewport=WINDOW)
        page.set_default_timeout(PATIENCE * 1000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda made: asked.append(made.url))
        yield page, asked
        chrome.close()


@dataclass
class Lab:
    """A notebook open in the browser."""

    page: Page
    server: Server
    path: Path
    pictures: Path
    memory: int = 0  # kB, the most that a kernel had

    @classmethod
    def open(cls, page: Page, server: Server, path: Path, pictures: Path) -> Lab:
        """Start a kernel for the notebook, then show it (the other way round Lab may start two)."""
        lab = cls(page, server, path, pictures)
        where = str(path.relative_to(server.project))
        form = {"path": where, "name": path.name, "type": "notebook", "kernel": {"name": "python3"}}
        headers = {"Authorization": f"token {server.token}"}
        end = time.monotonic() + STARTS
        while True:
            with suppress(PlaywrightError):
                made = page.request.post(f"{server.url}/api/sessions", headers=headers, data=form)
                assert made.ok, made.text()
                break
            assert time.monotonic() < end
            time.sleep(0.1)
        workspace = secrets.token_hex(4)
        page.goto(f"{server.url}/lab/workspaces/{workspace}/tree/{where}?token={server.token}")
        lab.idle()
        return lab

    def idle(self, seconds: float = PATIENCE) -> None:
        """Wait until the kernel has nothing to do."""
        self.page.wait_for_function(IDLE, arg=self.path.name, timeout=seconds * 1000)

    def begin(self, command: str) -> None:
        """Start one of Lab's commands, as a menu does."""
        self.page.evaluate(EXECUTE, command)

    def command(self, command: str) -> None:
        """Execute one of Lab's commands to its end."""
        self.begin(command)
        self.page.wait_for_function(EXECUTED, arg=command, timeout=PATIENCE * 1000)

    def run_all(self) -> None:
        """Run all cells; return when the last one ran or one refused."""
        self.command("notebook:run-all-cells")
        self.idle()

    def run_cell(self, cell: str) -> str:
        """Run one cell, and return what it says then."""
        self.show(cell)
        self.command("notebook:run-cell")
        self.idle()
        return text_of(cell_of(self.saved(), cell))

    def restart(self) -> None:
        """Restart the kernel, whatever it is doing."""
        self.memory = max(self.memory, self.server.memory())
        self.page.evaluate(RESTART)
        self.idle()

    def show(self, cell: str) -> Locator:
        """Scroll to a cell, and return it."""
        place = self.page.evaluate(SELECT, cell)
        assert place >= 0, cell
        return self.page.locator(f'.jp-Cell[data-windowed-list-index="{place}"]')

    def screenshot(self, name: str, cell: str = "") -> None:
        """Keep a picture of the window, with a cell at its top."""
        if cell:
            self.show(cell)
        self.page.screenshot(path=self.pictures / f"{name}.png", animations="disabled")

    def saved(self) -> Notebook:
        """Save the notebook in Lab, and return what is in the file then."""
        self.command("docmanager:save")
        return read(self.path)


def cell_of(notebook: Notebook, name: str) -> Notebook:
    """Return a cell by its id."""
    return next(cell for cell in notebook.cells if cell.id == name)


def text_of(cell: Notebook) -> str:
    """Return what a cell's outputs say without a kernel and without HTML."""
    words = []
    for output in cell.outputs:
        words += [*output.get("traceback", []), output.get("data", {}).get("text/plain", "")]
    return re.sub("\x1b\\[[0-9;]*m", "", "\n".join(words))
