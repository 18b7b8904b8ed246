"""The editors on CPython's real history, where RELKIT_CPYTHON names a repository with it.

It is public up to April 2024 (branch main, tag v3.12.0); what is compared are trees and files of
commits that release managers made.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest
from edit_helpers import CPYTHON, INSTALLED, make_tools

from relkit.adapters.edit_entries import check_entries
from relkit.adapters.edit_numbers import HEADER, README
from relkit.adapters.edit_tools import Tools
from relkit.adapters.editors import EDITORS
from relkit.adapters.git import GitRepository, Identity, SigningKey, make_bare
from relkit.building.source import blurb_command
from relkit.errors import CheckError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not CPYTHON, reason="RELKIT_CPYTHON names no repository with CPython's history"
    ),
]
WRITES = {
    "news": ("Misc/NEWS.d/*",),
    "pydoc-topics": ("Lib/pydoc_data/*.py",),
    "version-numbers": (HEADER, README),
    "next-versions": ("Doc/*.rst",),
    "whatsnew-date": ("Doc/whatsnew/*.rst",),
}
TOPICS = "Lib/pydoc_data/topics.py"


def git(*arguments: str, repository: Path | str = CPYTHON) -> bytes:
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


# --- release commits --------------------------------------------------------------------------


@dataclass(frozen=True)
class Official:
    """A release as its commit on real history tells it; `time` is the one that topics.py says."""

    version: str
    branch: str
    parent: str
    commit: str
    time: datetime


ALPHA_5, ALPHA_3, FINAL = OFFICIAL = (
    Official(
        version="3.13.0a5",
        branch="main",
        parent="f6e7a6ce651b43c6e060608a4bb20685f39e9eaa",
        commit="076d169ebbe59f7035eaa28d33d517bcb375f342",
        time=datetime(2024, 3, 12, 18, 35, 4, tzinfo=timezone(timedelta(hours=1))),
    ),
    Official(
        version="3.13.0a3",
        branch="main",
        parent="b204c4beb44c1a9013f8da16984c9129374ed8c5",
        commit="f009305a7d635f86440c804a2916f8fa4d7fc637",
        time=datetime(2024, 1, 17, 13, 9, 41, tzinfo=timezone(timedelta(hours=1))),
    ),
    Official(
        version="3.12.0",
        branch="3.12",
        parent="f4f919e3d811251f87c5b412b5238702f66879fd",
        commit="0fb18b02c8ad56299d6a2910be0bab8ad601ef24",
        time=datetime(2023, 10, 2, 13, 45, 14, tzinfo=timezone(timedelta(hours=2))),
    ),
)


@pytest.fixture
def repository(tmp_path: Path) -> Callable[[Official], GitRepository]:
    return partial(make_repository, tmp_path)


def make_repository(folder: Path, official: Official) -> GitRepository:
    if not (INSTALLED / "blurb-1.1.0").is_dir():
        pytest.skip("blurb 1.1.0 is not installed: make env")
    upstream = folder / "upstream.git"
    make_bare(Path(CPYTHON), "main", upstream)
    branch = f"refs/heads/{official.branch}"
    if official.branch != "main":
        git("fetch", "--quiet", CPYTHON, "refs/tags/v3.12.0:refs/tags/v3.12.0", repository=upstream)
        git("update-ref", branch, official.parent, repository=upstream)
    docs = Path(os.environ.get("RELKIT_DOCS_ENVIRONMENTS", folder / "docs"))
    blurb = blurb_command(INSTALLED / "blurb-1.1.0")
    made = GitRepository(
        folder / "clone" / official.version,
        {"upstream": str(upstream), "fork": str(upstream)},
        Identity("Thomas Wouters", "thomas@python.org"),
        SigningKey(folder, "0" * 40),
        Tools(sys.executable, blurb, docs, folder / "logs"),
    )
    made.make_clone(branch=official.branch, commit=official.parent)
    return made


def edited_by(repository: GitRepository, official: Official, *editors: str) -> str:
    base, about = official.parent, {"version": official.version, "time": official.time}
    for editor in editors:
        repository.edit(editor=editor, base=base, writes=WRITES[editor], **about)  # type: ignore[arg-type] # plain words
        made = repository.edited(editor=editor, base=base)
        assert made is not None
        base = made.commit
    return base


@pytest.mark.parametrize("official", OFFICIAL, ids=lambda one: one.version)
def test_the_tree_of_an_official_release_differs_in_its_topics_only(
    official: Official, repository: Callable[[Official], GitRepository]
) -> None:
    """For 3.12.0 What's New had its date the commit before; setting it again changes nothing."""
    clone = repository(official)
    final = ("whatsnew-date",) if official is FINAL else ()
    made = edited_by(clone, official, "news", "version-numbers", *final, "next-versions")
    paths = [change.path for change in clone.changes(base=official.commit, commit=made)]
    assert paths == [TOPICS]


