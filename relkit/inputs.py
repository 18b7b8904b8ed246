"""Record 0: what a run is opened with, and must be opened with again."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version as installed_version
from pathlib import Path

from relkit import records as log
from relkit.errors import RecordError
from relkit.ledger import Ledger
from relkit.ports import World
from relkit.release import Release
from relkit.step import steps_of
from relkit.values import digest_of


def release_of(opened: log.Opened) -> Release:
    """Return the release a run was opened for."""
    time, picks = f"{opened.time:%Y-%m-%dT%H:%M:%SZ}", " ".join(opened.picks)
    return Release.parse(opened.version, opened.kind, time, picks)


def inputs(ledger: Ledger) -> log.Opened:
    """Return record 0; raise `RecordError` (``LEDGER_INVALID``) if it is something else."""
    first = ledger.records[0].entry if ledger.records else None
    if isinstance(first, log.Opened):
        return first
    raise RecordError(
        "the ledger does not begin with the opening of a run",
        code="LEDGER_INVALID",
        remedy="Put the ledger back from a copy of the record.",
    )


def steps_digest(release: Release) -> str:
    """Return the digest of the recipe: the kind's steps in order, with their gates and `after`."""
    steps = steps_of(release.kind)
    return digest_of([[one.name, one.gate, [n.name for n in one.after]] for one in steps])


@cache
def this_relkit() -> str:
    """Return which relkit this is: its version, and the digest of its code, texts and tables.

    Two that differ in a word say so, and a record's words are only held against those of the relkit
    that wrote them.
    """
    root, found = Path(__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in {".py", ".j2", ".toml"}:
            found.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return f"{installed_version('relkit')}+{found.hexdigest():.12}"


def opening(release: Release, world: World) -> log.Opened:
    """Return record 0 as it would be written now."""
    return log.Opened(
        version=release.name,
        kind=release.kind,
        time=release.time,
        picks=release.picks,
        world=world.name,
        world_digest=world.digest,
        systems=world.systems,
        policy_digest=world.policy.digest,
        policy=world.policy.to_data(),
        rehearsal=world.rehearsal,
        nonce=world.nonce,
        relkit=this_relkit(),
        steps_digest=steps_digest(release),
    )


def require_same(recorded: log.Opened, now: log.Opened) -> None:
    """Raise `RecordError` if the run was opened for something else than is asked now."""
    codes = {
        "version": "OTHER_RELEASE",
        "kind": "OTHER_RELEASE",
        "picks": "OTHER_RELEASE",
        "time": "OTHER_DATE",
        "world": "WORLD_CHANGED",
        "rehearsal": "WORLD_CHANGED",
        "nonce": "WORLD_CHANGED",
        "world_digest": "WORLD_CHANGED",
        "policy_digest": "POLICY_CHANGED",
        "steps_digest": "STEPS_CHANGED",
    }
    for name, code in codes.items():
        before, after = getattr(recorded, name), getattr(now, name)
        if before != after:
            raise RecordError(
                f"this run was opened with {name} {before}, now it is {after}",
                code=code,
                remedy="Go on with what the run was opened with, or use another records folder.",
            )
