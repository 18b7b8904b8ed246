"""Running git: the one place for its environment, its fixed options and its time limits.

Commands are argument lists, started through GitPython without its object model: neither its
guards nor its reading of the environment are relied upon. Each command gets a bare environment,
so that no inherited ``GIT_DIR``, ``GIT_SSH_COMMAND`` or ``GIT_CONFIG_…`` can redirect it, the
repository by name (git never searches parent folders), and options that stop hooks and other
programs which a repository's configuration could name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.adapters.git_settings import ENVIRONMENT, INHERITED, NOTHING, OPTIONS
from relkit.errors import WorldError
from relkit.values import ObjectId

if TYPE_CHECKING:
    from git.cmd import Git

SECONDS = 900.0
"""Generous: a checkout of CPython takes seconds, a clone over a slow line minutes."""
HINT = re.compile(r"^(?:remote: )?hint:.*\n?", flags=re.MULTILINE)
LISTED = re.compile(r"([0-9a-f]{40})[ \t](.+)")


@dataclass(frozen=True)
class Identity:
    """A person as git names them in commits and tags."""

    name: str
    email: str

    def __post_init__(self) -> None:
        if any(one in self.name + self.email for one in "<>\n\x00") or not self.email:
            raise WorldError(
                f"{self.name!r} <{self.email!r}> cannot stand in a commit",
                code="BAD_IDENTITY",
                remedy="Correct the release manager's name and address in the world.",
            )

    def stamps(self, time: datetime) -> dict[str, str]:
        """Return the environment with which git writes this person and time, in its time zone."""
        date = f"@{int(time.timestamp())} {time:%z}"
        return {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", self.name), ("EMAIL", self.email), ("DATE", date))
        }


@dataclass(frozen=True)
class Answer:
    """What a git command gave: exit status, standard output, and what it said."""

    status: int
    output: bytes
    words: str

    @property
    def text(self) -> str:
        """The output as UTF-8 text; bytes that are none are shown as escapes."""
        return self.output.decode(errors="backslashreplace")

    @property
    def told(self) -> str:
        """All that was said and put out, in one line: a server's words may be in either."""
        return " ".join(said(f"{self.words}\n{self.text}").split())

    def lines(self) -> list[str]:
        """Return the lines of the output. Names and words in it may hold other line ends."""
        return self.text.removesuffix("\n").split("\n") if self.output else []

    def refs(self) -> dict[str, ObjectId]:
        """Return object ids by full ref, one of each a line. Raises `WorldError`."""
        found = [LISTED.fullmatch(line) for line in self.lines()]
        if None in found:
            raise failure("for refs", self)
        return {one[2]: one[1] for one in found if one}

    def fields(self) -> list[str]:
        """Return the fields of an output whose fields end in NUL; names stay reversible."""
        return os.fsdecode(self.output).split("\0")[:-1]


