"""Signing and verifying with Sigstore, through the sigstore package.

What is signed is a digest; the file itself never leaves the machine. Verifying needs the trusted
root and no network.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import requests
from sigstore.errors import VerificationError as Refused
from sigstore.hashes import Hashed
from sigstore.models import Bundle, ClientTrustConfig, TrustedRoot
from sigstore.oidc import IdentityToken
from sigstore.sign import Signer
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity
from sigstore_models.common.v1 import HashAlgorithm
from sigstore_models.trustroot.v1 import TrustedRoot as TrustedRootModel

from relkit.adapters.sigstore_client import signing_context
from relkit.adapters.subjects import opened, read_signature, write_signature
from relkit.errors import ReleaseError, VerificationError, WorldError

SUFFIX = ".sigstore"
"""What python.org appends to a file's name for its bundle."""
AT_ONCE = 16
"""How many signatures are under way together: what is slow is the way to the log, not the work."""
RENEW_BEFORE = timedelta(seconds=30)
TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")


def trusted_root(text: str | bytes) -> TrustedRoot:
    """Read a trusted root from its JSON, as it lies beside a rehearsal's record."""
    return TrustedRoot(TrustedRootModel.from_json(text))


def verify_bundle(
    root: TrustedRoot, bundle: bytes, *, sha256: str, identity: str, issuer: str
) -> None:
    """Raise unless `identity`, known to `issuer`, signed exactly this digest. Uses no network.

    Raises `VerificationError`: ``SIGSTORE_IDENTITY`` (somebody else's signature),
    ``SIGSTORE_INVALID`` (no good signature, or one of another file).
    """
    if not identity or not issuer:  # the client takes a missing issuer for any issuer
        raise _invalid("the policy names no identity or no issuer")
    policy = Identity(identity=identity, issuer=issuer)
    verifier = Verifier(trusted_root=root)
    try:
        found = Bundle.from_json(bundle)
        _require_signer(policy, found)
        verifier.verify_artifact(_hashed(sha256), found, policy)
    except ReleaseError:
        raise
    except Exception as error:  # whatever a hostile bundle causes: it is not verified
        raise _invalid(f"{type(error).__name__}: {_shown(str(error))}") from error


