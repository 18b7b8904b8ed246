"""What is written in a cell of one's own is recorded, flagged, and shown in both forms."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ipywidgets as widgets
import pytest
import toy
from test_view import same

from relkit import flags, forms, notebook, verbs, view
from relkit.errors import CheckError, GateError, RecordError, UsageError, WaitingError
from relkit.history import History
from relkit.notebook import Face
from relkit.page import page
from relkit.run import Run
from relkit.view import View

pytestmark = pytest.mark.usefixtures("toy_steps")
RM = ("Rika", "release-manager")


@pytest.fixture
def run(world: toy.Toy, record: Path) -> Iterator[Run]:
    toy.declare_more()
    run = world.open(record)
    yield run
    run.close()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[View]:
    """Return what is shown; nobody sits in front, so that no form is made."""
    found: list[View] = []
    monkeypatch.setenv("RELKIT_RUNNER", "terminal")
    for module in (verbs, notebook, forms):
        monkeypatch.setattr(module, "show", found.append)
    return found


def text(shown: list[View]) -> str:
    """Return what was shown, as text; both forms must say the same."""
    return "\n".join(same(one).text for one in shown)


def painted(run: Run) -> Face:
    run.apply("look")
    run.apply("paint")
    return Face(run)


def test_a_respin_shows_what_is_given_up_and_how_the_steps_stand(
    run: Run, shown: list[View]
) -> None:
    painted(run).respin("paint", reason="the wall is crooked")
    assert "REVISION 1 given up from paint on by Rika: the wall is crooked" in text(shown)
    assert run.revision == 2
    assert run.status("paint") == "ready"


def test_what_was_done_in_a_revision_that_was_given_up_stays_visible_and_flagged(
    run: Run, record: Path, shown: list[View]
) -> None:
    painted(run).respin("paint", reason="the wall is crooked")
    run.apply("paint")
    Face(History.read(record)).step("paint")
    told = text(shown)
    assert "SUPERSEDED: paint in revision 1, which was given up" in told
    assert "paint: complete" in told


def test_a_step_that_is_not_reached_again_still_shows_what_was_superseded(
    run: Run, record: Path, shown: list[View]
) -> None:
    painted(run).respin("look", reason="another box")
    Face(History.read(record)).step("paint")
    assert "SUPERSEDED: paint in revision 1" in text(shown)
    assert "paint: not reached" in text(shown)


def test_a_decision_of_a_revision_that_was_given_up_is_shown_as_void(
    run: Run, shown: list[View]
) -> None:
    del shown
    face = painted(run)
    run.decide(run.propose("hang"), "approve", *RM, "it hangs straight")
    face.respin("look", reason="another box")
    gates = page(run).partition("<h2>Gates</h2>")[2]
    assert "it hangs straight" in gates
    assert "of revision 1, which was given up" in gates


def test_an_abandoned_run_says_by_whom_and_why(run: Run, record: Path, shown: list[View]) -> None:
    painted(run).abandon("two blockers were found", skipped=True)
    assert "ABANDONED by Rika (release-manager): two blockers were found" in text(shown)
    assert "skipped" in text(shown)
    history = History.read(record)
    assert "ABANDONED" in same(flags.flags(history)).text
    assert "ABANDONED by Rika" in page(history)
    assert "The run was abandoned." in page(history)


def test_a_deviation_is_flagged_with_what_was_done_by_whom_and_why(
    run: Run, record: Path, shown: list[View]
) -> None:
    Face(run).deviation(
        do=("box", "put", {"key": "door", "value": "open"}),
        read=("box", "value", {"key": "door"}),
        expected="open",
        note="an open door is closed by the wind",
        reason="agreed on 5 May",
    )
    told = text(shown)
    for fact in (
        "DEVIATIONS: no step foresaw this",
        "box.put(key=door, value=open)",
        "Rika (release-manager): agreed on 5 May",
        "done: open",
    ):
        assert fact in told
    assert flags.flags(History.read(record)) == flags.deviations(run)
    assert "DEVIATION 0 (box.put(key=door, value=open)) begun by Rika" in page(run)


def test_a_hand_over_names_both_and_the_new_one_decides(
    tmp_path: Path, record: Path, shown: list[View]
) -> None:
    second = toy.person("Remy", "release-manager")
    policy = toy.POLICY.model_copy(update={"people": (*toy.POLICY.people, second)})
    run = toy.Toy.at(tmp_path / "world", policy=policy).open(record)
    Face(run).hand_over("Remy", reason="I am ill")
    assert "HANDED OVER to Remy by Rika: I am ill" in text(shown)
    assert "HANDED OVER to Remy" in page(run)
    Face(run).hand_over("Rika", reason="all is well again")
    assert "HANDED OVER to Rika by Remy" in shown[-1].text
    run.close()


def test_a_hand_over_to_somebody_of_another_role_is_refused(run: Run, shown: list[View]) -> None:
    with pytest.raises(GateError, match="NOT_IN_ROLE"):
        Face(run).hand_over("Elif", reason="I am ill")
    assert shown == []


def test_evidence_is_given_by_who_sits_here_in_the_role_that_is_asked(
    run: Run, shown: list[View]
) -> None:
    run.apply("look")
    with pytest.raises(WaitingError):
        Face(run).step("ring")
    with pytest.raises(GateError, match="NOT_ASKED"):
        Face(run).evidence("bell", "it rang")
    Face(run).evidence("bell", "it rang", role="expert")
    assert "GIVEN by Elif (expert): bell: it rang" in text(shown)
    Face(run).step("ring")
    assert run.status("ring") == "complete"


def test_evidence_by_a_role_that_is_elsewhere_is_refused(
    tmp_path: Path, record: Path, shown: list[View]
) -> None:
    policy = toy.POLICY.model_copy(update={"present": ("release-manager",)})
    toy.declare_more()
    run = toy.Toy.at(tmp_path / "world", policy=policy).open(record)
    run.apply("look")
    with pytest.raises(WaitingError):
        Face(run).step("ring")
    assert "expert elsewhere gives it by: relkit testify MESSAGE TEXT --role expert" in text(shown)
    assert "(MESSAGE is the file nonce-1-bell.json in the outbox)" in text(shown)
    with pytest.raises(GateError, match="NOT_AT_THE_NOTEBOOK"):
        Face(run).evidence("bell", "it rang", role="expert")
    run.close()


def test_a_step_does_not_wait_for_who_has_to_fill_in_its_form(
    tmp_path: Path, record: Path, shown: list[View], monkeypatch: pytest.MonkeyPatch
) -> None:
    del shown
    toy.declare_more()
    monkeypatch.setattr("relkit.progress.GRACE_SECONDS", 0.0)
    run = toy.Toy.at(tmp_path / "world", patience_seconds=600).open(record)
    run.apply("look")
    with pytest.raises(WaitingError, match="yours to give"):
        Face(run).step("ring")
    assert run.status("ring") == "waiting"
    run.close()


def test_a_wait_that_can_be_waived_gets_a_form_and_then_says_so(
    run: Run, world: toy.Toy, shown: list[View], monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[str] = []
    monkeypatch.setattr(forms, "waive", lambda _run, _proposal, check: offered.append(check))
    monkeypatch.setenv("RELKIT_RUNNER", "jupyter")
    run.apply("look")
    with pytest.raises(WaitingError):
        Face(run).step("buy")
    assert offered == ["candles"]
    run.waive(run.propose("buy"), "candles", *RM, "the shop is shut")
    told = same(view.proposal(run.propose("buy"))).text
    assert "WAIVED by Rika: the shop is shut" in told
    assert "candles the shop" not in page(run).partition("<h2>Waived</h2>")[0]
    run.apply("buy")
    assert world.box.value(key="light") == "moon"
    assert shown == []


def test_a_record_that_is_over_is_only_looked_at(run: Run, record: Path, shown: list[View]) -> None:
    run.apply("look")
    face = Face(History.read(record))
    with pytest.raises(UsageError, match="READ_ONLY"):
        face.respin("look", reason="once more")
    with pytest.raises(UsageError, match="READ_ONLY"):
        face.abandon("enough")
    assert shown == []


def test_in_replay_the_flags_stand_at_the_beginning_and_at_the_end(
    run: Run, record: Path, shown: list[View], monkeypatch: pytest.MonkeyPatch
) -> None:
    painted(run).abandon("enough")
    shown.clear()
    monkeypatch.setenv("RELKIT_RUNNER", "replay")
    monkeypatch.setenv("RELKIT_REPLAY", str(record))
    notebook.open_run("3.15.0a1", "alpha").seal()
    assert [("ABANDONED by Rika" in one.text) for one in shown] == [True, True]
    assert "respun" in shown[-1].text


def test_a_run_by_the_book_has_no_flags(run: Run) -> None:
    run.apply("look")
    assert flags.flags(run) == View("", "")
    assert "Not by the book" not in page(run)


def test_who_only_looks_at_a_plan_that_fails_is_offered_no_form(
    run: Run, world: toy.Toy, shown: list[View], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "waive", lambda *_: pytest.fail("nobody sits in front"))
    world.box.turn("knob lamp", "red")
    with pytest.raises(CheckError):
        Face(run).step("look")
    assert shown == []


# --- forms ------------------------------------------------------------------------------------


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the fields and buttons of the forms that are made, in order."""
    found: list[Any] = []
    for name in ("Text", "Button"):
        made = getattr(widgets, name)

        def make(made: Any = made, **given: Any) -> Any:  # noqa: ANN401 (a widget)
            found.append(made(**given))
            return found[-1]

        monkeypatch.setattr(widgets, name, make)
    monkeypatch.setattr(forms, "display", lambda *_, **__: SimpleNamespace(update=_nothing))
    return found


