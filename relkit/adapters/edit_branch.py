"""A branch that begins: what names `main` in a tree, and the lists that the branches stand in."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from relkit.adapters.edit_drafts import Drafts
from relkit.adapters.edit_numbers import README
from relkit.adapters.edit_tools import Tools
from relkit.release import Version

SOURCE_URI_IN = ("Doc/tools/extensions/pyspecific.py", "Doc/conf.py")
"""Where the docs' address of sources stood until 3.14, and may stand."""
WORKFLOWS = (".github/workflows/*.yml", ".azure-pipelines/*.yml")
MAIN_IN_LINK = r"(?P<before>/(?:blob|tree)/|/commits/|[?&]branch=|[?&]branchName=)main(?=[/&>\s]|$)"


def start_branch(tree: Path, version: str, _time: datetime, _tools: Tools) -> None:
    """Have the tree of a new branch name itself instead of `main`.

    The links and badges of the README (PEP 101), the docs' links to sources, and the lists of
    branches that continuous integration builds. `version` is the beta 1 that the branch begins
    with. Doing it twice changes nothing more. Raises `CheckError`: ``EDIT_README`` where no link
    leads to a branch, and what reading raises.
    """
    series, drafts = Version.parse(version).series, Drafts(tree)
    done = re.search(rf"/(?:blob|tree)/{re.escape(series)}/", drafts[README])
    missing = "" if done else "link to main"
    drafts.replace(
        README, MAIN_IN_LINK, rf"\g<before>{series}", code="EDIT_README", missing=missing
    )
    point_sources(drafts, series)
    list_branch(drafts, series)
    drafts.save()


def point_sources(drafts: Drafts, branch: str) -> None:
    """Have the docs' links to sources lead to a branch, where the tree has the address.

    It was forgotten on one side or the other at several of the last first betas.
    """
    for path in SOURCE_URI_IN:
        if path in drafts:
            pattern = r"^(?P<before>SOURCE_URI = '[^'\s]*/tree/)(?:main|3\.\d+)(?=/)"
            drafts.replace(path, pattern, rf"\g<before>{branch}", code="EDIT_SOURCE_URI")


def list_branch(drafts: Drafts, series: str) -> None:
    """Put a branch behind `main` where a list of branches goes on with an older one.

    A list that names ``3.*`` has it already.
    """
    old = rf"(?P=quote)(?!{series.replace('.', '[.]')}(?P=quote))3\.\d+(?P=quote)"
    lines = rf"^(?P<lead>[ #]*- )(?P<quote>['\"])main(?P=quote)[ ]*\n(?=(?P=lead){old})"
    inline = rf"(?P<quote>['\"])main(?P=quote), (?={old})"
    for path in drafts.matching(*WORKFLOWS):
        quoted = rf"\g<quote>{series}\g<quote>"
        drafts.replace(path, lines, rf"\g<0>\g<lead>{quoted}\n", code="EDIT_WORKFLOW")
        drafts.replace(path, inline, rf"\g<0>{quoted}, ", code="EDIT_WORKFLOW")
