"""Source archives have the bytes that GNU tar, gzip and xz would give them."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import lzma
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import relkit.building.compress
import relkit.building.lane
from relkit.building.archive import (
    DEVICES,
    Form,
    Member,
    is_removed,
    payload,
    removals,
    source_names,
    tar_key,
    top_folder,
)
from relkit.building.compress import check_compressors, control_text, pack
from relkit.building.source import in_order
from relkit.errors import CheckError, WorldError
from relkit.release import Version

TAR_OPTIONS = (
    *("--sort=name", "--format=posix", "--owner=0", "--group=0", "--numeric-owner"),
    "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
    *("--mode=go+u,go-w", "--mtime=@1700000000"),
)
MTIME = 1700000000
NAMES = st.text(st.sampled_from("aab-._+ Zé夏"), min_size=1, max_size=60).filter(
    lambda name: name not in {".", ".."}
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def gnu_tar() -> str | None:
    """Return the version of the GNU tar of this machine, if it is one whose form we write."""
    try:
        done = subprocess.run(["tar", "--version"], capture_output=True, check=True, text=True)
    except OSError:
        return None
    version = done.stdout.splitlines()[0].rpartition(" ")[2]
    return version if "GNU tar" in done.stdout and version in DEVICES else None


def tree_of(files: dict[str, tuple[bytes, bool]]) -> list[Member]:
    """Return members in order; what would be a file and a folder at once stays a folder."""
    folders = {
        path.rsplit("/", depth)[0] for path in files for depth in range(1, path.count("/") + 1)
    }
    members = [
        Member(path, data, executable=executable)
        for path, (data, executable) in files.items()
        if path not in folders
    ]
    return sorted(members, key=lambda member: tar_key(member.path))


@pytest.mark.skipif(gnu_tar() is None, reason="no GNU tar 1.34 or 1.35 here to compare with")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(PATHS, st.tuples(st.binary(max_size=600), st.booleans()), max_size=8),
    st.lists(st.sampled_from(["a", "../x", "y/" * 60 + "z"]), max_size=2),
)
@example({f"{'long/' * 25}é": (b"x", True), "a.c": (b"", False), "a/b": (b"y" * 512, False)}, [])
def test_the_writer_and_gnu_tar_agree(
    files: dict[str, tuple[bytes, bool]], targets: list[str]
) -> None:
    """I24: another tar made other names."""
    members = tree_of(files)
    members += [Member(f"link{n}", target.encode(), link=True) for n, target in enumerate(targets)]
    members.sort(key=lambda member: tar_key(member.path))
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder) / "top"
        top.mkdir()
        for member in members:
            path = top / member.path
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.link:
                path.symlink_to(member.data.decode())
            else:
                path.write_bytes(member.data)
                path.chmod(0o700 if member.executable else 0o600)
        theirs = subprocess.run(
            ["tar", "--create", *TAR_OPTIONS, "top"],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            capture_output=True,
            check=True,
        ).stdout
    form = Form("top", MTIME, gnu_tar() or "")
    assert b"".join(payload(members, form)) == theirs


def test_the_two_forms_differ_in_device_fields_alone() -> None:
    members = [Member("a" * 120, b"x"), Member("b", b"y")]
    old, new = (b"".join(payload(members, Form("top", MTIME, tar))) for tar in ("1.34", "1.35"))
    fields = [slice(512 * n + 329, 512 * n + 345) for n in range(len(old) // 512)]
    differ = [field for field in fields if old[field] != new[field]]
    assert {old[field] for field in differ} == {b"0000000\0" * 2}
    assert len(differ) == 3  # the top folder, and two files; not the extended header


@given(st.lists(PATHS, unique=True, max_size=12))
def test_every_name_is_read_back_by_tarfile(paths: list[str]) -> None:
    members = tree_of(dict.fromkeys(paths, (b"content", False)))
    data = b"".join(payload(members, Form("top", MTIME)))
    assert len(data) % 10240 == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = [info.name for info in archive if info.isfile()]
        assert {(info.uid, info.gid, info.uname, info.mtime) for info in archive} == {
            (0, 0, "", MTIME)
        }
    assert found == [f"top/{member.path}" for member in members]


def test_names_follow_the_version() -> None:
    version = Version.parse("3.15.0a2")
    assert source_names(version) == ("Python-3.15.0a2.tgz", "Python-3.15.0a2.tar.xz")
    assert top_folder(version) == "Python-3.15.0a2"


def test_whole_folders_are_left_out_and_nothing_beside_them() -> None:
    listed = removals(Version.parse("3.15.0a2"))
    assert is_removed(".github/CODEOWNERS", listed)
    assert is_removed("Misc/NEWS.d/next/Library/x.rst", listed)
    assert not is_removed("Misc/NEWS.data", listed)
    assert not is_removed("Tools/peg_generator/.gitignore", listed)


def test_both_files_unpack_to_the_tar_and_are_hashed_as_written(tmp_path: Path) -> None:
    pieces = [bytes([number]) * 70_000 for number in range(40)]
    tgz, xz, tar = pack(pieces, tgz=tmp_path / "a.tgz", xz=tmp_path / "a.tar.xz")
    assert gzip.decompress((tmp_path / "a.tgz").read_bytes()) == b"".join(pieces)
    assert lzma.decompress((tmp_path / "a.tar.xz").read_bytes()) == b"".join(pieces)
    for packed in tgz, xz:
        data = (tmp_path / packed.name).read_bytes()
        assert (packed.size, packed.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert tar.sha256 == hashlib.sha256(b"".join(pieces)).hexdigest()
    assert (tmp_path / "a.tgz").read_bytes()[3:9] == b"\0\0\0\0\0\2"  # no name, no time, level 9


@pytest.mark.parametrize("full", [".tgz", ".tar.xz"])
def test_a_full_disk_is_an_error_and_no_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    real = relkit.building.lane._Output.write

    def write(output: relkit.building.lane._Output, data: bytes) -> None:
        if output._path.name.endswith(full) and data:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(output, data)

    monkeypatch.setattr(relkit.building.lane._Output, "write", write)
    pieces = [os.urandom(1 << 16)] * 60
    with pytest.raises(OSError, match="No space left"):
        pack(pieces, tgz=tmp_path / "a.tgz", xz=tmp_path / "a.tar.xz")


def test_a_source_that_breaks_off_is_an_error_and_no_hang(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        pack(broken(), tgz=tmp_path / "a.tgz", xz=tmp_path / "a.tar.xz")


def test_a_gzip_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relkit.building.compress, "GZIP", ("false",))
    with pytest.raises(WorldError) as refusal:
        pack([b"x" * 3_000_000] * 3, tgz=tmp_path / "a.tgz", xz=tmp_path / "a.tar.xz")
    assert refusal.value.code == "GZIP_FAILED"


@pytest.mark.parametrize(
    "command", ["true", "head -c 100", "false", "cat /not-there", "kill -9 $$"]
)
def test_a_compressor_that_ends_early_is_an_error_and_no_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(relkit.building.compress, "XZ", ("sh", "-c", command))
    with pytest.raises(WorldError) as refusal:
        pack([b"x" * 3_000_000] * 300, tgz=tmp_path / "a.tgz", xz=tmp_path / "a.tar.xz")
    assert refusal.value.code == "XZ_FAILED"


def test_what_breaks_off_ends_both_compressors_at_once(tmp_path: Path) -> None:
    def interrupted() -> Iterator[bytes]:
        yield from (os.urandom(1 << 20) for _ in range(60))
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        pack(interrupted(), tgz=tmp_path / "a.tgz", xz=tmp_path / "a.tar.xz")
    assert time.monotonic() - start < 15  # xz alone would take half a minute and more


def test_the_bytes_do_not_depend_on_how_the_tar_is_cut(tmp_path: Path) -> None:
    data = control_text() * 3
    made = set()
    for size in (4096, 65_537, len(data)):
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        tgz, xz, tar = pack(pieces, tgz=tmp_path / f"{size}.tgz", xz=tmp_path / f"{size}.tar.xz")
        made.add((tgz.sha256, xz.sha256, tar.sha256))
    assert len(made) == 1


def test_options_in_the_environment_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"GZIP": "-1", "XZ_OPT": "-0", "XZ_DEFAULTS": "--threads=0"}.items():
        monkeypatch.setenv(name, value)
    check_compressors()
    pack([control_text()], tgz=tmp_path / "a.tgz", xz=tmp_path / "a.tar.xz")
    for tool, name in ("gzip", "a.tgz"), ("xz", "a.tar.xz"):
        digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        assert digest == relkit.building.compress.CONTROLS[tool]


def test_a_compressor_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relkit.building.compress, "GZIP", ("no-such-gzip",))
    with pytest.raises(WorldError) as refusal:
        check_compressors()
    assert refusal.value.code == "GZIP_FAILED"


def test_known_compressors_pass_and_another_gzip_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_compressors()
    zlib = "import sys, gzip; sys.stdout.buffer.write(gzip.compress(sys.stdin.buffer.read()))"
    other = (sys.executable, "-c", zlib)
    monkeypatch.setattr(relkit.building.compress, "GZIP", other)
    with pytest.raises(CheckError) as refusal:
        check_compressors()
    assert refusal.value.code == "TOOL_DRIFT"


def test_members_are_held_back_no_longer_than_needed() -> None:
    taken: list[str] = []

    def stream() -> Iterator[Member]:
        for path in ("a.c", "a/b", "c", "dropped"):
            taken.append(path)
            yield Member(path, b"")

    order = ["a/b", "a.c", "made", "c"]
    result = in_order(stream(), order, {"made": lambda: b"made"})
    assert next(result).path == "a/b"
    assert taken == ["a.c", "a/b"]
    assert [member.path for member in result] == ["a.c", "made", "c"]


def test_a_file_which_git_leaves_out_is_missed() -> None:
    with pytest.raises(WorldError) as refusal:
        list(in_order([Member("a", b"")], ["a", "b"], {}))
    assert refusal.value.code == "TREE_MISMATCH"
