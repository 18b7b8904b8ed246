"""Why a server could not be reached by SSH, told from OpenSSH's words: one code for each reason."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from relkit.adapters.git_command import said
from relkit.errors import UsageError, WorldError

HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,200}[A-Za-z0-9])?", flags=re.ASCII)
USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}", flags=re.ASCII)
KEY = re.compile(r"[a-z][a-z0-9@.-]{4,60} (?:[A-Za-z0-9+/]{4}){10,500}[A-Za-z0-9+/=]{0,4}")
SSH_PORT, LAST_PORT = 22, 65535
SCAN_SECONDS = 5
UNPINNED = re.compile(r"No \S+ host key is known for")
WRONG_KEY = re.compile(
    r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED"
    r"|no matching host key type found",
)
DENIED = re.compile(r"Permission denied \(|Too many authentication failures")
UNFIT = re.compile(
    r"Unable to negotiate|subsystem request failed|Received message too long"
    r"|Couldn't initialise connection"
)
"""Of a server that was reached: no algorithm in common, no SFTP, or words where SFTP should be."""


@dataclass(frozen=True)
class Pin:
    """A server, who signs in there (empty: whom an address names), and all keys it may show.

    `host_keys` are public keys as OpenSSH writes them, without host and comment.
    """

    host: str
    port: int
    user: str
    host_keys: tuple[str, ...]

    def __post_init__(self) -> None:
        good = HOST.fullmatch(self.host) and 0 < self.port <= LAST_PORT
        if not good or (self.user and not USER.fullmatch(self.user)):
            raise unfit(f"{self.user[:60]!r} at {self.host[:60]!r}, port {self.port}")
        for key in self.host_keys:
            if not KEY.fullmatch(key):
                raise unfit(f"{key[:60]!r} as a host key of {self.host}")

    @property
    def name(self) -> str:
        """The server as known hosts name it."""
        return self.host if self.port == SSH_PORT else f"[{self.host}]:{self.port}"


def fingerprint(key: str) -> str:
    """Return a public key's algorithm and fingerprint as OpenSSH shows them."""
    kind, _, text = key.partition(" ")
    digest = hashlib.sha256(base64.b64decode(text)).digest()
    return f"{kind} SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def is_key_refusal(words: str) -> bool:
    """Tell whether OpenSSH has refused the key of a host."""
    return WRONG_KEY.search(words) is not None or UNPINNED.search(words) is not None


def refusal(pin: Pin, words: str) -> WorldError:
    """Return why a server was not reached, or was lost, by what OpenSSH said."""
    if is_key_refusal(words):
        return wrong_key(pin) if pin.host_keys else unpinned(pin.name)
    who = f"{pin.user}@{pin.name}" if pin.user else pin.name
    if DENIED.search(words):
        return WorldError(
            f"{who} does not let you in: {said(words)}",
            code="SSH_DENIED",
            remedy="Nothing was sent. Is your key in the agent (ssh-add -l), and does the server "
            "know it for you?",
        )
    if UNFIT.search(words):
        return WorldError(
            f"{who} cannot be used: {said(words)}; nothing was sent",
            code="SSH_UNFIT",
            remedy="The server needs OpenSSH 6.2 or newer with its SFTP, and for this account a "
            "shell that prints nothing by itself; ask its administrators.",
        )
    return WorldError(
        f"{who} was not reached, or the connection broke: {said(words) or 'no words'}; "
        "what is there now is not known",
        code="SSH_UNREACHABLE",
        remedy="See whether the server and the line are up, then run this again: it looks "
        "first, and goes on.",
    )


def wrong_key(pin: Pin) -> WorldError:
    """Return the refusal of a host that shows another key than those pinned (T42)."""
    shown = sorted(map(fingerprint, _shown(pin)))
    wanted = sorted(map(fingerprint, pin.host_keys))
    return WorldError(
        f"{pin.name} shows {_listed(shown)}, pinned is {_listed(wanted)}",
        code="HOSTKEY",
        remedy="Nothing was sent. Ask the server's administrators by another way before you change "
        "the pinned key in the world's file.",
    )


def unpinned(name: str) -> WorldError:
    """Return the refusal of a host no key is pinned for, whatever other files say of it."""
    return WorldError(
        f"no host key is pinned for {name}",
        code="HOSTKEY_UNPINNED",
        remedy="Put its public key, as its administrators publish it, into the world's file.",
    )


def unfit(what: str) -> UsageError:
    """Return the refusal of an address or path that OpenSSH or a shell could misread."""
    return UsageError(
        f"{what} cannot stand in the configuration of OpenSSH",
        code="SSH_CONFIG",
        remedy="Correct it in the world's file: plain letters, no quotes, no blanks in names.",
    )


def _shown(pin: Pin) -> Iterable[str]:
    """Ask a server for all its keys, for showing only; none if it does not answer."""
    command = ["ssh-keyscan", "-T", str(SCAN_SECONDS), "-p", str(pin.port), "--", pin.host]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=4 * SCAN_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return
    for line in done.stdout.decode(errors="replace").splitlines():
        key = " ".join(line.split()[1:3])
        if KEY.fullmatch(key):
            yield key


def _listed(fingerprints: list[str]) -> str:
    return ", ".join(fingerprints) or "a key that it does not say"
