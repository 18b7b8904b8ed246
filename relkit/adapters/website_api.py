"""Calls to the two APIs of python.org's downloads database, with every answer checked.

Nothing is retried. What a write did is unknown unless the site clearly accepted or refused it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

import requests

from relkit.adapters.web import Web, content_type, quoted, text
from relkit.errors import WorldError

Version = Literal["v1", "v2"]
OK = 200
REDIRECTS, REFUSALS, FAILURES = 300, 400, 500


@dataclass(frozen=True)
class Answer:
    """What the site answered: `value` is the JSON, if it was; `said` is the whole for people."""

    status: int
    said: str
    value: object
    location: str
    retry_after: str


class UnknownStateError(WorldError):
    """A write got no answer that says whether it was carried out (``SITE_UNKNOWN_STATE``)."""


def unknown_state(said: str) -> UnknownStateError:
    """Make the error for a write of which nothing certain is known."""
    return UnknownStateError(
        f"{said}; the site does not show whether it was done",
        code="SITE_UNKNOWN_STATE",
        remedy="Wait a minute and run the step again: it looks first. Do not repeat it by hand.",
    )


def unreadable(said: str) -> WorldError:
    """Make the error for an answer that is not what the API promises."""
    return WorldError(
        said,
        code="SITE_UNREADABLE",
        remedy="Look at the address in a browser; the site or something before it has changed.",
    )


class Api:
    """The APIs of one site. The two callables give the secrets when they are needed.

    `v2_token` gives the token, `v1_key` the user and the key with a colon between them.
    """

    def __init__(self, web: Web, v2_token: Callable[[], str], v1_key: Callable[[], str]) -> None:
        self._web = web
        self._secrets: dict[Version, Callable[[], str]] = {"v1": v1_key, "v2": v2_token}

    def get(self, version: Version, path: str, **query: str) -> Any:  # noqa: ANN401 (whatever JSON holds)
        """Return the JSON value at a path such as ``release/``."""
        answer = self._ask(version, "GET", path, query=query)
        if answer.status >= FAILURES:
            raise WorldError(
                answer.said,
                code="SITE_FAILED",
                remedy="The site itself has failed: run the step again later.",
            )
        _refuse(answer)
        if answer.status != OK or answer.value is None:
            raise unreadable(answer.said)
        return answer.value

    def write(
        self, version: Version, method: str, path: str, fields: Mapping[str, object] | None = None
    ) -> Answer:
        """Change something; return the answer, whose status is below 300.

        Raises `UnknownStateError`, or `WorldError` if the site refused.
        """
        try:
            answer = self._ask(version, method, path, fields=fields)
        except WorldError as error:
            raise unknown_state(str(error)) from error
        if answer.status >= FAILURES:
            raise unknown_state(answer.said)
        _refuse(answer)
        return answer

    def _ask(
        self,
        version: Version,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> Answer:
        secret = self._secrets[version]()
        scheme = {"v1": "ApiKey", "v2": "Token"}[version]
        headers = {"Authorization": f"{scheme} {secret}", "Accept": "application/json"}
        path = f"api/{version}/downloads/{path}" + (f"?{urlencode(query)}" if query else "")
        with self._web.request(method, path, headers=headers, json=fields) as response:
            words = text(response)
        line = quoted(words, (secret, secret.rpartition(":")[2]))
        if content_type(response) == "text/html" and line:
            line = "an HTML page"
        return Answer(
            status=response.status_code,
            said=f"{method} {response.url} answered {response.status_code}: {line or 'nothing'}",
            value=_json(words) if content_type(response) == "application/json" else None,
            location=response.headers.get("Location", ""),
            retry_after=quoted(response.headers.get("Retry-After", "some")),
        )


def _json(words: str) -> object:
    try:
        return json.loads(words)
    except (ValueError, RecursionError):  # cut off, or made to break readers
        return None


def _refuse(answer: Answer) -> None:
    if answer.status < REDIRECTS:
        return
    if answer.status < REFUSALS:
        code, remedy = "SITE_REDIRECT", "Correct the site's address: redirects are not followed."
    elif answer.status == requests.codes.too_many_requests:
        code, remedy = "SITE_THROTTLED", f"Run the step again in {answer.retry_after} seconds."
    elif answer.status in {requests.codes.unauthorized, requests.codes.forbidden}:
        code, remedy = "SITE_DENIED", "Renew the key for the site, or ask for the right to write."
    else:
        code, remedy = "SITE_REFUSED", "Compare what was sent with what the site says about it."
    raise WorldError(answer.said, code=code, remedy=remedy)
