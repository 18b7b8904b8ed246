from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_jsonable_python
from rehearsals import ROOT

from relkit import sealing
from relkit.errors import GateError, RecordError, ReleaseError, UsageError
from relkit.history import History
from relkit.kinds import Kind
from relkit.policy import Policy, read_policy
from relkit.records import Decided
from relkit.values import Person, canonical, digest_of
from relkit.worlds import read_world_file

POLICY = toy.POLICY
ROLES = POLICY.roles("hanging", "alpha")


def decided(who: str, role: str, verdict: Literal["approve", "reject"] = "approve") -> Decided:
    return Decided(
        step="hang",
        digest="0" * 64,
        who=who,
        role=role,
        verdict=verdict,
        reason="r",
        via="answer",
        made=toy.NOW,
        signed=toy.UNSIGNED,
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
    assert POLICY.missing(ROLES, decisions) == missing


@pytest.mark.parametrize("decisions", [[NO], [ELIF, NO], [RM, EMIL, NO], [NO, EMIL, RM]])
def test_a_rejection_closes_the_gate_until_the_same_person_approves(
    decisions: list[Decided],
) -> None:
    with pytest.raises(GateError) as refusal:
        POLICY.missing(ROLES, decisions)
    assert refusal.value.code == "GATE_REJECTED"
    assert POLICY.missing(ROLES, [*decisions, ELIF, RM]) == ()


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
        missing = POLICY.missing(ROLES, made)
    except GateError:
        assert "reject" in last.values()
        return
    assert set(last.values()) <= {"approve"}
    both = (
        {who for who, role in last if role == ROLES[0]},
        {who for who, role in last if role == ROLES[1]},
    )
    persons = max(
        [len({one, other} - {None}) for one in (*both[0], None) for other in (*both[1], None)]
    )
    assert len(missing) == len(ROLES) - persons, "each role by a person of its own"


@pytest.mark.parametrize("gate", ["", "unheard-of", "Hanging", "empty"])
def test_a_gate_that_asks_nobody_is_never_open(gate: str) -> None:
    policy = POLICY.model_copy(update={"gates": {**POLICY.gates, "empty": ()}})
    with pytest.raises(GateError) as refusal:
        policy.roles(gate, "alpha")
    assert refusal.value.code == "GATE_UNKNOWN"
    assert "hanging" in refusal.value.remedy


def test_the_digest_of_a_policy_covers_all_of_it() -> None:
    changes: dict[str, object] = {
        "version": 2,
        "people": POLICY.people[:2],
        "kinds": {"final": {"hanging": ("expert",)}},
        "waivers_needed": {"final": 2},
        "request_hours": 1,
        "gates": {"hanging": ("release-manager",)},
        "waivers": (),
        "present": (),
        "sigstore_identity": "mallory@example.org",
        "sigstore_issuer": "https://elsewhere.example.org",
        "gpg_fingerprint": "B" * 40,
        "builders": {"source": "https://mallory.example.org/builder"},
    }
    assert set(changes) == set(Policy.model_fields) - {"form"}
    found = {POLICY.model_copy(update={name: value}).digest for name, value in changes.items()}
    assert len(found | {POLICY.digest}) == len(changes) + 1


def test_a_policy_goes_through_json_and_refuses_what_it_does_not_know() -> None:
    again = Policy.model_validate_json(POLICY.model_dump_json())
    assert (again, again.digest) == (POLICY, POLICY.digest)
    with pytest.raises(ValueError, match="extra"):
        Policy.model_validate({**POLICY.to_data(), "threshold": 1})


KEYS = [toy.identity(name).key for name in ("Elif", "Emil")]
OTHER_FORM = KEYS[0].replace("AAAAC3", "AAAAC2")  # says another kind of key inside
FLAWS: dict[str, tuple[dict[str, Any], str]] = {
    "one key of two persons": (
        {
            "people": (
                *POLICY.people,
                Person(
                    name="Eve", role="expert", time_zone="UTC", identities=(toy.identity("Elif"),)
                ),
            )
        },
        "Elif and Eve have one identity",
    ),
    "one name, one role, twice": (
        {"people": (*POLICY.people, toy.person("Elif", "expert"))},
        "twice",
    ),
    "names that look alike": (
        {"people": (*POLICY.people, toy.person("\uff25lif ", "expert"))},
        "cannot be told apart",
    ),
    "a name for a terminal": (
        {"people": (*POLICY.people, toy.person("E\x1b[2Jve", "expert"))},
        "no name that can be shown",
    ),
    "nobody to sign": (
        {"people": (*POLICY.people, Person(name="Eve", role="expert", time_zone="UTC"))},
        "no identity to sign with",
    ),
    "a role without anybody": ({"gates": {"hanging": ("baker",)}}, "nobody is baker"),
    "a kind's role without anybody": (
        {"kinds": {"final": {"hanging": ("baker",)}}},
        "nobody is baker",
    ),
    "a waiver by nobody": ({"waivers": ("baker",)}, "nobody is baker"),
    "a gate that is misspelt": ({"kinds": {"final": {"hangign": ("expert",)}}}, "hangign"),
    "a short fingerprint": ({"gpg_fingerprint": "A" * 16}, "40 upper case digits"),
    "a fingerprint in lower case": ({"gpg_fingerprint": "a" * 40}, "40 upper case digits"),
    "any issuer": ({"sigstore_issuer": ""}, "no exact Sigstore identity"),
    "anybody": ({"sigstore_identity": "*@example.org"}, "no exact Sigstore identity"),
    "a later form": ({"form": 2}, "form"),
    "a field more": ({"threshold": 1}, "threshold"),
    "no version": ({"version": 0}, "version"),
    "a number as a gate": ({"gates": {"hanging": 1}}, "gates"),
}


def test_the_policy_of_these_tests_is_sound() -> None:
    assert read_policy(POLICY.to_data()) == POLICY


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_policy_that_cannot_be_relied_on_is_refused(flaw: str) -> None:
    change, words = FLAWS[flaw]
    data = POLICY.to_data()
    with pytest.raises(GateError, match="POLICY_INVALID") as refusal:
        read_policy(data | to_jsonable_python(change))
    assert words in str(refusal.value)
    assert str(refusal.value).isprintable()
    assert refusal.value.remedy


@pytest.mark.parametrize(
    ("scheme", "key", "issuer"),
    [
        *[
            ("ssh", key, "")
            for key in (
                *(
                    "",
                    "ssh-ed25519",
                    f"{KEYS[0]} comment",
                    f" {KEYS[0]}",
                    f"* {KEYS[0]}",
                    OTHER_FORM,
                ),
                *(
                    f"cert-authority {KEYS[0]}",
                    f"{KEYS[0]}\n{KEYS[1]}",
                    KEYS[0][:-2],
                    f"{KEYS[0]}=",
                ),
                KEYS[0].replace("ssh-ed25519", "ssh-rsa"),
                "ssh-dss " + "A" * 68,
            )
        ],
        ("ssh", KEYS[0], "https://accounts.example.org"),
        *[
            ("gpg", key, "")
            for key in ("", "A" * 39, "A" * 41, "a" * 40, "0x" + "A" * 40, "AAAA AAAA" * 5)
        ],
        *[
            ("sigstore", key, "https://accounts.example.org")
            for key in (
                *("", "*", "*@example.org", "elif@example.*", "^elif", "a|b", "elif @example.org"),
                *("elif@example.org\n", "elif?"),
            )
        ],
        *[
            ("sigstore", "elif@example.org", issuer)
            for issuer in ("", "*", "https://*.org", "accounts")
        ],
    ],
)
def test_an_identity_is_exact_or_the_policy_is_refused(scheme: str, key: str, issuer: str) -> None:
    eve = {"name": "Eve", "role": "baker", "time_zone": "UTC"}
    identity = {"scheme": scheme, "key": key, "issuer": issuer}
    people = [one.to_data() for one in POLICY.people]
    data = POLICY.to_data() | {"people": [*people, eve | {"identities": [identity]}]}
    with pytest.raises(GateError, match=r"POLICY_INVALID: the policy cannot be used: .*Eve has no"):
        read_policy(data)


@pytest.mark.parametrize(
    ("key", "issuer"),
    [
        ("elif+release@example.org", "https://accounts.example.org"),
        (
            "https://github.com/o/r/.github/workflows/w.yml@refs/heads/main",
            "https://t.example.org/x",
        ),
    ],
)
def test_sigstore_identities_of_people_and_workflows_are_exact(key: str, issuer: str) -> None:
    data = POLICY.to_data() | {"sigstore_identity": key, "sigstore_issuer": issuer}
    assert read_policy(data).sigstore_identity == key


OLDER: dict[str, dict[str, Any]] = {
    "an older version": {"version": 1},
    "fewer persons for a waiver": {"version": 2, "waivers_needed": {}},
    "a gate that asks one less": {"version": 2, "gates": {"hanging": ("release-manager",)}},
    "a key more": {"version": 2, "people": (*POLICY.people, toy.person("Eve", "expert"))},
}


@pytest.mark.usefixtures("toy_steps")
@pytest.mark.parametrize("change", OLDER)
def test_an_older_or_altered_policy_in_the_middle_of_a_run_is_refused(
    tmp_path: Path, change: str
) -> None:
    """T63: what a run was begun with rules to its end."""
    new = POLICY.model_copy(update={"version": 2, "waivers_needed": {"alpha": 2}})
    run = toy.Toy.at(tmp_path / "world", policy=new).open(tmp_path / "run")
    run.apply("look")
    run.close()
    swapped = new.model_copy(update=OLDER[change])
    with pytest.raises(RecordError, match="POLICY_CHANGED") as refusal:
        toy.Toy.at(tmp_path / "world", policy=swapped).open(tmp_path / "run")
    assert new.digest in str(refusal.value)
    assert swapped.digest in str(refusal.value)


@pytest.mark.usefixtures("toy_steps")
def test_a_record_with_a_policy_that_is_none_is_not_read(tmp_path: Path) -> None:
    world = toy.Toy.at(tmp_path / "world")
    run = world.open(tmp_path / "run")
    opened = run.inputs
    flawed = POLICY.to_data() | {"gates": {"hanging": ["baker"]}}
    for policy, digest, code in (
        (flawed, digest_of(flawed), "POLICY_INVALID"),
        (POLICY.to_data(), "0" * 64, "POLICY_ALTERED"),
    ):
        run.close()
        planted = opened.model_copy(update={"policy": policy, "policy_digest": digest})
        history = History(run.release, run.ledger)
        first = run.ledger.records[0].model_copy(update={"entry": planted})
        history.ledger.records[0] = first
        with pytest.raises(ReleaseError, match=code):
            _ = history.policy


def test_a_policy_made_to_be_slow_is_read_or_refused_quickly() -> None:
    """A record that nobody vouches for brings its own policy, which is read before all else."""
    begun = time.monotonic()
    crowd = [toy.person(f"Elif {n}", "expert").to_data() for n in range(5_000)]
    with pytest.raises(GateError, match="POLICY_INVALID"):
        read_policy(POLICY.to_data() | {"people": crowd})
    with pytest.raises(GateError, match="POLICY_INVALID"):
        read_policy(POLICY.to_data() | {"gates": {"hanging": ["expert"] * 1000}})
    roles = [f"role {n}" for n in range(20)]
    said = [
        Decided.model_construct(step="hang", who=f"Elif {n}", role=role, verdict="approve")
        for n in range(19)
        for role in roles
    ]
    assert POLICY.missing(roles, said) == (roles[-1],)
    assert time.monotonic() - begun < 2, "all spreads of them take for ever"


@pytest.mark.usefixtures("toy_steps")
def test_a_record_of_a_policy_without_a_field_of_later_is_good(tmp_path: Path) -> None:
    """Digest and sealed copy are those of what stands in record 0, not of how it is read now."""
    run = toy.Toy.at(tmp_path / "world").open(tmp_path / "run")
    older = {name: one for name, one in POLICY.to_data().items() if name != "builders"}
    planted = run.inputs.model_copy(update={"policy": older, "policy_digest": digest_of(older)})
    run.ledger.records[0] = run.ledger.records[0].model_copy(update={"entry": planted})
    assert run.policy == POLICY
    assert run.request("hang", {}, ("expert",)).policy == digest_of(older)
    assert sealing.from_ledger(run)[sealing.POLICY] == canonical(older) + b"\n"


def test_the_world_file_names_no_gate_of_a_kind_that_is_none(tmp_path: Path) -> None:
    text = (ROOT / "worlds" / "rehearsal.toml").read_text(encoding="utf-8")
    file = tmp_path / "world.toml"
    file.write_text(text.replace("[kinds.rc]\npublish", "[kinds.rc]\npublsh"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"WORLD_FILE.*rc: publsh"):
        read_world_file(file)


@pytest.mark.parametrize("name", ["rehearsal", "practice"])
def test_from_the_first_candidate_on_the_worlds_take_two_persons(name: str) -> None:
    file, _ = read_world_file(ROOT / "worlds" / f"{name}.toml")
    two = {Kind.RC_1, Kind.RC, Kind.FINAL, Kind.BUGFIX, Kind.SECURITY, Kind.AMENDMENT}
    assert set(file.waivers_needed) == two == set(file.kinds)
    for kind in two:
        assert file.waivers_needed[kind] == 2
        assert file.kinds[kind]["publish"] == ("release-manager", "second-manager")
    assert file.policy_version >= 1


def test_people_are_found_by_role_and_by_nothing_else() -> None:
    assert POLICY.person("expert") == toy.person("Elif", "expert")
    POLICY.require_role("Emil", "expert")
    for who, role in (("Emil", "release-manager"), ("emil", "expert"), ("Emil", "")):
        with pytest.raises(GateError) as refusal:
            POLICY.require_role(who, role)
        assert refusal.value.code == "NOT_IN_ROLE"
