"""The download server as folders: nothing is overwritten, and a kill at any instant is mended."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relkit.adapters.folders import NAME, FolderServer
from relkit.errors import WorldError
from relkit.ports import Downloads
from relkit.values import Artifact, StoredFile

FOLDER, FILE = "ftp/python/3.15.0", "Python-3.15.0a1.tgz"
DATA, OTHER = b"new release" * 1000, b"something else"
SHA, OTHER_SHA = hashlib.sha256(DATA).hexdigest(), hashlib.sha256(OTHER).hexdigest()
STORED = StoredFile(artifact=Artifact(name=FILE, size=len(DATA), sha256=SHA), mode="0644")


class World:
    """A server with one collected file, and the places of that file."""

    def __init__(self, root: Path) -> None:
        self.source = root / "artifacts"
        self.source.mkdir()
        (self.source / FILE).write_bytes(DATA)
        (self.source / FILE).chmod(0o400)
        self.staged = root / "staging" / FOLDER / FILE
        self.public = root / "public" / FOLDER / FILE
        self.server: Downloads = FolderServer(
            staging=root / "staging", public=root / "public", source=self.source
        )

    def stage(self) -> None:
        self.server.stage(folder=FOLDER, name=FILE, sha256=SHA)

    def place(self) -> None:
        self.server.place(folder=FOLDER, name=FILE, sha256=SHA)

    def unstage(self) -> None:
        self.server.unstage(folder=FOLDER, name=FILE, sha256=SHA)

    def put(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def where(self) -> tuple[StoredFile | None, StoredFile | None]:
        return (
            self.server.staged(folder=FOLDER, name=FILE),
            self.server.placed(folder=FOLDER, name=FILE),
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def code(act: Callable[[], object]) -> str:
    with pytest.raises(WorldError) as caught:
        act()
    assert caught.value.remedy
    return caught.value.code


def test_a_file_goes_to_staging_and_from_there_to_the_public(world: World) -> None:
    assert world.where() == (None, None)
    world.stage()
    assert world.where() == (STORED, None)
    world.place()
    assert world.where() == (None, STORED)
    assert (world.source / FILE).read_bytes() == DATA


def test_doing_it_twice_is_harmless(world: World) -> None:
    world.stage()
    world.stage()
    assert world.where() == (STORED, None)
    world.place()
    world.place()
    assert world.where() == (None, STORED)


def test_what_is_taken_from_staging_is_named_by_its_digest(world: World) -> None:
    world.unstage()
    world.stage()
    assert (
        code(lambda: world.server.unstage(folder=FOLDER, name=FILE, sha256=OTHER_SHA))
        == "DIGEST_CHANGED"
    )
    world.unstage()
    assert world.where() == (None, None)


def test_modes_do_not_follow_the_umask(world: World, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        world.stage()
        world.place()
    finally:
        os.umask(before)
    assert stat.S_IMODE(world.public.stat().st_mode) == 0o644
    for root in (tmp_path / "staging", tmp_path / "public"):
        for folder in ("ftp", "ftp/python", FOLDER):
            assert stat.S_IMODE((root / folder).stat().st_mode) == 0o755


# --- refusals ---------------------------------------------------------------------------------


def test_other_bytes_are_never_overwritten(world: World) -> None:
    world.put(world.staged, OTHER)
    with pytest.raises(WorldError, match=f"WOULD_OVERWRITE.*{OTHER_SHA}, not {SHA}"):
        world.stage()
    world.staged.unlink()
    world.stage()
    world.put(world.public, OTHER)
    with pytest.raises(WorldError, match=f"WOULD_OVERWRITE.*{OTHER_SHA}, not {SHA}"):
        world.place()
    assert world.public.read_bytes() == OTHER
    assert world.staged.read_bytes() == DATA


def test_a_collected_file_that_changed_is_not_staged(world: World) -> None:
    (world.source / FILE).chmod(0o600)
    (world.source / FILE).write_bytes(OTHER)
    with pytest.raises(WorldError, match=f"DIGEST_CHANGED.*{OTHER_SHA}, not {SHA}"):
        world.stage()
    assert list(world.staged.parent.iterdir()) == []


def test_a_staged_file_that_changed_is_not_placed(world: World) -> None:
    world.stage()
    world.staged.write_bytes(OTHER)
    assert code(world.place) == "DIGEST_CHANGED"
    assert not world.public.exists()


def test_what_is_not_there_is_said(world: World) -> None:
    assert code(world.place) == "NOT_THERE"
    (world.source / FILE).unlink()
    assert code(world.stage) == "NOT_THERE"


def test_links_and_other_things_in_the_way_are_refused(world: World, tmp_path: Path) -> None:
    world.stage()
    secret = tmp_path / "secret"
    secret.write_bytes(DATA)
    world.public.parent.mkdir(parents=True)
    world.public.symlink_to(secret)
    assert code(world.place) == "NOT_A_FILE"
    assert code(lambda: world.server.placed(folder=FOLDER, name=FILE)) == "NOT_A_FILE"
    world.public.unlink()
    world.public.mkdir()
    assert code(world.place) == "NOT_A_FILE"
    world.public.rmdir()
    os.mkfifo(world.public)
    assert code(world.place) == "NOT_A_FILE"
    (world.source / FILE).unlink()
    (world.source / FILE).symlink_to(secret)
    world.unstage()
    assert code(world.stage) == "NOT_A_FILE"


def test_a_linked_folder_is_not_entered(world: World, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "staging/ftp").mkdir(parents=True)
    (tmp_path / "staging/ftp/python").symlink_to(elsewhere)
    assert code(world.stage) == "NOT_A_FILE"
    assert code(lambda: world.server.staged(folder=FOLDER, name=FILE)) == "NOT_A_FILE"
    assert list(elsewhere.iterdir()) == []


def test_a_failing_disk_is_reported_and_leaves_nothing_half(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorldError, match=r"SERVER_FAILED.*No space left"):
        world.stage()
    monkeypatch.undo()
    assert world.where() == (None, None)
    world.stage()
    assert [path.name for path in world.staged.parent.iterdir()] == [FILE]


BAD = [
    "",
    ".",
    "..",
    "a/b",
    "/etc",
    "-rf",
    ".hidden",
    "a\n",
    "a\0",
    "a b",
    "ä",
    "a" * 200,
    "a\u202e",
]


@pytest.mark.parametrize("name", BAD)
def test_names_that_leave_the_folder_are_refused(world: World, name: str) -> None:
    assert code(lambda: world.server.stage(folder=FOLDER, name=name, sha256=SHA)) == "BAD_NAME"
    assert code(lambda: world.server.placed(folder=FOLDER, name=name)) == "BAD_NAME"


@pytest.mark.parametrize("folder", ["", "/", "ftp/../..", "/etc", "ftp//x", "ftp/", "./ftp", "a\n"])
def test_folders_that_leave_the_tree_are_refused(world: World, folder: str) -> None:
    for method in (world.server.stage, world.server.place, world.server.unstage):
        act = partial(method, folder=folder, name=FILE, sha256=SHA)
        assert code(act) == "BAD_NAME"
    assert code(lambda: world.server.staged(folder=folder, name=FILE)) == "BAD_NAME"


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(folder=st.text(max_size=20), name=st.text(max_size=20))
def test_any_name_is_refused_or_stays_below_the_tree(
    tmp_path_factory: pytest.TempPathFactory, folder: str, name: str
) -> None:
    root = tmp_path_factory.getbasetemp() / "any"
    server = FolderServer(staging=root / "s", public=root / "p", source=root / "a")
    good = all(NAME.fullmatch(part) for part in [*folder.split("/"), name])
    try:
        assert server.staged(folder=folder, name=name) is None
        assert good
    except WorldError as error:
        assert error.code == "BAD_NAME"  # noqa: PT017 (both ends are right)
        assert not good
    assert not root.exists()


# --- killed on the way ------------------------------------------------------------------------


def test_half_a_copy_is_ignored_and_cleared(world: World) -> None:
    world.put(world.staged.with_name(f".part-{FILE}"), DATA[:100])
    assert world.where() == (None, None)
    world.stage()
    assert [path.name for path in world.staged.parent.iterdir()] == [FILE]


def test_a_copy_killed_after_it_got_its_name_is_cleared(world: World) -> None:
    world.stage()
    os.link(world.staged, world.staged.with_name(f".part-{FILE}"))
    world.stage()
    assert [path.name for path in world.staged.parent.iterdir()] == [FILE]


def test_what_such_a_copy_left_is_cleared_where_its_file_is_found_staged(world: World) -> None:
    world.stage()
    part = world.staged.with_name(f".part-{FILE}")
    os.link(world.staged, part)
    world.place()
    assert not part.exists()


def test_a_move_killed_between_its_halves_is_finished(world: World) -> None:
    world.stage()
    world.public.parent.mkdir(parents=True)
    os.link(world.staged, world.public)
    assert world.where() == (STORED, None)  # so that whoever asks moves it once more
    world.place()
    assert world.where() == (None, STORED)


def test_a_folder_killed_before_it_got_its_mode_is_mended(world: World, tmp_path: Path) -> None:
    (tmp_path / "staging/ftp").mkdir(parents=True)
    (tmp_path / "staging/ftp").chmod(0o700)
    world.stage()
    assert stat.S_IMODE((tmp_path / "staging/ftp").stat().st_mode) == 0o755


KILLED = """
import os, signal, sys
from pathlib import Path
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
for act in (server.stage, server.place):
    act(folder=sys.argv[3], name=sys.argv[4], sha256=sys.argv[5])
