"""What the tests of everything that goes by SSH share: a server, who signs in, and places."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

from services.sshd import Account, Sshd

from relkit.adapters.openssh import Pin, Pinned, SshPlace
from relkit.adapters.ssh_downloads import SshDownloads


@dataclass
class Stand:
    """A running server, with connections to it that last as long as the tests of a module."""

    server: Sshd
    folder: Path
    _count: itertools.count[int] = field(default_factory=itertools.count)
    _places: dict[str, SshPlace] = field(default_factory=dict)

    def pinned(self, account: Account | None = None, port: int = 0) -> Pinned:
        """Return a configuration with the server's key pinned; `port` is another way to it."""
        who = account or self.server.me
        pin = Pin(self.server.host, port or self.server.port, who.name, (self.server.host_key,))
        folder = self.folder / f"pinned-{who.name}-{port}"
        return Pinned(folder, hosts=(pin,), identity_file=str(who.identity), alive_seconds=1)

    def place(self, account: Account | None = None) -> SshPlace:
        """Return the connection of an account, the same each time."""
        who = account or self.server.me
        if who.name not in self._places:
            pinned = self.pinned(who)
            self._places[who.name] = pinned.place(self.server.host, self.server.port, who.name)
        return self._places[who.name]

    def fresh(self) -> Path:
        """Return a new folder on the server, which everybody can enter and write to."""
        path = self.server.root / f"world-{next(self._count)}"
        for one in path, path / "staging", path / "public":
            one.mkdir()
            one.chmod(0o2777)
        return path

    def downloads(
        self, root: Path, source: Path, account: Account | None = None, *, group: str = ""
    ) -> SshDownloads:
        """Return the download server whose trees are in such a folder."""
        return SshDownloads(
            self.place(account),
            public=str(root / "public"),
            staging=str(root / "staging"),
            source=source,
            group=group,
        )

    def close(self) -> None:
        for place in self._places.values():
            place.close()
