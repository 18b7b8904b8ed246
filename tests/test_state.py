from __future__ import annotations

import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st

from relkit.adapters.git_command import Identity
from relkit.adapters.release_data import PATH, mark_released, mark_status, released, statuses
from relkit.adapters.value_files import StateFile, locked, read_value, write_value, write_whole
from relkit.decision import Decision, read_decision
from relkit.errors import WorldError
from relkit.ports import Announcements, Buildbots, People, Tracker
from relkit.rehearsal import deeds
from relkit.rehearsal.calendar import phases, published_before
from relkit.rehearsal.making import WHOLE, Made
from relkit.rehearsal.people import RehearsalPeople
from relkit.rehearsal.ports import LocalAnnouncements, LocalBuildbots, LocalTracker
from relkit.rehearsal.release_data import ReleaseData, expected_releases
from relkit.rehearsal.seeds import (
    GENERATED_FILES_CHECK,
    RULES,
    Branch,
    seed_buildbots,
    seed_builders,
    seed_tracker,
)
from relkit.rehearsal.state import BuildbotState, TrackerState
from relkit.release import Release, Version
from relkit.values import (
    Buildbot,
    Issue,
    Person,
    Protection,
    Request,
    Signed,
    Testimony,
    digest_of,
)

HEAD, OTHER = "a" * 40, "b" * 40
MANAGER = Person(name="Rae", role="release-manager", time_zone="UTC")
EXPERT = Person(name="Wim", role="windows-expert", time_zone="Europe/Oslo")
MAIN = Branch("main", "3.15", HEAD)
ALPHA = Version.parse("3.15.0a1")
PENS, NOW = toy.Pens(), toy.NOW


def tracker(
    folder: Path, version: str = "3.15.0a1", kind: str = "", branch: Branch = MAIN
) -> LocalTracker:
    release = Release.parse(version, kind, "2026-11-05" if kind else "2026-05-05")
    seed_tracker(folder / "tracker.json", release, branch)
    (folder / "upstream.git").mkdir(exist_ok=True)
    return LocalTracker(file=folder / "tracker.json", upstream=folder / "upstream.git")


def people(folder: Path, *automatic: str, **changes: Any) -> RehearsalPeople:  # noqa: ANN401 (whatever it takes)
    given: dict[str, Any] = {"roster": (MANAGER, EXPERT), "sign": PENS.sign, "now": lambda: NOW}
    return RehearsalPeople(folder=folder, automatic=automatic, **given | changes)


def request(**changes: object) -> Request:
    plan = {"step": "publish", "revision": 1, "subjects": [], "é": "ü"}
    fields = {
        "release": "3.15.0a1",
        "revision": 1,
        "step": "publish",
        "nonce": "n1",
        "plan": plan,
        "digest": digest_of(plan),
        "roles": ("release-manager", "windows-expert"),
        "policy": "1" * 64,
        "head": "2" * 64,
        "expires": NOW + timedelta(days=14),
    }
    return Request.model_validate(fields | changes)


def said_to(port: RehearsalPeople, asked: Request) -> list[Decision]:
    return [read_decision(one.text) for one in port.answers(key=asked.key)]


# --- files ------------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_and_nothing_else_stays(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"one")
    write_whole(tmp_path / "a", b"two")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"two"


def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    write_whole(tmp_path / "a", b"one")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WorldError, match="STATE_WRITE: a cannot be written: No space left"):
        write_whole(tmp_path / "a", b"two")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"one"


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WorldError, match="STATE_WRITE"):
        write_whole(tmp_path / "file/a", b"one")
    with pytest.raises(WorldError, match="STATE_WRITE"), locked(tmp_path / "file/a"):
        pass


def test_a_new_file_never_replaces_another(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"one", new=True)
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a", b"two", new=True)
    assert (tmp_path / "a").read_bytes() == b"one"


@pytest.mark.parametrize("text", ["", "{", '{"issues": 3}', '{"unknown": []}', "\0"])
def test_what_is_no_state_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "tracker.json").write_text(text)
    with pytest.raises(WorldError, match=r"STATE_UNREADABLE: tracker\.json"):
        read_value(tmp_path / "tracker.json", TrackerState)


