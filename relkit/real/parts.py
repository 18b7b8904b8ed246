"""What a production and a rehearsal put together in the same way, of what each has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from relkit.adapters.git import GitRepository, SigningKey
from relkit.adapters.gpg import GpgKeyring, GpgSigner
from relkit.adapters.signers import LocalSigners
from relkit.adapters.sigstore import SigstoreSigner, trusted_root, verify_bundle
from relkit.policy import Policy, read_policy
from relkit.real.pins import protocols
from relkit.real.systems import Systems
from relkit.values import Companion, Identity, Person
from relkit.worlds import Role, WorldFile

Root = Callable[[], str]
"""Gives what verifies Sigstore's signatures, when it is needed."""


def policy_of(
    file: WorldFile,
    identities: Callable[[Role, str], tuple[Identity, ...]],
    *,
    issuer: str,
    fingerprint: str,
    builders: dict[str, str],
) -> Policy:
    """Return the policy of a world; `identities` gives those of a role's person by name.

    Raises `GateError` (``POLICY_INVALID``).
    """
    people = tuple(
        Person(name=name, role=role, time_zone=one.time_zone, identities=identities(one, name))
        for role, one in file.people.items()
        for name in (one.name, *one.also)
    )
    return read_policy(
        {
            "version": file.policy_version,
            "people": people,
            "gates": file.gates,
            "kinds": dict(file.kinds.items()),
            "waivers": file.waivers,
            "waivers_needed": dict(file.waivers_needed.items()),
            "sigstore_identity": file.manager_email,
            "sigstore_issuer": issuer,
            "gpg_fingerprint": fingerprint,
            "builders": builders,
        }
    )


def repository(
    systems: Systems, remotes: Mapping[str, str], gpg: GpgSigner, blurb: Path
) -> GitRepository:
    """Return the release clone between these remotes; its tags are signed by the GPG key."""
    return GitRepository(
        clone=systems.state / "clone" / systems.release.amended.key,
        remotes={"upstream": remotes["upstream"], "fork": remotes["fork"]},
        identity=systems.manager,
        signing=SigningKey(gpg.homedir, gpg.fingerprint),
        tools=systems.tools(blurb),
        protocols=tuple({one for url in remotes.values() for one in protocols(url)}),
        environment=systems.git_environment,
    )


def signers(
    systems: Systems, policy: Policy, gpg: GpgSigner, sigstore: SigstoreSigner, root: Root
) -> LocalSigners:
    """Return what signs the release's files as the policy has it."""
    return LocalSigners(
        folder=systems.artifacts,
        sigstore=sigstore,
        gpg=gpg if systems.release.uses_gpg else None,
        tags=gpg,
        identity=policy.sigstore_identity,
        issuer=policy.sigstore_issuer,
        fingerprint=policy.gpg_fingerprint,
        trusted=lambda: {"trusted_root.json": root(), "gpg-keys.asc": gpg.export_public()},
    )


def verify_companion(
    root: Root, gpg: GpgKeyring, file: Path, signature: Path, stated: Companion
) -> None:
    """Verify a downloaded signature as the policy has it."""
    if stated.scheme == "gpg":
        gpg.verify(file, signature, fingerprint=stated.identity)
        return
    verify_bundle(
        trusted_root(root()),
        signature.read_bytes(),
        sha256=stated.subject.sha256,
        identity=stated.identity,
        issuer=stated.issuer,
    )
