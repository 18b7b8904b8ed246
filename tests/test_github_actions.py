"""Builds by a workflow of GitHub: started once, and only taken if they are what was asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from services.github_scene import VERSION, Actions
from services.github_standin_actions import HEAD_SHA
from services.github_standin_state import PINNED_WORKFLOW, kept, turn

from relkit.adapters.github_workflow import PINNED, uses
from relkit.adapters.rest import UnknownStateError
from relkit.errors import CheckError, ReleaseError, WorldError

IOS = f"python-{VERSION}-iOS-XCframework.tar.gz"
LONG_AGO = timedelta(hours=1)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def refused(actions: Actions, out: Path, name: str = "ios") -> str:
    """Return the code with which the files of a good run are refused."""
    service, build = actions.service(), actions.build(name)
    run = actions.done(service, build)
    with pytest.raises(ReleaseError) as caught:
        service.fetch(build=build, run=run, folder=out)
    assert caught.value.remedy
    return caught.value.code


@pytest.mark.parametrize("name", ["android", "ios"])
def test_a_run_is_started_followed_and_its_files_are_fetched(
    actions: Actions, out: Path, name: str
) -> None:
    """I36, I60: the commit is part of what is known about the files."""
    service, build = actions.service(), actions.build(name)
    run = actions.done(service, build)
    facts = service.fetch(build=build, run=run, folder=out)
    assert sorted(path.name for path in out.iterdir()) == sorted(build.options["files"].split(";"))
    assert (facts["commit"], facts["version"], facts["run"]) == (actions.commit, VERSION, run)
    assert facts["workflow_commit"] == HEAD_SHA
    assert facts["builder"] == service.builder()
    assert service.builder().endswith("/.github/workflows/build-release.yml@refs/heads/main")
    assert "ios: success" in service.log(build=build, run=run)


def test_the_token_is_sent_to_no_other_host(actions: Actions, out: Path) -> None:
    """The second host refuses whoever shows it a token, and was asked for logs and files."""
    service, build = actions.service(), actions.build()
    run = actions.done(service, build)
    service.fetch(build=build, run=run, folder=out)
    assert len(actions.scene.proxy.asked("GET", "/zip")) == 1


def test_a_run_ends_badly_where_the_tag_is_on_another_commit(actions: Actions) -> None:
    service, build = actions.service(), actions.build(commit="b" * 40)
    run = service.start(build=build)
    state = service.state(build=build, run=run)
    assert (state.status, state.detail) == ("failed", f"run {run} ended with failure")
    assert "the tag is on" in service.log(build=build, run=run)


def test_starting_is_one_call_that_is_never_repeated(actions: Actions) -> None:
    """I54: nothing is tried again once the start has been sent."""
    actions.scene.proxy.next("500 with effect", method="POST", path="/dispatches")
    with pytest.raises(UnknownStateError, match="SERVICE_UNKNOWN_STATE"):
        actions.service().start(build=actions.build())
    assert len(actions.scene.proxy.asked("POST", "/dispatches")) == 1
    assert actions.dispatched() == 1


def test_a_run_whose_answer_was_lost_is_found_again(actions: Actions) -> None:
    since = datetime.now(UTC)
    service, build = actions.service(), actions.build()
    assert service.find(build=build, since=since - LONG_AGO) is None
    run = service.start(build=build)
    assert service.find(build=build, since=since) == run
    with pytest.raises(ReleaseError, match="RUN_NOT_SETTLED"):
        service.find(build=build, since=since + LONG_AGO)
    assert service.find(build=actions.build(commit="b" * 40), since=since) is None


def test_a_run_that_does_not_say_what_it_builds_is_found_by_its_time(actions: Actions) -> None:
    turn(actions.scene.folder, named=False)
    since = datetime.now(UTC)
    run = actions.service().start(build=actions.build())
    assert actions.service().find(build=actions.build(), since=since) == run


def test_two_runs_that_could_be_it_are_not_chosen_from(actions: Actions) -> None:
    since = datetime.now(UTC)
    service = actions.service()
    for _ in range(2):
        service.start(build=actions.build())
    with pytest.raises(ReleaseError, match="RUN_AMBIGUOUS"):
        service.find(build=actions.build(), since=since)


def test_a_list_that_may_be_behind_is_no_proof_that_nothing_was_started(actions: Actions) -> None:
    since = datetime.now(UTC)
    turn(actions.scene.folder, hides=True)
    service = actions.service(settled_seconds=60)
    service.start(build=actions.build())
    with pytest.raises(ReleaseError, match="RUN_NOT_SETTLED"):
        service.find(build=actions.build(), since=since)
    turn(actions.scene.folder, hides=False)
    assert service.find(build=actions.build(), since=since) is not None


def test_a_clock_that_is_wrong_here_finds_the_run_all_the_same(actions: Actions) -> None:
    """GitHub's clock is months behind this machine's, as the answer itself says."""
    service, build, since = actions.service(), actions.build(), datetime.now(UTC)
    actions.scene.proxy.next("clock skew", path="/runs")
    assert service.find(build=build, since=since) is None
    run = service.start(build=build)
    actions.scene.proxy.next("clock skew", path="/runs")
    assert service.find(build=build, since=since) == run


def test_a_run_that_was_cancelled_is_not_found(actions: Actions) -> None:
    since = datetime.now(UTC)
    service, build = actions.service(), actions.build()
    run = actions.done(service, build)
    service.cancel(build=build, run=run)  # it has ended: nothing happens
    assert service.find(build=build, since=since) == run
    state = kept(actions.scene.folder)
    gone = tuple(one.model_copy(update={"cancelled": True}) for one in state.read().runs)
    state.change(lambda found: found.model_copy(update={"runs": gone}))
    assert service.find(build=build, since=since) is None
    assert service.state(build=build, run=run).detail == f"run {run} ended with cancelled"


def test_more_runs_than_can_be_listed_are_no_proof_that_there_is_none(actions: Actions) -> None:
    since = datetime.now(UTC)
    service, build = actions.service(), actions.build()
    service.start(build=build)
    state = kept(actions.scene.folder)
    others = {"git_commit": "b" * 40, "cpython_release": VERSION}
    (one,) = state.read().runs
    many = [one.model_copy(update={"id": 8000 + n, "inputs": others}) for n in range(101)]
    state.change(lambda found: found.model_copy(update={"runs": (one, *many)}))
    with pytest.raises(ReleaseError, match="RUN_AMBIGUOUS"):
        service.find(build=build, since=since)
    old = [other.model_copy(update={"made": "2020-01-01T00:00:00Z"}) for other in many]
    state.change(lambda found: found.model_copy(update={"runs": (*old, one)}))
    assert service.find(build=build, since=since) == str(one.id)


def test_a_run_that_was_deleted_is_said_so_and_can_be_given_up(actions: Actions) -> None:
    service, build = actions.service(), actions.build()
    run = service.start(build=build)
    kept(actions.scene.folder).change(lambda found: found.model_copy(update={"runs": ()}))
    with pytest.raises(ReleaseError, match="RUN_GONE"):
        service.state(build=build, run=run)
    service.cancel(build=build, run=run)
    actions.scene.proxy.next("404", path="/actions/", times=-1)  # as without the right to see them
    for call in (service.state, service.cancel):
        with pytest.raises(ReleaseError, match="SERVICE_MISSING"):
            call(build=build, run=run)


def test_files_of_a_run_that_was_run_again_by_hand_are_refused(actions: Actions, out: Path) -> None:
    """Its artifacts may be of either time, and the jobs that are listed of the last one only."""
    service, build = actions.service(), actions.build()
    run = actions.done(service, build)
    state = kept(actions.scene.folder)
    twice = tuple(one.model_copy(update={"attempt": 2}) for one in state.read().runs)
    state.change(lambda found: found.model_copy(update={"runs": twice}))
    with pytest.raises(CheckError, match="RUN_REPEATED"):
        service.fetch(build=build, run=run, folder=out)


@pytest.mark.parametrize("path", ["/logs", "/zip"])
def test_what_is_not_there_yet_ends_no_build(actions: Actions, out: Path, path: str) -> None:
    """Logs come a while after the end of a job: only what has expired (410) is gone."""
    service, build = actions.service(), actions.build()
    run = actions.done(service, build)
    actions.scene.proxy.next("404", path=path)
    with pytest.raises(WorldError, match="SERVICE_MISSING"):
        service.fetch(build=build, run=run, folder=out)
    assert list(out.iterdir()) == []
    actions.scene.proxy.next("429", path=path)
    service.fetch(build=build, run=run, folder=out)
    assert actions.scene.waited == [7.0]


def test_files_are_refused_if_a_job_checked_out_another_commit(actions: Actions, out: Path) -> None:
    """I36: a tag that is moved between two jobs of a run."""
    turn(actions.scene.folder, checked_out="c" * 40)
    assert refused(actions, out) == "SUBJECT_MISMATCH"
    assert list(out.iterdir()) == []


def test_files_of_a_run_for_another_commit_are_refused(actions: Actions, out: Path) -> None:
    """I60."""
    service = actions.service()
    run = actions.done(service, actions.build())
    for named in (True, False):
        turn(actions.scene.folder, named=named)
        with pytest.raises(ReleaseError, match="SUBJECT_MISMATCH"):
            service.fetch(build=actions.build(commit="b" * 40), run=run, folder=out)


@pytest.mark.parametrize(
    "line",
    [
        "- uses: actions/checkout@v5",
        "- uses: actions/checkout@main # pinned",
        f"- uses: actions/checkout@{'1' * 39}",
        "- 'uses': actions/checkout@v5",
        "- { uses: actions/checkout@v5 }",
        '- "u\\x73es": actions/checkout@v5',
        "- uses: >-\n          actions/checkout@v5",
        "- uses: docker://alpine:3",
        "- uses: ./../elsewhere",
        "- uses:",
    ],
)
def test_an_action_that_can_be_moved_is_refused(actions: Actions, out: Path, line: str) -> None:
    """T20: the workflow file at the commit that ran."""
    turn(actions.scene.folder, workflow=f"{PINNED_WORKFLOW}      {line}\n")
    assert refused(actions, out) == "ACTION_UNPINNED"


def test_actions_by_commit_id_or_digest_are_fine() -> None:
    text = f"""
      # uses: actions/cache@v4
      - uses: "actions/checkout@{"1" * 40}" # v5
      - uses: docker://alpine@sha256:{"2" * 64}
      - run: echo uses nothing
    """
    found = list(uses(text))
    assert len(found) == 2
    assert all(PINNED.fullmatch(one) for one in found)


def test_an_own_action_is_read_as_well(actions: Actions, out: Path) -> None:
    turn(actions.scene.folder, workflow=f"{PINNED_WORKFLOW}      - uses: ./.github/actions/own\n")
    assert refused(actions, out) == "SERVICE_MISSING"


@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"digest": "md5"}, "WEAK_DIGEST"),  # T46
        ({"digest": "wrong"}, "DIGEST_CHANGED"),
        ({"expired": True}, "ARTIFACT_GONE"),
        ({"members": {f"elsewhere/{IOS}": "x"}}, "UNLISTED_FILE"),
    ],
)
def test_an_artifact_that_is_not_as_it_should_be_is_refused(
    actions: Actions, out: Path, knobs: dict[str, object], code: str
) -> None:
    turn(actions.scene.folder, **knobs)
    assert refused(actions, out) == code


def test_what_else_is_in_an_artifact_is_left_there(actions: Actions, out: Path) -> None:
    """No name in it is a path: neither one that leads out, nor a whole one."""
    names = ("more.txt", "../../outside", "/tmp/relkit-outside", "folder/")  # noqa: S108 (never made)
    turn(actions.scene.folder, members=dict.fromkeys(names, ""))
    service, build = actions.service(), actions.build()
    service.fetch(build=build, run=actions.done(service, build), folder=out)
    assert [path.name for path in out.iterdir()] == [IOS]
    assert not Path("/tmp/relkit-outside").exists()  # noqa: S108


def test_an_artifact_without_a_digest_is_hashed_here_and_that_is_said(
    actions: Actions, out: Path
) -> None:
    turn(actions.scene.folder, digest="")
    service, build = actions.service(), actions.build()
    facts = service.fetch(build=build, run=actions.done(service, build), folder=out)
    assert "computed here" in facts["digests"]


def test_a_file_that_is_not_delivered_is_missed(actions: Actions, tmp_path: Path) -> None:
    out, none = tmp_path / "out", tmp_path / "none"
    out.mkdir()
    none.mkdir()
    service, build = actions.service(), actions.build()
    run = actions.done(service, build)
    more = build.model_copy(
        update={"options": {"files": f"{build.options['files']};another.tar.gz"}}
    )
    with pytest.raises(ReleaseError, match="FILE_MISSING"):
        service.fetch(build=more, run=run, folder=out)
    other = build.model_copy(update={"name": "windows"})
    with pytest.raises(ReleaseError, match="FILE_MISSING"):
        service.fetch(build=other, run=run, folder=none)


@pytest.mark.parametrize("run", ["", "7001/../7002", "7001?x", "-1", "٣", "9" * 30])
def test_a_run_is_a_number(actions: Actions, run: str) -> None:
    with pytest.raises(ReleaseError, match="BAD_NAME"):
        actions.service().state(build=actions.build(), run=run)
    assert actions.scene.proxy.calls == []
