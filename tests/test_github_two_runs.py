"""Two runs of relkit at one repository: never do both hold a branch, and neither spoils it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from services.github_scene import REPOSITORY, Actions, Scene
from services.github_standin_state import kept

from relkit.adapters.github_tracker import GitHubTracker
from relkit.adapters.remote_builders import RemoteBuilders
from relkit.adapters.rest import Answer, Rest
from relkit.errors import ReleaseError
from relkit.values import ADMINISTRATORS, Protection

LABEL = "needs backport to 3.15"


@pytest.fixture
def place(actions: Actions) -> Scene:
    return actions.scene


@dataclass
class Run:
    """A run as the engine leads it at one branch: it looks, acts, and looks again."""

    tracker: GitHubTracker
    before: Protection

    @property
    def frozen(self) -> Protection:
        return self.before.model_copy(update={"locked": True})

    @property
    def lifted(self) -> Protection:
        rules = tuple(rule for rule in self.before.rules if rule != ADMINISTRATORS)
        return Protection(locked=False, rules=rules)

    @property
    def sees(self) -> Protection:
        return self.tracker.protection(branch="main")

    def set(self, wanted: Protection) -> str:
        """Give the branch a protection; return the code of the refusal, or nothing."""
        try:
            self.tracker.set_protection(branch="main", protection=wanted)
        except ReleaseError as error:
            return error.code if error.remedy else "no remedy"
        return ""

    @property
    def holds(self) -> bool:
        return self.sees == self.frozen


def run(place: Scene, mark: str, rest: Rest | None = None) -> Run:
    tracker = GitHubTracker(rest or place.rest, repository=REPOSITORY, mark=mark)
    return Run(tracker, tracker.protection(branch="main"))


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    barrier = threading.Barrier(len(acts))

    def one(act: Callable[[], Any]) -> Any:  # noqa: ANN401 (whatever it gives)
        barrier.wait(timeout=30)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [each.result() for each in [pool.submit(one, act) for act in acts]]


def before_call(place: Scene, number: int, act: Callable[[], object]) -> Rest:
    """Return the interface, with something that happens just before the call with a number."""
    rest, count, ask = place.rest, iter(range(1000)), Rest.ask

    def counted(*args: Any, **more: Any) -> Answer:  # noqa: ANN401 (as they come)
        if next(count) == number:
            act()
        return ask(rest, *args, **more)

    rest.ask = counted  # type: ignore[method-assign]  # to come between two calls
    return rest


def test_of_two_that_freeze_at_the_same_moment_one_holds_the_branch(place: Scene) -> None:
    for number in range(8):
        place.begin()
        runs = [run(place, f"a{number}"), run(place, f"b{number}")]
        codes = at_once(*(lambda one=one: one.set(one.frozen) for one in runs))
        assert sorted(codes) == ["", "ALREADY_FROZEN"]
        assert [one.holds for one in runs] == [code == "" for code in codes]
        assert place.locks() == 1


@pytest.mark.parametrize("number", range(8))
def test_one_that_freezes_between_any_two_calls_of_another_leaves_one_holder(
    place: Scene, number: int
) -> None:
    other, codes = run(place, "other"), list[str]()
    own = run(place, "own")
    own.tracker = GitHubTracker(
        before_call(place, number, lambda: codes.append(other.set(other.frozen))),
        repository=REPOSITORY,
        mark="own",
    )
    codes.append(own.set(own.frozen))
    if len(codes) == 1:  # it had fewer calls: then the other comes after all of them
        codes.append(other.set(other.frozen))
    refusals = [code for code in codes if code]
    assert refusals in (["ALREADY_FROZEN"], ["PROTECTION_DIFFERS"])
    own.tracker = place.tracker_of("own")
    assert own.holds != other.holds
    assert place.locks() == 1


def test_who_does_not_hold_the_branch_neither_opens_nor_lifts_it(place: Scene) -> None:
    first, second = run(place, "first"), run(place, "second")
    assert first.set(first.frozen) == ""
    state = kept(place.folder).read(), place.local.protection(branch="main")
    for wanted in (second.before, second.lifted, second.frozen):
        assert second.set(wanted) == "ALREADY_FROZEN"
        assert first.holds
    assert (kept(place.folder).read(), place.local.protection(branch="main")) == state


def test_a_branch_that_is_lifted_for_a_push_is_not_free_and_not_what_was_there(
    place: Scene,
) -> None:
    """What the other would remember has no administrators: it would bring that back later."""
    first = run(place, "first")
    assert first.set(first.frozen) == ""
    assert first.set(first.lifted) == ""
    assert first.sees == first.lifted
    second = run(place, "second")
    assert second.before.locked
    assert second.set(second.frozen) == "ALREADY_FROZEN"
    for wanted in (first.frozen, first.before):
        assert first.set(wanted) == ""
        assert first.sees == wanted
    assert place.locks() == 0
    third = run(place, "second")
    assert third.before == first.before
    assert third.set(third.frozen) == ""
    assert third.holds


@pytest.mark.parametrize("number", range(8))
def test_one_that_is_killed_between_any_two_calls_of_lifting_never_leaves_the_branch_free(
    place: Scene, number: int
) -> None:
    """What another run would remember has no administrators: it would bring that back later."""
    first, second = run(place, "first"), run(place, "second")
    assert first.set(first.frozen) == ""
    whole = first.tracker

    def die() -> None:
        raise KeyboardInterrupt

    rest = before_call(place, number, die)
    first.tracker = GitHubTracker(rest, repository=REPOSITORY, mark="first")
    with suppress(KeyboardInterrupt):
        first.set(first.lifted)
    first.tracker = whole
    assert first.set(first.lifted) == ""
    assert first.sees == first.lifted
    assert second.sees.locked
    assert second.set(second.frozen) == "ALREADY_FROZEN"
    for wanted in (first.frozen, first.before):
        assert first.set(wanted) == ""
        assert first.sees == wanted
    assert place.locks() == 0


def test_one_that_was_killed_before_it_saw_the_other_withdraws_when_it_runs_again(
    place: Scene,
) -> None:
    first, second = run(place, "first"), run(place, "second")
    assert first.set(first.frozen) == ""
    fields = second.tracker._branches._freezes._fields("main", "active")
    place.rest.write("POST", f"repos/{REPOSITORY}/rulesets", fields)
    assert (first.holds, second.holds) == (True, False)
    assert first.set(first.lifted) == "ALREADY_FROZEN"  # nobody could push: it says by whom
    assert first.holds
    assert second.set(second.frozen) == "ALREADY_FROZEN"
    assert place.locks() == 1
    assert first.set(first.lifted) == ""
    assert first.sees == first.lifted


def test_a_branch_whose_administrators_are_free_anyway_is_free_once_it_is_opened(
    place: Scene,
) -> None:
    place.begin(rules={"main": ("require a pull request",)})
    for mark in ("first", "second"):
        one = run(place, mark)
        assert not one.before.locked
        for wanted in (one.frozen, one.lifted, one.frozen, one.before):
            assert one.set(wanted) == ""
            assert one.sees == wanted
    assert place.locks() == 0


def test_a_label_that_two_make_is_made_once_for_both(place: Scene) -> None:
    def make() -> None:
        place.tracker.create_label(name=LABEL)

    rest = before_call(place, 1, make)
    GitHubTracker(rest, repository=REPOSITORY).create_label(name=LABEL)
    assert place.tracker.has_label(name=LABEL)
    assert len(place.proxy.asked("POST", "/labels")) == 2
    assert place.proxy.effects("POST", "/labels") == 1


def test_two_that_start_a_build_of_one_run_start_it_once(actions: Actions, tmp_path: Path) -> None:
    """A notebook and a batch run on one machine; each has its own view of the folder."""

    def start() -> None:
        services = dict.fromkeys(("android", "ios"), service)
        local = actions.workflow.builders
        builders = RemoteBuilders(tmp_path / "builds", services, local, poll_seconds=0)
        builders.start(build=actions.build("ios"))

    service = actions.service()
    at_once(start, start)
    assert actions.dispatched() == 1


def test_two_machines_that_start_one_commit_each_keep_to_their_own_run(
    actions: Actions, tmp_path: Path
) -> None:
    """Neither knows of the other's journal; what cannot be told apart is not guessed."""
    build = actions.build("ios")
    both = [
        RemoteBuilders(
            tmp_path / name, {"ios": actions.service()}, actions.workflow.builders, poll_seconds=0
        )
        for name in ("one", "two")
    ]
    both[0].start(build=build)
    actions.scene.proxy.next("500 with effect", method="POST", path="/dispatches")
    with pytest.raises(ReleaseError, match="SERVICE_UNKNOWN_STATE"):
        both[1].start(build=build)
    with pytest.raises(ReleaseError, match="RUN_AMBIGUOUS"):
        both[1].start(build=build)
    assert actions.dispatched() == 2
