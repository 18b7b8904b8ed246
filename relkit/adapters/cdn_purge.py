"""Asking a content delivery network to forget addresses, in the form Fastly has for it.

An address is forgotten by ``PURGE`` on itself, without a key unless the service demands one. What
a surrogate key marks is forgotten by ``POST service/<id>/purge/<key>`` at the service's interface,
which always wants its key. That something was forgotten shows only where it is fetched again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from relkit.adapters.pacing import PacedWeb
from relkit.adapters.web import quoted, text
from relkit.errors import WorldError

OK, DENIED = 200, frozenset({401, 403})
KEY_HEADER = "Fastly-Key"
ID = re.compile(r"[A-Za-z0-9._-]{1,100}", flags=re.ASCII)
MOST_SILENT = 3
"""After so many calls in a row without any answer the others are not tried."""

Progress = Callable[[str], None]


@dataclass
class Asked:
    """What came of asking: an id by path, and why others were refused."""

    ids: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    denied: bool = False

    def require(self, total: int) -> None:
        """Raise `WorldError` (``PURGE_REFUSED``, ``PURGE_FAILED``) unless all were accepted."""
        if not self.refused:
            return
        words = "; ".join(f"{path}: {why}" for path, why in self.refused.items())
        ask = "Ask the infrastructure team to purge these addresses; then run the step again."
        again = "Run the step again: it looks what is old, and purges only that."
        raise WorldError(
            f"{len(self.refused)} of {total} paths were not purged: {words}",
            code="PURGE_REFUSED" if self.denied else "PURGE_FAILED",
            remedy=ask if self.denied else again,
        )


class Purger:
    """The cache before the site `web`, and the interface `api` of its `service`.

    Without a `service` surrogate keys are left alone. `key` is called when the key is needed, and
    raises ``SECRET_MISSING`` if there is none; `denied` is called when it was refused.
    """

    def __init__(
        self,
        web: PacedWeb,
        api: PacedWeb,
        service: str,
        key: Callable[[], str],
        denied: Callable[[], None] = lambda: None,
    ) -> None:
        self._web, self._api, self._service = web, api, service
        self._key, self._denied = key, denied
        self._demanded = False
        self._usable = True

    def ask(self, paths: tuple[str, ...], progress: Progress) -> Asked:
        """Ask for all of these paths, whatever is answered to some of them."""
        asked, silent = Asked(), 0
        self._usable = True
        for number, path in enumerate(paths, 1):
            progress(f"{number} of {len(paths)}: purge {path}")
            if silent >= MOST_SILENT:
                asked.refused[path] = "not asked, since nothing answers"
                continue
            try:
                self._address(path, asked)
                silent = 0
            except WorldError as error:
                asked.refused[path] = quoted(str(error))
                silent += 1
        if self._service and silent < MOST_SILENT:
            self._marked(paths, asked)
        return asked

    def _address(self, path: str, asked: Asked) -> None:
        status, said = self._call(self._web, "PURGE", path[1:], with_key=self._demanded)
        if status in DENIED and not self._demanded and self._found():
            self._demanded = True
            status, said = self._call(self._web, "PURGE", path[1:], with_key=True)
        self._note(path, status, said, asked)

    def _marked(self, paths: tuple[str, ...], asked: Asked) -> None:
        """Let go what the surrogate keys of these paths mark, if there is a key to do so."""
        keys = [key for key in map(surrogate, paths) if key]
        for key in sorted(set(keys)):
            if not self._found():
                return
            name = f"surrogate key {key}"
            path = f"service/{self._service}/purge/{key}"
            try:
                status, said = self._call(self._api, "POST", path, with_key=True)
            except WorldError as error:
                asked.refused[name] = quoted(str(error))
                continue
            self._note(name, status, said, asked)

    def _call(self, web: PacedWeb, method: str, path: str, *, with_key: bool) -> tuple[int, str]:
        key = self._found() if with_key else ""
        headers = {KEY_HEADER: key} if key else {}
        with web.request(method, path, headers=headers) as response:
            status, said = response.status_code, quoted(text(response), (key,))
        if key and status in DENIED:
            self._denied()
            self._usable = self._demanded = False  # once refused it is not tried with the others
        return status, said

    def _found(self) -> str:
        """Return the key; empty: there is none, or only one that was refused."""
        if not self._usable:
            return ""
        try:
            return self._key()
        except WorldError as error:
            if error.code != "SECRET_MISSING":
                raise
            self._usable = False
            return ""

    def _note(self, path: str, status: int, said: str, asked: Asked) -> None:
        if status == OK:
            asked.ids[path] = _id(said)
            return
        asked.refused[path] = f"{status} {said}".rstrip()
        asked.denied |= status in DENIED


def surrogate(path: str) -> str:
    """Return the surrogate key that python.org gives to an answer; empty: none."""
    if path.startswith("/ftp/"):
        return "dirlisting" if path.endswith("/") else ""
    return "downloads" if path.startswith("/downloads/") else ""


def _id(said: str) -> str:
    """Return the id in an answer, by which the service's support finds it."""
    try:
        found = json.loads(said)
    except (ValueError, RecursionError):
        return "no id"
    known = found.get("id") if isinstance(found, dict) else None
    return known if isinstance(known, str) and ID.fullmatch(known) else "no id"
