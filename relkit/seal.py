"""Close a record: regenerate what is shown of it, list the digest of every file, sign that list.

Everything follows from the ledger and from what the world gives to keep (`gather`): sealing again
writes the same bytes, and keeps signatures that are good. `SHA256SUMS` is written last and taken
away first, so that a process that is killed leaves no list of what is not there. Raw attempts are
named with their digests; they are not part of the sealed set, but secrets are looked for in them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
from pydantic import ValidationError

from relkit.adapters.ssh import allowed_signer
from relkit.decision import NAMESPACE
from relkit.errors import CheckError, RecordError
from relkit.guide import guide
from relkit.history import History
from relkit.marks import ending_of
from relkit.policy import Policy
from relkit.ports import World
from relkit.record_files import listing, read, sha256_of, unlisted, write_all
from relkit.replay import shown
from relkit.seal_signing import sign_seal
from relkit.sealing import (
    ATTEMPTS,
    GUIDE,
    HEAD,
    KEYS,
    LEDGER,
    NOTEBOOK,
    PAGE,
    PROVENANCE,
    ROOT,
    SEAL,
    SIGNATURES,
    SIGNERS,
    SUMS,
    TORN,
    TRUST,
    Attempt,
    Seal,
    companions,
    from_ledger,
    principals,
    signing,
    strangers,
    sums_text,
)
from relkit.secret_scan import known_values, require_no_secrets
from relkit.values import Identity

STATED = re.compile(r"provenance-[A-Za-z0-9][A-Za-z0-9._+-]{0,100}\.json\b")
"""How the ledger names statements about builds that are kept among the artifacts."""

__all__ = [
    "GUIDE",
    "NOTEBOOK",
    "PAGE",
    "SEAL",
    "SUMS",
    "Attempt",
    "Seal",
    "close",
    "gather",
    "seal",
    "sign_seal",
]


def close(folder: Path, world: World) -> Seal:
    """Gather, seal and sign the record of a run whose world is open; harmless to do again."""
    history = History.read(folder)
    _require_ended(history)
    kept = gather(world, history)
    sealed = seal(folder, kept, signed_by=signing(history), secrets=world.secrets())
    sign_seal(folder, world, history.release)
    return sealed


def gather(world: World, history: History) -> dict[str, bytes]:
    """Return what a record must keep of its world, by path: trust, signatures, provenance.

    Raises `CheckError` (``ARTIFACT_MISSING``, ``DIGEST_CHANGED``) where a signature is not the one
    that the manifest names.
    """
    found = {f"{TRUST}/{name}": text.encode() for name, text in world.signers.trust().items()}
    for one in companions(history):
        text = world.artifacts.read(name=one.file.name)
        data = (text or "").encode()
        if text is None or hashlib.sha256(data).hexdigest() != one.file.sha256:
            raise CheckError(
                f"{one.file.name} is {'missing' if text is None else 'another one'}; "
                f"the manifest has the digest {one.file.sha256}",
                code="ARTIFACT_MISSING" if text is None else "DIGEST_CHANGED",
                remedy="Put the signature back as it was published, then seal again.",
            )
        found[f"{SIGNATURES}/{one.file.name}"] = data
    for name in sorted({*STATED.findall(history.ledger.path.read_text("utf-8"))}):
        if text := world.artifacts.read(name=name):  # what was taken back is not there
            found[f"{PROVENANCE}/{name}"] = text.encode()
    return found


def seal(
    folder: Path,
    extra: Mapping[str, bytes] | None = None,
    *,
    signed_by: Sequence[Identity] = (),
    secrets: Sequence[str] = (),
) -> Seal:
    """Seal the record of a complete or abandoned run, but for signatures; again gives the same.

    `extra` is from `gather`; without it what the folder has of that is kept, and so is a list of
    digests that is signed, if it is still right. `signed_by` are those who will sign, `secrets`
    those of the world. Raises `RecordError`: ``NOT_COMPLETE``, ``LEDGER_…``, ``UNLISTED_FILE``,
    ``RECORD_NOT_WRITTEN``; `VerificationError`: ``REPLAY_FAILED``, ``FORBIDDEN_MIME``,
    ``MACHINE_IN_RECORD``, ``SECRET_IN_RECORD``.
    """
    history = History.read(folder)
    _require_ended(history)
    found = listing(folder)
    alone = extra is None
    if extra is None:
        extra, signed_by = _kept(folder, found, history), _claimed(folder)
    files = _from_ledger(folder, history) | dict(extra)
    _require_closed(found, files)
    files |= shown(history, folder)
    sealed = _finish(folder, history, files, signed_by)
    if alone and signed_by and files[SUMS] != read(folder / SUMS):
        sealed = _finish(folder, history, files, ())  # nobody is here to sign it anew
    public = history.policy.model_dump_json()
    looked = files | {path: read(folder / path) or b"" for path in found if _is_attempt(path)}
    require_no_secrets(looked, known_values(os.environ, *secrets), public=public)
    write_all(folder, files)
    return sealed


# --- what is in it ----------------------------------------------------------------------------


def _require_ended(history: History) -> None:
    if not history.complete and history.abandoned is None:
        unfinished = [n for n in history.steps if history.status(n) != "complete"]
        raise RecordError(
            f"{len(unfinished)} steps are not complete, the first is {unfinished[0]}",
            code="NOT_COMPLETE",
            remedy="Finish the run or abandon it, then seal it.",
        )


def _require_closed(found: Sequence[str], files: Mapping[str, bytes]) -> None:
    if unknown := strangers(found, {*files, NOTEBOOK, PAGE}):
        raise unlisted(unknown)


def _from_ledger(folder: Path, history: History) -> dict[str, bytes]:
    """Return the ledger and what follows from it; refuse a ledger whose last line is cut."""
    found = {name: (folder / name).read_bytes() for name in (LEDGER, HEAD)}
    head = f"{len(history.ledger.records) - 1} {history.ledger.head}\n".encode()
    if len(found[LEDGER]) != history.ledger.size or found[HEAD] != head:
        raise RecordError(
            f"the end of {LEDGER} is not what {HEAD} names: {head.decode().strip()}",
            code="LEDGER_TORN",
            remedy="A process was killed while it wrote: open the run once, then seal it.",
        )
    return found | from_ledger(history) | {SIGNERS: _allowed(history.policy)}


def _allowed(policy: Policy) -> bytes:
    """Return the list of allowed signers that OpenSSH reads: a line for each key of a person."""
    called = principals(policy)
    lines = {
        allowed_signer(called[person.name], one.key, NAMESPACE): None
        for person in policy.people
        for one in person.identities
        if one.scheme == "ssh"
    }
    return "".join(lines).encode()


def _finish(
    folder: Path, history: History, files: dict[str, bytes], signed_by: Sequence[Identity]
) -> Seal:
    """Add guide, seal and list of digests to the files of a record."""
    for name in (GUIDE, SEAL, SUMS):
        files.pop(name, None)
    files[GUIDE] = guide(history, files, signed_by)
    sealed = Seal(
        version=history.release.name,
        kind=history.release.kind,
        rehearsal=history.inputs.rehearsal,
        ledger_head=history.ledger.head,
        ledger_records=len(history.ledger.records),
        revision=history.revision,
        ended="complete" if history.abandoned is None else "abandoned",
        policy_digest=history.inputs.policy_digest,
        signed_by=tuple(signed_by),
        files={path: hashlib.sha256(files[path]).hexdigest() for path in sorted(files)},
        attempts={path.name: _attempt(path) for path in sorted(folder.glob(f"{ATTEMPTS}/*.ipynb"))},
        torn={p.name: sha256_of(p) for p in sorted(folder.iterdir()) if TORN.fullmatch(p.name)},
    )
    files[SEAL] = (sealed.model_dump_json(indent=1) + "\n").encode()
    files[SUMS] = sums_text(files)
    return sealed


def _is_attempt(path: str) -> bool:
    return path.startswith(f"{ATTEMPTS}/") or TORN.fullmatch(path) is not None


# --- what is there already --------------------------------------------------------------------


def _kept(folder: Path, found: Sequence[str], history: History) -> dict[str, bytes]:
    """Return what an earlier sealing has gathered: only what a record may have."""
    signatures = {f"{SIGNATURES}/{one.file.name}": one.file.sha256 for one in companions(history)}
    kept = {}
    for path in found:
        data = read(folder / path) or b""
        known = signatures.get(path) == hashlib.sha256(data).hexdigest()
        stated = path.startswith(f"{PROVENANCE}/provenance-") and path.endswith(".json")
        if path in {ROOT, KEYS} or known or stated:
            kept[path] = data
    return kept


def _claimed(folder: Path) -> tuple[Identity, ...]:
    """Return who has signed the record as it was sealed before; nobody if that cannot be read."""
    try:
        return Seal.model_validate_json(read(folder / SEAL) or b"").signed_by
    except ValidationError:
        return ()


def _attempt(path: Path) -> Attempt:
    """Describe an attempt; one that another engine made says so by saying nothing."""
    try:
        ended = ending_of(nbformat.read(path, as_version=4))
    except (nbformat.ValidationError, ValueError, LookupError, TypeError, AttributeError):
        ended = "unreadable"
    return Attempt(sha256=sha256_of(path), ended=ended)
