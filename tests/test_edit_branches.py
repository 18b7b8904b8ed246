from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from edit_helpers import contents, make_tools, patchlevel, put, refused
from hypothesis import given
from hypothesis import strategies as st

from relkit.adapters.edit_numbers import HEADER, README
from relkit.adapters.edit_series import whatsnew
from relkit.adapters.edit_whatsnew import spelled
from relkit.adapters.editors import EDITORS
from relkit.release import Version

FINAL = datetime(2026, 10, 1, 12, tzinfo=UTC)
BETA = datetime(2026, 5, 5, 10, tzinfo=UTC)
NEWS_OF = "Doc/whatsnew/3.15.rst"
Edit = Callable[[str], None]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    return tree


def edit(tree: Path, name: str, version: str, when: datetime = BETA) -> None:
    EDITORS[name](tree, version, when, make_tools(tree.parent))


# --- the date of What's New -------------------------------------------------------------------

OPENING = "This article explains the new features in Python 3.15, compared to 3.14.\n"
CHANGES = "For full details, see the :ref:`changelog <changelog>`.\n"
NOTE = ".. note::\n\n   Readers of previews: this is a draft.\n   It changes.\n\n"
REST = "Summary\n=======\n\nPython 3.15 will be released on a day.\n\n.. note::\n\n   A draft.\n"


def dated(tree: Path, text: str) -> str:
    put(tree, **{NEWS_OF: text})
    edit(tree, "whatsnew-date", "3.15.0", FINAL)
    once = (tree / NEWS_OF).read_text()
    edit(tree, "whatsnew-date", "3.15.0", FINAL)
    assert (tree / NEWS_OF).read_text() == once
    return once


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("", "Python 3.15 was released on October 1, 2026.\n"),
        (
            "Python 3.15 will be released on October 6, 2026.\n",
            "Python 3.15 was released on October 1, 2026.\n",
        ),
        (
            "Python 3.15 was released on 30 September 2026.\n",
            "Python 3.15 was released on 1 October 2026.\n",
        ),
        (
            "In short: Python 3.15 is to be released\non a day to be found. Enjoy.\n",
            "In short: Python 3.15 was released on October 1, 2026. Enjoy.\n",
        ),
    ],
)
def test_what_s_new_says_when_a_final_came_out(tree: Path, said: str, says: str) -> None:
    """P08: forgotten, it was added months later (3.10, 3.11)."""
    assert dated(tree, OPENING + said + CHANGES + "\n" + REST) == (
        OPENING + says + CHANGES + "\n" + REST
    )


def test_what_s_new_of_a_final_is_no_draft(tree: Path) -> None:
    """I49: what is published does not say that it is not."""
    text = f"Title\n=====\n\n.. Comment\n\n{OPENING}\n{CHANGES}\n{NOTE}\n{REST}"
    sentence = "Python 3.15 was released on October 1, 2026.\n"
    assert dated(tree, text) == (
        f"Title\n=====\n\n.. Comment\n\n{OPENING}{sentence}\n{CHANGES}\n\n{REST}"
    )


def test_the_day_is_the_one_of_the_release_in_its_own_time_zone(tree: Path) -> None:
    put(tree, **{NEWS_OF: OPENING})
    edit(tree, "whatsnew-date", "3.15.0", datetime.fromisoformat("2026-10-02T01:00:00+03:00"))
    assert "October 2, 2026" in (tree / NEWS_OF).read_text()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Title\n=====\n\nNo such sentence.\n", 1),
        ("Title\n\nThis article explains the new features in Python 3.14.\n", 1),
        (f"{OPENING}\n{OPENING}", 3),
        (f"{OPENING}Python 3.15 was released on A.\n\nPython 3.15 was released on B.\n", 4),
    ],
)
def test_what_s_new_without_a_place_for_the_date_is_refused_by_line(
    tree: Path, text: str, line: int
) -> None:
    put(tree, **{NEWS_OF: text})
    said = refused("EDIT_WHATSNEW", lambda: edit(tree, "whatsnew-date", "3.15.0", FINAL))
    assert f"{NEWS_OF}:{line}: " in said
    assert (tree / NEWS_OF).read_text() == text


def test_what_s_new_of_another_series_is_no_substitute(tree: Path) -> None:
    put(tree, **{"Doc/whatsnew/3.14.rst": OPENING})
    refused("EDIT_MISSING", lambda: edit(tree, "whatsnew-date", "3.15.0", FINAL))


