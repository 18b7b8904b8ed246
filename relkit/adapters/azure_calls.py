"""The calls to one pipeline of Azure, version 7.1 of the interface, with what they answer.

Pipelines and builds are two views of the same run with the same number, and have two vocabularies:
a run has `state` and `result`, a build `status` and `result`. The parameters a run had are read
from the build.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError

from relkit.adapters.azure_models import (
    Builds,
    Listed,
    Made,
    Model,
    Preview,
    Ran,
    Record,
    Signed,
    Timeline,
)
from relkit.adapters.rest import Answer, Rest, UnknownStateError
from relkit.adapters.web import quoted
from relkit.errors import WorldError

VERSION = "api-version=7.1"
RUN_ID = re.compile(r"[1-9][0-9]{0,9}")
SLACK = timedelta(seconds=5)
"""Both clocks give whole seconds, and an answer takes time."""
LATER = timedelta(days=366)
MOST_LISTED = 100
M = TypeVar("M", bound=Model)


class Calls:
    """A pipeline by its number, at the project that `rest` is the interface of."""

    def __init__(self, rest: Rest, pipeline: int) -> None:
        self.rest = rest
        self.pipeline = pipeline

    def since(self, since: datetime) -> tuple[list[Made], bool]:
        """Return the runs queued then or later, the oldest first, and whether these are all.

        The service's clock is the one that counts: it is read from an answer, and where the two
        differ, the earlier time is taken. The end of the time that is asked for, long after all
        runs, is never the same: no cache has an older list for that address.
        """
        from_ = since - SLACK + min(timedelta(0), self._ahead())
        query = {
            "definitions": str(self.pipeline),
            "minTime": f"{from_.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "maxTime": f"{datetime.now(UTC) + LATER:%Y-%m-%dT%H:%M:%S.%fZ}",
            "queryOrder": "queueTimeAscending",
            "$top": str(MOST_LISTED),
        }
        answer = self._get("build/builds", query)
        listed = self._read(Builds, answer).value
        whole = "x-ms-continuationtoken" not in answer.headers and len(listed) < MOST_LISTED
        return [one for one in listed if one.queued_at_least(from_)], whole

    def preview(self, fields: Mapping[str, object]) -> None:
        """Let the service work out a run without starting it."""
        trial = {**fields, "previewRun": True}
        try:
            answer = self.rest.write("POST", f"pipelines/{self.pipeline}/preview?{VERSION}", trial)
        except UnknownStateError as error:  # a trial does nothing, so nothing is unknown
            self._ahead()  # says so where the key has expired
            said = f"the trial of the parameters failed: {error.args[0]}"
            raise self.rest.error("FAILED", said, "Nothing was started: run it later.") from error
        if not self._read(Preview, answer).final_yaml:
            raise self.rest.unreadable("the trial of the parameters gave no description of a run")

    def start(self, fields: Mapping[str, object]) -> str:
        """Start a run; return its number."""
        answer = self.rest.write("POST", f"pipelines/{self.pipeline}/runs?{VERSION}", fields)
        try:
            return str(Ran.model_validate(answer.value).id)
        except ValidationError as error:
            raise self.rest.unknown(answer.said) from error

    def ran(self, run: str) -> Ran:
        """Return a run as pipelines show it."""
        return self._read(Ran, self._get(f"pipelines/{self.pipeline}/runs/{_number(run)}"))

    def made(self, run: str) -> Made:
        """Return a run as builds show it, if it is one of this pipeline."""
        made = self._read(Made, self._get(f"build/builds/{_number(run)}"))
        if (str(made.id), made.definition.id) != (run, self.pipeline):
            raise self.rest.unreadable(
                f"asked for run {run} of pipeline {self.pipeline}, "
                f"it gave {made.id} of {made.definition.id}"
            )
        return made

    def is_gone(self, run: str) -> bool:
        """Tell whether a run was deleted: it is not there, and the pipeline's others can be seen.

        A service that hides all from whoever has no right says the same of each run.
        """
        if self.rest.find(f"build/builds/{_number(run)}?{VERSION}") is not None:
            return False
        self._ahead()
        return True

    def timeline(self, run: str) -> list[Record]:
        """Return the records of a run in their order."""
        plan = self.made(run).orchestration_plan
        if plan is None or plan.plan_id is None:
            return []
        path = f"build/builds/{_number(run)}/timeline/{plan.plan_id}"
        answer = self.rest.find(f"{path}?{VERSION}")
        found = self._read(Timeline, answer).records if answer else []
        return sorted(found, key=lambda record: record.order or 0)

    def cancel(self, run: str) -> None:
        """Have a run ended."""
        path = f"build/builds/{_number(run)}?{VERSION}"
        self.rest.write("PATCH", path, {"status": "cancelling"})

    def address(self, run: str, name: str) -> str:
        """Return where an artifact is downloaded, by whoever has the address."""
        path = f"pipelines/{self.pipeline}/runs/{_number(run)}/artifacts"
        query = {"artifactName": name, "$expand": "signedContent"}
        signed = self._read(Signed, self._get(path, query))
        if signed.name != name:
            raise self.rest.unreadable(f"asked for {name}, it gave {ascii(signed.name)[:100]}")
        if signed.signed_content and signed.signed_content.url:
            return signed.signed_content.url
        for one in self._read(Listed, self._get(f"build/builds/{run}/artifacts")).value:
            if one.name == name and one.resource and one.resource.download_url:
                return one.resource.download_url
        raise self.rest.unreadable(f"the artifact {name} of run {run} has no address")

    def _ahead(self) -> timedelta:
        """Return by how much the service's clock is ahead of ours; without one it is not."""
        before = datetime.now(UTC)
        answer = self._get("build/builds", {"$top": "1", "definitions": str(self.pipeline)})
        return (answer.time or before) - before

    def _get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        return self.rest.get(path, {**(query or {}), "api-version": "7.1"})

    def _read(self, model: type[M], answer: Answer) -> M:
        try:
            return model.model_validate(answer.value)
        except ValidationError as error:
            said = f"{answer.said}: {error.errors()[0]['loc']!s} {error.errors()[0]['msg']}"
            raise self.rest.unreadable(quoted(said)) from error


def _number(run: str) -> str:
    """Return the number of a run as it goes into an address."""
    if not RUN_ID.fullmatch(run):
        raise WorldError(
            f"{ascii(run)[:60]} is not the number of a run of Azure",
            code="SERVICE_UNREADABLE",
            remedy="The journal of the builds was written by something else: start anew.",
        )
    return run
