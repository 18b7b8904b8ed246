"""Letting a Buildbot master do something, signed in where it wants that."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

from relkit.adapters.rest import DENIED, Rest
from relkit.adapters.web import quoted, text
from relkit.errors import WorldError

SIGNED_IN = range(200, 400)
"""The master leads whoever has signed in to its front page, by a redirect."""


class Login:
    """Calls that change something, as JSON-RPC; the cookie of the login stays in the connection.

    A cookie says nothing by itself: a master gives one to every stranger.
    """

    def __init__(
        self, rest: Rest, secret: Callable[[], str] | None, forget: Callable[[], None]
    ) -> None:
        self._rest = rest
        self._secret = secret
        self._forget = forget
        self._signed_in = False

    def control(self, path: str, method: str, params: Mapping[str, str]) -> object:
        """Call a method of what is at a path of the API; return its result.

        Raises `UnknownStateError`, or `WorldError` if the master refused.
        """
        self._sign_in()
        call = {"id": 1, "jsonrpc": "2.0", "method": method, "params": dict(params)}
        try:
            answer = self._rest.write("POST", f"api/v2/{path}", call)
        except WorldError as error:
            if error.code != "SERVICE_DENIED":
                raise
            self._signed_in = False
            raise self._denied(str(error)) from error
        if not isinstance(answer.value, dict) or "result" not in answer.value:
            raise self._rest.unknown(answer.said)
        return answer.value["result"]

    def _sign_in(self) -> None:
        if self._secret is None or self._signed_in:
            return
        login = self._secret()
        token = base64.b64encode(login.encode()).decode()
        status = self._asked(token, login)
        said = f"signing in as {login.partition(':')[0]} answered {status}"
        if status in DENIED:
            self._forget()
            raise self._denied(said)
        if status not in SIGNED_IN:
            raise self._rest.error("FAILED", said, "The master itself has failed: run it later.")
        self._signed_in = True

    def _asked(self, token: str, login: str) -> int:
        """Ask for the login page; return the status of the answer."""
        headers = {"Authorization": f"Basic {token}", "Accept": "*/*"}
        try:
            with self._rest.web.request("GET", "auth/login", headers=headers) as response:
                text(response)
                return response.status_code
        except WorldError as error:
            said = quoted(str(error), (login, token))
            raise self._rest.error("UNREACHABLE", said, error.remedy) from error

    def _denied(self, said: str) -> WorldError:
        return self._rest.error(
            "DENIED",
            said,
            "Forcing builds is for core developers and release managers: renew the secret "
            "buildbot-login (user:password), or ask those who run the master for the right.",
        )
