"""Releases that are made beside their branch: commits picked, merged back, and taken back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import pytest
from git_helpers import WHEN, commit_file, git, refused
from hypothesis import given
from hypothesis import strategies as st

from relkit.adapters import git_command
from relkit.adapters.editors import EDITORS, Tools
from relkit.adapters.git import GitRepository, Identity, SigningKey, make_bare
from relkit.adapters.git_news import Told
from relkit.adapters.git_pick import noted
from relkit.ports import Repository
from relkit.values import Commit, RefUpdate

BRANCH, VERSION, MESSAGE = "3.15", "3.15.0rc2", "Python 3.15.0rc2"
NEXT = "Misc/NEWS.d/next/Library"
FIRST = f"{NEXT}/2026-08-02-10-00-00.gh-issue-101.AAAAAA.rst"
OTHER = f"{NEXT}/2026-08-03-10-00-00.gh-issue-102.BBBBBB.rst"
SECOND = f"{NEXT}/2026-08-04-10-00-00.gh-issue-103.CCCCCC.rst"
AUTHOR = {
    "GIT_AUTHOR_NAME": "Zoë Writer",
    "GIT_AUTHOR_EMAIL": "zoe@example.org",
    "GIT_AUTHOR_DATE": "@1771000000 +0200",
}


def patchlevel(version: str, serial: int) -> str:
    return (
        "#define PY_MAJOR_VERSION\t3\n#define PY_MINOR_VERSION\t15\n#define PY_MICRO_VERSION\t0\n"
        f"#define PY_RELEASE_LEVEL\tPY_RELEASE_LEVEL_GAMMA\n#define PY_RELEASE_SERIAL\t{serial}\n\n"
        f'/* Version as a string */\n#define PY_VERSION      \t"{version}"\n'
    )


def readme(spelled: str, more: str = "") -> str:
    title = f"This is Python version {spelled}"
    return f"{title}\n{'=' * len(title)}\n\nHello.\n\n\n\nThe end.{more}\n"


def news(*entries: tuple[int, str, str]) -> str:
    return "".join(
        f".. date: 2026-08-02-10-00-00\n.. gh-issue: {issue}\n.. nonce: {nonce}\n"
        f"{'.. release date: 2026-08-18' + chr(10) if not number else ''}.. section: Library\n\n"
        f"{text}\n\n..\n\n"
        for number, (issue, nonce, text) in enumerate(entries)
    )


def commit(folder: Path, message: str, files: dict[str, str | None], **who: str) -> str:
    for name, text in files.items():
        if text is None:
            (folder / name).unlink()
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", message, **who)
    return git(folder, "rev-parse", "HEAD")


@dataclass
class Beside:
    """A branch after its first candidate, and the repositories of a release from it."""

    place: Path
    repo: GitRepository
    candidate: str
    first: str
    second: str
    unpicked: str
    head: str

    @property
    def source(self) -> Path:
        return self.place / "source"

    def on_branch(self, message: str, files: dict[str, str | None]) -> str:
        """Commit to the branch upstream, before the release clone is made."""
        made = commit(self.source, message, files)
        git(self.source, "push", "--quiet", str(self.place / "upstream.git"), BRANCH)
        return made

    def frozen(self) -> str:
        """Make the release clone at the branch's head; return it."""
        head = git(self.source, "rev-parse", BRANCH)
        self.repo.make_clone(branch=BRANCH, commit=head)
        return head

    def picked(self, *commits: str) -> str:
        commits = commits or (self.first, self.second)
        self.repo.pick(base=self.candidate, commits=commits, time=WHEN)
        found = self.repo.picked(base=self.candidate, commits=commits)
        assert found is not None
        return found.commit

    def edited(self, base: str, files: dict[str, str | None]) -> str:
        """Keep the result of an editor that writes these files on `base`."""

        def write(tree: Path, *_: object) -> None:
            for name, text in files.items():
                if text is None:
                    (tree / name).unlink()
                else:
                    (tree / name).write_text(text)

        EDITORS["test"] = write
        try:
            what = {"editor": "test", "base": base}
            self.repo.edit(**what, writes=("*",), version=VERSION, time=WHEN)
        finally:
            del EDITORS["test"]
        made = self.repo.edited(**what)
        assert made is not None
        return made.commit

    def released(self, files: dict[str, str | None] | None = None) -> str:
        """Commit the release beside the branch; return it."""
        picked = self.picked()
        tree_of = self.edited(picked, RELEASED if files is None else files)
        what = {"branch": BRANCH, "parent": picked, "tree_of": tree_of, "message": MESSAGE}
        self.repo.commit(**what, time=WHEN)
        made = self.repo.committed(**what)
        assert made is not None
        return made.commit

    def merged(self, head: str, made: str) -> Commit:
        self.repo.merge(base=head, other=made, version=VERSION, time=WHEN)
        found = self.repo.merged(base=head, other=made)
        assert found is not None
        return found

    def text(self, commit: str, path: str) -> str | None:
        return self.repo.read_text(commit=commit, path=path)


