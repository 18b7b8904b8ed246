"""What a world signs in with: from the environment, the keyring, or asked of whoever sits here.

Nothing is written anywhere. What was given wrongly is forgotten as soon as a service refuses it,
and asked for again (I40).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from getpass import getpass
from typing import NoReturn

from relkit.errors import WorldError

FIT = re.compile(r"[\x21-\x7e]{1,4000}", flags=re.ASCII)
NAMES = (*("github-token", "azure-token", "buildbot-login", "site-token", "site-key", "cdn-key"),)
"""``site-token`` is for v2 of the site's API; ``site-key`` (``user:key``) is for v1."""
VARIABLE = "RELKIT_SECRET_"
SERVICE = "relkit"
"""What the keyring has the secrets under, with the name of the world after a colon."""


class Secrets:
    """The secrets of one world, by the names in `NAMES`; kept only in this process.

    `ask` is called with a prompt where neither the environment nor the keyring has one; None: not.
    """

    def __init__(self, world: str, ask: Callable[[str], str] | None = None) -> None:
        self._world = world
        self._ask = ask or (getpass if sys.stdin is not None and sys.stdin.isatty() else None)
        self._known: dict[str, str] = {}
        self._refused: set[str] = set()

    def get(self, name: str) -> str:
        """Return a secret.

        Raises `WorldError`: ``SECRET_MISSING``, ``SECRET_UNFIT`` for one that no header can carry,
        ``SECRET_UNKNOWN`` for another name.
        """
        if name not in NAMES:
            raise WorldError(
                f"there is no secret called {name[:40]!a}",
                code="SECRET_UNKNOWN",
                remedy=f"The secrets are {', '.join(NAMES)}.",
            )
        if name not in self._known:
            found = self._found(name)
            if not found:
                raise WorldError(
                    f"there is no {name} for the world {self._world}"
                    + (", only one that was refused" if self._refused else ""),
                    code="SECRET_MISSING",
                    remedy=f"Keep it in the keyring: keyring set {SERVICE}:{self._world} {name}; "
                    f"or give it in the environment, as {variable(name)}.",
                )
            if not FIT.fullmatch(found):
                raise WorldError(
                    f"the {name} for the world {self._world} has {len(found)} characters, and not "
                    "all are printable ASCII without spaces",
                    code="SECRET_UNFIT",
                    remedy="Copy it again, without line ends.",
                )
            self._known[name] = found
        return self._known[name]

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        """Refuse: secrets are neither copied nor kept."""
        raise TypeError("secrets are neither copied nor kept")

    def getter(self, name: str) -> Callable[[], str]:
        """Return what an adapter calls whenever it needs a secret."""
        return lambda: self.get(name)

    def forget(self, name: str) -> None:
        """Forget a secret that was refused, and do not take the same one again."""
        if (refused := self._known.pop(name, None)) is not None:
            self._refused.add(refused)

    def all(self) -> tuple[str, ...]:
        """Return all that can be had without asking anybody: to look for where it must not be."""
        found = {*self._known.values(), *self._refused}
        found |= {os.environ.get(variable(name)) or self._kept(name) for name in NAMES}
        parts = {one.rpartition(":")[2] for one in found}
        return tuple(sorted((found | parts) - {""}))

    def _found(self, name: str) -> str:
        """Return the first that was not refused, from the environment, the keyring, a person."""
        sources = (lambda _: os.environ.get(variable(name), ""), self._kept, self._asked)
        found = (source(name) for source in sources)
        return next((one for one in found if one and one not in self._refused), "")

    def _kept(self, name: str) -> str:
        import keyring  # noqa: PLC0415 (looking for the system's keyring takes time)
        from keyring.errors import KeyringError  # noqa: PLC0415

        try:
            return keyring.get_password(f"{SERVICE}:{self._world}", name) or ""
        except KeyringError:  # none on this machine, or locked: then it is asked for
            return ""

    def _asked(self, name: str) -> str:
        return self._ask(f"{name} for the world {self._world}: ").strip() if self._ask else ""


def variable(name: str) -> str:
    """Return the environment's name of a secret: ``RELKIT_SECRET_GITHUB_TOKEN``."""
    return VARIABLE + name.upper().replace("-", "_")
