"""Place the cards of a graph in lines and columns, and lead its wires around them.

Phases follow each other in lines of at most `COLUMNS` columns, as words do in a text; inside a line
every wire leads to the right. A wire that passes a column has a bend there, which takes room as a
card does, so that no wire runs below a card. All lengths are whole pixels; everything depends on
the order of the input alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean

COLUMNS = 7
CARD_WIDTH = 114
GAP = 26  # the least room between two columns
WIDEST = 214  # from column to column, where there are few
APART = 22  # between two cards of a column
BEND = 8  # the room a passing wire takes, and between it and a card
HEADING = 31  # the label of a band
FOOT = 16  # below the lowest card of a band
SIDE = 32  # outside of the outer columns
TRACK = 8  # between wires that run side by side
SWEEPS = 9  # odd: at the end, cards are level with what comes before them

Spot = tuple[str, int]
"""A card or a bend of its wires: the step's name, and the column."""
Links = Sequence[tuple[Spot, Spot]]


@dataclass
class Line:
    """Phases beside each other; `middles` are heights of spots from the top of the cards."""

    phases: list[str]
    starts: list[int]  # first column of each phase, and the end
    home: dict[str, int]
    links: list[tuple[Spot, Spot]]
    middles: dict[Spot, int] = field(default_factory=dict)
    height: int = 0
    top: int = 0
    pitch: int = 0

    def left(self, column: int) -> int:
        """Return the left side of a column's cards."""
        return SIDE + column * self.pitch

    @property
    def bottom(self) -> int:
        """Return the lower end of the bands."""
        return self.top + HEADING + self.height + FOOT

    @property
    def gutter(self) -> int:
        """Return the height at which wires to later lines begin to run."""
        return self.bottom + TRACK

    def way(self, one: str, name: str) -> list[Spot]:
        """Return the spots of the wire between two cards."""
        last = self.home[name]
        return [*((one, column) for column in range(self.home[one], last)), (name, last)]

    def y(self, spot: Spot) -> int:
        """Return the height of the middle of a card or bend."""
        return self.top + HEADING + self.middles[spot]


def lay_out(
    after: Mapping[str, Collection[str]], phases: Mapping[str, str], height: int, top: int
) -> list[Line]:
    """Place cards of one height below `top`.

    `after` is reduced and in topological order; a step's phase is that of the steps before it, or
    a later one.
    """
    lines = _lines(after, phases)
    for line in lines:
        _settle(line, height)
        wide = (full_width() - 2 * SIDE - CARD_WIDTH) // max(1, line.starts[-1] - 1)
        line.pitch = min(wide, WIDEST)
    _stack(lines, after, top)
    return lines


def full_width() -> int:
    """Return the width of the picture."""
    return 2 * SIDE + COLUMNS * CARD_WIDTH + (COLUMNS - 1) * GAP


def _lines(after: Mapping[str, Collection[str]], phases: Mapping[str, str]) -> list[Line]:
    """Distribute the phases to lines, the steps of each to columns by their longest path.

    A phase that has more columns than a line goes on in the next one.
    """
    lines: list[Line] = []
    for phase in dict.fromkeys(phases[name] for name in after):
        depth: dict[str, int] = {}
        for name in after:
            if phases[name] == phase:
                depth[name] = 1 + max([-1, *(depth[one] for one in after[name] if one in depth)])
        for first, end in pairwise(_cuts(depth, after)):
            part = {name: at - first for name, at in depth.items() if first <= at < end}
            _append(lines, phase, part)
    for line in lines:
        edges = [(one, name) for name in line.home for one in after[name] if one in line.home]
        steps = [pair for one, name in edges for pair in pairwise(line.way(one, name))]
        line.links = list(dict.fromkeys(steps))
    return lines


