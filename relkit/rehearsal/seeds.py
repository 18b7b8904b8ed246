"""A healthy beginning: what tracker, buildbots and site hold when a branch joins a world.

Each function leaves what is there already, so that it can be called again after a kill.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, time
from functools import partial
from pathlib import Path

from relkit.adapters.value_files import StateFile, write_value
from relkit.rehearsal.calendar import Phase, phases, published_before, series_number
from relkit.rehearsal.site import Site
from relkit.rehearsal.state import BuildbotState, TrackerState
from relkit.release import Release, Version
from relkit.values import ADMINISTRATORS, Buildbot, CommitCheck, Issue

GENERATED_FILES_CHECK = "Check if generated files are up to date"
RULES = ("require a pull request", "require green checks", ADMINISTRATORS)
BUILDERS = ("AMD64 Debian", "AMD64 Windows 11", "ARM64 macOS", "AMD64 FreeBSD", "s390x RHEL")
OFFLINE = BUILDERS[-1]
NUMBERS_OF = 15
"""The minor version whose issues have the numbers that are written down here."""
NUMBERS_APART = 10_000


@dataclass(frozen=True)
class Branch:
    """A branch that a release is made from: its head, and the series on it."""

    name: str
    series: str
    head: str


def backport_label(series: str) -> str:
    """Return the label that asks for a backport to a series."""
    return f"needs backport to {series}"


def seed_tracker(file: Path, release: Release, branch: Branch) -> None:
    """Let a release of the branch begin: nothing blocks it, and all that ran for it is green.

    Two issues are deferred, unless the release would have to wait for them. All branches that are
    alive on the day have their labels and rules.
    """
    if not file.exists():
        write_value(file, TrackerState(default_checks=_checks()))
    StateFile(file, TrackerState).change(partial(_seeded, release=release, branch=branch))


def _seeded(state: TrackerState, release: Release, branch: Branch) -> TrackerState:
    alive = [one for one in phases(release).values() if one.is_alive]
    labels = {*state.labels} or {"release-blocker", "deferred-blocker", "type-bug", "docs"}.union(
        *(_labels_of(one) for one in alive)
    )
    own = phases(release)[branch.series]
    known = any(branch.series in issue.labels for issue in state.issues)
    return state.model_copy(
        update={
            "issues": state.issues if known else (*state.issues, *_issues(release)),
            "labels": tuple(sorted(labels | _labels_of(own))),
            "rules": {own.branch: RULES} | (state.rules or {one.branch: RULES for one in alive}),
            "checks": {branch.head: _checks()} | state.checks,
        }
    )


def _labels_of(phase: Phase) -> set[str]:
    """Return the labels a series has: its own, and once it has a branch that for backports."""
    backports = {backport_label(phase.series)} if phase.branch != "main" else set()
    return {phase.series, *backports}


def _checks() -> tuple[CommitCheck, ...]:
    return tuple(
        CommitCheck(name=name, conclusion="success")
        for name in (GENERATED_FILES_CHECK, "Docs", "Ubuntu", "Windows", "macOS")
    )


def _issues(release: Release) -> Iterable[Issue]:
    """Yield open issues of the series; their numbers are another range for each."""
    series = release.version.series
    offset = (series_number(series) - NUMBERS_OF) * NUMBERS_APART
    if release.facts.publishes and not release.facts.strict:
        blocking = tuple(sorted((series, "deferred-blocker", "type-bug")))
        title = "Traceback of a nested task group is cut"
        yield Issue(number=140_001 + offset, title=title, labels=blocking)
        title = "Free-threaded build: slow start of a thread pool"
        yield Issue(number=140_007 + offset, title=title, labels=blocking)
    typo = "Typo in a docstring of shelve"
    yield Issue(number=139_500 + offset, title=typo, labels=(series, "docs"))


def seed_buildbots(file: Path, branch: Branch) -> None:
    """Let all buildbots have succeeded for the head; one of them is offline by now."""
    if not file.exists():
        write_value(file, BuildbotState())
    rows = tuple(
        Buildbot(name=name, online=name != OFFLINE, commit=branch.head, result="success")
        for name in BUILDERS
    )
    _add_rows(file, branch.name, rows)


def seed_builders(file: Path, branch: str) -> None:
    """Let there be builders for a new branch, which have built nothing yet."""
    rows = tuple(
        Buildbot(name=name, online=name != OFFLINE, commit=None, result=None) for name in BUILDERS
    )
    _add_rows(file, branch, rows)


def _add_rows(file: Path, branch: str, rows: tuple[Buildbot, ...]) -> None:
    StateFile(file, BuildbotState).change(
        lambda state: state.model_copy(update={"branches": {branch: rows} | state.branches})
    )


def pass_time(tracker: Path, buildbots: Path, branch: Branch) -> None:
    """Let happen what happens between two releases, if the branch has moved since the last one.

    What blocks a release of the series is fixed, and the buildbots have built the head.
    """
    bots = StateFile(buildbots, BuildbotState)
    rows = bots.read().branches.get(branch.name, ())
    if any(row.commit == branch.head for row in rows):
        return
    blocking = {branch.series, "release-blocker"}
    StateFile(tracker, TrackerState).change(
        lambda state: state.model_copy(
            update={"issues": tuple(x for x in state.issues if not blocking <= set(x.labels))}
        )
    )
    done = {"commit": branch.head, "result": "success"}
    built = {row.name: row.model_copy(update=done) for row in rows}
    bots.change(
        lambda state: state.model_copy(
            update={"branches": {**state.branches, branch.name: (*rows, *built.values())}}
        )
    )


def seed_site(site: Site, release: Release, own: Collection[str]) -> None:
    """Let the site show what was published before; the newest stable release is the latest.

    Those of the series in `own` are left to the releases that are made in this world.
    """
    for version, day in published_before(release):
        if version.series in own:
            continue
        stable = not version.suffix
        newest = all(_series_of(row) <= version.minor for row in site.releases() if _stable(row))
        site.seed(
            {
                "name": f"Python {version}",
                "slug": "python-" + str(version).replace(".", ""),
                "version": 3,
                "is_published": True,
                "is_latest": stable and newest,
                "release_date": datetime.combine(day, time(12)).isoformat(),
                "pre_release": not stable,
                "show_on_download_page": stable,
                "release_notes_url": "",
            },
            f"Python {version} was released before this rehearsal began; it has no files here.",
        )


def _stable(row: dict[str, object]) -> bool:
    return bool(row["is_published"]) and not row["pre_release"]


def _series_of(row: dict[str, object]) -> int:
    return Version.parse(str(row["name"]).removeprefix("Python ")).minor
