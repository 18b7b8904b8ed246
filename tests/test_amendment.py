"""A platform whose expert was missing: published without it, delivered by a signed amendment."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from rehearsals import await_that, git, opened_at
from test_kinds import walk

from relkit import seal
from relkit.errors import CheckError, UsageError
from relkit.expected import folders
from relkit.kinds import AMENDMENTS, EVERY, KINDS, RELEASES, TRANSITIONS, Kind
from relkit.manifest import Manifest, absent, builds, expected, schemes, site_files
from relkit.opening import record_folder
from relkit.plan import PlanData
from relkit.release import Release
from relkit.run import Run
from relkit.step import Results, steps_of
from relkit.steps.amend import AMENDED, find_missing, late_of, missing_in
from relkit.steps.sign import LATER, MANIFEST
from relkit.steps.site import says, site_release
from relkit.values import Artifact, Protection, SiteFile, SiteRelease, Tag

VERSION, DAY, LATER_DAY = "3.14.3", "2026-02-03", "2026-02-10"
MANAGER = ("Rae Manager", "release-manager")
SIGNER = "A" * 40
FIRST = Release.parse(VERSION, "", DAY)
AMENDMENT = Release.parse(VERSION, Kind.AMENDMENT, LATER_DAY)


# --- the kind -------------------------------------------------------------------------------------


def test_an_amendment_is_neither_a_release_nor_a_transition() -> None:
    assert {Kind.AMENDMENT} == AMENDMENTS
    assert EVERY == RELEASES | TRANSITIONS | AMENDMENTS
    assert not AMENDMENTS & (RELEASES | TRANSITIONS)


def test_its_record_stands_beside_that_of_its_release() -> None:
    assert (AMENDMENT.name, AMENDMENT.key) == (VERSION, f"{VERSION}-amendment")
    assert record_folder(f"{VERSION}-amendment", "records").name == AMENDMENT.key
    assert record_folder(VERSION, "records", Kind.AMENDMENT).name == AMENDMENT.key


@pytest.mark.parametrize("version", ["3.14.3", "3.15.0a1", "3.15.0rc1", "3.15.0", "3.13.12"])
def test_it_is_about_the_files_of_its_version_whatever_became_of_the_series(version: str) -> None:
    amendment = Release.parse(version, Kind.AMENDMENT, "2027-06-01")
    first = Release.parse(version, "", "2026-05-05")
    assert amendment.amended == replace(first, time=amendment.time)
    assert amendment.platforms == first.platforms
    assert amendment.branch == first.branch
    assert expected(amendment) == expected(first)
    assert builds(amendment) == builds(first)
    assert not amendment.is_newest


@pytest.mark.parametrize("subject", ["3.14", "", "v3.14.3", "3.14.3-amendment", "3.14.2a1"])
def test_what_is_no_version_has_no_amendment(subject: str) -> None:
    with pytest.raises(UsageError, match="BAD_VERSION"):
        Release.parse(subject, Kind.AMENDMENT, LATER_DAY)


def test_an_amendment_picks_no_commits_and_makes_none() -> None:
    names = {one.name for one in steps_of(Kind.AMENDMENT)}
    assert not KINDS[Kind.AMENDMENT].picks
    assert not names & {"freeze-branch", "make-clone", "commit-release", "tag-release", "read-back"}


# --- what is missing ------------------------------------------------------------------------------


def manifest(*missing: str, late: bool = False) -> Manifest:
    """Return the closed manifest of a release that was published without some platforms."""
    there = [one for one in expected(FIRST) if late or one.build not in missing]
    return Manifest(
        version=VERSION,
        commit="c" * 40,
        tree="d" * 40,
        tag_object="e" * 40,
        time=FIRST.time,
        policy_digest="f" * 64,
        folder=FIRST.folder,
        subjects=tuple(Artifact(name=one.name, size=7, sha256="1" * 64) for one in there),
        absent=absent(FIRST) | ({} if late else dict.fromkeys(missing, LATER)),
    )


class Outside:
    """What can be seen of a published release; each part can be set to something else."""

    def __init__(self, closed: Manifest) -> None:
        self.text: str | None = closed.to_text()
        self.row: Any = site_release(FIRST, published=True, latest=True)
        self.rows: Any = site_files(FIRST, closed)
        self.tag: Any = Tag(
            name="v3.14.3", tag_object=closed.tag_object, commit=closed.commit, signer=SIGNER
        )

        self.protection: Any = Protection(locked=False)

    def plan(self) -> PlanData:
        """Plan to find what is missing."""
        world: Any = SimpleNamespace(
            policy=SimpleNamespace(gpg_fingerprint=SIGNER),
            artifacts=SimpleNamespace(read=lambda **_: self.text),
            website=SimpleNamespace(release=lambda **_: self.row, files=lambda **_: self.rows),
            tracker=SimpleNamespace(protection=lambda **_: self.protection),
            repo=SimpleNamespace(remote_tag=lambda **_: self.tag, contains=lambda **_: True),
        )
        return find_missing.plan(AMENDMENT, world, Results({}), 1)


def failing(plan: PlanData) -> list[str]:
    return [one.code for one in plan.failing]


def test_what_was_promised_is_found_and_the_first_manifest_is_handed_on() -> None:
    closed = manifest("macos")
    plan = Outside(closed).plan()
    assert failing(plan) == []
    assert Manifest.model_validate(plan.result) == closed
    assert missing_in(FIRST, closed) == ("macos",)


def test_where_nothing_was_promised_nothing_is_amended() -> None:
    """What is absent for another reason, such as GPG signatures, never follows."""
    assert failing(Outside(manifest()).plan()) == ["NOTHING_MISSING"]


@pytest.mark.parametrize(
    ("part", "value", "code"),
    [
        ("text", None, "MANIFEST_MISSING"),
        ("text", "{}", "MANIFEST_ALTERED"),
        ("text", manifest("macos").to_text() + "\n", "MANIFEST_ALTERED"),
        ("row", None, "NOT_PUBLISHED"),
        ("row", site_release(FIRST), "NOT_PUBLISHED"),
        ("rows", (), "API_DIVERGED"),
        ("tag", None, "UPSTREAM_DIVERGED"),
        ("protection", Protection(locked=True), "RELEASE_UNFINISHED"),
    ],
)
def test_what_does_not_agree_with_the_manifest_stops_the_amendment(
    part: str, value: object, code: str
) -> None:
    outside = Outside(manifest("macos"))
    setattr(outside, part, value)
    assert failing(outside.plan()) == [code]


@pytest.mark.parametrize(
    "change", [{"commit": "9" * 40}, {"tag_object": "9" * 40}, {"signer": "B" * 40}], ids=repr
)
def test_another_tag_than_that_of_the_manifest_stops_the_amendment(change: dict[str, str]) -> None:
    outside = Outside(manifest("macos"))
    outside.tag = outside.tag.model_copy(update=change)
    assert failing(outside.plan()) == ["UPSTREAM_DIVERGED"]


def test_a_manifest_of_another_version_is_none_of_this_release() -> None:
    other = manifest("macos").model_copy(update={"version": "3.14.2"})
    assert "MANIFEST_ALTERED" in failing(Outside(other).plan())


def test_the_files_of_a_platform_that_was_not_missing_are_not_late() -> None:
    names = [one.name for one in expected(FIRST) if one.build == "macos"]
    late = [{"name": name, "size": 7, "sha256": "1" * 64} for name in names]
    results = Results({"collect-late": {"files": late}})
    assert [one.name for one in late_of(AMENDMENT, results, "macos")] == names
    assert late_of(AMENDMENT, results, "windows") == ()


def test_a_promise_is_seen_on_a_page_only_as_a_whole() -> None:
    assert says(f"<p>The installer: <b>{LATER}</b>.</p>", LATER)
    assert not says("<p>not delivered <i>yet</i> at publication; will follow</p>", LATER)


# --- a whole one ----------------------------------------------------------------------------------


def publish_without(records: Path, version: str, platform: str) -> None:
    """Rehearse a release of which the expert of one platform cannot deliver."""
    collecting, build = f"collect-{platform}", f"the build {platform}"
    with opened_at(records, version, day=DAY) as one:
        run = one.run
        for name in run.steps:
            if name == collecting:
                break_build(records, run, platform)
                refused(run, name, "BUILD_FAILED")
                waive(run, name, f"{build} has not failed", build)
            elif name == "freeze-subjects":
                refused(run, name, "PLATFORM_MISSING")
                waive(run, name, f"{platform} is not missing")
            run.apply(name)
        assert run.complete
    seal.seal(record_folder(version, str(records)))


def refused(run: Run, step: str, code: str) -> None:
    with pytest.raises(CheckError, match=code):
        run.apply(step)


def waive(run: Run, step: str, *names: str) -> None:
    """Waive checks and waits of a step as it is planned now."""
    for name in names:
        run.waive(run.propose(step), name, *MANAGER, "the expert is ill")


def break_build(records: Path, run: Run, name: str) -> None:
    """Let a build have failed."""
    build = records / "world" / "builds" / run.world.nonce / name
    await_that(lambda: any(build.glob("attempt-*/outcome.json")), "the build ends")
    for outcome in build.glob("attempt-*/outcome.json"):
        outcome.write_text('{"facts": {}, "failure": "BUILD_FAILED: planted", "files": []}\n')


@dataclass
class Seen:
    """What was public and what lay on the shelf at one time."""

    public: dict[str, str]
    shelf: dict[str, str]
    row: SiteRelease | None
    rows: set[SiteFile]
    page: str
    upstream: str

    @classmethod
    def now(cls, records: Path, run: Run) -> Self:
        world, site, slug = records / "world", run.world.website, run.release.slug
        return cls(
            digests(world / "servers" / "public"),
            digests(world / "artifacts" / str(run.release.version)),
            site.release(slug=slug),
            set(site.files(slug=slug)),
            site.page(slug=slug) or "",
            git(world / "upstream.git", "for-each-ref"),
        )


def digests(root: Path) -> dict[str, str]:
    """Return the digest of every file below a folder."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(x.relative_to(root)): hashlib.sha256(x.read_bytes()).hexdigest() for x in files}


