"""What can go wrong between here and the docs server: its docs are whole, or not there."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import faults
import pytest
from services.running import skip_without
from services.sshd import Sshd, sshd
from services.wire import Wire, wire
from ssh_faults import UNREACHED, refusal, unreached
from ssh_helpers import Stand

from relkit.adapters.sftp import SshPlace
from relkit.adapters.ssh_docs import EXTRACT, SshDocs
from relkit.adapters.ssh_process import Ran
from relkit.errors import ReleaseError

pytestmark = pytest.mark.slow  # a server of its own for each

VERSION = "3.15.0"
NAME = f"python-{VERSION}-docs-html.zip"
TOP = NAME.removesuffix(".zip")


@dataclass
class Scene:
    """A docs server, a line to it, and an archive of three megabytes."""

    server: Sshd
    line: Wire
    root: Path
    docs: SshDocs
    place: SshPlace
    sha256: str

    def unpack(self) -> None:
        self.docs.unpack(version=VERSION, name=NAME, sha256=self.sha256)

    def effects(self) -> int:
        """Count how often the docs are there: whole, and nothing of them besides."""
        tree = self.root / "release" / VERSION
        if not tree.exists():
            return 0
        assert len([path for path in tree.rglob("*") if path.is_file()]) == 30
        left = {path.name for path in tree.parent.iterdir()}
        assert left == {VERSION, ".relkit"}
        return 1


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    source = tmp_path / "artifacts"
    source.mkdir()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(30):
            archive.writestr(f"{TOP}/{number}.html", os.urandom(100_000))
    (source / NAME).write_bytes(file.getvalue())
    with sshd(tmp_path / "sshd") as server, wire(server.port) as line:
        stand = Stand(server, tmp_path)
        root = stand.fresh()
        for name in ("release", "doc"):
            (root / name).mkdir()
        place = stand.pinned(port=line.port).place(server.host, line.port, server.me.name)
        where = {"releases": str(root / "release"), "links": str(root / "doc")}
        docs = SshDocs(place, place, **where, source=source)
        digest = hashlib.sha256(file.getvalue()).hexdigest()
        yield Scene(server, line, root, docs, place, digest)
        place.close()


def observed(scene: Scene, fault: str, error: ReleaseError) -> None:
    effects = scene.effects()
    scene.unpack()
    scene.unpack()
    faults.observed("Docs", fault, error, effects=effects, effects_after=scene.effects())


@pytest.mark.parametrize("fault", UNREACHED)
def test_t42_a_server_that_is_not_reached_is_said(scene: Scene, fault: str) -> None:
    observed(scene, fault, unreached(scene.server, fault, scene.unpack))


def test_a_cut_upload_leaves_nothing_to_be_seen(scene: Scene) -> None:
    scene.place.connect()
    scene.line.cut_after(1 << 20)
    error = refusal(scene.unpack)
    assert error.code == "SSH_UNREACHABLE"
    observed(scene, "connection cut in an upload", error)


def test_a_folder_of_somebody_else_is_said_and_nothing_is_left_in_it(
    scene: Scene, tmp_path: Path
) -> None:
    release = scene.root / "release"
    where = {"releases": str(release), "links": str(scene.root / "doc")}
    with sshd(tmp_path / "two", users=1) as server:
        place = Stand(server, tmp_path / "other").place(server.others[0])
        docs = SshDocs(place, place, **where, source=tmp_path / "artifacts")
        release.chmod(0o755)
        error = refusal(lambda: docs.unpack(version=VERSION, name=NAME, sha256=scene.sha256))
        assert error.code in {"REMOTE_OWNER", "REMOTE_FAILED"}
        assert list(release.iterdir()) == []
        release.chmod(0o777)
        docs.unpack(version=VERSION, name=NAME, sha256=scene.sha256)
        faults.observed("Docs", "403", error, effects=0, effects_after=scene.effects())
        place.close()


def test_a_server_without_its_folder_is_said(scene: Scene) -> None:
    (scene.root / "release").rmdir()
    error = refusal(scene.unpack)
    assert error.code == "NOT_THERE"
    (scene.root / "release").mkdir()
    observed(scene, "404", error)


def test_what_the_server_unpacks_is_read_back_before_it_appears(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = SshPlace.run

    def corrupting(place: SshPlace, argv: tuple[str, ...], stdin: bytes = b"") -> Ran:
        found = done(place, argv, stdin)
        if argv == EXTRACT:
            (page,) = (scene.root / "release").glob(f".unpacking-{VERSION}-*/tree/7.html")
            page.write_bytes(page.read_bytes()[:-1] + b"?")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(SshPlace, "run", corrupting)
        error = refusal(scene.unpack)
    assert error.code == "DIGEST_CHANGED"
    assert "7.html" in str(error)
    observed(scene, "wrong digest", error)


def test_docs_of_somebody_else_are_never_replaced(scene: Scene) -> None:
    other = scene.root / "release" / VERSION
    other.mkdir()
    error = refusal(scene.unpack)
    assert error.code == "DOCS_EXIST"
    assert list(other.iterdir()) == []
    other.rmdir()
    observed(scene, "another person's file in the way", error)


def test_an_answer_that_is_lost_after_the_effect_is_looked_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = SshPlace.sftp

    def lost(place: SshPlace, *arguments: object, **more: object) -> Ran:
        found = done(place, *arguments, **more)  # type: ignore[arg-type] # as they come
        if "rename -l" in str(arguments):
            scene.server.stop()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(SshPlace, "sftp", lost)
        error = refusal(scene.unpack)
    assert error.code == "SSH_UNREACHABLE"
    scene.server.start()
    assert (scene.root / "release" / VERSION).is_dir()
    scene.unpack()
    faults.observed(
        "Docs",
        "time-out after the effect",
        error,
        effects=1,
        effects_after=int(scene.docs.unpacked(version=VERSION) is not None),
    )


def test_a_full_disk_is_said_and_nothing_half_stays(scene: Scene) -> None:
    if os.geteuid() != 0:
        skip_without("a small disk can be mounted by root only")
    place = str(scene.root / "release")
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        skip_without("no small disk can be mounted here")
    try:
        error = refusal(scene.unpack)
        assert error.code == "REMOTE_FULL"
        assert list((scene.root / "release").iterdir()) == []
        subprocess.run(["mount", "-o", "remount,size=32m", place], check=True)
        observed(scene, "disk full on the server", error)
    finally:
        scene.server.stop()
        subprocess.run(["umount", "-l", place], check=True)
