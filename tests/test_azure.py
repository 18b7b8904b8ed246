"""Azure: tried before it is run, never told to publish, read back, and downloaded without a key.

Every call and every answer goes through a proxy that checks them against ``services/azure.json``.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
from hostile import STRINGS
from hypothesis import example, given
from hypothesis import strategies as st
from services import prism
from services.azure_standin import PROJECT, TOKEN, Azure, azure_service
from services.running import skip_without
from sources import BLURB

from relkit.adapters.artifact_zip import unzip
from relkit.adapters.azure import AzurePipeline, sign_in
from relkit.adapters.azure_parameters import check_parameters, parameters_of
from relkit.adapters.elsewhere import download
from relkit.adapters.processes import Places
from relkit.adapters.rest import Rest
from relkit.adapters.web import Web
from relkit.errors import CheckError, ReleaseError, WorldError
from relkit.values import Build, BuildState

COMMIT = "5" * 40
VERSION = "3.15.0a2"
NAMES = (f"python-{VERSION}-amd64.exe", f"python-{VERSION}-embed-amd64.zip")
ARTIFACTS = {"msi": NAMES[:1], "embed": NAMES[1:]}
SPEC = Path(__file__).parent / "services" / "azure.json"
PATIENCE_SECONDS = 30.0
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
Schema = dict[str, Any]


def build(**changes: object) -> Build:
    plain = Build(
        name="windows",
        nonce="n1",
        version=VERSION,
        commit=COMMIT,
        options={"files": ";".join(NAMES), "tag": f"v{VERSION}"},
    )
    return plain.model_copy(update=changes)


@contextmanager
def service(folder: Path) -> Iterator[Azure]:
    places = Places(folder, folder, BLURB, folder / "site.url", folder)
    with azure_service(folder / "azure", places=places, files=lambda _: ARTIFACTS) as azure:
        yield azure


def pipeline(url: str, token: str = TOKEN, **changes: object) -> AzurePipeline:
    rest = Rest("Azure", Web(url, (5.0, 30.0)), headers=lambda: sign_in(token))
    settings: dict[str, Any] = {
        "pipeline": 21,
        "ref": "refs/heads/main",
        "git_remote": "python",
        "builds": {"windows": ("msi", "embed")},
        "parameters": {"DoMSI": "true"},
        "production": False,
        "settled_seconds": 0,
    }
    return AzurePipeline(rest, **{**settings, **changes})


def ended(at: AzurePipeline, run: str) -> BuildState:
    until = time.monotonic() + PATIENCE_SECONDS
    while (state := at.state(build=build(), run=run)).status == "running":
        assert time.monotonic() < until, state
        time.sleep(0.02)
    return state


@pytest.fixture(scope="module")
def _checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Azure, str]]:
    """Give the stand-in, and the address of the proxy that checks what is said to it."""
    skip_without(prism.missing())
    folder = tmp_path_factory.mktemp("azure")
    with ExitStack() as stack:
        azure = stack.enter_context(service(folder))
        upstream = azure.url.partition(f"/{PROJECT}")[0]
        yield azure, stack.enter_context(prism.prism(folder, SPEC, upstream)) + f"/{PROJECT}/_apis/"


@pytest.fixture
def checked(_checked: tuple[Azure, str]) -> Iterator[tuple[Azure, str]]:
    azure, url = _checked
    yield azure, url
    azure.refusal, azure.signed, azure.previews = "", True, 0
    azure.extra.clear()
    azure.hidden.clear()
    azure.leaked.clear()


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


# --- a run ------------------------------------------------------------------------------------


def test_a_run_is_tried_started_followed_and_downloaded(
    checked: tuple[Azure, str], empty: Path
) -> None:
    azure, url = checked
    at = pipeline(url)
    before = datetime.now(UTC)
    run = at.start(build=build())
    assert azure.previews == 1
    assert at.find(build=build(), since=before) == run
    assert ended(at, run) == BuildState(status="done")
    facts = at.fetch(build=build(), run=run, folder=empty)
    assert (facts["commit"], facts["version"], facts["run"]) == (COMMIT, VERSION, run)
    assert sorted(path.name for path in empty.iterdir()) == sorted(NAMES)
    assert COMMIT.encode() in (empty / NAMES[0]).read_bytes()
    assert azure.leaked == []
    told = azure.runs[-1].parameters
    assert told["SourceCommit"] == COMMIT
    assert told["DoPublish"] == "false"
    assert told["SigningCertificate"] == "Unsigned"


def test_a_trial_that_is_refused_starts_nothing(checked: tuple[Azure, str]) -> None:
    azure, url = checked
    runs = len(azure.runs)
    azure.refusal = "The pipeline has no parameter of that name"
    with pytest.raises(WorldError, match="no parameter of that name") as refused:
        pipeline(url).start(build=build())
    assert refused.value.code == "SERVICE_REFUSED"
    assert len(azure.runs) == runs


def test_i55_a_parameter_the_pipeline_does_not_know_is_found_before_anything_runs(
    checked: tuple[Azure, str],
) -> None:
    azure, url = checked
    runs = len(azure.runs)
    with pytest.raises(WorldError, match="DoTailCall1ng"):
        pipeline(url, parameters={"DoTailCall1ng": "true"}).start(build=build())
    assert len(azure.runs) == runs


def test_a_run_that_succeeded_only_in_part_has_failed(checked: tuple[Azure, str]) -> None:
    azure, url = checked
    at = pipeline(url)
    run = at.start(build=build())
    azure.runs[-1].result = "partiallySucceeded"
    state = ended(at, run)
    assert state.status == "failed"
    assert "partiallySucceeded" in state.detail
    assert "signtool ended with 1" in at.log(build=build(), run=run)


def test_a_cancelled_run_has_failed_and_is_cancelled_once(checked: tuple[Azure, str]) -> None:
    azure, url = checked
    at = pipeline(url)
    run = at.start(build=build())
    for _ in range(2):
        at.cancel(build=build(), run=run)
    assert azure.runs[-1].canceled
    assert ended(at, run).status == "failed"


def test_without_a_signed_address_the_builds_say_where_an_artifact_lies(
    checked: tuple[Azure, str], empty: Path
) -> None:
    azure, url = checked
    azure.signed = False
    at = pipeline(url)
    run = at.start(build=build())
    ended(at, run)
    at.fetch(build=build(), run=run, folder=empty)
    assert len([*empty.iterdir()]) == len(NAMES)
    assert azure.leaked == []


def test_i36_i60_what_a_run_was_told_is_read_back_before_anything_of_it_is_used(
    checked: tuple[Azure, str], empty: Path
) -> None:
    azure, url = checked
    at = pipeline(url)
    run = at.start(build=build())
    ended(at, run)
    azure.runs[-1].parameters["SourceCommit"] = "6" * 40
    with pytest.raises(CheckError, match=r"6{40}") as refused:
        at.fetch(build=build(), run=run, folder=empty)
    assert refused.value.code == "WIN_PARAMS"
    assert [*empty.iterdir()] == []


def test_two_runs_with_the_same_parameters_are_told_apart_by_nobody(
    checked: tuple[Azure, str],
) -> None:
    _, url = checked
    at, before = pipeline(url), datetime.now(UTC)
    time.sleep(0.01)
    one, two = at.start(build=build()), at.start(build=build())
    with pytest.raises(WorldError, match=f"{one}, {two}") as refused:
        at.find(build=build(), since=before)
    assert refused.value.code == "RUN_AMBIGUOUS"
    for run in (one, two):
        at.cancel(build=build(), run=run)


def test_of_two_runs_the_one_that_was_not_cancelled_is_taken(tmp_path: Path) -> None:
    """That is what the refusal advises to do."""
    with service(tmp_path) as azure:
        at, before = pipeline(azure.url), datetime.now(UTC)
        one, two = at.start(build=build()), at.start(build=build())
        at.cancel(build=build(), run=one)
        assert at.find(build=build(), since=before) == two
        at.cancel(build=build(), run=two)
        assert at.find(build=build(), since=before) is None


def test_a_run_that_was_deleted_can_be_given_up(checked: tuple[Azure, str]) -> None:
    azure, url = checked
    at = pipeline(url)
    run = at.start(build=build())
    at.cancel(build=build(), run=run)
    gone = azure.runs.pop()
    at.cancel(build=build(), run=run)
    with pytest.raises(WorldError, match="SERVICE_MISSING"):
        at.state(build=build(), run=run)
    azure.runs.append(gone)


def test_files_of_a_run_that_goes_on_again_are_not_taken(
    checked: tuple[Azure, str], empty: Path
) -> None:
    azure, url = checked
    at = pipeline(url)
    run = at.start(build=build())
    ended(at, run)
    azure.runs[-1].result = "failed"
    with pytest.raises(WorldError, match="RUN_NOT_DONE"):
        at.fetch(build=build(), run=run, folder=empty)
    assert [*empty.iterdir()] == []


@pytest.mark.parametrize(
    "address",
    [
        "https://[",
        "https://[x]/",
        "https://a..b/",
        "https://\u2100.com/",
        f"https://{'a' * 70}.com/",
    ],
)
def test_an_address_that_is_none_is_refused_and_not_tripped_over(
    address: str, tmp_path: Path
) -> None:
    rest = Rest("Azure", Web("http://127.0.0.1:9/"))
    with pytest.raises(WorldError) as refused:
        download(address, tmp_path / "x", rest)
    assert refused.value.code in {"SERVICE_UNREADABLE", "SERVICE_UNREACHABLE"}
    assert not (tmp_path / "x").exists()


def test_two_that_start_a_build_of_one_run_start_it_once(tmp_path: Path) -> None:
    """Two processes of one machine, such as a notebook and a batch run."""
    with service(tmp_path) as azure:
        code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_azure import build, pipeline
from relkit.adapters.remote_builders import RemoteBuilders
services = {{"windows": pipeline({azure.url!r})}}
local = None
RemoteBuilders(Path({str(tmp_path / "builds")!r}), services, local).start(build=build())
"""
        argv = [sys.executable, "-c", code]
        both = [subprocess.Popen(argv, stderr=subprocess.PIPE) for _ in range(2)]
        said = [one.communicate(timeout=120)[1] for one in both]
        assert [one.returncode for one in both] == [0, 0], said
        assert len(azure.runs) == 1


