"""GPG home directories: the place of keys, its agent, and throw-away ones for rehearsals.

gpg reads no configuration but that of the home's agent, and asks no key server.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import stat
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Self
from urllib.parse import unquote

import gnupg

from relkit.errors import WorldError

MAX_SOCKET_BYTES = 95
"""103 is the limit of some systems, and another socket of the agent adds `.browser`."""
OPTIONS = ("--no-options", "--disable-dirmngr", "--no-auto-key-retrieve", "--no-auto-key-locate")
INHERITED = (
    *("PATH", "HOME", "USER", "TMPDIR", "XDG_RUNTIME_DIR"),
    # What a passphrase dialogue needs.
    *("TERM", "GPG_TTY", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS"),
)
UNUSABLE = ("d", "e", "i", "r")  # disabled, expired, invalid, revoked
TIMEOUT_SECONDS = 30.0
GONE_SECONDS = 2.0  # another process may start a new agent meanwhile

VERIFYING = "verifying-"
"""What the names of signatures being verified begin with."""

# python-gnupg logs tracebacks when gpg refuses early; the refusal itself is in the result.
logging.getLogger("gnupg").setLevel(logging.CRITICAL)


class GpgHome:
    """A home directory of gpg with an agent of its own.

    `close` ends the agent; so does the end of the process. An agent left by a killed process is
    used again.
    """

    def __init__(self, home: Path) -> None:
        """Open a home, which is made (empty, mode 0700) if need be.

        Raises `WorldError`: ``GPG_MISSING``, ``GPG_HOME``.
        """
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
        self._home = home.absolute()
        self._long = len(os.fsencode(_socket(self._home))) > MAX_SOCKET_BYTES
        self.close: Callable[[], object] = weakref.finalize(self, _close, self._home, self._long)

    @property
    def homedir(self) -> Path:
        """What gpg and git get as GNUPGHOME.

        It is the home or, where its path is too long for the agent's sockets, a short link to it.
        """
        return _link(self._home) if self._long else self._home

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def environment(self) -> dict[str, str]:
        """Return what a process such as git needs to use this home, to be added to its own."""
        return {"GNUPGHOME": str(self.homedir)}

    @property
    def program(self) -> gnupg.GPG:
        """python-gnupg on this home."""
        self.homedir  # noqa: B018 (temporary folders are cleaned, and a kernel lives for days)
        return self._program

    @cached_property
    def _program(self) -> gnupg.GPG:
        options = {"options": list(OPTIONS), "env": _environment()}
        try:
            return gnupg.GPG(gnupghome=str(self.homedir), **options)
        except (OSError, ValueError) as error:
            raise _missing(error) from error

    def import_keys(self, armored: str) -> tuple[str, ...]:
        """Add keys; return their primary fingerprints.

        Raises `WorldError` (``GPG_IMPORT``) if there are none.
        """
        found = self.program.import_keys(armored)
        if found.returncode or not found.fingerprints:
            raise gpg_refused("GPG_IMPORT", "the keys cannot be imported", found.stderr)
        return tuple(dict.fromkeys(found.fingerprints))

    def generate(self, name: str, email: str) -> None:
        """Make an unprotected ed25519 key that never expires: for rehearsals only."""
        if not f"{name}{email}".isprintable():
            raise gpg_refused("GPG_REFUSED", "a name may not hold control characters", "")
        wish = self.program.gen_key_input(
            key_type="EDDSA",
            key_curve="ed25519",
            key_usage="sign",
            name_real=name,
            name_email=email,
            expire_date="0",
            no_protection=True,
        )
        made = self.program.gen_key(wish.encode())
        if not made.fingerprint:
            raise gpg_refused("GPG_REFUSED", "no key was made", made.stderr)

    def secret_keys(self) -> tuple[str, ...]:
        """Return the fingerprints of the primary keys that can sign; no agent is started."""
        secret = self.homedir / "private-keys-v1.d"
        return tuple(
            str(key["fingerprint"])
            for key in self.program.list_keys()
            if key["trust"] not in UNUSABLE and (secret / f"{key['keygrip']}.key").is_file()
        )


def make_throwaway_key(home: Path, name: str, email: str) -> str:
    """Make a home with one unprotected ed25519 key for a rehearsal; return its fingerprint.

    A second call finds the key again. The home is made beside its place and put there whole, so
    a process killed meanwhile leaves no half of one. Raises `WorldError` (``GPG_HOME``).
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(home.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.is_dir() or not any(home.iterdir()):
            _make_home(home, name, email)
    finally:
        os.close(lock)
    with GpgHome(home) as made:
        keys = made.secret_keys()
    if len(keys) != 1:
        raise WorldError(
            f"{home.name}/ holds {len(keys)} usable secret keys, not 1",
            code="GPG_HOME",
            remedy="Restore the folder, or start a new rehearsal elsewhere.",
        )
    return keys[0]


def gpg_refused(code: str, what: str, stderr: str) -> WorldError:
    """Return the error for what gpg refused, with what it said to people."""
    said = [line for line in stderr.splitlines() if not line.startswith("[GNUPG:]")]
    return WorldError(
        f"{what}: {said[-1][:300] if said else 'gpg gave no reason'}",
        code=code,
        remedy="Look at the key with gpg --list-secret-keys, then run again.",
    )


def _make_home(home: Path, name: str, email: str) -> None:
    prefix = f".{home.name}.new."
    for left in home.parent.glob(f"{prefix}*"):  # by processes that were killed
        shutil.rmtree(left, ignore_errors=True)  # an agent without its socket ends by itself
    new = Path(tempfile.mkdtemp(prefix=prefix, dir=home.parent))
    with GpgHome(new) as made:
        made.generate(name, email)
    new.rename(home)


def _link(home: Path) -> Path:
    """Return the short link to a home: the same for all processes, in a folder of this user.

    Links to homes that are gone are removed. Raises `WorldError` (``GPG_HOME``) if the folder is
    somebody else's.
    """
    folder = _temporary() / f"relkit-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise WorldError(
            f"{folder} is not a folder of this user alone",
            code="GPG_HOME",
            remedy="Remove it, or keep the release in a folder with a shorter path.",
        )
    for link in folder.iterdir():
        if not link.exists():
            link.unlink(missing_ok=True)
    link = folder / hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    with suppress(FileExistsError):
        link.symlink_to(home)
    return link


