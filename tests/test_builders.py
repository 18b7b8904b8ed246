"""Builds go on by themselves, are found again, and nothing half done is taken for a result."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sources import BLURB, TOP, VERSION, git, sample

from relkit.adapters import attempts, processes, superseded
from relkit.adapters.processes import Places, ProcessBuilders
from relkit.adapters.shelf import Shelf
from relkit.building.builder import PROGRAMS
from relkit.building.job import Job, hold
from relkit.building.sbom_check import check_sbom
from relkit.errors import CheckError, UsageError, WorldError
from relkit.ports import Builders
from relkit.rehearsal.standins import STANDINS
from relkit.values import Artifact, Build, BuildResult, BuildState

ARCHIVES = (f"{TOP}.tar.xz", f"{TOP}.tgz")
NAMES = tuple(f"{name}{end}" for name in ARCHIVES for end in ("", ".spdx.json"))
PATIENCE_SECONDS = 60.0


class Place:
    """Builders over the sample repository, with a shelf beside them."""

    def __init__(self, folder: Path, repository: Path, commit: str) -> None:
        self.folder, self.commit = folder, commit
        self.places = Places(
            repository, folder / "artifacts", BLURB, folder / "site.url", folder / "packages"
        )
        self.shelf = Shelf(self.places.artifacts, folder / "builds")

    @property
    def builders(self) -> ProcessBuilders:
        """Builders as another process would open them."""
        return ProcessBuilders(self.folder / "builds", self.places, {**PROGRAMS, **STANDINS})

    def build(self, name: str = "source", *inputs: Artifact, **options: str) -> Build:
        return Build(
            name=name,
            nonce="n1",
            version=str(VERSION),
            commit=self.commit,
            inputs=inputs,
            options=options,
        )

    def state(self, name: str = "source") -> BuildState:
        return self.builders.state(name=name, nonce="n1")

    def ended(self, name: str = "source") -> BuildState:
        wait_until(lambda: self.state(name).status != "running")
        return self.state(name)

    def made(self, build: Build) -> BuildResult:
        self.builders.start(build=build)
        assert self.ended(build.name).status == "done", self.log(build.name)
        result = self.builders.result(name=build.name, nonce="n1")
        assert result is not None
        return result

    def log(self, name: str = "source") -> str:
        return self.builders.log(name=name, nonce="n1")

    def attempt(self, number: int = 1, name: str = "source") -> Path:
        return self.folder / "builds" / "n1" / name / f"attempt-{number}"

    def pid(self, number: int = 1, name: str = "source") -> int:
        path = self.attempt(number, name) / "pid"
        wait_until(path.exists)
        return int(path.read_text())

    def put(self, name: str, data: bytes) -> Artifact:
        self.places.artifacts.mkdir(exist_ok=True)
        (self.places.artifacts / name).write_bytes(data)
        return Artifact(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())

    def put_archive(self, **programs: str) -> Artifact:
        """Put an archive in place whose `configure` and so on are the given shell scripts."""
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:xz") as archive:
            for name, script in programs.items():
                data = f"#!/bin/sh\n{script}\n".encode()
                info = tarfile.TarInfo(f"{TOP}/{name}")
                info.size, info.mode = len(data), 0o755
                archive.addfile(info, io.BytesIO(data))
        return self.put(f"{TOP}.tar.xz", file.getvalue())


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def place(tmp_path: Path, released: tuple[Path, str]) -> Place:
    return Place(tmp_path, *released)


# --- starting, finding, ending ----------------------------------------------------------------


def test_it_is_the_port(place: Place) -> None:
    port: Builders = place.builders
    assert not port.started(name="source", nonce="n1")
    assert port.state(name="source", nonce="n1") == BuildState(status="absent")
    assert port.result(name="source", nonce="n1") is None
    assert port.log(name="source", nonce="n1") == ""


def test_a_build_is_found_by_whoever_looks(place: Place) -> None:
    place.builders.start(build=place.build())
    assert place.builders.started(name="source", nonce="n1")
    assert place.state().since is not None
    assert place.ended().status == "done"
    result = place.builders.result(name="source", nonce="n1")
    assert result is not None
    assert tuple(file.name for file in result.files) == NAMES
    assert result.facts["commit"] == place.commit
    assert "== archives" in place.log()


def test_builds_side_by_side_are_equal_in_other_surroundings(place: Place) -> None:
    for name in "source", "rebuild":
        place.builders.start(build=place.build(name))
    first, again = place.made(place.build()), place.made(place.build("rebuild"))
    assert first.files == again.files
    assert first.facts["payload_sha256"] == again.facts["payload_sha256"]
    told = json.loads((place.attempt(name="rebuild") / "job.json").read_text())
    assert told["build"]["commit"] == place.commit


def test_a_clone_full_of_leftovers_gives_the_same_archives(place: Place, tmp_path: Path) -> None:
    first = place.made(place.build())
    git(tmp_path, "clone", "--quiet", str(place.places.repository), "clone")
    for name in "Lib/abacus.pyc", "Lib/abacus.py", ".gitattributes", "Misc/NEWS":
        (tmp_path / "clone" / name).write_bytes(b"* text eol=crlf\n")
    (tmp_path / "é folder").mkdir()
    other = Place(tmp_path / "é folder", tmp_path / "clone", place.commit)
    assert other.made(other.build()).files == first.files


def test_starting_again_starts_nothing(place: Place) -> None:
    """I54: to start and to await is one step."""
    place.builders.start(build=place.build())
    pid = place.pid()
    place.builders.start(build=place.build())
    assert place.ended().status == "done"
    place.builders.start(build=place.build())
    assert (place.pid(), place.attempt(2).exists()) == (pid, False)


def test_twenty_starts_at_once_are_one_build(place: Place) -> None:
    builders = [place.builders for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda one: one.start(build=place.build()), builders))
    assert place.ended().status == "done"
    assert [path.name for path in place.attempt().parent.glob("attempt-*")] == ["attempt-1"]


def test_another_build_under_the_same_name_is_refused(place: Place) -> None:
    place.made(place.build())
    with pytest.raises(CheckError, match="BUILD_OTHER"):
        place.builders.start(build=place.build(tar="1.34"))


@pytest.mark.parametrize("word", ["", "../x", "a/b", "-x", "a b", "a\n", "é", ".hidden"])
def test_strange_names_are_refused(place: Place, word: str) -> None:
    with pytest.raises(UsageError, match="BAD_NAME"):
        place.builders.start(build=place.build(word))
    with pytest.raises(UsageError, match="BAD_NAME"):
        place.builders.state(name="source", nonce=word)


def test_a_build_nobody_makes_is_refused(place: Place) -> None:
    with pytest.raises(UsageError, match="BUILD_UNKNOWN"):
        place.builders.start(build=place.build("msi"))
    assert not place.builders.started(name="msi", nonce="n1")


def test_a_failed_build_says_why_and_is_started_anew(place: Place) -> None:
    bad = place.build().model_copy(update={"commit": "0123456789" * 4})
    place.builders.start(build=bad)
    state = place.ended()
    assert state.status == "failed"
    assert state.detail.startswith("GIT_FAILED: ")
    assert place.builders.result(name="source", nonce="n1") is None
    assert "Traceback" in place.log()
    assert place.made(place.build()).files
    assert place.attempt(2).exists()


# --- killed -----------------------------------------------------------------------------------


def test_a_killed_build_is_lost_and_is_started_anew(place: Place) -> None:
    place.builders.start(build=place.build())
    os.kill(place.pid(), signal.SIGKILL)
    state = place.ended()
    assert (state.status, state.detail) == ("lost", "killed")
    assert place.builders.result(name="source", nonce="n1") is None
    assert tuple(file.name for file in place.made(place.build()).files) == NAMES


def test_a_build_that_is_lost_again_and_again_has_failed(place: Place) -> None:
    for number in range(1, 6):
        place.builders.start(build=place.build())
        os.kill(place.pid(number), signal.SIGKILL)
        assert place.ended().status == ("lost" if number < 5 else "failed")
    assert place.state().detail == "killed 5 times"


def test_kills_at_random_instants_end_in_the_same_files(
    place: Place, tmp_path: Path, released: tuple[Path, str]
) -> None:
    (tmp_path / "calm").mkdir()
    calm = Place(tmp_path / "calm", *released)
    expected = calm.made(calm.build()).files
    chance = random.Random(5)  # noqa: S311 (instants, not secrets)
    for number in range(1, 9):
        place.builders.start(build=place.build())
        time.sleep(chance.uniform(0, 0.4))
        if place.state().status == "running":
            os.kill(place.pid(number), signal.SIGKILL)
        if place.ended().status == "done":
            break
        assert place.builders.result(name="source", nonce="n1") is None
    assert place.made(place.build()).files == expected


def test_a_build_reaches_the_package_index_as_this_process_does_and_inherits_nothing_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = {
        "PIP_INDEX_URL": "https://mirror.invalid/simple",
        "HTTPS_PROXY": "http://proxy.invalid:3128",
        "no_proxy": "localhost",
        "SSL_CERT_FILE": "/etc/ours.pem",
    }
    own = {"HOME": "elsewhere", "TMPDIR": "elsewhere", "TZ": "Asia/Kolkata", "LC_ALL": "tr_TR"}
    strange = {"GITHUB_TOKEN": "secret", "RELKIT": "any"}
    strange |= dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"), "elsewhere")
    strange |= dict.fromkeys(("CC", "CFLAGS", "LDFLAGS", "MAKEFLAGS", "DESTDIR"), "elsewhere")
    for name, value in (reached | own | strange).items():
        monkeypatch.setenv(name, value)
    archive = place.put_archive(configure="env; exit 1")
    place.builders.start(build=place.build("test", archive, tests="test_int"))
    assert place.ended("test").status == "failed"
    said = dict(line.split("=", 1) for line in place.log("test").splitlines() if "=" in line)
    assert reached.items() <= said.items()
    assert not strange.keys() & said.keys()
    assert said["HOME"] == str(place.attempt(name="test") / "work")
    assert (said["TZ"], said["LC_ALL"]) == ("UTC", "C.UTF-8")


def test_tools_that_outlive_a_killed_build_are_ended(place: Place) -> None:
    archive = place.put_archive(configure="echo $$ > ../../../tool; exec sleep 60")
    build = place.build("test", archive, tests="test_int")
    place.builders.start(build=build)
    tool = place.attempt(name="test") / "tool"
    wait_until(lambda: tool.exists() and bool(tool.read_text()))
    sleeper = int(tool.read_text())
    os.kill(place.pid(name="test"), signal.SIGKILL)
    assert place.ended("test").detail == "killed"
    assert is_alive(sleeper)
    place.builders.start(build=build)
    wait_until(lambda: not is_alive(sleeper))
    os.killpg(place.pid(2, "test"), signal.SIGKILL)
    assert not (place.attempt(name="test") / "work").exists()


def test_a_cancelled_build_is_ended_with_its_tools_and_found_no_more(place: Place) -> None:
    archive = place.put_archive(configure="echo $$ > ../../../tool; exec sleep 60")
    build = place.build("test", archive, tests="test_int")
    place.builders.cancel(name="test", nonce="n1")
    place.builders.start(build=build)
    tool = place.attempt(name="test") / "tool"
    wait_until(lambda: tool.exists() and bool(tool.read_text()))
    builder, sleeper = place.pid(name="test"), int(tool.read_text())
    for _ in range(2):
        place.builders.cancel(name="test", nonce="n1")
        wait_until(lambda: not is_alive(sleeper) and not is_alive(builder))
        assert not place.builders.started(name="test", nonce="n1")
        assert place.state("test").status == "absent"
    aside = place.folder / "builds/n1/superseded/test.1/attempt-1"
    assert "configure" in (aside / "log.txt").read_text()
    assert not (aside / "work").exists()


def test_a_build_is_cancelled_in_the_instant_of_its_start(place: Place) -> None:
    for number in range(1, 4):
        place.builders.start(build=place.build())
        place.builders.cancel(name="source", nonce="n1")
        assert not place.builders.started(name="source", nonce="n1")
        aside = place.folder / f"builds/n1/superseded/source.{number}/attempt-1"
        pid = int((aside / "pid").read_text())
        wait_until(lambda pid=pid: not is_alive(pid))  # type: ignore[misc]
        assert not (aside / "outcome.json").exists()
    assert tuple(file.name for file in place.made(place.build()).files) == NAMES


def test_a_build_that_is_done_or_lost_is_put_aside_whole(place: Place) -> None:
    files = place.made(place.build()).files
    place.builders.cancel(name="source", nonce="n1")
    assert place.builders.result(name="source", nonce="n1") is None
    aside = place.folder / "builds/n1/superseded/source.1/attempt-1/out"
    assert sorted(path.name for path in aside.iterdir()) == sorted(one.name for one in files)
    with pytest.raises(CheckError, match="ARTIFACT_MISSING"):
        place.shelf.collect(name=NAMES[0], sha256="0" * 64, build="source", nonce="n1")
    archive = place.put_archive(configure="echo $$ > ../../../tool; exec sleep 60")
    place.builders.start(build=place.build("test", archive, tests="test_int"))
    tool = place.attempt(name="test") / "tool"
    wait_until(lambda: tool.exists() and bool(tool.read_text()))
    os.kill(place.pid(name="test"), signal.SIGKILL)
    assert place.ended("test").status == "lost"
    place.builders.cancel(name="test", nonce="n1")
    wait_until(lambda: not is_alive(int(tool_of(place).read_text())))
    assert place.state("test").status == "absent"


def tool_of(place: Place) -> Path:
    return place.folder / "builds/n1/superseded/test.1/attempt-1/tool"


def test_a_build_that_does_not_end_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = place.put_archive(configure="exec sleep 60")
    place.builders.start(build=place.build("test", archive, tests="test_int"))
    place.pid(name="test")
    cancel = partial(place.builders.cancel, name="test", nonce="n1")
    with monkeypatch.context() as patch:
        patch.setattr(attempts, "END_SECONDS", 0.2)
        patch.setattr(os, "killpg", lambda *_: None)
        with pytest.raises(WorldError, match="BUILD_NOT_ENDED"):
            cancel()
    assert place.builders.started(name="test", nonce="n1")
    cancel()


def test_an_attempt_that_was_never_begun_is_no_build(place: Place) -> None:
    """Whoever starts it can be killed at any instant, too."""
    place.attempt().parent.mkdir(parents=True)
    (place.attempt().parent / ".attempt").mkdir()
    assert place.state().status == "absent"
    assert place.made(place.build()).files


def test_half_an_outcome_is_none(place: Place) -> None:
    place.builders.start(build=place.build())
    os.kill(place.pid(), signal.SIGKILL)
    (place.attempt() / ".outcome.json.tmp").write_text('{"failure": null, "files": [')
    assert place.ended().detail == "killed"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "DIGEST_CHANGED"),
        (lambda path: path.unlink(), "ARTIFACT_MISSING"),
        (lambda path: path.rename(path.with_suffix(".x")), "ARTIFACT_MISSING"),
    ],
    ids=["shorter", "removed", "renamed"],
)
def test_files_that_change_after_the_build_are_refused(
    place: Place, change: Callable[[Path], object], code: str
) -> None:
    place.made(place.build())
    change(place.attempt() / "out" / NAMES[0])
    with pytest.raises(CheckError, match=code):
        place.builders.result(name="source", nonce="n1")


def test_a_long_log_is_shown_by_its_end(place: Place) -> None:
    place.made(place.build())
    with (place.attempt() / "log.txt").open("a", encoding="utf-8") as log:
        log.write("é" * 10_000 + "the end")
    assert len(place.log()) == 4000
    assert place.log().endswith("éthe end")


# --- damaged, foreign, planted ----------------------------------------------------------------


def begun(place: Place, number: int = 1, **told: object) -> Path:
    """Make an attempt of which no process is left, as after a reboot of the machine."""
    attempt = place.attempt(number, "windows")
    attempt.mkdir(parents=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    job = {"build": stand_in(place).model_dump(mode="json"), "started": now, **told}
    (attempt / "job.json").write_text(json.dumps(job))
    (attempt / "lock").touch()
    return attempt


def stand_in(place: Place, nonce: str = "n1") -> Build:
    files = f"python-{VERSION}-amd64.exe"
    return place.build("windows", files=files, tag=f"v{VERSION}").model_copy(
        update={"nonce": nonce}
    )


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock, as a living process of a build does."""
    lock = hold(path)
    assert lock is not None
    yield
    os.close(lock)


