"""Remote builds: never two runs for one intention, never half a download taken for done."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from hostile import STRINGS
from remote_together import (
    CONTEXT,
    SECONDS,
    all_at_once,
    process,
    start_at_once,
    take_at_once,
    take_slowly,
)
from remote_toy import (
    BUILDER,
    COMMIT,
    FILES,
    VERSION,
    NobodyHere,
    ToyService,
    asked,
    builders,
    changed,
    disk_full,
    lost_answer,
    unreachable,
    whole_way,
)

from relkit.adapters.attempts import home_of, newest
from relkit.adapters.remote_builders import RemoteBuilders
from relkit.adapters.shelf import Shelf
from relkit.building.job import LOCK, hold
from relkit.building.provenance import check_provenance, read_provenance
from relkit.errors import CheckError, ReleaseError, UsageError, WorldError
from relkit.values import Artifact, BuildState

DOCS = FILES["docs"][0]


@pytest.fixture
def service(tmp_path: Path) -> ToyService:
    (tmp_path / "service").mkdir()
    return ToyService(tmp_path / "service")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "builds"


@pytest.fixture
def at(folder: Path, service: ToyService) -> RemoteBuilders:
    return builders(folder, service)


def state(at: RemoteBuilders, name: str = "docs") -> BuildState:
    return at.state(name=name, nonce="n1")


def started(at: RemoteBuilders, service: ToyService, status: str = "running") -> None:
    at.start(build=asked())
    service.set(service.runs()[-1]["id"], status=status)


# --- starting ---------------------------------------------------------------------------------


def test_a_build_nobody_else_makes_is_made_here(folder: Path, service: ToyService) -> None:
    here = NobodyHere()
    at = RemoteBuilders(folder, {"docs": service}, here)
    at.start(build=asked("source"))
    at.started(name="source", nonce="n1")
    state(at, "source")
    at.result(name="source", nonce="n1")
    at.read(name="source", nonce="n1", file=Artifact(name="x", size=1, sha256="0" * 64))
    at.cancel(name="source", nonce="n1")
    at.log(name="source", nonce="n1")
    assert len(here.sent) == 7
    assert service.runs() == []


def test_a_build_that_runs_or_is_done_is_not_started_again(
    at: RemoteBuilders, service: ToyService
) -> None:
    started(at, service)
    at.start(build=asked())
    service.set("1", status="done")
    at.start(build=asked())
    assert state(at).status == "done"
    at.start(build=asked())
    assert len(service.runs()) == 1


def test_builds_that_name_the_same_service_share_its_run(
    at: RemoteBuilders, service: ToyService
) -> None:
    whole_way(at._folder, service)
    assert len(service.runs()) == 1


def test_another_commit_has_a_run_of_its_own(at: RemoteBuilders, service: ToyService) -> None:
    at.start(build=asked("docs"))
    at.start(build=asked("ios", commit="6" * 40))
    assert [run["commit"] for run in service.runs()] == [COMMIT, "6" * 40]


def test_a_build_is_never_replaced_under_its_name(at: RemoteBuilders, service: ToyService) -> None:
    started(at, service)
    with pytest.raises(CheckError) as refused:
        at.start(build=asked(commit="6" * 40))
    assert refused.value.code == "BUILD_OTHER"
    assert len(service.runs()) == 1


def test_i54_a_start_whose_answer_was_lost_is_looked_for_and_not_repeated(
    at: RemoteBuilders, service: ToyService
) -> None:
    service.trouble = [lost_answer()]
    with pytest.raises(WorldError):
        at.start(build=asked())
    assert not at.started(name="docs", nonce="n1")
    at.start(build=asked())
    assert at.started(name="docs", nonce="n1")
    assert len(service.runs()) == 1


def test_a_start_that_came_to_nothing_is_made_once_more(
    at: RemoteBuilders, service: ToyService
) -> None:
    service.deaf = True
    with pytest.raises(WorldError):
        at.start(build=asked())
    service.deaf = False
    at.start(build=asked())
    assert len(service.runs()) == 1


def test_where_it_cannot_be_found_out_nothing_is_started(
    at: RemoteBuilders, service: ToyService
) -> None:
    service.trouble = [lost_answer(), unreachable()]
    for _ in range(2):
        with pytest.raises(WorldError):
            at.start(build=asked())
    at.start(build=asked())
    assert len(service.runs()) == 1


def test_several_runs_that_could_be_it_are_a_refusal(
    at: RemoteBuilders, service: ToyService
) -> None:
    service.trouble = [lost_answer()]
    with pytest.raises(WorldError):
        at.start(build=asked())
    service.start(build=asked())  # somebody else
    with pytest.raises(WorldError) as refused:
        at.start(build=asked())
    assert refused.value.code == "RUN_AMBIGUOUS"
    assert not at.started(name="docs", nonce="n1")


def test_a_failed_run_is_begun_anew_and_others_join_the_new_one(
    at: RemoteBuilders, service: ToyService
) -> None:
    for name in FILES:
        at.start(build=asked(name))
    service.set("1", status="failed")
    assert {state(at, name).status for name in FILES} == {"failed"}
    for name in FILES:
        at.start(build=asked(name))
    assert len(service.runs()) == 2
    assert {state(at, name).status for name in FILES} == {"running"}
    assert newest(home_of(at._folder, "n1", "ios")).name == "attempt-2"  # type: ignore[union-attr]


def test_a_lost_answer_of_a_second_run_is_not_taken_for_the_first(
    at: RemoteBuilders, service: ToyService
) -> None:
    started(at, service, "failed")
    service.deaf, service.found = True, "1"  # by a clock that is behind
    for _ in range(2):
        with pytest.raises(WorldError):
            at.start(build=asked())
    service.deaf, service.found = False, ""
    at.start(build=asked())
    assert len(service.runs()) == 2


def test_processes_that_start_at_once_start_one_run(tmp_path: Path, service: ToyService) -> None:
    all_at_once(start_at_once, tmp_path, [*FILES] * 2)
    assert len(service.runs()) == 1
    for name in FILES:
        assert [path.name for path in (tmp_path / "builds" / "n1" / name).iterdir()] == [
            "attempt-1"
        ]


def test_processes_that_look_at_once_download_once(tmp_path: Path, service: ToyService) -> None:
    at = builders(tmp_path / "builds", service)
    started(at, service, "done")
    all_at_once(take_at_once, tmp_path, ["docs"] * 3)
    assert (tmp_path / "service" / "fetched").read_text() == "docs\n"


def test_what_is_cancelled_while_another_process_downloads_it_is_taken_by_nobody(
    tmp_path: Path, service: ToyService
) -> None:
    """Also where another attempt is in the place of the old one, and is downloaded itself."""
    folder = tmp_path / "builds"
    at = builders(folder, service)
    at.start(build=asked("ios"))
    service.set("1", status="done")
    came, go = CONTEXT.Event(), CONTEXT.Event()
    came_anew, go_anew = CONTEXT.Event(), CONTEXT.Event()
    with process(take_slowly, tmp_path, "ios", came, go) as old:
        assert came.wait(SECONDS)
        at.cancel(name="ios", nonce="n1")
        at.start(build=asked("ios"))
        service.set("2", status="done")
        with process(take_slowly, tmp_path, "ios", came_anew, go_anew) as new:
            assert came_anew.wait(SECONDS)
            go.set()
            old.join(SECONDS)
            home = folder / "n1" / "ios" / "attempt-1"
            assert not (home / "out").exists()
            assert at.state(name="ios", nonce="n1").status == "running"
            go_anew.set()
            new.join(SECONDS)
    assert (old.exitcode, new.exitcode) == (1, 0)
    assert at.state(name="ios", nonce="n1").status == "done"
    result = at.result(name="ios", nonce="n1")
    assert result is not None
    assert result.facts["run"] == "2"
    aside = folder / "n1" / "superseded" / "ios.1" / "attempt-1"
    assert not {"out", "outcome.json"} & {path.name for path in aside.iterdir()}


def test_a_service_that_is_asked_for_hours_uses_up_no_descriptors(
    at: RemoteBuilders, service: ToyService
) -> None:
    started(at, service, "done")
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(10):
        service.trouble = [None, unreachable()]
        with pytest.raises(WorldError):
            state(at)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


@pytest.mark.parametrize("way", ["on", "back"])
def test_killed_at_any_instant_there_is_one_run_with_the_same_files(
    tmp_path: Path, way: str
) -> None:
    script = Path(__file__).with_name("remote_kills.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), way],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) > 40
    assert all(one["killed"] for one in told[:-1])
    assert not told[-1]["killed"]
    assert {one["runs"] for one in told} <= ({1} if way == "on" else {0, 1})
    if way == "on":
        assert all(one["found"] == told[-1]["found"] for one in told)
    else:
        assert all("running" not in one["found"] for one in told)


# --- watching ---------------------------------------------------------------------------------


def test_a_service_is_asked_only_every_few_seconds(folder: Path, service: ToyService) -> None:
    at = builders(folder, service, poll_seconds=1000)
    started(at, service)
    for _ in range(5):
        assert state(builders(folder, service, poll_seconds=1000)).status == "running"
    assert service.asked == 1


def test_without_an_answer_the_last_one_is_told(at: RemoteBuilders, service: ToyService) -> None:
    started(at, service)
    state(at)
    service.trouble = [unreachable()]
    with pytest.raises(WorldError, match="running docs of 1") as refused:
        state(at)
    assert refused.value.code == "SERVICE_UNREACHABLE"
    assert state(at).status == "running"


def test_what_a_service_says_is_one_line(at: RemoteBuilders, service: ToyService) -> None:
    started(at, service)
    for text in STRINGS:
        service.said = text
        detail = state(at).detail
        assert len(detail) <= 301
        assert all(one.isprintable() for one in detail)


def test_a_log_is_cut_to_its_end(at: RemoteBuilders, service: ToyService) -> None:
    assert at.log(name="docs", nonce="n1") == ""
    started(at, service)
    assert len(at.log(name="docs", nonce="n1")) == 4000


def test_a_build_whose_job_was_damaged_is_lost_and_joins_its_run_again(
    at: RemoteBuilders, service: ToyService, folder: Path
) -> None:
    started(at, service)
    (folder / "n1" / "docs" / "attempt-1" / "job.json").write_text("{")
    assert state(at).status == "lost"
    at.start(build=asked())
    assert state(at).status == "running"
    assert len(service.runs()) == 1


@pytest.mark.parametrize("text", STRINGS)
def test_no_hostile_string_names_a_build_or_a_run(folder: Path, text: str) -> None:
    service = ToyService(folder.parent / "service")
    at = RemoteBuilders(folder, {text: service, "docs": service}, NobodyHere(), poll_seconds=0)
    for call in (
        partial(at.start, build=asked(nonce=text)),
        partial(at.state, name="docs", nonce=text),
        partial(at.cancel, name="docs", nonce=text),
        partial(at.state, name=text, nonce=text),
    ):
        try:
            call()
        except ReleaseError as error:
            assert error.code in {"BAD_NAME", "FILE_MISSING"}  # noqa: PT017 (some are plain words)
    where = {path.parent.name for path in folder.parent.rglob("*") if path.is_file()}
    assert all(name in {"attempt-1", ".runs-docs", "service", f".runs-{text}"} for name in where)
    assert not (folder.parent / "evil").exists()


# --- what came --------------------------------------------------------------------------------


def test_what_was_made_is_collected_as_if_it_was_made_here(
    at: RemoteBuilders, service: ToyService, folder: Path, tmp_path: Path
) -> None:
    started(at, service, "done")
    assert state(at).status == "done"
    result = at.result(name="docs", nonce="n1")
    assert result is not None
    assert [file.name for file in result.files] == [DOCS]
    assert (result.facts["commit"], result.facts["version"]) == (COMMIT, VERSION)
    shelf = Shelf(tmp_path / "shelf", folder)
    shelf.collect(name=DOCS, sha256=result.files[0].sha256, build="docs", nonce="n1")
    assert shelf.artifact(name=DOCS) == result.files[0]
    text = at.read(name="docs", nonce="n1", file=result.files[0])
    assert text == f"{DOCS} {COMMIT}\n"


def test_i60_provenance_says_what_was_observed_and_that_nobody_signed_it(
    at: RemoteBuilders, service: ToyService
) -> None:
    started(at, service, "done")
    state(at)
    result = at.result(name="docs", nonce="n1")
    assert result is not None
    check_provenance(result.provenance, build=asked(), files=result.files, builder=BUILDER)
    said = read_provenance(result.provenance)
    assert (
        said.settings["form"]
        == f"observed by relkit, not signed by the builder: run 1 at {BUILDER}"
    )
    assert said.line == (
        f"commit {COMMIT} (v{VERSION}), built by {BUILDER}; "
        "observed by relkit, not signed by the builder, which states no tools"
    )
    with pytest.raises(CheckError, match="PROVENANCE_BUILDER"):
        check_provenance(result.provenance, build=asked(), files=result.files, builder="other")


def test_i60_of_the_builder_itself_a_statement_says_only_what_the_service_does(
    at: RemoteBuilders, service: ToyService
) -> None:
    """What runs here is who observed, and no part of who built."""
    service.facts = {"python": "Python 3.14.1", "observer": "me", "form": "signed by all"}
    service.facts["uploader"] = "ned"
    started(at, service, "done")
    state(at)
    result = at.result(name="docs", nonce="n1")
    assert result is not None
    said = read_provenance(result.provenance)
    assert (said.platform, said.tools) == ({}, {"python": "3.14.1"})
    assert said.settings["observer"].startswith(f"python {platform.python_version()} relkit ")
    assert said.line.endswith(
        f"built by {BUILDER}, uploaded by ned; "
        "observed by relkit, not signed by the builder, which states python 3.14.1"
    )


@pytest.mark.parametrize(
    ("made", "facts", "code"),
    [
        ({DOCS: None}, {}, "FILE_MISSING"),
        ({"extra.zip": b"x"}, {}, "UNLISTED_FILE"),
        ({}, {"commit": "6" * 40}, "SUBJECT_MISMATCH"),
        ({}, {"version": "3.15.0a3"}, "SUBJECT_MISMATCH"),
        ({".hidden": b"x"}, {}, "DELIVERY_UNFIT"),
    ],
)
def test_i36_i44_what_the_release_cannot_use_fails_the_build(
    at: RemoteBuilders,
    service: ToyService,
    folder: Path,
    made: dict[str, bytes | None],
    facts: dict[str, str],
    code: str,
) -> None:
    service.made, service.facts = made, facts
    started(at, service, "done")
    found = state(at)
    assert found.status == "failed"
    assert found.detail.startswith(f"{code}: ")
    assert at.result(name="docs", nonce="n1") is None
    assert not (folder / "n1" / "docs" / "attempt-1" / "out").exists()
    service.made, service.facts = {}, {}
    at.start(build=asked())
    assert len(service.runs()) == 2


@pytest.mark.parametrize("error", [unreachable(), changed(), disk_full()], ids=repr)
def test_a_download_that_breaks_off_leaves_nothing_and_is_made_again(
    at: RemoteBuilders, service: ToyService, folder: Path, error: Exception
) -> None:
    at.start(build=asked("ios"))
    service.set("1", status="done")
    service.trouble = [None, None, error]  # it is asked, and the first file comes
    with pytest.raises(ReleaseError) as refused:
        state(at, "ios")
    assert refused.value.code in {"SERVICE_UNREACHABLE", "DIGEST_CHANGED", "DOWNLOAD_NOT_KEPT"}
    attempt = folder / "n1" / "ios" / "attempt-1"
    assert sorted(path.name for path in attempt.iterdir()) == ["job.json", "lock"]
    assert state(at, "ios").status == "done"
    assert len(service.runs()) == 1


def test_while_another_process_downloads_it_is_said_how_far_it_is(
    at: RemoteBuilders, service: ToyService, folder: Path
) -> None:
    started(at, service, "done")
    attempt = folder / "n1" / "docs" / "attempt-1"
    lock = hold(attempt / LOCK)
    (attempt / ".out").mkdir()
    (attempt / ".out" / "half").write_bytes(b"x" * 1_500_000)
    found = state(at)
    assert (found.status, found.detail) == (
        "running",
        "its files are being downloaded, 1.5 MB so far",
    )
    assert lock is not None
    os.close(lock)
    assert state(at).status == "done"


def test_a_file_changed_after_the_download_is_refused(
    at: RemoteBuilders, service: ToyService, folder: Path
) -> None:
    started(at, service, "done")
    state(at)
    (folder / "n1" / "docs" / "attempt-1" / "out" / DOCS).write_text("changed")
    with pytest.raises(CheckError) as refused:
        at.result(name="docs", nonce="n1")
    assert refused.value.code == "DIGEST_CHANGED"


# --- taking back ------------------------------------------------------------------------------


def test_a_cancelled_build_was_never_started(
    at: RemoteBuilders, service: ToyService, folder: Path
) -> None:
    started(at, service)
    at.cancel(name="docs", nonce="n1")
    at.cancel(name="docs", nonce="n1")
    assert service.runs()[0]["canceled"]
    assert not at.started(name="docs", nonce="n1")
    assert (folder / "n1" / "superseded" / "docs.1").is_dir()
    at.start(build=asked())
    assert [run["status"] for run in service.runs()] == ["failed", "running"]


def test_a_run_that_others_wait_for_goes_on(at: RemoteBuilders, service: ToyService) -> None:
    for name in FILES:
        at.start(build=asked(name))
    at.cancel(name="ios", nonce="n1")
    assert state(at, "docs").status == "running"
    at.cancel(name="docs", nonce="n1")
    assert service.runs()[0]["status"] == "failed"


def test_what_was_discarded_is_not_taken_from_the_same_run_again(
    at: RemoteBuilders, service: ToyService
) -> None:
    started(at, service, "done")
    assert state(at).status == "done"
    at.cancel(name="docs", nonce="n1")
    at.start(build=asked())
    assert len(service.runs()) == 2


def test_a_run_whose_answer_was_lost_is_cancelled_too(
    at: RemoteBuilders, service: ToyService
) -> None:
    service.trouble = [lost_answer()]
    with pytest.raises(WorldError):
        at.start(build=asked())
    at.cancel(name="docs", nonce="n1")
    assert service.runs()[0]["status"] == "failed"


def test_what_never_was_is_cancelled_without_a_trace(
    at: RemoteBuilders, service: ToyService
) -> None:
    at.cancel(name="docs", nonce="n1")
    assert service.runs() == []


def test_a_journal_that_cannot_be_read_starts_nothing(
    at: RemoteBuilders, service: ToyService, folder: Path
) -> None:
    journal = folder / "n1" / ".runs-docs"
    journal.mkdir(parents=True)
    (journal / "run-1.json").write_text("{")
    with pytest.raises(WorldError) as refused:
        at.start(build=asked())
    assert refused.value.code == "STATE_UNREADABLE"
    assert service.runs() == []


def test_the_time_of_an_intention_is_before_the_start(
    at: RemoteBuilders, service: ToyService, folder: Path
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    at.start(build=asked())
    told = json.loads((folder / "n1" / ".runs-docs" / "run-1.json").read_text())
    assert before < datetime.fromisoformat(told["intended"])
    assert told["intended"][:19] <= service.runs()[0]["at"][:19]


def test_unknown_builds_are_refused_by_whoever_builds_here(folder: Path) -> None:
    with pytest.raises(UsageError):
        builders(folder, ToyService(folder)).state(name="docs", nonce="../n1")
