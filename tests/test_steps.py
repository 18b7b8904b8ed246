"""Each step in its bad case: it refuses with a code, and leaves the world as it was.

What is bad is put into the real state of a rehearsal, in a copy made shortly before the step.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import rehearsals
from rehearsals import VERSION, answer, git

from relkit import records as log
from relkit.adapters.advisories import Advisory, Database
from relkit.adapters.value_files import StateFile
from relkit.errors import CheckError, GateError, OrderError, ReleaseError, WaitingError, WorldError
from relkit.history import History
from relkit.opening import Opened
from relkit.rehearsal.ports import RehearsalPeople
from relkit.rehearsal.site_admin import enter_page_text
from relkit.rehearsal.state import BuildbotState, TrackerState
from relkit.rehearsal.tree import make_repository
from relkit.release import Version
from relkit.run import Run
from relkit.steps.site import site_release
from relkit.values import Buildbot, CommitCheck, Issue, Protection

MANAGER = ("Rae Manager", "release-manager")
TAG = f"v{VERSION}"
FOLDER = "ftp/python/3.15.0"
OWN_STANDS = ("notify-experts", "tell-experts", "collect-mobile")
"""Further steps after which a rehearsal is copied; the builds that go on then are awaited."""
PASSING = ("gnupg/", "sigstore/", "site.sqlite", "logs/")
"""What says nothing about a release, or (the site's database) is looked at otherwise."""


# --- a rehearsal that stands before a step -----------------------------------------------------


@dataclasses.dataclass
class Stand:
    """An open run with the folder that holds the state of its world."""

    opened: Opened
    state: Path

    @property
    def run(self) -> Run:
        return self.opened.run

    @property
    def upstream(self) -> Path:
        return self.state / "upstream.git"

    @property
    def head(self) -> str:
        return git(self.upstream, "rev-parse", "refs/heads/main")

    @property
    def tracker(self) -> StateFile[TrackerState]:
        return StateFile(self.state / "tracker.json", TrackerState)

    @property
    def buildbots(self) -> StateFile[BuildbotState]:
        return StateFile(self.state / "buildbots.json", BuildbotState)

    def artifact(self, name: str) -> Path:
        return self.state / "artifacts" / VERSION / name

    def attempt(self, build: str) -> Path:
        return next(self.state.glob(f"builds/*/{build}/attempt-1"))

    def without_patience(self) -> None:
        self.run.world = dataclasses.replace(self.run.world, patience_seconds=0)

    def with_people_who_think(self) -> None:
        """Have nobody answer by itself."""
        people = RehearsalPeople(folder=self.state, roster=self.run.world.policy.people)
        self.run.world = dataclasses.replace(self.run.world, people=people)
        self.without_patience()

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.state / "site.sqlite", timeout=20)) as database:
            rows = database.execute(statement).fetchall()
            database.commit()
        return rows

    def events(self, step: str) -> set[str]:
        """Return what the ledger says about a step."""
        entries = (record.entry for record in self.run.ledger)
        return {one.event for one in entries if getattr(one, "step", "") == step}

    def looks(self) -> dict[str, Any]:
        """Return all of the world that says something about the release."""
        found = rehearsals.tree(self.state)
        kept = {
            name: digest
            for name, digest in found.items()
            if not name.startswith(PASSING) and not name.endswith(("lock", ".tmp"))
        }
        tables = ("release", "release_file")
        return kept | {name: self.sql(f"SELECT * FROM {name} ORDER BY id") for name in tables}  # noqa: S608 (fixed names)

    def refuses(self, step: str, code: str, kind: type[ReleaseError] = CheckError) -> ReleaseError:
        """Apply a step, which refuses before it does anything."""
        before = self.looks()
        error = self.stops(step, code, kind)
        assert not self.events(step) & {"planned", "started", "done", "completed"}
        assert self.looks() == before
        return error

    def stops(self, step: str, code: str, kind: type[ReleaseError] = CheckError) -> ReleaseError:
        """Apply a step, which ends with an error and is not complete."""
        with pytest.raises(ReleaseError) as caught:
            self.run.apply(step)
        assert (type(caught.value), caught.value.code) == (kind, code), caught.value
        assert caught.value.remedy
        assert "completed" not in self.events(step)
        return caught.value

    def goes_on(self, step: str) -> None:
        assert self.run.apply(step).complete

    def waive(self, step: str, reason: str = "seen, and it does no harm") -> None:
        """Waive every check that fails now."""
        proposal = self.run.propose(step)
        for check in proposal.plan.failing:
            self.run.waive(proposal, check.name, *MANAGER, reason)