@given(st.dates(), st.booleans())
def test_days_are_written_in_english(day: date, day_first: bool) -> None:  # noqa: FBT001 (drawn)
    text = spelled(day, day_first=day_first)
    form = "%d %B %Y" if day_first else "%B %d, %Y"
    padded = " ".join(
        part.rjust(4, "0") if part == str(day.year) else part for part in text.split()
    )
    assert datetime.strptime(padded, form).replace(tzinfo=UTC).date() == day


# --- a branch ---------------------------------------------------------------------------------

LINKS = """\
This is Python version 3.15.0 beta 1
====================================

.. image:: https://github.com/python/cpython/actions/workflows/build.yml/badge.svg?branch=main&event=push
.. image:: https://dev.azure.com/python/cpython/_apis/build/status/CI?branchName=main
See https://github.com/python/cpython/blob/main/Mac/README.rst and
<https://github.com/python/cpython/tree/main/Misc/NEWS.d>`_ in the main text,
<https://github.com/python/cpython/commits/main>`_.

See :pep:`790` for Python 3.15 release details.
"""
LISTS = """\
on:
  push:
    branches:
    - 'main'
    - '3.14'
  #  - "main"
  #  - "3.14"
if: github.ref == 'refs/heads/main'
pr: ['main', '3.14', '3.13']
"""
SOURCES = "Doc/tools/extensions/pyspecific.py"


def test_a_new_branch_names_itself_where_main_was_named(tree: Path) -> None:
    put(tree, **{README: LINKS, ".github/workflows/build.yml": LISTS})
    uri = "SOURCE_URI = 'https://github.com/python/cpython/tree/{}/%s'\n"
    put(tree, **{SOURCES: uri.format("main")})
    edit(tree, "branch-start", "3.15.0b1")
    after = contents(tree)
    assert after[README].decode() == (
        LINKS.replace("=main", "=3.15").replace("/main", "/3.15").replace("3.15 text", "main text")
    )
    assert after[SOURCES].decode() == uri.format("3.15")
    listed = LISTS.replace("'main'\n", "'main'\n    - '3.15'\n").replace(
        "'3.14',", "'3.15', '3.14',"
    )
    listed = listed.replace('"main"\n', '"main"\n  #  - "3.15"\n')
    assert after[".github/workflows/build.yml"].decode() == listed
    edit(tree, "branch-start", "3.15.0b1")
    assert contents(tree) == after


def test_a_list_of_all_branches_stays(tree: Path) -> None:
    text = "    - 'main'\n    - '3.*'\n"
    put(tree, **{README: LINKS, ".github/workflows/build.yml": text})
    edit(tree, "branch-start", "3.15.0b1")
    assert (tree / ".github/workflows/build.yml").read_text() == text


def test_a_readme_without_links_to_main_is_refused(tree: Path) -> None:
    put(tree, **{README: LINKS.replace("/main", "/").replace("=main", "=")})
    message = refused("EDIT_README", lambda: edit(tree, "branch-start", "3.15.0b1"))
    assert f"{README}:1: " in message


# --- the next series --------------------------------------------------------------------------

CONFIGURE = """\
#! /bin/sh
# Generated by GNU Autoconf 2.72 for python 3.15.
PACKAGE_VERSION='3.15'
PACKAGE_STRING='python 3.15'
\\`configure' configures python 3.15 to adapt to many kinds of systems.
     short | recursive ) echo "Configuration of python 3.15:";;
  --with-build-python=python3.15
                          (default: _bootstrap_python or python3.15)
python configure 3.15
It was created by python $as_me 3.15, which was
for ac_prog in python$PACKAGE_VERSION python3.15 python3.14 python3 python
# SQLite 3.15.2 is needed, or 13.15
VERSION=3.15
python config.status 3.15
"""
CONFIGURE_AC = """\
m4_define([PYTHON_VERSION], [3.15])
AC_CHECK_PROGS([PYTHON_FOR_REGEN],
  [python$PACKAGE_VERSION python3.15 python3.14 python3 python],
"""
WINDOWS = """\
pragma comment(lib,"python315t_d.lib")
pragma comment(lib,"python3t.lib")
pragma comment(lib,"python315t.lib")
pragma comment(lib,"python315_d.lib")
pragma comment(lib,"python315.lib")
"""
INTERPRETER = "   $ python3.15\n   Python 3.15 (default, April 4 2024, 09:25:04)\n"
MAGIC = """\
    Python 3.15a8 3661 (Lazy)
    Python 3.15b1 3662 (Lazier)


    Python 3.16 will start with 3700

*/
#define PYC_MAGIC_NUMBER 3662
"""
LAUNCHER = '    { 3600, 3649, L"3.14" },\n    { 3650, 3699, L"3.15" },\n    { 0 }\n'
FORM = '      options:\n        - "3.13"\n        - "3.14"\n        - "CPython main branch"\n'
BEGINNING = {
    HEADER: patchlevel(Version.parse("3.15.0b1"), "+dev"),
    README: LINKS,
    "configure": CONFIGURE,
    "configure.ac": CONFIGURE_AC,
    "PC/pyconfig.h": WINDOWS,
    "PC/launcher.c": LAUNCHER,
    "Include/internal/pycore_magic_number.h": MAGIC,
    "Doc/tutorial/interpreter.rst": INTERPRETER,
    "Doc/tutorial/stdlib.rst": "   'C:\\\\Python314'\n",
    "Doc/tutorial/stdlib2.rst": '     File "C:/python314/lib/weakref.py", line 46\n',
    "Doc/whatsnew/index.rst": "   3.15.rst\n   3.14.rst\n",
    NEWS_OF: OPENING,
    SOURCES: "SOURCE_URI = 'https://github.com/python/cpython/tree/3.15/%s'\n",
    ".github/ISSUE_TEMPLATE/bug.yml": FORM,
    ".github/ISSUE_TEMPLATE/crash.yml": FORM.replace("3.14", '3.14"\n        - "3.15'),
    ".github/workflows/build.yml": LISTS,
}


