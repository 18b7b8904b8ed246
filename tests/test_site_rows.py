"""Forty rows through the real steps, while somebody reads the pages as fast as they come.

First a draft that is published, then a change of what is published: three files more, two other
descriptions, another download button.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import requests
from site_desk import (
    FOLDER,
    FORTY,
    FREE,
    LATER,
    RELEASE,
    SYSTEMS,
    Desk,
    Reader,
    declare,
    names,
    rows_of,
)

import relkit.step
from relkit.errors import WorldError
from relkit.rehearsal.site import Site
from relkit.steps import late, publish, site
from relkit.values import SiteFile


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(relkit.step, "STEPS", {})
    for module in (site, late, publish):
        monkeypatch.setattr(module, "site_files", rows_of)
    declare()
    with Site(tmp_path / "site.sqlite", tmp_path, tmp_path, limits=FREE) as stand:
        yield Desk(stand, tmp_path)


def test_forty_rows_take_two_calls_each_and_twelve_and_again_none_is_written(desk: Desk) -> None:
    calls = desk.carry_out("draft")
    assert len(calls) <= 2 * len(FORTY) + 12
    desk.text()
    calls += desk.carry_out("show")
    assert len(calls) <= 2 * len(FORTY) + 12, "draft and publication together"
    writes = len(desk.writes)
    website = desk.website()
    assert website.files(slug=RELEASE.slug) == FORTY
    website.change_files(slug=RELEASE.slug, before=(), files=FORTY)
    website.add_files(slug=RELEASE.slug, files=FORTY)
    assert len(desk.writes) == writes
    assert len([one for one in desk.writes if one.startswith("POST api/v1")]) == len(FORTY)


# --- while somebody reads --------------------------------------------------------------------


def test_no_file_is_ever_missing_to_somebody_who_reads_all_the_time(desk: Desk) -> None:
    with Reader(desk.site.url) as reader:
        reader.during(FORTY, FORTY)
        desk.carry_out("draft")
        reader.rest()
        assert reader.seen["v1"] == reader.seen["v2"] == names(FORTY)
        desk.text()
        desk.carry_out("show")
        reader.rest()
        assert reader.seen["page"] == names(FORTY)
        assert len(reader.seen["downloads"]) == len(SYSTEMS)
        reader.during(FORTY, LATER)
        desk.carry_out("add")
        reader.rest()
        assert reader.missed == []
        assert reader.seen["page"] == names(FORTY) | names(LATER)
        assert reader.seen["v1"] == reader.seen["v2"] == names(FORTY) | names(LATER)
    assert desk.website().files(slug=RELEASE.slug) == LATER


@pytest.fixture
def published(desk: Desk) -> Desk:
    """Return a desk after the page was published."""
    desk.carry_out("draft")
    desk.text()
    desk.carry_out("show")
    return desk


def fewer(rows: Sequence[SiteFile]) -> tuple[SiteFile, ...]:
    """Return other rows than the forty: a file less, one more, fields and buttons changed."""
    return tuple(one for one in rows if one.url not in {FORTY[3].url, FORTY[17].url})


def test_rows_that_go_go_last_and_one_by_one_and_the_site_forgets_its_pages(
    published: Desk,
) -> None:
    website, wanted = published.website(), fewer(LATER)
    purges, before = len(published.site.purges), len(published.writes)
    with Reader(published.site.url) as reader:
        reader.during(FORTY, wanted)
        reader.rest()
        assert reader.seen["page"] == names(FORTY)
        website.change_files(slug=RELEASE.slug, before=FORTY, files=wanted)
        reader.rest()
        assert reader.missed == []
    assert website.files(slug=RELEASE.slug) == wanted
    kinds = [one.partition(" ")[0] for one in published.writes[before:]]
    assert kinds == ["POST"] * 3 + ["PATCH"] * 2 + ["PATCH"] * 2 + ["DELETE"] * 2 + ["PATCH"]
    last = published.writes[-1]
    assert "/release/" in last
    assert "purge/downloads" in "".join(url for _, url in published.site.purges[purges:])
    done = len(published.writes)
    website.change_files(slug=RELEASE.slug, before=FORTY, files=wanted)
    assert len(published.writes) == done


# --- killed in the middle --------------------------------------------------------------------


@pytest.mark.parametrize("calls", [4, 8, 9, 10, 29, 48, 49, 50])
def test_a_draft_that_was_stopped_goes_on_where_it_was(desk: Desk, calls: int) -> None:
    desk.stop_after = calls
    with pytest.raises(KeyboardInterrupt):
        desk.carry_out("draft")
    desk.stop_after = 10**9
    desk.carry_out("draft")
    assert desk.website().files(slug=RELEASE.slug) == FORTY
    assert len([one for one in desk.writes if one.startswith("POST api/v1")]) == len(FORTY)
    assert len([one for one in desk.writes if one.startswith("POST api/v2")]) == 1


def test_a_change_that_was_stopped_anywhere_goes_on_and_writes_nothing_twice(
    published: Desk,
) -> None:
    """T45: dies after delete; a rerun heals. Every call of the change is the last one once."""
    wanted = fewer(LATER)
    start = len(published.writes)
    for room in range(1, 60):
        published.stop_after = len(published.calls) + room
        try:
            published.website().change_files(slug=RELEASE.slug, before=FORTY, files=wanted)
        except KeyboardInterrupt:
            continue
        break
    published.stop_after = 10**9
    assert published.website().files(slug=RELEASE.slug) == wanted
    rows = [one for one in published.writes[start:] if "release_file" in one]
    assert len(rows) == 3 + 2 + 2 + 2


def test_the_way_back_is_in_the_record_and_takes_back_exactly_what_was_changed(
    published: Desk,
) -> None:
    published.carry_out("add")
    with published.open() as run:
        plan = run.progress("add").plan
        assert plan is not None
        undo = plan.actions[0].undo
        assert undo is not None
        assert undo.arguments["files"] == [one.to_data() for one in FORTY]
        assert undo.arguments["before"] == [one.to_data() for one in LATER]
        undo(run.world)
    assert published.website().files(slug=RELEASE.slug) == FORTY


def test_every_row_stands_in_the_plan_by_its_fields(desk: Desk) -> None:
    desk.carry_out("draft")
    with desk.open() as run:
        plan = run.progress("draft").plan
    assert plan is not None
    rows = next(one for one in plan.actions if one.do.method == "add_files")
    assert rows.do.arguments["files"] == rows.expected == [one.to_data() for one in FORTY]


# --- somebody else writes, too ---------------------------------------------------------------


def edited(desk: Desk, slug: str, **fields: object) -> None:
    """Let somebody change a row by the site's own API."""
    base, key = (
        desk.site.url + "api/v2/downloads/",
        {"Authorization": f"Token {desk.site.v2_token}"},
    )
    found = requests.get(f"{base}release_file/?slug={slug}", headers=key, timeout=10).json()
    link = found[0]["resource_uri"]
    method = "PATCH" if fields else "DELETE"
    assert requests.request(method, link, json=fields, headers=key, timeout=10).ok