"""


@pytest.mark.parametrize("left", [0, 2, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20])
def test_killed_at_any_system_call_the_next_run_ends_the_same(
    world: World, tmp_path: Path, left: int
) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(left), FOLDER, FILE, SHA]
    ended = subprocess.run(command, check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    if world.where()[1] is None:
        world.stage()
    world.place()
    assert world.where() == (None, STORED)
    left_over = [path.name for path in tmp_path.glob("*/**/.part-*")]
    assert left_over == []


def test_docs_go_into_a_folder_of_their_own_with_the_same_modes(world: World) -> None:
    folder, old = "ftp/python/doc/3.15.0rc1", os.umask(0o077)
    try:
        world.server.stage(folder=folder, name=FILE, sha256=SHA)
        world.server.place(folder=folder, name=FILE, sha256=SHA)
    finally:
        os.umask(old)
    assert world.server.placed(folder=folder, name=FILE) == STORED
    assert world.where() == (None, None)
    public = world.public.parents[3]
    for above in ("ftp", "ftp/python", "ftp/python/doc", folder):
        assert stat.S_IMODE((public / above).stat().st_mode) == 0o755


def test_nothing_is_placed_by_way_of_the_link_to_the_current_docs(world: World) -> None:
    docs = world.public.parents[1] / "doc"
    (docs / "3.15.0").mkdir(parents=True)
    (docs / "current").symlink_to("3.15.0")
    folder = "ftp/python/doc/current"
    world.server.stage(folder=folder, name=FILE, sha256=SHA)
    place = partial(world.server.place, folder=folder, name=FILE, sha256=SHA)
    assert code(place) == "NOT_A_FILE"
    assert list((docs / "3.15.0").iterdir()) == []
