from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from edit_helpers import (
    WHEN,
    contents,
    make_tools,
    make_tree,
    patchlevel,
    put,
    readme,
    refused,
)
from hypothesis import given
from hypothesis import strategies as st

from relkit.adapters.edit_next import odd_line, replace_next
from relkit.adapters.edit_numbers import HEADER, README, header_version
from relkit.adapters.edit_tools import run
from relkit.adapters.editors import EDITORS, Tools
from relkit.release import LEVELS, Version


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree", "3.13.0a5")


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return make_tools(tmp_path)


@pytest.fixture
def edit(tree: Path, tools: Tools) -> Callable[[str, str], None]:
    return lambda name, version: EDITORS[name](tree, version, WHEN, tools)


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
    "no-markers": (HEADER, "constants--*/", "*/", "EDIT_PATCHLEVEL", HEADER),
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


@pytest.mark.parametrize(
    ("before", "version"),
    [
        *(("3.15.0rc1", "3.15.0rc2"), ("3.15.0rc2", "3.15.0"), ("3.15.0", "3.15.1")),
        *(("3.14.4", "3.14.5rc1"), ("3.14.5rc1", "3.14.5"), ("3.10.17", "3.10.18")),
    ],
)
@pytest.mark.parametrize("after", ["", "+", "+dev"])
def test_the_title_may_say_that_the_tree_is_later_than_a_release(
    tree: Path, edit: Callable[[str, str], None], before: str, version: str, after: str
) -> None:
    make_tree(tree, before, after)
    title = f"This is Python version {Version.parse(before).spelled}{after}"
    put(tree, **{README: f"{title}\n{'=' * len(title)}\n\nCopyright.\n"})
    edit("version-numbers", version)
    new = Version.parse(version)
    assert contents(tree) == {HEADER: patchlevel(new).encode(), README: readme(new).encode()}


def test_a_line_longer_than_the_title_is_put_right(
    tree: Path, edit: Callable[[str, str], None]
) -> None:
    put(tree, **{README: readme(Version.parse("3.13.0a5")).replace("=\n", "===\n")})
    edit("version-numbers", "3.13.0a6")
    assert (tree / README).read_text() == readme(Version.parse("3.13.0a6"))


@pytest.mark.parametrize("path", [HEADER, README])
def test_a_tree_without_a_file_is_refused_with_its_name(
    tree: Path, edit: Callable[[str, str], None], path: str
) -> None:
    (tree / path).unlink()
    before = contents(tree)
    assert path in refused("EDIT_MISSING", lambda: edit("version-numbers", "3.13.0a6"))
    assert contents(tree) == before


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
        ".. |when| replace:: next\n",
        ".. code::\n\n   .. versionadded:: NEXT\n",
        "NEXT and Next are only words, as is versionadded:: next\n",
        ".. versionadded:: 3.14\n   next is a keyword\n",
        ".. versionchanged::\n   3.14\n",
    ],
)
def test_next_stays_in_text_samples_and_comments(text: str) -> None:
    assert replace_next(text, "3.15") == text
    assert odd_line(text) == 0


@pytest.mark.parametrize(
    "line",
    [
        *(".. versionadded:: Next", ".. versionchanged:: NEXT", "   .. deprecated:: next."),
        *(".. versionadded:: next:", ".. VersionAdded:: next", ".. versionadded::next"),
        *(".. deprecated-removed:: |next| 3.17", ".. versionadded::\n   next"),
    ],
)
def test_a_directive_that_nearly_says_next_is_refused_by_line(
    tree: Path, edit: Callable[[str, str], None], line: str
) -> None:
    put(tree, **{"Doc/a.rst": ".. versionadded:: next\n", "Doc/b.rst": f"Text\n\n{line}\n"})
    before = contents(tree)
    assert "Doc/b.rst:3: " in refused("EDIT_NEXT", lambda: edit("next-versions", "3.13.0a6"))
    assert contents(tree) == before


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


PYTHON = """\
#!/bin/sh
case "$*" in
  *"-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  *"pip"*install*) grep -q nowhere requirements.txt && echo "ERROR: no such package" && exit 1 ;;
esac
echo "$PIP_INDEX_URL $0 $*" >> "{said}"
"""


@pytest.fixture
def index(tmp_path: Path, tree: Path, echo: Tools) -> Tools:
    """Return tools whose interpreter notes what it is asked for, behind a mirror of the index."""
    python = tmp_path / "python"
    python.write_text(PYTHON.format(said=tmp_path / "said"))
    python.chmod(0o755)
    topics_tree(tree)
    environment = {**echo.environment, "PIP_INDEX_URL": "http://mirror.invalid"}
    return replace(echo, python=str(python), environment=environment)


def test_the_docs_environment_is_made_once_for_the_same_requirements(
    tree: Path, tmp_path: Path, index: Tools
) -> None:
    put(tree, **{"Doc/requirements.txt": "sphinx==1\n"})
    for _ in range(2):
        EDITORS["pydoc-topics"](tree, "3.13.0a6", WHEN, index)
    said = (tmp_path / "said").read_text().splitlines()
    assert [line.split()[2:4] for line in said] == [["-m", "venv"], *[["-m", "pip"]] * 2]
    assert all(line.startswith("http://mirror.invalid ") for line in said)
    logs = {path.name for path in index.logs.iterdir()}
    made = {"docs environment.log", "docs requirements.log", "docs packages.log"}
    assert made | {"make pydoc-topics.log"} == logs
    put(tree, **{"Doc/constraints.txt": "babel<3\n"})
    EDITORS["pydoc-topics"](tree, "3.13.0a6", WHEN, index)
    assert len((tmp_path / "said").read_text().splitlines()) == 6
    assert len(list(index.docs_environments.glob("*/relkit-complete"))) == 2


def test_a_docs_environment_that_cannot_be_made_is_refused_with_the_end_of_its_log(
    tree: Path, index: Tools
) -> None:
    put(tree, **{"Doc/requirements.txt": "nowhere==1\n"})
    message = refused("EDIT_TOPICS", lambda: EDITORS["pydoc-topics"](tree, "3.13.0a6", WHEN, index))
    assert "docs requirements ended with 1: ERROR: no such package" in message
    put(tree, **{"Doc/requirements.txt": "somewhere==1\n"})
    EDITORS["pydoc-topics"](tree, "3.13.0a6", WHEN, index)


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