@pytest.mark.parametrize(
    ("slug", "fields", "words"),
    [
        (FORTY[7].slug, {"sha256_sum": "0" * 64}, f"sha256_sum is '{'0' * 64}', not '{7:064x}'"),
        (FORTY[38].slug, {"description": "mine"}, "description is 'mine', not 'for macOS 10.15"),
        (FORTY[3].slug, {"filesize": 5}, "filesize is 5, not 4"),
        (FORTY[8].slug, {}, "no row 3143-File-08 any more"),
        (FORTY[8].slug, {"url": FOLDER + "x.tgz", "sigstore_bundle_file": ""}, "nobody asked for"),
    ],
)
def test_a_row_that_somebody_changed_meanwhile_stops_the_change_before_it_begins(
    published: Desk, slug: str, fields: dict[str, object], words: str
) -> None:
    edited(published, slug, **fields)
    before = len(published.writes)
    change: Callable[..., None] = published.website().change_files
    with pytest.raises(WorldError) as caught:
        change(slug=RELEASE.slug, before=FORTY, files=fewer(LATER))
    assert caught.value.code == "API_DIVERGED"
    assert words in str(caught.value)
    assert len(published.writes) == before


def test_a_slug_that_another_row_still_has_is_a_conflict_before_anything_is_written(
    published: Desk,
) -> None:
    taken = LATER[-1].model_copy(update={"slug": FORTY[5].slug})
    rows = [*(one for one in FORTY if one != FORTY[5]), taken]
    before = len(published.writes)
    with pytest.raises(WorldError, match=r"SITE_CONFLICT: 3143-File-05 of .*file-42"):
        published.website().change_files(slug=RELEASE.slug, before=FORTY, files=tuple(rows))
    moved = (FORTY[0].model_copy(update={"os": "ios"}), *FORTY[1:])
    with pytest.raises(WorldError, match="SITE_FIXED: os of 3143-File-00 is windows, not ios"):
        published.website().change_files(
            slug=RELEASE.slug,
            before=FORTY,
            files=tuple(x.model_copy(update={"download_button": False}) for x in moved),
        )
    assert len(published.writes) == before
