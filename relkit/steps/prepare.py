"""Prepare: see that people, machine and tracker are fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from relkit.errors import ReleaseError
from relkit.kinds import EVERY
from relkit.plan import Action, Check, Expect, Plan, Result
from relkit.policy import MANAGER
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step, steps_of
from relkit.texts import notice
from relkit.values import Identity, Person, Signed, Tool, Value

PHASE = "Prepare"
HERE = "release manager's machine"
NEEDED_BYTES = 3_000_000_000
"""Room for a clone, a build of it and the artifacts of a release of CPython."""
CLOCK_SECONDS = 60
REHEARSED = "relkit: this text only shows that a key can sign;"
"""Signed with the keys of decisions, and in no way the form of one."""
RELEASE_BLOCKER, DEFERRED_BLOCKER = "release-blocker", "deferred-blocker"


class Tools(Value):
    """The tools of this machine whose versions shape the release."""

    tools: tuple[Tool, ...]


@step(phase=PHASE, where=HERE, returns=Tools, kinds=EVERY)
def preflight(_release: Release, world: World, _results: Results) -> Plan:
    """Look at the machine.

    Tools with their versions, the environment against its lock file, who else can reach this
    notebook's kernel and server, credentials by a signing rehearsal, the clock against the world's,
    known vulnerabilities and free disk: what is wrong here is found now and not in the middle of
    the release. A scanner must find an entry planted for it: one that sees nothing would report
    nothing. Takes a few seconds; nothing is changed.
    """
    tools = world.machine.tools()
    yield all_here(tools)
    for look in LOOKS.values():
        yield from look(world)
    yield Result(Tools(tools=tools))


def all_here(tools: tuple[Tool, ...]) -> Check:
    """Return the check that no tool is missing."""
    missing = [tool.name for tool in tools if tool.version is None]
    return Check(
        "all tools are here",
        not missing,
        found=", ".join(f"{tool.name} {tool.version or 'missing'}" for tool in tools),
        code="TOOL_MISSING",
        remedy=f"Install {', '.join(missing)}, then run this again.",
    )


def _environment(world: World) -> Iterator[Check]:
    differences = world.machine.environment_differences()
    yield Check(
        "the environment is the locked one",
        not differences,
        found="; ".join(differences[:5]),
        code="ENV_MODIFIED",
        remedy="Make it anew: make clean env.",
    )


def _signing(world: World) -> Iterator[Check]:
    for signer in world.signers.usable():
        yield Check(
            f"signing with {signer.name} works",
            signer.version is not None,
            found=f"as {signer.version}" if signer.version else signer.why or "it cannot sign now",
            code="SIGNER_UNUSABLE",
            remedy=f"See to the credentials of {signer.name} before anything is begun.",
        )


def _disk(world: World) -> Iterator[Check]:
    free = world.machine.free_bytes()
    yield Check(
        f"at least {NEEDED_BYTES // 10**9} GB of disk are free",
        free >= NEEDED_BYTES,
        found=f"{free / 10**9:.1f} GB",
        code="DISK_SPACE",
        remedy="Make room where the world's state is kept.",
    )


def _private(world: World) -> Iterator[Check]:
    reach = world.machine.reach()
    yield Check(
        "nobody else reaches this notebook's kernel and server",
        None if reach.faults is None else not reach.faults,
        found="; ".join([reach.how, *(reach.faults or ())]),
        code="UNSAFE_SERVER",
        remedy="Stop the server, and start JupyterLab with `make lab`: it listens on this machine "
        "alone, asks for a token, and keeps kernels in a folder of yours.",
    )


def _own_key(world: World) -> Iterator[Check]:
    """Yield whether who sits here can sign decisions, by a text that is none."""
    for role in world.policy.present:
        who = world.policy.person(role)
        said = _trouble(world, who)
        yield Check(
            f"decisions as {role} can be signed here",
            not said,
            found=said or f"as {who.name}",
            code="SIGNER_UNUSABLE",
            remedy="Unlock this person's key (ssh-add -l lists the agent's), then run this again.",
        )


def _trouble(world: World, who: Person) -> str:
    text = f"{REHEARSED} {world.nonce}\n"
    try:
        signed = world.attestations.sign(who=who.name, text=text)
        mine = [one for one in who.identities if one.scheme == signed.scheme]
        if signed.text != text or not mine:
            return f"the policy has no {signed.scheme} identity of {who.name}"
        return _by_none(world, signed, mine)
    except ReleaseError as error:
        return str(error)


def _by_none(world: World, signed: Signed, identities: Iterable[Identity]) -> str:
    """Return why none of the identities has signed; empty: one has."""
    said = ""
    for identity in identities:
        try:
            world.attestations.verify(signed=signed, identity=identity)
        except ReleaseError as error:
            said = str(error)
        else:
            return ""
    return said


def _clock(world: World) -> Iterator[Check]:
    ahead = world.machine.seconds_ahead()
    yield Check(
        f"the clock is right to {CLOCK_SECONDS} seconds",
        None if ahead is None else abs(ahead) <= CLOCK_SECONDS,
        found="the world gives no time" if ahead is None else f"{ahead:+.0f} s from the world's",
        code="CLOCK",
        remedy="Set the clock of this machine by the network, then run this again.",
    )


def _scan(world: World) -> Iterator[Check]:
    scan = world.advisories.scan()
    answered = scan.database_date is not None
    told = bool(scan.findings) or (answered and scan.control_found)
    yield Check(
        "the advisory scanner sees its control entry",
        (scan.control_found and scan.packages > 0) if answered else None,
        found=f"{scan.packages} packages, database of {scan.database_date}",
        code="SCANNER_BLIND",
        remedy="Refresh the advisory database: a scanner that sees nothing proves nothing.",
    )
    yield Check(
        "no installed package has a known vulnerability",
        not scan.findings if told else None,
        found="; ".join(scan.findings),
        code="VULNERABLE",
        remedy="Update the packages, or have the finding waived with a reason.",
        waivable=True,
    )


LOOKS: dict[str, Callable[[World], Iterator[Check]]] = {
    "environment": _environment,
    "notebook": _private,
    "signing": _signing,
    "decisions": _own_key,
    "clock": _clock,
    "scanner": _scan,
    "disk": _disk,
}
"""What `preflight` looks at besides the tools, in its order."""


@step(phase=PHASE, where=HERE, after=[preflight], kinds=EVERY)
def check_cycle(release: Release, world: World, _results: Results) -> Plan:
    """Look at the release cycle.

    The dates that came with relkit say which status the series has on this day, and so which kinds
    fit it. The world's own release data must agree. If it does not, the run stops here, until
    somebody finds out which of the two is wrong: the data never makes another kind of it.
    """
    series, allowed = release.version.series, (*release.facts.begins, release.facts.ends)
    found = world.announcements.status(series=series)
    yield Check(
        f"{series} is {' or '.join(filter(None, allowed))} in the release data",
        None if found is None else found in allowed,
        found=str(found),
        code="CYCLE_DIFFERS",
        remedy="Open the notebook of the kind that the release data has, or correct the data.",
    )


@step(phase=PHASE, where="mail", after=[check_cycle])
def notify_experts(release: Release, world: World, _results: Results) -> Plan:
    """Tell the experts.

    The people who build and check on other machines learn, best the day before, that they will be
    needed, and when, each in their own time zone. Who they are follows from the kind. Whoever else
    is asked at a gate, such as the second person who publishes, learns that too. Look at the date
    of this run first: a message cannot be taken back.
    """
    people = experts(release, world)
    subject = f"Python {release.version} is about to be made"
    body = "You will get the tag and the commit id; please build from the commit id."
    text = notice(release, people, subject, body)
    yield from message(world, "notice", subject, text, *(one.role for one in people))
    others = deciders(release, world)
    body = "You build nothing: you will be asked to decide, and answer with relkit decide."
    text = notice(release, others, subject, body)
    yield from message(world, "notice-deciders", subject, text, *(one.role for one in others))


def deciders(release: Release, world: World) -> tuple[Person, ...]:
    """Return who is asked at a gate of this release, but the release managers and `experts`."""
    gates = {one.gate for one in steps_of(release.kind) if one.gate}
    roles = {role for gate in gates for role in world.policy.roles(gate, release.kind)}
    roles -= {MANAGER, *(one.role for one in experts(release, world))}
    return tuple(one for one in world.people.roster() if one.role in roles)


def experts(release: Release, world: World) -> tuple[Person, ...]:
    """Return the people on other machines whom this release needs."""
    roles = {f"{platform}-expert" for platform in release.platforms}
    roles |= {"docs-expert"} if release.facts.docs else set()
    return tuple(one for one in world.people.roster() if one.role in roles)


def message(world: World, name: str, subject: str, text: str, *roles: str) -> Plan:
    """Yield the action that sends one message of this run, findable by its name; none to nobody."""
    nonce = f"{world.nonce}-{name}"
    if roles:
        yield Action(
            do=partial(world.people.tell, nonce=nonce, subject=subject, text=text, roles=roles),
            done=Expect(partial(world.people.told, nonce=nonce)),
            undo="a message stays sent",
        )


@step(phase=PHASE, where="tracker", after=[check_cycle])
def check_blockers(release: Release, world: World, _results: Results) -> Plan:
    """Look for release blockers.

    No open issue may carry *release-blocker*. Deferred blockers stop candidates, finals and bugfix
    releases; for other kinds they are only listed, and become release blockers again when the
    release is out. An incomplete answer of the tracker is not an answer. If one is open, have it
    fixed or deferred by those who own it, or waive it with a reason that everybody can read.
    """
    yield from blockers(release, world)


def blockers(release: Release, world: World) -> Iterator[Check]:
    """Yield the checks that no open issue stops the release."""
    for label, stops in ((RELEASE_BLOCKER, True), (DEFERRED_BLOCKER, release.facts.strict)):
        issues = world.tracker.blockers(series=release.version.series, label=label)
        listed = "; ".join(f"#{issue.number} {issue.title}" for issue in issues.items)
        yield Check(
            f"no open {label} of {release.version.series}",
            (not issues.items) if issues.complete else None,
            found=listed,
            code="BLOCKED",
            remedy="Have them fixed or deferred, or waive this with a reason.",
            warns=issues.complete and not stops,
            waivable=True,
        )
