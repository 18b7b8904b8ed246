"""What can go wrong between here and the download server, and what is then the state (SFTP)."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import faults
import pytest
from services.running import skip_without
from services.sshd import GROUP, Account, sshd
from services.wire import Wire, wire
from ssh_helpers import Stand

from relkit.adapters import ssh_downloads
from relkit.adapters.downloads_shared import part_name
from relkit.adapters.sftp import SshPlace
from relkit.adapters.ssh_downloads import SshDownloads
from relkit.adapters.ssh_process import Ran
from relkit.errors import ReleaseError, WaitingError, WorldError
from relkit.telling import telling

pytestmark = pytest.mark.slow  # broken lines, silence, full disks

FOLDER = "ftp/python/3.15.0"
ONE, BIG = 200_000, 4 << 20


@dataclass
class Scene:
    """A release's files, a server's trees, and the line between."""

    stand: Stand
    root: Path
    source: Path
    line: Wire
    files: dict[str, str] = field(default_factory=dict)
    account: Account | None = None
    group: str = ""

    def __post_init__(self) -> None:
        pinned = self.stand.pinned(self.account, self.line.port)
        who = self.account or self.stand.server.me
        self.place: SshPlace = pinned.place(self.stand.server.host, self.line.port, who.name)
        self.told: list[str] = []
        self.server = SshDownloads(
            self.place,
            public=str(self.root / "public"),
            staging=str(self.root / "staging"),
            source=self.source,
            group=self.group,
            tell=self.told.append,
        )

    def collect(self, name: str, size: int) -> Path:
        data = os.urandom(size)
        (self.source / name).write_bytes(data)
        self.files[f"{FOLDER}/{name}"] = hashlib.sha256(data).hexdigest()
        return self.staging / name

    @property
    def staging(self) -> Path:
        return self.root / "staging" / FOLDER

    @property
    def public(self) -> Path:
        return self.root / "public" / FOLDER

    def stage(self) -> None:
        self.server.stage_all(files=self.files)

    def place_all(self) -> None:
        self.server.place_all(files=self.files)

    def effects(self, where: Path) -> int:
        """Count how often the release is there: all its files with their bytes, and no other."""
        wanted = {path.rpartition("/")[2]: sha256 for path, sha256 in self.files.items()}
        found = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (where.iterdir() if where.exists() else ())
            if not path.name.startswith(".")
        }
        assert found.items() <= wanted.items(), "something half or other is to be seen"
        return int(found == wanted)


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("sshd")
    with sshd(folder, users=2 if os.geteuid() == 0 else 0) as server:
        found = Stand(server, folder)
        yield found
        found.close()


@contextmanager
def scene_at(
    stand: Stand, folder: Path, account: Account | None = None, group: str = ""
) -> Iterator[Scene]:
    source = folder / "artifacts"
    source.mkdir()
    with wire(stand.server.port) as line:
        found = Scene(stand, stand.fresh(), source, line, account=account, group=group)
        found.collect("Python-3.15.0.tgz", ONE)
        yield found
        found.place.close()


@pytest.fixture
def scene(stand: Stand, tmp_path: Path) -> Iterator[Scene]:
    with scene_at(stand, tmp_path) as found:
        yield found


def refusal(act: Callable[[], object]) -> ReleaseError:
    with pytest.raises(ReleaseError) as caught:
        act()
    return caught.value


# --- the line breaks ----------------------------------------------------------------------------


def test_a_cut_upload_goes_on_by_itself_and_sends_at_most_one_file_twice(scene: Scene) -> None:
    for number in range(4):
        scene.collect(f"file-{number}", BIG)
    scene.place.connect()
    scene.line.cut_after(9 << 20)  # in the middle of the third
    scene.stage()
    assert scene.line.breaks == 1
    assert any("goes on" in one for one in scene.told)
    total = 4 * BIG + ONE
    assert total < scene.line.sent < total + BIG
    assert not list(scene.staging.glob(".part-*"))
    faults.observed(
        "Downloads", "connection cut in an upload", None, effects=scene.effects(scene.staging)
    )


def test_cut_for_good_it_stops_and_the_next_call_goes_on_where_it_was(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_downloads, "TRIES", 1)
    scene.collect("big", 3 * BIG)
    scene.place.connect()
    scene.line.cut_after(2 * BIG)
    error = refusal(scene.stage)
    assert error.code == "SSH_UNREACHABLE"
    (part,) = scene.staging.glob(".part-*-big")
    assert 0 < part.stat().st_size < 3 * BIG
    effects, sent = scene.effects(scene.staging), scene.line.sent
    scene.stage()
    assert scene.line.sent - sent < 2 * BIG  # of three
    faults.observed(
        "Downloads",
        "connection cut in an upload",
        error,
        effects=effects,
        effects_after=scene.effects(scene.staging),
    )


def test_a_part_of_other_bytes_is_sent_once_more_and_no_oftener(scene: Scene) -> None:
    target = scene.collect("big", BIG)
    target.parent.mkdir(parents=True)
    sha256 = scene.files[f"{FOLDER}/big"]
    target.with_name(part_name("big", sha256)).write_bytes(bytes(BIG // 2))
    scene.stage()
    assert scene.effects(scene.staging) == 1
    assert not list(scene.staging.glob(".part-*"))
    assert scene.line.sent < 2 * BIG + ONE


@pytest.mark.parametrize("placing", [False, True])
def test_a_server_that_falls_silent_is_given_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, placing: bool
) -> None:
    monkeypatch.setattr(ssh_downloads, "TRIES", 1)
    scene.collect("big", BIG)
    where = scene.staging
    act = scene.stage
    if placing:
        scene.stage()
        act, where = scene.place_all, scene.public
    scene.place.connect()
    scene.line.cut_after(3000 if placing else BIG // 2, stall=True)
    error = refusal(act)
    assert error.code == "SSH_UNREACHABLE"
    effects = scene.effects(where)
    scene.line.mend()
    act()
    faults.observed(
        *("Downloads", "time-out before the effect", error),
        effects=effects,
        effects_after=scene.effects(where),
    )


def test_an_answer_that_is_lost_after_the_effect_is_looked_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.stage()
    done = SshPlace.sftp

    def lost(place: SshPlace, *arguments: object, **more: object) -> Ran:
        found = done(place, *arguments, **more)  # type: ignore[arg-type] # as they come
        if "rename" in str(arguments):
            scene.line.cut()
            raise WorldError(
                "the answer is lost; what is there is not known",
                code="SSH_UNREACHABLE",
                remedy="Look again, then.",
            )
        return found

    with monkeypatch.context() as patch:
        patch.setattr(SshPlace, "sftp", lost)
        error = refusal(scene.place_all)
    effects = scene.effects(scene.public)
    assert effects == 1
    before = (scene.public / "Python-3.15.0.tgz").stat()
    try:
        scene.place_all()
    except WorldError:
        scene.place_all()
    assert (scene.public / "Python-3.15.0.tgz").stat() == before
    faults.observed(
        "Downloads", "time-out after the effect", error, effects=effects, effects_after=1
    )


# --- bytes, keys, rights ------------------------------------------------------------------------


def test_i22_bytes_that_the_server_corrupts_are_never_named(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = SshPlace.sftp

    def corrupting(place: SshPlace, *arguments: object, **more: object) -> Ran:
        found = done(place, *arguments, **more)  # type: ignore[arg-type] # as they come
        for part in scene.staging.glob(".part-*"):
            part.write_bytes(bytes(part.stat().st_size))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(SshPlace, "sftp", corrupting)
        error = refusal(scene.stage)
    assert error.code == "DIGEST_CHANGED"
    assert list(scene.staging.iterdir()) == []
    scene.stage()
    faults.observed(
        *("Downloads", "wrong digest", error),
        effects=0,
        effects_after=scene.effects(scene.staging),
    )


def test_i20_somebody_elses_file_is_never_replaced(scene: Scene) -> None:
    scene.stage()
    other = scene.public / "Python-3.15.0.tgz"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"of another person")
    error = refusal(scene.place_all)
    assert error.code == "WOULD_OVERWRITE"
    assert other.read_bytes() == b"of another person"
    other.unlink()
    scene.place_all()
    faults.observed(
        "Downloads",
        "another person's file in the way",
        error,
        effects=0,
        effects_after=scene.effects(scene.public),
    )


@pytest.mark.parametrize("placing", [False, True])
def test_somebody_who_is_quicker_is_not_replaced_either(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, placing: bool
) -> None:
    where, act = scene.staging, scene.stage
    if placing:
        scene.stage()
        where, act = scene.public, scene.place_all
    done = SshPlace.sftp

    def slower(place: SshPlace, *arguments: object, **more: object) -> Ran:
        if "rename" in str(arguments):
            (where / "Python-3.15.0.tgz").write_bytes(b"quicker")
        return done(place, *arguments, **more)  # type: ignore[arg-type] # as they come

    monkeypatch.setattr(SshPlace, "sftp", slower)
    assert refusal(act).code == "WOULD_OVERWRITE"
    assert (where / "Python-3.15.0.tgz").read_bytes() == b"quicker"


def test_t42_a_changed_host_key_stops_it_before_a_byte_is_sent(tmp_path: Path) -> None:
    with sshd(tmp_path / "sshd") as server, scene_at(Stand(server, tmp_path), tmp_path) as scene:
        server.change_key()
        error = refusal(scene.stage)
        assert error.code == "HOSTKEY"
        assert scene.line.sent < 10_000
        assert not scene.staging.exists()
        server.stop()
        server.key_file = tmp_path / "sshd" / "host_key"
        server.start()
        scene.stage()
        faults.observed(
            *("Downloads", "changed host key", error),
            effects=0,
            effects_after=scene.effects(scene.staging),
        )


def test_who_may_not_sign_in_is_told_so(scene: Scene) -> None:
    keys = scene.stand.server.root / "keys" / scene.stand.server.me.name
    kept = keys.read_bytes()
    keys.write_bytes(b"")
    try:
        error = refusal(scene.stage)
    finally:
        keys.write_bytes(kept)
    assert error.code == "SSH_DENIED"
    scene.stage()
    faults.observed(
        "Downloads", "401", error, effects=0, effects_after=scene.effects(scene.staging)
    )


def test_a_server_without_its_folders_is_said(scene: Scene) -> None:
    (scene.root / "staging").rmdir()
    error = refusal(scene.stage)
    assert error.code == "NOT_THERE"
    (scene.root / "staging").mkdir()
    scene.stage()
    faults.observed(
        "Downloads", "404", error, effects=0, effects_after=scene.effects(scene.staging)
    )


def test_bytes_of_a_line_given_up_that_come_late_change_no_file(scene: Scene) -> None:
    """What a connection has sent before it was lost can still arrive once its line is mended."""
    target = scene.collect("big", BIG)
    target.parent.mkdir(parents=True)
    data = (scene.source / "big").read_bytes()
    sha256 = scene.files[f"{FOLDER}/big"]
    parts = [target.with_name(part_name("big", sha256)) for _ in range(2)]
    with parts[0].open("ab", buffering=0) as one, parts[1].open("ab", buffering=0) as other:
        one.write(data[: BIG // 2])
        other.write(data[: BIG // 4])
        scene.stage()
        one.write(data[BIG // 2 :])
        assert scene.effects(scene.staging) == 1
        scene.place_all()
        other.write(data[BIG // 4 :])
    assert scene.effects(scene.public) == 1
    assert not list(scene.staging.iterdir())


def test_a_line_that_breaks_again_and_again_is_gone_on_with_while_more_arrives(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        scene.collect(f"file-{number}", BIG)
    told = scene.told.append

    def breaking(text: str) -> None:
        told(text)
        if "sends" in text and scene.line.breaks < 6:
            scene.line.cut_after(BIG // 2)

    monkeypatch.setattr(scene.server, "_tell", breaking)
    scene.stage()
    assert scene.line.breaks == 6
    assert scene.effects(scene.staging) == 1
    assert not list(scene.staging.glob(".part-*"))


# --- two people ---------------------------------------------------------------------------------


@pytest.fixture
def two(stand: Stand, tmp_path: Path) -> Iterator[tuple[Scene, Account]]:
    """Return a release manager's scene, and another person."""
    if not stand.server.others:
        skip_without("accounts for tests of several users need root")
    one, other = stand.server.others
    with scene_at(stand, tmp_path, one, GROUP) as scene:
        for name in ("staging", "public"):
            os.chown(scene.root / name, 0, grp.getgrnam(GROUP).gr_gid)
            (scene.root / name).chmod(0o2775)
        yield scene, other


