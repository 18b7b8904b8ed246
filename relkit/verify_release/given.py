"""What a published release is compared with, and on whose word.

A manifest is the caller's word if its file was given. A record's own files are nobody's word: they
count as far as the record is verified with the policy's digest and the trust root of the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from relkit.errors import GateError, RecordError, UsageError
from relkit.expected import SUFFIXES, expected, folders, signatures
from relkit.manifest import Manifest
from relkit.policy import Policy, read_policy
from relkit.release import Release, Version
from relkit.sealing import KEYS, POLICY, ROOT
from relkit.steps.amend import AMENDED
from relkit.steps.sign import LATER, MANIFEST
from relkit.verify_record import Verdict, read_record, verify
from relkit.verify_record.strict import json_of
from relkit.verify_record.verdict import Judged

LARGEST = 1 << 20  # bytes of a manifest
OF_RECORD = ("files", "seal signature", "policy", "manifest")
"""The properties of a record on which its manifest rests."""


@dataclass(frozen=True)
class Named:
    """Who must have signed, in the caller's words: Sigstore's identity and issuer, GPG's key."""

    identity: str = ""
    issuer: str = ""
    key: str = ""


@dataclass(frozen=True)
class Given:
    """What the caller gave; `manifests` from the oldest to the newest, which holds.

    `record` is the verdict about the record that the newest came from; those before it are known by
    their digests. `policy` is that record's; it counts only if `policy_sha256` is its digest.
    """

    version: Version
    manifests: tuple[Manifest, ...] = ()
    record: Verdict | None = None
    named: Named = Named()
    policy: Policy | None = None
    policy_sha256: str | None = None
    trust: Mapping[str, bytes] = field(default_factory=dict)
    root: bytes | str | None = None

    @property
    def manifest(self) -> Manifest | None:
        """The manifest that holds."""
        return self.manifests[-1] if self.manifests else None

    @property
    def trusted_policy(self) -> Policy | None:
        """The policy, if the caller vouches for it."""
        known = self.policy is not None and self.policy.digest == self.policy_sha256
        return self.policy if known else None

    @property
    def vouched(self) -> bool:
        """Whether the manifest is the caller's word: its file was given, not a record."""
        return bool(self.manifests) and self.record is None

    def who(self, scheme: Literal["sigstore", "gpg"]) -> tuple[str, str] | None:
        """Return identity and issuer which must have signed; None: nobody has vouched for any."""
        if scheme == "sigstore" and self.named.identity:
            return self.named.identity, self.named.issuer
        if scheme == "gpg" and self.named.key:
            return self.named.key, ""
        if policy := self.trusted_policy:
            sigstore = (policy.sigstore_identity, policy.sigstore_issuer)
            return sigstore if scheme == "sigstore" else (policy.gpg_fingerprint, "")
        if self.vouched and self.manifest:
            stated = {
                (o.identity, o.issuer) for o in self.manifest.companions if o.scheme == scheme
            }
            return stated.pop() if len(stated) == 1 else None
        return None

    def whence(self, scheme: Literal["sigstore", "gpg"]) -> str:
        """Return in words from where it is known who must have signed."""
        if self.named.identity if scheme == "sigstore" else self.named.key:
            return "as you named it"
        return "as the policy names it" if self.trusted_policy else "as the manifest names it"


def nothing_given(version: Version, named: Named, root: bytes | str | None, keys: bytes) -> Given:
    """Return what there is without a manifest: who must have signed, and no more."""
    return Given(version, named=named, trust=_trust(keys), root=root)


def from_files(
    version: Version,
    paths: Sequence[Path],
    *,
    named: Named,
    policy_sha256: str | None = None,
    root: bytes | str | None = None,
    keys: bytes = b"",
) -> Given:
    """Return manifests that the caller vouches for.

    Raises `UsageError`: ``MANIFEST_UNREADABLE``, ``MANIFEST_OTHER``, ``POLICY_DIGEST`` (they were
    made under another policy than the caller's).
    """
    made = _chain(version, [(path.name, _read(path)) for path in paths])
    if policy_sha256 not in {None, made[-1].policy_digest}:
        raise _usage(
            "POLICY_DIGEST",
            f"the manifest was made under the policy {made[-1].policy_digest}, "
            f"given was {policy_sha256}",
        )
    return Given(version, made, named=named, trust=_trust(keys), root=root)


