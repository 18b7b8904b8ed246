"""The records of one run: append-only JSON lines, each bound to the line before by its digest.

`ledger.jsonl` holds one canonical JSON object a line::

    {"at": UTC, "entry": {"event": …}, "number": n, "previous": SHA-256 of line n-1, "revision": r}

`ledger.head` names the newest line, so that a tail cut off at a line's end is noticed; a process
that is killed leaves it one line behind. A line is on the disk (fsync) before `append` returns.
Times are whole seconds, UTC.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

from relkit.errors import RecordError
from relkit.lock import Lock, on_disk
from relkit.records import RECORD, Entry, Record, Recovered, Revised, TakenOver
from relkit.values import canonical

GENESIS = "0" * 64
MAX_LINE = 4_000_000  # bytes
HEAD = re.compile(rb"(0|[1-9][0-9]{0,8}) ([0-9a-f]{64})\n")


@dataclass
class Ledger:
    """The records of one run, held open for appending by one process."""

    path: Path
    records: list[Record]
    now: Callable[[], datetime]
    head: str = GENESIS
    size: int = 0  # bytes
    revision: int = 1
    lock: Lock | None = field(default=None, repr=False)

    @classmethod
    def read(cls, folder: Path, now: Callable[[], datetime]) -> Self:
        """Read without the right to append; a torn last line is left out.

        Raises `RecordError`: ``LEDGER_BROKEN``, ``LEDGER_TRUNCATED``, ``LEDGER_INVALID``.
        """
        path = folder / "ledger.jsonl"
        whole, _ = split_torn(path.read_bytes() if path.exists() else b"")
        records, head = parse(whole, path.name)
        _require_head(folder, whole, len(records))
        revision = records[-1].revision if records else 1
        return cls(path, records, now, head, len(whole), revision)

    @classmethod
    def open(cls, folder: Path, now: Callable[[], datetime]) -> Self:
        """Take the run's lock, read the records, and put a torn last line aside.

        Raises `RecordError` as `read` does, ``RUN_LOCKED`` if another process holds the run, and
        ``RECORD_NOT_WRITTEN``.
        """
        with on_disk("the record's folder"):
            folder.mkdir(parents=True, exist_ok=True)
        lock, stale = Lock.take(folder)
        try:
            ledger = cls.read(folder, now)
            ledger.lock = lock
            ledger.recover()
            if stale and ledger.records:
                ledger.append(TakenOver(reason=stale))
        except BaseException:
            lock.release(unused=True)
            raise
        return ledger

    def close(self) -> None:
        """Let another process go on with the run."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def append(self, entry: Entry) -> Record:
        """Write one record to the disk and return it; a revision begins with its own record.

        Raises `RecordError` (``RECORD_NOT_WRITTEN``) with the file as it was, if it cannot.
        """
        if self.lock is None:
            raise RecordError(
                "this run is not open for writing",
                code="RUN_NOT_HELD",
                remedy="Run the cell that opens the run again.",
            )
        revision = entry.revision if isinstance(entry, Revised) else self.revision
        line, record = _written(
            Record(
                number=len(self.records),
                at=max([self.now(), *(r.at for r in self.records[-1:])]),
                revision=revision,
                previous=self.head,
                entry=entry,
            )
        )
        self._write(line + b"\n", record.number)
        self.records.append(record)
        self.head = hashlib.sha256(line).hexdigest()
        self.size += len(line) + 1
        self.revision = revision
        return record

    def _write(self, line: bytes, number: int) -> None:
        """Put a line and the note of it on the disk; if either fails, take the line back."""
        with on_disk(f"record {number}"), self.path.open("ab", buffering=0) as file:
            if (found := file.tell()) != self.size:  # an interrupted append, or another hand
                raise RecordError(
                    f"{self.path.name} has {found} bytes, this run knows of {self.size}",
                    code="RUN_NOT_HELD",
                    remedy="Run the cell that opens the run again.",
                )
            try:
                if (written := file.write(line)) != len(line):
                    raise OSError(f"{written} of {len(line)} bytes written")  # noqa: TRY301
                os.fsync(file.fileno())
                _write_head(self.path.parent, number, hashlib.sha256(line[:-1]).hexdigest())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(self.size)
                raise

    def recover(self) -> None:
        """Put a line that was cut while it was written into a file of its own; `open` does it."""
        data = self.path.read_bytes() if self.path.exists() else b""
        whole, torn = split_torn(data)
        if not torn:
            return
        digest = hashlib.sha256(torn).hexdigest()
        aside = self.path.with_name(f"ledger.torn-{digest:.12}")
        with on_disk(aside.name):
            aside.write_bytes(torn)
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
                os.fsync(file.fileno())
        if self.records:
            self.append(Recovered(torn=aside.name, sha256=digest))