def test_a_run_for_another_commit_is_not_the_one_looked_for(checked: tuple[Azure, str]) -> None:
    _, url = checked
    at = pipeline(url)
    run = at.start(build=build(commit="7" * 40))
    assert at.find(build=build(commit="8" * 40), since=datetime.now(UTC)) is None
    at.cancel(build=build(), run=run)


def test_a_list_that_may_be_behind_is_no_proof_that_nothing_was_started(
    tmp_path: Path,
) -> None:
    with service(tmp_path) as azure:
        at = pipeline(azure.url, settled_seconds=60)
        with pytest.raises(WorldError) as refused:
            at.find(build=build(), since=datetime.now(UTC))
        assert refused.value.code == "RUN_NOT_SETTLED"
        assert at.find(build=build(), since=BEGINNING) is None


def test_a_key_that_is_refused_is_said_so(checked: tuple[Azure, str]) -> None:
    with pytest.raises(WorldError) as refused:
        pipeline(checked[1], token="wrong").start(build=build())  # noqa: S106 (a wrong one)
    assert refused.value.code == "SERVICE_DENIED"
    assert "wrong" not in str(refused.value)


def test_more_runs_than_one_page_are_looked_through_by_nobody(tmp_path: Path) -> None:
    with service(tmp_path) as azure:
        at = pipeline(azure.url)
        at.start(build=build())
        azure.runs *= 100
        with pytest.raises(WorldError) as refused:
            at.find(build=build(), since=BEGINNING)
    assert refused.value.code == "RUN_AMBIGUOUS"


