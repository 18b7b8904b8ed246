"""Files as they are to become: an edit of several files is made as a whole, or not at all."""

from __future__ import annotations

import re
from pathlib import Path

from relkit.adapters.edit_tools import read_lines, refusal, write_file


class Drafts:
    """New texts for files of a tree; nothing is written before `save`.

    Reading raises what `relkit.adapters.edit_tools.read_lines` raises: a missing file, another
    encoding, carriage returns.
    """

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self._texts: dict[str, str] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._texts or (self.tree / path).exists()

    def matching(self, *patterns: str) -> list[str]:
        """Return the paths in the tree that match glob patterns, in order."""
        found = {
            path.relative_to(self.tree).as_posix()
            for pattern in patterns
            for path in self.tree.glob(pattern)
        }
        return sorted(found)

    def __getitem__(self, path: str) -> str:
        if path not in self._texts:
            return "\n".join(read_lines(self.tree, path))
        return self._texts[path]

    def __setitem__(self, path: str, text: str) -> None:
        self._texts[path] = text

    def replace(self, path: str, pattern: str, new: str, *, code: str, missing: str = "") -> None:
        """Replace all that a pattern matches (lines count: ``^`` and ``$``) in a file.

        Where there is nothing to replace the file is refused with `code`, saying what is
        `missing`; without a text for that it stays as it is.
        """
        text, count = re.subn(pattern, new, self[path], flags=re.MULTILINE | re.ASCII)
        if not count and missing:
            remedy = "See how the file says it now; edit it by hand or teach relkit."
            raise refusal(code, path, 1, f"has no {missing}", remedy)
        if count:
            self[path] = text

    def save(self) -> None:
        """Write all drafts in place."""
        for path, text in self._texts.items():
            write_file(self.tree, path, text)
