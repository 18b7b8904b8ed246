"""Two processes at one server at once, and everything that can be killed: what is then there.

Whatever has its name has its bytes, at any instant; and the next call goes on by itself.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from services.running import descendants
from ssh_helpers import Stand
from ssh_processes import Processes, ended, go

pytestmark = pytest.mark.slow  # real uploads, killed at many instants

FOLDER = "ftp/python/3.15.0"
COUNT, SIZE = 6, 300_000


@dataclass
class Scene:
    """A server's trees, and a release's files here."""

    stand: Stand
    folder: Path
    root: Path

    def __post_init__(self) -> None:
        where = {name: str(self.root / name) for name in ("public", "staging")}
        self.processes = Processes(
            self.stand, self.folder, "ssh_downloads", "SshDownloads", 1, where
        )

    def collect(self, name: str) -> tuple[Path, dict[str, str]]:
        """Make files of random bytes; return their folder, and their digests by path."""
        source = self.folder / name
        source.mkdir()
        files = {}
        for number in range(COUNT):
            data = os.urandom(SIZE * (1 + number % 3))
            (source / f"file-{number}").write_bytes(data)
            (source / f"file-{number}").chmod(0o400)
            files[f"{FOLDER}/file-{number}"] = hashlib.sha256(data).hexdigest()
        return source, files

    def process(self, source: Path, files: dict[str, str], *acts: str) -> subprocess.Popen[str]:
        return self.processes.start(source, *[(act, {"files": files}) for act in acts])

    def there(self, where: str, files: dict[str, str]) -> int:
        """Count files that are to be seen; each of them must have its bytes."""
        folder = self.root / where / FOLDER
        found = 0
        for path in folder.iterdir() if folder.exists() else ():
            if path.name.startswith("."):
                continue
            with suppress(FileNotFoundError):  # it is just being moved
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                assert digest == files[f"{FOLDER}/{path.name}"], f"{path.name} is half or other"
                found += 1
        return found

    def parts(self) -> list[str]:
        return [path.name for path in self.root.rglob(".*")]


@pytest.fixture
def scene(stand: Stand, tmp_path: Path) -> Iterator[Scene]:
    found = Scene(stand, tmp_path, stand.fresh())
    yield found
    found.processes.kill()


ACTS = ("stage_all", "place_all")


@pytest.mark.parametrize("seed", range(4))
def test_two_who_release_the_same_at_once_release_it_once(scene: Scene, seed: int) -> None:
    source, files = scene.collect("files")
    acts = ACTS[:1] if seed % 2 else ACTS
    two = [scene.process(source, files, *acts) for _ in range(2)]
    random = Random(seed)  # noqa: S311 (instants, no secrets)
    for one in two:
        go(one)
        time.sleep(random.uniform(0, 0.4))
    while any(one.poll() is None for one in two):
        scene.there("public", files)
    said = [ended(one) for one in two]
    assert "" in said, said
    where = "public" if len(acts) > 1 else "staging"
    server = scene.stand.downloads(scene.root, source)
    for act in acts:
        getattr(server, act)(files=files)
    assert scene.there(where, files) == COUNT
    assert scene.parts() == []


def test_two_who_have_other_bytes_for_the_same_names_never_mix_them(scene: Scene) -> None:
    pairs = [scene.collect(name) for name in ("one", "other")]
    two = [scene.process(*pair, *ACTS) for pair in pairs]
    for one in two:
        go(one)
    said = [ended(one) for one in two]
    either = [pair[1] for pair in pairs]
    folders = [scene.root / where / FOLDER for where in ("staging", "public")]
    for path in (one for folder in folders if folder.exists() for one in folder.iterdir()):
        if not path.name.startswith("."):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            assert digest in {files[f"{FOLDER}/{path.name}"] for files in either}
    assert {*said} & {"WOULD_OVERWRITE", "DIGEST_CHANGED"}


def test_two_releases_at_once_do_not_meet(scene: Scene) -> None:
    pairs = []
    for name in ("3.14.1", "3.15.0"):
        source, files = scene.collect(name)
        pairs.append((source, {path.replace("3.15.0", name): one for path, one in files.items()}))
    two = [scene.process(*pair, *ACTS) for pair in pairs]
    for one in two:
        go(one)
    assert [ended(one) for one in two] == ["", ""]
    for source, files in pairs:
        placed = scene.stand.downloads(scene.root, source).placed_all(paths=tuple(files))
        assert {path: one and one.artifact.sha256 for path, one in placed.items()} == files
    assert scene.parts() == []


def kill_one_of(pids: list[int], random: Random) -> None:
    if pids:
        with suppress(ProcessLookupError):
            os.kill(random.choice(pids), signal.SIGKILL)


@pytest.mark.parametrize("whom", ["relkit", "what relkit runs", "the server's session"])
def test_killed_at_any_instant_nothing_half_has_a_name_and_the_next_call_ends_it(
    scene: Scene, whom: str
) -> None:
    source, files = scene.collect("files")
    random = Random(whom)  # noqa: S311 (instants, no secrets)
    server = scene.stand.server
    for _ in range(8):
        began = server.sessions()
        process = scene.process(source, files, *ACTS)
        go(process)
        time.sleep(random.uniform(0, 1.2))
        if whom == "relkit":
            process.kill()
        elif whom == "what relkit runs":
            kill_one_of([*descendants(process.pid)], random)
        else:
            kill_one_of([*server.sessions() - began], random)
        said = ended(process)
        assert said in {"", "SSH_UNREACHABLE", "REMOTE_FAILED"}
        scene.there("staging", files)
        if scene.there("public", files) == COUNT:
            again = scene.process(source, files, "stage_all")
            go(again)  # so that there is something to be killed in next time
            ended(again)
    process = scene.process(source, files, *ACTS)
    go(process)
    assert ended(process) == ""
    assert scene.there("public", files) == COUNT
    assert scene.there("staging", files) == 0
    assert scene.parts() == []
