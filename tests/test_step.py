from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st

import relkit.step
from relkit.errors import RecordError
from relkit.kinds import Kind
from relkit.plan import (
    EXCERPT,
    Action,
    ActionData,
    Call,
    Check,
    CheckData,
    Evidence,
    EvidenceData,
    Expect,
    Item,
    PlanData,
    Result,
    Wait,
    WaitData,
)
from relkit.release import Release
from relkit.step import Results, Step, needed, step, steps_of
from relkit.values import Artifact, Json, Value

pytestmark = pytest.mark.usefixtures("toy_steps")
HEX = "0123456789abcdef"
ALPHA, BETA = Kind.ALPHA, Kind.BETA

# --- what a decision is about -------------------------------------------------------------------

words = st.text(max_size=8)
digests = st.text(HEX, min_size=64, max_size=64)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(words, part, max_size=3),
    max_leaves=6,
)
arguments = st.dictionaries(words, plain, max_size=3)
names = st.sampled_from(["repo", "box"])
calls = st.builds(Call, port=names, method=st.sampled_from(["put", "push"]), arguments=arguments)
checks = st.builds(
    CheckData,
    name=words,
    verdict=st.sampled_from(["pass", "warning", "fail", "unknown"]),
    found=words,
    code=words,
    remedy=words,
    waivable=st.booleans(),
)
waits = st.builds(
    WaitData,
    what=words,
    whom=words,
    minutes=st.integers(0, 9999),
    ready=st.booleans(),
    progress=words,
    start=st.none() | calls,
)
evidence = st.builds(
    EvidenceData,
    title=words,
    sha256=digests,
    lines=st.integers(0, 99),
    language=words,
    excerpt=words,
)
artifacts = st.builds(
    Artifact, name=st.sampled_from(["a.tgz", "b.exe"]), size=st.integers(0, 2**40), sha256=digests
)
actions = st.builds(
    ActionData,
    do=calls,
    read=calls,
    expects=st.sampled_from(["exists", "equals", "has"]),
    expected=plain,
    undo=st.none() | calls,
    undo_note=words,
)


def some(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, min_size=1, max_size=2).map(tuple)


plans = st.builds(
    PlanData,
    version=st.just("3.15.0a1"),
    revision=st.integers(1, 9),
    step=words,
    checks=some(checks),
    waits=some(waits),
    evidence=some(evidence),
    subjects=some(artifacts),
    actions=some(actions),
    result=arguments | calls,
)


