"""The command line: thin; the notebooks are the product.

Exit statuses: 0 done or verified, 1 refused or failed, 2 wrong usage, 75 waiting for somebody,
130 interrupted, 141 nobody read what was said to its end.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relkit import (
    cli_decide,
    cli_doctor,
    cli_export,
    cli_sbom,
    cli_verify,
    cli_verify_record,
    cli_verify_release,
)
from relkit.errors import ReleaseError

if TYPE_CHECKING:
    from relkit.opening import Opened
    from relkit.run import Run

WAITING = 75
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
        print(error, f"What to do: {error.remedy}", sep="\n", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:  # who reads has seen enough; nothing more can be said to them
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CUT
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
    one = _command(commands, "run", _run, "every step that is ready, in batch")
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
    parser = commands.add_parser(name, help=about, description=about)
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

    status = _run(options)
    if status == 0:
        print(report(_folder(options)))
    return status


def _open(options: argparse.Namespace) -> Opened:
    from relkit.opening import open_release

    return open_release(
        options.version,
        options.kind,
        getattr(options, "date", ""),
        options.world,
        options.records,
        getattr(options, "repo", ""),
        getattr(options, "picks", ""),
    )


@contextmanager
def _begun(options: argparse.Namespace) -> Iterator[Run]:
    """Open a run that was begun; close it again, with its status page as it is then.

    Refuses to begin one.
    """
    from relkit import page
    from relkit.history import History

    History.read(_folder(options))
    opened = _open(options)
    opened.run.observe = lambda text: print(text, file=sys.stderr)
    try:
        yield opened.run
        page.write(opened.run, opened.run.ledger.path.with_name("status.html"))
    finally:
        opened.close()


def _run(options: argparse.Namespace) -> int:
    """Attempt all steps; where they wait for others, wait as long as was asked for, and go on."""
    from relkit import awaiting, seal

    limit = getattr(options, "wait", "")
    until = time.monotonic() + awaiting.duration(limit) if limit else None
    status = _attempt(options, until)
    while status == WAITING and until is not None and time.monotonic() < until:
        print(f"Waiting until {_clock_in(until)}; looking at most every minute.", file=sys.stderr)
        if not awaiting.wait(lambda: _held_up(options), until):
            break
        status = _attempt(options, until)
    if status == 0:
        with closing(_open(options)) as opened:
            seal.close(_folder(options), opened.run.world)
    elif status == WAITING:
        print(_awaited(options), file=sys.stderr)
    return status


def _attempt(options: argparse.Namespace, until: float | None) -> int:
    """Open the run once here, so that what is wrong is refused before a notebook is started."""
    from relkit import awaiting, batch, render
    from relkit.environment import environment
    from relkit.history import History

    folder = _folder(options)
    if (folder / "ledger.head").exists():
        History.read(folder).require_going()
    _open(options).close()
    history = History.read(folder)
    names = ["version", "kind", "date", "world", "records", *(["picks"] if options.picks else [])]
    given = {name: getattr(options, name) for name in names}
    target = batch.next_attempt(folder, "run")
    source = render.notebook(history.release.kind)
    patience = {} if until is None else {"RELKIT_PATIENCE": awaiting.patience(until)}
    with environment(**patience):
        status = batch.execute(source, target, given, progress=sys.stderr.isatty())
    if status:
        print(_why(target), file=sys.stderr)
    return status


def _held_up(options: argparse.Namespace) -> bool:
    from relkit import awaiting

    with closing(_open(options)) as opened:
        return awaiting.held_up(opened.run)


def _awaited(options: argparse.Namespace) -> str:
    """Return the table of all that is awaited; what is there by now is not, if we can look."""
    from relkit import awaiting
    from relkit.errors import RecordError
    from relkit.history import History

    try:
        with closing(_open(options)) as opened:
            return awaiting.awaited(opened.run).text
    except RecordError:  # somebody else has opened the run meanwhile
        return awaiting.awaited(History.read(_folder(options))).text


def _clock_in(until: float) -> str:
    end = datetime.now(UTC) + timedelta(seconds=until - time.monotonic())
    return f"{end:%Y-%m-%d %H:%M} UTC"


def _why(attempt: Path) -> str:
    """Return why an attempt stopped, and where it can be read."""
    import nbformat

    mark = nbformat.read(attempt, as_version=4).metadata.get("relkit", {})
    lines = [f"{mark.get('status')} at {mark.get('cell')}: {mark.get('why')}", mark.get("remedy")]
    return "\n".join(filter(None, [*lines, f"Read {attempt}"]))


def _folder(options: argparse.Namespace) -> Path:
    from relkit.opening import record_folder

    return record_folder(options.version, options.records, options.kind)


def _status(options: argparse.Namespace) -> int:
    from relkit import awaiting, flags, view
    from relkit.history import History

    history = History.read(_folder(options))
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

    folder = _folder(options)
    if world_is_there(folder, options.world):
        recorded = History.read(folder).inputs  # the folder's own name may have been given
        about = {"version": recorded.version, "kind": recorded.kind}
        with closing(_open(argparse.Namespace(**vars(options) | about))) as opened:
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
