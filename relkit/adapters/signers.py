"""Signing collected files as the release manager, and verifying against the policy."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from relkit.adapters import gpg as gpg_adapter
from relkit.adapters import sigstore as sigstore_adapter
from relkit.adapters.gpg import GpgSigner
from relkit.adapters.sigstore import SigstoreSigner
from relkit.adapters.subjects import Subject, digest_changed, opened, read_signature
from relkit.adapters.superseded import put_aside
from relkit.errors import CheckError, ReleaseError, UsageError, VerificationError, WorldError
from relkit.values import Artifact, Companion, FileName, Signing

Scheme = Literal["sigstore", "gpg"]
SUFFIXES: dict[Scheme, str] = {
    "sigstore": sigstore_adapter.SUFFIX,
    "gpg": gpg_adapter.SUFFIX,
}
"""What each scheme appends to the name of the file it signs."""

_logger = logging.getLogger(__name__)
_names: TypeAdapter[str] = TypeAdapter(FileName)


@dataclass(frozen=True, kw_only=True)
class LocalSigners:
    """Signs the files in `folder` and keeps each signature beside its file.

    `identity` and `issuer` (for Sigstore) and `fingerprint` (for GPG: full, primary) are the
    policy's; a signer who is somebody else is refused. `gpg` is None where nothing is signed
    with it.
    """

    folder: Path
    sigstore: SigstoreSigner
    gpg: GpgSigner | None
    identity: str
    issuer: str
    fingerprint: str
    trusted: Callable[[], dict[str, str]] = dict
    """What verifies all these signatures and those of tags, by file name (see `trust`)."""
    tags: GpgSigner | None = None
    """The key that signs tags, where it signs no files."""

    def usable(self) -> tuple[Signing, ...]:
        """Say as whom each scheme would sign, or why it cannot.

        For Sigstore a token is asked for, and nothing is logged; GPG signs a few bytes.
        """
        tools = [_rehearsed("sigstore", self._sigstore_identity)]
        if (key := self.gpg or self.tags) is not None:
            tools.append(_rehearsed("gpg", partial(self._gpg_identity, key)))
        return tuple(tools)

    def sign(self, *, scheme: str, name: str, sha256: str) -> None:
        """Sign a file with this digest; a good signature that is there is kept.

        Raises `CheckError` (``ARTIFACT_MISSING``, ``DIGEST_CHANGED``) before any signer is asked,
        `WorldError` (``SIGSTORE_…``, ``GPG_…``, ``SIGNER_NOT_IN_POLICY``), `VerificationError`.
        """
        known, path = _scheme(scheme), self._path(name)
        if self.companion(scheme=scheme, name=name, sha256=sha256) is not None:
            return
        self._require_policy(known)
        if known == "sigstore":
            self.sigstore.sign(path, sha256)
        else:
            self._gpg.sign(path, sha256)

    def sign_all(self, *, scheme: str, files: tuple[Artifact, ...]) -> None:
        """Sign files as `sign` does each; good signatures that are there are kept.

        With Sigstore several at a time, under one certificate. All files have the digests that
        are given, or no signer is asked. What is raised names the files that are signed.
        """
        known = _scheme(scheme)
        paths = {one.name: (self._path(one.name), one.sha256) for one in files}
        lacking = [one.name for one in self._lacking(known, files)]
        for name in lacking:
            with opened(*paths[name]):
                pass
        if lacking:
            self._require_policy(known)
        try:
            if known == "sigstore":
                self.sigstore.sign_all([paths[name] for name in lacking])
            else:
                for name in lacking:
                    self._gpg.sign(*paths[name])
        except ReleaseError as error:
            raise self._half(error, known, files) from error

    def companions(self, *, scheme: str, files: tuple[Artifact, ...]) -> tuple[Companion, ...]:
        """Return the good signature of each file; none at all if one of them has none."""
        found = [self.companion(scheme=scheme, name=x.name, sha256=x.sha256) for x in files]
        good = tuple(one for one in found if one is not None)
        return good if len(good) == len(files) else ()

    def forget_all(self, *, scheme: str, files: tuple[Artifact, ...]) -> None:
        """Put the signatures of files aside as `forget` does each."""
        for one in files:
            self.forget(scheme=scheme, name=one.name)

    def companion(self, *, scheme: str, name: str, sha256: str) -> Companion | None:
        """Return the signature of exactly this digest by the policy's identity, or None."""
        known, path = _scheme(scheme), self._path(name)
        beside = path.with_name(name + SUFFIXES[known])
        signature = read_signature(beside)
        if signature is None:
            return None
        try:
            with opened(path, sha256) as subject:
                self._verify(known, name, subject, signature)
                return self._companion(known, beside.name, signature, name, subject)
        except (CheckError, VerificationError) as error:
            _logger.info("%s does not count: %s", beside.name, error)
            return None

    def forget(self, *, scheme: str, name: str) -> None:
        """Put the signature of a file aside as ``superseded/<its name>.<n>``; none is fine.

        What a transparency log holds stays there: it says what was signed, not what is released.
        """
        known, path = _scheme(scheme), self._path(name)
        put_aside(path.with_name(name + SUFFIXES[known]))

    def trust(self) -> dict[str, str]:
        """Return ``trusted_root.json`` and ``gpg-keys.asc``, as far as there are such."""
        return self.trusted()

    def _verify(self, scheme: Scheme, name: str, subject: Subject, signature: bytes) -> None:
        if scheme == "sigstore":
            self.sigstore.verify_digest(
                subject.sha256, signature, identity=self.identity, issuer=self.issuer
            )
            return
        data = subject.handle.read()
        found = hashlib.sha256(data).hexdigest()
        if found != subject.sha256:  # written to since it was hashed
            raise digest_changed(name, found, subject.sha256)
        self._gpg.verify_bytes(data, signature, fingerprint=self.fingerprint)

    def _lacking(self, scheme: Scheme, files: tuple[Artifact, ...]) -> list[Artifact]:
        return [x for x in files if not self.companions(scheme=scheme, files=(x,))]

    def _half(
        self, error: ReleaseError, scheme: Scheme, files: tuple[Artifact, ...]
    ) -> ReleaseError:
        """Return an error that also says which files are signed by now."""
        lacking = self._lacking(scheme, files)
        done = ", ".join(one.name for one in files if one not in lacking) or "none"
        said = str(error).removeprefix(f"{error.code}: ")
        return type(error)(
            f"{said} (of {len(files)} files these are signed: {done})",
            code=error.code,
            remedy=error.remedy,
        )

    def _companion(
        self, scheme: Scheme, file: str, signature: bytes, name: str, subject: Subject
    ) -> Companion:
        sigstore = scheme == "sigstore"
        return Companion(
            scheme=scheme,
            file=Artifact(
                name=file, size=len(signature), sha256=hashlib.sha256(signature).hexdigest()
            ),
            subject=Artifact(name=name, size=subject.size, sha256=subject.sha256),
            identity=self.identity if sigstore else self.fingerprint,
            issuer=self.issuer if sigstore else "",
        )

    def _require_policy(self, scheme: Scheme) -> None:
        """Refuse a signer whose signatures the policy would not accept."""
        if scheme == "sigstore":
            signer = f"{self.sigstore.identity} ({self.sigstore.issuer})"
            expected = f"{self.identity} ({self.issuer})"
        else:
            signer, expected = (self.gpg or self.tags or self._gpg).fingerprint, self.fingerprint
        if signer != expected:
            raise WorldError(
                f"{scheme} would sign as {signer}; the policy names {expected}",
                code="SIGNER_NOT_IN_POLICY",
                remedy="Sign as the release manager of the policy.",
            )

    def _sigstore_identity(self) -> str:
        self._require_policy("sigstore")
        self.sigstore.check_token()
        return f"{self.identity} ({self.issuer})"

    def _gpg_identity(self, key: GpgSigner) -> str:
        self._require_policy("gpg")
        key.rehearse()
        return self.fingerprint

    @property
    def _gpg(self) -> GpgSigner:
        if self.gpg is None:
            raise WorldError(
                "this world has no GPG key",
                code="GPG_MISSING",
                remedy="Name a GPG key in the world's description, or sign with Sigstore only.",
            )
        return self.gpg

    def _path(self, name: str) -> Path:
        try:
            return self.folder / _names.validate_python(name)
        except ValidationError as error:
            raise UsageError(
                f"{name[:60]!r} is not the name of an artifact",
                code="BAD_NAME",
                remedy="Give a file name of the manifest, without a folder.",
            ) from error


def _scheme(text: str) -> Scheme:
    for scheme in SUFFIXES:
        if text == scheme:
            return scheme
    raise UsageError(
        f"{text[:40]!r} is not a signing scheme",
        code="SCHEME_UNKNOWN",
        remedy=f"Use one of {', '.join(SUFFIXES)}.",
    )


def _rehearsed(name: str, who: Callable[[], str]) -> Signing:
    try:
        return Signing(name=name, version=who())
    except ReleaseError as error:
        return Signing(name=name, version=None, why=str(error).splitlines()[0])
