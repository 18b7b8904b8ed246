"""Commits and archives for tests of what is made from sources."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from relkit.building.archive import Form, Member, payload, tar_key
from relkit.building.compress import pack
from relkit.rehearsal.tree import make_repository
from relkit.release import Version

BLURB = Path(sys.prefix) / "share" / "relkit" / "blurb-2.3.0"
OLD_BLURB = BLURB.with_name("blurb-1.1.0")
VERSION = Version.parse("3.15.0a2")
TOP = f"Python-{VERSION}"


def git(repository: Path, *arguments: str, given: bytes = b"") -> str:
    """Run git away from anybody's configuration."""
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments],
        env={"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(repository)},
        input=given,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


def sample(folder: Path) -> tuple[Path, str]:
    """Make the sample repository; return it and the commit of the release in its history."""
    repository = folder / "sample.git"
    make_repository(repository, Version.parse("3.15.0a3"))
    return repository, git(repository, "rev-parse", f"v{VERSION}^{{commit}}")


def commit(repository: Path, files: Mapping[str, bytes], *, modes: Mapping[str, str]) -> str:
    """Commit files to a new bare repository; return the commit."""
    repository.mkdir()
    git(repository, "init", "--quiet", "--bare", "--initial-branch=main")
    stream = b"commit refs/heads/main\ncommitter A <a@b.invalid> 1700000000 +0000\ndata 0\n"
    for path, data in files.items():
        name = path.encode("utf-8", "surrogateescape")
        quoted = b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        mode = modes.get(path, "100644").encode()
        stream += b"M %s inline %s\ndata %d\n%s\n" % (mode, quoted, len(data), data)
    git(repository, "fast-import", "--quiet", given=stream)
    return git(repository, "rev-parse", "main")


def write(folder: Path, pieces: Iterable[bytes]) -> tuple[Path, Path]:
    """Pack a tar into the two archives of `VERSION`."""
    folder.mkdir(exist_ok=True)
    tgz, xz = folder / f"{TOP}.tgz", folder / f"{TOP}.tar.xz"
    for path in tgz, xz:
        path.unlink(missing_ok=True)
    pack(pieces, tgz=tgz, xz=xz)
    return tgz, xz


def tar(members: Iterable[Member], mtime: int = 1700000000) -> bytes:
    """Return the tar of some members, put in order."""
    ordered = sorted(members, key=lambda member: tar_key(member.path))
    return b"".join(payload(ordered, Form(TOP, mtime)))
