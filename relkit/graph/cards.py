"""What the picture of a run is drawn with: signs, cards, wires, and the looks of the states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

from relkit.graph.layout import CARD_WIDTH
from relkit.graph.traits import NO_WAY_BACK, OWN_MACHINE, Risk, hands_on, risks_of
from relkit.graph.wires import Point
from relkit.history import Status
from relkit.step import Step

MANAGER = "release-manager"

INK, SOFT, PAPER = "#1b2733", "#56636f", "#ffffff"
OWN, FOREIGN, STOP = "#e7ebf0", "#3d4f63", "#8c1d2f"
WIRE, WIRE_DONE = "#8996a3", "#22733f"

HEAD, LEADING, STRIP, FOOT = 17, 14, 16, 23  # parts of a card, in pixels
CUT = 9  # the corners of a gate
MIDDLE = CARD_WIDTH // 2
ROUND = 5  # the corners of a wire
RIM = 3.5  # between the two borders of a gate
SPARE = 1.25  # how much wider than Arial the fonts of a reader may be


class Look(NamedTuple):
    """How a state is drawn; `sign` is a path in a square of 10 pixels."""

    line: str
    fill: str
    sign: str
    meaning: str
    solid: bool = True
    now: bool = True
    """Whether somebody is to do something."""


LOOKS: dict[Status, Look] = {
    "pending": Look(
        "#66727e",
        PAPER,
        "M5 .5a4.5 4.5 0 1 0 .01 0z",
        "steps before it are open",
        solid=False,
        now=False,
    ),
    "ready": Look("#1a62b3", "#e1eeff", "M1.5 0 10 5 1.5 10z", "can be run now"),
    "decide": Look("#8a5a00", "#ffedb8", "M5 0 10 5 5 10 0 5z", "people are asked"),
    "waiting": Look("#6b3fa8", "#efe6fc", "M1 0H9L1 10H9z", "others have to deliver"),
    "begun": Look(
        "#0b6e7d",
        "#d9f3f6",
        "M5 .5a4.5 4.5 0 1 0 .01 0zM5 .5a4.5 4.5 0 0 1 0 9z",
        "its plan is carried out",
    ),
    "complete": Look(
        "#22733f", "#e2f4e6", "M.5 5.5 4 9 9.5 1", "done and read back", solid=False, now=False
    ),
}


class Card(NamedTuple):
    """A step as it is drawn."""

    step: Step[Any]
    number: int
    title: Sequence[str]
    state: Status
    about: str

    def draw(self, into: ET.Element, height: int) -> None:
        """Draw it with its upper left corner at the origin of `into`."""
        look, gate = LOOKS[self.state], self.gate
        own = self.step.where == OWN_MACHINE
        add(into, "title").text = self.about
        if gate:
            add(into, "path", d=outline(height, gate=gate, grow=RIM), fill=PAPER, stroke=look.line)
        shape = outline(height, gate=gate)
        add(into, "path", d=shape, fill=look.fill)
        add(into, "path", d=outline(height, gate=gate, head=True), fill=OWN if own else FOREIGN)
        thick = 2.4 if look.now else 1.2
        add(into, "path", d=shape, fill="none", stroke=look.line, stroke_width=thick)
        room = CARD_WIDTH - (18 if gate else 8)
        write(into, MIDDLE, 12.5, self.step.where, 10, room, fill=INK if own else PAPER)
        self._body(into, height)
        self._strip(into, height)
        self._foot(into, look, height)

    @property
    def gate(self) -> bool:
        """Whether people decide before it."""
        return self.step.gate is not None

    @property
    def rows(self) -> int:
        """The lines of its body."""
        return len(self.title) + (self.step.actor != MANAGER)

    def _body(self, into: ET.Element, height: int) -> None:
        room = height - HEAD - STRIP - FOOT
        y = HEAD + (room - self.rows * LEADING) / 2 + LEADING
        for row in self.title:
            write(into, MIDDLE, y, row, 12, CARD_WIDTH - 8, font_weight=600)
            y += LEADING
        if self.step.actor != MANAGER:
            write(into, MIDDLE, y, f"by {self.step.actor}", 10.5, CARD_WIDTH - 8, fill=SOFT)

    def _strip(self, into: ET.Element, height: int) -> None:
        """Draw the sources of risk, and what is handed on."""
        x, y = 6, height - FOOT - STRIP
        for risk in risks_of(self.step):
            mark(add(into, "g", transform=at(x, y + 3)), risk)
            x += 13
        if made := hands_on(self.step):
            room = CARD_WIDTH - x - 5
            words = write(into, CARD_WIDTH - 5, y + 12, f"→ {made}", 10, room, fill=INK)
            words.set("text-anchor", "end")

    def _foot(self, into: ET.Element, look: Look, height: int) -> None:
        sign(add(into, "g", transform=at(CUT, height - 17)), look)
        word = write(into, CUT + 15, height - 8, self.state, 11, 0, fill=look.line)
        word.attrib |= {"font-weight": "700", "text-anchor": "start"}
        number = write(into, CARD_WIDTH - CUT, height - 8, str(self.number), 10.5, 0, fill=SOFT)
        number.set("text-anchor", "end")
        if self.gate:  # on the lower border
            stop(add(into, "g", transform=at(MIDDLE - 20, height - 4)))


def mark(into: ET.Element, risk: Risk) -> None:
    """Draw the sign of a source of risk in a square of 10 pixels."""
    fill = STOP if risk is NO_WAY_BACK else INK
    shape = add(into, "path", d=risk.sign, fill=fill, fill_rule="evenodd")
    add(shape, "title").text = risk.name


def stop(into: ET.Element) -> None:
    """Write the word of a gate, with its upper left corner at the origin."""
    add(into, "rect", width=40, height=14, rx=3, fill=STOP)
    write(into, 20, 10.5, "GATE", 10, 0, fill=PAPER, font_weight=700)


def outline(height: int, *, gate: bool, head: bool = False, grow: float = 0) -> str:
    """Return the path of a card or of its head: rounded, or with cut corners for a gate."""
    right, low, upper = CARD_WIDTH + grow, HEAD if head else height + grow, -grow
    cut = CUT + grow * 0.6 if gate else 4
    across = right - upper - 2 * cut
    corner = f"l{cut:g} {-cut:g}" if gate else f"q0 {-cut:g} {cut:g} {-cut:g}"
    other = f"l{cut:g} {cut:g}" if gate else f"q{cut:g} 0 {cut:g} {cut:g}"
    path = f"M{upper:g} {upper + cut:g}{corner}h{across:g}{other}"
    if head:
        return f"{path}V{low:g}H{upper:g}z"
    third = f"l{-cut:g} {cut:g}" if gate else f"q0 {cut:g} {-cut:g} {cut:g}"
    fourth = f"l{-cut:g} {-cut:g}" if gate else f"q{-cut:g} 0 {-cut:g} {-cut:g}"
    return f"{path}V{low - cut:g}{third}H{upper + cut:g}{fourth}z"


def wire(into: ET.Element, points: Sequence[Point], about: str, *, done: bool) -> None:
    """Draw a wire with an arrow at its end, which comes from the left."""
    colour = WIRE_DONE if done else WIRE
    line = add(
        into,
        "path",
        d=" ".join(_bent(points)),
        fill="none",
        stroke=colour,
        stroke_width=2 if done else 1.5,
    )
    add(line, "title").text = about
    x, y = points[-1]
    add(into, "path", d=f"M{x} {y}l-7 -4v8z", fill=colour)


def _bent(points: Sequence[Point]) -> Iterable[str]:
    """Yield a path with rounded corners."""
    (x, y), *_, (end_x, end_y) = points
    yield f"M{x} {y}"
    for (before, corner), (_, behind) in pairwise(pairwise(points)):
        start, stop = _toward(corner, before), _toward(corner, behind)
        yield f"L{start[0]:g} {start[1]:g}Q{corner[0]} {corner[1]} {stop[0]:g} {stop[1]:g}"
    yield f"L{end_x - 4} {end_y}"  # the arrow's tip stays sharp


def _toward(corner: Point, other: Point) -> tuple[float, float]:
    along, down = other[0] - corner[0], other[1] - corner[1]
    length = abs(along) + abs(down)
    part = min(ROUND, length / 2) / length
    return corner[0] + along * part, corner[1] + down * part


# --- the least parts --------------------------------------------------------------------------


def add(into: ET.Element, tag: str, **attributes: object) -> ET.Element:
    """Add an element; attributes are spelled with underscores."""
    given = {name.replace("_", "-"): str(value) for name, value in attributes.items()}
    return ET.SubElement(into, tag, given)


def at(x: float, y: float) -> str:
    """Return the transformation that moves the origin."""
    return f"translate({x:g} {y:g})"


def write(
    into: ET.Element, x: float, y: float, text: str, size: float, room: int, **attributes: object
) -> ET.Element:
    """Write one line, centred; if a wide font could exceed `room`, the line's length is fixed."""
    found = add(into, "text", x=f"{x:g}", y=f"{y:g}", font_size=size, **attributes)
    found.set("text-anchor", "middle")
    length = size * sum(letter_width(letter) for letter in text)
    if room and length * SPARE > room:
        found.attrib |= {"textLength": f"{min(length, room):.0f}"}
        found.set("lengthAdjust", "spacingAndGlyphs")
    found.text = text
    return found


def left(
    into: ET.Element,
    x: float,
    y: float,
    text: str,
    size: float,
    room: int = 0,
    **attributes: object,
) -> ET.Element:
    """Write one line that begins at `x`."""
    found = write(into, x, y, text, size, room, **attributes)
    found.set("text-anchor", "start")
    return found


def letter_width(letter: str) -> float:
    """Return about how wide a letter of Arial is, by the size of the font."""
    widths = {0.25: "ijl.,:;'|!", 0.32: 'ftrI ()[]-/"', 0.86: "mwMW@"}
    for width, letters in widths.items():
        if letter in letters:
            return width
    return 0.69 if letter.isupper() else 0.56


def sign(into: ET.Element, look: Look) -> None:
    """Draw the sign of a state in a square of 10 pixels."""
    fill = look.line if look.solid else "none"
    add(
        into,
        "path",
        d=look.sign,
        fill=fill,
        fill_rule="evenodd",
        stroke=look.line,
        stroke_width=1.2 if look.solid else 1.8,
        stroke_linejoin="round",
    )
