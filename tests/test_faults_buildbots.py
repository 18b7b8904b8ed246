"""What goes wrong at a Buildbot master: nothing is taken for green, nothing is built twice.

Stable builders are only read, so a connection cannot be cut in an upload there, and no branch, file
or disk of the master is ours; it has no host key, and what it says of time is not believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import faults
import pytest
import requests
from services.buildbot import CALL_SECONDS, LOGIN, RELEASE, Master, buildbot
from services.faulty import Faulty, faulty
from test_buildbot import build, ended, rest_at

from relkit.adapters.buildbot import BuildbotMaster, ForcedBuild
from relkit.adapters.buildbot_rows import RESULTS, result_of
from relkit.adapters.rest import Rest, UnknownStateError
from relkit.adapters.web import Web
from relkit.errors import ReleaseError
from relkit.values import Build

pytestmark = pytest.mark.slow
FORCED = "Builders (Buildbot)"
A = "AMD64 Debian 3.15"
COMMIT = "a" * 40
NEVER_SECONDS = 0.3
"""For an answer that will not come."""
NEVER = {
    "connection cut in an upload",
    "another person's file in the way",
    "changed host key",
    "remote branch moved",
    "disk full on the server",
}
READS = [one for one in faults.FAULTS if one not in NEVER]
WRITES = [one for one in READS if not one.startswith("stale")]
STARTS = [*WRITES, "connection cut in an upload"]
UNCLEAR = {
    "time-out before the effect",
    "time-out after the effect",
    "connection cut in an upload",
    "500 without effect",
    "500 with effect",
    "HTML instead of JSON",
    "truncated body",
    "wrong digest",
}
"""What does not show whether the build was started."""
LOGINS = [
    ("401", "SERVICE_DENIED"),
    ("403", "SERVICE_DENIED"),
    ("500 without effect", "SERVICE_FAILED"),
    ("time-out before the effect", "SERVICE_UNREACHABLE"),
]


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    with buildbot(tmp_path_factory.mktemp("master"), auth=LOGIN) as it:
        it.build(A, COMMIT, result="success")
        yield it


@pytest.fixture
def proxy(master: Master) -> Iterator[Faulty]:
    with faulty(master.url) as it:
        it.hold_seconds = CALL_SECONDS
        yield it


class Knowing(Web):
    """Waits long for every answer, on a slow machine too, but for one that will never come."""

    def __init__(self, proxy: Faulty) -> None:
        super().__init__(proxy.url, (CALL_SECONDS, CALL_SECONDS))
        self._proxy = proxy

    @contextmanager
    def request(
        self,
        method: str,
        path: str,
        **more: Any,  # noqa: ANN401 (as the one that is called)
    ) -> Iterator[requests.Response]:
        # It is looked for among copies: taking one counts it.
        never = any(
            replace(one).takes(method, path)
            for one in self._proxy.faults
            if one.name.startswith("time-out")
        )
        self._timeout = (CALL_SECONDS, NEVER_SECONDS if never else CALL_SECONDS)
        with super().request(method, path, **more) as response:
            yield response


def rest(proxy: Faulty) -> Rest:
    return Rest("Buildbot", Knowing(proxy))


def settled(proxy: Faulty, fault: str) -> None:
    """Wait until what the caller waits for no more has been done."""
    assert not fault.startswith("time-out") or proxy.held.wait(CALL_SECONDS)


def headers_of(fault: str) -> dict[str, str]:
    """Return what makes a throttled client give up at once instead of coming again."""
    return {"Retry-After": "90"} if fault == "429" else {}


def green(port: BuildbotMaster) -> int:
    found = port.stable(branch="3.15", commit=COMMIT)
    return [one.result for one in found if one.name == A].count("success")


@pytest.mark.parametrize("path", ["builders", "workers", "builds"])
@pytest.mark.parametrize("fault", READS)
def test_no_fault_makes_a_builder_green_that_was_not_seen(
    proxy: Faulty, fault: str, path: str
) -> None:
    port = BuildbotMaster(rest(proxy), tags=("stable",), branches={})
    green(port)  # so that a cache has something older
    proxy.next(fault, path=f"api/v2/{path}?", headers=headers_of(fault))
    refusal, seen = None, 0
    try:
        seen = green(port)
    except ReleaseError as error:
        refusal = error
    assert (refusal is None) == (fault == "clock skew"), refusal
    proxy.clear()
    faults.observed("Buildbots", fault, refusal, effects=seen, effects_after=green(port))


class Desk:
    """Whoever starts a build as `RemoteBuilders` does: looks for the lost one first."""

    def __init__(self, proxy: Faulty, master: Master) -> None:
        self.service = ForcedBuild(
            rest(proxy), scheduler="force-release", builder=RELEASE, login=lambda: LOGIN
        )
        self.one: Build = build()
        self.began = datetime.now(UTC)
        self.master = master

    def again(self) -> str:
        found = self.service.find(build=self.one, since=self.began)
        return found or self.service.start(build=self.one)

    def effects(self) -> int:
        rows = self.master.get("buildrequests?property=reason")["buildrequests"]
        return sum(self.one.nonce in row["properties"].get("reason", [""])[0] for row in rows)


@pytest.mark.parametrize("fault", STARTS)
def test_whatever_goes_wrong_when_a_build_is_forced_it_is_forced_once(
    master: Master, proxy: Faulty, fault: str
) -> None:
    desk = Desk(proxy, master)
    desk.service.find(build=build(), since=desk.began)
    proxy.next(fault, method="POST", path="forceschedulers", headers=headers_of(fault))
    refusal = None
    try:
        desk.service.start(build=desk.one)
    except ReleaseError as error:
        refusal = error
    assert isinstance(refusal, UnknownStateError) == (fault in UNCLEAR), refusal
    settled(proxy, fault)
    effects = desk.effects()
    proxy.clear()
    run = desk.again()
    assert desk.again() == run
    faults.observed(FORCED, fault, refusal, effects=effects, effects_after=desk.effects())
    ended(desk.service, desk.one, run)


@pytest.mark.parametrize("fault", READS)
def test_a_build_that_cannot_be_looked_for_is_not_started_instead(
    master: Master, proxy: Faulty, fault: str
) -> None:
    """I54: the answer was lost, and then the look for the effect goes wrong, too."""
    desk = Desk(proxy, master)
    proxy.next("time-out after the effect", method="POST")
    with suppress(UnknownStateError):
        desk.service.start(build=desk.one)
    settled(proxy, "time-out after the effect")
    proxy.clear()
    path = "masters" if fault == "clock skew" else "buildrequests?"
    proxy.next(fault, method="GET", path=path, headers=headers_of(fault))
    with pytest.raises(ReleaseError) as caught:
        desk.again()
    assert not isinstance(caught.value, UnknownStateError)
    proxy.clear()
    run = desk.again()
    faults.observed(
        FORCED,
        fault,
        caught.value,
        effects=desk.effects(),
        effects_after=desk.effects(),
    )
    ended(desk.service, desk.one, run)


@pytest.mark.parametrize("fault", [one for one in READS if one != "clock skew"])
def test_a_run_that_cannot_be_seen_is_never_taken_for_done(
    master: Master, proxy: Faulty, fault: str
) -> None:
    desk = Desk(proxy, master)
    run = desk.again()
    ended(desk.service, desk.one, run)
    proxy.next(fault, method="GET", path="buildrequests?", headers=headers_of(fault))
    with pytest.raises(ReleaseError) as caught:
        desk.service.state(build=desk.one, run=run)
    assert caught.value.code.isupper()
    proxy.clear()
    assert desk.service.state(build=desk.one, run=run).status == "done"


def test_an_old_state_of_a_cache_is_not_believed(master: Master, proxy: Faulty) -> None:
    desk = Desk(proxy, master)
    master.tell(RELEASE, result="running")
    run = desk.again()
    assert desk.service.state(build=desk.one, run=run).status == "running"
    proxy.next("stale cache for three cycles")
    with pytest.raises(ReleaseError):
        desk.service.state(build=desk.one, run=run)
    proxy.clear()
    master.tell(RELEASE, result="success")
    assert "success" in ended(desk.service, desk.one, run)


def test_a_date_far_off_does_not_let_another_run_pass_for_ours(
    master: Master, proxy: Faulty
) -> None:
    desk = Desk(proxy, master)
    run = desk.again()
    proxy.next("clock skew", path="masters")
    with pytest.raises(ReleaseError) as caught:
        desk.service.find(build=desk.one, since=desk.began)
    assert caught.value.code == "CLOCK_SKEW"
    ended(desk.service, desk.one, run)


@pytest.mark.parametrize(("fault", "code"), LOGINS)
def test_a_login_that_goes_wrong_forces_nothing(
    master: Master, proxy: Faulty, fault: str, code: str
) -> None:
    desk = Desk(proxy, master)
    proxy.next(fault, path="auth/login")
    with pytest.raises(ReleaseError) as caught:
        desk.service.start(build=desk.one)
    assert caught.value.code == code
    assert LOGIN.partition(":")[2] not in f"{caught.value} {caught.value.remedy}"
    assert desk.effects() == 0


def test_a_result_nobody_knows_is_an_error_and_never_green() -> None:
    nobody = rest_at("http://127.0.0.1:1/")
    assert [result_of(nobody, "x", number) for number in range(7)] == list(RESULTS)
    for number in (None, -1, 7, 99):
        with pytest.raises(ReleaseError) as caught:
            result_of(nobody, "build 4", number)
        assert caught.value.code == "RESULT_UNKNOWN"
