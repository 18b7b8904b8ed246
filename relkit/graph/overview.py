"""The release at one look: a lane for each zone of trust, a slot for each step, what goes between.

From left to right the steps in their order; each stands in the lane of the machine it changes.
An arrow crosses the boundary of two zones where something is handed over, and says what.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from textwrap import wrap
from typing import NamedTuple
from xml.etree import ElementTree as ET

from relkit.graph.cards import (
    INK,
    LOOKS,
    MANAGER,
    PAPER,
    SOFT,
    STOP,
    Card,
    add,
    at,
    left,
    letter_width,
    mark,
    sign,
    write,
)
from relkit.graph.traits import BUILD, OWN, PROJECT, PUBLIC, ZONES, Risk, Zone, risks_of, zone_of

NAMES = 158  # width of what stands left of the slots
HEADING = 24  # the names of the phases
CHIP = 27  # height of a chip
WIDEST = 54  # a slot
ROW = 13  # a line of labels
MARK = 12
TIP = 5  # of an arrow, between a chip and its label
PAD = 8
SIZE = 10  # of a label's font
LANES = ("#f3f5f8", "#e9f0f8", "#f3f5f8", "#f8f0f2", "#f3f5f8")
BOUNDARY, FLOW, FLOWN, THREAD = "#8c1d2f", "#56636f", "#22733f", "#d3dae2"


class Flow(NamedTuple):
    """What goes from one zone to another, by which steps."""

    words: str
    source: Zone
    target: Zone
    steps: tuple[str, ...]


FLOWS = (
    Flow("frozen head", PROJECT, OWN, ("make-clone",)),
    Flow("commit, signed tag", OWN, BUILD, ("push-to-fork",)),
    Flow("commit id", OWN, BUILD, ("start-builds",)),
    Flow(
        "files, by digest",
        BUILD,
        OWN,
        (
            *("collect-source", "collect-docs", "collect-windows", "collect-macos"),
            *("collect-mobile", "collect-late"),
        ),
    ),
    Flow(
        "green lights",
        BUILD,
        OWN,
        (
            *("approve-windows", "approve-macos", "approve-docs"),
            *("approve-late-windows", "approve-late-macos"),
        ),
    ),
    Flow("signatures", OWN, OWN, ("sign-artifacts", "sign-late")),
    Flow("manifest", OWN, OWN, ("close-manifest", "close-amendment")),
    Flow("files in staging", OWN, PUBLIC, ("upload-to-staging", "upload-late")),
    Flow("draft page", OWN, PUBLIC, ("draft-website",)),
    Flow("public files", OWN, PUBLIC, ("place-files", "unpack-docs", "place-late")),
    Flow("public page", OWN, PUBLIC, ("fill-website", "publish-website", "show-late")),
    Flow("read back", PUBLIC, OWN, ("read-back", "read-back-late")),
    Flow("branch, tag", OWN, PROJECT, ("push-upstream",)),
    Flow("posts", PUBLIC, OWN, ("confirm-announcements",)),
    Flow("stranger's look", PUBLIC, OWN, ("verify-as-stranger",)),
    Flow("unlocked", OWN, PROJECT, ("open-branch",)),
    Flow("pointers", OWN, PUBLIC, ("move-current-links", "supersede-pages")),
    Flow("tag for branch", OWN, PROJECT, ("delete-branch",)),
    Flow("protection", OWN, PROJECT, ("restrict-branch",)),
    Flow("status", OWN, PROJECT, ("set-status",)),
)
"""What a visitor should see handed over; other steps get an arrow without words."""
INWARD = frozenset({"check-blockers", "check-buildbots", "look-at-issues"})
"""Steps without words that only look: their arrow leads to the release manager."""


@dataclass
class Lane:
    """A zone as it is drawn: its cards, the height of its middle, its labels in rows."""

    zone: Zone
    cards: list[Card]
    top: int = 0
    marks: int = 0
    rows: list[list[tuple[float, float]]] = field(default_factory=list)
    labels: list[tuple[float, int, str]] = field(default_factory=list)

    @property
    def chips(self) -> int:
        """The upper side of the chips."""
        return self.top + PAD + self.marks * MARK

    @property
    def height(self) -> int:
        """The whole height: what stands in it, and at least its name."""
        return max(62, 2 * PAD + self.marks * MARK + CHIP + TIP + len(self.rows) * ROW)

    def place(self, middle: float, words: str, low: float, high: float) -> None:
        """Put a label below the chips, in the first row where it has room."""
        wide = SIZE * sum(map(letter_width, words)) + 8
        middle = min(max(middle, low + wide / 2), high - wide / 2)
        span = middle - wide / 2, middle + wide / 2
        free = [all(span[1] <= a or span[0] >= b for a, b in row) for row in self.rows]
        number = free.index(True) if True in free else len(self.rows)
        if number == len(self.rows):
            self.rows.append([])
        self.rows[number].append(span)
        self.labels.append((middle, number, words))


@dataclass
class Overview:
    """The lanes of the cards of a kind, in a picture of some width, below `top`."""

    cards: Sequence[Card]
    width: int
    top: int

    def __post_init__(self) -> None:
        """Give each lane its place."""
        self.lanes = [
            Lane(zone, cards)
            for zone in ZONES
            if (cards := [card for card in self.cards if zone_of(card.step) is zone])
        ]
        self.slot = min(WIDEST, (self.width - NAMES - 16) / len(self.cards))
        self.flows = [flow for flow in FLOWS if self._carried(flow)]
        top = self.top + HEADING
        for lane in self.lanes:
            lane.top = top
            lane.marks = max(map(len, (_marks(card) for card in lane.cards)))
            for flow in self.flows:
                if _outer(flow) is lane.zone:
                    self._label(lane, flow)
            top += lane.height
        self.bottom = top

    def draw(self, into: ET.Element) -> None:
        """Draw lanes, then arrows, then chips and words upon them."""
        for lane in self.lanes:
            self._lane(into, lane)
        self._boundaries(into)
        self._phases(into)
        for lane in self.lanes:
            for card in lane.cards:
                self._arrow(into, lane, card)
        for lane in self.lanes:
            for card in lane.cards:
                self._chip(into, lane, card)
            self._labels(into, lane)

    # --- places -----------------------------------------------------------------------------

    def x(self, number: float) -> float:
        """Return the middle of a step's slot."""
        return NAMES + 8 + (number - 0.5) * self.slot

    def _carried(self, flow: Flow) -> list[Card]:
        zones = (flow.source, flow.target)
        found = [card for card in self.cards if card.step.name in flow.steps]
        return found if {one.zone for one in self.lanes} >= set(zones) else []

    def _label(self, lane: Lane, flow: Flow) -> None:
        places = [self.x(card.number) for card in self._carried(flow)]
        middle = (places[0] + places[-1]) / 2
        lane.place(middle, flow.words, NAMES, self.width - 8)

    def _lane_of(self, zone: Zone) -> Lane | None:
        return next((lane for lane in self.lanes if lane.zone is zone), None)

    # --- drawing ----------------------------------------------------------------------------

    def _lane(self, into: ET.Element, lane: Lane) -> None:
        shape = {"width": self.width - 16, "height": lane.height}
        add(into, "rect", x=8, y=lane.top, fill=LANES[ZONES.index(lane.zone)], **shape)
        line = f"M{self.x(0.5):g} {lane.chips + CHIP // 2}H{self.x(len(self.cards) + 0.5):g}"
        add(into, "path", d=line, stroke=THREAD)
        y = lane.top + 17
        left(into, 16, y, lane.zone.name, 12.5, NAMES - 14, font_weight=700)
        for row in wrap(_inhabitants(lane.cards), 30)[: (lane.height - 24) // 12]:
            y += 12
            left(into, 16, y, row, 10, NAMES - 14, fill=SOFT)

    def _boundaries(self, into: ET.Element) -> None:
        """Draw where trust ends: between every two lanes."""
        for lane in self.lanes[1:]:
            line = f"M8 {lane.top}H{self.width - 8}"
            add(into, "path", d=line, stroke=BOUNDARY, stroke_width=1.2, stroke_dasharray="6 4")

    def _phases(self, into: ET.Element) -> None:
        for phase, cards in groupby(self.cards, key=lambda card: card.step.phase):
            numbers = [card.number for card in cards]
            start, end = self.x(numbers[0] - 0.5), self.x(numbers[-1] + 0.5)
            add(into, "path", d=f"M{start:g} {self.top + 6}V{self.bottom}", stroke=THREAD)
            room = int(end - start - 6)
            left(into, start + 4, self.top + 16, phase, 11.5, room, font_weight=700, fill=SOFT)

    def _arrow(self, into: ET.Element, lane: Lane, card: Card) -> None:
        """Draw what crosses boundaries between the release manager and the lane of a step."""
        flow = next((one for one in self.flows if card.step.name in one.steps), None)
        other = flow and next((z for z in flow[1:3] if z is not lane.zone), None)
        target = self._lane_of(other or OWN)
        if target is None or target is lane:
            return
        inward = flow.target is OWN if flow else card.step.name in INWARD
        chip, line = _sides(lane, target, len(_marks(card)))
        start, end = (line, chip) if (inward is (lane.zone is OWN)) else (chip, line)
        x, done = self.x(card.number), card.state == "complete"
        colour = FLOWN if done else FLOW
        width = 2 if done else 1.4
        add(into, "path", d=f"M{x:g} {start}V{end}", stroke=colour, stroke_width=width)
        tip = -5 if end > start else 5
        add(into, "path", d=f"M{x:g} {end}l-3.5 {tip}h7z", fill=colour)

    def _chip(self, into: ET.Element, lane: Lane, card: Card) -> None:
        look, wide = LOOKS[card.state], min(22.0, self.slot - 2.4)
        box = add(into, "g", transform=at(self.x(card.number) - wide / 2, lane.chips))
        add(box, "title").text = f"{card.number} {card.step.title}: {card.state}"
        line = STOP if card.gate else look.line
        thick = 2.2 if card.gate or look.now else 1.1
        shape = {"fill": look.fill, "stroke": line, "stroke_width": thick}
        add(box, "rect", width=f"{wide:g}", height=CHIP, rx=0 if card.gate else 4, **shape)
        write(box, wide / 2, 11.5, str(card.number), 9.5, int(wide), font_weight=700, fill=INK)
        sign(add(box, "g", transform=f"{at(wide / 2 - 4, 15)} scale(.8)"), look)
        for number, risk in enumerate(_marks(card)):
            mark(add(box, "g", transform=at(wide / 2 - 5, -MARK * (number + 1))), risk)

    def _labels(self, into: ET.Element, lane: Lane) -> None:
        for middle, row, words in lane.labels:
            y = lane.chips + CHIP + TIP + 10 + row * ROW
            wide = SIZE * sum(map(letter_width, words)) + 4
            back = {"x": f"{middle - wide / 2:g}", "width": f"{wide:g}", "height": ROW - 1}
            add(into, "rect", y=y - 9.5, fill=PAPER, fill_opacity=0.85, rx=2, **back)
            write(into, middle, y, words, SIZE, int(wide), font_weight=600)


def _sides(lane: Lane, target: Lane, marks: int) -> tuple[int, int]:
    """Return where an arrow meets a chip with some marks, and where it ends in the other lane."""
    line = target.chips + CHIP // 2
    return (lane.chips + CHIP if target.top > lane.top else lane.chips - marks * MARK), line


def _marks(card: Card) -> tuple[Risk, ...]:
    return risks_of(card.step)


def _outer(flow: Flow) -> Zone:
    return flow.source if flow.target is OWN else flow.target


def _inhabitants(cards: Collection[Card]) -> str:
    """Return the machines of a lane, and who answers there."""
    machines = dict.fromkeys(card.step.where for card in cards)
    actors = dict.fromkeys(card.step.actor for card in cards if card.step.actor != MANAGER)
    return ", ".join(machines) + (f"; {', '.join(actors)}" if actors else "")
