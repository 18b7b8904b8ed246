"""Places to meet and to announce at: bare repositories, reached by file or by a real sshd."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest
from git_helpers import ENVIRONMENT
from services.sshd import Sshd, sshd

from relkit.adapters.announcements import GitAnnouncements
from relkit.adapters.git_branches import bare_at
from relkit.adapters.git_command import Identity
from relkit.adapters.git_file import Branch, Elsewhere
from relkit.adapters.openssh import Pin, Pinned
from relkit.adapters.people import MeetingPeople
from relkit.adapters.posts import Posts
from relkit.adapters.release_data import PATH
from relkit.errors import ReleaseError
from relkit.rehearsal.release_data import ReleaseData
from relkit.release import Version

RM = Identity("Rika", "rika@example.org")
DATA = """\
# Words before, which stay.

[metadata."3.14"]
pep = 745
status = "bugfix"
branch = "3.14"
start-of-development = 2024-05-08
feature-freeze = 2025-05-07
end-of-bugfix = 2027-10-07

[[release."3.14"]]
stage = "3.14.0 final"
state = "actual"
date = 2025-10-07

[[release."3.14"]]
stage = "3.14.1"
state = "actual"
date = 2025-12-02

# -- 3.15 ----

[metadata."3.15"]
pep = 790
status = "feature"
branch =  "main"  # until its own is made
start-of-development = 2025-05-07
feature-freeze = 2026-05-07
end-of-bugfix = 2028-10-01

[[release."3.15"]]
stage = "3.15.0 alpha 7"
state = "actual"
date = 2026-03-10

[[release."3.15"]]
stage = "3.15.0 beta 1"
state = "expected"
date = 2026-05-07
note = "a long one"

# The end.
"""
PEP = """\
Python 3.15 Release Schedule

.. release schedule: feature

old words

.. release schedule: ends

Words after.
"""


@dataclass(frozen=True)
class Reach:
    """How a repository of this machine is reached."""

    protocol: str = "file"
    before: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def branch(self, bare: Path, copy: Path, name: str = "main", *, start: bool = False) -> Branch:
        return Branch(
            Elsewhere(
                "the place",
                copy,
                f"{self.before}{bare}",
                name,
                (self.protocol,),
                self.environment,
                start,
            )
        )


def by_ssh(server: Sshd, folder: Path) -> Reach:
    me = server.me
    pin = Pin(server.host, server.port, me.name, (server.host_key,))
    pinned = Pinned(folder, hosts=(pin,), identity_file=str(me.identity), alive_seconds=2)
    return Reach("ssh", f"ssh://{me.name}@{server.host}:{server.port}", pinned.environment())


class Reaches(ExitStack):
    """The ways to reach a repository, ``file`` and ``ssh``; sshd runs once it is needed."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._known = {"file": Reach()}

    def __getitem__(self, name: str) -> Reach:
        if name not in self._known:
            server = self.enter_context(sshd(self._folder / "sshd"))
            self._known[name] = by_ssh(server, self._folder / "ssh")
        return self._known[name]


def git(folder: Path, *arguments: str, given: bytes = b"") -> str:
    """Run git on a bare repository as somebody else would."""
    command = ["git", f"--git-dir={folder}", *arguments]
    done = subprocess.run(command, input=given, env=ENVIRONMENT, check=True, capture_output=True)
    return done.stdout.decode()


def put(bare: Path, files: Mapping[str, str | bytes], branch: str = "main") -> str:
    """Commit files to a branch of a bare repository, as somebody else; return the commit."""
    there = git(bare, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}").strip()
    git(bare, "read-tree", *([there] if there else ["--empty"]))
    for path, text in files.items():
        data = text if isinstance(text, bytes) else text.encode()
        blob = git(bare, "hash-object", "-w", "--stdin", given=data).strip()
        git(bare, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
    tree = git(bare, "write-tree").strip()
    parents = ["-p", there] if there else []
    commit = git(bare, "commit-tree", tree, *parents, "-m", "Somebody else's").strip()
    git(bare, "update-ref", f"refs/heads/{branch}", commit)
    return commit


def shown(bare: Path, path: str, branch: str = "main") -> str:
    return git(bare, "show", f"{branch}:{path}")


def commits(bare: Path, branch: str = "main") -> list[str]:
    """Return the subjects of the commits of a branch, the newest first."""
    return git(bare, "log", "--format=%s", branch).splitlines()


def peps_at(folder: Path) -> Path:
    bare = bare_at(folder)
    put(bare, {PATH: DATA, "peps/pep-0790.rst": PEP})
    return bare


def announcements(
    folder: Path, reach: Reach, *, blog: bool = True, posts: Posts | None = None, own: str = ""
) -> GitAnnouncements:
    """Make the real form on `folder`/peps.git and blog.git, which are made if need be.

    `own` is the folder of one of several who do that.
    """
    peps, other, mine = folder / "peps.git", folder / "blog.git", folder / own
    if not peps.exists():
        peps_at(peps)
        put(bare_at(other), {"README.md": "A blog.\n"})
    return GitAnnouncements(
        folder=mine / "drafts",
        peps=reach.branch(peps, mine / "copies/peps.git"),
        manager=RM,
        posts=posts or Posts(()),
        blog=reach.branch(other, mine / "copies/blog.git", "release", start=True) if blog else None,
        post_name="python-3150b1",
    )


def local_data(folder: Path) -> Path:
    """Make the rehearsal's release data, with the series 3.14 and 3.15."""
    known = {"3.14": "bugfix", "3.15": "feature"}
    ReleaseData(folder / "peps.git").create(Version.parse("3.15.0b1"), date(2026, 5, 7), known)
    return folder / "peps.git"


def attempt(call: object) -> ReleaseError | None:
    """Return what a call was refused with; None: it went on. Nothing else may come of it."""
    assert callable(call)
    try:
        call()
    except ReleaseError as error:
        return error
    return None


@contextmanager
def hook(bare: Path, name: str, script: str) -> Iterator[None]:
    """Let a repository run something of its own in pushes."""
    path = bare / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    try:
        yield
    finally:
        path.unlink()


def meeting(folder: Path, reach: Reach, copy: str = "copy", **more: object) -> MeetingPeople:
    """Make the real form of people on `folder`/meeting.git, empty if it is not there."""
    bare = bare_at(folder / "meeting.git")
    given: dict[str, object] = {"who": RM, "roster": (), **more}
    branch = reach.branch(bare, folder / f"{copy}.git")
    return MeetingPeople(meeting=branch, **given)  # type: ignore[arg-type]  # whatever it takes


def no_more_than(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let git be given up after so long."""
    monkeypatch.setattr("relkit.adapters.git_command.SECONDS", seconds)
