"""What can be asked of servers, sites and the cache the day before a release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial

from relkit.adapters.cdn_key import forgets, key_told
from relkit.adapters.cdn_purge import KEY_HEADER
from relkit.adapters.certificates import good_until
from relkit.adapters.incoming_ssh import SshUploads
from relkit.adapters.remote_files import look, room
from relkit.adapters.rest import Rest
from relkit.adapters.timing import seconds_ahead
from relkit.adapters.web import Web
from relkit.errors import CheckError, UsageError, WorldError
from relkit.places import Cdn, Docs, Downloads
from relkit.probe import Probe, Seen
from relkit.real.systems import Systems
from relkit.worlds import host_of

SERVER_BYTES = 2_000_000_000
"""Room for all files of a release; moving them to the public tree takes no more."""
DOCS_BYTES = 500_000_000
"""Room for the packed docs and the unpacked ones."""
CLOCK_SECONDS = 60
Named = Iterator[tuple[str, Probe]]


def network(systems: Systems) -> Named:
    """Yield what is asked of all services alike."""
    parts = systems.services
    whole = (parts.github, parts.azure, parts.cdn)
    urls = [one.api for one in whole if one] + [
        one.url for one in (parts.buildbot, parts.website, parts.cdn) if one
    ]
    by_host = {host_of(url): url for url in urls}
    safe = {host: url for host, url in by_host.items() if url.startswith("https:")}
    if safe:
        yield "certificates", partial(_certificates, safe)
    servers = {one.host: one for one in (parts.downloads, parts.docs) if one}
    if by_host or servers:
        yield (
            "clocks elsewhere",
            lambda: _clocks(
                {host: seconds_ahead(url) for host, url in by_host.items()}
                | {host: _server_ahead(systems, one) for host, one in servers.items()}
            ),
        )


def _certificates(urls: dict[str, str]) -> Seen:
    ends: dict[str, datetime] = {host: good_until(url) for host, url in urls.items()}
    first = min(ends, key=lambda host: ends[host])
    return Seen(f"those of {len(ends)} hosts are good; {first}'s ends first", until=ends[first])


def _server_ahead(systems: Systems, place: Downloads | Docs) -> float:
    server = systems.server(place)
    before = datetime.now(UTC).timestamp()
    said = server.asked(("date", "+%s")).strip()
    after = datetime.now(UTC).timestamp()
    if not said.isdigit():
        raise WorldError(
            f"{server} gives the time as {said[:40]!r}",
            code="REMOTE_FAILED",
            remedy="See what its shell says to those who sign in without a terminal.",
        )
    return (before + after) / 2 - int(said)


def _clocks(ahead: dict[str, float | None]) -> Seen:
    told = {host: one for host, one in ahead.items() if one is not None}
    words = ", ".join(f"{host} {-one:+.0f} s" for host, one in sorted(told.items()))
    if any(abs(one) > CLOCK_SECONDS for one in told.values()):
        raise CheckError(
            f"seen from this machine: {words}",
            code="CLOCK",
            remedy="Set this machine's clock if all differ alike; else tell whoever keeps the one.",
        )
    silent = ", ".join(sorted(ahead.keys() - told.keys()))
    ask = f"See whether {silent} can be reached." if silent else ""
    return Seen(words or "none gives its time", ask)


def incoming(systems: Systems, place: Downloads, folders: Mapping[str, str]) -> Seen:
    """Look whether the folders are there where experts upload. Raises `UsageError`."""
    server, words = systems.server(place), []
    for name, folder in folders.items():
        listed = SshUploads(server).list(folder=folder)
        if listed is None:
            raise UsageError(
                f"{folder}, where {name} is uploaded, is no folder of {place.host}",
                code="NO_FOLDER",
                remedy="Ask the infrastructure team for it, or correct the world's file.",
            )
        found = look(server, [folder])[folder]
        words.append(f"{name}: {found.mode:04o} of {found.owner}, {len(listed)} in it")
    return Seen("; ".join(words))


def rooms(systems: Systems) -> Named:
    """Yield whether there is room on the servers."""
    files, docs = systems.services.downloads, systems.services.docs
    if files is not None:
        yield "room for downloads", partial(_room, systems, files, files.staging, SERVER_BYTES)
    if docs is not None:
        yield "room for docs", partial(_room, systems, docs, docs.releases, DOCS_BYTES)


def _room(systems: Systems, place: Downloads | Docs, folder: str, needed: int) -> Seen:
    free, files = room(systems.server(place), folder)
    found = f"{free / 10**9:.1f} GB and {files} files in {folder}"
    if free < needed or not files:
        raise CheckError(
            f"{found}; needed are {needed / 10**9:.1f} GB",
            code="DISK_SPACE",
            remedy=f"Ask the infrastructure team for room on {place.host}.",
        )
    return Seen(found)


# --- the cache ------------------------------------------------------------------------------------


def cache(systems: Systems) -> Named:
    """Yield what may be purged."""
    place = systems.services.cdn
    if place is not None:
        yield "purge of an address", lambda: forgets(Web(place.url), _cdn_key(systems, place))
        if place.service:
            yield "purge key", lambda: key_told(_fastly(systems, place), place.service)


def _cdn_key(systems: Systems, place: Cdn) -> str:
    return systems.secrets.get("cdn-key") if place.service else ""


def _fastly(systems: Systems, place: Cdn) -> Rest:
    key = systems.secrets.getter("cdn-key")
    return Rest(
        "Fastly",
        Web(place.api),
        headers=lambda: {KEY_HEADER: key()},
        secrets=lambda: (key(),),
        denied=partial(systems.secrets.forget, "cdn-key"),
    )
