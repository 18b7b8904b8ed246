"""Builds beyond this machine: started once, followed, and downloaded whole or not at all.

A build has the folder that builds of this machine have too, ``<nonce>/<name>/attempt-N`` with
``job.json``, ``out/`` and ``outcome.json``, so whoever collects files need not know where they were
made. Which run of the service an attempt belongs to stands in the journal beside the builds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from relkit.adapters.attempts import (
    check_same,
    delivered_by,
    home_of,
    newest,
    number_of,
    status_of,
    told,
)
from relkit.adapters.remote_attempts import begin_attempt, give_up, run_number
from relkit.adapters.remote_download import Download, downloaded, result_of
from relkit.adapters.remote_runs import Journal, Run
from relkit.adapters.remote_service import BuildService
from relkit.adapters.subjects import text_of
from relkit.adapters.superseded import put_aside
from relkit.adapters.web import quoted
from relkit.building.job import OUTCOME
from relkit.errors import WorldError
from relkit.ports import Builders
from relkit.values import Artifact, Build, BuildResult, BuildState

__all__ = ["BuildService", "RemoteBuilders"]
POLL_SECONDS = 5.0
LOG_TAIL = 4000

_seen: dict[tuple[Path, int], tuple[float, BuildState]] = {}
"""The last answer about each attempt, and when this process got it: services are asked rarely."""


class RemoteBuilders:
    """`relkit.ports.Builders`: builds named in `services` run there, all others at `local`.

    `folder` is where builds are kept, the same that `local` and the shelf use. Builds that name the
    same service object share its run; which these are must not change while a release goes on.
    """

    def __init__(
        self,
        folder: Path,
        services: Mapping[str, BuildService],
        local: Builders,
        *,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._folder = folder
        self._services = services
        self._local = local
        self._poll_seconds = poll_seconds

    def start(self, *, build: Build) -> None:
        """Start a build, unless it runs or is done; anew if it was lost or has failed.

        What was started before and never answered is looked for first (I54).
        """
        if (service := self._services.get(build.name)) is None:
            self._local.start(build=build)
            return
        home = home_of(self._folder, build.nonce, build.name)
        journal = self._journal(build.name, build.nonce)
        with journal.alone():
            last = newest(home)
            if last is not None:
                _seen.pop((last, run_number(last)), None)
                state = self._known(last, service, journal)
                if state.status in {"running", "done"}:
                    check_same(last, build)
                    return
                give_up(last, state)
            run = journal.open_to(build, run_number(last))
            if run is not None and run.run is None:
                run = _found(run, service, journal)
            if run is None or run.run is None:
                run = _begin(journal.renew(run) if run else journal.intend(build), service, journal)
            begin_attempt(home, number_of(last) + 1, build, run.number)

    def started(self, *, name: str, nonce: str) -> bool:
        """Tell whether there was ever an attempt whose run is known."""
        if name not in self._services:
            return self._local.started(name=name, nonce=nonce)
        return newest(home_of(self._folder, nonce, name)) is not None

    def state(self, *, name: str, nonce: str) -> BuildState:
        """Tell how the newest attempt stands; what is done at the service is downloaded first.

        Raises `WorldError` where the service cannot be asked, or its files not be had now.
        """
        if (service := self._services.get(name)) is None:
            return self._local.state(name=name, nonce=nonce)
        last = newest(home_of(self._folder, nonce, name))
        if last is None:
            return BuildState(status="absent")
        journal = self._journal(name, nonce)
        state = self._known(last, service, journal)
        if state.status != "done" or (last / OUTCOME).exists():
            return state
        job = Build.model_validate(told(last)["build"])
        run = cast("str", journal.run(run_number(last)).run)
        busy = downloaded(Download(last, job, run, service.builder()), service.fetch)
        return state.model_copy(update=busy) if busy else status_of(last)

    def result(self, *, name: str, nonce: str) -> BuildResult | None:
        """Return what a finished build left; refuse (``DIGEST_CHANGED``) files changed since."""
        if name not in self._services:
            return self._local.result(name=name, nonce=nonce)
        if self.state(name=name, nonce=nonce).status != "done":
            return None
        last = newest(home_of(self._folder, nonce, name))
        return None if last is None else result_of(last)

    def read(self, *, name: str, nonce: str, file: Artifact) -> str | None:
        """Return a delivered text; what is hashed are the very bytes that are returned."""
        if name not in self._services:
            return self._local.read(name=name, nonce=nonce, file=file)
        out = delivered_by(self._folder, nonce=nonce, name=name)
        return None if out is None else text_of(out / file.name, file.sha256)

    def cancel(self, *, name: str, nonce: str) -> None:
        """Take a build out of its run, and put it aside as ``superseded/<name>.<n>``.

        The run itself is ended when nobody waits for it any more.
        """
        if (service := self._services.get(name)) is None:
            self._local.cancel(name=name, nonce=nonce)
            return
        home, journal = home_of(self._folder, nonce, name), self._journal(name, nonce)
        with journal.alone():
            for run in journal.runs():
                if name in run.left or not self._belongs(run, name, nonce):
                    continue
                self._leave(run, name, service, journal)
            put_aside(home)

    def log(self, *, name: str, nonce: str) -> str:
        """Return the end of what the newest attempt's run says about itself."""
        if (service := self._services.get(name)) is None:
            return self._local.log(name=name, nonce=nonce)
        last = newest(home_of(self._folder, nonce, name))
        if last is None:
            return ""
        run = self._journal(name, nonce).run(run_number(last))
        build = Build.model_validate(told(last)["build"])
        return service.log(build=build, run=cast("str", run.run))[-LOG_TAIL:]

    def _journal(self, name: str, nonce: str) -> Journal:
        first = min(one for one, at in self._services.items() if at is self._services[name])
        return Journal(home_of(self._folder, nonce, first).with_name(f".runs-{first}"))

    def _known(self, last: Path, service: BuildService, journal: Journal) -> BuildState:
        """Tell how an attempt stands by its outcome, or else as its service says."""
        if (last / OUTCOME).exists():
            return status_of(last)
        try:
            build = Build.model_validate(told(last)["build"])
            run = journal.run(run_number(last))
        except (ValueError, KeyError, TypeError, OSError):
            return BuildState(status="lost", detail="what was asked for cannot be read")
        before = _seen.get(key := (last, run.number))
        if before is not None and time.monotonic() - before[0] < self._poll_seconds:
            return before[1]
        state = _asked(build, run, service, before[1] if before else None)
        _seen[key] = time.monotonic(), state
        return state

    def _belongs(self, run: Run, name: str, nonce: str) -> bool:
        """Tell whether a build takes part in a run, or had it begun without learning its id."""
        attempts = home_of(self._folder, nonce, name).glob("attempt-*")
        joined = any(run_number(attempt) == run.number for attempt in attempts)
        return joined or run.build.name == name

    def _leave(self, run: Run, name: str, service: BuildService, journal: Journal) -> None:
        """Take a build out of a run; end the run if no other build waits for it.

        First at the service, then in the journal: whoever is killed in between does it again.
        """
        waiting = [one for one in self._sharing(run, service) if one != name]
        if not waiting and not run.cancelled:
            run = run if run.run else _found(run, service, journal)
            if run.run is not None:
                service.cancel(build=run.build, run=run.run)
        left = (*run.left, name)
        journal.write(run.model_copy(update={"left": left, "cancelled": not waiting}))

    def _sharing(self, run: Run, service: BuildService) -> list[str]:
        """Return the builds whose newest attempt waits for a run."""
        found = []
        for name in [one for one, at in self._services.items() if at is service]:
            last = newest(home_of(self._folder, run.build.nonce, name))
            if last and run_number(last) == run.number and not (last / OUTCOME).exists():
                found.append(name)
        return found


def _found(run: Run, service: BuildService, journal: Journal) -> Run:
    """Look for a run whose answer was lost; it comes back with its id if there is one."""
    found = service.find(build=run.build, since=run.intended)
    known = {one.run for one in journal.runs()}
    return journal.write(run.model_copy(update={"run": found})) if found not in known else run


def _begin(run: Run, service: BuildService, journal: Journal) -> Run:
    return journal.write(run.model_copy(update={"run": service.start(build=run.build)}))


def _asked(build: Build, run: Run, service: BuildService, before: BuildState | None) -> BuildState:
    """Ask a service; where that fails, say what was known last."""
    try:
        state = service.state(build=build, run=cast("str", run.run))
    except WorldError as error:
        known = f"{before.status} {before.detail}".strip() if before else "started"
        raise WorldError(
            f"{error.args[0]}; the last that is known of {build.name}: {known}",
            code=error.code,
            remedy=error.remedy,
        ) from error
    return state.model_copy(update={"detail": quoted(state.detail)})
