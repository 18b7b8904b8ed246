"""Collected files are what was agreed on, stay so, and are never replaced."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relkit.adapters import shelf
from relkit.adapters.attempts import delivered_by
from relkit.adapters.shelf import Shelf
from relkit.building.job import JOB, LOCK, OUT, OUTCOME
from relkit.errors import CheckError, UsageError, WorldError
from relkit.ports import Artifacts
from relkit.values import Artifact

DATA = b"source" * 5000
SHA = hashlib.sha256(DATA).hexdigest()
NAME = "Python-3.15.0a1.tgz"
WHERE = {"name": NAME, "sha256": SHA, "build": "source", "nonce": "n1"}


class Place:
    """A shelf, and a finished build that delivers `NAME`."""

    def __init__(self, folder: Path) -> None:
        self.builds = folder / "builds"
        self.attempt = self.builds / "n1" / "source" / "attempt-1"
        self.delivered = self.attempt / OUT / NAME
        self.delivered.parent.mkdir(parents=True)
        self.delivered.write_bytes(DATA)
        (self.attempt / JOB).write_text('{"started": "2026-05-05T10:00:00+00:00"}')
        (self.attempt / LOCK).touch()
        (self.attempt / OUTCOME).write_text('{"failure": null, "files": []}')
        self.folder = folder / "artifacts"
        self.shelf = Shelf(self.folder, self.builds)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_it_is_the_port(place: Place) -> None:
    port: Artifacts = place.shelf
    assert port.artifact(name=NAME) is None


def test_a_collected_file_is_whole_and_read_only(place: Place) -> None:
    place.shelf.collect(**WHERE)
    assert place.shelf.artifact(name=NAME) == Artifact(name=NAME, size=len(DATA), sha256=SHA)
    assert (place.folder / NAME).stat().st_mode & 0o777 == 0o444
    assert place.names() == [NAME]


def test_collecting_again_changes_nothing(place: Place) -> None:
    place.shelf.collect(**WHERE)
    before = (place.folder / NAME).stat()
    place.delivered.unlink()
    place.shelf.collect(**WHERE)
    assert (place.folder / NAME).stat() == before


@pytest.mark.parametrize("data", [b"", DATA[:-1], DATA + b"x", b"x" + DATA[1:]])
def test_other_bytes_are_refused_and_leave_nothing(place: Place, data: bytes) -> None:
    place.delivered.write_bytes(data)
    with pytest.raises(CheckError, match="DIGEST_CHANGED"):
        place.shelf.collect(**WHERE)
    assert place.names() == []


def test_another_file_is_not_replaced(place: Place) -> None:
    place.folder.mkdir()
    (place.folder / NAME).write_bytes(b"older")
    with pytest.raises(CheckError, match="WOULD_OVERWRITE"):
        place.shelf.collect(**WHERE)
    assert (place.folder / NAME).read_bytes() == b"older"


def test_a_link_in_the_place_of_a_delivered_file_is_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(DATA)
    place.delivered.unlink()
    place.delivered.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckError, match="ARTIFACT_MISSING"):
        place.shelf.collect(**WHERE)


def test_a_build_that_is_not_done_delivers_nothing(place: Place) -> None:
    (place.attempt / OUTCOME).unlink()
    assert delivered_by(place.builds, nonce="n1", name="source") is None
    with pytest.raises(CheckError, match="ARTIFACT_MISSING"):
        place.shelf.collect(**WHERE)


def test_what_a_killed_process_left_is_not_in_the_way(place: Place) -> None:
    place.folder.mkdir()
    part = place.folder / f".{NAME}.part"
    part.write_bytes(DATA[:100])
    place.shelf.collect(**WHERE)
    assert place.names() == [NAME]
    part.hardlink_to(place.folder / NAME)  # killed once it had its name
    place.shelf.collect(**WHERE)
    assert place.names() == [NAME]


def test_two_that_collect_a_file_at_once_both_find_it_whole(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They use one temporary name: what one writes is never linked by the other half-written."""
    half, entered = threading.Event(), threading.Event()
    real = shelf._pieces

    def slow(file: IO[bytes]) -> Iterator[bytes]:
        if half.is_set():
            yield from real(file)
            return
        yield file.read(100)
        half.set()
        assert entered.wait(60)
        yield from real(file)

    monkeypatch.setattr(shelf, "_pieces", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(place.shelf.collect, **WHERE)
        assert half.wait(60)
        second = pool.submit(Shelf(place.folder, place.builds).collect, **WHERE)
        done = wait([second], timeout=0.2).done  # it waits, or is through at once
        entered.set()
        first.result()
        second.result()
    assert not done
    assert place.names() == [NAME]
    assert place.shelf.artifact(name=NAME) == Artifact(name=NAME, size=len(DATA), sha256=SHA)


def test_a_full_disk_leaves_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorldError, match="ARTIFACT_NOT_WRITTEN"):
        place.shelf.collect(**WHERE)
    assert place.names() == []


