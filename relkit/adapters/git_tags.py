"""Signed tags: made with the release manager's key, read and verified as objects (T03)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from relkit.adapters.git_command import GitCommand
from relkit.errors import VerificationError
from relkit.values import Tag

STATUS = "[GNUPG:] "
GOOD = ("GOODSIG", "VALIDSIG")
SIGNATURE = "SIG"
PRIMARY_FIELD = 10
"""Where a VALIDSIG line of gpg has the fingerprint of the primary key."""


@dataclass(frozen=True)
class SigningKey:
    """The release manager's key: gpg's home (a short path) and the full primary fingerprint."""

    home: Path
    fingerprint: str


def read_tag(git: GitCommand, name: str, object_id: str) -> Tag:
    """Read and verify a tag object that a ref for `name` leads to.

    Raises `VerificationError`: ``TAG_NOT_ANNOTATED``, ``TAG_NAME_MISMATCH``.
    """
    kind = git.line("cat-file", "-t", object_id)
    if kind != "tag":
        raise VerificationError(
            f"{name} leads to the {kind} {object_id}, not to a tag object",
            code="TAG_NOT_ANNOTATED",
            remedy="See who made it; a release has a signed, annotated tag.",
        )
    # The first three lines are object, type and tag, in this order; git refuses others.
    lines = git.run("cat-file", "tag", object_id).text.split("\n", 3)[:3]
    fields = dict(line.split(" ", 1) for line in lines)
    if fields.get("tag") != name:
        raise VerificationError(
            f"the tag object {object_id} under the name {name} says it is {fields.get('tag')!r}",
            code="TAG_NAME_MISMATCH",
            remedy="A tag was stored under another name; see who did it.",
        )
    if fields.get("type") != "commit":
        raise VerificationError(
            f"the tag {name} is on a {fields.get('type')}, not on a commit",
            code="TAG_NOT_ON_COMMIT",
            remedy="See who made it; a release is a commit.",
        )
    signer = signer_of(git, object_id)
    return Tag(name=name, tag_object=object_id, commit=fields["object"], signer=signer)


def signer_of(git: GitCommand, object_id: str) -> str | None:
    """Return the primary fingerprint of a tag's one good signature; None if there is none."""
    answer = git.ask("verify-tag", "--raw", object_id)
    lines = [line.removeprefix(STATUS).split() for line in answer.words.splitlines()]
    # GOODSIG, VALIDSIG and NEWSIG besides BADSIG, ERRSIG, EXPSIG, EXPKEYSIG, REVKEYSIG.
    said = [line for line in lines if line and line[0].endswith(SIGNATURE) and line[0] != "NEWSIG"]
    if answer.status != 0 or sorted(line[0] for line in said) != sorted(GOOD):
        return None
    valid = next(line for line in said if line[0] == "VALIDSIG")
    return valid[PRIMARY_FIELD] if len(valid) > PRIMARY_FIELD else None
