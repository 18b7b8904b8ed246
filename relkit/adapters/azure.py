"""The Windows build: a pipeline of Azure, tried first, then run, watched and downloaded.

Version 7.1 of the service's API. Pipelines and builds are two views of the same run with the same
number, and have two vocabularies: a run has `state` and `result`, a build `status` and `result`.
The parameters a run had are read from the build. The service states no digest of an artifact.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from relkit.adapters import azure_download
from relkit.adapters.artifact_zip import unzip
from relkit.adapters.azure_models import (
    Builds,
    Listed,
    Made,
    Preview,
    Ran,
    Record,
    Signed,
    Timeline,
)
from relkit.adapters.azure_models import Model as AnyModel
from relkit.adapters.azure_parameters import check_parameters, parameters_of
from relkit.adapters.remote_download import wanted_of
from relkit.adapters.rest import Answer, Rest, UnknownStateError
from relkit.adapters.web import quoted
from relkit.errors import CheckError, WorldError
from relkit.values import Build, BuildState

VERSION = "api-version=7.1"
RUN_ID = re.compile(r"[1-9][0-9]{0,9}")
TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
SLACK = timedelta(seconds=5)
"""Both clocks give whole seconds, and an answer takes time."""
LOG_TAIL = 4000
MOST_LISTED = 100
SETTLED_SECONDS = 60.0
"""After this long a run that was started is listed."""
LATER = timedelta(days=366)
M = TypeVar("M", bound=AnyModel)


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
        self._rest = rest
        self._pipeline = pipeline
        self._ref = ref
        self._git_remote = git_remote
        self._builds = builds
        self._parameters = parameters
        self._production = production
        self._settled = timedelta(seconds=settled_seconds)

    def find(self, *, build: Build, since: datetime) -> str | None:
        """Return the run with exactly the parameters of this build, queued since then.

        The service's clock is the one that counts: it is read from the answer, and where the two
        differ, the earlier time is taken. The end of the time that is asked for, long after all
        runs, is never the same: no cache has an older list for that address. Raises `WorldError`:
        ``RUN_AMBIGUOUS``, and ``RUN_NOT_SETTLED`` as long as the list itself may be behind.
        """
        asked, now = self._asked(build), datetime.now(UTC)
        from_ = since - SLACK + min(timedelta(0), self._skew())
        query = {
            "definitions": str(self._pipeline),
            "minTime": f"{from_.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "maxTime": f"{now + LATER:%Y-%m-%dT%H:%M:%S.%fZ}",
            "queryOrder": "queueTimeAscending",
            "$top": str(MOST_LISTED),
        }
        answer = self._get("build/builds", query)
        listed = self._read(Builds, answer).value
        if "x-ms-continuationtoken" in answer.headers or len(listed) >= MOST_LISTED:
            raise self._ambiguous(f"there are {len(listed)} and more runs since {from_}")
        mine = [one for one in listed if one.queued_at_least(from_) and self._fits(one, asked)]
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
        fields = {
            "resources": {"repositories": {"self": {"refName": self._ref}}},
            "templateParameters": self._asked(build),
            "stagesToSkip": [],
        }
        self._try(fields)
        answer = self._rest.write("POST", self._path("runs"), fields)
        try:
            return str(Ran.model_validate(answer.value).id)
        except ValidationError as error:
            raise self._rest.unknown(answer.said) from error

    def state(self, *, build: Build, run: str) -> BuildState:
        """Tell how a run stands; one that succeeded only in part has failed."""
        del build  # all builds of the pipeline share its run
        ran = self._read(Ran, self._get(f"pipelines/{self._pipeline}/runs/{_number(run)}"))
        if ran.state != "completed":
            return BuildState(status="running", detail=f"{ran.state}, {self._doing(run)}")
        made = self._made(run)
        if made.status != "completed":
            return BuildState(status="running", detail=f"{made.status}, {self._doing(run)}")
        if (ran.result, made.result) == ("succeeded", "succeeded"):
            return BuildState(status="done")
        said = f"run {run}: {ran.result}, {made.result}; {self._doing(run)}"
        return BuildState(status="failed", detail=said)

    def fetch(self, *, build: Build, run: str, folder: Path) -> dict[str, str]:
        """Download the artifacts and take the expected files out; say what the run ran with.

        Raises `CheckError`: ``WIN_PARAMS`` if the run had other parameters than were asked for.
        """
        made = self._made(run)
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
        """End a run; one that has ended, or is about to, is left alone."""
        del build
        if self._made(run).status in {"completed", "cancelling"}:
            return
        path = f"build/builds/{_number(run)}?{VERSION}"
        self._rest.write("PATCH", path, {"status": "cancelling"})

    def log(self, *, build: Build, run: str) -> str:
        """Return the records of the run's timeline, in their order, with what went wrong."""
        del build
        lines = []
        for record in self._timeline(run):
            if record.result in {"succeeded", "skipped"} and not record.issues:
                continue
            lines.append(f"{record.type} {record.name}: {record.result or record.state}")
            lines += [f"  {issue.type}: {quoted(issue.message)}" for issue in record.issues]
        return "\n".join(lines)[-LOG_TAIL:]

    def builder(self) -> str:
        """Return the address of the pipeline."""
        return f"{self._rest.web.url}pipelines/{self._pipeline}"

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
            azure_download.download(self._address(run, name), archive, self._rest)
            return unzip(archive, wanted, folder)
        finally:
            archive.unlink(missing_ok=True)

    def _address(self, run: str, name: str) -> str:
        """Return where an artifact is downloaded, by whoever has the address."""
        path = f"pipelines/{self._pipeline}/runs/{_number(run)}/artifacts"
        query = {"artifactName": name, "$expand": "signedContent"}
        signed = self._read(Signed, self._get(path, query))
        if signed.name != name:
            raise self._rest.unreadable(f"asked for {name}, it gave {ascii(signed.name)[:100]}")
        if signed.signed_content and signed.signed_content.url:
            return signed.signed_content.url
        for one in self._read(Listed, self._get(f"build/builds/{run}/artifacts")).value:
            if one.name == name and one.resource and one.resource.download_url:
                return one.resource.download_url
        raise self._rest.unreadable(f"the artifact {name} of run {run} has no address")

    def _try(self, fields: Mapping[str, object]) -> None:
        """Let the service work out the run without starting it."""
        trial = {**fields, "previewRun": True}
        try:
            answer = self._rest.write("POST", self._path("preview"), trial)
        except UnknownStateError as error:  # a trial does nothing, so nothing is unknown
            said = f"the trial of the parameters failed: {error.args[0]}"
            raise self._rest.error("FAILED", said, "Nothing was started: run it later.") from error
        if not self._read(Preview, answer).final_yaml:
            raise self._rest.unreadable("the trial of the parameters gave no description of a run")

    def _made(self, run: str) -> Made:
        made = self._read(Made, self._get(f"build/builds/{_number(run)}"))
        if (str(made.id), made.definition.id) != (run, self._pipeline):
            raise self._rest.unreadable(
                f"asked for run {run} of pipeline {self._pipeline}, "
                f"it gave {made.id} of {made.definition.id}"
            )
        return made

    def _timeline(self, run: str) -> list[Record]:
        plan = self._made(run).orchestration_plan
        if plan is None or plan.plan_id is None:
            return []
        path = f"build/builds/{_number(run)}/timeline/{plan.plan_id}"
        answer = self._rest.find(f"{path}?{VERSION}")
        found = self._read(Timeline, answer).records if answer else []
        return sorted(found, key=lambda record: record.order or 0)

    def _doing(self, run: str) -> str:
        """Say which stages are at work, or went wrong."""
        told = [
            f"{one.name} {one.result or one.state}"
            for one in self._timeline(run)
            if one.type in {"Stage", "Checkpoint.Approval"}
            and (one.state == "inProgress" or one.result not in {None, "succeeded", "skipped"})
        ]
        return quoted(", ".join(told) or "no stage at work")

    def _fits(self, made: Made, asked: Mapping[str, str]) -> bool:
        """Tell whether a run has the parameters asked for; a row may leave them out."""
        made = made if made.template_parameters is not None else self._made(str(made.id))
        try:
            check_parameters(made.parameters, asked, production=self._production)
        except CheckError:
            return False
        return True

    def _skew(self) -> timedelta:
        """Return by how much the service's clock is ahead of ours; without one it is not."""
        before = datetime.now(UTC)
        answer = self._get("build/builds", {"$top": "1", "definitions": str(self._pipeline)})
        try:
            return parsedate_to_datetime(answer.headers["date"]) - before
        except (KeyError, ValueError, TypeError):
            return timedelta(0)

    def _ambiguous(self, said: str) -> WorldError:
        return WorldError(
            f"{self._rest.name}: it cannot be told which run of pipeline {self._pipeline} "
            f"was started with these parameters: {said}",
            code="RUN_AMBIGUOUS",
            remedy="Cancel all but one of these runs in the browser, then run the step again.",
        )

    def _unsettled(self) -> WorldError:
        return WorldError(
            f"{self._rest.name}: no run of pipeline {self._pipeline} with these parameters is "
            f"listed yet; whether one was started is not known",
            code="RUN_NOT_SETTLED",
            remedy=f"Run the step again in {self._settled.total_seconds():.0f} seconds.",
        )

    def _path(self, what: str) -> str:
        return f"pipelines/{self._pipeline}/{what}?{VERSION}"

    def _get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        return self._rest.get(path, {**(query or {}), "api-version": "7.1"})

    def _read(self, model: type[M], answer: Answer) -> M:
        try:
            return model.model_validate(answer.value)
        except ValidationError as error:
            said = f"{answer.said}: {error.errors()[0]['loc']!s} {error.errors()[0]['msg']}"
            raise self._rest.unreadable(quoted(said)) from error


def _number(run: str) -> str:
    """Return the number of a run as it goes into an address."""
    if not RUN_ID.fullmatch(run):
        raise WorldError(
            f"{ascii(run)[:60]} is not the number of a run of Azure",
            code="SERVICE_UNREADABLE",
            remedy="The journal of the builds was written by something else: start anew.",
        )
    return quote(run)
