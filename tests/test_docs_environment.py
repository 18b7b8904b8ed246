"""What docs are built with is what the list has, whoever was killed while it was made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from relkit.building.docs_environment import (
    COMPLETE,
    docs_environment,
    docs_lock,
    installed,
    listed,
)
from relkit.errors import WorldError

# --- the environment ---------------------------------------------------------------------------

ENVIRONMENT, INSTALL, PACKAGES = "docs environment", "docs requirements", "docs packages"
SHA256 = {"Sphinx_Theme": "1" * 64, "sphinx": "2" * 64}


class Pip:
    """Runs what makes an environment, in place of Python and pip."""

    def __init__(self, kept: Path, sha256: Mapping[str, str] = SHA256) -> None:
        self.kept = kept
        self.sha256 = sha256
        self.asked: list[Sequence[str]] = []
        self.fails = ""

    def __call__(self, name: str, command: Sequence[str]) -> None:
        self.asked.append(command)
        if name == ENVIRONMENT:
            Path(command[-1]).mkdir()
        if name == self.fails:
            raise WorldError("no network", code="BUILD_FAILED", remedy="Mend it.")
        if name == INSTALL:
            self._install(Path(command[0]).parents[1], command)

    def _install(self, folder: Path, command: Sequence[str]) -> None:
        for name in self.sha256:
            place = folder / f"lib/python3.0/site-packages/{name}-1.0.dist-info"
            place.mkdir(parents=True)
            (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        if "--report" in command:
            found = [
                {
                    "metadata": {"name": name, "version": "1.0"},
                    "download_info": {"archive_info": {"hashes": {"sha256": sha256}}},
                }
                for name, sha256 in self.sha256.items()
            ]
            report = Path(command[command.index("--report") + 1])
            report.write_text(json.dumps({"install": found}))

    def environment(self, docs: Path, python: str = "python") -> Path:
        return docs_environment(docs, kept=self.kept, python=python, run=self)


@pytest.fixture
def pip(tmp_path: Path) -> Pip:
    (tmp_path / "requirements.txt").write_text("sphinx~=1.0\n")
    return Pip(tmp_path / "kept")


LIST = (
    f"sphinx-theme==1.0 --hash=sha256:{SHA256['Sphinx_Theme']}\n"
    f"sphinx==1.0 --hash=sha256:{SHA256['sphinx']}\n"
)


def test_a_tree_without_requirements_needs_no_environment(tmp_path: Path) -> None:
    pip = Pip(tmp_path / "kept")
    found = pip.environment(tmp_path)
    assert (found.exists(), pip.asked, installed(found)) == (False, [], {})


def test_an_environment_is_made_once_for_the_same_requirements(tmp_path: Path, pip: Pip) -> None:
    first = pip.environment(tmp_path)
    assert len(pip.asked) == 3
    assert pip.environment(tmp_path) == first
    assert len(pip.asked) == 3
    (tmp_path / "constraints.txt").write_text("sphinx<8\n")
    assert pip.environment(tmp_path) != first
    assert len(pip.asked) == 6


def test_what_pip_has_chosen_is_listed_by_digest_and_chosen_again(tmp_path: Path, pip: Pip) -> None:
    first = pip.environment(tmp_path)
    locked = docs_lock(tmp_path, pip.kept)
    assert locked.read_text() == LIST
    assert listed(locked) == installed(first) == {"sphinx": "1.0", "sphinx-theme": "1.0"}
    shutil.rmtree(first)
    assert pip.environment(tmp_path) == first
    assert [*pip.asked[4][4:]] == [
        *("--no-input", "install", "--only-binary=:all:", "--require-hashes", "--no-deps"),
        *("-r", str(locked)),
    ]
    assert locked.read_text() == LIST


def test_another_interpreter_gets_the_packages_of_the_same_list(tmp_path: Path, pip: Pip) -> None:
    first = pip.environment(tmp_path)
    assert pip.environment(tmp_path, "another/python") != first
    assert "--require-hashes" in pip.asked[4]


def test_a_list_from_another_machine_is_followed(tmp_path: Path, pip: Pip) -> None:
    pip.kept.mkdir()
    docs_lock(tmp_path, pip.kept).write_text(LIST)
    pip.environment(tmp_path)
    assert "--require-hashes" in pip.asked[1]


def test_an_environment_with_other_packages_than_its_list_is_made_anew(
    tmp_path: Path, pip: Pip
) -> None:
    first = pip.environment(tmp_path)
    [metadata] = first.rglob("sphinx-1.0.dist-info/METADATA")
    metadata.write_text("Metadata-Version: 2.1\nName: sphinx\nVersion: 1.1\n")
    pip.environment(tmp_path)
    assert len(pip.asked) == 6
    docs_lock(tmp_path, pip.kept).write_text(LIST.replace("2" * 64, "3" * 64))
    pip.environment(tmp_path)
    assert len(pip.asked) == 9
    docs_lock(tmp_path, pip.kept).unlink()
    pip.environment(tmp_path)
    assert ("--report" in pip.asked[10], len(pip.asked)) == (True, 12)


def test_an_environment_that_was_moved_is_made_anew(tmp_path: Path, pip: Pip) -> None:
    first = pip.environment(tmp_path)
    pip.kept = pip.kept.rename(tmp_path / "elsewhere")
    assert pip.environment(tmp_path) == pip.kept / first.name
    assert len(pip.asked) == 6


class Kill(BaseException):
    """The process is gone: nothing is cleaned up."""


@pytest.mark.parametrize("command", [ENVIRONMENT, INSTALL, PACKAGES, "the end"])
@pytest.mark.parametrize("before", [True, False])
def test_an_environment_whose_making_was_killed_is_made_anew(
    tmp_path: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch, command: str, *, before: bool
) -> None:
    def run(name: str, words: Sequence[str]) -> None:
        if name == command and before:
            raise Kill
        pip(name, words)
        if name == command:
            raise Kill

    def killed(_path: Path, _text: str) -> None:
        raise Kill

    with monkeypatch.context() as patched:
        if command == "the end":
            patched.setattr("relkit.building.docs_environment.write_whole", killed)
        with pytest.raises(Kill):
            docs_environment(tmp_path, kept=pip.kept, python="python", run=run)
    assert not [*pip.kept.rglob(COMPLETE)]
    pip.asked.clear()
    pip.environment(tmp_path)
    assert (len(pip.asked), docs_lock(tmp_path, pip.kept).read_text()) == (3, LIST)


@pytest.mark.parametrize("command", [ENVIRONMENT, INSTALL, PACKAGES])
def test_an_environment_that_cannot_be_made_is_none(tmp_path: Path, pip: Pip, command: str) -> None:
    pip.fails = command
    with pytest.raises(WorldError, match="no network"):
        pip.environment(tmp_path)
    assert not [*pip.kept.rglob(COMPLETE)]


def test_a_list_that_cannot_be_installed_is_named(tmp_path: Path, pip: Pip) -> None:
    shutil.rmtree(pip.environment(tmp_path))
    pip.fails = INSTALL
    with pytest.raises(WorldError, match=r"DOCS_LOCK.*no network") as caught:
        pip.environment(tmp_path)
    assert str(docs_lock(tmp_path, pip.kept)) in caught.value.remedy


def test_a_package_without_a_digest_is_refused(tmp_path: Path, pip: Pip) -> None:
    pip.sha256 = {"sphinx": ""}
    with pytest.raises(WorldError, match=r"DOCS_LOCK.*no digest of sphinx"):
        pip.environment(tmp_path)
    assert not docs_lock(tmp_path, pip.kept).exists()
