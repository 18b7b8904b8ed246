"""Hostile or strange input through the steps of a whole release: refused, or without effect.

A rehearsal is copied as it stood before a step, somebody changes its world, and the run goes on.
What a single step refuses in its own bad case is in `test_steps.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import rehearsals
from rehearsals import STEPS, VERSION, answer, git

from relkit.adapters.attempts import status_of
from relkit.adapters.attest import sign_with_ssh
from relkit.adapters.meeting import read_request
from relkit.adapters.value_files import write_value
from relkit.building import builder, download
from relkit.decision import decision_text
from relkit.errors import ReleaseError, WaitingError
from relkit.history import History
from relkit.opening import Opened
from relkit.rehearsal.making import key_of
from relkit.rehearsal.ports import RehearsalPeople

Spoil = Callable[[Path], Any]
"""Changes a world, given its folder."""
FOLDER = "ftp/python/3.15.0"
EVIL = f"python-{VERSION}-evil.exe"
HIDDEN = "Misc/NEWS.d/next/Library/2026-02-01-00-00-00.gh-issue-900009.aaaaaa.rst"
MAKEFILE = """\
pydoc-topics:
\tmkdir -p build/pydoc-topics
\tcp -r ../Lib/pydoc_data/. build/pydoc-topics/
\techo 'import evil' >> ../Lib/{name}
"""


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "records"


def code(call: Callable[[], Any]) -> str:
    """Return the code a call is refused with, or nothing."""
    try:
        call()
    except ReleaseError as error:
        return error.code if error.remedy else "no remedy"
    return ""


def go(opened: Opened, until: str) -> str:
    """Carry a run on; return the code and the step it is refused with, or nothing."""
    found = code(lambda: list(rehearsals.advance(opened, until)))
    waiting = [name for name in STEPS if opened.run.status(name) != "complete"]
    return f"{found} {waiting[0]}" if found else ""


def plain_git(folder: Path, *arguments: str | Path) -> None:
    """Run git as a developer would, whatever this machine is set to."""
    who = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        who |= {f"GIT_{role}_NAME": "Developer", f"GIT_{role}_EMAIL": "dev@rehearsal.invalid"}
    command = ["git", "-C", str(folder), *map(str, arguments)]
    subprocess.run(command, env=os.environ | who, capture_output=True, check=True, timeout=60)


# --- what comes from upstream ------------------------------------------------------------------


def commit(name: str, text: str) -> Spoil:
    """Put a file on upstream's main before the freeze; the buildbots are content with it."""

    def push(world: Path) -> None:
        upstream, work = world / "upstream.git", world / "developer"
        plain_git(world, "clone", "-q", upstream, work)
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
        plain_git(work, "add", "--all", "--force")
        plain_git(work, "commit", "-q", "-m", "a change")
        plain_git(work, "push", "-q", "origin", "main")
        shutil.rmtree(work)
        bots = world / "buildbots.json"
        data = json.loads(bots.read_text())
        for row in data["branches"]["main"]:
            row["commit"] = git(upstream, "rev-parse", "main")
        bots.write_text(json.dumps(data))

    return push


def in_clone(name: str) -> Spoil:
    return lambda world: (world / "clone" / VERSION / name).write_text("mine")


def setting(*words: str) -> Spoil:
    return lambda world: plain_git(world / "clone" / VERSION, "config", *words)


def unsigned_tag(world: Path) -> None:
    clone = world / "clone" / VERSION
    plain_git(clone, "tag", "-a", "-m", f"Python {VERSION}", f"v{VERSION}")


