"""The expected set: what a release must have, where each file is public, and what must not exist.

One table. From a release follow its files with their exact names, who delivers them, how they are
signed, and what python.org says of each. Steps and verification read it; nobody repeats it.

Names and titles are those of the releases from 3.9 to 3.15, as python.org listed them and as the
tools of CPython's release managers make them (July 2026); tests/test_expected.py compares them
with real releases. What relkit does in another way is told there, release by release.
"""

from __future__ import annotations

from dataclasses import dataclass

from relkit.release import Release
from relkit.values import FileName, Value

FILE_MODE = "0644"
"""Readers can read every public file. (I16: some could not.)"""
FIRST_WITH_SBOM = 12
SBOM = ".spdx.json"
"""What the name of a file's SBOM ends with, after the name of the file."""
STORE_PRODUCTS = {13: "9PNRBTZXMB4Z"}
"""The Windows Store's product of each minor version that has a package of its own there: until
3.13; later ones are installed by the Python install manager. What is older has no bugfixes."""
NEWEST = 99
SUFFIXES = {"sigstore": ".sigstore", "gpg": ".asc"}


class ExpectedFile(Value):
    """One file a release must have: `build` delivers it, `folder` is where it is public.

    With a `system` (its slug there) it has a row on the site; `signed` files have a companion of
    each scheme.
    """

    name: FileName
    build: str
    folder: str
    system: str = ""
    title: str = ""
    description: str = ""
    button: bool = False
    signed: bool = True


@dataclass(frozen=True)
class Row:
    """One row of the table: a file of the minor versions `since` to `until`, both included.

    In `name` and `description`, ``{version}`` is ``3.15.0a1``, ``{series}`` ``3.15``, ``{digits}``
    ``3150a1``. A row with a `title` is on the site, under the system of its build. With `sbom` the
    file has a second one that says what is in it: from the same build, signed as it is, and on the
    site in the file's own row.
    """

    build: str
    name: str
    title: str = ""
    description: str = ""
    button: bool = False
    signed: bool = True
    sbom: bool = False
    since: int = 0
    until: int = NEWEST

    def of(self, release: Release) -> tuple[ExpectedFile, ...]:
        """Return the file of a release, with its SBOM if it can have one."""
        version = str(release.version)
        words = {"version": version, "digits": version.replace(".", "")}
        words["series"] = release.version.series
        file = ExpectedFile(
            name=self.name.format_map(words),
            build=self.build,
            folder=release.docs_folder if self.build == "docs" else release.folder,
            system=self.build if self.title else "",
            title=self.title,
            description=self.description.format_map(words),
            button=self.button,
            signed=self.signed,
        )
        beside = ExpectedFile(name=f"{file.name}{SBOM}", build=file.build, folder=file.folder)
        return (file, beside) if self.sbom else (file,)


def _managed(suffix: str, until: int = NEWEST) -> Row:
    """Return a package of the Python install manager.

    It is on no page and has no signature of its own: its digest stands in the release manifest
    ``windows-<version>.json``, which is signed.
    """
    return Row("windows", f"python-{{version}}{suffix}.zip", signed=False, since=13, until=until)


INSTALLERS_UNTIL = 15  # PEP 773: the install manager takes their place
FILES = (
    Row("source", "Python-{version}.tgz", "Gzipped source tarball", sbom=True),
    Row(
        *("source", "Python-{version}.tar.xz", "XZ compressed source tarball"),
        button=True,
        sbom=True,
    ),
    Row(
        *("windows", "python-{version}-amd64.exe", "Windows installer (64-bit)", "Recommended"),
        button=True,
        sbom=True,
        until=INSTALLERS_UNTIL,
    ),
    Row(
        *("windows", "python-{version}.exe", "Windows installer (32-bit)"),
        sbom=True,
        until=INSTALLERS_UNTIL,
    ),
    Row(
        *("windows", "python-{version}-arm64.exe", "Windows installer (ARM64)", "Experimental"),
        sbom=True,
        since=11,
        until=INSTALLERS_UNTIL,
    ),
    Row("windows", "python{digits}.chm", "Windows help file", until=10),
    Row(
        *("windows", "python-{version}-embed-amd64.zip", "Windows embeddable package (64-bit)"),
        sbom=True,
    ),
    Row(
        *("windows", "python-{version}-embed-win32.zip", "Windows embeddable package (32-bit)"),
        sbom=True,
    ),
    Row(
        *("windows", "python-{version}-embed-arm64.zip", "Windows embeddable package (ARM64)"),
        sbom=True,
        since=11,
    ),
    Row(
        *("windows", "windows-{version}.json", "Windows release manifest"),
        description="Install with 'py install {series}'",
        since=13,
    ),
    *(
        _managed(f"{flavour}-{machine}")
        for flavour in ("", "t", "-embeddable", "-test")
        for machine in ("amd64", "arm64", "win32")
    ),
    Row(
        *("macos", "python-{version}-macosx10.9.pkg", "macOS installer (Intel)"),
        description="for macOS 10.9 and later",
        until=9,
    ),
    Row(
        *("macos", "python-{version}-macos11.pkg", "macOS installer"),
        description="for macOS 10.13 and later",
        button=True,
        until=13,
    ),
    Row(
        *("macos", "python-{version}-macos11.pkg", "macOS installer"),
        description="for macOS 10.15 and later",
        button=True,
        since=14,
    ),
    *(
        Row(
            "android",
            f"python-{{version}}-{machine}-linux-android.tar.gz",
            f"Android embeddable package ({machine})",
        )
        for machine in ("aarch64", "x86_64")
    ),
    Row("ios", "python-{version}-iOS-XCframework.tar.gz", "iOS XCframework"),
    *(
        Row("docs", f"python-{{version}}-docs-{form}.{suffix}", signed=False)
        for form in ("html", "text", "texinfo")
        for suffix in ("tar.bz2", "zip")
    ),
    Row("docs", "python-{version}-docs.epub", signed=False),
)
"""Every file of every version, source first. PDF docs are made by the docs server, daily."""


