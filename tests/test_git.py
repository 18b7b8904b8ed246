from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from random import Random

import pytest
from git_helpers import ENVIRONMENT, WHEN, commit_file, git, refused
from hypothesis import given
from hypothesis import strategies as st

from relkit.adapters import git_clone, git_command
from relkit.adapters.editors import EDITORS, Tools
from relkit.adapters.git import (
    GitRepository,
    Identity,
    SigningKey,
    clear_locks,
    make_bare,
    protect,
)
from relkit.adapters.git_names import check_name, check_path, check_ref, check_url
from relkit.adapters.gpg_home import GpgHome, make_throwaway_key
from relkit.errors import CheckError, UsageError, WorldError
from relkit.values import Change, RefUpdate, Remote

MAIN, TAG, FORK = "refs/heads/main", "refs/tags/v3.15.0a1", "refs/heads/release-3.15.0a1"
NOBODY = "f" * 40
SOURCE = "a source; with a strange name"
CPYTHON = os.environ.get("RELKIT_CPYTHON", "")


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigningKey]:
    home = tmp_path_factory.mktemp("keys") / "rm"
    fingerprint = make_throwaway_key(home, "Release Manager", "rm@example.org")
    with GpgHome(home) as opened:
        yield SigningKey(opened.homedir, fingerprint)


@pytest.fixture(scope="session")
def mallory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigningKey]:
    home = tmp_path_factory.mktemp("keys") / "mallory"
    fingerprint = make_throwaway_key(home, "Mallory", "mallory@example.org")
    with GpgHome(home) as opened:
        yield SigningKey(opened.homedir, fingerprint)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make once what the tests get copies of: a world can be copied."""
    place = tmp_path_factory.mktemp("template")
    source = place / SOURCE
    source.mkdir()
    git(source, "init", "--quiet", "--initial-branch=main", "--template=")
    commit_file(source, "README.rst", "Hello\n")
    commit_file(source, ".gitignore", "*.log\nbuild/\n")
    commit_file(source, "Lib/a.py", "a = 1\n")
    make_bare(source, "main", place / "upstream.git")
    protect(place / "upstream.git")
    make_bare(place / "upstream.git", "main", place / "fork.git")
    made = repository(place, SigningKey(place, "0" * 40))
    made.make_clone(branch="main", commit=git(source, "rev-parse", "main"))
    return place


def repository(place: Path, signing: SigningKey) -> GitRepository:
    return GitRepository(
        place / "clone" / "3.15.0a1",
        {"upstream": str(place / "upstream.git"), "fork": str(place / "fork.git")},
        Identity("Release Manager", "rm@example.org"),
        signing,
        Tools(sys.executable, ("false",), place / "docs", place / "logs"),
    )


@pytest.fixture
def source(tmp_path: Path, template: Path) -> Path:
    return Path(shutil.copytree(template / SOURCE, tmp_path / SOURCE))


@pytest.fixture
def upstream(tmp_path: Path, template: Path) -> Path:
    return Path(shutil.copytree(template / "upstream.git", tmp_path / "upstream.git"))


@pytest.fixture
def repo(tmp_path: Path, template: Path, upstream: Path, keys: SigningKey) -> GitRepository:
    """The remotes of a release, and no clone yet."""
    shutil.copytree(template / "fork.git", upstream.with_name("fork.git"))
    return repository(tmp_path, keys)


@pytest.fixture
def base(upstream: Path) -> str:
    return (upstream / "packed-refs").read_text().split("\n")[1].split()[0]


@pytest.fixture
def clone(repo: GitRepository, template: Path) -> GitRepository:
    shutil.copytree(template / "clone", repo.clone.parent)
    return repo


EditorBody = Callable[[Path], object]


@pytest.fixture
def edited(clone: GitRepository, base: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a function as an editor on `base`; return the id of the commit that keeps the result."""

    def edit(body: EditorBody, *writes: str, base: str = base) -> str:
        monkeypatch.setitem(EDITORS, "test", lambda tree, *_: (body(tree), None)[1])
        clone.edit(editor="test", base=base, writes=writes, version="3.15.0a1", time=WHEN)
        made = clone.edited(editor="test", base=base)
        assert made is not None
        return made.commit

    return edit


def release(clone: GitRepository, base: str, edited: Callable[..., str]) -> str:
    """Commit something and tag it; return the commit."""
    tree_of = edited(lambda tree: (tree / "Lib/a.py").write_text("a = 2\n"), "Lib/*")
    message = "Python 3.15.0a1"
    clone.commit(branch="main", parent=base, tree_of=tree_of, message=message, time=WHEN)
    made = clone.committed(branch="main", parent=base, tree_of=tree_of, message=message)
    assert made is not None
    clone.create_tag(name="v3.15.0a1", commit=made.commit, message=message, time=WHEN)
    return made.commit


# --- names ------------------------------------------------------------------------------------

