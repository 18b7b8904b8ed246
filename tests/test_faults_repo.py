"""Upstream and the fork by SSH: a real git behind a real server, and what can go wrong there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import faults
import hostile
import pytest
from git_helpers import commit_file, git
from services.running import skip_without
from services.sshd import Sshd, sshd
from services.wire import Wire, wire
from ssh_helpers import Stand

from relkit.adapters.editors import Tools
from relkit.adapters.git import GitRepository, Identity, SigningKey
from relkit.adapters.openssh import Pinned
from relkit.errors import ReleaseError, UsageError
from relkit.values import RefUpdate

pytestmark = pytest.mark.slow  # a server, a clone and pushes in each

MAIN, RELEASE = "refs/heads/main", "refs/heads/release"


@dataclass
class Scene:
    """Upstream on a server, a line to it, a release clone here with a commit to push."""

    server: Sshd
    line: Wire
    upstream: Path
    work: Path
    pinned: Pinned
    repo: GitRepository
    base: str
    new: str

    def push(self) -> None:
        main = RefUpdate(ref=MAIN, old=self.base, new=self.new)
        more = RefUpdate(ref=RELEASE, old=None, new=self.new)
        self.repo.push(remote="upstream", updates=(main, more))

    def effects(self) -> int:
        """Count how often both refs are where they should be; never one of them alone."""
        refs = git(self.upstream, "for-each-ref", "--format=%(objectname) %(refname)").splitlines()
        moved = [f"{self.new} {ref}" in refs for ref in (MAIN, RELEASE)]
        assert len(set(moved)) == 1, "half of an atomic push"
        return int(all(moved))

    def hook(self, name: str, script: str) -> Path:
        path = self.upstream / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
        path.chmod(0o755)
        return path


def repository(
    server: Sshd, folder: Path, pinned: Pinned, port: int, upstream: Path
) -> GitRepository:
    at = f"ssh://{server.me.name}@{server.host}:{port}"
    return GitRepository(
        folder / "clone" / "3.15.0a1",
        {"upstream": f"{at}{upstream}", "fork": f"{at}{upstream.with_name('fork.git')}"},
        Identity("Release Manager", "rm@example.org"),
        SigningKey(folder / "gnupg", "0" * 40),
        Tools(sys.executable, ("false",), folder / "docs", folder / "logs"),
        protocols=("ssh",),
        environment=pinned.environment(),
    )


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with sshd(tmp_path / "sshd") as server, wire(server.port) as line:
        upstream, work = server.root / "upstream.git", tmp_path / "work"
        for path in (upstream, upstream.with_name("fork.git")):
            git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(path))
        git(tmp_path, "init", "--quiet", "--initial-branch=main", str(work))
        base = commit_file(work, "README.rst", "first\n")
        git(work, "push", "--quiet", str(upstream), "main")
        pinned = Stand(server, tmp_path).pinned(port=line.port)
        repo = repository(server, tmp_path, pinned, line.port, upstream)
        repo.make_clone(branch="main", commit=base)
        (repo.clone / "big").write_bytes(os.urandom(2 << 20))
        new = commit_file(repo.clone, "more", "second\n")
        yield Scene(server, line, upstream, work, pinned, repo, base, new)


def refusal(act: Callable[[], object]) -> ReleaseError:
    with pytest.raises(ReleaseError) as caught:
        act()
    return caught.value


def observed(scene: Scene, fault: str, error: ReleaseError | None, effects: int) -> None:
    scene.push()
    faults.observed("Repository", fault, error, effects=effects, effects_after=scene.effects())


def test_t08_clone_fetch_and_an_atomic_push_with_lease_go_by_ssh(scene: Scene) -> None:
    repo = scene.repo
    state = repo.clone_state()
    assert state is not None
    assert state.head == scene.new
    git(repo.clone, "tag", "stray", scene.new)
    scene.push()
    scene.push()  # nothing is left to do
    assert scene.effects() == 1
    assert git(scene.upstream, "tag") == ""
    assert repo.contains(remote="upstream", branch="main", commit=scene.base)
    assert repo.remote_refs(remote="upstream", refs=(MAIN, "refs/heads/none")) == {
        MAIN: scene.new,
        "refs/heads/none": None,
    }
    assert repo.remote_ref(remote="fork", ref=MAIN) is None


def test_t42_a_changed_host_key_is_refused_with_both_fingerprints(scene: Scene) -> None:
    first = scene.server.key_file
    scene.server.change_key()
    error = refusal(scene.push)
    assert error.code == "HOSTKEY"
    assert str(error).count("SHA256:") == 2
    effects = scene.effects()
    scene.server.stop()
    scene.server.key_file = first
    scene.server.start()
    observed(scene, "changed host key", error, effects)


def test_t42_a_host_that_is_not_pinned_is_refused(scene: Scene, tmp_path: Path) -> None:
    pinned = Pinned(tmp_path / "nobody", hosts=(), identity_file=str(scene.server.me.identity))
    repo = repository(scene.server, tmp_path, pinned, scene.line.port, scene.upstream)
    error = refusal(lambda: repo.remote_ref(remote="upstream", ref=MAIN))
    assert error.code == "HOSTKEY_UNPINNED"


def test_t09_only_addresses_of_the_allowed_protocols_are_taken(
    scene: Scene, tmp_path: Path
) -> None:
    strings = [text for text in hostile.STRINGS if text != "git@host:x"]  # which is an address
    for text in (*strings, "ext::sh -c id", "ssh://-oProxyCommand=id/x", "/tmp/x"):  # noqa: S108 (never opened)
        make = partial(
            GitRepository,
            tmp_path / "clone" / "x",
            {"upstream": text, "fork": scene.repo.remotes["fork"]},
            *(scene.repo.identity, scene.repo.signing, scene.repo.tools),
            protocols=("ssh", "https"),
        )
        with pytest.raises(UsageError, match="BAD_URL"):
            make()


def test_t47_a_branch_that_moved_stops_the_whole_push(scene: Scene) -> None:
    other = commit_file(scene.work, "other", "somebody's\n")
    git(scene.work, "push", "--quiet", str(scene.upstream), "main")
    error = refusal(scene.push)
    assert error.code in {"REMOTE_MOVED", "NOT_FAST_FORWARD"}
    assert other in str(error)
    assert git(scene.upstream, "rev-parse", "main") == other
    effects = scene.effects()
    git(scene.upstream, "update-ref", MAIN, scene.base)
    observed(scene, "remote branch moved", error, effects)


def test_t47_a_branch_that_moves_during_the_push_is_kept_by_the_lease(scene: Scene) -> None:
    other = commit_file(scene.work, "other", "somebody's\n")
    git(scene.work, "push", "--quiet", str(scene.upstream), "main:refs/heads/aside")
    hook = scene.hook(
        "pre-receive", f"env -u GIT_QUARANTINE_PATH git update-ref {MAIN} {other} {scene.base}"
    )
    error = refusal(scene.push)
    assert error.code == "REMOTE_MOVED"
    assert git(scene.upstream, "rev-parse", "main") == other
    assert scene.effects() == 0
    hook.unlink()


def test_an_upload_that_is_cut_changes_nothing_and_is_made_again(scene: Scene) -> None:
    data = os.urandom(3 << 20)
    (scene.repo.clone / "big").write_bytes(data)
    git(scene.repo.clone, "add", "big")
    git(scene.repo.clone, "commit", "--quiet", "-m", "Add big")
    scene.new = git(scene.repo.clone, "rev-parse", "HEAD")
    scene.line.cut_after(1 << 20)
    error = refusal(scene.push)
    assert error.code in {"PUSH_REFUSED", "REMOTE_UNREACHABLE"}
    observed(scene, "connection cut in an upload", error, scene.effects())


def test_an_answer_that_is_lost_after_the_push_is_looked_for(scene: Scene) -> None:
    hook = scene.hook("post-receive", "kill -9 $PPID")
    scene.push()
    hook.unlink()
    observed(scene, "time-out after the effect", None, scene.effects())


def test_a_server_that_is_down_is_said(scene: Scene) -> None:
    scene.server.stop()
    error = refusal(scene.push)
    assert error.code == "REMOTE_UNREACHABLE"
    effects = scene.effects()
    scene.server.start()
    observed(scene, "time-out before the effect", error, effects)


def test_who_may_not_sign_in_is_told_so(scene: Scene) -> None:
    keys = scene.server.root / "keys" / scene.server.me.name
    kept = keys.read_bytes()
    keys.write_bytes(b"")
    error = refusal(scene.push)
    keys.write_bytes(kept)
    assert error.code == "REMOTE_UNREACHABLE"
    assert "Permission denied" in str(error)
    observed(scene, "401", error, scene.effects())


def test_a_server_that_refuses_the_push_is_heard(scene: Scene) -> None:
    hook = scene.hook("pre-receive", "echo 'protected, says the server' >&2; exit 1")
    error = refusal(scene.push)
    assert error.code == "PUSH_REFUSED"
    assert "protected, says the server" in str(error)
    hook.unlink()
    observed(scene, "403", error, scene.effects())


def test_a_repository_that_is_not_there_is_said(scene: Scene) -> None:
    aside = scene.upstream.rename(scene.upstream.with_name("aside.git"))
    error = refusal(scene.push)
    assert error.code == "REMOTE_UNREACHABLE"
    aside.rename(scene.upstream)
    observed(scene, "404", error, scene.effects())


def test_a_full_disk_changes_no_ref(scene: Scene) -> None:
    if os.geteuid() != 0:
        skip_without("a small disk can be mounted by root only")
    (scene.repo.clone / "big").write_bytes(os.urandom(3 << 20))
    git(scene.repo.clone, "add", "big")
    git(scene.repo.clone, "commit", "--quiet", "-m", "Add big")
    scene.new = git(scene.repo.clone, "rev-parse", "HEAD")
    objects = str(scene.upstream / "objects")
    git(scene.upstream, "repack", "-a", "-d", "-q")
    kept = scene.upstream / "kept"
    subprocess.run(["cp", "-a", objects, str(kept)], check=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", objects]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        skip_without("no small disk can be mounted here")
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", objects], check=True)
        error = refusal(scene.push)
        assert error.code == "PUSH_REFUSED"
        effects = scene.effects()
        remount = ["mount", "-o", "remount,size=16m", objects]
        subprocess.run(remount, check=True)
        observed(scene, "disk full on the server", error, effects)
    finally:
        scene.server.stop()
        subprocess.run(["umount", "-l", objects], check=True)
