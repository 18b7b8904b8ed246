"""Tampering with a sealed record: whatever is changed, by whoever has one key, is refused."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, tzinfo
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pytest
import rehearsals
import verify_helpers
from verify_helpers import Files, Made, codes, looked_at

from relkit import sealing
from relkit.adapters import sigstore as sigstore_adapter
from relkit.adapters import ssh
from relkit.rehearsal.sigstore import LoopbackSigstore
from relkit.seal import close
from relkit.verify_record import Pack, Verdict, read_record, trust
from relkit.verify_record.case import Case
from relkit.verify_record.trust import Trust
from relkit.verify_record.verifying import PROPERTIES

LARGEST = 20_000  # bytes
CRITICAL = ("release.", "VERIFY.md")
"""What the names of files begin with that are not critical: they are compared with the others."""
SEED = 20_261_121
WHOLE = "RELKIT_MATRIX" in os.environ
"""Whether all of the matrix is tried, as `make tamper-matrix` does; else a seeded part of it."""
CHANGES, DERIVED, STEP = (1_000, 100, 1) if WHOLE else (150, 12, 4)
Mutation = Callable[[random.Random, Files], tuple[Files, str]]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with verify_helpers.made_in(tmp_path_factory.mktemp("minimal")) as one:
        yield one


@pytest.fixture
def remembering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify each signature once: what comes out depends on nothing but what goes in."""

    def remembered(call: Callable[..., None]) -> Callable[..., None]:
        @cache
        def outcome(*given: Any) -> Exception | None:  # noqa: ANN401 (whatever the call takes)
            positional, named = given[:-1], dict(given[-1])
            try:
                call(*positional, **named)
            except Exception as error:  # noqa: BLE001 (raised again each time)
                return error
            return None

        def again(*positional: Any, **named: Any) -> None:  # noqa: ANN401
            if error := outcome(*positional, tuple(sorted(named.items()))):
                raise error

        return again

    monkeypatch.setattr(ssh, "verify", remembered(ssh.verify))
    monkeypatch.setattr(trust, "verify_bundle", remembered(sigstore_adapter.verify_bundle))
    one_root = lru_cache(maxsize=None)(sigstore_adapter.trusted_root)
    monkeypatch.setattr(trust, "trusted_root", one_root)


# --- every byte --------------------------------------------------------------------------------


def critical(files: Files) -> list[str]:
    return sorted(path for path in files if not path.startswith(CRITICAL))


def refused(made: Made, files: Files) -> str:
    """Return the code by which files are refused: by their list, its signature, or else."""
    with Trust(files, made.policy, made.root) as trusted:
        case = Case(Pack(files), trusted)
        for name in ("files", "ledger", "seal signature"):
            try:
                PROPERTIES[name](case)
            except Exception as error:  # noqa: BLE001 (the verdict takes all for refusals)
                if getattr(error, "outcome", "REFUSED") == "REFUSED":
                    return str(getattr(error, "code", "MALFORMED"))
    return ""


def flips(made: Made, step: int) -> Counter[str]:
    """Flip a bit of every byte (every `step`-th) of the critical files; count the codes."""
    seeded, found = random.Random(SEED), Counter[str]()  # noqa: S311 (repeatable)
    for path in critical(made.files):
        data = made.files[path]
        for place in range(0, len(data), step):
            flipped = bytearray(data)
            flipped[place] ^= 1 << seeded.randrange(8)
            code = refused(made, made.files | {path: bytes(flipped)})
            assert code, f"bit of byte {place} of {path} makes no difference"
            found[code] += 1
    return found


def test_the_critical_files_of_the_minimal_record_are_few_and_small(made: Made) -> None:
    sizes = {path: len(made.files[path]) for path in critical(made.files)}
    assert sum(sizes.values()) <= LARGEST + 2_000, sizes


@pytest.mark.usefixtures("remembering")
def test_a_flipped_bit_of_any_tenth_critical_byte_is_refused(made: Made) -> None:
    with made.toy():
        assert sum(flips(made, 10).values()) > 1_500


