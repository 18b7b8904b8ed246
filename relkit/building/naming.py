"""Other versions' names in what a release holds: names of files, and what says its version.

Looked for are names by which an installation tells its series from another one beside it:
``python3.14``, ``libpython3.14.a``, ``cpython-314``, ``python-3.14.pc``, ``config-3.14-…``,
``pip3.14``, ``idle3.14``, ``pydoc3.14``. Of the 5,214 members of 3.13.5's archive and the
9,200 files of its installation none is named after another series in these ways: documents about
other versions (``whatsnew/3.12.rst``) and the data of tests (``…-py3.6.egg``) are named otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from relkit.errors import CheckError
from relkit.release import Version

NAMED = re.compile(r"(?:c?python-?|config-|pip|idle|pydoc|2to3-)3\.?(\d+)")
SHOWN = 5
STATED = {
    "include/python{series}/patchlevel.h": r'^#define PY_VERSION\s+"([^"]*)"',
    "lib/pkgconfig/python-{series}.pc": r"^Version:\s*(\S+)",
}
"""Files of every installation that state its version, or its series, and how."""
STATED_MORE = {"lib/python{series}/_sysconfigdata*.py": r"^\s*'(?:LDVERSION|VERSION)':\s*'([^']*)'"}
"""Files that some have: the sample's has none of these."""
SCRIPTS = ("bin/*", "lib/pkgconfig/*")
"""Files of an installation in whose text no other series is named."""
SCRIPT_SIZE = 100_000


def check_tree(version: Version, tree: Path) -> None:
    """Refuse (``OTHER_VERSION``) an unpacked tree in which a file is named after another series."""
    _refuse(version, "the archive", _files_named(version, tree))


def check_installation(version: Version, prefix: Path) -> None:
    """Refuse an installation that names another version, or another series.

    Raises `CheckError`: ``OTHER_VERSION``, and ``VERSION_STAMP`` where a file states it.
    """
    for pattern, form in {**STATED, **STATED_MORE}.items():
        paths = sorted(prefix.glob(pattern.format(series=version.series)))
        for path in paths:
            _check_stated(version, path, form)
        if not paths and pattern in STATED:
            check_stamp(version, pattern.format(series=version.series), "nothing: it is missing")
    alien = [*_files_named(version, prefix), *_texts_naming(version, prefix)]
    _refuse(version, "the installation", alien)


def _check_stated(version: Version, path: Path, form: str) -> None:
    for said in re.findall(form, path.read_text(encoding="utf-8"), re.MULTILINE) or ["nothing"]:
        # A build without the GIL, or for debugging, has letters after its series.
        if said.rstrip("td") != version.series:
            check_stamp(version, path.name, said)


def check_stamp(version: Version, what: str, said: str) -> None:
    """Refuse (``VERSION_STAMP``) what says another version than the release's."""
    if said != str(version):
        raise CheckError(
            f"{what} says {said!r}, not {version}",
            code="VERSION_STAMP",
            remedy="The archive was made from another tree than it should.",
        )


def _files_named(version: Version, folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        # A page of section 1 about python3 is the file python3.1.
        name = path.stem if path.parent.name.startswith("man") else path.name
        if other_series(version, name):
            yield path.relative_to(folder).as_posix()


def _texts_naming(version: Version, prefix: Path) -> Iterator[str]:
    for path in sorted(path for pattern in SCRIPTS for path in prefix.glob(pattern)):
        if path.is_file() and path.stat().st_size < SCRIPT_SIZE:
            text = path.read_bytes().decode("utf-8", "replace").replace(str(prefix), "")
            if "\0" not in text and (other := other_series(version, text)):
                yield f"{other[0]} in the text of {path.relative_to(prefix)}"


def other_series(version: Version, text: str) -> list[str]:
    """Return the names in a text that are those of another series than the version's."""
    return [found[0] for found in NAMED.finditer(text) if f"3.{found[1]}" != version.series]


def _refuse(version: Version, what: str, alien: Iterator[str] | list[str]) -> None:
    found = list(alien)
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise CheckError(
            f"{what} of {version} holds {', '.join(found[:SHOWN])}{more}",
            code="OTHER_VERSION",
            remedy="Find where the other version's name comes from (as in cpython #138067).",
        )
