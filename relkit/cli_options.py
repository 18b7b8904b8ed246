"""What the commands of the command line have in common: options, and the foot of each help."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

Commands = Any  # argparse gives its type no public name
DONE = "0 done, 1 refused or failed, 2 wrong usage"
CHECKED = "0 verified, 1 refused, 2 wrong usage, 3 incomplete, 4 cannot check"
WAITS = f"{DONE}, 75 waiting for somebody, 130 interrupted"


class Form(argparse.RawDescriptionHelpFormatter):
    """The form of a help: line ends of its foot stay, and no name of a command has its own line."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26)
        self._action_max_length = 14


def foot(statuses: str, *examples: str) -> str:
    """Return what stands below a help: exit statuses, each in a line, and examples."""
    told = ["exit statuses:", *statuses.split(", ")]
    told += ["\nfor example:", *examples] if examples else []
    return "\n".join(one if one.endswith(":") else f"  {one}" for one in told)


def command(
    commands: Commands,
    name: str,
    function: Callable[[argparse.Namespace], int],
    about: str,
    *examples: str,
    statuses: str = DONE,
) -> argparse.ArgumentParser:
    """Declare a command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=about,
        epilog=foot(statuses, *examples),
        formatter_class=Form,
    )
    parser.set_defaults(command=function)
    return parser


def record_options(parser: argparse.ArgumentParser) -> None:
    """Add those that name a record."""
    parser.add_argument("version", help="such as 3.15.0a1; of a transition the branch: 3.13")
    parser.add_argument("--kind", default="", help="the kind; it must fit the version")
    records(parser)


def records(parser: argparse.ArgumentParser) -> None:
    """Add the one that says where the records are."""
    about = "the folder of all records; records, if not given"
    parser.add_argument("--records", default="records", metavar="FOLDER", help=about)


def release_options(parser: argparse.ArgumentParser, world: str) -> None:
    """Add those that name a release which may be begun."""
    record_options(parser)
    about = "the release's date, ISO, UTC; else today"
    parser.add_argument("--date", default="", metavar="YYYY-MM-DD", help=about)
    about = f"the world's file; {world}, if not given"
    parser.add_argument("--world", default=world, metavar="FILE", help=about)


def person_options(parser: argparse.ArgumentParser) -> None:
    """Add those of what a person says about a run that was begun."""
    record_options(parser)
    world_option(parser)
    parser.add_argument("--role", default="release-manager", help="release-manager, if not given")
    who(parser)
    parser.add_argument("--reason", required=True, help="why, for the record")


def world_option(parser: argparse.ArgumentParser) -> None:
    """Add the one that says where a run's world is by now."""
    parser.add_argument("--world", default="", metavar="FILE", help="the world's, if it was moved")


def who(parser: argparse.ArgumentParser) -> None:
    """Add the one that says whose word it is."""
    about = "your name, as the policy has it"
    parser.add_argument("--who", required=True, metavar="NAME", help=about)
