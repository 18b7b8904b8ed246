"""What python.org's stand-in and the real site keep alike, seen by the adapter.

With `RELKIT_PYTHONDOTORG` the same holds of the real site's own code (python/pythondotorg), run on
this machine: with the five systems as `os` rows, and with a settings module that lets no call to
its CDN out. The variable gives its address; `RELKIT_PYTHONDOTORG_TOKEN` and
`RELKIT_PYTHONDOTORG_KEY` (``user:key``) the keys of a staff user there. All its releases are
deleted. It counts calls in its cache: one passage takes about 300 of 600 an hour.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from hostile import STRINGS, shown
from site_desk import FORTY, Reader
from site_schema import SCHEMA

from relkit.adapters.website import PythonOrg
from relkit.adapters.website_rows import SLUG, UNUSED, WORDS
from relkit.errors import ReleaseError
from relkit.places import LOOPBACK
from relkit.ports import Website
from relkit.rehearsal.site import Site
from relkit.rehearsal.site_auth import Limits
from relkit.rehearsal.site_fields import FIELDS
from relkit.values import SiteFile, SiteRelease

REAL = "RELKIT_PYTHONDOTORG"
FREE = Limits(v1_per_hour=10**6, v2_per_day=10**6, v2_anonymous_per_day=10**6)
TIME = datetime(2026, 5, 5, 12, tzinfo=UTC)


@dataclass
class Place:
    """A site; `writes` are the calls that change something, as the adapter made them."""

    url: str
    token: str
    key: str
    writes: list[str]

    def adapter(self) -> PythonOrg:
        org = PythonOrg(self.url, v2_token=lambda: self.token, v1_key=lambda: self.key)
        ask = org._web.request

        def noted(method: str, path: str, **given: object) -> object:
            if method != "GET":
                self.writes.append(f"{method} {path}")
            return ask(method, path, **given)  # type: ignore[arg-type]

        org._web.request = noted  # type: ignore[method-assign, assignment]
        return org

    def plain(self, method: str, path: str, json: object = None) -> requests.Response:
        """Ask as somebody else would."""
        version, _, rest = path.partition("/")
        key = f"Token {self.token}" if version == "v2" else f"ApiKey {self.key}"
        return requests.request(
            method,
            f"{self.url}api/{version}/downloads/{rest}",
            json=json,
            headers={"Authorization": key},
            timeout=30,
        )

    def clear(self) -> None:
        """Delete all releases: what a contract leaves is published, and the adapter keeps that."""
        for one in self.plain("GET", "v2/release/").json():
            assert self.plain("DELETE", f"v2/release/{number(one)}/").status_code == 204


def number(row: dict[str, str]) -> str:
    return row["resource_uri"].rstrip("/").rpartition("/")[2]


def real() -> Place:
    """Return the real site, if one is named; never one beyond this machine."""
    url = os.environ.get(REAL, "")
    if not url:
        pytest.skip(f"{REAL} names no python/pythondotorg that runs on this machine")
    assert urlsplit(url).hostname in LOOPBACK, f"{REAL} is not on this machine"
    token, key = (os.environ[f"{REAL}_{name}"] for name in ("TOKEN", "KEY"))
    return Place(url.rstrip("/") + "/", token, key, [])


@pytest.fixture(params=["stand-in", "real"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "real":
        place = real()
        place.clear()
        yield place
        return
    with Site(tmp_path / "site.sqlite", tmp_path, tmp_path, limits=FREE) as site:
        yield Place(site.url, site.v2_token, site.v1_key, [])


@pytest.fixture
def website(there: Place) -> Website:
    return there.adapter()


def release(version: str, *, days: int = 0, preview: bool = False) -> SiteRelease:
    return SiteRelease(
        name=f"Python {version}",
        slug="python-" + version.replace(".", ""),
        pre_release=preview,
        show_on_download_page=not preview,
        release_date=TIME + timedelta(days=days),
    )


ALPHA, STABLE, NEXT = (
    release("3.15.0a1", days=2, preview=True),
    release("3.14.3"),
    release("3.14.4", days=1),
)


def row(name: str, of: SiteRelease = STABLE, **changes: object) -> SiteFile:
    url = f"https://www.python.org/ftp/python/3.14.3/{name}"
    made = SiteFile(
        name=f"The file {name}",
        slug=f"{of.slug.removeprefix('python-')}-{name.replace('.', '-')}",
        os="source",
        release=of.slug,
        url=url,
        is_source=True,
        sha256_sum="ab" * 32,
        filesize=2**31 - 1,
        gpg_signature_file=f"{url}.asc",
        sigstore_bundle_file=f"{url}.sigstore",
        sbom_spdx2_file=f"{url}.spdx.json",
    )
    return made.model_copy(update=changes)


ROWS = (
    row("a.tgz", download_button=True),
    *(row(f"b{number:02}.tar.xz") for number in range(25)),
    row("c.pkg", os="macos", is_source=False, description="for macOS 10.15 and later"),
    row("d.exe", os="windows", is_source=False, download_button=True),
)


def code(act: Callable[[], object]) -> str:
    """Return the code of a refusal; empty: there was none. Another exception passes through."""
    try:
        act()
    except ReleaseError as error:
        return error.code if error.remedy else "no remedy"
    return ""


def show(website: Website, one: SiteRelease, rows: tuple[SiteFile, ...] = ()) -> SiteRelease:
    """Publish a release with rows, and return its row."""
    website.add_release(release=one)
    website.add_files(slug=one.slug, files=rows)
    website.publish(slug=one.slug)
    return one.model_copy(update={"is_published": True})


def test_a_release_goes_from_draft_over_rows_to_published_and_nothing_twice(
    there: Place, website: Website
) -> None:
    assert website.release(slug=STABLE.slug) is None
    assert website.files(slug=STABLE.slug) == ()
    for _ in range(2):
        website.add_release(release=STABLE)
        website.add_files(slug=STABLE.slug, files=ROWS)
    assert website.release(slug=STABLE.slug) == STABLE
    for _ in range(2):
        website.publish(slug=STABLE.slug)
    assert website.release(slug=STABLE.slug) == STABLE.model_copy(update={"is_published": True})
    assert website.files(slug=STABLE.slug) == ROWS
    assert len(there.writes) == 1 + len(ROWS) + 1
    assert there.adapter().files(slug=STABLE.slug) == ROWS
    page = website.page(slug=STABLE.slug)
    assert page is not None
    assert all(one.url.rpartition("/")[2] in page for one in ROWS)


def test_a_draft_can_be_taken_back_and_what_is_published_cannot(website: Website) -> None:
    for _ in range(2):
        website.add_release(release=STABLE)
        website.add_files(slug=STABLE.slug, files=ROWS[:2])
        website.remove_release(slug=STABLE.slug)
        assert website.release(slug=STABLE.slug) is None
    show(website, STABLE)
    assert code(lambda: website.remove_release(slug=STABLE.slug)) == "SITE_PUBLISHED"
    assert code(lambda: website.add_files(slug=STABLE.slug, files=ROWS[:1])) == "SITE_PUBLISHED"


def test_rows_change_by_difference_and_again_nothing_is_written(
    there: Place, website: Website
) -> None:
    """A button moves, a row is new, fields change, one row goes: python.org keeps one button."""
    show(website, STABLE, ROWS)
    before = len(there.writes)
    wanted = (
        row("a.tgz"),
        *ROWS[1:-2],
        row("c.pkg", os="macos", is_source=False, filesize=5, description=""),
        row("e.tgz", download_button=True),
    )
    for _ in range(2):
        website.change_files(slug=STABLE.slug, before=ROWS, files=wanted)
        assert website.files(slug=STABLE.slug) == wanted
    kinds = [one.partition(" ")[0] for one in there.writes[before:]]
    assert kinds == ["POST", "PATCH", "PATCH", "PATCH", "DELETE", "PATCH"]
    website.change_files(slug=STABLE.slug, before=wanted, files=ROWS)
    assert website.files(slug=STABLE.slug) == ROWS


@pytest.mark.parametrize("shared", ["slug", "url"])
def test_what_another_release_has_is_a_conflict_and_no_overload(
    website: Website, shared: str
) -> None:
    website.add_release(release=STABLE)
    website.add_release(release=NEXT)
    other = row("z.tgz", NEXT).model_copy(
        update={shared: getattr(ROWS[0], shared)}
        | ({} if shared == "slug" else {"gpg_signature_file": "", "sigstore_bundle_file": ""})
        | ({} if shared == "slug" else {"sbom_spdx2_file": ""})
    )
    website.add_files(slug=NEXT.slug, files=(other,))
    assert code(lambda: website.add_files(slug=STABLE.slug, files=ROWS[:1])) == "SITE_CONFLICT"
    assert website.files(slug=STABLE.slug) == ()


def test_a_row_that_somebody_else_changed_or_added_is_seen(there: Place, website: Website) -> None:
    show(website, STABLE, ROWS[:2])
    changed = (ROWS[0].model_copy(update={"filesize": 1}), ROWS[1])
    rows = there.plain("GET", "v1/release_file/?limit=0").json()["objects"]
    mine = next(one for one in rows if one["slug"] == ROWS[0].slug)
    assert there.plain("PATCH", f"v2/release_file/{number(mine)}/", {"filesize": 7}).ok
    before = len(there.writes)
    change = lambda: website.change_files(slug=STABLE.slug, before=ROWS[:2], files=changed)  # noqa: E731 (called by `code`)
    assert code(change) == "API_DIVERGED"
    assert len(there.writes) == before


def test_latest_is_right_for_every_way_to_it(website: Website) -> None:
    """I25, I27: a preview is never the latest Python 3, and the newest is at once.

    The site takes the newest date of a series, previews as well.
    """
    assert website.latest(series="python3") is None
    show(website, STABLE, ROWS[:1])
    for one in (STABLE, NEXT):
        there = show(website, one) if one is NEXT else website.release(slug=one.slug)
        assert there is not None
        latest = there.model_copy(update={"is_latest": True})
        website.change_release(slug=one.slug, release=latest)
        assert website.latest(series="python3") == one.slug
    alpha = show(website, ALPHA)
    wrong = alpha.model_copy(update={"is_latest": True})
    change = lambda: website.change_release(slug=ALPHA.slug, release=wrong)  # noqa: E731 (called by `code`)
    assert code(change) == "SITE_LATEST_PREVIEW"
    assert website.latest(series="python3") == NEXT.slug
    assert website.latest(series="python3.14") == NEXT.slug
    assert website.latest(series="python3.15") == ALPHA.slug
    assert website.latest(series="prerelease") == ALPHA.slug
    first = website.release(slug=STABLE.slug)
    assert first is not None
    assert not first.is_latest


def test_every_page_that_lists_releases_has_links_to_the_files(
    there: Place, website: Website
) -> None:
    """I26, I31: the page of all downloads, those of the systems, and the release's own."""
    latest = show(website, STABLE, ROWS).model_copy(update={"is_latest": True})
    website.change_release(slug=STABLE.slug, release=latest)
    show(website, ALPHA, (row("e.exe", ALPHA, os="windows", is_source=False),))
    for page, files in {
        "downloads/": [one for one in ROWS if one.download_button],
        "downloads/source/": [one for one in ROWS if one.os == "source"],
        "downloads/windows/": [ROWS[-1]],
        f"downloads/release/{STABLE.slug}/": ROWS,
    }.items():
        text = requests.get(there.url + page, timeout=30).text
        assert all(f'{one.url.rpartition("/")[2]}"' in text for one in files), page
        assert f'/downloads/release/{STABLE.slug}/"' in text or f"/{STABLE.slug}/" in page
    text = requests.get(f"{there.url}downloads/windows/", timeout=30).text
    assert f'/downloads/release/{ALPHA.slug}/"' in text
    assert 'e.exe"' in text
    assert requests.get(f"{there.url}downloads/beos/", timeout=30).status_code == 404


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_both_apis_have_exactly_the_recorded_fields(
    there: Place, website: Website, version: str
) -> None:
    """I30: the tool's name of a field was not the site's, and what is unknown is passed over."""
    website.add_release(release=STABLE)
    website.add_files(slug=STABLE.slug, files=ROWS[:1])
    for table, fields in SCHEMA.items():
        found = there.plain("GET", f"{version}/{table}/").json()
        rows = found["objects"] if version == "v1" else found
        assert {frozenset(one) for one in rows} == {fields}, table


