"""What may be purged of a delivery network, found out without purging what anybody reads."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ValidationError

from relkit.adapters.cdn_purge import DENIED, KEY_HEADER, OK
from relkit.adapters.rest import Rest
from relkit.adapters.web import Web, quoted, text
from relkit.errors import CheckError, WorldError
from relkit.probe import Seen

PURGING = {"global", "purge_select"}
"""The scopes of a key that lets it purge by surrogate key."""
NOBODYS = "relkit-doctor"
"""A path that nobody reads: at most a cache forgets of it that nothing is there."""


class _Token(BaseModel):
    scope: str
    services: tuple[str, ...] = ()
    expires_at: AwareDatetime | None = None


def key_told(api: Rest, service: str) -> Seen:
    """Return what the key says of itself. Raises `CheckError` (``PURGE_SCOPE``) if it is no use.

    A key that names no services is for all of its account.
    """
    answer = api.get("tokens/self")
    try:
        token = _Token.model_validate(answer.value)
    except ValidationError as error:
        raise api.unreadable(answer.said) from error
    scopes = set(token.scope.split())
    if not scopes & PURGING or (token.services and service not in token.services):
        services = ", ".join(token.services) or "every service"
        raise CheckError(
            quoted(f"the key may {token.scope or 'nothing'} for {services}, not purge {service}"),
            code="PURGE_SCOPE",
            remedy="Ask the infrastructure team for a key that may purge this one service.",
        )
    until: datetime | None = token.expires_at
    return Seen(quoted(f"it may {token.scope}"), until=until)


def forgets(site: Web, key: str) -> Seen:
    """Have an address forgotten that nobody has; with the key, if it is not done without one."""
    status, said = _asked(site, "")
    if status in DENIED and key:
        status, said = _asked(site, key)
    if status == OK:
        return Seen("it was forgotten")
    raise WorldError(
        f"the site answered PURGE of an address with {status} {said}".rstrip(),
        code="PURGE_REFUSED" if status in DENIED else "PURGE_FAILED",
        remedy="Ask the infrastructure team whether addresses are purged with a key, and for one.",
    )


def _asked(site: Web, key: str) -> tuple[int, str]:
    headers = {KEY_HEADER: key} if key else {}
    with site.request("PURGE", NOBODYS, headers=headers) as response:
        return response.status_code, quoted(text(response), (key,))
