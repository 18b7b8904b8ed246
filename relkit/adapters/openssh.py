"""OpenSSH with one pinned configuration: who a server is, and how it is reached.

Nothing of the user's or the machine's configuration takes part: neither known hosts nor proxies
nor forwarding. A host shows one of the keys pinned for it, or nothing is said to it (T42). The
agent and OpenSSH's default keys sign in, so that hardware keys work as they do elsewhere, or one
identity file.
"""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from relkit.adapters.git_command import said
from relkit.adapters.sftp import SshPlace
from relkit.adapters.ssh_process import Ran
from relkit.adapters.ssh_refusals import SSH_PORT, Pin, is_key_refusal, refusal, unfit, unpinned
from relkit.errors import WorldError

__all__ = ["Pin", "Pinned", "Ran", "SshPlace"]

PLAIN_PATH = re.compile(r"/[^\x00-\x1f\x7f\"'\\$%`~*?]+")
"""What OpenSSH's configuration and a quoted word of a shell take as it is written."""
ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""How a key signs, where that is not called as the key is."""
GIT_SSH = "GIT_SSH_COMMAND"
CONFIG, KNOWN = "ssh_config", "known_hosts"
OPTIONS = """\
Host *
BatchMode yes
StrictHostKeyChecking yes
GlobalKnownHostsFile /dev/null
UpdateHostKeys no
VerifyHostKeyDNS no
CheckHostIP no
CanonicalizeHostname no
PreferredAuthentications publickey
ForwardAgent no
ForwardX11 no
ClearAllForwardings yes
PermitLocalCommand no
ProxyCommand none
Tunnel no
RequestTTY no
EscapeChar none
LogLevel INFO
Compression no
Ciphers aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com
ConnectionAttempts 1
ServerAliveCountMax 4
"""
ADDRESS = re.compile(r"ssh://(?:(?P<user>[^@/]+)@)?(?P<host>[^:/@]+)(?::(?P<port>\d+))?/.*")
SHORT = re.compile(r"(?:(?P<user>[^@/:]+)@)?(?P<host>[^:/@]+):.*")


class Pinned:
    """A configuration of OpenSSH in a private folder, for these servers and no other ones.

    `identity_file` is a private key's path; empty: the agent's keys and OpenSSH's default ones.
    A server that says nothing for four times `alive_seconds` is lost.
    """

    def __init__(
        self,
        folder: Path,
        *,
        hosts: tuple[Pin, ...],
        identity_file: str = "",
        alive_seconds: int = 15,
    ) -> None:
        self.hosts = hosts
        self._folder = folder.absolute()
        self._identity, self._alive = identity_file, alive_seconds
        for path in (str(self._folder), identity_file):
            if path and not PLAIN_PATH.fullmatch(path):
                raise unfit(f"the path {path[:80]!r}")

    def git_command(self) -> str:
        """Return what git runs as ssh (``GIT_SSH_COMMAND``): only a path of ours stands in it."""
        return f"ssh -F '{self.config}'"

    def environment(self) -> dict[str, str]:
        """Return what `GitCommand` and `GitPlace` need in their environment."""
        return {GIT_SSH: self.git_command()}

    def place(self, host: str, port: int, user: str) -> SshPlace:
        """Return a server to work on. Raises `WorldError` (``HOSTKEY_UNPINNED``)."""
        keys = tuple(
            key
            for pin in self.hosts
            if (pin.host, pin.port) == (host, port)
            for key in pin.host_keys
        )
        pin = Pin(host, port, user, keys)
        if not keys:
            raise unpinned(pin.name)
        return SshPlace(self.config, pin)

    @cached_property
    def config(self) -> Path:
        """The file with the configuration, written at first use beside the known hosts."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = {f"{pin.name} {key}\n" for pin in self.hosts for key in pin.host_keys}
        _write(self._folder / KNOWN, "".join(sorted(lines)))
        blocks = "".join(self._block(host) for host in sorted({pin.host for pin in self.hosts}))
        _write(self._folder / CONFIG, blocks + OPTIONS + self._more())
        return self._folder / CONFIG

    def _block(self, host: str) -> str:
        """Return what holds for a host: it signs by the algorithms of its pinned keys only."""
        keys = [key.split()[0] for pin in self.hosts if pin.host == host for key in pin.host_keys]
        kinds = [name for kind in keys for name in ALGORITHMS.get(kind, (kind,))]
        words = ",".join(dict.fromkeys(kinds))
        return f"Host {host}\nHostKeyAlgorithms {words}\n" if kinds else ""

    def _more(self) -> str:
        alive = f"ConnectTimeout {2 * self._alive}\nServerAliveInterval {self._alive}\n"
        known = f'UserKnownHostsFile "{self._folder / KNOWN}"\n'
        if not self._identity:
            return alive + known
        return f'{alive}{known}IdentityFile "{self._identity}"\nIdentitiesOnly yes\n'


def key_refusal(url: str, words: str, environment: Mapping[str, str]) -> WorldError | None:
    """Return why ssh refused a host's key when git went to an address; None: it did not.

    `environment` is the one git had; it names the configuration of a `Pinned`.
    """
    found = ADDRESS.fullmatch(url) or SHORT.fullmatch(url)
    if not is_key_refusal(words) or found is None:
        return None
    parts = found.groupdict()
    port = int(parts.get("port") or SSH_PORT)
    bare = Pin(parts["host"], port, parts["user"] or "", ())
    command = environment.get(GIT_SSH)
    if not command:
        return unpinned(bare.name)
    known = Path(shlex.split(command)[-1]).with_name(KNOWN).read_text(encoding="ascii")
    lines = (line.split(" ", 1) for line in known.splitlines())
    keys = tuple(key for name, key in lines if name == bare.name)
    return refusal(Pin(bare.host, port, bare.user, keys), said(words))


def _write(path: Path, text: str) -> None:
    """Write a file whole, unless it says this already: several processes share it."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        file.write(text)
    Path(file.name).replace(path)
