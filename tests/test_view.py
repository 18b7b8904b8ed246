from __future__ import annotations

import dataclasses
import hashlib
import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st

from relkit import view
from relkit.errors import CheckError, WaitingError
from relkit.history import History
from relkit.plan import EXCERPT, ActionData, Call
from relkit.run import Run
from relkit.view import View

pytestmark = pytest.mark.usefixtures("toy_steps")
HOSTILE = '<script>alert("x")</script><img src=x onerror=y>&amp;"\'{{ 7 }}'
RM, EXPERT = ("Rika", "release-manager"), ("Elif", "expert")
ALLOWED = {
    *("p", "b", "table", "thead", "tbody", "tr", "th", "td"),
    *("details", "summary", "pre"),
}
LOADING = {"src", "href", "srcset", "action", "data", "background"}


class Reader(HTMLParser):
    """Reads what a person reads of a page, and what tags are in it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def read(shown: View) -> Reader:
    """Return an HTML form as read; it must be made of plain parts only."""
    reader = Reader()
    reader.feed(shown.html)
    reader.close()
    assert set(reader.tags) <= ALLOWED
    names = {name for name, _ in reader.attributes}
    assert names <= {"style", "class", "border", "open"}, "nothing is loaded, nothing runs"
    assert not any("url(" in (value or "") for _, value in reader.attributes)
    return reader


def same(shown: View) -> View:
    """Assert that both forms say the same words in the same order; return the view."""
    assert read(shown).words == shown.text.split()
    assert set(shown.bundle()) == {"text/plain", "text/html"}
    return shown


@pytest.fixture
def run(world: toy.Toy, record: Path) -> Run:
    return world.open(record)


def hung(run: Run) -> Run:
    """Carry out what there is up to the gate, and decide there."""
    run.apply("look")
    run.apply("paint")
    for who, role in (RM, EXPERT):
        run.decide(run.propose("hang"), "approve", who, role, f"seen by {who}")
    run.apply("hang")
    return run


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
rows = st.lists(st.tuples(texts, texts | st.integers(), texts), min_size=1, max_size=4)


@settings(max_examples=60)
@given(rows)
def test_a_table_says_the_same_in_text_and_html(cells: list[tuple[object, ...]]) -> None:
    same(view.table(("one", "two", "three"), cells))


@settings(max_examples=60)
@given(texts, texts)
def test_lines_and_folded_texts_say_the_same_in_both_forms(title: str, text: str) -> None:
    same(view.line(text))
    same(view.line(text, strong=True))
    shown = view.details(title, text)
    assert read(shown).words == f"{title} {text}".split() or "".join(read(shown).words) == "".join(
        shown.text.split()
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: view.line(HOSTILE),
        lambda: view.line(HOSTILE, strong=True),
        lambda: view.details(HOSTILE, HOSTILE),
        lambda: view.table((HOSTILE, "b"), [(HOSTILE, 1), ("x", HOSTILE)]),
    ],
    ids=["line", "strong line", "details", "table"],
)
def test_what_others_wrote_is_shown_and_never_interpreted(make: Callable[[], View]) -> None:
    shown = make()
    read(shown)
    assert HOSTILE in shown.text
    assert "<script" not in shown.html
    assert html.escape(HOSTILE, quote=False) in shown.html.replace("&quot;", '"').replace(
        "&#x27;", "'"
    )


def test_each_line_of_a_refusal_is_a_line() -> None:
    error = CheckError("it lacks:\n  <a>\n  b", code="X", remedy="Do a.\nThen b.")
    shown = view.refusal(error).html
    lines = ["X: it lacks:", "  &lt;a&gt;", "  b", "What to do: Do a.", "Then b."]
    assert re.findall(r"<p[^>]*>(?:<b>)?(.*?)(?:</b>)?</p>", shown) == lines


def test_a_digest_in_a_line_is_broken_and_never_cut_and_a_command_can_be_copied() -> None:
    digest, command = "0" * 64, "relkit verify \\\n  --policy <x>"
    for shown in (view.line(digest), view.verbatim(command)):
        ((_, style),) = read(shown).attributes
        assert "overflow-wrap:anywhere" in (style or "")
    assert html.escape(command) in view.verbatim(command).html


def test_line_ends_in_a_cell_are_line_ends_in_both_forms() -> None:
    shown = view.table(("a", "b"), [("x\ny\tz", "w")])
    assert "x\ny\tz" in shown.text
    assert "x\ny\tz" in shown.html


def test_a_table_is_never_cut() -> None:
    long = "".join(f"{number:05}" for number in range(2000))
    shown = view.table(("a", "b"), [(f"row {n}", long) for n in range(150)])
    assert shown.text.count(long) == shown.html.count(long) == 150
    assert all(f"row {n}" in shown.html for n in range(150))
    assert "..." not in shown.html


def test_columns_of_short_cells_stand_below_each_other() -> None:
    lines = view.table(("a", "bb"), [("ccc", "d"), ("e", "f" * 80)]).text.splitlines()
    assert lines == ["a    bb", "ccc  d", "e    " + "f" * 80]


def test_a_table_without_rows_is_nothing() -> None:
    empty = view.table(("a", "b"), [])
    assert (empty.text, empty.html) == ("", "")
    assert View.of([empty, view.line("x"), empty]) == view.line("x")


def test_an_opened_run_says_what_it_is_and_that_it_is_a_rehearsal(run: Run) -> None:
    shown = same(view.opened(run))
    first = run.inputs
    for fact in (
        "Python 3.15.0a1 (alpha), tag v3.15.0a1",
        "2026-05-05 12:00 UTC",
        first.world_digest,
        first.policy_digest,
        first.steps_digest,
        run.ledger.head,
        "0 of 5 complete, revision 1",
    ):
        assert fact in shown.text
    assert shown.text.startswith("REHEARSAL")


def test_a_real_release_does_not_call_itself_a_rehearsal(record: Path, tmp_path: Path) -> None:
    run = toy.Toy.at(tmp_path / "world", rehearsal=False).open(record)
    assert "REHEARSAL" not in same(view.opened(run)).text


def test_every_step_is_listed_with_its_state_in_words(run: Run) -> None:
    run.apply("look")
    with pytest.raises(WaitingError):
        run.apply("hang")
    shown = same(view.status(run))
    states = [re.split(r"\s{2,}", line)[2:4] for line in shown.text.splitlines()[1:]]
    assert states == [
        ["look", "complete"],
        ["paint", "can be run"],
        ["hang", "waits for a decision"],
        ["bake", "waits for steps before it"],
        ["send", "waits for steps before it"],
    ]


def test_a_proposal_shows_all_that_is_decided_and_its_digest(run: Run, world: toy.Toy) -> None:
    world.box.turn("knob label", HOSTILE)
    run.apply("look")
    proposal = run.propose("hang")
    shown = same(view.proposal(proposal))
    for fact in (
        proposal.plan.digest,
        "the nail holds",
        HOSTILE,
        proposal.plan.evidence[0].sha256,
        "picture.png",
        proposal.plan.subjects[0].sha256,
        "box.put(key=hung, value=a boat)",
        "to do",
        "proposed, gate hanging",
    ):
        assert fact in shown.text


@pytest.mark.parametrize(("knob", "word"), [("red", "FAILED"), ("dark", "UNKNOWN")])
def test_what_does_not_hold_is_said_in_words(
    run: Run, world: toy.Toy, knob: str, word: str
) -> None:
    world.box.turn("knob lamp", knob)
    world.box.turn("knob dust", "some")
    shown = same(view.proposal(run.propose("look")))
    assert [word in shown.text, "WARNING" in shown.text] == [True, True]
    run.waive(run.propose("look"), "the lamp is green", *RM, "it is <broken>")
    waived = same(view.proposal(run.propose("look"))).text
    assert f"{word}, WAIVED by Rika: it is <broken>" in waived


def test_an_awaited_thing_says_from_whom(run: Run) -> None:
    run.apply("look")
    run.apply("paint")
    shown = same(view.proposal(run.propose("bake")))
    assert re.search(r"the cake\s+the baker\s+awaited", shown.text)


def test_actions_say_whether_they_were_done_found_or_begun(run: Run, world: toy.Toy) -> None:
    run.apply("look")
    world.box.put(key="wall", value="blue")
    world.box.moment = lambda: (_ for _ in ()).throw(CheckError("x", code="X", remedy="y"))
    with pytest.raises(CheckError):
        run.apply("paint")
    begun = same(view.proposal(run.propose("paint"))).text
    assert "found done at 12:00:00" in begun
    assert re.search(r"what is full stays full\s+begun", begun)
    world.box.moment = lambda: None
    done = same(view.proposal(run.apply("paint"))).text
    assert "  done at 12:00:00" in done
    assert "paint: complete" in done


@pytest.mark.parametrize(
    ("label", "cut"),
    [
        ("short\n", False),
        ("x" * EXCERPT, False),
        ("x" * (EXCERPT + 1), True),
        ("line\n" * EXCERPT, True),
        ("", False),
    ],
    ids=["short", "exactly", "one long line", "many lines", "empty"],
)
def test_evidence_that_is_cut_says_so(
    run: Run,
    world: toy.Toy,
    label: str,
    cut: bool,  # noqa: FBT001 (a value of the table)
) -> None:
    world.box.turn("knob label", label)
    run.apply("look")
    shown = same(view.proposal(run.propose("hang")))
    assert ("… (the beginning)" in shown.text) == cut


def test_decisions_are_shown_with_who_what_and_why(run: Run) -> None:
    run.apply("look")
    step, progress = run.step("hang"), run.progress("hang")
    plan = run.propose("hang").plan
    nobody = same(view.decisions(step, progress.records, plan))
    assert nobody.text == "GATE hanging: nobody has decided yet"
    run.decide(run.propose("hang"), "reject", *EXPERT, HOSTILE)
    run.decide(run.propose("hang"), "approve", *RM, "I looked")
    shown = same(view.decisions(step, progress.records, plan))
    assert f"REJECTED by Elif (expert): {HOSTILE}" in shown.text
    assert "APPROVED by Rika (release-manager): I looked" in shown.text
    assert shown.text.count("SSH key, in the notebook") == 2, "with what it is signed, and where"
    assert "another plan" not in shown.text


def test_a_file_for_machines_is_shown_by_its_digest() -> None:
    text = '{\n "form": 1\n}'
    call = Call(port="artifacts", method="write", arguments={"name": "m.json", "text": text})
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    assert (
        str(call) == f"artifacts.write(name=m.json, text=(14 characters of JSON, SHA-256 {sha256}))"
    )


def test_a_decision_on_another_plan_says_so(run: Run, world: toy.Toy) -> None:
    run.apply("look")
    run.decide(run.propose("hang"), "approve", *RM, "I looked")
    world.box.turn("knob picture", "a house")
    plan = run.propose("hang").plan
    shown = same(view.decisions(run.step("hang"), run.progress("hang").records, plan))
    assert "APPROVED by Rika (release-manager): I looked (of another plan)" in shown.text


def test_records_are_shown_with_number_and_event(run: Run) -> None:
    hung(run)
    shown = same(view.records(run.ledger))
    events = [re.split(r"\s{2,}", line)[2] for line in shown.text.splitlines()[1:]]
    assert events == [one.entry.event for one in run.ledger]
    assert "seen by Elif" in shown.text


def test_a_record_shows_the_same_without_its_world(run: Run, record: Path) -> None:
    hung(run)
    history = History.read(record)
    for name in ("look", "paint", "hang"):
        recorded = history.recorded(name)
        assert recorded is not None
        assert view.proposal(recorded) == view.proposal(run.propose(name))
    assert history.recorded("bake") is None
    assert view.opened(history) == view.opened(run)
    assert view.status(history) == view.status(run)


def test_what_is_done_to_many_at_once_is_counted_and_listed(run: Run) -> None:
    shown = run.propose("look")
    files = {f"folder/file-{n:02}": f"{n:064}" for n in range(60)}
    rows = [{"name": f"row {n}", "os": "<b>"} for n in range(9)]
    named = {"name": "x", **dict.fromkeys("12345678")}
    calls = [
        Call(port="downloads", method="place_all", arguments={"files": files}),
        Call(port="website", method="add_files", arguments={"slug": "x", "files": rows}),
        Call(port="box", method="fill", arguments={"keys": ["a", "b"]}),
        Call(port="box", method="put", arguments={"it": named}),
    ]
    how: dict[str, Any] = {"expects": "exists", "expected": None, "undo": None, "undo_note": "-"}
    actions = tuple(ActionData(do=one, read=one, **how) for one in calls)
    plan = shown.plan.model_copy(update={"actions": actions})
    said = view.proposal(dataclasses.replace(shown, plan=plan))
    assert "1  downloads.place_all(files=60, listed below)" in said.text
    assert "3  box.fill(keys=a, b)" in said.text
    assert "4  box.put(it=x (1: none; 2: none" in said.text
    assert "files of action 1: 60\n" + "\n".join(f"{k}  {v}" for k, v in files.items()) in said.text
    assert "files of action 2: 9\nrow 0 (os: <b>)\nrow 1 (os: <b>)" in said.text
    assert "row 8 (os: &lt;b&gt;)" in said.html
    assert "<b>)" not in said.html
