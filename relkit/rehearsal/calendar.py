"""What the calendar says of all series on the day of a release: the surroundings of a rehearsal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from relkit.cycle import cycle
from relkit.kinds import Kind
from relkit.rehearsal.stand import before
from relkit.release import Release, Version

FREEZE_BEFORE_FIRST = timedelta(days=155)
"""How long before its first stable release a series leaves `main`, with the first beta."""
BUGFIX_RELEASES, ALL_RELEASES = 12, 20
"""How many patch releases a series has had when bugfixes end, and when it ends itself."""


@dataclass(frozen=True)
class Phase:
    """A series, its status as the PEPs' data spells it, and its branch."""

    series: str
    status: str

    @property
    def branch(self) -> str:
        """Return the branch its changes go to."""
        return "main" if self.status == "feature" else self.series

    @property
    def version(self) -> Version:
        """Return the first stable release."""
        return Version(int(self.series.partition(".")[2]), 0)

    @property
    def is_alive(self) -> bool:
        """Whether changes are still made to it."""
        return self.status != "end-of-life"

    @property
    def is_stable(self) -> bool:
        """Whether it had a stable release, and gets more of them."""
        return self.status in {"bugfix", "security"}


def phases(release: Release) -> dict[str, Phase]:
    """Return the series as they are before a release of that day, oldest first.

    The series of the release has a status from which the release can be made; of those that are
    not released yet there is at most one in features, the last.
    """
    found = {}
    for series in [*cycle().series, release.version.series]:
        if series not in found:
            found[series] = Phase(series, _status(release, series))
            if found[series].status == "feature":
                break
    return dict(sorted(found.items(), key=lambda item: item[1].version))


def _status(release: Release, series: str) -> str:
    if series == release.version.series:
        return own_status(release)
    known = cycle().series.get(series)
    status = cycle().status(series, release.day)
    if status != "prerelease":
        return status
    early = known is None or release.day < known.first - FREEZE_BEFORE_FIRST
    newer = series_number(series) > release.version.minor
    unreleased = own_status(release) in {"feature", "prerelease"}
    return "feature" if early or (newer and unreleased) else "prerelease"


def own_status(release: Release) -> str:
    """Return the status of the release's own series, as it is when the release begins."""
    begins = release.facts.begins
    if release.facts.from_main:
        return "feature"
    status = cycle().status(release.version.series, release.day)
    return status if status in begins else begins[0]


def series_number(series: str) -> int:
    """Return the minor version of a series."""
    return int(series.partition(".")[2])


def last_release(release: Release) -> Version:
    """Return the last release of a branch before its transition."""
    last = {
        Kind.BEGIN_BUGFIX: 0,
        Kind.BEGIN_SECURITY_ONLY: BUGFIX_RELEASES,
        Kind.END_OF_LIFE: ALL_RELEASES,
    }
    return Version(release.version.minor, last[release.kind])


def published_before(release: Release) -> Iterator[tuple[Version, date]]:
    """Yield the releases the site shows before a release, with their days.

    They are the first releases of the two newest stable series, and before a stable release the
    one that it supersedes: the one before in its series, or the last candidate.
    """
    alive = [one for one in phases(release).values() if one.is_stable]
    for one in alive[-2:]:
        if one.series != release.version.series:
            yield one.version, cycle().series[one.series].first
    own = release.version
    if not release.facts.publishes:
        last, first = last_release(release), cycle().series.get(own.series)
        day = release.day - timedelta(days=30)
        yield last, day if last.micro or first is None else first.first
    elif own.micro or release.facts.first:
        yield before(own), release.day - timedelta(days=60 if own.micro else 30)
