"""Source: edit, review, commit and tag, on the release manager's machine and fork."""

from __future__ import annotations

import unicodedata
from fnmatch import fnmatchcase
from functools import partial

from relkit.kinds import where
from relkit.plan import Action, Check, Evidence, Expect, Plan, Result
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.freeze import check_buildbots, choose_base, freeze_branch, still_frozen
from relkit.steps.tree import check_tree
from relkit.values import Commit, ObjectId, RefUpdate, Tag

PHASE = "Source"
HERE = "release manager's machine"
WRITES = {
    "news": ("Misc/NEWS.d/*",),
    "pydoc-topics": ("Lib/pydoc_data/topics.py", "Lib/pydoc_data/module_docs.py"),
    "version-numbers": ("Include/patchlevel.h", "README.rst"),
    "next-versions": ("Doc/*.rst",),
    "post-version": ("Include/patchlevel.h",),
    "whatsnew-date": ("Doc/whatsnew/*.rst",),
    "branch-start": (
        "README.rst",
        "Doc/tools/extensions/pyspecific.py",
        "Doc/conf.py",
        ".github/workflows/*.yml",
        ".azure-pipelines/*.yml",
    ),
    "next-series": (
        "Include/patchlevel.h",
        "Include/internal/pycore_magic_number.h",
        "README.rst",
        "configure",
        "configure.ac",
        "Doc/whatsnew/*.rst",
        "Doc/tutorial/*.rst",
        "Doc/tools/extensions/pyspecific.py",
        "Doc/conf.py",
        "PC/launcher.c",
        "PC/pyconfig.h",
        "PC/pyconfig.h.in",
        ".github/ISSUE_TEMPLATE/*.yml",
        ".github/workflows/*.yml",
        ".azure-pipelines/*.yml",
    ),
}
"""What each editor may touch, as patterns on the path; anything else is refused."""
RELEASE_EDITORS = ("news", "version-numbers", "whatsnew-date", "next-versions", "pydoc-topics")
"""The editors whose changes become the release commit."""
BIDI = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}


def edit(release: Release, world: World, editor: str, base: ObjectId) -> Plan:
    """Yield the action of one editor on the tree of `base`, and its result."""
    edited = partial(world.repo.edited, editor=editor, base=base)
    yield Action(
        do=partial(
            world.repo.edit,
            editor=editor,
            base=base,
            writes=WRITES[editor],
            version=str(release.version),
            time=release.time,
        ),
        done=Expect(edited),
        undo="the edited tree is on no branch; nothing has to be taken back",
    )
    yield Result(edited)


@step(phase=PHASE, where=HERE, after=[check_tree], returns=Commit)
def release_news(release: Release, world: World, results: Results) -> Plan:
    """Gather the news.

    `blurb release` merges the entries of `Misc/NEWS.d/next` into one file for this version, dated
    with the release's date, as [PEP 101](https://peps.python.org/pep-0101/#how-to-make-a-release)
    has it. Readers of the changelog see it for ever; it can be read in the difference, at the gate
    below. It is an edited tree only: nothing is committed.
    """
    yield from edit(release, world, "news", results[choose_base].commit)


@step(phase=PHASE, where=HERE, after=[release_news], returns=Commit)
def set_version(release: Release, world: World, results: Results) -> Plan:
    """Set the version numbers.

    In `Include/patchlevel.h`, which the interpreter reports, and in the title of `README.rst`.
    Every program that asks for the version gets this answer, so that it is read again from what was
    built. Nothing is committed yet.
    """
    yield from edit(release, world, "version-numbers", results[release_news].commit)


@step(phase=PHASE, where=HERE, after=[set_version], returns=Commit, kinds=where(first=True))
def set_release_date(release: Release, world: World, results: Results) -> Plan:
    """Date What's New.

    The first paragraph of `Doc/whatsnew/3.X.rst` says when the version came out. That day is the
    release's date, which may be another than the one the schedule had: look at it once more.
    """
    yield from edit(release, world, "whatsnew-date", results[set_version].commit)


@step(phase=PHASE, where=HERE, after=[set_version, set_release_date], returns=Commit)
def resolve_next_versions(release: Release, world: World, results: Results) -> Plan:
    """Resolve "next" in the docs.

    Directives such as `versionadded:: next` get the version that is released; left as they are,
    readers would never learn since when something is there. Only directives, and only below `Doc/`,
    are touched.
    """
    before = results[set_release_date if release.facts.first else set_version]
    yield from edit(release, world, "next-versions", before.commit)


@step(phase=PHASE, where=HERE, after=[resolve_next_versions], returns=Commit)
def regenerate_topics(release: Release, world: World, results: Results) -> Plan:
    """Regenerate the pydoc topics.

    What `help("for")` shows is made from the documentation by CPython's own `make -C Doc
    pydoc-topics`, with the Sphinx that the tree pins. It comes last, so that it sees the versions
    just resolved. Minutes on a real tree, most of them for Sphinx; if it fails, its log says which
    file of the docs is wrong.
    """
    yield from edit(release, world, "pydoc-topics", results[resolve_next_versions].commit)


