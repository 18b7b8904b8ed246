from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sigstore.models import Bundle, ClientTrustConfig
from sigstore.oidc import IdentityToken

from relkit.adapters import sigstore as adapter
from relkit.adapters import sigstore_client
from relkit.adapters.signers import LocalSigners
from relkit.adapters.sigstore import SigstoreSigner, trusted_root, verify_bundle
from relkit.errors import CheckError, UsageError, VerificationError, WorldError
from relkit.rehearsal.sigstore import ISSUER, LoopbackSigstore
from relkit.rehearsal.sigstore_log import merkle
from relkit.values import Artifact

WHO, MALLORY = "rm@example.org", "mallory@example.org"
ELSEWHERE = "https://accounts.example.com"
NAME, DATA = "Python-3.15.0a1.tgz", b"the release"
DIGEST = hashlib.sha256(DATA).hexdigest()

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore(tmp_path / "sigstore") as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "artifacts" / NAME
    path.parent.mkdir()
    path.write_bytes(DATA)
    return path


def signer_of(
    instance: LoopbackSigstore,
    who: str = WHO,
    issuer: str = ISSUER,
    token: Callable[[], str] | None = None,
) -> SigstoreSigner:
    mint = token or (lambda: instance.mint(who))
    return SigstoreSigner(
        trust_config=lambda: ClientTrustConfig.from_json(instance.trust_config()),
        identity=who,
        issuer=issuer,
        token=lambda: IdentityToken(mint()),
    )


def signers_of(
    instance: LoopbackSigstore, file: Path, sigstore: SigstoreSigner | None = None
) -> LocalSigners:
    return LocalSigners(
        folder=file.parent,
        sigstore=sigstore or signer_of(instance),
        gpg=None,
        identity=WHO,
        issuer=ISSUER,
        fingerprint="",
    )


def bundle_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.sigstore")


def verify(signer: SigstoreSigner, file: Path, who: str = WHO, issuer: str = ISSUER) -> None:
    signer.verify(file, bundle_of(file), identity=who, issuer=issuer)


def flip64(text: str) -> str:
    data = base64.b64decode(text)
    return base64.b64encode(data[:-1] + bytes([data[-1] ^ 1])).decode()


# --- signing and verifying --------------------------------------------------------------------


def test_a_signature_is_logged_once_and_verifies(instance: LoopbackSigstore, file: Path) -> None:
    with signer_of(instance) as signer:
        signer.sign(file)
        verify(signer, file)
    assert instance.entries() == 1
    assert stat.S_IMODE(bundle_of(file).stat().st_mode) == 0o444
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []


def test_one_certificate_serves_all_files_and_one_token_is_asked(
    instance: LoopbackSigstore, tmp_path: Path
) -> None:
    asked = []

    def token() -> str:
        asked.append(1)
        return instance.mint(WHO)

    with signer_of(instance, token=token) as signer:
        serials = set()
        for number in range(5):
            path = tmp_path / f"file-{number}"
            path.write_bytes(b"%d" % number)
            signer.sign(path)
            bundle = Bundle.from_json(bundle_of(path).read_bytes())
            serials.add(bundle.signing_certificate.serial_number)
    assert (len(asked), len(serials), instance.entries()) == (1, 1, 5)


def test_a_certificate_is_renewed_before_it_expires(tmp_path: Path, file: Path) -> None:
    asked = []
    with LoopbackSigstore(tmp_path / "sigstore", certificate_seconds=20) as instance:

        def token() -> str:
            asked.append(1)
            return instance.mint(WHO)

        with signer_of(instance, token=token) as signer:
            signer.sign(file)
            signer.sign(file)
            verify(signer, file)
    assert len(asked) == 2


