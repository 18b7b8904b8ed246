"""Signatures with SSH keys: made and verified by OpenSSH, and refused if they are anything else."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from relkit.adapters import ssh
from relkit.adapters.attest import Attestor, sign_with_ssh
from relkit.decision import NAMESPACE
from relkit.errors import VerificationError, WorldError
from relkit.values import Identity, Signed

TEXT = "the plan is good ✓\n"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the keys `mine` and `other`."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("mine", "other"):
        ssh.make_key(folder / name)
    return folder


def public(keys: Path, name: str = "mine") -> str:
    return ssh.public_key(keys / f"{name}.pub")


@pytest.fixture(scope="module")
def signature(keys: Path) -> str:
    return ssh.sign(TEXT, key=keys / "mine", namespace=NAMESPACE)


def test_what_a_key_signed_is_verified_by_it(keys: Path, signature: str) -> None:
    ssh.verify(TEXT, signature, key=public(keys), namespace=NAMESPACE)


@pytest.mark.parametrize(
    ("text", "name", "namespace"),
    [
        (f"{TEXT}\n", "mine", NAMESPACE),
        (TEXT.replace("good", "bad"), "mine", NAMESPACE),
        ("", "mine", NAMESPACE),
        (TEXT, "other", NAMESPACE),
        (TEXT, "mine", "file"),
    ],
    ids=["line end", "word", "empty", "another key", "another namespace"],
)
def test_anything_else_than_what_was_signed_is_refused(
    keys: Path, signature: str, text: str, name: str, namespace: str
) -> None:
    with pytest.raises(VerificationError, match="SSH_INVALID"):
        ssh.verify(text, signature, key=public(keys, name), namespace=namespace)


def test_a_signature_names_its_key_as_openssh_does(keys: Path, signature: str) -> None:
    listed = subprocess.run(
        ["ssh-keygen", "-l", "-f", keys / "mine.pub"], capture_output=True, text=True, check=True
    )
    assert ssh.fingerprint(signature) == listed.stdout.split()[1]


@pytest.mark.parametrize("junk", ["", "x", "-----BEGIN SSH SIGNATURE-----\n" + "A" * 101 + "\n"])
def test_what_is_no_signature_names_no_key(junk: str) -> None:
    assert not ssh.fingerprint(junk)
    assert not ssh.fingerprint(f"{junk}-----END SSH SIGNATURE-----\n")


def test_a_signature_by_another_key_is_refused_with_both(keys: Path, signature: str) -> None:
    with pytest.raises(VerificationError, match=r"it is by the key SHA256:.*, not by SHA256:"):
        ssh.verify(TEXT, signature, key=public(keys, "other"), namespace=NAMESPACE)


def test_a_signature_for_another_purpose_does_not_count(keys: Path) -> None:
    made = ssh.sign(TEXT, key=keys / "mine", namespace="git")
    with pytest.raises(VerificationError, match="SSH_INVALID"):
        ssh.verify(TEXT, made, key=public(keys), namespace=NAMESPACE)


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "",
        lambda text: text[:-30],
        lambda text: text * 2,
        lambda text: f"{text}x",
        lambda text: text.replace("SSH", "PGP"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: re.sub(r"(?m)^U1NI", "AAAA", text),
        lambda text: "\x00" + text,
    ],
)
def test_what_is_no_signature_is_refused_before_openssh_sees_it(
    keys: Path, signature: str, change: object
) -> None:
    assert callable(change)
    with pytest.raises(VerificationError, match="SSH_INVALID"):
        ssh.verify(TEXT, change(signature), key=public(keys), namespace=NAMESPACE)


@pytest.mark.parametrize(
    "key",
    [
        *("", "*", "ssh-ed25519", "ssh-ed25519 AAAA", "cert-authority ssh-ed25519 " + "A" * 68),
        *('namespaces="*" ssh-ed25519 ' + "A" * 68, "ssh-dss " + "A" * 68),
        "ssh-ed25519 " + "A" * 68 + "\n* ssh-ed25519 " + "B" * 68,
    ],
)
def test_what_is_no_single_key_verifies_nothing(signature: str, key: str) -> None:
    with pytest.raises(VerificationError, match="SSH_INVALID"):
        ssh.verify(TEXT, signature, key=key, namespace=NAMESPACE)


def test_stock_openssh_comes_to_the_same_answer(keys: Path, signature: str, tmp_path: Path) -> None:
    allowed, made = tmp_path / "allowed_signers", tmp_path / "a.sig"
    allowed.write_text(ssh.allowed_signer("elif", public(keys), NAMESPACE))
    made.write_text(signature)
    for who, text, status in (("elif", TEXT, 0), ("elif", "other", 255), ("emil", TEXT, 255)):
        files: list[str | Path] = ["-f", allowed, "-s", made]
        command: list[str | Path] = [
            "ssh-keygen",
            "-Y",
            "verify",
            *files,
            "-I",
            who,
            "-n",
            NAMESPACE,
        ]
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
        assert done.returncode == status, done.stderr


def test_a_key_without_its_private_half_and_agent_does_not_sign(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    lonely = keys / "lonely.pub"
    lonely.write_text(f"{public(keys, 'other')}\n")
    with pytest.raises(WorldError, match=r"SSH_SIGN: lonely\.pub did not sign"):
        ssh.sign(TEXT, key=lonely, namespace=NAMESPACE)


@pytest.fixture
def agent(keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run an agent that has the key `mine`."""
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as process:
        while not socket.exists():
            assert process.poll() is None
        environment = os.environ | {"SSH_AUTH_SOCK": str(socket)}
        command: list[str | Path] = ["ssh-add", "-q", keys / "mine"]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        yield
        process.terminate()


