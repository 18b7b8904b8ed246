"""The date of a final release, in the first paragraphs of What's New."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path

from relkit.adapters.edit_tools import Tools, read_lines, refusal, write_file
from relkit.release import Version

FOLDER = "Doc/whatsnew"
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
DAY_FIRST = re.compile(r"\d{1,2} [A-Z]", flags=re.ASCII)
OPENING_END = re.compile(r"\.$|(?=\n\n)", flags=re.MULTILINE)
NOTE = re.compile(r"^\.\. note::\n(?:\n*[ \t]+.*\n)*\n?", flags=re.MULTILINE)
DRAFT = re.compile(r"\bdraft\b")
LINES = 40
"""The first paragraphs end before a heading, or after this many lines."""


def set_release_date(tree: Path, version: str, time: datetime, _tools: Tools) -> None:
    """Say in What's New when the series came out.

    "Python 3.15 was released on October 1, 2026." stands behind the sentence that begins with
    "This article explains the new features in Python 3.15". One that is there, also one that
    says "will be released", gets the day of `time` in the order it has (in 3.14 the day came
    first); else it is added. A note that the text is a draft goes. Doing it twice changes
    nothing more. Raises `CheckError`: ``EDIT_WHATSNEW`` with the line.
    """
    series = Version.parse(version).series
    path = f"{FOLDER}/{series}.rst"
    lines = read_lines(tree, path)
    start = _opening(lines, series, path)
    end = _first_heading(lines, start)
    head = _dated("\n".join(lines[start:end]), series, time.date(), path, start)
    text = [*lines[:start], _without_draft_note(head), *lines[end:]]
    write_file(tree, path, "\n".join(text))


def spelled(day: date, *, day_first: bool = False) -> str:
    """Return a day as What's New writes it, in English whatever the locale."""
    month = MONTHS[day.month - 1]
    return f"{day.day} {month} {day.year}" if day_first else f"{month} {day.day}, {day.year}"


def _opening(lines: list[str], series: str, path: str) -> int:
    """Return the index of the line that says which series the article is about."""
    pattern = re.compile(rf"This article\b.*\bPython {re.escape(series)}\b")
    found = [index for index, line in enumerate(lines) if pattern.match(line)]
    if len(found) != 1:
        line = found[1] + 1 if found else 1
        message = f"not one line begins with 'This article' and names Python {series}"
        remedy = "Put the date there by hand, or the sentence that it follows."
        raise refusal("EDIT_WHATSNEW", path, line, message, remedy)
    return found[0]


def _first_heading(lines: list[str], start: int) -> int:
    """Return the index of the title of the first section after the opening."""
    for index in range(start + 1, min(len(lines), start + LINES)):
        line = lines[index]
        if len(line) > 1 and not line.strip("=-*#~^") and lines[index - 1]:
            return index - 1
    return min(len(lines), start + LINES)


def _dated(head: str, series: str, day: date, path: str, start: int) -> str:
    """Return the first paragraphs with the day in their sentence, which is added if need be."""
    words = rf"Python {re.escape(series)} (?:was|will be|is to be|is scheduled to be) released on "
    sentence = re.compile(words.replace(" ", r"\s+") + r"(?P<day>[^.]+)\.")
    said = list(sentence.finditer(head))
    if len(said) > 1:
        line = start + head.count("\n", 0, said[1].start()) + 1
        message, remedy = "says twice when it was released", "Leave one of the two sentences."
        raise refusal("EDIT_WHATSNEW", path, line, message, remedy)
    if said:
        day_first = bool(DAY_FIRST.match(said[0]["day"]))
        before, after = said[0].span()
    else:
        opening = OPENING_END.search(head)
        before = after = opening.end() if opening else len(head)
        day_first = False
    new = f"Python {series} was released on {spelled(day, day_first=day_first)}."
    return f"{head[:before]}{'' if said else chr(10)}{new}{head[after:]}"


def _without_draft_note(head: str) -> str:
    """Return the text without a note that tells readers of previews of a draft."""
    return NOTE.sub(lambda note: "" if DRAFT.search(note[0]) else note[0], head)
