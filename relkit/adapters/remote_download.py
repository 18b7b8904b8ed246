"""What a finished run left, brought into the attempt of a build: whole or not at all.

The statement about the files is relkit's observation: it says what the service told about the run
and what the files were that came from it. The service itself has signed nothing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relkit.adapters.attempts import outcome
from relkit.adapters.disk import sync_folder
from relkit.adapters.subjects import opened
from relkit.building.ending import Ending, delivered
from relkit.building.job import FILE_NAME, LOCK, OUT, OUTCOME, Input, hold
from relkit.building.provenance import OBSERVED, provenance
from relkit.errors import CheckError, UsageError, WorldError
from relkit.values import Artifact, Build, BuildResult

PART = ".out"
AGAIN = frozenset({"DIGEST_CHANGED"})
"""Refusals of a download that end nothing: it is made anew at the next look."""
MEGABYTE = 1_000_000

Fetch = Callable[..., dict[str, str]]
"""`BuildService.fetch`."""


@dataclass(frozen=True)
class Download:
    """An attempt whose run is done: what it was asked for, the run's id, and who built."""

    attempt: Path
    build: Build
    run: str
    builder: str


def downloaded(what: Download, fetch: Fetch) -> dict[str, str] | None:
    """Bring a run's files into the attempt and write its outcome.

    Returns, where another process is doing that just now, how far it is (fields of `BuildState`).
    What the service has but the release cannot use fails the attempt. Raises `WorldError` where
    the files could not be had, and `CheckError` (``DIGEST_CHANGED``): nothing is kept then.
    """
    lock = hold(what.attempt / LOCK)
    if lock is None:
        return {"status": "running", "detail": _so_far(what)}
    try:
        if not (what.attempt / OUTCOME).exists():
            with closing(Ending(what.attempt)) as ending:
                _bring(what, fetch, ending)
    except OSError as error:
        raise WorldError(
            f"the files of {what.build.name} cannot be kept here: {error.strerror or error}",
            code="DOWNLOAD_NOT_KEPT",
            remedy="Make room, or make the folder of the builds writable, and run again.",
        ) from error
    finally:
        os.close(lock)
    return None


def result_of(attempt: Path) -> BuildResult:
    """Return what a done attempt left; refuse (``DIGEST_CHANGED``) files changed since."""
    known = {key: value for key, value in outcome(attempt).items() if key != "failure"}
    result = BuildResult.model_validate(known)
    files = []
    for file in result.files:
        with opened(attempt / OUT / file.name, file.sha256) as subject:
            files.append(Artifact(name=file.name, size=subject.size, sha256=subject.sha256))
    return result.model_copy(update={"files": tuple(files)})


def _bring(what: Download, fetch: Fetch, ending: Ending) -> None:
    for old in (*what.attempt.glob(f"{PART}*"), what.attempt / OUT):  # of a process that was killed
        shutil.rmtree(old, ignore_errors=True)
    # A name of its own: a process whose attempt was put aside never writes into the next one's.
    part = Path(tempfile.mkdtemp(prefix=f"{PART}-", dir=what.attempt))
    try:
        facts = fetch(build=what.build, run=what.run, folder=part)
        files = delivered(part)
        _check(what, facts, files)
    except CheckError as error:
        shutil.rmtree(part, ignore_errors=True)
        if error.code in AGAIN:
            raise
        ending.failed(str(error))
        return
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, Exception):
            ending.require_folder()
        raise
    ending.require_folder()
    part.rename(what.attempt / OUT)
    sync_folder(what.attempt)
    ending.done(files, facts, _statement(what, facts, files))


def _check(what: Download, facts: Mapping[str, str], files: list[Input]) -> None:
    """Refuse files that were made from something else, and any other set than was asked for."""
    found = (facts.get("commit"), facts.get("version"))
    asked = (what.build.commit, what.build.version)
    if found != asked:
        raise CheckError(
            f"run {what.run} made {what.build.name} from {found[0]} as {found[1]}, "
            f"not from {asked[0]} as {asked[1]}",
            code="SUBJECT_MISMATCH",
            remedy="Use nothing of this run; have it built from the release commit.",
        )
    names, wanted = {file.name for file in files}, set(wanted_of(what.build))
    if names != wanted:
        raise CheckError(
            f"run {what.run} delivers for {what.build.name} "
            f"{', '.join(sorted(names)) or 'nothing'}, not {', '.join(sorted(wanted))}",
            code="UNLISTED_FILE" if names - wanted else "FILE_MISSING",
            remedy="Have the build corrected; only the expected set is ever signed.",
        )


def wanted_of(build: Build) -> tuple[str, ...]:
    """Return the names of the files a build is to deliver, as its options have them.

    Raises `UsageError` (``BAD_NAME``): they are used as names of files here and elsewhere.
    """
    names = tuple(name for name in build.options.get("files", "").split(";") if name)
    for name in names:
        if not FILE_NAME.fullmatch(name):
            raise UsageError(
                f"the build {build.name} is to deliver {name[:40]!r}, which is no plain name",
                code="BAD_NAME",
                remedy="Use file names as the manifest has them.",
            )
    return names


def _statement(what: Download, facts: Mapping[str, str], files: list[Input]) -> str:
    seen: dict[str, Any] = {"commit": facts["commit"], "version": facts["version"]}
    form = f"{OBSERVED}: run {what.run} at {what.builder}"
    told = {**facts, "form": form}
    observed = what.build.model_copy(update=seen)
    return provenance(observed, files, told, builder=what.builder) if files else ""


def _so_far(what: Download) -> str:
    """Say how much of a download has come; it goes on in another process."""
    sizes: list[int] = []
    with suppress(OSError):  # just renamed, or removed
        sizes.extend(one.stat().st_size for one in what.attempt.glob(f"{PART}*/*"))
    return f"its files are being downloaded, {sum(sizes) / MEGABYTE:.1f} MB so far"
