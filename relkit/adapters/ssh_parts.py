"""What has arrived of files on a server, in this call and in earlier ones that were cut off.

A file arrives under a name that nobody else uses: ``.part-NONCE-DIGEST-NAME``, with the first
digits of its SHA-256. So no file is ever written by two: neither by another process, nor by the
rest of a connection that was given up, whose last bytes can still come when its line is mended. To
go on with what an earlier call has sent, that is copied on the server.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from relkit.adapters.downloads_shared import PART, part_name
from relkit.adapters.remote_files import EACH, Found, records
from relkit.adapters.remote_folders import RemoteTree
from relkit.adapters.sftp import SshPlace, failed, nul

FIND = (
    *(*EACH, "-I{}", "find", "{}", "-maxdepth", "1", "-type", "f", "-name", f"'{PART}*'"),
    *("-printf", "'%s %U %p\\0'"),
)
COPY = (*EACH, "-n", "2", "cp", "--reflink=auto", "--")
LISTED = re.compile(rb"(\d{1,19}) (\d{1,10}) (.+)", flags=re.DOTALL)
NONCE = re.compile(rf"/{re.escape(PART)}([0-9a-f]{{12}})-")


@dataclass(frozen=True)
class Part:
    """A file that has arrived, perhaps in part."""

    path: str
    size: int


def new_part(target: str, sha256: str, nonce: str = "") -> str:
    """Return a name under which a file can arrive, beside where it is to be."""
    folder, _, name = target.rpartition("/")
    return f"{folder}/{part_name(name, sha256, nonce)}"


def arrived(
    place: SshPlace, tree: RemoteTree, files: Mapping[str, str], seen: Mapping[str, Found]
) -> dict[str, list[Part]]:
    """Return what we have sent of files, digests by path, of which nobody has seen the end.

    `seen` has the folders that there are. What is not named as relkit names it is left alone.
    """
    folders = dict.fromkeys(path.rpartition("/")[0] for path in files)
    asked = [folder for folder in folders if folder in seen]
    found: dict[str, list[Part]] = {}
    if not asked:
        return found
    done = place.run(FIND, nul(asked))
    if done.status:
        raise failed(str(place), "find", done)
    sizes = {
        record[3].decode(errors="replace"): int(record[1])
        for record in records(place, done, LISTED)
        if int(record[2]) == tree.uid
    }
    nonces = {match[1] for path in sizes if (match := NONCE.search(path))}
    for target, sha256 in files.items():
        names = (new_part(target, sha256, nonce) for nonce in nonces)
        found[target] = [Part(name, sizes[name]) for name in names if name in sizes]
    return found


def copy(place: SshPlace, names: Mapping[str, str]) -> None:
    """Copy files on the server, new names by old ones, to be gone on with."""
    if names:
        place.asked(COPY, nul(one for pair in names.items() for one in pair))


def drop(place: SshPlace, paths: Collection[str]) -> None:
    """Remove parts, as far as they are there."""
    if paths:
        place.sftp([f"-rm {path}" for path in paths])
