"""The command line: what it prints, its exit statuses, and a release made with it alone."""

from __future__ import annotations

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
from cells import read
from rehearsals import BIN, DATE, ROOT, STEPS, VERSION

from relkit import cli
from relkit.marks import ending_of

PRACTICE = "worlds/practice.toml"
Main = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rehearsals.snapshots(tmp_path_factory.getbasetemp().parent)


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
    for command in ("rehearse", "run", "status", "decide", "seal", "serve", "render"):
        assert re.search(rf"^    {command} +\w+", said, re.MULTILINE), command
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


# --- decide ------------------------------------------------------------------------------------


@pytest.fixture
def request_file(snapshots: Path, tmp_path: Path) -> Path:
    """Return a request nobody has answered yet."""
    for path in (snapshots / "approve-publication" / "world" / "requests").glob("*.json"):
        data = json.loads(path.read_text())
        if data.get("step") == "approve-publication" and "plan" in data:
            return Path(shutil.copy(path, tmp_path))
    raise AssertionError("nobody was asked")


DECISION = ("--role", "release-manager", "--who", "Rae Manager", "--reason", "looked at it")


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_a_decision_is_an_answer_beside_the_request(
    main: Main, request_file: Path, verdict: str
) -> None:
    status, said, _ = main("decide", request_file, *DECISION, f"--{verdict}")
    assert (status, said) == (
        0,
        f"{verdict} by Rae Manager (release-manager) is on its way.\n",
    )
    (path,) = request_file.parent.glob("*.release-manager.json")
    data = json.loads(path.read_text())
    assert data["digest"] == request_file.stem
    assert (data["verdict"], data["reason"]) == (verdict, "looked at it")


@pytest.mark.parametrize(
    "arguments",
    [
        DECISION,
        (*DECISION, "--approve", "--reject"),
        (*DECISION[:4], "--approve"),
        (*DECISION[2:], "--approve"),
    ],
    ids=["no verdict", "both", "no reason", "no role"],
)
def test_half_a_decision_is_wrong_usage(
    main: Main, request_file: Path, arguments: tuple[str, ...]
) -> None:
    assert main("decide", request_file, *arguments)[0] == 2
    assert [path.name for path in request_file.parent.iterdir()] == [request_file.name]


def test_what_is_no_request_cannot_be_decided_on(main: Main, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text("{}")
    for path in (tmp_path / "request.json", tmp_path / "none.json", tmp_path):
        status, _, said = main("decide", path, *DECISION, "--approve")
        assert status in {1, 2}
        assert re.match(r"[A-Z_]+: .+\nWhat to do: .+", said), said


# --- seal, serve, render -----------------------------------------------------------------------


def test_seal_says_what_it_made(main: Main, snapshots: Path, tmp_path: Path) -> None:
    shutil.copytree(snapshots / "close-run" / VERSION, tmp_path / VERSION)
    status, said, _ = main("seal", VERSION, "--records", tmp_path)
    head = (tmp_path / VERSION / "ledger.head").read_text().split()[1]
    assert status == 0
    assert f"Sealed 5 files at record head {head}." in said
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
        assert server.wait(20) == 0
        assert server.stdout.read().strip() == ""


def test_there_is_nothing_to_serve_without_a_world(main: Main, tmp_path: Path) -> None:
    status, _, said = main("serve", "--quiet", "--records", tmp_path)
    assert status == 2
    assert said.startswith("NO_WORLD: ")
    assert not list(tmp_path.iterdir())


def test_render_checks_and_writes_the_notebooks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("notebooks", "worlds"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["render", "--check"]) == 1
    assert not list((tmp_path / "notebooks").iterdir())
    assert cli.main(["render"]) == 0
    assert cli.main(["render", "--check"]) == 0
    assert capfd.readouterr().out == "alpha.ipynb is not up to date\nalpha.ipynb written\n"


def test_an_interrupted_command_says_so_without_a_traceback(
    main: Main, snapshots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("relkit.view.status", interrupted)
    status, _, said = main("status", VERSION, "--records", snapshots / "read-back")
    assert status == 130
    assert said == "Interrupted. Run this again: it goes on where it stood.\n"


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
    assert done.returncode == 0, done.stderr
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
