"""Whole rehearsals for tests: made once, stopped after a step, copied, killed, compared.

As a program, it is a rehearsal without a notebook: it prints `opened`, then the name of each step
as it is complete.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from pydantic_core import to_jsonable_python

import relkit.adapters.processes as processes_adapter
from relkit import cli_decide
from relkit import records as log
from relkit.history import History
from relkit.kinds import Kind
from relkit.manifest import folder_of
from relkit.manifest import signatures as expected_signatures
from relkit.opening import Opened, open_release
from relkit.ports import World
from relkit.release import Release
from relkit.step import steps_of

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
VERSION, DATE, WORLD = "3.15.0a1", "2026-05-05", "worlds/rehearsal.toml"
STANDS = (
    *("opened", "notify-experts", "freeze-branch", "make-clone", "resolve-next-versions"),
    *("regenerate-topics", "commit-release", "tag-release", "push-to-fork", "start-builds"),
    *("collect-source", "try-source", "approve-macos", "freeze-subjects", "sign-artifacts"),
    *("close-manifest", "upload-to-staging", "draft-website", "approve-publication"),
    *("place-files", "publish-website", "read-back", "merge-back", "push-upstream"),
    *("restore-blockers", "open-branch", "close-run"),
)
"""After which steps a rehearsal is copied, once the builds that run then have ended."""
STEPS = tuple(step.name for step in steps_of(Kind.ALPHA))
SECONDS, FINAL = "seconds.json", "final.json"
PATIENCE_SECONDS = 300.0


# --- a rehearsal of one's own ------------------------------------------------------------------


def open_at(
    records: Path, version: str = VERSION, repository: str = "", *, kind: str = "", day: str = DATE
) -> Opened:
    """Open the run of a release in the records folder, both begun if they are not there."""
    return open_release(version, kind, day, WORLD, str(records), repository)


@contextmanager
def opened_at(
    records: Path, version: str = VERSION, *, kind: str = "", day: str = DATE
) -> Iterator[Opened]:
    """Open a run for a while."""
    opened = open_at(records, version, kind=kind, day=day)
    try:
        yield opened
    finally:
        opened.close()
        await_that(no_children, "a build of this process goes on")


def no_children() -> bool:
    """Tell whether this process has no builds; those that ended are taken note of."""
    processes_adapter._reap()
    return not processes_adapter._children


def advance(opened: Opened, until: str = "") -> Iterator[str]:
    """Carry a run on, to the end or after one step; yield the names of the steps."""
    for proposal in opened.run.advance():
        yield proposal.step.name
        if proposal.step.name == until:
            return


def relkit(
    *arguments: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        [BIN / "relkit", *map(str, arguments)],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def answer(request: Path, who: str, role: str, verdict: str, reason: str) -> None:
    """Decide as one of the people of a rehearsal does on another machine."""
    options = argparse.Namespace(
        request=request,
        who=who,
        role=role,
        verdict=verdict,
        reason=reason,
        key=None,
        gpg=None,
        sigstore=None,
        files=[],
        yes=True,
        meeting="",
        branch="main",
        production="",
    )
    cli_decide.decide(options)


# --- one rehearsal, copied after many of its steps ---------------------------------------------


def once(shared: Path, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that one of all test processes makes; `shared` is known to all of them."""
    folder = shared / name
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole.mark").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (folder / "whole.mark").touch()
    return folder


def snapshots(shared: Path) -> Path:
    """Return a folder with a records folder as it was after each of `STANDS`; made once."""
    return once(shared, "rehearsal-snapshots", _make_snapshots)


def _make_snapshots(folder: Path) -> None:
    records = folder / "whole"
    seconds, last, copying = {}, time.monotonic(), 0.0
    with opened_at(records) as opened:
        for name in ("opened", *STEPS):
            if name != "opened":
                opened.run.apply(name)
            now = time.monotonic()
            seconds[name], last, copying = now - last - copying, now, 0.0
            if name in STANDS:
                await_that(no_children, "a build goes on for ever")
                copying = -time.monotonic()
                copy(records, folder / name)
                copying += time.monotonic()
        (folder / FINAL).write_text(json.dumps(final_world(opened)))
    (folder / SECONDS).write_text(json.dumps(seconds))


