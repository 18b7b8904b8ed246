"""What was asked of the cache, and when: a file of one run, for looking and for its support."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from relkit.adapters.value_files import locked, read_value, write_value
from relkit.values import Digest, Value, digest_of

OLDEST_SECONDS = 6 * 3600.0
IDS = 10
"""How many of a path's last answers are kept."""


class Moment(Value):
    """A time by two clocks: of the world (seconds since 1970), and since this machine started."""

    world: float
    machine: float


class PurgeNotes(Value):
    """`ids` are those of the cache's answers by path; `calls` say when a set of paths was asked."""

    ids: dict[str, tuple[str, ...]] = Field(default={})
    calls: dict[Digest, Moment] = Field(default={})


class Clocks(NamedTuple):
    """Where both times come from."""

    world: Callable[[], float] = time.time
    machine: Callable[[], float] = time.monotonic

    def now(self) -> Moment:
        """Return the present."""
        return Moment(world=self.world(), machine=self.machine())

    def since(self, moment: Moment) -> float:
        """Return the seconds that have surely gone by; less than 0 after a clock was set back.

        A clock that jumped ahead would make an old page look new, so the slower one counts.
        """
        return min(self.world() - moment.world, self.machine() - moment.machine)


class Notes:
    """The notes of one run, in a file that survives a kill."""

    def __init__(self, path: Path, clocks: Clocks) -> None:
        self._path, self.clocks = path, clocks

    def begin(self, paths: tuple[str, ...]) -> None:
        """Note that these paths are going to be asked for now."""
        with locked(self._path):
            notes = self._read()
            calls = {**notes.calls, digest_of(list(paths)): self.clocks.now()}
            write_value(self._path, notes.model_copy(update={"calls": calls}))

    def begun(self, paths: tuple[str, ...]) -> Moment | None:
        """Return since when exactly these paths are asked for; None: not, or too long ago."""
        found = self._read().calls.get(digest_of(list(paths)))
        if found is None or not 0 <= self.clocks.since(found) <= OLDEST_SECONDS:
            return None
        return found

    def answered(self, ids: dict[str, str]) -> None:
        """Keep what the cache's answers are known by there."""
        with locked(self._path):
            notes = self._read()
            more = {path: (*notes.ids.get(path, ()), one)[-IDS:] for path, one in ids.items()}
            write_value(self._path, notes.model_copy(update={"ids": {**notes.ids, **more}}))

    def ids(self, path: str) -> tuple[str, ...]:
        """Return the ids of a path's purges, oldest first."""
        return self._read().ids.get(path, ())

    def _read(self) -> PurgeNotes:
        return read_value(self._path, PurgeNotes) if self._path.exists() else PurgeNotes()
