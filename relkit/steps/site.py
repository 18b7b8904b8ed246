"""What python.org shows of a release: its row, the rows of its files, its page."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from functools import partial

from relkit.errors import UsageError
from relkit.manifest import Manifest, site_files
from relkit.plan import Action, Check, Expect, Plan, Wait
from relkit.ports import World
from relkit.release import Release, Version
from relkit.steps.prepare import message
from relkit.texts import text_for
from relkit.values import SiteRelease

WITHIN = timedelta(hours=24)


def site_release(release: Release, *, published: bool = False, latest: bool = False) -> SiteRelease:
    """Return the site's row for the release, every field explicit.

    Only what is published may be `latest`: the site takes the mark from the release that has it
    as soon as another row is saved with it, be that a draft.
    """
    return SiteRelease(
        name=f"Python {release.version}",
        slug=release.slug,
        version=3,
        is_published=published,
        is_latest=latest,
        pre_release=bool(release.version.suffix),
        show_on_download_page=not release.version.suffix,
        release_date=release.time,
    )


def version_in(name: str | None) -> Version | None:
    """Return the version in the name of a row or link; None for anything else."""
    try:
        return Version.parse((name or "").removeprefix("Python "))
    except UsageError:
        return None


def slug_of(version: Version) -> str:
    """Return the name of a version's page in addresses of the site."""
    return "python-" + str(version).replace(".", "")


def page_text(release: Release, world: World, manifest: Manifest) -> str:
    """Return the text of the release's page, Markdown."""
    manager = world.policy.person("release-manager")
    return text_for("page", release, manifest, manager, rehearsal=world.rehearsal)


def drafting(release: Release, world: World, manifest: Manifest) -> Plan:
    """Yield what makes the draft: the release's row, the rows of its files, the page's text."""
    there = world.website.release(slug=release.slug)
    yield Check(
        f"the site has no published {release.slug}",
        there is None or not there.is_published,
        found=str(there or ""),
        code="ALREADY_PUBLISHED",
        remedy="This version is out already; look at the site.",
    )
    row = site_release(release)
    remove = partial(world.website.remove_release, slug=release.slug)
    yield Action(
        do=partial(world.website.add_release, release=row),
        done=Expect(partial(world.website.release, slug=release.slug), equals=row),
        undo=remove,
    )
    files = site_files(release, manifest)
    yield Action(
        do=partial(world.website.add_files, slug=release.slug, files=files),
        done=Expect(partial(world.website.files, slug=release.slug), equals=files),
        undo=remove,  # the rows go with the draft
    )
    yield from texting(release, world, page_text(release, world, manifest))


def texting(release: Release, world: World, text: str) -> Plan:
    """Yield what gets the page's text to the web editor: the interface cannot set it."""
    yield Action(
        do=partial(world.announcements.draft, channel="page", text=text),
        done=Expect(partial(world.announcements.drafted, channel="page"), equals=text),
        undo=partial(world.announcements.draft, channel="page", text=""),
    )
    words = f"Please put the draft text into the page of {release.slug}."
    yield from message(world, "page-text", "page text", words, "web-editor")


def awaited_page(release: Release, world: World, text: str, without: str = "") -> Wait:
    """Return the wait for the web editor; over once the page shows the whole text.

    What the page said before and must not say any more is `without`.
    """
    page = world.website.page(slug=release.slug)
    ready = page is not None and shows(page, text) and not (without and says(page, without))
    return Wait("the page's text", "web-editor", WITHIN, ready=ready)


def exact_rows(release: Release, world: World, manifest: Manifest) -> Check:
    """Return the check that the site's rows are the manifest's, none missing, none more."""
    rows = world.website.files(slug=release.slug)
    return Check(
        "the site has exactly the rows of the manifest",
        rows == site_files(release, manifest),
        found=f"{len(rows)} rows",
        code="API_DIVERGED",
        remedy="Compare the rows with the manifest; somebody else may be editing them.",
    )


def shows(page: str, text: str) -> bool:
    """Tell whether an HTML page shows all words of a Markdown text, in order."""
    without_links = re.sub(r"\]\([^)]*\)", "]", text)
    words = re.findall(r"\w+", without_links)
    seen = iter(_words(page))
    return all(word in seen for word in words)


def says(page: str, sentence: str) -> bool:
    """Tell whether an HTML page has the words of a sentence, one after the other."""
    wanted, found = (" ".join(_words(text)) for text in (sentence, page))
    return f" {wanted} " in f" {found} "


def _words(page: str) -> list[str]:
    return re.findall(r"\w+", html.unescape(re.sub(r"<[^<>]*>", " ", page)))
