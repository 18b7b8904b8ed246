"""The picture of a run shows every step and edge once, in words, and nothing hides anything."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from itertools import combinations, pairwise
from types import FunctionType
from typing import cast, get_args
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit.graph import as_text, draw, edges
from relkit.graph.cards import LOOKS, letter_width
from relkit.graph.layout import CARD_WIDTH, HEADING, Line, full_width, lay_out
from relkit.graph.overview import FLOWS
from relkit.graph.traits import (
    FOREIGN,
    HANDS_ON,
    KEY,
    MANUAL,
    NO_WAY_BACK,
    OWN,
    RISKS,
    ZONES,
    calls,
    hands_on,
    risks_of,
    zone_of,
)
from relkit.graph.wires import Point, wires
from relkit.history import Status
from relkit.kinds import Kind
from relkit.plan import Plan
from relkit.ports import World
from relkit.release import Release
from relkit.step import STEPS, Results, needed, step, steps_of

SVG = "{http://www.w3.org/2000/svg}"
HEIGHT = 80
KINDS = sorted(Kind)
NAMES = [one.name for one in steps_of(Kind.ALPHA)]
MIXED: dict[str, Status] = {name: get_args(Status)[number % 6] for number, name in enumerate(NAMES)}


def tree(kind: Kind, status: Mapping[str, Status]) -> ET.Element:
    return ET.fromstring(draw(kind, status))  # noqa: S314 (our own picture)


def texts(root: ET.Element) -> list[str]:
    return ["".join(one.itertext()) for one in root.iter(f"{SVG}text")]


def cards(root: ET.Element) -> dict[str, ET.Element]:
    """Return the groups that are cards, by the name of the step."""
    found = {}
    for group in root.iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        if title is not None and "; where: " in (title.text or ""):
            found[(title.text or "").split()[1].rstrip(":")] = group
    return found


def chips(root: ET.Element) -> list[ET.Element]:
    """Return the groups that stand for steps in the overview."""
    found = [(one, one.find(f"{SVG}title")) for one in root.iter(f"{SVG}g")]
    titles = [(one, title.text or "") for one, title in found if title is not None]
    return [one for one, title in titles if title[0].isdigit() and "; where: " not in title]


# --- the picture ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_is_drawn_with_number_title_and_machine(kind: Kind) -> None:
    drawn = cards(tree(kind, {}))
    for number, one in enumerate(steps_of(kind), 1):
        words = texts(drawn[one.name])
        where, *title = words[: words.index("pending")]
        assert where == one.where
        assert " ".join(title).startswith(one.title)
        assert str(number) in words
    assert len(drawn) == len(steps_of(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_every_edge_is_drawn_once(kind: Kind) -> None:
    titles = [one.text or "" for one in tree(kind, {}).iter(f"{SVG}title")]
    drawn = sorted(title for title in titles if "→" in title)
    assert drawn == sorted(f"{a} → {b}" for b, before in edges(kind).items() for a in before)


@pytest.mark.parametrize("kind", KINDS)
def test_edges_say_the_same_as_the_steps(kind: Kind) -> None:
    above: dict[str, set[str]] = {}
    for name, before in edges(kind).items():
        above[name] = set(before).union(*(above[one] for one in before))
    for one in steps_of(kind):
        assert {other.name for other in needed(one, kind)} <= above[one.name]


def test_every_phase_has_a_band_with_its_progress() -> None:
    words = texts(tree(Kind.ALPHA, dict.fromkeys(NAMES[:3], "complete")))
    phases = dict.fromkeys(one.phase for one in steps_of(Kind.ALPHA))
    many = [one.phase for one in steps_of(Kind.ALPHA)].count("Prepare")
    assert f"Prepare3 of {many}" in words
    assert all(any(word.startswith(phase) for word in words) for phase in phases)


def test_a_state_is_a_word_and_a_sign_not_only_a_colour() -> None:
    drawn = cards(tree(Kind.ALPHA, MIXED))
    for name, state in MIXED.items():
        assert state in texts(drawn[name])
    signs = {look.sign for look in LOOKS.values()}
    assert len(signs) == len(LOOKS) == len(get_args(Status))
    for name, state in MIXED.items():
        paths = {one.get("d") for one in drawn[name].iter(f"{SVG}path")}
        assert LOOKS[state].sign in paths


def test_a_gate_has_the_word_another_outline_and_two_borders() -> None:
    drawn = cards(tree(Kind.ALPHA, {}))
    outlines = {}
    for one in steps_of(Kind.ALPHA):
        gate = one.gate is not None
        assert ("GATE" in texts(drawn[one.name])) is gate
        outlines[gate] = [path.get("d") for path in drawn[one.name].findall(f"{SVG}path")]
    assert len(outlines[True]) == len(outlines[False]) + 1
    assert not set(outlines[True]) & set(outlines[False])


def test_who_answers_is_named_where_it_is_not_the_release_manager() -> None:
    drawn = cards(tree(Kind.ALPHA, {}))
    for one in steps_of(Kind.ALPHA):
        named = [word for word in texts(drawn[one.name]) if word.startswith("by ")]
        assert one.actor != "release-manager" or one.actor not in texts(drawn[one.name])
        assert named == ([] if one.actor == "release-manager" else [f"by {one.actor}"])


def test_no_line_of_a_card_is_wider_than_the_card() -> None:
    for card in cards(tree(Kind.ALPHA, MIXED)).values():
        for line in card.iter(f"{SVG}text"):
            width = sum(map(letter_width, line.text or "")) * float(line.attrib["font-size"])
            assert float(line.get("textLength", width)) < CARD_WIDTH - 6


def test_the_legend_explains_each_state() -> None:
    words = texts(tree(Kind.ALPHA, {}))
    for state, look in LOOKS.items():
        assert state in words
        assert look.meaning in words


def test_readers_without_eyes_get_title_and_description() -> None:
    root = tree(Kind.ALPHA, {"preflight": "complete", "check-blockers": "waiting"})
    assert root.get("role") == "img"
    assert [child.tag for child in root][:2] == [f"{SVG}title", f"{SVG}desc"]
    assert root[1].text == (
        f"{len(NAMES)} steps: {len(NAMES) - 2} pending, 1 waiting, 1 complete. "
        "Now: check-blockers (waiting)."
    )


def test_it_is_white_by_itself_about_a_thousand_pixels_wide() -> None:
    root = tree(Kind.ALPHA, {})
    paper = root[2]
    assert (paper.tag, paper.get("fill")) == (f"{SVG}rect", "#ffffff")
    assert (paper.get("width"), paper.get("height")) == (root.get("width"), root.get("height"))
    assert 900 < int(root.attrib["width"]) < 1050


def test_it_loads_nothing_runs_nothing_and_leaves_the_page_around_it_alone() -> None:
    text = draw(Kind.ALPHA, MIXED)
    assert text.count("http") == 1  # the name space
    for word in ("href", "url(", "@import", "javascript", "data:", "<!", "<?"):
        assert word not in text
    root = tree(Kind.ALPHA, MIXED)
    assert {one.tag.removeprefix(SVG) for one in root.iter()} == {
        "svg", "title", "desc", "g", "rect", "path", "text", "tspan",
    }  # fmt: skip
    names = {name for one in root.iter() for name in one.attrib}
    assert not names & {"id", "class", "onload", "onclick"}


def test_titles_are_escaped(toy_steps: None) -> None:
    del toy_steps

    @step(phase="Show", where='<here> & "there"')
    def strange(_release: Release, _world: World, _results: Results) -> Plan:
        """Mind the <b>gap</b> & go."""
        yield from ()

    assert "<b>" not in draw(Kind.ALPHA, {})
    drawn = cards(tree(Kind.ALPHA, {}))["strange"]
    assert texts(drawn)[0] == strange.where
    assert "Mind the <b>gap</b> & go" in " ".join(texts(drawn))


def test_what_follows_from_other_edges_is_left_out(toy_steps: None) -> None:
    del toy_steps

    @step(phase="Show", where="here")
    def first(_release: Release, _world: World, _results: Results) -> Plan:
        """First."""
        yield from ()

    @step(phase="Show", where="here", after=[first])
    def second(_release: Release, _world: World, _results: Results) -> Plan:
        """Second."""
        yield from ()

    @step(phase="Show", where="here", after=[first, second])
    def third(_release: Release, _world: World, _results: Results) -> Plan:
        """Third."""
        yield from ()

    assert third.after == (first, second)
    assert edges(Kind.ALPHA)["third"] == ("second",)


def test_it_is_the_same_in_every_process() -> None:
    code = "import relkit.graph as g; print(g.draw('alpha', {}), g.as_text('alpha', {}))"
    made = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }
    assert len(made) == 1


# --- what a release is ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_overview_has_a_chip_for_each_step_in_the_lane_of_its_zone(kind: Kind) -> None:
    steps = steps_of(kind)
    found = chips(tree(kind, {}))
    assert sorted(int(texts(chip)[0]) for chip in found) == [n + 1 for n in range(len(steps))]
    heights: dict[str, set[str]] = {}
    for chip in found:
        number = int(texts(chip)[0])
        _, _, y = chip.attrib["transform"].rstrip(")").rpartition(" ")
        heights.setdefault(zone_of(steps[number - 1]).name, set()).add(y)
    assert all(len(one) == 1 for one in heights.values()), "a zone is one lane"
    assert len(set().union(*heights.values())) == len(heights), "and each its own"


@pytest.mark.parametrize("kind", KINDS)
def test_every_zone_is_named_with_its_machines_and_who_answers_there(kind: Kind) -> None:
    words = " ".join(texts(tree(kind, {})))
    for one in steps_of(kind):
        assert zone_of(one).name in words
        assert one.where in words
        assert one.actor == "release-manager" or one.actor in words


def test_what_crosses_a_boundary_of_trust_is_named() -> None:
    words = [one.text for one in tree(Kind.ALPHA, {}).findall(f"{SVG}text")]
    for flow in FLOWS:
        if {one.name for one in steps_of(Kind.ALPHA)} & set(flow.steps):
            assert words.count(flow.words) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_two_words_of_the_overview_lie_on_each_other(kind: Kind) -> None:
    root = tree(kind, {})
    known = {flow.words for flow in FLOWS}
    spans = []
    for one in root.findall(f"{SVG}text"):
        if one.text in known:
            half = 10 * sum(map(letter_width, one.text)) / 2
            x = float(one.attrib["x"])
            spans.append((one.attrib["y"], x - half, x + half))
            assert 0 < x - half < x + half < int(root.attrib["width"])
    for (y, left, right), (other, low, high) in combinations(spans, 2):
        assert y != other or right <= low or high <= left


@pytest.mark.parametrize("kind", KINDS)
def test_the_overview_shows_the_state_of_each_step(kind: Kind) -> None:
    names = [one.name for one in steps_of(kind)]
    mixed: dict[str, Status] = {name: get_args(Status)[n % 6] for n, name in enumerate(names)}
    for chip in chips(tree(kind, mixed)):
        state = mixed[names[int(texts(chip)[0]) - 1]]
        assert LOOKS[state].sign in {one.get("d") for one in chip.iter(f"{SVG}path")}


@pytest.mark.parametrize("kind", KINDS)
def test_sources_of_risk_are_marked_on_the_card_and_in_the_overview(kind: Kind) -> None:
    root = tree(kind, {})
    drawn, steps = cards(root), steps_of(kind)
    for chip in chips(root):
        one = steps[int(texts(chip)[0]) - 1]
        for shown in (chip, drawn[one.name]):
            paths = {path.get("d") for path in shown.iter(f"{SVG}path")}
            assert [risk for risk in RISKS if risk.sign in paths] == list(risks_of(one))


def test_the_legend_explains_each_risk() -> None:
    words = texts(tree(Kind.ALPHA, {}))
    assert all(f"{risk.name}: {risk.meaning}" in words for risk in RISKS)


@pytest.mark.parametrize(
    ("name", "risk"),
    [
        ("tag-release", KEY),
        ("sign-artifacts", KEY),
        ("collect-windows", FOREIGN),
        ("make-clone", FOREIGN),
        ("confirm-announcements", MANUAL),
        ("push-upstream", NO_WAY_BACK),
        ("place-files", NO_WAY_BACK),
    ],
)
def test_risks_are_read_from_what_a_step_does(name: str, risk: object) -> None:
    assert risk in risks_of(STEPS[name])


def test_a_new_step_is_marked_by_its_code_alone(toy_steps: None) -> None:
    del toy_steps

    @step(phase="Show", where="here", irreversible=True)
    def seal_it(_release: Release, world: World, _results: Results) -> Plan:
        """Seal it."""
        yield from ()
        for name in ("a", "b"):
            world.signers.sign(scheme="sigstore", name=name, sha256="")

    assert risks_of(seal_it) == (NO_WAY_BACK, KEY)
    assert calls(cast("FunctionType", seal_it.planner)) == {"signers.sign"}


def test_what_the_picture_says_of_steps_is_said_of_steps_that_exist() -> None:
    named = {*HANDS_ON, *(name for flow in FLOWS for name in flow.steps)}
    assert named - set(STEPS) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_every_machine_lies_in_a_known_zone(kind: Kind) -> None:
    for one in steps_of(kind):
        assert zone_of(one) is not ZONES[-1] or one.where == "elsewhere", one.where
    assert OWN in {zone_of(one) for one in steps_of(kind)}


def test_a_long_phase_goes_on_in_a_second_band() -> None:
    words = texts(tree(Kind.BETA_1, {}))
    assert any(word.endswith("continued") for word in words)


# --- the text ---------------------------------------------------------------------------------


def test_the_text_has_a_line_for_each_step_with_all_that_is_drawn() -> None:
    lines = as_text(Kind.ALPHA, MIXED).splitlines()
    after = edges(Kind.ALPHA)
    for number, (line, one) in enumerate(zip(lines, steps_of(Kind.ALPHA), strict=True), 1):
        *columns, facts = line.split(maxsplit=4)
        assert columns == [str(number), one.phase, one.name, MIXED[one.name]]
        told = dict(fact.split(": ", maxsplit=1) for fact in facts.split("; "))
        wanted = {
            "where": one.where,
            "zone": zone_of(one).name,
            "gate": one.gate,
            "risk": ", ".join(risk.name for risk in risks_of(one)),
            "hands on": hands_on(one),
            "after": ", ".join(after[one.name]),
        }
        if one.actor != "release-manager":
            wanted["by"] = one.actor
        assert told == {name: value for name, value in wanted.items() if value}


def test_the_columns_of_the_text_are_straight() -> None:
    lines = as_text(Kind.ALPHA, MIXED).splitlines()
    assert len({line.index("where: ") for line in lines}) == 1
    assert as_text(Kind.ALPHA, {}).endswith("\n")


# --- the layout -------------------------------------------------------------------------------


@st.composite
def graphs(draw_from: st.DrawFn) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Return steps in topological order, with a reduced relation and phases that only go on."""
    count = draw_from(st.integers(1, 24))
    names = [f"s{number}" for number in range(count)]
    marks = sorted(draw_from(st.lists(st.integers(0, 4), min_size=count, max_size=count)))
    phases = {name: f"p{mark}" for name, mark in zip(names, marks, strict=True)}
    after: dict[str, tuple[str, ...]] = {}
    above: dict[str, set[str]] = {}
    for number, name in enumerate(names):
        chosen = draw_from(st.sets(st.sampled_from(names[:number]), max_size=3) if number else
                           st.just(set[str]()))  # fmt: skip
        implied = set[str]().union(*(above[one] for one in chosen))
        after[name] = tuple(one for one in names if one in chosen - implied)
        above[name] = chosen | implied
    return after, phases


