"""Which release is made, and what its kind implies."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import total_ordering
from typing import Self

from relkit.errors import UsageError

GRAMMAR = re.compile(
    r"(3)\.(0|[1-9][0-9]?)\.(0|[1-9][0-9]?)(?:(a|b|rc)([1-9][0-9]?))?", flags=re.ASCII
)
LONGEST = len("3.99.99rc99")
TIME = re.compile(r"(2[0-9]{3}-[0-9]{2}-[0-9]{2})(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?", flags=re.ASCII)
FIRST_WITHOUT_GPG = 14  # PEP 761
LEVELS = {"a": 0xA, "b": 0xB, "rc": 0xC, "final": 0xF}
LEVEL_NAMES = {"a": "alpha", "b": "beta", "rc": "release candidate"}


class Kind(enum.StrEnum):
    """The kind of a release; each has a notebook of the same name."""

    ALPHA = "alpha"
    BETA_1 = "beta-1"
    BETA = "beta"
    RC_1 = "rc-1"
    RC = "rc"
    FINAL = "final"
    BUGFIX = "bugfix"


RELEASES = frozenset({Kind.ALPHA})
"""The kinds relkit can make. The others are refused by name until their steps exist."""


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


def kind_of(version: Version) -> Kind:
    """Return the kind which the version number alone implies."""
    match version.level, version.serial, version.micro:
        case "a", _, _:
            return Kind.ALPHA
        case "b", serial, _:
            return Kind.BETA_1 if serial == 1 else Kind.BETA
        case "rc", serial, _:
            return Kind.RC_1 if serial == 1 else Kind.RC
        case _, _, micro:
            return Kind.BUGFIX if micro else Kind.FINAL


@dataclass(frozen=True)
class Release:
    """One release: its version, kind and time. The time is an input, never read from a clock."""

    version: Version
    kind: Kind
    time: datetime
    """When the release is made, UTC, whole seconds: it dates NEWS, commits, tag and archives."""

    @classmethod
    def parse(cls, version: str, kind: str, when: str) -> Self:
        """Check the three parameters of a notebook; `when` is ISO 8601, a date or a UTC time.

        Raises `UsageError`: ``BAD_VERSION``, ``KIND_CONFLICT``, ``KIND_UNKNOWN``, ``BAD_DATE``.
        """
        parsed = Version.parse(version)
        implied = kind_of(parsed)
        if kind and kind != implied:
            raise UsageError(
                f"{parsed} is of the kind {implied}, not {kind!r:.40}",
                code="KIND_CONFLICT",
                remedy=f"Open the notebook {implied}, or correct the version.",
            )
        if parsed.level == "a" and parsed.micro:
            raise UsageError(
                f"{parsed}: a patch release has no alphas",
                code="BAD_VERSION",
                remedy=f"Did you mean {parsed.series}.0a{parsed.serial}?",
            )
        if implied not in RELEASES:
            raise UsageError(
                f"{parsed} is of the kind {implied}; this relkit makes {', '.join(RELEASES)}",
                code="KIND_UNKNOWN",
                remedy="Use a version of relkit that has the notebook for this kind.",
            )
        return cls(parsed, implied, _parse_time(when))

    @property
    def tag(self) -> str:
        """The git tag: ``v3.15.0a1``."""
        return f"v{self.version}"

    @property
    def branch(self) -> str:
        """The branch it is made from: `main` up to the first beta, then ``3.X``."""
        early = self.kind in {Kind.ALPHA, Kind.BETA_1}
        return "main" if early else self.version.series

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
    def day(self) -> date:
        """The release date."""
        return self.time.date()

    @property
    def uses_gpg(self) -> bool:
        """Whether artifacts are signed with GPG too: until 3.13 (PEP 761)."""
        return self.version.minor < FIRST_WITHOUT_GPG

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms experts deliver for."""
        since = {"windows": 0, "macos": 0, "android": 14, "ios": 15}
        return tuple(name for name, minor in since.items() if self.version.minor >= minor)


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