# --- parameters -------------------------------------------------------------------------------

PRODUCTION = {"SigningCertificate": "PythonSoftwareFoundation"}


def asked(*, production: bool = False, fixed: dict[str, str] | None = None) -> dict[str, str]:
    return parameters_of(build(), git_remote="python", fixed=fixed or {}, production=production)


@pytest.mark.parametrize(
    "fixed",
    [
        {"SourceCommit": "empty"},
        {"SourceTag": "main"},
        {"GitRemote": "someone"},
        {"GitRemote": "(Other)", "GitRemote_Other": "someone"},
        {"GitRemote_Other": "someone"},
        {"DoPublish": "true"},
        {"DoPublish": "True"},
        {"DoPublish": "false"},
        {"BuildToPublish": "12345"},
        {"BuildToPackage": "12345"},
        {"SigningCertificate": "TestSign"},
        {"SigningCertificate": "Unsigned"},
        {"SigningCertificate": "Somebody Else"},
    ],
    ids=str,
)
def test_t21_parameters_that_would_take_something_else_are_refused_in_production(
    fixed: dict[str, str],
) -> None:
    with pytest.raises(CheckError) as refused:
        asked(production=True, fixed=fixed)
    assert refused.value.code == "WIN_PARAMS"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SourceCommit", "empty"),
        ("SourceCommit", COMMIT[:7]),
        ("SourceTag", "main"),
        ("GitRemote", "someone"),
        ("GitRemote_Other", "someone"),
        ("DoPublish", "True"),
        ("BuildToPublish", "12345"),
        ("SigningCertificate", "TestSign"),
        ("DoMSI", "false"),
    ],
)
def test_t21_a_run_that_was_told_something_else_is_refused(name: str, value: str) -> None:
    good = asked(production=True, fixed={"DoMSI": "true"})
    check_parameters({**good, "DoPGO": "true"}, good, production=True)
    with pytest.raises(CheckError, match=name) as refused:
        check_parameters({**good, name: value}, good, production=True)
    assert refused.value.code == "WIN_PARAMS"


