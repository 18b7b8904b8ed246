"""What people see of a run, each thing twice: as plain text for the archive and as HTML.

Both say the same, in words, without scripts or anything loaded from elsewhere. Tables are made by
pandas and never cut.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import pandas as pd

from relkit import records as log
from relkit.adapters.ssh import fingerprint
from relkit.errors import ReleaseError
from relkit.history import History, Proposal
from relkit.plain import visible
from relkit.plan import ActionData, Call, EvidenceData, PlanData, WaitData
from relkit.records import Record
from relkit.release import Release
from relkit.step import Step
from relkit.words import in_words, part_in_words

STATES = {
    "pending": "waits for steps before it",
    "ready": "can be run",
    "decide": "waits for a decision",
    "waiting": "waits for others",
    "begun": "begun, not finished",
    "complete": "complete",
}
REHEARSAL = "REHEARSAL: everything here is local; no release of Python is made"
PRODUCTION = "PRODUCTION: what is carried out here is done to the real systems"
VERDICTS = {"pass": "ok", "warning": "WARNING", "fail": "FAILED", "unknown": "UNKNOWN"}
SCHEMES = {"ssh": "SSH key", "gpg": "GPG key", "sigstore": "Sigstore identity"}
PLACES = {"notebook": "in the notebook", "answer": "sent as an answer"}
CELL = "text-align:left;vertical-align:top;padding:.3em .6em;line-height:1.3"
SHORT = f"{CELL};white-space:pre"
WORDS = f"{CELL};white-space:pre-wrap"
DIGESTS = f"{WORDS};overflow-wrap:anywhere;min-width:12em"
MONO = "font-family:monospace;font-size:.85em"
HEX = re.compile(r"[0-9a-f]{40,}")
LINE = "overflow-wrap:anywhere;line-height:1.5"  # a digest is compared by its end
SCROLLED = "max-height:30em;overflow:auto;margin:.5em 0 1em"
MANY = 8  # parts of an action's argument that are listed, each on a line
FEW = 3  # lines of a text that is shown at once
UNBROKEN = 24  # characters of a cell, or of a word in it, that stays on one line


@dataclass(frozen=True)
class View:
    """One thing to show, in both forms."""

    text: str
    html: str

    @classmethod
    def of(cls, parts: Iterable[View]) -> View:
        """Put parts below each other."""
        every = tuple(part for part in parts if part.text or part.html)
        return cls("\n\n".join(one.text for one in every), "\n".join(one.html for one in every))

    def bundle(self) -> dict[str, str]:
        """Return the forms by media type, for IPython's display; nothing hides in them."""
        return {"text/plain": visible(self.text), "text/html": visible(self.html)}


def line(text: str, *, strong: bool = False) -> View:
    """Return a line of text."""
    escaped = html.escape(text)
    return View(text, f'<p style="{LINE}">{f"<b>{escaped}</b>" if strong else escaped}</p>')


def verbatim(text: str) -> View:
    """Return lines that stay as they are, so that a command among them can be copied."""
    style = f"white-space:pre-wrap;{LINE}"
    return View(text, f'<pre style="{style}">{html.escape(text)}</pre>')


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> View:
    """Return a table; nothing if it has no rows."""
    if not rows:
        return View("", "")
    words = [[in_words(value) for value in row] for row in rows]
    styles = cycle(map(_style, zip(*words, strict=True)))
    frame = pd.DataFrame(words, columns=list(columns))
    with pd.option_context("display.max_colwidth", None):
        marked = frame.to_html(
            index=False,
            border=0,
            escape=True,
            classes="relkit",
            formatters=[str] * len(columns),  # pandas' own would spell line ends as \\n
        )
    text = "\n".join("  ".join(row).rstrip() for row in _padded([list(columns), *words]))
    marked = marked.replace("<th>", f'<th style="{SHORT}">')
    return View(text, re.sub("<td>", lambda _: f'<td style="{next(styles)}">', marked))


def _style(column: Iterable[str]) -> str:
    """Return how the cells of a column are set: nobody has to read a time on two lines."""
    cells = list(column)
    if max(map(len, cells)) <= UNBROKEN:
        return SHORT
    if all(HEX.fullmatch(cell) for cell in cells):
        return f"{DIGESTS};{MONO}"
    longest = max((len(word) for cell in cells for word in cell.split()), default=0)
    return DIGESTS if longest > UNBROKEN else WORDS


def _padded(rows: list[list[str]], widest: int = 70) -> list[list[str]]:
    widths = [
        max(len(row[n]) for row in rows if len(row[n]) <= widest) for n in range(len(rows[0]))
    ]
    return [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]


def details(title: str, text: str, *, unfolded: bool = False) -> View:
    """Return a long text under a heading that folds and unfolds."""
    heading = f"<summary>{html.escape(title)}</summary>"
    folded = f"{heading}<pre style='{SCROLLED}'>{html.escape(text)}</pre></details>"
    return View(f"{title}\n{text}", f"<details{' open' * unfolded}>{folded}")


