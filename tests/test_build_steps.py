"""The steps from the builds to the closed manifest, planned with builds that say what a test says.

How they behave in a whole rehearsal is in test_steps.py and test_rehearsal.py.
"""

from __future__ import annotations

import hashlib
import json
import re
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relkit import values
from relkit.building.provenance import LOCAL_BUILDER, provenance
from relkit.building.sums import SUMS
from relkit.building.uploads import LIST, Said, read_list
from relkit.expected import SBOM
from relkit.kinds import RELEASES, Kind
from relkit.manifest import Manifest, expected, expected_of
from relkit.plan import Action, Check, Evidence, Result, Wait
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, Step, steps_of
from relkit.steps.build import compare_source, test_source
from relkit.steps.collect import (
    collect_docs,
    collect_macos,
    collect_mobile,
    collect_source,
    collect_windows,
    second,
    start_builds,
    tell_experts,
)
from relkit.steps.delivery import delivering, other_versions
from relkit.steps.experts import (
    approve_docs,
    approve_macos,
    approve_windows,
    confirm_notarisation,
)
from relkit.steps.sign import LATER, close_manifest, freeze_subjects, sign_artifacts
from relkit.values import (
    Artifact,
    Build,
    BuildResult,
    BuildState,
    Commit,
    Companion,
    Person,
    Tag,
)

COMMIT, TREE, TAG = "1" * 40, "2" * 40, "3" * 40
ALPHA = Release.parse("3.15.0a1", "", "2026-01-05")
FINAL = Release.parse("3.15.0", "", "2026-10-01")
BUGFIX = Release.parse("3.13.11", "", "2025-12-05")
SECURITY = Release.parse("3.12.13", "", "2026-03-03")
OLDER = Release.parse("3.11.15", "", "2026-03-03")
EVERY_RELEASE = [ALPHA, FINAL, BUGFIX, SECURITY]
PAYLOAD = "a" * 64
FACTS: dict[str, dict[str, Any]] = {
    "source": {"payload_sha256": PAYLOAD},
    "compare": {
        "unexplained": 0,
        "compared": 5000,
        "by_eol": 150,
        "left_out": ("130 Misc/NEWS.d", "5 .github"),
        "payload_sha256": PAYLOAD,
        "sboms": "2 equal",
    },
    "test": {
        "tests_expected": 9,
        "tests_run": 9,
        "tests_failed": 0,
        "venv": "made",
        "pip": "pip 26",
        "extension": "42",
    },
    "docs": {
        "unreleased": 0,
        "warnings": 0,
        "epubcheck": "not run: it is not installed",
        "seconds_html": 60.5,
    },
}


def name(given: object) -> str | None:
    """Return how a test of a release is called."""
    return given.name if isinstance(given, Release) else None


def artifact(name: str) -> Artifact:
    return Artifact(name=name, size=9, sha256=hashlib.sha256(name.encode()).hexdigest())


def version_in(name: str) -> str:
    """Return the version that a file's name states."""
    found = re.search(r"3\.[0-9]+\.[0-9]+(?:(?:a|b|rc)[0-9]+)?", name)
    return found[0] if found else ""


def sbom_of(name: str, sha256: str = "") -> str:
    """Return a small SBOM of a file."""
    package = {
        "SPDXID": "SPDXRef-PACKAGE-cpython",
        "name": "CPython",
        "versionInfo": version_in(name),
        "packageFileName": name,
        "downloadLocation": f"https://www.python.org/ftp/python/{name}",
        "filesAnalyzed": False,
        "checksums": [{"algorithm": "SHA256", "checksumValue": sha256 or artifact(name).sha256}],
    }
    document = {
        "SPDXID": "SPDXRef-DOCUMENT",
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "name": name,
        "documentNamespace": f"https://www.python.org/ftp/python/{name}{SBOM}",
        "creationInfo": {"created": "2026-01-05T12:00:00Z", "creators": ["Tool: relkit"]},
        "packages": [package],
        "files": [],
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relatedSpdxElement": "SPDXRef-PACKAGE-cpython",
                "relationshipType": "DESCRIBES",
            }
        ],
    }
    return json.dumps(document)


