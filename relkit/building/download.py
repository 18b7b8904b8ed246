"""Download a published file as somebody who has nothing but its address and its digest."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from relkit.adapters.web import Web, chunks
from relkit.building.job import Input, Job, check_digest
from relkit.errors import WorldError

PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 1.0


def download(job: Job, given: Input, path: str) -> Path:
    """Get a path of the public site, and return the file; refuse other bytes.

    A site that does not answer is asked again for two minutes, and its address looked up each
    time: in a rehearsal it comes and goes with the release manager's process. Then this process
    ends without an outcome: such a build is lost, not failed, and is started again.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    target = job.work("download") / given.name
    while True:
        try:
            return _once(job.site.read_text(encoding="ascii").strip(), given, path, target)
        except (WorldError, FileNotFoundError) as error:
            unreachable = not isinstance(error, WorldError) or error.code == "SITE_UNREACHABLE"
            if not unreachable:
                raise
            if time.monotonic() > deadline:
                raise SystemExit(f"given up: {error}") from error
            time.sleep(PAUSE_SECONDS)


def _once(site: str, given: Input, path: str, target: Path) -> Path:
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file, Web(site).request("GET", path.lstrip("/")) as response:
        if response.status_code != 200:  # noqa: PLR2004 (the status for success)
            raise WorldError(
                f"{path} answers with status {response.status_code}",
                code="PUBLIC_MISSING",
                remedy="Look at the download server: the file is not public.",
            )
        for chunk in chunks(response):
            digest.update(chunk)
            size += len(chunk)
            if size > given.size:
                break  # more than it should be; the digest cannot fit any more
            file.write(chunk)
    check_digest(given, digest.hexdigest(), size)
    return target
