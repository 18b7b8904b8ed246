"""Downloads that GitHub sends to another host: once, without the token, and never further."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from relkit.adapters.rest import Rest
from relkit.adapters.web import Web, chunks, quoted
from relkit.errors import CheckError, WorldError

OK, FOUND, GONE = 200, 302, {404, 410}


class Second:
    """The hosts that `rest` sends downloads to; `web` opens them."""

    def __init__(self, rest: Rest, web: Callable[[str], Web]) -> None:
        self._rest = rest
        self._web = web

    @contextmanager
    def opened(self, path: str, most: int) -> Iterator[Iterator[bytes]]:
        """Yield the content that the API's `path` leads to, at most so many bytes.

        The address carries a signature, and is in no message. Raises `CheckError`
        (``ARTIFACT_GONE``, ``TOO_LARGE``), and what `Rest` raises.
        """
        host, rest = self._lead(path)
        try:
            with self._web(host).request("GET", rest) as response:
                if response.status_code != OK:
                    raise self._rest.error(
                        "FAILED",
                        f"the host of {path} answered {response.status_code}",
                        "Run the step again: the address of a download is good for a minute.",
                    )
                yield _bounded(chunks(response), most, path)
        except WorldError as error:
            if error.code != "SITE_UNREACHABLE":
                raise
            raise self._rest.error(
                "UNREACHABLE",
                f"the download of {path} broke off, or its host does not answer",
                "Run the step again: it begins this file anew.",
            ) from None  # whose words have the signed address

    def _lead(self, path: str) -> tuple[str, str]:
        answer = self._rest.ask("GET", path)
        if answer.status in GONE:
            raise CheckError(
                quoted(f"GitHub does not have it any more: {answer.said}"),
                code="ARTIFACT_GONE",
                remedy="Artifacts and logs expire: begin anew with relkit respin, to build again.",
            )
        if answer.status != FOUND:
            self._rest.get(path)  # which says what is wrong
            raise self._rest.unreadable(answer.said)
        return self._parted(path, answer.headers.get("location", ""))

    def _parted(self, path: str, address: str) -> tuple[str, str]:
        """Return the host's address, and the rest; only https, but for a host of this machine."""
        parts, own = urlsplit(address), urlsplit(self._rest.web.url)
        local = parts.scheme == "http" and parts.hostname == own.hostname == "127.0.0.1"
        if not (local or parts.scheme == "https") or not parts.hostname or "@" in parts.netloc:
            raise self._rest.error(
                "REDIRECT",
                f"{path} leads to {quoted(parts.scheme)}://{quoted(parts.hostname or '')}",
                "Downloads come by https only; see whether the service's address is right.",
            )
        query = f"?{parts.query}" if parts.query else ""
        return f"{parts.scheme}://{parts.netloc}/", parts.path.lstrip("/") + query


def _bounded(parts: Iterator[bytes], most: int, path: str) -> Iterator[bytes]:
    size = 0
    for part in parts:
        size += len(part)
        if size > most:
            raise CheckError(
                f"{path} is larger than {most} bytes",
                code="TOO_LARGE",
                remedy="Look at the run on GitHub: this is not what a build leaves.",
            )
        yield part
