"""A real nginx as the origin of python.org: files below ``/ftp/``, the rest from the stand-in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.running import HOST, answers, free_port, lacking, program, running, skip_without

TEMPLATE = Path(__file__).with_name("nginx.conf")
BEHIND_CACHE = "X-Rehearsal-Origin"
"""Asks the stand-in for what is behind the cache it has itself: another one stands before it."""


@dataclass(frozen=True)
class Nginx:
    """A running server; `url` ends with a slash."""

    url: str
    folder: Path

    def asked(self) -> list[str]:
        """Return the calls that came: method, path and status."""
        return (self.folder / "access.log").read_text(encoding="utf-8").splitlines()


def missing() -> str:
    """Return what has to be installed first; empty: nothing."""
    return lacking({"nginx": "nginx-light"})


@contextmanager
def nginx(folder: Path, *, root: Path, proxy: str = "") -> Iterator[Nginx]:
    """Serve `root` (``ftp/`` below it) and pass what is not below ``/ftp/`` on to `proxy`.

    What appears below `root` later is served too. Without `proxy` there is nothing else. `folder`
    is for the server's own files.
    """
    skip_without(missing())
    (folder / "temporary").mkdir(parents=True)
    port = free_port()
    (folder / "nginx.conf").write_text(_filled(port, root, proxy), encoding="utf-8")
    command = [program("nginx") or "", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with running([*command, "-e", "stderr"], ready=lambda: answers(port), log=folder / "nginx.log"):
        yield Nginx(f"http://{HOST}:{port}/", folder)


def _filled(port: int, root: Path, proxy: str) -> str:
    passed = (
        f"proxy_pass {proxy.rstrip('/')};",
        "proxy_set_header Host $http_host;",
        f"proxy_set_header {BEHIND_CACHE} 1;",
    )
    words = {
        "@PORT@": str(port),
        "@ROOT@": str(root.absolute()),
        # Started by root it would read the files as somebody who may not enter the tests' folders.
        "@USER@": "user root;" if os.geteuid() == 0 else "",
        "@PROXY@": " ".join(passed) if proxy else "return 404;",
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(word, value)
    return text
