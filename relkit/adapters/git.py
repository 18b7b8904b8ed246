"""The repositories of a release: the release clone, upstream and the release manager's fork.

Real git, driven as `relkit.adapters.git_command` says. Refs and ids are checked before they get
into a command, pushes name each ref with the value it must have, and what is verified is the
object, never a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from relkit.adapters import git_clone, git_edit
from relkit.adapters.editors import Tools
from relkit.adapters.git_bare import make_bare, protect
from relkit.adapters.git_clone import clear_locks
from relkit.adapters.git_command import GitCommand, Identity, failure
from relkit.adapters.git_names import check_id, check_name, check_path
from relkit.adapters.git_remotes import Remotes
from relkit.adapters.git_tags import SigningKey, read_tag
from relkit.errors import CheckError, WorldError
from relkit.values import Change, CloneState, Commit, ObjectId, RefUpdate, Remote, Tag

__all__ = [
    "GitRepository",
    "Identity",
    "SigningKey",
    "clear_locks",
    "make_bare",
    "protect",
]

EDITED = "refs/relkit/edit"
"""Where the result of an editor on a commit is kept in the clone: ``<editor>/<commit>``."""


@dataclass(frozen=True)
class GitRepository:
    """The release clone and its remotes (`relkit.ports.Repository`).

    `clone` is where the release clone is, or will be made; beside it short-lived folders come
    and go. `remotes` are the addresses (absolute paths, https, ssh) of `upstream` and `fork`,
    `identity` makes commits and tags, `signing` signs tags and verifies them: its keyring is the
    policy's. `protocols` are what git may speak to remotes: ``file``, ``https``, ``ssh``.
    """

    clone: Path
    remotes: Mapping[Remote, str]
    identity: Identity
    signing: SigningKey
    tools: Tools
    protocols: tuple[str, ...] = ("file",)

    def __post_init__(self) -> None:
        _ = self._remotes  # bad addresses are refused before anything is begun

    @cached_property
    def _remotes(self) -> Remotes:
        urls = {str(name): url for name, url in self.remotes.items()}
        return Remotes(self.clone.parent, urls, self.protocols)

    # --- remotes ------------------------------------------------------------------------------

    def remote_ref(self, *, remote: Remote, ref: str) -> ObjectId | None:
        """Return the object a full ref names on the remote, read afresh."""
        return self._remotes.refs(remote, (ref,))[ref]

    def remote_refs(self, *, remote: Remote, refs: tuple[str, ...]) -> dict[str, ObjectId | None]:
        """Return what each of several full refs names on the remote, read in one go."""
        return self._remotes.refs(remote, refs)

    def push(self, *, remote: Remote, updates: tuple[RefUpdate, ...]) -> None:
        """Move exactly these refs in one atomic push, each only from its expected old value.

        A branch of upstream only moves forward. Raises `WorldError`: ``PUSH_REFUSED`` with the
        server's words, ``REMOTE_MOVED``; `CheckError` (``NOT_FAST_FORWARD``).
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
            git_clone.check_existing(self._clone(), branch=branch, commit=commit)
            return
        self.clone.parent.mkdir(parents=True, exist_ok=True)
        outside = GitCommand(self.clone.parent, protocols=self.protocols)
        url = self.remotes["upstream"]
        git_clone.make(outside, self.clone, url=url, branch=branch, commit=commit)

    def clone_state(self) -> CloneState | None:
        """Describe the release clone; None if there is none."""
        return git_clone.state(self._clone()) if self._clone_exists() else None

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
            environment={"GNUPGHOME": str(self.signing.home)},
        )
        git_clone.guard_settings(git, self._remotes.urls)
        return git

    def _writable_clone(self) -> GitCommand:
        """Return git on the release clone, free of locks that a killed git left."""
        git = self._clone()
        clear_locks(self.clone / ".git")
        return git

    # --- commits ------------------------------------------------------------------------------

    def read_text(self, *, commit: ObjectId, path: str) -> str | None:
        """Return a file of a commit as text (UTF-8), line ends unchanged; None if not there."""
        return git_edit.blob_text(self._clone(), check_id(commit), check_path(path))

    def paths(self, *, commit: ObjectId, under: str) -> tuple[str, ...]:
        """Return the paths of all files below a folder of a commit (not a trailing slash)."""
        folder = [f"{check_path(under)}/"] if under else []
        listing = ("ls-tree", "-r", "-z", "--name-only", "--full-tree")
        return tuple(self._clone().run(*listing, check_id(commit), "--", *folder).fields())

    def changes(self, *, base: ObjectId, commit: ObjectId) -> tuple[Change, ...]:
        """Return the paths in which two commits differ, in order of path."""
        return git_edit.changes(self._clone(), check_id(base), check_id(commit))

    def diff(self, *, base: ObjectId, commit: ObjectId) -> str:
        """Return the whole difference as a unified diff, binary files in git's form.

        Bytes that are not UTF-8 are shown as escapes.
        """
        options = ("--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")
        form = ("-r", "-p", "--full-index", "--binary")
        git = self._clone()
        return git.run("diff-tree", *form, *options, check_id(base), check_id(commit)).text

    def edit(
        self, *, editor: str, base: ObjectId, writes: tuple[str, ...], version: str, time: datetime
    ) -> None:
        """Run one editor on the tree of `base`; keep the result as a commit of its own, unnamed.

        Raises `CheckError` (``UNDECLARED_WRITE``), then nothing is kept.
        """
        git, ref = self._writable_clone(), self._edited_ref(editor, base)
        git.run("update-ref", "-d", ref)
        tree = git_edit.edit_tree(
            git,
            editor=editor,
            base=base,
            writes=writes,
            version=version,
            time=time,
            tools=self.tools,
        )
        stamps = git_edit.EDITOR_IDENTITY.stamps(time)
        made = git_edit.commit_tree(git, tree, base, f"relkit: {editor}", stamps)
        git.run("update-ref", ref, made)

    def edited(self, *, editor: str, base: ObjectId) -> Commit | None:
        """Return the commit which holds what `editor` made of `base`."""
        if not self._clone_exists():
            return None
        git = self._clone()
        made = self._resolve(git, self._edited_ref(editor, base))
        return git_edit.read_commit(git, made)[0] if made else None

    def _edited_ref(self, editor: str, base: str) -> str:
        return f"{EDITED}/{check_name(editor)}/{check_id(base)}"

    def _resolve(self, git: GitCommand, ref: str) -> str | None:
        """Return the object a ref of the clone names; None if there is no such ref."""
        answer = git.ask("rev-parse", "--quiet", "--verify", "--end-of-options", ref)
        return answer.text.strip() or None

    def commit(
        self, *, branch: str, parent: ObjectId, tree_of: ObjectId, message: str, time: datetime
    ) -> None:
        """Commit the tree of `tree_of` on `parent` and put the clone's `branch` there.

        The same arguments give the same commit. Raises `CheckError`: ``CLONE_BRANCH``,
        ``CLONE_DIRTY``, ``CLONE_MOVED``.
        """
        check_name(branch)
        check_id(parent)
        git = self._writable_clone()
        tree = git_edit.read_commit(git, check_id(tree_of))[0].tree
        made = git_edit.commit_tree(git, tree, parent, message, self.identity.stamps(time))
        git_edit.put_branch(git, branch=branch, parent=parent, commit=made)

    def committed(
        self, *, branch: str, parent: ObjectId, tree_of: ObjectId, message: str
    ) -> Commit | None:
        """Return that commit, if the clone's `branch` stands there and its work tree is clean."""
        state = self.clone_state()
        if state is None or state.branch != branch or state.dirty:
            return None
        git = self._clone()
        found, said = git_edit.read_commit(git, state.head)
        tree = git_edit.read_commit(git, check_id(tree_of))[0].tree
        fits = found.parents == (parent,) and found.tree == tree and said == message.rstrip("\n")
        return found if fits else None

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
        found = self._resolve(git, ref)
        return read_tag(git, name, found) if found else None
