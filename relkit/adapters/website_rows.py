"""Rows of python.org's downloads database: read from answers, compared with what is wanted."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError

from relkit.adapters.web import quoted
from relkit.adapters.website_api import unreadable
from relkit.errors import WorldError
from relkit.values import Json, SiteFile, SiteRelease

SLUG = re.compile(r"[A-Za-z0-9_-]{1,200}", flags=re.ASCII)
SERIES = re.compile(r"python3(\.[0-9]{1,2})?|prerelease", flags=re.ASCII)
WORDS = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,'()/+_-]{0,199}(?<! )", flags=re.ASCII)
"""What a person reads on the page: names and descriptions. v2 takes blanks off the end."""
FILE_URL = re.compile(
    r"https://www\.python\.org/ftp/python(/[A-Za-z0-9_][A-Za-z0-9_.+-]*){2,4}", flags=re.ASCII
)
SHA256 = re.compile(r"[0-9a-f]{64}", flags=re.ASCII)
MAX_BYTES, MAX_URL = 2**31 - 1, 200
SIDECARS = {
    "gpg_signature_file": ".asc",
    "sigstore_bundle_file": ".sigstore",
    "sbom_spdx2_file": ".spdx.json",
}
UNUSED = ("md5_sum", "sigstore_signature_file", "sigstore_cert_file")
"""Fields of a file row that relkit leaves empty; a row in which one is not is not relkit's."""
LINK = re.compile(r"/api/v[12]/downloads/(?:os|release|release_file)/([0-9]{1,18})/")
Row = TypeVar("Row", SiteFile, SiteRelease)


def refusal(message: str, code: str) -> WorldError:
    """Make the error for something that is not even asked of the site."""
    return WorldError(message, code=code, remedy="Look at the release's rows on the site.")


def conflict(message: str) -> WorldError:
    """Make the error for another row in the place of ours."""
    return WorldError(
        message,
        code="SITE_CONFLICT",
        remedy="Find out who made the other row, and delete or correct it in the site's admin.",
    )


def diverged(message: str) -> WorldError:
    """Make the error for rows that are not what they were left as."""
    return WorldError(
        message,
        code="API_DIVERGED",
        remedy="Compare the rows with the manifest; somebody else may be editing them.",
    )


def differences(wanted: Row, there: Row) -> str:
    """Say in which fields the site's row is another one, with both values."""
    asked = wanted.model_dump()
    differ = [
        f"{name} is {quoted(repr(found))}, not {asked[name]!r}"
        for name, found in there.model_dump().items()
        if found != asked[name]
    ]
    return f"the site has {quoted(there.slug)}, but {'; '.join(differ)}"


def checked_slug(slug: str) -> str:
    """Return a slug that can be part of an address, or raise ``BAD_SLUG``."""
    if SLUG.fullmatch(slug) is None:
        raise refusal(f"{slug[:40]!r} cannot be part of an address", "BAD_SLUG")
    return slug


def check_release(row: SiteRelease) -> None:
    """Refuse a release row that is not what relkit writes.

    ``BAD_SLUG``, ``BAD_ROW``; ``SITE_LATEST_DRAFT``, since a draft takes the mark off the others
    too, and then the site offers nothing.
    """
    checked_slug(row.slug)
    if row.is_latest and not row.is_published:
        raise refusal(f"{row.slug} is a draft: it is never the latest", "SITE_LATEST_DRAFT")
    if not row.name.startswith("Python ") or WORDS.fullmatch(row.name) is None:
        raise refusal(f"{row.name[:40]!r} is no name of a release, like Python 3.14.0", "BAD_ROW")