def give(path: Path, account: Account, mode: int, group: str = "") -> None:
    """Make a path another person's, with a mode."""
    gid = grp.getgrnam(group).gr_gid if group else -1
    os.chown(path, pwd.getpwnam(account.name).pw_uid, gid)
    path.chmod(mode)


def test_i16_folders_get_the_group_and_files_the_mode_that_readers_need(
    two: tuple[Scene, Account],
) -> None:
    scene, _ = two
    scene.stage()
    scene.place_all()
    group = grp.getgrnam(GROUP).gr_gid
    for folder in (scene.public, *scene.public.parents[:2]):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o2775, folder
        assert folder.stat().st_gid == group
    file = scene.public / "Python-3.15.0.tgz"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert scene.effects(scene.public) == 1


def test_i17_a_folder_that_an_expert_made_is_used_and_not_changed(
    two: tuple[Scene, Account],
) -> None:
    scene, other = two
    scene.stage()
    for folder in (scene.public.parents[1], scene.public.parents[0], scene.public):
        folder.mkdir()
        give(folder, other, 0o775, GROUP)
    before = scene.public.stat()
    scene.place_all()
    assert scene.effects(scene.public) == 1
    after = scene.public.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def test_what_is_read_only_here_is_gone_on_with_too(two: tuple[Scene, Account]) -> None:
    """Who is not root cannot open a read-only file of its own to go on with it."""
    scene, _ = two
    target = scene.collect("big", BIG)
    (scene.source / "big").chmod(0o400)
    scene.place.connect()
    scene.line.cut_after(BIG // 2)
    scene.stage()
    assert scene.line.breaks == 1
    assert scene.effects(scene.staging) == 1
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_what_somebody_else_is_sending_is_neither_used_nor_in_the_way(
    two: tuple[Scene, Account],
) -> None:
    scene, other = two
    target = scene.collect("big", BIG)
    scene.server.unstage_all(files=scene.files)
    target.parent.mkdir(parents=True)
    for folder in (target.parent, *target.parent.parents[:2]):
        give(folder, other, 0o3775, GROUP)
    part = target.with_name(part_name("big", scene.files[f"{FOLDER}/big"]))
    part.write_bytes((scene.source / "big").read_bytes())
    give(part, other, 0o600)
    scene.stage()
    assert part.exists()
    assert scene.effects(scene.staging) == 1


def test_a_file_that_somebody_else_staged_is_said_to_be_theirs(
    two: tuple[Scene, Account],
) -> None:
    scene, other = two
    scene.stage()
    give(scene.staging, other, 0o3775, GROUP)  # who has made a file there moves it
    give(scene.staging / "Python-3.15.0.tgz", other, 0o644)
    error = refusal(scene.place_all)
    assert error.code == "REMOTE_OWNER"
    assert other.name in str(error)
    assert scene.effects(scene.public) == 0


def test_i16_a_folder_killed_before_it_got_its_group_gets_it(two: tuple[Scene, Account]) -> None:
    scene, _ = two
    scene.stage()
    scene.place_all()
    os.chown(scene.public, -1, pwd.getpwnam(scene.place.pin.user).pw_gid)
    scene.place_all()
    assert scene.public.stat().st_gid == grp.getgrnam(GROUP).gr_gid
    assert stat.S_IMODE(scene.public.stat().st_mode) == 0o2775


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o700])
def test_i17_a_folder_whose_mode_does_not_do_is_said_with_its_owner(
    two: tuple[Scene, Account], mode: int
) -> None:
    scene, other = two
    scene.stage()
    for folder in (scene.public.parents[1], scene.public.parents[0], scene.public):
        folder.mkdir()
        give(folder, other, 0o775, GROUP)
    give(scene.public, other, mode)
    error = refusal(scene.place_all)
    assert error.code in {"REMOTE_OWNER", "REMOTE_FAILED"}
    if mode != 0o700:
        assert error.code == "REMOTE_OWNER"
        assert other.name in str(error)
        assert f"{mode:04o}" in str(error)
    assert list(scene.public.iterdir()) == []
    give(scene.public, other, 0o775)
    scene.place_all()
    faults.observed("Downloads", "403", error, effects=0, effects_after=scene.effects(scene.public))