def test_verifying_needs_the_trusted_root_and_no_network(
    instance: LoopbackSigstore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer_of(instance).sign(file)
    root = instance.trusted_root()
    instance.close()

    def refuse(*_: object) -> None:
        pytest.fail("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    verify_bundle(
        trusted_root(root),
        bundle_of(file).read_bytes(),
        sha256=DIGEST,
        identity=WHO,
        issuer=ISSUER,
    )
    verify(signer_of(instance), file)


@pytest.mark.parametrize(
    ("who", "issuer"),
    [
        (MALLORY, ISSUER),
        (WHO + ".example.com", ISSUER),
        (WHO.upper(), ISSUER),
        ("rm@.*", ISSUER),
        (WHO, ELSEWHERE),
        (WHO, ISSUER + "/"),
    ],
)
def test_a_signature_of_somebody_else_is_refused(
    instance: LoopbackSigstore, file: Path, who: str, issuer: str
) -> None:
    """I09: by identity and issuer of the policy."""
    signer = signer_of(instance)
    signer.sign(file)
    with pytest.raises(VerificationError) as refusal:
        verify(signer, file, who, issuer)
    assert refusal.value.code == "SIGSTORE_IDENTITY"


@pytest.mark.parametrize(("who", "issuer"), [("", ISSUER), (WHO, "")])
def test_a_policy_without_identity_or_issuer_verifies_nothing(
    instance: LoopbackSigstore, file: Path, who: str, issuer: str
) -> None:
    signer = signer_of(instance)
    signer.sign(file)
    with pytest.raises(VerificationError, match="names no identity or no issuer"):
        verify(signer, file, who, issuer)


def test_a_tampered_file_is_refused(instance: LoopbackSigstore, file: Path) -> None:
    signer = signer_of(instance)
    signer.sign(file)
    file.write_bytes(DATA + b"!")
    with pytest.raises(VerificationError, match="digest mismatch") as refusal:
        verify(signer, file)
    assert refusal.value.code == "SIGSTORE_INVALID"


def test_a_bundle_of_another_instance_is_refused(
    instance: LoopbackSigstore, file: Path, tmp_path: Path
) -> None:
    with LoopbackSigstore(tmp_path / "other") as other:
        signer_of(other).sign(file)
    with pytest.raises(VerificationError) as refusal:
        verify(signer_of(instance), file)
    assert refusal.value.code == "SIGSTORE_INVALID"


def _entry(content: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = content["verificationMaterial"]["tlogEntries"][0]
    return entry


def _signature(content: dict[str, Any]) -> None:
    message = content["messageSignature"]
    message["signature"] = flip64(message["signature"])


def _inclusion_root(content: dict[str, Any]) -> None:
    proof = _entry(content)["inclusionProof"]
    proof["rootHash"] = flip64(proof["rootHash"])


def _inclusion_path(content: dict[str, Any]) -> None:
    path = _entry(content)["inclusionProof"]["hashes"]
    path[0] = flip64(path[0])


def _promise(content: dict[str, Any]) -> None:
    promise = _entry(content)["inclusionPromise"]
    promise["signedEntryTimestamp"] = flip64(promise["signedEntryTimestamp"])


def _time(content: dict[str, Any]) -> None:
    _entry(content)["integratedTime"] = str(int(_entry(content)["integratedTime"]) + 1)


def _checkpoint(content: dict[str, Any]) -> None:
    checkpoint = _entry(content)["inclusionProof"]["checkpoint"]
    checkpoint["envelope"] = checkpoint["envelope"].replace("\n2\n", "\n3\n")


def _no_proof(content: dict[str, Any]) -> None:
    del _entry(content)["inclusionProof"]


def _no_entry(content: dict[str, Any]) -> None:
    content["verificationMaterial"]["tlogEntries"] = []


@pytest.mark.parametrize(
    "change",
    [
        _signature,
        _inclusion_root,
        _inclusion_path,
        _promise,
        _time,
        _checkpoint,
        _no_proof,
        _no_entry,
    ],
)
def test_an_edited_bundle_is_refused(
    instance: LoopbackSigstore, file: Path, change: Change
) -> None:
    signer = signer_of(instance)
    signer.sign(file)
    signer.sign(file)  # the second entry has a path in the tree
    content = json.loads(bundle_of(file).read_bytes())
    change(content)
    bundle_of(file).unlink()
    bundle_of(file).write_text(json.dumps(content))
    with pytest.raises(VerificationError) as refusal:
        verify(signer, file)
    assert refusal.value.code == "SIGSTORE_INVALID"


def test_the_log_entry_of_another_file_is_refused(
    instance: LoopbackSigstore, file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    signer = signer_of(instance)
    signer.sign(file)
    signer.sign(other)
    content, alien = (json.loads(bundle_of(path).read_bytes()) for path in (file, other))
    _entry(content).clear()
    _entry(content).update(_entry(alien))
    with pytest.raises(VerificationError, match="inconsistent with other materials"):
        signer.verify_digest(DIGEST, json.dumps(content).encode(), identity=WHO, issuer=ISSUER)


def test_an_entry_logged_after_the_certificate_is_not_written(
    instance: LoopbackSigstore, file: Path
) -> None:
    late = instance.log.now() + 3600
    instance.log.now = lambda: late
    with pytest.raises(VerificationError, match="not valid at validation time"):
        signer_of(instance).sign(file)
    assert [path.name for path in file.parent.iterdir()] == [NAME]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_bundle_is_refused_or_means_the_same(
    instance: LoopbackSigstore, file: Path, data: st.DataObject
) -> None:
    signer = signer_of(instance)
    if not bundle_of(file).exists():
        signer.sign(file)
    good = bundle_of(file).read_bytes()
    place = data.draw(st.integers(0, len(good) - 1))
    bad = good[:place] + data.draw(st.binary(max_size=3)) + good[place + 1 :]
    try:
        signer.verify_digest(DIGEST, bad, identity=WHO, issuer=ISSUER)
    except VerificationError:
        return
    assert Bundle.from_json(bad).signature == Bundle.from_json(good).signature


@given(junk=st.binary(max_size=200))
def test_no_bytes_are_a_bundle_by_chance(
    junk: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.getbasetemp() / "junk"
    instance = LoopbackSigstore(root)
    with pytest.raises(VerificationError):
        signer_of(instance).verify_digest(DIGEST, junk, identity=WHO, issuer=ISSUER)


# --- what the services refuse -----------------------------------------------------------------


def _request(key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return request.public_bytes(Encoding.PEM)


def _ask(instance: LoopbackSigstore, token: str, request: bytes) -> requests.Response:
    return requests.post(
        f"{instance.url}/api/v2/signingCert",
        json={"certificateSigningRequest": base64.b64encode(request).decode()},
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )


def test_a_genuine_request_is_certified(instance: LoopbackSigstore) -> None:
    assert _ask(instance, instance.mint(WHO), _request()).status_code == 200


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"aud": "another"}, "InvalidAudienceError"),
        ({"iss": ELSEWHERE}, "InvalidIssuerError"),
        ({"exp": 1}, "ExpiredSignatureError"),
        ({"nbf": 1 << 40}, "ImmatureSignatureError"),
        ({"sub": 7}, "InvalidSubjectError"),
    ],
)
def test_a_token_for_something_else_is_refused(
    instance: LoopbackSigstore, claims: dict[str, Any], said: str
) -> None:
    answer = _ask(instance, instance.mint(WHO, **claims), _request())
    assert answer.status_code == 400
    assert said in answer.json()["message"]


def test_a_forged_token_is_refused_with_the_servers_own_words(
    instance: LoopbackSigstore, file: Path, tmp_path: Path
) -> None:
    forger = LoopbackSigstore(tmp_path / "forger")
    token = forger.mint(WHO)
    with pytest.raises(WorldError, match=r"answered 400.*InvalidSignatureError") as refusal:
        signer_of(instance, token=lambda: token).sign(file)
    assert refusal.value.code == "SIGSTORE_REFUSED"
    assert token not in str(refusal.value)
    assert instance.entries() == 0


def test_a_token_without_signature_is_refused(instance: LoopbackSigstore) -> None:
    body = instance.mint(WHO).split(".")[1]
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    assert _ask(instance, f"{header}.{body}.", _request()).status_code == 400


def test_a_request_without_proof_of_possession_is_refused(instance: LoopbackSigstore) -> None:
    der = x509.load_pem_x509_csr(_request()).public_bytes(Encoding.DER)
    body = base64.b64encode(der[:-1] + bytes([der[-1] ^ 1])).decode()
    pem = f"-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n"
    assert _ask(instance, instance.mint(WHO), pem.encode()).status_code == 400


def test_an_entry_with_a_false_signature_is_not_logged(
    instance: LoopbackSigstore, file: Path
) -> None:
    signer_of(instance).sign(file)
    body = _entry(json.loads(bundle_of(file).read_bytes()))["canonicalizedBody"]
    entry = json.loads(base64.b64decode(body))
    entry["spec"]["data"]["hash"]["value"] = hashlib.sha256(b"other").hexdigest()
    answer = requests.post(f"{instance.url}/api/v1/log/entries", json=entry, timeout=10)
    assert (answer.status_code, instance.entries()) == (400, 1)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"kind": "dsse", "apiVersion": "0.0.1"}', b"\xff"]
)
@pytest.mark.parametrize("path", ["/api/v1/log/entries", "/api/v2/signingCert"])
def test_nonsense_is_refused_and_the_server_goes_on(
    instance: LoopbackSigstore, path: str, body: bytes
) -> None:
    assert requests.post(instance.url + path, data=body, timeout=10).status_code == 400
    assert requests.post(f"{instance.url}/elsewhere", json={}, timeout=10).status_code == 404
    assert instance.entries() == 0


