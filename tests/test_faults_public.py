"""What happens to the public side when the network before the site fails, lies or is slow.

Each fault strikes between relkit and a real Varnish. The effect is that readers get what the origin
has now. Purging is carried out as the engine does it, and once more when the fault is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import faults
import pytest
from cdns import Network, at_once, carry_out, network
from services.faulty import Faulty, faulty

from relkit.adapters.purge_notes import Clocks

OLD, NEW = b"an old file" * 9, b"the new file" * 9
PATIENCE = {True: (0.3, 0.3), False: (5.0, 30.0)}
"""Time-outs, by whether something is going to time out."""
PURGING = {
    "time-out before the effect": "PURGE_FAILED",
    "time-out after the effect": "PURGE_FAILED",
    "401": "PURGE_REFUSED",
    "403": "PURGE_REFUSED",
    "404": "PURGE_FAILED",
    "409": "PURGE_FAILED",
    "429": "PURGE_FAILED",
    "500 without effect": "PURGE_FAILED",
    "500 with effect": "PURGE_FAILED",
    "HTML instead of JSON": "CDN_STALE",
    "truncated body": "PURGE_FAILED",
}
"""What comes of a purge that fails each time; HTML with status 200 is a purge that was lost."""
READING = {
    "time-out before the effect": "CDN_UNSEEN",
    "time-out after the effect": "CDN_UNSEEN",
    "401": "CDN_STALE",
    "403": "CDN_STALE",
    "404": "CDN_STALE",
    "409": "CDN_STALE",
    "429": "CDN_UNSEEN",
    "500 without effect": "CDN_UNSEEN",
    "500 with effect": "CDN_UNSEEN",
    "HTML instead of JSON": "CDN_STALE",
    "truncated body": "CDN_UNSEEN",
    "wrong digest": "CDN_STALE",
    "stale cache for three cycles": "CDN_STALE",
}
"""What comes of looking that fails each time."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("network")) as started:
        yield started


@pytest.fixture
def proxy(servers: Network) -> Iterator[Faulty]:
    with faulty(servers.cdn.url) as started:
        yield started


@pytest.fixture
def path(servers: Network, tmp_path: Path) -> str:
    path = f"/ftp/python/{tmp_path.name}/a.tgz"
    servers.stale(path, OLD, NEW)
    return path


def effects(servers: Network, path: str) -> int:
    """Tell whether readers get the new file."""
    return int(servers.raw(path).content == NEW)


@pytest.mark.parametrize(("fault", "code"), PURGING.items())
def test_a_purge_that_fails_is_never_taken_for_one(
    servers: Network, proxy: Faulty, path: str, tmp_path: Path, fault: str, code: str
) -> None:
    patience = PATIENCE[fault.startswith("time-out")]
    public = servers.public(tmp_path, proxy.url, timeout_seconds=patience, sleep=at_once)
    proxy.next(fault, method="PURGE", times=-1)
    refusal = carry_out(public, (path,))
    assert refusal is not None
    assert refusal.code == code
    assert path in str(refusal)
    there = effects(servers, path)
    proxy.clear()
    after = carry_out(servers.public(tmp_path, proxy.url, sleep=at_once), (path,))
    faults.observed(
        *("Public", fault, refusal),
        effects=there,
        after=after,
        effects_after=effects(servers, path),
    )
    assert after is None


@pytest.mark.parametrize(("fault", "code"), READING.items())
def test_what_cannot_be_seen_or_is_old_is_never_taken_for_new(
    servers: Network, proxy: Faulty, path: str, tmp_path: Path, fault: str, code: str
) -> None:
    patience = PATIENCE[fault.startswith("time-out")]
    public = servers.public(tmp_path, proxy.url, timeout_seconds=patience, sleep=at_once)
    servers.public(tmp_path, proxy.url).fetch(path=path)  # the proxy has seen the old file
    proxy.next(fault, method="GET", times=-1)
    refusal = carry_out(public, (path,))
    assert refusal is not None
    assert refusal.code == code
    assert path in str(refusal)
    proxy.clear()
    after = carry_out(servers.public(tmp_path, proxy.url, sleep=at_once), (path,))
    faults.observed(
        *("Public", fault, refusal),
        effects=effects(servers, path),
        after=after,
    )
    assert after is None


def test_a_cache_that_is_stale_for_three_cycles_is_purged_until_it_is_not(
    servers: Network, proxy: Faulty, path: str, tmp_path: Path
) -> None:
    public = servers.public(tmp_path, proxy.url, sleep=at_once)
    public.fetch(path=path)
    proxy.next("stale cache for three cycles", method="GET")
    refusal = carry_out(public, (path,))
    faults.observed(
        *("Public", "stale cache for three cycles", refusal), effects=effects(servers, path)
    )
    assert refusal is None
    assert len(proxy.asked("PURGE")) == 4


@pytest.mark.parametrize("fault", ["500 without effect", "truncated body", "wrong digest"])
def test_one_bad_answer_among_the_looks_does_not_stop_a_release(
    servers: Network, proxy: Faulty, path: str, tmp_path: Path, fault: str
) -> None:
    public = servers.public(tmp_path, proxy.url, sleep=at_once)
    proxy.next(fault, method="GET")
    assert carry_out(public, (path,)) is None
    assert effects(servers, path) == 1


def test_a_clock_that_jumps_ahead_does_not_make_an_old_page_new(
    servers: Network, proxy: Faulty, tmp_path: Path
) -> None:
    page, ahead = "/downloads/release/none/", [0.0]
    servers.raw(page, "PURGE")
    servers.raw(page)
    machine = iter(range(1000))
    clocks = Clocks(world=lambda: ahead[0], machine=lambda: next(machine) / 1000)
    public = servers.public(tmp_path, proxy.url, sleep=at_once, clocks=clocks)
    proxy.next("HTML instead of JSON", method="PURGE", times=-1)
    public.purge(paths=(page,))
    ahead[0] = 3600
    refusal = carry_out(public, (page,))
    assert refusal is not None
    assert refusal.code == "CDN_STALE"
    ahead[0] = -3600  # set back: then it was never asked for
    assert not public.purged(paths=(page,))
    proxy.clear()
    after = carry_out(servers.public(tmp_path, proxy.url), (page,))
    faults.observed(
        *("Public", "clock skew", refusal),
        effects=0,
        after=after,
        effects_after=int(servers.raw(page).headers["X-Cache"] == "HIT"),
    )
    assert after is None


def test_the_date_a_server_says_decides_nothing(
    servers: Network, proxy: Faulty, path: str, tmp_path: Path
) -> None:
    proxy.next("clock skew", times=-1)
    public = servers.public(tmp_path, proxy.url)
    assert carry_out(public, (path, "/downloads/")) is None
    assert effects(servers, path) == 1
