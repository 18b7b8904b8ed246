"""An archive is what was tagged, or it is refused, by name and before anything is unpacked."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sources import BLURB, TOP, VERSION, commit, git, sample, tar, write

import relkit.building.archive_read
import relkit.building.archive_stream
from relkit.building.archive import Form, Member, is_removed
from relkit.building.archive_read import read_members
from relkit.building.archive_stream import TarStream
from relkit.building.compare import Difference, TreeReport, check_same_payload, compare
from relkit.building.objects import Objects, Tree
from relkit.building.source import blurb_command, merged_news, write_source
from relkit.errors import CheckError, WorldError

FILES = {
    ".gitattributes": b"*.bat text eol=crlf\n",
    "Lib/os.py": b"import posix\n",
    "Misc/NEWS.d/3.15.0a2.rst": b"news\n",
    "PC/build.bat": b"rem one\nrem two\n",
    "configure": b"#!/bin/sh\n",
    "link": b"Lib/os.py",
}
MODES = {"configure": "100755", "link": "120000"}
NEWS = Member("Misc/NEWS", b"made of news\n")
GOOD = [
    Member("Lib/os.py", FILES["Lib/os.py"]),
    NEWS,
    Member("PC/build.bat", b"rem one\r\nrem two\r\n"),
    Member("configure", FILES["configure"], executable=True),
    Member("link", FILES["link"], link=True),
]


class Sample:
    """A commit, and archives to compare with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commit = commit(folder / "r.git", FILES, modes=MODES)
        (folder / "scratch").mkdir()
        self.objects = Objects(folder / "r.git", folder / "scratch")

    def compare(self, data: bytes) -> TreeReport:
        return self.compare_files(*write(self.folder / "out", [data]))

    def compare_files(self, tgz: Path, xz: Path) -> TreeReport:
        report = compare(Tree.of(self.objects, self.commit, VERSION), xz, top=TOP, news=NEWS.data)
        check_same_payload(report, tgz)
        return report


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return Sample(tmp_path_factory.mktemp("tree"))


def test_an_archive_of_the_commit_is_explained_in_full(tree: Sample) -> None:
    report = tree.compare(tar(GOOD))
    report.verify()
    assert (report.files, report.equal, report.by_eol, report.removed) == (5, 3, 1, 2)
    assert report.generated == ("Misc/NEWS",)


def test_what_the_writer_makes_of_the_sample_is_explained_in_full(tmp_path: Path) -> None:
    repository, released = sample(tmp_path)
    for name in "scratch", "work", "news":
        (tmp_path / name).mkdir()
    objects = Objects(repository, tmp_path / "scratch")
    blurb = blurb_command(BLURB)
    form = Form(TOP, objects.commit_time(released))
    tree = Tree.of(objects, released, VERSION)
    write_source(tree, form=form, blurb=blurb, work=tmp_path / "work", out=tmp_path)
    news = merged_news(objects, released, blurb=blurb, folder=tmp_path / "news")
    report = compare(tree, tmp_path / f"{TOP}.tar.xz", top=TOP, news=news)
    check_same_payload(report, tmp_path / f"{TOP}.tgz")
    report.verify()
    assert report.by_eol == 2
    assert report.equal + report.by_eol + report.removed == len(objects.entries(released))
    left_out = (".gitattributes", "Misc/NEWS.d/next/README.rst")
    assert all(is_removed(path, tree.removals) for path in left_out)


def changed(path: str, **values: object) -> list[Member]:
    return [replace(one, **values) if one.path == path else one for one in GOOD]  # type: ignore[arg-type] # whatever the mutant changes


def more(path: str, data: bytes = b"x") -> list[Member]:
    return [*GOOD, Member(path, data)]