@pytest.fixture
def main(tree: Path) -> Path:
    put(tree, **BEGINNING)
    return tree


def test_main_becomes_the_next_series(main: Path) -> None:
    edit(main, "next-series", "3.15.0b1")
    after = {path: data.decode() for path, data in contents(main).items()}
    assert after[HEADER] == patchlevel(Version(16, 0, "a", 0))
    assert after[README].startswith(f"This is Python version 3.16.0 alpha 0\n{'=' * 37}\n\n")
    assert after[README].endswith("See :pep:`XXX` for Python 3.16 release details.\n")
    assert "/blob/main/Mac" in after[README]
    new = CONFIGURE.replace("3.15", "3.16").replace("3.16.2", "3.15.2").replace("13.16", "13.15")
    assert after["configure"] == new.replace(
        "python3.16 python3.14", "python3.16 python3.15 python3.14"
    )
    assert after["configure.ac"] == CONFIGURE_AC.replace("[3.15]", "[3.16]").replace(
        "python3.15 ", "python3.16 python3.15 "
    )
    assert after["PC/pyconfig.h"] == WINDOWS.replace("315", "316")
    assert after["Doc/tutorial/interpreter.rst"] == INTERPRETER.replace("3.15", "3.16").replace(
        "2024", "2026"
    )
    assert after["Doc/tutorial/stdlib.rst"] == "   'C:\\\\Python316'\n"
    assert "C:/python316/lib" in after["Doc/tutorial/stdlib2.rst"]
    assert after["Doc/whatsnew/index.rst"] == "   3.16.rst\n   3.15.rst\n   3.14.rst\n"
    assert after["Doc/whatsnew/3.16.rst"] == whatsnew("3.16", "3.15")
    assert after[NEWS_OF] == OPENING
    assert "/tree/main/" in after[SOURCES]
    assert after[".github/ISSUE_TEMPLATE/bug.yml"] == BEGINNING[".github/ISSUE_TEMPLATE/crash.yml"]
    assert after[".github/ISSUE_TEMPLATE/crash.yml"] == after[".github/ISSUE_TEMPLATE/bug.yml"]
    assert after[".github/workflows/build.yml"].count("3.15") == 3


def test_the_next_series_takes_the_magic_number_that_is_kept_for_it(main: Path) -> None:
    edit(main, "next-series", "3.15.0b1")
    assert (main / "Include/internal/pycore_magic_number.h").read_text() == (
        "    Python 3.15a8 3661 (Lazy)\n    Python 3.15b1 3662 (Lazier)\n"
        "    Python 3.16a0 3700 (Initial version)\n\n"
        "    Python 3.17 will start with 3750\n\n*/\n#define PYC_MAGIC_NUMBER 3700\n"
    )
    assert (main / "PC/launcher.c").read_text() == LAUNCHER.replace(
        "    { 0 }", '    { 3700, 3749, L"3.16" },\n    { 0 }'
    )


def test_what_s_new_of_the_next_series_can_be_dated_when_it_is_final(tree: Path) -> None:
    text = whatsnew("3.15", "3.14")
    assert "draft" in text
    final = dated(tree, text)
    assert "Python 3.15 was released on October 1, 2026.\n" in final
    assert "draft" not in final
    assert "\n\n\nSummary" in final


