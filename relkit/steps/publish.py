"""Publish: stage, fill the site's draft, decide, then place and show."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from functools import partial

from relkit.manifest import Manifest, public_paths, site_files
from relkit.plan import Action, Check, Evidence, Expect, Plan, Wait
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.prepare import message, still_frozen
from relkit.steps.sign import close_manifest, signed_files
from relkit.steps.source import commit_release, tag_release
from relkit.texts import text_for
from relkit.values import SiteRelease

PHASE = "Publish"
SERVER, SITE = "download server", "python.org"
FILE_MODE = "0644"


@step(phase=PHASE, where=SERVER, after=[close_manifest])
def upload_to_staging(release: Release, world: World, results: Results) -> Plan:
    """Upload to staging.

    Every file of the manifest goes to a folder of the download server that is not public. The
    server computes each digest anew, and it must be the manifest's.
    """
    for file in signed_files(results):
        where = {"folder": release.folder, "name": file.name}
        yield Action(
            do=partial(world.downloads.stage, **where, sha256=file.sha256),
            done=Expect(partial(world.downloads.staged, **where), has={"artifact": file}),
            undo=partial(world.downloads.unstage, **where, sha256=file.sha256),
        )


@step(phase=PHASE, where=SITE, after=[close_manifest])
def draft_website(release: Release, world: World, results: Results) -> Plan:
    """Fill the site's draft.

    A draft release and all its file rows, read back one by one. A draft is in no list, but who
    guesses its address can see it. The page's text cannot be set through the site's interface:
    the web editor gets it as a draft and puts it in.
    """
    manifest = results[close_manifest]
    row = site_release(release)
    there = world.website.release(slug=release.slug)
    yield Check(
        f"the site has no published {release.slug}",
        there is None or not there.is_published,
        found=str(there or ""),
        code="ALREADY_PUBLISHED",
        remedy="This version is out already; look at the site.",
    )
    yield Action(
        do=partial(world.website.add_release, release=row),
        done=Expect(partial(world.website.release, slug=release.slug), equals=row),
        undo=partial(world.website.remove_release, slug=release.slug),
    )
    for file in site_files(release, manifest):
        yield Action(
            do=partial(world.website.add_file, file=file),
            done=Expect(partial(world.website.file, slug=file.slug), equals=file),
            undo="the row goes with the draft",
        )
    text = page_text(release, world, manifest)
    yield Action(
        do=partial(world.announcements.draft, channel="page", text=text),
        done=Expect(partial(world.announcements.drafted, channel="page"), equals=text),
        undo="a draft is seen by nobody but its poster",
    )
    words = f"Please put the draft text into the page of {release.slug}."
    yield from message(world, "page-text", "page text", words, "web-editor")


def site_release(release: Release, *, published: bool = False) -> SiteRelease:
    """Return the site's row for the release, every field explicit."""
    return SiteRelease(
        name=f"Python {release.version}",
        slug=release.slug,
        version=3,
        is_published=published,
        is_latest=False,
        pre_release=bool(release.version.suffix),
        show_on_download_page=not release.version.suffix,
        release_date=release.time,
    )


def page_text(release: Release, world: World, manifest: Manifest) -> str:
    """Return the text of the release's page, Markdown."""
    manager = world.policy.person("release-manager")
    return text_for("page", release, manifest, manager, rehearsal=world.rehearsal)


@step(phase=PHASE, where=SITE, after=[upload_to_staging, draft_website], gate="publish")
def approve_publication(release: Release, world: World, results: Results) -> Plan:
    """Decide to publish.

    **The way back ends here.** What is approved is the manifest with every file and signature by
    digest, and the text of the page. All of it lies in staging and in the site's draft, and was
    read back from there. After this, a mistake is mended by another release.
    """
    manifest = results[close_manifest]
    text = page_text(release, world, manifest)
    page = world.website.page(slug=release.slug)
    shown = page is not None and shows(page, text)
    yield Wait("the page's text", "web-editor", timedelta(hours=24), ready=shown)
    if not shown:
        return
    yield still_frozen(release, world, results)
    for file in manifest.files:
        staged = world.downloads.staged(folder=release.folder, name=file.name)
        yield Check(
            f"{file.name} lies in staging with its digest",
            staged is not None and staged.artifact == file,
            found=str(staged and staged.artifact.sha256),
            code="DIGEST_CHANGED",
            remedy="Upload it again; find out who changed it.",
        )
    rows = world.website.files(slug=release.slug)
    yield Check(
        "the site's draft has exactly the rows of the manifest",
        rows == site_files(release, manifest),
        found=f"{len(rows)} rows",
        code="API_DIVERGED",
        remedy="Compare the draft with the manifest; somebody else may be editing it.",
    )
    yield Evidence("Page text", text, language="markdown")
    yield Evidence("Manifest", manifest.to_text(), language="json")
    yield from manifest.files


