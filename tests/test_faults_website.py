"""What goes wrong between relkit and python.org, for each kind of write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faults import observed
from services.faulty import Faulty, faulty
from site_desk import FORTY, FREE, RELEASE, row

from relkit.adapters.website import PythonOrg
from relkit.errors import ReleaseError
from relkit.rehearsal.site import Site
from relkit.steps.site import site_release
from relkit.values import SiteFile

PORT, SLUG, ROWS = "Website", RELEASE.slug, FORTY[:6]
DRAFT = site_release(RELEASE)
CHANGED = (*ROWS[:4], ROWS[4].model_copy(update={"description": "for Android"}), ROWS[5])
FIRST_V1, LISTS = "/api/v1/downloads/release_file/", "release_file/?release__slug"


@dataclass
class Deed:
    """One write: how, to which address, what must be there before, and how often it is done."""

    method: str
    path: str
    prepare: Callable[[PythonOrg], None]
    act: Callable[[PythonOrg], None]
    effects: Callable[[PythonOrg], int]


def nothing(_: PythonOrg) -> None:
    """Prepare nothing."""


def draft(org: PythonOrg) -> None:
    org.add_release(release=DRAFT)


def filled(org: PythonOrg) -> None:
    draft(org)
    org.add_files(slug=SLUG, files=ROWS)


def shown(org: PythonOrg) -> None:
    filled(org)
    org.publish(slug=SLUG)


def rows_are(org: PythonOrg, rows: tuple[SiteFile, ...]) -> int:
    return int(org.files(slug=SLUG) == rows)


def row_is(org: PythonOrg, **fields: object) -> int:
    return int(org.release(slug=SLUG) == DRAFT.model_copy(update=fields))


DEEDS = {
    "draft": Deed(
        *("POST", "/api/v2/downloads/release/", nothing),
        act=lambda org: org.add_release(release=DRAFT),
        effects=row_is,
    ),
    "rows": Deed(
        *("POST", FIRST_V1, draft),
        act=lambda org: org.add_files(slug=SLUG, files=ROWS[:1]),
        effects=lambda org: len(org.files(slug=SLUG)),
    ),
    "change": Deed(
        *("PATCH", "release_file/", filled),
        act=lambda org: org.change_files(slug=SLUG, before=ROWS, files=CHANGED),
        effects=lambda org: rows_are(org, CHANGED),
    ),
    "removal": Deed(
        *("DELETE", "release_file/", filled),
        act=lambda org: org.change_files(slug=SLUG, before=ROWS, files=ROWS[:5]),
        effects=lambda org: rows_are(org, ROWS[:5]),
    ),
    "publication": Deed(
        *("PATCH", "/api/v2/downloads/release/", filled),
        act=lambda org: org.publish(slug=SLUG),
        effects=lambda org: row_is(org, is_published=True),
    ),
    "mark": Deed(
        *("PATCH", "/api/v2/downloads/release/", shown),
        act=lambda org: org.change_release(slug=SLUG, release=marked()),
        effects=lambda org: row_is(org, is_published=True, is_latest=True),
    ),
    "withdrawal": Deed(
        *("DELETE", "/api/v2/downloads/release/", filled),
        act=lambda org: org.remove_release(slug=SLUG),
        effects=lambda org: int(org.release(slug=SLUG) is None),
    ),
}
"""Every write of the port."""
DONE = {
    "time-out after the effect": True,
    "500 with effect": True,
    "truncated body": True,
    "clock skew": True,
    "time-out before the effect": False,
    "connection cut in an upload": False,
    "500 without effect": False,
    "HTML instead of JSON": False,
}
"""Faults by whether the site did what was asked."""
REFUSED = {
    "401": "SITE_DENIED",
    "403": "SITE_DENIED",
    "404": "SITE_MISSING",
    "409": "SITE_CONFLICT",
    "429": "SITE_THROTTLED",
}


def marked() -> Any:  # noqa: ANN401 (a row of a release)
    return DRAFT.model_copy(update={"is_published": True, "is_latest": True})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site.sqlite", tmp_path, tmp_path, limits=FREE) as stand:
        yield stand


@pytest.fixture
def proxy(site: Site) -> Iterator[Faulty]:
    with faulty(site.url) as between:
        yield between


def adapter(
    site: Site, url: str = "", patience_seconds: float = 20, told: list[str] | None = None
) -> PythonOrg:
    return PythonOrg(
        url or site.url,
        v2_token=lambda: site.v2_token,
        v1_key=lambda: site.v1_key,
        timeout_seconds=(5, patience_seconds),
        tell=(told if told is not None else []).append,
        sleep=lambda _: None,
    )


def tried(act: Callable[[], object]) -> ReleaseError | None:
    """Return the refusal; any other exception is a failure of the test."""
    try:
        act()
    except ReleaseError as error:
        return error
    return None


def put_through(site: Site, proxy: Faulty, deed: Deed, fault: str) -> ReleaseError | None:
    """Let a write meet a fault, and then go on without one; return what was said at first."""
    direct = adapter(site)
    deed.prepare(direct)
    slow = fault.startswith("time-out")
    org = adapter(site, proxy.url, patience_seconds=0.8 if slow else 20)
    proxy.next(fault, method=deed.method, path=deed.path)
    refusal = tried(lambda: deed.act(org))
    effects = deed.effects(direct)
    again = tried(lambda: deed.act(adapter(site, proxy.url)))
    observed(
        *(PORT, fault, refusal),
        effects=effects,
        after=again,
        effects_after=deed.effects(direct),
    )
    assert again is None
    wrote = [one for one in proxy.calls if one.method == deed.method and deed.path in one.path]
    done = [one for one in wrote if one.upstream]
    assert len(done) == 1, "the site was asked to do it once, and did"
    return refusal


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("fault", DONE)
def test_a_write_with_a_lost_answer_is_looked_for_and_never_done_twice(
    site: Site, proxy: Faulty, deed: str, fault: str
) -> None:
    refusal = put_through(site, proxy, DEEDS[deed], fault)
    if DONE[fault]:
        assert refusal is None
    else:
        assert refusal is not None
        assert refusal.code == "SITE_UNKNOWN_STATE"


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("fault", REFUSED)
def test_a_write_that_the_site_refuses_says_so_and_can_be_done_later(
    site: Site, proxy: Faulty, deed: str, fault: str
) -> None:
    refusal = put_through(site, proxy, DEEDS[deed], fault)
    assert refusal is not None
    assert refusal.code == REFUSED[fault]
    if fault == "429":
        assert "7 seconds" in refusal.remedy


def test_a_read_that_comes_too_early_is_asked_once_more_and_says_what_it_waits_for(
    site: Site, proxy: Faulty
) -> None:
    told: list[str] = []
    org = adapter(site, proxy.url, told=told)
    proxy.next("429", method="GET")
    assert org.release(slug=SLUG) is None
    assert told == ["waiting 7 seconds, as python.org asks"]
    for times, headers in ((2, {}), (1, {"Retry-After": "3600"}), (1, {"Retry-After": "soon"})):
        proxy.clear()
        proxy.next("429", method="GET", times=times, headers=headers)
        refusal = tried(lambda: org.release(slug=SLUG))
        assert refusal is not None
        assert refusal.code == "SITE_THROTTLED"
    assert len(told) == 2


def test_what_would_be_stopped_in_the_middle_by_the_limit_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("relkit.adapters.website_api.time.monotonic", lambda: now[0])
    with Site(tmp_path / "s.sqlite", tmp_path, tmp_path, limits=FREE) as site:
        org = adapter(site)
        draft(org)
        for _ in range(560):
            now[0] += 1
            org._api._apis["v1"].called.append(now[0])
        before = len(site.log)
        refusal = tried(lambda: org.add_files(slug=SLUG, files=FORTY))
        assert refusal is not None
        assert refusal.code == "SITE_THROTTLED"
        assert all(method == "GET" for method, _, _ in list(site.log)[before:])
        wait = int(refusal.remedy.split()[5])
        assert 3000 < wait <= 3600
        now[0] += wait
        org.add_files(slug=SLUG, files=FORTY)
        assert org.files(slug=SLUG) == FORTY


def test_another_digest_than_was_sent_is_found_when_it_is_read_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T45: the site stores another digest; running it again does not take it for ours."""
    org = adapter(site)
    draft(org)
    save = site._model.save

    def spoilt(table: Any, values: dict[str, Any], number: int | None = None) -> int:  # noqa: ANN401
        values = values | ({"sha256_sum": "f" * 64} if table == "release_file" else {})
        return save(table, values, number)

    monkeypatch.setattr(site._model, "save", spoilt)
    refusal = tried(lambda: org.add_files(slug=SLUG, files=ROWS[:1]))
    again = tried(lambda: org.add_files(slug=SLUG, files=ROWS[:1]))
    observed(PORT, "wrong digest", refusal, effects=len(org.files(slug=SLUG)), after=again)
    for one in (refusal, again):
        assert one is not None
        assert one.code == "API_DIVERGED"
        assert f"sha256_sum is '{'f' * 64}', not '{0:064x}'" in str(one)


