"""Which tools made a source release: the bytes of the archives depend on their versions."""

from __future__ import annotations

import ctypes
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version as installed_version

from relkit.building.compress import GZIP
from relkit.building.job import Fact
from relkit.building.lane import plain_environment
from relkit.building.source import blurb_version

VERSION_SECONDS = 30.0


def tool_versions(blurb: Sequence[str]) -> dict[str, Fact]:
    """Return the versions of what the bytes depend on; of blurb where it was needed."""
    said: dict[str, Fact] = {"git": _said("git", "--version"), "gzip": _said(GZIP[0], "--version")}
    if blurb:
        said["blurb"] = blurb_version(blurb)
    return said | {
        "liblzma": _liblzma(),
        "python": platform.python_version(),
        "relkit": installed_version("relkit"),
    }


def _said(*command: str) -> str:
    """Return the first line that a tool says."""
    done = subprocess.run(
        command,
        env=plain_environment(),
        capture_output=True,
        check=True,
        text=True,
        timeout=VERSION_SECONDS,
    )
    return done.stdout.splitlines()[0]


def _liblzma() -> str:
    """Ask the library itself that Python has loaded; its module does not tell.

    A Python into which it was built may hide it, and then nobody knows.
    """
    import _lzma  # noqa: PLC0415 (named here to find the library that it loads)

    try:
        library = ctypes.CDLL(getattr(_lzma, "__file__", None))
        library.lzma_version_string.restype = ctypes.c_char_p
        version: bytes = library.lzma_version_string()
    except (AttributeError, OSError):
        return "unknown"
    return version.decode("ascii")