def expected(release: Release) -> tuple[ExpectedFile, ...]:
    """Return the files of a release, source first, each before its SBOM; none for a transition.

    Those of an amendment are all files of the release it is about.
    """
    if not release.amended.facts.publishes:
        return ()
    docs = ["docs"] if release.amended.facts.docs else []
    made = {"source", *release.platforms, *docs}
    files = (file for row in _rows(release) if row.build in made for file in row.of(release))
    return tuple(file for file in files if _has_sboms(release) or not file.name.endswith(SBOM))


def expected_of(release: Release, build: str) -> tuple[ExpectedFile, ...]:
    """Return the files one build delivers."""
    return tuple(file for file in expected(release) if file.build == build)


def builds(release: Release) -> tuple[str, ...]:
    """Return the builds that deliver files, `source` first."""
    return tuple(dict.fromkeys(file.build for file in expected(release)))


def folders(release: Release) -> dict[str, str]:
    """Return the public folder of each file and of each signature, by name."""
    found = {file.name: file.folder for file in expected(release)}
    signed = {f"{name}{SUFFIXES[scheme]}": found[name] for name, scheme in signatures(release)}
    return found | signed


def folder_of(release: Release, name: str) -> str:
    """Return the public folder of a file or of its signature, relative to the server's root."""
    return folders(release)[name]


def docs_archive(release: Release) -> str:
    """Return the name of the archive that is unpacked on the docs server."""
    return f"python-{release.version}-docs-html.zip"


def schemes(release: Release) -> tuple[str, ...]:
    """Return how each file is signed: Sigstore, and GPG before 3.14 (PEP 761)."""
    return ("sigstore", "gpg") if release.uses_gpg else ("sigstore",)


def signatures(release: Release) -> tuple[tuple[str, str], ...]:
    """Return each signature a release must have: the name of the signed file, and the scheme."""
    signed = [file.name for file in expected(release) if file.signed]
    return tuple((name, scheme) for name in signed for scheme in schemes(release))


def absent(release: Release) -> dict[str, str]:
    """Return what a reader may look for and will not find, with the reason."""
    found = {}
    if not _has_sboms(release):
        found["sbom"] = f"SBOMs come with 3.{FIRST_WITH_SBOM} and later"
    elif release.platforms:
        found["sbom"] = "only source archives, Windows installers and embeddable packages have one"
    if not release.uses_gpg:
        found["gpg"] = "no GPG signatures from 3.14 on (PEP 761)"
    if release.facts.publishes and not release.facts.installers:
        found["installers"] = "a security release is source only"
    return found


def unwanted(release: Release) -> tuple[tuple[str, str], ...]:
    """Return folder and name of what must not be public: it would be taken for this release's.

    Signatures by a scheme that is not used any more, SBOMs where none is made, installers of a
    source-only release, docs of a release that has none.
    """
    wanted = folders(release)
    every = [file for row in _rows(release) for file in row.of(release)]
    names = {(file.folder, f"{file.name}{end}") for file in every for end in _ends(file)}
    return tuple(sorted((folder, name) for folder, name in names if name not in wanted))


def _has_sboms(release: Release) -> bool:
    return release.version.minor >= FIRST_WITH_SBOM


def _ends(file: ExpectedFile) -> tuple[str, ...]:
    return ("", *SUFFIXES.values()) if file.signed else ("",)


def pages(release: Release) -> tuple[str, ...]:
    """Return the pages of the site that must show the release: its own, and the stable's list."""
    listed = ("/downloads/",) if release.facts.stable else ()
    return (f"/downloads/release/{release.slug}/", *listed)


def purged_pages(release: Release) -> tuple[str, ...]:
    """Return the pages whose older forms caches must forget: all that list releases."""
    systems = sorted({file.system for file in expected(release)} - {""})
    latest = (f"latest/{name}" for name in ("python3", f"python{release.version.series}"))
    lists = (f"/downloads/{name}/" for name in (*systems, *latest))
    return (f"/downloads/release/{release.slug}/", "/downloads/", *lists)


def _rows(release: Release) -> tuple[Row, ...]:
    minor = release.version.minor
    return tuple(row for row in FILES if row.since <= minor <= row.until)