def refusal(error: ReleaseError) -> View:
    """Return why something was refused, and what to do, as a form shows it."""
    said = View.of(line(one, strong=True) for one in str(error).splitlines())
    todo = View.of(map(line, f"What to do: {error.remedy}".splitlines()))
    return View.of([said, todo])


def opened(history: History) -> View:
    """Return what the run was opened with, and how far it is."""
    now = history.inputs
    done = sum(history.status(name) == "complete" for name in history.steps)
    banner = REHEARSAL if now.rehearsal else PRODUCTION
    rows = [
        _subject(history.release),
        ("dated", f"{now.time:%Y-%m-%d %H:%M} UTC"),
        ("branch", history.release.branch),
        ("world", f"{now.world}, digest {now.world_digest}"),
        *(("system", one) for one in now.systems),
        ("policy", f"digest {now.policy_digest}"),
        ("recipe", f"digest {now.steps_digest}, relkit {now.relkit}"),
        ("ledger", f"{_counted(history)}, head {history.ledger.head}"),
        ("steps", f"{done} of {len(history.steps)} complete, revision {history.revision}"),
    ]
    return View.of([line(banner, strong=True), table(("", ""), rows)])


def _counted(history: History) -> str:
    number = len(history.ledger.records)
    return "1 record" if number == 1 else f"{number} records"


def _subject(release: Release) -> tuple[str, str]:
    if release.facts.amends:
        return "amendment", f"of Python {release.name}, tag {release.tag}"
    if not release.facts.publishes:
        return "transition", f"{release.kind} of the branch {release.branch}"
    picked = f", {len(release.picks)} commits picked" if release.picks else ""
    return "release", f"Python {release.name} ({release.kind}), tag {release.tag}{picked}"


def status(history: History) -> View:
    """Return how every step stands."""
    rows = [
        (number, step.phase, name, _stands(history, name), step.gate or "")
        for number, (name, step) in enumerate(history.steps.items(), 1)
    ]
    return table(("", "phase", "step", "state", "gate"), rows)


def _stands(history: History, name: str) -> str:
    state = history.status(name)
    return "abandoned" if history.abandoned and state != "complete" else STATES[state]


def proposal(shown: Proposal) -> View:
    """Return a plan: checks, evidence, subjects and actions, with its digest."""
    plan = shown.plan
    to_decide = bool(shown.step.gate) and shown.progress.plan is None
    return View.of(
        [
            _headline(shown),
            table(
                ("check", "found", "verdict"),
                [(one.name, one.found, _verdict(shown, one.name)) for one in plan.checks],
            ),
            *(_evidence(one, unfolded=to_decide) for one in plan.evidence),
            table(
                ("subject", "bytes", "SHA-256"),
                [(one.name, one.size, one.sha256) for one in plan.subjects],
            ),
            table(
                ("wait", "from", "state"),
                [(one.what, one.whom, _awaited(shown, one)) for one in plan.waits],
            ),
            _actions(shown),
        ]
    )


def carried(shown: Proposal) -> View:
    """Return a step after it was carried out.

    Where a gate's cells above show the plan already, this shows what was done of it.
    """
    return View.of([_headline(shown), _actions(shown)]) if shown.step.gate else proposal(shown)


def _headline(shown: Proposal) -> View:
    state = "complete" if shown.complete else "begun" if shown.progress.plan else "proposed"
    gate = f", gate {shown.step.gate}" if shown.step.gate else ""
    title = line(f"{shown.step.name}: {state}{gate}", strong=True)
    return View.of([title, line(f"plan {shown.plan.digest}")])


def _verdict(shown: Proposal, name: str) -> str:
    check = next(one for one in shown.plan.checks if one.name == name)
    return ", ".join([VERDICTS[check.verdict], *_waived(shown, name)])


def _awaited(shown: Proposal, wait: WaitData) -> str:
    if wait.ready:
        return "there"
    return ", ".join(_waived(shown, wait.what)) or "awaited"


def _waived(shown: Proposal, name: str) -> list[str]:
    """Return who has waived a check or a wait of this plan; it may take more than one person."""
    about = (name, shown.plan.digest)
    made = [one for one in shown.progress.waivers if (one.check, one.digest) == about]
    return [f"WAIVED by {one.who}: {one.reason}" for one in made]


def _evidence(evidence: EvidenceData, *, unfolded: bool) -> View:
    lines = "1 line" if evidence.lines == 1 else f"{evidence.lines} lines"
    title = f"{evidence.title}: {lines}, SHA-256 {evidence.sha256}"
    whole = hashlib.sha256(evidence.excerpt.encode()).hexdigest() == evidence.sha256
    cut = "" if whole else "\n… (the beginning)"
    return details(title, evidence.excerpt + cut, unfolded=unfolded or evidence.lines <= FEW)


def _actions(shown: Proposal) -> View:
    """Return what is done; the parts of what is done to many at once are listed below, folded."""
    actions = list(enumerate(shown.plan.actions))
    rows = [
        (number + 1, _deed(action.do), _undo(action), _done(shown, number))
        for number, action in actions
    ]
    lists = [
        details(f"{name} of action {number + 1}: {len(value)}", "\n".join(_each(value)))
        for number, action in actions
        for name, value in _many(action.do).items()
    ]
    return View.of([table(("", "action", "way back", "state"), rows), *lists])


