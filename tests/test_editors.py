from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.adapters import edit_topics
from relkit.adapters.edit_next import replace_next
from relkit.adapters.edit_numbers import HEADER, README, header_version
from relkit.adapters.edit_tools import run
from relkit.adapters.editors import EDITORS, Tools, blurb_for
from relkit.adapters.git import GitRepository, Identity, SigningKey, make_bare
from relkit.building.source import blurb_command
from relkit.errors import CheckError, UsageError, WorldError
from relkit.release import LEVELS, Version

WHEN = datetime(2026, 5, 5, 10, 0, tzinfo=UTC)
INSTALLED = Path(sys.prefix) / "share" / "relkit"
CPYTHON = os.environ.get("RELKIT_CPYTHON", "")
LEVEL_NAMES = {"a": "ALPHA", "b": "BETA", "rc": "GAMMA", "final": "FINAL"}
PATCHLEVEL = """\
/* Python version identification. */

#define PY_RELEASE_LEVEL_ALPHA  0xA
#define PY_RELEASE_LEVEL_BETA   0xB
#define PY_RELEASE_LEVEL_GAMMA  0xC     /* For release candidates */
#define PY_RELEASE_LEVEL_FINAL  0xF

/* Version parsed out into numeric values */
/*--start constants--*/
#define PY_MAJOR_VERSION        3
#define PY_MINOR_VERSION        {minor}
#define PY_MICRO_VERSION        {micro}
#define PY_RELEASE_LEVEL        PY_RELEASE_LEVEL_{level}
#define PY_RELEASE_SERIAL       {serial}

/* Version as a string */
#define PY_VERSION              "{text}"
/*--end constants--*/

#define PY_VERSION_HEX ((PY_MAJOR_VERSION << 24))
"""


def patchlevel(version: Version, after: str = "") -> str:
    return PATCHLEVEL.format(
        minor=version.minor,
        micro=version.micro,
        level=LEVEL_NAMES[version.level],
        serial=version.serial,
        text=f"{version}{after}",
    )


def readme(version: Version) -> str:
    title = f"This is Python version {version.spelled}"
    return f"{title}\n{'=' * len(title)}\n\nCopyright.\n"


