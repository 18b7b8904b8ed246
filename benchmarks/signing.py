"""What signing a whole set costs, beside one `python -m sigstore` a file.

    python benchmarks/signing.py [--files 40] [--delays 0 0.25] [--peer 40]

Both sign and verify the same files against one loopback instance, which is a process of its own
and answers each request later by the delay. The peer is the way releases were signed by hand: one
process a file to sign, one to verify; with `--peer` fewer files are given to it, and its time is
taken times as much. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken

from relkit.adapters.signers import LocalSigners
from relkit.adapters.sigstore import SigstoreSigner
from relkit.rehearsal.sigstore import ISSUER, LoopbackSigstore
from relkit.values import Artifact, Companion

WHO = "rm@example.org"
SIZE = 100_000
P = ParamSpec("P")
R = TypeVar("R")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--delays", type=float, nargs="*", default=[0.0, 0.25])
    parser.add_argument("--peer", type=int, default=40)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, *options.delays)
        return
    print(f"{'delay':>6} {'files':>5} {'what':24} {'relkit':>9} {'peer':>9} {'times':>7}")
    for delay in options.delays:
        with tempfile.TemporaryDirectory(prefix="relkit-bench-") as name:
            compare(Path(name), delay, options.files, min(options.files, options.peer))


def compare(folder: Path, delay: float, count: int, peer: int) -> None:
    """Print the rows of one delay: signing, verifying, both."""
    (folder / "files").mkdir()
    (folder / "peer").mkdir()
    files = tuple(made(folder / "files", number) for number in range(count))
    instance = LoopbackSigstore(folder / "sigstore")  # mints tokens; the other process serves
    with served(folder, delay) as config:
        ours = relkit(folder / "files", config, instance, files)
        theirs = [one * count / peer for one in stock(folder, config, instance, files[:peer])]
    for what, our, their in zip(("sign", "verify"), ours, theirs, strict=True):
        show(delay, count, what, our, their)
    show(delay, count, "sign and verify", sum(ours), sum(theirs))


def show(delay: float, count: int, what: str, our: float, their: float) -> None:
    times = their / our
    print(f"{delay:6} {count:5} {what:24} {our:8.2f}s {their:8.2f}s {times:7.0f}", flush=True)


def made(folder: Path, number: int) -> Artifact:
    data = os.urandom(SIZE)
    (folder / f"file-{number}").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return Artifact(name=f"file-{number}", size=SIZE, sha256=digest)


def relkit(
    folder: Path, config: str, instance: LoopbackSigstore, files: tuple[Artifact, ...]
) -> list[float]:
    """Sign the set, then verify each signature against the policy."""
    signer = SigstoreSigner(
        trust_config=lambda: ClientTrustConfig.from_json(config),
        identity=WHO,
        issuer=ISSUER,
        token=lambda: IdentityToken(instance.mint(WHO)),
    )
    signers = LocalSigners(
        folder=folder, sigstore=signer, gpg=None, identity=WHO, issuer=ISSUER, fingerprint=""
    )
    signing = timed(lambda: signers.sign_all(scheme="sigstore", files=files))
    found: list[Companion] = []
    verifying = timed(lambda: found.extend(signers.companions(scheme="sigstore", files=files)))
    if len(found) != len(files):
        sys.exit("a signature does not verify")
    return [signing, verifying]


def stock(
    folder: Path, config: str, instance: LoopbackSigstore, files: tuple[Artifact, ...]
) -> list[float]:
    """Do the same with a process a file."""
    trust = folder / "trust.json"
    trust.write_text(config)
    begin = [sys.executable, "-m", "sigstore", "--trust-config", str(trust)]
    who = ["--cert-identity", WHO, "--cert-oidc-issuer", ISSUER, "--offline"]

    def call(*arguments: str) -> None:
        subprocess.run([*begin, *arguments], check=True, capture_output=True)

    def sign() -> None:
        for one in files:
            bundle = str(folder / "peer" / one.name)
            token = instance.mint(WHO)  # of a throw-away instance: others may see it
            path = str(folder / "files" / one.name)
            call("sign", "--identity-token", token, "--bundle", bundle, path)

    def verify() -> None:
        for one in files:
            bundle = str(folder / "peer" / one.name)
            call("verify", "identity", *who, "--bundle", bundle, str(folder / "files" / one.name))

    return [timed(sign), timed(verify)]


def timed(act: Callable[[], None]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


@contextmanager
def served(folder: Path, delay: float) -> Iterator[str]:
    """Serve the instance from a process of its own; yield how it is trusted and reached."""
    command = [sys.executable, __file__, "--serve", str(folder), "--delays", str(delay)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        path = process.stdout.readline() if process.stdout else b""
        yield Path(os.fsdecode(path.strip())).read_text()
        # Leaving closes its standard input, and so ends it.


def serve(folder: Path, delay: float) -> None:
    """Be that process, until standard input ends."""
    with LoopbackSigstore(folder / "sigstore") as instance:
        instance.authority.issue = later(delay, instance.authority.issue)  # type: ignore[method-assign]
        instance.log.add = later(delay, instance.log.add)  # type: ignore[method-assign]
        config = folder / "config.json"
        config.write_text(instance.trust_config())
        print(config, flush=True)
        sys.stdin.read()


def later(delay: float, act: Callable[P, R]) -> Callable[P, R]:
    def acting(*arguments: P.args, **named: P.kwargs) -> R:
        time.sleep(delay)
        return act(*arguments, **named)

    return acting


if __name__ == "__main__":
    main()
