"""What a page of a record may hold: text, tables, pictures and links, and nothing that acts.

The page is opened years later by somebody who has no reason to trust it. Scripts, forms, and
whatever a browser would load from elsewhere are refused, wherever they come from.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

from relkit.errors import VerificationError

MEDIA = frozenset({"text/plain", "text/html", "image/png"})
"""The media types an output may have."""
ACTIVE = frozenset(
    {
        *("script", "link", "base", "iframe", "frame", "frameset", "object", "embed", "applet"),
        *("form", "input", "button", "audio", "video", "source", "track", "template", "noscript"),
        *("foreignobject", "animate", "set", "use", "image", "math"),
    }
)
NAMED = frozenset({"charset", "name", "http-equiv", "content"})
LOADS = frozenset(
    {"src", "srcset", "data", "poster", "background", "action", "formaction", "ping", "manifest"}
)
WHOLE = re.compile(
    r"""[^<]++|<(?![a-z/!?])|<!doctype\s[^>]*+>|<!--(?!-?>)(?:[^-]++|-(?!-!?>))*+-->|"""
    r"""</?[a-z](?:[^>"']++|"[^"]*+"|'[^']*+')*+>""",
    flags=re.IGNORECASE,
)
"""Words, or a tag or comment that ends: of others the parser looks for the end again and again."""
STYLE = re.compile(r"url\(\s*['\"]?(?!#)|@import|expression\(|\\", re.IGNORECASE)
PICTURE = "data:image/png;base64,"
HIDING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
"""What moves a terminal's cursor, or shows letters in another order than they are in."""


def require_plain(page: str) -> None:
    """Raise `VerificationError` (``FORBIDDEN_MIME``) for a page that would do or load something."""
    end = 0
    while part := WHOLE.match(page, end):
        end = part.end()
    if end < len(page):
        raise forbidden(page[end : end + 120])
    reader = _Reader()
    try:
        reader.feed(page)
        reader.close()
    except ValueError as error:  # a character by a number of thousands of digits
        raise forbidden(f"what cannot be read: {error}") from error


def visible(text: str) -> str:
    """Return a text in which what hides other text is spelled out, as Python spells it."""
    return HIDING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def forbidden(what: str) -> VerificationError:
    """Return the refusal of something that does not belong in a record."""
    return VerificationError(
        f"the record would hold {what[:120]!r}",
        code="FORBIDDEN_MIME",
        remedy="A record holds text, tables and pictures only.",
    )


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Refuse what acts; look at each attribute."""
        self._in_style = tag == "style"
        names = {name for name, _ in attrs}
        redirects = tag == "meta" and (names - NAMED or "refresh" in str(attrs).lower())
        if tag in ACTIVE or redirects:
            raise forbidden(self.get_starttag_text() or tag)
        for name, value in attrs:
            if not _harmless(tag, name, (value or "").strip()):
                raise forbidden(self.get_starttag_text() or tag)

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a style."""
        self._in_style = self._in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        """Refuse a style that loads something."""
        if self._in_style and STYLE.search(data):
            raise forbidden(data.strip())

    def unknown_decl(self, data: str) -> None:
        """Refuse what browsers and this parser read differently."""
        raise forbidden(data)


def _harmless(tag: str, name: str, value: str) -> bool:
    if name.startswith("on"):
        return False
    if name.rpartition(":")[2] == "href":
        return value.startswith("#") or (tag == "a" and value.startswith("https://"))
    if name in LOADS:
        return tag == "img" and name == "src" and value.startswith(PICTURE)
    return not (STYLE.search(value) if name == "style" else value.startswith("javascript:"))
