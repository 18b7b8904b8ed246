"""Looks for secrets in what is to be kept for ever: by their form, and by their value.

The form finds what anybody would take for a key; the value finds what nobody could, but that this
process knows: what its environment calls a secret, and what the world signs in with. A refusal
says what was found and where, never the secret.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote_to_bytes

from relkit.errors import VerificationError

SHORTEST = 8
"""Characters: anything shorter is found in every text."""
SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSW(OR)?D|PASSPHRASE|PASSCODE|CREDENTIAL|(^|_)(PASS|PAT|COOKIE)(_|$)|"
    r"_PWD$|(^|_)AUTH$|KEYS?(_|$)",
    re.IGNORECASE,
)
LIKELY_RANDOM = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9_+/=~-]+")
QUOTE = r"(?:[\\\"'\[\]]|&quot;|&#39;){0,4}"
HEADER = (
    rf"(?i:Authorization){QUOTE}\s{{0,3}}[:=,]\s{{0,3}}{QUOTE}"
    r"(?:(?i:Bearer|Basic|Token|ApiKey|Digest|Negotiate)\s+[^\s\"'<>\\]{6,}|"
    r"(?=[^\s\"'<>\\]{0,80}\d)[^\s\"'<>\\]{16,})"
)
QUERY = (
    r"[?&;](?i:token|access_token|id_token|refresh_token|password|passwd|passphrase|secret|"
    r"client_secret|api_?key)=(?!\*+(?:\W|$))[^\s&\"'<>\\]{4,}"
)
FORMS: dict[str, tuple[str, str]] = {
    "a private key": ("private key", r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    "an OpenSSH private key": ("b3blbnnzac1rzxkt", r"b3BlbnNzaC1rZXktdjE"),
    "a PuTTY private key": ("putty-user-key-file", r"PuTTY-User-Key-File-\d"),
    "an identity token": ("eyj", r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"),
    "a token of GitHub (classic)": ("gh", r"\bgh[pousr]_[A-Za-z0-9]{20,}"),
    "a token of GitHub": ("github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{20,}"),
    "a token of GitLab": ("glpat-", r"\bglpat-[\w-]{16,}"),
    "a token of PyPI": ("pypi-age", r"\bpypi-AgE[\w-]{16,}"),
    "a token of Slack": ("xox", r"\bxox[abeprs]-[A-Za-z0-9-]{10,}"),
    "an access key of AWS": ("a", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a secret key of AWS": (
        "aws_secret_access_key",
        r"(?i:aws_secret_access_key)\W{1,8}[A-Za-z0-9/+]{40}",
    ),
    "an Authorization header": ("authorization", HEADER),
    "a bearer token": (
        "bearer",
        r"(?i:\bBearer)(?:\s|%20|\+){1,3}(?=[\w.~+/-]{0,100}\d)[\w.~+/-]{16,}",
    ),
    "a password in an address": (
        "://",
        r"://[^\s/:@\"'<>\\{}]{1,100}:(?!\*+@)[^\s/@\"'<>\\{}]{1,200}@",
    ),
    "a secret in a query": ("=", QUERY),
}
"""What secrets look like: letters that are in each, in lower case, and the form itself."""


def known_values(environment: Mapping[str, str], *others: str) -> dict[str, str]:
    """Return the secrets that this process knows, with what each is: never shown, only looked for.

    `others` are secrets of the world. Of one that has several lines each line counts, without the
    frames of keys.
    """
    named = {
        f"the value of the environment variable {name}": value
        for name, value in environment.items()
        if SECRET_NAME.search(name)
    } | {f"secret {n} of the world": value for n, value in enumerate(others, 1)}
    found: dict[str, str] = {}
    for what, value in named.items():
        for line in [value.strip(), *value.split("\n")]:
            if len(line.strip()) >= SHORTEST and not line.startswith("-----"):
                found.setdefault(line.strip(), what)
    return found


def require_no_secrets(
    files: Mapping[str, bytes], known: Mapping[str, str], *, public: str = ""
) -> None:
    """Raise `VerificationError` (``SECRET_IN_RECORD``) if there is a secret in one of the files.

    `known` is from `known_values`; values that stand in `public` are no secrets, such as the
    fingerprint of a key in the policy.
    """
    forms = {
        form: what for value, what in known.items() if value not in public for form in _forms(value)
    }
    values = [form.encode() for form in sorted(forms, key=len, reverse=True)]
    for path, data in files.items():
        for found in _found(data, values, forms):
            raise _refused(path, *found)


def _found(
    data: bytes, values: Iterable[bytes], forms: Mapping[str, str]
) -> Iterator[tuple[str, int]]:
    """Yield what was found, and in which line."""
    for written in (data, unquote_to_bytes(data)) if b"%" in data else (data,):
        for value in values:
            if (at := written.find(value)) >= 0:
                yield forms[value.decode()], written.count(b"\n", 0, at) + 1
    text = data.decode("utf-8", "replace")
    lowered = text.lower()
    for what, (letters, form) in FORMS.items():
        if letters in lowered and (match := re.search(form, text)):
            yield what, text.count("\n", 0, match.start()) + 1


def _forms(value: str) -> set[str]:
    """Return how a value may be written: as it is, quoted, encoded, and each half of it."""
    written = {value, json.dumps(value)[1:-1], html.escape(value), quote(value, safe="")}
    written |= {quote_plus(value), value.encode().hex(), repr(value)[1:-1]}
    for shift in range(3):
        written |= set(_encoded(value.encode(), shift))
    if len(value) >= 2 * SHORTEST and LIKELY_RANDOM.fullmatch(value):
        middle = len(value) // 2
        written |= {value[:middle], value[middle:]}
    return {one for one in written if len(one) >= SHORTEST}


def _encoded(value: bytes, shift: int) -> tuple[str, str]:
    """Return the part of a value's base64 that is the same wherever in a longer text it stands."""
    start = -(-shift * 8 // 6)  # letters that depend on what is before
    end = (shift + len(value)) * 8 // 6
    padded = bytes(shift) + value
    usual, for_urls = base64.b64encode(padded), base64.urlsafe_b64encode(padded)
    return usual[start:end].decode(), for_urls[start:end].decode()


def _refused(path: str, what: str, line: int) -> VerificationError:
    return VerificationError(
        f"{path}, line {line}: this looks like {what}; no record is sealed with that",
        code="SECRET_IN_RECORD",
        remedy="Take the secret out of use first; then find how it came there. An attempt can be "
        "moved away; what is in the ledger stays there, and its record is not published.",
    )
