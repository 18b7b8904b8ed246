"""The command line: thin; the notebooks are the product.

Exit statuses: 0 done or verified, 1 refused or failed, 2 wrong usage, 75 waiting for somebody,
130 interrupted, 141 nobody read what was said to its end; of `relkit verify` also 3 and 4.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import webbrowser
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from relkit import (
    cli_decide,
    cli_doctor,
    cli_export,
    cli_later,
    cli_run,
    cli_sbom,
    cli_verify,
    cli_verify_record,
    cli_verify_release,
)
from relkit.cli_options import (
    WAITS,
    Commands,
    Form,
    command,
    foot,
    record_options,
    records,
    release_options,
    who,
    world_option,
)
from relkit.cli_run import WAITING, folder_of, open_run
from relkit.errors import ReleaseError, UsageError
from relkit.plain import visible

INTERRUPTED = 130
CUT = 141
STATUSES = WAITS.replace(", 75", ", 3 incomplete (verify), 4 cannot check (verify), 75")


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
        print("Interrupted. Run this again: what is done is not done again.", file=sys.stderr)
        return INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    about = "CPython's releases (PEP 101): carry one through, decide at its gates, check it."
    parser = argparse.ArgumentParser(
        prog="relkit",
        description=about,
        epilog=foot(f"{STATUSES}, 141 nobody read to the end"),
        formatter_class=Form,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _running(commands)
    cli_decide.declare(commands)
    one = command(
        *(commands, "testify", _testify, "give the evidence a message asks for"),
        "relkit testify messages/NAME.json TEXT --role macos-expert --who NAME",
    )
    one.add_argument("message", type=Path, help="the message's file")
    one.add_argument("text", help="in the form that is asked for")
    one.add_argument("--role", required=True, help="the one the message asks")
    who(one)
    about = "close a complete record"
    one = command(commands, "seal", _seal, about, "relkit seal 3.15.0a1")
    record_options(one)
    world_option(one)
    cli_later.declare(commands)
    one = command(commands, "serve", _serve, "show the rehearsal's website in a browser")
    records(one)
    one.add_argument("--quiet", action="store_true", help="print the address, open no browser")
    about = "write the notebooks and docs/coverage.md"
    statuses = "0 written or up to date, 1 not up to date (--check), 2 wrong usage"
    one = command(commands, "render", _render, about, statuses=statuses)
    one.add_argument("--check", action="store_true", help="only say which are not up to date")
    for module in (cli_export, cli_sbom):
        module.declare(commands)
    about = "check what was published, or a record, without trusting who made it"
    one = commands.add_parser(
        "verify", help=about, description=about, epilog="relkit verify WHAT --help says more."
    )
    checks = one.add_subparsers(required=True, metavar="WHAT")
    for check in (cli_verify, cli_verify_record, cli_verify_release):
        check.declare(checks)
    return parser


def _running(commands: Commands) -> None:
    """Declare what carries a release through, and what tells how it stands."""
    about = "a whole release in a local world"
    example = "relkit rehearse 3.15.0a1 --date 2026-05-05"
    one = command(commands, "rehearse", _rehearse, about, example, statuses=WAITS)
    repo = "a clone of CPython; else a small sample tree"
    one.add_argument("--repo", default="", metavar="FOLDER", help=repo)
    release_options(one, "worlds/rehearsal.toml")
    picks = "commits to pick onto the last candidate"
    one.add_argument("--picks", default="", metavar="COMMITS", help=picks)
    about = "every step that is ready, in batch"
    example = "relkit run 3.15.0a1 --world worlds/cpython.toml --wait 2h"
    one = command(commands, "run", _run, about, example, statuses=WAITS)
    release_options(one, "worlds/practice.toml")
    one.add_argument("--picks", default="", metavar="COMMITS", help=picks)
    one.add_argument(
        "--wait",
        default="",
        metavar="DURATION",
        help="wait so long for builds and people: 2h, 1h30m; 0: look once; "
        "else as long at each step as the world is patient",
    )
    cli_doctor.declare(commands)
    statuses = "0 complete, 1 abandoned or refused, 2 wrong usage, 75 not complete"
    one = command(commands, "status", _status, "how a release stands", statuses=statuses)
    record_options(one)


def _rehearse(options: argparse.Namespace) -> int:
    """Make the world, run the notebook to its end, seal the record, say where everything is."""
    from relkit.rehearsal.report import report

    status = cli_run.run(options)
    if status == 0:
        print(report(folder_of(options)))
    return status


def _run(options: argparse.Namespace) -> int:
    status = cli_run.run(options)
    if status == 0:
        print(f"Complete, and sealed. Read {folder_of(options) / 'release.html'}")
    return status


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