BAD_NAMES = [
    *("--upload-pack=touch canary", "-x", "", ".", "..", "../../x", "a..b", "a b", "a\n", "main\n"),
    *("a/b", "a.lock", "a.", "x^{commit}", "@{-1}", "HEAD~1", "a:b", "é", "a\0", "x" * 200, "*"),
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_are_more_than_names_are_refused(name: str, repo: GitRepository) -> None:
    refused("BAD_REF", lambda: check_name(name))
    refused("BAD_REF", lambda: repo.remote_ref(remote="upstream", ref=f"refs/heads/{name}"))
    refused("BAD_REF", lambda: repo.make_clone(branch=name, commit=NOBODY))
    refused("BAD_REF", lambda: repo.remote_tag(remote="fork", name=name))
    assert not repo.clone.exists()


@pytest.mark.parametrize("ref", ["main", "HEAD", "refs/pull/1/head", "refs/heads/", "refs/main"])
def test_refs_are_full_branches_and_tags(ref: str) -> None:
    refused("BAD_REF", lambda: check_ref(ref))


@pytest.mark.parametrize("name", ["main", "3.15", "release-3.15.0a1", "v3.15.0rc1"])
def test_the_names_that_cpython_uses_are_fine(name: str) -> None:
    assert check_name(name) == name
    assert check_ref(f"refs/tags/{name}") == f"refs/tags/{name}"


@given(st.text())
def test_no_accepted_name_is_an_option_or_a_path(name: str) -> None:
    try:
        check_name(name)
    except UsageError:
        return
    assert not name.startswith("-")
    assert "/" not in name
    assert ".." not in name
    assert name.isascii()


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/", "a\0b"])
def test_paths_are_relative_and_plain(path: str) -> None:
    refused("BAD_PATH", lambda: check_path(path))


@pytest.mark.parametrize(
    "url",
    [
        *("ext::sh -c 'touch canary'", "--upload-pack=x", "-oProxyCommand=x", "file:///tmp/x"),
        *(
            "https://user:secret@example.org/x",
            "https://example.org/a b",
            "https://example.org/a\n",
        ),
        *("https://example.org/a;id", "http://example.org/x", "relative/path", "", "/srv/a\nb"),
        *(
            "ssh://-oProxyCommand=x/y",
            "git@-x:y",
            "git://example.org/x",
            "https://ex\u0430mple.org/x",
        ),
    ],
)
def test_addresses_that_are_more_than_addresses_are_refused(url: str) -> None:
    refused("BAD_URL", lambda: check_url(url, protocols=("file", "https", "ssh")))


def test_addresses_of_the_allowed_protocols_are_fine() -> None:
    urls = {
        "file": "/home/someone/a world; really/upstream.git",
        "https": "https://github.com/python/cpython.git",
        "ssh": "git@github.com:python/cpython.git",
    }
    for protocol, url in urls.items():
        assert check_url(url, protocols=(protocol,)) == url
        other = [one for one in urls if one != protocol]
        refused("BAD_URL", partial(check_url, url, protocols=other))


def test_a_world_with_a_bad_address_cannot_be_made(repo: GitRepository) -> None:
    urls: dict[Remote, str] = {"upstream": "ext::sh -c x", "fork": "/x"}
    with pytest.raises(UsageError, match="BAD_URL"):
        GitRepository(repo.clone, urls, repo.identity, repo.signing, repo.tools)


# --- the environment --------------------------------------------------------------------------


def test_what_the_caller_inherited_redirects_nothing(
    repo: GitRepository, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    canary = tmp_path / "canary"
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / "index"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", f"touch {canary}")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"touch {canary}; true")
    repo.make_clone(branch="main", commit=base)
    state = repo.clone_state()
    assert state is not None
    assert (state.branch, state.head, state.dirty) == ("main", base, ())
    assert not canary.exists()
    assert not (other / "README.rst").exists()


def test_git_never_looks_for_a_repository_in_parent_folders(
    repo: GitRepository, base: str, tmp_path: Path
) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "config", f"url.{tmp_path}/nowhere.insteadOf", str(tmp_path / "upstream.git"))
    assert repo.remote_ref(remote="upstream", ref=MAIN) == base
    repo.clone.mkdir(parents=True)
    refused("NOT_A_REPOSITORY", repo.clone_state)


def test_a_missing_git_is_named(
    clone: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "env").symlink_to(shutil.which("env") or "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    refused("TOOL_MISSING", clone.clone_state)


def test_a_git_that_hangs_is_ended(clone: GitRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_command, "SECONDS", 0.3)
    hanging = git_command.GitCommand(clone.clone, clone.clone / ".git")
    began = time.monotonic()
    refused(
        "GIT_TIMEOUT",
        lambda: hanging.run("-c", "alias.x=!sleep 5", "x"),
    )
    assert time.monotonic() - began < 3


# --- bare repositories ------------------------------------------------------------------------


def test_a_bare_copy_has_one_branch_and_its_release_tags(source: Path, tmp_path: Path) -> None:
    git(source, "tag", "-m", "x", "v3.15.0a0")
    git(source, "tag", "other")
    git(source, "checkout", "--quiet", "-b", "feature")
    commit_file(source, "feature", "x")
    git(source, "tag", "v9.9.9")
    before = git(source, "for-each-ref")
    make_bare(source, "main", tmp_path / "x.git")
    refs = git(tmp_path / "x.git", "for-each-ref", "--format=%(refname) %(objecttype)")
    assert refs.splitlines() == ["refs/heads/main commit", "refs/tags/v3.15.0a0 tag"]
    assert git(tmp_path / "x.git", "symbolic-ref", "HEAD") == MAIN
    assert str(source) not in (tmp_path / "x.git" / "config").read_text()
    assert git(source, "for-each-ref") == before
    assert git(tmp_path / "x.git", "fsck", "--no-dangling") == ""


def test_the_objects_of_a_bare_copy_are_hard_links(source: Path, tmp_path: Path) -> None:
    upstream = tmp_path / "x.git"
    make_bare(source, "main", upstream)
    one = next(path for path in (upstream / "objects").rglob("*") if path.is_file())
    assert one.stat().st_nlink > 1
    assert (source / ".git" / one.relative_to(upstream)).samefile(one)


def test_making_a_bare_copy_again_changes_nothing(source: Path, upstream: Path) -> None:
    before = git(upstream, "for-each-ref")
    commit_file(source, "later", "x")
    make_bare(source, "main", upstream)
    assert git(upstream, "for-each-ref") == before
    refused("TARGET_TAKEN", lambda: make_bare(source, "3.15", upstream))


def test_what_a_killed_copy_left_is_cleared(source: Path, tmp_path: Path) -> None:
    left = tmp_path / ".x.git.abc.bare"
    left.mkdir()
    make_bare(source, "main", tmp_path / "x.git")
    assert not left.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [SOURCE, "x.git"]


def source_without_branch(source: Path) -> None:
    git(source, "branch", "-m", "trunk")


def source_with_tracking_only(source: Path) -> None:
    git(source, "update-ref", "refs/remotes/origin/main", "main")
    git(source, "branch", "-m", "trunk")


def source_dirty(source: Path) -> None:
    (source / "README.rst").write_text("changed\n")


def source_staged(source: Path) -> None:
    (source / "new").write_text("x")
    git(source, "add", "new")


def source_behind(source: Path) -> None:
    head = commit_file(source, "later", "x")
    git(source, "update-ref", "refs/remotes/origin/main", head)
    git(source, "reset", "--quiet", "--hard", "HEAD~1")


def source_with_hole(source: Path) -> None:
    blob = git(source, "rev-parse", "main:Lib/a.py")
    (source / ".git/objects" / blob[:2] / blob[2:]).unlink()


def source_is_no_repository(source: Path) -> None:
    shutil.rmtree(source / ".git")


def source_is_cut(source: Path) -> None:
    (source / ".git/shallow").write_text(git(source, "rev-parse", "main") + "\n")


@pytest.mark.parametrize(
    ("break_it", "code", "words"),
    [
        (source_without_branch, "NO_BRANCH", "it has trunk"),
        (source_with_tracking_only, "NO_BRANCH", "it has trunk"),
        (source_dirty, "REPO_DIRTY", "README.rst"),
        (source_staged, "REPO_DIRTY", "new"),
        (source_behind, "REPO_BEHIND", "1 commits behind origin/main"),
        (source_with_hole, "REPO_INCOMPLETE", "78981922613b2afb6025042ff6bd878ac1994e85"),
        (source_is_no_repository, "NOT_A_REPOSITORY", "not a git repository"),
        (source_is_cut, "REPO_INCOMPLETE", "shallow"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_source_that_is_not_fit_is_refused_and_nothing_is_made(
    source: Path, tmp_path: Path, break_it: Callable[[Path], None], code: str, words: str
) -> None:
    if break_it is source_with_hole:
        words = git(source, "rev-parse", "main:Lib/a.py")
    break_it(source)
    assert words in refused(code, lambda: make_bare(source, "main", tmp_path / "x.git"))
    assert [path.name for path in tmp_path.iterdir()] == [SOURCE]


def test_places_that_are_no_repository_are_refused(source: Path, tmp_path: Path) -> None:
    refused("NOT_A_REPOSITORY", lambda: make_bare(tmp_path / "none", "main", tmp_path / "x.git"))
    refused("NOT_A_REPOSITORY", lambda: make_bare(source / "Lib", "main", tmp_path / "x.git"))
    refused("BAD_REF", lambda: make_bare(source, "--upload-pack=x", tmp_path / "x.git"))


def test_untracked_files_and_the_checked_out_branch_of_a_source_do_not_matter(
    source: Path, tmp_path: Path
) -> None:
    git(source, "checkout", "--quiet", "-b", "feature")
    (source / "notes.txt").write_text("x")
    make_bare(source, "main", tmp_path / "x.git")


def test_a_linked_work_tree_and_a_bare_repository_are_sources_too(
    source: Path, upstream: Path, tmp_path: Path
) -> None:
    git(source, "worktree", "add", "--quiet", "-b", "feature", str(tmp_path / "linked"))
    make_bare(tmp_path / "linked", "main", tmp_path / "x.git")
    make_bare(upstream, "main", tmp_path / "y.git")
    heads = {git(tmp_path / name, "rev-parse", "main") for name in ("x.git", "y.git")}
    assert heads == {git(source, "rev-parse", "main")}


def test_programs_named_by_a_source_are_not_run(source: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    program = source / "program"
    program.write_text(f"#!/bin/sh\ntouch '{canary}'\n")
    program.chmod(0o700)
    for key in ("core.fsmonitor", "core.hooksPath", "uploadpack.packObjectsHook", "core.pager"):
        git(source, "config", key, str(program))
    make_bare(source, "main", tmp_path / "x.git")
    assert not canary.exists()


# --- the clone --------------------------------------------------------------------------------


def test_the_clone_stands_on_the_branch_at_the_commit_and_is_clean(
    clone: GitRepository, base: str
) -> None:
    state = clone.clone_state()
    assert state is not None
    assert (state.branch, state.head, state.dirty) == ("main", base, ())
    assert (clone.clone / "Lib/a.py").read_text() == "a = 1\n"
    assert [path.name for path in clone.clone.parent.iterdir()] == ["3.15.0a1"]


def test_there_is_no_state_of_a_clone_that_is_not_there(repo: GitRepository, base: str) -> None:
    assert repo.clone_state() is None
    assert repo.edited(editor="news", base=base) is None
    assert repo.tag(name="v3.15.0a1") is None
    refused("NO_CLONE", lambda: repo.read_text(commit=base, path="README.rst"))


def test_nothing_in_the_clone_names_another_place(clone: GitRepository, tmp_path: Path) -> None:
    settings = (clone.clone / ".git/config").read_text()
    assert str(tmp_path) not in settings
    assert git(clone.clone, "remote") == ""


def test_a_copied_world_works_on_its_own_repositories(
    clone: GitRepository, base: str, edited: Callable[..., str], tmp_path: Path
) -> None:
    commit = release(clone, base, edited)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path, copy, symlinks=True, ignore=shutil.ignore_patterns("copy"))
    there = GitRepository(
        copy / "clone" / "3.15.0a1",
        {"upstream": str(copy / "upstream.git"), "fork": str(copy / "fork.git")},
        clone.identity,
        clone.signing,
        clone.tools,
    )
    there.push(remote="upstream", updates=(RefUpdate(ref=MAIN, old=base, new=commit),))
    assert there.remote_ref(remote="upstream", ref=MAIN) == commit
    assert clone.remote_ref(remote="upstream", ref=MAIN) == base


def test_the_clone_can_be_made_at_an_older_commit(
    repo: GitRepository, base: str, upstream: Path
) -> None:
    older = git(upstream, "rev-parse", "main~1")
    repo.make_clone(branch="main", commit=older)
    state = repo.clone_state()
    assert state is not None
    assert state.head == older
    assert not state.dirty
    refused("CLONE_BEHIND", lambda: repo.make_clone(branch="main", commit=base))


def test_a_commit_that_is_not_on_the_branch_is_refused(repo: GitRepository) -> None:
    refused("CLONE_BEHIND", lambda: repo.make_clone(branch="main", commit=NOBODY))
    assert not repo.clone.exists()


def test_making_the_clone_again_keeps_it(
    clone: GitRepository, base: str, edited: Callable[..., str]
) -> None:
    inode = clone.clone.stat().st_ino
    clone.make_clone(branch="main", commit=base)
    commit = release(clone, base, edited)
    clone.make_clone(branch="main", commit=base)
    state = clone.clone_state()
    assert state is not None
    assert state.head == commit
    assert clone.clone.stat().st_ino == inode


def test_a_clone_that_is_not_fit_is_refused_and_left_alone(clone: GitRepository, base: str) -> None:
    """I35: an old checkout was released from."""
    make = partial(clone.make_clone, branch="main", commit=base)
    (clone.clone / "stray").write_text("x")
    assert "stray" in refused("CLONE_DIRTY", make)
    (clone.clone / "stray").unlink()
    foreign = commit_file(clone.clone, "mine", "x")
    assert foreign in refused("CLONE_AHEAD", make)
    git(clone.clone, "checkout", "--quiet", "-b", "other")
    assert "other" in refused("CLONE_BRANCH", make)
    git(clone.clone, "checkout", "--quiet", "--detach")
    refused("CLONE_BRANCH", make)
    assert git(clone.clone, "rev-parse", "HEAD") == foreign


def test_what_killed_clones_left_is_cleared(repo: GitRepository, base: str) -> None:
    left = repo.clone.parent / ".3.15.0a1.abc.clone"
    left.mkdir(parents=True)
    repo.make_clone(branch="main", commit=base)
    assert not left.exists()


def test_locks_of_a_killed_git_are_removed_after_a_while(
    clone: GitRepository, base: str, edited: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clear_locks, "__kwdefaults__", {"patience_seconds": 0.1})
    for name in ("index.lock", "HEAD.lock", "refs/heads/main.lock", "packed-refs.lock"):
        (clone.clone / ".git" / name).touch()
    release(clone, base, edited)
    assert not list((clone.clone / ".git").rglob("*.lock"))


def test_a_git_that_is_still_at_work_is_given_time(clone: GitRepository) -> None:
    lock = clone.clone / ".git" / "index.lock"
    lock.touch()
    timer = threading.Timer(0.2, lock.unlink)
    timer.start()
    clear_locks(clone.clone / ".git", patience_seconds=30)
    timer.join()
    assert not lock.exists()


HOSTILE = [
    ("url./srv/evil.git.insteadOf", "{upstream}", "REMOTE_NOT_ALLOWED"),
    ("url./srv/evil.git.pushInsteadOf", "{upstream}", "REMOTE_NOT_ALLOWED"),
    ("remote.upstream.url", "/srv/evil.git", "REMOTE_NOT_ALLOWED"),
    ("remote.fork.pushurl", "/srv/evil.git", "REMOTE_NOT_ALLOWED"),
    ("remote.fork.mirror", "true", "MIRROR_REMOTE"),
    ("remote.upstream.receivepack", "touch canary", "CLONE_CONFIG"),
    ("core.fsmonitor", "touch canary", "CLONE_CONFIG"),
    ("core.sshCommand", "touch canary", "CLONE_CONFIG"),
    ("core.worktree", "/srv", "CLONE_CONFIG"),
    ("filter.x.clean", "touch canary", "CLONE_CONFIG"),
    ("include.path", "/srv/evil", "CLONE_CONFIG"),
    ("gpg.program", "touch canary", "CLONE_CONFIG"),
]


@pytest.mark.parametrize(("key", "value", "code"), HOSTILE, ids=[one[0] for one in HOSTILE])
def test_settings_planted_in_the_clone_are_refused(
    clone: GitRepository, base: str, upstream: Path, key: str, value: str, code: str
) -> None:
    value = value.format(upstream=upstream)
    git(clone.clone, "config", key, value)
    update = RefUpdate(ref=FORK, old=None, new=base)
    assert value in refused(code, lambda: clone.push(remote="fork", updates=(update,)))
    refused(code, clone.clone_state)
    refused(code, lambda: clone.contains(remote="upstream", branch="main", commit=base))
    assert clone.remote_ref(remote="fork", ref=FORK) is None
    assert not list(clone.clone.parent.rglob("canary"))


def test_the_redirection_of_an_address_is_seen_in_git_itself(
    clone: GitRepository, base: str, monkeypatch: pytest.MonkeyPatch, upstream: Path
) -> None:
    git(clone.clone, "config", "url./srv/evil.git.insteadOf", str(upstream))
    monkeypatch.setattr(git_clone, "guard_settings", lambda *_: None)
    reads = partial(clone.contains, remote="upstream", branch="main", commit=base)
    assert "/srv/evil.git" in refused("REMOTE_NOT_ALLOWED", reads)


def test_ordinary_settings_of_a_person_are_fine(clone: GitRepository) -> None:
    git(clone.clone, "config", "user.name", "Me")
    git(clone.clone, "config", "branch.main.description", "release")
    git(clone.clone, "remote", "add", "upstream", clone.remotes["upstream"])
    assert clone.clone_state() is not None


def test_hooks_planted_in_the_clone_do_not_run(
    clone: GitRepository, base: str, edited: Callable[..., str], tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    hooks = clone.clone / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in (
        *("pre-commit", "commit-msg", "post-commit", "pre-push", "post-checkout"),
        *("reference-transaction", "post-index-change", "fsmonitor-watchman"),
    ):
        (hooks / name).write_text(f"#!/bin/sh\ntouch '{canary}'\n")
        (hooks / name).chmod(0o700)
    commit = release(clone, base, edited)
    clone.push(remote="fork", updates=(RefUpdate(ref=FORK, old=None, new=commit),))
    assert not canary.exists()


# --- reading ----------------------------------------------------------------------------------


def test_files_of_a_commit_are_read_with_their_line_ends(
    repo: GitRepository, source: Path, tmp_path: Path
) -> None:
    (source / "link").symlink_to("README.rst")
    git(source, "add", "link")
    (source / "latin-1").write_bytes(b"caf\xe9")
    git(source, "add", "latin-1")
    head = commit_file(source, "crlf [1].txt", "")
    (source / "crlf [1].txt").write_bytes(b"\r\na\n\n")
    git(source, "commit", "--quiet", "-a", "-m", "x")
    head = git(source, "rev-parse", "HEAD")
    make_bare(source, "main", tmp_path / "newer.git")
    newer = GitRepository(
        repo.clone,
        {"upstream": str(tmp_path / "newer.git"), "fork": repo.remotes["fork"]},
        *(repo.identity, repo.signing, repo.tools),
    )
    newer.make_clone(branch="main", commit=head)
    assert newer.read_text(commit=head, path="crlf [1].txt") == "\r\na\n\n"
    assert newer.read_text(commit=head, path="Lib/a.py") == "a = 1\n"
    for path in ("none", "Lib", "link", "crlf *", "Lib/a.py/x"):
        assert newer.read_text(commit=head, path=path) is None
    refused("NOT_TEXT", lambda: newer.read_text(commit=head, path="latin-1"))
    refused("GIT_FAILED", lambda: newer.read_text(commit=NOBODY, path="README.rst"))
    refused("BAD_REF", lambda: newer.read_text(commit="--help", path="README.rst"))
    refused("BAD_PATH", lambda: newer.read_text(commit=head, path="../x"))
    assert newer.paths(commit=head, under="Lib") == ("Lib/a.py",)
    assert newer.paths(commit=head, under="Li") == ()
    assert len(newer.paths(commit=head, under="")) == 6


def test_changes_and_the_difference_are_those_between_two_commits(
    clone: GitRepository, base: str, edited: Callable[..., str]
) -> None:
    def change(tree: Path) -> None:
        (tree / "README.rst").rename(tree / "READ ME\t.rst")
        (tree / "Lib/a.py").write_bytes(b"a = 1\n\xff\n")
        (tree / "bytes").write_bytes(bytes(range(256)))

    made = edited(change, "*")
    assert clone.changes(base=base, commit=made) == (
        Change(status="M", path="Lib/a.py"),
        Change(status="A", path="READ ME\t.rst"),
        Change(status="D", path="README.rst"),
        Change(status="A", path="bytes"),
    )
    diff = clone.diff(base=base, commit=made)
    assert "--- a/Lib/a.py\n+++ b/Lib/a.py\n@@ -1 +1,2 @@\n a = 1\n+\\xff\n" in diff
    assert "GIT binary patch" in diff
    assert clone.changes(base=base, commit=base) == ()
    assert clone.diff(base=base, commit=base) == ""


# --- editing ----------------------------------------------------------------------------------


def test_an_edit_is_kept_as_a_commit_and_the_clone_does_not_see_it(
    clone: GitRepository, base: str, edited: Callable[..., str]
) -> None:
    first = edited(lambda tree: (tree / "Lib/a.py").write_text("a = 2\n"), "Lib/*")
    again = edited(lambda tree: (tree / "Lib/a.py").write_text("a = 2\n"), "Lib/*")
    assert first == again
    found = clone.edited(editor="test", base=base)
    assert found is not None
    assert (found.commit, found.parents) == (first, (base,))
    state = clone.clone_state()
    assert state is not None
    assert (state.branch, state.head, state.dirty) == ("main", base, ())
    assert [path.name for path in clone.clone.parent.iterdir()] == ["3.15.0a1"]


def test_edits_follow_one_another(
    clone: GitRepository, base: str, edited: Callable[..., str]
) -> None:
    first = edited(lambda tree: (tree / "Lib/a.py").write_text("a = 2\n"), "Lib/*")
    second = edited(lambda tree: (tree / "Lib/b.py").write_text("b = 1\n"), "Lib/*", base=first)
    assert clone.read_text(commit=second, path="Lib/a.py") == "a = 2\n"
    assert [one.path for one in clone.changes(base=base, commit=second)] == ["Lib/a.py", "Lib/b.py"]


def test_an_edit_that_changes_nothing_is_an_edit(
    clone: GitRepository, base: str, edited: Callable[..., str]
) -> None:
    made = edited(lambda _: None)
    assert clone.changes(base=base, commit=made) == ()


def inner_repository(folder: Path) -> None:
    folder.mkdir()
    git(folder, "init", "--quiet")
    commit_file(folder, "x", "y")


@pytest.mark.parametrize(
    "write",
    [
        lambda tree: (tree / "Lib/b.py").write_text("x"),
        lambda tree: (tree / "README.rst").unlink(),
        lambda tree: (tree / "README.rst").chmod(0o755),
        lambda tree: (tree / "Lib/x").symlink_to("/etc/passwd"),
        lambda tree: inner_repository(tree / "inner"),
    ],
    ids=["new", "removed", "mode", "link", "repository"],
)  # fmt: skip
def test_an_undeclared_write_is_refused_and_nothing_is_kept(
    clone: GitRepository, base: str, edited: Callable[..., str], write: EditorBody
) -> None:
    def body(tree: Path) -> None:
        (tree / "Lib/a.py").write_text("a = 2\n")
        write(tree)

    edited(lambda tree: (tree / "Lib/a.py").write_text("a = 2\n"), "Lib/a.py")
    refused("UNDECLARED_WRITE", lambda: edited(body, "Lib/a.py"))
    assert clone.edited(editor="test", base=base) is None
    state = clone.clone_state()
    assert state is not None
    assert state.dirty == ()


def test_of_ignored_files_the_declared_ones_are_kept(
    clone: GitRepository, base: str, edited: Callable[..., str]
) -> None:
    def body(tree: Path) -> None:
        for name in ("news.log", "Lib/noise.log", "build/out"):
            (tree / name).parent.mkdir(exist_ok=True)
            (tree / name).write_text("x")

    made = edited(body, "news.*")
    assert [one.path for one in clone.changes(base=base, commit=made)] == ["news.log"]


def test_an_editor_that_refuses_leaves_the_clone_as_it_was(
    clone: GitRepository, base: str, edited: Callable[..., str]
) -> None:
    def body(tree: Path) -> None:
        (tree / "Lib/a.py").write_text("half")
        raise CheckError("no", code="EDIT_NO", remedy="None.")

    refused("EDIT_NO", lambda: edited(body, "*"))
    assert clone.edited(editor="test", base=base) is None
    state = clone.clone_state()
    assert state is not None
    assert state.dirty == ()
    assert [path.name for path in clone.clone.parent.iterdir()] == ["3.15.0a1"]


def test_an_unknown_editor_is_refused(clone: GitRepository, base: str) -> None:
    edit = partial(clone.edit, editor="vi", base=base, writes=(), version="3.15.0a1", time=WHEN)
    assert "news" in refused("UNKNOWN_EDITOR", edit)


def test_git_called_by_an_editor_works_on_the_edited_tree_only(
    clone: GitRepository, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def body(tree: Path, _version: str, _time: datetime, tools: Tools) -> None:
        (tree / "new.log").write_text("x")
        for command in ("rm --quiet Lib/a.py", "add --force new.log"):
            environment = dict(tools.environment)
            subprocess.run(["git", *command.split()], cwd=tree, env=environment, check=True)

    monkeypatch.setitem(EDITORS, "test", body)
    clone.edit(editor="test", base=base, writes=("*",), version="3.15.0a1", time=WHEN)
    found = clone.edited(editor="test", base=base)
    assert found is not None
    paths = [one.path for one in clone.changes(base=base, commit=found.commit)]
    assert paths == ["Lib/a.py", "new.log"]
    state = clone.clone_state()
    assert state is not None
    assert state.dirty == ()


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from datetime import UTC, datetime
from functools import partial
from relkit.adapters.editors import EDITORS, Tools
from relkit.adapters.git import *
def body(tree, *rest):
    (tree / "Lib/a.py").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
EDITORS["test"] = body
repo = GitRepository(Path({clone!r}), {remotes!r}, Identity("x", "x@y"),
                     SigningKey(Path("/x"), "0"), Tools("x", ("x",), Path("/x"), Path("/x")))
repo.edit(editor="test", base={base!r}, writes=("*",), version="3.15.0a1", time=datetime.now(UTC))
"""


def test_an_edit_that_was_killed_left_the_clone_clean_and_is_done_again(
    clone: GitRepository, base: str, edited: Callable[..., str]
) -> None:
    script = KILLED.format(tests="", clone=str(clone.clone), remotes=dict(clone.remotes), base=base)
    ended = subprocess.run([sys.executable, "-c", script], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(list(clone.clone.parent.iterdir())) == 2
    state = clone.clone_state()
    assert state is not None
    assert (state.head, state.dirty) == (base, ())
    made = edited(lambda tree: (tree / "Lib/a.py").write_text("a = 2\n"), "*")
    assert clone.read_text(commit=made, path="Lib/a.py") == "a = 2\n"
    assert len(list(clone.clone.parent.iterdir())) == 1


# --- committing -------------------------------------------------------------------------------


def test_a_commit_has_the_tree_the_parent_the_person_and_the_time(
    clone: GitRepository, base: str, edited: Callable[..., str]
) -> None:
    tree_of = edited(lambda tree: (tree / "Lib/a.py").write_text("a = 2\n"), "*")
    what = {"branch": "main", "parent": base, "tree_of": tree_of, "message": "Python 3.15.0a1"}
    assert clone.committed(**what) is None
    clone.commit(**what, time=WHEN)
    found = clone.committed(**what)
    assert found is not None
    shown = git(clone.clone, "show", "--no-patch", "--format=%an %ae %cn %ce %aI %cI%n%B", "HEAD")
    stamp = "2026-05-05T10:00:00+00:00"
    who = "Release Manager rm@example.org"
    assert shown == f"{who} {who} {stamp} {stamp}\nPython 3.15.0a1"
    assert found.parents == (base,)
    assert (clone.clone / "Lib/a.py").read_text() == "a = 2\n"
    assert clone.committed(**{**what, "message": "Python 3.15.0a2"}) is None
    (clone.clone / "Lib/a.py").write_text("a = 3\n")
    assert clone.committed(**what) is None


def test_the_same_commit_has_the_same_id_in_another_clone_and_a_second_call_keeps_it(
    clone: GitRepository, base: str, edited: Callable[..., str]
) -> None:
    tree_of = edited(lambda tree: (tree / "Lib/a.py").write_text("a = 2\n"), "*")
    what = {"branch": "main", "parent": base, "tree_of": tree_of, "message": "x"}
    heads = []
    for _ in range(2):
        clone.commit(**what, time=WHEN)
        clone.commit(**what, time=WHEN)
        heads.append(git(clone.clone, "rev-parse", "HEAD"))
        shutil.rmtree(clone.clone)
        clone.make_clone(branch="main", commit=base)
        edited(lambda tree: (tree / "Lib/a.py").write_text("a = 2\n"), "*")
    assert heads[0] == heads[1]


def test_a_commit_that_was_killed_before_the_files_were_there_is_completed(
    clone: GitRepository, base: str, edited: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def body(tree: Path) -> None:
        (tree / "Lib/a.py").unlink()
        (tree / "Lib/b.py").write_text("b = 1\n")

    tree_of = edited(body, "*")
    what = {"branch": "main", "parent": base, "tree_of": tree_of, "message": "x"}
    with monkeypatch.context() as patch:
        patch.setattr(git_command.GitCommand, "run", _without_reset(git_command.GitCommand.run))
        clone.commit(**what, time=WHEN)
    assert clone.committed(**what) is None
    (clone.clone / "Lib/b.py").write_text("b =")  # half written
    clone.commit(**what, time=WHEN)
    assert clone.committed(**what) is not None


def _without_reset(run: Callable[..., object]) -> Callable[..., object]:
    def stub(self: object, *arguments: str) -> object:
        return None if arguments[0] == "reset" else run(self, *arguments)

    return stub


def test_a_clone_that_is_elsewhere_is_not_committed_to(
    clone: GitRepository, base: str, edited: Callable[..., str]
) -> None:
    tree_of = edited(lambda tree: (tree / "Lib/a.py").write_text("a = 2\n"), "*")
    commit = partial(
        clone.commit, branch="main", parent=base, tree_of=tree_of, message="x", time=WHEN
    )
    (clone.clone / "README.rst").write_text("mine")
    assert "README.rst" in refused("CLONE_DIRTY", commit)
    assert (clone.clone / "README.rst").read_text() == "mine"
    foreign = commit_file(clone.clone, "README.rst", "mine")
    assert foreign in refused("CLONE_MOVED", commit)
    git(clone.clone, "reset", "--quiet", "--hard", f"{base}~1")
    refused("CLONE_MOVED", commit)
    git(clone.clone, "checkout", "--quiet", "-b", "other")
    assert "other" in refused("CLONE_BRANCH", commit)


def test_a_later_revision_of_the_run_replaces_its_commit_and_an_older_step_does_not(
    clone: GitRepository, base: str, edited: Callable[..., str]
) -> None:
    first = edited(lambda tree: (tree / "Lib/a.py").write_text("a = 2\n"), "*")
    commit = partial(clone.commit, branch="main", parent=base, message="x", time=WHEN)
    commit(tree_of=first)
    one = git(clone.clone, "rev-parse", "HEAD")
    second = edited(lambda tree: (tree / "Lib/a.py").write_text("a = 3\n"), "*")
    commit(tree_of=second)
    two = git(clone.clone, "rev-parse", "HEAD")
    assert one != two
    assert (clone.clone / "Lib/a.py").read_text() == "a = 3\n"
    third = edited(lambda tree: (tree / "Lib/a.py").write_text("a = 4\n"), "*", base=two)
    clone.commit(branch="main", parent=two, tree_of=third, message="Post", time=WHEN)
    refused("CLONE_MOVED", lambda: commit(tree_of=second))


# --- tags -------------------------------------------------------------------------------------


def test_a_tag_is_signed_by_the_release_manager_and_verified_as_an_object(
    clone: GitRepository, base: str, keys: SigningKey
) -> None:
    assert clone.tag(name="v3.15.0a1") is None
    make = partial(clone.create_tag, name="v3.15.0a1", commit=base, message="Python", time=WHEN)
    make()
    found = clone.tag(name="v3.15.0a1")
    assert found is not None
    assert (found.name, found.commit, found.signer) == ("v3.15.0a1", base, keys.fingerprint)
    make()
    assert clone.tag(name="v3.15.0a1") == found
    text = git(clone.clone, "cat-file", "tag", "v3.15.0a1")
    assert "tagger Release Manager <rm@example.org> 1777975200 +0000" in text


def test_a_tag_is_never_moved(clone: GitRepository, base: str) -> None:
    clone.create_tag(name="v3.15.0a1", commit=base, message="Python", time=WHEN)
    other = git(clone.clone, "rev-parse", f"{base}~1")
    make = partial(clone.create_tag, name="v3.15.0a1", commit=other, message="Python", time=WHEN)
    assert base in refused("TAG_EXISTS", make)


def test_a_tag_without_a_good_signature_has_no_signer(
    clone: GitRepository, base: str, mallory: SigningKey
) -> None:
    home = {"GNUPGHOME": str(mallory.home)}
    git(clone.clone, "tag", "-a", "-m", "x", "v3.15.0a1", base)
    git(clone.clone, "tag", "-s", "-u", mallory.fingerprint, "-m", "x", "v3.15.0a2", base, **home)
    clone.create_tag(name="v3.15.0a3", commit=base, message="Python", time=WHEN)
    text = git(clone.clone, "cat-file", "tag", "v3.15.0a3").replace("Python", "Pyth0n")
    forged = subprocess.run(
        ["git", "mktag"], cwd=clone.clone, input=text + "\n", capture_output=True, text=True,
        check=True, env=ENVIRONMENT,
    ).stdout.strip()  # fmt: skip
    git(clone.clone, "update-ref", "refs/tags/v3.15.0a3", forged)
    for name in ("v3.15.0a1", "v3.15.0a2", "v3.15.0a3"):
        found = clone.tag(name=name)
        assert found is not None
        assert found.signer is None
        make = partial(clone.create_tag, name=name, commit=base, message="x", time=WHEN)
        refused("TAG_EXISTS", make)


def test_a_signature_by_a_key_that_is_known_but_not_meant_names_that_key(
    repo: GitRepository, base: str, keys: SigningKey, mallory: SigningKey, tmp_path: Path
) -> None:
    with GpgHome(tmp_path / "ring") as ring:
        for key in (keys, mallory):
            exported = subprocess.run(
                ["gpg", "--homedir", str(key.home), "--armor", "--export"],
                check=True, capture_output=True, text=True,
            ).stdout  # fmt: skip
            ring.import_keys(exported)
        signing = SigningKey(ring.homedir, keys.fingerprint)
        both = GitRepository(repo.clone, repo.remotes, repo.identity, signing, repo.tools)
        both.make_clone(branch="main", commit=base)
        home = {"GNUPGHOME": str(mallory.home)}
        git(repo.clone, "tag", "-s", "-u", mallory.fingerprint, "-m", "x", "v3.15.0a1", **home)
        found = both.tag(name="v3.15.0a1")
    assert found is not None
    assert found.signer == mallory.fingerprint


def test_tags_that_are_none_are_refused(clone: GitRepository, base: str) -> None:
    git(clone.clone, "tag", "v3.15.0a1", base)
    refused("TAG_NOT_ANNOTATED", lambda: clone.tag(name="v3.15.0a1"))
    clone.create_tag(name="v3.15.0a2", commit=base, message="Python", time=WHEN)
    git(clone.clone, "update-ref", "refs/tags/v3.15.0a3", "v3.15.0a2")
    assert "v3.15.0a2" in refused("TAG_NAME_MISMATCH", lambda: clone.tag(name="v3.15.0a3"))
    git(clone.clone, "tag", "-a", "-m", "x", "v3.15.0a4", f"{base}^{{tree}}")
    refused("TAG_NOT_ON_COMMIT", lambda: clone.tag(name="v3.15.0a4"))


def test_a_key_that_cannot_sign_makes_no_tag(clone: GitRepository, base: str) -> None:
    unknown = SigningKey(clone.signing.home, "0" * 40)
    repo = GitRepository(clone.clone, clone.remotes, clone.identity, unknown, clone.tools)
    make = partial(repo.create_tag, name="v3.15.0a1", commit=base, message="x", time=WHEN)
    refused("TAG_SIGNING", make)
    assert clone.tag(name="v3.15.0a1") is None


# --- pushing ----------------------------------------------------------------------------------


def test_a_push_moves_exactly_the_refs_it_names(
    clone: GitRepository, base: str, edited: Callable[..., str]
) -> None:
    """I58: several pushes made half a release possible."""
    commit = release(clone, base, edited)
    git(clone.clone, "tag", "-a", "-m", "x", "v9.9.9")
    tag = clone.tag(name="v3.15.0a1")
    assert tag is not None
    refs = {FORK: commit, TAG: tag.tag_object}
    updates = tuple(RefUpdate(ref=ref, old=None, new=new) for ref, new in refs.items())
    clone.push(remote="fork", updates=updates)
    clone.push(remote="fork", updates=updates)
    assert clone.remote_refs(remote="fork", refs=(FORK, TAG, "refs/tags/v9.9.9")) == {
        **refs,
        "refs/tags/v9.9.9": None,
    }
    assert clone.remote_tag(remote="fork", name="v3.15.0a1") == tag
    assert clone.contains(remote="fork", branch="release-3.15.0a1", commit=commit)
    assert not clone.contains(remote="fork", branch="main", commit=commit)
    assert not clone.contains(remote="fork", branch="none", commit=commit)
    assert clone.contains(remote="fork", branch="main", commit=base)
    gone = tuple(RefUpdate(ref=ref, old=new, new=None) for ref, new in refs.items())
    clone.push(remote="fork", updates=gone)
    clone.push(remote="fork", updates=gone)
    assert set(clone.remote_refs(remote="fork", refs=tuple(refs)).values()) == {None}


def test_a_ref_is_not_confused_with_a_longer_one(clone: GitRepository, upstream: Path) -> None:
    git(upstream, "update-ref", f"refs/heads/{MAIN}", "main~1")
    assert clone.remote_ref(remote="upstream", ref=MAIN) == git(upstream, "rev-parse", MAIN)


def test_a_push_is_refused_when_the_remote_moved_and_moves_nothing(
    clone: GitRepository, base: str, edited: Callable[..., str], upstream: Path
) -> None:
    commit = release(clone, base, edited)
    other = git(upstream, "commit-tree", "-m", "x", "-p", base, f"{base}^{{tree}}")
    git(upstream, "update-ref", MAIN, other)
    updates = (
        RefUpdate(ref=TAG, old=None, new=commit),
        RefUpdate(ref=MAIN, old=base, new=commit),
    )
    message = refused("REMOTE_MOVED", lambda: clone.push(remote="upstream", updates=updates))
    assert other in message
    assert base in message
    assert clone.remote_refs(remote="upstream", refs=(MAIN, TAG)) == {MAIN: other, TAG: None}


def test_a_tag_that_is_there_is_not_overwritten(
    clone: GitRepository, base: str, edited: Callable[..., str], upstream: Path
) -> None:
    commit = release(clone, base, edited)
    git(upstream, "update-ref", TAG, base)
    update = RefUpdate(ref=TAG, old=None, new=commit)
    refused("REMOTE_MOVED", lambda: clone.push(remote="upstream", updates=(update,)))
    refused("TAG_NOT_ANNOTATED", lambda: clone.remote_tag(remote="upstream", name="v3.15.0a1"))
    assert clone.remote_ref(remote="upstream", ref=TAG) == base


def test_a_protected_branch_refuses_the_whole_push_with_the_servers_words(
    clone: GitRepository, base: str, edited: Callable[..., str], upstream: Path
) -> None:
    commit = release(clone, base, edited)
    updates = (
        RefUpdate(ref=TAG, old=None, new=commit),
        RefUpdate(ref=MAIN, old=base, new=commit),
    )
    (upstream / "relkit-locked" / "main").touch()
    message = refused("PUSH_REFUSED", lambda: clone.push(remote="upstream", updates=updates))
    assert "branch main is protected" in message
    assert clone.remote_refs(remote="upstream", refs=(MAIN, TAG)) == {MAIN: base, TAG: None}
    (upstream / "relkit-locked" / "main").unlink()
    clone.push(remote="upstream", updates=updates)
    assert clone.remote_refs(remote="upstream", refs=(MAIN, TAG)) == {MAIN: commit, TAG: commit}


def test_an_upstream_branch_is_never_rewritten_or_deleted(
    clone: GitRepository, base: str, upstream: Path
) -> None:
    older = git(upstream, "rev-parse", "main~1")
    for new in (older, None):
        update = RefUpdate(ref=MAIN, old=base, new=new)
        push = partial(clone.push, remote="upstream", updates=(update,))
        refused("NOT_FAST_FORWARD", push)
    assert clone.remote_ref(remote="upstream", ref=MAIN) == base


def test_a_push_names_each_ref_once(clone: GitRepository, base: str) -> None:
    update = RefUpdate(ref=FORK, old=None, new=base)
    refused("BAD_REF", lambda: clone.push(remote="fork", updates=(update, update)))
    refused("BAD_REF", lambda: clone.push(remote="fork", updates=()))
    bad = RefUpdate(ref="refs/heads/../x", old=None, new=base)
    refused("BAD_REF", lambda: clone.push(remote="fork", updates=(bad,)))


def test_a_remote_that_is_not_there_is_named(clone: GitRepository, tmp_path: Path) -> None:
    (tmp_path / "fork.git").rename(tmp_path / "elsewhere.git")
    read = partial(clone.remote_ref, remote="fork", ref=MAIN)
    assert "fork" in refused("REMOTE_UNREACHABLE", read)


def test_the_protection_can_be_installed_again(upstream: Path) -> None:
    before = (upstream / "hooks" / "pre-receive").read_bytes()
    protect(upstream)
    assert (upstream / "hooks" / "pre-receive").read_bytes() == before
    assert [path.name for path in (upstream / "hooks").iterdir()] == ["pre-receive"]


def test_what_a_server_says_is_shown_without_control_characters() -> None:
    assert git_command.said(b"\x1b[31mred\x1b[0m\n\x07ok\xff") == "[31mred [0m\n ok�"


def test_a_person_that_cannot_stand_in_a_commit_is_refused() -> None:
    with pytest.raises(WorldError) as caught:
        Identity("Eve\n", "eve@example.org")
    assert caught.value.code == "BAD_IDENTITY"


# --- killed at any instant --------------------------------------------------------------------

WHOLE = """
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from relkit.adapters.editors import EDITORS, Tools
from relkit.adapters.git import *
from relkit.values import RefUpdate

place, source, home = (Path(one) for one in sys.argv[1:4])
fingerprint, base = sys.argv[4:]
when = datetime(2026, 5, 5, 10, tzinfo=UTC)
EDITORS["test"] = lambda tree, *_: (tree / "Lib/a.py").write_text("a = 2")
upstream, fork = place / "upstream.git", place / "fork.git"
for bare in (upstream, fork):
    make_bare(source, "main", bare)
    clear_locks(bare)
protect(upstream)
repo = GitRepository(place / "clone" / "x", {"upstream": str(upstream), "fork": str(fork)},
    Identity("RM", "rm@example.org"), SigningKey(home, fingerprint),
    Tools("x", ("x",), place, place))
main, tag = "refs/heads/main", "refs/tags/v3.15.0a1"
if not repo.clone.exists():
    repo.make_clone(branch="main", commit=base)
if not (edited := repo.edited(editor="test", base=base)):
    repo.edit(editor="test", base=base, writes=("*",), version="3.15.0a1", time=when)
    edited = repo.edited(editor="test", base=base)
what = {"branch": "main", "parent": base, "tree_of": edited.commit, "message": "x"}
if not repo.committed(**what):
    repo.commit(**what, time=when)
commit = repo.committed(**what).commit
if not repo.tag(name="v3.15.0a1"):
    repo.create_tag(name="v3.15.0a1", commit=commit, message="x", time=when)
found = repo.tag(name="v3.15.0a1")
assert found.signer == fingerprint
updates = (RefUpdate(ref=main, old=base, new=commit),
           RefUpdate(ref=tag, old=None, new=found.tag_object))
for remote in ("fork", "upstream"):
    if repo.remote_refs(remote=remote, refs=(main, tag)) != {main: commit, tag: found.tag_object}:
        repo.push(remote=remote, updates=updates)
    assert repo.remote_tag(remote=remote, name="v3.15.0a1") == found
    assert repo.contains(remote=remote, branch="main", commit=commit)
assert not repo.clone_state().dirty
"""


@pytest.mark.slow
def test_killed_at_any_instant_with_all_its_children_the_work_is_completed(
    source: Path, keys: SigningKey, tmp_path: Path
) -> None:
    head = git(source, "rev-parse", "main")
    arguments = [str(source), str(keys.home), keys.fingerprint, head]
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", WHOLE, str(tmp_path / "whole"), *arguments], check=True)
    whole = time.monotonic() - began
    expected = git(tmp_path / "whole" / "upstream.git", "rev-parse", "main")
    random = Random(20260505)  # noqa: S311 (instants, no secrets)
    for number in range(15):
        place = tmp_path / f"killed-{number}"
        command = [sys.executable, "-c", WHOLE, str(place), *arguments]
        for _ in range(2):
            process = subprocess.Popen(command, start_new_session=True)
            time.sleep(random.uniform(0.2, 0.9) * whole)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        subprocess.run(command, check=True)
        assert git(place / "upstream.git", "rev-parse", "main") == expected
        assert git(place / "fork.git", "rev-parse", "v3.15.0a1^{commit}") == expected
        names = sorted(path.name for path in place.iterdir())
        assert names == ["clone", "fork.git", "upstream.git"]
        assert [path.name for path in (place / "clone").iterdir()] == ["x"]


# --- real history -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not CPYTHON, reason="RELKIT_CPYTHON names no repository with CPython's history")
def test_a_world_on_real_history_is_made_in_seconds(tmp_path: Path, keys: SigningKey) -> None:
    began = time.monotonic()
    make_bare(Path(CPYTHON), "main", tmp_path / "upstream.git")
    make_bare(tmp_path / "upstream.git", "main", tmp_path / "fork.git")
    assert time.monotonic() - began < 10
    head = git(tmp_path / "upstream.git", "rev-parse", "main")
    repo = GitRepository(
        tmp_path / "clone" / "3.13.0a6",
        {"upstream": str(tmp_path / "upstream.git"), "fork": str(tmp_path / "fork.git")},
        Identity("Release Manager", "rm@example.org"),
        keys,
        Tools(sys.executable, ("false",), tmp_path / "docs", tmp_path / "logs"),
    )
    repo.make_clone(branch="main", commit=head)
    writes = ("Include/patchlevel.h", "README.rst")
    repo.edit(editor="version-numbers", base=head, writes=writes, version="3.13.0a6", time=WHEN)
    made = repo.edited(editor="version-numbers", base=head)
    assert made is not None
    what = {"branch": "main", "parent": head, "tree_of": made.commit, "message": "Python 3.13.0a6"}
    repo.commit(**what, time=WHEN)
    commit = repo.committed(**what)
    assert commit is not None
    repo.create_tag(name="v3.13.0a6", commit=commit.commit, message="Python 3.13.0a6", time=WHEN)
    tag = repo.tag(name="v3.13.0a6")
    assert tag is not None
    updates = (
        RefUpdate(ref=MAIN, old=head, new=commit.commit),
        RefUpdate(ref="refs/tags/v3.13.0a6", old=None, new=tag.tag_object),
    )
    repo.push(remote="upstream", updates=updates)
    assert repo.remote_tag(remote="upstream", name="v3.13.0a6") == tag
    assert repo.contains(remote="upstream", branch="main", commit=commit.commit)