def check_file(row: SiteFile, release: str) -> None:
    """Refuse a file row that is not what relkit writes; the site itself checks much less."""
    checked_slug(row.slug)
    links = {name: getattr(row, name) for name in SIDECARS}
    good = {
        "release": row.release == release,
        "name": WORDS.fullmatch(row.name),
        "description": not row.description or WORDS.fullmatch(row.description),
        "url": FILE_URL.fullmatch(row.url) and len(row.url) <= MAX_URL,
        "sha256_sum": SHA256.fullmatch(row.sha256_sum),
        "filesize": 0 <= row.filesize <= MAX_BYTES,
        **{name: links[name] in {"", row.url + end} for name, end in SIDECARS.items()},
    }
    if bad := [name for name, fits in good.items() if not fits]:
        value = str(getattr(row, bad[0]))[:60]
        raise refusal(f"{row.slug}: {value!r} is no {bad[0]} for a row of the site", "BAD_ROW")


def settled(wanted: Row, there: Row | None) -> bool:
    """Tell whether the row is there already; refuse another one in its place."""
    if there is None:
        return False
    if there == wanted:
        return True
    raise conflict(differences(wanted, there))


def check_change(there: SiteRelease, wanted: SiteRelease) -> None:
    """Refuse a change of what a row is known by, or of whether its readers see it."""
    for name in ("slug", "is_published"):
        found, asked = getattr(there, name), getattr(wanted, name)
        if found != asked:
            raise refusal(f"{name} of {there.slug} is {found!r}, not {asked!r}", "SITE_FIXED")
    if wanted.is_latest and wanted.pre_release:
        raise refusal(
            f"{there.slug} is a preview: it is never the latest release", "SITE_LATEST_PREVIEW"
        )


def row_value(kind: type[Row], row: Json) -> Row:
    """Return a row as a value; every field must be there and of its type."""
    absent = sorted(kind.model_fields.keys() - row.keys())
    if absent:
        raise unreadable(f"the row {row.get('slug')!r} has no {', '.join(absent)}")
    fields = {name: row[name] for name in kind.model_fields}
    try:
        if "release_date" in fields:
            fields["release_date"] = _date(fields["release_date"])
        return kind.model_validate(fields, strict=True)
    except (ValidationError, TypeError, ValueError) as error:
        raise unreadable(f"the row {row.get('slug')!r} cannot be read: {error}") from error


def number_in(row: Json, field: str) -> int:
    """Return the row number in a link; the host in it is not looked at."""
    link = row.get(field)
    found = LINK.fullmatch(urlsplit(link).path) if isinstance(link, str) else None
    if found is None:
        raise unreadable(f"the row {row.get('slug')!r} has {field} {link!r}, not a link")
    return int(found[1])


def objects(answer: Any) -> list[Json]:  # noqa: ANN401 (whatever JSON held)
    """Return the rows of a list of v1, if these are all."""
    rows, total, offset = page_of(answer)
    if total != len(rows) or offset != 0:
        raise unreadable(f"a list of v1 has {len(rows)} rows, and says there are {total}")
    return rows


def page_of(answer: Any) -> tuple[list[Json], object, object]:  # noqa: ANN401 (whatever JSON held)
    """Return a part of a list of v1: its rows, how many there are in all, and before it."""
    try:
        return rows_of(answer["objects"]), answer["meta"]["total_count"], answer["meta"]["offset"]
    except (KeyError, TypeError) as error:
        raise unreadable("a list of v1 has no meta with counts and no objects") from error


def rows_of(answer: Any) -> list[Json]:  # noqa: ANN401 (whatever JSON held)
    """Return a JSON list of objects."""
    if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
        raise unreadable("a list of rows was expected, and something else came")
    return answer


def only(answer: Any, slug: str) -> Json | None:  # noqa: ANN401 (whatever JSON held)
    """Return the one row with a slug; an API that ignored the filter is found out here."""
    rows = rows_of(answer)
    for row in rows:
        same_slug(row, slug)
    if len(rows) > 1:
        raise unreadable(f"the site has {len(rows)} rows with the slug {slug}")
    return rows[0] if rows else None


def same_slug(row: Json, slug: str) -> None:
    """Refuse a row that was not asked for."""
    if row.get("slug") != slug:
        raise unreadable(f"asked for {slug}, and the site answers with {row.get('slug')!r}")


def _date(value: object) -> datetime:
    moment = datetime.fromisoformat(str(value))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
