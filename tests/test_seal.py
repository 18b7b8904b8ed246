"""The seal: made from the ledger alone, the same each time, signed, and with nothing that acts."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
import rehearsals
from cells import Notebook, code, notebook, read, shown, text, write
from hypothesis import given
from hypothesis import strategies as st
from rehearsals import STEPS, VERSION

from relkit import record_files, render
from relkit import replay as replaying
from relkit import seal as sealing
from relkit.errors import CheckError, RecordError, VerificationError
from relkit.history import History
from relkit.marks import put_mark
from relkit.plain import HIDING
from relkit.ports import Signers
from relkit.records import Decided, HandedOver, Waived
from relkit.replay import cleaned, machine_names, require_impersonal
from relkit.seal import Seal, close, seal, sign_seal
from relkit.sealing import principals, strangers
from relkit.secret_scan import known_values, require_no_secrets
from relkit.values import Companion
from relkit.view import line

SCRIPT = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="session")
def finished(snapshots: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a sealed record, without its world."""
    record = tmp_path_factory.mktemp("sealed") / VERSION
    shutil.copytree(snapshots / "close-run" / VERSION, record)
    _add_attempts(record / "attempts")
    seal(record)
    return record


def _add_attempts(folder: Path) -> None:
    """Put there what may lie in a folder of attempts."""
    folder.mkdir()
    ours, theirs = notebook(code("one", "1")), notebook(code("one", "1"))
    put_mark(ours, {"status": "waiting"})
    write(folder / "001-ours.ipynb", ours)
    put_mark(theirs, {"status": "done"})
    theirs.cells[0].execution_count = 7
    write(folder / "002-run-again-elsewhere.ipynb", theirs)
    write(folder / "003-without-a-mark.ipynb", notebook(code("one", "1")))
    contents = {
        "4-cut": b'{"cells": [',
        "5-empty": b"",
        "6-list": b"[]",
        "7-binary": b"\x80\x00",
        "8-object": b"{}",
    }
    for name, data in contents.items():
        (folder / f"00{name}.ipynb").write_bytes(data)
    (folder / "notes.txt").write_text("not a notebook")


def test_the_seal_has_the_digest_of_every_file_and_how_each_attempt_ended(finished: Path) -> None:
    made = Seal.model_validate_json((finished / "seal.json").read_text())
    names = {"ledger.jsonl", "ledger.head", "manifest.json", "release.ipynb", "release.html"}
    names |= {"policy.json", "trust/allowed_signers", "VERIFY.md"}
    assert {name for name in made.files if not name.startswith("decisions/")} == names
    assert all(rehearsals.sha256(finished / name) == made.files[name] for name in made.files)
    assert {name: one.ended for name, one in made.attempts.items()} == {
        "001-ours.ipynb": "waiting",
        "002-run-again-elsewhere.ipynb": "",
        "003-without-a-mark.ipynb": "",
        "004-cut.ipynb": "unreadable",
        "005-empty.ipynb": "unreadable",
        "006-list.ipynb": "unreadable",
        "007-binary.ipynb": "unreadable",
        "008-object.ipynb": "unreadable",
    }


def test_sealed_again_elsewhere_and_without_a_world_it_is_the_same(
    finished: Path, tmp_path: Path
) -> None:
    """What a killed process has left is not in it, and nothing was appended."""
    record = tmp_path / "a folder with another name" / VERSION
    shutil.copytree(finished, record)
    for name in ("seal.json", "release.ipynb", "release.html", "manifest.json", "SHA256SUMS"):
        (record / name).unlink()
        (record / f"{name}.new").write_text("half of i")
    seal(record)
    assert rehearsals.tree(record) == rehearsals.tree(finished)


def test_every_step_is_shown_from_the_record_in_order(finished: Path) -> None:
    nb = read(finished / "release.ipynb")
    last = [cell for cell in nb.cells if cell.id.endswith(("-step", "-apply"))]
    assert [cell.id.rpartition("-")[0] for cell in last] == list(STEPS)
    assert all("completed" in json.dumps(cell.outputs) for cell in last)
    assert not {"papermill", "relkit", "widgets"} & set(nb.metadata)


