"""One question a package, asked once; what the index says is never believed beyond its place."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sboms import NAME, archive, contents, run, sbom, with_wheel

from relkit.building import package_index
from relkit.building.contents import WHEELS
from relkit.building.origins import Origin, Origins, bundled
from relkit.building.package_index import look_up
from relkit.errors import CheckError, UsageError
from relkit.rehearsal.bundled import WHEEL

SHA256 = "ab" * 32
PIP = WHEEL.rpartition("/")[2]
PIP_SHA256 = contents().digests[WHEEL][1]


class Index(http.server.ThreadingHTTPServer):
    """A package index on this machine: answers by project, counting who asked for what."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[str] = []
        self.accepted: set[str] = set()
        self.pages: dict[str, bytes | int] = {}
        self.redirect = ""
        self.pause = 0.0
        self.at_once = self.most_at_once = 0
        self.counting = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/simple/"

    def has(self, project: str, *files: dict[str, Any]) -> None:
        told = {"meta": {"api-version": "1.1"}, "name": project, "files": files}
        self.pages[project] = json.dumps(told).encode()


class Answers(http.server.BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        index = self.server
        project = self.path.strip("/").rpartition("/")[2]
        with index.counting:
            index.asked.append(project)
            index.accepted.add(self.headers["Accept"])
            index.at_once += 1
            index.most_at_once = max(index.most_at_once, index.at_once)
        time.sleep(index.pause)
        page = index.pages.get(project, 404)
        status, body = (page, b"") if isinstance(page, int) else (200, page)
        self.send_response(302 if index.redirect else status)
        if index.redirect:
            self.send_header("Location", index.redirect)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with index.counting:
            index.at_once -= 1
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@contextmanager
def serving() -> Iterator[Index]:
    with Index() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(name="index")
def _index() -> Iterator[Index]:
    with serving() as server:
        server.has("pip", file(PIP, PIP_SHA256))
        server.has("abacus-wires", file("abacus_wires-2.1-py3-none-any.whl"))
        server.has("countable", file("countable-0.4.1.tar.gz"))
        yield server


def file(name: str, sha256: str = SHA256, url: str = "") -> dict[str, Any]:
    url = url or f"https://files.invalid/{name}"
    return {"filename": name, "url": url, "hashes": {"sha256": sha256}}


def found(index: Index, cache: Path, told: list[str] | None = None) -> dict[str, Origin]:
    heard: list[str] = [] if told is None else told
    return by_name(look_up(contents(), index=index.url, cache=cache, tell=heard.append))


def by_name(origins: Origins) -> dict[str, Origin]:
    return {one.name: origin for one, origin in origins.items()}


def vendored(name: str, version: str, index: Index, cache: Path) -> Origin | None:
    """Return what the index says of one vendored package."""
    given = contents(with_wheel("pip-24.0-py3-none-any.whl", f"{name}=={version}\n"))
    return by_name(look_up(given, index=index.url, cache=cache)).get(name)


def test_each_package_is_asked_for_once_and_never_again(index: Index, tmp_path: Path) -> None:
    first = found(index, tmp_path)
    assert sorted(index.asked) == ["abacus-wires", "countable", "pip"]
    assert index.accepted == {"application/vnd.pypi.simple.v1+json"}
    assert first == {
        "pip": Origin(f"https://files.invalid/{PIP}", PIP_SHA256),
        "abacus-wires": Origin("https://files.invalid/abacus_wires-2.1-py3-none-any.whl", SHA256),
        "countable": Origin("https://files.invalid/countable-0.4.1.tar.gz", SHA256),
    }
    assert found(index, tmp_path) == first
    assert len(index.asked) == 3


def test_an_sbom_with_all_origins_lacks_nothing(index: Index, tmp_path: Path) -> None:
    origins = look_up(contents(), index=index.url, cache=tmp_path)
    assert sbom(origins=origins).lacks == ()
    again = look_up(contents(), index=index.url, cache=tmp_path)
    assert sbom(origins=again).text == sbom(origins=origins).text


def test_a_cache_holds_question_answer_and_digest_a_file_each(index: Index, tmp_path: Path) -> None:
    found(index, tmp_path)
    names = ["abacus-wires-2.1.json", "countable-0.4.1.json", "pip-0.0.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    kept = json.loads((tmp_path / "pip-0.0.json").read_text())
    assert kept["asked"] == {"file": PIP, "index": index.url, "name": "pip", "version": "0.0"}
    assert kept["found"]["sha256"] == PIP_SHA256
    assert kept.keys() == {"answer_sha256", "asked", "found", "sha256"}


def test_packages_are_asked_for_side_by_side_but_not_all_at_once(
    index: Index, tmp_path: Path
) -> None:
    names = [f"package{number}" for number in range(24)]
    for name in names:
        index.has(name, file(f"{name}-1-py3-none-any.whl"))
    index.pause = 0.03
    given = contents(with_wheel(PIP, "".join(f"{name}==1\n" for name in names)))
    index.has("pip", file(PIP, given.digests[WHEEL][1]))
    assert len(look_up(given, index=index.url, cache=tmp_path)) == 25
    assert 2 <= index.most_at_once <= 8


def test_without_an_index_nothing_is_asked_and_nothing_known(tmp_path: Path) -> None:
    assert look_up(contents(), index="", cache=tmp_path / "none") == {}
    assert not (tmp_path / "none").exists()


def test_an_index_that_is_down_is_lacking_and_no_failure(tmp_path: Path) -> None:
    server = Index()
    url = server.url
    server.server_close()
    told: list[str] = []
    origins = look_up(contents(), index=url, cache=tmp_path, tell=told.append)
    assert origins == {}
    assert "SITE_UNREACHABLE" in told[0]
    assert len(sbom(origins=origins).lacks) == 3


def test_what_was_once_known_is_known_while_the_index_is_down(tmp_path: Path) -> None:
    with serving() as server:
        server.has("pip", file(PIP, PIP_SHA256))
        url = server.url
        known = by_name(look_up(contents(), index=url, cache=tmp_path))
    assert by_name(look_up(contents(), index=url, cache=tmp_path)) == known
    assert known.keys() == {"pip"}


def test_a_wheel_that_is_not_the_published_one_is_refused(index: Index, tmp_path: Path) -> None:
    index.has("pip", file(PIP, "0" * 64))
    for _ in "asked", "kept":
        with pytest.raises(CheckError, match=rf"SBOM_PACKAGE_CHANGED.*{PIP_SHA256}.*{'0' * 64}"):
            found(index, tmp_path)


def test_a_wheel_changed_since_the_index_was_asked_is_refused(index: Index, tmp_path: Path) -> None:
    found(index, tmp_path)
    given = contents(with_wheel(PIP, "countable==0.4.1\n"))
    assert WHEELS + PIP in given.digests
    with pytest.raises(CheckError, match="SBOM_PACKAGE_CHANGED"):
        look_up(given, index=index.url, cache=tmp_path)


@pytest.mark.parametrize("target", ["https://elsewhere.invalid/simple/pip/", "/simple/other/"])
def test_a_redirect_is_not_followed(index: Index, tmp_path: Path, target: str) -> None:
    index.redirect = target
    told: list[str] = []
    assert found(index, tmp_path, told) == {}
    assert all("INDEX_ANSWER" in one and "302" in one for one in told)
    assert sorted(index.asked) == ["abacus-wires", "countable", "pip"]


@pytest.mark.parametrize(
    "page",
    [
        404,
        500,
        b"",
        b"<!doctype html><a href=x>",
        b"[]",
        b"{}",
        b'{"files": null}',
        b'{"files": [1]}',
        b"[" * 100_000,
        json.dumps({"files": [{"filename": PIP}]}).encode(),
        json.dumps({"files": [file(PIP, "")]}).encode(),
        json.dumps({"files": [file(PIP, "é" * 64)]}).encode(),
        json.dumps({"files": [file("pip-0.0.tar.gz")]}).encode(),
        json.dumps({"files": [file(PIP, PIP_SHA256, "http://files.invalid/p")]}).encode(),
        json.dumps({"files": [file(PIP, PIP_SHA256, "https://a:b@files.invalid/p")]}).encode(),
        json.dumps({"files": [file(PIP, PIP_SHA256, "javascript:alert(1)")]}).encode(),
        json.dumps({"files": [file(PIP, PIP_SHA256, "https://x/" + "a" * 3000)]}).encode(),
        json.dumps({"files": [file(PIP, PIP_SHA256, "https://x/\u202e")]}).encode(),
        json.dumps({"files": [{**file(PIP), "hashes": {"md5": "0" * 32}}]}).encode(),
    ],
)
def test_an_answer_that_says_nothing_usable_is_lacking(
    index: Index, tmp_path: Path, page: bytes | int
) -> None:
    index.pages["pip"] = page
    told: list[str] = []
    assert found(index, tmp_path, told).keys() == {"abacus-wires", "countable"}
    assert len(told) == 1
    assert told[0].startswith("pip 0.0: INDEX_ANSWER")
    assert not (tmp_path / "pip-0.0.json").exists()


def test_an_answer_too_large_or_too_slow_is_lacking(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(package_index, "MAX_ANSWER_BYTES", 20)
        assert found(index, tmp_path) == {}
    with monkeypatch.context() as patch:
        patch.setattr(package_index, "ANSWER_SECONDS", -1.0)
        assert found(index, tmp_path) == {}


def test_a_wheel_for_every_machine_goes_before_the_source_and_that_before_nothing(
    index: Index, tmp_path: Path
) -> None:
    index.has(
        "msgpack",
        file("msgpack-1.1.0.tar.gz"),
        file("msgpack-1.1.0-cp312-cp312-win_amd64.whl"),
        file("msgpack-1.0.0-py3-none-any.whl"),
        file("not a file at all"),
    )
    index.has("rich", file("rich-14.0.0.tar.gz"), file("rich-14.0.0-py3-none-any.whl"))
    index.has("distro", file("distro-1.8.0.tar.gz"))
    source = vendored("msgpack", "1.1.0", index, tmp_path)
    assert source == Origin("https://files.invalid/msgpack-1.1.0.tar.gz", SHA256)
    wheel = vendored("rich", "14.0.0", index, tmp_path)
    assert wheel == Origin("https://files.invalid/rich-14.0.0-py3-none-any.whl", SHA256)
    assert vendored("distro", "1.9.0", index, tmp_path) is None


def test_addresses_may_be_relative_and_lose_what_is_for_browsers(
    index: Index, tmp_path: Path
) -> None:
    index.has("rich", file("rich-1.tar.gz", url=f"../../files/rich-1.tar.gz#sha256={SHA256}"))
    expected = index.url.replace("/simple/", "/files/rich-1.tar.gz")
    assert vendored("rich", "1", index, tmp_path) == Origin(expected, SHA256)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(SHA256, "0" * 64),
        lambda text: text.replace("files.invalid", "evil.invalid"),
        lambda text: text[:40],
        lambda _: "",
        lambda _: "[]",
        lambda _: "[" * 16_000,
        lambda text: " " * 20_000 + text,
        lambda text: text.replace('"found"', '"lost"'),
    ],
)
def test_a_kept_answer_that_was_changed_is_asked_for_anew_and_mended(
    index: Index, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    good = found(index, tmp_path)
    path = tmp_path / "countable-0.4.1.json"
    whole = path.read_text()
    path.write_text(damage(whole))
    told: list[str] = []
    assert found(index, tmp_path, told) == good
    assert index.asked[3:] == ["countable"]
    assert "countable-0.4.1.json" in told[0]
    assert path.read_text() == whole


def test_what_another_index_said_is_not_believed_here(index: Index, tmp_path: Path) -> None:
    found(index, tmp_path)
    with serving() as other:
        assert by_name(look_up(contents(), index=other.url, cache=tmp_path)) == {}
        assert len(other.asked) == 3


def test_a_cache_that_cannot_be_written_costs_only_the_next_question(
    index: Index, tmp_path: Path
) -> None:
    cache = tmp_path / "file"
    cache.touch()
    told: list[str] = []
    assert len(found(index, cache, told)) == 3
    assert any("not kept for the next time" in one for one in told)


@pytest.mark.parametrize(
    "url",
    [
        "http://pypi.org/simple/",
        "http://127.0.0.1.elsewhere.invalid/",
        "https://user:secret@pypi.org/simple/",
        "https://pypi.org/simple/?a=b",
        "https://pypi.org/simple/#a",
        "https://",
        "https://[half/",
        "https://pypi.org:port/",
        "https://pypi.org/ simple",
        "https://pypi.org/\nsimple",
        "ftp://pypi.org/simple/",
        "file:///etc/passwd",
        "pypi.org",
    ],
)
def test_an_index_that_anybody_could_answer_for_is_wrong_usage(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="INDEX_URL"):
        look_up(contents(), index=url, cache=tmp_path)


def test_an_address_needs_no_slash_at_its_end() -> None:
    assert package_index.checked("https://pypi.org/simple") == "https://pypi.org/simple/"


def test_only_what_is_bundled_is_asked_for(index: Index, tmp_path: Path) -> None:
    found(index, tmp_path)
    assert set(index.asked) == {one.name for one in bundled(contents())}


def test_the_command_asks_the_index_it_is_given(
    index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = archive(tmp_path / "a")
    asked = ("--index", index.url, "--cache", tmp_path / "cache")
    assert run(path, *asked, "--out", tmp_path / "one.json") == 0
    assert run(path, *asked, "--out", tmp_path / "two.json") == 0
    assert len(index.asked) == 3
    assert "It lacks" not in capsys.readouterr().out
    told = (tmp_path / "one.json").read_text()
    assert told == (tmp_path / "two.json").read_text()
    assert f"{NAME}.spdx.json" in told
    assert "https://files.invalid/countable-0.4.1.tar.gz" in told
