"""Files that an expert uploads: a folder on the download server, one in it for each release.

Into ``<folder>/<version>/`` (``incoming/macos/3.15.0a1/``) the expert puts exactly the expected
files and a text `LIST` (`relkit.building.uploads`). Its digests are those of the machine that
built: an upload that is cut, or still growing, does not have them. Until all is there and right,
the build is waited for; what is wrong is said, and can be uploaded anew. One account uploads all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from relkit.adapters.public import MOST_BYTES
from relkit.adapters.remote_download import wanted_of
from relkit.adapters.subjects import digest_changed, opened
from relkit.adapters.web import quoted
from relkit.building.uploads import LIST, SHOWN, Said, read_list, refused, shown, some
from relkit.errors import CheckError, ReleaseError
from relkit.release import Version
from relkit.values import Build, BuildState

MAX_ENTRIES = 1000
MAX_LIST_BYTES = 64_000
UNDER_WAY = re.compile(r"\.?(?P<name>[A-Za-z0-9].*?)(?:\.(?:part|filepart|[A-Za-z0-9]{6}))?")
"""How clients name a file while they upload it; only where it is derived from an expected name."""


@dataclass(frozen=True)
class Entry:
    """What lies in a folder of the server: `mtime` in seconds, `regular` if it is a plain file.

    `owner` is the account there; empty where there are no accounts.
    """

    name: str
    size: int
    mtime: float
    regular: bool = True
    owner: str = ""


class Uploads(Protocol):
    """The server where experts upload, as much as is needed of it."""

    def list(self, *, folder: str) -> tuple[Entry, ...] | None:
        """Return what lies in a folder, at most `MAX_ENTRIES` + 1; None: no such folder."""

    def digests(self, *, folder: str, names: Sequence[str]) -> Mapping[str, str]:
        """Return the SHA-256 of files by name, computed on the server; none of what is not there.

        The names are those that were asked for.
        """

    def get(self, *, folder: str, name: str, target: Path) -> None:
        """Download a file."""

    def read(self, *, folder: str, name: str, limit: int) -> str:
        """Return a text in UTF-8 of at most so many bytes."""


class Incoming:
    """`relkit.adapters.remote_builders.BuildService`: one build whose files arrive in a folder.

    `builder` is the URI by which the policy names whoever uploads there.
    """

    def __init__(self, place: Uploads, *, folder: str, builder: str) -> None:
        self._place = place
        self._folder = folder.rstrip("/")
        self._builder = builder

    def find(self, *, build: Build, since: datetime) -> None:
        """Return nothing: starting sends nothing, so nothing can be lost."""
        del build, since

    def start(self, *, build: Build) -> str:
        """Return the folder of the release; people learn of it by a message."""
        return f"{self._folder}/{Version.parse(build.version)}"

    def state(self, *, build: Build, run: str) -> BuildState:
        """Tell what is there; done once all files have the digests of the list, twice alike."""
        try:
            return self._state(build, run)
        except CheckError as error:
            return BuildState(status="failed", detail=str(error))

    def fetch(self, *, build: Build, run: str, folder: Path) -> dict[str, str]:
        """Download the files, each with the digest that the list and the server say."""
        said = self._as_before(build, run)
        names = wanted_of(build)
        there = self._place.digests(folder=run, names=names)
        for name in names:
            expected = said.digests.get(name, "none in the list")
            if there.get(name) != expected:
                raise digest_changed(name, there.get(name, "none"), expected)
            self._place.get(folder=run, name=name, target=folder / name)
            with opened(folder / name, expected):
                pass
        owners = {one.owner for one in self._place.list(folder=run) or () if one.name in names}
        who = ", ".join(sorted(owners - {""}))
        facts = {"commit": said.commit, "version": said.version, "run": run}
        return {**facts, "builder": self._builder, **({"uploader": quoted(who)} if who else {})}

    def cancel(self, *, build: Build, run: str) -> None:
        """Do nothing: the files are the expert's."""

    def log(self, *, build: Build, run: str) -> str:
        """Return what lies in the folder, with the sizes."""
        del build
        found = self._place.list(folder=run) or ()
        return "\n".join(f"{one.size:>12} {shown(one.name)}" for one in found)[:4000]

    def builder(self) -> str:
        """Return who uploads there, as the policy names it."""
        return self._builder

    def _state(self, build: Build, run: str) -> BuildState:
        wanted = (*wanted_of(build), LIST)
        before = self._place.list(folder=run) or ()
        there = _checked(before, wanted, run)
        text = self._read(run) if LIST in there else ""
        try:
            said = read_list(text) if text else None
        except CheckError as error:
            if text.endswith("\n"):
                raise
            return _running(f"{LIST} is still uploaded, or its last line has no end: {error}")
        if said is not None and said.failed and said.is_of(build):
            return BuildState(status="failed", detail=f"the expert says: {quoted(said.failed)}")
        missing = [one for one in wanted if one not in there or (one == LIST and not text)]
        if missing or said is None:
            count = f"{len(there)} of {len(wanted)} files in {run}"
            return _running(f"{count}, waits for {some(missing)}")
        if odd := _odd(said, build, run) or self._other(said, wanted[:-1], run):
            return _running(odd)
        if (self._place.list(folder=run) or ()) != before:
            return _running("all files are there; one of them is still being changed")
        return BuildState(status="done")

    def _other(self, said: Said, names: Sequence[str], run: str) -> str:
        """Say which file has not the digest of the list; empty: all have."""
        digests = self._place.digests(folder=run, names=names)
        for name in names:
            if digests.get(name) != said.digests[name]:
                return (
                    f"{name} is still uploaded, or was changed: it has the digest "
                    f"{digests.get(name, 'none')}, {LIST} says {said.digests[name]}"
                )
        return ""

    def _read(self, run: str) -> str:
        return self._place.read(folder=run, name=LIST, limit=MAX_LIST_BYTES)

    def _as_before(self, build: Build, run: str) -> Said:
        """Return the list, which was right a moment ago; what it is by now fails no build."""
        why: ReleaseError | None = None
        try:
            said = read_list(self._read(run))
            if said.is_of(build) and not said.failed:
                return said
        except CheckError as error:
            why = error
        raise CheckError(
            f"{LIST} in {run} was changed just now",
            code="DIGEST_CHANGED",
            remedy="Nothing was kept: it is looked at anew when this runs again.",
        ) from why


