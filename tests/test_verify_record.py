"""Verifying a record: what each property refuses, and what is never passed over in silence."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy
import verify_helpers
from toy import tree, write_whole
from verify_helpers import Files, Line, Made, codes, looked_at

import relkit.step
from relkit import cli_verify_record, sealing
from relkit import records as log
from relkit.errors import RecordError, UsageError
from relkit.inputs import this_relkit
from relkit.plan import PlanData
from relkit.rehearsal.sigstore import LoopbackSigstore
from relkit.run import Run
from relkit.values import digest_of
from relkit.verify_record import Pack, Verdict, read_record, verify
from relkit.verify_record.bundles import require_one_armor
from relkit.verify_record.verdict import Judged, Property, plain
from relkit.verify_record.verifying import PROPERTIES
from relkit.verify_record.walk import Walk

BOOK, PAGE, SUMS = sealing.NOTEBOOK, sealing.PAGE, sealing.SUMS
BUNDLE = f"{SUMS}.sigstore"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Return a minimal record; its Sigstore instance signs on."""
    folder = tmp_path_factory.mktemp("minimal")
    with verify_helpers.made_in(folder) as one:
        yield one


@pytest.fixture(autouse=True)
def two_steps(made: Made) -> Iterator[None]:
    with made.toy():
        yield


@pytest.fixture
def folder(made: Made, tmp_path: Path) -> Path:
    """Return the record as a folder, with what lies beside it where it was made."""
    record = tmp_path / "record"
    for path, data in made.files.items():
        (record / path).parent.mkdir(parents=True, exist_ok=True)
        (record / path).write_bytes(data)
    (record / "lock").touch()
    (record / "status.html").write_text("<script>alert(1)</script>")
    (record / "attempts").mkdir()
    (record / "attempts" / "001-run.ipynb").write_text("{")
    return record


def without(files: Files, *names: str) -> Files:
    return {path: data for path, data in files.items() if path not in names}


# --- what is whole -----------------------------------------------------------------------------


def test_a_whole_record_is_verified_in_every_property(made: Made) -> None:
    found = made.looked_at()
    assert (codes(found), found.status, found.words) == ({}, 0, "VERIFIED")
    assert [line.name for line in found.lines] == list(PROPERTIES)
    assert any("REHEARSAL" in note for note in found.notes)
    assert len(found.unchecked) >= 8
    assert any("signature of the tag" in one for one in found.unchecked)


def test_verifying_a_folder_writes_and_opens_nothing_beside(made: Made, folder: Path) -> None:
    before = tree(folder)
    pack = read_record(folder)
    assert pack.beside == ("attempts", "lock", "status.html")
    assert verify(pack, policy_sha256=made.policy, trust_root=made.root).status == 0
    assert tree(folder) == before


def test_one_verification_takes_little_time(made: Made) -> None:
    """The bar is 50 ms on an idle machine; here it is time of the processor, ssh-keygen's too."""
    made.looked_at()
    begun = sum(os.times()[:4])
    for _ in range(10):
        made.looked_at()
    assert (sum(os.times()[:4]) - begun) / 10 < 0.1


# --- what the caller trusts --------------------------------------------------------------------


def test_without_a_policy_nothing_that_rests_on_it_is_verified(made: Made) -> None:
    found = verify(Pack(made.files), trust_root=made.root)
    wanted = {"seal signature", "policy", "decisions", "waivers"}
    assert codes(found) == dict.fromkeys(wanted, "POLICY_NOT_GIVEN")
    assert found.status == 4


def test_without_a_trust_root_the_seal_cannot_be_checked(made: Made) -> None:
    found = verify(Pack(made.files), policy_sha256=made.policy)
    assert (codes(found), found.status) == ({"seal signature": "TRUST_ROOT_MISSING"}, 4)


def test_the_records_own_trust_root_counts_only_by_its_digest(made: Made) -> None:
    digest = verify_helpers.sha256(made.root)
    good = verify(Pack(made.files), policy_sha256=made.policy, trust_root=f"sha256:{digest}")
    other = verify(Pack(made.files), policy_sha256=made.policy, trust_root=f"sha256:{'0' * 64}")
    assert good.status == 0
    assert (codes(other), other.status) == ({"seal signature": "TRUST_ROOT_FROM_PACK"}, 1)


def test_a_foreign_trust_root_is_refused(made: Made, tmp_path: Path) -> None:
    foreign = LoopbackSigstore(tmp_path / "foreign").trusted_root().encode()
    found = looked_at(made.files, made.policy, foreign)
    assert codes(found) == {"seal signature": "SEAL_SIGSTORE_INVALID"}


