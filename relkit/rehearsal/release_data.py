"""The rehearsal's PEPs repository: a bare git repository with the releases of each series.

``release_management/python-releases.toml`` has, for each series, a table ``metadata`` with its
`status`, and a list of releases with `stage` (``3.15.0 alpha 1``), `state` (``expected`` or
``actual``) and `date`. It is edited line by line, so that comments and order stay, and read again
before it is committed.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from relkit.errors import WorldError
from relkit.release import Version

PATH = "release_management/python-releases.toml"
BRANCH = "refs/heads/main"
NOTHING = "0" * 40
STAGES = (*(f"a{n}" for n in range(1, 8)), *(f"b{n}" for n in range(1, 5)), "rc1", "rc2", "")
STAGE_NAMES = {"a": "alpha", "b": "beta", "rc": "candidate", "final": "final"}
INTERVAL = timedelta(days=28)
HEADING = "# The releases of a rehearsal, by series.\n\n"
TIMEOUT_SECONDS = 60.0
WHO = "Release data of a rehearsal"


def mark_released(text: str, series: str, stage: str, day: date) -> str:
    """Return the data with one release marked as made on `day`; it is added if it is missing."""
    heading = f'[[release."{series}"]]'
    # Each part but the first begins with the heading of a table.
    parts = re.split(r"(?m)^(?=\[)", text)
    for number, part in enumerate(parts):
        if part.startswith(heading) and f'stage = "{stage}"' in part.splitlines():
            made = re.sub(r"(?m)^state = .*$", 'state = "actual"', part)
            parts[number] = re.sub(r"(?m)^date = .*$", f"date = {day.isoformat()}", made)
            return "".join(parts)
    return text.rstrip("\n") + "\n\n" + _entry(series, stage, "actual", day).rstrip("\n") + "\n"


def released(text: str, series: str, stage: str) -> date | None:
    """Return when a release was made, by the data; None if it was not."""
    for release in _releases(text).get(series, []):
        if release.get("stage") == stage and release.get("state") == "actual":
            found = release.get("date")
            return found if isinstance(found, date) else None
    return None


def mark_status(text: str, series: str, status: str) -> str:
    """Return the data with another status of a series, which is added if it is missing."""
    heading = f'[metadata."{series}"]'
    parts = re.split(r"(?m)^(?=\[)", text)
    for number, part in enumerate(parts):
        if part.startswith(heading):
            marked = re.sub(r"(?m)^status = .*$", f'status = "{status}"', part)
            branch = _branch(series, status)
            parts[number] = re.sub(r"(?m)^branch = .*$", f'branch = "{branch}"', marked)
            return "".join(parts)
    return text.rstrip("\n") + "\n\n" + _metadata(series, status)


def statuses(text: str) -> dict[str, str]:
    """Return the status of each series, by the data."""
    return {series: str(table.get("status")) for series, table in _tables(text, "metadata").items()}


def expected_releases(version: Version, day: date) -> str:
    """Return the data for the series of `version`, which is expected on `day`.

    Releases are four weeks apart; those before `version` count as made. After the first stable
    release one more patch release is expected than `version`.
    """
    patches = [f"{version.series}.{micro}" for micro in range(1, version.micro + 2)]
    names = [f"{version.series}.0{suffix}" for suffix in STAGES]
    names += patches if version.micro else []
    known = str(version) if str(version) in names else version.base
    present = names.index(known)
    entries = [
        _entry(
            version.series,
            stage_of(Version.parse(name)),
            "actual" if number < present else "expected",
            day + (number - present) * INTERVAL,
        )
        for number, name in enumerate(names)
    ]
    return "\n".join(entries)


def stage_of(version: Version) -> str:
    """Return a version as the data has it: ``3.15.0 candidate 1``, ``3.15.0 final``."""
    return f"{version.base} {STAGE_NAMES[version.level]} {version.serial or ''}".rstrip()


def _metadata(series: str, status: str) -> str:
    branch = _branch(series, status)
    return f'[metadata."{series}"]\nstatus = "{status}"\nbranch = "{branch}"\n'


def _branch(series: str, status: str) -> str:
    return "main" if status == "feature" else series


def _entry(series: str, stage: str, state: str, day: date) -> str:
    return (
        f'[[release."{series}"]]\nstage = "{stage}"\nstate = "{state}"\ndate = {day.isoformat()}\n'
    )


class ReleaseData:
    """The file in its repository; each change is a commit on `main`."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository

    def create(self, version: Version, day: date, known: Mapping[str, str] | None = None) -> None:
        """Make the repository, with the releases of the series expected, unless they are.

        `known` is the status of each series; one that has one already keeps it, but for that of
        `version`.
        """
        git = ("git", "init", "--quiet", "--bare", "--initial-branch=main", "--template=")
        _run((*git, str(self._repository)), env={})
        head, series = self._head(), version.series
        before = self._read() if head else HEADING
        text, there = before, statuses(before)
        for name, status in (known or {}).items():
            if name == series or name not in there:
                text = mark_status(text, name, status)
        if series not in _releases(text):
            text = text.rstrip("\n") + "\n\n" + expected_releases(version, day)
        if text != before:
            self._commit(text, "Expect releases", day - timedelta(days=365), head or NOTHING)

    def status(self, series: str) -> str | None:
        """Return the status of a series; None: the data does not have it."""
        return statuses(self._read()).get(series)

    def set_status(self, series: str, status: str) -> None:
        """Commit the status of a series; nothing if the data says so already."""
        head, before = self._head(), self._read()
        found = statuses(before)
        if head is None or found.get(series) == status:
            return
        after = mark_status(before, series, status)
        if statuses(after) != {**found, series: status} or _releases(after) != _releases(before):
            raise _unfit(f"editing {PATH} for the status of {series} would change more than that")
        self._commit(after, f"Python {series} is {status}", self._day(), head)

    def day_of(self, series: str, version: str) -> str | None:
        """Return the day (ISO) a version was released on; None if it was not."""
        day = released(self._read(), series, stage_of(Version.parse(version)))
        return day.isoformat() if day else None

    def record(self, series: str, version: str, day: date) -> None:
        """Commit that a version was released; nothing if the data says so already."""
        head, stage = self._head(), stage_of(Version.parse(version))
        before = self._read()
        if head is None or released(before, series, stage) == day:
            return
        after = mark_released(before, series, stage, day)
        _require_only(before, after, series, stage, day)
        self._commit(after, f"Python {version} is released", day, head)

    def _day(self) -> date:
        """Return the day of the last commit, so that no clock has a part in the next one."""
        return date.fromisoformat(self._git("log", "-1", "--format=%cs", BRANCH).strip())

    def _head(self) -> str | None:
        found = self._git("for-each-ref", "--format=%(objectname)", BRANCH).strip()
        return found or None

    def _read(self) -> str:
        return self._git("cat-file", "blob", f"{BRANCH}:{PATH}")

    def _commit(self, text: str, message: str, day: date, parent: str) -> None:
        """Commit the file on `parent`, if the branch still stands there; no clock has a part."""
        blob = self._git("hash-object", "-w", "--stdin", given=text).strip()
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            if parent != NOTHING:
                self._git("read-tree", parent, env=index)
            entry = f"100644,{blob},{PATH}"
            self._git("update-index", "--add", "--cacheinfo", entry, env=index)
            tree = self._git("write-tree", env=index).strip()
        parents = () if parent == NOTHING else ("-p", parent)
        time = f"{day.isoformat()}T12:00:00+00:00"
        env = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", WHO), ("EMAIL", "peps@invalid"), ("DATE", time))
        }
        commit = self._git("commit-tree", tree, *parents, "-m", message, env=env).strip()
        self._git("update-ref", BRANCH, commit, parent)

    def _git(self, *command: str, given: str = "", env: Mapping[str, str] | None = None) -> str:
        return _run(("git", f"--git-dir={self._repository}", *command), given, env or {})