def await_builds(opened: Opened) -> None:
    """Wait until every build that was started has ended."""
    state = opened.run.ledger.path.parents[1] / "world"
    homes = list(state.glob("builds/*/[!.]*"))

    def ended() -> bool:
        return all(list(home.glob("attempt-*/outcome.json")) for home in homes)

    rehearsals.await_that(ended, "the builds go on")


def make_own_stands(folder: Path, shared: Path) -> None:
    made = rehearsals.snapshots(shared)
    for name, start in zip(OWN_STANDS, ("opened", "push-to-fork", "tell-experts"), strict=True):
        origin = made if (made / start).exists() else folder
        records = rehearsals.copy(origin / start, folder / f"{name}-made")
        with rehearsals.opened_at(records) as opened:
            for _ in rehearsals.advance(opened, until=name):
                pass
            await_builds(opened)
        rehearsals.copy(records, folder / name)


@pytest.fixture(scope="session")
def stands(shared: Path, snapshots: Path) -> Mapping[str, Path]:
    made = snapshots
    own = rehearsals.once(shared, "steps-stands", partial(make_own_stands, shared=shared))
    return {name: made / name for name in ("whole", *rehearsals.STANDS)} | {
        name: own / name for name in OWN_STANDS
    }


Before = Callable[[str], Stand]


@pytest.fixture
def before(stands: Mapping[str, Path], tmp_path: Path) -> Iterator[Before]:
    """Return how to get a rehearsal in which all steps before one are complete."""
    opened: list[Opened] = []

    def stand(step: str) -> Stand:
        earlier = ("opened", *rehearsals.STEPS[: rehearsals.STEPS.index(step)])
        start = next(name for name in reversed(earlier) if name in stands)
        records = rehearsals.copy(stands[start], tmp_path / "records")
        opened.append(rehearsals.open_at(records))
        for name in earlier[1:]:
            opened[-1].run.apply(name)
        return Stand(opened[-1], records / "world")

    yield stand
    for one in opened:
        one.close()


# --- the quiet path ----------------------------------------------------------------------------


def test_in_a_healthy_release_nothing_fails_and_only_what_is_expected_warns(
    stands: Mapping[str, Path],
) -> None:
    history = History.read(stands["whole"] / VERSION)
    plans = {name: history.progress(name).plan for name in history.steps}
    assert history.complete
    unusual = {
        (name, check.name): check.verdict
        for name, plan in plans.items()
        if plan is not None
        for check in plan.checks
        if check.verdict != "pass"
    }
    assert None not in plans.values()
    assert unusual == {
        ("check-blockers", "no open deferred-blocker of 3.15"): "warning",
        ("collect-source", "the SBOMs say of each bundled package where it comes from"): "warning",
    }


def test_in_a_healthy_release_nobody_waives_and_nothing_is_found_done_before(
    stands: Mapping[str, Path],
) -> None:
    entries = [record.entry for record in History.read(stands["whole"] / VERSION).ledger]
    assert not [one for one in entries if isinstance(one, log.Waived | log.TakenOver)]
    found = [(x.step, x.action) for x in entries if isinstance(x, log.Done) and x.found]
    assert found == [("publish-website", 1)]  # the site itself has its caches forget


# --- prepare -----------------------------------------------------------------------------------


def test_a_known_vulnerability_stops_before_anything_is_begun(before: Before) -> None:
    stand = before("preflight")
    found = Advisory(id="CVE-1", package="pydantic", below="99", summary="planted by the test")
    StateFile(stand.state / "advisories.json", Database).change(
        lambda one: one.model_copy(update={"advisories": (*one.advisories, found)})
    )
    assert "CVE-1" in str(stand.refuses("preflight", "VULNERABLE"))


def test_a_scanner_that_does_not_see_its_control_entry_proves_nothing(before: Before) -> None:
    stand = before("preflight")
    StateFile(stand.state / "advisories.json", Database).change(
        lambda one: one.model_copy(update={"advisories": ()})
    )
    stand.refuses("preflight", "SCANNER_BLIND")
    found = {one.name: one.verdict for one in stand.run.propose("preflight").plan.checks}
    assert found["no installed package has a known vulnerability"] == "unknown"


