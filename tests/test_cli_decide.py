"""`relkit decide`: what a person sees, what is refused, what is signed and where it lands."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import toy
import words_helpers
from git_helpers import ENVIRONMENT

from relkit import cli, cli_decide
from relkit.adapters import ssh
from relkit.adapters.attest import Attestor, sigstore_verifier
from relkit.adapters.gpg import GpgSigner, make_throwaway_key
from relkit.adapters.meeting import Meeting
from relkit.adapters.value_files import write_value
from relkit.decision import read_decision
from relkit.errors import GateError
from relkit.rehearsal.making import key_of
from relkit.rehearsal.sigstore import ISSUER, LoopbackSigstore
from relkit.values import Identity, Person, Request, Signed, digest_of

DATA = b"the installer"
NAME = "python-3.15.0a1.exe"
WHO, ROLE = "Wanda Windows", "windows-expert"
SAY = ("--who", WHO, "--role", ROLE, "--reason", "installed it")
Main = Callable[..., tuple[int, str, str]]


def plan(revision: int = 1, data: bytes = DATA) -> dict[str, Any]:
    sha256 = hashlib.sha256(data).hexdigest()
    call = {"port": "artifacts", "method": "keep", "arguments": {"name": NAME}}
    action = {"do": call, "read": call, "expects": "exists", "expected": None}
    return {
        "version": "3.15.0a1",
        "revision": revision,
        "step": "approve-windows",
        "checks": [["the installer starts", "pass"]],
        "evidence": [["What the build says", "7" * 64]],
        "subjects": [{"name": NAME, "size": len(data), "sha256": sha256}],
        "actions": [{**action, "undo": None, "undo_note": "it is kept", "temporary": False}],
    }


def request(asked: dict[str, Any] | None = None, **changes: Any) -> Request:  # noqa: ANN401 (fields)
    words = asked or plan()
    fields: dict[str, object] = {
        "release": "3.15.0a1",
        "revision": words["revision"],
        "step": "approve-windows",
        "nonce": "n1",
        "plan": words,
        "digest": digest_of(words),
        "roles": (ROLE,),
        "policy": "1" * 64,
        "head": "2" * 64,
        "expires": datetime.now(UTC).replace(microsecond=0) + timedelta(days=1),
    }
    return Request.model_validate(fields | changes)


@pytest.fixture
def main(capfd: pytest.CaptureFixture[str]) -> Main:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        try:
            status = cli.main([str(one) for one in arguments])
        except SystemExit as end:
            status = int(end.code or 0)
        said = capfd.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "id_ed25519"
    ssh.make_key(path)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Meeting:
    return Meeting(tmp_path / "world" / "requests")


@pytest.fixture
def file(place: Meeting) -> Path:
    place.put(request())
    return place.path(request().key)


def answers(file: Path) -> list[Signed]:
    return list(Meeting(file.parent).answers(file.stem))


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_a_decision_is_a_signed_answer_beside_the_request(
    main: Main, file: Path, key: Path, verdict: str
) -> None:
    status, said, _ = main("decide", file, *SAY, f"--{verdict}", "--key", key)
    assert (status, said.splitlines()[-1]) == (0, f"{verdict} by {WHO} ({ROLE}) is on its way.")
    (signed,) = answers(file)
    mine = Identity(scheme="ssh", key=ssh.public_key(key.with_name("id_ed25519.pub")))
    Attestor().verify(signed=signed, identity=mine)
    made = read_decision(signed.text)
    assert (made.who, made.role, made.verdict, made.reason) == (WHO, ROLE, verdict, "installed it")
    assert (made.plan, made.head) == (file.stem, "2" * 64)


@pytest.mark.parametrize("given", ["", ".", "..", "/", "no-such-key"])
def test_what_is_no_key_is_refused_by_its_name(main: Main, file: Path, given: str) -> None:
    status, _, said = main("decide", file, *SAY, "--approve", "--key", given)
    assert (status, "SSH_KEY" in said) == (1, True), said
    assert answers(file) == []


def test_what_is_asked_can_be_read(main: Main, file: Path, key: Path) -> None:
    _, said, _ = main("decide", file, *SAY, "--approve", "--key", key)
    for words in (
        *("REQUEST of 3.15.0a1, revision 1: approve-windows", file.stem, "the installer starts"),
        *("What the build says", "7" * 64, NAME, hashlib.sha256(DATA).hexdigest()),
        *("artifacts.keep(", "it is kept", "not reached", "No other plan of this step"),
    ):
        assert words in said


def test_right_before_it_is_signed_it_is_said_what_for_where_and_until_when(
    main: Main, place: Meeting, key: Path
) -> None:
    asked = request(world="cpython", rehearsal=False, typed="cpython")
    place.put(asked)
    say = ("decide", place.path(asked.key), *SAY, "--approve", "--key", key)
    _, said, _ = main(*say, "--production", "cpython")
    words, _, after = said.partition(f"What you sign: APPROVE by {WHO} ({ROLE}): installed it\n")
    _, _, table = words.partition("No other plan of this step")
    assert table, "what is signed by digest stands above: what is asked is not scrolled away by it"
    assert after.startswith(
        "For approve-windows of 3.15.0a1, revision 1, in the world cpython, PRODUCTION, no "
        f"rehearsal, run n1. It can be answered until {asked.expires:%Y-%m-%d %H:%M} UTC. The way "
        "back ends here: to approve, type cpython.\n"
    )
    rows = [line.split() for line in table.splitlines()]
    (signed,) = answers(place.path(asked.key))
    stated = [(one["name"], one["digest"]["sha256"]) for one in json.loads(signed.text)["subject"]]
    for name, sha256 in stated:
        assert [*name.split(), sha256] in [row[: len(name.split()) + 1] for row in rows]
    assert (
        len({line.find(sha256) for line in table.splitlines() for _, sha256 in stated} - {-1}) == 1
    )


def test_a_check_that_did_not_succeed_is_seen_among_those_that_did(
    main: Main, place: Meeting, key: Path
) -> None:
    asked = request(plan() | {"checks": [["one holds", "pass"], ["one does not", "fail"]]})
    place.put(asked)
    _, said, _ = main("decide", place.path(asked.key), *SAY, "--reject", "--key", key)
    rows = [line.split() for line in said.splitlines() if line.startswith("one ")]
    assert rows == [["one", "holds", "ok"], ["one", "does", "not", "FAILED"]]


def test_what_a_request_holds_for_a_terminal_is_not_shown_to_it(
    main: Main, place: Meeting, key: Path
) -> None:
    asked = request(world="\x1b[2Jrehearsal\u202e", nonce="\x1b[1A")
    place.put(asked)
    _, said, _ = main("decide", place.path(asked.key), *SAY, "--reject", "--key", key)
    assert "What you sign: REJECT" in said
    assert not {"\x1b", "\u202e"} & set(said)


def test_no_notebook_is_needed_to_decide(file: Path, key: Path) -> None:
    arguments = ["decide", str(file), *SAY, "--approve", "--key", str(key)]
    program = (
        "import sys; sys.modules |= dict.fromkeys(['IPython', 'ipywidgets', 'papermill']); "
        f"from relkit import cli; sys.exit(cli.main({arguments!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert len(answers(file)) == 1


def test_a_waiver_says_what_is_accepted(main: Main, place: Meeting, key: Path) -> None:
    asked = request(waives="no installer is missing")
    place.put(asked)
    _, said, _ = main("decide", place.path(asked.key), *SAY, "--approve", "--key", key)
    assert "is accepted though it did not succeed: no installer is missing" in said
    (signed,) = place.answers(asked.key)
    assert read_decision(signed.text).waives == "no installer is missing"


# --- the files ------------------------------------------------------------------------------------


def test_files_that_can_be_reached_are_hashed(
    main: Main, file: Path, key: Path, tmp_path: Path
) -> None:
    (tmp_path / NAME).write_bytes(DATA)
    status, said, _ = main("decide", file, *SAY, "--approve", "--key", key, "--files", tmp_path)
    assert status == 0
    assert re.search(rf"^{NAME}  +{hashlib.sha256(DATA).hexdigest()}  equal$", said, re.MULTILINE)
    assert "Files hashed: 1 of 1." in said


def test_another_file_than_is_asked_about_is_not_approved(
    main: Main, file: Path, key: Path, tmp_path: Path
) -> None:
    (tmp_path / NAME).write_bytes(b"evil")
    folders = ("--files", tmp_path / "none", "--files", tmp_path)
    status, _, said = main("decide", file, *SAY, "--approve", "--key", key, *folders)
    assert status == 1
    assert said.startswith("ARTIFACT_OTHER: ")
    assert hashlib.sha256(b"evil").hexdigest() in said
    assert hashlib.sha256(DATA).hexdigest() in said
    assert answers(file) == []
    assert main("decide", file, *SAY, "--reject", "--key", key, *folders)[0] == 0


# --- what was approved before ---------------------------------------------------------------------


def test_how_it_differs_from_what_was_approved_last_is_shown(
    main: Main, place: Meeting, key: Path
) -> None:
    old, unapproved, new = (
        request(plan(number, data)) for number, data in enumerate((b"old", b"never", DATA), 1)
    )
    for asked in (old, unapproved, new):
        place.put(asked)
    decide = partial(main, "decide", place.path(old.key), *SAY, "--approve", "--key", key)
    assert decide()[0] == 0
    place.path("0" * 64).write_text("junk")
    _, said, _ = main("decide", place.path(new.key), *SAY, "--approve", "--key", key)
    assert f"--- plan {old.digest:.12} (revision 1), approved before" in said
    lines = said.splitlines()
    for sign, data in (("-", b"old"), ("+", DATA)):
        digest = hashlib.sha256(data).hexdigest()
        assert any(line.startswith(f"{sign}{NAME}") and digest in line for line in lines)
    assert hashlib.sha256(b"never").hexdigest() not in said


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "say", "code"),
    [
        ({"roles": ("macos-expert",)}, SAY, "NOT_ASKED"),
        ({}, (*SAY[:4], "--reason", " "), "REASON_MISSING"),
        ({"expires": toy.NOW - timedelta(days=999)}, SAY, "APPROVAL_EXPIRED"),
        ({"digest": "0" * 64}, SAY, "REQUEST_ALTERED"),
        ({}, (*SAY[:4], "--reason", "\x1b[2J"), "APPROVAL_MALFORMED"),
    ],
)
def test_what_would_not_count_is_not_signed(
    main: Main,
    place: Meeting,
    key: Path,
    changes: dict[str, object],
    say: tuple[str, ...],
    code: str,
) -> None:
    asked = request(None, **changes)
    write_value(place.path(asked.key), asked)
    status, _, said = main("decide", place.path(asked.key), *say, "--approve", "--key", key)
    assert (status, said.partition(":")[0]) == (1, code)
    assert "\nWhat to do: " in said
    assert answers(place.path(asked.key)) == []


@pytest.mark.parametrize(
    "spoil",
    [
        {"subjects": [{"name": "../evil", "size": 1, "sha256": "0" * 64}]},
        {"checks": ["x"]},
        {"actions": [{"do": "rm"}]},
    ],
)
def test_a_plan_that_cannot_be_shown_is_not_signed(
    main: Main, place: Meeting, key: Path, spoil: dict[str, object]
) -> None:
    asked = request(plan() | spoil)
    place.put(asked)
    status, _, said = main("decide", place.path(asked.key), *SAY, "--approve", "--key", key)
    assert (status, said.partition(":")[0]) == (1, "REQUEST_UNREADABLE")
    assert answers(place.path(asked.key)) == []


def test_nothing_shown_is_obeyed_by_a_terminal(main: Main, place: Meeting, key: Path) -> None:
    asked = request(plan() | {"checks": [["\x1b[2J\u202egood", "pass\x07"]]})
    place.put(asked)
    status, said, _ = main("decide", place.path(asked.key), *SAY, "--approve", "--key", key)
    assert status == 0
    assert all(one.isprintable() or one == "\n" for one in said)


@pytest.mark.parametrize(
    "arguments",
    [
        SAY,
        (*SAY, "--approve", "--reject"),
        (*SAY[:4], "--approve"),
        (*SAY[2:], "--approve"),
        (*SAY, "--approve", "--key", "a", "--gpg", "b"),
    ],
    ids=["no verdict", "both", "no reason", "nobody", "two ways to sign"],
)
def test_half_a_decision_is_wrong_usage(main: Main, file: Path, arguments: tuple[str, ...]) -> None:
    assert main("decide", file, *arguments)[0] == 2
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_what_is_no_request_cannot_be_decided_on(main: Main, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text("{}")
    for path in (tmp_path / "request.json", tmp_path / "none.json", tmp_path):
        status, _, said = main("decide", path, *SAY, "--approve")
        assert (status, said.partition(":")[0]) == (1, "STATE_UNREADABLE")


def test_a_request_that_was_renamed_on_its_way_is_answered_under_its_own_name(
    main: Main, file: Path, key: Path
) -> None:
    renamed = file.rename(file.with_name("request (1).json"))
    assert main("decide", renamed, *SAY, "--approve", "--key", key)[0] == 0
    assert len(answers(file)) == 1


# --- keys -----------------------------------------------------------------------------------------


def test_in_a_rehearsal_the_throw_away_key_signs(main: Main, file: Path) -> None:
    status, _, said = main("decide", file, *SAY, "--approve")
    assert (status, said.partition(":")[0]) == (2, "KEY_MISSING")
    ssh.make_key(key_of(file.parent.parent, WHO))
    assert main("decide", file, *SAY, "--approve")[0] == 0
    assert len(answers(file)) == 1


def test_a_gpg_key_of_ones_own_home_signs(
    main: Main, file: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("gpg")
    fingerprint = make_throwaway_key(home, WHO, "wanda@example.org")
    how = ("--gpg", fingerprint, "--gpg-home", home)
    assert main("decide", file, *SAY, "--approve", *how)[0] == 0
    (signed,) = answers(file)
    with GpgSigner(home, fingerprint) as signer:
        Attestor(gpg=signer).verify(signed=signed, identity=Identity(scheme="gpg", key=fingerprint))
    other = ("--gpg", "0" * 40, "--gpg-home", home)
    assert main("decide", file, *SAY, "--approve", *other)[0] == 1
    none = ("--gpg", fingerprint, "--gpg-home", home / "none")
    assert "GPG_HOME" in main("decide", file, *SAY, "--approve", *none)[2]
    assert not (home / "none").exists()


def test_in_a_rehearsal_sigstore_is_the_rehearsals_own(main: Main, file: Path) -> None:
    how = ("--sigstore", "wanda@example.org")
    assert "SIGSTORE_REHEARSAL" in main("decide", file, *SAY, "--approve", *how)[2]
    instance = LoopbackSigstore(file.parent.parent / "sigstore")
    assert "SIGSTORE_REHEARSAL" in main("decide", file, *SAY, "--approve", "--sigstore")[2]
    assert main("decide", file, *SAY, "--approve", *how)[0] == 0
    (signed,) = answers(file)
    identity = Identity(scheme="sigstore", key=how[1], issuer=ISSUER)
    verify = sigstore_verifier(instance.trusted_root())
    Attestor(sigstore=verify).verify(signed=signed, identity=identity)


def test_the_public_sigstore_is_asked_for_a_release_that_is_no_rehearsal(
    main: Main, place: Meeting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network() -> None:
        raise OSError("eyJhbGciOi.a-secret.token")

    monkeypatch.setattr(
        "relkit.adapters.sigstore_instance.ClientTrustConfig.production", no_network
    )
    asked = request(rehearsal=False)
    place.put(asked)
    status, _, said = main("decide", place.path(asked.key), *SAY, "--approve", "--sigstore")
    assert (status, said.partition(":")[0]) == (1, "SIGSTORE_TRUST")
    assert "eyJ" not in said


# --- the last digits ------------------------------------------------------------------------------

DIGEST = "0" * 58 + "abc123"


@pytest.mark.parametrize("typed", [["abc123"], ["abc", " ABC123 "], ["", "000000", "abc123"]])
def test_who_types_the_last_digits_goes_on(typed: list[str]) -> None:
    given = iter(typed)
    cli_decide.confirm(DIGEST, "approve", lambda _: next(given))


@pytest.mark.parametrize(
    "typed", [["", "", ""], ["y", "yes", "approve"], ["bc123", DIGEST, "123abc"]]
)
def test_three_wrong_tries_end_it(typed: list[str]) -> None:
    """T70: nobody clicks through."""
    given = iter([*typed, "abc123"])
    with pytest.raises(GateError, match="GATE_LOCKED"):
        cli_decide.confirm(DIGEST, "approve", lambda _: next(given))
    assert next(given) == "abc123"


def test_a_terminal_is_asked_and_without_the_digits_nothing_is_signed(
    main: Main, file: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(cli_decide.confirm, "__defaults__", (closed,))
    status, _, said = main("decide", file, *SAY, "--approve", "--key", key)
    assert (status, said.partition(":")[0]) == (1, "GATE_LOCKED")
    assert answers(file) == []
    assert main("decide", file, *SAY, "--approve", "--key", key, "--yes")[0] == 0


# --- when -----------------------------------------------------------------------------------------


def test_an_answer_is_later_than_what_the_same_person_said_just_before(
    main: Main, file: Path, key: Path
) -> None:
    for verdict in ("reject", "approve", "reject"):
        main("decide", file, *SAY, f"--{verdict}", "--key", key)
    made = sorted((read_decision(one.text) for one in answers(file)), key=lambda one: one.at)
    assert [one.verdict for one in made] == ["reject", "approve", "reject"]
    assert len({one.at for one in made}) == 3


def test_a_planted_answer_of_far_ahead_does_not_move_ones_own() -> None:
    now = toy.NOW
    assert cli_decide.answer_time([now + timedelta(days=9)], now) == now
    assert cli_decide.answer_time([now, now - timedelta(hours=1)], now) == now + timedelta(
        seconds=1
    )


# --- the meeting place, in the order an expert meets it ------------------------------------------


def meeting_at(tmp_path: Path, asked: Request) -> Path:
    """Make a meeting place with a request, as the release manager's run does; return it."""
    port = words_helpers.meeting(tmp_path, words_helpers.Reach())
    port.ask(request=asked)
    port.ask(request=request(plan(revision=9), roles=("docs-expert",)))
    key = "n1-store"
    port.tell(nonce=key, subject=f"evidence: {key}", text="Say so.", roles=(ROLE,))
    return tmp_path / "meeting.git"


