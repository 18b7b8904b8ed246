"""What a rehearsal's experts deliver: small files in the place of installers, and plainly so.

They have the expected names and the right first bytes, carry version and commit inside, and are
the same at every build. Nobody could take one for an installer: it does not run, and says why.
"""

from __future__ import annotations

import gzip
import io
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
NOTE = "REHEARSAL-STAND-IN.txt"
DOS_EPOCH = (1980, 1, 1, 0, 0, 0)


def deliver(job: Job) -> None:
    """Make the stand-ins named by the option `files`, with semicolons between them."""
    for name in job.options["files"].split(";"):
        made = next((make for suffix, make in FORMS.items() if name.endswith(suffix)), None)
        if made is None or not FILE_NAME.fullmatch(name):
            raise CheckError(
                f"a rehearsal has no stand-in for {name[:80]!r}",
                code="BUILD_UNKNOWN",
                remedy=f"Stand-ins are made for {', '.join(FORMS)}.",
            )
        (job.out / name).write_bytes(made(_text(job, name)))
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
    ".exe": _exe,
    ".pkg": _pkg,
    ".zip": _zip,
    ".tar.gz": _tar_gz,
}