def test_changes_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "tracker.json"
    write_value(path, TrackerState())

    def add(number: int) -> None:
        issue = Issue(number=number, title="x", labels=())
        StateFile(path, TrackerState).change(
            lambda state: state.model_copy(update={"issues": (*state.issues, issue)})
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(16)))
    state = read_value(path, TrackerState)
    assert sorted(issue.number for issue in state.issues) == list(range(16))


# --- the calendar -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "newest", "site"),
    [
        ("3.15.0a1 2026-05-05", "bugfix feature", "3.13.0 3.14.0"),
        ("3.15.0b1 2026-05-05", "bugfix feature", "3.13.0 3.14.0"),
        ("3.15.0b2 2026-05-26", "prerelease feature", "3.13.0 3.14.0"),
        ("3.15.0rc2 2026-09-01", "prerelease feature", "3.13.0 3.14.0"),
        ("3.15.0 2026-10-01", "prerelease feature", "3.13.0 3.14.0 3.15.0rc2"),
        ("3.14.2 2026-05-05", "prerelease feature", "3.13.0 3.14.1"),
        ("3.12.13 2026-03-03", "bugfix feature", "3.13.0 3.14.0 3.12.12"),
        ("3.15 2026-10-02 begin-bugfix", "prerelease feature", "3.13.0 3.14.0 3.15.0"),
        ("3.10 2026-11-02 end-of-life", "bugfix feature", "3.14.0 3.15.0 3.10.20"),
        ("3.17.0a1 2027-11-01", "bugfix feature", "3.15.0 3.16.0"),
    ],
)
def test_a_release_finds_the_series_and_pages_of_its_day(
    release: str, newest: str, site: str
) -> None:
    version, day, kind = (*release.split(), "")[:3]
    parsed = Release.parse(version, kind, day)
    found = list(phases(parsed).values())
    assert [one.status for one in found][-2:] == newest.split()
    own = phases(parsed)[parsed.version.series]
    assert (own.status in parsed.facts.begins, own.branch) == (True, parsed.branch)
    assert [str(one) for one, _ in published_before(parsed)] == site.split()


# --- tracker and buildbots --------------------------------------------------------------------


def test_a_seeded_tracker_lets_a_release_begin(tmp_path: Path) -> None:
    port: Tracker = tracker(tmp_path)
    assert port.blockers(series="3.15", label="release-blocker").items == ()
    deferred = port.blockers(series="3.15", label="deferred-blocker")
    assert deferred.complete
    assert len(deferred.items) == 2
    assert port.blockers(series="3.14", label="deferred-blocker").items == ()
    assert port.protection(branch="main") == Protection(locked=False, rules=RULES)
    runs = {run.name: run.conclusion for run in port.commit_checks(commit=HEAD)}
    assert runs[GENERATED_FILES_CHECK] == "success"
    assert set(runs.values()) == {"success"}


def test_what_a_release_would_have_to_wait_for_is_not_seeded(tmp_path: Path) -> None:
    branch = Branch("3.14", "3.14", HEAD)
    port = tracker(tmp_path, "3.14.2", branch=branch)
    for label in ("release-blocker", "deferred-blocker"):
        assert port.blockers(series="3.14", label=label).items == ()
    assert port.protection(branch="3.14").rules == RULES
    tracker(tmp_path, "3.15.0a1")
    assert len(port.blockers(series="3.15", label="deferred-blocker").items) == 2


def test_seeding_again_leaves_what_happened_meanwhile(tmp_path: Path) -> None:
    port = tracker(tmp_path)
    port.relabel(number=140_001, remove="deferred-blocker", add="release-blocker")
    port.create_label(name="3.16")
    port.set_protection(branch="main", protection=Protection(locked=False, rules=("one rule",)))
    before = (tmp_path / "tracker.json").read_bytes()
    tracker(tmp_path)
    assert (tmp_path / "tracker.json").read_bytes() == before


def test_labels_of_living_branches_are_there_and_the_next_one_is_not(tmp_path: Path) -> None:
    port = tracker(tmp_path, "3.15.0b1")
    for there in ("3.10", "3.14", "3.15", "needs backport to 3.14", "release-blocker"):
        assert port.has_label(name=there), there
    for missing in ("3.9", "3.16", "needs backport to 3.15", "needs backport to 3.9"):
        assert not port.has_label(name=missing), missing
    tracker(tmp_path, "3.15.0b2", branch=Branch("3.15", "3.15", HEAD))
    assert port.has_label(name="needs backport to 3.15")


