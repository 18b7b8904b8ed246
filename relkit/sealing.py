"""What a sealed record consists of, as far as it follows from the ledger alone.

Paths are relative to the record's folder, with ``/``. The set is closed: what is not in it, and not
named here as left out, is refused when a record is sealed and when it is verified.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from pydantic import Field

from relkit.history import History
from relkit.manifest import Manifest, schemes
from relkit.policy import Policy
from relkit.records import Decided, HandedOver, Waived
from relkit.steps.amend import AMENDED, close_amendment
from relkit.steps.sign import MANIFEST, close_manifest
from relkit.values import Companion, Digest, Identity, Value, canonical

LEDGER, HEAD, POLICY = "ledger.jsonl", "ledger.head", "policy.json"
NOTEBOOK, PAGE = "release.ipynb", "release.html"
SEAL, GUIDE, SUMS = "seal.json", "VERIFY.md", "SHA256SUMS"
DECISIONS, SIGNATURES, PROVENANCE, TRUST = "decisions", "signatures", "provenance", "trust"
ROOT, SIGNERS, KEYS = (
    f"{TRUST}/trusted_root.json",
    f"{TRUST}/allowed_signers",
    f"{TRUST}/gpg-keys.asc",
)
FOLDERS = frozenset({DECISIONS, SIGNATURES, PROVENANCE, TRUST})
SUFFIXES = {"ssh": ".sig", "gpg": ".asc", "sigstore": ".sigstore"}
"""What the name of a signature has after that of what it signs."""
ATTEMPTS = "attempts"
LEFT_OUT = frozenset({"lock", "status.html", ".status.html.new"})
TORN = re.compile(r"ledger\.torn-[0-9a-f]{1,64}")
UNFIT = re.compile(r"[\s,*?!\"'#\\|<>()$`;&\x00-\x1f\x7f]+")
"""What a list of signers of OpenSSH, or a shell, takes for something else than a name."""
FORM = 2


class Attempt(Value):
    """A raw attempt: its digest, and how our engine says it ended (empty: not our engine)."""

    sha256: Digest
    ended: str


class Seal(Value):
    """What a record consisted of when it was closed; `ended` says how its run did.

    `files` has every file but this one, the list of digests and its signatures. `signed_by` are
    those whose signatures over that list belong to the record; empty: it is not signed. `torn`
    are lines that were cut while they were written: they and the attempts are named, not sealed.
    What an abandoned run made is taken back, and no manifest is sealed with it.
    """

    form: int = FORM
    version: str
    kind: str
    rehearsal: bool
    ledger_head: Digest
    ledger_records: int
    revision: int = 1
    ended: Literal["complete", "abandoned"] = "complete"
    policy_digest: Digest
    signed_by: tuple[Identity, ...] = ()
    files: dict[str, Digest]
    attempts: dict[str, Attempt]
    torn: dict[str, Digest] = Field(default={})


def manifest_of(history: History) -> tuple[str, Manifest] | None:
    """Return the manifest that a run has closed, and the name of its file; None: it has none."""
    for name, closing in ((AMENDED, close_amendment), (MANIFEST, close_manifest)):
        if closing in history.results:
            return name, history.results[closing]
    return None


def companions(history: History) -> tuple[Companion, ...]:
    """Return the signatures of the files that a run has published."""
    closed = manifest_of(history)
    return closed[1].companions if closed else ()


def from_ledger(history: History) -> dict[str, bytes]:
    """Return policy, manifest, and every decision with its signature, by path."""
    found = {POLICY: canonical(history.inputs.policy) + b"\n"}
    if closed := manifest_of(history):
        found[closed[0]] = closed[1].to_text().encode()
    for path, entry in decisions(history):
        found[path] = entry.signed.text.encode()
        found[path + SUFFIXES[entry.signed.scheme]] = entry.signed.signature.encode()
    return found


def decisions(history: History) -> Iterator[tuple[str, Decided | Waived | HandedOver]]:
    """Yield everything a person has signed: ``decisions/NNNN-<event>-<role>.json``, in order."""
    for record in history.ledger:
        if isinstance(entry := record.entry, Decided | Waived | HandedOver):
            role = re.sub(r"[^a-z0-9-]+", "-", entry.role.lower())
            yield f"{DECISIONS}/{record.number:04}-{entry.event}-{role}.json", entry


def principals(policy: Policy) -> dict[str, str]:
    """Return how each person is called in the list of allowed signers: without spaces.

    Spaces, and what has a meaning there, become dots; where that makes two persons one, both get
    a part of their name's digest.
    """
    names = dict.fromkeys(person.name for person in policy.people)
    plain = {name: UNFIT.sub(".", name).strip(".") for name in names}
    alike = [one for one in plain.values() if [*plain.values()].count(one) > 1 or not one]
    digests = {name: hashlib.sha256(name.encode()).hexdigest()[:8] for name in names}
    return {name: f"{one}.{digests[name]}" if one in alike else one for name, one in plain.items()}


def signing(history: History) -> tuple[Identity, ...]:
    """Return who signs the record of a run: the release manager, by each scheme of the branch."""
    policy = history.policy
    able = {
        "sigstore": Identity(
            scheme="sigstore", key=policy.sigstore_identity, issuer=policy.sigstore_issuer
        ),
        "gpg": Identity(scheme="gpg", key=policy.gpg_fingerprint),
    }
    return tuple(able[scheme] for scheme in schemes(history.release))


def sums_text(files: Mapping[str, bytes]) -> bytes:
    """Return the list of digests as `sha256sum` writes and reads it, in order of path."""
    lines = (f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files))
    return "".join(lines).encode()


def signature_names() -> tuple[str, ...]:
    """Return the names that signatures over the list of digests may have."""
    return tuple(SUMS + SUFFIXES[scheme] for scheme in ("sigstore", "gpg"))


def strangers(found: Iterable[str], listed: Iterable[str]) -> list[str]:
    """Return the paths in a record's folder that are neither listed nor left out, sorted.

    What a killed process has left of a listed file, ``NAME.new``, is no stranger.
    """
    known = {*listed, SUMS, SEAL, GUIDE, *signature_names()}
    mine = known | {f"{path}.new" for path in known} | LEFT_OUT
    return sorted(
        path
        for path in found
        if path not in mine and not path.startswith(f"{ATTEMPTS}/") and not TORN.fullmatch(path)
    )