RELEASED: dict[str, str | None] = {
    "Include/patchlevel.h": patchlevel(VERSION, 2),
    "README.rst": readme("3.15.0 release candidate 2"),
    "Doc/library/a.rst": "a\n=\n\n.. versionchanged:: 3.15\n",
    "Lib/pydoc_data/topics.py": "topics = 2\n",
    "Misc/NEWS.d/3.15.0rc2.rst": news((101, "AAAAAA", "One."), (103, "CCCCCC", "Three.")),
    FIRST: None,
    SECOND: None,
}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("beside")
    source = place / "source"
    source.mkdir()
    git(source, "init", "--quiet", f"--initial-branch={BRANCH}", "--template=")
    whole = {
        "Include/patchlevel.h": patchlevel("3.15.0rc1", 1),
        "README.rst": readme("3.15.0 release candidate 1"),
        "Lib/a.py": "a = 1\n",
        "Lib/b.py": "b = 1\n",
        "Lib/pydoc_data/topics.py": "topics = 1\n",
        "Doc/library/a.rst": "a\n=\n",
        "Misc/NEWS.d/3.15.0rc1.rst": news((7, "ZZZZZZ", "Old.")),
        f"{NEXT}/README.rst": "Add.\n",
    }
    commit(source, "Python 3.15.0rc1", dict(whole))
    git(source, "tag", "candidate")
    commit(source, "Post 3.15.0rc1", {"Include/patchlevel.h": patchlevel("3.15.0rc1+", 1)})
    docs = "a\n=\n\n.. versionchanged:: next\n"
    fix = {"Lib/a.py": "a = 2\n", "Doc/library/a.rst": docs, FIRST: "One.\n"}
    commit(source, "gh-101: Mend a (#1)\n\nCo-authored-by: X <x@example.org>", dict(fix), **AUTHOR)
    git(source, "tag", "first")
    commit(source, "gh-102: Mend b", {"Lib/b.py": "b = 2\n", OTHER: "Two.\n"})
    git(source, "tag", "unpicked")
    commit(source, "gh-103: Mend c", {"Lib/c.py": "c = 1\n", SECOND: "Three.\n"})
    git(source, "tag", "second")
    for name in ("upstream.git", "fork.git"):
        make_bare(source, BRANCH, place / name)
    return place


@pytest.fixture
def beside(template: Path, tmp_path: Path) -> Beside:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    repo = GitRepository(
        tmp_path / "clone" / VERSION,
        {"upstream": str(tmp_path / "upstream.git"), "fork": str(tmp_path / "fork.git")},
        Identity("Release Manager", "rm@example.org"),
        SigningKey(tmp_path, "0" * 40),
        Tools(sys.executable, ("false",), tmp_path / "docs", tmp_path / "logs"),
    )
    names = ("candidate", "first", "second", "unpicked", BRANCH)
    found = {name: git(tmp_path / "source", "rev-parse", name) for name in names}
    return Beside(
        tmp_path,
        repo,
        found["candidate"],
        found["first"],
        found["second"],
        found["unpicked"],
        found[BRANCH],
    )


def test_it_is_the_port(beside: Beside) -> None:
    port: Repository = beside.repo
    assert port.clone_state() is None


# --- picking ----------------------------------------------------------------------------------


def test_picked_commits_keep_their_authors_and_say_where_they_are_from(beside: Beside) -> None:
    head = beside.frozen()
    last = beside.picked()
    form = "--format=%an|%ae|%ad|%cn|%cI|%B"
    shown = git(beside.repo.clone, "log", "--date=raw", form, f"{beside.candidate}..{last}")
    second, first = shown.rstrip().split("\n\nZoë Writer|")
    assert second == (
        f"Dev|dev@example.org|1770000000 +0000|Release Manager|2026-05-05T10:00:00+00:00|"
        f"gh-103: Mend c\n\n(cherry picked from commit {beside.second})"
    )
    assert first == (
        "zoe@example.org|1771000000 +0200|Release Manager|2026-05-05T10:00:00+00:00|"
        "gh-101: Mend a (#1)\n\nCo-authored-by: X <x@example.org>\n"
        f"(cherry picked from commit {beside.first})"
    )
    assert beside.text(last, "Lib/a.py") == "a = 2\n"
    assert beside.text(last, "Lib/b.py") == "b = 1\n"
    assert beside.text(last, "Lib/c.py") == "c = 1\n"
    state = beside.repo.clone_state()
    assert state is not None
    assert (state.branch, state.head, state.dirty) == (BRANCH, head, ())


def test_the_same_picks_have_the_same_ids_in_another_clone(beside: Beside) -> None:
    beside.frozen()
    one = beside.picked()
    assert beside.picked() == one
    shutil.rmtree(beside.repo.clone)
    beside.frozen()
    assert beside.repo.picked(base=beside.candidate, commits=(beside.first, beside.second)) is None
    assert beside.picked() == one
    assert beside.picked(beside.first) != one


def test_without_commits_the_base_itself_is_the_result(beside: Beside) -> None:
    assert beside.repo.picked(base=beside.candidate, commits=()) is None
    beside.frozen()
    beside.repo.pick(base=beside.candidate, commits=(), time=WHEN)
    found = beside.repo.picked(base=beside.candidate, commits=())
    assert found is not None
    assert found.commit == beside.candidate


