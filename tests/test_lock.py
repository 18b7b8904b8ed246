from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import toy

from relkit import records as log
from relkit.errors import RecordError
from relkit.ledger import Ledger
from relkit.lock import Lock

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["toy"])
RUNNERS, ROUNDS = 3, 70


def now() -> datetime:
    return toy.NOW


def begin(folder: Path) -> None:
    ledger = Ledger.open(folder, now)
    ledger.append(log.Recovered(torn="none", sha256="0" * 64))
    ledger.close()


def hold(folder: str, told: Connection) -> None:
    """Hold a run until told to close it; a child that is killed never does."""
    ledger = Ledger.open(Path(folder), now)
    told.send("held")
    told.recv()
    ledger.close()
    told.send("closed")


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[tuple[int, Connection]]:
    here, there = FORK.Pipe()
    child = FORK.Process(target=hold, args=(str(folder), there))
    child.start()
    try:
        assert here.recv() == "held"
        yield child.pid or 0, here
    finally:
        child.kill()
        child.join()


def refused(folder: Path) -> RecordError:
    with pytest.raises(RecordError) as refusal:
        Ledger.open(folder, now)
    assert refusal.value.remedy
    return refusal.value


def takeovers(folder: Path) -> list[str]:
    entries = [record.entry for record in Ledger.read(folder, now)]
    return [one.reason for one in entries if isinstance(one, log.TakenOver)]


def test_a_second_process_is_refused_and_told_who_holds_the_run(record: Path) -> None:
    begin(record)
    with held_elsewhere(record) as (process, _):
        before = toy.tree(record)
        error = refused(record)
        assert error.code == "RUN_LOCKED"
        assert f"process {process} on {socket.gethostname()}" in str(error)
        assert toy.tree(record) == before


def test_the_same_process_is_refused_a_second_time_too(record: Path) -> None:
    held = Ledger.open(record, now)
    assert refused(record).code == "RUN_LOCKED"
    held.close()
    Ledger.open(record, now).close()


def test_a_killed_holders_run_is_taken_over_with_the_reason_on_record(record: Path) -> None:
    begin(record)
    with held_elsewhere(record) as (process, _):
        os.kill(process, signal.SIGKILL)
    ledger = Ledger.open(record, now)
    ledger.close()
    assert takeovers(record) == [f"process {process} ended without closing the run"]
    Ledger.open(record, now).close()
    assert len(takeovers(record)) == 1, "said once"


def test_a_run_that_was_closed_is_not_taken_over(record: Path) -> None:
    begin(record)
    with held_elsewhere(record) as (_, child):
        child.send("close")
        assert child.recv() == "closed"
        ledger = Ledger.open(record, now)
        ledger.close()
        ledger.close()
    assert takeovers(record) == []


def test_the_reason_of_a_takeover_survives_a_broken_ledger(record: Path) -> None:
    begin(record)
    with held_elsewhere(record) as (process, _):
        os.kill(process, signal.SIGKILL)
    whole = (record / "ledger.jsonl").read_bytes()
    (record / "ledger.jsonl").write_bytes(b"{}\n")
    assert refused(record).code == "LEDGER_INVALID"
    (record / "ledger.jsonl").write_bytes(whole)
    Ledger.open(record, now).close()
    assert takeovers(record) == [f"process {process} ended without closing the run"]


def test_a_run_that_another_machine_holds_is_refused(record: Path) -> None:
    begin(record)
    mark = json.dumps({"host": "elsewhere.example.org", "process": 7})
    (record / "lock").write_text(mark)
    error = refused(record)
    assert error.code == "RUN_LOCKED"
    assert "process 7 on elsewhere.example.org" in str(error)
    assert (record / "lock").read_text() == mark
    (record / "lock").unlink()
    Ledger.open(record, now).close()


@pytest.mark.parametrize("mark", ["{", "\udcff", "x" * 9000, "[" * 400])
def test_a_mark_that_cannot_be_read_is_a_lost_holders(record: Path, mark: str) -> None:
    begin(record)
    (record / "lock").write_bytes(mark.encode(errors="surrogateescape"))
    Ledger.open(record, now).close()
    assert takeovers(record) == ["process unknown ended without closing the run"]


def test_a_lock_that_cannot_be_written_is_refused_and_given_free(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    record.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        assert refused(record).code == "RECORD_NOT_WRITTEN"
    lock, lost = Lock.take(record)
    assert lost == ""
    lock.release()
    lock.release()


def start_again_and_again(folder: str, answer: Connection) -> None:
    """Start a run many times; while it is held, say so in a file that must not be there yet."""
    answer.send("here")
    answer.recv()
    won = 0
    for _ in range(ROUNDS):
        try:
            lock, _lost = Lock.take(Path(folder))
        except RecordError as error:
            if error.code != "RUN_LOCKED":
                raise
            continue
        os.close(os.open(f"{folder}/inside", os.O_CREAT | os.O_EXCL))
        won += 1
        Path(folder, "inside").unlink()
        lock.release()
    answer.send(won)


def test_of_many_starts_at_once_exactly_one_proceeds(tmp_path: Path) -> None:
    pipes = []
    for _ in range(RUNNERS):
        here, there = FORK.Pipe()
        FORK.Process(target=start_again_and_again, args=(str(tmp_path), there)).start()
        assert here.recv() == "here"
        there.close()
        pipes.append(here)
    for pipe in pipes:
        pipe.send("go")
    won = [pipe.recv() for pipe in pipes]  # one that was not alone ends with EOFError here
    assert sum(won) > 0, f"of {RUNNERS * ROUNDS} starts"
