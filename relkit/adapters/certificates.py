"""Until when the certificate of a server is good."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime
from urllib.parse import urlsplit

from relkit.errors import WorldError

TIMEOUT_SECONDS = 10.0


def good_until(url: str, context: ssl.SSLContext | None = None) -> datetime:
    """Return when the certificate ends that the host of an address shows.

    Raises `WorldError` (``CERTIFICATE``, ``SITE_UNREACHABLE``); a proxy is not gone through.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    context = context or ssl.create_default_context()
    try:
        with (
            socket.create_connection((host, parts.port or 443), TIMEOUT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as shown,
        ):
            end = str((shown.getpeercert() or {})["notAfter"])
    except ssl.SSLError as error:
        raise WorldError(
            f"the certificate of {host} is not good: {getattr(error, 'verify_message', error)}",
            code="CERTIFICATE",
            remedy="Look at the clock of this machine; else tell whoever keeps the server.",
        ) from error
    except OSError as error:
        raise WorldError(
            f"{host} does not answer: {error.strerror or error}",
            code="SITE_UNREACHABLE",
            remedy="Look whether the site can be reached, then run this again.",
        ) from error
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(end), UTC)
