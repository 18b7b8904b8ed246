"""Exports by the real command, each in a process of its own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sources import TOP, VERSION

TAG = f"v{VERSION}"
ARCHIVES = (f"{TOP}.tar.xz", f"{TOP}.tgz")
SECONDS = 60.0


@dataclass(frozen=True)
class Exported:
    """What an export left: its exit status, the SHA-256 of each file, and what it said."""

    status: int
    files: Mapping[str, str]
    said: str


def export_command(
    repository: Path | str, out: Path | str, *, python: str | Path = sys.executable
) -> list[str]:
    """Return the command line that exports the sample's release, without asking anybody."""
    options = ("--repo", str(repository), "--out", str(out), "--offline")
    return [str(python), "-P", "-m", "relkit", "export", TAG, *options]


def export(  # noqa: PLR0913 (a process has many sides)
    repository: Path | str,
    out: Path,
    *,
    python: str | Path = sys.executable,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    umask: int = 0o022,
    user: str | None = None,
    wrapper: Sequence[str] = (),
) -> Exported:
    """Export the sample's release in some surroundings; these have nothing of our environment."""
    done = subprocess.run(
        [*wrapper, *export_command(repository, out, python=python)],
        env={"PATH": os.environ["PATH"], **(environment or {})},
        cwd=cwd,
        umask=umask,
        user=user,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
    )
    return Exported(done.returncode, digests(out), done.stdout.decode("utf-8", "replace"))


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in a folder, hidden ones too; of another folder its kind."""
    if not folder.is_dir():
        return {}
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.iterdir())
    }
