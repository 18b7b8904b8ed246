"""What source archives cost, against the usual way and the floor: python benchmarks/source.py.

In one run and in turn, on the same tag of the CPython repository that RELKIT_CPYTHON names:

* the floor: `xz`, one thread, of the payload alone;
* the usual way: git archive, unpack, blurb merge, tar with gzip, then tar with xz;
* `relkit export`: both archives, both SBOMs, comparison with the tag, checksums and provenance.

Then what is done with an archive at hand: its SBOM, and the comparison. Prints one table; figures
are minimum / median / maximum. All ways must give the same archives, or there is no table.
"""

from __future__ import annotations

import argparse
import hashlib
import lzma
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from relkit.building.archive import REMOVED
from relkit.building.source import blurb_command

TAG, COMMIT = "v3.13.0a5", "076d169ebbe59f7035eaa28d33d517bcb375f342"
BLURB, FORM = "1.1.0", "1.34"
TOP = f"Python-{TAG[1:]}"
PAUSE_SECONDS = 0.02
REPRODUCIBLE = (
    *("--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=go+u,go-w"),
    "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
)
"""What makes GNU tar's archives the same everywhere (its manual, and reproducible-builds.org)."""


@dataclass(frozen=True)
class Cost:
    """What one run took: seconds on the clock, and the peak memory of its processes together."""

    seconds: float
    megabytes: float


