"""Files, signatures and SBOMs: each fetched whole and held against what was stated of it."""

from __future__ import annotations

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from relkit.adapters.stranger import DENIED, GONE, NOT_FOUND, OK, Got
from relkit.building.sbom_check import check_sbom
from relkit.errors import ReleaseError, WorldError
from relkit.expected import SBOM, folders
from relkit.verify_record.verdict import Judged
from relkit.verify_release.case import (
    LARGEST_FILE,
    LARGEST_SIDECAR,
    Case,
    Scheme,
    Stated,
    Subject,
    said,
    unread,
)
from relkit.verify_release.report import Look

KEPT = (".spdx.json", ".sigstore", ".asc")
"""What is looked into, and so kept; all else is only hashed, unless GPG has to see it."""
GROWN = 1 << 20
"""Up to how many bytes a signature or an SBOM is read that should have fewer."""
BROKE_OFF = "SITE_UNREACHABLE"


def look_at_files(case: Case) -> None:
    """Fetch everything; find what differs, whose signatures are bad, which SBOM is another's."""
    found = _Fetching(case)
    with ThreadPoolExecutor(case.jobs, "fetch") as pool:
        try:
            list(pool.map(found.subject, case.subjects))
        except BaseException:  # such as Ctrl-C: what is under way is not waited for
            case.visit.end()
            raise
    _look_at_sboms(case, found)
    files, signed = case.look("files"), case.look("signatures")
    if case.manifest is None and (more := len(folders(case.release)) - len(case.paths)) > 0:
        files.notes.append(f"{more} files have no row: of these the names alone were compared")
    held = "as in the manifest" if case.manifest else "as in the rows"
    total = sum(got.size for got in found.gots.values())
    if not case.subjects:
        return  # and nothing is said to be good
    files.good = (
        f"{len(found.gots)} files, {total / 1e6:,.1f} MB, fetched whole: size and SHA-256 {held}"
    )
    who = ", ".join(sorted(found.signers)) or "nobody"
    if found.good or not any(one.signatures for one in case.subjects):
        signed.good = f"{found.good} signatures over what was fetched, by {who}"