def test_a_label_is_made_and_deleted_again(tmp_path: Path) -> None:
    port = tracker(tmp_path)
    for _ in range(2):
        port.create_label(name="3.16")
        assert port.has_label(name="3.16")
    port.relabel(number=139_500, remove="", add="3.16")
    assert [issue.number for issue in port.labelled(label="3.16").items] == [139_500]
    for _ in range(2):
        port.delete_label(name="3.16")
        assert not port.has_label(name="3.16")
    assert port.labels(number=139_500) == ("3.15", "docs")
    assert port.labelled(label="3.16").items == ()


def test_a_label_can_be_taken_off_without_another(tmp_path: Path) -> None:
    branch = Branch("3.10", "3.10", HEAD)
    port = tracker(tmp_path, "3.10", "end-of-life", branch)
    [issue] = port.labelled(label="3.10").items
    for _ in range(2):
        port.relabel(number=issue.number, remove="3.10", add="")
        assert port.labels(number=issue.number) == ("docs",)


def test_a_locked_branch_has_a_marker_until_it_is_unlocked(tmp_path: Path) -> None:
    port = tracker(tmp_path)
    marker = tmp_path / "upstream.git/relkit-locked/main"
    for _ in range(2):
        port.set_protection(branch="main", protection=Protection(locked=True, rules=RULES))
        assert port.protection(branch="main") == Protection(locked=True, rules=RULES)
        assert marker.exists()
    assert not port.protection(branch="3.14").locked
    for _ in range(2):
        port.set_protection(branch="main", protection=Protection(locked=False, rules=RULES[:1]))
        assert port.protection(branch="main") == Protection(locked=False, rules=RULES[:1])
        assert not marker.exists()


def test_a_kill_while_unlocking_leaves_the_branch_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_path: Path) -> None:
        raise KeyboardInterrupt

    port = tracker(tmp_path)
    port.set_protection(branch="main", protection=Protection(locked=True, rules=()))
    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        port.set_protection(branch="main", protection=Protection(locked=False, rules=RULES))
    assert port.protection(branch="main").locked


@pytest.mark.parametrize("branch", ["../main", "a/b", "", ".git"])
def test_a_branch_cannot_lead_out_of_the_markers(tmp_path: Path, branch: str) -> None:
    with pytest.raises(WorldError, match="BAD_NAME"):
        tracker(tmp_path).protection(branch=branch)


def test_relabelling_twice_is_relabelling_once(tmp_path: Path) -> None:
    port = tracker(tmp_path)
    for _ in range(2):
        port.relabel(number=140_001, remove="deferred-blocker", add="release-blocker")
        assert port.labels(number=140_001) == ("3.15", "release-blocker", "type-bug")
    assert port.blockers(series="3.15", label="release-blocker").items[0].number == 140_001


def test_an_issue_without_either_label_is_not_relabelled(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="LABEL_MISSING: #139500 has neither"):
        tracker(tmp_path).relabel(number=139_500, remove="deferred-blocker", add="x")
    with pytest.raises(WorldError, match="ISSUE_UNKNOWN"):
        tracker(tmp_path).labels(number=1)


def test_seeded_buildbots_are_green_for_the_head_and_know_no_other_commit(tmp_path: Path) -> None:
    seed_buildbots(tmp_path / "b.json", MAIN)
    port: Buildbots = LocalBuildbots(file=tmp_path / "b.json")
    bots = port.stable(branch="main", commit=HEAD)
    assert {bot.result for bot in bots} == {"success"}
    assert [bot.online for bot in bots].count(False) == 1
    assert {(bot.commit, bot.result) for bot in port.stable(branch="main", commit=OTHER)} == {
        (None, None)
    }
    assert port.stable(branch="3.14", commit=HEAD) == ()


