"""What the picture says of a step beyond its declaration: its zone, what it hands on, its risks.

Risks are read from the code of the planning function and of the helpers it calls, so that a new
step is marked by what it does and nobody has to think of it.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from relkit.step import Nothing, Step

OWN_MACHINE = "release manager's machine"
ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
HELPERS = "relkit.steps."


class Zone(NamedTuple):
    """Machines between which there is trust; where a zone ends, everything is checked again."""

    name: str
    trusted: str
    """Why what comes from here is not simply believed."""
    places: tuple[str, ...]


PROJECT = Zone(
    "The project",
    "every committer can write",
    ("upstream", "tracker", "buildbots", "PEPs repository", "developer's guide"),
)
OWN = Zone("The release manager", "holds the signing keys", (OWN_MACHINE, "mail"))
BUILD = Zone(
    "Builders and experts",
    "other people's machines",
    ("fork", "build machines", "Windows machine", "macOS machine", "docs machine"),
)
PUBLIC = Zone(
    "The public side",
    "everybody reads, nothing is taken back",
    (
        "download server",
        "docs server",
        "python.org",
        "public",
        "forum",
        "forum and blog",
        "Windows Store",
    ),
)
ELSEWHERE = Zone("Other services", "seen through evidence alone", ())
ZONES = (PROJECT, OWN, BUILD, PUBLIC, ELSEWHERE)


class Risk(NamedTuple):
    """A source of risk; `sign` is a path in a square of 10 pixels, `calls` are what gives it."""

    name: str
    meaning: str
    sign: str
    calls: frozenset[str] = frozenset()


NO_WAY_BACK = Risk(
    "no way back",
    "what it begins is never undone",
    "M5 0a5 5 0 1 0 .01 0zM2 3.9V6.1H8V3.9z",
)
KEY = Risk(
    "signing key",
    "a secret key is used",
    "M3 2.2a2.8 2.8 0 1 0 .01 0zM3 3.9a1.1 1.1 0 1 1-.01 0zM5.6 4.2H10V7.2H8.6V5.8H5.6z",
    frozenset({"signers.sign", "signers.sign_all", "repo.create_tag"}),
)
FOREIGN = Risk(
    "foreign input",
    "takes in what others made",
    "M4 0H6V4H8.5L5 7.6 1.5 4H4zM0 6H1.6V8.4H8.4V6H10V10H0z",
    frozenset(
        {
            *("artifacts.collect", "builders.result", "people.testimony"),
            *("repo.make_clone", "repo.pick", "public.fetch", "public.verify"),
        }
    ),
)
MANUAL = Risk(
    "manual",
    "a person does it by hand elsewhere",
    "M5 0a2.4 2.4 0 1 0 .01 0zM.5 10V8.4C.5 6.4 2.6 5.6 5 5.6S9.5 6.4 9.5 8.4V10z",
    frozenset({"people.testimony"}),
)
RISKS = (NO_WAY_BACK, KEY, FOREIGN, MANUAL)

HANDS_ON = {
    "freeze-branch": "frozen head",
    "make-clone": "release clone",
    "choose-base": "base commit",
    "release-news": "NEWS",
    "set-version": "patchlevel.h",
    "set-release-date": "What's New",
    "resolve-next-versions": "Doc/",
    "regenerate-topics": "pydoc topics",
    "commit-release": "release commit",
    "tag-release": "signed tag",
    "push-to-fork": "branch and tag",
    "tell-experts": "commit id",
    "start-builds": "builds",
    "collect-source": "source archives",
    "collect-docs": "docs archives",
    "collect-windows": "Windows files",
    "collect-macos": "macOS installer",
    "collect-mobile": "mobile files",
    "freeze-subjects": "closed set",
    "sign-artifacts": "signatures",
    "close-manifest": "manifest",
    "upload-to-staging": "staged files",
    "draft-website": "draft page",
    "fill-website": "draft page",
    "place-files": "public files",
    "unpack-docs": "HTML docs",
    "publish-website": "public page",
    "push-upstream": "branch and tag",
    "draft-announcements": "texts",
    "find-missing": "first manifest",
    "tell-late-experts": "commit id",
    "collect-late": "late files",
    "freeze-amendment": "amended set",
    "sign-late": "signatures",
    "close-amendment": "signed amendment",
    "upload-late": "staged files",
    "place-late": "public files",
    "add-rows": "rows",
    "show-late": "public page",
}
"""What steps hand on, in words that fit on a card; of other steps the type of the result."""
RESULTS = {"Artifacts": "files", "Commit": "commit", "Facts": "report", "Tools": "versions"}


def zone_of(step: Step[Any]) -> Zone:
    """Return the zone of the machine on which a step changes something."""
    return next((zone for zone in ZONES if step.where in zone.places), ELSEWHERE)


def hands_on(step: Step[Any]) -> str:
    """Return what a step hands to later ones, or to the world; empty: nothing."""
    if step.name in HANDS_ON or step.returns is Nothing:
        return HANDS_ON.get(step.name, "")
    name = step.returns.__name__
    return RESULTS.get(name, name.lower())


def risks_of(step: Step[Any]) -> tuple[Risk, ...]:
    """Return the sources of risk of a step, as it is declared and as its code says."""
    made = calls(step.planner) if isinstance(step.planner, FunctionType) else frozenset[str]()
    found = [risk for risk in RISKS if risk.calls & made]
    if MANUAL in found:  # the evidence is what comes in
        found.remove(FOREIGN)
    return (*([NO_WAY_BACK] if step.irreversible else []), *found)


@cache
def calls(function: FunctionType) -> frozenset[str]:
    """Return the port methods that a function, or a step's helper it calls, names: ``repo.push``.

    Ports are the attributes of what is called `world`.
    """
    found: set[str] = set()
    seen: set[FunctionType] = set()
    ahead = [function]
    while ahead:
        one = ahead.pop()
        seen.add(one)
        for code in _codes(one.__code__):
            found |= set(_of_world(code))
            named = [one.__globals__.get(name) for name in code.co_names]
            helpers = [value for value in named if isinstance(value, FunctionType)]
            ahead += [x for x in helpers if x.__module__.startswith(HELPERS) and x not in seen]
    return frozenset(found)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of a function and of what is defined in it, such as comprehensions."""
    yield code
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _codes(part)


def _of_world(code: CodeType) -> Iterator[str]:
    """Yield `port.method` for each ``world.port.method`` of a code."""
    made = [one for one in dis.get_instructions(code) if one.opname != "CACHE"]
    before = ""
    for one, after in pairwise(made):
        if one.opname in ATTRIBUTE and after.opname in ATTRIBUTE and before.endswith("world"):
            yield f"{one.argval}.{after.argval}"
        before = str(one.argval) if one.opname.startswith("LOAD_") else ""
        before = before.rpartition("', '")[2].rstrip("')")  # LOAD_FAST_LOAD_FAST has a pair
