"""The form of the docs' archives, and what must be true of one that is delivered.

The same content gives the same bytes: names in order, one time, no owners, no modes of the
machine. What is examined is the written file, read back to its end.
"""

from __future__ import annotations

import bz2
import hashlib
import re
import time as clock
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from relkit.building.archive import Form, Member, payload, tar_key
from relkit.building.docs_read import UNREADABLE, broken, files
from relkit.errors import CheckError
from relkit.release import Version

FORMS = ("html", "text", "texinfo")
MIMETYPE, CONTAINER = "mimetype", "META-INF/container.xml"
EPUB = b"application/epub+zip"
PACKAGE = re.compile(rb'<rootfile\b[^>]*\bfull-path="([^"]+)"')
UNRELEASED = re.compile(rb"\(unreleased\)", flags=re.IGNORECASE)
READ = (".html", ".xhtml", ".txt", ".texi", ".info")
"""The files in which people read the docs, by the end of the name."""
FACES = {
    "html": re.compile(r"index\.html"),
    "text": re.compile(r".*\.txt"),
    "texinfo": re.compile(r".*\.texi"),
    "epub": re.compile(r"(?:[A-Z]+/)?index\.x?html"),
}
"""Where each form says which version it is about; text does not do so in any one place."""
FACE_BYTES = {"texinfo": 1 << 12}
NEWEST = re.compile(rb"^Python (\d+\.\d+\.\d+.*?)(?: final)?$", flags=re.MULTILINE)
"""A heading of the changelog, in which the newest version is first."""
CHANGELOG = "whatsnew/changelog.txt"
PAGES = (".html", ".xhtml")
TITLE = re.compile(rb"<title>[^<]*\bPython (\d[^<\s]*) documentation</title>")
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
    odd = [path.name for path in found if path.is_symlink() or not path.is_file()]
    if odd:
        raise broken(form.top, f"{odd[0]} is a link or a device, which no archive of the docs has")
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
    """Write an epub anew: the same files in the same order, at one time, compressed alike."""
    with zipfile.ZipFile(source) as made, zipfile.ZipFile(target, "x") as packed:
        for one in [one for one in made.infolist() if not one.is_dir()]:
            stored = one.filename == MIMETYPE
            method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            packed.writestr(_entry(one.filename, mtime, method), made.read(one), compresslevel=9)


# --- examining ----------------------------------------------------------------------------------


def examined(out: Path, stem: str, form: str, version: Version) -> Content:
    """Read the archives of one form to their end; return what they hold.

    Raises `CheckError`: ``DOCS_ARCHIVE`` for one that does not open, is empty or differs from the
    other, ``DOCS_VERSION`` where the docs are about another version, or do not say about which.
    """
    suffixes = ("epub",) if form == "epub" else ("tar.bz2", "zip")
    first, *others = [out / f"{stem}.{suffix}" for suffix in suffixes]
    top = "" if form == "epub" else stem
    pages = Pages(form, version)
    listing = _listing(first, top, pages)
    for other in others:
        if _listing(other, top) != listing:
            raise broken(other.name, f"it does not hold what {first.name} holds")
    if not listing or not pages.size:
        raise broken(first.name, "it is empty")
    if form == "html" and "index.html" not in listing:
        raise broken(first.name, "it has no index.html")
    wrong = pages.wrong()
    if wrong:
        raise CheckError(
            f"{first.name}: {wrong}",
            code="DOCS_VERSION",
            remedy="Was it built from another tree? Look at Include/patchlevel.h of the commit.",
        )
    places = tuple(f"{top}/{name}".removeprefix("/") for name in pages.unreleased)
    return Content(len(listing), pages.size, places)


class Pages:
    """What the pages of one form say of themselves.

    That a page names the version proves little: the changelog of any later tree names it too. So
    it is looked for where each form says what it is about, in the titles of all HTML pages, and
    in the first heading of the changelog as text.
    """

    def __init__(self, form: str, version: Version) -> None:
        self.size = 0
        self.unreleased: list[str] = []
        self._form = form
        self._face = FACES[form]
        self._version = version
        self._pattern = _version_pattern(version)
        self._named = False
        self._others: list[str] = []

    def see(self, name: str, data: bytes) -> None:
        """Look at a file of the archive."""
        self.size += len(data)
        if PurePosixPath(name).suffix not in READ:
            return
        if UNRELEASED.search(data):
            self.unreleased.append(name)
        if self._face.fullmatch(name):
            head = data[: FACE_BYTES.get(self._form)]
            self._named = self._named or self._pattern.search(head) is not None
        if name.endswith(PAGES):
            self._title(name, TITLE.search(data), str(self._version))
        elif name == CHANGELOG:
            self._title(name, NEWEST.search(data), self._version.spelled)

    def _title(self, name: str, found: re.Match[bytes] | None, wanted: str) -> None:
        if found and found[1].decode("utf-8", "replace") != wanted:
            self._others.append(f"{name} ({found[1].decode('utf-8', 'replace')[:40]})")

    def wrong(self) -> str:
        """Say what is wrong with the version; empty if nothing is."""
        if not self._named:
            return f"it does not say that it is about {self._version}"
        if self._others:
            return f"another version is named by {', '.join(self._others[:5])}"
        return ""


def _version_pattern(version: Version) -> re.Pattern[bytes]:
    """Match the version as docs state it: ``3.15.0a1`` or ``3.15.0 alpha 1``, and no longer one."""
    words = "|".join({re.escape(str(version)), re.escape(version.spelled)})
    more = r"(?![0-9A-Za-z]|\.[0-9]| (?:alpha|beta|release candidate) )"
    return re.compile(rf"(?<![0-9.])(?:{words}){more}".encode())


def _listing(path: Path, top: str, pages: Pages | None = None) -> Mapping[str, str]:
    """Return the files of an archive with their digests; let `pages` see each."""
    found: dict[str, str] = {}
    for name, data in files(path, top):
        found[name] = hashlib.sha256(data).hexdigest()
        if pages is not None:
            pages.see(name, data)
    return found


def check_epub(path: Path) -> None:
    """Refuse (``EPUB_INVALID``) what no reader takes for an epub.

    The first entry is ``mimetype``, stored as it is; the container names a package file that is
    there and has a manifest. `epubcheck` sees far more.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = _wrong_with(archive)
    except UNREADABLE as error:
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
