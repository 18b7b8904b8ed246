"""Crashes at chosen instants of a rehearsal: before an act, after it, in the middle of a record.

A child of this process opens a copy of a rehearsal as it was before a step, carries the step out,
and is killed there with SIGKILL, so that no line of ours runs after it; or its ledger meets a full
disk. Another child opens the same folder, goes on to the end of the step, and says what the world
is then. This must be what it was in the rehearsal that nobody disturbed, from whose copies all
begin: so the keys, the nonce, and what was signed before are the same, byte for byte.

Forking needs a process without threads: `crash_matrix.py` is one.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import sqlite3
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import rehearsals

import relkit.run
from relkit import ledger as ledger_module
from relkit import records as log
from relkit.adapters.attempts import status_of
from relkit.errors import ReleaseError
from relkit.history import History
from relkit.ledger import Ledger
from relkit.manifest import signatures as expected_signatures
from relkit.opening import Opened
from relkit.plan import Call, PlanData, WaitData
from relkit.run import Run
from relkit.standing import Proposal

BEFORE, AFTER = "before the act", "after the act"
BEGUN = "the record before the act is torn"
FULL_BEGUN = "no space for the record before the act"
FIRST, HALF, LAST = "1 byte of the record", "half of the record", "all of it but the line's end"
UNNOTED = "the record whole, not noted"
SHORT, FULL, FULL_NOTE = "short write", "no space", "no space for the note of it"
ACTS = (BEFORE, AFTER, BEGUN, FULL_BEGUN)
LINES = (FIRST, HALF, LAST, UNNOTED, SHORT, FULL, FULL_NOTE)
ERRORS = (FULL_BEGUN, SHORT, FULL, FULL_NOTE)
"""Where the run is refused, not killed; whoever goes on is another process all the same."""
ENDED = 3  # exit status of a child in whose step the point did not come
PATIENCE = 600  # seconds


@dataclass(frozen=True)
class Point:
    """One instant: of an action, or of a record (`event`) that comes at no action."""

    run: str
    step: str
    type: str
    number: int
    event: str
    moment: str

    @property
    def title(self) -> str:
        """Its name in reports."""
        return f"{self.run} {self.step} {self.type} {self.number}: {self.moment}"


# --- snapshots -------------------------------------------------------------------------------


def snapshots(folder: Path, version: str, kind: str = "", day: str = rehearsals.DATE) -> None:
    """Rehearse once; keep the records folder before each step, and what the world was after it."""
    records, after = folder / "whole", {}
    with rehearsals.opened_at(records, version, kind=kind, day=day) as opened:
        state = records / "world"
        for name in ("upstream", "fork"):
            rehearsals.git(state / f"{name}.git", "config", "core.logAllRefUpdates", "true")
        for name in opened.run.steps:
            settle(records)
            rehearsals.copy(records, folder / "before" / name, link=True)
            opened.run.apply(name)
            after[name] = outcome(opened)
        key = opened.run.release.key
        final = rehearsals.final_world(opened) if opened.run.release.facts.publishes else {}
    about = {"key": key, "version": version, "kind": kind, "day": day}
    (folder / "after.json").write_text(json.dumps(after | {"": final, "about": about}))


def points(folder: Path) -> Iterator[Point]:
    """Yield every instant of the rehearsal in `folder`: of each action and each other record."""
    about = json.loads((folder / "after.json").read_text())["about"]
    history = History.read(folder / "whole" / about["key"])
    run = f"{history.release.version} {history.release.kind}"
    for record in history.ledger:
        entry = record.entry
        step = getattr(entry, "step", "")
        if isinstance(entry, log.Done):
            call = _plan(history, step).actions[entry.action].do
            for moment in LINES if entry.found else (*ACTS, *LINES):
                yield Point(run, step, f"{call.port}.{call.method}", entry.action, "", moment)
        elif step and not isinstance(entry, log.Started):
            moments = (BEFORE, AFTER, *LINES) if isinstance(entry, log.SetGoing) else LINES
            for moment in moments:
                yield Point(run, step, f"record {entry.event}", 0, entry.event, moment)


def _plan(history: History, step: str) -> PlanData:
    plan = history.progress(step).plan
    assert plan is not None
    return plan


# --- what a world is after a step ---------------------------------------------------------------


def outcome(opened: Opened) -> dict[str, Any]:
    """Return what must be equal after a step that was disturbed and after one that was not.

    What counts each deed: reflogs of what was pushed to, the site's rows and its counters, lines
    of the transparency log, messages, attempts of builds, files.
    """
    records = opened.run.ledger.path.parents[1]
    settle(records)
    state, release = records / "world", opened.run.release
    found: dict[str, Any] = {
        name: rehearsals.refs(state / f"{name}.git") for name in ("upstream", "fork", "peps")
    }
    found |= {f"pushes to {name}": _pushes(state / f"{name}.git") for name in ("upstream", "fork")}
    found |= {name: rehearsals.unsigned(state / name) for name in ("artifacts", "servers")}
    found |= {name: rehearsals.tree(state / name) for name in ("drafts", "outbox", "evidence")}
    found |= {"tracker": json.loads((state / "tracker.json").read_text())}
    posts = state / "posts.json"
    found |= {"posts": json.loads(posts.read_text()) if posts.exists() else {}}
    found |= {"site": _site(state / "site.sqlite"), "requests": rehearsals.requests(state)}
    entries = state / "sigstore" / "log.jsonl"
    found |= {"transparency log": len(entries.read_bytes().splitlines()) if entries.exists() else 0}
    found |= {"builds": _builds(state / "builds"), "clones": _clones(state / "clone")}
    found |= {"signed": _signed(opened) if release.facts.publishes else {}}
    found |= {"done": dict(sorted(_done(opened.run).items()))}
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def _pushes(bare: Path) -> list[str]:
    """Return each change of a ref as it was logged: its name, the old and the new object."""
    return [
        f"{path.relative_to(bare)} {line[:81]}"
        for path in sorted((bare / "logs").rglob("*"))
        if path.is_file()
        for line in path.read_text().splitlines()
    ]


def _site(database: Path) -> dict[str, list[list[Any]]]:
    """Return all rows but the users', who are what they were; `number` counts those ever made."""
    tables = ("os", "release", "release_file", "number", "purge")
    with sqlite3.connect(database, timeout=20) as site:
        rows = {name: site.execute(f"SELECT * FROM {name} ORDER BY 1") for name in tables}  # noqa: S608 (names from above)
        return {name: [list(row) for row in found] for name, found in rows.items()}