@pytest.mark.skipif(
    not os.environ.get("RELKIT_DOCS_ENVIRONMENTS") or not shutil.which("make"),
    reason="RELKIT_DOCS_ENVIRONMENTS names no folder to install Sphinx into (takes minutes)",
)
def test_the_tree_of_an_official_alpha_is_made_again(
    repository: Callable[[Official], GitRepository],
) -> None:
    clone = repository(ALPHA_5)
    made = edited_by(clone, ALPHA_5, "news", "version-numbers", "next-versions", "pydoc-topics")
    clone.commit(
        branch="main",
        parent=ALPHA_5.parent,
        tree_of=made,
        message="Python 3.13.0a5",
        time=ALPHA_5.time,
    )
    state = clone.clone_state()
    assert state is not None
    assert not state.dirty
    assert clone.changes(base=ALPHA_5.commit, commit=state.head) == ()


# --- numbers ----------------------------------------------------------------------------------

SUBJECT = re.compile(r"(?P<what>Python|Post) (?P<version>3\.\d+\.\d+(?:(?:a|b|rc)\d+)?)(?: \(.*)?")
LONG_LINES = {"3.12.0b1", "3.12.0b2", "3.12.0b3", "3.12.0b4"}
"""Their titles are underlined with one sign too many."""
ELSEWHERE = {"3.10.0a5", "3.10.0a6", "3.11.0b1"}
"""Their numbers were changed in another commit than the one named after the release."""


def test_the_numbers_of_every_release_since_3_10_are_the_real_ones(tmp_path: Path) -> None:
    log = git("log", "--format=%H %s", "--since=2020-05-01", "main", "v3.12.0").decode()
    other, count = set(), 0
    for line in log.splitlines():
        commit, _, subject = line.partition(" ")
        found = SUBJECT.fullmatch(subject)
        if not found or found["version"].endswith("0a0") or found["version"] in ELSEWHERE:
            continue
        count += 1
        checkout(f"{commit}^", tmp_path, HEADER, README)
        name = "version-numbers" if found["what"] == "Python" else "post-version"
        EDITORS[name](tmp_path, found["version"], datetime.now(UTC), make_tools(tmp_path))
        if unlike(commit, tmp_path, HEADER, README):
            other.add(found["version"])
    assert count > 60
    assert other == LONG_LINES


def test_of_the_real_releases_only_the_one_with_doubled_news_is_refused(tmp_path: Path) -> None:
    """I50, and I32: a check that always fires would be waived by habit.

    3.11.0b1 told an entry of 3.11.0a5 again; reverts that reuse the file of an entry are fine.
    """
    log = git("log", "--format=%H %s", "--since=2022-05-01", "main", "v3.12.0").decode()
    refusals, count = {}, 0
    for line in log.splitlines():
        commit, _, subject = line.partition(" ")
        found = SUBJECT.fullmatch(subject)
        if not found or found["what"] == "Post":
            continue
        folder = tmp_path / found["version"]
        folder.mkdir()
        checkout(f"{commit}^", folder, "Misc/NEWS.d")
        count += 1
        try:
            check_entries(folder)
        except CheckError as error:
            refusals[found["version"]] = error.code
        shutil.rmtree(folder)
    assert count > 20
    assert refusals == {"3.11.0b1": "EDIT_NEWS_DOUBLED"}


def checkout(commit: str, folder: Path, *paths: str) -> None:
    archive = git("archive", commit, *paths)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)


def unlike(commit: str, folder: Path, *paths: str) -> list[str]:
    """Return those of the paths that the commit has otherwise."""
    return [one for one in paths if git("show", f"{commit}:{one}") != (folder / one).read_bytes()]