def test_the_last_finished_build_of_a_commit_counts(tmp_path: Path) -> None:
    seed_buildbots(tmp_path / "b.json", MAIN)
    state = StateFile(tmp_path / "b.json", BuildbotState)
    rows = (
        *state.read().branches["main"],
        Buildbot(name="AMD64 Debian", online=True, commit=HEAD, result="failure"),
        Buildbot(name="AMD64 Debian", online=True, commit=OTHER, result="success"),
    )
    state.write(BuildbotState(branches={"main": rows}))
    first = LocalBuildbots(file=tmp_path / "b.json").stable(branch="main", commit=HEAD)[0]
    assert (first.commit, first.result) == (HEAD, "failure")


def test_builders_of_a_new_branch_have_built_nothing(tmp_path: Path) -> None:
    seed_buildbots(tmp_path / "b.json", MAIN)
    for branch in ("3.15", "main"):
        seed_builders(tmp_path / "b.json", branch)
    port = LocalBuildbots(file=tmp_path / "b.json")
    assert {bot.result for bot in port.stable(branch="3.15", commit=HEAD)} == {None}
    assert {bot.result for bot in port.stable(branch="main", commit=HEAD)} == {"success"}


def _git(repository: Path, *command: str) -> str:
    done = subprocess.run(
        ["git", f"--git-dir={repository}", *command], capture_output=True, check=True, text=True
    )
    return done.stdout


# --- announcements ----------------------------------------------------------------------------


def announcements(folder: Path) -> LocalAnnouncements:
    ReleaseData(folder / "peps.git").create(ALPHA, date(2026, 5, 5))
    return LocalAnnouncements(folder=folder / "drafts/3.15.0a1", peps=folder / "peps.git")


def test_a_draft_is_read_as_it_was_written_and_an_edited_one_is_kept(tmp_path: Path) -> None:
    port: Announcements = announcements(tmp_path)
    assert port.drafted(channel="blog") is None
    port.draft(channel="blog", text="Python\r\nis ïn\n")
    port.draft(channel="blog", text="Python\r\nis ïn\n")
    assert port.drafted(channel="blog") == "Python\r\nis ïn\n"
    (tmp_path / "drafts/3.15.0a1/blog.md").write_text("the manager's words")
    port.draft(channel="blog", text="new")
    assert port.drafted(channel="blog") == "new"
    [old] = (tmp_path / "drafts/3.15.0a1").glob("*.old.md")
    assert old.read_text() == "the manager's words"


def test_a_draft_in_another_encoding_is_refused_and_stays(tmp_path: Path) -> None:
    port = announcements(tmp_path)
    port.draft(channel="blog", text="x")
    (tmp_path / "drafts/3.15.0a1/blog.md").write_bytes(b"\xefn")
    with pytest.raises(WorldError, match="DRAFT_UNREADABLE"):
        port.draft(channel="blog", text="new")
    assert (tmp_path / "drafts/3.15.0a1/blog.md").read_bytes() == b"\xefn"


def test_a_release_is_recorded_once_as_a_commit_that_no_clock_has_a_part_in(
    tmp_path: Path,
) -> None:
    heads = []
    for name in ("one", "two"):
        port = announcements(tmp_path / name)
        announcements(tmp_path / name)
        assert port.recorded_release(series="3.15", version="3.15.0a1") is None
        for _ in range(2):
            port.record_release(series="3.15", version="3.15.0a1", day="2026-05-06")
            assert port.recorded_release(series="3.15", version="3.15.0a1") == "2026-05-06"
        heads.append(_git(tmp_path / name / "peps.git", "log", "--format=%H %s", "main"))
    assert heads[0] == heads[1]
    assert [line.split(" ", 1)[1] for line in heads[0].splitlines()] == [
        "Python 3.15.0a1 is released",
        "Expect releases",
    ]


def test_recording_changes_two_lines_of_the_data(tmp_path: Path) -> None:
    port = announcements(tmp_path)
    port.record_release(series="3.15", version="3.15.0a1", day="2026-05-06")
    diff = _git(tmp_path / "peps.git", "diff", "--unified=0", "main~", "main").splitlines()
    assert [line for line in diff if line[0] in "+-" and line[:3] not in {"+++", "---"}] == [
        '-state = "expected"',
        "-date = 2026-05-05",
        '+state = "actual"',
        "+date = 2026-05-06",
    ]


