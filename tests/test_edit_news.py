from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from edit_helpers import INSTALLED, WHEN, contents, make_tools, make_tree, news_tree, put, refused
from hypothesis import given
from hypothesis import strategies as st

from relkit.adapters.edit_entries import check_entries
from relkit.adapters.edit_tools import Tools
from relkit.adapters.editors import EDITORS, blurb_for
from relkit.adapters.git import GitRepository, Identity, SigningKey, make_bare
from relkit.building.source import blurb_command


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree", "3.13.0a5")


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return make_tools(tmp_path)


@pytest.fixture(params=["1.1.0", "2.3.0"])
def blurb(request: pytest.FixtureRequest, tools: Tools) -> Tools:
    folder = INSTALLED / f"blurb-{request.param}"
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not installed below {INSTALLED}: make env")
    command = blurb_command(folder)
    return Tools(sys.executable, command, tools.docs_environments, tools.logs)


def test_the_news_are_merged_and_dated_with_the_release(tree: Path, blurb: Tools) -> None:
    news_tree(
        tree,
        "2026-04-01-10-00-00.gh-issue-100001.abcdef",
        "2026-04-02-10-00-00.gh-issue-100001.fedcba",
    )
    EDITORS["news"](tree, "3.13.0a6", WHEN, blurb)
    assert (tree / "Misc/NEWS.d/3.13.0a6.rst").read_text() == (
        ".. date: 2026-04-02-10-00-00\n.. gh-issue: 100001\n.. nonce: fedcba\n"
        ".. release date: 2026-05-05\n.. section: Library\n\n"
        "Mend 2026-04-02-10-00-00.gh-issue-100001.fedcba.\n\n..\n\n"
        ".. date: 2026-04-01-10-00-00\n.. gh-issue: 100001\n.. nonce: abcdef\n"
        ".. section: Library\n\n"
        "Mend 2026-04-01-10-00-00.gh-issue-100001.abcdef.\n"
    )
    assert [path.name for path in (tree / "Misc/NEWS.d/next").rglob("*.rst")] == ["README.rst"]


def test_a_release_without_news_says_so_with_the_date_of_the_release(
    tree: Path, blurb: Tools
) -> None:
    news_tree(tree)
    EDITORS["news"](tree, "3.13.0a6", WHEN, blurb)
    text = (tree / "Misc/NEWS.d/3.13.0a6.rst").read_text()
    assert ".. date: 2026-05-05\n" in text
    assert ".. release date: 2026-05-05\n" in text
    assert f"{datetime.now(UTC):%Y-%m-%d}" not in text


def test_a_bad_entry_is_refused_with_its_file(tree: Path, blurb: Tools) -> None:
    news_tree(tree, "2026-04-01-10-00-00.gh-issue-100001.abcdef")
    name = "2026-04-02-10-00-00.gh-issue-2.bad"
    put(tree, **{f"Misc/NEWS.d/next/Library/{name}.rst": ".. gh-issue: 2\n\n"})
    message = refused("EDIT_NEWS", lambda: EDITORS["news"](tree, "3.13.0a6", WHEN, blurb))
    assert name in message


def test_blurb_does_not_edit_another_tree_further_up(tree: Path, blurb: Tools) -> None:
    news_tree(tree, "2026-04-01-10-00-00.gh-issue-100001.abcdef")
    before = contents(tree)
    inner = make_tree(tree / "Tools" / "inner", "3.13.0a5")
    put(inner, **{"Misc/NEWS.d/next/README.rst": ""})
    refused("EDIT_MISSING", lambda: EDITORS["news"](inner, "3.13.0a6", WHEN, blurb))
    shutil.rmtree(inner)
    assert contents(tree) == before


def test_news_that_were_released_are_not_released_again(tree: Path, tools: Tools) -> None:
    put(tree, **{"Misc/NEWS.d/3.13.0a6.rst": "x"})
    refused("EDIT_NEWS_EXISTS", lambda: EDITORS["news"](tree, "3.13.0a6", WHEN, tools))


def test_a_blurb_that_writes_no_date_is_noticed(tree: Path, tools: Tools) -> None:
    script = "open('Misc/NEWS.d/3.13.0a6.rst', 'w').write('.. date: x\\n\\ny\\n')"
    news_tree(tree)
    strange = Tools(
        sys.executable, (sys.executable, "-c", script), tools.docs_environments, tools.logs
    )
    refused("EDIT_NEWS_DATE", lambda: EDITORS["news"](tree, "3.13.0a6", WHEN, strange))


