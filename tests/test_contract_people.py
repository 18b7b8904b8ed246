"""The port `People`: the same statements about its local form and the real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import toy
from git_helpers import refused
from hostile import STRINGS
from words_helpers import RM, Reaches, attempt, commits, git, meeting, put

from relkit.adapters.evidence import ASKED
from relkit.adapters.git_file import Tree
from relkit.adapters.meeting import add_answer, answer_files, read_request
from relkit.adapters.meeting_place import fetched
from relkit.decision import decision_text
from relkit.errors import UsageError
from relkit.ports import People
from relkit.rehearsal.ports import RehearsalPeople
from relkit.values import Person, Request, Signed, Testimony, digest_of

ROSTER = (
    Person(name="Rika", role="release-manager", time_zone="UTC"),
    Person(name="Elif", role="expert", time_zone="UTC"),
)
PENS = toy.Pens()
SSH = pytest.param("ssh", marks=pytest.mark.slow)
ALL = pytest.mark.parametrize("form", ["local", "file", SSH])
REAL = pytest.mark.parametrize("form", ["file", SSH])
DONE = Testimony(name="n1-store", who="Elif", role="expert", text="done")


def request(step: str = "publish", **changes: object) -> Request:
    plan = {"step": step, "revision": 1, "subjects": []}
    fields = {
        "release": "3.15.0a1",
        "revision": 1,
        "step": step,
        "nonce": "n1",
        "plan": plan,
        "digest": digest_of(plan),
        "roles": ("expert",),
        "policy": "1" * 64,
        "head": "2" * 64,
        "expires": toy.NOW + timedelta(days=14),
    }
    return Request.model_validate(fields | changes)


def signed(asked: Request, who: str = "Elif") -> Signed:
    text = decision_text(
        asked, who=who, role="expert", verdict="approve", reason="seen", at=toy.NOW
    )
    return PENS.sign(who="Elif", text=text)


@pytest.fixture(scope="module")
def reaches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reaches]:
    with Reaches(tmp_path_factory.mktemp("reach")) as found:
        yield found


def made(form: str, folder: Path, reaches: Reaches) -> People:
    if form == "local":
        return RehearsalPeople(folder=folder, roster=ROSTER)
    return meeting(folder, reaches[form], roster=ROSTER)


def answer(form: str, folder: Path, asked: Request, given: Signed) -> str:
    """Answer as an expert does: add a file beside the request; return its name."""
    if form == "local":
        return add_answer(folder / "requests" / f"{asked.key}.json", given).name
    path = add_answer(folder / "clone" / f"{asked.key}.json", given)
    put(folder / "meeting.git", {f"requests/{path.name}": path.read_bytes()})
    return path.name


@ALL
def test_a_message_is_sent_once_and_is_found_by_its_nonce(
    form: str, tmp_path: Path, reaches: Reaches
) -> None:
    port = made(form, tmp_path, reaches)
    told = {"nonce": "n1-begin", "subject": "It begins", "text": "Bük\n", "roles": ("expert",)}
    assert not port.told(nonce="n1-begin")
    for _ in range(2):
        port.tell(**told)  # type: ignore[arg-type]  # a mapping for all arguments
        assert port.told(nonce="n1-begin")
    refused("SENT_DIFFERENTLY", lambda: port.tell(**{**told, "text": "x"}))  # type: ignore[arg-type]  # as above
    assert not port.told(nonce="n1")
    assert form == "local" or len(commits(tmp_path / "meeting.git")) == 1


@ALL
def test_a_request_lies_where_it_is_looked_for_and_its_answers_are_read_as_they_are(
    form: str, tmp_path: Path, reaches: Reaches
) -> None:
    port = made(form, tmp_path, reaches)
    asked, other = request(), request("sign")
    assert port.answers(key=asked.key) == ()
    for _ in range(2):
        port.ask(request=asked)
        port.ask(request=other)
    given = signed(asked)
    name = answer(form, tmp_path, asked, given)
    assert port.answers(key=asked.key) == (given,)
    assert port.answers(key=other.key) == ()
    assert name.startswith(asked.key)
    port.ask(request=request(manager="Rae"))
    assert port.answers(key=asked.key) == (given,)


@ALL
def test_what_is_given_last_as_evidence_counts_and_nobody_gives_it_in_a_role_of_others(
    form: str, tmp_path: Path, reaches: Reaches
) -> None:
    port = made(form, tmp_path, reaches)
    assert port.testimony(name="n1-store") is None
    for text in ("first", "first", "second", "first"):
        port.testify(testimony=DONE.model_copy(update={"text": text}))
        found = port.testimony(name="n1-store")
        assert found is not None
        assert found.text == text
    foreign = DONE.model_copy(update={"who": "Mallory"})
    refused("EVIDENCE_FOREIGN", lambda: port.testify(testimony=foreign))
    empty = DONE.model_copy(update={"text": " \n"})
    refused("EVIDENCE_INVALID", lambda: port.testify(testimony=empty))
    assert port.testimony(name="n1") is None
    assert port.roster() == ROSTER
    assert form == "local" or len(commits(tmp_path / "meeting.git")) == 3


@ALL
def test_what_is_no_answer_is_named_and_stops_nobody(
    form: str, tmp_path: Path, reaches: Reaches
) -> None:
    port = made(form, tmp_path, reaches)
    asked = request()
    port.ask(request=asked)
    if form == "local":
        (tmp_path / "requests" / f"{asked.key}.junk.json").write_text("{")
    else:
        put(tmp_path / "meeting.git", {f"requests/{asked.key}.junk.json": "{"})
    given = signed(asked)
    answer(form, tmp_path, asked, given)
    first, junk = port.answers(key=asked.key)
    assert first == given
    assert junk.signature == ""
    assert "junk.json is no answer" in junk.text


@pytest.mark.parametrize("form", ["local", pytest.param("file", marks=pytest.mark.slow)])
def test_hostile_words_are_refused_or_kept_as_they_are_and_do_nothing(
    form: str, tmp_path: Path, reaches: Reaches, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    port = made(form, tmp_path, reaches)
    for number, word in enumerate(STRINGS):
        key = f"n1-{number}"
        for names in (
            partial(port.told, nonce=word),
            partial(port.answers, key=word),
            partial(port.testimony, name=word),
        ):
            error = attempt(names)
            assert error is None or error.code.isupper()
        whose = DONE.model_copy(update={"who": word})
        assert attempt(partial(port.testify, testimony=whose)) is not None
        told = partial(port.tell, nonce=key, subject=word, text=word, roles=(word,))
        if (error := attempt(told)) is not None:
            assert error.code == "BAD_TEXT"
            assert not port.told(nonce=key)
        given = DONE.model_copy(update={"name": key, "text": word})
        if attempt(partial(port.testify, testimony=given)) is None:
            assert port.testimony(name=key) == given
    assert [*(tmp_path / "here").iterdir()] == []
    if form == "file":
        paths = git(tmp_path / "meeting.git", "ls-tree", "-r", "--name-only", "main").split("\n")
        assert {one.split("/")[0] for one in paths if one} == {"messages", "evidence"}


# --- what only the real form has ---------------------------------------------------------------


def flood(bare: Path, names: Iterable[str], data: bytes) -> None:
    """Put many files with the same bytes where people meet, as one of them."""
    blob = git(bare, "hash-object", "-w", "--stdin", given=data).strip()
    lines = "".join(f"100644 {blob}\t{name}\n" for name in names)
    git(bare, "read-tree", "main")
    git(bare, "update-index", "--index-info", given=lines.encode())
    tree = git(bare, "write-tree").strip()
    commit = git(bare, "commit-tree", tree, "-p", "main", "-m", "Junk").strip()
    git(bare, "update-ref", "refs/heads/main", commit)


@pytest.mark.slow
def test_a_hundred_thousand_files_hide_neither_a_request_nor_its_answers(
    tmp_path: Path, reaches: Reaches
) -> None:
    port, asked, bare = made("file", tmp_path, reaches), request(), tmp_path / "meeting.git"
    port.ask(request=asked)
    given = signed(asked)
    put(bare, {f"requests/{asked.key}.x.json": given.model_dump_json()})
    flood(bare, (f"requests/{number:064}.json" for number in range(100_000)), b"junk")
    assert port.answers(key=asked.key) == (given,)
    with fetched(str(bare), "main", asked.key[:12]) as (_, file):
        assert read_request(file) == asked
        assert answer_files(file) == [file.with_name(f"{asked.key}.x.json")]
    with (
        pytest.raises(UsageError, match="NO_REQUEST") as caught,
        fetched(str(bare), "main", "f" * 12),
    ):
        pass
    assert len(str(caught.value)) < 1000


def test_a_flood_of_answers_is_refused_before_it_is_read(
    tmp_path: Path, reaches: Reaches, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, asked, bare = made("file", tmp_path, reaches), request(), tmp_path / "meeting.git"
    port.ask(request=asked)
    flood(bare, (f"requests/{asked.key}.{n}.json" for n in range(5_001)), b"junk")
    monkeypatch.setattr(Tree, "_blobs", lambda *_: pytest.fail("it is read"))
    refused("ANSWERS_TOO_MANY", lambda: port.answers(key=asked.key))


def test_large_files_where_people_meet_cost_little_memory(tmp_path: Path, reaches: Reaches) -> None:
    port, asked, bare = made("file", tmp_path, reaches), request(), tmp_path / "meeting.git"
    port.ask(request=asked)
    flood(bare, (f"requests/{asked.key}.{n}.json" for n in range(60)), b" " * (4 << 20))
    tracemalloc.start()
    try:
        found = port.answers(key=asked.key)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not any(one.signature for one in found)
    assert peak < 64 << 20
    flood(bare, (f"requests/{asked.key}.{n}.json" for n in range(3_000)), b" " * (1 << 20))
    refused("FILES_TOO_LARGE", lambda: port.answers(key=asked.key))


WEIGHED = """
import resource, sys
from pathlib import Path
from words_helpers import Reach, meeting
print(meeting(Path(sys.argv[1]), Reach()).answers(key="1" * 64))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.slow
def test_a_bomb_of_a_file_where_people_meet_costs_git_little_memory(
    tmp_path: Path, reaches: Reaches
) -> None:
    made("file", tmp_path, reaches).ask(request=request())
    bare = tmp_path / "meeting.git"
    flood(bare, [f"requests/{'1' * 64}.x.json"], bytes(200 << 20))
    git(bare, "config", "core.bigFileThreshold", "32m")  # only its reader is weighed
    child = subprocess.run(
        [sys.executable, "-c", WEIGHED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        check=True,
        capture_output=True,
        text=True,
    )
    said, kibibytes = child.stdout.splitlines()
    assert "bytes, more than" in said
    assert int(kibibytes) < 100 << 10


def test_evidence_with_the_last_number_is_said_and_does_not_swallow_what_follows(
    tmp_path: Path, reaches: Reaches
) -> None:
    port = made("file", tmp_path, reaches)
    put(tmp_path / "meeting.git", {f"evidence/{DONE.name}.9999.json": "theirs"})
    words = refused("EVIDENCE_FULL", lambda: port.testify(testimony=DONE))
    assert f"{DONE.name}.9999.json" in words


def test_a_meeting_place_whose_history_was_rewritten_is_added_to_as_it_is(
    tmp_path: Path, reaches: Reaches
) -> None:
    """Who may push there can take away what others said; nobody is believed for it."""
    port, asked, bare = made("file", tmp_path, reaches), request(), tmp_path / "meeting.git"
    port.ask(request=asked)
    put(bare, {f"requests/{asked.key}.x.json": signed(asked).model_dump_json()})
    assert len(port.answers(key=asked.key)) == 1
    git(bare, "update-ref", "-d", "refs/heads/main")
    theirs = put(bare, {f"requests/{asked.key}.json": "{}"})
    assert port.answers(key=asked.key) == ()
    port.ask(request=asked)
    port.testify(testimony=DONE)
    with fetched(str(bare), "main", asked.key) as (_, file):
        assert read_request(file) == asked
    assert git(bare, "rev-parse", "main~2").strip() == theirs, "nothing was forced"


def test_two_machines_that_add_at_once_lose_nothing(tmp_path: Path, reaches: Reaches) -> None:
    ports = [meeting(tmp_path, reaches["file"], f"copy{n}", roster=ROSTER) for n in range(2)]
    ports[0].testify(testimony=DONE)

    def add(number: int) -> int:
        lost = 0
        for n in range(5):
            given = DONE.model_copy(update={"name": f"n1-{number}-{n}"})
            while error := attempt(lambda given=given: ports[number].testify(testimony=given)):
                assert error.code in {"REMOTE_MOVED", "PUSH_REFUSED"}
                lost += 1
        return lost

    with ThreadPoolExecutor() as pool:
        list(pool.map(add, range(2)))
    assert len(commits(tmp_path / "meeting.git")) == 11
    for number in range(2):
        for n in range(5):
            assert ports[0].testimony(name=f"n1-{number}-{n}") is not None


def test_what_others_put_there_is_data_and_never_a_path(tmp_path: Path, reaches: Reaches) -> None:
    port = made("file", tmp_path, reaches)
    bare, asked = tmp_path / "meeting.git", request()
    given = signed(asked).model_dump_json()
    put(bare, {f"requests/{asked.key}.a\nb ;$(id).json": given})
    put(bare, {f"requests/{asked.key}.{'x' * 240}.json": given})
    put(bare, {f"requests/{asked.key}.big.json": b"x" * (5 << 20)})
    link = git(bare, "hash-object", "-w", "--stdin", given=b"/etc/passwd").strip()
    git(bare, "read-tree", "main")
    entry = f"120000,{link},requests/{asked.key}.link.json"
    git(bare, "update-index", "--add", "--cacheinfo", entry)
    tree = git(bare, "write-tree").strip()
    git(bare, "update-ref", "refs/heads/main", git(bare, "commit-tree", tree, "-m", "x").strip())
    found = port.answers(key=asked.key)
    assert [bool(one.signature) for one in found] == [True, True, False]
    assert "bytes, more than" in found[2].text


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("{", "EVIDENCE_INVALID"),
        ("[" * 100_000, "EVIDENCE_INVALID"),
        ("x" * 200_000, "EVIDENCE_INVALID"),
        (DONE.model_copy(update={"who": "Rika"}).model_dump_json(), "EVIDENCE_FOREIGN"),
        (DONE.model_copy(update={"name": "n1-other"}).model_dump_json(), "EVIDENCE_INVALID"),
        (json.dumps({**DONE.to_data(), "more": 1}), "EVIDENCE_INVALID"),
    ],
)
def test_evidence_that_is_none_is_refused_when_it_is_read(
    file: str, code: str, tmp_path: Path, reaches: Reaches
) -> None:
    port = made("file", tmp_path, reaches)
    put(tmp_path / "meeting.git", {"evidence/n1-store.0007.json": file})
    refused(code, lambda: port.testimony(name="n1-store"))
    port.testify(testimony=DONE)
    assert port.testimony(name="n1-store") == DONE


@REAL
def test_the_files_of_the_meeting_place_are_those_an_expert_works_with(
    form: str, tmp_path: Path, reaches: Reaches
) -> None:
    port = made(form, tmp_path, reaches)
    asked, key = request(), "n1-store"
    port.ask(request=asked)
    port.tell(nonce=key, subject=f"{ASKED}{key}", text="x", roles=("expert",))
    port.testify(testimony=DONE)
    bare = tmp_path / "meeting.git"
    names = git(bare, "ls-tree", "-r", "--name-only", "main").splitlines()
    assert names == [
        f"evidence/n1-store.0001-{digest_of(DONE.to_data())[:8]}.json",
        "messages/n1-store.json",
        f"requests/{asked.key}.json",
    ]
    assert set(git(bare, "log", "--format=%an <%ae>").splitlines()) == {f"{RM.name} <{RM.email}>"}


def test_a_message_that_is_altered_in_the_meeting_place_is_noticed(
    tmp_path: Path, reaches: Reaches
) -> None:
    port = made("file", tmp_path, reaches)
    put(tmp_path / "meeting.git", {"messages/n1-x.json": "{}"})
    refused("STATE_UNREADABLE", lambda: port.tell(nonce="n1-x", subject="s", text="t", roles=()))
