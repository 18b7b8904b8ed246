"""What the looks at one published release share: what it should be, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from relkit.adapters.stranger import Stranger, Visit
from relkit.errors import ReleaseError, WorldError
from relkit.expected import SUFFIXES, folders, signatures
from relkit.manifest import SITE, Manifest, site_files
from relkit.release import Release
from relkit.values import SiteFile
from relkit.verify_release.given import Given
from relkit.verify_release.report import Look
from relkit.verify_release.trusting import ReleaseTrust

LARGEST_FILE = 1 << 30
LARGEST_SIDECAR = 16 << 20
"""Bytes of a file, a signature or an SBOM whose size nobody states."""
Scheme = Literal["sigstore", "gpg"]
SCHEMES: tuple[Scheme, ...] = ("sigstore", "gpg")


@dataclass(frozen=True)
class Stated:
    """A public file: path below the site, size and SHA-256 (None: nobody has stated it)."""

    path: str
    size: int | None
    sha256: str | None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Subject:
    """A file with its signatures: scheme, file, and by whom it is as the manifest says."""

    file: Stated
    signatures: tuple[tuple[Scheme, Stated, tuple[str, str] | None], ...] = ()


@dataclass
class Case:
    """A published release being looked at.

    `subjects` and `rows` are what should be public: the manifest's; without one, `subjects` are
    what the site's own rows say.
    """

    given: Given
    release: Release
    site: Stranger
    docs: Stranger
    upstream: str
    trust: ReleaseTrust
    visit: Visit
    jobs: int
    subjects: tuple[Subject, ...] = ()
    rows: tuple[SiteFile, ...] | None = None
    looks: dict[str, Look] = field(default_factory=dict)
    released: datetime | None = None

    @property
    def manifest(self) -> Manifest | None:
        """The manifest that holds; None: it is not known what the release should be."""
        return self.given.manifest

    def look(self, name: str) -> Look:
        """Begin to look at one kind of thing."""
        since = f"{self.manifest.time:%Y-%m-%d}" if self.manifest else ""
        return self.looks.setdefault(name, Look(name, since))

    @property
    def paths(self) -> frozenset[str]:
        """The paths of all files and signatures."""
        every = [one.file for one in self.subjects]
        every += [file for one in self.subjects for _, file, _ in one.signatures]
        return frozenset(one.path for one in every)


def take_manifest(case: Case, manifest: Manifest) -> None:
    """Let a manifest say what should be public."""
    folder = folders(case.release)

    def stated(name: str, size: int, sha256: str) -> Stated:
        return Stated(f"{folder[name]}/{name}", size, sha256)

    case.subjects = tuple(
        Subject(
            stated(one.name, one.size, one.sha256),
            tuple(
                (
                    other.scheme,
                    stated(other.file.name, other.file.size, other.file.sha256),
                    (other.identity, other.issuer),
                )
                for other in manifest.companions_of(one)
            ),
        )
        for one in manifest.subjects
    )
    case.rows = site_files(case.release, manifest)


def take_rows(case: Case, rows: tuple[SiteFile, ...]) -> None:
    """Let the site's own rows say what should be public, where there is no manifest.

    No row has the signatures of an SBOM; they are where a release has them.
    """
    subjects = []
    signed = signatures(case.release)
    for row in rows:
        sides: list[tuple[Scheme, str]] = [
            ("sigstore", row.sigstore_bundle_file),
            ("gpg", row.gpg_signature_file),
        ]
        found = tuple(
            (scheme, Stated(path, None, None), None)
            for scheme, url in sides
            if (path := path_of(url))
        )
        if path := path_of(row.url):
            subjects.append(Subject(Stated(path, row.filesize, row.sha256_sum or None), found))
        if path := path_of(row.sbom_spdx2_file):
            name = path.rpartition("/")[2]
            beside = tuple(
                (scheme, Stated(f"{path}{SUFFIXES[scheme]}", None, None), None)
                for scheme in SCHEMES
                if (name, scheme) in signed
            )
            subjects.append(Subject(Stated(path, None, None), beside))
    case.subjects = tuple(subjects)


def path_of(url: str) -> str:
    """Return the path of an address of the site; empty for any other."""
    return url.removeprefix(SITE) if url.startswith(SITE) else ""


def unread(look: Look, what: str, error: WorldError) -> None:
    """Take note that something could not be read now."""
    look.found("unknown", what, error.code, said(error))


def said(error: ReleaseError) -> str:
    """Return the words of an error without its code, which stands beside them."""
    return str(error).removeprefix(f"{error.code}: ")
