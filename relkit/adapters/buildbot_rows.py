"""What is read of a Buildbot master's REST API, version 2.

A table comes whole unless a limit was asked for; ``meta.total`` counts what came, not what is
there. Times are seconds since 1970 on the master's clock. A property is a pair of value and source.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relkit.adapters.rest import Answer, Rest
from relkit.adapters.web import quoted
from relkit.errors import WorldError

API = "api/v2/"
Result = Literal["success", "warnings", "failure", "skipped", "exception", "retry", "cancelled"]
RESULTS: tuple[Result, ...] = get_args(Result)
"""By the numbers that Buildbot gives them, from 0."""


class Row(BaseModel):
    """A row of a table; what else it has is not looked at."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class BuilderRow(Row):
    """A builder; one that no master runs is retired, and stays in the table for ever."""

    builderid: int
    name: str = Field(min_length=1, max_length=300)
    tags: list[str]
    masterids: list[int]


class ConnectedRow(Row):
    """A master that a worker is connected to."""

    masterid: int


class ConfiguredRow(Row):
    """A builder that a worker may build for."""

    builderid: int


class WorkerRow(Row):
    """A worker; one that is paused, or is to be shut down, takes no builds."""

    connected_to: list[ConnectedRow]
    configured_on: list[ConfiguredRow]
    paused: bool
    graceful: bool


class _Properties(Row):
    properties: dict[str, list[Any]] | None = None

    def words(self, name: str) -> str:
        """Return a property that is a text; empty where there is none, or something else."""
        pair = (self.properties or {}).get(name, [])
        return pair[0] if pair and isinstance(pair[0], str) else ""


class BuildRow(_Properties):
    """A build; `results` is None, or -1, until it is complete."""

    buildid: int
    builderid: int
    number: int
    complete: bool
    complete_at: int | None
    results: int | None
    state_string: str = ""

    @property
    def commit(self) -> str:
        """The commit that was checked out; where the build does not say, the one asked for."""
        return self.words("got_revision") or self.words("revision")


class RequestRow(_Properties):
    """A request for a build: it may wait for a worker, and be built again if that is lost."""

    buildrequestid: int
    builderid: int
    claimed: bool
    complete: bool
    results: int | None
    submitted_at: int


class StepRow(Row):
    """A step of a build."""

    stepid: int
    name: str
    results: int | None
    state_string: str = ""


class LogRow(Row):
    """A log of a step."""

    logid: int
    name: str
    num_lines: int


class ChunkRow(Row):
    """A part of a log; of a log called ``stdio`` each line begins with the letter of its stream."""

    content: str


class SchedulerRow(Row):
    """A force scheduler; `all_fields` are the parameters it takes, in groups within groups."""

    name: str
    builder_names: list[str]
    all_fields: list[dict[str, Any]]


R = TypeVar("R", bound=Row)


def rows(
    rest: Rest, table: str, kind: type[R], query: Sequence[tuple[str, str]] = (), *, key: str = ""
) -> tuple[R, ...]:
    """Return rows of a table by its path; `key` is what the answer calls them, if not as the path.

    Raises `WorldError`, ``SERVICE_UNREADABLE`` among them: nothing that is not understood is left
    out.
    """
    return parsed(rest, rest.get(API + table, query), kind, key or table.rpartition("/")[2])


def parsed(rest: Rest, answer: Answer, kind: type[R], key: str) -> tuple[R, ...]:
    """Return the rows of an answer."""
    value = answer.value
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(found, list):
        raise rest.unreadable(f"{answer.said}; there are no {key}")
    meta = value.get("meta")
    total = meta.get("total", len(found)) if isinstance(meta, dict) else None
    if total != len(found):
        raise rest.unreadable(f"it counts {total} {key} and gives {len(found)}")
    try:
        return tuple(kind.model_validate(one) for one in found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise rest.unreadable(f"of {key}, {quoted(where)}: {first['msg']}") from error


def fresh(key: str) -> tuple[str, str]:
    """Return a condition that always holds and is never the same: no cache has its answer."""
    moment = time.time_ns() // 1_000_000 % 2**31  # a database's integers may be that small
    return f"{key}__gt", f"-{moment}"


def result_of(rest: Rest, what: str, number: int | None) -> Result:
    """Return what a result's number means. Raises `WorldError` (``RESULT_UNKNOWN``)."""
    if number is None or not 0 <= number < len(RESULTS):
        raise WorldError(
            f"{rest.name}: {quoted(what)} ended with result {number}; known are 0 to "
            f"{len(RESULTS) - 1}",
            code="RESULT_UNKNOWN",
            remedy="See what that build says itself, and teach relkit the number.",
        )
    return RESULTS[number]
