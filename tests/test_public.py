"""The public side, read as a stranger through the stand-in's cache."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relkit.adapters.public import PublicSite
from relkit.errors import VerificationError, WorldError
from relkit.ports import Public
from relkit.rehearsal.site import ORIGIN_HEADER, Fault, Site
from relkit.rehearsal.site_http import Reply
from relkit.values import Artifact, Companion

PATH = "/ftp/python/3.15.0/Python-3.15.0a1.tgz"
DATA, BUNDLE = b"release" * 100, b"signature"


def artifact(name: str, data: bytes) -> Artifact:
    return Artifact(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())


SUBJECT = artifact("Python-3.15.0a1.tgz", DATA)
COMPANION = Companion(
    scheme="sigstore",
    file=artifact("Python-3.15.0a1.tgz.sigstore", BUNDLE),
    subject=SUBJECT,
    identity="rm@example.org",
    issuer="https://issuer.example.org",
)


class Verifier:
    """Accepts one signature, and remembers that it was asked."""

    def __init__(self) -> None:
        self.asked: list[Companion] = []
        self.error: Exception | None = None

    def __call__(self, file: Path, companion: Path, stated: Companion) -> None:
        assert (file.name, file.read_bytes()) == (SUBJECT.name, DATA)
        assert companion.name == stated.file.name
        self.asked.append(stated)
        if self.error is not None:
            raise self.error
        if companion.read_bytes() != BUNDLE:
            raise VerificationError("no", code="SIGSTORE_INVALID", remedy="None.")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "public/ftp/python/3.15.0"
    folder.mkdir(parents=True)
    (folder / SUBJECT.name).write_bytes(DATA)
    (folder / COMPANION.file.name).write_bytes(BUNDLE)
    with Site(tmp_path / "site.sqlite", tmp_path / "public", tmp_path / "docs") as site:
        yield site


@pytest.fixture
def verifier() -> Verifier:
    return Verifier()


@pytest.fixture
def public(site: Site, verifier: Verifier) -> Public:
    return PublicSite(site.url, verify=verifier, origin_headers={ORIGIN_HEADER: "1"})


def file_of(tmp_path: Path) -> Path:
    return tmp_path / ("public" + PATH)


def code(act: Callable[[], object]) -> str:
    with pytest.raises(WorldError) as caught:
        act()
    assert caught.value.remedy
    return caught.value.code


def test_a_file_is_fetched_whole_and_hashed(public: Public) -> None:
    fetched = public.fetch(path=PATH)
    assert (fetched.status, fetched.size, fetched.sha256) == (200, len(DATA), SUBJECT.sha256)
    assert fetched.content_type == "application/octet-stream"


def test_a_missing_file_and_a_redirect_are_answers(public: Public) -> None:
    assert public.fetch(path="/ftp/none").status == 404
    assert public.fetch(path="/downloads/latest/python3/").status == 302


def test_a_page_is_read_as_text(public: Public, site: Site) -> None:
    assert "Download Python" in public.read(path="/downloads/")
    assert code(lambda: public.read(path="/downloads/release/none/")) == "UNEXPECTED_STATUS"
    site.faults.append(Fault("GET", "/", Reply(200, b" " * 4_000_001)))
    assert code(lambda: public.read(path="/downloads/")) == "TOO_LARGE"
    site.faults.append(Fault("GET", "/", Reply(200, b"\xff")))
    assert code(lambda: public.read(path="/downloads/")) == "NOT_UTF8"


@pytest.mark.parametrize(
    "path", ["", "ftp/x", "//example.org/x", "/../x", "/ftp/../x", "/a?b", "/a#b", "/a b", "/a\n"]
)
def test_paths_that_are_none_are_refused(public: Public, path: str) -> None:
    assert code(lambda: public.fetch(path=path)) == "BAD_PATH"
    assert code(lambda: public.purge(paths=(path,))) == "BAD_PATH"


def test_a_stale_file_is_seen_and_purged(public: Public, tmp_path: Path) -> None:
    """I52: an index was stale for a day."""
    public.fetch(path=PATH)
    assert public.purged(paths=(PATH,))
    new = file_of(tmp_path).with_name("new")
    new.write_bytes(b"other bytes")
    new.replace(file_of(tmp_path))
    assert not public.purged(paths=("/downloads/", PATH))
    assert public.fetch(path=PATH).sha256 == SUBJECT.sha256
    public.purge(paths=(PATH,))
    assert public.purged(paths=("/downloads/", PATH))
    assert public.fetch(path=PATH).size == len(b"other bytes")


def test_a_kept_404_is_stale_too(public: Public, tmp_path: Path) -> None:
    path = "/ftp/python/3.15.0/late.pkg"
    assert public.fetch(path=path).status == 404
    file_of(tmp_path).with_name("late.pkg").write_bytes(b"late")
    assert public.fetch(path=path).status == 404
    assert not public.purged(paths=(path,))
    public.purge(paths=(path,))
    assert public.fetch(path=path).status == 200


def test_all_paths_are_purged_although_one_is_refused(public: Public, site: Site) -> None:
    site.faults.append(Fault("PURGE", "/ftp/b", Reply(401, b"no key"), effect=False))
    with pytest.raises(WorldError, match=r"PURGE_REFUSED.*1 of 3 paths.*/ftp/b: 401 no key"):
        public.purge(paths=("/ftp/a", "/ftp/b", "/ftp/c"))
    assert [path for method, path, _ in site.log if method == "PURGE"] == [
        "/ftp/a",
        "/ftp/b",
        "/ftp/c",
    ]


def test_a_release_verifies_from_the_public_side(public: Public, verifier: Verifier) -> None:
    assert public.verify(path=PATH, subject=SUBJECT, companions=(COMPANION,))
    assert verifier.asked == [COMPANION]
    assert public.verify(path=PATH, subject=SUBJECT, companions=())


@pytest.mark.parametrize("data", [DATA + b"x", DATA[:-1], DATA[:-1] + b"x", b"", None])
def test_other_bytes_do_not_verify(
    public: Public, verifier: Verifier, tmp_path: Path, data: bytes | None
) -> None:
    file_of(tmp_path).unlink()
    if data is not None:
        file_of(tmp_path).write_bytes(data)
    assert not public.verify(path=PATH, subject=SUBJECT, companions=(COMPANION,))
    assert verifier.asked == []


def test_a_missing_or_other_signature_does_not_verify(public: Public, tmp_path: Path) -> None:
    bundle = file_of(tmp_path).with_name(COMPANION.file.name)
    bundle.write_bytes(b"forged!!!")
    assert not public.verify(path=PATH, subject=SUBJECT, companions=(COMPANION,))
    forged = COMPANION.model_copy(update={"file": artifact(COMPANION.file.name, b"forged!!!")})
    public.purge(paths=(PATH + ".sigstore",))
    assert not public.verify(path=PATH, subject=SUBJECT, companions=(forged,))
    bundle.unlink()
    public.purge(paths=(PATH + ".sigstore",))
    assert not public.verify(path=PATH, subject=SUBJECT, companions=(COMPANION,))


def test_a_signature_over_something_else_does_not_verify(public: Public) -> None:
    other = COMPANION.model_copy(update={"subject": artifact("other", DATA)})
    assert not public.verify(path=PATH, subject=SUBJECT, companions=(other,))
    assert not public.verify(path=PATH, subject=artifact("other", DATA), companions=())
    assert not public.verify(path=PATH, subject=SUBJECT, companions=(COMPANION, COMPANION))


def test_what_cannot_be_told_is_an_error_and_not_false(
    public: Public, site: Site, verifier: Verifier
) -> None:
    def verify() -> bool:
        return public.verify(path=PATH, subject=SUBJECT, companions=(COMPANION,))

    for reply, expected in (
        (Reply(503), "UNEXPECTED_STATUS"),
        (Reply(302, headers={"Location": "/"}), "UNEXPECTED_STATUS"),
        (None, "SITE_UNREACHABLE"),
    ):
        site.faults.append(Fault("GET", PATH, reply))
        assert code(verify) == expected
    verifier.error = WorldError("no trust root", code="SIGSTORE_TOKEN", remedy="Look.")
    assert code(verify) == "SIGSTORE_TOKEN"


def test_an_answer_that_breaks_off_is_no_file(verifier: Verifier) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        public = PublicSite(url, verify=verifier, origin_headers={})
        assert code(lambda: public.fetch(path=PATH)) == "SITE_UNREACHABLE"
        thread.join()
