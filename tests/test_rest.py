"""Calls to services that speak JSON: every answer is checked, no write is tried twice."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hostile import STRINGS
from services import contracts
from services.faulty import Faulty, faulty

from relkit.adapters.github import API_VERSION, checked, pages, told
from relkit.adapters.github import Told as _Told
from relkit.adapters.rest import Answer, Method, Rest, UnknownStateError, segment
from relkit.adapters.web import Web, chunks
from relkit.errors import ReleaseError, UsageError, WorldError


class Row(_Told):
    id: int


@contextmanager
def service(answers: Callable[[str, str], tuple[int, dict[str, str], bytes]]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
            pass

        def handle_any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, body = answers(self.command, self.path)
            self.send_response_only(status)
            for name, text in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 (as the base class calls them)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def proxy() -> Iterator[Faulty]:
    def answer(method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        if path.startswith("/secret"):
            return 400, {}, b'{"message": "what is hunter2"}'
        if path.startswith("/moved"):
            return 302, {"Location": "http://127.0.0.1:1/"}, b""
        return (204, {}, b"") if method == "DELETE" else (200, {}, b'{"id": 1}')

    with service(answer) as url, faulty(url) as made:
        yield made


@pytest.fixture
def rest(proxy: Faulty) -> Rest:
    proxy.clear()
    proxy.calls.clear()
    web = Web(proxy.url, timeout_seconds=(5.0, 0.5))
    return Rest("Somewhere", web, secrets=lambda: ("hunter2",), wait=lambda _: None)


REFUSED = {
    "401": "DENIED",
    "403": "DENIED",
    "404": "MISSING",
    "409": "CONFLICT",
    "429": "THROTTLED",
}
UNKNOWN = (
    "time-out before the effect",
    "time-out after the effect",
    "connection cut in an upload",
    "500 without effect",
    "500 with effect",
    "HTML instead of JSON",
    "truncated body",
)


@pytest.mark.parametrize(("fault", "code"), REFUSED.items())
def test_what_was_refused_was_not_done(rest: Rest, proxy: Faulty, fault: str, code: str) -> None:
    proxy.next(fault)
    with pytest.raises(WorldError, match=f"SERVICE_{code}") as caught:
        rest.write("POST", "x", {"a": "b"})
    assert not isinstance(caught.value, UnknownStateError)
    assert (len(proxy.calls), proxy.effects()) == (1, 0)


@pytest.mark.parametrize("fault", UNKNOWN)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_what_was_not_answered_well_may_have_been_done(
    rest: Rest, proxy: Faulty, method: Method, fault: str
) -> None:
    if (method, fault) == ("DELETE", "connection cut in an upload"):
        fault = "HTML instead of JSON"  # nothing is uploaded
    proxy.next(fault, effect=True)
    with pytest.raises(UnknownStateError, match="SERVICE_UNKNOWN_STATE"):
        rest.write(method, "x", {"a": "b"})
    assert len(proxy.calls) == 1


def test_a_write_is_answered(rest: Rest) -> None:
    assert rest.write("POST", "x", {}).value == {"id": 1}
    answer = rest.write("DELETE", "x")
    assert (answer.status, answer.value, answer.blank) == (204, None, True)


def test_a_write_that_is_throttled_is_not_repeated(rest: Rest, proxy: Faulty) -> None:
    proxy.next("429", headers={"Retry-After": "1"})
    with pytest.raises(WorldError, match="SERVICE_THROTTLED") as caught:
        rest.write("POST", "x", {})
    assert "in 1 seconds" in caught.value.remedy
    assert len(proxy.calls) == 1


@pytest.mark.parametrize(("seconds", "calls"), [("1", 2), ("60", 2), ("61", 1), ("0", 1), ("x", 1)])
def test_a_read_waits_for_a_minute_at_most_and_once(
    rest: Rest, proxy: Faulty, seconds: str, calls: int
) -> None:
    proxy.next("429", times=2, headers={"Retry-After": seconds})
    with pytest.raises(WorldError, match="SERVICE_THROTTLED"):
        rest.get("x")
    assert len(proxy.calls) == calls


DATE = "Sat, 21 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (200, {"retry-after": "9"}, None),
        (403, {}, None),
        (403, {"retry-after": "9"}, 9),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795262430"}, 30),
        (403, {"x-ratelimit-remaining": "7", "x-ratelimit-reset": "1795262430"}, None),
        (429, {}, 0),
        (429, {"retry-after": "Sat, 21 Nov 2026 12:00:20 GMT"}, 20),
        (429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}, 0),
        (429, {"retry-after": "soon"}, 0),
    ],
)
def test_how_long_a_service_wants_to_be_left_alone_is_by_its_own_clock(
    status: int, headers: dict[str, str], seconds: int | None
) -> None:
    answer = Answer(status, "", None, {"date": DATE, **headers})
    assert answer.throttled_seconds() == seconds


def test_a_redirect_is_not_followed(rest: Rest) -> None:
    with pytest.raises(WorldError, match="SERVICE_REDIRECT"):
        rest.get("moved")
    with pytest.raises(WorldError, match="SERVICE_REDIRECT"):
        rest.write("POST", "moved", {})


def test_a_secret_that_a_service_repeats_is_in_no_message(rest: Rest) -> None:
    with pytest.raises(WorldError, match=r"what is \[secret\]") as caught:
        rest.get("secret")
    assert "hunter2" not in str(caught.value)


def test_nothing_there_is_none_only_if_the_service_says_so(rest: Rest, proxy: Faulty) -> None:
    proxy.next("404", times=3)
    assert rest.find("x") is None
    assert rest.find("x", saying="injected") is None
    with pytest.raises(WorldError, match="SERVICE_MISSING"):
        rest.find("x", saying="Branch not protected")


def test_a_part_of_a_path_stays_one(rest: Rest, proxy: Faulty) -> None:
    for text in STRINGS:
        try:
            part = segment(text)
        except UsageError as error:
            assert error.code == "BAD_NAME"  # noqa: PT017 (not all are refused)
            continue
        assert part.isascii()
        assert not set(part) & set("/?#\\ \r\n")
        assert part not in {"", ".", ".."}
    rest.get(f"x/{segment('a/b?c')}")
    assert proxy.calls[-1].path == "/x/a%2Fb%3Fc"


# --- lists ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "complete"),
    [
        ([([1, 2], True), ([3], False)], True),
        ([([1, 2], True), ([2, 3], False)], False),  # it moved meanwhile
        ([([1], True), ([], True)], False),  # it does not end
        ([([], False)], True),
    ],
)
def test_a_list_is_whole_or_says_that_it_is_not(
    given: list[tuple[list[int], bool]], *, complete: bool
) -> None:
    def answer(_method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        number = int(path.rpartition("&page=")[2]) if "&page=" in path else 1
        rows, more = given[number - 1]
        link = {"Link": f'<https://elsewhere.invalid/?page={number + 1}>; rel="next"'}
        body = json.dumps([{"id": one} for one in rows]).encode()
        return 200, link if more else {}, body

    with service(answer) as url:
        listed = pages(Rest("Somewhere", Web(url)), "rows", Row)
    assert listed.complete == complete


def test_a_count_that_is_another_one_is_seen() -> None:
    body = b'{"total_count": 2, "rows": [{"id": 1}]}'
    with service(lambda *_: (200, {}, body)) as url:
        assert not pages(Rest("Somewhere", Web(url)), "rows", Row, within="rows").complete


@pytest.mark.parametrize("value", [None, [], {}, {"id": "1"}, {"id": 1.5}, {"id": None}, "id"])
def test_what_has_another_shape_is_not_read(rest: Rest, value: object) -> None:
    with pytest.raises(WorldError, match="SERVICE_UNREADABLE"):
        told(rest, Row, value, "GET x answered 200")


def test_names_have_the_form_they_must_have() -> None:
    from relkit.adapters.github import BRANCH, FULL_ID, LABEL  # noqa: PLC0415 (for this one)

    assert checked("needs backport to 3.15", LABEL, "label")
    assert checked("3.15", BRANCH, "branch")
    for text in ("a,b", "a\n", "", "-x", "a" * 51):
        with pytest.raises(ReleaseError, match="BAD_NAME"):
            checked(text, LABEL, "label")
    with pytest.raises(ReleaseError, match="BAD_NAME"):
        checked("A" * 40, FULL_ID, "commit")


# --- the description ------------------------------------------------------------------------------


def test_a_slice_has_what_its_paths_lead_to_and_no_more() -> None:
    leaf = {"type": "string"}
    whole: dict[str, Any] = {
        "openapi": "3.0.3",
        "info": {},
        "servers": [],
        "paths": {"/a": {"$ref": "#/components/schemas/A"}, "/b": {}},
        "components": {
            "schemas": {
                "A": {"items": [{"$ref": "#/components/schemas/B"}]},
                "B": {"$ref": "#/components/schemas/A"},
                "C": leaf,
            }
        },
    }
    part = contracts.sliced(whole, ["/a"])
    assert set(part["paths"]) == {"/a"}
    assert set(part["components"]["schemas"]) == {"A", "B"}
    with pytest.raises(KeyError):
        contracts.sliced(whole, ["/gone"])


def test_packages_are_pinned_by_digest() -> None:
    lock = json.loads((Path(contracts.HERE) / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert packages
    assert all(one["integrity"].startswith("sha512-") for one in packages.values())
    assert not any(one.get("hasInstallScript") for one in packages.values())


def test_the_stand_in_and_the_adapter_speak_of_one_version() -> None:
    from services import github_standin  # noqa: PLC0415 (for this one)

    assert github_standin.API_VERSION == API_VERSION


def answering(
    status: int, headers: dict[str, str], body: bytes
) -> Iterator[tuple[Rest, list[str]]]:
    """Give the interface to a service that always answers the same, and what is told of it."""
    notes: list[str] = []
    with service(lambda _method, _path: (status, headers, body)) as url:
        denied = partial(notes.append, "denied")
        yield Rest("X", Web(url), denied=denied, wait=lambda _: notes.append("waited")), notes


def test_a_second_limit_that_is_told_in_words_only_takes_no_key_away() -> None:
    """GitHub answers 403 as to those who may not; the token is good, and is not to be renewed."""
    body = b'{"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}'
    for rest, notes in answering(403, {}, body):
        with pytest.raises(WorldError, match="SERVICE_THROTTLED"):
            rest.get("x")
        with pytest.raises(WorldError, match="SERVICE_THROTTLED") as caught:
            rest.write("POST", "x")
        assert notes == ["waited"]
        assert "60 seconds" in caught.value.remedy


def test_a_page_to_sign_in_is_a_refusal_of_the_key_for_readers_only() -> None:
    """Azure answers 203 to an expired key; of a write a page proves nothing."""
    for rest, notes in answering(203, {"Content-Type": "text/html"}, b"<html>Sign in</html>"):
        with pytest.raises(WorldError, match="SERVICE_DENIED"):
            rest.get("x")
        assert notes == ["denied"]
        with pytest.raises(UnknownStateError):
            rest.write("POST", "x")


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 -2359", "x", "1", ""])
def test_a_date_that_is_none_is_not_tripped_over(date: str) -> None:
    for rest, _ in answering(429, {"Date": date, "Retry-After": date}, b"{}"):
        answer = rest.ask("GET", "x")
        assert answer.time is None
        assert answer.throttled_seconds() in {0, 1}


def test_where_a_call_is_sent_on_to_is_told_and_not_gone_to() -> None:
    for rest, _ in answering(302, {"Location": "https://elsewhere.invalid/x"}, b""):
        assert rest.lead("x") == "https://elsewhere.invalid/x"
    for status, code in ((200, "UNREADABLE"), (404, "MISSING"), (410, "GONE"), (500, "FAILED")):
        for rest, _ in answering(status, {}, b"{}"):
            with pytest.raises(WorldError, match=f"SERVICE_{code}"):
                rest.lead("x")


def test_a_next_page_at_no_address_is_not_tripped_over() -> None:
    for rest, _ in answering(200, {"Link": '<https://[?page=2>; rel="next"'}, b'[{"id": 1}]'):
        assert not pages(rest, "x", Row).complete


def test_what_has_come_is_given_before_the_rest_is_there() -> None:
    """Whoever reads has a deadline, which it meets only between two chunks."""
    seen = threading.Event()

    class Slow(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
            pass

        def do_GET(self) -> None:
            self.send_response_only(200)
            self.end_headers()
            self.wfile.write(b"a")
            seen.wait(20)
            self.wfile.write(b"b")

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        web = Web(f"http://127.0.0.1:{server.server_address[1]}")
        with web.request("GET", "x") as response:
            parts = chunks(response)
            first = next(parts)
            seen.set()
            assert (first, b"".join(parts)) == (b"a", b"b")
        server.shutdown()


def test_an_answer_that_drips_is_given_up_by_readers_and_proves_nothing_to_writers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, begun = [0.0], threading.Event()

    class Dripping(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
            pass

        def do_GET(self) -> None:
            self.send_response_only(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            begun.wait(30)
            with suppress(OSError):  # who asked has heard enough
                for byte in b" " * 1000 + b"{}":
                    now[0] += 100
                    self.wfile.write(bytes([byte]))

        do_POST = do_GET  # noqa: N815 (as the base class calls it)

    def clock() -> float:
        begun.set()
        return now[0]

    monkeypatch.setattr("relkit.adapters.web.monotonic", clock)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dripping) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        rest = Rest("Somewhere", Web(f"http://127.0.0.1:{server.server_address[1]}"))
        with pytest.raises(WorldError, match=r"SERVICE_UNREACHABLE.*after 300 seconds"):
            rest.get("x")
        begun.clear()
        with pytest.raises(UnknownStateError, match="after 300 seconds"):
            rest.write("POST", "x")
        server.shutdown()
