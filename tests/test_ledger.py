from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import random
import resource
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import toy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relkit import records as log
from relkit.errors import RecordError
from relkit.ledger import GENESIS, MAX_LINE, Ledger
from relkit.values import canonical

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["toy"])
LINES = 6


def opening(nonce: str = "nonce-1") -> log.Opened:
    return log.Opened(
        version="3.15.0a1",
        kind="alpha",
        time=toy.NOW,
        world="toy",
        world_digest="1" * 64,
        policy_digest=toy.POLICY.digest,
        policy=toy.POLICY.to_data(),
        rehearsal=True,
        nonce=nonce,
        relkit="0.1.0",
        steps_digest="3" * 64,
    )


def start(number: int) -> log.Started:
    return log.Started(step="paint", action=number)


def now() -> Any:  # noqa: ANN401 (a clock)
    return toy.NOW


@pytest.fixture
def written(record: Path) -> Path:
    """Return the folder of a closed ledger of six lines."""
    ledger = Ledger.open(record, now)
    ledger.append(opening())
    for number in range(LINES - 1):
        ledger.append(start(number))
    ledger.close()
    return record


def lines_of(folder: Path) -> list[bytes]:
    return (folder / "ledger.jsonl").read_bytes().split(b"\n")[:-1]


def put(folder: Path, lines: list[bytes]) -> None:
    (folder / "ledger.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))


def rechained(lines: list[bytes]) -> list[bytes]:
    """Return lines as somebody writes them who knows how the chain is made."""
    head, made = GENESIS, []
    for line in lines:
        made.append(canonical(json.loads(line) | {"previous": head}))
        head = hashlib.sha256(made[-1]).hexdigest()
    return made


def refusal(folder: Path) -> RecordError:
    with pytest.raises(RecordError) as refused:
        Ledger.read(folder, now)
    assert refused.value.remedy
    return refused.value


# --- what is written ----------------------------------------------------------------------------


def test_who_goes_on_sees_results_as_one_who_opens_the_ledger_later(record: Path) -> None:
    ledger = Ledger.open(record, now)
    ledger.append(opening())
    ledger.append(log.Completed(step="paint", result={"b": 1, "a": {"d": 2, "c": 3}}))
    ledger.close()
    later = Ledger.read(record, now)
    assert [repr(one) for one in ledger] == [repr(one) for one in later]


def test_each_line_is_canonical_and_names_the_line_before_it(written: Path) -> None:
    head = GENESIS
    for number, line in enumerate(lines_of(written)):
        data = json.loads(line)
        assert canonical(data) == line
        assert (data["number"], data["previous"], data["revision"]) == (number, head, 1)
        assert set(data) == {"at", "entry", "number", "previous", "revision"}
        head = hashlib.sha256(line).hexdigest()
    assert (written / "ledger.head").read_text() == f"{LINES - 1} {head}\n"
    assert Ledger.read(written, now).head == head


def test_what_was_appended_is_read_again_and_the_chain_goes_on(written: Path) -> None:
    ledger = Ledger.open(written, now)
    assert [one.number for one in ledger] == list(range(LINES))
    ledger.append(start(7))
    ledger.close()
    last = Ledger.read(written, now).records[-1]
    assert (last.number, last.entry) == (LINES, start(7))


def test_time_never_goes_backwards_in_a_ledger(record: Path) -> None:
    clock = toy.Clock()
    ledger = Ledger.open(record, clock.now)
    ledger.append(opening())
    clock.time -= timedelta(days=2)
    ledger.append(start(0))
    clock.time += timedelta(days=3)
    ledger.append(start(1))
    days = [one.at.day for one in ledger]
    assert days == sorted(days) == [5, 5, 6]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(texts, part, max_size=3),
    max_leaves=8,
).filter(lambda value: "inf" not in repr(value))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.dictionaries(texts, plain, max_size=4), min_size=1, max_size=3))
def test_any_json_that_is_recorded_is_read_again(record: Path, values: list[Any]) -> None:
    for path in record.glob("ledger*"):
        path.unlink()
    ledger = Ledger.open(record, now)
    for value in values:
        ledger.append(log.Completed(step="look", result=value))
    ledger.close()
    again = Ledger.read(record, now)
    assert [getattr(one.entry, "result", None) for one in again] == values
    assert again.head == ledger.head


