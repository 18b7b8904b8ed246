"""Verify a record: every property by itself, so that one refusal does not hide another."""

from __future__ import annotations

from collections.abc import Callable

from relkit import records as log
from relkit.errors import ReleaseError, WorldError
from relkit.verify_record import made, page, people, shown, wholeness
from relkit.verify_record.case import Case
from relkit.verify_record.reading import Pack
from relkit.verify_record.trust import Trust
from relkit.verify_record.verdict import Judged, Property, Verdict, plain, status_of

PROPERTIES: dict[str, Callable[[Case], str]] = {
    "files": wholeness.files,
    "seal signature": wholeness.signature,
    "policy": wholeness.policy,
    "ledger": wholeness.ledger,
    "order": wholeness.order,
    "decisions": people.decisions,
    "waivers": people.waivers,
    "manifest": made.manifest,
    "file signatures": made.artifacts,
    "notebook": shown.notebook,
    "page": page.page,
    "guide": shown.guide,
}
"""What is looked at, in the order in which it is told."""
FIRST = "ledger"
"""What all others need."""
UNCHECKED = (
    "that the trust root and the policy you gave are the right ones",
    "what is public now: the download server, the website, the announcements",
    "the signature of the tag, and where it points in a clone",
    "the bytes of the published files: only their digests are in the record",
    "the raw attempts, and other files beside the sealed ones",
    "that the people are who the policy says, and that nobody had stolen a key of theirs",
    "that what was read from outside systems was true",
    "evidence that people gave by relkit testify: it is unsigned, and says itself who gave it",
    "what was recorded after the last decision of others: it rests on who signed the seal alone",
)


def verify(
    pack: Pack, *, policy_sha256: str | None = None, trust_root: bytes | str | None = None
) -> Verdict:
    """Return what can be said about a record.

    `policy_sha256` is the digest of the policy that the caller trusts; `trust_root` a Sigstore
    trusted root, or ``sha256:`` with the digest that the record's own must have. Without them
    what needs them cannot be checked. Raises `UsageError` for what is neither.
    """
    with Trust(pack.files, policy_sha256, trust_root) as trust:
        case = Case(pack, trust)
        found = {FIRST: _judged(case, FIRST)}
        found |= {name: _judged(case, name) for name in PROPERTIES if name != FIRST}
    lines = tuple(found[name] for name in PROPERTIES)
    return Verdict(
        status_of(lines),
        lines,
        tuple(map(plain, (*UNCHECKED, *case.unchecked))),
        tuple(map(plain, case.waivers)),
        tuple(map(plain, _notes(case))),
    )


def _judged(case: Case, name: str) -> Property:
    """Look at one property; a hostile record ends no look at the others."""
    try:
        return Property(name, "verified", "", plain(PROPERTIES[name](case)))
    except Judged as judged:
        return Property(name, judged.outcome, judged.code, plain(str(judged)))
    except WorldError as error:
        return Property(name, "cannot check", error.code, plain(str(error)))
    except ReleaseError as error:
        return Property(name, "REFUSED", error.code, plain(str(error)))
    except Exception as error:  # noqa: BLE001 (whatever a hostile record causes: it is refused)
        return Property(name, "REFUSED", "MALFORMED", plain(f"{type(error).__name__}: {error}"))


def _notes(case: Case) -> list[str]:
    """Return what whoever reads the verdict must not overlook."""
    walk = case.walked
    if walk is None:
        return []
    told = ["A REHEARSAL: no release of Python was made"] if walk.inputs.rehearsal else []
    told += [f"ABANDONED by {one.who}: {one.reason}" for one in filter(None, [walk.abandoned])]
    told += [f"revision {one.revision} given up by {one.who}: {one.reason}" for one in walk.respun]
    told += [
        f"deviation {one.entry.number} by {one.entry.who} ({one.entry.role}): "
        f"{one.entry.action.get('do')}: {one.entry.reason}"
        for one in walk.deviations
    ]
    handed = [one.entry for one in walk.ledger if isinstance(one.entry, log.HandedOver)]
    told += [f"handed over by {one.who} to {one.to}: {one.reason}" for one in handed]
    return [*told, *(f"not opened: {name}" for name in case.pack.beside)]
