"""An export or build that is killed at any instant leaves nothing that is taken for its result.

Each is killed while it is at work, all of its processes or only the first one, and then begun
again: it must end with the bytes of one that nobody killed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from exports import digests, export, export_command
from sources import BLURB, VERSION, sample

from relkit.adapters.processes import Places, ProcessBuilders
from relkit.adapters.shelf import Shelf
from relkit.values import Artifact, Build, BuildResult

pytestmark = pytest.mark.slow
INSTANTS = 25
LATE = 10
"""How many of the instants are in the last fifth, where results get their names."""
PATIENCE_SECONDS = 60.0
ORPHAN_SECONDS = 5.0
"""How long tools may take to see that nobody wants what they make."""


def instants(seed: str) -> list[float]:
    """Return instants as parts of the whole time: each part of it has some, the end has more."""
    chance = random.Random(seed)  # noqa: S311 (instants, not secrets)
    early = INSTANTS - LATE
    spread = [(number + chance.random()) / early for number in range(early)]
    return spread + [0.8 + 0.22 * (number + chance.random()) / LATE for number in range(LATE)]


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.005)


def living(session: int) -> list[str]:
    """Return the processes of a session that are at work."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (place / "stat").read_text().rpartition(") ")[2].split()
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append((place / "cmdline").read_text().replace("\0", " "))
    return found


def kill(leader: int, *, whole: bool) -> None:
    """Kill the first process of a session, or all of it."""
    with suppress(ProcessLookupError):
        if whole:
            os.killpg(leader, signal.SIGKILL)
        else:
            os.kill(leader, signal.SIGKILL)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return sample(tmp_path_factory.mktemp("sample"))


# --- the command --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Calm:
    """An export that nobody killed: its files by name with their SHA-256, and its seconds."""

    files: dict[str, str]
    seconds: float


