"""One table of guards: which step, what the outside says in the bad case, and the refusal's code.

A row is tried in every kind of release that has the step, with a world in which one reading method
gives something bad; in a healthy world none of them fires. Subjects are a release or transition of
each kind on each branch that can have one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from relkit.expected import FIRST_WITH_SBOM, SBOM, STORE_PRODUCTS, unwanted
from relkit.kinds import EVERY, Kind, where
from relkit.plan import PlanData
from relkit.ports import World
from relkit.rehearsal.stand import ENTRIES
from relkit.release import Release
from relkit.steps.sign import LATER
from relkit.values import (
    Artifact,
    BuildResult,
    Fetched,
    Issue,
    Issues,
    Protection,
    SiteRelease,
    StoredFile,
)

Bad = Callable[[Any, Mapping[str, Any]], Any]
"""What the method gives instead: of what it would give, and its arguments."""


@dataclass(frozen=True)
class Subject:
    """A release or transition to rehearse, on its day."""

    name: str
    kind: Kind
    date: str

    def __str__(self) -> str:
        return f"{self.name}-{self.kind}"


SUBJECTS = (
    Subject("3.15.0a4", Kind.ALPHA, "2026-01-13"),
    Subject("3.15.0b1", Kind.BETA_1, "2026-05-05"),
    Subject("3.15.0b5", Kind.BETA, "2026-07-14"),
    Subject("3.15.0rc1", Kind.RC_1, "2026-07-28"),
    Subject("3.14.5rc1", Kind.RC_1, "2026-05-12"),
    Subject("3.15.0rc3", Kind.RC, "2026-09-15"),
    Subject("3.15.0", Kind.FINAL, "2026-10-01"),
    Subject("3.14.3", Kind.BUGFIX, "2026-02-03"),
    Subject("3.13.12", Kind.BUGFIX, "2026-02-03"),
    Subject("3.12.13", Kind.SECURITY, "2026-03-03"),
    Subject("3.11.15", Kind.SECURITY, "2026-03-03"),
    Subject("3.10.20", Kind.SECURITY, "2026-03-03"),
    Subject("3.15", Kind.BEGIN_BUGFIX, "2026-10-02"),
    Subject("3.13", Kind.BEGIN_SECURITY_ONLY, "2026-11-03"),
    Subject("3.10", Kind.END_OF_LIFE, "2026-11-02"),
)


@dataclass(frozen=True)
class Guard:
    """A row: `step` refuses with `code` where `port.method` gives something bad.

    It fires in these `kinds`, for releases for which `when` holds; in others that have the step it
    must stay quiet. `about` gives what is bad for a release, in the place of `bad`.
    """

    step: str
    code: str
    call: str
    bad: Bad
    kinds: frozenset[Kind] = EVERY
    when: Callable[[Release], bool] = lambda _: True
    about: Callable[[Release], Bad] | None = None

    def must_fire(self, release: Release) -> bool:
        """Tell whether the guard fires in its bad case, in this release."""
        return release.kind in self.kinds and self.when(release)

    def __str__(self) -> str:
        return f"{self.step} {self.code} {self.call}"

    def twisted(self, world: World, release: Release) -> World:
        """Return a world in which the method gives what is bad."""
        port, method = self.call.split(".")
        return twist(world, port, method, self.about(release) if self.about else self.bad)


def twist(world: World, port: str, method: str, bad: Bad) -> World:
    """Return the world with one method of one port answering otherwise."""
    real = getattr(world, port)
    names = [one for one in dir(type(real)) if not one.startswith("_")]
    fields: dict[str, Any] = {
        name: _told(real, name, bad if name == method else None)
        for name in names
        if callable(getattr(real, name))
    }
    return dataclasses.replace(world, **{port: type("Twisted", (), fields)()})


def _told(real: Any, name: str, bad: Bad | None) -> Callable[..., Any]:  # noqa: ANN401 (a port)
    def told(_self: object, **arguments: Any) -> Any:  # noqa: ANN401 (of the port's method)
        found = getattr(real, name)(**arguments)
        return bad(found, arguments) if bad else found

    told.__name__ = name
    return told


def codes(plan: PlanData) -> set[str]:
    """Return the codes with which a plan stops."""
    return {one.code if one.verdict == "fail" else "CANNOT_CHECK" for one in plan.failing}


def warned(plan: PlanData) -> set[str]:
    """Return the names of the checks that only warn."""
    return {one.name for one in plan.checks if one.verdict == "warning"}


# --- what is bad ------------------------------------------------------------------------------


def nothing(_found: Any, _given: Mapping[str, Any]) -> None:  # noqa: ANN401 (any port)
    """Give nothing at all."""


def none_of_them(found: dict[str, Any], _given: Mapping[str, Any]) -> dict[str, None]:
    """Give nothing for each of several things."""
    return dict.fromkeys(found)


def strays(found: dict[str, Any], _given: Mapping[str, Any]) -> dict[str, StoredFile]:
    """Give a file of somebody else at each path."""
    return dict.fromkeys(found, StoredFile(artifact=STRAY, mode="0644"))


def instead(value: object) -> Bad:
    """Give a value, whatever was asked."""
    return lambda _found, _given: value


def changed(**fields: object) -> Bad:
    """Give what would be given, with other fields."""
    return lambda found, _given: found.model_copy(update=fields)


def first(**fields: object) -> Bad:
    """Give the rows that would be given, the first of them with other fields."""
    return lambda found, _given: (found[0].model_copy(update=fields), *found[1:])


def labelled(label: str) -> Bad:
    """Give an issue where issues with this label are asked for."""
    issue = Issue(number=1, title="It crashes", labels=(label,))

    def bad(found: Issues, given: Mapping[str, Any]) -> Issues:
        return Issues(items=(issue,), complete=True) if given["label"] == label else found

    return bad


def text(path: str, old: str, new: str) -> Bad:
    """Give a file's text with one thing put in place of another; elsewhere what is there."""

    def bad(found: str | None, given: Mapping[str, Any]) -> str | None:
        return found.replace(old, new) if found and given["path"] == path else found

    return bad


