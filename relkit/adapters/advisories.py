"""Known vulnerabilities of installed packages: from a dated local file, or from pip-audit.

The file is JSON: ``date`` (ISO 8601 with time zone), ``control`` (a package and version that are
installed nowhere) and ``advisories``, each with ``id``, ``package``, ``summary`` and either
``below`` (the first version that is mended) or ``versions``. One of them must hit the control; a
database in which none does is as good as none.

pip-audit is no part of the lock: it needs more packages than it would guard here. It is a tool of
its own (``pipx install pip-audit``). Without data it says that there are no known
vulnerabilities, and ends with 0: only the control tells that from an answer.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig
import tempfile
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
CONTROL = ("gitpython", "3.1.29")
"""A version with a vulnerability that every database has (CVE-2022-24439, fixed in 3.1.30)."""
AUDIT_SECONDS = 300.0
PASSED_ON = ("PATH", "HOME", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "https_proxy")
"""What pip-audit sees of the environment: no token, no setting of pip."""


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


class Audited(Value, extra="ignore"):
    """A package in pip-audit's answer: either looked at, or left out for a reason."""

    name: PackageName
    version: str = ""
    vulns: tuple[Mapping[str, object], ...] = ()
    skip_reason: str | None = None

    def lines(self) -> tuple[str, ...]:
        """Return what a person has to look at."""
        if self.skip_reason is not None:
            return (f"{self.name}: not looked at, {self.skip_reason}",)
        return tuple(f"{self.name} {self.version}: {one.get('id')}" for one in self.vulns)


class Audit(Value, extra="ignore"):
    """pip-audit's answer (``--format json``)."""

    dependencies: tuple[Audited, ...]


class PipAudit:
    """The form of the port `Advisories` that asks pip-audit about a lock file.

    A program that is missing, fails, or answers what cannot be understood gives a scan without a
    date. `packages` are those that were looked at; others are findings.
    """

    def __init__(self, *, lock: Path, clock: Clock, program: str = "pip-audit") -> None:
        self._lock = lock
        self._clock = clock
        self._program = program

    def scan(self) -> Scan:
        """Ask about the control, and if that is answered, about each package of the lock."""
        with tempfile.TemporaryDirectory(prefix="relkit-") as folder:
            control = Path(folder) / "control.txt"
            control.write_text("==".join(CONTROL) + "\n", encoding="ascii")
            known = self._audit(control, "--no-deps")
        found = known is not None and any(
            (one.name, one.version) == CONTROL and one.vulns for one in known.dependencies
        )
        asked = self._audit(self._lock, "--require-hashes") if known is not None else None
        packages = asked.dependencies if asked else ()
        return Scan(
            control_found=found,
            database_date=None if asked is None else self._clock.now(),
            packages=sum(one.skip_reason is None for one in packages),
            findings=tuple(line for one in packages for line in one.lines()) if found else (),
        )

    def _audit(self, requirements: Path, *options: str) -> Audit | None:
        command = [self._program, "--requirement", str(requirements), *options, "--disable-pip"]
        command += ["--format", "json", "--progress-spinner", "off"]
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,  # 1 stands for findings, and for failures too
                timeout=AUDIT_SECONDS,
                env=environment,
            )
            return Audit.model_validate_json(done.stdout)
        except (OSError, subprocess.SubprocessError, ValidationError):
            return None  # the step that asked refuses to go on


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
