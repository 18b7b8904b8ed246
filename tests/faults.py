"""What every port is put through, and the table that is made of what came out.

A test of a fault ends in `observed`: it fails unless the refusal says enough, and adds a row. With
`RELKIT_FAULTS` set to a folder the rows are kept there; ``fault_table.py`` makes the document.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from relkit.errors import ReleaseError

FAULTS = (
    "time-out before the effect",
    "time-out after the effect",
    "connection cut in an upload",
    "401",
    "403",
    "404",
    "409",
    "429",
    "500 without effect",
    "500 with effect",
    "HTML instead of JSON",
    "truncated body",
    "wrong digest",
    "stale cache for three cycles",
    "another person's file in the way",
    "changed host key",
    "remote branch moved",
    "disk full on the server",
    "clock skew",
)

STATE = re.compile(
    r"(?:nothing|not|never) (?:(?:is|was|were|be) )?(?:known|kept|sent|done|put|pushed|changed"
    r"|written|overwritten|replaced|purged|appeared|show)|no signature was|does not show"
    r"|cannot be (?:told|taken)|be looked at|is (?:there|now|gone)|already has|the site has"
    r"|has the digest|listed yet|belong to|says|was changed",
    flags=re.IGNORECASE,
)
"""How a refusal says what is the case now; which words are right is for people to judge."""


@dataclass(frozen=True)
class Row:
    """What came of a fault at a port.

    `code` is the refusal's; empty: the call went on and was read back as done. `first` is how
    often the deed was there then, `effects` how often in the end. `after` is how it went on when
    it was run again: ``done``, or a code.
    """

    port: str
    fault: str
    code: str
    first: int
    effects: int
    after: str
    says: str
    """What the refusal says, and what it advises."""
    test: str
    """The test that saw it: file and name, as pytest has them."""


def observed(
    port: str,
    fault: str,
    refusal: ReleaseError | None,
    *,
    effects: int,
    after: ReleaseError | None = None,
    effects_after: int | None = None,
) -> Row:
    """Demand of a fault what every fault must keep, and note it; `port` as in `World`.

    `refusal` is what the call raised (None: nothing: it went on), `effects` how often the deed is
    there now, `after` what running it again raised once the fault was over, and `effects_after`
    how often it is there then. Never two effects; nothing raised only if there is one.
    """
    assert fault in FAULTS, f"{fault} is no fault of the table"
    final = effects if effects_after is None else effects_after
    assert effects <= 1, f"{port}, {fault}: {effects} effects"
    assert final <= 1, f"{port}, {fault}: {final} effects in the end"
    if refusal is None:
        assert effects == 1, f"{port}, {fault}: it said done, and nothing was"
    else:
        assert refusal.code.isupper(), refusal.code
        assert len(str(refusal)) > len(refusal.code) + 10, f"{port}, {fault}: nothing is said"
        assert len(refusal.remedy) > 10, f"{port}, {fault}: nothing is advised"
        said = f"{refusal} {refusal.remedy}"
        assert STATE.search(said), f"{port}, {fault}: how it stands is not said: {said}"
    row = Row(
        *(port, fault, refusal.code if refusal else "", effects, final),
        after=after.code if after else "done",
        says=f"{refusal} | {refusal.remedy}" if refusal else "",
        test=os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0],
    )
    if after is None:
        assert final == 1, f"{port}, {fault}: run again it said done, and nothing was"
    if folder := os.environ.get("RELKIT_FAULTS"):
        path = Path(folder) / f"{os.getpid()}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row)) + "\n")
    return row
