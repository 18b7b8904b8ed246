"""python.org's downloads database and pages, over its two APIs.

Releases are read and written through v2, which alone can edit. Files are created through v1: v2
refuses a second file for a system of a release that already has a file with the download button.
A release's files are listed through v1, since only its lists say how many rows there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from relkit.adapters.web import TIMEOUT_SECONDS, Web, content_type, text
from relkit.adapters.website_api import Answer, Api, UnknownStateError, unknown_state, unreadable
from relkit.adapters.website_rows import (
    LINK,
    check_change,
    checked_slug,
    conflict,
    number_in,
    objects,
    only,
    refusal,
    row_value,
    rows_of,
    same_slug,
    settled,
)
from relkit.values import Json, SiteFile, SiteRelease

SERIES = re.compile(r"python3(\.[0-9]{1,2})?|prerelease", flags=re.ASCII)
UNUSED = ("md5_sum", "sigstore_signature_file", "sigstore_cert_file")
"""Fields of a file row that relkit leaves empty; a row in which one is not is not relkit's."""
OK, CREATED, NO_CONTENT, FOUND, MISSING = 200, 201, 204, 302, 404


class PythonOrg:
    """The site at `base_url`.

    `v2_token` and `v1_key` (``user:key``) are called whenever a key is needed. `origin_headers`
    make the site's cache ask its origin: a draft's page is read behind the cache, so that reading
    it early does not keep an old page there.
    """

    def __init__(
        self,
        base_url: str,
        *,
        v2_token: Callable[[], str],
        v1_key: Callable[[], str],
        origin_headers: Mapping[str, str] | None = None,
        timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS,
    ) -> None:
        self._web = Web(base_url, timeout_seconds)
        self._api = Api(self._web, v2_token, v1_key)
        self._origin_headers = dict(origin_headers or {})
        self._systems: dict[int, str] = {}

    def release(self, *, slug: str) -> SiteRelease | None:
        """Return a release row, drafts included."""
        found = self._release(slug)
        return found and found[1]

    def files(self, *, slug: str) -> tuple[SiteFile, ...]:
        """Return all file rows of a release, in order of slug."""
        found = self._release(slug)
        if found is None:
            return ()
        number, _ = found
        answer = self._api.get("v1", "release_file/", release__slug=slug, limit="0")
        rows = objects(answer)
        for row in rows:
            if number_in(row, "release") != number:
                raise unreadable(f"the list of the files of {slug} has a row of another release")
        files = [self._file(row, slug) for row in rows]
        return tuple(sorted(files, key=lambda file: file.slug))

    def add_release(self, *, release: SiteRelease) -> None:
        """Create a release row; it must be a draft."""
        if release.is_published:
            raise refusal(f"{release.slug} is not a draft", "SITE_NOT_DRAFT")
        there = self.release(slug=release.slug)
        if settled(release, there):
            return
        fields = release.model_dump(mode="json") | {"release_notes_url": "", "release_page": None}
        try:
            answer = self._api.write("v2", "POST", "release/", fields)
            same_slug(_changed(answer, CREATED), release.slug)
        except UnknownStateError:
            if not settled(release, self.release(slug=release.slug)):
                raise

    def remove_release(self, *, slug: str) -> None:
        """Delete a draft with its files; a published release is refused."""
        found = self._release(slug)
        if found is None:
            return
        number, row = found
        if row.is_published:
            raise refusal(f"{slug} is published", "SITE_PUBLISHED")
        try:
            answer = self._api.write("v2", "DELETE", f"release/{number}/")
            if answer.status != NO_CONTENT:
                raise unknown_state(answer.said)
        except UnknownStateError:
            if self._release(slug) is not None:
                raise

    def file(self, *, slug: str) -> SiteFile | None:
        """Return one file row, whatever release it belongs to."""
        row = only(self._api.get("v2", "release_file/", slug=checked_slug(slug)), slug)
        if row is None:
            return None
        number = number_in(row, "release")
        release = self._api.get("v2", f"release/{number}/")
        if not isinstance(release, dict) or not isinstance(release.get("slug"), str):
            raise unreadable(f"release {number} of the file {slug} has no slug")
        return self._file(row, release["slug"])

    def add_file(self, *, file: SiteFile) -> None:
        """Create a file row."""
        if settled(file, self.file(slug=file.slug)):
            return
        found = self._release(file.release)
        if found is None:
            raise refusal(f"{file.slug}: the site has no release {file.release}", "SITE_MISSING")
        fields = file.model_dump(mode="json") | dict.fromkeys(UNUSED, "")
        fields["os"] = f"/api/v1/downloads/os/{self._system_number(file.os)}/"
        fields["release"] = f"/api/v1/downloads/release/{found[0]}/"
        try:
            answer = self._api.write("v1", "POST", "release_file/", fields)
            if answer.status != CREATED or not LINK.fullmatch(urlsplit(answer.location).path):
                raise unknown_state(f"{answer.said}, at {answer.location[:99]!r}")
        except UnknownStateError as error:
            if not settled(file, self.file(slug=file.slug)):
                self._explain(file, error)
                raise

    def publish(self, *, slug: str) -> None:
        """Publish a draft."""
        found = self._release(slug)
        if found is None:
            raise refusal(f"the site has no release {slug}", "SITE_MISSING")
        number, row = found
        if row.is_published:
            return
        wanted = row.model_copy(update={"is_published": True})
        try:
            answer = self._api.write("v2", "PATCH", f"release/{number}/", {"is_published": True})
            changed = _changed(answer, OK)
            same_slug(changed, slug)
            if changed.get("is_published") is not True:
                raise unknown_state(answer.said)
        except UnknownStateError:
            there = self.release(slug=slug)
            if there == row or not settled(wanted, there):
                raise

    def change_release(self, *, slug: str, release: SiteRelease) -> None:
        """Replace the fields of a release row; only those that differ are sent.

        `is_latest` takes that mark off all other releases of the same major version. Raises
        `WorldError`: ``SITE_MISSING``, ``SITE_FIXED`` (slug, published or not),
        ``SITE_LATEST_PREVIEW``.
        """
        found = self._release(slug)
        if found is None:
            raise refusal(f"the site has no release {slug}", "SITE_MISSING")
        number, row = found
        check_change(row, release)
        asked, there = (one.model_dump(mode="json") for one in (release, row))
        fields = {name: value for name, value in asked.items() if value != there[name]}
        if not fields:
            return
        try:
            answer = self._api.write("v2", "PATCH", f"release/{number}/", fields)
            settled(release, row_value(SiteRelease, _changed(answer, OK)))
        except UnknownStateError:
            now = self.release(slug=slug)
            if now == row or not settled(release, now):
                raise

    def page(self, *, slug: str) -> str | None:
        """Return the text of the release's page, from behind the cache (HTML); None: no page."""
        path = f"downloads/release/{checked_slug(slug)}/"
        with self._web.request("GET", path, headers=self._origin_headers) as response:
            if response.status_code == MISSING:
                return None
            if response.status_code != OK or content_type(response) != "text/html":
                raise unreadable(f"{response.url} answered {response.status_code}, not a page")
            return text(response)

    def latest(self, *, series: str) -> str | None:
        """Return the slug that ``/downloads/latest/<series>/`` leads to (``python3``)."""
        if SERIES.fullmatch(series) is None:
            raise refusal(f"{series[:40]!r} is no series of the site, like python3", "BAD_SERIES")
        with self._web.request("GET", f"downloads/latest/{series}/") as response:
            target = urlsplit(response.headers.get("Location", "")).path
        if response.status_code == FOUND and target == "/downloads/":
            return None
        leads = re.fullmatch(r"/downloads/release/([^/]+)/", target)
        if response.status_code != FOUND or leads is None:
            raise unreadable(f"{response.url} answered {response.status_code}, to {target[:99]!r}")
        return checked_slug(leads[1])

    def _release(self, slug: str) -> tuple[int, SiteRelease] | None:
        row = only(self._api.get("v2", "release/", slug=checked_slug(slug)), slug)
        if row is None:
            return None
        return number_in(row, "resource_uri"), row_value(SiteRelease, row)

    def _file(self, row: Json, release: str) -> SiteFile:
        number = number_in(row, "os")
        if number not in self._system_slugs():
            raise unreadable(f"a file row names the system {number}, which the site does not list")
        for name in UNUSED:
            if row.get(name) != "":
                raise unreadable(f"the file row {row.get('slug')} has {name} {row.get(name)!r}")
        return row_value(SiteFile, {**row, "os": self._system_slugs()[number], "release": release})

    def _system_number(self, slug: str) -> int:
        for number, known in self._system_slugs().items():
            if known == slug:
                return number
        known_slugs = ", ".join(self._system_slugs().values())
        raise refusal(f"the site has no system {slug!r}, only {known_slugs}", "SITE_MISSING")

    def _system_slugs(self) -> dict[int, str]:
        if not self._systems:
            rows = rows_of(self._api.get("v2", "os/"))
            self._systems = {number_in(row, "resource_uri"): str(row.get("slug")) for row in rows}
        return self._systems

    def _explain(self, file: SiteFile, error: UnknownStateError) -> None:
        """Say what stands in the way: v1 answers 500 to conflicts, in words for an overload."""
        for other in self.files(slug=file.release):
            button = file.download_button and other.download_button and other.os == file.os
            if other.url == file.url or button:
                what = "the button" if button else file.url
                raise conflict(f"{file.slug}: {other.slug} already has {what}") from error


def _changed(answer: Answer, status: int) -> Json:
    """Return the row which the answer to a write of v2 shows."""
    if answer.status != status or not isinstance(answer.value, dict):
        raise unknown_state(answer.said)
    return answer.value
