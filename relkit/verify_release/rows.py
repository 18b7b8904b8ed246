"""What both of the site's APIs say of a release, field by field; read without a key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from relkit.adapters.website_rows import number_in, objects, only, row_value, rows_of
from relkit.errors import WorldError
from relkit.expected import SBOM, SUFFIXES, expected, schemes
from relkit.manifest import SITE
from relkit.steps.site import site_release
from relkit.values import Json, SiteFile, SiteRelease
from relkit.verify_release.case import Case, said, take_rows, unread
from relkit.verify_release.report import Look

API = "api/{}/downloads/"
UNUSED = ("md5_sum", "sigstore_signature_file", "sigstore_cert_file")
"""Fields that relkit leaves empty."""


def look_at_rows(case: Case) -> None:
    """Compare the release's row and the rows of its files, as each API has them."""
    found = {}
    for version in ("v1", "v2"):
        look = case.look(f"rows {version}")
        try:
            number = _release(case, version)
            if number is None:
                look.found("removed", case.release.slug, "RELEASE_HIDDEN", "no release, no rows")
                continue
            found[version] = _files(case, version, number, look)
        except WorldError as error:
            unread(look, "the list of rows", error)
    if case.manifest is None:
        _without_manifest(case, found)
    for version, rows in found.items():
        look = case.look(f"rows {version}")
        if case.rows is not None:
            compare_rows(look, case.rows, rows)
            look.good = f"{len(rows)} rows, every field as it was"
        elif case.manifest is None:
            look.good = f"{len(rows)} rows: all that a release of this kind has, and no other"
    if len(found) == len(("v1", "v2")) and _keyed(found["v1"]) != _keyed(found["v2"]):
        text = f"v1 has {len(found['v1'])} rows, v2 has {len(found['v2'])}, and they differ"
        case.look("rows v2").found("wrong", "v1 and v2", "APIS_DIFFER", text)


def _without_manifest(case: Case, found: dict[str, list[SiteFile]]) -> None:
    rows = tuple(found.get("v1") or found.get("v2") or ())
    take_rows(case, rows)
    for version, there in found.items():
        look = case.look(f"rows {version}")
        compare_expected(case, look, there)
        look.since = ""


# --- the release's own row ------------------------------------------------------------------------


def _release(case: Case, version: str) -> int | None:
    """Compare the row of the release; return its number, None if no stranger can see it."""
    look, slug = case.look("release row"), case.release.slug
    answer: Any = case.site.json(API.format(version) + "release/", slug=slug)
    row = only(objects(answer) if version == "v1" else answer, slug)
    if row is None:
        text = f"{version} shows no release {slug} to a stranger: it is a draft, or gone"
        look.found("removed", slug, "RELEASE_HIDDEN", text)
        return None
    there = row_value(SiteRelease, row)
    case.released = there.release_date
    if case.manifest is not None:
        wanted = site_release(case.release, published=True, latest=there.is_latest)
        for name, text in _fields(wanted, there):
            look.found("changed", f"{version} {slug}: {name}", "RELEASE_CHANGED", text)
        look.good = f"published, of {there.release_date:%Y-%m-%d %H:%M} UTC, every field as it was"
    elif not there.is_published:
        look.found("changed", slug, "RELEASE_HIDDEN", f"{version} says it is not published")
    else:
        look.good = f"published, of {there.release_date:%Y-%m-%d %H:%M} UTC"
    return number_in(row, "resource_uri")


# --- the rows of its files ------------------------------------------------------------------------


def _files(case: Case, version: str, number: int, look: Look) -> list[SiteFile]:
    """Return the rows an API lists for the release; those that cannot be read are found."""
    base = API.format(version)
    systems = _systems(case, version)
    if version == "v1":
        query = {"release__slug": case.release.slug, "limit": "0"}
        listed = objects(case.site.json(base + "release_file/", **query))
    else:
        listed = rows_of(case.site.json(base + "release_file/", release=str(number)))
    rows = []
    for row in listed:
        try:
            rows.append(_row(case, row, number, systems))
        except WorldError as error:
            what = str(row.get("url") or row.get("slug"))
            look.found("wrong", what, "ROW_UNREADABLE", said(error))
    return rows


