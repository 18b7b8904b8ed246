"""The world of a rehearsal: made once, beside the records, and opened by each run.

Everything is local: git remotes, keys, servers, people. Releases of several branches live in one
world side by side; each finds its branch there, made when it is opened first
(`relkit.rehearsal.making`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken

from relkit import values
from relkit.adapters.advisories import LocalAdvisories
from relkit.adapters.attest import Attestor, sigstore_verifier
from relkit.adapters.docs import FolderDocs
from relkit.adapters.editors import Tools, blurb_for
from relkit.adapters.folders import FolderServer
from relkit.adapters.git import GitRepository, Identity, SigningKey, clear_locks
from relkit.adapters.gpg import GpgSigner, make_throwaway_key
from relkit.adapters.machine import LocalMachine, refuse_missing_tools
from relkit.adapters.processes import Places, ProcessBuilders
from relkit.adapters.public import PublicSite
from relkit.adapters.shelf import Shelf
from relkit.adapters.signers import LocalSigners
from relkit.adapters.sigstore import SigstoreSigner, trusted_root, verify_bundle
from relkit.adapters.ssh import public_key
from relkit.adapters.value_files import locked, write_whole
from relkit.adapters.website import PythonOrg
from relkit.building.builder import PROGRAMS
from relkit.building.provenance import LOCAL_BUILDER
from relkit.building.source import TOOLS, blurb_command
from relkit.errors import UsageError
from relkit.manifest import SITE
from relkit.policy import Policy
from relkit.ports import World
from relkit.rehearsal.deeds import do_elsewhere, edit_pages
from relkit.rehearsal.making import (
    FORK,
    MANAGER,
    UPSTREAM,
    WHOLE,
    Made,
    key_of,
    let_time_pass,
    make,
    names_of,
    refuse_source,
    site_of,
)
from relkit.rehearsal.ports import (
    LocalAnnouncements,
    LocalBuildbots,
    LocalTracker,
    RehearsalPeople,
)
from relkit.rehearsal.sigstore import LoopbackSigstore
from relkit.rehearsal.site import ORIGIN_HEADER
from relkit.rehearsal.standins import STANDINS
from relkit.release import Release
from relkit.values import Companion, Person
from relkit.worlds import WorldFile


def make_rehearsal(file: WorldFile, record: Path, release: Release, repository: str = "") -> Made:
    """Make the world beside `record`, or what is missing of it; return what it was made from.

    `repository` is the source of upstream, a path; empty: a generated tree, or what the world was
    made from. Branches are taken from it as releases need them. Raises `UsageError`,
    `RecordError` (``WORLD_SOURCE``), `WorldError`, and `CheckError` (``TOOL_MISSING``), all
    before anything is written.
    """
    state = record.parent / file.state
    refuse_missing_tools()
    if (opened := os.environ.get("GIT_DIR")) is not None:
        raise UsageError(
            f"GIT_DIR is set to {opened}: git would work on another repository",
            code="ENV_GIT",
            remedy="Unset GIT_DIR, then run this again.",
        )
    refuse_source(state, release.amended, repository)
    with locked(state / "world"):
        made = make(state, file, release.amended, repository)
        if not (record / "ledger.jsonl").exists():
            let_time_pass(state, release)
    return made


def open_rehearsal(
    file: WorldFile, digest: str, record: Path, release: Release, repository: str = ""
) -> tuple[World, Callable[[], None]]:
    """Open the world beside `record`, made if it is not there; return it and how to close it.

    One process at a time does so for a release. Raises what `make_rehearsal` raises.
    """
    state = record.parent / file.state
    made = make_rehearsal(file, record, release, repository)
    with locked(state / "world"):
        for bare in (UPSTREAM, FORK):
            clear_locks(state / bare)
    with ExitStack() as stack:
        world = _wired(stack, state, file, digest, made, release)
        return world, stack.pop_all().close


@contextmanager
def serve(records: Path, state: str = "world") -> Iterator[str]:
    """Serve the website of a rehearsal; yield its address."""
    folder = records / state
    if not (folder / WHOLE).exists():
        raise UsageError(
            f"{records.name} holds no rehearsal",
            code="NO_WORLD",
            remedy="Make one: relkit rehearse 3.15.0a1.",
        )
    with site_of(folder) as site:
        yield f"{site.url}downloads/"


def export_page(records: Path, slug: str, state: str = "world") -> Path:
    """Write the page of a release as a file that can be looked at without the server."""
    with site_of(records / state) as site:
        return site.export_page(slug, records / state / "pages")


# --- wiring ---------------------------------------------------------------------------------------


def _wired(
    stack: ExitStack, state: Path, file: WorldFile, digest: str, made: Made, release: Release
) -> World:
    """Start the servers and put an adapter on each part of the state."""
    key = release.key
    site = stack.enter_context(site_of(state))
    address = state / f"site-{key}.url"  # builds ask for it, from other processes
    write_whole(address, site.url.encode())
    sigstore = stack.enter_context(LoopbackSigstore(state / "sigstore"))
    fingerprint = make_throwaway_key(state / "gnupg", file.people[MANAGER].name, file.manager_email)
    gpg = stack.enter_context(GpgSigner(state / "gnupg", fingerprint))
    keys = {name: key_of(state, name) for name in names_of(file)}
    policy = _policy(file, keys, fingerprint, sigstore.issuer)
    attestations = Attestor(keys=keys, gpg=gpg, sigstore=sigstore_verifier(sigstore.trusted_root()))
    blurb = TOOLS / f"blurb-{blurb_for(str(release.version))}"
    artifacts, builds = state / "artifacts" / release.amended.key, state / "builds"
    signer = SigstoreSigner(
        trust_config=lambda: ClientTrustConfig.from_json(sigstore.trust_config()),
        identity=policy.sigstore_identity,
        issuer=policy.sigstore_issuer,
        token=lambda: IdentityToken(sigstore.mint(policy.sigstore_identity)),
    )
    stack.callback(signer.close)
    clock = SystemClock()
    drafts = LocalAnnouncements(
        folder=state / "drafts" / key, peps=state / "peps.git", posts=state / "posts.json"
    )
    places = Places(
        repository=state / "fork.git",
        artifacts=artifacts,
        blurb=blurb,
        site=address,
        packages=state / "packages",
        index=file.package_index,
    )
    return World(
        name=file.name,
        rehearsal=True,
        digest=digest,
        policy=policy,
        nonce=made.nonce(key),
        repo=_repository(state, file, gpg, release, blurb),
        tracker=LocalTracker(file=state / "tracker.json", upstream=state / "upstream.git"),
        buildbots=LocalBuildbots(file=state / "buildbots.json"),
        builders=ProcessBuilders(builds, places, {**PROGRAMS, **STANDINS}),
        artifacts=Shelf(artifacts, builds),
        signers=LocalSigners(
            folder=artifacts,
            sigstore=signer,
            gpg=gpg if release.uses_gpg else None,
            identity=policy.sigstore_identity,
            issuer=policy.sigstore_issuer,
            fingerprint=fingerprint,
            trusted=lambda: {
                "trusted_root.json": sigstore.trusted_root(),
                "gpg-keys.asc": gpg.export_public(),
            },
        ),
        downloads=FolderServer(
            staging=state / "servers" / "staging",
            public=state / "servers" / "public",
            source=artifacts,
        ),
        docs=FolderDocs(
            releases=state / "servers" / "docs" / "release",
            links=state / "servers" / "public" / "ftp" / "python" / "doc",
            source=artifacts,
        ),
        website=PythonOrg(
            site.url,
            v2_token=lambda: site.v2_token,
            v1_key=lambda: site.v1_key,
            origin_headers={ORIGIN_HEADER: "1"},
        ),
        public=PublicSite(
            site.url,
            verify=partial(_verify, sigstore.trusted_root(), gpg),
            origin_headers={ORIGIN_HEADER: "1"},
        ),
        announcements=drafts,
        people=RehearsalPeople(
            folder=state,
            roster=policy.people,
            automatic=tuple(role for role, one in file.people.items() if one.played),
            hooks={"web-editor": partial(edit_pages, site, drafts, release)},
            done=partial(do_elsewhere, state, drafts, release),
            sign=attestations.sign,
            now=clock.now,
        ),
        attestations=attestations,
        advisories=LocalAdvisories(file=state / "advisories.json", clock=clock),
        machine=LocalMachine(folder=state, blurb=blurb, site=site.url),
        clock=clock,
        site_url=SITE,
        patience_seconds=file.patience_seconds,
        tests=file.tests,
        secrets=lambda: (site.v2_token, site.v1_key, site.v1_key.partition(":")[2]),
    )


def _policy(file: WorldFile, keys: Mapping[str, Path], fingerprint: str, issuer: str) -> Policy:
    people = tuple(
        Person(
            name=name,
            role=role,
            time_zone=one.time_zone,
            identities=(values.Identity(scheme="ssh", key=public_key(_public(keys[name]))),),
        )
        for role, one in file.people.items()
        for name in (one.name, *one.also)
    )
    return Policy(
        version=file.policy_version,
        people=people,
        gates=file.gates,
        kinds=dict(file.kinds.items()),
        waivers=file.waivers,
        waivers_needed=dict(file.waivers_needed.items()),
        sigstore_identity=file.manager_email,
        sigstore_issuer=issuer,
        gpg_fingerprint=fingerprint,
        builders=dict.fromkeys({**PROGRAMS, **STANDINS}, LOCAL_BUILDER),
    )


def _public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


def _repository(
    state: Path, file: WorldFile, gpg: GpgSigner, release: Release, blurb: Path
) -> GitRepository:
    return GitRepository(
        clone=state / "clone" / release.amended.key,
        remotes={"upstream": str(state / "upstream.git"), "fork": str(state / "fork.git")},
        identity=Identity(file.people[MANAGER].name, file.manager_email),
        signing=SigningKey(gpg.homedir, gpg.fingerprint),
        tools=Tools(
            python=sys.executable,
            blurb=tuple(blurb_command(blurb)),
            docs_environments=TOOLS / "docs",
            logs=state / "logs" / release.key,
        ),
    )


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """Return the present time, UTC, whole seconds."""
        return datetime.now(UTC).replace(microsecond=0)


def _verify(root: str, gpg: GpgSigner, file: Path, signature: Path, stated: Companion) -> None:
    """Verify a downloaded signature as the policy has it."""
    if stated.scheme == "gpg":
        gpg.verify(file, signature, fingerprint=stated.identity)
        return
    verify_bundle(
        trusted_root(root),
        signature.read_bytes(),
        sha256=stated.subject.sha256,
        identity=stated.identity,
        issuer=stated.issuer,
    )