@pytest.mark.parametrize(
    ("stand", "spoil", "found"),
    [
        (
            "notify-experts",
            commit("Doc/Makefile", MAKEFILE.format(name="site.py")),
            "UNDECLARED_WRITE regenerate-topics",
        ),
        (
            "notify-experts",
            commit("Doc/Makefile", MAKEFILE.format(name="brand_new.py")),
            "UNDECLARED_WRITE regenerate-topics",
        ),
        (
            "notify-experts",
            commit(HIDDEN, "Names may be read \u202esdrawkcab.\n"),
            "BIDI_CONTROL commit-release",
        ),
        ("make-clone", in_clone("LICENSE"), "CLONE_DIRTY commit-release"),
        ("make-clone", in_clone("stray.txt"), "CLONE_DIRTY commit-release"),
        ("commit-release", unsigned_tag, "TAG_EXISTS tag-release"),
        (
            "tag-release",
            setting("url./tmp/elsewhere.insteadOf", "/"),
            "REMOTE_NOT_ALLOWED push-to-fork",
        ),
        ("tag-release", setting("remote.fork.mirror", "true"), "MIRROR_REMOTE push-to-fork"),
        ("tag-release", setting("core.fsmonitor", "touch /tmp/owned"), "CLONE_CONFIG push-to-fork"),
    ],
    ids=[
        *("a tool changes another file", "a tool makes another file", "hidden text"),
        *("a changed file", "a stray file", "an unsigned tag"),
        *("a redirect", "a mirror", "a program in the settings"),
    ],
)
def test_what_somebody_put_into_the_tree_or_the_clone_stops_the_release(
    snapshots: Path, records: Path, stand: str, spoil: Spoil, found: str
) -> None:
    rehearsals.copy(snapshots / stand, records)
    spoil(records / "world")
    fork = rehearsals.refs(records / "world" / "fork.git")
    with rehearsals.opened_at(records) as opened:
        assert go(opened, "push-to-fork") == found
    assert rehearsals.refs(records / "world" / "fork.git") == fork