def add_blocker(stand: Stand) -> None:
    issue = Issue(number=150_000, title="It crashes", labels=("3.15", "release-blocker"))
    stand.tracker.change(
        lambda one: one.model_copy(update={"issues": (*one.issues, issue)}),
    )


def test_a_release_blocker_stops_the_release(before: Before) -> None:
    stand = before("check-blockers")
    add_blocker(stand)
    assert "#150000 It crashes" in str(stand.refuses("check-blockers", "BLOCKED"))
    with pytest.raises(OrderError, match="NOT_YET"):
        stand.run.apply("freeze-branch")


def test_a_release_blocker_waived_with_a_reason_does_not_stop_it(before: Before) -> None:
    stand = before("check-blockers")
    add_blocker(stand)
    with pytest.raises(GateError, match="REASON_MISSING"):
        stand.waive("check-blockers", " ")
    stand.refuses("check-blockers", "BLOCKED")
    stand.waive("check-blockers")
    stand.goes_on("check-blockers")


def test_a_blocker_of_another_series_blocks_nothing(before: Before) -> None:
    stand = before("check-blockers")
    issue = Issue(number=150_001, title="Elsewhere", labels=("3.14", "release-blocker"))
    stand.tracker.change(lambda one: one.model_copy(update={"issues": (issue,)}))
    stand.goes_on("check-blockers")


def test_an_incomplete_answer_of_the_tracker_is_no_answer(before: Before) -> None:
    stand = before("check-blockers")
    stand.tracker.change(lambda one: one.model_copy(update={"complete": False}))
    stand.refuses("check-blockers", "CANNOT_CHECK")


def test_a_branch_frozen_by_somebody_else_is_left_to_them(before: Before) -> None:
    stand = before("freeze-branch")
    stand.run.world.tracker.set_protection(
        branch="main", protection=Protection(locked=True, rules=("of somebody else",))
    )
    stand.refuses("freeze-branch", "ALREADY_FROZEN")


def change_bots(stand: Stand, edit: Callable[[tuple[Buildbot, ...]], tuple[Buildbot, ...]]) -> None:
    stand.buildbots.change(
        lambda one: one.model_copy(update={"branches": {"main": edit(one.branches["main"])}})
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"result": "failure"}, "BUILDER_NOT_GREEN"),
        ({"result": "exception"}, "BUILDER_NOT_GREEN"),
        ({"commit": "1" * 40}, "CANNOT_CHECK"),
    ],
)
def test_a_builder_that_is_not_green_for_this_commit_stops_unless_it_is_waived(
    before: Before, change: dict[str, str], code: str
) -> None:
    stand = before("check-buildbots")
    change_bots(stand, lambda rows: (rows[0].model_copy(update=change), *rows[1:]))
    assert "AMD64 Debian" in str(stand.refuses("check-buildbots", code))
    stand.waive("check-buildbots")
    stand.goes_on("check-buildbots")


def test_an_empty_list_of_builders_is_no_answer(before: Before) -> None:
    stand = before("check-buildbots")
    change_bots(stand, lambda _: ())
    stand.refuses("check-buildbots", "CANNOT_CHECK")


def move_upstream(stand: Stand, tmp_path: Path) -> None:
    """Push a commit as somebody would who lifts the lock; while it is locked that is refused."""
    other = tmp_path / "other.git"
    git(stand.upstream, "clone", "--quiet", "--bare", str(stand.upstream), str(other))
    who = ("-c", "user.name=Olga Other", "-c", "user.email=olga@other.invalid")
    new = git(other, *who, "commit-tree", f"{stand.head}^{{tree}}", "-p", stand.head, "-m", "More")
    push = partial(git, other, "push", "--quiet", str(stand.upstream), f"{new}:refs/heads/main")
    with pytest.raises(subprocess.CalledProcessError):
        push()
    protect = partial(stand.run.world.tracker.set_protection, branch="main")
    locked = stand.run.world.tracker.protection(branch="main")
    protect(protection=Protection(locked=False, rules=locked.rules))
    push()
    protect(protection=locked)
    assert stand.head == new


@pytest.mark.parametrize(
    "step",
    ["make-clone", "commit-release", "approve-publication", "merge-back", "push-upstream"],
)
def test_an_upstream_that_moved_after_the_freeze_stops_the_release(
    before: Before, tmp_path: Path, step: str
) -> None:
    stand = before(step)
    move_upstream(stand, tmp_path)
    stand.refuses(step, "FREEZE_BROKEN")
    if stand.run.steps[step].gate:
        assert "asked" not in stand.events(step)


