"""SHA256SUMS, as the stock tool reads it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from relkit.building.statement import Subject
from relkit.building.sums import SUMS, checksums
from relkit.errors import CheckError

NAMES = ("Python-3.15.0a1.tgz", "Python-3.15.0a1.tar.xz", "python-3.15.0a1+x_1.exe", "0-docs.epub")


def subject(name: str, data: bytes = b"") -> Subject:
    return Subject(name, hashlib.sha256(data or name.encode()).hexdigest())


def sha256sum(folder: Path) -> tuple[int, str]:
    """Let the stock tool check a folder; return its status and what it says."""
    tool = shutil.which("sha256sum")
    assert tool, "coreutils are installed wherever a release is made"
    done = subprocess.run(
        [tool, "--check", "--strict", SUMS],
        cwd=folder,
        env={"LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / SUMS).write_text(checksums(map(subject, NAMES)), encoding="ascii")
    return tmp_path


def test_the_stock_tool_finds_every_file_right(folder: Path) -> None:
    assert sha256sum(folder) == (0, "".join(f"{name}: OK\n" for name in sorted(NAMES)))


def test_the_stock_tool_finds_a_changed_and_a_missing_file(folder: Path) -> None:
    (folder / NAMES[0]).write_bytes(b"other")
    (folder / NAMES[1]).unlink()
    status, text = sha256sum(folder)
    assert status == 1
    assert f"{NAMES[0]}: FAILED\n" in text
    assert f"{NAMES[1]}: FAILED open or read\n" in text
    assert text.count(": OK") == len(NAMES) - 2


def test_lines_are_in_order_of_name_whatever_comes_first() -> None:
    text = checksums(map(subject, NAMES))
    assert text == checksums(map(subject, reversed(NAMES)))
    assert [line.split("  ")[1] for line in text.splitlines()] == sorted(NAMES)


@pytest.mark.parametrize(
    "name",
    [
        *("", "a\nb", "a\n", "a\\b", "a\rb", "a\0b", " a", "  a", "a b", "*a", "-", "-c"),
        *("a/b", "/etc/passwd", "../a", "..", ".", ".hidden", "\u00e9", "a" * 152),
    ],
    ids=ascii,
)
def test_a_name_that_the_tool_reads_otherwise_is_refused(name: str) -> None:
    with pytest.raises(CheckError, match="BAD_NAME"):
        checksums([subject("a.tgz"), subject(name, b"x")])


@pytest.mark.parametrize("sha256", ["", "a" * 63, "A" * 64, f"{'a' * 64}\n", "g" * 64])
def test_a_bad_digest_is_refused(sha256: str) -> None:
    with pytest.raises(CheckError, match="BAD_DIGEST"):
        checksums([Subject("a.tgz", sha256)])


@pytest.mark.parametrize("other", [b"a.tgz", b"other"])
def test_a_name_given_twice_is_refused(other: bytes) -> None:
    with pytest.raises(CheckError, match="NAME_DOUBLED"):
        checksums([subject("a.tgz"), subject("b.tgz"), subject("a.tgz", other)])


def test_no_file_is_refused_as_the_tool_refuses_it() -> None:
    with pytest.raises(CheckError, match="NO_FILES"):
        checksums([])
