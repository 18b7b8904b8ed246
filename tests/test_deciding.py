"""Hand-over, gates with nothing to decide, waits that are waived, evidence by hand."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import toy
from test_deviation import DO
from test_run import EXPERT, RM, WHY, approve, events, refused, unchanged, upto

from relkit import records as log
from relkit.errors import GateError, WaitingError
from relkit.history import History
from relkit.run import Run

pytestmark = pytest.mark.usefixtures("toy_steps")
TWO = toy.POLICY.model_copy(
    update={
        "people": (*toy.POLICY.people, toy.person("Nora", RM[1])),
    }
)
NEW = ("Nora", RM[1])


# --- hand-over ----------------------------------------------------------------------------------


@pytest.fixture
def two(record: Path, tmp_path: Path) -> Run:
    """Return a run with two release managers."""
    return toy.Toy.at(tmp_path / "two", policy=TWO).open(record)


def test_after_a_hand_over_only_the_new_release_manager_speaks(two: Run) -> None:
    upto(two, "hang")
    two.hand_over(NEW[0], *RM, "my train leaves")
    handed = History.read(two.ledger.path.parent).handed_over
    assert isinstance(handed, log.HandedOver)
    assert (two.manager, handed.to, handed.who, handed.role) == ("Nora", "Nora", *RM)
    assert handed.reason == "my train leaves"
    proposal = two.propose("hang")
    deviate = partial(two.deviate, **DO, who=RM[0], role=RM[1], reason="so")
    for call in (
        partial(two.decide, proposal, "approve", *RM, "seen"),
        partial(two.respin, "paint", *WHY),
        partial(two.abandon, *WHY),
        partial(two.hand_over, "Nora", *WHY),
        deviate,
    ):
        assert unchanged(two, GateError, call) == "HANDED_OVER"
    approve(two, "hang", NEW, EXPERT)
    assert two.apply("hang").complete


def test_a_waiver_of_the_former_release_manager_is_refused(two: Run) -> None:
    toy.toy_of(two.world).box.turn("knob lamp", "red")
    two.hand_over(NEW[0], *RM, "so")
    call = (two.waive, two.propose("look"), "the lamp is green")
    assert refused(GateError, *call, *RM, "so").code == "HANDED_OVER"
    two.waive(two.propose("look"), "the lamp is green", *NEW, "so")
    assert two.apply("look").complete


def test_what_the_former_release_manager_decided_on_an_open_plan_counts_no_more(two: Run) -> None:
    approve(upto(two, "hang"))
    two.decide(two.propose("hang"), "reject", *RM, "on second thoughts")
    two.hand_over(NEW[0], *RM, "so")
    assert "waits for release-manager" in str(refused(WaitingError, two.apply, "hang"))
    approve(two, "hang", NEW)
    assert two.apply("hang").complete, "and nobody can lift the rejection but by deciding"


def test_an_answer_of_the_former_release_manager_lies_where_it_came(two: Run) -> None:
    people = toy.toy_of(two.world).people
    upto(two, "hang")
    refused(WaitingError, two.apply, "hang")
    two.hand_over(NEW[0], *RM, "so")
    said: list[str] = []
    two.observe = said.append
    request = people.requests()[-1]
    people.send(people.answer(request, RM[1]), request.key)
    refused(WaitingError, two.apply, "hang")
    assert said[-1] == "Rika handed this run over: the answer does not count"
    assert "decided" not in events(two, "hang")


def test_an_open_gate_is_put_to_the_new_release_manager_once(two: Run) -> None:
    people = toy.toy_of(two.world).people
    refused(WaitingError, upto(two, "hang").apply, "hang")
    assert [one.manager for one in people.requests()] == [""]
    two.hand_over(NEW[0], *RM, "so")
    for _ in range(2):
        refused(WaitingError, two.apply, "hang")
    assert [one.manager for one in people.requests()] == ["Nora"]
    assert events(two, "hang") == ["asked", "asked"]
    request = people.requests()[0]
    people.send(people.answer(request, RM[1], who=NEW[0]), request.key)
    assert "waits for expert" in str(refused(WaitingError, two.apply, "hang"))


def test_a_run_can_be_handed_back(two: Run) -> None:
    two.hand_over("Nora", *RM, "so")
    two.hand_over("Rika", *NEW, "so")
    approve(upto(two, "hang"))
    assert two.apply("hang").complete
    assert two.manager == "Rika"


@pytest.mark.parametrize(
    ("to", "who", "role", "code"),
    [
        ("Mallory", *RM, "NOT_IN_ROLE"),
        ("Elif", *RM, "NOT_IN_ROLE"),
        ("Rika", *RM, "NOT_HANDED_OVER"),
        ("Nora", "Elif", "expert", "NOT_HANDED_OVER"),
    ],
)
def test_a_run_is_handed_over_only_by_one_release_manager_to_another(
    two: Run, to: str, who: str, role: str, code: str
) -> None:
    assert unchanged(two, GateError, two.hand_over, to, who, role, "so") == code


# --- gates without anything to decide, waits that are waived, evidence --------------------------


@pytest.fixture
def more(record: Path, tmp_path: Path) -> Run:
    """Return a run of the longer recipe, with its first step done."""
    toy.declare_more()
    run = toy.Toy.at(tmp_path / "more").open(record)
    run.apply("look")
    return run


def test_nobody_is_asked_about_a_plan_with_nothing_in_it(more: Run) -> None:
    proposal = more.propose("quiet")
    assert not proposal.undecided
    assert more.ask(proposal) == ()
    assert refused(GateError, more.decide, proposal, "approve", *WHY).code == "NO_GATE"
    assert more.apply("quiet").complete
    assert events(more, "quiet") == ["planned", "completed"]


def test_people_are_asked_as_soon_as_there_is_something(more: Run) -> None:
    toy.toy_of(more.world).box.turn("knob words", "all is well")
    assert refused(WaitingError, more.apply, "quiet").code == "GATE_OPEN"
    approve(more, "quiet")
    assert more.apply("quiet").complete


def test_a_wait_that_may_be_waived_holds_the_step_up_until_it_is(more: Run) -> None:
    assert "candles" in str(refused(WaitingError, more.apply, "buy"))
    more.waive(more.propose("buy"), "candles", *RM, "the shop is closed")
    assert more.propose("buy").waivable == ()
    assert more.apply("buy").complete
    assert toy.toy_of(more.world).box.value(key="light") == "moon"
    assert events(more, "buy") == [
        "waited",
        "waived",
        "planned",
        "started",
        "done",
        "completed",
    ]


def test_a_waiver_of_a_wait_is_bound_to_the_plan(more: Run) -> None:
    more.waive(more.propose("buy"), "candles", *RM, "the shop is closed")
    box = toy.toy_of(more.world).box
    box.turn("knob candles", "yes")
    assert more.apply("buy").complete
    assert box.value(key="light") == "candles", "what came after all is taken"


def test_a_wait_that_may_not_be_waived_is_not(more: Run) -> None:
    toy.toy_of(more.world).box.turn("knob bread", "no")
    call = (more.waive, more.propose("buy"), "bread", *RM, "so")
    assert unchanged(more, GateError, *call) == "NOT_WAIVABLE"
    more.waive(more.propose("buy"), "candles", *RM, "so")
    assert "bread" in str(refused(WaitingError, more.apply, "buy"))


def test_evidence_is_given_where_it_is_awaited_by_whom_it_is_asked_of(more: Run) -> None:
    assert unchanged(more, GateError, more.testify, "bell", *EXPERT, "rung") == "NOT_ASKED"
    refused(WaitingError, more.apply, "ring")
    assert unchanged(more, GateError, more.testify, "horn", *EXPERT, "blown") == "NOT_ASKED"
    assert unchanged(more, GateError, more.testify, "bell", *RM, "rung") == "NOT_ASKED"
    assert unchanged(more, GateError, more.testify, "bell", "Mallory", "expert", "rung") == (
        "NOT_IN_ROLE"
    )
    assert unchanged(more, GateError, more.testify, "bell", *EXPERT, " ") == "REASON_MISSING"
    more.testify("bell", *EXPERT, "rung at noon")
    done = more.apply("ring")
    assert done.plan.evidence[0].excerpt == "rung at noon"
    assert unchanged(more, GateError, more.testify, "bell", *EXPERT, "late") == "NOT_ASKED"


def test_evidence_of_an_earlier_revision_is_not_taken_for_new(more: Run) -> None:
    refused(WaitingError, more.apply, "ring")
    more.testify("bell", *EXPERT, "rung at noon")
    more.apply("ring")
    more.respin("ring", *WHY)
    assert refused(WaitingError, more.apply, "ring").code == "NOT_READY"
    more.testify("bell", *EXPERT, "rung at one")
    assert more.apply("ring").plan.evidence[0].excerpt == "rung at one"
    given = toy.toy_of(more.world).people.read()
    assert {"evidence nonce-1-bell", "evidence nonce-1-r2-bell"} <= set(given)
