"""The seal: made from the ledger alone, the same each time, and with nothing in it that acts."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import rehearsals
from cells import Notebook, code, notebook, read, shown, text, write
from rehearsals import STEPS, VERSION

from relkit import render
from relkit import seal as sealing
from relkit.errors import RecordError, VerificationError
from relkit.marks import put_mark
from relkit.seal import Seal, seal


@pytest.fixture(scope="session")
def finished(snapshots: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a sealed record, without its world."""
    record = tmp_path_factory.mktemp("sealed") / VERSION
    shutil.copytree(snapshots / "close-run" / VERSION, record)
    _add_attempts(record / "attempts")
    seal(record)
    return record


def _add_attempts(folder: Path) -> None:
    """Put there what may lie in a folder of attempts."""
    folder.mkdir()
    ours, theirs = notebook(code("one", "1")), notebook(code("one", "1"))
    put_mark(ours, {"status": "waiting"})
    write(folder / "001-ours.ipynb", ours)
    put_mark(theirs, {"status": "done"})
    theirs.cells[0].execution_count = 7
    write(folder / "002-run-again-elsewhere.ipynb", theirs)
    write(folder / "003-without-a-mark.ipynb", notebook(code("one", "1")))
    contents = {
        "4-cut": b'{"cells": [',
        "5-empty": b"",
        "6-list": b"[]",
        "7-binary": b"\x80\x00",
        "8-object": b"{}",
    }
    for name, data in contents.items():
        (folder / f"00{name}.ipynb").write_bytes(data)
    (folder / "notes.txt").write_text("not a notebook")


def test_the_seal_has_the_digest_of_every_file_and_how_each_attempt_ended(finished: Path) -> None:
    made = Seal.model_validate_json((finished / "seal.json").read_text())
    names = {"ledger.jsonl", "ledger.head", "manifest.json", "release.ipynb", "release.html"}
    assert set(made.files) == names
    assert all(rehearsals.sha256(finished / name) == made.files[name] for name in names)
    assert {name: one.ended for name, one in made.attempts.items()} == {
        "001-ours.ipynb": "waiting",
        "002-run-again-elsewhere.ipynb": "",
        "003-without-a-mark.ipynb": "",
        "004-cut.ipynb": "unreadable",
        "005-empty.ipynb": "unreadable",
        "006-list.ipynb": "unreadable",
        "007-binary.ipynb": "unreadable",
        "008-object.ipynb": "unreadable",
    }


def test_sealed_again_elsewhere_and_without_a_world_it_is_the_same(
    finished: Path, tmp_path: Path
) -> None:
    """What a killed process has left is not in it, and nothing was appended."""
    record = tmp_path / "a folder with another name" / VERSION
    shutil.copytree(finished, record)
    for name in ("seal.json", "release.ipynb", "release.html", "manifest.json"):
        (record / name).unlink()
        (record / f"{name}.new").write_text("half of i")
    (record / "replay-release.ipynb").write_text("{}")
    seal(record)
    left = {name for name in rehearsals.tree(record) if name.endswith(".new")}
    assert {
        name: digest for name, digest in rehearsals.tree(record).items() if name not in left
    } == rehearsals.tree(finished)


def test_every_step_is_shown_from_the_record_in_order(finished: Path) -> None:
    nb = read(finished / "release.ipynb")
    last = [cell for cell in nb.cells if cell.id.endswith(("-step", "-apply"))]
    assert [cell.id.rpartition("-")[0] for cell in last] == list(STEPS)
    assert all("completed" in json.dumps(cell.outputs) for cell in last)
    assert not {"papermill", "relkit", "widgets"} & set(nb.metadata)


def test_a_run_that_is_not_complete_is_not_sealed(snapshots: Path, tmp_path: Path) -> None:
    record = tmp_path / VERSION
    shutil.copytree(snapshots / "read-back" / VERSION, record)
    before = rehearsals.tree(record)
    with pytest.raises(RecordError, match=r"NOT_COMPLETE: .* set-post-release-version"):
        seal(record)
    assert rehearsals.tree(record) == before