def deep(levels: int) -> Any:  # noqa: ANN401 (nested lists)
    return [deep(levels - 1)] if levels else 1


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), "\ud800", "x" * MAX_LINE, deep(400)],
    ids=["NaN", "infinity", "surrogate", "huge", "deep"],
)
def test_what_could_not_be_read_again_is_not_written(written: Path, value: object) -> None:
    before = toy.tree(written)
    ledger = Ledger.open(written, now)
    with pytest.raises(RecordError) as refused:
        ledger.append(log.Completed(step="look", result={"value": value}))
    assert refused.value.code == "RECORD_NOT_WRITTEN"
    ledger.close()
    assert toy.tree(written) == before
    assert len(Ledger.read(written, now).records) == LINES


def test_a_ledger_that_is_only_read_or_closed_takes_no_records(written: Path) -> None:
    before = toy.tree(written)
    held = Ledger.open(written, now)
    held.close()
    for ledger in (held, Ledger.read(written, now)):
        with pytest.raises(RecordError) as refused:
            ledger.append(start(9))
        assert refused.value.code == "RUN_NOT_HELD"
    assert toy.tree(written) == before


def test_reading_changes_nothing_and_needs_no_lock(written: Path) -> None:
    before = toy.tree(written)
    held = Ledger.open(written, now)
    assert len(Ledger.read(written, now).records) == LINES
    held.close()
    assert toy.tree(written) == before


# --- what was changed by others -----------------------------------------------------------------


def test_an_edited_line_is_refused_and_named(written: Path) -> None:
    lines = lines_of(written)
    lines[2] = lines[2].replace(b'"paint"', b'"point"')
    put(written, lines)
    error = refusal(written)
    assert error.code == "LEDGER_BROKEN"
    assert "line 3 does not follow line 2" in str(error)


def test_a_deleted_doubled_or_swapped_line_is_refused(written: Path) -> None:
    lines = lines_of(written)
    for changed in (
        [*lines[:2], *lines[3:]],
        lines[1:],
        [*lines[:3], lines[2], *lines[3:]],
        [*lines[:2], lines[3], lines[2], *lines[4:]],
        [*lines, lines[-1]],
        [lines[0], *lines],
    ):
        put(written, changed)
        assert refusal(written).code == "LEDGER_BROKEN"


def test_an_edited_last_line_is_refused(written: Path) -> None:
    lines = lines_of(written)
    put(written, [*lines[:-1], lines[-1].replace(b'"paint"', b'"point"')])
    assert refusal(written).code == "LEDGER_BROKEN"


@pytest.mark.parametrize("kept", range(LINES))
def test_a_tail_cut_off_at_a_line_end_is_refused(written: Path, kept: int) -> None:
    put(written, lines_of(written)[:kept])
    assert refusal(written).code == "LEDGER_TRUNCATED"


def test_a_ledger_that_is_gone_while_its_head_is_there_is_refused(written: Path) -> None:
    (written / "ledger.jsonl").unlink()
    assert refusal(written).code == "LEDGER_TRUNCATED"


def test_a_head_that_is_gone_is_refused_for_the_tail_could_be_cut(written: Path) -> None:
    (written / "ledger.head").unlink()
    assert refusal(written).code == "LEDGER_TRUNCATED"


def test_an_older_copy_is_refused(written: Path, record: Path) -> None:
    older = (written / "ledger.jsonl").read_bytes()
    ledger = Ledger.open(record, now)
    ledger.append(start(9))
    ledger.close()
    (record / "ledger.jsonl").write_bytes(older)
    assert refusal(record).code == "LEDGER_TRUNCATED"


