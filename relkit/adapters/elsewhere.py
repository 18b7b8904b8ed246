"""Content that a service keeps on another host, to which it leads: fetched by https only.

That host is told nothing that we sign in with. The address lets anybody in who has it, for a
while: it stands in no message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from relkit.adapters.rest import MOVED, Rest
from relkit.adapters.web import Web, chunks
from relkit.errors import CheckError, WorldError
from relkit.places import LOOPBACK

MAX_BYTES = 4_000_000_000
MAX_HOPS = 3
GOOD = 200
AGAIN = "Run the step again: it begins this file anew, and the address is good for a short time."

Opener = Callable[[str], Web]
"""Opens a host by its address."""


@contextmanager
def opened(
    address: str, rest: Rest, *, most: int = MAX_BYTES, web: Opener = Web
) -> Iterator[Iterator[bytes]]:
    """Yield the content at an address, at most so many bytes; `rest` is the service that gave it.

    Raises `CheckError` (``TOO_LARGE``) and `WorldError`.
    """
    host = ""
    for _ in range(MAX_HOPS):
        host, path = _split(address, rest)
        try:
            with web(host).request("GET", path) as response:
                if response.status_code in MOVED:
                    address = urljoin(address, response.headers.get("Location", ""))
                    continue
                if response.status_code != GOOD:
                    said = f"the download from {host} was answered with {response.status_code}"
                    raise rest.error("FAILED", f"{said}; nothing of it was kept", AGAIN)
                yield _bounded(chunks(response), most, host)
                return
        except WorldError as error:
            if error.code != "SITE_UNREACHABLE":
                raise
            said = f"the download from {host} broke off or did not begin; nothing of it was kept"
            raise rest.error("UNREACHABLE", said, AGAIN) from None  # whose words have the address
    raise rest.error("REDIRECT", f"more than {MAX_HOPS} redirects at {host}", "Run it later.")


def download(
    address: str, target: Path, rest: Rest, *, most: int = MAX_BYTES, web: Opener = Web
) -> tuple[int, str]:
    """Download a file; return its size and SHA-256. Raises what `opened` raises."""
    digest, size = hashlib.sha256(), 0
    with opened(address, rest, most=most, web=web) as parts, target.open("wb") as file:
        for part in parts:
            digest.update(part)
            size += file.write(part)
    return size, digest.hexdigest()


def _split(address: str, rest: Rest) -> tuple[str, str]:
    """Return the host's address and the rest; refuse all but https (http on this machine)."""
    try:
        parts = urlsplit(address)
        here = {parts.hostname, urlsplit(rest.web.url).hostname} <= LOOPBACK
    except ValueError:
        raise rest.unreadable("it leads to what is no address") from None
    plain = parts.scheme == "https" or (parts.scheme == "http" and here)
    if not plain or not parts.hostname or "@" in parts.netloc:
        said = f"it leads to {ascii(parts.netloc)[:100]} by {parts.scheme!a}"
        raise rest.unreadable(f"{said[:200]}, not by https")
    path = parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")
    return f"{parts.scheme}://{parts.netloc}/", path


def _bounded(parts: Iterable[bytes], most: int, host: str) -> Iterator[bytes]:
    size = 0
    for part in parts:
        size += len(part)
        if size > most:
            raise CheckError(
                f"more than {most} bytes came from {host}; nothing of it was kept",
                code="TOO_LARGE",
                remedy="Look at the run in a browser: this is not what a build leaves.",
            )
        yield part
