"""The doctor's file killed at every instant, and what the next run makes of what is left.

``python doctor_kills.py FOLDER`` with a server of folders; ``… FOLDER JSON`` by SSH, where the JSON
says how its accounts are reached. A line of JSON for each instant: whether it came, what was left,
and what there is after a run that nobody kills. A program, as only a process without threads forks.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path

from relkit.adapters.folders import FolderServer
from relkit.adapters.openssh import Pin, Pinned
from relkit.adapters.probe_file import ProbeFile
from relkit.adapters.sftp import SshPlace
from relkit.adapters.ssh_downloads import SshDownloads
from relkit.ports import Downloads

FOLDER = "ftp/python/3.15.0"


class Instants:
    """Kills this process at one instant: before the act with a number, or at the end."""

    def __init__(self, last: int) -> None:
        self.left = last

    def pass_by(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, module: object, *names: str) -> None:
        for name in names:
            real = getattr(module, name)

            def watched(*words: object, _real: object = real, **more: object) -> object:
                self.pass_by()
                return _real(*words, **more)  # type: ignore[operator]  # it is a function

            setattr(module, name, watched)


def probe(folder: Path, reached: dict[str, str]) -> ProbeFile:
    """Return the doctor's file as it goes to a server whose trees are in the folder."""
    root, source = folder / "server", folder / "state" / "doctor"
    return ProbeFile(_server(root, source, folder, reached), source, FOLDER, folder / "shelf")


def _server(root: Path, source: Path, folder: Path, reached: dict[str, str]) -> Downloads:
    if not reached:
        return FolderServer(staging=root / "staging", public=root / "public", source=source)
    for name in ("staging", "public"):
        (root / name).mkdir(parents=True, exist_ok=True)
    pin = Pin(reached["host"], int(reached["port"]), reached["user"], (reached["host_key"],))
    pinned = Pinned(folder / "ssh", hosts=(pin,), identity_file=reached["identity"])
    place = pinned.place(pin.host, pin.port, pin.user)
    staging, public = str(root / "staging"), str(root / "public")
    return SshDownloads(place, staging=staging, public=public, source=source, group="")


def killed_at(instant: int, folder: Path, reached: dict[str, str]) -> bool:
    """Put the file in a process that is killed at an instant; False: it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            instants = Instants(instant)
            if reached:
                instants.watch(SshPlace, "run", "sftp")
            else:
                instants.watch(os, "rename", "replace", "fsync", "link", "unlink")
                instants.watch(Path, "rename", "replace", "unlink", "hardlink_to")
            probe(folder, reached)()
            instants.pass_by()
        except BaseException:  # noqa: BLE001 (it must not go on as the parent does)
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit(f"instant {instant} ended with an error")
    return os.WIFSIGNALED(status)


def files(folder: Path) -> list[str]:
    """Return all files but locks and what SSH needs."""
    found = [one for one in folder.rglob("*") if one.is_file() or one.is_symlink()]
    plain = [str(one.relative_to(folder)) for one in found if one.suffix != ".lock"]
    return sorted(one for one in plain if not one.startswith("ssh/"))


def main(folder: Path, reached: dict[str, str]) -> None:
    instant, killed = 0, True
    while killed:
        instant += 1
        here = folder / str(instant)
        here.mkdir()
        killed = killed_at(instant, here, reached)
        left = files(here)
        seen = probe(here, reached)()
        said = {"killed": killed, "left": left, "after": files(here), "unsure": seen.unsure}
        print(json.dumps(said | {"found": seen.found}), flush=True)  # noqa: T201 (what the test reads)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]) if sys.argv[2:] else {})