def change_generated(stand: Stand, *checks: CommitCheck) -> None:
    stand.tracker.change(
        lambda one: one.model_copy(update={"checks": {}, "default_checks": checks})
    )


@pytest.mark.parametrize(
    ("conclusion", "code"),
    [(None, "CANNOT_CHECK"), ("failure", "REGEN_MISMATCH"), ("cancelled", "REGEN_MISMATCH")],
)
def test_generated_files_must_be_known_to_be_up_to_date_unless_that_is_waived(
    before: Before, conclusion: str | None, code: str
) -> None:
    stand = before("check-tree")
    name = "Check if generated files are up to date"
    change_generated(
        stand, *([CommitCheck(name=name, conclusion=conclusion)] if conclusion else [])
    )
    stand.refuses("check-tree", code)
    stand.waive("check-tree")
    stand.goes_on("check-tree")


@pytest.mark.parametrize("tree", ["3.15.0a2", "3.14.0a1"])
def test_a_version_that_does_not_follow_the_tree_is_refused(tmp_path: Path, tree: str) -> None:
    make_repository(tmp_path / "source.git", Version.parse(tree))
    records = tmp_path / "records"
    opened = rehearsals.open_at(records, VERSION, str(tmp_path / "source.git"))
    try:
        stand = Stand(opened, records / "world")
        for name in rehearsals.STEPS[: rehearsals.STEPS.index("check-tree")]:
            stand.goes_on(name)
        stand.refuses("check-tree", "VERSION_ORDER")
    finally:
        opened.close()


# --- source ------------------------------------------------------------------------------------


def test_a_tag_that_upstream_has_already_stops_before_one_is_made(before: Before) -> None:
    stand = before("tag-release")
    git(stand.upstream, "update-ref", f"refs/tags/{TAG}", stand.head)
    stand.refuses("tag-release", "TAG_EXISTS")
    assert stand.run.world.repo.tag(name=TAG) is None


@pytest.mark.parametrize(
    ("ref", "code"),
    [(f"refs/tags/{TAG}", "TAG_MOVED"), (f"refs/heads/release-{VERSION}", "BRANCH_EXISTS")],
)
def test_a_ref_of_the_fork_that_stands_for_something_else_is_not_moved(
    before: Before, ref: str, code: str
) -> None:
    stand = before("push-to-fork")
    git(stand.state / "fork.git", "update-ref", ref, stand.head)
    stand.refuses("push-to-fork", code)


# --- build -------------------------------------------------------------------------------------


