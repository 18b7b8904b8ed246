"""Publish: stage, fill the site's draft, decide, then place and show."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from relkit.expected import FILE_MODE, docs_archive, folders
from relkit.kinds import where as kinds_where
from relkit.manifest import Manifest, public_paths
from relkit.plan import Action, Check, Evidence, Expect, Plan
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.freeze import still_frozen
from relkit.steps.prepare import blockers
from relkit.steps.sign import close_manifest, signed_files
from relkit.steps.site import (
    awaited_page,
    drafting,
    exact_rows,
    page_text,
    site_release,
    version_in,
)
from relkit.values import Artifact, StoredFile

PHASE = "Publish"
SERVER, SITE = "download server", "python.org"
HELD_BACK = kinds_where(publishes=True, embargoed=True)
SHOWN_EARLY = kinds_where(publishes=True, embargoed=False)


@step(phase=PHASE, where=SERVER, after=[close_manifest])
def upload_to_staging(release: Release, world: World, results: Results) -> Plan:
    """Upload to staging.

    Every file of the manifest goes to a folder of the download server that is not public; archives
    of the docs, where there are any, go to one of their own. The server computes each digest anew,
    and it must be the manifest's. What lies there can still be taken away.
    """
    yield from staging(release, world, signed_files(results))


def staging(release: Release, world: World, files: Iterable[Artifact]) -> Plan:
    """Yield what brings files to staging, all in one go."""
    there = stored(release, files)
    digests = {path: one.artifact.sha256 for path, one in there.items()}
    if there:
        yield Action(
            do=partial(world.downloads.stage_all, files=digests),
            done=Expect(partial(world.downloads.staged_all, paths=tuple(there)), equals=there),
            undo=partial(world.downloads.unstage_all, files=digests),
        )


def stored(release: Release, files: Iterable[Artifact]) -> dict[str, StoredFile]:
    """Return how files must lie on the server, by path below its root."""
    folder_of = folders(release)
    return {
        f"{folder_of[file.name]}/{file.name}": StoredFile(artifact=file, mode=FILE_MODE)
        for file in files
    }


@step(phase=PHASE, where=SITE, after=[close_manifest], kinds=SHOWN_EARLY)
def draft_website(release: Release, world: World, results: Results) -> Plan:
    """Fill the site's draft.

    A draft release and all its file rows; then the site must show exactly these. A draft is in no
    list, but whoever guesses its address can see it. The page's text cannot be set through the
    site's interface: the web editor gets it as a draft and puts it in. All of it can still be taken
    away.
    """
    yield from drafting(release, world, results[close_manifest])


@step(phase=PHASE, where=SITE, after=[upload_to_staging, draft_website], gate="publish")
def approve_publication(release: Release, world: World, results: Results) -> Plan:
    """Decide to publish.

    **The way back ends here.** What is approved is the manifest with every file and signature by
    digest, and the text of the page. The files lie in staging, and the site's draft is filled
    unless it is held back until they are out; both were read back from there. Builds and approvals
    can have taken days: what blocks a release is asked once more. Have an hour or two before you
    approve; after this, a mistake is mended by another release.
    """
    manifest = results[close_manifest]
    text = page_text(release, world, manifest)
    if not release.facts.embargoed:
        wait = awaited_page(release, world, text)
        yield wait
        if not wait.ready:
            return
        yield exact_rows(release, world, manifest)
    yield still_frozen(release, world, results)
    yield from (one for one in blockers(release, world) if not one.warns)
    yield from in_staging(release, world, manifest.files)
    yield Evidence("Page text", text, language="markdown")
    yield Evidence("Manifest", manifest.to_text(), language="json")
    yield from manifest.files


def in_staging(release: Release, world: World, files: Iterable[Artifact]) -> Plan:
    """Yield the checks that files lie in staging as they are meant."""
    wanted = stored(release, files)
    found = world.downloads.staged_all(paths=tuple(wanted))
    for path, one in wanted.items():
        staged = found[path]
        yield Check(
            f"{one.artifact.name} lies in staging with its digest",
            staged is not None and staged.artifact == one.artifact,
            found=str(staged and staged.artifact.sha256),
            code="DIGEST_CHANGED",
            remedy="Upload it again; find out who changed it.",
        )


@step(phase=PHASE, where=SERVER, after=[approve_publication], irreversible=True)
def place_files(release: Release, world: World, results: Results) -> Plan:
    """Place the files.

    Each file moves from staging to its public folder in one step, and never over another one; then
    the server is asked for its digest and mode again. The files are public from here on, and a
    published file is never replaced or taken back. If it stops in the middle, run the cell again.
    """
    yield from placing(release, world, signed_files(results))


def placing(release: Release, world: World, files: Iterable[Artifact]) -> Plan:
    """Yield what moves files from staging to the public folders, each in one step."""
    there = stored(release, files)
    if there:
        digests = {path: one.artifact.sha256 for path, one in there.items()}
        yield Action(
            do=partial(world.downloads.place_all, files=digests),
            done=Expect(partial(world.downloads.placed_all, paths=tuple(there)), equals=there),
            undo="a published file is never taken back",
        )


@step(
    phase=PHASE,
    where="docs server",
    after=[place_files],
    kinds=kinds_where(docs=True),
    irreversible=True,
)
def unpack_docs(release: Release, world: World, results: Results) -> Plan:
    """Unpack the docs.

    The archive with the HTML pages, by its digest in the manifest, becomes `release/VERSION/` on
    the docs server: whole or not at all, and never over another one. What docs.python.org shows for
    the series is built by the docs server itself, within a day.
    """
    version, name = str(release.version), docs_archive(release)
    archive = next(one for one in results[close_manifest].subjects if one.name == name)
    yield Action(
        do=partial(world.docs.unpack, version=version, name=name, sha256=archive.sha256),
        done=Expect(partial(world.docs.unpacked, version=version), has={"sha256": archive.sha256}),
        undo="published docs stay",
    )


@step(phase=PHASE, where=SITE, after=[place_files], kinds=HELD_BACK)
def fill_website(release: Release, world: World, results: Results) -> Plan:
    """Fill the site, held back until now.

    What this release fixes was not public before, and whoever guesses the address of a draft can
    see it. So the row, the file rows and the text are made only now that the files are out, as they
    were approved. Until the page is published, people find the files only in their folder: go on at
    once.
    """
    yield from drafting(release, world, results[close_manifest])


@step(
    phase=PHASE,
    where=SITE,
    after=[place_files, unpack_docs, fill_website],
    irreversible=True,
)
def publish_website(release: Release, world: World, results: Results) -> Plan:
    """Publish the page.

    The draft becomes public in one call, when every file is already there and the page shows the
    approved text. Only then does a stable release of the newest series become what the site offers
    first: the site takes that mark from the one before. A pre-release and an older series never get
    it. Then the caches are asked to forget what they knew, also that something was *not* there.
    """
    manifest = results[close_manifest]
    yield awaited_page(release, world, page_text(release, world, manifest))
    yield exact_rows(release, world, manifest)
    row = site_release(release, published=True)
    there = partial(world.website.release, slug=release.slug)
    yield Action(
        do=partial(world.website.publish, slug=release.slug),
        done=Expect(there, has=row.model_dump(exclude={"is_latest"})),
        undo="a published release stays published",
    )
    if release.facts.stable:
        yield _offered_first(release, world)
    if release.is_newest:
        latest = site_release(release, published=True, latest=True)
        yield Action(
            do=partial(world.website.change_release, slug=release.slug, release=latest),
            done=Expect(there, equals=latest),
            undo="the mark goes on to the next release",
        )
    yield purging(release, world, manifest)


def purging(release: Release, world: World, manifest: Manifest) -> Action:
    """Return the action that lets caches forget all a release is seen by."""
    paths = public_paths(release, manifest)
    return Action(
        do=partial(world.public.purge, paths=paths),
        done=Expect(partial(world.public.purged, paths=paths)),
        undo="a cache fills itself again",
    )


def _offered_first(release: Release, world: World) -> Check:
    """Return the check that what the site offers first fits the dates which relkit came with.

    Where a first release was put off, the series before it is still the newest one; by the dates
    alone its release would not be offered. (I27: for days the site offered an older one.)
    """
    slug = world.website.latest(series="python3")
    row = world.website.release(slug=slug) if slug else None
    offered = version_in(row.name if row else None)
    if release.is_newest:
        words = f"nothing newer than {release.version}"
        fits = offered <= release.version if offered else None if slug else True
    else:
        words = f"a newer series than {release.version.series}"
        fits = offered.minor > release.version.minor if offered else None
    return Check(
        f"the site offers {words} first",
        fits,
        found=str(slug),
        code="LATEST_UNFIT",
        remedy="Correct release-cycle.toml: another series is the newest one.",
    )
