"""A download tree behind a real nginx behind a real Varnish, and readers of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from services.nginx import Nginx, nginx
from services.varnish import Varnish, varnish

from relkit.adapters.cdn import CdnSite
from relkit.adapters.secrets import Secrets
from relkit.errors import WorldError
from relkit.ports import Public
from relkit.rehearsal.site import Site
from relkit.values import Artifact, Companion

FOLDER = "/ftp/python/3.15.0/"
NO_SECRETS = Secrets("nobody's", ask=lambda _: "").getter("cdn-key")


def artifact(name: str, data: bytes) -> Artifact:
    return Artifact(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def accept(_file: Path, _signature: Path, _stated: Companion) -> None:
    """Find every signature good."""


def at_once(_seconds: float) -> None:
    """Do not wait: where bytes decide, nothing hangs on the age of an answer."""


@dataclass(frozen=True)
class Tree:
    """The download server's public tree, below `root`."""

    root: Path

    def put(self, path: str, data: bytes) -> Artifact:
        """Let a file have these bytes, all at once, whatever was there."""
        target = self.root / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f".{target.name}.new")
        new.write_bytes(data)
        new.replace(target)
        return artifact(target.name, data)

    def remove(self, path: str) -> None:
        (self.root / path[1:]).unlink()

    def origin(self, paths: tuple[str, ...]) -> dict[str, tuple[int, str] | None]:
        """Say what lies there, as the download server does by SSH."""
        return {path: self._known(path) for path in paths}

    def _known(self, path: str) -> tuple[int, str] | None:
        file = self.root / path[1:]
        if not file.is_file():
            return None
        data = file.read_bytes()
        return len(data), hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Network:
    """The site's stand-in, the origin before it, and the network before that."""

    site: Site
    tree: Tree
    origin: Nginx
    cdn: Varnish

    def raw(self, path: str, method: str = "GET", **headers: str) -> requests.Response:
        """Ask the network itself, as anybody can."""
        return requests.request(
            method, self.cdn.url + path[1:], headers=headers, timeout=20, allow_redirects=False
        )

    def stale(self, path: str, old: bytes, new: bytes) -> None:
        """Let the network keep what a path gave before it was replaced."""
        self.raw(path, "PURGE", **{"Fastly-Key": self.cdn.key})
        self.tree.put(path, old)
        assert self.raw(path).content == old
        self.tree.put(path, new)
        assert self.raw(path).content == old

    def public(self, folder: Path, url: str = "", **more: Any) -> CdnSite:  # noqa: ANN401 (passed on)
        """Return the adapter, quick; `folder` is where its notes are."""
        given: dict[str, Any] = {
            "verify": accept,
            "origin": self.tree.origin,
            "notes": folder / "purges.json",
            "key": NO_SECRETS,
            "api": self.cdn.url,
            "per_second": 1000,
            "timeout_seconds": (2.0, 10.0),
        }
        return CdnSite(url or self.cdn.url, **(given | more))


@contextmanager
def network(folder: Path, *, purge_auth: bool = False) -> Iterator[Network]:
    """Start all three."""
    tree = Tree(folder / "public")
    with (
        Site(folder / "site.sqlite", tree.root, folder / "docs") as site,
        nginx(folder / "nginx", root=tree.root, proxy=site.url) as origin,
        varnish(folder / "varnish", origin.url, purge_auth=purge_auth) as cdn,
    ):
        yield Network(site, tree, origin, cdn)


def carry_out(public: Public, paths: tuple[str, ...]) -> WorldError | None:
    """Purge as the engine does: look, act if it is not done, look again; return what was raised."""
    try:
        if not public.purged(paths=paths):
            public.purge(paths=paths)
            assert public.purged(paths=paths)
    except WorldError as error:
        return error
    return None
