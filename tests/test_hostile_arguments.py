"""Whatever is typed after a command: a refusal with a code, quickly, and nothing made."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hostile import STRINGS

from relkit import cli

TYPED = [
    one for one in STRINGS if "\0" not in one and one.isascii() and one not in {"-h", "--help"}
]
"""What a shell can hand on."""
SECONDS = 5.0
SAY = ("--role", "r", "--who", "w", "--reason", "x", "--approve")
COMMANDS: dict[str, Callable[[str], Sequence[str]]] = {
    "doctor VERSION": lambda it: ("doctor", it),
    "doctor --world": lambda it: ("doctor", "3.15.0a2", "--world", it),
    "doctor --records": lambda it: ("doctor", "3.15.0a2", "--records", it, "--world", "none.toml"),
    "run --wait": lambda it: ("run", "3.15.0a2", "--wait", it, "--world", "none.toml"),
    "verify release VERSION": lambda it: ("verify", "release", it, "--site", "http://127.0.0.1:9/"),
    "verify release --record": lambda it: ("verify", "release", "3.15.0a2", "--record", it),
    "verify release --manifest": lambda it: ("verify", "release", "3.15.0a2", "--manifest", it),
    "verify release --site": lambda it: (
        *("verify", "release", "3.15.0a2", "--deadline", "1", "--site", it),
    ),
    "decide REQUEST": lambda it: ("decide", it, *SAY),
    "decide --meeting": lambda it: ("decide", "abc", "--meeting", it, *SAY),
    "decide --branch": lambda it: ("decide", "abc", "--meeting", "/none", "--branch", it, *SAY),
    "testify": lambda it: ("testify", it, "text", "--role", "r", "--who", "w"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_hostile_words_after_a_command_are_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in TYPED:
        begun = time.monotonic()
        try:
            status = cli.main(list(COMMANDS[command](words)))
        except SystemExit as end:  # argparse itself
            status = int(end.code or 0)
        said = capsys.readouterr()
        assert status != 0, (command, words, said.out)
        assert "Traceback" not in said.err
        assert time.monotonic() - begun < SECONDS, (command, words)
        assert "\x1b" not in said.out + said.err, (command, words)
    assert list(tmp_path.iterdir()) == []