ATTRIBUTES, BAT = ".gitattributes", "PC/build.bat"
MUTANTS = {
    "one byte": (changed("Lib/os.py", data=b"import poslx\n"), "Lib/os.py", "content"),
    "a file more": (more("m4/build-to-host.m4"), "m4/build-to-host.m4", "only-in-archive"),
    "a file less": (GOOD[1:], "Lib/os.py", "only-in-git"),
    "no NEWS": ([one for one in GOOD if one is not NEWS], "Misc/NEWS", "only-in-git"),
    "other NEWS": (changed("Misc/NEWS", data=b"other news\n"), "Misc/NEWS", "content"),
    "NEWS that runs": (changed("Misc/NEWS", executable=True), "Misc/NEWS", "mode"),
    "mode set": (changed("Lib/os.py", executable=True), "Lib/os.py", "mode"),
    "mode lost": (changed("configure", executable=False), "configure", "mode"),
    "link for a file": (changed("Lib/os.py", data=b"..", link=True), "Lib/os.py", "kind"),
    "file for a link": (changed("link", link=False), "link", "kind"),
    "other target": (changed("link", data=b"configure"), "link", "content"),
    "plain line ends": (changed(BAT, data=FILES[BAT]), BAT, "content"),
    "mixed line ends": (changed(BAT, data=b"rem one\r\nrem two\n"), BAT, "content"),
    "needless line ends": (changed("Lib/os.py", data=b"import posix\r\n"), "Lib/os.py", "content"),
    "kept though removed": (more(ATTRIBUTES, FILES[ATTRIBUTES]), ATTRIBUTES, "only-in-archive"),
    "below a removed path": (more("Misc/NEWS.d/a.rst"), "Misc/NEWS.d/a.rst", "only-in-archive"),
    "compiled file": (more("Lib/os.pyc"), "Lib/os.pyc", "stray"),
    "cache folder": (more("Lib/__pycache__/os"), "Lib/__pycache__/os", "stray"),
    "hgtags": (more(".hgtags"), ".hgtags", "stray"),
    "patch left over": (more("Lib/os.py.orig"), "Lib/os.py.orig", "stray"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_difference_is_found_and_classed(tree: Sample, name: str) -> None:
    """I23: nothing strays into an archive."""
    members, path, what = MUTANTS[name]
    report = tree.compare(tar(members))
    assert Difference(path, what) in report.unexplained
    with pytest.raises(CheckError, match="TREE_MISMATCH") as refusal:
        report.verify()
    assert path in str(refusal.value)


def odd(
    name: str = f"{TOP}/odd", data: bytes = b"", pax: dict[str, str] | None = None, **fields: object
) -> bytes:
    """Return a tar with the good members after an odd one."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.pax_headers = pax or {}
    for field, value in fields.items():
        setattr(info, field, value)
    start = info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % 512)
    return start + tar(GOOD)


def doubled(first: str, second: str) -> bytes:
    head, tail = (Form(TOP, 0).member(Member(name, b"x")) for name in (first, second))
    return head + tail + tar(GOOD)


def patched(at: int, data: bytes) -> bytes:
    """Return a tar with bytes of the first header changed, and its checksum put right."""
    block = bytearray(Form(TOP, 0).member(Member("odd", b"")))
    block[at : at + len(data)] = data
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + tar(GOOD)


UNSAFE = {
    "parent": odd(f"{TOP}/../../x"),
    "absolute": odd("/etc/passwd"),
    "other top": odd("Python-3.15.0a1/x"),
    "beside the top": odd("setup.py"),
    "dot": odd(f"{TOP}/./x"),
    "empty part": odd(f"{TOP}//x"),
    "backslash": odd(f"{TOP}/a\\b"),
    "newline": odd(f"{TOP}/a\nb"),
    "escape": odd(f"{TOP}/a\x1b[2Jb"),
    "right to left": odd(f"{TOP}/a\u202eb"),
    "NUL in a long name": odd(pax={"path": f"{TOP}/a\0b"}),
    "bytes after a name": patched(len(TOP) + 10, b"hidden"),
    "doubled": doubled("x", "x"),
    "doubled in another case": doubled("Lib/X.py", "Lib/x.py"),
    "below a file": doubled("x", "x/y"),
    "device": odd(type=tarfile.CHRTYPE),
    "pipe": odd(type=tarfile.FIFOTYPE),
    "hard link": odd(type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "sparse": odd(type=tarfile.GNUTYPE_SPARSE),
    "contiguous": odd(type=tarfile.CONTTYPE),
    "link out of the tree": odd(type=tarfile.SYMTYPE, linkname="../../x"),
    "link to the root": odd(type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "link to nothing": odd(type=tarfile.SYMTYPE, linkname=""),
    "setuid": odd(mode=0o4755),
    "unknown record": odd(pax={"SCHILY.xattr.user.x": "1"}),
    "sparse record": odd(pax={"GNU.sparse.size": "1"}),
    "size in a record": odd(pax={"size": "0"}),
    "folder with content": odd(data=b"x", type=tarfile.DIRTYPE),
    "huge": patched(124, b"%011o\0" % (1 << 30)),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_member_is_refused(tree: Sample, name: str) -> None:
    with pytest.raises(CheckError, match="ARCHIVE_UNSAFE"):
        tree.compare(UNSAFE[name])
    written = {path.name for path in tree.folder.iterdir()}
    assert written == {"r.git", "scratch", "out"}


def test_an_empty_folder_is_a_difference(tree: Sample) -> None:
    report = tree.compare(odd(f"{TOP}/empty", type=tarfile.DIRTYPE, mode=0o755))
    assert report.unexplained == (Difference("empty", "empty-folder"),)


def test_too_many_members_are_refused_in_bounded_memory(
    tree: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relkit.building.archive_read, "MAX_MEMBERS", 50)
    many = b"".join(Form(TOP, 0).member(Member(f"f{number}", b"")) for number in range(100))
    with pytest.raises(CheckError, match="ARCHIVE_UNSAFE"):
        tree.compare(many + bytes(10240))


def test_a_bomb_is_refused_in_bounded_memory(
    tree: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relkit.building.archive_stream, "MAX_TAR_BYTES", 24 << 20)
    tgz, xz = write(tmp_path, (bytes(1 << 20) for _ in range(40)))  # a tar of nothing but its end
    tracemalloc.start()
    with pytest.raises(CheckError, match="ARCHIVE_UNSAFE"):
        tree.compare_files(tgz, xz)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def repacked(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda data: lzma.compress(change(lzma.decompress(data)))


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "xz cut": ("xz", lambda data: data[:-20]),
    "xz half": ("xz", lambda data: data[: len(data) // 2]),
    "xz empty": ("xz", lambda _: b""),
    "xz with more": ("xz", lambda data: data + b"more"),
    "xz twice": ("xz", lambda data: data + data),
    "xz is HTML": ("xz", lambda _: b"<html>"),
    "tgz cut": ("tgz", lambda data: data[:-3]),
    "tgz with more": ("tgz", lambda data: data + b"more"),
    "tgz twice": ("tgz", lambda data: data + data),
    "tgz is HTML": ("tgz", lambda _: b"<html>"),
    "tar with more": ("xz", repacked(lambda data: data + b"x" * 512)),
    "tar cut": ("xz", repacked(lambda data: data[:1500])),
    "tar with half a block": ("xz", repacked(lambda data: data + b"\0")),
    "header damaged": ("xz", repacked(lambda data: b"x" + data[1:])),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_archive_is_refused(tree: Sample, tmp_path: Path, name: str) -> None:
    tgz, xz = write(tmp_path, [tar(GOOD)])
    which, change = DAMAGE[name]
    path = {"tgz": tgz, "xz": xz}[which]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CheckError, match="ARCHIVE_DAMAGED"):
        tree.compare_files(tgz, xz)


def test_archives_with_different_content_are_refused(tree: Sample, tmp_path: Path) -> None:
    tgz, xz = write(tmp_path, [tar(GOOD)])
    tgz.write_bytes(gzip.compress(tar(changed("Lib/os.py", data=b"import poslx\n"))))
    with pytest.raises(CheckError, match="ARCHIVES_DIFFER"):
        tree.compare_files(tgz, xz)


def test_a_submodule_is_refused(tree: Sample, tmp_path: Path) -> None:
    entry = f"160000 commit {tree.commit}\tlib\n"
    listed = git(tree.folder / "r.git", "mktree", "--missing", given=entry.encode())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(WorldError, match="TREE_UNSUPPORTED"):
        Objects(tree.folder / "r.git", scratch).entries(listed)


def test_a_commit_that_is_not_there_is_refused(tree: Sample) -> None:
    with pytest.raises(WorldError, match="GIT_FAILED"):
        tree.objects.entries("0123456789" * 4)


def test_the_repositorys_own_settings_change_nothing(tree: Sample, tmp_path: Path) -> None:
    """Neither its attributes, nor its configuration, nor a replaced object."""
    repository = tree.folder / "r.git"
    (repository / "info").mkdir(exist_ok=True)
    (repository / "info" / "attributes").write_text("* text eol=crlf\n", encoding="ascii")
    git(repository, "config", "core.autocrlf", "true")
    other = git(repository, "hash-object", "-w", "--stdin", given=b"other\n")
    git(repository, "replace", git(repository, "rev-parse", f"{tree.commit}:Lib/os.py"), other)
    (tmp_path / "scratch").mkdir()
    with Objects(repository, tmp_path / "scratch").files(tree.commit) as members:
        found = {member.path: member.data for member in members}
    assert found["Lib/os.py"] == FILES["Lib/os.py"]
    assert found["PC/build.bat"] == b"rem one\r\nrem two\r\n"


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(tar(GOOD)) - 1), st.integers(1, 255))
def test_a_changed_byte_is_never_overlooked(at: int, change: int) -> None:
    data = bytearray(tar(GOOD))
    data[at] ^= change
    expected = list(read_members(TarStream("good", iter([tar(GOOD)])), TOP))
    try:
        found = list(read_members(TarStream("bad", iter([bytes(data)])), TOP))
    except CheckError:
        return
    in_checksum = at % 512 in range(148, 156)  # which can be written in several ways
    assert found != expected or in_checksum


def test_tarfile_reads_what_is_compared() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar(GOOD))) as archive:
        assert f"{TOP}/Lib/os.py" in archive.getnames()
