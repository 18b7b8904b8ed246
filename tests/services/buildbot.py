"""A real Buildbot master on this machine, with workers inside it.

It runs in an environment of its own, beside ours, since it needs packages that ours must not have.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from services.running import HOST, free_port, running, skip_without

ENVIRONMENT = Path(sys.prefix) / "share" / "buildbot"
PROGRAM = ENVIRONMENT / "bin" / "buildbot"
TEMPLATE = ENVIRONMENT / "master"
CONFIG = Path(__file__).with_name("master.cfg")
STABLE = {
    "AMD64 Debian 3.15": ("3.15", "stable", "tier-1"),
    "AArch64 Fedora 3.15": ("3.15", "stable"),
    "s390x Odd 3.15": ("3.15", "unstable"),
    "AMD64 Debian 3.x": ("3.x", "stable"),
}
"""Builders with their tags; as in CPython's own master, ``3.x`` is the main branch."""
RELEASE = "release-verify"
LOGIN = "rm:a secret : of ours"
BUILD_SECONDS = 180.0
CALL_SECONDS = 180.0


def missing() -> str:
    """Return what is not installed."""
    return "" if PROGRAM.exists() else f"{PROGRAM} is missing (no Debian package: make env-test)"


@dataclass
class Master:
    """A running master; `url` ends with a slash. What it is told applies to builds that come."""

    folder: Path
    url: str
    login: str
    session: requests.Session = field(default_factory=requests.Session)
    signed_in: bool = False

    def get(self, path: str) -> Any:  # noqa: ANN401 (JSON, as it comes)
        """Return what the REST API has at a path."""
        answer = self.session.get(
            f"{self.url}api/v2/{path}",
            headers={"Accept": "application/json"},
            timeout=CALL_SECONDS,
        )
        answer.raise_for_status()
        return answer.json()

    def control(self, path: str, method: str, **params: object) -> Any:  # noqa: ANN401 (JSON)
        """Let the master do something, and return what it says."""
        self._sign_in()
        call = {"id": 1, "jsonrpc": "2.0", "method": method, "params": params}
        answer = self.session.post(f"{self.url}api/v2/{path}", json=call, timeout=CALL_SECONDS)
        assert answer.ok, answer.text
        return answer.json()["result"]

    def builder(self, name: str) -> int:
        """Return the id of a builder; it differs from master to master."""
        rows = self.get("builders")["builders"]
        return int(next(one["builderid"] for one in rows if one["name"] == name))

    def tell(self, builder: str, **how: object) -> None:
        """Say how builds of a builder end: ``result``, ``got`` (a commit), ``lines`` of log."""
        path = self.folder / "outcomes.json"
        told = {**json.loads(path.read_text()), builder: how}
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(told))
        fresh.replace(path)

    def force(self, builder: str, commit: str, **fields: str) -> int:
        """Ask for a build of a commit; return the number of the request."""
        number = self.builder(builder)
        scheduler = "force-release" if "git_commit" in fields else "force"
        fields = {"reason": "tests", "revision": commit, **fields}
        made = self.control(f"forceschedulers/{scheduler}", "force", builderid=number, **fields)
        return int(made[1][str(number)])

    def build(self, builder: str, commit: str, **how: object) -> int:
        """Have a commit built, ending as told now (else as before); return the build's id."""
        if how:
            self.tell(builder, **how)
        return self.ended(self.force(builder, commit))

    def build_all(self, builders: Sequence[str], commit: str) -> None:
        """Have a commit built by several builders at once."""
        for request in [self.force(one, commit) for one in builders]:
            self.ended(request)

    def ended(self, request: int) -> int:
        """Wait until a build of a request has ended; return its id."""
        end = time.monotonic() + BUILD_SECONDS
        while time.monotonic() < end:
            for one in self.get(f"buildrequests/{request}/builds")["builds"]:
                if one["complete"]:
                    return int(one["buildid"])
            time.sleep(0.03)
        raise TimeoutError(f"request {request} has not ended; see {self.folder / 'log'}")

    def requests(self) -> int:
        """Count all requests for builds that were ever made."""
        return len(self.get("buildrequests")["buildrequests"])

    def pause(self, worker: str) -> None:
        """Let a worker take no more builds."""
        self._worker(worker, "pause")
        self._until(lambda row: row["paused"], worker)

    def unpause(self, worker: str) -> None:
        """Let it take builds again."""
        self._worker(worker, "unpause")
        self._until(lambda row: not row["paused"], worker)

    def _worker(self, name: str, method: str) -> None:
        self.control(f"workers/{self._row(name)['workerid']}", method, reason="tests")

    def _row(self, worker: str) -> dict[str, Any]:
        rows: list[dict[str, Any]] = self.get("workers")["workers"]
        return next(one for one in rows if one["name"] == worker)

    def _until(self, is_so: Any, worker: str) -> None:  # noqa: ANN401 (a predicate on JSON)
        end = time.monotonic() + BUILD_SECONDS
        while not is_so(self._row(worker)):
            if time.monotonic() > end:
                raise TimeoutError(f"the worker {worker} has not changed")
            time.sleep(0.03)

    def _sign_in(self) -> None:
        # A cookie says nothing: whoever asks anything gets one, for a stranger.
        if self.login and not self.signed_in:
            self.signed_in = True
            user, _, password = self.login.partition(":")
            self.session.get(
                f"{self.url}auth/login",
                auth=(user, password),
                allow_redirects=False,
                timeout=CALL_SECONDS,
            )


