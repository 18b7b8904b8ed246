"""That nothing was changed: files, the signature of their list, the policy, the ledger."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from pydantic import ValidationError

from relkit import sealing
from relkit.errors import ReleaseError, VerificationError
from relkit.history import inputs, release_of
from relkit.ledger import Ledger, parse
from relkit.policy import Policy
from relkit.sealing import Seal
from relkit.values import canonical, digest_of
from relkit.verify_record.bundles import require_one_armor, require_one_spelling
from relkit.verify_record.case import Case
from relkit.verify_record.reading import cap
from relkit.verify_record.strict import json_of, text_of
from relkit.verify_record.verdict import cannot, missing, refuse
from relkit.verify_record.walk import Walk

LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._+/-]{0,250})")
REQUIRED = (
    *(sealing.LEDGER, sealing.HEAD, sealing.POLICY, sealing.NOTEBOOK, sealing.PAGE),
    *(sealing.GUIDE, sealing.SEAL, sealing.SIGNERS),
)


def files(case: Case) -> str:
    """Compare every file with the list of digests, and with the seal."""
    found = case.pack.files
    if sealing.SUMS not in found:
        raise missing("NOT_SEALED", f"there is no {sealing.SUMS}: the record was never sealed")
    listed = _listed(text_of(found[sealing.SUMS], sealing.SUMS))
    own = {sealing.SUMS, *sealing.signature_names()}
    if added := sorted({*found} - {*listed} - own):
        raise refuse("FILE_ADDED", f"not in {sealing.SUMS}: {', '.join(added[:5])}")
    if gone := sorted({*listed} - {*found}):
        raise refuse("FILE_MISSING", f"in {sealing.SUMS} and not there: {', '.join(gone[:5])}")
    for path, digest in listed.items():
        if (now := hashlib.sha256(found[path]).hexdigest()) != digest:
            raise refuse("FILE_CHANGED", f"{path} has the SHA-256 {now}, listed is {digest}")
    _require_sealed(case, listed)
    if lacking := [path for path in REQUIRED if path not in listed]:
        raise refuse("FILE_MISSING", f"a record has {', '.join(lacking)}")
    return f"{len(listed)} files, each with the digest in {sealing.SUMS}, and no other file"


def _listed(text: str) -> dict[str, str]:
    """Return the digests by path; the list has one form, in order and without doubles."""
    lines = [LINE.fullmatch(line) for line in text.splitlines()]
    if not text.endswith("\n") or None in lines or not lines:
        raise refuse("MALFORMED", f"{sealing.SUMS} is no list of digests and names")
    paths = [line[2] for line in lines if line]
    if wrong := [path for path in paths if not cap(path)]:
        raise refuse("FILE_NAME", f"{wrong[0]} is no name of a record's file")
    if paths != sorted(set(paths)) or text.count("\n") != len(paths):
        raise refuse("MALFORMED", f"{sealing.SUMS} is not sorted, or names a file twice")
    return {line[2]: line[1] for line in lines if line}


def seal_of(case: Case) -> Seal:
    """Return the seal; refuses one that is not exactly in its form."""
    data = case.bytes(sealing.SEAL)
    json_of(data, sealing.SEAL)
    try:
        seal = Seal.model_validate_json(data)
    except (ValidationError, RecursionError) as error:
        raise refuse(
            "MALFORMED", f"{sealing.SEAL} is no seal: {error.__class__.__name__}"
        ) from error
    if seal.form != sealing.FORM:
        raise cannot("FORM_UNKNOWN", f"{sealing.SEAL} has the form {seal.form}")
    if seal.model_dump_json(indent=1) + "\n" != text_of(data, sealing.SEAL):
        raise refuse("MALFORMED", f"{sealing.SEAL} is not in the form it is written in")
    return seal


def _require_sealed(case: Case, listed: dict[str, str]) -> None:
    rest = {path: digest for path, digest in listed.items() if path != sealing.SEAL}
    if seal_of(case).files != rest:
        raise refuse("FILE_CHANGED", f"{sealing.SEAL} names other files or digests than the list")


def signature(case: Case) -> str:
    """Verify who signed the list of digests: the release manager of the policy."""
    sums = case.bytes(sealing.SUMS)
    policy = _policy(case)
    signers = sealing.signing(case.walk)
    if seal_of(case).signed_by != signers:
        why = "the seal names nobody who signed it, or others than the policy"
        raise missing("SEAL_UNSIGNED", why)
    wanted = [sealing.SUMS + sealing.SUFFIXES[one.scheme] for one in signers]
    if added := sorted({*sealing.signature_names()} & {*case.pack.files} - {*wanted}):
        raise refuse("FILE_ADDED", f"{added[0]} is no signature of this kind of release")
    if lacking := [name for name in wanted if name not in case.pack.files]:
        raise missing("SEAL_UNSIGNED", f"there is no {', '.join(lacking)}: nobody signed the seal")
    case.trust.require_root()
    told = []
    for name in wanted:
        data = case.pack.files[name]
        try:
            told.append(_verified(case, policy, name, sums, data))
        except VerificationError as error:
            raise refuse(f"SEAL_{error.code}", f"{name}: {error}") from error
    case.require_policy()
    return f"{sealing.SUMS} signed by {' and '.join(told)}"


def _verified(case: Case, policy: Policy, name: str, sums: bytes, data: bytes) -> str:
    if name.endswith(".asc"):
        require_one_armor(data, name)
        case.trust.gpg(sums, data, policy.gpg_fingerprint)
        return f"the GPG key {policy.gpg_fingerprint}"
    require_one_spelling(data, name)
    digest = hashlib.sha256(sums).hexdigest()
    case.trust.sigstore(digest, data, policy.sigstore_identity, policy.sigstore_issuer)
    return f"{policy.sigstore_identity} ({policy.sigstore_issuer})"


def _policy(case: Case) -> Policy:
    data = case.bytes(sealing.POLICY)
    try:
        return Policy.model_validate(json_of(data, sealing.POLICY))
    except (ValidationError, RecursionError) as error:
        raise refuse("POLICY_MALFORMED", f"{sealing.POLICY}: {error.__class__.__name__}") from error


def policy(case: Case) -> str:
    """Compare the policy with that of record 0, with the seal's, and with the caller's."""
    found, raw = _policy(case), json_of(case.bytes(sealing.POLICY), sealing.POLICY)
    if case.bytes(sealing.POLICY) != canonical(raw) + b"\n":
        raise refuse("POLICY_MALFORMED", f"{sealing.POLICY} is not in its one form")
    opened, digest = case.walk.inputs, digest_of(raw)
    for whose, other in (
        ("record 0 has", opened.policy_digest),
        ("record 0 holds one with", digest_of(opened.policy)),
        (f"{sealing.SEAL} has", seal_of(case).policy_digest),
        ("you trust", case.trust.policy_sha256 or digest),
    ):
        if other != digest:
            raise refuse("POLICY_OTHER", f"the policy has the digest {digest}, {whose} {other}")
    case.require_policy()
    people = ", ".join(f"{one.name} ({one.role})" for one in found.people)
    return f"version {found.version}, digest {digest}: {people}"


def ledger(case: Case) -> str:
    """Read the ledger: each line bound to the one before, the last one to the seal."""
    data = case.bytes(sealing.LEDGER)
    try:
        records, head = parse(data, sealing.LEDGER)
        if not data.endswith(b"\n") or not records:
            raise refuse("LEDGER_TRUNCATED", "its last line is cut")
        made = Ledger(Path(sealing.LEDGER), records, lambda: records[-1].at, head, len(data))
        case.walked = Walk(release_of(inputs(made)), made)
    except ReleaseError as error:
        raise refuse(error.code, str(error)) from error
    noted = case.bytes(sealing.HEAD)
    if noted != f"{len(records) - 1} {head}\n".encode():
        raise refuse("LEDGER_BROKEN", f"{sealing.HEAD} is not of record {len(records) - 1}, {head}")
    case.require_no_faults("ledger")
    _require_sealed_head(case, head)
    return f"{len(records)} records, head {head}"


def _require_sealed_head(case: Case, head: str) -> None:
    seal, walk = seal_of(case), case.walk
    ended = "complete" if walk.abandoned is None else "abandoned"
    mine = {
        "ledger_head": head,
        "ledger_records": len(walk.ledger.records),
        "version": walk.release.name,
        "kind": str(walk.release.kind),
        "rehearsal": walk.inputs.rehearsal,
        "revision": walk.revision,
        "ended": ended,
    }
    for name, value in mine.items():
        if (said := getattr(seal, name)) != value:
            raise refuse("LEDGER_BROKEN", f"the seal says {name} {said}, the ledger {value}")


def order(case: Case) -> str:
    """Ask whether every record could follow those before it, and whether the run came to an end."""
    walk = case.walk
    if not walk.same_recipe:
        case.require_same_relkit()
    case.require_no_faults("order")
    if walk.abandoned is not None:
        return "abandoned: what was made is taken back"
    unfinished = [name for name in walk.steps if walk.status(name) != "complete"]
    if walk.respinning is not None or unfinished:
        first = unfinished[0] if unfinished else "a respin"
        raise missing("NOT_COMPLETE", f"{len(unfinished)} steps are not complete, first {first}")
    return f"{len(walk.steps)} steps, each after those it needs, all complete"
