"""What a planning function may yield, and a plan as data.

Steps yield live items; `plan_data` turns them into a `PlanData` at once: plain data that is shown,
hashed, recorded, and carried out, also by another process on another day.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, validate_call
from pydantic_core import to_jsonable_python

from relkit.errors import RecordError
from relkit.ports import World
from relkit.values import Artifact, Digest, Json, Value, digest_of
from relkit.words import in_words, part_in_words

OBJECT = re.compile(r'\{\s*"')
"""What JSON begins with that is written for machines."""
EXCERPT = 6_000  # characters of a long evidence that are kept in the record


@dataclass(frozen=True)
class Check:
    """A condition that must hold. `ok` None: it could not be seen, which stops as well.

    `name` is stable, with the values that are compared; `found` is evidence that may change by
    itself. With `warns` a failure is shown and does not stop; `waivable` allows a waiver.
    """

    name: str
    ok: bool | None
    found: str = ""
    code: str = "CHECK_FAILED"
    remedy: str = "Repair it, then run the step again."
    warns: bool = False
    waivable: bool = False


@dataclass(frozen=True)
class Expect:
    """A reading call, and what it gives when the action is done.

    With `equals` exactly that, with `has` a value with at least these fields, else anything but
    None, False or nothing.
    """

    read: partial[Any]
    equals: object = ...
    has: Mapping[str, object] | None = None


@dataclass(frozen=True)
class Action:
    """One change to an outside system: a partial call of a port's method with keywords.

    `undo` is the call that takes it back, or a sentence that says why there is none. With
    `temporary` it is taken back at once if a later action of the step fails.
    """

    do: partial[None]
    done: Expect
    undo: partial[None] | str
    temporary: bool = False


@dataclass(frozen=True)
class Wait:
    """Something that others do: what, who, for how long it may take, and whether it is there.

    `start` is the call that sets it going where it is not; builds are started and awaited in one
    step, so that a killed one is started again. `stop` ends what `start` set going, when the step
    is taken back; called twice it is harmless. With `waivable` the step can be made to go on
    without it, by a waiver that names `what`.
    """

    what: str
    whom: str
    within: timedelta
    ready: bool
    progress: str = ""
    start: partial[None] | None = None
    stop: partial[None] | None = None
    waivable: bool = False


@dataclass(frozen=True)
class Evidence:
    """A text the decision is about; its digest is part of the plan."""

    title: str
    text: str
    language: str = ""


@dataclass(frozen=True)
class Result:
    """What the step hands on: a value, or a reading call that gives it after the actions."""

    of: Value | partial[Any]


Item = Check | Action | Wait | Artifact | Evidence | Result
Plan = Iterator[Item]


# --- the plan as data -------------------------------------------------------------------------


Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
"""What a port or its method may be called in a record: nothing private is reached from there."""


class Call(Value):
    """A call of a port's method with JSON arguments."""

    port: Word
    method: Word
    arguments: Json

    @classmethod
    def of(cls, world: World, call: partial[Any]) -> Call:
        """Return the data of a partial call of a method of one of the world's ports."""
        owner = getattr(call.func, "__self__", None)
        for item in dataclasses.fields(world):
            if getattr(world, item.name) is owner and not call.args:
                arguments = to_jsonable_python(call.keywords)
                return cls(port=item.name, method=call.func.__name__, arguments=arguments)
        raise TypeError(f"{call} is not a call of a port with keywords only")

    def __call__(self, world: World) -> Any:  # noqa: ANN401 (whatever the method returns)
        """Make the call in `world`; arguments are parsed by the method's own annotations.

        Raises `RecordError` (``CALL_OTHER``) for one of another relkit, which nothing here takes.
        """
        try:
            method = getattr(getattr(world, self.port), self.method)
            inspect.signature(method).bind(**self.arguments)
        except (AttributeError, TypeError) as error:
            raise RecordError(
                f"this relkit has no {self.port}.{self.method}"
                f"({', '.join(self.arguments)}): {error}",
                code="CALL_OTHER",
                remedy="Go on with the relkit that made the plan: relkit status names it.",
            ) from error
        return validate_call(method)(**self.arguments)

    def __str__(self) -> str:
        words = {name: value and part_in_words(value) for name, value in self.arguments.items()}
        arguments = ", ".join(f"{name}={_short(value)}" for name, value in words.items())
        return f"{self.port}.{self.method}({arguments})"


class CheckData(Value):
    """A check with its verdict."""

    name: str
    verdict: Literal["pass", "warning", "fail", "unknown"]
    found: str
    code: str
    remedy: str
    waivable: bool


class ActionData(Value):
    """An action; `expects` says how what `read` gives is compared with `expected`."""

    do: Call
    read: Call
    expects: Literal["exists", "equals", "has"]
    expected: Any
    undo: Call | None
    undo_note: str
    temporary: bool = False

    def holds(self, world: World) -> tuple[bool, str]:
        """Ask the outside whether the action is done; also say what was read."""
        value = to_jsonable_python(self.read(world))
        if self.expects == "has":
            found = value or {}
            done = all(name in found and found[name] == x for name, x in self.expected.items())
        else:
            done = bool(value if self.expects == "exists" else value == self.expected)
        return done, _short(value)