def _deed(call: Call) -> str:
    counted = {name: f"{len(value)}, listed below" for name, value in _many(call).items()}
    return str(call.model_copy(update={"arguments": {**call.arguments, **counted}}))


def _many(call: Call) -> dict[str, dict[str, Any] | list[Any]]:
    """Return those arguments that are many things; one thing has a name."""
    return {
        name: one
        for name, one in call.arguments.items()
        if isinstance(one, dict | list) and len(one) >= MANY and "name" not in one
    }


def _each(value: dict[str, Any] | list[Any]) -> list[str]:
    if isinstance(value, list):
        return [in_words(one) for one in value]
    width = max(map(len, value))
    return [f"{name:<{width}}  {in_words(one)}" for name, one in value.items()]


def _undo(action: ActionData) -> str:
    return f"{action.undo.port}.{action.undo.method}" if action.undo else action.undo_note


def _done(shown: Proposal, number: int) -> str:
    record, back = shown.progress.done.get(number), shown.progress.taken_back.get(number)
    if back is not None:
        return f"taken back at {back.at:%H:%M:%S} (#{back.number})"
    if record is None:
        return "begun" if number in shown.progress.started else "to do"
    assert isinstance(record.entry, log.Done)  # noqa: S101 (for the type checker)
    how = "found done" if record.entry.found else "done"
    # What was read back is said where the plan does not say it already.
    told = shown.plan.actions[number].expects == "exists" and record.entry.evidence != "yes"
    evidence = f": {record.entry.evidence}" if told else ""
    return f"{how} at {record.at:%H:%M:%S} (#{record.number}){evidence}"


def result(shown: Proposal) -> View:
    """Return what a complete step hands on; the parts of a large value stand below each other."""
    rows = [
        ("" if number else name, part)
        for name, value in (shown.progress.result or {}).items()
        for number, part in enumerate(_parts(value))
    ]
    return table(("result", ""), rows)


def _parts(value: object) -> list[object]:
    if isinstance(value, dict) and len(value) > 1:
        return [f"{name}: {part_in_words(part)}" for name, part in value.items()]
    return value if isinstance(value, list) and value else [value]


def refusals(errors: Iterable[ReleaseError]) -> View:
    """Return the answers that were found and do not count, each with why; nothing if all do."""
    return table(("answer refused", "why"), [(one.code, one.args[0]) for one in errors])


def decisions(step: Step[Any], records: Iterable[Record], plan: PlanData | None) -> View:
    """Return a gate's requests and decisions; `plan` is the one they must be about."""
    rows = []
    for record in records:
        entry = record.entry
        if not isinstance(entry, log.Asked | log.Decided | log.Waived):
            continue
        stale = "" if plan is None or entry.digest == plan.digest else " (of another plan)"
        said = f"{_said(entry)}{stale}"
        rows.append((f"{record.at:%Y-%m-%d %H:%M:%S}", record.number, said, _signed(entry)))
    if rows:
        return table(("at (UTC)", "record", f"gate {step.gate}", "signed"), rows)
    empty = plan is not None and not (plan.actions or plan.subjects or plan.evidence)
    state = "nothing is to be decided" if empty else "nobody has decided yet"
    return line(f"GATE {step.gate}: {state}")


def _said(entry: log.Asked | log.Decided | log.Waived) -> str:
    match entry:
        case log.Asked(roles=roles, digest=digest):
            return f"{' and '.join(roles)} asked about plan {digest}"
        case log.Decided(who=who, role=role, verdict=verdict, reason=reason):
            word = "APPROVED" if verdict == "approve" else "REJECTED"
            return f"{word} by {who} ({role}): {reason}"
        case log.Waived(check=check, who=who, reason=reason):
            return f"WAIVED by {who}: {check}: {reason}"


def _signed(entry: log.Asked | log.Decided | log.Waived) -> str:
    """Return with what a decision is signed, by the key's own name, and where it was made."""
    if isinstance(entry, log.Asked):
        return ""
    key = fingerprint(entry.signed.signature) if entry.signed.scheme == "ssh" else ""
    return f"{SCHEMES[entry.signed.scheme]}{key and f' {key}'}, {PLACES[entry.via]}"


LONG: dict[str, Any] = {
    **dict.fromkeys(("event", "step", "plan", "stop", "policy"), True),
    "signed": {"text", "signature"},
}
"""What a table of records leaves out: it stands elsewhere, or only machines read it."""


def records(progress_records: Iterable[Record]) -> View:
    """Return ledger records as a table, without the plans and signatures they carry."""
    rows = []
    for record in progress_records:
        fields = record.entry.model_dump(mode="json", exclude=LONG)
        words = in_words({name: value for name, value in fields.items() if value != {}})
        rows.append((f"{record.at:%Y-%m-%d %H:%M:%S}", record.number, record.entry.event, words))
    return table(("at (UTC)", "record", "event", ""), rows)
