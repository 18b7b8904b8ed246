"""Requests and answers of the python.org stand-in, without any of the site's rules."""

from __future__ import annotations

import json
import os
import stat
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

CHUNK_BYTES = 256 * 1024
HTML = "text/html; charset=utf-8"
JSON = "application/json"
BINARY = "application/octet-stream"
# Fixed here, since `mimetypes` depends on files of the machine.
CONTENT_TYPES = {
    ".asc": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": HTML,
    ".js": "text/javascript; charset=utf-8",
    ".json": JSON,
    ".png": "image/png",
    ".sigstore": JSON,
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class Call:
    """One request. Header names are in lower case, the path and the query are decoded."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    address: str = "127.0.0.1"

    @property
    def host(self) -> str:
        """Host and port as the client wrote them; links in answers of v2 begin with them."""
        return self.headers.get("host", "127.0.0.1")

    @property
    def is_read(self) -> bool:
        """Whether the method asks for nothing to be changed."""
        return self.method in {"GET", "HEAD"}


class OpenFile:
    """A file held open: what it was stays readable after another file took its name."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        weakref.finalize(self, os.close, self._descriptor)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError(path)
        self.size = status.st_size
        self._stamp = status.st_mtime_ns

    def unchanged(self) -> bool:
        """Tell whether nobody wrote into the file itself since it was opened."""
        status = os.fstat(self._descriptor)
        return (status.st_size, status.st_mtime_ns) == (self.size, self._stamp)

    def chunks(self) -> Iterator[bytes]:
        """Yield the content from the start; several threads may do so at once."""
        position = 0
        while chunk := os.pread(self._descriptor, CHUNK_BYTES, position):
            position += len(chunk)
            yield chunk

    def read(self) -> bytes:
        """Return the content."""
        return b"".join(self.chunks())


@dataclass(frozen=True)
class Reply:
    """One answer; its content is `body`, or else `file`."""

    status: int
    body: bytes = b""
    content_type: str = HTML
    headers: Mapping[str, str] = field(default_factory=dict)
    file: OpenFile | None = None

    @classmethod
    def json(cls, status: int, value: object, **headers: str) -> Self:
        """Answer with a JSON value; ``retry_after=`` becomes the header ``Retry-After``."""
        named = {name.replace("_", "-").title(): text for name, text in headers.items()}
        return cls(status, json.dumps(value, ensure_ascii=False).encode(), JSON, named)

    @classmethod
    def text(cls, status: int, text: str, **headers: str) -> Self:
        """Answer with HTML; the headers are named as in `json`."""
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        return cls(status, text.encode(), HTML, named)

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return len(self.body) if self.file is None else self.file.size


class Refused(Exception):  # noqa: N818 (it is an answer on its way out, not a fault)
    """Ends the handling of a request with an answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def below(root: Path, relative: str) -> Path | None:
    """Return the path below `root` that an address names, or None if it leads out of there."""
    parts = [part for part in relative.split("/") if part]
    if ".." in parts or any(ord(char) < ord(" ") or char == "\\" for char in relative):
        return None
    target = root.joinpath(*parts)
    return target if target.resolve().is_relative_to(root.resolve()) else None


def file_reply(path: Path) -> Reply | None:
    """Answer with a file; None if there is no such file."""
    try:
        opened = OpenFile(path)
    except OSError:
        return None
    return Reply(200, b"", CONTENT_TYPES.get(path.suffix, BINARY), {}, opened)