@pytest.mark.parametrize("name", ["SourceCommit", "SourceTag", "GitRemote", "DoPublish"])
def test_t21_a_run_that_does_not_say_what_it_was_told_is_refused(name: str) -> None:
    good = asked()
    with pytest.raises(CheckError, match="missing"):
        check_parameters({key: good[key] for key in good if key != name}, good, production=False)


def test_i46_what_a_signing_rehearsal_is_told_differs_in_the_certificate_only() -> None:
    real, trial = asked(production=True), asked(fixed={"SigningCertificate": "TestSign"})
    assert {name for name in real if real[name] != trial[name]} == {"SigningCertificate"}
    with pytest.raises(CheckError) as refused:
        asked(fixed={"SigningCertificate": "PythonSoftwareFoundation"})
    assert refused.value.code == "WIN_PARAMS"


def test_i47_no_run_publishes_what_it_builds() -> None:
    assert asked(production=True)["DoPublish"] == "false"


def test_true_and_false_are_the_same_in_any_case() -> None:
    good = asked(fixed={"DoMSI": "true"})
    check_parameters({**good, "DoMSI": "True", "DoPublish": "False"}, good, production=False)


def test_hostile_strings_reach_no_parameter(tmp_path: Path) -> None:
    with service(tmp_path) as azure:
        at = pipeline(azure.url)
        for text in STRINGS:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}", text):
                refused_by(partial(pipeline(azure.url, git_remote=text).start, build=build()))
            for name in ("SigningCertificate", "BuildToPackage"):
                told = pipeline(azure.url, parameters={name: text})
                refused_by(partial(told.start, build=build()))
            refused_by(partial(at.start, build=build(options={"tag": text})))
            refused_by(partial(at.state, build=build(), run=text))
            refused_by(partial(at.cancel, build=build(), run=text))
        assert azure.runs == []
        assert azure.previews == 0


def refused_by(call: Callable[[], object]) -> None:
    with pytest.raises(ReleaseError) as refused:
        call()
    assert refused.value.code in {"WIN_PARAMS", "SERVICE_UNREADABLE"}, call


# --- archives ---------------------------------------------------------------------------------


def zipped(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


@pytest.mark.parametrize("text", [*STRINGS[::4], "../../x", "/etc/passwd", "a\\..\\x"])
def test_t43_no_name_in_a_zip_is_used_as_a_path(tmp_path: Path, text: str) -> None:
    data = zipped({"msi/good.exe": b"x"})
    if text.isprintable() and text.isascii() and text and len(text) < 200:
        data = zipped({"msi/good.exe": b"x", text: b"evil", f"{text}/deeper.exe": b"evil"})
    (tmp_path / "a.zip").write_bytes(data)
    (tmp_path / "inside" / "out").mkdir(parents=True)
    unzip(tmp_path / "a.zip", ["good.exe"], tmp_path / "inside" / "out")
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"a.zip", "inside/out/good.exe"}