def test_a_conflict_names_the_commit_and_the_paths_and_keeps_nothing(beside: Beside) -> None:
    later = beside.on_branch("gh-104: More", {"Lib/a.py": "a = 3\n", "Doc/library/a.rst": "b\n"})
    beside.frozen()
    before = git(beside.repo.clone, "for-each-ref")
    base, commits = beside.candidate, (beside.second, later)
    pick = partial(beside.repo.pick, base=base, commits=commits, time=WHEN)
    message = refused("PICK_CONFLICT", pick)
    assert f"{later} (gh-104: More)" in message
    assert "Doc/library/a.rst, Lib/a.py" in message
    assert beside.repo.picked(base=base, commits=commits) is None
    refs = git(beside.repo.clone, "for-each-ref")
    assert set(refs.splitlines()) - set(before.splitlines()) == {
        line for line in refs.splitlines() if "refs/relkit/remote/" in line
    }


def test_a_commit_that_the_branch_does_not_have_is_not_picked(beside: Beside) -> None:
    beside.frozen()
    git(beside.source, "checkout", "--quiet", "-b", "elsewhere")
    stranger = commit(beside.source, "Not reviewed", {"Lib/a.py": "import os\n"})
    git(beside.source, "push", "--quiet", str(beside.place / "upstream.git"), "elsewhere")
    git(beside.repo.clone, "fetch", "--quiet", str(beside.source), "elsewhere")
    for unknown in (stranger, "f" * 40):
        commits = (beside.first, unknown)
        pick = partial(beside.repo.pick, base=beside.candidate, commits=commits, time=WHEN)
        assert unknown in refused("PICK_UNKNOWN", pick)
    pick = partial(beside.repo.pick, base="e" * 40, commits=(beside.first,), time=WHEN)
    assert "e" * 40 in refused("PICK_UNKNOWN", pick)
    refused("BAD_REF", lambda: beside.repo.pick(base="main", commits=(), time=WHEN))


def test_what_was_merged_after_the_clone_was_made_can_be_picked(beside: Beside) -> None:
    beside.frozen()
    later = beside.on_branch("gh-105: Late", {"Lib/d.py": "d = 1\n"})
    assert beside.text(beside.picked(later), "Lib/d.py") == "d = 1\n"


def test_a_commit_that_changes_nothing_or_is_a_merge_is_not_picked(beside: Beside) -> None:
    git(beside.source, "merge", "--quiet", "--no-ff", "-s", "ours", "-m", "Merge", "candidate")
    git(beside.source, "checkout", "--quiet", "-b", "side", "candidate")
    commit_file(beside.source, "Lib/e.py", "e")
    git(beside.source, "checkout", "--quiet", BRANCH)
    git(beside.source, "merge", "--quiet", "--no-ff", "-m", "Merge", "side")
    merge = beside.on_branch("One more", {"Lib/f.py": "f\n"})
    merge = git(beside.source, "rev-parse", f"{merge}~1")
    beside.frozen()
    pick = partial(beside.repo.pick, base=beside.candidate, time=WHEN)
    assert merge in refused("PICK_MERGE", lambda: pick(commits=(merge,)))
    assert beside.first in refused("PICK_EMPTY", lambda: pick(commits=(beside.first,) * 2))


def test_attributes_in_the_work_tree_have_no_say_in_a_pick(beside: Beside) -> None:
    beside.frozen()
    one = beside.picked()
    shutil.rmtree(beside.repo.clone)
    beside.frozen()
    (beside.repo.clone / ".gitattributes").write_text("* merge=union binary\n")
    assert beside.picked() == one


@given(st.text(), st.sampled_from(["", "\n\nSigned-off-by: X <x@y>", "\n\nMore words: here."]))
def test_where_a_commit_is_from_is_the_last_line_of_its_message(subject: str, rest: str) -> None:
    message = noted(subject + rest, "a" * 40)
    assert message.endswith(f"\n(cherry picked from commit {'a' * 40})")
    assert message.startswith((subject + rest).rstrip("\n"))


# --- merging ----------------------------------------------------------------------------------


def test_a_release_that_was_made_beside_the_branch_is_merged(beside: Beside) -> None:
    head = beside.frozen()
    made = beside.released()
    assert beside.repo.merged(base=head, other=made) is None
    merged = beside.merged(head, made)
    assert merged.parents == (head, made)
    changed = {one.path: one.status for one in beside.repo.changes(base=head, commit=merged.commit)}
    assert changed == {
        "Doc/library/a.rst": "M",
        "Include/patchlevel.h": "M",
        "Lib/pydoc_data/topics.py": "M",
        "Misc/NEWS.d/3.15.0rc2.rst": "A",
        FIRST: "D",
        SECOND: "D",
        "README.rst": "M",
    }
    for path, text in RELEASED.items():
        assert beside.text(merged.commit, path) == text
    assert beside.text(merged.commit, "Lib/b.py") == "b = 2\n"
    assert beside.text(merged.commit, OTHER) == "Two.\n"
    assert beside.merged(head, made) == merged
    state = beside.repo.clone_state()
    assert state is not None
    assert (state.head, state.dirty) == (made, ())


