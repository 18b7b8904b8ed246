"""``versionadded:: next`` and its kin in the documentation get the version that is released."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from relkit.adapters.edit_tools import Tools, read_file, write_file
from relkit.release import Version

FOLDER = "Doc"
DIRECTIVE = re.compile(
    r"(?P<before>[ \t]*(?:[*+-][ \t]+)?\.\.[ \t]+"
    r"(?:versionadded|versionchanged|versionremoved|deprecated|deprecated-removed|soft-deprecated)"
    r"[ \t]*::[ \t]+)next(?=\s|$)"
)
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
    `CheckError` (``EDIT_ENCODING``).
    """
    new = docs_version(Version.parse(version))
    changed: dict[str, str] = {}
    for file in sorted((tree / FOLDER).rglob("*.rst")):
        path = file.relative_to(tree).as_posix()
        if file.is_symlink() or b"next" not in file.read_bytes():
            continue
        text = read_file(tree, path)
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
