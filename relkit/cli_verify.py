"""``relkit verify source``: what anybody can check of source archives, with a clone alone.

Exit statuses: 0 verified at the level asked for; 1 refused; 2 wrong usage; 3 incomplete: something
asked for could not be compared; 4 cannot check: a tool, a repository or a blurb is missing.

PAYLOAD is the level by default: it says of everything that is unpacked what it should be, in
seconds, and depends on no compressor. Archives made before the recipe of late 2023 are not
reproducible so far: of them CONTENT can be verified, by asking for it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relkit.cli_options import CHECKED, command
from relkit.errors import CheckError, ReleaseError, UsageError, WorldError

if TYPE_CHECKING:
    from relkit.building.verify import Asked, Verified
    from relkit.release import Version

VERIFIED, REFUSED, WRONG_USAGE, INCOMPLETE, CANNOT_CHECK = range(5)
CANNOT = {"BLURB_MISSING", "TOOL_DRIFT"}
"""Refusals of this machine, not of what it was to check."""
SHOWN = 20
NOT_CHECKED = (
    "the signature of the tag, and whether the tag was ever moved",
    "the signatures of the archives, their SBOMs, and any other file of the release",
    "whether the source does what it should: who wrote what was tagged",
    "SHA-1, by which git names what was tagged",
)


def declare(commands: Any) -> None:  # noqa: ANN401 (argparse gives its type no public name)
    """Declare the command below ``relkit verify``."""
    about = "source archives against the tag they were made from"
    example = "relkit verify source Python-3.15.0a1.tgz --repo cpython --tag v3.15.0a1"
    parser = command(commands, "source", run, about, example, statuses=CHECKED)
    parser.add_argument("archive", type=Path, help="a .tgz or .tar.xz, as it was published")
    parser.add_argument("other", type=Path, nargs="?", help="the other archive of the release")
    parser.add_argument(
        "--repo", required=True, type=Path, metavar="FOLDER", help="a clone of CPython"
    )
    parser.add_argument("--tag", required=True, help="such as v3.15.0a1")
    parser.add_argument(
        "--level",
        choices=["content", "payload", "bitwise"],
        default="payload",
        help="how far to go: every file (content); the tar made again (payload, the default); "
        "the files compressed again (bitwise, about a minute)",
    )
    parser.add_argument("--tar", choices=["1.34", "1.35"], default="", help="else both are tried")
    parser.add_argument("--blurb", default="", help="version; else each that is installed")
    parser.add_argument(
        "--statement", type=Path, metavar="FILE", help="write what was found here, to be signed"
    )


def run(options: argparse.Namespace) -> int:
    """Verify, and say what was found at each level."""
    from relkit.building.objects import Objects
    from relkit.building.verify import verify
    from relkit.cli_export import bar

    try:
        with tempfile.TemporaryDirectory(prefix="relkit-verify-") as scratch, bar() as progress:
            asked = _asked(options, Path(scratch))
            found = verify(Objects(options.repo, Path(scratch)), asked, progress)
    except (CheckError, WorldError) as error:
        return _stopped(error)
    except OSError as error:
        print(f"CANNOT CHECK: {error}", file=sys.stderr)
        return CANNOT_CHECK
    _say(found)
    return _ended(options, found)


def _asked(options: argparse.Namespace, scratch: Path) -> Asked:
    """Read what is asked for; refuse what cannot be, before anything is opened."""
    from relkit.building.source import TOOLS, blurb_command
    from relkit.building.verify import Asked
    from relkit.release import Version

    archives = tuple(filter(None, (options.archive, options.other)))
    missing = next((path for path in archives if not path.is_file()), None)
    if missing is not None or len({path.name for path in archives}) != len(archives):
        raise UsageError(
            f"{missing} is no file" if missing else "both archives have one name",
            code="NO_ARCHIVE",
            remedy="Give one or both of the source archives of the release.",
        )
    if options.statement is not None and options.statement.exists():
        raise UsageError(
            f"{options.statement} is there already",
            code="WOULD_OVERWRITE",
            remedy="Give a new file: nobody shall take an old statement for this one.",
        )
    version = Version.parse(options.tag.removeprefix("v"))
    blurbs = _blurbs(TOOLS, version, options.blurb)
    if options.blurb:
        blurb_command(blurbs[0])
    return Asked(
        f"v{version}", version, archives, options.level, options.tar, blurbs, scratch / "work"
    )


def _blurbs(tools: Path, version: Version, given: str) -> tuple[Path, ...]:
    """Return the folders of installed blurbs, the one that the version needs first."""
    from relkit.adapters.edit_news import blurb_for
    from relkit.building.source import BLURB_FOLDER

    if given:
        return (tools / f"blurb-{given}",)
    there = [path for path in sorted(tools.glob("blurb-*")) if BLURB_FOLDER.fullmatch(path.name)]
    known = f"blurb-{blurb_for(str(version))}"
    return tuple(sorted(there, key=lambda path: path.name != known))


def _stopped(error: ReleaseError) -> int:
    """Say why nothing was compared to the end."""
    cannot = isinstance(error, WorldError) or error.code in CANNOT
    print(
        f"{'CANNOT CHECK' if cannot else 'REFUSED'}: {error}",
        f"What to do: {error.remedy}",
        sep="\n",
        file=sys.stderr,
    )
    return CANNOT_CHECK if cannot else REFUSED


def _say(found: Verified) -> None:
    """Print what was compared, a line a level, what is allowed to differ, and what is open."""
    tag = found.tag
    kind = f"annotated, object {tag.object}" if tag.annotated else "lightweight: nobody's word"
    print(f"{tag.name}: commit {tag.commit}, {kind}")
    if tag.annotated:
        signed = "with a signature" if tag.signed else "without a signature"
        print(f"  tagger, as the tag says, not verified: {tag.tagger} ({signed})")
    for file in found.files:
        print(f"{file.name}: {file.size:,} bytes, SHA-256 {file.sha256}")
    print()
    for one in found.outcomes:
        print(f"{one.level.upper():8} {one.verdict:12} {one.how}")
    _say_differences(found)
    print("\nNot checked:", *(f"  {one}" for one in NOT_CHECKED), sep="\n")


def _say_differences(found: Verified) -> None:
    report = found.report
    print("\nAllowed to differ:")
    for removal, count in found.left_out:
        print(f"  {removal.path}: {_files(count)} left out ({removal.reason})")
    if report.by_eol:
        print(f"  line ends: {_files(report.by_eol)} (.gitattributes of the tag asks for CRLF)")
    for path in report.generated:
        print(f"  {path}: made of Misc/NEWS.d by blurb {found.blurb or '(none that fits)'}")
    if found.odd:
        print("Named, and no part of CONTENT:", *(f"  {one}" for one in found.odd), sep="\n")
    if report.unexplained:
        print(f"Not explained: {len(report.unexplained)}")
        for one in report.unexplained[:SHOWN]:
            print(f"  {ascii(one.path)[1:-1]}: {one.what}")


def _files(count: int) -> str:
    return f"{count:,} file{'s' * (count != 1)}"


def _ended(options: argparse.Namespace, found: Verified) -> int:
    """Print the verdict for the level asked for; write the statement where it is reached."""
    verdicts = [one.verdict for one in found.outcomes]
    if "differs" in verdicts:
        return _stopped(_refusal(found))
    if "cannot tell" in verdicts:
        print("\nINCOMPLETE: see what cannot be told, above", file=sys.stderr)
        return INCOMPLETE
    print(f"\nVERIFIED: {options.level} equal")
    if options.statement is not None:
        from relkit.building.job import write_whole
        from relkit.building.verdict import verdict

        write_whole(
            options.statement, verdict(found, now=datetime.now(UTC), not_checked=NOT_CHECKED)
        )
        print(f"{options.statement}: sign it if you stand for it")
    return VERIFIED


def _refusal(found: Verified) -> CheckError:
    """Return what a level that differs is refused with."""
    one = next(one for one in found.outcomes if one.verdict == "differs")
    if one.level == "content":
        first = ", ".join(f"{item.path} ({item.what})" for item in found.report.unexplained[:5])
        return CheckError(
            f"{one.how}: {ascii(first)[1:-1]}",
            code="TREE_MISMATCH",
            remedy="Do not use the archive. Ask the release manager, and show this output.",
        )
    below = found.reached[-1]
    return CheckError(
        f"{one.how}",
        code=f"{one.level.upper()}_DIFFERS",
        remedy=f"What holds is {below.upper()}: --level {below} verifies that, and no more.",
    )
