"""Signing as somebody of a rehearsal, with its own Sigstore instance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken

from relkit.adapters.sigstore import SigstoreSigner
from relkit.errors import UsageError
from relkit.rehearsal.sigstore import ISSUER, LoopbackSigstore


@contextmanager
def loopback(state: Path, identity: str) -> Iterator[SigstoreSigner]:
    """Yield what signs as an identity, by the instance of the world in `state`.

    Raises `UsageError` (``SIGSTORE_REHEARSAL``) where there is none: what is decided in a
    rehearsal is not written into the public log.
    """
    folder = state / "sigstore"
    if not identity or not folder.is_dir():
        missing = "no Sigstore instance beside the request" if identity else "no identity given"
        raise UsageError(
            f"this is a rehearsal, and there is {missing}",
            code="SIGSTORE_REHEARSAL",
            remedy="Give --sigstore IDENTITY where the rehearsal's world is, or sign with --key.",
        )
    with (
        LoopbackSigstore(folder) as instance,
        SigstoreSigner(
            trust_config=lambda: ClientTrustConfig.from_json(instance.trust_config()),
            identity=identity,
            issuer=ISSUER,
            token=lambda: IdentityToken(instance.mint(identity)),
        ) as signer,
    ):
        yield signer
