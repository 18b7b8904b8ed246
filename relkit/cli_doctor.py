"""`relkit doctor`: the day before, whether everything a release needs is there and answers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relkit.doctor import Finding

SHORT = 110  # characters of what was found, in a line


def declare(commands: Any) -> None:  # noqa: ANN401 (argparse gives its type no public name)
    """Add the command to those of the command line."""
    about = "see whether machine, keys and systems are fit, the day before"
    one = commands.add_parser("doctor", help=about, description=about)
    one.set_defaults(command=doctor)
    one.add_argument("version", help="such as 3.15.0a1; of a transition the branch: 3.13")
    one.add_argument("--kind", default="", help="the kind; it must fit the version")
    one.add_argument("--world", default="worlds/practice.toml", help="the world's file")
    one.add_argument("--records", default="records", help="the folder of the records")
    one.add_argument("--date", default="", help="the release's date, ISO, UTC; else today")


def doctor(options: argparse.Namespace) -> int:
    """Ask everything, say each answer as it comes, and end with what is to be done."""
    from relkit.doctor import examine
    from relkit.opening import open_world

    release, world, close = open_world(
        options.version, options.kind, options.date, options.world, options.records
    )
    ill = []
    try:
        print(f"Python {release.version} in the world {world.name}", end="")
        print(" (a rehearsal)" if world.rehearsal else ": PRODUCTION; nothing is begun")
        for one in examine(release, world):
            print(in_a_line(one), flush=True)
            if not one.well:
                ill.append(one)
    finally:
        close()
    print("", *to_see_to(ill), sep="\n")
    print(f"{len(ill)} of these are to be seen to." if ill else "All is well.")
    return int(bool(ill))


def in_a_line(one: Finding) -> str:
    """Return what was found as one line; an ill thing begins with its code."""
    found = " ".join(one.found.split())
    if one.well:
        return f"ok  {one.what}: {found or one.stands}"
    cut = f"{found[:SHORT]}…" if len(found) > SHORT else found
    return f"!!  {one.what}: {one.stands}" + (f": {cut}" if cut else "")


def to_see_to(ill: list[Finding]) -> list[str]:
    """Return what is to be done; what is the same about several things is said once."""
    same: dict[tuple[str, str, str], list[str]] = {}
    for one in ill:
        same.setdefault((one.stands, one.found, one.remedy), []).append(one.what)
    lines = []
    for (stands, found, remedy), names in same.items():
        said = [f"    {line.strip()}" for line in found.splitlines() if line.strip()]
        lines += [f"{stands}: {'; '.join(names)}", *said, f"    What to do: {remedy}"]
    return lines