WHOLE: dict[str, Any] = {
    "failure": None,
    "files": [{"name": "x.exe", "size": 1, "sha256": "0" * 64}],
    "facts": {"commit": "0" * 40},
}


def other_file(**fields: object) -> bytes:
    return json.dumps(WHOLE | {"files": [{**WHOLE["files"][0], **fields}]}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        json.dumps(WHOLE).encode()[:-20],
        b"null",
        b"[]",
        b"{}",
        b'"done"',
        b"\xff\xfe",
        b"\0" * 4096,
        json.dumps({"status": "done", "files": [], "facts": {}}).encode(),
        json.dumps({key: one for key, one in WHOLE.items() if key != "failure"}).encode(),
        json.dumps({key: one for key, one in WHOLE.items() if key != "files"}).encode(),
        json.dumps(WHOLE | {"schema": 7}).encode(),
        other_file(name="../../x.exe"),
        other_file(sha256="0" * 40),
        other_file(size="many"),
    ],
)
def test_an_outcome_that_is_damaged_or_foreign_is_the_end_of_no_build(
    place: Place, data: bytes
) -> None:
    (begun(place) / "outcome.json").write_bytes(data)
    state = place.state("windows")
    assert (state.status, state.detail) == ("lost", "what it left cannot be read")
    assert place.builders.result(name="windows", nonce="n1") is None
    with pytest.raises(CheckError, match="ARTIFACT_MISSING"):
        place.shelf.collect(name="x.exe", sha256="0" * 64, build="windows", nonce="n1")