def test_a_file_that_another_artifact_has_brought_already_is_refused(
    empty: Path, tmp_path: Path
) -> None:
    (empty / "good.exe").write_bytes(b"first")
    (tmp_path / "a.zip").write_bytes(zipped({"good.exe": b"second"}))
    with pytest.raises(CheckError) as refused:
        unzip(tmp_path / "a.zip", ["good.exe"], empty)
    assert refused.value.code == "UNLISTED_FILE"
    assert (empty / "good.exe").read_bytes() == b"first"


@given(at=st.integers(min_value=0), keep=st.integers(min_value=0))
@example(at=53_766_085_011_622_477, keep=0)  # then the file begins before the zip does
def test_a_damaged_zip_gives_the_right_bytes_or_a_refusal(at: int, keep: int) -> None:
    data = bytearray(zipped({"msi/good.exe": b"the right bytes" * 20}))
    data[at % len(data)] ^= 0x41
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.zip").write_bytes(bytes(data[: len(data) - keep % 5]))
        (folder / "out").mkdir()
        refusal = ""
        try:
            unzip(folder / "a.zip", ["good.exe"], folder / "out")
        except ReleaseError as error:
            refusal = error.code
        found = [path.read_bytes() for path in (folder / "out").iterdir()]
    if not refusal:
        assert found in ([], [b"the right bytes" * 20])
    assert refusal in {"", "SERVICE_UNREADABLE", "DELIVERY_UNFIT", "TOO_LARGE"}


def test_an_address_without_https_elsewhere_is_not_gone_to(tmp_path: Path, empty: Path) -> None:
    with service(tmp_path) as azure:
        at = pipeline(azure.url)
        run = at.start(build=build())
        ended(at, run)
        for place in ("http://example.org", "ftp://127.0.0.1", "http://a@127.0.0.1", "file:///etc"):
            azure.blobs = place
            with pytest.raises(WorldError) as refused:
                at.fetch(build=build(), run=run, folder=empty)
            assert refused.value.code == "SERVICE_UNREADABLE"
    assert [*empty.iterdir()] == []


def test_a_signed_address_stands_in_no_message(tmp_path: Path, empty: Path) -> None:
    with service(tmp_path) as azure:
        at = pipeline(azure.url)
        run = at.start(build=build())
        ended(at, run)
        azure.files = lambda _: {"msi": (), "embed": ()}
        azure.blobs += "/nowhere"
        with pytest.raises(WorldError, match="403") as refused:
            at.fetch(build=build(), run=run, folder=empty)
    assert azure.key not in str(refused.value)


# --- the description --------------------------------------------------------------------------


def resolved(spec: Schema, node: Schema) -> Schema:
    """Return a part of a description with its references and `allOf` put in."""
    while "$ref" in node:
        at = spec
        for word in node["$ref"].removeprefix("#/").split("/"):
            at = at[word]
        node = at
    if "allOf" in node:
        merged: Schema = {"type": "object", "properties": {}}
        for part in [*node["allOf"], {key: node[key] for key in node if key != "allOf"}]:
            whole = resolved(spec, part)
            merged["properties"] |= whole.get("properties", {})
            merged |= {key: whole[key] for key in whole if key != "properties"}
        return merged
    return node


