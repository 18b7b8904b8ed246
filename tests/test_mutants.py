"""Every wrong or hostile archive is refused by the command itself, by name, fast, and in vain."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mutants import BITWISE, DAMAGED, DIFFER, MISMATCH, MUTANTS, PAYLOAD, UNSAFE, Good, good
from sources import TOP, VERSION

import relkit.building.again
from relkit import cli_verify

SECONDS = 5.0
MEGABYTES = 150
HEAVY = (
    "a million members",
    "thousands of deep names",
    *(name for name in MUTANTS if "bomb" in name),
    "xz that wants much memory",
)
REFUSAL = re.compile(r"^REFUSED: ([A-Z_]+): ", flags=re.MULTILINE)


@dataclass(frozen=True)
class Stand:
    """The true release, and a place where nothing but mutants may be."""

    good: Good
    folder: Path

    def arguments(self, name: str) -> list[str]:
        """Write a mutant; return the words that verify it."""
        mutant = MUTANTS[name]
        path = self.folder / f"{TOP}{mutant.suffix}"
        with path.open("wb") as file:
            file.writelines(mutant.make(self.good))
        words = ["source", str(path)]
        if mutant.beside:
            beside = self.folder / f"{TOP}.tgz"
            beside.write_bytes(gzip.compress(self.good.tar, mtime=0))
            words.append(str(beside))
        where = ["--repo", str(self.good.repository), "--tag", f"v{VERSION}"]
        statement = ["--statement", str(self.folder / "statement.json")]
        return [*words, *where, "--level", mutant.level, "--blurb", "2.3.0", *statement]


@pytest.fixture(scope="module")
def true(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return good(tmp_path_factory.mktemp("true"))


@pytest.fixture
def stand(true: Good, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """Stand in a folder with canaries; afterwards nothing else is there."""
    place, temporary = tmp_path / "place", tmp_path / "tmp"
    for path in place, temporary:
        path.mkdir()
    (tmp_path / "owned").write_text("canary", encoding="ascii")
    monkeypatch.chdir(place)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(relkit.building.again, "merged_news", lambda *_, **__: true.news)
    yield Stand(true, place)
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["owned", "place", "tmp"]
    assert {path.name for path in place.iterdir()} <= {f"{TOP}.tar.xz", f"{TOP}.tgz"}
    assert (tmp_path / "owned").read_text(encoding="ascii") == "canary"


def verify(*words: str) -> int:
    """Run ``relkit verify`` in this process."""
    parser = argparse.ArgumentParser()
    cli_verify.declare(parser.add_subparsers().add_parser("verify").add_subparsers())
    options = parser.parse_args(["verify", *words])
    status: int = options.command(options)
    return status


def test_there_are_forty_mutants_and_more_of_every_kind() -> None:
    codes = [mutant.code for mutant in MUTANTS.values()]
    assert len(codes) >= 40
    assert set(codes) == {MISMATCH, UNSAFE, DAMAGED, DIFFER, PAYLOAD, BITWISE}


def test_the_true_archive_is_verified(
    stand: Stand, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what all mutants start from is verified at every level."""
    path = stand.folder / f"{TOP}.tgz"
    command = ["gzip", "-9", "--no-name"]
    with path.open("wb") as file:
        subprocess.run(command, input=stand.good.tar, stdout=file, check=True)
    where = ["--repo", str(stand.good.repository), "--tag", f"v{VERSION}"]
    monkeypatch.undo()
    assert verify("source", str(path), *where, "--level", "bitwise") == cli_verify.VERIFIED
    assert "VERIFIED: bitwise equal" in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name in MUTANTS if name not in HEAVY])
def test_a_mutant_is_refused(stand: Stand, capsys: pytest.CaptureFixture[str], name: str) -> None:
    words = stand.arguments(name)
    start = time.process_time()
    status = verify(*words)
    assert time.process_time() - start < SECONDS
    said = capsys.readouterr()
    assert status == cli_verify.REFUSED, said
    assert REFUSAL.findall(said.err) == [MUTANTS[name].code], said.err
    assert "VERIFIED" not in said.out
    assert not (stand.folder / "statement.json").exists()
    assert not any(ord(char) < ord(" ") and char != "\n" for char in said.out + said.err)


TAKEN_OUT: dict[str, tuple[str, object]] = {
    "build-to-host.m4": ("relkit.building.compare._Comparison._note", lambda *_: None),
    "another payload": ("relkit.building.verify.check_same_tar", lambda *_: None),
    "doubled": ("relkit.building.archive_read._check_place", lambda *_: None),
    "link out of the tree": ("relkit.building.archive_read._stays_inside", lambda *_: True),
    "8 GB by its header": ("relkit.building.archive_read.MAX_FILE_BYTES", 16 << 30),
    "padded": ("relkit.building.archive_stream.MAX_PADDING", 16 << 20),
}
"""A mutant, and the protection without which it is not refused for what it is."""


@pytest.mark.parametrize("name", TAKEN_OUT)
def test_each_protection_is_what_refuses(
    stand: Stand, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(*TAKEN_OUT[name])
    words = [word for word in stand.arguments(name) if word != "--statement"]
    verify(*(word for word in words if not word.endswith("statement.json")))
    assert REFUSAL.findall(capsys.readouterr().err) != [MUTANTS[name].code]


MEASURE = """
import argparse, json, resource, sys
from relkit import cli_verify
parser = argparse.ArgumentParser()
cli_verify.declare(parser.add_subparsers().add_parser("verify").add_subparsers())
options = parser.parse_args(["verify", *json.loads(sys.argv[1])])
status = options.command(options)
used = resource.getrusage(resource.RUSAGE_SELF)
# Not ru_maxrss: that is never below what the process had that started this one.
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([status, int(peak), used.ru_utime + used.ru_stime]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_mutant_costs_little(stand: Stand, name: str) -> None:
    """In a process of its own, with little address space: time, and the most memory it had."""
    words = stand.arguments(name)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps(words)],
        env=os.environ | {"TMPDIR": str(stand.folder.parent / "tmp")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    status, kilobytes, seconds = json.loads(done.stdout.splitlines()[-1])
    assert status == cli_verify.REFUSED, done.stderr
    assert REFUSAL.findall(done.stderr) == [MUTANTS[name].code]
    print(f"{name}: {seconds:.1f} s, {kilobytes >> 10} MB")  # noqa: T201 (shown by pytest -rP)
    assert kilobytes < MEGABYTES << 10
    assert seconds < SECONDS