def test_releases_before_the_version_count_as_made() -> None:
    text = expected_releases(Version.parse("3.13.0a6"), date(2024, 4, 9))
    assert released(text, "3.13", "3.13.0 alpha 5") == date(2024, 3, 12)
    assert released(expected_releases(Version.parse("3.14.2"), date(2026, 5, 5)), "3.14", "3.14.1")
    assert released(text, "3.13", "3.13.0 alpha 6") is None
    assert len(tomllib.loads(text)["release"]["3.13"]) == 14


def test_data_of_another_form_is_refused_and_stays(tmp_path: Path) -> None:
    port = announcements(tmp_path)
    inline = b'[release]\n"3.15" = [{stage = "3.15.0 alpha 1", state = "expected"}]\n'
    who = Identity("R", "r@invalid")
    ReleaseData(tmp_path / "peps.git").branch.commit(lambda _: {PATH: inline}, "inline", who)
    with pytest.raises(WorldError, match="RELEASE_DATA"):
        port.record_release(series="3.15", version="3.15.0a1", day="2026-05-06")
    assert port.recorded_release(series="3.15", version="3.15.0a1") is None


def test_a_status_is_set_once_and_nothing_else_changes(tmp_path: Path) -> None:
    data = ReleaseData(tmp_path / "peps.git")
    for _ in range(2):
        data.create(ALPHA, date(2026, 5, 5), {"3.14": "bugfix", "3.15": "feature"})
    port = LocalAnnouncements(folder=tmp_path / "drafts/x", peps=tmp_path / "peps.git")
    assert (port.status(series="3.15"), port.status(series="3.16")) == ("feature", None)
    for _ in range(2):
        port.set_status(series="3.15", status="prerelease")
        port.set_status(series="3.16", status="feature")
    assert [port.status(series=one) for one in ("3.14", "3.15", "3.16")] == [
        *("bugfix", "prerelease", "feature")
    ]
    assert _git(tmp_path / "peps.git", "log", "--format=%s", "main").splitlines() == [
        *("Python 3.16 is feature", "Python 3.15 is prerelease", "Expect releases")
    ]
    port.record_release(series="3.15", version="3.15.0a1", day="2026-05-06")
    assert port.recorded_release(series="3.15", version="3.15.0a1") == "2026-05-06"


def test_another_series_joins_the_release_data(tmp_path: Path) -> None:
    data = ReleaseData(tmp_path / "peps.git")
    data.create(ALPHA, date(2026, 5, 5), {"3.14": "bugfix", "3.15": "feature"})
    data.record("3.15", "3.15.0a1", date(2026, 5, 5))
    known = {"3.14": "bugfix", "3.15": "prerelease", "3.16": "feature"}
    data.create(Version.parse("3.14.2"), date(2026, 5, 6), known)
    assert data.day_of("3.15", "3.15.0a1") == "2026-05-05"
    assert data.day_of("3.14", "3.14.1") == "2026-04-08"
    assert data.day_of("3.14", "3.14.2") is None
    assert [data.status(one) for one in ("3.14", "3.15", "3.16")] == [
        *("bugfix", "feature", "feature")
    ]


series_names = st.lists(st.integers(8, 20).map("3.{}".format), unique=True, max_size=5)
status_names = st.sampled_from(["feature", "prerelease", "bugfix", "security", "end-of-life"])


@given(names=series_names, changed=st.sampled_from(["3.8", "3.14", "3.20"]), status=status_names)
def test_marking_a_status_leaves_all_others_alone(
    names: list[str], changed: str, status: str
) -> None:
    text = "# a comment\n"
    for name in names:
        text = mark_status(text, name, "bugfix")
    marked = mark_status(text, changed, status)
    assert marked.startswith("# a comment\n")
    assert statuses(marked) == {**dict.fromkeys(names, "bugfix"), changed: status}


def test_a_post_can_be_read_once_it_was_made(tmp_path: Path) -> None:
    port = announcements(tmp_path)
    url = "https://discuss.python.org/t/python-3150a1/"
    port.publish_post(url=url, channel="discuss")  # without a draft there is nothing to post
    assert port.post(url=url) is None
    port.draft(channel="discuss", text="Python is out.\n")
    port.publish_post(url=url, channel="discuss")
    assert port.post(url=url) == "Python is out.\n"
    assert port.post(url=f"{url}1") is None


stages = st.lists(st.integers(0, 99).map("3.15.0 stage {}".format), unique=True, max_size=6)


