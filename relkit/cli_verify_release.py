"""``relkit verify release``: what is public of a release now, against what was published then.

Exit statuses: 0 all stands as it was; 1 refused: something was added, changed or removed, or is
wrong; 2 wrong usage; 3 incomplete: no manifest was compared; 4 cannot check: something could not be
read now, or what it takes to verify it was not given.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from relkit import cli_release_given
from relkit.cli_options import command
from relkit.errors import CheckError, RecordError, ReleaseError, WorldError
from relkit.plain import visible

if TYPE_CHECKING:
    from relkit.verify_release import Given, Report

STATUSES = (
    "0 all stands as it was, 1 refused, 2 wrong usage, 3 incomplete: no manifest was compared, "
    "4 cannot check: something could not be read or was not given"
)
REFUSED, CANNOT_CHECK = 1, 4
LONGEST_SECONDS = 7 * 24 * 3600
GRACE_SECONDS = 120.0
"""After the deadline: until a connection that says nothing has timed out, and all is told."""
PAUSE_SECONDS = 0.2
FORM = 1
"""Of the JSON: a new number where a name in it goes or comes to mean something else."""


def declare(commands: Any) -> None:  # noqa: ANN401 (argparse gives its type no public name)
    """Declare the command below ``relkit verify``."""
    about = "what is public of a release, against its manifest; needs no account"
    parser = command(
        *(commands, "release", run, about),
        "relkit verify release 3.15.0a1 --record records/3.15.0a1 \\",
        "  --policy sha256:… --trust-root sha256:…",
        "relkit verify release 3.15.0a1 --manifest manifest.json \\",
        "  --trust-root production --key FINGERPRINT --keys key.asc",
        statuses=STATUSES,
    )
    cli_release_given.options(parser)


def run(options: argparse.Namespace) -> int:
    """Look at everything, and say how it stands."""
    if not 1 <= options.jobs <= 8 or not 0 < options.deadline <= LONGEST_SECONDS:  # noqa: PLR2004 (few, out of courtesy)
        why = f"--jobs {options.jobs} --deadline {options.deadline:g} cannot be"
        raise cli_release_given.usage(
            "BAD_OPTION", why, "Give 1 to 8 jobs, and some seconds, at most a week."
        )
    from relkit.verify_release.words import words

    try:
        report = _report(options)
    except (CheckError, RecordError, WorldError) as error:
        return _stopped(error, as_json=options.json)
    if options.json:
        found = {"form": FORM} | asdict(report) | {"verdict": report.words}
        print(json.dumps(found, indent=1))
    else:
        print(words(report))
    return report.status


def _report(options: argparse.Namespace) -> Report:
    from relkit.adapters import stranger
    from relkit.release import Version
    from relkit.verify_release import Sites, verify_release

    given = cli_release_given.given_by(Version.parse(options.version), options)
    with _ending(options), _progress(given) as told:
        sites = Sites(
            site=options.site,
            docs=options.docs,
            upstream=options.upstream,
            jobs=options.jobs,
            per_second=stranger.PER_SECOND,
            seconds=options.deadline,
            told=told,
        )
        return verify_release(given, sites)


@contextmanager
def _ending(options: argparse.Namespace) -> Iterator[None]:
    """End the process where a server keeps a connection alive past every other limit."""

    def end() -> None:
        error = WorldError(
            f"not done {GRACE_SECONDS:.0f} seconds after the deadline: a server does not end",
            code="DEADLINE",
            remedy="Run it again, and ask whoever runs the site.",
        )
        status = _stopped(error, as_json=options.json)
        sys.stdout.flush()
        os._exit(status)

    timer = threading.Timer(options.deadline + GRACE_SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _stopped(error: ReleaseError, *, as_json: bool) -> int:
    """Say why nothing was compared: what to compare with is refused, or nothing can be read."""
    status = CANNOT_CHECK if isinstance(error, WorldError) else REFUSED
    verdict = "CANNOT CHECK" if status == CANNOT_CHECK else "REFUSED"
    outcome = "cannot check" if status == CANNOT_CHECK else "REFUSED"
    if as_json:
        line = {"name": "release", "outcome": outcome, "code": error.code, "text": str(error)}
        rest = {"verdict": verdict, "lines": [line], "changes": []}
        found = {"form": FORM, "status": status, **rest}
        print(json.dumps(found, indent=1))
    else:
        print(visible(f"{verdict}: {error}\nWhat to do: {error.remedy}"), file=sys.stderr)
    return status


# --- what is shown --------------------------------------------------------------------------------


@contextmanager
def _progress(given: Given) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how much has come, of how much, and nowhere else."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    whole = sum(one.size for one in given.manifest.files) if given.manifest else 0
    done, last = 0, 0.0

    def told(more: int) -> None:
        nonlocal done, last
        done += more
        now = time.monotonic()
        if now - last < PAUSE_SECONDS:
            return
        last = now
        share = f"{min(99, done * 100 // whole):3} %, " if whole else ""
        of = f" of {whole / 1e6:.0f}" if whole else ""
        with suppress(OSError):  # the terminal is gone, the work goes on
            print(f"\r{share}{done / 1e6:.0f}{of} MB\033[K", end="", file=sys.stderr, flush=True)

    try:
        yield told
    finally:
        with suppress(OSError):
            print("\r\033[K", end="", file=sys.stderr, flush=True)
