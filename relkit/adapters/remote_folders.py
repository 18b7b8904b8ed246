"""Folders of a server: looked at before they are entered, and made with the right mode and group.

What is ours gets its mode; what somebody else made is never changed: its mode suffices, or we stop
with its owner's name (I17).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from relkit.adapters.downloads_shared import FILE_MODE, FOLDER_MODE, checked, in_the_way
from relkit.adapters.remote_files import EACH, Found, look, room
from relkit.adapters.sftp import SshPlace, failed, nul
from relkit.adapters.ssh_process import Ran
from relkit.errors import WorldError

GROUP_FOLDER_MODE = 0o2775
ENTERED = 0o005
"""What everybody needs of a folder to reach a file in it."""
CHGRP = (*EACH, "chgrp", "--")
"""Takes the group first, then the folders: few, so that it is one call."""
DENIED = "Permission denied"


class RemoteTree:
    """The folders below one folder of a server, `root`, which must be there."""

    def __init__(self, place: SshPlace, root: str, *, uid: int, group: str) -> None:
        self._place, self.root, self.uid, self._group = place, root, uid, group
        self._mode = GROUP_FOLDER_MODE if group else FOLDER_MODE

    def path(self, below: str) -> str:
        """Return where a path is on the server; a part that is no plain name is refused."""
        return "/".join([self.root, *(checked(part) for part in below.split("/"))])

    def above(self, path: str) -> tuple[str, ...]:
        """Return the folders between the root and a path, the outermost first."""
        parts = path.removeprefix(f"{self.root}/").split("/")[:-1]
        return tuple("/".join([self.root, *parts[:end]]) for end in range(1, len(parts) + 1))

    def check(self, paths: Iterable[str], seen: Mapping[str, Found]) -> None:
        """Refuse links on the way to files, and whatever is no file at the end (``NOT_A_FILE``)."""
        for path in paths:
            for folder in self.above(path):
                if folder in seen and not seen[folder].is_folder:
                    raise in_the_way(PurePosixPath(folder))
            if path in seen and not seen[path].is_file:
                raise in_the_way(PurePosixPath(path))

    def open(self, paths: Iterable[str], seen: Mapping[str, Found]) -> None:
        """Make the folders of files, as far as they are not there, outermost first."""
        wanted = dict.fromkeys(folder for path in paths for folder in self.above(path))
        new = [folder for folder in wanted if folder not in seen]
        if new:
            # Somebody can make one at the same moment: what counts is what is there afterwards.
            self._place.sftp([f"-mkdir {folder}" for folder in new])
            now = look(self._place, new)
            if gone := [folder for folder in new if folder not in now]:
                raise self.refused(gone[0], None)
        else:
            now = {}
        there = {**seen, **now}
        self.check([f"{folder}/x" for folder in wanted], there)
        self._fit({folder: there[folder] for folder in wanted})

    def _fit(self, folders: Mapping[str, Found]) -> None:
        """Give our folders their mode and group; look at the others'."""
        for folder, found in folders.items():
            if found.uid != self.uid and found.mode & ENTERED != ENTERED:
                raise foreign(folder, found, f"{self._mode:04o}")
        ours = {path: one for path, one in folders.items() if one.uid == self.uid}
        other = [path for path, one in ours.items() if self._group not in {"", one.group}]
        if other:
            self._place.asked(CHGRP, nul([self._group, *other]))
        wrong = [path for path, one in ours.items() if one.mode != self._mode]
        if wrong := [*dict.fromkeys([*other, *wrong])]:
            self.do([f"chmod {self._mode:04o} {path}" for path in wrong])

    def fit_files(self, files: Mapping[str, Found]) -> None:
        """Give our files their mode; refuse another's whose mode is not the one (I16, I17)."""
        wrong = [path for path, one in files.items() if one.mode != FILE_MODE]
        for path in wrong:
            if files[path].uid != self.uid:
                raise foreign(path, files[path], f"{FILE_MODE:04o}")
        if wrong:
            self.do([f"chmod {FILE_MODE:04o} {path}" for path in wrong])

    def do(self, commands: list[str]) -> None:
        """Run commands of sftp, which all must succeed."""
        done = self._place.sftp(commands)
        if done.status:
            raise failed(str(self._place), "sftp", done)

    def refused(self, path: str, done: Ran | None) -> WorldError:
        """Return why something could not be made: a folder of somebody else, or no room."""
        above = [self.root, *self.above(path)]
        seen = look(self._place, above)
        last = next((one for one in reversed(above) if one in seen), None)
        if last is None:
            return WorldError(
                f"{self.root} is not on the server; nothing was put there",
                code="NOT_THERE",
                remedy="Correct the folder in the world's file, or have it made.",
            )
        free, files = room(self._place, last)
        if not free or not files:
            return full(str(self._place), last, free, 1)
        if seen[last].uid != self.uid and (done is None or DENIED in done.err):
            return foreign(last, seen[last], f"{self._mode:04o}")
        return failed(str(self._place), "sftp", done or Ran(1, b"", f"{path} was not made"))


def foreign(path: str, found: Found, wanted: str) -> WorldError:
    """Return the refusal of what somebody else made in a way that does not do."""
    mode = f"{found.mode:04o}"
    needed = f"needed is {wanted}" if mode != wanted else f"so only {found.owner} may write there"
    return WorldError(
        f"{path} is {found.owner}'s and has the mode {mode}, {needed}",
        code="REMOTE_OWNER",
        remedy=f"Nothing was put there. Ask {found.owner} to give it the mode and the group by "
        "which you may write there; then run this again.",
    )


def full(where: str, folder: str, free: int, needed: int) -> WorldError:
    """Return the refusal to go on where there is no room."""
    return WorldError(
        f"{folder} on {where} has {free} bytes left, {needed} are needed",
        code="REMOTE_FULL",
        remedy="Make room there (what was sent of the file is gone again), then run this again.",
    )
