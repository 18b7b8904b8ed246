"""What each kind of release implies: one table, which steps and faces read."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass


class Kind(enum.StrEnum):
    """The kind of a run; each has a notebook of the same name."""

    ALPHA = "alpha"
    BETA_1 = "beta-1"
    BETA = "beta"
    RC_1 = "rc-1"
    RC = "rc"
    FINAL = "final"
    BUGFIX = "bugfix"
    SECURITY = "security"
    BEGIN_BUGFIX = "begin-bugfix"
    BEGIN_SECURITY_ONLY = "begin-security-only"
    END_OF_LIFE = "end-of-life"
    AMENDMENT = "amendment"


@dataclass(frozen=True)
class KindFacts:
    """One row of `KINDS`; `example` is the subject of the notebook, as it is committed."""

    example: str
    begins: tuple[str, ...]
    """The statuses its series can have in the release data when the run is opened."""
    ends: str = ""
    """The status a transition gives it."""
    level: str = ""
    """The versions it is for: ``a``, ``b``, ``rc`` or ``final``; a transition has none."""
    serial: str = ""
    """Which of these: the ``first`` or the ``later`` ones; empty: all."""
    patch: bool | None = None
    """Only patch releases (their series must have a status in `begins`), only 3.X.0; None: both."""
    publishes: bool = True
    """Makes a version and publishes it; a transition of a branch does not."""
    amends: bool = False
    """Publishes what a version lacked when it was published, by an amendment of its manifest."""
    from_main: bool = False
    new_branch: bool = False
    """Makes the branch ``3.X``, and `main` goes on to the next version."""
    docs: bool = False
    """Has archives of the documentation."""
    installers: bool = True
    """Has installers, made by experts; else source only."""
    strict: bool = False
    """Deferred blockers and a wrong magic number stop it."""
    picks: bool = False
    """May be made from the last candidate with cherry-picks instead of the whole branch."""
    stable: bool = False
    """Is no preview: may become what the site offers first, and what `current` names."""
    first: bool = False
    """Is the first stable release of its series."""
    restricts: bool = False
    """From then on only release managers merge into the branch."""
    ends_branch: bool = False
    """The branch is tagged where it stands, and deleted."""
    embargoed: bool = False
    """Fixes what is not public before: texts and drafts wait for the publication."""


EARLY = ("feature", "prerelease")
BEFORE_FINAL = ("prerelease", "bugfix")  # a patch release can have candidates too
KINDS: dict[Kind, KindFacts] = {
    Kind.ALPHA: KindFacts("3.15.0a1", EARLY, level="a", from_main=True),
    Kind.BETA_1: KindFacts(
        "3.15.0b1", EARLY, level="b", serial="first", from_main=True, new_branch=True
    ),
    Kind.BETA: KindFacts("3.15.0b2", ("prerelease",), level="b", serial="later"),
    Kind.RC_1: KindFacts(
        "3.15.0rc1", BEFORE_FINAL, level="rc", serial="first", docs=True, strict=True
    ),
    Kind.RC: KindFacts(
        "3.15.0rc2",
        BEFORE_FINAL,
        level="rc",
        serial="later",
        docs=True,
        strict=True,
        picks=True,
    ),
    Kind.FINAL: KindFacts(
        "3.15.0",
        ("prerelease",),
        level="final",
        patch=False,
        docs=True,
        strict=True,
        picks=True,
        stable=True,
        first=True,
    ),
    Kind.BUGFIX: KindFacts(
        "3.14.2", ("bugfix",), level="final", patch=True, docs=True, strict=True, stable=True
    ),
    Kind.SECURITY: KindFacts(
        "3.12.13",
        ("security",),
        level="final",
        patch=True,
        docs=True,
        installers=False,
        stable=True,
        embargoed=True,
    ),
    Kind.BEGIN_BUGFIX: KindFacts(
        "3.15", ("prerelease",), "bugfix", publishes=False, installers=False
    ),
    Kind.BEGIN_SECURITY_ONLY: KindFacts(
        "3.13", ("bugfix",), "security", publishes=False, installers=False, restricts=True
    ),
    Kind.END_OF_LIFE: KindFacts(
        "3.10",
        ("security",),
        "end-of-life",
        publishes=False,
        installers=False,
        ends_branch=True,
    ),
    Kind.AMENDMENT: KindFacts(
        "3.14.2", (*EARLY, "bugfix", "security"), publishes=False, amends=True
    ),
}
"""Where several rows fit a version, the first is its kind unless another is asked for."""


def where(**facts: bool) -> frozenset[Kind]:
    """Return the kinds whose row has these facts: ``where(publishes=True, docs=True)``."""
    return frozenset(kind for kind, row in KINDS.items() if facts.items() <= asdict(row).items())


RELEASES = where(publishes=True)
TRANSITIONS = where(publishes=False, amends=False)
AMENDMENTS = where(amends=True)
BESIDE = TRANSITIONS | AMENDMENTS
"""The kinds whose runs stand beside those of versions: their records are named after them."""
EVERY = frozenset(Kind)
