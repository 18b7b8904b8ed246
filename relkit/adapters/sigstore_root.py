"""Sigstore's own trusted root, as the sigstore package brings it: nothing is asked of a network."""

from __future__ import annotations

import logging

from sigstore.models import ClientTrustConfig


def production_root() -> bytes:
    """Return the trusted root of Sigstore's public instance, as JSON.

    It is as old as the package; signatures by keys that came later need a newer one.
    """
    logging.getLogger("sigstore._internal.tuf").setLevel(logging.ERROR)  # it warns of being offline
    config = ClientTrustConfig.production(offline=True)
    text: str = config.trusted_root._inner.to_json()  # noqa: SLF001 (there is no other way to its text)
    return text.encode()
