"""The manifest that closes a release, and what follows from it on the site.

The table it is held against is `relkit.expected`, whose names are given on from here.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime

from relkit.expected import (
    SBOM,
    ExpectedFile,
    absent,
    builds,
    expected,
    expected_of,
    folder_of,
    folders,
    purged_pages,
    schemes,
    signatures,
)
from relkit.release import Release
from relkit.values import Artifact, Companion, Digest, ObjectId, SiteFile, Value

__all__ = [
    "SITE",
    "ExpectedFile",
    "Manifest",
    "absent",
    "builds",
    "expected",
    "expected_of",
    "folder_of",
    "public_paths",
    "schemes",
    "signatures",
    "site_files",
]

SITE = "https://www.python.org/"
SCHEMA = 1


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
    supersedes: Digest | None = None
    """Of an amendment: the SHA-256 of the text of the manifest in whose place it stands."""

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

    @property
    def digest(self) -> str:
        """The SHA-256 of that text."""
        return hashlib.sha256(self.to_text().encode()).hexdigest()


def site_files(release: Release, manifest: Manifest) -> tuple[SiteFile, ...]:
    """Return the rows of python.org, in order of slug."""
    wanted = {file.name: file for file in expected(release)}
    listed = [one for one in manifest.subjects if wanted[one.name].system]
    rows = [_site_file(release, wanted[one.name], one, manifest) for one in listed]
    return tuple(sorted(rows, key=lambda row: row.slug))


def public_paths(release: Release, manifest: Manifest) -> tuple[str, ...]:
    """Return the paths on the site whose older forms caches must forget, also that they were not.

    Every file with its signatures, every folder that lists them, every page that lists releases.
    """
    found = folders(release)
    files = {f"/{found[file.name]}/{file.name}" for file in manifest.files}
    listings = {path[: path.rindex("/") + 1] for path in files}
    above = {path[: path[:-1].rindex("/") + 1] for path in listings}
    return (*sorted(files), *sorted(listings | above), *purged_pages(release))


def _site_file(
    release: Release, wanted: ExpectedFile, subject: Artifact, manifest: Manifest
) -> SiteFile:
    url = f"{SITE}{wanted.folder}/{subject.name}"
    made = {companion.scheme for companion in manifest.companions_of(subject)}
    described = any(one.name == f"{subject.name}{SBOM}" for one in manifest.subjects)
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
        sbom_spdx2_file=f"{url}{SBOM}" if described else "",
    )
