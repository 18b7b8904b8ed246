"""``relkit verify record``: what a stranger can check of a record, offline.

Exit statuses: 0 verified; 1 refused; 2 wrong usage; 3 incomplete: the run or its seal; 4 cannot
check: the policy's digest or the trust root was not given, or another relkit made the record.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relkit.cli_options import CHECKED, command
from relkit.errors import RecordError, UsageError

if TYPE_CHECKING:
    from relkit.verify_record import Verdict

WHAT_TO_DO = {
    1: "Do not use this record. Get it from where it was published, and show this output.",
    3: "What is missing is named above. Ask the release manager for it; until then trust nothing.",
    4: "Give --policy and --trust-root what you have from elsewhere than this record: an "
    "announcement, the release manager. Its VERIFY.md says what they are.",
}
"""By exit status."""
OTHER = "Above stands what it takes; for what is RELKIT_OTHER, the relkit that made it."
LARGEST_ROOT = 1 << 20  # bytes
CANNOT_CHECK = 4
BY_DIGEST = "sha256:"


def declare(commands: Any) -> None:  # noqa: ANN401 (argparse gives its type no public name)
    """Declare the command below ``relkit verify``."""
    about = "the sealed record of a run, offline"
    example = "relkit verify record records/3.15.0a1 --policy sha256:… --trust-root sha256:…"
    parser = command(commands, "record", run, about, example, statuses=CHECKED)
    parser.add_argument("folder", type=Path, help="the folder with SHA256SUMS in it")
    parser.add_argument("--policy", metavar="SHA256", help="of the policy that you trust")
    parser.add_argument(
        "--trust-root",
        metavar="FILE|sha256:DIGEST",
        help="Sigstore's trusted root that you trust, or the digest the record's own must have",
    )
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def run(options: argparse.Namespace) -> int:
    """Verify, and say what was found, a line for each property, and what was not looked at."""
    from relkit.verify_record import read_record, verify

    root = _trust_root(options.trust_root)
    try:
        pack = read_record(options.folder)
    except RecordError as error:
        _refused(error, as_json=options.json)
        return error.exit_status
    found = verify(pack, policy_sha256=options.policy, trust_root=root)
    if options.json:
        print(json.dumps(asdict(found) | {"verdict": found.words}, indent=1))
    else:
        _say(found)
    return found.status


def _trust_root(given: str | None) -> bytes | str | None:
    if given is None or given.startswith(BY_DIGEST):
        return given
    try:
        with Path(given).open("rb") as file:
            return file.read(LARGEST_ROOT)
    except OSError as error:
        raise UsageError(
            f"{Path(given).name} cannot be read: {error.strerror}",
            code="TRUST_ROOT",
            remedy="Give the file of a trusted root that you trust, or sha256: and its digest.",
        ) from error


def _refused(error: RecordError, *, as_json: bool) -> None:
    """Say that the folder was not even read to its end."""
    if as_json:
        line = {"name": "folder", "outcome": "REFUSED", "code": error.code, "text": str(error)}
        rest: dict[str, object] = {"unchecked": ["everything else"], "waivers": [], "notes": []}
        print(json.dumps({"status": 1, "verdict": "REFUSED", "lines": [line], **rest}, indent=1))
    else:
        print(f"REFUSED: {error}", f"What to do: {error.remedy}", sep="\n", file=sys.stderr)


def _say(found: Verdict) -> None:
    from relkit.verify_release.words import wrapped

    for line in found.lines:
        text = f"{line.code}: {line.text}" if line.code else line.text
        begin = f"{line.name:16} {line.outcome:13} "
        print(*wrapped(text, first=begin, rest=" " * len(begin)), sep="\n")
    for title, texts in (
        ("Waived", found.waivers),
        ("Not by the book, or not what it may seem", found.notes),
        ("Not checked", found.unchecked),
    ):
        if texts:
            print(f"\n{title}:")
        for one in texts:
            print(*wrapped(one, first="  ", rest="    "), sep="\n")
    print(f"\n{found.words}")
    given = {"POLICY_NOT_GIVEN", "TRUST_ROOT_MISSING"} & {line.code for line in found.lines}
    if found.status in WHAT_TO_DO:
        other = found.status == CANNOT_CHECK and not given
        print(*wrapped(f"What to do: {OTHER if other else WHAT_TO_DO[found.status]}"), sep="\n")