def _run(command: tuple[str, ...], given: str = "", env: Mapping[str, str] | None = None) -> str:
    """Run git without the settings of the person or machine; return what it printed."""
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            input=given.encode(),
            capture_output=True,
            check=True,
            timeout=TIMEOUT_SECONDS,
            env={"PATH": os.environ.get("PATH", os.defpath), **own, **(env or {})},
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", b"") or str(error).encode()
        raise WorldError(
            f"the PEPs repository refuses: {said.decode(errors='replace').strip()}",
            code="RELEASE_DATA",
            remedy="Look at the world's peps.git; then run this again.",
        ) from error
    return done.stdout.decode()


def _releases(text: str) -> dict[str, list[dict[str, object]]]:
    """Return the releases by series; raise `WorldError` (``RELEASE_DATA``)."""
    try:
        found = _tables(text, "release")
        return {series: [dict(entry) for entry in found[series]] for series in found}
    except (TypeError, ValueError) as error:
        raise _unreadable(error) from error


def _tables(text: str, kind: str) -> dict[str, Any]:
    try:
        found = tomllib.loads(text).get(kind, {})
        return {series: found[series] for series in found}
    except (TypeError, ValueError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> WorldError:
    return WorldError(
        f"{PATH} cannot be read: {error}",
        code="RELEASE_DATA",
        remedy="Mend it there; each release is a table of its series.",
    )


def _unfit(message: str) -> WorldError:
    return WorldError(
        message, code="RELEASE_DATA", remedy="Edit it by hand there, and look at its form."
    )


def _require_only(before: str, after: str, series: str, stage: str, day: date) -> None:
    """Raise `WorldError` (``RELEASE_DATA``) unless just this release is another after the edit."""
    entries = _releases(before)
    of_series = entries.setdefault(series, [])
    found = [entry for entry in of_series if entry.get("stage") == stage]
    if not found:
        found = [{"stage": stage}]
        of_series.extend(found)
    found[0].update(state="actual", date=day)
    if _releases(after) != entries or statuses(after) != statuses(before):
        raise _unfit(f"editing {PATH} for {stage} would change more than that")
