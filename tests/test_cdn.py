"""A release behind a content delivery network: what is purged, and what is believed."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any, cast

import pytest
from cdns import FOLDER, Network, at_once, carry_out, network
from services.faulty import Faulty, faulty
from services.running import free_port
from services.varnish import KEY, SERVICE
from test_publish import EVERY, NEWEST, manifest_of

from relkit.adapters.cdn import PER_SECOND, origin_of
from relkit.adapters.cdn_purge import surrogate
from relkit.adapters.folders import FolderServer
from relkit.adapters.pacing import Pace, PacedWeb
from relkit.adapters.purge_notes import OLDEST_SECONDS, Clocks, Notes
from relkit.errors import WorldError
from relkit.graph.traits import calls
from relkit.kinds import RELEASES, Kind
from relkit.manifest import public_paths
from relkit.plan import Check
from relkit.ports import World
from relkit.release import Release
from relkit.step import Step, needed, steps_of
from relkit.steps.publish import public_files

OLD, NEW = b"an old file" * 9, b"the new file" * 9
LOST = "HTML instead of JSON"
"""Of a purge: it is answered by 200, and nothing is forgotten."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("network")) as started:
        yield started


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Return a network that forgets nothing without its key."""
    with network(tmp_path_factory.mktemp("guarded"), purge_auth=True) as started:
        yield started


@pytest.fixture
def proxy(servers: Network) -> Iterator[Faulty]:
    with faulty(servers.cdn.url) as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return f"/ftp/python/{tmp_path.name}/"


def refused(error: WorldError | None, code: str) -> str:
    """Return the words of a refusal with this code."""
    assert error is not None
    assert error.code == code, error
    assert len(error.remedy) > 20
    return str(error)


# --- the network itself, as it is known to behave -------------------------------------------------


def test_the_network_keeps_files_by_path_alone_until_they_are_purged(
    servers: Network, folder: str
) -> None:
    path = f"{folder}a.tgz"
    assert servers.raw(path).status_code == 404
    servers.tree.put(path, OLD)
    assert servers.raw(f"{path}?x=1").status_code == 404
    assert servers.raw(path, "PURGE").json()["status"] == "ok"
    assert servers.raw(path).content == OLD
    servers.tree.put(path, NEW)
    assert servers.raw(path, "PURGE", **{"Fastly-Soft-Purge": "1"}).status_code == 200
    assert servers.raw(path).content == OLD  # once more, while the new one is fetched
    until = time.monotonic() + 5
    while servers.raw(path).content != NEW:
        assert time.monotonic() < until


def test_a_surrogate_key_needs_the_key_and_takes_only_what_it_marks(
    servers: Network, folder: str
) -> None:
    servers.stale(f"{folder}a.tgz", OLD, NEW)
    servers.raw(folder)
    address = f"/service/{SERVICE}/purge/dirlisting"
    assert servers.raw(address, "POST").status_code == 401
    assert servers.raw(folder).headers["X-Cache"] == "HIT"
    assert servers.raw(address, "POST", **{"Fastly-Key": KEY}).status_code == 200
    assert servers.raw(folder).headers["X-Cache"] == "MISS"
    assert servers.raw(f"{folder}a.tgz").content == OLD


def test_the_origin_needs_no_restart_for_new_folders_and_hides_unfinished_files(
    servers: Network, folder: str
) -> None:
    servers.tree.put(f"{folder}deeper/still/a.tgz", NEW)
    (servers.tree.root / folder[1:] / ".part-a").write_bytes(NEW)
    assert 'href="still/"' in servers.raw(f"{folder}deeper/").text
    assert servers.raw(f"{folder}.part-a").status_code == 404
    assert servers.raw("/api/v1/downloads/os/").json()["meta"]


# --- what is purged -------------------------------------------------------------------------------


@pytest.mark.parametrize("release", EVERY, ids=lambda release: release.key)
def test_what_is_purged_is_what_the_manifest_says_and_nothing_else(
    servers: Network, tmp_path: Path, release: Release
) -> None:
    # I28: the list of what to purge was kept by hand, and lacked files.
    paths = public_paths(release, manifest_of(release))
    before = len(servers.cdn.purged()), servers.cdn.keys()
    servers.public(tmp_path, sleep=at_once).purge(paths=paths)
    assert servers.cdn.purged()[before[0] :] == list(paths)
    assert servers.cdn.keys() == before[1]
    assert len(set(paths)) == len(paths)


def test_with_a_service_the_keys_of_listings_and_pages_are_purged_too(
    servers: Network, tmp_path: Path
) -> None:
    public = servers.public(tmp_path, service=SERVICE, key=lambda: KEY, sleep=at_once)
    before = len(servers.cdn.purged()), len(servers.cdn.keys())
    public.purge(paths=(FOLDER, f"{FOLDER}a.tgz", "/downloads/", "/downloads/windows/"))
    assert servers.cdn.keys()[before[1] :] == ["dirlisting", "downloads"]
    assert len(servers.cdn.purged()) == before[0] + 4
    assert [surrogate(path) for path in (f"{FOLDER}a.tgz", "/", "/ftp/")] == ["", "", "dirlisting"]


def test_a_service_without_a_key_at_hand_has_its_addresses_purged_alone(
    servers: Network, tmp_path: Path
) -> None:
    before = servers.cdn.keys()
    servers.public(tmp_path, service=SERVICE, sleep=at_once).purge(paths=("/downloads/",))
    assert servers.cdn.keys() == before


def test_an_unknown_service_is_no_success(servers: Network, tmp_path: Path) -> None:
    public = servers.public(tmp_path, service="another", key=lambda: KEY, sleep=at_once)
    with pytest.raises(WorldError, match=r"PURGE_FAILED.*surrogate key downloads: 404"):
        public.purge(paths=("/downloads/",))


def test_the_key_goes_only_where_it_is_demanded(
    servers: Network, guarded: Network, tmp_path: Path, folder: str
) -> None:
    paths = tuple(f"{folder}{name}" for name in "abc")
    for network_ in (servers, guarded):
        with faulty(network_.cdn.url) as between:
            for path in paths:
                network_.stale(path, OLD, NEW)
            public = network_.public(tmp_path, between.url, key=lambda: KEY, sleep=at_once)
            assert carry_out(public, paths) is None
            given = [(one.method, "fastly-key" in one.headers) for one in between.calls]
            demanded = network_ is guarded
            assert {key for method, key in given if method == "GET"} == {False}
            assert [key for method, key in given if method == "PURGE"] == (
                [False, True, True, True] if demanded else [False] * 3
            )
        (tmp_path / "purges.json").unlink()


def test_a_refused_key_is_tried_once_and_stands_in_no_message(
    guarded: Network, tmp_path: Path, folder: str
) -> None:
    told: list[str] = []
    secret = "a-wrong-key-0123456789"  # noqa: S105 (it opens nothing)
    with faulty(guarded.cdn.url) as between:
        public = guarded.public(
            *(tmp_path, between.url),
            key=lambda: secret,
            sleep=at_once,
            denied=lambda: told.append(""),
        )
        words = refused(carry_out(public, (f"{folder}a", f"{folder}b")), "PURGE_REFUSED")
        assert sum("fastly-key" in one.headers for one in between.calls) == 1
    assert len(told) == 1
    assert "2 of 2 paths" in words
    assert secret not in words + (tmp_path / "purges.json").read_text()


@pytest.mark.slow
def test_what_the_infrastructure_team_purged_by_hand_is_seen_and_the_release_goes_on(
    guarded: Network, tmp_path: Path, folder: str
) -> None:
    paths = f"{folder}a.tgz", f"{folder}b.tgz", folder, "/downloads/"
    for path in paths[:2]:
        guarded.stale(path, OLD, NEW)
    for path in paths[2:]:
        guarded.raw(path)
    public = guarded.public(tmp_path)
    words = refused(carry_out(public, paths), "PURGE_REFUSED")
    assert all(f"{path}: 401" in words for path in paths)
    guarded.raw(paths[0], "PURGE", **{"Fastly-Key": KEY})
    words = refused(carry_out(public, paths), "PURGE_REFUSED")
    assert paths[0] not in words
    for path in paths[1:]:
        guarded.raw(path, "PURGE", **{"Fastly-Key": KEY})
    assert carry_out(guarded.public(tmp_path), paths) is None


def test_where_nothing_answers_not_every_path_is_waited_for(
    servers: Network, tmp_path: Path
) -> None:
    public = servers.public(tmp_path, f"http://127.0.0.1:{free_port()}/", sleep=at_once)
    paths = tuple(f"{FOLDER}{number}" for number in range(9))
    words = refused(carry_out(public, paths), "PURGE_FAILED")
    assert words.count("not asked") == 6
    assert all(f"{path}: " in words for path in paths)


# --- what is believed -----------------------------------------------------------------------------

BODIES = {
    "an older file": OLD,
    "a page": b"<!doctype html><html><title>Welcome</title></html>",
    "half of it": NEW[: len(NEW) // 2],
    "more than it": NEW + b"\n",
    "nothing": b"",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_other_bytes_are_not_believed_whatever_the_purge_said(
    servers: Network, proxy: Faulty, tmp_path: Path, folder: str, body: bytes
) -> None:
    # I11 and I12: what was public had another digest and another size than was said.
    path = f"{folder}Python-3.15.0.tgz"
    servers.stale(path, body, NEW)
    proxy.next(LOST, method="PURGE", times=-1)
    waits: list[float] = []
    public = servers.public(tmp_path, proxy.url, sleep=waits.append)
    words = refused(carry_out(public, (path,)), "CDN_STALE")
    (size, digest), (_, other) = (
        cast("tuple[int, str]", servers.tree.origin((path,))[path]),
        (0, servers.tree.put("/outside", body).sha256),
    )
    assert f"{path}: the public gets 200, {len(body)} bytes, {other}" in words
    assert f"the origin has {size} bytes, {digest}; age" in words
    assert len(proxy.asked("PURGE")) == 4
    assert [one for one in waits if one > 1] == [4, 8, 16]


def test_a_new_archive_with_an_old_bundle_is_not_believed(
    servers: Network, proxy: Faulty, tmp_path: Path, folder: str
) -> None:
    archive, bundle = f"{folder}a.tgz", f"{folder}a.tgz.sigstore"
    for path in (archive, bundle):
        servers.stale(path, OLD, NEW)
    proxy.next(LOST, method="PURGE", path="sigstore", times=-1)
    public = servers.public(tmp_path, proxy.url, sleep=at_once)
    words = refused(carry_out(public, (archive, bundle)), "CDN_STALE")
    assert "1 of 2 paths" in words
    assert f"{archive}: " not in words
    assert [one.path for one in proxy.asked("PURGE")] == [archive, *[bundle] * 4]


def test_a_refusal_names_the_ids_of_the_purges_for_the_service_s_support(
    servers: Network, proxy: Faulty, tmp_path: Path, folder: str
) -> None:
    path = f"{folder}a.tgz"
    servers.stale(path, OLD, NEW)
    proxy.next("wrong digest", method="GET", times=-1)
    public = servers.public(tmp_path, proxy.url, sleep=at_once)
    words = refused(carry_out(public, (path,)), "CDN_STALE")
    ids = json.loads((tmp_path / "purges.json").read_text())["ids"][path]
    assert len(ids) == 4
    assert all(one.isdecimal() for one in ids)
    assert f"(purges {', '.join(ids)})" in words


@pytest.mark.slow
def test_a_page_that_was_made_before_the_purge_is_not_believed(
    servers: Network, proxy: Faulty, tmp_path: Path
) -> None:
    page = "/downloads/release/a-page/"
    servers.raw(page)
    proxy.next(LOST, method="PURGE", times=-1)
    pauses: list[float] = []
    public = servers.public(tmp_path, proxy.url, sleep=pauses.append)
    words = refused(carry_out(public, (page,)), "CDN_STALE")
    assert f"{page}: the public gets 404, " in words
    assert "age 0 s, purged 0 s ago" in words
    proxy.clear()
    assert carry_out(servers.public(tmp_path, proxy.url), (page,)) is None


def test_a_cache_that_does_not_say_how_old_an_answer_is_is_not_believed(
    servers: Network, tmp_path: Path
) -> None:
    public = servers.public(tmp_path, servers.origin.url, sleep=at_once)
    words = refused(carry_out(public, ("/downloads/",)), "CDN_STALE")
    assert "age not told" in words


def test_there_is_a_deadline(servers: Network, proxy: Faulty, tmp_path: Path, folder: str) -> None:
    path = f"{folder}a.tgz"
    servers.stale(path, OLD, NEW)
    proxy.next(LOST, method="PURGE", times=-1)
    still = Clocks(world=lambda: 1000.0, machine=lambda: 1000.0)
    public = servers.public(tmp_path, proxy.url, sleep=at_once, deadline_seconds=3, clocks=still)
    refused(carry_out(public, (path,)), "CDN_STALE")
    assert len(proxy.asked("PURGE")) == 1
    ticks = itertools.count(1000.0)
    going = still._replace(machine=lambda: next(ticks))
    public = servers.public(tmp_path, proxy.url, sleep=at_once, deadline_seconds=0, clocks=going)
    words = refused(carry_out(public, (path,)), "CDN_UNSEEN")
    assert "no time" in words


# --- killed, and later ----------------------------------------------------------------------------


def test_a_process_that_was_killed_while_purging_is_followed_by_one_that_mends_it(
    servers: Network, tmp_path: Path, folder: str
) -> None:
    paths = f"{folder}a.tgz", f"{folder}b.tgz"
    for path in paths:
        servers.stale(path, OLD, NEW)
    Notes(tmp_path / "purges.json", Clocks()).begin(paths)
    servers.raw(paths[0], "PURGE")
    before = len(servers.cdn.purged())
    assert servers.public(tmp_path, sleep=at_once).purged(paths=paths)
    assert servers.cdn.purged()[before:] == [paths[1]]


def test_what_was_never_asked_for_or_long_ago_is_asked_for_without_being_looked_at(
    servers: Network, proxy: Faulty, tmp_path: Path, folder: str
) -> None:
    path, now = f"{folder}a.tgz", [1000.0]
    clocks = Clocks(world=lambda: now[0], machine=lambda: now[0])
    public = servers.public(tmp_path, proxy.url, sleep=at_once, clocks=clocks)
    public.purge(paths=(path, folder))
    assert not public.purged(paths=(path,))
    now[0] += OLDEST_SECONDS + 1
    assert not public.purged(paths=(path, folder))
    assert proxy.asked("GET") == []


@pytest.mark.slow
def test_a_release_that_changes_after_it_was_read_back_is_seen_the_next_time(
    servers: Network, tmp_path: Path
) -> None:
    # I15, I22, I27, I52, T40: right at once, wrong an hour or a day later.
    manifest = manifest_of(NEWEST)
    paths = public_paths(NEWEST, manifest)
    files = {path.rpartition("/")[2]: path for path in paths if not path.endswith("/")}
    for name, path in files.items():
        servers.tree.put(path, name.encode())
    public = servers.public(tmp_path)
    assert carry_out(public, paths) is None
    world = cast("World", SimpleNamespace(public=public))

    def failing() -> list[tuple[str, str]]:
        found = [one for one in public_files(NEWEST, world, manifest.files) if not one_is_good(one)]
        return [(one.name, one.code) for one in found if isinstance(one, Check)]

    assert failing() == []
    one = next(iter(files))
    servers.tree.put(files[one], b"x")
    assert failing() == []
    servers.raw(files[one], "PURGE")
    assert failing() == [(f"{one} is public with its digest", "CDN_STALE")]
    servers.tree.remove(files[one])
    servers.raw(files[one], "PURGE")
    assert failing() == [(f"{one} is public with its digest", "NOT_PUBLIC")]


def one_is_good(item: object) -> bool:
    return isinstance(item, Check) and item.ok is True


# --- before it is public --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(RELEASES), ids=str)
def test_no_step_asks_for_a_public_address_before_the_files_are_placed(kind: Kind) -> None:
    # I13: who asks for a file too early makes the network say for an hour that there is none.
    steps = steps_of(kind)
    placing = {one for one in steps if "downloads.place_all" in made_by(one)}
    asking = [one for one in steps if any(call.startswith("public.") for call in made_by(one))]
    assert asking
    for step in asking:
        before: set[Step[Any]] = set()
        ahead = [step]
        while ahead:
            more = needed(ahead.pop(), kind) - before
            before |= more
            ahead += more
        assert placing & before, f"{step.name} asks what is public before anything is"


def made_by(step: object) -> frozenset[str]:
    planner = getattr(step, "planner", None)
    return calls(planner) if isinstance(planner, FunctionType) else frozenset()


# --- the pace -------------------------------------------------------------------------------------


def test_calls_are_spread_over_time_and_below_what_the_site_allows() -> None:
    waits: list[float] = []
    pace = Pace(PER_SECOND, waits.append)
    for _ in range(41):
        pace.wait()
    assert PER_SECOND <= 10
    assert max(waits) == pytest.approx(40 / PER_SECOND, abs=0.1)


@pytest.mark.parametrize(
    ("method", "said", "waited"),
    [("GET", "7", 7), ("GET", "61", 0), ("GET", "soon", 0), ("POST", "7", 0)],
)
def test_a_throttled_site_is_waited_for_once_if_that_is_a_matter_of_seconds(
    proxy: Faulty, method: str, said: str, waited: int
) -> None:
    waits: list[float] = []
    web = PacedWeb(proxy.url, Pace(1000), sleep=waits.append)
    proxy.next("429", headers={"Retry-After": said})
    with web.request(method, "downloads/") as response:
        assert (response.status_code == 429) is (waited == 0)
    assert waits == ([waited] if waited else [])
    assert len(proxy.calls) == (2 if waited else 1)


def test_progress_counts_what_is_purged_and_read(
    servers: Network, tmp_path: Path, folder: str
) -> None:
    said: list[str] = []
    paths = f"{folder}a", f"{folder}b"
    public = servers.public(tmp_path, sleep=at_once, progress=said.append)
    assert carry_out(public, paths) is None
    kinds = [
        f"{n} of 2: {verb} {folder}{x}"
        for verb in ("purge", "read")
        for n, x in ((1, "a"), (2, "b"))
    ]
    assert said == kinds


def test_the_origin_is_what_the_download_server_has(tmp_path: Path) -> None:
    server = FolderServer(staging=tmp_path / "s", public=tmp_path / "public", source=tmp_path / "a")
    file = tmp_path / "public/ftp/python/3.15.0/a.tgz"
    file.parent.mkdir(parents=True)
    file.write_bytes(NEW)
    origin = origin_of(server)
    found = origin((f"{FOLDER}a.tgz", f"{FOLDER}b.tgz"))
    assert [one and one[0] for one in found.values()] == [len(NEW), None]
    assert origin(()) == {}


@pytest.mark.slow
def test_a_release_of_150_megabytes_is_read_back_in_seconds(
    servers: Network, tmp_path: Path
) -> None:
    manifest = manifest_of(NEWEST)
    paths = [path for path in public_paths(NEWEST, manifest) if not path.endswith("/")]
    for number, path in enumerate(paths):
        signed = path.endswith((".sigstore", ".asc", ".json"))
        servers.tree.put(path, bytes([number]) * (5_000 if signed else 4_000_000))
    public = servers.public(tmp_path, sleep=at_once)
    public.purge(paths=tuple(paths))
    begun = time.monotonic()
    assert public.purged(paths=tuple(paths))
    assert time.monotonic() - begun < 20
