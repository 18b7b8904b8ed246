"""Sign the list of digests of a record, as one more text of the release."""

from __future__ import annotations

import hashlib
from pathlib import Path

from relkit.errors import VerificationError
from relkit.manifest import schemes
from relkit.ports import World
from relkit.record_files import read, sha256_of, write
from relkit.release import Release
from relkit.sealing import SUFFIXES, SUMS
from relkit.values import Companion


def sign_seal(folder: Path, world: World, release: Release) -> tuple[Companion, ...]:
    """Sign the list of digests by every scheme of the release; good signatures are kept.

    It is signed as a text of the release, and each signature verified before it is kept here.
    Raises what `relkit.ports.Signers` raises; `VerificationError` (``SEAL_DIFFERS``,
    ``SEAL_UNSIGNED``).
    """
    text = (folder / SUMS).read_text(encoding="utf-8")
    _require_listed(folder, text)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    name = f"record-{release.key}-{SUMS}"
    _lay_out(world, name, text)
    made = []
    for scheme in schemes(release):
        suffix = SUFFIXES[scheme]
        if before := read(folder / (SUMS + suffix)):
            _lay_out(world, name + suffix, before.decode("utf-8", "replace"))
        world.signers.sign(scheme=scheme, name=name, sha256=sha256)
        companion = world.signers.companion(scheme=scheme, name=name, sha256=sha256)
        signature = world.artifacts.read(name=name + suffix)
        if companion is None or signature is None:
            raise VerificationError(
                f"there is no good {scheme} signature of {SUMS} with the digest {sha256}",
                code="SEAL_UNSIGNED",
                remedy="Seal again; look at the release manager's keys if that does not help.",
            )
        write(folder / (SUMS + suffix), signature.encode())
        made.append(companion)
    return tuple(made)


def _require_listed(folder: Path, text: str) -> None:
    """Refuse to sign a list that is not that of the files beside it."""
    for line in text.splitlines():
        sha256, _, path = line.partition("  ")
        found = sha256_of(folder / path) if (folder / path).is_file() else "no file"
        if found != sha256:
            raise VerificationError(
                f"{path} has the digest {found}, {SUMS} has {sha256}",
                code="SEAL_DIFFERS",
                remedy="Find out who changed it since it was sealed; then seal again.",
            )


def _lay_out(world: World, name: str, text: str) -> None:
    """Put a text among the artifacts, in the place of another one of that name."""
    there = world.artifacts.artifact(name=name)
    if there and there.sha256 != hashlib.sha256(text.encode()).hexdigest():
        world.artifacts.discard(name=name)
    world.artifacts.write(name=name, text=text)