def test_the_tree_cannot_bring_its_own_modules_to_blurb(tree: Path, blurb: Tools) -> None:
    news_tree(tree, "2026-04-01-10-00-00.gh-issue-100001.abcdef")
    canary = tree / "canary"
    for module in ("textwrap", "blurb", "sitecustomize", "argparse"):
        put(tree, **{f"{module}.py": f"open({str(canary)!r}, 'w')\nraise SystemExit(0)\n"})
    EDITORS["news"](tree, "3.13.0a6", WHEN, blurb)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("version", "blurb_version"),
    [("3.12.1", "1.1.0"), ("3.13.0a6", "1.1.0"), ("3.15.0a1", "2.3.0")],
)
def test_each_tree_gets_the_blurb_it_needs(version: str, blurb_version: str) -> None:
    assert blurb_for(version) == blurb_version


# --- bad entries ------------------------------------------------------------------------------

ENTRY = "2026-04-01-10-00-00.gh-issue-100001.abcdef"
TOLD = (
    ".. date: 2026-04-01-10-00-00\n.. gh-issue: 100001\n.. nonce: {nonce}\n"
    ".. release date: 2026-04-01\n.. section: Library\n\nMend\n2026-04-01-10-00-00.gh-issue-"
    "100001.abcdef.\n\n..\n\n.. bpo: 1\n.. nonce: x\n\ny\n"
)


def test_an_entry_that_was_released_is_not_told_again(tree: Path, tools: Tools) -> None:
    """I50: a cherry-picked entry would stand in the changelog twice."""
    news_tree(tree, ENTRY)
    put(tree, **{"Misc/NEWS.d/3.13.0rc2.rst": TOLD.format(nonce="abcdef")})
    before = contents(tree)
    message = refused("EDIT_NEWS_DOUBLED", lambda: EDITORS["news"](tree, "3.13.0", WHEN, tools))
    assert f"Misc/NEWS.d/next/Library/{ENTRY}.rst: " in message
    assert "Misc/NEWS.d/3.13.0rc2.rst:1" in message
    assert contents(tree) == before


def test_an_entry_that_waits_twice_is_told_once(tree: Path, tools: Tools) -> None:
    news_tree(tree, ENTRY)
    other = f"Misc/NEWS.d/next/Build/{ENTRY}.rst"
    put(tree, **{other: f"Mend {ENTRY}.\n"})
    message = refused("EDIT_NEWS_DOUBLED", lambda: EDITORS["news"](tree, "3.13.0", WHEN, tools))
    assert f"Misc/NEWS.d/next/Library/{ENTRY}.rst: is also in {other}" in message


OTHERS = {
    "nonce": TOLD.format(nonce="fedcba"),
    "issue": TOLD.format(nonce="abcdef").replace("issue: 100001", "issue: 100002"),
    "date": TOLD.format(nonce="abcdef").replace("2026-04-01-10", "2026-04-01-11", 1),
    "words": TOLD.format(nonce="abcdef").replace("Mend", "Revert"),
}


@pytest.mark.parametrize("released", OTHERS.values(), ids=OTHERS)
def test_another_entry_on_the_same_issue_is_fine(tree: Path, released: str) -> None:
    news_tree(tree, ENTRY)
    put(tree, **{"Misc/NEWS.d/3.13.0rc2.rst": released})
    check_entries(tree)


MISNAMED = [
    *("Library/fix.rst", f"Library/{ENTRY}.rst.orig", f"{ENTRY}.rst", f"Library/more/{ENTRY}.rst"),
    *("Library/2026-04-01.gh-issue-x.a.rst", "Library/2026-04-01.gh-1.a.rst", "Library/x.txt"),
    *("Library/2026-04-01.abcdef.rst", "Library/1.4.2026.gh-issue-1.abcdef.rst"),
]


@pytest.mark.parametrize("name", MISNAMED)
def test_an_entry_that_blurb_would_overlook_is_refused_by_name(
    tree: Path, tools: Tools, name: str
) -> None:
    news_tree(tree)
    put(tree, **{f"Misc/NEWS.d/next/{name}": "Mend it.\n"})
    message = refused("EDIT_NEWS_NAME", lambda: EDITORS["news"](tree, "3.13.0a6", WHEN, tools))
    assert f"Misc/NEWS.d/next/{name}: " in message