def without(path: str) -> Bad:
    """Give no file of this name; elsewhere what is there."""
    return lambda found, given: None if given["path"] == path else found


def more(path: str, line: str) -> Bad:
    """Give a file's text with one line more."""
    return lambda found, given: f"{found}{line}\n" if given["path"] == path else found


def said(words: str) -> Bad:
    """Give evidence in which a person says something else."""
    return lambda found, _: found and found.model_copy(update={"text": words})


def delivered(build: str, files: Callable[[tuple[Artifact, ...]], tuple[Artifact, ...]]) -> Bad:
    """Give what a build left with other files."""

    def bad(found: BuildResult | None, given: Mapping[str, Any]) -> BuildResult | None:
        if found is None or given["name"] != build:
            return found
        return found.model_copy(update={"files": files(found.files)})

    return bad


def stated(build: str, **facts: str) -> Bad:
    """Give what a build left with other facts; an empty one is missing."""

    def bad(found: BuildResult | None, given: Mapping[str, Any]) -> BuildResult | None:
        if found is None or given["name"] != build:
            return found
        kept = {name: value for name, value in found.facts.items() if facts.get(name) != ""}
        return found.model_copy(update={"facts": kept | {n: x for n, x in facts.items() if x}})

    return bad


def said_of(build: str, change: Callable[[BuildResult], str]) -> Bad:
    """Give what a build left with another statement of its provenance."""

    def bad(found: BuildResult | None, given: Mapping[str, Any]) -> BuildResult | None:
        if found is None or given["name"] != build:
            return found
        return found.model_copy(update={"provenance": change(found)})

    return bad


def of_other_files(found: BuildResult) -> str:
    """Return the statement as if a file had other bytes."""
    return found.provenance.replace(found.files[0].sha256, STRAY.sha256)


def of_other_commit(found: BuildResult) -> str:
    """Return the statement as if it were about another commit."""
    return found.provenance.replace(str(found.facts["commit"]), OTHER)


def of_another_file(found: str | None, _given: Mapping[str, Any]) -> str | None:
    """Give an SBOM that has other digests wherever there are some."""
    return found and re.sub(r"\b[0-9a-f]{64}\b", "1" * 64, found)


