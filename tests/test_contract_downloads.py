"""A download server, as folders here and by SSH: the same statements about both."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import hostile
import pytest
from ssh_helpers import Stand

from relkit.adapters.downloads_shared import NAME, part_name
from relkit.adapters.folders import FolderServer
from relkit.errors import ReleaseError, WorldError
from relkit.ports import Downloads
from relkit.values import Artifact, StoredFile

FOLDER, FILE = "ftp/python/3.15.0", "Python-3.15.0a1.tgz"
PATH = f"{FOLDER}/{FILE}"
DATA, OTHER = b"new release" * 1000, b"something else"
SHA, OTHER_SHA = hashlib.sha256(DATA).hexdigest(), hashlib.sha256(OTHER).hexdigest()
STORED = StoredFile(artifact=Artifact(name=FILE, size=len(DATA), sha256=SHA), mode="0644")


class World:
    """A server with one collected file, and the places of that file."""

    def __init__(self, server: Downloads, root: Path, source: Path) -> None:
        self.server, self.root, self.source = server, root, source
        self.staged, self.public = root / "staging" / PATH, root / "public" / PATH
        self.part = self.staged.with_name(part_name(FILE, SHA))
        self.collect(FILE, DATA)

    def collect(self, name: str, data: bytes) -> str:
        path = self.source / name
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        path.chmod(0o400)
        return hashlib.sha256(data).hexdigest()

    def stage(self) -> None:
        self.server.stage_all(files={PATH: SHA})

    def place(self) -> None:
        self.server.place_all(files={PATH: SHA})

    def unstage(self) -> None:
        self.server.unstage_all(files={PATH: SHA})

    def put(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def where(self) -> tuple[StoredFile | None, StoredFile | None]:
        return self.staged_file(), self.placed_file()

    def staged_file(self) -> StoredFile | None:
        return self.server.staged_all(paths=(PATH,))[PATH]

    def placed_file(self) -> StoredFile | None:
        return self.server.placed_all(paths=(PATH,))[PATH]

    def names(self) -> list[str]:
        """Return all files of the server, below its root."""
        files = (path for path in self.root.rglob("*") if not path.is_dir())
        return sorted(str(path.relative_to(self.root)) for path in files)


@pytest.fixture(params=["folders", "ssh"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    source = tmp_path / "artifacts"
    source.mkdir()
    if request.param == "folders":
        root = tmp_path / "server"
        local = FolderServer(staging=root / "staging", public=root / "public", source=source)
        return World(local, root, source)
    stand: Stand = request.getfixturevalue("stand")
    root = stand.fresh()
    return World(stand.downloads(root, source), root, source)


def code(act: Callable[[], object]) -> str:
    with pytest.raises(WorldError) as caught:
        act()
    assert caught.value.remedy
    return caught.value.code


def test_a_file_goes_to_staging_and_from_there_to_the_public(world: World) -> None:
    assert world.where() == (None, None)
    world.stage()
    assert world.where() == (STORED, None)
    assert world.names() == [f"staging/{PATH}"]
    world.place()
    assert world.where() == (None, STORED)
    assert world.names() == [f"public/{PATH}"]
    assert (world.source / FILE).read_bytes() == DATA


def test_doing_it_twice_is_harmless(world: World) -> None:
    world.stage()
    world.stage()
    assert world.where() == (STORED, None)
    world.place()
    world.place()
    assert world.where() == (None, STORED)


def test_all_files_go_in_one_call_and_a_second_one_changes_nothing(world: World) -> None:
    files = {PATH: SHA}
    for number in range(7):
        name = f"ftp/python/doc/3.15.0/docs-{number}.zip"
        files[name] = world.collect(f"docs-{number}.zip", b"docs %d" % number)
    paths = tuple(files)
    assert world.server.staged_all(paths=paths) == dict.fromkeys(paths)
    for _ in range(2):
        world.server.stage_all(files=files)
    staged = world.server.staged_all(paths=paths)
    assert {path: one and one.artifact.sha256 for path, one in staged.items()} == files
    for _ in range(2):
        world.server.place_all(files=files)
    assert world.server.placed_all(paths=paths) == staged
    assert world.server.staged_all(paths=paths) == dict.fromkeys(paths)
    assert world.names() == sorted(f"public/{path}" for path in paths)


def test_a_call_for_nothing_does_nothing(world: World) -> None:
    for bulk in (world.server.stage_all, world.server.place_all, world.server.unstage_all):
        bulk(files={})
    assert world.server.staged_all(paths=()) == world.server.placed_all(paths=()) == {}


def test_where_one_file_is_refused_what_was_there_stays(world: World) -> None:
    more = world.collect("more.zip", b"more")
    files = {f"{FOLDER}/more.zip": more, PATH: SHA}
    world.server.stage_all(files=files)
    world.put(world.public, OTHER)
    assert code(lambda: world.server.place_all(files=files)) == "WOULD_OVERWRITE"
    assert world.public.read_bytes() == OTHER
    assert world.staged.read_bytes() == DATA


def test_what_is_taken_from_staging_is_named_by_its_digest(world: World) -> None:
    world.unstage()
    world.stage()
    unstage = partial(world.server.unstage_all, files={PATH: OTHER_SHA})
    assert code(unstage) == "DIGEST_CHANGED"
    world.unstage()
    assert world.where() == (None, None)


def test_i16_modes_do_not_follow_the_umask(world: World) -> None:
    before = os.umask(0o077)
    try:
        world.stage()
        world.place()
    finally:
        os.umask(before)
    assert stat.S_IMODE(world.public.stat().st_mode) == 0o644
    for root in (world.root / "staging", world.root / "public"):
        for folder in ("ftp", "ftp/python", FOLDER):
            assert stat.S_IMODE((root / folder).stat().st_mode) & 0o777 == 0o755


def test_i20_nothing_is_public_before_it_is_placed(world: World) -> None:
    world.stage()
    assert list((world.root / "public").glob("**/*.*")) == []


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
    world.collect(FILE, OTHER)
    with pytest.raises(WorldError, match=f"DIGEST_CHANGED.*{OTHER_SHA}, not {SHA}"):
        world.stage()
    assert world.names() == []


def test_i22_a_staged_file_that_changed_is_not_placed(world: World) -> None:
    world.stage()
    world.staged.write_bytes(OTHER)
    assert code(world.place) == "DIGEST_CHANGED"
    assert not world.public.exists()


def test_i22_what_the_server_cut_or_corrupted_later_is_seen(world: World) -> None:
    world.stage()
    world.place()
    os.truncate(world.public, 100)
    found = world.placed_file()
    assert found is not None
    assert found.artifact.size == 100
    assert found.artifact.sha256 != SHA


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
    assert code(world.placed_file) == "NOT_A_FILE"
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
    (world.root / "staging/ftp").mkdir(parents=True)
    (world.root / "staging/ftp/python").symlink_to(elsewhere)
    assert code(world.stage) == "NOT_A_FILE"
    assert code(world.staged_file) == "NOT_A_FILE"
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("which", ["staging", "public"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_link_at_any_part_of_a_path_is_refused_before_anything_is_changed(
    world: World, tmp_path: Path, which: str, count: int
) -> None:
    if which == "public":
        world.stage()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    parts = PATH.split("/")
    link = world.root.joinpath(which, *parts[:count])
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(elsewhere / "new" if count == len(parts) else elsewhere)
    before = world.names()
    for act in (world.stage, world.unstage) if which == "staging" else (world.place,):
        assert code(act) == "NOT_A_FILE"
    assert list(elsewhere.iterdir()) == []
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
    assert world.names() == before


def test_nothing_is_placed_by_way_of_the_link_to_the_current_docs(world: World) -> None:
    docs = world.root / "public/ftp/python/doc"
    (docs / "3.15.0").mkdir(parents=True)
    (docs / "current").symlink_to("3.15.0")
    files = {f"ftp/python/doc/current/{FILE}": SHA}
    world.server.stage_all(files=files)
    assert code(lambda: world.server.place_all(files=files)) == "NOT_A_FILE"
    assert list((docs / "3.15.0").iterdir()) == []


def test_t43_hostile_names_are_refused_before_the_server_is_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.source)
    world.stage()
    words = [one for one in hostile.STRINGS if not all(map(NAME.fullmatch, one.split("/")))]
    assert len(words) > 200  # the others are words like any other
    server = world.server
    for path in [
        *words,
        *(f"{FOLDER}/{one}" for one in words),
        *(f"{one}/{FILE}" for one in words),
    ]:
        for act in (server.stage_all, server.place_all, server.unstage_all):
            refuses(partial(act, files={path: SHA}))
        for look in (server.staged_all, server.placed_all):
            refuses(partial(look, paths=(path,)))
    assert world.names() == [f"staging/{PATH}"]
    assert [path.name for path in world.source.iterdir()] == [FILE]


def refuses(act: Callable[[], object]) -> None:
    with pytest.raises(ReleaseError) as caught:
        act()
    assert caught.value.code == "BAD_NAME"


# --- killed on the way ------------------------------------------------------------------------


def test_half_a_copy_is_no_file_and_is_gone_in_the_end(world: World) -> None:
    world.put(world.part, DATA[:100])
    assert world.where() == (None, None)
    world.stage()
    assert world.where() == (STORED, None)
    assert world.names() == [f"staging/{PATH}"]


def test_half_a_copy_of_other_bytes_is_thrown_away(world: World) -> None:
    world.put(world.part, OTHER)
    world.stage()
    assert world.where() == (STORED, None)
    assert world.names() == [f"staging/{PATH}"]


def test_a_copy_killed_after_it_got_its_name_is_cleared(world: World) -> None:
    world.stage()
    os.link(world.staged, world.part)
    world.stage()
    assert world.names() == [f"staging/{PATH}"]


def test_what_such_a_copy_left_is_cleared_where_its_file_is_found_staged(world: World) -> None:
    world.stage()
    os.link(world.staged, world.part)
    world.place()
    assert world.names() == [f"public/{PATH}"]


def test_a_move_killed_between_its_halves_is_finished(world: World) -> None:
    world.stage()
    world.public.parent.mkdir(parents=True)
    os.link(world.staged, world.public)
    assert world.where() == (STORED, None)  # so that whoever asks moves it once more
    world.place()
    assert world.where() == (None, STORED)


def test_a_folder_killed_before_it_got_its_mode_is_mended(world: World) -> None:
    (world.root / "staging/ftp").mkdir(parents=True)
    (world.root / "staging/ftp").chmod(0o700)
    world.stage()
    assert stat.S_IMODE((world.root / "staging/ftp").stat().st_mode) & 0o755 == 0o755
