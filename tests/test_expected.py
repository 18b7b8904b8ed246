"""The table of the expected set against what real releases had.

Each release below names where its list is from. Where relkit knowingly makes something else, the
entry says what and why: `more` is what only relkit has, `less` what only the release had.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest

from relkit.expected import (
    FILES,
    SBOM,
    SUFFIXES,
    absent,
    builds,
    docs_archive,
    expected,
    expected_of,
    folder_of,
    folders,
    pages,
    purged_pages,
    schemes,
    signatures,
    unwanted,
)
from relkit.kinds import RELEASES, TRANSITIONS, Kind
from relkit.release import Release

SCRIPT = (
    "a public download script of October 2024, made from python.org's downloads API: every "
    "release of that day with its files, signatures and SBOMs"
)
LISTING = (
    "the directory listing of ftp/python/3.14.0 in June 2025, in the tests of python/release-tools"
)
MANAGER_CAME_LATER = (
    "the Python install manager is of 2025; its packages and the release manifest were added to "
    "older folders afterwards, and belong to 3.13 releases since then"
)
NO_MOBILE_YET = "Android files began with the betas of 3.14; relkit makes them from its alphas on"
SBOMS_CAME_LATER = "the first SBOMs of CPython are of February 2024, the first for Windows of June"
DOCS_ELSEWHERE = "the list is of ftp/python/<version>; docs archives lie in ftp/python/doc"

SOURCE = ("Python-{v}.tgz", "Python-{v}.tar.xz")
INSTALLERS = ("python-{v}-amd64.exe", "python-{v}.exe")
EMBEDDED = ("python-{v}-embed-amd64.zip", "python-{v}-embed-win32.zip")
ARM = ("python-{v}-arm64.exe", "python-{v}-embed-arm64.zip")
MACOS = ("python-{v}-macos11.pkg",)
FREE_THREADED = ("python-{v}t-amd64.zip", "python-{v}t-arm64.zip", "python-{v}t-win32.zip")
MANAGED = (
    *("python-{v}-amd64.zip", "python-{v}-arm64.zip", "python-{v}-win32.zip"),
    "python-{v}-embeddable-amd64.zip",
    "python-{v}-embeddable-arm64.zip",
    "python-{v}-embeddable-win32.zip",
    *("python-{v}-test-amd64.zip", "python-{v}-test-arm64.zip", "python-{v}-test-win32.zip"),
    "windows-{v}.json",
)
ANDROID = ("python-{v}-aarch64-linux-android.tar.gz", "python-{v}-x86_64-linux-android.tar.gz")
SOURCE_SBOMS = tuple(f"{name}{SBOM}" for name in SOURCE)
WINDOWS_SBOMS = tuple(f"{name}{SBOM}" for name in (*INSTALLERS, *EMBEDDED, *ARM))
SBOMS = (*SOURCE_SBOMS, *WINDOWS_SBOMS)
"""None of another file: not of the macOS installers, nor of the packages of the install manager."""
DOCS = (
    *("python-{v}-docs-html.tar.bz2", "python-{v}-docs-html.zip"),
    *("python-{v}-docs-text.tar.bz2", "python-{v}-docs-text.zip"),
    *("python-{v}-docs-texinfo.tar.bz2", "python-{v}-docs-texinfo.zip"),
    "python-{v}-docs.epub",
)


@dataclass(frozen=True)
class Real:
    """A release that was made: its kind, its files, and where the list is from."""

    version: str
    date: str
    kind: Kind
    source: str
    files: tuple[str, ...]
    gpg: bool = True
    more: dict[str, tuple[str, ...]] = field(default_factory=dict)
    less: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def release(self) -> Release:
        """The release as relkit reads it."""
        return Release.parse(self.version, "", self.date)

    def names(self, *groups: tuple[str, ...]) -> set[str]:
        """Return names with the version in them."""
        return {name.format(v=self.version) for group in groups for name in group}


REAL = (
    Real(
        "3.9.9",
        "2021-11-15",
        Kind.BUGFIX,
        SCRIPT,
        (
            *(*SOURCE, *INSTALLERS, *EMBEDDED, "python399.chm"),
            *("python-{v}-macosx10.9.pkg", *MACOS),
        ),
        more={DOCS_ELSEWHERE: DOCS},
    ),
    Real(
        "3.10.0",
        "2021-10-04",
        Kind.FINAL,
        SCRIPT,
        (*SOURCE, *INSTALLERS, *EMBEDDED, "python3100.chm", "python-{v}post2-macos11.pkg"),
        more={
            DOCS_ELSEWHERE: DOCS,
            "the macOS installer was replaced twice; relkit replaces no published file": MACOS,
        },
        less={
            "a replaced installer; relkit mends by another release": (
                "python-{v}post2-macos11.pkg",
            )
        },
    ),
    Real(
        "3.10.7",
        "2022-09-06",
        Kind.BUGFIX,
        f"{SCRIPT}; docs: NixOS/nixpkgs, pkgs/development/interpreters/python/cpython/docs",
        (
            *(*SOURCE, *INSTALLERS, *EMBEDDED, "python3107.chm", *MACOS),
            "python-{v}-docs-html.tar.bz2",
            "python-{v}-docs-text.tar.bz2",
            "python-{v}-docs-texinfo.tar.bz2",
        ),
        more={
            "nixpkgs takes one archive of each form": tuple(
                name for name in DOCS if not name.endswith(".tar.bz2")
            )
        },
    ),
    Real(
        "3.11.8",
        "2024-02-06",
        Kind.BUGFIX,
        SCRIPT,
        (*SOURCE, *INSTALLERS, *EMBEDDED, *ARM, *MACOS),
        more={DOCS_ELSEWHERE: DOCS},
    ),
    Real(
        "3.12.1",
        "2023-12-07",
        Kind.BUGFIX,
        SCRIPT,
        (*SOURCE, *INSTALLERS, *EMBEDDED, *ARM, *MACOS),
        more={DOCS_ELSEWHERE: DOCS, SBOMS_CAME_LATER: SBOMS},
    ),
    Real(
        "3.12.3",
        "2024-04-09",
        Kind.BUGFIX,
        SCRIPT,
        (*SOURCE, *SOURCE_SBOMS, *INSTALLERS, *EMBEDDED, *ARM, *MACOS),
        more={DOCS_ELSEWHERE: DOCS, SBOMS_CAME_LATER: WINDOWS_SBOMS},
    ),
    Real(
        "3.12.7",
        "2024-10-01",
        Kind.BUGFIX,
        SCRIPT,
        (*SOURCE, *INSTALLERS, *EMBEDDED, *ARM, *MACOS, *SBOMS),
        more={DOCS_ELSEWHERE: DOCS},
    ),
    Real(
        "3.13.0",
        "2024-10-07",
        Kind.FINAL,
        SCRIPT,
        (*SOURCE, *INSTALLERS, *EMBEDDED, *ARM, *MACOS, *SBOMS),
        more={DOCS_ELSEWHERE: DOCS, MANAGER_CAME_LATER: (*MANAGED, *FREE_THREADED)},
    ),
    *(
        Real(version, date, Kind.SECURITY, SCRIPT, SOURCE, more={DOCS_ELSEWHERE: DOCS})
        for version, date in (
            ("3.11.10", "2024-09-07"),
            ("3.10.15", "2024-09-07"),
            ("3.9.20", "2024-09-06"),
        )
    ),
    Real(
        "3.14.0a1",
        "2024-10-15",
        Kind.ALPHA,
        LISTING,
        (*SOURCE, *INSTALLERS, *EMBEDDED, *ARM, *MACOS, *MANAGED, *SBOMS),
        gpg=False,
        more={
            NO_MOBILE_YET: ANDROID,
            "packages without the GIL came a little later": FREE_THREADED,
        },
    ),
    Real(
        "3.14.0b3",
        "2025-06-17",
        Kind.BETA,
        LISTING,
        (
            *(*SOURCE, *INSTALLERS, *EMBEDDED, *ARM, *MACOS, *MANAGED, *FREE_THREADED),
            *(*ANDROID, "python-{v}-iOS-XCframework.tar.gz", *SBOMS),
        ),
        gpg=False,
        less={
            "a test of release-tools added it to the list; iOS files began with 3.15.0b1": (
                "python-{v}-iOS-XCframework.tar.gz",
            )
        },
    ),
    Real(
        "3.14.5rc1",
        "2026-05-04",
        Kind.RC_1,
        "microsoft/winget-pkgs, manifests/p/Python/Python/3/14/3.14.5rc1",
        (*INSTALLERS, "python-{v}-arm64.exe"),
        gpg=False,
        more={
            "winget has only the installers": (
                *(*SOURCE, *EMBEDDED, "python-{v}-embed-arm64.zip", *MACOS, *MANAGED),
                *(*FREE_THREADED, *ANDROID, *DOCS, *SBOMS),
            )
        },
    ),
)

RELEASE_OF = {
    Kind.ALPHA: ("3.15.0a1", "2026-05-05"),
    Kind.BETA_1: ("3.15.0b1", "2026-05-07"),
    Kind.BETA: ("3.15.0b2", "2026-06-02"),
    Kind.RC_1: ("3.15.0rc1", "2026-08-04"),
    Kind.RC: ("3.15.0rc2", "2026-09-01"),
    Kind.FINAL: ("3.15.0", "2026-10-01"),
    Kind.BUGFIX: ("3.13.13", "2026-04-07"),
    Kind.SECURITY: ("3.12.13", "2026-03-03"),
}


def release_of(kind: Kind) -> Release:
    return Release.parse(RELEASE_OF[kind][0], kind, RELEASE_OF[kind][1])


@pytest.mark.parametrize("real", REAL, ids=lambda real: real.version)
def test_the_table_has_what_the_release_had_but_for_what_is_told_here(real: Real) -> None:
    ours = {file.name for file in expected(real.release)}
    theirs = real.names(real.files)
    assert real.release.kind == real.kind
    assert ours - theirs == real.names(*real.more.values())
    assert theirs - ours == real.names(*real.less.values())
    assert real.release.uses_gpg == real.gpg


def test_real_releases_of_at_least_five_kinds_are_compared() -> None:
    assert len(REAL) >= 6
    assert len({real.kind for real in REAL}) >= 5
    assert all(real.source for real in REAL)


def test_rows_are_those_of_the_table_of_release_tools() -> None:
    """What its test says of 3.14.0b3: name, title, system, button, description."""
    release = Release.parse("3.14.0b3", "", "2025-06-17")
    rows = {
        file.name: (file.title, file.system, file.button, file.description)
        for file in expected(release)
        if file.system
    }
    assert rows == {
        "Python-3.14.0b3.tar.xz": ("XZ compressed source tarball", "source", True, ""),
        "Python-3.14.0b3.tgz": ("Gzipped source tarball", "source", False, ""),
        "python-3.14.0b3-aarch64-linux-android.tar.gz": (
            "Android embeddable package (aarch64)",
            "android",
            False,
            "",
        ),
        "python-3.14.0b3-x86_64-linux-android.tar.gz": (
            "Android embeddable package (x86_64)",
            "android",
            False,
            "",
        ),
        "python-3.14.0b3-amd64.exe": (
            "Windows installer (64-bit)",
            "windows",
            True,
            "Recommended",
        ),
        "python-3.14.0b3-arm64.exe": (
            "Windows installer (ARM64)",
            "windows",
            False,
            "Experimental",
        ),
        "python-3.14.0b3.exe": ("Windows installer (32-bit)", "windows", False, ""),
        "python-3.14.0b3-embed-amd64.zip": (
            "Windows embeddable package (64-bit)",
            "windows",
            False,
            "",
        ),
        "python-3.14.0b3-embed-arm64.zip": (
            "Windows embeddable package (ARM64)",
            "windows",
            False,
            "",
        ),
        "python-3.14.0b3-embed-win32.zip": (
            "Windows embeddable package (32-bit)",
            "windows",
            False,
            "",
        ),
        "python-3.14.0b3-macos11.pkg": (
            "macOS installer",
            "macos",
            True,
            "for macOS 10.15 and later",
        ),
        "windows-3.14.0b3.json": (
            "Windows release manifest",
            "windows",
            False,
            "Install with 'py install 3.14'",
        ),
    }


@pytest.mark.parametrize(
    ("version", "date", "since"),
    [("3.13.13", "2026-04-07", "10.13"), ("3.14.4", "2026-04-07", "10.15")],
)
def test_the_macos_installer_says_what_it_needs(version: str, date: str, since: str) -> None:
    release = Release.parse(version, "", date)
    assert [one.description for one in expected_of(release, "macos")] == [
        f"for macOS {since} and later"
    ]


@pytest.mark.parametrize("kind", sorted(RELEASES))
def test_every_file_is_named_once_and_delivered_by_one_build(kind: Kind) -> None:
    release = release_of(kind)
    names = [one.name for one in expected(release)]
    assert len({name.lower() for name in names}) == len(names)
    archives = [name for name in names if not name.endswith(SBOM)]
    assert archives[:2] == [f"Python-{release.version}.tgz", f"Python-{release.version}.tar.xz"]
    docs = ("docs",) if release.facts.docs else ()
    assert builds(release) == ("source", *release.platforms, *docs)
    found = [one for build in builds(release) for one in expected_of(release, build)]
    assert found == list(expected(release))
    assert expected_of(release, "solaris") == ()
    assert all(str(release.version) in name for name in names)


@pytest.mark.parametrize("kind", sorted(RELEASES))
def test_docs_have_a_folder_of_their_own_and_no_row_and_no_signature(kind: Kind) -> None:
    release = release_of(kind)
    docs = expected_of(release, "docs")
    assert bool(docs) == release.facts.docs
    for file in expected(release):
        own = f"ftp/python/doc/{release.version}"
        assert file.folder == (own if file in docs else f"ftp/python/{release.version.base}")
    assert not any(file.signed or file.system for file in docs)
    if docs:
        assert docs_archive(release) in {file.name for file in docs}


@pytest.mark.parametrize("kind", sorted(RELEASES))
def test_each_system_has_at_most_one_button_and_source_always_one(kind: Kind) -> None:
    buttons = Counter(file.system for file in expected(release_of(kind)) if file.button)
    assert set(buttons.values()) == {1}
    assert "source" in buttons


@pytest.mark.parametrize("kind", sorted(TRANSITIONS))
def test_a_transition_has_no_files(kind: Kind) -> None:
    series = {Kind.BEGIN_BUGFIX: "3.15", Kind.BEGIN_SECURITY_ONLY: "3.13"}.get(kind, "3.10")
    release = Release.parse(series, kind, "2026-11-02")
    assert expected(release) == ()
    assert "installers" not in absent(release)


@pytest.mark.parametrize("kind", sorted(RELEASES))
def test_a_signature_lies_beside_its_file(kind: Kind) -> None:
    release = release_of(kind)
    found = folders(release)
    for name, scheme in signatures(release):
        assert found[f"{name}{SUFFIXES[scheme]}"] == found[name]
        assert folder_of(release, f"{name}{SUFFIXES[scheme]}") == found[name]
    assert len(found) == len(expected(release)) + len(signatures(release))


def test_the_signatures_of_a_release_follow_from_its_version_alone() -> None:
    """I02, I03: 3.8.20, 3.9.20 and 3.10.16 were published without their GPG signatures."""
    for version, date in (("3.9.20", "2024-09-06"), ("3.10.16", "2024-12-03")):
        release = Release.parse(version, "", date)
        assert schemes(release) == ("sigstore", "gpg")
        assert {scheme for _, scheme in signatures(release)} == {"sigstore", "gpg"}
    assert schemes(release_of(Kind.FINAL)) == ("sigstore",)


def test_a_package_of_the_install_manager_is_vouched_for_by_the_signed_release_manifest() -> None:
    files = {file.name: file for file in expected(release_of(Kind.ALPHA))}
    assert files["windows-3.15.0a1.json"].signed
    unsigned = [name for name, file in files.items() if not file.signed]
    assert unsigned
    assert all(name.endswith(".zip") and not files[name].system for name in unsigned)


@pytest.mark.parametrize("kind", sorted(RELEASES))
def test_an_sbom_comes_with_its_file_and_is_signed_and_has_no_row(kind: Kind) -> None:
    """T24: those of real releases were not signed, though who has them trusts what they say."""
    release = release_of(kind)
    files = {file.name: file for file in expected(release)}
    sboms = [file for file in files.values() if file.name.endswith(SBOM)]
    described = {one.name: files[one.name.removesuffix(SBOM)] for one in sboms}
    assert {file.build for file in sboms} == {"source", *release.platforms} & {"source", "windows"}
    for sbom in sboms:
        file = described[sbom.name]
        assert (sbom.build, sbom.folder) == (file.build, file.folder)
        assert (sbom.signed, sbom.system, sbom.button) == (file.signed, "", False)
        assert file.system
    signed = {name for name, _ in signatures(release)}
    assert described.keys() <= signed


def test_before_3_12_there_is_no_sbom_and_none_must_be_public() -> None:
    release = Release.parse("3.11.15", "", "2026-03-03")
    assert not [name for name in folders(release) if SBOM in name]
    must_not = {name for _, name in unwanted(release)}
    assert {"Python-3.11.15.tgz.spdx.json", "python-3.11.15.exe.spdx.json"} <= must_not


def test_a_security_release_is_source_and_docs_and_waits_for_no_installers() -> None:
    """I37: one waited for files that never come."""
    release = release_of(Kind.SECURITY)
    assert builds(release) == ("source", "docs")
    assert set(absent(release)) == {"installers"}
    must_not = {name for _, name in unwanted(release)}
    assert "python-3.12.13-amd64.exe" in must_not
    assert "python-3.12.13-amd64.exe.spdx.json" in must_not
    assert "Python-3.12.13.tgz.spdx.json" not in must_not
    assert "python-3.12.13-macos11.pkg.asc" in must_not
    assert "Python-3.12.13.tgz.asc" not in must_not


def test_what_is_absent_says_why() -> None:
    assert set(absent(release_of(Kind.ALPHA))) == {"sbom", "gpg"}
    assert set(absent(release_of(Kind.BUGFIX))) == {"sbom"}
    assert "only source archives" in absent(release_of(Kind.BUGFIX))["sbom"]
    assert "3.12" in absent(Release.parse("3.11.15", "", "2026-03-03"))["sbom"]
    assert all(reason for kind in RELEASES for reason in absent(release_of(kind)).values())


@pytest.mark.parametrize("kind", sorted(RELEASES))
def test_nothing_is_wanted_and_unwanted(kind: Kind) -> None:
    release = release_of(kind)
    wanted = set(folders(release))
    must_not = {name for _, name in unwanted(release)}
    assert must_not.isdisjoint(wanted)
    gpg = {f"{name}.asc" for name, _ in signatures(release)}
    assert gpg <= (wanted if release.uses_gpg else must_not)
    docs = {f"python-{release.version}-docs.epub"}
    assert docs <= (wanted if release.facts.docs else must_not)


def test_from_3_16_on_the_install_manager_takes_the_place_of_the_installers() -> None:
    """PEP 773; the pipeline of CPython's Windows builds says the same."""
    names = [one.name for one in expected(Release.parse("3.16.0a1", "", "2026-10-13"))]
    assert not [name for name in names if name.endswith(".exe")]
    assert {"windows-3.16.0a1.json", "python-3.16.0a1-embed-amd64.zip"} <= set(names)


def test_a_preview_is_shown_by_its_own_page_only() -> None:
    assert pages(release_of(Kind.RC)) == ("/downloads/release/python-3150rc2/",)
    assert pages(release_of(Kind.FINAL)) == ("/downloads/release/python-3150/", "/downloads/")


@pytest.mark.parametrize("kind", sorted(RELEASES))
def test_every_page_that_must_show_a_release_is_purged(kind: Kind) -> None:
    release = release_of(kind)
    assert set(pages(release)) <= set(purged_pages(release))
    systems = {file.system for file in expected(release)} - {""}
    assert {f"/downloads/{system}/" for system in systems} <= set(purged_pages(release))


def test_no_row_of_the_table_is_for_no_version() -> None:
    assert all(row.since <= row.until for row in FILES)
