"""python.org's downloads database and pages, over its two APIs.

Releases are read and written through v2, which alone can edit. Files are created through v1: v2
refuses a second file for a system of a release that already has a file with the download button.
They are edited and deleted through v2. A release's files are listed through v1, since only its
lists say how many rows there are.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from urllib.parse import urljoin, urlsplit

from relkit.adapters.rest import Answer, UnknownStateError
from relkit.adapters.web import TIMEOUT_SECONDS, Web, content_type, text
from relkit.adapters.website_api import Api, Version, unknown_state, unreadable
from relkit.adapters.website_files import FileRows
from relkit.adapters.website_rows import (
    SERIES,
    check_change,
    check_release,
    checked_slug,
    number_in,
    only,
    refusal,
    row_value,
    same_slug,
    settled,
)
from relkit.errors import WorldError
from relkit.values import Json, SiteFile, SiteRelease

OK, CREATED, NO_CONTENT, FOUND, MISSING = 200, 201, 204, 302, 404


class PythonOrg:
    """The site at `base_url`.

    `v2_token` and `v1_key` (``user:key``) are called whenever a key is needed. `origin_headers`
    make the site's cache ask its origin: a draft's page is read behind the cache, so that reading
    it early does not keep an old page there. `denied` is told which API (``v1``, ``v2``) refused
    its key; `tell` what is waited for.
    """

    def __init__(  # noqa: PLR0913 (what a site is reached by, all by keyword)
        self,
        base_url: str,
        *,
        v2_token: Callable[[], str],
        v1_key: Callable[[], str],
        origin_headers: Mapping[str, str] | None = None,
        timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS,
        denied: Callable[[Version], None] = lambda _: None,
        tell: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._web = Web(base_url, timeout_seconds)
        self._api = Api(self._web, v2_token, v1_key, denied=denied, tell=tell, sleep=sleep)
        self._origin_headers = dict(origin_headers or {})
        self._files = FileRows(self._api, self._release)

    def release(self, *, slug: str) -> SiteRelease | None:
        """Return a release row, drafts included."""
        found = self._release(slug)
        return found and found[1]

    def files(self, *, slug: str) -> tuple[SiteFile, ...]:
        """Return all file rows of a release, in order of slug."""
        return self._files.read(slug)

    def add_release(self, *, release: SiteRelease) -> None:
        """Create a release row; it must be a draft."""
        if release.is_published:
            raise refusal(f"{release.slug} is not a draft", "SITE_NOT_DRAFT")
        check_release(release)
        there = self.release(slug=release.slug)
        if settled(release, there):
            return
        fields = release.model_dump(mode="json") | {"release_notes_url": "", "release_page": None}
        try:
            answer = self._api.write("v2", "POST", "release/", fields)
            same_slug(_changed(answer, CREATED), release.slug)
        except WorldError:  # also refused: somebody else was quicker
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
        except WorldError:
            if self._release(slug) is not None:
                raise

    def add_files(self, *, slug: str, files: tuple[SiteFile, ...]) -> None:
        """Create the file rows of a draft that are not there yet.

        Raises `WorldError`, before anything is written: ``SITE_MISSING``, ``SITE_PUBLISHED``,
        ``BAD_ROW``, ``SITE_THROTTLED``, and ``API_DIVERGED`` where a row is another one.
        """
        self._files.change(slug, (), files, draft=True)

    def change_files(
        self, *, slug: str, before: tuple[SiteFile, ...], files: tuple[SiteFile, ...]
    ) -> None:
        """Make the rows of a release `files`; written is only what differs.

        A row keeps its address (`url`) and its system. Raises as `add_files`, but for
        ``SITE_PUBLISHED``; ``SITE_FIXED``, and ``SITE_CONFLICT`` where a slug, an address or a
        button is another row's. Stopped anywhere, the same call goes on.
        """
        self._files.change(slug, before, files, draft=False)

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
        ``SITE_LATEST_PREVIEW``, ``SITE_LATEST_DRAFT``.
        """
        found = self._release(slug)
        if found is None:
            raise refusal(f"the site has no release {slug}", "SITE_MISSING")
        number, row = found
        check_change(row, release)
        check_release(release)
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
        """Return the text of the release's page, from behind the cache (HTML); None: no page.

        The query is new each time, and part of what a cache knows pages by (it is not below
        ``/ftp/``): a page that is awaited is not the one that was seen before.
        """
        path = f"downloads/release/{checked_slug(slug)}/?seen={time.time_ns()}"
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
            target = _below(self._web.url, response.headers.get("Location", ""))
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


def _changed(answer: Answer, status: int) -> Json:
    """Return the row which the answer to a write of v2 shows."""
    if answer.status != status or not isinstance(answer.value, dict):
        raise unknown_state(answer.said)
    return answer.value


def _below(site: str, location: str) -> str:
    """Return the path that a redirect leads to, or all of it where that is not on the site."""
    try:
        here, there = urlsplit(site), urlsplit(urljoin(site, location))
    except ValueError:  # no address at all
        return location
    return there.path if there[:2] == here[:2] else location