def test_the_branch_keeps_what_it_made_of_a_picked_change_since(beside: Beside) -> None:
    beside.on_branch("Revert gh-101", {"Lib/a.py": "a = 1\n"})
    beside.on_branch("Mend more", {"Lib/c.py": "c = 2\n"})
    head = beside.frozen()
    merged = beside.merged(head, beside.released())
    assert beside.text(merged.commit, "Lib/a.py") == "a = 1\n"
    assert beside.text(merged.commit, "Lib/c.py") == "c = 2\n"


def test_the_release_is_right_about_the_version_and_the_branch_about_all_else_there(
    beside: Beside,
) -> None:
    more = "/* More */\n" + patchlevel("3.15.0rc1+", 1)
    text = readme("3.15.0 release candidate 1 (mended)", " Really.")
    beside.on_branch("More", {"Include/patchlevel.h": more, "README.rst": text})
    head = beside.frozen()
    merged = beside.merged(head, beside.released())
    expected = "/* More */\n" + patchlevel(VERSION, 2)
    assert beside.text(merged.commit, "Include/patchlevel.h") == expected
    expected = readme("3.15.0 release candidate 2", " Really.")
    assert beside.text(merged.commit, "README.rst") == expected


def test_topics_that_both_sides_made_are_the_branchs(beside: Beside) -> None:
    beside.on_branch("Topics", {"Lib/pydoc_data/topics.py": "topics = 'branch'\n"})
    head = beside.frozen()
    merged = beside.merged(head, beside.released())
    assert beside.text(merged.commit, "Lib/pydoc_data/topics.py") == "topics = 'branch'\n"


def test_no_entry_of_the_news_is_told_and_still_waits(beside: Beside) -> None:
    """I50: an entry may have been renamed, or its text mended, on the branch since."""
    renamed = f"{NEXT}/2026-08-09-10-00-00.gh-issue-103.DDDDDD.rst"
    beside.on_branch("NEWS", {FIRST: "One, mended.\n", SECOND: None, renamed: "Three.\n\n"})
    head = beside.frozen()
    merged = beside.merged(head, beside.released())
    left = beside.repo.paths(commit=merged.commit, under=NEXT)
    assert left == (OTHER, f"{NEXT}/README.rst")
    assert beside.text(merged.commit, OTHER) == "Two.\n"


def test_any_other_conflict_is_refused_with_its_paths(beside: Beside) -> None:
    beside.on_branch("Docs", {"Doc/library/a.rst": "a\n=\n\nNow.\n.. versionchanged:: 3.16\n"})
    unknown = f"{NEXT}/2026-08-01-10-00-00.gh-issue-99.EEEEEE.rst"
    beside.on_branch("Readme", {f"{NEXT}/README.rst": "Do not add.\n", unknown: "New.\n"})
    head = beside.frozen()
    made = beside.released({**RELEASED, f"{NEXT}/README.rst": None})
    message = refused("MERGE_CONFLICT", lambda: beside.merged(head, made))
    assert f"Doc/library/a.rst, {NEXT}/README.rst" in message
    assert "Include" not in message
    assert beside.repo.merged(base=head, other=made) is None


def test_what_is_not_only_picked_is_merged_from_where_the_histories_part(beside: Beside) -> None:
    head = beside.frozen()
    tree_of = beside.edited(beside.candidate, {"Lib/new.py": "n = 1\n"})
    beside.repo.commit(
        branch=BRANCH, parent=beside.candidate, tree_of=tree_of, message="By hand", time=WHEN
    )
    by_hand = git(beside.repo.clone, "rev-parse", "HEAD")
    tree_of = beside.edited(by_hand, {"Include/patchlevel.h": patchlevel(VERSION, 2)})
    beside.repo.commit(branch=BRANCH, parent=by_hand, tree_of=tree_of, message=MESSAGE, time=WHEN)
    merged = beside.merged(head, git(beside.repo.clone, "rev-parse", "HEAD"))
    assert beside.text(merged.commit, "Lib/new.py") == "n = 1\n"
    assert beside.text(merged.commit, "Include/patchlevel.h") == patchlevel(VERSION, 2)
    assert beside.text(merged.commit, FIRST) == "One.\n"


def test_histories_that_have_nothing_in_common_are_not_merged(beside: Beside) -> None:
    head = beside.frozen()
    tree = git(beside.repo.clone, "rev-parse", "HEAD^{tree}")
    alone = git(beside.repo.clone, "commit-tree", "-m", "x", tree)
    refused("MERGE_UNRELATED", lambda: beside.merged(head, alone))


def test_nothing_short_lived_stays_beside_the_clone(beside: Beside) -> None:
    head = beside.frozen()
    beside.merged(head, beside.released())
    assert [path.name for path in beside.repo.clone.parent.iterdir()] == [VERSION]


