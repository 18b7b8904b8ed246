"""What the cells of a release notebook call: they show, ask, and never block.

`run.step(name)` carries a step out and shows it. A step with a gate has three cells: `propose`
shows the plan, `gate` shows a form (or, without a person in front, the state of the decision) and
returns at once, `apply` refuses until the decision is there. Whatever is shown is made from the
ledger and plain; a click is nothing without its record.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, cast

import ipywidgets as widgets
from IPython.core.getipython import get_ipython
from IPython.display import display

from relkit import view
from relkit.errors import CheckError, ReleaseError, UsageError, WaitingError
from relkit.graph import as_text, draw
from relkit.opening import Opened, open_release, record_folder
from relkit.run import History, Proposal, Run
from relkit.view import View

Runner = Literal["jupyter", "batch", "replay", "terminal", "unknown"]
REFRESH_SECONDS = 0.3
MANAGER = "release-manager"
COUNTED = re.compile(r"(\d+) of (\d+):")
_HELD: dict[Path, Opened] = {}
"""The runs this kernel holds open, by record folder, so that opening one again is harmless."""


def runner() -> Runner:
    """Say who runs this cell. Call it in a cell, never in a widget's callback."""
    if forced := os.environ.get("RELKIT_RUNNER"):
        return cast("Runner", forced)
    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return "terminal"
    may_ask = kernel.get_parent().get("content", {}).get("allow_stdin")
    if may_ask and "JPY_SESSION_NAME" in os.environ:
        return "jupyter"
    return "batch" if may_ask is False else "unknown"


def open_run(
    version: str,
    kind: str = "",
    date: str = "",
    world: str = "worlds/practice.toml",
    records: str = "records",
    **unknown: object,
) -> Face:
    """Open the run of a release, or begin it; show what it was opened with.

    `date` (ISO, UTC) may be empty: the recorded date, or today for a new run. Raises
    `UsageError` for parameters that are none, `RecordError` for a record that cannot be used.
    """
    if unknown:
        raise UsageError(
            f"a release notebook has no parameter {', '.join(map(repr, unknown))}",
            code="PARAMETER_UNKNOWN",
            remedy="The parameters are version, kind, date, world and records.",
        )
    if runner() == "replay":
        history = History.read(Path(os.environ["RELKIT_REPLAY"]))
        return Face(history).opened()
    folder = record_folder(version, records)
    if held := _HELD.pop(folder, None):
        held.close()
    held = open_release(version, kind, date, world, records)
    _HELD[folder] = held
    return Face(held.run).opened()


class Face:
    """A run as the notebook shows it; of a sealed record only what was recorded is shown."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._run = history if isinstance(history, Run) else None

    def opened(self) -> Face:
        """Show what the run was opened with."""
        _show(view.opened(self._history))
        return self

    def picture(self) -> None:
        """Draw the steps, what comes after what, and how each stands."""
        states = {name: self._history.status(name) for name in self._history.steps}
        kind = self._history.release.kind
        _show(View(as_text(kind, states), draw(kind, states)))

    def step(self, name: str) -> None:
        """Carry a step out, as far as it is not done, and show it with its records."""
        if self._run is None:
            self._recorded(name)
            return
        self._run.step(name)
        with _Ticker(self._run) as ticker:
            try:
                done = self._run.apply(name)
            except ReleaseError as error:
                self._explain(name, error, ticker)
                raise
            ticker.show(_carried(done))

    apply = step

    def propose(self, name: str) -> None:
        """Show what a step would do, or did."""
        if self._run is None:
            self._recorded(name, actions_only=True)
            return
        with _Ticker(self._run) as ticker:
            ticker.show(view.proposal(self._run.propose(name)))

    def gate(self, name: str) -> None:
        """Show the decisions of a gate, and the form for one that is the release manager's."""
        step = self._history.step(name)
        if self._run is None:
            progress = self._history.progress(name)
            _show(view.decisions(step, progress.records, progress.plan))
            return
        proposal = self._run.propose(name)
        missing = self._run.ask(proposal)
        words = view.decisions(step, proposal.progress.records, proposal.plan)
        if MANAGER in missing and runner() not in {"batch", "terminal"}:
            _ask(self._run, proposal, words)
        else:
            _show(words)

    def seal(self) -> None:
        """Say how the record is closed; with a person in front, seal it now."""
        if self._run is None:
            _show(view.records(self._history.ledger))
            return
        if not self._run.complete:
            raise WaitingError(
                "the run is not complete",
                code="NOT_COMPLETE",
                remedy="Run the steps above that are not complete.",
            )
        if runner() not in {"jupyter", "unknown"}:
            _show(view.line("Complete. The command that runs this notebook seals the record."))
            return
        folder = self._run.ledger.path.parent
        where = ["--records", str(folder.parent)]
        command = [sys.executable, "-m", "relkit", "seal", folder.name, *where]
        _HELD.pop(folder).close()
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        _show(view.line(made.stdout.strip() or made.stderr.strip()))

    def _recorded(self, name: str, *, actions_only: bool = False) -> None:
        recorded = self._history.recorded(name)
        if recorded is None:
            _show(view.line(f"{name}: not reached"))
        else:
            _show(view.proposal(recorded) if actions_only else _carried(recorded))

    def _explain(self, name: str, error: ReleaseError, ticker: _Ticker) -> None:
        """Show the plan that was refused, and a form where a check may be waived."""
        if self._run is None or not isinstance(error, CheckError):
            return
        proposal = self._run.propose(name)
        ticker.show(view.proposal(proposal))
        waivable = [check.name for check in proposal.plan.failing if check.waivable]
        if waivable and runner() not in {"batch", "terminal"}:
            _offer_waiver(self._run, proposal, waivable[0])


