"""The repositories of a release: the release clone, upstream and the release manager's fork.

Real git, driven as `relkit.adapters.git_command` says. Refs and ids are checked before they get
into a command, pushes name each ref with the value it must have, and what is verified is the
object, never a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from relkit.adapters import git_branch, git_edit, git_merge, git_pick
from relkit.adapters.git_bare import make_bare, protect
from relkit.adapters.git_clone import checked_out, clear_locks, contains, home, keep_own, resolve
from relkit.adapters.git_command import GitCommand, Identity
from relkit.adapters.git_names import check_id, check_name, check_path
from relkit.adapters.git_place import GitPlace
from relkit.adapters.git_tags import SigningKey
from relkit.errors import CheckError
from relkit.values import Change, Commit, ObjectId

__all__ = [
    "GitRepository",
    "Identity",
    "SigningKey",
    "clear_locks",
    "make_bare",
    "protect",
]

EDITED, PICKED, MERGED = "refs/relkit/edit", "refs/relkit/pick", "refs/relkit/merge"
"""Where results are kept in the clone: ``<editor>/<commit>``, ``<base>/<digest of the commits>``,
``<base>/<other>``."""


@dataclass(frozen=True)
class GitRepository(GitPlace):
    """The release clone and its remotes (`relkit.ports.Repository`): what is done with commits."""

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
        made = git_edit.commit_tree(git, tree, (base,), f"relkit: {editor}", stamps)
        git.run("update-ref", ref, made)

    def edited(self, *, editor: str, base: ObjectId) -> Commit | None:
        """Return the commit which holds what `editor` made of `base`."""
        return self._kept(self._edited_ref(editor, base))

    def _edited_ref(self, editor: str, base: str) -> str:
        return f"{EDITED}/{check_name(editor)}/{check_id(base)}"

    def pick(self, *, base: ObjectId, commits: tuple[ObjectId, ...], time: datetime) -> None:
        """Pick commits of the upstream branch onto `base`, in order; keep the last one, unnamed.

        The same arguments give the same commits. Raises `CheckError`: ``PICK_UNKNOWN``,
        ``PICK_MERGE``, ``PICK_CONFLICT``, ``PICK_EMPTY``; then nothing is kept.
        """
        git, ref = self._writable_clone(), self._picked_ref(base, commits)
        if not commits:
            return
        self._check_known(git, base, commits)
        made = git_pick.pick(git, base=base, commits=commits, committer=self.identity, time=time)
        for commit in made:
            keep_own(git, commit)
        git.run("update-ref", ref, made[-1])

    def picked(self, *, base: ObjectId, commits: tuple[ObjectId, ...]) -> Commit | None:
        """Return the last of the commits picked onto `base`; without any, `base` itself."""
        return self._kept(self._picked_ref(base, commits) if commits else f"{base}^{{commit}}")

    def _picked_ref(self, base: str, commits: Sequence[str]) -> str:
        names = " ".join(check_id(commit) for commit in commits)
        return f"{PICKED}/{check_id(base)}/{sha256(names.encode()).hexdigest()[:40]}"

    def _check_known(self, git: GitCommand, base: str, commits: Sequence[str]) -> None:
        """Refuse commits that the branch of the clone does not have upstream."""
        known = home(git)
        branch = known[0] if known else checked_out(git)
        head = self._remotes.fetch(git, "upstream", f"refs/heads/{branch}")
        lacking = [one for one in commits if head is None or not contains(git, head, one)]
        if resolve(git, f"{base}^{{commit}}") is None:
            lacking.insert(0, base)
        if lacking:
            raise CheckError(
                f"{branch} of upstream, at {head}, does not contain {', '.join(lacking)}",
                code="PICK_UNKNOWN",
                remedy="Pick commits that were merged into the branch, by their full ids there.",
            )

    def merge(self, *, base: ObjectId, other: ObjectId, version: str, time: datetime) -> None:
        """Merge a release commit that was made beside the branch into `base`, kept unnamed.

        The release's own edits are brought to `base`. NEWS that the release tells is taken out of
        ``Misc/NEWS.d/next``; where both changed the version, the release is right, and where both
        changed the topics, the branch. Raises `CheckError`: ``MERGE_CONFLICT``,
        ``MERGE_UNRELATED``.
        """
        git, ref = self._writable_clone(), self._merged_ref(base, other)
        tree = git_merge.merge_release(git, base=base, other=other, version=version)
        stamps = self.identity.stamps(time)
        made = git_edit.commit_tree(git, tree, (base, other), f"Merge Python {version}", stamps)
        keep_own(git, made)
        git.run("update-ref", ref, made)

    def merged(self, *, base: ObjectId, other: ObjectId) -> Commit | None:
        """Return that merge: its parents are `base` and `other`."""
        return self._kept(self._merged_ref(base, other))

    def _merged_ref(self, base: str, other: str) -> str:
        return f"{MERGED}/{check_id(base)}/{check_id(other)}"

    def _kept(self, ref: str) -> Commit | None:
        """Return a commit that is kept in the clone."""
        if not self._clone_exists():
            return None
        git = self._clone()
        made = resolve(git, ref)
        return git_edit.read_commit(git, made)[0] if made else None

    def commit(
        self,
        *,
        branch: str,
        parent: ObjectId,
        tree_of: ObjectId,
        message: str,
        time: datetime,
        also: ObjectId | None = None,
    ) -> None:
        """Commit the tree of `tree_of` on `parent` and put the clone's `branch` there.

        The same arguments give the same commit. Raises `CheckError`: ``CLONE_BRANCH``,
        ``CLONE_DIRTY``, ``CLONE_MOVED``.
        """
        check_name(branch)
        parents = _parents(parent, also)
        git = self._writable_clone()
        tree = git_edit.read_commit(git, check_id(tree_of))[0].tree
        made = git_edit.commit_tree(git, tree, parents, message, self.identity.stamps(time))
        git_branch.put_branch(git, branch=branch, parent=parent, commit=made)

    def committed(
        self,
        *,
        branch: str,
        parent: ObjectId,
        tree_of: ObjectId,
        message: str,
        also: ObjectId | None = None,
    ) -> Commit | None:
        """Return that commit, if the clone's `branch` stands there and its work tree is clean.

        The work tree of a branch that is not checked out is not looked at. A commit that is being
        taken back is there until that is complete.
        """
        head = self._head_of(check_name(branch))
        if head is None:
            return None
        git = self._clone()
        found, said = git_edit.read_commit(git, head)
        tree = git_edit.read_commit(git, check_id(tree_of))[0].tree
        as_told = found.parents == _parents(parent, also) and said == message.rstrip("\n")
        return found if as_told and found.tree == tree else None

    def _head_of(self, branch: str) -> str | None:
        state = self.clone_state()
        if state is None:
            return None
        git = self._clone()
        if state.branch == branch:
            there = not state.dirty or git_branch.being_taken_back(git, state.head)
            return state.head if there else None
        known = home(git)
        # With another branch checked out than the clone was made for, nothing is as it should be.
        return resolve(git, f"refs/heads/{branch}") if known and known[0] == state.branch else None

    def take_back(self, *, branch: str, to: ObjectId | None) -> None:
        """Put the clone's `branch` back to `to`, if all after it was made by this run.

        None: the branch was made by this run and is deleted. Its commits stay in the clone. What
        is not there, or behind `to`, is left alone. Raises `CheckError`: ``CLONE_BRANCH``,
        ``CLONE_DIRTY``, ``CLONE_MOVED``.
        """
        check_name(branch)
        if self._clone_exists():
            git = self._writable_clone()
            git_branch.take_back(git, branch=branch, to=to and check_id(to))


def _parents(parent: str, also: str | None) -> tuple[str, ...]:
    return tuple(check_id(one) for one in (parent, also) if one is not None)
