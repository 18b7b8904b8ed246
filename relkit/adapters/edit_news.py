"""The NEWS of a release, by CPython's own tool."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from relkit.adapters.edit_entries import ABOUT, NEXT, check_entries
from relkit.adapters.edit_tools import Tools, read_file, refusal, run, write_file
from relkit.errors import CheckError
from relkit.release import Version

BLURB_VERSIONS = {13: "1.1.0"}
"""The blurb for series up to this minor version; see `blurb_for`."""
NEWEST_BLURB = "2.3.0"
SECONDS = 300.0
DATE = re.compile(r"\.\. (?P<field>release date|date): (?P<day>\d{4}-\d\d-\d\d)", flags=re.ASCII)
TOP = {
    "README.rst": "This is Python version 3.",
    "LICENSE": "A. HISTORY OF THE SOFTWARE\n",
    "Include/Python.h": "",
    "Python/ceval.c": "",
}
"""By what blurb knows the top of CPython's tree, and how these files begin."""
NO_CHANGES = ".. no changes: True"


def blurb_for(version: str) -> str:
    """Return the version of blurb that the tree of a release needs.

    Trees up to 3.13 have old entries (``.. gh:``) that blurb 2 refuses, and blurb 1.2 merges
    them into another text than the one that was published.
    """
    minor = Version.parse(version).minor
    return next((blurb for last, blurb in BLURB_VERSIONS.items() if minor <= last), NEWEST_BLURB)


def release_news(tree: Path, version: str, time: datetime, tools: Tools) -> None:
    """Merge the entries of ``Misc/NEWS.d/next`` into the file of the release, dated by `time`.

    Raises `CheckError`: ``EDIT_NEWS`` with blurb's words, ``EDIT_NEWS_EXISTS``,
    ``EDIT_NEWS_DATE``, and what `check_entries` raises.
    """
    news = f"Misc/NEWS.d/{version}.rst"
    if (tree / news).exists():
        remedy = "The NEWS of this version were released already; look at the branch."
        raise refusal("EDIT_NEWS_EXISTS", news, 0, "is there already", remedy)
    _check_top(tree)
    check_entries(tree)
    today = {datetime.now(UTC).date().isoformat()}
    # Nothing at the top of the tree may stand in for a module that blurb imports.
    run(
        tools,
        [*tools.blurb, "release", version],
        folder=tree,
        log="blurb release",
        code="EDIT_NEWS",
        seconds=SECONDS,
        environment={"PYTHONSAFEPATH": "1"},
    )
    today.add(datetime.now(UTC).date().isoformat())
    text = read_file(tree, news)
    write_file(tree, news, _dated(text, news, today=today, day=time.date().isoformat()))
    _check_all_taken(tree)


def _check_top(tree: Path) -> None:
    """Refuse a tree that blurb would not take for CPython's: it would look in parent folders."""
    for path, beginning in TOP.items():
        if not read_file(tree, path).startswith(beginning):
            message, remedy = f"does not begin with {beginning!r}", "See whether this is CPython."
            raise refusal("EDIT_NEWS", path, 1, message, remedy)


def _dated(text: str, path: str, *, today: set[str], day: str) -> str:
    """Replace the dates that blurb took from its clock, and no other.

    They are in the header of the first entry: the release date, and where there were no changes
    the date of the entry that says so.
    """
    header, blank, rest = text.partition("\n\n")
    lines = header.split("\n")
    fields = {"release date", "date"} if NO_CHANGES in lines else {"release date"}
    dated = set()
    for index, line in enumerate(lines):
        found = DATE.fullmatch(line)
        if found and found["field"] in fields and found["day"] in today:
            lines[index] = f".. {found['field']}: {day}"
            dated.add(found["field"])
    if dated != fields:
        message = f"blurb left no release date of {' or '.join(sorted(today))}"
        remedy = "Another blurb than expected? See which one ran, and its log."
        raise refusal("EDIT_NEWS_DATE", path, 1, message, remedy)
    return "\n".join(lines) + blank + rest


def _check_all_taken(tree: Path) -> None:
    left = sorted(
        str(path.relative_to(tree)) for path in (tree / NEXT).rglob("*.rst") if path.name != ABOUT
    )
    if left:
        raise CheckError(
            f"blurb left {len(left)} entries: {', '.join(left[:5])}",
            code="EDIT_NEWS",
            remedy="See whether they are in the right folders and named as blurb names them.",
        )
