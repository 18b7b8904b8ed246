"""A tracker as a rehearsal has it, behind the stand-in of GitHub, Prism, and a faulty proxy."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from relkit.adapters.git_bare import protect
from relkit.adapters.github import github
from relkit.adapters.github_actions import GitHubActions
from relkit.adapters.github_tracker import GitHubTracker
from relkit.adapters.processes import Places, ProcessBuilders
from relkit.adapters.rest import Rest
from relkit.adapters.value_files import write_value
from relkit.adapters.web import Web
from relkit.rehearsal.ports import LocalTracker
from relkit.rehearsal.standins import STANDINS
from relkit.rehearsal.state import TrackerState
from relkit.release import Release
from relkit.values import ADMINISTRATORS, Build, CommitCheck, Issue
from services import prism
from services.faulty import Faulty, faulty
from services.github_standin import TOKEN, github_standin
from services.github_standin_branches import CHECKS, REVIEWS
from services.github_standin_state import RunState, Workflow, kept
from services.running import skip_without

REPOSITORY = "python/cpython"
RULES = (REVIEWS, CHECKS, ADMINISTRATORS)
TIMEOUT_SECONDS, HOLD_SECONDS = (5.0, 30.0), 1.0
"""A busy Prism is slow; what is to time out is cut off instead, which is the same to relkit."""
COMMIT = "a" * 40


@dataclass
class Scene:
    """The stand-in's folder, and the proxy that calls go through first."""

    folder: Path
    proxy: Faulty
    waited: list[float] = field(default_factory=list)

    @property
    def rest(self) -> Rest:
        web = Web(self.proxy.url, timeout_seconds=TIMEOUT_SECONDS)
        return github(web, lambda: TOKEN, wait=self.waited.append)

    @property
    def tracker(self) -> GitHubTracker:
        return GitHubTracker(self.rest, repository=REPOSITORY)

    def tracker_of(self, mark: str) -> GitHubTracker:
        """Return the tracker as the run with this mark has it."""
        return self.tracker.of_run(mark)

    @property
    def local(self) -> LocalTracker:
        return LocalTracker(
            file=self.folder / "tracker.json", upstream=self.folder / "upstream.git"
        )

    def begin(self, **state: object) -> None:
        """Put everything back as it is at the beginning of a test."""
        self.proxy.clear()
        self.proxy.calls.clear()
        self.proxy.seen.clear()
        self.waited.clear()
        (self.folder / "github.json").unlink(missing_ok=True)
        kept(self.folder)
        protect(self.folder / "upstream.git")
        for marker in (self.folder / "upstream.git" / "relkit-locked").iterdir():
            marker.unlink()
        write_value(self.folder / "tracker.json", seeded().model_copy(update=state))

    def locks(self) -> int:
        """Count the rulesets that there are."""
        return len(kept(self.folder).read().rulesets)


def seeded() -> TrackerState:
    def issue(number: int, *labels: str) -> Issue:
        return Issue(number=number, title=f"Something about {number}", labels=tuple(sorted(labels)))

    checks = tuple(CommitCheck(name=name, conclusion="success") for name in ("Docs", "Tests"))
    return TrackerState(
        issues=(
            issue(11, "3.15", "deferred-blocker"),
            issue(12, "3.15", "release-blocker"),
            issue(13, "3.14", "release-blocker"),
            issue(14, "3.15", "docs"),
        ),
        labels=("3.14", "3.15", "deferred-blocker", "docs", "release-blocker"),
        rules={"main": RULES, "3.14": RULES},
        default_checks=checks,
    )


@contextmanager
def scene(folder: Path, workflow: Workflow | None = None) -> Iterator[Scene]:
    """Start all of it; skip the test where Prism is missing."""
    skip_without(prism.missing())
    (folder / "upstream.git").mkdir(parents=True)
    with ExitStack() as stack:
        standin = stack.enter_context(
            github_standin(folder, repository=REPOSITORY, workflow=workflow)
        )
        checked = stack.enter_context(prism.prism(folder, prism.GITHUB, standin))
        made = Scene(folder, stack.enter_context(faulty(checked)))
        made.proxy.hold_seconds = HOLD_SECONDS
        made.begin()
        yield made


# --- builds ---------------------------------------------------------------------------------------

VERSION = "3.15.0a1"
BUILDS = {
    "android": ("aarch64-linux-android", "x86_64-linux-android"),
    "ios": ("ios",),
}


def tagged(fork: Path) -> str:
    """Make a repository with one commit that has the release's tag; return the commit."""

    def git(*words: str) -> str:
        argv = ["git", "-c", "user.name=x", "-c", "user.email=x@x.invalid", *words]
        done = subprocess.run(argv, cwd=fork, check=True, capture_output=True, timeout=30)
        return done.stdout.decode().strip()

    fork.mkdir()
    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "-m", "released")
    git("tag", f"v{VERSION}")
    return git("rev-parse", "HEAD")


def workflow(folder: Path) -> tuple[Workflow, str]:
    """Return a workflow that makes stand-ins, and the commit it makes them from."""
    commit, blurb = tagged(folder / "fork.git"), folder / "blurb-2"
    places = Places(
        folder / "fork.git", folder / "artifacts", blurb, folder / "url", folder / "packages"
    )
    builders = ProcessBuilders(folder / "builds", places, STANDINS)
    release = Release.parse(VERSION, "alpha", "2026-05-05")
    return Workflow(release, builders, folder / "builds", folder / "fork.git", BUILDS), commit


@contextmanager
def actions_scene(folder: Path) -> Iterator[Actions]:
    """Start all of it with a workflow."""
    made, commit = workflow(folder)
    with scene(folder / "state", made) as one:
        try:
            yield Actions(one, made, commit)
        finally:
            ended(made)


def ended(made: Workflow) -> None:
    """End all builds that still run, and wait until their processes are gone."""
    known = {path: int(path.read_text()) for path in made.folder.glob("run-*/*/*/pid")}
    for build in {path.parents[1] for path in known}:
        made.builders.cancel(name=build.name, nonce=build.parent.name)
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in known.values()) and time.monotonic() < until:
        made.builders.state(name="none", nonce="none")  # looks after those that ended
        time.sleep(0.01)


@dataclass
class Actions:
    """The workflow of a scene, as the adapter reaches it."""

    scene: Scene
    workflow: Workflow
    commit: str

    def service(self, settled_seconds: float = 0) -> GitHubActions:
        return GitHubActions(
            self.scene.rest,
            repository="python/release-tools",
            workflow="build-release.yml",
            ref="main",
            git_remote="python",
            builds=BUILDS,
            settled_seconds=settled_seconds,
        )

    def build(self, name: str = "ios", **other: object) -> Build:
        run = RunState(
            id=1, made="", inputs={"git_commit": self.commit, "cpython_release": VERSION}
        )
        return self.workflow.build(name, run).model_copy(update={"nonce": "n1", **other})

    def dispatched(self) -> int:
        """Count the runs that there are."""
        return len(kept(self.scene.folder).read().runs)

    def done(self, service: GitHubActions, build: Build) -> str:
        """Start a run and wait until it has ended well; return its number."""
        run = service.start(build=build)
        until = time.monotonic() + 60
        while service.state(build=build, run=run).status == "running":
            assert time.monotonic() < until
            time.sleep(0.05)
        assert service.state(build=build, run=run).status == "done"
        return run
