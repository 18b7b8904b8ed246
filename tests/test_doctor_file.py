"""The one file that the doctor writes: taken away whenever it is killed, and nobody else's ever."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from doctor_kills import FOLDER, files, probe
from services.sshd import sshd

from relkit.adapters.folders import FolderServer
from relkit.adapters.probe_file import FORMER, NAME, SHA256, TEXT
from relkit.errors import WorldError
from relkit.expected import expected
from relkit.kinds import RELEASES
from relkit.manifest import signatures
from relkit.release import Release
from relkit.values import Artifact, StoredFile

PROGRAM = Path(__file__).with_name("doctor_kills.py")
STAGED = f"server/staging/{FOLDER}/{NAME}"


def instants(folder: Path, **reached: object) -> list[dict[str, Any]]:
    words = [json.dumps({key: str(one) for key, one in reached.items()})] if reached else []
    done = subprocess.run(
        [sys.executable, PROGRAM, folder, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_clean(found: list[dict[str, Any]]) -> None:
    assert [one["killed"] for one in found] == [True] * (len(found) - 1) + [False]
    assert any(STAGED in one["left"] for one in found)
    assert all(not one["after"] and not one["unsure"] for one in found), found
    assert any("left by an earlier run" in one["found"] for one in found)
    assert not any("public" in name for one in found for name in one["left"])


def test_killed_between_any_two_steps_it_is_taken_away_by_the_next_run(tmp_path: Path) -> None:
    assert_clean(instants(tmp_path))


@pytest.mark.slow
def test_killed_between_any_two_calls_of_a_server_it_is_taken_away_by_the_next_run(
    tmp_path: Path,
) -> None:
    with sshd(tmp_path / "sshd") as server:
        me, trees = server.me, server.root / "trees"
        trees.mkdir()
        found = instants(
            trees,
            host=server.host,
            port=server.port,
            user=me.name,
            host_key=server.host_key,
            identity=me.identity,
        )
    assert_clean(found)


# --- whose it is ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [NAME, f"superseded/{NAME}.1", f"superseded/{NAME}.27"])
def test_what_an_earlier_form_left_among_the_collected_files_is_removed(
    tmp_path: Path, name: str
) -> None:
    old = tmp_path / "shelf" / name
    old.parent.mkdir(parents=True)
    old.write_bytes(FORMER + b"3.15.0a1 can be written.\n")
    old.chmod(0o444)
    assert "1 left by an earlier run" in probe(tmp_path, {})().found
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["Python-3.15.0a1.tgz", f"{NAME}.asc", f"superseded/x{NAME}.1", f"superseded/{NAME}.x"]
)
def test_what_has_another_name_is_left_alone(tmp_path: Path, name: str) -> None:
    other = tmp_path / "shelf" / name
    other.parent.mkdir(parents=True)
    other.write_bytes(FORMER)
    assert "earlier" not in probe(tmp_path, {})().found
    assert other.exists()


@pytest.mark.parametrize("data", [b"of somebody", FORMER + b"x" * 300])
def test_what_has_the_name_and_is_not_ours_is_left_alone(tmp_path: Path, data: bytes) -> None:
    other = tmp_path / "shelf" / "superseded" / f"{NAME}.1"
    other.parent.mkdir(parents=True)
    other.write_bytes(data)
    probe(tmp_path, {})()
    assert other.read_bytes() == data


def test_a_link_is_left_alone_and_not_followed(tmp_path: Path) -> None:
    aside, target = tmp_path / "shelf" / "superseded", tmp_path / "target"
    aside.mkdir(parents=True)
    target.write_bytes(FORMER)
    (aside / f"{NAME}.1").symlink_to(target)
    probe(tmp_path, {})()
    assert (aside / f"{NAME}.1").is_symlink()
    assert target.exists()


def test_another_file_of_the_name_in_staging_is_refused_and_stays(tmp_path: Path) -> None:
    other = tmp_path / STAGED
    other.parent.mkdir(parents=True)
    other.write_bytes(b"of somebody")
    with pytest.raises(WorldError) as refusal:
        probe(tmp_path, {})()
    assert refusal.value.code == "DIGEST_CHANGED"
    assert other.read_bytes() == b"of somebody"


class Odd(FolderServer):
    """A server that tells other things of files than they are."""

    told: str | None = None
    looked = 0

    def staged_all(self, *, paths: tuple[str, ...]) -> dict[str, StoredFile | None]:
        self.looked += 1
        if self.looked == 2 and self.told:
            artifact = Artifact(name=NAME, size=1, sha256=self.told)
            return {paths[0]: StoredFile(artifact=artifact, mode="0644")}
        return dict.fromkeys(paths)


def odd(tmp_path: Path, told: str | None) -> Any:  # noqa: ANN401 (a probe of this server)
    plain = probe(tmp_path, {})
    root = tmp_path / "server"
    server = Odd(staging=root / "staging", public=root / "public", source=plain.source)
    server.told = told
    return type(plain)(server, plain.source, plain.folder, plain.shelf)


def test_staging_is_not_called_well_where_something_else_is_read(tmp_path: Path) -> None:
    with pytest.raises(WorldError) as refusal:
        odd(tmp_path, "0" * 64)()
    assert refusal.value.code == "DIGEST_CHANGED"
    assert files(tmp_path) == []


def test_where_somebody_removes_the_file_it_is_not_known_how_staging_stands(
    tmp_path: Path,
) -> None:
    assert "another doctor" in odd(tmp_path, None)().unsure
    assert odd(tmp_path, SHA256)().unsure == ""


def test_no_release_has_a_file_of_this_name() -> None:
    versions = {"alpha": "3.15.0a1", "rc-1": "3.15.0rc1", "final": "3.14.0", "bugfix": "3.13.9"}
    assert {*versions} <= {str(one) for one in RELEASES}
    for kind, version in versions.items():
        release = Release.parse(version, kind, "2026-05-05")
        names = {one.name for one in expected(release)}
        names |= {name for name, _ in signatures(release)}
        assert names
        assert not {one for one in names if "relkit" in one}
    assert b"no file of a release" in TEXT
