"""Builds as processes of this machine: started, found again by anybody, never taken for more.

Each build has a folder ``<nonce>/<name>/`` with one ``attempt-N`` for each time it was started. A
process holds a lock on its attempt for as long as it lives, so that whoever looks, from any
process, knows whether it runs; only a whole ``outcome.json`` makes it finished. The processes are
in sessions of their own, and survive a kernel that is restarted or killed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from relkit.adapters.attempts import (
    alone,
    check_same,
    clear,
    delivered_by,
    end,
    home_of,
    newest,
    number_of,
    outcome,
    status_of,
)
from relkit.adapters.edit_tools import inherited_environment
from relkit.adapters.subjects import opened, text_of
from relkit.adapters.superseded import put_aside
from relkit.building.builder import PROGRAMS
from relkit.building.job import JOB, LOCK, LOG, OUT, WORK, hold, write_whole
from relkit.errors import UsageError
from relkit.values import Artifact, Build, BuildResult, BuildState

LOG_TAIL = 4000


@dataclass(frozen=True)
class Places:
    """Where builds find things: no part of any record.

    `repository` holds the commits to build, `artifacts` the collected files, `blurb` is the folder
    of the installed blurb that the tree needs (``blurb-1.1.0``), and `site` a file that holds the
    present address of the public site. `index` is the address of a package index (empty: none is
    asked), and `packages` the folder in which its answers are kept.
    """

    repository: Path
    artifacts: Path
    blurb: Path
    site: Path
    packages: Path
    index: str = ""

    def told(self) -> dict[str, str]:
        """Return the places as a build is told them."""
        paths = {name: str(path.absolute()) for name, path in vars(self).items() if name != "index"}
        return paths | {"index": self.index}


@dataclass(frozen=True)
class Surroundings:
    """What a build process finds around it, and what no byte of a release may depend on."""

    environment: Mapping[str, str]
    umask: int
    cwd: Path | None = None  # None: the attempt's folder


USUAL = Surroundings({"LC_ALL": "C.UTF-8", "TZ": "UTC"}, umask=0o022)
VARIED = Surroundings(
    {
        "LC_ALL": "C",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
        "PYTHONHASHSEED": "1",
        "TZ": "Pacific/Kiritimati",
    },
    umask=0o077,
    cwd=Path("/"),
)
SURROUNDINGS = {"rebuild": VARIED}

_children: list[subprocess.Popen[bytes]] = []
"""Builds this process has started: kept so that they are reaped, not so that they are known."""


class ProcessBuilders:
    """`relkit.ports.Builders` on this machine; `programs` says what each build does."""

    def __init__(
        self, folder: Path, places: Places, programs: Mapping[str, str] = PROGRAMS
    ) -> None:
        self._folder = folder
        self._places = places
        self._programs = programs

    def start(self, *, build: Build) -> None:
        """Start a build, unless it runs or is done; anew if it was killed or has failed."""
        home = home_of(self._folder, build.nonce, build.name)
        if build.name not in self._programs:
            raise UsageError(
                f"nobody makes the build {build.name!r} here",
                code="BUILD_UNKNOWN",
                remedy=f"This world makes: {', '.join(self._programs)}.",
            )
        with alone(_lock_of(home)):
            home.mkdir(exist_ok=True)
            last = newest(home)
            if last is not None and status_of(last).status in {"running", "done"}:
                check_same(last, build)
                return
            if last is not None:
                _reap()
                clear(last)
            self._launch(home, number_of(last) + 1, build)

    def started(self, *, name: str, nonce: str) -> bool:
        """Tell whether there was ever an attempt."""
        return newest(home_of(self._folder, nonce, name)) is not None

    def state(self, *, name: str, nonce: str) -> BuildState:
        """Tell how the newest attempt stands; one that was killed is lost."""
        _reap()
        last = newest(home_of(self._folder, nonce, name))
        return BuildState(status="absent") if last is None else status_of(last)

    def result(self, *, name: str, nonce: str) -> BuildResult | None:
        """Return what a finished build left; refuse (``DIGEST_CHANGED``) files changed since."""
        last = newest(home_of(self._folder, nonce, name))
        if last is None or status_of(last).status != "done":
            return None
        result = BuildResult.model_validate(
            {key: value for key, value in outcome(last).items() if key != "failure"}
        )
        return result.model_copy(
            update={"files": tuple(_again(last / OUT, file) for file in result.files)}
        )

    def read(self, *, name: str, nonce: str, file: Artifact) -> str | None:
        """Return a delivered text; what is hashed are the very bytes that are returned."""
        out = delivered_by(self._folder, nonce=nonce, name=name)
        return None if out is None else text_of(out / file.name, file.sha256)

    def cancel(self, *, name: str, nonce: str) -> None:
        """End a build, if it runs, with its tools; put it aside as ``superseded/<name>.<n>``.

        Afterwards nobody finds it, whatever it had delivered. Raises `WorldError`
        (``BUILD_NOT_ENDED``).
        """
        home = home_of(self._folder, nonce, name)
        if not home.is_dir():
            return
        with alone(_lock_of(home)):
            last = newest(home)
            if last is not None and status_of(last).status != "done":
                end(last)
                _reap()
                clear(last)
            put_aside(home)

    def log(self, *, name: str, nonce: str) -> str:
        """Return the end of the newest attempt's log."""
        last = newest(home_of(self._folder, nonce, name))
        if last is None or not (last / LOG).is_file():
            return ""
        with (last / LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4 * LOG_TAIL))
            return file.read().decode("utf-8", "replace")[-LOG_TAIL:]

    def _launch(self, home: Path, number: int, build: Build) -> None:
        """Make an attempt and its process; the attempt is locked from the moment it is there."""
        new = home / ".attempt"
        shutil.rmtree(new, ignore_errors=True)  # of a process that was killed here
        new.mkdir()
        job = {
            "build": build.model_dump(mode="json"),
            "program": self._programs[build.name],
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            **self._places.told(),
        }
        write_whole(new / JOB, json.dumps(job, indent=1, sort_keys=True))
        lock = hold(new / LOCK)
        attempt = home / f"attempt-{number}"
        new.rename(attempt)
        try:
            _spawn(attempt, cast("int", lock), SURROUNDINGS.get(build.name, USUAL))
        finally:
            os.close(cast("int", lock))


def _lock_of(home: Path) -> Path:
    return home.with_name(f".{home.name}.lock")


def _again(out: Path, file: Artifact) -> Artifact:
    with opened(out / file.name, file.sha256) as subject:
        return Artifact(name=file.name, size=subject.size, sha256=subject.sha256)


def _spawn(attempt: Path, lock: int, around: Surroundings) -> None:
    """Start the process of a build, which reaches the package index as this process does."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    own = {
        "PATH": path,
        "HOME": str(attempt / WORK),
        "TMPDIR": str(attempt / WORK),
        "PYTHONIOENCODING": "utf-8",  # of the log, whatever the locale
    }
    with (attempt / LOG).open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "relkit.building.builder", str(attempt)],
            cwd=around.cwd or attempt,
            env={**inherited_environment(), **own, **around.environment},
            umask=around.umask,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lock,),
        )
    _children.append(child)


def _reap() -> None:
    _children[:] = [child for child in _children if child.poll() is None]
