"""Entries of CPython's NEWS: those a release tells, and the files of those that wait.

A file of a release (``Misc/NEWS.d/3.15.0rc2.rst``) has entries with ``.. date:``,
``.. gh-issue:``, ``.. nonce:``, ``.. section:`` and a text, and a line of two dots after each.
One that waits is a file ``<date>.gh-issue-<number>.<nonce>.rst`` with the text alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

END = re.compile(r"^\.\.[ \t]*$", flags=re.MULTILINE)
FIELD = re.compile(r"^\.\. ([a-z][a-z -]*): ?(.*)$", flags=re.MULTILINE)
WAITING = re.compile(r"[^.]+\.(?:gh-issue|bpo)-([0-9]+)\.([^.]+)\.rst", flags=re.ASCII)
ISSUES = ("gh-issue", "gh", "bpo")


@dataclass(frozen=True)
class Entry:
    """An entry: its issue, its nonce, and its text with single spaces."""

    issue: str
    nonce: str
    text: str


@dataclass(frozen=True)
class Told:
    """What a release tells."""

    entries: tuple[Entry, ...]

    @classmethod
    def read(cls, text: str) -> Told:
        """Read the NEWS of a release."""
        chunks = (one for one in END.split(text) if one.strip())
        return cls(tuple(_entry(chunk) for chunk in chunks))

    def holds(self, path: str, text_of: Callable[[], str]) -> bool:
        """Tell whether a waiting entry, given as its path and text, is among what is told.

        An entry is the same if two of these agree: issue, nonce, text. A copy on another branch
        may have been given a nonce of its own, or its text been mended since.
        """
        named = WAITING.fullmatch(PurePosixPath(path).name)
        if named is None:
            return False
        issue, nonce = named.groups()
        near = [one for one in self.entries if one.issue == issue or one.nonce == nonce]
        if any((one.issue, one.nonce) == (issue, nonce) for one in near):
            return True
        return bool(near) and _plain(text_of()) in {one.text for one in near}


def _entry(chunk: str) -> Entry:
    fields = dict(FIELD.findall(chunk))
    issue = next((fields[name].strip() for name in ISSUES if name in fields), "")
    return Entry(issue, fields.get("nonce", "").strip(), _plain(chunk))


def _plain(text: str) -> str:
    return " ".join(FIELD.sub("", text).split())
