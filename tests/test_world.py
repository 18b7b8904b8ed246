"""The world of a rehearsal: made once, found again, copied, and left alone when it is refused."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import rehearsals
import requests
from rehearsals import DATE, ROOT, VERSION, WORLD, git

from relkit.errors import RecordError, ReleaseError, UsageError
from relkit.opening import Opened, open_release
from relkit.rehearsal.tree import add_branch, branch_of, history, make_repository
from relkit.rehearsal.world import export_page, make_rehearsal, serve
from relkit.release import Release, Version
from relkit.worlds import WorldFile, read_world_file

RELEASE = Release.parse(VERSION, "alpha", DATE)


@pytest.fixture
def file() -> WorldFile:
    return read_world_file(ROOT / WORLD)[0]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "records"


def made(
    records: Path, version: str = VERSION, repository: str = "", *, kind: str = "", day: str = DATE
) -> Path:
    """Make a world, and return its folder."""
    release = Release.parse(version, kind, day)
    make_rehearsal(read_world_file(ROOT / WORLD)[0], records / release.key, release, repository)
    return records / "world"


# --- made --------------------------------------------------------------------------------------


def test_a_world_is_made_once(records: Path) -> None:
    world = made(records)
    before = rehearsals.tree(world)
    assert {"world.json", "tracker.json", "buildbots.json", "advisories.json"} <= set(before)
    assert made(records) == world
    assert rehearsals.tree(world) == before
    assert not (records / VERSION).exists()


def test_two_worlds_of_one_release_have_the_same_source_and_their_own_keys(
    records: Path, tmp_path: Path
) -> None:
    one, other = made(records), made(tmp_path / "other")
    heads = {git(world / "upstream.git", "rev-parse", "main") for world in (one, other)}
    assert len(heads) == 1
    for name in ("sigstore/root.pem", "world.json"):
        assert (one / name).read_bytes() != (other / name).read_bytes()


def test_its_keys_are_for_this_user_only(records: Path) -> None:
    world = made(records)
    for name in ("gnupg", "sigstore"):
        assert (world / name).stat().st_mode & 0o077 == 0


def test_upstream_begins_healthy_and_unprotected_by_a_lock(records: Path) -> None:
    world = made(records)
    assert git(world / "fork.git", "rev-parse", "main") == git(
        world / "upstream.git", "rev-parse", "main"
    )
    assert git(world / "upstream.git", "tag") == "v3.14.0b1"
    assert not list((world / "upstream.git" / "relkit-locked").iterdir())


MAKE = f"""\
import sys
from pathlib import Path
from relkit.release import Release
from relkit.rehearsal.world import make_rehearsal
from relkit.worlds import read_world_file
print("begun", flush=True)
release = Release.parse({VERSION!r}, "", {DATE!r})
make_rehearsal(read_world_file(Path({WORLD!r}))[0], Path(sys.argv[1]) / {VERSION!r}, release)
"""


def test_a_making_that_was_killed_is_gone_on_with(records: Path, tmp_path: Path) -> None:
    """Eight times at an instant of its own, and the last time to the end."""
    chance = random.Random(7)  # noqa: S311 (instants, not secrets)
    for _ in range(8):
        with rehearsals.started(sys.executable, "-c", MAKE, records) as making:
            assert making.stdout is not None
            rehearsals.await_line(making.stdout, "begun")
            time.sleep(chance.uniform(0, 0.4))
        time.sleep(0.01)
    world = made(records)
    whole = made(tmp_path / "whole")
    assert _names(world) == _names(whole)
    assert (world / "tracker.json").read_bytes() == (whole / "tracker.json").read_bytes()
    with rehearsals.opened_at(records) as opened:
        opened.run.world.machine.tools()
        assert opened.run.world.signers.usable()[0].version


def _names(world: Path) -> set[str]:
    """Return the files of a world by name, but for git's objects and gpg's own."""
    names = rehearsals.tree(world)
    return {name for name in names if not re.search(r"/objects/|gnupg/|\.lock$|\.tmp$", name)}


# --- several branches --------------------------------------------------------------------------

MANY = (
    *(("3.15.0a1", "", "2026-05-05"), ("3.14.2", "", "2026-05-05"), ("3.12.13", "", "2026-05-05")),
    *(("3.11.15", "", "2026-05-05"), ("3.15.0b2", "", "2026-05-26")),
    *(("3.13", "begin-security-only", "2026-10-08"), ("3.10", "end-of-life", "2026-11-02")),
)


def brought(records: Path, version: str, kind: str, day: str) -> dict[str, str]:
    """Bring the branch of a release into a world; return the files of the world."""
    return _files(made(records, version, kind=kind, day=day))


def _files(world: Path) -> dict[str, str]:
    return {name: sha for name, sha in rehearsals.tree(world).items() if "site.sqlite" not in name}


def test_releases_of_several_branches_live_side_by_side(records: Path) -> None:
    for release in MANY:
        before = brought(records, *release)
        assert brought(records, *release) == before
    world = records / "world"
    branches = ["3.10", "3.11", "3.12", "3.13", "3.14", "3.15", "main"]
    for name in ("upstream", "fork"):
        heads = git(
            world / f"{name}.git", "for-each-ref", "--format=%(refname:short)", "refs/heads"
        )
        assert heads.split() == branches
        assert git(world / f"{name}.git", "fsck", "--strict") == ""
    bots = json.loads((world / "buildbots.json").read_text())["branches"]
    assert sorted(bots) == sorted(branches)
    for branch in branches:
        head = git(world / "upstream.git", "rev-parse", branch)
        assert {row["commit"] for row in bots[branch]} == {head}
    assert {"v3.13.0", "v3.10.0"} <= set(git(world / "upstream.git", "tag").split())


def test_a_branch_that_joins_changes_nothing_of_the_others(records: Path) -> None:
    world = made(records)
    before = git(world / "upstream.git", "rev-parse", "main")
    tracker = json.loads((world / "tracker.json").read_text())
    made(records, "3.14.2")
    assert git(world / "upstream.git", "rev-parse", "main") == before
    after = json.loads((world / "tracker.json").read_text())
    assert after["issues"][: len(tracker["issues"])] == tracker["issues"]
    assert [after[name] for name in ("labels", "rules")] == [
        tracker[name] for name in ("labels", "rules")
    ]


@pytest.mark.parametrize("first", ["3.15.0a1", "3.14.2"])
def test_what_the_site_offered_before_depends_on_the_releases_of_the_world(
    records: Path, first: str
) -> None:
    for version in sorted(("3.15.0a1", "3.14.2"), key=lambda one: one != first):
        made(records, version)
    with rehearsals.opened_at(records) as opened:
        website = opened.run.world.website
        assert website.latest(series="python3") == "python-3141"
        for slug in ("python-3141", "python-3130"):
            row = website.release(slug=slug)
            assert row is not None
            assert row.is_published
        assert website.release(slug="python-3142") is None


def test_two_releases_have_nonces_and_folders_of_their_own(records: Path) -> None:
    nonces = set()
    for version, kind, day in (MANY[0], MANY[1], MANY[5]):
        opened = open_release(version, kind, day, WORLD, str(records))
        nonces.add(opened.run.world.nonce)
        opened.close()
    assert len(nonces) == 3
    names = {path.name for path in (records / "world").glob("site-*.url")}
    assert names == {f"site-{key}.url" for key in (VERSION, "3.14.2", "3.13-begin-security-only")}


def test_a_branch_that_is_there_is_used_as_it_is(records: Path) -> None:
    """As after a first beta, which made 3.15 and left `main` to the next series."""
    world = made(records, "3.15.0b1")
    upstream = world / "upstream.git"
    git(upstream, "branch", "3.15", "main~1")
    head = git(upstream, "rev-parse", "3.15")
    made(records, "3.15.0b2", day="2026-05-26")
    assert git(upstream, "rev-parse", "3.15") == head
    assert git(world / "fork.git", "rev-parse", "3.15") == head
    rows = json.loads((world / "buildbots.json").read_text())["branches"]["3.15"]
    assert {row["commit"] for row in rows} == {head}


def test_a_branch_that_has_ended_does_not_come_back(records: Path) -> None:
    world = made(records, "3.10", kind="end-of-life", day="2026-11-02")
    git(world / "upstream.git", "branch", "-D", "3.10")
    before = rehearsals.tree(world)
    made(records, "3.10", kind="end-of-life", day="2026-11-02")
    assert rehearsals.tree(world) == before


JOIN = f"""\
import sys
from pathlib import Path
from relkit.release import Release
from relkit.rehearsal.world import make_rehearsal
from relkit.worlds import read_world_file
print("begun", flush=True)
file = read_world_file(Path({WORLD!r}))[0]
for version in sys.argv[2:]:
    release = Release.parse(version, "", {DATE!r})
    make_rehearsal(file, Path(sys.argv[1]) / version, release)