def change_build(stand: Stand, build: str, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change how a build ended, as its machine would have said it."""
    file = stand.attempt(build) / "outcome.json"
    outcome = json.loads(file.read_text())
    edit(outcome)
    file.write_text(json.dumps(outcome))


def change_facts(stand: Stand, build: str, **facts: object) -> None:
    change_build(stand, build, lambda outcome: outcome["facts"].update(facts))


def deliver(stand: Stand, build: str, name: str, data: bytes) -> None:
    """Let a build have made a file, instead of what it made."""
    path = stand.attempt(build) / "out" / name
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    told = {"name": name, "size": len(data), "sha256": rehearsals.sha256(path)}

    def edit(outcome: dict[str, Any]) -> None:
        outcome["files"] = [one for one in outcome["files"] if one["name"] != name] + [told]
        outcome["files"].sort(key=lambda one: one["name"])

    change_build(stand, build, edit)


def withhold(stand: Stand, build: str, name: str) -> None:
    """Let a build not have made a file."""
    (stand.attempt(build) / "out" / name).unlink()
    change_build(
        stand,
        build,
        lambda outcome: outcome.update(
            files=[one for one in outcome["files"] if one["name"] != name]
        ),
    )


def test_a_rebuild_with_other_bytes_stops_the_release(before: Before) -> None:
    stand = before("collect-source")
    deliver(stand, "rebuild", f"Python-{VERSION}.tgz", b"of another day")
    stand.refuses("collect-source", "REBUILD_DIFFERS")


Edit = Callable[[Stand], None]
PKG = f"python-{VERSION}-macos11.pkg"
BAD_BUILDS: list[tuple[str, Edit, str]] = [
    ("collect-windows", lambda s: deliver(s, "windows", "extra.exe", b"MZ"), "UNLISTED_FILE"),
    ("collect-windows", lambda s: withhold(s, "windows", f"python-{VERSION}.exe"), "FILE_MISSING"),
    ("collect-macos", lambda s: deliver(s, "macos", PKG, b""), "FILE_MISSING"),
    ("collect-macos", lambda s: change_facts(s, "macos", commit="1" * 40), "SUBJECT_MISMATCH"),
    ("collect-mobile", lambda s: change_facts(s, "ios", version="3.15.0a2"), "SUBJECT_MISMATCH"),
    ("collect-source", lambda s: deliver(s, "source", "core", b"x"), "REBUILD_DIFFERS"),
    (
        "collect-macos",
        lambda s: spoil(s.attempt("macos") / "out" / PKG),
        "DIGEST_CHANGED",
    ),
]


@pytest.mark.parametrize(("step", "edit", "code"), BAD_BUILDS, ids=lambda one: str(one)[:20])
def test_what_is_not_exactly_the_expected_files_of_the_release_commit_is_not_collected(
    before: Before, step: str, edit: Edit, code: str
) -> None:
    """I56, I60: all files, and of that commit."""
    stand = before(step)
    edit(stand)
    stand.refuses(step, code)


def test_a_build_that_failed_stops_until_it_is_removed_and_made_anew(before: Before) -> None:
    stand = before("collect-windows")
    change_build(stand, "windows", lambda outcome: outcome.update(failure="the linker crashed"))
    assert "the linker crashed" in str(stand.refuses("collect-windows", "BUILD_FAILED"))
    shutil.rmtree(stand.attempt("windows"))
    stand.goes_on("collect-windows")


@pytest.mark.parametrize(
    ("step", "build", "facts", "code"),
    [
        ("compare-source", "compare", {"unexplained": 1}, "TREE_MISMATCH"),
        ("compare-source", "compare", {"compared": 0}, "TREE_MISMATCH"),
        ("test-source", "test", {"version": "3.15.0a0"}, "VERSION_STAMP"),
        ("test-source", "test", {"tests_run": 0}, "TESTS_FAILED"),
        ("test-source", "test", {"tests_failed": 1}, "TESTS_FAILED"),
        ("try-source", "test", {"extension": ""}, "TRY_FAILED"),
    ],
)
def test_what_a_build_says_about_the_archive_can_stop_the_release(
    before: Before, step: str, build: str, facts: dict[str, object], code: str
) -> None:
    stand = before(step)
    change_facts(stand, build, **facts)
    stand.refuses(step, code)


# --- people ------------------------------------------------------------------------------------


def ask(stand: Stand, step: str) -> Path:
    """Let people be asked who do not answer by themselves; return the request."""
    stand.with_people_who_think()
    stand.stops(step, "GATE_OPEN", WaitingError)
    assert not stand.events(step) & {"planned", "started"}
    return stand.state / "requests" / f"{stand.run.propose(step).plan.digest}.json"


MAC = ("Mikko Mac", "macos-expert")


def test_an_experts_rejection_stops_until_the_same_person_approves(before: Before) -> None:
    stand = before("approve-windows")
    request = ask(stand, "approve-macos")
    answer(request, *MAC, "reject", "it does not start")
    assert "it does not start" in str(stand.stops("approve-macos", "GATE_REJECTED", GateError))
    stand.refuses("approve-macos", "GATE_REJECTED", GateError)
    stand.refuses("freeze-subjects", "NOT_YET", OrderError)
    answer(request, *MAC, "approve", "it was my machine")
    stand.goes_on("approve-macos")


def test_an_answer_by_somebody_who_is_not_in_the_role_is_no_answer(before: Before) -> None:
    stand = before("approve-windows")
    request = ask(stand, "approve-macos")
    answer(request, "Wanda Windows", "macos-expert", "approve", "looks good")
    stopped = stand.stops("approve-macos", "GATE_OPEN", WaitingError)
    assert "refused: APPROVAL_ROLE" in str(stopped)


def test_nobody_but_those_asked_can_answer_and_nobody_types_an_experts_approval(
    before: Before,
) -> None:
    stand = before("approve-windows")
    request = ask(stand, "approve-macos")
    with pytest.raises(GateError, match="NOT_ASKED"):
        answer(request, "Wanda Windows", "windows-expert", "approve", "looks good")
    proposal = stand.run.propose("approve-macos")
    with pytest.raises(GateError, match="NOT_AT_THE_NOTEBOOK"):
        stand.run.decide(proposal, "approve", *MAC, "he told me")
    with pytest.raises(GateError, match="NOT_IN_ROLE"):
        stand.run.decide(proposal, "approve", "Wanda Windows", "release-manager", "looks good")
    stand.refuses("approve-macos", "GATE_OPEN", WaitingError)


def test_one_experts_rejection_leaves_the_other_platforms_approval_alone(before: Before) -> None:
    stand = before("approve-windows")
    answer(ask(stand, "approve-macos"), *MAC, "reject", "it does not start")
    answer(ask(stand, "approve-windows"), "Wanda Windows", "windows-expert", "approve", "it works")
    stand.goes_on("approve-windows")
    stand.refuses("approve-macos", "GATE_REJECTED", GateError)


@pytest.mark.parametrize("step", ["commit-release", "approve-publication", "push-upstream"])
def test_what_the_release_manager_rejects_is_not_done(before: Before, step: str) -> None:
    stand = before(step)
    ask(stand, step)
    proposal = stand.run.propose(step)
    stand.run.decide(proposal, "reject", *MANAGER, "not today")
    stand.refuses(step, "GATE_REJECTED", GateError)
    stand.run.decide(proposal, "approve", *MANAGER, "today")
    stand.goes_on(step)


# --- sign --------------------------------------------------------------------------------------


def spoil(path: Path) -> None:
    """Put other bytes into a file that may be read-only."""
    path.chmod(0o644)
    path.write_bytes(b"other bytes")


def test_a_collected_file_that_changed_is_not_taken_into_the_set(before: Before) -> None:
    stand = before("freeze-subjects")
    spoil(stand.artifact(PKG))
    stand.refuses("freeze-subjects", "DIGEST_CHANGED")
    assert not stand.artifact("subjects.json").exists()


def test_a_file_that_changed_after_the_set_was_frozen_is_not_signed(before: Before) -> None:
    """I12: the digest was that of another file."""
    stand = before("sign-artifacts")
    spoil(stand.artifact(PKG))
    stand.stops("sign-artifacts", "DIGEST_CHANGED")
    assert not list(stand.artifact(PKG).parent.glob(f"{PKG}.*"))


def test_a_signature_that_does_not_verify_does_not_get_into_the_manifest(before: Before) -> None:
    """I01, I05: one that is bad is none."""
    stand = before("close-manifest")
    spoil(stand.artifact(f"{PKG}.sigstore"))
    stand.refuses("close-manifest", "SIGNATURE_MISSING")
    assert not stand.artifact("manifest.json").exists()


# --- publish -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "place"), [("upload-to-staging", "staging"), ("place-files", "public")]
)
def test_another_file_at_its_place_is_never_overwritten(
    before: Before, step: str, place: str
) -> None:
    stand = before(step)
    path = stand.state / "servers" / place / FOLDER / PKG
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"of somebody else")
    stand.stops(step, "WOULD_OVERWRITE", WorldError)
    assert path.read_bytes() == b"of somebody else"
    path.unlink()
    stand.goes_on(step)


def test_a_version_that_the_site_has_published_already_is_left_alone(before: Before) -> None:
    stand = before("draft-website")
    website, release = stand.run.world.website, stand.run.release
    website.add_release(release=site_release(release))
    website.publish(slug=release.slug)
    stand.refuses("draft-website", "ALREADY_PUBLISHED")


def test_a_draft_that_somebody_else_made_is_not_changed(before: Before) -> None:
    stand = before("draft-website")
    other = site_release(stand.run.release).model_copy(update={"name": "Python of somebody else"})
    stand.run.world.website.add_release(release=other)
    rows = stand.sql("SELECT * FROM release")
    stand.stops("draft-website", "SITE_CONFLICT", WorldError)
    assert stand.sql("SELECT * FROM release") == rows
    assert not stand.sql("SELECT * FROM release_file")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE release_file SET description = 'better' WHERE name = 'macOS installer'",
        "UPDATE release_file SET sha256_sum = 'a' || substr(sha256_sum, 2) || 'b'",
        "DELETE FROM release_file WHERE name = 'macOS installer'",
    ],
)
def test_a_row_of_the_site_edited_behind_our_back_stops_the_publication(
    before: Before, statement: str
) -> None:
    """I11: sizes and digests on the page were wrong."""
    stand = before("approve-publication")
    stand.sql(statement)
    stand.refuses("approve-publication", "API_DIVERGED")
    assert "asked" not in stand.events("approve-publication")


def test_a_staged_file_that_changed_is_not_approved(before: Before) -> None:
    stand = before("approve-publication")
    spoil(stand.state / "servers" / "staging" / FOLDER / PKG)
    stand.refuses("approve-publication", "DIGEST_CHANGED")


def test_a_page_without_its_text_is_awaited_and_not_published(before: Before) -> None:
    stand = before("approve-publication")
    text = take_page_text(stand)
    stand.without_patience()
    stand.refuses("approve-publication", "NOT_READY", WaitingError)
    stand.refuses("approve-publication", "NOT_READY", WaitingError)
    entries = [record.entry for record in stand.run.ledger]
    waits = [x for x in entries if isinstance(x, log.Waited) and x.step == "approve-publication"]
    assert len(waits) == 1
    put_page_text(stand, text)
    stand.run.world.public.purge(paths=("/downloads/release/python-3150a1/",))
    stand.goes_on("approve-publication")


def test_a_page_that_was_looked_at_before_its_text_was_put_in_is_seen_with_its_text(
    before: Before,
) -> None:
    stand = before("approve-publication")
    text = take_page_text(stand)
    stand.without_patience()
    stand.refuses("approve-publication", "NOT_READY", WaitingError)
    put_page_text(stand, text)
    stand.goes_on("approve-publication")


def take_page_text(stand: Stand) -> str:
    """Return the text of the page, which then has none."""
    ((text,),) = stand.sql("SELECT content FROM release WHERE slug = 'python-3150a1'")
    stand.sql("UPDATE release SET content = '' WHERE slug = 'python-3150a1'")
    return str(text)


def put_page_text(stand: Stand, text: str) -> None:
    """Do what the web editor does, through the site's form."""
    ((token,),) = stand.sql("SELECT v2_token FROM user WHERE is_staff")
    url = (stand.state / f"site-{VERSION}.url").read_text()
    enter_page_text(url=url, token=token, slug="python-3150a1", text=text)


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (lambda _, path: spoil(path), "CDN_STALE"),
        (lambda _, path: path.unlink(), "NOT_PUBLIC"),
        (lambda stand, _: stand.sql("DELETE FROM release_file"), "PAGE_INCOMPLETE"),
        (lambda stand, _: stand.sql("UPDATE release SET is_latest = 1"), "LATEST_WRONG"),
    ],
    ids=["changed", "missing", "not listed", "latest"],
)
def test_what_is_public_and_not_as_the_manifest_says_is_found_when_it_is_read_back(
    before: Before, edit: Callable[[Stand, Path], object], code: str
) -> None:
    stand = before("read-back")
    edit(stand, stand.state / "servers" / "public" / FOLDER / PKG)
    stand.refuses("read-back", code)
    stand.refuses("set-post-release-version", "NOT_YET", OrderError)


