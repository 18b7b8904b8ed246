"""What lies on a server, asked by fixed remote commands (GNU coreutils): status, digests, room.

Names go in and come back ended by NUL. What comes back is compared with what was asked for:
a name that nobody asked for is refused (T43).
"""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from relkit.adapters.git_command import said
from relkit.adapters.sftp import Ran, SshPlace, failed, nul
from relkit.errors import UsageError, WorldError

EACH = ("env", "LC_ALL=C", "xargs", "-0", "-r")
STATUS = (*EACH, "stat", "--printf='%f %s %u %U %d %i %n\\0'", "--")
DIGEST = (*EACH, "sha256sum", "-z", "--")
LARGE = (*EACH, "-n", "1", "-P", "2", "openssl", "dgst", "-sha256", "-r")
"""For few large files, two at a time: four times as fast as `sha256sum` where the processor has
instructions for it. A record of one file is written in one piece, so that none mingle."""
ROOM = (*EACH, "-n", "1", "df", "--output=avail,iavail", "-B1", "--")
WHO = ("id", "-u")
ROOT = re.compile(r"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._+-]+)+", flags=re.ASCII)
STATUS_LINE = re.compile(rb"([0-9a-f]+) (\d+) (\d+) (\S+) (\d+) (\d+) (.+)", flags=re.DOTALL)
DIGEST_LINE = re.compile(rb"([0-9a-f]{64}) [ *](.+)", flags=re.DOTALL)
GONE = re.compile(r".*: (?:No such file or directory|Not a directory)")


@dataclass(frozen=True)
class Found:
    """A file, folder or link of a server, not followed: as `stat` tells it."""

    kind: int
    size: int
    uid: int
    owner: str
    device: int
    inode: int

    @property
    def mode(self) -> int:
        """The bits of its mode, set-group-id among them."""
        return stat.S_IMODE(self.kind)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.kind)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, and no link to one."""
        return stat.S_ISDIR(self.kind)

    def is_same(self, other: Found) -> bool:
        """Tell whether both are one file, under two names."""
        return (self.device, self.inode) == (other.device, other.inode)


def checked_root(path: str) -> str:
    """Return a folder of a server, absolute and of plain letters, or refuse it (``BAD_FOLDER``)."""
    if not ROOT.fullmatch(path):
        raise UsageError(
            f"{path[:80]!r} cannot be a folder of a server",
            code="BAD_FOLDER",
            remedy="Give an absolute path of letters, digits and . _ + - in the world's file.",
        )
    return path


def look(place: SshPlace, paths: Iterable[str]) -> dict[str, Found]:
    """Return what is there under absolute paths; what is not there is left out."""
    asked = dict.fromkeys(paths)
    done = place.run(STATUS, nul(asked))
    found = {}
    for record in records(place, done, STATUS_LINE):
        kind, size, uid, owner, device, inode, name = record.groups()
        path = answered(name, asked)
        who = owner.decode(errors="replace")
        found[path] = Found(int(kind, 16), int(size), int(uid), who, int(device), int(inode))
    for line in done.err.splitlines():  # all of it: one for each file
        if not GONE.fullmatch(line.strip()) and len(found) < len(asked):
            raise failed(str(place), "stat", done)
    return found


def digests(place: SshPlace, paths: Collection[str], *, large: bool = True) -> dict[str, str]:
    """Return the SHA-256 of files, computed on the server; all of them must be there.

    `large`: by OpenSSL, if the server has it and no name needs more than a line.
    """
    asked = dict.fromkeys(paths)
    if not asked:
        return {}
    quick = large and all(path.isprintable() for path in asked)
    done = place.run(LARGE, nul(asked)) if quick else None
    if done is None or done.status:
        done = place.run(DIGEST, nul(asked))
    else:
        done = Ran(done.status, done.out.replace(b"\n", b"\0"), done.err)
    found = {
        answered(record[2], asked): record[1].decode()
        for record in records(place, done, DIGEST_LINE)
    }
    if len(found) < len(asked) or done.status:
        raise failed(str(place), "sha256sum", done)
    return found


def room(place: SshPlace, folder: str) -> tuple[int, int]:
    """Return how many bytes and how many files there is room for, where a folder is."""
    words = place.asked(ROOM, nul([folder])).decode().splitlines()[-1].split()
    free, files = (int(word) if word.isdigit() else 1 << 40 for word in words)
    return free, files


def user_id(place: SshPlace) -> int:
    """Return who we are there."""
    words = place.asked(WHO).strip()
    if not words.isdigit():
        raise _unclear(place, words)
    return int(words)


def records(place: SshPlace, done: Ran, pattern: re.Pattern[bytes]) -> list[re.Match[bytes]]:
    """Return the records of an answer, each ended by NUL."""
    pieces = done.out.split(b"\0")
    if pieces[-1]:
        raise _unclear(place, pieces[-1])
    found = []
    for piece in pieces[:-1]:
        match = pattern.fullmatch(piece)
        if match is None:
            raise _unclear(place, piece)
        found.append(match)
    return found


def answered(name: bytes, asked: Collection[str]) -> str:
    """Return a name of an answer, if it was asked for (``REMOTE_NAME``)."""
    text = name.decode(errors="backslashreplace")
    if text not in asked:
        raise strange(text)
    return text


def strange(name: str) -> WorldError:
    """Return the refusal of a name that a server gave, and nobody expected."""
    return WorldError(
        f"the server names {name[:80]!r}, which is not what was asked for",
        code="REMOTE_NAME",
        remedy="Look at the folder on the server; a name from there is never used as a path.",
    )


def _unclear(place: SshPlace, answer: bytes) -> WorldError:
    return WorldError(
        f"{place} answers what cannot be understood: {said(answer[:200])}",
        code="REMOTE_FAILED",
        remedy="The server needs a plain shell that prints nothing, and GNU coreutils; see there.",
    )