class Builders:
    """Builds that have all ended well, but for what a test says of them."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self.states: dict[str, BuildState] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        self.files: dict[str, tuple[Artifact, ...]] = {}
        self.texts: dict[str, str] = {}

    def state(self, *, name: str, nonce: str) -> BuildState:
        assert nonce == "run"
        return self.states.get(name, BuildState(status="done"))

    def result(self, *, name: str, nonce: str) -> BuildResult | None:
        assert nonce == "run"
        told = "source" if name == "rebuild" else name
        expected_files = tuple(artifact(one.name) for one in expected_of(self.release, told))
        files = self.files.get(name, expected_files)
        stamp = {"commit": COMMIT, "version": str(self.release.version)}
        facts = stamp | FACTS.get(name, {}) | self.facts.get(name, {})
        build = delivering(self.release, cast("World", SimpleNamespace(nonce=nonce)), COMMIT, told)
        made = second(build) if name == "rebuild" else build
        return BuildResult(
            files=files, facts=facts, provenance=provenance(made, files, facts) if files else ""
        )

    def read(self, *, name: str, nonce: str, file: Artifact) -> str | None:
        assert (nonce, name in {"source", "windows"}) == ("run", True)
        return self.texts.get(file.name, sbom_of(file.name.removesuffix(SBOM)))

    def started(self, *, name: str, nonce: str) -> bool:
        return self.state(name=name, nonce=nonce).status != "absent"

    def start(self, *, build: Build) -> None: ...
    def cancel(self, *, name: str, nonce: str) -> None: ...


class Shelf:
    """Collected files that are still what they were."""

    changed: tuple[str, ...] = ()

    def artifact(self, *, name: str) -> Artifact | None:
        return None if name in self.changed else artifact(name)

    def collect(self, *, name: str, sha256: str, build: str, nonce: str) -> None: ...
    def discard(self, *, name: str) -> None: ...
    def write(self, *, name: str, text: str) -> None: ...
    def read(self, *, name: str) -> None: ...


class Signers:
    """Signatures that are all good, but for one that is missing."""

    missing = ""

    def companion(self, *, scheme: str, name: str, sha256: str) -> Companion | None:
        assert artifact(name).sha256 == sha256
        if name == self.missing:
            return None
        return Companion.model_validate(
            {
                "scheme": scheme,
                "file": artifact(f"{name}.{scheme}"),
                "subject": artifact(name),
                "identity": "rika@example.org",
            }
        )

    def sign(self, *, scheme: str, name: str, sha256: str) -> None: ...
    def sign_all(self, *, scheme: str, files: tuple[Artifact, ...]) -> None: ...
    def companions(self, *, scheme: str, files: tuple[Artifact, ...]) -> None: ...
    def forget_all(self, *, scheme: str, files: tuple[Artifact, ...]) -> None: ...


class People:
    """Everybody with a role; nobody has said anything yet."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def roster(self) -> tuple[Person, ...]:
        roles = ("release-manager", "windows-expert", "macos-expert", "docs-expert", "web-editor")
        return tuple(Person(name=f"R. {role}", role=role, time_zone="UTC") for role in roles)

    def testimony(self, *, name: str) -> values.Testimony | None:
        if name not in self.said:
            return None
        return values.Testimony(name=name, who="M", role="macos-expert", text=self.said[name])

    def told(self, *, nonce: str) -> bool:
        return nonce in self.said

    def tell(self, *, nonce: str, subject: str, text: str, roles: tuple[str, ...]) -> None: ...


