"""The release data of the PEPs repository: the releases of each series, and their PEPs' lists.

``release_management/python-releases.toml`` has, for each series, a table ``metadata`` with its
`status`, `branch` and `pep`, and a list of releases with `stage` (``3.15.0 alpha 1``), `state`
(``expected`` or ``actual``) and `date`. It is edited line by line, so that comments and order
stay, and read again before it is committed. A release PEP has the same releases as lists of text
between markers, which are made anew from the data whenever it changes.
"""

from __future__ import annotations

import re
import tomllib
from datetime import date
from typing import Any

from relkit.errors import UsageError, WorldError
from relkit.release import Version

PATH = "release_management/python-releases.toml"
FINAL = "final"
STAGE_NAMES = {"a": "alpha", "b": "beta", "rc": "candidate", "final": "final"}
STAGE = re.compile(r"(\d+\.\d+\.\d+)(?: (alpha|beta|candidate|final)(?: (\d+))?)?", flags=re.ASCII)
SERIES = re.compile(r"[1-9]\.[0-9]{1,3}", flags=re.ASCII)
STATUSES = ("feature", "prerelease", "bugfix", "security", "end-of-life")
PARTS = re.compile(r"(?m)^(?=\[)")
"""Each part but the first begins with the heading of a table."""


def mark_released(text: str, series: str, stage: str, day: date) -> str:
    """Return the data with one release marked as made on `day`; it is added if it is missing."""
    heading = f'[[release."{series}"]]'
    parts = PARTS.split(text)
    for number, part in enumerate(parts):
        if part.startswith(heading) and same(_stage_in(part), stage):
            made = re.sub(r"(?m)^state = .*$", 'state = "actual"', part)
            parts[number] = re.sub(r"(?m)^date = .*$", f"date = {day.isoformat()}", made)
            return "".join(parts)
    return _added(parts, heading, stage, entry(series, stage, "actual", day))


def _added(parts: list[str], heading: str, stage: str, table: str) -> str:
    """Return the data with one more release where it belongs among those of its series."""
    same = [number for number, part in enumerate(parts) if part.startswith(heading)]
    for number in same:
        if order(_stage_in(parts[number])) > order(stage):
            parts[number] = f"{table}\n{parts[number]}"
            return "".join(parts)
    if not same:
        return "".join(parts).rstrip("\n") + "\n\n" + table
    # What follows the last table's lines are words about the next one.
    lines = parts[same[-1]].splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if re.match(r"[a-z]+ =", line))
    if not lines[last].endswith("\n"):
        lines[last] += "\n"
    parts[same[-1]] = "".join([*lines[: last + 1], "\n", table, *lines[last + 1 :]])
    return "".join(parts)


def _stage_in(part: str) -> str:
    found = re.search(r'(?m)^stage = "(.*)"$', part)
    return found[1] if found else ""


def order(stage: str) -> tuple[int, ...]:
    """Return what stages are sorted by; one of another form comes first."""
    found = STAGE.fullmatch(stage)
    if found is None:
        return ()
    base = tuple(int(one) for one in found[1].split("."))
    return (*base, [*STAGE_NAMES.values()].index(found[2] or FINAL), int(found[3] or 0))


def same(one: str, other: str) -> bool:
    """Tell whether two stages are the same: older data calls a patch release ``3.9.1 final``."""
    return one.removesuffix(f" {FINAL}") == other.removesuffix(f" {FINAL}")


def released(text: str, series: str, stage: str) -> date | None:
    """Return when a release was made, by the data; None if it was not."""
    for release in releases(text).get(series, []):
        if same(str(release.get("stage")), stage) and release.get("state") == "actual":
            found = release.get("date")
            return found if isinstance(found, date) else None
    return None


def mark_status(text: str, series: str, status: str) -> str:
    """Return the data with another status of a series, which is added if it is missing."""
    heading = f'[metadata."{series}"]'
    parts = PARTS.split(text)
    for number, part in enumerate(parts):
        if part.startswith(heading):
            marked = re.sub(r"(?m)^status = .*$", f'status = "{status}"', part)
            branch = _branch(series, status)
            parts[number] = re.sub(r"(?m)^branch = .*$", f'branch = "{branch}"', marked)
            return "".join(parts)
    return text.rstrip("\n") + "\n\n" + _metadata(series, status)


def statuses(text: str) -> dict[str, str]:
    """Return the status of each series, by the data."""
    return {series: str(table.get("status")) for series, table in tables(text, "metadata").items()}


