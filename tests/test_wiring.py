"""The shipped description of production, and what becomes of it: each system at its own place."""

from __future__ import annotations

from pathlib import Path

from relkit.adapters.openssh import Pin
from relkit.adapters.secrets import Secrets
from relkit.adapters.sftp import SshPlace
from relkit.real.pins import pins
from relkit.real.systems import Systems
from relkit.release import Release
from relkit.worlds import read_world_file

SHIPPED = Path(__file__).parents[1] / "worlds" / "cpython.toml"


def test_i19_docs_and_downloads_go_each_to_the_server_that_is_named_for_them(
    tmp_path: Path,
) -> None:
    file, _ = read_world_file(SHIPPED)
    downloads, docs = file.services.downloads, file.services.docs
    assert downloads is not None
    assert docs is not None
    assert docs.host != downloads.host
    keys = {"host_keys": (f"ssh-ed25519 {'A' * 68}",)}
    parts = {"downloads": downloads.model_copy(update=keys), "docs": docs.model_copy(update=keys)}
    services = file.services.model_copy(update=parts)
    systems = Systems(
        file=file.model_copy(update={"services": services}),
        state=tmp_path,
        artifacts=tmp_path / "artifacts",
        release=Release.parse("3.15.0a2", "alpha", "2026-11-24"),
        secrets=Secrets(file.name),
    )
    assert [one.host for one in places(systems.downloads)] == [downloads.host]
    assert [one.host for one in places(systems.docs)] == [docs.host, downloads.host]
    assert {downloads.host, docs.host} < {one.host for one in pins(services)}


def places(adapter: object) -> list[Pin]:
    """Return where the servers of an adapter are, in the order it was given them."""
    return [one.pin for one in vars(adapter).values() if isinstance(one, SshPlace)]