@contextmanager
def buildbot(
    folder: Path,
    *,
    builders: Mapping[str, Sequence[str]] | None = None,
    workers: Mapping[str, Sequence[str]] | None = None,
    auth: str = "",
    port: int = 0,
) -> Iterator[Master]:
    """Run a master in a folder of its own; one that has run there goes on.

    `builders` are tags by name; those tagged ``release`` take the properties of a release and have
    a scheduler of their own, ``force-release``. `workers` are the workers of builders that do not
    have the one called ``local``; a worker whose name begins with ``gone`` never connects. With
    `auth` (``user:password``) only that user may make it do anything.
    """
    skip_without(missing())
    _copy_template(folder)
    port = port or free_port()
    made = {**(STABLE | {RELEASE: ("release",)} if builders is None else builders)}
    theirs = {name: list((workers or {}).get(name, ("local",))) for name in made}
    names = sorted({one for several in theirs.values() for one in several})
    settings = {
        "port": port,
        "auth": auth,
        "builders": [
            {"name": name, "tags": list(tags), "workers": theirs[name]}
            for name, tags in made.items()
        ],
        "workers": [one for one in names if not one.startswith("gone")],
        "disconnected": [one for one in names if one.startswith("gone")],
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    shutil.copyfile(CONFIG, folder / "master.cfg")
    if not (folder / "outcomes.json").exists():
        (folder / "outcomes.json").write_text("{}")
    master = Master(folder, f"http://{HOST}:{port}/", auth)
    with running(
        [str(PROGRAM), "start", "--nodaemon", "."],
        ready=lambda: _connected(master, settings["workers"]),
        log=folder / "log",
        timeout_seconds=BUILD_SECONDS,
        cwd=folder,
        env=_environment(folder),
    ):
        yield master
    master.session.close()


def _connected(master: Master, workers: object) -> bool:
    assert isinstance(workers, list)
    rows = master.get("workers")["workers"]
    return {one["name"] for one in rows if one["connected_to"]} >= set(workers)


def _copy_template(folder: Path) -> None:
    """Copy an empty master: making one takes seconds, copying it does not.

    Without ``--relocatable`` the copy would quietly start the one it was copied from.
    """
    if (folder / "buildbot.tac").exists():
        return
    if not TEMPLATE.exists():
        with tempfile.TemporaryDirectory(dir=ENVIRONMENT) as near:
            fresh = Path(near) / "master"
            command = [str(PROGRAM), "create-master", "--relocatable", str(fresh)]
            environment = _environment(Path(near))
            subprocess.run(command, check=True, capture_output=True, env=environment, timeout=60)
            # Another test process can have been quicker; theirs is as good.
            if not TEMPLATE.exists():
                fresh.rename(TEMPLATE)
    shutil.copytree(TEMPLATE, folder, dirs_exist_ok=True)


def _environment(home: Path) -> dict[str, str]:
    path = f"{ENVIRONMENT / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8"}
