"""A build service in a folder, which several processes share, and builders over it."""

from __future__ import annotations

import errno
import itertools
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from relkit.adapters.remote_builders import RemoteBuilders
from relkit.adapters.rest import UnknownStateError
from relkit.errors import CheckError, UsageError, WorldError
from relkit.values import Artifact, Build, BuildResult, BuildState

COMMIT, VERSION = "5" * 40, "3.15.0a2"
BUILDER = "https://builds.example/pipelines/21"
FILES = {"docs": ("python-3.15.0a2-docs-text.zip",), "ios": ("python-a.tar.gz", "python-b.tar.gz")}


class ToyService:
    """Each run is a file; what is to go wrong next is set by tests.

    `event` is called before and after everything that another machine would see.
    """

    def __init__(self, folder: Path, event: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self.event = event
        self.trouble: list[Exception | None] = []
        self.asked = 0
        self.facts: dict[str, str] = {}
        self.made: dict[str, bytes | None] = {}
        """Files that are delivered otherwise: other bytes, or not at all."""
        self.deaf = False
        """Starts come to nothing, and nobody learns of it."""
        self.found = ""
        """What looking for a run finds, whatever was started."""
        self.said = ""
        """What it says of its runs."""

    def runs(self) -> list[dict[str, Any]]:
        files = sorted(self.folder.glob("*.json"))
        return [json.loads(path.read_text()) for path in files]

    def set(self, run: str, **fields: object) -> None:
        path = self.folder / f"{run}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    def find(self, *, build: Build, since: datetime) -> str | None:
        self._go_wrong()
        if self.found:
            return self.found
        fits = [
            run["id"]
            for run in self.runs()
            if run["commit"] == build.commit and datetime.fromisoformat(run["at"]) >= since
        ]
        if len(fits) > 1:
            raise WorldError(f"runs {fits}", code="RUN_AMBIGUOUS", remedy="Cancel one of them.")
        return fits[0] if fits else None

    def start(self, *, build: Build) -> str:
        self.event()
        if self.deaf:
            raise lost_answer()
        self.folder.mkdir(exist_ok=True)
        number = self._number()
        run = {"id": number, "commit": build.commit, "version": build.version, "status": "running"}
        run["at"] = datetime.now(UTC).isoformat()
        (self.folder / f"{number}.json").write_text(json.dumps(run))
        self._go_wrong()
        self.event()
        return number

    def state(self, *, build: Build, run: str) -> BuildState:
        self.asked += 1
        self._go_wrong()
        told = json.loads((self.folder / f"{run}.json").read_text())
        return BuildState(status=told["status"], detail=self.said or f"{build.name} of {run}")

    def fetch(self, *, build: Build, run: str, folder: Path) -> dict[str, str]:
        with (self.folder / "fetched").open("a") as file:
            file.write(f"{build.name}\n")
        for name in build.options["files"].split(";"):
            self._go_wrong()
            data = self.made.get(name, f"{name} {build.commit}\n".encode())
            if data is not None:
                (folder / name).write_bytes(data)
            self.event()
        for name in {*self.made} - {*build.options["files"].split(";")}:
            (folder / name).write_bytes(self.made[name] or b"")
        told = json.loads((self.folder / f"{run}.json").read_text())
        return {"commit": told["commit"], "version": told["version"], "run": run, **self.facts}

    def cancel(self, *, build: Build, run: str) -> None:
        del build
        self.event()
        if json.loads((self.folder / f"{run}.json").read_text())["status"] == "running":
            self.set(run, status="failed", canceled=True)
        self.event()

    def log(self, *, build: Build, run: str) -> str:
        return f"log of {build.name} in {run}\n" * 1000

    def builder(self) -> str:
        return BUILDER

    def _number(self) -> str:
        """Return a number that no run has, however many are started at once."""
        for number in itertools.count(1):
            with suppress(FileExistsError):
                (self.folder / f"{number}.taken").touch(exist_ok=False)
                return f"{number}"
        raise AssertionError

    def _go_wrong(self) -> None:
        if self.trouble and (error := self.trouble.pop(0)) is not None:
            raise error


class NobodyHere:
    """Builders of this machine, which know nothing; they note who was sent to them."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def start(self, *, build: Build) -> None:
        self.sent.append(build.name)

    def started(self, *, name: str, nonce: str) -> bool:
        self.sent.append(f"started {name} {nonce}")
        return False

    def state(self, *, name: str, nonce: str) -> BuildState:
        self.sent.append(f"state {name} {nonce}")
        return BuildState(status="absent")

    def result(self, *, name: str, nonce: str) -> BuildResult | None:
        self.sent.append(f"result {name} {nonce}")
        return None

    def read(self, *, name: str, nonce: str, file: Artifact) -> str | None:
        self.sent.append(f"read {name} {nonce} {file.name}")
        return None

    def cancel(self, *, name: str, nonce: str) -> None:
        self.sent.append(f"cancel {name} {nonce}")

    def log(self, *, name: str, nonce: str) -> str:
        self.sent.append(f"log {name} {nonce}")
        return ""


def builders(folder: Path, service: ToyService, **settings: float) -> RemoteBuilders:
    """Return builders as another process would open them; both builds share the service."""
    services: Mapping[str, ToyService] = dict.fromkeys(FILES, service)
    return RemoteBuilders(
        folder, services, NobodyHere(), poll_seconds=settings.get("poll_seconds", 0.0)
    )


def asked(name: str = "docs", **changes: object) -> Build:
    options = {"files": ";".join(FILES.get(name, ())), "tag": f"v{VERSION}"}
    plain = Build(name=name, nonce="n1", version=VERSION, commit=COMMIT, options=options)
    return plain.model_copy(update=changes)


def lost_answer() -> UnknownStateError:
    return UnknownStateError("no answer", code="SERVICE_UNKNOWN_STATE", remedy="Look for it first.")


def unreachable() -> WorldError:
    return WorldError("no answer in time", code="SERVICE_UNREACHABLE", remedy="Run it again later.")


def changed() -> CheckError:
    return CheckError("other bytes came", code="DIGEST_CHANGED", remedy="Download them again.")


def disk_full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def whole_way(folder: Path, service: ToyService) -> dict[str, list[str]]:
    """Start both builds, wait for them, and return what they left; from wherever it was left."""
    at = builders(folder, service)
    for name in FILES:
        if not at.started(name=name, nonce="n1"):
            at.start(build=asked(name))
    for run in service.runs():
        service.set(run["id"], status="done")
    found = {}
    for name in FILES:
        state = at.state(name=name, nonce="n1")
        result = at.result(name=name, nonce="n1")
        if result is None:
            raise UsageError(str(state), code="NOT_DONE", remedy="This is a fault of the test.")
        found[name] = [f"{file.name} {file.sha256}" for file in result.files]
    return found
