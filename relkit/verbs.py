"""What the release manager writes in a cell of one's own, where a run leaves the recipe.

None of it stands in the rendered notebooks; their last chapter shows how it is written. Each verb
is recorded and flagged, and shows the run as it stands then.
"""

from __future__ import annotations

from relkit import flags, view
from relkit.errors import UsageError
from relkit.forms import show
from relkit.history import History
from relkit.policy import MANAGER
from relkit.run import Run
from relkit.view import View

Call = tuple[str, str, dict[str, object]]
"""Port, method and arguments: ``("tracker", "relabel", {"number": 7, …})``."""


class Verbs:
    """The verbs of a `Face`; of a record that is only looked at they change nothing."""

    _history: History
    _run: Run | None

    def deviation(  # noqa: PLR0913 (all of it has to be said)
        self,
        *,
        do: Call,
        read: Call,
        expected: object = ...,
        undo: Call | None = None,
        note: str = "",
        reason: str,
        who: str = "",
        role: str = MANAGER,
    ) -> None:
        """Do one action that no step foresaw, and read its result back by `read`.

        With `expected` that must give this; else anything but nothing. `undo` is the way back,
        or `note` says why there is none. Raises as `Run.deviate` does.
        """
        run = self._writable()
        said = {"who": who or run.manager, "role": role, "reason": reason}
        run.deviate(do=do, read=read, expected=expected, undo=undo, note=note, **said)
        self._shown(flags.deviations(run))

    def respin(self, step: str, reason: str, who: str = "", role: str = MANAGER) -> None:
        """Take back a step and all that needs it, so that it is made anew in a new revision."""
        run = self._writable()
        run.respin(step, who or run.manager, role, reason)
        self._shown(View.of([flags.flags(run), view.status(run)]))

    def abandon(
        self, reason: str, who: str = "", role: str = MANAGER, *, skipped: bool = False
    ) -> None:
        """Take everything back and end the run; with `skipped` the version is never made."""
        run = self._writable()
        run.abandon(who or run.manager, role, reason, skipped=skipped)
        self._shown(flags.flags(run))

    def hand_over(self, to: str, reason: str, who: str = "", role: str = MANAGER) -> None:
        """Make another release manager of the policy the one of this run."""
        run = self._writable()
        run.hand_over(to, who or run.manager, role, reason)
        self._shown(flags.flags(run))

    def evidence(self, name: str, text: str, who: str = "", role: str = MANAGER) -> None:
        """Give the evidence that a manual step waits for, as somebody who sits here.

        `name` is what follows ``evidence: `` in what is awaited. Raises `GateError`
        (``NOT_AT_THE_NOTEBOOK``) for a role that answers by ``relkit testify MESSAGE``.
        """
        run = self._writable()
        run.world.policy.require_present(role)
        holder = run.manager if role == MANAGER else run.world.policy.person(role).name
        run.testify(name, who or holder, role, text)
        self._shown(view.line(f"GIVEN by {who or holder} ({role}): {name}: {text.strip()}"))

    def _writable(self) -> Run:
        if self._run is None:
            raise UsageError(
                "this record is only looked at",
                code="READ_ONLY",
                remedy="A run that is over stays as it is; begin another one.",
            )
        return self._run

    def _shown(self, shown: View) -> None:
        show(shown)
        self._redraw()
        self._tell()

    def _redraw(self) -> None:
        """Bring the pictures up to date."""

    def _tell(self) -> None:
        """Write the status page."""
