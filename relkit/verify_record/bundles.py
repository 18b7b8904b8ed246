"""Signatures in one spelling, so that no byte of one can be another.

Sigstore's client takes base64 whose last character has idle bits that are set, any name on the
signature of a checkpoint, and some words that it does not look at; gpg takes armor without an end,
with words around it and with another checksum. All that is fixed here.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from relkit.verify_record.strict import json_of
from relkit.verify_record.verdict import refuse

SIGNED_BY = "\u2014 "
"""What begins a line with a signature in a checkpoint."""


ARMOR = "-----BEGIN PGP SIGNATURE-----\n\n{}={}\n-----END PGP SIGNATURE-----\n"
WIDTH = 64  # characters of a line of armor
CRC_BEGIN, CRC_POLYNOMIAL = 0xB704CE, 0x1864CFB  # RFC 4880, 6.1


def require_one_armor(data: bytes, name: str) -> None:
    """Refuse (``MALFORMED``) a GPG signature that is armored otherwise than by gpg."""
    lines = data.decode("ascii", "replace").splitlines()
    try:
        packets = base64.b64decode("".join(lines[2:-2]), validate=True)
    except (binascii.Error, ValueError) as error:
        raise refuse("MALFORMED", f"{name} is no armored signature") from error
    text = base64.b64encode(packets).decode()
    body = "".join(f"{text[place : place + WIDTH]}\n" for place in range(0, len(text), WIDTH))
    checksum = base64.b64encode(_crc24(packets).to_bytes(3, "big")).decode()
    if data != ARMOR.format(body, checksum).encode():
        raise refuse("MALFORMED", f"{name} is not armored as gpg does it")


def _crc24(data: bytes) -> int:
    found = CRC_BEGIN
    for byte in data:
        found ^= byte << 16
        for _ in range(8):
            found <<= 1
            found ^= CRC_POLYNOMIAL if found >> 24 else 0
    return found


def require_one_spelling(data: bytes, name: str) -> None:
    """Refuse (``MALFORMED``) a bundle that could be written otherwise and mean the same."""
    found = json_of(data, name)
    for text in _texts(found):
        if text.endswith("=") and text != _again(text):
            raise refuse("MALFORMED", f"{name} has base64 with idle bits")
        if SIGNED_BY in text:
            _require_checkpoint(text, name)
    signature = found.get("messageSignature")
    digest = signature.get("messageDigest") if isinstance(signature, dict) else None
    if not isinstance(digest, dict) or digest.get("algorithm") != "SHA2_256":
        raise refuse("MALFORMED", f"{name} is over no SHA-256")


def _texts(data: object) -> Iterator[str]:
    match data:
        case str():
            yield data
        case list():
            for one in data:
                yield from _texts(one)
        case dict():
            for one in data.values():
                yield from _texts(one)
        case _:
            pass


def _again(text: str) -> str:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode()
    except (binascii.Error, ValueError):
        return ""


def _require_checkpoint(text: str, name: str) -> None:
    """Refuse a checkpoint whose log is called otherwise than who signs it."""
    origin = text.partition("\n")[0].partition(" - ")[0]
    for line in text.splitlines():
        if line.startswith(SIGNED_BY):
            words = line.removeprefix(SIGNED_BY).split(" ")
            if len(words) != 2 or words[0] != origin or words[1] != _again(words[1]):  # noqa: PLR2004
                raise refuse("MALFORMED", f"{name}: the checkpoint of {origin[:60]} is another's")
