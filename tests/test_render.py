from __future__ import annotations

import ast
import inspect
import json
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest

from relkit import render
from relkit.graph import draw
from relkit.graph.traits import MANUAL, risks_of
from relkit.kinds import KINDS as FACTS
from relkit.kinds import TRANSITIONS, Kind
from relkit.notebook import Face
from relkit.step import needed, steps_of

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
KINDS = sorted(Kind)
each_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


@cache
def rendered(kind: Kind) -> Any:  # noqa: ANN401 (nbformat has no types)
    return render.notebook(kind)


def cells(kind: Kind, sort: str = "") -> list[Any]:
    return [one for one in rendered(kind).cells if not sort or one.cell_type == sort]


def sources(kind: Kind, suffix: str) -> dict[str, str]:
    """Return the sources of the cells whose id ends so, by the rest of the id."""
    found = {one.id: one.source for one in cells(kind)}
    return {name.removesuffix(suffix): x for name, x in found.items() if name.endswith(suffix)}


@each_kind
def test_the_notebook_in_the_repository_is_the_rendered_one(kind: Kind) -> None:
    path = NOTEBOOKS / f"{kind}.ipynb"
    assert path.read_bytes() == render.text_of(kind).encode(), "run: relkit render"


@each_kind
def test_the_picture_beside_it_is_that_of_the_recipe(kind: Kind) -> None:
    path = NOTEBOOKS / "pictures" / f"{kind}.svg"
    assert path.read_text(encoding="utf-8") == draw(kind, {}) + "\n", "run: relkit render"
    assert f"(pictures/{kind}.svg)" in render.text_of(kind)


@each_kind
def test_what_is_executed_and_kept_in_a_record_refers_to_no_file(kind: Kind) -> None:
    for one in cells(kind, "markdown"):
        assert "![" not in one.source
        links = re.findall(r"\]\(([^)]*)\)", one.source)
        assert all(link.startswith("https://peps.python.org/pep-") for link in links), one.id


def test_there_is_one_notebook_for_each_kind_and_no_other() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(KINDS)


@each_kind
def test_rendering_twice_gives_the_same_bytes_and_a_valid_notebook(kind: Kind) -> None:
    text = render.text_of(kind)
    assert text == render.text_of(kind)
    assert re.search(r"[^\n]\n\Z", text)
    nbformat.validate(json.loads(text))


@each_kind
def test_a_notebook_has_no_outputs_and_was_never_run(kind: Kind) -> None:
    for one in cells(kind, "code"):
        assert one.outputs == []
        assert one.execution_count is None


@each_kind
def test_every_cell_has_an_id_of_its_own_that_says_what_it_is(kind: Kind) -> None:
    names = [one.id for one in cells(kind)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names)
    assert all(len(name) <= 64 for name in names), "what nbformat allows"


@each_kind
def test_a_code_cell_is_one_to_three_lines_without_logic(kind: Kind) -> None:
    for one in cells(kind, "code"):
        lines = [line for line in one.source.splitlines() if line]
        if "parameters" not in one.metadata.get("tags", []):
            assert 1 <= len(lines) <= 3, one.id
        for node in ast.walk(ast.parse(one.source)):
            kinds = ast.FunctionDef | ast.If | ast.For | ast.While | ast.Try | ast.With | ast.Lambda
            assert not isinstance(node, kinds), one.id


@each_kind
def test_prose_stands_before_code(kind: Kind) -> None:
    made = cells(kind)
    for before, one in pairwise(made):
        if one.cell_type == "code" and before.cell_type == "code":
            same_step = one.id.rpartition("-")[0] == before.id.rpartition("-")[0]
            assert same_step or one.id == "close", one.id


@each_kind
def test_a_notebook_says_before_the_first_cell_what_one_has_to_know(kind: Kind) -> None:
    about = cells(kind)[0].source
    for words in ("> ", "## What this is, and why", "**Who:**", "**How long:**", "**You need:**"):
        assert words in about
    for words in ("**No way back", "## What can go wrong", "[PEP 101]", "docs/design.md"):
        assert words in about
    steps = steps_of(kind)
    assert f"**{len(steps)} steps**" in about
    for one in steps:
        if one.gate or one.irreversible or MANUAL in risks_of(one):
            assert f"*{one.title}*" in about
        assert one.actor == "release-manager" or one.actor in about
    assert "\n\n\n" not in about


@each_kind
def test_a_notebook_ends_with_what_to_do_if_something_goes_wrong(kind: Kind) -> None:
    last = cells(kind)[-1]
    assert last.cell_type == "markdown"
    assert last.source.startswith("## If something goes wrong\n")
    called = re.findall(r"^run\.(\w+)\(", last.source, flags=re.MULTILINE)
    assert {"respin", "abandon", "deviation", "hand_over"} <= set(called)
    assert ("evidence" in called) is any(MANUAL in risks_of(one) for one in steps_of(kind))
    assert called == [verb for verb in called if hasattr(Face, verb)]


