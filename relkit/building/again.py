"""What an archive should hold, made again from the tag: its NEWS, its tar, the packed tar."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from relkit.building.archive import NEWS, Form, payload
from relkit.building.compress import GZIP, LARGE_PAGES, XZ, check_compressors
from relkit.building.lane import Compressor, Lane
from relkit.building.objects import Objects
from relkit.building.source import blurb_command, in_order, merged_news
from relkit.errors import WorldError

WAITING_PIECES = 16
Progress = Callable[[int], None]


@dataclass
class News:
    """``Misc/NEWS``, made again with one blurb after the other until one fits.

    `blurbs` are folders, ``blurb-<version>``. Afterwards `fits` is the version that made the
    archive's text, and `texts` has what each has made; `stopped` are those which cannot read the
    commit's entries.
    """

    objects: Objects
    commit: str
    blurbs: Sequence[Path]
    work: Path
    fits: str = ""
    texts: dict[str, bytes] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)

    def is_news(self, data: bytes) -> bool:
        """Tell whether one of the blurbs makes this text; True where none makes any."""
        for folder in self.blurbs:
            version = folder.name.removeprefix("blurb-")
            if self._make(folder, version) == data:
                self.fits = version
                return True
        return not self.texts

    def _make(self, folder: Path, version: str) -> bytes | None:
        work = self.work / folder.name
        work.mkdir(parents=True)
        command = blurb_command(folder)
        try:
            made = merged_news(self.objects, self.commit, blurb=command, folder=work)
        except WorldError as error:
            if error.code != "BLURB_FAILED":
                raise
            self.stopped.append(version)
            return None
        self.texts[version] = made
        return made


def tar_again(
    objects: Objects, commit: str, order: Sequence[str], form: Form, news: bytes | None
) -> Iterator[bytes]:
    """Make the tar of a commit, in pieces; `order` are its paths, `news` its ``Misc/NEWS``."""
    made = {} if news is None else {NEWS: lambda: news}
    with objects.files(commit) as members:
        yield from payload(in_order(members, order, made), form)


def sha256_of(pieces: Iterable[bytes]) -> str:
    """Return the SHA-256 of all pieces."""
    seen = hashlib.sha256()
    for piece in pieces:
        seen.update(piece)
    return seen.hexdigest()


def packed_again(
    pieces: Iterable[bytes], names: Sequence[str], folder: Path, progress: Progress
) -> dict[str, str]:
    """Pack a tar for each name, side by side; return the SHA-256 of each.

    `folder` is empty, and is left with the files. `progress` hears how many bytes the slowest
    compressor has taken. Raises `CheckError` (``TOOL_DRIFT``) where the compressors of this
    machine are known to give other bytes than those of releases.
    """
    check_compressors()
    slowest = next((name for name in names if name.endswith(".xz")), names[0])
    with ThreadPoolExecutor(max_workers=2 * len(names)) as pool:
        lanes: list[Lane] = []
        try:
            for name in names:
                heard = progress if name == slowest else _silent
                tool = _tool(name)
                path = folder / name
                lanes.append(Lane(pool, tool, path, waiting=WAITING_PIECES, progress=heard))
            for piece in pieces:
                for lane in lanes:
                    lane.put(piece)
            for lane in lanes:
                lane.end()
            return {
                name: lane.packed.result().sha256 for name, lane in zip(names, lanes, strict=True)
            }
        except BaseException:
            for lane in lanes:
                lane.halt()
            raise


def _tool(name: str) -> Compressor:
    return Compressor("xz", XZ, LARGE_PAGES) if name.endswith(".xz") else Compressor("gzip", GZIP)


def _silent(_: int) -> None:
    pass
