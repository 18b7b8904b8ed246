"""Transitions of a branch: to bugfix releases, to security releases only, to its end of life."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from relkit.cycle import cycle
from relkit.kinds import TRANSITIONS, Kind, where
from relkit.plan import Action, Check, Evidence, Expect, Plan, Result
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.manual import manual
from relkit.steps.prepare import (
    check_blockers,
    check_cycle,
    freeze_branch,
    make_clone,
    message,
    still_frozen,
)
from relkit.steps.push import protect
from relkit.texts import text_of_transition
from relkit.values import ObjectId, Protection, RefUpdate, Tag, Value
from relkit.words import in_words

PHASE = "Transition"
HERE = "release manager's machine"
RELEASE_MANAGERS_ONLY = "only release managers merge"
TOLD = ("discuss", "committers")
PLACES = "https://github.com/python/"
SECURITY_ONLY = frozenset({Kind.BEGIN_SECURITY_ONLY})
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
    manager = world.policy.person("release-manager")
    text = text_of_transition("discuss", release, manager, rehearsal=world.rehearsal)
    yield Evidence("What changes", "\n".join(_changes(release, found)) + "\n")
    yield Evidence("Announcement", text, language="markdown")


def _changes(release: Release, found: Branch) -> Iterator[str]:
    """Say line by line what the steps below do."""
    series, facts = release.version.series, release.facts
    yield f"status of {series}: {found.status} becomes {facts.ends}"
    if release.kind in SECURITY_ONLY:
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


@step(phase=PHASE, where="upstream", after=[approve_transition], kinds=SECURITY_ONLY)
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


@step(phase=PHASE, where="mail", after=[set_status], kinds=TRANSITIONS)
def tell_docs_expert(release: Release, world: World, _results: Results) -> Plan:
    """Tell the docs expert.

    How often the documentation of the branch is built follows from its status: daily while it gets
    bugfixes, now and then while it gets security fixes, once more with a banner at its end. A
    message cannot be taken back.
    """
    series, status = release.version.series, release.facts.ends
    text = f"{series} is {status} from {release.day} on. Please see to the builds of its docs."
    yield from message(world, "status", f"{series} is {status}", text, "docs-expert")


ELSEWHERE = (
    ("docs-builds", "docs-expert", "the docs builds of the branch, and the banner on its pages"),
    ("site-pages", "web-editor", "the download page and the pages of the branch's releases"),
    ("buildbots", "release-manager", "the builders of the branch, in the buildbots' configuration"),
)
"""What is changed in other projects by people: name of the evidence, role, what it is about."""


@step(phase=PHASE, where="elsewhere", after=[tell_docs_expert], kinds=TRANSITIONS)
def confirm_elsewhere(release: Release, world: World, _results: Results) -> Plan:
    """Confirm what is done elsewhere.

    Other projects follow the status as well: the builds of the docs, the site's pages, the
    builders. Who changes them gives the address of the change, and names the branch.
    """
    series = release.version.series
    for name, role, about in ELSEWHERE:
        example = f"{PLACES}{name}/pull/1 for {series}"
        ask = f"{series} is {release.facts.ends}: please change {about}, and say where you did."
        text = yield from manual(world, name, role, ask, example)
        if text is not None:
            yield Check(
                f"the change of {name} can be looked up",
                text.startswith(PLACES) and series in text.split(),
                found=text,
                code="EVIDENCE_UNFIT",
                remedy=f"Give it in the form: {example}",
            )


@step(phase=PHASE, where=HERE, after=[set_status, clear_labels], kinds=TRANSITIONS)
def draft_transition_texts(release: Release, world: World, _results: Results) -> Plan:
    """Draft the announcement.

    Texts for the forum and the committers; read them, add your own words, and post them.
    """
    manager = world.policy.person("release-manager")
    for channel in TOLD:
        text = text_of_transition(channel, release, manager, rehearsal=world.rehearsal)
        yield Action(
            do=partial(world.announcements.draft, channel=channel, text=text),
            done=Expect(partial(world.announcements.drafted, channel=channel), equals=text),
            undo="a draft is seen by nobody but its poster",
        )


@step(phase=PHASE, where="forum", after=[draft_transition_texts], kinds=TRANSITIONS)
def confirm_post(release: Release, world: World, _results: Results) -> Plan:
    """Confirm the announcement.

    The address of the post is asked for, and the post is read: it must name the branch and what
    becomes of it.
    """
    series = release.version.series
    ask, example = "Please post the draft, and give the address.", "https://discuss.python.org/t/1"
    url = yield from manual(world, "post-discuss", "release-manager", ask, example)
    if url is not None:
        post = world.announcements.post(url=url.strip()) or ""
        yield Check(
            f"the post names {series} and {release.facts.ends}",
            url.startswith("https://discuss.python.org/") and {series} <= set(_words(post)),
            found=f"{len(post)} characters at {url.strip()}",
            code="POST_UNFIT",
            remedy="Give the address of the post, once it can be read by everybody.",
        )


def _words(text: str) -> Iterator[str]:
    return (word.strip(".,:;!?*`()") for word in text.split())


@step(
    phase=PHASE,
    where=HERE,
    after=[restrict_branch, confirm_elsewhere, confirm_post],
    kinds=TRANSITIONS,
)
def close_transition(release: Release, world: World, results: Results) -> Plan:
    """Close the transition.

    One more look, at the release data, the branch and its protection. After this the record is
    sealed.
    """
    series, facts = release.version.series, release.facts
    status = world.announcements.status(series=series)
    yield Check(
        f"{series} is {facts.ends} in the release data",
        status == facts.ends,
        found=in_words(status),
        code="CYCLE_DIFFERS",
        remedy="See who changed it.",
    )
    head = world.repo.remote_ref(remote="upstream", ref=f"refs/heads/{series}")
    yield Check(
        f"{series} is {'gone' if facts.ends_branch else 'there'} upstream",
        (head is None) == facts.ends_branch,
        found=in_words(head),
        code="UPSTREAM_DIVERGED",
        remedy="See who pushed there.",
    )
    rules = set(world.tracker.protection(branch=series).rules)
    kept = set() if facts.ends_branch else set(results[look_at_branch].protection.rules)
    yield Check(
        f"no rule that protected {series} is lost",
        kept <= rules,
        found=", ".join(sorted(rules)),
        code="PROTECTION_CHANGED",
        remedy="Put the protection back as the record has it.",
    )
