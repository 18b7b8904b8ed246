"""What a person says about a run that was begun: give up a revision, the run, or the office."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from relkit.cli_options import Commands, command, person_options
from relkit.cli_run import folder_of, open_run

if TYPE_CHECKING:
    from relkit.run import Run


def declare(commands: Commands) -> None:
    """Declare the commands."""
    about = "take back a step and all that needs it"
    example = "relkit respin 3.15.0a1 --from commit-release --who NAME --reason 'a bad blurb'"
    one = command(commands, "respin", _respin, about, example)
    person_options(one)
    about = "the first step that is taken back"
    one.add_argument("--from", dest="step", required=True, metavar="STEP", help=about)
    one = command(commands, "abandon", _abandon, "take back everything and end the run")
    person_options(one)
    one.add_argument("--skip", action="store_true", help="the version is never made")
    one = command(commands, "hand-over", _hand_over, "make another one the release manager")
    person_options(one)
    about = "as the policy has it"
    one.add_argument("--to", required=True, metavar="NAME", help=about)


@contextmanager
def _begun(options: argparse.Namespace) -> Iterator[Run]:
    """Open a run that was begun; close it again, with its status page as it is then.

    Refuses to begin one.
    """
    from relkit import page
    from relkit.history import History

    History.read(folder_of(options))
    opened = open_run(options)
    opened.run.observe = lambda text: print(text, file=sys.stderr)
    try:
        yield opened.run
        page.write(opened.run, opened.run.ledger.path.with_name("status.html"))
    finally:
        opened.close()


def _respin(options: argparse.Namespace) -> int:
    with _begun(options) as run:
        revision = run.respin(options.step, options.who, options.role, options.reason)
        stays = run.respun[-1].stays
    print(f"Revision {revision} begins at {options.step}.")
    _print_stays(stays)
    return 0


def _abandon(options: argparse.Namespace) -> int:
    with _begun(options) as run:
        run.abandon(options.who, options.role, options.reason, skipped=options.skip)
        name, stays = run.release.name, run.respun[-1].stays
    print(f"{name} is abandoned{' and skipped' * options.skip}.")
    _print_stays(stays)
    return 0


def _print_stays(stays: Sequence[str]) -> None:
    if stays:
        print("This stays as it was done:", *(f"* {one}" for one in stays), sep="\n")


def _hand_over(options: argparse.Namespace) -> int:
    with _begun(options) as run:
        run.hand_over(options.to, options.who, options.role, options.reason)
    print(f"{options.to} is the release manager of this run now.")
    return 0
