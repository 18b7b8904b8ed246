"""What several test files share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import rehearsals
import toy
from services.github_scene import Actions, actions_scene
from services.sshd import sshd
from ssh_helpers import Stand

import relkit.step
import relkit.steps
from relkit.real.production import BARRED

os.environ[BARRED] = "tests are run"
"""No test, and nothing that a test starts, opens production (I51)."""


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all test processes of this session share, and no other session."""
    base = tmp_path_factory.getbasetemp()
    # The parent is common to the workers of one session; without workers it outlives the session.
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def snapshots(shared: Path) -> Path:
    """Return a rehearsal of an alpha as it was after many of its steps."""
    return rehearsals.snapshots(shared)


@pytest.fixture
def toy_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the toy steps in the place of the real ones; do not wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(relkit.step, "STEPS", {})
    toy.declare()


@pytest.fixture
def world(tmp_path: Path) -> toy.Toy:
    return toy.Toy.at(tmp_path / "world")


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "records" / "3.15.0a1"


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Return a running sshd, with connections to it."""
    folder = tmp_path_factory.mktemp("sshd")
    with sshd(folder) as server:
        found = Stand(server, folder)
        yield found
        found.close()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Actions]:
    """Return GitHub's stand-in, as one test after the other uses it."""
    with actions_scene(tmp_path_factory.mktemp("actions")) as one:
        yield one


@pytest.fixture
def actions(started: Actions) -> Actions:
    """Return GitHub's stand-in, begun anew for this test."""
    started.scene.begin()
    return started
