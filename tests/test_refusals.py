"""Bad input through the real entries: a code and a remedy, no traceback, nothing changed."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rehearsals
from cells import code, notebook, write
from rehearsals import BIN, DATE, ROOT, VERSION, WORLD

from relkit import cli
from relkit.building.builder import PROGRAMS
from relkit.errors import ReleaseError, UsageError
from relkit.opening import Opened, open_release
from relkit.rehearsal.standins import STANDINS
from relkit.rehearsal.tree import make_repository
from relkit.release import Version

RUNNING = (".url", ".sqlite", ".sqlite-wal", ".sqlite-shm")
"""Of a served site: where it is now, and its database, which is put in order when it is closed."""


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "records"


Main = Callable[..., tuple[int, str]]


@pytest.fixture
def main(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Main:
    """Return the command line in this process: it gives the exit status and the error output."""
    monkeypatch.chdir(ROOT)

    def call(*arguments: str | Path) -> tuple[int, str]:
        capfd.readouterr()
        try:
            status = cli.main([str(one) for one in arguments])
        except SystemExit as end:
            status = int(str(end.code))
        return status, capfd.readouterr().err

    return call


def still(folder: Path) -> dict[str, str]:
    """Return every file below a folder that says something about a release."""
    found = rehearsals.tree(folder)
    return {name: digest for name, digest in found.items() if not name.endswith(RUNNING)}


def assert_refused(found: tuple[int, str], code: str, status: int = 1) -> None:
    assert re.search(rf"^(\w+ at [\w-]+: )?{code}: .+\nWhat to do: .+", found[1]), found[1]
    assert "Traceback" not in found[1]
    assert found[0] == status


# --- versions and other parameters -------------------------------------------------------------

NO_VERSIONS = [
    *("", "3", "3.15", "3.15.0a", "v3.15.0a1", "3.15.0rc0", "3.15.0a0", "3.15.0a01", "03.15.0a1"),
    *("3.15.0a1; rm -rf ~", "3.15.0a1\n", "3.15.0a1 --x", "../3.15.0a1", "3.15.0A1", "3.15.0-a1"),
    *("\u0663.15.0a1", "3.15.0a1\u200b", "3.15.0.dev1", "4.0.0a1", "3.15.1a1", "1" * 10_000),
]


@pytest.mark.parametrize("given", NO_VERSIONS, ids=lambda text: ascii(text)[:24])
def test_what_is_no_version_is_refused_before_anything_is_made(
    main: Main, records: Path, given: str
) -> None:
    """I55: a bad parameter was found late."""
    for command in ("rehearse", "run", "status", "seal"):
        if (command, given) in {("status", "3.15.1a1"), ("seal", "3.15.1a1")}:
            continue  # a version, but none that a record can be of
        assert_refused(main(command, given, "--records", records), "BAD_VERSION", 2)
    assert not records.exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("3.15.1", "--date", "2026-05-05"), "KIND_CONFLICT"),
        (("3.9.26", "--date", "2026-05-05"), "KIND_CONFLICT"),
        (("3.13", "--kind", "bugfix"), "BAD_VERSION"),
        ((VERSION, "--picks", "1234567"), "BAD_PICKS"),
        ((VERSION, "--kind", "beta"), "KIND_CONFLICT"),
        ((VERSION, "--kind", "alpha; id"), "KIND_CONFLICT"),
        ((VERSION, "--date", "2026-13-01"), "BAD_DATE"),
        ((VERSION, "--date", "yesterday"), "BAD_DATE"),
        ((VERSION, "--world", "worlds/none.toml"), "WORLD_FILE"),
        ((VERSION, "--world", "README.md"), "WORLD_FILE"),
        ((VERSION, "--world", "worlds"), "WORLD_FILE"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_before_anything_is_made(
    main: Main, records: Path, arguments: tuple[str, ...], code: str
) -> None:
    for command in ("rehearse", "run"):
        assert_refused(main(command, *arguments, "--records", records), code, 2)
    assert not records.exists()


@pytest.mark.parametrize("arguments", [(), ("rehearse",), ("fly",), ("run", VERSION, "--dry-run")])
def test_what_the_command_line_does_not_know_is_wrong_usage(
    main: Main, arguments: tuple[str, ...]
) -> None:
    status, said = main(*arguments)
    assert status == 2
    assert said.startswith("usage: relkit")


@pytest.mark.parametrize("command", ["status", "seal"])
def test_there_is_nothing_to_show_of_a_release_that_was_never_begun(
    main: Main, records: Path, command: str
) -> None:
    assert_refused(main(command, VERSION, "--records", records), "NO_RECORD")
    assert not records.exists()


def test_records_cannot_be_kept_in_a_file(main: Main, records: Path) -> None:
    records.write_text("not a folder")
    for command in ("rehearse", "run", "status", "seal"):
        status, said = main(command, VERSION, "--records", records)
        assert status in {1, 2}, command
        assert re.match(r"[A-Z_]+: .+\nWhat to do: .+", said), said
    assert records.read_text() == "not a folder"


def test_a_notebook_with_an_unknown_parameter_is_refused_before_its_kernel_starts(
    tmp_path: Path,
) -> None:
    nb = write(
        tmp_path / "in.ipynb", notebook(code("parameters", "version = 1", tags="parameters"))
    )
    command: list[str | Path] = [BIN / "papermill", "--engine", "relkit", nb]
    done = subprocess.run(
        [*command, tmp_path / "out.ipynb", "-p", "verison", VERSION],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "PARAMETER_UNKNOWN: a release notebook has no parameter 'verison'" in done.stderr


def test_a_number_in_the_place_of_the_version_is_refused_by_the_notebook(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RELKIT_RUNNER", "terminal")
    from relkit.notebook import open_run  # noqa: PLC0415 (the face, for this test alone)

    with pytest.raises(UsageError, match=r"BAD_VERSION: '3\.15'"):
        open_run(3.15)  # type: ignore[arg-type] # what papermill makes of -p version 3.15
    with pytest.raises(UsageError, match="PARAMETER_UNKNOWN"):
        open_run(VERSION, verison="3.15.0a1")


# --- the repository ----------------------------------------------------------------------------


def git(folder: Path, *arguments: str | Path) -> None:
    who = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        who |= {f"GIT_{role}_NAME": "Somebody", f"GIT_{role}_EMAIL": "some@body.invalid"}
    subprocess.run(
        ["git", "-C", folder, *arguments],
        env=os.environ | who,
        capture_output=True,
        check=True,
        timeout=60,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a fit clone of a repository."""
    make_repository(tmp_path / "origin.git", Version.parse(VERSION))
    git(tmp_path, "clone", "-q", tmp_path / "origin.git", "clone")
    return tmp_path / "clone"


