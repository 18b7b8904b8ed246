"""Bare repositories: a private copy of somebody's branch, and a branch's protection on it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from relkit.adapters.git_clone import beside
from relkit.adapters.git_command import GitCommand
from relkit.adapters.git_names import check_name, nameless
from relkit.errors import UsageError, WorldError

LOCKED_FOLDER = "relkit-locked"
"""A file of a branch's name in this folder of a bare repository protects the branch."""
HOOK = f"""\
#!/bin/sh
# Refuse the whole push if it touches a protected branch.
status=0
while read -r old new ref; do
  case "$ref" in refs/heads/*) ;; *) continue ;; esac
  branch="${{ref#refs/heads/}}"
  if [ -e "{LOCKED_FOLDER}/$branch" ]; then
    echo "branch $branch is protected" >&2
    status=1
  fi
done
exit "$status"
"""
OWN_SETTINGS = {"gc.auto": "0", "receive.autogc": "false"}


def make_bare(source: Path, branch: str, target: Path) -> None:
    """Make a bare repository of one branch of a local one; its objects are hard-linked.

    It has that branch, the release tags (``v*``) on it, and nothing else; `source` is only read.
    Killed at any time, it is either complete or not there. Where `target` is there already with
    this branch, nothing is done.

    Raises `UsageError`: ``NOT_A_REPOSITORY``, ``NO_BRANCH``, ``REPO_DIRTY``, ``REPO_BEHIND``,
    ``REPO_INCOMPLETE``, ``BAD_REF``; `WorldError` (``TARGET_TAKEN``).
    """
    check_name(branch)
    if target.exists():
        _check_target(target, branch)
        return
    source = source.resolve()
    with beside(target, "bare") as folder:
        trusted = folder / "trusted"
        git = _open(source, trusted)
        _check_source(git, branch)
        new = folder / "new.git"
        _copy(git, source, branch, new)
        new.rename(target)


def check_source(source: Path, branch: str) -> None:
    """Refuse, as `make_bare` does, a repository that none can be made from; write nothing."""
    check_name(branch)
    with tempfile.TemporaryDirectory(prefix="relkit-") as folder:
        _check_source(_open(source.resolve(), Path(folder) / "trusted"), branch)


