"""The meeting place: a folder of requests and answers, or clones of one git repository."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import toy
from test_run import RM, approve, refused, upto

from relkit.adapters import meeting
from relkit.adapters.meeting import Meeting, add_answer, read_request, said_before
from relkit.adapters.value_files import write_value
from relkit.decision import read_decision
from relkit.errors import WaitingError, WorldError
from relkit.run import Run
from relkit.values import Identity, Request, Signed, digest_of

PLAN = {"step": "hang", "revision": 1, "subjects": [], "checks": [], "evidence": [], "actions": []}


def request(**changes: object) -> Request:
    fields: dict[str, object] = {
        "release": "3.15.0a1",
        "revision": 1,
        "step": "hang",
        "nonce": "nonce-1",
        "plan": PLAN,
        "digest": digest_of(PLAN),
        "roles": ("release-manager", "expert"),
        "policy": toy.POLICY.digest,
        "head": "1" * 64,
        "expires": toy.NOW + timedelta(days=14),
    }
    return Request.model_validate(fields | changes)


ASKED = request()
KEY = ASKED.key


def answer(reason: str = "seen", who: str = "Elif", seconds: int = 0) -> Signed:
    people = toy.People(Path("nowhere"))
    at = toy.NOW + timedelta(seconds=seconds)
    return people.answer(ASKED, "expert", who=who, reason=reason, at=at)


@pytest.fixture
def place(tmp_path: Path) -> Meeting:
    made = Meeting(tmp_path / "meeting")
    made.put(ASKED)
    return made


def test_a_request_is_read_as_it_was_put(place: Meeting) -> None:
    assert read_request(place.path(KEY)) == ASKED
    before = place.path(KEY).stat().st_mtime_ns
    place.put(ASKED)
    assert place.path(KEY).stat().st_mtime_ns == before
    place.put(request(head="2" * 64))
    assert read_request(place.path(KEY)).head == "2" * 64


@pytest.mark.parametrize("junk", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_a_request_is_put_over_junk(place: Meeting, junk: bytes) -> None:
    place.path(KEY).write_bytes(junk)
    with pytest.raises(WorldError, match="STATE_UNREADABLE"):
        read_request(place.path(KEY))
    place.put(ASKED)
    assert read_request(place.path(KEY)) == ASKED


def test_a_request_is_not_written_through_a_link(place: Meeting, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    place.path(KEY).unlink()
    place.path(KEY).symlink_to(victim)
    with pytest.raises(WorldError, match="STATE_UNREADABLE"):
        read_request(place.path(KEY))
    place.put(ASKED)
    assert victim.read_text() == "mine"
    assert not place.path(KEY).is_symlink()


@pytest.mark.parametrize(
    "change",
    [
        {"plan": PLAN | {"subjects": ["evil"]}},
        {"digest": "0" * 64},
        {"step": "paint"},
        {"revision": 2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_request_whose_words_are_not_those_of_its_plan_is_refused(
    place: Meeting, change: dict[str, object]
) -> None:
    write_value(place.path(KEY), request(**change))
    with pytest.raises(WorldError, match="REQUEST_ALTERED"):
        read_request(place.path(KEY))


def test_answers_are_read_under_whatever_name_they_came(place: Meeting) -> None:
    first, second = answer(), answer("again", seconds=5)
    add_answer(place.path(KEY), first)
    write_value(place.path(KEY).with_name(f"{KEY}.theirs~HEAD.json"), second)
    assert set(place.answers(KEY)) == {first, second}
    assert place.answers("0" * 64) == ()


def test_an_answer_has_one_name_so_that_the_same_one_is_there_once(place: Meeting) -> None:
    paths = {add_answer(place.path(KEY), answer()) for _ in range(3)}
    assert [path.name for path in paths] == [f"{KEY}.20260505T120000Z-{_short(answer())}.json"]
    assert place.answers(KEY) == (answer(),)


def _short(signed: Signed) -> str:
    return digest_of(signed.to_data())[:16]


def test_answers_given_at_the_same_instant_are_all_kept(place: Meeting) -> None:
    given = [answer(f"reason {number % 7}") for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(partial(add_answer, place.path(KEY)), given))
    assert set(place.answers(KEY)) == set(given)


def test_what_is_no_answer_is_named_and_stops_nobody(
    place: Meeting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting, "MAX_BYTES", 100_000)
    secret = tmp_path / "secret.json"
    write_value(secret, answer("behind a link"))
    beside = place.path(KEY).with_name
    beside(f"{KEY}.link.json").symlink_to(secret)
    beside(f"{KEY}.folder.json").mkdir()
    os.mkfifo(beside(f"{KEY}.pipe.json"))
    beside(f"{KEY}.large.json").write_bytes(secret.read_bytes() + b" " * 100_000)
    beside(f"{KEY}.deep.json").write_bytes(b'{"scheme":' * 10_000)
    beside(f"{KEY}.more.json").write_text('{"scheme":"ssh","text":"","signature":"","x":1}')
    add_answer(place.path(KEY), answer())
    found = place.answers(KEY)
    assert answer() in found
    junk = [one.text for one in found if not one.signature]
    assert len(junk) == 6
    assert any("pipe.json is no answer: it is no plain file" in text for text in junk)
    assert all(text.startswith(f"{KEY}.") and " is no answer: " in text for text in junk)


def test_more_answers_than_anybody_gives_are_refused(
    place: Meeting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meeting, "MAX_ANSWERS", 1)
    for reason in ("one", "two"):
        add_answer(place.path(KEY), answer(reason))
    with pytest.raises(WorldError, match="ANSWERS_TOO_MANY"):
        place.answers(KEY)


@pytest.mark.usefixtures("toy_steps")
def test_junk_and_forged_answers_do_not_stop_a_gate(
    record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write where answers lie can make a look at them slow, once, and no more."""
    run = in_git(record, tmp_path, tmp_path / "meeting")
    approve(run, "hang", RM)
    refused(WaitingError, run.apply, "hang")
    path = tmp_path / "meeting" / f"{run.propose('hang').plan.digest}.json"
    asked = read_request(path)
    for number in range(250):
        path.with_name(f"{path.stem}.{number}.json").write_text("junk")
        text = toy.People(tmp_path / "x").answer(asked, "expert", reason=f"yes, {number}").text
        add_answer(path, Signed(scheme="ssh", text=text, signature="forged"))
    tried: list[str] = []
    verify = toy.Pens.verify

    def counted(self: toy.Pens, *, signed: Signed, identity: Identity) -> None:
        tried.append(signed.text)
        verify(self, signed=signed, identity=identity)

    monkeypatch.setattr(toy.Pens, "verify", counted)
    error = refused(WaitingError, run.apply, "hang")
    assert error.code == "GATE_OPEN"
    assert len(str(error)) < 30_000
    refused(WaitingError, run.apply, "hang")
    assert len(tried) == 250, "each once"
    add_answer(path, toy.People(tmp_path / "x").answer(asked, "expert"))
    assert run.apply("hang").complete