@each_kind
def test_the_examples_at_the_end_are_python_with_steps_and_arguments_that_exist(
    kind: Kind,
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", cells(kind)[-1].source, flags=re.DOTALL)
    for node in [one for block in blocks for one in ast.walk(ast.parse(block))]:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            signature = inspect.signature(getattr(Face, node.func.attr))
            given = {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg}
            values = [ast.literal_eval(one) for one in node.args]
            signature.bind(None, *values, **given)
            if node.func.attr == "respin":
                assert values[0] in {one.name for one in steps_of(kind)}


@each_kind
def test_a_section_says_what_has_no_way_back_and_what_can_be_done_beside_it(kind: Kind) -> None:
    prose, steps = sources(kind, "-prose"), steps_of(kind)
    titles = {one.title: one for one in steps}
    above: dict[str, set[str]] = {}
    for one in steps:
        before = {other.name for other in needed(one, kind)}
        above[one.name] = before.union(*(above[name] for name in before))
    for one in steps:
        text = prose[one.name]
        assert ("**No way back:**" in text) is one.irreversible
        beside = text.partition("*Beside it:* ")[2].rstrip(".")
        for title in filter(None, re.split(r" · | and \d+ more", beside)):
            other = titles[title].name
            assert one.name not in above[other]
            assert other not in above[one.name]


@pytest.mark.parametrize("kind", sorted(TRANSITIONS), ids=str)
def test_a_transition_says_that_its_version_is_a_branch(kind: Kind) -> None:
    assert "The branch" in sources(kind, "-prose")["parameters"]


@each_kind
def test_every_step_has_a_section_with_prose_and_what_it_needs_in_cells(kind: Kind) -> None:
    prose = sources(kind, "-prose")
    for step in steps_of(kind):
        lines = prose[step.name].splitlines()
        assert lines[0] == f"### {step.title}"
        assert step.title
        assert step.prose, f"{step.name} tells the release manager nothing"
        calls = ["propose", "gate", "apply"] if step.gate else ["step"]
        found = [one.source for one in cells(kind, "code") if f'"{step.name}"' in one.source]
        assert found == [f'run.{call}("{step.name}")' for call in calls]


@each_kind
def test_sections_stand_in_the_order_of_the_steps_below_the_heading_of_their_phase(
    kind: Kind,
) -> None:
    text = "\n".join(one.source for one in cells(kind, "markdown"))
    headings = re.findall(r"^(##|###) (.+)$", text, flags=re.MULTILINE)
    place, wanted = -1, ""
    for step in steps_of(kind):
        if step.phase != wanted:
            wanted = step.phase
            assert headings.index(("##", wanted)) > place
            place = headings.index(("##", wanted))
        assert headings.index(("###", step.title)) == place + 1
        place += 1


@each_kind
def test_the_parameters_are_tagged_and_carry_no_secret(kind: Kind) -> None:
    (cell,) = [one for one in cells(kind, "code") if one.metadata.get("tags")]
    assert cell.metadata.tags == ["parameters"]
    given = {
        target.id: ast.literal_eval(node.value)
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    picks = ["picks"] if FACTS[kind].picks else []
    assert list(given) == ["version", "kind", "date", "world", "records", *picks]
    assert given["kind"] == kind
    assert given["version"] == FACTS[kind].example
    assert isinstance(given["version"], str), "a branch is text, or 3.10 becomes 3.1"
    assert (NOTEBOOKS.parent / given["world"]).is_file()
    assert "practice" in given["world"], "nobody releases by running an example"


@each_kind
def test_a_notebook_says_how_it_is_run_so_that_papermill_takes_it(kind: Kind) -> None:
    metadata = render.notebook(kind).metadata
    assert metadata.kernelspec.name == "python3"
    assert metadata.language_info.name == "python"
    assert cells(kind)[0].source.startswith(f"# CPython {kind}\n")


def test_checking_changes_nothing_and_names_what_is_not_up_to_date(tmp_path: Path) -> None:
    paths = [tmp_path / f"{kind}.ipynb" for kind in KINDS]
    paths += [tmp_path / "pictures" / f"{kind}.svg" for kind in KINDS]
    assert render.render(tmp_path, check=True) == paths
    assert list(tmp_path.iterdir()) == []
    assert render.render(tmp_path, check=False) == paths
    assert render.render(tmp_path, check=False) == []
    paths[0].write_text(paths[0].read_text().replace("run.seal()", "run.seal() "))
    changed = paths[0].read_bytes()
    assert render.render(tmp_path, check=True) == paths[:1]
    assert paths[0].read_bytes() == changed