def test_a_file_that_the_cache_still_has_in_an_older_form_is_found(before: Before) -> None:
    stand = before("read-back")
    path = stand.state / "servers" / "public" / FOLDER / PKG
    good = path.read_bytes()
    spoil(path)
    stand.run.world.public.fetch(path=f"/{FOLDER}/{PKG}")
    path.write_bytes(good)
    stand.refuses("read-back", "CDN_STALE")
    stand.run.world.public.purge(paths=(f"/{FOLDER}/{PKG}",))
    stand.goes_on("read-back")


# --- finish ------------------------------------------------------------------------------------


def test_a_tag_that_came_upstream_meanwhile_stops_the_push_before_the_lock_is_lifted(
    before: Before,
) -> None:
    stand = before("push-upstream")
    git(stand.upstream, "update-ref", f"refs/tags/{TAG}", stand.head)
    stand.refuses("push-upstream", "TAG_EXISTS")
    assert stand.run.world.tracker.protection(branch="main").locked


def test_a_push_that_fails_leaves_the_branch_locked_and_can_be_made_later(before: Before) -> None:
    stand = before("push-upstream")
    stand.run.decide(stand.run.propose("push-upstream"), "approve", *MANAGER, "now")
    hook = stand.upstream / "hooks" / "update"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(WorldError, match="PUSH_REFUSED"):
        stand.run.apply("push-upstream")
    assert stand.run.world.tracker.protection(branch="main").locked
    assert "taken-back" in stand.events("push-upstream")
    hook.unlink()
    stand.goes_on("push-upstream")
    assert stand.run.world.tracker.protection(branch="main").locked