def from_record(
    version: Version,
    paths: Sequence[Path],
    *,
    named: Named,
    policy_sha256: str | None,
    root: bytes | str | None,
    keys: bytes = b"",
) -> Given:
    """Return the manifests of records, a release's before its amendment's.

    Raises `RecordError` for a folder that is not read, or has no manifest (``NO_MANIFEST``), and
    `UsageError`.
    """
    packs = [(path.name, read_record(path)) for path in paths]
    found = []
    for name, pack in packs:
        file = next((one for one in (AMENDED, MANIFEST) if one in pack.files), None)
        if file is None:
            raise RecordError(
                f"the record {name} has no manifest: nothing was published by it",
                code="NO_MANIFEST",
                remedy="Give the record of a release that was carried through.",
            )
        found.append((f"{name}/{file}", pack.files[file]))
    made = _chain(version, found)
    last = packs[-1][1]
    verdict = verify(last, policy_sha256=policy_sha256, trust_root=root)
    own = {path: last.files[path] for path in (ROOT, KEYS) if path in last.files}
    policy, trust = _policy(last.files), own | _trust(keys)
    return Given(version, made, verdict, named, policy, policy_sha256, trust, root)


def _trust(keys: bytes) -> dict[str, bytes]:
    return {KEYS: keys} if keys else {}


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise _usage("MANIFEST_UNREADABLE", f"{path.name}: {error.strerror}") from error


def _policy(files: Mapping[str, bytes]) -> Policy | None:
    if POLICY not in files:
        return None
    try:
        return read_policy(json_of(files[POLICY], POLICY))
    except (Judged, GateError):
        return None  # the record's line says so


def _chain(version: Version, texts: Iterable[tuple[str, bytes]]) -> tuple[Manifest, ...]:
    """Return manifests each of which stands in the place of the one before it."""
    named = [(name, _manifest(name, data)) for name, data in texts]
    made = tuple(one for _, one in named)
    for name, one in named:
        if one.version != str(version):
            raise _usage("MANIFEST_OTHER", f"{name} is of {one.version}, asked for is {version}")
    for older, newer in pairwise(made):
        same = ("version", "commit", "tree", "tag_object", "time", "folder")
        if newer.supersedes != older.digest:
            why = f"in the place of {newer.supersedes}, given before it was {older.digest}"
            raise _usage("MANIFEST_OTHER", f"the amendment is of another manifest: {why}")
        if differ := [name for name in same if getattr(newer, name) != getattr(older, name)]:
            raise _usage("MANIFEST_OTHER", f"the amendment has another {differ[0]}")
    return made


def _manifest(name: str, data: bytes) -> Manifest:
    try:
        found = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        why = f"{name} is no manifest: {where or 'text'}: {first['msg']}"[:300]
        raise _usage("MANIFEST_UNREADABLE", why) from error
    if found.to_text().encode() != data:
        raise _usage("MANIFEST_UNREADABLE", f"{name} is not written as relkit writes a manifest")
    return found


def release_of(manifest: Manifest, version: Version) -> Release:
    """Return what was released, as it was when it was."""
    return Release.parse(str(version), "", f"{manifest.time:%Y-%m-%dT%H:%M:%SZ}")


def flaws(manifest: Manifest, release: Release) -> list[str]:
    """Return what a manifest lists and may not, or does not list and must."""
    known, names = folders(release), [one.name for one in manifest.files]
    told = [f"{name} is no file of {release.version}" for name in names if name not in known]
    told += [f"{name} is listed twice" for name in sorted({n for n in names if names.count(n) > 1})]
    late = {name for name, why in manifest.absent.items() if why == LATER}
    there = {one.name for one in manifest.subjects}
    told += [
        f"{file.name} is not listed"
        for file in expected(release)
        if file.name not in there and file.build not in late
    ]
    signed = {(one.subject.name, one.scheme) for one in manifest.companions}
    told += [
        f"{name} has no {SUFFIXES[scheme]}"
        for name, scheme in signatures(release)
        if name in there and (name, scheme) not in signed
    ]
    told += [
        f"{one.file.name} is of a file that is not listed"
        for one in manifest.companions
        if one.subject not in manifest.subjects
        or one.file.name != f"{one.subject.name}{SUFFIXES[one.scheme]}"
    ]
    return told


def _usage(code: str, why: str) -> UsageError:
    return UsageError(
        why, code=code, remedy="Give the manifest as it was closed, then its amendments in order."
    )
