"""What the cells of a release notebook call: they show, ask, and never block.

`run.step(name)` carries a step out and shows it. A step with a gate has three cells: `propose`
shows the plan, `gate` shows a form (or, without a person in front, the state of the decision) and
returns at once, `apply` refuses until the decision is there. Whatever is shown is made from the
ledger and plain; a click is nothing without its record.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, cast

from IPython.core.getipython import get_ipython
from IPython.display import display

from relkit import awaiting, flags, forms, page, view
from relkit.deciding import EVIDENCE
from relkit.errors import (
    CheckError,
    GateError,
    RecordError,
    ReleaseError,
    UsageError,
    WaitingError,
)
from relkit.forms import show
from relkit.graph import as_text, draw
from relkit.history import History, Proposal, Status
from relkit.opening import Opened, open_release, project_folder, record_folder
from relkit.policy import MANAGER
from relkit.progress import Ticker
from relkit.release import Release
from relkit.run import Run
from relkit.verbs import Verbs
from relkit.view import View

PICTURES = 2  # how many of those drawn last are kept true
Runner = Literal["jupyter", "batch", "replay", "terminal", "unknown"]
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
    picks: str = "",
    **unknown: object,
) -> Face:
    """Open the run of a release, or begin it; show what it was opened with.

    `version` is the branch for the kind of a transition. `date` (ISO, UTC) may be empty: the
    recorded date, or today for a new run. Raises `UsageError` for parameters that are none,
    `RecordError` for a record that cannot be used.
    """
    if unknown:
        raise UsageError(
            f"a release notebook has no parameter {', '.join(map(repr, unknown))}",
            code="PARAMETER_UNKNOWN",
            remedy="The parameters are version, kind, date, world, records and picks.",
        )
    if runner() == "replay":
        history = History.read(Path(os.environ["RELKIT_REPLAY"]))
        return Face(history).opened()
    folder = record_folder(version, records, kind)
    _let_go(folder)
    if finished := _finished(folder, version, kind, date, picks):
        return Face(finished, world).opened()
    _HELD[folder] = open_release(version, kind, date, world, records, picks=picks)
    if patience := os.environ.get("RELKIT_PATIENCE"):
        _HELD[folder].run.patience_seconds = float(patience)
    return Face(_HELD[folder].run, world).opened()


def _finished(folder: Path, version: str, kind: str, date: str, picks: str) -> History | None:
    """Return a run that is over, to be looked at: who looks takes no lock and writes nothing."""
    if not (folder / "ledger.head").exists():
        return None
    history = History.read(folder)
    if not (history.complete or history.abandoned):
        return None
    found = history.release
    asked = Release.parse(
        version, kind, date or f"{found.time:%Y-%m-%dT%H:%M:%SZ}", picks or " ".join(found.picks)
    )
    if asked != found:
        raise RecordError(
            f"this record is of {_told(found)}, asked is {_told(asked)}",
            code="OTHER_RELEASE",
            remedy="Ask for what is recorded (an empty date does), or use another records folder.",
        )
    return history


def _told(release: Release) -> str:
    picked = f" with {len(release.picks)} picks" if release.picks else ""
    return f"{release.name} ({release.kind}) of {release.time:%Y-%m-%d %H:%M} UTC{picked}"


def _let_go(*folders: Path) -> None:
    """Close the runs that this kernel holds in these folders."""
    for folder in folders:
        if held := _HELD.pop(folder, None):
            held.close()


# A kernel that ends in peace, as at a restart, leaves no run locked and no server or agent behind.
atexit.register(lambda: _let_go(*_HELD))


class Face(Verbs):
    """A run as the notebook shows it; of a sealed record only what was recorded is shown."""

    def __init__(self, history: History, world: str = "") -> None:
        self._history = history
        self._world = world
        self._run = history if isinstance(history, Run) else None
        self._pictures: list[Any] = []
        self._states: dict[str, Status] = {}
        self._told = ""

    def opened(self) -> Face:
        """Show what the run was opened with."""
        show(View.of([view.opened(self._history), flags.flags(self._history)]))
        return self

    def picture(self) -> None:
        """Draw the steps, what comes after what, and how each stands; kept true while they run."""
        handle = display(self._drawn().bundle(), raw=True, display_id=True)
        self._pictures = [*self._pictures, handle][-PICTURES:]

    def _drawn(self) -> View:
        self._states = {name: self._history.status(name) for name in self._history.steps}
        kind = self._history.release.kind
        return View(as_text(kind, self._states), draw(kind, self._states))

    def _redraw(self) -> None:
        """Bring the pictures up to date, if something has changed."""
        now = {name: self._history.status(name) for name in self._history.steps}
        if self._pictures and now != self._states:
            bundle = self._drawn().bundle()
            for handle in self._pictures:
                handle.update(bundle, raw=True)

    def _tell(self) -> None:
        """Write the status page beside the record, at gates and where a run stops, if it is new."""
        ledger = self._history.ledger
        if self._run is not None and ledger.head != self._told:
            page.write(self._history, ledger.path.with_name("status.html"))
            self._told = ledger.head

    def step(self, name: str) -> None:
        """Carry a step out, as far as it is not done, and show it with its records."""
        if self._run is None:
            self._recorded(name)
            return
        self._run.step(name)
        mine = lambda: self._awaits_here(name)  # noqa: E731 (asked while the step waits)
        with Ticker(self._run, self._redraw, mine) as ticker:
            try:
                done = self._run.apply(name)
            except ReleaseError as error:
                self._tell()
                self._explain(name, error, ticker)
                raise
            ticker.show(_carried(self._history, done))

    apply = step

    def propose(self, name: str) -> None:
        """Show what a step would do, or did."""
        if self._run is None:
            self._recorded(name, actions_only=True)
            return
        with Ticker(self._run, self._redraw) as ticker:
            ticker.show(view.proposal(self._run.propose(name)))

    def gate(self, name: str) -> None:
        """Show the decisions of a gate, and the form for one that is the release manager's."""
        step = self._history.step(name)
        if self._run is None:
            progress = self._history.progress(name)
            show(view.decisions(step, progress.records, progress.plan))
            return
        run, proposal = self._run, self._run.propose(name)
        words, open_to = _gate(run, proposal)
        self._redraw()
        self._tell()
        if MANAGER in open_to and runner() not in {"batch", "terminal"}:
            forms.decide(run, proposal, lambda: _gate(run, proposal)[0])
        else:
            show(words)

    def seal(self) -> None:
        """Say how the record is closed; with a person in front, seal it now."""
        if runner() == "replay":
            show(View.of([flags.flags(self._history), view.records(self._history.ledger)]))
            return
        if not (self._history.complete or self._history.abandoned):
            raise WaitingError(
                "the run is not complete",
                code="NOT_COMPLETE",
                remedy="Run the steps above that are not complete.",
            )
        self._tell()
        if runner() not in {"jupyter", "unknown"}:
            ended = "Abandoned" if self._history.abandoned else "Complete"
            show(view.line(f"{ended}. The command that runs this notebook seals the record."))
            return
        folder = self._history.ledger.path.parent
        if (folder / "seal.json").exists():  # a seal is never replaced by looking at it
            show(view.line(f"Sealed. Read {folder / 'release.html'}"))
            return
        _let_go(folder)
        where = ["--records", str(folder.parent), *self._world_file()]
        command = [sys.executable, "-m", "relkit", "seal", folder.name, *where]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            why, _, remedy = made.stderr.strip().partition("\nWhat to do: ")
            look = f"Look into it: relkit status {folder.name} shows how the run stands."
            raise RecordError(
                f"the record is not sealed: {why}", code="NOT_SEALED", remedy=remedy or look
            )
        show(view.verbatim(made.stdout.rstrip()))

    def _world_file(self) -> list[str]:
        """Return how a command is told of the world's file; nothing if it is not the run's own."""
        path = project_folder() / self._world
        there = path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest()
        return ["--world", self._world] if there == self._history.inputs.world_digest else []

    def _recorded(self, name: str, *, actions_only: bool = False) -> None:
        recorded = self._history.recorded(name)
        if recorded is None:
            past = flags.superseded(self._history, name)
            show(View.of([past, view.line(f"{name}: not reached")]))
        else:
            past = flags.superseded(self._history, name)
            shown = view.proposal(recorded) if actions_only else _carried(self._history, recorded)
            show(View.of([past, shown]) if actions_only else shown)

    def _awaits_here(self, name: str) -> bool:
        """Tell whether a step waits for nothing but evidence that is given at this notebook."""
        if self._run is None:
            return False
        present = self._run.world.policy.present
        waited = self._run.propose(name).awaited
        return all(one.what.startswith(EVIDENCE) and one.whom in present for one in waited)

    def _explain(self, name: str, error: ReleaseError, ticker: Ticker) -> None:
        """Show the plan that does not go on, and forms for what somebody here can say to it."""
        if self._run is None or not isinstance(error, CheckError | WaitingError):
            return
        if isinstance(error, WaitingError) and error.code != "NOT_READY":
            return
        proposal = self._run.propose(name)
        waits = isinstance(error, WaitingError)
        table = [awaiting.awaited(self._run)] if waits else []
        ticker.show(View.of([view.proposal(proposal), *table]))
        asked = flags.requests(proposal, self._run.nonce_of(name))
        if asked.text:
            show(asked)
        if runner() in {"batch", "terminal"}:
            return
        for wait in proposal.awaited:
            if wait.what.startswith(EVIDENCE) and wait.whom in self._run.world.policy.present:
                forms.testify(self._run, wait)
        if waivable := proposal.waivable:
            forms.waive(self._run, proposal, waivable[0])


