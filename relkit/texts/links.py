"""What a text leads to and vouches for: links to known places, and the manifest's digests (T49)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from relkit.errors import CheckError

LINK = re.compile(r"[a-z][a-z0-9+.-]*://[^\s)>\]]+", flags=re.IGNORECASE)
TARGET = re.compile(r"\]\(\s*<?([^)\s>]*)|^\s*\[[^\]]+\]:\s*<?([^\s>]+)", flags=re.MULTILINE)
"""Where a link of Markdown leads, written beside its words or apart from them."""
ATTRIBUTE = re.compile(r"(?:href|src)\s*=\s*[\"']?([^\"'\s>]+)", flags=re.IGNORECASE)
ENDINGS = "org|com|net|io|dev|info|edu|gov|app|page|site|xyz|me|co|example|test|invalid"
BARE = re.compile(rf"(?<![\w./@-])(?:www\.[^\s)>\]]+|[\w-]+(?:\.[\w-]+)*\.(?:{ENDINGS})\b(?!\.\w))")
"""A host without a scheme: forums and mail programs make links of these."""
HEX = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{32,}(?![0-9A-Za-z])")


def links(text: str) -> Iterator[str]:
    """Yield everything in a text that its readers' programs may make a link of."""
    yield from LINK.findall(text)
    for beside, apart in TARGET.findall(text):
        yield beside or apart
    yield from ATTRIBUTE.findall(text)
    yield from BARE.findall(LINK.sub(" ", text))


def leads_to(text: str, address: str) -> bool:
    """Tell whether an address stands in a post by itself, and not within another one."""
    return address in (one.rstrip(".,;:!") for one in re.split(r"[\s()<>\[\]\"']+", text))


def require_links(channel: str, text: str, trusted: tuple[str, ...]) -> None:
    """Raise `CheckError` (``ANNOUNCE_LINK``) unless all links lead to trusted places."""
    for link in links(text):
        if not link.isascii() or not link.startswith(trusted):
            raise CheckError(
                f"the text for {channel} links to {link}",
                code="ANNOUNCE_LINK",
                remedy=f"Link only to {', '.join(trusted)}.",
            )


def require_digests(channel: str, text: str, files: Mapping[str, str], commit: str) -> None:
    """Raise `CheckError` (``ANNOUNCE_DIGEST``) unless all digests are of the file on their line.

    `files` are the SHA-256 by name; the commit may stand anywhere.
    """
    for line in text.splitlines():
        for found in HEX.findall(line):
            names = [name for name, sha256 in files.items() if sha256 == found]
            if found != commit and not any(
                name in line.replace("|", " ").split() for name in names
            ):
                raise CheckError(
                    f"the text for {channel} gives {found}, which is neither the release's commit "
                    f"nor the digest of the file on its line: {line.strip()[:120]}",
                    code="ANNOUNCE_DIGEST",
                    remedy="Take names, sizes and digests from the manifest alone.",
                )
