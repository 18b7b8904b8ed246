"""Files that an expert uploads: a folder on the download server, one in it for each release.

Into ``<folder>/<version>/`` (``incoming/macos/3.15.0a1/``) the expert puts exactly the expected
files and a text `LIST`, which says what they were built from and which they are:

    commit 0123456789012345678901234567890123456789
    version 3.15.0a1
    <SHA-256>  python-3.15.0a1-macos11.pkg

Two lines that anybody can write (the commit is ``git rev-parse HEAD`` where it was built), then
what ``sha256sum *`` or ``shasum -a 256 *`` prints there. The digests are those of the machine that
built: an upload that is cut, or still growing, does not have them. Until all is there and right,
the build is waited for; what is wrong is said, and can be uploaded anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from relkit.adapters.remote_download import wanted_of
from relkit.adapters.subjects import digest_changed, opened
from relkit.errors import CheckError, ReleaseError
from relkit.release import Version
from relkit.values import Build, BuildState

LIST = "built-from.txt"
MAX_ENTRIES = 1000
MAX_LIST_BYTES = 64_000
SHOWN = 3
LINE = re.compile(r"([0-9a-f]{64}) [ *]([A-Za-z0-9][A-Za-z0-9._+-]{0,150})")
HEAD = re.compile(r"(commit) ([0-9a-f]{40})|(version) ([0-9a-z.]{1,20})")
WEAK = re.compile(r"(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}) [ *].*")
UNDER_WAY = re.compile(r"\.?(?P<name>[A-Za-z0-9].*?)(?:\.(?:part|filepart|[A-Za-z0-9]{6}))?")
"""How clients name a file while they upload it; only where it is derived from an expected name."""


@dataclass(frozen=True)
class Entry:
    """What lies in a folder of the server: `mtime` in seconds, `regular` if it is a plain file."""

    name: str
    size: int
    mtime: float
    regular: bool = True


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


@dataclass(frozen=True)
class Said:
    """What an expert's list says."""

    commit: str
    version: str
    digests: Mapping[str, str]


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
        said = self._said(run)
        names = wanted_of(build)
        there = self._place.digests(folder=run, names=names)
        for name in names:
            expected = said.digests.get(name, "none in the list")
            if there.get(name) != expected:
                raise digest_changed(name, there.get(name, "none"), expected)
            self._place.get(folder=run, name=name, target=folder / name)
            with opened(folder / name, expected):
                pass
        facts = {"commit": said.commit, "version": said.version}
        return {**facts, "run": run, "builder": self._builder}

    def cancel(self, *, build: Build, run: str) -> None:
        """Do nothing: the files are the expert's."""

    def log(self, *, build: Build, run: str) -> str:
        """Return what lies in the folder, with the sizes."""
        del build
        found = self._place.list(folder=run) or ()
        return "\n".join(f"{one.size:>12} {_shown(one.name)}" for one in found)[:4000]

    def builder(self) -> str:
        """Return who uploads there, as the policy names it."""
        return self._builder

    def _state(self, build: Build, run: str) -> BuildState:
        wanted = (*wanted_of(build), LIST)
        before = self._place.list(folder=run) or ()
        there = _checked(before, wanted, run)
        if missing := [name for name in wanted if name not in there]:
            count = f"{len(there)} of {len(wanted)} files in {run}"
            return _running(f"{count}, waits for {_some(missing)}")
        said = self._said(run)
        if (said.commit, said.version) != (build.commit, build.version):
            return _running(
                f"waits for files of {build.version} from {build.commit}; "
                f"those in {run} are of {said.version} from {said.commit}"
            )
        if sorted(said.digests) != sorted(wanted[:-1]):
            odd = sorted({*said.digests} ^ {*wanted[:-1]})
            return _running(f"{LIST} and the expected set differ in {_some(odd)}")
        digests = self._place.digests(folder=run, names=wanted[:-1])
        for name in wanted[:-1]:
            if digests.get(name) != said.digests[name]:
                return _running(
                    f"{name} is still uploaded, or was changed: it has the digest "
                    f"{digests.get(name, 'none')}, {LIST} says {said.digests[name]}"
                )
        if (self._place.list(folder=run) or ()) != before:
            return _running("all files are there; one of them is still being changed")
        return BuildState(status="done")

    def _said(self, run: str) -> Said:
        return read_list(self._place.read(folder=run, name=LIST, limit=MAX_LIST_BYTES))


def read_list(text: str) -> Said:
    """Read an expert's list. Raises `CheckError` (``INCOMING_LIST``, ``WEAK_DIGEST``)."""
    heads: dict[str, str] = {}
    digests: dict[str, str] = {}
    # A text from Windows may begin with a mark and end its lines in its own way.
    for line in text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"):
        if not line.strip():
            continue
        if WEAK.fullmatch(line):
            raise _refused("WEAK_DIGEST", f"{_shown(line)} has no SHA-256")
        if found := HEAD.fullmatch(line):
            name, value = (word for word in found.groups() if word)
            known = heads
        elif found := LINE.fullmatch(line):
            value, name = found.groups()
            known = digests
        else:
            raise _refused("INCOMING_LIST", f"nobody can read {_shown(line)} in it")
        if known.setdefault(name, value) != value:
            raise _refused("INCOMING_LIST", f"it says two things of {name}")
    digests.pop(LIST, None)  # of an older form of itself, if it lay there already
    if {*heads} != {"commit", "version"}:
        raise _refused("INCOMING_LIST", f"it says {_some(sorted(heads)) or 'nothing'} of the two")
    return Said(heads["commit"], heads["version"], digests)


def _checked(found: tuple[Entry, ...], wanted: Sequence[str], run: str) -> set[str]:
    """Return which of the wanted files are there; refuse all that is not wanted.

    A file that a client uploads under a name of its own is not there yet, and no stranger.
    """
    if len(found) > MAX_ENTRIES:
        raise _refused("REMOTE_NAME", f"{run} has more than {MAX_ENTRIES} entries")
    strange = [
        one.name
        for one in found
        if not one.regular or (one.name not in wanted and not _under_way(one.name, wanted))
    ]
    if strange:
        said = ", ".join(_shown(name) for name in strange[:SHOWN])
        raise _refused("UNLISTED_FILE", f"{len(strange)} in {run} belong to no release: {said}")
    return {one.name for one in found if one.name in wanted and one.size}


def _under_way(name: str, wanted: Sequence[str]) -> bool:
    found = UNDER_WAY.fullmatch(name)
    return found is not None and found["name"] in wanted


def _running(detail: str) -> BuildState:
    return BuildState(status="running", detail=detail)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _shown(text: str) -> str:
    return ascii(text)[:100]


def _refused(code: str, said: str) -> ReleaseError:
    return CheckError(
        f"what an expert uploaded cannot be taken: {said}",
        code=code,
        remedy=f"Ask the expert to put exactly the expected files and {LIST} there, all anew.",
    )
