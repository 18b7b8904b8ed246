"""What a download server does in the same way wherever it is: its names, modes and refusals."""

from __future__ import annotations

import re
import secrets
from pathlib import PurePath

from relkit.errors import WorldError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,150}", flags=re.ASCII)
PART = ".part-"
FILE_MODE, FOLDER_MODE = 0o644, 0o755


def checked(name: str) -> str:
    """Return the name of a file or folder of the server, or refuse it (``BAD_NAME``)."""
    if NAME.fullmatch(name) is None:
        raise WorldError(
            f"{name[:60]!r} cannot be the name of a file or folder of the server",
            code="BAD_NAME",
            remedy="Use letters, digits and . _ + - only, beginning with a letter or digit.",
        )
    return name


def part_name(name: str, sha256: str, nonce: str = "") -> str:
    """Return a name, used by one call only, under which a file arrives beside where it is to be."""
    return f"{PART}{nonce or secrets.token_hex(6)}-{sha256[:16]}-{name}"


def would_overwrite(name: str, found: str, wanted: str) -> WorldError:
    """Return the refusal to put a file where another one is."""
    return WorldError(
        f"{name} is there with {found}, not {wanted}",
        code="WOULD_OVERWRITE",
        remedy="Find out where the other file comes from; nothing is ever overwritten.",
    )


def changed(path: PurePath, found: str, wanted: str) -> WorldError:
    """Return the refusal of a file with other bytes than the release has agreed on."""
    return WorldError(
        f"{path.name} has the digest {found}, not {wanted}",
        code="DIGEST_CHANGED",
        remedy="Find out who changed the file; collect and upload the right one.",
    )


def absent(name: str, place: str) -> WorldError:
    """Return the refusal to go on without a file."""
    return WorldError(
        f"{name} is not in {place}",
        code="NOT_THERE",
        remedy="Run the step that puts it there first.",
    )


def in_the_way(path: PurePath) -> WorldError:
    """Return the refusal of what is neither a file nor a folder."""
    return WorldError(
        f"{path.name} on the server is a link or something else than a file or folder",
        code="NOT_A_FILE",
        remedy="Remove it, and find out who made it.",
    )
