"""What readers of the site are led to: the release's page, what is offered first, the docs."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin, urlsplit

from relkit.adapters.stranger import OK, Got, Stranger
from relkit.adapters.website_rows import SLUG, only, row_value
from relkit.errors import WorldError
from relkit.expected import SBOM, folders, pages
from relkit.manifest import SITE
from relkit.release import Version
from relkit.steps.sign import LATER
from relkit.steps.site import says, version_in
from relkit.values import SiteRelease
from relkit.verify_release.case import Case, path_of, unread
from relkit.verify_release.links import leads, links
from relkit.verify_release.report import Look

FOUND = 302
PARTS = re.compile("[/?&=;]")


def look_at_page(case: Case) -> None:
    """Compare where the links of the page lead with the files of the release."""
    look = case.look("page")
    own, *others = pages(case.release)
    if (got := _page(case.site, own, look)) is not None:
        _links(case, look, _targets(got, case.site, own))
        if case.subjects:
            look.good = f"{own} links to every file, and to no other in its folders"
        later = case.manifest and LATER in case.manifest.absent.values()
        if not later and says(got.data.decode("utf-8", "replace"), LATER):
            look.found("wrong", own, "PAGE_STALE", f"it says still: {LATER}")
    for page in others:
        listed = _page(case.site, page, look)
        if listed is not None and own.strip("/") not in _targets(listed, case.site, page):
            look.found("removed", page, "PAGE_INCOMPLETE", f"it has no link to {own}")


def _page(site: Stranger, path: str, look: Look, code: str = "PAGE_MISSING") -> Got | None:
    try:
        got = site.fetch(path.lstrip("/"), keep=True)
    except WorldError as error:
        unread(look, path, error)
        return None
    if got.status != OK or got.kind != "text/html" or got.cut:
        text = f"the site answers {got.status} with {got.kind or 'nothing'}, {got.size:,} bytes"
        look.found("removed", path, code, text)
        return None
    return got


def _targets(got: Got, site: Stranger, page: str) -> dict[str, str]:
    """Return where links lead: paths below the site, whole addresses elsewhere; as written."""
    targets, base = links(got.data)
    start = leads(site.url + page.lstrip("/"), base)
    found = {}
    for link in targets:
        url = leads(start, link)
        own = next((one for one in (site.url, SITE) if url.startswith(one)), "")
        found[url.partition("?")[0].removeprefix(own).strip("/") if own else url] = link
    return found


def _links(case: Case, look: Look, targets: dict[str, str]) -> None:
    rows = case.rows or ()
    urls = [row.url for row in rows] + [row.sbom_spdx2_file for row in rows]
    urls += [row.sigstore_bundle_file for row in rows] + [row.gpg_signature_file for row in rows]
    wanted = {path_of(url) for url in urls} - {""} if rows else _in_rows(case)
    for path in sorted(wanted - targets.keys()):
        look.found("removed", path, "PAGE_INCOMPLETE", "the page does not link to it")
    where = set(folders(case.release).values())
    names = {path.rpartition("/")[2] for path in case.paths}
    for target, link in targets.items():
        if target in case.paths:
            continue
        if target.rpartition("/")[0] in where:
            look.found("added", link, "PAGE_LINK_UNKNOWN", "a link to no file of the release")
        elif named := names & {*PARTS.split(target)}:
            text = f"a link to {min(named)} at another place than {SITE}"
            look.found("changed", link, "PAGE_LINK_ELSEWHERE", text)


def _in_rows(case: Case) -> set[str]:
    """Return what rows name where they are all there is: no signature of an SBOM."""
    return {path for path in case.paths if f"{SBOM}." not in path}


# --- what is offered first ------------------------------------------------------------------------


def look_at_latest(case: Case) -> None:
    """Ask what the site offers first; a later release may have taken the place since (I25)."""
    look, release = case.look("latest"), case.release
    told = []
    asked = ["python3", f"python{release.version.series}"]
    asked += ["prerelease"] if release.version.suffix else []
    for name in asked:
        try:
            told.append(_offered(case, look, name))
        except WorldError as error:
            unread(look, f"/downloads/latest/{name}/", error)
    look.good = "; ".join(told)


def _offered(case: Case, look: Look, name: str) -> str:
    """Return in words what an address leads to; find what it should not."""
    path, release = f"downloads/latest/{name}/", case.release
    got = case.site.fetch(path)
    leads = _below(got.location, case)
    slug = leads.removeprefix("/downloads/release/").strip("/")
    if got.status != FOUND or (leads != "/downloads/" and not SLUG.fullmatch(slug)):
        text = f"the site answers {got.status}, leading to {got.location or 'nothing'}"
        look.found("wrong", f"/{path}", "LATEST_WRONG", text)
        return ""
    first = name == "python3" and not release.is_newest
    if leads != "/downloads/" and slug == release.slug:
        if first:
            why = "a preview" if release.version.suffix else "no release of the newest series"
            text = f"{release.version} is offered as the latest Python, and is {why}"
            look.found("wrong", f"/{path}", "LATEST_WRONG", text)
        return f"{name} is this release"
    other = _row(case, slug) if leads != "/downloads/" else None
    if other is None and not first:
        look.found("wrong", f"/{path}", "LATEST_WRONG", f"it leads to {leads}, no release")
    elif other is not None and (wrong := _wrong(case, name, other)):
        look.found("wrong", f"/{path}", "LATEST_WRONG", wrong)
    elif other is not None and not first:
        look.notes.append(
            f"superseded: {name} leads to {other.name}, of {other.release_date:%Y-%m-%d}"
        )
    words = other.name if other else "the list"
    return f"{name} is {words}" if first else f"{name}: superseded by {words}"


def _below(location: str, case: Case) -> str:
    """Return the path of the site that a redirect leads to; empty where it leads elsewhere."""
    url = urljoin(case.site.url, location)
    return urlsplit(url).path if url.startswith((case.site.url, SITE)) else ""


def _row(case: Case, slug: str) -> SiteRelease | None:
    answer: Any = case.site.json("api/v2/downloads/release/", slug=slug)
    row = only(answer, slug)
    return None if row is None else row_value(SiteRelease, row)


def _wrong(case: Case, name: str, other: SiteRelease) -> str:
    """Return why another release may not be where this one was, or would be; empty: it may."""
    release, version = case.release, version_in(other.name)
    if version is None:
        return f"it leads to {other.name}, whose version cannot be told"
    if name == "python3" and (other.pre_release or version.suffix):
        return f"{other.name} is offered as the latest Python, and is a preview"
    if name == "python3" and not release.is_newest:
        return ""
    if name == "prerelease":
        older = case.released is not None and other.release_date < case.released
        good = other.pre_release and not older
    else:
        good = version > release.version and (name == "python3" or _same(version, release.version))
    return "" if good else f"it leads to {other.name}, which is not later than this release"


def _same(one: Version, other: Version) -> bool:
    return one.series == other.series


# --- docs -----------------------------------------------------------------------------------------


def look_at_docs(case: Case) -> None:
    """Ask whether the docs of the release are there to be read (I14, I15)."""
    look, version = case.look("docs"), str(case.release.version)
    if not case.release.facts.docs:
        look.good = "a release of this kind has none of its own"
        look.since = ""
        return
    path = f"release/{version}/"
    got = _page(case.docs, path, look, "DOCS_MISSING")
    if got is not None and version not in got.data.decode("utf-8", "replace"):
        look.found("wrong", path, "DOCS_OTHER", f"the page does not say {version}")
    look.good = f"{case.docs.url}{path} is there"
