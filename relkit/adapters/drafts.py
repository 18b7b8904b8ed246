"""Drafts of texts as files of this machine, and what can be kept as a text at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

from relkit.adapters.value_files import safe_name, write_whole
from relkit.errors import UsageError, WorldError

MOST_LETTERS = 1 << 20


class Drafts:
    """The drafts of a release: in its folder, a file ``CHANNEL.md`` each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, channel: str, text: str) -> None:
        """Write a draft; one that was there with other words is kept under another name."""
        path = self.path(channel)
        require_text(text)
        before = self.get(channel)
        if before is not None and before != text:
            self.keep(channel, before)
        write_whole(path, text.encode())

    def get(self, channel: str) -> str | None:
        """Return the draft for a channel. Raises `WorldError` (``DRAFT_UNREADABLE``)."""
        path = self.path(channel)
        try:
            return path.read_bytes().decode() if path.exists() else None
        except UnicodeDecodeError as error:
            raise WorldError(
                f"the draft {path.name} is not UTF-8: {error.reason}",
                code="DRAFT_UNREADABLE",
                remedy="Save it as UTF-8.",
            ) from error

    def keep(self, channel: str, text: str) -> None:
        """Keep words for a channel that are to be replaced."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        path = self.path(channel)
        write_whole(path.with_name(f"{channel}-{digest[:8]}.old.md"), text.encode())

    def path(self, channel: str) -> Path:
        """Return the file of the draft for a channel. Raises `WorldError` (``BAD_NAME``)."""
        return self._folder / f"{safe_name(channel)}.md"


def require_text(text: str) -> None:
    """Refuse what no file or commit can hold as text (``BAD_TEXT``)."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise _no_text(f"it is not UTF-8: {error.reason}") from error
    if "\0" in text or size > MOST_LETTERS:
        raise _no_text(f"it has a NUL, or {size} bytes where at most {MOST_LETTERS} are taken")


def _no_text(why: str) -> UsageError:
    return UsageError(
        f"this cannot be kept as a text: {why}",
        code="BAD_TEXT",
        remedy="Look at where it comes from; nothing was written.",
    )