def _nothing(*_: object, **__: object) -> None:
    """Take what would be displayed."""


def test_the_form_of_a_manual_step_gives_the_evidence(run: Run, parts: list[Any]) -> None:
    run.apply("look")
    with pytest.raises(WaitingError):
        run.apply("ring")
    forms.testify(run, run.propose("ring").awaited[0])
    button, field = parts
    assert (field.description, button.description) == ("Evidence", "Give evidence")
    assert "relkit-bell-give-evidence" in button._dom_classes
    button.click()
    assert len(run.propose("ring").awaited) == 1, "an empty text is no evidence"
    field.value = "it rang"
    button.click()
    assert len(run.propose("ring").awaited) == 0


def test_the_form_of_a_waiver_goes_on_without_what_is_awaited(run: Run, parts: list[Any]) -> None:
    run.apply("look")
    forms.waive(run, run.propose("buy"), "candles")
    button, field = parts
    field.value = "the shop is shut"
    button.click()
    assert [one.what for one in run.propose("buy").awaited] == []


def test_a_gate_without_anything_to_decide_says_so(run: Run, shown: list[View]) -> None:
    run.apply("look")
    Face(run).gate("quiet")
    assert "nothing is to be decided" in text(shown)
    run.apply("quiet")
    shown.clear()
    Face(run).gate("quiet")
    assert "nobody has decided" not in text(shown)


