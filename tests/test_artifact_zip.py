"""Zips made to hurt whoever unpacks them are refused, in little memory, with nothing kept."""

from __future__ import annotations

import io
import stat
import struct
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relkit.adapters import artifact_zip
from relkit.adapters.artifact_zip import unzip
from relkit.errors import ReleaseError

GOOD = "good.exe"
DATA = b"the right bytes" * 20
MEGABYTE = 1_000_000
EOCD = struct.Struct("<4s4H2LH")
CENTRAL = struct.Struct("<4s6H3L5H2L")


def zipped(
    *members: tuple[zipfile.ZipInfo | str, bytes], method: int = zipfile.ZIP_STORED
) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data, method)
    return made.getvalue()


def central(name: bytes, *, size: int = 0, extra: bytes = b"", offset: int = 0) -> bytes:
    """Return an entry of the list of members, of a file that need not be there."""
    lengths = (len(name), len(extra), 0, 0, 0)
    return (
        CENTRAL.pack(b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, size, *lengths, 0, offset) + name + extra
    )


def listed(entries: bytes, count: int, *, length: int | None = None) -> bytes:
    """Return a zip that is nothing but its list of members, and says that it is `length` long."""
    told = len(entries) if length is None else length
    return entries + EOCD.pack(b"PK\5\6", 0, 0, count & 0xFFFF, count & 0xFFFF, told, 0, 0)


def info(name: str, kind: int = stat.S_IFREG) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.create_system, made.external_attr = 3, (kind | 0o644) << 16
    return made


def refused(tmp_path: Path, data: bytes) -> str:
    """Return the code with which a zip is refused; nothing of it is there then."""
    (tmp_path / "out").mkdir()
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(ReleaseError) as refusal:
        unzip(tmp_path / "a.zip", [GOOD], tmp_path / "out")
    assert refusal.value.remedy
    assert [*(tmp_path / "out").iterdir()] == []
    return refusal.value.code


def zip64(*, size: int = 0, offset: int = 0) -> bytes:
    """Return a zip whose one member is as large, or as far away, as only zip64 can say."""
    extra = struct.pack("<HHQQ", 1, 16, size, offset)
    return listed(central(GOOD.encode(), size=0xFFFFFFFF, extra=extra, offset=0xFFFFFFFF), 1)


def encrypted() -> bytes:
    data = bytearray(zipped((GOOD, DATA)))
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + at] |= 1
    return bytes(data)


