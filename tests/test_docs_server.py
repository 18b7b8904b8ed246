"""The docs server as folders: archives, kills, full disks; the rest is its contract's test."""

from __future__ import annotations

import bz2
import hashlib
import io
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relkit.adapters import docs_archive
from relkit.adapters.docs import FolderDocs
from relkit.errors import ReleaseError
from relkit.ports import Docs
from relkit.values import Unpacked

VERSION = "3.15.0rc1"
TOP = f"python-{VERSION}-docs-html"
ZIP, TAR = f"{TOP}.zip", f"{TOP}.tar.bz2"
PAGES = {"index.html": b"<h1>Docs</h1>", "library/os.html": b"os" * 9000, "_static/é.css": b""}
SAFE = [(f"{TOP}/", None), *((f"{TOP}/{name}", data) for name, data in PAGES.items())]
Members = list[tuple[str, bytes | None]]


def zipped(members: Members, change: Callable[[zipfile.ZipInfo], None] = lambda _: None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o40777 if data is None else 0o100600) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            change(info)
            archive.writestr(info, data or b"")
    return file.getvalue()


def tarred(members: Members, change: Callable[[tarfile.TarInfo], None] = lambda _: None) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:bz2") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            info.size, info.mode = len(data or b""), 0o4777
            change(info)
            archive.addfile(info, io.BytesIO(data or b""))
    return file.getvalue()


