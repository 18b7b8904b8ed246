"""The values which pass between steps, ports and records.

All are frozen, refuse unknown fields, and go through JSON unchanged. Digests are SHA-256 in lower
case hexadecimal, commit and object ids are git's, sizes are in bytes, times are UTC.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ObjectId = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,150}$")]
Remote = Literal["upstream", "fork"]
Json = dict[str, object]


class Value(BaseModel):
    """A frozen value with a JSON form."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    def to_data(self) -> Json:
        """Return the value as plain JSON data."""
        return self.model_dump(mode="json")


def canonical(data: object) -> bytes:
    """Encode JSON data in the one form that is hashed: sorted keys, no spaces, UTF-8."""
    text = json.dumps(
        data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest_of(data: object) -> str:
    """Return the SHA-256 of the canonical form of JSON data."""
    return hashlib.sha256(canonical(data)).hexdigest()


# --- the repository ---------------------------------------------------------------------------


class CloneState(Value):
    """The release clone: where it stands, and what in it is not committed (`git status` paths)."""

    branch: str
    head: ObjectId
    dirty: tuple[str, ...] = ()


class Change(Value):
    """One changed path between two trees; `status` is git's letter (A, D, M, T)."""

    status: str
    path: str


class Commit(Value):
    """A commit by id, with its tree and parents."""

    commit: ObjectId
    tree: ObjectId
    parents: tuple[ObjectId, ...]


class Tag(Value):
    """An annotated tag as read and verified: `signer` is the full primary fingerprint.

    `signer` is None where there is no good signature by a key of the policy's keyring; `name` is
    the name inside the tag object.
    """

    name: str
    tag_object: ObjectId
    commit: ObjectId
    signer: str | None


class RefUpdate(Value):
    """One ref to move by a push: from `old` (None: must not exist) to `new` (None: delete)."""

    ref: str
    old: ObjectId | None
    new: ObjectId | None


class Unpacked(Value):
    """An unpacked archive of the docs: its digest, and how many files there are."""

    sha256: Digest
    files: int


# --- tracker and buildbots --------------------------------------------------------------------


class Issue(Value):
    """An open issue that blocks a release of the branch."""

    number: int
    title: str
    labels: tuple[str, ...]


class Issues(Value):
    """The answer to a query for issues; `complete` is False if pages or counts are missing."""

    items: tuple[Issue, ...]
    complete: bool


ADMINISTRATORS = "administrators included"
"""The rule of a branch by which the others hold for administrators too: the one that is lifted."""
RELEASE_MANAGERS_ONLY = "only release managers merge"
AS_THEY_ARE = ("as they are",)
"""In place of the rules that a branch is to get: those which it has stay."""


class Protection(Value):
    """The protection of a branch: `locked` refuses every push, `rules` are kept as they were.

    The rules are in the words of the tracker's adapter, in the order it reads them.
    """

    locked: bool
    rules: tuple[str, ...] = ()


class CommitCheck(Value):
    """A check run of continuous integration on one commit; conclusion as GitHub names it."""

    name: str
    conclusion: str


class Buildbot(Value):
    """A stable builder's last finished build for a commit; `result` None: no build of it."""

    name: str
    online: bool
    commit: ObjectId | None
    result: (
        Literal["success", "warnings", "failure", "skipped", "exception", "retry", "cancelled"]
        | None
    )


# --- builds and artifacts ---------------------------------------------------------------------


class Artifact(Value):
    """A file by name, size and SHA-256."""

    name: FileName
    size: int
    sha256: Digest


class Build(Value):
    """A build to start: what, from which commit, for which run; `inputs` are artifacts it reads.

    `nonce` is the run's and makes the build findable by another process. `options` are plain
    words, such as the tests to run.
    """

    name: str
    nonce: str
    version: str
    commit: ObjectId
    inputs: tuple[Artifact, ...] = ()
    options: dict[str, str] = {}


class BuildState(Value):
    """How a build stands. `detail` is one line for people; `since` when it was started.

    A `lost` build ended without saying how: it was killed, or its machine was.
    """

    status: Literal["absent", "running", "done", "failed", "lost"]
    detail: str = ""
    since: datetime | None = None


class BuildResult(Value):
    """What a finished build left: its files, and facts it states about itself.

    `provenance` is the text of its statement (`relkit.building.provenance`); a build that delivers
    no files, or does not say how it made them, has none.
    """

    files: tuple[Artifact, ...]
    facts: dict[str, str | int | float | tuple[str, ...]] = {}
    provenance: str = ""


class Companion(Value):
    """A signature file, verified: over which artifact, by whom.

    `scheme` is ``sigstore`` (identity and issuer) or ``gpg`` (identity is the full primary
    fingerprint, issuer is empty).
    """

    scheme: Literal["sigstore", "gpg"]
    file: Artifact
    subject: Artifact
    identity: str
    issuer: str = ""


# --- servers ----------------------------------------------------------------------------------


class StoredFile(Value):
    """A file on a server: digest computed there, `mode` as octal text such as ``0644``."""

    artifact: Artifact
    mode: str


class SiteRelease(Value):
    """A release row of python.org; fields and defaults as its API has them."""

    name: str
    slug: str
    version: int = 3
    is_published: bool = False
    is_latest: bool = False
    pre_release: bool
    show_on_download_page: bool
    release_date: datetime


class SiteFile(Value):
    """A file row of python.org, without its row number; `os` is the slug of the system."""

    name: str
    slug: str
    os: str
    release: str  # slug
    url: str
    description: str = ""
    is_source: bool = False
    download_button: bool = False
    sha256_sum: str
    filesize: int
    gpg_signature_file: str = ""
    sigstore_bundle_file: str = ""
    sbom_spdx2_file: str = ""


class Fetched(Value):
    """What a public URL gave to somebody without credentials."""

    status: int
    size: int
    sha256: Digest
    content_type: str = ""


# --- people and the machine -------------------------------------------------------------------


class Identity(Value):
    """Who a signature must be by: exact, never a pattern.

    `key` is, for ``ssh``, the public key as OpenSSH writes it, without the comment
    (``ssh-ed25519 AAAA…``); for ``gpg`` the full primary fingerprint (40 digits, upper case); for
    ``sigstore`` the identity in the certificate, with its `issuer`.
    """

    scheme: Literal["ssh", "gpg", "sigstore"]
    key: str
    issuer: str = ""


class Signed(Value):
    """A text and a detached signature over its UTF-8 bytes.

    `signature` is an armored SSH signature, an armored OpenPGP one, or the JSON of a Sigstore
    bundle.
    """

    scheme: Literal["ssh", "gpg", "sigstore"]
    text: str
    signature: str


class Request(Value):
    """What is asked of people: to decide on a plan, given in canonical JSON with its digest.

    With `waives` it is asked whether that failed check (or wait) of the plan is accepted.
    `policy` is the digest of the run's policy, `head` that of its ledger's newest line; after
    `expires` (UTC) no answer is taken. `manager` is who took the run over as its release manager;
    empty if nobody did.
    """

    release: str
    revision: int
    step: str
    nonce: str
    plan: Json
    digest: Digest
    roles: tuple[str, ...]
    policy: Digest
    head: Digest
    expires: datetime
    waives: str = ""
    manager: str = ""
    rehearsal: bool = True
    """Whether it is asked in a rehearsal: nothing of one goes into a public log."""
    world: str = ""
    """The name of the world it is asked in; empty in requests of an older relkit."""
    typed: str = ""
    """What is typed back to approve: in production, its name where the way back ends (I51)."""

    @property
    def key(self) -> str:
        """What the request, and the answers to it, are found by."""
        return digest_of([self.digest, self.waives]) if self.waives else self.digest


class Person(Value):
    """Somebody in a role; `time_zone` is an IANA name.

    Whatever is said in this person's name is signed by one of the `identities`.
    """

    name: str
    role: str
    time_zone: str
    identities: tuple[Identity, ...] = Field(default=(), max_length=20)


class Testimony(Value):
    """What a person says about a manual step, as it can be checked: a URL, a digest, a text."""

    __test__: ClassVar[bool] = False  # pytest takes a class of this name for tests

    name: str
    who: str
    role: str
    text: str


class Tool(Value):
    """A program or library and its version."""

    name: str
    version: str | None  # None: not found


class Signing(Value):
    """As whom a signing scheme would sign; `version` None: it cannot, `why` says why."""

    name: str
    version: str | None
    why: str = ""


class Reach(Value):
    """How the notebook's kernel is reached, and what lets others in; None: it cannot be seen."""

    how: str
    faults: tuple[str, ...] | None


class Scan(Value):
    """An advisory scan. `control_found` says the scanner saw the planted entry it must see."""

    control_found: bool
    database_date: datetime | None
    packages: int
    findings: tuple[str, ...]
