"""The version numbers of a tree: ``Include/patchlevel.h`` and the title of ``README.rst``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from relkit.adapters.edit_tools import Tools, read_lines, refusal, write_file
from relkit.errors import CheckError
from relkit.release import Version

HEADER = "Include/patchlevel.h"
README = "README.rst"
START, END = "/*--start constants--*/", "/*--end constants--*/"
TEXT = "PY_VERSION"
LEVELS = {
    "PY_RELEASE_LEVEL_ALPHA": "a",
    "PY_RELEASE_LEVEL_BETA": "b",
    "PY_RELEASE_LEVEL_GAMMA": "rc",
    "PY_RELEASE_LEVEL_FINAL": "final",
}
NUMBERS = {
    "PY_MAJOR_VERSION": r"3",
    "PY_MINOR_VERSION": r"[0-9]{1,2}",
    "PY_MICRO_VERSION": r"[0-9]{1,2}",
    "PY_RELEASE_LEVEL": "|".join(LEVELS),
    "PY_RELEASE_SERIAL": r"[0-9]{1,2}",
    TEXT: r'"[0-9A-Za-z.+]+"',
}
"""The constants by name, with what their values look like."""
DEFINE = re.compile(r"(?P<before>#define[ \t]+(?P<name>\w+)[ \t]+)(?P<value>[^ \t]+)[ \t]*")
TITLE = re.compile(
    r"This is Python version 3\.[0-9]{1,2}\.[0-9]{1,2}(?: [a-z ]+ [0-9]{1,2})?(?:\+(?:dev)?)?"
)
"""Since July 2026 the title ends with ``+`` or ``+dev`` between releases, as the header does."""
DEV_SINCE = 15
CORRECT = "Have the file corrected on the branch; nothing was changed."


def set_version(tree: Path, version: str, _time: datetime, _tools: Tools) -> None:
    """Set the version in the header and in the title of the README.

    Raises `CheckError`: ``EDIT_PATCHLEVEL``, ``EDIT_README``, ``EDIT_VERSION_ORDER``,
    ``EDIT_LINE_ENDS``, ``EDIT_ENCODING``, ``EDIT_MISSING``.
    """
    new = Version.parse(version)
    header, readme = read_lines(tree, HEADER), read_lines(tree, README)
    old = header_version(header)[0]
    if not old < new or old.series != new.series:
        raise CheckError(
            f"{HEADER} has {old}, which {new} does not follow",
            code="EDIT_VERSION_ORDER",
            remedy="Correct the version that is to be released, or look at the branch.",
        )
    texts = {HEADER: numbered(header, new), README: titled(readme, new)}
    for path, lines in texts.items():
        write_file(tree, path, "\n".join(lines))


def set_post_version(tree: Path, version: str, _time: datetime, _tools: Tools) -> None:
    """Mark the tree as later than the release: ``3.14.0a1+``, from 3.15 on ``3.15.0a1+dev``.

    Raises `CheckError`: ``EDIT_VERSION_ORDER`` where the tree is not that of the release.
    """
    released = Version.parse(version)
    header = read_lines(tree, HEADER)
    found, suffix = header_version(header)
    if found != released or suffix:
        raise CheckError(
            f"{HEADER} has {found}{suffix}, not {released}",
            code="EDIT_VERSION_ORDER",
            remedy="This is done once, on the release commit.",
        )
    mark = "+dev" if released.minor >= DEV_SINCE else "+"
    write_file(tree, HEADER, "\n".join(_defined(header, {TEXT: f'"{released}{mark}"'})))


def header_version(lines: list[str]) -> tuple[Version, str]:
    """Read the version which the constants give, and what follows it in the text (``+``).

    Raises `CheckError` (``EDIT_PATCHLEVEL``) where constants are missing, doubled or differ.
    """
    found = {name: lines[index] for name, index in _constants(lines).items()}
    values = {name: _value(line) for name, line in found.items()}
    version = Version(
        int(values["PY_MINOR_VERSION"]),
        int(values["PY_MICRO_VERSION"]),
        LEVELS[values["PY_RELEASE_LEVEL"]],
        int(values["PY_RELEASE_SERIAL"]),
    )
    text = values[TEXT].strip('"')
    if text.removesuffix("dev").removesuffix("+") != str(version):
        number = _constants(lines)[TEXT] + 1
        raise refusal("EDIT_PATCHLEVEL", HEADER, number, f"{text} is not {version}", CORRECT)
    return version, text.removeprefix(str(version))


def _constants(lines: list[str]) -> dict[str, int]:
    """Return the index of each constant's line, between the two markers."""
    if lines.count(START) != 1 or lines.count(END) != 1 or lines.index(END) < lines.index(START):
        message = f"the markers {START} and {END} are not there once each"
        raise refusal("EDIT_PATCHLEVEL", HEADER, 0, message, CORRECT)
    found: dict[str, int] = {}
    for index in range(lines.index(START) + 1, lines.index(END)):
        define = DEFINE.fullmatch(lines[index])
        name = define["name"] if define else ""
        if not define or name not in NUMBERS:
            continue
        if name in found or not re.fullmatch(NUMBERS[name], define["value"]):
            message = f"{name} is there twice, or has a strange value"
            raise refusal("EDIT_PATCHLEVEL", HEADER, index + 1, message, CORRECT)
        found[name] = index
    if missing := [name for name in NUMBERS if name not in found]:
        message = f"no {', '.join(missing)} between the markers"
        raise refusal("EDIT_PATCHLEVEL", HEADER, lines.index(START) + 1, message, CORRECT)
    return found


def numbered(lines: list[str], version: Version) -> list[str]:
    """Return the header with the constants of a version.

    Raises `CheckError` (``EDIT_PATCHLEVEL``).
    """
    values = {
        "PY_MINOR_VERSION": str(version.minor),
        "PY_MICRO_VERSION": str(version.micro),
        "PY_RELEASE_LEVEL": next(name for name, one in LEVELS.items() if one == version.level),
        "PY_RELEASE_SERIAL": str(version.serial),
        TEXT: f'"{version}"',
    }
    return _defined(lines, values)


def _value(line: str) -> str:
    define = DEFINE.fullmatch(line)
    return define["value"] if define else ""


def _defined(lines: list[str], values: Mapping[str, str]) -> list[str]:
    """Return the lines with other values; spacing and everything else stay."""
    changed, constants = list(lines), _constants(lines)
    for name, value in values.items():
        index = constants[name]
        define = DEFINE.fullmatch(lines[index])
        if define:
            start, end = define.span("value")
            changed[index] = lines[index][:start] + value + lines[index][end:]
    return changed


def titled(lines: list[str], version: Version) -> list[str]:
    """Return the README with a version in its title, underlined as long as it is.

    Raises `CheckError` (``EDIT_README``). A line that is too long is a slip of some real
    releases (3.12.0b1), and no error of the markup.
    """
    old, line = (*lines, "", "")[:2]
    if not TITLE.fullmatch(old):
        message = f"{old[:60]!r} is not the title with the version"
        raise refusal("EDIT_README", README, 1, message, CORRECT)
    if len(line) < len(old) or line.strip("="):
        message = f"{line[:60]!r} does not underline the title"
        raise refusal("EDIT_README", README, 2, message, CORRECT)
    title = f"This is Python version {version.spelled}"
    return [title, "=" * len(title), *lines[2:]]
