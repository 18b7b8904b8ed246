"""The release clone: made beside its place and renamed, guarded against planted settings.

Nothing in the clone names another place by an absolute path, so that a world can be copied: the
remotes are given by address in each command, and are not configured in the clone.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from relkit.adapters.git_command import GitCommand
from relkit.adapters.git_names import nameless
from relkit.errors import CheckError, WorldError
from relkit.values import CloneState

OWN_COMMITS = "refs/relkit/commit"
"""Each commit that relkit made in the clone has a ref here, named by its id."""
HOME = "refs/relkit/clone"
"""The branch that the clone was made for has a ref of its name here, on the frozen head."""
DETACHED = "(no branch)"
LOCK_PATIENCE_SECONDS = 5.0
"""How long a git that outlived a killed relkit may take to end."""
REDIRECTS = re.compile(r"url\..*\.(pushinsteadof|insteadof)", flags=re.DOTALL)
MIRROR = re.compile(r"remote\..*\.mirror", flags=re.DOTALL)
ADDRESS = re.compile(r"remote\.(upstream|fork)\.(url|pushurl)", flags=re.DOTALL)
HARMLESS = re.compile(
    r"core\.(repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode"
    r"|symlinks)|(advice|branch|color|gc|pull|user)\..*|remote\.[\w-]+\.(url|pushurl|fetch)",
    flags=re.DOTALL,
)
SECRET = ("http.", "credential.")
"""What may hold a token is not repeated."""
MOVE_AWAY = "Look at what is there; move the clone away, and it will be made anew."


@contextmanager
def beside(target: Path, purpose: str) -> Iterator[Path]:
    """Give a new folder beside `target` and remove it in the end.

    What killed runs left for the same purpose is removed first. The name is new each time,
    since a child of a killed run may still be writing into the old one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix, suffix = f".{target.name}.", f".{purpose}"
    for left in target.parent.glob(f"{escape(prefix)}*{suffix}"):
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=suffix, dir=target.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_locks(git_dir: Path, *, patience_seconds: float = LOCK_PATIENCE_SECONDS) -> None:
    """Remove the lock files which a killed git left in a repository that only relkit writes.

    The caller holds the run's lock, so that the only git that can still be at work is a child of
    a killed run: it is given some seconds to end.
    """
    until = time.monotonic() + patience_seconds
    while locks := [*git_dir.glob("*.lock"), *(git_dir / "refs").rglob("*.lock")]:
        if time.monotonic() >= until:
            for lock in locks:
                lock.unlink(missing_ok=True)
            return
        time.sleep(0.05)


def guard_settings(git: GitCommand, remotes: Mapping[str, str]) -> None:
    """Refuse a clone with settings of its own that could redirect git or run a program.

    Raises `CheckError`: ``REMOTE_NOT_ALLOWED``, ``MIRROR_REMOTE``, ``CLONE_CONFIG``.
    """
    listed = git.run("config", "--file", str(git.git_dir) + "/config", "--null", "--list")
    for entry in listed.fields():
        key, _, value = entry.partition("\n")
        if REDIRECTS.fullmatch(key):
            raise _setting(key, value, "redirects addresses", "REMOTE_NOT_ALLOWED")
        if MIRROR.fullmatch(key) and value.lower() not in {"false", "no", "off", "0"}:
            raise _setting(key, value, "makes every push move all refs", "MIRROR_REMOTE")
        named = ADDRESS.fullmatch(key)
        if named and value != (ours := remotes[named[1]]):
            raise _setting(key, value, f"is not the world's {ours}", "REMOTE_NOT_ALLOWED")
        if not HARMLESS.fullmatch(key) and not MIRROR.fullmatch(key):
            raise _setting(key, value, "is not a setting of ours", "CLONE_CONFIG")


def _setting(key: str, value: str, what: str, code: str) -> CheckError:
    shown = "…" if key.startswith(SECRET) else nameless(value)
    return CheckError(
        f"the release clone's configuration has {nameless(key)}={shown!r}, which {what}",
        code=code,
        remedy="See who wrote it into .git/config, remove it there, or move the clone away.",
    )


def state(git: GitCommand) -> CloneState:
    """Describe a clone; the paths are those that `git status` names, untracked ones too."""
    head = git.line("rev-parse", "--verify", "--end-of-options", "HEAD^{commit}")
    status = git.run("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    return CloneState(
        branch=checked_out(git) or DETACHED,
        head=head,
        dirty=tuple(entry[3:] for entry in status.fields()),
    )


