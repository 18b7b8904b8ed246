"""Signing and verifying with GPG, through python-gnupg.

Signatures are accepted by the full primary fingerprint (40 hexadecimal digits, upper case) and
nothing less, and only from a home that holds no other keys than those meant.
"""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from relkit.adapters.gpg_home import VERIFYING, GpgHome, gpg_refused, make_throwaway_key
from relkit.adapters.subjects import digest_changed, opened, read_signature, write_signature
from relkit.errors import VerificationError

__all__ = ["SUFFIX", "GpgHome", "GpgKeyring", "GpgSigner", "make_throwaway_key"]

SUFFIX = ".asc"
STRONG_HASHES = ("8", "9", "10")  # SHA-256, SHA-384, SHA-512 (RFC 4880, 9.4)
LAST = 1 << 62
"""Later than any key's end: for one that has none."""
BINARY = "00"  # a signature of the bytes; others are of text, its line ends made equal
VALIDSIG = re.compile(
    r"^\[GNUPG:\] VALIDSIG (?:\S+ ){7}(?P<hash>\d+) (?P<kind>\S+) [0-9A-F]{40}$",
    flags=re.MULTILINE,
)


class GpgKeyring(GpgHome):
    """A home whose keys verify signatures."""

    def verify(self, path: Path, signature: Path, *, fingerprint: str) -> None:
        """Raise unless the signature file is this key's, of the file as it is now."""
        found = read_signature(signature)
        if found is None:
            raise _invalid(f"there is no {signature.name}")
        with opened(path) as subject:
            self.verify_bytes(subject.handle.read(), found, fingerprint=fingerprint)

    def verify_bytes(self, data: bytes, signature: bytes, *, fingerprint: str) -> None:
        """Raise unless there is one good signature, of these bytes, by this primary key.

        Raises `VerificationError`: ``GPG_INVALID``, ``GPG_COUNT`` (several signatures),
        ``GPG_KEY`` (another key), ``GPG_WEAK`` (over SHA-1, or over text).
        """
        with tempfile.NamedTemporaryFile(prefix=VERIFYING, dir=self.homedir) as file:
            file.write(signature)
            file.flush()
            try:
                found = self.program.verify_data(file.name, data)
            except BrokenPipeError as error:  # gpg knew before it had read the file
                raise _invalid("it is no detached signature") from error
        # One signature given twice has one entry in `sig_info`.
        if found.stderr.count("[GNUPG:] NEWSIG") > 1 or len(found.sig_info) > 1:
            raise _invalid("it holds several signatures", code="GPG_COUNT")
        if not found.valid or found.problems or found.returncode or not found.sig_info:
            reasons = [problem["status"] for problem in found.problems] or [found.status]
            raise _invalid(str(reasons[-1]))  # the first may be as vague as gpg's ERRSIG
        if found.pubkey_fingerprint != fingerprint:
            raise _invalid(f"made by {found.pubkey_fingerprint}, not {fingerprint}", code="GPG_KEY")
        made = VALIDSIG.search(found.stderr)
        if not made or made["hash"] not in STRONG_HASHES or made["kind"] != BINARY:
            raise _invalid("not over SHA-256 (or better) of the bytes", code="GPG_WEAK")


class GpgSigner(GpgKeyring):
    """Signs with one key of a home, given by its full primary fingerprint."""

    def __init__(self, home: Path, fingerprint: str) -> None:
        super().__init__(home)
        self.fingerprint = fingerprint

    def sign(self, path: Path, sha256: str | None = None) -> None:
        """Write the signature `<name>.asc` beside a file, verified as it was written.

        The file is read through one handle, and what gpg got is hashed on its way: a file that
        changes meanwhile, or with `sha256` has another digest, is refused and nothing is kept.
        Raises `CheckError` (``ARTIFACT_MISSING``, ``DIGEST_CHANGED``), `WorldError`
        (``GPG_REFUSED``), `VerificationError`.
        """
        with opened(path, sha256) as subject:
            signature = self._sign(path.name, subject.handle, subject.sha256)
            subject.handle.seek(0)
            data = subject.handle.read()
        verify = partial(self.verify_bytes, data, fingerprint=self.fingerprint)
        write_signature(path.with_name(path.name + SUFFIX), signature, verify)

    def rehearse(self) -> None:
        """Sign and verify a few bytes; raise what `sign` would."""
        data = b"relkit can sign"
        signature = self._sign("a rehearsal", io.BytesIO(data), hashlib.sha256(data).hexdigest())
        self.verify_bytes(data, signature, fingerprint=self.fingerprint)

    def expires(self) -> datetime | None:
        """Return when the key, or the last of those it signs with, is no good any more (UTC)."""
        found = self.program.list_keys(True, keys=self.fingerprint)  # noqa: FBT003 (its own form)
        if not found:
            raise gpg_refused("GPG_KEY", f"there is no secret key {self.fingerprint}", "")
        parts = [found[0], *found[0].get("subkey_info", {}).values()]
        ends = [int(one["expires"] or LAST) for one in parts if "s" in one["cap"]]
        end = min(int(found[0]["expires"] or LAST), max(ends, default=LAST))
        return None if end == LAST else datetime.fromtimestamp(end, UTC)

    def export_public(self) -> str:
        """Return the public key, armored."""
        text = self.program.export_keys(self.fingerprint)
        if not text:
            raise gpg_refused("GPG_KEY", f"there is no key {self.fingerprint}", "")
        return str(text)

    def _sign(self, name: str, data: io.BufferedIOBase, sha256: str) -> bytes:
        # A handle, as a path may be signed cut off; and not `keyid=`, which falls back to
        # another key.
        reader = _Hashing(data)
        who = ["--local-user", self.fingerprint]
        made = self.program.sign_file(reader, detach=True, extra_args=who)
        if made.returncode or made.status != "signature created":
            raise gpg_refused("GPG_REFUSED", f"{name} was not signed", made.stderr)
        if reader.digest() != sha256:
            raise digest_changed(name, reader.digest(), sha256)
        return bytes(made.data)


class _Hashing:
    """A handle that keeps the digest of what was read from it."""

    def __init__(self, handle: io.BufferedIOBase) -> None:
        self._handle = handle
        self._hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._handle.read(size)
        self._hash.update(data)
        return data

    def digest(self) -> str:
        return self._hash.hexdigest()


def _invalid(reason: str, code: str = "GPG_INVALID") -> VerificationError:
    return VerificationError(
        f"the GPG signature is not a good one of this file: {reason}",
        code=code,
        remedy="Sign the file again with the key of the policy.",
    )