def split_torn(data: bytes) -> tuple[bytes, bytes]:
    """Return the complete lines, and what follows the last line end."""
    end = data.rfind(b"\n") + 1
    return data[:end], data[end:]


def parse(data: bytes, name: str) -> tuple[list[Record], str]:
    """Return the records of complete lines and the digest of the last; check the chain."""
    records: list[Record] = []
    head = GENESIS
    for number, line in enumerate(data.split(b"\n")[:-1]):
        record = _parse_line(line, number, name)
        if (record.number, record.previous) != (number, head):
            raise RecordError(
                f"{name}: line {number} does not follow line {number - 1}: it names "
                f"{record.previous:.12}, the line before it is {head:.12}",
                code="LEDGER_BROKEN",
                remedy="Put the ledger back from a copy of the record.",
            )
        records.append(record)
        head = hashlib.sha256(line).hexdigest()
    return records, head


def _written(record: Record) -> tuple[bytes, Record]:
    """Return the line of a record, and the record as it is read again (with its keys in order).

    Whoever goes on in this process so sees the same as one who opens the ledger later. Refuses a
    record that could not be read again.
    """
    try:
        line = canonical(record.to_data())
        return line, _record_of(line)
    except (ValueError, RecursionError) as error:
        raise RecordError(
            f"record {record.number} cannot be kept: {str(error).splitlines()[0]}",
            code="RECORD_NOT_WRITTEN",
            remedy="Look at what the step yields: texts and numbers must be plain, and not huge.",
        ) from error


def _parse_line(line: bytes, number: int, name: str) -> Record:
    try:
        return _record_of(line)
    except (ValueError, RecursionError) as error:
        raise RecordError(
            f"{name}: line {number} is not a record: {str(error).splitlines()[0]}",
            code="LEDGER_INVALID",
            remedy="Put the ledger back from a copy of the record.",
        ) from error


def _record_of(line: bytes) -> Record:
    if len(line) > MAX_LINE:
        raise ValueError(f"{len(line)} bytes, more than {MAX_LINE}")
    record = RECORD.validate_json(line)
    if canonical(record.to_data()) != line:  # doubled keys, spaces, 1.0 for 1, other spellings
        raise ValueError("not in canonical form")
    return record


def _require_head(folder: Path, whole: bytes, count: int) -> None:
    """Refuse complete lines that are fewer than, or others than, those that were written."""
    known = _read_head(folder)
    if known is None and count <= 1:  # killed before the first note of a line
        return
    number, digest = known or (count, "")
    if number >= count:
        raise RecordError(
            f"ledger.jsonl ends at record {count - 1}; "
            + (f"record {number} was written" if known else "ledger.head is missing"),
            code="LEDGER_TRUNCATED",
            remedy="Put the ledger and ledger.head back from a copy of the record.",
        )
    found = hashlib.sha256(whole.split(b"\n")[number]).hexdigest()
    if found != digest:
        raise RecordError(
            f"ledger.jsonl: record {number} is {found:.12}; {digest:.12} was written",
            code="LEDGER_BROKEN",
            remedy="Put the ledger back from a copy of the record.",
        )


def _read_head(folder: Path) -> tuple[int, str] | None:
    path = folder / "ledger.head"
    if not path.exists():
        return None
    if found := HEAD.fullmatch(path.read_bytes()):
        return int(found[1]), found[2].decode()
    raise RecordError(
        "ledger.head is not a number and a digest",
        code="LEDGER_INVALID",
        remedy="Put ledger.head back from a copy of the record.",
    )


def _write_head(folder: Path, number: int, digest: str) -> None:
    """Replace the note of the newest record."""
    fresh = folder / "ledger.head.new"
    with fresh.open("wb") as file:
        file.write(f"{number} {digest}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / "ledger.head")
