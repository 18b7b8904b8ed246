"""What editors work with: the programs they may run, and refusals that name file and line."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from relkit.errors import CheckError, WorldError

INHERITED = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    | {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
)
FIXED = {
    "LC_ALL": "C",
    "LANGUAGE": "C",
    "TZ": "UTC",
    "PYTHONUTF8": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
LOG_TAIL, LOG_LINES = 2000, 12
"""How much of a log a refusal shows: characters, lines."""


def inherited_environment() -> dict[str, str]:
    """Return of this process's environment what programs need to be found and to reach PyPI."""
    return {
        key: value
        for key, value in os.environ.items()
        if key in INHERITED or key.startswith("PIP_")
    }


@dataclass(frozen=True)
class Tools:
    """The programs that editors run.

    `blurb` is the argument list that runs the blurb this tree needs, `python` the interpreter
    for the docs' tools. Each tree's docs pin their own Sphinx: environments with it are kept in
    `docs_environments`, one for each set of requirements. What programs print goes to `logs`.
    """

    python: str
    blurb: tuple[str, ...]
    docs_environments: Path
    logs: Path
    environment: Mapping[str, str] = field(default_factory=inherited_environment)


Editor = Callable[[Path, str, datetime, Tools], None]
"""Changes a tree for a version, released at a time (whose own time zone is what texts show)."""


def refusal(code: str, where: str, line: int, message: str, remedy: str) -> CheckError:
    """Return the refusal of a line (counted from 1) of a file; line 0 is the whole file."""
    place = f"{where}:{line}" if line else where
    return CheckError(f"{place}: {message}", code=code, remedy=remedy)


def read_file(tree: Path, path: str) -> str:
    """Return a file of the tree as text with its line ends.

    Raises `CheckError`: ``EDIT_MISSING``, ``EDIT_ENCODING``.
    """
    file = tree / path
    if file.is_symlink() or not file.is_file():
        raise refusal("EDIT_MISSING", path, 0, "no such file", "Look at the branch.")
    data = file.read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise refusal(
            "EDIT_ENCODING", path, line, f"not UTF-8: {error.reason}", "Have the file corrected."
        ) from error


def read_lines(tree: Path, path: str) -> list[str]:
    """Return the lines of a file; carriage returns are refused (``EDIT_LINE_ENDS``)."""
    lines = read_file(tree, path).split("\n")
    for number, line in enumerate(lines, 1):
        if "\r" in line:
            raise refusal(
                *("EDIT_LINE_ENDS", path, number, "has a carriage return"),
                "Have the file stored with plain line ends on the branch.",
            )
    return lines


def write_file(tree: Path, path: str, text: str) -> None:
    """Write a text as it is, in place."""
    (tree / path).write_bytes(text.encode())


def run(  # noqa: PLR0913 (a process has many sides)
    tools: Tools,
    command: Sequence[str],
    *,
    folder: Path,
    log: str,
    code: str,
    seconds: float,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a program of an editor and wait for it; refuse with the end of its log if it fails.

    The log is ``<log>.log`` in the folder of logs. Raises `CheckError` (`code`) and `WorldError`
    (``TOOL_MISSING``).
    """
    tools.logs.mkdir(parents=True, exist_ok=True)
    path = tools.logs / f"{log}.log"
    settings = {**tools.environment, **FIXED, **(environment or {})}
    with path.open("wb") as output:
        try:
            process = subprocess.Popen(
                list(command),
                cwd=folder,
                env=settings,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise WorldError(
                f"{command[0]} is not to be found",
                code="TOOL_MISSING",
                remedy=f"Install {command[0]}, then run this again.",
            ) from error
        status = _wait(process, seconds)
    if status != 0:
        said = path.read_text(encoding="utf-8", errors="replace").strip()
        said = "\n".join(said[-LOG_TAIL:].splitlines()[-LOG_LINES:])
        raise CheckError(
            f"{log} ended with {status}: {said or 'no words'}",
            code=code,
            remedy="Mend what it names (file and line) on the branch, or give the tool it needs.",
        )


def _wait(process: subprocess.Popen[bytes], seconds: float) -> str | int:
    """Wait for a process; whatever ends the waiting also ends its whole group."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return f"no result after {seconds:.0f} seconds"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