def dirty(clone: Path) -> None:
    (clone / "LICENSE").write_text("mine\n")


def without_main(clone: Path) -> None:
    git(clone, "branch", "-m", "main", "trunk")


def behind(clone: Path) -> None:
    git(clone, "reset", "-q", "--hard", "HEAD~1")


def none(clone: Path) -> None:
    shutil.rmtree(clone / ".git")


def shallow(clone: Path) -> None:
    shutil.rmtree(clone)
    git(clone.parent, "clone", "-q", "--depth=1", f"file://{clone.parent}/origin.git", "clone")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (dirty, "REPO_DIRTY"),
        (without_main, "NO_BRANCH"),
        (behind, "REPO_BEHIND"),
        (none, "NOT_A_REPOSITORY"),
        (shutil.rmtree, "NOT_A_REPOSITORY"),
        (shallow, "REPO_INCOMPLETE"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_repository_that_is_not_fit_is_refused_before_a_world_is_made_of_it(
    main: Main, records: Path, repository: Path, spoil: Callable[[Path], Any], code: str
) -> None:
    spoil(repository)
    before = still(repository.parent)
    found = main("rehearse", VERSION, "--repo", repository, "--records", records)
    assert_refused(found, code, 2)
    assert still(repository.parent) == before
    assert not records.exists()


def test_another_source_than_the_world_was_made_from_is_refused(
    main: Main, snapshots: Path, records: Path, repository: Path
) -> None:
    rehearsals.copy(snapshots / "opened", records)
    before = still(records)
    found = main("rehearse", "3.15.0a2", "--repo", repository, "--records", records)
    assert_refused(found, "WORLD_SOURCE")
    assert still(records) == before


# --- the release clone -------------------------------------------------------------------------


def other_branch(clone: Path) -> None:
    git(clone, "checkout", "-q", "-b", "mine")


def own_commit(clone: Path) -> None:
    git(clone, "commit", "-q", "--allow-empty", "-m", "mine")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (dirty, "CLONE_DIRTY"),
        (other_branch, "CLONE_BRANCH"),
        (behind, "CLONE_BEHIND"),
        (own_commit, "CLONE_BEHIND"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_clone_that_is_there_already_and_is_not_fit_is_left_alone(
    snapshots: Path, records: Path, spoil: Callable[[Path], Any], code: str
) -> None:
    rehearsals.copy(snapshots / "freeze-branch", records)
    clone = records / "world" / "clone" / VERSION
    git(records, "clone", "-q", records / "world" / "upstream.git", clone)
    spoil(clone)
    before = still(clone)
    with rehearsals.opened_at(records) as opened:
        with pytest.raises(ReleaseError) as refusal:
            opened.run.apply("make-clone")
        assert opened.run.status("make-clone") != "complete"
    assert refusal.value.code == code
    assert still(clone) == before


# --- the machine -------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["git", "gpg", "make", "cc", "gzip"])
def test_a_machine_that_lacks_a_tool_is_refused_before_anything_is_made(
    tmp_path: Path, records: Path, missing: str
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in {"git", "gpg", "gpgconf", "gpg-agent", "make", "cc", "gzip", "sh", "env"} - {
        missing
    }:
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    environment = {"PATH": str(tools), "HOME": str(tmp_path)}
    done = rehearsals.relkit("rehearse", VERSION, "--records", records, env=environment)
    assert_refused((done.returncode, done.stderr), "TOOL_MISSING")
    assert missing in done.stderr
    assert not records.exists()


def test_an_environment_that_would_redirect_git_is_refused(
    main: Main, records: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert_refused(main("rehearse", VERSION, "--records", records), "ENV_GIT", 2)
    assert not records.exists()


# --- the ledger --------------------------------------------------------------------------------


def flipped(ledger: Path) -> None:
    data = bytearray(ledger.read_bytes())
    data[len(data) // 2] ^= 1
    ledger.write_bytes(data)


def swapped(ledger: Path) -> None:
    lines = ledger.read_bytes().splitlines(keepends=True)
    lines[7], lines[8] = lines[8], lines[7]
    ledger.write_bytes(b"".join(lines))


def cut(ledger: Path) -> None:
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:-3]))


def emptied(ledger: Path) -> None:
    ledger.write_bytes(b"")


def removed(ledger: Path) -> None:
    ledger.unlink()


def a_pickle(ledger: Path) -> None:
    ledger.write_bytes(b"\x80\x04cposix\nsystem\n(S'touch owned'\ntR.\n")


def deep(ledger: Path) -> None:
    ledger.write_bytes(b"[" * 100_000 + b"\n")


DAMAGES = [
    (flipped, "LEDGER_(BROKEN|INVALID)"),
    (swapped, "LEDGER_BROKEN"),
    (cut, "LEDGER_TRUNCATED"),
    (emptied, "LEDGER_TRUNCATED"),
    (removed, "LEDGER_TRUNCATED"),
    (a_pickle, "LEDGER_INVALID"),
    (deep, "LEDGER_INVALID"),
]


@pytest.mark.parametrize(
    ("damage", "code"), DAMAGES, ids=[damage.__name__ for damage, _ in DAMAGES]
)
def test_a_damaged_ledger_is_refused_by_every_command_and_stays_as_it_is(
    main: Main, snapshots: Path, records: Path, damage: Callable[[Path], None], code: str
) -> None:
    rehearsals.copy(snapshots / "push-to-fork", records)
    damage(records / VERSION / "ledger.jsonl")
    before = still(records)
    for command in ("rehearse", "run", "status", "seal"):
        assert_refused(main(command, VERSION, "--records", records), code)
    assert still(records) == before


def test_a_line_that_was_cut_while_it_was_written_is_put_aside_and_said(
    snapshots: Path, records: Path
) -> None:
    rehearsals.copy(snapshots / "push-to-fork", records)
    with (records / VERSION / "ledger.jsonl").open("ab") as ledger:
        ledger.write(b'{"at":"2026')
    with rehearsals.opened_at(records) as opened:
        recovered = opened.run.ledger.records[-1].entry
    assert recovered.event == "recovered"
    assert (records / VERSION / recovered.torn).read_bytes() == b'{"at":"2026'


def test_the_ledger_of_another_release_is_refused(
    main: Main, snapshots: Path, records: Path
) -> None:
    rehearsals.copy(snapshots / "push-to-fork", records)
    shutil.copytree(records / VERSION, records / "3.15.0a2")
    before = still(records)
    for command in ("rehearse", "run"):
        found = main(command, "3.15.0a2", "--world", WORLD, "--records", records)
        assert_refused(found, "OTHER_RELEASE")
    assert still(records) == before


def test_another_date_is_another_release(main: Main, snapshots: Path, records: Path) -> None:
    rehearsals.copy(snapshots / "push-to-fork", records)
    before = still(records)
    found = main("rehearse", VERSION, "--date", "2026-05-06", "--records", records)
    assert_refused(found, "OTHER_DATE")
    assert still(records) == before


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (('push = ["release-manager"]', 'push = ["web-editor"]'), "(POLICY|WORLD)_CHANGED"),
        (("patience_seconds = 3600", "patience_seconds = 1"), "WORLD_CHANGED"),
        (('name = "rehearsal"', 'name = "another"'), "WORLD_CHANGED"),
        (('name = "rehearsal"', 'name = "rehearsal"\nsudo = true'), "WORLD_FILE"),
    ],
    ids=["policy", "patience", "name", "unknown field"],
)
def test_a_world_or_policy_that_changed_since_the_run_began_is_refused(
    main: Main, snapshots: Path, records: Path, change: tuple[str, str], code: str
) -> None:
    rehearsals.copy(snapshots / "push-to-fork", records)
    world = records.parent / "world.toml"
    text = (ROOT / WORLD).read_text()
    assert change[0] in text
    world.write_text(text.replace(*change))
    before = still(records)
    status = 2 if code == "WORLD_FILE" else 1
    assert_refused(main("run", VERSION, "--world", world, "--records", records), code, status)
    assert still(records) == before


