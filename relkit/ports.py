"""What a release needs from outside: one protocol for each system, all of them in `World`.

Reading methods return values (None: not there); writing methods return nothing and are read back
by the engine. Arguments are keywords made of JSON and of the values in `relkit.values`, never
absolute paths and never secrets: they stand in the record. Adapters raise `WorldError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from relkit.policy import Policy
from relkit.probe import Probe
from relkit.values import (
    Artifact,
    Build,
    Buildbot,
    BuildResult,
    BuildState,
    Change,
    CloneState,
    Commit,
    CommitCheck,
    Companion,
    Fetched,
    Identity,
    Issues,
    ObjectId,
    Person,
    Protection,
    Reach,
    RefUpdate,
    Remote,
    Request,
    Scan,
    Signed,
    Signing,
    SiteFile,
    SiteRelease,
    StoredFile,
    Tag,
    Testimony,
    Tool,
    Unpacked,
)


class Repository(Protocol):
    """The release clone and its two remotes: `upstream` and the release manager's `fork`."""

    def remote_ref(self, *, remote: Remote, ref: str) -> ObjectId | None:
        """Return the object a full ref (``refs/heads/main``) names on the remote, read afresh."""

    def remote_refs(self, *, remote: Remote, refs: tuple[str, ...]) -> dict[str, ObjectId | None]:
        """Return what each of several full refs names on the remote, read in one go."""

    def push(self, *, remote: Remote, updates: tuple[RefUpdate, ...]) -> None:
        """Move exactly these refs in one atomic push, each only from its expected old value."""

    def make_clone(self, *, branch: str, commit: ObjectId) -> None:
        """Make the release clone from upstream, with `branch` checked out at `commit`."""

    def clone_state(self) -> CloneState | None:
        """Describe the release clone; None if there is none."""

    def read_text(self, *, commit: ObjectId, path: str) -> str | None:
        """Return a file of a commit as text (UTF-8), line ends unchanged; None if not there."""

    def paths(self, *, commit: ObjectId, under: str) -> tuple[str, ...]:
        """Return the paths of all files below a folder of a commit (not a trailing slash)."""

    def edit(
        self, *, editor: str, base: ObjectId, writes: tuple[str, ...], version: str, time: datetime
    ) -> None:
        """Run one editor on the tree of `base`; keep the result as a commit of its own, unnamed.

        `writes` are the patterns (fnmatch on the path) of what the editor may touch; anything
        else is refused (``UNDECLARED_WRITE``) and nothing is kept.
        """

    def edited(self, *, editor: str, base: ObjectId) -> Commit | None:
        """Return the commit which holds what `editor` made of `base`."""

    def changes(self, *, base: ObjectId, commit: ObjectId) -> tuple[Change, ...]:
        """Return the paths in which two commits differ, in order of path."""

    def diff(self, *, base: ObjectId, commit: ObjectId) -> str:
        """Return the whole difference as a unified diff, binary files in git's form."""

    def pick(self, *, base: ObjectId, commits: tuple[ObjectId, ...], time: datetime) -> None:
        """Pick commits of the upstream branch onto `base`, in order; keep the last one, unnamed.

        Each keeps its author and says where it was picked from. A conflict is refused
        (``PICK_CONFLICT``), also a commit that the branch does not have (``PICK_UNKNOWN``), is a
        merge (``PICK_MERGE``) or changes nothing (``PICK_EMPTY``); then nothing is kept.
        """

    def picked(self, *, base: ObjectId, commits: tuple[ObjectId, ...]) -> Commit | None:
        """Return the last of the commits picked onto `base`; without any, `base` itself."""

    def merge(self, *, base: ObjectId, other: ObjectId, version: str, time: datetime) -> None:
        """Merge a release commit that was made beside the branch into `base`, kept unnamed.

        What the release changed on top of its picks is brought to `base`, which keeps what it
        made of the picked changes since. NEWS that the release tells is taken out of
        ``NEWS.d/next``. Where both sides changed a file, version numbers are the release's and
        topics are the branch's; any other conflict is refused (``MERGE_CONFLICT``).
        """

    def merged(self, *, base: ObjectId, other: ObjectId) -> Commit | None:
        """Return that merge: its parents are `base` and `other`."""

    def commit(
        self,
        *,
        branch: str,
        parent: ObjectId,
        tree_of: ObjectId,
        message: str,
        time: datetime,
        also: ObjectId | None = None,
    ) -> None:
        """Commit the tree of `tree_of` on `parent` and put the clone's `branch` there.

        `also` is a second parent. A branch that is not checked out is made or moved without the
        work tree; the one that is checked out may come from any commit this run has made.
        """

    def committed(
        self,
        *,
        branch: str,
        parent: ObjectId,
        tree_of: ObjectId,
        message: str,
        also: ObjectId | None = None,
    ) -> Commit | None:
        """Return that commit, if the clone's `branch` stands there and its work tree is clean."""

    def take_back(self, *, branch: str, to: ObjectId | None) -> None:
        """Put the clone's `branch` back to `to`, if all after it was made by this run.

        None: the branch was made by this run and is deleted. Its commits stay in the clone.
        """

    def delete_tag(self, *, name: str, commit: ObjectId) -> None:
        """Delete a tag of the clone, if it is on this commit; none is fine."""

    def discard_clone(self, *, branch: str) -> None:
        """Put the release clone aside under another name, if it is on `branch`; none is fine."""

    def create_tag(self, *, name: str, commit: ObjectId, message: str, time: datetime) -> None:
        """Create the signed, annotated tag in the clone, with the release manager's key."""

    def tag(self, *, name: str) -> Tag | None:
        """Read and verify a tag of the clone; None if there is no such tag."""

    def remote_tag(self, *, remote: Remote, name: str) -> Tag | None:
        """Fetch and verify a tag as a remote has it, without touching the clone's own tag."""

    def contains(self, *, remote: Remote, branch: str, commit: ObjectId) -> bool:
        """Tell whether a remote's branch contains a commit."""


