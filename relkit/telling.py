"""How long work says how far it is, whoever listens: ``3 of 40: sends Python-3.15.0.tgz``.

Adapters tell, the run listens while it carries an action out, and passes on to what shows it. A
listener may end the work by raising, where a person has asked for that: work tells only where it
can be ended and called again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str], None]


def _nobody(_text: str) -> None:
    """Listen to nothing."""


_LISTENER: ContextVar[Listener] = ContextVar("listener", default=_nobody)


def tell(text: str) -> None:
    """Say how far the work is, in one line; with ``n of m:`` first, it is shown as a bar."""
    _LISTENER.get()(text)


@contextmanager
def telling(listener: Listener) -> Iterator[None]:
    """Let somebody listen while the context lasts."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