@pytest.mark.usefixtures("agent")
def test_the_agent_signs_for_a_public_key(keys: Path, tmp_path: Path) -> None:
    half = tmp_path / "hardware.pub"
    half.write_text(f"{public(keys)} a comment\n")
    signed = sign_with_ssh(TEXT, half)
    Attestor().verify(signed=signed, identity=Identity(scheme="ssh", key=public(keys)))


def test_a_public_key_file_without_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pub"
    for text in ("", "ssh-ed25519", "ssh-dss AAAA", "é"):
        path.write_text(text)
        with pytest.raises(WorldError, match="SSH_KEY"):
            ssh.public_key(path)
    with pytest.raises(WorldError, match="SSH_KEY"):
        ssh.public_key(tmp_path / "none.pub")


def test_a_key_half_made_by_a_killed_process_is_made_anew(tmp_path: Path) -> None:
    for name in (".key.new", ".key.new.pub"):
        (tmp_path / name).write_text("half")
    ssh.make_key(tmp_path / "key")
    assert sign_with_ssh(TEXT, tmp_path / "key").text == TEXT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "key.pub"]


def test_signing_needs_openssh_and_says_so(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "KEYGEN", "no-such-ssh-keygen")
    with pytest.raises(WorldError, match="SSH_MISSING"):
        ssh.sign(TEXT, key=keys / "mine", namespace=NAMESPACE)


def test_nobody_signs_with_a_key_that_is_not_here(keys: Path) -> None:
    attestor = Attestor(keys={"Elif": keys / "mine"})
    assert attestor.sign(who="Elif", text=TEXT).scheme == "ssh"
    with pytest.raises(WorldError, match="NO_KEY"):
        attestor.sign(who="Emil", text=TEXT)


@pytest.mark.parametrize("scheme", ["gpg", "sigstore"])
def test_a_signature_of_a_scheme_that_nothing_here_verifies_is_refused(scheme: str) -> None:
    signed = Signed.model_validate({"scheme": scheme, "text": TEXT, "signature": "x"})
    identity = Identity.model_validate({"scheme": scheme, "key": "x"})
    with pytest.raises(VerificationError, match="CANNOT_VERIFY"):
        Attestor().verify(signed=signed, identity=identity)
    with pytest.raises(VerificationError, match="CANNOT_VERIFY"):
        Attestor().verify(signed=signed, identity=Identity(scheme="ssh", key="x"))
