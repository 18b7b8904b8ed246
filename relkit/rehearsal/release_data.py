"""The rehearsal's PEPs repository: a bare git repository with the releases of each series."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from relkit.adapters.announcements import ReleaseFile
from relkit.adapters.git_command import Identity
from relkit.adapters.git_file import Branch, Here, Tree
from relkit.adapters.release_data import (
    PATH,
    entry,
    mark_status,
    releases,
    stage_of,
    statuses,
)
from relkit.release import Version

STAGES = (*(f"a{n}" for n in range(1, 8)), *(f"b{n}" for n in range(1, 5)), "rc1", "rc2", "")
INTERVAL = timedelta(days=28)
HEADING = "# The releases of a rehearsal, by series.\n\n"
WHO = Identity("Release data of a rehearsal", "peps@invalid")


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
        entry(
            version.series,
            stage_of(Version.parse(name)),
            "actual" if number < present else "expected",
            day + (number - present) * INTERVAL,
        )
        for number, name in enumerate(names)
    ]
    return "\n".join(entries)


class ReleaseData(ReleaseFile):
    """The file in its repository; each change is a commit on `main`."""

    def __init__(self, repository: Path) -> None:
        branch = Branch(Here("the PEPs repository", repository))
        super().__init__(branch, WHO, grows=True)
        self.branch = branch

    def create(self, version: Version, day: date, known: Mapping[str, str] | None = None) -> None:
        """Make the repository, with the releases of the series expected, unless they are.

        `known` is the status of each series; one that has one already keeps it, but for that of
        `version`.
        """

        def edited(tree: Tree) -> dict[str, bytes]:
            text, series = (tree.get(PATH) or HEADING.encode()).decode(), version.series
            there = statuses(text)
            for name, status in (known or {}).items():
                if name == series or name not in there:
                    text = mark_status(text, name, status)
            if series not in releases(text):
                text = text.rstrip("\n") + "\n\n" + expected_releases(version, day)
            return {PATH: text.encode()}

        begun = datetime.combine(day - timedelta(days=365), time(12), UTC)
        self.branch.commit(edited, "Expect releases", WHO, begun)
