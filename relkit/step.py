"""How a step is declared.

A step is one function of `(release, world, results)` that reads and yields what it would do; it
changes nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, Generic, TypeVar, cast

from relkit.kinds import RELEASES, Kind
from relkit.plan import Plan, PlanData, plan_data
from relkit.ports import World
from relkit.release import Release
from relkit.values import Json, Value

R = TypeVar("R", bound=Value)


class Nothing(Value):
    """The result of a step that hands nothing on."""


Planner = Callable[[Release, World, "Results"], Plan]


@dataclass(frozen=True, eq=False)
class Step(Generic[R]):
    """A named part of a release, planned by one function.

    `where` names the machine whose state it changes, `actor` the role that answers for it; both
    are drawn in the picture of the run. What an `irreversible` step has begun is never undone: a
    respin from before it is refused.
    """

    name: str
    planner: Planner
    kinds: Collection[Kind]
    after: tuple[Step[Any], ...]
    gate: str | None
    returns: type[R]
    phase: str
    where: str
    actor: str
    irreversible: bool = False

    @property
    def title(self) -> str:
        """The heading of its section: the first line of the docstring."""
        return inspect.cleandoc(self.planner.__doc__ or "").partition("\n")[0].rstrip(".")

    @property
    def prose(self) -> str:
        """The text of its section: the rest of the docstring, Markdown."""
        return inspect.cleandoc(self.planner.__doc__ or "").partition("\n\n")[2]

    def plan(self, release: Release, world: World, results: Results, revision: int) -> PlanData:
        """Plan now, and return the plan as data."""
        items = self.planner(release, world, results)
        return plan_data(release.name, revision, self.name, world, items)


class Results(Mapping[Step[Any], Value]):
    """The recorded results of completed steps, by step, each in its own type."""

    def __init__(self, recorded: Mapping[str, Json]) -> None:
        self._recorded = recorded

    def __getitem__(self, step: Step[R]) -> R:
        return step.returns.model_validate(self._recorded[step.name])

    def __iter__(self) -> Iterator[Step[Any]]:
        return iter(STEPS[name] for name in self._recorded)

    def __len__(self) -> int:
        return len(self._recorded)


STEPS: dict[str, Step[Any]] = {}
"""All declared steps by name, in the order of declaration."""


def step(  # noqa: PLR0913 (keywords of a declaration)
    *,
    phase: str,
    where: str,
    after: Collection[Step[Any]] = (),
    gate: str | None = None,
    returns: type[R] | None = None,
    kinds: Collection[Kind] = RELEASES,
    actor: str = "release-manager",
    irreversible: bool = False,
) -> Callable[[Planner], Step[R]]:
    """Declare the decorated planning function as a step; its docstring is the section's prose."""

    def declare(planner: Planner) -> Step[R]:
        name = planner.__name__.replace("_", "-")
        if name in STEPS:
            raise TypeError(f"two steps are called {name}")
        kind = returns or cast("type[R]", Nothing)
        declared = Step(
            *(name, planner, kinds, tuple(after), gate, kind, phase, where, actor, irreversible)
        )
        STEPS[name] = declared
        return declared

    return declare


def steps_of(kind: Kind) -> tuple[Step[Any], ...]:
    """Return the steps of a kind in a topological order that keeps the order of declaration."""
    chosen = [one for one in STEPS.values() if kind in one.kinds]
    graph: TopologicalSorter[Step[Any]] = TopologicalSorter(
        {one: needed(one, kind) for one in chosen}
    )
    graph.prepare()
    place = {one: number for number, one in enumerate(chosen)}
    ordered: list[Step[Any]] = []
    ready = list(graph.get_ready())
    while ready:
        first = min(ready, key=place.__getitem__)
        ready.remove(first)
        ordered.append(first)
        graph.done(first)
        ready.extend(graph.get_ready())
    return tuple(ordered)


def needed(one: Step[Any], kind: Kind) -> set[Step[Any]]:
    """Return the steps of `kind` that must be complete before `one`, passing over other kinds'."""
    found: set[Step[Any]] = set()
    for before in one.after:
        found |= {before} if kind in before.kinds else needed(before, kind)
    return found
