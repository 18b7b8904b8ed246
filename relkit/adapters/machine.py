"""The machine relkit runs on: its tools, its Python environment, its disk."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from importlib.metadata import distributions, version
from itertools import islice
from pathlib import Path

from relkit.adapters import jupyter
from relkit.adapters.environment import Installation, intruders
from relkit.adapters.timing import seconds_ahead
from relkit.errors import CheckError
from relkit.values import Reach, Tool

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
"""The lock files, in the clone that relkit is installed from."""
PROGRAMS = ("git", "gpg", "make", "cc", "gzip")
USED_IF_THERE = ("tar",)
MODULES = ("_lzma", "_sqlite3", "_ssl", "zlib")
"""What is missing in a Python that was built without the libraries for it."""
PACKAGES = ("relkit", "sigstore", "papermill")
TIMEOUT_SECONDS = 20.0
MOST_DIFFERENCES = 50


class LocalMachine:
    """The form of the port `Machine` for the machine relkit runs on.

    `folder` is where the world's state is kept (it need not exist yet), `blurb` the folder that
    the blurb in use was installed into, named like its lock file: ``blurb-1.1.0``. `site` is an
    address of the world, whose answers tell its time.
    """

    def __init__(
        self, *, folder: Path, blurb: Path, requirements: Path = REQUIREMENTS, site: str = ""
    ) -> None:
        self._folder = folder
        self._blurb = blurb
        self._world = site
        packages = Path(sysconfig.get_path("purelib"))
        self._site = Installation(
            packages, required=(requirements / "lock.txt",), optional=(requirements / "dev.txt",)
        )
        self._tool = Installation(blurb, required=(requirements / f"{blurb.name}.txt",), flat=True)

    def tools(self) -> tuple[Tool, ...]:
        """Return the tools whose versions shape the release; version None: it is missing."""
        programs = [Tool(name=name, version=program_version(name)) for name in PROGRAMS]
        extra = [Tool(name=name, version=program_version(name)) for name in USED_IF_THERE]
        return (
            Tool(name="python", version=platform.python_version()),
            *programs,
            *(tool for tool in extra if tool.version is not None),
            Tool(name="liblzma", version=lzma_version()),
            Tool(name="blurb", version=self._blurb_version()),
            *(Tool(name=name, version=version(name)) for name in PACKAGES),
        )

    def environment_differences(self) -> tuple[str, ...]:
        """Return where packages, files or the import path differ from the lock; at most 50."""
        return tuple(islice(self._differences(), MOST_DIFFERENCES))

    def reach(self) -> Reach:
        """Say how the kernel this runs in is reached, and its server, if there are such."""
        return jupyter.reach()

    def seconds_ahead(self) -> float | None:
        """Return by how much the clock is ahead of the world's; None: it gives no time."""
        return seconds_ahead(self._world) if self._world else None

    def free_bytes(self) -> int:
        """Return the free disk space where the world's state is, or will be, kept."""
        there = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        return shutil.disk_usage(there).free

    def _differences(self) -> Iterator[str]:
        yield from self._site.differences()
        for line in self._tool.differences():
            yield f"{self._blurb.name}: {line}"
        yield from intruders(self._site.folder)

    def _blurb_version(self) -> str | None:
        found = {one.name: one.version for one in distributions(path=[str(self._blurb)])}
        return found.get("blurb")


def program_version(name: str) -> str | None:
    """Return the version a program states about itself; None if it is not on PATH or fails."""
    if shutil.which(name) is None:
        return None
    try:
        done = subprocess.run(
            [name, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    first = re.sub(r"\(.*?\)", "", done.stdout.partition("\n")[0])  # (Debian 12.2.0-14)
    number = re.search(r"\d+(\.\d+)+", first)
    return number[0] if number else first.strip() or None


def lzma_version() -> str | None:
    """Return the version of the xz library that Python's `lzma` uses; the archives depend on it."""
    spec = importlib.util.find_spec("_lzma")
    if spec is None:
        return None
    try:
        library = ctypes.CDLL(spec.origin if spec.has_location else None)
        library.lzma_version_string.restype = ctypes.c_char_p
        return str(library.lzma_version_string().decode())
    except (OSError, AttributeError):
        return "built in"  # linked into Python without its names


def required_tools() -> tuple[str, ...]:
    """Return the names of programs and parts of Python that relkit needs and that are missing."""
    programs = [name for name in PROGRAMS if shutil.which(name) is None]
    modules = [name for name in MODULES if importlib.util.find_spec(name) is None]
    return (*programs, *(f"Python's {name.lstrip('_')}" for name in modules))


def refuse_missing_tools() -> None:
    """Raise `CheckError` (``TOOL_MISSING``) unless everything relkit needs is there."""
    if missing := required_tools():
        raise CheckError(
            f"this machine lacks {', '.join(missing)}",
            code="TOOL_MISSING",
            remedy="Run `make tools` in relkit's folder; it names the package for each of them.",
        )
