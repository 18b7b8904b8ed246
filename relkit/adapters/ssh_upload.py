"""Sending files to a folder where nobody sees them until they are whole and have their digest.

Each arrives under a name of its own (`relkit.adapters.ssh_parts`). Cut off, it is gone on with
where it ended; the server computes its digest, and what has another one is thrown away and sent
once more. Then it gets its name in a way that fails where the name is taken: OpenSSH's server makes
a hard link of SFTP's own *rename*.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from relkit.adapters.downloads_shared import FILE_MODE, absent, changed, in_the_way, would_overwrite
from relkit.adapters.remote_files import digests, look, room
from relkit.adapters.remote_folders import DENIED, RemoteTree, full
from relkit.adapters.sftp import SshPlace, failed
from relkit.adapters.ssh_parts import Part, copy, drop, new_part
from relkit.adapters.ssh_process import Ran
from relkit.errors import WorldError


@dataclass
class Sent:
    """A file to send: its name here, where it is to be, and the digest it must have.

    `parts` is what earlier calls have sent of it, `part` the name under which it arrives in this
    one, and `begun` whether it goes on there with what has arrived.
    """

    name: str
    target: str
    sha256: str
    size: int
    parts: list[Part] = field(default_factory=list)
    part: str = ""
    begun: bool = False


class Upload:
    """Sends files of the folder `source` to a tree of the server."""

    def __init__(
        self, place: SshPlace, tree: RemoteTree, source: Path, tell: Callable[[str], None]
    ) -> None:
        self._place, self._tree, self._source, self._tell = place, tree, source, tell

    def sent(self, target: str, sha256: str, parts: Mapping[str, list[Part]]) -> Sent:
        """Look at a file here, before anything is sent; `parts` is what has arrived, by target."""
        name = PurePosixPath(target).name
        path = self._source / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise in_the_way(path)
        if not path.exists():
            raise absent(name, "the collected files")
        return Sent(name, target, sha256, path.stat().st_size, parts.get(target, []))

    def send(self, files: list[Sent]) -> None:
        """Send files to their parts, compare their digests, and give them their names."""
        self._find_whole(files)
        missing = [one for one in files if not one.part]
        self._go_on(missing)
        self._put(missing)
        if wrong := self._wrong(missing):
            for one in wrong:
                one.part, one.begun = new_part(one.target, one.sha256), False
            self._put(wrong)
            if still := self._wrong(wrong):
                found = self._local_digest(still[0])
                target = PurePosixPath(still[0].target)
                raise changed(target, f"not ours of {found}", still[0].sha256)
        self._name(files)
        drop(self._place, [part.path for one in files for part in one.parts])

    def _find_whole(self, files: list[Sent]) -> None:
        """Find the files that an earlier call has sent whole, and throw away what is other."""
        long = {part.path: one for one in files for part in one.parts if part.size >= one.size}
        found = digests(self._place, long)
        for path, one in long.items():
            if found[path] == one.sha256:
                one.part = path
        drop(self._place, [path for path, one in long.items() if found[path] != one.sha256])

    def _go_on(self, files: list[Sent]) -> None:
        """Name the parts, each with a copy of the most that has arrived of its file."""
        copies = {}
        for one in files:
            one.part = new_part(one.target, one.sha256)
            some = [part for part in one.parts if 0 < part.size < one.size]
            if some:
                copies[max(some, key=lambda part: part.size).path] = one.part
                one.begun = True
        copy(self._place, copies)

    def _put(self, files: list[Sent]) -> None:
        """Send files; what is here is read-only, and so would be what has arrived of it."""
        commands, told = [], {}
        for one in files:
            if one.begun:
                commands.append(f"chmod 0600 {one.part}")
            commands.append(f"{'reput' if one.begun else 'put'} -f ./{one.name} {one.part}")
            told[commands[-1]] = one.name
        if not commands:
            return
        count = iter(range(1, len(told) + 1))

        def begun(command: str) -> None:
            if command in told:
                self._tell(f"{next(count)} of {len(told)}: sends {told[command]}")

        done = self._place.sftp(commands, folder=self._source, begun=begun)
        if done.status:
            raise self._refused(files, done)

    def _wrong(self, files: list[Sent]) -> list[Sent]:
        """Throw away and return what arrived with another digest; refuse what changed here."""
        found = digests(self._place, [one.part for one in files])
        wrong = [one for one in files if found[one.part] != one.sha256]
        drop(self._place, [one.part for one in wrong])
        for one in wrong:
            if (local := self._local_digest(one)) != one.sha256:
                drop(self._place, [one.part for one in files])
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
        found = digests(self._place, there)
        drop(self._place, [one.part for one in taken])
        for one in taken:
            if found[one.target] != one.sha256:
                raise would_overwrite(one.name, found[one.target], one.sha256)
        self._tree.fit_files(there)

    def _refused(self, files: list[Sent], done: Ran) -> WorldError:
        """Return why sending failed; what nobody can use is removed first."""
        if DENIED in done.err:
            return self._tree.refused(files[0].target, done)
        needed = sum(one.size for one in files)
        folder = str(PurePosixPath(files[0].target).parent)
        free, inodes = room(self._place, folder)
        there = look(self._place, [one.part for one in files])
        arrived = sum(one.size for one in there.values())
        if free + arrived < needed or not inodes:
            drop(self._place, [*there, *(part.path for one in files for part in one.parts)])
            return full(str(self._place), folder, free, needed - arrived)
        return failed(str(self._place), "sftp", done)
