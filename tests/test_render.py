from __future__ import annotations

import ast
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest

from relkit import render
from relkit.release import RELEASES, Kind
from relkit.step import steps_of

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
KINDS = sorted(RELEASES)
each_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


def cells(kind: Kind, sort: str = "") -> list[Any]:
    return [one for one in render.notebook(kind).cells if not sort or one.cell_type == sort]


def sources(kind: Kind, suffix: str) -> dict[str, str]:
    """Return the sources of the cells whose id ends so, by the rest of the id."""
    found = {one.id: one.source for one in cells(kind)}
    return {name.removesuffix(suffix): x for name, x in found.items() if name.endswith(suffix)}


@each_kind
def test_the_notebook_in_the_repository_is_the_rendered_one(kind: Kind) -> None:
    path = NOTEBOOKS / f"{kind}.ipynb"
    assert path.read_bytes() == render.text_of(kind).encode(), "run: relkit render"


def test_there_is_one_notebook_for_each_kind_and_no_other() -> None:
    assert [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))] == KINDS


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
    assert list(given) == ["version", "kind", "date", "world", "records"]
    assert given["kind"] == kind
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
    assert render.render(tmp_path, check=True) == paths
    assert list(tmp_path.iterdir()) == []
    assert render.render(tmp_path, check=False) == paths
    assert render.render(tmp_path, check=False) == []
    paths[0].write_text(paths[0].read_text().replace("run.seal()", "run.seal() "))
    changed = paths[0].read_bytes()
    assert render.render(tmp_path, check=True) == paths[:1]
    assert paths[0].read_bytes() == changed
