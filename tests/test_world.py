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
from relkit.opening import open_release
from relkit.rehearsal.world import export_page, make_rehearsal, serve
from relkit.release import Release
from relkit.worlds import WorldFile, read_world_file

RELEASE = Release.parse(VERSION, "alpha", DATE)


@pytest.fixture(scope="session")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rehearsals.snapshots(tmp_path_factory.getbasetemp().parent)


@pytest.fixture
def file() -> WorldFile:
    return read_world_file(ROOT / WORLD)[0]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "records"


def made(records: Path, version: str = VERSION, repository: str = "") -> Path:
    """Make a world, and return its folder."""
    release = Release.parse(version, "", DATE)
    make_rehearsal(read_world_file(ROOT / WORLD)[0], records / version, release, repository)
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
        ('form = "rehearsal"', 'form = "production"'),
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