def checked_out(git: GitCommand) -> str | None:
    """Return the branch that HEAD is on, whatever tag has the same name; None: on none."""
    at = git.ask("symbolic-ref", "--quiet", "HEAD")
    return at.text.strip().removeprefix("refs/heads/") if at.status == 0 else None


def make(git: GitCommand, target: Path, *, url: str, branch: str, commit: str) -> None:
    """Clone one branch of `url` to `target` and check it out at `commit`."""
    with beside(target, "clone") as folder:
        new = folder / "new"
        options = ("--no-tags", "--single-branch", "--no-checkout", "--template=")
        git.run(
            *("clone", "--quiet", *options, "--origin=upstream", f"--branch={branch}"),
            *("--end-of-options", url, str(new)),
        )
        inside = GitCommand(new, new / ".git", git.protocols)
        tracking = f"refs/remotes/upstream/{branch}"
        if not contains(inside, tracking, commit):
            raise WorldError(
                f"{branch} of upstream is at {inside.line('rev-parse', '--verify', tracking)}, "
                f"which does not contain {commit}",
                code="CLONE_BEHIND",
                remedy="The branch was rewritten or is another one; begin with a new look at it.",
            )
        inside.run("update-ref", f"refs/heads/{branch}", commit)
        inside.run("update-ref", f"{HOME}/{branch}", commit)
        inside.run("reset", "--quiet", "--hard")
        for section in ("remote.upstream", f"branch.{branch}"):
            inside.run("config", "--remove-section", section)
        new.rename(target)


def check_existing(git: GitCommand, *, branch: str, commit: str) -> None:
    """Refuse a clone that is not on `branch`, clean, and at `commit` or own commits besides.

    Raises `CheckError`: ``CLONE_BRANCH``, ``CLONE_DIRTY``, ``CLONE_BEHIND``, ``CLONE_AHEAD``.
    """
    now = state(git)
    if now.branch != branch:
        raise _unfit("CLONE_BRANCH", f"is on {now.branch}, not on {branch}")
    if now.dirty:
        raise _unfit("CLONE_DIRTY", f"has uncommitted changes: {', '.join(now.dirty[:5])}")
    if not contains(git, now.head, commit) and now.head not in own_commits(git):
        raise _unfit("CLONE_BEHIND", f"is at {now.head}, which does not contain {commit}")
    if foreign := foreign_commits(git, now.head, since=(commit,)):
        raise _unfit("CLONE_AHEAD", f"has {foreign[0]} after {commit}, not made by this run")
    git.run("update-ref", f"{HOME}/{branch}", commit)


def _unfit(code: str, what: str) -> CheckError:
    return CheckError(f"the release clone {what}", code=code, remedy=MOVE_AWAY)


def home(git: GitCommand) -> tuple[str, str] | None:
    """Return the branch a clone was made for and its frozen head; None: an older relkit made it."""
    refs = git.run("for-each-ref", "--format=%(objectname) %(refname)", f"{HOME}/").text
    commit, _, ref = refs.partition("\n")[0].partition(" ")
    return (ref.removeprefix(f"{HOME}/"), commit) if ref else None


def contains(git: GitCommand, ref: str, commit: str) -> bool:
    """Tell whether a ref or commit of this repository contains a commit."""
    return git.ask("merge-base", "--is-ancestor", "--end-of-options", commit, ref).status == 0


def resolve(git: GitCommand, ref: str) -> str | None:
    """Return the object a ref of this repository names; None if there is no such ref."""
    answer = git.ask("rev-parse", "--quiet", "--verify", "--end-of-options", ref)
    return answer.text.strip() or None


def own_commits(git: GitCommand) -> frozenset[str]:
    """Return the commits that relkit has made in this clone."""
    refs = git.run("for-each-ref", "--format=%(objectname)", f"{OWN_COMMITS}/")
    return frozenset(refs.text.split())


def keep_own(git: GitCommand, commit: str) -> None:
    """Note a commit as made by relkit; it is never lost from the clone."""
    git.run("update-ref", f"{OWN_COMMITS}/{commit}", commit)


def foreign_commits(git: GitCommand, head: str, *, since: Sequence[str]) -> list[str]:
    """Return the commits of `head` that none of `since` contains and relkit did not make."""
    new = git.run("rev-list", "--end-of-options", head, *(f"^{one}" for one in since)).text.split()
    made = own_commits(git) if new else frozenset()
    return [commit for commit in new if commit not in made]


def put_aside(clone: Path) -> None:
    """Rename a clone to ``<clone>.superseded-<n>``; nothing of it is lost."""
    number = 1
    while (aside := clone.with_name(f"{clone.name}.superseded-{number}")).exists():
        number += 1
    clone.rename(aside)