def _builds(folder: Path) -> dict[str, list[Any]]:
    """Return the attempts of each build with how they ended, also of those put aside."""
    homes = sorted(path for path in folder.glob("*/*") if path.is_dir())
    return {
        home.name: [
            (one.name, status_of(one).status, rehearsals.unsigned(one / "out"))
            for one in sorted(home.glob("attempt-*"))
        ]
        for home in homes
    }


def _clones(folder: Path) -> dict[str, Any]:
    """Return the files of each clone, its refs, what its branches went through, and locks left."""
    found = {}
    for clone in sorted(folder.glob("*")):
        files = rehearsals.tree(clone)
        own = {name: digest for name, digest in files.items() if not name.startswith(".git/")}
        refs = rehearsals.refs(clone / ".git") if (clone / ".git" / "HEAD").exists() else {}
        moves = _pushes(clone / ".git")
        locks = [name for name in files if name.endswith(".lock")]
        found[clone.name] = {"files": own, "refs": refs, "moves": moves, "locks": locks}
    return found


def _signed(opened: Opened) -> dict[str, str]:
    """Return who signed what, as verified now; where something is signed already."""
    run, found = opened.run, {}
    folder = run.ledger.path.parents[1] / "world" / "artifacts" / run.release.amended.key
    if not any((*folder.glob("*.sigstore"), *folder.glob("*.asc"))):
        return {}
    for name, scheme in expected_signatures(run.release):
        if (folder / name).exists():
            sha256 = rehearsals.sha256(folder / name)
            good = run.world.signers.companion(scheme=scheme, name=name, sha256=sha256)
            beside = sorted(one.name for one in folder.glob(f"{name}.*"))
            found[f"{name} {scheme}"] = f"{good and good.identity} {beside}"
    return found


def _done(history: History) -> Counter[str]:
    """Count the records that stand once, whatever happens.

    What a disturbed run need not wait for any more, it does not say that it waits for; what was
    taken back is done again.
    """
    found: Counter[str] = Counter()
    for entry in (record.entry for record in history.ledger):
        name = " ".join(str(getattr(entry, one, "")) for one in ("event", "step", "action"))
        if isinstance(entry, log.TakenBack):
            found[f"done {entry.step} {entry.action}"] -= 1
        elif isinstance(
            entry, log.Opened | log.Planned | log.Done | log.Completed | log.Asked | log.Decided
        ):
            found[name] += 1
    return found


def settle(records: Path) -> None:
    """Wait until no build runs, whoever started it."""

    def over() -> bool:
        attempts = records.glob("world/builds/*/*/attempt-*")
        return rehearsals.no_children() and all(
            status_of(at).status != "running" for at in attempts
        )

    rehearsals.await_that(over, "a build goes on for ever")