def test_deferred_blockers_of_an_incomplete_answer_are_not_restored(before: Before) -> None:
    stand = before("restore-blockers")
    stand.tracker.change(lambda one: one.model_copy(update={"complete": False}))
    stand.refuses("restore-blockers", "CANNOT_CHECK")


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (
            lambda stand: spoil(stand.state / "servers" / "public" / FOLDER / f"{PKG}.sigstore"),
            "PUBLIC_DIFFERS",
        ),
        (lambda stand: stand.sql("UPDATE release_file SET description = 'x'"), "API_DIVERGED"),
    ],
    ids=["signature", "row"],
)
def test_a_stranger_finds_what_is_not_as_the_manifest_says(
    before: Before, edit: Callable[[Stand], object], code: str
) -> None:
    """I05, I45, I61: what the public gets, by public addresses alone."""
    stand = before("verify-as-stranger")
    edit(stand)
    stand.stops("verify-as-stranger", code)
    assert not stand.events("verify-as-stranger") & {"planned", "started"}


def test_a_branch_of_the_fork_that_somebody_moved_is_not_deleted(before: Before) -> None:
    stand = before("open-branch")
    fork, ref = stand.state / "fork.git", f"refs/heads/release-{VERSION}"
    git(fork, "update-ref", ref, git(fork, "rev-parse", f"{ref}^"))
    moved = git(fork, "rev-parse", ref)
    stand.stops("open-branch", "REMOTE_MOVED", WorldError)
    assert git(fork, "rev-parse", ref) == moved
    assert stand.run.world.tracker.protection(branch="main").locked


