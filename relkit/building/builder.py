"""One build, as a process of its own: ``python -m relkit.building.builder JOBFOLDER``.

It outlives whoever started it. It ends by writing ``outcome.json``, whole or not at all: what it
delivers (in ``out/``, already on the disk) and the facts it states, or why it failed. A process
that ends without that was killed.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from relkit.building.job import (
    JOB,
    OUT,
    OUTCOME,
    PID,
    TOOLS_LOCK,
    WORK,
    Fact,
    Job,
    Program,
    hold,
    write_whole,
)
from relkit.errors import ReleaseError

PROGRAMS: Mapping[str, str] = {
    "source": "relkit.building.archives:source",
    "rebuild": "relkit.building.archives:source",
    "compare": "relkit.building.archives:compared",
    "docs": "relkit.building.docs:documented",
    "test": "relkit.building.interpreter:tested",
    "stranger": "relkit.building.interpreter:tried_as_stranger",
}
"""The builds that every world has, by name: where their `Program` is. Worlds add their own."""


def main(folder: Path) -> int:
    """Do the job of a folder, and write its outcome."""
    tools_lock = hold(folder / TOOLS_LOCK)
    write_whole(folder / PID, f"{os.getpid()}\n")
    for name in OUT, WORK:
        (folder / name).mkdir()
    try:
        job = Job.read(folder, tools_lock)
        _program(folder)(job)
        _end(folder, files=_delivered(job.out), facts=job.facts)
    except Exception as error:  # noqa: BLE001 (whatever it is, the outcome says so)
        traceback.print_exc()
        known = isinstance(error, ReleaseError)
        text = str(error) if known else f"BUILD_BROKEN: {type(error).__name__}: {error}"
        _end(folder, failure=text)
        return 1
    shutil.rmtree(folder / WORK, ignore_errors=True)
    return 0


def _end(
    folder: Path,
    *,
    failure: str | None = None,
    files: Sequence[Mapping[str, str | int]] = (),
    facts: Mapping[str, Fact] | None = None,
) -> None:
    outcome = {"failure": failure, "files": files, "facts": facts or {}}
    write_whole(folder / OUTCOME, json.dumps(outcome, sort_keys=True) + "\n")


def _program(folder: Path) -> Program:
    told = json.loads((folder / JOB).read_text(encoding="utf-8"))
    module, _, name = told["program"].partition(":")
    if not module.startswith("relkit."):
        raise ImportError(f"{module} is no part of relkit")
    return cast("Program", getattr(importlib.import_module(module), name))


def _delivered(out: Path) -> list[dict[str, str | int]]:
    """Describe the files in `out`, in order of name, once they are safely on the disk."""
    files: list[dict[str, str | int]] = []
    for path in sorted(out.iterdir()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            files.append({"name": path.name, "size": file.tell(), "sha256": digest})
    return files


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
