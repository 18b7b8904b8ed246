"""What the site offers first, and where its pages lead, as the step that reads back sees it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from test_publish import ALPHA, NEWEST, PREVIEW, Outside, firing, row_of

from relkit.expected import pages
from relkit.manifest import site_files
from relkit.release import Release
from relkit.steps import publish

SERIES = ("prerelease", "python3.15")


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("release", [ALPHA, PREVIEW], ids=str)
def test_a_preview_that_is_not_offered_although_nothing_is_newer_is_seen(
    release: Release, series: str
) -> None:
    """I27: for days the site led to the release before."""
    outside = Outside(release)
    older = row_of("3.14.0rc3").model_copy(update={"slug": "older"})
    outside.releases["older"] = older.model_copy(
        update={"release_date": release.time - timedelta(days=1)}
    )
    for found in ("older", None, "not-there"):
        outside.latest |= {series: found} if found else {}
        if found is None:
            del outside.latest[series]
        assert firing(outside.plan(publish.read_back)) == ["LATEST_WRONG"]


@pytest.mark.parametrize("series", SERIES)
def test_a_newer_preview_may_be_offered_instead(series: str) -> None:
    outside = Outside(ALPHA)
    newer = row_of("3.15.0a2").model_copy(update={"slug": "newer"})
    outside.releases["newer"] = newer.model_copy(
        update={"release_date": ALPHA.time + timedelta(days=30)}
    )
    outside.latest[series] = "newer"
    assert firing(outside.plan(publish.read_back)) == []


def test_a_download_button_that_leads_elsewhere_is_seen() -> None:
    """I31: the buttons were empty; status 200 all the time."""
    outside = Outside(NEWEST)
    _, downloads = pages(NEWEST)
    for row in site_files(NEWEST, outside.manifest):
        if row.download_button:
            whole = outside.texts[downloads]
            outside.texts[downloads] = whole.replace(f'{row.url}"', '#"')
            assert firing(outside.plan(publish.read_back)) == ["PAGE_INCOMPLETE"]
            outside.texts[downloads] = whole


@pytest.mark.parametrize("system", ["windows", "macos", "source", "android"])
def test_a_release_that_is_absent_from_the_page_of_a_system_is_seen(system: str) -> None:
    """I26: absent from the download pages for six days."""
    outside = Outside(NEWEST)
    outside.texts[f"/downloads/{system}/"] = "<p>Python 3.14.3</p>"
    assert firing(outside.plan(publish.read_back)) == ["PAGE_INCOMPLETE"]
