"""Lead the wires of a picture along the gaps between cards, without one hiding another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, permutations
from statistics import fmean

from relkit.graph.layout import CARD_WIDTH, GAP, TRACK, Line, Spot, passing_below

ARROW = 8
LEVEL = 12  # a step of fewer pixels than this is not worth two corners
MOST_PERMUTED = 6

Point = tuple[int, int]
Gap = tuple[int, int]
"""Number of the line, and of the column to the right of the gap."""


@dataclass
class Bus:
    """The vertical run of wires in a gap: all from one spot, or all into one."""

    inward: set[int] = field(default_factory=set)  # heights at which they come in, from the left
    outward: set[int] = field(default_factory=set)
    x: int = 0

    @property
    def span(self) -> tuple[int, int]:
        """Highest and lowest point."""
        both = self.inward | self.outward
        return min(both), max(both)


@dataclass
class Run:
    """One wire in one gap."""

    gap: Gap
    ends: tuple[Spot, Spot]
    heights: tuple[int, int]
    bus: Bus = field(default_factory=Bus)

    @property
    def points(self) -> list[Point]:
        """Its two corners."""
        return [(self.bus.x, y) for y in self.heights]


def wires(
    lines: Sequence[Line], after: Mapping[str, Collection[str]]
) -> dict[tuple[str, str], tuple[Point, ...]]:
    """Return the corner points of each wire, from the right of one card to the left of another."""
    at = {name: number for number, line in enumerate(lines) for name in line.home}
    passing = [passing_below(lines, after, number) for number in range(len(lines))]

    def track(number: int, name: str) -> int:
        return lines[number].gutter + TRACK * passing[number].index(name)

    runs: dict[tuple[str, str], list[Run]] = {}
    for name in after:
        for one in after[name]:
            first, last = lines[at[one]], lines[at[name]]
            if first is last:
                pairs = pairwise(first.way(one, name))
                runs[one, name] = [
                    Run((at[one], b[1]), (a, b), _heights(first, a, b)) for a, b in pairs
                ]
                continue
            start, end, below = (one, first.home[one]), (name, last.home[name]), (one, -1)
            leave = (first.y(start), track(at[one], one))
            arrive = (track(at[name] - 1, one), last.y(end))
            runs[one, name] = [
                Run((at[one], start[1] + 1), (start, below), leave),
                Run((at[name], end[1]), (below, end), arrive),
            ]
    _share([run for several in runs.values() for run in several], lines)
    return {edge: _points(lines, at, edge, several) for edge, several in runs.items()}


def _heights(line: Line, a: Spot, b: Spot) -> tuple[int, int]:
    """Return where a wire leaves one spot and reaches the next: level if nearly so.

    A card can be reached or left beside its middle, where no other wire joins.
    """
    out, into = line.y(a), line.y(b)
    if abs(out - into) <= LEVEL:
        if line.home[b[0]] == b[1] and [link[1] for link in line.links].count(b) == 1:
            return out, out
        if line.home[a[0]] == a[1] and [link[0] for link in line.links].count(a) == 1:
            return into, into
    return out, into


def _share(runs: list[Run], lines: Sequence[Line]) -> None:
    """Give each run its bus, and each bus its place in its gap."""
    leaving: dict[tuple[Gap, Spot], set[Spot]] = defaultdict(set)
    for run in runs:
        leaving[run.gap, run.ends[0]].add(run.ends[1])
    gaps: dict[Gap, dict[tuple[int, Spot], Bus]] = defaultdict(lambda: defaultdict(Bus))
    for run in runs:
        side = 0 if len(leaving[run.gap, run.ends[0]]) > 1 else 1
        run.bus = gaps[run.gap][side, run.ends[side]]
        run.bus.inward.add(run.heights[0])
        run.bus.outward.add(run.heights[1])
    for (number, column), buses in gaps.items():
        line = lines[number]
        left = line.left(column) - GAP if column == 0 else line.left(column - 1) + CARD_WIDTH
        right = line.left(column) if column < line.starts[-1] else left + GAP
        ordered = _ordered([bus for bus in buses.values() if len({*bus.span}) > 1])
        apart = min(TRACK, (right - ARROW - left) / (len(ordered) + 1))
        for place, bus in enumerate(ordered):
            bus.x = round((left + right - ARROW) / 2 + (place - (len(ordered) - 1) / 2) * apart)


def _ordered(buses: list[Bus]) -> tuple[Bus, ...]:
    """Return buses from left to right so that they hide and cross each other least."""
    if len(buses) <= MOST_PERMUTED:
        return min(permutations(buses), key=_cost)
    return tuple(sorted(buses, key=lambda bus: -fmean(bus.inward)))


def _cost(buses: Sequence[Bus]) -> int:
    cost = 0
    for number, left in enumerate(buses):
        for right in buses[number + 1 :]:
            near = [1 for a in left.outward for b in right.inward if abs(a - b) < TRACK // 2]
            cost += 100 * len(near)  # one would run on the other
            cost += sum(left.span[0] <= y <= left.span[1] for y in right.inward)
            cost += sum(right.span[0] <= y <= right.span[1] for y in left.outward)
    return cost


def _points(
    lines: Sequence[Line], at: Mapping[str, int], edge: tuple[str, str], runs: list[Run]
) -> tuple[Point, ...]:
    """Join the runs of a wire; between lines that do not follow each other it takes the margin."""
    (one, name), (first, last) = edge, (runs[0], runs[-1])
    start = lines[at[one]].left(lines[at[one]].home[one]) + CARD_WIDTH
    end = lines[at[name]].left(lines[at[name]].home[name])
    corners = [point for run in runs for point in run.points if len({*run.bus.span}) > 1]
    if at[name] > at[one] + 1:
        edge_x = TRACK
        corners[2:2] = [(edge_x, first.heights[1]), (edge_x, last.heights[0])]
    found: list[Point] = []
    for point in [(start, first.heights[0]), *corners, (end, last.heights[1])]:
        if len(found) > 1 and (
            found[-2][0] == found[-1][0] == point[0] or found[-2][1] == found[-1][1] == point[1]
        ):
            found.pop()
        if not found or found[-1] != point:
            found.append(point)
    return tuple(found)
