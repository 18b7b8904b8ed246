"""What saving and deleting rows of the python.org stand-in sets off, whichever API asked for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from relkit.rehearsal.site_cache import Cache
from relkit.rehearsal.site_fields import SITE, Row, Table
from relkit.rehearsal.site_store import Store, User

KEY_PURGE = "https://api.fastly.com/service/rehearsal/purge/downloads"
BOXES = (
    "/box/supernav-python-downloads/",
    "/box/homepage-downloads/",
    "/box/download-sources/",
)


class Model:
    """Rows with their consequences: purges, and no second latest release."""

    def __init__(self, store: Store, cache: Cache, clock: Callable[[], datetime]) -> None:
        self.store = store
        self._cache = cache
        self.clock = clock

    def now(self) -> str:
        """Return the present time in the stored form."""
        return self.clock().astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat()

    def visible(self, table: Table, user: User | None) -> list[Row]:
        """Return what somebody may list: drafts are for staff, the files of drafts for all."""
        rows = self.store.rows(table)
        if table == "release" and not (user and user.is_staff):
            return [row for row in rows if row["is_published"]]
        return rows

    def save(self, table: Table, values: Row, number: int | None = None) -> int:
        """Add a row, or write it whole, and return its number.

        Raises `sqlite3.IntegrityError` where a value must be unique.
        """
        write = self.store.insert if number is None else self.store.update
        number = number or self.store.next_number(table)
        with self.store.write():
            write(table, number, values)
            if table == "release" and values["is_latest"]:
                self.store.demote_others(number, values["version"])
        if table == "release":
            self._release_saved(number)
        elif self._published(values["release"]):
            self._purge(*BOXES)
        return number

    def delete(self, table: Table, row: Row) -> None:
        """Delete a row, a release with its files; each of these counts as deleted."""
        files = [one for one in self.store.rows("release_file") if one["release"] == row["id"]]
        published = self._published(row["release"] if table == "release_file" else row["id"])
        self.store.delete(table, row["id"])
        for _ in [row] if table == "release_file" else files:
            if published:
                self._purge(*BOXES)

    def set_content(self, number: int, text: str) -> None:
        """Replace the page text of a release, as the admin form does."""
        self.store.set_content(number, text)
        self._release_saved(number)

    def _release_saved(self, number: int) -> None:
        row = self.store.row("release", number)
        if row is None or not row["is_published"]:
            return
        self.store.log_purge("POST", KEY_PURGE)
        self._cache.purge_under("/downloads/")
        self._purge("/ftp/python/")
        if found := re.match(r"Python (\d+\.\d+\.\d+)", row["name"]):
            self._purge(f"/ftp/python/{found[1]}/")
        self._purge(*BOXES)

    def _published(self, release: int) -> bool:
        row = self.store.row("release", release)
        return row is not None and bool(row["is_published"])

    def _purge(self, *paths: str) -> None:
        for path in paths:
            self.store.log_purge("PURGE", SITE.rstrip("/") + path)
            self._cache.purge(path)
