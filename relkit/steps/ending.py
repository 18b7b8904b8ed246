"""End of life: the last head is tagged, the branch deleted, its labels cleared."""

from __future__ import annotations

from functools import partial

from relkit.plan import Action, Expect, Plan, Result
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.freeze import freeze_branch, still_frozen
from relkit.steps.push import protect
from relkit.steps.transition import ENDING, HERE, PHASE, approve_transition, backport_label
from relkit.values import Protection, RefUpdate, Tag


@step(phase=PHASE, where=HERE, after=[approve_transition], returns=Tag, kinds=ENDING)
def tag_last_head(release: Release, world: World, results: Results) -> Plan:
    """Tag the last head.

    A signed tag with the name of the branch takes its place: what was there can be checked out for
    ever, and nobody can add to it. It is on this machine only, and can still be taken back.
    """
    series, head = release.version.series, results[freeze_branch].head
    yield still_frozen(release, world, results)
    read = partial(world.repo.tag, name=series)
    yield Action(
        do=partial(
            world.repo.create_tag,
            name=series,
            commit=head,
            message=f"The last state of the branch {series}, at its end of life",
            time=release.time,
        ),
        done=Expect(
            read, has={"name": series, "commit": head, "signer": world.policy.gpg_fingerprint}
        ),
        undo=partial(world.repo.delete_tag, name=series, commit=head),
    )
    yield Result(read)


@step(phase=PHASE, where="upstream", after=[tag_last_head], kinds=ENDING, irreversible=True)
def delete_branch(release: Release, world: World, results: Results) -> Plan:
    """Replace the branch by its tag.

    One atomic push: the tag comes and the branch goes, only if it still stands where it was frozen.
    The protection is taken off first, since a protected branch cannot be deleted; where your
    account may not do that, an admin of the repository has to.
    """
    series, frozen = release.version.series, results[freeze_branch]
    tag = results[tag_last_head].tag_object
    wanted = {f"refs/heads/{series}": None, f"refs/tags/{series}": tag}
    yield still_frozen(release, world, results)
    none = Protection(locked=False, rules=())
    yield protect(world, series, none, undo=Protection(locked=True, rules=frozen.protection.rules))
    yield Action(
        do=partial(
            world.repo.push,
            remote="upstream",
            updates=(
                RefUpdate(ref=f"refs/tags/{series}", old=None, new=tag),
                RefUpdate(ref=f"refs/heads/{series}", old=frozen.head, new=None),
            ),
        ),
        done=Expect(
            partial(world.repo.remote_refs, remote="upstream", refs=tuple(wanted)), equals=wanted
        ),
        undo="what is pushed upstream stays; the tag has the branch's last head",
    )


@step(phase=PHASE, where="tracker", after=[delete_branch], kinds=ENDING)
def clear_labels(release: Release, world: World, _results: Results) -> Plan:
    """Clear the labels.

    Nothing is backported to the branch any more, so that label is deleted. Open issues lose the
    label of the branch; closed ones keep it, as history.
    """
    series, backport = release.version.series, backport_label(release.version.series)
    for issue in world.tracker.labelled(label=series).items:
        left = tuple(sorted({*issue.labels} - {series, backport}))
        yield Action(
            do=partial(world.tracker.relabel, number=issue.number, remove=series, add=""),
            done=Expect(partial(world.tracker.labels, number=issue.number), equals=left),
            undo=partial(world.tracker.relabel, number=issue.number, remove="", add=series),
        )
    yield Action(
        do=partial(world.tracker.delete_label, name=backport),
        done=Expect(partial(world.tracker.has_label, name=backport), equals=False),
        undo=partial(world.tracker.create_label, name=backport),
    )
