"""What in a run was not by the book, as people see it: flagged, and visible for ever."""

from __future__ import annotations

from relkit import records as log
from relkit.deciding import EVIDENCE
from relkit.history import History, Proposal
from relkit.standing import Deviation
from relkit.view import View, details, line, records, table


def flags(history: History) -> View:
    """Return what in a run was not by the book: it stays visible for ever; nothing if all was."""
    found = []
    if gone := history.abandoned:
        ending = "; the version is skipped" if gone.skipped else ""
        found.append(
            line(f"ABANDONED by {gone.who} ({gone.role}): {gone.reason}{ending}", strong=True)
        )
    elif unfinished := history.respinning:
        told = f"NOT FINISHED: taking back from {unfinished.step}; run the same command again"
        found.append(line(told, strong=True))
    found += [_respun(respun) for respun in history.respun]
    handed = [one.entry for one in history.ledger if isinstance(one.entry, log.HandedOver)]
    for one in handed:
        told = f"HANDED OVER to {one.to} by {one.who}: {one.reason}"
        found.append(line(told, strong=True))
    return View.of([*found, deviations(history)])


def _respun(one: log.Respun) -> View:
    title = f"REVISION {one.revision} given up from {one.step} on by {one.who}: {one.reason}"
    title = f"TAKEN BACK by {one.who}: {one.reason}" if one.abandons else title
    rows = [("taken back", ", ".join(one.scope)), *(("stays", words) for words in one.stays)]
    return View.of([line(title, strong=True), table(("", ""), rows)])


def deviations(history: History) -> View:
    """Return the actions that no step foresaw, each with who did it and why."""
    rows = [
        (
            f"{one.record.at:%Y-%m-%d %H:%M:%S}",
            one.record.number,
            str(one.action.do),
            f"{one.entry.who} ({one.entry.role}): {one.entry.reason}",
            _stands(one),
        )
        for one in history.deviations
    ]
    title = View.of([line("DEVIATIONS: no step foresaw this", strong=True)] if rows else [])
    return View.of([title, table(("at (UTC)", "record", "action", "by", "state"), rows)])


def _stands(one: Deviation) -> str:
    if one.taken_back:
        return "taken back"
    if one.done is None:
        return "begun"
    return f"{'found done' if one.done.found else 'done'}: {one.done.evidence}"


def superseded(history: History, name: str) -> View:
    """Return what was done of a step in revisions that were given up; nothing if there is none."""
    parts = []
    for one in history.superseded:
        if one.step == name:
            told = f"SUPERSEDED: {name} in revision {one.revision}, which was given up"
            parts += [line(told, strong=True)]
            parts += [details("Its records", records(one.progress.records).text)]
    return View.of(parts)


def requests(shown: Proposal, nonce: str) -> View:
    """Return how those who are elsewhere give the evidence that a step waits for.

    `nonce` is the one the step is planned with: it begins the name of the message that asks.
    """
    names = [
        (one.what.removeprefix(EVIDENCE), one.whom)
        for one in shown.awaited
        if one.what.startswith(EVIDENCE)
    ]
    return View.of(
        line(
            f"{whom} elsewhere gives it by: relkit testify MESSAGE TEXT --role {whom} --who NAME "
            f"(MESSAGE is the file {nonce}-{name}.json in the outbox)"
        )
        for name, whom in names
    )