class SigstoreSigner:
    """Signs as one identity, with one certificate for as many files as it lives for.

    `trust_config` names the instance and is asked again for each certificate; `token` is asked at
    the last moment and must be of `identity`, known to `issuer`. Tokens are not kept here (the
    client holds the last one while its certificate lives), nor shown.
    """

    def __init__(
        self,
        *,
        trust_config: Callable[[], ClientTrustConfig],
        identity: str,
        issuer: str,
        token: Callable[[], IdentityToken],
    ) -> None:
        self.identity = identity
        self.issuer = issuer
        self._trust_config = trust_config
        self._token = token
        self._root: TrustedRoot | None = None
        self._open = ExitStack()
        self._renewing = threading.Lock()
        self._signer: Signer | None = None
        self._expires = datetime.max.replace(tzinfo=UTC)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.identity!r}, {self.issuer!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget certificate, key and token; the next signature asks for new ones."""
        self._signer = None
        self._open.close()

    def sign(self, path: Path, sha256: str | None = None) -> None:
        """Write the bundle `<name>.sigstore` beside a file, verified as it was written.

        The file is hashed through one handle, and that digest is what is signed; with `sha256`,
        another digest is refused before anything is signed. Raises `CheckError`
        (``ARTIFACT_MISSING``, ``DIGEST_CHANGED``), `WorldError` (``SIGSTORE_…``),
        `VerificationError`.
        """
        with opened(path, sha256) as subject:
            digest = subject.sha256
        bundle = self._sign_digest(digest)

        def verify(written: bytes) -> None:
            self.verify_digest(digest, written, identity=self.identity, issuer=self.issuer)

        write_signature(path.with_name(path.name + SUFFIX), bundle, verify)

    def sign_all(self, files: Sequence[tuple[Path, str]]) -> None:
        """Do what `sign` does for each file and its SHA-256, up to `AT_ONCE` at a time.

        After the first failure no more are begun, and it is raised when those under way have
        ended: each file then has its whole bundle, or none that is new.
        """
        if not files:
            return
        self._ready()  # one token, asked for here and not in a thread
        with ThreadPoolExecutor(min(AT_ONCE, len(files)), "sign") as pool:
            futures = [pool.submit(self.sign, path, sha256) for path, sha256 in files]
            wait(futures, return_when=FIRST_EXCEPTION)
            pool.shutdown(cancel_futures=True)
        for future in futures:
            if not future.cancelled():
                future.result()

    def verify(self, path: Path, bundle: Path, *, identity: str, issuer: str) -> None:
        """Raise unless the bundle is the identity's signature of the file as it is now."""
        found = read_signature(bundle)
        if found is None:
            raise _invalid(f"there is no {bundle.name}")
        with opened(path) as subject:
            self.verify_digest(subject.sha256, found, identity=identity, issuer=issuer)

    def verify_digest(self, sha256: str, bundle: bytes, *, identity: str, issuer: str) -> None:
        """Do what `verify_bundle` does, with the trusted root of this instance."""
        if self._root is None:
            self._root = self._trust_config().trusted_root
        verify_bundle(self._root, bundle, sha256=sha256, identity=identity, issuer=issuer)

    def check_token(self) -> None:
        """Get a token and raise (``SIGSTORE_TOKEN``) unless it is the signer's; sign nothing."""
        self._fresh_token()

    def _sign_digest(self, sha256: str) -> bytes:
        signer = self._ready()
        try:
            bundle = signer.sign_artifact(_hashed(sha256))
        except ReleaseError:
            raise
        except Exception as error:  # the client's errors have no common class
            self.close()
            raise _refused(error) from error
        self._expires = bundle.signing_certificate.not_valid_after_utc
        return bundle.to_json().encode()

    def _ready(self) -> Signer:
        """Return who signs, with a certificate that lives for a while."""
        with self._renewing:
            if datetime.now(UTC) > self._expires - RENEW_BEFORE:
                self.close()
            try:
                return self._signer or self._new_signer()
            except ReleaseError:
                raise
            except Exception as error:  # as above
                self.close()
                raise _refused(error) from error

    def _new_signer(self) -> Signer:
        """Ask for a certificate. It is known how long it lives once it has signed."""
        config = self._trust_config()
        self._root = config.trusted_root
        context = signing_context(config)
        self._signer = self._open.enter_context(context.signer(self._fresh_token()))
        return self._signer

    def _fresh_token(self) -> IdentityToken:
        try:
            token = self._token()
        except ReleaseError:
            raise
        except Exception as error:
            # Only the kind of error: its text may quote what was to be a token.
            raise _token_error(f"none was given ({type(error).__name__})") from error
        found = token.identity, token.federated_issuer
        if found != (self.identity, self.issuer):
            raise _token_error(f"it is of {found[0]} by {found[1]}, not of {self!r}")
        return token


def _hashed(sha256: str) -> Hashed:
    return Hashed(algorithm=HashAlgorithm.SHA2_256, digest=bytes.fromhex(sha256))


def _require_signer(policy: Identity, bundle: Bundle) -> None:
    """Tell a signature of somebody else from a bad one; the verifier asks the policy again."""
    try:
        policy.verify(bundle.signing_certificate)
    except Refused as error:
        raise VerificationError(
            f"the signature is somebody else's: {_shown(str(error))}",
            code="SIGSTORE_IDENTITY",
            remedy="Sign as the release manager of the policy.",
        ) from error


def _invalid(reason: str) -> VerificationError:
    return VerificationError(
        f"the Sigstore bundle is not a good signature of this file: {reason}",
        code="SIGSTORE_INVALID",
        remedy="Sign the file again, if it has the digest of the manifest.",
    )


def _token_error(reason: str) -> WorldError:
    return WorldError(
        f"the identity token cannot be used: {reason}",
        code="SIGSTORE_TOKEN",
        remedy="Log in as the release manager of the policy and run again.",
    )


def _refused(error: Exception) -> WorldError:
    """Translate what happened while signing, with the server's own words where there are any."""
    answer = next(_answers(error), None)
    if answer is not None:
        return WorldError(
            f"Sigstore answered {answer.status_code}: {_shown(answer.text)}",
            code="SIGSTORE_REFUSED",
            remedy="Do what the answer asks for and run again; no signature was kept.",
        )
    if isinstance(error, requests.RequestException):
        return WorldError(
            f"Sigstore cannot be reached, or read ({type(error).__name__}); nothing was kept",
            code="SIGSTORE_UNREACHABLE",
            remedy="Run again when the network and the service are there; files signed are kept.",
        )
    return WorldError(
        f"signing with Sigstore failed: {type(error).__name__}: {_shown(str(error))}",
        code="SIGSTORE_FAILED",
        remedy="Run again; nothing was written for this file.",
    )


def _shown(text: str) -> str:
    """Return foreign text for a message: one line, no control characters, no token."""
    line = "".join(letter if letter.isprintable() else " " for letter in text).strip()
    return TOKEN.sub("[a token]", line)[:500]


def _answers(error: BaseException | None) -> Iterator[requests.Response]:
    """Yield the answers behind an error, whose own text may be empty."""
    while error is not None:
        if isinstance(error, requests.RequestException) and error.response is not None:
            yield error.response
        error = error.__cause__ or error.__context__