def test_a_forked_ledger_is_refused(written: Path) -> None:
    lines = lines_of(written)
    changed = json.loads(lines[3])
    changed["entry"]["action"] = 77
    put(written, rechained([*lines[:3], canonical(changed), *lines[4:]]))
    assert refusal(written).code == "LEDGER_BROKEN"


def test_the_ledger_of_another_run_is_refused_beside_this_runs_head(
    written: Path, tmp_path: Path
) -> None:
    other = Ledger.open(tmp_path / "other", now)
    other.append(opening("nonce-2"))
    for number in range(LINES - 1):
        other.append(start(number))
    other.close()
    (written / "ledger.jsonl").write_bytes((tmp_path / "other/ledger.jsonl").read_bytes())
    assert refusal(written).code == "LEDGER_BROKEN"


def test_a_head_that_lags_one_record_behind_is_what_a_crash_leaves(written: Path) -> None:
    lines = lines_of(written)
    behind = hashlib.sha256(lines[-2]).hexdigest()
    (written / "ledger.head").write_text(f"{LINES - 2} {behind}\n")
    assert len(Ledger.read(written, now).records) == LINES


@pytest.mark.parametrize(
    "head",
    [b"", b"5", b"x " + b"0" * 64 + b"\n", b"\xff\xfe", b"9" * 5000 + b" " + b"0" * 64 + b"\n"],
    ids=["empty", "short", "no number", "no text", "huge number"],
)
def test_a_head_that_is_none_is_refused(written: Path, head: bytes) -> None:
    (written / "ledger.head").write_bytes(head)
    assert refusal(written).code == "LEDGER_INVALID"


def entry(**changes: object) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["entry"].update(changes)


def top(**changes: object) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.update(changes)


