"""Signing what people say, and verifying it: with SSH, GPG or Sigstore."""

from __future__ import annotations

import hashlib
import tempfile
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from relkit.adapters import ssh
from relkit.adapters.gpg import SUFFIX as ASC
from relkit.adapters.gpg import GpgKeyring, GpgSigner
from relkit.adapters.sigstore import SUFFIX as BUNDLE
from relkit.adapters.sigstore import SigstoreSigner, trusted_root, verify_bundle
from relkit.adapters.sigstore_instance import Instance
from relkit.decision import NAMESPACE
from relkit.errors import VerificationError, WorldError
from relkit.values import Identity, Signed

SigstoreVerify = Callable[[str, bytes, str, str], None]
"""Raises `VerificationError` unless a bundle is by an identity of an issuer over a SHA-256."""


@dataclass(frozen=True)
class Attestor:
    """`relkit.ports.Attestations`.

    `keys` are the SSH keys of the people who sit here, by name: private, or public ones that an
    agent has; `gpg_keys` has those who sign with GPG, whose agent has their keys. `gpg` has
    exactly the keys of the policy; `sigstore` knows the trust root (`sigstore_verifier`).
    """

    keys: Mapping[str, Path] = field(default_factory=dict)
    gpg_keys: Mapping[str, GpgSigner] = field(default_factory=dict)
    gpg: GpgKeyring | None = None
    sigstore: SigstoreVerify | None = None

    def sign(self, *, who: str, text: str) -> Signed:
        """Sign with the key of a person; raises `WorldError` (``NO_KEY``, ``SSH_…``, ``GPG_…``)."""
        if who in self.gpg_keys:
            return sign_with_gpg(text, self.gpg_keys[who])
        if who not in self.keys:
            raise WorldError(
                f"there is no key here to sign as {who}",
                code="NO_KEY",
                remedy="Name this person's key in the world, or let the person answer elsewhere.",
            )
        signature = ssh.sign(text, key=self.keys[who], namespace=NAMESPACE)
        return Signed(scheme="ssh", text=text, signature=signature)

    def verify(self, *, signed: Signed, identity: Identity) -> None:
        """Raise `VerificationError` unless exactly this identity signed exactly this text.

        ``CANNOT_VERIFY`` where nothing here can verify that scheme.
        """
        if signed.scheme != identity.scheme:
            raise _cannot(f"a {signed.scheme} signature is not {identity.scheme}")
        try:
            data, signature = signed.text.encode(), signed.signature.encode()
        except UnicodeEncodeError as error:
            raise _cannot("it is no Unicode text") from error
        match identity.scheme:
            case "ssh":
                ssh.verify(signed.text, signed.signature, key=identity.key, namespace=NAMESPACE)
            case "gpg" if self.gpg is not None:
                self.gpg.verify_bytes(data, signature, fingerprint=identity.key)
            case "sigstore" if self.sigstore is not None:
                sha256 = hashlib.sha256(data).hexdigest()
                self.sigstore(sha256, signature, identity.key, identity.issuer)
            case scheme:
                raise _cannot(f"nothing here verifies {scheme} signatures")


def sigstore_verifier(root: str) -> SigstoreVerify:
    """Return what verifies bundles with a trusted root, given as its JSON; uses no network."""
    return partial(_verify_bundle, root)


def _verify_bundle(root: str, sha256: str, bundle: bytes, identity: str, issuer: str) -> None:
    verify_bundle(trusted_root(root), bundle, sha256=sha256, identity=identity, issuer=issuer)


def sign_with_ssh(text: str, key: Path) -> Signed:
    """Sign with an SSH key, private or the public half of one in the agent; verify that.

    The public half lies beside a private key as ``.pub``, as OpenSSH keeps it. Raises `WorldError`
    (``SSH_…``), `VerificationError`.
    """
    public = ssh.public_key(key if key.suffix == ".pub" else Path(f"{key}.pub"))
    signature = ssh.sign(text, key=key, namespace=NAMESPACE)
    ssh.verify(text, signature, key=public, namespace=NAMESPACE)
    return Signed(scheme="ssh", text=text, signature=signature)


def sign_with_gpg(text: str, signer: GpgSigner) -> Signed:
    """Sign with the key of a GPG home; `signer` verifies that. Raises what it raises."""
    return Signed(scheme="gpg", text=text, signature=_beside(text, signer, ASC))


def sign_with_sigstore(text: str, signer: SigstoreSigner) -> Signed:
    """Sign as a Sigstore identity; `signer` verifies that. Raises what it raises."""
    return Signed(scheme="sigstore", text=text, signature=_beside(text, signer, BUNDLE))


def _beside(text: str, signer: GpgSigner | SigstoreSigner, suffix: str) -> str:
    """Have a text signed as the file it is for a while; return what the signer puts beside it."""
    with tempfile.TemporaryDirectory(prefix="relkit-") as folder:
        file = Path(folder) / "text"
        file.write_bytes(text.encode())
        signer.sign(file)
        return file.with_name(f"{file.name}{suffix}").read_text(encoding="utf-8")


def sign_with_own_gpg(text: str, home: Path, fingerprint: str) -> Signed:
    """Sign with a key of a person's own GPG home, whose agent goes on afterwards.

    Raises `WorldError` (``GPG_…``), `VerificationError`.
    """
    if not home.is_dir():  # opening it would make it
        raise WorldError(
            f"there is no GPG home {home.name}",
            code="GPG_HOME",
            remedy="Name it: --gpg-home FOLDER.",
        )
    signer = GpgSigner(home, fingerprint)
    if isinstance(signer.close, weakref.finalize):
        signer.close.detach()
    return sign_with_gpg(text, signer)


def sign_with_public_sigstore(text: str) -> Signed:
    """Sign as a Sigstore identity of the public instance; the signature is public for ever.

    The token is that of the surroundings (such as a workflow's) or one that the person logs in for,
    in a browser; it is not kept. Raises `WorldError` (``SIGSTORE_…``), `VerificationError`.
    """
    public = Instance()
    token = public.token()
    with SigstoreSigner(
        trust_config=public.config,
        identity=token.identity,
        issuer=token.federated_issuer,
        token=lambda: token,
    ) as signer:
        return sign_with_sigstore(text, signer)


def _cannot(why: str) -> VerificationError:
    return VerificationError(
        why, code="CANNOT_VERIFY", remedy="Look at the world's keys and trust root."
    )
