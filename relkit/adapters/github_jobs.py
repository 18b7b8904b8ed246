"""The jobs of a run: what they checked out, and what they say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from relkit.adapters.github import Told, pages
from relkit.adapters.github_download import Second
from relkit.adapters.rest import Rest
from relkit.adapters.web import quoted
from relkit.errors import CheckError

CHECKED_OUT = re.compile(
    rb"git(?:\.exe)?\"? log -1 --format='?%H'?\r?\n[^\n]{0,60}?'?\b([0-9a-f]{40})'?\s"
)
"""The command of the checkout action that shows what it has checked out, and what it showed."""
MOST_LOG_BYTES = 200_000_000
OVERLAP = 400
LOG_TAIL = 4000
ENDED_WELL = {"success", "skipped", "neutral"}


class _Job(Told):
    id: int
    name: str
    status: str
    conclusion: str | None


class Jobs:
    """The jobs of runs, in the part of the API that begins with `base`."""

    def __init__(self, rest: Rest, base: str, second: Second) -> None:
        self._rest = rest
        self._base = base
        self._second = second

    def require_checked_out(self, run: int, *, commit: str, own: str) -> None:
        """Refuse (``SUBJECT_MISMATCH``) a run whose jobs have not checked out just this commit.

        The commit of the workflow's `own` repository may be checked out besides. (I36: a tag that
        was checked out by name in one job, and had been moved.)
        """
        seen: dict[str, str] = {}
        for job in self._jobs(run):
            if job.conclusion != "skipped":
                for found in self._checked_out(job):
                    seen.setdefault(found, job.name)
        strange = sorted(set(seen) - {commit, own})
        if strange or commit not in seen:
            what = f"{seen[strange[0]]} checked out {strange[0]}" if strange else "no job did so"
            raise CheckError(
                quoted(f"run {run} must have checked out {commit}: {what}"),
                code="SUBJECT_MISMATCH",
                remedy="Do not use its files: find out which commit they were made from.",
            )

    def log(self, run: int) -> str:
        """Say how each job stands, and quote the end of the log of the first that failed."""
        jobs = self._jobs(run)
        lines = [f"{job.name}: {job.conclusion or job.status}" for job in jobs]
        failed = [job for job in jobs if job.conclusion and job.conclusion not in ENDED_WELL]
        text = "\n".join([*lines, ""])
        if failed:
            end = bytearray()
            with self._second.opened(self._path(failed[0]), MOST_LOG_BYTES) as parts:
                for part in parts:
                    end = (end + part)[-LOG_TAIL:]
            text += f"\n{failed[0].name}:\n{end.decode('utf-8', 'replace')}"
        return text[-LOG_TAIL:]

    def _jobs(self, run: int) -> tuple[_Job, ...]:
        path = f"{self._base}/actions/runs/{run}/jobs"
        jobs = pages(self._rest, path, _Job, {"filter": "latest"}, within="jobs")
        if not jobs.complete:
            raise self._rest.unreadable(f"the jobs of run {run} could not be read to their end")
        return jobs.items

    def _checked_out(self, job: _Job) -> Iterator[str]:
        kept = b""
        with self._second.opened(self._path(job), MOST_LOG_BYTES) as parts:
            for part in parts:
                text = kept + part
                for found in CHECKED_OUT.finditer(text):
                    yield found[1].decode()
                kept = text[-OVERLAP:]

    def _path(self, job: _Job) -> str:
        return f"{self._base}/actions/jobs/{job.id}/logs"
