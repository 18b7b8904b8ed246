"""Source archives that are not what was tagged: how each is made, and what it is refused with.

Each mutant starts from the true archive of the sample's release. Sizes are those of a real attack:
a bomb unpacks to gigabytes, a million members are a million.
"""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sources import BLURB, TOP, VERSION, sample, tar

from relkit.building.archive import NEWS, Form, Member, payload, removals
from relkit.building.objects import Objects
from relkit.building.source import archived_paths, blurb_command, in_order, merged_news

BLOCK = 512
OTHER = "Python-3.15.0a1"
MISMATCH, UNSAFE, DAMAGED = "TREE_MISMATCH", "ARCHIVE_UNSAFE", "ARCHIVE_DAMAGED"
PAYLOAD, BITWISE, DIFFER = "PAYLOAD_DIFFERS", "BITWISE_DIFFERS", "ARCHIVES_DIFFER"


@dataclass(frozen=True)
class Good:
    """The sample's repository, and the members of its release's archives."""

    repository: Path
    commit: str
    mtime: int
    members: tuple[Member, ...]

    @property
    def tar(self) -> bytes:
        return tar(self.members, self.mtime)

    @property
    def news(self) -> bytes:
        return next(one.data for one in self.members if one.path == NEWS)

    def changed(self, path: str, **values: object) -> bytes:
        """Return the tar with one member changed."""
        assert any(one.path == path for one in self.members)
        return tar(
            [replace(one, **values) if one.path == path else one for one in self.members],  # type: ignore[arg-type] # whatever the mutant changes
            self.mtime,
        )

    def more(self, *paths: str, data: bytes = b"x", link: bool = False) -> bytes:
        """Return the tar with members that the tag has not."""
        return tar([*self.members, *(Member(one, data, link=link) for one in paths)], self.mtime)

    def less(self, path: str) -> bytes:
        return tar([one for one in self.members if one.path != path], self.mtime)

    def data(self, path: str) -> bytes:
        return next(one.data for one in self.members if one.path == path)

    def headers(self, change: Callable[[tarfile.TarInfo], object]) -> bytes:
        """Return the tar written anew, with each header changed."""
        out = bytearray()
        with tarfile.open(fileobj=io.BytesIO(self.tar)) as archive:
            for info in archive:
                file = archive.extractfile(info) if info.isfile() else None
                content = b"" if file is None else file.read()
                change(info)
                out += info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % BLOCK)
        return bytes(out) + bytes(2 * BLOCK)


def good(folder: Path) -> Good:
    """Make the sample, and the true archive of its release."""
    repository, commit = sample(folder)
    for name in "scratch", "news":
        (folder / name).mkdir()
    objects = Objects(repository, folder / "scratch")
    news = merged_news(objects, commit, blurb=blurb_command(BLURB), folder=folder / "news")
    order = archived_paths((entry.path for entry in objects.entries(commit)), removals(VERSION))
    with objects.files(commit) as members:
        found = tuple(in_order(members, order, {NEWS: lambda: news}))
    return Good(repository, commit, objects.commit_time(commit), found)


@dataclass(frozen=True)
class Mutant:
    """One hostile or wrong archive: the name of its file, its bytes in pieces, its refusal.

    With `beside` the true ``.tgz`` is given, too. `level` is the level asked for.
    """

    code: str
    make: Callable[[Good], Iterable[bytes]]
    suffix: str = ".tar.xz"
    level: str = "payload"
    beside: bool = False


# --- ways to pack, and to write headers that nobody's tar writes --------------------------------


def xz(code: str, change: Callable[[Good], bytes], level: str = "payload") -> Mutant:
    return Mutant(code, lambda one: [lzma.compress(change(one), preset=0)], level=level)


def raw(code: str, change: Callable[[bytes], bytes], suffix: str = ".tar.xz") -> Mutant:
    """Return a mutant of the packed file."""
    pack = lzma.compress if suffix == ".tar.xz" else gzip.compress
    return Mutant(code, lambda one: [change(pack(one.tar))], suffix)


