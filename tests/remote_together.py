"""Processes that do something to the same builds at once; each is a real one of its own.

They are started afresh, as a notebook and a batch are, and share nothing but folders.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

from remote_toy import ToyService, asked, builders

from relkit.errors import ReleaseError

CONTEXT = multiprocessing.get_context("spawn")
SECONDS = 120.0
"""For anything to happen: a machine that has much else to do is slow."""


def start_at_once(folder: Path, name: str, barrier: Barrier) -> None:
    at = builders(folder / "builds", ToyService(folder / "service"))
    barrier.wait(SECONDS)
    at.start(build=asked(name))


def take_at_once(folder: Path, name: str, barrier: Barrier) -> None:
    """Look until a build is done, and take what it left."""
    at = builders(folder / "builds", ToyService(folder / "service"))
    barrier.wait(SECONDS)
    while at.state(name=name, nonce="n1").status != "done":
        pass
    assert at.result(name=name, nonce="n1") is not None


def take_slowly(folder: Path, name: str, came: Event, go: Event) -> None:
    """Download a build, and wait with the first file until told to go on; end with a refusal."""

    def event() -> None:
        came.set()
        assert go.wait(SECONDS)

    at = builders(folder / "builds", ToyService(folder / "service", event))
    try:
        at.state(name=name, nonce="n1")
    except ReleaseError as error:
        sys.exit(error.code)


@contextmanager
def process(act: object, *words: object) -> Iterator[multiprocessing.process.BaseProcess]:
    """Run a function of this module in a process of its own; it is ended with the block."""
    one = CONTEXT.Process(target=act, args=words)  # type: ignore[arg-type]  # any of the above
    one.start()
    try:
        yield one
    finally:
        one.kill()
        one.join(SECONDS)


def all_at_once(act: object, folder: Path, names: list[str]) -> None:
    """Let processes do the same at the same moment; all of them must end well."""
    barrier = CONTEXT.Barrier(len(names))
    every = [CONTEXT.Process(target=act, args=(folder, name, barrier)) for name in names]  # type: ignore[arg-type]
    for one in every:
        one.start()
    for one in every:
        one.join(SECONDS)
    assert [one.exitcode for one in every] == [0] * len(names)
