"""``versionadded:: next`` and its kin in the documentation get the version that is released."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from relkit.adapters.edit_tools import Tools, read_file, refusal, write_file
from relkit.release import Version

FOLDER = "Doc"
VERSIONED = (
    r"[ \t]*(?:[*+-][ \t]+)?\.\.[ \t]+"
    r"(?:versionadded|versionchanged|versionremoved|deprecated|deprecated-removed|soft-deprecated)"
    r"[ \t]*::"
)
DIRECTIVE = re.compile(rf"(?P<before>{VERSIONED}[ \t]+)next(?=\s|$)")
ARGUMENT = re.compile(rf"{VERSIONED}\s*(?P<word>\S+)", flags=re.IGNORECASE)
MARKS = ".,:;!*`'\"|()"
MARKUP = re.compile(r"\.\.[ \t]+(?P<name>[A-Za-z][\w:+.-]*?)[ \t]*::(?:\s|$)")
LIST_ITEM = re.compile(r"(?:[*+-]|(?:[0-9]+|[A-Za-z#])[.)]|\([0-9A-Za-z#]+\))[ \t]+")
LITERAL = frozenset(
    {"code", "code-block", "sourcecode", "parsed-literal", "literalinclude", "math", "raw"}
    | {"doctest", "testcode", "testoutput", "testsetup", "testcleanup", "productionlist"}
    | {"grammar-snippet"}
)
"""Directives whose content is not markup."""
TAB = 8


def docs_version(version: Version) -> str:
    """Return the version as the docs name it: ``3.15`` up to the final, then ``3.15.2``."""
    return version.base if version.micro else version.series


def resolve_next(tree: Path, version: str, _time: datetime, _tools: Tools) -> None:
    """Replace ``next`` in the version directives of all ``.rst`` files below ``Doc/``.

    Only directives count: in text, comments and literal blocks ``next`` stays. Raises
    `CheckError`: ``EDIT_ENCODING``, and ``EDIT_NEXT`` for a directive that nearly says ``next``
    and would be published as it is.
    """
    new = docs_version(Version.parse(version))
    changed: dict[str, str] = {}
    for file in sorted((tree / FOLDER).rglob("*.rst")):
        path = file.relative_to(tree).as_posix()
        if file.is_symlink() or b"next" not in file.read_bytes().lower():
            continue
        text = read_file(tree, path)
        if number := odd_line(text):
            message = "says 'next' in a way that is not replaced, and would be published so"
            raise refusal("EDIT_NEXT", path, number, message, "Correct it to plain next.")
        if (resolved := replace_next(text, new)) != text:
            changed[path] = resolved
    for path, text in changed.items():
        write_file(tree, path, text)


def replace_next(text: str, version: str) -> str:
    """Return a reStructuredText document with `version` in its ``next`` directives."""
    lines = text.split("\n")
    for index in _markup_lines(lines):
        if found := DIRECTIVE.match(lines[index]):
            lines[index] = found["before"] + version + lines[index][found.end() :]
    return "\n".join(lines)


def odd_line(text: str) -> int:
    """Return the number of the first line with a version directive that nearly says ``next``.

    Another case, a punctuation mark behind it, or the word on the line after: all of these are
    markup that works, and a version that no tool replaces. 0 where there is none.
    """
    lines = text.split("\n")
    for index in _markup_lines(lines):
        found = ARGUMENT.match("\n".join(lines[index : index + 2]))
        said = found["word"].strip(MARKS).lower() if found else ""
        if said == "next" and not DIRECTIVE.match(lines[index]):
            return index + 1
    return 0


def _markup_lines(lines: list[str]) -> Iterator[int]:
    """Yield the indexes of the lines that are not inside literal blocks or comments.

    Such a block begins with a line that says so, and holds all lines indented more than it.
    """
    block: int | None = None
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        indent = _indent(line)
        if block is not None and indent > block:
            continue
        yield index
        follows = lines[index + 1] if index + 1 < len(lines) else ""
        block = _opens(line, follows_blank=not follows.strip())


def _opens(line: str, *, follows_blank: bool) -> int | None:
    """Return the indent of the text on a line that opens a literal block or comment, or None."""
    text, indent = line.strip(), _indent(line)
    while item := LIST_ITEM.match(text):
        indent += len(item[0].expandtabs(TAB))
        text = text[item.end() :]
    if markup := MARKUP.match(text):
        return indent if markup["name"] in LITERAL else None
    if text == "..":
        return None if follows_blank else indent
    if text.startswith(".. "):
        # Targets, footnotes and substitutions have markup in them; what is left is a comment.
        return None if text[3:].lstrip().startswith(("_", "[", "|")) else indent
    return indent if text.endswith("::") else None


def _indent(line: str) -> int:
    expanded = line.expandtabs(TAB)
    return len(expanded) - len(expanded.lstrip())
