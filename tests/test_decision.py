"""A gate opens for the honest, complete set of decisions, and for nothing else.

Every subset of the approvals that a gate needs, by the policy of the rehearsal's world, times the
forgeries; with signatures that are quick, and then with those of SSH, GPG and Sigstore.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import toy
from guards import SUBJECTS as GUARDED
from rehearsals import ROOT
from test_run import refused, upto

from relkit import forms, view
from relkit import records as log
from relkit.adapters import attest, ssh
from relkit.adapters.gpg import GpgSigner, make_throwaway_key
from relkit.building.statement import Subject, statement
from relkit.decision import (
    DECISION,
    NAMESPACE,
    Decision,
    Verdict,
    check_decision,
    decision_text,
    read_decision,
)
from relkit.errors import CheckError, GateError, ReleaseError, VerificationError, WaitingError
from relkit.kinds import Kind
from relkit.policy import MANAGER, Policy
from relkit.rehearsal.signing import loopback
from relkit.rehearsal.sigstore import ISSUER, LoopbackSigstore
from relkit.release import Release
from relkit.run import Run
from relkit.step import steps_of
from relkit.steps.prepare import deciders, experts
from relkit.values import Identity, Person, Request, Signed
from relkit.verify_record.trust import KEYS, Trust
from relkit.verify_record.walk import Walk
from relkit.worlds import read_world_file

SUBJECTS = [Release.parse(one.name, one.kind, one.date) for one in GUARDED]
NOW = toy.NOW
PENS = toy.Pens()
FILE, _ = read_world_file(ROOT / "worlds" / "rehearsal.toml")
PEOPLE = tuple(
    toy.person(name, role) for role, one in FILE.people.items() for name in (one.name, *one.also)
)
COLLEAGUES = tuple(toy.person(f"Colleague of {role}", role) for role in FILE.people)
RULES = toy.POLICY.model_copy(
    update={
        "people": (*PEOPLE, *COLLEAGUES),
        "gates": FILE.gates,
        "kinds": dict(FILE.kinds.items()),
    }
)


def gates_of_every_kind() -> Iterator[tuple[Kind, str]]:
    for kind in Kind:
        for gate in {one.gate for one in steps_of(kind)} - {None}:
            assert gate is not None
            yield kind, gate


ASKED_ROLES = sorted({RULES.roles(gate, kind) for kind, gate in gates_of_every_kind()})
SUBSETS = [
    (roles, subset)
    for roles in ASKED_ROLES
    for subset in chain.from_iterable(combinations(roles, n) for n in range(len(roles) + 1))
]


def test_every_gate_of_every_kind_asks_one_of_these_sets_of_roles() -> None:
    """From the first candidate on two persons publish; each expert's gate is that expert's."""
    every = {(kind, gate): RULES.roles(gate, kind) for kind, gate in gates_of_every_kind()}
    assert len(every) > 40
    two = {kind for (kind, gate), roles in every.items() if gate == "publish" and len(roles) == 2}
    assert two == {Kind.RC_1, Kind.RC, Kind.FINAL, Kind.BUGFIX, Kind.SECURITY, Kind.AMENDMENT}
    for (_, gate), roles in every.items():
        if gate in {"windows", "macos", "docs"}:
            assert roles == (f"{gate}-expert",)
        else:
            assert MANAGER in roles


# --- a gate, and what lies before it ------------------------------------------------------------


@dataclass
class Gate:
    """An open gate of a toy run that asks the roles of a gate of the real policy."""

    run: Run
    request: Request

    @property
    def people(self) -> toy.People:
        return toy.toy_of(self.run.world).people

    def lay(self, *answers: Signed) -> None:
        """Let exactly these answers lie there."""
        name = f"answers {self.request.key}"
        self.people.turn(name, [one.to_data() for one in answers])

    def missing(self) -> tuple[str, ...]:
        return self.run.ask(self.run.propose("hang"))

    def codes(self) -> list[str]:
        return [one.code for one in self.run.refusals("hang")]

    def say(self, role: str, **given: Any) -> Signed:  # noqa: ANN401 (those of `say`)
        return say(self.request, holder(role), role, **given)


def holder(role: str) -> str:
    return RULES.person(role).name


def say(  # noqa: PLR0913, PLR0917 (what an answer has)
    request: Request,
    who: str,
    role: str,
    verdict: Verdict = "approve",
    reason: str = "looked at",
    at: datetime = NOW,
    hand: str = "",
) -> Signed:
    """Return an answer, signed by whom it names or by another hand."""
    text = decision_text(
        request, who=who, role=role, verdict=verdict, reason=reason, at=at, typed=request.typed
    )
    return PENS.sign(who=hand or who, text=text)


@pytest.fixture
def gate(tmp_path: Path, toy_steps: None) -> Callable[..., Gate]:  # noqa: ARG001 (in the place of the real steps)
    def make(roles: tuple[str, ...], policy: Policy = RULES) -> Gate:
        mine = policy.model_copy(update={"gates": {"hanging": roles}, "kinds": {}})
        run = upto(toy.Toy.at(tmp_path / "world", policy=mine).open(tmp_path / "run"), "hang")
        run.ask(run.propose("hang"))
        return Gate(run, toy.toy_of(run.world).people.requests()[-1])

    return make


# --- forgeries: each is one answer in a role that has not approved -------------------------------

Forge = Callable[[Request, str], Signed]


def other_than(role: str) -> str:
    """Return the release manager, or for that role somebody else."""
    return holder("second-manager" if role == MANAGER else MANAGER)


def changed(name: str, value: object) -> Forge:
    """Answer something else that was asked, or that could have been."""
    return lambda asked, role: say(asked.model_copy(update={name: value}), holder(role), role)


def restated(change: Callable[[list[Subject]], list[Subject]]) -> Forge:
    """Sign a statement about other files."""

    def forge(asked: Request, role: str) -> Signed:
        honest = json.loads(say(asked, holder(role), role).text)
        found = [Subject(one["name"], one["digest"]["sha256"]) for one in honest["subject"]]
        text = statement(change(found), predicate_type=DECISION, predicate=honest["predicate"])
        return PENS.sign(who=holder(role), text=text)

    return forge


def rewritten(change: Callable[[str], str], *, signed: bool) -> Forge:
    """Alter the text of a statement, before it is signed or after."""

    def forge(asked: Request, role: str) -> Signed:
        honest = say(asked, holder(role), role, "reject")
        text = change(honest.text)
        assert text != honest.text
        if signed:
            return PENS.sign(who=holder(role), text=text)
        return honest.model_copy(update={"text": text})

    return forge


FORGERIES: dict[str, tuple[Forge, str]] = {
    "the release manager signs as the expert": (
        lambda asked, role: say(asked, holder(role), role, hand=other_than(role)),
        "APPROVAL_SIGNATURE",
    ),
    "a colleague of the same role signs in that name": (
        lambda asked, role: say(asked, holder(role), role, hand=f"Colleague of {role}"),
        "APPROVAL_SIGNATURE",
    ),
    "the release manager gives himself the role": (
        lambda asked, role: say(asked, other_than(role), role),
        "APPROVAL_ROLE",
    ),
    "somebody in a role that is not asked": (
        lambda asked, _: say(asked, holder("web-editor"), "web-editor"),
        "APPROVAL_ROLE",
    ),
    "a stranger with a key of his own": (
        lambda asked, role: say(asked, "Mallory", role),
        "APPROVAL_ROLE",
    ),
    "a key that is not in the policy": (
        lambda asked, role: say(asked, holder(role), role, hand="Mallory"),
        "APPROVAL_SIGNATURE",
    ),
    "a name that looks alike": (
        lambda asked, role: say(asked, f"{holder(role)} ", role, hand=holder(role)),
        "APPROVAL_ROLE",
    ),
    "another digest": (changed("digest", "0" * 64), "APPROVAL_FOREIGN"),
    "the last release": (changed("release", "3.14.0"), "APPROVAL_FOREIGN"),
    "another run": (changed("nonce", "nonce-0"), "APPROVAL_FOREIGN"),
    "the last revision": (changed("revision", 0), "APPROVAL_FOREIGN"),
    "another step": (changed("step", "paint"), "APPROVAL_FOREIGN"),
    "another policy": (changed("policy", "0" * 64), "APPROVAL_FOREIGN"),
    "another ledger": (changed("head", "0" * 64), "APPROVAL_FOREIGN"),
    "a longer time": (changed("expires", NOW + timedelta(days=99)), "APPROVAL_FOREIGN"),
    "a waiver": (changed("waives", "the nail holds"), "APPROVAL_FOREIGN"),
    "a name typed that nobody asked for": (changed("typed", "toy"), "PRODUCTION_UNCONFIRMED"),
    "no name typed, and said so": (
        rewritten(lambda text: text.replace('"step":', '"typed":"","step":'), signed=True),
        "APPROVAL_MALFORMED",
    ),
    "said after its time": (
        lambda asked, role: say(asked, holder(role), role, at=asked.expires + timedelta(1)),
        "APPROVAL_EXPIRED",
    ),
    "from the future": (
        lambda asked, role: say(asked, holder(role), role, at=NOW + timedelta(days=1)),
        "APPROVAL_TIME",
    ),
    "without a reason": (
        lambda asked, role: say(asked, holder(role), role, reason=" \n"),
        "REASON_MISSING",
    ),
    "altered after it was signed": (
        rewritten(lambda text: text.replace('"reject"', '"approve"'), signed=False),
        "APPROVAL_SIGNATURE",
    ),
    "without a signature": (
        lambda asked, role: say(asked, holder(role), role).model_copy(update={"signature": ""}),
        "APPROVAL_SIGNATURE",
    ),
    "a signature of another scheme": (
        lambda asked, role: say(asked, holder(role), role).model_copy(update={"scheme": "gpg"}),
        "APPROVAL_SIGNATURE",
    ),
    "the signature of an earlier answer": (
        lambda asked, role: say(asked, holder(role), role).model_copy(
            update={"signature": say(asked, holder(role), role, "reject").signature}
        ),
        "APPROVAL_SIGNATURE",
    ),
    "one file more": (
        restated(lambda found: [*found, Subject("evil.exe", "0" * 64)]),
        "APPROVAL_SUBJECTS",
    ),
    "one file less": (restated(lambda found: found[:-1]), "APPROVAL_SUBJECTS"),
    "a file under another name": (
        restated(lambda found: [replace(found[0], name="z"), *found[1:]]),
        "APPROVAL_SUBJECTS",
    ),
    "names swapped": (
        restated(
            lambda found: [
                replace(found[0], name=found[1].name),
                replace(found[1], name=found[0].name),
            ]
        ),
        "APPROVAL_SUBJECTS",
    ),
    "no statement": (rewritten(lambda _: "approve", signed=True), "APPROVAL_MALFORMED"),
    "nothing": (rewritten(lambda _: "", signed=True), "APPROVAL_MALFORMED"),
    "a statement of another type": (
        rewritten(lambda text: text.replace("decision/v1", "build/v1"), signed=True),
        "APPROVAL_MALFORMED",
    ),
    "two verdicts": (
        rewritten(
            lambda text: text.replace('"verdict":', '"verdict":"approve","verdict":'), signed=True
        ),
        "APPROVAL_MALFORMED",
    ),
    "a verdict nobody knows": (
        rewritten(lambda text: text.replace('"reject"', '"APPROVE"'), signed=True),
        "APPROVAL_MALFORMED",
    ),
    "a number as text": (
        rewritten(lambda text: text.replace('"revision":1', '"revision":"1"'), signed=True),
        "APPROVAL_MALFORMED",
    ),
    "a field more": (
        rewritten(lambda text: text.replace('"waives":', '"x":1,"waives":'), signed=True),
        "APPROVAL_MALFORMED",
    ),
    "words for a terminal": (
        rewritten(lambda text: text.replace("looked at", "\\u001b[2Jlooked"), signed=True),
        "APPROVAL_MALFORMED",
    ),
    "a hundred thousand brackets": (
        rewritten(lambda _: "[" * 100_000, signed=True),
        "APPROVAL_MALFORMED",
    ),
}


@pytest.mark.parametrize(
    ("roles", "subset"), SUBSETS, ids=lambda roles: "+".join(roles) or "nobody"
)
def test_a_gate_opens_for_the_honest_and_complete_set_only(
    gate: Callable[..., Gate], roles: tuple[str, ...], subset: tuple[str, ...]
) -> None:
    """Every subset of the approvals times every forgery in each role that is missing."""
    one = gate(roles)
    one.lay(*(one.say(role) for role in subset))
    missing = tuple(role for role in roles if role not in subset)
    assert one.missing() == missing
    records, every = len(one.run.ledger.records), list[Signed]()
    for role in missing:
        for name, (forge, code) in FORGERIES.items():
            one.lay(forge(one.request, role))
            assert (one.missing(), one.codes()) == (missing, [code]), name
        every = [forge(one.request, role) for forge, _ in FORGERIES.values()]
        one.lay(*every)
        assert one.missing() == missing
        assert one.codes() == [code for _, code in FORGERIES.values()]
    assert len(one.run.ledger.records) == records, "what is refused leaves no record"
    if missing:
        assert refused(WaitingError, one.run.apply, "hang").code == "GATE_OPEN"
        assert toy.toy_of(one.run.world).box.value(key="hung") is None
        one.lay(*every, *(one.say(role) for role in missing))
    assert one.run.apply("hang").complete, "junk beside it stops no honest answer"


def test_why_an_answer_was_refused_is_said_as_long_as_it_lies_there(
    gate: Callable[..., Gate],
) -> None:
    one = gate(("windows-expert",))
    forge, code = FORGERIES["another digest"]
    one.lay(forge(one.request, "windows-expert"))
    assert code in str(refused(WaitingError, one.run.apply, "hang"))
    one.lay()
    assert "refused" not in str(refused(WaitingError, one.run.apply, "hang"))
    assert one.run.refusals("paint") == ()


# --- one person, more words than one ------------------------------------------------------------

BOTH = (MANAGER, "second-manager")


def test_one_person_with_two_roles_and_two_keys_is_one_person(gate: Callable[..., Gate]) -> None:
    rae = holder(MANAGER)
    keys = {MANAGER: toy.identity(rae), "second-manager": toy.identity("Rae's other key")}
    twice = [
        Person(name=rae, role=role, time_zone="UTC", identities=(key,))
        for role, key in keys.items()
    ]
    policy = RULES.model_copy(update={"people": (*twice, *PEOPLE[2:])})
    one = gate(BOTH, policy)
    answers = [
        say(one.request, rae, MANAGER),
        say(one.request, rae, "second-manager", hand="Rae's other key"),
    ]
    one.lay(*answers)
    assert len(one.missing()) == 1
    assert one.codes() == []
    assert refused(WaitingError, one.run.apply, "hang").code == "GATE_OPEN"
    one.lay(*answers, one.say("second-manager"))
    assert one.missing() == ()


def test_two_persons_in_one_role_do_not_fill_another(gate: Callable[..., Gate]) -> None:
    one = gate(BOTH)
    one.lay(*(say(one.request, who, MANAGER) for who in ("Rae Manager", "Robin Relief")))
    assert one.missing() == ("second-manager",)


def later(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_rejection_is_no_approval(gate: Callable[..., Gate]) -> None:
    one = gate(BOTH)
    one.lay(one.say(MANAGER), one.say("second-manager", verdict="reject", reason="not yet"))
    assert refused(GateError, one.missing).code == "GATE_REJECTED"
    assert refused(GateError, one.run.apply, "hang").code == "GATE_REJECTED"


def test_who_approved_may_take_it_back_until_it_is_done(gate: Callable[..., Gate]) -> None:
    one = gate(BOTH)
    yes = one.say("second-manager")
    one.lay(one.say(MANAGER), yes)
    assert one.missing() == ()
    no = one.say("second-manager", verdict="reject", reason="I saw something", at=later(60))
    one.lay(one.say(MANAGER), yes, no)
    assert refused(GateError, one.run.apply, "hang").code == "GATE_REJECTED"
    one.lay(yes)  # the release manager takes the rejection away, which is recorded by now
    assert refused(GateError, one.run.apply, "hang").code == "GATE_REJECTED"
    old = one.say("second-manager", reason="another early word", at=later(30))
    one.lay(yes, old)
    assert refused(GateError, one.run.apply, "hang").code == "GATE_REJECTED"
    assert one.codes() == ["APPROVAL_REPLAYED"]
    one.lay(one.say("second-manager", reason="my mistake", at=later(90)))
    assert one.run.apply("hang").complete


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["so", "turned"])
def test_of_two_words_of_one_second_the_rejection_counts(
    gate: Callable[..., Gate], order: slice
) -> None:
    one = gate(("macos-expert",))
    words = [one.say("macos-expert"), one.say("macos-expert", verdict="reject", reason="no")]
    one.lay(*words[order])
    assert refused(GateError, one.missing).code == "GATE_REJECTED"
    one.lay(one.say("macos-expert", reason="of the same second"))
    assert refused(GateError, one.missing).code == "GATE_REJECTED"
    assert one.codes() == ["APPROVAL_REPLAYED"]


def test_an_answer_that_comes_too_late_is_refused_and_the_request_put_anew(
    gate: Callable[..., Gate],
) -> None:
    one = gate(("macos-expert",))
    early = one.say("macos-expert")
    toy.toy_of(one.run.world).clock.time = one.request.expires + timedelta(seconds=1)
    one.lay(early)
    assert one.missing() == ("macos-expert",)
    assert one.codes() == ["APPROVAL_EXPIRED"]
    new = one.people.requests()[-1]
    assert new.head != one.request.head
    one.lay(say(new, holder("macos-expert"), "macos-expert", at=one.run.now()))
    assert one.missing() == ()


def test_a_clock_that_goes_back_makes_no_late_answer_good(gate: Callable[..., Gate]) -> None:
    """T64: time is never before the newest record, and a run does not go on with such a clock."""
    one = gate(("macos-expert",))
    clock = toy.toy_of(one.run.world).clock
    clock.time = one.request.expires + timedelta(days=1)
    assert one.missing() == ("macos-expert",)  # asked anew: a record of that time
    clock.time = NOW
    one.lay(one.say("macos-expert"))
    assert one.missing() == ("macos-expert",)
    assert one.codes() == ["APPROVAL_EXPIRED"]
    new = one.people.requests()[-1]
    one.lay(say(new, holder("macos-expert"), "macos-expert", at=one.run.now()))
    assert _code(one.missing) == "CLOCK_BACKWARDS"


def _code(call: Callable[[], object]) -> str:
    with pytest.raises(ReleaseError) as refusal:
        call()
    return refusal.value.code


def test_what_is_said_at_the_notebook_is_later_than_what_the_same_person_sent(
    gate: Callable[..., Gate],
) -> None:
    one = gate((MANAGER,))
    ahead = NOW + timedelta(minutes=4)
    one.lay(one.say(MANAGER, at=ahead))
    assert one.missing() == ()
    one.run.decide(one.run.propose("hang"), "reject", *RAE, "I see something")
    assert one.run.progress("hang").decisions[-1].made > ahead
    assert refused(GateError, one.run.apply, "hang").code == "GATE_REJECTED"


def test_a_persons_clock_may_be_a_little_ahead(gate: Callable[..., Gate]) -> None:
    one = gate(("macos-expert",))
    one.lay(one.say("macos-expert", at=NOW + timedelta(minutes=4)))
    assert one.missing() == ()


# --- waivers --------------------------------------------------------------------------------------


@pytest.fixture
def waiving(tmp_path: Path, toy_steps: None) -> Run:  # noqa: ARG001 (in the place of the real steps)
    """Return a run whose failed check takes two persons, before the first step."""
    update = {
        "people": PEOPLE,
        "waivers": FILE.waivers,
        "waivers_needed": {Kind.ALPHA: 2},
        "present": (MANAGER,),
    }
    world = toy.Toy.at(tmp_path / "world", policy=RULES.model_copy(update=update))
    world.box.turn("knob lamp", "red")
    return world.open(tmp_path / "run")


CHECK = "the lamp is green"
RAE, SAM = ("Rae Manager", MANAGER), ("Sam Second", "second-manager")


def answer_waiver(run: Run, **given: Any) -> None:  # noqa: ANN401 (those of `say`)
    people = toy.toy_of(run.world).people
    asked = people.requests()[-1]
    people.send(say(asked, *SAM, **given), asked.key)


def test_a_waiver_that_takes_two_says_who_is_still_needed(waiving: Run) -> None:
    assert refused(CheckError, waiving.apply, "look").args[0] == f"{CHECK}: fail"
    waiving.waive(waiving.propose("look"), CHECK, *RAE, "it is painted red")
    said = str(refused(CheckError, waiving.apply, "look"))
    assert "waived by Rae Manager, which takes 1 more: Robin Relief" in said
    assert "Sam Second (second-manager)" in said
    answer_waiver(waiving)
    assert waiving.apply("look").complete
    assert {one.who for one in waiving.progress("look").waivers} == {RAE[0], SAM[0]}


def test_the_form_of_who_has_waived_says_who_is_still_needed(
    waiving: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[view.View] = []
    monkeypatch.setattr(forms, "show", shown.append)
    waiving.waive(waiving.propose("look"), CHECK, *RAE, "it is painted red")
    forms.waive(waiving, waiving.propose("look"), CHECK)
    (one,) = shown
    assert one.text.startswith(f"{CHECK}; waived by Rae Manager, which")
    assert "Sam Second (second-manager)" in one.text


def test_one_person_waives_once_however_often(waiving: Run) -> None:
    for reason in ("it is painted red", "and I say it again"):
        waiving.waive(waiving.propose("look"), CHECK, *RAE, reason)
    assert "takes 1 more" in str(refused(CheckError, waiving.apply, "look"))


def test_who_does_not_waive_may_decide_anew(waiving: Run) -> None:
    waiving.waive(waiving.propose("look"), CHECK, *RAE, "it is painted red")
    answer_waiver(waiving, verdict="reject", reason="no", at=later(10))
    answer_waiver(waiving, reason="earlier", at=later(5))
    for _ in range(2):
        assert _code(partial(waiving.apply, "look")) == "WAIVER_REJECTED"
    answer_waiver(waiving, reason="I looked again", at=later(20))
    assert waiving.apply("look").complete


def test_who_waived_may_take_it_back_until_it_is_used(waiving: Run) -> None:
    box = toy.toy_of(waiving.world).box
    box.turn("knob dust", "some")  # only warns: it is part of the plan that is waived for
    waiving.waive(waiving.propose("look"), CHECK, *RAE, "it is painted red")
    answer_waiver(waiving)
    waiving.take_waivers(waiving.propose("look"))
    assert waiving.propose("look").waivable == ()
    answer_waiver(waiving, verdict="reject", reason="I saw something", at=later(10))
    assert _code(partial(waiving.apply, "look")) == "WAIVER_REJECTED"


def test_the_release_manager_does_not_waive_as_the_second_person(waiving: Run) -> None:
    waiving.waive(waiving.propose("look"), CHECK, *RAE, "it is painted red")
    answer_waiver(waiving, hand=RAE[0])
    said = str(refused(CheckError, waiving.apply, "look"))
    assert "takes 1 more" in said
    assert "APPROVAL_SIGNATURE" in said


def test_two_release_managers_after_a_hand_over_are_not_two_persons_who_waive(
    waiving: Run,
) -> None:
    waiving.waive(waiving.propose("look"), CHECK, *RAE, "it is painted red")
    waiving.hand_over("Robin Relief", *RAE, "my train leaves")
    waiving.waive(waiving.propose("look"), CHECK, "Robin Relief", MANAGER, "so do I")
    assert "takes 1 more" in str(refused(CheckError, waiving.apply, "look"))
    answer_waiver(waiving)
    assert waiving.apply("look").complete


def test_a_record_in_which_too_few_have_waived_is_seen_through(waiving: Run) -> None:
    """Two release managers are one person who waives; the ledger is planted, as a run never is."""
    waiving.waive(waiving.propose("look"), CHECK, *RAE, "it is painted red")
    waiving.hand_over("Robin Relief", *RAE, "my train leaves")
    waiving.waive(waiving.propose("look"), CHECK, "Robin Relief", MANAGER, "so do I")
    plan = waiving.propose("look").plan
    waiving._record(log.Planned(step="look", digest=plan.digest, plan=plan.to_data()))
    faults = Walk(toy.RELEASE, waiving.ledger).faults
    assert [(one.subject, one.code) for one in faults] == [("waivers", "WAIVER_MISSING")]


# --- what people are told -------------------------------------------------------------------------


@pytest.mark.parametrize("subject", [one for one in SUBJECTS if one.facts.publishes], ids=str)
def test_everybody_who_is_asked_at_a_gate_was_told_and_only_who_builds_is_told_to_build(
    subject: Release,
) -> None:
    roster = SimpleNamespace(roster=lambda: PEOPLE)
    world: Any = SimpleNamespace(policy=RULES, people=roster)
    build = {one.role for one in experts(subject, world)}
    decide = {one.role for one in deciders(subject, world)}
    gates = {one.gate for one in steps_of(subject.kind) if one.gate}
    asked = {role for gate in gates for role in RULES.roles(gate, subject.kind)}
    assert asked - {MANAGER} <= build | decide
    assert not build & decide
    assert build <= {"windows-expert", "macos-expert", "docs-expert"}
    two = subject.kind not in {Kind.ALPHA, Kind.BETA_1, Kind.BETA}
    assert decide == ({"second-manager"} if two else set())


def test_refused_answers_are_shown_with_their_code_and_nothing_in_them_is_markup(
    gate: Callable[..., Gate],
) -> None:
    one = gate(("macos-expert",))
    one.lay(say(one.request, "<script>alert(1)</script>", "macos-expert"))
    one.missing()
    shown = view.refusals(one.run.refusals("hang"))
    assert "APPROVAL_ROLE" in shown.text
    assert "<script>" not in shown.html
    assert "&lt;script&gt;" in shown.html


# --- what is signed -------------------------------------------------------------------------------

PLAN: dict[str, Any] = {
    "step": "hang",
    "revision": 1,
    "subjects": [{"name": "picture.png", "size": 6, "sha256": "5" * 64}],
}
REQUEST = Request(
    release="3.15.0a1",
    revision=1,
    step="hang",
    nonce="nonce-1",
    plan=PLAN,
    digest=hashlib.sha256(b"plan").hexdigest(),
    roles=("expert",),
    policy=toy.POLICY.digest,
    head="1" * 64,
    expires=NOW + timedelta(days=14),
)


def test_the_signed_text_is_one_statement_about_the_plan_and_each_file() -> None:
    text = say(REQUEST, "Elif", "expert").text
    data = json.loads(text)
    assert data["_type"] == "https://in-toto.io/Statement/v1"
    assert data["predicateType"] == DECISION
    assert data["subject"] == [
        {"name": "picture.png", "digest": {"sha256": "5" * 64}},
        {"name": "plan of hang", "digest": {"sha256": REQUEST.digest}},
    ]
    assert set(data["predicate"]) == set(Decision.model_fields) - {"typed"}
    assert read_decision(text).verdict == "approve"
    assert say(REQUEST, "Elif", "expert").text == text


FINAL = REQUEST.model_copy(update={"rehearsal": False, "typed": "cpython"})


def counted(signed: Signed, request: Request) -> str:
    """Return what an answer says was typed back, or the code of the refusal."""
    try:
        made = check_decision(signed, requests=[request], policy=toy.POLICY, verifier=PENS, now=NOW)
    except GateError as refusal:
        return refusal.code
    return made.typed


def test_the_name_that_was_typed_back_is_signed_and_an_approval_without_it_does_not_count() -> None:
    """The request may have been altered where it lay: nobody then asks for the name, or another."""
    signed = say(FINAL, "Elif", "expert")
    assert json.loads(signed.text)["predicate"]["typed"] == "cpython"
    assert counted(signed, FINAL) == "cpython"
    for name in ("", "rehearsal", "CPYTHON"):
        altered = FINAL.model_copy(update={"typed": name})
        assert counted(say(altered, "Elif", "expert"), FINAL) == "PRODUCTION_UNCONFIRMED"
    assert counted(signed, REQUEST) == "PRODUCTION_UNCONFIRMED"


def test_a_rejection_needs_no_name() -> None:
    signed = say(FINAL, "Elif", "expert", "reject")
    assert "typed" not in json.loads(signed.text)["predicate"]
    assert counted(signed, FINAL) == ""


@pytest.mark.parametrize("typed", ["", "yes", "CPYTHON"])
def test_no_approval_is_made_without_the_name(typed: str) -> None:
    given: dict[str, Any] = {"who": "Elif", "role": "expert", "reason": "r", "at": NOW}
    with pytest.raises(GateError, match="PRODUCTION_UNCONFIRMED"):
        decision_text(FINAL, **given, verdict="approve", typed=typed)
    assert decision_text(FINAL, **given, verdict="reject", typed=typed)
    made = decision_text(FINAL, **given, verdict="approve", typed=" cpython\n")
    assert read_decision(made).typed == "cpython"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reason", "\x1b[2J"),
        ("reason", "x" * 5000),
        ("who", "a\x00"),
        ("at", NOW.replace(microsecond=1)),
    ],
)
def test_what_cannot_be_said_is_refused_before_it_is_signed(name: str, value: object) -> None:
    given: dict[str, Any] = {"who": "Elif", "role": "expert", "verdict": "approve"}
    given |= {"reason": "r", "at": NOW, name: value}
    with pytest.raises(GateError, match="APPROVAL_MALFORMED"):
        decision_text(REQUEST, **given)


@pytest.mark.parametrize("at", [NOW.replace(tzinfo=None), "2026-05-05T14:00:00+02:00"])
def test_a_time_that_is_not_utc_is_refused(at: Any) -> None:  # noqa: ANN401 (a time that is none)
    given: dict[str, Any] = {"who": "Elif", "role": "expert", "verdict": "approve", "reason": "r"}
    with pytest.raises(GateError, match=r"not in UTC|timezone"):
        decision_text(REQUEST, **given, at=at)


def test_of_several_requests_for_one_plan_each_is_answered_by_its_own_words() -> None:
    """After a hand-over or an expiry the same plan is asked again: older answers stay good."""
    again = REQUEST.model_copy(update={"head": "2" * 64, "manager": "Nora"})
    stranger = REQUEST.model_copy(update={"head": "3" * 64})
    check: Any = partial(
        check_decision, requests=[REQUEST, again], policy=toy.POLICY, verifier=PENS, now=NOW
    )
    for asked in (REQUEST, again):
        assert check(say(asked, "Elif", "expert")).head == asked.head
    with pytest.raises(GateError, match=r"APPROVAL_FOREIGN.*head"):
        check(say(stranger, "Elif", "expert"))
    with pytest.raises(GateError, match=r"APPROVAL_FOREIGN.*nobody asked"):
        check_decision(
            say(REQUEST, "Elif", "expert"), requests=[], policy=toy.POLICY, verifier=PENS, now=NOW
        )


def test_a_refusal_shows_nothing_that_a_terminal_obeys() -> None:
    text = say(REQUEST, "Elif", "expert").text.replace("hang", "ha\u202eng")
    for signed in (PENS.sign(who="Elif", text=text), PENS.sign(who="Elif", text="\x1b[2J\u202e")):
        with pytest.raises(GateError) as refusal:
            check_decision(signed, requests=[REQUEST], policy=toy.POLICY, verifier=PENS, now=NOW)
        assert str(refusal.value).isprintable()


# --- with real signatures -------------------------------------------------------------------------


@dataclass
class Hands:
    """Somebody of the policy and somebody else, each with a key of every scheme."""

    folder: Path
    gpg: GpgSigner
    mallory: GpgSigner
    sigstore: LoopbackSigstore

    @property
    def policy(self) -> Policy:
        key = ssh.public_key(self.folder / "elif.pub")
        identities = (
            Identity(scheme="ssh", key=key),
            Identity(scheme="gpg", key=self.gpg.fingerprint),
            Identity(scheme="sigstore", key="elif@example.org", issuer=ISSUER),
        )
        elif_ = Person(name="Elif", role="expert", time_zone="UTC", identities=identities)
        return toy.POLICY.model_copy(update={"people": (*toy.POLICY.people[:1], elif_)})

    @property
    def attestor(self) -> attest.Attestor:
        verify = attest.sigstore_verifier(self.sigstore.trusted_root())
        return attest.Attestor(gpg=self.gpg, sigstore=verify)

    def check(self, signed: Signed) -> str:
        """Return who approved, or the code and reason of the refusal."""
        request = REQUEST.model_copy(update={"expires": NOW + timedelta(days=9999)})
        try:
            said = check_decision(
                signed, requests=[request], policy=self.policy, verifier=self.attestor, now=NOW
            )
        except GateError as refusal:
            return str(refusal)
        return said.who

    def sign(self, scheme: str, *, honest: bool = True, text: str = "") -> Signed:
        text = text or TEXT
        who = "elif" if honest else "mallory"
        if scheme == "ssh":
            return attest.sign_with_ssh(text, self.folder / who)
        if scheme == "gpg":
            return attest.sign_with_gpg(text, self.gpg if honest else self.mallory)
        with loopback(self.folder, f"{who}@example.org") as signer:
            return attest.sign_with_sigstore(text, signer)


TEXT = say(
    REQUEST.model_copy(update={"expires": NOW + timedelta(days=9999)}), "Elif", "expert"
).text


@pytest.fixture(scope="module")
def hands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hands]:
    folder = tmp_path_factory.mktemp("hands")
    for name in ("elif", "mallory"):
        ssh.make_key(folder / name)
    prints = [
        make_throwaway_key(folder / f"gpg-{name}", name, f"{name}@example.org")
        for name in ("elif", "mallory")
    ]
    with (
        GpgSigner(folder / "gpg-elif", prints[0]) as gpg,
        GpgSigner(folder / "gpg-mallory", prints[1]) as mallory,
    ):
        gpg.program.import_keys(mallory.export_public())  # known, and not meant
        yield Hands(folder, gpg, mallory, LoopbackSigstore(folder / "sigstore"))


SCHEMES = ("ssh", "gpg", "sigstore")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_decision_may_be_signed_in_each_scheme_of_the_policy(hands: Hands, scheme: str) -> None:
    signed = hands.sign(scheme)
    assert hands.check(signed) == "Elif"
    altered = signed.model_copy(update={"text": TEXT.replace("looked at", "looked up")})
    assert "APPROVAL_SIGNATURE" in hands.check(altered)
    assert "APPROVAL_SIGNATURE" in hands.check(hands.sign(scheme, honest=False))
    for other in {*SCHEMES} - {scheme}:
        claimed = signed.model_copy(update={"scheme": other})
        assert "APPROVAL_SIGNATURE" in hands.check(claimed), other


def test_the_release_manager_signs_by_the_agent_of_ssh_or_gpg(hands: Hands) -> None:
    for keys, scheme in (
        ({"gpg_keys": {"Elif": hands.gpg}}, "gpg"),
        ({"keys": {"Elif": hands.folder / "elif"}}, "ssh"),
    ):
        signed = replace(hands.attestor, **keys).sign(who="Elif", text=TEXT)
        assert (signed.scheme, hands.check(signed)) == (scheme, "Elif")


def test_an_ssh_signature_for_another_purpose_or_of_another_principal_is_none(
    hands: Hands,
) -> None:
    made = ssh.sign(TEXT, key=hands.folder / "elif", namespace="git")
    assert "APPROVAL_SIGNATURE" in hands.check(Signed(scheme="ssh", text=TEXT, signature=made))


def test_the_right_address_of_another_issuer_signs_nothing(hands: Hands) -> None:
    people = hands.policy.people
    identity = Identity(
        scheme="sigstore", key="elif@example.org", issuer="https://other.example.org"
    )
    elif_ = people[1].model_copy(update={"identities": (identity,)})
    policy = hands.policy.model_copy(update={"people": (people[0], elif_)})
    request = REQUEST.model_copy(update={"expires": NOW + timedelta(days=9999)})
    with pytest.raises(GateError, match=r"APPROVAL_SIGNATURE.*SIGSTORE_IDENTITY"):
        check_decision(
            hands.sign("sigstore"),
            requests=[request],
            policy=policy,
            verifier=hands.attestor,
            now=NOW,
        )


def test_a_gpg_key_that_a_record_lacks_is_no_verdict(hands: Hands) -> None:
    """A record has the release manager's key; those of other people may be none of its own."""
    identity = Identity(scheme="gpg", key=hands.gpg.fingerprint)
    signed = hands.sign("gpg")
    with Trust({KEYS: hands.mallory.export_public().encode()}, None, None) as trust:
        trust.verify(signed=signed, identity=identity)
        assert list(trust.wanting) == ["GPG_KEYS_MISSING"]
    with Trust({KEYS: hands.gpg.export_public().encode()}, None, None) as trust:
        trust.verify(signed=signed, identity=identity)
        with pytest.raises(VerificationError):
            trust.verify(signed=hands.sign("gpg", honest=False), identity=identity)
        assert not trust.wanting


