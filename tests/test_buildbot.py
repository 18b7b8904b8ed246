"""The adapters of Buildbot at a real master: what the contract of the port does not say."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hostile import STRINGS
from services.buildbot import BUILD_SECONDS, CALL_SECONDS, LOGIN, RELEASE, Master, buildbot
from services.faulty import faulty

from relkit.adapters.buildbot import BuildbotMaster, ForcedBuild
from relkit.adapters.buildbot_requests import Requests
from relkit.adapters.buildbot_rows import RequestRow
from relkit.adapters.remote_builders import RemoteBuilders
from relkit.adapters.rest import Rest
from relkit.adapters.value_files import safe_name
from relkit.adapters.web import Web
from relkit.errors import CheckError, ReleaseError, WorldError
from relkit.values import Build

pytestmark = pytest.mark.slow
COMMIT = "b" * 40
A, B = "AMD64 Debian 3.15", "AArch64 Fedora 3.15"
nonces = (f"nonce-{n}" for n in itertools.count())


def rest_at(url: str) -> Rest:
    secrets = (LOGIN, LOGIN.partition(":")[2])
    return Rest(
        "Buildbot", Web(url, timeout_seconds=(CALL_SECONDS, CALL_SECONDS)), secrets=lambda: secrets
    )


def forced(url: str, *, login: str = LOGIN, **names: str) -> ForcedBuild:
    names = {"scheduler": "force-release", "builder": RELEASE, **names}
    return ForcedBuild(
        rest_at(url),
        scheduler=names["scheduler"],
        builder=names["builder"],
        login=(lambda: login) if login else None,
    )


def build(**fields: object) -> Build:
    told = {"name": "widely", "nonce": next(nonces), "version": "3.15.0rc1", "commit": COMMIT}
    return Build.model_validate({**told, **fields})


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    folder = tmp_path_factory.mktemp("master")
    with buildbot(folder, auth=LOGIN, workers={B: ["other"]}) as it:
        yield it


@pytest.fixture
def service(master: Master) -> ForcedBuild:
    master.tell(RELEASE, result="success")
    return forced(master.url)


def ended(service: ForcedBuild, one: Build, run: str) -> str:
    end = time.monotonic() + BUILD_SECONDS
    while (state := service.state(build=one, run=run)).status == "running":
        assert time.monotonic() < end
        time.sleep(0.05)
    return state.detail


def refusal(service: ForcedBuild, one: Build) -> ReleaseError:
    with pytest.raises(ReleaseError) as caught:
        service.start(build=one)
    return caught.value


# --- stable builders --------------------------------------------------------------------------


def stable_of(master: Master, commit: str) -> dict[str, tuple[bool, str | None]]:
    port = BuildbotMaster(rest_at(master.url), tags=("stable",), branches={})
    return {one.name: (one.online, one.result) for one in port.stable(branch="3.15", commit=commit)}


def test_a_paused_worker_takes_no_builds_so_its_builder_is_offline(master: Master) -> None:
    master.pause("other")
    try:
        assert stable_of(master, "1" * 40) == {A: (True, None), B: (False, None)}
    finally:
        master.unpause("other")
    assert stable_of(master, "1" * 40)[B] == (True, None)


def test_what_was_checked_out_counts_and_not_what_was_asked_for(master: Master) -> None:
    """T14: green for another commit."""
    asked, found = "2" * 40, "3" * 40
    master.build(A, asked, result="success", got=found)
    assert stable_of(master, asked)[A] == (True, None)
    assert stable_of(master, found)[A] == (True, "success")


def test_a_build_that_has_not_ended_is_no_evidence(master: Master) -> None:
    commit = "4" * 40
    master.build(A, commit, result="success")
    master.tell(A, result="running")
    request = master.force(A, commit)
    assert stable_of(master, commit)[A] == (True, "success")
    master.tell(A, result="failure")
    master.ended(request)
    assert stable_of(master, commit)[A] == (True, "failure")


def test_many_later_builds_do_not_hide_the_one_that_counts(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relkit.adapters.buildbot.PAGE", 2)
    commit = "5" * 40
    master.build(B, commit, result="warnings")
    master.build_all([A] * 5, "6" * 40)
    assert stable_of(master, commit) == {A: (True, None), B: (True, "warnings")}


def test_a_look_at_all_builders_takes_three_calls(master: Master) -> None:
    with faulty(master.url) as proxy:
        port = BuildbotMaster(rest_at(proxy.url), tags=("stable",), branches={})
        assert len(port.stable(branch="3.15", commit="7" * 40)) == len((A, B))
    assert len(proxy.calls) == len(("builders", "workers", "builds"))


def test_a_builder_that_was_retired_is_no_builder_of_the_branch(tmp_path: Path) -> None:
    """A master keeps the builders which its configuration once had, with their tags."""
    with buildbot(tmp_path, builders={A: ("3.15", "stable"), B: ("3.15", "stable")}) as before:
        before.build(B, COMMIT)
        assert stable_of(before, COMMIT) == {A: (True, None), B: (True, "success")}
    with buildbot(tmp_path, builders={A: ("3.15", "stable")}) as after:
        assert stable_of(after, COMMIT) == {A: (True, None)}


# --- forced builds ----------------------------------------------------------------------------


def test_a_forced_build_runs_and_gives_a_verdict_without_files(
    master: Master, service: ForcedBuild, tmp_path: Path
) -> None:
    one = build()
    run = service.start(build=one)
    assert "success" in ended(service, one, run)
    facts = service.fetch(build=one, run=run, folder=tmp_path)
    assert facts["commit"] == COMMIT
    assert facts["version"] == one.version
    assert facts["worker"] == "local"
    assert facts["result"] == "success"
    assert not list(tmp_path.iterdir())
    rows = master.get(service.builder().removeprefix(f"{master.url}api/v2/"))["builders"]
    assert [row["name"] for row in rows] == [RELEASE]


def test_it_goes_through_all_of_remote_builders(service: ForcedBuild, tmp_path: Path) -> None:
    class Nothing:
        """No builds of this machine."""

    builders = RemoteBuilders(
        tmp_path,
        {"widely": service},
        Nothing(),  # type: ignore[arg-type]  # it is never asked
        poll_seconds=0.05,
    )
    one = build()
    builders.start(build=one)
    builders.start(build=one)
    end = time.monotonic() + BUILD_SECONDS
    while builders.state(name=one.name, nonce=one.nonce).status == "running":
        assert time.monotonic() < end
        time.sleep(0.05)
    result = builders.result(name=one.name, nonce=one.nonce)
    assert result is not None
    assert result.files == ()
    assert result.facts["builder"] == RELEASE


def test_a_build_is_found_again_by_what_it_is_for(service: ForcedBuild) -> None:
    """I54: the answer to starting was lost."""
    one, before = build(), datetime.now(UTC)
    assert service.find(build=one, since=before) is None
    run = service.start(build=one)
    assert service.find(build=one, since=before) == run
    assert service.find(build=build(), since=before) is None
    assert service.find(build=build(nonce=one.nonce, commit="c" * 40), since=before) is None
    assert service.find(build=one, since=datetime.now(UTC) + timedelta(minutes=1)) is None
    ended(service, one, run)


def test_what_runs_already_is_not_forced_a_second_time(
    master: Master, service: ForcedBuild
) -> None:
    master.tell(RELEASE, result="running")
    one = build()
    run = service.start(build=one)
    before = master.requests()
    assert service.start(build=one) == run
    assert master.requests() == before
    state = service.state(build=one, run=run)
    assert state.status == "running"
    assert state.since is not None
    master.tell(RELEASE, result="success")
    ended(service, one, run)


def test_what_two_machines_force_at_the_same_moment_runs_once(
    master: Master, service: ForcedBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    master.tell(RELEASE, result="running")
    one = build()
    first = forced(master.url).start(build=one)
    real, looks = Requests.made_for, iter([False])

    def made_for(self: Requests, build: Build) -> list[RequestRow]:
        return real(self, build) if next(looks, True) else []  # not yet, at the first look

    with monkeypatch.context() as patched:
        patched.setattr(Requests, "made_for", made_for)
        assert service.start(build=one) == first
    made = real(service._requests, one)
    assert [str(row.buildrequestid) for row in made if not row.complete] == [first]
    assert len(made) == 2
    master.tell(RELEASE, result="success")
    ended(service, one, first)


def test_two_that_could_be_it_are_left_to_people(service: ForcedBuild) -> None:
    one, before = build(), datetime.now(UTC)
    for _ in range(2):
        ended(service, one, service.start(build=one))
    with pytest.raises(WorldError, match="2 times") as caught:
        service.find(build=one, since=before)
    assert caught.value.code == "RUN_AMBIGUOUS"


def test_a_failed_build_says_which_step_and_shows_the_end_of_its_log(
    master: Master, service: ForcedBuild
) -> None:
    master.tell(RELEASE, result="failure", lines=3000)
    one = build()
    run = service.start(build=one)
    detail = ended(service, one, run)
    assert "failure" in detail
    assert "step test" in detail
    assert "the tests said: failure" in detail
    log = service.log(build=one, run=run)
    assert log.endswith("the tests said: failure\n")
    assert len(log) <= 4000


@pytest.mark.parametrize("result", ["exception", "cancelled"])
def test_what_did_not_succeed_has_failed(
    master: Master, service: ForcedBuild, result: str, tmp_path: Path
) -> None:
    """D14."""
    master.tell(RELEASE, result=result)
    one = build()
    run = service.start(build=one)
    assert result in ended(service, one, run)
    assert service.state(build=one, run=run).status == "failed"
    with pytest.raises(CheckError, match=result):
        service.fetch(build=one, run=run, folder=tmp_path)


def test_what_is_retried_runs(master: Master, service: ForcedBuild) -> None:
    master.tell(RELEASE, result="retry")
    one = build()
    run = service.start(build=one)
    master.ended(int(run))
    assert service.state(build=one, run=run).status == "running"
    master.tell(RELEASE, result="success")
    ended(service, one, run)


def test_a_cancelled_build_has_ended_when_cancelling_returns(
    master: Master, service: ForcedBuild
) -> None:
    master.tell(RELEASE, result="running")
    one = build()
    run = service.start(build=one)
    service.cancel(build=one, run=run)
    assert service.state(build=one, run=run).status == "failed"
    service.cancel(build=one, run=run)


def test_a_request_for_something_else_is_never_taken_for_ours(service: ForcedBuild) -> None:
    one = build()
    run = service.start(build=one)
    for other in (build(), build(nonce=one.nonce, version="3.15.0rc2")):
        with pytest.raises(WorldError) as caught:
            service.state(build=other, run=run)
        assert caught.value.code == "SUBJECT_MISMATCH"
    for number in ("999999", "0"):
        with pytest.raises(WorldError) as caught:
            service.state(build=one, run=number)
        assert caught.value.code == "SUBJECT_MISMATCH"
    ended(service, one, run)


def test_files_to_publish_are_not_taken_from_buildbots(
    service: ForcedBuild, tmp_path: Path
) -> None:
    one = build(options={"files": "python.exe"})
    with pytest.raises(CheckError, match=r"python\.exe") as caught:
        service.fetch(build=one, run="1", folder=tmp_path)
    assert caught.value.code == "FILE_MISSING"


def test_whoever_may_not_force_is_told_so(master: Master) -> None:
    before = master.requests()
    for login in ("", "rm:wrong", "stranger:secret"):
        error = refusal(forced(master.url, login=login), build())
        assert error.code == "SERVICE_DENIED"
        assert "buildbot-login" in error.remedy
        assert "wrong" not in str(error)
        assert LOGIN not in str(error)
    assert master.requests() == before


def test_a_scheduler_that_would_drop_the_properties_is_refused(master: Master) -> None:
    """Production has one scheduler without parameters: its builds could not be told apart."""
    before = master.requests()
    for names in ({"scheduler": "force"}, {"scheduler": "none"}, {"builder": "none"}):
        assert refusal(forced(master.url, **names), build()).code == "BUILDER_UNKNOWN"
    assert master.requests() == before


def test_what_the_scheduler_refuses_is_told_with_its_words(master: Master) -> None:
    error = refusal(forced(master.url), build(version="3.99.0"))
    assert error.code == "SERVICE_REFUSED"
    assert "cpython_release" in str(error)


def is_plain(words: str) -> bool:
    try:
        return safe_name(words) == words
    except WorldError:
        return False


PLAIN = [words for words in STRINGS if is_plain(words)]
"""Names like others, such as null: they may stand in a reason."""


def test_hostile_words_are_refused_and_nothing_is_built(master: Master) -> None:
    service, before = forced(master.url), master.requests()
    for words in STRINGS:
        for field in ("name", "nonce", "version"):
            if field == "version" or words not in PLAIN:
                assert refusal(service, build(**{field: words})).code.startswith("BAD_")
    assert master.requests() == before


def test_words_that_only_look_hostile_stand_in_the_reason_as_they_are(
    master: Master, service: ForcedBuild
) -> None:
    for words in PLAIN[:3]:
        one = build(name=words)
        run = service.start(build=one)
        row = master.get(f"buildrequests/{run}?property=*")["buildrequests"][0]
        assert f" {words} " in row["properties"]["reason"][0]
        ended(service, one, run)


def test_hostile_words_are_no_runs_schedulers_or_builders(master: Master) -> None:
    service, before = forced(master.url), master.requests()
    for words in STRINGS:
        with pytest.raises(ReleaseError):
            service.state(build=build(), run=words)
    for words in STRINGS[::9]:
        for names in ({"scheduler": words}, {"builder": words}):
            assert refusal(forced(master.url, **names), build()).code == "BUILDER_UNKNOWN"
    assert master.requests() == before


def test_names_of_builders_are_data(tmp_path: Path) -> None:
    names = [f"{n} ; $(id) ../ <b>&" for n in range(2)]
    with buildbot(tmp_path, builders=dict.fromkeys(names, ("3.15", "stable"))) as master:
        master.build(names[0], COMMIT)
        assert stable_of(master, COMMIT) == {names[0]: (True, "success"), names[1]: (True, None)}