@pytest.mark.parametrize(
    "change",
    [
        top(extra=1),
        entry(extra=1),
        entry(event="unheard-of"),
        entry(action="zero"),
        entry(action="4"),
        entry(action=4.0),
        entry(action=None),
        entry(step=["paint"]),
        top(number=5.0),
        top(number="5"),
        top(revision=True),
        top(at="2026-05-05T12:00:00"),
        top(at="2026-05-05T14:00:00+02:00"),
        top(at=1_777_982_400),
        top(at="yesterday"),
        top(previous="ABC"),
        lambda data: data.pop("revision"),
        lambda data: data["entry"].pop("event"),
    ],
)
def test_a_line_with_unknown_missing_or_bent_fields_is_refused(
    written: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    lines = lines_of(written)
    data = json.loads(lines[-1])
    change(data)
    put(written, [*lines[:-1], canonical(data)])
    error = refusal(written)
    assert error.code == "LEDGER_INVALID"
    assert f"line {LINES - 1} " in str(error)


@pytest.mark.parametrize(
    "bend",
    [
        lambda line: line.replace(b'"action":4', b'"action":3,"action":4'),
        lambda line: line.replace(b'"action":4', b'"action":4,"action":4'),
        lambda line: line.replace(b'"step":"paint"', b'"step":"pa\\u0069nt"'),
        lambda line: line.replace(b":", b": ", 1),
        lambda line: line + b" ",
        lambda line: line + b"\r",
        lambda line: line + b"{}",
        lambda line: b"\xef\xbb\xbf" + line,
        lambda line: line.decode().encode("utf-16"),
        lambda line: line.replace(b'"action":4', b'"action":NaN'),
        lambda line: line.replace(b'"action":4', b'"action":1e9999'),
        lambda line: line.replace(b'"action":4', b'"action":' + b"9" * 5000),
        lambda line: line.replace(b'"paint"', b'"\\ud800"'),
        lambda line: line.replace(b'"paint"', b'"\xff"'),
        lambda line: line.replace(b'"paint"', b"[" * 10_000 + b"]" * 10_000),
        lambda line: line.replace(b'"paint"', b'"' + b"x" * MAX_LINE + b'"'),
        lambda _: b"",
        lambda _: b"null",
        lambda _: b"[]",
        lambda _: b"!!python/object/apply:os.system ['true']",
        lambda _: b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x08builtins.",
    ],
)
def test_a_line_in_another_form_than_the_hashed_one_is_refused(
    written: Path, bend: Callable[[bytes], bytes]
) -> None:
    lines = lines_of(written)
    bent = bend(lines[-1])
    assert bent != lines[-1]
    put(written, [*lines[:-1], bent])
    error = refusal(written)
    assert error.code == "LEDGER_INVALID"
    assert f"line {LINES - 1} " in str(error)
    assert len(str(error)) < 500


def test_every_changed_byte_of_a_ledger_is_noticed(written: Path) -> None:
    path, dice = written / "ledger.jsonl", random.Random(15)  # noqa: S311 (no secrets)
    data = path.read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << dice.randrange(8)
        path.write_bytes(changed)
        assert refusal(written).code.startswith("LEDGER_")
    path.write_bytes(data)
    assert len(Ledger.read(written, now).records) == LINES


def test_a_thousand_tampered_ledgers_are_refused(written: Path) -> None:
    lines, dice = lines_of(written), random.Random(16)  # noqa: S311 (no secrets)

    def tampered() -> list[bytes]:
        one, other = sorted(dice.sample(range(LINES), 2))
        changed = list(lines)
        match dice.randrange(5):
            case 0:
                del changed[one:other]
            case 1:
                changed.insert(other, changed[one])
            case 2:
                changed[one], changed[other] = changed[other], changed[one]
            case 3:
                del changed[other:]
            case _:
                data = json.loads(changed[one])
                data["revision"] += dice.randrange(1, 9)
                changed = rechained([*changed[:one], canonical(data), *changed[one + 1 :]])
        return changed

    for _ in range(1000):
        put(written, tampered())
        assert refusal(written).code in {"LEDGER_BROKEN", "LEDGER_TRUNCATED"}


def test_a_ledger_that_was_changed_in_a_runs_back_takes_no_more(written: Path) -> None:
    ledger = Ledger.open(written, now)
    path = written / "ledger.jsonl"
    path.write_bytes(path.read_bytes() + b"somebody else\n")
    before = toy.tree(written)
    with pytest.raises(RecordError) as refused:
        ledger.append(start(9))
    assert refused.value.code == "RUN_NOT_HELD"
    assert toy.tree(written) == before
    ledger.close()


# --- what a crash leaves ------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_line_cut_while_it_was_written_is_put_aside_and_recorded(
    written: Path, kept: int
) -> None:
    path, whole = written / "ledger.jsonl", lines_of(written)
    torn = whole[-1][:kept]
    path.write_bytes(path.read_bytes() + torn)
    assert len(Ledger.read(written, now).records) == LINES, "reading leaves it out"
    assert path.read_bytes().endswith(torn), "and where it is"

    ledger = Ledger.open(written, now)
    found = ledger.records[-1].entry
    assert isinstance(found, log.Recovered)
    assert found.sha256 == hashlib.sha256(torn).hexdigest()
    assert (written / found.torn).read_bytes() == torn
    ledger.append(start(9))
    ledger.close()
    assert lines_of(written)[:LINES] == whole
    assert len(Ledger.read(written, now).records) == LINES + 2


def test_two_torn_lines_are_both_kept(written: Path) -> None:
    path = written / "ledger.jsonl"
    for torn in (b'{"at":', b'{"at":"2026'):
        path.write_bytes(path.read_bytes() + torn)
        Ledger.open(written, now).close()
    kept = {one.read_bytes() for one in written.glob("ledger.torn-*")}
    assert kept == {b'{"at":', b'{"at":"2026'}


def test_a_torn_first_line_leaves_an_empty_ledger(record: Path) -> None:
    record.mkdir(parents=True)
    (record / "ledger.jsonl").write_bytes(b'{"at":')
    ledger = Ledger.open(record, now)
    assert ledger.records == []
    ledger.append(opening())
    ledger.close()
    assert len(Ledger.read(record, now).records) == 1


