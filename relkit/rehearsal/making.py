"""How the world of a rehearsal is made, and how branches join it.

Every part is whole or not there, so that a making that was killed is gone on with. ``world.json``
says that the world is whole, ``branches/NAME.json`` that a branch has all it needs in it.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from relkit.adapters.git import clear_locks, make_bare, protect
from relkit.adapters.git_bare import check_source
from relkit.adapters.git_command import GitCommand
from relkit.adapters.gpg import make_throwaway_key
from relkit.adapters.ssh import make_key
from relkit.adapters.value_files import read_value, write_value
from relkit.errors import RecordError
from relkit.rehearsal import seeds
from relkit.rehearsal.calendar import last_release, phases
from relkit.rehearsal.release_data import ReleaseData
from relkit.rehearsal.sigstore import LoopbackSigstore
from relkit.rehearsal.site import Site
from relkit.rehearsal.state import seed_advisories
from relkit.rehearsal.tree import Change, add_branch, history, make_branch_repository, standing
from relkit.release import Release, Version
from relkit.values import ObjectId, Value
from relkit.worlds import WorldFile

WHOLE = "world.json"
MANAGER = "release-manager"
UPSTREAM, FORK = "upstream.git", "fork.git"


class Made(Value):
    """What ``world.json`` says: the world is whole, and this is where its source came from."""

    id: str
    source: str
    """The repository upstream is a copy of; empty: it is generated."""

    def nonce(self, key: str) -> str:
        """Return what marks the deeds of the run of a release (by its key) in this world."""
        return hashlib.sha256(f"{self.id} {key}".encode()).hexdigest()[:16]


class Joined(Value):
    """What ``branches/NAME.json`` says: the branch is whole, and where it stood then."""

    branch: str
    series: str
    head: ObjectId


def make(state: Path, file: WorldFile, release: Release, repository: str) -> Made:
    """Make what is missing of the world, and of the branch the release is made from.

    Raises `RecordError` (``WORLD_SOURCE``) where the world came from another repository.
    """
    marker = state / WHOLE
    if not marker.exists():
        make_throwaway_key(state / "gnupg", file.people[MANAGER].name, file.manager_email)
        LoopbackSigstore(state / "sigstore")
        for name in names_of(file):
            make_key(key_of(state, name))
        seed_advisories(state / "advisories.json", date=datetime.now(UTC).replace(microsecond=0))
        _join(state, release, repository)
        write_value(marker, Made(id=secrets.token_hex(8), source=repository))
    made = read_value(marker, Made)
    _require_source(made, repository)
    _join(state, release, made.source)
    return made


def names_of(file: WorldFile) -> tuple[str, ...]:
    """Return the names of all people of a world, each once."""
    names = [name for one in file.people.values() for name in (one.name, *one.also)]
    return tuple(dict.fromkeys(names))


def key_of(state: Path, name: str) -> Path:
    """Return the private SSH key of a person; the public one lies beside it."""
    return state / "keys" / hashlib.sha256(name.encode()).hexdigest()[:16]


def refuse_source(state: Path, release: Release, repository: str) -> None:
    """Refuse a repository that lacks what the release needs, before anything is written."""
    marker = state / WHOLE
    if marker.exists():
        made = read_value(marker, Made)
        _require_source(made, repository)
        repository = made.source
    if repository and not _head(state / UPSTREAM, release.branch):
        check_source(Path(repository).expanduser(), release.branch)


def let_time_pass(state: Path, release: Release) -> None:
    """Let happen what happens between two releases of a branch."""
    head = _head(state / UPSTREAM, release.branch)
    if head is not None:
        branch = seeds.Branch(release.branch, release.version.series, head)
        seeds.pass_time(state / "tracker.json", state / "buildbots.json", branch)


def site_of(state: Path) -> Site:
    """Return the world's site, which serves while it is entered."""
    servers = state / "servers"
    return Site(state / "site.sqlite", servers / "public", servers / "docs")