def _carried(history: History, done: Proposal) -> View:
    """Return a step after it was carried out: what was done, then its result, then its records.

    What was done of it in revisions that were given up stands above, flagged.
    """
    records = view.details("Records", view.records(done.progress.records).text)
    past = flags.superseded(history, done.step.name)
    return View.of([past, view.carried(done), view.result(done), records])


def _gate(run: Run, proposal: Proposal) -> tuple[View, tuple[str, ...]]:
    """Ask those who decide; return how the gate stands, and the roles that can decide now."""
    progress, digest, gate = proposal.progress, proposal.plan.digest, proposal.step.gate
    try:
        open_to = run.ask(proposal)
        state = f"waits for {_whom(run, open_to)}" if open_to else "approved"
        if progress.plan is None and not proposal.undecided:
            state = "nothing is to be decided"
    except GateError as error:
        if error.code != "GATE_REJECTED":
            raise
        made = [one for one in progress.decisions if one.digest == digest]
        last = {(one.who, one.role): one.verdict for one in made}
        against = [person for person, verdict in last.items() if verdict == "reject"]
        open_to = tuple(role for _, role in against)
        able = " and ".join(f"{who} ({role})" for who, role in against)
        state = f"rejected; {able} can decide anew"
    elsewhere = [role for role in open_to if role not in run.policy.present]
    how = f"Who is not at this notebook answers with relkit decide: {digest}.json"
    shown = view.decisions(proposal.step, progress.records, proposal.plan)
    refused = view.refusals(run.refusals(proposal.step.name))
    stands = view.line(f"GATE {gate}: {state}", strong=True)
    return View.of([stands, *([view.line(how)] if elsewhere else []), shown, refused]), open_to


def _whom(run: Run, roles: tuple[str, ...]) -> str:
    """Return roles, each with those who can decide in it now."""
    able = {role: [one.name for one in run.policy.people if one.role == role] for role in roles}
    named = {role: [who for who in able[role] if run.in_office(who, role)] for role in roles}
    return " and ".join(f"{role} ({' or '.join(named[role]) or 'nobody'})" for role in roles)
