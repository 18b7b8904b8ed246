"""Where builds run that do not run here: services by the name of the build."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from relkit.adapters.azure import AzurePipeline, sign_in
from relkit.adapters.buildbot_forced import ForcedBuild
from relkit.adapters.github_actions import GitHubActions
from relkit.adapters.incoming import Incoming
from relkit.adapters.incoming_ssh import SshUploads
from relkit.adapters.remote_builders import BuildService
from relkit.adapters.rest import Rest
from relkit.adapters.web import Web
from relkit.errors import UsageError
from relkit.places import Azure
from relkit.real.systems import Systems

Named = tuple[str, BuildService]


def build_services(systems: Systems) -> dict[str, BuildService]:
    """Return the services; a build that two would make is refused (``WORLD_FILE``)."""
    found: dict[str, BuildService] = {}
    for part in (_actions, _pipeline, _forced, _incoming):
        for name, service in part(systems):
            if name in found:
                raise UsageError(
                    f"{systems.file.name}: {name} would be made by {found[name].builder()} and by "
                    f"{service.builder()}",
                    code="WORLD_FILE",
                    remedy="Let one of them make it.",
                )
            found[name] = service
    return found


def _actions(systems: Systems) -> Iterator[Named]:
    place = systems.services.github
    if place is None or systems.github is None or not place.builds:
        return
    service = GitHubActions(
        systems.github,
        repository=place.actions,
        workflow=place.workflow,
        ref=place.ref,
        git_remote=place.git_remote,
        builds=place.builds,
    )
    yield from ((name, service) for name in place.builds)


def _pipeline(systems: Systems) -> Iterator[Named]:
    place = systems.services.azure
    if place is None:
        return
    service = AzurePipeline(
        _azure(systems, place),
        pipeline=place.pipeline,
        ref=place.ref,
        git_remote=place.git_remote,
        builds=place.builds,
        parameters=place.parameters,
        production=not systems.file.rehearsal,
    )
    yield from ((name, service) for name in place.builds)


def _azure(systems: Systems, place: Azure) -> Rest:
    token = systems.secrets.getter("azure-token")
    return Rest(
        "Azure Pipelines",
        Web(place.api),
        headers=lambda: sign_in(token()),
        secrets=lambda: (token(),),
        denied=partial(systems.secrets.forget, "azure-token"),
    )


def _forced(systems: Systems) -> Iterator[Named]:
    place = systems.services.buildbot
    if place is None:
        return
    for name, where in place.force.items():
        scheduler, _, builder = where.partition("/")
        service = ForcedBuild(
            Rest("Buildbot", Web(place.url)),
            scheduler=scheduler,
            builder=builder,
            login=systems.secrets.getter("buildbot-login"),
            forget=partial(systems.secrets.forget, "buildbot-login"),
        )
        yield name, service


def _incoming(systems: Systems) -> Iterator[Named]:
    place = systems.services.downloads
    if place is None:
        return
    for name, folder in place.incoming.items():
        uploads = SshUploads(systems.server(place))
        yield name, Incoming(uploads, folder=folder, builder=f"ssh://{place.host}{folder}")
