"""Read a commit's files from a git object store, and nothing else of its repository.

No checkout, and no configuration: git runs with an empty repository of our own which borrows only
the objects. So neither the clone's settings, its `info/attributes`, replacement refs and hooks nor
the user's can change a byte. Attributes come from the commit itself.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from relkit.building.archive import Member
from relkit.errors import WorldError

TIMEOUT_SECONDS = 300.0
FILE_MODES = {"100644": "file", "100755": "executable", "120000": "link"}


@dataclass(frozen=True)
class Entry:
    """One file of a tree: `mode` is git's octal text, `blob` the id of its content."""

    path: str
    mode: str
    blob: str


class Objects:
    """The objects of a repository, read through an empty git folder below `scratch`."""

    def __init__(self, repository: Path, scratch: Path) -> None:
        self._git = scratch / "objects-view.git"
        (self._git / "refs").mkdir(parents=True, exist_ok=True)
        (self._git / "HEAD").write_text("ref: refs/heads/main\n", encoding="ascii")
        self._environment = {name: os.environ[name] for name in ("PATH",) if name in os.environ} | {
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "HOME": str(scratch),
            "LC_ALL": "C",
        }
        place = repository.absolute()
        where = self._run("-C", str(place), "rev-parse", "--git-path", "objects")
        objects = place / os.fsdecode(where.removesuffix(b"\n"))
        self._environment |= {
            "GIT_DIR": str(self._git),
            "GIT_OBJECT_DIRECTORY": str(objects.resolve()),
            "GIT_INDEX_FILE": str(self._git / "index"),
        }

    def commit_time(self, commit: str) -> int:
        """Return the committer's time in seconds since 1970; refuse what is no commit here."""
        text = self._run("show", "-s", "--format=%ct", "--end-of-options", f"{commit}^{{commit}}")
        return int(text)

    def entries(self, commit: str) -> list[Entry]:
        """Return all files of a commit, in git's order; refuse submodules."""
        listing = self._run("ls-tree", "-r", "-z", "--full-tree", commit)
        entries = [_entry(line) for line in listing.split(b"\0")[:-1]]
        strange = [entry.path for entry in entries if entry.mode not in FILE_MODES]
        if strange:
            raise WorldError(
                f"{commit} holds what is neither a file nor a link: {strange[0]!r}",
                code="TREE_UNSUPPORTED",
                remedy="A source archive cannot hold submodules; remove it from the branch.",
            )
        return entries

    def blob(self, blob: str) -> bytes:
        """Return the content of a blob as it is stored."""
        return self._run("cat-file", "blob", blob)

    def eol(self, commit: str, paths: Sequence[str]) -> dict[str, str]:
        """Return the line end (``crlf``, ``lf``) which the commit's attributes give to text.

        Paths whose content is not to be converted are left out.
        """
        self._run("read-tree", commit)
        asked = b"".join(os.fsencode(path) + b"\0" for path in paths)
        answer = self._run("check-attr", "--cached", "-z", "--stdin", "text", "eol", given=asked)
        fields = [os.fsdecode(field) for field in answer.split(b"\0")[:-1]]
        found: dict[str, dict[str, str]] = {}
        for path, name, value in zip(*[iter(fields)] * 3, strict=True):
            found.setdefault(path, {})[name] = value
        return {
            path: values["eol"]
            for path, values in found.items()
            if values["text"] != "unset" and values["eol"] in {"crlf", "lf"}
        }

    @contextmanager
    def files(self, commit: str, *paths: str) -> Iterator[Iterator[Member]]:
        """Stream the files of a commit as a checkout would have them, in git's order."""
        command = ["git", "archive", "--format=tar", commit, "--", *paths]
        with subprocess.Popen(
            command,
            env=self._environment,
            cwd=self._git,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        ) as process:
            stream = cast("IO[bytes]", process.stdout)
            try:
                with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8") as archive:
                    yield _members(archive)
            except tarfile.TarError as error:
                raise _git_error(command, process.wait(), "it ended too early") from error
            while stream.read(1 << 16):
                pass
        if process.returncode:
            raise _git_error(command, process.returncode, "its message is in the log")

    def _run(self, *arguments: str, given: bytes | None = None) -> bytes:
        command = ["git", *arguments]
        done = subprocess.run(
            command,
            env=self._environment,
            cwd=self._git,
            input=given or b"",
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise _git_error(command, done.returncode, said)
        return done.stdout


def _git_error(command: list[str], status: int, said: str) -> WorldError:
    return WorldError(
        f"{' '.join(command[:2])} ended with status {status}: {said}",
        code="GIT_FAILED",
        remedy="Check that the repository holds this commit with all its objects.",
    )


def _entry(line: bytes) -> Entry:
    """Read one line of ``git ls-tree``: mode, type, id, tab, path."""
    head, _, path = line.partition(b"\t")
    mode, _, blob = head.decode("ascii").split(" ")
    return Entry(path.decode("utf-8", "surrogateescape"), mode, blob)


def _members(archive: tarfile.TarFile) -> Iterator[Member]:
    for info in archive:
        if info.issym():
            target = info.linkname.encode("utf-8", "surrogateescape")
            yield Member(info.name, target, link=True)
        elif info.isfile():
            content = archive.extractfile(info)
            data = b"" if content is None else content.read()
            yield Member(info.name, data, executable=bool(info.mode & 0o100))
