"""Kill the whole way of two remote builds at every instant that lasts, and go on after it.

``python tests/remote_kills.py FOLDER WAY``: a line of JSON for each instant, until none is left.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from remote_toy import FILES, ToyService, asked, builders, whole_way

from relkit.errors import ReleaseError


class Instants:
    """Counts what lasts: files brought to the disk, renamed, and calls to the service."""

    def __init__(self, last: int) -> None:
        self.left = last

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, module: object, name: str) -> None:
        """Let an instant pass before and after each call."""
        real = getattr(module, name)

        def watched(*words: object, **more: object) -> object:
            self()
            answer = real(*words, **more)
            self()
            return answer

        setattr(module, name, watched)


def way_on(folder: Path, service: ToyService) -> None:
    whole_way(folder, service)


def way_back(folder: Path, service: ToyService) -> None:
    at = builders(folder, service)
    at.start(build=asked("docs"))
    for name in FILES:
        at.cancel(name=name, nonce="n1")


WAYS: dict[str, Callable[[Path, ToyService], None]] = {"on": way_on, "back": way_back}


def killed_at(instant: int, folder: Path, way: str) -> bool:
    """Go a way in a process of its own that is killed at an instant; False: it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            instants = Instants(instant)
            for name in ("rename", "replace", "fsync"):
                instants.watch(os, name)
            for name in ("rename", "replace"):
                instants.watch(Path, name)
            WAYS[way](folder / "builds", ToyService(folder / "service", instants))
        except BaseException:  # noqa: BLE001 (it must not go on as the parent does)
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit(f"the way {way} ended with an error")
    return os.WIFSIGNALED(status)


def afterwards(folder: Path, way: str) -> dict[str, object]:
    """Go on as somebody who finds what is there; tell what it came to."""
    service = ToyService(folder / "service")
    before = {
        name: builders(folder / "builds", service).state(name=name, nonce="n1").status
        for name in FILES
    }
    try:
        if way == "back":
            way_back_again(folder / "builds", service)
            found: object = [run["status"] for run in service.runs()]
        else:
            found = whole_way(folder / "builds", service)
    except ReleaseError as error:
        found = str(error)
    return {"before": before, "runs": len(service.runs()), "found": found}


def way_back_again(folder: Path, service: ToyService) -> None:
    at = builders(folder, service)
    for name in FILES:
        at.cancel(name=name, nonce="n1")
        at.cancel(name=name, nonce="n1")


def main(folder: Path, way: str) -> None:
    instant, killed = 0, True
    while killed:
        instant += 1
        here = folder / f"{way}-{instant}"
        here.mkdir()
        killed = killed_at(instant, here, way)
        said = {"instant": instant, "killed": killed, **afterwards(here, way)}
        print(json.dumps(said), flush=True)  # noqa: T201 (what the test reads)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