class Server:
    """A docs server, the docs of the download server, and collected archives."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source, self.releases = root / "artifacts", root / "docs" / "release"
        self.links = root / "public" / "ftp" / "python" / "doc"
        self.source.mkdir()
        self.docs: Docs = FolderDocs(releases=self.releases, links=self.links, source=self.source)

    def put(self, name: str, data: bytes) -> str:
        (self.source / name).write_bytes(data)
        return hashlib.sha256(data).hexdigest()

    def unpack(self, name: str, data: bytes) -> str:
        sha256 = self.put(name, data)
        self.docs.unpack(version=VERSION, name=name, sha256=sha256)
        return sha256

    def everything(self) -> list[str]:
        """Return all that is there but the collected files."""
        found = [path.relative_to(self.root).as_posix() for path in self.root.rglob("*")]
        return sorted(path for path in found if not path.startswith("artifacts"))

    def files(self) -> dict[str, bytes]:
        tree = self.releases / VERSION
        return {
            path.relative_to(tree).as_posix(): path.read_bytes()
            for path in tree.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def code(act: Callable[[], object]) -> str:
    with pytest.raises(ReleaseError) as caught:
        act()
    assert caught.value.remedy
    return caught.value.code


# --- unpacking --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "data"), [(ZIP, zipped(SAFE)), (TAR, tarred(SAFE))])
def test_an_archive_is_unpacked_without_its_top_folder(
    server: Server, name: str, data: bytes
) -> None:
    assert server.docs.unpacked(version=VERSION) is None
    old = os.umask(0o077)
    try:
        sha256 = server.unpack(name, data)
    finally:
        os.umask(old)
    assert server.docs.unpacked(version=VERSION) == Unpacked(sha256=sha256, files=3)
    assert server.files() == PAGES
    tree = server.releases / VERSION
    for path in (tree, *tree.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)
    assert [path.name for path in server.releases.iterdir() if path.name != VERSION] == [".relkit"]


def test_folders_that_the_archive_does_not_name_are_made_too(server: Server) -> None:
    server.unpack(ZIP, zipped([(f"{TOP}/a/b/c.html", b"c")]))
    assert server.files() == {"a/b/c.html": b"c"}


@pytest.mark.parametrize("version", ["3.15", "../3.15.0", "3.15.0\n", "", "v3.15.0", "latest"])
def test_only_versions_are_unpacked(server: Server, version: str) -> None:
    sha256 = server.put(ZIP, zipped(SAFE))
    unpack = partial(server.docs.unpack, version=version, name=ZIP, sha256=sha256)
    assert code(unpack) == "BAD_VERSION"
    assert code(lambda: server.docs.unpacked(version=version)) == "BAD_VERSION"


def test_only_archives_of_html_are_unpacked(server: Server) -> None:
    assert code(lambda: server.unpack(f"{TOP}.tar.gz", tarred(SAFE))) == "ARCHIVE_UNKNOWN"
    assert server.everything() == ["docs", "docs/release"]


# --- hostile archives (T29) -------------------------------------------------------------------

BAD_NAMES = [
    *("/etc/passwd", "../x", f"{TOP}/../../x", f"{TOP}/./x", f"{TOP}//x", "..", "./x"),
    *(f"{TOP}/a\\..\\x", f"{TOP}/a\nb", f"{TOP}/\x1b[2J", "C:/x", f"{TOP}/e\u0301.html"),
    *(f"{TOP}/\u202egnp.html", f"{TOP}/{'x' * 256}", "other/x", "loose.html", f"{TOP}/.."),
]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("archive", "pack"), [(ZIP, zipped), (TAR, tarred)])
def test_an_archive_with_a_name_that_is_none_is_refused_whole(
    server: Server, name: str, archive: str, pack: Callable[[Members], bytes], *, first: bool
) -> None:
    bad: Members = [(name, b"canary")]
    data = pack(bad + SAFE if first else SAFE + bad)
    assert code(lambda: server.unpack(archive, data)) == "ARCHIVE_UNSAFE"
    assert server.everything() == ["docs", "docs/release"]


@pytest.mark.parametrize(
    "members",
    [
        [*SAFE, (f"{TOP}/index.html", b"other")],
        [*SAFE, (f"{TOP}/index.html/", None)],
        [*SAFE, (f"{TOP}/index.html/more", b"x")],
        [(f"{TOP}/index.html/more", b"x"), *SAFE],
        [(TOP, b"a file")],
        [(f"{TOP}/", None)],
        [],
    ],
)
@pytest.mark.parametrize(("archive", "pack"), [(ZIP, zipped), (TAR, tarred)])
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_doubled_crossed_or_missing_members_are_refused(
    server: Server, members: Members, archive: str, pack: Callable[[Members], bytes]
) -> None:
    assert code(lambda: server.unpack(archive, pack(members))) == "ARCHIVE_UNSAFE"
    assert server.everything() == ["docs", "docs/release"]


@pytest.mark.parametrize(
    "kind",
    [
        *(tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE),
        tarfile.GNUTYPE_SPARSE,
    ],
)
def test_links_and_devices_in_a_tar_are_refused(server: Server, kind: bytes) -> None:
    def change(info: tarfile.TarInfo) -> None:
        if info.name.endswith("os.html"):
            info.type, info.linkname, info.size = kind, "../../../etc/passwd", 0

    assert code(lambda: server.unpack(TAR, tarred(SAFE, change))) == "ARCHIVE_UNSAFE"
    assert server.everything() == ["docs", "docs/release"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFDIR])
def test_links_and_devices_in_a_zip_are_refused(server: Server, kind: int) -> None:
    def change(info: zipfile.ZipInfo) -> None:
        if info.filename.endswith("os.html"):
            info.external_attr = (kind | 0o777) << 16

    assert code(lambda: server.unpack(ZIP, zipped(SAFE, change))) == "ARCHIVE_UNSAFE"
    assert server.everything() == ["docs", "docs/release"]


def test_an_archive_of_too_much_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in (("MAX_BYTES", 18_000), ("MAX_FILES", 3)):
        with monkeypatch.context() as patch:
            patch.setattr(docs_archive, name, limit)
            for archive, pack in ((ZIP, zipped), (TAR, tarred)):
                data = pack(SAFE)
                assert code(partial(server.unpack, archive, data)) == "ARCHIVE_UNSAFE"
    assert server.everything() == ["docs", "docs/release"]


def test_a_tar_whose_headers_would_fill_the_memory_is_refused(server: Server) -> None:
    """In the archive they are a few hundred bytes; a comment is read before its file is known."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:bz2", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo(f"{TOP}/index.html")
        info.pax_headers = {"comment": "x" * (docs_archive.MAX_HEADER_BYTES + 1)}
        archive.addfile(info)
    assert len(file.getvalue()) < 1000
    assert code(lambda: server.unpack(TAR, file.getvalue())) == "ARCHIVE_BROKEN"
    assert server.everything() == ["docs", "docs/release"]


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_zip_packed_in_an_unusual_way_is_refused(server: Server, method: int) -> None:
    def change(info: zipfile.ZipInfo) -> None:
        info.compress_type = method

    assert code(lambda: server.unpack(ZIP, zipped(SAFE, change))) == "ARCHIVE_UNSAFE"