class Tracker(Protocol):
    """The issue tracker, branch protection and continuous integration of upstream."""

    def blockers(self, *, series: str, label: str) -> Issues:
        """Return the open issues with `label` (``release-blocker``, ``deferred-blocker``)."""

    def protection(self, *, branch: str) -> Protection:
        """Return the protection of a branch of upstream."""

    def set_protection(self, *, branch: str, protection: Protection) -> None:
        """Replace the protection of a branch of upstream; rules `AS_THEY_ARE` stay."""

    def labels(self, *, number: int) -> tuple[str, ...]:
        """Return the labels of an issue, sorted."""

    def relabel(self, *, number: int, remove: str, add: str) -> None:
        """Replace one label of an issue by another; `add` may be empty."""

    def labelled(self, *, label: str) -> Issues:
        """Return all open issues with a label."""

    def has_label(self, *, name: str) -> bool:
        """Tell whether the tracker has a label, on whatever issue."""

    def create_label(self, *, name: str) -> None:
        """Make a label; one that is there stays."""

    def delete_label(self, *, name: str) -> None:
        """Delete a label, which takes it off all issues; none is fine."""

    def commit_checks(self, *, commit: ObjectId) -> tuple[CommitCheck, ...]:
        """Return the check runs of a commit."""


class Buildbots(Protocol):
    """The stable buildbots."""

    def stable(self, *, branch: str, commit: ObjectId) -> tuple[Buildbot, ...]:
        """Return each stable builder of a branch with its last finished build of `commit`."""


class Builders(Protocol):
    """Where builds run: processes of this machine, or machines of experts.

    A build outlives the process that started it and is found again by its nonce and name.
    """

    def start(self, *, build: Build) -> None:
        """Start a build; start it anew if it was lost or has failed."""

    def started(self, *, name: str, nonce: str) -> bool:
        """Tell whether a build of this name was ever started, whatever became of it."""

    def state(self, *, name: str, nonce: str) -> BuildState:
        """Tell how a build stands."""

    def result(self, *, name: str, nonce: str) -> BuildResult | None:
        """Return what a finished build left; None before that. Digests are computed anew."""

    def read(self, *, name: str, nonce: str, file: Artifact) -> str | None:
        """Return a text that a finished build delivers, at most 16 MB; None before that.

        It is hashed here, whatever the build says of it: other bytes are refused
        (``DIGEST_CHANGED``), and so is what is no text (``NOT_TEXT``).
        """

    def cancel(self, *, name: str, nonce: str) -> None:
        """End a build, if it runs, with its tools, and put it aside: it was never started.

        What it delivered is not lost. One that never was is left alone.
        """

    def log(self, *, name: str, nonce: str) -> str:
        """Return the end of a build's log, at most 4,000 characters."""


class Artifacts(Protocol):
    """The collected files of the release on this machine, read-only once they are there."""

    def collect(self, *, name: str, sha256: str, build: str, nonce: str) -> None:
        """Take one file from a finished build; refuse other bytes (``DIGEST_CHANGED``)."""

    def artifact(self, *, name: str) -> Artifact | None:
        """Return a collected file, hashed now; None if it is not there."""

    def discard(self, *, name: str) -> None:
        """Put a file or text aside, so that another may take its name; none is fine."""

    def write(self, *, name: str, text: str) -> None:
        """Write a text made by the release itself; refuse to replace other bytes."""

    def read(self, *, name: str) -> str | None:
        """Return a text made by the release itself."""