@pytest.mark.parametrize("key", ["../other", "", "a/b", ".hidden", "*"])
def test_a_key_never_leads_out_of_the_folder(place: Meeting, key: str) -> None:
    with pytest.raises(WorldError, match="BAD_NAME"):
        place.answers(key)


def test_what_somebody_said_before_is_found_among_junk(place: Meeting) -> None:
    add_answer(place.path(KEY), answer("first"))
    add_answer(place.path(KEY), answer("of another", who="Emil"))
    place.path(KEY).with_name(f"{KEY}.x.json").write_text("junk")
    assert [one.reason for one in said_before(place.path(KEY), "Elif", "expert")] == ["first"]


# --- a git repository as the meeting place ------------------------------------------------------


def git(folder: Path, *arguments: str | Path) -> None:
    """Run git as people do by hand, whatever this machine is set to."""
    who = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        who |= {f"GIT_{role}_NAME": "Somebody", f"GIT_{role}_EMAIL": "somebody@example.org"}
    command = ["git", "-C", str(folder), *map(str, arguments)]
    subprocess.run(command, env=os.environ | who, capture_output=True, check=True, timeout=60)


def send(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-m", "An answer")
    git(folder, "pull", "--no-rebase", "--no-edit", "origin", "main")
    git(folder, "push", "origin", "HEAD:main")


class ByMeeting(toy.People):
    """People who meet in a folder."""

    place: Meeting

    def ask(self, *, request: Request) -> None:
        self.place.put(request)

    def answers(self, *, key: str) -> tuple[Signed, ...]:
        return self.place.answers(key)


@pytest.fixture
def clones(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Return the clones of the release manager and of two experts."""
    bare, seed = tmp_path / "meeting.git", tmp_path / "seed"
    git(tmp_path, "init", "--bare", "-b", "main", bare)
    git(tmp_path, "init", "-b", "main", seed)
    (seed / "README").write_text("Requests and answers.\n")
    git(seed, "add", "-A")
    git(seed, "commit", "-m", "Begin")
    git(seed, "push", bare, "main")
    names = ("manager", "elif", "emil")
    for name in names:
        git(tmp_path, "clone", bare, tmp_path / name)
    return tmp_path / names[0], tmp_path / names[1], tmp_path / names[2]


def in_git(record: Path, tmp_path: Path, folder: Path) -> Run:
    world = toy.Toy.at(tmp_path / "world")
    people = ByMeeting(world.people.path)
    people.place = Meeting(folder)
    object.__setattr__(world, "people", people)
    return upto(world.open(record), "hang")


@pytest.mark.usefixtures("toy_steps")
def test_experts_decide_in_clones_of_their_own_and_the_gate_opens_when_they_are_pulled(
    record: Path, tmp_path: Path, clones: tuple[Path, Path, Path]
) -> None:
    manager, elif_, emil = clones
    run = in_git(record, tmp_path, manager)
    approve(run, "hang", RM)
    refused(WaitingError, run.apply, "hang")
    git(manager, "add", "-A")
    git(manager, "commit", "-m", "A request")
    git(manager, "push", "origin", "HEAD:main")
    key = run.propose("hang").plan.digest
    for clone, who in ((elif_, "Elif"), (emil, "Emil")):  # both before either has sent anything
        git(clone, "pull", "origin", "main")
        asked = read_request(clone / f"{key}.json")
        signed = toy.People(tmp_path / "x").answer(asked, "expert", who=who)
        add_answer(clone / f"{key}.json", signed)
    send(elif_)
    send(emil)
    refused(WaitingError, run.apply, "hang")
    git(manager, "pull", "origin", "main")
    assert run.apply("hang").complete
    said = {read_decision(one.signed.text).who for one in run.progress("hang").decisions}
    assert said == {"Rika", "Elif", "Emil"}
    assert not list(manager.glob(".*.lock")), "nothing is left that git would take in"
