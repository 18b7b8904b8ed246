"""The notebook as a release manager meets it: JupyterLab in a browser, cells run, buttons clicked.

Everything is as `make lab` makes it, on a copy of the project. Pictures of each stage are in the
test's temporary folder.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from browser import PROJECT, Lab, Server, browser, cell_of, chromium, jupyterlab, text_of
from cells import Notebook
from playwright.sync_api import Page
from rehearsals import done_twice, git

from relkit.history import History
from relkit.kinds import Kind
from relkit.step import steps_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        chromium() is None and "CI" not in os.environ,  # where it must be there, its lack fails
        reason="there is no chromium here (Debian: apt-get install chromium)",
    ),
]
VERSION = "3.15.0a1"
WIDGET = "application/vnd.jupyter.widget-view+json"
MEMORY = 300_000  # kB a kernel may need
WIDTH_OF_HEADS = """() => [...document.querySelectorAll(".jp-OutputArea th")]
  .filter(one => one.getClientRects().length && one.scrollWidth > one.clientWidth + 1)
  .map(one => one.textContent)"""
Open = Callable[..., Lab]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    where = tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True)
    with where as folder, jupyterlab(Path(folder)) as server:
        yield server


@pytest.fixture
def page() -> Iterator[Page]:
    with browser() as (page, asked):
        yield page
    hosts = {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {"127.0.0.1"}, "nothing is loaded from elsewhere"


@pytest.fixture
def notebook(server: Server, page: Page, tmp_path: Path) -> Open:
    """Return what opens the notebook as it is, or a copy which keeps its records elsewhere."""

    def opened(name: str = "alpha", records: str = "records") -> Lab:
        text = (PROJECT / "notebooks" / "alpha.ipynb").read_text()
        path = server.project / "notebooks" / f"{name}.ipynb"
        default = r"records = \"records\""
        assert default in text
        path.write_text(text.replace(default, rf"records = \"{records}\""))
        return Lab.open(page, server, path, tmp_path)

    return opened


class Record:
    """The record and the world of a release, as they are on the disk."""

    def __init__(self, records: Path) -> None:
        self.folder, self.world = records / VERSION, records / "world"

    @property
    def ledger(self) -> bytes:
        return (self.folder / "ledger.jsonl").read_bytes()

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line)["entry"] for line in self.ledger.splitlines()]

    def steps(self, event: str) -> list[str]:
        return [one["step"] for one in self.entries if one["event"] == event]


def refusals(nb: Notebook) -> dict[str, list[str]]:
    """Return the lines of each cell that refused, by its id."""
    return {
        cell.id: [line for one in cell.outputs for line in one.get("traceback", [])]
        for cell in nb.cells
        if any(one.output_type == "error" for one in cell.get("outputs", []))
    }


def code_cells(nb: Notebook) -> list[Any]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def assert_stopped(lab: Lab, cell: str, *words: str) -> None:
    """Assert that exactly this cell refused, in two lines, and that none after it ran."""
    nb = lab.saved()
    refused = refusals(nb)
    assert list(refused) == [cell], refused
    lines = refused[cell]
    assert len(lines) == 2
    assert lines[1].startswith("What to do: ")
    assert all(word in lines[0] for word in words), lines
    names = [one.id for one in code_cells(nb)]
    ran = [one.id for one in code_cells(nb) if one.execution_count]
    assert ran == names[: names.index(cell) + 1]
    assert lab.page.evaluate(WIDTH_OF_HEADS) == [], "heads of columns are not broken"


def decide(lab: Lab, step: str, verdict: str, reason: str) -> None:
    """Write a reason and click; the second click of a double one must do nothing."""
    lab.show(f"{step}-gate")
    lab.page.fill(f".relkit-{step}-reason input", reason)
    lab.page.dblclick(f".relkit-{step}-{verdict}")
    said = {"approve": "APPROVED", "reject": "REJECTED"}[verdict]
    lab.page.get_by_text(f"{said} by Rae Manager (release-manager): {reason}").wait_for()
    assert lab.page.locator(f".relkit-{step}-{verdict}").count() == 0, "the form is gone"


def give_evidence(lab: Lab, name: str, text: str) -> None:
    """Say what was done elsewhere, in the form of a manual step."""
    lab.page.fill(f".relkit-{name}-evidence input", text)
    lab.page.dblclick(f".relkit-{name}-give-evidence")
    lab.page.get_by_text(f"GIVEN by Rae Manager (release-manager): {text}").wait_for()
    assert lab.page.locator(f".relkit-{name}-evidence").count() == 0, "the form is gone"


def assert_words_remain(lab: Lab, cell: str, words: str) -> None:
    """Assert that what a cell shows can be read in the saved file, without a kernel."""
    nb = lab.saved()
    first, *others = cell_of(nb, cell).outputs
    assert all(words in first.data[form] for form in ("text/plain", "text/html"))
    assert {form for one in (first, *others) for form in one.data} == {"text/plain", "text/html"}
    assert "widgets" not in nb.metadata


def test_make_lab_opens_on_the_notebooks(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/?token={server.token}")
    page.locator(".jp-DirListing-item").get_by_text("alpha.ipynb", exact=True).wait_for()
    assert urlsplit(page.url).path == "/lab/tree/notebooks"


def test_a_release_manager_carries_an_alpha_to_its_end(
    server: Server, notebook: Open, record_property: Callable[[str, object], None]
) -> None:
    lab = notebook()
    record = Record(server.project / "records")

    lab.run_all()
    assert_stopped(lab, "commit-release-apply", "GATE_OPEN", "release-manager")
    lab.screenshot("gate-open", "commit-release-gate")
    picture = text_of(cell_of(lab.saved(), "picture"))
    assert re.search(r"commit-release +decide", picture), "drawn before, and kept true"
    words, form = cell_of(lab.saved(), "commit-release-gate").outputs
    assert WIDGET in form.data
    assert "GATE release-commit: waits for release-manager" in words.data["text/plain"]
    assert "GATE release-commit: waits for release-manager" in words.data["text/html"]
    lab.page.click(".relkit-commit-release-approve")
    lab.page.get_by_text("REASON_MISSING").wait_for()
    lab.screenshot("reason-missing")
    decide(lab, "commit-release", "approve", "I read the difference")
    lab.screenshot("approved")
    assert_words_remain(lab, "commit-release-gate", "APPROVED by Rae Manager")
    assert record.steps("decided") == ["commit-release"]

    disturbed(lab, record)
    lab.run_all()
    assert_stopped(lab, "approve-publication-apply", "GATE_OPEN")
    assert {"approve-windows", "approve-macos"} < set(record.steps("completed"))
    decide(lab, "approve-publication", "approve", "the page and the digests")
    lab.run_all()
    assert_stopped(lab, "push-upstream-apply", "GATE_OPEN")
    assert f"v{VERSION}" not in git(record.world / "upstream.git", "tag").split()
    decide(lab, "push-upstream", "approve", "everything is public and verified")
    lab.run_all()
    assert_stopped(lab, "confirm-announcements-step", "NOT_READY", "it is yours to give")
    lab.show("confirm-announcements-step")
    give_evidence(lab, "post-discuss", "https://discuss.python.org/t/python-3150a1/")
    give_evidence(lab, "post-blog", "https://blog.python.org/python-3150a1/")
    lab.screenshot("evidence")
    lab.run_all()
    assert_finished(lab, record)
    assert_nothing_changes(lab, record)
    record_property("kernel_memory_kb", lab.memory)
    assert 0 < lab.memory < MEMORY


def disturbed(lab: Lab, record: Record) -> None:
    """Restart the idle kernel, go on, interrupt it at a build, go on, restart it while it signs."""
    lab.restart()
    lab.begin("notebook:run-all-cells")
    lab.page.get_by_text("waiting for the build test").wait_for()
    lab.screenshot("waiting", "test-source-step")
    lab.begin("notebook:interrupt-kernel")
    lab.page.get_by_text("INTERRUPTED").wait_for()
    lab.idle()
    assert_stopped(lab, "test-source-step", "INTERRUPTED")
    lab.begin("notebook:run-all-cells")
    lab.page.get_by_text("signers.sign_all(").first.wait_for()
    lab.restart()
    assert "test-source" in record.steps("completed")
    assert "sign-artifacts" in record.steps("planned")


def assert_finished(lab: Lab, record: Record) -> None:
    """Assert that all is done and sealed, nothing twice, and that the file says so."""
    nb = lab.saved()
    assert refusals(nb) == {}
    assert all(cell.execution_count for cell in code_cells(nb))
    assert not [one for cell in code_cells(nb) for one in cell.outputs if WIDGET in one.data]
    for step in ("commit-release", "approve-publication", "push-upstream"):
        assert_words_remain(lab, f"{step}-gate", "APPROVED by Rae Manager")
    assert str(record.folder / "release.html") in text_of(cell_of(nb, "close"))
    lab.screenshot("end", "close")

    history = History.read(record.folder)
    assert history.complete
    assert done_twice(history) == []
    assert len(set(record.steps("completed"))) == len(record.steps("completed"))
    assert git(record.world / "upstream.git", "tag").split().count(f"v{VERSION}") == 1
    manifest = json.loads((record.folder / "manifest.json").read_text())
    logged = (record.world / "sigstore" / "log.jsonl").read_bytes().splitlines()
    signed = {one["subject"]["name"] for one in manifest["companions"]}
    assert len(manifest["companions"]) == len(signed) > 0
    assert len(logged) == len(signed) + 1, "each once, and the seal"
    sealed = json.loads((record.folder / "seal.json").read_text())
    assert sealed["ledger_head"] == history.ledger.head


def assert_nothing_changes(lab: Lab, record: Record) -> None:
    """Assert that a finished release stays as it is: cells run alone, twice, in a new kernel."""
    before = {path.name: path.read_bytes() for path in record.folder.iterdir() if path.is_file()}
    assert "push-upstream: complete" in lab.run_cell("push-upstream-apply")
    assert "tag-release: complete" in lab.run_cell("tag-release-step")
    assert "tag-release: complete" in lab.run_cell("tag-release-step")
    assert "APPROVED by Rae Manager" in lab.run_cell("approve-publication-gate")
    lab.restart()
    lab.run_all()
    nb = lab.saved()
    assert refusals(nb) == {}
    steps = len(steps_of(Kind.ALPHA))
    assert f"{steps} of {steps} complete" in text_of(cell_of(nb, "open"))
    assert "Sealed" in text_of(cell_of(nb, "close"))
    after = {path.name: path.read_bytes() for path in record.folder.iterdir() if path.is_file()}
    assert after == before


def test_a_rejected_gate_stays_shut_until_it_is_decided_anew(
    server: Server, notebook: Open
) -> None:
    lab = notebook("rejected", "rejected")
    record = Record(server.project / "rejected")
    lab.run_cell("parameters")
    lab.run_cell("open")
    before = record.ledger
    for cell in ("push-upstream-propose", "push-upstream-gate", "push-upstream-apply", "close"):
        assert "What to do: " in lab.run_cell(cell)
    assert "NOT_YET" in lab.run_cell("tag-release-step")
    assert record.ledger == before, "cells out of order change nothing"

    lab.run_all()
    decide(lab, "commit-release", "reject", "the news is <b>empty</b>")
    lab.screenshot("rejected")
    assert_words_remain(lab, "commit-release-gate", "Rae Manager (release-manager) can decide anew")
    lab.run_all()
    assert_stopped(lab, "commit-release-apply", "GATE_REJECTED", "the news is <b>empty</b>")
    lab.screenshot("rejected-again", "commit-release-gate")
    assert "commit-release" not in record.steps("planned")
    decide(lab, "commit-release", "approve", "I had read the wrong file")
    assert record.steps("decided") == ["commit-release", "commit-release"]
    assert "commit-release: complete" in lab.run_cell("commit-release-apply")
    before = record.ledger
    for cell in ("commit-release-propose", "commit-release-gate", "commit-release-apply"):
        assert "commit" in lab.run_cell(cell)
    assert record.ledger == before, "a cell that is run again changes nothing"
    lab.screenshot("decided-anew", "commit-release-gate")


def test_a_failed_check_is_waived_with_a_reason_and_a_second_kernel_is_refused(
    server: Server, notebook: Open
) -> None:
    lab = notebook("waived", "waived")
    record = Record(server.project / "waived")
    lab.run_cell("parameters")
    lab.run_cell("open")
    add_blocker(record.world / "tracker.json")
    lab.run_all()
    assert_stopped(lab, "check-blockers-step", "BLOCKED", "the parser eats <tags>")
    lab.screenshot("blocked", "check-blockers-step")
    lab.page.click(".relkit-check-blockers-waive")
    lab.page.get_by_text("REASON_MISSING").wait_for()
    lab.page.fill(".relkit-check-blockers-reason input", "only on one platform")
    lab.page.click(".relkit-check-blockers-waive")
    lab.page.get_by_text("WAIVED by Rae Manager").wait_for()
    assert "only on one platform" in lab.run_cell("check-blockers-step")
    lab.screenshot("waived", "check-blockers-step")
    assert record.steps("waived") == ["check-blockers"]
    assert "check-blockers" in record.steps("completed")

    before = record.ledger
    second = notebook("second", "waived")
    second.run_all()
    assert_stopped(second, "open", "RUN_LOCKED")
    second.screenshot("second", "open")
    assert record.ledger == before


def add_blocker(file: Path) -> None:
    tracker = json.loads(file.read_text())
    issue = tracker["issues"][0] | {"number": 140099, "title": "the parser eats <tags>"}
    issue["labels"] = ["3.15", "release-blocker"]
    tracker["issues"].append(issue)
    file.write_text(json.dumps(tracker))
