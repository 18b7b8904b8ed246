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
from relkit.adapters.github_runs import EVENT, WORKFLOWS, Run, Runs
from relkit.adapters.github_workflow import require_pinned
from relkit.adapters.rest import Rest, UnknownStateError, segment
from relkit.adapters.web import Web, quoted
from relkit.errors import CheckError, WorldError
from relkit.probe import Seen
from relkit.release import Version
from relkit.values import Build, BuildState

SETTLED_SECONDS = 60.0
"""After this long a run that was started is listed."""
NOWHERE = "refs/heads/relkit..doctor"
"""git lets no branch have two dots in its name, so nothing can be started there."""


class _Started(Told):
    workflow_run_id: int


class _Workflow(Told):
    name: str
    path: str
    state: str


class _Object(Told):
    sha: str


class _Head(Told):
    object: _Object


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
        self._runs = Runs(rest, self._base, workflow, ref)
        second = Second(rest, web)
        self._artifacts = Artifacts(rest, self._base, second)
        self._jobs = Jobs(rest, self._base, second)
        self._builder = f"https://github.com/{repository}/{WORKFLOWS}{workflow}@refs/heads/{ref}"

    def builder(self) -> str:
        """Return the workflow as provenance of GitHub's own names it."""
        return self._builder

    def start(self, *, build: Build) -> str:
        """Start the workflow for a build's commit and version; return the number of the run."""
        fields = {"ref": self._ref, "inputs": self._inputs(build), "return_run_details": True}
        answer = self._rest.write("POST", f"{self._runs.path}/dispatches", fields)
        if answer.value is None:  # it was taken (204), and no number was told
            raise self._rest.unknown(f"{answer.said}, without the number of the run")
        try:
            started = told(self._rest, _Started, answer.value, answer.said)
        except WorldError as error:
            raise self._rest.unknown(answer.said) from error
        return str(started.workflow_run_id)

    def described(self) -> str:
        """Describe the workflow as it would run now; refuse one that could not be used.

        Raises `CheckError`: ``WORKFLOW_OFF``, ``ACTION_UNPINNED`` (T20).
        """
        answer = self._rest.get(self._runs.path)
        found = told(self._rest, _Workflow, answer.value, answer.said)
        if (found.state, found.path) != ("active", f"{WORKFLOWS}{self._workflow}"):
            raise CheckError(
                quoted(f"the workflow {self._workflow} is {found.state}, in {found.path}"),
                code="WORKFLOW_OFF",
                remedy="Have it enabled, or correct its name in the world's file.",
            )
        answer = self._rest.get(f"{self._base}/git/ref/{segment(f'heads/{self._ref}')}")
        head = told(self._rest, _Head, answer.value, answer.said).object.sha
        require_pinned(self._rest, self._base, found.path, head)
        return quoted(f"{found.name} is {found.state}; at {self._ref} its actions are pinned")

    def dispatchable(self, *, build: Build) -> Seen:
        """Tell whether GitHub lets this token start the workflow, which is started nowhere.

        Asked is for a branch that cannot be. Whoever may not dispatch is refused by 403 or 404
        before GitHub looks for it; all others by 422, for the branch.
        """
        fields = {"ref": NOWHERE, "inputs": self._inputs(build)}
        try:
            answer = self._rest.write("POST", f"{self._runs.path}/dispatches", fields)
        except UnknownStateError as error:
            said = error.args[0]
        except WorldError as error:
            if error.code != "SERVICE_CONFLICT":
                raise
            said = error.args[0]
            if "No ref found" in said:
                return Seen("refused for the branch alone, which does not exist")
        else:
            said = answer.said
        return Seen(said, f"Look in the browser whether you have Run workflow at {self._builder}.")

    def find(self, *, build: Build, since: datetime) -> str | None:
        """Return the run that was started for a build at or after `since`, by this machine's clock.

        A run that was cancelled is none. Raises `WorldError`: ``RUN_AMBIGUOUS``, and
        ``RUN_NOT_SETTLED`` as long as it may still be missing in GitHub's list.
        """
        listed, whole = self._runs.since(since)
        if not whole:
            raise self._ambiguous(f"not all runs since {since} could be listed")
        found = [run for run in listed if run.conclusion != "cancelled" and run.fits(build.commit)]
        if len(found) > 1:
            several = ", ".join(str(run.id) for run in found[:5])
            raise self._ambiguous(f"{len(found)} runs may be the one of {build.commit}: {several}")
        if found:
            return str(found[0].id)
        if datetime.now(UTC) < since + self._settled:
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

        Raises `CheckError`: ``RUN_REPEATED``, ``ACTION_UNPINNED`` (T20), ``SUBJECT_MISMATCH``,
        ``WEAK_DIGEST`` (T46), ``DIGEST_CHANGED``, ``ARTIFACT_GONE``, ``FILE_MISSING``,
        ``UNLISTED_FILE``.
        """
        files = ";".join(sorted(names_of(build.options.get("files", ""))))
        one = self._run(build, run)
        if (one.status, one.conclusion) != ("completed", "success"):
            raise WorldError(
                quoted(f"run {one.id} is {one.status}, {one.conclusion}, not completed, success"),
                code="RUN_NOT_DONE",
                remedy="Run the step again when the run has ended well.",
            )
        if one.run_attempt != 1:
            raise CheckError(
                f"run {one.id} was run again by hand, {one.run_attempt} times in all: GitHub does "
                "not say which of them its artifacts are from",
                code="RUN_REPEATED",
                remedy="Do not use it: start the build anew, which makes a run of its own.",
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
        """Have a run cancelled; one that has ended, or was deleted, is left alone."""
        del build
        self._runs.cancel(run)

    def log(self, *, build: Build, run: str) -> str:
        """Return how the jobs of a run stand, and the end of the log of the first that failed."""
        return self._jobs.log(self._run(build, run).id)

    def _run(self, build: Build, run: str) -> Run:
        one = self._runs.get(run)
        wanted = (run, EVENT, f"{WORKFLOWS}{self._workflow}", self._ref)
        found = (str(one.id), one.event, one.path.partition("@")[0], one.head_branch)
        if found != wanted or not one.fits(build.commit):
            raise CheckError(
                quoted(f"the run is {found}, {one.display_title}, not {wanted}, {build.commit}"),
                code="SUBJECT_MISMATCH",
                remedy="Do not use it: see who started that run, and for what.",
            )
        return one

    def _ambiguous(self, said: str) -> WorldError:
        return WorldError(
            said,
            code="RUN_AMBIGUOUS",
            remedy=f"Look at the runs of {self._workflow} on GitHub, and cancel all but one.",
        )

    def _inputs(self, build: Build) -> dict[str, str]:
        return {
            "git_remote": self._git_remote,
            "git_commit": checked(build.commit, FULL_ID, "full commit id"),
            "cpython_release": str(Version.parse(build.version)),
        }
