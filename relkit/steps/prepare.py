"""Prepare: see that people, machine, tracker and branch are fit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from relkit.kinds import EVERY, RELEASES, where
from relkit.plan import Action, Check, Expect, Plan, Result
from relkit.ports import World
from relkit.release import Release, Version
from relkit.step import Results, step
from relkit.texts import notice
from relkit.values import Commit, ObjectId, Person, Protection, Tool, Value

PHASE = "Prepare"
HERE = "release manager's machine"
NEEDED_BYTES = 3_000_000_000
"""Room for a clone, a build of it and the artifacts of a release of CPython."""
RELEASE_BLOCKER, DEFERRED_BLOCKER = "release-blocker", "deferred-blocker"
CLONED = RELEASES | where(ends_branch=True)
"""The kinds that work on a clone of a frozen branch."""
MAGIC_HEADER_SINCE = 14
MOST_CANDIDATES = 9
REGEN_SCRIPT_SINCE = 12


class Tools(Value):
    """The tools of this machine whose versions shape the release."""

    tools: tuple[Tool, ...]


class Frozen(Value):
    """The branch as it was when it was frozen; `protection` is put back at the end."""

    head: ObjectId
    protection: Protection


@step(phase=PHASE, where=HERE, returns=Tools, kinds=EVERY)
def preflight(_release: Release, world: World, _results: Results) -> Plan:
    """Look at the machine.

    Tools with their versions, the environment against its lock file, credentials by a signing
    rehearsal, known vulnerabilities and free disk: what is wrong here is found now and not in the
    middle of the release. A scanner must find an entry planted for it: one that sees nothing would
    report nothing. Takes a few seconds; nothing is changed.
    """
    tools = world.machine.tools()
    missing = [tool.name for tool in tools if tool.version is None]
    yield Check(
        "all tools are here",
        not missing,
        found=", ".join(f"{tool.name} {tool.version or 'missing'}" for tool in tools),
        code="TOOL_MISSING",
        remedy=f"Install {', '.join(missing)}, then run this again.",
    )
    differences = world.machine.environment_differences()
    yield Check(
        "the environment is the locked one",
        not differences,
        found="; ".join(differences[:5]),
        code="ENV_MODIFIED",
        remedy="Make it anew: make clean env.",
    )
    for signer in world.signers.usable():
        yield Check(
            f"signing with {signer.name} works",
            signer.version is not None,
            found=f"as {signer.version}",
            code="SIGNER_UNUSABLE",
            remedy=f"See to the credentials of {signer.name} before anything is begun.",
        )
    yield from _scan(world)
    free = world.machine.free_bytes()
    yield Check(
        f"at least {NEEDED_BYTES // 10**9} GB of disk are free",
        free >= NEEDED_BYTES,
        found=f"{free / 10**9:.1f} GB",
        code="DISK_SPACE",
        remedy="Make room where the world's state is kept.",
    )
    yield Result(Tools(tools=tools))


def _scan(world: World) -> Plan:
    scan = world.advisories.scan()
    seen = scan.control_found and scan.database_date is not None and scan.packages > 0
    yield Check(
        "the advisory scanner sees its control entry",
        True if seen else None,
        found=f"{scan.packages} packages, database of {scan.database_date}",
        remedy="Refresh the advisory database: a scanner that sees nothing proves nothing.",
    )
    yield Check(
        "no installed package has a known vulnerability",
        not scan.findings,
        found="; ".join(scan.findings),
        code="VULNERABLE",
        remedy="Update the packages, or have the finding waived with a reason.",
        waivable=True,
    )


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
    needed, and when, each in their own time zone. Who they are follows from the kind. Look at the
    date of this run first: a message cannot be taken back.
    """
    people = experts(release, world)
    subject = f"Python {release.version} is about to be made"
    body = "You will get the tag and the commit id; please build from the commit id."
    text = notice(release, people, subject, body)
    yield from message(world, "notice", subject, text, *(one.role for one in people))


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


@step(
    phase=PHASE,
    where="upstream",
    after=[check_blockers, notify_experts],
    returns=Frozen,
    kinds=CLONED,
)
def freeze_branch(release: Release, world: World, _results: Results) -> Plan:
    """Freeze the branch.

    From here on nobody can push to the branch, so that nothing comes between what was looked at and
    what is made of it. Its head is remembered, and later steps refuse if it moved. Its protection
    is remembered too, and comes back when the branch is opened, or when the run is taken back.
    Everybody sees a frozen branch: do not leave it so for longer than you need.
    """
    branch = release.branch
    head = world.repo.remote_ref(remote="upstream", ref=f"refs/heads/{branch}")
    before = world.tracker.protection(branch=branch)
    yield Check(
        f"upstream has {branch}",
        head is not None,
        code="NO_BRANCH",
        remedy="Look at the world's upstream.",
    )
    yield Check(
        f"{branch} is not frozen by somebody else",
        not before.locked,
        code="ALREADY_FROZEN",
        remedy="Find out who froze it and why; another release may be going on.",
    )
    if head is None:
        return
    frozen = Protection(locked=True, rules=before.rules)
    yield Action(
        do=partial(world.tracker.set_protection, branch=branch, protection=frozen),
        done=Expect(partial(world.tracker.protection, branch=branch), equals=frozen),
        undo=partial(world.tracker.set_protection, branch=branch, protection=before),
    )
    yield Result(Frozen(head=head, protection=before))


