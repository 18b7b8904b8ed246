"""What a rehearsal's experts deliver: small files in the place of installers, and plainly so.

They have the expected names and the right first bytes, carry version and commit inside, and are
the same at every build. Nobody could take one for an installer: it does not run, and says why.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath

from relkit.building.job import FILE_NAME, WORK, Job
from relkit.building.objects import Objects
from relkit.errors import CheckError
from relkit.expected import SBOM
from relkit.manifest import SITE

STANDINS: Mapping[str, str] = dict.fromkeys(
    ("windows", "macos", "android", "ios"), "relkit.rehearsal.standins:deliver"
)
"""The builds of a rehearsal's experts, to be added to `relkit.building.builder.PROGRAMS`."""
MANIFEST = ".json"
DOCUMENT_ID, PACKAGE_ID = "SPDXRef-DOCUMENT", "SPDXRef-PACKAGE-cpython"
NOTE = "REHEARSAL-STAND-IN.txt"
DOS_EPOCH = (1980, 1, 1, 0, 0, 0)


def deliver(job: Job) -> None:
    """Make the stand-ins named by the option `files`, with semicolons between them.

    Of those in JSON an SBOM describes the file it lies beside, by its digest; any other is a
    manifest: it lists the packages among them with their digests.
    """
    made: dict[str, bytes] = {}
    for name in sorted(job.options["files"].split(";"), key=lambda name: name.endswith(MANIFEST)):
        made[name] = _made(job, name, made)
        (job.out / name).write_bytes(made[name])
    job.facts.update({"commit": job.commit, "version": str(job.version), "form": "stand-in"})


def _made(job: Job, name: str, made: Mapping[str, bytes]) -> bytes:
    """Return a stand-in; one that describes others is made after them."""
    text, described = _text(job, name), name.removesuffix(SBOM)
    if FILE_NAME.fullmatch(name):
        if name.endswith(SBOM) and described in made:
            return _sbom(job, text, described, made[described])
        if name.endswith(MANIFEST) and not name.endswith(SBOM):
            return _manifest(job, text, made)
        for suffix, make in FORMS.items():
            if name.endswith(suffix):
                return make(text)
    raise CheckError(
        f"a rehearsal has no stand-in for {name[:80]!r}",
        code="BUILD_UNKNOWN",
        remedy=f"Stand-ins are made for {', '.join([*FORMS, MANIFEST])}, and SBOMs of these.",
    )


def _text(job: Job, name: str) -> bytes:
    return (
        f"{name}\n\n"
        "This is a stand-in made for the rehearsal of a release. It is not an installer, holds no\n"
        "Python, and cannot be run. In a real release an expert builds this file.\n\n"
        f"Python version: {job.version}\n"
        f"Commit: {job.commit}\n"
        f"Build: {job.name}\n"
    ).encode()


def _manifest(job: Job, text: bytes, files: Mapping[str, bytes]) -> bytes:
    """List the packages as the install manager's index does, with the words of the stand-in."""
    packages = [
        {"id": name.removesuffix(".zip"), "hash": {"sha256": hashlib.sha256(data).hexdigest()}}
        for name, data in sorted(files.items())
        if name.endswith(".zip")
    ]
    data = {"note": text.decode(), "commit": job.commit, "versions": packages}
    return json.dumps(data, indent=1).encode() + b"\n"


def _sbom(job: Job, text: bytes, name: str, data: bytes) -> bytes:
    """Describe a stand-in in SPDX 2.3: the one package it is, of the time of the commit."""
    seconds = Objects(job.repository, job.folder / WORK).commit_time(job.commit)
    digest, address = (
        hashlib.sha256(data).hexdigest(),
        f"{SITE}ftp/python/{job.version.base}/{name}",
    )
    package = {
        "SPDXID": PACKAGE_ID,
        "name": "CPython",
        "versionInfo": str(job.version),
        "packageFileName": name,
        "downloadLocation": address,
        "checksums": [{"algorithm": "SHA256", "checksumValue": digest}],
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "primaryPackagePurpose": "INSTALL",
    }
    described = {"spdxElementId": DOCUMENT_ID, "relatedSpdxElement": PACKAGE_ID}
    document = {
        "SPDXID": DOCUMENT_ID,
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "name": name,
        "documentNamespace": f"{address}{SBOM}",
        "creationInfo": {
            "created": f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "creators": ["Tool: relkit rehearsal"],
        },
        "comment": text.decode(),
        "packages": [package],
        "files": [],
        "relationships": [described | {"relationshipType": "DESCRIBES"}],
    }
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def _chm(text: bytes) -> bytes:
    return b"ITSF" + text


def _exe(text: bytes) -> bytes:
    return b"MZ\r\n" + text


def _pkg(text: bytes) -> bytes:
    return b"xar!\n" + text


def _zip(text: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        info = zipfile.ZipInfo(NOTE, DOS_EPOCH)
        info.create_system = 3  # Unix, wherever this runs
        info.external_attr = 0o100644 << 16
        archive.writestr(info, text)
    return file.getvalue()


def _tar_gz(text: bytes) -> bytes:
    folder = PurePosixPath(text.split(b"\n", 1)[0].decode()).name.removesuffix(".tar.gz")
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo(f"{folder}/{NOTE}")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    return gzip.compress(plain.getvalue(), compresslevel=0, mtime=0)


FORMS: Mapping[str, Callable[[bytes], bytes]] = {
    ".chm": _chm,
    ".exe": _exe,
    ".pkg": _pkg,
    ".zip": _zip,
    ".tar.gz": _tar_gz,
}
