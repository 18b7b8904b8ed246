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
from pathlib import PurePosixPath

from relkit.building.job import FILE_NAME, Job
from relkit.errors import CheckError

STANDINS: Mapping[str, str] = dict.fromkeys(
    ("windows", "macos", "android", "ios"), "relkit.rehearsal.standins:deliver"
)
"""The builds of a rehearsal's experts, to be added to `relkit.building.builder.PROGRAMS`."""
MANIFEST = ".json"
NOTE = "REHEARSAL-STAND-IN.txt"
DOS_EPOCH = (1980, 1, 1, 0, 0, 0)


def deliver(job: Job) -> None:
    """Make the stand-ins named by the option `files`, with semicolons between them.

    One in JSON is a manifest: it lists the packages among them with their digests.
    """
    made: dict[str, bytes] = {}
    for name in sorted(job.options["files"].split(";"), key=_is_manifest):
        form = next((make for suffix, make in FORMS.items() if name.endswith(suffix)), None)
        if (form is None and not _is_manifest(name)) or not FILE_NAME.fullmatch(name):
            raise CheckError(
                f"a rehearsal has no stand-in for {name[:80]!r}",
                code="BUILD_UNKNOWN",
                remedy=f"Stand-ins are made for {', '.join([*FORMS, MANIFEST])}.",
            )
        text = _text(job, name)
        made[name] = form(text) if form else _manifest(job, text, made)
        (job.out / name).write_bytes(made[name])
    job.facts.update({"commit": job.commit, "version": str(job.version), "form": "stand-in"})


def _text(job: Job, name: str) -> bytes:
    return (
        f"{name}\n\n"
        "This is a stand-in made for the rehearsal of a release. It is not an installer, holds no\n"
        "Python, and cannot be run. In a real release an expert builds this file.\n\n"
        f"Python version: {job.version}\n"
        f"Commit: {job.commit}\n"
        f"Build: {job.name}\n"
    ).encode()


def _is_manifest(name: str) -> bool:
    return name.endswith(MANIFEST)


def _manifest(job: Job, text: bytes, files: Mapping[str, bytes]) -> bytes:
    """List the packages as the install manager's index does, with the words of the stand-in."""
    packages = [
        {"id": name.removesuffix(".zip"), "hash": {"sha256": hashlib.sha256(data).hexdigest()}}
        for name, data in sorted(files.items())
        if name.endswith(".zip")
    ]
    data = {"note": text.decode(), "commit": job.commit, "versions": packages}
    return json.dumps(data, indent=1).encode() + b"\n"


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
