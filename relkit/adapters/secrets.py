"""What a world signs in with: from the environment, the keyring, or asked of whoever sits here.

Each world has its own, under its own name, so that no token of a rehearsal goes to production, or
the other way. Nothing is written anywhere. What was given wrongly is forgotten as soon as a service
refuses it, and asked for again (I40).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from getpass import getpass
from typing import NoReturn

from relkit.errors import WorldError

CLEAR = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""Names of worlds that stay different when they are written as the environment's names are."""
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
        self._refused: set[tuple[str, str]] = set()
        self._held = False
        self._not_given: set[str] = set()

    def get(self, name: str) -> str:
        """Return a secret.

        Raises `WorldError`: ``SECRET_MISSING``, ``SECRET_UNFIT`` for one that no header can carry,
        ``SECRET_AMBIGUOUS`` for one in the environment that may be another world's,
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
                raise self._missing(name)
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
        if not self._held and (refused := self._known.pop(name, None)) is not None:
            self._refused.add((name, refused))

    def hold(self) -> None:
        """Forget nothing from now on, so that a system that refuses a secret hides no other one.

        Nor is anybody asked again for what was not given.
        """
        self._held = True

    def all(self) -> tuple[str, ...]:
        """Return all that can be had without asking anybody: to look for where it must not be."""
        found = {*self._known.values(), *(one for _, one in self._refused)}
        given = (os.environ.get(variable(self._world, name)) for name in NAMES)
        found |= {one or self._kept(name) for name, one in zip(NAMES, given, strict=True)}
        parts = {one.rpartition(":")[2] for one in found}
        return tuple(sorted((found | parts) - {""}))

    def _found(self, name: str) -> str:
        """Return the first that was not refused, from the environment, the keyring, a person."""
        sources = (self._given, self._kept, self._asked)
        found = (source(name) for source in sources)
        return next((one for one in found if one and (name, one) not in self._refused), "")

    def _given(self, name: str) -> str:
        found = os.environ.get(called := variable(self._world, name), "")
        if found and not CLEAR.fullmatch(self._world):
            raise WorldError(
                f"{called} is set: it may be for the world {self._world}, or for one whose name "
                "differs from it in case, dots, dashes or underscores",
                code="SECRET_AMBIGUOUS",
                remedy=f"Unset it, and keep the secret in the keyring: {self._keep(name)}; or name "
                "the world in small letters and digits, with single dashes between them.",
            )
        return found

    def _keep(self, name: str) -> str:
        return f"keyring set {SERVICE}:{self._world} {name}"

    def _missing(self, name: str) -> WorldError:
        unnamed = VARIABLE + _upper(name)
        return WorldError(
            f"there is no {name} for the world {self._world}"
            + (", only one that was refused" * any(one == name for one, _ in self._refused))
            + (f"; {unnamed} is set, which names no world" if unnamed in os.environ else ""),
            code="SECRET_MISSING",
            remedy=f"Keep it in the keyring: {self._keep(name)}; or give it in the environment, as "
            f"{variable(self._world, name)}.",
        )

    def _kept(self, name: str) -> str:
        import keyring  # noqa: PLC0415 (looking for the system's keyring takes time)
        from keyring.errors import KeyringError  # noqa: PLC0415

        try:
            return keyring.get_password(f"{SERVICE}:{self._world}", name) or ""
        except KeyringError:  # none on this machine, or locked: then it is asked for
            return ""

    def _asked(self, name: str) -> str:
        if self._ask is None or (self._held and name in self._not_given):
            return ""
        try:
            given = self._ask(f"{name} for the world {self._world}: ").strip()
        except EOFError:  # whoever ends the input has given nothing
            given = ""
        if not given:
            self._not_given.add(name)
        return given


def variable(world: str, name: str) -> str:
    """Return the environment's name of a secret: ``RELKIT_SECRET_CPYTHON_GITHUB_TOKEN``."""
    return f"{VARIABLE}{_upper(world)}_{_upper(name)}"


def _upper(name: str) -> str:
    return re.sub(r"[.-]", "_", name).upper()
