"""Merging a release that was made beside its branch into the branch.

The release commit stands on the last candidate with commits of the branch picked onto it. Its own
edits are what the branch lacks; where both sides changed a file, releases have fixed answers for
a few files, and for all others there is none here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from relkit.adapters.git_clone import beside, contains
from relkit.adapters.git_command import GitCommand
from relkit.adapters.git_edit import blob_text, read_commit
from relkit.adapters.git_news import Told
from relkit.adapters.git_pick import Merged, picked_from, three_way
from relkit.errors import CheckError

NEWS, WAITING = "Misc/NEWS.d", "Misc/NEWS.d/next/"
OF_RELEASE = ("Include/patchlevel.h", "README.rst")
"""Files that say the version: where the sides disagree, the release is right."""
OF_BRANCH = ("Lib/pydoc_data/topics.py", "Lib/pydoc_data/module_docs.py")
"""Files that are made anew for each release: the branch's are as good."""
Entry = tuple[str, str]
"""Mode and blob of a file."""


def merge_release(git: GitCommand, *, base: str, other: str, version: str) -> str:
    """Merge the release commit `other` into `base`; return the id of the tree.

    Raises `CheckError`: ``MERGE_CONFLICT`` with the paths, ``MERGE_UNRELATED``.
    """
    parting = _parting(git, base, other)
    merged = three_way(git, base=parting, ours=base, theirs=other)
    news = Told.read(blob_text(git, other, f"{NEWS}/{version}.rst") or "")
    told = [path for path in _waiting(git, merged.tree) if _holds(git, news, merged.tree, path)]
    settled: dict[str, Entry | None] = dict.fromkeys(told)
    settled |= {path: _entry(git, base, path) for path in merged.conflicts if path in OF_BRANCH}
    for path in merged.conflicts:
        if path in OF_RELEASE and (entry := _favoured(git, path, parting, base, other)):
            settled[path] = entry
    _refuse_others(merged, settled, base, other)
    return _with(git, merged.tree, settled) if settled else merged.tree


def _parting(git: GitCommand, base: str, other: str) -> str:
    """Return the commit from which the sides are looked at.

    The release's own edits are what counts, so it is the commit they were made on, if all that
    this one has and `base` lacks was picked from `base`: what the branch then made of a picked
    change, or that it took it back, stays. Else it is where the histories part.
    """
    parents = read_commit(git, other)[0].parents
    if len(parents) == 1:
        between = git.run("rev-list", "--end-of-options", f"{base}..{parents[0]}").text.split()
        sources = [picked_from(read_commit(git, one)[1]) for one in between]
        if all(source and contains(git, base, source) for source in sources):
            return parents[0]
    answer = git.ask("merge-base", "--end-of-options", base, other)
    if answer.status != 0:
        raise CheckError(
            f"{base} and {other} have no history in common",
            code="MERGE_UNRELATED",
            remedy="Look at both; one of them is not of this branch.",
        )
    return answer.text.strip()


def _waiting(git: GitCommand, tree: str) -> list[str]:
    listing = ("ls-tree", "-r", "-z", "--name-only", "--full-tree")
    return git.run(*listing, tree, "--", WAITING).fields()


def _holds(git: GitCommand, news: Told, tree: str, path: str) -> bool:
    return news.holds(path, lambda: blob_text(git, tree, path) or "")


def _entry(git: GitCommand, commit: str, path: str) -> Entry | None:
    listed = git.run("ls-tree", "-z", "--full-tree", commit, "--", path).fields()
    words = listed[0].partition("\t")[0].split() if listed else []
    return (words[0], words[2]) if words and words[1] == "blob" else None


def _favoured(git: GitCommand, path: str, parting: str, base: str, other: str) -> Entry | None:
    """Merge one file, with the release's lines where both sides changed them."""
    sides = [_entry(git, commit, path) for commit in (base, parting, other)]
    with beside(git.folder, "merge") as folder:
        files: list[Path] = []
        for name, side in zip(("branch", "parting", "release"), sides, strict=True):
            if side is None:
                return None
            files.append(folder / name)
            files[-1].write_bytes(git.run("cat-file", "blob", side[1]).output)
        git.run("merge-file", "--quiet", "--theirs", "--", *map(str, files))
        blob = git.line("hash-object", "-w", "--no-filters", "--", str(files[0]))
    return ("100644", blob)


def _refuse_others(
    merged: Merged, settled: Mapping[str, Entry | None], base: str, other: str
) -> None:
    if left := [path for path in merged.conflicts if path not in settled]:
        raise CheckError(
            f"{other} cannot be merged into {base}: both changed {', '.join(left)}",
            code="MERGE_CONFLICT",
            remedy="Have the branch changed so that they agree there, then begin again; "
            "nothing was kept.",
        )


def _with(git: GitCommand, tree: str, settled: Mapping[str, Entry | None]) -> str:
    """Return a tree with other files in these places; None: no file."""
    with beside(git.folder, "merge") as folder:
        inside = replace(git, folder=folder).with_environment(GIT_INDEX_FILE=str(folder / "index"))
        inside.run("read-tree", tree)
        for path, entry in settled.items():
            if entry is None:
                inside.run("update-index", "--force-remove", "--", path)
            else:
                inside.run("update-index", "--add", "--cacheinfo", f"{','.join(entry)},{path}")
        return inside.line("write-tree")
