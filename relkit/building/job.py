"""What a build process is told, and how it runs tools: shared by everything a builder runs.

A job folder holds ``job.json`` (what to do, and where things are on this machine; no record),
``work/`` for the build's own files, ``out/`` for what it delivers, and its log. Only the standard
library is imported here, so that a build starts at once.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from relkit.errors import CheckError, WorldError
from relkit.release import Version

Fact = str | int | float | tuple[str, ...]
JOB, OUTCOME, LOG = "job.json", "outcome.json", "log.txt"
WORK, OUT = "work", "out"
LOCK, TOOLS_LOCK, PID, PART = "lock", "tools.lock", "pid", "part"
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,150}")
TOOL_TIMEOUT_SECONDS = 3600.0


@dataclass(frozen=True)
class Input:
    """A collected file that a build reads."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Job:
    """A build, as `relkit.values.Build` has it, and where this machine keeps things.

    `blurb` is the folder of the installed blurb that the tree needs, `site` a file that holds the
    present address of the public site. `index` is the address of a package index (PEP 691; empty:
    none is asked), and `packages` the folder in which its answers are kept.
    """

    folder: Path
    name: str
    version: Version
    commit: str
    inputs: tuple[Input, ...]
    options: Mapping[str, str]
    repository: Path
    artifacts: Path
    blurb: Path
    site: Path
    index: str
    packages: Path
    nonce: str = ""
    tools_lock: int | None = None
    facts: dict[str, Fact] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, tools_lock: int | None = None) -> Job:
        """Read the ``job.json`` of a folder."""
        told = json.loads((folder / JOB).read_text(encoding="utf-8"))
        build = told["build"]
        return cls(
            folder=folder,
            name=build["name"],
            version=Version.parse(build["version"]),
            commit=build["commit"],
            inputs=tuple(Input(**one) for one in build["inputs"]),
            options=build["options"],
            repository=Path(told["repository"]),
            artifacts=Path(told["artifacts"]),
            blurb=Path(told["blurb"]),
            site=Path(told["site"]),
            index=told["index"],
            packages=Path(told["packages"]),
            nonce=build["nonce"],
            tools_lock=tools_lock,
        )

    @property
    def docs_environments(self) -> Path:
        """Where the environments for building docs are kept: beside the installed blurbs."""
        return self.blurb.parent / "docs"

    @property
    def out(self) -> Path:
        """Where files to deliver are put."""
        return self.folder / OUT

    def work(self, name: str) -> Path:
        """Make a new folder of the build's own, and return it."""
        path = self.folder / WORK / name
        path.mkdir(parents=True)
        return path

    def input(self, suffix: str) -> Input:
        """Return the one input whose name ends so."""
        found = [one for one in self.inputs if one.name.endswith(suffix)]
        if len(found) != 1 or not FILE_NAME.fullmatch(found[0].name):
            raise CheckError(
                f"the build {self.name} wants one input *{suffix}, it has {len(found)}",
                code="BUILD_INPUTS",
                remedy="Start the build with the collected files it reads.",
            )
        return found[0]

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Mark a part of the build in its log, and note how long it took."""
        print(f"== {name}", flush=True)  # noqa: T201 (standard output is the build's log)
        new = self.folder / f".{PART}.new"
        new.write_text(name, encoding="ascii")
        new.replace(self.folder / PART)  # whoever looks never sees it empty
        start = time.monotonic()
        yield
        self.facts[f"seconds_{name}"] = round(time.monotonic() - start, 2)

    def run(
        self, command: Sequence[str | Path], *, cwd: Path, extra: Mapping[str, str] | None = None
    ) -> None:
        """Run a tool with its output in the log; refuse (``BUILD_FAILED``) unless it ends well."""
        self._run(command, cwd, extra or {}, output=None)

    def ask(
        self, command: Sequence[str | Path], *, cwd: Path, extra: Mapping[str, str] | None = None
    ) -> str:
        """Run a tool as `run` does, and return what it says, stripped."""
        return self._heard(command, cwd, extra or {}, must_end_well=True)[1]

    def attempt(
        self, command: Sequence[str | Path], *, cwd: Path, extra: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Run a tool that may find something wrong; return its status, and what it says.

        One that cannot be run, or never ends, is refused as by `run`.
        """
        return self._heard(command, cwd, extra or {}, must_end_well=False)

    def _heard(
        self,
        command: Sequence[str | Path],
        cwd: Path,
        extra: Mapping[str, str],
        *,
        must_end_well: bool,
    ) -> tuple[int, str]:
        status = 0
        with tempfile.TemporaryFile(dir=self.folder / WORK) as file:
            try:
                status = self._run(
                    command, cwd, extra, output=file.fileno(), must_end_well=must_end_well
                )
            finally:
                file.seek(0)
                said = file.read().decode("utf-8", "replace")
                print(said, end="", flush=True)  # noqa: T201 (standard output is the build's log)
        return status, said.strip()

    def _run(
        self,
        command: Sequence[str | Path],
        cwd: Path,
        extra: Mapping[str, str],
        output: int | None,
        *,
        must_end_well: bool = True,
    ) -> int:
        words = [str(word) for word in command]
        print("$", " ".join(words), flush=True)  # noqa: T201 (standard output is the build's log)
        try:
            done = subprocess.run(
                words,
                cwd=cwd,
                env={**os.environ, **extra},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Held by every tool: after a kill it tells whether some of them live on.
                pass_fds=() if self.tools_lock is None else (self.tools_lock,),
                timeout=TOOL_TIMEOUT_SECONDS,
                check=must_end_well,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise WorldError(
                f"{' '.join([Path(words[0]).name, *words[1:3]])}: {_reason(error)}",
                code="BUILD_FAILED",
                remedy="Read the end of the build's log.",
            ) from error
        return done.returncode


def _reason(error: Exception) -> str:
    match error:
        case subprocess.CalledProcessError():
            return f"it ended with status {error.returncode}"
        case subprocess.TimeoutExpired():
            return f"it ran for more than {error.timeout:.0f} seconds"
        case _:
            return str(error)


Program = Callable[[Job], None]
"""Does a build: leaves files in `Job.out` and facts in `Job.facts`, or raises."""


@contextmanager
def checked_input(job: Job, given: Input) -> Iterator[Path]:
    """Give a collected file, if it still has the digest it was collected by.

    What is given is a private copy, hashed while it was made: nobody replaces it between the
    check and the use.
    """
    private = job.work(f"input-{given.name}") / given.name
    with (job.artifacts / given.name).open("rb") as source, private.open("xb") as copy:
        digest = hashlib.sha256()
        while piece := source.read(1 << 20):
            digest.update(piece)
            copy.write(piece)
    check_digest(given, digest.hexdigest(), private.stat().st_size)
    yield private
    private.unlink()


def check_digest(expected: Input, sha256: str, size: int) -> None:
    """Refuse (``DIGEST_CHANGED``) a file with other bytes than the release has agreed on."""
    if (sha256, size) != (expected.sha256, expected.size):
        raise CheckError(
            f"{expected.name} has {size} bytes with the digest {sha256}, "
            f"not {expected.size} with {expected.sha256}",
            code="DIGEST_CHANGED",
            remedy="Find out who changed the file; then collect it from its build again.",
        )


def hold(path: Path, operation: int = fcntl.LOCK_EX | fcntl.LOCK_NB) -> int | None:
    """Lock a file, made if it is missing, until the returned descriptor is closed; None: taken."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, operation)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def write_whole(path: Path, text: str) -> None:
    """Write a text so that it is there whole or not at all, whatever happens."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
