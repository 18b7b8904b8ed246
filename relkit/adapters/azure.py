"""The Windows build: a pipeline of Azure, tried first, then run, watched and downloaded.

The service states no digest of an artifact.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from relkit.adapters import elsewhere
from relkit.adapters.artifact_zip import unzip
from relkit.adapters.azure_calls import Calls
from relkit.adapters.azure_models import Made
from relkit.adapters.azure_parameters import check_parameters, parameters_of
from relkit.adapters.remote_download import wanted_of
from relkit.adapters.rest import Rest
from relkit.adapters.web import quoted
from relkit.errors import CheckError, WorldError
from relkit.values import Build, BuildState

TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
LOG_TAIL = 4000
SETTLED_SECONDS = 60.0
"""After this long a run that was started is listed."""


def sign_in(token: str) -> dict[str, str]:
    """Return the header for a personal access token, or for an OAuth token (a JWT)."""
    if TOKEN.fullmatch(token):
        return {"Authorization": f"Bearer {token}"}
    return {"Authorization": "Basic " + base64.b64encode(f":{token}".encode()).decode()}


class AzurePipeline:
    """`relkit.adapters.remote_builders.BuildService` by the pipeline with this number.

    `builds` has for each build the names of the run's artifacts; `parameters` are those of the
    world's file. `ref` is the branch that holds the pipeline's own description. A run that is not
    listed `settled_seconds` after it was asked for was not started.
    """

    def __init__(  # noqa: PLR0913 (what the world's file says of it, by name)
        self,
        rest: Rest,
        *,
        pipeline: int,
        ref: str,
        git_remote: str,
        builds: Mapping[str, tuple[str, ...]],
        parameters: Mapping[str, str],
        production: bool,
        settled_seconds: float = SETTLED_SECONDS,
    ) -> None:
        self._calls = Calls(rest, pipeline)
        self._ref = ref
        self._git_remote = git_remote
        self._builds = builds
        self._parameters = parameters
        self._production = production
        self._settled = timedelta(seconds=settled_seconds)

    def find(self, *, build: Build, since: datetime) -> str | None:
        """Return the run with exactly the parameters of this build, queued since then.

        A run that was cancelled is none. Raises `WorldError`: ``RUN_AMBIGUOUS``, and
        ``RUN_NOT_SETTLED`` as long as the list itself may be behind.
        """
        asked, now = self._asked(build), datetime.now(UTC)
        listed, whole = self._calls.since(since)
        if not whole:
            raise self._ambiguous(f"there are {len(listed)} and more runs since {since}")
        mine = [one for one in listed if not one.is_cancelled and self._fits(one, asked)]
        if len(mine) > 1:
            raise self._ambiguous(f"runs {', '.join(str(one.id) for one in mine)} have them all")
        if not mine and now < since + self._settled:
            raise self._unsettled()
        return str(mine[0].id) if mine else None

    def start(self, *, build: Build) -> str:
        """Try the parameters without a run, then start one.

        Raises `CheckError` (``WIN_PARAMS``), `WorldError` where the service refuses; then nothing
        was started.
        """
        self.rehearse(build=build)
        return self._calls.start(self._fields(build))

    def rehearse(self, *, build: Build) -> None:
        """Let the service work out the run of a build without starting it."""
        self._calls.preview(self._fields(build))

    def state(self, *, build: Build, run: str) -> BuildState:
        """Tell how a run stands; one that succeeded only in part has failed."""
        del build  # all builds of the pipeline share its run
        ran = self._calls.ran(run)
        if ran.state != "completed":
            return BuildState(status="running", detail=f"{ran.state}, {self._doing(run)}")
        made = self._calls.made(run)
        if made.status != "completed":
            return BuildState(status="running", detail=f"{made.status}, {self._doing(run)}")
        if (ran.result, made.result) == ("succeeded", "succeeded"):
            return BuildState(status="done")
        said = f"run {run}: {ran.result}, {made.result}; {self._doing(run)}"
        return BuildState(status="failed", detail=said)

    def fetch(self, *, build: Build, run: str, folder: Path) -> dict[str, str]:
        """Download the artifacts and take the expected files out; say what the run ran with.

        Raises `CheckError`: ``WIN_PARAMS`` if the run had other parameters than were asked for;
        `WorldError` (``RUN_NOT_DONE``) if a stage of it was begun again meanwhile.
        """
        made = self._calls.made(run)
        if (made.status, made.result) != ("completed", "succeeded"):
            raise WorldError(
                f"run {run} is {made.status}, {made.result}, not completed, succeeded; nothing of "
                "it was kept",
                code="RUN_NOT_DONE",
                remedy="Run the step again when the run has ended well.",
            )
        found = made.parameters
        check_parameters(found, self._asked(build), production=self._production)
        others = 0
        for name in self._artifacts(build):
            others += self._artifact(run, name, wanted_of(build), folder)
        return {
            "commit": found["SourceCommit"],
            "version": found["SourceTag"].removeprefix("v"),
            "run": run,
            "builder": self.builder(),
            "certificate": found["SigningCertificate"],
            "other_files": str(others),
        }

    def cancel(self, *, build: Build, run: str) -> None:
        """End a run; one that has ended, is about to, or was deleted is left alone."""
        del build
        if self._calls.is_gone(run) or self._calls.made(run).status in {"completed", "cancelling"}:
            return
        self._calls.cancel(run)

    def log(self, *, build: Build, run: str) -> str:
        """Return the records of the run's timeline, in their order, with what went wrong."""
        del build
        lines = []
        for record in self._calls.timeline(run):
            if record.result in {"succeeded", "skipped"} and not record.issues:
                continue
            lines.append(f"{record.type} {record.name}: {record.result or record.state}")
            lines += [f"  {issue.type}: {quoted(issue.message)}" for issue in record.issues]
        return "\n".join(lines)[-LOG_TAIL:]

    def builder(self) -> str:
        """Return the address of the pipeline."""
        return f"{self._calls.rest.web.url}pipelines/{self._calls.pipeline}"

    def _fields(self, build: Build) -> dict[str, object]:
        return {
            "resources": {"repositories": {"self": {"refName": self._ref}}},
            "templateParameters": self._asked(build),
            "stagesToSkip": [],
        }

    def _asked(self, build: Build) -> dict[str, str]:
        return parameters_of(
            build,
            git_remote=self._git_remote,
            fixed=self._parameters,
            production=self._production,
        )

    def _artifacts(self, build: Build) -> tuple[str, ...]:
        if names := self._builds.get(build.name):
            return names
        raise CheckError(
            f"no artifact of the pipeline is named for the build {build.name}, "
            f"only for {', '.join(self._builds) or 'none'}",
            code="BUILD_UNKNOWN",
            remedy="Name the run's artifacts in the world's file.",
        )

    def _artifact(self, run: str, name: str, wanted: tuple[str, ...], folder: Path) -> int:
        archive = folder / ".artifact.zip"
        try:
            elsewhere.download(self._calls.address(run, name), archive, self._calls.rest)
            return unzip(archive, wanted, folder)
        finally:
            archive.unlink(missing_ok=True)

    def _doing(self, run: str) -> str:
        """Say which stages are at work, or went wrong."""
        told = [
            f"{one.name} {one.result or one.state}"
            for one in self._calls.timeline(run)
            if one.type in {"Stage", "Checkpoint.Approval"}
            and (one.state == "inProgress" or one.result not in {None, "succeeded", "skipped"})
        ]
        return quoted(", ".join(told) or "no stage at work")

    def _fits(self, made: Made, asked: Mapping[str, str]) -> bool:
        """Tell whether a run has the parameters asked for; a row may leave them out."""
        made = made if made.template_parameters is not None else self._calls.made(str(made.id))
        try:
            check_parameters(made.parameters, asked, production=self._production)
        except CheckError:
            return False
        return True

    def _ambiguous(self, said: str) -> WorldError:
        return WorldError(
            f"{self._calls.rest.name}: it cannot be told which run of pipeline "
            f"{self._calls.pipeline} was started with these parameters: {said}",
            code="RUN_AMBIGUOUS",
            remedy="Cancel all but one of these runs in the browser, then run the step again.",
        )

    def _unsettled(self) -> WorldError:
        return WorldError(
            f"{self._calls.rest.name}: no run of pipeline {self._calls.pipeline} with these "
            "parameters is listed yet; whether one was started is not known",
            code="RUN_NOT_SETTLED",
            remedy=f"Run the step again in {self._settled.total_seconds():.0f} seconds.",
        )