@dataclass(frozen=True)
class Setup:
    """What all ways work on."""

    folder: Path
    repository: Path
    tag: str
    commit: str
    blurb: Path

    def new(self, name: str) -> Path:
        """Return a new empty folder."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    if "RELKIT_CPYTHON" not in os.environ:
        print("source archives: not measured, RELKIT_CPYTHON names no CPython repository")
        return
    folder = Path(tempfile.mkdtemp(prefix="relkit-bench-"))
    try:
        table = measured(prepared(folder), options.pairs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for row in [("what", "figure", "limit"), *table]:
        print(f"{row[0]:62} {row[1]:30} {row[2]}")


def prepared(folder: Path) -> Setup:
    """Tag the commit in a repository of our own that borrows the objects."""
    repository = folder / "cpython.git"
    source = Path(os.environ["RELKIT_CPYTHON"]).absolute()
    git = ["git", "-C", str(repository)]
    run(["git", "clone", "--quiet", "--bare", "--shared", str(source), str(repository)])
    tagger = ["-c", "user.name=Benchmark", "-c", "user.email=benchmark@rehearsal.invalid"]
    run([*git, *tagger, "tag", "--force", "--annotate", "-m", TAG, TAG, COMMIT])
    blurb = Path(sys.prefix) / "share" / "relkit" / f"blurb-{BLURB}"
    return Setup(folder, repository, TAG, COMMIT, blurb)


def measured(setup: Setup, pairs: int) -> list[tuple[str, str, str]]:
    """Run all ways in turn, `pairs` times; return the rows of the table."""
    usual(setup)  # once before: it gives the payload, and warms the disk's cache
    payload = setup.folder / "payload.tar"
    payload.write_bytes(lzma.decompress((setup.folder / "usual" / f"{TOP}.tar.xz").read_bytes()))
    ways: Mapping[str, Callable[[Setup], None]] = {"xz": floor, "usual": usual, "relkit": export}
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for number in range(pairs):
        for name in [*ways][number % 3 :] + [*ways][: number % 3]:
            costs[name].append(cost(partial(ways[name], setup)))
    same_archives(setup)
    at_hand = {
        name: [cost(partial(run, command)) for _ in range(pairs)]
        for name, command in commands(setup).items()
    }
    relkit = costs["relkit"]
    return [
        ("xz of the payload alone, one thread", figures(costs["xz"]), ""),
        ("the usual way: git archive, blurb, tar with gzip, with xz", figures(costs["usual"]), ""),
        ("relkit export: archives, SBOMs, comparison, provenance", figures(relkit), ""),
        (
            "  the usual way takes so many times as long",
            ratios(costs["usual"], relkit),
            "1.15 or more",
        ),
        ("  as many times as xz alone", ratios(relkit, costs["xz"]), "1.10 at most"),
        ("  peak memory of its processes", memory(relkit), "400 MB"),
        *(
            (
                name,
                f"{figures(found)}, {memory(found)}",
                "1.5 s and reading" if name.startswith("SBOM") else "6 s, 150 MB",
            )
            for name, found in at_hand.items()
        ),
    ]


# --- the ways -----------------------------------------------------------------------------------


def floor(setup: Setup) -> None:
    """Compress the payload, with nothing beside it."""
    with (setup.folder / "payload.tar").open("rb") as given, Path(os.devnull).open("wb") as taken:
        run(["xz", "--threads=1", "--stdout", "-6"], stdin=given, stdout=taken)


def usual(setup: Setup) -> None:
    """Make both archives with a tree on the disk, one after the other."""
    out = setup.new("usual")
    git = ["git", "-C", str(setup.repository)]
    packed = out / "tree.tar"
    run([*git, "archive", "--format=tar", f"--prefix={TOP}/", "-o", str(packed), setup.tag])
    run(["tar", "-xf", str(packed)], cwd=out)
    packed.unlink()
    tree = out / TOP
    run([*blurb_command(setup.blurb), "merge"], cwd=tree)
    for name in (one.path for one in REMOVED):
        path = tree / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    time_of_commit = subprocess.run(
        [*git, "show", "-s", "--format=@%ct", setup.commit],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    tar = ["tar", *REPRODUCIBLE, f"--mtime={time_of_commit}"]
    run([*tar, "--use-compress-program=gzip --no-name -9", "-cf", f"{TOP}.tgz", TOP], cwd=out)
    run([*tar, "--use-compress-program=xz --threads=1", "-cf", f"{TOP}.tar.xz", TOP], cwd=out)
    for name in f"{TOP}.tgz", f"{TOP}.tar.xz":
        hashlib.sha256((out / name).read_bytes()).hexdigest()


def export(setup: Setup) -> None:
    """Have relkit do all that is to be done from the tag."""
    out = setup.new("relkit")
    named = ["--repo", str(setup.repository), "--out", str(out), "--tar", FORM, "--blurb", BLURB]
    relkit("export", setup.tag, *named, "--offline")


def commands(setup: Setup) -> dict[str, list[str]]:
    """Return what is done with an archive at hand."""
    archive = str(setup.folder / "relkit" / f"{TOP}.tar.xz")
    target = str(setup.folder / "again.spdx.json")
    start = [sys.executable, "-m", "relkit"]
    compare = ["--repo", str(setup.repository), "--tag", setup.tag, "--level", "content"]
    return {
        "SBOM of the .tar.xz, unpacking included": [
            *start,
            "sbom",
            archive,
            "--offline",
            "--out",
            target,
        ],
        "comparison of the .tar.xz with the tag": [*start, "verify", "source", archive, *compare],
    }


def relkit(*words: str) -> None:
    run([sys.executable, "-m", "relkit", *words])


def same_archives(setup: Setup) -> None:
    """Stop if the ways did not make the same bytes: they would not be comparable."""
    for name in f"{TOP}.tgz", f"{TOP}.tar.xz":
        ours, theirs = (
            hashlib.sha256((setup.folder / way / name).read_bytes()).hexdigest()
            for way in ("relkit", "usual")
        )
        if ours != theirs:
            raise SystemExit(f"{name}: relkit gives {ours}, the usual way {theirs}")


# --- measuring ----------------------------------------------------------------------------------


def run(command: Sequence[str], **options: object) -> None:
    subprocess.run(command, check=True, **{"stdout": subprocess.DEVNULL, **options})  # type: ignore[call-overload] # whatever Popen takes


def cost(work: Callable[[], None]) -> Cost:
    """Run something and watch all processes below this one."""
    peak, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(PAUSE_SECONDS):
            peak[0] = max(peak[0], below(os.getpid()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.monotonic()
    try:
        work()
    finally:
        seconds = time.monotonic() - begun
        ended.set()
        watcher.join()
    return Cost(seconds, peak[0])


def below(parent: int) -> float:
    """Return the resident memory of all descendants of a process together, in MB (Linux only)."""
    parents, sizes = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            sizes[int(folder.name)] = int(stat[21]) * os.sysconf("SC_PAGESIZE")
        except (OSError, IndexError):
            continue  # it has just ended
        parents[int(folder.name)] = int(stat[1])
    found, last = {parent}, 0
    while len(found) != last:
        last = len(found)
        found |= {one for one, its in parents.items() if its in found}
    return sum(sizes[one] for one in found if one in sizes and one != parent) / 1e6


def figures(costs: Sequence[Cost]) -> str:
    return spread([one.seconds for one in costs], "s")


def memory(costs: Sequence[Cost]) -> str:
    return f"{max(one.megabytes for one in costs):.0f} MB"


def ratios(dividends: Sequence[Cost], divisors: Sequence[Cost]) -> str:
    pairs = zip(dividends, divisors, strict=True)
    return spread([one.seconds / other.seconds for one, other in pairs], "times")


def spread(values: Sequence[float], unit: str) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{low:.2f} / {middle:.2f} / {high:.2f} {unit}"


if __name__ == "__main__":
    main()
