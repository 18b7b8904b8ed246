"""The builds that make source archives: ``source`` and ``rebuild``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from relkit.building.archive import DEFAULT_FORM, DEVICES
from relkit.building.contents import Contents
from relkit.building.export import export
from relkit.building.job import PART, Job
from relkit.building.objects import Objects
from relkit.building.origins import NO_ORIGINS, Origins
from relkit.building.source import blurb_command
from relkit.errors import CheckError


def source(job: Job) -> None:
    """Make the two archives of the commit, and from 3.12 on their SBOMs.

    The option `tar` is the form of GNU tar (``1.35``). Everything the bytes depend on is in the
    facts, with what the comparison of the ``.tgz`` with the commit counted.
    """
    with job.part("archives"):
        made = export(
            Objects(job.repository, job.work("git")),
            job.commit,
            version=job.version,
            tar=_tar(job),
            blurb=blurb_command(job.blurb),
            work=job.work("news"),
            out=job.out,
            origins=partial(_origins, job),
            progress=_shown(job),
        )
    job.facts.update(made.facts)
    job.facts.update(made.compared)
    job.facts.update(
        {
            "commit": job.commit,
            "payload_bytes": made.payload.size,
            "payload_sha256": made.payload.sha256,
            "sbom_lacks": made.lacks,
            "version": str(job.version),
        }
    )


def _origins(job: Job, contents: Contents) -> Origins:
    """Ask the package index of the world, if it has one; this happens while xz works."""
    if not job.index:
        return NO_ORIGINS
    from relkit.building.package_index import look_up  # noqa: PLC0415 (slow, and seldom needed)

    return look_up(contents, index=job.index, cache=job.packages)


def _shown(job: Job) -> Callable[[int, int], None]:
    """Return what writes the progress where the part of a build stands, for whoever asks."""
    part, last = job.folder / PART, 0

    def show(done: int, whole: int) -> None:
        nonlocal last
        percent = done * 100 // max(1, whole)
        if percent > last:
            last = percent
            new = part.with_name(f".{PART}.percent")
            new.write_text(f"archives {percent} %", encoding="ascii")
            new.replace(part)

    return show


def _tar(job: Job) -> str:
    form = job.options.get("tar", DEFAULT_FORM)
    if form not in DEVICES:
        raise CheckError(
            f"there is no form of GNU tar {form!r}",
            code="TAR_FORM",
            remedy=f"Give one of {', '.join(DEVICES)}.",
        )
    return form
