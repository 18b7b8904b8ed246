"""``relkit export``: the archives of a tag, with all that is said about them."""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relkit.cli_options import command
from relkit.errors import UsageError, WorldError

if TYPE_CHECKING:
    from relkit.building.contents import Contents
    from relkit.building.export import Exported
    from relkit.building.objects import Objects
    from relkit.building.origins import Origins
    from relkit.release import Version

PAUSE_SECONDS = 0.2
ARCHIVES = 2


def declare(commands: Any) -> None:  # noqa: ANN401 (argparse gives its type no public name)
    """Declare the command."""
    about = "make the source archives of a tag, their SBOMs, checksums and provenance"
    example = "relkit export v3.15.0a1 --repo cpython --out made"
    parser = command(commands, "export", run, about, example)
    parser.add_argument("tag", help="such as v3.15.0a1; or a full commit id, with --version")
    parser.add_argument(
        "--repo", required=True, type=Path, metavar="FOLDER", help="a clone of CPython"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FOLDER", help="the folder for the results"
    )
    parser.add_argument("--version", default="", help="the version of a commit that has no tag")
    parser.add_argument("--tar", default="", choices=["1.34", "1.35"], help="form of GNU tar")
    parser.add_argument("--blurb", default="", help="version of blurb, for Misc/NEWS")
    index = parser.add_mutually_exclusive_group()
    index.add_argument("--index", default="", help="package index for the SBOM, else PyPI")
    index.add_argument("--offline", action="store_true", help="ask no index; the SBOM has gaps")


def run(options: argparse.Namespace) -> int:
    """Export, and say what was made; what is asked for wrongly is refused before that."""
    from relkit.building.asked import check_version, commit_of, version_of
    from relkit.building.placing import own_folder

    version = version_of(options.tag, options.version)
    with _made_if_missing(options.out), own_folder(options.out / ".relkit-export") as scratch:
        _refuse_other_sums(options.out, version)
        objects = _objects(options.repo, scratch)
        commit = commit_of(objects, options.tag)
        check_version(objects, commit, version)
        tar, blurb = _settings(options, version, objects.commit_time(commit))
        print(f"Python {version} from {_named(options.tag, commit)}")
        print(f"form of GNU tar {tar[0]} ({tar[1]}), blurb {blurb[0]} ({blurb[1]})", flush=True)
        made = _export(options, scratch, objects, commit, version, tar[0], blurb[0])
    _say(made, options.out)
    return 0


# --- what is asked for --------------------------------------------------------------------------


@contextmanager
def _made_if_missing(out: Path) -> Iterator[None]:
    """Make the folder for the results; take it away again if nothing came of it."""
    there = out.is_dir()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be made: {error.strerror}",
            code="BAD_FOLDER",
            remedy="Give a folder in which you may write.",
        ) from error
    try:
        yield
    finally:
        if not there:
            with suppress(OSError):  # not empty: these are the results
                out.rmdir()