def test_no_hook_of_the_clone_is_run(snapshots: Path, records: Path, tmp_path: Path) -> None:
    rehearsals.copy(snapshots / "make-clone", records)
    hooks = records / "world" / "clone" / VERSION / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    canary = tmp_path / "canary"
    for name in ("pre-commit", "post-commit", "pre-push", "post-checkout", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {canary}\n")
        (hooks / name).chmod(0o755)
    with rehearsals.opened_at(records) as opened:
        assert go(opened, "push-to-fork") == ""
    assert not canary.exists()


def test_a_stray_tag_of_the_clone_is_not_pushed(snapshots: Path, records: Path) -> None:
    rehearsals.copy(snapshots / "tag-release", records)
    plain_git(records / "world" / "clone" / VERSION, "tag", "v9.9.9")
    with rehearsals.opened_at(records) as opened:
        assert go(opened, "push-upstream") == ""
    for name in ("fork", "upstream"):
        assert "v9.9.9" not in git(records / "world" / f"{name}.git", "tag")


# --- what is built, signed and published -------------------------------------------------------


def test_a_tag_moved_on_the_fork_changes_nothing_that_is_built(
    snapshots: Path, records: Path
) -> None:
    """I36: builds go by commit id."""
    rehearsals.copy(snapshots / "push-to-fork", records)
    git(records / "world" / "fork.git", "update-ref", f"refs/tags/v{VERSION}", "main~1")
    with rehearsals.opened_at(records) as opened:
        assert go(opened, "collect-source") == ""
        made = opened.run.results[opened.run.step("collect-source")]
    expected = rehearsals.calm_world(snapshots)["artifacts"]
    digests = {file["name"]: file["sha256"] for file in made.to_data()["files"]}
    assert len(digests) == 4
    assert all(expected[name].endswith(digest) for name, digest in digests.items())


def test_a_build_that_was_lost_is_started_again_and_the_record_says_so(
    snapshots: Path, records: Path
) -> None:
    rehearsals.copy(snapshots / "start-builds", records)
    for outcome in records.glob("world/builds/*/source/attempt-1/outcome.json"):
        outcome.unlink()
    with rehearsals.opened_at(records) as opened:
        nonce, builders = opened.run.inputs.nonce, opened.run.world.builders
        assert builders.state(name="source", nonce=nonce).status == "lost"
        assert go(opened, "collect-source") == ""
        assert builders.state(name="source", nonce=nonce).status == "done"
        entries = [one.entry for one in opened.run.progress("collect-source").records]
    assert [one.what for one in entries if one.event == "set-going"] == ["the build source"]


def test_a_build_that_a_wait_started_again_is_put_aside_by_a_respin_and_made_anew(
    snapshots: Path, records: Path
) -> None:
    rehearsals.copy(snapshots / "start-builds", records)
    for outcome in records.glob("world/builds/*/source/attempt-1/outcome.json"):
        outcome.unlink()
    with rehearsals.opened_at(records) as opened:
        run, builders = opened.run, opened.run.world.builders
        assert go(opened, "collect-source") == ""
        run.respin("collect-source", run.manager, "release-manager", "the disk was full")
        assert builders.state(name="source", nonce=run.inputs.nonce).status == "absent"
        assert len(list(records.glob("world/builds/*/superseded/source.1/attempt-2/out/*"))) == 4
        entries = [one.entry for one in run.superseded[0].progress.records]
        assert [one.what for one in entries if one.event == "stopped"] == ["the build source"]
        assert go(opened, "collect-source") == ""
        nonce = f"{run.inputs.nonce}-r2"
        assert builders.state(name="source", nonce=nonce).status == "done"


@pytest.mark.parametrize("site", ["http://127.0.0.1:9/", None], ids=["gone", "never there"])
def test_a_build_that_cannot_reach_the_site_is_lost_and_has_not_failed(
    snapshots: Path, records: Path, monkeypatch: pytest.MonkeyPatch, site: str | None
) -> None:
    """A site that answers wrongly is another thing: that build has failed."""
    rehearsals.copy(snapshots / "close-run", records)
    (attempt,) = records.glob("world/builds/*/stranger/attempt-1")
    (attempt / "outcome.json").unlink()
    shutil.rmtree(attempt / "out")
    told = json.loads((attempt / "job.json").read_text())
    address = records / "address"
    if site is not None:
        address.write_text(site)
    (attempt / "job.json").write_text(json.dumps(told | {"site": str(address)}))
    monkeypatch.setattr(download, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(SystemExit, match="given up"):
        builder.main(attempt)
    assert not (attempt / "outcome.json").exists()
    assert status_of(attempt).status == "lost"


def test_a_planted_file_is_neither_signed_nor_published(snapshots: Path, records: Path) -> None:
    rehearsals.copy(snapshots / "freeze-subjects", records)
    world = records / "world"
    for folder in (f"artifacts/{VERSION}", f"servers/staging/{FOLDER}"):
        (world / folder).mkdir(parents=True, exist_ok=True)
        (world / folder / EVIL).write_bytes(b"MZ evil")
    with rehearsals.opened_at(records) as opened:
        assert go(opened, "verify-as-stranger") == ""
    assert [path.name for path in world.rglob(f"{EVIL}*")] == [EVIL, EVIL]
    assert not (world / "servers" / "public" / FOLDER / EVIL).exists()


# --- people ------------------------------------------------------------------------------------


@contextmanager
def asked(snapshots: Path, records: Path, stand: str, gate: str) -> Iterator[tuple[Opened, Path]]:
    """Open a run whose people do not answer by themselves; give it, and a gate's request."""
    rehearsals.copy(snapshots / stand, records)
    for left in (records / "world" / "requests").iterdir():
        left.unlink()
    with rehearsals.opened_at(records) as opened:
        people = RehearsalPeople(folder=records / "world", roster=opened.run.world.policy.people)
        opened.run.world = replace(opened.run.world, people=people, patience_seconds=0.0)
        assert code(partial(opened.run.apply, gate)) == "GATE_OPEN"
        (request,) = (records / "world" / "requests").glob("*.json")
        yield opened, request


@pytest.mark.parametrize(
    "change",
    [
        {"who": "Mallory"},
        {"who": "Mikko Mac"},
        {"role": "macos-expert"},
        {"plan": "0" * 64},
        {"step": "approve-macos"},
        {"nonce": "of another run"},
        {"verdict": "maybe"},
        {"sudo": True},
    ],
    ids=lambda change: " ".join(map(str, *change.items()))[:24],
)
def test_a_forged_answer_opens_nothing_and_an_honest_one_beside_it_does(
    snapshots: Path, records: Path, change: dict[str, object]
) -> None:
    with asked(snapshots, records, "try-source", "approve-windows") as (opened, request):
        text = decision_text(
            read_request(request),
            who="Wanda Windows",
            role="windows-expert",
            verdict="approve",
            reason="fine",
            at=opened.run.now(),
        )
        forged = json.loads(text)
        forged["predicate"] |= change
        signed = sign_with_ssh(json.dumps(forged), key_of(records / "world", "Wanda Windows"))
        write_value(request.with_name(f"{request.stem}.0001.json"), signed)
        with pytest.raises(WaitingError, match=r"GATE_OPEN.*; refused: APPROVAL_"):
            opened.run.apply("approve-windows")
        answer(request, "Wanda Windows", "windows-expert", "approve", "fine")
        assert code(partial(opened.run.apply, "approve-windows")) == ""


def test_a_request_that_was_changed_cannot_be_approved(snapshots: Path, records: Path) -> None:
    with asked(snapshots, records, "try-source", "approve-windows") as (_, request):
        data = json.loads(request.read_text())
        data["plan"]["subjects"] = []
        request.write_text(json.dumps(data))
        told = partial(answer, request, "Wanda Windows", "windows-expert", "approve", "fine")
        assert code(told) == "REQUEST_ALTERED"


def test_an_approval_does_not_outlive_what_was_approved(snapshots: Path, records: Path) -> None:
    with asked(snapshots, records, "draft-website", "approve-publication") as (opened, request):
        answer(request, "Rae Manager", "release-manager", "approve", "looked at")
        staged = records / "world" / "servers" / "staging" / FOLDER / f"Python-{VERSION}.tgz"
        staged.chmod(0o644)
        staged.write_bytes(b"other bytes")
        assert code(partial(opened.run.apply, "approve-publication")) == "DIGEST_CHANGED"
        assert code(partial(opened.run.apply, "place-files")) == "NOT_YET"
    assert not list((records / "world" / "servers" / "public").rglob("Python-*"))


# --- order -------------------------------------------------------------------------------------


def test_no_step_is_done_before_those_it_comes_after(snapshots: Path, records: Path) -> None:
    rehearsals.copy(snapshots / "freeze-branch", records)
    with rehearsals.opened_at(records) as opened:
        before = rehearsals.tree(records)
        early = [name for name in STEPS if opened.run.status(name) == "pending"]
        assert len(early) > 30
        for name in early:
            for call in (opened.run.apply, opened.run.propose):
                assert code(partial(call, name)) == "NOT_YET", name
        assert code(partial(opened.run.apply, "fly")) == "STEP_UNKNOWN"
        assert rehearsals.tree(records) == before


def test_on_a_finished_release_every_step_is_shown_and_nothing_is_changed(
    snapshots: Path, records: Path
) -> None:
    rehearsals.copy(snapshots / "close-run", records)
    tracker = records / "world" / "tracker.json"
    data = json.loads(tracker.read_text())
    data["issues"] += [{"number": 1, "title": "A crash", "labels": ["3.15", "release-blocker"]}]
    tracker.write_text(json.dumps(data))  # the world moves on
    with rehearsals.opened_at(records) as opened:
        before = rehearsals.tree(records)
        for name in (*reversed(STEPS), *STEPS):
            assert opened.run.apply(name).complete
            assert opened.run.propose(name).complete
        assert rehearsals.tree(records) == before
    assert History.read(records / VERSION).complete