def read(records: Path, version: str, name: str) -> tuple[str, Manifest]:
    """Return a manifest from the shelf, as text and read."""
    text = (records / "world" / "artifacts" / version / name).read_text()
    return text, Manifest.model_validate_json(text)


def require_amended(records: Path, run: Run, before: Seen, platform: str) -> None:
    """Require that a platform was added, and that nothing else has changed."""
    version, after = str(run.release.version), Seen.now(records, run)
    (first_text, first), (text, amended) = (
        read(records, version, name) for name in (MANIFEST, AMENDED)
    )
    wanted = {one.name for one in expected(run.release) if one.build == platform}
    late = {one.name for one in amended.files} - {one.name for one in first.files}
    assert wanted < late
    assert amended.supersedes == hashlib.sha256(first_text.encode()).hexdigest()
    assert set(first.files) < set(amended.files)
    assert {*first.absent} - {*amended.absent} == {platform}
    assert before.public.items() < after.public.items()
    assert {*after.public} - {*before.public} == {f"{run.release.folder}/{one}" for one in late}
    found = folders(run.release)
    assert all(after.public[f"{found[x.name]}/{x.name}"] == x.sha256 for x in amended.files)
    assert before.shelf.items() < after.shelf.items()
    assert (before.row, before.upstream) == (after.row, after.upstream)
    assert before.rows < after.rows
    assert {one.os for one in after.rows - before.rows} == {platform}
    assert (says(before.page, LATER), says(after.page, LATER)) == (True, False)
    for scheme in schemes(run.release):
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        assert run.world.signers.companion(scheme=scheme, name=AMENDED, sha256=sha256)