def copy(records: Path, target: Path, *, link: bool = False) -> Path:
    """Copy a records folder with its world, as if nobody held it.

    Left out are sockets, and what builds have for themselves. With `link`, git's objects, which
    are never written twice, are the same files.
    """

    def strange(folder: str, names: list[str]) -> list[str]:
        here = Path(folder)
        scratch = ["work"] if here.name.startswith("attempt-") else []
        return scratch + [one for one in names if (here / one).is_socket() or ".#lk" in one]

    def linked(source: str, place: str) -> str:
        if "/objects/" not in source:
            return shutil.copy2(source, place, follow_symlinks=False)
        os.link(source, place)
        return place

    shutil.copytree(
        *(records, target),
        symlinks=True,
        ignore=strange,
        copy_function=linked if link else shutil.copy2,
    )
    for lock in target.glob("*/lock"):
        lock.write_text("")
    return target


def stand_before(name: str) -> str:
    """Return the newest of `STANDS` from which a step is still to be done."""
    names = ["opened", *STEPS]
    return [one for one in names[: names.index(name)] if one in STANDS][-1]


# --- killing -----------------------------------------------------------------------------------


@contextmanager
def started(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process with a group of its own; whatever happens, it has ended afterwards."""
    child = subprocess.Popen(
        list(map(str, command)),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        kill_group(child.pid)
        if child.stdin is not None and child.stdin.closed:
            child.stdin = None
        child.communicate()


def bare(records: Path, version: str = VERSION) -> tuple[str | Path, ...]:
    """Return the command of a rehearsal without a notebook."""
    return (sys.executable, __file__, version, records)


def await_line(output: IO[str], wanted: str) -> None:
    """Read lines until the wanted one has come; an end of output is an error."""
    seen = []
    for line in output:
        seen.append(line)
        if line.strip() == wanted:
            return
    raise AssertionError(f"the process ended before {wanted}: {''.join(seen)}")


def await_that(condition: Callable[[], bool], what: str) -> None:
    """Wait, not for ever."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.005)


def kill_group(pid: int) -> None:
    """Kill a process with its group, if it is there."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def kill_builds(records: Path) -> None:
    """Kill every build of a world that is running, with its tools."""
    for file in records.glob("world/builds/*/*/attempt-*/pid"):
        with suppress(ValueError):
            if (
                "relkit.building.builder"
                in processes().get(pid := int(file.read_text()), (0, ""))[1]
            ):
                kill_group(pid)


def kernels_of(pid: int) -> list[int]:
    """Return the kernels that a command has started."""
    return [
        child
        for child, (parent, words) in processes().items()
        if parent == pid and "ipykernel" in words
    ]


def living(pids: Collection[int]) -> bool:
    """Tell whether one of these processes is there."""
    return bool(set(pids) & set(processes()))


def processes() -> dict[int, tuple[int, str]]:
    """Return parent and command line of each process that has not ended."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat=,args="],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    rows = (line.split(None, 3) for line in listed.stdout.splitlines())
    return {
        int(pid): (int(parent), words)
        for pid, parent, status, words in rows
        if not status.startswith("Z")
    }


# --- what a world is in the end ----------------------------------------------------------------


def final_world(opened: Opened) -> dict[str, Any]:
    """Return what must be equal in all worlds of one release, however they came about.

    Left out is what differs by its nature: nonces, row numbers, times of day, bytes of signatures
    and what holds their digests.
    """
    run, world = opened.run, opened.run.world
    state = run.ledger.path.parents[1] / "world"
    key = run.release.key
    tag = git(state / "upstream.git", "rev-parse", f"refs/tags/{run.release.tag}")
    nonce = run.inputs.nonce

    def plain(text: str) -> str:
        return text.replace(tag, "TAG").replace(nonce, "NONCE")

    found = {
        "refs": {name: refs(state / f"{name}.git") for name in ("upstream", "fork", "peps")},
        "clone": run.world.repo.clone_state(),
        "locks": [str(one) for one in state.glob("clone/*/.git/**/*.lock")],
        "artifacts": unsigned(state / "artifacts" / key),
        "public": unsigned(state / "servers" / "public"),
        "staging": unsigned(state / "servers" / "staging"),
        "release": world.website.release(slug=run.release.slug),
        "rows": world.website.files(slug=run.release.slug),
        "page": words(world.website.page(slug=run.release.slug) or "", tag),
        "latest": world.website.latest(series="python3"),
        "drafts": {
            path.name: plain(path.read_text()) for path in sorted(state.glob(f"drafts/{key}/*"))
        },
        "outbox": {
            plain(path.name): plain(path.read_text()) for path in sorted(state.glob("outbox/*"))
        },
        "evidence": {
            re.sub(r"-[0-9a-f]{8}\.json", ".json", plain(path.name)): plain(path.read_text())
            for path in sorted(state.glob("evidence/*"))
        },
        "tracker": json.loads((state / "tracker.json").read_text()),
        "protection": world.tracker.protection(branch=run.release.branch),
        "released": world.announcements.recorded_release(
            series=run.release.version.series, version=str(run.release.version)
        ),
        "status": world.announcements.status(series=run.release.version.series),
        "signatures": signatures(world, run.release, state),
        "requests": requests(state),
    }
    plain_data: dict[str, Any] = json.loads(json.dumps(to_jsonable_python(found)))
    return plain_data


