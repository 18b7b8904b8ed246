"""Requests for builds of one builder, and the builds that came of them: only read.

A request is ours if it has all `PROPERTIES` of a build; its reason has the run's nonce.
"""

from __future__ import annotations

import re

from relkit.adapters.buildbot_rows import BuilderRow, BuildRow, RequestRow, fresh, rows
from relkit.adapters.git_names import check_id
from relkit.adapters.rest import Rest
from relkit.adapters.value_files import safe_name
from relkit.adapters.web import quoted
from relkit.errors import WorldError
from relkit.values import Build

COMMIT, VERSION, REASON = PROPERTIES = ("git_commit", "cpython_release", "reason")
NUMBER = re.compile(r"3\.[0-9]{1,3}\.[0-9]{1,3}((a|b|rc)[0-9]{1,3})?")
RUN = re.compile(r"[0-9]{1,9}")


class Requests:
    """The requests for builds of the builder with this name."""

    def __init__(self, rest: Rest, name: str) -> None:
        self._rest = rest
        self._name = name

    def made_for(self, build: Build) -> list[RequestRow]:
        """Return the requests for exactly this build of this run."""
        asked = asked_of(build)
        query = [
            ("builderid__eq", str(self.builder().builderid)),
            *(("property", name) for name in PROPERTIES),
            ("order", "-buildrequestid"),
            fresh("buildrequestid"),
        ]
        every = rows(self._rest, "buildrequests", RequestRow, query)
        return [one for one in every if _told(one) == asked]

    def request(self, build: Build, run: str) -> RequestRow:
        """Return a request, which must be for this build."""
        asked = asked_of(build)
        if not RUN.fullmatch(run):
            raise WorldError(
                f"{quoted(run)!r} is not the number of a request",
                code="BAD_RUN",
                remedy="See the journal of the builds.",
            )
        query = [("property", "*"), ("buildrequestid__eq", run), fresh("buildrequestid")]
        found = rows(self._rest, "buildrequests", RequestRow, query)
        if [_told(one) for one in found] != [asked]:
            told = quoted("; ".join(" ".join(_told(one)) for one in found))
            raise WorldError(
                f"{self._rest.name}: request {run} is for {told or 'nothing'}, "
                f"not for {' '.join(asked)}",
                code="SUBJECT_MISMATCH",
                remedy="Somebody changed the master or its data: ask those who run it.",
            )
        return found[0]

    def build_of(self, run: str) -> BuildRow | None:
        """Return the newest build of a request; None: there is none yet."""
        query = [("property", "*"), fresh("buildid")]
        found = rows(self._rest, f"buildrequests/{run}/builds", BuildRow, query)
        return max(found, key=lambda one: one.buildid, default=None)

    def builder(self) -> BuilderRow:
        """Return the builder by its name: its number differs from master to master."""
        for one in rows(self._rest, "builders", BuilderRow, [fresh("builderid")]):
            if one.name == self._name and one.masterids:
                return one
        raise not_there(self._rest, f"there is no builder {self._name}")


def not_there(rest: Rest, what: str) -> WorldError:
    """Return the refusal of a master that lacks what the world's file names."""
    return WorldError(
        f"{rest.name}: {what}",
        code="BUILDER_UNKNOWN",
        remedy="Correct the world's file, or have the builder added to the configuration of "
        "the master.",
    )


def asked_of(build: Build) -> tuple[str, ...]:
    """Return the `PROPERTIES` of a build."""
    return (build.commit, build.version, reason_of(build))


def _told(request: RequestRow) -> tuple[str, ...]:
    return tuple(request.words(name) for name in PROPERTIES)


def reason_of(build: Build) -> str:
    """Return what a request is found by, checked to be plain words."""
    if not NUMBER.fullmatch(build.version):
        raise WorldError(
            f"{quoted(build.version)!r} is not the version of a release",
            code="BAD_VERSION",
            remedy="Versions are as 3.15.0b1.",
        )
    name, nonce = safe_name(build.name), safe_name(build.nonce)
    return f"relkit {nonce} {name} {build.version} {check_id(build.commit)}"