def _carried(done: Proposal) -> View:
    """Return a step after it was carried out: the plan, then its records, then its result."""
    records = view.details("Records", view.records(done.progress.records).text)
    result = done.progress.result or {}
    shown = view.table(("result", ""), [(name, value) for name, value in result.items()])
    return View.of([view.proposal(done), shown, records])


def _show(shown: View) -> None:
    display(shown.bundle(), raw=True)


class _Ticker:
    """One output that shows what is being done, and in the end what was done."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._handle: Any = None
        self._last = 0.0

    def __enter__(self) -> Self:
        self._run.observe = self._tick
        return self

    def __exit__(self, *_: object) -> None:
        self._run.observe = lambda _: None

    def show(self, shown: View) -> None:
        """Replace what was shown."""
        self._put(shown.bundle())

    def _tick(self, text: str) -> None:
        if time.monotonic() - self._last > REFRESH_SECONDS:
            self._last = time.monotonic()
            self._put(_bar(text).bundle())

    def _put(self, bundle: Mapping[str, str]) -> None:
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def _bar(text: str) -> View:
    """Return a line with a progress bar where the text begins with `n of m`."""
    shown = view.line(text)
    if found := COUNTED.match(text):
        bar = f'<progress value="{int(found[1]) - 1}" max="{found[2]}"></progress>'
        return View(shown.text, bar + shown.html)
    return shown


def _ask(run: Run, proposal: Proposal, words: View) -> None:
    """Show the form of the release manager's decision; a click records it and replaces the form."""
    name = proposal.step.name
    who = run.world.policy.person(MANAGER).name
    reason = widgets.Text(placeholder="what you looked at", description="Reason")
    approve, reject = (widgets.Button(description=word) for word in ("Approve", "Reject"))
    message = widgets.HTML()
    title = f"{who}, as {MANAGER}, on plan {proposal.plan.digest}"
    form = widgets.VBox([widgets.Label(title), reason, widgets.HBox([approve, reject]), message])
    for widget, part in ((reason, "reason"), (approve, "approve"), (reject, "reject")):
        widget.add_class(f"relkit-{name}-{part}")
    handle = _show_form(words, form)

    def decide(button: widgets.Button) -> None:
        verdict = "approve" if button is approve else "reject"
        try:
            run.decide(proposal, verdict, who, MANAGER, reason.value)
        except ReleaseError as error:
            message.value = view.line(f"{error}. {error.remedy}").html
            return
        records = run.progress(name).records
        handle.update(view.decisions(proposal.step, records, proposal.plan).bundle(), raw=True)
        form.close()

    approve.on_click(decide)
    reject.on_click(decide)


def _offer_waiver(run: Run, proposal: Proposal, check: str) -> None:
    """Show the form that accepts one failed check of this plan, with a reason."""
    who = run.world.policy.person(MANAGER).name
    reason = widgets.Text(placeholder="why this may be", description="Reason")
    button = widgets.Button(description="Waive")
    message = widgets.HTML()
    form = widgets.VBox([widgets.Label(f"Waive: {check}"), reason, button, message])
    button.add_class(f"relkit-{proposal.step.name}-waive")
    handle = _show_form(view.line(f"This check can be waived: {check}"), form)

    def waive(_: widgets.Button) -> None:
        try:
            run.waive(proposal, check, who, MANAGER, reason.value)
        except ReleaseError as error:
            message.value = view.line(f"{error}. {error.remedy}").html
            return
        handle.update(
            view.line(f"Waived by {who}: {check}. Run this cell again.").bundle(), raw=True
        )
        form.close()

    button.on_click(waive)


def _show_form(words: View, form: widgets.Widget) -> Any:  # noqa: ANN401 (a display handle)
    """Show words and form in one output: with a kernel the form, without one the words."""
    both = words.bundle() | form._repr_mimebundle_() | {"text/plain": words.text}
    return display(both, raw=True, display_id=True)
