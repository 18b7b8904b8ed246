"""What goes wrong between relkit and Sigstore: a good signature lies beside the file, or none.

The effect is that bundle. The log only grows: an entry whose answer was lost stays there unused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import faults
import pytest
from services.faulty import Faulty, faulty
from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken
from test_sigstore import DATA, NAME, WHO

from relkit.adapters import sigstore_client
from relkit.adapters.sigstore import SigstoreSigner
from relkit.errors import ReleaseError
from relkit.rehearsal.sigstore import ISSUER, LoopbackSigstore

PORT = "Signers (Sigstore)"
CERTIFICATE, LOG = "/api/v2/signingCert", "/api/v1/log/entries"
FAULTS = (
    *("time-out before the effect", "time-out after the effect", "connection cut in an upload"),
    *("401", "403", "404", "409", "429", "500 without effect", "500 with effect"),
    *("HTML instead of JSON", "truncated body", "wrong digest"),
)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore(tmp_path / "sigstore") as made:
        yield made


@pytest.fixture
def proxy(instance: LoopbackSigstore) -> Iterator[Faulty]:
    with faulty(instance.url) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(DATA)
    return path


def signer(instance: LoopbackSigstore, url: str) -> SigstoreSigner:
    config = instance.trust_config().replace(instance.url, url)
    return SigstoreSigner(
        trust_config=lambda: ClientTrustConfig.from_json(config),
        identity=WHO,
        issuer=ISSUER,
        token=lambda: IdentityToken(instance.mint(WHO)),
    )


def refusal(act: Callable[[], object]) -> ReleaseError | None:
    try:
        act()
    except ReleaseError as error:
        return error
    return None


def bundles(file: Path) -> int:
    return len([one for one in file.parent.iterdir() if one.is_file() and one != file])


@pytest.mark.parametrize("path", [CERTIFICATE, LOG])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_gets_a_good_signature_or_none(
    instance: LoopbackSigstore,
    proxy: Faulty,
    file: Path,
    fault: str,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sigstore_client, "TIMEOUT_SECONDS", 1.0)
    proxy.next(fault, method="POST", path=path)
    error = refusal(lambda: signer(instance, proxy.url).sign(file))
    assert error is not None
    effects = bundles(file)
    assert effects == 0
    after = refusal(lambda: signer(instance, proxy.url).sign(file))
    faults.observed(PORT, fault, error, effects=0, after=after, effects_after=bundles(file))
    assert after is None
    assert instance.entries() <= 2


@pytest.mark.parametrize("date", ["Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"])
def test_the_date_that_a_server_says_decides_nothing(
    instance: LoopbackSigstore, proxy: Faulty, file: Path, date: str
) -> None:
    proxy.next("clock skew", times=-1, headers={"Date": date})
    error = refusal(lambda: signer(instance, proxy.url).sign(file))
    faults.observed(PORT, "clock skew", error, effects=bundles(file))
    assert error is None


def test_a_bundle_of_somebody_else_is_no_signature_and_gives_way(
    instance: LoopbackSigstore, file: Path
) -> None:
    signer(instance, instance.url).sign(file)
    (bundle,) = [one for one in file.parent.iterdir() if one.is_file() and one != file]
    bundle.write_text("{}")
    error = refusal(lambda: signer(instance, instance.url).sign(file))
    faults.observed(PORT, "another person's file in the way", error, effects=bundles(file))
    assert bundle.read_text() != "{}"
