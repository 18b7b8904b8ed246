"""Sending files to a folder where nobody sees them until they are whole and have their digest.

A file arrives as ``.part-NAME``. Cut off, it is gone on with where it ended; the server computes
its digest, and what has another one is thrown away and sent once more. Then it gets its name in a
way that fails where the name is taken: OpenSSH's server makes a hard link of SFTP's own *rename*.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from relkit.adapters.folders import FILE_MODE, PART, absent, changed, in_the_way, would_overwrite
from relkit.adapters.remote_files import Found, digests, look, room
from relkit.adapters.remote_folders import DENIED, RemoteTree, full
from relkit.adapters.sftp import Ran, SshPlace, failed
from relkit.errors import WorldError


@dataclass(frozen=True)
class Sent:
    """A file to send: its name here, where it is to be, and the digest it must have."""

    name: str
    target: str
    sha256: str
    size: int

    @property
    def part(self) -> str:
        """Where it arrives."""
        return part_of(self.target)


def part_of(path: str) -> str:
    """Return the name under which a file arrives, beside where it is to be."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{PART}{name}"


class Upload:
    """Sends files of the folder `source` to a tree of the server."""

    def __init__(
        self, place: SshPlace, tree: RemoteTree, source: Path, tell: Callable[[str], None]
    ) -> None:
        self._place, self._tree, self._source, self._tell = place, tree, source, tell

    def sent(self, name: str, target: str, sha256: str) -> Sent:
        """Look at a file here, before anything is sent."""
        path = self._source / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise in_the_way(path)
        if not path.exists():
            raise absent(name, "the collected files")
        return Sent(name, target, sha256, path.stat().st_size)

    def send(self, files: list[Sent], seen: Mapping[str, Found]) -> None:
        """Send files to their parts, compare their digests, and give them their names.

        `seen` is what there was of them and of their parts.
        """
        parts = {one.part: seen[one.part] for one in files if one.part in seen}
        whole = self._whole(files, parts)
        self._put([one for one in files if one not in whole], parts)
        wrong = self._wrong([one for one in files if one not in whole])
        if wrong:
            self._put(wrong, {})
            if still := self._wrong(wrong):
                self._drop(still)
                found = self._local_digest(still[0])
                raise changed(
                    PurePosixPath(still[0].target), f"not ours of {found}", still[0].sha256
                )
        self._name(files)

    def _whole(self, files: list[Sent], parts: Mapping[str, Found]) -> list[Sent]:
        """Return the files that an earlier call has sent whole, or throw away what is other."""
        long = [one for one in files if one.part in parts and parts[one.part].size >= one.size]
        same = digests(self._place, [one.part for one in long])
        good = [one for one in long if same[one.part] == one.sha256]
        if bad := [one for one in long if one not in good]:
            self._drop(bad)
        return good

    def _put(self, files: list[Sent], parts: Mapping[str, Found]) -> None:
        commands = [
            f"{'reput' if one.part in parts and parts[one.part].size < one.size else 'put'} -f "
            f"./{one.name} {one.part}"
            for one in files
        ]
        if not commands:
            return
        count = iter(range(1, len(commands) + 1))
        told = {command: one.name for command, one in zip(commands, files, strict=True)}

        def begun(command: str) -> None:
            if command in told:
                self._tell(f"{next(count)} of {len(commands)}: sends {told[command]}")

        done = self._place.sftp(commands, folder=self._source, begun=begun)
        if done.status:
            raise self._refused(files, done)

    def _wrong(self, files: list[Sent]) -> list[Sent]:
        """Return the files whose parts have another digest; refuse one that changed here."""
        found = digests(self._place, [one.part for one in files])
        wrong = [one for one in files if found[one.part] != one.sha256]
        for one in wrong:
            if (local := self._local_digest(one)) != one.sha256:
                self._drop(files)
                raise changed(PurePosixPath(one.name), local, one.sha256)
        return wrong

    def _local_digest(self, one: Sent) -> str:
        with (self._source / one.name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _name(self, files: list[Sent]) -> None:
        """Give files their names; where somebody was quicker, look at what is there."""
        commands = []
        for one in files:
            commands.append(f"chmod {FILE_MODE:04o} {one.part}")
            commands.append(f"-rename -l {one.part} {one.target}")
        done = self._place.sftp(commands)
        if done.status:
            raise failed(str(self._place), "sftp", done)
        left = look(self._place, [one.part for one in files])
        taken = [one for one in files if one.part in left]
        if not taken:
            return
        there = look(self._place, [one.target for one in taken])
        self._tree.check([one.target for one in taken], there)
        if missing := [one for one in taken if one.target not in there]:
            raise self._refused(missing, done)
        found = digests(self._place, list(there))
        self._drop(taken)
        for one in taken:
            if found[one.target] != one.sha256:
                raise would_overwrite(one.name, found[one.target], one.sha256)
        self._tree.fit_files(there)

    def _drop(self, files: list[Sent]) -> None:
        self._place.sftp([f"-rm {one.part}" for one in files])

    def _refused(self, files: list[Sent], done: Ran) -> WorldError:
        """Return why sending failed; what nobody can use is removed first."""
        if DENIED in done.err:
            return self._tree.refused(files[0].target, done)
        needed = sum(one.size for one in files)
        folder = os.path.dirname(files[0].target)  # noqa: PTH120 (a path of the server)
        free, inodes = room(self._place, folder)
        there = look(self._place, [one.part for one in files])
        arrived = sum(one.size for one in there.values())
        if free + arrived < needed or not inodes:
            self._drop(files)
            return full(str(self._place), folder, free, needed - arrived)
        return failed(str(self._place), "sftp", done)
