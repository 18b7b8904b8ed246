"""Read a source archive without trusting it: streamed, nothing unpacked, nothing odd let through.

Stricter than `tarfile` on purpose: a release's archive holds files, folders and links below one
top folder, each once, and whatever else a tar can say is refused (``ARCHIVE_UNSAFE``). Time and
memory are bounded.
"""

from __future__ import annotations

import re
import tarfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from relkit.building.archive import BLOCK, NAME_SIZE
from relkit.building.archive_stream import TarStream, damaged, unsafe

MAX_FILE_BYTES = 32 << 20
MAX_MEMBERS = 20_000
MAX_HEADER_BYTES = 4 << 10
MAX_NAME_BYTES = 512
LINK_AT = 157
FIELDS = {
    "mode": (100, 8),
    "uid": (108, 8),
    "gid": (116, 8),
    "size": (124, 12),
    "mtime": (136, 12),
}
PAX_NAMES = {"path", "linkpath"}
PAX_TIMES = {"mtime", "atime", "ctime"}
PAX_TIME = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?", flags=re.ASCII)
KINDS: dict[bytes, Literal["file", "folder", "link"]] = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "link",
}
EXTENSIONS = {
    tarfile.XHDTYPE: "pax",
    tarfile.GNUTYPE_LONGNAME: "path",
    tarfile.GNUTYPE_LONGLINK: "linkpath",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A member as found; `path` is relative to the top folder, and empty for that folder.

    `data` is the content of a file or the target of a link. `owner` is empty for the owner and
    group 0 without names, and else what the member says: ``1000:1000 ada:staff``. `mtime` is in
    seconds since 1970.
    """

    path: str
    kind: Literal["file", "folder", "link"]
    executable: bool
    data: bytes = b""
    mode: int = 0o644
    owner: str = ""
    mtime: int = 0


def read_members(stream: TarStream, top: str) -> Iterator[Found]:
    """Yield each member in order; refuse what is unsafe, doubled or odd, then read to the end."""
    seen: dict[str, str] = {}
    while (info := _next_header(stream)) is not None:
        found = _found(stream, info, top)
        if len(seen) >= MAX_MEMBERS:
            raise unsafe(f"{stream.name} has more than {MAX_MEMBERS} members")
        _check_place(found, seen)
        seen[_folded(found.path)] = found.kind
        yield found
    stream.finish()


def _next_header(stream: TarStream) -> tarfile.TarInfo | None:
    """Return the next member's header with its long names applied; None at the end."""
    longer: dict[str, str] = {}
    while any(block := stream.read(BLOCK)):
        info = _parse(block, stream.name)
        kind = EXTENSIONS.get(info.type)
        if kind is None:
            info.name = longer.get("path", info.name)
            info.linkname = longer.get("linkpath", info.linkname)
            return info
        if info.size > MAX_HEADER_BYTES:
            raise unsafe(f"{stream.name} has a header of {info.size} bytes")
        text = _content(stream, info.size)
        new = {kind: _decoded(text.rstrip(b"\0"))} if kind.endswith("path") else _pax(text)
        if new.keys() & longer.keys():
            raise unsafe(f"{stream.name} names a member twice: {sorted(new)}")
        longer |= new
    if longer:
        raise unsafe(f"{stream.name} ends with a header for no member")
    return None


def _parse(block: bytes, name: str) -> tarfile.TarInfo:
    link_field = slice(LINK_AT, LINK_AT + NAME_SIZE)
    for field in block[:NAME_SIZE], block[link_field]:
        if field.partition(b"\0")[2].strip(b"\0"):
            raise unsafe(f"{name} hides bytes after a name: {field!r}")
    for what, (at, size) in FIELDS.items():
        # Other forms hold negative numbers and huge ones; an archive of source needs neither.
        if block[at : at + size].strip(b"\0 01234567"):
            raise unsafe(f"{name} has a member whose {what} is no octal number")
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError, ValueError) as error:
        raise damaged(f"{name} has a header that cannot be read: {error}") from error