"""


def test_a_branch_whose_joining_was_killed_joins_all_the_same(
    records: Path, tmp_path: Path
) -> None:
    """Five times at an instant of its own, and the last time to the end."""
    others = ["3.14.2", "3.12.13"]
    chance = random.Random(11)  # noqa: S311 (instants, not secrets)
    made(records)
    for _ in range(5):
        with rehearsals.started(sys.executable, "-c", JOIN, records, *others) as making:
            assert making.stdout is not None
            rehearsals.await_line(making.stdout, "begun")
            time.sleep(chance.uniform(0, 0.4))
    world, whole = records / "world", made(tmp_path / "whole")
    for version in others:
        made(records, version)
        made(tmp_path / "whole", version)
    assert _names(world) == _names(whole)
    assert (world / "tracker.json").read_bytes() == (whole / "tracker.json").read_bytes()
    for name in ("upstream", "fork", "peps"):
        assert rehearsals.refs(world / f"{name}.git") == rehearsals.refs(whole / f"{name}.git")
        assert git(world / f"{name}.git", "fsck", "--strict") == ""


def test_branches_are_taken_from_the_repository_the_world_was_made_from(
    records: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source.git"
    for version in ("3.15.0a1", "3.14.2"):
        parsed = Version.parse(version)
        make_repository(source, Version.parse(VERSION))
        add_branch(source, branch_of(parsed), history(parsed))
    git(source, "branch", "unrelated", "main~2")
    made(records, repository=str(source))
    world = made(records, "3.14.2")
    for name in ("upstream", "fork"):
        found = git(
            world / f"{name}.git", "for-each-ref", "--format=%(refname:short) %(objectname)"
        )
        assert found.replace(git(source, "rev-parse", "unrelated"), "") == git(
            source,
            "for-each-ref",
            "--format=%(refname:short) %(objectname)",
            "refs/heads/[3m]*",
            "refs/tags",
        )
    before = rehearsals.tree(world)
    with pytest.raises(UsageError, match="NO_BRANCH"):
        made(records, "3.12.13")
    assert rehearsals.tree(world) == before


# --- what people do elsewhere ------------------------------------------------------------------


def ask(opened: Opened, name: str, example: str, role: str = "release-manager") -> str:
    """Ask for evidence as a manual step does; return what is given."""
    world = opened.run.world
    key = f"{world.nonce}-{name}"
    world.people.tell(
        nonce=key,
        subject=f"evidence: {key}",
        text=f"Please do it.\n\nAnswer in this form: {example}\n",
        roles=(role,),
    )
    given = world.people.testimony(name=key)
    return given.text if given else ""


def test_whoever_says_to_have_posted_has_posted_the_draft(records: Path) -> None:
    url = "https://discuss.python.org/t/python-3150a1/"
    with rehearsals.opened_at(records) as opened:
        announcements = opened.run.world.announcements
        announcements.draft(channel="discuss", text="Python 3.15.0a1 is here.\n")
        assert announcements.post(url=url) is None
        assert ask(opened, "post-discuss", url) == url
        assert announcements.post(url=url) == "Python 3.15.0a1 is here.\n"
    with rehearsals.opened_at(records, "3.15.0a2") as other:
        assert other.run.world.announcements.post(url=url) == "Python 3.15.0a1 is here.\n"


def test_a_new_branch_has_builders_once_somebody_has_seen_to_it(records: Path) -> None:
    with rehearsals.opened_at(records, "3.15.0b1") as opened:
        bots = opened.run.world.buildbots
        assert bots.stable(branch="3.15", commit="0" * 40) == ()
        ask(opened, "infrastructure", "https://github.com/python/devguide/pull/1")
        assert len(bots.stable(branch="3.15", commit="0" * 40)) == 5


def test_the_page_of_an_older_release_gets_the_note_once(records: Path) -> None:
    with rehearsals.opened_at(records, "3.14.2") as opened:
        world = opened.run.world
        for nonce in ("one", "two"):
            world.people.tell(
                nonce=nonce,
                subject="superseded: python-3141",
                text="Python 3.14.2 is newer.",
                roles=("web-editor",),
            )
        page = world.website.page(slug="python-3141") or ""
        assert page.count("Python 3.14.2 is newer.") == 1
        assert "3.14.1 was released before" in page


def test_further_people_in_a_role_are_in_the_roster_after_the_first(records: Path) -> None:
    with rehearsals.opened_at(records) as opened:
        policy = opened.run.world.policy
        assert policy.person("release-manager").name == "Rae Manager"
        policy.require_role("Robin Relief", "release-manager")


# --- refused -----------------------------------------------------------------------------------


def test_another_repository_than_it_was_made_from_is_refused(records: Path, tmp_path: Path) -> None:
    made(records)
    with pytest.raises(RecordError, match="WORLD_SOURCE"):
        made(records, repository=str(tmp_path))


def test_a_world_that_was_damaged_is_refused_and_stays(records: Path) -> None:
    world = made(records)
    (world / "world.json").write_text("{")
    before = rehearsals.tree(world)
    with pytest.raises(ReleaseError, match="STATE_UNREADABLE"):
        made(records)
    assert rehearsals.tree(world) == before


@pytest.mark.parametrize("variable", ["GIT_DIR"])
def test_an_environment_that_redirects_git_is_refused(
    records: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(records))
    with pytest.raises(UsageError, match=f"ENV_GIT: {variable}"):
        made(records)
    assert not records.exists()


WORLD_TEXT = (ROOT / WORLD).read_text()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "sudo = true\n"),
        ('form = "rehearsal"', 'form = "elsewhere"'),
        ('name = "rehearsal"', 'name = "../other"'),
        ('state = "world"', 'state = "../../elsewhere"'),
        ('state = "world"', 'state = "/etc"'),
        ("patience_seconds = 3600", "patience_seconds = -1"),
        ("patience_seconds = 3600", "patience_seconds = nan"),
        ("patience_seconds = 3600", 'patience_seconds = "long"'),
        ('push = ["release-manager"]', "push = []"),
        ('push = ["release-manager"]', 'push = ["nobody"]'),
        ("[people.release-manager]", "[people.somebody]"),
        ("tests = [", 'tests = ["test_int; rm -rf ~", '),
        ('name = "Rae Manager"', 'name = ""'),
        ("release-manager@rehearsal.invalid", "no address"),
        ("[gates]", "[gates"),
        (WORLD_TEXT, ""),
    ],
)
def test_a_file_that_does_not_describe_a_world_is_refused(
    tmp_path: Path, records: Path, old: str, new: str
) -> None:
    assert old in WORLD_TEXT
    path = tmp_path / "world.toml"
    path.write_text(WORLD_TEXT.replace(old, new, 1) if old else new + WORLD_TEXT)
    with pytest.raises(UsageError, match="WORLD_FILE"):
        open_release(VERSION, "", DATE, str(path), str(records))
    assert not records.exists()


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.toml", tmp_path, tmp_path / "binary.toml"):
        with pytest.raises(UsageError, match="WORLD_FILE"):
            read_world_file(path)


def test_the_worlds_of_the_project_differ_in_who_is_played_only() -> None:
    worlds = [tomllib.loads((ROOT / f"worlds/{name}.toml").read_text()) for name in NAMES]
    for world in worlds:
        world["people"]["release-manager"].pop("played")
        del world["name"]
    assert worlds[0] == worlds[1]


NAMES = ("rehearsal", "practice")


# --- copied ------------------------------------------------------------------------------------


def test_a_copied_world_goes_on_elsewhere_and_its_original_stays(
    snapshots: Path, tmp_path: Path
) -> None:
    """Also where the path is much too long for the sockets of gpg's agent."""
    original = rehearsals.copy(snapshots / "approve-macos", tmp_path / "original")
    before = rehearsals.tree(original)
    records = rehearsals.copy(original, tmp_path / ("long-" * 20) / ("longer-" * 10) / "records")
    with rehearsals.opened_at(records) as opened:
        list(rehearsals.advance(opened))
        assert rehearsals.final_world(opened) == rehearsals.calm_world(snapshots)
    assert rehearsals.tree(original) == before


