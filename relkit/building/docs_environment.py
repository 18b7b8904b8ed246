"""The environment a tree's documentation is built in, with what the tree itself pins.

Environments are kept in one folder and named by a digest of the interpreter and of the tree's
requirement files, so that every tool that needs one for the same tree finds the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import distributions
from pathlib import Path

REQUIREMENTS = ("requirements.txt", "constraints.txt", "requirements-oldest-sphinx.txt")
"""The files below ``Doc/`` that say what is installed; the first one is what pip is given."""
COMPLETE = "relkit-complete"

Runner = Callable[[str, Sequence[str]], None]
"""Runs one command, named for its log, in the folder ``Doc``; raises unless it ends well."""


def docs_environment(docs: Path, *, kept: Path, python: str, run: Runner) -> Path:
    """Return the environment with what the tree's `docs` folder requires, made at first use.

    `kept` is where environments are, `python` makes new ones; that takes the package index once.
    Killed while it is made, it is made anew. A tree without requirements needs none: what is
    returned then does not exist.
    """
    files = [docs / name for name in REQUIREMENTS if (docs / name).is_file()]
    if not (docs / REQUIREMENTS[0]).is_file():
        return docs / "venv"
    digest = hashlib.sha256(f"{sys.version} {python}".encode())
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    folder = kept / digest.hexdigest()[:16]
    kept.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = folder / COMPLETE
        # Programs of an environment know its path: a copied one would run the original.
        if not complete.exists() or complete.read_text(encoding="utf-8") != str(folder):
            shutil.rmtree(folder, ignore_errors=True)
            for name, command in _commands(folder, python).items():
                run(name, command)
            complete.write_text(str(folder), encoding="utf-8")
    return folder


def _commands(folder: Path, python: str) -> dict[str, list[str]]:
    pip = [str(folder / "bin" / "python"), "-m", "pip"]
    pip += ["--disable-pip-version-check", "--no-input"]
    return {
        "docs environment": [python, "-m", "venv", str(folder)],
        "docs requirements": [*pip, "install", "--only-binary=:all:", "-r", REQUIREMENTS[0]],
        "docs packages": [*pip, "freeze", "--all"],
    }


def installed(folder: Path) -> dict[str, str]:
    """Return the packages of an environment with their versions; none where there is none."""
    places = [str(path) for path in folder.glob("lib/python3*/site-packages")]
    found = {one.name.lower(): one.version for one in distributions(path=places)} if places else {}
    return dict(sorted(found.items()))