def corners(lines: list[Line]) -> dict[str, Point]:
    return {
        name: (line.left(column), line.y((name, column)) - HEIGHT // 2)
        for line in lines
        for name, column in line.home.items()
    }


def require_clear(after: Mapping[str, tuple[str, ...]], phases: Mapping[str, str]) -> None:
    """Require that cards lie apart, in their bands, and that wires pass them by."""
    lines = lay_out(after, phases, HEIGHT, 10)
    placed = corners(lines)
    for (x, y), (other_x, other_y) in combinations(placed.values(), 2):
        assert abs(x - other_x) >= CARD_WIDTH + 10 or abs(y - other_y) >= HEIGHT + 10
    for line in lines:
        for name in line.home:
            x, y = placed[name]
            assert line.top + HEADING - 1 <= y
            assert y + HEIGHT <= line.bottom
            assert 0 < x < full_width() - CARD_WIDTH
    drawn = wires(lines, after)
    assert list(drawn) == [(one, name) for name in after for one in after[name]]
    for (one, name), points in drawn.items():
        start, end = placed[one], placed[name]
        assert points[0][0] == start[0] + CARD_WIDTH
        assert 0 < points[0][1] - start[1] < HEIGHT
        assert points[-1][0] == end[0]
        assert 0 < points[-1][1] - end[1] < HEIGHT
        for a, b in pairwise(points):
            assert (a[0] == b[0]) != (a[1] == b[1])
            assert not [card for card in placed.values() if _touches(a, b, card)]


def _touches(a: Point, b: Point, card: Point) -> bool:
    (left, right), (upper, lower) = sorted((a[0], b[0])), sorted((a[1], b[1]))
    x, y = card
    return left < x + CARD_WIDTH and right > x and upper < y + HEIGHT and lower > y


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_hides_anything_in_the_picture_of_a_kind(kind: Kind) -> None:
    require_clear(
        {name: tuple(before) for name, before in edges(kind).items()},
        {one.name: one.phase for one in steps_of(kind)},
    )


@settings(max_examples=50, deadline=None)
@given(graphs())
def test_nothing_hides_anything_whatever_the_steps_are(
    graph: tuple[dict[str, tuple[str, ...]], dict[str, str]],
) -> None:
    require_clear(*graph)


@pytest.mark.parametrize("kind", KINDS)
def test_no_two_wires_run_on_each_other_unless_they_share_an_end(kind: Kind) -> None:
    lines = lay_out(edges(kind), {one.name: one.phase for one in steps_of(kind)}, HEIGHT, 10)
    drawn = wires(lines, edges(kind))
    for (edge, points), (other, others) in combinations(drawn.items(), 2):
        if not set(edge) & set(other):
            for a, b in pairwise(points):
                assert not [1 for c, d in pairwise(others) if _overlap(a, b, c, d)]


def _overlap(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Tell whether two runs lie on one line and have more than a point in common."""
    for across, along in ((0, 1), (1, 0)):
        if a[across] == b[across] == c[across] == d[across]:
            start = max(min(a[along], b[along]), min(c[along], d[along]))
            return start < min(max(a[along], b[along]), max(c[along], d[along]))
    return False
