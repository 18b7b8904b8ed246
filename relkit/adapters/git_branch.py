"""The branches of the release clone: put forward by this run's commits, and taken back.

Nothing that somebody else has committed or changed in the clone is ever lost: it is refused.
"""

from __future__ import annotations

from relkit.adapters.git_clone import (
    contains,
    foreign_commits,
    home,
    keep_own,
    own_commits,
    resolve,
    state,
)
from relkit.adapters.git_command import GitCommand
from relkit.errors import CheckError
from relkit.values import CloneState

TAKING_BACK = "refs/relkit/taking-back"
"""The commit from which the checked-out branch is being taken back, for as long as it is there."""
PUTTING = "refs/relkit/putting"
"""The commit that the checked-out branch is being put to, until its files are there."""
NO_OBJECT = "0" * 40


def put_branch(git: GitCommand, *, branch: str, parent: str, commit: str) -> None:
    """Put a branch of the clone from `parent`, or from nothing, to `commit`.

    It may also come from the frozen head or from a commit of this run, which stay reachable: a
    release that is made beside its branch, or a later revision. Index and work tree follow where
    the branch is checked out. Raises `CheckError`: ``CLONE_BRANCH``, ``CLONE_DIRTY``,
    ``CLONE_MOVED``.
    """
    now = _at_home(git)
    if branch == now.branch:
        _put_checked_out(git, now, parent=parent, commit=commit)
        return
    at = resolve(git, f"refs/heads/{branch}")
    if at != commit:
        if at is not None:
            _check_movable(git, branch, at, parent=parent, commit=commit)
        keep_own(git, commit)
        _move(git, branch, commit, at)


def take_back(git: GitCommand, *, branch: str, to: str | None) -> None:
    """Put a branch of the clone back to `to`, if all after it was made by this run.

    None deletes it; one that is not there, or has not come so far, is left alone. Raises
    `CheckError`: ``CLONE_BRANCH``, ``CLONE_DIRTY``, ``CLONE_MOVED``.
    """
    at = resolve(git, f"refs/heads/{branch}")
    if at is None:
        return
    now = _at_home(git)
    if to is None:
        _delete(git, now, branch, at)
        return
    if foreign := foreign_commits(git, at, since=(to, *_frozen(git))):
        raise _unfit("CLONE_MOVED", f"has {foreign[0]} after {to}, not made by this run")
    if branch == now.branch:
        _take_back_checked_out(git, now, to)
    elif at != to and not contains(git, to, at):
        _move(git, branch, to, at)


def being_taken_back(git: GitCommand, head: str) -> bool:
    """Tell whether the work tree of a checked-out commit is about to be another's."""
    return resolve(git, TAKING_BACK) == head


def _put_checked_out(git: GitCommand, now: CloneState, *, parent: str, commit: str) -> None:
    if now.head != commit:
        _check_clean(git, now)
        _check_movable(git, now.branch, now.head, parent=parent, commit=commit)
        keep_own(git, commit)
        git.run("update-ref", "-d", TAKING_BACK)
        git.run("update-ref", PUTTING, commit)
        _move(git, now.branch, commit, now.head)
    # Also where the branch is there already: a killed run may not have come to this.
    git.run("reset", "--quiet", "--hard")
    for ended in (TAKING_BACK, PUTTING):
        git.run("update-ref", "-d", ended)


def _take_back_checked_out(git: GitCommand, now: CloneState, to: str) -> None:
    """Move the files first, and the branch last: until then the commit counts as there."""
    if contains(git, to, now.head):
        return
    _check_clean(git, now)
    git.run("update-ref", TAKING_BACK, now.head)
    git.run("read-tree", "--reset", "-u", to)
    _move(git, now.branch, to, now.head)
    git.run("update-ref", "-d", TAKING_BACK)


def _delete(git: GitCommand, now: CloneState, branch: str, at: str) -> None:
    if branch == now.branch:
        raise _unfit("CLONE_BRANCH", f"is on {branch}, which is to be deleted")
    if at not in own_commits(git):
        raise _unfit("CLONE_MOVED", f"has {branch} at {at}, not made by this run")
    git.run("update-ref", "-d", f"refs/heads/{branch}", at)


def _at_home(git: GitCommand) -> CloneState:
    """Describe the clone, which must have that branch checked out that it was made for."""
    now, known = state(git), home(git)
    if known is not None and now.branch != known[0]:
        raise _unfit("CLONE_BRANCH", f"is on {now.branch}, not on {known[0]}")
    return now


def _frozen(git: GitCommand) -> tuple[str, ...]:
    """Return the commit the clone was made at: upstream has it, so that nobody loses it here."""
    known = home(git)
    return (known[1],) if known else ()


def _check_clean(git: GitCommand, now: CloneState) -> None:
    """Refuse changes in the work tree, unless they are what a killed run left half done."""
    if now.dirty and now.head not in {resolve(git, TAKING_BACK), resolve(git, PUTTING)}:
        raise _unfit("CLONE_DIRTY", f"has uncommitted changes: {', '.join(now.dirty[:5])}")


def _check_movable(git: GitCommand, branch: str, at: str, *, parent: str, commit: str) -> None:
    """Refuse a branch with something foreign on it, or one that has gone further already."""
    if at == parent:
        return
    frozen = _frozen(git)
    ours = at in frozen or at in own_commits(git)
    if not ours or contains(git, at, commit):
        raise _unfit("CLONE_MOVED", f"has {branch} at {at}, not at {parent}")
    if foreign := foreign_commits(git, at, since=(parent, commit, *frozen)):
        raise _unfit("CLONE_MOVED", f"has {foreign[0]} on {branch}, not made by this run")


def _move(git: GitCommand, branch: str, commit: str, at: str | None) -> None:
    git.run("update-ref", "-m", "relkit", f"refs/heads/{branch}", commit, at or NO_OBJECT)


def _unfit(code: str, what: str) -> CheckError:
    return CheckError(
        f"the release clone {what}",
        code=code,
        remedy="See who changed it; put it back, or begin with a new clone.",
    )