def _systems(case: Case, version: str) -> dict[int, str]:
    query = {"limit": "0"} if version == "v1" else {}
    answer: Any = case.site.json(API.format(version) + "os/", **query)
    rows = objects(answer) if version == "v1" else rows_of(answer)
    return {number_in(row, "resource_uri"): str(row.get("slug")) for row in rows}


def _row(case: Case, row: Json, number: int, systems: dict[int, str]) -> SiteFile:
    if number_in(row, "release") != number:
        raise _strange(f"the list has a row of another release: {row.get('slug')!r}")
    if case.manifest is not None and (used := [name for name in UNUSED if row.get(name) != ""]):
        raise _strange(f"its {used[0]} is {row.get(used[0])!r}, not empty")
    system = systems.get(number_in(row, "os"))
    if system is None:
        raise _strange(f"it is of the system {row.get('os')!r}, which the site does not list")
    return row_value(SiteFile, {**row, "os": system, "release": case.release.slug})


def _strange(said: str) -> WorldError:
    return WorldError(said, code="ROW_UNREADABLE", remedy="Look at the row on the site.")


def compare_rows(look: Look, wanted: Iterable[SiteFile], found: Iterable[SiteFile]) -> None:
    """Find what was added, removed, doubled and changed; rows are known by their addresses."""
    wanted, found = tuple(wanted), tuple(found)
    known = {row.url: row for row in wanted}
    seen: set[str] = set()
    for row in found:
        if row.url in seen:
            look.found("added", row.url, "ROW_DOUBLED", f"a second row, {row.slug}")
        elif row.url not in known:
            text = f"a row {row.slug} ({row.name}) of a file that is not in the manifest"
            look.found("added", row.url, "ROW_ADDED", text)
        else:
            for name, text in _fields(known[row.url], row):
                look.found("changed", f"{row.url}: {name}", "ROW_CHANGED", text)
        seen.add(row.url)
    for url in known.keys() - seen:
        look.found("removed", url, "ROW_REMOVED", f"the row {known[url].slug} is gone")


def compare_expected(case: Case, look: Look, found: list[SiteFile]) -> None:
    """Hold rows against the files that a release of this kind must have: no manifest is there."""
    release = case.release
    files = {f"{SITE}{file.folder}/{file.name}": file for file in expected(release)}
    there = {row.url: row for row in found}
    for url, file in files.items():
        if file.system and url not in there:
            look.found("removed", url, "ROW_REMOVED", f"a release has a {file.title}")
    for url, row in there.items():
        if url not in files:
            text = f"{row.name}: no file that a release of this kind has"
            look.found("added", url, "ROW_ADDED", text)
            continue
        sides = {"sigstore": row.sigstore_bundle_file, "gpg": row.gpg_signature_file}
        for scheme in schemes(release):
            stated, suffix = sides[scheme], SUFFIXES[scheme]
            if files[url].signed and stated != url + suffix:
                text = f"its {scheme} signature is {stated or 'not there'}"
                look.found("removed", url + suffix, "SIGNATURE_MISSING", text)
        if f"{url}{SBOM}" in files and row.sbom_spdx2_file != f"{url}{SBOM}":
            text = f"its SBOM is {row.sbom_spdx2_file or 'not there'}"
            look.found("removed", f"{url}{SBOM}", "SBOM_MISSING", text)


def _fields(wanted: SiteFile | SiteRelease, there: SiteFile | SiteRelease) -> list[tuple[str, str]]:
    asked = wanted.model_dump()
    return [
        (name, f"it is {_shown(found)}, and was {_shown(asked[name])}")
        for name, found in there.model_dump().items()
        if found != asked[name]
    ]


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def _keyed(rows: list[SiteFile]) -> list[str]:
    return sorted(row.model_dump_json() for row in rows)
