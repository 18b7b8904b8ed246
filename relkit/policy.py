"""Who may decide and sign: data, with a digest that is part of a run's first record."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from relkit.errors import GateError
from relkit.records import Decided
from relkit.values import Person, Value, digest_of

MANAGER = "release-manager"


class Policy(Value):
    """The people of a branch, what each gate asks for, and the identities that sign.

    `gates` maps a gate to the roles of which one person each must approve; `waivers` are the
    roles that may waive a check; `present` are the roles that sit at the notebook: all others
    decide by answers of their own (T62). Several people may have one role.
    GPG fingerprints are full and primary. `builders` are the URIs of who makes each build, as its
    provenance must name them.
    """

    people: tuple[Person, ...]
    gates: dict[str, tuple[str, ...]]
    waivers: tuple[str, ...]
    present: tuple[str, ...] = (MANAGER,)
    sigstore_identity: str
    sigstore_issuer: str
    gpg_fingerprint: str
    builders: dict[str, str] = Field(default_factory=dict)

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

    def roles(self, gate: str) -> tuple[str, ...]:
        """Return the roles a gate asks; raise `GateError` (``GATE_UNKNOWN``) if there are none."""
        if not self.gates.get(gate):
            raise GateError(
                f"the policy names nobody who decides at the gate {gate!r}",
                code="GATE_UNKNOWN",
                remedy=f"Have it changed; it knows the gates {', '.join(self.gates) or 'none'}.",
            )
        return self.gates[gate]

    def missing(self, gate: str, decisions: Iterable[Decided]) -> tuple[str, ...]:
        """Return the roles that still have to approve; an unknown gate is never open.

        A person's last decision counts. Raises `GateError`: ``GATE_REJECTED`` if one is a
        rejection, ``GATE_UNKNOWN``.
        """
        last = {(decision.who, decision.role): decision for decision in decisions}
        for decision in last.values():
            if decision.verdict == "reject":
                raise GateError(
                    f"{decision.who} ({decision.role}) rejected {decision.step}: {decision.reason}",
                    code="GATE_REJECTED",
                    remedy="Change what was rejected, or let the same person decide anew.",
                )
        approved = {role for _, role in last}
        return tuple(role for role in self.roles(gate) if role not in approved)
