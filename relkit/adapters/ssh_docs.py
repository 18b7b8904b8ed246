"""The documentation server by SSH, and the links among the docs of the download server.

An archive is looked at and unpacked here, packed once more as plain files, and sent as one file;
the server unpacks that into a fresh folder, and each file there must then have the digest it had
here. A version appears by one rename, after its digest was noted beside the versions: killed at
any instant it is there whole, or not at all.
"""

from __future__ import annotations

import json
import re
import stat
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from relkit.adapters.docs import (
    FOLDER_MODE,
    NOTES,
    UNPACKING,
    checked,
    compared,
    content_of,
    exist,
    leading,
    no_docs,
)
from relkit.adapters.docs_packed import Content, repacked
from relkit.adapters.remote_files import (
    EACH,
    checked_root,
    digests,
    look,
    records,
    room,
    strange,
    user_id,
)
from relkit.adapters.remote_folders import GROUP_FOLDER_MODE, RemoteTree, full
from relkit.adapters.sftp import SshPlace, failed, nul
from relkit.errors import CheckError, WorldError
from relkit.release import Version
from relkit.values import Unpacked, canonical

EXTRACT = (
    *(*EACH, "tar", "--extract", "--preserve-permissions", "--no-same-owner", "--touch"),
    *("--keep-old-files", "--file"),
)
"""Takes the archive, ``--directory``, and the folder."""
GROUP = (*EACH, "chgrp", "-R", "--")
REMOVE = (*EACH, "rm", "-rf", "--")
SYNC = (*EACH, "sync", "-f", "--")
LIST = (*EACH, "-I{}", "find", "{}", "-mindepth", "1", "-printf", "'%m %y %P\\0'")
READ = (*EACH, "cat", "--")
LEADS = (*EACH, "readlink", "-z", "--")
LISTED = re.compile(rb"([0-7]+) (.) (.+)", flags=re.DOTALL)
KINDS = {b"f": stat.S_IFREG, b"d": stat.S_IFDIR}
MAX_ENTRIES = 40_000


