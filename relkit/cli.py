"""The command line: thin; the notebooks are the product.

Exit statuses: 0 done or verified, 1 refused or failed, 2 wrong usage, 75 waiting for somebody,
130 interrupted, 141 nobody read what was said to its end.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relkit import (
    cli_decide,
    cli_doctor,
    cli_export,
    cli_run,
    cli_sbom,
    cli_verify,
    cli_verify_record,
    cli_verify_release,
)
from relkit.cli_run import WAITING, folder_of, open_run
from relkit.errors import ReleaseError, UsageError
from relkit.plain import visible

if TYPE_CHECKING:
    from relkit.run import Run

INTERRUPTED = 130
CUT = 141
Commands = Any  # argparse gives its type no public name


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
        sys.stdout.flush()
    except ReleaseError as error:
        print(visible(f"{error}\nWhat to do: {error.remedy}"), file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:  # who reads has seen enough; nothing more can be said to them
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CUT
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        print(f"BAD_PATH: {str(error.filename)[:80]!a} begins what no path can be", file=sys.stderr)
        return UsageError.exit_status
    except KeyboardInterrupt:
        print("Interrupted. Run this again: it goes on where it stood.", file=sys.stderr)
        return INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="relkit", description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = _command(commands, "rehearse", _rehearse, "a whole release in a local world")
    one.add_argument("--repo", default="", help="a CPython repository; else a small sample tree")
    _release_options(one, "worlds/rehearsal.toml")
    one.add_argument("--picks", default="", help="commits to pick onto the last candidate")
    one = _command(commands, "run", cli_run.run, "every step that is ready, in batch")
    _release_options(one, "worlds/practice.toml")
    one.add_argument("--picks", default="", help="commits to pick onto the last candidate")
    one.add_argument(
        "--wait",
        default="",
        metavar="DURATION",
        help="wait so long for builds and people: 2h, 1h30m; 0: look once; "
        "else as long at each step as the world is patient",
    )
    one = _command(commands, "status", _status, "how a release stands")
    _record_options(one)
    cli_decide.declare(commands)
    one = _command(commands, "testify", _testify, "give the evidence a message asks for")
    one.add_argument("message", type=Path, help="the message's file")
    one.add_argument("text", help="in the form that is asked for")
    one.add_argument("--role", required=True)
    one.add_argument("--who", required=True, help="your name, as the policy has it")
    one = _command(commands, "seal", _seal, "close a complete record")
    _record_options(one)
    one.add_argument("--world", default="", help="the world's file, if it was moved")
    _later(commands)
    one = _command(commands, "serve", _serve, "show the rehearsal's website in a browser")
    one.add_argument("--records", default="records")
    one.add_argument("--quiet", action="store_true", help="print the address, open no browser")
    one = _command(commands, "render", _render, "write the notebooks and docs/coverage.md")
    one.add_argument("--check", action="store_true", help="only say which are not up to date")
    for module in (cli_doctor, cli_export, cli_sbom):
        module.declare(commands)
    about = "check what was published, or a record, without trusting who made it"
    one = commands.add_parser("verify", help=about, description=about)
    checks = one.add_subparsers(required=True, metavar="WHAT")
    for check in (cli_verify, cli_verify_record, cli_verify_release):
        check.declare(checks)
    return parser


def _later(commands: Commands) -> None:
    """Declare what a person says about a run that was begun."""
    one = _command(commands, "respin", _respin, "take back a step and all that needs it")
    _person_options(one)
    one.add_argument("--from", dest="step", required=True, metavar="STEP")
    one = _command(commands, "abandon", _abandon, "take back everything and end the run")
    _person_options(one)
    one.add_argument("--skip", action="store_true", help="the version is never made")
    one = _command(commands, "hand-over", _hand_over, "make another one the release manager")
    _person_options(one)
    one.add_argument("--to", required=True, metavar="NAME")


def _command(
    commands: Commands, name: str, function: Callable[[argparse.Namespace], int], about: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(command=function)
    return parser


def _record_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("version", help="such as 3.15.0a1; of a transition the branch: 3.13")
    parser.add_argument("--kind", default="", help="the kind; it must fit the version")
    parser.add_argument("--records", default="records", help="the folder of the records")


def _release_options(parser: argparse.ArgumentParser, world: str) -> None:
    _record_options(parser)
    parser.add_argument("--date", default="", help="the release's date, ISO, UTC; else today")
    parser.add_argument("--world", default=world, help="the world's file")


def _person_options(parser: argparse.ArgumentParser) -> None:
    _record_options(parser)
    parser.add_argument("--world", default="", help="the world's file, if it was moved")
    parser.add_argument("--role", default="release-manager")
    parser.add_argument("--who", required=True, help="your name, as the policy has it")
    parser.add_argument("--reason", required=True)


def _rehearse(options: argparse.Namespace) -> int:
    """Make the world, run the notebook to its end, seal the record, say where everything is."""
    from relkit.rehearsal.report import report

    status = cli_run.run(options)
    if status == 0:
        print(report(folder_of(options)))
    return status


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


def _status(options: argparse.Namespace) -> int:
    from relkit import awaiting, flags, view
    from relkit.history import History

    history = History.read(folder_of(options))
    parts = [view.opened(history), flags.flags(history), view.status(history)]
    parts.append(awaiting.awaited(history))
    print(view.View.of(parts).text)
    if history.abandoned is not None:
        return 1
    return 0 if history.complete else WAITING


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


def _testify(options: argparse.Namespace) -> int:
    if (options.message.absolute().parent.parent / ".git").exists():  # a clone of where people meet
        from relkit.adapters.meeting_place import testify_in_clone
        from relkit.cli_decide import to_push

        given = testify_in_clone(options.message, options.who, options.role, options.text)
        print("It counts once it is pushed:", *to_push(given), sep="\n  ")
        return 0
    from relkit.rehearsal.deeds import testify

    testify(options.message, options.who, options.role, options.text)
    print(f"The evidence by {options.who} ({options.role}) is on its way.")
    return 0


def _seal(options: argparse.Namespace) -> int:
    """Seal a record, and sign it where the world of its run is; elsewhere say that it is not."""
    from relkit import seal
    from relkit.history import History
    from relkit.opening import world_is_there
    from relkit.rehearsal.report import verifying

    folder = folder_of(options)
    if world_is_there(folder, options.world):
        recorded = History.read(folder).inputs  # the folder's own name may have been given
        about = {"version": recorded.version, "kind": recorded.kind}
        with closing(open_run(argparse.Namespace(**vars(options) | about))) as opened:
            sealed = seal.close(folder, opened.run.world)
    else:
        sealed = seal.seal(folder)
    print(f"Sealed {len(sealed.files)} files at record head {sealed.ledger_head}.")
    signers = [f"{one.scheme}: {one.key}" for one in sealed.signed_by]
    print(f"Signed by {', '.join(signers)}." if signers else "Not signed: its world is not here.")
    print(f"Read {folder / seal.PAGE}; how a stranger checks it is in {seal.GUIDE}. With relkit:")
    print(*verifying(folder, History.read(folder)), sep="\n")
    return 0


def _serve(options: argparse.Namespace) -> int:
    from relkit.opening import project_folder
    from relkit.rehearsal.world import serve

    with serve(project_folder() / options.records) as address:
        try:
            print(f"The rehearsal's website is at {address}; end with Ctrl-C.", flush=True)
            if not options.quiet:
                webbrowser.open(address)
            input()
        except (EOFError, KeyboardInterrupt):
            return 0
    return 0


def _render(options: argparse.Namespace) -> int:
    from relkit import coverage
    from relkit.opening import project_folder
    from relkit.render import render

    changed = render(project_folder() / "notebooks", check=options.check)
    page = project_folder() / "docs" / "coverage.md"
    if page.parent.is_dir() and (not page.exists() or page.read_text("utf-8") != coverage.text()):
        changed.append(page)
        if not options.check:
            page.write_text(coverage.text(), encoding="utf-8")
    for path in changed:
        print(f"{path.name} {'is not up to date' if options.check else 'written'}")
    return int(bool(changed) and options.check)
