"""The description of a world: one validated TOML file without secrets."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, ValidationError

from relkit.errors import UsageError
from relkit.kinds import Kind
from relkit.places import LOOPBACK, Services
from relkit.values import Identity, Value

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,60}$")]
Folder = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}$")]
"""The name of a folder beside the records: never the folder of the records itself, or above."""
ADDRESSES = {"upstream", "fork", "api", "url", "peps", "blog", "meeting", "posts"}
"""The fields of services that are addresses."""
MAX_BYTES = 1 << 20
MOST = 40
"""So many things of one kind are named in a refusal."""
SHORT = re.compile(r"[a-z][a-z0-9_-]*@([A-Za-z0-9.-]+):")


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise ValueError(f"no such time zone: {name}") from error
    return name


Name = Annotated[str, Field(min_length=1, max_length=80)]


class Role(Value):
    """A person in a role; `played` says that the rehearsal answers for this person.

    `also` are further people in the same role, who can take over. In production `identities` has,
    by name, what each of them signs with; in a rehearsal everybody has a throw-away key.
    """

    name: Name
    also: tuple[Name, ...] = ()
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    played: bool = False
    identities: dict[Name, tuple[Identity, ...]] = Field(default={})


class WorldFile(Value):
    """A world as its file describes it.

    `state` is a folder beside the records. `policy_version` grows whenever people, gates or
    waivers change. `gates` maps each gate to the roles that must
    approve, and `kinds` has the gates of a kind for which that is otherwise; `waivers_needed` is
    how many persons of the roles `waivers` it takes in a kind (else one). `tests` is the
    selection run from the unpacked tarball. `package_index` is where the SBOM's look-ups go
    (PEP 691); empty: nobody is asked, and the SBOM says what it lacks. `services` is where the real
    systems are.
    """

    name: Word
    form: Literal["rehearsal", "production"]
    state: Folder = "world"
    policy_version: Annotated[int, Field(ge=1)] = 1
    patience_seconds: Annotated[float, Field(ge=0, le=86_400)]
    tests: Annotated[tuple[Word, ...], Field(min_length=1)]
    people: dict[Word, Role]
    gates: dict[Word, Annotated[tuple[Word, ...], Field(min_length=1)]]
    kinds: dict[Kind, dict[Word, Annotated[tuple[Word, ...], Field(min_length=1)]]] = Field(
        default={}
    )
    waivers: tuple[Word, ...]
    waivers_needed: dict[Kind, Annotated[int, Field(ge=1, le=9)]] = Field(default={})
    package_index: Annotated[str, Field(pattern=r"^(https?://[^\s?#]{1,200}/)?$")] = ""
    manager_email: Annotated[str, Field(pattern=r"^([^@\s]{1,60}@[^@\s]{1,60})?$")]
    services: Services = Services()

    @property
    def rehearsal(self) -> bool:
        """Whether nothing outside this machine is touched."""
        return self.form == "rehearsal"


def read_world_file(path: Path) -> tuple[WorldFile, str]:
    """Return a world file and its SHA-256; raise `UsageError` (``WORLD_FILE``)."""
    try:
        data = _read(path)
        file = WorldFile.model_validate(tomllib.loads(data.decode()))
    except (OSError, ValueError, ValidationError) as error:
        raise UsageError(
            f"{path.name} does not describe a world:{listed(_faults(error))}",
            code="WORLD_FILE",
            remedy="Take worlds/rehearsal.toml as the example.",
        ) from error
    _require_roles(path.name, file)
    _require_places(path.name, file)
    return file, hashlib.sha256(data).hexdigest()


def _require_roles(name: str, file: WorldFile) -> None:
    """Refuse a gate of a kind that is none, and a role that is asked and nobody has."""
    named = {(kind, gate) for kind, gates in file.kinds.items() for gate in gates}
    if typos := sorted(f"kinds.{kind}: {gate}" for kind, gate in named if gate not in file.gates):
        raise UsageError(
            f"{name} has gates of a kind that are no gates:{listed(typos)}",
            code="WORLD_FILE",
            remedy=f"The gates are {', '.join(file.gates)}.",
        )
    tables = {"gates": file.gates} | {f"kinds.{kind}": one for kind, one in file.kinds.items()}
    asked = [("release-manager", "every run"), *((role, "waivers") for role in file.waivers)]
    asked += [
        (role, in_table(table, gate))
        for table, gates in tables.items()
        for gate, roles in gates.items()
        for role in roles
    ]
    if strangers := [f"{role}, asked by {by}" for role, by in asked if role not in file.people]:
        raise UsageError(
            f"{name}: nobody has these roles:{listed(strangers)}",
            code="WORLD_FILE",
            remedy='Name a person for each, such as [people.web-editor] with name = "…".',
        )


def listed(things: Sequence[str]) -> str:
    """Return things as the end of a sentence: one on the same line, several each on their own."""
    shown = [*things[:MOST], *([f"and {len(things) - MOST} more"] if things[MOST:] else [])]
    return f" {shown[0]}" if len(shown) == 1 else "".join(f"\n  {one}" for one in shown)


def in_table(*place: str) -> str:
    """Return a place in a file as its reader finds it: ``[services.git] fork``."""
    *tables, key = place
    return f"[{'.'.join(tables)}] {key}" if tables else key


def _read(path: Path) -> bytes:
    """Return a plain file of at most so many bytes; a device has no end."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no plain file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    return data