@given(stages=stages, added=st.sampled_from(["3.15.0 stage 0", "3.15.0 stage 1", "new"]))
def test_marking_a_release_leaves_all_others_alone(stages: list[str], added: str) -> None:
    text = "# a comment\n" + "\n".join(
        f'[[release."{series}"]]\nstage = "{stage}"\nstate = "expected"\ndate = 2026-01-0{n}\n'
        for n, series in enumerate(("3.14", "3.15"), start=1)
        for stage in stages
    )
    marked = mark_released(text, "3.15", added, date(2027, 1, 1))
    assert marked.startswith("# a comment\n")
    assert released(marked, "3.15", added) == date(2027, 1, 1)
    before, after = (tomllib.loads(one).get("release", {}) for one in (text, marked))
    assert after.get("3.14") == before.get("3.14")
    assert [one for one in after["3.15"] if one["stage"] != added] == [
        one for one in before.get("3.15", []) if one["stage"] != added
    ]


# --- people -----------------------------------------------------------------------------------


def test_a_message_is_sent_once(tmp_path: Path) -> None:
    did: list[str] = []
    hooks = {"windows-expert": lambda subject, text: did.append(f"{subject}: {text}")}
    port: People = people(tmp_path, roster=(EXPERT,), hooks=hooks)
    send = partial(port.tell, nonce="n1-notice", subject="tag", text="v1")
    assert not port.told(nonce="n1-notice")
    for _ in range(2):
        send(roles=("windows-expert", "docs-expert"))
    assert port.told(nonce="n1-notice")
    assert did == ["tag: v1"]
    with pytest.raises(WorldError, match="SENT_DIFFERENTLY"):
        send(roles=())


def test_a_person_killed_before_acting_acts_when_told_again(tmp_path: Path) -> None:
    def killed(_subject: str, _text: str) -> None:
        raise KeyboardInterrupt

    first = people(tmp_path, roster=(), hooks={"web-editor": killed})
    with pytest.raises(KeyboardInterrupt):
        first.tell(nonce="n", subject="s", text="t", roles=("web-editor",))
    assert not people(tmp_path).told(nonce="n")


ASK = "Please submit it.\n\nAnswer in this form: Python 3.15.0a1, submission 1\n"


def test_automatic_people_give_evidence_in_the_form_that_is_shown(tmp_path: Path) -> None:
    did: list[tuple[str, str]] = []
    port = people(tmp_path, "windows-expert", done=lambda name, text: did.append((name, text)))
    assert port.testimony(name="n1-store") is None
    for _ in range(2):
        port.tell(
            nonce="n1-store", subject="evidence: n1-store", text=ASK, roles=("windows-expert",)
        )
    given = port.testimony(name="n1-store")
    assert given is not None
    assert (given.who, given.role, given.text) == (
        *("Wim", "windows-expert", "Python 3.15.0a1, submission 1"),
    )
    assert did == [("n1-store", given.text)]
    assert port.testimony(name="n1-r2-store") is None


def test_others_are_waited_for_and_may_say_it_anew(tmp_path: Path) -> None:
    port: People = people(tmp_path)
    port.tell(nonce="n1-store", subject="evidence: n1-store", text=ASK, roles=("windows-expert",))
    assert port.testimony(name="n1-store") is None
    for text in ("wrong", "wrong", "right"):
        port.testify(testimony=said(text=text))
    assert port.testimony(name="n1-store") == said(text="right")
    assert len(list((tmp_path / "evidence").glob("n1-store.*.json"))) == 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"who": "Mallory"}, "EVIDENCE_FOREIGN"),
        ({"role": "release-manager"}, "EVIDENCE_FOREIGN"),
        ({"text": " "}, "EVIDENCE_INVALID"),
    ],
    ids=str,
)
def test_what_is_no_evidence_is_refused_when_it_is_given_and_when_it_is_taken_in(
    tmp_path: Path, changes: dict[str, str], code: str
) -> None:
    port = people(tmp_path)
    with pytest.raises(WorldError, match=code):
        port.testify(testimony=said(**changes))
    write_value(tmp_path / "evidence" / "n1-store.0001.json", said(**changes))
    with pytest.raises(WorldError, match=code):
        port.testimony(name="n1-store")
    port.testify(testimony=said(text="what comes last counts"))
    assert port.testimony(name="n1-store") == said(text="what comes last counts")


