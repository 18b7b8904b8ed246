"""Merge back: what was released becomes part of its branch, which goes on from there."""

from __future__ import annotations

import re
from functools import partial

from relkit.kinds import where
from relkit.plan import Action, Check, Expect, Plan, Result
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.freeze import choose_base, freeze_branch, still_frozen
from relkit.steps.publish import read_back
from relkit.steps.source import commit_release, edit
from relkit.values import Commit, ObjectId

PHASE = "Finish"
HERE = "release manager's machine"
STAMP = re.compile(r'(?m)^#define[ \t]+PY_VERSION[ \t]+"([^"\n]+)"')
NONCE = re.compile(r"(?m)^\.\. nonce: (\S+)$")
NEWS, NEXT = "Misc/NEWS.d", "Misc/NEWS.d/next"


def is_beside(results: Results) -> bool:
    """Tell whether the release was made beside its branch, from a candidate with picks."""
    return results[choose_base].commit != results[freeze_branch].head


@step(phase=PHASE, where=HERE, after=[read_back], returns=Commit, kinds=where(picks=True))
def merge_release(release: Release, world: World, results: Results) -> Plan:
    """Merge what was released.

    A release that was made beside its branch, from the last candidate with some commits picked, is
    merged into the frozen head. What the release tells as news is taken from the news to come, and
    the version numbers become the release's. A release made from the head of its branch is part of
    it already; then nothing is done here.
    """
    head, made = results[freeze_branch].head, results[commit_release]
    if not is_beside(results):
        yield Result(made)
        return
    merged = partial(world.repo.merged, base=head, other=made.commit)
    yield Action(
        do=partial(
            world.repo.merge,
            base=head,
            other=made.commit,
            version=str(release.version),
            time=release.time,
        ),
        done=Expect(merged),
        undo="the merge is on no branch; nothing has to be taken back",
    )
    yield Result(merged)


@step(phase=PHASE, where=HERE, after=[read_back, merge_release], returns=Commit)
def set_post_release_version(release: Release, world: World, results: Results) -> Plan:
    """Set the version after the release.

    The branch goes on as something later than what was released, so that nobody takes a build of it
    for the release: `3.14.2+`, and from 3.15 on `3.15.0a1+dev`. It is committed in the next step.
    """
    base = results[merge_release if release.facts.picks else commit_release]
    yield from edit(release, world, "post-version", base.commit)


@step(phase=PHASE, where=HERE, after=[set_post_release_version], returns=Commit)
def merge_back(release: Release, world: World, results: Results) -> Plan:
    """Merge back.

    The frozen branch must not have moved. The release commit and the one after it continue it in a
    straight line; where the release was made beside the branch, one merge commit joins the two.
    Version, title and news are read from the tree that comes out: an entry that is released and
    still waits in `Misc/NEWS.d/next` would stand in the changelog twice ([PEP
    101](https://peps.python.org/pep-0101/#how-to-make-a-release)). All of it is in the clone only.
    """
    head, made = results[freeze_branch].head, results[commit_release].commit
    edited = results[set_post_release_version].commit
    yield still_frozen(release, world, results)
    yield from _tree_checks(release, world, edited)
    what = {"branch": release.branch, "tree_of": edited, "message": f"Post {release.version}"}
    what |= {"parent": head, "also": made} if is_beside(results) else {"parent": made}
    committed = partial(world.repo.committed, **what)
    yield Action(
        do=partial(world.repo.commit, **what, time=release.time),
        done=Expect(committed),
        undo=partial(world.repo.take_back, branch=release.branch, to=made),
    )
    yield Result(committed)


def _tree_checks(release: Release, world: World, commit: ObjectId) -> Plan:
    found = stamp(world, commit)
    yield Check(
        f"the tree says that it comes after {release.version}",
        found in {f"{release.version}+", f"{release.version}+dev"},
        found=f"Include/patchlevel.h has {found or 'no version'}",
        code="POST_VERSION",
        remedy="Look at the tree that was edited; the branch upstream is as it was.",
    )
    title = (world.repo.read_text(commit=commit, path="README.rst") or "").partition("\n")[0]
    yield Check(
        f"README.rst names {release.version.spelled}",
        title.split() == ["This", "is", "Python", "version", *release.version.spelled.split()],
        found=title,
        code="POST_README",
        remedy="Look at the tree that was edited; the branch upstream is as it was.",
    )
    news = world.repo.read_text(commit=commit, path=f"{NEWS}/{release.version}.rst")
    twice = doubled(news or "", world.repo.paths(commit=commit, under=NEXT))
    yield Check(
        f"no news of {release.version} would be told twice",
        None if news is None else not twice,
        found=", ".join(twice[:5]) or ("" if news else f"no {NEWS}/{release.version}.rst"),
        code="NEWS_DOUBLED",
        remedy="Have the merge take these entries out of Misc/NEWS.d/next.",
    )


def stamp(world: World, commit: ObjectId) -> str:
    """Return the version that the header of a commit states; empty if there is none."""
    header = world.repo.read_text(commit=commit, path="Include/patchlevel.h") or ""
    found = STAMP.search(header)
    return found[1] if found else ""


def doubled(news: str, waiting: tuple[str, ...]) -> list[str]:
    """Return those of the waiting entries, given as paths, that a file of NEWS holds (I50).

    Entries are known by the nonce that blurb gives them; it is the last part of their names.
    """
    told = set(NONCE.findall(news))
    return [path for path in waiting if path.removesuffix(".rst").rpartition(".")[2] in told]
