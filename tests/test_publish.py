"""The steps that publish, against small answers: what they plan, and when a check fires."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relkit import values
from relkit.expected import SUFFIXES, docs_archive, expected, folders, pages, signatures
from relkit.kinds import RELEASES, Kind
from relkit.manifest import Manifest, absent, site_files
from relkit.plan import Action, Check, Item, Wait
from relkit.ports import World
from relkit.release import Release, Version
from relkit.step import STEPS, Results, Step, steps_of
from relkit.steps import place, pointers, publish
from relkit.steps.sign import close_manifest
from relkit.steps.site import page_text, shows, site_release, slug_of, version_in
from relkit.texts import superseded_text
from relkit.values import Artifact, Companion, Fetched, SiteRelease, Unpacked

NEWEST = Release.parse("3.14.4", "", "2026-04-07")
OLDER = Release.parse("3.13.13", "", "2026-04-07")
SECURITY = Release.parse("3.12.13", "", "2026-03-03")
FINAL = Release.parse("3.15.0", "", "2026-10-01")
PREVIEW = Release.parse("3.15.0rc1", "", "2026-08-04")
ALPHA = Release.parse("3.15.0a1", "", "2025-10-14")
EVERY = [ALPHA, PREVIEW, FINAL, NEWEST, OLDER, SECURITY]
STABLE = [FINAL, NEWEST, OLDER, SECURITY]


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def artifact(name: str) -> Artifact:
    return Artifact(name=name, size=len(name), sha256=sha(name))


def manifest_of(release: Release) -> Manifest:
    subjects = {one.name: artifact(one.name) for one in expected(release)}
    return Manifest(
        version=str(release.version),
        commit="c" * 40,
        tree="d" * 40,
        tag_object="e" * 40,
        time=release.time,
        policy_digest="f" * 64,
        folder=release.folder,
        subjects=tuple(subjects.values()),
        companions=tuple(
            Companion(
                scheme="gpg" if scheme == "gpg" else "sigstore",
                file=artifact(name + SUFFIXES[scheme]),
                subject=subjects[name],
                identity="rm@example.org",
            )
            for name, scheme in signatures(release)
        ),
        absent=absent(release),
    )


def row_of(version: str) -> SiteRelease:
    parsed = Version.parse(version)
    return SiteRelease(
        name=f"Python {version}",
        slug=slug_of(parsed),
        is_published=True,
        pre_release=bool(parsed.suffix),
        show_on_download_page=True,
        release_date=datetime(2026, 1, 6, tzinfo=UTC),
    )


class Outside:
    """A world after the release was published as it should be; a test changes one answer."""

    def __init__(self, release: Release) -> None:
        self.release, self.manifest = release, manifest_of(release)
        files = folders(release)
        self.public = {f"/{files[one.name]}/{one.name}": one for one in self.manifest.files}
        self.placed: set[str] = set()
        self.texts = {
            f"/{folder}/": self._links(name for name, there in files.items() if there == folder)
            for folder in set(files.values())
        }
        own, *others = pages(release)
        rows = site_files(release, self.manifest)
        urls = [url for row in rows for url in (row.url, row.sbom_spdx2_file) if url]
        buttons = [row.url for row in rows if row.download_button]
        self.texts |= {own: self._links(urls)}
        self.texts |= {one: self._links([own, *buttons]) for one in others}
        self.texts |= {
            f"/downloads/{system}/": self._links([own, *(x.url for x in rows if x.os == system)])
            for system in {row.os for row in rows}
        }
        self.latest = {"python3": release.slug if release.is_newest else "python-3199"}
        self.latest[f"python{release.version.series}"] = release.slug
        self.latest["prerelease"] = release.slug
        self.current: str | None = str(release.version) if release.is_newest else "3.19.9"
        self.unpacked: Unpacked | None = None
        if release.facts.docs:
            self.unpacked = Unpacked(sha256=sha(docs_archive(release)), files=9)
        own_row = site_release(release, published=True, latest=release.is_newest)
        self.releases = {release.slug: own_row, "python-3199": row_of("3.19.9")}
        self.rows = site_files(release, self.manifest)
        self.pages: dict[str, str] = {}
        self.testimony: str | None = None

    @staticmethod
    def _links(targets: Any) -> str:  # noqa: ANN401 (anything to go through)
        return "".join(f'<a href="{one}">it</a>' for one in targets)

    def fetch(self, *, path: str) -> Fetched:
        one = self.public.get(path)
        if one is None:
            return Fetched(status=404, size=0, sha256="0" * 64)
        return Fetched(status=200, size=one.size, sha256=one.sha256)

    def point(self, *, link: str, target: str, was: str | None) -> None:
        """Stand for the port's method; nothing is carried out here."""

    @property
    def world(self) -> World:
        policy = SimpleNamespace(person=lambda _role: SimpleNamespace(name="Ada Sample"))
        website = SimpleNamespace(
            latest=lambda *, series: self.latest.get(series),
            release=lambda *, slug: self.releases.get(slug),
            files=lambda *, slug: self.rows if slug == self.release.slug else (),
            page=lambda *, slug: self.pages.get(slug),
            **dict.fromkeys(
                ("publish", "change_release", "add_release", "add_files", "remove_release")
            ),
        )
        given = values.Testimony(
            name="store", who="Win", role="windows-expert", text=self.testimony or ""
        )
        return cast(
            "World",
            SimpleNamespace(
                nonce="n",
                rehearsal=True,
                policy=policy,
                website=SimpleNamespace(
                    **{name: value or self.point for name, value in vars(website).items()}
                ),
                public=SimpleNamespace(
                    fetch=self.fetch,
                    read=lambda *, path: self.texts[path],
                    purge=self.point,
                    purged=self.point,
                ),
                docs=SimpleNamespace(
                    pointed=lambda *, link: self.current if link == "current" else None,
                    point=self.point,
                    unpack=self.point,
                    unpacked=lambda *, version: self.unpacked,  # noqa: ARG005
                ),
                downloads=SimpleNamespace(
                    placed_all=lambda *, paths: {one: one in self.placed or None for one in paths},
                    staged_all=lambda *, paths: dict.fromkeys(paths),
                    **dict.fromkeys(("stage_all", "unstage_all", "place_all"), self.point),
                ),
                announcements=SimpleNamespace(draft=self.point, drafted=self.point),
                people=SimpleNamespace(
                    told=lambda *, nonce: False,  # noqa: ARG005
                    tell=self.point,
                    testimony=lambda *, name: given if self.testimony else None,  # noqa: ARG005
                ),
            ),
        )

    def plan(self, step: Step[Any]) -> list[Item]:
        results = Results({close_manifest.name: self.manifest.to_data()})
        return list(step.planner(self.release, self.world, results))


