"""Production as a world: every port on the real system behind it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from relkit import values
from relkit.adapters import ssh
from relkit.adapters.advisories import PipAudit
from relkit.adapters.attest import Attestor, sigstore_verifier
from relkit.adapters.editors import blurb_for
from relkit.adapters.gpg import GpgSigner
from relkit.adapters.machine import REQUIREMENTS, LocalMachine
from relkit.adapters.processes import Places, ProcessBuilders
from relkit.adapters.remote_builders import RemoteBuilders
from relkit.adapters.shelf import Shelf
from relkit.adapters.sigstore import SigstoreSigner
from relkit.adapters.sigstore_instance import Instance
from relkit.adapters.timing import SystemClock
from relkit.adapters.value_files import write_whole
from relkit.building.builder import PROGRAMS
from relkit.building.provenance import LOCAL_BUILDER
from relkit.building.source import TOOLS
from relkit.errors import UsageError
from relkit.manifest import SITE
from relkit.policy import Policy
from relkit.ports import World
from relkit.real.builds import build_services
from relkit.real.parts import policy_of, repository, signers, verify_companion
from relkit.real.probing import DOCTOR, probes
from relkit.real.systems import Systems, own_path
from relkit.worlds import addresses

T = TypeVar("T")


def production_world(stack: ExitStack, systems: Systems, digest: str, nonce: str) -> World:
    """Return the world of a production whose file is complete; `stack` closes it."""
    file, state, release, clock = systems.file, systems.state, systems.release, SystemClock()
    remotes, gpg, instance = _there(systems.remotes), _there(systems.gpg), _there(systems.sigstore)
    website, downloads = _there(systems.website), _there(systems.downloads)
    services = build_services(systems)
    programs = {name: where for name, where in PROGRAMS.items() if name not in services}
    builders = dict.fromkeys(programs, LOCAL_BUILDER)
    builders |= {name: service.builder() for name, service in services.items()}
    policy = policy_of(
        file,
        lambda role, name: role.identities.get(name, ()),
        issuer=_there(systems.services.sigstore).issuer,
        fingerprint=gpg.fingerprint,
        builders=builders,
    )
    signer = sigstore_signer(stack, instance, policy)
    site = file.services.cdn.url if file.services.cdn else SITE
    address, builds = state / f"site-{release.key}.url", state / "builds"
    write_whole(address, site.encode())
    blurb = TOOLS / f"blurb-{blurb_for(str(release.version))}"
    clone = state / "clone" / release.amended.key
    places = Places(
        repository=clone / ".git",
        artifacts=systems.artifacts,
        blurb=blurb,
        site=address,
        packages=state / "packages",
        index=file.package_index,
    )
    return World(
        name=file.name,
        rehearsal=False,
        digest=digest,
        policy=policy,
        nonce=nonce,
        repo=repository(systems, remotes, gpg, blurb),
        tracker=_there(systems.tracker).of_run(nonce),
        buildbots=_there(systems.buildbots),
        builders=RemoteBuilders(builds, services, ProcessBuilders(builds, places, programs)),
        artifacts=Shelf(systems.artifacts, builds),
        signers=signers(systems, policy, gpg, signer, instance.trusted_root),
        downloads=downloads,
        docs=_there(systems.docs),
        website=website,
        public=_there(systems.public(partial(verify_companion, instance.trusted_root, gpg))),
        announcements=_there(systems.announcements),
        people=_there(systems.people(policy.people)),
        attestations=attestor(systems, policy, gpg, instance),
        advisories=PipAudit(lock=REQUIREMENTS / "lock.txt", clock=clock),
        machine=LocalMachine(folder=state, blurb=blurb, site=site),
        clock=clock,
        site_url=SITE,
        patience_seconds=file.patience_seconds,
        tests=file.tests,
        systems=tuple(f"{name}: {one}" for name, one in addresses(file.services)),
        secrets=systems.secrets.all,
        probes=lambda: probes(
            systems, _there(replace(systems, artifacts=state / DOCTOR).downloads), gpg
        ),
    )


def sigstore_signer(stack: ExitStack, instance: Instance, policy: Policy) -> SigstoreSigner:
    """Return what signs as the policy's identity."""
    signer = SigstoreSigner(
        trust_config=instance.config,
        identity=policy.sigstore_identity,
        issuer=policy.sigstore_issuer,
        token=instance.token,
    )
    stack.callback(signer.close)
    return signer


def attestor(systems: Systems, policy: Policy, gpg: GpgSigner, instance: Instance) -> Attestor:
    """Return what signs as the people who sit here, with their own keys, and verifies everybody.

    An SSH key is the one that signs in, or else the first of that person, through the agent.
    """
    keys, by_gpg = {}, {}
    for person in (one for one in policy.people if one.role in policy.present):
        for identity in person.identities:
            if identity.scheme == "ssh":
                key = _key(systems, identity)
                if person.name not in keys or key.suffix != ".pub":
                    keys[person.name] = key
            elif identity.scheme == "gpg" and identity.key == gpg.fingerprint:
                by_gpg[person.name] = gpg
    verify = partial(_verify_decision, instance)  # its trust root is asked for when it is needed
    return Attestor(keys=keys, gpg_keys=by_gpg, gpg=gpg, sigstore=verify)


def _verify_decision(
    instance: Instance, sha256: str, bundle: bytes, identity: str, issuer: str
) -> None:
    sigstore_verifier(instance.trusted_root())(sha256, bundle, identity, issuer)


def _key(systems: Systems, identity: values.Identity) -> Path:
    """Return the key file to sign with: the one that signs in, or a public one for the agent."""
    own = own_path(systems.services.ssh.identity_file or "/nonexistent")
    public = own.with_name(f"{own.name}.pub")
    if public.is_file() and ssh.public_key(public) == identity.key:
        return own
    path = systems.state / "ssh" / f"{values.digest_of(identity.key)[:16]}.pub"
    write_whole(path, f"{identity.key}\n".encode())
    return path


def _there(part: T | None) -> T:
    if part is None:
        raise UsageError(
            "a part of the world is not there",
            code="WORLD_INCOMPLETE",
            remedy="Run relkit doctor: it says what the file leaves out.",
        )
    return part
