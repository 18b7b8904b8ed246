"""A workflow's file as it was when it ran: every action in it must be named by a commit (T20)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from relkit.adapters.github import FULL_ID, Told, told
from relkit.adapters.rest import Rest, segment
from relkit.adapters.web import quoted
from relkit.errors import CheckError

USES = re.compile(r"""(?:^|[\s{,\-"'?])uses["']?\s*:(.*)""")
ESCAPED_KEY = re.compile(r'"[^"]*\\[^"]*"\s*:')
PINNED = re.compile(
    r"[A-Za-z0-9_.-]+/[A-Za-z0-9_./-]+@[0-9a-f]{40}|docker://[^\s@]+@sha256:[0-9a-f]{64}"
)
LOCAL = re.compile(r"\./([A-Za-z0-9_./-]+)")
MOST_FILES = 30


class _File(Told):
    type: str
    encoding: str
    content: str


def require_pinned(rest: Rest, base: str, path: str, commit: str) -> None:
    """Refuse (``ACTION_UNPINNED``) a workflow that uses an action by a name that can be moved.

    Workflows and actions of its own repository are of the same commit, and read as well.
    """
    waiting, seen = [path], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for used in uses(_text(rest, base, name, commit)):
            local = LOCAL.fullmatch(used)
            if local and ".." not in local[1]:
                waiting.append(_file_of(local[1]))
            elif not PINNED.fullmatch(used):
                raise _unpinned(f"{name} at {commit} uses {used or 'something that is not told'}")
        if len(seen) > MOST_FILES:
            raise _unpinned(f"{path} at {commit} uses more than {MOST_FILES} files of its own")


def uses(text: str) -> Iterator[str]:
    """Yield what a workflow uses; what cannot be read as one plain word is yielded as it stands."""
    for line in text.splitlines():
        plain = line.lstrip()
        if plain.startswith("#"):
            continue
        if ESCAPED_KEY.search(plain):
            yield plain
        for found in USES.finditer(plain):
            yield found[1].partition(" #")[0].strip().strip("\"'")


def _file_of(local: str) -> str:
    return local if PurePosixPath(local).suffix in {".yml", ".yaml"} else f"{local}/action.yml"


def _text(rest: Rest, base: str, path: str, commit: str) -> str:
    if not FULL_ID.fullmatch(commit):
        raise rest.unreadable(f"the commit of the run is {commit[:60]!r}")
    answer = rest.get(f"{base}/contents/{segment(path)}", {"ref": commit})
    file = told(rest, _File, answer.value, answer.said)
    if (file.type, file.encoding) != ("file", "base64"):
        raise rest.unreadable(answer.said)
    try:
        return base64.b64decode(file.content).decode()
    except ValueError as error:
        raise rest.unreadable(answer.said) from error


def _unpinned(what: str) -> CheckError:
    return CheckError(
        quoted(f"{what}, which can be moved to other code"),
        code="ACTION_UNPINNED",
        remedy="Have the workflow name every action by its full commit id; then build again.",
    )