ENTRIES = st.lists(
    st.tuples(
        st.integers(1, 99999),
        st.from_regex(r"[A-Za-z0-9_-]{6}", fullmatch=True),
        st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1),
    ),
    max_size=4,
)


@given(ENTRIES, st.integers(1, 99999))
def test_a_release_holds_exactly_what_it_tells(
    entries: list[tuple[int, str, str]], issue: int
) -> None:
    told = Told.read(news(*entries))
    assert [(one.issue, one.nonce, one.text) for one in told.entries] == [
        (str(number), nonce, text) for number, nonce, text in entries
    ]
    for number, nonce, text in entries:
        assert told.holds(f"x/2026-01-01-01-01-01.gh-issue-{number}.{nonce}.rst", str)
        renamed = f"x/2026-01-01-01-01-01.gh-issue-{number}.!!!!!!.rst"
        assert told.holds(renamed, partial(str, f"\n {text}\n"))
    assert not told.holds(f"x/2026-01-01-01-01-01.gh-issue-{issue}.!!!!!!.rst", lambda: "?")
    assert not told.holds("x/README.rst", str)


# --- branches of the clone --------------------------------------------------------------------


def test_a_release_beside_is_committed_merged_and_pushed(beside: Beside) -> None:
    head = beside.frozen()
    made = beside.released()
    assert (beside.repo.clone / "Misc/NEWS.d/3.15.0rc2.rst").is_file()
    assert not (beside.repo.clone / OTHER).exists()
    merged = beside.merged(head, made)
    after = beside.edited(merged.commit, {"Include/patchlevel.h": patchlevel("3.15.0rc2+", 2)})
    what = {"branch": BRANCH, "parent": head, "tree_of": after, "message": "Post"}
    assert beside.repo.committed(**what, also=made) is None
    beside.repo.commit(**what, also=made, time=WHEN)
    beside.repo.commit(**what, also=made, time=WHEN)
    found = beside.repo.committed(**what, also=made)
    assert found is not None
    assert found.parents == (head, made)
    assert beside.repo.committed(**what) is None
    assert (beside.repo.clone / OTHER).is_file()
    update = RefUpdate(ref=f"refs/heads/{BRANCH}", old=head, new=found.commit)
    beside.repo.push(remote="upstream", updates=(update,))
    assert beside.repo.contains(remote="upstream", branch=BRANCH, commit=made)


def test_the_clone_of_a_release_beside_is_still_fit_and_nothing_foreign_is(beside: Beside) -> None:
    head = beside.frozen()
    beside.released()
    beside.repo.make_clone(branch=BRANCH, commit=head)
    foreign = commit_file(beside.repo.clone, "mine", "x")
    make = partial(beside.repo.make_clone, branch=BRANCH, commit=head)
    assert foreign in refused("CLONE_BEHIND", make)
    picked = beside.picked()
    tree_of = beside.edited(picked, {"Lib/a.py": "x\n"})
    what = {"branch": BRANCH, "parent": picked, "tree_of": tree_of, "message": "x"}
    assert foreign in refused("CLONE_MOVED", lambda: beside.repo.commit(**what, time=WHEN))


def test_a_new_branch_is_made_without_touching_what_is_checked_out(beside: Beside) -> None:
    head = beside.frozen()
    first = beside.edited(head, {"README.rst": "New branch\n"})
    what = {"branch": "3.16", "parent": head, "tree_of": first, "message": "Begin 3.16"}
    assert beside.repo.committed(**what) is None
    beside.repo.commit(**what, time=WHEN)
    beside.repo.commit(**what, time=WHEN)
    made = beside.repo.committed(**what)
    assert made is not None
    state = beside.repo.clone_state()
    assert state is not None
    assert (state.branch, state.head, state.dirty) == (BRANCH, head, ())
    second = beside.edited(made.commit, {"README.rst": "More\n"})
    more = {"branch": "3.16", "parent": made.commit, "tree_of": second, "message": "More"}
    beside.repo.commit(**more, time=WHEN)
    assert beside.repo.committed(**more) is not None
    assert beside.repo.committed(**what) is None
    assert "3.16" in refused("CLONE_MOVED", lambda: beside.repo.commit(**what, time=WHEN))
    both = (
        RefUpdate(ref="refs/heads/3.16", old=None, new=made.commit),
        RefUpdate(ref=f"refs/heads/{BRANCH}", old=head, new=made.commit),
        RefUpdate(ref="refs/tags/v3.15.0b1", old=None, new=made.commit),
    )
    beside.repo.push(remote="upstream", updates=both)
    refs = {one.ref: made.commit for one in both}
    assert beside.repo.remote_refs(remote="upstream", refs=tuple(refs)) == refs


def test_a_branch_beside_with_somebody_elses_commits_is_not_moved(beside: Beside) -> None:
    head = beside.frozen()
    tree_of = beside.edited(head, {"README.rst": "New branch\n"})
    what = {"branch": "3.16", "parent": head, "tree_of": tree_of, "message": "Begin"}
    tree = git(beside.repo.clone, "rev-parse", "HEAD^{tree}")
    foreign = git(beside.repo.clone, "commit-tree", "-m", "x", "-p", head, tree)
    git(beside.repo.clone, "update-ref", "refs/heads/3.16", foreign)
    assert foreign in refused("CLONE_MOVED", lambda: beside.repo.commit(**what, time=WHEN))
    for to in (head, None):
        back = partial(beside.repo.take_back, branch="3.16", to=to)
        assert foreign in refused("CLONE_MOVED", back)
    assert git(beside.repo.clone, "rev-parse", "3.16") == foreign


