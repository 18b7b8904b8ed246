"""What an export is asked for: a tag or a commit, a version, and the form of tar it had then."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from relkit.building.objects import Objects
from relkit.errors import CheckError, UsageError
from relkit.release import Version

COMMIT = re.compile(r"[0-9a-f]{40}", flags=re.ASCII)
VERSION_LINE = re.compile(rb'^#define PY_VERSION +"([^"]+)"', flags=re.MULTILINE)
PATCHLEVEL = "Include/patchlevel.h"
NEW_FORM_SINCE = datetime(2025, 1, 1, tzinfo=UTC)
"""From which commit time on the form of GNU tar 1.35 is taken, if nobody says which.

Of the releases between those of `KNOWN_FORMS` nothing is known here, and this day is a guess: say
`--tar`, and compare with the published file. Before October 2023 official archives were made in
other ways, and have neither form in all their bytes.
"""
KNOWN_FORMS = (
    (datetime(2023, 10, 13, tzinfo=UTC), datetime(2024, 3, 13, tzinfo=UTC)),
    (datetime(2025, 6, 11, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
)
"""When the form is known from official files: of 3.13.0a1 to 3.13.0a5 (1.34), and of 3.13.5 and
3.13.15 (1.35); that it stays so is taken for granted."""


def version_of(tag: str, given: str) -> Version:
    """Return the version: the tag's own, or for a commit the given one, which may be empty.

    Raises `UsageError`: ``TAG_UNKNOWN``, ``BAD_VERSION``.
    """
    if COMMIT.fullmatch(tag):
        if not given:
            raise UsageError(
                "a commit id does not say which version it is",
                code="BAD_VERSION",
                remedy="Give --version, such as 3.15.0a1, or the tag instead of the commit.",
            )
        return Version.parse(given)
    if not tag.startswith("v"):
        raise UsageError(
            f"{tag[:60]!r} is neither a tag of a release nor a full commit id",
            code="TAG_UNKNOWN",
            remedy="Give a tag such as v3.15.0a1, or all 40 digits of a commit with --version.",
        )
    version = Version.parse(tag[1:])
    if given and Version.parse(given) != version:
        raise UsageError(
            f"the tag {tag} is not that of {given}",
            code="BAD_VERSION",
            remedy="Leave out --version: the tag says it.",
        )
    return version


def commit_of(objects: Objects, tag: str) -> str:
    """Return the commit of a tag, or of its own full id; refuse (``TAG_UNKNOWN``) any other."""
    if not COMMIT.fullmatch(tag):
        return objects.tagged(tag)
    commit = objects.commit(tag)
    if commit is None:
        raise UsageError(
            f"the repository has no commit {tag}",
            code="TAG_UNKNOWN",
            remedy="Fetch it, or name the repository that has it.",
        )
    return commit


def check_version(objects: Objects, commit: str, version: Version) -> None:
    """Refuse (``VERSION_CONFLICT``) a commit which says of itself that it is another version."""
    blob = next((one.blob for one in objects.entries(commit) if one.path == PATCHLEVEL), None)
    found = VERSION_LINE.search(objects.blob(blob)) if blob else None
    says = found[1].decode("ascii", "replace") if found else "nothing"
    if says != str(version):
        raise CheckError(
            f"{PATCHLEVEL} of {commit} says {says}, not {version}",
            code="VERSION_CONFLICT",
            remedy="Give the commit that was tagged, and its own version.",
        )


def tar_form(time: int) -> tuple[str, str]:
    """Return the form of GNU tar for a commit's time (since 1970), and why it is this one."""
    when = datetime.fromtimestamp(time, UTC)
    known = any(first <= when < last for first, last in KNOWN_FORMS)
    why = "as in official files" if known else f"a guess by the commit's day, {when:%Y-%m-%d}"
    return "1.34" if when < NEW_FORM_SINCE else "1.35", why
