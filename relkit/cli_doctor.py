"""`relkit doctor`: the day before, whether everything a release needs is there and answers."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from relkit.cli_options import command, release_options

if TYPE_CHECKING:
    from relkit.doctor import Finding

SHORT = 110  # characters of what was found, in a line
WIDTH = 80  # of a line about what is told in full below
MARKS = {"well": "ok", "ill": "!!", "unknown": "??"}


def declare(commands: Any) -> None:  # noqa: ANN401 (argparse gives its type no public name)
    """Add the command to those of the command line."""
    about = "see whether machine, keys and systems are fit, the day before"
    statuses = "0 all is well, 1 something is to be seen to, 2 wrong usage"
    example = "relkit doctor 3.15.0a1 --world worlds/cpython.toml"
    one = command(commands, "doctor", doctor, about, example, statuses=statuses)
    release_options(one, "worlds/practice.toml")
    one.add_argument("--json", action="store_true", help="the same as JSON, at the end")


def doctor(options: argparse.Namespace) -> int:
    """Ask everything, say each answer as it comes, and end with what is to be done."""
    from relkit.doctor import examine
    from relkit.opening import open_world

    release, world, close = open_world(
        options.version, options.kind, options.date, options.world, options.records
    )
    found: list[Finding] = []
    say = sys.stderr if options.json else sys.stdout
    try:
        form = " (a rehearsal)" if world.rehearsal else ": PRODUCTION; nothing is begun"
        print(f"Python {release.version} in the world {world.name}{form}", file=say)
        for one in examine(release, world, begin=_begin):
            found.append(one)
            if one.outcome != "absent":
                print(in_a_line(one), file=say, flush=True)
    finally:
        close()
    if options.json:
        print(as_json(str(release.version), world.name, found))
    else:
        print("", *to_see_to([one for one in found if not one.well]), *summary(found), sep="\n")
    return int(not all(one.well for one in found))


def _begin(name: str) -> None:
    """Say what is asked now, to whoever watches and to no file."""
    if sys.stderr.isatty():
        print(f"..  {name}", file=sys.stderr, flush=True)


def as_json(version: str, world: str, found: list[Finding]) -> str:
    """Return all findings, each with what its row proves and leaves open."""
    from relkit.doctor_table import BY_NAME

    rows = [
        asdict(one) | {"proves": BY_NAME[one.row].proves, "leaves": BY_NAME[one.row].leaves}
        for one in found
    ]
    status = int(not all(one.well for one in found))
    verdict = {"version": version, "world": world, "status": status, "verdict": summary(found)[-1]}
    return json.dumps(verdict | {"rows": rows}, indent=1)


def in_a_line(one: Finding) -> str:
    """Return what was found as one line; an ill thing begins with its code."""
    found = " ".join(one.found.split())
    code = "" if one.outcome == "well" else f": {one.code}"
    begin = f"{MARKS[one.outcome]}  {one.what}{code}"
    most = SHORT if one.outcome == "well" else max(WIDTH - len(begin) - len(": …"), 0)
    cut = f"{found[:most]}…" if len(found) > most else found
    return begin + (f": {cut}" if cut else "")


def to_see_to(ill: list[Finding]) -> list[str]:
    """Return what is to be done; what is the same about several things is said once."""
    same: dict[tuple[str, str, str], list[str]] = {}
    for one in ill:
        same.setdefault((one.code, one.found, one.remedy), []).append(one.what)
    lines = []
    for (code, found, remedy), names in same.items():
        said = [f"    {line.strip()}" for line in found.splitlines() if line.strip()]
        lines += [f"{code}: {'; '.join(names)}", *said, f"    What to do: {remedy}"]
    return lines


def summary(found: list[Finding]) -> list[str]:
    """Return what the world has none of, and how many things stand how."""
    count = Counter(one.outcome for one in found)
    absent = [one.what for one in found if one.outcome == "absent"]
    lines = [f"Not in this world: {'; '.join(absent)}"] if absent else []
    if count["ill"] or count["unknown"]:
        well, ill, unknown = (count[one] for one in ("well", "ill", "unknown"))
        return [*lines, f"{well} are well, {ill} to be seen to, {unknown} not known: find out."]
    return [*lines, f"All is well: {count['well']} things."]
