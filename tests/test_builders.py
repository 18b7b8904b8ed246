"""Builds go on by themselves, are found again, and nothing half done is taken for a result."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import random
import signal
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import BLURB, TOP, VERSION, git, sample

from relkit.adapters import attempts
from relkit.adapters.processes import Places, ProcessBuilders
from relkit.adapters.shelf import Shelf
from relkit.building.builder import PROGRAMS
from relkit.building.interpreter import test_counts as counts
from relkit.building.job import Job
from relkit.errors import CheckError, UsageError, WorldError
from relkit.ports import Builders
from relkit.rehearsal.standins import STANDINS
from relkit.values import Artifact, Build, BuildResult, BuildState

NAMES = (f"{TOP}.tar.xz", f"{TOP}.tgz")
PATIENCE_SECONDS = 60.0


class Place:
    """Builders over the sample repository, with a shelf beside them."""

    def __init__(self, folder: Path, repository: Path, commit: str) -> None:
        self.folder, self.commit = folder, commit
        self.places = Places(repository, folder / "artifacts", BLURB, folder / "site.url")
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
    strange = {"PYTHONPATH": "elsewhere", "GITHUB_TOKEN": "secret", "RELKIT": "any"}
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
    files = collected(place)
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
    files = collected(place)
    facts = place.made(place.build("test", files[0], tests="test_int test_abacus")).facts
    assert (facts["version"], facts["tests_run"], facts["tests_failed"]) == ("3.15.0a2", 4, 0)
    assert facts["selection"] == ("test_int", "test_abacus")
    assert (facts["extension"], facts["venv"]) == ("42 3.15.0a2", "made")
    assert str(facts["pip"]).startswith("pip ")
    assert {"seconds_make", "seconds_tests", "seconds_install"} <= facts.keys()
    assert not any(str(place.folder) in str(fact) for fact in facts.values())
    wait_until(lambda: not (place.attempt(name="test") / "work").exists())


@pytest.mark.parametrize(
    ("tests", "said", "code"),
    [
        ("test_int", "Total tests: run=0", "TESTS_EMPTY"),
        ("test_int", "nothing at all", "TESTS_EMPTY"),
        ("test_int; touch /tmp/x", "", "TEST_SELECTION"),
        ("--help", "", "TEST_SELECTION"),
        ("", "", "TEST_SELECTION"),
    ],
)
def test_tests_that_prove_nothing_are_a_failure(
    place: Place, tests: str, said: str, code: str
) -> None:
    python = f'test "$1" = -V && echo Python {VERSION} || echo "{said}"'
    archive = place.put_archive(configure="echo 'all:' > Makefile", python=python)
    place.builders.start(build=place.build("test", archive, tests=tests))
    assert place.ended("test").detail.startswith(code), place.log("test")


def test_tests_that_fail_are_a_fact_and_end_the_build(place: Place) -> None:
    python = f'test "$1" = -V && echo Python {VERSION} || echo "Total tests: run=9 failures=1"'
    archive = place.put_archive(configure="echo 'all:' > Makefile", python=python)
    facts = place.made(place.build("test", archive, tests="test_int")).facts
    assert (facts["tests_run"], facts["tests_failed"]) == (9, 1)
    assert "venv" not in facts


@pytest.mark.parametrize(
    ("said", "status", "counted", "failures"),
    [
        ("Total tests: run=9 failures=1", 0, (9, 1), ()),
        ("2 tests failed:\\n    test_a test_b\\nTotal tests: run=9 failures=3", 2, (9, 3), "ab"),
        ("1 test failed:\\n    test_b\\nTotal tests: run=9", 2, (9, 1), "b"),
        ("Total tests: run=0", 4, (0, 1), ()),
        ("", 139, (0, 1), ()),
    ],
    ids=["counted", "named", "crashed", "none ran", "all crashed"],
)
def test_tests_that_fail_are_a_result_with_counts(
    place: Place, said: str, status: int, counted: tuple[int, int], failures: str
) -> None:
    python = f'test "$1" = -V && echo Python {VERSION} && exit; printf "{said}\\n"; exit {status}'
    archive = place.put_archive(configure="echo 'all:' > Makefile", python=python)
    facts = place.made(place.build("test", archive, tests="test_a test_b")).facts
    assert (facts["tests_run"], facts["tests_failed"]) == counted
    assert facts["failures"] == tuple(f"test_{name}" for name in failures)
    assert "venv" not in facts


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


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Total tests: run=1,234 failures=2 skipped=3\n", (1234, 2)),
        ("x\nTotal tests: run=17 skipped=1\nTotal test files: run=2/2\n", (17, 0)),
        ("Total tests: run=5 (filtered) failures=1\n", (5, 1)),
        ("Ran 3 tests in 0.1s\n\nOK\nRan 1 test in 2s\n", (4, 0)),
        ("I said Total tests: run=5\n", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_counts_are_read_from_what_tests_say(said: str, expected: tuple[int, int]) -> None:
    assert counts(said) == expected


@given(st.integers(0, 10**7), st.integers(0, 10**5), st.text())
def test_counts_survive_what_stands_before_them(run: int, failed: int, before: str) -> None:
    more = f" failures={failed:,}" if failed else ""
    assert counts(f"{before}\nTotal tests: run={run:,}{more} skipped=2\n") == (run, failed)


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
    )
    with pytest.raises(CheckError, match="BUILD_INPUTS"):
        job.input(".tar.xz")
    with pytest.raises(WorldError, match="BUILD_FAILED"):
        job.run(["/no/such/tool"], cwd=tmp_path)
