"""Processes of their own that use a server by SSH, to be started at once and to be killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ssh_helpers import Stand

PROCESS = """
import json, sys
from importlib import import_module
from pathlib import Path
from relkit.adapters.openssh import Pin, Pinned
from relkit.errors import ReleaseError

told = json.loads(sys.argv[1])
pin = Pin(told["host"], told["port"], told["user"], (told["key"],))
pinned = Pinned(Path(told["config"]), hosts=(pin,), identity_file=told["identity"])
place = pinned.place(told["host"], told["port"], told["user"])
adapter = getattr(import_module("relkit.adapters." + told["module"]), told["name"])
server = adapter(*[place] * told["places"], source=Path(told["source"]), **told["where"])
print("ready", flush=True)
sys.stdin.readline()
try:
    for act, given in told["acts"]:
        getattr(server, act)(**given)
except ReleaseError as error:
    sys.exit(error.code)
finally:
    place.close()
"""


@dataclass
class Processes:
    """Makes processes with the adapter `name` of a `module`, which takes so many `places`."""

    stand: Stand
    folder: Path
    module: str
    name: str
    places: int
    where: dict[str, str]
    made: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, source: Path, *acts: tuple[str, Mapping[str, object]]) -> subprocess.Popen[str]:
        """Start a process that waits for a line (`go`) before it acts."""
        server = self.stand.server
        told = {
            "host": server.host,
            "port": server.port,
            "user": server.me.name,
            "key": server.host_key,
            "config": str(self.folder / f"config-{len(self.made)}"),
            "identity": str(server.me.identity),
            "module": self.module,
            "name": self.name,
            "places": self.places,
            "where": self.where,
            "source": str(source),
            "acts": acts,
        }
        command = [sys.executable, "-c", PROCESS, json.dumps(told)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        found = subprocess.Popen(command, **pipes, text=True)  # type: ignore[call-overload] # three
        self.made.append(found)
        assert found.stdout.readline() == "ready\n"
        return found  # type: ignore[no-any-return] # of text

    def kill(self) -> None:
        """Kill all that still run."""
        for process in self.made:
            process.kill()
            process.communicate()


def go(process: subprocess.Popen[str]) -> None:
    """Let a process act."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for the end of a process; return the code it was refused with."""
    return process.communicate(timeout=240)[1].strip()
