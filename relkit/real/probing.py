"""What can be asked of real systems the day before a release, beyond what the ports read.

Each is a question that changes nothing, or a write that cannot have an effect: a dispatch on a
branch that cannot be, a trial run, a file that is taken away again. What each proves, and what
not, is told in `relkit.doctor_table`.
"""

from __future__ import annotations

from functools import partial
from itertools import combinations

from relkit.adapters.azure import AzurePipeline
from relkit.adapters.git_rights import may_push
from relkit.adapters.github import signed_in
from relkit.adapters.github_actions import GitHubActions
from relkit.adapters.gpg import GpgSigner
from relkit.adapters.probe_file import ProbeFile
from relkit.adapters.rest import Rest
from relkit.adapters.secrets import Secrets
from relkit.errors import CheckError, WorldError
from relkit.expected import expected
from relkit.kinds import TRANSITIONS
from relkit.places import GitHub
from relkit.policy import MANAGER
from relkit.ports import Downloads
from relkit.probe import Probe, Seen
from relkit.real.builds import build_services
from relkit.real.pins import protocols
from relkit.real.probing_servers import Named, cache, incoming, network, rooms
from relkit.real.systems import Systems
from relkit.values import Build

DOCTOR = "doctor"
"""The folder of the world's state that has the file which goes to staging, and nothing else."""


def probes(systems: Systems, downloads: Downloads, gpg: GpgSigner) -> dict[str, Probe]:
    """Return the questions by the names of the doctor's rows, as far as the world has a system.

    `downloads` sends from the folder `DOCTOR`.
    """
    release, parts = systems.release, [_secrets, _accounts, _remotes, network, cache]
    found: dict[str, Probe] = {
        "GPG key": lambda: Seen("its secret part is here", until=gpg.expires())
    }
    if release.kind not in TRANSITIONS:
        source = systems.state / DOCTOR
        found["staging"] = ProbeFile(downloads, source, release.folder, shelf=systems.artifacts)
        parts += [_builds, _uploads, rooms]
    return found | {name: one for part in parts for name, one in part(systems)}


# --- who we are -----------------------------------------------------------------------------------


def _secrets(systems: Systems) -> Named:
    parts, names = systems.services, list[str]()
    names += ["github-token"] if parts.github else []
    names += ["azure-token"] if parts.azure else []
    names += ["site-token", "site-key"] if parts.website else []
    names += ["cdn-key"] if parts.cdn and parts.cdn.service else []
    names += ["buildbot-login"] if parts.buildbot and parts.buildbot.force else []

    if names:
        yield "secrets", partial(_had, systems.secrets, names)


def _had(secrets: Secrets, names: list[str]) -> Seen:
    """Get each secret, and say of all that are missing. Raises `WorldError`."""
    secrets.hold()  # one that lacks a right here may have another one there
    lacking = []
    for name in names:
        try:
            secrets.get(name)
        except WorldError as error:
            lacking.append(error)
    if lacking:
        raise WorldError(
            "; ".join(str(one.args[0]) for one in lacking),
            code=lacking[0].code,
            remedy="\n".join(one.remedy for one in lacking),
        )
    return Seen(", ".join(names))


def _accounts(systems: Systems) -> Named:
    place = systems.services.github
    if place is not None and systems.github is not None:
        manager = systems.file.people[MANAGER]
        yield "GitHub account", partial(_account, systems.github, place, manager.name)


def _account(rest: Rest, place: GitHub, manager: str) -> Seen:
    """Compare whom the token is of with how people are called there, each by a name of their own.

    Raises `CheckError` (``SAME_ACCOUNT``).
    """
    found = signed_in(rest)
    names = {who: login.casefold() for who, login in place.mentions.items()}
    others = [who for who, login in names.items() if login == found.login.casefold()]
    same = [pair for pair in combinations(names, 2) if names[pair[0]] == names[pair[1]]]
    if same or (others and others != [manager]):
        one, other = same[0] if same else (others[0], manager)
        raise CheckError(
            f"{one} and {other} would both be {names[one]} on GitHub",
            code="SAME_ACCOUNT",
            remedy="Correct github.mentions, or sign in with a token of your own.",
        )
    return Seen(f"the token is of {found.login}", until=found.until)


# --- git ----------------------------------------------------------------------------------------


def _remotes(systems: Systems) -> Named:
    parts = systems.services
    local = {name: str(systems.state / f"{name}.git") for name in ("upstream", "fork")}
    urls = dict(systems.remotes or local)
    if words := parts.announcements:
        urls |= {"release data": words.peps, "blog": words.blog}
    if parts.people:
        urls["meeting place"] = parts.people.meeting
    for name, url in urls.items():
        if url:
            yield (
                f"push to {name}",
                partial(
                    may_push,
                    url,
                    folder=systems.state / "copies",
                    protocols=protocols(url),
                    environment=systems.git_environment,
                ),
            )


# --- builds ---------------------------------------------------------------------------------------


def _builds(systems: Systems) -> Named:
    release, needed = systems.release, _needed(systems)
    for name, service in build_services(systems).items():
        if name not in needed:
            continue
        build = Build(
            name=name,
            nonce="doctor",
            version=str(release.version),
            commit="0" * 40,
            options={"tag": release.tag},
        )
        if isinstance(service, GitHubActions):
            yield "GitHub Actions: workflow", partial(_described, service)
            yield "GitHub Actions: start", partial(service.dispatchable, build=build)
        elif isinstance(service, AzurePipeline):
            yield "Azure Pipelines", partial(_tried, service, build)


def _needed(systems: Systems) -> set[str]:
    """Return the builds of this release; the rebuild of the source is one of each."""
    return {one.build for one in expected(systems.release.amended)} | {"rebuild"}


def _described(service: GitHubActions) -> Seen:
    return Seen(service.described())


def _tried(service: AzurePipeline, build: Build) -> Seen:
    service.rehearse(build=build)
    return Seen("a trial run was worked out, and none was made")


def _uploads(systems: Systems) -> Named:
    place = systems.services.downloads
    if place is None:
        return
    folders = {name: one for name, one in place.incoming.items() if name in _needed(systems)}
    if folders:
        yield "uploads of experts", partial(incoming, systems, place, folders)