def test_a_build_with_a_damaged_outcome_is_started_anew(place: Place) -> None:
    first = place.made(stand_in(place))
    outcome = place.attempt(name="windows") / "outcome.json"
    outcome.write_bytes(outcome.read_bytes()[:-9])
    assert place.state("windows").status == "lost"
    assert place.made(stand_in(place)).files == first.files
    assert place.attempt(2, "windows").exists()


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"\xff", b'{"started": "2026-01-01"}'])
def test_an_attempt_that_was_told_nothing_is_lost(place: Place, data: bytes) -> None:
    attempt = begun(place)
    (attempt / "job.json").write_bytes(data)
    with held(attempt / "lock"):
        assert place.state("windows") == BuildState(status="running", detail="starting")
    assert place.state("windows").status == "lost"
    (attempt / "outcome.json").write_text(json.dumps(WHOLE))
    assert place.state("windows").status == "lost"
    assert place.made(stand_in(place)).files


def test_after_a_reboot_a_build_is_lost_and_no_other_process_is_ended(place: Place) -> None:
    attempt = begun(place)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        (attempt / "pid").write_text(f"{stranger.pid}\n")
        assert place.state("windows").status == "lost"
        with held(attempt / "tools.lock"):  # whoever holds it, this number is not its own
            assert place.made(stand_in(place)).files
        place.builders.cancel(name="windows", nonce="n1")
        begun(place)
        (place.attempt(1, "windows") / "pid").write_text(f"{stranger.pid}\n")
        place.builders.cancel(name="windows", nonce="n1")
        assert is_alive(stranger.pid)
        stranger.kill()


