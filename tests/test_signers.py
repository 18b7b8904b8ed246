"""Signatures that a respin takes back are put aside, so that other bytes can be signed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from relkit.adapters.gpg import GpgSigner
from relkit.adapters.gpg_home import make_throwaway_key
from relkit.adapters.signers import LocalSigners
from relkit.adapters.sigstore import SigstoreSigner
from relkit.errors import UsageError
from relkit.ports import Signers

NAME = "python-3.13.9-macos11.pkg"


def unused() -> None:
    pytest.fail("Sigstore was asked")


@pytest.fixture(scope="module")
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpgSigner]:
    home = tmp_path_factory.mktemp("keys") / "rm"
    fingerprint = make_throwaway_key(home, "Release Manager", "rm@example.org")
    with GpgSigner(home, fingerprint) as opened:
        yield opened


@pytest.fixture
def signers(gpg: GpgSigner, tmp_path: Path) -> LocalSigners:
    sigstore = SigstoreSigner(
        trust_config=unused,  # type: ignore[arg-type]
        identity="",
        issuer="",
        token=unused,  # type: ignore[arg-type]
    )
    return LocalSigners(
        folder=tmp_path,
        sigstore=sigstore,
        gpg=gpg,
        identity="",
        issuer="",
        fingerprint=gpg.fingerprint,
    )


def put(folder: Path, data: bytes) -> str:
    (folder / NAME).write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def test_a_forgotten_signature_makes_room_for_one_of_other_bytes(
    signers: LocalSigners, tmp_path: Path
) -> None:
    port: Signers = signers
    kept = []
    for number in (1, 2):
        digest = put(tmp_path, b"installer %d" % number)
        port.sign(scheme="gpg", name=NAME, sha256=digest)
        kept.append((tmp_path / f"{NAME}.asc").read_bytes())
        for _ in range(2):
            port.forget(scheme="gpg", name=NAME)
            assert port.companion(scheme="gpg", name=NAME, sha256=digest) is None
    aside = tmp_path / "superseded"
    assert [(aside / f"{NAME}.asc.{number}").read_bytes() for number in (1, 2)] == kept
    assert (tmp_path / NAME).is_file()


def test_only_the_signature_of_that_scheme_is_forgotten(
    signers: LocalSigners, tmp_path: Path
) -> None:
    digest = put(tmp_path, b"installer")
    signers.sign(scheme="gpg", name=NAME, sha256=digest)
    (tmp_path / f"{NAME}.sigstore").write_text("{}")
    signers.forget(scheme="sigstore", name=NAME)
    assert signers.companion(scheme="gpg", name=NAME, sha256=digest) is not None
    assert (tmp_path / "superseded" / f"{NAME}.sigstore.1").read_text() == "{}"


def test_only_signatures_of_artifacts_are_forgotten(signers: LocalSigners) -> None:
    for name in ("../x", "", "a/b"):
        with pytest.raises(UsageError, match="BAD_NAME"):
            signers.forget(scheme="gpg", name=name)
    with pytest.raises(UsageError, match="SCHEME_UNKNOWN"):
        signers.forget(scheme="md5", name=NAME)