def still_frozen(release: Release, world: World, results: Results) -> Check:
    """Return the check that upstream's branch stands where it was frozen."""
    frozen = results[freeze_branch]
    head = world.repo.remote_ref(remote="upstream", ref=f"refs/heads/{release.branch}")
    return Check(
        f"{release.branch} stands at {frozen.head}, where it was frozen",
        head == frozen.head,
        found=f"upstream has {head}",
        code="FREEZE_BROKEN",
        remedy="See who pushed; begin anew from the head of the branch, or have it put back.",
    )


@step(phase=PHASE, where="buildbots", after=[freeze_branch])
def check_buildbots(release: Release, world: World, results: Results) -> Plan:
    """Look at the buildbots.

    Each stable builder must have finished a build *of the frozen commit* with success. A builder
    that is offline is listed; one that has no build of this commit, or an exception, is not green.
    After a push that can take hours: run the cell again, ask the owner of the builder, or waive
    this one builder with a reason.
    """
    head = results[freeze_branch].head
    bots = world.buildbots.stable(branch=release.branch, commit=head)
    yield Check(
        "there are stable builders",
        True if bots else None,
        remedy="Ask the buildbot masters; an empty list is not an answer.",
        waivable=True,
    )
    for bot in bots:
        green = bot.commit == head and bot.result in {"success", "warnings"}
        online = "online" if bot.online else "offline"
        yield Check(
            f"{bot.name} is green for {head:.12}",
            green if bot.result is not None else None,
            found=f"{bot.result or 'no build'} of {bot.commit or 'nothing'}, {online}",
            code="BUILDER_NOT_GREEN",
            remedy="Wait for a green build of this commit, or waive this builder with a reason.",
            waivable=True,
        )


@step(phase=PHASE, where=HERE, after=[freeze_branch], kinds=CLONED)
def make_clone(release: Release, world: World, results: Results) -> Plan:
    """Make the release clone.

    A clone made for this run alone: nothing of the release manager's daily work is in it. It must
    be on the right branch, at the frozen commit, with nothing uncommitted. A folder that is there
    already is compared with that, and never overwritten. Minutes for the whole of CPython.
    """
    frozen = results[freeze_branch]
    yield still_frozen(release, world, results)
    state = world.repo.clone_state()
    if state is not None:
        yield from _fit(release, state.branch, state.head, state.dirty, frozen.head)
    yield Action(
        do=partial(world.repo.make_clone, branch=release.branch, commit=frozen.head),
        done=Expect(
            partial(world.repo.clone_state),
            has={"branch": release.branch, "head": frozen.head, "dirty": []},
        ),
        undo=partial(world.repo.discard_clone, branch=release.branch),
    )


def _fit(release: Release, branch: str, head: str, dirty: tuple[str, ...], frozen: str) -> Plan:
    yield Check(
        f"the release clone is on {release.branch}",
        branch == release.branch,
        found=branch,
        code="CLONE_BRANCH",
        remedy="Check out the right branch there, or move the clone away.",
    )
    yield Check(
        "nothing in the release clone is uncommitted",
        not dirty,
        found=", ".join(dirty[:5]),
        code="CLONE_DIRTY",
        remedy="Look at these files; then commit them elsewhere or move the clone away.",
    )
    yield Check(
        f"the release clone stands at {frozen}",
        head == frozen,
        found=head,
        code="CLONE_BEHIND",
        remedy="Bring the clone to upstream's head, or move it away.",
    )


@step(phase=PHASE, where=HERE, after=[make_clone], returns=Commit)
def choose_base(release: Release, world: World, results: Results) -> Plan:
    """Choose the base.

    The commit that is edited, and so becomes the release: the frozen head of the branch. A
    candidate after the first, or a final, can be made from the candidate before it instead, with
    the commits given as `picks` on top: then what was tested is released, and nothing that reached
    the branch since. Such a release is merged back into the branch at the end. A pick that does not
    apply is refused, and nothing of it is kept.
    """
    head, base = results[freeze_branch].head, None
    if release.picks:
        candidate = last_candidate(release, world)
        base = world.repo.remote_tag(remote="upstream", name=candidate) if candidate else None
        yield Check(
            "there is a candidate to pick onto",
            base is not None,
            found=candidate,
            code="NO_CANDIDATE",
            remedy="Release the whole branch: leave the picks empty.",
        )
    onto = base.commit if base else head
    picked = partial(world.repo.picked, base=onto, commits=release.picks)
    if base:
        yield Action(
            do=partial(world.repo.pick, base=onto, commits=release.picks, time=release.time),
            done=Expect(picked),
            undo="the picked commits are on no branch; nothing has to be taken back",
        )
    yield Result(picked)


