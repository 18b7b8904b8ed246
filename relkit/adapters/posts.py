"""Public posts (forum, blog, mail archive): pages below known addresses, as text."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import requests

from relkit.adapters.web import TIMEOUT_SECONDS, Web, body, content_type, quoted
from relkit.errors import WorldError
from relkit.markup import Tag, parts

REST = re.compile(r"[A-Za-z0-9._~/@:+-]{0,300}", flags=re.ASCII)
"""What may follow the known beginning of an address."""
OK, GONE, REDIRECTS = 200, {404, 410}, {301, 302, 303, 307, 308}
HOPS = 3
ADDRESS = re.compile(r"://|\bwww\.", flags=re.IGNORECASE)
UNSEEN = {"template", "noscript"}
LINES = {"p", "div", "li", "tr", "br", "h1", "h2"}
"""What begins a line."""


class Posts:
    """Reads posts whose addresses begin with one of `beginnings` (``https://…/``).

    Without credentials; a redirect is followed where it leads to such an address again.
    """

    def __init__(
        self,
        beginnings: tuple[str, ...],
        timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS,
    ) -> None:
        self._beginnings = beginnings
        self._timeout = timeout_seconds

    def text(self, url: str) -> str | None:
        """Return the text of a post, with the addresses its links lead to; None: no such post.

        Raises `WorldError`: ``POST_PLACE``, ``POST_UNREADABLE``, ``SITE_UNREACHABLE``,
        ``TOO_LARGE``.
        """
        for _ in range(HOPS):
            web, path = self._split(url)
            with web.request("GET", path) as response:
                if response.status_code in GONE:
                    return None
                if response.status_code in REDIRECTS:
                    url = urljoin(url, response.headers.get("Location", ""))
                    continue
                return _read(url, response)
        raise unreadable(url, f"it is redirected more than {HOPS} times")

    def _split(self, url: str) -> tuple[Web, str]:
        """Return the host to ask and the path there, if the address is among the known."""
        for one in self._beginnings:
            rest = url.removeprefix(one)
            if rest == url or not REST.fullmatch(rest) or {".", ".."} & {*rest.split("/")}:
                continue
            parts = urlsplit(one)
            return Web(f"{parts.scheme}://{parts.netloc}/", self._timeout), (
                parts.path.lstrip("/") + rest
            )
        raise WorldError(
            f"{quoted(ascii(url))} is not below {', '.join(self._beginnings) or 'any known place'}",
            code="POST_PLACE",
            remedy="Give the address of the post itself, as readers see it, without ? and #.",
        )


def _read(url: str, response: requests.Response) -> str:
    kind = content_type(response)
    if response.status_code != OK or kind not in {"text/html", "text/plain"}:
        raise unreadable(url, f"status {response.status_code}, {kind or 'no content type'}")
    try:
        text = body(response).decode()
    except UnicodeDecodeError as error:
        raise unreadable(url, f"it is not UTF-8: {error.reason}") from error
    return text if kind == "text/plain" else plain(text)


def plain(page: str) -> str:
    """Return the words of an HTML page and, in brackets, the addresses of its links."""
    words = _Words()
    for part in parts(page):
        words.take(part)
    return "\n".join(line for one in "".join(words.found).splitlines() if (line := one.strip()))


class _Words:
    def __init__(self) -> None:
        self.found: list[str] = []
        self._unseen = 0
        self._link, self._begun = "", 0

    def take(self, part: Tag | str) -> None:
        if isinstance(part, str):
            self.found += [] if self._unseen else [part]
        elif part.name in UNSEEN:
            self._unseen = max(0, self._unseen + (-1 if part.ends else 1))
        elif part.name == "a":
            self._end_link()  # a link within another one ends it
            self._link = "" if part.ends else dict(reversed(part.attributes)).get("href", "")
            self._begun = len(self.found)
        elif not part.ends and part.name in LINES:
            self.found.append("\n")

    def _end_link(self) -> None:
        if not self._link:
            return
        words = "".join(self.found[self._begun :])
        if ADDRESS.search(words) and words.strip() != self._link:
            self.found[self._begun :] = []  # they look like another address than it leads to
        self.found += [] if self._unseen else [f" ({self._link})"]


def unreadable(url: str, why: str) -> WorldError:
    """Return the error for an answer that is neither a post nor clearly none."""
    return WorldError(
        f"the post at {quoted(ascii(url))} cannot be read: {why}; whether it is there is not known",
        code="POST_UNREADABLE",
        remedy="Look at the address in a browser; run this again when it shows there.",
    )
