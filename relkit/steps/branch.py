"""Branch off: with the first beta a series gets a branch of its own, and `main` goes on."""

from __future__ import annotations

import re
from functools import partial

from relkit.kinds import where
from relkit.plan import Action, Check, Expect, Plan, Result
from relkit.ports import World
from relkit.release import Release, Version
from relkit.step import Results, step
from relkit.steps.merge import HERE, PHASE, merge_back, stamp
from relkit.steps.source import edit
from relkit.values import Commit, ObjectId

BRANCHING = where(new_branch=True)
MAIN = re.compile(r"://\S*[/=]main(?=[/&?#>\s]|$)")
"""An address with `main` as one of its parts."""


def following(version: Version) -> Version:
    """Return what stands in the tree of the next series when it begins: ``3.16.0a0``."""
    return Version(version.minor + 1, 0, "a", 0)


@step(phase=PHASE, where=HERE, after=[merge_back], returns=Commit, kinds=BRANCHING)
def edit_branch(release: Release, world: World, results: Results) -> Plan:
    """Prepare the new branch.

    Features are complete: the series leaves `main`. In the tree of its branch everything that says
    *main* and means the series gets the branch's name: links of the README, where the docs find
    sources. It is an edited tree only, shown whole at the gate before the push.
    """
    yield from edit(release, world, "branch-start", results[merge_back].commit)


@step(phase=PHASE, where=HERE, after=[edit_branch], returns=Commit, kinds=BRANCHING)
def start_branch(release: Release, world: World, results: Results) -> Plan:
    """Start the new branch.

    It begins in the release clone, on the commit after the release. Upstream gets it together with
    the tag; until then it can be taken back.
    """
    branch, edited = release.version.series, results[edit_branch].commit
    readme = world.repo.read_text(commit=edited, path="README.rst") or ""
    stray = [line.strip() for line in readme.splitlines() if MAIN.search(line)]
    yield Check(
        f"no link of README.rst leads to main any more, on {branch}",
        not stray,
        found="; ".join(stray[:5]),
        code="BRANCH_LINKS",
        remedy="Correct the links on the new branch; it is in the release clone only.",
    )
    yield from _committed(
        release,
        world,
        branch,
        parent=results[merge_back].commit,
        edited=edited,
        message=f"Begin the branch {branch}",
        back=None,
    )


@step(phase=PHASE, where=HERE, after=[merge_back], returns=Commit, kinds=BRANCHING)
def edit_next_series(release: Release, world: World, results: Results) -> Plan:
    """Prepare the next series.

    `main` becomes the version after this one, as `a0`, which is never released: version numbers, a
    new *What's New*, configure, the tutorial, the files for Windows, the forms for issues. Each
    file is one that the recipe declares; a new one that names the version has to be added there.
    """
    yield from edit(release, world, "next-series", results[merge_back].commit)


@step(
    phase=PHASE,
    where=HERE,
    after=[edit_next_series, start_branch],
    returns=Commit,
    kinds=BRANCHING,
)
def begin_next_series(release: Release, world: World, results: Results) -> Plan:
    """Begin the next series.

    One commit on `main`, in the release clone. From it the first alpha of the next version can be
    made; upstream gets it in the same push as the tag and the new branch.
    """
    edited, begun = results[edit_next_series].commit, following(release.version)
    yield Check(
        f"the tree says that it is {begun}",
        (found := stamp(world, edited)) == str(begun),
        found=f"Include/patchlevel.h has {found or 'no version'}",
        code="NEXT_VERSION",
        remedy="Look at the tree that was edited; main upstream is as it was.",
    )
    article = f"whatsnew/{begun.series}"
    text = world.repo.read_text(commit=edited, path=f"Doc/{article}.rst")
    index = world.repo.read_text(commit=edited, path="Doc/whatsnew/index.rst")
    listed = [line.strip().removesuffix(".rst") for line in (index or "").splitlines()]
    yield Check(
        f"What's New in Python {begun.series} is there, and listed where there is a list",
        bool(text) and (index is None or begun.series in listed),
        found=f"{len(text or '')} characters",
        code="WHATSNEW_MISSING",
        remedy="Look at the tree that was edited; main upstream is as it was.",
    )
    parent = results[merge_back].commit
    yield from _committed(
        release,
        world,
        release.branch,
        parent=parent,
        edited=edited,
        message=f"Python {begun}",
        back=parent,
    )


def _committed(  # noqa: PLR0913 (a commit has many sides)
    release: Release,
    world: World,
    branch: str,
    *,
    parent: ObjectId,
    edited: ObjectId,
    message: str,
    back: ObjectId | None,
) -> Plan:
    """Yield the commit of an edited tree on a branch of the clone; `back` is where it was."""
    what = {"branch": branch, "parent": parent, "tree_of": edited, "message": message}
    committed = partial(world.repo.committed, **what)
    yield Action(
        do=partial(world.repo.commit, **what, time=release.time),
        done=Expect(committed),
        undo=partial(world.repo.take_back, branch=branch, to=back),
    )
    yield Result(committed)