class WaitData(Value):
    """A wait; `minutes` is how long it may take."""

    what: str
    whom: str
    minutes: int
    ready: bool
    progress: str
    start: Call | None
    stop: Call | None = None
    waivable: bool = False


class EvidenceData(Value):
    """A text by digest, with its beginning."""

    title: str
    sha256: Digest
    lines: int
    language: str
    excerpt: str


class PlanData(Value):
    """Everything a step would do, for one release and revision."""

    version: str
    revision: int
    step: str
    checks: tuple[CheckData, ...]
    waits: tuple[WaitData, ...]
    evidence: tuple[EvidenceData, ...]
    subjects: tuple[Artifact, ...]
    actions: tuple[ActionData, ...]
    result: Call | Json

    @property
    def decided(self) -> Json:
        """What a decision is about: all but what changes by itself."""
        return {
            "version": self.version,
            "revision": self.revision,
            "step": self.step,
            "checks": [[check.name, check.verdict] for check in self.checks],
            "evidence": [[text.title, text.sha256] for text in self.evidence],
            "subjects": [subject.to_data() for subject in self.subjects],
            "actions": [action.to_data() for action in self.actions],
        }

    @property
    def digest(self) -> str:
        """The digest a decision is bound to."""
        return digest_of(self.decided)

    @property
    def failing(self) -> tuple[CheckData, ...]:
        """The checks that stop the step unless they are waived."""
        return tuple(check for check in self.checks if check.verdict in {"fail", "unknown"})

    @property
    def awaited(self) -> tuple[WaitData, ...]:
        """The waits that are not over."""
        return tuple(wait for wait in self.waits if not wait.ready)


def plan_data(version: str, revision: int, step: str, world: World, items: Plan) -> PlanData:
    """Turn what a planning function yields into data, reading it to its end."""
    found: dict[type, list[Any]] = {kind: [] for kind in _CONVERTERS}
    for item in items:
        kind = type(item)
        found[kind].append(_CONVERTERS[kind](world, item))
    return PlanData(
        version=version,
        revision=revision,
        step=step,
        checks=tuple(found[Check]),
        waits=tuple(found[Wait]),
        evidence=tuple(found[Evidence]),
        subjects=tuple(found[Artifact]),
        actions=tuple(found[Action]),
        result=found[Result][-1] if found[Result] else {},
    )


def _check(_: World, item: Check) -> CheckData:
    verdict: Literal["pass", "warning", "fail", "unknown"] = (
        "unknown" if item.ok is None else "pass" if item.ok else "fail"
    )
    if item.warns and verdict != "pass":
        verdict = "warning"
    return CheckData(
        name=item.name,
        verdict=verdict,
        found=item.found,
        code=item.code,
        remedy=item.remedy,
        waivable=item.waivable,
    )


def _action(world: World, item: Action) -> ActionData:
    done = item.done
    expects: Literal["exists", "equals", "has"] = (
        "has" if done.has is not None else "exists" if done.equals is ... else "equals"
    )
    expected = {"exists": None, "equals": done.equals, "has": done.has}[expects]
    return ActionData(
        do=Call.of(world, item.do),
        read=Call.of(world, done.read),
        expects=expects,
        expected=to_jsonable_python(expected),
        undo=None if isinstance(item.undo, str) else Call.of(world, item.undo),
        undo_note=item.undo if isinstance(item.undo, str) else "",
        temporary=item.temporary,
    )


def _wait(world: World, item: Wait) -> WaitData:
    return WaitData(
        what=item.what,
        whom=item.whom,
        minutes=int(item.within.total_seconds() // 60),
        ready=item.ready,
        progress=item.progress,
        start=None if item.start is None else Call.of(world, item.start),
        stop=None if item.stop is None else Call.of(world, item.stop),
        waivable=item.waivable,
    )


def _evidence(_: World, item: Evidence) -> EvidenceData:
    return EvidenceData(
        title=item.title,
        sha256=hashlib.sha256(item.text.encode()).hexdigest(),
        lines=len(item.text.splitlines()),
        language=item.language,
        excerpt=item.text[:EXCERPT],
    )


def _result(world: World, item: Result) -> Call | Json:
    return item.of.to_data() if isinstance(item.of, Value) else Call.of(world, item.of)


_CONVERTERS: dict[type, Callable[[World, Any], Any]] = {
    Check: _check,
    Action: _action,
    Wait: _wait,
    Evidence: _evidence,
    Artifact: lambda _, item: item,
    Result: _result,
}


def _short(value: object, limit: int = 300) -> str:
    """Return a value as one line that is never cut inside a digest of a short plan.

    Of a text in JSON, which only machines read, it is the digest.
    """
    text = in_words(value)
    if isinstance(value, str) and OBJECT.match(value):
        sha256 = hashlib.sha256(value.encode()).hexdigest()
        text = f"({len(value)} characters of JSON, SHA-256 {sha256})"
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
