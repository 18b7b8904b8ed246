"""A Sigstore instance on the loopback interface, which outlives its process.

The unmodified client signs and verifies against it::

    with LoopbackSigstore(state / "sigstore") as instance:
        config = ClientTrustConfig.from_json(instance.trust_config())
        token = IdentityToken(instance.mint("rm@example.org"))

Keys, certificates and log are kept in the folder: started again, on whatever port, it is the same
instance with the same trusted root and a growing log. The names in certificates, policy and log
do not depend on the port; only the addresses for signing do. There is no login over the network:
tokens are minted by the process that holds the folder.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization as ser

from relkit.errors import WorldError
from relkit.rehearsal.sigstore_log import TransparencyLog
from relkit.rehearsal.sigstore_services import (
    CertificateAuthority,
    IdentityProvider,
    Key,
    Message,
    b64,
)

HOST = "rehearsal.invalid"
"""The log's origin. `.invalid` is never resolved (RFC 2606)."""
ISSUER = f"https://{HOST}/oidc"
"""The issuer of its tokens, as it stands in certificates and in the rehearsal's policy."""

MEDIA_TYPE = "application/vnd.dev.sigstore."
MAX_REQUEST_BYTES = 1 << 20
REFUSALS = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    jwt.PyJWTError,
)


class LoopbackSigstore:
    """The instance: its services, their server, and the configuration to trust them.

    The server runs within the `with` block; tokens, trusted root and log can be had without it.
    """

    issuer = ISSUER

    def __init__(self, folder: Path, *, certificate_seconds: int = 600) -> None:
        """Open the instance in `folder` or make it there.

        Raises `WorldError` (``SIGSTORE_STATE``) if what lies there cannot be used.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self.provider = IdentityProvider(Key(folder / "oidc.pem"), ISSUER)
            self.authority = CertificateAuthority(folder, certificate_seconds)
            self.log = TransparencyLog(folder / "log.jsonl", Key(folder / "log.pem"), HOST)
        except (ValueError, TypeError) as error:
            raise WorldError(
                f"the rehearsal's Sigstore instance in {folder.name}/ cannot be used: {error}",
                code="SIGSTORE_STATE",
                remedy="Restore the folder, or start a new rehearsal elsewhere.",
            ) from error
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def start(self) -> None:
        """Serve on a free port, in a thread that ends with the process; harmless if it runs."""
        if self._server is None:
            self._server = _Server(self)
            self._thread = threading.Thread(
                target=self._server.serve_forever,
                kwargs={"poll_interval": 0.02},
                name="loopback-sigstore",
                daemon=True,
            )
            self._thread.start()

    def close(self) -> None:
        """Stop serving; harmless if it does not."""
        if self._server and self._thread:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        self._server = self._thread = None

    @property
    def url(self) -> str:
        """Where it listens; without a server, an address (port 0) that leads nowhere."""
        return f"http://127.0.0.1:{self._server.server_port if self._server else 0}"

    def mint(self, identity: str, *, lifetime: int = 600, **claims: Any) -> str:  # noqa: ANN401 (JSON)
        """Return an identity token, which is a secret; `claims` replace the usual ones."""
        return self.provider.mint(identity, lifetime=lifetime, **claims)

    def entries(self) -> int:
        """Return how many entries the log has accepted, ever."""
        return self.log.size()

    def trusted_root(self) -> str:
        """Return the trusted root as JSON: all that verifying needs, always the same text."""
        return json.dumps(self._trusted_root(), indent=1) + "\n"

    def trust_config(self) -> str:
        """Return the `ClientTrustConfig` as JSON: whom to trust, and where to sign now."""
        config = {
            "mediaType": f"{MEDIA_TYPE}clienttrustconfig.v0.1+json",
            "trustedRoot": self._trusted_root(),
            "signingConfig": {
                "mediaType": f"{MEDIA_TYPE}signingconfig.v0.2+json",
                "caUrls": self._service(self.url),
                "oidcUrls": self._service(ISSUER),
                "rekorTlogUrls": self._service(self.url),
                "rekorTlogConfig": {"selector": "ANY"},
                "tsaConfig": {"selector": "ANY"},
            },
        }
        return json.dumps(config, indent=1) + "\n"

    def _trusted_root(self) -> Message:
        return {
            "mediaType": f"{MEDIA_TYPE}trustedroot+json;version=0.1",
            "tlogs": [self._log(self.log.key)],
            "ctlogs": [self._log(self.authority.ct_key)],
            "certificateAuthorities": [self._authority(self.authority.chain)],
            "timestampAuthorities": [],
        }

    @property
    def _valid(self) -> Message:
        return {"validFor": {"start": self.authority.start.strftime("%Y-%m-%dT%H:%M:%SZ")}}

    def _log(self, key: Key) -> Message:
        public = {"rawBytes": b64(key.spki), "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
        return {
            "baseUrl": f"https://{HOST}",
            "logId": {"keyId": b64(key.id)},
            "hashAlgorithm": "SHA2_256",
            "publicKey": public | self._valid,
        }

    def _authority(self, chain: list[x509.Certificate]) -> Message:
        certificates = [{"rawBytes": b64(x.public_bytes(ser.Encoding.DER))} for x in chain]
        subject = {"organization": HOST, "commonName": HOST}
        return {"subject": subject, "certChain": {"certificates": certificates}} | self._valid

    def _service(self, url: str) -> list[Message]:
        return [{"url": url, "majorApiVersion": 1, "operator": HOST} | self._valid]


class _Server(ThreadingHTTPServer):
    request_queue_size = 64  # as many as sign at a time, and some more

    def __init__(self, instance: LoopbackSigstore) -> None:
        self.instance = instance
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    """One request a connection, so that no connection outlives the server."""

    server: _Server
    timeout = 10
    wbufsize = -1  # headers and body leave together

    def do_POST(self) -> None:
        """Answer in JSON; a refusal has Rekor's form."""
        try:
            status, answer = self._route()
        except REFUSALS as error:
            status, answer = 400, _refusal(400, error)
        except OSError as error:  # the disk, most likely: nothing was promised
            status, answer = 500, _refusal(500, error)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _route(self) -> tuple[int, Mapping[str, object]]:
        size = int(self.headers.get("Content-Length", 0))
        if not 0 <= size <= MAX_REQUEST_BYTES:
            raise ValueError(f"a request of {size} bytes")
        body, instance = json.loads(self.rfile.read(size)), self.server.instance
        match self.path:
            case "/api/v2/signingCert":
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                request = base64.b64decode(body["certificateSigningRequest"])
                return 200, instance.authority.issue(instance.provider.verify(token), request)
            case "/api/v1/log/entries":
                return 201, instance.log.add(body)
            case _:
                return 404, {"code": 404, "message": "not found"}

    def log_message(self, *args: object) -> None:
        """Say nothing: standard error belongs to the notebook."""


def _refusal(status: int, error: Exception) -> Message:
    return {"code": status, "message": f"{type(error).__name__}: {error}"}
