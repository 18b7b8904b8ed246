"""A published release that is as small as one can be, for those who verify it.

Real signatures (a local Sigstore, a throw-away key of GPG), a real repository with a signed tag,
the stand-in of python.org with rows, page and files. Each test gets a copy, and alters it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from git_helpers import git
from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken

from relkit.adapters.gpg import GpgSigner, make_throwaway_key
from relkit.adapters.sigstore import SigstoreSigner
from relkit.expected import SBOM, SUFFIXES, expected, folders, signatures
from relkit.manifest import SITE, Manifest, absent, site_files
from relkit.rehearsal.sigstore import LoopbackSigstore
from relkit.rehearsal.site import Site
from relkit.rehearsal.site_auth import Limits
from relkit.release import Release
from relkit.steps.sign import LATER
from relkit.steps.site import site_release
from relkit.values import Artifact, Companion
from relkit.verify_release import Given, Report, Sites, from_files, verify_release
from relkit.verify_release.given import Named

IDENTITY = "rika@example.org"
OLD = "Python 3.11.0", "python-3110", "2022-10-24T12:00:00Z"


@dataclass
class Published:
    """One published release: `folder` has the site, its files and the repository."""

    folder: Path
    release: Release
    manifest: Manifest
    first: Manifest
    """What was published at first, where `manifest` is an amendment of it."""
    root: bytes
    key: str
    keys: bytes
    issuer: str
    home: Path
    """Of GPG, with the secret key."""
    sign: Callable[[str, str], bytes]
    """Signs a digest as somebody."""

    @property
    def public(self) -> Path:
        """The folder of the download server."""
        return self.folder / "public"

    def path(self, name: str) -> Path:
        """Return where a file is public."""
        return self.public / folders(self.release)[name] / name

    @property
    def tag(self) -> str:
        return self.release.tag

    def copy(self, folder: Path) -> Published:
        """Return the same elsewhere."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return replace(self, folder=folder)

    @contextmanager
    def site(self) -> Iterator[Site]:
        """Serve it."""
        files = self.folder / "site.sqlite", self.public, self.folder / "docs"
        with Site(*files, limits=Limits(10_000, 10_000, 10_000)) as site:
            yield site

    def given(self, *manifests: Manifest, **changes: Any) -> Given:  # noqa: ANN401 (passed on)
        """Return what a stranger has who was given everything."""
        paths = []
        for number, one in enumerate(manifests or (self.first,)):
            path = self.folder.parent / f"given-{number}.json"
            path.write_text(one.to_text())
            paths.append(path)
        about: dict[str, Any] = {
            "named": Named(key=self.key),
            "root": self.root,
            "keys": self.keys,
        } | changes
        return from_files(self.release.version, paths, **about)

    def looked_at(self, site: Site, given: Given | None = None, **changes: Any) -> Report:  # noqa: ANN401 (passed on)
        """Compare it with what was published."""
        about: dict[str, Any] = {
            "site": site.url,
            "docs": f"{site.url}docs/",
            "upstream": str(self.folder / "upstream.git"),
            "per_second": 10_000,
            "jobs": 2,
        }
        return verify_release(given or self.given(), Sites(**about | changes))


def codes(report: Report) -> dict[str, set[str]]:
    """Return what is not verified: the codes of each line."""
    found: dict[str, set[str]] = {}
    for one in report.changes:
        found.setdefault(one.line, set()).add(one.code)
    assert found.keys() == {one.name for one in report.lines if one.outcome != "verified"}
    return found


# --- making one -----------------------------------------------------------------------------------


@contextmanager
def published(folder: Path, release: Release, *, late: str = "") -> Iterator[Published]:
    """Publish a release, the files of the platform `late` by an amendment; signing goes on."""
    with LoopbackSigstore(folder / "sigstore") as instance:
        yield _publish(folder / "world", release, instance, late)