def test_a_run_that_is_not_complete_is_not_sealed(snapshots: Path, tmp_path: Path) -> None:
    record = tmp_path / VERSION
    shutil.copytree(snapshots / "read-back" / VERSION, record)
    before = rehearsals.tree(record)
    with pytest.raises(RecordError, match=r"NOT_COMPLETE: .* set-post-release-version"):
        seal(record)
    assert rehearsals.tree(record) == before


def test_a_replay_that_fails_seals_nothing(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / VERSION
    shutil.copytree(finished, record)
    (record / "seal.json").unlink()
    wrong = notebook(text("about", ""), code("parameters", "", tags="parameters"), code("x", "1/0"))
    monkeypatch.setattr(render, "notebook", lambda _: wrong)
    with pytest.raises(VerificationError, match=r"REPLAY_FAILED: .*'x'"):
        seal(record)
    assert not (record / "seal.json").exists()


def test_the_replay_leaves_the_environment_as_it_was(finished: Path) -> None:
    assert finished.exists()
    assert not {"RELKIT_RUNNER", "RELKIT_REPLAY"} & set(os.environ)


# --- signed, with its world --------------------------------------------------------------------


@pytest.fixture(scope="session")
def signed(snapshots: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a records folder with a sealed and signed record, beside its world."""
    records = tmp_path_factory.mktemp("signed") / "records"
    rehearsals.copy(snapshots / "close-run", records)
    _close(records)
    return records


def _close(records: Path) -> Seal:
    with rehearsals.opened_at(records) as opened:
        return close(records / VERSION, opened.run.world)


def _followed(records: Path, record: Path, downloads: Path | None = None) -> str:
    """Run all commands of a record's guide, in a copy; return what a refusal says."""
    place = record.parent / f"stranger-{record.name}"
    shutil.copytree(record, place, ignore=shutil.ignore_patterns("attempts"))
    files = place.with_name(f"{place.name}-downloads")
    files.mkdir()
    for path in [*(records / "world/servers/public").rglob("*"), *(downloads or files).iterdir()]:
        if path.is_file():
            shutil.copy(path, files / path.name)
    commands = SCRIPT.findall((place / "VERIFY.md").read_text())
    done = subprocess.run(
        ["sh", "-eu"],
        input="\n".join(commands),
        text=True,
        cwd=place,
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "DOWNLOADS": str(files),
            "CLONE": str(records / "world" / "upstream.git"),
        },
        capture_output=True,
        check=False,
        timeout=120,
    )
    return "" if done.returncode == 0 else (done.stdout + done.stderr)


@pytest.fixture
def record(signed: Path, tmp_path: Path) -> Path:
    """Return a copy of the sealed and signed record, without a world."""
    return shutil.copytree(signed / VERSION, tmp_path / VERSION)


def _relist(record: Path) -> None:
    """List the digests of a record anew, as somebody does who has changed it."""
    seal_file = record / "seal.json"
    data = json.loads(seal_file.read_text())
    data["files"] = {name: rehearsals.sha256(record / name) for name in data["files"]}
    seal_file.write_text(json.dumps(data, indent=1) + "\n")
    listed = sorted([*data["files"], "seal.json"])
    lines = [f"{rehearsals.sha256(record / name)}  {name}\n" for name in listed]
    (record / "SHA256SUMS").write_text("".join(lines))


def test_following_the_guide_with_stock_tools_alone_verifies_the_record(
    signed: Path, record: Path
) -> None:
    guide = (record / "VERIFY.md").read_text()
    assert guide.startswith("# A REHEARSAL, not a release: Python 3.15.0a1\n")
    tools = ("sha256sum --check", "python3 -m sigstore", "ssh-keygen -Y verify", "gpg --homedir")
    assert all(one in guide for one in (*tools, "git -C", "verify-tag", "relkit verify record"))
    assert _followed(signed, record) == ""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("release.html", "Error finding attestation|digest mismatch|Bundle|FAIL"),
        ("decisions/*.sig", "incorrect signature|Couldn't parse|invalid format"),
    ],
)
def test_the_guide_refuses_what_was_changed_and_listed_anew(
    signed: Path, record: Path, name: str, says: str
) -> None:
    path = next(record.glob(name))
    data = path.read_bytes()
    path.write_bytes(data[:150] + bytes([data[150] ^ 1]) + data[151:])
    assert f"{path.relative_to(record)}: FAILED" in _followed(signed, record)
    shutil.rmtree(record.parent / f"stranger-{VERSION}")
    shutil.rmtree(record.parent / f"stranger-{VERSION}-downloads")
    _relist(record)
    assert re.search("FAIL:|SHA256SUMS", _followed(signed, record)), says