# --- the instance outlives its process --------------------------------------------------------


def test_it_is_the_same_instance_after_a_restart(tmp_path: Path, file: Path) -> None:
    with LoopbackSigstore(tmp_path / "sigstore") as first:
        signer_of(first).sign(file)
        root, url = first.trusted_root(), first.url
        second = file.with_name("second")
        second.write_bytes(b"second")
        with LoopbackSigstore(tmp_path / "sigstore") as again:
            assert again.url != url
            assert again.trusted_root() == root
            verify(signer_of(again), file)
            signer_of(again).sign(second)
            assert again.entries() == 2
    proof = _entry(json.loads(bundle_of(second).read_bytes()))["inclusionProof"]
    assert (proof["logIndex"], proof["treeSize"], len(proof["hashes"])) == ("1", "2", 1)


def test_two_processes_share_one_growing_log(tmp_path: Path, file: Path) -> None:
    with (
        LoopbackSigstore(tmp_path / "sigstore") as one,
        LoopbackSigstore(tmp_path / "sigstore") as two,
    ):
        for instance in one, two, two, one, two:
            signer_of(instance).sign(file)
        assert (one.entries(), two.entries()) == (5, 5)


def test_a_torn_last_line_of_the_log_is_dropped(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "sigstore"
    with LoopbackSigstore(folder) as instance:
        signer_of(instance).sign(file)
    log = folder / "log.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + whole[:100])
    with LoopbackSigstore(folder) as instance:
        assert instance.entries() == 1
        signer_of(instance).sign(file)
        assert instance.entries() == 2
    assert [json.loads(line)["kind"] for line in log.read_text().splitlines()] == [
        "hashedrekord",
        "hashedrekord",
    ]


def test_a_log_that_was_cut_while_it_served_takes_no_entry(
    instance: LoopbackSigstore, file: Path, tmp_path: Path
) -> None:
    signer = signer_of(instance)
    signer.sign(file)
    (tmp_path / "sigstore" / "log.jsonl").write_bytes(b"")
    with pytest.raises(WorldError, match=r"500.*shorter than it was"):
        signer.sign(file)


def test_a_making_that_was_killed_is_finished(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "sigstore"
    LoopbackSigstore(folder)
    kept = (folder / "root.pem").read_bytes()
    for name in "chain.pem", "log.pem":
        (folder / name).unlink()
    with LoopbackSigstore(folder) as instance:
        signer_of(instance).sign(file)
    assert (folder / "root.pem").read_bytes() == kept


@pytest.mark.parametrize(
    ("name", "alien"),
    [("oidc.pem", False), ("chain.pem", False), ("chain.pem", True), ("issuing.pem", True)],
)
def test_a_spoilt_instance_is_refused(tmp_path: Path, name: str, *, alien: bool) -> None:
    folder, other = tmp_path / "sigstore", tmp_path / "other"
    LoopbackSigstore(folder)
    LoopbackSigstore(other)
    (folder / name).write_bytes((other / name).read_bytes() if alien else b"junk")
    with pytest.raises(WorldError) as refusal:
        LoopbackSigstore(folder)
    assert refusal.value.code == "SIGSTORE_STATE"


def test_keys_are_private_and_names_do_not_depend_on_the_port(
    instance: LoopbackSigstore, tmp_path: Path
) -> None:
    folder = tmp_path / "sigstore"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("*.pem")}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "127.0.0.1" not in instance.trusted_root()
    assert instance.url in instance.trust_config()


@given(size=st.integers(1, 70), data=st.data())
def test_the_tree_proves_each_leaf(size: int, data: st.DataObject) -> None:
    leaves = [hashlib.sha256(b"\0%d" % number).digest() for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    root, path = merkle(leaves, index)
    node, last, found = index, size - 1, leaves[index]
    for other in path:  # RFC 9162, 2.1.3.2
        if node % 2 or node == last:
            found = hashlib.sha256(b"\1" + other + found).digest()
            while not node % 2 and node:
                node, last = node >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\1" + found + other).digest()
        node, last = node >> 1, last >> 1
    assert (found, last) == (root, 0)


# --- errors and secrets -----------------------------------------------------------------------


def test_a_stopped_instance_cannot_be_reached_and_later_it_can(
    instance: LoopbackSigstore, file: Path
) -> None:
    signer = signer_of(instance)
    instance.close()
    with pytest.raises(WorldError) as refusal:
        signer.sign(file)
    assert refusal.value.code == "SIGSTORE_UNREACHABLE"
    instance.start()
    signer.sign(file)
    assert instance.entries() == 1


def test_a_silent_service_is_given_up(
    instance: LoopbackSigstore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sigstore_client, "TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = f"http://127.0.0.1:{silent.getsockname()[1]}"
        config = instance.trust_config().replace(instance.url, there)
        signer = SigstoreSigner(
            trust_config=lambda: ClientTrustConfig.from_json(config),
            identity=WHO,
            issuer=ISSUER,
            token=lambda: IdentityToken(instance.mint(WHO)),
        )
        with pytest.raises(WorldError, match="ReadTimeout"):
            signer.sign(file)


def test_the_loopback_interface_is_not_reached_through_a_proxy(
    instance: LoopbackSigstore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "HTTP_PROXY", "http_proxy", "ALL_PROXY":
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    signer_of(instance).sign(file)


@pytest.mark.parametrize(
    ("who", "claims"),
    [(MALLORY, {}), (WHO, {"iss": ELSEWHERE}), (WHO, {"aud": "another"}), (WHO, {"exp": 1})],
)
def test_a_token_of_somebody_else_is_not_sent_or_shown(
    instance: LoopbackSigstore, file: Path, who: str, claims: dict[str, Any]
) -> None:
    token = instance.mint(who, **claims)
    signer = signer_of(instance, token=lambda: token)
    for act in signer.check_token, lambda: signer.sign(file):
        with pytest.raises(WorldError) as refusal:
            act()
        assert refusal.value.code == "SIGSTORE_TOKEN"
        assert token not in f"{refusal.value!s} {refusal.value!r} {signer!r}"
    assert instance.entries() == 0


def test_an_answer_that_quotes_a_token_is_shown_without_it(instance: LoopbackSigstore) -> None:
    token = instance.mint(WHO)
    shown = adapter._shown(f"\x1b[31mbad token {token}\nend")
    assert shown == "[31mbad token [a token] end"


# --- through the port -------------------------------------------------------------------------


def test_a_collected_file_is_signed_and_its_companion_says_by_whom(
    instance: LoopbackSigstore, file: Path
) -> None:
    signers = signers_of(instance, file)
    assert signers.companion(scheme="sigstore", name=NAME, sha256=DIGEST) is None
    signers.sign(scheme="sigstore", name=NAME, sha256=DIGEST)
    companion = signers.companion(scheme="sigstore", name=NAME, sha256=DIGEST)
    assert companion is not None
    bundle = bundle_of(file).read_bytes()
    assert (companion.subject.name, companion.subject.size) == (NAME, len(DATA))
    assert (companion.file.name, companion.file.size) == (f"{NAME}.sigstore", len(bundle))
    assert companion.file.sha256 == hashlib.sha256(bundle).hexdigest()
    assert (companion.identity, companion.issuer) == (WHO, ISSUER)


def test_other_bytes_are_refused_before_any_signing_call(
    instance: LoopbackSigstore, file: Path
) -> None:
    def token() -> str:
        pytest.fail("a token was asked for")

    signers = signers_of(instance, file, sigstore=signer_of(instance, token=token))
    file.write_bytes(b"planted")
    with pytest.raises(CheckError) as refusal:
        signers.sign(scheme="sigstore", name=NAME, sha256=DIGEST)
    assert refusal.value.code == "DIGEST_CHANGED"
    assert hashlib.sha256(b"planted").hexdigest() in str(refusal.value)
    assert DIGEST in str(refusal.value)
    assert (instance.entries(), bundle_of(file).exists()) == (0, False)


def _absent(path: Path) -> None:
    path.unlink()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [_absent, _folder, _link, _pipe])
def test_what_is_not_a_file_is_refused(
    instance: LoopbackSigstore, file: Path, change: Callable[[Path], None]
) -> None:
    change(file)
    with pytest.raises(CheckError) as refusal:
        signers_of(instance, file).sign(scheme="sigstore", name=NAME, sha256=DIGEST)
    assert refusal.value.code == "ARTIFACT_MISSING"
    assert instance.entries() == 0


def test_a_good_signature_is_kept(instance: LoopbackSigstore, file: Path) -> None:
    """I07: signing again failed because outputs existed."""
    signers_of(instance, file).sign(scheme="sigstore", name=NAME, sha256=DIGEST)
    before = bundle_of(file).read_bytes()
    signers_of(instance, file).sign(scheme="sigstore", name=NAME, sha256=DIGEST)
    assert (instance.entries(), bundle_of(file).read_bytes()) == (1, before)


@pytest.mark.parametrize("bad", [b"", b"{}", b"x" * (2 << 20), None])
def test_a_bad_signature_is_replaced(
    instance: LoopbackSigstore, file: Path, bad: bytes | None
) -> None:
    if bad is None:
        signer_of(instance, MALLORY).sign(file)
    else:
        bundle_of(file).write_bytes(bad)
    signers = signers_of(instance, file)
    assert signers.companion(scheme="sigstore", name=NAME, sha256=DIGEST) is None
    signers.sign(scheme="sigstore", name=NAME, sha256=DIGEST)
    assert signers.companion(scheme="sigstore", name=NAME, sha256=DIGEST) is not None


def test_what_a_killed_signer_left_is_not_in_the_way(
    instance: LoopbackSigstore, file: Path
) -> None:
    left = file.with_name(f".{NAME}.sigstore.tmp")
    left.write_bytes(b"half")
    signers_of(instance, file).sign(scheme="sigstore", name=NAME, sha256=DIGEST)
    assert sorted(path.name for path in file.parent.iterdir()) == [NAME, f"{NAME}.sigstore"]


def test_a_file_swapped_between_hash_and_signature_gets_no_signature(
    instance: LoopbackSigstore, file: Path
) -> None:
    def token() -> str:  # asked for after the hash was taken
        file.write_bytes(b"planted")
        return instance.mint(WHO)

    signers = signers_of(instance, file, sigstore=signer_of(instance, token=token))
    signers.sign(scheme="sigstore", name=NAME, sha256=DIGEST)
    planted = hashlib.sha256(b"planted").hexdigest()
    for digest in DIGEST, planted:
        assert signers.companion(scheme="sigstore", name=NAME, sha256=digest) is None
    file.write_bytes(DATA)
    assert signers.companion(scheme="sigstore", name=NAME, sha256=DIGEST) is not None


def test_a_signer_who_is_not_in_the_policy_does_not_sign(
    instance: LoopbackSigstore, file: Path
) -> None:
    signers = signers_of(instance, file, sigstore=signer_of(instance, MALLORY))
    with pytest.raises(WorldError) as refusal:
        signers.sign(scheme="sigstore", name=NAME, sha256=DIGEST)
    assert refusal.value.code == "SIGNER_NOT_IN_POLICY"
    assert instance.entries() == 0
    ((who, why),) = [(one.version, one.why) for one in signers.usable()]
    assert (who, "SIGNER_NOT_IN_POLICY" in why) == (None, True)


def test_usable_says_who_would_sign_and_logs_no_entry(
    instance: LoopbackSigstore, file: Path
) -> None:
    (tool,) = signers_of(instance, file).usable()
    assert (tool.name, tool.version) == ("sigstore", f"{WHO} ({ISSUER})")
    expired = signer_of(instance, token=lambda: instance.mint(WHO, lifetime=-60))
    (tool,) = signers_of(instance, file, sigstore=expired).usable()
    assert (tool.name, tool.version) == ("sigstore", None)
    assert instance.entries() == 0


@pytest.mark.parametrize(
    ("scheme", "name", "code"),
    [
        ("sigstore", "../x", "BAD_NAME"),
        ("sigstore", "/etc/passwd", "BAD_NAME"),
        ("sigstore", "", "BAD_NAME"),
        ("sigstore", "a\nb", "BAD_NAME"),
        ("sigstore", NAME + "\n", "BAD_NAME"),
        ("minisign", NAME, "SCHEME_UNKNOWN"),
    ],
)
def test_odd_names_and_schemes_are_refused(
    instance: LoopbackSigstore, file: Path, scheme: str, name: str, code: str
) -> None:
    signers = signers_of(instance, file)
    for method in signers.sign, signers.companion:
        with pytest.raises(UsageError) as refusal:
            method(scheme=scheme, name=name, sha256=DIGEST)
        assert refusal.value.code == code


@pytest.mark.parametrize(("which", "said"), [(1, "answered 500.*No space left"), (2, "No space")])
def test_a_full_disk_leaves_what_was_there_and_says_so(
    instance: LoopbackSigstore,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    which: int,  # 1: the log's disk, 2: the signature's
    said: str,
) -> None:
    bundle_of(file).write_bytes(b"old")
    calls, write = [], os.fsync

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == which:
            raise OSError(28, "No space left on device")
        write(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorldError, match=said):
        signers_of(instance, file).sign(scheme="sigstore", name=NAME, sha256=DIGEST)
    assert bundle_of(file).read_bytes() == b"old"
    assert sorted(path.name for path in file.parent.iterdir()) == [NAME, f"{NAME}.sigstore"]


# --- a whole set ------------------------------------------------------------------------------


def files_of(folder: Path, count: int) -> tuple[Artifact, ...]:
    """Write files, and return what they are."""
    folder.mkdir(exist_ok=True)
    made = []
    for number in range(count):
        data = b"file %d" % number
        (folder / f"file-{number}").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        made.append(Artifact(name=f"file-{number}", size=len(data), sha256=digest))
    return tuple(made)


def test_a_set_is_signed_under_one_certificate_and_one_token(
    instance: LoopbackSigstore, file: Path
) -> None:
    asked = []

    def token() -> str:
        asked.append(1)
        return instance.mint(WHO)

    files = files_of(file.parent, 20)
    signers = signers_of(instance, file, signer_of(instance, token=token))
    assert signers.companions(scheme="sigstore", files=files) == ()
    signers.sign_all(scheme="sigstore", files=files)
    made = signers.companions(scheme="sigstore", files=files)
    assert tuple(one.subject for one in made) == files
    bundles = [Bundle.from_json((file.parent / one.file.name).read_bytes()) for one in made]
    assert len({one.signing_certificate.serial_number for one in bundles}) == 1
    assert (len(asked), instance.entries()) == (1, 20)
    signers.forget_all(scheme="sigstore", files=files)
    assert signers.companions(scheme="sigstore", files=files) == ()


def test_no_files_need_no_token(instance: LoopbackSigstore, file: Path) -> None:
    signers = signers_of(instance, file, signer_of(instance, token=lambda: pytest.fail("asked")))
    signers.sign_all(scheme="sigstore", files=())


def test_signatures_of_a_set_are_under_way_together(
    instance: LoopbackSigstore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting, add = threading.Barrier(8), instance.log.add

    def together(body: dict[str, Any]) -> dict[str, Any]:
        meeting.wait(20)  # raises unless eight are here
        return add(body)

    monkeypatch.setattr(instance.log, "add", together)
    files = files_of(file.parent, 8)
    signers = signers_of(instance, file)
    signers.sign_all(scheme="sigstore", files=files)
    assert len(signers.companions(scheme="sigstore", files=files)) == 8


def test_only_what_has_no_good_signature_is_signed_again(
    instance: LoopbackSigstore, file: Path
) -> None:
    files = files_of(file.parent, 4)
    signers = signers_of(instance, file)
    signers.sign_all(scheme="sigstore", files=files)
    kept = {one.name: bundle_of(file.parent / one.name).read_bytes() for one in files}
    bundle_of(file.parent / "file-1").unlink()
    spoilt = bundle_of(file.parent / "file-2")
    spoilt.unlink()
    spoilt.write_bytes(kept["file-3"])  # a good one, of another file
    signers.sign_all(scheme="sigstore", files=files)
    now = {one.name: bundle_of(file.parent / one.name).read_bytes() for one in files}
    assert {name for name in now if now[name] != kept[name]} == {"file-1", "file-2"}
    assert instance.entries() == 6
    assert len(signers.companions(scheme="sigstore", files=files)) == 4


def test_a_changed_file_of_a_set_is_refused_before_any_signing_call(
    instance: LoopbackSigstore, file: Path
) -> None:
    files = files_of(file.parent, 4)
    (file.parent / "file-3").write_bytes(b"planted")
    signers = signers_of(instance, file, signer_of(instance, token=lambda: pytest.fail("asked")))
    with pytest.raises(CheckError) as refusal:
        signers.sign_all(scheme="sigstore", files=files)
    assert refusal.value.code == "DIGEST_CHANGED"
    assert instance.entries() == 0


def test_a_set_that_fails_in_the_middle_names_what_is_signed_and_is_finished_later(
    instance: LoopbackSigstore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "AT_ONCE", 1)
    files, add = files_of(file.parent, 5), instance.log.add

    def broken(body: dict[str, Any]) -> dict[str, Any]:
        if instance.entries() == 2:
            raise OSError("the log is full")
        return add(body)

    monkeypatch.setattr(instance.log, "add", broken)
    signers = signers_of(instance, file)
    with pytest.raises(WorldError, match="the log is full") as refusal:
        signers.sign_all(scheme="sigstore", files=files)
    assert refusal.value.code == "SIGSTORE_REFUSED"
    assert str(refusal.value).endswith("(of 5 files these are signed: file-0, file-1)")
    assert str(refusal.value).count("SIGSTORE_REFUSED") == 1
    assert instance.entries() == 2
    monkeypatch.setattr(instance.log, "add", add)
    signers.sign_all(scheme="sigstore", files=files)
    assert instance.entries() == 5
    assert [x.name for x in file.parent.iterdir() if x.name.startswith(".")] == []


def test_a_log_that_is_silent_is_given_up_in_each_thread(
    instance: LoopbackSigstore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = json.loads(instance.trust_config())
        [log] = config["signingConfig"]["rekorTlogUrls"]
        log["url"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        signer = SigstoreSigner(
            trust_config=lambda: ClientTrustConfig.from_json(json.dumps(config)),
            identity=WHO,
            issuer=ISSUER,
            token=lambda: IdentityToken(instance.mint(WHO)),
        )
        signer._ready()  # certificates are had in time
        monkeypatch.setattr(sigstore_client, "TIMEOUT_SECONDS", 0.1)
        signers = signers_of(instance, file, signer)
        with pytest.raises(WorldError, match="ReadTimeout"):
            signers.sign_all(scheme="sigstore", files=files_of(file.parent, 3))