def _content(stream: TarStream, size: int) -> bytes:
    data = stream.read(size)
    if any(stream.read(-size % BLOCK)):
        raise unsafe(f"{stream.name} hides bytes after a member's content")
    return data


def _pax(text: bytes) -> dict[str, str]:
    """Read pax records, ``LENGTH key=value`` each; refuse keys which change more than names."""
    records: dict[str, str] = {}
    while text:
        digits, _, _ = text.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 6 else 0  # noqa: PLR2004
        record, text = text[:length], text[length:]
        key, equals, value = record[len(digits) + 1 :].partition(b"=")
        name = _decoded(key)
        said = _decoded(value[:-1])
        known = name in PAX_NAMES or (name in PAX_TIMES and PAX_TIME.fullmatch(said))
        whole = equals and len(record) == length and value.endswith(b"\n")
        if not whole or not known or name in records:
            raise unsafe(f"an extended header holds {record[:60]!r}")
        records[name] = said
    return records


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise unsafe(f"a name is not UTF-8: {data[:60]!r}") from error


def _found(stream: TarStream, info: tarfile.TarInfo, top: str) -> Found:
    """Turn a header into a member below the top folder, and read its content."""
    kind = KINDS.get(info.type)
    shown = f"{info.name[:100]!r} in {stream.name}"
    if kind is None:
        raise unsafe(f"{shown} is neither file, folder nor link (type {info.type!r})")
    if info.mode & ~0o777:
        raise unsafe(f"{shown} has the mode {info.mode:o}")
    if info.size > MAX_FILE_BYTES or (info.size and kind != "file"):
        raise unsafe(f"{shown} says it has {info.size} bytes")
    name = info.name.removesuffix("/") if kind == "folder" else info.name
    if len(name) > MAX_NAME_BYTES or len(info.linkname) > MAX_NAME_BYTES:
        raise unsafe(f"{shown} has a name of {max(len(name), len(info.linkname))} characters")
    if not _is_plain(name) or name.split("/")[0] != top:
        raise unsafe(f"{shown} is not a plain path below {top}")
    path = name[len(top) + 1 :]
    if kind == "link" and not _stays_inside(path, info.linkname):
        raise unsafe(f"{shown} leads to {info.linkname[:100]!r}")
    data = info.linkname.encode() if kind == "link" else _content(stream, info.size)
    executable = kind == "file" and bool(info.mode & 0o100)
    return Found(path, kind, executable, data, info.mode, _owner(info), int(info.mtime))


def _owner(info: tarfile.TarInfo) -> str:
    names = f" {info.uname}:{info.gname}" if info.uname or info.gname else ""
    return f"{info.uid}:{info.gid}{names}" if names or info.uid or info.gid else ""


def _is_plain(name: str) -> bool:
    """Tell whether a path is relative, normal, and free of what terminals and shells act on."""
    parts = name.split("/")
    return name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(parts)


def _stays_inside(path: str, target: str) -> bool:
    """Tell whether a link below the top folder leads to a place below it."""
    place = path.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            if not place:
                return False
            place.pop()
        elif part != ".":
            place.append(part)
    return bool(target) and target.isprintable() and not target.startswith("/")


def _check_place(found: Found, seen: dict[str, str]) -> None:
    """Refuse a second member of a name (in any case), and members below what is no folder."""
    path = _folded(found.path)
    if path in seen:
        raise unsafe(f"{found.path!r} stands twice in the archive, perhaps in another case")
    parent = path.rpartition("/")[0]
    if path and seen.get(parent, "folder") != "folder":
        raise unsafe(f"{found.path!r} stands below what is no folder")


def _folded(path: str) -> str:
    """Return what stands for a path where names differ neither by case nor by Unicode form."""
    return unicodedata.normalize("NFC", path).casefold()
