"""A workflow of GitHub Actions as a place where builds run.

The workflow is told the fork, the full commit id and the version; all builds of one run share it.
What a run was told cannot be read anywhere, so what its jobs have checked out is (I36): the
checkout action says it in their logs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from relkit.adapters.github import BRANCH, FULL_ID, REPOSITORY, Told, checked, told
from relkit.adapters.github_artifacts import Artifacts, names_of
from relkit.adapters.github_download import Second
from relkit.adapters.github_jobs import Jobs
from relkit.adapters.github_workflow import require_pinned
from relkit.adapters.rest import Rest, UnknownStateError, segment
from relkit.adapters.web import Web, quoted
from relkit.errors import CheckError, UsageError, WorldError
from relkit.release import Version
from relkit.values import Build, BuildState

WORKFLOWS = ".github/workflows/"
SETTLED_SECONDS = 60.0
"""After this long a run that was started is listed."""
SLACK = timedelta(seconds=2)
"""GitHub tells times in whole seconds, and its clock is read once."""
EVENT = "workflow_dispatch"


class _Run(Told):
    id: int
    head_branch: str | None
    head_sha: str
    path: str
    display_title: str
    event: str
    status: str | None
    conclusion: str | None
    created_at: datetime

    def fits(self, commit: str) -> bool:
        """Tell whether it may be of a commit: it is not if its title names only others."""
        named = FULL_ID.findall(self.display_title)
        return not named or commit in named


class _Runs(Told):
    total_count: int
    workflow_runs: tuple[_Run, ...]


class _Started(Told):
    workflow_run_id: int


class GitHubActions:
    """`relkit.adapters.remote_builders.BuildService`: the `workflow` of a repository, at `ref`.

    `git_remote` is the fork as the workflow's input names it; `builds` has for each build the names
    of the artifacts in which the run leaves its files. `web` opens the hosts that GitHub sends
    downloads to, without a token. A run that is not listed `settled_seconds` after it was asked for
    was not started.
    """

    def __init__(  # noqa: PLR0913 (where it is, and what it makes)
        self,
        rest: Rest,
        *,
        repository: str,
        workflow: str,
        ref: str,
        git_remote: str,
        builds: Mapping[str, tuple[str, ...]],
        web: Callable[[str], Web] = Web,
        settled_seconds: float = SETTLED_SECONDS,
    ) -> None:
        self._rest = rest
        self._base = f"repos/{checked(repository, REPOSITORY, 'repository')}"
        self._workflow, self._ref = checked(workflow, BRANCH, "workflow"), ref
        self._git_remote, self._builds = git_remote, builds
        self._settled = timedelta(seconds=settled_seconds)
        second = Second(rest, web)
        self._artifacts = Artifacts(rest, self._base, second)
        self._jobs = Jobs(rest, self._base, second)
        self._builder = f"https://github.com/{repository}/{WORKFLOWS}{workflow}@refs/heads/{ref}"

    def builder(self) -> str:
        """Return the workflow as provenance of GitHub's own names it."""
        return self._builder

    def start(self, *, build: Build) -> str:
        """Start the workflow for a build's commit and version; return the number of the run."""
        inputs = {
            "git_remote": self._git_remote,
            "git_commit": checked(build.commit, FULL_ID, "full commit id"),
            "cpython_release": str(Version.parse(build.version)),
        }
        fields = {"ref": self._ref, "inputs": inputs, "return_run_details": True}
        answer = self._rest.write("POST", f"{self._of_workflow()}/dispatches", fields)
        if answer.value is None:  # it was taken (204), and no number was told
            raise self._rest.unknown(f"{answer.said}, without the number of the run")
        try:
            started = told(self._rest, _Started, answer.value, answer.said)
        except WorldError as error:
            raise self._rest.unknown(answer.said) from error
        return str(started.workflow_run_id)

    def find(self, *, build: Build, since: datetime) -> str | None:
        """Return the run that was started for a build at or after `since`, by this machine's clock.

        Where GitHub's clock is another, the earlier time is taken: a time that nobody has in truth
        must not hide a run. A run that was cancelled is none. Raises `WorldError`:
        ``RUN_AMBIGUOUS``, and ``RUN_NOT_SETTLED`` as long as it may still be missing in GitHub's
        list.
        """
        query = {"event": EVENT, "branch": self._ref, "per_page": "100"}
        answer = self._rest.get(f"{self._of_workflow()}/runs", query)
        listed = told(self._rest, _Runs, answer.value, answer.said)
        now = datetime.now(UTC)
        there = answer.time or now
        start = since + min(timedelta(0), there - now) - SLACK
        found = [
            run
            for run in listed.workflow_runs
            if run.created_at >= start and run.conclusion != "cancelled" and run.fits(build.commit)
        ]
        if len(found) > 1:
            raise WorldError(
                f"{len(found)} runs may be the one of {build.commit}: "
                + ", ".join(str(run.id) for run in found[:5]),
                code="RUN_AMBIGUOUS",
                remedy=f"Look at the runs of {self._workflow} on GitHub, and cancel all but one.",
            )
        if found:
            return str(found[0].id)
        if now < since + self._settled:
            raise WorldError(
                f"no run of {self._workflow} for {build.commit} is listed yet; whether one was "
                f"started is not known",
                code="RUN_NOT_SETTLED",
                remedy=f"Run the step again in {self._settled.total_seconds():.0f} seconds.",
            )
        return None

    def state(self, *, build: Build, run: str) -> BuildState:
        """Tell how a run stands; all of its jobs must end well."""
        one = self._run(build, run)
        if one.status != "completed":
            detail = quoted(f"run {one.id} is {one.status}")
            return BuildState(status="running", detail=detail, since=one.created_at)
        if one.conclusion == "success":
            return BuildState(status="done", since=one.created_at)
        detail = quoted(f"run {one.id} ended with {one.conclusion}")
        return BuildState(status="failed", detail=detail, since=one.created_at)

    def fetch(self, *, build: Build, run: str, folder: Path) -> dict[str, str]:
        """Download a build's files, if the run is what it should be.

        Raises `CheckError`: ``ACTION_UNPINNED`` (T20), ``SUBJECT_MISMATCH``, ``WEAK_DIGEST`` (T46),
        ``DIGEST_CHANGED``, ``ARTIFACT_GONE``, ``FILE_MISSING``, ``UNLISTED_FILE``.
        """
        files = ";".join(sorted(names_of(build.options.get("files", ""))))
        one = self._run(build, run)
        if (one.status, one.conclusion) != ("completed", "success"):
            raise WorldError(
                quoted(f"run {one.id} is {one.status}, {one.conclusion}, not completed, success"),
                code="RUN_NOT_DONE",
                remedy="Run the step again when the run has ended well.",
            )
        require_pinned(self._rest, self._base, one.path.partition("@")[0], one.head_sha)
        self._jobs.require_checked_out(one.id, commit=build.commit, own=one.head_sha)
        names = self._builds.get(build.name, ())
        stated = self._artifacts.fetch(one.id, names, files, folder)
        return {
            "commit": build.commit,
            "version": build.version,
            "run": run,
            "builder": self._builder,
            "workflow_commit": one.head_sha,
            "digests": stated,
        }

    def cancel(self, *, build: Build, run: str) -> None:
        """Have a run cancelled; one that has ended stays as it is."""
        path = f"{self._of_run(build, run)}/cancel"
        try:
            self._rest.write("POST", path)
        except UnknownStateError:
            raise
        except WorldError as error:
            if error.code != "SERVICE_CONFLICT":
                raise

    def log(self, *, build: Build, run: str) -> str:
        """Return how the jobs of a run stand, and the end of the log of the first that failed."""
        return self._jobs.log(self._run(build, run).id)

    def _run(self, build: Build, run: str) -> _Run:
        answer = self._rest.get(self._of_run(build, run))
        one = told(self._rest, _Run, answer.value, answer.said)
        wanted = (run, EVENT, f"{WORKFLOWS}{self._workflow}", self._ref)
        found = (str(one.id), one.event, one.path.partition("@")[0], one.head_branch)
        if found != wanted or not one.fits(build.commit):
            raise CheckError(
                quoted(f"the run is {found}, {one.display_title}, not {wanted}, {build.commit}"),
                code="SUBJECT_MISMATCH",
                remedy="Do not use it: see who started that run, and for what.",
            )
        return one

    def _of_run(self, build: Build, run: str) -> str:
        if not (run.isascii() and run.isdecimal() and len(run) < len("9" * 20)):
            raise UsageError(
                f"{quoted(ascii(run[:40]))} is no number of a run, for {build.name}",
                code="BAD_NAME",
                remedy="See what the journal of the build says.",
            )
        return f"{self._base}/actions/runs/{run}"

    def _of_workflow(self) -> str:
        return f"{self._base}/actions/workflows/{segment(self._workflow)}"
