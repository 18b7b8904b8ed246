"""``VERIFY.md`` of a record: what it is, and the commands by which a stranger checks it.

The commands need the tools they name and nothing of relkit; each says what it shows and what not.
The text follows from the record alone, so that sealing again writes the same.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from relkit.decision import NAMESPACE
from relkit.history import History
from relkit.policy import Policy
from relkit.records import Decided, HandedOver, Waived
from relkit.sealing import KEYS, PROVENANCE, ROOT, companions, decisions, manifest_of, principals
from relkit.steps.source import tag_release
from relkit.values import Identity

Entry = Decided | Waived | HandedOver


def guide(history: History, files: Mapping[str, bytes], signed_by: Sequence[Identity]) -> bytes:
    """Return ``VERIFY.md``; `files` are those of the record, by path."""
    return (
        _pages().get_template("VERIFY.md.j2").render(**_facts(history, files, signed_by)).encode()
    )


@cache
def _pages() -> Environment:
    pages = Environment(
        loader=PackageLoader("relkit", "templates"),
        autoescape=False,  # noqa: S701 (Markdown; what is in a command is quoted for the shell)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters |= {"sh": shlex.quote, "line": _line}
    return pages


def _facts(
    history: History, files: Mapping[str, bytes], signed_by: Sequence[Identity]
) -> dict[str, Any]:
    policy, results = history.policy, history.results
    by = {one.scheme: one for one in signed_by}
    said = [(path, entry, _signers(entry, policy)) for path, entry in decisions(history)]
    made = companions(history)
    return {
        "release": history.release,
        "opened": history.inputs,
        "abandoned": history.abandoned,
        "ledger": history.ledger,
        "policy": policy,
        "trust_root": hashlib.sha256(files[ROOT]).hexdigest() if ROOT in files else "",
        "has_keys": KEYS in files,
        "sigstore": by.get("sigstore"),
        "gpg": by.get("gpg"),
        "ssh": [one for one in said if one[1].signed.scheme == "ssh"],
        "others": [one for one in said if one[1].signed.scheme != "ssh"],
        "namespace": NAMESPACE,
        "names": sorted({(who, called) for _, e, _ in said for who, called in _called(e, policy)}),
        "stated": sorted(path for path in files if path.startswith(f"{PROVENANCE}/")),
        "manifest": manifest_of(history),
        "bundles": [one for one in made if one.scheme == "sigstore"],
        "armors": [one for one in made if one.scheme == "gpg"],
        "tag": results.get(tag_release),
    }


def _called(entry: Entry, policy: Policy) -> Iterator[tuple[str, str]]:
    yield entry.who, principals(policy).get(entry.who, "nobody")


def _signers(entry: Entry, policy: Policy) -> dict[str, Any]:
    """Return as whom the commands verify what somebody has signed."""
    able = [
        identity
        for person in policy.people
        if (person.name, person.role) == (entry.who, entry.role)
        for identity in person.identities
        if identity.scheme == entry.signed.scheme
    ]
    return {"called": next(_called(entry, policy))[1], "identities": able}


def _line(text: object) -> str:
    """Return foreign text for prose: one line, nothing that is markup there."""
    shown = "".join(one if one.isprintable() else " " for one in str(text))
    return shown.translate(dict.fromkeys(map(ord, "`<>[]|*"), " ")).strip()
