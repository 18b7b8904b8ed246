"""The links of a page and where a browser goes by them."""

from __future__ import annotations

import re
from urllib.parse import unquote, urljoin, urlsplit

from relkit.markup import attributes_at

TAG = re.compile(r"<(a|area|base)(?=[\s/])", flags=re.IGNORECASE)
IGNORED = str.maketrans("\\", "/", "\t\n\r")
"""What browsers leave out of an address; and a backslash is a slash to them."""
SLASHES = re.compile(r"((?:https?:)?)/{2,}", flags=re.IGNORECASE)
PORTS = {"http": 80, "https": 443}


def links(page: bytes) -> tuple[list[str], str]:
    """Return the targets of a page's links as they are written, and what its ``<base>`` says.

    Links in comments and scripts are among them.
    """
    text, found, base, end = page.decode("utf-8", "replace"), [], "", 0
    while tag := TAG.search(text, end):
        attributes, end = attributes_at(text, tag.end())
        targets = [value.strip() for name, value in attributes if name == "href" and value.strip()]
        if tag[1].lower() == "base":
            base = base or next(iter(targets), "")
        else:
            found += targets
    return found, base


def leads(page: str, link: str) -> str:
    """Return the address a browser goes to from a page, its path unquoted and without dots.

    What is no address of the web comes back as it is.
    """
    plain = SLASHES.sub(r"\1//", link.strip().translate(IGNORED), count=1)
    try:
        parts = urlsplit(urljoin(page, plain))
        port = f":{parts.port}" if parts.port not in {None, PORTS.get(parts.scheme)} else ""
    except ValueError:
        return link
    if parts.scheme not in PORTS:
        return link
    kept: list[str] = []
    for part in unquote(parts.path).replace("\\", "/").split("/"):
        if part == "..":
            del kept[-1:]
        elif part != ".":
            kept.append(part)
    path = "/".join(filter(None, kept)) + "/" * parts.path.endswith("/")
    query = f"?{unquote(parts.query)}" if parts.query else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}/{path.lstrip('/')}{query}"