def test_the_adapter_and_the_stand_in_know_the_recorded_fields_and_no_others() -> None:
    """I30."""
    for table, fields in FIELDS.items():
        links = {"release_page"} if table == "release" else set()
        assert {one.name for one in fields} | links | {"resource_uri"} == SCHEMA[table]
    own = {"resource_uri"}
    assert {*SiteFile.model_fields, *UNUSED} == SCHEMA["release_file"] - own
    unset = {"release_notes_url", "release_page"}
    assert set(SiteRelease.model_fields) == SCHEMA["release"] - own - unset


def test_the_site_ignores_what_it_does_not_know_and_the_adapter_would_see_it(
    there: Place, website: Website
) -> None:
    """I30: `sha256sum` is taken without a word, and stored nowhere."""
    website.add_release(release=STABLE)
    base = "/api/v1/downloads"
    release_number = number(there.plain("GET", "v2/release/").json()[0])
    system = number(next(x for x in there.plain("GET", "v2/os/").json() if x["slug"] == "source"))
    fields = row("a.tgz").model_dump(mode="json") | {
        "os": f"{base}/os/{system}/",
        "release": f"{base}/release/{release_number}/",
    }
    fields["sha256sum"] = fields.pop("sha256_sum")
    assert there.plain("POST", "v1/release_file/", fields).status_code == 201
    assert website.files(slug=STABLE.slug) == (row("a.tgz", sha256_sum=""),)
    add = lambda: website.add_files(slug=STABLE.slug, files=(row("a.tgz"),))  # noqa: E731 (called by `code`)
    assert code(add) == "API_DIVERGED"


