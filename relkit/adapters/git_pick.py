"""Merging trees by three sides, and picking commits with it, beside every branch and work tree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from relkit.adapters.git_clone import beside
from relkit.adapters.git_command import GitCommand, Identity, failure
from relkit.adapters.git_edit import EDITOR_IDENTITY, commit_tree, read_commit
from relkit.errors import CheckError

SIDE = EDITOR_IDENTITY.stamps(datetime(2000, 1, 1, tzinfo=UTC))
"""The stamps of commits that only stand for a side: always the same ones."""
CLEAN, CONFLICTS = 0, 1
PICKED_FROM = re.compile(r"\(cherry picked from commit ([0-9a-f]{40})\)", flags=re.ASCII)
TRAILER = re.compile(r"[A-Za-z0-9-]+: .*|\(cherry picked from commit [0-9a-f]{40}\)")


@dataclass(frozen=True)
class Merged:
    """The tree that came out, and the paths in it that hold conflicts."""

    tree: str
    conflicts: tuple[str, ...]


def three_way(git: GitCommand, *, base: str, ours: str, theirs: str) -> Merged:
    """Merge the trees of two commits as if `base` were where they part.

    Renames are not followed, and attributes of whatever is checked out have no say.
    """
    sides = [
        # git looks for the base itself; each side stands on it by a commit that is never kept.
        commit_tree(git, read_commit(git, side)[0].tree, (base,), "a side of a merge", SIDE)
        for side in (ours, theirs)
    ]
    with beside(git.folder, "merge") as empty:
        inside = replace(git, folder=empty).with_environment(GIT_INDEX_FILE=str(empty / "index"))
        answer = inside.ask(
            "merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", *sides
        )
    if answer.status not in {CLEAN, CONFLICTS}:
        raise failure("merge-tree", answer)
    tree, *conflicts = answer.fields()
    return Merged(tree, tuple(sorted({path for path in conflicts if path})))


def pick(
    git: GitCommand, *, base: str, commits: Sequence[str], committer: Identity, time: datetime
) -> list[str]:
    """Pick commits onto `base` in order; return the new ones. No ref is made.

    Raises `CheckError`: ``PICK_CONFLICT``, ``PICK_MERGE``, ``PICK_EMPTY``.
    """
    made: list[str] = []
    for commit in commits:
        made.append(_picked(git, commit, made[-1] if made else base, committer, time))
    return made


def _picked(git: GitCommand, commit: str, onto: str, committer: Identity, time: datetime) -> str:
    found, _ = read_commit(git, commit)
    author, message = _authored(git, commit)
    named = f"{commit} ({message.partition(chr(10))[0]})"
    if len(found.parents) != 1:
        raise _refusal(
            "PICK_MERGE",
            f"{named} has {len(found.parents)} parents",
            "Pick the commits that it merged, one by one.",
        )
    merged = three_way(git, base=found.parents[0], ours=onto, theirs=commit)
    if merged.conflicts:
        raise _refusal(
            "PICK_CONFLICT",
            f"{named} does not apply to {onto}: {', '.join(merged.conflicts)}",
            "Pick what it builds on as well, or have the change made on the branch for this one.",
        )
    if merged.tree == read_commit(git, onto)[0].tree:
        raise _refusal("PICK_EMPTY", f"{named} changes nothing on {onto}", "Leave it out.")
    stamps = committer.stamps(time) | author
    return commit_tree(git, merged.tree, (onto,), noted(message, commit), stamps)


def noted(message: str, commit: str) -> str:
    """Return a commit message that says where it was picked from; trailers stay together."""
    subject, *paragraphs = message.rstrip("\n").split("\n\n")
    last = paragraphs[-1].split("\n") if paragraphs else []
    trailers = bool(last) and all(TRAILER.fullmatch(line) for line in last)
    text = "\n\n".join([subject, *paragraphs])
    return f"{text}{'' if trailers else chr(10)}\n(cherry picked from commit {commit})"


def _authored(git: GitCommand, commit: str) -> tuple[dict[str, str], str]:
    """Return who wrote a commit, and when, as git's environment has it; and the message."""
    shown = git.run(
        *("log", "-1", "--no-show-signature", "--no-mailmap", "--encoding=UTF-8", "--date=raw"),
        *("--format=%an%x00%ae%x00%ad%x00%B", "--end-of-options", commit),
    )
    name, email, date, message = shown.text.split("\0", 3)
    stamps = {"NAME": name, "EMAIL": email, "DATE": f"@{date}"}
    return {f"GIT_AUTHOR_{key}": value for key, value in stamps.items()}, message.rstrip("\n")


def picked_from(message: str) -> str | None:
    """Return the commit a message says last that it was picked from."""
    found = PICKED_FROM.findall(message)
    return str(found[-1]) if found else None


def _refusal(code: str, message: str, remedy: str) -> CheckError:
    return CheckError(message, code=code, remedy=remedy)
