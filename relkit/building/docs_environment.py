"""The environment a tree's documentation is built in, with what the tree itself pins.

A tree pins ranges of versions, and has no digests. What pip has chosen from them the first time is
kept, with the digest of every file it took, in ``<digest>.txt``: a list as pip reads it, named by
the tree's requirement files, the version of Python and the platform. From then on environments are
made from exactly these files. Put into that folder on another machine of the same kind, the list
gives the same environment there; without it pip chooses anew.

Environments are kept beside the lists, and named by a digest of the interpreter and of the
requirement files, so that every tool that needs one for the same tree finds the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from relkit.building.job import write_whole
from relkit.errors import ReleaseError, WorldError

REQUIREMENTS = ("requirements.txt", "constraints.txt", "requirements-oldest-sphinx.txt")
"""The files below ``Doc/`` that say what is installed; the first one is what pip is given."""
COMPLETE = "relkit-complete"
REPORT = "relkit-report.json"
PLATFORM = f"{sys.version_info.major}.{sys.version_info.minor} {sysconfig.get_platform()}"
SEPARATORS = re.compile(r"[-_.]+")
LOCKED = re.compile(r"^(\S+)==(\S+) --hash=sha256:[0-9a-f]{64}$", flags=re.MULTILINE)

Runner = Callable[[str, Sequence[str]], None]
"""Runs one command, named for its log, in the folder ``Doc``; raises unless it ends well."""


def docs_environment(docs: Path, *, kept: Path, python: str, run: Runner) -> Path:
    """Return the environment with what the tree's `docs` folder requires, made at first use.

    `kept` is where environments are, `python` makes new ones; that takes the package index once.
    Killed while it is made, it is made anew, as it is where packages are not those of its list. A
    tree without requirements needs none: what is returned then does not exist.
    """
    if not (docs / REQUIREMENTS[0]).is_file():
        return docs / "venv"
    folder = kept / _digest(docs, f"{sys.version} {python}")
    locked = docs_lock(docs, kept)
    kept.mkdir(parents=True, exist_ok=True)
    with locked.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _complete(folder, locked):
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, locked, python, run)
            write_whole(folder / COMPLETE, _stamp(folder, locked))
    return folder


def docs_lock(docs: Path, kept: Path) -> Path:
    """Return where the list of what the tree's environments have is kept."""
    return kept / f"{_digest(docs, PLATFORM)}.txt"


def _digest(docs: Path, surroundings: str) -> str:
    digest = hashlib.sha256(surroundings.encode())
    for file in [docs / name for name in REQUIREMENTS if (docs / name).is_file()]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _stamp(folder: Path, locked: Path) -> str:
    """Return what a complete environment says of itself.

    Its path, since programs of an environment know it, and a copied one would run the original;
    and the digest of the list it was made from.
    """
    text = locked.read_bytes() if locked.exists() else b""
    return f"{folder}\n{hashlib.sha256(text).hexdigest()}\n"


def _complete(folder: Path, locked: Path) -> bool:
    complete = folder / COMPLETE
    if not complete.exists() or complete.read_text(encoding="utf-8") != _stamp(folder, locked):
        return False
    return listed(locked).items() <= installed(folder).items()


def _make(folder: Path, locked: Path, python: str, run: Runner) -> None:
    run("docs environment", [python, "-m", "venv", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip"]
    pip += ["--disable-pip-version-check", "--no-input"]
    install = [*pip, "install", "--only-binary=:all:"]
    if locked.exists():
        _install_listed(locked, [*install, "--require-hashes", "--no-deps"], run)
    else:
        report = folder / REPORT
        run("docs requirements", [*install, "--report", str(report), "-r", REQUIREMENTS[0]])
        if report.exists():  # every pip since 22.2 writes one
            write_whole(locked, _list(json.loads(report.read_text(encoding="utf-8"))))
    run("docs packages", [*pip, "freeze", "--all"])


def _install_listed(locked: Path, install: Sequence[str], run: Runner) -> None:
    try:
        run("docs requirements", [*install, "-r", str(locked)])
    except ReleaseError as error:
        raise WorldError(
            f"the packages of {locked.name} cannot be installed: {error}",
            code="DOCS_LOCK",
            remedy=f"Read the log; to have pip choose anew, and the bytes change, remove {locked}.",
        ) from error


def _list(report: dict[str, Any]) -> str:
    """Turn pip's report into the list of what it has installed, by digest."""
    return "".join(sorted(_line(one) for one in report["install"]))


def _line(one: dict[str, Any]) -> str:
    name, version = _normal(one["metadata"]["name"]), one["metadata"]["version"]
    sha256 = one["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256", "")
    line = f"{name}=={version} --hash=sha256:{sha256}"
    if not LOCKED.fullmatch(line):
        raise WorldError(
            f"pip states no digest of {name} {version}, which the tree's docs require",
            code="DOCS_LOCK",
            remedy="Have the tree require a release of it that is on the package index.",
        )
    return f"{line}\n"


def _normal(name: str) -> str:
    return SEPARATORS.sub("-", name).lower()


def listed(locked: Path) -> dict[str, str]:
    """Return the packages of a list with their versions; none where there is no list."""
    text = locked.read_text(encoding="utf-8") if locked.exists() else ""
    return {match[1]: match[2] for match in LOCKED.finditer(text)}


def installed(folder: Path) -> dict[str, str]:
    """Return the packages of an environment with their versions; none where there is none."""
    places = [str(path) for path in folder.glob("lib/python3*/site-packages")]
    found = distributions(path=places) if places else ()
    return dict(sorted((_normal(one.name), one.version) for one in found))
