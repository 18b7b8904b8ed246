"""The history of a sample branch, and its way into a repository.

What a branch looks like at each commit is in `relkit.rehearsal.stand`. The same version gives the
same commit ids on every machine, also where branches are added to one repository one by one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from relkit.errors import WorldError
from relkit.rehearsal.stand import (
    BEGINNING,
    DAY,
    ENTRIES,
    Stand,
    before,
    files,
    first_of,
    is_executable,
)
from relkit.release import Version
from relkit.values import ObjectId

__all__ = ["Stand", "add_branch", "before", "branch_of", "files", "generate", "history"]
WHO = "Rehearsal Developer <developer@rehearsal.invalid>"
TIMEOUT_SECONDS = 60.0
HIDDEN = "refs/relkit/new"
"""Where a branch grows until it is whole."""


@dataclass(frozen=True)
class Change:
    """A commit to make: its message, the tree it leaves, and whether it is tagged as a release."""

    message: str
    stand: Stand
    tag: bool = False


def branch_of(version: Version) -> str:
    """Return the branch a version is released from: `main` up to the first beta, then ``3.X``."""
    early = version.level == "a" or (version.level, version.serial) == ("b", 1)
    return "main" if early else version.series


def generate(target: Path, version: Version) -> None:
    """Write the tree from which `version` will be released into a new folder."""
    for path, data in files(history(version)[-1].stand).items():
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(0o755 if is_executable(path) else 0o644)


def history(version: Version) -> list[Change]:
    """Return the commits that lead to where a version can be released, oldest first.

    The release before is tagged, and after it came changes with NEWS entries. For a patch release
    the first one of the series is there as well.
    """
    last, branch = before(version), branch_of(version)
    changes = standing(last, branch)
    if version == first_of(version):
        begun = replace(version, serial=0)
        changes[-1] = Change(f"Python {begun}", Stand(begun))
    begun_at = changes[-1].stand
    for count in range(2, len(ENTRIES) + 1, 2):
        entries = ENTRIES[:count] if count < len(ENTRIES) - 1 else ENTRIES
        subject = entries[-1].text.splitlines()[0]
        forms = count if branch == "main" else 0
        stand = replace(begun_at, entries=entries, changes_of_form=forms)
        changes.append(Change(f"gh-{entries[-1].number}: {subject}", stand))
    return changes


def standing(last: Version, branch: str) -> list[Change]:
    """Return the commits that lead to a branch whose last release was `last`, oldest first."""
    tagged = [last] if not last.micro else [Version(last.minor, 0), last]
    changes = [
        Change(f"Python {one}", Stand(one, branch=branch_of(one)), tag=True) for one in tagged
    ]
    return [*changes, Change(f"Post {last}", Stand(last, after=True, branch=branch))]


# --- into a repository ------------------------------------------------------------------------


def make_repository(target: Path, version: Version) -> ObjectId:
    """Make a bare repository whose branch can release `version`; return the branch's head."""
    return make_branch_repository(target, branch_of(version), history(version))


def make_branch_repository(target: Path, branch: str, changes: list[Change]) -> ObjectId:
    """Make a bare repository of one generated branch; return the branch's head.

    Releases are tagged in it (annotated, not signed). It appears whole or not at all; one that is
    there already stays.
    """
    if not target.exists():
        new = target.with_name(f".{target.name}.new")
        shutil.rmtree(new, ignore_errors=True)  # of a process that was killed
        _git(["init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(new)])
        add_branch(new, branch, changes)
        new.rename(target)
    return _line(target, "rev-parse", f"refs/heads/{branch}")


def add_branch(repository: Path, branch: str, changes: list[Change]) -> None:
    """Add a branch with these commits to a bare repository, unless it has one of that name.

    A release that is tagged there already is gone on from. The branch appears in the end and in
    one step; whoever is killed before that, or does it again, comes to the same commits.
    """
    if _ref(repository, f"refs/heads/{branch}"):
        return
    there = _ref(repository, "refs/tags/*")
    skipped = max((n for n, one in enumerate(changes, 1) if _tag(one) in there), default=0)
    base = f"{_tag(changes[skipped - 1])}^0" if skipped else ""
    hidden = f"{HIDDEN}/{branch}"
    stream = b"".join(_import(changes, skipped, base, hidden))
    _git(["-C", str(repository), "fast-import", "--quiet", "--force"], stream)
    head = _line(repository, "rev-parse", hidden)
    moves = f"create refs/heads/{branch} {head}\ndelete {hidden} {head}\n"
    _git(["-C", str(repository), "update-ref", "--stdin"], moves.encode())


def _tag(change: Change) -> str:
    return f"refs/tags/v{change.stand.version}" if change.tag else "no tag"


def _ref(repository: Path, pattern: str) -> set[str]:
    """Return the refs of a pattern by name."""
    return set(_line(repository, "for-each-ref", "--format=%(refname)", pattern).split())


def _import(changes: Iterable[Change], skipped: int, base: str, ref: str) -> Iterator[bytes]:
    """Yield the commits in the form which ``git fast-import`` reads; `base` is gone on from."""
    for number, change in enumerate(changes):
        if number < skipped:
            continue
        seconds = int((BEGINNING + number * 5 * DAY).timestamp())
        who = f"{WHO} {seconds} +0000\n"
        yield f"commit {ref}\nauthor {who}committer {who}".encode()
        yield _data(change.message.encode())
        if number == skipped and base:
            yield f"from {base}\n".encode()
        yield b"deleteall\n"
        for path, data in sorted(files(change.stand).items()):
            mode = "100755" if is_executable(path) else "100644"
            yield f"M {mode} inline {path}\n".encode() + _data(data)
        if change.tag:
            version = change.stand.version
            yield f"tag v{version}\nfrom {ref}\ntagger {who}".encode()
            yield _data(f"Python {version}".encode())


def _data(content: bytes) -> bytes:
    return b"data %d\n" % len(content) + content + b"\n"


def _line(repository: Path, *arguments: str) -> str:
    return _git(["-C", str(repository), *arguments]).decode().strip()


def _git(arguments: list[str], given: bytes = b"") -> bytes:
    environment: Mapping[str, str] = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "LC_ALL": "C",
    }
    done = subprocess.run(
        ["git", *arguments],
        env=environment,
        input=given,
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise WorldError(
            f"git {arguments[0]}: {done.stderr.decode('utf-8', 'replace').strip()}",
            code="TREE_NOT_MADE",
            remedy="Look at git's message; the sample repository is made with git alone.",
        )
    return done.stdout
