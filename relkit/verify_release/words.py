"""A report in words: verdict and trust first, 80 columns wide, nothing of a path cut or broken."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from textwrap import wrap

from relkit.verify_release.report import Change, Report, outcome_of

WIDTH = 80
NAME, STANDS = 15, 14
"""Columns of the table."""
WHAT_TO_DO = {
    1: "Do not use what is refused. Ask the release manager, and show this output; if files were "
    "added by an amendment, give that as well.",
    3: "Give the release's record (--record) or its manifest (--manifest): without one nobody can "
    "tell whether the site says what was released.",
    4: "Run it again for what could not be read. Give what is lacking from elsewhere than the "
    "record: --policy, --trust-root, --keys.",
}
"""By exit status."""
SHOWN = 40
"""How many changes are shown."""
EACH, EACH_UNKNOWN = 20, 3
"""And how many things of which the same is to be said."""


def words(report: Report) -> str:
    """Return what a person is told."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield f"Python {report.version}: {report.words}"
    yield from wrapped(f"looked at {report.time}, held against {report.against}")
    yield from _listed("Trusted, because you say so", report.trusted)
    yield ""
    yield f"{'what':{NAME}}{'stands':{STANDS}}found"
    for line in report.lines:
        text = f"{line.code}: {line.text}" if line.code else line.text
        first, *more = wrapped(text, width=WIDTH - NAME - STANDS) or [""]
        yield f"{line.name:{NAME}}{line.outcome:{STANDS}}{first}".rstrip()
        yield from (f"{'':{NAME + STANDS}}{one}" for one in more)
    yield from _changes(report)
    yield from _listed("Worth knowing", report.notes)
    yield from _listed("Not looked at", report.unchecked)
    yield f"\n{report.words}"
    if report.status in WHAT_TO_DO:
        yield from wrapped(f"What to do: {WHAT_TO_DO[report.status]}")


def _changes(report: Report) -> Iterator[str]:
    """Say what is not as it was; what is said already by a line alone is left out."""
    alone = Counter(one.line for one in report.changes)
    alike: dict[tuple[str, ...], list[Change]] = defaultdict(list)
    for one in report.changes:
        if one.what or alone[one.line] > 1:
            alike[one.line, one.how, one.code, one.text].append(one)
    if alike:
        yield "\nNot as it was, or not known:"
    for (_, how, code, text), these in list(alike.items())[:SHOWN]:
        yield from wrapped(f"{how:9}{code}: {text}", first="  ", rest=" " * 11)
        most = EACH if outcome_of(these[0]) == "REFUSED" else EACH_UNKNOWN
        yield from (f"{'':11}{one.what}" for one in these[:most] if one.what)
        if (left := len(these) - most) > 0:
            yield f"{'':11}and {left} more; --json has them"
    if (left := len(alike) - SHOWN) > 0:
        yield f"  and {left} more; --json has them"


def _listed(title: str, texts: tuple[str, ...]) -> Iterator[str]:
    if texts:
        yield f"\n{title}:"
    for one in texts:
        yield from wrapped(one, first="  ", rest="    ")


def wrapped(text: str, *, width: int = WIDTH, first: str = "", rest: str = "") -> list[str]:
    """Return a text in lines of so many columns; names and digests stay whole."""
    return wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
