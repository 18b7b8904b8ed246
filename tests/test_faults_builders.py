"""Faults between us and who builds: never two runs, never something half taken for done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import faults
import pytest
from folder_uploads import FolderUploads
from remote_toy import NobodyHere
from services.azure_standin import PROJECT, Azure
from services.faulty import Faulty, faulty
from test_azure import build, pipeline, service
from test_incoming import PKG, Expert
from test_incoming import build as uploaded

from relkit.adapters.azure import AzurePipeline
from relkit.adapters.incoming import Incoming
from relkit.adapters.remote_builders import RemoteBuilders
from relkit.errors import CheckError, ReleaseError, WorldError

AZURE, INCOMING = "Builders (Azure)", "Builders (incoming)"
ME = {"name": "windows", "nonce": "n1"}
PATIENCE_SECONDS = 30.0
STARTS = (
    *("time-out before the effect", "time-out after the effect", "connection cut in an upload"),
    *("401", "403", "404", "409", "429", "500 without effect", "500 with effect"),
    *("HTML instead of JSON", "truncated body"),
)
READS = ("401", "403", "404", "429", "500 without effect", "HTML instead of JSON", "truncated body")


@dataclass
class Place:
    """Builders that reach the pipeline by a proxy which spoils what it is told to."""

    builders: RemoteBuilders
    azure: Azure
    proxy: Faulty
    service: AzurePipeline

    def start(self) -> ReleaseError | None:
        try:
            self.builders.start(build=build())
        except ReleaseError as error:
            return error
        return None

    def done(self) -> ReleaseError | None:
        """Wait until the build is done; return what refuses that."""
        until = time.monotonic() + PATIENCE_SECONDS
        try:
            while (now := self.builders.state(**ME)).status == "running":
                assert time.monotonic() < until, now
                time.sleep(0.02)
        except ReleaseError as error:
            return error
        assert now.status == "done", now
        return None

    @property
    def results(self) -> int:
        """How many results there are to collect."""
        outcomes = self.builders._folder.glob("n1/windows/attempt-*/outcome.json")
        return len([*outcomes])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with service(tmp_path) as azure, faulty(azure.url.partition(f"/{PROJECT}")[0]) as proxy:
        proxy.hold_seconds = 1.0
        at = pipeline(f"{proxy.url}/{PROJECT}/_apis/")
        both = {"windows": at}
        made = RemoteBuilders(tmp_path / "builds", both, NobodyHere(), poll_seconds=0)
        yield Place(made, azure, proxy, at)


@pytest.mark.parametrize("fault", STARTS)
def test_i54_a_start_that_goes_wrong_is_never_made_twice(place: Place, fault: str) -> None:
    place.proxy.next(fault, method="POST", path="/runs")
    refusal = place.start()
    effects = len(place.azure.runs)
    place.proxy.clear()
    after = place.start()
    runs = len(place.azure.runs)
    faults.observed(AZURE, fault, refusal, effects=effects, after=after, effects_after=runs)
    assert place.builders.started(**ME)


@pytest.mark.parametrize("fault", READS)
def test_a_look_that_goes_wrong_is_no_end_of_a_build(place: Place, fault: str) -> None:
    assert place.start() is None
    place.proxy.next(fault, method="GET", path="/runs/")
    refusal = place.done()
    effects = place.results
    place.proxy.clear()
    after = place.done()
    faults.observed(
        AZURE, fault, refusal, effects=effects, after=after, effects_after=place.results
    )
    # Who is asked to wait some seconds has waited, and looked again.
    assert fault == "429" or "the last that is known" in str(refusal)


@pytest.mark.parametrize("date", ["Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"])
def test_a_clock_that_is_wrong_starts_nothing_twice(place: Place, date: str) -> None:
    place.proxy.next("time-out after the effect", method="POST", path="/runs")
    refusal = place.start()
    place.proxy.next("clock skew", method="GET", times=2, headers={"Date": date})
    after = place.start()
    runs = len(place.azure.runs)
    faults.observed(AZURE, "clock skew", refusal, effects=1, after=after, effects_after=runs)


def test_an_old_list_of_runs_that_a_cache_still_has_starts_nothing_twice(place: Place) -> None:
    """I54: the list was read before there was a run; that answer comes again for its address."""
    fault = "stale cache for three cycles"
    place.proxy.next("500 without effect", method="POST", path="/runs")
    place.start()
    place.proxy.next("500 with effect", method="POST", path="/runs")
    refusal = place.start()
    assert refusal is not None
    assert len(place.azure.runs) == 1
    place.proxy.next(fault, path="/build/builds", times=-1, effect=True)
    after = place.start()
    assert place.start() is None
    runs = len(place.azure.runs)
    faults.observed(AZURE, fault, refusal, effects=1, after=after, effects_after=runs)
    lists = [call.path for call in place.proxy.asked("GET", "minTime")]
    assert len(set(lists)) == len(lists) == 2


def test_a_list_of_runs_that_the_service_has_not_brought_up_to_date_starts_nothing(
    place: Place,
) -> None:
    place.service._settled = timedelta(seconds=60)
    place.proxy.next("500 with effect", method="POST", path="/runs")
    place.start()
    hidden, place.azure.runs = place.azure.runs, []
    codes = {getattr(place.start(), "code", None) for _ in range(3)}
    assert codes == {"RUN_NOT_SETTLED"}
    assert place.azure.runs == []
    place.azure.runs = hidden
    assert place.start() is None
    assert len(place.azure.runs) == 1


def test_a_second_attempt_gives_the_list_its_time_anew(place: Place) -> None:
    """What the first start left is settled; what the second left, a moment ago, is not."""
    place.proxy.next("500 without effect", method="POST", path="/runs")
    place.start()
    journal = place.builders._journal(**ME)
    (run,) = journal.runs()
    journal.write(run.model_copy(update={"intended": run.intended - timedelta(hours=1)}))
    place.proxy.next("500 with effect", method="POST", path="/runs")
    place.start()
    place.service._settled = timedelta(seconds=60)
    hidden, place.azure.runs = place.azure.runs, []
    assert getattr(place.start(), "code", None) == "RUN_NOT_SETTLED"
    place.azure.runs = hidden
    assert place.start() is None
    assert len(place.azure.runs) == 1


def test_a_disk_that_is_full_here_leaves_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert place.start() is None

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("relkit.adapters.azure.unzip", full)
        refusal = place.done()
    assert isinstance(refusal, WorldError)
    assert refusal.code == "DOWNLOAD_NOT_KEPT"
    assert place.results == 0
    assert place.done() is None


def test_an_upload_with_other_bytes_is_not_taken(tmp_path: Path) -> None:
    expert = Expert(tmp_path / "server")
    at = Incoming(FolderUploads(expert.root), folder="/incoming/macos", builder="https://b.example")
    expert.put_all()
    expert.put(PKG, b"other bytes")
    out = tmp_path / "out"
    out.mkdir()
    run = at.start(build=uploaded())
    with pytest.raises(CheckError) as refused:
        at.fetch(build=uploaded(), run=run, folder=out)
    assert [*out.iterdir()] == []
    expert.put_files()
    at.fetch(build=uploaded(), run=run, folder=out)
    whole = int((out / PKG).read_bytes() == expert.files[PKG])
    faults.observed(INCOMING, "wrong digest", refused.value, effects=0, effects_after=whole)


def test_a_stranger_among_the_uploads_is_named_and_left_alone(tmp_path: Path) -> None:
    place, here = ("server", "out")
    expert = Expert(tmp_path / place)
    at = Incoming(FolderUploads(expert.root), folder="/incoming/macos", builder="https://b.example")
    expert.put_all()
    expert.put("somebody-elses.pkg", b"x")
    run = at.start(build=uploaded())
    state = at.state(build=uploaded(), run=run)
    assert state.status == "failed"
    assert "somebody-elses.pkg" in state.detail
    (stranger,) = (tmp_path / place).rglob("somebody-elses.pkg")
    assert stranger.read_bytes() == b"x"
    stranger.unlink()
    assert at.state(build=uploaded(), run=run).status == "done"
    (out := tmp_path / here).mkdir()
    at.fetch(build=uploaded(), run=run, folder=out)