def test_lists_that_are_old_for_three_cycles_make_no_second_row(site: Site, proxy: Faulty) -> None:
    org = adapter(site, proxy.url)
    draft(org)
    assert org.files(slug=SLUG) == ()
    proxy.next("stale cache for three cycles", path=LISTS)
    refusal = tried(lambda: org.add_files(slug=SLUG, files=ROWS[:1]))
    direct = adapter(site)
    effects = len(direct.files(slug=SLUG))
    again = tried(lambda: org.add_files(slug=SLUG, files=ROWS[:1]))
    observed(
        *(PORT, "stale cache for three cycles", refusal),
        effects=effects,
        after=again,
        effects_after=len(direct.files(slug=SLUG)),
    )
    assert refusal is not None
    assert refusal.code == "API_DIVERGED"
    assert again is None


@pytest.mark.parametrize("shared", ["slug", "url"])
def test_a_row_of_another_release_in_the_way_is_named_and_not_touched(
    site: Site, shared: str
) -> None:
    """T45: duplicate slug; v1 says 500 and "try again later", which would never help."""
    org = adapter(site)
    draft(org)
    other = DRAFT.model_copy(update={"slug": "python-3142", "name": "Python 3.14.2"})
    org.add_release(release=other)
    theirs = row(
        0,
        release=other.slug,
        **{"slug": "theirs", "url": ROWS[0].url + "x", "sigstore_bundle_file": ""}
        | {shared: getattr(ROWS[0], shared)},
    )
    org.add_files(slug=other.slug, files=(theirs,))
    refusal = tried(lambda: org.add_files(slug=SLUG, files=ROWS[:1]))
    effects = len(org.files(slug=SLUG))
    assert org.files(slug=other.slug) == (theirs,)
    org.remove_release(slug=other.slug)
    again = tried(lambda: org.add_files(slug=SLUG, files=ROWS[:1]))
    observed(
        *(PORT, "another person's file in the way", refusal),
        effects=effects,
        after=again,
        effects_after=len(org.files(slug=SLUG)),
    )
    assert refusal is not None
    assert refusal.code == "SITE_CONFLICT"
    assert "python-3142" in str(refusal) or "'theirs'" in str(refusal)


def test_a_refused_key_is_told_to_whoever_keeps_it(site: Site, proxy: Faulty) -> None:
    refused: list[str] = []
    org = PythonOrg(
        proxy.url,
        v2_token=lambda: site.v2_token,
        v1_key=lambda: site.v1_key,
        denied=refused.append,
    )
    proxy.next("401", path="/v2/")
    proxy.next("403", path="/v1/")
    assert tried(lambda: org.release(slug=SLUG)) is not None
    assert tried(lambda: org.files(slug=SLUG)) is not None
    assert refused == ["v2", "v1"]
