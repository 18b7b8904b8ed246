"""What relkit itself costs, apart from the tools it runs: python benchmarks/engine.py [WHAT …].

WHAT is one or more of `rehearsal`, `resume`, `idle`; all by default. Prints one table; the limits
are those the project has set itself for two quiet cores. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relkit.opening import open_release

VERSION = "3.15.0a1"
WORLD = str(Path(__file__).parents[1] / "worlds" / "rehearsal.toml")
RELKIT = [sys.executable, "-m", "relkit"]
Row = tuple[str, str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["rehearsal", "resume", "idle"])
    chosen = parser.parse_args().what
    folder = Path(tempfile.mkdtemp(prefix="relkit-bench-"))
    try:
        rows: list[Row] = []
        if "rehearsal" in chosen:
            rows += whole_rehearsals(folder)
        if "resume" in chosen:
            rows += coming_back(folder)
        if "idle" in chosen:
            rows += idle_steps(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name, figure, limit in [("what", "figure", "limit"), *rows]:
        print(f"{name:58} {figure:28} {limit}")


def whole_rehearsals(folder: Path, runs: int = 3) -> list[Row]:
    """Time `relkit rehearse` on the sample tree with replay and seal; watch its kernels' memory."""
    seconds, peaks = [], []
    for number in range(runs):
        with kernels_watched() as seen:
            begun = time.monotonic()
            where = ["--records", str(folder / f"whole-{number}")]
            subprocess.run([*RELKIT, "rehearse", VERSION, *where], check=True, capture_output=True)
            seconds.append(time.monotonic() - begun)
        peaks.append(max(seen.values(), default=0) / 1024)
    return [
        ("whole rehearsal, replay and seal included", spread(seconds, "s"), "40 s"),
        ("peak memory of the notebook's kernel", spread(peaks, "MB"), "300 MB"),
    ]


def coming_back(folder: Path, runs: int = 5) -> list[Row]:
    """Time how long a new process needs to stand where a killed run stood."""
    records = folder / "killed"
    code = (
        "import os, signal, sys\n"
        "from relkit.opening import open_release\n"
        f"opened = open_release({VERSION!r}, '', '', {WORLD!r}, {str(records)!r})\n"
        "for done in opened.run.advance():\n"
        "    if done.step.name == 'upload-to-staging':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    again = (
        "import time; begun = time.monotonic()\n"
        "from relkit.opening import open_release\n"
        f"opened = open_release({VERSION!r}, '', '', {WORLD!r}, {str(records)!r})\n"
        "assert opened.run.status('place-files') == 'pending', 'not where it stood'\n"
        "print(time.monotonic() - begun); opened.close()\n"
    )
    seconds = [
        float(subprocess.check_output([sys.executable, "-c", again], text=True).split()[-1])
        for _ in range(runs)
    ]
    return [("back to where a killed run stood, imports included", spread(seconds, "s"), "3 s")]


def idle_steps(folder: Path) -> list[Row]:
    """Time steps in which nothing is to be done: complete ones, and one found done outside."""
    records = folder / "idle"
    opened = open_release(VERSION, "", "", WORLD, str(records))
    for _ in opened.run.advance():
        pass
    complete = [timed(lambda name=name: opened.run.apply(name)) for name in opened.run.steps]
    plan = opened.run.propose("upload-to-staging").plan
    found = [timed(lambda one=one: one.holds(opened.run.world)) for one in plan.actions]
    opened.close()
    return [
        ("a complete step, applied again", spread(complete, "ms", 1000), "50 ms"),
        ("asking an upload whether it is done", spread(found, "ms", 1000), ""),
    ]


def timed(call) -> float:  # type: ignore[no-untyped-def] # noqa: ANN001 (any call)
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def spread(values: list[float], unit: str, factor: float = 1) -> str:
    """Return minimum, median and maximum."""
    scaled = sorted(value * factor for value in values)
    shown = (scaled[0], statistics.median(scaled), scaled[-1])
    return " / ".join(f"{value:.2f}" for value in shown) + f" {unit}"


@contextmanager
def kernels_watched() -> Iterator[dict[int, int]]:
    """Collect the peak memory (VmHWM, kB) of the notebook kernels that live meanwhile (Linux)."""
    seen: dict[int, int] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            for status in Path("/proc").glob("[0-9]*/status"):
                note_kernel(status, seen)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield seen
    over.set()
    thread.join()


def note_kernel(status: Path, seen: dict[int, int]) -> None:
    try:
        if "ipykernel_launcher" not in status.with_name("cmdline").read_text():
            return
        if found := re.search(r"VmHWM:\s+(\d+)", status.read_text()):
            number = int(status.parent.name)
            seen[number] = max(seen.get(number, 0), int(found[1]))
    except OSError:
        return  # it has ended


if __name__ == "__main__":
    main()