def test_nothing_that_is_needed_later_names_the_place_of_the_world(snapshots: Path) -> None:
    """Only logs, and what builds that have ended were told."""
    place = str(snapshots / "whole").encode()
    found = {
        str(path.relative_to(snapshots))
        for path in (snapshots / "whole").rglob("*")
        if path.is_file() and place in path.read_bytes()
    }
    assert {re.sub(r".*/", "", name) for name in found} <= {
        *("job.json", "log.txt", "HEAD", "main", "make pydoc-topics.log")
    }
    assert not [name for name in found if name.startswith(f"whole/{VERSION}/")]


def test_the_stand_in_of_the_windows_manifest_lists_the_packages(snapshots: Path) -> None:
    folder = snapshots / "whole" / "world" / "artifacts" / VERSION
    listed = json.loads((folder / f"windows-{VERSION}.json").read_text())["versions"]
    assert {one["id"]: one["hash"]["sha256"] for one in listed} == {
        path.stem: rehearsals.sha256(path) for path in folder.glob("python-*.zip")
    }


# --- served ------------------------------------------------------------------------------------


def test_the_site_is_served_beside_a_run_and_does_not_take_its_place(
    snapshots: Path, records: Path
) -> None:
    rehearsals.copy(snapshots / "push-upstream", records)
    with rehearsals.opened_at(records) as opened:
        with serve(records) as address:
            assert requests.get(address, timeout=20).status_code == 200
        list(rehearsals.advance(opened, "verify-as-stranger"))  # its builds find the run's site
        assert opened.run.status("verify-as-stranger") == "complete"


