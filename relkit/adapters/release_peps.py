"""The lists of releases in a release PEP, made from the release data.

They stand between the markers ``.. release schedule: feature`` (or ``bugfix``, ``security``) and
``.. release schedule: ends``, one bullet for each release: ``- 3.15.0 beta 1: Thursday,
2026-05-07``, with a note below it in brackets where the data has one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from relkit.adapters.release_data import releases, tables, unfit

BEGIN = re.compile(r"\.\. release schedule: (feature|bugfix|security)")
END = ".. release schedule: ends"
FREEZE = "(No new features beyond this point.)"
LAST_BUGFIX = "(Final regular bugfix release with binary installers)"
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def pep_path(data: str, series: str) -> str:
    """Return the path of the PEP with the releases of a series; empty if the data names none."""
    number = tables(data, "metadata").get(series, {}).get("pep")
    return f"peps/pep-{number:04}.rst" if type(number) is int and 0 < number <= 9999 else ""  # noqa: PLR2004 (PEPs have four digits)


def with_releases(pep: str, data: str, series: str) -> str:
    """Return the PEP with the lists as the data has them; without markers it is as it was.

    Raises `WorldError` (``RELEASE_DATA``) if a list does not end, or data is missing for it.
    """
    made: list[str] = []
    lines = iter(pep.split("\n"))
    for line in lines:
        made.append(line)
        if begun := BEGIN.fullmatch(line):
            made += _lists(begun[1], data, series)
            if END not in lines:  # goes on to behind it
                raise unfit(f"the list {begun[1]} in the PEP of {series} does not end: {END}")
            made.append(END)
    return "\n".join(made)


def _lists(name: str, data: str, series: str) -> Iterator[str]:
    about = tables(data, "metadata")[series]
    try:
        found = list(_listed(name, data, series, about))
    except (KeyError, TypeError, AttributeError) as error:
        raise unfit(f"the data of {series} does not fit its PEP: {error!r}") from error
    for state in ("actual", "expected"):
        rows = [one for one in found if one["state"] == state]
        if not rows:
            continue
        yield ""
        if name != "security":
            yield from (f"{state.title()}:", "")
        for one in rows:
            yield f"- {one['stage']}: {DAYS[one['date'].weekday()]}, {one['date'].isoformat()}"
            if one.get("note"):
                yield f"  ({one['note']})"
            if name != "feature" or one["date"] != about["feature-freeze"]:
                continue
            yield f"  {FREEZE}"
    if name == "bugfix":
        yield f"  {LAST_BUGFIX}"
    yield ""


def _listed(
    name: str, data: str, series: str, about: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the releases of one list. Development of a series whose releases began has begun."""
    ends: date = about["end-of-bugfix"]
    every: list[dict[str, Any]] = releases(data).get(series, [])
    if name == "feature":
        begun = any(one["state"] == "actual" for one in every)
        begun = begun or about["status"] != "planned"
        state = "actual" if begun else "expected"
        start = about["start-of-development"]
        yield {"stage": f"{series} development begins", "state": state, "date": start}
    for one in every:
        first = one["stage"].startswith(f"{series}.0")
        kind = "feature" if first else "bugfix" if one["date"] <= ends else "security"
        if kind == name:
            yield one