@pytest.mark.slow
@pytest.mark.usefixtures("remembering")
def test_a_flipped_bit_of_every_critical_byte_of_the_matrix_is_refused(made: Made) -> None:
    with made.toy():
        found = flips(made, STEP)
    sizes = [len(made.files[path]) for path in critical(made.files)]
    assert sum(found.values()) == sum(-(-size // STEP) for size in sizes)
    sys.stdout.write(f"{dict(found)}\n")


# --- seeded changes ----------------------------------------------------------------------------


def some_file(seeded: random.Random, files: Files, *, lines: bool = False) -> str:
    names = sorted(path for path in files if not lines or files[path].count(b"\n") > 1)
    return seeded.choice(names)


def bit(seeded: random.Random, files: Files) -> tuple[Files, str]:
    path = some_file(seeded, files)
    data = bytearray(files[path])
    data[seeded.randrange(len(data))] ^= 1 << seeded.randrange(8)
    return files | {path: bytes(data)}, path


def of_lines(change: Callable[[random.Random, list[bytes]], None]) -> Mutation:
    def mutate(seeded: random.Random, files: Files) -> tuple[Files, str]:
        path = some_file(seeded, files, lines=True)
        lines = files[path].splitlines(keepends=True)
        change(seeded, lines)
        return files | {path: b"".join(lines)}, path

    return mutate


def drop(seeded: random.Random, lines: list[bytes]) -> None:
    del lines[seeded.randrange(len(lines))]


def double(seeded: random.Random, lines: list[bytes]) -> None:
    place = seeded.randrange(len(lines))
    lines.insert(place, lines[place])


def swap(seeded: random.Random, lines: list[bytes]) -> None:
    one, other = seeded.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]


def cut(seeded: random.Random, lines: list[bytes]) -> None:
    del lines[-seeded.randrange(1, len(lines)) :]


def gone(seeded: random.Random, files: Files) -> tuple[Files, str]:
    path = some_file(seeded, files)
    return {name: data for name, data in files.items() if name != path}, path


def more(seeded: random.Random, files: Files) -> tuple[Files, str]:
    path = seeded.choice(["provenance/provenance-x.json", "manifest-2.json", "SHA256SUMS.asc"])
    return files | {path: files[sealing.SEAL]}, path


def exchanged(seeded: random.Random, files: Files) -> tuple[Files, str]:
    one, other = seeded.sample(sorted(files), 2)
    return files | {one: files[other], other: files[one]}, one


def encoded(seeded: random.Random, files: Files) -> tuple[Files, str]:
    path = some_file(seeded, files)
    odd: list[Callable[[bytes], bytes]] = [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data + seeded.choice([b"\n", b" ", b"\0", b"\r\n"]),
        lambda data: data.replace(b"\n", b"\r\n", 1),
        lambda data: data.decode("utf-8").encode("utf-16"),
        lambda data: data.replace(b"e", b"e\xcc\x81", 1),
        lambda data: data.replace(b"a", b"\xd0\xb0", 1),
        lambda data: data.replace(b"{", b'{"form":1,"form":2,', 1),
        lambda data: data.replace(b": 1", b": 1.0", 1).replace(b":1", b":1.0", 1),
    ]
    changed = seeded.choice(odd)(files[path])
    return files | {path: changed if changed != files[path] else changed + b"="}, path


def listed_anew(mutation: Mutation) -> Mutation:
    """Mend the lists of digests after a change, as far as that needs no key."""

    def mutate(seeded: random.Random, files: Files) -> tuple[Files, str]:
        changed, path = mutation(seeded, files)
        return relisted(changed), f"{path} (listed anew)"

    return mutate


def relisted(files: Files) -> Files:
    own = {sealing.SUMS, *sealing.signature_names()}
    rest = {path: data for path, data in files.items() if path not in own}
    try:
        seal = json.loads(rest[sealing.SEAL])
        seal["files"] = {
            p: verify_helpers.sha256(rest[p]) for p in sorted(rest) if p != "seal.json"
        }
        rest[sealing.SEAL] = (json.dumps(seal, indent=1, ensure_ascii=False) + "\n").encode()
    except (ValueError, KeyError, TypeError):
        pass
    kept = {name: files[name] for name in own & set(files)}
    return kept | rest | {sealing.SUMS: sealing.sums_text(rest)}


PLAIN: dict[str, Mutation] = {
    "bit": bit,
    "line deleted": of_lines(drop),
    "line doubled": of_lines(double),
    "lines swapped": of_lines(swap),
    "tail cut": of_lines(cut),
    "file gone": gone,
    "file more": more,
    "files exchanged": exchanged,
    "odd encoding": encoded,
}
MUTATIONS = PLAIN | {f"{name}, listed anew": listed_anew(one) for name, one in PLAIN.items()}


def mutated(files: Files, look: Callable[[Files], Verdict], count: int) -> Counter[tuple[str, str]]:
    """Apply seeded changes one by one; count by kind and code; none may be accepted."""
    seeded, table = random.Random(SEED), Counter[tuple[str, str]]()  # noqa: S311 (repeatable)
    while sum(table.values()) < count:
        for name, mutate in MUTATIONS.items():
            changed, path = mutate(seeded, dict(files))
            if changed == files:
                continue
            found = look(changed)
            assert found.status not in {0, 4}, f"{name}: {path} is accepted"
            assert not any("Recursion" in line.text for line in found.lines)
            wrong = sorted(found.lines, key=lambda line: line.outcome != "REFUSED")
            table[name, next(line.code for line in wrong if line.code)] += 1
    return table


@pytest.mark.usefixtures("remembering")
def test_seeded_changes_of_a_minimal_record_are_all_refused(made: Made) -> None:
    with made.toy():
        table = mutated(made.files, made.looked_at, 120)
    assert sum(table.values()) >= 120


# --- a real one --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def sealed(snapshots: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a sealed and signed record of a rehearsal."""
    records = tmp_path_factory.mktemp("tampered") / "records"
    rehearsals.copy(snapshots / "close-run", records)
    with rehearsals.opened_at(records) as opened:
        close(records / rehearsals.VERSION, opened.run.world)
    return records / rehearsals.VERSION


def trusted(files: Files) -> tuple[str, bytes]:
    return verify_helpers.opened(files)["policy_digest"], files[sealing.ROOT]


def files_of(record: Path) -> Files:
    return dict(read_record(record).files)


@pytest.mark.slow
def test_a_rehearsals_record_is_verified_also_elsewhere(sealed: Path, tmp_path: Path) -> None:
    """Under another name, without what lies beside it, and read in another place."""
    files = files_of(sealed)
    found = looked_at(files, *trusted(files))
    assert (codes(found), found.status) == ({}, 0)
    other = tmp_path / "a folder with another name \u00e9"
    shutil.copytree(sealed, other, ignore=shutil.ignore_patterns("attempts", "lock", "status.html"))
    assert looked_at(files_of(other), *trusted(files)).status == 0


@pytest.mark.slow
@pytest.mark.usefixtures("remembering")
def test_seeded_changes_of_a_real_record_are_all_refused(sealed: Path) -> None:
    files = files_of(sealed)
    policy, root = trusted(files)
    table = mutated(files, lambda changed: looked_at(changed, policy, root), CHANGES)
    print_table(table)
    assert sum(table.values()) >= CHANGES


def print_table(table: Counter[tuple[str, str]]) -> None:
    for (name, code), number in sorted(table.items()):
        sys.stdout.write(f"{name:32} {code:28} {number:5}\n")


@pytest.mark.slow
def test_an_older_file_put_back_is_refused(sealed: Path, snapshots: Path) -> None:
    files = files_of(sealed)
    older = snapshots / "close-manifest" / rehearsals.VERSION
    for name in ("ledger.jsonl", "ledger.head"):
        found = looked_at(files | {name: (older / name).read_bytes()}, *trusted(files))
        assert found.status == 1
    both = {name: (older / name).read_bytes() for name in ("ledger.jsonl", "ledger.head")}
    found = looked_at(relisted(files | both), *trusted(files))
    assert codes(found)["seal signature"] == "SEAL_SIGSTORE_INVALID"
    assert codes(found)["ledger"] == "LEDGER_BROKEN"


# --- by whoever has one key --------------------------------------------------------------------


@pytest.mark.parametrize("who", ["elif@example.org", "emil@example.org"])
def test_an_experts_key_alone_seals_nothing(made: Made, who: str) -> None:
    with made.toy():
        found = made.looked_at(made.maker.sign(made.files, who=who))
    assert codes(found) == {"seal signature": "SEAL_SIGSTORE_IDENTITY"}


def test_a_whole_forged_instance_is_refused(made: Made, tmp_path: Path) -> None:
    """Somebody makes everything anew, with the right names and a Sigstore instance of one's own."""
    with LoopbackSigstore(tmp_path / "sigstore") as instance, made.toy():
        forger = verify_helpers.Maker(made.maker.folder, instance)
        forged = forger.seal({**made.files, sealing.ROOT: forger.root})
        found = made.looked_at(forged)
    assert codes(found) == {"seal signature": "SEAL_SIGSTORE_INVALID"}


def test_a_forged_decision_is_refused_whatever_else_fits(made: Made, tmp_path: Path) -> None:
    """All experts' keys are new ones of the forger, and so the policy is another one."""
    with made.toy():
        forger = verify_helpers.Maker(tmp_path, made.maker.sigstore)
        forged = forger.seal(forger.files(forger.run(tmp_path / "run")))
        found = made.looked_at(forged)
    assert codes(found) == {"policy": "POLICY_OTHER"}


# --- clean ones --------------------------------------------------------------------------------

NAMES = ("Zo\u00eb \u00d1", "O'Hara, Ann", "\u674e\u96f7", "a b", "Rika*", "-x", "R\u0131ka")
ZONES = ("UTC", "Pacific/Apia", "Asia/Kathmandu", "America/St_Johns")


def renamed(made: Made, folder: Path, number: int) -> Files:
    """Return a record of people with other names, at another time, made elsewhere."""
    name = f"{NAMES[number % len(NAMES)]} {number}".strip()
    maker = verify_helpers.Maker(folder, made.maker.sigstore, manager=name)
    history = maker.run(folder / "run", days=number * 37, nonce=f"nonce-{number}")
    return maker.seal(maker.files(history))


@pytest.mark.parametrize("number", range(4))
def test_clean_records_of_others_are_verified(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    verified(made, tmp_path, monkeypatch, number)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4, 4 + DERIVED))
def test_clean_records_of_other_people_and_places_are_verified(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    verified(made, tmp_path, monkeypatch, number)


def verified(made: Made, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setenv("TZ", ZONES[number % len(ZONES)])
    monkeypatch.setenv("LC_ALL", ("C", "tr_TR.UTF-8", "C.UTF-8")[number % 3])
    with made.toy():
        files = renamed(made, folder, number)
        found = looked_at(files, verify_helpers.opened(files)["policy_digest"], made.root)
    assert (codes(found), found.status) == ({}, 0), found.lines


class Later(datetime):
    """A clock that is ten years ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain one
        return datetime.now(tz) + timedelta(days=3653)


def test_ten_years_later_and_offline_it_is_still_verified(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No connection is opened; certificates are held against the log's time, not today's."""

    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    later = time.time() + timedelta(days=3653).total_seconds()
    monkeypatch.setattr(time, "time", lambda: later)
    for name, module in [*sys.modules.items()]:
        asks = name.startswith(("sigstore", "relkit")) and vars(module).get("datetime") is datetime
        if asks:
            monkeypatch.setattr(module, "datetime", Later)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    with made.toy():
        assert made.looked_at().status == 0
