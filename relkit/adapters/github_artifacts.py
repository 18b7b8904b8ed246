"""Artifacts of a run: zip files with a build's files, checked against what GitHub says of them."""

from __future__ import annotations

import re
from pathlib import Path

from relkit.adapters.artifact_zip import unzip
from relkit.adapters.elsewhere import MAX_BYTES
from relkit.adapters.github import Told, pages
from relkit.adapters.github_download import Second
from relkit.adapters.rest import Rest
from relkit.adapters.web import quoted
from relkit.building.job import FILE_NAME
from relkit.errors import CheckError

DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
STATED, COMPUTED = "stated by GitHub", "not stated by GitHub for all artifacts: computed here only"


class _Artifact(Told):
    id: int
    name: str
    size_in_bytes: int
    expired: bool
    digest: str | None = None


class Artifacts:
    """The artifacts of runs, in the part of the API that begins with `base`."""

    def __init__(self, rest: Rest, base: str, second: Second) -> None:
        self._rest = rest
        self._base = base
        self._second = second

    def fetch(self, run: int, names: tuple[str, ...], files: str, folder: Path) -> str:
        """Take `files` (semicolons between them) out of the artifacts `names` into an empty folder.

        Returns whether GitHub has stated the digest of all these artifacts.
        """
        wanted = names_of(files)
        listed = self._listed(run)
        chosen = [_chosen(listed, name) for name in names]
        packed = folder / ".artifact.zip"
        for one in chosen:
            try:
                self._download(one, packed)
                unzip(packed, wanted, folder)
            finally:
                packed.unlink(missing_ok=True)
        got = {path.name for path in folder.iterdir()}
        if missing := sorted(wanted - got):
            raise _refusal(
                "FILE_MISSING", f"run {run} left no {missing[0]} in {', '.join(names) or 'nothing'}"
            )
        return STATED if all(one.digest for one in chosen) else COMPUTED

    def _listed(self, run: int) -> tuple[_Artifact, ...]:
        path = f"{self._base}/actions/runs/{run}/artifacts"
        listed = pages(self._rest, path, _Artifact, within="artifacts")
        if not listed.complete:
            raise self._rest.unreadable(f"the artifacts of run {run} were not all listed")
        return listed.items

    def _download(self, one: _Artifact, packed: Path) -> None:
        path = f"{self._base}/actions/artifacts/{one.id}/zip"
        size, digest = self._second.download(path, packed, min(one.size_in_bytes, MAX_BYTES))
        found = f"sha256:{digest}"
        if one.digest not in {None, found} or size != one.size_in_bytes:
            raise _refusal(
                "DIGEST_CHANGED",
                f"{one.name} is {size} bytes with {found}; GitHub says {one.size_in_bytes} bytes "
                f"with {one.digest}",
            )


def names_of(files: str) -> set[str]:
    """Return the names in a list with semicolons; refuse (``BAD_NAME``) what names no file."""
    wanted = set(filter(None, files.split(";")))
    if bad := sorted(name for name in wanted if not FILE_NAME.fullmatch(name)):
        raise _refusal("BAD_NAME", f"{bad[0][:60]!a} is no name of a file")
    return wanted


def _chosen(listed: tuple[_Artifact, ...], name: str) -> _Artifact:
    found = [one for one in listed if one.name == name]
    if len(found) != 1:
        raise _refusal("FILE_MISSING", f"the run has {len(found)} artifacts {name}, not one")
    if found[0].expired:
        raise _refusal("ARTIFACT_GONE", f"the artifact {name} has expired")
    digest = found[0].digest
    if digest is not None and not DIGEST.fullmatch(digest):
        raise _refusal("WEAK_DIGEST", f"{name} has the digest {quoted(digest)}, not a SHA-256")
    return found[0]


def _refusal(code: str, message: str) -> CheckError:
    return CheckError(
        message,
        code=code,
        remedy="Do not use it: look at the run on GitHub, and build again with relkit respin.",
    )
