"""A docs server, as folders here and by SSH: the same statements about both."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import hostile
import pytest
from ssh_helpers import Stand

from relkit.adapters import docs
from relkit.adapters.docs import FolderDocs
from relkit.adapters.docs_shared import NAME, SharedDocs, unpacking
from relkit.adapters.ssh_docs import SshDocs
from relkit.errors import ReleaseError
from relkit.ports import Docs
from relkit.values import Unpacked

VERSION = "3.15.0rc1"
TOP = f"python-{VERSION}-docs-html"
ZIP = f"{TOP}.zip"
PAGES = {
    "index.html": b"<h1>Docs</h1>",
    "library/os.html": b"os" * 9000,
    "_static/é $(id).css": b"",
}


def zipped(pages: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in pages.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100600 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return file.getvalue()


SAFE = zipped({f"{TOP}/{name}": data for name, data in PAGES.items()})


class Server:
    """A docs server, the docs of the download server, and collected archives."""

    def __init__(self, docs: Docs, root: Path, source: Path) -> None:
        self.docs, self.root, self.source = docs, root, source
        self.releases, self.links = root / "release", root / "doc"

    def put(self, name: str, data: bytes) -> str:
        (self.source / name).write_bytes(data)
        return hashlib.sha256(data).hexdigest()

    def unpack(self, data: bytes = SAFE) -> str:
        sha256 = self.put(ZIP, data)
        self.docs.unpack(version=VERSION, name=ZIP, sha256=sha256)
        return sha256

    def everything(self) -> list[str]:
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*"))

    def files(self) -> dict[str, bytes]:
        tree = self.releases / VERSION
        found = (path for path in tree.rglob("*") if path.is_file())
        return {path.relative_to(tree).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(params=["folders", "ssh"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    source = tmp_path / "artifacts"
    source.mkdir()
    if request.param == "folders":
        root = tmp_path / "server"
        root.mkdir()
        for name in ("release", "doc"):
            (root / name).mkdir()
        local = FolderDocs(releases=root / "release", links=root / "doc", source=source)
        return Server(local, root, source)
    stand: Stand = request.getfixturevalue("stand")
    root = stand.fresh()
    for name in ("staging", "public"):
        (root / name).rmdir()
    for name in ("release", "doc"):
        (root / name).mkdir()
    place = stand.place()
    where = {"releases": str(root / "release"), "links": str(root / "doc")}
    return Server(SshDocs(place, place, **where, source=source), root, source)


def code(act: Callable[[], object]) -> str:
    with pytest.raises(ReleaseError) as caught:
        act()
    assert caught.value.remedy
    return caught.value.code


def test_an_archive_is_unpacked_without_its_top_folder(server: Server) -> None:
    assert server.docs.unpacked(version=VERSION) is None
    old = os.umask(0o077)
    try:
        sha256 = server.unpack()
    finally:
        os.umask(old)
    assert server.docs.unpacked(version=VERSION) == Unpacked(sha256=sha256, files=3)
    assert server.files() == PAGES
    tree = server.releases / VERSION
    for path in (tree, *tree.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)
    assert [path.name for path in server.releases.iterdir() if path.name != VERSION] == [".relkit"]


def test_both_forms_note_the_same_digest_of_the_same_docs(server: Server) -> None:
    server.unpack()
    local = FolderDocs(releases=server.releases, links=server.links, source=server.source)
    assert local.unpacked(version=VERSION) == server.docs.unpacked(version=VERSION)


def test_unpacking_again_changes_nothing_and_another_archive_is_refused(server: Server) -> None:
    sha256 = server.unpack()
    before = (server.releases / VERSION).stat()
    server.unpack()
    after = (server.releases / VERSION).stat()
    for name in ("st_ino", "st_mtime_ns", "st_ctime_ns"):  # it was read, and nothing else
        assert getattr(after, name) == getattr(before, name)
    assert code(lambda: server.unpack(zipped({f"{TOP}/a.html": b"a"}))) == "DOCS_EXIST"
    assert server.docs.unpacked(version=VERSION) == Unpacked(sha256=sha256, files=3)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("/tmp")])  # noqa: S108 (never opened)
def test_what_relkit_did_not_unpack_is_never_replaced(
    server: Server, make: Callable[[Path], None]
) -> None:
    make(server.releases / VERSION)
    before = server.everything()
    assert code(server.unpack) == "DOCS_EXIST"
    assert code(lambda: server.docs.unpacked(version=VERSION)) == "DOCS_EXIST"
    assert server.everything() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "index.html").write_text("<h1>Hacked</h1>"),
        lambda tree: (tree / "more.html").write_text(""),
        lambda tree: (tree / "index.html").unlink(),
        lambda tree: (tree / "index.html").chmod(0o666),
        lambda tree: (tree / "library/os.html").rename(tree / "os.html"),
        lambda tree: (tree / "link").symlink_to("index.html"),
    ],
)
def test_docs_that_changed_since_are_seen(server: Server, change: Callable[[Path], None]) -> None:
    server.unpack()
    change(server.releases / VERSION)
    assert code(lambda: server.docs.unpacked(version=VERSION)) == "DOCS_CHANGED"
    assert code(server.unpack) == "DOCS_CHANGED"


def test_the_digest_is_checked_before_anything_is_read(server: Server) -> None:
    server.put(ZIP, SAFE)
    unpack = partial(server.docs.unpack, version=VERSION, name=ZIP, sha256="0" * 64)
    assert code(unpack) == "DIGEST_CHANGED"
    (server.source / ZIP).unlink()
    assert code(unpack) == "ARTIFACT_MISSING"
    (server.source / ZIP).symlink_to("/etc/passwd")
    assert code(unpack) == "ARTIFACT_MISSING"
    assert server.files() == {}


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x", f"{TOP}/../../x", f"{TOP}/a\nb", f"{TOP}/\x1b[2J", "other/x"]
)
def test_t29_a_hostile_archive_is_refused_whole(server: Server, name: str) -> None:
    data = zipped({f"{TOP}/index.html": b"x", name: b"canary"})
    assert code(lambda: server.unpack(data)) == "ARCHIVE_UNSAFE"
    assert server.everything() == ["doc", "release"]


def test_what_a_killed_call_left_is_no_hindrance(server: Server) -> None:
    left = server.releases / unpacking(VERSION, "0" * 12)
    (left / "tree").mkdir(parents=True)
    (left / "tree" / "old.html").touch()
    server.unpack()
    assert server.files() == PAGES
    assert not left.exists()


def test_hostile_words_are_refused_in_every_input(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(server.source)
    sha256 = server.unpack()
    before = server.everything()
    for text in (*hostile.STRINGS, "a..b", ".zip"):
        assert code(partial(server.docs.unpacked, version=text)) == "BAD_VERSION"
        unpack = partial(server.docs.unpack, name=ZIP, sha256=sha256)
        assert code(partial(unpack, version=text)) == "BAD_VERSION"
        if NAME.fullmatch(text):
            continue
        unpack = partial(server.docs.unpack, version="3.15.0rc2", sha256=sha256)
        assert code(partial(unpack, name=text)) == "BAD_NAME"
        assert code(partial(server.docs.pointed, link=text)) == "BAD_NAME"
        point = partial(server.docs.point, was=None)
        assert code(partial(point, link=text, target=VERSION)) == "BAD_NAME"
        assert code(partial(point, link="current", target=text)) == "BAD_NAME"
    assert server.everything() == before
    assert [path.name for path in server.source.iterdir()] == [ZIP]


@pytest.mark.parametrize(
    "note", [b"", b"{", b"[]", b"null", b'{"sha256": "x"}', b"\xff", b"9" * 5000]
)
def test_a_note_that_is_none_of_relkits_is_refused(server: Server, note: bytes) -> None:
    server.unpack()
    (server.releases / ".relkit" / f"{VERSION}.json").write_bytes(note)
    assert code(lambda: server.docs.unpacked(version=VERSION)) == "DOCS_EXIST"
    assert code(server.unpack) == "DOCS_EXIST"
    assert server.files() == PAGES


def test_a_link_planted_where_the_note_was_written_is_not_followed(
    server: Server, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    notes = server.releases / ".relkit"
    notes.mkdir()
    for name in (f".{VERSION}.tmp", f"{VERSION}.json"):
        (notes / name).symlink_to(precious)
    server.unpack()
    assert precious.read_bytes() == b"mine"
    assert server.docs.unpacked(version=VERSION) is not None


def test_a_linked_folder_of_notes_is_not_entered(server: Server, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (server.releases / ".relkit").symlink_to(elsewhere)
    assert code(server.unpack) == "NOT_A_FILE"
    assert list(elsewhere.iterdir()) == []
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
    assert [path.name for path in server.releases.iterdir()] == [".relkit"]


def test_who_is_quicker_with_the_same_docs_has_done_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = type(server.docs)
    real = shared._unpack  # type: ignore[attr-defined] # of both forms

    def slower(docs: SharedDocs, *words: str) -> bool:
        monkeypatch.setattr(shared, "_unpack", real)
        server.unpack()
        return bool(real(docs, *words))

    monkeypatch.setattr(shared, "_unpack", slower)
    sha256 = server.unpack()
    assert server.docs.unpacked(version=VERSION) == Unpacked(sha256=sha256, files=3)
    assert sorted(path.name for path in server.releases.iterdir()) == [VERSION, ".relkit"][::-1]


@pytest.mark.parametrize("all_", [True, False])
def test_whose_folder_is_swept_by_a_quicker_one_has_the_same_docs(
    server: Server, monkeypatch: pytest.MonkeyPatch, *, all_: bool
) -> None:
    """Just before it looks at what it has unpacked: then that is gone, or only some of it yet."""
    place: Any = SshDocs if isinstance(server.docs, SshDocs) else docs
    look = "_verified" if place is SshDocs else "listed"
    real = getattr(place, look)

    def slower(*words: object) -> object:
        monkeypatch.setattr(place, look, real)
        with monkeypatch.context() as patched:
            if not all_:
                patched.setattr(type(server.docs), "_sweep", lambda *_: None)
                next(server.releases.glob(".unpacking-*/tree/index.html")).unlink()
            server.unpack()
        return real(*words)

    monkeypatch.setattr(place, look, slower)
    sha256 = server.unpack()
    assert server.docs.unpacked(version=VERSION) == Unpacked(sha256=sha256, files=3)
    assert sorted(path.name for path in server.releases.iterdir()) == [".relkit", VERSION]


def test_who_is_slower_with_other_docs_is_refused_and_spoils_no_note(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place: Any = SshDocs if isinstance(server.docs, SshDocs) else docs
    look, quicker = "_verified" if place is SshDocs else "listed", []
    real = getattr(place, look)

    def slower(*words: object) -> object:
        monkeypatch.setattr(place, look, real)
        monkeypatch.setattr(type(server.docs), "_sweep", lambda *_: None)
        quicker.append(server.unpack(zipped({f"{TOP}/index.html": b"other"})))
        return real(*words)

    monkeypatch.setattr(place, look, slower)
    with pytest.raises(ReleaseError, match="DOCS_EXIST"):
        server.unpack()
    assert server.docs.unpacked(version=VERSION) == Unpacked(sha256=quicker[0], files=1)


# --- links ------------------------------------------------------------------------------------


def test_a_link_is_moved_from_version_to_version(server: Server) -> None:
    for version in ("3.14.1", "3.14.2"):
        (server.links / version).mkdir()
    assert server.docs.pointed(link="current") is None
    was = None
    for version in ("3.14.1", "3.14.2", "3.14.2", "3.14.1"):
        server.docs.point(link="current", target=version, was=was)
        was = server.docs.pointed(link="current")
        assert was == version
        assert (server.links / "current").readlink() == Path(version)
    assert sorted(path.name for path in server.links.iterdir()) == ["3.14.1", "3.14.2", "current"]


def test_what_a_killed_move_left_is_no_hindrance(server: Server) -> None:
    (server.links / "3.14.1").mkdir()
    (server.links / ".current.3.14.1.new").symlink_to("elsewhere")
    server.docs.point(link="current", target="3.14.1", was=None)
    assert sorted(path.name for path in server.links.iterdir()) == ["3.14.1", "current"]


def test_a_link_leads_only_to_docs_that_are_there(server: Server) -> None:
    point = partial(server.docs.point, link="current", was=None)
    assert code(partial(point, target="3.14.1")) == "NOT_THERE"
    (server.links / "3.14.1").symlink_to("/")
    assert code(partial(point, target="3.14.1")) == "NOT_THERE"
    assert server.docs.pointed(link="current") is None


@pytest.mark.parametrize("leads", ["/etc", "../elsewhere", "a/b", ".hidden", ".."])
def test_a_link_to_elsewhere_is_refused(server: Server, leads: str) -> None:
    (server.links / "3.14.1").mkdir()
    (server.links / "current").symlink_to(leads)
    assert code(lambda: server.docs.pointed(link="current")) == "NOT_A_LINK"
    point = partial(server.docs.point, link="current", target="3.14.1", was=None)
    assert code(point) == "NOT_A_LINK"
    assert (server.links / "current").readlink() == Path(leads)


def test_a_folder_is_never_replaced_by_a_link(server: Server) -> None:
    for name in ("current", "3.14.1"):
        (server.links / name).mkdir()
    point = partial(server.docs.point, link="current", target="3.14.1", was=None)
    assert code(point) == "NOT_A_LINK"
    assert (server.links / "current").is_dir()


@pytest.mark.parametrize("was", [None, "3.14.1"])
def test_a_link_that_another_release_has_moved_is_left_alone(
    server: Server, was: str | None
) -> None:
    """3.14.2 came while 3.14.1, decided before, was held up."""
    for version in ("3.14.1", "3.14.2", "3.14.3"):
        (server.links / version).mkdir()
    (server.links / "current").symlink_to("3.14.3")
    point = partial(server.docs.point, link="current", target="3.14.2", was=was)
    assert code(point) == "LINK_MOVED"
    assert server.docs.pointed(link="current") == "3.14.3"
    server.docs.point(link="current", target="3.14.3", was=was)  # it is there: nothing to do
    names = [path.name for path in server.links.iterdir()]
    assert sorted(names) == ["3.14.1", "3.14.2", "3.14.3", "current"]