def test_somebody_who_reads_all_the_time_never_misses_a_file(
    there: Place, website: Website
) -> None:
    """The page of a release whose rows become others; no API, since real sites throttle that."""
    show(website, STABLE, FORTY[:12])
    wanted = (*FORTY[1:10], FORTY[10].model_copy(update={"description": "other"}), FORTY[20])
    with Reader(there.url, ("page",)) as reader:
        reader.during(FORTY[:12], wanted)
        reader.rest()
        website.change_files(slug=STABLE.slug, before=FORTY[:12], files=wanted)
        reader.rest()
    assert reader.missed == []
    assert website.files(slug=STABLE.slug) == wanted


# --- what both say to calls that are none of the adapter's ------------------------------------

V1, V2 = "v1/release_file/", "v2/release_file/"
ODD: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "v1 takes null for nothing": ("POST", V1, {"filesize": None, "is_source": None}, 201, ""),
    "v1 takes a flag as text": ("POST", V1, {"is_source": "1"}, 201, ""),
    "v1 takes a negative size": ("POST", V1, {"filesize": -(2**31)}, 201, ""),
    "v1 stumbles over a null character": ("POST", V1, {"name": "a\0"}, 500, "try again later"),
    "v1 names all that is wrong with an address": (
        *("POST", V1, {"gpg_signature_file": "x"}, 400),
        "must begin with 'https://www.python.org/'.\", \"Sidecar URL must match",
    ),
    "v2 looks for a second button before it looks at addresses": (
        *("POST", V2, {"url": "http://www.python.org/x"}, 400),
        '"non_field_errors"',
    ),
    "v2 refuses a null character": ("POST", V2, {"name": "a\0"}, 400, "Null characters"),
    "v2 refuses half a character": ("POST", V2, {"name": "\ud83d"}, 400, "Surrogate characters"),
    "v2 refuses what is no address": ("POST", V2, {"url": "x"}, 400, "Enter a valid URL."),
    "v2 takes Y for yes": ("PATCH", V2, {"is_source": "Y"}, 200, '"is_source":true'),
    "v2 takes blanks off the ends": ("PATCH", V2, {"name": " A b "}, 200, '"name":"A b"'),
    "v2 changes nothing for nothing": ("PATCH", V2, {}, 200, ""),
    "v2 has no button for two": ("PATCH", f"{V2}2/", {"download_button": True}, 500, "<"),
    "v2 keeps the signature of an address": (
        "PATCH",
        V2,
        {"url": f"{ROWS[0].url}.x"},
        400,
        "Sidecar",
    ),
    "v2 knows four versions": ("PATCH", "v2/release/", {"version": "x"}, 400, "a valid choice"),
    "v1 turns pages with the filter": (
        *("GET", f"{V1}?release__slug={STABLE.slug}&limit=1&offset=1", {}, 200),
        f'"previous": "/api/v1/downloads/release_file/?release__slug={STABLE.slug}&limit=1',
    ),
    "v1 refuses a lookup": ("GET", f"{V1}?slug__in=a", {}, 400, "'in' is not an allowed filter"),
    "v1 passes over what it does not know": ("GET", f"{V1}?foo=1", {}, 200, '"total_count": 2'),
    "v1 refuses a flag that is none": ("GET", "v1/release/?is_published=x", {}, 400, "“x” value"),
    "v1 refuses a number that is none": ("GET", f"{V1}?release=x", {}, 400, "mismatched type"),
    "v1 refuses a page before the first": ("GET", f"{V1}?offset=-1", {}, 400, "integer &gt;= 0"),
    "v1 puts nothing in order": ("GET", f"{V1}?order_by=name", {}, 400, "not allow ordering"),
    "v2 has the slug of a row as it is written": ("GET", f"{V2}?slug=1403-A-TGZ", {}, 200, "[]"),
}
"""What is asked about two rows, the first with the button; ``…/`` for a change means the first."""


