"""The documentation server as a folder, and the links among the docs of the download server.

An unpacked version appears by one rename, after its digest was noted beside the versions: killed at
any instant it is there whole, or not at all.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from contextlib import AbstractContextManager
from pathlib import Path

from relkit.adapters.disk import failing, sync_folder
from relkit.adapters.docs_archive import Member, copied, opened_archive
from relkit.adapters.docs_shared import (
    FILE_MODE,
    FOLDER_MODE,
    NOTES,
    SharedDocs,
    content_of,
    is_unpacking,
    new_link,
    note,
)
from relkit.adapters.downloads_shared import in_the_way
from relkit.adapters.subjects import digest_changed, opened

SERVER = "docs server"
PIECE = 1 << 20
TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


class FolderDocs(SharedDocs):
    """`relkit.ports.Docs` as folders.

    Versions are unpacked below `releases` (``release/`` of the docs server), `links` is where the
    download server has the docs of each version (``ftp/python/doc``), and `source` is the folder
    of the collected files.
    """

    def __init__(self, *, releases: Path, links: Path, source: Path) -> None:
        self._releases, self._links, self._source = releases, links, source

    def _failing(self, action: str) -> AbstractContextManager[None]:
        return failing(action, SERVER)

    def _is_there(self, version: str) -> bool:
        return os.path.lexists(self._releases / version)

    def _unpack(self, new: str, version: str, name: str, sha256: str) -> bool:
        _make_folder(self._releases)
        folder, notes = self._releases / new, self._releases / NOTES
        folder.mkdir(mode=0o700)
        copy_checked(self._source / name, folder / "archive", sha256)
        with opened_archive(folder / "archive", name) as members:
            _make_folder(folder / "tree")
            for member in members:
                _write(folder / "tree", member, name)
        for one, _, _ in os.walk(folder / "tree", topdown=False):
            sync_folder(Path(one))
        with (folder / "note").open("xb") as file:
            file.write(note(sha256, *listed(folder / "tree")))
            file.flush()
            os.fsync(file.fileno())
        if self._is_there(version):  # what was swept meanwhile is not to be noted of that
            return False
        if notes.is_symlink():
            raise in_the_way(notes)
        _make_folder(notes)
        (folder / "note").replace(notes / f"{version}.json")
        sync_folder(notes)
        try:
            (folder / "tree").rename(self._releases / version)
        except OSError as error:
            if error.errno not in TAKEN:
                raise
            return False
        sync_folder(self._releases)
        return True

    def _remove(self, new: str) -> None:
        shutil.rmtree(self._releases / new, ignore_errors=True)

    def _sweep(self, version: str) -> None:
        for one in self._releases.iterdir():
            if is_unpacking(one.name, version):
                self._remove(one.name)

    def _note(self, version: str) -> bytes | None:
        try:
            return (self._releases / NOTES / f"{version}.json").read_bytes()
        except FileNotFoundError:
            return None

    def _listed(self, version: str) -> tuple[int, str]:
        return listed(self._releases / version)

    def _leads(self, link: str) -> str | None:
        place = self._links / link
        if not os.path.lexists(place):
            return None
        return str(place.readlink()) if place.is_symlink() else ""

    def _has_docs(self, target: str) -> bool:
        return stat.S_ISDIR(_mode(self._links / target))

    def _switch(self, link: str, target: str) -> None:
        new = self._links / new_link(link, target)
        new.unlink(missing_ok=True)  # of a process that was killed
        new.symlink_to(target, target_is_directory=True)
        new.replace(self._links / link)
        sync_folder(self._links)


def _write(tree: Path, member: Member, archive: str) -> None:
    path = tree
    for part in member.parts[: -1 if member.open else None]:
        path /= part
        _make_folder(path)
    if member.open:
        with (path / member.parts[-1]).open("xb") as file:
            copied(member, file, archive)
            file.flush()
            os.fchmod(file.fileno(), FILE_MODE)
            os.fsync(file.fileno())


def copy_checked(source: Path, copy: Path, sha256: str) -> None:
    """Copy a collected file; what is hashed are the very bytes that are unpacked."""
    digest = hashlib.sha256()
    with opened(source) as subject, copy.open("xb") as file:
        while piece := subject.handle.read(PIECE):
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != sha256:
        raise digest_changed(source.name, digest.hexdigest(), sha256)


def listed(tree: Path) -> tuple[int, str]:
    """Return how many files there are, and one digest of all paths, modes and bytes."""
    found: dict[tuple[str, ...], tuple[int, str]] = {}
    for path in tree.rglob("*"):
        mode, digest = _mode(path), ""
        if stat.S_ISREG(mode):
            with opened(path) as subject:
                digest = subject.sha256
        found[path.relative_to(tree).parts] = mode, digest
    return content_of(found)


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return 0


def _make_folder(path: Path) -> None:
    """Make a folder, with its mode whatever the umask says."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(FOLDER_MODE)
