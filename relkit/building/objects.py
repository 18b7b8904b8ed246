"""Read a commit's files from a git object store, and nothing else of its repository.

No checkout, and no configuration: git runs with an empty repository of our own which borrows only
the objects. So neither the clone's settings, its `info/attributes`, replacement refs and hooks nor
the user's can change a byte. Attributes come from the commit itself.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from relkit.building.archive import Member, Removal, removals, to_bytes
from relkit.errors import CheckError, UsageError, WorldError
from relkit.release import Version

TIMEOUT_SECONDS = 300.0
GIT_SETTINGS = {
    "core.deltaBaseCacheLimit": "16m",
    "core.packedGitLimit": "32m",
    "core.packedGitWindowSize": "4m",
    # Whose the repository is says nothing about its objects, and nothing else of it is used.
    "safe.directory": "*",
}
"""A third of the memory that git takes by itself, in the same time, and any user's repository."""
FILE_MODES = {"100644": "file", "100755": "executable", "120000": "link"}


@dataclass(frozen=True)
class Entry:
    """One file of a tree: `mode` is git's octal text, `blob` the id of its content."""

    path: str
    mode: str
    blob: str


@dataclass(frozen=True)
class Tree:
    """The tree of a commit, and the list of its branch of what archives leave out."""

    objects: Objects
    commit: str
    removals: tuple[Removal, ...]

    @classmethod
    def of(cls, objects: Objects, commit: str, version: Version) -> Tree:
        """Return the tree of the commit that a version is released from."""
        return cls(objects, commit, removals(version))


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
            **_settings(GIT_SETTINGS),
        }
        self._place, self._plain = repository.absolute(), self._environment
        where = self._run("-C", str(self._place), "rev-parse", "--git-path", "objects")
        objects = self._place / os.fsdecode(where.removesuffix(b"\n"))
        self._environment = self._plain | {
            "GIT_DIR": str(self._git),
            "GIT_OBJECT_DIRECTORY": str(objects.resolve()),
            "GIT_INDEX_FILE": str(self._git / "index"),
        }

    def tagged(self, tag: str) -> str:
        """Return the commit of a tag, annotated or not; `tag` is a plain word, such as v3.15.0.

        Of all that the repository has beside its objects only this one ref is read. Raises
        `UsageError` (``TAG_UNKNOWN``), and `CheckError` (``TAG_NAME_MISMATCH``) for the tag
        object of another name.
        """
        found, text = self.tag_object(tag)
        commit = self.commit(found) if found else None
        if commit is None:
            raise UsageError(
                f"the repository has no tag {tag} of a commit",
                code="TAG_UNKNOWN",
                remedy="Fetch the tag, or name the repository that has it.",
            )
        if found != commit and f"tag {tag}" not in text.partition("\n\n")[0].split("\n"):
            raise CheckError(
                f"the ref refs/tags/{tag} leads to the object of another tag",
                code="TAG_NAME_MISMATCH",
                remedy="Do not use it: somebody has put an older tag under this name.",
            )
        return commit

    def tag_object(self, tag: str) -> tuple[str, str]:
        """Return the id that a tag's ref has, and the tag object's text; empty where not there."""
        ref = f"refs/tags/{tag}"
        found = self._asked("-C", str(self._place), "rev-parse", "--verify", ref, plain=True) or ""
        if not found or self._asked("cat-file", "-t", found) != "tag":
            return found, ""
        return found, self._run("cat-file", "tag", found).decode("utf-8", "replace")

    def commit(self, name: str) -> str | None:
        """Return the id of the commit that an id leads to; None if there is none here."""
        return self._asked("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")

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

    def sizes(self, commit: str) -> dict[str, int]:
        """Return how many bytes each file of a commit has, as it is stored."""
        listing = self._run("ls-tree", "-r", "-z", "-l", "--full-tree", commit)
        split = (line.partition(b"\t") for line in listing.split(b"\0")[:-1])
        found = {_path(path): head.split()[-1] for head, _, path in split}
        missing = [path for path, size in found.items() if size == b"BAD"]
        if missing:
            said = f"{len(missing)} files are not there, {missing[0]!r} the first of them"
            raise _git_error(["git", "ls-tree"], 0, said)
        return {path: int(size) for path, size in found.items()}

    def blob(self, blob: str) -> bytes:
        """Return the content of a blob as it is stored."""
        return self._run("cat-file", "blob", blob)

    def eol(self, commit: str, paths: Sequence[str]) -> dict[str, str]:
        """Return the line end (``crlf``, ``lf``) which the commit's attributes give to text.

        Paths whose content is not to be converted are left out.
        """
        self._run("read-tree", commit)
        asked = b"".join(to_bytes(path) + b"\0" for path in paths)
        answer = self._run("check-attr", "--cached", "-z", "--stdin", "text", "eol", given=asked)
        fields = [_path(field) for field in answer.split(b"\0")[:-1]]
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
        done = self._done(arguments, self._environment, given)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise _git_error(["git", *arguments], done.returncode, said)
        return done.stdout

    def _asked(self, *arguments: str, plain: bool = False) -> str | None:
        """Return git's answer of one word, None for none; `plain`: of the repository itself."""
        done = self._done(arguments, self._plain if plain else self._environment)
        return None if done.returncode else os.fsdecode(done.stdout).strip()

    def _done(
        self, arguments: Sequence[str], environment: Mapping[str, str], given: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["git", *arguments],
            env=environment,
            cwd=self._git,
            input=given or b"",
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )


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
    return Entry(_path(path), mode, blob)


def _path(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogateescape")


def _settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which git has these settings."""
    keys = {f"GIT_CONFIG_KEY_{number}": name for number, name in enumerate(settings)}
    values = {f"GIT_CONFIG_VALUE_{number}": it for number, it in enumerate(settings.values())}
    return {"GIT_CONFIG_COUNT": str(len(settings))} | keys | values


def _members(archive: tarfile.TarFile) -> Iterator[Member]:
    for info in archive:
        if info.issym():
            target = info.linkname.encode("utf-8", "surrogateescape")
            yield Member(info.name, target, link=True)
        elif info.isfile():
            content = archive.extractfile(info)
            data = b"" if content is None else content.read()
            yield Member(info.name, data, executable=bool(info.mode & 0o100))