def test_i17_a_file_that_somebody_else_placed_with_our_bytes_is_left_as_it_is(
    two: tuple[Scene, Account],
) -> None:
    scene, other = two
    scene.stage()
    scene.place_all()
    file = scene.public / "Python-3.15.0.tgz"
    give(file, other, 0o600)
    assert refusal(scene.place_all).code in {"REMOTE_OWNER", "REMOTE_FAILED"}
    give(file, other, 0o664)
    error = refusal(scene.place_all)
    assert error.code == "REMOTE_OWNER"
    assert other.name in str(error)
    assert stat.S_IMODE(file.stat().st_mode) == 0o664
    give(file, other, 0o644)
    scene.place_all()
    assert file.stat().st_uid == pwd.getpwnam(other.name).pw_uid


def test_a_public_tree_on_another_disk_is_said(scene: Scene) -> None:
    if os.geteuid() != 0:
        skip_without("another disk can be mounted by root only")
    public = scene.root / "public"
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(public)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        skip_without("no other disk can be mounted here")
    try:
        scene.stage()
        error = refusal(scene.place_all)
    finally:
        scene.place.close()
        subprocess.run(["umount", "-l", str(public)], check=True)
    assert error.code == "NOT_ONE_DISK"
    assert scene.effects(scene.staging) == 1
    scene.place_all()
    assert scene.effects(scene.public) == 1