def stock(hands: Hands, scheme: str, text: Path, signature: Path) -> list[str | Path]:
    """Return the command of a stock tool that verifies a decision."""
    if scheme == "ssh":
        allowed = text.with_name("allowed_signers")
        key = ssh.public_key(hands.folder / "elif.pub")
        allowed.write_text(ssh.allowed_signer("elif", key, NAMESPACE))
        who = ["-I", "elif", "-n", NAMESPACE]
        return ["ssh-keygen", "-Y", "verify", "-f", allowed, "-s", signature, *who]
    if scheme == "gpg":
        home: list[str | Path] = ["--homedir", hands.gpg.homedir, "--no-options"]
        return ["gpg", *home, "--batch", "--verify", signature, text]
    config = text.with_name("trust.json")
    config.write_text(hands.sigstore.trust_config())
    who = ["--cert-identity", "elif@example.org", "--cert-oidc-issuer", ISSUER]
    command: list[str | Path] = [sys.executable, "-m", "sigstore", "--trust-config", config]
    command += ["verify", "identity"]
    return [*command, "--offline", "--bundle", signature, *who, text]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_stock_verifiers_agree_on_the_very_files(hands: Hands, scheme: str, tmp_path: Path) -> None:
    signed = hands.sign(scheme)
    text, signature = tmp_path / "decision.json", tmp_path / "decision.json.signature"
    signature.write_text(signed.signature)
    for words, good in ((TEXT, True), (TEXT.replace("approve", "reject"), False)):
        text.write_text(words, encoding="utf-8")
        command = stock(hands, scheme, text, signature)
        done = subprocess.run(
            command, input=words.encode(), capture_output=True, check=False, timeout=60
        )
        assert (done.returncode == 0) is good, done.stderr
        assert (hands.check(signed.model_copy(update={"text": words})) == "Elif") is good


def test_a_recorded_decision_carries_what_was_signed(gate: Callable[..., Gate]) -> None:
    one = gate((MANAGER,))
    one.run.decide(one.run.propose("hang"), "approve", *RAE, "seen")
    (made,) = one.run.progress("hang").decisions
    assert isinstance(made, log.Decided)
    said = read_decision(made.signed.text)
    assert (said.who, said.role, said.verdict, said.reason, said.at) == (
        *(made.who, made.role, made.verdict, made.reason, made.made),
    )
    PENS.verify(signed=made.signed, identity=toy.identity(RAE[0]))