def test_evidence_under_another_name_is_refused(tmp_path: Path) -> None:
    write_value(tmp_path / "evidence" / "n1-store.0001.json", said(name="n2-store"))
    with pytest.raises(WorldError, match="EVIDENCE_INVALID"):
        people(tmp_path).testimony(name="n1-store")


def said(**changes: str) -> Testimony:
    fields = {"name": "n1-store", "who": "Wim", "role": "windows-expert", "text": "done"}
    return Testimony.model_validate(fields | changes)


# --- evidence by whoever has the message, while a run is held -----------------------------------

RUN_OF = Made(id="0123", source="")
MESSAGE_KEY = f"{RUN_OF.nonce('3.15.0b1')}-post-discuss"


def asked_by_a_run(tmp_path: Path, name: str = MESSAGE_KEY) -> Path:
    """Make of a world what somebody with a message needs; return the message's file."""
    write_value(tmp_path / WHOLE, RUN_OF)
    for key in ("3.14.2", "3.15.0b1"):
        (tmp_path / f"site-{key}.url").write_text("http://localhost:1/")
    people(tmp_path).tell(
        nonce=name, subject=f"evidence: {name}", text=ASK, roles=("windows-expert",)
    )
    return tmp_path / "outbox" / f"{name}.json"


def test_who_has_the_message_gives_the_evidence_without_the_run(tmp_path: Path) -> None:
    message = asked_by_a_run(tmp_path)
    for text in ("wrong", "right", " right\n"):
        deeds.testify(message, "Wim", "windows-expert", text)
    assert people(tmp_path).testimony(name=MESSAGE_KEY) == said(name=MESSAGE_KEY, text="right")
    assert len(list((tmp_path / "evidence").glob("*.json"))) == 2


def test_the_message_may_be_named_from_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(asked_by_a_run(tmp_path).parent)
    deeds.testify(Path(f"{MESSAGE_KEY}.json"), "Wim", "windows-expert", "done")
    assert people(tmp_path).testimony(name=MESSAGE_KEY) == said(name=MESSAGE_KEY)


def test_who_says_so_has_posted_the_draft_of_that_release(tmp_path: Path) -> None:
    message = asked_by_a_run(tmp_path)
    url = "https://discuss.python.org/t/1"
    drafts, posts = tmp_path / "drafts", tmp_path / "posts.json"
    mine, other = (
        LocalAnnouncements(folder=drafts / key, peps=tmp_path / "peps.git", posts=posts)
        for key in ("3.15.0b1", "3.14.2")
    )
    other.draft(channel="discuss", text="another release")
    mine.draft(channel="discuss", text="The first beta.")
    deeds.testify(message, "Wim", "windows-expert", url)
    assert mine.post(url=url) == "The first beta."


def test_who_says_so_has_seen_to_the_builders_of_the_branch(tmp_path: Path) -> None:
    file = tmp_path / "buildbots.json"
    write_value(file, BuildbotState())
    name = f"{RUN_OF.nonce('3.15.0b1')}-r2-infrastructure"
    deeds.testify(asked_by_a_run(tmp_path, name), "Wim", "windows-expert", "done")
    assert len(LocalBuildbots(file=file).stable(branch="3.15", commit="0" * 40)) == 5


def test_who_is_not_asked_gives_no_evidence(tmp_path: Path) -> None:
    message = asked_by_a_run(tmp_path)
    stranger = asked_by_a_run(tmp_path, "f" * 16 + "-store")
    people(tmp_path).tell(nonce="notice", subject="news", text="t", roles=("windows-expert",))
    copied = message.with_name("copy.json")
    copied.write_bytes(message.read_bytes())
    notice, none = message.with_name("notice.json"), message.with_name("none.json")
    for file, role, text, code in (
        (message, "docs-expert", "done", "NOT_ASKED: .* not docs-expert"),
        (message, "windows-expert", " ", "EVIDENCE_INVALID"),
        (stranger, "windows-expert", "done", "NOT_ASKED: no run"),
        (notice, "windows-expert", "done", "NOT_ASKED: .* about news"),
        (copied, "windows-expert", "done", "NOT_ASKED"),
        (none, "windows-expert", "done", "STATE_UNREADABLE"),
    ):
        with pytest.raises(WorldError, match=code):
            deeds.testify(file, "Wim", role, text)
    assert not (tmp_path / "evidence").exists()


