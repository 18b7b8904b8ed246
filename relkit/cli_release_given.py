"""What ``relkit verify release`` is given: options, and what they come to.

Each is the caller's word. What cannot be used is wrong usage, before anything is asked of a site.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from relkit.errors import UsageError

if TYPE_CHECKING:
    from relkit.release import Version
    from relkit.verify_release import Given

SITE, DOCS = "https://www.python.org/", "https://docs.python.org/"
UPSTREAM = "https://github.com/python/cpython.git"
LARGEST = 1 << 20  # bytes of a trust root, or of keys
BY_DIGEST, PRODUCTION = "sha256:", "production"
FINGERPRINT = re.compile("[0-9A-F]{40}")


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("version", help="such as 3.15.0a1")
    _compared(parser)
    _trusted(parser)
    _looked_at(parser)
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def _compared(parser: argparse.ArgumentParser) -> None:
    one = parser.add_argument_group("what it is held against (the record in ./records, if there)")
    one.add_argument(
        "--record",
        action="append",
        type=Path,
        metavar="FOLDER",
        help="the sealed record of the release; again: that of its amendment",
    )
    one.add_argument(
        "--manifest",
        action="append",
        type=Path,
        metavar="FILE",
        help="or its manifest, which you then vouch for; again: its amendment",
    )


def _trusted(parser: argparse.ArgumentParser) -> None:
    one = parser.add_argument_group("whom you trust")
    one.add_argument("--policy", metavar="SHA256", help="of the policy that you trust")
    one.add_argument(
        "--trust-root",
        metavar="FILE|sha256:DIGEST|production",
        help="Sigstore's trusted root; the digest the record's own must have; or the one that "
        "comes with the sigstore package",
    )
    one.add_argument("--identity", default="", help="who must have signed with Sigstore, exactly")
    one.add_argument("--issuer", default="", help="and who vouches for that identity")
    one.add_argument("--key", default="", metavar="FINGERPRINT", help="full, of the GPG key")
    one.add_argument("--keys", type=Path, metavar="FILE", help="with that public key, armored")


def _looked_at(parser: argparse.ArgumentParser) -> None:
    one = parser.add_argument_group("where it looks, and how quickly")
    one.add_argument("--site", default=SITE, metavar="URL", help=SITE)
    one.add_argument("--docs", default=DOCS, metavar="URL", help=DOCS)
    one.add_argument("--upstream", default=UPSTREAM, metavar="URL|FOLDER", help=UPSTREAM)
    one.add_argument("--jobs", type=int, default=4, metavar="N", help="downloads at a time: 4")
    one.add_argument(
        "--deadline", type=float, default=3600, metavar="SECONDS", help="for everything: 3600"
    )


def given_by(version: Version, options: argparse.Namespace) -> Given:
    """Return what is compared with, and whom to trust; raises `UsageError`, `RecordError`."""
    from relkit.verify_release import from_files, from_record, nothing_given
    from relkit.verify_release.given import Named

    if options.record and options.manifest:
        raise usage("BAD_OPTION", "a record and a manifest were given", "Give one of them.")
    if bool(options.identity) != bool(options.issuer):
        raise usage(
            "BAD_OPTION",
            "an identity is one only together with who vouches for it",
            "Give --identity and --issuer.",
        )
    named = Named(options.identity, options.issuer, options.key.replace(" ", "").upper())
    if named.key and not FINGERPRINT.fullmatch(named.key):
        raise usage("BAD_OPTION", f"{options.key[:60]!r} is no full fingerprint", "Give all of it.")
    keys = _bytes(options.keys) if options.keys else b""
    policy = options.policy.removeprefix(BY_DIGEST) if options.policy else None
    root = _trust_root(options.trust_root)
    if options.manifest:
        paths = options.manifest
        return from_files(version, paths, named=named, policy_sha256=policy, root=root, keys=keys)
    if records := options.record or _records(version):
        return from_record(
            version, records, named=named, policy_sha256=policy, root=root, keys=keys
        )
    return nothing_given(version, named, root, keys)


def _records(version: Version) -> list[Path]:
    """Return the records that lie where relkit puts them: the release's, then its amendment's."""
    found = [Path("records") / f"{version}{end}" for end in ("", "-amendment")]
    return [path for path in found if (path / "SHA256SUMS").is_file()]


def _trust_root(given: str | None) -> bytes | str | None:
    if given is None or given.startswith(BY_DIGEST):
        return given
    if given == PRODUCTION:
        from relkit.adapters.sigstore_root import production_root

        return production_root()
    return _bytes(Path(given))


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise usage(
            "TRUST_UNREADABLE",
            f"{path.name} cannot be read: {error.strerror}",
            "Give a file with the trust root, or the keys, that you trust.",
        ) from error
    if len(data) > LARGEST:
        why = f"{path.name} has more than {LARGEST:,} bytes"
        raise usage("TRUST_UNREADABLE", why, "Give the trust root, or the one key, alone.")
    return data


def usage(code: str, why: str, remedy: str) -> UsageError:
    """Return the error of an option that cannot be used."""
    return UsageError(why, code=code, remedy=remedy)
