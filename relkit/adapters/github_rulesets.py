"""Rulesets of relkit's own, by which a run freezes a branch, for administrators as well.

A run's ruleset has the run's mark in its name, so that two runs of relkit can tell theirs apart.
The branch is of the run whose ruleset is the oldest, by its number: whoever made a later one
withdraws it. It is active while the branch is frozen, disabled while it is lifted for the push, and
deleted when the branch is opened: a branch that is lifted is not free.
"""

from __future__ import annotations

from relkit.adapters.github import Told, pages, told
from relkit.adapters.rest import Rest
from relkit.adapters.web import quoted
from relkit.errors import WorldError

RULES = ("update", "deletion", "non_fast_forward")


class Ruleset(Told):
    """A ruleset, as a list of them has it."""

    id: int
    name: str
    enforcement: str

    @property
    def active(self) -> bool:
        """Whether it is in force."""
        return self.enforcement == "active"


class _Actor(Told):
    actor_type: str


class _Whole(Ruleset):
    bypass_actors: tuple[_Actor, ...] = ()


class Freezes:
    """The freezes of a repository whose part of the API begins with `base`; ours have `mark`."""

    def __init__(self, rest: Rest, base: str, mark: str) -> None:
        self._rest = rest
        self._path = f"{base}/rulesets"
        self._mark = mark

    def of(self, branch: str) -> tuple[Ruleset | None, tuple[Ruleset, ...]]:
        """Return our ruleset of a branch, and those of other runs, the oldest first."""
        listed = pages(self._rest, self._path, Ruleset, {"includes_parents": "false"})
        name = ruleset_name(branch, self._mark)
        all_ = f"{ruleset_name(branch)} ("
        mine = [one for one in listed.items if one.name == name]
        others = [
            one for one in listed.items if one not in mine and (one.name + " (").startswith(all_)
        ]
        if not listed.complete or len(mine) > 1:
            raise self._rest.unreadable(
                f"{len(mine)} rulesets are named {name}, or some were not listed"
            )
        for one in mine:
            self._require_whole(one)
        return (mine[0] if mine else None), tuple(sorted(others, key=lambda one: one.id))

    def freeze(self, branch: str, own: Ruleset | None) -> None:
        """Freeze a branch for us. Raises `WorldError` (``ALREADY_FROZEN``): another run was first.

        Two runs may do this at once. Each makes its ruleset and looks for others afterwards, so at
        least the later one sees both, and takes its own away again.
        """
        if own is None:
            answer = self._rest.write("POST", self._path, self._fields(branch, "active"))
            number = told(self._rest, _Number, answer.value, answer.said).id
        else:
            self._put(branch, own, "active")
            number = own.id
        _, others = self.of(branch)
        if first := next((one for one in others if one.id < number), None):
            self._rest.write("DELETE", f"{self._path}/{number}")
            raise frozen(branch, first)

    def lift(self, branch: str, own: Ruleset) -> None:
        """Open a branch for our push; it stays ours."""
        self._put(branch, own, "disabled")

    def open(self, own: Ruleset) -> None:
        """Give a branch free."""
        self._rest.write("DELETE", f"{self._path}/{own.id}")

    def _put(self, branch: str, own: Ruleset, enforcement: str) -> None:
        self._rest.write("PUT", f"{self._path}/{own.id}", self._fields(branch, enforcement))

    def _fields(self, branch: str, enforcement: str) -> dict[str, object]:
        return {
            "name": ruleset_name(branch, self._mark),
            "target": "branch",
            "enforcement": enforcement,
            "conditions": {"ref_name": {"include": [f"refs/heads/{branch}"], "exclude": []}},
            "rules": [{"type": name} for name in RULES],
            "bypass_actors": [],
        }

    def _require_whole(self, one: Ruleset) -> None:
        answer = self._rest.get(f"{self._path}/{one.id}")
        own = told(self._rest, _Whole, answer.value, answer.said)
        if own.bypass_actors:
            raise WorldError(
                f"the ruleset {own.name} can be bypassed by {own.bypass_actors[0].actor_type}",
                code="RULESET_CHANGED",
                remedy="See who changed relkit's ruleset, and delete it; it is made anew.",
            )


class _Number(Told):
    id: int


def ruleset_name(branch: str, mark: str = "") -> str:
    """Return the name of the ruleset by which the run with a mark freezes a branch."""
    return f"relkit: {branch} is frozen for a release" + (f" ({mark})" if mark else "")


def frozen(branch: str, by: Ruleset) -> WorldError:
    """Return the refusal of a branch that another run holds."""
    return WorldError(
        quoted(f"{branch} is held by another run of relkit, in the ruleset {by.name!r}")
        + f", {by.id}; nothing of it was changed",
        code="ALREADY_FROZEN",
        remedy="Find out whose release goes on there. If that run is dead, have an administrator "
        "look at 'include administrators' and delete the ruleset; then run this again.",
    )
