"""The text that an expert puts beside uploaded files: what they are, and what they were built from.

    commit 0123456789012345678901234567890123456789
    version 3.15.0a1
    <SHA-256>  python-3.15.0a1-macos11.pkg

Two lines that anybody can write (the commit is ``git rev-parse HEAD`` where it was built), then
what ``sha256sum *`` or ``shasum -a 256 *`` prints there. In place of the digests a line
``failed REASON`` says that there will be no files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relkit.errors import CheckError, ReleaseError
from relkit.values import Build

LIST = "built-from.txt"
SHOWN = 3
LINE = re.compile(r"([0-9a-fA-F]{64}) [ *]([A-Za-z0-9][A-Za-z0-9._+-]{0,150})")
HEAD = re.compile(r"(commit) ([0-9a-f]{40})|(version) ([0-9a-z.]{1,20})|(failed) (\S.{0,200})")
WEAK = re.compile(r"(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}) [ *].*")


@dataclass(frozen=True)
class Said:
    """What an expert's list says; `failed` is why there are no files, empty if there are."""

    commit: str
    version: str
    digests: Mapping[str, str]
    failed: str = ""

    def is_of(self, build: Build) -> bool:
        """Tell whether it is about the commit and version of a build."""
        return (self.commit, self.version) == (build.commit, build.version)


def read_list(text: str) -> Said:
    """Read an expert's list. Raises `CheckError` (``INCOMING_LIST``, ``WEAK_DIGEST``)."""
    heads: dict[str, str] = {}
    digests: dict[str, str] = {}
    # A text from Windows may begin with a mark and end its lines in its own way.
    for line in text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"):
        if not line.strip():
            continue
        if WEAK.fullmatch(line):
            raise refused("WEAK_DIGEST", f"{shown(line)} has no SHA-256")
        if found := HEAD.fullmatch(line):
            name, value = (word for word in found.groups() if word)
            known = heads
        elif found := LINE.fullmatch(line):
            value, name = found[1].lower(), found[2]
            known = digests
        else:
            raise refused("INCOMING_LIST", f"nobody can read {shown(line)} in it")
        if known.setdefault(name, value) != value:
            raise refused("INCOMING_LIST", f"it says two things of {name}")
    digests.pop(LIST, None)  # of an older form of itself, if it lay there already
    failed = heads.pop("failed", "")
    if {*heads} != {"commit", "version"}:
        raise refused("INCOMING_LIST", f"it says {some(sorted(heads)) or 'nothing'} of the two")
    return Said(heads["commit"], heads["version"], digests, failed)


def some(names: Sequence[str]) -> str:
    """Return the first of several names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def shown(text: str) -> str:
    """Return what a stranger wrote as plain ASCII, cut."""
    return ascii(text)[:100]


def refused(code: str, said: str) -> ReleaseError:
    """Return the refusal of an upload."""
    return CheckError(
        f"what an expert uploaded cannot be taken: {said}",
        code=code,
        remedy=f"Ask the expert to put exactly the expected files and {LIST} there, all anew.",
    )