def protect(bare: Path) -> None:
    """Install the hook that refuses pushes to branches named in ``<bare>/relkit-locked/``."""
    (bare / LOCKED_FOLDER).mkdir(exist_ok=True)
    hooks = bare / "hooks"
    hooks.mkdir(exist_ok=True)
    for left in hooks.glob(".pre-receive.*"):
        left.unlink()
    handle, name = tempfile.mkstemp(dir=hooks, prefix=".pre-receive.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(HOOK)
        file.flush()
        os.fsync(file.fileno())
    Path(name).chmod(0o700)
    Path(name).replace(hooks / "pre-receive")


def _open(source: Path, trusted: Path) -> GitCommand:
    """Return git on an existing repository, which `source` is the top of.

    git reads repositories of other users only if it is told to, in a file (`trusted`); naming one
    on the command line is telling. Hooks and the like are off in any case.
    """
    trusted.write_text("[safe]\n\tdirectory = *\n", encoding="utf-8")
    environment = {"GIT_CONFIG_GLOBAL": str(trusted)}
    if not source.is_dir():
        raise _refusal(
            "NOT_A_REPOSITORY", f"{nameless(str(source))} is not a folder", "Give a git repository."
        )
    outside = GitCommand(source, environment=environment)
    found = outside.ask("rev-parse", "--absolute-git-dir")
    if found.status != 0:
        raise _refusal(
            "NOT_A_REPOSITORY",
            f"{source} is not a git repository: {found.words}",
            "Give the top folder of a git repository.",
        )
    git_dir = Path(found.text.rstrip("\n"))
    bare = outside.line("rev-parse", "--is-bare-repository") == "true"
    return GitCommand(git_dir if bare else source, git_dir, environment=environment)


def _check_source(git: GitCommand, branch: str) -> None:
    if git.line("rev-parse", "--is-shallow-repository") == "true":
        raise _refusal(
            "REPO_INCOMPLETE",
            f"{git.folder} is shallow: its history is cut",
            "Fetch the rest: git fetch --unshallow.",
        )
    branches = _heads(git, "refs/heads")
    if branch not in branches:
        raise _no_branch(git, branch, sorted(branches))
    if git.folder != git.git_dir:
        _check_clean(git)
    _check_not_behind(git, branch, branches[branch])
    _check_complete(git, branch)


def _heads(git: GitCommand, under: str) -> dict[str, str]:
    """Return the branches below a folder of refs, by name, with their commits."""
    listed = git.run("for-each-ref", "--format=%(objectname) %(refname)", f"{under}/")
    return {ref.removeprefix(f"{under}/"): commit for ref, commit in listed.refs().items()}


def _no_branch(git: GitCommand, branch: str, have: list[str]) -> UsageError:
    few = ", ".join(have[:5]) + (f" and {len(have) - 5} more" if len(have) > 5 else "")  # noqa: PLR2004 (one line)
    tracking = [name for name in _heads(git, "refs/remotes") if name.endswith(f"/{branch}")]
    remedy = f"Make it: git branch {branch} {tracking[0]}." if tracking else "Give another one."
    return _refusal(
        "NO_BRANCH", f"{git.folder} has no branch {branch!r}; it has {few or 'none'}", remedy
    )


def _check_clean(git: GitCommand) -> None:
    status = git.run(
        *("status", "--porcelain", "-z", "--no-renames"),
        *("--untracked-files=no", "--ignore-submodules=all"),
    )
    if dirty := [entry[3:] for entry in status.fields()]:
        raise _refusal(
            "REPO_DIRTY",
            f"{git.folder} has uncommitted changes: {', '.join(dirty[:5])}",
            "Commit them or put them away (git stash); a release is made of commits.",
        )


def _check_not_behind(git: GitCommand, branch: str, head: str) -> None:
    """Refuse a branch that lacks commits which its remote was last seen to have."""
    tracking = next((one for one in ("upstream", "origin") if _tracked(git, one, branch)), None)
    if tracking is None:
        return
    theirs = _tracked(git, tracking, branch)
    counts = git.line(
        "rev-list", "--left-right", "--count", "--end-of-options", f"{head}...{theirs}"
    )
    ahead, behind = counts.split()
    if int(behind):
        raise _refusal(
            "REPO_BEHIND",
            f"{branch} at {head} is {behind} commits behind {tracking}/{branch} at {theirs}"
            f" (and {ahead} ahead)",
            f"Bring it up to date: git merge --ff-only {tracking}/{branch}.",
        )


def _tracked(git: GitCommand, remote: str, branch: str) -> str:
    found = git.ask(
        "rev-parse", "--quiet", "--verify", f"refs/remotes/{remote}/{branch}^{{commit}}"
    )
    return found.text.strip()


def _check_complete(git: GitCommand, branch: str) -> None:
    """Refuse a branch whose head lacks an object of its tree.

    Stored copies and partial clones have such holes; a clone or an archive of them would fail in
    the midst of the release.
    """
    listed = git.ask(
        *("rev-list", "--objects", "--missing=print", "--no-walk", "--end-of-options"),
        f"refs/heads/{branch}",
    )
    missing = [line[1:] for line in listed.lines() if line.startswith("?")]
    if listed.status != 0 or missing:
        raise _refusal(
            "REPO_INCOMPLETE",
            f"{git.folder} lacks {len(missing) or 'some'} objects of {branch}, first "
            f"{missing[0] if missing else listed.words}",
            "Fetch them, or hash the file into it (git hash-object -w FILE); or give a full clone.",
        )


def _copy(git: GitCommand, source: Path, branch: str, new: Path) -> None:
    git.run(
        *("clone", "--quiet", "--bare", "--no-tags", "--single-branch", "--template="),
        *(f"--branch={branch}", "--end-of-options", str(source), str(new)),
    )
    bare = GitCommand(new, new)
    bare.run("config", "--remove-section", "remote.origin")
    # As with CPython's: a branch can be deleted, since the default one is another.
    bare.run("symbolic-ref", "HEAD", "refs/heads/main")
    for key, value in OWN_SETTINGS.items():
        bare.run("config", key, value)
    listed = git.run(
        *("for-each-ref", "--format=%(objectname) %(refname)"),
        *(f"--merged=refs/heads/{branch}", "refs/tags/v*"),
    )
    for ref, tag in listed.refs().items():
        bare.run("update-ref", "--end-of-options", ref, tag)


def _check_target(target: Path, branch: str) -> None:
    found = GitCommand(target, target).ask(
        "rev-parse", "--quiet", "--verify", f"refs/heads/{branch}^{{commit}}"
    )
    if found.status != 0:
        raise WorldError(
            f"{target} is there, but is no repository with a branch {branch}",
            code="TARGET_TAKEN",
            remedy="Look at it and move it away.",
        )


def _refusal(code: str, message: str, remedy: str) -> UsageError:
    return UsageError(message, code=code, remedy=remedy)
