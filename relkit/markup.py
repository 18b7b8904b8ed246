"""HTML read in one pass, as a browser reads it, whatever stands in it.

The standard library's parser takes hours for a few megabytes that somebody has made for that.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

MARK = re.compile(r"<(?:!--|[!?]|(/?)([a-z][^\s/>]*+))", flags=re.IGNORECASE)
ATTRIBUTE = re.compile(
    r"""[\s/]*+(=?[^\s/>=]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"'][^\s>]*+)))?"""
)
COMMENT_END, DECLARATION_END = re.compile(r"--!?>"), re.compile(">")
RAW = {
    name: re.compile(rf"</{name}(?=[\s/>])[^>]*+>", flags=re.IGNORECASE)
    for name in ("script", "style")
}
"""What has no tags in it, with how it ends."""


@dataclass(frozen=True)
class Tag:
    """A tag; its name and those of its attributes in small letters."""

    name: str
    ends: bool
    attributes: tuple[tuple[str, str], ...]


def parts(page: str) -> Iterator[Tag | str]:
    """Yield tags, and the words between them.

    Left out are comments, scripts, styles, and what begins and does not end.
    """
    end = 0
    while mark := MARK.search(page, end):
        if end < mark.start():
            yield _read(page[end : mark.start()])
        if mark[2] is None:
            # Of ``<!-->`` browsers take the end for that of the comment.
            closing = COMMENT_END if mark[0] == "<!--" else DECLARATION_END
            end = _after(closing.search(page, mark.start() + 2))
        else:
            name = mark[2].lower()
            attributes, stop = attributes_at(page, mark.end())
            end = page.find(">", stop) + 1
            if end and not mark[1] and name in RAW:
                end = _after(RAW[name].search(page, end))
            elif end:
                yield Tag(name, bool(mark[1]), tuple(attributes))
        if not end:
            return
    if end < len(page):
        yield _read(page[end:])


def attributes_at(page: str, start: int) -> tuple[list[tuple[str, str]], int]:
    """Return the attributes of a tag whose name ends there, and where they end."""
    found, end = [], start
    while one := ATTRIBUTE.match(page, end):
        end = one.end()
        found.append((one[1].lower(), _read(next(filter(None, one.groups()[1:]), ""))))
    return found, end


def _after(found: re.Match[str] | None) -> int:
    return found.end() if found else 0


def _read(text: str) -> str:
    """Return a text with its character references read; a number without end is none."""
    try:
        return html.unescape(text)
    except ValueError:
        return text
