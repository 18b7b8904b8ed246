from __future__ import annotations

import hashlib
import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relkit.adapters import gpg_home
from relkit.adapters.gpg import GpgKeyring, GpgSigner, make_throwaway_key
from relkit.adapters.signers import LocalSigners
from relkit.adapters.sigstore import SigstoreSigner
from relkit.errors import CheckError, VerificationError, WorldError

NAME, DATA = "Python-3.13.0a6.tgz", b"the release\n"
DIGEST = hashlib.sha256(DATA).hexdigest()
ZEROS = "0" * 40


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def signer(place: Path) -> Iterator[GpgSigner]:
    fingerprint = make_throwaway_key(place / "rm", "Release Manager", "rm@example.org")
    with GpgSigner(place / "rm", fingerprint) as made:
        yield made


@pytest.fixture(scope="module")
def mallory(place: Path) -> Iterator[GpgSigner]:
    """A key the release manager's home knows, but did not mean."""
    fingerprint = make_throwaway_key(place / "mallory", "Mallory", "mallory@example.org")
    with GpgSigner(place / "mallory", fingerprint) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "artifacts" / NAME
    path.parent.mkdir()
    path.write_bytes(DATA)
    return path


def beside(file: Path) -> Path:
    return file.with_name(f"{file.name}.asc")


def verify(keyring: GpgKeyring, file: Path, fingerprint: str) -> None:
    keyring.verify(file, beside(file), fingerprint=fingerprint)


def gpg(signer: GpgSigner, *arguments: str, data: bytes = DATA) -> bytes:
    """Run gpg as somebody who does not use relkit would."""
    command = ["gpg", "--homedir", str(signer.homedir), "--batch", "--armor", *arguments]
    done = subprocess.run(command, input=data, capture_output=True, timeout=30, check=True)
    return done.stdout


def agent(signer: GpgKeyring) -> int | None:
    """Return the process id of the home's agent, if one answers."""
    command = ["gpg-connect-agent", "--homedir", str(signer.homedir), "--no-autostart"]
    asked = [*command, "GETINFO pid", "/bye"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("D ")]
    return int(lines[0].removeprefix("D ")) if lines else None