class Signers(Protocol):
    """Signing as the release manager, and verifying against the policy."""

    def usable(self) -> tuple[Signing, ...]:
        """Say for each signing scheme what it would sign as, or why it cannot."""

    def sign(self, *, scheme: str, name: str, sha256: str) -> None:
        """Sign a collected file, if it still has this digest, and keep the signature beside it."""

    def sign_all(self, *, scheme: str, files: tuple[Artifact, ...]) -> None:
        """Sign collected files that still have these digests, where a good signature is missing.

        Killed in the middle and called again it goes on: a signed file stays as it is.
        """

    def companions(self, *, scheme: str, files: tuple[Artifact, ...]) -> tuple[Companion, ...]:
        """Verify the signatures beside files; nothing unless each file has a good one."""

    def forget_all(self, *, scheme: str, files: tuple[Artifact, ...]) -> None:
        """Put the signatures of files aside as `forget` does each."""

    def companion(self, *, scheme: str, name: str, sha256: str) -> Companion | None:
        """Verify the signature beside a collected file; None if missing or not by the policy."""

    def forget(self, *, scheme: str, name: str) -> None:
        """Put a signature aside, so that other bytes of that name can be signed; none is fine."""

    def trust(self) -> dict[str, str]:
        """Return what verifies the signatures offline, by file name, the same each time.

        ``trusted_root.json`` is Sigstore's trusted root, ``gpg-keys.asc`` the public keys.
        """


class Downloads(Protocol):
    """The download server: a staging area that is not public, and the public tree."""

    def stage_all(self, *, files: dict[str, str]) -> None:
        """Upload collected files to staging: digests by path, such as ``ftp/python/…/NAME``.

        What is there already is not sent again, and what had arrived of a file is kept.
        """

    def staged_all(self, *, paths: tuple[str, ...]) -> dict[str, StoredFile | None]:
        """Return several files in staging by path, hashed on the server."""

    def unstage_all(self, *, files: dict[str, str]) -> None:
        """Remove files from staging, each if it has its digest."""

    def place_all(self, *, files: dict[str, str]) -> None:
        """Move files, digests by path, from staging to the public tree, each in one step.

        Whatever can be refused is refused before the first of them moves.
        """

    def placed_all(self, *, paths: tuple[str, ...]) -> dict[str, StoredFile | None]:
        """Return several files of the public tree by path, hashed on the server."""


class Docs(Protocol):
    """The documentation server, and the links to the docs people read."""

    def unpack(self, *, version: str, name: str, sha256: str) -> None:
        """Unpack a collected archive of HTML docs as ``release/<version>/`` of the docs server.

        It appears whole or not at all, and never over another one (``DOCS_EXIST``).
        """

    def unpacked(self, *, version: str) -> Unpacked | None:
        """Return what lies there, and the digest of the archive it came from."""

    def point(self, *, link: str, target: str, was: str | None) -> None:
        """Let a link among the docs of the download server lead to a version (``current``).

        Another release may have moved it since: unless it leads where it `was`, it is left alone
        (``LINK_MOVED``).
        """

    def pointed(self, *, link: str) -> str | None:
        """Return the version a link leads to."""


class Website(Protocol):
    """python.org's downloads database and pages."""

    def release(self, *, slug: str) -> SiteRelease | None:
        """Return a release row, drafts included."""

    def files(self, *, slug: str) -> tuple[SiteFile, ...]:
        """Return all file rows of a release, in order of slug."""

    def add_release(self, *, release: SiteRelease) -> None:
        """Create a release row; it must be a draft."""

    def remove_release(self, *, slug: str) -> None:
        """Delete a draft with its files; a published release is refused."""

    def add_files(self, *, slug: str, files: tuple[SiteFile, ...]) -> None:
        """Create the file rows of a draft; what is there already of them is left as it is."""

    def change_files(
        self, *, slug: str, before: tuple[SiteFile, ...], files: tuple[SiteFile, ...]
    ) -> None:
        """Make the file rows of a release `files`, by writing only what differs.

        A row of `before` and `files` is never away in between; removed are those of `before` that
        are not in `files`, last. Rows that are neither as before nor as wanted stop it.
        """

    def publish(self, *, slug: str) -> None:
        """Publish a draft."""

    def change_release(self, *, slug: str, release: SiteRelease) -> None:
        """Replace the fields of a release row; its slug and whether it is published stay.

        `is_latest` takes the mark off all other releases; a preview never has it.
        """

    def page(self, *, slug: str) -> str | None:
        """Return the text of the release's page as its readers get it (HTML); None: no page."""

    def latest(self, *, series: str) -> str | None:
        """Return the slug that ``/downloads/latest/<series>/`` leads to (``python3``)."""