# --- one crash ------------------------------------------------------------------------------------


@dataclass
class Verdict:
    """What came of a point: `fault` is empty where nothing was lost, doubled or otherwise."""

    point: Point
    fault: str
    seconds: float

    def to_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"point": asdict(self.point), "fault": self.fault, "seconds": self.seconds}


def crash(folder: Path, scratch: Path, point: Point, *, to_the_end: bool = False) -> Verdict:
    """Crash at a point in a copy, go on in another process, and compare."""
    begun = time.monotonic()
    known = json.loads((folder / "after.json").read_text())
    about = known["about"]
    records = scratch / "records"
    shutil.rmtree(scratch, ignore_errors=True)
    rehearsals.copy(folder / "before" / point.step, records, link=True)
    try:
        fault = _crash(records, about, point, known, to_the_end=to_the_end)
    finally:
        settle(records)
        shutil.rmtree(scratch, ignore_errors=True)
    return Verdict(point, fault, time.monotonic() - begun)


def _crash(
    records: Path, about: dict[str, str], point: Point, known: dict[str, Any], *, to_the_end: bool
) -> str:
    ended = forked(lambda: _disturbed(records, about, point), records / "first.txt")
    wanted = 0 if point.moment in ERRORS else -signal.SIGKILL
    if ended != wanted:
        return f"the first process ended with {ended}: {_said(records / 'first.txt')}"
    ledger = records / about["key"] / "ledger.jsonl"
    before, _ = ledger_module.split_torn(ledger.read_bytes())
    out = records / "outcome.json"
    ended = forked(lambda: _resumed(records, about, point, out), records / "second.txt")
    if ended:
        return f"the second process ended with {ended}: {_said(records / 'second.txt')}"
    found = json.loads(out.read_text())
    return "; ".join(
        [
            *differences(known[point.step], found["after"]),
            *(["a record was lost"] if not ledger.read_bytes().startswith(before) else []),
            *(["it was done again"] if found["acts"] and _was_done(point) else []),
            *(_ends_elsewhere(records, about, known[""]) if to_the_end else []),
        ]
    )


def _was_done(point: Point) -> bool:
    """Tell whether the action was done when the process ended, and is not to be done again."""
    return not point.event and point.moment not in {BEFORE, BEGUN, FULL_BEGUN}


def _ends_elsewhere(records: Path, about: dict[str, str], final: dict[str, Any]) -> list[str]:
    """Carry the run on to its very end; say what is different there."""
    out = records / "final.json"

    def finish() -> None:
        with _opened(records, about) as opened:
            list(rehearsals.advance(opened))
            out.write_text(json.dumps(rehearsals.final_world(opened)))

    if ended := forked(finish, records / "third.txt"):
        return [f"the third process ended with {ended}: {_said(records / 'third.txt')}"]
    return differences(final, json.loads(out.read_text()), "in the end ")


def differences(wanted: Any, found: Any, where: str = "") -> list[str]:  # noqa: ANN401 (JSON)
    """Return where two values differ, in words, without what is equal."""
    if wanted == found:
        return []
    if isinstance(wanted, dict) and isinstance(found, dict):
        names = sorted({*wanted, *found})
        parts = [differences(wanted.get(one), found.get(one), f"{where}{one} / ") for one in names]
        return [line for part in parts for line in part]
    return [f"{where.removesuffix(' / ')}: {str(found)[:300]}, undisturbed {str(wanted)[:300]}"]


def _opened(records: Path, about: dict[str, str]) -> Any:  # noqa: ANN401 (a context manager)
    return rehearsals.opened_at(records, about["version"], kind=about["kind"], day=about["day"])


def _disturbed(records: Path, about: dict[str, str], point: Point) -> None:
    """Carry the step out up to the point; a refused write ends the run as a kernel would."""
    with _opened(records, about) as opened:
        Traps(point).lay()
        try:
            list(rehearsals.advance(opened, point.step))
        except ReleaseError as error:
            if point.moment in ERRORS and error.code == "RECORD_NOT_WRITTEN":
                os._exit(0)
            raise
    os._exit(ENDED)


def _resumed(records: Path, about: dict[str, str], point: Point, out: Path) -> None:
    """Go on to the end of the step, count how often its action is done, and say what is there."""
    with _opened(records, about) as opened:
        traps = Traps(point)
        traps.watch()
        list(rehearsals.advance(opened, point.step))
        out.write_text(json.dumps({"after": outcome(opened), "acts": traps.acts}))


