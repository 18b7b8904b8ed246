"""The status of each series on a day: pre-release, bugfix, security, end of life.

The dates stand in ``release-cycle.toml`` beside this module, with the day they were looked up.
A world's own data is compared with them and can only make a run refuse: where a schedule moved,
the file is corrected first.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Literal

from relkit.errors import UsageError

Status = Literal["prerelease", "bugfix", "security", "end-of-life"]


@dataclass(frozen=True)
class Series:
    """The dates of a series: first stable release, last days of bugfix and security releases."""

    first: date
    bugfix_until: date
    end_of_life: date

    def status(self, day: date) -> Status:
        """Return the status on a day; the last day of each status belongs to it.

        On that day the last release of its kind can be made: 3.12.10 with installers, and 3.9.25
        on the very day on which 3.9 ended.
        """
        if day < self.first:
            return "prerelease"
        if day <= self.bugfix_until:
            return "bugfix"
        return "security" if day <= self.end_of_life else "end-of-life"


@dataclass(frozen=True)
class Cycle:
    """The series by name, as looked up on `looked_up`."""

    looked_up: date
    series: Mapping[str, Series]

    def status(self, series: str, day: date) -> Status:
        """Return the status of a series; one without dates is not released yet."""
        known = self.series.get(series)
        return known.status(day) if known else "prerelease"

    def newest(self, day: date) -> str:
        """Return the newest series that has a stable release on a day.

        Raises `UsageError` (``NO_SERIES``) where no series had one.
        """
        stable = [name for name, one in self.series.items() if one.first <= day]
        if not stable:
            raise UsageError(
                f"no series of Python 3 has a stable release on {day}",
                code="NO_SERIES",
                remedy="Look at the release's date.",
            )
        return max(stable, key=lambda name: int(name.partition(".")[2]))


@cache
def cycle() -> Cycle:
    """Return the committed data."""
    text = (files("relkit") / "release-cycle.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    return Cycle(data["looked_up"], {name: Series(**row) for name, row in data["series"].items()})