def test_another_tag_upstream_keeps_the_run_open(before: Before) -> None:
    stand = before("close-run")
    who = ("-c", "user.name=Olga Other", "-c", "user.email=olga@other.invalid")
    git(stand.upstream, *who, "tag", "-f", "-a", "-m", "Python", TAG, f"{TAG}^{{}}")
    stand.stops("close-run", "UPSTREAM_DIVERGED")
    assert not stand.events("close-run")


@pytest.mark.parametrize(
    "protection", [Protection(locked=True, rules=()), Protection(locked=False, rules=("fewer",))]
)
def test_a_protection_that_is_not_what_it_was_keeps_the_run_open(
    before: Before, protection: Protection
) -> None:
    stand = before("close-run")
    stand.run.world.tracker.set_protection(branch="main", protection=protection)
    stand.refuses("close-run", "PROTECTION_CHANGED")


def test_a_clone_with_something_uncommitted_keeps_the_run_open(before: Before) -> None:
    stand = before("close-run")
    (stand.state / "clone" / VERSION / "README.rst").write_text("edited")
    stand.refuses("close-run", "CLONE_DIRTY")


# --- two releases in one world -----------------------------------------------------------------


def test_the_next_release_begins_where_this_one_ended(
    stands: Mapping[str, Path], tmp_path: Path
) -> None:
    records = rehearsals.copy(stands["close-run"], tmp_path / "records")
    earlier = rehearsals.tree(records / "world" / "servers" / "public")
    with rehearsals.opened_at(records, "3.15.0a2") as opened:
        for _ in rehearsals.advance(opened, until="push-to-fork"):
            pass
        tags = git(records / "world" / "fork.git", "tag").split()
        assert "v3.15.0a2" in tags
        assert opened.run.world.repo.tag(name="v3.15.0a2") is not None
    assert rehearsals.tree(records / "world" / "servers" / "public") == earlier
    with rehearsals.opened_at(records) as opened:
        assert opened.run.complete


def test_another_release_of_the_same_branch_waits_until_this_one_is_out(
    before: Before,
) -> None:
    stand = before("check-buildbots")
    records = stand.state.parent
    with rehearsals.opened_at(records, "3.15.0a2") as opened:
        other = Stand(opened, stand.state)
        for name in rehearsals.STEPS[: rehearsals.STEPS.index("freeze-branch")]:
            other.goes_on(name)
        other.refuses("freeze-branch", "ALREADY_FROZEN")
    stand.goes_on("check-buildbots")
