"""The rehearsal's PEPs repository: a bare git repository with the releases of each series.

``release_management/python-releases.toml`` has, for each series, a list of releases with `stage`
(``3.15.0 alpha 1``), `state` (``expected`` or ``actual``) and `date`. It is edited line by line,
so that comments and order stay, and read again before it is committed.
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

from relkit.errors import WorldError
from relkit.release import Version

PATH = "release_management/python-releases.toml"
BRANCH = "refs/heads/main"
NOTHING = "0" * 40
STAGES = (*(f"a{n}" for n in range(1, 8)), *(f"b{n}" for n in range(1, 5)), "rc1", "rc2", "")
INTERVAL = timedelta(days=28)
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


def expected_releases(version: Version, day: date) -> str:
    """Return the data for the series of `version`, which is expected on `day`.

    Releases are four weeks apart; those before `version` count as made.
    """
    present = STAGES.index(version.suffix) if version.suffix in STAGES else len(STAGES)
    entries = [
        _entry(
            version.series,
            Version.parse(f"{version.series}.0{suffix}").spelled,
            "actual" if number < present else "expected",
            day + (number - present) * INTERVAL,
        )
        for number, suffix in enumerate(STAGES)
    ]
    return "# The releases of a rehearsal, by series.\n\n" + "\n".join(entries)


def _entry(series: str, stage: str, state: str, day: date) -> str:
    return (
        f'[[release."{series}"]]\nstage = "{stage}"\nstate = "{state}"\ndate = {day.isoformat()}\n'
    )


class ReleaseData:
    """The file in its repository; each change is a commit on `main`."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository

    def create(self, version: Version, day: date) -> None:
        """Make the repository, with all releases of the series expected; harmless if it is."""
        git = ("git", "init", "--quiet", "--bare", "--initial-branch=main", "--template=")
        _run((*git, str(self._repository)), env={})
        if self._head() is None:
            text = expected_releases(version, day)
            self._commit(text, "Expect releases", day - timedelta(days=365), NOTHING)

    def day_of(self, series: str, version: str) -> str | None:
        """Return the day (ISO) a version was released on; None if it was not."""
        day = released(self._read(), series, Version.parse(version).spelled)
        return day.isoformat() if day else None

    def record(self, series: str, version: str, day: date) -> None:
        """Commit that a version was released; nothing if the data says so already."""
        head, stage = self._head(), Version.parse(version).spelled
        before = self._read()
        if head is None or released(before, series, stage) == day:
            return
        after = mark_released(before, series, stage, day)
        _require_only(before, after, series, stage, day)
        self._commit(after, f"Python {version} is released", day, head)

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
        found = tomllib.loads(text).get("release", {})
        return {series: [dict(entry) for entry in found[series]] for series in found}
    except (TypeError, ValueError) as error:
        raise WorldError(
            f"{PATH} cannot be read: {error}",
            code="RELEASE_DATA",
            remedy="Mend it there; each release is a table of its series.",
        ) from error


def _require_only(before: str, after: str, series: str, stage: str, day: date) -> None:
    """Raise `WorldError` (``RELEASE_DATA``) unless just this release is another after the edit."""
    entries = _releases(before)
    of_series = entries.setdefault(series, [])
    found = [entry for entry in of_series if entry.get("stage") == stage]
    if not found:
        found = [{"stage": stage}]
        of_series.extend(found)
    found[0].update(state="actual", date=day)
    if _releases(after) != entries:
        raise WorldError(
            f"editing {PATH} for {stage} would change more than that",
            code="RELEASE_DATA",
            remedy="Edit it by hand there, and look at its form.",
        )