# --- the disk ----------------------------------------------------------------------------------


def test_a_full_disk_while_a_record_is_written_leaves_the_ledger_as_it_was(
    snapshots: Path, records: Path
) -> None:
    """The file may not grow, as if the disk were full; the run goes on when there is room."""
    rehearsals.copy(snapshots / "close-manifest", records)
    ledger = records / VERSION / "ledger.jsonl"
    before = ledger.read_bytes()
    most = len(before) + 2_000

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    done = subprocess.run(
        list(map(str, rehearsals.bare(records))),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
        timeout=rehearsals.PATIENCE_SECONDS,
    )
    assert "RecordError: RECORD_NOT_WRITTEN: record " in done.stderr
    assert done.returncode == 1
    assert ledger.read_bytes().startswith(before)
    assert ledger.read_bytes().endswith(b"\n")
    with rehearsals.opened_at(records) as opened:
        opened.run.apply("upload-to-staging")


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:  # noqa: ANN401 (a function)
    """Return what mounts a disk, or sets the size (in KiB) of one that is mounted."""
    place = tmp_path / "disk"
    place.mkdir()

    def size(kilobytes: int) -> Path:
        option = f"{'remount,' if place.is_mount() else ''}size={kilobytes}k"
        command: list[str | Path] = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", place]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("nobody but root can mount a disk")
        return place

    yield size
    subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("room", [4, 24, 60])
