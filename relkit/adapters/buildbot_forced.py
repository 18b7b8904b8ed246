"""A build that a Buildbot master is made to run: it tests the files of a release somewhere else.

Workers are volunteers' machines, so nothing that is published comes from there: such a build
delivers a verdict and no files. It is started by a force scheduler that takes `PROPERTIES`, and
found again by its reason, which has the run's nonce.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

from relkit.adapters.buildbot_login import Login
from relkit.adapters.buildbot_requests import (
    COMMIT,
    PROPERTIES,
    REASON,
    VERSION,
    Requests,
    asked_of,
    not_there,
    reason_of,
)
from relkit.adapters.buildbot_rows import API, SchedulerRow, result_of, rows
from relkit.adapters.buildbot_words import ahead, broken_step, tail_of
from relkit.adapters.rest import Rest
from relkit.adapters.web import quoted
from relkit.errors import CheckError, WorldError
from relkit.values import Build, BuildState

GREEN = {"success", "warnings"}
ROUNDED_SECONDS = 2.0
CANCEL_SECONDS = 60.0
LATE = timedelta(hours=24)
"""After so long without a worker, or without an end, people are to be asked."""


class ForcedBuild:
    """The form of `BuildService` for one builder, made to build by one force scheduler.

    The address of `rest` is the one of the master's web pages. `login` returns ``user:password``;
    None: anybody may force there. `forget` is told when the master refuses it.
    """

    def __init__(
        self,
        rest: Rest,
        *,
        scheduler: str,
        builder: str,
        login: Callable[[], str] | None = None,
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        self._rest = rest
        self._scheduler = scheduler
        self._name = builder
        self._requests = Requests(rest, builder)
        self._login = Login(rest, login, forget)

    def builder(self) -> str:
        """Return the address at which the master describes the builder."""
        return f"{self._rest.web.url}{API}builders/{quote(self._name, safe='')}"

    def find(self, *, build: Build, since: datetime) -> str | None:
        """Return the request that was made for a build at or after `since`, as our clock had it."""
        found = self._requests.made_for(build)
        if not found:
            return None
        from_then = since.timestamp() + ahead(self._rest) - ROUNDED_SECONDS
        recent = [str(one.buildrequestid) for one in found if one.submitted_at >= from_then]
        if len(recent) > 1:
            raise WorldError(
                f"{self._rest.name}: {self._name} was made to build {build.name} "
                f"{len(recent)} times since {since:%Y-%m-%d %H:%M:%S} UTC: {', '.join(recent)}",
                code="RUN_AMBIGUOUS",
                remedy="Cancel all but one of these requests there, then run the step again.",
            )
        return recent[0] if recent else None

    def start(self, *, build: Build) -> str:
        """Have it built; where a request for this very build has not ended, that is the run."""
        going = [one for one in self._requests.made_for(build) if not one.complete]
        if going:
            return str(going[0].buildrequestid)
        number = str(self._requests.builder().builderid)
        self._require_scheduler()
        fields = dict(zip(PROPERTIES, asked_of(build), strict=True))
        path = f"forceschedulers/{quote(self._scheduler, safe='')}"
        said = self._login.control(path, "force", {"builderid": number, **fields})
        match said:
            case [_, {**requests}] if isinstance(run := requests.get(number), int):
                return str(self._first(build, run))
        raise self._rest.unknown(f"{path} answered {quoted(str(said))}")

    def _first(self, build: Build, run: int) -> int:
        """Return the run that counts where the same was forced from two machines at once.

        Neither saw the other's when it looked. Both see both now: the older one is kept.
        """
        every = self._requests.made_for(build)
        first = min((one.buildrequestid for one in every if not one.complete), default=run)
        if first < run:
            self.cancel(build=build, run=str(run))
        return min(first, run)

    def state(self, *, build: Build, run: str) -> BuildState:
        """Tell how a request stands: running also while it waits for a worker."""
        request = self._requests.request(build, run)
        since = datetime.fromtimestamp(request.submitted_at, UTC)
        if not request.complete:
            going = "runs" if request.claimed else "waits for a worker"
            late = datetime.now(UTC) - since > LATE
            ask = ", for more than a day: ask those who run the buildbots" if late else ""
            detail = f"{going} at {self._name}, request {run}{ask}"
            return BuildState(status="running", detail=detail, since=since)
        result = result_of(self._rest, f"request {run}", request.results)
        if result in GREEN:
            detail = f"{result} at {self._name}, request {run}"
            return BuildState(status="done", detail=detail, since=since)
        step = broken_step(self._rest, self._requests.build_of(run))
        why = f"{result} at {self._name}, request {run}: {step}"
        last = self.log(build=build, run=run).strip().rpartition("\n")[2]
        return BuildState(status="failed", detail=quoted(f"{why}: {last}"), since=since)

    def fetch(
        self,
        *,
        build: Build,
        run: str,
        folder: Path,  # noqa: ARG002 (there are no files)
    ) -> dict[str, str]:
        """Return the verdict as facts; `folder` stays empty."""
        if files := build.options.get("files"):
            raise CheckError(
                f"{build.name} is to deliver {files}, and {self._name} only looks at files",
                code="FILE_MISSING",
                remedy="Let another service make them: nothing built on the buildbots is released.",
            )
        state, made = self.state(build=build, run=run), self._requests.build_of(run)
        if state.status != "done" or made is None:
            raise CheckError(
                f"{build.name} is not done: {state.status} {state.detail}",
                code="BUILD_NOT_DONE",
                remedy="Wait for its end, or start it anew.",
            )
        return {
            "commit": made.words(COMMIT),
            "version": made.words(VERSION),
            "run": run,
            "builder": self._name,
            "worker": made.words("workername"),
            "result": result_of(self._rest, f"build {made.number}", made.results),
            "url": f"{self._rest.web.url}#/builders/{made.builderid}/builds/{made.number}",
        }

    def cancel(self, *, build: Build, run: str) -> None:
        """End a request with its build, and see that it has ended."""
        if self._requests.request(build, run).complete:
            return
        self._login.control(f"buildrequests/{run}", "cancel", {REASON: reason_of(build)})
        end = monotonic() + CANCEL_SECONDS
        while not self._requests.request(build, run).complete:
            if monotonic() > end:
                raise WorldError(
                    f"{self._rest.name}: request {run} was cancelled and still goes on",
                    code="RUN_NOT_CANCELLED",
                    remedy="See its page there; run this again when it has ended.",
                )
            sleep(0.2)

    def log(self, *, build: Build, run: str) -> str:
        """Return the end of the log of the step that broke, or else of the last one."""
        self._requests.request(build, run)
        made = self._requests.build_of(run)
        return "" if made is None else tail_of(self._rest, made)

    def _require_scheduler(self) -> None:
        """Refuse a scheduler that is not there, or would drop what tells runs apart."""
        schedulers = rows(self._rest, "forceschedulers", SchedulerRow)
        mine = next((one for one in schedulers if one.name == self._scheduler), None)
        if mine is None or self._name not in mine.builder_names:
            raise not_there(self._rest, f"no force scheduler {self._scheduler} is for {self._name}")
        if lacking := sorted({*PROPERTIES} - set(_parameters(mine.all_fields))):
            raise not_there(
                self._rest, f"the force scheduler {self._scheduler} takes no {lacking[0]}"
            )


def _parameters(fields: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the names of what a scheduler takes; parameters stand in groups within groups."""
    for one in fields:
        yield str(one.get("fullName"))
        inner = one.get("fields")
        yield from _parameters(inner if isinstance(inner, list) else [])