@pytest.mark.parametrize("odd", ODD)
def test_both_sites_say_the_same_to_odd_calls(there: Place, website: Website, odd: str) -> None:
    method, path, fields, status, said = ODD[odd]
    website.add_release(release=STABLE)
    website.add_files(slug=STABLE.slug, files=ROWS[:2])
    rows = {x["slug"]: x for x in there.plain("GET", "v2/release_file/").json()}
    mine, second = (rows[one.slug] for one in ROWS[:2])
    if method == "PATCH":
        table = path.split("/")[1]
        named = second if path.endswith("2/") else mine
        path = f"v2/{table}/{number(named) if table == 'release_file' else number_of(named)}/"
    elif method == "POST":
        links = {name: mine[name] for name in ("os", "release")}
        if path == V1:
            links = {name: urlsplit(link).path for name, link in links.items()}
        new = row("new.tgz").model_dump(mode="json") | links
        fields = new | fields
    answer = there.plain(method, path, None if method == "GET" else fields)
    assert answer.status_code == status, answer.text
    assert said.replace(" ", "") in answer.text.replace(" ", "")


def number_of(row: dict[str, str]) -> str:
    return row["release"].rstrip("/").rpartition("/")[2]


@pytest.mark.parametrize("series", ["python4", "python2.7", "PYTHON3", "python3.14.3", "x"])
def test_what_is_no_series_leads_nowhere(there: Place, series: str) -> None:
    address = f"{there.url}downloads/latest/{series}/"
    assert requests.get(address, timeout=30, allow_redirects=False).status_code == 404