def without_sboms(files: tuple[Artifact, ...]) -> tuple[Artifact, ...]:
    """Leave the SBOMs out."""
    return tuple(file for file in files if not file.name.endswith(SBOM))


def has_sboms(release: Release) -> bool:
    """Tell whether a release has SBOMs."""
    return release.version.minor >= FIRST_WITH_SBOM


def state(build: str, status: str) -> Bad:
    """Give another state of a build."""
    return lambda found, given: (
        found.model_copy(update={"status": status}) if given["name"] == build else found
    )


def published(_found: object, given: Mapping[str, Any]) -> SiteRelease:
    """Give the row of a release that is out already."""
    return SiteRelease(
        name="Python 3.99.0",
        slug=given["slug"],
        version=3,
        is_published=True,
        is_latest=False,
        pre_release=False,
        show_on_download_page=False,
        release_date=datetime(2026, 1, 1, tzinfo=UTC),
    )


def is_newest(release: Release) -> bool:
    """Tell whether a release becomes what the site offers first."""
    return release.is_newest


def not_its_own(attribute: str) -> Callable[[Release], Bad]:
    """Give something else where the release should be pointed at, and the release where not."""
    return lambda release: instead(
        "3.0.0" if release.is_newest else str(getattr(release, attribute))
    )


def latest(release: Release) -> Bad:
    """Give as the latest of all series what it must not be; of a series another release."""
    of_all = not_its_own("slug")(release)
    return lambda found, given: (
        of_all(found, given) if given["series"] == "python3" else "python-300"
    )


def ref(part: str, value: str | None) -> Bad:
    """Give a ref whose name has this part another value."""
    return lambda found, given: value if part in given["ref"] else found


def refs(part: str, value: str | None) -> Bad:
    """Give the refs whose name has this part another value."""
    return lambda found, _: {name: value if part in name else one for name, one in found.items()}


NONCE = hashlib.sha256(ENTRIES[0].text.encode()).hexdigest()[:6]
WAITING = f"Misc/NEWS.d/next/Library/2026-01-26-12-00-00.gh-issue-900001.{NONCE}.rst"
"""An entry which the release has told, as if it still waited for the next one."""
PATCHLEVEL, README = "Include/patchlevel.h", "README.rst"
STRICT = frozenset({Kind.RC_1, Kind.RC, Kind.FINAL, Kind.BUGFIX})
"""Of these PEP 101 asks more."""
OTHER = "1" * 40
STRAY = Artifact(name="stray.exe", size=1, sha256="1" * 64)
ALIEN = Artifact(name="python-3.9.1.exe", size=1, sha256="1" * 64)
COLLECTED = ("source", "windows", "macos", "docs")
STATED_OTHERWISE: Mapping[str, Callable[[BuildResult], str]] = {
    "PROVENANCE_MISSING": lambda _: "",
    "PROVENANCE_SUBJECT": of_other_files,
    "PROVENANCE_SOURCE": of_other_commit,
    "STATEMENT_INVALID": lambda found: found.provenance[:-2],
}
FIRST_MAGIC = 14
SHOWN_EARLY = EVERY - where(embargoed=True)
WITH_DOCS = where(docs=True)
BRANCHING = frozenset({Kind.BETA_1})
ENDING = frozenset({Kind.END_OF_LIFE})