class Public(Protocol):
    """The public side, through the cache, without credentials."""

    def fetch(self, *, path: str) -> Fetched:
        """Get a path below the site's address (``/ftp/python/…``), whole."""

    def read(self, *, path: str) -> str:
        """Get a path and return its text (UTF-8), at most 4 MB."""

    def purge(self, *, paths: tuple[str, ...]) -> None:
        """Ask the cache to forget these paths."""

    def purged(self, *, paths: tuple[str, ...]) -> bool:
        """Tell whether the cache holds none of these paths in an older form than the origin."""

    def verify(self, *, path: str, subject: Artifact, companions: tuple[Companion, ...]) -> bool:
        """Download a file and its signatures as a stranger, and verify all of them."""


class Announcements(Protocol):
    """Texts a person will post, and release data that is kept as commits elsewhere."""

    def draft(self, *, channel: str, text: str) -> None:
        """Put a draft where its poster finds it."""

    def drafted(self, *, channel: str) -> str | None:
        """Return the draft for a channel."""

    def record_release(self, *, series: str, version: str, day: str) -> None:
        """Commit a release date to the release data of the PEPs repository."""

    def recorded_release(self, *, series: str, version: str) -> str | None:
        """Return the date (ISO) recorded for a version there, once it counts as released."""

    def set_status(self, *, series: str, status: str) -> None:
        """Commit the status of a series to that release data."""

    def status(self, *, series: str) -> str | None:
        """Return the status of a series there; None: the data does not have the series.

        ``feature prerelease bugfix security end-of-life``, as release-cycle.json spells them.
        """

    def post(self, *, url: str) -> str | None:
        """Return the text of a public post (forum, blog, mail archive); None: no such post."""


class People(Protocol):
    """The people of a release and the ways to reach them."""

    def roster(self) -> tuple[Person, ...]:
        """Return everybody with a role."""

    def tell(self, *, nonce: str, subject: str, text: str, roles: tuple[str, ...]) -> None:
        """Send a message; `nonce` makes it findable."""

    def told(self, *, nonce: str) -> bool:
        """Tell whether the message with this nonce was sent."""

    def ask(self, *, request: Request) -> None:
        """Put a request where those who decide find it."""

    def testimony(self, *, name: str) -> Testimony | None:
        """Return what was given last as evidence for a manual step of this run."""

    def testify(self, *, testimony: Testimony) -> None:
        """Keep what a person gives as evidence for a manual step."""

    def answers(self, *, key: str) -> tuple[Signed, ...]:
        """Return the answers to a request, by its key, in the order they came, unchecked."""


class Attestations(Protocol):
    """Signing what people say, and verifying it."""

    def sign(self, *, who: str, text: str) -> Signed:
        """Sign as a person who sits here, with that person's own key."""

    def verify(self, *, signed: Signed, identity: Identity) -> None:
        """Raise `VerificationError` unless exactly this identity signed exactly this text."""


class Advisories(Protocol):
    """Known vulnerabilities of the packages in use."""

    def scan(self) -> Scan:
        """Compare the installed packages with the advisory database."""


class Machine(Protocol):
    """The machine and environment relkit runs in."""

    def tools(self) -> tuple[Tool, ...]:
        """Return the tools whose versions shape the release."""

    def environment_differences(self) -> tuple[str, ...]:
        """Return where the installed packages differ from the lock file; empty: nowhere."""

    def reach(self) -> Reach:
        """Say how the kernel this runs in is reached, and its server, if there are such."""

    def seconds_ahead(self) -> float | None:
        """Return by how much the clock is ahead of the world's; None: it gives no time."""

    def free_bytes(self) -> int:
        """Return the free disk space where the world's state is kept."""


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Return the present time, UTC, whole seconds."""


@dataclass(frozen=True)
class World:
    """Every outside system of a run, and what it may be expected to do."""

    name: str
    rehearsal: bool
    digest: str
    """Digest of the world's description."""
    policy: Policy
    nonce: str
    """Marks what this run does where it cannot be seen otherwise: messages, builds, requests."""
    repo: Repository
    tracker: Tracker
    buildbots: Buildbots
    builders: Builders
    artifacts: Artifacts
    signers: Signers
    downloads: Downloads
    docs: Docs
    website: Website
    public: Public
    announcements: Announcements
    people: People
    attestations: Attestations
    advisories: Advisories
    machine: Machine
    clock: Clock
    site_url: str
    """What the public addresses start with in texts and rows: ``https://www.python.org/``."""
    patience_seconds: float
    """How long `apply` waits for a build or a person before it says so and ends."""
    tests: tuple[str, ...]
    """The test selection run from the unpacked tarball."""
    systems: tuple[str, ...] = ()
    """In production where everything is, for the record: ``git.upstream: ADDRESS``."""
    secrets: Callable[[], tuple[str, ...]] = tuple
    """What the world signs in with, asked for only to look for it where it must not be."""
    probes: Callable[[], Mapping[str, Probe]] = dict
    """Gives what can be asked the day before, beyond what the ports read, by the doctor's rows."""