def firing(items: list[Item]) -> list[str]:
    """Return the codes of the checks that stop."""
    return [one.code for one in items if isinstance(one, Check) and one.ok is not True]


def calls(items: list[Item]) -> list[tuple[dict[str, Any], Action]]:
    return [(one.do.keywords, one) for one in items if isinstance(one, Action)]


def named(release: Release) -> str:
    return str(release.version)


@pytest.mark.parametrize("release", EVERY, ids=named)
def test_nothing_fires_when_everything_is_public_as_it_should_be(release: Release) -> None:
    outside = Outside(release)
    assert firing(outside.plan(publish.read_back)) == []
    if release.facts.stable:
        assert firing(outside.plan(pointers.move_current_links)) == []


@pytest.mark.parametrize("release", EVERY, ids=named)
def test_every_file_of_the_manifest_is_staged_and_placed_in_its_folder(release: Release) -> None:
    outside = Outside(release)
    folder_of, files = folders(release), outside.manifest.files
    wanted = {f"{folder_of[one.name]}/{one.name}": one.sha256 for one in files}
    for items in (outside.plan(place.upload_to_staging), outside.plan(place.place_files)):
        assert [given["files"] for given, _ in calls(items)] == [wanted]


@pytest.mark.parametrize("release", EVERY, ids=named)
def test_what_comes_before_the_gate_can_be_taken_back(release: Release) -> None:
    outside = Outside(release)
    items = outside.plan(place.upload_to_staging)
    if not release.facts.embargoed:
        items += outside.plan(place.draft_website)
    told = [action for _, action in calls(items) if isinstance(action.undo, str)]
    assert [action.undo for action in told] in ([], ["a message stays sent"])