@pytest.mark.slow
def test_a_missing_platform_is_delivered_later_and_each_guard_of_that_fires_in_its_bad_case(
    tmp_path: Path,
) -> None:
    publish_without(tmp_path, VERSION, "macos")
    with opened_at(tmp_path, VERSION, kind=Kind.AMENDMENT, day=LATER_DAY) as one:
        before = Seen.now(tmp_path, one.run)
        assert list(walk(one.run)) == []
        require_amended(tmp_path, one.run, before, "macos")
    sealed = seal.seal(record_folder(AMENDMENT.key, str(tmp_path)))
    assert AMENDED in sealed.files


@pytest.mark.slow
def test_an_amendment_is_taken_back_up_to_its_publication_and_signed_by_every_scheme(
    tmp_path: Path,
) -> None:
    publish_without(tmp_path, "3.13.12", "windows")
    with opened_at(tmp_path, "3.13.12", kind=Kind.AMENDMENT, day=LATER_DAY) as one:
        run = one.run
        before = Seen.now(tmp_path, run)
        for proposal in run.advance():
            if proposal.step.name == "upload-late":
                break
        run.respin("start-late-builds", *MANAGER, "the installer does not start")
        taken_back = Seen.now(tmp_path, run)
        kept = {name for name in taken_back.shelf if not name.startswith("superseded/")}
        assert (kept, taken_back.public) == ({*before.shelf}, before.public)
        assert not digests(tmp_path / "world" / "servers" / "staging")
        for _ in run.advance():
            pass
        assert run.complete
        require_amended(tmp_path, run, before, "windows")
    with opened_at(tmp_path, "3.13.12", kind=Kind.AMENDMENT, day=LATER_DAY) as one:
        assert one.run.complete
    seal.seal(record_folder("3.13.12-amendment", str(tmp_path)))