def test_without_a_world_there_is_nothing_to_serve(records: Path) -> None:
    with pytest.raises(UsageError, match="NO_WORLD"), serve(records):
        pass
    assert not records.exists()


def test_the_page_can_be_looked_at_without_a_server(snapshots: Path, records: Path) -> None:
    rehearsals.copy(snapshots / "close-run", records)
    page = export_page(records, RELEASE.slug)
    text = page.read_text()
    assert f"Python-{VERSION}.tar.xz" in text
    assert "rehearsal" in text
    assert "http://127.0.0.1" not in text


# --- between two releases ----------------------------------------------------------------------


def test_before_the_next_release_blockers_are_fixed_and_the_head_is_built(
    snapshots: Path, records: Path
) -> None:
    rehearsals.copy(snapshots / "close-run", records)
    world = made(records, "3.15.0a2")
    tracker = json.loads((world / "tracker.json").read_text())
    assert not [one for one in tracker["issues"] if "release-blocker" in one["labels"]]
    head = git(world / "upstream.git", "rev-parse", "main")
    rows = json.loads((world / "buildbots.json").read_text())["branches"]["main"]
    assert sum(row["commit"] == head for row in rows) == 5
    before = rehearsals.tree(world)
    made(records, "3.15.0a2")
    assert rehearsals.tree(world) == before