# --- taking back ------------------------------------------------------------------------------


def test_a_release_beside_is_taken_back_to_the_frozen_head(beside: Beside) -> None:
    head = beside.frozen()
    made = beside.released()
    for _ in range(2):
        beside.repo.take_back(branch=BRANCH, to=head)
        state = beside.repo.clone_state()
        assert state is not None
        assert (state.branch, state.head, state.dirty) == (BRANCH, head, ())
        assert (beside.repo.clone / OTHER).is_file()
    assert beside.text(made, "Lib/a.py") == "a = 2\n"
    assert beside.released() == made
    beside.repo.take_back(branch="none", to=head)


def test_a_merge_is_taken_back_to_the_release_and_then_to_the_frozen_head(beside: Beside) -> None:
    head = beside.frozen()
    made = beside.released()
    merged = beside.merged(head, made)
    what = {"branch": BRANCH, "parent": head, "tree_of": merged.commit, "message": "Post"}
    beside.repo.commit(**what, also=made, time=WHEN)
    for to in (made, head):
        beside.repo.take_back(branch=BRANCH, to=to)
        state = beside.repo.clone_state()
        assert state is not None
        assert (state.head, state.dirty) == (to, ())
        assert beside.repo.committed(**what, also=made) is None


def test_taking_back_never_goes_forward(beside: Beside) -> None:
    head = beside.frozen()
    tree_of = beside.edited(head, {"README.rst": "x\n"})
    beside.repo.commit(branch=BRANCH, parent=head, tree_of=tree_of, message="x", time=WHEN)
    made = git(beside.repo.clone, "rev-parse", "HEAD")
    beside.repo.commit(branch="3.16", parent=head, tree_of=tree_of, message="x", time=WHEN)
    beside.repo.take_back(branch=BRANCH, to=head)
    beside.repo.take_back(branch="3.16", to=head)
    for branch in (BRANCH, "3.16"):
        beside.repo.take_back(branch=branch, to=made)
        assert git(beside.repo.clone, "rev-parse", branch) == head


def test_what_somebody_did_in_the_clone_is_not_taken_back(beside: Beside) -> None:
    head = beside.frozen()
    beside.released()
    back = partial(beside.repo.take_back, branch=BRANCH, to=head)
    (beside.repo.clone / "README.rst").write_text("mine")
    assert "README.rst" in refused("CLONE_DIRTY", back)
    foreign = commit_file(beside.repo.clone, "README.rst", "mine")
    assert foreign in refused("CLONE_MOVED", back)
    git(beside.repo.clone, "reset", "--quiet", "--hard", head)
    (beside.repo.clone / "README.rst").write_text("mine")
    back()
    assert (beside.repo.clone / "README.rst").read_text() == "mine"
    git(beside.repo.clone, "checkout", "--quiet", "--force", "-b", "other")
    assert "other" in refused("CLONE_BRANCH", back)