def _publish(folder: Path, release: Release, instance: LoopbackSigstore, late: str) -> Published:
    folder.mkdir()
    key = make_throwaway_key(folder.parent / "gnupg", "Rika", IDENTITY)
    public = folder / "public"
    _write_files(public, release)
    with _signer(instance) as signer, GpgSigner(folder.parent / "gnupg", key) as gpg:
        _sign(public, release, signer, gpg)
        tag, commit, tree = _repository(folder, release, gpg, key)
        keys = gpg.export_public().encode()
    whole = _manifest(public, release, (tag, commit, tree), (key, instance.issuer))
    first = _without(whole, release, late) if late else whole
    made = Published(
        folder=folder,
        release=release,
        manifest=whole.model_copy(update={"supersedes": first.digest}) if late else whole,
        first=first,
        root=instance.trusted_root().encode(),
        key=key,
        keys=keys,
        issuer=instance.issuer,
        home=folder.parent / "gnupg",
        sign=lambda digest, who: _bundle(instance, digest, who),
    )
    _fill_site(made)
    return made


def _write_files(public: Path, release: Release) -> None:
    files = sorted(expected(release), key=lambda file: file.name.endswith(SBOM))
    for file in files:
        path = public / file.folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = f"{file.name}\n".encode() * 40
        if file.name.endswith(SBOM):
            data = sbom(release, path.with_name(file.name.removesuffix(SBOM)))
        path.write_bytes(data)


def sbom(release: Release, archive: Path, **changes: object) -> bytes:
    """Return the SBOM of a file: the one package it is."""
    package: dict[str, object] = {
        "SPDXID": "SPDXRef-PACKAGE-cpython",
        "name": "CPython",
        "versionInfo": str(release.version),
        "packageFileName": archive.name,
        "downloadLocation": f"{SITE}{release.folder}/{archive.name}",
        "checksums": [
            {
                "algorithm": "SHA256",
                "checksumValue": hashlib.sha256(archive.read_bytes()).hexdigest(),
            }
        ],
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "primaryPackagePurpose": "INSTALL",
    }
    document = {
        "SPDXID": "SPDXRef-DOCUMENT",
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "name": archive.name,
        "documentNamespace": f"{SITE}{release.folder}/{archive.name}{SBOM}",
        "creationInfo": {"created": "2026-03-03T12:00:00Z", "creators": ["Tool: relkit test"]},
        "packages": [package],
        "files": [],
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": "SPDXRef-PACKAGE-cpython",
            }
        ],
    }
    return json.dumps(document | changes).encode()


def _signer(instance: LoopbackSigstore, who: str = IDENTITY) -> SigstoreSigner:
    return SigstoreSigner(
        trust_config=lambda: ClientTrustConfig.from_json(instance.trust_config()),
        identity=who,
        issuer=instance.issuer,
        token=lambda: IdentityToken(instance.mint(who)),
    )


def _bundle(instance: LoopbackSigstore, digest: str, who: str) -> bytes:
    with _signer(instance, who) as signer:
        return signer._sign_digest(digest)


def _sign(public: Path, release: Release, signer: SigstoreSigner, gpg: GpgSigner) -> None:
    for name, scheme in signatures(release):
        path = public / folders(release)[name] / name
        (gpg if scheme == "gpg" else signer).sign(path)