def append_and_die(folder: str) -> None:
    ledger = Ledger.open(Path(folder), now)
    ledger.append(start(9))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_record_is_there_when_its_writer_is_killed_right_after(written: Path) -> None:
    child = FORK.Process(target=append_and_die, args=(str(written),))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert Ledger.read(written, now).records[-1].entry == start(9)


def test_a_line_is_on_the_disk_before_its_note_and_before_append_returns(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        names = {path.stat().st_ino: path.name for path in written.iterdir()}
        seen.append(names[os.fstat(descriptor).st_ino])
        sync(descriptor)

    def replaced(path: Path, target: Path) -> Path:
        seen.append(f"{path.name} to {target.name}")
        return replace(path, target)

    ledger = Ledger.open(written, now)
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    ledger.append(start(9))
    assert seen == ["ledger.jsonl", "ledger.head.new", "ledger.head.new to ledger.head"]
    monkeypatch.undo()
    ledger.close()


# --- a disk that refuses ------------------------------------------------------------------------


def append_under_a_limit(folder: str, room: int, answer: Any) -> None:  # noqa: ANN401 (a queue)
    """Append with room for so many bytes more: the system writes what fits, then refuses."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    ledger = Ledger.open(Path(folder), now)
    limit = (Path(folder) / "ledger.jsonl").stat().st_size + room
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    codes = []
    for _ in range(2):
        try:
            ledger.append(start(9))
        except RecordError as error:
            codes.append(error.code)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    ledger.append(start(10))
    ledger.close()
    answer.put(codes)


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_full_disk_leaves_the_ledger_as_it_was_and_the_run_can_go_on(
    written: Path, room: int
) -> None:
    before = lines_of(written)
    answer = FORK.Queue()
    child = FORK.Process(target=append_under_a_limit, args=(str(written), room, answer))
    child.start()
    assert answer.get(timeout=20) == ["RECORD_NOT_WRITTEN"] * 2
    child.join()
    assert lines_of(written)[:-1] == before
    assert Ledger.read(written, now).records[-1].entry == start(10)


@pytest.mark.parametrize(("where", "refusing"), [(os, "fsync"), (Path, "replace")])
def test_a_failing_flush_or_note_leaves_the_ledger_as_it_was(
    written: Path, monkeypatch: pytest.MonkeyPatch, where: object, refusing: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = (written / "ledger.jsonl").read_bytes(), (written / "ledger.head").read_bytes()
    ledger = Ledger.open(written, now)
    with monkeypatch.context() as patch:
        patch.setattr(where, refusing, refuse)
        with pytest.raises(RecordError) as refused:
            ledger.append(start(9))
    assert refused.value.code == "RECORD_NOT_WRITTEN"
    assert isinstance(refused.value.__cause__, OSError)
    found = (written / "ledger.jsonl").read_bytes(), (written / "ledger.head").read_bytes()
    assert found == before
    assert [one.number for one in ledger] == list(range(LINES))
    ledger.append(start(10))
    ledger.close()
    assert Ledger.read(written, now).records[-1].entry == start(10)


def test_an_append_that_is_interrupted_never_breaks_the_chain(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    ledger = Ledger.open(written, now)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ledger.append(start(9))
    with pytest.raises(RecordError) as refused:
        ledger.append(start(9))
    assert refused.value.code == "RUN_NOT_HELD"
    ledger.close()
    again = Ledger.open(written, now)
    again.append(start(10))
    again.close()
    entries = [one.entry for one in Ledger.read(written, now)]
    assert entries[LINES:] == [start(9), start(10)]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("a file")
    with pytest.raises(RecordError) as refused:
        Ledger.open(tmp_path / "records" / "3.15.0a1", now)
    assert refused.value.code == "RECORD_NOT_WRITTEN"
    assert (tmp_path / "records").read_text() == "a file"
