"""The builds that make and judge source archives: ``source``, ``rebuild`` and ``compare``."""

from __future__ import annotations

import platform
import subprocess

from relkit.building.archive import (
    DEFAULT_FORM,
    DEVICES,
    NEWS_SOURCES,
    Form,
    source_names,
    top_folder,
)
from relkit.building.compare import compare
from relkit.building.compress import GZIP
from relkit.building.job import Job, checked_input
from relkit.building.objects import Objects
from relkit.building.source import blurb_command, merged_news, write_source
from relkit.errors import CheckError

VERSION_TIMEOUT_SECONDS = 30.0


def source(job: Job) -> None:
    """Make the two archives of the commit.

    The option `tar` is the form of GNU tar (``1.35``). Everything the bytes depend on is in the
    facts.
    """
    objects = Objects(job.repository, job.work("git"))
    form = Form(top_folder(job.version), objects.commit_time(job.commit), _tar(job))
    with job.part("archives"):
        *_, tar = write_source(
            objects,
            job.commit,
            form=form,
            blurb=blurb_command(job.blurb),
            work=job.work("news"),
            out=job.out,
        )
    job.facts.update(
        {
            "blurb": job.blurb.name.removeprefix("blurb-"),
            "commit": job.commit,
            "gzip": _first_line(GZIP[0], "--version"),
            "git": _first_line("git", "--version"),
            "mtime": form.mtime,
            "payload_bytes": tar.size,
            "payload_sha256": tar.sha256,
            "python": platform.python_version(),
            "tar": form.tar,
            "version": str(job.version),
        }
    )


def compared(job: Job) -> None:
    """Compare both archives, as they were collected, with the commit.

    The facts are those of `relkit.building.compare.TreeReport`; `unexplained` is a count, and the
    first of them are in `differences`. Whoever reads them decides.
    """
    objects = Objects(job.repository, job.work("git"))
    news = None
    if any(entry.path.startswith(f"{NEWS_SOURCES}/") for entry in objects.entries(job.commit)):
        command = blurb_command(job.blurb)
        news = merged_news(objects, job.commit, blurb=command, folder=job.work("news"))
    tgz, xz = (job.input(name) for name in source_names(job.version))
    with job.part("compare"), checked_input(job, tgz) as first, checked_input(job, xz) as second:
        report = compare(
            objects,
            job.commit,
            archives=(first, second),
            top=top_folder(job.version),
            news=news,
        )
    job.facts.update(
        {
            "blurb": job.blurb.name.removeprefix("blurb-"),
            "commit": job.commit,
            "compared": report.files,
            "equal": report.equal,
            "by_eol": report.by_eol,
            "generated": report.generated,
            "removed": report.removed,
            "unexplained": len(report.unexplained),
            "differences": tuple(f"{one.path} ({one.what})" for one in report.unexplained[:20]),
            "payload_bytes": report.payload_bytes,
            "payload_sha256": report.payload_sha256,
            "tree_sha256": report.tree_sha256,
        }
    )


def _tar(job: Job) -> str:
    form = job.options.get("tar", DEFAULT_FORM)
    if form not in DEVICES:
        raise CheckError(
            f"there is no form of GNU tar {form!r}",
            code="TAR_FORM",
            remedy=f"Give one of {', '.join(DEVICES)}.",
        )
    return form


def _first_line(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, check=True, text=True, timeout=VERSION_TIMEOUT_SECONDS
    )
    return done.stdout.splitlines()[0]
