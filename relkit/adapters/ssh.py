"""Signatures with SSH keys, made and verified by OpenSSH's own `ssh-keygen -Y`.

A key is used through the agent where only its public half is given, so that hardware keys and
locked ones work; OpenSSH asks for what it needs.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path

from relkit.errors import VerificationError, WorldError
from relkit.policy import SSH_KEY

KEYGEN = "ssh-keygen"
TIMEOUT_SECONDS = 120.0
"""As long as a person may need to touch a hardware key."""
ARMOR = re.compile(
    r"-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]{100,8000}\n-----END SSH SIGNATURE-----\n"
)
MAGIC = b"SSHSIG"
"""What the bytes of a signature begin with."""
WHO = "signer"
"""The principal in the list of allowed signers: the caller has chosen the key, not the name."""


def sign(text: str, *, key: Path, namespace: str) -> str:
    """Return an armored signature over a text.

    `key` is a private key or, where an agent has that, the public one.

    Raises `WorldError` (``SSH_SIGN``).
    """
    with tempfile.TemporaryDirectory(prefix="relkit-") as folder:
        file = Path(folder) / "text"
        file.write_bytes(text.encode())
        done = _run([KEYGEN, "-q", "-Y", "sign", "-n", namespace, "-f", str(key), str(file)], b"")
        signature = file.with_name("text.sig")
        if done.returncode or not signature.is_file():
            raise WorldError(
                f"{key.name} did not sign: {_said(done)}",
                code="SSH_SIGN",
                remedy="Is the key in the agent (ssh-add -l)? Unlock it, and do this again.",
            )
        return signature.read_text(encoding="ascii")


def verify(text: str, signature: str, *, key: str, namespace: str) -> None:
    """Raise `VerificationError` (``SSH_INVALID``) unless exactly this key signed exactly this text.

    `key` is a public key as OpenSSH writes it, without a comment.
    """
    if not SSH_KEY.fullmatch(key):
        raise _invalid(f"{key[:60]!r} is no public key")
    if not ARMOR.fullmatch(signature):
        raise _invalid("it is no SSH signature")
    with tempfile.TemporaryDirectory(prefix="relkit-") as folder:
        allowed, made = Path(folder) / "allowed", Path(folder) / "signature"
        allowed.write_text(allowed_signer(WHO, key, namespace), encoding="ascii")
        made.write_text(signature, encoding="ascii")
        files = ["-f", str(allowed), "-s", str(made)]
        command = [KEYGEN, "-q", "-Y", "verify", *files, "-I", WHO, "-n", namespace]
        done = _run(command, text.encode())
    if done.returncode:
        made_by, meant = fingerprint(signature), _named(_decoded(key.split()[1]))
        foreign = f"it is by the key {made_by or 'of nobody'}, not by {meant}"
        raise _invalid(foreign if made_by != meant else _said(done))


def allowed_signer(who: str, key: str, namespace: str) -> str:
    """Return a line of the file that `ssh-keygen -Y verify -f` reads."""
    return f'{who} namespaces="{namespace}" {key}\n'


def fingerprint(signature: str) -> str:
    """Return the fingerprint that an armored signature says its key has; empty if it is none.

    It is for showing, as OpenSSH shows it (``SHA256:…``); nothing is verified by it.
    """
    if not ARMOR.fullmatch(signature):
        return ""
    blob = _decoded("".join(signature.splitlines()[1:-1]))
    start = len(MAGIC) + 4 + 4  # the version of the format, the length of the key
    key = blob[start : start + int.from_bytes(blob[start - 4 : start])]
    return _named(key) if blob.startswith(MAGIC) and key else ""


def _decoded(text: str) -> bytes:
    """Return the bytes of a text in base64; none if it is not."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _named(key: bytes) -> str:
    return f"SHA256:{base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip('=')}"


def public_key(path: Path) -> str:
    """Return the public key in a file such as ``id_ed25519.pub``, without its comment.

    Raises `WorldError` (``SSH_KEY``).
    """
    try:
        words = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise _no_key(path, str(error)) from error
    key = " ".join(words[:2])
    if not SSH_KEY.fullmatch(key):
        raise _no_key(path, "it holds no public key of a kind that is taken")
    return key


def make_key(path: Path) -> None:
    """Make a throw-away key without a passphrase, and its public half beside it as ``.pub``."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    for left in new, new.with_name(f"{new.name}.pub"):
        left.unlink(missing_ok=True)  # of a process that was killed
    done = _run([KEYGEN, "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(new)], b"")
    if done.returncode:
        raise WorldError(
            f"no key was made: {_said(done)}",
            code="SSH_KEY",
            remedy="Install OpenSSH's ssh-keygen (Debian: openssh-client).",
        )
    new.with_name(f"{new.name}.pub").replace(path.with_name(f"{path.name}.pub"))
    new.replace(path)


def _run(command: list[str], given: bytes) -> subprocess.CompletedProcess[bytes]:
    kept = ("PATH", "SSH_AUTH_SOCK", "SSH_ASKPASS", "DISPLAY", "TERM")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    try:
        return subprocess.run(
            command,
            input=given,
            env={"LC_ALL": "C", **environment},
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WorldError(
            f"{KEYGEN} cannot be used: {error}",
            code="SSH_MISSING",
            remedy="Install OpenSSH's ssh-keygen (Debian: openssh-client).",
        ) from error


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    words = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
    return words[-1][:200] if words else f"status {done.returncode}"


def _invalid(why: str) -> VerificationError:
    return VerificationError(
        f"no good SSH signature: {why}",
        code="SSH_INVALID",
        remedy="Ask the person who is said to have signed, by another way.",
    )


def _no_key(path: Path, why: str) -> WorldError:
    return WorldError(
        f"{path.name}: {why}",
        code="SSH_KEY",
        remedy="Give the file of an SSH public key, such as ~/.ssh/id_ed25519.pub.",
    )
