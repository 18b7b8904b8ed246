"""The tracker of a rehearsal and the one on GitHub keep the same promises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from services.github_scene import COMMIT, RULES, Scene, scene, seeded

from relkit.errors import ReleaseError, WorldError
from relkit.ports import Tracker
from relkit.values import ADMINISTRATORS, AS_THEY_ARE, CommitCheck, Issue, Protection


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("github")) as one:
        yield one


@pytest.fixture
def place(started: Scene) -> Scene:
    started.begin()
    return started


@pytest.fixture(params=["local", "github"])
def port(request: pytest.FixtureRequest, place: Scene) -> Tracker:
    return place.tracker if request.param == "github" else place.local


def numbers(items: tuple[Issue, ...]) -> list[int]:
    return [one.number for one in items]


def test_blockers_are_those_of_the_series_with_the_label(port: Tracker) -> None:
    found = port.blockers(series="3.15", label="release-blocker")
    assert (numbers(found.items), found.complete) == ([12], True)
    assert found.items[0].labels == ("3.15", "release-blocker")
    assert port.blockers(series="3.13", label="release-blocker").items == ()


def test_blockers_opened_meanwhile_are_seen_when_it_is_asked_again(
    port: Tracker, place: Scene
) -> None:
    """I53: asked at the start and on the day."""
    assert numbers(port.blockers(series="3.15", label="release-blocker").items) == [12]
    place.local.relabel(number=14, remove="", add="release-blocker")
    assert numbers(port.blockers(series="3.15", label="release-blocker").items) == [12, 14]


def test_an_answer_with_pages_missing_says_so(port: Tracker, place: Scene) -> None:
    place.begin(complete=False)
    assert not port.blockers(series="3.15", label="release-blocker").complete
    assert not port.labelled(label="docs").complete


def test_many_issues_are_all_found(port: Tracker, place: Scene) -> None:
    many = tuple(
        Issue(number=number, title="x", labels=("3.15", "release-blocker"))
        for number in range(1, 251)
    )
    place.begin(issues=many)
    found = port.blockers(series="3.15", label="release-blocker")
    assert (numbers(found.items), found.complete) == (list(range(1, 251)), True)


def test_the_labels_of_an_issue_are_sorted(port: Tracker) -> None:
    assert port.labels(number=12) == ("3.15", "release-blocker")
    with pytest.raises(WorldError, match="ISSUE_UNKNOWN"):
        port.labels(number=99)


def test_a_label_is_replaced_once_however_often_it_is_said(port: Tracker) -> None:
    for _ in range(2):
        port.relabel(number=11, remove="deferred-blocker", add="release-blocker")
        assert port.labels(number=11) == ("3.15", "release-blocker")
    port.relabel(number=11, remove="release-blocker", add="")
    assert port.labels(number=11) == ("3.15",)
    with pytest.raises(WorldError, match="LABEL_MISSING"):
        port.relabel(number=11, remove="deferred-blocker", add="release-blocker")


def test_labels_are_made_and_deleted(port: Tracker) -> None:
    for _ in range(2):
        port.create_label(name="needs backport to 3.15")
        assert port.has_label(name="needs backport to 3.15")
    port.relabel(number=11, remove="", add="needs backport to 3.15")
    assert numbers(port.labelled(label="needs backport to 3.15").items) == [11]
    for _ in range(2):
        port.delete_label(name="needs backport to 3.15")
        assert not port.has_label(name="needs backport to 3.15")
    assert port.labels(number=11) == ("3.15", "deferred-blocker")


def test_check_runs_of_a_commit_are_listed(port: Tracker) -> None:
    wanted = tuple(CommitCheck(name=name, conclusion="success") for name in ("Docs", "Tests"))
    assert port.commit_checks(commit=COMMIT) == wanted


def test_a_branch_is_frozen_lifted_locked_and_opened_with_the_rules_it_had(port: Tracker) -> None:
    before = port.protection(branch="main")
    assert not before.locked
    assert ADMINISTRATORS in before.rules
    frozen = before.model_copy(update={"locked": True})
    kept = tuple(rule for rule in before.rules if rule != ADMINISTRATORS)
    lifted = Protection(locked=False, rules=kept)
    for wanted in (frozen, lifted, frozen, before):
        for _ in range(2):
            port.set_protection(branch="main", protection=wanted)
            assert port.protection(branch="main") == wanted
    assert port.protection(branch="3.14").rules == before.rules


def test_a_branch_that_is_locked_keeps_the_rules_it_has(port: Tracker) -> None:
    before = port.protection(branch="main")
    for branch, rules in (("main", before.rules), ("3.15", ())):
        wanted = Protection(locked=True, rules=AS_THEY_ARE)
        port.set_protection(branch=branch, protection=wanted)
        assert port.protection(branch=branch) == Protection(locked=True, rules=rules)


def test_a_branch_without_rules_is_given_those_of_another_and_can_lose_them(port: Tracker) -> None:
    rules = port.protection(branch="3.14").rules
    assert len(rules) == len(RULES)
    for wanted in (Protection(locked=True, rules=rules), Protection(locked=False, rules=())):
        port.set_protection(branch="3.15", protection=wanted)
        assert port.protection(branch="3.15") == wanted


def test_a_locked_branch_refuses_pushes(port: Tracker, place: Scene) -> None:
    marker = place.folder / "upstream.git" / "relkit-locked" / "main"
    rules = port.protection(branch="main").rules
    port.set_protection(branch="main", protection=Protection(locked=True, rules=rules))
    assert marker.exists()
    port.set_protection(branch="main", protection=Protection(locked=False, rules=rules))
    assert not marker.exists()


def test_a_lock_of_somebody_else_is_seen(port: Tracker, place: Scene) -> None:
    rules = place.local.protection(branch="main").rules
    place.local.set_protection(branch="main", protection=Protection(locked=True, rules=rules))
    assert port.protection(branch="main").locked


@pytest.mark.parametrize("branch", ["../main", "a/b", "", ".git", "main\n"])
def test_a_branch_is_a_plain_name(port: Tracker, branch: str) -> None:
    with pytest.raises(ReleaseError, match="BAD_NAME"):
        port.protection(branch=branch)


def test_both_find_the_same_issues_by_each_label(place: Scene) -> None:
    for label in seeded().labels:
        assert place.tracker.labelled(label=label) == place.local.labelled(label=label)
