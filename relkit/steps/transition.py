"""Transitions of a branch: look, decide, and give it its new status."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from relkit.cycle import cycle
from relkit.kinds import TRANSITIONS, where
from relkit.plan import Action, Check, Evidence, Expect, Plan, Result
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.freeze import freeze_branch, make_clone, still_frozen
from relkit.steps.prepare import check_blockers, check_cycle
from relkit.steps.push import protect
from relkit.texts import text_of_transition
from relkit.values import RELEASE_MANAGERS_ONLY, ObjectId, Protection, Value

PHASE = "Transition"
HERE = "release manager's machine"
RESTRICTING = where(restricts=True)
ENDING = where(ends_branch=True)


class Branch(Value):
    """The branch as it was found: its head and protection, and its status in the release data."""

    head: ObjectId
    protection: Protection
    status: str


@step(phase=PHASE, where=HERE, after=[check_cycle], returns=Branch, kinds=TRANSITIONS)
def look_at_branch(release: Release, world: World, _results: Results) -> Plan:
    """Look at the branch.

    Where it stands, how it is protected, and whether its time has come: the first stable release
    must be tagged, and an end of life is not declared before its day. Nothing is changed.
    """
    series, ends = release.version.series, release.facts.ends
    head = world.repo.remote_ref(remote="upstream", ref=f"refs/heads/{series}")
    status = world.announcements.status(series=series)
    yield Check(
        f"upstream has {series}",
        head is not None,
        code="NO_BRANCH",
        remedy="Look at the world's upstream; a branch that is gone has ended already.",
    )
    first = f"v{series}.0"
    tagged = world.repo.remote_ref(remote="upstream", ref=f"refs/tags/{first}")
    yield Check(
        f"upstream has {first}",
        tagged is not None,
        code="NOT_RELEASED",
        remedy="Release it first: until then the branch has pre-releases only.",
    )
    planned = cycle().status(series, release.day)
    yield Check(
        f"{series} is {ends} on {release.day} by the dates of the release cycle",
        planned == ends,
        found=planned,
        code="TOO_EARLY",
        remedy="Compare with the release PEP: has the day come? Then waive this with a reason.",
        waivable=True,
    )
    if head and status:
        protection = world.tracker.protection(branch=series)
        yield Result(Branch(head=head, protection=protection, status=status))


@step(phase=PHASE, where="tracker", after=[look_at_branch], kinds=ENDING)
def look_at_issues(release: Release, world: World, _results: Results) -> Plan:
    """Look at what is left open.

    Issues and pull requests that only this branch has will never be merged there. They are listed
    for a last look; each loses the label of the branch further below.
    """
    issues = world.tracker.labelled(label=release.version.series)
    yield Check(
        "the tracker lists the open issues of the branch",
        True if issues.complete else None,
        found="; ".join(f"#{issue.number} {issue.title}" for issue in issues.items),
        code="EVIDENCE_INCOMPLETE",
        remedy="Run this again when the tracker answers in full.",
    )


@step(
    phase=PHASE,
    where=HERE,
    after=[look_at_branch, look_at_issues, check_blockers, make_clone],
    gate="publish",
    kinds=TRANSITIONS,
)
def approve_transition(release: Release, world: World, results: Results) -> Plan:
    """Decide on the transition.

    **This is the gate.** What is approved is the list below: the status, what changes at branch and
    tracker, and the text that tells it. Status, labels and rules can be put back; of a branch that
    ends, only its tag remains.
    """
    found = results[look_at_branch]
    if release.facts.ends_branch:  # what is approved is what is tagged below
        yield still_frozen(release, world, results)
        found = found.model_copy(update={"head": results[freeze_branch].head})
    manager = world.policy.person("release-manager")
    text = text_of_transition("discuss", release, manager, rehearsal=world.rehearsal)
    yield Evidence("What changes", "\n".join(_changes(release, found)) + "\n")
    yield Evidence("Announcement", text, language="markdown")


def _changes(release: Release, found: Branch) -> Iterator[str]:
    """Say line by line what the steps below do."""
    series, facts = release.version.series, release.facts
    yield f"status of {series}: {found.status} becomes {facts.ends}"
    if facts.restricts:
        yield f"protection of {series}: {RELEASE_MANAGERS_ONLY}"
    if facts.ends_branch:
        yield f"tag {series} on {found.head}, signed; branch {series} deleted"
        yield f"label {backport_label(series)} deleted; open issues lose the label {series}"


def backport_label(series: str) -> str:
    """Return the label that asks for a backport to a branch."""
    return f"needs backport to {series}"


@step(phase=PHASE, where="PEPs repository", after=[approve_transition], kinds=TRANSITIONS)
def set_status(release: Release, world: World, results: Results) -> Plan:
    """Set the status.

    The status is set in the release data of the PEPs repository, from which the developer's guide
    and the site take their pictures of the release cycle. It can be set back.
    """
    series = release.version.series
    before, after = results[look_at_branch].status, release.facts.ends
    yield Action(
        do=partial(world.announcements.set_status, series=series, status=after),
        done=Expect(partial(world.announcements.status, series=series), equals=after),
        undo=partial(world.announcements.set_status, series=series, status=before),
    )


@step(phase=PHASE, where="upstream", after=[approve_transition], kinds=RESTRICTING)
def restrict_branch(release: Release, world: World, results: Results) -> Plan:
    """Restrict the branch.

    From now on only release managers merge there, and only security fixes: one more rule of its
    protection, besides those it has. Contributors with pull requests for it learn of it by the
    announcement.
    """
    series, before = release.version.series, results[look_at_branch].protection
    rules = tuple(dict.fromkeys((*before.rules, RELEASE_MANAGERS_ONLY)))
    wanted = before.model_copy(update={"rules": rules})
    yield protect(world, series, wanted, undo=before)
