"""What was made: the manifest, and the signatures of the files it lists."""

from __future__ import annotations

import hashlib
from typing import Any

from relkit import records as log
from relkit import sealing
from relkit.errors import VerificationError
from relkit.expected import signatures
from relkit.manifest import Manifest
from relkit.steps.source import commit_release, tag_release
from relkit.values import Companion
from relkit.verify_record.bundles import require_one_spelling
from relkit.verify_record.case import Case
from relkit.verify_record.verdict import missing, refuse

WRITE = ("artifacts", "write")
MANIFESTS = ("manifest.json", "manifest-2.json")


def manifest(case: Case) -> str:
    """Compare the manifest with the ledger's: commit, tag object, policy, files."""
    walk, closed = case.walk, sealing.manifest_of(case.walk)
    _require_stated(case)
    wanted = closed[0] if closed else ""
    if strange := [name for name in MANIFESTS if name in case.pack.files and name != wanted]:
        raise refuse("MANIFEST_OTHER", f"{strange[0]} is no result of this run")
    if closed is None:
        if walk.abandoned is None and walk.release.facts.publishes and _closes(case):
            raise missing("NOT_COMPLETE", "the manifest was never closed")
        return "none: this run publishes no files"
    _, made = closed
    if case.bytes(wanted) != made.to_text().encode():
        raise refuse("MANIFEST_OTHER", f"{wanted} is not the one the ledger has")
    said = {"version": str(walk.release.version), "policy_digest": walk.inputs.policy_digest}
    if commit_release in walk.results and tag_release in walk.results:
        commit, tag = walk.results[commit_release], walk.results[tag_release]
        said |= {"commit": commit.commit, "tree": commit.tree, "tag_object": tag.tag_object}
    for name, value in said.items():
        if (found := getattr(made, name)) != value:
            raise refuse("MANIFEST_OTHER", f"its {name} is {found}, recorded was {value}")
    return f"{len(made.subjects)} files of commit {made.commit}, tag object {made.tag_object}"


def _require_stated(case: Case) -> None:
    """Refuse a statement about a build that is not the one the run has checked and kept."""
    kept: dict[object, object] = {}
    for record in case.walk.ledger:
        if isinstance(record.entry, log.Planned):
            actions: Any = record.entry.plan["actions"]
            for call in (action["do"] for action in actions):
                if (call["port"], call["method"]) == WRITE:
                    kept[call["arguments"]["name"]] = call["arguments"]["text"]
    folder = f"{sealing.PROVENANCE}/"
    for path in sorted(case.pack.files):
        if path.startswith(folder):
            said = kept.get(path.removeprefix(folder))
            if case.pack.files[path] != str(said or "").encode():
                raise refuse("PROVENANCE_OTHER", f"{path} is not what the ledger has")


def _closes(case: Case) -> bool:
    return bool({"close-manifest", "close-amendment"} & set(case.walk.steps))


def artifacts(case: Case) -> str:
    """Verify the Sigstore signature of each file of the manifest, by its digest."""
    walk, closed = case.walk, sealing.manifest_of(case.walk)
    listed = closed[1].companions if closed else ()
    _require_closed(case, {one.file.name for one in listed})
    if closed is None:
        return "none: this run publishes no files"
    _require_all(case, closed[1])
    case.trust.require_root()
    for one in listed:
        _require_good(case, one)
    gpg = [one for one in listed if one.scheme == "gpg"]
    if gpg:
        why = "GPG signatures of files: gpg needs the files themselves, the record has digests only"
        case.unchecked.append(f"{len(gpg)} {why}")
    case.require_policy()
    policy = walk.policy
    return (
        f"{len(listed) - len(gpg)} bundles by {policy.sigstore_identity} of its manifest's digests"
    )


def _require_closed(case: Case, wanted: set[str]) -> None:
    folder = f"{sealing.SIGNATURES}/"
    found = {path.removeprefix(folder) for path in case.pack.files if path.startswith(folder)}
    if added := sorted(found - wanted):
        raise refuse("SIGNATURE_UNLISTED", f"{added[0]} is of no file of the manifest")
    if gone := sorted(wanted - found):
        raise missing("SIGNATURE_MISSING", f"the record has no {', '.join(gone[:5])}")


def _require_all(case: Case, made: Manifest) -> None:
    """Refuse a manifest that lacks a signature which its kind of release must have."""
    there = {(one.subject.name, one.scheme) for one in made.companions}
    names = {one.name for one in made.subjects}
    for name, scheme in signatures(case.walk.release.amended):
        if name in names and (name, scheme) not in there:
            raise refuse("SIGNATURE_MISSING", f"{name} is not signed with {scheme}")
    strangers = [one.file.name for one in made.companions if one.subject not in made.subjects]
    if strangers:
        raise refuse("SIGNATURE_UNLISTED", f"{strangers[0]} is of a file that is not listed")


def _require_good(case: Case, one: Companion) -> None:
    data, policy = case.pack.files[f"{sealing.SIGNATURES}/{one.file.name}"], case.walk.policy
    if hashlib.sha256(data).hexdigest() != one.file.sha256 or len(data) != one.file.size:
        raise refuse("SIGNATURE_OTHER", f"{one.file.name} is not the one in the manifest")
    wanted = {
        "sigstore": (policy.sigstore_identity, policy.sigstore_issuer),
        "gpg": (policy.gpg_fingerprint, ""),
    }[one.scheme]
    if (one.identity, one.issuer) != wanted:
        raise refuse("SIGNATURE_IDENTITY", f"{one.file.name} is by {one.identity}, not {wanted[0]}")
    if one.scheme == "sigstore":
        require_one_spelling(data, one.file.name)
        try:
            case.trust.sigstore(one.subject.sha256, data, one.identity, one.issuer)
        except VerificationError as error:
            raise refuse(f"SIGNATURE_{error.code}", f"{one.file.name}: {error}") from error
