"""The form of the docs' archives, and what must be true of one that is delivered.

The same content gives the same bytes: names in order, one time, no owners, no modes of the
machine. What is examined is the written file, read back to its end.
"""

from __future__ import annotations

import bz2
import hashlib
import re
import tarfile
import time as clock
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from relkit.building.archive import Form, Member, payload, tar_key
from relkit.errors import CheckError
from relkit.release import Version

FORMS = ("html", "text", "texinfo")
MIMETYPE, CONTAINER = "mimetype", "META-INF/container.xml"
EPUB = b"application/epub+zip"
PACKAGE = re.compile(rb'<rootfile\b[^>]*\bfull-path="([^"]+)"')
UNRELEASED = re.compile(rb"\(unreleased\)", flags=re.IGNORECASE)
READ = (".html", ".xhtml", ".txt", ".texi", ".info")
"""The files in which people read the docs, by the end of the name."""
UNIX = 3


@dataclass(frozen=True)
class Content:
    """What an archive holds: how many files and bytes, and which of them say "(unreleased)"."""

    files: int
    size: int
    unreleased: tuple[str, ...]


def pack(content: Path, form: Form, out: Path) -> None:
    """Write ``<top>.tar.bz2`` and ``<top>.zip`` of a folder's files into `out`."""
    found = [path for path in content.rglob("*") if path.is_symlink() or not path.is_dir()]
    links = [path.name for path in found if path.is_symlink()]
    if links:
        raise _broken(form.top, f"{links[0]} is a link, which no archive of the docs has")
    paths = sorted((path.relative_to(content).as_posix() for path in found), key=tar_key)
    with bz2.open(out / f"{form.top}.tar.bz2", "xb", compresslevel=9) as file:
        for piece in payload(_members(content, paths), form):
            file.write(piece)
    with zipfile.ZipFile(out / f"{form.top}.zip", "x") as archive:
        for member in _members(content, paths):
            info = _entry(f"{form.top}/{member.path}", form.mtime)
            archive.writestr(info, member.data, compresslevel=9)


def _members(folder: Path, paths: list[str]) -> Iterator[Member]:
    for path in paths:
        yield Member(path, (folder / path).read_bytes())


def _entry(name: str, mtime: int, method: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    """Describe an entry of a zip as if it were made on Unix, at a time in UTC."""
    when = clock.gmtime(max(mtime, 315532800))[:6]  # zip knows no time before 1980
    info = zipfile.ZipInfo(name, when)
    info.compress_type = method
    info.create_system = UNIX
    info.external_attr = 0o100644 << 16
    return info


def repack_epub(source: Path, target: Path, mtime: int) -> None:
    """Write an epub anew: the same entries in the same order, at one time, compressed alike."""
    with zipfile.ZipFile(source) as made, zipfile.ZipFile(target, "x") as packed:
        for one in made.infolist():
            stored = one.filename == MIMETYPE
            method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            packed.writestr(_entry(one.filename, mtime, method), made.read(one), compresslevel=9)


# --- examining ----------------------------------------------------------------------------------


def examined(out: Path, stem: str, form: str, version: Version) -> Content:
    """Read the archives of one form to their end; return what they hold.

    Raises `CheckError`: ``DOCS_ARCHIVE`` for one that does not open, is empty or differs from the
    other, ``DOCS_VERSION`` where no page states the version.
    """
    suffixes = ("epub",) if form == "epub" else ("tar.bz2", "zip")
    names = [f"{stem}.{suffix}" for suffix in suffixes]
    listings = [_listing(out / name) for name in names]
    if any(listing != listings[0] for listing in listings):
        raise _broken(names[-1], f"it does not hold what {names[0]} holds")
    found, named = [], False
    pattern = _version_pattern(version)
    size = 0
    for name, data in _files(out / names[0]):
        size += len(data)
        if PurePosixPath(name).suffix in READ:
            found += [name] if UNRELEASED.search(data) else []
            named = named or pattern.search(data) is not None
    if not listings[0] or not size:
        raise _broken(names[0], "it is empty")
    if form == "html" and f"{stem}/index.html" not in listings[0]:
        raise _broken(names[0], "it has no index.html")
    if not named:
        raise CheckError(
            f"no page of {names[0]} says that it is about {version}",
            code="DOCS_VERSION",
            remedy="Was it built from another tree? Look at Include/patchlevel.h of the commit.",
        )
    return Content(len(listings[0]), size, tuple(found))


def _version_pattern(version: Version) -> re.Pattern[bytes]:
    """Match the version as docs state it: ``3.15.0a1`` or ``3.15.0 alpha 1``, and no longer one."""
    words = "|".join({re.escape(str(version)), re.escape(version.spelled)})
    more = r"(?![0-9A-Za-z]|\.[0-9]| (?:alpha|beta|release candidate) )"
    return re.compile(rf"(?<![0-9.])(?:{words}){more}".encode())


def _listing(path: Path) -> Mapping[str, str]:
    """Return the files of an archive with their digests; a name that is there twice is refused."""
    found: dict[str, str] = {}
    for name, data in _files(path):
        if name in found:
            raise _broken(path.name, f"it has {name} twice")
        found[name] = hashlib.sha256(data).hexdigest()
    return found


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Read the files of an archive, with the checksums its form has."""
    try:
        yield from _tar_files(path) if path.name.endswith(".tar.bz2") else _zip_files(path)
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        raise _broken(path.name, f"it cannot be read: {error}") from error


def _tar_files(path: Path) -> Iterator[tuple[str, bytes]]:
    with bz2.open(path) as file:  # tarfile stops where the tar ends, and sees no cut behind it
        while file.read(1 << 20):
            pass
    with tarfile.open(path, "r:bz2") as archive:
        for info in archive:
            content = archive.extractfile(info)
            if content is not None:
                yield info.name, content.read()


def _zip_files(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield info.filename, archive.read(info)


def check_epub(path: Path) -> None:
    """Refuse (``EPUB_INVALID``) what no reader takes for an epub.

    The first entry is ``mimetype``, stored as it is; the container names a package file that is
    there and has a manifest. `epubcheck` sees far more.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = _wrong_with(archive)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        raise _not_epub(path, f"it cannot be read: {error}") from error
    if wrong:
        raise _not_epub(path, wrong)


def _wrong_with(archive: zipfile.ZipFile) -> str:
    entries = archive.infolist()
    names = {one.filename for one in entries}
    if not entries or entries[0].filename != MIMETYPE:
        return f"its first entry is not {MIMETYPE}"
    if entries[0].compress_type != zipfile.ZIP_STORED or archive.read(MIMETYPE) != EPUB:
        return f"its {MIMETYPE} is not the stored words {EPUB.decode()}"
    packages = PACKAGE.findall(archive.read(CONTAINER)) if CONTAINER in names else []
    if not packages or not {one.decode() for one in packages} <= names:
        return f"its {CONTAINER} names no package file that is there"
    if not all(b"<manifest" in archive.read(one.decode()) for one in packages):
        return "its package file has no manifest"
    return ""


def _not_epub(path: Path, why: str) -> CheckError:
    return CheckError(
        f"{path.name} is no epub: {why}",
        code="EPUB_INVALID",
        remedy="Read the build's log; try the file in a reader.",
    )


def _broken(name: str, why: str) -> CheckError:
    return CheckError(
        f"{name}: {why}", code="DOCS_ARCHIVE", remedy="Read the build's log; build it anew."
    )