@pytest.mark.parametrize(
    "stand",
    ["freeze-branch", "resolve-next-versions", "push-to-fork", "approve-macos", "close-manifest",
     "upload-to-staging", "approve-publication", "push-upstream"],
)  # fmt: skip
def test_a_run_on_a_full_disk_is_refused_and_goes_on_when_there_is_room(
    snapshots: Path, small_disk: Callable[[int], Path], stand: str, room: int
) -> None:
    records = rehearsals.copy(snapshots / stand, small_disk(60_000) / "records")
    used = shutil.disk_usage(records).used // 1024
    small_disk(used + room)
    with pytest.raises(ReleaseError) as refusal, rehearsals.opened_at(records) as opened:
        list(rehearsals.advance(opened))
    assert refusal.value.code
    small_disk(60_000)
    with rehearsals.opened_at(records) as opened:
        take_away_failed_builds(opened)
        list(rehearsals.advance(opened))
        assert rehearsals.final_world(opened) == rehearsals.calm_world(snapshots)
        assert not rehearsals.done_twice(opened.run)


def take_away_failed_builds(opened: Opened) -> None:
    """Do what has to be done about builds that found no room: they say so, and stay failed."""
    builders, nonce = opened.run.world.builders, opened.run.inputs.nonce
    for name in {**PROGRAMS, **STANDINS}:
        state = builders.state(name=name, nonce=nonce)
        if state.status == "failed":
            assert "No space left" in state.detail
            builders.cancel(name=name, nonce=nonce)