def _require_places(name: str, file: WorldFile) -> None:
    """Refuse a rehearsal that reaches beyond this machine, and a production world that is one."""
    wrong = [
        f"{in_table('services', *place.split('.'))}: {host}"
        for place, host in hosts(file.services)
        if (host not in LOOPBACK if file.rehearsal else is_here(host))
    ]
    if wrong:
        what = "is not on this machine" if file.rehearsal else "is on this machine"
        raise UsageError(
            f"{name} is the file of a {file.form}, and names what {what}:{listed(wrong)}",
            code="WORLD_MIXED",
            remedy="Keep rehearsals and production in different files; neither reaches into the "
            "other.",
        )
    if not file.rehearsal and (played := [x for x, one in file.people.items() if one.played]):
        raise UsageError(
            f"{name} is the file of a production, and has people played:{listed(played)}",
            code="WORLD_MIXED",
            remedy="Nobody is played in production.",
        )


def is_here(host: str) -> bool:
    """Tell whether a host is this machine under any of the names that every machine has."""
    name = host.lower().rstrip(".")
    try:
        number = ip_address(name.strip("[]"))
    except ValueError:
        return name in LOOPBACK or name.endswith(".localhost")
    number = getattr(number, "ipv4_mapped", None) or number
    return number.is_loopback or number.is_unspecified


def hosts(services: Services) -> list[tuple[str, str]]:
    """Return each address of the services, as ``git.upstream``, with the host it names.

    A path without a host is on this machine; so is an address that names none.
    """
    return [
        (name, value if name.endswith(".host") else host_of(value))
        for name, value in addresses(services)
    ]


def addresses(services: Services) -> list[tuple[str, str]]:
    """Return each address and each server of the services, by its place: ``git.upstream``."""
    found = []
    for part, fields in services.model_dump(exclude_none=True).items():
        for field, value in fields.items():
            if field == "host" or field in ADDRESSES:
                values = value if isinstance(value, tuple) else (value,)
                found += [(f"{part}.{field}", one) for one in values if one]
    return found


def host_of(address: str) -> str:
    """Return the host of an address: a URL, git's short form for SSH, or a path on this machine.

    What is none of these names no place that is known, and so is not on this machine. Raises
    `UsageError` (``BAD_URL``).
    """
    if address.startswith("/"):
        return "localhost"
    if "://" not in address:
        short = SHORT.match(address)
        return short[1] if short else address
    try:
        parts = urlsplit(address)
        _ = parts.port  # a number that no port has is found out only here
    except ValueError as error:
        raise UsageError(
            f"{address[:80]!a} is no address: {str(error)[:80]!a}",
            code="BAD_URL",
            remedy="Correct it in the world's file: an absolute path, https:// or ssh://.",
        ) from error
    return parts.hostname or "localhost"


def _faults(error: Exception) -> list[str]:
    """Return what is wrong with a file; never what stands there, which may be a secret."""
    if isinstance(error, ValidationError):
        return [f"{in_table(*map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return [getattr(error, "strerror", None) or str(error).splitlines()[0]]
