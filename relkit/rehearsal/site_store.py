"""The database of the python.org stand-in: tables, keys and the log of purges, in sqlite.

Everything is on disk when a method returns (write-ahead log, full synchronisation), so a process
killed at any instant leaves whole rows. Several processes may use the same file.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from relkit.rehearsal.site_fields import FIELDS, Row, Table, names

STAFF = "relkit-rehearsal"
SYSTEMS = {
    "windows": "Windows",
    "macos": "macOS",
    "source": "Source release",
    "android": "Android",
    "ios": "iOS",
}
SIDECAR_COLUMNS = """
    gpg_signature_file TEXT NOT NULL, md5_sum TEXT NOT NULL, sha256_sum TEXT NOT NULL,
    filesize INTEGER NOT NULL, download_button INTEGER NOT NULL,
    sigstore_signature_file TEXT NOT NULL, sigstore_cert_file TEXT NOT NULL,
    sigstore_bundle_file TEXT NOT NULL, sbom_spdx2_file TEXT NOT NULL"""
SCHEMA = (
    "CREATE TABLE os (id INTEGER PRIMARY KEY, name TEXT NOT NULL, slug TEXT NOT NULL UNIQUE)",
    """CREATE TABLE release (id INTEGER PRIMARY KEY, name TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, is_published INTEGER NOT NULL,
    is_latest INTEGER NOT NULL, release_date TEXT NOT NULL, pre_release INTEGER NOT NULL,
    show_on_download_page INTEGER NOT NULL, release_notes_url TEXT NOT NULL,
    content TEXT NOT NULL DEFAULT '')""",
    f"""CREATE TABLE release_file (id INTEGER PRIMARY KEY, name TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE, os INTEGER NOT NULL REFERENCES os,
    release INTEGER NOT NULL REFERENCES release ON DELETE CASCADE, description TEXT NOT NULL,
    is_source INTEGER NOT NULL, url TEXT NOT NULL UNIQUE, {SIDECAR_COLUMNS})""",
    """CREATE UNIQUE INDEX one_button ON release_file (os, release)
    WHERE download_button""",
    "CREATE TABLE number (name TEXT PRIMARY KEY, last INTEGER NOT NULL)",
    """CREATE TABLE user (name TEXT PRIMARY KEY, v1_key TEXT NOT NULL, v2_token TEXT NOT NULL,
    session TEXT NOT NULL, is_staff INTEGER NOT NULL)""",
    "CREATE TABLE purge (id INTEGER PRIMARY KEY, method TEXT NOT NULL, url TEXT NOT NULL)",
)
ORDERS: dict[Table, str] = {
    "os": "SELECT * FROM os ORDER BY name, id",
    "release": "SELECT * FROM release ORDER BY name, id",
    "release_file": """SELECT release_file.* FROM release_file
        JOIN release ON release.id = release JOIN os ON os.id = os
        ORDER BY is_published DESC, release.name, os.name, release_file.name, release_file.id""",
}


@dataclass(frozen=True)
class User:
    """Somebody with keys; without the right to write unless `is_staff`."""

    name: str
    is_staff: bool


class Store:
    """The rows; one connection, used by one thread at a time."""

    def __init__(self, database: Path) -> None:
        # The keys are in it: nobody else may read it, and sqlite gives its other files this mode.
        os.close(os.open(database, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._lock = threading.RLock()
        self._db = sqlite3.connect(
            database, timeout=20, isolation_level=None, check_same_thread=False
        )
        self._db.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._db.execute(f"PRAGMA {pragma}")
        with self.write():
            if self._db.execute("PRAGMA user_version").fetchone()[0] == 0:
                self._create()

    def _create(self) -> None:
        for statement in SCHEMA:
            self._db.execute(statement)
        for slug, name in SYSTEMS.items():
            self._db.execute("INSERT INTO os (name, slug) VALUES (?, ?)", (name, slug))
        self.add_user(STAFF, is_staff=True)
        self._db.execute("PRAGMA user_version = 1")

    def close(self) -> None:
        """Close the database; the write-ahead log is merged into it."""
        with self._lock:
            self._db.close()

    @contextmanager
    def write(self) -> Iterator[None]:
        """Make the writes of a block one transaction, also those of blocks inside it."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def rows(self, table: Table) -> list[Row]:
        """Return all rows of a table in the site's order."""
        with self._lock:
            found = self._db.execute(ORDERS[table]).fetchall()
        flags = [field.name for field in FIELDS[table] if field.kind == "flag"]
        return [{**dict(row), **{flag: bool(row[flag]) for flag in flags}} for row in found]

    def row(self, table: Table, number: int) -> Row | None:
        """Return one row by its number."""
        return next((row for row in self.rows(table) if row["id"] == number), None)

    def next_number(self, table: Table) -> int:
        """Return a row number that was never given out; it is used up even if nothing is added."""
        with self.write():
            self._db.execute("INSERT OR IGNORE INTO number VALUES (?, 0)", (table,))
            take = "UPDATE number SET last = last + 1 WHERE name = ? RETURNING last"
            return int(self._db.execute(take, (table,)).fetchone()[0])

    def insert(self, table: Table, number: int, values: Row) -> None:
        """Add a row."""
        columns = ["id", *names(table)]
        marks = ", ".join(f":{name}" for name in columns)
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 (our own names)
        with self.write():
            self._db.execute(statement, {**values, "id": number})

    def update(self, table: Table, number: int, values: Row) -> None:
        """Write a whole row."""
        changes = ", ".join(f"{name} = :{name}" for name in names(table))
        statement = f"UPDATE {table} SET {changes} WHERE id = :id"  # noqa: S608 (our own names)
        with self.write():
            self._db.execute(statement, {**values, "id": number})

    def delete(self, table: Table, number: int) -> None:
        """Delete a row, a release with its files."""
        with self.write():
            self._db.execute(f"DELETE FROM {table} WHERE id = ?", (number,))  # noqa: S608 (our own names)

    def demote_others(self, number: int, version: int) -> None:
        """Leave at most one latest release of a major version."""
        demote = "UPDATE release SET is_latest = 0 WHERE version = ? AND id != ?"
        with self.write():
            self._db.execute(demote, (version, number))

    def set_content(self, number: int, text: str) -> None:
        """Replace the page text of a release."""
        with self.write():
            self._db.execute("UPDATE release SET content = ? WHERE id = ?", (text, number))

    def log_purge(self, method: str, url: str) -> None:
        """Remember a call the site would make to its CDN."""
        with self.write():
            self._db.execute("INSERT INTO purge (method, url) VALUES (?, ?)", (method, url))

    def purges(self) -> list[tuple[str, str]]:
        """Return the calls to the CDN, oldest first."""
        with self._lock:
            found = self._db.execute("SELECT method, url FROM purge ORDER BY id").fetchall()
        return [(row["method"], row["url"]) for row in found]

    def add_user(self, name: str, *, is_staff: bool) -> None:
        """Add somebody, with new keys."""
        keys = [secrets.token_hex(20) for _ in range(3)]
        self._db.execute("INSERT INTO user VALUES (?, ?, ?, ?, ?)", (name, *keys, is_staff))

    def secret(self, name: str, column: str) -> str:
        """Return a user's `v1_key`, `v2_token` or `session`."""
        with self._lock:
            row = self._db.execute("SELECT * FROM user WHERE name = ?", (name,)).fetchone()
        return str(row[column])

    def user(self, column: str, secret: str) -> User | None:
        """Return whose secret that is; the columns are those of `secret`."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM user").fetchall()
        for row in rows:
            if secrets.compare_digest(str(row[column]).encode(), secret.encode()):
                return User(row["name"], bool(row["is_staff"]))
        return None
