"""``relkit sbom``: the SBOM of a source archive at hand, which is read and never unpacked."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relkit.cli_options import command
from relkit.errors import UsageError

if TYPE_CHECKING:
    from relkit.building.contents import Contents
    from relkit.release import Version

Commands = Any  # argparse gives its type no public name
PYPI = "https://pypi.org/simple/"
NAME = re.compile(r"Python-(.+?)\.(?:tgz|tar\.xz)")
ABOUT = "the SBOM of a source archive at hand"


def declare(commands: Commands) -> None:
    """Declare the command."""
    one = command(commands, "sbom", _sbom, ABOUT, "relkit sbom Python-3.15.0a1.tgz")
    one.add_argument("archive", type=Path, help="Python-VERSION.tgz or Python-VERSION.tar.xz")
    where = one.add_mutually_exclusive_group()
    where.add_argument("--index", default=PYPI, help=f"the package index to ask; {PYPI}")
    where.add_argument(
        "--offline", dest="index", action="store_const", const="", help="ask no package index"
    )
    one.add_argument(
        "--out", type=Path, metavar="FILE", help="the file to write; else beside the archive"
    )
    one.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        default=_cache(),
        help="the folder of earlier answers of the index",
    )


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home.startswith("/") else Path("~/.cache")) / "relkit" / "packages"


def _sbom(options: argparse.Namespace) -> int:
    from relkit.building.package_index import look_up
    from relkit.building.sbom import sbom_name, source_sbom
    from relkit.building.sbom_check import check_sbom

    archive: Path = options.archive
    version = _version(archive)
    contents, sha256, created = _read(archive, version)
    origins = look_up(contents, index=options.index, cache=options.cache.expanduser(), tell=_tell)
    name = archive.name
    sbom = source_sbom(
        contents, name=name, sha256=sha256, version=version, created=created, origins=origins
    )
    check_sbom(sbom.text, name=name, sha256=sha256, contents=contents, created=created)
    target = options.out or archive.with_name(sbom_name(name))
    _write(target, sbom.text.encode("utf-8"))
    print(f"{target}: {len(contents.digests)} files of {name}, whose SHA-256 is {sha256}")
    for line in sbom.lacks:
        print(f"It lacks {line}")
    return 0


def _tell(why: str) -> None:
    print(why, file=sys.stderr)


def _version(archive: Path) -> Version:
    from relkit.release import Version

    match = NAME.fullmatch(archive.name)
    if match is None or not archive.is_file():
        raise UsageError(
            f"{archive} is no source archive of Python" + ("" if match else " by its name"),
            code="NO_ARCHIVE",
            remedy="Give a file named as on python.org: Python-3.15.0a1.tgz or …tar.xz.",
        )
    return Version.parse(match[1])


def _read(archive: Path, version: Version) -> tuple[Contents, str, int]:
    """Return what the archive holds, its SHA-256, and the time of its newest member.

    Archives have one time throughout, that of the tagged commit.
    """
    from relkit.building.archive import top_folder
    from relkit.building.archive_read import read_members
    from relkit.building.archive_stream import unpacked
    from relkit.building.contents import Contents

    contents, stream, created = Contents(), unpacked(archive), 0
    for found in read_members(stream, top_folder(version)):
        created = max(created, found.mtime)
        if found.kind == "file":
            contents.take(found.path, found.data)
    return contents, stream.file_sha256, created


def _write(target: Path, data: bytes) -> None:
    """Write a file that is not there yet, whole or not at all; the same bytes may be there."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, target)
    except FileExistsError as error:
        if not target.is_file() or target.read_bytes() != data:
            raise UsageError(
                f"{target} is there, with other bytes",
                code="OUT_EXISTS",
                remedy="Move it away, or give another name with --out.",
            ) from error
    except OSError as error:
        raise UsageError(
            f"{target} cannot be written: {error.strerror}",
            code="OUT_NOT_WRITTEN",
            remedy="Give another place with --out.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
