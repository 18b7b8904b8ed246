"""Which Sigstore: the public one, its staging, or one given by its trust configuration."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken, Issuer, detect_credential

from relkit.errors import WorldError

PRODUCTION, STAGING = "production", "staging"


class Instance:
    """A Sigstore instance: ``production``, ``staging``, or the path of a trust configuration.

    The public ones are asked over the network for their newest keys, once in each process.
    """

    def __init__(self, trust: str = PRODUCTION) -> None:
        self._trust = trust

    def config(self) -> ClientTrustConfig:
        """Return its services and keys. Raises `WorldError` (``SIGSTORE_TRUST``)."""
        return self._config

    @cached_property
    def _config(self) -> ClientTrustConfig:
        try:
            if self._trust == PRODUCTION:
                return ClientTrustConfig.production()
            if self._trust == STAGING:
                return ClientTrustConfig.staging()
            text = Path(self._trust).expanduser().read_text(encoding="utf-8")
            return ClientTrustConfig.from_json(text)
        except Exception as error:  # the client's errors have no common class
            raise WorldError(
                f"the Sigstore instance {self._trust} cannot be known: {type(error).__name__}",
                code="SIGSTORE_TRUST",
                remedy="Is the network there? A trust configuration is given by its file's path.",
            ) from error

    def trusted_root(self) -> str:
        """Return what verifies its signatures offline, as JSON."""
        return str(self.config()._inner.trusted_root.to_json())  # noqa: SLF001 (no public way to it)

    def token(self) -> IdentityToken:
        """Return who is here: the surroundings say so, or a person logs in, in a browser.

        It is not kept. Raises `WorldError` (``SIGSTORE_TOKEN``).
        """
        try:
            given = detect_credential()
            issuer = self.config().signing_config.get_oidc_url()
            return IdentityToken(given) if given else Issuer(issuer).identity_token()
        except WorldError:
            raise
        except Exception as error:  # the client's errors have no common class; some quote the token
            raise WorldError(
                f"there is no identity token ({type(error).__name__})",
                code="SIGSTORE_TOKEN",
                remedy="Log in when the browser asks; is the network there?",
            ) from error
