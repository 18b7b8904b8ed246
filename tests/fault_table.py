"""Make the document of faults from what the tests have seen.

    RELKIT_FAULTS=FOLDER python -m pytest -m "slow or not slow" tests/test_faults_*.py
    python tests/fault_table.py FOLDER docs/faults.md

Every port that reaches another system has a cell for each fault of `faults.FAULTS`: what the tests
saw, or why it cannot happen there (`CANNOT`).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from fault_reasons import CANNOT, MEANS, PORTS
from faults import FAULTS, Row

HEAD = "| Fault | Comes of it | Effects | Run again | In the end |\n| :-- | :-- | :-- | :-- | --: |"
LINE = re.compile(
    r"\| (?P<fault>[^|]+) \| (?P<outcome>[^|]+) \|(?: (?P<effects>\d) \| (?P<after>[^|]+) \|)?"
)
TEST = re.compile(r"`tests/(\w+\.py)`")
NEVER = "cannot happen: "


def read(folder: Path) -> list[Row]:
    """Return the rows that the tests have left in a folder."""
    files = sorted(folder.glob("*.jsonl"))
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return [Row(**json.loads(line)) for line in lines]


def cell(rows: Iterable[Row]) -> tuple[str, str, str, str]:
    """Return what came of a fault, with which effects, how it went on, and the most effects."""
    found = [*rows]
    outcomes = sorted(
        {row.code or "goes on" for row in found}, key=lambda it: (it == "goes on", it)
    )
    after = sorted({row.after for row in found}, key=lambda it: (it == "done", it))
    first = ", ".join(sorted({str(row.first) for row in found}))
    most = str(max(row.effects for row in found))
    return ", ".join(outcomes), first, ", ".join(after), most


def gaps(rows: Iterable[Row]) -> list[str]:
    """Return what is wrong: cells without a row or reason, or with both, and unknown ports."""
    seen = {(row.port, row.fault) for row in rows}
    wanted = {(port, fault) for port in PORTS for fault in FAULTS}
    never = {(port, fault) for port, faults in CANNOT.items() for fault in faults}
    return [
        *(f"{port}: nothing is known of {fault}" for port, fault in sorted(wanted - seen - never)),
        *(f"{port}: {fault} cannot happen, and was seen" for port, fault in sorted(seen & never)),
        *(f"{port}, {fault}: not in the table" for port, fault in sorted((seen | never) - wanted)),
    ]


def files_of(rows: Iterable[Row]) -> list[str]:
    """Return the files of the tests that saw these rows."""
    return sorted({Path(row.test.partition("::")[0]).name for row in rows if row.test})


def section(port: str, rows: list[Row]) -> str:
    """Return the table of a port."""
    lines = [f"## {port}", "", PORTS[port], "", HEAD]
    for fault in FAULTS:
        if mine := [row for row in rows if row.fault == fault]:
            lines.append(f"| {fault} | {' | '.join(cell(mine))} |")
        else:
            lines.append(f"| {fault} | {NEVER}{CANNOT[port][fault]} | | | |")
    tests = ", ".join(f"`tests/{name}`" for name in files_of(rows))
    return "\n".join([*lines, "", f"{len(rows)} observations; {tests}."])


def document(rows: list[Row], day: str) -> str:
    """Return `docs/faults.md`."""
    parts = [section(port, [row for row in rows if row.port == port]) for port in PORTS]
    means = "\n".join(f"- **{fault}**: {MEANS[fault]}" for fault in FAULTS)
    return f"""# Faults

What happens when a system that relkit talks to fails in the middle of a release.
Written by `make fault-table` on {day} from {len(rows)} observations of the tests named below, at
{len(PORTS)} ports. `faults.observed` fails a test unless each of these holds:

- never a false "done": where nothing is refused, the deed is there;
- never a second effect, neither at once nor when it is run again;
- each refusal has a code, says what happened and how it stands now, and advises what to do.

The tests run against real software on this machine where there is such (OpenSSH, git, Buildbot,
Varnish, nginx), stand-ins for the rest, and a proxy that spoils what goes by. Making the table
takes about six minutes. `tests/test_fault_table.py` sees that it is whole and contradicts nothing;
a slow test there sees Website, Builders (Azure) and Signers anew and compares the outcomes.

## How to read it

**Comes of it** is the code of the refusal; several, if it depends on which call the fault strikes.
*goes on* means that relkit looks for the effect itself, finds it, or tries again, and is done.
*cannot happen* is followed by the reason, or by what the fault is there instead. **Effects** is how
often the deed is there at that moment; 0 and 1, if it depends on the call. **Run again** is what
the same does when the fault is over: *done*, or the code with which it still refuses, because a
person has to look first. **In the end** is how often the deed is there then: never more than once.
The message of a refusal says what its code means, how it stands and what to do.

{means}

{(chr(10) * 2).join(parts)}

## Ports that reach nobody

Artifacts, Attestations and Clock work on this machine only (what Attestations sign by goes through
Signers). Machine asks a world for nothing but the time, and Advisories runs pip-audit, which only
reads: without an answer both say so, and the check they belong to does not pass
(`tests/test_machine.py`).
"""


def cells(text: str) -> dict[tuple[str, str], str]:
    """Return what a document says of each port and fault: the outcome, or why there is none."""
    found, port = {}, ""
    for line in text.splitlines():
        if line.startswith("## "):
            port = line[3:]
        elif (match := LINE.match(line)) and match["fault"] in FAULTS:
            found[port, match["fault"]] = match["outcome"]
    return found


def main() -> int:
    """Write the document; return 1 if cells are missing or wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("document", type=Path)
    given = parser.parse_args()
    rows = read(given.folder)
    if wrong := gaps(rows):
        print("\n".join(wrong), file=sys.stderr)  # noqa: T201 (what it is for)
        return 1
    given.document.write_text(document(rows, f"{datetime.now(UTC):%Y-%m-%d}"), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
