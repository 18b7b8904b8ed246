"""What several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import toy

import relkit.step
import relkit.steps


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
