"""What goes wrong before anything is asked of a server by SSH, for all that use one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from services.sshd import Sshd

from relkit.errors import ReleaseError

UNREACHED = {
    "changed host key": "HOSTKEY",  # T42
    "401": "SSH_DENIED",
    "time-out before the effect": "SSH_UNREACHABLE",
}
"""Faults in which nobody gets as far as asking, and how they are refused."""


def refusal(act: Callable[[], object]) -> ReleaseError:
    """Return what is raised, which must be a refusal."""
    with pytest.raises(ReleaseError) as caught:
        act()
    return caught.value


def unreached(server: Sshd, fault: str, act: Callable[[], object]) -> ReleaseError:
    """Return the refusal of what is tried during one of these faults; afterwards it is over."""
    with TROUBLES[fault](server):
        error = refusal(act)
    assert error.code == UNREACHED[fault]
    return error


@contextmanager
def _another_key(server: Sshd) -> Iterator[None]:
    first = server.key_file
    server.change_key()
    yield
    server.stop()
    server.key_file = first
    server.start()


@contextmanager
def _nobody_let_in(server: Sshd) -> Iterator[None]:
    keys = server.root / "keys" / server.me.name
    kept = keys.read_bytes()
    keys.write_bytes(b"")
    yield
    keys.write_bytes(kept)


@contextmanager
def _down(server: Sshd) -> Iterator[None]:
    server.stop()
    yield
    server.start()


TROUBLES = dict(zip(UNREACHED, (_another_key, _nobody_let_in, _down), strict=True))