def test_what_is_held_back_is_drafted_only_after_the_files_are_out() -> None:
    assert Kind.SECURITY not in place.draft_website.kinds
    order = [one.name for one in steps_of(Kind.SECURITY)]
    assert "draft-website" not in order
    assert order.index("place-files") < order.index("fill-website")
    assert order.index("fill-website") < order.index("publish-website")
    others = RELEASES - {Kind.SECURITY}
    assert all(STEPS["fill-website"] not in steps_of(kind) for kind in others)


def test_both_ways_to_the_draft_make_the_same_rows() -> None:
    early, late = (
        Outside(NEWEST).plan(place.draft_website),
        Outside(SECURITY).plan(place.fill_website),
    )
    for items, release in ((early, NEWEST), (late, SECURITY)):
        rows = [a["release"] for a, _ in calls(items) if "release" in a]
        assert rows == [site_release(release)]
        files = [a["files"] for a, _ in calls(items) if "files" in a]
        assert files == [site_files(release, manifest_of(release))]


@pytest.mark.parametrize("release", EVERY, ids=named)
def test_a_draft_never_has_the_mark_of_the_latest_release(release: Release) -> None:
    """The site takes it from the release that has it at once, though a draft is not public."""
    assert not site_release(release).is_latest
    assert not site_release(release, published=True).is_latest


@pytest.mark.parametrize("release", EVERY, ids=named)
def test_only_the_newest_stable_release_gets_the_mark_after_it_is_public(release: Release) -> None:
    """I25: an alpha was offered instead of the release of the day before."""
    outside = Outside(release)
    outside.latest["python3"] = "python-3143" if release.is_newest else "python-3199"
    outside.releases["python-3143"] = row_of("3.14.3")
    items = outside.plan(place.publish_website)
    assert firing(items) == []
    marks = [a["release"].is_latest for a, _ in calls(items) if "release" in a]
    assert marks == ([True] if release.is_newest else [])
    first, *_ = calls(items)
    assert first[0] == {"slug": release.slug}


@pytest.mark.parametrize(
    ("release", "offered", "codes"),
    [
        (NEWEST, "3.15.0", ["LATEST_UNFIT"]),
        (NEWEST, "3.14.4", []),
        (NEWEST, None, []),
        (OLDER, "3.13.12", ["LATEST_UNFIT"]),
        (OLDER, None, ["LATEST_UNFIT"]),
        (OLDER, "3.14.3", []),
        (SECURITY, "3.14.3", []),
        (PREVIEW, None, []),
    ],
    ids=str,
)
def test_dates_that_do_not_fit_what_the_site_offers_stop_before_it_is_changed(
    release: Release, offered: str | None, codes: list[str]
) -> None:
    outside = Outside(release)
    outside.latest["python3"] = "offered" if offered else ""
    outside.releases["offered"] = row_of(offered or "3.0.0")
    assert firing(outside.plan(place.publish_website)) == codes


def test_a_row_too_many_stops_the_publication() -> None:
    outside = Outside(ALPHA)
    outside.rows = outside.rows[1:]
    assert "API_DIVERGED" in firing(outside.plan(place.publish_website))


def test_publishing_waits_for_the_page_that_was_approved() -> None:
    outside = Outside(SECURITY)
    text = page_text(SECURITY, outside.world, outside.manifest)
    for page, ready in (("<p>soon</p>", False), (f"<p>{text}</p>", True)):
        outside.pages[SECURITY.slug] = page
        waits = [one for one in outside.plan(place.publish_website) if isinstance(one, Wait)]
        assert [one.ready for one in waits] == [ready]


@pytest.mark.parametrize("release", STABLE, ids=named)
def test_current_is_moved_by_the_newest_stable_release_alone(release: Release) -> None:
    outside = Outside(release)
    outside.current = "3.14.3"
    items = outside.plan(pointers.move_current_links)
    targets = [a["target"] for a, _ in calls(items) if "target" in a]
    assert targets == ([str(release.version)] if release.is_newest else [])
    assert firing(items) == []


