"""The trust of whoever compares a release: signatures of files, and of the tag."""

from __future__ import annotations

from pathlib import Path

from relkit.verify_record.trust import Trust
from relkit.verify_record.verdict import cannot


class ReleaseTrust(Trust):
    """Verifies with what the caller trusts; what is lacking is said in the caller's words."""

    def require_root(self) -> None:
        """Raise the judgment that a Sigstore signature cannot be verified, if so."""
        if self._refusal is None and self._root is None:
            raise cannot("TRUST_ROOT_MISSING", "no trust root was given: --trust-root")
        super().require_root()

    def gpg(self, data: bytes, signature: bytes, fingerprint: str) -> None:
        """Raise unless a detached signature is this key's, over these bytes."""
        self.gpg_home()
        super().gpg(data, signature, fingerprint)

    def gpg_home(self) -> Path:
        """Return the home with the keys that were given, for git; there is no other key in it."""
        if self._keyring is None:
            raise cannot("GPG_KEYS_MISSING", "no public keys were given: --keys")
        return self._keyring.homedir
