"""All looks at a published release, each by itself, so that one fault does not hide another."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from relkit.adapters.stranger import Stranger, Visit
from relkit.adapters.website_rows import only
from relkit.errors import CheckError, ReleaseError, UsageError, WorldError
from relkit.expected import folders
from relkit.manifest import SITE
from relkit.release import Release, Version
from relkit.verify_record.verdict import plain
from relkit.verify_release.case import Case, said, take_manifest, unread
from relkit.verify_release.files import look_at_files
from relkit.verify_release.folders import look_at_folders
from relkit.verify_release.given import OF_RECORD, Given, flaws, release_of
from relkit.verify_release.pages import look_at_docs, look_at_latest, look_at_page
from relkit.verify_release.report import Look, Report, outcome_of, status
from relkit.verify_release.rows import look_at_rows
from relkit.verify_release.trusting import ReleaseTrust
from relkit.verify_release.upstream import ADDRESS, look_at_tag

SITE_ADDRESS = re.compile(
    r"(?:https://[A-Za-z0-9][A-Za-z0-9.-]*|http://(?:127\.0\.0\.1|localhost|\[::1\]))(?::[0-9]{1,5})?"
    r"(?:/[A-Za-z0-9._~-]+)*/?"
)
DOCS, UPSTREAM = "https://docs.python.org/", "https://github.com/python/cpython.git"
LOOKS: tuple[tuple[tuple[str, ...], Callable[[Case], None]], ...] = (
    (("release row", "rows v1", "rows v2"), look_at_rows),
    (("files", "signatures", "SBOMs"), look_at_files),
    (("folders",), look_at_folders),
    (("page",), look_at_page),
    (("latest",), look_at_latest),
    (("docs",), look_at_docs),
    (("tag", "tag signature"), look_at_tag),
)
"""What is looked at, in the order in which it is told; rows first: they may be all there is."""
UNCHECKED = (
    "the words of the release's page, and its links to elsewhere",
    "announcements, the release PEP, and what others mirror",
    "what lies behind the site's cache, and what other places get: this is one reader's view",
    "whether the files do what they should: who wrote what was tagged",
)


@dataclass(frozen=True)
class Sites:
    """Where to look: the site, its docs, the repository; and how quickly.

    At most `per_second` requests begin in a second, in `jobs` threads; after `seconds` what is
    left counts as not read. `told` hears how many bytes have come.
    """

    site: str = SITE
    docs: str = DOCS
    upstream: str = UPSTREAM
    jobs: int = 4
    per_second: float = 10.0
    seconds: float = 3600
    told: Callable[[int], None] = lambda _: None


def verify_release(given: Given, sites: Sites) -> Report:
    """Compare what is public of a release with what was given; write nothing, anywhere.

    Raises `UsageError` for addresses or a manifest that cannot be used. Without a manifest the site
    must say when the release was made: `CheckError` (``RELEASE_HIDDEN``), `WorldError`.
    """
    _require_addresses(sites)
    visit = Visit(sites.per_second, sites.seconds)
    site = Stranger(sites.site, visit, told=sites.told)
    release = _release(given, site)
    with ReleaseTrust(given.trust, given.policy_sha256, given.root) as trust:
        case = Case(
            given=given,
            release=release,
            site=site,
            docs=Stranger(sites.docs, visit, told=sites.told),
            upstream=sites.upstream,
            trust=trust,
            visit=visit,
            jobs=sites.jobs,
        )
        if _look_at_manifest(case) and given.manifest is not None:
            take_manifest(case, given.manifest)
        for names, look_at in LOOKS:
            _guarded(case, names, look_at)
    return _report(case)


def _require_addresses(sites: Sites) -> None:
    """Refuse what leads nowhere, carries a password, or can be altered by anybody on the way."""
    if ADDRESS.fullmatch(sites.upstream) is None or ".." in sites.upstream:
        raise UsageError(
            f"{sites.upstream[:80]!r} is no address of a repository",
            code="BAD_URL",
            remedy="Give https://HOST/PATH, without a user, or the absolute path of a clone.",
        )
    for url in (sites.site, sites.docs):
        if SITE_ADDRESS.fullmatch(url) is None:
            raise UsageError(
                f"{url[:80]!r} is no address of a site",
                code="BAD_URL",
                remedy="Give https://HOST/PATH, without a user; http is for this machine alone.",
            )


def _release(given: Given, site: Stranger) -> Release:
    """Return what was released; without a manifest the site says when."""
    if given.manifest is not None:
        return release_of(given.manifest, given.version)
    from relkit.steps.site import slug_of  # noqa: PLC0415

    slug = slug_of(given.version)
    row = only(site.json("api/v2/downloads/release/", slug=slug), slug)
    return _dated(given.version, None if row is None else row.get("release_date"))


def _dated(version: Version, said: object) -> Release:
    if not said:
        raise CheckError(
            f"the site shows no release {version} to a stranger, and no manifest was given",
            code="RELEASE_HIDDEN",
            remedy="Look whether it was published; or give its record or its manifest.",
        )
    try:
        return Release.parse(str(version), "", str(said)[:10])
    except UsageError as error:  # the site's word, not the caller's
        raise WorldError(
            f"the site says that {version} is of {ascii(said)[:40]}: {error}",
            code="SITE_UNREADABLE",
            remedy="Look at the release on the site; or give its record or its manifest.",
        ) from error


def _guarded(case: Case, names: tuple[str, ...], look_at: Callable[[Case], None]) -> None:
    """Look at one thing; whatever a hostile answer causes ends no look at the others."""
    looks = [case.look(name) for name in names]
    try:
        look_at(case)
    except WorldError as error:
        for look in looks:
            unread(look, "", error)
    except ReleaseError as error:
        looks[0].found("wrong", "", error.code, said(error))
    except (OSError, MemoryError) as error:  # of this machine: it says nothing about the release
        for look in looks:
            look.found("unknown", "", "THIS_MACHINE", f"{type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001 (as above: it is refused, and said)
        looks[0].found("wrong", "", "MALFORMED", f"{type(error).__name__}: {error}")


def _look_at_manifest(case: Case) -> bool:
    """Say on whose word the manifest is; tell whether it can be used at all."""
    look, given = case.look("manifest"), case.given
    made = given.manifest
    if made is None:
        text = "no manifest was compared: what follows is what the site says of itself"
        look.found("not given", "", "NO_MANIFEST", text)
        return True
    told = [f"{len(made.files)} files, tag object {made.tag_object[:12]}…"]
    if made.supersedes:
        told.append(f"amended, in the place of {made.supersedes[:12]}…")
    look.good = "; ".join(told)
    for line in given.record.lines if given.record else ():
        if line.name in OF_RECORD and line.outcome != "verified":
            how = {"REFUSED": "wrong", "missing": "not given", "cannot check": "unknown"}
            text = f"the record: {line.text}"
            look.found(how[line.outcome], line.name, line.code, text)  # type: ignore[arg-type]
    known = folders(case.release)
    for flaw in flaws(made, case.release):
        look.found("wrong", "", "MANIFEST_FILES", flaw)
    return all(one.name in known for one in made.files)


def _report(case: Case) -> Report:
    order = ["manifest", *(name for names, _ in LOOKS for name in names)]
    looks = [case.look(name) for name in order]
    for look in looks:
        if not look.good and not look.changes:
            look.found("unknown", "", "NOT_LOOKED_AT", "what it takes was not read: see the others")
    lines = tuple(look.line() for look in looks)
    told = [change for look in looks for change in look.told()]
    made, now = case.manifest, datetime.now(UTC)
    against = (
        f"manifest {made.digest}, of {made.time:%Y-%m-%d %H:%M} UTC" if made else "no manifest"
    )
    return Report(
        version=str(case.release.version),
        time=f"{now:%Y-%m-%dT%H:%M:%SZ}",
        against=against,
        status=status(lines),
        lines=lines,
        changes=tuple(sorted(told, key=lambda one: outcome_of(one) != "REFUSED")),
        trusted=tuple(map(plain, _trusted(case))),
        notes=tuple(map(plain, _notes(case, looks))),
        unchecked=UNCHECKED,
    )


def _notes(case: Case, looks: list[Look]) -> list[str]:
    """Return what whoever reads the verdict must not overlook."""
    record = case.given.record
    told = [*record.notes, *(f"waived: {one}" for one in record.waivers)] if record else []
    told = [one for one in told if not one.startswith("not opened")]
    read = (("what is public", case.site.url, SITE), ("the docs", case.docs.url, DOCS))
    for what, there, usual in (*read, ("the tag", case.upstream, UPSTREAM)):
        if there != usual:
            told.append(f"{what}: read at {there}, not at {usual}")
    told += [note for look in looks for note in look.notes]
    return list(dict.fromkeys(told))


def _trusted(case: Case) -> list[str]:
    """Return what was taken on the caller's word."""
    given, made = case.given, case.manifest
    told = []
    if made and given.vouched:
        told.append(f"the manifest with the SHA-256 {made.digest}: you gave its file")
    elif made and case.look("manifest").changes:
        told.append("of the record nothing: see what stands above of its manifest")
    elif made:
        told.append(f"the record, sealed by whom the policy names (manifest {made.digest})")
    if given.trusted_policy:
        told.append(f"the policy {given.policy_sha256}, by its digest")
    for scheme, name in (("sigstore", "Sigstore"), ("gpg", "GPG")):
        if who := given.who(scheme):  # type: ignore[arg-type]
            issuer = f", known to {who[1]}" if who[1] else ""
            told.append(f"{name}: {who[0]}{issuer}, {given.whence(scheme)}")  # type: ignore[arg-type]
    if isinstance(given.root, str):
        told.append(f"the trust root of the record, by its digest {given.root}")
    elif given.root is not None:
        told.append("the trust root that you gave")
    return told or ["nothing"]
