"""What GitHub and the network do to builds: one run, whatever happens to the call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import faults
import pytest
from hostile import STRINGS
from services.faulty import WRITES, refusal
from services.github_scene import Actions
from services.github_standin_state import turn

from relkit.adapters.processes import ProcessBuilders
from relkit.adapters.remote_builders import RemoteBuilders

pytestmark = pytest.mark.slow
PORT = "Builders (GitHub)"


@pytest.fixture
def builders(actions: Actions, tmp_path: Path) -> RemoteBuilders:
    service = actions.service()
    local: ProcessBuilders = actions.workflow.builders
    services = {"android": service, "ios": service}
    return RemoteBuilders(tmp_path / "builds", services, local, poll_seconds=0)


@pytest.mark.parametrize("fault", WRITES)
def test_a_run_is_started_once_whatever_happens_to_the_call(
    actions: Actions, builders: RemoteBuilders, fault: str
) -> None:
    """I54: what was started is found by looking for it, and never started twice."""
    build = actions.build()
    actions.scene.proxy.next(fault, method="POST", path="/dispatches")
    refused = refusal(lambda: builders.start(build=build))
    assert refused is not None
    effects = actions.dispatched()
    after = refusal(lambda: builders.start(build=build))
    faults.observed(
        PORT, fault, refused, effects=effects, after=after, effects_after=actions.dispatched()
    )
    builders.start(build=build)
    builders.start(build=actions.build("android"))
    assert actions.dispatched() == 1


@pytest.mark.parametrize("fault", [one for one in WRITES if one != "429"])
def test_a_run_that_cannot_be_seen_is_not_taken_for_ended(
    actions: Actions, builders: RemoteBuilders, fault: str
) -> None:
    build = actions.build()
    builders.start(build=build)
    actions.scene.proxy.next(fault, method="GET", path="/actions/runs/")
    before = refusal(lambda: builders.state(name="ios", nonce="n1"))
    assert before is not None or fault == "connection cut in an upload"
    if before is not None:
        assert before.code.startswith("RUN_GONE" if fault == "404" else "SERVICE_")
    assert actions.dispatched() == 1


FETCHED = [
    (fault, path)
    for fault in (
        *("time-out before the effect", "401", "403", "500 without effect"),
        *("HTML instead of JSON", "truncated body"),
    )
    for path in ("/artifacts?", "/zip", "/jobs?", "/logs", "/contents/")
    if fault != "truncated body" or path not in {"/zip", "/logs"}  # these have no body
]


@pytest.mark.parametrize(("fault", "path"), FETCHED)
def test_files_come_whole_or_not_at_all(
    actions: Actions, tmp_path: Path, path: str, fault: str
) -> None:
    service, build = actions.service(), actions.build()
    run = actions.done(service, build)
    folder = tmp_path / "out"
    folder.mkdir()
    actions.scene.proxy.next(fault, method="GET", path=path)
    error = refusal(lambda: service.fetch(build=build, run=run, folder=folder))
    assert error is not None
    assert error.code.startswith("SERVICE_")
    assert list(folder.iterdir()) == []
    service.fetch(build=build, run=run, folder=folder)
    assert len(list(folder.iterdir())) == 1


def test_a_wrong_digest_is_refused_and_fetched_anew(
    actions: Actions, builders: RemoteBuilders
) -> None:
    build = actions.build()
    turn(actions.scene.folder, digest="wrong")
    builders.start(build=build)
    actions.done(actions.service(), build)  # a run of the same build, which ends as soon
    turn_back = actions.dispatched()
    refused = refusal(lambda: builders.result(name="ios", nonce="n1"))
    assert refused is not None
    assert refused.code == "DIGEST_CHANGED"
    turn(actions.scene.folder, digest="sha256")
    after = refusal(lambda: builders.result(name="ios", nonce="n1"))
    assert builders.result(name="ios", nonce="n1") is not None
    assert turn_back == actions.dispatched()
    faults.observed(PORT, "wrong digest", refused, effects=0, after=after, effects_after=1)


def test_a_list_that_is_behind_for_three_cycles_starts_no_second_run(
    actions: Actions, tmp_path: Path
) -> None:
    service, build = actions.service(settled_seconds=60), actions.build()
    builders = RemoteBuilders(
        tmp_path / "builds", {"ios": service}, actions.workflow.builders, poll_seconds=0
    )
    turn(actions.scene.folder, hides=True)
    actions.scene.proxy.next("500 with effect", method="POST", path="/dispatches")
    assert refusal(lambda: builders.start(build=build))
    refused = [refusal(lambda: builders.start(build=build)) for _ in range(3)]
    effects = actions.dispatched()
    turn(actions.scene.folder, hides=False)
    after = refusal(lambda: builders.start(build=build))
    faults.observed(
        *(PORT, "stale cache for three cycles", refused[-1]),
        effects=effects,
        after=after,
        effects_after=actions.dispatched(),
    )


@pytest.mark.parametrize("date", ["Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"])
def test_a_clock_that_is_wrong_starts_no_second_run(
    actions: Actions, builders: RemoteBuilders, date: str
) -> None:
    build = actions.build()
    actions.scene.proxy.next("500 with effect", method="POST", path="/dispatches")
    refused = refusal(lambda: builders.start(build=build))
    actions.scene.proxy.next("clock skew", method="GET", path="/runs?", headers={"Date": date})
    after = refusal(lambda: builders.start(build=build))
    faults.observed(
        *(PORT, "clock skew", refused),
        effects=1,
        after=after,
        effects_after=actions.dispatched(),
    )


def test_no_string_starts_or_names_a_run(actions: Actions, tmp_path: Path) -> None:
    service = actions.service()
    since = datetime.now(UTC)
    for text in STRINGS:
        version, commit = (actions.build(**{key: text}) for key in ("version", "commit"))
        files = actions.build(options={"files": text})
        calls: tuple[Callable[[], object], ...] = (
            partial(service.start, build=version),
            partial(service.start, build=commit),
            partial(service.state, build=files, run=text),
            partial(service.cancel, build=files, run=text),
            partial(service.log, build=files, run=text),
            partial(service.fetch, build=files, run="7001", folder=tmp_path),
        )
        for call in calls:
            error = refusal(call)
            assert error is not None, (call, ascii(text))
            assert error.code.isupper()
        assert service.find(build=commit, since=since) is None
    assert actions.dispatched() == 0
    assert list(tmp_path.iterdir()) == []


def test_no_string_names_a_file_to_fetch(actions: Actions, tmp_path: Path) -> None:
    service, build = actions.service(), actions.build()
    run = actions.done(service, build)
    for text in filter(None, (one.replace(";", "") for one in STRINGS)):
        strange = build.model_copy(update={"options": {"files": text}})
        error = refusal(partial(service.fetch, build=strange, run=run, folder=tmp_path))
        assert error is not None
        assert error.code in {"BAD_NAME", "FILE_MISSING"}, ascii(text)
    assert list(tmp_path.iterdir()) == []