def forked(call: Callable[[], None], said: Path) -> int:
    """Call in a child; return its exit status, or the negative number of what killed it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            descriptor = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            signal.alarm(PATIENCE)
            hasten()
            call()
            status = 0
        except BaseException:  # noqa: BLE001 (the child ends here, whatever it was)
            said.write_text(traceback.format_exc())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def hasten() -> None:
    """Leave out what a killed process does not need: what it wrote is kept, flushed or not."""
    patch = pytest.MonkeyPatch()
    patch.setattr(os, "fsync", lambda _: None)
    patch.setattr(relkit.run, "POLL_SECONDS", 0.02)


def _said(path: Path) -> str:
    with suppress(FileNotFoundError):
        return " | ".join(path.read_text().strip().splitlines()[-3:])
    return ""


def kill() -> None:
    """End this process as the system does."""
    os.kill(os.getpid(), signal.SIGKILL)


class Traps:
    """What kills this process, or fills its disk, at a point."""

    def __init__(self, point: Point) -> None:
        self.point = point
        self.acts = 0
        self.laid = False
        self.call: Call | None = None
        self.full = False
        self.patch = pytest.MonkeyPatch()

    def watch(self) -> None:
        """Count how often the action of the point is done."""
        carry_out, await_, call = Run._carry_out, Run._await, Call.__call__

        def carried_out(run: Run, proposal: Proposal, number: int) -> None:
            if not self.point.event and (proposal.step.name, number) == self._place:
                self.call = proposal.plan.actions[number].do
            carry_out(run, proposal, number)
            self.call = None

        def awaited(run: Run, proposal: Proposal, wait: WaitData) -> Any:  # noqa: ANN401
            if self.point.event == "set-going" and proposal.step.name == self.point.step:
                self.call = wait.start
            return await_(run, proposal, wait)

        def called(own: Call, world: Any) -> Any:  # noqa: ANN401 (as the method itself)
            if own is not self.call:
                return call(own, world)
            return self._act(lambda: call(own, world))

        self.patch.setattr(Run, "_carry_out", carried_out)
        self.patch.setattr(Run, "_await", awaited)
        self.patch.setattr(Call, "__call__", called)

    @property
    def _place(self) -> tuple[str, int]:
        return self.point.step, self.point.number

    def _act(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401 (whatever the method returns)
        self.acts += 1
        if self.laid and self.point.moment == BEFORE:
            kill()
        value = call()
        if self.laid and self.point.moment == AFTER:
            kill()
        return value

    def lay(self) -> None:
        """Lay the traps in this process, which ends in them."""
        self.watch()
        self.laid = True
        write, note = Ledger._write, ledger_module._write_head

        def written(ledger: Ledger, line: bytes, number: int) -> None:
            due = self._is_due(json.loads(line)["entry"])
            cut = {FIRST: 1, HALF: len(line) // 2, BEGUN: len(line) // 2, LAST: len(line) - 1}
            if due and self.point.moment in cut:
                with ledger.path.open("ab", buffering=0) as file:
                    file.write(line[: cut[self.point.moment]])
                kill()
            self.full = self.full or due
            with self._short(ledger.size + len(line) // 2):
                write(ledger, line, number)

        def noted(folder: Path, number: int, digest: str) -> None:
            if self.full and self.point.moment == UNNOTED:
                kill()
            if self.full and self.point.moment == FULL_NOTE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            note(folder, number, digest)

        self.patch.setattr(Ledger, "_write", written)
        self.patch.setattr(ledger_module, "_write_head", noted)

    def _is_due(self, entry: dict[str, Any]) -> bool:
        """Tell whether this is the record of the point."""
        if entry.get("step") != self.point.step:
            return False
        early = self.point.moment in {BEGUN, FULL_BEGUN}
        if self.point.event:
            return bool(entry["event"] == self.point.event)
        wanted = {"started"} if early else {"done"}
        return entry["event"] in wanted and entry["action"] == self.point.number

    def _short(self, size: int) -> Any:  # noqa: ANN401 (a context manager)
        return _limited(size, self.point.moment if self.full else "", self.patch)


class _limited:  # noqa: N801 (used as a function)
    """A disk on which a file cannot grow beyond a size, or on which nothing is kept any more."""

    def __init__(self, size: int, moment: str, patch: pytest.MonkeyPatch) -> None:
        self.size, self.moment, self.patch = size, moment, patch
        self.limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def __enter__(self) -> None:
        if self.moment == SHORT:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.limits[1]))
        if self.moment in {FULL, FULL_BEGUN}:
            self.patch.setattr(os, "fsync", _no_space)

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)
        if self.moment in {FULL, FULL_BEGUN}:
            self.patch.setattr(os, "fsync", lambda _: None)


def _no_space(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