def test_the_guide_refuses_another_download(signed: Path, record: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "Python-3.15.0a1.tgz").write_bytes(b"another one")
    assert "AssertionError: Python-3.15.0a1.tgz" in _followed(signed, record, other)


def test_the_record_has_everything_a_person_has_signed(record: Path) -> None:
    said = [
        one
        for one in History.read(record).ledger
        if isinstance(one.entry, Decided | Waived | HandedOver)
    ]
    names = sorted(path.name for path in (record / "decisions").iterdir())
    assert len(said) >= 5
    for one in said:
        assert isinstance(one.entry, Decided)
        name = f"{one.number:04}-decided-{one.entry.role}.json"
        assert (record / "decisions" / name).read_text() == one.entry.signed.text
        assert (record / f"decisions/{name}.sig").read_text() == one.entry.signed.signature
        names = [other for other in names if other not in {name, f"{name}.sig"}]
    assert names == []


def test_the_list_has_every_file_but_itself_and_its_signatures(record: Path) -> None:
    lines = (record / "SHA256SUMS").read_text().splitlines()
    listed = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
    assert listed == {
        path: digest
        for path, digest in rehearsals.tree(record).items()
        if path not in {"SHA256SUMS", "SHA256SUMS.sigstore", "lock", "status.html"}
        and not path.startswith("attempts/")
    }
    sealed = Seal.model_validate_json((record / "seal.json").read_text())
    assert {*sealed.files} == {*listed} - {"seal.json"}
    assert [one.key for one in sealed.signed_by] == ["release-manager@rehearsal.invalid"]


def test_sealed_again_with_its_world_nothing_changes_and_nothing_is_signed_anew(
    signed: Path, tmp_path: Path
) -> None:
    records = rehearsals.copy(signed, tmp_path / "records")
    before, log = rehearsals.tree(records / VERSION), records / "world/sigstore/log.jsonl"
    entries = log.read_bytes()
    _close(records)
    assert rehearsals.tree(records / VERSION) == before
    assert log.read_bytes() == entries


def test_a_signature_that_is_not_good_is_made_anew(signed: Path, tmp_path: Path) -> None:
    records = rehearsals.copy(signed, tmp_path / "records")
    signature = records / VERSION / "SHA256SUMS.sigstore"
    shutil.copy(next(records.glob(f"{VERSION}/signatures/*.sigstore")), signature)
    _signed_again(records)
    good = signature.read_text()
    assert _signed_again(records)[0].identity == "release-manager@rehearsal.invalid"
    assert signature.read_text() == good


def _signed_again(records: Path) -> tuple[Companion, ...]:
    with rehearsals.opened_at(records) as opened:
        return sign_seal(records / VERSION, opened.run.world, opened.run.release)


@dataclass
class Idle:
    """Signers that sign nothing."""

    signers: Signers

    def __getattr__(self, name: str) -> object:
        return getattr(self.signers, name)

    def sign(self, **_: str) -> None:
        """Do nothing."""

    def companion(self, **_: str) -> None:
        """Find no good signature."""


def test_a_list_that_has_no_good_signature_is_not_taken_for_signed(
    signed: Path, tmp_path: Path
) -> None:
    records = rehearsals.copy(signed, tmp_path / "records")
    (records / VERSION / "SHA256SUMS.sigstore").unlink()
    with rehearsals.opened_at(records) as opened:
        world = replace(opened.run.world, signers=cast("Signers", Idle(opened.run.world.signers)))
        with pytest.raises(VerificationError, match="SEAL_UNSIGNED"):
            sign_seal(records / VERSION, world, opened.run.release)
    assert not (records / VERSION / "SHA256SUMS.sigstore").exists()


