"""Amendment: the late files are staged, decided on, placed, shown and read back."""

from __future__ import annotations

from functools import partial

from relkit.kinds import AMENDMENTS
from relkit.manifest import Manifest, folder_of, schemes, site_files
from relkit.plan import Action, Check, Evidence, Expect, Plan
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.amend import (
    PHASE,
    about,
    close_amendment,
    collect_late,
    file_of,
    find_missing,
    published,
    tag_of,
)
from relkit.steps.place import SERVER, SITE, in_staging, placing, purging, staging
from relkit.steps.publish import listed, nothing_else, public_files, tag_upstream
from relkit.steps.sign import LATER, signed
from relkit.steps.site import awaited_page, exact_rows, page_text, says, texting
from relkit.values import Artifact


def late_files(results: Results) -> tuple[Artifact, ...]:
    """Return what is to be published: the late files and their signatures, in order of name."""
    there = results[find_missing].files
    return tuple(file for file in results[close_amendment].files if file not in there)


@step(phase=PHASE, where=SERVER, after=[close_amendment], kinds=AMENDMENTS)
def upload_late(release: Release, world: World, results: Results) -> Plan:
    """Upload the late files to staging.

    Only what comes anew, with its signatures, to the folder that is not public.
    """
    yield from staging(release, world, late_files(results))


@step(phase=PHASE, where=SITE, after=[upload_late], gate="publish", kinds=AMENDMENTS)
def approve_amendment(release: Release, world: World, results: Results) -> Plan:
    """Decide to publish the late files.

    **The way back ends here.** What is approved is the amendment with every file by digest, and
    the page's text, which no longer says that something will follow. The late files lie in
    staging, and the release is still published as it was.
    """
    first, amended = results[find_missing], results[close_amendment]
    of, late = about(release, first), late_files(results)
    yield published(of, world)
    yield exact_rows(of, world, first)
    yield from in_staging(of, world, late)
    yield from _amendment_signed(release, world, amended)
    yield Evidence("Page text", page_text(of, world, amended), language="markdown")
    yield Evidence("Amendment", amended.to_text(), language="json")
    yield from (file_of(amended), *late)


def _amendment_signed(release: Release, world: World, amended: Manifest) -> Plan:
    yield from signed(world, [(scheme, file_of(amended)) for scheme in schemes(release)])


@step(
    phase=PHASE,
    where=SERVER,
    after=[approve_amendment],
    kinds=AMENDMENTS,
    irreversible=True,
)
def place_late(release: Release, world: World, results: Results) -> Plan:
    """Place the late files.

    Each moves to its public folder in one step, and never over another one. What was public
    before is not touched.
    """
    yield from placing(release, world, late_files(results))


@step(phase=PHASE, where=SITE, after=[place_late], kinds=AMENDMENTS, irreversible=True)
def add_rows(release: Release, world: World, results: Results) -> Plan:
    """Add the rows of the late files.

    To the release that is published already; its own row stays as it is. Only what differs from the
    rows of before is written, and none of those is away in between; then all are read back. The
    record keeps the way back, which nothing takes by itself. The web editor gets the page's new
    text.
    """
    first, amended = results[find_missing], results[close_amendment]
    of = about(release, first)
    there, files = site_files(of, first), site_files(of, amended)
    change = partial(world.website.change_files, slug=of.slug)
    yield Action(
        do=partial(change, before=there, files=files),
        done=Expect(partial(world.website.files, slug=of.slug), equals=files),
        undo=partial(change, before=files, files=there),
    )
    yield from texting(of, world, page_text(of, world, amended))


@step(phase=PHASE, where=SITE, after=[add_rows], kinds=AMENDMENTS, irreversible=True)
def show_late(release: Release, world: World, results: Results) -> Plan:
    """Show the late files.

    When the page has the approved text, and no longer says that something will follow, the caches
    are asked to forget what they knew, also that these files were *not* there.
    """
    amended = results[close_amendment]
    of = about(release, amended)
    yield awaited_page(of, world, page_text(of, world, amended), without=LATER)
    yield exact_rows(of, world, amended)
    yield purging(of, world, amended)


@step(phase=PHASE, where="public", after=[show_late], kinds=AMENDMENTS)
def read_back_late(release: Release, world: World, results: Results) -> Plan:
    """Read the whole release back.

    As anybody gets it, through the cache: all files of the amended manifest by digest, those of
    before too; the late ones with their signatures verified as a stranger would; listings, page
    and rows complete, and nothing public that must not be.
    """
    amended = results[close_amendment]
    of = about(release, amended)
    yield from public_files(of, world, amended.files)
    for subject in results[collect_late].files:
        companions = amended.companions_of(subject)
        path = f"/{folder_of(of, subject.name)}/{subject.name}"
        yield Check(
            f"{subject.name} and its signatures verify from the public side",
            world.public.verify(path=path, subject=subject, companions=companions),
            found=", ".join(companion.identity for companion in companions),
            code="PUBLIC_DIFFERS",
            remedy="Compare what is public with the amendment, file by file.",
        )
    yield from listed(of, world, amended)
    page = world.website.page(slug=of.slug)
    yield Check(
        "the page no longer says that something will follow",
        page is not None and not says(page, LATER),
        code="PAGE_STALE",
        remedy="Have the approved text put into the page; purge it, and look again.",
    )
    yield published(of, world)
    yield exact_rows(of, world, amended)
    yield from tag_upstream(of, world, tag_of(of, world, amended))
    yield nothing_else(of, world)
    yield from _amendment_signed(release, world, amended)