@step(
    phase=PHASE,
    where=HERE,
    after=[regenerate_topics, check_buildbots],
    gate="release-commit",
    returns=Commit,
)
def commit_release(release: Release, world: World, results: Results) -> Plan:
    """Review and commit.

    **Nothing of what was edited has left this machine yet.** Look at the paths and the difference:
    the news, the version numbers, the docs, and nothing that surprises. Approving covers the
    commit, the tag on it and the push of both to the fork; upstream gets nothing of it before
    everything is published. Until then all of it can be taken back.
    """
    base, edited = results[choose_base].commit, results[regenerate_topics].commit
    yield still_frozen(release, world, results)
    changes = world.repo.changes(base=base, commit=edited)
    allowed = [pattern for editor in RELEASE_EDITORS for pattern in WRITES[editor]]
    stray = [one.path for one in changes if not any(fnmatchcase(one.path, p) for p in allowed)]
    yield Check(
        "only what the editors declare is changed",
        bool(changes) and not stray,
        found=", ".join(stray[:5]) or f"{len(changes)} paths",
        code="UNDECLARED_WRITE",
        remedy="Find out which tool wrote there; nothing was committed.",
    )
    diff = world.repo.diff(base=base, commit=edited)
    yield Check(
        "no line of the difference hides text by control characters",
        not (hidden := bidi_controls(diff)),
        found="; ".join(hidden[:5]),
        code="BIDI_CONTROL",
        remedy="Look at these lines with a hexadecimal viewer; have them removed upstream.",
    )
    yield Evidence("Changed paths", "".join(f"{one.status} {one.path}\n" for one in changes))
    yield Evidence("Difference", diff, language="diff")
    message = f"Python {release.version}"
    yield Action(
        do=partial(
            world.repo.commit,
            branch=release.branch,
            parent=base,
            tree_of=edited,
            message=message,
            time=release.time,
        ),
        done=Expect(
            committed := partial(
                world.repo.committed,
                branch=release.branch,
                parent=base,
                tree_of=edited,
                message=message,
            )
        ),
        undo=partial(world.repo.take_back, branch=release.branch, to=results[freeze_branch].head),
    )
    yield Result(committed)


def bidi_controls(diff: str) -> list[str]:
    """Return the added lines of a diff that hold bidirectional control characters (T07)."""
    return [
        f"line {number}"
        for number, line in enumerate(diff.splitlines(), 1)
        if line.startswith("+") and any(unicodedata.bidirectional(one) in BIDI for one in line)
    ]


@step(phase=PHASE, where=HERE, after=[commit_release], returns=Tag)
def tag_release(release: Release, world: World, results: Results) -> Plan:
    """Tag the release.

    The signed tag names the commit that is built, signed and published; everything else is derived
    from it. It is made last, so that the tagged commit and the head of the clone are the same. It
    is on this machine only, and your signing key is asked for. As long as nothing is published, a
    wrong tag can be taken back; later never.
    """
    commit, signer = results[commit_release].commit, world.policy.gpg_fingerprint
    taken = world.repo.remote_ref(remote="upstream", ref=f"refs/tags/{release.tag}")
    yield Check(
        f"upstream has no tag {release.tag}",
        taken is None,
        found=str(taken or ""),
        code="TAG_EXISTS",
        remedy="This version was released already; give the next one.",
    )
    read = partial(world.repo.tag, name=release.tag)
    yield Action(
        do=partial(
            world.repo.create_tag,
            name=release.tag,
            commit=commit,
            message=f"Python {release.version}",
            time=release.time,
        ),
        done=Expect(read, has={"name": release.tag, "commit": commit, "signer": signer}),
        undo=partial(world.repo.delete_tag, name=release.tag, commit=commit),
    )
    yield Result(read)


@step(phase=PHASE, where="fork", after=[tag_release])
def push_to_fork(release: Release, world: World, results: Results) -> Plan:
    """Push to the fork.

    Branch and tag go to the release manager's fork, where the builds find them; upstream gets
    nothing before everything is published. Both refs are named one by one, so that no other ref of
    the clone can slip in. Who knows the fork can read there what is going to be released.
    """
    branch = f"refs/heads/{release.fork_branch}"
    wanted = {
        branch: results[commit_release].commit,
        f"refs/tags/{release.tag}": results[tag_release].tag_object,
    }
    now = world.repo.remote_refs(remote="fork", refs=tuple(wanted))
    for ref, new in wanted.items():
        yield Check(
            f"{ref} on the fork is free, or ours",
            now[ref] in {None, new},
            found=str(now[ref] or ""),
            code="TAG_MOVED" if "tags" in ref else "BRANCH_EXISTS",
            remedy="See who made it; delete it on the fork if it is left over.",
        )
    fresh = tuple(RefUpdate(ref=ref, old=None, new=new) for ref, new in wanted.items())
    gone = tuple(RefUpdate(ref=ref, old=new, new=None) for ref, new in wanted.items())
    yield Action(
        do=partial(world.repo.push, remote="fork", updates=fresh),
        done=Expect(
            partial(world.repo.remote_refs, remote="fork", refs=tuple(wanted)), equals=wanted
        ),
        undo=partial(world.repo.push, remote="fork", updates=gone),
    )
