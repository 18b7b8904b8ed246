"""Trees for tests of editors, and what several of their files share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relkit.adapters.edit_numbers import HEADER, README
from relkit.adapters.edit_tools import Tools
from relkit.errors import CheckError, UsageError, WorldError
from relkit.release import Version

WHEN = datetime(2026, 5, 5, 10, 0, tzinfo=UTC)
INSTALLED = Path(sys.prefix) / "share" / "relkit"
CPYTHON = os.environ.get("RELKIT_CPYTHON", "")
LEVEL_NAMES = {"a": "ALPHA", "b": "BETA", "rc": "GAMMA", "final": "FINAL"}
PATCHLEVEL = """\
/* Python version identification. */

#define PY_RELEASE_LEVEL_ALPHA  0xA
#define PY_RELEASE_LEVEL_BETA   0xB
#define PY_RELEASE_LEVEL_GAMMA  0xC     /* For release candidates */
#define PY_RELEASE_LEVEL_FINAL  0xF

/* Version parsed out into numeric values */
/*--start constants--*/
#define PY_MAJOR_VERSION        3
#define PY_MINOR_VERSION        {minor}
#define PY_MICRO_VERSION        {micro}
#define PY_RELEASE_LEVEL        PY_RELEASE_LEVEL_{level}
#define PY_RELEASE_SERIAL       {serial}

/* Version as a string */
#define PY_VERSION              "{text}"
/*--end constants--*/

#define PY_VERSION_HEX ((PY_MAJOR_VERSION << 24))
"""


def patchlevel(version: Version, after: str = "") -> str:
    return PATCHLEVEL.format(
        minor=version.minor,
        micro=version.micro,
        level=LEVEL_NAMES[version.level],
        serial=version.serial,
        text=f"{version}{after}",
    )


def readme(version: Version) -> str:
    title = f"This is Python version {version.spelled}"
    return f"{title}\n{'=' * len(title)}\n\nCopyright.\n"


def put(tree: Path, **files: str) -> None:
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def contents(tree: Path) -> dict[str, bytes]:
    return {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def make_tree(tree: Path, version: str, after: str = "+") -> Path:
    at = Version.parse(version)
    put(tree, **{HEADER: patchlevel(at, after), README: readme(at)})
    return tree


def make_tools(folder: Path, *blurb: str) -> Tools:
    return Tools(sys.executable, blurb or ("false",), folder / "docs", folder / "logs")


def refused(code: str, action: Callable[[], object]) -> str:
    with pytest.raises((CheckError, UsageError, WorldError)) as caught:
        action()
    assert caught.value.code == code
    assert caught.value.remedy
    return str(caught.value)


def news_tree(tree: Path, *names: str) -> None:
    """Make what blurb takes for CPython's tree, with an entry for each name."""
    marks = dict.fromkeys(("Include/Python.h", "Python/ceval.c"), "x\n")
    put(tree, LICENSE="A. HISTORY OF THE SOFTWARE\n", **marks)
    put(tree, **{"Misc/NEWS.d/next/Library/README.rst": "Put entries here.\n"})
    for name in names:
        path = f"Misc/NEWS.d/next/Library/{name}.rst"
        put(tree, **{path: f"Mend {name}.\n"})
    git = ("git", "-C", str(tree), "-c", "user.name=x", "-c", "user.email=x@y")
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "x"], check=True)
