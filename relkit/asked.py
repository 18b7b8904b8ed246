"""How a request reads to those who are asked, and how it differs from an earlier one.

Needs no notebook and no world: all that is shown stands in the request, whose plan has the digest
that is signed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from relkit.adapters.meeting import Meeting, read_request
from relkit.decision import about, read_decision
from relkit.errors import CheckError, GateError, WorldError
from relkit.plan import ActionData
from relkit.values import Artifact, Request
from relkit.view import VERDICTS, View, line, table

KEY = re.compile(r"[0-9a-f]{64}")
MAX_REQUESTS = 500


@dataclass(frozen=True)
class Looked:
    """What was found of a file that a request is about."""

    name: str
    sha256: str
    state: Literal["equal", "differs", "not reached"]
    found: str = ""
    """The SHA-256 of what lies there."""


def readable(request: Request) -> str:
    """Return what is asked, as text; raise `WorldError` (``REQUEST_UNREADABLE``).

    It has no characters that a terminal obeys.
    """
    try:
        parts = [*_head(request), *_tables(request.plan)]
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise WorldError(
            f"the plan of {request.step!a} is none of this relkit: {str(error).splitlines()[0]}",
            code="REQUEST_UNREADABLE",
            remedy="Use the relkit of the release manager; sign nothing that you cannot read.",
        ) from error
    return printable("\n\n".join(part for part in parts if part))


def printable(text: str) -> str:
    """Return a text without what a terminal obeys."""
    return "".join(one if one.isprintable() or one == "\n" else " " for one in text)


def _head(request: Request) -> Iterator[str]:
    yield f"REQUEST of {request.release}, revision {request.revision}: {request.step}"
    if request.waives:
        yield f"Asked is whether this is accepted though it did not succeed: {request.waives}"
    roles = " and ".join(request.roles)
    rows = [
        ("world", _world(request)),
        ("asked", f"{'any of ' * bool(request.waives)}{roles}"),
        ("until", f"{request.expires:%Y-%m-%d %H:%M} UTC"),
        ("plan", request.digest),
        ("policy", request.policy),
        ("ledger head", request.head),
    ]
    yield table(("", ""), rows).text.lstrip("\n")


def _world(request: Request) -> str:
    kind = "a rehearsal" if request.rehearsal else "PRODUCTION, no rehearsal"
    return f"{request.world}, {kind}".removeprefix(", ")


def _tables(plan: dict[str, Any]) -> Iterator[str]:
    """Yield the parts of a plan as the notebook shows them."""
    actions = [ActionData.model_validate(one) for one in plan["actions"]]
    checks = [(name, VERDICTS.get(verdict, verdict)) for name, verdict in plan["checks"]]
    yield table(("check", "verdict"), checks).text
    yield table(("evidence", "SHA-256"), [(title, sha) for title, sha in plan["evidence"]]).text
    files = [(one.name, one.size, one.sha256) for one in subjects(plan)]
    yield table(("file", "bytes", "SHA-256"), files).text
    yield table(
        ("", "action", "way back"),
        [
            (number, str(one.do), str(one.undo) if one.undo else one.undo_note)
            for number, one in enumerate(actions, 1)
        ],
    ).text


def subjects(plan: dict[str, Any]) -> list[Artifact]:
    """Return the files a plan is about."""
    return [Artifact.model_validate(one) for one in plan["subjects"]]


# --- what was asked before ------------------------------------------------------------------------


def difference(request: Request, folder: Path) -> str:
    """Return how a request differs from the one of its step that was approved last.

    Requests lie in `folder`; who approved is what the answers beside them say, unverified.
    """
    before = _approved_before(request, folder)
    if before is None:
        return "No other plan of this step was approved before."
    title = f"plan {before.digest:.12} (revision {before.revision}), approved before"
    old, new = readable(before).splitlines(), readable(request).splitlines()
    lines = unified_diff(old, new, title, f"plan {request.digest:.12}, asked now", lineterm="")
    return "\n".join(lines)


def _approved_before(request: Request, folder: Path) -> Request | None:
    files = sorted(folder.glob("*.json"))[: 10 * MAX_REQUESTS]
    found = [one for one in (_read(file) for file in files if KEY.fullmatch(file.stem)) if one]
    about = (request.release, request.nonce, request.step, request.waives)
    same = [
        one
        for one in found[:MAX_REQUESTS]
        if (one.release, one.nonce, one.step, one.waives) == about
        and one.digest != request.digest
        and _approved(one, folder)
    ]
    return max(same, key=lambda one: (one.revision, one.expires), default=None)


def _read(file: Path) -> Request | None:
    try:
        return read_request(file)
    except WorldError:  # junk is no request, and whoever is asked now is not asked for it
        return None


def _approved(request: Request, folder: Path) -> bool:
    for signed in Meeting(folder).answers(request.key):
        try:
            said = read_decision(signed.text)
        except GateError:
            continue
        if said.verdict == "approve" and said.plan == request.digest:
            return True
    return False


# --- the files ------------------------------------------------------------------------------------


def look(request: Request, folders: Sequence[Path]) -> list[Looked]:
    """Hash the files of a request that lie in these folders under their names."""
    return [_look(one, folders) for one in subjects(request.plan)]


def _look(subject: Artifact, folders: Sequence[Path]) -> Looked:
    found = [_digest(path) for one in folders if (path := one / subject.name).is_file()]
    other = next((one for one in found if one != subject.sha256), "")
    state: Literal["equal", "differs", "not reached"] = "equal" if found else "not reached"
    return Looked(subject.name, subject.sha256, "differs" if other else state, other)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_equal(looked: Sequence[Looked]) -> None:
    """Raise `CheckError` (``ARTIFACT_OTHER``) if a file is another one than is asked about."""
    for one in looked:
        if one.state == "differs":
            raise CheckError(
                f"{one.name} here has SHA-256 {one.found}, asked is about {one.sha256}: "
                "nothing was signed",
                code="ARTIFACT_OTHER",
                remedy="Fetch it anew from where it is staged; if it differs again, reject.",
            )


def told(looked: Sequence[Looked]) -> str:
    """Return in a line what was looked at."""
    if not looked:
        return "There are no files to look at."
    reached = sum(one.state != "not reached" for one in looked)
    if not reached:
        return f"Files not reached, so none was hashed: {len(looked)}. Say where: --files FOLDER."
    return f"Files hashed: {reached} of {len(looked)}."


def signing(request: Request) -> View:
    """Return in words what a decision is about; it stands right above where one decides."""
    where = (
        f"For {request.step} of {request.release}, revision {request.revision}, in the world "
        f"{_world(request)}, run {request.nonce}."
    )
    until = f"It can be answered until {request.expires:%Y-%m-%d %H:%M} UTC."
    passed = f"It is to be accepted that this did not succeed: {request.waives}."
    final = f"The way back ends here: to approve, type {request.typed}."
    words = [where, passed * bool(request.waives), until, final * bool(request.typed)]
    return line(" ".join(filter(None, words)))


def signed(request: Request, looked: Sequence[Looked] = ()) -> View:
    """Return everything that a decision is about by name and digest."""
    seen = {one.name: f"{one.state} {one.found}".rstrip() for one in looked}
    columns = ("signed", "SHA-256", "looked at")[: 3 if looked else 2]
    rows = [(one.name, one.sha256, seen.get(one.name, "")) for one in about(request)]
    return table(columns, [row[: len(columns)] for row in rows])
