"""The sample tree is a tree that a release can be made of, and the same on every machine."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from sources import BLURB, OLD_BLURB, git

from relkit.building.source import blurb_command
from relkit.errors import WorldError
from relkit.rehearsal.bundled import SBOM, WHEEL, wheel
from relkit.rehearsal.tree import (
    add_branch,
    before,
    branch_of,
    files,
    generate,
    history,
    make_repository,
    standing,
)
from relkit.release import Version

HEADS = {
    "3.12.13": "725b830820f3542bbcb950d9b9fa0a40c20de597",
    "3.13.0a6": "905d810a2e28b08a5a981125be8cafed1e63a747",
    "3.15.0a1": "a0322d8ecaa6f4fd487690a3f2163ea717013097",
    "3.15.0a3": "22a9103e68d4086d7985ec6463848c386c9d4dd4",
    "3.15.0b2": "049b0771dc655ee72914c764b8a7d8481c38737e",
    "3.15.0rc2": "5bde4326035c4b32057994cfb4f94d4a3b3720b6",
}
VERSIONS = (
    *("3.10.20", "3.11.15", "3.12.13", "3.13.0a6", "3.13.13", "3.14.2", "3.14.5rc1", "3.15.0a1"),
    *("3.15.0a3", "3.15.0b1", "3.15.0b2", "3.15.0rc1", "3.15.0rc2", "3.15.0", "3.16.0a1"),
)


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
    ("version", "stands", "tags"),
    [
        ("3.15.0a1", "main 3.15.0a0", "v3.14.0b1"),
        ("3.15.0a3", "main 3.15.0a2+dev", "v3.15.0a2"),
        ("3.14.0a2", "main 3.14.0a1+", "v3.14.0a1"),
        ("3.13.0a6", "main 3.13.0a5+", "v3.13.0a5"),
        ("3.15.0b1", "main 3.15.0a7+dev", "v3.15.0a7"),
        ("3.15.0b2", "3.15 3.15.0b1+dev", "v3.15.0b1"),
        ("3.15.0rc1", "3.15 3.15.0b4+dev", "v3.15.0b4"),
        ("3.15.0rc2", "3.15 3.15.0rc1+dev", "v3.15.0rc1"),
        ("3.15.0", "3.15 3.15.0rc2+dev", "v3.15.0rc2"),
        ("3.14.2", "3.14 3.14.1+", "v3.14.0 v3.14.1"),
        ("3.14.5rc1", "3.14 3.14.4+", "v3.14.0 v3.14.4"),
        ("3.12.13", "3.12 3.12.12+", "v3.12.0 v3.12.12"),
        ("3.16.0a1", "main 3.16.0a0", "v3.15.0b1"),
    ],
)
def test_the_branch_stands_after_the_release_before(
    tmp_path: Path, version: str, stands: str, tags: str
) -> None:
    make_repository(tmp_path / "r.git", Version.parse(version))
    branch, stamp = stands.split()
    assert branch_of(Version.parse(version)) == branch
    header = git(tmp_path / "r.git", "show", f"{branch}:Include/patchlevel.h")
    assert f'#define PY_VERSION              "{stamp}"' in header
    assert git(tmp_path / "r.git", "tag").split() == tags.split()
    for tag in tags.split():
        assert git(tmp_path / "r.git", "cat-file", "-t", tag) == "tag"
        released = git(tmp_path / "r.git", "show", f"{tag}:Include/patchlevel.h")
        assert f'"{tag.removeprefix("v")}"' in released
    waiting = git(tmp_path / "r.git", "ls-tree", "-r", "--name-only", branch, "Misc/NEWS.d/next")
    assert len(waiting.splitlines()) == 8


def test_each_release_follows_one_release() -> None:
    chain = ["3.14.0b1", "3.15.0a1", "3.15.0a2"]
    assert [str(before(Version.parse(one))) for one in chain[1:]] == chain[:-1]
    versions = ["3.15.0b1", "3.15.0rc1", "3.15.0", "3.15.1rc1", "3.15.1"]
    assert [str(before(Version.parse(one))) for one in versions] == [
        *("3.15.0a7", "3.15.0b4", "3.15.0rc2", "3.15.0", "3.15.0")
    ]


def test_branches_share_the_release_they_parted_at_whichever_came_first(tmp_path: Path) -> None:
    heads = []
    for name, order in (("one", ["3.16.0a1", "3.15.0b2"]), ("two", ["3.15.0b2", "3.16.0a1"])):
        repository = tmp_path / f"{name}.git"
        make_repository(repository, Version.parse(order[0]))
        other = Version.parse(order[1])
        add_branch(repository, branch_of(other), history(other))
        heads.append(git(repository, "for-each-ref"))
        assert git(repository, "merge-base", "main", "3.15") == git(
            repository, "rev-parse", "v3.15.0b1^{commit}"
        )
        assert git(repository, "fsck", "--strict") == ""
    assert heads[0] == heads[1]


@pytest.mark.parametrize("version", ["3.15.0b2", "3.14.2", "3.10.20"])
def test_a_branch_that_was_half_added_comes_out_the_same(tmp_path: Path, version: str) -> None:
    """Whatever a kill left: refs of some commits, a branch that still grows."""
    wanted = Version.parse(version)
    branch, changes = branch_of(wanted), history(wanted)
    for name in ("whole", "half"):
        make_repository(tmp_path / f"{name}.git", Version.parse("3.16.0a1"))
    half = tmp_path / "half.git"
    for count in (2, 3, 4):
        add_branch(half, branch, changes[:count])
        git(half, "update-ref", f"refs/relkit/new/{branch}", f"refs/heads/{branch}")
        git(half, "update-ref", "-d", f"refs/heads/{branch}")
    for name in ("whole", "half"):
        add_branch(tmp_path / f"{name}.git", branch, changes)
    assert git(half, "for-each-ref") == git(tmp_path / "whole.git", "for-each-ref")


def test_a_branch_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    make_repository(tmp_path / "r.git", Version.parse("3.15.0b2"))
    before_it = git(tmp_path / "r.git", "for-each-ref")
    add_branch(tmp_path / "r.git", "3.15", history(Version.parse("3.15.0rc2")))
    assert git(tmp_path / "r.git", "for-each-ref") == before_it


@pytest.mark.parametrize("version", ["3.15.0rc2", "3.15.0"])
def test_each_change_after_a_candidate_but_the_first_can_be_picked_alone(
    tmp_path: Path, version: str
) -> None:
    make_repository(tmp_path / "r.git", Version.parse(version))
    tree = tmp_path / "tree"
    git(tmp_path, "clone", "--quiet", "--branch=3.15", "r.git", "tree")
    tag = f"v{before(Version.parse(version))}"
    for commit in git(tree, "rev-list", "HEAD~2..HEAD").split():
        git(tree, "checkout", "--quiet", "--detach", tag)
        who = ("-c", "user.name=a", "-c", "user.email=a@b.invalid")
        git(tree, *who, "cherry-pick", "-x", commit)


def test_a_branch_before_its_transition_has_its_releases_and_nothing_else() -> None:
    for last, tags in (("3.10.20", 2), ("3.15.0", 1)):
        version = Version.parse(last)
        changes = standing(version, version.series)
        assert [change.tag for change in changes] == [True] * tags + [False]
        assert not any(change.stand.entries for change in changes)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_release_edits_has_the_form_it_has_in_cpython(version: str) -> None:
    stand = history(Version.parse(version))[-1].stand
    tree = {path: data.decode("utf-8", "replace") for path, data in files(stand).items()}
    series, branch = stand.version.series, branch_of(Version.parse(version))
    assert f"m4_define(PYTHON_VERSION, {series})\n" in tree["configure.ac"]
    assert f"\nVERSION={series}\n" in tree["configure"]
    assert f"cpython/tree/{branch}/%s'" in tree["Doc/tools/extensions/pyspecific.py"]
    assert f"/cpython/tree/{branch}/Misc/NEWS.d" in tree["README.rst"]
    assert f"badge.svg?branch={branch}&" in tree["README.rst"]
    assert f"   {series}.rst\n" in tree["Doc/whatsnew/index.rst"]
    assert f"python{series}\n" in tree["Doc/tutorial/interpreter.rst"]
    assert f"'C:\\\\Python3{stand.version.minor}'" in tree["Doc/tutorial/stdlib.rst"]
    for form in ("bug", "crash"):
        offered = tree[f".github/ISSUE_TEMPLATE/{form}.yml"]
        assert (f'- "{series}"\n' in offered) == (branch != "main")
        assert '- "CPython main branch"\n' in offered
    assert not re.search(r"\{%|\{\{ |%\}", "".join(tree.values()))


def test_configure_is_made_of_what_configure_ac_says(tmp_path: Path) -> None:
    for name, version in (("old", "3.15.0b1"), ("new", "3.16.0a1")):
        generate(tmp_path / name, Version.parse(version))
    shutil.copy(tmp_path / "new" / "configure.ac", tmp_path / "old" / "configure.ac")
    run(tmp_path / "old", "Tools/build/regen-configure.sh")
    made, wanted = ((tmp_path / name / "configure").read_text() for name in ("old", "new"))
    assert made == wanted


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


def test_a_tree_has_an_sbom_and_what_it_names_from_the_series_on_that_brought_it() -> None:
    bundled = {WHEEL, SBOM, "Modules/beads/COPYING", "Modules/beads/beads.h"}
    old = files(history(Version.parse("3.11.15"))[-1].stand)
    new = files(history(Version.parse("3.12.13"))[-1].stand)
    assert not bundled & old.keys()
    assert bundled <= new.keys()
    for file in json.loads(new[SBOM])["files"]:
        stated = {one["algorithm"]: one["checksumValue"] for one in file["checksums"]}
        assert stated["SHA256"] == hashlib.sha256(new[file["fileName"]]).hexdigest()


def test_the_bundled_wheel_says_that_it_is_a_stand_in() -> None:
    with zipfile.ZipFile(BytesIO(wheel())) as archive:
        assert archive.testzip() is None
        assert b"stand-in" in archive.read("pip/__init__.py")
        assert b"stand-in" in archive.read("pip-0.0.dist-info/METADATA")
    assert wheel() == wheel()


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


@pytest.mark.parametrize(
    ("version", "blurb"),
    [
        ("3.13.0a6", OLD_BLURB),
        ("3.15.0a1", BLURB),
        ("3.15.0rc2", BLURB),
        ("3.12.13", OLD_BLURB),
        ("3.14.2", BLURB),
    ],
)
def test_blurb_releases_and_merges_its_news(tmp_path: Path, version: str, blurb: Path) -> None:
    branch = branch_of(Version.parse(version))
    make_repository(tmp_path / "r.git", Version.parse(version))
    run(tmp_path, "git", "clone", "--quiet", f"--branch={branch}", "r.git", "tree")
    run(tmp_path / "tree", *blurb_command(blurb), "release", version)
    run(tmp_path / "tree", *blurb_command(blurb), "merge")
    news = (tmp_path / "tree" / "Misc" / "NEWS").read_text(encoding="utf-8")
    spelled = Version.parse(version).spelled
    assert f"What's New in Python {spelled}" in news
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


DOCS = [f"docs-{form}" for form in ("html", "text", "texinfo")]


@pytest.mark.parametrize("version", ["3.12.13", "3.15.0rc1"])
def test_the_docs_are_packed_without_sphinx(tmp_path: Path, version: str) -> None:
    packed = []
    for name in ("one", "two"):
        tree = tmp_path / name
        generate(tree, Version.parse(version))
        forms = (
            ("dist",) if name == "one" else ("dist-html", "dist-text", "dist-texinfo", "dist-epub")
        )
        for form in forms:
            run(tree, "make", "-C", "Doc", form, f"PYTHON={sys.executable}")
        packed.append({path.name: path.read_bytes() for path in (tree / "Doc/dist").iterdir()})
    assert packed[0] == packed[1]
    stem = f"python-{before(Version.parse(version))}"
    archives = {f"{stem}-{one}.{suffix}" for one in DOCS for suffix in ("tar.bz2", "zip")}
    assert packed[0].keys() == archives | {f"{stem}-docs.epub"}
    folder = tmp_path / "one/Doc/dist"
    with tarfile.open(folder / f"{stem}-docs-html.tar.bz2") as tar:
        names = [member.name for member in tar]
        page = tar.extractfile(f"{stem}-docs-html/library/abacus.html")
        assert page is not None
        assert b"(unreleased)" in page.read()  # as Sphinx shows what has no version yet
    assert f"{stem}-docs-html/index.html" in names
    with zipfile.ZipFile(folder / f"{stem}-docs-html.zip") as archive:
        assert sorted(archive.namelist()) == sorted(names)


def test_the_book_is_one_that_readers_open(tmp_path: Path) -> None:
    generate(tmp_path / "tree", Version.parse("3.15.0rc1"))
    run(tmp_path / "tree", "make", "-C", "Doc", "dist-epub")
    with zipfile.ZipFile(tmp_path / "tree/Doc/dist/python-3.15.0b4-docs.epub") as book:
        first = book.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
        assert book.read("mimetype") == b"application/epub+zip"
        for name in book.namelist():
            if name.endswith((".html", ".xhtml", ".xml", ".opf")):
                ET.fromstring(book.read(name))  # noqa: S314 (our own)
        package = book.read("OEBPS/content.opf").decode()
        for name in re.findall(r'href="([^"]+)"', package):
            assert f"OEBPS/{name}" in book.namelist()


@pytest.mark.parametrize(
    "version",
    [
        *("3.13.0a6", "3.15.0a2"),
        *(
            pytest.param(version, marks=pytest.mark.slow)
            for version in ("3.10.20", "3.12.13", "3.14.2", "3.15.0rc1", "3.16.0a1")
        ),
    ],
)
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