@pytest.mark.parametrize(
    ("release", "before", "codes"),
    [
        (NEWEST, "3.15.0", ["CURRENT_NEWER"]),
        (NEWEST, "somewhere", ["CURRENT_NEWER"]),
        (NEWEST, None, []),
        (OLDER, "3.13.13", ["CURRENT_WRONG"]),
        (OLDER, "3.13.12", []),
        (OLDER, None, []),
    ],
    ids=str,
)
def test_current_that_is_not_where_it_should_be_is_seen(
    release: Release, before: str | None, codes: list[str]
) -> None:
    outside = Outside(release)
    outside.current = before
    assert firing(outside.plan(pointers.move_current_links)) == codes


def test_the_way_back_of_current_is_where_it_led_before() -> None:
    outside = Outside(NEWEST)
    outside.current = "3.14.3"
    _, action = calls(outside.plan(pointers.move_current_links))[0]
    assert not isinstance(action.undo, str)
    assert action.undo.keywords == {"link": "current", "target": "3.14.3", "was": "3.14.4"}
    assert action.do.keywords == {"link": "current", "target": "3.14.4", "was": "3.14.3"}


@pytest.mark.parametrize(
    ("release", "there", "before"),
    [
        (NEWEST, ["3.14.3", "3.14.2", "3.13.12"], "3.14.3"),
        (NEWEST, ["3.14.1", "3.13.12"], "3.14.1"),  # 3.14.2 and 3.14.3 were skipped
        (FINAL, ["3.15.0rc1", "3.15.0rc3", "3.14.3"], "3.15.0rc3"),
        (FINAL, ["3.14.3"], None),
        (SECURITY, ["3.13.12"], None),
    ],
    ids=str,
)
def test_only_the_page_before_in_the_same_series_is_superseded(
    release: Release, there: list[str], before: str | None
) -> None:
    outside = Outside(release)
    outside.releases = {slug_of(Version.parse(one)): row_of(one) for one in there}
    items = outside.plan(pointers.supersede_pages)
    waits = [one for one in items if isinstance(one, Wait)]
    if before is None:
        assert (waits, firing(items)) == ([], [])
        return
    slug = slug_of(Version.parse(before))
    (wait,) = waits
    assert slug in wait.what
    assert not wait.ready
    assert wait.start is not None
    assert wait.start.keywords["subject"] == f"superseded: {slug}"
    outside.pages[slug] = f"<p>{superseded_text(before, release.version)}</p>"
    (after,) = [x for x in outside.plan(pointers.supersede_pages) if isinstance(x, Wait)]
    assert after.ready


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Python 3.13.13, product 9PNRBTZXMB4Z, submission 1152921505690000000\n", []),
        (
            "Python 3.13.12, product 9PNRBTZXMB4Z, submission 1152921505690000000",
            ["EVIDENCE_UNFIT"],
        ),
        (
            "Python 3.13.13, product 9NCVDN91XZQP, submission 1152921505690000000",
            ["EVIDENCE_UNFIT"],
        ),
        ("Python 3.13.13, product 9PNRBTZXMB4Z, submission pending", ["EVIDENCE_UNFIT"]),
        ("done", ["EVIDENCE_UNFIT"]),
    ],
)
def test_evidence_of_the_store_names_version_product_and_submission(
    text: str, codes: list[str]
) -> None:
    outside = Outside(OLDER)
    outside.testimony = text
    assert firing(outside.plan(pointers.confirm_store)) == codes


def test_from_3_14_on_nobody_is_asked_for_a_package_in_the_store() -> None:
    items = Outside(NEWEST).plan(pointers.confirm_store)
    assert [type(one) for one in items] == [Check]
    assert [type(one) for one in Outside(OLDER).plan(pointers.confirm_store)] == [Wait]


def test_a_file_that_is_missing_or_stale_is_seen() -> None:
    """I11, I12, I13, I16."""
    outside = Outside(OLDER)
    path, one = next(iter(outside.public.items()))
    outside.public[path] = one.model_copy(update={"sha256": "9" * 64})
    assert firing(outside.plan(publish.read_back)) == ["CDN_STALE"]
    del outside.public[path]
    assert firing(outside.plan(publish.read_back)) == ["NOT_PUBLIC"]


def test_a_page_that_does_not_lead_to_an_sbom_is_seen() -> None:
    outside = Outside(NEWEST)
    own, *_ = pages(NEWEST)
    outside.texts[own] = outside.texts[own].replace('tar.xz.spdx.json"', '"')
    assert firing(outside.plan(publish.read_back)) == ["PAGE_INCOMPLETE"]