def _refuse_other_sums(out: Path, version: Version) -> None:
    """Refuse at once, not after a minute, a folder with the checksums of another release."""
    from relkit.building.placing import would_overwrite
    from relkit.building.sums import SUMS

    if not (out / SUMS).is_file():
        return
    lines = (out / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    names = [line.partition("  ")[2] for line in lines]
    if not all(name.startswith((f"Python-{version}.t", f"Python-{version}.in")) for name in names):
        raise would_overwrite(out / SUMS, f"lists what is no part of {version}")


def _objects(repository: Path, scratch: Path) -> Objects:
    from relkit.building.objects import Objects

    try:
        return Objects(repository, scratch)
    except WorldError as error:
        raise UsageError(
            f"{repository} is no git repository: {error}",
            code="NO_REPOSITORY",
            remedy="Give --repo a clone of CPython, bare or not.",
        ) from error


def _settings(
    options: argparse.Namespace, version: Version, time: int
) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the form of tar and the version of blurb, each with the reason."""
    from relkit.adapters.edit_news import blurb_for
    from relkit.building.asked import tar_form

    tar = (options.tar, "as asked") if options.tar else tar_form(time)
    known = blurb_for(str(version))
    return tar, (options.blurb, "as asked") if options.blurb else (known, f"for {version.series}")


def _named(tag: str, commit: str) -> str:
    return f"commit {commit}" if tag == commit else f"{tag}, commit {commit}"


# --- making it ----------------------------------------------------------------------------------


def _export(  # noqa: PLR0913, PLR0917 (what was found out, in the order in which it was)
    options: argparse.Namespace,
    scratch: Path,
    objects: Objects,
    commit: str,
    version: Version,
    tar: str,
    blurb: str,
) -> Exported:
    from relkit.building.export import export
    from relkit.building.source import TOOLS, blurb_command

    work = scratch / "news"
    work.mkdir()
    tag = {} if options.tag == commit else {"tag": options.tag}
    with bar() as progress:
        return export(
            objects,
            commit,
            version=version,
            tar=tar,
            blurb=blurb_command(TOOLS / f"blurb-{blurb}"),
            work=work,
            out=options.out,
            origins=partial(_origins, options, scratch / "packages"),
            progress=progress,
            beside=partial(_beside, version, commit, tag | {"tar": tar}),
        )


def _origins(options: argparse.Namespace, cache: Path, contents: Contents) -> Origins:
    """Ask the package index, unless nobody is to be asked; this happens while xz works."""
    from relkit.building.origins import NO_ORIGINS

    if options.offline:
        return NO_ORIGINS
    from relkit.building.package_index import PYPI, look_up

    return look_up(contents, index=options.index or PYPI, cache=cache)


def _beside(
    version: Version, commit: str, options: Mapping[str, str], made: Exported
) -> dict[str, str]:
    """Return the provenance and, last, the checksums of all: whoever sees these sees a whole."""
    from relkit.building.provenance import COMMAND_LINE, provenance
    from relkit.building.statement import Subject
    from relkit.building.sums import SUMS, checksums
    from relkit.values import Build

    build = Build(
        name="source", nonce="export", version=str(version), commit=commit, options=dict(options)
    )
    text = provenance(build, made.files, made.facts, builder=COMMAND_LINE)
    name = f"Python-{version}.intoto.json"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {name: text, SUMS: checksums([*made.files, Subject(name, digest)])}


@contextmanager
def bar() -> Iterator[Callable[[int, int], None]]:
    """Show the progress on a terminal, and nowhere else."""
    if not sys.stderr.isatty():
        yield lambda _done, _whole: None
        return
    start, last = time.monotonic(), 0.0

    def show(done: int, whole: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < PAUSE_SECONDS:
            return
        last = now
        left = (now - start) * (whole - done) / max(1, done)
        line = f"{done * 100 // max(1, whole):3} %, {done / 1e6:.0f} of {whole / 1e6:.0f} MB"
        with suppress(OSError):  # the terminal is gone, the work goes on
            print(f"\r{line}, {left:.0f} s left\033[K", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


# --- what is said at the end --------------------------------------------------------------------


def _say(made: Exported, out: Path) -> None:
    """Print the files, what was compared, and what is lacking."""
    report, names = made.report, [file.name for file in made.files]
    width = max(map(len, names))
    print(f"\n{'file':{width}}  {'bytes':>11}  SHA-256")
    for file in made.files:
        print(f"{file.name:{width}}  {file.size:11,}  {file.sha256}")
    print(f"\n{report.name} was read back and compared with the commit: {_counts(made)}.")
    others = ", ".join(name for name in names if name.endswith(".tar.xz"))
    print(f"{others} was read back, and holds the same tar, SHA-256 {made.payload.sha256}.")
    if len(names) == ARCHIVES:
        print("No SBOM: the tree has nothing to make one from.")
    for lack in made.lacks:
        print(f"The SBOMs lack: {lack}")
    print("Made with", ", ".join(_tools(made)))
    if made.kept:
        print("Already there, with the same bytes:", ", ".join(made.kept))
    print(f"Checksums and provenance are beside them in {out}")


def _tools(made: Exported) -> Iterator[str]:
    """Name each tool once, with its version; `tar` and `mtime` are the form's."""
    for name, said in sorted(made.facts.items()):
        yield f"{name} {str(said).removeprefix(f'{name} ').removeprefix('version ')}"


def _counts(made: Exported) -> str:
    report = made.report
    again = ", ".join(report.generated) or "nothing"
    return (
        f"{report.equal:,} files equal, {report.by_eol} equal but for the line ends that the "
        f"commit asks for, {again} generated; {report.removed} paths of the commit left out, "
        f"{len(report.unexplained)} differences unexplained"
    )
