"""Read back: what the public gets is what was approved, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relkit.expected import docs_archive, folders, pages, unwanted
from relkit.manifest import Manifest, site_files
from relkit.plan import Check, Plan
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.place import PHASE, publish_website, unpack_docs
from relkit.steps.pointers import CURRENT, move_current_links
from relkit.steps.sign import close_manifest
from relkit.steps.site import site_release
from relkit.steps.source import tag_release
from relkit.values import Artifact, Tag
from relkit.words import in_words

OK = 200


@step(phase=PHASE, where="public", after=[publish_website, unpack_docs, move_current_links])
def read_back(release: Release, world: World, results: Results) -> Plan:
    """Read everything back.

    Every public address is fetched without credentials, through the cache: each file must have the
    manifest's bytes, the folders and the pages must list it, and what the site offers first must be
    what it should be. What must not exist is looked for as well. If a cache is behind, have the
    address purged and run the cell again; go on only when all of it is right.
    """
    manifest = results[close_manifest]
    yield from public_files(release, world, manifest.files)
    yield from listed(release, world, manifest, first=release.is_newest)
    yield from _pointers(release, world)
    yield from _docs(release, world, manifest)
    yield nothing_else(release, world)


def public_files(release: Release, world: World, files: Iterable[Artifact]) -> Plan:
    """Yield the checks that anybody gets the right bytes of files."""
    folder_of = folders(release)
    for file in files:
        got = world.public.fetch(path=f"/{folder_of[file.name]}/{file.name}")
        yield Check(
            f"{file.name} is public with its digest",
            (got.status, got.size, got.sha256) == (OK, file.size, file.sha256),
            found=f"status {got.status}, {got.size} bytes, {got.sha256}",
            code="CDN_STALE" if got.status == OK else "NOT_PUBLIC",
            remedy="Compare with the origin; purge that address and look again.",
        )


def nothing_else(release: Release, world: World) -> Check:
    """Return the check that nothing is public which would be taken for the release's."""
    paths = tuple(f"{folder}/{name}" for folder, name in unwanted(release))
    strays = [path for path, one in world.downloads.placed_all(paths=paths).items() if one]
    return Check(
        "nothing is public that must not be",
        not strays,
        found=", ".join(strays),
        code="UNWANTED_FILE",
        remedy="Find out who put it there; have it removed, and purge its address.",
    )


def listed(release: Release, world: World, manifest: Manifest, *, first: bool = False) -> Plan:
    """Yield the checks that folders and pages lead to every file of a manifest.

    The site has a page for each system, too (I26). What it offers `first` has its download buttons
    on the page of all downloads (I31: for days they led nowhere).
    """
    folder_of = folders(release)
    for folder in sorted({folder_of[file.name] for file in manifest.files}):
        names = [file.name for file in manifest.files if folder_of[file.name] == folder]
        yield _names(world, f"/{folder}/", names, "LISTING_STALE")
    own, *others = pages(release)
    rows = site_files(release, manifest)
    links = [x for row in rows for x in (row.url, row.sbom_spdx2_file)]
    names = [link.rpartition("/")[2] for link in links if link]
    yield _names(world, own, names, "PAGE_INCOMPLETE")
    buttons = [row.url.rpartition("/")[2] for row in rows if first and row.download_button]
    for page in others:
        yield _names(world, page, [own, *buttons], "PAGE_INCOMPLETE")
    for system in sorted({row.os for row in rows}):
        names = [row.url.rpartition("/")[2] for row in rows if row.os == system]
        yield _names(world, f"/downloads/{system}/", [own, *names], "PAGE_INCOMPLETE")


def _names(world: World, path: str, wanted: list[str], code: str) -> Check:
    """Return the check that a page has links to everything wanted; each ends with its name."""
    text = world.public.read(path=path)
    missing = [one for one in wanted if f'{one}"' not in text]
    return Check(
        f"{path} lists everything",
        not missing,
        found=", ".join(missing),
        code=code,
        remedy="Look at the page; purge it, and look again.",
    )


def _pointers(release: Release, world: World) -> Iterator[Check]:
    row = world.website.release(slug=release.slug)
    yield Check(
        f"the site's row of {release.slug} is what was published",
        row is not None and row == site_release(release, published=True, latest=row.is_latest),
        found=in_words(row and row.model_dump(mode="json")),
        code="API_DIVERGED",
        remedy="Find out who changed it, and have it put right.",
    )
    latest = world.website.latest(series="python3")
    words = "" if release.is_newest else "not "
    yield Check(
        f"{release.slug} is {words}offered as the latest Python 3",
        (latest == release.slug) == release.is_newest,
        found=in_words(latest),
        code="LATEST_WRONG",
        remedy="Have is_latest corrected on the site at once.",
    )
    series = f"python{release.version.series}"
    if release.facts.stable:
        newest = world.website.latest(series=series)
        yield Check(
            f"{release.slug} is offered as the latest {series}",
            newest == release.slug,
            found=in_words(newest),
            code="LATEST_WRONG",
            remedy="Compare the dates of the releases of the series on the site.",
        )
    else:
        for name in ("prerelease", series):
            yield _not_older(release, world, name)


def _not_older(release: Release, world: World, series: str) -> Check:
    """Return the check that a preview is offered, unless something newer is.

    The site goes by dates there, previews of a series and releases of it alike.
    """
    latest = world.website.latest(series=series)
    row = world.website.release(slug=latest) if latest else None
    return Check(
        f"nothing older than {release.slug} is offered as the latest {series}",
        row is not None and (row.slug == release.slug or row.release_date >= release.time),
        found=in_words(latest),
        code="LATEST_WRONG",
        remedy="Compare the dates of the releases on the site; have its cache forget the page.",
    )


def _docs(release: Release, world: World, manifest: Manifest) -> Iterator[Check]:
    if release.facts.docs:
        name = docs_archive(release)
        archive = next(one for one in manifest.subjects if one.name == name)
        found = world.docs.unpacked(version=str(release.version))
        yield Check(
            "the docs server has the unpacked docs",
            found is not None and found.sha256 == archive.sha256 and found.files > 0,
            found=in_words(found and found.model_dump(mode="json")),
            code="DOCS_MISSING",
            remedy="Look at the release's folder on the docs server.",
        )
    pointed = world.docs.pointed(link=CURRENT)
    words = "" if release.is_newest else "not "
    yield Check(
        f"{CURRENT} does {words}lead to {release.version}",
        (pointed == str(release.version)) == release.is_newest,
        found=in_words(pointed),
        code="CURRENT_WRONG",
        remedy="Have the link put to the newest stable release.",
    )


def published_tag(release: Release, world: World, results: Results) -> Plan:
    """Yield the checks that upstream has the release's tag, signed, on the release commit."""
    yield from tag_upstream(release, world, results[tag_release])


def tag_upstream(release: Release, world: World, tag: Tag) -> Plan:
    """Yield the checks that upstream has this tag, signed, on a commit of the branch."""
    found, commit = world.repo.remote_tag(remote="upstream", name=release.tag), tag.commit
    yield Check(
        f"upstream has {release.tag} on {commit}, signed by the policy's key",
        found == tag and found.signer == world.policy.gpg_fingerprint,
        found=in_words(found and found.model_dump(mode="json")),
        code="UPSTREAM_DIVERGED",
        remedy="Compare the tag object upstream with the record.",
    )
    yield Check(
        f"{release.branch} of upstream contains {commit}",
        world.repo.contains(remote="upstream", branch=release.branch, commit=commit),
        code="UPSTREAM_DIVERGED",
        remedy="Compare the branch upstream with the record.",
    )
