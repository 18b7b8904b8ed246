"""The runs of a workflow of GitHub Actions, as its interface tells them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from relkit.adapters.github import FULL_ID, Told, told
from relkit.adapters.rest import Rest, UnknownStateError, segment
from relkit.adapters.web import quoted
from relkit.errors import UsageError, WorldError

WORKFLOWS = ".github/workflows/"
SLACK = timedelta(seconds=2)
"""GitHub tells times in whole seconds, and its clock is read once."""
EVENT = "workflow_dispatch"


class Run(Told):
    """A run of a workflow; `run_attempt` counts how often it was run, by hand again after 1."""

    id: int
    head_branch: str | None
    head_sha: str
    path: str
    display_title: str
    event: str
    status: str | None
    conclusion: str | None
    created_at: datetime
    run_attempt: int = 1

    def fits(self, commit: str) -> bool:
        """Tell whether it may be of a commit: it is not if its title names only others."""
        named = FULL_ID.findall(self.display_title)
        return not named or commit in named


class _Listed(Told):
    total_count: int
    workflow_runs: tuple[Run, ...]


class Runs:
    """The runs of a workflow at `ref`, in the part of the API that begins with `base`."""

    def __init__(self, rest: Rest, base: str, workflow: str, ref: str) -> None:
        self._rest = rest
        self._base = base
        self._ref = ref
        self.path = f"{base}/actions/workflows/{segment(workflow)}"

    def since(self, since: datetime) -> tuple[list[Run], bool]:
        """Return the runs that were started at or after a time, and whether these are all.

        Where GitHub's clock is another, the earlier time is taken: a time that nobody has in truth
        must not hide a run.
        """
        query = {"event": EVENT, "branch": self._ref, "per_page": "100"}
        answer = self._rest.get(f"{self.path}/runs", query)
        listed = told(self._rest, _Listed, answer.value, answer.said)
        now = datetime.now(UTC)
        start = since + min(timedelta(0), (answer.time or now) - now) - SLACK
        found = [run for run in listed.workflow_runs if run.created_at >= start]
        older = len(found) < len(listed.workflow_runs)  # the newest come first
        return found, older or listed.total_count <= len(found)

    def get(self, run: str) -> Run:
        """Return a run by its number. Raises `WorldError`: ``RUN_GONE`` if it was deleted."""
        path = self._of(run)
        answer = self._rest.find(path)
        if answer is None:
            raise self._gone(run)
        return told(self._rest, Run, answer.value, answer.said)

    def cancel(self, run: str) -> None:
        """Have a run cancelled; one that has ended, or was deleted, is left alone."""
        try:
            self._rest.write("POST", f"{self._of(run)}/cancel")
        except UnknownStateError:
            raise
        except WorldError as error:
            if error.code == "SERVICE_MISSING":
                self._gone(run)
            elif error.code != "SERVICE_CONFLICT":
                raise

    def _gone(self, run: str) -> WorldError:
        """Return the refusal of a run that is not there, if the others can be seen.

        Whoever has lost the right to see them is told the same of each run (404).
        """
        self._rest.get(f"{self.path}/runs", {"event": EVENT, "per_page": "1"})
        return WorldError(
            f"run {run} is not there (any more): it was deleted, or is too new to be shown",
            code="RUN_GONE",
            remedy="Look again in a minute. If it was deleted: begin anew with relkit respin.",
        )

    def _of(self, run: str) -> str:
        if not (run.isascii() and run.isdecimal() and len(run) < len("9" * 20)):
            raise UsageError(
                f"{quoted(ascii(run[:40]))} is no number of a run",
                code="BAD_NAME",
                remedy="See what the journal of the build says.",
            )
        return f"{self._base}/actions/runs/{run}"
