"""Where experts upload: a folder of the download server, looked at and read by SSH."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from relkit.adapters.incoming import MAX_ENTRIES, MAX_LIST_BYTES, Entry
from relkit.adapters.remote_files import EACH, checked_root, digests, look, records
from relkit.adapters.sftp import SshPlace, failed, nul
from relkit.errors import WorldError

LIST = (
    *(*EACH, "-I{}", "find", "{}", "-mindepth", "1", "-maxdepth", "1"),
    *("-printf", "'%s %T@ %y %u %f\\0'"),
)
LISTED = re.compile(rb"(\d+) (\d+(?:\.\d+)?) (.) (\S+) (.+)", flags=re.DOTALL)
READ = (*EACH, "head", "-c", str(MAX_LIST_BYTES + 1), "--")


class SshUploads:
    """`relkit.adapters.incoming.Uploads` on a server."""

    def __init__(self, place: SshPlace) -> None:
        self._place = place

    def list(self, *, folder: str) -> tuple[Entry, ...] | None:
        """Return what lies in a folder, in order of name; links are not followed."""
        seen = look(self._place, [checked_root(folder)])
        if folder not in seen or not seen[folder].is_folder:
            return None
        done = self._place.run(LIST, nul([folder]))
        if done.status:
            raise failed(str(self._place), "find", done)
        found = [
            Entry(
                name=record[5].decode(errors="backslashreplace"),
                size=int(record[1]),
                mtime=float(record[2]),
                regular=record[3] == b"f",
                owner=record[4].decode(errors="backslashreplace"),
            )
            for record in records(self._place, done, LISTED)[: MAX_ENTRIES + 1]
        ]
        return tuple(sorted(found, key=lambda one: one.name))

    def digests(self, *, folder: str, names: Sequence[str]) -> Mapping[str, str]:
        """Return the SHA-256 of those files that are there, computed there."""
        paths = {f"{checked_root(folder)}/{name}": name for name in names}
        files = [path for path, one in look(self._place, paths).items() if one.is_file]
        return {paths[path]: sha256 for path, sha256 in digests(self._place, files).items()}

    def get(self, *, folder: str, name: str, target: Path) -> None:
        """Download a file by SFTP."""
        path = f"{checked_root(folder)}/{name}"
        done = self._place.sftp([f"get {path} {target.name}"], folder=target.parent)
        if done.status:
            raise failed(str(self._place), f"get {name}", done)

    def read(self, *, folder: str, name: str, limit: int) -> str:
        """Return a text; refuse (``TOO_LARGE``, ``NOT_UTF8``) what is none."""
        path = f"{checked_root(folder)}/{name}"
        found = look(self._place, [path]).get(path)
        if found is None or not found.is_file:
            raise WorldError(
                f"{path} is gone, or no file",
                code="REMOTE_FAILED",
                remedy="Run it again; ask whoever uploads there.",
            )
        return text_within(self._place.asked(READ, nul([path])), name, limit)


def text_within(data: bytes, name: str, limit: int) -> str:
    """Return data as text in UTF-8, or raise `WorldError` (``TOO_LARGE``, ``NOT_UTF8``)."""
    if len(data) > limit:
        raise WorldError(
            f"{name} has more than {limit} bytes",
            code="TOO_LARGE",
            remedy="Ask whoever uploaded it for the text that belongs there.",
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise WorldError(
            f"{name} is not text in UTF-8: {error.reason} at byte {error.start}",
            code="NOT_UTF8",
            remedy="Ask whoever uploaded it for the text in UTF-8.",
        ) from error
