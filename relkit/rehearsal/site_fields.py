"""The columns of python.org's downloads tables, and the rules for values that both APIs keep."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Row = dict[str, Any]
"""A row of a table: numbers, texts, booleans; dates as naive UTC text; links as row numbers."""
Table = Literal["os", "release", "release_file"]
Kind = Literal["text", "flag", "number", "date", "link"]

MIN_NUMBER, MAX_NUMBER = -(2**31), 2**31 - 1
SITE = "https://www.python.org/"
SIDECARS = {
    "gpg_signature_file": ".asc",
    "sigstore_signature_file": ".sig",
    "sigstore_cert_file": ".crt",
    "sigstore_bundle_file": ".sigstore",
    "sbom_spdx2_file": ".spdx.json",
}
VERSIONS = frozenset({1, 2, 3, 100})
"""The values of a release's `version`; 100 is the install manager. Only v2 checks it."""


@dataclass(frozen=True)
class Field:
    """A column as the APIs know it; `required` says whether v2 demands it."""

    name: str
    kind: Kind = "text"
    default: str | int | bool = ""
    limit: int | None = 200
    required: bool = False


FIELDS: dict[Table, tuple[Field, ...]] = {
    "os": (Field("name", required=True), Field("slug", required=True)),
    "release": (
        Field("name", required=True),
        Field("slug", required=True),
        Field("version", "number", 3),
        Field("is_published", "flag", default=False),
        Field("is_latest", "flag", default=False),
        Field("release_date", "date"),
        Field("pre_release", "flag", default=False),
        Field("show_on_download_page", "flag", default=True),
        Field("release_notes_url"),
    ),
    "release_file": (
        Field("name", required=True),
        Field("slug", required=True),
        Field("os", "link", required=True),
        Field("release", "link", required=True),
        Field("description", limit=None),
        Field("is_source", "flag", default=False),
        Field("url", required=True),
        Field("gpg_signature_file"),
        Field("md5_sum"),
        Field("sha256_sum"),
        Field("filesize", "number", 0),
        Field("download_button", "flag", default=False),
        Field("sigstore_signature_file"),
        Field("sigstore_cert_file"),
        Field("sigstore_bundle_file"),
        Field("sbom_spdx2_file"),
    ),
}
UNIQUE: dict[Table, dict[str, str]] = {
    "os": {"slug": "OS with this slug already exists."},
    "release": {"slug": "Release with this slug already exists."},
    "release_file": {
        "slug": "Release File with this slug already exists.",
        "url": "Release File with this URL already exists.",
    },
}
MODELS: dict[Table, str] = {"os": "OS", "release": "Release", "release_file": "ReleaseFile"}


def names(table: Table) -> list[str]:
    """Return the columns of a table, without its number."""
    return [field.name for field in FIELDS[table]]


def slug_of(name: str) -> str:
    """Make a slug as v1 does where none is sent: ``Python 3.15.0a9`` → ``python-3150a9``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain)).strip("-_")


def stored_date(text: str) -> str:
    """Turn ISO 8601, taken as UTC if it has no offset, into the stored form; or `ValueError`."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat()


def address_errors(row: Row) -> dict[str, list[str]]:
    """Return what is wrong with the addresses of a file row, by field, in the site's words."""
    found: dict[str, list[str]] = {}
    for name in ("url", *SIDECARS):
        if row[name] and not row[name].startswith(SITE):
            found[name] = [f"Release file URLs must begin with '{SITE}'."]
    for name, suffix in SIDECARS.items():
        if row[name] not in {"", row["url"] + suffix}:
            wrong = f"Sidecar URL must match the artifact URL plus '{suffix}'."
            found.setdefault(name, []).append(wrong)
    return found
