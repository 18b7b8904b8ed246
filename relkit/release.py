"""Which release is made, and what its kind implies."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import total_ordering
from typing import Self

from relkit.cycle import Status, cycle
from relkit.errors import UsageError
from relkit.kinds import AMENDMENTS, BESIDE, KINDS, TRANSITIONS, Kind, KindFacts

GRAMMAR = re.compile(
    r"(3)\.(0|[1-9][0-9]?)\.(0|[1-9][0-9]?)(?:(a|b|rc)([1-9][0-9]?))?", flags=re.ASCII
)
LONGEST = len("3.99.99rc99")
SERIES = re.compile(r"3\.(0|[1-9][0-9]?)", flags=re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}", flags=re.ASCII)
TIME = re.compile(r"(2[0-9]{3}-[0-9]{2}-[0-9]{2})(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?", flags=re.ASCII)
FIRST_WITHOUT_GPG = 14  # PEP 761
AMENDABLE: Status = "bugfix"
"""The status of a series whose patch releases have installers."""
LEVELS = {"a": 0xA, "b": 0xB, "rc": 0xC, "final": 0xF}
LEVEL_NAMES = {"a": "alpha", "b": "beta", "rc": "release candidate"}


@total_ordering
@dataclass(frozen=True)
class Version:
    """A version of CPython 3, in the normal form of PEP 440: ``3.15.0a1``, ``3.14.2``."""

    minor: int
    micro: int
    level: str = "final"  # a, b, rc, final
    serial: int = 0

    @classmethod
    def parse(cls, given: object) -> Self:
        """Read the normal form and nothing else; raise `UsageError` (``BAD_VERSION``).

        A parameter of a notebook need not be text: papermill takes ``3.15`` for a number.
        """
        text = given if isinstance(given, str) else repr(given)
        found = GRAMMAR.fullmatch(text) if len(text) <= LONGEST else None
        if found is None:
            shown = text if len(text) <= 4 * LONGEST else f"{text[:LONGEST]}…"
            raise UsageError(
                f"{shown!r} is not a version of CPython",
                code="BAD_VERSION",
                remedy="Give the normal form without a leading v, such as 3.15.0a1 or 3.14.0rc2.",
            )
        _, minor, micro, level, serial = found.groups()
        return cls(int(minor), int(micro), level or "final", int(serial or 0))

    @classmethod
    def of_tree(cls, text: str) -> Self:
        """Read `PY_VERSION` of a tree: between releases it ends with ``+``, from 3.15 ``+dev``.

        A series begins with ``3.X.0a0``, which is never released.
        """
        known = text.removesuffix("dev").removesuffix("+")
        if not known.endswith(".0a0"):
            return cls.parse(known)
        first = cls.parse(known.removesuffix("0") + "1")
        return cls(first.minor, first.micro, "a", 0)

    def __str__(self) -> str:
        return f"{self.base}{self.suffix}"

    def __lt__(self, other: Version) -> bool:
        return self._key < other._key

    @property
    def _key(self) -> tuple[int, int, int, int]:
        return self.minor, self.micro, LEVELS[self.level], self.serial

    @property
    def series(self) -> str:
        """Major and minor: ``3.15``."""
        return f"3.{self.minor}"

    @property
    def base(self) -> str:
        """Without the pre-release: ``3.15.0``. The download folder has this name."""
        return f"{self.series}.{self.micro}"

    @property
    def suffix(self) -> str:
        """The pre-release alone: ``a1``; empty for a final."""
        return "" if self.level == "final" else f"{self.level}{self.serial}"

    @property
    def spelled(self) -> str:
        """As the README has it: ``3.15.0 alpha 1``, ``3.15.0 release candidate 1``."""
        return f"{self.base} {LEVEL_NAMES[self.level]} {self.serial}" if self.suffix else self.base


def kind_of(version: Version, status: Status, asked: str = "") -> Kind:
    """Return the kind of a version whose series has a status on the release's day.

    A candidate of a patch release (3.14.5rc1) is a candidate; how many betas and candidates
    there are is no rule. `asked` must be a kind that fits. Raises `UsageError`
    (``KIND_CONFLICT``).
    """
    fitting = [kind for kind in KINDS if _fits(kind, version, status)]
    if chosen := [kind for kind in fitting if not asked or kind == asked]:
        return chosen[0]
    wrong = f"is of the kind {' or '.join(fitting)}, not {asked!r:.40}"
    raise UsageError(
        f"{version} {wrong if fitting else f'is no release of a series that is {status}'}",
        code="KIND_CONFLICT",
        remedy="Open the notebook of its kind, or correct version or date.",
    )


def _fits(kind: Kind, version: Version, status: Status) -> bool:
    row, serial = KINDS[kind], "first" if version.serial == 1 else "later"
    return (
        row.level == version.level
        and row.serial in {"", serial}
        and row.patch in {None, bool(version.micro)}
        and (not row.patch or status in row.begins)
    )


@dataclass(frozen=True)
class Release:
    """What a run makes: a version, an amendment of one, or the transition of a branch.

    The time is an input, never read from a clock. A transition has the version ``3.X.0`` and is
    named after its branch.
    """

    version: Version
    kind: Kind
    time: datetime
    """When the release is made, UTC, whole seconds: it dates NEWS, commits, tag and archives."""
    picks: tuple[str, ...] = ()
    """Commits to pick onto the last candidate; empty: the whole branch is released."""

    @classmethod
    def parse(cls, subject: str, kind: str, when: str, picks: str = "") -> Self:
        """Check the parameters of a notebook.

        `subject` is a version, or with the kind of a transition a branch (``3.13``); `when` is
        ISO 8601, a date or a UTC time; `picks` are full commit ids with spaces between them.
        Raises `UsageError`: ``BAD_VERSION``, ``KIND_CONFLICT``, ``BAD_DATE``, ``BAD_PICKS``.
        """
        if kind in TRANSITIONS:
            return cls(_branch(subject, kind), Kind(kind), _parse_time(when))
        parsed = Version.parse(subject)
        if parsed.level in {"a", "b"} and parsed.micro:
            raise UsageError(
                f"{parsed}: a patch release has no {LEVEL_NAMES[parsed.level]}s",
                code="BAD_VERSION",
                remedy=f"Did you mean {parsed.series}.0{parsed.suffix}?",
            )
        time = _parse_time(when)
        if kind in AMENDMENTS:  # at any time: its series may have another status by then
            return cls(parsed, Kind(kind), time)
        found = kind_of(parsed, cycle().status(parsed.series, time.date()), kind)
        return cls(parsed, found, time, _parse_picks(picks, found))

    @property
    def facts(self) -> KindFacts:
        """What its kind implies."""
        return KINDS[self.kind]

    @property
    def name(self) -> str:
        """What it is called in records: the version, or the branch of a transition."""
        return self.version.series if self.kind in TRANSITIONS else str(self.version)

    @property
    def key(self) -> str:
        """The name of its folders: ``3.15.0a1``, ``3.13-begin-security-only``."""
        return f"{self.name}-{self.kind}" if self.kind in BESIDE else self.name

    @property
    def amended(self) -> Release:
        """The release that an amendment is about; anything else is about itself.

        It has the kind its version had while its series got installers: only of these a platform
        can be missing. Its time is the amendment's; the true one stands in the manifest.
        """
        if not self.facts.amends:
            return self
        return replace(self, kind=kind_of(self.version, AMENDABLE))

    @property
    def is_newest(self) -> bool:
        """Whether it becomes what the site offers first: stable, and of the newest series."""
        return self.facts.stable and self.version.series == cycle().newest(self.day)

    @property
    def tag(self) -> str:
        """The git tag: ``v3.15.0a1``."""
        return f"v{self.version}"

    @property
    def branch(self) -> str:
        """The branch it is made from: `main` up to the first beta, then ``3.X``."""
        return "main" if self.amended.facts.from_main else self.version.series

    @property
    def fork_branch(self) -> str:
        """The branch on the release manager's fork that carries the release commit."""
        return f"release-{self.version}"

    @property
    def slug(self) -> str:
        """The release's name in addresses of python.org: ``python-3150a1``."""
        return "python-" + str(self.version).replace(".", "")

    @property
    def folder(self) -> str:
        """The download folder, relative to the server's root: ``ftp/python/3.15.0``."""
        return f"ftp/python/{self.version.base}"

    @property
    def docs_folder(self) -> str:
        """The folder of the docs archives there: ``ftp/python/doc/3.15.0rc1``."""
        return f"ftp/python/doc/{self.version}"

    @property
    def day(self) -> date:
        """The release date."""
        return self.time.date()

    @property
    def uses_gpg(self) -> bool:
        """Whether artifacts are signed with GPG too: until 3.13 (PEP 761)."""
        return self.version.minor < FIRST_WITHOUT_GPG

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms experts deliver for; none where only source is released."""
        if not self.facts.installers:
            return ()
        since = {"windows": 0, "macos": 0, "android": 14, "ios": 15}
        return tuple(name for name, minor in since.items() if self.version.minor >= minor)


def _branch(subject: object, kind: str) -> Version:
    found = SERIES.fullmatch(subject) if isinstance(subject, str) else None
    if found is None:
        raise UsageError(
            f"{subject!r:.40} is not a branch, which {kind} is about",
            code="BAD_VERSION",
            remedy="Give the branch as text, such as 3.13.",
        )
    return Version(int(found[1]), 0)


def _parse_picks(given: object, kind: Kind) -> tuple[str, ...]:
    picks = given.split() if isinstance(given, str) else [repr(given)]
    wrong = [one for one in picks if not COMMIT.fullmatch(one)] or picks[
        len(dict.fromkeys(picks)) :
    ]
    if wrong or (picks and not KINDS[kind].picks):
        raise UsageError(
            f"the picks {wrong or picks!r:.100} cannot be picked for a release of the kind {kind}",
            code="BAD_PICKS",
            remedy="Give full commit ids, each once; only for a candidate after rc1 or a final.",
        )
    return tuple(picks)


def _parse_time(given: object) -> datetime:
    """Read a day (taken as 12:00 UTC) or a time in UTC with whole seconds, from 2000 on."""
    try:
        found = TIME.fullmatch(given) if isinstance(given, str) else None
        if found is None:
            raise ValueError("neither a day nor a time")  # noqa: TRY301
        day, time = found.groups()
        return datetime.fromisoformat(f"{day}{time or 'T12:00:00Z'}")
    except ValueError as error:
        raise UsageError(
            f"{given!r:.40} is not a release date",
            code="BAD_DATE",
            remedy="Give a day such as 2026-05-05, or a time such as 2026-05-05T10:00:00Z.",
        ) from error