def _cuts(depth: Mapping[str, int], after: Mapping[str, Collection[str]]) -> list[int]:
    """Return where a phase begins, is cut and ends: where the wires of fewest steps are cut."""
    edges = [(one, name) for name in depth for one in after[name] if one in depth]
    cuts, end = [0], 1 + max(depth.values())

    def crossing(cut: int) -> int:
        return len({one for one, name in edges if depth[one] < cut <= depth[name]})

    while end - cuts[-1] > COLUMNS:
        longest = cuts[-1] + COLUMNS
        cuts.append(min(range(longest, longest - COLUMNS // 2, -1), key=crossing))
    return [*cuts, end]


def _append(lines: list[Line], phase: str, columns: dict[str, int]) -> None:
    """Put a phase, or a part of it, behind the last one, or in a new line."""
    wide = 1 + max(columns.values())
    if not lines or lines[-1].starts[-1] + wide > COLUMNS:
        lines.append(Line([], [0], {}, []))
    line = lines[-1]
    start = line.starts[-1]
    line.phases.append(phase)
    line.home |= {name: start + column for name, column in columns.items()}
    line.starts.append(start + wide)


# --- heights ----------------------------------------------------------------------------------


def _settle(line: Line, height: int) -> None:
    """Order the spots of each column and give them heights, close to what they are wired to."""
    spots = [(name, column) for name, column in line.home.items()]
    spots += [a for a, _ in line.links if a not in spots]
    spots = list(dict.fromkeys(spots))
    columns = [[s for s in spots if s[1] == number] for number in range(line.starts[-1])]
    columns = _untangled(columns, line.links)
    size = {spot: height if line.home[spot[0]] == spot[1] else 0 for spot in spots}
    middles: dict[Spot, float] = {}
    for column in columns:
        start = _offsets(column, size)
        middles |= {spot: y - start[-1] / 2 for spot, y in zip(column, start, strict=True)}
    near = _neighbours(line.links)
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            side = near[sweep % 2]
            wanted = [fmean([middles[n] for n in side[s]] or [middles[s]]) for s in column]
            middles |= zip(column, _apart(wanted, _offsets(column, size)), strict=True)
    upper = min(middles[spot] - size[spot] / 2 for spot in spots)
    line.middles = {spot: round(middles[spot] - upper) for spot in spots}
    line.height = max(line.middles[spot] + size[spot] // 2 for spot in spots)


def _neighbours(links: Links) -> tuple[dict[Spot, list[Spot]], dict[Spot, list[Spot]]]:
    before: dict[Spot, list[Spot]] = defaultdict(list)
    behind: dict[Spot, list[Spot]] = defaultdict(list)
    for a, b in links:
        before[b].append(a)
        behind[a].append(b)
    return before, behind


def _untangled(columns: list[list[Spot]], links: Links) -> list[list[Spot]]:
    """Return an order with few crossings: each column sorted by where its neighbours are."""
    best, fewest = columns, _crossings(columns, links)
    near = _neighbours(links)
    for sweep in range(SWEEPS):
        columns = [list(column) for column in columns]
        for number in range(len(columns)) if sweep % 2 == 0 else reversed(range(len(columns))):
            place = _places(columns)
            side = near[sweep % 2]
            key = {s: fmean([place[n] for n in side[s]] or [place[s]]) for s in columns[number]}
            columns[number].sort(key=key.__getitem__)
        if (found := _crossings(columns, links)) < fewest:
            best, fewest = columns, found
    return best


def _places(columns: list[list[Spot]]) -> dict[Spot, float]:
    return {s: (i + 0.5) / len(column) for column in columns for i, s in enumerate(column)}


def _crossings(columns: list[list[Spot]], links: Links) -> int:
    place = _places(columns)
    return sum(
        a[1] == c[1] and (place[a] - place[c]) * (place[b] - place[d]) < 0
        for number, (a, b) in enumerate(links)
        for c, d in links[:number]
    )


def _offsets(column: Sequence[Spot], size: Mapping[Spot, int]) -> list[float]:
    """Return the least heights of a column's spots below the first."""
    found = [0.0]
    for a, b in pairwise(column):
        between = APART if size[a] and size[b] else 2 * BEND if size[a] or size[b] else BEND
        found.append(found[-1] + (size[a] + size[b]) / 2 + between)
    return found


def _apart(wanted: list[float], offsets: list[float]) -> list[float]:
    """Return the heights closest to the wanted ones (least squares) with room between them."""
    blocks: list[tuple[float, int]] = []  # mean and number: pool adjacent violators
    for want, offset in zip(wanted, offsets, strict=True):
        mean, count = want - offset, 1
        while blocks and blocks[-1][0] > mean:
            other, more = blocks.pop()
            mean, count = (mean * count + other * more) / (count + more), count + more
        blocks.append((mean, count))
    flat = [mean for mean, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(flat, offsets, strict=True)]


def _stack(lines: list[Line], after: Mapping[str, Collection[str]], top: int) -> None:
    """Put the lines below each other, with room for the wires between them."""
    for number, line in enumerate(lines):
        line.top = top
        passing = len(passing_below(lines, after, number))
        top = line.gutter + TRACK * max(passing, number + 1 < len(lines))


def passing_below(
    lines: Sequence[Line], after: Mapping[str, Collection[str]], number: int
) -> list[str]:
    """Return the steps whose wires run below a line: they leave it, or come to the next."""
    at = {name: number for number, line in enumerate(lines) for name in line.home}
    edges = [(one, name) for name in after for one in after[name] if at[one] != at[name]]
    return [o for o in after if any(o == e[0] and number in {at[o], at[e[1]] - 1} for e in edges)]
