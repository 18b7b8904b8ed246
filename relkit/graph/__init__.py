"""The picture of a run: its steps, what comes after what, and how each of them stands.

One SVG without scripts, style sheets, ids or anything from elsewhere, so that it can stand in a
notebook, in a page and in a record, several times in each. Colours are never alone: each state has
a sign and a word, a gate has another outline and a word, another machine has its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from textwrap import wrap
from typing import Any
from xml.etree import ElementTree as ET

import relkit.steps  # noqa: F401 (declares the steps)
from relkit.graph.cards import (
    FOOT,
    FOREIGN,
    HEAD,
    INK,
    LEADING,
    LOOKS,
    MANAGER,
    OWN,
    PAPER,
    SOFT,
    STRIP,
    Card,
    add,
    at,
    left,
    mark,
    sign,
    stop,
    wire,
)
from relkit.graph.layout import CARD_WIDTH, Line, full_width, lay_out
from relkit.graph.overview import BOUNDARY, Overview
from relkit.graph.traits import RISKS, hands_on, risks_of, zone_of
from relkit.graph.wires import wires
from relkit.history import Status
from relkit.kinds import AMENDMENTS, RELEASES, Kind
from relkit.step import Step, needed, steps_of

FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
BAND, RULE = "#f3f5f8", "#d5dbe2"
LETTERS = 16  # in a line of a title
LEGEND = 130  # height of what stands above the overview
EDGE = 8

Edges = Mapping[str, Sequence[str]]


def draw(kind: Kind, status: Mapping[str, Status]) -> str:
    """Return the SVG of the steps of a kind, about 1,000 pixels wide.

    `status` is by the steps' names; steps it does not name are drawn as pending, so that an empty
    one gives the picture of the recipe.
    """
    cards = [_card(number, one, status) for number, one in enumerate(steps_of(kind), 1)]
    after = edges(kind)
    height = HEAD + max(card.rows for card in cards) * LEADING + STRIP + FOOT
    overview = Overview(cards, full_width(), LEGEND)
    phases = {card.step.name: card.step.phase for card in cards}
    lines = lay_out(after, phases, height, overview.bottom + 2 * EDGE)
    root = _sheet(kind, full_width(), lines[-1].bottom + EDGE)
    _describe(root, kind, cards)
    _legend(root, kind, cards)
    overview.draw(root)
    for line in lines:
        _bands(root, line, cards)
    _wires(root, lines, after, cards)
    places = {name: (line, (name, column)) for line in lines for name, column in line.home.items()}
    for card in cards:
        line, spot = places[card.step.name]
        corner = at(line.left(spot[1]), line.y(spot) - height // 2)
        card.draw(add(root, "g", transform=corner), height)
    return ET.tostring(root, encoding="unicode")


def as_text(kind: Kind, status: Mapping[str, Status]) -> str:
    """Return the same facts as lines: number, phase, step, state, and what else is drawn."""
    after = edges(kind)
    steps = steps_of(kind)
    table = [
        (str(number), one.phase, one.name, status.get(one.name, "pending"))
        for number, one in enumerate(steps, 1)
    ]
    wide = [max(map(len, column)) for column in zip(*table, strict=True)]
    found = []
    for row, one in zip(table, steps, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, wide, strict=True)]
        found.append("  ".join([row[0].rjust(wide[0]), *cells[1:], _facts(one, after[one.name])]))
    return "\n".join(found) + "\n"


def edges(kind: Kind) -> Edges:
    """Return for each step of a kind, in order, the steps right before it.

    An edge that follows from others is left out.
    """
    above: dict[str, set[str]] = {}
    kept = {}
    for one in steps_of(kind):
        before = {other.name for other in needed(one, kind)}
        implied = set[str]().union(*(above[name] for name in before))
        kept[one.name] = tuple(name for name in above if name in before - implied)
        above[one.name] = before | implied
    return kept


def _card(number: int, one: Step[Any], status: Mapping[str, Status]) -> Card:
    state = status.get(one.name, "pending")
    about = f"{number} {one.name}: {state}; {_facts(one, ())}"
    return Card(one, number, wrap(one.title, LETTERS), state, about)


def _facts(one: Step[Any], after: Sequence[str]) -> str:
    facts = {
        "where": one.where,
        "zone": zone_of(one).name,
        "gate": one.gate,
        "by": None if one.actor == MANAGER else one.actor,
        "risk": ", ".join(risk.name for risk in risks_of(one)),
        "hands on": hands_on(one),
        "after": ", ".join(after),
    }
    return "; ".join(f"{name}: {value}" for name, value in facts.items() if value)


# --- the sheet --------------------------------------------------------------------------------


def _sheet(kind: Kind, width: int, height: int) -> ET.Element:
    """Return an empty sheet; it is white by itself, whatever page it stands in."""
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img"})
    root.attrib |= {
        "aria-label": _heading(kind),
        "width": str(width),
        "height": str(height),
        "viewBox": f"0 0 {width} {height}",
        "style": "max-width: 100%; height: auto",
        "font-family": FONT,
        "fill": INK,
    }
    return root


def _heading(kind: Kind) -> str:
    if kind in AMENDMENTS:
        return "The amendment of a release"
    return f"CPython {kind} release" if kind in RELEASES else f"The transition {kind}"


def _describe(root: ET.Element, kind: Kind, cards: Sequence[Card]) -> None:
    add(root, "title").text = _heading(kind)
    counts = Counter(card.state for card in cards)
    said = ", ".join(f"{counts[word]} {word}" for word in LOOKS if counts[word])
    now = [f"{card.step.name} ({card.state})" for card in cards if LOOKS[card.state].now]
    add(root, "desc").text = f"{len(cards)} steps: {said}. Now: {', '.join(now) or 'nothing'}."
    add(root, "rect", width=root.get("width"), height=root.get("height"), fill=PAPER)


def _legend(root: ET.Element, kind: Kind, cards: Sequence[Card]) -> None:
    right = int(root.attrib["width"]) - EDGE
    done = sum(card.state == "complete" for card in cards)
    left(root, EDGE, 26, _heading(kind), 19, font_weight=700)
    counted = left(root, right, 26, f"{done} of {len(cards)} complete", 14, font_weight=600)
    counted.set("text-anchor", "end")
    wide = right // len(LOOKS)
    for number, (word, look) in enumerate(LOOKS.items()):
        box = add(root, "g", transform=at(EDGE + number * wide, 40))
        shape = {"fill": look.fill, "stroke": look.line, "stroke_width": 2 if look.now else 1.2}
        add(box, "rect", width=wide - EDGE, height=34, rx=4, **shape)
        sign(add(box, "g", transform=at(8, 6)), look)
        left(box, 24, 15, word, 11, font_weight=700, fill=look.line)
        left(box, 24, 28, look.meaning, 10.5, room=wide - 40)
    _explain(add(root, "g", transform=at(EDGE, 84)))


def _explain(into: ET.Element) -> None:
    """Draw what heads, outlines, arrows and marks mean; the lengths fit also a wide font."""
    add(into, "rect", y=3, width=34, height=14, rx=3, fill=OWN)
    left(into, 41, 14, "on the release manager's machine", 10.5, room=195)
    add(into, "rect", x=246, y=3, width=34, height=14, rx=3, fill=FOREIGN)
    left(into, 287, 14, "on another machine, named", 10.5, room=160)
    stop(add(into, "g", transform=at(458, 3)))
    left(into, 505, 14, "people decide before it", 10.5, room=118)
    wire(into, [(632, 10), (666, 10)], "what an arrow means", done=False)
    left(into, 673, 14, "comes after; green: is done", 10.5, room=140)
    line = {"d": "M822 10H856", "stroke": BOUNDARY, "stroke_dasharray": "6 4"}
    add(into, "path", stroke_width=1.2, **line)
    left(into, 863, 14, "a boundary of trust", 10.5, room=110)
    for x, room, risk in zip((0, 262, 458, 702), (238, 172, 220, 240), RISKS, strict=True):
        mark(add(into, "g", transform=at(x, 25)), risk)
        left(into, x + 16, 34, f"{risk.name}: {risk.meaning}", 10.5, room=room)


def _bands(root: ET.Element, line: Line, cards: Sequence[Card]) -> None:
    """Draw the backgrounds of the phases of a line; the outer ones reach to the edges."""
    beside = (line.pitch - CARD_WIDTH) // 2 - 2
    sides = [line.left(start) - beside for start in line.starts]
    first = {card.step.phase: card.step.name for card in reversed(cards)}
    sides[0], sides[-1] = EDGE, int(root.attrib["width"]) - EDGE + 4
    for phase, start, (near, far) in zip(line.phases, line.starts, pairwise(sides), strict=False):
        shape = {"width": far - near - 4, "height": line.bottom - line.top}
        add(root, "rect", x=near, y=line.top, rx=6, fill=BAND, stroke=RULE, **shape)
        label = left(root, line.left(start), line.top + 21, phase, 15, font_weight=700, fill=SOFT)
        states = [card.state for card in cards if card.step.phase == phase]
        rest = f"{states.count('complete')} of {len(states)}"
        rest = rest if first[phase] in line.home else "continued"
        add(label, "tspan", dx=8, font_size=11, font_weight=400).text = rest


def _wires(root: ET.Element, lines: Sequence[Line], after: Edges, cards: Sequence[Card]) -> None:
    """Draw the wires; those of complete steps lie above the others."""
    complete = {card.step.name: card.state == "complete" for card in cards}
    gates = {card.step.name for card in cards if card.gate}
    drawn = wires(lines, after)
    for one, name in sorted(drawn, key=lambda edge: complete[edge[0]]):
        *points, (x, y) = drawn[one, name]
        points.append((x - 4 if name in gates else x, y))
        wire(root, points, f"{one} → {name}", done=complete[one])
