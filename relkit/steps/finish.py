"""Finish: record, verify from outside, open the branches again, close the run."""

from __future__ import annotations

from functools import partial

from relkit.manifest import Manifest, folder_of, site_files
from relkit.plan import Action, Check, Expect, Plan, Result
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.announce import confirm_announcements, draft_announcements
from relkit.steps.build import Facts, build_of, built, facts
from relkit.steps.freeze import freeze_branch
from relkit.steps.infrastructure import confirm_infrastructure, record_branch, set_up_branch
from relkit.steps.merge import HERE, PHASE
from relkit.steps.pointers import confirm_store, supersede_pages
from relkit.steps.prepare import DEFERRED_BLOCKER, RELEASE_BLOCKER
from relkit.steps.publish import published_tag
from relkit.steps.push import heads, protect, push_upstream
from relkit.steps.sign import close_manifest
from relkit.steps.source import commit_release
from relkit.values import Protection, RefUpdate
from relkit.words import in_words

OK = 200


@step(phase=PHASE, where="PEPs repository", after=[push_upstream])
def record_date(release: Release, world: World, _results: Results) -> Plan:
    """Record the date.

    The release data of the PEPs repository gets the date of this release; the release PEP shows it,
    and so do the pages made from it.
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

    What was deferred for this release is a release blocker of the next one: labels are changed, one
    issue at a time. An issue that somebody closed meanwhile is not touched.
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
    verified, archives of the docs by their digests, the rows of the site are compared with the
    manifest, what is offered first is looked at, the tag upstream is read and its signature
    verified, and the source is built from the download.
    """
    manifest = results[close_manifest]
    archive = next(one for one in manifest.subjects if one.name.endswith(".tar.xz"))
    path = f"/{folder_of(release, archive.name)}/{archive.name}"
    build = build_of(release, world, results, "stranger", archive, path=path)
    result = yield from built(world, build, "the build machine")
    if result is None:
        return
    for subject in manifest.subjects:
        path = f"/{folder_of(release, subject.name)}/{subject.name}"
        companions = manifest.companions_of(subject)
        good = world.public.verify(path=path, subject=subject, companions=companions)
        how = "with its signatures" if companions else "by its digest alone, being unsigned"
        yield Check(
            f"{subject.name} verifies from the public side, {how}",
            good,
            found=", ".join(companion.identity for companion in companions),
            code="PUBLIC_DIFFERS",
            remedy="Compare what is public with the manifest, file by file.",
        )
    yield from _offered(release, world, manifest)
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


def _offered(release: Release, world: World, manifest: Manifest) -> Plan:
    """Yield the checks of what leads to a release: the latest version, the current docs."""
    latest = world.website.latest(series="python3")
    yield Check(
        f"{release.slug} is {'' if release.is_newest else 'not '}the latest Python 3",
        (latest == release.slug) == release.is_newest,
        found=str(latest),
        code="LATEST_WRONG",
        remedy="Have is_latest corrected on the site at once.",
    )
    docs = [one for one in manifest.subjects if folder_of(release, one.name) == release.docs_folder]
    for subject in docs[:1]:
        folder = f"{release.docs_folder.rpartition('/')[0]}/current"
        got = world.public.fetch(path=f"/{folder}/{subject.name}")
        yield Check(
            f"the current docs are {'' if release.is_newest else 'not '}those of {release.version}",
            (got.status == OK and got.sha256 == subject.sha256) == release.is_newest,
            found=f"status {got.status} for {folder}/{subject.name}",
            code="CURRENT_WRONG",
            remedy="Let the link lead where it should; purge its address; then look again.",
        )


@step(
    phase=PHASE,
    where="upstream",
    after=[
        draft_announcements,
        record_date,
        restore_blockers,
        verify_as_stranger,
        set_up_branch,
        record_branch,
    ],
)
def open_branch(release: Release, world: World, results: Results) -> Plan:
    """Open the branch.

    The branch on the fork is deleted, and the protection of the branch upstream becomes exactly
    what it was before the freeze, so that everybody can go on. A branch that this release has made
    is opened with the rules it was given.
    """
    ref, commit = f"refs/heads/{release.fork_branch}", results[commit_release].commit
    gone = (RefUpdate(ref=ref, old=commit, new=None),)
    yield Action(
        do=partial(world.repo.push, remote="fork", updates=gone),
        done=Expect(
            partial(world.repo.remote_refs, remote="fork", refs=(ref,)), equals={ref: None}
        ),
        undo=partial(
            world.repo.push, remote="fork", updates=(RefUpdate(ref=ref, old=None, new=commit),)
        ),
    )
    for branch, protection in _protections(release, results).items():
        locked = Protection(locked=True, rules=protection.rules)
        yield protect(world, branch, protection, undo=locked)


def _protections(release: Release, results: Results) -> dict[str, Protection]:
    """Return how each branch that was pushed is to be protected in the end."""
    found = {release.branch: results[freeze_branch].protection}
    if release.facts.new_branch:
        found[release.version.series] = results[set_up_branch]
    return found


@step(
    phase=PHASE,
    where=HERE,
    after=[
        open_branch,
        supersede_pages,
        confirm_store,
        confirm_announcements,
        confirm_infrastructure,
    ],
)
def close_run(release: Release, world: World, results: Results) -> Plan:
    """Close the run.

    One more look at what must be true now: every branch is protected as it should be, the fork
    has no branch of this release left, upstream has tag and commits. After this the record is
    sealed.
    """
    for branch, protection in _protections(release, results).items():
        now = world.tracker.protection(branch=branch)
        yield Check(
            f"{branch} is protected as it was before, or as it was set up",
            now == protection,
            found=in_words(now.model_dump(mode="json")),
            code="PROTECTION_CHANGED",
            remedy=f"Put the protection back: {protection}.",
        )
    ref = f"refs/heads/{release.fork_branch}"
    left = world.repo.remote_ref(remote="fork", ref=ref)
    yield Check(
        f"the fork has no branch {release.fork_branch} any more",
        left is None,
        found=str(left or ""),
        code="FORK_BRANCH_LEFT",
        remedy="Delete it there; everything in it is upstream.",
    )
    yield from published_tag(release, world, results)
    for branch, commit in heads(release, results).items():
        yield Check(
            f"{branch} of upstream contains {commit}, which was pushed",
            world.repo.contains(remote="upstream", branch=branch, commit=commit),
            code="UPSTREAM_DIVERGED",
            remedy="Compare the branch upstream with the record.",
        )
    state = world.repo.clone_state()
    yield Check(
        "the release clone is clean",
        state is not None and not state.dirty,
        found=str(state and f"{state.branch} at {state.head}"),
        code="CLONE_DIRTY",
        remedy="See what was written there after the release commit.",
    )
