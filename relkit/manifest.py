"""What a release consists of: the expected set, and the manifest that closes it.

The expected set is one table: from a release follow the files with their exact names, who
delivers them, and their rows on python.org. Steps and verification read it; nobody repeats it.
Names and texts as python.org lists them for 3.13.0a5 to 3.15.0a1.
"""

from __future__ import annotations

import re
from datetime import datetime

from relkit.release import Release
from relkit.values import Artifact, Companion, Digest, FileName, ObjectId, SiteFile, Value

SITE = "https://www.python.org/"
SCHEMA = 1


class ExpectedFile(Value):
    """One file a release must have: `build` delivers it, `system` is its slug on the site."""

    name: FileName
    build: str
    system: str
    title: str
    description: str = ""
    button: bool = False


def expected(release: Release) -> tuple[ExpectedFile, ...]:
    """Return the files of a release, source first."""
    found = [*_source(release), *_windows(release), *_macos(release)]
    if "android" in release.platforms:
        found += _android(release)
    if "ios" in release.platforms:
        found += _ios(release)
    return tuple(found)


def expected_of(release: Release, build: str) -> tuple[ExpectedFile, ...]:
    """Return the files one build delivers."""
    return tuple(file for file in expected(release) if file.build == build)


def schemes(release: Release) -> tuple[str, ...]:
    """Return how each file is signed: Sigstore, and GPG before 3.14 (PEP 761)."""
    return ("sigstore", "gpg") if release.uses_gpg else ("sigstore",)


def absent(release: Release) -> dict[str, str]:
    """Return what a reader may look for and will not find, with the reason."""
    found = {"sbom": "SBOMs are not made by this version of relkit"}
    if not release.uses_gpg:
        found["gpg"] = "no GPG signatures from 3.14 on (PEP 761)"
    return found


class Manifest(Value):
    """The closed set of a release: subjects by digest, and their verified companions."""

    form: int = SCHEMA
    version: str
    commit: ObjectId
    tree: ObjectId
    tag_object: ObjectId
    time: datetime
    policy_digest: Digest
    folder: str
    subjects: tuple[Artifact, ...]
    companions: tuple[Companion, ...] = ()
    absent: dict[str, str]

    @property
    def files(self) -> tuple[Artifact, ...]:
        """Everything that is published: subjects and companions, in order of name."""
        every = [*self.subjects, *(companion.file for companion in self.companions)]
        return tuple(sorted(every, key=lambda file: file.name))

    def companions_of(self, subject: Artifact) -> tuple[Companion, ...]:
        """Return the signatures over one subject."""
        return tuple(one for one in self.companions if one.subject == subject)

    def to_text(self) -> str:
        """Return the manifest as the JSON file that is kept."""
        return self.model_dump_json(indent=1) + "\n"


def site_files(release: Release, manifest: Manifest) -> tuple[SiteFile, ...]:
    """Return the rows of python.org, in order of slug."""
    wanted = {file.name: file for file in expected(release)}
    rows = [_site_file(release, wanted[one.name], one, manifest) for one in manifest.subjects]
    return tuple(sorted(rows, key=lambda row: row.slug))


def public_paths(release: Release, manifest: Manifest) -> tuple[str, ...]:
    """Return the paths on the site that must show the release, and be forgotten by caches."""
    files = tuple(f"/{release.folder}/{file.name}" for file in manifest.files)
    return (*files, f"/{release.folder}/", f"/downloads/release/{release.slug}/", "/downloads/")


def _site_file(
    release: Release, wanted: ExpectedFile, subject: Artifact, manifest: Manifest
) -> SiteFile:
    url = f"{SITE}{release.folder}/{subject.name}"
    made = {companion.scheme for companion in manifest.companions_of(subject)}
    words = re.sub(r"[^A-Za-z0-9]+", "-", wanted.title).strip("-")
    return SiteFile(
        name=wanted.title,
        slug=f"{release.slug.removeprefix('python-')}-{words}",
        os=wanted.system,
        release=release.slug,
        url=url,
        description=wanted.description,
        is_source=wanted.system == "source",
        download_button=wanted.button,
        sha256_sum=subject.sha256,
        filesize=subject.size,
        gpg_signature_file=f"{url}.asc" if "gpg" in made else "",
        sigstore_bundle_file=f"{url}.sigstore" if "sigstore" in made else "",
    )


def _source(release: Release) -> list[ExpectedFile]:
    titles = {"tgz": "Gzipped source tarball", "tar.xz": "XZ compressed source tarball"}
    return [
        ExpectedFile(
            name=f"Python-{release.version}.{suffix}",
            build="source",
            system="source",
            title=title,
            button=suffix == "tar.xz",
        )
        for suffix, title in titles.items()
    ]


def _windows(release: Release) -> list[ExpectedFile]:
    stem = f"python-{release.version}"
    rows = [
        (f"{stem}-amd64.exe", "installer (64-bit)", "Recommended"),
        (f"{stem}.exe", "installer (32-bit)", ""),
        (f"{stem}-arm64.exe", "installer (ARM64)", "Experimental"),
        (f"{stem}-embed-amd64.zip", "embeddable package (64-bit)", ""),
        (f"{stem}-embed-win32.zip", "embeddable package (32-bit)", ""),
        (f"{stem}-embed-arm64.zip", "embeddable package (ARM64)", ""),
    ]
    return [
        ExpectedFile(
            name=name,
            build="windows",
            system="windows",
            title=f"Windows {title}",
            description=description,
            button=name.endswith("-amd64.exe"),
        )
        for name, title, description in rows
    ]


def _macos(release: Release) -> list[ExpectedFile]:
    return [
        ExpectedFile(
            name=f"python-{release.version}-macos11.pkg",
            build="macos",
            system="macos",
            title="macOS installer",
            description="for macOS 10.15 and later",
            button=True,
        )
    ]


def _android(release: Release) -> list[ExpectedFile]:
    return [
        ExpectedFile(
            name=f"python-{release.version}-{machine}-linux-android.tar.gz",
            build="android",
            system="android",
            title=f"Android embeddable package ({machine})",
        )
        for machine in ("aarch64", "x86_64")
    ]


def _ios(release: Release) -> list[ExpectedFile]:
    return [
        ExpectedFile(
            name=f"python-{release.version}-iOS-XCframework.tar.gz",
            build="ios",
            system="ios",
            title="iOS XCframework",
        )
    ]
