"""The services of a Sigstore instance, through the client's own classes, with an end to waiting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from sigstore.models import ClientTrustConfig
from sigstore.sign import SigningContext

if TYPE_CHECKING:
    from sigstore._internal.rekor import RekorLogSubmitter

TIMEOUT_SECONDS = 60.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _Patient(HTTPAdapter):
    """Gives up on a silent service, where the client would wait for ever; no proxy for loopback."""

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,  # noqa: FBT001, FBT002
        cert: str | bytes | tuple[str | bytes, str | bytes] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        host = urlsplit(request.url or "").hostname
        return super().send(
            request,
            stream=stream,
            timeout=timeout or TIMEOUT_SECONDS,
            verify=verify,
            cert=cert,
            proxies=None if host in LOOPBACK else proxies,
        )


class _Log:
    """The log's client, patient in each thread: it keeps a session for every one of them."""

    def __init__(self, client: RekorLogSubmitter) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever the client has)
        return getattr(self._client, name)

    def create_entry(self, request: Any) -> Any:  # noqa: ANN401 (types of the client)
        _make_patient(self._client._session)  # type: ignore[attr-defined]  # noqa: SLF001 (the only way to set a timeout)
        return self._client.create_entry(request)


def _make_patient(session: requests.Session) -> None:
    for scheme in "http://", "https://":
        if not isinstance(session.get_adapter(scheme), _Patient):
            session.mount(scheme, _Patient())


def signing_context(config: ClientTrustConfig) -> SigningContext:
    """Return the services of an instance, all of them with patience that ends."""
    services = config.signing_config
    fulcio = services.get_fulcio()
    _make_patient(fulcio.session)
    return SigningContext(
        fulcio=fulcio,
        rekor=cast("RekorLogSubmitter", _Log(services.get_tlogs()[0])),
        trusted_root=config.trusted_root,
        tsa_clients=services.get_tsas(),
    )
