"""Downloads of artifacts and logs, which GitHub sends to another host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from relkit.adapters import elsewhere
from relkit.adapters.rest import Rest
from relkit.adapters.web import Web
from relkit.errors import CheckError, WorldError


class Second:
    """The hosts that `rest` sends downloads to; `web` opens them."""

    def __init__(self, rest: Rest, web: Callable[[str], Web]) -> None:
        self._rest = rest
        self._web = web

    def opened(self, path: str, most: int) -> AbstractContextManager[Iterator[bytes]]:
        """Give the content that the API's `path` leads to, at most so many bytes.

        Raises `CheckError` (``ARTIFACT_GONE``, ``TOO_LARGE``), and what `Rest` raises.
        """
        return elsewhere.opened(self._lead(path), self._rest, most=most, web=self._web)

    def download(self, path: str, target: Path, most: int) -> tuple[int, str]:
        """Download what the API's `path` leads to; return its size and SHA-256."""
        return elsewhere.download(self._lead(path), target, self._rest, most=most, web=self._web)

    def _lead(self, path: str) -> str:
        """Return where the content lies. What is only not there (404) may come yet, as logs do."""
        try:
            return self._rest.lead(path)
        except WorldError as error:
            if error.code != "SERVICE_GONE":
                raise
            raise CheckError(
                f"GitHub does not have it any more: {error.args[0]}",
                code="ARTIFACT_GONE",
                remedy="Artifacts and logs expire: begin anew with relkit respin, to build again.",
            ) from error
