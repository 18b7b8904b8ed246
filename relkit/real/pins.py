"""Which servers a world's file names, how git goes to them, and the keys they may show."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from relkit.adapters.openssh import Pin
from relkit.places import HostKey, Services
from relkit.worlds import host_of

SSH_PORT = 22


def protocols(url: str) -> tuple[str, ...]:
    """Return what git may speak to go to an address: what it says, and nothing else."""
    if url.startswith("/"):
        return ("file",)
    return ("https",) if url.startswith("https://") else ("ssh",)


def pins(services: Services) -> tuple[Pin, ...]:
    """Return the servers that are reached by SSH, each with the keys it may show."""
    servers = [one for one in (services.downloads, services.docs) if one is not None]
    return (
        *(Pin(one.host, one.port, one.user, one.host_keys) for one in servers),
        *(
            Pin(host_of(url), _port(url), "", keys)
            for url, keys in git_addresses(services)
            if url and protocols(url) == ("ssh",)
        ),
    )


def git_addresses(services: Services) -> Iterator[tuple[str, tuple[HostKey, ...]]]:
    """Yield each address that git goes to, with the keys that its host may show."""
    if git := services.git:
        yield from ((url, git.host_keys) for url in (git.upstream, git.fork))
    if words := services.announcements:
        yield from ((url, words.host_keys) for url in (words.peps, words.blog) if url)
    if people := services.people:
        yield people.meeting, people.host_keys


def _port(url: str) -> int:
    return (urlsplit(url).port if "://" in url else None) or SSH_PORT
