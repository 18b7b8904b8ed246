"""The adapter for python.org's database, against the stand-in over real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from site_helpers import DRAFT, URL, Client

from relkit.adapters.website import PythonOrg
from relkit.errors import WorldError
from relkit.ports import Website
from relkit.rehearsal.site import ORIGIN_HEADER, Fault, Site
from relkit.rehearsal.site_admin import enter_page_text
from relkit.rehearsal.site_auth import Limits
from relkit.rehearsal.site_http import Call, Reply
from relkit.values import SiteFile, SiteRelease

SLUG = "python-3150a1"
RELEASE = SiteRelease(
    name="Python 3.15.0a1",
    slug=SLUG,
    pre_release=True,
    show_on_download_page=False,
    release_date=datetime(2026, 5, 5, 12, tzinfo=UTC),
)
TGZ = SiteFile(
    name="Gzipped source tarball",
    slug="python-3150a1-tgz",
    os="source",
    release=SLUG,
    url=URL,
    is_source=True,
    download_button=True,
    sha256_sum="ab" * 32,
    filesize=27_000_000,
    sigstore_bundle_file=URL + ".sigstore",
)
XZ = TGZ.model_copy(
    update={
        "name": "XZ compressed source tarball",
        "slug": "python-3150a1-xz",
        "url": URL.replace(".tgz", ".tar.xz"),
        "download_button": False,
        "sigstore_bundle_file": "",
    }
)
HTML = Reply.text(200, "<h1>Welcome</h1>")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site.sqlite", tmp_path, tmp_path) as site:
        yield site


def adapter(site: Site, token: str = "", patience_seconds: float = 20) -> PythonOrg:
    return PythonOrg(
        site.url,
        v2_token=lambda: token or site.v2_token,
        v1_key=lambda: f"relkit-rehearsal:{token}" if token else site.v1_key,
        origin_headers={ORIGIN_HEADER: "1"},
        timeout_seconds=(5, patience_seconds),
    )


@pytest.fixture
def org(site: Site) -> PythonOrg:
    return adapter(site)


def writes(site: Site) -> list[tuple[str, str]]:
    return [(method, path) for method, path, _ in site.log if method not in {"GET", "HEAD"}]


def test_a_release_goes_from_draft_over_files_to_published(site: Site, org: PythonOrg) -> None:
    website: Website = org
    assert website.release(slug=SLUG) is None
    assert website.files(slug=SLUG) == ()
    website.add_release(release=RELEASE)
    assert website.release(slug=SLUG) == RELEASE
    website.add_files(slug=SLUG, files=(TGZ, XZ))
    assert website.files(slug=SLUG) == (TGZ, XZ)
    assert site.purges == []
    website.publish(slug=SLUG)
    assert website.release(slug=SLUG) == RELEASE.model_copy(update={"is_published": True})
    assert website.files(slug=SLUG) == (TGZ, XZ)
    assert website.latest(series="python3") is None
    assert website.latest(series="python3.15") == SLUG


def test_writing_twice_changes_nothing(site: Site, org: PythonOrg) -> None:
    for _ in range(2):
        org.add_release(release=RELEASE)
        org.add_files(slug=SLUG, files=(TGZ,))
    for _ in range(2):
        org.publish(slug=SLUG)
    assert writes(site) == [
        ("POST", "/api/v2/downloads/release/"),
        ("POST", "/api/v1/downloads/release_file/"),
        ("PATCH", "/api/v2/downloads/release/1/"),
    ]


def test_all_file_rows_are_read_however_many_there_are(org: PythonOrg) -> None:
    org.add_release(release=RELEASE)
    files = [
        TGZ.model_copy(
            update={
                "slug": f"f{number:02}",
                "url": f"{URL}{number}",
                "download_button": False,
                "sigstore_bundle_file": "",
            }
        )
        for number in range(30)
    ]
    org.add_files(slug=SLUG, files=tuple(reversed(files)))
    assert org.files(slug=SLUG) == tuple(files)


def test_a_page_is_read_with_its_text_although_the_cache_has_an_older_one(
    site: Site, org: PythonOrg
) -> None:
    assert org.page(slug=SLUG) is None
    org.add_release(release=RELEASE)
    assert Client(site).ask("GET", f"downloads/release/{SLUG}/").ok
    enter_page_text(url=site.url, token=site.v2_token, slug=SLUG, text="**An alpha.**")
    page = org.page(slug=SLUG)
    assert page is not None
    assert "<strong>An alpha.</strong>" in page


def test_latest_names_the_marked_release(org: PythonOrg, site: Site) -> None:
    Client(site).add("v2/release/", **DRAFT | {"is_published": True, "is_latest": True})
    assert org.latest(series="python3") == SLUG


# --- what is refused --------------------------------------------------------------------------


def code(act: Callable[[], object]) -> str:
    with pytest.raises(WorldError) as caught:
        act()
    assert caught.value.remedy
    return caught.value.code


def test_another_row_in_the_place_of_ours_is_a_conflict(org: PythonOrg) -> None:
    org.add_release(release=RELEASE)
    org.add_files(slug=SLUG, files=(TGZ,))
    other = RELEASE.model_copy(update={"pre_release": False})
    with pytest.raises(WorldError, match=r"SITE_CONFLICT.*pre_release is True, not False"):
        org.add_release(release=other)
    changed = TGZ.model_copy(update={"filesize": 1})
    with pytest.raises(WorldError, match=r"API_DIVERGED.*filesize is 27000000, not 1"):
        org.add_files(slug=SLUG, files=(changed,))


def test_two_rows_that_cannot_be_together_are_not_even_begun(org: PythonOrg, site: Site) -> None:
    org.add_release(release=RELEASE)
    before = len(writes(site))
    for update, expected in (
        ({"download_button": True}, "BAD_ROW"),
        ({"url": TGZ.url}, "BAD_ROW"),
        ({"slug": TGZ.slug}, "BAD_ROW"),
        ({"release": "python-3142"}, "BAD_ROW"),
        ({"os": "beos"}, "SITE_MISSING"),
    ):
        other = XZ.model_copy(update=update)
        assert (
            code(lambda other=other: org.add_files(slug=SLUG, files=(TGZ, other))) == expected  # type: ignore[misc]
        )
    assert len(writes(site)) == before


def test_the_500_for_an_address_of_another_release_names_the_row(
    org: PythonOrg, site: Site
) -> None:
    other = RELEASE.model_copy(update={"slug": "python-3150a2", "name": "Python 3.15.0a2"})
    for release in (RELEASE, other):
        org.add_release(release=release)
    theirs = TGZ.model_copy(update={"release": other.slug, "slug": "theirs"})
    org.add_files(slug=other.slug, files=(theirs,))
    before = len(writes(site))
    with pytest.raises(WorldError, match=r"SITE_CONFLICT.*'theirs' already has https"):
        org.add_files(slug=SLUG, files=(TGZ,))
    assert len(writes(site)) == before + 1
    assert org.files(slug=SLUG) == ()


def test_the_500_for_a_slug_of_another_release_names_the_release(org: PythonOrg) -> None:
    other = RELEASE.model_copy(update={"slug": "python-3150a2", "name": "Python 3.15.0a2"})
    for release in (RELEASE, other):
        org.add_release(release=release)
    org.add_files(slug=other.slug, files=(TGZ.model_copy(update={"release": other.slug}),))
    with pytest.raises(WorldError, match="release is 'python-3150a2', not 'python-3150a1'"):
        org.add_files(slug=SLUG, files=(TGZ,))


def test_only_drafts_are_made_and_removed(org: PythonOrg, site: Site) -> None:
    published = RELEASE.model_copy(update={"is_published": True})
    assert code(lambda: org.add_release(release=published)) == "SITE_NOT_DRAFT"
    assert writes(site) == []
    org.remove_release(slug=SLUG)
    org.add_release(release=RELEASE)
    org.add_files(slug=SLUG, files=(TGZ,))
    org.remove_release(slug=SLUG)
    assert (org.release(slug=SLUG), org.files(slug=SLUG)) == (None, ())
    org.add_release(release=RELEASE)
    org.publish(slug=SLUG)
    assert code(lambda: org.remove_release(slug=SLUG)) == "SITE_PUBLISHED"
    assert org.release(slug=SLUG) == published


STABLE = RELEASE.model_copy(
    update={"name": "Python 3.14.2", "slug": "python-3142", "pre_release": False}
)
CHANGES: dict[str, object] = {
    "name": "Python 3.14.2 (superseded)",
    "show_on_download_page": True,
    "release_date": datetime(2026, 5, 6, tzinfo=UTC),
}


def test_a_published_release_is_changed_where_it_differs_and_nowhere_else(
    org: PythonOrg, site: Site
) -> None:
    org.add_release(release=STABLE)
    org.publish(slug=STABLE.slug)
    enter_page_text(url=site.url, token=site.v2_token, slug=STABLE.slug, text="**Kept.**")
    changed = STABLE.model_copy(update={"is_published": True, **CHANGES})
    before = len(writes(site))
    for _ in range(2):
        org.change_release(slug=STABLE.slug, release=changed)
        assert org.release(slug=STABLE.slug) == changed
    assert len(writes(site)) == before + 1
    page = org.page(slug=STABLE.slug)
    assert page is not None
    assert "<strong>Kept.</strong>" in page


def test_the_latest_release_takes_the_place_of_the_one_before_and_gives_it_back(
    org: PythonOrg,
) -> None:
    rows = [STABLE, STABLE.model_copy(update={"name": "Python 3.14.3", "slug": "python-3143"})]
    for row in rows:
        org.add_release(release=row)
        org.publish(slug=row.slug)
    for row in (*rows, rows[0]):
        latest = row.model_copy(update={"is_published": True, "is_latest": True})
        org.change_release(slug=row.slug, release=latest)
        assert org.latest(series="python3") == row.slug
        others = [org.release(slug=one.slug) for one in rows if one is not row]
        assert not any(other and other.is_latest for other in others)
    update = {"is_published": True, "is_latest": False}
    org.change_release(slug=STABLE.slug, release=STABLE.model_copy(update=update))
    assert org.latest(series="python3") is None


def test_a_change_never_publishes_renames_or_makes_a_preview_the_latest(
    org: PythonOrg, site: Site
) -> None:
    org.add_release(release=RELEASE)
    before = len(writes(site))
    for update, expected in (
        ({"is_published": True}, "SITE_FIXED"),
        ({"slug": "python-3150a2"}, "SITE_FIXED"),
        ({"is_latest": True}, "SITE_LATEST_PREVIEW"),
    ):
        wanted = RELEASE.model_copy(update=update)
        assert code(lambda wanted=wanted: org.change_release(slug=SLUG, release=wanted)) == expected  # type: ignore[misc]
    assert code(lambda: org.change_release(slug="none", release=RELEASE)) == "SITE_MISSING"
    assert len(writes(site)) == before
    assert org.release(slug=SLUG) == RELEASE


def test_what_does_not_exist_is_named(org: PythonOrg) -> None:
    assert code(lambda: org.publish(slug=SLUG)) == "SITE_MISSING"
    assert code(lambda: org.add_files(slug=SLUG, files=(TGZ,))) == "SITE_MISSING"
    org.add_release(release=RELEASE)
    beos = TGZ.model_copy(update={"os": "beos"})
    with pytest.raises(WorldError, match="no system 'beos', only"):
        org.add_files(slug=SLUG, files=(beos,))


@pytest.mark.parametrize("slug", ["", "a/b", "..", "a b", "a?b", "a\n", "ä"])
def test_slugs_that_would_leave_their_place_are_refused(org: PythonOrg, slug: str) -> None:
    assert code(lambda: org.release(slug=slug)) == "BAD_SLUG"
    assert code(lambda: org.files(slug=slug)) == "BAD_SLUG"
    assert code(lambda: org.page(slug=slug)) == "BAD_SLUG"
    assert code(lambda: org.latest(series=slug)) == "BAD_SERIES"


def test_a_row_with_fields_relkit_does_not_know_is_not_passed_over(
    org: PythonOrg, site: Site
) -> None:
    org.add_release(release=RELEASE)
    client = Client(site)
    client.add("v1/release_file/", **client.file(md5_sum="0" * 32))
    with pytest.raises(WorldError, match=r"SITE_UNREADABLE.*md5_sum '000"):
        org.files(slug=SLUG)


# --- when the site or the way to it fails -----------------------------------------------------

BROKEN = [
    Fault("", ""),
    Fault("", "", Reply.json(500, {"error_message": "later"})),
    Fault("", "", Reply.text(502, "<h1>Bad gateway</h1>")),
    Fault("", "", HTML),
    Fault("", "", Reply(201)),
    Fault("", "", HTML, stall_seconds=1),
]
NAMES = ["dropped", "500", "502", "html", "empty", "timeout"]


def fault(model: Fault, method: str, path: str, *, effect: bool) -> Fault:
    return Fault(method, path, model.reply, effect, model.stall_seconds)


@pytest.mark.parametrize("model", BROKEN, ids=NAMES)
def test_a_write_that_was_done_although_the_answer_was_lost_is_recognised(
    site: Site, model: Fault
) -> None:
    """I29: a failed create went on."""
    org = adapter(site, patience_seconds=0.6 if model.stall_seconds else 20)
    v1, v2 = "/api/v1/downloads/release_file/", "/api/v2/downloads/release/"
    site.faults += [
        fault(model, "POST", v2, effect=True),
        fault(model, "POST", v1, effect=True),
        fault(model, "PATCH", v2, effect=True),
    ]
    org.add_release(release=RELEASE)
    org.add_files(slug=SLUG, files=(TGZ,))
    org.publish(slug=SLUG)
    assert site.faults == []
    assert len(writes(site)) == 3
    assert org.files(slug=SLUG) == (TGZ,)
    site.faults.append(fault(model, "PATCH", v2, effect=True))
    shown = {"is_published": True, "show_on_download_page": True}
    org.change_release(slug=SLUG, release=RELEASE.model_copy(update=shown))
    assert len(writes(site)) == 4


@pytest.mark.parametrize("model", BROKEN, ids=NAMES)
def test_a_write_of_unknown_outcome_is_not_repeated(site: Site, model: Fault) -> None:
    org = adapter(site, patience_seconds=0.6 if model.stall_seconds else 20)

    def check(method: str, api: str, act: Callable[[], None]) -> None:
        before = len(writes(site))
        site.faults.append(fault(model, method, api, effect=False))
        assert code(act) == "SITE_UNKNOWN_STATE"
        assert len(writes(site)) == before + 1
        act()

    check("POST", "/api/v2/", lambda: org.add_release(release=RELEASE))
    check("POST", "/api/v1/", lambda: org.add_files(slug=SLUG, files=(TGZ,)))
    check("DELETE", "/api/v2/", lambda: org.remove_release(slug=SLUG))
    org.add_release(release=RELEASE)
    check("PATCH", "/api/v2/", lambda: org.publish(slug=SLUG))
    shown = {"is_published": True, "show_on_download_page": True}
    changed = RELEASE.model_copy(update=shown)
    check("PATCH", "/api/v2/", lambda: org.change_release(slug=SLUG, release=changed))


def test_a_lost_write_that_left_another_row_is_a_conflict(
    org: PythonOrg, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(site)
    respond = site._respond

    def rival(call: Call) -> Reply:
        if call.method == "POST":
            monkeypatch.undo()
            client.add("v2/release/", **DRAFT | {"version": 2})
        return respond(call)

    monkeypatch.setattr(site, "_respond", rival)
    site.faults.append(Fault("POST", "/api/v2/", Reply(502)))
    with pytest.raises(WorldError, match=r"SITE_CONFLICT.*version is 2, not 3"):
        org.add_release(release=RELEASE)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (None, "SITE_UNREACHABLE"),
        (Reply.json(500, {}), "SITE_FAILED"),
        (HTML, "SITE_UNREADABLE"),
        (Reply(200, b'[{"slug": "pyth', "application/json"), "SITE_UNREADABLE"),
        (Reply(200, b"[" * 200_000, "application/json"), "SITE_UNREADABLE"),
        (Reply.json(200, {"slug": SLUG}), "SITE_UNREADABLE"),
        (Reply.json(200, [{"slug": "python-3140"}]), "SITE_UNREADABLE"),
        (Reply.json(200, [{"slug": SLUG}]), "SITE_UNREADABLE"),
        (Reply.json(200, [{"slug": SLUG}, {"slug": SLUG}]), "SITE_UNREADABLE"),
        (Reply(200, b"\xff\xfe", "application/json"), "SITE_UNREADABLE"),
        (Reply(200, b" " * 4_000_001, "application/json"), "SITE_UNREADABLE"),
        (Reply(301, headers={"Location": "https://example.org/"}), "SITE_REDIRECT"),
        (Reply.json(429, {}, retry_after="61"), "SITE_THROTTLED"),
        (Reply.json(404, {}), "SITE_MISSING"),
        (Reply.json(409, {}), "SITE_CONFLICT"),
        (Reply.json(403, {"detail": "no"}), "SITE_DENIED"),
    ],
    ids=lambda value: value if isinstance(value, str) else "after",
)
def test_a_read_never_takes_an_odd_answer_for_no_row(
    org: PythonOrg, site: Site, reply: Reply | None, expected: str
) -> None:
    site.faults.append(Fault("GET", "/api/v2/", reply))
    assert code(lambda: org.release(slug=SLUG)) == expected


def test_a_row_whose_fields_have_other_types_is_not_read(org: PythonOrg, site: Site) -> None:
    org.add_release(release=RELEASE)
    row = Client(site).ask("GET", "v2/release/").json()[0]
    for change in ({"version": "3"}, {"is_published": "false"}, {"release_date": "soon"}):
        site.faults.append(Fault("GET", "/api/v2/", Reply.json(200, [row | change])))
        assert code(lambda: org.release(slug=SLUG)) == "SITE_UNREADABLE"


@pytest.mark.parametrize(
    "change",
    [
        {"meta": {"total_count": 2, "offset": 0}},
        {"meta": {"total_count": 0, "offset": 0}},
        {"meta": {"total_count": 1, "offset": 20}},
        {"meta": {}},
        {"objects": "none"},
    ],
    ids=str,
)
def test_a_list_that_is_not_whole_is_refused(
    org: PythonOrg, site: Site, change: dict[str, object]
) -> None:
    org.add_release(release=RELEASE)
    org.add_files(slug=SLUG, files=(TGZ,))
    whole = Client(site).ask("GET", "v1/release_file/").json()
    site.faults.append(Fault("GET", "/api/v1/", Reply.json(200, whole | change)))
    assert code(lambda: org.files(slug=SLUG)) == "SITE_UNREADABLE"


def test_a_list_with_rows_of_another_release_is_refused(org: PythonOrg, site: Site) -> None:
    org.add_release(release=RELEASE)
    org.add_files(slug=SLUG, files=(TGZ,))
    org.add_release(release=STABLE)
    whole = Client(site).ask("GET", "v1/release_file/").json()
    whole["objects"][0]["release"] = "/api/v1/downloads/release/2/"
    site.faults.append(Fault("GET", "/api/v1/", Reply.json(200, whole)))
    with pytest.raises(WorldError, match="a row of another release"):
        org.files(slug=SLUG)


def test_a_redirected_write_goes_nowhere(org: PythonOrg, site: Site) -> None:
    away = Reply(307, headers={"Location": site.url + "api/v2/downloads/release/"})
    site.faults.append(Fault("POST", "/api/v2/", away, effect=False))
    assert code(lambda: org.add_release(release=RELEASE)) == "SITE_REDIRECT"
    assert org.release(slug=SLUG) is None
    assert len(writes(site)) == 1


@pytest.mark.parametrize(
    "reply",
    [None, Reply(200), Reply(302, headers={"Location": "https://example.org/x/"}), Reply(500)],
    ids=["dropped", "200", "elsewhere", "500"],
)
def test_latest_is_never_guessed(org: PythonOrg, site: Site, reply: Reply | None) -> None:
    site.faults.append(Fault("GET", "/downloads/latest/", reply))
    assert code(lambda: org.latest(series="python3")) in {"SITE_UNREADABLE", "SITE_UNREACHABLE"}


def test_an_odd_page_is_not_taken_for_no_page(org: PythonOrg, site: Site) -> None:
    for reply in (Reply(500), Reply.json(200, {}), Reply(301)):
        site.faults.append(Fault("GET", "/downloads/release/", reply))
        assert code(lambda: org.page(slug=SLUG)) == "SITE_UNREADABLE"


def test_limits_of_the_site_say_when_to_come_back(tmp_path: Path) -> None:
    limits = Limits(v2_per_day=1)
    with Site(tmp_path / "s.sqlite", tmp_path, tmp_path, limits=limits) as site:
        org = adapter(site)
        org.release(slug=SLUG)
        with pytest.raises(WorldError, match="SITE_THROTTLED") as caught:
            org.release(slug=SLUG)
    assert "86400 seconds" in caught.value.remedy


def test_no_secret_is_in_what_is_said(site: Site) -> None:
    """I39: a key was printed."""
    secret = "s3cret" * 6
    org = adapter(site, token=secret)
    with pytest.raises(WorldError, match=r"SITE_DENIED.*Invalid token") as caught:
        org.release(slug=SLUG)
    assert secret not in str(caught.value) + repr(org) + repr(vars(org))
    for version in ("v1", "v2"):
        echo = Reply.json(400, {"error": f"you sent {secret}"})
        site.faults.append(Fault("GET", f"/api/{version}/", echo))
        with pytest.raises(WorldError, match=r"you sent \[secret\]") as caught:
            org._api.get(version, "os/")
        assert secret not in str(caught.value)


def test_a_site_that_is_not_there_is_unreachable(site: Site) -> None:
    token = site.v2_token
    site.close()
    org = adapter(site, token=token)
    assert code(lambda: org.release(slug=SLUG)) == "SITE_UNREACHABLE"
