"""Crash a rehearsal at many points, and write a table of what came of it.

    python tests/crash_matrix.py [--each HOW] [--seconds N] [--table FILE] FOLDER

`FOLDER` gets the snapshots, and a line of JSON for each point; run again, it goes on there.
`--each` says how many actions are crashed, at all moments: one of each `type`, one of each type in
each step (`place`), or all (`action`); of a type of records one. A `sample` is one moment of each
type, for an alpha. `--seconds` is after how many no other point is begun.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import crash
import rehearsals
from crash import ACTS, ERRORS, LINES, Point, Verdict

import relkit.rehearsal.world  # noqa: F401 (imported once, before children are made)

SEED = "3.15.0a1"
REHEARSALS = {
    "alpha": ("3.15.0a1", "", rehearsals.DATE),
    "final": ("3.15.0", "", "2026-10-01"),
    "begin-bugfix": ("3.15", "begin-bugfix", "2026-10-08"),
}
"""Of each but the first, only types of actions are crashed that those before do not have."""
ENDS = 3  # points from which a run goes on to its very end


def chosen(points: Iterable[Point], each: str) -> list[Point]:
    """Return all points of some of the actions, drawn with a seed."""
    groups: dict[tuple[str, ...], dict[tuple[str, int], list[Point]]] = {}
    for one in points:
        place = (one.type, one.step, str(one.number))
        key = place[:1] if one.event or each == "type" else place[: {"place": 2}.get(each, 3)]
        found = groups.setdefault(key, {}).setdefault((one.step, one.number), [])
        if one not in found:
            found.append(one)
    chance = random.Random(SEED)  # noqa: S311 (instants, not secrets)
    return [one for actions in groups.values() for one in chance.choice(list(actions.values()))]


def sample(points: Iterable[Point]) -> list[Point]:
    """Return one point of each type; together they have all moments."""
    types: dict[str, dict[str, Point]] = {}
    for one in chosen(points, "type"):
        types.setdefault(one.type, {})[one.moment] = one
    unused = [*ACTS, *LINES]
    drawn = []
    for _, there in sorted(types.items(), key=lambda each: (len(each[1]), each[0])):
        moment = next((one for one in unused if one in there), next(iter(there)))
        unused = [one for one in unused if one != moment] or [*ACTS, *LINES]
        drawn.append(there[moment])
    return drawn


def table(verdicts: list[Verdict]) -> str:
    """Return the figures as a table, by type of action."""
    rows: dict[str, list[Verdict]] = {}
    for one in verdicts:
        rows.setdefault(one.point.type, []).append(one)
    lines = [
        "| Type | Steps | Killed | Refused writes | Survived |",
        "| :-- | :-- | --: | --: | --: |",
    ]
    for kind, ones in sorted(rows.items()):
        steps = ", ".join(sorted({one.point.step for one in ones}))
        errors = sum(one.point.moment in ERRORS for one in ones)
        good = sum(not one.fault for one in ones)
        lines.append(
            f"| {kind} | {steps} | {len(ones) - errors} | {errors} | {good} of {len(ones)} |"
        )
    return "\n".join(lines)


def document(verdicts: list[Verdict], each: str, left: int) -> str:
    """Return `docs/crash-matrix.md`."""
    good = sum(not one.fault for one in verdicts)
    faults = [f"- {one.point.title}: {one.fault[:400]}" for one in verdicts if one.fault]
    moments = "\n".join(f"- {one}" for one in dict.fromkeys(v.point.moment for v in verdicts))
    amount = {"type": "type of action", "place": "type of action in each step"}.get(each, "action")
    return f"""# Crash matrix

Written by `make crash-matrix` on {datetime.now(UTC):%Y-%m-%d}; `tests/crash.py` says how a point
is made. Every point begins from a copy of a rehearsal ({SEED}; of 3.15.0 and of the
beginning of its bugfixes for the types of actions it lacks) as it stood before the step. The
process is killed with SIGKILL there, or its ledger refuses a write; another process goes on to the
end of the step. A point is survived when no record is lost, no act is repeated that was done, and
refs and reflogs, rows and counters of the site, messages, lines of the transparency log, attempts
of builds, files, verified signatures and the records of the step are those of the rehearsal that
nobody disturbed. {ENDS} points, drawn by seed, are carried on to the very end, and the whole world
is compared there.

