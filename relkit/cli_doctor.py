"""`relkit doctor`: the day before, whether everything a release needs is there and answers."""

from __future__ import annotations

import argparse
from typing import Any


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
            print(
                f"{'ok' if one.well else '!!'}  {one.what}: {one.found or one.stands}", flush=True
            )
            if not one.well:
                ill.append(one)
    finally:
        close()
    print()
    for one in ill:
        print(f"{one.stands}: {one.what}\n    {one.found}\n    What to do: {one.remedy}")
    print(f"{len(ill)} things to see to." if ill else "All is well.")
    return int(bool(ill))
