from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from traitlets.config.loader import PyFileConfigLoader

from relkit.release import Release

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
MAKEFILE = (ROOT / "Makefile").read_text()


def locked(name: str) -> list[Requirement]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return [Requirement(line.rstrip("\\ ")) for line in lines if line[:1].isalnum()]


def wanted(*parts: str) -> list[Requirement]:
    project = PROJECT["project"]
    lists = {
        "run": project["dependencies"],
        "dev": project["optional-dependencies"]["dev"],
        "build": PROJECT["build-system"]["requires"],
    }
    return [Requirement(text) for part in parts for text in lists[part]]


@pytest.mark.parametrize(
    ("part", "lock"), [("run", "lock.txt"), ("build", "lock.txt"), ("dev", "dev.txt")]
)
def test_the_lock_has_a_fitting_version_of_all_the_project_asks_for(part: str, lock: str) -> None:
    pins: dict[str, list[str]] = {}
    for requirement in locked(lock):
        [pin] = requirement.specifier
        pins.setdefault(canonicalize_name(requirement.name), []).append(pin.version)
    for asked in wanted(part):
        versions = pins[canonicalize_name(asked.name)]
        assert all(asked.specifier.contains(version) for version in versions), asked


def test_nothing_is_locked_twice() -> None:
    names = [{one.name for one in locked(lock)} for lock in ("lock.txt", "dev.txt")]
    assert not names[0] & names[1]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_file_has_pins_and_hashes_and_nothing_else(lock: Path) -> None:
    pin = r"[a-z0-9-]+==[0-9a-z.]+(?: ; [^\\\n]+)?"
    entry = rf"{pin}(?: \\\n    --hash=sha256:[0-9a-f]{{64}})+\n"
    comments = r"(?:#[^\n]*\n)*"
    assert re.fullmatch(rf"{comments}(?:{entry})+", lock.read_text())


def test_the_makefile_installs_the_blurbs_that_are_locked() -> None:
    [line] = re.findall(r"^BLURBS := (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert line.split() == [path.stem for path in LOCKS if path.stem.startswith("blurb-")]
    for blurb in line.split():
        assert [
            f"{one.name}-{pin.version}" for one in locked(f"{blurb}.txt") for pin in one.specifier
        ] == [blurb]


def test_conda_gets_what_the_project_asks_for() -> None:
    text = (ROOT / "environment.yml").read_text()
    conda, pip = text.split("  - pip:\n")
    listed = re.findall(r"^ +- (.*)$", pip, flags=re.MULTILINE)
    packages = [Requirement(line) for line in listed if not line.startswith("--")]
    assert packages == wanted("build", "run")
    assert "--constraint requirements/lock.txt" in listed
    [python] = re.findall(r"^  - python(.*)$", conda, flags=re.MULTILINE)
    supported = SpecifierSet(PROJECT["project"]["requires-python"])
    minors = [f"3.{minor}" for minor in range(8, 20)]
    assert list(SpecifierSet(python).filter(minors)) == [
        minor for minor in supported.filter(minors) if minor <= "3.14"
    ]


def make(*arguments: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],  # found on our own PATH
        cwd=ROOT,
        env={"PATH": path, "LC_ALL": "C"},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


def test_make_alone_lists_the_targets() -> None:
    listed = [line.split()[0] for line in make().stdout.splitlines()]
    assert {"env", "rehearse", "test", "test-slow", "lab", "lint", "bench", "lock"} <= set(listed)
    [phony] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert set(listed) <= set(phony.split())


def test_missing_tools_are_named_one_a_line_with_how_to_get_them(tmp_path: Path) -> None:
    (tmp_path / "git").symlink_to("/bin/true")
    (tmp_path / "make").symlink_to(shutil.which("make") or "")
    (tmp_path / "gzip").symlink_to("/bin/true")
    done = make("tools", f"PYTHON={sys.executable}", path=str(tmp_path))
    assert done.returncode
    missing = [line for line in done.stderr.splitlines() if line.startswith("Missing")]
    assert missing == [
        "Missing: gpg. Debian: apt-get install gnupg. macOS: brew install gnupg.",
        "Missing: ssh-keygen. Debian: apt-get install openssh-client. macOS: brew install openssh.",
        "Missing: cc. Debian: apt-get install gcc libc6-dev. macOS: xcode-select --install.",
    ]


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make("tools", f"PYTHON={old}")
    assert done.returncode
    assert "Missing: Python 3.11 or newer" in done.stderr


def test_the_default_version_is_one_that_can_be_released() -> None:
    [version] = re.findall(r"^VERSION = (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert str(Release.parse(version, "alpha", "2026-05-05").version) == version


def test_lab_is_reached_from_this_machine_with_a_token_only() -> None:
    loader = PyFileConfigLoader("jupyter_server_config.py", str(ROOT / "jupyter"))
    config = loader.load_config()
    assert config.ServerApp.ip == "127.0.0.1"
    assert config.ServerApp.root_dir == str(ROOT)
    assert len(config.IdentityProvider.token) == 48
    assert config.KernelManager.transport == "ipc"
    assert loader.load_config().IdentityProvider.token != config.IdentityProvider.token


def test_continuous_integration_runs_all_tests() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert "set -euo pipefail" in text
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=10)
    parts = re.findall(r"^part \S+ (?:timeout \d+ )?make (\S+)$", text, flags=re.MULTILINE)
    assert parts == ["env", "lint", "test", "test-slow"]


def test_the_licence_is_the_one_the_project_names() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert text.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert "END OF TERMS AND CONDITIONS" in text