class SshDocs:
    """`relkit.ports.Docs` on servers.

    `releases` is the folder of the docs server below which versions are unpacked, `links` the one
    of the download server with the docs of each version (``ftp/python/doc``), `source` the folder
    of the collected files here, and `group` the group of what is made (empty: as folders have it).
    """

    def __init__(
        self,
        ssh: SshPlace,
        downloads_ssh: SshPlace,
        *,
        releases: str,
        links: str,
        source: Path,
        group: str = "",
    ) -> None:
        self._ssh, self._downloads, self._source, self._group = ssh, downloads_ssh, source, group
        self._releases, self._links = checked_root(releases), checked_root(links)

    def unpack(self, *, version: str, name: str, sha256: str) -> None:
        """Unpack a collected archive of HTML docs, without the folder at its top.

        Raises `CheckError`: ``ARTIFACT_MISSING``, ``DIGEST_CHANGED``, ``DOCS_EXIST``,
        ``DOCS_CHANGED``, ``ARCHIVE_UNSAFE``, ``ARCHIVE_BROKEN``; `WorldError`: ``REMOTE_FULL``,
        ``REMOTE_OWNER``, ``REMOTE_FAILED``.
        """
        target = f"{self._releases}/{checked(str(Version.parse(version)))}"
        checked(name)
        if look(self._ssh, [target]):
            self._check_same(version, sha256)
            return
        new = f"{self._releases}/{UNPACKING}{version}"
        self._remove(new)  # of a process that was killed
        try:
            with tempfile.TemporaryDirectory(prefix="relkit-") as folder:
                content = repacked(Path(folder), self._source / name, sha256)
                self._send(Path(folder), new)
                files, digest = self._verified(new, content)
                note = {"sha256": sha256, "files": files, "content": digest}
                self._note(Path(folder), version, note)
            self._appear(new, target, version)
        finally:
            self._tidy(new)

    def unpacked(self, *, version: str) -> Unpacked | None:
        """Return what lies there, compared file by file with what was unpacked.

        Raises `CheckError`: ``DOCS_CHANGED``; ``DOCS_EXIST`` for docs which relkit did not unpack.
        """
        target = f"{self._releases}/{checked(str(Version.parse(version)))}"
        if not look(self._ssh, [target]):
            return None
        noted = self._noted(version)
        return compared(version, noted, *content_of(self._content(target)))

    def point(self, *, link: str, target: str) -> None:
        """Let a link lead to a version beside it, in one step.

        Raises `WorldError`: ``NOT_A_LINK``, ``NOT_THERE``.
        """
        place, folder = f"{self._links}/{checked(link)}", f"{self._links}/{checked(target)}"
        if self.pointed(link=link) == target:
            return
        there = look(self._downloads, [folder])
        if folder not in there or not there[folder].is_folder:
            raise no_docs(target)
        new = f"{self._links}/.{link}.new"
        commands = [f"-rm {new}", f"symlink {target} {new}", f"rename {new} {place}"]
        done = self._downloads.sftp(commands)
        if done.status:
            raise RemoteTree(self._downloads, self._links, uid=-1, group="").refused(place, done)

    def pointed(self, *, link: str) -> str | None:
        """Return the version a link leads to; None: no link. Raises ``NOT_A_LINK``."""
        place = f"{self._links}/{checked(link)}"
        found = look(self._downloads, [place]).get(place)
        if found is None:
            return None
        leads = ""
        if stat.S_ISLNK(found.kind):
            leads = (
                self._downloads.asked(LEADS, nul([place])).rstrip(b"\0").decode("ascii", "replace")
            )
        return leading(link, leads)

    # --- how --------------------------------------------------------------------------------------

    @cached_property
    def _tree(self) -> RemoteTree:
        return RemoteTree(self._ssh, self._releases, uid=user_id(self._ssh), group=self._group)

    def _send(self, folder: Path, new: str) -> None:
        """Send what was packed, and unpack it in a fresh folder that nobody else can enter."""
        tree, size = f"{new}/tree", (folder / "packed.tar").stat().st_size
        commands = [f"mkdir {new}", f"chmod 0700 {new}", f"mkdir {tree}"]
        if (made := self._ssh.sftp(commands)).status:
            raise self._tree.refused(new, made)
        free, inodes = room(self._ssh, new)
        if free < 2 * size or not inodes:
            raise full(str(self._ssh), new, free, 2 * size)
        self._do_in(folder, [f"put ./packed.tar {new}/packed.tar"])
        self._ssh.asked(EXTRACT, nul([f"{new}/packed.tar", "--directory", tree]))
        if self._group:
            self._ssh.asked(GROUP, nul([self._group, tree]))
        mode = GROUP_FOLDER_MODE if self._group else FOLDER_MODE
        self._tree.do([f"chmod {mode:04o} {tree}"])
        self._ssh.asked(SYNC, nul([tree]))

    def _verified(self, new: str, content: Content) -> tuple[int, str]:
        """Read the unpacked tree back; it must be what was unpacked here, file by file."""
        found = self._content(f"{new}/tree")
        files, digest = content_of(found)
        wanted_files, wanted = content_of(content)
        if digest != wanted:
            wrong = sorted(
                "/".join(one)
                for one in found.keys() | content.keys()
                if found.get(one) != content.get(one)
            )
            raise CheckError(
                f"the server has unpacked {files} files with the digest {digest}, not "
                f"{wanted_files} with {wanted}: {', '.join(wrong[:3])}",
                code="DIGEST_CHANGED",
                remedy="Nothing appeared. See whether the server's disk is sound, then try again.",
            )
        return files, digest

    def _content(self, tree: str) -> Content:
        """List a tree of the server and hash its files; names are data here (T43)."""
        done = self._ssh.run(LIST, nul([tree]))
        entries = records(self._ssh, done, LISTED)
        if done.status or len(entries) > MAX_ENTRIES:
            if len(entries) > MAX_ENTRIES:
                raise strange(f"{len(entries)} files in {tree}")
            raise failed(str(self._ssh), "find", done)
        modes: dict[tuple[str, ...], int] = {}
        for record in entries:
            name = record[3].decode(errors="surrogateescape")
            modes[tuple(name.split("/"))] = int(record[1], 8) | KINDS.get(record[2], stat.S_IFLNK)
        files = {
            f"{tree}/{'/'.join(one)}": one for one, mode in modes.items() if stat.S_ISREG(mode)
        }
        if odd := ["/".join(one) for one in modes if not "/".join(one).isprintable()]:
            raise strange(odd[0])
        found = digests(self._ssh, list(files), large=False)
        hashed = {files[path]: digest for path, digest in found.items()}
        return {parts: (mode, hashed.get(parts, "")) for parts, mode in modes.items()}

    def _appear(self, new: str, target: str, version: str) -> None:
        """Give the tree its name, in one step that fails where the name is taken."""
        done = self._ssh.sftp([f"-rename -l {new}/tree {target}"])
        now = look(self._ssh, [f"{new}/tree", target])
        if f"{new}/tree" in now and target in now:
            raise exist(version, "which somebody else has put there just now")
        if target not in now:
            raise self._tree.refused(target, done)

    def _check_same(self, version: str, sha256: str) -> None:
        there = self.unpacked(version=version)
        if there is None or there.sha256 != sha256:
            raise exist(version, f"of an archive {there and there.sha256}, not {sha256}")

    def _note(self, folder: Path, version: str, note: Mapping[str, object]) -> None:
        path = f"{self._releases}/{NOTES}/{version}.json"
        (folder / "note.json").write_bytes(canonical(dict(note)) + b"\n")
        self._tree.open([path], look(self._ssh, [f"{self._releases}/{NOTES}"]))
        temporary = f"{self._releases}/{NOTES}/.{version}.tmp"
        self._do_in(folder, [f"put -f ./note.json {temporary}", f"rename {temporary} {path}"])

    def _do_in(self, folder: Path, commands: list[str]) -> None:
        done = self._ssh.sftp(commands, folder=folder)
        if done.status:
            raise failed(str(self._ssh), "sftp", done)

    def _noted(self, version: str) -> dict[str, object]:
        path = f"{self._releases}/{NOTES}/{version}.json"
        if path not in look(self._ssh, [path]):
            raise exist(version, "which relkit did not unpack")
        noted = json.loads(self._ssh.asked(READ, nul([path])))
        return {name: noted[name] for name in ("sha256", "files", "content")}

    def _remove(self, folder: str) -> None:
        self._ssh.asked(REMOVE, nul([folder]))

    def _tidy(self, folder: str) -> None:
        """Remove what is left, if the server can be reached; else the next call does."""
        try:
            self._remove(folder)
        except WorldError as error:
            if error.code != "SSH_UNREACHABLE":
                raise