class Stand:
    """A world in which everything is as it should be, and what the steps before have left."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self.builders, self.shelf = Builders(release), Shelf()
        self.signers, self.people = Signers(), People()
        self.systems: tuple[str, ...] = ()
        self.made_by: dict[str, str] = {}
        tag = Tag(name=release.tag, tag_object=TAG, commit=COMMIT, signer="F")
        self.recorded: dict[str, Any] = {
            "commit-release": Commit(commit=COMMIT, tree=TREE, parents=()).to_data(),
            "tag-release": tag.to_data(),
        }

    @property
    def world(self) -> World:
        ports = {
            "builders": self.builders,
            "artifacts": self.shelf,
            "signers": self.signers,
            "people": self.people,
        }
        names = {"rebuild", *(one.build for one in expected(self.release))}
        policy = SimpleNamespace(
            digest="d" * 64, builders=dict.fromkeys(names, LOCAL_BUILDER) | self.made_by
        )
        return cast(
            "World",
            SimpleNamespace(
                **ports, nonce="run", tests=("test_int",), policy=policy, systems=self.systems
            ),
        )

    def plan(self, step: Step[Any]) -> list[Any]:
        return list(step.planner(self.release, self.world, Results(self.recorded)))

    def complete(self, *steps: Step[Any]) -> Stand:
        """Let the steps be complete with the results they plan."""
        for step in steps:
            if self.release.kind in step.kinds:
                self.recorded[step.name] = result(self.plan(step)).to_data()
        return self

    def collected(self) -> Stand:
        return self.complete(
            *(collect_source, collect_windows, collect_macos, collect_mobile, collect_docs)
        )


def failing(items: list[Any]) -> list[str]:
    return [one.code for one in items if isinstance(one, Check) and not one.ok and not one.warns]


def waits(items: list[Any]) -> dict[str, Wait]:
    return {one.what: one for one in items if isinstance(one, Wait)}


def actions(items: list[Any]) -> list[Action]:
    return [one for one in items if isinstance(one, Action)]


def called(item: Action) -> str:
    """Return the method that takes an action back; nothing for a sentence."""
    return "" if isinstance(item.undo, str) else item.undo.func.__name__


def result(items: list[Any]) -> Any:  # noqa: ANN401 (whatever the step hands on)
    return next(one.of for one in reversed(items) if isinstance(one, Result))


# --- starting ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "names"),
    [
        (ALPHA, ["source", "rebuild", "windows", "macos", "android", "ios"]),
        (FINAL, ["source", "rebuild", "windows", "macos", "android", "ios", "docs"]),
        (BUGFIX, ["source", "rebuild", "windows", "macos", "docs"]),
        (SECURITY, ["source", "rebuild", "docs"]),
    ],
    ids=name,
)
def test_exactly_the_builds_a_release_needs_are_started(release: Release, names: list[str]) -> None:
    made = [one.do.keywords["build"] for one in actions(Stand(release).plan(start_builds))]
    assert [one.name for one in made] == names
    assert {(one.commit, one.nonce) for one in made} == {(COMMIT, "run")}
    files = {one.name: one.options["files"] for one in made}
    archives = [one for one in files["source"].split(";") if not one.endswith(SBOM)]
    assert files["rebuild"].split(";") == archives
    assert set(";".join(files.values()).split(";")) == {one.name for one in expected(release)}


def test_a_second_party_need_not_describe_the_archives_but_must_make_both() -> None:
    stand = Stand(ALPHA)
    files = tuple(artifact(one.name) for one in expected_of(ALPHA, "source"))
    archives = tuple(one for one in files if not one.name.endswith(SBOM))
    stand.builders.files["rebuild"] = archives
    words = "two builds in different surroundings made the same bytes"
    found = {one.name: one.ok for one in stand.plan(collect_source) if isinstance(one, Check)}
    assert found[words] is True
    stand.builders.files["rebuild"] = archives[:1]
    found = {one.name: one.ok for one in stand.plan(collect_source) if isinstance(one, Check)}
    assert found[words] is False


def test_a_started_build_is_cancelled_to_take_it_back() -> None:
    stand = Stand(FINAL)
    for item in actions(stand.plan(start_builds)):
        undo = item.undo
        assert not isinstance(undo, str)
        assert undo.func.__name__ == "cancel"
        assert undo.keywords["name"] == item.do.keywords["build"].name


@pytest.mark.parametrize(
    ("release", "roles"),
    [
        (ALPHA, ("windows-expert", "macos-expert")),
        (FINAL, ("windows-expert", "macos-expert", "docs-expert")),
        (SECURITY, ("docs-expert",)),
    ],
    ids=name,
)
def test_only_the_experts_a_release_needs_are_told(
    release: Release, roles: tuple[str, ...]
) -> None:
    [told] = actions(Stand(release).plan(tell_experts))
    assert told.do.keywords["roles"] == roles
    assert COMMIT in told.do.keywords["text"]
    assert TAG in told.do.keywords["text"]


def asked_of(release: Release, **made_by: str) -> str:
    """Return what experts are told, where builds are made elsewhere."""
    stand = Stand(release)
    stand.made_by = made_by
    stand.systems = ("git.upstream: https://github.com/python/cpython.git", f"git.fork: {FORK}")
    [told] = actions(stand.plan(tell_experts))
    [again] = actions(stand.plan(tell_experts))
    assert told.do.keywords == again.do.keywords
    return str(told.do.keywords["text"])


FORK = "ssh://git@github.com/YOU/cpython.git"
INCOMING = "ssh://downloads.example.org/srv/incoming/macos"
MAC_PKG = "python-3.15.0-macos11.pkg"


def test_an_expert_who_uploads_learns_what_goes_where_with_what_beside_it_and_by_when() -> None:
    told = asked_of(FINAL, macos=INCOMING)
    part = told[told.index("## macos-expert") : told.index("## docs-expert")]
    wanted = f"\n    {MAC_PKG}\n    {LIST}\n"
    assert wanted in part
    assert "to downloads.example.org, into /srv/incoming/macos/3.15.0/," in part
    assert f"{LIST} alone, with the line `failed REASON`" in part
    assert "within 24 hours" in told
    assert "tell R. release-manager" in told
    assert f"git fetch {FORK} v3.15.0 && git checkout {COMMIT}" in told


def test_the_list_that_an_expert_is_shown_is_one_that_is_taken() -> None:
    told = asked_of(FINAL, macos=INCOMING)
    shown = told[told.index(f"    commit {COMMIT}") :].partition("\n\n")[0]
    text = "".join(f"{line.strip()}\n" for line in shown.splitlines())
    said = read_list(text.replace("SHA-256-OF-THE-FILE", "a" * 64))
    assert said == Said(COMMIT, "3.15.0", {MAC_PKG: "a" * 64})


def test_who_uploads_nothing_learns_who_makes_the_files_and_which_they_are() -> None:
    told = asked_of(FINAL, macos=INCOMING, windows="https://builds.example.org/pipelines/21")
    windows, docs = told[: told.index("## macos-expert")], told[told.index("## docs-expert") :]
    assert "Nothing to upload." in windows
    assert "made, by https://builds.example.org/pipelines/21," in windows
    assert all(f"\n    {one.name}\n" in windows for one in expected_of(FINAL, "windows"))
    assert "Nothing to upload." in docs
    assert "made, on the own machine," in docs


def test_a_security_release_waits_for_no_installers_i37() -> None:
    names = {one.name for one in steps_of(Kind.SECURITY)}
    assert not {one for one in names if "windows" in one or "macos" in one or "mobile" in one}
    assert "confirm-notarisation" not in names
    assert {"collect-docs", "approve-docs"} <= names


@pytest.mark.parametrize("kind", sorted(RELEASES))
def test_green_lights_come_after_the_trials_of_the_source(kind: Kind) -> None:
    names = [one.name for one in steps_of(kind)]
    lights = {"approve-windows", "approve-macos", "approve-docs"} & {*names}
    assert all(names.index("try-source") < names.index(one) for one in lights)
    assert names.index("tell-experts") < names.index("collect-source")


# --- collecting --------------------------------------------------------------------------------

COLLECTING = (collect_source, collect_windows, collect_macos, collect_mobile, collect_docs)


@pytest.mark.parametrize("release", EVERY_RELEASE, ids=name)
def test_a_healthy_release_is_collected_whole_and_nothing_fires(release: Release) -> None:
    stand = Stand(release)
    found: list[str] = []
    for step in (one for one in COLLECTING if release.kind in one.kinds):
        items = stand.plan(step)
        assert [
            *failing(items),
            *(one.what for one in waits(items).values() if not one.ready),
        ] == []
        taken = [one for one in actions(items) if one.do.func.__name__ == "collect"]
        names = [one.do.keywords["name"] for one in taken]
        assert sorted(names) == sorted(x.name for x in result(items).files)
        assert {called(one) for one in taken} <= {"discard"}
        found += [one.name for one in result(items).files]
    assert sorted(found) == sorted(one.name for one in expected(release))


BAD_FILES = [
    (("extra.exe",), "UNLISTED_FILE"),
    (("python-3.14.0-amd64.exe",), "OTHER_VERSION"),
    ((), "FILE_MISSING"),
]


@pytest.mark.parametrize(("names", "code"), BAD_FILES)
def test_other_files_than_the_expected_ones_are_not_collected(
    names: tuple[str, ...], code: str
) -> None:
    stand = Stand(ALPHA)
    stand.builders.files["macos"] = tuple(artifact(name) for name in names)
    assert code in failing(stand.plan(collect_macos))


@pytest.mark.parametrize("step", [collect_macos, collect_docs], ids=lambda one: one.name)
@pytest.mark.parametrize("facts", [{"commit": "9" * 40}, {"version": "3.15.0rc3"}])
def test_a_build_of_something_else_is_not_collected(step: Step[Any], facts: dict[str, str]) -> None:
    stand = Stand(FINAL)
    stand.builders.facts[step.name.removeprefix("collect-")] = facts
    assert failing(stand.plan(step)) == ["SUBJECT_MISMATCH"]


def test_no_file_is_named_after_another_version_i44() -> None:
    names = [one.name for one in expected(FINAL)]
    assert other_versions(FINAL, names) == []
    odd = ["python-3.14.0-macos11.pkg", "python-3.15.0rc1.exe", "python-3.15.1-docs.epub"]
    assert other_versions(FINAL, [*names, *odd, "python-3.15.0-amd64.exe"]) == odd


@pytest.mark.parametrize(
    ("facts", "codes"),
    [
        ({"unreleased": 2, "unreleased_in": ("a.html", "b.txt")}, ["DOCS_UNRELEASED"]),
        ({"unreleased": ""}, ["DOCS_UNRELEASED"]),
        ({"epubcheck": "it ended with status 1"}, ["EPUB_INVALID"]),
        ({"epubcheck": "1 fatal error, 2 errors", "epubcheck_fatal": 1}, ["EPUB_INVALID"]),
        ({"epubcheck": "no verdict: it ended with status 0"}, ["EPUB_INVALID"]),
        ({"epubcheck": "2 errors", "epubcheck_fatal": 0}, []),
        ({"epubcheck": "no errors"}, []),
    ],
)
def test_what_the_build_of_the_docs_says_is_looked_at_i49(
    facts: dict[str, Any], codes: list[str]
) -> None:
    stand = Stand(FINAL)
    stand.builders.facts["docs"] = facts
    assert failing(stand.plan(collect_docs)) == codes


def test_warnings_of_sphinx_are_shown_and_stop_nothing() -> None:
    stand = Stand(FINAL)
    stand.builders.facts["docs"] = {
        "warnings": 1,
        "warnings_first": ("a.rst: WARNING: twice",),
        "epubcheck": "no errors",
    }
    items = stand.plan(collect_docs)
    assert failing(items) == []
    [shown] = [one for one in items if isinstance(one, Check) and one.name.startswith("Sphinx")]
    assert (shown.ok, shown.warns, shown.found) == (False, True, "a.rst: WARNING: twice")


@pytest.mark.parametrize("said", ["not run: it is not installed", "2 errors"])
def test_a_book_that_nobody_checked_or_that_has_errors_is_a_warning(said: str) -> None:
    stand = Stand(FINAL)
    stand.builders.facts["docs"] = {"epubcheck": said, "epubcheck_fatal": 0}
    items = stand.plan(collect_docs)
    assert failing(items) == []
    [shown] = [one.found for one in items if isinstance(one, Check) and one.warns and not one.ok]
    assert shown == f"{said}."


def test_a_build_of_the_docs_that_counted_nothing_is_no_answer() -> None:
    stand = Stand(FINAL)
    stand.builders.facts["docs"] = {"unreleased": ""}
    [check] = [
        one for one in stand.plan(collect_docs) if getattr(one, "code", "") == "DOCS_UNRELEASED"
    ]
    assert check.ok is None


@pytest.mark.parametrize("status", ["absent", "lost", "running"])
def test_a_build_that_is_not_there_is_waited_for_and_started(status: Any) -> None:  # noqa: ANN401 (a literal)
    stand = Stand(FINAL)
    stand.builders.states = {"docs": BuildState(status=status), "macos": BuildState(status=status)}
    docs, macos = waits(stand.plan(collect_docs)), waits(stand.plan(collect_macos))
    wait = docs["the build docs"]
    assert (wait.ready, wait.waivable, bool(wait.start)) == (False, False, status != "running")
    assert macos["the build macos"].waivable


EXE = "python-3.15.0-amd64.exe"


@pytest.mark.parametrize(
    ("step", "name"),
    [(collect_source, "Python-3.15.0.tar.xz"), (collect_windows, EXE)],
    ids=["source", "windows"],
)
@pytest.mark.parametrize("text", [sbom_of("Python-3.15.0.tgz"), "{}", "", sbom_of(EXE, "f" * 64)])
def test_an_sbom_of_something_else_is_not_collected(step: Step[Any], name: str, text: str) -> None:
    """T24: it is read here, and compared with the digest that was computed here."""
    stand = Stand(FINAL)
    assert failing(stand.plan(step)) == []
    stand.builders.texts[f"{name}{SBOM}"] = text
    [code] = failing(stand.plan(step))
    assert code.startswith("SBOM_")


def test_an_sbom_that_is_missing_is_a_missing_file() -> None:
    stand = Stand(FINAL)
    files = (artifact(one.name) for one in expected_of(FINAL, "windows"))
    stand.builders.files["windows"] = tuple(one for one in files if one.name != f"{EXE}{SBOM}")
    assert failing(stand.plan(collect_windows)) == ["FILE_MISSING"]


def test_what_an_sbom_lacks_is_a_warning_that_names_it() -> None:
    stand = Stand(FINAL)
    lacks = ("pip 26.0: no download location", "idna 3.10: no download location")
    stand.builders.facts["source"] = {"sbom_lacks": lacks}
    items = stand.plan(collect_source)
    assert failing(items) == []
    [shown] = [one.found for one in items if isinstance(one, Check) and one.warns and not one.ok]
    assert shown == "; ".join(lacks)


# --- judging -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({"tests_failed": 2, "failures": ("test_a", "test_b")}, "9 run, 2 failed test_a test_b"),
        ({"tests_run": 0, "tests_failed": 1}, "0 run, 1 failed"),
        ({"tests_run": 0}, "0 run, 0 failed"),
        ({"tests_expected": 10}, "9 run, 0 failed; 0 skipped, 10 expected"),
        (
            {"tests_run": 8, "tests_expected": 10, "tests_skipped": 1, "files_skipped": ("a", "b")},
            "8 run, 0 failed; 1 skipped, 10 expected; nothing ran of a b",
        ),
    ],
)
def test_tests_that_fail_stop_the_release_with_their_counts(
    facts: dict[str, Any], found: str
) -> None:
    stand = Stand(ALPHA).complete(collect_source)
    stand.builders.facts["test"] = facts
    items = stand.plan(test_source)
    assert failing(items) == ["TESTS_FAILED"]
    [said] = [one.found for one in items if isinstance(one, Check) and one.code == "TESTS_FAILED"]
    assert f"{said}; ".startswith(f"{found}; ")


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"unexplained": 1}, "TREE_MISMATCH"),
        ({"compared": 0}, "TREE_MISMATCH"),
        ({"payload_sha256": "b" * 64}, "ARCHIVES_DIFFER"),
        ({"payload_sha256": ""}, "ARCHIVES_DIFFER"),
        ({"sboms": "1 equal"}, "SBOM_FILES"),
        ({"sboms": ""}, "SBOM_FILES"),
    ],
)
def test_archives_that_differ_from_the_tag_each_other_or_their_sboms_stop_the_release(
    facts: dict[str, Any], code: str
) -> None:
    stand = Stand(ALPHA).complete(collect_source)
    assert failing(stand.plan(compare_source)) == []
    stand.builders.facts["compare"] = facts
    assert failing(stand.plan(compare_source)) == [code]


def test_before_3_12_no_sbom_is_asked_for() -> None:
    stand = Stand(OLDER).complete(collect_source)
    stand.builders.facts["compare"] = {"sboms": "0 equal"}
    for step in (collect_source, compare_source):
        items = stand.plan(step)
        assert failing(items) == []
        assert not [one.name for one in items if isinstance(one, Check) and "SBOM" in one.name]


def test_the_levels_of_equality_are_shown_apart_with_what_is_allowed_and_why() -> None:
    items = Stand(ALPHA).complete(collect_source).plan(compare_source)
    [shown] = [one.text for one in items if isinstance(one, Evidence)]
    lines = [line.split()[0] for line in shown.splitlines() if line[0] != " "]
    assert lines == ["content", "payload", "bitwise"]
    assert "150 have the line ends" in shown
    assert "130 of the commit left out, Misc/NEWS.d: what Misc/NEWS is made of\n" in shown
    assert artifact("Python-3.15.0a1.tgz").sha256 in shown
    assert "no second party" in shown
    names = [one.name.partition(":")[0] for one in items if isinstance(one, Check)]
    assert {"content", "payload"} < {*names}


# --- experts -----------------------------------------------------------------------------------

PKG = artifact("python-3.15.0-macos11.pkg")
FORM = "Answer in this form: "


def test_the_macos_expert_is_asked_whether_exactly_the_collected_file_is_notarised() -> None:
    stand = Stand(FINAL).collected()
    [wait] = waits(stand.plan(confirm_notarisation)).values()
    assert (wait.ready, wait.whom) == (False, "macos-expert")
    assert wait.start is not None
    answer = wait.start.keywords["text"].partition(FORM)[2].strip()
    assert PKG.sha256 in answer
    stand.people.said["run-notarisation"] = answer
    items = stand.plan(confirm_notarisation)
    assert failing(items) == []
    assert [one.text for one in items if isinstance(one, Evidence)] == [answer]


@pytest.mark.parametrize("said", ["yes", "f" * 64, f"{PKG.sha256} or {'f' * 64}", PKG.sha256[:60]])
def test_an_answer_about_another_installer_is_refused(said: str) -> None:
    stand = Stand(FINAL).collected()
    stand.people.said["run-notarisation"] = said
    assert failing(stand.plan(confirm_notarisation)) == ["NOT_NOTARISED"]


@pytest.mark.parametrize(
    ("collect", "approve"),
    [
        (collect_windows, approve_windows),
        (collect_macos, approve_macos),
        (collect_docs, approve_docs),
    ],
)
def test_a_green_light_is_about_exactly_the_collected_files(
    collect: Step[Any], approve: Step[Any]
) -> None:
    stand = Stand(FINAL).collected()
    items = stand.plan(approve)
    files = tuple(one for one in items if isinstance(one, Artifact))
    assert files == Results(stand.recorded)[collect].files != ()


def test_the_documentation_expert_sees_what_was_checked_and_what_was_not() -> None:
    [shown] = [
        one for one in Stand(FINAL).collected().plan(approve_docs) if isinstance(one, Evidence)
    ]
    assert "epubcheck: not run" in shown.text
    assert "seconds" not in shown.text


# --- a platform is missing ---------------------------------------------------------------------


@pytest.fixture
def without_macos() -> Stand:
    """Return a release whose wait for the macOS expert was waived."""
    stand = Stand(FINAL)
    stand.builders.states["macos"] = BuildState(status="running")
    return stand.collected()


def test_a_platform_that_was_waived_leaves_nothing_to_confirm_or_decide(
    without_macos: Stand,
) -> None:
    assert without_macos.plan(confirm_notarisation) == []
    assert without_macos.plan(approve_macos) == []


def test_a_platform_that_was_waived_is_waived_once_more_and_told(without_macos: Stand) -> None:
    items = without_macos.plan(freeze_subjects)
    assert failing(items) == ["PLATFORM_MISSING"]
    [check] = [
        one
        for one in items
        if isinstance(one, Check) and one.code == "PLATFORM_MISSING" and not one.ok
    ]
    assert (check.name, check.waivable) == ("macos is not missing", True)
    manifest: Manifest = result(items)
    assert manifest.absent["macos"] == LATER
    assert PKG not in manifest.subjects
    assert len(manifest.subjects) == len(expected(FINAL)) - 1


def test_half_a_platform_closes_no_set() -> None:
    stand = Stand(FINAL).collected()
    stand.recorded["collect-windows"]["files"].pop()
    items = stand.plan(freeze_subjects)
    assert failing(items) == ["SET_NOT_CLOSED"]
    assert actions(items) == []


@pytest.mark.parametrize("step", ["collect-source", "collect-docs"])
def test_neither_source_nor_docs_are_a_platform_that_can_be_waived(step: str) -> None:
    stand = Stand(FINAL).collected()
    stand.recorded[step]["files"] = []
    assert failing(stand.plan(freeze_subjects)) == ["SET_NOT_CLOSED"]


# --- signing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("release", EVERY_RELEASE, ids=name)
def test_a_healthy_set_is_frozen_signed_and_closed(release: Release) -> None:
    stand = Stand(release).collected()
    assert failing(stand.plan(freeze_subjects)) == []
    stand.complete(freeze_subjects)
    signed = [
        (file.name, one.do.keywords["scheme"])
        for one in actions(stand.plan(sign_artifacts))
        for file in one.do.keywords["files"]
    ]
    named = {one.name for one in expected(release) if one.signed}
    assert {name for name, _ in signed} == named
    assert {scheme for _, scheme in signed} == (
        {"sigstore", "gpg"} if release.uses_gpg else {"sigstore"}
    )
    items = stand.plan(close_manifest)
    assert failing(items) == []
    closed: Manifest = result(items)
    sums = {one.do.keywords["name"]: one.do.keywords["text"] for one in actions(items)}[SUMS]
    assert len(sums.splitlines()) == len(closed.files)
    assert len(closed.companions) == len(signed)
    assert len(closed.subjects) == len(expected(release))


def test_signatures_and_manifests_are_put_aside_to_take_them_back() -> None:
    stand = Stand(FINAL).collected().complete(freeze_subjects)
    undone = {
        step.name: {called(one) for one in actions(stand.plan(step))}
        for step in (freeze_subjects, sign_artifacts, close_manifest)
    }
    assert undone == {
        "freeze-subjects": {"discard"},
        "sign-artifacts": {"forget_all"},
        "close-manifest": {"discard"},
    }


def test_a_collected_file_that_changed_is_not_frozen() -> None:
    stand = Stand(FINAL).collected()
    stand.shelf.changed = (PKG.name,)
    assert failing(stand.plan(freeze_subjects)) == ["DIGEST_CHANGED"]


def test_without_one_signature_nothing_is_closed() -> None:
    stand = Stand(FINAL).collected().complete(freeze_subjects)
    stand.signers.missing = PKG.name
    assert failing(stand.plan(close_manifest)) == ["SIGNATURE_MISSING"]
