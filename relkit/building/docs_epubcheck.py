"""What epubcheck, the validator of the EPUB standard, says of the docs' book.

It is a tool of the build machine and may be missing there: then that is said. Whatever it does not
say itself is never taken for its approval.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relkit.building.job import Fact, Job
from relkit.errors import ReleaseError

TOOL = "epubcheck"
NO_ERRORS, NOT_RUN = "no errors", "not run"
COUNTED = {"fatal": "nFatal", "error": "nError", "warning": "nWarning"}
"""What is counted, and where epubcheck's report has the number."""
BAD = ("fatal", "error")
SHOWN, LENGTH = 10, 200
"""Messages that are named, and characters of each."""


def epubcheck(job: Job, path: Path) -> dict[str, Fact]:
    """Have a book checked; return what was found as facts.

    `epubcheck` is the verdict: "no errors", "2 fatal errors, 7 errors" (kinds, as it counts them),
    "no verdict: …", or "not run: …" where the tool is missing or cannot be started. A fatal error
    is a page that no reader of books can show. With a verdict of its own come `epubcheck_version`,
    the counts `epubcheck_fatal`, `epubcheck_error` and `epubcheck_warning`, and `epubcheck_first`:
    fatal errors and errors with the number of places and the last of them.
    """
    command = _command()
    if command is None:
        return {TOOL: f"{NOT_RUN}: it is not installed"}
    report = job.work(TOOL) / "report.json"
    words = [*command, str(path), "--quiet", "--locale", "en", "--json", str(report)]
    try:
        status, said = job.attempt(words, cwd=report.parent)
    except ReleaseError as error:
        why = str(error.args[0]).replace(f"{path.parent}/", "").replace(command[-1], TOOL)
        return {TOOL: f"{NOT_RUN}: {why}"}
    try:
        return _facts(json.loads(report.read_text(encoding="utf-8")), status)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        last = "".join(said.replace(f"{path.parent}/", "").splitlines()[-1:])[:LENGTH]
        return {TOOL: f"no verdict: it ended with status {status}: {last}"}


def _command() -> list[str] | None:
    """Return how it is called; some systems install the bare archive of Java as the program."""
    found = shutil.which(TOOL)
    if found is None:
        return None
    return ["java", "-jar", found] if zipfile.is_zipfile(found) else [found]


def _facts(report: Mapping[str, Any], status: int) -> dict[str, Fact]:
    counts = {word: int(report["checker"][key]) for word, key in COUNTED.items()}
    return {
        TOOL: _verdict(counts["fatal"], counts["error"], status),
        f"{TOOL}_version": str(report["checker"]["checkerVersion"]),
        f"{TOOL}_first": _first(report["messages"]),
        **{f"{TOOL}_{word}": count for word, count in counts.items()},
    }


def _verdict(fatal: int, errors: int, status: int) -> str:
    if not fatal and not errors:
        return NO_ERRORS if status == 0 else f"no verdict: no error, but status {status}"
    counted = [(fatal, "fatal error"), (errors, "error")]
    return ", ".join(f"{n} {word}{'s' if n > 1 else ''}" for n, word in counted if n)


def _first(messages: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return fatal errors, then errors, the most frequent first."""
    found = [
        (BAD.index(severity), -_places(one), _line(severity, one))
        for one in messages
        if (severity := str(one["severity"]).lower()) in BAD
    ]
    return tuple(line for _, _, line in sorted(found)[:SHOWN])


def _places(message: Mapping[str, Any]) -> int:
    """Count the places of a message; where it is too often there, one of them only says so."""
    more = int(message["additionalLocations"])
    return len(message["locations"]) + more - bool(more)


def _line(severity: str, message: Mapping[str, Any]) -> str:
    words = " ".join(str(message["message"]).split())
    place = message["locations"][-1]["path"] if message["locations"] else "no place"
    return f"{severity} {message['ID']} ({_places(message)}, {place}): {words}"[:LENGTH]