def test_an_entry_in_a_section_that_is_none_is_refused(tree: Path, blurb: Tools) -> None:
    news_tree(tree)
    name = f"Misc/NEWS.d/next/Gossip/{ENTRY}.rst"
    put(tree, **{name: "Mend it.\n"})
    assert name in refused("EDIT_NEWS", lambda: EDITORS["news"](tree, "3.13.0a6", WHEN, blurb))


@given(
    st.dates(),
    st.lists(st.integers(1, 200_000), min_size=1, max_size=3, unique=True),
    st.from_regex(r"[A-Za-z0-9_-]{6}", fullmatch=True),
)
def test_the_names_that_blurb_gives_are_fine(
    tmp_path_factory: pytest.TempPathFactory, day: object, issues: list[int], nonce: str
) -> None:
    folder = tmp_path_factory.mktemp("names")
    kind = "gh-issue" if issues[0] % 2 else "bpo"
    numbers = ",".join(map(str, issues))
    name = f"{day}-10-00-00.{kind}-{numbers}.{nonce}.rst"
    put(folder, **{f"Misc/NEWS.d/next/Core_and_Builtins/{name}": "Mend it.\n"})
    check_entries(folder)
    header = f".. date: {day}-10-00-00\n.. {kind}: {numbers}\n.. nonce: {nonce}\n\nMend it.\n"
    put(folder, **{"Misc/NEWS.d/3.13.0a1.rst": header})
    refused("EDIT_NEWS_DOUBLED", lambda: check_entries(folder))


def test_an_empty_entry_is_refused_with_file_and_line(tree: Path, blurb: Tools) -> None:
    news_tree(tree, ENTRY)
    path = f"Misc/NEWS.d/next/Library/{ENTRY}.rst"
    (tree / path).write_text("")
    message = refused("EDIT_NEWS", lambda: EDITORS["news"](tree, "3.13.0a6", WHEN, blurb))
    assert f"{path}:" in message


def test_an_entry_in_another_encoding_is_refused_by_line(tree: Path, tools: Tools) -> None:
    news_tree(tree, ENTRY)
    path = f"Misc/NEWS.d/next/Library/{ENTRY}.rst"
    (tree / path).write_bytes(b"Mend it.\nThanks to Zo\xeb.\n")
    message = refused("EDIT_ENCODING", lambda: EDITORS["news"](tree, "3.13.0a6", WHEN, tools))
    assert f"{path}:2: " in message


# --- a tool that fails half way ---------------------------------------------------------------

HALF = """\
import os, pathlib, signal
for entry in pathlib.Path("Misc/NEWS.d/next/Library").glob("2*.rst"):
    entry.unlink()
pathlib.Path("Misc/NEWS.d/3.13.0a6.rst").write_text(".. date: 2026")
print("half way", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_blurb_that_is_killed_half_way_leaves_the_clone_as_it_was(
    tree: Path, tmp_path: Path
) -> None:
    news_tree(tree, ENTRY)
    git = ("git", "-C", str(tree))
    subprocess.run([*git, "branch", "--quiet", "--force", "main"], check=True)
    head = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    make_bare(tree, "main", tmp_path / "upstream.git")
    upstream = str(tmp_path / "upstream.git")
    repository = GitRepository(
        tmp_path / "clone" / "3.13.0a6",
        {"upstream": upstream, "fork": upstream},
        Identity("Release Manager", "rm@example.org"),
        SigningKey(tmp_path, "0" * 40),
        make_tools(tmp_path, sys.executable, "-c", HALF),
    )
    repository.make_clone(branch="main", commit=head)
    before = contents(repository.clone)
    what = {"editor": "news", "base": head, "version": "3.13.0a6", "time": WHEN}
    message = refused("EDIT_NEWS", lambda: repository.edit(writes=("Misc/NEWS.d/*",), **what))  # type: ignore[arg-type] # plain words
    assert f"ended with {-signal.SIGKILL}" in message
    assert "half way" in message
    state = repository.clone_state()
    assert state is not None
    assert (state.head, state.dirty) == (head, ())
    assert contents(repository.clone) == before
    assert repository.edited(editor="news", base=head) is None
    assert [path.name for path in repository.clone.parent.iterdir()] == ["3.13.0a6"]
