"""Prism, and GitHub's description of its API cut down to the calls in use: into a folder.

``python tests/services/contracts.py build/node`` needs node and npm, and nothing else. Everything
is pinned by digest: the packages in ``package-lock.json``, the description here. What is there
already is left as it is.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NODE = HERE.parents[1] / "build" / "node"
PRISM = "node_modules/@stoplight/prism-cli/dist/index.js"
GITHUB = "github.json"
PACKAGE = "@octokit/openapi@23.0.2"
INTEGRITY = (
    "pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg=="
)
"""SHA-512 of the package, as the registry and npm's lock files write it."""
MEMBER = "package/generated/api.github.com.json"
TIMEOUT_SECONDS = 900
PINNED = (HERE / "package-lock.json", HERE / "github_paths.txt", Path(__file__))


def contracts(folder: Path = NODE) -> None:
    """Put Prism and the description into a folder, unless just these are there."""
    stamp, wanted = folder / "stamp", pinned()
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    for name in "package.json", "package-lock.json":
        shutil.copy(HERE / name, folder / name)
    _npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
    wanted_paths = (HERE / "github_paths.txt").read_text(encoding="ascii").split()
    text = json.dumps(sliced(_description(), wanted_paths))
    (folder / GITHUB).write_text(text, encoding="utf-8")
    stamp.write_text(wanted, encoding="ascii")


def pinned() -> str:
    """Return the digest of all that says what belongs into the folder."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in PINNED)).hexdigest()


def sliced(description: dict[str, Any], wanted: list[str]) -> dict[str, Any]:
    """Return a description of only these paths, with the components they lead to.

    Raises `KeyError` for a path that the description does not have (any more).
    """
    paths = {path: description["paths"][path] for path in wanted}
    components: dict[str, dict[str, Any]] = {}
    waiting: list[Any] = [paths]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(reference := node.get("$ref"), str):
                kind, name = reference.removeprefix("#/components/").split("/", 1)
                found = components.setdefault(kind, {})
                if name not in found:
                    found[name] = description["components"][kind][name]
                    waiting.append(found[name])
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    head = {key: description[key] for key in ("openapi", "info", "servers")}
    return {**head, "paths": paths, "components": components}


def _description() -> dict[str, Any]:
    """Fetch the package of descriptions, and take the one out of it if it is the pinned one."""
    with tempfile.TemporaryDirectory(prefix="relkit-") as folder:
        _npm("pack", PACKAGE, "--silent", cwd=Path(folder))
        (package,) = Path(folder).glob("*.tgz")
        digest = hashlib.sha512(package.read_bytes()).digest()
        if (found := base64.b64encode(digest).decode()) != INTEGRITY:
            raise SystemExit(f"{PACKAGE} is not the pinned one: sha512-{found}")
        with tarfile.open(package) as archive:
            member = archive.extractfile(MEMBER)
            assert member is not None, f"{PACKAGE} has no file {MEMBER}"
            read: dict[str, Any] = json.load(member)
            return read


def _npm(*words: str, cwd: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is missing (Debian package npm)")
    subprocess.run([npm, *words], cwd=cwd, check=True, timeout=TIMEOUT_SECONDS)


if __name__ == "__main__":
    contracts(Path(sys.argv[1]) if len(sys.argv) > 1 else NODE)
