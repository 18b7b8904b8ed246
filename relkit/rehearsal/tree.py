"""A small tree with CPython's layout, and a repository with a little history of it.

The tree is ours, word for word (``tree_files/``), and does what a release needs of one: it has
version numbers, NEWS entries, docs with ``next`` in them, line ends that attributes change and
paths that archives leave out, and it configures, builds, installs and passes its tests in seconds.
The same version gives the same tree and the same commit ids on every machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from relkit.errors import WorldError
from relkit.release import Version
from relkit.values import ObjectId

FILES = Path(__file__).parent / "tree_files"
SUFFIX = ".j2"
BEGINNING = datetime(2026, 1, 6, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WHO = "Rehearsal Developer <developer@rehearsal.invalid>"
MAGIC_HEADER_SINCE = MODULE_DOCS_SINCE = UNDERSCORES_SINCE = 14
DEV_SINCE = 15
NEXT = "Misc/NEWS.d/next"
TIMEOUT_SECONDS = 60.0
SINCE = {
    "Include/internal/pycore_magic_number.h": MAGIC_HEADER_SINCE,
    "Lib/pydoc_data/module_docs.py": MODULE_DOCS_SINCE,
    "Lib/test/test_importlib/test_util.py": MAGIC_HEADER_SINCE,
}
"""The minor version since which a file is there."""
BINARY = {
    "Lib/test/linedata/mixed.txt": b"one\r\ntwo\nthree\r\n",
    "Lib/test/beep.wav": b"RIFF" + hashlib.sha256(b"beep").digest() * 40,
}


@dataclass(frozen=True)
class Entry:
    """A NEWS entry: `number` of its issue, and the section as blurb spells it."""

    number: int
    section: str
    text: str

    def path(self, day: datetime, minor: int) -> str:
        """Return where the entry waits for the next release of a minor version."""
        section = self.section.replace(" ", "_") if minor >= UNDERSCORES_SINCE else self.section
        nonce = hashlib.sha256(self.text.encode()).hexdigest()[:6]
        name = f"{day:%Y-%m-%d-%H-%M-%S}.gh-issue-{self.number}.{nonce}.rst"
        return f"{NEXT}/{section}/{name}"


ENTRIES = (
    Entry(900001, "Library", "Add :mod:`!abacus`, which counts with beads."),
    Entry(900002, "Core and Builtins", "Numbers may be large.\nThey take as long as they take."),
    Entry(900003, "Library", "Rows of beads may be any iterable. Patch by Ada Sample."),
    Entry(900004, "Security", "An abacus no longer counts *negative* beads (they were not there)."),
    Entry(900005, "Documentation", "Explain strings, and whom they greet: Zoë, 夏, Ωμέγα."),
    Entry(900006, "Tests", "Test that line ends survive the archive."),
    Entry(900007, "Build", "``./configure`` says which Python it found."),
)


@dataclass(frozen=True)
class Stand:
    """Where a branch stands: the version in its files, and `after` once that was released."""

    version: Version
    after: bool = False
    entries: tuple[Entry, ...] = ()  # of the next release, oldest first
    magic: int = 3600

    @property
    def stamp(self) -> str:
        """The version as the interpreter states it: ``3.15.0a1``, ``3.15.0a1+dev``."""
        mark = "+dev" if self.version.minor >= DEV_SINCE else "+"
        return f"{self.version}{mark if self.after else ''}"

    @property
    def released(self) -> list[Version]:
        """The versions whose NEWS are in the tree, oldest first."""
        earlier = [before(Version(self.version.minor, 0, "a", 1))]
        if self.version.level == "b":
            return [self.version]
        return earlier + [
            Version(self.version.minor, 0, "a", serial)
            for serial in range(1, self.version.serial + 1)
        ]


def before(version: Version) -> Version:
    """Return the release before an alpha: the alpha before it, or the last beta 1."""
    if version.serial > 1:
        return replace(version, serial=version.serial - 1)
    return Version(max(version.minor - 1, 0), 0, "b", 1)


def files(stand: Stand) -> dict[str, bytes]:
    """Return the tree as it is stored: content by path."""
    environment = Environment(
        loader=FileSystemLoader(FILES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (these are sources, not web pages)
    )
    series = stand.version.series
    values = {
        "version": stand.version,
        "series": series,
        "stamp": stand.stamp,
        "year": BEGINNING.year,
        "magic": stand.magic,
    }
    tree = dict(BINARY)
    for name in environment.list_templates():
        path = name.removesuffix(SUFFIX).replace("SERIES", series)
        if stand.version.minor >= SINCE.get(path, 0):
            tree[path] = environment.get_template(name).render(values).encode()
    return tree | _news(stand)


def _news(stand: Stand) -> dict[str, bytes]:
    """Return the NEWS entries: a file for each release, and those of the next one."""
    tree = {f"{NEXT}/README.rst": b"Entries of the next release wait here, by section.\n"}
    for number, version in enumerate(stand.released):
        tree[f"Misc/NEWS.d/{version}.rst"] = _released(version, number).encode()
    for number, entry in enumerate(stand.entries):
        day = BEGINNING + (20 + number) * DAY
        tree[entry.path(day, stand.version.minor)] = f"{entry.text}\n".encode()
    return tree


def _released(version: Version, number: int) -> str:
    day = BEGINNING - (100 - number) * DAY
    head = f".. date: {day:%Y-%m-%d-%H-%M-%S}\n.. gh-issue: {800001 + number}\n"
    head += f".. nonce: {hashlib.sha256(str(version).encode()).hexdigest()[:6]}\n"
    return f"{head}.. release date: {day:%Y-%m-%d}\n.. section: Library\n\nReleased {version}.\n"


def is_executable(path: str) -> bool:
    """Tell whether a file of the tree is a program."""
    return path == "configure" or path.endswith(".sh")


def generate(target: Path, version: Version) -> None:
    """Write the tree from which `version` will be released into a new folder."""
    for path, data in files(history(version)[-1].stand).items():
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(0o755 if is_executable(path) else 0o644)


# --- history ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """A commit to make: its message, the tree it leaves, and whether it is tagged as a release."""

    message: str
    stand: Stand
    tag: bool = False


def history(version: Version) -> list[Change]:
    """Return the commits that lead to where an alpha can be released, oldest first."""
    last = before(version)
    done = Stand(last)
    first = version.serial == 1
    begun = Stand(replace(version, serial=0)) if first else replace(done, after=True)
    message = f"Python {begun.version}" if first else f"Post {last}"
    changes = [Change(f"Python {last}", done, tag=True), Change(message, begun)]
    for count in range(2, len(ENTRIES) + 1, 2):
        entries = ENTRIES[:count] if count < len(ENTRIES) - 1 else ENTRIES
        subject = entries[-1].text.splitlines()[0]
        stand = replace(begun, entries=entries, magic=begun.magic + count)
        changes.append(Change(f"gh-{entries[-1].number}: {subject}", stand))
    return changes


def make_repository(target: Path, version: Version) -> ObjectId:
    """Make a bare repository whose branch ``main`` can release `version`; return its head.

    The release before is tagged in it (annotated, not signed). It appears whole or not at all; one
    that is there already stays.
    """
    if target.exists():
        return _head(target)
    new = target.with_name(f".{target.name}.new")
    shutil.rmtree(new, ignore_errors=True)  # of a process that was killed
    _git(["init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(new)])
    _git(["-C", str(new), "fast-import", "--quiet"], b"".join(_import(history(version))))
    new.rename(target)
    return _head(target)


def _head(repository: Path) -> ObjectId:
    return _git(["-C", str(repository), "rev-parse", "refs/heads/main"]).decode().strip()


def _import(changes: list[Change]) -> Iterator[bytes]:
    """Yield the commits in the form which ``git fast-import`` reads."""
    for number, change in enumerate(changes):
        seconds = int((BEGINNING + number * 5 * DAY).timestamp())
        who = f"{WHO} {seconds} +0000\n"
        yield f"commit refs/heads/main\nauthor {who}committer {who}".encode()
        yield _data(change.message.encode()) + b"deleteall\n"
        for path, data in sorted(files(change.stand).items()):
            mode = "100755" if is_executable(path) else "100644"
            yield f"M {mode} inline {path}\n".encode() + _data(data)
        if change.tag:
            version = change.stand.version
            yield f"tag v{version}\nfrom refs/heads/main\ntagger {who}".encode()
            yield _data(f"Python {version}".encode())


def _data(content: bytes) -> bytes:
    return b"data %d\n" % len(content) + content + b"\n"


def _git(arguments: list[str], given: bytes = b"") -> bytes:
    environment: Mapping[str, str] = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "LC_ALL": "C",
    }
    done = subprocess.run(
        ["git", *arguments],
        env=environment,
        input=given,
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise WorldError(
            f"git {arguments[0]}: {done.stderr.decode('utf-8', 'replace').strip()}",
            code="TREE_NOT_MADE",
            remedy="Look at git's message; the sample repository is made with git alone.",
        )
    return done.stdout
