"""Prepare: freeze the branch, and clone it: from here on nothing moves under the release."""

from __future__ import annotations

from functools import partial

from relkit.kinds import RELEASES, where
from relkit.plan import Action, Check, Expect, Plan, Result
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.prepare import HERE, PHASE, check_blockers, notify_experts
from relkit.values import Commit, ObjectId, Protection, Value

CLONED = RELEASES | where(ends_branch=True)
"""The kinds that work on a clone of a frozen branch."""
MOST_CANDIDATES = 9


class Frozen(Value):
    """The branch as it was when it was frozen; `protection` is put back at the end."""

    head: ObjectId
    protection: Protection


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
        if base is not None:
            yield Check(
                f"{release.branch} of upstream contains {candidate}, {base.commit}",
                world.repo.contains(remote="upstream", branch=release.branch, commit=base.commit),
                code="CANDIDATE_ELSEWHERE",
                remedy="Find out who made that tag: a candidate was merged into its branch.",
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