def odd(
    name: str = f"{TOP}/odd", data: bytes = b"", pax: dict[str, str] | None = None, **fields: object
) -> Mutant:
    """Return a mutant with a member before all others, as Python's tarfile writes it."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.pax_headers = pax or {}
    for field, value in fields.items():
        setattr(info, field, value)
    head = info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % BLOCK)
    return xz(UNSAFE, lambda one: head + one.tar)


def patched(at: int, data: bytes, code: str = UNSAFE) -> Mutant:
    """Return a mutant whose first header has other bytes, and a checksum that fits."""
    return xz(code, lambda one: _sealed(one.tar[:BLOCK], at, data) + one.tar[BLOCK:])


def _sealed(block: bytes, at: int, data: bytes) -> bytes:
    changed = bytearray(block)
    changed[at : at + len(data)] = data
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


def header(kind: bytes, text: bytes, code: str = UNSAFE) -> Mutant:
    """Return a mutant with an extended header before the first member."""
    block = Form(TOP, 0).member(Member("extended", text))
    return xz(code, lambda one: _sealed(block[:BLOCK], 156, kind) + block[BLOCK:] + one.tar)


def record(key: bytes, value: bytes) -> bytes:
    for length in range(1000):
        text = b"%d %s=%s\n" % (length, key, value)
        if len(text) == length:
            return text
    raise AssertionError(key)


def folder(path: str) -> bytes:
    return Form(TOP, 0).folder(path)


def first(path: str, data: bytes = b"x", *, link: bool = False) -> bytes:
    """Return a member to be put before all others."""
    return Form(TOP, 0).member(Member(path, data, link=link))


def last(whole: bytes, member: bytes) -> bytes:
    """Return a tar with a member after all others."""
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        end = archive.getmembers()[-1]
    size = end.offset_data + end.size
    return whole[: size + -size % BLOCK] + member + bytes(2 * BLOCK)


def swapped(one: Good) -> bytes:
    """Return the tar with a file of the top first."""
    return Form(TOP, one.mtime).member(Member(HEAD, one.data(HEAD))) + one.less(HEAD)


def threaded(one: Good) -> list[bytes]:
    """Pack in several blocks, as xz does with threads."""
    program = shutil.which("xz")
    if program is None:
        pytest.skip("there is no xz here to pack with threads")
    command = [program, "--threads=2", "--block-size=65536", "--stdout"]
    return [subprocess.run(command, input=one.tar, capture_output=True, check=True).stdout]


def named_twice(one: Good) -> bytes:
    name = _sealed(first("long")[:BLOCK], 156, b"L") + b"x".ljust(BLOCK, b"\0")
    return name + name + one.tar


def million(_: Good) -> Iterator[bytes]:
    """Pack a million members; what comes after the first of them has names that were there."""
    packer = zlib.compressobj(1, wbits=31)
    form = Form(TOP, 0)
    files = b"".join(form.member(Member(f"f{number}", b"")) for number in range(25_000))
    for _at in range(40):
        yield packer.compress(files)
    yield packer.flush()


def xz_zeros(size: int) -> Callable[[Good], Iterator[bytes]]:
    def packed(_: Good) -> Iterator[bytes]:
        packer = lzma.LZMACompressor(preset=0)
        for _at in range(size >> 20):
            yield packer.compress(bytes(1 << 20))
        yield packer.flush()

    return packed


def gzip_zeros(size: int) -> Callable[[Good], Iterator[bytes]]:
    def packed(_: Good) -> Iterator[bytes]:
        packer = zlib.compressobj(1, wbits=31)
        for _at in range(size >> 20):
            yield packer.compress(bytes(1 << 20))
        yield packer.flush()

    return packed


def files_of_zeros(count: int, size: int) -> Callable[[Good], Iterator[bytes]]:
    """Pack members that are each as large as is allowed."""

    def packed(_: Good) -> Iterator[bytes]:
        packer = lzma.LZMACompressor(preset=0)
        for number in range(count):
            yield packer.compress(Form(TOP, 0).member(Member(f"f{number}", bytes(size))))
        yield packer.flush()

    return packed


def sparse(_: Good) -> list[bytes]:
    """Return what GNU tar makes of a file of 8 GiB with nothing in it."""
    info = tarfile.TarInfo(f"{TOP}/sparse")
    info.type = tarfile.GNUTYPE_SPARSE
    block = _sealed(info.tobuf(tarfile.GNU_FORMAT), 483, b"%011o\0" % ((8 << 30) - 1))
    return [lzma.compress(block + bytes(2 * BLOCK))]


def deep(one: Good) -> list[bytes]:
    """Return an archive with thousands of files, each below hundreds of folders."""
    form = Form(TOP, one.mtime)
    below = "a/" * 240
    files = (form.member(Member(f"{below}{number}", b"")) for number in range(15_000))
    return [gzip.compress(b"".join(files) + one.tar, 1)]


def other_top(one: Good) -> bytes:
    return b"".join(payload(one.members, Form(OTHER, one.mtime)))


LINES, DOS, RUNS, HEAD = "Lib/greeting.py", "PCbuild/build.bat", "configure", "README.rst"
LONG_LINK = {f"link{at}": f"link{at + 1}" for at in range(200)}

MUTANTS: dict[str, Mutant] = {
    # what is not the tag's
    "one byte": xz(MISMATCH, lambda one: one.changed(LINES, data=one.data(LINES)[:-2] + b"~\n")),
    "build-to-host.m4": xz(MISMATCH, lambda one: one.more("m4/build-to-host.m4")),
    "a file less": xz(MISMATCH, lambda one: one.less(LINES)),
    "an empty file": xz(MISMATCH, lambda one: one.changed(LINES, data=b"")),
    "NUL at the end": xz(MISMATCH, lambda one: one.changed(LINES, data=one.data(LINES) + b"\0")),
    "may run": xz(MISMATCH, lambda one: one.changed(LINES, executable=True)),
    "may not run": xz(MISMATCH, lambda one: one.changed(RUNS, executable=False)),
    "everybody may write": xz(
        MISMATCH, lambda one: one.headers(lambda info: setattr(info, "mode", info.mode | 0o022))
    ),
    "a link for a file": xz(MISMATCH, lambda one: one.changed(LINES, data=b"abacus.py", link=True)),
    "a link more": xz(MISMATCH, lambda one: one.more("Lib/more", data=b"greeting.py", link=True)),
    "a chain of links": xz(
        MISMATCH,
        lambda one: tar(
            [*one.members, *(Member(a, b.encode(), link=True) for a, b in LONG_LINK.items())],
            one.mtime,
        ),
    ),
    "CRLF where none is": xz(
        MISMATCH, lambda one: one.changed(LINES, data=one.data(LINES).replace(b"\n", b"\r\n"))
    ),
    "LF where CRLF is": xz(
        MISMATCH, lambda one: one.changed(DOS, data=one.data(DOS).replace(b"\r\n", b"\n"))
    ),
    "one LF among CRLF": xz(
        MISMATCH, lambda one: one.changed(DOS, data=one.data(DOS).replace(b"\r\n", b"\n", 1))
    ),
    "another version's NEWS": xz(
        MISMATCH, lambda one: one.changed(NEWS, data=one.news.replace(b"3.15.0 alpha 2", b"3.15.0"))
    ),
    "a line less in NEWS": xz(
        MISMATCH, lambda one: one.changed(NEWS, data=one.news.rpartition(b"\n- ")[0])
    ),
    "no NEWS": xz(MISMATCH, lambda one: one.less(NEWS)),
    "NEWS that runs": xz(MISMATCH, lambda one: one.changed(NEWS, executable=True)),
    "kept: .github": xz(MISMATCH, lambda one: one.more(".github/CODEOWNERS")),
    "kept: .gitattributes": xz(MISMATCH, lambda one: one.more(".gitattributes")),
    "below what is left out": xz(MISMATCH, lambda one: one.more("Misc/NEWS.d/x.py")),
    "compiled": xz(MISMATCH, lambda one: one.more("Lib/greeting.pyc")),
    "a cache": xz(MISMATCH, lambda one: one.more("Lib/__pycache__/greeting")),
    "left by a patch": xz(MISMATCH, lambda one: one.more("Lib/greeting.py.orig")),
    "an empty folder": xz(MISMATCH, lambda one: folder("empty") + one.tar),
    "a file named as a folder": xz(UNSAFE, lambda one: last(one.tar, first("Lib"))),
    # what no archive of a release holds
    "setuid": odd(mode=0o4755),
    "setgid": odd(mode=0o2755),
    "sticky": odd(mode=0o1777, type=tarfile.DIRTYPE),
    "link out of the tree": odd(type=tarfile.SYMTYPE, linkname="../../x"),
    "link to the root": odd(type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "link to nothing": odd(type=tarfile.SYMTYPE, linkname=""),
    "hard link inside": odd(type=tarfile.LNKTYPE, linkname=f"{TOP}/README.rst"),
    "hard link outside": odd(type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "character device": odd(type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    "block device": odd(type=tarfile.BLKTYPE, devmajor=8),
    "pipe": odd(type=tarfile.FIFOTYPE),
    "contiguous": odd(type=tarfile.CONTTYPE),
    "of several volumes": odd(type=b"M"),
    "of an unknown type": odd(type=b"Z"),
    "absolute": odd("/CANARY/owned"),
    "out of the top": odd(f"{TOP}/../../owned"),
    "out and in again": odd(f"{TOP}/../{TOP}/owned"),
    "beside the top": odd("setup.py"),
    "another version's top": xz(UNSAFE, other_top),
    "dot in a name": odd(f"{TOP}/./x"),
    "empty part": odd(f"{TOP}//x"),
    "backslash": odd(f"{TOP}/..\\owned"),
    "newline": odd(f"{TOP}/a\nb"),
    "escape": odd(f"{TOP}/a\x1b[2Jb"),
    "right to left": odd(f"{TOP}/a\u202eyp.x"),
    "NUL in a name": odd(pax={"path": f"{TOP}/a\0b"}),
    "not UTF-8": header(b"L", f"{TOP}/".encode() + b"\xff\xfe"),
    "a very long name": odd(f"{TOP}/" + "a/" * 300 + "x"),
    "bytes after a name": patched(len(TOP) + 10, b"hidden"),
    "doubled": xz(UNSAFE, lambda one: first(LINES) + one.tar),
    "another case": xz(UNSAFE, lambda one: one.more("Lib/GREETING.py")),
    "another Unicode form": xz(UNSAFE, lambda one: one.more("Lib/e\u0301", "Lib/\u00e9")),
    "below a file": xz(UNSAFE, lambda one: first("Lib") + one.tar),
    "below a link": xz(UNSAFE, lambda one: first("Lib", b"..", link=True) + one.tar),
    "GNU sparse": Mutant(UNSAFE, sparse),
    "pax sparse": odd(pax={"GNU.sparse.major": "1", "GNU.sparse.realsize": "8589934592"}),
    "size in a record": odd(pax={"size": "0"}),
    "unknown record": odd(pax={"SCHILY.xattr.user.x": "1"}),
    "a comment": odd(pax={"comment": "what nobody reads"}),
    "a time that is text": odd(pax={"mtime": "now"}),
    "a global header": header(b"g", record(b"path", TOP.encode())),
    "a global comment": header(b"g", record(b"comment", b"0" * 40)),
    "a record that lies": header(b"x", b"9999 path=x\n"),
    "a name given twice": xz(UNSAFE, named_twice),
    "8 GB by its header": xz(
        UNSAFE, lambda one: _sealed(first("big", b""), 124, b"77777777777\0") + one.tar
    ),
    "size in base 256": patched(124, b"\x80" + bytes(10) + b"\1"),
    "negative size": patched(124, b"\xff" * 12),
    "negative size in text": patched(124, b"-0000000001\0"),
    "time in base 256": patched(136, b"\x80" + bytes(11)),
    "owner in base 256": patched(108, b"\x80" + bytes(7)),
    "folder with content": odd(data=b"x", type=tarfile.DIRTYPE),
    "a million members": Mutant(UNSAFE, million, ".tgz"),
    "thousands of deep names": Mutant(MISMATCH, deep, ".tgz"),
    "a bomb of nothing, xz": Mutant(UNSAFE, xz_zeros(512 << 20)),
    "a bomb of nothing, gzip": Mutant(UNSAFE, gzip_zeros(512 << 20), ".tgz"),
    "a bomb of files": Mutant(UNSAFE, files_of_zeros(16, 32 << 20)),
    "padded": xz(UNSAFE, lambda one: one.tar + bytes(2 << 20)),
    # what is not whole
    "cut": raw(DAMAGED, lambda data: data[:-20]),
    "half": raw(DAMAGED, lambda data: data[: len(data) // 2]),
    "empty": raw(DAMAGED, lambda _: b""),
    "with more": raw(DAMAGED, lambda data: data + b"more"),
    "two xz streams": raw(DAMAGED, lambda data: data + data),
    "a web page": raw(DAMAGED, lambda _: b"<html>not found</html>"),
    "tgz, cut": raw(DAMAGED, lambda data: data[:-3], ".tgz"),
    "tgz, with more": raw(DAMAGED, lambda data: data + b"\0", ".tgz"),
    "two gzip members": raw(DAMAGED, lambda data: data + data, ".tgz"),
    "a gzip checksum that is wrong": raw(
        DAMAGED, lambda data: data[:-8] + bytes(4) + data[-4:], ".tgz"
    ),
    "gzip named xz": Mutant(DAMAGED, lambda one: [gzip.compress(one.tar)]),
    "xz that wants much memory": Mutant(
        DAMAGED,
        lambda one: [
            lzma.compress(
                one.tar, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 128 << 20}]
            )
        ],
    ),
    "a tar that is cut": xz(DAMAGED, lambda one: one.tar[:20000]),
    "after the end of the tar": xz(DAMAGED, lambda one: one.tar + b"x" * BLOCK),
    "half a block": xz(DAMAGED, lambda one: one.tar + b"\0"),
    "a checksum that is wrong": xz(DAMAGED, lambda one: b"X" + one.tar[1:]),
    # what has equal files
    "another payload": Mutant(
        DIFFER,
        lambda one: [lzma.compress(one.headers(str), preset=0)],
        beside=True,
    ),
    "one other time": patched(136, b"%011o\0" % 1_600_000_000, PAYLOAD),
    "another owner": patched(108, b"0001750\0", PAYLOAD),
    "a user's name": patched(265, b"mallory\0", PAYLOAD),
    "the group may write": xz(
        PAYLOAD, lambda one: one.headers(lambda info: setattr(info, "mode", info.mode | 0o020))
    ),
    "other headers": xz(PAYLOAD, lambda one: one.headers(str)),
    "a time in a record": header(b"x", record(b"mtime", b"1.5"), PAYLOAD),
    "no header for the top": xz(PAYLOAD, lambda one: one.tar[BLOCK:] + bytes(BLOCK)),
    "another order": xz(PAYLOAD, swapped),
    "a shorter end": xz(PAYLOAD, lambda one: last(one.tar, b"")),
    "threaded xz": Mutant(BITWISE, threaded, level="bitwise"),
    "xz -9": Mutant(BITWISE, lambda one: [lzma.compress(one.tar, preset=9)], level="bitwise"),
    "gzip -6": Mutant(
        BITWISE, lambda one: [gzip.compress(one.tar, 6, mtime=0)], ".tgz", level="bitwise"
    ),
}
