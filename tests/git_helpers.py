"""Git as somebody else would run it, and refusals, for the tests of the repositories."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relkit.errors import ReleaseError

WHEN = datetime(2026, 5, 5, 10, 0, tzinfo=UTC)
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_NAME": "Dev" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "dev@example.org" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_DATE": "@1770000000 +0000" for who in ("AUTHOR", "COMMITTER")},
}


def git(folder: Path, *arguments: str, **environment: str) -> str:
    """Run git as somebody else would."""
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.rstrip("\n")


def commit_file(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    git(folder, "add", "--force", name)
    git(folder, "commit", "--quiet", "-m", f"Add {name}")
    return git(folder, "rev-parse", "HEAD")


def refused(code: str, action: Callable[[], object]) -> str:
    with pytest.raises(ReleaseError) as caught:
        action()
    assert caught.value.code == code
    assert caught.value.remedy
    return str(caught.value)