def _odd(said: Said, build: Build, run: str) -> str:
    """Say in what a list differs from what a build asks for; empty: in nothing."""
    if not said.is_of(build):
        return (
            f"waits for files of {build.version} from {build.commit}; "
            f"those in {run} are of {said.version} from {said.commit}"
        )
    differ = {*said.digests} ^ {*wanted_of(build)}
    return f"{LIST} and the expected set differ in {some(sorted(differ))}" if differ else ""


def _checked(found: tuple[Entry, ...], wanted: Sequence[str], run: str) -> set[str]:
    """Return which of the wanted files are there; refuse all that is not wanted.

    A file that a client uploads under a name of its own is not there yet, and no stranger.
    """
    if len(found) > MAX_ENTRIES:
        raise refused("REMOTE_NAME", f"{run} has more than {MAX_ENTRIES} entries")
    strange = [
        one.name
        for one in found
        if not one.regular or (one.name not in wanted and not _under_way(one.name, wanted))
    ]
    if strange:
        said = ", ".join(shown(name) for name in strange[:SHOWN])
        raise refused("UNLISTED_FILE", f"{len(strange)} in {run} belong to no release: {said}")
    owners = sorted({one.owner for one in found if one.name in wanted})
    if len(owners) > 1:
        said = ", ".join(shown(name) for name in owners[:SHOWN])
        raise refused("INCOMING_OWNERS", f"the files in {run} are of several accounts: {said}")
    if large := [one for one in found if one.name in wanted and one.size > MOST_BYTES]:
        raise refused("TOO_LARGE", f"{large[0].name} has {large[0].size} bytes")
    return {one.name for one in found if one.name in wanted and one.size}


def _under_way(name: str, wanted: Sequence[str]) -> bool:
    found = UNDER_WAY.fullmatch(name)
    return found is not None and found["name"] in wanted


def _running(detail: str) -> BuildState:
    return BuildState(status="running", detail=detail)
