"""Running an editor on the tree of a commit; reading and writing commits.

An editor works on a checkout of its own beside the clone, with an index of its own: the clone's
work tree, index and branch never see it, whatever the editor does and whenever it is killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase

from relkit.adapters.editors import EDITORS, Tools
from relkit.adapters.git_clone import beside
from relkit.adapters.git_command import GitCommand, Identity
from relkit.errors import CheckError, UsageError, WorldError
from relkit.values import Change, Commit

EDITOR_IDENTITY = Identity("relkit", "relkit@localhost")
FILES_AT_ONCE = 500


def edit_tree(  # noqa: PLR0913 (what the port gives, and where)
    git: GitCommand,
    *,
    editor: str,
    base: str,
    writes: Sequence[str],
    version: str,
    time: datetime,
    tools: Tools,
) -> str:
    """Run an editor on the tree of `base`; return the id of the tree it made.

    Raises `CheckError` (``UNDECLARED_WRITE``), `UsageError` (``UNKNOWN_EDITOR``), and what the
    editor raises.
    """
    if editor not in EDITORS:
        raise UsageError(
            f"there is no editor {editor!r}; there are {', '.join(EDITORS)}",
            code="UNKNOWN_EDITOR",
            remedy="Correct the name in the step.",
        )
    with beside(git.folder, "edit") as folder:
        tree, index = folder / "tree", folder / "index"
        tree.mkdir()
        inside = replace(git, folder=tree).with_environment(GIT_INDEX_FILE=str(index))
        inside.run("read-tree", "--reset", "-u", base)
        environment = {**tools.environment, **inside.child_environment()}
        EDITORS[editor](tree, version, time, replace(tools, environment=environment))
        _add_all(inside, writes)
        made = inside.line("write-tree")
    undeclared = [
        change.path
        for change in changes(git, base, made)
        if not any(fnmatchcase(change.path, pattern) for pattern in writes)
    ]
    if undeclared:
        raise CheckError(
            f"the editor {editor} wrote {', '.join(undeclared[:10])}"
            f"{' …' if len(undeclared) > 10 else ''}; declared is {', '.join(writes)}",  # noqa: PLR2004 (one line)
            code="UNDECLARED_WRITE",
            remedy="Find out which tool wrote there; nothing was kept.",
        )
    return made


def _add_all(git: GitCommand, writes: Sequence[str]) -> None:
    """Put all files into the index; of those which git ignores, the ones that are declared."""
    git.run("add", "--all", "--", ".")
    ignored = git.run("ls-files", "--others", "--ignored", "--exclude-standard", "-z").fields()
    wanted = [path for path in ignored if any(fnmatchcase(path, one) for one in writes)]
    for start in range(0, len(wanted), FILES_AT_ONCE):
        git.run("add", "--force", "--", *wanted[start : start + FILES_AT_ONCE])


def changes(git: GitCommand, base: str, commit: str) -> tuple[Change, ...]:
    """Return the paths in which two commits or trees differ, in order of path."""
    listed = git.run("diff-tree", "-r", "-z", "--no-renames", "--name-status", base, commit)
    fields = listed.fields()
    return tuple(
        Change(status=status, path=path)
        for status, path in zip(fields[::2], fields[1::2], strict=True)
    )


def commit_tree(
    git: GitCommand, tree: str, parents: Sequence[str], message: str, stamps: Mapping[str, str]
) -> str:
    """Write a commit object; the same arguments give the same id."""
    if not message.strip() or "\0" in message:
        raise UsageError(
            f"{message!r} is no commit message", code="BAD_MESSAGE", remedy="Give it some text."
        )
    lineage = [word for parent in parents for word in ("-p", parent)]
    return git.with_environment(**stamps).line("commit-tree", *lineage, "-m", message, tree)


def read_commit(git: GitCommand, commit: str) -> tuple[Commit, str]:
    """Return a commit and its message, without the last line end."""
    head, _, message = git.run("cat-file", "commit", commit).text.partition("\n\n")
    # Lines that go on with another one begin with a space, and so have no key.
    lines = [line.partition(" ") for line in head.split("\n")]
    found = Commit(
        commit=commit,
        tree=next(value for key, _, value in lines if key == "tree"),
        parents=tuple(value for key, _, value in lines if key == "parent"),
    )
    return found, message.rstrip("\n")


def blob_text(git: GitCommand, commit: str, path: str) -> str | None:
    """Return a regular file of a commit as text; None if there is none of this name."""
    listed = git.run("ls-tree", "-z", "--full-tree", commit, "--", path).fields()
    if len(listed) != 1 or not listed[0].startswith("100"):
        return None
    object_id = listed[0].split()[2]
    try:
        return git.run("cat-file", "blob", object_id).output.decode()
    except UnicodeDecodeError as error:
        raise WorldError(
            f"{path} of {commit} is not UTF-8: {error.reason} at byte {error.start}",
            code="NOT_TEXT",
            remedy="Look at the file; it should be text.",
        ) from error
