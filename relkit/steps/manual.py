"""Manual steps: a person does something elsewhere and gives evidence, which is checked."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from functools import partial

from relkit.errors import GateError
from relkit.plan import Evidence, Item, Wait
from relkit.ports import World
from relkit.values import Testimony


def manual(
    world: World,
    name: str,
    role: str,
    ask: str,
    example: str,
    within: timedelta = timedelta(hours=24),
) -> Generator[Item, None, str | None]:
    """Ask a person for evidence of something done elsewhere; return its text once it is there.

    `example` shows the form of the answer; what the text says is for the caller to check. The
    text is evidence of the plan, so that a decision covers it. It is not signed, and is shown as
    that. Raises `GateError` (``EVIDENCE_FOREIGN``) if it was given in another role.
    """
    key = f"{world.nonce}-{name}"
    given = world.people.testimony(name=key)
    _require_role(given, role)
    tell = partial(
        world.people.tell,
        nonce=key,
        subject=f"evidence: {key}",
        text=f"{ask}\n\nAnswer in this form: {example}\n",
        roles=(role,),
    )
    told = given is not None or world.people.told(nonce=key)
    yield Wait(
        f"evidence: {name}",
        role,
        within,
        ready=given is not None,
        progress=f"in this form: {example}",
        start=None if told else tell,
    )
    if given is None:
        return None
    yield Evidence(f"{name}, by {given.who} ({given.role}), unsigned", given.text)
    return given.text


def _require_role(given: Testimony | None, role: str) -> None:
    if given is not None and given.role != role:
        raise GateError(
            f"{given.name} is asked of {role}; it is said by {given.who} as {given.role}",
            code="EVIDENCE_FOREIGN",
            remedy=f"Let {role} give it: what comes last counts.",
        )


def is_request(link: str, place: str) -> bool:
    """Tell whether a link is one to a pull request: its number behind `place`, and no more."""
    return link.startswith(place) and link.removeprefix(place).isdecimal()