# --- a series that begins ---------------------------------------------------------------------

TOUCHED = (
    *("Include", README, "configure", "configure.ac", "PC", ".github", ".azure-pipelines"),
    *("Doc/whatsnew", "Doc/tutorial", "Doc/tools/extensions"),
)
EQUAL = (
    *(HEADER, "configure", "configure.ac", "PC/pyconfig.h", "Doc/whatsnew/index.rst"),
    *("Doc/tutorial/interpreter.rst", ".github/workflows/build.yml", ".github/workflows/doc.yml"),
)


@dataclass(frozen=True)
class Begun:
    """How `main` went on after a beta 1: from a commit to the last of those that did it."""

    version: str
    year: int
    base: str
    last: str
    equal: tuple[str, ...]


BEGUN = (
    Begun(
        version="3.12.0b1",
        year=2023,
        base="500b0f4814e05b918f485ceebf9c7be9a52ad469^",
        last="4194d8f2c40f478eb0fc9b6fa9b913baaff229da",
        equal=(*EQUAL, README),
    ),
    Begun(
        version="3.11.0b1",
        year=2022,
        base="e851177536b44ebc616ddbe51aebcd1f30857f34^",
        last="9c005c5debf2b7afd155093adb72bad27d34657b",
        equal=(
            *(*EQUAL, "Doc/tutorial/stdlib.rst", "Doc/tutorial/stdlib2.rst"),
            *(".azure-pipelines/ci.yml", ".azure-pipelines/pr.yml"),
            ".github/workflows/build_msi.yml",
        ),
    ),
)


@pytest.mark.parametrize("begun", BEGUN, ids=lambda one: one.version)
def test_the_next_series_begins_as_it_really_did(begun: Begun, tmp_path: Path) -> None:
    """Only What's New has our own words, and the PEP is named when there is one.

    The real commits were several: each time something had been forgotten at first.
    """
    checkout(begun.base, tmp_path, *TOUCHED)
    when = datetime(begun.year, 5, 8, tzinfo=UTC)
    EDITORS["next-series"](tmp_path, begun.version, when, make_tools(tmp_path))
    assert unlike(begun.last, tmp_path, *begun.equal) == []
    sources = (tmp_path / "Doc/tools/extensions/pyspecific.py").read_text()
    assert "/cpython/tree/main/%s'" in sources


def test_the_next_series_can_begin_on_a_newer_tree(tmp_path: Path) -> None:
    checkout("main", tmp_path, *TOUCHED)
    EDITORS["next-series"](tmp_path, "3.13.0a5", datetime.now(UTC), make_tools(tmp_path))
    left = {
        path.relative_to(tmp_path).as_posix()
        for path in tmp_path.rglob("*")
        if path.is_file() and re.search(rb"python3\.?13", path.read_bytes())
    }
    assert {"configure.ac", "configure"} <= left, "the last series may still regenerate files"
    assert not left & {README, "PC/pyconfig.h.in", "Doc/tutorial/stdlib.rst"}
    assert '- "3.13' in (tmp_path / ".github/ISSUE_TEMPLATE/crash.yml").read_text()


def test_a_new_branch_names_itself(tmp_path: Path) -> None:
    checkout("5612078f68", tmp_path, *TOUCHED)
    for _ in range(2):
        EDITORS["branch-start"](tmp_path, "3.12.0b1", datetime.now(UTC), make_tools(tmp_path))
        readme = (tmp_path / README).read_text()
        assert "main" not in re.findall(r"(?:/|ranch(?:Name)?=)(main|3\.12)\b", readme)
        workflows = (".github/workflows/build.yml", ".github/workflows/doc.yml")
        assert unlike("97f8547913", tmp_path, *workflows) == []


def test_what_s_new_gets_the_date_as_it_really_did(tmp_path: Path) -> None:
    """P08."""
    announced, path = "f4f919e3d811251f87c5b412b5238702f66879fd", "Doc/whatsnew/3.12.rst"
    checkout(f"{announced}^", tmp_path, path)
    when = datetime(2023, 10, 2, 13, 48, 14, tzinfo=timezone(timedelta(hours=2)))
    EDITORS["whatsnew-date"](tmp_path, "3.12.0", when, make_tools(tmp_path))
    assert unlike(announced, tmp_path, path) == []