GUARDS = (
    Guard("preflight", "TOOL_MISSING", "machine.tools", first(version=None)),
    Guard("preflight", "ENV_MODIFIED", "machine.environment_differences", instead(("x 1, not 2",))),
    Guard("preflight", "SIGNER_UNUSABLE", "signers.usable", first(version=None)),
    Guard("preflight", "UNSAFE_SERVER", "machine.reach", changed(faults=("open to all",))),
    Guard("preflight", "CANNOT_CHECK", "machine.reach", changed(faults=None)),
    Guard("preflight", "CLOCK", "machine.seconds_ahead", instead(-172_800.0)),
    Guard("preflight", "CANNOT_CHECK", "machine.seconds_ahead", nothing),
    Guard("preflight", "SIGNER_UNUSABLE", "attestations.sign", changed(text="another")),
    Guard("preflight", "SCANNER_BLIND", "advisories.scan", changed(control_found=False)),
    Guard("preflight", "CANNOT_CHECK", "advisories.scan", changed(database_date=None)),
    Guard("preflight", "VULNERABLE", "advisories.scan", changed(findings=("CVE-1 in x",))),
    Guard("preflight", "DISK_SPACE", "machine.free_bytes", instead(1)),
    Guard("check-cycle", "CYCLE_DIFFERS", "announcements.status", instead("never heard of")),
    Guard("check-cycle", "CANNOT_CHECK", "announcements.status", nothing),
    Guard("check-blockers", "BLOCKED", "tracker.blockers", labelled("release-blocker")),
    Guard("check-blockers", "BLOCKED", "tracker.blockers", labelled("deferred-blocker"), STRICT),
    Guard("check-blockers", "CANNOT_CHECK", "tracker.blockers", changed(complete=False)),
    Guard("freeze-branch", "NO_BRANCH", "repo.remote_ref", nothing),
    Guard(
        "freeze-branch",
        "ALREADY_FROZEN",
        "tracker.protection",
        instead(Protection(locked=True, rules=())),
    ),
    Guard("check-buildbots", "CANNOT_CHECK", "buildbots.stable", instead(())),
    Guard("check-buildbots", "BUILDER_NOT_GREEN", "buildbots.stable", first(result="failure")),
    Guard("check-buildbots", "BUILDER_NOT_GREEN", "buildbots.stable", first(result="exception")),
    Guard("check-buildbots", "CANNOT_CHECK", "buildbots.stable", first(result=None, commit=None)),
    Guard("make-clone", "FREEZE_BROKEN", "repo.remote_ref", ref("heads", OTHER)),
    Guard(
        "check-tree",
        "VERSION_ORDER",
        "repo.read_text",
        text(PATCHLEVEL, ' "3.1', ' "3.2'),
    ),
    Guard("check-tree", "CANNOT_CHECK", "repo.read_text", text(PATCHLEVEL, ' "3.', " 3.")),
    Guard(
        "check-tree",
        "MAGIC_NUMBER",
        "repo.read_text",
        text("Include/internal/pycore_magic_number.h", "PYC_MAGIC_NUMBER 3", "PYC_MAGIC_NUMBER 9"),
        STRICT,
        when=lambda release: release.version.minor >= FIRST_MAGIC,
    ),
    Guard("check-tree", "REGEN_MISMATCH", "tracker.commit_checks", first(conclusion="failure")),
    Guard("check-tree", "CANNOT_CHECK", "tracker.commit_checks", instead(())),
    Guard("commit-release", "FREEZE_BROKEN", "repo.remote_ref", ref("heads", OTHER)),
    Guard(
        "commit-release",
        "UNDECLARED_WRITE",
        "repo.changes",
        lambda found, _: (*found, found[0].model_copy(update={"path": "Lib/os.py"})),
    ),
    Guard(
        "commit-release", "BIDI_CONTROL", "repo.diff", lambda found, _: found + "+\u202ehidden\n"
    ),
    Guard("tag-release", "TAG_EXISTS", "repo.remote_ref", ref("tags", OTHER)),
    Guard("push-to-fork", "TAG_MOVED", "repo.remote_refs", refs("tags", OTHER)),
    Guard("push-to-fork", "BRANCH_EXISTS", "repo.remote_refs", refs("heads", OTHER)),
    Guard("look-at-branch", "NO_BRANCH", "repo.remote_ref", ref("heads", None)),
    Guard("look-at-branch", "NOT_RELEASED", "repo.remote_ref", ref("tags", None)),
    Guard("look-at-issues", "CANNOT_CHECK", "tracker.labelled", changed(complete=False)),
    Guard("approve-transition", "FREEZE_BROKEN", "repo.remote_ref", ref("heads", OTHER), ENDING),
    Guard("tag-last-head", "FREEZE_BROKEN", "repo.remote_ref", ref("heads", OTHER)),
    Guard("delete-branch", "FREEZE_BROKEN", "repo.remote_ref", ref("heads", OTHER)),
    Guard(
        "confirm-elsewhere",
        "EVIDENCE_UNFIT",
        "people.testimony",
        said("done"),
    ),
    Guard("confirm-post", "POST_UNFIT", "announcements.post", nothing),
    Guard("confirm-post", "POST_UNFIT", "announcements.post", instead("3.15, 3.13 and 3.10")),
    Guard("close-transition", "CYCLE_DIFFERS", "announcements.status", instead("bugfixes")),
    Guard(
        "close-transition",
        "UPSTREAM_DIVERGED",
        "repo.remote_ref",
        ref("heads", None),
        EVERY - ENDING,
    ),
    Guard("close-transition", "UPSTREAM_DIVERGED", "repo.remote_ref", ref("heads", OTHER), ENDING),
    Guard(
        "read-back",
        "NOT_PUBLIC",
        "public.fetch",
        instead(Fetched(status=404, size=0, sha256="0" * 64)),
    ),
    Guard("merge-back", "FREEZE_BROKEN", "repo.remote_ref", ref("heads", OTHER)),
    Guard("merge-back", "POST_VERSION", "repo.read_text", text(PATCHLEVEL, "+", "")),
    Guard("merge-back", "POST_README", "repo.read_text", text(README, "This is", "That was")),
    Guard("merge-back", "NEWS_DOUBLED", "repo.paths", lambda found, _: (*found, WAITING)),
    Guard(
        "start-branch", "BRANCH_LINKS", "repo.read_text", more(README, "https://x.org/tree/main/y")
    ),
    Guard(
        "begin-next-series",
        "NEXT_VERSION",
        "repo.read_text",
        text(PATCHLEVEL, '"3.16.0a0"', '"3.16.0a9"'),
    ),
    Guard(
        "begin-next-series", "WHATSNEW_MISSING", "repo.read_text", without("Doc/whatsnew/3.16.rst")
    ),
    Guard("push-upstream", "FREEZE_BROKEN", "repo.remote_ref", ref("heads", OTHER)),
    Guard("push-upstream", "TAG_EXISTS", "repo.remote_refs", refs("tags", OTHER)),
    Guard("push-upstream", "BRANCH_EXISTS", "repo.remote_refs", refs("3.15", OTHER), BRANCHING),
    Guard("set-up-branch", "CANNOT_CHECK", "tracker.protection", changed(rules=())),
    Guard("confirm-infrastructure", "EVIDENCE_MISSING", "people.testimony", said("done")),
    Guard("confirm-infrastructure", "NO_BUILDERS", "buildbots.stable", instead(())),
    Guard("confirm-announcements", "POST_PLACE", "people.testimony", said("https://x.org/1")),
    Guard("confirm-announcements", "CANNOT_CHECK", "announcements.post", nothing),
    Guard("confirm-announcements", "POST_DIFFERS", "announcements.post", instead("something else")),
    Guard("restore-blockers", "CANNOT_CHECK", "tracker.blockers", changed(complete=False)),
    Guard("verify-as-stranger", "PUBLIC_DIFFERS", "public.verify", instead(value=False)),
    Guard("verify-as-stranger", "API_DIVERGED", "website.files", instead(())),
    Guard("verify-as-stranger", "UPSTREAM_DIVERGED", "repo.remote_tag", nothing),
    Guard("verify-as-stranger", "UPSTREAM_DIVERGED", "repo.contains", instead(value=False)),
    Guard("close-run", "PROTECTION_CHANGED", "tracker.protection", changed(locked=True)),
    Guard("close-run", "CLONE_DIRTY", "repo.clone_state", changed(dirty=("x",))),
    Guard("close-run", "UPSTREAM_DIVERGED", "repo.remote_tag", nothing),
    Guard("approve-publication", "BLOCKED", "tracker.blockers", labelled("release-blocker")),
    Guard("draft-website", "ALREADY_PUBLISHED", "website.release", published),
    Guard("fill-website", "ALREADY_PUBLISHED", "website.release", published),
    Guard("approve-publication", "FREEZE_BROKEN", "repo.remote_ref", ref("heads", OTHER)),
    Guard("approve-publication", "DIGEST_CHANGED", "downloads.staged_all", none_of_them),
    Guard("approve-publication", "API_DIVERGED", "website.files", instead(()), SHOWN_EARLY),
    Guard("publish-website", "API_DIVERGED", "website.files", instead(())),
    Guard(
        "publish-website",
        "LATEST_UNFIT",
        "website.release",
        lambda found, _: found and found.model_copy(update={"name": "Python 3.99.0"}),
        when=is_newest,
    ),
    Guard("move-current-links", "CURRENT_NEWER", "docs.pointed", instead("3.99.0"), when=is_newest),
    Guard(
        "confirm-store",
        "EVIDENCE_UNFIT",
        "people.testimony",
        said("done"),
        when=lambda release: release.version.minor in STORE_PRODUCTS,
    ),
    Guard("read-back", "CDN_STALE", "public.fetch", changed(sha256="1" * 64)),
    Guard("read-back", "PAGE_INCOMPLETE", "public.read", instead("")),
    Guard("read-back", "LISTING_STALE", "public.read", instead("")),
    Guard("read-back", "API_DIVERGED", "website.release", nothing),
    Guard("read-back", "LATEST_WRONG", "website.latest", nothing, about=latest),
    Guard("read-back", "CURRENT_WRONG", "docs.pointed", nothing, about=not_its_own("version")),
    Guard("read-back", "DOCS_MISSING", "docs.unpacked", nothing, WITH_DOCS),
    Guard(
        "read-back",
        "UNWANTED_FILE",
        "downloads.placed_all",
        strays,
        when=lambda release: bool(unwanted(release)),
    ),
    *(
        Guard(f"collect-{name}", "BUILD_FAILED", "builders.state", state(name, "failed"))
        for name in COLLECTED
    ),
    *(
        Guard(
            f"collect-{name}",
            "FILE_MISSING",
            "builders.result",
            delivered(name, lambda files: files[1:]),
        )
        for name in COLLECTED
    ),
    *(
        Guard(
            f"collect-{name}",
            "UNLISTED_FILE",
            "builders.result",
            delivered(name, lambda files: (*files, STRAY)),
        )
        for name in COLLECTED
    ),
    *(
        Guard(
            f"collect-{name}",
            "OTHER_VERSION",
            "builders.result",
            delivered(name, lambda files: (*files, ALIEN)),
        )
        for name in COLLECTED
    ),
    *(
        Guard(f"collect-{name}", "SUBJECT_MISMATCH", "builders.result", stated(name, commit=OTHER))
        for name in COLLECTED
        if name != "source"
    ),
    *(
        Guard(f"collect-{name}", code, "builders.result", said_of(name, change))
        for name in COLLECTED
        for code, change in STATED_OTHERWISE.items()
    ),
    *(
        Guard("collect-source", code, "builders.result", said_of("rebuild", change))
        for code, change in STATED_OTHERWISE.items()
    ),
    Guard(
        "collect-source",
        "REBUILD_DIFFERS",
        "builders.result",
        delivered("rebuild", lambda files: (*files[:1], STRAY)),
    ),
    *(
        Guard(f"collect-{name}", code, call, bad, when=has_sboms)
        for name in ("source", "windows")
        for code, call, bad in (
            ("SBOM_SUBJECT", "builders.read", of_another_file),
            ("SBOM_INVALID", "builders.read", instead("{}")),
            ("FILE_MISSING", "builders.result", delivered(name, without_sboms)),
        )
    ),
    Guard("collect-docs", "DOCS_UNRELEASED", "builders.result", stated("docs", unreleased="1")),
    Guard("collect-docs", "CANNOT_CHECK", "builders.result", stated("docs", unreleased="")),
    Guard("compare-source", "TREE_MISMATCH", "builders.result", stated("compare", unexplained="1")),
    Guard("compare-source", "TREE_MISMATCH", "builders.result", stated("compare", compared="0")),
    Guard(
        "compare-source",
        "ARCHIVES_DIFFER",
        "builders.result",
        stated("compare", payload_sha256="1" * 64),
    ),
    Guard(
        "compare-source",
        "SBOM_FILES",
        "builders.result",
        stated("compare", sboms="1 equal"),
        when=has_sboms,
    ),
    Guard("test-source", "VERSION_STAMP", "builders.result", stated("test", version="3.9.0")),
    Guard("test-source", "TESTS_FAILED", "builders.result", stated("test", tests_failed="1")),
    Guard("test-source", "TESTS_FAILED", "builders.result", stated("test", tests_run="0")),
    Guard("test-source", "TESTS_FAILED", "builders.result", stated("test", tests_expected="9999")),
    Guard("test-source", "TESTS_FAILED", "builders.result", stated("test", tests_expected="")),
    Guard("try-source", "TRY_FAILED", "builders.result", stated("test", extension="")),
    Guard("confirm-notarisation", "NOT_NOTARISED", "people.testimony", said(OTHER)),
    Guard("freeze-subjects", "DIGEST_CHANGED", "artifacts.artifact", nothing),
    Guard("close-manifest", "SIGNATURE_MISSING", "signers.companion", nothing),
    Guard("find-missing", "MANIFEST_MISSING", "artifacts.read", nothing),
    Guard("find-missing", "MANIFEST_ALTERED", "artifacts.read", lambda found, _: f"{found}\n"),
    Guard("find-missing", "NOT_PUBLISHED", "website.release", changed(is_published=False)),
    Guard("find-missing", "API_DIVERGED", "website.files", instead(())),
    Guard("find-missing", "UPSTREAM_DIVERGED", "repo.remote_tag", changed(commit=OTHER)),
    Guard("find-missing", "UPSTREAM_DIVERGED", "repo.remote_tag", changed(tag_object=OTHER)),
    Guard("find-missing", "RELEASE_UNFINISHED", "tracker.protection", changed(locked=True)),
    Guard("collect-late", "BUILD_FAILED", "builders.state", changed(status="failed")),
    Guard("collect-late", "FILE_MISSING", "builders.result", changed(files=())),
    Guard("collect-late", "UNLISTED_FILE", "builders.result", changed(files=(STRAY,))),
    Guard("collect-late", "OTHER_VERSION", "builders.result", changed(files=(ALIEN,))),
    Guard("collect-late", "PROVENANCE_MISSING", "builders.result", changed(provenance="")),
    Guard("collect-late", "SUBJECT_MISMATCH", "builders.result", changed(facts={"commit": OTHER})),
    Guard("confirm-late-notarisation", "NOT_NOTARISED", "people.testimony", said(OTHER)),
    Guard("freeze-amendment", "DIGEST_CHANGED", "artifacts.artifact", nothing),
    Guard("close-amendment", "SIGNATURE_MISSING", "signers.companion", nothing),
    Guard("approve-amendment", "DIGEST_CHANGED", "downloads.staged_all", none_of_them),
    Guard("approve-amendment", "NOT_PUBLISHED", "website.release", nothing),
    Guard("approve-amendment", "API_DIVERGED", "website.files", instead(())),
    Guard("approve-amendment", "SIGNATURE_MISSING", "signers.companion", nothing),
    Guard("show-late", "API_DIVERGED", "website.files", instead(())),
    Guard("read-back-late", "CDN_STALE", "public.fetch", changed(sha256="1" * 64)),
    Guard("read-back-late", "PUBLIC_DIFFERS", "public.verify", instead(value=False)),
    Guard("read-back-late", "PAGE_INCOMPLETE", "public.read", instead("")),
    Guard("read-back-late", "LISTING_STALE", "public.read", instead("")),
    Guard("read-back-late", "PAGE_STALE", "website.page", lambda found, _: f"{found}<p>{LATER}"),
    Guard("read-back-late", "NOT_PUBLISHED", "website.release", nothing),
    Guard("read-back-late", "API_DIVERGED", "website.files", instead(())),
    Guard("read-back-late", "UPSTREAM_DIVERGED", "repo.remote_tag", nothing),
    Guard(
        "read-back-late",
        "UNWANTED_FILE",
        "downloads.placed_all",
        strays,
    ),
    Guard("read-back-late", "SIGNATURE_MISSING", "signers.companion", nothing),
)
