"""The documentation server as a folder, and the links among the docs of the download server.

An unpacked version appears by one rename, after its digest was noted beside the versions, in
``.relkit/<version>.json``: killed at any instant it is there whole, or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from relkit.adapters.disk import failing, sync_folder
from relkit.adapters.docs_archive import Member, copied, opened_archive
from relkit.adapters.subjects import digest_changed, opened
from relkit.errors import CheckError, UsageError, WorldError
from relkit.release import Version
from relkit.values import Unpacked, canonical

SERVER = "docs server"

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_+-]|\.(?!\.)){0,100}", flags=re.ASCII)
FILE_MODE, FOLDER_MODE = 0o644, 0o755
NOTES, UNPACKING = ".relkit", ".unpacking-"
PIECE = 1 << 20


class FolderDocs:
    """`relkit.ports.Docs` as folders.

    Versions are unpacked below `releases` (``release/`` of the docs server), `links` is where the
    download server has the docs of each version (``ftp/python/doc``), and `source` is the folder
    of the collected files.
    """

    def __init__(self, *, releases: Path, links: Path, source: Path) -> None:
        self._releases, self._links, self._source = releases, links, source

    def unpack(self, *, version: str, name: str, sha256: str) -> None:
        """Unpack a collected archive of HTML docs, without the folder at its top.

        Raises `CheckError`: ``ARTIFACT_MISSING``, ``DIGEST_CHANGED``, ``DOCS_EXIST``,
        ``DOCS_CHANGED``, ``ARCHIVE_UNSAFE``, ``ARCHIVE_BROKEN``.
        """
        target = self._releases / str(Version.parse(version))
        with failing(f"unpack {checked(name)}", SERVER):
            if os.path.lexists(target):
                self._check_same(version, sha256)
                return
            _make_folder(self._releases)
            new = self._releases / f"{UNPACKING}{version}"
            shutil.rmtree(new, ignore_errors=True)  # of a process that was killed
            try:
                self._unpack(new, name, sha256)
                self._note(version, sha256, *listed(new / "tree"))
                (new / "tree").rename(target)
                sync_folder(self._releases)
            finally:
                shutil.rmtree(new, ignore_errors=True)

    def unpacked(self, *, version: str) -> Unpacked | None:
        """Return what lies there, compared file by file with what was unpacked.

        Raises `CheckError`: ``DOCS_CHANGED``; ``DOCS_EXIST`` for docs which relkit did not unpack.
        """
        target = self._releases / str(Version.parse(version))
        with failing(f"read the docs of {version}", SERVER):
            if not os.path.lexists(target):
                return None
            noted = self._noted(version)
            files, content = listed(target)
        return compared(version, noted, files, content)

    def point(self, *, link: str, target: str) -> None:
        """Let a link lead to a version beside it, in one step.

        Raises `WorldError`: ``NOT_A_LINK``, ``NOT_THERE``.
        """
        place = self._links / checked(link)
        with failing(f"point {link} to {checked(target)}", SERVER):
            if self.pointed(link=link) == target:
                return
            if not stat.S_ISDIR(_mode(self._links / target)):
                raise no_docs(target)
            new = place.with_name(f".{link}.new")
            new.unlink(missing_ok=True)  # of a process that was killed
            new.symlink_to(target, target_is_directory=True)
            new.replace(place)
            sync_folder(self._links)

    def pointed(self, *, link: str) -> str | None:
        """Return the version a link leads to; None: no link. Raises ``NOT_A_LINK``."""
        place = self._links / checked(link)
        with failing(f"read the link {link}", SERVER):
            if not os.path.lexists(place):
                return None
            return leading(link, str(place.readlink()) if place.is_symlink() else "")

    def _unpack(self, new: Path, name: str, sha256: str) -> None:
        """Unpack into ``tree`` of a new folder, from a copy that nobody else changes."""
        new.mkdir(mode=0o700)
        copy_checked(self._source / name, new / "archive", sha256)
        with opened_archive(new / "archive", name) as members:
            _make_folder(new / "tree")
            for member in members:
                _write(new / "tree", member, name)
        for folder, _, _ in os.walk(new / "tree", topdown=False):
            sync_folder(Path(folder))

    def _check_same(self, version: str, sha256: str) -> None:
        there = self.unpacked(version=version)
        if there is None or there.sha256 != sha256:
            raise exist(version, f"of an archive {there and there.sha256}, not {sha256}")

    def _note(self, version: str, sha256: str, files: int, content: str) -> None:
        folder = self._releases / NOTES
        _make_folder(folder)
        temporary = folder / f".{version}.tmp"
        with temporary.open("wb") as file:
            file.write(canonical({"sha256": sha256, "files": files, "content": content}) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / f"{version}.json")
        sync_folder(folder)

    def _noted(self, version: str) -> dict[str, object]:
        try:
            text = (self._releases / NOTES / f"{version}.json").read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise exist(version, "which relkit did not unpack") from error
        noted = json.loads(text)
        return {name: noted[name] for name in ("sha256", "files", "content")}


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


def content_of(found: Mapping[tuple[str, ...], tuple[int, str]]) -> tuple[int, str]:
    """Return how many files there are, and one digest of all: mode and digest by parts of path."""
    total, files = hashlib.sha256(), 0
    for parts, (mode, digest) in sorted(found.items()):
        line = ["/".join(parts), f"{mode:o}"]
        if stat.S_ISREG(mode):
            files += 1
            line.append(digest)
        total.update(canonical(line) + b"\n")
    return files, total.hexdigest()


def compared(version: str, noted: Mapping[str, object], files: int, content: str) -> Unpacked:
    """Return what lies there, if it is what was noted when it was unpacked (``DOCS_CHANGED``)."""
    if (files, content) != (noted["files"], noted["content"]):
        raise CheckError(
            f"the docs of {version} are {files} files with the digest {content}, "
            f"not {noted['files']} with {noted['content']}",
            code="DOCS_CHANGED",
            remedy="Find out who changed the docs on the server, and have them put right.",
        )
    return Unpacked(sha256=str(noted["sha256"]), files=files)


def leading(link: str, leads: str) -> str:
    """Return the version a link leads to; empty: it is no link. Raises ``NOT_A_LINK``."""
    if not NAME.fullmatch(leads):
        raise WorldError(
            f"{link} is {f'a link to {leads!r}' if leads else 'no link'}, "
            "not a link to a version beside it",
            code="NOT_A_LINK",
            remedy="Find out who made it, and move it away.",
        )
    return leads


def no_docs(target: str) -> WorldError:
    """Return the refusal to lead to docs that are not there."""
    return WorldError(
        f"there are no docs of {target} to lead to",
        code="NOT_THERE",
        remedy="Run the step that places them first.",
    )


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return 0


def _make_folder(path: Path) -> None:
    """Make a folder, with its mode whatever the umask says."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(FOLDER_MODE)


def checked(name: str) -> str:
    """Return the name of a file or link of the docs, or refuse it (``BAD_NAME``)."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name[:60]!r} cannot be the name of a file or link of the docs",
            code="BAD_NAME",
            remedy="Use letters, digits and . _ + - only, beginning with a letter or digit.",
        )
    return name


def exist(version: str, what: str) -> CheckError:
    """Return the refusal to replace docs that are there."""
    return CheckError(
        f"there are docs of {version} on the server, {what}",
        code="DOCS_EXIST",
        remedy="They are as they were. Find out where they come from; published docs are never "
        "replaced.",
    )