@pytest.mark.parametrize("command", [("read-tree",), ("update-ref", "-m"), ("update-ref", "-d")])
def test_taking_back_that_was_killed_is_seen_as_not_done_and_is_completed(
    beside: Beside, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    head = beside.frozen()
    made = beside.released()
    tree_of = beside.repo.picked(base=made, commits=())
    parent = git(beside.repo.clone, "rev-parse", "HEAD~1")
    assert tree_of is not None
    what = {"branch": BRANCH, "parent": parent, "tree_of": tree_of.commit, "message": MESSAGE}
    run = git_command.GitCommand.run

    def killed(self: git_command.GitCommand, *arguments: str) -> object:
        if arguments[: len(command)] == command:
            if command == ("read-tree",):  # half way
                (beside.repo.clone / OTHER).write_text("Tw")
                (beside.repo.clone / "Misc/NEWS.d/3.15.0rc2.rst").unlink()
            raise KeyboardInterrupt
        return run(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(git_command.GitCommand, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            beside.repo.take_back(branch=BRANCH, to=head)
    moved = command == ("update-ref", "-d")
    assert (beside.repo.committed(**what) is None) == moved
    beside.repo.take_back(branch=BRANCH, to=head)
    state = beside.repo.clone_state()
    assert state is not None
    assert (state.head, state.dirty) == (head, ())
    assert beside.repo.committed(**what) is None
    assert beside.released() == made
    (beside.repo.clone / "README.rst").write_text("mine")
    assert beside.repo.committed(**what) is None
    refused("CLONE_DIRTY", lambda: beside.repo.take_back(branch=BRANCH, to=head))


@pytest.mark.parametrize("again", [True, False])
def test_another_commit_follows_one_that_was_killed_before_the_files_were_there(
    beside: Beside, monkeypatch: pytest.MonkeyPatch, *, again: bool
) -> None:
    """Also where nobody takes back what was never there as a whole."""
    head = beside.frozen()
    run = git_command.GitCommand.run

    def killed(self: git_command.GitCommand, *arguments: str) -> object:
        if arguments[0] == "reset":
            raise KeyboardInterrupt
        return run(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(git_command.GitCommand, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            beside.released()
    if again:
        beside.repo.take_back(branch=BRANCH, to=head)
        state = beside.repo.clone_state()
        assert state is not None
        assert (state.head, state.dirty) == (head, ())
    made = beside.released({**RELEASED, "Lib/a.py": "a = 5\n"})
    state = beside.repo.clone_state()
    assert state is not None
    assert (state.head, state.dirty) == (made, ())
    (beside.repo.clone / "README.rst").write_text("mine")
    refused("CLONE_DIRTY", beside.released)


def test_a_branch_that_this_run_made_is_deleted_again(beside: Beside) -> None:
    head = beside.frozen()
    tree_of = beside.edited(head, {"README.rst": "x\n"})
    what = {"branch": "3.16", "parent": head, "tree_of": tree_of, "message": "x"}
    beside.repo.commit(**what, time=WHEN)
    for _ in range(2):
        beside.repo.take_back(branch="3.16", to=None)
        assert beside.repo.committed(**what) is None
    assert git(beside.repo.clone, "for-each-ref", "refs/heads/3.16") == ""
    beside.repo.commit(**what, time=WHEN)
    assert beside.repo.committed(**what) is not None
    refused("CLONE_BRANCH", lambda: beside.repo.take_back(branch=BRANCH, to=None))


def test_a_tag_is_deleted_if_it_is_on_that_commit(beside: Beside) -> None:
    head = beside.frozen()
    git(beside.repo.clone, "tag", "-a", "-m", "x", "v3.15.0rc2", head)
    beside.repo.delete_tag(name="v3.15.0rc2", commit=beside.candidate)
    assert beside.repo.tag(name="v3.15.0rc2") is not None
    for _ in range(2):
        beside.repo.delete_tag(name="v3.15.0rc2", commit=head)
        assert beside.repo.tag(name="v3.15.0rc2") is None


def test_a_superseded_clone_stays_under_another_name(beside: Beside) -> None:
    head = beside.frozen()
    beside.repo.discard_clone(branch="main")
    assert beside.repo.clone_state() is not None
    for number in (1, 2):
        (beside.repo.clone / "mine").write_text("x")
        beside.repo.discard_clone(branch=BRANCH)
        assert beside.repo.clone_state() is None
        aside = beside.repo.clone.with_name(f"{VERSION}.superseded-{number}")
        assert (aside / "mine").read_text() == "x"
        beside.repo.make_clone(branch=BRANCH, commit=head)
    shutil.rmtree(beside.repo.clone)
    beside.repo.discard_clone(branch=BRANCH)
    beside.repo.take_back(branch=BRANCH, to=head)
    beside.repo.delete_tag(name="v3.15.0rc2", commit=head)


# --- the end of a branch ----------------------------------------------------------------------


def test_a_branch_is_deleted_upstream_only_where_a_tag_keeps_its_last_commit(
    beside: Beside,
) -> None:
    head = beside.frozen()
    branch, name = f"refs/heads/{BRANCH}", f"refs/tags/{BRANCH}"
    gone = RefUpdate(ref=branch, old=head, new=None)
    push: Callable[..., None] = partial(beside.repo.push, remote="upstream")
    assert head in refused("BRANCH_NOT_KEPT", lambda: push(updates=(gone,)))
    git(beside.repo.clone, "tag", "-a", "-m", "x", BRANCH, f"{head}~1")
    other = git(beside.repo.clone, "rev-parse", f"{BRANCH}^{{tag}}", "--")
    tag = RefUpdate(ref=name, old=None, new=other.split()[0])
    refused("BRANCH_NOT_KEPT", lambda: push(updates=(tag, gone)))
    git(beside.repo.clone, "tag", "-d", BRANCH)
    git(beside.repo.clone, "tag", "-a", "-m", "x", BRANCH, head)
    tag = RefUpdate(ref=name, old=None, new=git(beside.repo.clone, "rev-parse", name))
    stale = RefUpdate(ref=branch, old=f"{beside.candidate}", new=None)
    git(beside.place / "upstream.git", "tag", "x", beside.candidate)
    refused("REMOTE_MOVED", lambda: push(updates=(tag, stale)))
    push(updates=(tag, gone))
    push(updates=(tag, gone))
    assert beside.repo.remote_refs(remote="upstream", refs=(branch, name)) == {
        branch: None,
        name: tag.new,
    }


def test_a_tag_with_the_name_of_the_branch_is_not_taken_for_it(beside: Beside) -> None:
    head = beside.frozen()
    git(beside.repo.clone, "tag", "-a", "-m", "x", BRANCH, f"{head}~1")
    state = beside.repo.clone_state()
    assert state is not None
    assert (state.branch, state.head) == (BRANCH, head)
    made = beside.released()
    beside.repo.take_back(branch=BRANCH, to=head)
    assert git(beside.repo.clone, "rev-parse", f"refs/heads/{BRANCH}") == head
    assert made != head


def test_a_tag_that_is_upstream_already_keeps_the_branch_too(beside: Beside) -> None:
    head = beside.frozen()
    git(beside.place / "upstream.git", "tag", "-a", "-m", "x", BRANCH, head)
    gone = RefUpdate(ref=f"refs/heads/{BRANCH}", old=head, new=None)
    beside.repo.push(remote="upstream", updates=(gone,))
    assert beside.repo.remote_ref(remote="upstream", ref=gone.ref) is None


def test_git_finds_nothing_broken_in_a_clone_with_all_of_this(beside: Beside) -> None:
    head = beside.frozen()
    beside.merged(head, beside.released())
    beside.repo.take_back(branch=BRANCH, to=head)
    checked = subprocess.run(
        ["git", "fsck", "--strict", "--no-dangling"],
        cwd=beside.repo.clone,
        capture_output=True,
        check=True,
    )
    assert checked.stdout == b""


# --- killed at any instant --------------------------------------------------------------------

WHOLE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from relkit.adapters.editors import EDITORS, Tools
from relkit.adapters.git import GitRepository, Identity, SigningKey
place, candidate, first, second, head = Path(sys.argv[1]), *sys.argv[2:]
when = datetime(2026, 5, 5, 10, tzinfo=UTC)
news = "Misc/NEWS.d/3.15.0rc2.rst"
EDITORS["test"] = lambda tree, *_: (tree / news).write_text("News.")
repo = GitRepository(place / "clone" / "3.15.0rc2",
    {"upstream": str(place / "upstream.git"), "fork": str(place / "fork.git")},
    Identity("RM", "rm@example.org"), SigningKey(place, "0" * 40),
    Tools("x", ("x",), place, place))
picks = {"base": candidate, "commits": (first, second)}

def note(name, text):  # as a run notes what is done
    (place / "half").write_text(text)
    (place / "half").replace(place / name)

def noted(name):
    return (place / name).read_text() if (place / name).exists() else ""

def prepared():
    if not repo.clone_state():
        repo.make_clone(branch="3.15", commit=head)
    if not repo.picked(**picks):
        repo.pick(**picks, time=when)
    picked = repo.picked(**picks).commit
    if not (edited := repo.edited(editor="test", base=picked)):
        repo.edit(editor="test", base=picked, writes=("*",), version="3.15.0rc2", time=when)
        edited = repo.edited(editor="test", base=picked)
    return {"branch": "3.15", "parent": picked, "tree_of": edited.commit, "message": "x"}

def joined(made):
    if not repo.merged(base=head, other=made):
        repo.merge(base=head, other=made, version="3.15.0rc2", time=when)
    merged = repo.merged(base=head, other=made).commit
    return {"branch": "3.15", "parent": head, "also": made, "tree_of": merged, "message": "y"}

def work():
    what = prepared()
    if not noted("made"):
        repo.commit(**what, time=when)
        note("made", repo.committed(**what).commit)
    post = joined(noted("made"))
    repo.commit(**post, time=when)
    note("last", repo.committed(**post).commit)

def take_back():  # as a respin does: what still holds
    if repo.committed(**joined(noted("made"))):
        repo.take_back(branch="3.15", to=noted("made"))
    if repo.committed(**prepared()):
        repo.take_back(branch="3.15", to=head)
    state = repo.clone_state()
    assert (state.head, state.dirty) == (head, ())

def discard():
    note("made", "")
    repo.discard_clone(branch="3.15")
    assert repo.clone_state() is None

print("ready", flush=True)
phases = [work, take_back, discard, work]
for number in range(len(noted("phase")), len(phases)):
    phases[number]()
    note("phase", "x" * (number + 1))
print(noted("last"))
"""


@pytest.mark.slow
def test_killed_at_any_instant_with_all_its_children_the_work_is_completed(
    beside: Beside,
) -> None:
    ids = [beside.candidate, beside.first, beside.second, beside.head]
    command = [sys.executable, "-c", WHOLE]
    began = time.monotonic()
    (beside.place / "calm").mkdir()
    for name in ("upstream.git", "fork.git"):
        shutil.copytree(beside.place / name, beside.place / "calm" / name)
    calm = [*command, str(beside.place / "calm"), *ids]
    expected = subprocess.run(calm, check=True, capture_output=True, text=True).stdout
    whole = time.monotonic() - began
    random = Random(20260818)  # noqa: S311 (instants, no secrets)
    for _ in range(12):
        process = subprocess.Popen(
            [*command, str(beside.place), *ids], start_new_session=True, stdout=subprocess.PIPE
        )
        time.sleep(random.uniform(0.15, 0.95) * whole)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        ended = subprocess.run(
            [*command, str(beside.place), *ids], capture_output=True, text=True, check=False
        )
        assert ended.stdout == expected, ended.stderr
        shutil.rmtree(beside.place / "clone")
        for name in ("made", "last", "phase"):
            (beside.place / name).unlink()
