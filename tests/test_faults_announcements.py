"""What the port `Announcements` makes of the faults of git remotes and of sites with posts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from faults import observed
from services.faulty import faulty
from services.sshd import sshd
from words_helpers import (
    Reach,
    announcements,
    attempt,
    by_ssh,
    commits,
    hook,
    no_more_than,
    put,
)

from relkit.adapters.git_file import Elsewhere
from relkit.adapters.posts import HOPS, Posts, plain
from relkit.errors import ReleaseError
from relkit.texts.links import leads_to

PORT = "Announcements (git)"
SUBJECT = "Python 3.15.0b1 is released"
PAGE = "<p>Python 3.15.0b1</p><script>no()</script><a href='https://www.python.org/x/'>Get it</a>"


def effects(folder: Path) -> int:
    return commits(folder / "peps.git").count(SUBJECT)


@pytest.mark.parametrize(
    ("fault", "where", "script", "code"),
    [
        ("time-out before the effect", "pre-receive", "sleep 3; exit 1", "GIT_TIMEOUT"),
        ("time-out after the effect", "post-receive", "sleep 3", ""),
        ("connection cut in an upload", "pre-receive", "kill -9 $PPID", "PUSH_REFUSED"),
        ("403", "pre-receive", "echo protected branch >&2; exit 1", "PUSH_REFUSED"),
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
def test_a_push_that_fails_says_so_unless_it_was_done_and_is_never_done_twice(
    fault: str,
    where: str,
    script: str,
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = announcements(tmp_path, Reach())
    record = partial(port.record_release, series="3.15", version="3.15.0b1", day="2026-05-07")
    with monkeypatch.context() as quick, hook(tmp_path / "peps.git", where, script):
        if fault.startswith("time-out"):
            no_more_than(quick, 1.5)
        error = attempt(record)
    first = effects(tmp_path)
    again = attempt(record)
    row = observed(PORT, fault, error, effects=first, after=again, effects_after=effects(tmp_path))
    assert row.code == code
    assert row.after == "done"
    assert port.recorded_release(series="3.15", version="3.15.0b1") == "2026-05-07"


@pytest.mark.parametrize(("times", "code"), [(1, ""), (2, "REMOTE_MOVED")])
def test_a_branch_that_moves_gets_the_edit_on_top_once_and_is_then_left_alone(
    times: int, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = announcements(tmp_path, Reach())
    left = list(range(times))
    move = Elsewhere.move

    def moved(self: Elsewhere, old: str | None, new: str) -> object:
        if left:
            put(tmp_path / "peps.git", {f"other-{left.pop()}": "x"})
        return move(self, old, new)

    monkeypatch.setattr(Elsewhere, "move", moved)
    record = partial(port.record_release, series="3.15", version="3.15.0b1", day="2026-05-07")
    error, first = attempt(record), effects(tmp_path)
    again = attempt(record)
    row = observed(
        PORT,
        "remote branch moved",
        error,
        effects=first,
        after=again,
        effects_after=effects(tmp_path),
    )
    assert row.code == code
    assert commits(tmp_path / "peps.git").count("Somebody else's") == 1 + times


def test_another_hand_in_the_blog_is_left_as_it_is(tmp_path: Path) -> None:
    port = announcements(tmp_path, Reach())
    path = "content/posts/python-3150b1/index.md"
    put(tmp_path / "blog.git", {path: "theirs"}, "release")
    draft = partial(port.draft, channel="blog", text="mine")
    error, again = attempt(draft), attempt(draft)
    row = observed(
        PORT, "another person's file in the way", error, effects=0, after=again, effects_after=0
    )
    assert (row.code, row.after) == ("DRAFT_CHANGED", "DRAFT_CHANGED")
    assert port.drafted(channel="blog") == "theirs"


@pytest.mark.slow
def test_t42_a_changed_host_key_stops_all_before_anything_is_said(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd") as server:
        port = announcements(tmp_path, by_ssh(server, tmp_path / "ssh"))
        record = partial(port.record_release, series="3.15", version="3.15.0b1", day="2026-05-07")
        right = server.key_file
        server.change_key()
        error, first = attempt(record), effects(tmp_path)
        server.stop()
        server.key_file = right
        server.start()
        again = attempt(record)
        row = observed(
            PORT,
            "changed host key",
            error,
            effects=first,
            after=again,
            effects_after=effects(tmp_path),
        )
    assert (row.code, row.after) == ("HOSTKEY", "done")


@pytest.mark.parametrize("call", ["status", "draft"])
def test_a_remote_that_is_not_there_is_named_with_its_address(call: str, tmp_path: Path) -> None:
    port = announcements(tmp_path, Reach())
    for name in ("peps.git", "blog.git"):
        (tmp_path / name).rename(tmp_path / f"{name}.away")
    calls: dict[str, Callable[[], object]] = {
        "status": lambda: port.status(series="3.15"),
        "draft": lambda: port.draft(channel="blog", text="x"),
    }
    error = attempt(calls[call])
    assert error is not None
    assert error.code == "REMOTE_UNREACHABLE"
    assert str(tmp_path) in str(error)


def test_what_cannot_be_written_where_nothing_is_is_written_later(tmp_path: Path) -> None:
    port = announcements(tmp_path, Reach())
    record = partial(port.record_release, series="3.15", version="3.15.0b1", day="2026-05-07")
    aside = (tmp_path / "peps.git").rename(tmp_path / "aside.git")
    error = attempt(record)
    aside.rename(tmp_path / "peps.git")
    first, again = effects(tmp_path), attempt(record)
    row = observed(PORT, "404", error, effects=first, after=again, effects_after=effects(tmp_path))
    assert (row.code, row.after) == ("REMOTE_UNREACHABLE", "done")


@pytest.mark.slow
def test_who_may_not_sign_in_is_told_so(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd") as server:
        port = announcements(tmp_path, by_ssh(server, tmp_path / "ssh"))
        record = partial(port.record_release, series="3.15", version="3.15.0b1", day="2026-05-07")
        keys = server.root / "keys" / server.me.name
        kept = keys.read_bytes()
        keys.write_bytes(b"")
        error = attempt(record)
        keys.write_bytes(kept)
        first, again = effects(tmp_path), attempt(record)
    row = observed(PORT, "401", error, effects=first, after=again, effects_after=effects(tmp_path))
    assert (row.code, row.after) == ("REMOTE_UNREACHABLE", "done")


# --- posts -------------------------------------------------------------------------------------


class Site(BaseHTTPRequestHandler):
    """A post at ``/t/1``; a redirect to it at ``/t/to/…``; all kinds of things elsewhere."""

    def do_GET(self) -> None:
        status, headers, body = 200, {"Content-Type": "text/html; charset=utf-8"}, PAGE.encode()
        if self.path.startswith("/t/to/"):
            status, headers["Location"] = 302, self.path.removeprefix("/t/to")
        elif self.path == "/t/away":
            status, headers["Location"] = 302, "https://evil.example/t/1"
        elif self.path == "/t/long":
            body = b"x" * 4_000_001
        elif self.path == "/t/latin":
            body = b"\xe9"
        elif self.path == "/t/image":
            headers["Content-Type"] = "image/png"
        elif self.path == "/t/plain":
            headers["Content-Type"], body = "text/plain", b"<p>as it is"
        assert "Authorization" not in self.headers
        assert "Cookie" not in self.headers
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_post_is_read_as_text_with_where_its_links_lead(site: str) -> None:
    posts = Posts((f"{site}/t/",))
    for path in ("1", "to/t/1", "to/t/to/t/1"):
        assert posts.text(f"{site}/t/{path}") == (
            "Python 3.15.0b1Get it (https://www.python.org/x/)"
        )
    assert posts.text(f"{site}/t/plain") == "<p>as it is"


GET = "https://www.python.org/downloads/release/python-3150b1/"


@pytest.mark.parametrize(
    ("page", "leads"),
    [
        (f'<a href="{GET}">Get it</a>', True),
        (f'<a href="{GET}">{GET}</a>', True),
        (f"<p>Get it: {GET}.</p>", True),
        (f'<a href="{GET.replace("p", "&#112;")}">Get it</a>', True),
        (f'<a href="https://evil.example/">{GET}</a>', False),
        (f'<a href="https://evil.example/">at <b>{GET}</b></a>', False),
        (f'<a href="https://evil.example/?to={GET}">Get it</a>', False),
        (f'<a href="{GET.replace("https", "http")}">Get it</a>', False),
        (f'<a href="{GET.replace("www.", "www.&#8203;")}">Get it</a>', False),
        (f'<a href="{GET.replace("python.org", "pythOn.org")}">Get it</a>', False),
        (f'<a href="{GET}../python-3150a7/">Get it</a>', False),
        (f'<a href="{GET.replace("3150b1", "3150b10")}">Get it</a>', False),
        (f'<template><a href="{GET}">Get it</a></template>', False),
        (f"<script>{GET}</script><!-- {GET} -->", False),
    ],
)
def test_t49_a_post_leads_where_its_links_do_whatever_their_words_say(
    page: str,
    leads: bool,  # noqa: FBT001 (a column of the table)
) -> None:
    assert leads_to(plain(page), GET) is leads


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/t/away", "POST_PLACE"),
        ("/t/to/other", "POST_PLACE"),
        ("/t/to" * (HOPS + 1) + "/t/1", "POST_UNREADABLE"),
        ("/t/long", "TOO_LARGE"),
        ("/t/latin", "POST_UNREADABLE"),
        ("/t/image", "POST_UNREADABLE"),
        ("/t/../1", "POST_PLACE"),
        ("/t/%2e%2e/1", "POST_PLACE"),
        ("/t/1?x", "POST_PLACE"),
        ("/t/1#x", "POST_PLACE"),
        ("/t/1\r\nHost: x", "POST_PLACE"),
        ("/other", "POST_PLACE"),
        (".evil.example/t/", "POST_PLACE"),
    ],
)
def test_an_address_or_an_answer_that_is_none_of_a_post_is_refused(
    path: str, code: str, site: str
) -> None:
    error = attempt(lambda: Posts((f"{site}/t/",)).text(f"{site}{path}"))
    assert error is not None
    assert error.code == code


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("401", "POST_UNREADABLE"),
        ("403", "POST_UNREADABLE"),
        ("404", ""),
        ("409", "POST_UNREADABLE"),
        ("429", "POST_UNREADABLE"),
        ("500 without effect", "POST_UNREADABLE"),
        ("truncated body", "SITE_UNREACHABLE"),
        ("stale cache for three cycles", ""),
        ("time-out before the effect", "SITE_UNREACHABLE"),
    ],
)
def test_a_post_that_cannot_be_read_is_neither_there_nor_not_there(
    fault: str, code: str, site: str
) -> None:
    with faulty(site) as proxy:
        proxy.hold_seconds = 0.5
        posts = Posts((f"{proxy.url}/t/",), (5.0, 30.0))
        found: list[str | None] = []
        proxy.next(fault)
        error = attempt(lambda: found.append(posts.text(f"{proxy.url}/t/1")))
        assert (error.code if error else "") == code
        assert error is not None or found == [None]
        proxy.clear()
        assert posts.text(f"{proxy.url}/t/1")
    if error is not None:
        observed("Announcements (posts)", fault, error, effects=0, effects_after=1)


@pytest.mark.parametrize("page", ["<" * 9999, "</a></p>", "<a href=x", "<![CDATA[", "<!", "&#0;"])
def test_no_page_breaks_the_reader(page: str) -> None:
    with nullcontext():
        assert isinstance(plain(page), str)


def test_refusals_have_their_code() -> None:
    assert isinstance(attempt(lambda: Posts(()).text("https://discuss.python.org/")), ReleaseError)
