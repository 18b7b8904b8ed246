"""The repositories of a release as wholes: the remotes by address, the clone, and its tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from relkit.adapters import git_clone
from relkit.adapters.editors import Tools
from relkit.adapters.git_clone import clear_locks, resolve
from relkit.adapters.git_command import GitCommand, Identity, failure
from relkit.adapters.git_names import check_id, check_name
from relkit.adapters.git_remotes import Remotes
from relkit.adapters.git_tags import SigningKey, read_tag
from relkit.errors import CheckError, WorldError
from relkit.values import CloneState, ObjectId, RefUpdate, Remote, Tag


@dataclass(frozen=True)
class GitPlace:
    """The release clone as a whole, its tags, and its remotes.

    `clone` is where the release clone is, or will be made; beside it short-lived folders come
    and go, and superseded clones stay. `remotes` are the addresses (absolute paths, https, ssh)
    of `upstream` and `fork`, `identity` makes commits and tags, `signing` signs tags and verifies
    them: its keyring is the policy's. `protocols` are what git may speak to remotes: ``file``,
    ``https``, ``ssh``; `environment` is what it needs for that (`relkit.adapters.openssh.Pinned`).
    """

    clone: Path
    remotes: Mapping[Remote, str]
    identity: Identity
    signing: SigningKey
    tools: Tools
    protocols: tuple[str, ...] = ("file",)
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _ = self._remotes  # bad addresses are refused before anything is begun

    @cached_property
    def _remotes(self) -> Remotes:
        urls = {str(name): url for name, url in self.remotes.items()}
        return Remotes(self.clone.parent, urls, self.protocols, self.environment)

    # --- remotes ------------------------------------------------------------------------------

    def remote_ref(self, *, remote: Remote, ref: str) -> ObjectId | None:
        """Return the object a full ref names on the remote, read afresh."""
        return self._remotes.refs(remote, (ref,))[ref]

    def remote_refs(self, *, remote: Remote, refs: tuple[str, ...]) -> dict[str, ObjectId | None]:
        """Return what each of several full refs names on the remote, read in one go."""
        return self._remotes.refs(remote, refs)

    def push(self, *, remote: Remote, updates: tuple[RefUpdate, ...]) -> None:
        """Move exactly these refs in one atomic push, each only from its expected old value.

        A branch of upstream only moves forward; it is deleted only where a tag stays on its last
        commit. Raises `WorldError`: ``PUSH_REFUSED`` with the server's words, ``REMOTE_MOVED``;
        `CheckError`: ``NOT_FAST_FORWARD``, ``BRANCH_NOT_KEPT``.
        """
        self._remotes.push(self._clone(), remote, updates)

    def remote_tag(self, *, remote: Remote, name: str) -> Tag | None:
        """Fetch and verify a tag as a remote has it, without touching the clone's own tag."""
        ref = f"refs/tags/{check_name(name)}"
        git = self._writable_clone()
        found = self._remotes.fetch(git, remote, ref)
        return read_tag(git, name, found) if found else None

    def contains(self, *, remote: Remote, branch: str, commit: ObjectId) -> bool:
        """Tell whether a remote's branch contains a commit."""
        ref = f"refs/heads/{check_name(branch)}"
        check_id(commit)
        git = self._writable_clone()
        head = self._remotes.fetch(git, remote, ref)
        return head is not None and git_clone.contains(git, head, commit)

    # --- the clone ----------------------------------------------------------------------------

    def make_clone(self, *, branch: str, commit: ObjectId) -> None:
        """Make the release clone from upstream, with `branch` checked out at `commit`.

        A clone that is there already stays, if it is fit. Raises `CheckError`: ``CLONE_BRANCH``,
        ``CLONE_DIRTY``, ``CLONE_BEHIND``, ``CLONE_AHEAD``.
        """
        check_name(branch)
        check_id(commit)
        if self._clone_exists():
            git_clone.check_existing(self._writable_clone(), branch=branch, commit=commit)
            return
        self.clone.parent.mkdir(parents=True, exist_ok=True)
        outside = GitCommand(
            self.clone.parent, protocols=self.protocols, environment=self.environment
        )
        url = self.remotes["upstream"]
        git_clone.make(outside, self.clone, url=url, branch=branch, commit=commit)

    def clone_state(self) -> CloneState | None:
        """Describe the release clone; None if there is none."""
        return git_clone.state(self._clone()) if self._clone_exists() else None

    def discard_clone(self, *, branch: str) -> None:
        """Put the release clone aside as ``<clone>.superseded-<n>``, if it is on `branch`."""
        check_name(branch)
        state = self.clone_state()
        if state is not None and state.branch == branch:
            git_clone.put_aside(self.clone)

    def _clone_exists(self) -> bool:
        if not self.clone.exists():
            return False
        if not (self.clone / ".git").is_dir():
            raise CheckError(
                f"{self.clone} is there, but is no release clone",
                code="NOT_A_REPOSITORY",
                remedy="Look at it and move it away.",
            )
        return True

    def _clone(self) -> GitCommand:
        """Return git on the release clone, after a look at the clone's settings."""
        if not self._clone_exists():
            raise WorldError(
                f"there is no release clone at {self.clone}",
                code="NO_CLONE",
                remedy="Run the step that makes it.",
            )
        git = GitCommand(
            self.clone,
            self.clone / ".git",
            self.protocols,
            environment={**self.environment, "GNUPGHOME": str(self.signing.home)},
        )
        git_clone.guard_settings(git, self._remotes.urls)
        return git

    def _writable_clone(self) -> GitCommand:
        """Return git on the release clone, free of locks that a killed git left."""
        git = self._clone()
        clear_locks(self.clone / ".git")
        return git

    # --- tags ---------------------------------------------------------------------------------

    def create_tag(self, *, name: str, commit: ObjectId, message: str, time: datetime) -> None:
        """Create the signed, annotated tag in the clone, with the release manager's key.

        Raises `CheckError` (``TAG_EXISTS``), `WorldError` (``TAG_SIGNING``).
        """
        check_id(commit)
        there = self.tag(name=name)
        if there is not None:
            if there.commit == commit and there.signer == self.signing.fingerprint:
                return
            raise CheckError(
                f"{name} is there: on {there.commit}, signed by {there.signer or 'nobody known'}; "
                f"wanted is {commit}, signed by {self.signing.fingerprint}",
                code="TAG_EXISTS",
                remedy="See who made it. A tag that was pushed is never moved.",
            )
        git = self._writable_clone().with_environment(**self.identity.stamps(time))
        key = f"--local-user={self.signing.fingerprint}"
        answer = git.ask(
            # The signature begins on a line of its own.
            *("tag", "--sign", key, "--cleanup=verbatim", "-m", message.rstrip("\n") + "\n"),
            *("--end-of-options", name, commit),
        )
        if answer.status != 0:
            raise WorldError(
                f"git could not sign the tag {name}: {answer.words}",
                code="TAG_SIGNING",
                remedy="See whether the key and its agent can be used, then run this again.",
            ) from failure("tag", answer)

    def tag(self, *, name: str) -> Tag | None:
        """Read and verify a tag of the clone; None if there is no such tag."""
        ref = f"refs/tags/{check_name(name)}"
        if not self._clone_exists():
            return None
        git = self._clone()
        found = resolve(git, ref)
        return read_tag(git, name, found) if found else None

    def delete_tag(self, *, name: str, commit: ObjectId) -> None:
        """Delete a tag of the clone, if it is on this commit; none, or another, is left alone."""
        ref = f"refs/tags/{check_name(name)}"
        check_id(commit)
        if not self._clone_exists():
            return
        git = self._writable_clone()
        found = resolve(git, ref)
        if found is not None and resolve(git, f"{ref}^{{commit}}") == commit:
            git.run("update-ref", "-d", ref, found)
