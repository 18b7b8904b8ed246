"""Known vulnerabilities of installed packages, from a dated database in a local file.

The file is JSON: ``date`` (ISO 8601 with time zone), ``control`` (a package and version that are
installed nowhere) and ``advisories``, each with ``id``, ``package``, ``summary`` and either
``below`` (the first version that is mended) or ``versions``. One of them must hit the control; a
database in which none does is as good as none.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Mapping
from datetime import timedelta
from importlib.metadata import distributions
from pathlib import Path
from typing import Annotated, Self

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, AwareDatetime, Field, ValidationError, model_validator

from relkit.ports import Clock
from relkit.values import Scan, Value

MAX_AGE = timedelta(days=7)


def _version(text: str) -> str:
    Version(text)  # InvalidVersion is a ValueError, which pydantic reports
    return text


VersionText = Annotated[str, AfterValidator(_version)]
PackageName = Annotated[str, AfterValidator(canonicalize_name), Field(min_length=1)]


class Advisory(Value):
    """A known vulnerability: versions `below` one, or exactly these `versions`, have it."""

    id: Annotated[str, Field(min_length=1)]
    package: PackageName
    summary: str
    below: VersionText | None = None
    versions: tuple[VersionText, ...] = ()

    @model_validator(mode="after")
    def _hits_something(self) -> Self:
        if (self.below is None) == (not self.versions):
            message = "an advisory has either 'below' or 'versions'"
            raise ValueError(message)
        return self

    def hits(self, version: Version) -> bool:
        """Tell whether a version is vulnerable."""
        if self.below is not None:
            return version < Version(self.below)
        return version in map(Version, self.versions)


class Control(Value):
    """A made-up package that a working scanner must find vulnerable."""

    package: PackageName
    version: VersionText


class Database(Value):
    """The whole file."""

    date: AwareDatetime
    control: Control
    advisories: tuple[Advisory, ...]


class LocalAdvisories:
    """The form of the port `Advisories` that reads a local database.

    A file that is missing, is no such database, or is older than `max_age` (or from the future)
    gives a scan that has not found its control: it says nothing, and shows no findings.
    `installed` are versions by package; the default is this environment.
    """

    def __init__(
        self,
        *,
        file: Path,
        clock: Clock,
        max_age: timedelta = MAX_AGE,
        installed: Mapping[str, str] | None = None,
    ) -> None:
        self._file = file
        self._clock = clock
        self._max_age = max_age
        self._installed = installed

    def scan(self) -> Scan:
        """Compare the installed packages with the advisory database."""
        installed = installed_versions() if self._installed is None else self._installed
        blind = Scan(control_found=False, database_date=None, packages=len(installed), findings=())
        try:
            database = Database.model_validate_json(self._file.read_bytes())
        except (OSError, ValidationError):
            return blind  # the step that asked refuses to go on
        dated = blind.model_copy(update={"database_date": database.date})
        if not timedelta(0) <= self._clock.now() - database.date <= self._max_age:
            return dated
        control = database.control
        return dated.model_copy(
            update={
                "control_found": bool(_findings(database, {control.package: control.version})),
                "findings": _findings(database, installed),
            }
        )


def installed_versions() -> dict[str, str]:
    """Return the versions of the packages of this environment, by normalised name."""
    found = distributions(path=[sysconfig.get_path("purelib")])
    return {canonicalize_name(one.name): one.version for one in found}


def _findings(database: Database, installed: Mapping[str, str]) -> tuple[str, ...]:
    lines = []
    for advisory in database.advisories:
        text = installed.get(advisory.package)
        if text is not None and _hit(advisory, text):
            lines.append(f"{advisory.package} {text}: {advisory.id}, {advisory.summary}")
    return tuple(sorted(lines))


def _hit(advisory: Advisory, text: str) -> bool:
    try:
        return advisory.hits(Version(text))
    except InvalidVersion:
        return True  # not to be compared: a person has to look
