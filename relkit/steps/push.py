"""Push upstream: the last thing that cannot be taken back."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from relkit.plan import Action, Check, Evidence, Expect, Plan
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.branch import begin_next_series, start_branch
from relkit.steps.freeze import freeze_branch, still_frozen
from relkit.steps.merge import PHASE, merge_back
from relkit.steps.source import tag_release
from relkit.values import ADMINISTRATORS, AS_THEY_ARE, ObjectId, Protection, RefUpdate


def heads(release: Release, results: Results) -> dict[str, ObjectId]:
    """Return the branches that are pushed, with the commit each of them gets."""
    if not release.facts.new_branch:
        return {release.branch: results[merge_back].commit}
    return {
        release.branch: results[begin_next_series].commit,
        release.version.series: results[start_branch].commit,
    }


@step(
    phase=PHASE,
    where="upstream",
    after=[merge_back, start_branch, begin_next_series],
    gate="push",
    irreversible=True,
)
def push_upstream(release: Release, world: World, results: Results) -> Plan:
    """Push upstream.

    **Everything is published and was read back.** The protection is lifted for one atomic push of
    the branch and the tag, each only from where it is expected to be, and put back at once, also if
    the push fails. With the first beta the new branch goes in the same push, and is locked until it
    is set up. What is pushed is in thousands of clones within minutes: it is never taken back.
    """
    branches, frozen = heads(release, results), results[freeze_branch]
    wanted = {f"refs/heads/{name}": commit for name, commit in branches.items()}
    wanted[f"refs/tags/{release.tag}"] = results[tag_release].tag_object
    old = {f"refs/heads/{release.branch}": frozen.head}
    yield still_frozen(release, world, results)
    yield from _free(world, {ref: new for ref, new in wanted.items() if ref not in old})
    for name, commit in branches.items():
        changes = world.repo.changes(base=frozen.head, commit=commit)
        listed = "".join(f"{one.status} {one.path}\n" for one in changes)
        yield Evidence(f"What {name} has at {commit:.12} and not at {frozen.head:.12}", listed)
    locked = Protection(locked=True, rules=frozen.protection.rules)
    kept = tuple(rule for rule in locked.rules if rule != ADMINISTRATORS)
    lifted = protect(world, release.branch, Protection(locked=False, rules=kept), undo=locked)
    yield replace(lifted, temporary=True)
    updates = tuple(RefUpdate(ref=ref, old=old.get(ref), new=new) for ref, new in wanted.items())
    refs = tuple(wanted)
    yield Action(
        do=partial(world.repo.push, remote="upstream", updates=updates),
        done=Expect(partial(world.repo.remote_refs, remote="upstream", refs=refs), equals=wanted),
        undo="what is pushed upstream stays",
    )
    yield protect(world, release.branch, locked, undo=locked)
    for name in set(branches) - {release.branch}:
        begun = Protection(locked=True, rules=AS_THEY_ARE)
        new = protect(world, name, begun, undo=begun)
        read = partial(world.tracker.protection, branch=name)
        yield replace(new, done=Expect(read, has={"locked": True}))


def _free(world: World, wanted: dict[str, ObjectId]) -> Plan:
    there = world.repo.remote_refs(remote="upstream", refs=tuple(wanted))
    for ref, new in wanted.items():
        kind, _, name = ref.removeprefix("refs/").partition("/")
        yield Check(
            f"{name} is free upstream, or ours",
            there[ref] in {None, new},
            found=str(there[ref] or ""),
            code="TAG_EXISTS" if kind == "tags" else "BRANCH_EXISTS",
            remedy="See who made it, and have it deleted; the branch stays locked until then.",
        )


def protect(world: World, branch: str, protection: Protection, undo: Protection) -> Action:
    """Return the action that gives a branch of upstream this protection."""
    return Action(
        do=partial(world.tracker.set_protection, branch=branch, protection=protection),
        done=Expect(partial(world.tracker.protection, branch=branch), equals=protection),
        undo=partial(world.tracker.set_protection, branch=branch, protection=undo),
    )