def test_a_name_the_world_does_not_know_is_refused_when_it_is_taken_in(tmp_path: Path) -> None:
    deeds.testify(asked_by_a_run(tmp_path), "Mallory", "windows-expert", "done")
    with pytest.raises(WorldError, match="EVIDENCE_FOREIGN"):
        people(tmp_path).testimony(name=MESSAGE_KEY)


def test_of_two_people_in_a_role_the_first_one_answers(tmp_path: Path) -> None:
    other = EXPERT.model_copy(update={"name": "Robin"})
    port = people(tmp_path, "windows-expert", roster=(MANAGER, EXPERT, other))
    asked = request()
    port.ask(request=asked)
    assert [one.who for one in said_to(port, asked)] == ["Wim"]


def test_after_a_hand_over_the_release_manager_in_office_answers(tmp_path: Path) -> None:
    roster = (MANAGER, MANAGER.model_copy(update={"name": "Robin"}), EXPERT)
    port = people(tmp_path, "release-manager", roster=roster)
    asked = request()
    for manager, head in (("", "2"), ("Robin", "3"), ("Robin", "3")):
        port.ask(request=asked.model_copy(update={"manager": manager, "head": head * 64}))
    assert sorted(one.who for one in said_to(port, asked)) == ["Rae", "Robin"]


def test_automatic_people_answer_once_and_the_others_are_waited_for(tmp_path: Path) -> None:
    asked = request()
    for _ in range(2):
        people(tmp_path, "windows-expert").ask(request=asked)
    (signed,) = people(tmp_path).answers(key=asked.key)
    PENS.verify(signed=signed, identity=toy.identity("Wim"))
    (given,) = said_to(people(tmp_path), asked)
    assert (given.who, given.role, given.verdict) == ("Wim", "windows-expert", "approve")
    assert (given.plan, given.head, given.at) == (asked.digest, asked.head, NOW)
    assert people(tmp_path).answers(key="0" * 64) == ()


@pytest.mark.parametrize("change", [{"revision": 2}, {"nonce": "n2"}], ids=str)
def test_what_automatic_people_said_to_another_revision_or_run_is_no_answer(
    tmp_path: Path, change: dict[str, object]
) -> None:
    port = people(tmp_path, "windows-expert")
    for asked in (request(), request(**change)):
        port.ask(request=asked)
    assert len(said_to(port, request())) == 2


def test_automatic_people_answer_anew_what_is_asked_anew_after_its_time(tmp_path: Path) -> None:
    asked = request()
    people(tmp_path, "windows-expert").ask(request=asked)
    later = asked.expires + timedelta(hours=1)
    again = request(expires=later + timedelta(days=14), head="3" * 64)
    people(tmp_path, "windows-expert", now=lambda: later).ask(request=again)
    assert {one.head for one in said_to(people(tmp_path), asked)} == {asked.head, again.head}


def test_an_automatic_person_rejects_a_plan_with_another_digest(tmp_path: Path) -> None:
    asked = request(digest="0" * 64)
    people(tmp_path, "windows-expert").ask(request=asked)
    (given,) = said_to(people(tmp_path), asked)
    assert (given.verdict, given.reason) == ("reject", "the plan has another digest")


def test_an_altered_request_is_put_anew(tmp_path: Path) -> None:
    asked = request()
    people(tmp_path).ask(request=asked)
    file = tmp_path / "requests" / f"{asked.digest}.json"
    write_value(file, request(plan={"step": "publish", "subjects": ["evil"]}))
    people(tmp_path).ask(request=asked)
    assert read_value(file, Request) == asked


def test_junk_beside_a_request_is_handed_on_as_what_it_is(tmp_path: Path) -> None:
    asked = request()
    people(tmp_path).ask(request=asked)
    (tmp_path / "requests" / f"{asked.digest}.0001.windows-expert.json").write_text("{")
    (junk,) = people(tmp_path).answers(key=asked.key)
    assert junk == Signed(scheme="ssh", text=junk.text, signature="")
    assert "windows-expert.json is no answer" in junk.text
