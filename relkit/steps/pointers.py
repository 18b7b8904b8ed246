"""After the publication: the links, pages and stores that point to the release."""

from __future__ import annotations

import re
from functools import partial

from relkit.expected import STORE_PRODUCTS
from relkit.kinds import where as kinds_where
from relkit.plan import Action, Check, Expect, Plan, Wait
from relkit.ports import World
from relkit.release import Release, Version
from relkit.step import Results, step
from relkit.steps.manual import manual
from relkit.steps.place import PHASE, SERVER, publish_website, unpack_docs
from relkit.steps.site import WITHIN, shows, slug_of, version_in
from relkit.texts import superseded_text

CURRENT = "current"
DOCS = "ftp/python/doc"
STABLE = kinds_where(stable=True)
CANDIDATES = 9
"""How many candidates of a version are looked for; there were three at most."""


@step(phase=PHASE, where=SERVER, after=[unpack_docs, publish_website], kinds=STABLE)
def move_current_links(release: Release, world: World, _results: Results) -> Plan:
    """Move the current link.

    `current` among the docs archives leads to the newest stable release. A release of an older
    series leaves it where it is: then it is only looked at.
    """
    version = str(release.version)
    before = world.docs.pointed(link=CURRENT)
    if not release.is_newest:
        yield Check(
            f"{CURRENT} does not lead to {version}",
            before != version,
            found=before or "no such link",
            code="CURRENT_WRONG",
            remedy="Have the link put back to the newest stable release.",
        )
        return
    known = version_in(before)
    yield Check(
        f"{CURRENT} leads to nothing newer than {version}",
        known <= release.version if known else None if before else True,
        found=before or "no such link",
        code="CURRENT_NEWER",
        remedy="Correct release-cycle.toml: this series is not the newest one any more.",
    )
    point = partial(world.docs.point, link=CURRENT)
    back = partial(point, target=before, was=version) if before else "there was none"
    yield Action(
        do=partial(point, target=version, was=before),
        done=Expect(partial(world.docs.pointed, link=CURRENT), equals=version),
        undo=back,
    )
    paths = (f"/{DOCS}/", f"/{DOCS}/{CURRENT}/")
    yield Action(
        do=partial(world.public.purge, paths=paths),
        done=Expect(partial(world.public.purged, paths=paths)),
        undo="a cache fills itself again",
    )


@step(phase=PHASE, where="python.org", after=[publish_website], kinds=STABLE, actor="web-editor")
def supersede_pages(release: Release, world: World, _results: Results) -> Plan:
    """Mark the page before as superseded.

    The page of the release before in the same series, or of the last candidate, gets a note that
    leads here. The site cannot do that through its interface: the web editor puts the note at the
    top of that page, and it is looked for there. Pages of other series are not touched. Nothing but
    the end of the run waits for it.
    """
    before = predecessor(release, world)
    if before is None:
        yield Check(f"no earlier {release.version.series} has a page to be marked", ok=True)
        return
    slug, nonce = slug_of(before), f"{world.nonce}-superseded"
    note = superseded_text(before, release.version)
    page = world.website.page(slug=slug)
    tell = partial(
        world.people.tell,
        nonce=nonce,
        subject=f"superseded: {slug}",
        text=note,
        roles=("web-editor",),
    )
    ready = page is not None and shows(page, note)
    start = None if ready or world.people.told(nonce=nonce) else tell
    yield Wait(f"the note on {slug}", "web-editor", WITHIN, ready=ready, start=start)


def predecessor(release: Release, world: World) -> Version | None:
    """Return the published release before in the series, or its last published candidate."""
    version = release.version
    if version.micro:
        before = [Version(version.minor, micro) for micro in reversed(range(version.micro))]
    else:
        before = [Version(version.minor, 0, "rc", n) for n in range(CANDIDATES, 0, -1)]
    for one in before:
        row = world.website.release(slug=slug_of(one))
        if row and row.is_published and version_in(row.name) == one:
            return one
    return None


@step(
    phase=PHASE,
    where="Windows Store",
    after=[publish_website],
    kinds=kinds_where(stable=True, installers=True),
    actor="windows-expert",
)
def confirm_store(release: Release, world: World, _results: Results) -> Plan:
    """Confirm the Windows Store.

    The Windows expert submits the package to the store by hand, and says so with the version, the
    product and the number of the submission. Certification there takes hours to days; nothing waits
    for it. From 3.14 on there is no package of Python itself in the store: its install manager is
    there, which finds new versions by itself.
    """
    series, product = release.version.series, STORE_PRODUCTS.get(release.version.minor)
    if product is None:
        yield Check(f"Python {series} has no package of its own in the Windows Store", ok=True)
        return
    ask = f"Please submit Python {release.version} to the Windows Store as the product {product}."
    answer = f"Python {release.version}, product {product}, submission 1152921505690000000"
    given = yield from manual(world, "windows-store", "windows-expert", ask, answer)
    if given is None:
        return
    said = re.fullmatch(r"Python (\S+), product (\S+), submission [0-9]{6,20}", given.strip())
    yield Check(
        f"{release.version} was submitted as {product}",
        said is not None and said.groups() == (str(release.version), product),
        found=given[:200],
        code="EVIDENCE_UNFIT",
        remedy="Give version, product and submission as the store shows them, in that form.",
    )
