"""The forms in which the release manager decides and waives, and how things are displayed.

Above a form stand its words, which can be read without a kernel; when the form was used, they say
so, and the form is gone. A click is nothing without its record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from relkit import view
from relkit.asked import signed, signing
from relkit.deciding import EVIDENCE
from relkit.decision import Verdict
from relkit.errors import ReleaseError
from relkit.history import Proposal
from relkit.plan import WaitData
from relkit.policy import MANAGER
from relkit.run import Run
from relkit.values import Request
from relkit.view import View

FORM = "Here is a form; it comes back when this cell is run."
RECORDED = "Recorded."
FINAL = "PRODUCTION: the way back ends here. To approve, type the name of the world: {}"
WIDE = {"width": "100%", "max_width": "50em"}


def show(shown: View) -> None:
    """Display what people see, in both its forms."""
    display(shown.bundle(), raw=True)


def decide(run: Run, proposal: Proposal, words: Callable[[], View]) -> None:
    """Show the form of the release manager's decision on a plan, below how the gate stands now.

    `words` says how it stands; it is asked again after the click.
    """
    name = proposal.step.name
    who = run.manager
    approve, reject = _button("Approve", "check"), _button("Reject", "times")
    name_back = run.typed(name)
    typed = widgets.Text(placeholder="its name", description="World", layout=WIDE)
    typed.add_class(f"relkit-{name}-production")
    warning = widgets.HTML(view.line(FINAL.format(name_back), strong=True).html)

    def use(button: widgets.Button, reason: str) -> View:
        verdict: Verdict = "approve" if button is approve else "reject"
        run.decide(proposal, verdict, who, MANAGER, reason, typed=typed.value if name_back else "")
        return words()

    title = _title(f"You decide as {MANAGER}, {who}", run.asked(proposal))
    more = [warning, typed] if name_back else []
    _form(f"relkit-{name}", words(), title, "what you looked at", [approve, reject], use, more=more)


def waive(run: Run, proposal: Proposal, check: str) -> None:
    """Show the form that accepts one failed check of this plan, or goes on without a wait."""
    name = proposal.step.name
    who = run.manager
    if who in {one.who for one in proposal.said_waived.get(check, [])}:
        show(view.line(f"{check}{run.half_waived(proposal, check)}"))
        return

    def use(_: widgets.Button, reason: str) -> View:
        run.waive(proposal, check, who, MANAGER, reason)
        others = run.half_waived(run.propose(name), check)
        return view.line(
            f"WAIVED by {who}: {check}: {reason.strip()}{others}. Run this cell again."
        )

    title = _title(f"You may waive it as {MANAGER}, {who}", run.asked(proposal, check))
    words = view.line(f"This can be waived: {check}")
    _form(f"relkit-{name}", words, title, "why this may be", [_button("Waive", "")], use)


def testify(run: Run, wait: WaitData) -> None:
    """Show the form of the evidence that a manual step waits for, from a role that sits here."""
    name, role = wait.what.removeprefix(EVIDENCE), wait.whom
    who = run.manager if role == MANAGER else run.world.policy.person(role).name

    def use(_: widgets.Button, text: str) -> View:
        run.testify(name, who, role, text)
        return view.line(f"GIVEN by {who} ({role}): {text.strip()}. Run this cell again.")

    title = view.line(f"You give it as {role}, {who}")
    asked = f" ({wait.progress})" if wait.progress else ""
    words = view.line(f"The step waits for what you did elsewhere: {name}{asked}")
    buttons = [_button("Give evidence", "")]
    _form(
        f"relkit-{name}",
        words,
        title,
        "in the form asked for",
        buttons,
        use,
        "Evidence",
    )


def _title(words: str, asked: Request) -> View:
    return View.of([view.line(words), signed(asked), signing(asked)])


def _button(word: str, icon: str) -> widgets.Button:
    return widgets.Button(description=word, icon=icon)


def _form(  # noqa: PLR0913, PLR0917 (the parts of a form)
    mark: str,
    words: View,
    title: View,
    hint: str,
    buttons: list[widgets.Button],
    use: Callable[[widgets.Button, str], View],
    field: str = "Reason",
    more: Sequence[widgets.Widget] = (),
) -> None:
    """Show words above a form of a reason and buttons; what `use` returns takes their place.

    `more` fields stand below the reason. `mark` begins the class names by which tests find the
    parts.
    """
    reason = widgets.Text(placeholder=hint, description=field, layout=WIDE)
    message = widgets.HTML()
    heading = widgets.HTML(title.html)
    form = widgets.VBox([heading, reason, *more, widgets.HBox(buttons), message])
    for part in (reason, *buttons):
        part.add_class(f"{mark}-{part.description.lower().replace(' ', '-')}")
    above: Any = display(words.bundle(), raw=True, display_id=True)
    bundle = view.line(FORM).bundle() | form._repr_mimebundle_() | {"text/plain": FORM}
    below: Any = display(bundle, raw=True, display_id=True)

    def click(button: widgets.Button) -> None:
        if form.comm is None:  # the second click of two
            return
        try:
            shown = use(button, reason.value)
        except ReleaseError as error:
            message.value = view.refusal(error).html
            return
        above.update(shown.bundle(), raw=True)
        below.update(view.line(RECORDED).bundle(), raw=True)
        form.close()

    for button in buttons:
        button.on_click(click)
