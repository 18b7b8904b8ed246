"""The download server as folders: what has no like by SSH (see test_contract_downloads)."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relkit.adapters.downloads_shared import NAME
from relkit.adapters.folders import FolderServer
from relkit.errors import WorldError
from relkit.ports import Downloads
from relkit.values import Artifact, StoredFile

FILE = "Python-3.15.0a1.tgz"
PATH = f"ftp/python/3.15.0/{FILE}"
DATA = b"new release" * 1000
SHA = hashlib.sha256(DATA).hexdigest()
STORED = StoredFile(artifact=Artifact(name=FILE, size=len(DATA), sha256=SHA), mode="0644")


class World:
    """A server with one collected file."""

    def __init__(self, root: Path) -> None:
        source = root / "artifacts"
        source.mkdir()
        (source / FILE).write_bytes(DATA)
        self.server: Downloads = FolderServer(
            staging=root / "staging", public=root / "public", source=source
        )

    def stage(self) -> None:
        self.server.stage_all(files={PATH: SHA})

    def place(self) -> None:
        self.server.place_all(files={PATH: SHA})

    def where(self) -> tuple[StoredFile | None, StoredFile | None]:
        staged, placed = (
            look(paths=(PATH,)) for look in (self.server.staged_all, self.server.placed_all)
        )
        return staged[PATH], placed[PATH]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_failing_disk_is_reported_and_leaves_nothing_half(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorldError, match=r"SERVER_FAILED.*No space left"):
        world.stage()
    monkeypatch.undo()
    assert world.where() == (None, None)
    world.stage()
    assert [path.name for path in (tmp_path / "staging" / PATH).parent.iterdir()] == [FILE]


@pytest.mark.parametrize("act", ["stage", "place"])
def test_one_that_is_quicker_at_the_same_file_does_not_make_the_other_fail(
    world: World, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """It removes what is left of earlier calls, and so what a slower one has not named yet."""
    if act == "place":
        world.stage()
    link, quicker = os.link, iter([getattr(world, act)])

    def slow(*args: Any, **more: Any) -> None:  # noqa: ANN401 (as they come)
        for first in quicker:
            first()
        link(*args, **more)

    monkeypatch.setattr(os, "link", slow)
    getattr(world, act)()
    assert world.where() == ((STORED, None) if act == "stage" else (None, STORED))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=st.text(max_size=40))
def test_any_name_is_refused_or_stays_below_the_tree(
    tmp_path_factory: pytest.TempPathFactory, path: str
) -> None:
    root = tmp_path_factory.getbasetemp() / "any"
    server = FolderServer(staging=root / "s", public=root / "p", source=root / "a")
    good = all(NAME.fullmatch(part) for part in path.split("/"))
    try:
        assert server.staged_all(paths=(path,)) == {path: None}
        assert good
    except WorldError as error:
        assert error.code == "BAD_NAME"  # noqa: PT017 (both ends are right)
        assert not good
    assert not root.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from typing import Any
from relkit.adapters.folders import FolderServer

left = int(sys.argv[2])
def counted(event, arguments):
    global left
    if event in {"open", "os.link", "os.remove", "os.chmod", "os.mkdir"}:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

root = Path(sys.argv[1])
server = FolderServer(staging=root / "staging", public=root / "public", source=root / "artifacts")
sys.addaudithook(counted)
for act in (server.stage_all, server.place_all):
    act(files={sys.argv[3]: sys.argv[4]})
"""


@pytest.mark.parametrize("left", [0, 2, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20])
def test_killed_at_any_system_call_the_next_run_ends_the_same(
    world: World, tmp_path: Path, left: int
) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(left), PATH, SHA]
    ended = subprocess.run(command, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    if world.where()[1] is None:
        world.stage()
    world.place()
    assert world.where() == (None, STORED)
    left_over = [path.name for path in tmp_path.glob("*/**/.part-*")]
    assert left_over == []
