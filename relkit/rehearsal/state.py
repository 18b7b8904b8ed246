"""State of a local world: the models of its JSON files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import Field

from relkit.adapters.advisories import Advisory, Control, Database
from relkit.adapters.value_files import write_value
from relkit.values import Buildbot, CommitCheck, Issue, ObjectId, Value


class TrackerState(Value):
    """The tracker: open issues, all its labels, the rules that protect branches, check runs.

    An issue belongs to a series by a label of that name. `complete` False stands for an answer
    with pages missing. A commit without check runs of its own has the default ones.
    """

    issues: tuple[Issue, ...] = ()
    labels: tuple[str, ...] = ()
    complete: bool = True
    rules: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    checks: dict[ObjectId, tuple[CommitCheck, ...]] = Field(default_factory=dict)
    default_checks: tuple[CommitCheck, ...] = ()


class BuildbotState(Value):
    """Finished builds of stable builders, by branch; a later row of a builder is a later build."""

    branches: dict[str, tuple[Buildbot, ...]] = Field(default_factory=dict)


class PostsState(Value):
    """What was posted where the public reads it: texts by address."""

    posts: dict[str, str] = Field(default_factory=dict)


def seed_advisories(file: Path, *, date: datetime) -> None:
    """Write an advisory database of that date (UTC) with the control entry a scan must find."""
    control = Control(package="relkit-control", version="1.0")
    advisories = (
        Advisory(
            id="RELKIT-CONTROL", package=control.package, below="2", summary="planted for scanners"
        ),
        Advisory(
            id="CVE-2022-24439",
            package="GitPython",
            below="3.1.30",
            summary="a remote's address can run commands",
        ),
    )
    write_value(file, Database(date=date, control=control, advisories=advisories))