def _artifact(path: Path) -> Artifact:
    data = path.read_bytes()
    return Artifact(name=path.name, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def _repository(folder: Path, release: Release, gpg: GpgSigner, key: str) -> tuple[str, str, str]:
    """Make upstream: a branch with the release's commit and more, and the signed tag."""
    work, environment = folder / "work", {"GNUPGHOME": str(gpg.homedir)}
    dates = {
        f"GIT_{who}_DATE": f"{release.time:%Y-%m-%dT%H:%M:%SZ}" for who in ("AUTHOR", "COMMITTER")
    }
    work.mkdir()
    git(work, "init", "--quiet", "--template=", "-b", release.branch)
    for number in range(3):
        (work / "README").write_text(f"{number}\n")
        git(work, "add", "README")
        git(work, "commit", "--quiet", "-m", f"change {number}", **dates)
        if number == 1:
            git(
                work, "tag", "-s", "-u", key, "-m", release.tag, release.tag, **environment, **dates
            )
    git(folder, "clone", "--quiet", "--template=", "--bare", "work", "upstream.git")
    return (
        git(work, "rev-parse", release.tag),
        git(work, "rev-parse", f"{release.tag}^{{commit}}"),
        git(work, "rev-parse", f"{release.tag}^{{tree}}"),
    )


def _manifest(
    public: Path, release: Release, tag: tuple[str, str, str], who: tuple[str, str]
) -> Manifest:
    where = folders(release)
    subjects = {
        file.name: _artifact(public / file.folder / file.name) for file in expected(release)
    }
    companions = tuple(
        Companion(
            scheme="gpg" if scheme == "gpg" else "sigstore",
            file=_artifact(public / where[name] / f"{name}{SUFFIXES[scheme]}"),
            subject=subjects[name],
            identity=who[0] if scheme == "gpg" else IDENTITY,
            issuer="" if scheme == "gpg" else who[1],
        )
        for name, scheme in signatures(release)
    )
    return Manifest(
        version=str(release.version),
        commit=tag[1],
        tree=tag[2],
        tag_object=tag[0],
        time=release.time,
        policy_digest="f" * 64,
        folder=release.folder,
        subjects=tuple(subjects.values()),
        companions=companions,
        absent=absent(release),
    )


def _without(whole: Manifest, release: Release, late: str) -> Manifest:
    """Return the manifest as it was before a platform's files came."""
    names = {file.name for file in expected(release) if file.build == late}
    return whole.model_copy(
        update={
            "subjects": tuple(one for one in whole.subjects if one.name not in names),
            "companions": tuple(o for o in whole.companions if o.subject.name not in names),
            "absent": whole.absent | {late: LATER},
        }
    )


def _fill_site(made: Published) -> None:
    """Publish rows and page, beside those of an older release."""
    release = made.release
    docs = made.folder / "docs" / "release" / str(release.version)
    docs.mkdir(parents=True)
    (docs / "index.html").write_text(f"<title>{release.version} Documentation</title>")
    with made.site() as site:
        name, slug, day = OLD
        latest = site_release(release, published=True, latest=release.is_newest)
        older = latest.model_copy(update={"name": name, "slug": slug, "is_latest": False})
        add_release(site, older.to_data() | {"release_date": day, "pre_release": False})
        number = add_release(site, latest.to_data())
        for row in site_files(release, made.manifest):
            add_row(site, number, row.to_data())
        set_text(site, release.slug, f"This is [Python {release.version}](https://www.python.org).")


def add_release(site: Site, row: dict[str, Any]) -> int:
    """Add a row of a release as if nobody had checked it; return its number."""
    row["release_date"] = str(row["release_date"]).removesuffix("Z")
    return site._model.save("release", row | {"release_notes_url": ""})


def add_row(site: Site, release: int, row: dict[str, Any]) -> None:
    """Add a row of a file as if nobody had checked it."""
    systems = {one["slug"]: one["id"] for one in site._store.rows("os")}
    empty = dict.fromkeys(("md5_sum", "sigstore_signature_file", "sigstore_cert_file"), "")
    site._model.save("release_file", empty | row | {"os": systems[row["os"]], "release": release})


def set_text(site: Site, slug: str, text: str) -> None:
    """Write the text of a page, as the web editor does."""
    row = next(row for row in site.releases() if row["slug"] == slug)
    site._store.set_content(row["id"], text)


def change_row(site: Site, table: Any, where: Mapping[str, object], **fields: object) -> None:  # noqa: ANN401 (the store's own)
    """Change a row behind the site's back; what it kept in its cache is forgotten."""
    for row in site._store.rows(table):
        if all(row[name] == value for name, value in where.items()):
            number = row.pop("id")
            row.pop("content", None)
            site._store.update(table, number, row | fields)
            return
    raise AssertionError(where)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tree(folder: Path) -> dict[str, str]:
    """Return every file below a folder with its digest, but for those of the open database."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): sha256(path) for path in found if "sqlite" not in path.name}
