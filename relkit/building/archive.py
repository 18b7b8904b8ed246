"""Source archives, byte for byte in the form of the ones on python.org.

This is the form of the tar alone: names, order, headers. `relkit.building.source` feeds it from
git, and `relkit.building.compress` packs it. It is what GNU tar makes with ``--sort=name
--format=pax``, owner 0, modes ``go+u,go-w`` and one time for everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from relkit.release import Version

DEVICES = {"1.34": b"0000000\0", "1.35": bytes(8)}
"""The forms of GNU tar by version: what stands in the two device fields of an ordinary member."""
DEFAULT_FORM = "1.35"
NEWS = "Misc/NEWS"
NEWS_SOURCES = "Misc/NEWS.d"
NEWEST = 99


@dataclass(frozen=True)
class Removal:
    """A path of a commit, file or folder, that no archive holds, and why.

    It stands in the trees of the minor versions from `since` to `until`, both included; a tree of
    another branch that has it is not as its branch was known.
    """

    path: str
    reason: str
    since: int = 0
    until: int = NEWEST

    def holds(self, path: str) -> bool:
        """Tell whether a path is this one, or below it."""
        return path == self.path or path.startswith(f"{self.path}/")


REMOVED = (
    Removal(".azure-pipelines", "settings of a service that tests the branch", since=6),
    Removal(".bzrignore", "settings of a former version control", until=6),
    Removal(".gitattributes", "settings of git: its line ends are in the files already"),
    Removal(".github", "settings of the service that the branch is developed on"),
    Removal(".gitignore", "settings of git"),
    Removal(".hgignore", "settings of a former version control", until=6),
    Removal(".travis.yml", "settings of a service that tested the branch", until=11),
    Removal("Misc/mypy", "links for checking types on the branch", since=13),
    Removal(NEWS_SOURCES, f"what {NEWS} is made of"),
)
"""What a commit has and its archives do not: development of the branch, not of Python.

Taken from trees, and held against archives, of 3.8.2 to 3.13.0a5; tests/test_verify_source.py has
more of that.
"""

BLOCK = 512
RECORD = 20 * BLOCK
NAME_SIZE = 100
CHUNK = 1 << 20


def source_names(version: Version) -> tuple[str, str]:
    """Return the file names of a version's two source archives, ``.tgz`` first."""
    return f"Python-{version}.tgz", f"Python-{version}.tar.xz"


def top_folder(version: Version) -> str:
    """Return the one folder at the top of a version's archives."""
    return f"Python-{version}"


def removals(version: Version) -> tuple[Removal, ...]:
    """Return the list for the branch of a version."""
    return tuple(one for one in REMOVED if one.since <= version.minor <= one.until)


def is_removed(path: str, listed: Iterable[Removal]) -> bool:
    """Tell whether a path of the commit stays out of the archives, by the list of its branch."""
    return any(removal.holds(path) for removal in listed)


def tar_key(path: str) -> tuple[bytes, ...]:
    """Order paths as ``tar --sort=name`` does: by the bytes of each name, depth first."""
    return tuple(to_bytes(path).split(b"/"))


def to_bytes(path: str) -> bytes:
    """Return a path as git and tar store it; bytes that are not UTF-8 survive."""
    return path.encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Member:
    """A file or symbolic link; `path` is relative to the repository, `data` the link's target."""

    path: str
    data: bytes
    executable: bool = False
    link: bool = False


@dataclass(frozen=True)
class Form:
    """What the bytes of the tar depend on besides its members; `mtime` in seconds since 1970."""

    top: str
    mtime: int
    tar: str = DEFAULT_FORM

    def folder(self, path: str) -> bytes:
        """Return the header blocks of a folder; an empty path is the top itself."""
        name = f"{self.top}/{path}/" if path else f"{self.top}/"
        return self._blocks(to_bytes(name), kind=b"5", mode=0o755)

    def member(self, member: Member) -> bytes:
        """Return a member as it stands in the tar: headers, content, padding."""
        name = to_bytes(f"{self.top}/{member.path}")
        if member.link:
            return self._blocks(name, kind=b"2", mode=0o755, link=member.data)
        mode = 0o755 if member.executable else 0o644
        head = self._blocks(name, kind=b"0", mode=mode, size=len(member.data))
        return head + member.data + bytes(-len(member.data) % BLOCK)

    def _blocks(
        self, name: bytes, *, kind: bytes, mode: int, size: int = 0, link: bytes = b""
    ) -> bytes:
        """Return a header, after an extended one where a name does not fit or is not ASCII."""
        device = DEVICES[self.tar]
        records = b""
        if len(link) > NAME_SIZE:
            records += _pax_record(b"linkpath", link)
        if len(name) > NAME_SIZE or not name.isascii():
            records += _pax_record(b"path", name)
        extended = b""
        if records:
            folder, _, last = name.rstrip(b"/").rpartition(b"/")
            shown = b"%s/PaxHeaders/%s" % (folder or b".", last)
            # GNU tar leaves the device fields of its own headers empty, in both forms.
            extended = self._header(shown, b"x", 0o644, len(records), b"", bytes(8))
            extended += records + bytes(-len(records) % BLOCK)
        return extended + self._header(name, kind, mode, size, link, device)

    def _header(
        self, name: bytes, kind: bytes, mode: int, size: int, link: bytes, device: bytes
    ) -> bytes:
        fields = [
            name[:NAME_SIZE].ljust(NAME_SIZE, b"\0"),
            b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, size, self.mtime),
            b" " * 8,  # the checksum, as it counts itself
            kind,
            link[:NAME_SIZE].ljust(NAME_SIZE, b"\0"),
            b"ustar\00000",
            bytes(64),  # owner and group have no names
            device * 2,
            bytes(167),
        ]
        fields[2] = b"%06o\0 " % sum(b"".join(fields))
        return b"".join(fields)


def _pax_record(key: bytes, value: bytes) -> bytes:
    """Return ``LENGTH key=value``, where the length counts its own digits."""
    bare = len(key) + len(value) + 3
    length = bare + len(str(bare))
    length = bare + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def payload(members: Iterable[Member], form: Form) -> Iterator[bytes]:
    """Write a tar: folders before what is in them, padded to whole records of 10,240 bytes.

    The members must come in the order of `tar_key`; the tar comes in pieces of about a megabyte.
    """
    seen = {""}
    total = 0
    pending = bytearray(form.folder(""))
    for member in members:
        for folder in _parents(member.path):
            if folder not in seen:
                seen.add(folder)
                pending += form.folder(folder)
        pending += form.member(member)
        if len(pending) >= CHUNK:
            total += len(pending)
            yield bytes(pending)
            pending.clear()
    pending += bytes(2 * BLOCK)
    total += len(pending)
    yield bytes(pending) + bytes(-total % RECORD)


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