def put(tree: Path, **files: str) -> None:
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def contents(tree: Path) -> dict[str, bytes]:
    return {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def make_tree(tree: Path, version: str, after: str = "+") -> Path:
    at = Version.parse(version)
    put(tree, **{HEADER: patchlevel(at, after), README: readme(at)})
    return tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree", "3.13.0a5")


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(
        python=sys.executable,
        blurb=("false",),
        docs_environments=tmp_path / "docs",
        logs=tmp_path / "logs",
    )


@pytest.fixture
def edit(tree: Path, tools: Tools) -> Callable[[str, str], None]:
    return lambda name, version: EDITORS[name](tree, version, WHEN, tools)


def refused(code: str, action: Callable[[], object]) -> str:
    with pytest.raises((CheckError, UsageError, WorldError)) as caught:
        action()
    assert caught.value.code == code
    assert caught.value.remedy
    return str(caught.value)


# --- version numbers --------------------------------------------------------------------------


def test_a_release_changes_the_version_and_nothing_else(
    tree: Path, edit: Callable[[str, str], None]
) -> None:
    edit("version-numbers", "3.13.0a6")
    new = Version.parse("3.13.0a6")
    assert contents(tree) == {HEADER: patchlevel(new).encode(), README: readme(new).encode()}


versions = st.builds(
    lambda minor, micro, level, serial: Version(
        minor, micro if level == "final" else 0, level, 0 if level == "final" else serial
    ),
    *(st.integers(0, 99), st.integers(0, 99), st.sampled_from(list(LEVELS)), st.integers(1, 99)),
)


@given(versions, versions, st.sampled_from(["", "+", "+dev"]), st.text())
def test_any_version_can_be_set_on_any_earlier_one(
    tmp_path_factory: pytest.TempPathFactory, one: Version, two: Version, after: str, rest: str
) -> None:
    old, new = sorted((one, Version(one.minor, two.micro, two.level, two.serial)))
    text = rest.replace("\r", "").encode(errors="replace").decode()
    folder = tmp_path_factory.getbasetemp() / "numbers"
    put(folder, **{HEADER: patchlevel(old, after) + text, README: readme(old) + text})
    tools = Tools("python", ("false",), folder, folder)
    if old == new:
        refused(
            "EDIT_VERSION_ORDER",
            lambda: EDITORS["version-numbers"](folder, str(new), WHEN, tools),
        )
        return
    EDITORS["version-numbers"](folder, str(new), WHEN, tools)
    assert (folder / HEADER).read_bytes() == (patchlevel(new) + text).encode()
    assert (folder / README).read_bytes() == (readme(new) + text).encode()


def test_the_first_alpha_follows_the_version_nobody_releases(
    tree: Path, edit: Callable[[str, str], None]
) -> None:
    put(
        tree, **{HEADER: patchlevel(Version(15, 0, "a", 0)), README: readme(Version(15, 0, "a", 0))}
    )
    edit("version-numbers", "3.15.0a1")
    assert '"3.15.0a1"' in (tree / HEADER).read_text()


@pytest.mark.parametrize("version", ["3.13.0a5", "3.13.0a4", "3.14.0a1", "3.12.9"])
def test_a_version_that_does_not_follow_is_refused(
    tree: Path, edit: Callable[[str, str], None], version: str
) -> None:
    before = contents(tree)
    assert "3.13.0a5" in refused("EDIT_VERSION_ORDER", lambda: edit("version-numbers", version))
    assert contents(tree) == before


BROKEN = {
    "no-end-marker": (HEADER, "/*--end constants--*/", "", "EDIT_PATCHLEVEL", HEADER),
    "no-serial": (HEADER, "PY_RELEASE_SERIAL", "X", "EDIT_PATCHLEVEL", f"{HEADER}:9"),
    "odd-level": (HEADER, "LEVEL_ALPHA\n#", "LEVEL_OMEGA\n#", "EDIT_PATCHLEVEL", f"{HEADER}:13"),
    "odd-text": (HEADER, "3.13.0a5+", "3.13.0a4+", "EDIT_PATCHLEVEL", f"{HEADER}:17"),
    "doubled": (HEADER, "#define PY_MICRO_VERSION        0", "#define PY_MICRO_VERSION 0\n" * 2,
                "EDIT_PATCHLEVEL", f"{HEADER}:13"),
    "crlf": (HEADER, "constants--*/\n", "constants--*/\r\n", "EDIT_LINE_ENDS", f"{HEADER}:9"),
    "no-title": (README, "This is Python version", "What is Python", "EDIT_README", f"{README}:1"),
    "short-line": (README, "==\n", "=\n", "EDIT_README", f"{README}:2"),
    "latin-1": (README, "Copyright.", "\udce9", "EDIT_ENCODING", f"{README}:4"),
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
def test_a_file_that_is_not_as_expected_is_refused_by_line(
    tree: Path, edit: Callable[[str, str], None], how: str
) -> None:
    path, old, new, code, where = BROKEN[how]
    text = (tree / path).read_text()
    assert old in text
    (tree / path).write_bytes(text.replace(old, new).encode(errors="surrogateescape"))
    before = contents(tree)
    assert f"{where}: " in refused(code, lambda: edit("version-numbers", "3.13.0a6"))
    assert contents(tree) == before


def test_an_editor_does_not_follow_a_link_out_of_the_tree(
    tree: Path, edit: Callable[[str, str], None], tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    (tree / README).rename(outside)
    (tree / README).symlink_to(outside)
    before = outside.read_bytes()
    refused("EDIT_MISSING", lambda: edit("version-numbers", "3.13.0a6"))
    assert outside.read_bytes() == before


@pytest.mark.parametrize(("version", "after"), [("3.14.0a1", "+"), ("3.15.0a1", "+dev")])
def test_after_a_release_only_the_text_is_marked(
    tree: Path, edit: Callable[[str, str], None], version: str, after: str
) -> None:
    make_tree(tree, version, after="")
    edit("post-version", version)
    at = Version.parse(version)
    assert contents(tree) == {HEADER: patchlevel(at, after).encode(), README: readme(at).encode()}
    assert header_version((tree / HEADER).read_text().split("\n")) == (at, after)
    refused("EDIT_VERSION_ORDER", lambda: edit("post-version", version))


# --- next -------------------------------------------------------------------------------------

DIRECTIVES = ["versionadded", "versionchanged", "versionremoved", "deprecated", "soft-deprecated"]


@pytest.mark.parametrize("name", DIRECTIVES)
@pytest.mark.parametrize("indent", ["", "   ", "      ", "\t"])
def test_next_is_replaced_in_directives_of_any_depth(name: str, indent: str) -> None:
    text = f".. function:: f()\n\n{indent}.. {name}:: next\n{indent}   The *next* thing.\n"
    assert replace_next(text, "3.15") == text.replace(":: next", ":: 3.15")


def test_only_the_first_version_of_a_deprecation_is_replaced() -> None:
    text = ".. deprecated-removed:: next 3.17 next\n"
    assert replace_next(text, "3.15") == ".. deprecated-removed:: 3.15 3.17 next\n"


@pytest.mark.parametrize(
    "text",
    [
        "The directive .. versionadded:: next is for you.\n",
        "``.. versionadded:: next``\n",
        ".. versionadded:: nextish\n",
        ".. versionadded: next\n",
        "Write::\n\n   .. versionadded:: next\n\n   and more\n\n     .. deprecated:: next\n",
        "Write: ::\n\n   .. versionadded:: next\n",
        ".. code-block:: rst\n   :caption: x\n\n   .. versionadded:: next\n",
        "* Write::\n\n     .. versionadded:: next\n",
        "..\n   .. versionadded:: next\n",
        ".. A comment\n   .. versionadded:: next\n\n   .. versionadded:: next\n",
        "   Note::\n\n      .. versionadded:: next\n",
    ],
)
def test_next_stays_in_text_samples_and_comments(text: str) -> None:
    assert replace_next(text, "3.15") == text


@pytest.mark.parametrize(
    "text",
    [
        "Write::\n\n   code\n\n.. versionadded:: next\n",
        "* Write::\n\n      code\n\n  .. versionadded:: next\n",
        "1. Write::\n\n      code\n\n   .. versionadded:: next\n",
        ".. c:function:: int f(void)\n\n   Text::\n\n      code\n\n   .. versionadded:: next\n",
        "..\n\n   .. versionadded:: next\n",
        ".. note::\n\n   .. versionadded:: next\n",
        ".. _target:\n\n   .. versionadded:: next\n",
        ".. [1] A footnote.\n\n   .. versionadded:: next\n",
        "* .. versionadded:: next\n",
        "..  versionadded  ::  next\r\n",
    ],
)
def test_next_is_replaced_after_samples_and_in_nested_markup(text: str) -> None:
    assert replace_next(text, "3.15") == text.replace("next", "3.15")


lines = st.sampled_from(
    (
        *("", "text", "text::", ".. note::", "..", ".. code::", ".. deprecated:: next"),
        *("* item::", ".. versionadded:: next", ".. remark", "next", "\u2028", "\x0c"),
    )
)


@given(st.lists(st.tuples(st.integers(0, 6), lines)))
def test_nothing_but_next_is_ever_changed(drawn: list[tuple[int, str]]) -> None:
    text = "\n".join(" " * indent + line for indent, line in drawn)
    new = replace_next(text, "3.15")
    assert new.replace(":: 3.15", ":: next") == text
    assert replace_next(new, "3.16").count("3.16") == 0


@pytest.mark.parametrize(("version", "shown"), [("3.13.0a6", "3.13"), ("3.13.2", "3.13.2")])
def test_next_becomes_the_series_until_the_final_and_the_patch_release_after_it(
    tree: Path, edit: Callable[[str, str], None], version: str, shown: str
) -> None:
    text = ".. versionadded:: next\n"
    put(tree, **{"Doc/a/b.rst": text, "Doc/c.txt": text, "Misc/d.rst": text})
    edit("next-versions", version)
    after = contents(tree)
    assert after["Doc/a/b.rst"].decode() == f".. versionadded:: {shown}\n"
    assert after["Doc/c.txt"] == after["Misc/d.rst"] == text.encode()


def test_a_document_in_another_encoding_is_refused_by_line_and_none_is_changed(
    tree: Path, edit: Callable[[str, str], None]
) -> None:
    put(tree, **{"Doc/a.rst": ".. versionadded:: next\n"})
    (tree / "Doc/b.rst").write_bytes(b"next\ncaf\xe9\n")
    before = contents(tree)
    message = refused("EDIT_ENCODING", lambda: edit("next-versions", "3.13.0a6"))
    assert "Doc/b.rst:2: " in message
    assert contents(tree) == before


# --- news -------------------------------------------------------------------------------------


def news_tree(tree: Path, *names: str) -> None:
    """Make what blurb takes for CPython's tree, with an entry for each name."""
    marks = dict.fromkeys(("Include/Python.h", "Python/ceval.c"), "x\n")
    put(tree, LICENSE="A. HISTORY OF THE SOFTWARE\n", **marks)
    put(tree, **{"Misc/NEWS.d/next/Library/README.rst": "Put entries here.\n"})
    for name in names:
        path = f"Misc/NEWS.d/next/Library/{name}.rst"
        put(tree, **{path: f"Mend {name}.\n"})
    git = ("git", "-C", str(tree), "-c", "user.name=x", "-c", "user.email=x@y")
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "x"], check=True)


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


# --- topics -----------------------------------------------------------------------------------

MAKEFILE = """\
pydoc-topics:
\tmkdir -p build/pydoc-topics
\tprintf '%s\\n' '# -*- coding: utf-8 -*-' '{stamp}' 'topics = {{}}' > build/pydoc-topics/topics.py
\tcp build/pydoc-topics/topics.py build/pydoc-topics/module_docs.py
\t$(BLURB) "from blurb" > build/said
"""
STAMP = "# Autogenerated by Sphinx on Tue Mar 12 18:35:04 2024"


def topics_tree(tree: Path, stamp: str = STAMP) -> None:
    put(tree, **{"Doc/Makefile": MAKEFILE.format(stamp=stamp), "Lib/pydoc_data/topics.py": "old\n"})


@pytest.fixture
def echo(tools: Tools) -> Tools:
    return Tools(sys.executable, ("echo", "a $HOME;b"), tools.docs_environments, tools.logs)


def test_the_topics_are_those_of_the_docs_build_dated_with_the_release(
    tree: Path, echo: Tools
) -> None:
    topics_tree(tree)
    EDITORS["pydoc-topics"](tree, "3.13.0a6", WHEN, echo)
    assert (tree / "Lib/pydoc_data/topics.py").read_text() == (
        "# -*- coding: utf-8 -*-\n# Autogenerated by Sphinx on Tue May  5 10:00:00 2026\n"
        "topics = {}\n"
    )
    assert not (tree / "Lib/pydoc_data/module_docs.py").exists()
    assert (tree / "Doc/build/said").read_text() == "a $HOME;b from blurb\n"


def test_the_module_docs_are_kept_where_the_tree_has_them(tree: Path, echo: Tools) -> None:
    topics_tree(tree, stamp="# by hand")
    put(tree, **{"Lib/pydoc_data/module_docs.py": "old\n"})
    EDITORS["pydoc-topics"](tree, "3.13.0a6", WHEN, echo)
    made = [
        (tree / "Lib/pydoc_data" / name).read_text() for name in ("topics.py", "module_docs.py")
    ]
    assert made == ["# -*- coding: utf-8 -*-\n# by hand\ntopics = {}\n"] * 2


def test_the_date_is_shown_in_the_time_zone_of_the_release(tree: Path, echo: Tools) -> None:
    topics_tree(tree)
    time = datetime(2024, 3, 12, 18, 35, 4, tzinfo=timezone(timedelta(hours=1)))
    EDITORS["pydoc-topics"](tree, "3.13.0a5", time, echo)
    assert STAMP in (tree / "Lib/pydoc_data/topics.py").read_text()


def test_a_date_of_another_form_is_refused_by_line(tree: Path, echo: Tools) -> None:
    topics_tree(tree, stamp="# Autogenerated by Sphinx on 2026-05-05")
    message = refused(
        "EDIT_TOPICS_DATE", lambda: EDITORS["pydoc-topics"](tree, "3.13.0a6", WHEN, echo)
    )
    assert "Doc/build/pydoc-topics/topics.py:2: " in message
    assert (tree / "Lib/pydoc_data/topics.py").read_text() == "old\n"


def test_a_docs_build_that_fails_is_refused_with_the_end_of_its_log(
    tree: Path, echo: Tools
) -> None:
    put(tree, **{"Doc/Makefile": "pydoc-topics:\n\t@echo library/x.rst:7: bad markup; exit 3\n"})
    message = refused("EDIT_TOPICS", lambda: EDITORS["pydoc-topics"](tree, "3.13.0a6", WHEN, echo))
    assert "library/x.rst:7: bad markup" in message


def test_the_docs_environment_is_made_once_for_the_same_requirements(
    tree: Path, echo: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[Path] = []
    topics_tree(tree)
    put(tree, **{"Doc/requirements.txt": "sphinx==1\n"})

    def install(folder: Path, _docs: Path, _tools: Tools) -> None:
        folder.mkdir()
        installed.append(folder)
        (folder / edit_topics.COMPLETE).write_text(str(folder))

    monkeypatch.setattr(edit_topics, "_install", install)
    for _ in range(2):
        EDITORS["pydoc-topics"](tree, "3.13.0a6", WHEN, echo)
    assert len(installed) == 1
    put(tree, **{"Doc/constraints.txt": "babel<3\n"})
    EDITORS["pydoc-topics"](tree, "3.13.0a6", WHEN, echo)
    assert len(set(installed)) == 2


# --- programs ---------------------------------------------------------------------------------


def ended(process: int) -> bool:
    """Tell whether a process is gone, or only its entry is left, within some seconds."""
    for _ in range(100):
        try:
            if Path(f"/proc/{process}/stat").read_text().split()[2] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path, tools: Tools) -> None:
    command = ["sh", "-c", "sleep 60 & echo $!; wait"]
    where = {"folder": tmp_path, "log": "hang", "code": "HANGS"}
    message = refused("HANGS", lambda: run(tools, command, seconds=0.3, **where))  # type: ignore[arg-type] # plain words
    child = int(message.split()[-1])
    assert ended(child)


def test_a_program_that_is_missing_is_named(tmp_path: Path, tools: Tools) -> None:
    where = {"folder": tmp_path, "log": "x", "code": "X"}
    message = refused("TOOL_MISSING", lambda: run(tools, ["no-such-tool"], seconds=1, **where))  # type: ignore[arg-type] # plain words
    assert "no-such-tool" in message


# --- real history -----------------------------------------------------------------------------

PARENT = "f6e7a6ce651b43c6e060608a4bb20685f39e9eaa"
ALPHA_5 = "076d169ebbe59f7035eaa28d33d517bcb375f342"
ALPHA_5_TREE = "0d38f6da1f75f55fbf7ea0f79401e6c88ba5325b"
ALPHA_5_TIME = datetime(2024, 3, 12, 18, 35, 4, tzinfo=timezone(timedelta(hours=1)))
WRITES = {
    "news": ("Misc/NEWS.d/*",),
    "pydoc-topics": ("Lib/pydoc_data/*.py",),
    "version-numbers": (HEADER, README),
    "next-versions": ("Doc/*.rst",),
}


@pytest.fixture
def cpython(tmp_path: Path, tools: Tools) -> GitRepository:
    if not CPYTHON:
        pytest.skip("RELKIT_CPYTHON names no repository with CPython's history")
    if not (INSTALLED / "blurb-1.1.0").is_dir():
        pytest.skip("blurb 1.1.0 is not installed: make env")
    upstream = tmp_path / "upstream.git"
    make_bare(Path(CPYTHON), "main", upstream)
    docs = Path(os.environ.get("RELKIT_DOCS_ENVIRONMENTS", tmp_path / "docs"))
    repository = GitRepository(
        tmp_path / "clone" / "3.13.0a5",
        {"upstream": str(upstream), "fork": str(upstream)},
        Identity("Thomas Wouters", "thomas@python.org"),
        SigningKey(tmp_path, "0" * 40),
        Tools(sys.executable, blurb_command(INSTALLED / "blurb-1.1.0"), docs, tools.logs),
    )
    repository.make_clone(branch="main", commit=PARENT)
    return repository


def edited_by(repository: GitRepository, *editors: str) -> str:
    base = PARENT
    for editor in editors:
        writes = WRITES[editor]
        repository.edit(
            editor=editor, base=base, writes=writes, version="3.13.0a5", time=ALPHA_5_TIME
        )
        made = repository.edited(editor=editor, base=base)
        assert made is not None
        base = made.commit
    return base


@pytest.mark.slow
def test_the_release_commit_of_an_official_alpha_differs_in_its_topics_only(
    cpython: GitRepository,
) -> None:
    made = edited_by(cpython, "news", "version-numbers", "next-versions")
    paths = [change.path for change in cpython.changes(base=ALPHA_5, commit=made)]
    assert paths == ["Lib/pydoc_data/topics.py"]


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("RELKIT_DOCS_ENVIRONMENTS") or not shutil.which("make"),
    reason="RELKIT_DOCS_ENVIRONMENTS names no folder to install Sphinx into (takes minutes)",
)
def test_the_tree_of_an_official_alpha_is_made_again(cpython: GitRepository) -> None:
    made = edited_by(cpython, "news", "pydoc-topics", "version-numbers", "next-versions")
    cpython.commit(
        branch="main", parent=PARENT, tree_of=made, message="Python 3.13.0a5", time=ALPHA_5_TIME
    )
    state = cpython.clone_state()
    assert state is not None
    assert not state.dirty
    assert cpython.changes(base=ALPHA_5, commit=state.head) == ()
