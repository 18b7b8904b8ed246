"""A small tree with CPython's layout, as it stands at one commit of a branch.

The tree is ours, word for word (``tree_files/``), and does what a release needs of one: it has
version numbers, NEWS entries, docs with ``next`` in them, line ends that attributes change and
paths that archives leave out, and it configures, builds, installs and passes its tests in seconds.
Which files a series has, and in which form, is as in CPython's branches from 3.10 on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from relkit.rehearsal.bundled import SINCE as SBOM_SINCE
from relkit.rehearsal.bundled import bundled
from relkit.release import Version

FILES = Path(__file__).parent / "tree_files"
SUFFIX = ".j2"
BEGINNING = datetime(2026, 1, 6, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MAGIC_HEADER_SINCE = MODULE_DOCS_SINCE = UNDERSCORES_SINCE = 14
DEV_SINCE = 15
WINDOWS_CONFIG_MADE_SINCE = 13
FIRST_MINOR = 10
NEXT = "Misc/NEWS.d/next"
SINCE = {
    "Include/internal/pycore_magic_number.h": MAGIC_HEADER_SINCE,
    "Lib/pydoc_data/module_docs.py": MODULE_DOCS_SINCE,
    "Lib/test/test_importlib/test_util.py": MAGIC_HEADER_SINCE,
    "Modules/beads/COPYING": SBOM_SINCE,
    "Modules/beads/beads.h": SBOM_SINCE,
    "Tools/build/regen-configure.sh": 12,
}
"""The minor version since which a file is there."""
PEPS = {10: 619, 11: 664, 12: 693, 13: 719, 14: 745, 15: 790}
"""The release PEP of each minor version; a new one has none at first."""
BINARY = {
    "Lib/test/linedata/mixed.txt": b"one\r\ntwo\nthree\r\n",
    "Lib/test/beep.wav": b"RIFF" + hashlib.sha256(b"beep").digest() * 40,
}
LAST = {"a": 7, "b": 4, "rc": 2}
"""How many alphas, betas and candidates there were before the next stage."""
NEWS_KEPT = 5
"""Of how many releases the NEWS are in the tree, at most."""


@dataclass(frozen=True)
class Entry:
    """A NEWS entry: `number` of its issue, and the section as blurb spells it."""

    number: int
    section: str
    text: str

    def path(self, day: datetime, minor: int) -> str:
        """Return where the entry waits for the next release of a minor version."""
        section = self.section.replace(" ", "_") if minor >= UNDERSCORES_SINCE else self.section
        nonce = hashlib.sha256(self.text.encode()).hexdigest()[:6]
        name = f"{day:%Y-%m-%d-%H-%M-%S}.gh-issue-{self.number}.{nonce}.rst"
        return f"{NEXT}/{section}/{name}"


ENTRIES = (
    Entry(900001, "Library", "Add :mod:`!abacus`, which counts with beads."),
    Entry(900002, "Core and Builtins", "Numbers may be large.\nThey take as long as they take."),
    Entry(900003, "Library", "Rows of beads may be any iterable. Patch by Ada Sample."),
    Entry(900004, "Security", "An abacus no longer counts *negative* beads (they were not there)."),
    Entry(900005, "Documentation", "Explain strings, and whom they greet: Zoë, 夏, Ωμέγα."),
    Entry(900006, "Tests", "Test that line ends survive the archive."),
    Entry(900007, "Build", "``./configure`` says which Python it found."),
)


@dataclass(frozen=True)
class Stand:
    """Where a branch stands: the version in its files, and `after` once that was released."""

    version: Version
    after: bool = False
    entries: tuple[Entry, ...] = ()  # of the next release, oldest first
    changes_of_form: int = 0  # of compiled files, since the series began
    branch: str = "main"

    @property
    def magic(self) -> int:
        """The number that compiled files start with."""
        return first_magic(self.version.minor) + self.changes_of_form

    @property
    def stamp(self) -> str:
        """The version as the interpreter states it: ``3.15.0a1``, ``3.15.0a1+dev``."""
        mark = "+dev" if self.version.minor >= DEV_SINCE else "+"
        return f"{self.version}{mark if self.after else ''}"

    @property
    def released(self) -> list[Version]:
        """The versions whose NEWS are in the tree, oldest first."""
        begun = self.version.level == "a" and not self.version.serial
        newest = before(first_of(self.version)) if begun else self.version
        return [*islice(_backwards(newest), NEWS_KEPT)][::-1]


def first_magic(minor: int) -> int:
    """Return the first magic number of a series, as CPython has them from 3.11 on."""
    return 2900 + 50 * minor


def first_of(version: Version) -> Version:
    """Return the first alpha of the same series."""
    return Version(version.minor, 0, "a", 1)


def before(version: Version) -> Version:
    """Return the release before a version; before the first alpha it is the last beta 1."""
    minor, micro, level, serial = version.minor, version.micro, version.level, version.serial
    if serial > 1:
        return replace(version, serial=serial - 1)
    if level == "a":
        return Version(max(minor - 1, 0), 0, "b", 1)
    if micro:  # a candidate of a patch release follows the patch release before
        return Version(minor, micro - 1)
    earlier = {"b": "a", "rc": "b", "final": "rc"}[level]
    return Version(minor, 0, earlier, LAST[earlier])


def _backwards(version: Version) -> Iterator[Version]:
    while version.minor:
        yield version
        version = before(version)


def files(stand: Stand) -> dict[str, bytes]:
    """Return the tree as it is stored: content by path."""
    version, series = stand.version, stand.version.series
    values = {
        "version": version,
        "series": series,
        "stamp": stand.stamp,
        "year": BEGINNING.year,
        "magic": stand.magic,
        "first_magic": first_magic(version.minor),
        "branch": stand.branch,
        "pending": bool(stand.entries),
        "previous": f"3.{version.minor - 1}",
        "older": [f"3.{minor}" for minor in range(FIRST_MINOR, version.minor)],
        "listed": _listed(stand),
        "dev_on_branch": stand.branch != "main",
        "pep": PEPS.get(version.minor),
    }
    tree = dict(BINARY)
    for name, template in _templates().items():
        path = _renamed(name.replace("SERIES", series), version)
        if version.minor >= SINCE.get(path, 0):
            tree[path] = template.render(values).encode()
    tree |= bundled(tree, version.minor)
    return tree | _whatsnew_before(version) | _fixes(stand) | _news(stand)


def _renamed(path: str, version: Version) -> str:
    """Return the name a file has in a series."""
    late = path == "PC/pyconfig.h" and version.minor >= WINDOWS_CONFIG_MADE_SINCE
    return f"{path}.in" if late else path


def _listed(stand: Stand) -> list[str]:
    """Return the branches besides `main` that continuous integration builds, newest first."""
    newest = stand.version.minor - (stand.branch == "main")
    return [f"3.{minor}" for minor in range(newest, max(newest - 3, FIRST_MINOR - 1), -1)]


@cache
def _templates() -> dict[str, Template]:
    environment = Environment(
        loader=FileSystemLoader(FILES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (these are sources, not web pages)
    )
    names = environment.list_templates(extensions=[SUFFIX.removeprefix(".")])
    return {name.removesuffix(SUFFIX): environment.get_template(name) for name in names}


def _whatsnew_before(version: Version) -> dict[str, bytes]:
    """Return what was new in the series before, if that is a series of ours."""
    earlier = Version(version.minor - 1, 0)
    if earlier.minor < FIRST_MINOR:
        return {}
    values = {
        "version": earlier,
        "series": earlier.series,
        "previous": f"3.{earlier.minor - 1}",
    }
    template = _templates()["Doc/whatsnew/SERIES.rst"]
    return {f"Doc/whatsnew/{earlier.series}.rst": template.render(values).encode()}


def _fixes(stand: Stand) -> dict[str, bytes]:
    """Return what the changes of the next release added: a test each, as fixes have.

    No two of them touch the same lines, so that each can be picked alone.
    """
    return {f"Lib/test/test_gh_{one.number}.py": _fix(one).encode() for one in stand.entries}


def _fix(entry: Entry) -> str:
    return (
        "import unittest\n\n\n"
        f"class Issue{entry.number}Test(unittest.TestCase):\n"
        "    def test_it_stays_mended(self):\n"
        f"        self.assertEqual(sum(map(int, '{entry.number}')), "
        f"{sum(map(int, str(entry.number)))})\n"
    )


def _news(stand: Stand) -> dict[str, bytes]:
    """Return the NEWS entries: a file for each release, and those of the next one."""
    tree = {f"{NEXT}/README.rst": b"Entries of the next release wait here, by section.\n"}
    for version in stand.released:
        tree[f"Misc/NEWS.d/{version}.rst"] = _released(version).encode()
    for number, entry in enumerate(stand.entries):
        day = BEGINNING + (20 + number) * DAY
        tree[entry.path(day, stand.version.minor)] = f"{entry.text}\n".encode()
    return tree


def _released(version: Version) -> str:
    number = {"a": 0, "b": 20, "rc": 40, "final": 60}[version.level]
    number += version.serial + version.micro
    day = BEGINNING - (400 - 100 * (version.minor % 3) - number) * DAY
    head = f".. date: {day:%Y-%m-%d-%H-%M-%S}\n.. gh-issue: {800001 + number}\n"
    head += f".. nonce: {hashlib.sha256(str(version).encode()).hexdigest()[:6]}\n"
    return f"{head}.. release date: {day:%Y-%m-%d}\n.. section: Library\n\nReleased {version}.\n"


def is_executable(path: str) -> bool:
    """Tell whether a file of the tree is a program."""
    return path == "configure" or path.endswith(".sh")
