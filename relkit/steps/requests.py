"""What experts are asked to build: each finds the own part, and nothing is left to be guessed.

Said are the commit and the tag, which files are wanted, where they go or who makes them, what the
text beside them says, by when, and whom to tell. It comes from the release, the policy and the
roster alone, so that it is the same whenever it is planned.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from relkit.building.provenance import LOCAL_BUILDER
from relkit.building.uploads import LIST
from relkit.manifest import expected_of
from relkit.policy import MANAGER
from relkit.ports import World
from relkit.release import Release
from relkit.steps.delivery import EXPERT_HOURS
from relkit.texts import build_request
from relkit.values import ObjectId, Person

UPLOADS = "ssh"
"""The scheme in a builder's URI by which the policy names a folder that an expert uploads to."""
FORK = "git.fork: "


def please_build(
    release: Release,
    world: World,
    people: tuple[Person, ...],
    *,
    commit: ObjectId,
    tag_object: ObjectId,
) -> str:
    """Return what these people are asked, each by the own role."""
    forks = [one.removeprefix(FORK) for one in world.systems if one.startswith(FORK)]
    roles = dict.fromkeys(one.role for one in people)
    return build_request(
        release,
        commit=commit,
        tag_object=tag_object,
        fork=forks[0] if forks else "",
        hours=EXPERT_HOURS,
        manager=_names(world.people.roster(), MANAGER) or "the release manager",
        asked=[_part(release, world, people, role) for role in roles],
        list=LIST,
    )


def _part(
    release: Release, world: World, people: tuple[Person, ...], role: str
) -> dict[str, object]:
    """Return what one role is asked for."""
    build = role.removesuffix("-expert")
    builder = world.policy.builders.get(build, "nobody the policy names")
    where = urlsplit(builder)
    return {
        "role": role,
        "who": _names(people, role),
        "files": [file.name for file in expected_of(release, build)],
        "made": "on the own machine" if builder == LOCAL_BUILDER else f"by {builder}",
        "host": where.hostname,
        "place": where.path if where.scheme == UPLOADS else "",
    }


def _names(people: tuple[Person, ...], role: str) -> str:
    return ", ".join(one.name for one in people if one.role == role)
