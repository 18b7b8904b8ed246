"""A real OpenSSH server on this machine, with the account that runs the tests and other ones.

An ordinary user can run it for that user only; other accounts need root, which makes them where
they are missing: ``relkit-one`` and ``relkit-two``, both in the group ``relkit-files``. Everybody's
home is an empty folder there, so that nobody's own settings of shells and git take part.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from services.running import HOST, answers, descendants, free_port, lacking, program, skip_without
from services.running import start as started
from services.running import stop as stopped

NAMES = ("relkit-one", "relkit-two")
GROUP = "relkit-files"
CONFIG = """\
ListenAddress {host}
Port {port}
HostKey {host_key}
PidFile none
AuthorizedKeysFile {root}/keys/%u
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
PrintMotd no
MaxStartups 100
AllowUsers {users}
SetEnv HOME={root}
"""
SUBSYSTEM = "Subsystem sftp internal-sftp"
"""Where the settings of a test name no other one."""
PENALTIES_SINCE = (9, 8)
"""OpenSSH shuts out, for a while, whoever has failed before: no use in tests of failures."""


@dataclass(frozen=True)
class Account:
    """Who can sign in, and the private key for it."""

    name: str
    identity: Path


@dataclass
class Sshd:
    """A running server. `root` is a folder which all accounts can enter; `me` runs the tests.

    `host_key` is the public key the server shows, as it is pinned: algorithm and key.
    """

    root: Path
    folder: Path
    port: int
    me: Account
    others: tuple[Account, ...]
    key_file: Path
    settings: tuple[str, ...] = ()
    host: str = HOST
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def host_key(self) -> str:
        return public_of(self.key_file)

    @property
    def log(self) -> Path:
        return self.folder / "sshd.log"

    def start(self) -> None:
        """Start the server, at the port it had, with the host key it now has."""
        words = CONFIG.format(
            host=HOST,
            port=self.port,
            host_key=self.key_file,
            root=self.root,
            users=" ".join(one.name for one in (self.me, *self.others)),
        )
        config = self.folder / "sshd_config"
        own = any(line.startswith("Subsystem") for line in self.settings)
        lines = self.settings if own else (SUBSYSTEM, *self.settings)
        config.write_text(words + "".join(f"{line}\n" for line in lines), encoding="ascii")
        command = [str(program("sshd")), "-D", "-e", "-f", str(config)]
        self._process = started(command, ready=lambda: answers(self.port), log=self.log)

    def stop(self) -> None:
        """End the server with all its sessions."""
        if self._process is not None:
            self.cut()
            stopped(self._process)
            self._process = None

    def cut(self) -> None:
        """End all sessions at once, as a broken line would."""
        if self._process is not None:
            for pid in descendants(self._process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def sessions(self) -> set[int]:
        """Return the processes of all sessions, with what they run."""
        return set(descendants(self._process.pid)) if self._process is not None else set()

    def change_key(self, kind: str = "ed25519") -> None:
        """Come back as another server would: at the same port with another host key."""
        self.stop()
        self.key_file = make_key(self.folder / f"other_{kind}", kind)
        self.start()


def missing() -> str:
    """Return what is not installed, with its Debian package."""
    return lacking({"sshd": "openssh-server", "ssh": "openssh-client", "sftp": "openssh-client"})


@contextmanager
def sshd(folder: Path, *, users: int = 0, settings: Sequence[str] = ()) -> Iterator[Sshd]:
    """Run a server; `users` is how many accounts it has besides the one that runs the tests.

    `settings` are further lines of its configuration. Without root, other accounts are no use.
    """
    skip_without(missing())
    if users and os.geteuid() != 0:
        skip_without("accounts for tests of several users need root")
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="relkit-sshd-"))
    root.chmod(0o755)
    (root / "keys").mkdir(mode=0o755)
    names = (pwd.getpwuid(os.geteuid()).pw_name, *NAMES[:users])
    accounts = [_account(name, folder, root) for name in names]
    key = make_key(folder / "host_key", "ed25519")
    lines = (*settings, *_without_penalties())
    server = Sshd(root, folder, free_port(), accounts[0], tuple(accounts[1:]), key, lines)
    try:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(root, ignore_errors=True)


def make_key(path: Path, kind: str) -> Path:
    """Make a key pair without passphrase, where there is none yet."""
    if not path.exists():
        command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(path)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def public_of(key: Path) -> str:
    """Return the public half of a key: algorithm and key, no comment."""
    words = key.with_name(f"{key.name}.pub").read_text(encoding="ascii").split()
    return " ".join(words[:2])


def _account(name: str, folder: Path, root: Path) -> Account:
    if name in NAMES:
        _make_account(name)
    identity = make_key(folder / f"key_{name}", "ed25519")
    authorized = root / "keys" / name
    authorized.write_text(public_of(identity) + "\n", encoding="ascii")
    authorized.chmod(0o644)
    return Account(name, identity)


def _make_account(name: str) -> None:
    """Make an account that nobody can use by password, and that is not locked either."""
    with suppress(KeyError):
        grp.getgrnam(GROUP)
        pwd.getpwnam(name)
        return
    group = ["groupadd", "--force", GROUP]
    user = ["useradd", "--create-home", "--password", "*", "--shell", "/bin/sh"]
    subprocess.run([str(program("groupadd")), *group[1:]], check=True)
    # Another test process can have been quicker.
    subprocess.run([str(program("useradd")), *user[1:], "--groups", GROUP, name], check=False)
    pwd.getpwnam(name)


def _without_penalties() -> Iterator[str]:
    said = subprocess.run(["ssh", "-V"], capture_output=True, check=True).stderr.decode()
    found = re.search(r"OpenSSH_(\d+)\.(\d+)", said)
    if found and (int(found[1]), int(found[2])) >= PENALTIES_SINCE:
        yield "PerSourcePenalties no"