def test_another_policy_than_the_callers_is_refused(made: Made) -> None:
    found = looked_at(made.files, "0" * 64, made.root)
    assert codes(found) == {"policy": "POLICY_OTHER"}


@pytest.mark.parametrize(
    ("policy", "root"), [("x", b""), (None, b"{}"), (None, "sha256:x"), (None, "/etc/passwd")]
)
def test_what_is_no_trust_is_wrong_usage(made: Made, policy: str | None, root: bytes | str) -> None:
    with pytest.raises(UsageError):
        verify(Pack(made.files), policy_sha256=policy, trust_root=root)


def test_configuration_around_the_record_changes_nothing(
    made: Made, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T66: neither home, nor current folder, nor environment has a say."""
    foreign = LoopbackSigstore(tmp_path / "foreign").trusted_root()
    for place in (tmp_path / "home", tmp_path / "here"):
        place.mkdir()
        (place / "trusted_root.json").write_text(foreign)
        (place / ".gnupg").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RELKIT_INSECURE", "1")
    monkeypatch.chdir(tmp_path / "here")
    found = verify(read_record(folder), policy_sha256=made.policy, trust_root=made.root)
    assert found.status == 0


# --- files and seal ----------------------------------------------------------------------------


def test_a_file_more_less_or_changed_is_refused(made: Made) -> None:
    files = made.files
    more = made.looked_at(files | {"provenance/provenance-x.json": b"{}"})
    less = made.looked_at(without(files, "trust/allowed_signers"))
    other = made.looked_at(files | {"VERIFY.md": b"run this"})
    assert codes(more)["files"] == "FILE_ADDED"
    assert codes(less)["files"] == "FILE_MISSING"
    assert codes(other)["files"] == "FILE_CHANGED"
    assert {one.status for one in (more, less, other)} == {1}


def test_a_record_without_a_signature_or_a_seal_is_incomplete(made: Made) -> None:
    unsigned = made.looked_at(without(made.files, BUNDLE))
    assert (codes(unsigned), unsigned.status) == ({"seal signature": "SEAL_UNSIGNED"}, 3)
    unsealed = made.looked_at(without(made.files, BUNDLE, SUMS))
    assert codes(unsealed)["files"] == "NOT_SEALED"
    assert unsealed.status == 3


@pytest.mark.parametrize(
    "line",
    [
        "0" * 64 + "  ../../etc/passwd\n",
        "0" * 64 + "  /etc/passwd\n",
        "0" * 64 + "  decisions/../ledger.jsonl\n",
        "0" * 64 + " *ledger.jsonl\n",
        "0" * 64 + "  ledger.jsonl\r\n",
        "\\" + "0" * 64 + "  a\\nb\n",
        "\n",
    ],
)
def test_a_list_with_a_name_or_line_that_is_none_is_refused(made: Made, line: str) -> None:
    found = made.looked_at(made.files | {SUMS: made.files[SUMS] + line.encode()})
    assert codes(found)["files"] in {"FILE_NAME", "MALFORMED"}


@pytest.mark.parametrize("who", ["elif@example.org", "rika@example.org.evil.example", "Rika"])
def test_a_seal_by_anybody_else_is_refused(made: Made, who: str) -> None:
    found = made.looked_at(made.maker.sign(made.files, who=who))
    assert codes(found) == {"seal signature": "SEAL_SIGSTORE_IDENTITY"}


# --- what the release manager alone can make: sealed and signed again ---------------------------


def at(lines: list[Line], event: str, number: int = 0) -> int:
    """Return the place of a record by its event."""
    return [n for n, one in enumerate(lines) if one["entry"]["event"] == event][number]


def entry(lines: list[Line], event: str, number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = lines[at(lines, event, number)]["entry"]
    return found


def drop(event: str, number: int = 0) -> Callable[[list[Line]], None]:
    return lambda lines: lines.__delitem__(at(lines, event, number))


def put(event: str, number: int, **fields: object) -> Callable[[list[Line]], None]:
    return lambda lines: entry(lines, event, number).update(fields)


def said_anew(made: Made, key: str, **changes: object) -> Callable[[list[Line]], None]:
    """Return an edit: the expert's statement is said otherwise, and signed with a key."""

    def change(lines: list[Line]) -> None:
        decided = entry(lines, "decided", 1)
        said = json.loads(decided["signed"]["text"])
        said["predicate"] |= changes
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
        decided["signed"] = made.maker.attestor.sign(who=key, text=text).to_data()
        decided |= {name: x for name, x in changes.items() if name in decided}

    return change


def rejecting(lines: list[Line]) -> None:
    decided = entry(lines, "decided", 1)
    decided["signed"]["text"] = decided["signed"]["text"].replace('"approve"', '"reject"')
    decided["verdict"] = "reject"


def rejected_in_the_same_second(made: Made) -> Callable[[list[Line]], None]:
    """Return an edit: the expert's rejection, said in the second of the approval, before it."""

    def change(lines: list[Line]) -> None:
        place = at(lines, "decided", 1)
        lines.insert(place, json.loads(json.dumps(lines[place])))
        said_anew(made, "Elif", verdict="reject")(lines)

    return change


def twice(lines: list[Line]) -> None:
    place = at(lines, "decided", 1)
    lines.insert(place, json.loads(json.dumps(lines[place])))


def swapped(first: str, second: str) -> Callable[[list[Line]], None]:
    def change(lines: list[Line]) -> None:
        one, other = at(lines, first), at(lines, second)
        lines[one]["entry"], lines[other]["entry"] = lines[other]["entry"], lines[one]["entry"]

    return change


EDITS: dict[str, tuple[Callable[[list[Line]], None], str, str]] = {
    "the expert's answer is taken out": (drop("decided", 1), "decisions", "APPROVAL_MISSING"),
    "the manager's answer is taken out": (drop("decided"), "decisions", "APPROVAL_MISSING"),
    "the expert's answer is turned": (rejecting, "decisions", "APPROVAL_GATE_REJECTED"),
    "the expert's words are others": (
        put("decided", 1, reason="looks perfect"),
        *("decisions", "APPROVAL_FOREIGN"),
    ),
    "the answer is another person's": (
        put("decided", 1, who="Emil"),
        *("decisions", "APPROVAL_FOREIGN"),
    ),
    "the answer is there twice": (twice, "decisions", "APPROVAL_REPLAYED"),
    "nobody asked": (drop("asked"), "decisions", "APPROVAL_FOREIGN"),
    "asked were others": (
        put("asked", 0, roles=["release-manager"]),
        *("decisions", "APPROVAL_ROLE"),
    ),
    "asked at another head": (put("asked", 0, head="1" * 64), "decisions", "APPROVAL_HEAD"),
    "what stood before the answer is rewritten": (
        put("completed", 0, result={"colour": "red"}),
        *("decisions", "APPROVAL_HEAD"),
    ),
    "an action is done and was never begun": (drop("started"), "order", "ORDER_ACTION"),
    "a step ends before it is done": (drop("done"), "order", "ORDER_NOT_DONE"),
    "done before it was begun": (swapped("started", "done"), "order", "ORDER_ACTION"),
    "a step has no plan": (drop("planned", 1), "order", "ORDER_NOT_PLANNED"),
    "a step comes before the one it needs": (drop("completed"), "order", "ORDER_NOT_YET"),
    "the end is cut off": (lambda lines: lines.__delitem__(-1), "order", "NOT_COMPLETE"),
    "time goes back": (
        lambda lines: lines[-1].update(at="2020-01-01T00:00:00Z"),
        *("ledger", "TIME_BACKWARDS"),
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_the_manager_alone_seals_again_is_refused(made: Made, name: str) -> None:
    change, subject, code = EDITS[name]
    found = made.looked_at(made.edited(change))
    assert codes(found).get(subject) == code, (codes(found), found.lines)
    assert found.status in {1, 3}
    assert "files" not in codes(found)


@pytest.mark.parametrize(
    ("key", "changes", "code"),
    [
        ("Rika", {}, "APPROVAL_SIGNATURE"),
        ("Emil", {}, "APPROVAL_SIGNATURE"),
        ("Rika", {"who": "Rika"}, "APPROVAL_MISSING"),
        ("Elif", {"head": "2" * 64}, "APPROVAL_FOREIGN"),
        ("Elif", {"nonce": "nonce-of-the-last-release"}, "APPROVAL_FOREIGN"),
        ("Elif", {"release": "3.15.0a2"}, "APPROVAL_FOREIGN"),
        ("Elif", {"policy": "3" * 64}, "APPROVAL_FOREIGN"),
        ("Elif", {"plan": "4" * 64}, "APPROVAL_FOREIGN"),
        ("Elif", {"expires": "2036-01-01T00:00:00Z"}, "APPROVAL_EXPIRED"),
        ("Elif", {"at": "2026-05-06T12:00:00Z"}, "APPROVAL_TIME"),
        ("Elif", {"reason": " "}, "REASON_MISSING"),
    ],
)
def test_an_answer_that_is_none_to_this_request_is_refused(
    made: Made, key: str, changes: dict[str, object], code: str
) -> None:
    """T34, T62: also where all keys but the right one, or the right one for another, sign."""
    found = made.looked_at(made.edited(said_anew(made, key, **changes)))
    assert codes(found)["decisions"] == code, found.lines


def test_an_honest_answer_said_anew_is_taken(made: Made) -> None:
    """The control: the same edit with nothing wrong in it."""
    found = made.looked_at(made.edited(said_anew(made, "Elif", reason="seen again")))
    assert codes(found) == {}


def test_of_two_words_of_one_second_the_rejection_counts(made: Made) -> None:
    found = made.looked_at(made.edited(rejected_in_the_same_second(made)))
    assert codes(found)["decisions"] == "APPROVAL_REPLAYED", found.lines


def test_evidence_that_people_gave_is_said_to_be_unsigned(made: Made) -> None:
    assert any("evidence that people gave" in one for one in made.looked_at().unchecked)


def test_a_decision_beside_the_ledger_or_another_key_is_refused(made: Made) -> None:
    path = next(p for p in made.files if p.startswith("decisions/") and p.endswith(".json"))
    for changed in (
        {path: made.files[path] + b" "},
        {"decisions/0099-decided-expert.json": made.files[path]},
        {sealing.SIGNERS: b"Elif ssh-ed25519 AAAA\n"},
    ):
        found = made.looked_at(made.maker.seal(made.files | changed))
        assert codes(found)["decisions"] == "APPROVAL_FILE"


def test_a_weaker_policy_in_record_0_is_not_the_callers(made: Made) -> None:
    def weaken(lines: list[Line]) -> None:
        policy = lines[0]["entry"]["policy"]
        policy["gates"]["hanging"] = ["release-manager"]
        lines[0]["entry"]["policy_digest"] = digest_of(policy)

    assert codes(made.looked_at(made.edited(weaken)))["policy"] == "POLICY_OTHER"


def test_a_statement_about_a_build_is_the_one_that_the_run_has_kept(made: Made) -> None:
    name, text = "provenance-source.json", '{"built by": "the builder"}'
    path = f"{sealing.PROVENANCE}/{name}"

    def keep(lines: list[Line]) -> None:
        planned = entry(lines, "planned", 1)
        action = planned["plan"]["actions"][0]
        call = {"port": "artifacts", "method": "write", "arguments": {"name": name, "text": text}}
        action["do"] = call
        planned["digest"] = PlanData.model_validate(planned["plan"]).digest

    for change, data, code in (
        (keep, text.encode(), None),
        (keep, text.replace("the builder", "somebody").encode(), "PROVENANCE_OTHER"),
        (lambda _: None, text.encode(), "PROVENANCE_OTHER"),
    ):
        found = made.looked_at(made.maker.seal(made.edited(change) | {path: data}))
        assert codes(found).get("manifest") == code, found.lines


def test_a_manifest_or_a_signature_of_no_result_is_refused(made: Made) -> None:
    files = {"manifest.json": b"{}", "signatures/Python-3.15.0a1.tgz.sigstore": b"{}"}
    found = made.looked_at(made.maker.seal(made.files | files))
    assert codes(found)["manifest"] == "MANIFEST_OTHER"
    assert codes(found)["file signatures"] == "SIGNATURE_UNLISTED"


# --- what is shown -----------------------------------------------------------------------------


def book_with(made: Made, change: Callable[[Any], object]) -> Files:
    """Return the record with another notebook."""
    book = json.loads(made.files[BOOK])
    change(book)
    return made.files | {BOOK: json.dumps(book, indent=1).encode()}


def cell(book: Any, name: str) -> Any:  # noqa: ANN401 (JSON)
    return next(one for one in book["cells"] if one["id"] == name)


def data(book: Any, name: str) -> Any:  # noqa: ANN401 (JSON)
    return cell(book, name)["outputs"][0]["data"]


BOOKS: dict[str, tuple[Callable[[Any], object], str]] = {
    "a claim in plain text": (
        lambda book: data(book, "hang-gate")["text/plain"].append("\nAPPROVED by Emil"),
        "CLAIM_WITHOUT_EVENT",
    ),
    "a claim in HTML alone": (
        lambda book: data(book, "hang-gate")["text/html"].append("<p>APPROVED by Emil</p>"),
        "CLAIM_WITHOUT_EVENT",
    ),
    "an output is gone": (
        lambda book: cell(book, "look-step").update(outputs=[]),
        "CLAIM_WITHOUT_EVENT",
    ),
    "an output is there twice": (
        lambda book: cell(book, "look-step").update(outputs=cell(book, "look-step")["outputs"] * 2),
        "CLAIM_WITHOUT_EVENT",
    ),
    "a script": (
        lambda book: data(book, "open").update({"text/html": "<script>alert(1)</script>"}),
        "FORBIDDEN_MIME",
    ),
    "JavaScript": (
        lambda book: data(book, "open").update({"application/javascript": "alert(1)"}),
        "FORBIDDEN_MIME",
    ),
    "SVG": (
        lambda book: data(book, "open").update({"image/svg+xml": "<svg onload='alert(1)'/>"}),
        "FORBIDDEN_MIME",
    ),
    "a widget view": (
        lambda book: data(book, "open").update({"application/vnd.jupyter.widget-view+json": "{}"}),
        "FORBIDDEN_MIME",
    ),
    "widget state": (
        lambda book: book["metadata"].update(widgets={"state": {"approved": True}}),
        "FORBIDDEN_MIME",
    ),
    "an attachment": (
        lambda book: book["cells"][0].update(attachments={"x.png": {}}),
        "MALFORMED",
    ),
    "a stream": (
        lambda book: cell(book, "open")["outputs"].append(
            {"output_type": "stream", "name": "stdout", "text": ["APPROVED"]}
        ),
        "FORBIDDEN_MIME",
    ),
    "metadata of a cell": (
        lambda book: cell(book, "open")["metadata"].update(trusted=True),
        "FORBIDDEN_MIME",
    ),
    "another character of code": (
        lambda book: cell(book, "hang-apply").update(source=['run.apply("hang") ']),
        "RUNBOOK_MODIFIED",
    ),
    "another word of prose": (
        lambda book: book["cells"][0].update(source=["# All is well"]),
        "RUNBOOK_MODIFIED",
    ),
    "other parameters": (
        lambda book: cell(book, "injected-parameters").update(source=['version = "3.15.0a2"']),
        "RUNBOOK_MODIFIED",
    ),
    "a cell more": (
        lambda book: book["cells"].append(
            {"cell_type": "markdown", "id": "x", "metadata": {}, "source": ["APPROVED"]}
        ),
        "RUNBOOK_MODIFIED",
    ),
    "a cell less": (lambda book: book["cells"].pop(), "RUNBOOK_MODIFIED"),
    "another form": (lambda book: book.update(nbformat=3), "MALFORMED"),
}


@pytest.mark.parametrize("name", BOOKS)
def test_a_notebook_that_says_or_does_what_no_record_does_is_refused(made: Made, name: str) -> None:
    change, code = BOOKS[name]
    found = made.looked_at(book_with(made, change))
    assert codes(found)["notebook"] == code, found.lines


PAGES = {
    b"</body>": b"<p>Approved by Emil</p></body>",
    b"APPROVED by Elif": b"APPROVED by Emil",
    b"APPROVED": b"REJECTED",
    b"<h2 ": b"<h2 title='approved by Emil' ",
    b"<h3 ": b"<h3 style='display:none' ",
    b"</style>": b"h3::after { content: 'approved' }</style>",
}


@pytest.mark.parametrize("old", PAGES)
def test_a_page_that_says_more_or_else_is_refused(made: Made, old: bytes) -> None:
    page = made.files[PAGE].replace(old, PAGES[old], 1)
    assert page != made.files[PAGE]
    found = made.looked_at(made.files | {PAGE: page})
    assert codes(found) == {"files": "FILE_CHANGED", "page": "CLAIM_WITHOUT_EVENT"}


@pytest.mark.parametrize(
    "active",
    [b"<script>1</script>", b"<img src=//evil.invalid>", b"<p onclick=x>", b"<iframe src=x>"],
)
def test_a_page_that_acts_or_loads_is_refused(made: Made, active: bytes) -> None:
    page = made.files[PAGE].replace(b"</body>", active + b"</body>")
    found = made.looked_at(made.files | {PAGE: page})
    assert codes(found)["page"] == "FORBIDDEN_MIME"


def test_other_commands_in_the_guide_are_refused(made: Made) -> None:
    files = made.maker.seal(made.files)
    files = files | {sealing.GUIDE: files[sealing.GUIDE].replace(b"--strict ", b"")}
    seal = json.loads(files[sealing.SEAL])
    seal["files"][sealing.GUIDE] = verify_helpers.sha256(files[sealing.GUIDE])
    files[sealing.SEAL] = (sealing.Seal(**seal).model_dump_json(indent=1) + "\n").encode()
    assert codes(made.looked_at(made.maker.sign(files))) == {"guide": "GUIDE_MODIFIED"}


@pytest.mark.parametrize("other", ["0.0.1", this_relkit()[:-1] + "x"])
def test_what_another_relkit_has_made_is_not_compared_and_says_so(made: Made, other: str) -> None:
    found = made.looked_at(made.edited(lambda lines: lines[0]["entry"].update(relkit=other)))
    assert {codes(found)[name] for name in ("notebook", "page", "guide")} == {"RELKIT_OTHER"}


def test_where_the_relkit_that_made_it_is_lacking_it_is_said_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = Property("page", "cannot check", "RELKIT_OTHER", "made with relkit 2, this is 1")
    cli_verify_record._say(Verdict(4, (other,), ("all else",)))
    told = " ".join(capsys.readouterr().out.split())
    assert told.endswith("for what is RELKIT_OTHER, the relkit that made it.")


ARMORED = b"""-----BEGIN PGP SIGNATURE-----

iHUEABYIAB0WIQQtcnNRaJMUfSEIvtBPmquZlGN/PwUCawFhmgAKCRBPmquZlGN/
Py6mAQDsIgOrmbPox44+o1l/0fbuCiXHKwJ6yyyTps/mhqd0bAD/SJzNP8JCMujx
mf+Xy0WDNYIEop4seuEyQAgr56s16gM=
=hRKF
-----END PGP SIGNATURE-----
"""


def test_a_gpg_signature_has_one_armor() -> None:
    """What gpg would take as well: no end, another checksum, words around, other line lengths."""
    require_one_armor(ARMORED, "SHA256SUMS.asc")
    for other in (
        ARMORED[: ARMORED.index(b"-----END")],
        ARMORED.replace(b"=hRKF", b"=hRKG"),
        b"Approved by Emil:\n" + ARMORED,
        ARMORED.replace(b"-----\n\n", b"-----\nComment: fine\n\n", 1),
        ARMORED.replace(b"GN/\nPy6", b"GN/Py6"),
        b"",
        ARMORED * 2,
    ):
        with pytest.raises(Judged):
            require_one_armor(other, "SHA256SUMS.asc")


READERS = {
    sealing.SEAL: "guide",
    sealing.POLICY: "policy",
    BOOK: "notebook",
    sealing.LEDGER: "ledger",
    BUNDLE: "seal signature",
}
"""The property that a file is read for."""


# --- production: what was typed back ------------------------------------------------------------


@pytest.fixture
def production(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Return a record of a production, in which the gate is where the way back ends."""
    steps = made.steps | {"hang": replace(made.steps["hang"], irreversible=True)}
    monkeypatch.setattr(relkit.step, "STEPS", steps)
    files = made.maker.files(made.maker.run(tmp_path / "production", rehearsal=False))
    return replace(made, files=made.maker.seal(files), steps=steps)


def test_a_record_of_a_production_has_the_name_in_each_approval_where_the_way_back_ends(
    production: Made,
) -> None:
    assert codes(production.looked_at()) == {}
    said = [data for path, data in production.files.items() if path.endswith(".json")]
    assert [json.loads(one)["predicate"]["typed"] for one in said if b"decision/v1" in one] == [
        *("toy", "toy")
    ]


@pytest.mark.parametrize("name", [None, "", "cpython"])
def test_a_record_with_an_approval_without_the_name_is_refused(
    production: Made, name: str | None
) -> None:
    """The expert has signed, with the right key: the name was never asked for, or another one."""

    def change(lines: list[Line]) -> None:
        decided = entry(lines, "decided", 1)
        said = json.loads(decided["signed"]["text"])
        del said["predicate"]["typed"]
        said["predicate"] |= {} if name is None else {"typed": name}
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
        decided["signed"] = production.maker.attestor.sign(who="Elif", text=text).to_data()

    found = production.looked_at(production.edited(change))
    code = "APPROVAL_MALFORMED" if name == "" else "PRODUCTION_UNCONFIRMED"
    assert codes(found)["decisions"] == code, found.lines


def test_a_record_of_a_rehearsal_with_a_name_typed_is_refused(made: Made) -> None:
    found = made.looked_at(made.edited(said_anew(made, "Elif", typed="toy")))
    assert codes(found)["decisions"] == "PRODUCTION_UNCONFIRMED", found.lines


# --- what is not by the book, and honest -------------------------------------------------------

RIKA = ("Rika", "release-manager", "so")


def waived(run: Run, outside: toy.Toy) -> None:
    outside.box.turn("knob lamp", "red")
    run.waive(run.propose("look"), "the lamp is green", *RIKA)


def respun(run: Run, _: toy.Toy) -> None:
    list(run.advance())
    run.respin("paint", *RIKA)


def deviated(run: Run, _: toy.Toy) -> None:
    run.apply("look")
    run.deviate(
        do=("box", "put", {"key": "door", "value": "open"}),
        read=("box", "value", {"key": "door"}),
        note="a door stays open",
        who=RIKA[0],
        role=RIKA[1],
        reason=RIKA[2],
    )


def killed(run: Run, outside: toy.Toy) -> None:
    """The first action is found done; the second is begun, half done, and begun once more."""
    outside.box.put(key="wall", value="blue")
    moments = iter([None, None])

    def moment() -> None:
        next(moments)  # the third one is the last

    outside.box.moment = moment
    run.apply("look")
    with pytest.raises(StopIteration):
        run.apply("paint")
    outside.box.moment = toy._nothing


def handed_over(run: Run, _: toy.Toy) -> None:
    run.apply("look")
    run.hand_over("Nora", *RIKA)


def abandoned(run: Run, _: toy.Toy) -> None:
    list(run.advance())
    run.abandon(*RIKA)


def decided_often(run: Run, _: toy.Toy) -> None:
    """All of it in one second of the clock, the same words twice."""
    run.apply("look")
    proposal = run.propose("hang")
    for verdict in ("approve", "reject", "approve", "approve"):
        run.decide(proposal, verdict, *RIKA)


@pytest.mark.parametrize(
    "before", [decided_often, waived, respun, deviated, killed, handed_over, abandoned]
)
def test_an_honest_run_breaks_no_rule(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[Run, toy.Toy], None],
) -> None:
    """Whatever a run may do and writes, the walk through its ledger takes."""
    monkeypatch.setattr(relkit.step, "STEPS", {})
    toy.declare()
    policy = toy.POLICY.model_copy(
        update={"people": (*toy.POLICY.people, toy.person("Nora", "release-manager"))}
    )
    outside = toy.Toy.at(tmp_path / "world", policy=policy, patience_seconds=5.0)
    outside.people.obliging = True
    run = outside.open(tmp_path / "record")
    before(run, outside)
    if before is not abandoned:
        if before is handed_over:
            proposal = run.propose("hang")
            run.decide(proposal, "approve", "Nora", "release-manager", "seen")
        list(run.advance())
    walk = Walk(toy.RELEASE, run.ledger)
    run.close()
    assert walk.faults == []
    assert walk.complete or walk.abandoned
    said = [one.entry for one in walk.ledger if isinstance(one.entry, log.Decided)]
    assert len({one.signed for one in said}) == len(said), "else they are taken for replayed"
    words = [(one.who, one.digest, one.made) for one in said]
    assert len(set(words)) == len(words), "else a rejection of the same second would count"


# --- odd encodings -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", [sealing.SEAL, sealing.POLICY, BOOK, sealing.LEDGER, BUNDLE])
@pytest.mark.parametrize(
    "odd",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data + b"\x00",
        lambda data: data.replace(b'"', b'"\xff', 1),
        lambda data: data.replace(b"{", b'{"form":1,"form":1,', 1),
        lambda data: data.replace(b"{", b'{"x":NaN,', 1),
        lambda data: data.replace(b"{", b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b",", 1),
        lambda data: data.decode().encode("utf-16"),
        lambda _: b"[" * 10_000,
        lambda _: b"",
        lambda _: b"null",
    ],
)
def test_odd_encodings_are_refused_wherever_they_stand(
    made: Made, path: str, odd: Callable[[bytes], bytes]
) -> None:
    """T65: also by what reads the file, and not by its digest alone."""
    begun = time.monotonic()
    found = made.looked_at(made.files | {path: odd(made.files[path])})
    assert found.status == 1
    assert codes(found)[READERS[path]] in {"MALFORMED", "LEDGER_INVALID", "LEDGER_TRUNCATED"}
    assert time.monotonic() - begun < 2


def test_a_bundle_has_one_spelling(made: Made) -> None:
    bundle = json.loads(made.files[BUNDLE])
    spaced = json.dumps(bundle).replace('"SHA2_256"', '"SHA2_512"').encode()
    checkpoint = made.files[BUNDLE].replace(
        "\u2014 rehearsal".encode(), "\u2014 rehearsed".encode()
    )
    for data in (spaced, checkpoint):
        assert data != made.files[BUNDLE]
        assert codes(made.looked_at(made.files | {BUNDLE: data}))["seal signature"] == "MALFORMED"


# --- hostile folders ---------------------------------------------------------------------------


def fifo(record: Path) -> None:
    os.mkfifo(record / "SHA256SUMS.asc")


def link(record: Path) -> None:
    (record / "VERIFY.md").unlink()
    (record / "VERIFY.md").symlink_to("/etc/passwd")


def linked_folder(record: Path) -> None:
    (record / "provenance").symlink_to("/etc")


def huge(record: Path) -> None:
    with (record / "seal.json").open("wb") as file:
        file.truncate(100_000_000)


def many(record: Path) -> None:
    (record / "provenance").mkdir()
    for number in range(4_100):
        (record / "provenance" / f"provenance-{number}.json").touch()


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (fifo, "RECORD_DEVICE"),
    "a link": (link, "RECORD_LINK"),
    "a link to a folder": (linked_folder, "RECORD_LINK"),
    "100 MB": (huge, "RECORD_TOO_LARGE"),
    "many files": (many, "RECORD_TOO_LARGE"),
    "a strange name": (lambda r: (r / "sitecustomize.py").touch(), "RECORD_NAME"),
    "a strange folder": (lambda r: (r / "decisions" / "deep").mkdir(), "RECORD_NAME"),
    "a name with a line end": (lambda r: (r / "decisions" / "a\nb").touch(), "RECORD_NAME"),
    "no UTF-8": (lambda r: (r / os.fsdecode(b"\xff")).mkdir(), "RECORD_NAME"),
    "configuration": (lambda r: (r / "pyproject.toml").touch(), "RECORD_NAME"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_folder_is_refused_quickly(folder: Path, name: str) -> None:
    make, code = HOSTILE[name]
    make(folder)
    begun = time.monotonic()
    with pytest.raises(RecordError) as refused:
        read_record(folder)
    assert refused.value.code == code
    assert time.monotonic() - begun < 2
    assert str(refused.value).isprintable()


def test_what_is_no_folder_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    for path in (tmp_path / "nothing", tmp_path / "link"):
        with pytest.raises(UsageError, match="NO_RECORD"):
            read_record(path)


def test_large_and_deep_contents_are_refused_in_bounded_time(made: Made) -> None:
    deep = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
    wide = b'{"a":[' + b'"x",' * 2_000_000 + b'"x"]}'
    strings = b'{"a":"' + b'\\"' * 2_000_000 + b'"}'
    for hostile in (deep, wide, strings):
        begun = time.process_time()
        assert codes(made.looked_at(made.files | {BOOK: hostile}))["notebook"] == "MALFORMED"
        assert time.process_time() - begun < 2


# --- the command -------------------------------------------------------------------------------


def command(folder: Path, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    cli_verify_record.declare(parser.add_subparsers())
    options = parser.parse_args(["record", str(folder), *arguments])
    return int(options.command(options))


def test_the_command_says_what_was_and_was_not_checked(
    made: Made, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root.json"
    root.write_bytes(made.root)
    given = ["--policy", made.policy, "--trust-root", str(root)]
    assert command(folder, *given) == 0
    told = capsys.readouterr().out
    wide = [line for line in told.splitlines() if len(line) > 80]
    assert all(len(line.split()[-1]) > 40 for line in wide), "digests alone are left whole"
    assert told.rstrip().endswith("\nVERIFIED")
    assert "Not checked:" in told
    assert "REHEARSAL" in told
    assert command(folder, *given, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["status"]) == ("VERIFIED", 0)
    assert {line["outcome"] for line in found["lines"]} == {"verified"}
    assert found["unchecked"]
    assert command(folder) == 4
    assert "CANNOT CHECK\nWhat to do: Give --policy and --trust-root" in capsys.readouterr().out


def test_the_command_shows_no_control_characters_of_a_record(
    made: Made, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused record writes neither into the terminal's title nor from right to left."""
    evil = "\x1b]0;owned\x07\u202egnp.exe"
    write_whole(folder / "policy.json", json.dumps({evil: 1}, ensure_ascii=False).encode())
    write_whole(folder / "SHA256SUMS", f"{'0' * 64}  {evil}\n".encode())
    assert command(folder, "--policy", made.policy) == 1
    (folder / "\x1b[2J").touch()
    assert command(folder) == 1
    assert command(folder, "--json") == 1
    captured = capsys.readouterr()
    shown = captured.out + captured.err
    assert all(one.isprintable() or one == "\n" for one in shown)


def test_foreign_text_is_shown_on_one_line() -> None:
    assert plain("a\x1b[31m\u202eb\r\n\u2066c é") == "a\\x1b[31m\\u202eb\\r\\n\\u2066c é"
    assert len(plain("x" * 10_000)) < 2_100
