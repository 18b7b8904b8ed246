"""Finish: merge back, push upstream, tell, verify from outside, open the branch again."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from relkit.manifest import site_files
from relkit.plan import Action, Check, Expect, Plan, Result
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.build import Facts, build_of, built, facts
from relkit.steps.prepare import (
    DEFERRED_BLOCKER,
    RELEASE_BLOCKER,
    freeze_branch,
    still_frozen,
)
from relkit.steps.publish import published_tag, read_back
from relkit.steps.sign import close_manifest
from relkit.steps.source import commit_release, edit, tag_release
from relkit.texts import text_for
from relkit.values import Commit, Protection, RefUpdate

PHASE = "Finish"
HERE = "release manager's machine"
TOLD = ("discuss", "blog", "committers")


@step(phase=PHASE, where=HERE, after=[read_back], returns=Commit)
def set_post_release_version(release: Release, world: World, results: Results) -> Plan:
    """Set the version after the release.

    The branch goes on as something later than what was released: `3.15.0a1+`, and from 3.15 on
    `+dev`.
    """
    yield from edit(release, world, "post-version", results[commit_release].commit)


@step(phase=PHASE, where=HERE, after=[set_post_release_version], returns=Commit)
def merge_back(release: Release, world: World, results: Results) -> Plan:
    """Merge back.

    The frozen branch has not moved, so that the release commit and the one after it continue it
    in a straight line.
    """
    parent, edited = results[commit_release].commit, results[set_post_release_version].commit
    yield still_frozen(release, world, results)
    what = {
        "branch": release.branch,
        "parent": parent,
        "tree_of": edited,
        "message": f"Post {release.version}",
    }
    committed = partial(world.repo.committed, **what)
    yield Action(
        do=partial(world.repo.commit, **what, time=release.time),
        done=Expect(committed),
        undo="the commit is only in the release clone, which is this run's own",
    )
    yield Result(committed)


@step(phase=PHASE, where="upstream", after=[merge_back], gate="push")
def push_upstream(release: Release, world: World, results: Results) -> Plan:
    """Push upstream.

    **Everything is published and was read back.** The protection is lifted for one atomic push
    of the branch and the tag, each only from where it is expected to be, and put back at once,
    also if the push fails.
    """
    branch, frozen = release.branch, results[freeze_branch]
    wanted = {
        f"refs/heads/{branch}": results[merge_back].commit,
        f"refs/tags/{release.tag}": results[tag_release].tag_object,
    }
    locked = Protection(locked=True, rules=frozen.protection.rules)
    yield still_frozen(release, world, results)
    taken = world.repo.remote_ref(remote="upstream", ref=f"refs/tags/{release.tag}")
    yield Check(
        f"{release.tag} is free upstream, or ours",
        taken in {None, results[tag_release].tag_object},
        found=str(taken or ""),
        code="TAG_EXISTS",
        remedy="See who made it, and have it deleted; the branch stays locked until then.",
    )
    lifted = _protect(world, branch, Protection(locked=False, rules=()), undo=locked)
    yield replace(lifted, temporary=True)
    updates = tuple(
        RefUpdate(ref=ref, old=frozen.head if "heads" in ref else None, new=new)
        for ref, new in wanted.items()
    )
    yield Action(
        do=partial(world.repo.push, remote="upstream", updates=updates),
        done=Expect(
            partial(world.repo.remote_refs, remote="upstream", refs=tuple(wanted)), equals=wanted
        ),
        undo="what is pushed upstream stays",
    )
    yield _protect(world, branch, locked, undo=locked)


def _protect(world: World, branch: str, protection: Protection, undo: Protection) -> Action:
    return Action(
        do=partial(world.tracker.set_protection, branch=branch, protection=protection),
        done=Expect(partial(world.tracker.protection, branch=branch), equals=protection),
        undo=partial(world.tracker.set_protection, branch=branch, protection=undo),
    )


@step(phase=PHASE, where=HERE, after=[push_upstream])
def draft_announcements(release: Release, world: World, results: Results) -> Plan:
    """Draft the announcements.

    Texts for the forum, the blog and the committers, made from the manifest: links lead only to
    known places, digests are the manifest's. They are drafts: a person posts them.
    """
    manager = world.policy.person("release-manager")
    for channel in TOLD:
        text = text_for(
            channel, release, results[close_manifest], manager, rehearsal=world.rehearsal
        )
        yield Action(
            do=partial(world.announcements.draft, channel=channel, text=text),
            done=Expect(partial(world.announcements.drafted, channel=channel), equals=text),
            undo="a draft is seen by nobody but its poster",
        )


@step(phase=PHASE, where="PEPs repository", after=[push_upstream])
def record_date(release: Release, world: World, _results: Results) -> Plan:
    """Record the date.

    The release data of the PEPs repository gets the date of this release; the release PEP shows
    it.
    """
    what = {"series": release.version.series, "version": str(release.version)}
    day = release.day.isoformat()
    yield Action(
        do=partial(world.announcements.record_release, **what, day=day),
        done=Expect(partial(world.announcements.recorded_release, **what), equals=day),
        undo="a release that happened keeps its date",
    )


@step(phase=PHASE, where="tracker", after=[push_upstream])
def restore_blockers(release: Release, world: World, _results: Results) -> Plan:
    """Make deferred blockers block again.

    What was deferred for this release is a release blocker of the next one.
    """
    issues = world.tracker.blockers(series=release.version.series, label=DEFERRED_BLOCKER)
    yield Check(
        "the tracker lists the deferred blockers",
        True if issues.complete else None,
        found=f"{len(issues.items)} issues",
        code="EVIDENCE_INCOMPLETE",
        remedy="Run this again when the tracker answers in full.",
    )
    for issue in issues.items:
        labels = tuple(sorted({*issue.labels} - {DEFERRED_BLOCKER} | {RELEASE_BLOCKER}))
        change = {"remove": DEFERRED_BLOCKER, "add": RELEASE_BLOCKER}
        back = {"remove": RELEASE_BLOCKER, "add": DEFERRED_BLOCKER}
        yield Action(
            do=partial(world.tracker.relabel, number=issue.number, **change),
            done=Expect(partial(world.tracker.labels, number=issue.number), equals=labels),
            undo=partial(world.tracker.relabel, number=issue.number, **back),
        )


@step(phase=PHASE, where="public", after=[push_upstream], returns=Facts)
def verify_as_stranger(release: Release, world: World, results: Results) -> Plan:
    """Verify as a stranger.

    With nothing but public addresses and the policy: every file and signature is downloaded and
    verified, the rows of the site are compared with the manifest, the tag upstream is read and
    its signature verified, and the source is built from the download.
    """
    manifest = results[close_manifest]
    archive = next(one for one in manifest.subjects if one.name.endswith(".tar.xz"))
    path = f"/{release.folder}/{archive.name}"
    build = build_of(release, world, results, "stranger", archive, path=path)
    result = yield from built(world, build, "the build machine")
    if result is None:
        return
    for subject in manifest.subjects:
        path = f"/{release.folder}/{subject.name}"
        companions = manifest.companions_of(subject)
        good = world.public.verify(path=path, subject=subject, companions=companions)
        yield Check(
            f"{subject.name} and its signatures verify from the public side",
            good,
            found=", ".join(companion.identity for companion in companions),
            code="PUBLIC_DIFFERS",
            remedy="Compare what is public with the manifest, file by file.",
        )
    rows = world.website.files(slug=release.slug)
    yield Check(
        "the site's rows are the manifest's",
        rows == site_files(release, manifest),
        found=f"{len(rows)} rows",
        code="API_DIVERGED",
        remedy="Compare the rows with the manifest.",
    )
    yield from published_tag(release, world, results)
    found = facts(result)
    yield Check(
        "what was built from the download says its version",
        found.facts.get("version") == str(release.version),
        found=found.facts.get("version", "nothing"),
        code="VERSION_STAMP",
        remedy="Read the log of the build.",
    )
    yield Result(found)


@step(
    phase=PHASE,
    where="upstream",
    after=[draft_announcements, record_date, restore_blockers, verify_as_stranger],
)
def open_branch(release: Release, world: World, results: Results) -> Plan:
    """Open the branch.

    The branch on the fork is deleted, and the protection of the branch upstream becomes exactly
    what it was before the freeze.
    """
    ref, commit = f"refs/heads/{release.fork_branch}", results[commit_release].commit
    yield Action(
        do=partial(
            world.repo.push, remote="fork", updates=(RefUpdate(ref=ref, old=commit, new=None),)
        ),
        done=Expect(
            partial(world.repo.remote_refs, remote="fork", refs=(ref,)), equals={ref: None}
        ),
        undo="the release commit is in upstream",
    )
    before = results[freeze_branch].protection
    yield _protect(world, release.branch, before, undo=Protection(locked=True, rules=before.rules))


@step(phase=PHASE, where=HERE, after=[open_branch])
def close_run(release: Release, world: World, results: Results) -> Plan:
    """Close the run.

    One more look at what must be true now. After this the record is sealed.
    """
    protection = world.tracker.protection(branch=release.branch)
    yield Check(
        f"{release.branch} is protected as it was before",
        protection == results[freeze_branch].protection,
        found=str(protection),
        code="PROTECTION_CHANGED",
        remedy="Put the protection back as the record of the freeze says.",
    )
    yield from published_tag(release, world, results)
    head = world.repo.remote_ref(remote="upstream", ref=f"refs/heads/{release.branch}")
    state = world.repo.clone_state()
    yield Check(
        "the release clone is clean",
        state is not None and not state.dirty,
        found=f"upstream's {release.branch} is at {head}",
        code="CLONE_DIRTY",
        remedy="See what was written there after the release commit.",
    )