@pytest.mark.parametrize(
    ("page", "code"),
    [
        ("/ftp/python/3.14.4/", "LISTING_STALE"),
        ("/ftp/python/doc/3.14.4/", "LISTING_STALE"),
        ("/downloads/release/python-3144/", "PAGE_INCOMPLETE"),
        ("/downloads/", "PAGE_INCOMPLETE"),
    ],
)
def test_a_page_that_does_not_list_the_release_is_seen(page: str, code: str) -> None:
    """I16, I26, I31: a stale listing, a release absent for days, pages without buttons."""
    outside = Outside(NEWEST)
    outside.texts[page] = "<p>python-31444</p>"
    assert firing(outside.plan(publish.read_back)) == [code]


@pytest.mark.parametrize("release", EVERY, ids=named)
def test_a_wrong_latest_is_seen(release: Release) -> None:
    """I25, I27."""
    outside = Outside(release)
    outside.latest["python3"] = "python-3199" if release.is_newest else release.slug
    assert firing(outside.plan(publish.read_back)) == ["LATEST_WRONG"]


@pytest.mark.parametrize("release", EVERY, ids=named)
def test_a_row_that_somebody_changed_is_seen(release: Release) -> None:
    outside = Outside(release)
    row = outside.releases[release.slug]
    for change in (
        {"is_published": False},
        {"show_on_download_page": not row.show_on_download_page},
    ):
        outside.releases[release.slug] = row.model_copy(update=change)
        assert firing(outside.plan(publish.read_back)) == ["API_DIVERGED"]


@pytest.mark.parametrize("release", EVERY, ids=named)
def test_a_wrong_current_is_seen(release: Release) -> None:
    outside = Outside(release)
    outside.current = "3.19.9" if release.is_newest else str(release.version)
    assert firing(outside.plan(publish.read_back)) == ["CURRENT_WRONG"]


@pytest.mark.parametrize(
    "unpacked", [None, Unpacked(sha256="9" * 64, files=9), Unpacked(sha256=sha("x"), files=0)]
)
def test_docs_that_are_missing_or_others_are_seen(unpacked: Unpacked | None) -> None:
    """I14, I15."""
    outside = Outside(SECURITY)
    outside.unpacked = unpacked
    assert firing(outside.plan(publish.read_back)) == ["DOCS_MISSING"]


@pytest.mark.parametrize(
    ("release", "stray"),
    [
        (SECURITY, "ftp/python/3.12.13/python-3.12.13-amd64.exe"),
        (NEWEST, "ftp/python/3.14.4/Python-3.14.4.tgz.asc"),
        (ALPHA, "ftp/python/doc/3.15.0a1/python-3.15.0a1-docs.epub"),
    ],
    ids=str,
)
def test_what_must_not_exist_is_looked_for(release: Release, stray: str) -> None:
    outside = Outside(release)
    outside.placed.add(stray)
    assert firing(outside.plan(publish.read_back)) == ["UNWANTED_FILE"]


def test_a_version_that_is_out_is_not_drafted_again() -> None:
    outside = Outside(ALPHA)
    outside.releases[ALPHA.slug] = row_of("3.15.0a1")
    assert firing(outside.plan(place.draft_website)) == ["ALREADY_PUBLISHED"]


def test_steps_without_a_way_back_say_so() -> None:
    """I47: files were published before steps that can fail."""
    without = {name for name, one in STEPS.items() if one.irreversible and one.phase == "Publish"}
    assert without == {"place-files", "unpack-docs", "publish-website"}


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("Python 3.14.4", Version(14, 4)),
        ("3.14.4", Version(14, 4)),
        ("Python install manager 26.3", None),
        ("", None),
        (None, None),
    ],
)
def test_a_version_is_read_from_the_name_of_a_row(name: str | None, version: Version) -> None:
    assert version_in(name) == version


def test_a_page_shows_a_text_when_all_its_words_are_there_in_order() -> None:
    text = "See [the *page*](https://www.python.org/x/) & more."
    assert shows("<h1>t</h1><p>See <a href='x'>the page</a> &amp; more.</p>", text)
    assert not shows("<p>more page the See</p>", text)