def _require_source(made: Made, repository: str) -> None:
    if repository and repository != made.source:
        raise RecordError(
            f"the world beside these records was made from {made.source or 'a generated tree'}; "
            f"asked is {repository}",
            code="WORLD_SOURCE",
            remedy="Use another records folder for another source.",
        )


def _join(state: Path, release: Release, repository: str) -> None:
    """Give the world the branch of a release, with all that belongs to it.

    A branch that a release has made in this world is used as it is.
    """
    branch, series = release.branch, release.version.series
    marker = state / "branches" / f"{branch}.{series}.json"
    if marker.exists():
        return
    _bring_branch(state, release, repository)
    head = _head(state / UPSTREAM, branch) or ""
    joined = seeds.Branch(branch, series, head)
    seeds.seed_tracker(state / "tracker.json", release, joined)
    seeds.seed_buildbots(state / "buildbots.json", joined)
    ReleaseData(state / "peps.git").create(
        _expected(release),
        release.day,
        {one.series: one.status for one in phases(release).values()},
    )
    before = {read_value(one, Joined).series for one in (state / "branches").glob("*.json")}
    with site_of(state) as site:
        seeds.seed_site(site, release, before)
    write_value(marker, Joined(branch=branch, series=series, head=head))


def _expected(release: Release) -> Version:
    """Return the release that is expected next: that of the run, or the one after its branch's."""
    if release.facts.publishes:
        return release.version
    last = last_release(release)
    return replace(last, micro=last.micro + 1)


# --- the repositories -----------------------------------------------------------------------------


def _bring_branch(state: Path, release: Release, repository: str) -> None:
    """Bring the branch to upstream and fork; what is left of that, now or by a kill, goes."""
    with ExitStack() as stack:
        for bare in (state / UPSTREAM, state / FORK):
            shutil.rmtree(_beside(bare), ignore_errors=True)
            stack.callback(shutil.rmtree, _beside(bare), ignore_errors=True)
        _bring_whole_branch(state, release, repository)


def _bring_whole_branch(state: Path, release: Release, repository: str) -> None:
    upstream, fork, branch = state / UPSTREAM, state / FORK, release.branch
    if not upstream.exists():
        if repository:
            make_bare(Path(repository).expanduser().resolve(), branch, upstream)
        else:
            make_branch_repository(upstream, branch, _history(release))
    clear_locks(upstream)
    protect(upstream)
    if _head(upstream, branch) is None:
        if repository:
            _copy_branch(Path(repository).expanduser().resolve(), branch, upstream)
        else:
            add_branch(upstream, branch, _history(release))
    make_bare(upstream, branch, fork) if not fork.exists() else clear_locks(fork)
    if _head(fork, branch) is None:
        _copy_branch(upstream, branch, fork)


def _history(release: Release) -> list[Change]:
    """Return the generated commits from which a release, or a transition, can be made."""
    if release.facts.publishes:
        return history(release.version)
    return standing(last_release(release), release.branch)


def _copy_branch(source: Path, branch: str, target: Path) -> None:
    """Bring a branch, and the release tags on it, from one repository into a bare one.

    It appears whole or not at all; tags that are there stay.
    """
    folder = _beside(target)
    folder.mkdir()
    copy = folder / "copy.git"
    make_bare(source, branch, copy)
    refs = _tags(copy) - _tags(target) | {f"refs/heads/{branch}"}
    GitCommand(target, target).run(
        *("fetch", "--quiet", "--atomic", "--no-tags", "--no-write-fetch-head"),
        *("--no-auto-maintenance", str(copy), *(f"{ref}:{ref}" for ref in sorted(refs))),
    )


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.joining")


def _tags(repository: Path) -> set[str]:
    git = GitCommand(repository, repository)
    return set(git.run("for-each-ref", "--format=%(refname)", "refs/tags/v*").text.split())


def _head(bare: Path, branch: str) -> ObjectId | None:
    if not bare.exists():
        return None
    found = GitCommand(bare, bare).ask(
        "rev-parse", "--quiet", "--verify", f"refs/heads/{branch}^{{commit}}"
    )
    return found.text.strip() or None
