"""What a caller trusts, and the signatures that can be verified with it.

Identities are those of the record's policy, whose digest the caller has; the trust root is the
caller's. Keys that lie in the record are only ever used by the fingerprint of the policy.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from relkit.adapters.attest import Attestor
from relkit.adapters.gpg import GpgKeyring
from relkit.adapters.sigstore import trusted_root, verify_bundle
from relkit.errors import UsageError
from relkit.values import Identity, Signed
from relkit.verify_record.verdict import Judged, cannot, refuse

ROOT, KEYS = "trust/trusted_root.json", "trust/gpg-keys.asc"
DIGEST = re.compile(r"[0-9a-f]{64}")
BY_DIGEST = "sha256:"
WITHOUT_ROOT = "TRUST_ROOT_MISSING"


class Trust:
    """Verifies signatures; `wanting` says what could not be verified for lack of something."""

    def __init__(
        self, files: Mapping[str, bytes], policy_sha256: str | None, root: bytes | str | None
    ) -> None:
        """Take what the caller gives; raises `UsageError` (``TRUST_ROOT``, ``POLICY_DIGEST``).

        `root` is the text of a trusted root, or ``sha256:`` with the digest of the record's own.
        """
        if policy_sha256 is not None and not DIGEST.fullmatch(policy_sha256):
            raise _usage("POLICY_DIGEST", f"{policy_sha256[:80]!r} is no SHA-256 of a policy")
        self.policy_sha256 = policy_sha256
        self.wanting: dict[str, None] = {}
        self._files = files
        self._open = ExitStack()
        self._refusal: Judged | None = None
        self._imported: tuple[str, ...] = ()
        self._root = self._read(self._chosen(root))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._open.close()

    def require_root(self) -> None:
        """Raise the judgment that a Sigstore signature cannot be verified, if so."""
        if self._refusal is not None:
            raise self._refusal
        if self._root is None:
            raise cannot(WITHOUT_ROOT, "no trust root was given, and the record's own is not asked")

    def sigstore(self, sha256: str, bundle: bytes, identity: str, issuer: str) -> None:
        """Raise unless a bundle is this identity's, over this digest."""
        self.require_root()
        verify_bundle(self._root, bundle, sha256=sha256, identity=identity, issuer=issuer)

    def gpg(self, data: bytes, signature: bytes, fingerprint: str) -> None:
        """Raise unless a detached signature is this key's, over these bytes."""
        if self._keyring is None:
            raise cannot("GPG_KEYS_MISSING", f"{KEYS} is not in the record")
        self._keyring.verify_bytes(data, signature, fingerprint=fingerprint)

    def verify(self, *, signed: Signed, identity: Identity) -> None:
        """Do what `relkit.decision.Verifier` does; what cannot be verified is noted instead."""
        if signed.scheme == "sigstore" and self._refusal is None and self._root is None:
            self.wanting[WITHOUT_ROOT] = None
        elif signed.scheme == "gpg" and not self._has_key(identity.key):
            self.wanting["GPG_KEYS_MISSING"] = None
        else:
            attestor = Attestor(gpg=self._keyring_of(signed), sigstore=self.sigstore)
            attestor.verify(signed=signed, identity=identity)

    def _has_key(self, fingerprint: str) -> bool:
        return self._keyring is not None and fingerprint in self._imported

    def _keyring_of(self, signed: Signed) -> GpgKeyring | None:
        return self._keyring if signed.scheme == "gpg" else None

    @cached_property
    def _keyring(self) -> GpgKeyring | None:
        """Return a home with the record's keys alone, made for this and removed again."""
        keys = self._files.get(KEYS)
        if keys is None:
            return None
        folder = self._open.enter_context(tempfile.TemporaryDirectory(prefix="relkit-"))
        home = self._open.enter_context(GpgKeyring(Path(folder) / "gnupg"))
        self._imported = home.import_keys(keys.decode("ascii", "replace"))
        return home

    def _chosen(self, root: bytes | str | None) -> bytes | None:
        if not isinstance(root, str):
            return root
        wanted = root.removeprefix(BY_DIGEST)
        if not root.startswith(BY_DIGEST) or not DIGEST.fullmatch(wanted):
            raise _usage("TRUST_ROOT", f"{root[:80]!r} is no digest such as sha256:…")
        data = self._files.get(ROOT)
        if data is None:
            return None
        if (found := hashlib.sha256(data).hexdigest()) != wanted:
            why = f"{ROOT} of the record has the SHA-256 {found}, trusted is {wanted}"
            self._refusal = refuse("TRUST_ROOT_FROM_PACK", why)
            return None
        return data

    def _read(self, root: bytes | None) -> Any:  # noqa: ANN401 (the client's own type)
        if root is None:
            return None
        try:
            return trusted_root(root)
        except Exception as error:  # whatever the client makes of a file that is none
            raise _usage(
                "TRUST_ROOT", f"this is no trusted root: {type(error).__name__}"
            ) from error


def _usage(code: str, why: str) -> UsageError:
    return UsageError(
        why,
        code=code,
        remedy="Give what you have from elsewhere than this record: VERIFY.md says what it is.",
    )
