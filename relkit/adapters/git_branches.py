"""Where a branch is that files are committed to: on this machine, or at an address."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relkit.adapters.git_clone import clear_locks, resolve
from relkit.adapters.git_command import Answer, GitCommand
from relkit.adapters.git_names import check_name, check_url, nameless
from relkit.adapters.openssh import key_refusal
from relkit.errors import WorldError
from relkit.values import ObjectId

NOTHING = "0" * 40


@dataclass(frozen=True)
class Here:
    """A branch of a bare repository on this machine, which is changed where it is."""

    name: str
    bare: Path
    branch: str = "main"

    def repository(self) -> Path:
        """Return the repository, made if need be."""
        return bare_at(self.bare)

    def head(self) -> ObjectId | None:
        """Return the last commit of the branch."""
        return resolve(GitCommand(self.bare, self.bare), f"refs/heads/{self.branch}")

    def move(self, old: ObjectId | None, new: ObjectId) -> Answer | None:
        """Move the branch, if it is still where it was."""
        git = GitCommand(self.bare, self.bare)
        answer = git.ask("update-ref", f"refs/heads/{self.branch}", new, old or NOTHING)
        return answer if answer.status else None


@dataclass(frozen=True)
class Elsewhere:
    """A branch of a remote repository, whose last commit is fetched into `copy`, a bare one.

    `environment` says how git signs in (``GIT_SSH_COMMAND``). With `start` a branch that is not
    there begins at the one the remote names as its own; else it begins empty, in a repository that
    has no branch at all. Raises `UsageError` (``BAD_URL``, ``BAD_REF``).
    """

    name: str
    copy: Path
    url: str
    branch: str = "main"
    protocols: tuple[str, ...] = ("ssh",)
    environment: Mapping[str, str] = field(default_factory=dict)
    start: bool = False

    def __post_init__(self) -> None:
        check_url(self.url, protocols=self.protocols)
        check_name(self.branch)

    def repository(self) -> Path:
        """Return the copy, made if need be; it has no settings that could redirect git."""
        return bare_at(self.copy)

    def head(self) -> ObjectId | None:
        """Fetch the last commit of the branch, without those before it."""
        clear_locks(self.copy)
        ref = f"refs/heads/{self.branch}"
        listed = self._refs()
        if ref not in listed:
            ref = "HEAD" if self.start else ref
            if listed and ref not in listed:
                raise self._unreachable(f"it has no branch {self.branch}")
        if (found := listed.get(ref)) is None:
            return None
        git = self._git()
        if git.ask("cat-file", "-e", f"{found}^{{tree}}").status:
            git.ask("update-ref", "-d", "refs/relkit/head")
            fetched = git.ask(
                *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--depth=1"),
                *("--end-of-options", self.url, f"+{ref}:refs/relkit/head"),
            )
            if fetched.status:
                raise self._unreachable(fetched.words)
            found = git.line("rev-parse", "--verify", "refs/relkit/head")
        return found

    def move(self, old: ObjectId | None, new: ObjectId) -> Answer | None:
        """Push, with what the branch must be now."""
        ref = f"refs/heads/{self.branch}"
        there = self._refs().get(ref)
        if there is not None and there != old:
            return Answer(1, b"", "it moved")
        answer = self._git().ask(
            *("push", "--quiet", "--porcelain", "--no-verify", "--no-follow-tags"),
            f"--force-with-lease={ref}:{there or ''}",
            *("--end-of-options", self.url, f"{new}:{ref}"),
        )
        return answer if answer.status else None

    def _refs(self) -> dict[str, ObjectId]:
        """Return the branches, and ``HEAD``."""
        git = GitCommand(self.copy, None, self.protocols, self.environment)
        listed = git.ask("ls-remote", "--end-of-options", self.url, "HEAD", "refs/heads/*")
        if listed.status:
            raise self._unreachable(listed.words)
        return listed.refs()

    def _git(self) -> GitCommand:
        return GitCommand(self.copy, self.copy, self.protocols, dict(self.environment))

    def _unreachable(self, words: str) -> WorldError:
        return key_refusal(self.url, words, self.environment) or WorldError(
            f"{self.name} at {nameless(self.url)} cannot be read: {words}; what is there "
            "is not known",
            code="REMOTE_UNREACHABLE",
            remedy="See whether it is there and you may read it, then run this again.",
        )


def bare_at(folder: Path) -> Path:
    """Return a bare repository of this machine, made empty if it is not there or not whole."""
    if not all((folder / one).exists() for one in ("HEAD", "config", "objects", "refs")):
        folder.mkdir(parents=True, exist_ok=True)
        options = ("--quiet", "--bare", "--initial-branch=main", "--template=")
        GitCommand(folder).run("init", *options, os.curdir)
    return folder
