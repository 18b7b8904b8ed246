"""Two processes unpacking docs at once, and everything that can be killed: whole or not there."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from services.running import descendants
from ssh_helpers import Stand
from ssh_processes import Processes, ended, go

from relkit.adapters.ssh_docs import SshDocs
from relkit.values import Unpacked

pytestmark = pytest.mark.slow  # real docs servers, killed at many instants

VERSION, COUNT = "3.15.0", 400
TOP = f"python-{VERSION}-docs-html"
NAME = f"{TOP}.zip"


@dataclass
class Scene:
    """A docs server, and an archive here."""

    stand: Stand
    folder: Path
    root: Path

    def __post_init__(self) -> None:
        for name in ("release", "doc"):
            (self.root / name).mkdir()
        where = {"releases": str(self.root / "release"), "links": str(self.root / "doc")}
        self.processes = Processes(self.stand, self.folder, "ssh_docs", "SshDocs", 2, where)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for number in range(COUNT):
                archive.writestr(f"{TOP}/{number % 7}/{number}.html", os.urandom(9000))
        (self.folder / NAME).write_bytes(file.getvalue())
        self.sha256 = hashlib.sha256(file.getvalue()).hexdigest()
        self.docs = SshDocs(self.stand.place(), self.stand.place(), **where, source=self.folder)

    def process(self, act: str, **given: object) -> subprocess.Popen[str]:
        return self.processes.start(self.folder, (act, given))

    def unpacking(self) -> subprocess.Popen[str]:
        return self.process("unpack", version=VERSION, name=NAME, sha256=self.sha256)

    def is_whole(self) -> bool:
        """Tell whether the docs are there; they are whole, then."""
        found = self.docs.unpacked(version=VERSION)
        assert found in {None, Unpacked(sha256=self.sha256, files=COUNT)}
        return found is not None


@pytest.fixture
def scene(stand: Stand, tmp_path: Path) -> Iterator[Scene]:
    found = Scene(stand, tmp_path, stand.fresh())
    yield found
    found.processes.kill()


@pytest.mark.parametrize("seed", range(3))
def test_two_who_unpack_the_same_at_once_unpack_it_once(scene: Scene, seed: int) -> None:
    random = Random(seed)  # noqa: S311 (instants, no secrets)
    two = [scene.unpacking() for _ in range(2)]
    for one in two:
        go(one)
        time.sleep(random.uniform(0, 0.5))
    assert [ended(one) for one in two] == ["", ""]
    assert scene.is_whole()
    left = sorted(path.name for path in (scene.root / "release").iterdir())
    scene.docs.unpack(version=VERSION, name=NAME, sha256=scene.sha256)
    assert sorted(path.name for path in (scene.root / "release").iterdir()) == [".relkit", VERSION]
    assert {*left} >= {".relkit", VERSION}


@pytest.mark.parametrize("whom", ["relkit", "what relkit runs", "the server's session"])
def test_killed_at_any_instant_the_docs_are_whole_or_not_there(scene: Scene, whom: str) -> None:
    random = Random(whom)  # noqa: S311 (instants, no secrets)
    server = scene.stand.server
    for _ in range(6):
        began = server.sessions()
        process = scene.unpacking()
        go(process)
        time.sleep(random.uniform(0, 1.5))
        if whom == "relkit":
            process.kill()
        else:
            found = descendants(process.pid)
            found = found if whom == "what relkit runs" else (*server.sessions() - began,)
            with suppress(ProcessLookupError, IndexError):
                os.kill(random.choice(found), signal.SIGKILL)
        assert ended(process) in {"", "SSH_UNREACHABLE", "REMOTE_FAILED", "DIGEST_CHANGED"}
        if scene.is_whole():
            (scene.root / "release" / VERSION).rename(scene.root / f"kept-{random.random()}")
    scene.docs.unpack(version=VERSION, name=NAME, sha256=scene.sha256)
    assert scene.is_whole()
    assert sorted(path.name for path in (scene.root / "release").iterdir()) == [".relkit", VERSION]


def test_a_link_that_two_move_at_once_leads_where_one_of_them_led_it(scene: Scene) -> None:
    for version in ("3.14.1", "3.14.2", "3.14.3"):
        (scene.root / "doc" / version).mkdir()
    (scene.root / "doc" / "current").symlink_to("3.14.1")
    targets = ("3.14.2", "3.14.3")
    two = [scene.process("point", link="current", target=one, was="3.14.1") for one in targets]
    for one in two:
        go(one)
    said = [ended(one) for one in two]
    assert {*said} <= {"", "LINK_MOVED"}
    assert "" in said
    assert scene.docs.pointed(link="current") in targets
    assert not list((scene.root / "doc").glob(".*"))