@pytest.mark.parametrize(
    ("text", "code"), [(None, "ARTIFACT_MISSING"), ("{}", "DIGEST_CHANGED")], ids=str
)
def test_only_the_signatures_that_were_published_are_kept(
    signed: Path, tmp_path: Path, text: str | None, code: str
) -> None:
    records = rehearsals.copy(signed, tmp_path / "records")
    bundle = records / f"world/artifacts/{VERSION}/Python-{VERSION}.tgz.sigstore"
    bundle.unlink()
    if text is not None:
        bundle.write_text(text)
    with pytest.raises(CheckError, match=code):
        _close(records)


def test_a_list_that_is_not_that_of_the_files_is_not_signed(signed: Path, tmp_path: Path) -> None:
    records = rehearsals.copy(signed, tmp_path / "records")
    (records / VERSION / "policy.json").write_text("{}")
    with pytest.raises(VerificationError, match=r"SEAL_DIFFERS: policy\.json"):
        _signed_again(records)


def test_a_record_changed_after_it_was_signed_and_sealed_elsewhere_is_not_signed(
    record: Path,
) -> None:
    (record / "attempts").mkdir(exist_ok=True)
    write(record / "attempts" / "002-more.ipynb", notebook(code("one", "1")))
    assert seal(record).signed_by == ()
    assert not (record / "SHA256SUMS.sigstore").exists()
    assert "This record is not signed" in (record / "VERIFY.md").read_text()
    assert (record / "trust/trusted_root.json").exists()


def test_sealed_elsewhere_and_unchanged_it_stays_signed(record: Path) -> None:
    before = rehearsals.tree(record)
    assert len(seal(record).signed_by) == 1
    assert rehearsals.tree(record) == before


def test_an_abandoned_run_is_sealed_and_signed_too(snapshots: Path, tmp_path: Path) -> None:
    records = rehearsals.copy(snapshots / "make-clone", tmp_path / "records")
    with rehearsals.opened_at(records) as opened:
        manager = opened.run.world.policy.person("release-manager").name
        opened.run.abandon(manager, "release-manager", "a better idea", skipped=False)
        sealed = close(records / VERSION, opened.run.world)
    assert sealed.ended == "abandoned"
    assert (records / VERSION / "SHA256SUMS.sigstore").exists()
    assert _followed(records, records / VERSION) == ""


