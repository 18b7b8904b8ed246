from __future__ import annotations

from typing import Literal

import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st

from relkit.errors import GateError
from relkit.policy import Policy
from relkit.records import Decided
from relkit.values import Person

POLICY = toy.POLICY
GATE = "hanging"


def decided(who: str, role: str, verdict: Literal["approve", "reject"] = "approve") -> Decided:
    return Decided(
        step="hang", digest="0" * 64, who=who, role=role, verdict=verdict, reason="r", via="answer"
    )


RM, ELIF, EMIL = (
    decided("Rika", "release-manager"),
    decided("Elif", "expert"),
    decided("Emil", "expert"),
)
NO = decided("Elif", "expert", "reject")


@pytest.mark.parametrize(
    ("decisions", "missing"),
    [
        ([], ("release-manager", "expert")),
        ([RM], ("expert",)),
        ([ELIF], ("release-manager",)),
        ([RM, ELIF], ()),
        ([EMIL, RM], ()),
        ([ELIF, EMIL], ("release-manager",)),
        ([RM, RM], ("expert",)),
        ([NO, ELIF, RM], ()),
        ([decided("Rika", "web-editor")], ("release-manager", "expert")),
    ],
)
def test_each_role_of_the_gate_must_approve(
    decisions: list[Decided], missing: tuple[str, ...]
) -> None:
    assert POLICY.missing(GATE, decisions) == missing


@pytest.mark.parametrize("decisions", [[NO], [ELIF, NO], [RM, EMIL, NO], [NO, EMIL, RM]])
def test_a_rejection_closes_the_gate_until_the_same_person_approves(
    decisions: list[Decided],
) -> None:
    with pytest.raises(GateError) as refusal:
        POLICY.missing(GATE, decisions)
    assert refusal.value.code == "GATE_REJECTED"
    assert POLICY.missing(GATE, [*decisions, ELIF, RM]) == ()


decisions = st.lists(
    st.builds(
        decided,
        st.sampled_from(["Rika", "Elif", "Emil"]),
        st.sampled_from(["release-manager", "expert", "other"]),
        st.sampled_from(["approve", "reject"]),
    ),
    max_size=8,
)


@given(decisions)
def test_a_gate_is_open_only_if_last_words_approve_in_every_role(made: list[Decided]) -> None:
    last = {(one.who, one.role): one.verdict for one in made}
    try:
        missing = POLICY.missing(GATE, made)
    except GateError:
        assert "reject" in last.values()
        return
    assert set(last.values()) <= {"approve"}
    assert set(missing) == set(POLICY.gates[GATE]) - {role for _, role in last}


@pytest.mark.parametrize("gate", ["", "unheard-of", "Hanging", "empty"])
def test_a_gate_that_asks_nobody_is_never_open(gate: str) -> None:
    policy = POLICY.model_copy(update={"gates": {**POLICY.gates, "empty": ()}})
    with pytest.raises(GateError) as refusal:
        policy.missing(gate, [RM, ELIF])
    assert refusal.value.code == "GATE_UNKNOWN"
    assert "hanging" in refusal.value.remedy
    with pytest.raises(GateError):
        policy.roles(gate)


def test_the_digest_of_a_policy_covers_all_of_it() -> None:
    changes: dict[str, object] = {
        "people": POLICY.people[:2],
        "gates": {GATE: ("release-manager",)},
        "waivers": (),
        "present": (),
        "sigstore_identity": "mallory@example.org",
        "sigstore_issuer": "https://elsewhere.example.org",
        "gpg_fingerprint": "B" * 40,
        "builders": {"source": "https://mallory.example.org/builder"},
    }
    assert set(changes) == set(Policy.model_fields)
    found = {POLICY.model_copy(update={name: value}).digest for name, value in changes.items()}
    assert len(found | {POLICY.digest}) == len(changes) + 1


def test_a_policy_goes_through_json_and_refuses_what_it_does_not_know() -> None:
    again = Policy.model_validate_json(POLICY.model_dump_json())
    assert (again, again.digest) == (POLICY, POLICY.digest)
    with pytest.raises(ValueError, match="extra"):
        Policy.model_validate({**POLICY.to_data(), "threshold": 1})


def test_people_are_found_by_role_and_by_nothing_else() -> None:
    assert POLICY.person("expert") == Person(name="Elif", role="expert", time_zone="UTC")
    POLICY.require_role("Emil", "expert")
    for who, role in (("Emil", "release-manager"), ("emil", "expert"), ("Emil", "")):
        with pytest.raises(GateError) as refusal:
            POLICY.require_role(who, role)
        assert refusal.value.code == "NOT_IN_ROLE"
