"""The next series: what `main` becomes once beta 1 has its own branch (PEP 101).

The paths are those of the real commits 3.11.0a0, 3.12.0a0 and 3.13.0a0, and of those that had to
follow them because something was forgotten.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from relkit.adapters.edit_branch import list_branch, point_sources
from relkit.adapters.edit_configure import set_configure_series
from relkit.adapters.edit_drafts import Drafts
from relkit.adapters.edit_numbers import HEADER, README, header_version, numbered, titled
from relkit.adapters.edit_tools import Tools, refusal
from relkit.adapters.edit_whatsnew import FOLDER
from relkit.errors import CheckError
from relkit.release import Version

INDEX = f"{FOLDER}/index.rst"
TEMPLATE = "whatsnew.rst.j2"
TUTORIAL = "Doc/tutorial"
WINDOWS_CONFIG = ("PC/pyconfig.h", "PC/pyconfig.h.in")
LAUNCHER = "PC/launcher.c"
MAGIC = "Include/internal/pycore_magic_number.h"
MAGIC_STEP = 50
"""Magic numbers of a series begin at 2900 + 50n (from 3.11 on)."""
ISSUE_TEMPLATES = (".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/crash.yml")


def begin_next_series(tree: Path, version: str, time: datetime, _tools: Tools) -> None:
    """Make of `main`, at the beta 1 that `version` names or after it, the a0 of the next series.

    `time` gives the year of the tutorial's sample banner. Raises `CheckError`:
    ``EDIT_VERSION_ORDER`` where the tree is another version's, ``EDIT_SERIES`` with the file that
    does not name the series where it should, ``EDIT_CONFIGURE``, and what reading raises.
    """
    released = Version.parse(version)
    new, drafts = Version(released.minor + 1, 0, "a", 0), Drafts(tree)
    _set_version(drafts, released, new)
    _tell_tutorial(drafts, released.series, new, time.year)
    _begin_whatsnew(drafts, released.series, new.series)
    set_configure_series(drafts, released.series, new.series)
    _tell_windows(drafts, released, new)
    _begin_magic(drafts, new)
    for path in ISSUE_TEMPLATES:
        _offer(drafts, path, released)
    point_sources(drafts, "main")
    list_branch(drafts, released.series)
    drafts.save()


def _set_version(drafts: Drafts, old: Version, new: Version) -> None:
    header, readme = drafts[HEADER].split("\n"), drafts[README].split("\n")
    found, _ = header_version(header)
    if found != old:
        raise CheckError(
            f"{HEADER} has {found}, not {old}",
            code="EDIT_VERSION_ORDER",
            remedy="This is done once, on main after the beta 1.",
        )
    drafts[HEADER] = "\n".join(numbered(header, new))
    drafts[README] = "\n".join(titled(readme, new))
    _rename(drafts, README, old.series, new.series)
    # The PEP of the next series is not known to a tree; both forms are those of real releases.
    drafts.replace(README, r":pep:`\d+`(?= for Python)", ":pep:`XXX`", code="EDIT_README")
    link = r"`PEP \d+ (<https://peps\.python\.org/pep-)\d+(/>`__ for Python)"
    drafts.replace(README, link, r"`PEP TODO \1TODO\2", code="EDIT_README")


def _rename(drafts: Drafts, path: str, old: str, new: str) -> None:
    """Replace a series wherever a file names it, also in names such as ``python3.15``."""
    pattern = rf"(?<![\d.]){re.escape(old)}(?!\d|\.\d)"
    drafts.replace(path, pattern, new, code="EDIT_SERIES", missing=f"mention of {old}")


def _tell_tutorial(drafts: Drafts, old: str, new: Version, year: int) -> None:
    banner = rf"(?P<before>Python {re.escape(new.series)} \(default, [A-Z][a-z]+ \d+ )\d{{4}}"
    path = f"{TUTORIAL}/interpreter.rst"
    _rename(drafts, path, old, new.series)
    drafts.replace(path, banner, rf"\g<before>{year}", code="EDIT_SERIES")
    for name in ("stdlib.rst", "stdlib2.rst"):
        drafts.replace(
            f"{TUTORIAL}/{name}",
            r"(?P<before>[Pp]ython)3\d{1,2}(?=[\\/'])",
            rf"\g<before>3{new.minor}",
            code="EDIT_SERIES",
            missing="folder such as C:/python315",
        )


def _begin_whatsnew(drafts: Drafts, old: str, new: str) -> None:
    """Add What's New of the next series, from a template of our own, and to the list of them."""
    path = f"{FOLDER}/{new}.rst"
    if path in drafts:
        remedy = "See who added it; remove it, or begin the series by hand."
        raise refusal("EDIT_SERIES", path, 0, "is there already", remedy)
    drafts[path] = whatsnew(new, old)
    entry = rf"^(?P<lead>[ \t]+)(?P<name>(?:whatsnew/)?){re.escape(old)}(?P<end>(?:\.rst)?)$"
    both = rf"\g<lead>\g<name>{new}\g<end>\n\g<0>"
    drafts.replace(INDEX, entry, both, code="EDIT_SERIES", missing=f"entry {old}.rst")


