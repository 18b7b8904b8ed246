"""Imports only go down. A new module is put on its floor here before anything else passes."""

from __future__ import annotations

import ast
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "relkit"
FLOORS: list[set[str]] = [
    {"cycle", "errors", "kinds", "release", "values", "words", "telling", "probe", "markup"},
    {
        *("expected", "ledger", "lock", "manifest", "policy", "ports", "records", "worlds"),
        "places",
        "building",
        "decision",
    },
    {"adapters", "plan", "step"},
    {
        *("real", "rehearsal", "steps", "texts"),
        *("building.archives", "building.download", "building.interpreter"),
        "building.package_index",
    },
    {
        *("asking", "deciding", "deviation", "held", "history", "inputs"),
        *("respin", "run", "standing"),
        *("sealing", "secret_scan"),
    },
    {
        *("__main__", "batch", "cli", "cli_verify", "engine", "environment", "notebook", "opening"),
        *("graph", "progress"),
        *("forms", "marks", "page", "plain", "render", "seal", "view", "rehearsal.report"),
        *("coverage", "flags", "verbs"),
        *("asked", "awaiting", "cli_decide"),
        *("guide", "record_files", "replay", "seal_signing"),
        *("verify_record", "cli_verify_record"),
        *("verify_release", "cli_verify_release"),
        *("cli_export", "cli_sbom", "cli_doctor", "cli_run", "doctor"),
        *("cli_later", "cli_options", "cli_release_given"),
        *("doctor_rows", "doctor_table"),
    },
]
"""Packages stand for their modules; a module named in full goes before its package."""
FACES = len(FLOORS) - 1
ENGINE = FACES - 1

OUTSIDE = {
    *("git", "gnupg", "sigstore", "requests", "urllib3", "cryptography", "jwt"),
    *("urllib.request", "http.client", "http.server", "smtplib", "ftplib"),
}
PEOPLE = {
    *("IPython", "ipywidgets", "papermill"),
    *("jupyter_client", "nbclient", "nbconvert", "nbformat"),
}


def name_of(path: Path) -> str:
    """Return a module's name below the package; empty for the package itself."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(path): path for path in sorted(SOURCE.rglob("*.py"))}
del MODULES[""]


def unit(module: str) -> str:
    """Return what stands for a module in the table."""
    known = set().union(*FLOORS)
    return module if module in known else module.partition(".")[0]


def floor(module: str) -> int:
    found = [number for number, names in enumerate(FLOORS) if unit(module) in names]
    assert len(found) == 1, f"{module} is not on one floor of this table: put it there"
    return found[0]


@cache
def imported(module: str) -> frozenset[str]:
    """Return the full names a module imports, wherever in it; `from a import b` gives `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports have full names"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def own(module: str) -> set[str]:
    """Return the modules of the package which a module imports."""
    names = {one.removeprefix("relkit.") for one in imported(module) if one.startswith("relkit.")}
    return {one if one in MODULES else one.rpartition(".")[0] for one in names}


def of(names: frozenset[str], wanted: set[str]) -> set[str]:
    """Return the imported names that are, or are below, one of those wanted."""
    return {one for one in names if any(f"{one}.".startswith(f"{x}.") for x in wanted)}


def test_imports_go_down_or_stay_on_their_floor() -> None:
    up = [(one, other) for one in MODULES for other in own(one) if floor(other) > floor(one)]
    assert up == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    list(TopologicalSorter({one: own(one) - {one} for one in MODULES}).static_order())


def test_every_module_has_its_floor_and_the_table_names_only_what_is_there() -> None:
    assert all(floor(one) >= 0 for one in MODULES)
    there = {*MODULES, *(name.partition(".")[0] for name in MODULES)}
    assert set().union(*FLOORS) <= there


def test_a_module_that_is_on_no_floor_is_noticed() -> None:
    with pytest.raises(AssertionError, match="put it there"):
        floor("brand_new")


def test_only_adapters_and_the_local_world_reach_outside() -> None:
    others = [one for one in MODULES if unit(one) not in {"adapters", "rehearsal"}]
    assert {one: of(imported(one), OUTSIDE) for one in others if of(imported(one), OUTSIDE)} == {}


def test_only_faces_import_what_draws_and_runs_notebooks() -> None:
    others = [one for one in MODULES if floor(one) < FACES]
    assert {one: of(imported(one), PEOPLE) for one in others if of(imported(one), PEOPLE)} == {}


def test_steps_and_engine_know_ports_and_no_adapters() -> None:
    """Only what wires a world, shows it, or runs as a process of its own knows a real form."""
    forms = {"adapters", "real", "rehearsal"}
    may = {*forms, "building.download", "building.package_index", *FLOORS[FACES]}
    for module in (one for one in MODULES if unit(one) not in may):
        assert {unit(one) for one in own(module)}.isdisjoint(forms), module


def test_the_core_needs_the_standard_library_and_pydantic_alone() -> None:
    core = {*FLOORS[0], *FLOORS[1], "plan", "step", "steps", *FLOORS[ENGINE]}
    for module in (one for one in MODULES if unit(one) in core):
        roots = {one.partition(".")[0] for one in imported(module)}
        assert roots <= {*sys.stdlib_module_names, "relkit", "pydantic", "pydantic_core"}, module
