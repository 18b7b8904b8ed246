"""The public side of python.org: what anybody gets, through the cache and without credentials."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from relkit.adapters.web import CHUNK_BYTES, TIMEOUT_SECONDS, Web, content_type, quoted, text
from relkit.errors import VerificationError, WorldError
from relkit.values import Artifact, Companion, Fetched

PATH = re.compile(r"/(?:[A-Za-z0-9._+~-]+/)*(?:[A-Za-z0-9._+~-]+)?", flags=re.ASCII)
LONGEST = 1000
MOST_BYTES = 2**31 - 1
"""No file of the site is larger: its rows cannot say so."""
OK, NOT_FOUND, GONE = 200, 404, 410

Verify = Callable[[Path, Path, Companion], None]


class PublicSite:
    """The site at `base_url` as its readers get it.

    `verify` looks at a file, its signature file and what that is said to be; it raises
    `VerificationError` for a signature that is not as stated, and another error if it cannot tell.
    `origin_headers` make the cache ask its origin.
    """

    def __init__(
        self,
        base_url: str,
        *,
        verify: Verify,
        origin_headers: Mapping[str, str],
        timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS,
    ) -> None:
        self._web = Web(base_url, timeout_seconds)
        self._verify = verify
        self._origin_headers = dict(origin_headers)

    def fetch(self, *, path: str) -> Fetched:
        """Get a path whole; a redirect is an answer like another, and is not followed."""
        return self._fetch(path, {})

    def read(self, *, path: str) -> str:
        """Get a path and return its text (UTF-8), at most 4 MB."""
        with self._web.request("GET", checked(path)) as response:
            if response.status_code != OK:
                raise _unexpected(response)
            return text(response)

    def purge(self, *, paths: tuple[str, ...]) -> None:
        """Ask the cache to forget these paths; all are asked before a refusal is raised."""
        refused = []
        asked = [(path, checked(path)) for path in paths]  # nothing is asked if one is no path
        for path, address in asked:
            with self._web.request("PURGE", address) as response:
                if response.status_code != OK:
                    refused.append(f"{path}: {response.status_code} {quoted(text(response))}")
        if refused:
            raise WorldError(
                f"{len(refused)} of {len(paths)} paths were not purged: {'; '.join(refused)}",
                code="PURGE_REFUSED",
                remedy="Ask the infrastructure team to purge these addresses.",
            )

    def purged(self, *, paths: tuple[str, ...]) -> bool:
        """Tell whether the cache holds none of these paths in an older form than the origin."""
        return all(
            self._fetch(path, self._origin_headers) == self._fetch(path, {}) for path in paths
        )

    def verify(self, *, path: str, subject: Artifact, companions: tuple[Companion, ...]) -> bool:
        """Download a file and its signatures as a stranger, and verify all of them.

        False means that something public is not as stated; where that cannot be told, an error
        is raised.
        """
        folder, _, name = path.rpartition("/")
        names = {name, *(one.file.name for one in companions)}
        if name != subject.name or len(names) != 1 + len(companions):
            return False
        if any(one.subject != subject for one in companions):
            return False
        with tempfile.TemporaryDirectory(prefix="relkit-stranger-") as held:
            here = Path(held)
            files = [subject, *(companion.file for companion in companions)]
            if not all(self._download(f"{folder}/{file.name}", file, here) for file in files):
                return False
            try:
                for one in companions:
                    self._verify(here / subject.name, here / one.file.name, one)
            except VerificationError:
                return False
        return True

    def _fetch(self, path: str, headers: Mapping[str, str]) -> Fetched:
        with self._web.request("GET", checked(path), headers=headers) as response:
            size, digest = summed(response, MOST_BYTES)
            if size > MOST_BYTES:
                raise WorldError(
                    f"{response.url} is larger than {MOST_BYTES} bytes",
                    code="TOO_LARGE",
                    remedy="Look at the address in a browser; no file of a release is so large.",
                )
            return Fetched(
                status=response.status_code,
                size=size,
                sha256=digest,
                content_type=content_type(response),
            )

    def _download(self, path: str, wanted: Artifact, folder: Path) -> bool:
        """Write a public file into a folder; False if it is missing or has other bytes."""
        digest, size = hashlib.sha256(), 0
        with (
            self._web.request("GET", checked(path)) as response,
            (folder / wanted.name).open("xb") as file,
        ):
            if response.status_code in {NOT_FOUND, GONE}:
                return False
            if response.status_code != OK:
                raise _unexpected(response)
            for chunk in arriving(response):
                size += len(chunk)
                if size > wanted.size:
                    return False
                digest.update(chunk)
                file.write(chunk)
        return (size, digest.hexdigest()) == (wanted.size, wanted.sha256)


def checked(path: str) -> str:
    """Return a path below the site's address, without the slash at its start."""
    if len(path) > LONGEST or PATH.fullmatch(path) is None or ".." in path.split("/"):
        raise WorldError(
            f"{path[:80]!r} is not a path of the site",
            code="BAD_PATH",
            remedy="Give a path that begins with a slash, without a query.",
        )
    return path[1:]


def arriving(response: requests.Response) -> Iterator[bytes]:
    """Yield what has come, however little, and as it came.

    What a server packs although nobody asked for it stays so: most readers would keep it like that.
    """
    try:
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
            yield chunk
    except HTTPError as error:
        raise WorldError(
            f"{response.url} broke off ({type(error).__name__})",
            code="SITE_UNREACHABLE",
            remedy="Look at the address in a browser, then run this again.",
        ) from error


def summed(
    response: requests.Response, limit: int, *, each: Callable[[], None] = lambda: None
) -> tuple[int, str]:
    """Return size and SHA-256 of a body; a size above `limit` says that the rest was not read.

    `each` is called when something has come, and may raise.
    """
    digest, size = hashlib.sha256(), 0
    for chunk in arriving(response):
        each()
        digest.update(chunk)
        size += len(chunk)
        if size > limit:
            break
    return size, digest.hexdigest()


def _unexpected(response: requests.Response) -> WorldError:
    return WorldError(
        f"{response.url} answered {response.status_code}, not {OK}",
        code="UNEXPECTED_STATUS",
        remedy="Look at the address in a browser, then run this again.",
    )
