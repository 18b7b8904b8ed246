"""The status page says what the ledger says, escaped, in words, and asks nobody for anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree as ET

import pytest
from toy import NOW, POLICY, RELEASE, UNSIGNED, Toy

from relkit import page as pages
from relkit import records as log
from relkit.errors import GateError, RecordError, WaitingError
from relkit.history import History
from relkit.page import page, words, write
from relkit.run import Run

pytestmark = pytest.mark.usefixtures("toy_steps")
HTML = "{http://www.w3.org/1999/xhtml}"
TIME = "2026-05-05 12:00:00 UTC"


@pytest.fixture
def run(world: Toy, record: Path) -> Iterator[Run]:
    run = world.open(record)
    yield run
    run.close()


def seen(text: str) -> str:
    """Return what a reader sees of the page, on one line."""
    root = ET.fromstring(text)  # noqa: S314 (our own page)
    body = root.find(f"{HTML}body")
    assert body is not None
    return " ".join(" ".join(body.itertext()).split())


def section(text: str, heading: str) -> str:
    found = text.partition(f"<h2>{heading}</h2>")[2].partition("<h2>")[0]
    return " ".join(re.sub("<[^>]*>", " ", found).split())


def to_the_gate(run: Run) -> None:
    run.apply("look")
    with pytest.raises(WaitingError):
        run.apply("hang")


def test_a_page_is_well_formed_and_the_same_each_time(run: Run) -> None:
    assert page(run) == page(run)
    assert f"Python 3.15.0a1 alpha, dated {TIME} · 0 of 5 steps complete" in seen(page(run))


def test_it_renews_itself_without_scripts_and_loads_nothing(run: Run) -> None:
    text = page(run)
    assert '<meta http-equiv="refresh" content="30" />' in text
    tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(text).iter()}  # noqa: S314
    assert not tags & {"script", "link", "img", "image", "iframe", "object", "a", "use", "form"}
    assert not re.search(r"\son\w+=|src=|href=|url\(|@import|javascript:", text)
    addresses = set(re.findall(r"https?://[^\"'<\s]+", text))
    assert addresses == {"http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("rehearsal", [True, False])
def test_only_a_rehearsal_has_the_banner(tmp_path: Path, rehearsal: bool) -> None:  # noqa: FBT001
    run = Toy.at(tmp_path / "world", rehearsal=rehearsal).open(tmp_path / "record")
    assert ("REHEARSAL" in page(run)) is rehearsal
    run.close()


def test_the_picture_is_in_it(run: Run) -> None:
    pictures = [*ET.fromstring(page(run)).iter("{http://www.w3.org/2000/svg}svg")]  # noqa: S314
    assert len(pictures) == 1
    assert "Hang the picture" in " ".join(pictures[0].itertext())


def test_the_steps_that_can_go_on_are_named_first(run: Run) -> None:
    assert "look Look at the box ready can be run" in section(page(run), "Now")
    run.apply("look")
    now = section(page(run), "Now")
    assert "paint" in now
    assert "look" not in now


def test_a_gate_nobody_reached_shows_its_roles_and_people(run: Run) -> None:
    gates = section(page(run), "Gates")
    assert "release-manager (Rika) expert (Elif, Emil) pending not reached none" in gates


def test_an_open_gate_is_awaited_from_each_role(run: Run) -> None:
    to_the_gate(run)
    text = page(run)
    assert "decide waits for release-manager and expert" in section(text, "Gates")
    awaited = section(text, "Awaited")
    for whom in ("release-manager (Rika)", "expert (Elif, Emil)"):
        assert f"decision at gate hanging {whom} {TIME} no limit hang" in awaited


def test_a_decision_is_shown_with_who_when_and_why(run: Run) -> None:
    to_the_gate(run)
    run.decide(run.propose("hang"), "approve", "Elif", "expert", "hangs straight")
    text = page(run)
    assert f"{TIME} APPROVED by Elif (expert): hangs straight plan" in section(text, "Gates")
    assert "waits for release-manager" in section(text, "Gates")
    assert "(Elif, Emil)" not in section(text, "Awaited")


def test_a_gate_that_everybody_approved_waits_to_be_carried_out(run: Run) -> None:
    to_the_gate(run)
    run.decide(run.propose("hang"), "approve", "Elif", "expert", "seen")
    run.decide(run.propose("hang"), "approve", "Rika", "release-manager", "seen")
    assert "approved, not yet carried out" in section(page(run), "Gates")
    run.apply("hang")
    assert "complete passed" in section(page(run), "Gates")


def test_a_rejection_says_by_whom_until_it_is_replaced(run: Run) -> None:
    to_the_gate(run)
    run.decide(run.propose("hang"), "reject", "Emil", "expert", "crooked")
    with pytest.raises(GateError):
        run.apply("hang")
    assert "REJECTED by Emil" in section(page(run), "Gates")
    run.decide(run.propose("hang"), "approve", "Emil", "expert", "straight now")
    gates = section(page(run), "Gates")
    assert "REJECTED by Emil (expert): crooked" in gates
    assert "replaced by a later decision" in gates
    assert "decide waits for release-manager" in gates


def test_a_decision_about_another_plan_does_not_count(run: Run, world: Toy) -> None:
    to_the_gate(run)
    run.decide(run.propose("hang"), "approve", "Elif", "expert", "a fine boat")
    world.box.turn("knob picture", "a train")
    with pytest.raises(WaitingError):
        run.apply("hang")
    gates = section(page(run), "Gates")
    assert "a fine boat" in gates
    assert "about another plan" in gates
    assert "waits for release-manager and expert" in gates


def test_a_wait_is_shown_until_its_step_has_begun_and_says_when_it_is_late(
    run: Run, world: Toy
) -> None:
    world.builds.swift = False
    run.apply("look")
    run.apply("paint")
    with pytest.raises(WaitingError):
        run.apply("bake")
    assert f"the cake the baker {TIME} 2026-05-05 13:00:00 UTC bake" in section(
        page(run), "Awaited"
    )
    world.clock.time = NOW + timedelta(hours=2)
    assert "13:00:00 UTC OVERDUE" in section(page(run), "Awaited")
    world.builds.set("cake", "done")
    run.apply("bake")
    assert "Nothing is awaited" in section(page(run), "Awaited")


def test_waivers_stay_visible(run: Run, world: Toy) -> None:
    assert "<h2>Waived</h2>" not in page(run)
    world.box.turn("knob lamp", "red")
    run.waive(run.propose("look"), "the lamp is green", "Rika", "release-manager", "it is dawn")
    run.apply("look")
    shown = f"look the lamp is green Rika (release-manager) it is dawn {TIME}"
    assert shown in section(page(run), "Waived")


def test_the_newest_records_come_first_and_are_limited(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.apply("look")
    monkeypatch.setattr(pages, "NEWEST", 2)
    newest = section(page(run), "Newest records")
    assert re.fullmatch(rf"when record step {TIME} 2 look complete {TIME} 1 look plan .*", newest)


def test_texts_are_escaped(run: Run) -> None:
    to_the_gate(run)
    bad = "<script>alert('1')</script> & \"so\""
    run.decide(run.propose("hang"), "approve", "Elif", "expert", bad)
    text = page(run)
    assert "<script" not in text
    assert bad in seen(text)


def test_characters_that_hide_or_turn_text_are_shown_as_such(run: Run) -> None:
    to_the_gate(run)
    run.respin("look", "Rika", "release-manager", "ok\u202e\x1b[1m\u200b.")
    assert "ok\ufffd\ufffd[1m\ufffd." in seen(page(run))


def test_times_are_utc_whatever_the_zone_of_the_machine(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    assert f"as of {TIME}" in seen(page(run))


def test_a_record_alone_is_enough(run: Run, record: Path) -> None:
    to_the_gate(run)
    history = History.read(record)
    assert "waits for release-manager and expert" in section(page(history), "Gates")
    assert "(Rika)" not in page(history)
    assert "(Rika)" in page(history, POLICY)


def test_a_gate_that_was_not_asked_has_no_roles_without_a_policy(run: Run, record: Path) -> None:
    assert run.status("hang") == "pending"
    assert "as the policy says" in section(page(History.read(record)), "Gates")


def test_a_complete_run_says_so(tmp_path: Path) -> None:
    world = Toy.at(tmp_path / "world", patience_seconds=10)
    world.people.obliging = True
    run = world.open(tmp_path / "record")
    list(run.advance())
    text = page(run)
    assert "5 of 5 steps complete" in seen(text)
    assert "Every step is complete." in section(text, "Now")
    assert "Nothing is awaited" in section(text, "Awaited")
    run.close()


def test_every_kind_of_record_has_words() -> None:
    union = get_args(get_args(log.Entry)[0])
    assert {one.model_fields["event"].default for one in union} == set(pages.WORDS)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (log.TakenOver(reason="process 7 ended"), "taken over: process 7 ended"),
        (log.Recovered(torn="x", sha256="0" * 64), "a line that was cut is kept in x"),
        (log.SetGoing(step="a", what="it", again=True), "it set going again, for it was lost"),
        (log.Started(step="a", action=0), "action 1 begun"),
        (log.TakenBack(step="a", action=0), "action 1 taken back, for a later one failed"),
        (log.TakenBack(step="a", action=0, respin=True), "action 1 taken back, in a respin"),
        (log.Stopped(step="a", what="the cake"), "the cake stopped, in a respin"),
        (log.Revised(revision=2), "revision 2 begins"),
        (
            log.HandedOver(to="Remy", who="Rika", role="rm", reason="ill", signed=UNSIGNED),
            "HANDED OVER to Remy by Rika (rm): ill",
        ),
        (log.Done(step="a", action=2, found=True, evidence="{x}"), "action 3 found done: {x}"),
    ],
)
def test_a_record_is_told_in_words(entry: log.Entry, said: str) -> None:
    assert words(entry) == said


def test_the_page_is_written_whole_and_nothing_else_is_left(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "status.html"
    path.write_text("older")
    (tmp_path / ".status.html.new").write_text("left by a process that was killed")
    write(run, path)
    assert path.read_text(encoding="utf-8") == page(run)
    assert not [one for one in tmp_path.iterdir() if one.suffix == ".new"]


def test_a_page_that_cannot_be_written_leaves_the_old_one(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "status.html"
    path.write_text("older")
    (tmp_path / ".status.html.new").mkdir()
    with pytest.raises(RecordError, match="RECORD_NOT_WRITTEN"):
        write(run, path)
    assert path.read_text() == "older"


def test_looking_records_nothing(run: Run, world: Toy) -> None:
    to_the_gate(run)
    before = len(run.ledger.records), world.outside
    page(run)
    assert (len(run.ledger.records), world.outside) == before
    assert run.release == RELEASE
