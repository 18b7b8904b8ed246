"""Who may decide and sign: data, with a digest that is part of a run's first record."""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from relkit.errors import GateError
from relkit.records import Decided, Waived
from relkit.values import Identity, Person, Value, digest_of

MANAGER = "release-manager"
SSH_KEY = re.compile(
    r"(ssh-ed25519|sk-ssh-ed25519@openssh\.com|ecdsa-sha2-nistp(?:256|384|521)|"
    r"sk-ecdsa-sha2-nistp256@openssh\.com|ssh-rsa) ([A-Za-z0-9+/]{40,4000}={0,2})"
)
FINGERPRINT = re.compile(r"[0-9A-F]{40}")
PATTERN = re.compile(r"[\s*?\[\](){}^$|\\]")
"""What an exact Sigstore identity has none of: it would look like a pattern to somebody."""
ISSUER = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?")


MOST_PEOPLE = 200
"""Everybody is compared with everybody, also in a record that nobody vouches for."""
Roles = Annotated[tuple[str, ...], Field(max_length=20)]


class Policy(Value):
    """The people of a branch, what each gate asks for, and the identities that sign.

    `version` grows with each change. `gates` maps a gate to the roles of which one person each
    must approve, and `kinds` has the gates of a kind for which that is otherwise. `waivers` are
    the roles that may waive a check, `waivers_needed` how many persons it takes in a kind (else
    one). `present` are the roles that sit at the notebook: all others decide by answers of their
    own (T62). Several people may have one role, and one person several; no person is counted for
    two roles of a gate. GPG fingerprints are full and primary. `builders` are the URIs of who makes
    each build, as its provenance must name them.
    """

    form: Literal[1] = 1
    version: int = Field(default=1, ge=1)
    people: tuple[Person, ...] = Field(max_length=MOST_PEOPLE)
    gates: dict[str, Roles]
    kinds: dict[str, dict[str, Roles]] = Field(default={})
    waivers: tuple[str, ...]
    waivers_needed: dict[str, int] = Field(default={})
    present: tuple[str, ...] = (MANAGER,)
    request_hours: int = Field(default=14 * 24, ge=1)
    """For how long answers to a request are taken."""
    sigstore_identity: str
    sigstore_issuer: str
    gpg_fingerprint: str
    builders: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for flaw in _flaws(self):
            raise ValueError(flaw)
        return self

    @property
    def digest(self) -> str:
        """The digest of the whole policy."""
        return digest_of(self.to_data())

    def person(self, role: str) -> Person:
        """Return the first person in a role."""
        return next(person for person in self.people if person.role == role)

    def require_present(self, role: str) -> None:
        """Raise `GateError` (``NOT_AT_THE_NOTEBOOK``) for a role that must answer by itself."""
        if role not in self.present:
            raise GateError(
                f"a decision as {role} cannot be made here, only as {', '.join(self.present)}",
                code="NOT_AT_THE_NOTEBOOK",
                remedy="Let that person answer the request: relkit decide REQUEST.",
            )

    def require_role(self, who: str, role: str) -> None:
        """Raise `GateError` (``NOT_IN_ROLE``) unless the policy gives `who` the role."""
        holders = [person.name for person in self.people if person.role == role]
        if who not in holders:
            raise GateError(
                f"{who!r} is not {role}; the policy names {', '.join(holders) or 'nobody'}",
                code="NOT_IN_ROLE",
                remedy="Let one of these decide, or have the policy changed.",
            )

    def roles(self, gate: str, kind: str) -> tuple[str, ...]:
        """Return the roles a gate asks; raise `GateError` (``GATE_UNKNOWN``) if there are none."""
        roles = self.kinds.get(kind, {}).get(gate) or self.gates.get(gate)
        if not roles:
            raise GateError(
                f"the policy names nobody who decides at the gate {gate!r}",
                code="GATE_UNKNOWN",
                remedy=f"Have it changed; it knows the gates {', '.join(self.gates) or 'none'}.",
            )
        return roles

    def missing(self, roles: Iterable[str], decisions: Iterable[Decided]) -> tuple[str, ...]:
        """Return the roles that still have to approve, each by a person of its own.

        A person's last decision in a role counts. Raises `GateError` (``GATE_REJECTED``) if one
        is a rejection.
        """
        last = {(decision.who, decision.role): decision for decision in decisions}
        for decision in last.values():
            if decision.verdict == "reject":
                raise GateError(
                    f"{decision.who} ({decision.role}) rejected {decision.step}: {decision.reason}",
                    code="GATE_REJECTED",
                    remedy="Change what was rejected, or let the same person decide anew.",
                )
        asked = tuple(roles)
        able = {role: [who for who, its in last if its == role] for role in asked}
        return _unfilled(asked, able)

    def enough_waivers(self, kind: str, waivers: Iterable[Waived]) -> bool:
        """Tell whether enough different persons have accepted one failed check."""
        return not self.waivers_missing(kind, waivers)

    def waivers_missing(self, kind: str, waivers: Iterable[Waived]) -> int:
        """Return how many more persons have to accept one failed check."""
        said = {one.who for one in waivers}
        return max(0, self.waivers_needed.get(kind, 1) - len(said))


