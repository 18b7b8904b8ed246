"""Which test cases were to run and which did, by name, from what ``python -m test`` offers.

Three of its options are read, alike from 3.9 to 3.14: ``--list-tests`` (files, packages split),
``--list-cases`` (names of cases, found without running them) and ``--junit-xml`` (every case that
began). What it prints is not enough: before 3.11.6 there are no totals, and a file all of whose
classes skip themselves is ``passed`` there with nothing run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

CASE = re.compile(r"[A-Za-z_]\w*(?:\.[^\s.]+)+")
FILE = re.compile(r"[A-Za-z_][\w.]*")
TOTAL = re.compile(r"^Total tests: run=[\d,]+(.*)", re.MULTILINE)
SKIPS, FAILURES = re.compile(r" skipped=([\d,]+)"), re.compile(r" failures=([\d,]+)")
FAILED = re.compile(r"^[\d,]+ tests? failed(?: again)?:\n((?: {4}.*(?:\n|$))+)", re.MULTILINE)
SKIPPED, EMPTY = (
    re.compile(rf"^[\d,]+ tests? {what}:\n((?: {{4}}.*(?:\n|$))+)", re.MULTILINE)
    for what in (r"skipped(?: \(resource denied\))?", "run no tests")
)


@dataclass(frozen=True)
class Report:
    """The cases that began, by name, and how many of them were skipped or failed."""

    began: Counter[str]
    skipped: Counter[str]
    failed: int

    @property
    def ran(self) -> Counter[str]:
        """The cases that ran: those that began and did not skip themselves."""
        return self.began - self.skipped


@dataclass(frozen=True)
class Account:
    """What became of the cases that were listed.

    `expected` counts them, `run` those that ran, and `skipped` those that were skipped: singly, as
    a class, or as a file. `missing` names what is neither. `idle` names the files with no case run.
    """

    expected: int
    run: int
    skipped: int
    missing: tuple[str, ...]
    idle: tuple[str, ...]


def listed_files(said: str) -> tuple[str, ...]:
    """Return the test files that ``--list-tests`` names."""
    return tuple(line for line in said.splitlines() if FILE.fullmatch(line))


def listed_cases(said: str, began: Container[str] = ()) -> Counter[str]:
    """Return the cases that ``--list-cases`` names; some doctests are there more than once.

    What else it says has spaces in it, or no dots; so have the names of some doctests, which are
    counted if they `began`, and not missed otherwise.
    """
    lines = Counter(said.splitlines())
    return Counter({x: n for x, n in lines.items() if CASE.fullmatch(x) or x in began})


def read_report(path: Path) -> Report:
    """Read a file of ``--junit-xml``; none was written where no file of tests came to its end.

    Raises `xml.etree.ElementTree.ParseError`.
    """
    began, skipped, failed = Counter[str](), Counter[str](), 0
    if path.exists():
        # The interpreter under test wrote it, and could do worse than write a bad file.
        for case in ET.parse(path).iter("testcase"):  # noqa: S314 (see above)
            name = case.get("name", "")  # a case with subtests that fail has none
            began[name] += 1
            skipped[name] += case.find("skipped") is not None
            failed += _has_failed(case, name)
    return Report(began, +skipped, failed)


def _has_failed(case: ET.Element, name: str) -> bool:
    odd = case.get("outcome") == "UNEXPECTED_SUCCESS"
    return not name or odd or any(case.find(word) is not None for word in ("error", "failure"))


def failures_said(said: str) -> int:
    """Return how many failures the last line of totals counts; errors are not in it."""
    return _last(FAILURES, said)


def failed_files(said: str) -> tuple[str, ...]:
    """Return the test files that are listed as failed at the end."""
    lists = FAILED.findall(said)
    return tuple(lists[-1].split()) if lists else ()


def skipped_files(said: str) -> tuple[str, ...]:
    """Return the test files that are listed as skipped, or denied a resource."""
    return tuple(name for names in SKIPPED.findall(said) for name in names.split())


def empty_files(said: str) -> tuple[str, ...]:
    """Return the test files that are listed as having run no tests."""
    return tuple(name for names in EMPTY.findall(said) for name in names.split())


def _last(count: re.Pattern[str], said: str) -> int:
    totals = TOTAL.findall(said)
    found = count.search(totals[-1]) if totals else None
    return int(found[1].replace(",", "") or 0) if found else 0


def account(said: str, files: Sequence[str], listed: Counter[str], report: Report) -> Account:
    """Find out what became of each listed case.

    A case that did not begin is missing, unless its whole file is said to be skipped, or its whole
    class, or file, skipped itself (in ``setUpClass``, ``setUpModule``). That leaves no name behind:
    it is believed of no more classes and files than the total of skips leaves room for.
    """
    homes = _Homes(files)
    excused, empty = (set(map(module, names)) for names in (skipped_files(said), empty_files(said)))
    active, known = ({homes.of(name) for name in names} for names in (report.ran, listed))
    idle = tuple(x for x in files if module(x) in excused | empty or x in known - active)
    absent = listed - report.began
    lost = Counter({x: n for x, n in absent.items() if module(homes.of(x) or "") not in excused})
    whole = _whole(lost, report.began, homes)
    room = _last(SKIPS, said) - report.skipped.total()
    if len(set(whole.values())) <= room:
        lost = Counter({name: n for name, n in lost.items() if name not in whole})
    return Account(
        expected=listed.total(),
        run=report.ran.total(),
        skipped=report.skipped.total() + absent.total() - lost.total(),
        missing=tuple(sorted(lost)),
        idle=idle,
    )


def _whole(lost: Iterable[str], began: Iterable[str], homes: _Homes) -> dict[str, str]:
    """Return the lost cases of which the whole class or file is lost, with its name."""
    classes = {_class(name) for name in began}
    alive = {homes.of(name) for name in began}
    return {
        name: _class(name) if (home := homes.of(name)) is None or home in alive else home
        for name in lost
        if _class(name) not in classes
    }


def _class(name: str) -> str:
    return name.rpartition(".")[0]


def module(name: str) -> str:
    """Return the full name of the module of a test file, which may be named without its package."""
    return name if name.startswith("test.") else f"test.{name}"


class _Homes:
    """Finds the test file a case is in, by the case's name; doctests may be named after others."""

    def __init__(self, files: Iterable[str]) -> None:
        self._files = {module(file): file for file in files}

    def of(self, case: str) -> str | None:
        name = case
        while name:
            name = name.rpartition(".")[0]
            if name in self._files:
                return self._files[name]
        return None