# --- no room --------------------------------------------------------------------------------------


@pytest.fixture
def small(scene: Scene) -> Iterator[Scene]:
    """Return a scene whose trees are on a disk of two megabytes."""
    if os.geteuid() != 0:
        skip_without("a small disk can be mounted by root only")
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=1777", "tmpfs", str(scene.root)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        skip_without("no small disk can be mounted here")
    for name in ("staging", "public"):
        (scene.root / name).mkdir()
    yield scene
    scene.place.close()
    subprocess.run(["umount", "-l", str(scene.root)], check=True)


def test_a_full_disk_is_said_and_nothing_half_stays(small: Scene) -> None:
    small.collect("big", BIG)
    error = refusal(small.stage)
    assert error.code == "REMOTE_FULL"
    assert small.effects(small.staging) == 0
    assert [path.name for path in small.staging.iterdir() if path.stat().st_size] == []
    resize = ["mount", "-o", "remount,size=16m", str(small.root)]
    subprocess.run(resize, check=True)
    small.stage()
    faults.observed(
        *("Downloads", "disk full on the server", error),
        effects=0,
        effects_after=small.effects(small.staging),
    )


def test_a_disk_filled_by_others_is_no_puzzle(small: Scene) -> None:
    filler = small.root / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    assert refusal(small.stage).code == "REMOTE_FULL"
    filler.unlink()
    small.stage()
    assert small.effects(small.staging) == 1


# --- a person -------------------------------------------------------------------------------------


def test_who_listens_hears_each_file_and_may_stop_between_two(scene: Scene) -> None:
    for number in range(3):
        scene.collect(f"file-{number}", BIG)
    heard: list[str] = []

    def stopping(text: str) -> None:
        heard.append(text)
        if text.startswith("3 of 4: "):
            raise WaitingError("stopped as you asked", code="INTERRUPTED", remedy="Run it again.")

    server = scene.stand.downloads(scene.root, scene.source)
    with telling(stopping):
        assert refusal(lambda: server.stage_all(files=scene.files)).code == "INTERRUPTED"
    assert [one[:7] for one in heard] == ["1 of 4:", "2 of 4:", "3 of 4:"]
    assert scene.effects(scene.staging) == 0
    sent = scene.line.sent
    scene.stage()
    assert scene.line.sent - sent < 3 * BIG  # of three and a bit
    assert scene.effects(scene.staging) == 1
