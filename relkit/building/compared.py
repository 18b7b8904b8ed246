"""The build ``compare``: archives and SBOMs, as they were collected, held against the commit."""

from __future__ import annotations

from pathlib import Path

from relkit.building.archive import NEWS_SOURCES, source_names, top_folder
from relkit.building.archive_read import Found
from relkit.building.compare import TreeReport, check_same_payload, compare
from relkit.building.contents import Contents
from relkit.building.job import Job, checked_input
from relkit.building.objects import Objects, Tree
from relkit.building.sbom import sbom_name
from relkit.building.sbom_check import check_sbom
from relkit.building.source import blurb_command, merged_news

SHOWN = 20


def compared(job: Job) -> None:
    """Compare both archives with the commit, and each SBOM among the inputs with its archive.

    The facts are those of `relkit.building.compare.TreeReport`; `unexplained` is a count, and the
    first of them are in `differences`. Whoever reads them decides. An SBOM that is not its
    archive's ends the build; `sboms` says how many there were.
    """
    objects = Objects(job.repository, job.work("git"))
    news = _news(job, objects)
    contents = Contents()
    tgz, xz = (job.input(name) for name in source_names(job.version))
    tree = Tree.of(objects, job.commit, job.version)

    def taken_down(found: Found) -> None:
        if found.kind == "file":
            contents.take(found.path, found.data)

    with job.part("compare"), checked_input(job, tgz) as first, checked_input(job, xz) as second:
        top = top_folder(job.version)
        report = compare(tree, second, top=top, news=news, look=taken_down)
        check_same_payload(report, first)
    with job.part("sboms"):
        checked = _checked_sboms(job, contents, objects.commit_time(job.commit))
    job.facts.update(_facts(report))
    job.facts.update(
        {
            "blurb": job.blurb.name.removeprefix("blurb-"),
            "commit": job.commit,
            "sboms": f"{checked} equal",
        }
    )


def _news(job: Job, objects: Objects) -> bytes | None:
    """Return the commit's ``Misc/NEWS``, made here again; None if it has no entries for it."""
    paths = (entry.path for entry in objects.entries(job.commit))
    if not any(path.startswith(f"{NEWS_SOURCES}/") for path in paths):
        return None
    command = blurb_command(job.blurb)
    return merged_news(objects, job.commit, blurb=command, folder=job.work("news"))


def _checked_sboms(job: Job, contents: Contents, created: int) -> int:
    """Hold the SBOMs among the inputs against their archives; return how many there were."""
    checked = 0
    for archive in (job.input(name) for name in source_names(job.version)):
        for given in (one for one in job.inputs if one.name == sbom_name(archive.name)):
            with checked_input(job, given) as path:
                text = _text(path)
            check_sbom(
                text,
                name=archive.name,
                sha256=archive.sha256,
                contents=contents,
                created=created,
            )
            checked += 1
    return checked


def _text(path: Path) -> str:
    """Read a file; what is not UTF-8 becomes what no SBOM of ours has."""
    return path.read_text(encoding="utf-8", errors="replace")


def _facts(report: TreeReport) -> dict[str, str | int | tuple[str, ...]]:
    return {
        "compared": report.files,
        "equal": report.equal,
        "by_eol": report.by_eol,
        "generated": report.generated,
        "removed": report.removed,
        "left_out": tuple(f"{count} {path}" for path, count in sorted(report.left_out.items())),
        "unexplained": len(report.unexplained),
        "differences": tuple(f"{one.path} ({one.what})" for one in report.unexplained[:SHOWN]),
        "payload_bytes": report.payload_bytes,
        "payload_sha256": report.payload_sha256,
        "tree_sha256": report.tree_sha256,
    }
