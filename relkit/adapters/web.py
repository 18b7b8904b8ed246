"""HTTP as all adapters of the site use it: no redirects, no retries, limits, no environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, NameResolutionError, ReadTimeoutError

from relkit.errors import UsageError, WorldError

TIMEOUT_SECONDS = (5.0, 60.0)
"""To connect, and between two packets."""
MAX_TEXT_BYTES = 4_000_000
MAX_TEXT_SECONDS = 300.0
"""A text that comes a byte at a time never takes too long between two packets."""
MAX_SAID = 300
CHUNK_BYTES = 256 * 1024
READS = ("GET", "HEAD")


class Web:
    """Requests to one site, whose address ends with a slash here whether it was given so or not.

    Proxies, certificates and passwords which the environment or ``~/.netrc`` name are not used.
    """

    def __init__(self, url: str, timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS) -> None:
        if "@" in urlsplit(url).netloc:
            raise UsageError(
                "the address of a site carries a user or password, which would stand in the record",
                code="BAD_URL",
                remedy="Give the address alone; tokens are asked for where they are needed.",
            )
        self.url = url.rstrip("/") + "/"
        self._timeout = timeout_seconds
        self._session = requests.Session()
        self._session.trust_env = False
        # Sizes and digests are of the file as it lies on the server, so nothing is compressed.
        self._session.headers.update({"User-Agent": "relkit", "Accept-Encoding": "identity"})

    @contextmanager
    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        form: Mapping[str, str] | None = None,
    ) -> Iterator[requests.Response]:
        """Ask once; the body is read in the `with` block. `path` has no slash at its start.

        Raises `WorldError` (``SITE_UNREACHABLE``) also if the answer breaks off in the block.
        """
        try:
            with self._session.request(
                method,
                self.url + path,
                headers=headers,
                json=json,
                data=form,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                yield response
        except (requests.RequestException, HTTPError) as error:
            # The text of the error itself would only add addresses of objects in memory.
            reason = _reason(error)
            seen = "; how it stands there is not known" if method in READS else ""
            raise WorldError(
                f"{method} {self.url}{path}: {reason} ({type(error).__name__}){seen}",
                code="SITE_UNREACHABLE",
                remedy="Look whether the site can be reached, then run this again.",
            ) from error


def _reason(error: Exception) -> str:
    """Return in words why there was no answer."""
    if isinstance(error, requests.Timeout | ReadTimeoutError):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "no connection that can be trusted (TLS)"
    named = isinstance(getattr(next(iter(error.args), None), "reason", None), NameResolutionError)
    return "its name leads to no address (DNS)" if named else "no answer"


def chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield the body as it comes, so that a deadline is met even if little comes at a time.

    A body shorter than the site announced is an error of urllib3.
    """
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        yield chunk


def body(response: requests.Response, limit: int = MAX_TEXT_BYTES) -> bytes:
    """Return the whole body, or raise `WorldError` (``TOO_LARGE``, ``SITE_UNREACHABLE``)."""
    content, end = bytearray(), monotonic() + MAX_TEXT_SECONDS
    for chunk in chunks(response):
        content += chunk
        if len(content) > limit:
            raise WorldError(
                f"{response.url} is larger than {limit} bytes",
                code="TOO_LARGE",
                remedy="Look at the address in a browser; this is not the text expected there.",
            )
        if monotonic() > end:
            raise WorldError(
                f"{response.url} was not whole after {MAX_TEXT_SECONDS:.0f} seconds",
                code="SITE_UNREACHABLE",
                remedy="Look whether the site can be reached, then run this again.",
            )
    return bytes(content)


def text(response: requests.Response) -> str:
    """Return the body as text in UTF-8, or raise `WorldError` (``TOO_LARGE``, ``NOT_UTF8``)."""
    try:
        return body(response).decode()
    except UnicodeDecodeError as error:
        raise WorldError(
            f"{response.url} is not text in UTF-8: {error.reason} at byte {error.start}",
            code="NOT_UTF8",
            remedy="Look at the address in a browser.",
        ) from error


def content_type(response: requests.Response) -> str:
    """Return the content type without its parameters, in lower case."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def quoted(answer: str, secrets: tuple[str, ...] = ()) -> str:
    """Return the start of what a site said, on one line and without our own secrets."""
    for secret in filter(None, secrets):
        answer = answer.replace(secret, "[secret]")
    line = " ".join("".join(c if c.isprintable() else " " for c in answer).split())
    return line if len(line) <= MAX_SAID else line[:MAX_SAID] + "…"