@pytest.fixture(scope="module")
def calm(released: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Calm:
    took, out = [], tmp_path_factory.mktemp("calm")
    for name in "first", "second":  # the first one may find less in the system's memory
        start = time.monotonic()
        found = export(released[0], out / name)
        took.append(time.monotonic() - start)
        assert found.status == 0, found.said
    return Calm(digests(out / "first"), min(took))


@contextmanager
def exporting(repository: Path, out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Begin an export in a session of its own."""
    with subprocess.Popen(
        export_command(repository, out),
        env={"PATH": os.environ["PATH"]},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            kill(process.pid, whole=True)


def shown(out: Path) -> list[str]:
    """Return the names of the results in a folder, which may not be there."""
    try:
        return [name for name in os.listdir(out) if not name.startswith(".")]  # noqa: PTH208 (quick)
    except FileNotFoundError:
        return []


def assert_sound(out: Path, calm: Calm) -> None:
    """Whatever has the name of a result is one, and what is left over is that of one attempt."""
    for name in shown(out):
        assert digests(out)[name] == calm.files[name], f"{name} is half a file"
    if not out.exists():
        return
    hidden = [path for path in out.iterdir() if path.name.startswith(".")]
    assert len(hidden) <= 2, hidden
    results = [path.name for folder in hidden for path in folder.rglob("*.t*")]
    assert len(results) == len(set(results)), results


def assert_ends_equal(repository: Path, out: Path, calm: Calm) -> None:
    found = export(repository, out)
    assert (found.status, found.files) == (0, calm.files), found.said


@pytest.mark.parametrize("number", range(INSTANTS))
def test_a_killed_export_leaves_no_half_file_and_ends_equal(
    number: int, released: tuple[Path, str], calm: Calm, tmp_path: Path
) -> None:
    out, part = tmp_path / "out", instants("export")[number]
    with exporting(released[0], out) as process:
        time.sleep(part * calm.seconds)
        kill(process.pid, whole=number % 2 == 0)
        process.wait()
        assert_sound(out, calm)
        if number % 2:  # tools that are left see by themselves that they are
            wait_until(lambda: not living(process.pid), ORPHAN_SECONDS)
    assert_ends_equal(released[0], out, calm)


KILLER = """
import os, runpy, signal, sys, threading
out, fatal = sys.argv[1], int(sys.argv[2])
done, lock = 0, threading.Lock()

def look(event, arguments):
    global done
    if event not in CHANGES or not any(str(one).startswith(out + "/") for one in arguments):
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & os.O_CREAT):
        return
    with lock:
        done += 1
        if done == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        print(done, event, file=changes)

CHANGES = {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree"}
changes = open(out + ".changes", "w", buffering=1)
sys.argv[:] = ["relkit", *sys.argv[3:]]
sys.addaudithook(look)
runpy.run_module("relkit", run_name="__main__", alter_sys=True)
"""
"""Runs a command that kills itself just before one of its changes to a folder, by number."""


def export_killed(repository: Path, out: Path, number: int) -> list[str]:
    """Export, killed just before a change to the folder; return those that were made."""
    words = export_command(repository, out)
    options = words[words.index("export") :]
    command = [sys.executable, "-P", "-c", KILLER, str(out), str(number), *options]
    with subprocess.Popen(command, env={"PATH": os.environ["PATH"]}) as process:
        process.wait(PATIENCE_SECONDS)
    return out.with_name(f"{out.name}.changes").read_text().splitlines()


@pytest.fixture(scope="module")
def changes(
    released: tuple[Path, str], calm: Calm, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """Return what an export does to the folder of its results, change by change."""
    out = tmp_path_factory.mktemp("changes") / "out"
    found = export_killed(released[0], out, 0)
    assert digests(out) == calm.files
    assert sum("os.link" in one for one in found) == len(calm.files)
    return found


@pytest.mark.parametrize("part", range(12))
def test_an_export_killed_before_a_change_to_its_folder_ends_equal(
    part: int, released: tuple[Path, str], calm: Calm, changes: list[str], tmp_path: Path
) -> None:
    """Six of the changes give a result its name; the others are spread over all of them."""
    named = [number for number, one in enumerate(changes, 1) if "os.link" in one]
    others = [1 + len(changes) * number // 6 for number in range(6)]
    out, number = tmp_path / "out", [*named, *others][part]
    assert len(export_killed(released[0], out, number)) == number - 1
    assert_sound(out, calm)
    if number in named:
        assert len(shown(out)) == named.index(number)
    assert_ends_equal(released[0], out, calm)


def test_exports_killed_again_and_again_leave_no_more_than_one(
    released: tuple[Path, str], calm: Calm, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for part in (0.5, 0.9, 0.7, 0.95, 0.8, 0.6):
        with exporting(released[0], out) as process:
            time.sleep(part * calm.seconds)
            kill(process.pid, whole=False)
            process.wait()
            assert_sound(out, calm)
    assert_ends_equal(released[0], out, calm)


# --- the builds ---------------------------------------------------------------------------------


class Builds:
    """Builds of the sample; each of a nonce of its own."""

    def __init__(self, folder: Path, repository: Path, commit: str) -> None:
        self.folder, self.commit = folder, commit
        names = ("artifacts", "site.url", "packages")
        artifacts, site, packages = (folder / name for name in names)
        self.ports = ProcessBuilders(
            folder / "builds", Places(repository, artifacts, BLURB, site, packages)
        )
        self.shelf = Shelf(artifacts, folder / "builds")

    def build(self, name: str, nonce: str, *inputs: Artifact) -> Build:
        return Build(
            name=name, nonce=nonce, version=str(VERSION), commit=self.commit, inputs=inputs
        )

    def home(self, build: Build) -> Path:
        return self.folder / "builds" / build.nonce / build.name

    def attempts(self, build: Build) -> list[Path]:
        return sorted(self.home(build).glob("attempt-*"))

    def status(self, build: Build) -> str:
        return self.ports.state(name=build.name, nonce=build.nonce).status

    def result(self, build: Build) -> BuildResult | None:
        return self.ports.result(name=build.name, nonce=build.nonce)

    def made(self, build: Build) -> tuple[BuildResult, float]:
        start = time.monotonic()
        self.ports.start(build=build)
        wait_until(lambda: self.status(build) != "running")
        took = time.monotonic() - start
        result = self.result(build)
        assert result is not None, self.ports.log(name=build.name, nonce=build.nonce)
        return result, took

    def killed_at(self, build: Build, seconds: float, *, whole: bool) -> None:
        """Start a build, and kill it after so many seconds, if it still runs then."""
        begin = time.monotonic()
        self.ports.start(build=build)
        pid = self.attempts(build)[-1] / "pid"
        wait_until(pid.exists)
        time.sleep(max(0.0, seconds - (time.monotonic() - begin)))
        leader = int(pid.read_text())
        if self.status(build) == "running":
            kill(leader, whole=whole)
        wait_until(lambda: self.status(build) != "running")
        assert self.status(build) in {"lost", "done"}
        wait_until(lambda: not living(leader), ORPHAN_SECONDS)


def same(result: BuildResult) -> object:
    """Return of a result what does not depend on how long it took."""
    facts = {name: one for name, one in result.facts.items() if not name.startswith("seconds_")}
    return result.files, facts


@pytest.fixture(scope="module")
def builds(released: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return Builds(tmp_path_factory.mktemp("builds"), *released)


@pytest.fixture(scope="module")
def calm_builds(builds: Builds) -> dict[str, tuple[Build, BuildResult, float]]:
    """Return each build, its result, and its seconds where nobody killed it."""
    source = builds.build("source", "calm")
    files = builds.made(source)[0].files
    for file in files:
        builds.shelf.collect(name=file.name, sha256=file.sha256, build="source", nonce="calm")
    found = {}
    for one in (builds.build("source", "calm2"), builds.build("compare", "calm2", *files)):
        found[one.name] = (one, *builds.made(one))
    return found


@pytest.mark.parametrize("number", range(INSTANTS))
def test_a_killed_build_has_no_result_and_ends_equal(
    number: int, builds: Builds, calm_builds: dict[str, tuple[Build, BuildResult, float]]
) -> None:
    calm, expected, seconds = calm_builds[("source", "compare")[number % 2]]
    build = calm.model_copy(update={"nonce": f"n{number}"})
    parts = instants("builds")
    for again in range(2):
        part = parts[(number + 11 * again) % INSTANTS]
        builds.killed_at(build, part * seconds, whole=(number // 2 + again) % 2 == 0)
        result = builds.result(build)
        if builds.status(build) == "done":
            assert result is not None
            assert same(result) == same(expected)
            return
        assert result is None
    assert same(builds.made(build)[0]) == same(expected)
    *lost, last = builds.attempts(build)
    wait_until(lambda: not (last / "work").exists())
    left = {path.name for one in lost for path in one.iterdir()}
    assert not left & {"work", "out"}


STARTER = """
import sys
from pathlib import Path
from relkit.adapters.processes import Places, ProcessBuilders
from relkit.values import Build
builds, repository, blurb, build = sys.argv[1:]
other = Path(builds).parent
places = Places(Path(repository), other / "a", Path(blurb), other / "site", other / "packages")
print(flush=True)
ProcessBuilders(Path(builds), places).start(build=Build.model_validate_json(build))
"""


@pytest.mark.parametrize("number", range(8))
def test_whoever_starts_a_build_can_be_killed_as_well(
    number: int, builds: Builds, released: tuple[Path, str]
) -> None:
    build = builds.build("source", f"s{number}")
    command = [sys.executable, "-c", STARTER, str(builds.folder / "builds"), str(released[0])]
    command += [str(BLURB), build.model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        starter.stdout.read(1)
        time.sleep(number * 0.002)
        starter.kill()
    wait_until(lambda: builds.status(build) != "running")
    assert builds.status(build) in {"absent", "lost", "done"}
    result, _ = builds.made(build)
    assert result.files
    assert len(builds.attempts(build)) <= 2
    assert not (builds.home(build) / ".attempt").exists()
