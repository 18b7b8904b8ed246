"""The doctor's questions that the ports of any world answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import product

from relkit.errors import CheckError, ReleaseError
from relkit.plan import Check
from relkit.policy import MANAGER, Policy
from relkit.ports import World
from relkit.probe import Seen
from relkit.release import Release
from relkit.step import steps_of
from relkit.steps import prepare
from relkit.values import Identity
from relkit.words import in_words

NOBODY = "0" * 64
"""The key of a request that nobody ever puts."""
MOST_SHOWN, OK = 120, 200
Question = Callable[[], Seen | list[Check]]


def questions(release: Release, world: World) -> dict[str, Question]:
    """Return the questions by their rows, those that this world can be asked."""
    return {**_preflight(world), **_systems(release, world), **world.probes()}


def _preflight(world: World) -> dict[str, Question]:
    def tools() -> list[Check]:
        return [prepare.all_here(world.machine.tools())]

    looks = {name: lambda look=look: list(look(world)) for name, look in prepare.LOOKS.items()}
    return {"tools": tools, **looks}


def _systems(release: Release, world: World) -> dict[str, Question]:
    head, site = f"refs/heads/{release.branch}", world.website
    asked: Mapping[str, Callable[[], object]] = {
        "release data": lambda: _data(world, release),
        "messages": lambda: f"{'one' if _told(world) else 'none'} of the doctor's",
        "blockers": lambda: _blockers(world),
        "buildbots": lambda: _buildbots(release, world),
        "upstream": lambda: _required(world.repo.remote_ref(remote="upstream", ref=head)),
        "protection": lambda: world.tracker.protection(branch=release.branch),
        "fork": lambda: world.repo.remote_ref(remote="fork", ref=head) or "no such branch",
        "docs server": lambda: world.docs.unpacked(version=str(release.version)) or "no docs yet",
        "links of the docs": lambda: world.docs.pointed(link="current"),
        "site, API v2": lambda: site.release(slug=release.slug) or "no row yet",
        "site, API v1": lambda: f"{len(site.files(slug=release.slug))} files",
        "public site": lambda: _page(world),
        "answers": lambda: f"{len(world.people.answers(key=NOBODY))} to a request nobody put",
    }
    plain = {name: partial(_said, question) for name, question in asked.items()}
    return {**plain, "two persons": partial(two_persons, release, world.policy)}


def _said(question: Callable[[], object]) -> Seen:
    value = question()
    dump = getattr(value, "model_dump", None)
    return Seen(in_words(dump(mode="json") if dump else value)[:MOST_SHOWN])


def _page(world: World) -> str:
    path = "/downloads/"
    if (got := world.public.fetch(path=path)).status != OK or not got.size:
        raise CheckError(
            f"{path} is answered with {got.status} and {got.size} bytes",
            code="PAGE_MISSING",
            remedy="Look at it in a browser, and tell whoever keeps the site.",
        )
    return f"{path} has {got.size} bytes"


def _required(head: str | None) -> str:
    if head is None:
        raise ReleaseError(
            "it answers, and does not have the branch",
            code="NO_BRANCH",
            remedy="Look at the address of upstream in the world's file.",
        )
    return head


def _data(world: World, release: Release) -> str:
    series = release.version.series
    if (status := world.announcements.status(series=series)) is None:
        raise CheckError(
            f"the release data does not have {series}",
            code="SERIES_UNKNOWN",
            remedy="Have it added together with the release PEP; then run this again.",
        )
    return f"{series} is {status}"


def _told(world: World) -> bool:
    return world.people.told(nonce=f"{world.nonce}-doctor")


def _blockers(world: World) -> str:
    found = world.tracker.labelled(label="release-blocker")
    return f"{len(found.items)} open, of all branches{'' if found.complete else ', and maybe more'}"


def _buildbots(release: Release, world: World) -> str:
    head = world.repo.remote_ref(remote="upstream", ref=f"refs/heads/{release.branch}")
    bots = world.buildbots.stable(branch=release.branch, commit=_required(head))
    if not bots:
        raise CheckError(
            f"there are no stable builders of {release.branch}",
            code="NO_BUILDERS",
            remedy="Look at buildbot.tags and buildbot.branches in the world's file.",
        )
    green = sum(bot.result in {"success", "warnings"} for bot in bots)
    return f"{len(bots)} stable builders, {green} green for the head"


# --- persons --------------------------------------------------------------------------------------


def two_persons(release: Release, policy: Policy) -> Seen:
    """Look whether there are as many persons as are asked for. Raises `CheckError`."""
    gates = sorted({one.gate for one in steps_of(release.kind) if one.gate})
    words = []
    for gate in gates:
        roles = policy.roles(gate, release.kind)
        if not _fillable(policy, roles):
            raise _too_few(f"the gate {gate}", f"one each as {', '.join(roles)}")
        words += [f"{gate} by {len(roles)}"] if len(roles) > 1 else []
    needed = policy.waivers_needed.get(release.kind, 1)
    if len({one.name for one in policy.people if one.role in policy.waivers}) < needed:
        raise _too_few("a waiver", f"{needed} of {', '.join(policy.waivers)}")
    words += [f"waivers by {needed}"] if needed > 1 else []
    for who in _borrowed(policy):
        raise CheckError(
            f"{who} would decide with a key that the release manager signs releases with",
            code="SAME_KEY",
            remedy="Have that person's own key put into the world's file.",
        )
    return Seen(f"different ones: {', '.join(words)}" if words else "nothing is asked of two")


def _fillable(policy: Policy, roles: tuple[str, ...]) -> bool:
    able = [{one.name for one in policy.people if one.role == role} for role in roles]
    return any(len({*names}) == len(names) for names in product(*able))


def _too_few(what: str, asked: str) -> CheckError:
    return CheckError(
        f"{what} needs {asked}, and there are not so many different persons",
        code="TOO_FEW_PERSONS",
        remedy="Name another person in the world's file, and raise policy_version.",
    )


def _borrowed(policy: Policy) -> Iterator[str]:
    """Yield who, without being a release manager, has a key by which releases are signed."""
    managers = {one.name for one in policy.people if one.role == MANAGER}
    signing = {
        Identity(scheme="gpg", key=policy.gpg_fingerprint),
        Identity(scheme="sigstore", key=policy.sigstore_identity, issuer=policy.sigstore_issuer),
    }
    for one in policy.people:
        if one.name not in managers and signing & {*one.identities}:
            yield one.name
