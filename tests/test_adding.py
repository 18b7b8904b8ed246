"""What `docs/adding.md` shows is all that a new step and a new kind take."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
STEP, _GUARD, MEMBER, ROW = re.findall(
    r"```python\n(.*?)```",
    (ROOT / "docs" / "adding.md").read_text(encoding="utf-8"),
    flags=re.DOTALL,
)
PEP = """
[[step]]
section = "Announce"
pep = "Send a postcard"
steps = ["draft-postcard"]
"""


def put(file: Path, text: str, before: str = "") -> None:
    """Put a text into a file: before the first line that begins so, or at the end."""
    old = file.read_text(encoding="utf-8")
    assert before in old
    place = old.index(before) if before else len(old)
    file.write_text(f"{old[:place].rstrip(' ')}{text}{old[place:]}", encoding="utf-8")


def in_copy(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_step_is_one_function_and_a_kind_is_one_row(tmp_path: Path) -> None:
    for name in ("relkit", "notebooks", "docs", "worlds"):
        shutil.copytree(ROOT / name, tmp_path / name)
    module = tmp_path / "relkit/steps/announce.py"
    put(module, f"\n\n{STEP}")
    put(module, "from relkit.kinds import where\n", before="from relkit.manifest")
    put(tmp_path / "relkit/pep101.toml", PEP)
    put(tmp_path / "relkit/kinds.py", f"{MEMBER}\n", before="\n@dataclass")
    put(tmp_path / "relkit/kinds.py", ROW, before="    Kind.BEGIN_BUGFIX: KindFacts")
    about = tmp_path / "relkit/about"
    shutil.copy(about / "bugfix.md.j2", about / "expedited.md.j2")
    in_copy(tmp_path, "-m", "relkit", "render")
    texts = {one.stem: one.read_text() for one in (tmp_path / "notebooks").glob("*.ipynb")}
    assert "### Draft the postcard" in texts["final"]
    assert "### Draft the postcard" not in texts["bugfix"]
    assert texts["expedited"].count("### ") == texts["bugfix"].count("### ")
    assert "`draft-postcard`" in (tmp_path / "docs/coverage.md").read_text()


def test_a_new_kind_is_made_when_it_is_asked_for(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "relkit", tmp_path / "relkit")
    put(tmp_path / "relkit/kinds.py", f"{MEMBER}\n", before="\n@dataclass")
    put(tmp_path / "relkit/kinds.py", ROW, before="    Kind.BEGIN_BUGFIX: KindFacts")
    ask = (
        "from relkit.release import Release;"
        "print(*(Release.parse('3.14.3', kind, '2026-05-05').kind for kind in ('', 'expedited')))"
    )
    assert in_copy(tmp_path, "-c", ask).split() == ["bugfix", "expedited"]