def test_a_swap_while_collecting_never_keeps_wrong_bytes(place: Place) -> None:
    """Another thread renames and rewrites the delivered file all the time (T25)."""
    stop, other = threading.Event(), place.delivered.with_name("other")

    def swap() -> None:
        while not stop.is_set():
            other.write_bytes(b"evil" * 7500)
            other.replace(place.delivered)
            other.write_bytes(DATA)
            other.replace(place.delivered)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(50):
            with suppress(CheckError):
                place.shelf.collect(**WHERE)
            kept = place.folder / NAME
            if kept.exists():
                assert kept.read_bytes() == DATA
                kept.unlink()
    finally:
        stop.set()
        thread.join()


def test_a_text_is_kept_and_never_replaced(place: Place) -> None:
    place.shelf.write(name="manifest.json", text="é\r\n")
    place.shelf.write(name="manifest.json", text="é\r\n")
    assert place.shelf.read(name="manifest.json") == "é\r\n"
    assert place.shelf.read(name="other.json") is None
    with pytest.raises(CheckError, match="WOULD_OVERWRITE"):
        place.shelf.write(name="manifest.json", text="e")


def test_what_is_discarded_makes_room_and_is_never_lost(place: Place) -> None:
    for number in (1, 2):
        place.shelf.collect(**WHERE)
        place.shelf.write(name="manifest.json", text=f"{number}")
        for _ in range(2):
            place.shelf.discard(name=NAME)
            place.shelf.discard(name="manifest.json")
            assert place.shelf.artifact(name=NAME) is None
            assert place.shelf.read(name="manifest.json") is None
        aside = place.folder / "superseded"
        assert (aside / f"{NAME}.{number}").read_bytes() == DATA
        assert (aside / f"manifest.json.{number}").read_text() == f"{number}"
        assert len(list(aside.iterdir())) == 2 * number
    place.shelf.write(name=NAME, text="other")
    assert place.names() == [NAME, "superseded"]


def test_a_link_in_the_place_of_a_file_is_put_aside_as_it_is(place: Place) -> None:
    place.folder.mkdir()
    (place.folder / NAME).symlink_to(place.delivered)
    place.shelf.discard(name=NAME)
    assert (place.folder / "superseded" / f"{NAME}.1").is_symlink()
    assert place.delivered.read_bytes() == DATA


def test_a_file_that_cannot_be_put_aside_stays(place: Place) -> None:
    place.shelf.collect(**WHERE)
    (place.folder / "superseded").write_text("in the way")
    with pytest.raises(WorldError, match="NOT_PUT_ASIDE"):
        place.shelf.discard(name=NAME)
    assert place.shelf.artifact(name=NAME) is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.text(max_size=30).filter(lambda name: not name.isascii() or "/" in name or name[:1] == ".")
)
def test_strange_names_are_refused(place: Place, name: str) -> None:
    for ask in (
        lambda: place.shelf.artifact(name=name),
        lambda: place.shelf.read(name=name),
        lambda: place.shelf.discard(name=name),
        lambda: place.shelf.write(name=name, text=""),
        lambda: place.shelf.collect(name=name, sha256=SHA, build="source", nonce="n1"),
    ):
        with pytest.raises(UsageError, match="BAD_NAME"):
            ask()