KINDS = [
    ("3.13", "begin-security-only", "2026-11-03"),
    ("3.13.12", "bugfix", "2026-02-03"),
    ("3.15.0rc1", "rc-1", "2026-07-28"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("version", "kind", "day"), KINDS, ids=str)
def test_a_record_of_each_kind_is_sealed_signed_by_every_scheme_and_verified_by_stock_tools(
    version: str, kind: str, day: str, tmp_path: Path
) -> None:
    """What is no secret is not taken for one either."""
    with rehearsals.opened_at(tmp_path, version, kind=kind, day=day) as opened:
        assert len(list(rehearsals.advance(opened))) == len(opened.run.steps)
        sealed = close(folder := opened.run.ledger.path.parent, opened.run.world)
    schemes = {one.scheme for one in sealed.signed_by}
    assert schemes == ({"sigstore"} if kind == "rc-1" else {"sigstore", "gpg"})
    assert (folder / "SHA256SUMS.asc").exists() == ("gpg" in schemes)
    assert _followed(tmp_path, folder) == ""


# --- killed, and what does not belong ------------------------------------------------------------


class Killed(BaseException):
    """What stands for a SIGKILL."""


def test_killed_at_any_file_no_list_names_what_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"a": b"1", "decisions/b": b"2", "seal.json": b"3", "SHA256SUMS": b"old"}
    new = {"a": b"4", "decisions/b": b"2", "c": b"5", "seal.json": b"6", "SHA256SUMS": b"new"}
    replace = Path.replace
    for number in range(5):
        folder, left = tmp_path / str(number), number
        folder.mkdir()
        record_files.write_all(folder, old)
        (folder / "SHA256SUMS.sigstore").write_bytes(b"over the old one")

        def dying(path: Path, target: Path) -> Path:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return replace(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", dying)
            if number < 4:
                with pytest.raises(Killed):
                    record_files.write_all(folder, new)
                assert not (folder / "SHA256SUMS").exists()
                assert not (folder / "SHA256SUMS.sigstore").exists()
        record_files.write_all(folder, new)
        found = {
            str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()
        }
        assert found == new


STRANGE = ["notes.txt", "decisions/9999-decided-x.json", "SHA256SUMS.asc.old", "trust/a.pem"]


@pytest.mark.parametrize("name", [*STRANGE, ".ipynb_checkpoints/a.ipynb", "signatures/x.sigstore"])
def test_what_is_no_part_of_a_record_is_refused_by_name(record: Path, name: str) -> None:
    (record / name).parent.mkdir(exist_ok=True)
    (record / name).write_text("x")
    before = rehearsals.tree(record)
    with pytest.raises(
        RecordError, match=rf"UNLISTED_FILE: .*{re.escape(name.split('/', maxsplit=1)[0])}"
    ):
        seal(record)
    assert rehearsals.tree(record) == before


def test_a_link_in_the_place_of_a_file_is_refused(record: Path, tmp_path: Path) -> None:
    (record / "policy.json").rename(tmp_path / "policy.json")
    (record / "policy.json").symlink_to(tmp_path / "policy.json")
    with pytest.raises(RecordError, match=r"UNLISTED_FILE: .*policy\.json"):
        seal(record)


def test_what_a_run_leaves_beside_its_record_is_no_stranger() -> None:
    left = ["lock", "status.html", "ledger.torn-0123456789ab", "attempts/x/y", "policy.json.new"]
    assert strangers(left, ["policy.json"]) == []
    assert strangers(["ledger.torn-x", "other.new"], []) == ["ledger.torn-x", "other.new"]


def test_a_ledger_whose_last_line_is_cut_is_not_sealed(record: Path) -> None:
    with (record / "ledger.jsonl").open("ab") as file:
        file.write(b'{"at":')
    with pytest.raises(RecordError, match="LEDGER_TORN"):
        seal(record)


def test_what_a_notebook_claims_without_a_record_is_gone_once_it_is_sealed(record: Path) -> None:
    """The sealed notebook is the ledger's; neither outputs nor widgets are taken over (T57)."""
    good = (record / "release.ipynb").read_bytes()
    forged = read(record / "release.ipynb")
    forged.metadata["widgets"] = {"state": "approved"}
    shown_by = next(one for one in forged.cells if one.get("outputs"))
    shown_by.outputs[0].setdefault("data", {})["text/plain"] = "approved by everybody"
    write(record / "release.ipynb", forged)
    seal(record)
    assert (record / "release.ipynb").read_bytes() == good
    assert b"widgets" not in good


def test_the_ledgers_head_is_bound_into_seal_and_guide(record: Path) -> None:
    head = History.read(record).ledger.head
    assert head in (record / "seal.json").read_text()
    assert head in (record / "VERIFY.md").read_text()
    lines = (record / "ledger.jsonl").read_text().splitlines(keepends=True)
    (record / "ledger.jsonl").write_text("".join(lines[:-1]))
    (record / "ledger.head").write_text("")
    with pytest.raises(RecordError, match="LEDGER_"):
        seal(record)


def test_what_is_displayed_hides_nothing() -> None:
    shows = line("\x1b[2Jall is \u202ewell\u2066\tand\nso on\r").bundle()
    assert shows["text/plain"] == "\\x1b[2Jall is \\u202ewell\\u2066\tand\nso on\\r"
    assert not HIDING.search(shows["text/html"])


# --- secrets and machines ------------------------------------------------------------------------

TOKEN = "ghp" + "_" + "Abcdefghijklmnopqrstuvwxyz0123456789"
JWT = ".".join(["eyJhbGciOiJub25lIn0", "eyJzdWIiOiJybSJ9cmFuZG9t", "c2lnbmF0dXJl"])  # noqa: FLY002
HIDDEN = "Tr0ub4dor-und-3-Pferde"
CANARIES: dict[str, tuple[str, str]] = {
    "environment": ("attempts/002-run.ipynb", HIDDEN),
    "prompt": ("attempts/002-run.ipynb", "Passphrase: -----BEGIN OPENSSH PRIVATE KEY-----"),
    "exception text": ("attempts/002-run.ipynb", f"ValueError: bad token {TOKEN}"),
    "traceback locals": ("attempts/002-run.ipynb", f"token = '{JWT}'"),
    "widget value": ("attempts/002-run.ipynb", '{"value": "AKIAIOSFODNN7EXAMPLE"}'),
    "address": ("attempts/002-run.ipynb", "https://rm:hunter2@www.python.org/api/v2/"),
    "header dump": ("attempts/002-run.ipynb", "{'Authorization': 'Token 0123456789abcdef'}"),
    "base64": ("attempts/002-run.ipynb", "eDogVHIwdWI0ZG9yLXVuZC0zLVBmZXJkZSE="),
    "split halves": ("attempts/002-run.ipynb", f"'{HIDDEN[:11]}' + '{HIDDEN[11:]}'"),
    "papermill parameter": ("attempts/002-run.ipynb", f"'parameters': {{'a': '{HIDDEN}'}}"),
    "kernel history": ("attempts/history.sqlite", f"\x00\x01{TOKEN}\x00"),
    "checkpoint folder": ("attempts/.ipynb_checkpoints/a-checkpoint.ipynb", f"Bearer {JWT}"),
    "query": ("attempts/002-run.ipynb", "/upload?user=rm&amp;password=hunter2"),
    "quoted": ("ledger.torn-0123456789ab", "Tr0ub4dor-und-3-Pferde".replace("-", "%2D")),
}


@pytest.mark.parametrize("name", CANARIES)
def test_a_record_is_not_sealed_with_a_secret_wherever_it_came_in(
    record: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, words = CANARIES[name]
    (record / file).parent.mkdir(parents=True, exist_ok=True)
    (record / file).write_text(f"line one\n{words}\n")
    monkeypatch.setenv("MY_API_TOKEN", HIDDEN)
    before = rehearsals.tree(record)
    _same_pages(record, monkeypatch)
    with pytest.raises(VerificationError, match="SECRET_IN_RECORD") as refusal:
        seal(record)
    assert str(refusal.value).partition(": ")[2].startswith(f"{file}, line 2: ")
    assert not any(part in str(refusal.value) for part in (words, HIDDEN, TOKEN, JWT, "hunter2"))
    assert rehearsals.tree(record) == before


def _same_pages(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the replay, which other tests are about."""
    pages = {name: (record / name).read_bytes() for name in ("release.ipynb", "release.html")}
    monkeypatch.setattr(sealing, "shown", lambda *_: pages)


@pytest.mark.parametrize("name", ["release.ipynb", "release.html"])
def test_a_secret_in_what_is_shown_is_refused(
    record: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = {"release.ipynb": b"", "release.html": b""} | {name: TOKEN.encode()}
    monkeypatch.setattr(sealing, "shown", lambda *_: pages)
    with pytest.raises(VerificationError, match=f"SECRET_IN_RECORD: {name}, line 1"):
        seal(record)


def test_the_worlds_own_secrets_are_looked_for(signed: Path, tmp_path: Path) -> None:
    records = rehearsals.copy(signed, tmp_path / "records")
    with rehearsals.opened_at(records) as opened:
        for secret in opened.run.world.secrets():
            (records / VERSION / "attempts").mkdir(exist_ok=True)
            (records / VERSION / "attempts/002-x.ipynb").write_text(f"x={secret};")
            with pytest.raises(VerificationError, match="SECRET_IN_RECORD"):
                close(records / VERSION, opened.run.world)


@given(
    st.text(min_size=8, max_size=40).filter(lambda x: len(x.strip()) >= 8 and "\n" not in x),
    st.binary(max_size=5),
    st.binary(max_size=5),
)
def test_a_known_value_is_found_in_base64_wherever_it_begins(
    value: str, before: bytes, after: bytes
) -> None:
    known = known_values({"X_SECRET": value})
    text = base64.b64encode(before + value.strip().encode() + after)
    with pytest.raises(VerificationError, match="SECRET_IN_RECORD"):
        require_no_secrets({"a": text}, known)


@pytest.mark.parametrize(
    "words",
    [
        "-----BEGIN PUBLIC KEY----- -----BEGIN SSH SIGNATURE-----",
        "-----BEGIN PGP PUBLIC KEY BLOCK-----",
        "the Authorization header; Authorization: see RFC 9110; Bearer authentication",
        "https://www.python.org:443/downloads/ and git@github.com:python/cpython.git",
        "mailto:rm@python.org?subject=token https://user:***@host/ ?token=***",
        "token = None, password: str, gh-123456, keyword, eyJ",
    ],
)
def test_what_only_talks_about_secrets_is_none(words: str) -> None:
    require_no_secrets({"a": words.encode()}, {})


def test_what_is_public_is_no_secret_whatever_its_variable_is_called() -> None:
    """Images of Python have the fingerprint of a release manager in GPG_KEY."""
    print_ = "0123456789ABCDEF0123456789ABCDEF01234567"
    known = known_values({"GPG_KEY": print_, "PATH": "/usr/bin:/bin", "KEY": "short"})
    assert list(known) == [print_]
    require_no_secrets({"a": print_.encode()}, known, public=f'"{print_}"')


@pytest.mark.parametrize(
    ("text", "private"),
    [
        ("it is in /home/rm/records/3.15.0a1", "/home/rm/records/3.15.0a1"),
        ("/home/rm", "/home/rm"),
        ("built on build-box-7.", "build-box-7"),
        ("by hugovk at noon", "hugovk"),
    ],
)
def test_names_of_this_machine_are_refused(text: str, private: str) -> None:
    nb: Notebook = notebook(code("one", "1", shown(text_plain=text)))
    with pytest.raises(VerificationError, match="MACHINE_IN_RECORD"):
        cleaned(nb, [private])


@pytest.mark.parametrize(
    ("text", "private"),
    [("/home/rmx", "/home/rm"), ("trusted/root", "/root"), ("hugovks", "hugovk")],
)
def test_what_only_looks_like_a_name_of_this_machine_is_kept(text: str, private: str) -> None:
    require_impersonal(text, [private], "here")


def test_names_that_are_words_of_the_record_or_say_nothing_are_not_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def named(host: str, user: str, meant: str) -> list[str]:
        monkeypatch.setattr("socket.gethostname", lambda: host)
        monkeypatch.setattr("getpass.getuser", lambda: user)
        return list(machine_names(meant))[1:]

    monkeypatch.setenv("HOME", "/home/somebody")
    assert named("python", "root", "Release of Python 3.15") == []
    assert named("vm", "rae", "") == []
    assert named("box-7.example.org", "hugo", "Hugo van Kemenade") == ["box-7", "box-7.example.org"]


def test_people_are_called_without_spaces_and_nobody_like_somebody_else(
    snapshots: Path,
) -> None:
    policy = History.read(snapshots / "close-run" / VERSION).policy

    def called(*names: str) -> list[str]:
        people = tuple(policy.people[0].model_copy(update={"name": one}) for one in names)
        return [*principals(policy.model_copy(update={"people": people})).values()]

    assert called("Łukasz Langa", "Doe, Jo*") == ["Łukasz.Langa", "Doe.Jo"]
    one, other, third = called("A B", "A.B", "C")
    assert third == "C"
    assert one.startswith("A.B.")
    assert other.startswith("A.B.")
    assert one != other


# --- what acts ---------------------------------------------------------------------------------

ACTIVE = [
    "<iframe src='https://evil.invalid'></iframe>",
    "<img src='https://evil.invalid/pixel.png'>",
    "<img src=//evil.invalid/pixel.png>",
    "<img src='data:image/svg+xml,<svg onload=alert(1)>'>",
    "<img src=x onerror=alert(1)>",
    "<svg onload='alert(1)'></svg>",
    "<svg><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "<svg><use href='https://evil.invalid/x.svg#a'/></svg>",
    "<svg><foreignObject></foreignObject></svg>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='JaVaScRiPt:alert(1)'>x</a>",
    "<a href=' javascript:alert(1)'>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='file:///etc/passwd'>x</a>",
    "<a href='http://evil.invalid'>x</a>",
    "<link rel=stylesheet href='https://evil.invalid/x.css'>",
    "<meta http-equiv='refresh' content='0; url=https://evil.invalid'>",
    "<base href='https://evil.invalid/'>",
    "<form action='https://evil.invalid'><input name=password></form>",
    "<object data='https://evil.invalid'></object>",
    "<embed src='https://evil.invalid'>",
    "<p style='background: url(https://evil.invalid/x.png)'>x</p>",
    "<p style='background: u\\72l(https://evil.invalid/x.png)'>x</p>",
    "<style>@import 'https://evil.invalid/x.css';</style>",
    "<style>body { background: url( 'https://evil.invalid/x.png' ) }</style>",
    "<video poster='https://evil.invalid/x.png'></video>",
    "<table background='https://evil.invalid/x.png'></table>",
    "<![CDATA[<script>alert(1)</script>]]>",
]


@pytest.mark.parametrize("html", ACTIVE)
def test_what_would_act_or_load_is_refused(html: str) -> None:
    nb = notebook(code("one", "1", shown(text_plain="x", text_html=html)))
    with pytest.raises(VerificationError, match="FORBIDDEN_MIME"):
        replaying.to_html(nb, "A record")


@pytest.mark.parametrize("tag", ["script", "SCRIPT", "script type=module", "script\n"])
def test_scripts_are_taken_off_or_refused(tag: str) -> None:
    html = f"<p>before</p><{tag}>alert(1)</script><p>after</p>"
    nb = notebook(code("one", "1", shown(text_plain="x", text_html=html)))
    try:
        page = replaying.to_html(nb, "A record")
    except VerificationError as refusal:
        assert refusal.code == "FORBIDDEN_MIME"  # noqa: PT017 (either is right)
    else:
        assert "alert" not in page


@pytest.mark.parametrize(
    "html",
    [
        "<p>Scripts, iframes &lt;script&gt; and onload= in words</p>",
        "<a href='https://www.python.org/'>x</a> <a href='#y'>y</a>",
        "<table><tr><td style='text-align:left'>x</td></tr></table>",
        "<svg viewBox='0 0 1 1'><path d='M0 0' fill='url(#p)' style='fill:url(#p)'/></svg>",
        "<img src='data:image/png;base64,iVBORw0KGgo='>",
        "<details><summary>x</summary><pre>y</pre></details>",
        "<progress value='1' max='2'></progress>",
    ],
)
def test_text_tables_pictures_and_links_are_kept(html: str) -> None:
    page = replaying.to_html(notebook(code("one", "1", shown(text_plain="x", text_html=html))), "R")
    assert "Content-Security-Policy" in page


def test_a_title_is_text() -> None:
    page = replaying.to_html(notebook(text("one", "x")), "<script>alert(1)</script>")
    assert "<script" not in page


@pytest.mark.parametrize(
    "data",
    [
        {"application_javascript": "alert(1)"},
        {"image_svg+xml": "<svg onload='alert(1)'/>"},
        {"application_vnd.jupyter.widget-view+json": "{}"},
        {"text_latex": "x"},
        {"text_plain": "\x1b[2J\x1b[1;1Hall is well"},
        {"text_plain": "one\roverwritten"},
        {"text_html": "<p>\u202etxet</p>"},
    ],
    ids=str,
)
def test_outputs_that_are_not_plain_are_refused(data: dict[str, str]) -> None:
    nb: Notebook = notebook(code("one", "1", shown(**data)))
    with pytest.raises(VerificationError, match="FORBIDDEN_MIME"):
        cleaned(nb, [])
