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
from relkit.adapters.sftp import SshPlace, failed, nul
from relkit.adapters.ssh_process import Ran
from relkit.errors import UsageError, WorldError

EACH = ("env", "LC_ALL=C", "xargs", "-0", "-r")
STATUS = (*EACH, "stat", "--printf='%f %s %u %U %G %d %i %n\\0'", "--")
DIGEST = (*EACH, "sha256sum", "-z", "--")
LARGE = (*EACH, "-n", "5", "-P", "2", "openssl", "dgst", "-sha256", "-r")
"""For large files, by two processes at a time: four times as fast as `sha256sum` where the
processor has instructions for it. What each says is written in one piece, so that none mingle."""
PLAIN_CHARACTERS = 600
"""The longest path that leaves its piece short enough."""
ROOM = (*EACH, "-n", "1", "df", "--output=avail,iavail", "-B1", "--")
WHO = ("id", "-u")
UID = re.compile(rb"[0-9]{1,10}")
ROOT = re.compile(r"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._+-]+)+", flags=re.ASCII)
STATUS_LINE = re.compile(
    rb"([0-9a-f]{1,8}) (\d{1,19}) (\d{1,10}) (\S+) (\S+) (\d{1,20}) (\d{1,20}) (.+)",
    flags=re.DOTALL,
)
DIGEST_LINE = re.compile(rb"([0-9a-f]{64}) [ *](.+)", flags=re.DOTALL)
GONE = re.compile(r"stat: .*: (?:No such file or directory|Not a directory)")
ROOM_LINE = re.compile(rb"\s*(\d{1,30}|-)\s+(\d{1,30}|-)\s*")


@dataclass(frozen=True)
class Found:
    """A file, folder or link of a server, not followed: as `stat` tells it."""

    kind: int
    size: int
    uid: int
    owner: str
    group: str
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
        kind, size, uid, owner, group, device, inode, name = record.groups()
        numbers = int(kind, 16), int(size), int(uid)
        names = said(owner), said(group)
        found[answered(name, asked)] = Found(*numbers, *names, int(device), int(inode))
    # What is not there is said, once for each; what is only not told of would be taken for free.
    gone = sum(GONE.fullmatch(line.strip()) is not None for line in done.err.splitlines())
    if len(found) + gone != len(asked):
        raise failed(str(place), "stat", done)
    return found


def digests(place: SshPlace, paths: Collection[str], *, large: bool = True) -> dict[str, str]:
    """Return the SHA-256 of files, computed on the server; all of them must be there.

    `large`: by OpenSSL, if the server has it and all names are plain.
    """
    asked = dict.fromkeys(paths)
    if not asked:
        return {}
    quick = large and all(path.isprintable() and len(path) < PLAIN_CHARACTERS for path in asked)
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
    answer = place.asked(ROOM, nul([folder]))
    match = ROOM_LINE.fullmatch((answer.splitlines() or [b""])[-1])
    if match is None:
        raise _unclear(place, answer)
    free, files = (int(word) if word.isdigit() else 1 << 40 for word in match.groups())
    return free, files


def user_id(place: SshPlace) -> int:
    """Return who we are there."""
    words = place.asked(WHO).strip()
    if UID.fullmatch(words) is None:
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
