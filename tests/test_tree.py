"""The sample tree is a tree that a release can be made of, and the same on every machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from sources import BLURB, OLD_BLURB, git

from relkit.building.source import blurb_command
from relkit.errors import WorldError
from relkit.rehearsal.tree import before, files, generate, history, make_repository
from relkit.release import Version

HEADS = {
    "3.13.0a6": "c27bef523f5acacb2b1176f02b99e54ab8f8598e",
    "3.15.0a1": "bb1892841d3ce3388d9be932e7b229ae603d4eda",
    "3.15.0a3": "a254a84d6c863b88b8779779dc6aca08b57442ca",
}


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "EDITOR": "true", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout


@pytest.mark.parametrize("version", HEADS)
def test_the_same_version_gives_the_same_commits(tmp_path: Path, version: str) -> None:
    """Ids are written down here: they do not depend on machine, day, umask or settings."""
    assert make_repository(tmp_path / "r.git", Version.parse(version)) == HEADS[version]


def test_a_repository_that_is_there_stays(tmp_path: Path) -> None:
    first = make_repository(tmp_path / "r.git", Version.parse("3.15.0a1"))
    assert make_repository(tmp_path / "r.git", Version.parse("3.15.0a1")) == first


def test_what_a_killed_process_left_is_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / ".r.git.new" / "refs").mkdir(parents=True)
    make_repository(tmp_path / "r.git", Version.parse("3.15.0a1"))
    assert [path.name for path in tmp_path.iterdir()] == ["r.git"]
    assert git(tmp_path / "r.git", "fsck", "--strict") == ""


def test_git_that_fails_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorldError, match="TREE_NOT_MADE"):
        make_repository(tmp_path / "file" / "r.git", Version.parse("3.15.0a1"))


@pytest.mark.parametrize(
    ("version", "stands", "tag"),
    [
        ("3.15.0a1", "3.15.0a0", "v3.14.0b1"),
        ("3.15.0a3", "3.15.0a2+dev", "v3.15.0a2"),
        ("3.14.0a2", "3.14.0a1+", "v3.14.0a1"),
        ("3.13.0a6", "3.13.0a5+", "v3.13.0a5"),
    ],
)
def test_the_branch_stands_after_the_release_before(
    tmp_path: Path, version: str, stands: str, tag: str
) -> None:
    make_repository(tmp_path / "r.git", Version.parse(version))
    header = git(tmp_path / "r.git", "show", "main:Include/patchlevel.h")
    assert f'#define PY_VERSION              "{stands}"' in header
    assert git(tmp_path / "r.git", "tag") == tag
    assert git(tmp_path / "r.git", "cat-file", "-t", tag) == "tag"
    released = git(tmp_path / "r.git", "show", f"{tag}:Include/patchlevel.h")
    assert f'"{tag.removeprefix("v")}"' in released


def test_each_alpha_follows_one_release() -> None:
    assert str(before(Version.parse("3.15.0a2"))) == "3.15.0a1"
    assert str(before(Version.parse("3.15.0a1"))) == "3.14.0b1"


def test_the_title_is_underlined() -> None:
    for change in history(Version.parse("3.15.0a3")):
        title, line = files(change.stand)["README.rst"].decode().splitlines()[:2]
        assert title.startswith("This is Python version 3.15.0 alpha ")
        assert line == "=" * len(title)


def test_files_of_later_series_are_not_in_earlier_ones() -> None:
    old = files(history(Version.parse("3.13.0a6"))[-1].stand)
    new = files(history(Version.parse("3.14.0a1"))[-1].stand)
    later = {
        "Include/internal/pycore_magic_number.h",
        "Lib/pydoc_data/module_docs.py",
        "Lib/test/test_importlib/test_util.py",
    }
    assert later <= new.keys()
    assert not later & old.keys()


def test_the_magic_numbers_agree() -> None:
    for change in history(Version.parse("3.15.0a2")):
        tree = files(change.stand)
        defined = re.search(
            rb"PYC_MAGIC_NUMBER (\d+)", tree["Include/internal/pycore_magic_number.h"]
        )
        asserted = re.search(
            rb"EXPECTED_MAGIC_NUMBER = (\d+)", tree["Lib/test/test_importlib/test_util.py"]
        )
        assert defined
        assert asserted
        assert defined[1] == asserted[1]


@pytest.mark.parametrize(("version", "blurb"), [("3.13.0a6", OLD_BLURB), ("3.15.0a1", BLURB)])
def test_blurb_releases_and_merges_its_news(tmp_path: Path, version: str, blurb: Path) -> None:
    make_repository(tmp_path / "r.git", Version.parse(version))
    run(tmp_path, "git", "clone", "--quiet", "r.git", "tree")
    run(tmp_path / "tree", *blurb_command(blurb), "release", version)
    run(tmp_path / "tree", *blurb_command(blurb), "merge")
    news = (tmp_path / "tree" / "Misc" / "NEWS").read_text(encoding="utf-8")
    spelled = Version.parse(version).spelled
    assert f"What's New in Python {spelled}?" in news
    assert "Zoë" in news
    left = [path.name for path in (tmp_path / "tree" / "Misc/NEWS.d/next").rglob("*.rst")]
    assert left == ["README.rst"]


def test_pydoc_topics_are_made_without_sphinx(tmp_path: Path) -> None:
    generate(tmp_path / "tree", Version.parse("3.15.0a1"))
    run(tmp_path / "tree", "make", "-C", "Doc", "pydoc-topics")
    built = tmp_path / "tree" / "Doc" / "build" / "pydoc-topics"
    assert {path.name for path in built.iterdir()} == {"topics.py", "module_docs.py"}
    text = (built / "topics.py").read_text(encoding="utf-8")
    assert text.startswith("# Autogenerated by Sphinx on ")
    values: dict[str, dict[str, str]] = {}
    exec(text, values)  # noqa: S102 (our own file)
    assert set(values["topics"]) == {"numbers", "strings"}


@pytest.mark.parametrize("version", ["3.13.0a6", "3.15.0a2"])
def test_it_configures_builds_and_passes_its_tests(tmp_path: Path, version: str) -> None:
    tree = tmp_path / "tree"
    generate(tree, Version.parse(version))
    run(tree, "./configure", f"--prefix={tmp_path / 'prefix'}")
    run(tree, "make", "-j2")
    assert run(tree, "./python", "-V").startswith("Python 3.")
    said = run(tree, "./python", "-m", "test", "-j2")
    assert "Result: SUCCESS" in said
    assert int(re.findall(r"^Total tests: run=(\d+)", said, re.MULTILINE)[0]) > 10
    run(tree, "make", "install")
    shutil.rmtree(tree)
    series = Version.parse(version).series
    python = str(tmp_path / "prefix" / "bin" / f"python{series}")
    assert run(tmp_path, python, "-c", "import abacus; print(abacus.total(['o', 'oo']))") == "21\n"


def test_a_failing_test_is_reported_as_one(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    generate(tree, Version.parse("3.15.0a2"))
    (tree / "Lib" / "test" / "test_bad.py").write_text(
        "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.fail('no')\n",
        encoding="ascii",
    )
    run(tree, "./configure")
    run(tree, "make")
    with pytest.raises(subprocess.CalledProcessError) as error:
        run(tree, "./python", "-m", "test", "test_int", "test_bad")
    assert "Total tests: run=3 failures=1" in error.value.stdout
