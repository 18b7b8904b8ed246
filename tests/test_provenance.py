"""What builds say of how they made their files, and every way that can be refused (T17)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sigstore.dsse import Statement as SigstoreStatement
from test_build_steps import ALPHA, BUGFIX, COMMIT, FINAL, Builders, Stand, actions, called, failing

from relkit.building.job import Job
from relkit.building.provenance import (
    LOCAL_BUILDER,
    PREDICATE_TYPE,
    build_type,
    check_provenance,
    provenance,
    read_provenance,
)
from relkit.building.statement import Subject
from relkit.errors import CheckError
from relkit.plan import Check, Evidence
from relkit.release import Release, Version
from relkit.step import Step
from relkit.steps.collect import collect_docs, collect_mobile, collect_source, collect_windows
from relkit.values import Artifact, Build, BuildResult

OTHER = "f" * 40
FILES = (Subject("Python-3.15.0a1.tar.xz", "a" * 64), Subject("Python-3.15.0a1.tgz", "b" * 64))
BUILD = Build(
    name="source",
    nonce="run-1",
    version="3.15.0a1",
    commit="1" * 40,
    inputs=(Artifact(name="in.bin", size=3, sha256="c" * 64),),
    options={"tag": "v3.15.0a1", "files": "Python-3.15.0a1.tar.xz;Python-3.15.0a1.tgz"},
)
FACTS: dict[str, Any] = {
    "blurb": "2.3.0",
    "git": "git version 2.39.5",
    "gzip": "gzip 1.12",
    "make": "GNU Make 4.3",
    "makeinfo": "not wanted",
    "python": "3.11.7",
    "sphinx": "none is required by the tree",
    "tar": "1.35",
    "mtime": 1700000000,
    "seconds_archives": 4.2,
    "payload_bytes": 9,
}
STATED = provenance(BUILD, FILES, FACTS)
SWAPPED = (Subject(FILES[0].name, FILES[1].sha256), Subject(FILES[1].name, FILES[0].sha256))


def other(**changes: Any) -> str:  # noqa: ANN401 (a build's fields)
    """Return the statement of a build that was told something else."""
    return provenance(BUILD.model_copy(update=changes), FILES, FACTS)


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    """Return the statement with a change in its predicate."""
    data = json.loads(STATED)
    change(data["predicate"])
    return json.dumps(data)


def refused(text: str, **given: Any) -> tuple[str, str]:  # noqa: ANN401 (of check_provenance)
    """Return the code and the message with which a statement is refused."""
    expected: dict[str, Any] = {"build": BUILD, "files": FILES, "builder": LOCAL_BUILDER} | given
    with pytest.raises(CheckError) as caught:
        check_provenance(text, **expected)
    return caught.value.code, str(caught.value)


# --- what is written ----------------------------------------------------------------------------


def test_it_is_the_predicate_of_slsa_with_all_that_the_build_was_told() -> None:
    data = json.loads(STATED)
    definition, run = data["predicate"]["buildDefinition"], data["predicate"]["runDetails"]
    assert data["predicateType"] == PREDICATE_TYPE == "https://slsa.dev/provenance/v1"
    assert definition["buildType"] == "https://relkit.invalid/build/source/v1"
    assert definition["externalParameters"] == {
        "version": "3.15.0a1",
        "commit": "1" * 40,
        "options": BUILD.options,
        "inputs": {"in.bin": "c" * 64},
    }
    assert definition["internalParameters"] == {"mtime": "1700000000", "tar": "1.35"}
    assert definition["resolvedDependencies"] == [
        {"name": "refs/tags/v3.15.0a1", "digest": {"gitCommit": "1" * 40}},
        {"name": "in.bin", "digest": {"sha256": "c" * 64}},
        {"name": "blurb", "uri": "pkg:pypi/blurb@2.3.0"},
        {"name": "git", "uri": "pkg:generic/git@2.39.5"},
        {"name": "gzip", "uri": "pkg:generic/gzip@1.12"},
        {"name": "make", "uri": "pkg:generic/make@4.3"},
        {"name": "python", "uri": "pkg:generic/python@3.11.7"},
    ]
    assert run["builder"]["id"] == LOCAL_BUILDER
    assert run["metadata"] == {"invocationId": "run-1/source"}
    assert [one["name"] for one in data["subject"]] == [one.name for one in FILES]


def test_the_stock_reader_of_sigstore_takes_it() -> None:
    assert SigstoreStatement(STATED.encode())._contents == STATED.encode()


def test_the_same_build_says_the_same_however_long_it_took() -> None:
    slower = FACTS | {"seconds_archives": 99.9, "jobs": 8}
    assert provenance(BUILD, reversed(FILES), dict(reversed(slower.items()))) == STATED


def test_what_was_written_is_accepted_and_said_in_one_line() -> None:
    check_provenance(STATED, build=BUILD, files=FILES, builder=LOCAL_BUILDER)
    assert read_provenance(STATED).line == (
        f"commit {'1' * 40} (v3.15.0a1), built by {LOCAL_BUILDER}, "
        "with blurb 2.3.0, git 2.39.5, gzip 1.12, make 4.3, python 3.11.7"
    )


def test_a_version_with_strange_characters_is_kept() -> None:
    text = provenance(BUILD, FILES, {"git": "git version 2.39.5+next-1"})
    assert read_provenance(text).tools == {"git": "2.39.5+next-1"}


def test_a_build_without_a_tag_or_tools_can_say_what_it_made() -> None:
    plain = BUILD.model_copy(update={"options": {}, "inputs": ()})
    text = provenance(plain, FILES, {})
    check_provenance(text, build=plain, files=FILES, builder=LOCAL_BUILDER)
    shown = read_provenance(text).line
    assert shown.endswith(f"(no tag), built by {LOCAL_BUILDER}, which states no tools")


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code", "what"),
    [
        ("", "PROVENANCE_MISSING", "says nothing"),
        (other(name="rebuild"), "PROVENANCE_TYPE", build_type("rebuild")),
        (
            provenance(BUILD, FILES, FACTS, builder="https://x.org/ci"),
            "PROVENANCE_BUILDER",
            "builder https://x.org/ci, not",
        ),
        (other(commit=OTHER), "PROVENANCE_SOURCE", f"commit {OTHER}, not {'1' * 40}"),
        (
            other(options=BUILD.options | {"tag": "v3.15.0a2"}),
            "PROVENANCE_SOURCE",
            "tag v3.15.0a2, not v3.15.0a1",
        ),
        (other(options={}), "PROVENANCE_SOURCE", "tag no tag, not v3.15.0a1"),
        (other(version="3.15.0a2"), "PROVENANCE_PARAMETERS", "version 3.15.0a2"),
        (
            other(options=BUILD.options | {"tar": "1.34"}),
            "PROVENANCE_PARAMETERS",
            "options tar 1.34, not none of these",
        ),
        (other(inputs=()), "PROVENANCE_PARAMETERS", f"none of these, not in.bin {'c' * 64}"),
        (
            other(inputs=(Artifact(name="in.bin", size=3, sha256="d" * 64),)),
            "PROVENANCE_PARAMETERS",
            f"inputs in.bin {'d' * 64}, not in.bin {'c' * 64}",
        ),
        (other(nonce="run-2"), "PROVENANCE_PARAMETERS", "invocation run-2/source"),
        (provenance(BUILD, FILES[:1], FACTS), "PROVENANCE_SUBJECT", FILES[1].name),
        (
            provenance(BUILD, (*FILES, Subject("more.exe", "e" * 64)), FACTS),
            "PROVENANCE_SUBJECT",
            "more.exe",
        ),
        (
            provenance(BUILD, (FILES[0], Subject(FILES[1].name, "e" * 64)), FACTS),
            "PROVENANCE_SUBJECT",
            "e" * 64,
        ),
        (
            provenance(
                BUILD, [Subject(a.name, b.sha256) for a, b in zip(FILES, SWAPPED, strict=True)], {}
            ),
            "PROVENANCE_SUBJECT",
            "b" * 64,
        ),
        (STATED.replace("slsa.dev/provenance/v1", "x.org/v1"), "STATEMENT_INVALID", "x.org"),
        (STATED[:-3], "STATEMENT_INVALID", "no JSON"),
    ],
    ids=lambda value: ascii(value)[-24:],
)
def test_a_statement_about_something_else_is_refused(text: str, code: str, what: str) -> None:
    found, message = refused(text)
    assert found == code
    assert what in message


def test_who_makes_a_build_is_known_from_the_policy_alone() -> None:
    assert refused(STATED, builder=None)[0] == "PROVENANCE_BUILDER"
    assert refused(STATED, builder="")[0] == "PROVENANCE_BUILDER"
    assert refused(STATED, builder="https://x.org/ci")[0] == "PROVENANCE_BUILDER"


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("runDetails"),
        lambda data: data.update(buildDefinition=[]),
        lambda data: data.update(extra={}),
        lambda data: data["runDetails"]["metadata"].update(startedOn="2026-01-05T00:00:00Z"),
        lambda data: data["runDetails"]["metadata"].update(invocationId=7),
        lambda data: data["runDetails"]["builder"].pop("version"),
        lambda data: data["runDetails"]["builder"].update(builderDependencies=[]),
        lambda data: data["buildDefinition"].pop("buildType"),
        lambda data: data["buildDefinition"].update(resolvedDependencies={}),
        lambda data: data["buildDefinition"]["externalParameters"].pop("inputs"),
        lambda data: data["buildDefinition"]["externalParameters"].update(more="x"),
        lambda data: data["buildDefinition"]["externalParameters"].update(version=3),
        lambda data: data["buildDefinition"]["externalParameters"]["options"].update(tag=[]),
        lambda data: data["buildDefinition"]["internalParameters"].update(tar=1),
        *(
            lambda data, change=change: change(data["buildDefinition"]["resolvedDependencies"])
            for change in (
                lambda listed: listed.clear(),
                lambda listed: listed.reverse(),
                lambda listed: listed.append(listed[0]),
                lambda listed: listed.append("git"),
                lambda listed: listed.append({"name": "make", "uri": "pkg:generic/make@4.4"}),
                lambda listed: listed.append({"name": "wget", "uri": "pkg:generic/wget@1.21"}),
                lambda listed: listed.append({"uri": "pkg:generic/wget@1.21"}),
                lambda listed: listed[0]["digest"].update(gitCommit=OTHER),
                lambda listed: listed[0]["digest"].update(sha256="a" * 64),
                lambda listed: listed[0].update(name="refs/heads/main"),
                lambda listed: listed[1]["digest"].update(sha256="d" * 64),
                lambda listed: listed[2].update(uri="pkg:pypi/blurp@2.3.0"),
                lambda listed: listed[2].update(uri=7),
            )
        ),
    ],
)
def test_fields_that_are_missing_strange_or_against_each_other_are_refused(
    change: Callable[[dict[str, Any]], object],
) -> None:
    assert refused(changed(change))[0] == "STATEMENT_INVALID"


# --- a build process says it --------------------------------------------------------------------

STANDINS = "python-3.15.0a1-amd64.exe;python-3.15.0a1-arm64.exe"


def made(folder: Path, files: str = STANDINS, **around: str) -> tuple[dict[str, Any], Build]:
    """Let a process make stand-ins in a folder; return its outcome, and what it was told."""
    build = BUILD.model_copy(
        update={"name": "windows", "inputs": (), "options": {"files": files, "tag": "v3.15.0a1"}}
    )
    folder.mkdir(parents=True)
    places = dict.fromkeys(
        ("repository", "artifacts", "blurb", "site", "packages"), str(folder / "secret-place")
    )
    told = {
        "build": build.model_dump(mode="json"),
        "program": "relkit.rehearsal.standins:deliver",
        "started": "2026-01-05T00:00:00+00:00",
        "index": "",
        **places,
    }
    (folder / "job.json").write_text(json.dumps(told), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "relkit.building.builder", str(folder)],
        env={"PATH": os.environ["PATH"], **around},
        cwd=folder,
        capture_output=True,
        check=False,
    )
    outcome: dict[str, Any] = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
    return outcome, build


def test_a_build_says_how_it_made_its_files_and_it_is_so(tmp_path: Path) -> None:
    outcome, build = made(tmp_path / "attempt")
    result = BuildResult.model_validate({x: outcome[x] for x in outcome if x != "failure"})
    check_provenance(result.provenance, build=build, files=result.files, builder=LOCAL_BUILDER)
    assert read_provenance(result.provenance).settings == {"form": "stand-in"}


def test_a_build_says_the_same_in_other_surroundings_and_nothing_of_them(tmp_path: Path) -> None:
    first, _ = made(tmp_path / "a", LC_ALL="C.UTF-8", TZ="UTC", USER="rae", HOSTNAME="castle")
    other, _ = made(tmp_path / "other place", LC_ALL="C", TZ="Asia/Tokyo", PYTHONHASHSEED="7")
    assert first["provenance"] == other["provenance"] != ""
    for word in (str(tmp_path), "secret-place", "rae", "castle", "2026", os.uname().nodename):
        assert word not in first["provenance"], word


@pytest.mark.parametrize("files", ["python.msix", "../python.exe"])
def test_a_build_that_failed_says_nothing(tmp_path: Path, files: str) -> None:
    outcome, _ = made(tmp_path / "attempt", files)
    assert outcome["failure"].startswith("BUILD_UNKNOWN")
    assert (outcome["provenance"], outcome["files"]) == ("", [])


def test_a_job_of_a_process_says_what_the_build_of_the_plan_would(tmp_path: Path) -> None:
    told = BUILD.model_dump(mode="json")
    places = dict.fromkeys(("repository", "artifacts", "blurb", "site", "packages"), "/x")
    (tmp_path / "job.json").write_text(json.dumps({"build": told, "index": "", **places}))
    job = Job.read(tmp_path)
    assert job.version == Version.parse("3.15.0a1")
    assert provenance(job, FILES, FACTS) == STATED


# --- the steps ----------------------------------------------------------------------------------


def stated(items: list[Any]) -> Check:
    return next(one for one in items if isinstance(one, Check) and "provenance" in one.name)


@pytest.mark.parametrize(
    ("step", "name"),
    [(collect_source, "source"), (collect_docs, "docs"), (collect_windows, "windows")],
)
def test_a_collected_build_is_shown_in_a_line_and_kept_beside_its_files(
    step: Step[Any],
    name: str,
) -> None:
    items = Stand(FINAL).plan(step)
    assert failing(items) == []
    check = stated(items)
    assert COMMIT in check.name
    assert LOCAL_BUILDER in check.name
    assert FINAL.tag in check.name
    shown = next(one for one in items if isinstance(one, Evidence))
    assert shown.title == f"Provenance of {name}"
    assert shown.text.startswith(f"commit {COMMIT} (v3.15.0), built by")
    kept = next(one for one in actions(items) if one.do.func.__name__ == "write")
    assert kept.do.keywords["name"] == f"provenance-{name}.json"
    assert read_provenance(kept.do.keywords["text"]).commit == COMMIT
    assert kept.done.equals == kept.do.keywords["text"]
    assert called(kept) == "discard"


def test_each_platform_has_its_own_statement() -> None:
    names = [
        one.do.keywords["name"]
        for one in actions(Stand(FINAL).plan(collect_mobile))
        if one.do.func.__name__ == "write"
    ]
    assert names == ["provenance-android.json", "provenance-ios.json"]


class Telling(Builders):
    """Builds of which one says something else of its files, or nothing."""

    def __init__(self, release: Release, build: str, change: Callable[[str], str]) -> None:
        super().__init__(release)
        self.build, self.change = build, change

    def result(self, *, name: str, nonce: str) -> BuildResult | None:
        found = super().result(name=name, nonce=nonce)
        if found is None or name != self.build:
            return found
        return found.model_copy(update={"provenance": self.change(found.provenance)})


def telling(release: Release, build: str, change: Callable[[str], str]) -> Stand:
    stand = Stand(release)
    stand.builders = Telling(release, build, change)
    return stand


@pytest.mark.parametrize(
    ("step", "name", "waivable"),
    [(collect_source, "source", False), (collect_windows, "windows", True)],
)
def test_without_a_statement_only_an_experts_build_can_be_let_through(
    step: Step[Any],
    name: str,
    waivable: bool,  # noqa: FBT001 (of the table)
) -> None:
    items = telling(BUGFIX, name, lambda _: "").plan(step)
    assert failing(items) == ["PROVENANCE_MISSING"]
    assert stated(items).waivable == waivable
    assert stated(items).name == stated(Stand(BUGFIX).plan(step)).name
    assert not [one for one in actions(items) if one.do.func.__name__ == "write"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text.replace(COMMIT, OTHER), "PROVENANCE_SOURCE"),
        (lambda text: text.replace("v3.15.0a1", "v3.15.0a0"), "PROVENANCE_SOURCE"),
        (lambda text: text.replace(LOCAL_BUILDER, "https://x.org"), "PROVENANCE_BUILDER"),
        (lambda text: text.replace("/build/windows/", "/build/macos/"), "PROVENANCE_TYPE"),
        (lambda text: text.replace('"run/windows"', '"ran/windows"'), "PROVENANCE_PARAMETERS"),
        (lambda text: text.replace('-amd64.exe"}', '-amd65.exe"}'), "PROVENANCE_SUBJECT"),
        (lambda text: f"{text}}}", "STATEMENT_INVALID"),
    ],
)
def test_nobody_lets_a_build_through_that_says_something_else(
    change: Callable[[str], str], code: str
) -> None:
    items = telling(ALPHA, "windows", change).plan(collect_windows)
    assert failing(items) == [code]
    assert not stated(items).waivable
