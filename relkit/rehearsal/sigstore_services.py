"""Who logs in and who certifies, in a loopback Sigstore instance.

They refuse what the public services refuse: a token of another key, issuer or audience, or out of
date; a certificate request without proof of possession. They were written from the protocols,
against one client, so they prove nothing about the public instance. Keys are files, so that a
later process goes on with the same instance.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from relkit.adapters.value_files import write_whole

AUDIENCE = "sigstore"
OID_ISSUER_TEXT = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")  # plain bytes, the older form
OID_ISSUER_DER = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")  # DER UTF8String
OID_SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
CA_LIFETIME = dt.timedelta(days=3650)

Message = dict[str, Any]


def b64(data: bytes) -> str:
    """Encode as base64 text."""
    return base64.b64encode(data).decode()


def create_once(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return the file's content, after making it (mode 0600) if it was not there.

    The file appears whole or not at all, and the first of several writers wins.
    """
    with suppress(FileNotFoundError):
        return path.read_bytes()
    with suppress(FileExistsError):
        write_whole(path, make(), new=True)
    return path.read_bytes()


class Key:
    """A P-256 key which signs with SHA-256; its id is the hash of its public half."""

    def __init__(self, path: Path, name: str = "") -> None:
        """Load the key from a PEM file; `name` is its owner's in certificates."""
        private = ser.load_pem_private_key(create_once(path, _new_key), password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{path.name} is not a P-256 key")
        self.name = name
        self.private = private
        self.public = private.public_key()
        form = ser.PublicFormat.SubjectPublicKeyInfo
        self.spki = self.public.public_bytes(ser.Encoding.DER, form)
        self.id = hashlib.sha256(self.spki).digest()

    def sign(self, data: bytes) -> bytes:
        """Sign data (ECDSA, DER)."""
        return self.private.sign(data, ec.ECDSA(hashes.SHA256()))

    def certify(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Sign a certificate."""
        return builder.sign(self.private, hashes.SHA256())


class IdentityProvider:
    """An OpenID Connect issuer without a login page: whoever holds this object may mint."""

    def __init__(self, key: Key, issuer: str) -> None:
        self.issuer = issuer
        self._key = key

    def mint(self, identity: str, *, lifetime: int = 600, **claims: Any) -> str:  # noqa: ANN401 (JSON)
        """Sign a token for `identity`; `claims` add to the usual ones or replace them."""
        now = int(time.time())
        # The client reads `sub` or `email`, depending on the issuer: keep them equal.
        usual = {"iss": self.issuer, "aud": AUDIENCE, "sub": identity, "email": identity}
        times = {"iat": now, "nbf": now, "exp": now + lifetime}
        return jwt.encode(usual | times | claims, self._key.private, "ES256")

    def verify(self, token: str) -> Message:
        """Return the claims of a token which this issuer signed and which is in date."""
        claims: Message = jwt.decode(
            token,
            self._key.public,
            ["ES256"],
            {"require": ["exp", "iat", "nbf", "sub"]},
            audience=AUDIENCE,
            issuer=self.issuer,
        )
        return claims


class CertificateAuthority:
    """Fulcio: short-lived certificates, each with the embedded stamp (SCT) of a CT log.

    `chain` is the issuing certificate, then the root. Its dates are those of the day the
    instance was made.
    """

    def __init__(self, folder: Path, lifetime_seconds: int) -> None:
        self._lifetime = dt.timedelta(seconds=lifetime_seconds)
        self._key = Key(folder / "issuing.pem", "CN=issuing")
        self.ct_key = Key(folder / "ct.pem")
        root = Key(folder / "root.pem", "CN=root")
        pem = create_once(folder / "chain.pem", lambda: _chain(self._key, root))
        self.chain = x509.load_pem_x509_certificates(pem)
        if [certificate.public_key() for certificate in self.chain] != [
            self._key.public,
            root.public,
        ]:
            raise ValueError("chain.pem does not belong to the keys beside it")
        self.start = self.chain[0].not_valid_before_utc

    def issue(self, claims: Message, request_pem: bytes) -> Message:
        """Certify the key of the request for the identity of the (verified) token."""
        request = x509.load_pem_x509_csr(request_pem)
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not request.is_signature_valid:
            raise ValueError("no proof of possession of an ECDSA key")
        who, issuer = claims.get("email") or claims["sub"], claims["iss"].encode()
        san = x509.RFC822Name(who) if "@" in who else x509.UniformResourceIdentifier(who)
        builder = _certificate("", key, self._key, dt.datetime.now(dt.UTC), self._lifetime)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False
        )
        # The subject is empty, so its alternative must be critical.
        builder = builder.add_extension(x509.SubjectAlternativeName([san]), critical=True)
        for oid, value in (OID_ISSUER_TEXT, issuer), (OID_ISSUER_DER, _der(0x0C, issuer)):
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
        chain = [self._stamped(builder), *self.chain]
        pems = [x.public_bytes(ser.Encoding.PEM).decode() for x in chain]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": pems}}}

    def _stamped(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Certify with the stamp of the CT log, which is over the certificate without it.

        The same builder is used twice, so the serial number and the dates are equal.
        """
        stamps = self._stamps(self._key.certify(builder).tbs_certificate_bytes)
        sct = x509.UnrecognizedExtension(OID_SCT_LIST, _der(0x04, stamps))  # octets
        return self._key.certify(builder.add_extension(sct, critical=False))

    def _stamps(self, tbs: bytes) -> bytes:
        """Return the list with the one stamp of a precertificate (RFC 6962, 3.2 and 3.3)."""
        timestamp = struct.pack("!Q", int(time.time() * 1000))
        version, stamp_type, precert_entry, no_extensions = b"\0", b"\0", b"\0\1", b"\0\0"
        entry = precert_entry + self._key.id + len(tbs).to_bytes(3, "big") + tbs + no_extensions
        signature = self.ct_key.sign(version + stamp_type + timestamp + entry)
        sct = version + self.ct_key.id + timestamp + no_extensions
        sct += b"\4\3" + struct.pack("!H", len(signature)) + signature  # SHA-256 with ECDSA
        return struct.pack("!HH", len(sct) + 2, len(sct)) + sct


def _der(tag: int, value: bytes) -> bytes:
    """Put a DER tag and length before `value`."""
    size = len(value)
    short_form = 0x80
    if size < short_form:
        return bytes([tag, size]) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, short_form | len(length)]) + length + value