def named(name: str) -> bytes:
    """Return a zip with one member of just this name, which the library would not write so."""
    stand_in = f"{'x' * (len(name) - len(GOOD))}{GOOD}"
    return zipped((stand_in, DATA)).replace(stand_in.encode(), name.encode())


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a bomb": (
        lambda: zipped((GOOD, bytes(60 * MEGABYTE)), method=zipfile.ZIP_DEFLATED),
        "TOO_LARGE",
    ),
    "packed by lzma": (lambda: zipped((GOOD, DATA), method=zipfile.ZIP_LZMA), "DELIVERY_UNFIT"),
    "packed by bzip2": (lambda: zipped((GOOD, DATA), method=zipfile.ZIP_BZIP2), "DELIVERY_UNFIT"),
    "encrypted": (encrypted, "DELIVERY_UNFIT"),
    "a link": (lambda: zipped((info(GOOD, stat.S_IFLNK), b"/etc/passwd")), "DELIVERY_UNFIT"),
    "a device": (lambda: zipped((info(GOOD, stat.S_IFCHR), b"")), "DELIVERY_UNFIT"),
    "above": (lambda: zipped((f"../{GOOD}", DATA)), "DELIVERY_UNFIT"),
    "above in the middle": (lambda: zipped((f"a/../../{GOOD}", DATA)), "DELIVERY_UNFIT"),
    "above by backslashes": (lambda: named(f"a\\..\\{GOOD}"), "DELIVERY_UNFIT"),
    "absolute": (lambda: zipped((f"/usr/{GOOD}", DATA)), "DELIVERY_UNFIT"),
    "on a drive": (lambda: zipped((f"C:/{GOOD}", DATA)), "DELIVERY_UNFIT"),
    "a name that goes on after a NUL": (
        lambda: zipped((f"{GOOD}x.txt", DATA)).replace(b"exex.txt", b"exe\0.txt"),
        "DELIVERY_UNFIT",
    ),
    "twice": (lambda: zipped((f"a/{GOOD}", DATA), (f"b/{GOOD}", DATA)), "UNLISTED_FILE"),
    "larger than anything": (lambda: zip64(size=2**63 + 5), "TOO_LARGE"),
    "nowhere": (lambda: zip64(size=10, offset=2**63 + 5), "SERVICE_UNREADABLE"),
    "beyond the end": (lambda: zip64(size=10, offset=2**40), "SERVICE_UNREADABLE"),
    "not there at all": (lambda: listed(central(GOOD.encode(), size=9), 1), "SERVICE_UNREADABLE"),
    "a list longer than the file": (
        lambda: listed(central(b"x"), 1, length=3 * 10**9),
        "SERVICE_UNREADABLE",
    ),
    "no zip": (lambda: b"<!doctype html>" * 100, "SERVICE_UNREADABLE"),
    "nothing": (bytes, "SERVICE_UNREADABLE"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_t29_a_hostile_zip_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    made, code = HOSTILE[name]
    assert refused(tmp_path, made()) == code


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("a", 1_200_000),  # 56 MB of list, half a gigabyte as objects
        ("x" * 60_000, 300),  # 18 MB in names
        ("x", 21_000),  # short enough to be read, too many all the same
    ],
)
def test_t29_a_million_members_are_counted_in_little_memory(
    tmp_path: Path, name: str, count: int
) -> None:
    data = listed(central(name.encode()) * count, count)
    tracemalloc.start()
    try:
        (tmp_path / "data").write_bytes(data)
        del data
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        (tmp_path / "out").mkdir()
        with pytest.raises(ReleaseError, match="TOO_LARGE"):
            unzip(tmp_path / "data", [GOOD], tmp_path / "out")
        used = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert used < 100 * MEGABYTE, f"{used / MEGABYTE:.0f} MB"


def test_files_of_a_large_artifact_are_unpacked_by_pieces(tmp_path: Path) -> None:
    packed = tmp_path / "a.zip"
    with zipfile.ZipFile(packed, "w") as archive, archive.open(f"msi/{GOOD}", "w") as file:
        for _ in range(64):
            file.write(bytes(MEGABYTE))
    (tmp_path / "out").mkdir()
    tracemalloc.start()
    try:
        assert unzip(packed, [GOOD], tmp_path / "out") == 0
        used = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "out" / GOOD).stat().st_size == 64 * MEGABYTE
    assert used < 20 * MEGABYTE, f"{used / MEGABYTE:.0f} MB"


def test_all_files_together_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact_zip, "MAX_ALL_BYTES", len(DATA) - 1)
    assert refused(tmp_path, zipped((GOOD, DATA))) == "TOO_LARGE"


@example(at=4542, piece=b"\0" * 8)  # the CRC in the list, and the packed size
@given(
    at=st.integers(0, 10_000),
    piece=st.sampled_from([b"\0" * 8, b"\xff" * 8, b"\xff" * 2, b"PK\6\6", b"PK\6\7", b"\1\0"]),
)
def test_a_zip_with_lies_gives_the_right_bytes_or_a_refusal(at: int, piece: bytes) -> None:
    data = bytearray(zipped((f"msi/{GOOD}", DATA), ("other", b"x"), method=zipfile.ZIP_DEFLATED))
    at %= len(data)
    data[at : at + len(piece)] = piece
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.zip").write_bytes(bytes(data))
        (folder / "out").mkdir()
        try:
            unzip(folder / "a.zip", [GOOD], folder / "out")
        except ReleaseError:
            return
        found = [path.read_bytes() for path in (folder / "out").iterdir()]
    assert found in ([], [DATA])
