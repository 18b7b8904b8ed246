"""Two release managers at once, and a kill at any call: one end state, and nothing made twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from site_desk import FREE, RELEASE, row

from relkit.adapters.website import PythonOrg
from relkit.errors import WorldError
from relkit.rehearsal.site import Site
from relkit.steps.site import site_release
from relkit.values import SiteFile

SLUG, DRAFT = RELEASE.slug, site_release(RELEASE)
FIRST = tuple(row(number) for number in range(4))
AMENDED = (
    row(0, download_button=False),
    row(1),
    row(2, sha256_sum="f" * 64, filesize=99),
    row(10, download_button=True),
)
"""A file is replaced, another one removed, one is new and takes over the button."""
SHOWN = DRAFT.model_copy(update={"is_published": True})
LATEST = SHOWN.model_copy(update={"is_latest": True})
Meanwhile = Callable[[int], None]
STOP = 99


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site.sqlite", tmp_path, tmp_path, limits=FREE) as stand:
        yield stand


def manager(site: Site, before_call: Meanwhile = lambda _: None) -> PythonOrg:
    """Return a release manager's adapter; `before_call` hears the number of each of its calls."""
    org = PythonOrg(site.url, v2_token=lambda: site.v2_token, v1_key=lambda: site.v1_key)
    ask, number = org._web.request, iter(range(STOP))

    def noted(method: str, path: str, **given: Any) -> Any:  # noqa: ANN401 (passed on)
        before_call(next(number))
        return ask(method, path, **given)

    org._web.request = noted  # type: ignore[method-assign]
    return org


def first(org: PythonOrg) -> None:
    """Publish as the engine does: what shows that it is done is not done again."""
    if org.release(slug=SLUG) is None:
        org.add_release(release=DRAFT)
    if org.files(slug=SLUG) != FIRST:
        org.add_files(slug=SLUG, files=FIRST)
    org.publish(slug=SLUG)
    org.change_release(slug=SLUG, release=LATEST)


def amend(org: PythonOrg) -> None:
    org.change_files(slug=SLUG, before=FIRST, files=AMENDED)


def writes(site: Site) -> list[str]:
    return [f"{method} {path}" for method, path, _ in site.log if method not in {"GET", "HEAD"}]


def rows(site: Site) -> tuple[SiteFile, ...]:
    """Return all rows of the site, each by itself: a second one of the same name would show."""
    org = manager(site)
    there = org.files(slug=SLUG)
    assert len(site._store.rows("release_file")) == len(there)
    assert len(site.releases()) == 1
    return there


def at(call: int, happens: Callable[[], None]) -> Meanwhile:
    def look(number: int) -> None:
        if number == call:
            happens()

    return look


def killed() -> None:
    raise Killed


def stages(tmp_path: Path, deed: str) -> Iterator[tuple[int, Site]]:
    """Yield for each call a site on which the deed can be done; the caller ends it."""
    for call in range(STOP):
        folder = tmp_path / str(call)
        folder.mkdir()
        with Site(folder / "site.sqlite", folder, folder, limits=FREE) as site:
            if deed == "amend":
                first(manager(site))
            site.log.clear()
            yield call, site


DEEDS = {"first": (first, FIRST, len(FIRST) + 3), "amend": (amend, AMENDED, 6)}
"""What is done, what is there then, and by how many writes."""


@pytest.mark.slow
@pytest.mark.parametrize("deed", DEEDS)
def test_whoever_is_killed_before_any_call_is_followed_by_one_who_ends_the_same(
    tmp_path: Path, deed: str
) -> None:
    act, wanted, most = DEEDS[deed]
    for call, site in stages(tmp_path, deed):
        try:
            act(manager(site, at(call, killed)))
        except Killed:
            act(manager(site))
        else:
            assert call > most, "every call was the last one once"
            return
        assert rows(site) == wanted
        assert manager(site).release(slug=SLUG) == LATEST
        assert len(writes(site)) <= most, writes(site)
    raise AssertionError


@pytest.mark.slow
@pytest.mark.parametrize("deed", DEEDS)
def test_another_manager_who_does_the_same_between_any_two_calls_makes_nothing_twice(
    tmp_path: Path, deed: str
) -> None:
    """Whoever is second ends as well, or is told what the other did; run again it ends."""
    act, wanted, most = DEEDS[deed]
    for call, site in stages(tmp_path, deed):
        met: list[int] = []
        trouble = ""

        def other(site: Site = site, met: list[int] = met) -> None:
            met.append(1)
            act(manager(site))

        try:
            act(manager(site, at(call, other)))
        except WorldError as error:
            trouble = str(error)
            act(manager(site))
        named = trouble.startswith(("API_DIVERGED", "SITE_CONFLICT")) and " is True, not" in trouble
        assert named or not trouble, trouble
        assert rows(site) == wanted
        assert manager(site).release(slug=SLUG) == LATEST
        if not met:
            assert call > most
            return
        assert len(writes(site)) <= 2 * most + 1
    raise AssertionError


@pytest.mark.parametrize("gone", [FIRST[2], FIRST[3]], ids=["changed", "removed"])
@pytest.mark.parametrize("theirs", [{"sha256_sum": "e" * 64}, {"description": "theirs"}, None])
def test_what_somebody_writes_after_the_list_was_read_is_not_overwritten(
    site: Site, gone: SiteFile, theirs: dict[str, Any] | None
) -> None:
    first(manager(site))
    rest = tuple(one for one in FIRST if one != gone)
    other = gone.model_copy(update=theirs) if theirs else gone

    def meanwhile() -> None:
        org = manager(site)
        if theirs is None:  # the same row, but another one
            org.change_files(slug=SLUG, before=FIRST, files=rest)
            org.change_files(slug=SLUG, before=rest, files=FIRST)
        else:
            rows = tuple(sorted((*rest, other), key=lambda one: one.slug))
            org.change_files(slug=SLUG, before=FIRST, files=rows)

    listed = 2  # the release and its rows were read
    with pytest.raises(WorldError, match=r"API_DIVERGED.*it was left as it is"):
        amend(manager(site, at(listed, meanwhile)))
    assert other in rows(site)
