"""The world of a rehearsal: made once, beside the records, and opened by each run.

Everything is local: git remotes, keys, servers, people. Releases of several branches live in one
world side by side; each finds its branch there, made when it is opened first
(`relkit.rehearsal.making`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken

from relkit import values
from relkit.adapters.advisories import LocalAdvisories
from relkit.adapters.attest import Attestor, sigstore_verifier
from relkit.adapters.docs import FolderDocs
from relkit.adapters.editors import blurb_for
from relkit.adapters.folders import FolderServer
from relkit.adapters.git import clear_locks
from relkit.adapters.gpg import GpgSigner, make_throwaway_key
from relkit.adapters.machine import LocalMachine, refuse_missing_tools
from relkit.adapters.processes import Places, ProcessBuilders
from relkit.adapters.public import PublicSite
from relkit.adapters.remote_builders import RemoteBuilders
from relkit.adapters.secrets import Secrets
from relkit.adapters.shelf import Shelf
from relkit.adapters.sigstore import SigstoreSigner
from relkit.adapters.ssh import public_key
from relkit.adapters.timing import SystemClock
from relkit.adapters.value_files import locked, write_whole
from relkit.adapters.website import PythonOrg
from relkit.building.builder import PROGRAMS
from relkit.building.provenance import LOCAL_BUILDER
from relkit.building.source import TOOLS
from relkit.errors import UsageError
from relkit.manifest import SITE
from relkit.ports import Downloads, World
from relkit.real.builds import build_services
from relkit.real.parts import policy_of, repository, signers, verify_companion
from relkit.real.probing import DOCTOR, probes
from relkit.real.systems import Systems
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
    """Start the servers and put an adapter on each part of the state, or on what the file names."""
    key = release.key
    artifacts, builds = state / "artifacts" / release.amended.key, state / "builds"
    real = Systems(
        file=file,
        state=state,
        artifacts=artifacts,
        release=release,
        secrets=Secrets(file.name, ask=_nobody),
    )
    site = site_of(state)
    if file.services.website is None:
        stack.enter_context(site)
    else:
        stack.callback(site.close)
    pages = file.services.website.url if file.services.website else site.url
    public = file.services.cdn.url if file.services.cdn else pages
    address = state / f"site-{key}.url"  # builds ask for it, from other processes
    write_whole(address, public.encode())
    sigstore = stack.enter_context(LoopbackSigstore(state / "sigstore"))
    fingerprint = make_throwaway_key(state / "gnupg", file.people[MANAGER].name, file.manager_email)
    gpg = stack.enter_context(GpgSigner(state / "gnupg", fingerprint))
    keys = {name: key_of(state, name) for name in names_of(file)}
    services = build_services(real)
    makers = dict.fromkeys({**PROGRAMS, **STANDINS}, LOCAL_BUILDER)
    makers |= {name: one.builder() for name, one in services.items()}
    policy = policy_of(
        file,
        lambda _, name: (values.Identity(scheme="ssh", key=public_key(_public(keys[name]))),),
        issuer=sigstore.issuer,
        fingerprint=fingerprint,
        builders=makers,
    )
    attestations = Attestor(keys=keys, gpg=gpg, sigstore=sigstore_verifier(sigstore.trusted_root()))
    blurb = TOOLS / f"blurb-{blurb_for(str(release.version))}"
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
    here = ProcessBuilders(builds, places, {**PROGRAMS, **STANDINS})
    local = {name: str(state / f"{name}.git") for name in ("upstream", "fork")}
    verify = partial(verify_companion, sigstore.trusted_root, gpg)

    def downloads(systems: Systems) -> Downloads:
        """Return the download server, or its local form."""
        servers, source = state / "servers", systems.artifacts
        return systems.downloads or FolderServer(
            staging=servers / "staging", public=servers / "public", source=source
        )

    return World(
        name=file.name,
        rehearsal=True,
        digest=digest,
        policy=policy,
        nonce=made.nonce(key),
        repo=repository(real, real.remotes or local, gpg, blurb),
        tracker=real.tracker.of_run(made.nonce(key))
        if real.tracker
        else LocalTracker(file=state / "tracker.json", upstream=state / "upstream.git"),
        buildbots=real.buildbots or LocalBuildbots(file=state / "buildbots.json"),
        builders=RemoteBuilders(builds, services, here) if services else here,
        artifacts=Shelf(artifacts, builds),
        signers=signers(real, policy, gpg, signer, sigstore.trusted_root),
        downloads=downloads(real),
        docs=real.docs
        or FolderDocs(
            releases=state / "servers" / "docs" / "release",
            links=state / "servers" / "public" / "ftp" / "python" / "doc",
            source=artifacts,
        ),
        website=real.website
        or PythonOrg(
            site.url,
            v2_token=lambda: site.v2_token,
            v1_key=lambda: site.v1_key,
            origin_headers={ORIGIN_HEADER: "1"},
        ),
        public=real.public(verify)
        or PublicSite(
            site.url,
            verify=verify,
            origin_headers={ORIGIN_HEADER: "1"},
        ),
        announcements=real.announcements or drafts,
        people=real.people(policy.people)
        or RehearsalPeople(
            folder=state,
            roster=policy.people,
            automatic=tuple(role for role, one in file.people.items() if one.played),
            hooks={"web-editor": partial(edit_pages, site, pages, drafts, release)},
            done=partial(do_elsewhere, state, drafts, release),
            sign=attestations.sign,
            now=clock.now,
        ),
        attestations=attestations,
        advisories=LocalAdvisories(file=state / "advisories.json", clock=clock),
        machine=LocalMachine(folder=state, blurb=blurb, site=pages),
        clock=clock,
        site_url=SITE,
        patience_seconds=file.patience_seconds,
        tests=file.tests,
        secrets=lambda: (
            *(site.v2_token, site.v1_key, site.v1_key.partition(":")[2]),
            *real.secrets.all(),
        ),
        probes=lambda: probes(real, downloads(replace(real, artifacts=state / DOCTOR)), gpg),
    )


def _nobody(_: str) -> str:
    """Ask nobody: a rehearsal's secrets are in the environment."""
    return ""


def _public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")