def test_a_zip_whose_file_is_longer_than_it_says_is_refused(server: Server) -> None:
    bomb = zipped([(f"{TOP}/index.html", b"\0" * 5_000_000)])
    claimed = (5_000_000).to_bytes(4, "little")
    assert bomb.count(claimed) == 2
    lying = bomb.replace(claimed, (10).to_bytes(4, "little"))
    assert code(lambda: server.unpack(ZIP, lying)) in {"ARCHIVE_UNSAFE", "ARCHIVE_BROKEN"}
    assert server.everything() == ["docs", "docs/release"]


def test_an_encrypted_zip_is_refused(server: Server) -> None:
    data = bytearray(zipped([(f"{TOP}/index.html", b"x")]))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    assert code(lambda: server.unpack(ZIP, bytes(data))) == "ARCHIVE_UNSAFE"


@pytest.mark.parametrize("archive", [ZIP, TAR])
def test_a_broken_archive_is_refused_and_leaves_nothing(server: Server, archive: str) -> None:
    whole = zipped(SAFE) if archive == ZIP else tarred(SAFE)
    crossed = bytearray(whole)
    crossed[len(whole) // 3] ^= 0xFF
    other = tarred(SAFE) if archive == ZIP else zipped(SAFE)
    for data in (whole[:-40], whole[: len(whole) // 2], bytes(crossed), b"", b"<html>", other):
        found = code(partial(server.unpack, archive, data))
        assert found in {"ARCHIVE_BROKEN", "ARCHIVE_UNSAFE"}
        assert server.everything() == ["docs", "docs/release"]


def test_a_tar_that_ends_within_a_file_is_refused(server: Server) -> None:
    cut = bz2.compress(bz2.decompress(tarred(SAFE))[: 512 * 4])
    assert code(lambda: server.unpack(TAR, cut)) == "ARCHIVE_BROKEN"


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(st.text(max_size=40))
def test_no_name_leads_out_of_the_version(server: Server, name: str) -> None:
    try:
        server.unpack(TAR, tarred([(f"{TOP}/{name}", b"x"), *SAFE]))
    except (ReleaseError, UnicodeEncodeError):
        assert not (server.releases / VERSION).exists()
    else:
        inside = server.files()
        assert len(inside) == 4
        (server.releases / VERSION).rename(server.root / f"artifacts/kept-{time.monotonic_ns()}")
    assert {one.split("/")[0] for one in server.everything()} == {"docs"}


# --- killed, full -----------------------------------------------------------------------------

UNPACK = """
import sys
from pathlib import Path
from relkit.adapters.docs import FolderDocs
root, name, sha256, version = Path(sys.argv[1]), *sys.argv[2:]
docs = FolderDocs(releases=root / "docs" / "release", links=root, source=root / "artifacts")
print("ready", flush=True)
docs.unpack(version=version, name=name, sha256=sha256)
"""


def test_killed_at_any_instant_the_docs_are_whole_or_not_there(server: Server) -> None:
    many: Members = [(f"{TOP}/{number}.html", b"%d" % number * 999) for number in range(300)]
    sha256 = server.put(TAR, tarred(many))
    command = [sys.executable, "-c", UNPACK, str(server.root), TAR, sha256, VERSION]
    random = Random(29)  # noqa: S311 (instants, no secrets)
    for _ in range(8):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(random.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert server.docs.unpacked(version=VERSION) in {
            None,
            Unpacked(sha256=sha256, files=300),
        }
    server.docs.unpack(version=VERSION, name=TAR, sha256=sha256)
    assert server.docs.unpacked(version=VERSION) == Unpacked(sha256=sha256, files=300)
    assert sorted(path.name for path in server.releases.iterdir()) == [".relkit", VERSION]


def test_a_disk_that_is_full_is_the_servers_fault_not_the_archives(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert code(lambda: server.unpack(ZIP, zipped(SAFE))) == "SERVER_FAILED"
    assert server.docs.unpacked(version=VERSION) is None
    server.unpack(ZIP, zipped(SAFE))
    assert server.files() == PAGES