def stage_of(version: Version) -> str:
    """Return a version as the data has it: ``3.15.0 candidate 1``, ``3.15.0 final``, ``3.15.1``."""
    if version.level == FINAL and version.micro:
        return version.base
    return f"{version.base} {STAGE_NAMES[version.level]} {version.serial or ''}".rstrip()


def entry(series: str, stage: str, state: str, day: date) -> str:
    """Return the table of one release."""
    return (
        f'[[release."{series}"]]\nstage = "{stage}"\nstate = "{state}"\ndate = {day.isoformat()}\n'
    )


def _metadata(series: str, status: str) -> str:
    branch = _branch(series, status)
    return f'[metadata."{series}"]\nstatus = "{status}"\nbranch = "{branch}"\n'


def _branch(series: str, status: str) -> str:
    return "main" if status == "feature" else series


def releases(text: str) -> dict[str, list[dict[str, object]]]:
    """Return the releases by series; raise `WorldError` (``RELEASE_DATA``)."""
    try:
        found = tables(text, "release")
        return {series: [dict(one) for one in found[series]] for series in found}
    except (TypeError, ValueError) as error:
        raise _unreadable(error) from error


def tables(text: str, kind: str) -> dict[str, Any]:
    """Return the tables of a kind by series; raise `WorldError` (``RELEASE_DATA``)."""
    try:
        found = tomllib.loads(text).get(kind, {})
        return {series: found[series] for series in found}
    except (TypeError, ValueError, RecursionError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> WorldError:
    return WorldError(
        f"{PATH} cannot be read: {error}",
        code="RELEASE_DATA",
        remedy="Mend it there; each release is a table of its series.",
    )


def unfit(message: str) -> WorldError:
    """Return the refusal of an edit that would not do just what is wanted."""
    return WorldError(
        message, code="RELEASE_DATA", remedy="Edit it by hand there, and look at its form."
    )


def with_release(before: str, series: str, stage: str, day: date) -> str:
    """Return the data with a release made on a day, and nothing else changed.

    Raises `WorldError` (``RELEASE_DATA``).
    """
    wanted, there = releases(before), statuses(before)
    found = [one for one in wanted.get(series, []) if same(str(one.get("stage")), stage)]
    if (made := released(before, series, stage)) not in {None, day}:
        raise unfit(f"{stage} was released on {made}, says {PATH}, and not on {day}")
    if not found:
        found = [{"stage": stage}]
        wanted[series] = [*wanted.get(series, []), *found]
    found[0].update(state="actual", date=day)
    after = mark_released(before, series, stage, day)
    if _sorted(releases(after)) != _sorted(wanted) or statuses(after) != there:
        raise unfit(f"editing {PATH} for {stage} would change more than that")
    return after


def with_status(before: str, series: str, status: str) -> str:
    """Return the data with a status of a series, and nothing else changed.

    Raises `WorldError` (``RELEASE_DATA``).
    """
    after = mark_status(before, series, status)
    wanted = {**statuses(before), series: status}
    if statuses(after) != wanted or releases(after) != releases(before):
        raise unfit(f"editing {PATH} for the status of {series} would change more than that")
    return after


def _sorted(found: dict[str, list[dict[str, object]]]) -> dict[str, list[tuple[str, ...]]]:
    return {
        series: sorted(tuple(f"{key}={one[key]}" for key in sorted(one)) for one in given)
        for series, given in found.items()
    }


def checked_series(series: str) -> str:
    """Return a series as it is, or refuse it (``BAD_SERIES``)."""
    if not SERIES.fullmatch(series):
        raise UsageError(
            f"{series[:40]!a} is no series",
            code="BAD_SERIES",
            remedy="Give it as 3.15.",
        )
    return series


def checked_status(status: str) -> str:
    """Return a status as it is, or refuse it (``BAD_STATUS``)."""
    if status not in STATUSES:
        raise UsageError(
            f"{status[:40]!a} is no status of a series",
            code="BAD_STATUS",
            remedy=f"Give one of {', '.join(STATUSES)}.",
        )
    return status


def checked_version(series: str, version: str) -> str:
    """Return the stage of a version of a series. Raises ``BAD_SERIES``, ``BAD_VERSION``."""
    parsed = Version.parse(version)
    if parsed.series != checked_series(series):
        raise UsageError(
            f"{version} is of the series {parsed.series}, not {series}",
            code="BAD_SERIES",
            remedy="Give the version's own series.",
        )
    return stage_of(parsed)