def reordered(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Return JSON data with the keys of every object the other way round."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(one) for one in value] if isinstance(value, list) else value


@settings(max_examples=40)
@given(plans)
def test_a_plan_goes_through_json_unchanged(plan: PlanData) -> None:
    again = PlanData.model_validate(json.loads(json.dumps(plan.to_data())))
    assert again == plan
    assert again.digest == plan.digest


@settings(max_examples=40)
@given(plans)
def test_the_order_of_keys_is_not_decided_on(plan: PlanData) -> None:
    assert PlanData.model_validate(reordered(plan.to_data())).digest == plan.digest


Change = Callable[[dict[str, Any]], object]
DECIDED: dict[str, Change] = {
    "version": lambda plan: plan.update(version="3.15.0a2"),
    "revision": lambda plan: plan.update(revision=plan["revision"] + 1),
    "step": lambda plan: plan.update(step=plan["step"] + "x"),
    "check name": lambda plan: plan["checks"][0].update(name=plan["checks"][0]["name"] + "x"),
    "check gone": lambda plan: plan["checks"].pop(),
    "evidence title": lambda plan: plan["evidence"][-1].update(
        title=plan["evidence"][-1]["title"] + "x"
    ),
    "evidence gone": lambda plan: plan["evidence"].pop(),
    "subject size": lambda plan: plan["subjects"][0].update(size=plan["subjects"][0]["size"] + 1),
    "subject name": lambda plan: plan["subjects"][0].update(name="c.zip"),
    "subject gone": lambda plan: plan["subjects"].pop(),
    "argument": lambda plan: plan["actions"][0]["do"]["arguments"].update(new=1),
    "method": lambda plan: plan["actions"][0]["do"].update(method="pop"),
    "port": lambda plan: plan["actions"][0]["do"].update(port="people"),
    "how it is read": lambda plan: plan["actions"][0]["read"]["arguments"].update(new=1),
    "way back": lambda plan: plan["actions"][0].update(
        undo_note=plan["actions"][0]["undo_note"] + "x"
    ),
    "expected": lambda plan: plan["actions"][0].update(expected=[plan["actions"][0]["expected"]]),
    "action doubled": lambda plan: plan["actions"].append(plan["actions"][0]),
    "action gone": lambda plan: plan["actions"].pop(),
}
CHANGING: dict[str, Change] = {
    "found": lambda plan: plan["checks"][0].update(found=plan["checks"][0]["found"] + "x"),
    "remedy": lambda plan: plan["checks"][0].update(remedy=plan["checks"][0]["remedy"] + "x"),
    "wait over": lambda plan: plan["waits"][0].update(ready=not plan["waits"][0]["ready"]),
    "wait gone": lambda plan: plan.update(waits=[]),
    "progress": lambda plan: plan["waits"][0].update(progress="99 %"),
}


def unmoved(plan: PlanData, changes: dict[str, Change]) -> list[str]:
    """Return the changes after which the digest is what it was."""
    found = []
    for name, change in changes.items():
        data = plan.to_data()
        change(data)
        if PlanData.model_validate(data).digest == plan.digest:
            found.append(name)
    return found


@settings(max_examples=25)
@given(plans)
def test_the_digest_covers_what_is_decided(plan: PlanData) -> None:
    assert unmoved(plan, DECIDED) == []


@settings(max_examples=25)
@given(plans)
def test_the_digest_leaves_out_what_changes_by_itself(plan: PlanData) -> None:
    assert unmoved(plan, CHANGING) == list(CHANGING)


@settings(max_examples=40)
@given(plans, st.data())
def test_another_verdict_or_digest_is_another_plan(plan: PlanData, data: st.DataObject) -> None:
    changed = plan.to_data()
    verdict = data.draw(st.sampled_from(["pass", "warning", "fail", "unknown"]))
    sha256 = data.draw(digests)
    changed["checks"] = [{**plan.checks[0].to_data(), "verdict": verdict}, *_rest(plan.checks)]
    changed["evidence"] = [{**plan.evidence[0].to_data(), "sha256": sha256}, *_rest(plan.evidence)]
    same = (verdict, sha256) == (plan.checks[0].verdict, plan.evidence[0].sha256)
    assert (PlanData.model_validate(changed).digest == plan.digest) == same


def _rest(values: tuple[Value, ...]) -> list[Any]:
    return [one.to_data() for one in values[1:]]


@settings(max_examples=40)
@given(plans)
def test_order_of_actions_is_decided_on(plan: PlanData) -> None:
    one, *_ = plan.actions
    other = one.model_copy(update={"undo_note": one.undo_note + "x"})
    forth = plan.model_copy(update={"actions": (one, other)})
    back = plan.model_copy(update={"actions": (other, one)})
    assert forth.digest != back.digest


# --- from what is yielded to data ---------------------------------------------------------------


def planned(world: toy.Toy, *items: Item) -> PlanData:
    """Return the plan of a step that yields these items."""

    def planner(_release: Release, _world: object, _results: Results) -> Iterator[Item]:
        yield from items

    declared: Step[Any] = Step("one", planner, [ALPHA], (), None, toy.Seen, "p", "w", "a")
    return declared.plan(toy.RELEASE, world.world, Results({}), 1)


def test_a_call_of_a_port_becomes_data_and_is_made_again_from_it(world: toy.Toy) -> None:
    call = Call.of(world.world, partial(world.box.put, key="wall", value="blue"))
    assert call.to_data() == {
        "port": "box",
        "method": "put",
        "arguments": {"key": "wall", "value": "blue"},
    }
    Call.model_validate_json(json.dumps(call.to_data()))(world.world)
    assert world.box.value(key="wall") == "blue"
    assert str(call) == "box.put(key=wall, value=blue)"


def test_arguments_are_parsed_by_the_methods_own_annotations(world: toy.Toy) -> None:
    Call(port="box", method="fill", arguments={"keys": ["a", "b"]})(world.world)
    assert world.box.values(keys=("a", "b")) == {"a": "full", "b": "full"}
    wrong: list[Json] = [{"keys": [1]}, {"keys": "a"}]
    for bad in wrong:
        with pytest.raises(ValueError, match="validation error"):
            Call(port="box", method="fill", arguments=bad)(world.world)


@pytest.mark.parametrize(
    ("port", "method", "arguments"),
    [
        ("box", "fill", {"keys": ["a"], "more": 1}),
        ("box", "fill", {}),
        ("box", "spill", {"keys": ["a"]}),
        ("shelf", "fill", {"keys": ["a"]}),
    ],
)
def test_a_call_that_another_relkit_recorded_is_refused_and_not_made(
    world: toy.Toy, port: str, method: str, arguments: Json
) -> None:
    call = Call(port=port, method=method, arguments=arguments)
    with pytest.raises(RecordError, match=rf"CALL_OTHER: this relkit has no {port}\.{method}"):
        call(world.world)
    assert world.box.values(keys=("a",)) == {"a": None}


@pytest.mark.parametrize(
    "call",
    [
        lambda _: partial(print, sep=""),
        lambda _: partial(json.dumps, obj=1),
        lambda _: partial(toy.Box.put, key="a", value="b"),
        lambda world: partial(toy.Box(world.box.path).put, key="a", value="b"),
        lambda world: partial(world.box.put, "a", value="b"),
        lambda _: partial(lambda: None),
    ],
    ids=["builtin", "function", "unbound", "another box", "positional", "lambda"],
)
def test_what_is_no_call_of_a_port_with_keywords_is_refused(
    world: toy.Toy, call: Callable[[toy.Toy], partial[Any]]
) -> None:
    with pytest.raises(TypeError, match="not a call of a port"):
        Call.of(world.world, call(world))


@pytest.mark.parametrize("name", ["__class__", "_read", "put.__globals__", "", "Put", "pu t"])
def test_a_planted_call_reaches_nothing_but_methods_of_ports(name: str) -> None:
    for planted in ({"port": "box", "method": name}, {"port": name, "method": "put"}):
        with pytest.raises(ValueError, match="pattern"):
            Call.model_validate({**planted, "arguments": {}})


@pytest.mark.parametrize(
    ("ok", "warns", "verdict"),
    [
        (True, False, "pass"),
        (True, True, "pass"),
        (False, False, "fail"),
        (False, True, "warning"),
        (None, False, "unknown"),
        (None, True, "warning"),
    ],
)
def test_a_check_passes_fails_warns_or_cannot_be_seen(
    world: toy.Toy,
    ok: bool | None,  # noqa: FBT001 (a value of the table)
    warns: bool,  # noqa: FBT001 (a value of the table)
    verdict: str,
) -> None:
    plan = planned(world, Check("it holds", ok, warns=warns))
    assert plan.checks[0].verdict == verdict
    assert bool(plan.failing) == (verdict in {"fail", "unknown"})


def put(world: toy.Toy, key: str, value: str, done: Expect) -> Action:
    return Action(do=partial(world.box.put, key=key, value=value), done=done, undo="stays")


@pytest.mark.parametrize(
    ("there", "equals", "has", "holds"),
    [
        (None, ..., None, False),
        ("", ..., None, False),
        ("blue", ..., None, True),
        ("blue", "blue", None, True),
        ("red", "blue", None, False),
        (None, None, None, True),
        ("blue", ..., {"k": "blue"}, True),
        ("red", ..., {"k": "blue"}, False),
        ("blue", ..., {"k": "blue", "other": "x"}, False),
        (None, ..., {"k": None}, True),
    ],
)
def test_an_action_is_done_when_what_is_read_exists_equals_or_has_what_is_expected(
    world: toy.Toy, there: str | None, equals: object, has: dict[str, object] | None, *, holds: bool
) -> None:
    read: partial[Any] = partial(world.box.value, key="k")
    if has is not None:
        read = partial(world.box.values, keys=("k",))
    action = planned(world, put(world, "k", "v", Expect(read, equals, has))).actions[0]
    if there is not None:
        world.box.put(key="k", value=there)
    assert action.holds(world.world)[0] is holds
    again = ActionData.model_validate_json(json.dumps(action.to_data()))
    assert again.holds(world.world)[0] is holds


def test_models_are_compared_as_what_they_are_in_the_record(world: toy.Toy) -> None:
    world.builds.start(name="cake")
    cake = toy.Cake(name="cake", starts=1)
    read = partial(world.builds.cake, name="cake")
    action = planned(world, put(world, "k", "v", Expect(read, equals=cake))).actions[0]
    assert action.expected == {"name": "cake", "starts": 1}
    assert action.holds(world.world)[0]
    world.builds.start(name="cake")
    assert not action.holds(world.world)[0]


def test_an_action_names_its_way_back_or_why_there_is_none(world: toy.Toy) -> None:
    done = Expect(partial(world.box.value, key="k"))
    there = partial(world.box.put, key="k", value="v")
    back = partial(world.box.put, key="k", value="")
    one, other = planned(
        world, Action(do=there, done=done, undo=back), Action(do=there, done=done, undo="never")
    ).actions
    assert (str(one.undo), one.undo_note) == ("box.put(key=k, value=)", "")
    assert (other.undo, other.undo_note) == (None, "never")


def test_evidence_is_its_digest_and_its_beginning(world: toy.Toy) -> None:
    whole, cut = planned(
        world, Evidence("whole", "a\nb\n"), Evidence("long", "x" * (EXCERPT + 1), "diff")
    ).evidence
    assert (whole.lines, whole.excerpt) == (2, "a\nb\n")
    assert whole.sha256 == hashlib.sha256(b"a\nb\n").hexdigest()
    assert (len(cut.excerpt), cut.language) == (EXCERPT, "diff")
    other = planned(world, Evidence("whole", "a\nb\n"), Evidence("long", "x" * (EXCERPT + 2)))
    assert other.evidence[1].excerpt == cut.excerpt
    assert other.evidence[1].sha256 != cut.sha256, "what is cut off is decided on, too"


def test_a_wait_says_what_from_whom_and_for_how_long(world: toy.Toy) -> None:
    start = partial(world.builds.start, name="cake")
    over, awaited = planned(
        world,
        Wait("bread", "the baker", timedelta(hours=1), ready=True),
        Wait("cake", "the baker", timedelta(hours=2), ready=False, start=start),
    ).waits
    assert (over.ready, over.start) == (True, None)
    assert (awaited.minutes, str(awaited.start)) == (120, "builds.start(name=cake)")


def test_the_last_result_counts_and_a_step_may_hand_nothing_on(world: toy.Toy) -> None:
    assert planned(world).result == {}
    plan = planned(world, Result(toy.Seen(colour="red")), Result(toy.Seen(colour="blue")))
    assert plan.result == {"colour": "blue"}
    read = planned(world, Result(partial(world.builds.cake, name="cake"))).result
    assert str(read) == "builds.cake(name=cake)"


def test_planning_changes_nothing_outside(world: toy.Toy) -> None:
    before = world.outside
    results = Results({"look": {"colour": "blue"}, "bake": {"name": "cake", "starts": 1}})
    for declared in steps_of(ALPHA):
        declared.plan(toy.RELEASE, world.world, results, 1)
    assert world.outside == before


def test_results_come_back_in_the_type_of_their_step() -> None:
    look, paint = relkit.step.STEPS["look"], relkit.step.STEPS["paint"]
    results = Results({"look": {"colour": "red"}})
    assert results[look] == toy.Seen(colour="red")
    assert (list(results), len(results)) == ([look], 1)
    with pytest.raises(KeyError):
        results[paint]
    wrong: list[Json] = [{"colour": 1}, {}, {"colour": "red", "more": 1}]
    for bad in wrong:
        with pytest.raises(ValueError, match="validation error"):
            Results({"look": bad})[look]


# --- declaring ----------------------------------------------------------------------------------


def declared(name: str, *after: Step[Any], kinds: tuple[Kind, ...] = (ALPHA,)) -> Step[Any]:
    def planner(_release: Release, _world: object, _results: Results) -> Iterator[Item]:
        yield from ()

    planner.__name__ = name
    return step(phase="p", where="w", after=after, kinds=kinds)(planner)


@pytest.fixture
def no_steps(toy_steps: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 (in their place)
    monkeypatch.setattr(relkit.step, "STEPS", {})


def test_a_step_is_named_after_its_function_and_told_by_its_docstring() -> None:
    look = relkit.step.STEPS["look"]
    assert (look.name, look.title) == ("look", "Look at the box")
    assert look.prose == "Nothing is changed by looking."
    assert relkit.step.STEPS["paint"].prose == ""


@pytest.mark.usefixtures("no_steps")
def test_two_steps_cannot_have_one_name() -> None:
    declared("tag_it")
    with pytest.raises(TypeError, match="two steps are called tag-it"):
        declared("tag_it")


@pytest.mark.usefixtures("no_steps")
def test_the_order_is_the_order_of_declaration_where_nothing_else_is_asked() -> None:
    first = declared("first")
    free = declared("free")
    second = declared("second", first)
    other = declared("other")
    last = declared("last", second, free)
    assert steps_of(ALPHA) == (first, free, second, other, last)


@pytest.mark.usefixtures("no_steps")
def test_a_step_comes_after_what_it_needs_wherever_that_is_declared() -> None:
    late = Step("late", lambda *_: iter(()), [ALPHA], (), None, toy.Seen, "p", "w", "a")
    early = declared("early", late)
    then = declared("then")
    relkit.step.STEPS["late"] = late
    assert steps_of(ALPHA) == (then, late, early)


@pytest.mark.usefixtures("no_steps")
def test_steps_of_other_kinds_are_passed_over_but_what_they_need_is_not() -> None:
    root = declared("root", kinds=(ALPHA, BETA))
    only_beta = declared("only_beta", root, kinds=(BETA,))
    deeper = declared("deeper", only_beta, kinds=(BETA,))
    end = declared("end", deeper, kinds=(ALPHA, BETA))
    assert steps_of(ALPHA) == (root, end)
    assert needed(end, ALPHA) == {root}
    assert needed(end, BETA) == {deeper}
    assert needed(root, ALPHA) == set()


@settings(max_examples=40)
@given(st.data())
def test_any_graph_of_steps_is_ordered_so_that_each_comes_after_its_own(
    data: st.DataObject,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relkit.step, "STEPS", {})
        made: list[Step[Any]] = []
        for number in range(data.draw(st.integers(1, 9))):
            kinds = data.draw(st.sampled_from([(ALPHA,), (BETA,), (ALPHA, BETA)]))
            after = data.draw(st.lists(st.sampled_from(made), unique=True)) if made else []
            made.append(declared(f"s{number}", *after, kinds=kinds))
        for kind in (ALPHA, BETA):
            ordered = steps_of(kind)
            assert ordered == tuple(one for one in made if kind in one.kinds)
            for place, one in enumerate(ordered):
                assert needed(one, kind) <= set(ordered[:place])