def read_policy(data: object) -> Policy:
    """Return the policy in JSON data.

    Raises `GateError` (``POLICY_INVALID``): for unknown fields and other forms; for an identity
    that is no exact one; for one identity of two persons, since who signed could not be told; for
    a role that decides without anybody who could sign.
    """
    try:
        return Policy.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        found = f"{where}{': ' * bool(where)}{first['msg']}"
        shown = "".join(one if one.isprintable() else " " for one in found[:500])
        raise GateError(
            f"the policy cannot be used: {shown}",
            code="POLICY_INVALID",
            remedy="Have it mended by whoever keeps it; it takes effect for runs begun after that.",
        ) from error


def _flaws(policy: Policy) -> Iterator[str]:
    """Yield what makes a policy unusable though each field has its form."""
    yield from _people_flaws(policy.people)
    if policy.gpg_fingerprint and not FINGERPRINT.fullmatch(policy.gpg_fingerprint):
        yield f"the GPG fingerprint is {policy.gpg_fingerprint[:80]!r}, not 40 upper case digits"
    sigstore = Identity(
        scheme="sigstore", key=policy.sigstore_identity, issuer=policy.sigstore_issuer
    )
    if not _exact(sigstore):
        yield f"{sigstore.key[:80]!r} of {sigstore.issuer[:80]!r} is no exact Sigstore identity"
    yield from _gate_flaws(policy)


def _people_flaws(people: tuple[Person, ...]) -> Iterator[str]:
    for person in people:
        if not f"{person.name}{person.role}".isprintable() or not _plain(person.name):
            yield f"{person.name!a} is no name that can be shown"
        for identity in person.identities:
            if not _exact(identity):
                known = f"{identity.scheme} identity: {identity.key[:80]!r}"
                yield f"{person.name} has no exact {known}"
    for one, other in combinations(people, 2):
        if (one.name, one.role) == (other.name, other.role):
            yield f"{one.name} is {one.role} twice"
        if one.name == other.name:
            continue
        if _plain(one.name) == _plain(other.name):
            yield f"{one.name!r} and {other.name!r} cannot be told apart"
        if shared := {*one.identities} & {*other.identities}:
            yield f"{one.name} and {other.name} have one identity: {shared.pop().key[:80]}"


def _gate_flaws(policy: Policy) -> Iterator[str]:
    for kind, gates in policy.kinds.items():
        if strangers := gates.keys() - policy.gates.keys():
            yield f"{kind} has gates that no other kind has: {', '.join(sorted(strangers))}"
    every = [policy.gates, *policy.kinds.values()]
    asked = {role for gates in every for roles in gates.values() for role in roles}
    for role in sorted({MANAGER, *asked, *policy.waivers}):
        holders = [one for one in policy.people if one.role == role]
        if not holders:
            yield f"nobody is {role}"
        for one in holders:
            if not one.identities:
                yield f"{one.name} ({role}) decides, and has no identity to sign with"


def _exact(identity: Identity) -> bool:
    """Tell whether an identity is of one form, and names one signer only."""
    match identity.scheme:
        case "ssh":
            return not identity.issuer and _exact_ssh(identity.key)
        case "gpg":
            return not identity.issuer and bool(FINGERPRINT.fullmatch(identity.key))
        case "sigstore":
            known = ISSUER.fullmatch(identity.issuer)
            plain = identity.key.isprintable() and not PATTERN.search(identity.key)
            return bool(known and identity.key and plain)


def _exact_ssh(key: str) -> bool:
    """Tell whether a key is in the one form OpenSSH writes: two texts of one key could differ."""
    found = SSH_KEY.fullmatch(key)
    if found is None:
        return False
    try:
        data = base64.b64decode(found[2], validate=True)
    except ValueError:
        return False
    name = found[1].encode()
    begins = len(name).to_bytes(4, "big") + name
    return data.startswith(begins) and base64.b64encode(data).decode() == found[2]


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _unfilled(roles: tuple[str, ...], able: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Return the roles that stay empty when persons are spread over them as well as can be."""
    seats: dict[str, int] = {}

    def seat(place: int, asked: set[str]) -> bool:
        """Give a role somebody, be it that whoever has another role takes over from another one."""
        for who in able[roles[place]]:
            if who not in asked:
                asked.add(who)
                if who not in seats or seat(seats[who], asked):
                    seats[who] = place
                    return True
        return False

    return tuple(role for place, role in enumerate(roles) if not seat(place, set()))
