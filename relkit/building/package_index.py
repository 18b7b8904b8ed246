"""Ask a package index where bundled packages come from: one request a package, kept on disk.

The question is PEP 691's: the list of a project's files as JSON. What is kept is a file a package,
named ``<name>-<version>.json``: what was asked, the SHA-256 of the answer, what was found in it,
and a digest over all that. A file that does not bear its digest, or answers another question, is
as good as none: the index is asked again. Nothing is downloaded but these lists.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from relkit.adapters.web import Web, chunks
from relkit.building.contents import Contents
from relkit.building.origins import NO_ORIGINS, Bundled, Origin, Origins, bundled
from relkit.errors import CheckError, UsageError, WorldError

PYPI = "https://pypi.org/simple/"
JSON = "application/vnd.pypi.simple.v1+json"
AT_ONCE = 8
TIMEOUT_SECONDS = (5.0, 10.0)
ANSWER_SECONDS = 60.0
MAX_ANSWER_BYTES = 16 << 20
MAX_CACHE_BYTES = 16 << 10
MAX_URL = 2000
OK = 200
SHA256 = re.compile(r"[0-9a-f]{64}")
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def look_up(
    contents: Contents,
    *,
    index: str,
    cache: Path,
    tell: Callable[[str], None] = lambda _: None,
) -> Origins:
    """Return the origins of the bundled packages, as far as the index `index` knows them.

    No index (``""``) knows none, and one that cannot be reached only those in the cache; `tell`
    hears why something is not known. Raises `UsageError` (``INDEX_URL``) for an address that is
    neither https nor on this machine, and `CheckError` (``SBOM_PACKAGE_CHANGED``) if the index
    states another digest for a wheel than the wheel in the tree has.
    """
    if not index:
        return NO_ORIGINS
    look = _Look(checked(index), cache, tell)
    packages = bundled(contents)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip(packages, pool.map(look.origin, packages), strict=True))
    origins = {package: origin for package, origin in found.items() if origin is not None}
    for package, origin in origins.items():
        _check_same(package, origin)
    return origins


def checked(index: str) -> str:
    """Return an index's address with a slash at its end; refuse one that anybody could answer."""
    if not _is_private(index) or urlsplit(index).query:
        raise UsageError(
            f"{index!r:.200} is not the https address of a package index",
            code="INDEX_URL",
            remedy=f"Give an address such as {PYPI}, without password and query, or none.",
        )
    return index.rstrip("/") + "/"


def _is_private(url: str) -> bool:
    """Tell whether nobody on the way can answer for the host: https, or this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    safe = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= MAX_URL
    return bool(host) and safe and plain and "@" not in parts.netloc and not parts.fragment


@dataclass(frozen=True)
class _Look:
    """One look-up of several packages."""

    index: str
    cache: Path
    tell: Callable[[str], None]
    gone: threading.Event = field(default_factory=threading.Event)

    def origin(self, package: Bundled) -> Origin | None:
        """Return a package's origin out of the cache or the index; None if neither knows."""
        kept = self._kept(package)
        if kept is not None or self.gone.is_set():
            return kept
        try:
            answer = self._ask(package)
            origin = _find(package, answer, self.index + package.name + "/")
        except WorldError as error:
            if error.code == "SITE_UNREACHABLE":
                self.gone.set()  # nobody else needs to wait for it
            self.tell(f"{package}: {error}")
            return None
        try:
            self._keep(package, origin, hashlib.sha256(answer).hexdigest())
        except OSError as error:
            self.tell(f"{package}: not kept for the next time: {error}")
        return origin

    def _ask(self, package: Bundled) -> bytes:
        deadline = time.monotonic() + ANSWER_SECONDS
        web = Web(self.index, TIMEOUT_SECONDS)
        answer = bytearray()
        with web.request("GET", f"{package.name}/", headers={"Accept": JSON}) as response:
            if response.status_code != OK:  # a redirect too: it is not followed
                raise _useless(f"{response.url} answers with status {response.status_code}")
            for chunk in chunks(response):
                answer += chunk
                if len(answer) > MAX_ANSWER_BYTES or time.monotonic() > deadline:
                    raise _useless(f"{response.url} is too large or too slow")
        return bytes(answer)

    def _asked(self, package: Bundled) -> dict[str, str]:
        return {
            "file": package.file,
            "index": self.index,
            "name": package.name,
            "version": package.version,
        }

    def _path(self, package: Bundled) -> Path:
        return self.cache / f"{package.name}-{package.version}.json"

    def _kept(self, package: Bundled) -> Origin | None:
        path = self._path(package)
        try:
            with path.open("rb") as file:
                record = json.loads(file.read(MAX_CACHE_BYTES))
            stated = record.pop("sha256")
            origin = Origin(**record["found"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self.tell(f"{package}: {path.name} is not what was kept, asked again: {error}")
            return None
        if stated != _digest(record):
            self.tell(f"{package}: {path.name} was changed, asked again")
            return None
        return origin if record.get("asked") == self._asked(package) else None

    def _keep(self, package: Bundled, origin: Origin, answer_sha256: str) -> None:
        record: dict[str, object] = {
            "answer_sha256": answer_sha256,
            "asked": self._asked(package),
            "found": {"url": origin.url, "sha256": origin.sha256},
        }
        text = json.dumps({**record, "sha256": _digest(record)}, indent=1, sort_keys=True)
        self.cache.mkdir(parents=True, exist_ok=True)
        # Builds of two releases may look the same package up at the same time.
        descriptor, temporary = tempfile.mkstemp(dir=self.cache, prefix=".new-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(self._path(package))


def _digest(record: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _find(package: Bundled, answer: bytes, page: str) -> Origin:
    """Return what an answer says of a package's file."""
    try:
        listed = json.loads(answer)["files"]
        files = {str(one["filename"]): one for one in listed}
        names = [package.file] if package.file else sorted(_fitting(package, files))
        chosen = files[names[0]]
        url, sha256 = urldefrag(urljoin(page, chosen["url"])).url, chosen["hashes"]["sha256"]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise _useless(f"{page} names no file of {package.version} with its digest") from error
    if not _is_private(url) or not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
        raise _useless(f"{page} names {url!r:.200} with the digest {sha256!r:.80}")
    return Origin(url, sha256)


def _fitting(package: Bundled, files: dict[str, object]) -> Iterator[str]:
    """Yield a version's wheels for every machine, as pip vendors them; without any, its sdists."""
    wanted = canonicalize_name(package.name), _version(package.version)
    wheels = [name for name in files if name.endswith("-any.whl") and _wheel(name) == wanted]
    yield from wheels or [name for name in files if _sdist(name) == wanted]


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _wheel(name: str) -> tuple[str, Version] | None:
    try:
        return parse_wheel_filename(name)[:2]
    except InvalidWheelFilename:
        return None


def _sdist(name: str) -> tuple[str, Version] | None:
    try:
        return parse_sdist_filename(name)
    except InvalidSdistFilename:
        return None


def _check_same(package: Bundled, origin: Origin) -> None:
    if package.sha256 and package.sha256 != origin.sha256:
        raise CheckError(
            f"{package.file} in the tree has the digest {package.sha256}, "
            f"the index states {origin.sha256}",
            code="SBOM_PACKAGE_CHANGED",
            remedy="Stop: the tree's wheel is not the published one. Find out who changed it.",
        )


def _useless(what: str) -> WorldError:
    return WorldError(
        what,
        code="INDEX_ANSWER",
        remedy="Look at the package index in a browser; the SBOM says what it lacks meanwhile.",
    )
