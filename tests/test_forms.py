"""The forms in which the release manager decides: what they show, and what a click signs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ipywidgets as widgets
import pytest
import toy
from test_run import RM, upto

import relkit.step
from relkit import forms, view
from relkit.decision import about, read_decision
from relkit.run import Run


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what the form is made of: fields and buttons by their words, texts by their order."""
    found: dict[str, Any] = {}
    for name in ("Text", "Button", "HTML"):
        made = getattr(widgets, name)

        def make(*args: Any, made: Any = made, **given: Any) -> Any:  # noqa: ANN401 (a widget)
            key = str(given.get("description", f"text {len(found)}"))
            return found.setdefault(key, made(*args, **given))

        monkeypatch.setattr(widgets, name, make)
    shown = SimpleNamespace(update=lambda *_, **__: None)
    monkeypatch.setattr(forms, "display", lambda *_, **__: shown)
    return found


def texts(parts: dict[str, Any]) -> str:
    return "\n".join(one.value for name, one in parts.items() if name.startswith("text "))


@pytest.fixture
def run(tmp_path: Path, toy_steps: None) -> Run:
    """Return a toy run in production, before a gate right after which comes what stays done."""
    del toy_steps
    send = relkit.step.STEPS["send"]
    relkit.step.STEPS["send"] = dataclasses.replace(send, irreversible=True)
    world = toy.Toy.at(tmp_path / "toy", rehearsal=False)
    return upto(world.open(tmp_path / "records" / "3.15.0a1"), "hang")


def form(run: Run) -> None:
    forms.decide(run, run.propose("hang"), lambda: view.line("how it stands"))


def test_the_form_says_what_is_signed_for_what_where_and_until_when(
    run: Run, parts: dict[str, Any]
) -> None:
    form(run)
    asked, shown = run.asked(run.propose("hang")), texts(parts)
    for words in (
        *("For hang of 3.15.0a1, revision 1, in the world toy, PRODUCTION, no rehearsal", "run "),
        *(f"until {asked.expires:%Y-%m-%d %H:%M} UTC", "to approve, type toy"),
        *(f"You decide as {RM[1]}, {RM[0]}", "picture.png"),
    ):
        assert words in shown
    assert len(about(asked)) == 2
    for one in about(asked):
        assert shown.index(one.name) < shown.index(one.sha256)


def test_the_name_typed_in_the_form_is_signed_and_without_it_nothing_is(
    run: Run, parts: dict[str, Any]
) -> None:
    form(run)
    parts["Reason"].value = "looked at"
    for name in ("", "rehearsal"):
        parts["World"].value = name
        parts["Approve"].click()
        assert "PRODUCTION_UNCONFIRMED" in texts(parts)
        assert run.progress("hang").decisions == []
    parts["World"].value = "toy"
    parts["Approve"].click()
    (made,) = run.progress("hang").decisions
    assert (made.verdict, read_decision(made.signed.text).typed) == ("approve", "toy")


def test_a_rejection_in_the_form_needs_no_name(run: Run, parts: dict[str, Any]) -> None:
    form(run)
    parts["Reason"].value = "not today"
    parts["Reject"].click()
    (made,) = run.progress("hang").decisions
    assert (made.verdict, read_decision(made.signed.text).typed) == ("reject", "")


def test_the_form_of_a_waiver_says_what_it_passes_over(run: Run, parts: dict[str, Any]) -> None:
    toy.toy_of(run.world).box.turn("knob nail", "loose")
    forms.waive(run, run.propose("hang"), "the nail holds")
    assert "accepted that this did not succeed: the nail holds" in texts(parts)
    assert "type toy" not in texts(parts)
