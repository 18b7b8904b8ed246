"""Prism as a proxy: it refuses calls and answers that a published description does not allow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from services import contracts
from services.running import HOST, answers, free_port, lacking, program, running

START_SECONDS = 60.0
"""It reads the description first, which takes seconds, and longer on a busy machine."""
REDIRECTS = contracts.HERE / "prism_redirects.cjs"
GITHUB = contracts.NODE / contracts.GITHUB


def missing() -> str:
    """Say what is not installed; empty: nothing."""
    if without := lacking({"node": "nodejs"}):
        return without
    stamp = contracts.NODE / "stamp"
    fresh = stamp.exists() and stamp.read_text(encoding="ascii") == contracts.pinned()
    return "" if fresh else "Prism or its descriptions are missing (make build/node)"


@contextmanager
def prism(folder: Path, spec: Path, upstream: str) -> Iterator[str]:
    """Stand before the service at `upstream`; yield the address, without a slash at the end.

    What is wrong with a call is answered by 422, with an answer by 500, both as
    ``application/problem+json``. The log is ``prism.log`` in `folder`.
    """
    port, node = free_port(), program("node") or "node"
    words = ("--errors", "--host", HOST, "--port", str(port), str(spec), upstream)
    before = ("--require", str(REDIRECTS))
    argv = [node, *before, str(contracts.NODE / contracts.PRISM), "proxy", *words]
    env = {**os.environ, "RELKIT_NODE": str(contracts.NODE)}
    log = folder / f"prism-{port}.log"
    ready = partial(answers, port)
    with running(argv, ready=ready, log=log, timeout_seconds=START_SECONDS, env=env):
        yield f"http://{HOST}:{port}"