def test_a_replay_that_fails_seals_nothing(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / VERSION
    shutil.copytree(finished, record)
    (record / "seal.json").unlink()
    wrong = notebook(text("about", ""), code("parameters", "", tags="parameters"), code("x", "1/0"))
    monkeypatch.setattr(render, "notebook", lambda _: wrong)
    with pytest.raises(VerificationError, match=r"REPLAY_FAILED: .*'x'"):
        seal(record)
    assert not (record / "seal.json").exists()
    assert not (record / "replay-release.ipynb").exists()


def test_the_replay_leaves_the_environment_as_it_was(finished: Path) -> None:
    assert finished.exists()
    assert not {"RELKIT_RUNNER", "RELKIT_REPLAY"} & set(os.environ)


# --- what acts ---------------------------------------------------------------------------------

ACTIVE = [
    "<iframe src='https://evil.invalid'></iframe>",
    "<img src='https://evil.invalid/pixel.png'>",
    "<img src=//evil.invalid/pixel.png>",
    "<img src='data:image/svg+xml,<svg onload=alert(1)>'>",
    "<img src=x onerror=alert(1)>",
    "<svg onload='alert(1)'></svg>",
    "<svg><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "<svg><use href='https://evil.invalid/x.svg#a'/></svg>",
    "<svg><foreignObject></foreignObject></svg>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='JaVaScRiPt:alert(1)'>x</a>",
    "<a href=' javascript:alert(1)'>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='file:///etc/passwd'>x</a>",
    "<a href='http://evil.invalid'>x</a>",
    "<link rel=stylesheet href='https://evil.invalid/x.css'>",
    "<meta http-equiv='refresh' content='0; url=https://evil.invalid'>",
    "<base href='https://evil.invalid/'>",
    "<form action='https://evil.invalid'><input name=password></form>",
    "<object data='https://evil.invalid'></object>",
    "<embed src='https://evil.invalid'>",
    "<p style='background: url(https://evil.invalid/x.png)'>x</p>",
    "<p style='background: u\\72l(https://evil.invalid/x.png)'>x</p>",
    "<style>@import 'https://evil.invalid/x.css';</style>",
    "<style>body { background: url( 'https://evil.invalid/x.png' ) }</style>",
    "<video poster='https://evil.invalid/x.png'></video>",
    "<table background='https://evil.invalid/x.png'></table>",
    "<![CDATA[<script>alert(1)</script>]]>",
]


@pytest.mark.parametrize("html", ACTIVE)
def test_what_would_act_or_load_is_refused(html: str) -> None:
    nb = notebook(code("one", "1", shown(text_plain="x", text_html=html)))
    with pytest.raises(VerificationError, match="FORBIDDEN_MIME"):
        sealing.to_html(nb, "A record")


@pytest.mark.parametrize("tag", ["script", "SCRIPT", "script type=module", "script\n"])
def test_scripts_are_taken_off_or_refused(tag: str) -> None:
    html = f"<p>before</p><{tag}>alert(1)</script><p>after</p>"
    nb = notebook(code("one", "1", shown(text_plain="x", text_html=html)))
    try:
        page = sealing.to_html(nb, "A record")
    except VerificationError as refusal:
        assert refusal.code == "FORBIDDEN_MIME"  # noqa: PT017 (either is right)
    else:
        assert "alert" not in page


@pytest.mark.parametrize(
    "html",
    [
        "<p>Scripts, iframes &lt;script&gt; and onload= in words</p>",
        "<a href='https://www.python.org/'>x</a> <a href='#y'>y</a>",
        "<table><tr><td style='text-align:left'>x</td></tr></table>",
        "<svg viewBox='0 0 1 1'><path d='M0 0' fill='url(#p)' style='fill:url(#p)'/></svg>",
        "<img src='data:image/png;base64,iVBORw0KGgo='>",
        "<details><summary>x</summary><pre>y</pre></details>",
        "<progress value='1' max='2'></progress>",
    ],
)
def test_text_tables_pictures_and_links_are_kept(html: str) -> None:
    page = sealing.to_html(notebook(code("one", "1", shown(text_plain="x", text_html=html))), "R")
    assert "Content-Security-Policy" in page


def test_a_title_is_text() -> None:
    page = sealing.to_html(notebook(text("one", "x")), "<script>alert(1)</script>")
    assert "<script" not in page


@pytest.mark.parametrize(
    "data",
    [
        {"application_javascript": "alert(1)"},
        {"image_svg+xml": "<svg onload='alert(1)'/>"},
        {"application_vnd.jupyter.widget-view+json": "{}"},
        {"text_latex": "x"},
        {"text_plain": "it is in /home/rm/records/3.15.0a1"},
    ],
    ids=lambda data: next(iter(data)),
)
def test_outputs_that_are_not_plain_are_refused(data: dict[str, str]) -> None:
    nb: Notebook = notebook(code("one", "1", shown(**data)))
    with pytest.raises(VerificationError, match="FORBIDDEN_MIME"):
        sealing._cleaned(nb, "/home/rm/records/3.15.0a1")
