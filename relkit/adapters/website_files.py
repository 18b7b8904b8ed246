"""The file rows of one release on python.org: read, added, changed by difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from relkit.adapters.rest import UnknownStateError
from relkit.adapters.website_api import Api, unknown_state, unreadable
from relkit.adapters.website_difference import changes
from relkit.adapters.website_rows import (
    LINK,
    UNUSED,
    check_file,
    checked_slug,
    conflict,
    differences,
    diverged,
    number_in,
    objects,
    only,
    page_of,
    refusal,
    row_value,
    rows_of,
)
from relkit.errors import WorldError
from relkit.values import Json, SiteFile, SiteRelease

OK, CREATED, NO_CONTENT, SERVER_ERROR = 200, 201, 204, 500
SPARE = 10
"""Calls beside one for each row: what is read before and after, and if something is in the way."""
UNIQUE = ("slug", "url")
FindRelease = Callable[[str], "tuple[int, SiteRelease] | None"]


class FileRows:
    """The rows of files behind an API; `release` finds a release's number and row by slug."""

    def __init__(self, api: Api, release: FindRelease) -> None:
        self._api = api
        self._release = release
        self._slugs: dict[int, str] = {}
        self._systems: dict[int, str] = {}

    def read(self, slug: str) -> tuple[SiteFile, ...]:
        """Return all rows of a release, in order of slug."""
        return tuple(file for _, file in self._listed(slug))

    def change(
        self, slug: str, before: Sequence[SiteFile], after: Sequence[SiteFile], *, draft: bool
    ) -> None:
        """Make the rows of a release `after`; see `Website.change_files`.

        With `draft` nothing is written into a release that is published.
        """
        for file in (*before, *after):
            check_file(file, slug)
        found = self._release(slug)
        if found is None:
            raise refusal(f"the site has no release {slug}", "SITE_MISSING")
        number, release = found
        self._slugs[number] = slug
        listed = self._listed(slug)
        writes = changes(before, after, [file for _, file in listed])
        if not writes:
            return
        if draft and release.is_published:
            raise refusal(f"{slug} is published", "SITE_PUBLISHED")
        for system in {file.os for file in after}:
            self._system_number(system)
        self._api.require_room("v1", len(writes) + SPARE)
        numbers = {file.url: row for row, file in listed}
        for there, wanted in writes:
            self._write(number, numbers, there, wanted)
        if release.is_published:
            self._refresh(number, slug)
        self._require(slug, after)

    def _write(
        self,
        release: int,
        numbers: dict[str, int],
        there: SiteFile | None,
        wanted: SiteFile | None,
    ) -> None:
        if there is None and wanted is not None:
            numbers[wanted.url] = self._create(release, wanted)
        elif there is not None and wanted is not None:
            self._patch(numbers[there.url], there, wanted)
        elif there is not None:
            self._remove(numbers[there.url], there)

    def _create(self, release: int, file: SiteFile) -> int:
        """Add a row through v1, and return its number."""
        fields = file.model_dump(mode="json") | dict.fromkeys(UNUSED, "")
        fields["os"] = f"/api/v1/downloads/os/{self._system_number(file.os)}/"
        fields["release"] = f"/api/v1/downloads/release/{release}/"
        try:
            answer = self._api.write("v1", "POST", "release_file/", fields)
            found = LINK.fullmatch(urlsplit(where := answer.headers.get("location", "")).path)
            if answer.status != CREATED or found is None:
                raise unknown_state(f"{answer.said}, at {where[:99]!r}")
            return int(found[1])
        except UnknownStateError as error:
            return self._look(file, None, error)

    def _patch(self, number: int, there: SiteFile, wanted: SiteFile) -> None:
        """Send the fields that differ, through v2, if the row still is the one that was meant."""
        row = self._row(there.slug)
        if row == (number, wanted):
            return
        if row is None:
            raise diverged(f"the site has no row {there.slug} any more; it was to be changed")
        _require_same(row, (number, there))
        asked, found = wanted.model_dump(mode="json"), there.model_dump(mode="json")
        fields = {name: value for name, value in asked.items() if value != found[name]}
        try:
            answer = self._api.write("v2", "PATCH", f"release_file/{number}/", fields)
            if answer.status != OK or not isinstance(answer.value, dict):
                raise unknown_state(answer.said)
            now = self._file(answer.value, wanted.release)
        except UnknownStateError as error:
            self._look(wanted, there, error)
            return
        if now != wanted:
            raise diverged(differences(wanted, now))

    def _remove(self, number: int, file: SiteFile) -> None:
        """Delete a row, if it still is the one that was meant."""
        row = self._row(file.slug)
        if row is None:
            return
        _require_same(row, (number, file))
        try:
            answer = self._api.write("v2", "DELETE", f"release_file/{number}/")
            if answer.status != NO_CONTENT:
                raise unknown_state(answer.said)
        except WorldError:  # also where it is missing: somebody else was quicker
            if self._row(file.slug) is not None:
                raise

    def _refresh(self, number: int, slug: str) -> None:
        """Save the release as it is: the site has its cache forget the pages only then."""
        answer = self._api.write("v2", "PATCH", f"release/{number}/", {})
        if answer.status != OK or not isinstance(answer.value, dict):
            raise unknown_state(answer.said)
        if answer.value.get("slug") != slug:
            raise unreadable(f"asked for {slug}, and the site answers {answer.said}")

    def _require(self, slug: str, files: Sequence[SiteFile]) -> None:
        """Read back; what the site keeps must be what it was given."""
        there, wanted = ({file.slug: file for file in rows} for rows in (self.read(slug), files))
        for name in sorted(there.keys() | wanted.keys()):
            if name not in there or name not in wanted:
                raise diverged(f"read back, the site has {'no' if name in wanted else 'a'} {name}")
            if there[name] != wanted[name]:
                raise diverged(f"read back, {differences(wanted[name], there[name])}")

    def _look(self, wanted: SiteFile, before: SiteFile | None, error: UnknownStateError) -> int:
        """Return the number of the row, if a write was done although its answer was lost."""
        found = self._row(wanted.slug)
        if found is not None and found[1] == wanted:
            return found[0]
        if found is not None and found[1].release != wanted.release:
            raise conflict(differences(wanted, found[1])) from error
        if found is not None and found[1] != before:
            raise diverged(differences(wanted, found[1])) from error
        if error.status == SERVER_ERROR:
            self._explain(wanted, error)
        raise error

    def _explain(self, file: SiteFile, error: UnknownStateError) -> None:
        """Say what stands in the way: the site answers 500 to conflicts, as to an overload."""
        for other in self.read(file.release):
            button = file.download_button and other.download_button and other.os == file.os
            if other.slug != file.slug and button:
                raise conflict(f"{file.slug}: {other.slug} already has the button") from error
        offset = 0
        while True:
            query = {"limit": "0", "offset": str(offset)}
            rows, total, _ = page_of(self._api.get("v1", "release_file/", **query))
            for row in rows:
                if row.get("url") == file.url and row.get("slug") != file.slug:
                    words = f"{file.slug}: {row.get('slug')!r} already has {file.url}"
                    raise conflict(words) from error
            offset += len(rows)
            if not rows or not isinstance(total, int) or offset >= total:
                return

    def _row(self, slug: str) -> tuple[int, SiteFile] | None:
        """Return the number and the row of a file, whatever release it belongs to."""
        row = only(self._api.get("v2", "release_file/", slug=checked_slug(slug)), slug)
        if row is None:
            return None
        return number_in(row, "resource_uri"), self._file(row, self._release_slug(row))

    def _listed(self, slug: str) -> list[tuple[int, SiteFile]]:
        """Return the rows of a release with their numbers, in order of slug."""
        query = {"release__slug": checked_slug(slug), "limit": "0"}
        rows = objects(self._api.get("v1", "release_file/", **query))
        for row in rows:
            if self._release_slug(row) != slug:
                raise unreadable(f"the list of the files of {slug} has a row of another release")
        files = [(number_in(row, "resource_uri"), self._file(row, slug)) for row in rows]
        if any(len({getattr(file, key) for _, file in files}) < len(files) for key in UNIQUE):
            raise unreadable(f"the list of the files of {slug} has a row twice")
        return sorted(files, key=lambda one: one[1].slug)

    def _release_slug(self, row: Json) -> str:
        """Return which release a row is of; a release keeps its number for ever."""
        number = number_in(row, "release")
        if number not in self._slugs:
            release = self._api.get("v2", f"release/{number}/")
            if not isinstance(release, dict) or not isinstance(release.get("slug"), str):
                raise unreadable(f"release {number} of the file {row.get('slug')!r} has no slug")
            self._slugs[number] = release["slug"]
        return self._slugs[number]

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
        raise refusal(f"the site has no system {slug[:40]!r}, only {known_slugs}", "SITE_MISSING")

    def _system_slugs(self) -> dict[int, str]:
        if not self._systems:
            rows = rows_of(self._api.get("v2", "os/"))
            self._systems = {number_in(row, "resource_uri"): str(row.get("slug")) for row in rows}
        return self._systems


def _require_same(now: tuple[int, SiteFile], meant: tuple[int, SiteFile]) -> None:
    """Refuse to write where somebody else has written since the list was read."""
    if now != meant:
        anew = f"{meant[1].slug} was made anew"
        words = differences(meant[1], now[1]) if now[1] != meant[1] else anew
        raise diverged(f"{words}; it was left as it is")