def _temporary() -> Path:
    return Path(min(tempfile.gettempdir(), "/tmp", key=len))  # noqa: S108 (what is made there is checked)


def _close(home: Path, long: bool) -> None:  # noqa: FBT001 (called by weakref)
    """End the home's agent and wait until it is gone."""
    if not home.is_dir():
        return
    for left in home.glob(f"{VERIFYING}*"):  # by processes that were killed
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > TIMEOUT_SECONDS:
                left.unlink()
    try:
        homedir = _link(home) if long else home
    except WorldError:
        return  # no agent was ever started through a folder that is not ours
    socket = _socket(homedir)
    _gpgconf(homedir, "--kill", "all")
    deadline = time.monotonic() + GONE_SECONDS
    while socket.exists() and time.monotonic() < deadline:
        time.sleep(0.005)


def _socket(homedir: Path) -> Path:
    return Path(unquote(_gpgconf(homedir, "--list-dirs", "agent-socket").strip()))


def _gpgconf(homedir: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["gpgconf", "--homedir", str(homedir), *arguments],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,  # an agent that does not run cannot be ended
        )
    except OSError as error:
        raise _missing(error) from error
    return done.stdout


def _environment() -> dict[str, str]:
    """Return what gpg needs to know, and no more: its agent stays, and would keep secrets."""
    known = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return known | {"LC_ALL": "C.UTF-8"}


def _missing(error: Exception) -> WorldError:
    return WorldError(
        f"gpg does not run: {error}",
        code="GPG_MISSING",
        remedy="Install GnuPG 2.2 or newer and run again.",
    )
