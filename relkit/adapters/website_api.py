"""Calls to the two APIs of python.org's downloads database, with every answer checked.

They are asked as any service is (`relkit.adapters.rest`); codes begin with ``SITE_``.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal

from relkit.adapters.rest import Answer, Method, Query, Rest, UnknownStateError
from relkit.adapters.web import Web, quoted
from relkit.errors import WorldError

Version = Literal["v1", "v2"]
OK = 200
LIMITS: dict[Version, tuple[int, int]] = {"v1": (600, 3_600), "v2": (3_000, 86_400)}
"""How many calls of one user each API lets through in how many seconds."""
SCHEMES: dict[Version, str] = {"v1": "ApiKey", "v2": "Token"}
READS = 2
"""Calls that whoever comes again makes before room is asked for."""
REMEDIES = {
    "DENIED": "Renew the key for the site, or ask for the right to write.",
    "MISSING": "Look at the release's rows on the site; somebody removed one.",
    "CONFLICT": "Find out who else is writing, then run the step again.",
}
"""Where there is more to say than of any service."""


def unknown_state(said: str, status: int = 0) -> UnknownStateError:
    """Make the error for a write of which nothing certain is known."""
    error = UnknownStateError(
        f"{said}; the site does not show whether it was done",
        code="SITE_UNKNOWN_STATE",
        remedy="Wait a minute and run the step again: it looks first. Do not repeat it by hand.",
    )
    error.status = status
    return error


def unreadable(said: str) -> WorldError:
    """Make the error for an answer that is not what the API promises."""
    return WorldError(
        quoted(said),
        code="SITE_UNREADABLE",
        remedy="Look at the address in a browser; the site or something before it has changed.",
    )


class _Api(Rest):
    """One of the two; it notes when it was called, and its refusals have codes of their own."""

    def __init__(
        self,
        web: Web,
        version: Version,
        secret: Callable[[], str],
        denied: Callable[[], None],
        wait: Callable[[float], None],
    ) -> None:
        super().__init__(
            "python.org",
            web,
            headers=lambda: {"Authorization": f"{SCHEMES[version]} {secret()}"},
            secrets=lambda: (secret(), secret().rpartition(":")[2]),
            denied=denied,
            wait=wait,
        )
        self._root = f"api/{version}/downloads/"
        self.called: deque[float] = deque()

    def ask(
        self, method: str, path: str, *, query: Query | None = None, fields: object = None
    ) -> Answer:
        self.called.append(time.monotonic())
        return super().ask(method, self._root + path, query=query, fields=fields)

    def error(self, code: str, said: str, remedy: str) -> WorldError:
        return WorldError(
            f"{self.name}: {said}", code=f"SITE_{code}", remedy=REMEDIES.get(code, remedy)
        )

    def unknown(self, said: str, status: int = 0) -> UnknownStateError:
        return unknown_state(said, status)


class Api:
    """The APIs of one site. The two callables give the secrets when they are needed.

    `v2_token` gives the token, `v1_key` the user and the key with a colon between them. `denied` is
    told which API refused its secret. `tell` is told what is waited for, and `sleep` waits.
    """

    def __init__(
        self,
        web: Web,
        v2_token: Callable[[], str],
        v1_key: Callable[[], str],
        *,
        denied: Callable[[Version], None] = lambda _: None,
        tell: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        def wait(seconds: float) -> None:
            tell(f"waiting {seconds:.0f} seconds, as python.org asks")
            sleep(seconds)

        self._apis: dict[Version, _Api] = {
            "v1": _Api(web, "v1", v1_key, lambda: denied("v1"), wait),
            "v2": _Api(web, "v2", v2_token, lambda: denied("v2"), wait),
        }

    def require_room(self, version: Version, calls: int) -> None:
        """Refuse to begin what the site would stop in the middle (``SITE_THROTTLED``).

        Counted is what this object asked; other clients of the same user are not seen.
        """
        limit, window = LIMITS[version]
        called, now = self._apis[version].called, time.monotonic()
        while called and called[0] <= now - window:
            called.popleft()
        excess = len(called) + calls - limit
        if excess > 0:
            last = called[min(excess + READS, len(called)) - 1] if called else now
            wait = math.ceil(last + window - now)
            raise WorldError(
                f"{calls} calls of {version} are needed; the site lets {limit} through in {window}"
                f" seconds, and {len(called)} were made",
                code="SITE_THROTTLED",
                remedy=f"Run the step again in {wait} seconds: nothing was written.",
            )

    def get(self, version: Version, path: str, **query: str) -> Any:  # noqa: ANN401 (whatever JSON holds)
        """Return the JSON value at a path such as ``release/``."""
        answer = self._apis[version].get(path, query)
        if answer.status != OK:
            raise unreadable(answer.said)
        return answer.value

    def write(
        self,
        version: Version,
        method: Method,
        path: str,
        fields: Mapping[str, object] | None = None,
    ) -> Answer:
        """Change something; return the answer, whose status is below 300.

        Raises `UnknownStateError`, or `WorldError` if the site refused.
        """
        return self._apis[version].write(method, path, fields)