def lives(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def dies(process: int) -> bool:
    deadline = time.monotonic() + 10
    while lives(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not lives(process)


# --- signing ----------------------------------------------------------------------------------


def test_a_signature_is_detached_armored_and_good(signer: GpgSigner, file: Path) -> None:
    signer.sign(file)
    verify(signer, file, signer.fingerprint)
    assert beside(file).read_bytes().startswith(b"-----BEGIN PGP SIGNATURE-----\n")
    assert stat.S_IMODE(beside(file).stat().st_mode) == 0o444
    assert sorted(path.name for path in file.parent.iterdir()) == [NAME, f"{NAME}.asc"]


def test_a_big_file_is_signed_whole(signer: GpgSigner, file: Path) -> None:
    file.write_bytes(os.urandom(1 << 20) * 20)
    signer.sign(file)
    verify(signer, file, signer.fingerprint)


def test_no_other_key_signs_in_its_place(
    signer: GpgSigner, place: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """I01: a signature that was not made goes unseen."""
    caplog.set_level(logging.INFO)
    with (
        GpgSigner(place / "rm", ZEROS) as nobody,
        pytest.raises(WorldError, match="No secret key") as refusal,
    ):
        nobody.sign(file)
    assert signer.secret_keys() == (signer.fingerprint,)
    assert refusal.value.code == "GPG_REFUSED"
    assert [path.name for path in file.parent.iterdir()] == [NAME]
    assert caplog.records == []


def test_other_bytes_are_not_signed(signer: GpgSigner, file: Path) -> None:
    with pytest.raises(CheckError) as refusal:
        signer.sign(file, hashlib.sha256(b"other").hexdigest())
    assert refusal.value.code == "DIGEST_CHANGED"
    assert not beside(file).exists()


def test_a_file_written_to_between_hash_and_signature_gets_no_signature(
    signer: GpgSigner, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = signer.program.sign_file

    def swap(*args: object, **kwargs: object) -> object:
        file.write_bytes(b"planted")
        return sign(*args, **kwargs)

    monkeypatch.setattr(signer.program, "sign_file", swap)
    with pytest.raises(CheckError) as refusal:
        signer.sign(file, DIGEST)
    assert refusal.value.code == "DIGEST_CHANGED"
    assert hashlib.sha256(b"planted").hexdigest() in str(refusal.value)
    assert not beside(file).exists()


def test_git_signs_and_verifies_with_the_same_home(signer: GpgSigner, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **signer.environment()}
    settings = ["-c", f"user.signingkey={signer.fingerprint}"]
    person = ["-c", "user.name=RM", "-c", "user.email=rm@example.org"]

    def git(*arguments: str) -> str:
        command = ["git", *settings, *person, *arguments]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return done.stdout + done.stderr

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message=x")
    git("tag", "--sign", "--message=x", "v1")
    assert f"VALIDSIG {signer.fingerprint}" in git("verify-tag", "--raw", "v1")


# --- verifying --------------------------------------------------------------------------------


def test_a_stranger_verifies_with_the_public_key_alone(
    signer: GpgSigner, file: Path, tmp_path: Path
) -> None:
    signer.sign(file)
    with GpgKeyring(tmp_path / "stranger") as stranger:
        assert stranger.import_keys(signer.export_public()) == (signer.fingerprint,)
        verify(stranger, file, signer.fingerprint)
        assert stranger.secret_keys() == ()


def test_a_tampered_file_is_refused(signer: GpgSigner, file: Path) -> None:
    signer.sign(file)
    file.write_bytes(DATA + b"!")
    with pytest.raises(VerificationError, match="signature bad") as refusal:
        verify(signer, file, signer.fingerprint)
    assert refusal.value.code == "GPG_INVALID"


def test_another_key_is_refused_known_or_not(
    signer: GpgSigner, mallory: GpgSigner, file: Path, tmp_path: Path
) -> None:
    """I04: signed with another key than usual."""
    mallory.sign(file)
    with pytest.raises(VerificationError, match="no public key"):
        verify(signer, file, signer.fingerprint)
    with GpgKeyring(tmp_path / "both") as both:
        both.import_keys(signer.export_public() + mallory.export_public())
        verify(both, file, mallory.fingerprint)
        with pytest.raises(VerificationError) as refusal:
            verify(both, file, signer.fingerprint)
    assert refusal.value.code == "GPG_KEY"


@pytest.mark.parametrize("length", [8, 16, 39])
def test_a_short_key_id_is_no_fingerprint(signer: GpgSigner, file: Path, length: int) -> None:
    signer.sign(file)
    with pytest.raises(VerificationError) as refusal:
        verify(signer, file, signer.fingerprint[-length:])
    assert refusal.value.code == "GPG_KEY"


def test_several_signatures_in_one_file_are_refused(
    signer: GpgSigner, mallory: GpgSigner, tmp_path: Path
) -> None:
    ours = gpg(signer, "--detach-sign")
    later = gpg(signer, "--digest-algo", "SHA512", "--detach-sign")
    theirs = gpg(mallory, "--detach-sign")
    with GpgKeyring(tmp_path / "both") as both:
        both.import_keys(signer.export_public() + mallory.export_public())
        for keyring in both, signer:  # mallory's key is known, or not
            for pair in (ours, ours), (ours, later), (ours, theirs), (theirs, ours):
                with pytest.raises(VerificationError) as refusal:
                    keyring.verify_bytes(DATA, b"".join(pair), fingerprint=signer.fingerprint)
                assert refusal.value.code == "GPG_COUNT"


def _text(signer: GpgSigner) -> bytes:
    return gpg(signer, "--textmode", "--detach-sign")


def _weak(signer: GpgSigner) -> bytes:
    return gpg(signer, "--digest-algo", "SHA1", "--detach-sign")


def _clear(signer: GpgSigner) -> bytes:
    return gpg(signer, "--clearsign")


def _inline(signer: GpgSigner) -> bytes:
    return gpg(signer, "--sign")


def _other(signer: GpgSigner) -> bytes:
    return gpg(signer, "--detach-sign", data=b"other")


def _cut(signer: GpgSigner) -> bytes:
    return gpg(signer, "--detach-sign")[:100]


def _key(signer: GpgSigner) -> bytes:
    return signer.export_public().encode()


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (_text, "GPG_WEAK"),
        (_weak, "GPG_WEAK"),
        (_clear, "GPG_INVALID"),
        (_inline, "GPG_INVALID"),
        (_other, "GPG_INVALID"),
        (_cut, "GPG_INVALID"),
        (_key, "GPG_INVALID"),
    ],
)
def test_what_is_no_detached_signature_of_the_bytes_is_refused(
    signer: GpgSigner, make: Callable[[GpgSigner], bytes], code: str
) -> None:
    with pytest.raises(VerificationError) as refusal:
        signer.verify_bytes(DATA, make(signer), fingerprint=signer.fingerprint)
    assert refusal.value.code == code


def test_gpg_refusing_early_is_a_refusal_however_big_the_file(
    signer: GpgSigner, place: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_bytes(bytes(20 << 20))
    beside(file).write_bytes(b"junk")
    with pytest.raises(VerificationError):
        verify(signer, file, signer.fingerprint)
    with GpgSigner(place / "rm", ZEROS) as nobody, pytest.raises(WorldError, match="No secret key"):
        nobody.sign(file)
    assert caplog.records == []


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(junk=st.one_of(st.binary(max_size=300), st.just(b"[GNUPG:] GOODSIG 0 x\n")))
def test_no_bytes_are_a_signature_by_chance(signer: GpgSigner, junk: bytes) -> None:
    with pytest.raises(VerificationError) as refusal:
        signer.verify_bytes(DATA, junk, fingerprint=signer.fingerprint)
    assert refusal.value.code in {"GPG_INVALID", "GPG_COUNT"}


def test_a_revoked_key_neither_verifies_nor_signs(tmp_path: Path, file: Path) -> None:
    home = tmp_path / "home"
    fingerprint = make_throwaway_key(home, "Release Manager", "rm@example.org")
    with GpgSigner(home, fingerprint) as signer:
        signer.sign(file)
        revocation = (home / "openpgp-revocs.d" / f"{fingerprint}.rev").read_text()
        gpg(signer, "--import", data=revocation.replace(":-----BEGIN", "-----BEGIN").encode())
        with pytest.raises(VerificationError, match="revoked"):
            verify(signer, file, fingerprint)
        beside(file).unlink()
        with pytest.raises(WorldError) as refusal:
            signer.sign(file)
    assert refusal.value.code == "GPG_REFUSED"
    assert not beside(file).exists()
    with pytest.raises(WorldError) as refusal:
        make_throwaway_key(home, "Release Manager", "rm@example.org")
    assert refusal.value.code == "GPG_HOME"


@pytest.mark.parametrize(
    ("key_ends", "signature_ends", "said"),
    [("1y", "never", "signing key has expired"), ("never", "1y", "signature expired")],
)
def test_a_key_or_a_signature_that_expired_is_refused(
    tmp_path: Path, key_ends: str, signature_ends: str, said: str
) -> None:
    then = ["--faked-system-time", "20200101T000000!", "--passphrase", ""]
    with GpgSigner(tmp_path / "home", "") as signer:
        gpg(signer, *then, "--quick-gen-key", "rm@example.org", "ed25519", "sign", key_ends)
        signer.fingerprint = signer.program.list_keys()[0]["fingerprint"]
        made = gpg(signer, *then, "--default-sig-expire", signature_ends, "--detach-sign")
        with pytest.raises(VerificationError, match=said):
            signer.verify_bytes(DATA, made, fingerprint=signer.fingerprint)


# --- homes, agents and links ------------------------------------------------------------------


def test_a_throwaway_key_is_made_once(tmp_path: Path) -> None:
    home = tmp_path / "new" / "gnupg"
    first = make_throwaway_key(home, "Łukasz", "rm@example.org")
    assert make_throwaway_key(home, "Łukasz", "rm@example.org") == first
    assert len(first) == 40
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert [path.name for path in home.parent.iterdir()] == ["gnupg"]
    with GpgSigner(home, first) as signer:
        signer.rehearse()


def test_a_name_cannot_smuggle_parameters(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="control characters"):
        make_throwaway_key(tmp_path / "gnupg", "RM\nExpire-Date: 1d", "rm@example.org")


MAKE = """
import sys
from pathlib import Path
from relkit.adapters import gpg_home
from relkit.adapters.gpg import make_throwaway_key
print("ready", flush=True)
make_throwaway_key(Path(sys.argv[1]), "Release Manager", "rm@example.org")
"""


def test_a_making_killed_at_any_instant_ends_with_one_usable_key(tmp_path: Path) -> None:
    home = tmp_path / "gnupg"
    command = [sys.executable, "-c", MAKE, str(home)]
    for milliseconds in 5, 30, 60:
        with subprocess.Popen(command, stdout=subprocess.PIPE) as making:
            assert making.stdout is not None
            making.stdout.readline()
            time.sleep(milliseconds / 1000)
            making.send_signal(signal.SIGKILL)
    fingerprint = make_throwaway_key(home, "Release Manager", "rm@example.org")
    with GpgSigner(home, fingerprint) as signer:
        assert signer.secret_keys() == (fingerprint,)
        signer.rehearse()
    assert [path.name for path in tmp_path.iterdir()] == ["gnupg"]


def test_a_half_made_home_is_thrown_away_with_its_agent(tmp_path: Path) -> None:
    left = tmp_path / ".gnupg.new.x"
    with GpgKeyring(left) as half:
        half.generate("Release Manager", "rm@example.org")
        process = agent(half)
        assert process is not None
        make_throwaway_key(tmp_path / "gnupg", "Release Manager", "rm@example.org")
        assert not left.exists()
        assert dies(process)


def test_the_agent_is_gone_after_closing(tmp_path: Path, file: Path) -> None:
    fingerprint = make_throwaway_key(tmp_path / "home", "RM", "rm@example.org")
    with GpgSigner(tmp_path / "home", fingerprint) as signer:
        assert agent(signer) is None
        signer.sign(file)
        process = agent(signer)
        assert process is not None
        assert lives(process)
    assert dies(process)
    signer.close()


def test_a_home_with_a_long_path_works_through_a_short_link(tmp_path: Path, file: Path) -> None:
    home = tmp_path / ("long-" * 20) / ("path-" * 20) / "a home"
    fingerprint = make_throwaway_key(home, "RM", "rm@example.org")
    with GpgSigner(home, fingerprint) as signer:
        signer.sign(file)
        verify(signer, file, fingerprint)
        link = signer.homedir
        assert link.is_symlink()
        assert link.samefile(home)
        assert stat.S_IMODE(link.parent.stat().st_mode) == 0o700
        process = agent(signer)
        assert process is not None
        link.unlink()  # as those do who clean temporary folders
        beside(file).unlink()
        signer.sign(file)
    assert dies(process)
    assert make_throwaway_key(home, "RM", "rm@example.org") == fingerprint


def test_links_to_homes_that_are_gone_are_removed(tmp_path: Path) -> None:
    homes = [tmp_path / ("long-" * 20) / name for name in ("one", "two")]
    with GpgKeyring(homes[0]) as one:
        link = one.homedir
    shutil.rmtree(homes[0])
    with GpgKeyring(homes[1]) as two:
        assert two.homedir != link
        assert not os.path.lexists(link)


@pytest.mark.parametrize("open_to_others", [True, False])
def test_a_folder_for_links_that_is_not_ours_alone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, open_to_others: bool
) -> None:
    temporary = tmp_path / "t"
    temporary.mkdir()
    monkeypatch.setattr(gpg_home, "_temporary", lambda: temporary)
    place = temporary / f"relkit-{os.getuid()}"
    if open_to_others:
        place.mkdir()
        place.chmod(0o777)
    else:
        place.symlink_to(tmp_path)
    keyring = GpgKeyring(tmp_path / ("long-" * 20) / "home")
    with pytest.raises(WorldError, match="not a folder of this user alone") as refusal:
        keyring.environment()
    assert refusal.value.code == "GPG_HOME"


def test_what_a_killed_verifier_left_is_removed_later(tmp_path: Path) -> None:
    old, new = (tmp_path / f"verifying-{name}" for name in ("old", "new"))
    with GpgKeyring(tmp_path):
        old.touch()
        new.touch()
        os.utime(old, (0, 0))
    assert (old.exists(), new.exists()) == (False, True)


END = """
import subprocess, sys
from pathlib import Path
from relkit.adapters import gpg_home
from relkit.adapters.gpg import GpgSigner
signer = GpgSigner(Path(sys.argv[1]), sys.argv[2])
signer.rehearse()
asked = ["gpg-connect-agent", "--homedir", str(signer.homedir), "GETINFO pid", "/bye"]
print(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()[1])
"""


def test_the_agent_goes_with_the_process_and_never_knew_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    fingerprint = make_throwaway_key(home, "RM", "rm@example.org")
    command = [sys.executable, "-c", END, str(home), fingerprint]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert dies(int(done.stdout))
    monkeypatch.setenv("SIGSTORE_IDENTITY_TOKEN", "canary")
    with GpgSigner(home, fingerprint) as signer:
        signer.rehearse()
        process = agent(signer)
        assert b"canary" not in Path(f"/proc/{process}/environ").read_bytes()


def test_a_missing_gpg_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorldError) as refusal:
        GpgKeyring(tmp_path / "home")
    assert refusal.value.code == "GPG_MISSING"


# --- through the port -------------------------------------------------------------------------


@pytest.fixture
def signers(signer: GpgSigner, file: Path) -> LocalSigners:
    def unused() -> None:
        pytest.fail("Sigstore was asked")

    sigstore = SigstoreSigner(
        trust_config=unused,  # type: ignore[arg-type]
        identity="",
        issuer="",
        token=unused,  # type: ignore[arg-type]
    )
    return LocalSigners(
        folder=file.parent,
        sigstore=sigstore,
        gpg=signer,
        identity="",
        issuer="",
        fingerprint=signer.fingerprint,
    )


def test_a_collected_file_is_signed_once(signers: LocalSigners, file: Path) -> None:
    assert signers.companion(scheme="gpg", name=NAME, sha256=DIGEST) is None
    signers.sign(scheme="gpg", name=NAME, sha256=DIGEST)
    before = beside(file).read_bytes(), beside(file).stat().st_ino
    signers.sign(scheme="gpg", name=NAME, sha256=DIGEST)
    assert (beside(file).read_bytes(), beside(file).stat().st_ino) == before
    companion = signers.companion(scheme="gpg", name=NAME, sha256=DIGEST)
    assert companion is not None
    assert (companion.scheme, companion.file.name) == ("gpg", f"{NAME}.asc")
    assert (companion.identity, companion.issuer) == (signers.fingerprint, "")
    assert companion.file.sha256 == hashlib.sha256(before[0]).hexdigest()


def test_a_bad_signature_is_replaced(signers: LocalSigners, mallory: GpgSigner, file: Path) -> None:
    mallory.sign(file)
    assert signers.companion(scheme="gpg", name=NAME, sha256=DIGEST) is None
    signers.sign(scheme="gpg", name=NAME, sha256=DIGEST)
    assert signers.companion(scheme="gpg", name=NAME, sha256=DIGEST) is not None


def test_other_bytes_have_no_companion_and_get_none(signers: LocalSigners, file: Path) -> None:
    signers.sign(scheme="gpg", name=NAME, sha256=DIGEST)
    file.write_bytes(b"planted")
    planted = hashlib.sha256(b"planted").hexdigest()
    for digest in DIGEST, planted:
        assert signers.companion(scheme="gpg", name=NAME, sha256=digest) is None
    with pytest.raises(CheckError):
        signers.sign(scheme="gpg", name=NAME, sha256=DIGEST)
    file.unlink()
    assert signers.companion(scheme="gpg", name=NAME, sha256=DIGEST) is None


def test_a_key_that_is_not_in_the_policy_does_not_sign(
    signers: LocalSigners, mallory: GpgSigner, file: Path
) -> None:
    other = LocalSigners(**{**vars(signers), "gpg": mallory})
    with pytest.raises(WorldError) as refusal:
        other.sign(scheme="gpg", name=NAME, sha256=DIGEST)
    assert refusal.value.code == "SIGNER_NOT_IN_POLICY"
    assert not beside(file).exists()
    none = LocalSigners(**{**vars(signers), "gpg": None})
    with pytest.raises(WorldError) as refusal:
        none.sign(scheme="gpg", name=NAME, sha256=DIGEST)
    assert refusal.value.code == "GPG_MISSING"


def test_usable_names_the_key_or_says_that_it_cannot_sign(
    signers: LocalSigners, place: Path, tmp_path: Path
) -> None:
    """I46: signing broke in the middle of a release."""
    _, tool = LocalSigners(**{**vars(signers), "sigstore": _forgetful()}).usable()
    assert (tool.name, tool.version) == ("gpg", signers.fingerprint)
    shutil.copytree(place / "rm", tmp_path / "rm", ignore=shutil.ignore_patterns("S.*", "private*"))
    with GpgSigner(tmp_path / "rm", signers.fingerprint) as keyless:
        cannot = LocalSigners(**{**vars(signers), "sigstore": _forgetful(), "gpg": keyless})
        assert [(one.version, bool(one.why)) for one in cannot.usable()] == [(None, True)] * 2


def _forgetful() -> SigstoreSigner:
    def token() -> None:
        raise EOFError

    return SigstoreSigner(
        trust_config=token,  # type: ignore[arg-type]
        identity="",
        issuer="",
        token=token,  # type: ignore[arg-type]
    )
