"""An artifact of Azure, from an address that was given by the service: without credentials."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from relkit.adapters.rest import Rest
from relkit.adapters.web import Web, chunks
from relkit.errors import WorldError
from relkit.places import LOOPBACK

MAX_BYTES = 4_000_000_000
MAX_HOPS = 3
GOOD = 200
MOVED = {301, 302, 303, 307, 308}
TIMEOUT_SECONDS = (5.0, 60.0)


def download(
    address: str, target: Path, rest: Rest, *, timeout_seconds: tuple[float, float] | None = None
) -> None:
    """Download a file; `rest` is the service that gave the address.

    It lies on another host, which is told nothing that we sign in with. Raises `WorldError`.
    """
    base = ""
    for _ in range(MAX_HOPS):
        base, path = _split(address, rest)
        web = Web(base, timeout_seconds or TIMEOUT_SECONDS)
        try:
            with web.request("GET", path) as response:
                if response.status_code in MOVED:
                    address = urljoin(address, response.headers.get("Location", ""))
                    continue
                if response.status_code != GOOD:
                    raise _refused(rest, response.status_code, base)
                _keep(chunks(response), target, rest, base)
                return
        except WorldError as error:
            if error.code != "SITE_UNREACHABLE":
                raise
            # The address itself lets anybody in who has it: it stands in no message.
            said = f"the download from {base} broke off or did not begin"
            raise rest.error("UNREACHABLE", said, error.remedy) from None
    raise rest.error("REDIRECT", f"more than {MAX_HOPS} redirects at {base}", "Run it later.")


def _split(address: str, rest: Rest) -> tuple[str, str]:
    """Return the host's address and the rest; refuse all but https (http on this machine)."""
    parts = urlsplit(address)
    here = {parts.hostname, urlsplit(rest.web.url).hostname} <= LOOPBACK
    if not (parts.scheme == "https" or (parts.scheme == "http" and here)) or "@" in parts.netloc:
        said = f"an artifact's address is at {ascii(parts.netloc)[:100]} by {parts.scheme!a}"
        raise rest.unreadable(f"{said[:200]}, not by https")
    path = parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")
    return f"{parts.scheme}://{parts.netloc}/", path


def _refused(rest: Rest, status: int, base: str) -> WorldError:
    said = f"the download from {base} was answered with {status}"
    return rest.error("FAILED", said, "Run it again: the address is good for a short time only.")


def _keep(pieces: Iterable[bytes], target: Path, rest: Rest, base: str) -> None:
    size = 0
    with target.open("wb") as file:
        for piece in pieces:
            size += len(piece)
            if size > MAX_BYTES:
                raise rest.unreadable(f"more than {MAX_BYTES} bytes came from {base}")
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