class _Fetching:
    """Fetches subjects in several threads; `gots` is what came, by path."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.files, self.signed = case.look("files"), case.look("signatures")
        self.gots: dict[str, Got] = {}
        self.signers: set[str] = set()
        self.good = 0
        self._one = threading.Lock()

    def subject(self, one: Subject) -> None:
        """Fetch a file and its signatures, and verify these over what came."""
        with tempfile.TemporaryDirectory(prefix="relkit-") as folder:
            gpg = any(scheme == "gpg" for scheme, _, _ in one.signatures)
            into = Path(folder) / "file" if gpg else None
            got = self._fetch(one.file, into)
            for scheme, file, stated in one.signatures:
                signature = self._fetch(file)
                if signature is None:
                    self.signed.found("unknown", file.path, "SIGNATURE_UNREAD", "it did not come")
                elif got is None:
                    self.signed.found("unknown", file.path, "FILE_UNREAD", "its file did not come")
                else:
                    self._verify(scheme, file, stated, (got, into, signature))

    def _fetch(self, file: Stated, into: Path | None = None) -> Got | None:
        """Return what came, if it is something whose bytes can be looked at."""
        got = self._came(file, into)
        if got is None or not differs(self.files, file, got):
            return None
        # Nothing looks at a signature again, and nobody has said how large it may be.
        self.gots[file.path] = got if file.name.endswith(SBOM) else replace(got, data=b"")
        return got

    def _came(self, file: Stated, into: Path | None) -> Got | None:
        """Fetch; once more where the line broke, rather than a gigabyte of others once more."""
        for last in (False, True):
            try:
                return self.case.site.fetch(
                    file.path, limit=_limit(file), keep=file.name.endswith(KEPT), into=into
                )
            except WorldError as error:
                if last or error.code != BROKE_OFF:
                    unread(self.files, file.path, error)
                    break
        return None

    def _verify(
        self,
        scheme: Scheme,
        file: Stated,
        stated: tuple[str, str] | None,
        came: tuple[Got, Path | None, Got],
    ) -> None:
        who = self.case.given.who(scheme)
        if who is None:
            code = "POLICY_NOT_GIVEN" if stated else "IDENTITY_NOT_GIVEN"
            how = "--policy, or --identity and --issuer" if scheme == "sigstore" else "--key"
            why = f"nobody has said who must have signed: {how}"
            self.signed.found("unknown", file.path, code, why)
        elif stated is not None and stated != who:
            text = f"the manifest says it is by {stated[0]}; it must be by {who[0]}"
            self.signed.found("wrong", file.path, "SIGNATURE_IDENTITY", text)
        else:
            self._verify_by(scheme, file, who, came)

    def _verify_by(
        self, scheme: Scheme, file: Stated, who: tuple[str, str], came: tuple[Got, Path | None, Got]
    ) -> None:
        got, into, signature = came
        trust = self.case.trust
        try:
            if scheme == "sigstore":
                trust.sigstore(got.sha256, signature.data, *who)
            else:
                with self._one:  # one gpg at a time
                    trust.gpg(into.read_bytes() if into else b"", signature.data, who[0])
        except Judged as judged:
            how = "unknown" if judged.outcome == "cannot check" else "wrong"
            self.signed.found(how, file.path, judged.code, str(judged))  # type: ignore[arg-type]
        except WorldError as error:
            unread(self.signed, file.path, error)
        except ReleaseError as error:
            self.signed.found("wrong", file.path, f"SIGNATURE_{error.code}", said(error))
        else:
            with self._one:
                self.good += 1
                self.signers.add(who[0])


def _limit(file: Stated) -> int:
    """Return how much of a file is read; of a signature that grew enough to say whose it is.

    Sizes may be anybody's word: of rows that are all there is, of a record that does not hold.
    """
    if file.name.endswith(KEPT):
        return LARGEST_SIDECAR if file.size is None else min(max(file.size, GROWN), LARGEST_SIDECAR)
    return LARGEST_FILE if file.size is None else min(file.size, LARGEST_FILE)


def differs(look: Look, file: Stated, got: Got) -> bool:
    """Take note of what is not as stated; tell whether there are bytes to go on with."""
    if got.status in {NOT_FOUND, GONE}:
        look.found("removed", file.path, "FILE_REMOVED", f"the site answers {got.status}")
    elif got.location:
        text = f"the site answers {got.status}, leading to {got.location}; not followed"
        look.found("changed", file.path, "FILE_REDIRECTED", text)
    elif got.status != OK:
        code = "FILE_DENIED" if got.status in DENIED else "FILE_STATUS"
        look.found("changed", file.path, code, f"the site answers {got.status}")
    elif got.cut:
        text = f"more than {_limit(file):,} bytes come"
        look.found("changed", file.path, "FILE_LONGER", text)
    elif file.size is not None and got.size != file.size:
        text = f"{got.size:,} bytes, {got.kind or 'of no type'}; it had {file.size:,}"
        look.found("changed", file.path, "FILE_SIZE", text)
        return True
    elif file.sha256 not in {None, got.sha256}:
        text = f"SHA-256 {got.sha256}, {got.kind or 'of no type'}; it had {file.sha256}"
        look.found("changed", file.path, "FILE_CHANGED", text)
        return True
    else:
        return True
    return False


def _look_at_sboms(case: Case, found: _Fetching) -> None:
    look = case.look("SBOMs")
    paths = sorted(one.file.path for one in case.subjects if one.file.path.endswith(SBOM))
    for path in paths:
        got, archive = found.gots.get(path), found.gots.get(path.removesuffix(SBOM))
        if got is None or archive is None:
            look.found("unknown", path, "FILE_UNREAD", "it, or the file it is about, did not come")
            continue
        name = path.removesuffix(SBOM).rpartition("/")[2]
        try:
            check_sbom(
                got.data.decode("utf-8", "replace"),
                name=name,
                sha256=archive.sha256,
                contents=None,
            )
        except ReleaseError as error:
            look.found("wrong", path, error.code, said(error))
        except Exception as error:  # noqa: BLE001 (whatever a hostile SBOM causes: it is refused)
            look.found("wrong", path, "SBOM_INVALID", type(error).__name__)
    look.good = f"{len(paths)} SBOMs are valid SPDX 2.3 and name the digest of their file"
    if not paths:
        look.good = "none is expected" if case.subjects else ""
