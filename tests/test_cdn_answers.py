"""What a network may answer on a bad day, byte by byte: nothing of it is taken for the file."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import re
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from cdns import accept, artifact, at_once, carry_out

from relkit.adapters.cdn import CdnSite
from relkit.adapters.public import PublicSite
from relkit.adapters.purge_notes import Clocks
from relkit.adapters.stranger import Stranger, Visit
from relkit.errors import WorldError

FILE, PAGE = "/ftp/python/3.15.0/Python-3.15.0.tgz", "/downloads/"
DATA = b"the file " * 999
TRUTH = len(DATA), hashlib.sha256(DATA).hexdigest()
OTHER = "http://127.0.0.1:9/elsewhere"
KEY = "a-key-that-nobody-sees"
Answers = Callable[[str, str], Iterable[bytes]]
"""What is answered, piece by piece, to a method and the headers."""


@contextmanager
def saying(answers: Answers) -> Iterator[str]:
    """Serve on loopback; each connection is for one answer."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            method = self.rfile.readline().decode().partition(" ")[0]
            headers = "".join(line.decode() for line in iter(self.rfile.readline, b"\r\n"))
            with contextlib.suppress(OSError):  # who asked has heard enough
                for piece in answers(method, headers):
                    self.wfile.write(piece)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def head(status: int = 200, **headers: object) -> bytes:
    lines = [f"HTTP/1.1 {status} So", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def always(*pieces: bytes) -> Answers:
    """Purge whatever is asked for, and answer the rest so."""

    def answer(method: str, _headers: str) -> Iterable[bytes]:
        return [head(), b"{}"] if method == "PURGE" else pieces

    return answer


def site(url: str, folder: Path, **more: Any) -> CdnSite:  # noqa: ANN401 (passed on)
    given: dict[str, Any] = {
        "verify": accept,
        "origin": lambda paths: dict.fromkeys(paths, TRUTH),
        "notes": folder / "purges.json",
        "key": lambda: KEY,
        "per_second": 10_000,
        "sleep": at_once,
    }
    return CdnSite(url, **(given | more))


def outcome(answers: Answers, folder: Path, path: str = FILE, **more: Any) -> str:  # noqa: ANN401
    """Return how a purge ends; empty: it shows."""
    with saying(answers) as url:
        error = carry_out(site(url, folder, **more), (path,))
    return "" if error is None else str(error)


PACKED = gzip.compress(DATA, mtime=0)
RANGE = f"bytes 0-{len(DATA) - 1}/{len(DATA)}"
GIVEN: dict[str, tuple[Answers, str]] = {
    "the file": (always(head(Content_Length=len(DATA)), DATA), ""),
    "the file in pieces": (
        always(head(Transfer_Encoding="chunked"), b"%x\r\n" % len(DATA), DATA, b"\r\n0\r\n\r\n"),
        "",
    ),
    "the file packed": (
        always(head(Content_Length=len(PACKED), Content_Encoding="gzip"), PACKED),
        f"CDN_STALE.* gets 200 packed by gzip, {len(PACKED)} bytes",
    ),
    "a part, that is all": (
        always(head(206, Content_Length=len(DATA), Content_Range=RANGE), DATA),
        "CDN_STALE.* gets 206, no file",
    ),
    "not modified": (always(head(304)), "CDN_STALE.* gets 304, no file"),
    "a way to elsewhere": (always(head(302, Location=OTHER)), "CDN_STALE.* gets 302, no file"),
    "less than is told": (
        always(head(Content_Length=len(DATA) + 1), DATA),
        "CDN_UNSEEN.*broke off",
    ),
    "more than is told": (
        always(head(Content_Length=len(DATA) - 1), DATA),
        f"CDN_STALE.* gets 200, {len(DATA) - 1} bytes",
    ),
    "half of the pieces": (
        always(head(Transfer_Encoding="chunked"), b"%x\r\n" % len(DATA), DATA[:99]),
        "CDN_UNSEEN.*broke off",
    ),
    "no end": (
        lambda method, _: [head()] if method == "PURGE" else (head(), *[DATA] * 600),
        "CDN_STALE.* gets 200, more than the 4",
    ),
    "a page": (
        always(head(Content_Type="text/html; charset=utf-8"), b"<h1>Sorry</h1>"),
        "CDN_STALE.* gets 200 text/html, 14 bytes",
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_only_the_file_itself_is_taken_for_it(tmp_path: Path, name: str) -> None:
    answers, said = GIVEN[name]
    found = outcome(answers, tmp_path)
    assert re.fullmatch(said and f"{said}.*", found), found


@pytest.mark.parametrize("age", ["", "-5", "0, 0", "٣", "1e3", "99999999999", "5"])
def test_an_age_that_is_none_or_too_high_makes_no_page_new(tmp_path: Path, age: str) -> None:
    page = always(head(Age=age.encode().decode("latin-1")), b"<h1>Downloads</h1>")
    assert outcome(page, tmp_path, PAGE).startswith("CDN_STALE")


def test_a_body_that_drips_ends_with_the_deadline(tmp_path: Path) -> None:
    now = [1000.0]

    def dripping(method: str, _headers: str) -> Iterator[bytes]:
        yield head()
        for drop in repeat(b"." if method == "GET" else b"", 10_000 if method == "GET" else 0):
            now[0] += 100
            yield drop

    clocks = Clocks(world=lambda: now[0], machine=lambda: now[0])
    assert "CDN_UNSEEN: no time was left" in outcome(dripping, tmp_path, clocks=clocks)


def test_the_key_stays_with_the_one_who_demands_it_and_in_nothing_that_is_kept(
    tmp_path: Path,
) -> None:
    """Elsewhere is never asked, whatever the network says; not with the key, nor without."""
    heard: list[str] = []

    def elsewhere(_method: str, headers: str) -> Iterable[bytes]:
        heard.append(headers)
        return [head()]

    with saying(elsewhere) as other:

        def demanding(_method: str, headers: str) -> Iterable[bytes]:
            if KEY in headers:
                echoed = f'{{"id": "{KEY}", "msg": "go on with {KEY}"}}'.encode()
                return [head(307, Location=f"{other}?{KEY}", Content_Length=len(echoed)), echoed]
            return [head(401)]

        told: list[str] = []
        said = outcome(demanding, tmp_path, progress=told.append)
    assert said.startswith("PURGE_FAILED")
    assert heard == []
    kept = "".join(one.read_text() for one in tmp_path.iterdir())
    assert KEY not in said + kept + "".join(told)


def test_what_the_public_and_a_stranger_get_is_what_came_and_no_more() -> None:
    packed = always(head(Content_Length=len(PACKED), Content_Encoding="gzip"), PACKED)
    with saying(packed) as url:
        fetched = PublicSite(url, verify=accept, origin_headers={}).fetch(path=FILE)
        assert (fetched.size, fetched.sha256) == artifact_of(PACKED)
        assert Stranger(url, Visit(1000)).fetch(FILE[1:]).sha256 == fetched.sha256
        subject = artifact("Python-3.15.0.tgz", DATA)
        public = PublicSite(url, verify=accept, origin_headers={})
        assert not public.verify(path=FILE, subject=subject, companions=())


def artifact_of(data: bytes) -> tuple[int, str]:
    return len(data), hashlib.sha256(data).hexdigest()


def test_what_never_ends_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relkit.adapters.public.MOST_BYTES", 100_000)
    with saying(lambda *_: (head(), *[DATA] * 600)) as url:
        public = PublicSite(url, verify=accept, origin_headers={})
        with pytest.raises(WorldError, match="TOO_LARGE") as caught:
            public.fetch(path=FILE)
    assert caught.value.remedy
