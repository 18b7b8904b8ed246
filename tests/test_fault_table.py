"""The document of faults is whole, contradicts nothing, and says what the tests have seen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import get_type_hints

import fault_table
import pytest
from fault_reasons import CANNOT, MEANS, PORTS
from faults import FAULTS, Row

from relkit.ports import World

TESTS = Path(__file__).parent
DOCUMENT = TESTS.parent / "docs" / "faults.md"
LOCAL = {"artifacts", "attestations", "clock", "machine", "advisories"}
"""Ports that talk to no system, or only ask for the time or data to compare with."""
SPELLED = {"repo": "Repository"}
ENOUGH_SECONDS = 1500


def row(port: str, fault: str, **changes: object) -> Row:
    values: dict[str, object] = {
        "code": "A_CODE",
        "first": 0,
        "effects": 1,
        "after": "done",
        "says": "",
    }
    return Row(port, fault, **{**values, "test": "tests/test_faults.py::it", **changes})  # type: ignore[arg-type]  # a mapping for all


def possible() -> list[Row]:
    """Return a row for every cell that can have one."""
    return [row(port, fault) for port in PORTS for fault in FAULTS if fault not in CANNOT[port]]


def test_every_port_of_the_world_is_in_the_table_or_reaches_nobody() -> None:
    kinds = get_type_hints(World)
    ports = {name for name, kind in kinds.items() if getattr(kind, "_is_protocol", False)}
    assert {"repo", "website", *LOCAL} < ports
    in_table = {port.partition(" (")[0].lower() for port in PORTS}
    assert {SPELLED.get(one, one).lower() for one in ports - LOCAL} == in_table
    assert set(CANNOT) == set(PORTS)


def test_every_fault_is_explained_and_no_other() -> None:
    assert list(MEANS) == list(FAULTS)
    assert all({*faults} <= {*FAULTS} for faults in CANNOT.values())


def test_the_document_has_every_port_with_every_fault() -> None:
    found = fault_table.cells(DOCUMENT.read_text(encoding="utf-8"))
    assert set(found) == {(port, fault) for port in PORTS for fault in FAULTS}


def test_the_document_says_that_a_fault_cannot_happen_where_the_list_does() -> None:
    for (port, fault), said in fault_table.cells(DOCUMENT.read_text(encoding="utf-8")).items():
        reason = CANNOT[port].get(fault)
        assert said.startswith(fault_table.NEVER) == (reason is not None), (port, fault)
        assert reason is None or said == fault_table.NEVER + reason


def test_the_document_names_tests_that_are_there_and_all_of_them() -> None:
    named = fault_table.TEST.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert all((TESTS / name).exists() for name in named)
    assert {path.name for path in TESTS.glob("test_faults_*.py")} <= set(named)


def test_the_document_has_codes_that_the_project_raises() -> None:
    sources = "".join(path.read_text() for path in (TESTS.parent / "relkit").rglob("*.py"))
    for said in fault_table.cells(DOCUMENT.read_text(encoding="utf-8")).values():
        if not said.startswith(fault_table.NEVER):
            for code in said.replace("goes on", "").split(", "):
                stem = code.removeprefix("SERVICE_").removeprefix("SITE_")
                assert f'"{code}"' in sources or f'"{stem}"' in sources, code


def test_a_cell_without_a_row_or_a_reason_is_no_table() -> None:
    rows = possible()
    assert fault_table.gaps(rows) == []
    assert fault_table.gaps(rows[1:]) == [f"{rows[0].port}: nothing is known of {rows[0].fault}"]


def test_what_cannot_happen_and_was_seen_is_no_table() -> None:
    port, fault = "Tracker", "wrong digest"
    assert fault_table.gaps([*possible(), row(port, fault)]) == [
        f"{port}: {fault} cannot happen, and was seen"
    ]
    assert fault_table.gaps([*possible(), row("Nobody", fault)]) == [
        f"Nobody, {fault}: not in the table"
    ]


def test_a_cell_says_all_that_came_of_a_fault() -> None:
    rows = [
        row("Docs", "401", code="", first=1),
        row("Docs", "401", code="B_CODE", effects=0, after="B_CODE"),
        row("Docs", "401"),
    ]
    assert fault_table.cell(rows) == ("A_CODE, B_CODE, goes on", "0, 1", "B_CODE, done", "1")


def test_a_document_is_read_back_as_it_was_made() -> None:
    found = fault_table.cells(fault_table.document(possible(), "2026-01-01"))
    assert found["Docs", "401"] == "A_CODE"
    assert found["Docs", "409"] == fault_table.NEVER + CANNOT["Docs"]["409"]


def test_without_rows_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "faults.md"
    monkeypatch.setattr(sys, "argv", ["fault_table.py", str(tmp_path), str(target)])
    assert fault_table.main() == 1
    assert not target.exists()
    assert "Docs: nothing is known of 401" in capsys.readouterr().err


def quick(names: Iterable[str]) -> list[str]:
    """Return tests of faults that need no server but a stand-in."""
    return [str(TESTS / f"test_faults_{name}.py") for name in names]


@pytest.mark.slow
def test_the_tests_see_today_what_the_document_says(tmp_path: Path) -> None:
    """The ports without real servers, for time: the others are seen by their own tests."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "slow or not slow",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, *quick(("website", "builders", "signers")), f"--basetemp={tmp_path / 'run'}"],
        env={**os.environ, "RELKIT_FAULTS": str(tmp_path / "rows")},
        capture_output=True,
        check=False,
        timeout=ENOUGH_SECONDS,
    )
    assert done.returncode == 0, done.stdout.decode()[-2000:]
    found = fault_table.cells(DOCUMENT.read_text(encoding="utf-8"))
    rows = fault_table.read(tmp_path / "rows")
    ports = {one.port for one in rows} - {"Builders (incoming)"}  # needs a server for the rest
    assert len(ports) == 3
    for port in ports:
        for fault in {one.fault for one in rows if one.port == port}:
            outcome, *_ = fault_table.cell(x for x in rows if (x.port, x.fault) == (port, fault))
            assert found[port, fault] == outcome, (port, fault)