def whatsnew(new: str, old: str) -> str:
    """Return the first text of What's New of a series."""
    environment = Environment(
        loader=PackageLoader("relkit.adapters", ""),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (reStructuredText, from our own words)
    )
    return environment.get_template(TEMPLATE).render(new=new, old=old)


def _tell_windows(drafts: Drafts, old: Version, new: Version) -> None:
    """Have extensions link to ``python316.lib`` and its variants ``python316t_d.lib``."""
    pattern = rf"(?P<before>\bpython)3{old.minor}(?=t?(?:_d)?\.lib\b)"
    for path in WINDOWS_CONFIG:
        if path in drafts:
            drafts.replace(path, pattern, rf"\g<before>3{new.minor}", code="EDIT_SERIES")


def _begin_magic(drafts: Drafts, new: Version) -> None:
    """Take the magic number that the header (3.14 and later) keeps for the next series.

    Also in the table of the old Windows launcher, where the tree has it.
    """
    if MAGIC not in drafts:
        return
    promise = rf"(?P<lead>^[ ]+)Python {re.escape(new.series)} will start with (?P<first>\d+)"
    if not (found := re.search(promise, drafts[MAGIC], flags=re.MULTILINE)):
        return
    first, after = int(found["first"]), f"3.{new.minor + 1}"
    begun = rf"\g<lead>Python {new.series}a0 {first} (Initial version)\n\n"
    kept = rf"\g<lead>Python {after} will start with {first + MAGIC_STEP}"
    drafts.replace(MAGIC, r"\n+" + promise, "\n" + begun + kept, code="EDIT_SERIES")
    number = r"(?P<before>^#define PYC_MAGIC_NUMBER )\d+$"
    missing = "number PYC_MAGIC_NUMBER"
    drafts.replace(MAGIC, number, rf"\g<before>{first}", code="EDIT_SERIES", missing=missing)
    if LAUNCHER in drafts:
        row = rf'^(?P<lead>\s*)\{{ \d+, {first - 1}, L"3\.{new.minor - 1}" \}},\n'
        last = first + MAGIC_STEP - 1
        added = rf'\g<0>\g<lead>{{ {first}, {last}, L"{new.series}" }},\n'
        drafts.replace(LAUNCHER, row, added, code="EDIT_SERIES")


def _offer(drafts: Drafts, path: str, branch: Version) -> None:
    """Put the new branch into an issue form's list of versions, if it is not there."""
    if path not in drafts or f'- "{branch.series}' in drafts[path]:
        return
    older = rf'^(?P<lead>[ ]+)- "3\.{branch.minor - 1}"$'
    offered = rf'\g<0>\n\g<lead>- "{branch.series}"'
    missing = f"version 3.{branch.minor - 1} to choose"
    drafts.replace(path, older, offered, code="EDIT_SERIES", missing=missing)