def test_a_draft_that_is_marked_would_leave_the_site_without_a_latest_release(
    there: Place, website: Website
) -> None:
    """The adapter refuses it; the site itself does not."""
    latest = show(website, STABLE).model_copy(update={"is_latest": True})
    website.change_release(slug=STABLE.slug, release=latest)
    marked = NEXT.model_copy(update={"is_latest": True})
    assert code(lambda: website.add_release(release=marked)) == "SITE_LATEST_DRAFT"
    website.add_release(release=NEXT)
    change = lambda: website.change_release(slug=NEXT.slug, release=marked)  # noqa: E731 (called by `code`)
    assert code(change) == "SITE_LATEST_DRAFT"
    assert website.latest(series="python3") == STABLE.slug
    draft = next(x for x in there.plain("GET", "v2/release/").json() if x["slug"] == NEXT.slug)
    assert there.plain("PATCH", f"v2/release/{number(draft)}/", {"is_latest": True}).ok
    assert website.release(slug=STABLE.slug) == latest.model_copy(update={"is_latest": False})


# --- hostile words ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Website]]:
    """Return a stand-in with a draft; all hostile words are said to the same one."""
    folder = tmp_path_factory.mktemp("site")
    with Site(folder / "site.sqlite", folder, folder, limits=FREE) as site:
        place = Place(site.url, site.v2_token, site.v1_key, [])
        website = place.adapter()
        website.add_release(release=STABLE)
        place.writes.clear()
        yield place, website


def rows_with(text: str) -> Iterator[SiteFile]:
    """Yield rows that have the text in each field that is one."""
    for field, value in ROWS[0].model_dump().items():
        if isinstance(value, str):
            yield ROWS[0].model_copy(update={field: text})


@pytest.mark.parametrize("text", STRINGS, ids=shown)
def test_hostile_words_are_refused_and_nothing_is_written(
    local: tuple[Place, Website], text: str
) -> None:
    """A word or a slug that is like any other may stay one, and is given back as it was."""
    place, website = local
    slug, plain = STABLE.slug, SLUG.fullmatch(text) is not None
    calls: list[Callable[[], object]] = [
        lambda: website.release(slug=text),
        lambda: website.files(slug=text),
        lambda: website.page(slug=text),
        lambda: website.publish(slug=text),
        lambda: website.remove_release(slug=text),
        lambda: website.change_release(slug=text, release=STABLE),
        lambda: website.add_files(slug=text, files=ROWS[:1]),
    ]
    assert all(code(call) or plain for call in calls)
    assert code(lambda: website.latest(series=text)) == "BAD_SERIES"
    named = STABLE.model_copy(update={"name": text})
    assert code(lambda: website.change_release(slug=slug, release=named)) == "BAD_ROW"
    draft = NEXT.model_copy(update={"slug": f"{text}/"})
    assert code(lambda: website.add_release(release=draft)) == "BAD_SLUG"
    assert place.writes == []
    for odd in rows_with(text):
        if code(lambda odd=odd: website.add_files(slug=slug, files=(odd,))):  # type: ignore[misc]
            continue
        assert website.files(slug=slug) == (odd,), "what was given is not what is there"
        assert odd == ROWS[0] or plain or not text or WORDS.fullmatch(text)
        website.change_files(slug=slug, before=(odd,), files=())
        place.writes.clear()
    assert place.writes == []
