"""Steps in which a person does something elsewhere, and gives evidence of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from relkit.errors import GateError
from relkit.plan import Evidence, Item, Wait
from relkit.ports import World
from relkit.steps.manual import manual
from relkit.values import Testimony

ROLE = "windows-expert"


def planned(given: Testimony | None, *, told: bool = False) -> list[Item]:
    """Return what a step that asks for evidence yields in such a world."""
    people = SimpleNamespace(
        testimony=lambda *, name: given if given is None or name == given.name else None,
        told=lambda *, nonce: told and nonce == "run-store",
        tell=lambda **_: None,
    )
    world = cast("World", SimpleNamespace(people=people, nonce="run"))
    return list(manual(world, "store", ROLE, "Please submit it.", "submission 1"))


def said(role: str = ROLE) -> Testimony:
    return Testimony(name="run-store", who="Win", role=role, text="submission 7")


def test_who_is_asked_is_told_once_and_waited_for() -> None:
    [wait] = planned(None)
    assert isinstance(wait, Wait)
    assert wait.start is not None
    assert wait.start.keywords["roles"] == (ROLE,)
    assert (wait.ready, wait.stop) == (False, None)
    [wait] = planned(None, told=True)
    assert isinstance(wait, Wait)
    assert wait.start is None


def test_what_was_said_is_evidence_of_the_plan_with_who_said_it() -> None:
    wait, evidence = planned(said())
    assert isinstance(wait, Wait)
    assert wait.ready
    assert evidence == Evidence("store, by Win (windows-expert), unsigned", "submission 7")


def test_evidence_by_another_role_than_the_one_that_is_asked_is_refused() -> None:
    with pytest.raises(GateError, match="EVIDENCE_FOREIGN"):
        planned(said("docs-expert"))
