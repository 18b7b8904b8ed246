"""One guarded action that no step foresaw: recorded before and after, and flagged for ever."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from relkit import records as log
from relkit.errors import UsageError, VerificationError
from relkit.held import Held
from relkit.plan import ActionData, Call
from relkit.standing import Deviation
from relkit.values import Json, Value

Named = tuple[str, str, Json]
"""A call as a person writes it: port, method, arguments."""
PLAIN = (str, int, float, Value)
"""What fields of a world are that are no ports."""
SPEAKING = "people"
"""The port of requests, answers and evidence: no deviation speaks for somebody else."""


class Deviating(Held):
    """The part of a run for what no step foresaw."""

    def deviate(  # noqa: PLR0913 (all of it has to be said)
        self,
        *,
        do: Named,
        read: Named,
        expected: object = ...,
        undo: Named | None = None,
        note: str = "",
        who: str,
        role: str,
        reason: str,
    ) -> Deviation:
        """Do one action by a port of the world and read its result back.

        `do` and `undo` are writing methods, `read` a reading one; `expected` is what it gives
        then (left out: anything at all). Without `undo` the `note` says why there is none. Called
        again with the same words it goes on, or finds it done. Raises `UsageError`
        (``PORT_UNKNOWN``, ``METHOD_UNFIT``, ``ARGUMENTS_UNFIT``, ``UNDO_MISSING``), `GateError` as
        a decision does, `VerificationError` (``READ_BACK``), `WorldError`.
        """
        self.require_going()
        self.require_person(who, role, reason)
        if (undo is None) == (not note.strip()):
            raise UsageError(
                "a deviation names its way back, or why there is none",
                code="UNDO_MISSING",
                remedy="Give either undo or note.",
            )
        action = ActionData(
            do=self._call(do, writes=True),
            read=self._call(read, writes=False),
            expects="exists" if expected is ... else "equals",
            expected=None if expected is ... else to_jsonable_python(expected),
            undo=None if undo is None else self._call(undo, writes=True),
            undo_note=note.strip(),
        )
        return self._deviate(action, who, role, reason.strip())

    def _deviate(self, action: ActionData, who: str, role: str, reason: str) -> Deviation:
        """Ask, record, act, ask again, record; what was begun before is gone on with."""
        data = action.to_data()
        same = [one for one in self.deviations if one.entry.action == data]
        last = same[-1] if same else None
        holds, evidence = action.holds(self.world)
        if last is not None and last.done is not None and holds:
            return last
        found = holds and last is None
        if last is None or last.done is not None:
            number = len(self.deviations)
            self._record(
                log.Deviated(number=number, action=data, who=who, role=role, reason=reason)
            )
            last = self.deviations[number]
        if not holds:
            action.do(self.world)
            holds, evidence = action.holds(self.world)
        if not holds:
            raise VerificationError(
                f"{action.do} was done; reading back by {action.read} gives {evidence}",
                code="READ_BACK",
                remedy="Look at that system first; then run this again, which asks it anew.",
            )
        number = last.entry.number
        self._record(log.DeviationDone(number=number, found=found, evidence=evidence))
        return last

    def _call(self, named: Named, *, writes: bool) -> Call:
        """Return a call as data; refuse what no port of this world has for this use."""
        port, method, arguments = named
        if writes and port == SPEAKING:
            raise UsageError(
                f"{port}.{method} is what people say, and nobody says it for them",
                code="METHOD_UNFIT",
                remedy="Decide, waive or testify as yourself; let the others do so too.",
            )
        kind = ports_of(type(self.world)).get(port)
        if kind is None:
            raise UsageError(
                f"the world has no port {port!r}",
                code="PORT_UNKNOWN",
                remedy="relkit/ports.py lists the ports with their methods.",
            )
        found = methods_of(kind)
        if found.get(method) is not writes:
            fitting = sorted(name for name, does in found.items() if does is writes)
            raise UsageError(
                f"{port}.{method} is not a method that {'changes' if writes else 'reads'}",
                code="METHOD_UNFIT",
                remedy=f"Those that do: {', '.join(fitting) or 'none'}.",
            )
        try:
            _require_arguments(getattr(kind, method), arguments)
            return Call(port=port, method=method, arguments=to_jsonable_python(arguments))
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"{port}.{method} cannot be called like that: {str(error).splitlines()[0]}",
                code="ARGUMENTS_UNFIT",
                remedy=f"It takes {', '.join(_parameters(getattr(kind, method)))}.",
            ) from error


def _parameters(method: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(method).parameters if name != "self"]


def _require_arguments(method: Callable[..., Any], arguments: Json) -> None:
    """Raise what pydantic or Python does if a method cannot be called with these arguments.

    Whatever is recorded as about to be done can so be done at least as far as its port.
    """
    inspect.signature(method).bind(None, **arguments)
    hints = get_type_hints(method)
    for name, value in arguments.items():
        TypeAdapter(hints[name]).validate_python(value)


def ports_of(world: type[Any]) -> dict[str, type[Any]]:
    """Return the ports of a type of world, by name."""
    hints = get_type_hints(world).items()
    return {
        name: kind for name, kind in hints if isinstance(kind, type) and not issubclass(kind, PLAIN)
    }


def methods_of(kind: type[Any]) -> dict[str, bool]:
    """Return the public methods of a port, and whether each changes: those return nothing."""
    found = {}
    for name in dir(kind):
        method = getattr(kind, name)
        if re.fullmatch(r"[a-z][a-z0-9_]*", name) and callable(method):
            found[name] = get_type_hints(method).get("return") is type(None)
    return found