def test_while_a_release_goes_on_nothing_happens_by_itself(snapshots: Path, records: Path) -> None:
    rehearsals.copy(snapshots / "close-run", records)
    before = rehearsals.tree(records / "world")
    made(records)
    assert rehearsals.tree(records / "world") == before


def test_what_blocks_a_first_release_is_not_fixed_by_itself(records: Path) -> None:
    world = made(records)
    path = world / "tracker.json"
    data = json.loads(path.read_text())
    data["issues"][0]["labels"] = ["3.15", "release-blocker"]
    path.write_text(json.dumps(data))
    made(records)
    assert json.loads(path.read_text()) == data


# --- what a process leaves ---------------------------------------------------------------------


def test_a_closed_world_leaves_no_process_and_no_open_port(snapshots: Path, records: Path) -> None:
    rehearsals.copy(snapshots / "push-to-fork", records)
    with rehearsals.opened_at(records) as opened:
        opened.run.world.signers.usable()
        address = (records / "world" / f"site-{VERSION}.url").read_text()
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=5)
    listed = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True)
    assert not [line for line in listed.stdout.splitlines() if str(records) in line]


def test_nothing_is_set_in_the_environment(snapshots: Path, records: Path) -> None:
    rehearsals.copy(snapshots / "push-to-fork", records)
    before, here = dict(os.environ), Path.cwd()
    with rehearsals.opened_at(records):
        assert dict(os.environ) == before
        assert Path.cwd() == here