def differences(  # noqa: PLR0911 (each is another way to differ)
    ours: Schema, theirs: Schema, mine: Schema, other: Schema, where: str
) -> list[str]:
    """Return where our description says something that Microsoft's does not."""
    mine, other = resolved(ours, mine), resolved(theirs, other)
    kinds = mine.get("type"), other.get("type", "string" if "enum" in other else None)
    if mine.get("type") == "object" and {*mine.get("properties", {})} == {"count", "value"}:
        return differences(ours, theirs, mine["properties"]["value"], other, where)
    if kinds[0] is not None and kinds[0] != kinds[1]:
        return [f"{where}: type {kinds}"]
    if not set(mine.get("enum") or ()) <= set(other.get("enum") or mine.get("enum") or ()):
        return [f"{where}: {mine['enum']} is not in {other['enum']}"]
    if mine.get("format", other.get("format")) != other.get("format"):
        return [f"{where}: format {mine.get('format')}, {other.get('format')}"]
    if "items" in mine:
        return differences(ours, theirs, mine["items"], other["items"], f"{where}[]")
    if isinstance(mine.get("additionalProperties"), dict):
        some, there = mine["additionalProperties"], other["additionalProperties"]
        return differences(ours, theirs, some, there, f"{where}.*")
    found: list[str] = []
    for name, field in mine.get("properties", {}).items():
        if name not in other.get("properties", {}):
            found.append(f"{where}.{name} is unknown")
        else:
            there = other["properties"][name]
            found += differences(ours, theirs, field, there, f"{where}.{name}")
    return found


def compared(ours: Schema, theirs: Schema, path: str, method: str) -> list[str]:
    """Compare one operation: parameters, the body, the answer."""
    mine, other = ours["paths"][path][method], theirs["paths"][path][method]
    where = f"{method} {path}"
    parameters = {
        (one["name"], one["in"]): one
        for one in (resolved(theirs, one) for one in other["parameters"])
    }
    found = []
    told = [resolved(ours, one) for one in mine["parameters"]]
    for one in told:
        there = parameters.get((one["name"], one["in"]))
        if there is None:
            found.append(f"{where}: the parameter {one['name']} is unknown")
        else:
            found += differences(ours, theirs, one["schema"], there, f"{where} {one['name']}")
    needed = {name for name, one in parameters.items() if one.get("required") and name[1] != "body"}
    here = {(one["name"], one["in"]) for one in told}
    found += [f"{where}: lacks {name}" for name, _ in needed - here]
    if "requestBody" in mine:
        schema = mine["requestBody"]["content"]["application/json"]["schema"]
        there = parameters["body", "body"]["schema"]
        found += differences(ours, theirs, schema, there, f"{where} body")
    schema = mine["responses"]["200"]["content"]["application/json"]["schema"]
    there = other["responses"]["200"]["schema"]
    return found + differences(ours, theirs, schema, there, f"{where} answer")


def test_our_description_says_nothing_that_microsofts_does_not() -> None:
    """Every operation, parameter, field, type and enum is there; lists are wrapped in a count."""
    if not (place := os.environ.get("RELKIT_AZURE_SPECS")):
        pytest.skip("RELKIT_AZURE_SPECS names no checkout of Microsoft's descriptions")
    ours = json.loads(SPEC.read_text(encoding="utf-8"))
    found = []
    for path, operations in ours["paths"].items():
        part = "pipelines" if "/_apis/pipelines" in path else "build"
        file = Path(place) / "specification" / part / "7.1" / f"{part}.json"
        theirs = json.loads(file.read_text(encoding="utf-8-sig"))
        for method in operations:
            found += compared(ours, theirs, path, method)
    assert found == []


def test_the_comparison_of_descriptions_sees_what_differs() -> None:
    ours = {"type": "object", "properties": {"state": {"type": "string", "enum": ["a"]}}}
    for theirs in (
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"state": {"type": "integer"}}},
        {"type": "object", "properties": {"state": {"type": "string", "enum": ["b"]}}},
        {"type": "array", "items": {}},
    ):
        assert differences({}, {}, ours, theirs, "x")


def test_every_word_of_state_that_the_description_has_is_understood() -> None:
    from relkit.adapters import azure_models as models  # noqa: PLC0415

    schemas = json.loads(SPEC.read_text(encoding="utf-8"))["components"]["schemas"]
    for schema, name, words in (
        ("Run", "state", models.RunState),
        ("Run", "result", models.RunResult),
        ("Build", "status", models.BuildStatus),
        ("Build", "result", models.Result),
        ("Record", "state", models.RecordState),
        ("Record", "result", models.RecordResult),
    ):
        assert {*schemas[schema]["properties"][name]["enum"]} == {*get_args(words)}