def last_candidate(release: Release, world: World) -> str:
    """Return the tag of the last candidate before a release, as upstream has it; empty: none."""
    last = release.version.serial or MOST_CANDIDATES + 1
    names = [f"v{release.version.base}rc{serial}" for serial in range(1, last)]
    refs = tuple(f"refs/tags/{name}" for name in names)
    found = world.repo.remote_refs(remote="upstream", refs=refs) if refs else {}
    return next((name for name in reversed(names) if found[f"refs/tags/{name}"]), "")


@step(phase=PHASE, where=HERE, after=[choose_base])
def check_tree(release: Release, world: World, results: Results) -> Plan:
    """Look at the tree.

    What has to be right before anything is edited: the version that stands there, the magic number
    of compiled files (from 3.14 on, and from the first candidate on), the address the docs give for
    sources, the years of the copyright, and that continuous integration found `configure` and the
    other generated files up to date *for this commit*. What is wrong is put right on the branch by
    a pull request, and the run begins anew from there. relkit does not regenerate `configure`
    itself: output of another autoconf than the pinned one must never be committed.
    """
    head = results[choose_base].commit
    text = partial(world.repo.read_text, commit=head)
    yield from _follows(release, text(path="Include/patchlevel.h"))
    yield from _magic_number(
        release,
        text(path="Include/internal/pycore_magic_number.h"),
        text(path="Lib/test/test_importlib/test_util.py"),
    )
    where = text(path="Doc/tools/extensions/pyspecific.py") or text(path="Doc/conf.py") or ""
    yield Check(
        f"the docs' source links lead to {release.branch}",
        f"/tree/{release.branch}/" in where,
        code="SOURCE_URI",
        remedy="Correct SOURCE_URI in Doc/tools/extensions/pyspecific.py.",
        warns=True,
    )
    year, readme = str(release.day.year), text(path="README.rst") or ""
    yield Check(
        f"the copyright in README.rst reaches {year}",
        f"-{year} Python" in readme or f"2001-{year}" in readme,
        code="COPYRIGHT_YEAR",
        remedy="Have the years brought up to date on the branch.",
        warns=True,
    )
    runs = {run.name: run.conclusion for run in world.tracker.commit_checks(commit=head)}
    generated = runs.get("Check if generated files are up to date")
    yield Check(
        f"generated files are up to date at {head:.12}",
        None if generated is None else generated == "success",
        found=f"continuous integration: {generated or 'no such check'}",
        code="REGEN_MISMATCH",
        remedy=f"Have them regenerated on the branch with {_autoconf(release)}, or waive this.",
        waivable=True,
    )


def _autoconf(release: Release) -> str:
    """Say what regenerates `configure` of a tree exactly as it was made before."""
    if release.version.minor >= REGEN_SCRIPT_SINCE:
        return "Tools/build/regen-configure.sh of the tree, which pins its container"
    return "autoconf 2.69 in the container that devguide names for 3.11 and older"


def _follows(release: Release, header: str | None) -> Plan:
    found = ""
    for line in (header or "").splitlines():
        if line.startswith("#define PY_VERSION ") and line.count('"') == 2:  # noqa: PLR2004
            found = line.split('"')[1]
    follows: bool | None = None
    if found:
        before = Version.of_tree(found)
        follows = before < release.version and before.series == release.version.series
    yield Check(
        f"{release.version} follows the version of the tree",
        follows,
        found=f"Include/patchlevel.h has {found or 'none'}",
        code="VERSION_ORDER",
        remedy="Correct the version that is to be released, or look at the branch.",
    )


def _magic_number(release: Release, header: str | None, test: str | None) -> Plan:
    if release.version.minor < MAGIC_HEADER_SINCE or release.version.level in {"a", "b"}:
        return  # the two differ until the first candidate; a check that always warns is none
    defined = _number_after(header or "", "#define PYC_MAGIC_NUMBER")
    expected = _number_after(test or "", "EXPECTED_MAGIC_NUMBER =")
    yield Check(
        "the magic number is the one the tests expect",
        defined is not None and defined == expected,
        found=f"defined {defined}, expected {expected}",
        code="MAGIC_NUMBER",
        remedy="Put EXPECTED_MAGIC_NUMBER right on the branch, or find out why the number moved.",
    )


def _number_after(text: str, marker: str) -> str | None:
    for line in text.splitlines():
        if line.strip().startswith(marker):
            return line.strip().removeprefix(marker).split("#")[0].strip() or None
    return None