def shows(page: str, text: str) -> bool:
    """Tell whether an HTML page shows all words of a Markdown text, in order."""
    without_links = re.sub(r"\]\([^)]*\)", "]", text)
    words = re.findall(r"\w+", without_links)
    seen = iter(re.findall(r"\w+", html.unescape(re.sub(r"<[^>]*>", " ", page))))
    return all(word in seen for word in words)


@step(phase=PHASE, where=SERVER, after=[approve_publication])
def place_files(release: Release, world: World, results: Results) -> Plan:
    """Place the files.

    Each file moves from staging to the public folder in one step, and never over another one;
    then the server is asked for its digest and mode again. The files are public from here on.
    """
    for file in signed_files(results):
        where = {"folder": release.folder, "name": file.name}
        yield Action(
            do=partial(world.downloads.place, **where, sha256=file.sha256),
            done=Expect(
                partial(world.downloads.placed, **where), has={"artifact": file, "mode": FILE_MODE}
            ),
            undo="a published file is never taken back",
        )


@step(phase=PHASE, where=SITE, after=[place_files])
def publish_website(release: Release, world: World, results: Results) -> Plan:
    """Publish the page.

    The draft becomes public in one call, when every file is already there. Then the caches are
    asked to forget what they knew, also that something was *not* there.
    """
    yield Action(
        do=partial(world.website.publish, slug=release.slug),
        done=Expect(
            partial(world.website.release, slug=release.slug),
            equals=site_release(release, published=True),
        ),
        undo="a published release stays published",
    )
    paths = public_paths(release, results[close_manifest])
    yield Action(
        do=partial(world.public.purge, paths=paths),
        done=Expect(partial(world.public.purged, paths=paths)),
        undo="a cache fills itself again",
    )


@step(phase=PHASE, where="public", after=[publish_website])
def read_back(release: Release, world: World, results: Results) -> Plan:
    """Read everything back.

    Every public address is fetched without credentials, through the cache: each file must have
    the manifest's bytes, the page must list it, and an alpha must not be offered as the latest
    Python.
    """
    manifest = results[close_manifest]
    for file in manifest.files:
        got = world.public.fetch(path=f"/{release.folder}/{file.name}")
        yield Check(
            f"{file.name} is public with its digest",
            (got.status, got.size, got.sha256) == (200, file.size, file.sha256),
            found=f"status {got.status}, {got.size} bytes, {got.sha256}",
            code="CDN_STALE" if got.status == OK else "NOT_PUBLIC",
            remedy="Compare with the origin; purge that address and look again.",
        )
    page = world.public.read(path=f"/downloads/release/{release.slug}/")
    unlisted = [one.name for one in manifest.subjects if one.name not in page]
    yield Check(
        "the page lists every file",
        not unlisted,
        found=", ".join(unlisted),
        code="PAGE_INCOMPLETE",
        remedy="Look at the page and its rows.",
    )
    latest = world.website.latest(series="python3")
    yield Check(
        f"{release.slug} is not offered as the latest Python 3",
        latest != release.slug,
        found=str(latest),
        code="LATEST_WRONG",
        remedy="Have is_latest corrected on the site at once.",
    )


OK = 200


def published_tag(release: Release, world: World, results: Results) -> Plan:
    """Yield the checks that upstream has the release's tag, signed, on the release commit."""
    tag = world.repo.remote_tag(remote="upstream", name=release.tag)
    commit = results[commit_release].commit
    yield Check(
        f"upstream has {release.tag} on {commit}, signed by the policy's key",
        tag == results[tag_release] and tag.signer == world.policy.gpg_fingerprint,
        found=str(tag),
        code="UPSTREAM_DIVERGED",
        remedy="Compare the tag object upstream with the record.",
    )
    yield Check(
        f"{release.branch} of upstream contains {commit}",
        world.repo.contains(remote="upstream", branch=release.branch, commit=commit),
        code="UPSTREAM_DIVERGED",
        remedy="Compare the branch upstream with the record.",
    )