@dataclass(frozen=True)
class GitCommand:
    """Runs git on one repository, or on none (`git_dir` None: only on remotes).

    `folder` is where it runs and, for a repository with files, the top of the work tree;
    `protocols` are those of git (``file``, ``https``, ``ssh``) that remotes may use.
    """

    folder: Path
    git_dir: Path | None = None
    protocols: tuple[str, ...] = ("file",)
    environment: Mapping[str, str] = field(default_factory=dict)

    def with_environment(self, **values: str) -> GitCommand:
        """Return the same command with more in its environment."""
        return replace(self, environment={**self.environment, **values})

    def run(self, *arguments: str) -> Answer:
        """Run git; raise `WorldError` (``GIT_FAILED``) unless it ends with status 0."""
        answer = self.ask(*arguments)
        if answer.status != 0:
            raise failure(arguments[0], answer)
        return answer

    def line(self, *arguments: str) -> str:
        """Run git and return its output without the line end."""
        return self.run(*arguments).text.rstrip("\n")

    def ask(self, *arguments: str, given: Path | None = None) -> Answer:
        """Run git, with a file as its input, and return its exit status, too.

        Raises `WorldError` (``TOOL_MISSING``, ``GIT_TIMEOUT``, ``NO_FOLDER``).
        """
        if not self.folder.is_dir():
            raise WorldError(
                f"there is no folder {self.folder} for git {arguments[0]} to run in",
                code="NO_FOLDER",
                remedy="See what removed it; the release clone can be made again.",
            )
        with (given or Path(NOTHING)).open("rb") as file:
            status, output, words = _git_python()(self.folder).execute(
                list(self._command(arguments)),
                istream=file,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                kill_after_timeout=SECONDS,
                shell=False,
            )
        return _checked(arguments[0], Answer(status, _bytes(output), said(words)))

    def child_environment(self) -> dict[str, str]:
        """Return the environment in which another program's own calls of git are as these are."""
        settings = dict(self._environment())
        settings["GIT_CONFIG_COUNT"] = str(len(OPTIONS))
        for number, (key, value) in enumerate(OPTIONS.items()):
            settings[f"GIT_CONFIG_KEY_{number}"] = key
            settings[f"GIT_CONFIG_VALUE_{number}"] = value
        if self.git_dir:
            settings |= {"GIT_DIR": str(self.git_dir), "GIT_WORK_TREE": str(self.folder)}
        return settings

    def _command(self, arguments: tuple[str, ...]) -> Iterator[str]:
        # GitPython only adds to the inherited environment: env -i empties it.
        yield from ("env", "-i")
        yield from (f"{key}={value}" for key, value in self._environment())
        yield from ("git", "--no-pager", "--literal-pathspecs", "-C", str(self.folder))
        for key, value in OPTIONS.items():
            yield from ("-c", f"{key}={value}")
        if self.git_dir:
            yield f"--git-dir={self.git_dir}"
            yield f"--work-tree={self.folder}" if self.git_dir != self.folder else "--bare"
        yield from arguments

    def _environment(self) -> Iterator[tuple[str, str]]:
        yield from ((key, os.environ[key]) for key in INHERITED if key in os.environ)
        yield from ENVIRONMENT.items()
        yield "GIT_ALLOW_PROTOCOL", ":".join(self.protocols)
        yield "GIT_CEILING_DIRECTORIES", str(self.folder.parent)
        yield from self.environment.items()


def failure(command: str, answer: Answer) -> WorldError:
    """Return the error for a git command that should not have failed."""
    return WorldError(
        f"git {command} ended with status {answer.status}: {answer.words or 'no words'}",
        code="GIT_FAILED",
        remedy="Read git's words above; mend that, then run this again.",
    )


def said(words: object) -> str:
    """Return what a program or server said as plain text: no control characters, not too long.

    What git advises its users is left out: it would take the place of what has gone wrong.
    """
    text = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
    plain = "".join(one if one.isprintable() or one == "\n" else " " for one in text)
    return HINT.sub("", plain).strip()[-4000:]


def _checked(command: str, answer: Answer) -> Answer:
    if answer.status < 0 and "Timeout" in answer.words:
        raise WorldError(
            f"git {command} was not done after {SECONDS:.0f} seconds; whether it did anything is "
            "not known",
            code="GIT_TIMEOUT",
            remedy="See whether remote and disk answer, then run this again: it looks first.",
        )
    if answer.status == 127:  # noqa: PLR2004 (what env ends with when there is no such program)
        raise _missing()
    return answer


def _git_python() -> type[Git]:
    try:
        from git.cmd import Git  # noqa: PLC0415 (importing it fails where git is missing)
    except ImportError as error:
        raise _missing() from error
    return Git


def _missing() -> WorldError:
    return WorldError(
        "git is not to be found on PATH", code="TOOL_MISSING", remedy="Install git, then go on."
    )


def _bytes(output: object) -> bytes:
    return output if isinstance(output, bytes) else str(output or "").encode()
