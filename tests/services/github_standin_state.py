"""What the stand-in of GitHub keeps, is asked, and answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from relkit.adapters.editors import blurb_for
from relkit.adapters.processes import Places, ProcessBuilders
from relkit.adapters.value_files import StateFile, locked, write_value
from relkit.building.builder import PROGRAMS
from relkit.building.source import TOOLS
from relkit.expected import expected_of
from relkit.rehearsal.ports import LocalTracker
from relkit.rehearsal.standins import STANDINS
from relkit.rehearsal.state import TrackerState
from relkit.release import Release
from relkit.values import Build, Value

JSON = "application/json; charset=utf-8"
BASE = "/repos/{owner}/{repo}"
HOME = "https://github.invalid/"
TIME = "2026-01-01T00:00:00Z"
PINNED_WORKFLOW = f"""\
on: workflow_dispatch
jobs:
  build:
    steps:
      - uses: actions/checkout@{"1" * 40} # v5
      - uses: actions/upload-artifact@{"2" * 40} # v4
"""


class RunState(Value):
    """A run of the workflow; `made` is when (UTC, ISO 8601)."""

    id: int
    made: str
    inputs: dict[str, str]
    wrong: str = ""
    cancelled: bool = False
    attempt: int = 1


class Ruleset(Value):
    id: int
    name: str
    enforcement: Literal["active", "disabled", "evaluate"]
    ref: str
    rules: tuple[str, ...]


class Message(Value):
    """An issue of a repository that is not upstream."""

    repository: str
    number: int
    title: str
    body: str
    labels: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()


class Knobs(Value):
    """What tests turn: the text of the workflow file, how digests are stated, what jobs check out.

    `digest` is ``sha256``, ``md5``, ``wrong``, or empty for none. `checked_out` is a commit that a
    job has checked out besides the right one. `expired` artifacts cannot be had any more. `hides`
    runs are not listed (yet). `named` runs say in their title what they build. `state` is the
    workflow's, `login` and `expires` are the token's.
    """

    workflow: str = PINNED_WORKFLOW
    digest: str = "sha256"
    checked_out: str = ""
    expired: bool = False
    hides: bool = False
    named: bool = True
    state: str = "active"
    may_dispatch: bool = True
    login: str = "rae"
    expires: str = ""
    members: dict[str, str] = Field(default={})


class GitHubState(Value):
    runs: tuple[RunState, ...] = ()
    rulesets: tuple[Ruleset, ...] = ()
    made: int = 0
    """How many rulesets there ever were."""
    messages: tuple[Message, ...] = ()
    knobs: Knobs = Knobs()


@dataclass(frozen=True)
class Workflow:
    """What a dispatch makes: for each build the names of the artifacts it is delivered in.

    The builds' folder is that of `builders`; `fork` has the tag that is built.
    """

    release: Release
    builders: ProcessBuilders
    folder: Path
    fork: Path
    builds: Mapping[str, tuple[str, ...]]

    def build(self, name: str, run: RunState) -> Build:
        told = "source" if name == "rebuild" else name
        files = ";".join(one.name for one in expected_of(self.release, told))
        return Build(
            name=name,
            nonce=f"run-{run.id}",
            version=run.inputs["cpython_release"],
            commit=run.inputs["git_commit"],
            options={"files": files, "tag": self.release.tag},
        )


@dataclass(frozen=True)
class Asked:
    """A request; `names` are the parts of its path by their names in the description."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    host: str
    names: Mapping[str, str] = field(default_factory=dict)

    def with_names(self, names: Mapping[str, str]) -> Asked:
        return replace(self, names=names)

    @property
    def repository(self) -> str:
        return f"{self.names['owner']}/{self.names['repo']}"


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes = b""
    kind: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """The folder of a rehearsal; `ticket` makes an address at the second server."""

    folder: Path
    repository: str
    workflow: Workflow | None
    ticket: Callable[[bytes, str], str]

    @property
    def tracker(self) -> LocalTracker:
        return LocalTracker(
            file=self.folder / "tracker.json", upstream=self.folder / "upstream.git"
        )

    @property
    def tracked(self) -> TrackerState:
        return StateFile(self.folder / "tracker.json", TrackerState).read()

    def marker(self, branch: str) -> Path:
        """Return the file that lets the hook of upstream refuse pushes to a branch."""
        return self.folder / "upstream.git" / "relkit-locked" / branch

    def read(self) -> GitHubState:
        return kept(self.folder).read()

    def change(self, edit: Callable[[GitHubState], GitHubState]) -> None:
        kept(self.folder).change(edit)


def kept(folder: Path) -> StateFile[GitHubState]:
    """Return the stand-in's own file, made if it is not there."""
    file = folder / "github.json"
    with locked(folder / "github.json.new"):
        if not file.exists():
            write_value(file, GitHubState())
    return StateFile(file, GitHubState)


def turn(folder: Path, **knobs: object) -> None:
    """Turn knobs of a stand-in, which may be running."""
    kept(folder).change(
        lambda state: state.model_copy(update={"knobs": state.knobs.model_copy(update=knobs)})
    )


def answered(status: int, value: object, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(value).encode(), JSON, headers or {})


def refused(status: int, message: str) -> Reply:
    words = {"message": message, "documentation_url": HOME, "status": str(status)}
    return answered(status, words)


def paged(
    asked: Asked, items: list[Any], *, short: bool = False
) -> tuple[list[Any], dict[str, str]]:
    """Return the page that was asked for, and its headers; if `short`, pages do not end."""
    size, page = int(asked.query.get("per_page", 30)), int(asked.query.get("page", 1))
    if short or len(items) > size * page:
        following = "&".join(
            f"{key}={text}" for key, text in {**asked.query, "page": str(page + 1)}.items()
        )
        link = {"Link": f'<{asked.host}/repositories/1/x?{following}>; rel="next"'}
        return items[size * (page - 1) : size * page], link
    return items[size * (page - 1) :], {}


def workflow_of(
    state: Path, release: Release, builds: Mapping[str, tuple[str, ...]], *, index: str = ""
) -> Workflow:
    """Return a workflow that builds a release of a rehearsal as the rehearsal itself would.

    `index` is the address of the package index that its builds ask.
    """
    places = Places(
        repository=state / "fork.git",
        artifacts=state / "artifacts" / release.amended.key,
        blurb=TOOLS / f"blurb-{blurb_for(str(release.version))}",
        site=state / f"site-{release.key}.url",
        packages=state / "packages",
        index=index,
    )
    folder = state / "github-builds"
    builders = ProcessBuilders(folder, places, {**PROGRAMS, **STANDINS})
    return Workflow(release, builders, folder, state / "fork.git", builds)