def test_a_record_is_sealed_with_the_file_of_its_own_world_wherever_that_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the notebook was given says where the world's file is, if that is still the same."""
    file = tmp_path / "elsewhere.toml"
    file.write_text("the world of the run", encoding="utf-8")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    world = toy.Toy.at(tmp_path / "toy", digest=digest)
    with closing(world.open(tmp_path / "records" / "3.15.0a1")) as run:
        asked: list[list[str]] = []
        said = "BAD: it is broken:\n  here\n  there\nWhat to do: Mend it.\nThen go on.\n"

        def fails(command: list[str], **_: object) -> SimpleNamespace:
            asked.append(command)
            return SimpleNamespace(returncode=1, stderr=said)

        monkeypatch.setattr("relkit.notebook.subprocess.run", fails)
        monkeypatch.setattr(type(run), "complete", property(lambda _: True))
        monkeypatch.setenv("RELKIT_RUNNER", "jupyter")
        for change in (None, "another world"):
            if change:
                file.write_text(change, encoding="utf-8")
            with pytest.raises(RecordError) as refused:
                Face(run, str(file)).seal()
            assert refused.value.code == "NOT_SEALED"
            assert "the record is not sealed: BAD: it is broken:\n  here\n  there" in str(
                refused.value
            )
            assert refused.value.remedy == "Mend it.\nThen go on."
    assert asked[0][-2:] == ["--world", str(file)]
    assert "--world" not in asked[1]
