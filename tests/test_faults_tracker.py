"""What GitHub and the network do to the tracker: never a false "done", never a second effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import faults
import pytest
from hostile import STRINGS
from services.faulty import WRITES, refusal
from services.github_scene import COMMIT, Scene, scene
from services.github_standin_state import kept

from relkit.errors import ReleaseError
from relkit.values import ADMINISTRATORS, Issues, Protection

pytestmark = pytest.mark.slow
PORT = "Tracker"
LABEL = "needs backport to 3.15"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("github")) as one:
        yield one


@pytest.fixture
def place(started: Scene) -> Scene:
    started.begin()
    return started


def freeze(place: Scene) -> None:
    """Freeze main as the engine does: look, act, look."""
    tracker = place.tracker
    before = tracker.protection(branch="main")
    frozen = before.model_copy(update={"locked": True})
    if before != frozen:
        tracker.set_protection(branch="main", protection=frozen)
    assert tracker.protection(branch="main") == frozen


@pytest.mark.parametrize("fault", WRITES)
def test_a_branch_is_frozen_once_whatever_happens_to_the_call(place: Scene, fault: str) -> None:
    place.proxy.next(fault, method="POST", path="/rulesets")
    refused = refusal(lambda: freeze(place))
    assert refused is not None
    effects = place.locks()
    assert place.local.protection(branch="main").locked == bool(effects)
    after = refusal(lambda: freeze(place))
    faults.observed(PORT, fault, refused, effects=effects, after=after, effects_after=place.locks())
    assert place.proxy.effects("POST", "/rulesets") == 1


@pytest.mark.parametrize("fault", WRITES)
def test_the_push_is_prepared_and_put_back_exactly_whatever_happens(
    place: Scene, fault: str
) -> None:
    """Lifting fails in the middle: administrators were to be let through, and the lock was on."""
    freeze(place)
    tracker = place.tracker
    locked = tracker.protection(branch="main")
    kept_rules = tuple(rule for rule in locked.rules if rule != ADMINISTRATORS)
    lifted = Protection(locked=False, rules=kept_rules)
    for method, path in (("DELETE", "/enforce_admins"), ("PUT", "/rulesets/")):
        place.proxy.next(fault, method=method, path=path)
        assert refusal(lambda: tracker.set_protection(branch="main", protection=lifted))
        found = tracker.protection(branch="main")
        assert set(kept_rules) <= set(found.rules)
        tracker.set_protection(branch="main", protection=locked)
        assert tracker.protection(branch="main") == locked
    tracker.set_protection(branch="main", protection=lifted)
    for method, path in (("PUT", "/rulesets/"), ("POST", "/enforce_admins")):
        place.proxy.next(fault, method=method, path=path)
        assert refusal(lambda: tracker.set_protection(branch="main", protection=locked))
    tracker.set_protection(branch="main", protection=locked)
    assert tracker.protection(branch="main") == locked
    assert place.locks() == 1


@pytest.mark.parametrize("fault", WRITES)
def test_labels_are_given_and_made_once_whatever_happens(place: Scene, fault: str) -> None:
    tracker = place.tracker

    def relabel() -> None:
        tracker.relabel(number=11, remove="deferred-blocker", add="release-blocker")
        assert tracker.labels(number=11) == ("3.15", "release-blocker")

    for method in ("POST", "DELETE"):
        place.proxy.next(fault, method=method, path="/labels")
        # Gone is gone: whoever deletes what is not there is done, and is read back.
        refused = refusal(relabel) if (method, fault) != ("DELETE", "404") else None
        if (method, fault) == ("DELETE", "404"):
            tracker.relabel(number=11, remove="deferred-blocker", add="release-blocker")
        assert refused or fault == "404"
    relabel()
    place.proxy.next(fault, method="POST", path="/labels")
    assert refusal(lambda: tracker.create_label(name=LABEL))
    tracker.create_label(name=LABEL)
    assert tracker.has_label(name=LABEL)


READS: tuple[tuple[str, str], ...] = (
    ("time-out before the effect", "SERVICE_UNREACHABLE"),
    ("401", "SERVICE_DENIED"),
    ("403", "SERVICE_DENIED"),
    ("404", "SERVICE_MISSING"),
    ("409", "SERVICE_CONFLICT"),
    ("500 without effect", "SERVICE_FAILED"),
    ("HTML instead of JSON", "SERVICE_UNREADABLE"),
    ("truncated body", "SERVICE_UNREACHABLE"),
)


@pytest.mark.parametrize(("fault", "code"), READS)
def test_what_cannot_be_read_is_not_taken_for_nothing(place: Scene, fault: str, code: str) -> None:
    tracker = place.tracker
    calls: tuple[tuple[str, Callable[[], object]], ...] = (
        ("/issues", lambda: tracker.blockers(series="3.15", label="release-blocker")),
        ("/check-runs", lambda: tracker.commit_checks(commit=COMMIT)),
        ("/protection", lambda: tracker.protection(branch="main")),
        ("/rulesets", lambda: tracker.protection(branch="main")),
        ("/rules/branches", lambda: tracker.protection(branch="main")),
    )
    for path, call in calls:
        place.proxy.next(fault, method="GET", path=path)
        error = refusal(call)
        assert error is not None
        assert error.code == code, path


def test_a_page_that_does_not_come_is_no_end_of_the_list(place: Scene) -> None:
    place.begin(complete=False)
    place.proxy.next("500 without effect", method="GET", path="page=2")
    error = refusal(lambda: place.tracker.labelled(label="3.15"))
    assert error is not None
    assert error.code == "SERVICE_FAILED"


@pytest.mark.parametrize("status", ["403", "429"])
def test_a_read_that_is_throttled_for_a_short_while_is_asked_once_more(
    place: Scene, status: str
) -> None:
    place.proxy.next(status, method="GET", path="/labels", headers={"Retry-After": "9"})
    assert place.tracker.has_label(name="docs")
    assert place.waited == [9.0]
    place.proxy.next(status, method="GET", path="/labels", times=2, headers={"Retry-After": "9"})
    error = refusal(lambda: place.tracker.has_label(name="docs"))
    assert error is not None
    assert (error.code, "9 seconds" in error.remedy) == ("SERVICE_THROTTLED", True)


def test_a_stale_answer_does_not_freeze_a_branch_a_second_time(place: Scene) -> None:
    """The rulesets and rules of before the freeze are shown for three more cycles."""
    place.tracker.protection(branch="main")
    old = {key: one for key, one in place.proxy.seen.items() if "rule" in key}
    freeze(place)
    place.proxy.seen.update(old)
    for path in ("/rulesets?", "/rules/branches"):
        place.proxy.next("stale cache for three cycles", path=path)
    refused = refusal(lambda: freeze(place))
    effects = place.locks()
    place.proxy.clear()
    after = refusal(lambda: freeze(place))
    faults.observed(
        *(PORT, "stale cache for three cycles", refused),
        effects=effects,
        after=after,
        effects_after=place.locks(),
    )


def test_a_clock_that_is_wrong_changes_nothing(place: Scene) -> None:
    for _ in range(3):
        place.proxy.next("clock skew")
    freeze(place)
    faults.observed(PORT, "clock skew", None, effects=place.locks())


def test_a_lock_of_somebody_else_is_not_taken_away(place: Scene) -> None:
    rules = place.tracker.protection(branch="main").rules
    mine = place.local.protection(branch="main").rules
    place.local.set_protection(branch="main", protection=Protection(locked=True, rules=mine))
    opened = Protection(locked=False, rules=rules)
    refused = refusal(lambda: place.tracker.set_protection(branch="main", protection=opened))
    assert refused is not None
    assert refused.code == "PROTECTION_DIFFERS"
    assert place.local.protection(branch="main").locked
    place.local.set_protection(branch="main", protection=Protection(locked=False, rules=mine))
    after = refusal(lambda: freeze(place))
    faults.observed(
        *(PORT, "another person's file in the way", refused),
        effects=0,
        after=after,
        effects_after=place.locks(),
    )


def test_rules_that_somebody_changed_meanwhile_are_not_written_over(place: Scene) -> None:
    freeze(place)
    locked = place.tracker.protection(branch="main")
    fewer = place.local.protection(branch="main").rules[1:]
    place.local.set_protection(branch="main", protection=Protection(locked=True, rules=fewer))
    before = kept(place.folder).read(), place.local.protection(branch="main")
    error = refusal(
        lambda: place.tracker.set_protection(
            branch="main", protection=locked.model_copy(update={"locked": False})
        )
    )
    assert error is not None
    assert error.code == "PROTECTION_DIFFERS"
    assert "required_pull_request_reviews" in str(error)
    assert (kept(place.folder).read(), place.local.protection(branch="main")) == before


def test_no_string_does_more_than_name_something(place: Scene) -> None:
    """Each is refused; or it is a plain word, and what it names is not there."""
    tracker = place.tracker
    state = (place.folder / "tracker.json").read_bytes()
    for text in STRINGS:
        rules = Protection(locked=True, rules=(text,))
        calls: tuple[Callable[[], object], ...] = (
            partial(tracker.blockers, series=text, label="docs"),
            partial(tracker.blockers, series="3.15", label=text),
            partial(tracker.labelled, label=text),
            partial(tracker.has_label, name=text),
            partial(tracker.delete_label, name=text),
            partial(tracker.relabel, number=11, remove=text, add=""),
            partial(tracker.commit_checks, commit=text),
            partial(tracker.protection, branch=text),
            partial(tracker.set_protection, branch="main", protection=rules),
        )
        for call in calls:
            assert harmless(call), (call, ascii(text))
    assert (place.folder / "tracker.json").read_bytes() == state
    assert place.locks() == 0
    assert place.proxy.effects() == 0


def harmless(call: Callable[[], object]) -> bool:
    """Tell whether a call was refused, or found nothing."""
    try:
        found = call()
    except ReleaseError as error:
        return error.code.isupper() and bool(error.remedy)
    empty = (Issues(items=(), complete=True), Protection(locked=False))
    return found in empty or not found
