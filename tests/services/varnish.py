"""A real Varnish as the content delivery network, which forgets what it is told to as Fastly."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from services.running import HOST, answers, free_port, lacking, program, running, skip_without

TEMPLATE = Path(__file__).with_name("varnish.vcl")
MODULES = "/usr/lib/*/varnish/vmods/libvmod_xkey.so"
KEY, SERVICE = "test-key", "rehearsal"
MEMORY = "512m"


@dataclass(frozen=True)
class Varnish:
    """A running cache; `url` ends with a slash.

    Surrogate keys are purged at the same address, for the `service`, with the `key`.
    """

    url: str
    folder: Path
    key: str = KEY
    service: str = SERVICE

    def purged(self) -> list[str]:
        """Return the paths that were asked to be forgotten, oldest first, refused ones too."""
        return self._asked('ReqMethod eq "PURGE"')

    def keys(self) -> list[str]:
        """Return the surrogate keys that were asked to be forgotten, oldest first."""
        return [path.rpartition("/")[2] for path in self._asked('ReqURL ~ "^/service/"')]

    def _asked(self, query: str) -> list[str]:
        command = [program("varnishncsa") or "", "-d", "-n", str(self.folder / "work")]
        said = subprocess.run(
            [*command, "-q", query, "-F", "%U"], capture_output=True, check=True, timeout=30
        )
        return said.stdout.decode().splitlines()


def missing() -> str:
    """Return what has to be installed first; empty: nothing."""
    if gone := lacking({"varnishd": "varnish"}):
        return gone
    there = any(Path("/").glob(MODULES[1:]))
    return "" if there else "libvmod_xkey is missing (Debian package varnish-modules)"


@contextmanager
def varnish(folder: Path, origin: str, *, purge_auth: bool = False) -> Iterator[Varnish]:
    """Stand before the server at `origin` (``http://127.0.0.1:PORT/``).

    With `purge_auth` a path is forgotten only for who has the key; surrogate keys always need it.
    """
    skip_without(missing())
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    source = folder / "cdn.vcl"
    source.write_text(_filled(origin, purge_auth=purge_auth), encoding="utf-8")
    command = [program("varnishd") or "", "-F", "-j", "none", "-n", str(folder / "work")]
    command += ["-a", f"{HOST}:{port}", "-f", str(source), "-s", f"malloc,{MEMORY}", "-T", "none"]
    with running(command, ready=lambda: answers(port), log=folder / "varnish.log"):
        yield Varnish(f"http://{HOST}:{port}/", folder)


def _filled(origin: str, *, purge_auth: bool) -> str:
    parts = urlsplit(origin)
    words = {
        "@HOST@": parts.hostname or "",
        "@PORT@": str(parts.port),
        "@KEY@": KEY,
        "@SERVICE@": SERVICE,
        "@PURGE_AUTH@": "true" if purge_auth else "false",
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(word, value)
    return text
