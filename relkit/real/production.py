"""Production: the world in which releases of Python are really made.

Nothing comes here by accident: a world's file must say that it is production, be complete, and name
nothing on this machine; and it is refused altogether where `BARRED` is set, as tests set it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from relkit.adapters.machine import refuse_missing_tools
from relkit.adapters.value_files import locked, read_value, write_value
from relkit.errors import UsageError
from relkit.ports import World
from relkit.real.gaps import lacking
from relkit.release import Release
from relkit.values import Value, digest_of
from relkit.worlds import WorldFile, listed

BARRED = "RELKIT_NO_PRODUCTION"
"""The variable of the environment that keeps a process, and all it starts, out of production."""


class Place(Value):
    """What ``world.json`` of a production says: the place of one world's state, and its mark."""

    name: str
    id: str

    def nonce(self, key: str) -> str:
        """Return what marks the deeds of the run of a release, by its key."""
        return digest_of([self.id, key])[:16]


def require_complete(file: WorldFile, release: Release) -> None:
    """Refuse a production that cannot be opened, before anything is begun.

    Raises `UsageError` (``PRODUCTION_BARRED``, ``WORLD_INCOMPLETE``), `CheckError`
    (``TOOL_MISSING``).
    """
    if barred := os.environ.get(BARRED):
        raise UsageError(
            f"{file.name} is production, and {BARRED} is set to {barred}",
            code="PRODUCTION_BARRED",
            remedy="Use a rehearsal: worlds/rehearsal.toml. To release, open a shell without it.",
        )
    refuse_missing_tools()
    if missing := [str(one) for one in lacking(file, release)]:
        raise UsageError(
            f"the file of the world {file.name} leaves out, each with an example:{listed(missing)}",
            code="WORLD_INCOMPLETE",
            remedy="Fill them in, in a copy of your own; docs/production.md says what each is.",
        )


def open_production(
    file: WorldFile, digest: str, record: Path, release: Release
) -> tuple[World, Callable[[], None]]:
    """Open production for a release; return its world and how to close it.

    Its state lies beside the records, and is made if it is not there. Raises what
    `require_complete` raises.
    """
    from relkit.adapters.secrets import Secrets  # noqa: PLC0415 (most only rehearse)
    from relkit.real.systems import Systems  # noqa: PLC0415
    from relkit.real.world import production_world  # noqa: PLC0415

    require_complete(file, release)
    state = record.parent / file.state
    place = _place(state, file.name)
    systems = Systems(
        file=file,
        state=state,
        artifacts=state / "artifacts" / release.amended.key,
        release=release,
        secrets=Secrets(file.name),
    )
    with ExitStack() as stack:
        world = production_world(stack, systems, digest, place.nonce(release.key))
        return world, stack.pop_all().close


def _place(state: Path, name: str) -> Place:
    marker = state / "world.json"
    with locked(state / "world"):
        if not marker.exists():
            write_value(marker, Place(name=name, id=secrets.token_hex(8)))
        place = read_value(marker, Place)
    if place.name != name:
        raise UsageError(
            f"the state beside the records is that of {place.name}, not of {name}",
            code="WORLD_SOURCE",
            remedy="Use another folder for the records, or the state's own name in the file.",
        )
    return place
