"""What is shown while a step is carried out, and how a person stops it between two actions."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Self

from IPython.display import display

from relkit import view
from relkit.deciding import EVIDENCE
from relkit.errors import WaitingError
from relkit.run import Run
from relkit.view import View

REFRESH_SECONDS = 0.3
GRACE_SECONDS = 1.0
"""How long a step waits for somebody who sits at the notebook: a played one answers at once."""
COUNTED = re.compile(r"(\d+) of (\d+):")


class Ticker:
    """One output that shows what is being done, and in the end what was done.

    While it is entered, the first interrupt (Lab's stop button) lets the action that runs come to
    its end, so that nothing is half done; then, or at a second one, `WaitingError`
    (``INTERRUPTED``) is raised, so that the cells below do not run. `changed` is called now and
    then, and in the end. Where `mine` says that a step waits only for who sits here, it ends
    (``NOT_READY``) instead of waiting in vain: nobody can fill in a form while a cell runs.
    """

    def __init__(
        self, run: Run, changed: Callable[[], None], mine: Callable[[], bool] = lambda: False
    ) -> None:
        self._run = run
        self._changed = changed
        self._mine = mine
        self._waits_since: float | None = None
        self._handle: Any = None
        self._last = 0.0
        self._stopping = False
        self._handler: Any = None

    def __enter__(self) -> Self:
        self._run.observe = self._tick
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        self._run.observe = lambda _: None
        self._changed()
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
        if kind is KeyboardInterrupt or (kind is None and self._stopping):
            raise _stopped() from error if isinstance(error, BaseException) else None

    def show(self, shown: View) -> None:
        """Replace what was shown."""
        self._put(shown.bundle())

    def _tick(self, text: str) -> None:
        if self._stopping:
            raise _stopped()
        if text.startswith(f"waiting for {EVIDENCE}"):
            self._be_patient(text)
        if time.monotonic() - self._last > REFRESH_SECONDS:
            self._last = time.monotonic()
            self._put(_bar(text).bundle())
            self._changed()

    def _be_patient(self, text: str) -> None:
        self._waits_since = self._waits_since or time.monotonic()
        if time.monotonic() - self._waits_since > GRACE_SECONDS and self._mine():
            raise WaitingError(
                f"{text.removeprefix('waiting for ')}: it is yours to give",
                code="NOT_READY",
                remedy="Use the form above, or run.evidence(NAME, TEXT); then run this again.",
            )

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        if self._stopping:
            raise KeyboardInterrupt
        self._stopping = True

    def _put(self, bundle: Mapping[str, str]) -> None:
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def _stopped() -> WaitingError:
    return WaitingError(
        "stopped as you asked",
        code="INTERRUPTED",
        remedy="Run this cell again: what is done stays done, and what was begun is looked up.",
    )


def _bar(text: str) -> View:
    """Return a line with a progress bar where the text begins with `n of m`."""
    shown = view.line(text)
    if found := COUNTED.match(text):
        bar = f'<progress value="{int(found[1]) - 1}" max="{found[2]}"></progress>'
        return View(shown.text, bar + shown.html)
    return shown
