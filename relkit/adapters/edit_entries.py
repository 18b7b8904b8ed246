"""The NEWS entries that wait for a release: their names, and none of them told before.

An entry is known by its date, the issues it is about and its nonce, which are parts of its file's
name, and by its words; the merged file of a release has them all. Less is not enough: people make
an entry by copying another, and a revert tells its news in the file of what it reverts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from relkit.adapters.edit_tools import read_file, refusal

NEWS = "Misc/NEWS.d"
NEXT = f"{NEWS}/next"
NAME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d(?:-\d\d-\d\d-\d\d)?)"
    r"(?P<issues>(?:\.(?:bpo|gh-issue)-\d+(?:,\d+)*)+)\.(?P<nonce>[\w-]+)\.rst",
    flags=re.ASCII,
)
NUMBER = re.compile(r"\d+", flags=re.ASCII)
FIELD = re.compile(r"^\.\. (?P<name>[a-z-]+): (?P<value>.*)$", flags=re.MULTILINE)
ISSUES = ("bpo", "gh-issue", "gh")
BETWEEN = "\n..\n"
"""What stands between two entries of a merged file."""
ABOUT = "README.rst"
"""In each folder of entries, so that git keeps it."""

Identity = tuple[str, frozenset[str], str, str]
"""The date, the numbers of the issues, the nonce, and the words without spaces (blurb wraps)."""


def check_entries(tree: Path) -> None:
    """Refuse entries that are misnamed, in the wrong place, unreadable or told already (I50).

    Raises `CheckError`: ``EDIT_NEWS_NAME``, ``EDIT_NEWS_DOUBLED`` with both paths,
    ``EDIT_ENCODING``.
    """
    told = dict(_released(tree))
    for path in sorted((tree / NEXT).rglob("*")):
        if path.is_dir() or path.name == ABOUT:
            continue
        name = path.relative_to(tree).as_posix()
        entry = _identity(name, read_file(tree, name))
        if entry in told:
            remedy = "Remove the entry from those to come: these news are told."
            raise refusal("EDIT_NEWS_DOUBLED", name, 0, f"is also in {told[entry]}", remedy)
        told[entry] = name


def _identity(path: str, text: str) -> Identity:
    """Return what an entry is known by; its path is ``Misc/NEWS.d/next/<section>/<name>``."""
    found = NAME.fullmatch(path.rpartition("/")[2])
    if found is None or path.count("/") != NEXT.count("/") + 2:
        message = "is not a NEWS entry in the folder of a section, named as blurb names them"
        raise refusal("EDIT_NEWS_NAME", path, 0, message, "Rename or move it with `blurb add`.")
    issues = frozenset(NUMBER.findall(found["issues"]))
    return found["date"], issues, found["nonce"], "".join(text.split())


def _released(tree: Path) -> Iterator[tuple[Identity, str]]:
    """Yield the entries of all released files with their places (file and line)."""
    for file in sorted((tree / NEWS).glob("*.rst")):
        name, line = file.relative_to(tree).as_posix(), 1
        for block in read_file(tree, name).split(BETWEEN):
            header, _, body = block.lstrip("\n").partition("\n\n")
            fields = {one["name"]: one["value"].strip() for one in FIELD.finditer(header)}
            numbers = frozenset(NUMBER.findall(" ".join(fields.get(one, "") for one in ISSUES)))
            words = "".join(body.split())
            first = line + len(block) - len(block.lstrip("\n"))
            yield (
                (fields.get("date", ""), numbers, fields.get("nonce", ""), words),
                f"{name}:{first}",
            )
            line += block.count("\n") + BETWEEN.count("\n")
