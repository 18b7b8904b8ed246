"""``relkit verify release``: what is public of a release now, against what was published then.

Exit statuses: 0 all stands as it was; 1 refused: something was added, changed or removed, or is
wrong; 2 wrong usage; 3 incomplete: no manifest was compared; 4 cannot check: something could not be
read now, or what it takes to verify it was not given.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relkit.errors import CheckError, RecordError, ReleaseError, UsageError, WorldError
from relkit.plain import visible

if TYPE_CHECKING:
    from relkit.release import Version
    from relkit.verify_release import Change, Given, Report

STATUSES = (
    "Exit status: 0 all stands as it was, 1 refused, 2 wrong usage, 3 incomplete (no manifest was "
    "compared), 4 cannot check (something could not be read, or was not given)."
)
WHAT_TO_DO = {
    1: "Do not use what is refused. Ask the release manager, and show this output; if files were "
    "added by an amendment, give that as well.",
    3: "Give the release's record (--record) or its manifest (--manifest): without one nobody can "
    "tell whether the site says what was released.",
    4: "Run it again for what could not be read. Give what is lacking from elsewhere than the "
    "record: --policy, --trust-root, --keys.",
}
"""By exit status."""
REFUSED, CANNOT_CHECK = 1, 4
LARGEST = 1 << 20  # bytes of a trust root, or of keys
BY_DIGEST, PRODUCTION = "sha256:", "production"
SHOWN, EACH = 40, 3
"""How many changes are shown, and how many things of which the same is to be said."""
PAUSE_SECONDS = 0.2


def declare(commands: Any) -> None:  # noqa: ANN401 (argparse gives its type no public name)
    """Declare the command below ``relkit verify``."""
    about = "what is public of a release, against its manifest; needs no account"
    parser = commands.add_parser("release", help=about, description=about, epilog=STATUSES)
    parser.set_defaults(command=run)
    parser.add_argument("version", help="such as 3.15.0a1")
    _compared(parser)
    _trusted(parser)
    _looked_at(parser)
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def _compared(parser: argparse.ArgumentParser) -> None:
    one = parser.add_argument_group("what it is held against (the record in ./records, if there)")
    one.add_argument(
        "--record",
        action="append",
        type=Path,
        metavar="DIR",
        help="the sealed record of the release; again: that of its amendment",
    )
    one.add_argument(
        "--manifest",
        action="append",
        type=Path,
        metavar="FILE",
        help="or its manifest, which you then vouch for; again: its amendment",
    )


def _trusted(parser: argparse.ArgumentParser) -> None:
    one = parser.add_argument_group("whom you trust")
    one.add_argument("--policy", metavar="SHA256", help="of the policy that you trust")
    one.add_argument(
        "--trust-root",
        metavar="FILE|sha256:DIGEST|production",
        help="Sigstore's trusted root; the digest the record's own must have; or the one that "
        "comes with the sigstore package",
    )
    one.add_argument("--identity", default="", help="who must have signed with Sigstore, exactly")
    one.add_argument("--issuer", default="", help="and who vouches for that identity")
    one.add_argument("--key", default="", metavar="FINGERPRINT", help="full, of the GPG key")
    one.add_argument("--keys", type=Path, metavar="FILE", help="with that public key, armored")


def _looked_at(parser: argparse.ArgumentParser) -> None:
    one = parser.add_argument_group("where it looks, and how quickly")
    one.add_argument("--site", default="https://www.python.org/", metavar="URL")
    one.add_argument("--docs", default="https://docs.python.org/", metavar="URL")
    one.add_argument(
        "--upstream", default="https://github.com/python/cpython.git", metavar="URL|DIR"
    )
    one.add_argument("--jobs", type=int, default=4, metavar="N", help="downloads at a time")
    one.add_argument(
        "--deadline", type=float, default=3600, metavar="SECONDS", help="for everything"
    )


def run(options: argparse.Namespace) -> int:
    """Look at everything, and say how it stands."""
    if not 1 <= options.jobs <= 8 or options.deadline <= 0:  # noqa: PLR2004 (few, out of courtesy)
        raise UsageError(
            f"--jobs {options.jobs} --deadline {options.deadline:g} cannot be",
            code="BAD_OPTION",
            remedy="Give 1 to 8 jobs, and some seconds.",
        )
    try:
        report = _report(options)
    except (CheckError, RecordError, WorldError) as error:
        return _stopped(error, as_json=options.json)
    if options.json:
        print(json.dumps(asdict(report) | {"verdict": report.words}, indent=1))
    else:
        _say(report)
    return report.status


def _report(options: argparse.Namespace) -> Report:
    from relkit.adapters import stranger
    from relkit.release import Version
    from relkit.verify_release import Sites, verify_release

    given = _given(Version.parse(options.version), options)
    with _progress(given) as told:
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


def _stopped(error: ReleaseError, *, as_json: bool) -> int:
    """Say why nothing was compared: what to compare with is refused, or nothing can be read."""
    status = CANNOT_CHECK if isinstance(error, WorldError) else REFUSED
    verdict = "CANNOT CHECK" if status == CANNOT_CHECK else "REFUSED"
    outcome = "cannot check" if status == CANNOT_CHECK else "REFUSED"
    if as_json:
        line = {"name": "release", "outcome": outcome, "code": error.code, "text": str(error)}
        found = {"status": status, "verdict": verdict, "lines": [line], "changes": []}
        print(json.dumps(found, indent=1))
    else:
        print(visible(f"{verdict}: {error}\nWhat to do: {error.remedy}"), file=sys.stderr)
    return status


def _given(version: Version, options: argparse.Namespace) -> Given:
    from relkit.verify_release import from_files, from_record, nothing_given
    from relkit.verify_release.given import Named

    if options.record and options.manifest:
        raise _usage("BAD_OPTION", "a record and a manifest were given", "Give one of them.")
    if bool(options.identity) != bool(options.issuer):
        raise _usage(
            "BAD_OPTION",
            "an identity is one only together with who vouches for it",
            "Give --identity and --issuer.",
        )
    named = Named(options.identity, options.issuer, options.key.replace(" ", "").upper())
    if named.key and (len(named.key) != 40 or not named.key.isalnum()):  # noqa: PLR2004 (hexadecimal digits)
        raise _usage(
            "BAD_OPTION", f"{options.key[:60]!r} is no full fingerprint", "Give all of it."
        )
    keys = _bytes(options.keys) if options.keys else b""
    policy = options.policy.removeprefix(BY_DIGEST) if options.policy else None
    root = _trust_root(options.trust_root)
    if options.manifest:
        paths = options.manifest
        return from_files(version, paths, named=named, policy_sha256=policy, root=root, keys=keys)
    if records := options.record or _records(version):
        return from_record(
            version, records, named=named, policy_sha256=policy, root=root, keys=keys
        )
    return nothing_given(version, named, root, keys)


def _records(version: Version) -> list[Path]:
    """Return the records that lie where relkit puts them: the release's, then its amendment's."""
    found = [Path("records") / f"{version}{end}" for end in ("", "-amendment")]
    return [path for path in found if (path / "SHA256SUMS").is_file()]


def _trust_root(given: str | None) -> bytes | str | None:
    if given is None or given.startswith(BY_DIGEST):
        return given
    if given == PRODUCTION:
        from relkit.adapters.sigstore_root import production_root

        return production_root()
    return _bytes(Path(given))


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST)
    except OSError as error:
        raise _usage(
            "TRUST_UNREADABLE",
            f"{path.name} cannot be read: {error.strerror}",
            "Give a file with the trust root, or the keys, that you trust.",
        ) from error


def _usage(code: str, why: str, remedy: str) -> UsageError:
    return UsageError(why, code=code, remedy=remedy)


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


def _say(report: Report) -> None:
    print(f"Python {report.version}, looked at {report.time}")
    print(f"held against {report.against}\n")
    print(f"{'what':14} {'stands':13} {'since':11} found")
    for line in report.lines:
        code = f"{line.code}: " if line.code else ""
        print(f"{line.name:14} {line.outcome:13} {line.since:11} {code}{line.text}")
    _say_changes(report)
    for title, texts in (
        ("Worth knowing", report.notes),
        ("Taken on your word", report.trusted),
        ("Not looked at", report.unchecked),
    ):
        if texts:
            print(f"\n{title}:", *(f"  {one}" for one in texts), sep="\n")
    print(f"\n{report.words}")
    if report.status in WHAT_TO_DO:
        print(f"What to do: {WHAT_TO_DO[report.status]}")


def _say_changes(report: Report) -> None:
    """Say what is not as it was; what is said already by a line alone is left out."""
    alone = Counter(one.line for one in report.changes)
    told = [one for one in report.changes if one.what or alone[one.line] > 1]
    alike: dict[tuple[str, ...], list[Change]] = defaultdict(list)
    for one in told:
        alike[one.line, one.how, one.code, one.text].append(one)
    if told:
        print("\nNot as it was, or not known:")
    for (_, how, code, text), these in list(alike.items())[:SHOWN]:
        print(f"  {how:9} {code:20} {these[0].what}".rstrip())
        for more in these[1:EACH]:
            print(f"{'':33}{more.what}")
        rest = f", and {len(these) - EACH} more" if len(these) > EACH else ""
        print(f"      {text}{rest}")
    if (left := len(alike) - SHOWN) > 0:
        print(f"  and {left} more; --json has them")