@pytest.mark.parametrize("said", [None, "", "0\n", "1\n", "-1\n", "x", "12", "9" * 30])
def test_a_process_without_a_number_is_not_guessed(
    place: Place, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signals to 0, 1 and -1 would reach this session, the system, everything."""
    ended: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda number, _: ended.append(number))
    monkeypatch.setattr(attempts, "END_SECONDS", 0.1)
    attempt = begun(place)
    if said is not None:
        (attempt / "pid").write_text(said)
    with held(attempt / "lock"), held(attempt / "tools.lock"):
        with pytest.raises(WorldError, match="BUILD_NOT_ENDED"):
            place.builders.cancel(name="windows", nonce="n1")
        attempts.clear(attempt)
    assert not ended


@pytest.mark.parametrize("started", ["1970-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00"])
def test_a_clock_that_jumps_changes_no_state(place: Place, started: str) -> None:
    attempt = begun(place, started=started)
    with held(attempt / "lock"):
        assert place.state("windows").status == "running"
        assert place.state("windows").detail.startswith("starting")
    assert place.state("windows").status == "lost"
    (attempt / "outcome.json").write_text(json.dumps(WHOLE))
    assert place.state("windows").status == "done"


def test_a_build_whose_folder_is_deleted_ends_nowhere(place: Place) -> None:
    there, flag = place.folder / "there", place.folder / "go on"
    script = f"touch '{there}'; until test -e '{flag}'; do sleep 0.02; done"
    archive = place.put_archive(configure=script, python=f"echo Python {VERSION}")
    build = place.build("test", archive, tests="test_int")
    place.builders.start(build=build)
    first = place.pid(name="test")
    wait_until(there.exists)
    shutil.rmtree(place.attempt(name="test").parent)
    assert place.state("test").status == "absent"
    place.builders.start(build=build)
    second = place.pid(name="test")
    os.killpg(second, signal.SIGSTOP)
    flag.touch()
    wait_until(lambda: not is_alive(first))
    assert place.state("test").status == "running"
    assert not (place.attempt(name="test") / "outcome.json").exists()
    os.killpg(second, signal.SIGKILL)
    place.ended("test")


PLANTED = {
    "link": "ln -s /etc/hostname ../../../out/python.exe",
    "link to nowhere": "ln -s nowhere ../../../out/python.exe",
    "folder": "mkdir ../../../out/python.exe",
    "pipe": "mkfifo ../../../out/python.exe",
    "hidden": "echo x > ../../../out/.python.exe",
    "strange name": "echo x > '../../../out/python 3.exe'",
    "option": "echo x > ../../../out/-rf",
    "new line": 'echo x > "../../../out/a\nb"',
}


@pytest.mark.parametrize("script", PLANTED.values(), ids=PLANTED)
def test_only_regular_files_with_plain_names_are_delivered(place: Place, script: str) -> None:
    python = f'test "$1" = -V && echo Python {VERSION} || echo "Total tests: run=9 failures=1"'
    archive = place.put_archive(configure=f"{script}; echo 'all:' > Makefile", python=python)
    place.builders.start(build=place.build("test", archive, tests="test_int"))
    state = place.ended("test")
    assert state.status == "failed"
    assert state.detail.startswith("DELIVERY_UNFIT"), place.log("test")
    assert place.builders.result(name="test", nonce="n1") is None


def test_what_is_planted_after_a_build_is_no_part_of_its_result(place: Place) -> None:
    first = place.made(stand_in(place))
    out = place.attempt(name="windows") / "out"
    (out / f"python-{VERSION}-more.exe").write_bytes(b"x")
    assert place.made(stand_in(place)) == first
    (out / first.files[0].name).rename(out / "aside")
    (out / first.files[0].name).symlink_to("aside")
    with pytest.raises(CheckError, match="ARTIFACT_MISSING"):
        place.builders.result(name="windows", nonce="n1")


# --- at once, logs, a full disk, progress -----------------------------------------------------


def test_who_waits_to_start_a_build_while_it_is_cancelled_starts_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = place.build("windows", files="python-3.15.0a1.exe")
    place.builders.start(build=build)
    real, waiting = attempts.alone, threading.Semaphore(0)

    def alone(lock: Path) -> AbstractContextManager[None]:
        waiting.release()
        return real(lock)

    def put_aside(path: Path) -> None:
        monkeypatch.setattr(processes, "alone", alone)
        every.extend(pool.submit(place.builders.start, build=build) for _ in range(3))
        for _ in every:
            assert waiting.acquire(timeout=PATIENCE_SECONDS)
        assert not any(one.done() for one in every)
        superseded.put_aside(path)

    every: list[Future[None]] = []
    monkeypatch.setattr(processes, "put_aside", put_aside)
    with ThreadPoolExecutor(3) as pool:
        place.builders.cancel(name="windows", nonce="n1")
    for one in every:
        one.result()
    assert place.ended("windows").status == "done"
    assert [path.name for path in place.attempt(name="windows").parent.iterdir()] == ["attempt-1"]


def test_several_builds_at_once_have_each_a_log_and_a_result(place: Place) -> None:
    stand_ins = [stand_in(place, f"n{number}") for number in range(2, 6)]
    builds = [place.build("source"), place.build("rebuild"), *stand_ins]
    for build in builds:
        place.builders.start(build=build)
    states = partial(place.builders.state)
    for build in builds:
        key = {"name": build.name, "nonce": build.nonce}
        wait_until(lambda key=key: states(**key).status == "done")  # type: ignore[misc]
        result = place.builders.result(name=build.name, nonce=build.nonce)
        assert result is not None
        assert result.files
    assert "== archives" in place.log("source")
    assert "== archives" in place.log("rebuild")


STARTER = """
import sys, time
from pathlib import Path
from typing import Any
from relkit.adapters.processes import Places, ProcessBuilders
from relkit.rehearsal.standins import STANDINS
from relkit.values import Build
folder, mine, theirs, build, count = sys.argv[1:]
folder, build = Path(folder), Build.model_validate_json(build)
places = Places(*[folder / name for name in ("r", "artifacts", "blurb-1", "site", "packages")])
builders = ProcessBuilders(folder / "builds", places, STANDINS)
for number in range(int(count)):
    (folder / f"{mine}-{number}").touch()
    while not (folder / f"{theirs}-{number}").exists():
        pass
    builders.start(build=build.model_copy(update={"nonce": f"n{number}"}))
    key = {"name": build.name, "nonce": f"n{number}"}
    while number % 8 == 7 and builders.state(**key).status == "running":
        time.sleep(0.02)  # do not start 200 processes at once
"""


def start_twice(place: Place, count: int) -> None:
    build = stand_in(place).model_dump_json()
    commands = [
        [sys.executable, "-c", STARTER, str(place.folder), *names, build, str(count)]
        for names in (("a", "b"), ("b", "a"))
    ]
    racers = [subprocess.Popen(command) for command in commands]
    assert [racer.wait(PATIENCE_SECONDS * 3) for racer in racers] == [0, 0]
    for number in range(count):
        key = {"name": "windows", "nonce": f"n{number}"}
        wait_until(lambda key=key: place.builders.state(**key).status == "done")  # type: ignore[misc]
        home = place.folder / "builds" / f"n{number}" / "windows"
        assert [one.name for one in home.glob("*attempt*")] == ["attempt-1"]


def test_a_build_started_by_two_processes_at_the_same_instant_is_one(place: Place) -> None:
    start_twice(place, 10)


@pytest.mark.slow
def test_two_hundred_double_starts_are_two_hundred_builds(place: Place) -> None:
    start_twice(place, 200)


def test_the_log_is_kept_whatever_became_of_the_build(place: Place) -> None:
    place.made(place.build())
    assert "== archives" in place.log()
    place.builders.cancel(name="source", nonce="n1")
    bad = place.build().model_copy(update={"commit": "0123456789" * 4})
    place.builders.start(build=bad)
    assert place.ended().status == "failed"
    failed = place.log()
    assert "Traceback" in failed
    archive = place.put_archive(configure="echo first words; exec sleep 60")
    build = place.build("test", archive, tests="test_int")
    place.builders.start(build=build)
    wait_until(lambda: "first words" in place.log("test"))
    os.killpg(place.pid(name="test"), signal.SIGKILL)
    assert place.ended("test").status == "lost"
    assert "first words" in place.log("test")
    place.builders.start(build=build)
    place.builders.cancel(name="test", nonce="n1")
    place.made(place.build())
    home = place.folder / "builds/n1"
    assert "Traceback" in (home / "source/attempt-1/log.txt").read_text()
    assert "== archives" in (home / "superseded/source.1/attempt-1/log.txt").read_text()
    assert "first words" in (home / "superseded/test.1/attempt-1/log.txt").read_text()


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Let processes that start now write no larger files: what a quota does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_build_over_its_quota_has_failed_and_says_why(place: Place) -> None:
    with no_file_larger_than(8_000):
        place.builders.start(build=place.build())
    state = place.ended()
    assert (state.status, "File too large" in state.detail) == ("failed", True), place.log()
    assert place.builders.result(name="source", nonce="n1") is None
    assert tuple(file.name for file in place.made(place.build()).files) == NAMES


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_build_on_a_full_disk_has_failed_and_says_why(place: Place) -> None:
    with small_disk(place.folder / "builds", "1m"):
        for free in 64, 40, 24:
            filler = place.folder / "builds" / "filler"
            place.builders.cancel(name="source", nonce="n1")
            shutil.rmtree(place.folder / "builds" / "n1", ignore_errors=True)
            filler.write_bytes(bytes((1024 - free) * 1024))
            place.builders.start(build=place.build())
            state = place.ended()
            assert state.status == "failed", f"{free} kB: {state}"
            assert "No space left" in state.detail, f"{free} kB: {state}"
            assert place.builders.result(name="source", nonce="n1") is None
            filler.unlink()
        assert tuple(file.name for file in place.made(place.build()).files) == NAMES


@pytest.mark.parametrize(
    ("part", "minutes", "detail"),
    [
        (b"archives 43 %", 2, "archives 43 %, 2 min"),
        (b"archives 43 %", 0, "archives 43 %"),
        (b"archives 43 %", -60, "archives 43 %"),
        (b"archives 43 %\n", 61, "archives 43 %, 1 h 1 min"),
        (None, 0, "starting"),
        (b"", 0, "at work"),
        (b"\n\n", 3, "at work, 3 min"),
        (b"\xff\x00\x1b[2Jx", 0, "\N{REPLACEMENT CHARACTER}[2Jx"),
        (b"x" * 10_000, 0, "x" * 200),
    ],
)
def test_a_running_build_says_what_it_does_and_for_how_long(
    place: Place, part: bytes | None, minutes: int, detail: str
) -> None:
    since = datetime.now(UTC) - timedelta(minutes=minutes, seconds=1)
    attempt = begun(place, started=since.isoformat())
    if part is not None:
        (attempt / "part").write_bytes(part)
    with held(attempt / "lock"):
        state = place.state("windows")
    assert (state.status, state.detail, state.since) == ("running", detail, since)


def test_the_percentage_of_the_archives_is_seen_while_they_are_made(place: Place) -> None:
    place.builders.start(build=place.build())
    details = set()
    while (state := place.state()).status == "running":
        details.add(state.detail)
    assert state.status == "done"
    assert any(detail.startswith("archives") for detail in details)
    told = re.compile(r"starting|archives( [0-9]+ %)?(, [0-9]+ min)?")
    assert not [detail for detail in details if not told.fullmatch(detail)]


# --- what the builds do -----------------------------------------------------------------------


def collected(place: Place) -> tuple[Artifact, ...]:
    files = place.made(place.build()).files
    for file in files:
        place.shelf.collect(name=file.name, sha256=file.sha256, build="source", nonce="n1")
    return files


def test_the_collected_archives_are_compared_with_the_commit(place: Place) -> None:
    result = place.made(place.build("compare", *collected(place)))
    assert (result.facts["unexplained"], result.facts["by_eol"]) == (0, 2)
    assert int(str(result.facts["compared"])) > 40


def test_an_archive_of_another_commit_is_seen_to_be_one(place: Place) -> None:
    files = [file for file in collected(place) if file.name in ARCHIVES]
    other = git(place.places.repository, "rev-parse", "main")
    build = place.build("compare", *files).model_copy(update={"commit": other})
    result = place.made(build)
    assert int(str(result.facts["unexplained"])) > 3
    assert "Include/patchlevel.h (content)" in str(result.facts["differences"])


def test_a_swapped_archive_is_neither_compared_nor_tested(place: Place) -> None:
    files = collected(place)
    (place.places.artifacts / NAMES[0]).unlink()
    place.put(NAMES[0], b"other bytes")
    for build in place.build("compare", *files), place.build("test", files[0], tests="test_int"):
        place.builders.start(build=build)
        assert place.ended(build.name).detail.startswith("DIGEST_CHANGED")


def test_an_archive_is_built_tested_installed_and_used(place: Place) -> None:
    """I43: extensions were linked wrongly; I22: what was downloaded is built."""
    files = collected(place)
    facts = place.made(place.build("test", files[0], tests="test_int test_abacus")).facts
    assert (facts["version"], facts["tests_run"], facts["tests_failed"]) == ("3.15.0a2", 4, 0)
    assert (facts["tests_expected"], facts["tests_skipped"], facts["files_run"]) == (4, 0, 2)
    assert facts["selection"] == ("test_int", "test_abacus")
    assert (facts["extension"], facts["venv"]) == ("42 3.15.0a2", "made")
    assert str(facts["pip"]).startswith("pip ")
    assert {"seconds_make", "seconds_tests", "seconds_install"} <= facts.keys()
    assert not any(str(place.folder) in str(fact) for fact in facts.values())
    wait_until(lambda: not (place.attempt(name="test") / "work").exists())


def test_another_version_in_the_archive_is_a_failure(place: Place) -> None:
    archive = place.put_archive(configure="echo 'all:' > Makefile", python="echo Python 3.15.0a1")
    place.builders.start(build=place.build("test", archive, tests="test_int"))
    assert place.ended("test").detail.startswith("VERSION_STAMP")


def test_a_tool_that_fails_is_named(place: Place) -> None:
    archive = place.put_archive(configure="echo no compiler; exit 3")
    place.builders.start(build=place.build("test", archive, tests="test_int"))
    state = place.ended("test")
    assert state.detail.startswith("BUILD_FAILED: configure")
    assert "status 3" in state.detail
    assert "no compiler" in place.log("test")


def test_an_archive_that_leads_outside_is_not_unpacked(place: Place) -> None:
    archive = place.put_archive(**{"../../../../evil": "x"})
    place.builders.start(build=place.build("test", archive, tests="test_int"))
    assert place.ended("test").status == "failed"
    assert not list(place.folder.rglob("evil"))


# --- the stranger -----------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(place: Place) -> Iterator[None]:
    handler = partial(Quiet, directory=str(place.places.artifacts))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        place.places.site.write_text(f"http://127.0.0.1:{server.server_port}/")
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_a_stranger_builds_what_is_public_once_the_site_is_there(place: Place) -> None:
    archive = collected(place)[0]
    place.places.site.write_text("http://127.0.0.1:9/")
    place.builders.start(build=place.build("stranger", archive, path=f"/{NAMES[0]}"))
    wait_until(lambda: place.state("stranger").detail == "download")
    with serving(place):
        assert place.ended("stranger").status == "done", place.log("stranger")
    result = place.builders.result(name="stranger", nonce="n1")
    assert result is not None
    assert (result.facts["version"], result.facts["sha256"]) == (str(VERSION), archive.sha256)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"<html>", "DIGEST_CHANGED"),
        (b"", "DIGEST_CHANGED"),
        (b"x" * 3_000_000, "DIGEST_CHANGED"),
        (None, "PUBLIC_MISSING"),
    ],
    ids=["HTML", "empty", "larger", "missing"],
)
def test_a_stranger_refuses_other_bytes(place: Place, data: bytes | None, code: str) -> None:
    """I22: a source archive was damaged."""
    expected = place.put(NAMES[0], b"the archive")
    (place.places.artifacts / NAMES[0]).unlink()
    if data is not None:
        place.put(NAMES[0], data)
    with serving(place):
        place.builders.start(build=place.build("stranger", expected, path=f"/{NAMES[0]}"))
        assert place.ended("stranger").detail.startswith(code)


# --- stand-ins --------------------------------------------------------------------------------


def test_stand_ins_say_what_they_are_and_are_always_the_same(place: Place) -> None:
    names = [f"python-{VERSION}{end}" for end in (".exe", "-embed.zip", ".pkg", ".tar.gz")]
    build = place.build("windows", files=";".join(names), tag="v3.15.0a2")
    result = place.made(build)
    again = place.made(build.model_copy(update={"nonce": "n1", "name": "macos"}))
    assert sorted(file.name for file in result.files) == sorted(names)
    assert [file.name for file in again.files] == [file.name for file in result.files]
    assert (result.facts["version"], result.facts["commit"]) == (str(VERSION), place.commit)
    out = place.attempt(name="windows") / "out"
    for name in names:
        data = (out / name).read_bytes()
        assert b"stand-in made for the rehearsal" in data
        assert place.commit.encode() in data
    with tarfile.open(out / names[3]) as archive:
        assert archive.getnames() == [f"python-{VERSION}/REHEARSAL-STAND-IN.txt"]


def test_the_sbom_of_a_stand_in_describes_exactly_it_and_is_read_by_its_digest(
    place: Place,
) -> None:
    exe = f"python-{VERSION}.exe"
    result = place.made(place.build("windows", files=f"{exe}.spdx.json;{exe}"))
    file, sbom = result.files
    assert (file.name, sbom.name) == (exe, f"{exe}.spdx.json")
    read = partial(place.builders.read, nonce="n1")
    text = read(name="windows", file=sbom)
    assert text is not None
    check_sbom(text, name=exe, sha256=file.sha256, contents=None)
    assert "stand-in made for the rehearsal" in text
    assert read(name="macos", file=sbom) is None
    with pytest.raises(CheckError, match="DIGEST_CHANGED"):
        read(name="windows", file=sbom.model_copy(update={"sha256": "0" * 64}))


def test_an_sbom_of_no_stand_in_is_refused(place: Place) -> None:
    place.builders.start(build=place.build("windows", files="python.exe.spdx.json"))
    assert place.ended("windows").detail.startswith("BUILD_UNKNOWN")


def test_a_stand_in_of_unknown_form_is_refused(place: Place) -> None:
    place.builders.start(build=place.build("windows", files="python.msix"))
    assert place.ended("windows").detail.startswith("BUILD_UNKNOWN")


def test_a_job_wants_the_inputs_it_reads(tmp_path: Path) -> None:
    job = Job(
        folder=tmp_path,
        name="test",
        version=VERSION,
        commit="0" * 40,
        inputs=(),
        options={},
        repository=tmp_path,
        artifacts=tmp_path,
        blurb=BLURB,
        site=tmp_path / "site.url",
        index="",
        packages=tmp_path / "packages",
    )
    with pytest.raises(CheckError, match="BUILD_INPUTS"):
        job.input(".tar.xz")
    with pytest.raises(WorldError, match="BUILD_FAILED"):
        job.run(["/no/such/tool"], cwd=tmp_path)
