"""What can go wrong between here and where experts upload: files come whole, or not at all.

Nothing is sent there. The effect is that the release has the files an expert put there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import faults
import pytest
from services.sshd import Sshd, sshd
from services.wire import Wire, wire
from ssh_faults import UNREACHED, refusal, unreached
from ssh_helpers import Stand
from test_incoming import PKG, Expert, build

from relkit.adapters.incoming import Incoming
from relkit.adapters.incoming_ssh import SshUploads
from relkit.adapters.sftp import SshPlace
from relkit.errors import ReleaseError

pytestmark = pytest.mark.slow  # a server of its own for each
PORT = "Builders (incoming)"


@dataclass
class Scene:
    """A server with an expert's files, a line to it, and a folder here for them."""

    server: Sshd
    line: Wire
    expert: Expert
    place: SshPlace
    folder: Path

    def service(self, place: SshPlace | None = None) -> Incoming:
        uploads = SshUploads(place or self.place)
        return Incoming(uploads, folder=str(self.expert.folder.parent), builder="https://b.example")

    def take(self, service: Incoming | None = None) -> None:
        """Look, and take what is done, as `RemoteBuilders` does: into an empty folder."""
        at = service or self.service()
        run = at.start(build=build())
        # What is refused of the files comes as a state, for people to read.
        assert at._state(build(), run).status == "done"
        for file in self.folder.iterdir():
            file.unlink()
        at.fetch(build=build(), run=run, folder=self.folder)

    def effects(self) -> int:
        """Count how often the files are here, whole."""
        whole = self.expert.files.items()
        return int(all(self._is(name, data) for name, data in whole))

    def _is(self, name: str, data: bytes) -> bool:
        path = self.folder / name
        return path.exists() and path.read_bytes() == data


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with sshd(tmp_path / "sshd") as server, wire(server.port) as line:
        stand = Stand(server, tmp_path)
        expert = Expert(stand.fresh())
        expert.files[PKG] = os.urandom(3_000_000)
        expert.put_all()
        place = stand.pinned(port=line.port).place(server.host, line.port, server.me.name)
        (folder := tmp_path / "here").mkdir()
        yield Scene(server, line, expert, place, folder)
        place.close()


def observed(scene: Scene, fault: str, error: ReleaseError) -> None:
    effects = scene.effects()
    assert effects == 0
    scene.take()
    faults.observed(PORT, fault, error, effects=effects, effects_after=scene.effects())


@pytest.mark.parametrize("fault", UNREACHED)
def test_t42_a_server_that_is_not_reached_is_said(scene: Scene, fault: str) -> None:
    observed(scene, fault, unreached(scene.server, fault, scene.take))


def test_a_line_that_is_cut_leaves_no_whole_file(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = SshUploads.get

    def cut(place: SshUploads, *, folder: str, name: str, target: Path) -> None:
        scene.line.cut_after(1000)  # of what goes there: some requests for pieces
        get(place, folder=folder, name=name, target=target)

    with monkeypatch.context() as patch:
        patch.setattr(SshUploads, "get", cut)
        error = refusal(scene.take)
    assert error.code == "SSH_UNREACHABLE"
    observed(scene, "truncated body", error)


def test_a_folder_that_may_not_be_read_is_said(scene: Scene, tmp_path: Path) -> None:
    with sshd(tmp_path / "two", users=1) as server:
        place = Stand(server, tmp_path / "other").place(server.others[0])
        scene.expert.folder.chmod(0o700)
        error = refusal(lambda: scene.take(scene.service(place)))
        assert error.code in {"REMOTE_OWNER", "REMOTE_FAILED"}
        scene.expert.folder.chmod(0o755)
        scene.take(scene.service(place))
        faults.observed(PORT, "403", error, effects=0, effects_after=scene.effects())
        place.close()


def test_a_file_that_goes_away_between_the_looks_is_said(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = SshUploads.read
    moved = scene.expert.folder / PKG

    def going(place: SshUploads, *, folder: str, name: str, limit: int) -> str:
        moved.unlink(missing_ok=True)
        return read(place, folder=folder, name=name, limit=limit)

    with monkeypatch.context() as patch:
        patch.setattr(SshUploads, "read", going)
        at = scene.service()
        error = refusal(lambda: at.fetch(build=build(), run=at.start(build=build()), folder=Path()))
    assert error.code == "DIGEST_CHANGED"
    scene.expert.put_files()
    observed(scene, "404", error)


@pytest.mark.skipif(os.geteuid() != 0, reason="a file of another account takes root to make")
def test_a_file_that_another_account_put_there_is_not_taken(scene: Scene) -> None:
    os.chown(scene.expert.folder / PKG, 1, 1)
    error = refusal(scene.take)
    assert error.code == "INCOMING_OWNERS"
    os.chown(scene.expert.folder / PKG, os.geteuid(), os.getegid())
    observed(scene, "another person's file in the way", error)


def test_a_stranger_among_the_files_is_named_and_left_alone(scene: Scene) -> None:
    scene.expert.put("somebody-elses.pkg", b"x")
    error = refusal(scene.take)
    assert error.code == "UNLISTED_FILE"
    assert "somebody-elses.pkg" in str(error)
    stranger = scene.expert.folder / "somebody-elses.pkg"
    assert stranger.read_bytes() == b"x"
    stranger.unlink()
    observed(scene, "another person's file in the way", error)