# --- two at the same time ----------------------------------------------------------------------


def test_a_second_run_of_a_release_is_refused_and_does_not_disturb_the_first(
    snapshots: Path, records: Path
) -> None:
    rehearsals.copy(snapshots / "push-upstream", records)
    command = (sys.executable, "-c", HOLD, records)
    with rehearsals.started(*command) as first:
        assert first.stdout is not None
        rehearsals.await_line(first.stdout, "opened")
        before = rehearsals.tree(records)
        for words in (("rehearse", VERSION, "--date", DATE), ("run", VERSION, "--world", WORLD)):
            done = rehearsals.relkit(*words, "--records", records)
            assert_refused((done.returncode, done.stderr), "RUN_LOCKED")
        assert rehearsals.tree(records) == before  # where its site is, too
        shown = rehearsals.relkit("status", VERSION, "--records", records)
        assert (shown.returncode, shown.stderr) == (75, "")
        assert first.poll() is None


HOLD = f"""\
import sys
from relkit.opening import Opened, open_release
opened = open_release({VERSION!r}, "", {DATE!r}, {WORLD!r}, sys.argv[1])
print("opened", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_of_many_that_start_at_once_one_proceeds(snapshots: Path, records: Path) -> None:
    rehearsals.copy(snapshots / "restore-blockers", records)
    command = list(map(str, rehearsals.bare(records)))
    many = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(6)
    ]
    said = [one.communicate(timeout=rehearsals.PATIENCE_SECONDS) for one in many]
    refused = [words for _, words in said if b"RUN_LOCKED" in words]
    ended = [one for one in many if one.returncode == 0]
    assert len(ended) >= 1
    assert len(refused) + len(ended) == len(many)
    with rehearsals.opened_at(records) as opened:
        assert opened.run.complete
        assert not rehearsals.done_twice(opened.run)


def test_a_fresh_release_begun_twice_at_once_is_one_run(records: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(records)]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    both = [subprocess.Popen(command, cwd=ROOT, text=True, **pipes) for _ in range(2)]
    rehearsals.await_that(lambda: any(one.poll() is not None for one in both), "both hold it")
    said = [one.communicate(timeout=rehearsals.PATIENCE_SECONDS) for one in both]
    assert sorted(one.returncode for one in both) == [0, 1]
    assert sum("RUN_LOCKED" in words for _, words in said) == 1
    ledger = (records / VERSION / "ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["entry"]["event"] for line in ledger] == ["opened"]


def test_opened_again_in_the_same_process_it_is_refused_too(snapshots: Path, records: Path) -> None:
    rehearsals.copy(snapshots / "opened", records)
    with rehearsals.opened_at(records), pytest.raises(ReleaseError, match="RUN_LOCKED"):
        open_release(VERSION, "", DATE, WORLD, str(records))
