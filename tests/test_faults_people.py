"""What the port `People` makes of the faults of its meeting place and of GitHub's issues."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import toy
from faults import observed
from hostile import STRINGS
from services.faulty import Faulty, faulty
from services.github_standin import API_VERSION, TOKEN, github_standin
from services.sshd import sshd
from test_contract_people import DONE, ROSTER, request
from words_helpers import Reach, attempt, by_ssh, commits, hook, meeting, no_more_than, put

from relkit.adapters.git_file import Elsewhere
from relkit.adapters.issue_messages import LABEL, MARK, IssueMessages
from relkit.adapters.people import REQUESTS, MeetingPeople
from relkit.adapters.rest import Rest
from relkit.adapters.web import Web
from relkit.errors import ReleaseError, UsageError, WorldError

REPOSITORY = "python/release-messages"
PORT, MEETING = "People (messages)", "People (meeting)"
PATH = f"repos/{REPOSITORY}/issues"
TOLD: dict[str, object] = {
    "nonce": "n1-begin",
    "subject": "It begins",
    "text": "Please build.\n",
    "roles": ("expert",),
}


@dataclass
class Scene:
    """People whose messages are issues of a stand-in, behind a proxy; and their clock."""

    port: MeetingPeople
    issues: IssueMessages
    rest: Rest
    proxy: Faulty
    seconds: list[float] = field(default_factory=lambda: [0.0])

    def tell(self, **changes: object) -> None:
        self.port.tell(**{**TOLD, **changes})  # type: ignore[arg-type]  # a mapping for all

    def shown(self) -> list[dict[str, object]]:
        found = self.rest.get(PATH, {"labels": LABEL, "state": "all", "per_page": "100"}).value
        assert isinstance(found, list)
        return found


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    (folder / "github").mkdir()
    with github_standin(folder / "github") as url, faulty(url) as proxy:
        proxy.hold_seconds = 0.7

        def rest(address: str) -> Rest:
            headers = {"Authorization": f"Bearer {TOKEN}", "X-GitHub-Api-Version": API_VERSION}
            web = Web(address, (5.0, 30.0))
            return Rest("GitHub", web, headers=lambda: headers, secrets=lambda: (TOKEN,))

        seconds = [0.0]
        issues = IssueMessages(
            rest(proxy.url),
            repository=REPOSITORY,
            folder=folder / "sent",
            mentions={"Elif": "elif-on-github"},
            now=lambda: toy.NOW + timedelta(seconds=seconds[0]),
        )
        port = meeting(folder, Reach(), roster=ROSTER, issues=issues)
        yield Scene(port, issues, rest(url), proxy, seconds)


@pytest.mark.parametrize(
    ("fault", "code", "first"),
    [
        ("time-out before the effect", "SERVICE_UNKNOWN_STATE", "MESSAGE_PENDING"),
        ("time-out after the effect", "SERVICE_UNKNOWN_STATE", ""),
        ("connection cut in an upload", "SERVICE_UNKNOWN_STATE", "MESSAGE_PENDING"),
        ("401", "SERVICE_DENIED", ""),
        ("403", "SERVICE_DENIED", ""),
        ("404", "SERVICE_MISSING", ""),
        ("409", "SERVICE_CONFLICT", ""),
        ("429", "SERVICE_THROTTLED", ""),
        ("500 without effect", "SERVICE_UNKNOWN_STATE", "MESSAGE_PENDING"),
        ("500 with effect", "SERVICE_UNKNOWN_STATE", ""),
        ("HTML instead of JSON", "SERVICE_UNKNOWN_STATE", "MESSAGE_PENDING"),
        ("truncated body", "SERVICE_UNKNOWN_STATE", ""),
    ],
)
def test_a_message_whose_sending_fails_is_looked_for_and_never_sent_twice(
    fault: str, code: str, first: str, tmp_path: Path
) -> None:
    with scene(tmp_path) as at:
        at.proxy.next(fault, method="POST")
        error = attempt(at.tell)
        assert error is not None
        assert TOKEN not in str(error)
        effects = len(at.shown())
        soon = attempt(at.tell)
        assert (soon.code if soon else "") == first
        at.seconds[0] = 100.0
        again = attempt(at.tell)
        row = observed(
            PORT,
            fault,
            error,
            effects=effects,
            after=again,
            effects_after=len(at.shown()),
        )
        assert (row.code, row.after) == (code, "done")
        assert at.port.told(nonce="n1-begin")


def test_a_list_that_is_stale_does_not_make_a_second_message(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        assert not at.issues.told("n1-begin")
        at.proxy.next("500 with effect", method="POST")
        at.proxy.next("stale cache for three cycles", method="GET", times=3, skip=1)
        error = attempt(at.tell)
        soon = [attempt(at.tell) for _ in range(3)]
        assert [one.code if one else "" for one in soon] == ["MESSAGE_PENDING"] * 3
        at.seconds[0] = 100.0
        again = attempt(at.tell)
        observed(
            PORT,
            "stale cache for three cycles",
            error,
            effects=1,
            after=again,
            effects_after=len(at.shown()),
        )


@pytest.mark.parametrize("skew", [-7200.0, 7200.0])
def test_a_clock_that_jumps_does_not_make_a_second_message(skew: float, tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        at.proxy.next("500 with effect", method="POST")
        error = attempt(at.tell)
        at.seconds[0] = skew
        again = attempt(at.tell)
        effects = len(at.shown())
        observed(PORT, "clock skew", error, effects=1, after=again, effects_after=effects)


def test_a_killed_run_that_had_sent_a_message_finds_it(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        at.tell()
        next((tmp_path / "sent").glob("*.json")).unlink()
        assert at.port.told(nonce="n1-begin")
        at.tell()
        assert len(at.shown()) == 1


def test_words_in_a_message_neither_mention_nor_render_nor_command(tmp_path: Path) -> None:
    words = "@all\n/close\nfixes #1\n<b>x</b>\n````\n```\n![x](y)"
    with scene(tmp_path) as at:
        at.tell(text=words, subject="@elif <b>\n/close", roles=("expert", "@root"))
        [made] = at.shown()
    head, fence, rest = str(made["body"]).partition("`````text\n")
    inside, end, mentions = rest.partition("\n`````\n")
    assert (head, mentions) == (f"{MARK}n1-begin\n\n", "\n@elif-on-github\n")
    assert fence
    assert end
    assert all(line.startswith("|") for line in inside.split("\n"))
    assert str(made["title"]) == "relkit: @elif <b> /close"


def test_an_issue_that_only_speaks_of_a_message_is_none(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        for body in (f"see {MARK}n1-begin", f"> {MARK}n1-begin", f"{MARK}n1-begin-2", ""):
            fields = {"title": "x", "body": body, "labels": [LABEL]}
            at.rest.write("POST", PATH, fields)
        assert not at.issues.told("n1-begin")


@pytest.mark.slow
def test_hostile_words_in_a_message_stay_words(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        for number, word in enumerate(STRINGS):
            tell = partial(at.tell, nonce=f"n1-{number}", subject=word, text=word, roles=(word,))
            error = attempt(tell)
            assert error is None or error.code == "BAD_TEXT"
            error = attempt(partial(at.issues.told, word))
            assert error is None or error.code == "BAD_NAME"
        for one in at.shown():
            lines = str(one["body"]).split("\n")
            assert all(line.startswith(("|", "`", MARK)) or not line for line in lines)


@pytest.mark.parametrize("name", ["", "a/b", "-x", "a b", "@x", "x" * 50])
def test_a_mention_that_is_no_name_on_github_is_refused(name: str, tmp_path: Path) -> None:
    rest = Rest("GitHub", Web("http://127.0.0.1:9/"))
    with pytest.raises(UsageError, match="BAD_NAME"):
        IssueMessages(rest, repository=REPOSITORY, folder=tmp_path, mentions={"Elif": name})
    with pytest.raises(UsageError, match="BAD_NAME"):
        IssueMessages(rest, repository=f"a/b/{name}/c", folder=tmp_path)


# --- the meeting place -------------------------------------------------------------------------


def deeds(port: MeetingPeople) -> dict[str, Callable[[], None]]:
    return {
        "Ask": partial(port.ask, request=request()),
        "Evidence": partial(port.testify, testimony=DONE),
    }


@pytest.mark.parametrize("deed", ["Ask", "Evidence"])
@pytest.mark.parametrize(
    ("fault", "where", "script", "code"),
    [
        ("time-out before the effect", "pre-receive", "sleep 3; exit 1", "GIT_TIMEOUT"),
        ("time-out after the effect", "post-receive", "sleep 3", ""),
        ("connection cut in an upload", "pre-receive", "kill -9 $PPID", "PUSH_REFUSED"),
        ("403", "pre-receive", "echo protected >&2; exit 1", "PUSH_REFUSED"),
        ("500 without effect", "pre-receive", "exit 1", "PUSH_REFUSED"),
        ("500 with effect", "post-receive", "kill -9 $PPID", ""),
        (
            "disk full on the server",
            "pre-receive",
            "echo No space left >&2; exit 1",
            "PUSH_REFUSED",
        ),
    ],
)
def test_what_is_put_into_the_meeting_place_is_there_once_or_refused(  # noqa: PLR0913, PLR0917 (a row of the table)
    fault: str,
    where: str,
    script: str,
    code: str,
    deed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = meeting(tmp_path, Reach(), roster=ROSTER)
    bare = tmp_path / "meeting.git"
    put(bare, {"README": "Meet here."})
    do = deeds(port)[deed]

    def effects() -> int:
        return sum(one.startswith(deed) for one in commits(bare))

    with monkeypatch.context() as quick, hook(bare, where, script):
        if fault.startswith("time-out"):
            no_more_than(quick, 1.5)
        error = attempt(do)
    first, again = effects(), attempt(do)
    row = observed(MEETING, fault, error, effects=first, after=again, effects_after=effects())
    assert (row.code, row.after) == (code, "done")


def test_a_meeting_place_that_moves_gets_the_file_on_top(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = meeting(tmp_path, Reach(), roster=ROSTER)
    bare, move, left = tmp_path / "meeting.git", Elsewhere.move, [1]

    def moved(self: Elsewhere, old: str | None, new: str) -> object:
        if left:
            put(bare, {f"other-{left.pop()}": "x"})
        return move(self, old, new)

    monkeypatch.setattr(Elsewhere, "move", moved)
    error = attempt(lambda: port.testify(testimony=DONE))
    effects = len(commits(bare)) - 1
    observed(MEETING, "remote branch moved", error, effects=effects)
    assert port.testimony(name=DONE.name) == DONE


def test_a_request_lies_where_it_belongs_whatever_somebody_put_there(tmp_path: Path) -> None:
    port = meeting(tmp_path, Reach(), roster=ROSTER)
    bare, asked = tmp_path / "meeting.git", request()
    put(bare, {f"{REQUESTS}/{asked.key}.json": "theirs"})
    error = attempt(lambda: port.ask(request=asked))
    effects = sum(one.startswith("Ask") for one in commits(bare))
    observed(MEETING, "another person's file in the way", error, effects=effects)
    assert error is None


def test_a_meeting_place_that_is_away_gets_it_later(tmp_path: Path) -> None:
    port = meeting(tmp_path, Reach(), roster=ROSTER)
    bare = tmp_path / "meeting.git"
    put(bare, {"README": "Meet here."})
    aside = bare.rename(tmp_path / "aside.git")
    error = attempt(lambda: port.testify(testimony=DONE))
    aside.rename(bare)
    again = attempt(lambda: port.testify(testimony=DONE))
    effects = len(commits(bare)) - 1
    row = observed(MEETING, "404", error, effects=0, after=again, effects_after=effects)
    assert (row.code, row.after) == ("REMOTE_UNREACHABLE", "done")


@pytest.mark.slow
def test_who_may_not_sign_in_at_the_meeting_place_is_told_so(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd") as server:
        port = meeting(tmp_path, by_ssh(server, tmp_path / "ssh"), roster=ROSTER)
        put(tmp_path / "meeting.git", {"README": "Meet here."})
        keys = server.root / "keys" / server.me.name
        kept = keys.read_bytes()
        keys.write_bytes(b"")
        error = attempt(lambda: port.testify(testimony=DONE))
        keys.write_bytes(kept)
        again = attempt(lambda: port.testify(testimony=DONE))
    effects = len(commits(tmp_path / "meeting.git")) - 1
    row = observed(MEETING, "401", error, effects=0, after=again, effects_after=effects)
    assert (row.code, row.after) == ("REMOTE_UNREACHABLE", "done")


@pytest.mark.slow
def test_t42_a_meeting_place_with_another_host_key_is_not_spoken_to(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd") as server:
        port = meeting(tmp_path, by_ssh(server, tmp_path / "ssh"), roster=ROSTER)
        put(tmp_path / "meeting.git", {"README": "Meet here."})
        right = server.key_file
        server.change_key()
        errors = [attempt(do) for do in deeds(port).values()]
        errors += [attempt(lambda: port.answers(key="1" * 64))]
        assert len(commits(tmp_path / "meeting.git")) == 1
        server.stop()
        server.key_file = right
        server.start()
        again = attempt(deeds(port)["Ask"])
        effects = len(commits(tmp_path / "meeting.git")) - 1
    assert [one.code if one else "" for one in errors] == ["HOSTKEY"] * 3
    row = observed(
        MEETING,
        "changed host key",
        errors[0],
        effects=0,
        after=again,
        effects_after=effects,
    )
    assert row.after == "done"


def test_another_message_under_the_same_name_is_not_overwritten(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        at.tell()
        errors: list[ReleaseError | None] = [attempt(lambda: at.tell(text="x")) for _ in range(2)]
        observed(
            PORT,
            "another person's file in the way",
            errors[0],
            effects=len(at.shown()),
            after=errors[1],
        )
    assert isinstance(errors[0], WorldError)
    assert errors[0].code == "SENT_DIFFERENTLY"