def _new_key() -> bytes:
    private = ec.generate_private_key(ec.SECP256R1())
    return private.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption())


def _chain(issuing: Key, root: Key) -> bytes:
    """Make the certificates of the two authorities, valid from the day before."""
    start = dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(days=1)
    authority = x509.BasicConstraints(ca=True, path_length=None)
    builders = [
        _certificate(key.name, key.public, root, start, CA_LIFETIME) for key in (issuing, root)
    ]
    made = [root.certify(builder.add_extension(authority, critical=True)) for builder in builders]
    return b"".join(certificate.public_bytes(ser.Encoding.PEM) for certificate in made)


def _certificate(
    name: str, key: ec.EllipticCurvePublicKey, signer: Key, start: dt.datetime, valid: dt.timedelta
) -> x509.CertificateBuilder:
    """Begin the certificate of an authority or, without a name, of an end entity."""
    issuer, subject = (x509.Name.from_rfc4514_string(text) for text in (signer.name, name))
    usage = x509.KeyUsage(
        digital_signature=not name,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=bool(name),
        crl_sign=bool(name),
        encipher_only=False,
        decipher_only=False,
    )
    signer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public)
    return (
        x509.CertificateBuilder(issuer, subject, key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + valid)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(signer_id, critical=False)
    )