def test_the_pep_of_the_next_series_is_left_open_in_links_too(main: Path) -> None:
    link = "See `PEP {} <https://peps.python.org/pep-{}/>`__ for Python 3.{} release details.\n"
    put(main, **{README: LINKS + link.format("790", "0790", "15")})
    edit(main, "next-series", "3.15.0b1")
    assert (main / README).read_text().endswith(link.format("TODO", "TODO", "16"))


@pytest.mark.parametrize("version", ["3.14.0b1", "3.15.0b2", "3.16.0b1"])
def test_a_tree_of_another_version_does_not_become_the_next_series(
    main: Path, version: str
) -> None:
    refused("EDIT_VERSION_ORDER", lambda: edit(main, "next-series", version))
    assert contents(main) == {path: text.encode() for path, text in BEGINNING.items()}


def test_the_next_series_begins_once(main: Path) -> None:
    edit(main, "next-series", "3.15.0b1")
    before = contents(main)
    refused("EDIT_VERSION_ORDER", lambda: edit(main, "next-series", "3.15.0b1"))
    assert contents(main) == before


NEEDED = [
    *(HEADER, README, "configure", "configure.ac", "Doc/whatsnew/index.rst"),
    *(f"Doc/tutorial/{name}.rst" for name in ("interpreter", "stdlib", "stdlib2")),
]


@pytest.mark.parametrize("path", NEEDED)
def test_a_tree_that_lacks_a_file_is_refused_as_a_whole(main: Path, path: str) -> None:
    (main / path).unlink()
    before = contents(main)
    assert f"{path}: " in refused("EDIT_MISSING", lambda: edit(main, "next-series", "3.15.0b1"))
    assert contents(main) == before


STRANGE = {
    "no-definition": ("configure.ac", "m4_define", "define", "EDIT_CONFIGURE", "configure.ac:1"),
    "other-configure": ("configure", "3.15", "3.14", "EDIT_CONFIGURE", "configure:1"),
    "unknown-place": ("configure", "# SQLite", "x=3.15 #", "EDIT_CONFIGURE", "configure:12"),
    "no-index": ("Doc/whatsnew/index.rst", "3.15", "3.13", "EDIT_SERIES",
                 "Doc/whatsnew/index.rst:1"),
    "no-folder": ("Doc/tutorial/stdlib.rst", "Python314", "Home", "EDIT_SERIES",
                  "Doc/tutorial/stdlib.rst:1"),
    "no-version": ("Doc/tutorial/interpreter.rst", "3.15", "3.x", "EDIT_SERIES",
                   "Doc/tutorial/interpreter.rst:1"),
    "crlf": ("configure.ac", "\n  [", "\r\n  [", "EDIT_LINE_ENDS", "configure.ac:2"),
    "no-choice": (".github/ISSUE_TEMPLATE/bug.yml", "3.14", "3", "EDIT_SERIES",
                  ".github/ISSUE_TEMPLATE/bug.yml:1"),
    "no-magic": ("Include/internal/pycore_magic_number.h", "#define", "#undef", "EDIT_SERIES",
                 "Include/internal/pycore_magic_number.h:1"),
}  # fmt: skip


@pytest.mark.parametrize("how", STRANGE)
def test_a_file_that_is_not_as_known_is_refused_by_line_and_none_is_changed(
    main: Path, how: str
) -> None:
    path, old, new, code, where = STRANGE[how]
    text = (main / path).read_text()
    assert old in text
    (main / path).write_bytes(text.replace(old, new).encode())
    before = contents(main)
    assert f"{where}: " in refused(code, lambda: edit(main, "next-series", "3.15.0b1"))
    assert contents(main) == before


def test_what_s_new_that_is_there_is_not_overwritten(main: Path) -> None:
    put(main, **{"Doc/whatsnew/3.16.rst": "Somebody was quick.\n"})
    message = refused("EDIT_SERIES", lambda: edit(main, "next-series", "3.15.0b1"))
    assert "Doc/whatsnew/3.16.rst: " in message


@pytest.mark.parametrize(
    "path", ["PC/launcher.c", "PC/pyconfig.h", ".github/ISSUE_TEMPLATE/bug.yml"]
)
def test_files_that_only_some_series_have_may_be_missing(main: Path, path: str) -> None:
    (main / path).unlink()
    edit(main, "next-series", "3.15.0b1")
    assert (main / HEADER).read_text() == patchlevel(Version(16, 0, "a", 0))
