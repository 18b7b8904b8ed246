"""What an SBOM says of an archive's files, taken down while the archive passes by."""

from __future__ import annotations

import hashlib

TREE_SBOM = "Misc/sbom.spdx.json"
EXTERNALS = "Misc/externals.spdx.json"
WHEELS = "Lib/ensurepip/_bundled/"


class Contents:
    """The regular files of one archive: digests of each, and the bytes of the few an SBOM reads.

    Paths are relative to the top folder. Folders and links are not given to it: SPDX knows files.
    """

    def __init__(self) -> None:
        self.digests: dict[str, tuple[str, str]] = {}
        """SHA-1 and SHA-256 of each file, as hex digits."""
        self.kept: dict[str, bytes] = {}
        """The tree's own SBOMs and the wheels of ensurepip."""

    def take(self, path: str, data: bytes) -> None:
        """Take down one file."""
        # SPDX 2.3 wants a SHA-1 of each file (8.4); what anybody relies on is the SHA-256.
        sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        self.digests[path] = sha1, hashlib.sha256(data).hexdigest()
        if path in {TREE_SBOM, EXTERNALS} or _is_wheel(path):
            self.kept[path] = data

    @property
    def wheels(self) -> list[str]:
        """The paths of the wheels of ensurepip, in order."""
        return sorted(path for path in self.kept if _is_wheel(path))


def _is_wheel(path: str) -> bool:
    return path.startswith(WHEELS) and path.endswith(".whl")
