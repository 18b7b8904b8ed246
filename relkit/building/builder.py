"""One build, as a process of its own: ``python -m relkit.building.builder JOBFOLDER``.

It outlives whoever started it. It ends by writing ``outcome.json``, whole or not at all: what it
delivers (in ``out/``, already on the disk), the facts it states, and the provenance of the files,
or why it failed. A process that ends without that was killed.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

from relkit.building.ending import Ending, delivered
from relkit.building.job import JOB, OUT, PID, TOOLS_LOCK, WORK, Job, Program, hold, write_whole
from relkit.building.provenance import provenance
from relkit.errors import ReleaseError

PROGRAMS: Mapping[str, str] = {
    "source": "relkit.building.archives:source",
    "rebuild": "relkit.building.archives:source",
    "compare": "relkit.building.compared:compared",
    "docs": "relkit.building.docs:documented",
    "test": "relkit.building.interpreter:tested",
    "stranger": "relkit.building.interpreter:tried_as_stranger",
}
"""The builds that every world has, by name: where their `Program` is. Worlds add their own."""


def main(folder: Path) -> int:
    """Do the job of a folder, and write its outcome."""
    ending = Ending(folder)
    tools_lock = hold(folder / TOOLS_LOCK)
    write_whole(folder / PID, f"{os.getpid()}\n")
    for name in OUT, WORK:
        (folder / name).mkdir()
    try:
        job = Job.read(folder, tools_lock)
        _program(folder)(job)
        files = delivered(job.out)
        ending.done(files, job.facts, provenance(job, files, job.facts) if files else "")
    except Exception as error:  # noqa: BLE001 (whatever it is, the outcome says so)
        with suppress(OSError):  # a full disk takes no log either, and the reason is what matters
            traceback.print_exc()
        known = isinstance(error, ReleaseError)
        text = str(error) if known else f"BUILD_BROKEN: {type(error).__name__}: {error}"
        ending.failed(text)
        return 1
    shutil.rmtree(folder / WORK, ignore_errors=True)
    return 0


def _program(folder: Path) -> Program:
    told = json.loads((folder / JOB).read_text(encoding="utf-8"))
    module, _, name = told["program"].partition(":")
    if not module.startswith("relkit."):
        raise ImportError(f"{module} is no part of relkit")
    return cast("Program", getattr(importlib.import_module(module), name))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