**{len(verdicts)} points, {good} survived**; one of each {amount}; {left} points left out.

{table(verdicts)}

## Moments

{moments}

## What did not survive

{chr(10).join(faults) or "Nothing."}

## What it found

- `push-upstream` with no space for the record before the push: the protection was put back, which
  could not be recorded, and the next process pushed against it (PUSH_REFUSED once). A temporary
  action that is recorded as done and does not hold is now done again where a later one needs it.

## What this does not show

- Kills inside an act; `tests/test_kills.py` kills at instants drawn over a whole rehearsal.
- Kills while a temporary action is taken back, while a run is sealed, and at waivers.
- Power cuts: what a process wrote is there after a kill, flushed or not, so fsync is left out.
- A disk that is full for the world too: only the ledger is refused its writes.
- Undoing (`tests/test_respin.py`), and kinds other than those named above.
"""


def main() -> int:
    """Crash; return 1 if a point was not survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", default="place", choices=["sample", "type", "place", "action"])
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--table", type=Path)
    given = parser.parse_args()
    folder = given.folder.absolute()
    names = list(REHEARSALS)[: 1 if given.each == "sample" else None]
    todo = in_turn(every(folder, given.each, names))
    lines, end = folder / f"{given.each}.jsonl", time.monotonic() + given.seconds
    verdicts = known(lines)
    there = {one.point for one in verdicts}
    with lines.open("a") as file:
        for number, (name, point) in enumerate(todo):
            if time.monotonic() > end:
                break
            if point not in there:
                whole = number < ENDS and given.each != "sample"
                found = crash.crash(folder / name, folder / "scratch", point, to_the_end=whole)
                verdicts.append(found)
                print(json.dumps(found.to_data()), file=file, flush=True)
    if given.table:
        given.table.write_text(document(verdicts, given.each, len(todo) - len(verdicts)))
    return int(any(one.fault for one in verdicts))


def prepare(folder: Path, names: Iterable[str]) -> None:
    """Make the snapshots that are not there."""
    for name in names:
        if not (folder / name / "after.json").exists():
            said = folder / f"{name}.txt"
            folder.mkdir(parents=True, exist_ok=True)
            if crash.forked(partial(crash.snapshots, folder / name, *REHEARSALS[name]), said):
                raise SystemExit(f"no rehearsal: see {said}")


def every(folder: Path, each: str, names: Iterable[str]) -> list[tuple[str, Point]]:
    """Return the chosen points of the rehearsals of these names."""
    prepare(folder, names)
    found: list[tuple[str, Point]] = []
    for name in names:
        known_types = {one.type for _, one in found}
        points = (one for one in crash.points(folder / name) if one.type not in known_types)
        drawn = sample(points) if each == "sample" else chosen(points, each)
        found += [(name, one) for one in drawn]
    return found


def in_turn(points: list[tuple[str, Point]]) -> list[tuple[str, Point]]:
    """Return the points so that the first ones, however few, have of each type as many."""
    shuffled = list(points)
    random.Random(SEED).shuffle(shuffled)  # noqa: S311 (instants, not secrets)
    seen: Counter[str] = Counter()
    placed = []
    for name, one in shuffled:
        placed.append((seen[one.type], name, one))
        seen[one.type] += 1
    return [(name, one) for _, name, one in sorted(placed, key=lambda place: place[0])]


def known(lines: Path) -> list[Verdict]:
    """Return what came of the points of an earlier run, which this one goes on with."""
    found = lines.read_text().splitlines() if lines.exists() else []
    data = [json.loads(line) for line in found]
    return [Verdict(Point(**one["point"]), one["fault"], one["seconds"]) for one in data]


if __name__ == "__main__":
    sys.exit(main())
