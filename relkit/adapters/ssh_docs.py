"""The documentation server by SSH, and the links among the docs of the download server.

An archive is looked at and unpacked here, packed once more as plain files, and sent as one file;
the server unpacks that into a fresh folder, and each file there must then have the digest it had
here. A version appears by one rename, after its digest was noted beside the versions: killed at
any instant it is there whole, or not at all.
"""

from __future__ import annotations

import re
import stat
import tempfile
from functools import cached_property
from pathlib import Path

from relkit.adapters.docs_packed import Content, repacked
from relkit.adapters.docs_shared import (
    FOLDER_MODE,
    NOTE_BYTES,
    NOTES,
    UNPACKING,
    SharedDocs,
    content_of,
    is_unpacking,
    new_link,
    note,
)
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

EXTRACT = (
    *(*EACH, "tar", "--extract", "--preserve-permissions", "--no-same-owner", "--touch"),
    *("--keep-old-files", "--file"),
)
"""Takes the archive, ``--directory``, and the folder."""
GROUP = (*EACH, "chgrp", "-R", "--")
REMOVE = (*EACH, "rm", "-rf", "--")
SYNC = (*EACH, "sync", "-f", "--")
LIST = (*EACH, "-I{}", "find", "{}", "-mindepth", "1", "-printf", "'%m %y %P\\0'")
LEFT = (
    *(*EACH, "-I{}", "find", "{}", "-maxdepth", "1", "-name", f"'{UNPACKING}*'"),
    *("-printf", "'%f\\0'"),
)
READ = (*EACH, "head", "-c", str(NOTE_BYTES), "--")
LEADS = (*EACH, "readlink", "-z", "--")
LISTED = re.compile(rb"([0-7]{1,4}) (.) (.+)", flags=re.DOTALL)
ANY = re.compile(rb"(.+)", flags=re.DOTALL)
KINDS = {b"f": stat.S_IFREG, b"d": stat.S_IFDIR}
MAX_ENTRIES = 40_000


class SshDocs(SharedDocs):
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

    def _path(self, *names: str) -> str:
        return "/".join([self._releases, *names])

    def _is_there(self, version: str) -> bool:
        return bool(look(self._ssh, [self._path(version)]))

    def _unpack(self, new: str, version: str, name: str, sha256: str) -> bool:
        with tempfile.TemporaryDirectory(prefix="relkit-") as folder:
            content = repacked(Path(folder), self._source / name, sha256)
            self._send(Path(folder), self._path(new), version)
            written = note(sha256, *self._verified(self._path(new), content))
            (Path(folder) / "note").write_bytes(written)
            if self._is_there(version):  # with a note of its own
                return False
            self._put_note(Path(folder), self._path(new, "note"), version)
        return self._appear(self._path(new, "tree"), self._path(version))

    def _remove(self, new: str) -> None:
        """Remove what can be removed now; a later call does the rest."""
        try:
            self._ssh.run(REMOVE, nul([self._path(new)]))
        except WorldError as error:
            if error.code != "SSH_UNREACHABLE":
                raise

    def _sweep(self, version: str) -> None:
        done = self._ssh.run(LEFT, nul([self._releases]))
        names = [one[1].decode(errors="replace") for one in records(self._ssh, done, ANY)]
        for new in names:
            if is_unpacking(new, version):
                self._remove(new)

    def _note(self, version: str) -> bytes | None:
        path = self._path(NOTES, f"{version}.json")
        found = look(self._ssh, [path]).get(path)
        return self._ssh.asked(READ, nul([path])) if found and found.is_file else None

    def _listed(self, version: str) -> tuple[int, str]:
        return content_of(self._content(self._path(version)))

    def _leads(self, link: str) -> str | None:
        place = f"{self._links}/{link}"
        found = look(self._downloads, [place]).get(place)
        if found is None or not stat.S_ISLNK(found.kind):
            return "" if found else None
        return self._downloads.asked(LEADS, nul([place])).rstrip(b"\0").decode("ascii", "replace")

    def _has_docs(self, target: str) -> bool:
        folder = f"{self._links}/{target}"
        found = look(self._downloads, [folder]).get(folder)
        return found is not None and found.is_folder

    def _switch(self, link: str, target: str) -> None:
        place, new = f"{self._links}/{link}", f"{self._links}/{new_link(link, target)}"
        commands = [f"-rm {new}", f"symlink {target} {new}", f"rename {new} {place}"]
        done = self._downloads.sftp(commands)
        if done.status and self.pointed(link=link) != target:
            raise RemoteTree(self._downloads, self._links, uid=-1, group="").refused(place, done)

    # --- how --------------------------------------------------------------------------------------

    @cached_property
    def _tree(self) -> RemoteTree:
        return RemoteTree(self._ssh, self._releases, uid=user_id(self._ssh), group=self._group)

    def _send(self, folder: Path, new: str, version: str) -> None:
        """Send what was packed, and unpack it in a fresh folder that nobody else can enter."""
        tree, size = f"{new}/tree", (folder / "packed.tar").stat().st_size
        commands = [f"mkdir {new}", f"chmod 0700 {new}", f"mkdir {tree}"]
        if (made := self._ssh.sftp(commands)).status:
            raise self._tree.refused(new, made)
        free, inodes = room(self._ssh, new)
        if free < 2 * size or not inodes:
            self._sweep(version)  # so that nothing of ours is in the way of the next call
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

    def _appear(self, tree: str, target: str) -> bool:
        """Give the tree its name, in one step that fails where the name is taken."""
        done = self._ssh.sftp([f"-rename -l {tree} {target}"])
        now = look(self._ssh, [tree, target])
        if target not in now:
            raise self._tree.refused(target, done)
        return tree not in now

    def _put_note(self, folder: Path, new: str, version: str) -> None:
        """Note what was unpacked; it comes from where nobody else can put a link in its way."""
        path = self._path(NOTES, f"{version}.json")
        self._tree.open([path], look(self._ssh, [self._path(NOTES)]))
        self._do_in(folder, [f"put -f ./note {new}", f"rename {new} {path}"])

    def _do_in(self, folder: Path, commands: list[str]) -> None:
        done = self._ssh.sftp(commands, folder=folder)
        if done.status:
            raise failed(str(self._ssh), "sftp", done)