def calm_world(snapshots: Path) -> dict[str, Any]:
    """Return what the world is after the rehearsal that the snapshots are of."""
    found: dict[str, Any] = json.loads((snapshots / FINAL).read_text())
    return found


def words(page: str, tag: str) -> str:
    """Return the text of a page, without numbers that stand for signatures or rows."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)).replace(tag, "TAG")


def git(repository: Path, *arguments: str) -> str:
    """Ask plain git about a bare repository."""
    done = subprocess.run(
        ["git", "--git-dir", repository, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def refs(repository: Path) -> dict[str, str]:
    """Return every ref: the commit it leads to, its tree, and a tag's words without signature."""
    form = "%(refname) %(objecttype) %(objectname) %(*objectname) %(tree)%(*tree)"
    found = {}
    for line in git(repository, "for-each-ref", f"--format={form}").splitlines():
        name, kind, own, *rest = line.split(" ")
        text = (
            git(repository, "cat-file", "tag", own).split("-----BEGIN")[0] if kind == "tag" else own
        )
        found[name] = f"{text} {rest}"
    return found


def unsigned(folder: Path) -> dict[str, str]:
    """Return each file with mode and digest; of what no two worlds have alike, that it is there.

    These are signatures, what lists their digests, and what names the run's nonce. What was
    signed of a record when it was sealed is no part of the release, and left out.
    """
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.name.startswith("record-"):
            continue
        own = path.suffix in {".sigstore", ".asc"} or path.name.startswith("provenance-")
        own = own or path.name in {"manifest.json", "subjects.json", "SHA256SUMS"}
        digest = "" if own else sha256(path)
        found[str(path.relative_to(folder))] = f"{path.stat().st_mode:o} {digest}"
    return found


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def signatures(world: World, release: Release, state: Path) -> dict[str, str]:
    """Return who signed each file by each scheme, as verified now; one bundle, and it is public."""
    found = {}
    for name, scheme in expected_signatures(release):
        path, folder = state / "artifacts" / release.key / name, folder_of(release, name)
        good = world.signers.companion(scheme=scheme, name=name, sha256=sha256(path))
        path_there = f"{folder}/{good.file.name}" if good else ""
        public = good and world.downloads.placed_all(paths=(path_there,))[path_there]
        same = bool(good and public and public.artifact == good.file)
        beside = sorted(other.name for other in path.parent.glob(f"{name}.*"))
        found[f"{name} {scheme}"] = f"{good and good.identity} {same} {beside}"
    return found


def requests(state: Path) -> dict[str, int]:
    """Return how many answers were given at each gate."""
    steps: Counter[str] = Counter()
    for path in state.glob("requests/*.json"):
        data = json.loads(path.read_text())
        if "signature" in data:
            said = json.loads(data["text"])["predicate"]
            steps[f"{said['step']} {said['verdict']}"] += 1
    return dict(steps)


def done_twice(history: History) -> list[str]:
    """Return the actions that have more than one record of being done."""
    counted = Counter(
        (one.entry.step, one.entry.action)
        for one in history.ledger
        if isinstance(one.entry, log.Done)
    )
    return [f"{step} {action}" for (step, action), times in counted.items() if times > 1]


def tree(folder: Path) -> dict[str, str]:
    """Return every file below a folder with its digest, to see that nothing has changed."""
    if not folder.exists():
        return {}
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): sha256(path) for path in found}


def main(version: str, records: str, until: str = "") -> None:
    """Rehearse, and say how far it is."""
    with opened_at(Path(records), version) as opened:
        print("opened", flush=True)  # noqa: T201
        for name in advance(opened, until):
            print(name, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
