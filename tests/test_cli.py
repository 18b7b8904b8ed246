"""The command line: what it prints, its exit statuses, and a release made with it alone."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import rehearsals
import requests
import toy
from cells import read
from rehearsals import BIN, DATE, ROOT, STEPS, VERSION

from relkit import cli
from relkit import records as log
from relkit.adapters.value_files import write_value
from relkit.errors import UsageError
from relkit.kinds import Kind
from relkit.marks import ending_of
from relkit.opening import Opened, _world_file, open_release
from relkit.rehearsal.making import WHOLE, Made
from relkit.rehearsal.ports import RehearsalPeople
from relkit.release import Release

PRACTICE = "worlds/practice.toml"
Main = Callable[..., tuple[int, str, str]]


@pytest.fixture
def main(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Main:
    """Return the command line in this process: it gives exit status, output and error output."""
    monkeypatch.chdir(ROOT)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            status = cli.main([str(one) for one in arguments])
        except SystemExit as end:
            status = int(str(end.code))
        return (status, *capfd.readouterr())

    return call


def test_help_names_every_command(main: Main) -> None:
    status, said, _ = main("--help")
    assert status == 0
    told = ("respin", "abandon", "hand-over", "testify")
    for command in ("rehearse", "run", "status", "decide", "seal", "serve", "render", *told):
        assert re.search(rf"^    {command}\s+\w+", said, re.MULTILINE), command
        status, about, _ = main(command, "--help")
        assert status == 0
        assert about.startswith(f"usage: relkit {command}")


def test_it_is_a_program_and_a_module() -> None:
    for command in ([BIN / "relkit"], [BIN / "python", "-m", "relkit"]):
        done = subprocess.run([*command, "--help"], capture_output=True, check=True, text=True)
        assert done.stdout.startswith("usage: relkit")


# --- status ------------------------------------------------------------------------------------


def test_status_shows_each_step_and_ends_with_75_until_all_are_complete(
    main: Main, snapshots: Path
) -> None:
    status, said, _ = main("status", VERSION, "--records", snapshots / "read-back")
    assert status == 75
    assert all(name in said for name in STEPS)
    assert "REHEARSAL" in said
    assert said.count("complete") >= STEPS.index("read-back")
    status, said, _ = main("status", VERSION, "--records", snapshots / "close-run")
    assert status == 0
    assert said.count("complete") >= len(STEPS)


def test_status_needs_no_world_and_changes_nothing(
    main: Main, snapshots: Path, tmp_path: Path
) -> None:
    record = tmp_path / VERSION
    shutil.copytree(snapshots / "read-back" / VERSION, record)
    for path in (record, *record.iterdir()):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = rehearsals.tree(tmp_path)
    assert main("status", VERSION, "--records", tmp_path)[0] == 75
    assert rehearsals.tree(tmp_path) == before


DECISION = ("--role", "release-manager", "--who", "Rae Manager", "--reason", "looked at it")


# --- seal, serve, render -----------------------------------------------------------------------


def test_seal_says_what_it_made(main: Main, snapshots: Path, tmp_path: Path) -> None:
    shutil.copytree(snapshots / "close-run" / VERSION, tmp_path / VERSION)
    status, said, _ = main("seal", VERSION, "--records", tmp_path)
    head = (tmp_path / VERSION / "ledger.head").read_text().split()[1]
    assert status == 0
    files = json.loads((tmp_path / VERSION / "seal.json").read_text())["files"]
    assert f"Sealed {len(files)} files at record head {head}." in said
    assert "Not signed: its world is not here." in said
    assert str(tmp_path / VERSION / "release.html") in said


def test_serve_shows_the_site_until_it_is_ended(snapshots: Path, tmp_path: Path) -> None:
    records = rehearsals.copy(snapshots / "close-run", tmp_path / "records")
    with rehearsals.started(BIN / "relkit", "serve", "--quiet", "--records", records) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        address = re.findall(r"at (http://127\.0\.0\.1:\d+/downloads/);", server.stdout.readline())
        assert "Python 3.15.0a1" in requests.get(address[0], timeout=20).text
        server.stdin.close()
        assert server.wait(20) == 0


def test_serve_ends_quietly_when_it_is_interrupted(snapshots: Path, tmp_path: Path) -> None:
    records = rehearsals.copy(snapshots / "close-run", tmp_path / "records")
    with rehearsals.started(BIN / "relkit", "serve", "--quiet", "--records", records) as server:
        assert server.stdout is not None
        server.stdout.readline()
        server.send_signal(signal.SIGINT)
        assert server.wait(120) == 0
        assert server.stdout.read().strip() == ""


def test_there_is_nothing_to_serve_without_a_world(main: Main, tmp_path: Path) -> None:
    status, _, said = main("serve", "--quiet", "--records", tmp_path)
    assert status == 2
    assert said.startswith("NO_WORLD: ")
    assert not list(tmp_path.iterdir())


def test_render_checks_and_writes_the_notebooks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("notebooks", "worlds", "docs"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["render", "--check"]) == 1
    missing = [line.split()[0] for line in capfd.readouterr().out.splitlines()]
    assert {f"{kind}.ipynb" for kind in Kind} | {"coverage.md"} <= set(missing)
    assert rehearsals.tree(tmp_path) == {}
    assert cli.main(["render"]) == 0
    assert capfd.readouterr().out.splitlines() == [f"{name} written" for name in missing]
    assert cli.main(["render", "--check"]) == 0
    assert capfd.readouterr().out == ""


def test_an_interrupted_command_says_so_without_a_traceback(
    main: Main, snapshots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("relkit.view.status", interrupted)
    status, _, said = main("status", VERSION, "--records", snapshots / "read-back")
    assert status == 130
    assert said == "Interrupted. Run this again: what is done is not done again.\n"


# --- what happens to a run as a whole ----------------------------------------------------------


@pytest.fixture
def toys(tmp_path: Path, toy_steps: None, monkeypatch: pytest.MonkeyPatch) -> toy.Toy:  # noqa: ARG001 (in the place of the real steps)
    """Let the command line open a toy run of two release managers."""
    nora = toy.person("Nora", "release-manager")
    two = toy.POLICY.model_copy(update={"people": (*toy.POLICY.people, nora)})
    world = toy.Toy.at(tmp_path / "toy", policy=two)

    def open_toy(version: str, kind: str, _date: str, *_: str) -> Opened:
        release = Release.parse(version, kind, "2026-05-05")
        run = world.open(tmp_path / release.key, release)
        return Opened(run, run.close)

    toy.declare_more()
    monkeypatch.setattr("relkit.opening.open_release", open_toy)
    return world


RIKA = ("--who", "Rika", "--role", "release-manager", "--reason", "crooked")


def begin(toys: toy.Toy, tmp_path: Path, *steps: str) -> Path:
    """Carry out steps of a toy run; return the folder of the records."""
    run = toys.open(tmp_path / toy.RELEASE.key)
    for name in steps:
        run.apply(name)
    run.close()
    return tmp_path


def test_respin_takes_back_and_says_what_stays(main: Main, toys: toy.Toy, tmp_path: Path) -> None:
    records = begin(toys, tmp_path, "look", "paint")
    where = (VERSION, "--records", records)
    status, said, progress = main("respin", *where, *RIKA, "--from", "paint")
    assert (status, said.splitlines()[0]) == (0, "Revision 2 begins at paint.")
    assert "what is full stays full" in said
    assert progress.startswith("1 of 1: box.put(key=wall, value=white)")
    assert toys.box.value(key="wall") == "white"
    status, said, _ = main("status", *where)
    assert status == 75
    assert "REVISION 1 given up from paint on by Rika: crooked" in said


def test_an_abandoned_run_says_so_in_status_and_is_not_run(
    main: Main, toys: toy.Toy, tmp_path: Path
) -> None:
    where = (VERSION, "--records", begin(toys, tmp_path, "look", "paint"))
    status, said, _ = main("abandon", *where, *RIKA, "--skip")
    assert (status, said.splitlines()[0]) == (0, "3.15.0a1 is abandoned and skipped.")
    status, said, _ = main("status", *where)
    assert status == 1
    assert "ABANDONED by Rika (release-manager): crooked; the version is skipped" in said
    assert "TAKEN BACK by Rika: crooked" in said
    assert "waits for steps before it" not in said
    page = (tmp_path / VERSION / "status.html").read_text(encoding="utf-8")
    assert "The run was abandoned." in page, "written anew, not as it stood before"
    status, _, said = main("run", *where)
    assert status == 1
    assert said.startswith("ABANDONED: 3.15.0a1 was abandoned by Rika: crooked\nWhat to do: ")


def test_a_run_is_handed_over_and_refuses_the_former(
    main: Main, toys: toy.Toy, tmp_path: Path
) -> None:
    where = (VERSION, "--records", begin(toys, tmp_path, "look"))
    status, said, _ = main("hand-over", *where, *RIKA, "--to", "Nora")
    assert (status, said) == (0, "Nora is the release manager of this run now.\n")
    status, _, said = main("respin", *where, *RIKA, "--from", "look")
    assert (status, said.split(":")[0]) == (1, "HANDED_OVER")
    assert main("respin", *where, "--who", "Nora", *RIKA[2:], "--from", "look")[0] == 0


def test_evidence_is_given_while_the_run_is_held_by_another_process(
    main: Main, toys: toy.Toy, tmp_path: Path
) -> None:
    made, text = Made(id="0123", source=""), "Answer in this form: rung\n"
    name = f"{made.nonce(VERSION)}-bell"
    write_value(tmp_path / WHOLE, made)
    (tmp_path / f"site-{VERSION}.url").write_text("http://localhost:1/")
    port = RehearsalPeople(folder=tmp_path, roster=toy.POLICY.people)
    port.tell(nonce=name, subject=f"evidence: {name}", text=text, roles=("expert",))
    message = tmp_path / "outbox" / f"{name}.json"
    run = toys.open(tmp_path / toy.RELEASE.key)
    nobody = ("testify", tmp_path / "none.json", "rung", "--who", "Rika", "--role", "rm")
    assert "What to do: Name the file of the message" in main(*nobody)[2]
    status, _, said = main("testify", message, "rung", "--who", "Rika", "--role", "rm")
    assert (status, said.split(":")[0]) == (1, "NOT_ASKED")
    status, said, _ = main("testify", message, "rung", "--who", "Elif", "--role", "expert")
    assert (status, said) == (0, "The evidence by Elif (expert) is on its way.\n")
    run.close()
    given = port.testimony(name=name)
    assert given is not None
    assert (given.who, given.text) == ("Elif", "rung")


def test_a_post_is_said_from_another_process_while_a_practice_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    url = "https://discuss.python.org/t/python-3150a1/"
    records = tmp_path / "records"
    opened = open_release(VERSION, "", DATE, PRACTICE, str(records))
    try:
        world = opened.run.world
        key, role = f"{world.nonce}-post-discuss", "release-manager"
        world.announcements.draft(channel="discuss", text="Python 3.15.0a1 is here.\n")
        world.people.tell(
            nonce=key,
            subject=f"evidence: {key}",
            text=f"Please post it.\n\nAnswer in this form: {url}\n",
            roles=(role,),
        )
        assert world.people.testimony(name=key) is None
        message = records / "world" / "outbox" / f"{key}.json"
        command = ["testify", str(message), url, "--who", "Rae Manager", "--role", role]
        subprocess.run([BIN / "relkit", *command], cwd=tmp_path, check=True, timeout=60)
        given = world.people.testimony(name=key)
        assert given is not None
        assert (given.who, given.text) == ("Rae Manager", url)
        assert world.announcements.post(url=url) == "Python 3.15.0a1 is here.\n"
    finally:
        opened.close()


def test_nothing_is_begun_by_what_is_said_of_a_run(
    main: Main, toys: toy.Toy, tmp_path: Path
) -> None:
    before = rehearsals.tree(tmp_path)
    where = (VERSION, "--records", tmp_path / "none")
    for command in (
        ("respin", *where, *RIKA, "--from", "look"),
        ("abandon", *where, *RIKA),
        ("hand-over", *where, *RIKA, "--to", "Nora"),
    ):
        status, _, said = main(*command)
        assert (status, said.split(":")[0]) == (1, "NO_RECORD"), command
        assert f"{tmp_path / 'none' / VERSION} holds no record" in said
    assert rehearsals.tree(tmp_path) == before
    assert toys.outside == {"box.json": {}, "builds.json": {}, "people": {}}


def test_a_transition_is_found_by_branch_and_kind_or_by_its_folder(
    main: Main, toys: toy.Toy, tmp_path: Path
) -> None:
    release = Release.parse("3.13", "begin-security-only", "2026-10-08")
    toys.open(tmp_path / release.key, release).close()
    for subject in (("3.13", "--kind", "begin-security-only"), (release.key,)):
        status, said, _ = main("status", *subject, "--records", tmp_path)
        assert status == 0, "none of the toy's steps is a transition's"
        assert "begin-security-only" in said
    status, _, said = main("status", "3.13", "--records", tmp_path)
    assert (status, said.split(":")[0]) == (2, "BAD_VERSION")


def test_the_world_of_a_run_that_was_begun_is_found_by_its_digest(tmp_path: Path) -> None:
    folder = tmp_path / "worlds"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.toml").write_text(name)
    release = Release.parse(VERSION, "", DATE)
    digest = hashlib.sha256(b"b").hexdigest()
    opened = log.Opened.model_validate(
        {
            **dict.fromkeys(log.Opened.model_fields, "0" * 64),
            "event": "opened",
            "policy": {},
            "time": release.time,
            "picks": (),
            "systems": (),
            "world_digest": digest,
            "rehearsal": True,
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert _world_file("", opened) == folder / "b.toml"
        assert _world_file("worlds/a.toml", opened) == folder / "a.toml"
        for given in (opened.model_copy(update={"world_digest": "1" * 64}), None):
            with pytest.raises(UsageError) as refusal:
                _world_file("", given)
            assert refusal.value.code == "WORLD_FILE"


# --- a release with the command line alone -----------------------------------------------------


@pytest.mark.slow
def test_a_run_stops_at_each_gate_and_goes_on_when_it_was_decided(tmp_path: Path) -> None:
    records = tmp_path / "records"
    command: list[str | Path] = [
        "run",
        VERSION,
        "--date",
        DATE,
        "--world",
        PRACTICE,
        "--records",
        records,
    ]
    gates = ["commit-release", "approve-publication", "push-upstream"]
    for number, gate in enumerate(gates, 1):
        done = rehearsals.relkit(*command)
        assert done.returncode == 75, done.stderr
        assert done.stderr.startswith(f"waiting at {gate}-apply: GATE_OPEN: {gate} waits for ")
        assert "\nWhat to do: " in done.stderr
        attempt = read(records / VERSION / "attempts" / f"{number:03}-run.ipynb")
        assert ending_of(attempt) == "waiting"
        assert attempt.cells[-1].metadata.papermill.status == "pending"
        rehearsals.relkit("decide", _request(records, gate), *DECISION, "--approve")
    done = rehearsals.relkit(*command)
    assert done.returncode == 75, done.stderr
    assert done.stderr.startswith("waiting at confirm-announcements-step: NOT_READY: ")
    for message in (records / "world" / "outbox").glob("*-post-*.json"):
        asked = json.loads(message.read_text())["text"]
        words = asked.partition("Answer in this form: ")[2].strip()
        given = rehearsals.relkit("testify", message, words, *DECISION[:4])
        assert given.returncode == 0, given.stderr
    done = rehearsals.relkit(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"Read {records / VERSION / 'release.html'}\n")
    page = (records / VERSION / "status.html").read_text(encoding="utf-8")
    assert "waits for" not in page, "who looks at it sees that nobody is waited for"
    assert rehearsals.relkit("status", VERSION, "--records", records).returncode == 0
    assert (records / VERSION / "seal.json").exists()


def _request(records: Path, gate: str) -> Path:
    """Return the newest request of a gate."""
    found = [
        path
        for path in (records / "world" / "requests").glob("*.json")
        if re.fullmatch(r"[0-9a-f]{64}", path.stem) and json.loads(path.read_text())["step"] == gate
    ]
    return max(found, key=lambda path: path.stat().st_mtime)