def own_key(folder: Path) -> Path:
    ssh.make_key(folder / "key")
    return folder / "key"


def test_an_answer_goes_to_the_meeting_place_by_itself(tmp_path: Path, main: Main) -> None:
    asked = request()
    bare = meeting_at(tmp_path, asked)
    key = own_key(tmp_path)
    given = ("--reject", "--key", key, "--meeting", str(bare))
    status, out, err = main("decide", asked.key[:12], *SAY, *given)
    assert (status, err) == (0, "")
    assert "REQUEST of 3.15.0a1" in out
    assert f"reject by {WHO} ({ROLE}) is in the meeting place." in out
    [found] = words_helpers.meeting(tmp_path, words_helpers.Reach()).answers(key=asked.key)
    assert read_decision(found.text).verdict == "reject"
    for wrong in ("000000000000", asked.key[:3], ""):
        status, _, err = main("decide", wrong, *SAY, *given)
        assert status == 2
        assert "NO_REQUEST" in err
        assert asked.key[:12] in err
    status, _, err = main("decide", asked.key, *SAY, *given[:-1], "ext::sh -c id")
    assert "BAD_URL" in err


def test_a_clone_is_told_exactly_what_to_push_and_that_sends_answer_and_evidence(
    tmp_path: Path, main: Main
) -> None:
    asked = request()
    bare, clone = meeting_at(tmp_path, asked), tmp_path / "a clone"
    run = partial(subprocess.run, env=ENVIRONMENT, check=True, capture_output=True)
    run(["git", "clone", "--quiet", str(bare), str(clone)])
    place = clone / "requests" / f"{asked.key}.json"
    status, out, _ = main("decide", place, *SAY, "--reject", "--key", own_key(tmp_path))
    assert status == 0
    evidence = ("done", "--who", WHO, "--role", ROLE)
    status, more, _ = main("testify", clone / "messages/n1-store.json", *evidence)
    assert status == 0
    words_helpers.put(bare, {"messages/other.json": "{}"})
    for words in (out, more):
        head, _, commands = words.partition("It counts once it is pushed:\n")
        assert "push" not in head
        for line in commands.strip().splitlines():
            run(shlex.split(line))
    port = words_helpers.meeting(
        tmp_path,
        words_helpers.Reach(),
        roster=(Person(name=WHO, role=ROLE, time_zone="UTC"),),
    )
    [found] = port.answers(key=asked.key)
    assert read_decision(found.text).verdict == "reject"
    given = port.testimony(name="n1-store")
    assert given is not None
    assert given.text == "done"
