"""Amendment: what an expert delivers after the release, under a second, signed manifest."""

from __future__ import annotations

from dataclasses import replace

from pydantic import ValidationError

from relkit.building.sums import SUMS
from relkit.kinds import AMENDMENTS
from relkit.manifest import Manifest, expected, expected_of, schemes
from relkit.plan import Check, Plan, Result
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.collect import platform_files
from relkit.steps.delivery import HERE, MACHINES, Artifacts, delivering, started
from relkit.steps.experts import notarised
from relkit.steps.prepare import check_cycle, experts, message
from relkit.steps.publish import tag_upstream
from relkit.steps.requests import please_build
from relkit.steps.sign import LATER, MANIFEST, signed, signing, summed, to_sign, unchanged, written
from relkit.steps.site import exact_rows, site_release
from relkit.texts import notice
from relkit.values import Artifact, Tag
from relkit.words import in_words

PHASE = "Amendment"
AMENDED_SUBJECTS, AMENDED = "subjects-2.json", "manifest-2.json"
AMENDED_SUMS = f"{SUMS}-2"


def about(release: Release, first: Manifest) -> Release:
    """Return the release that is amended, with the time it was made."""
    return replace(release.amended, time=first.time)


def missing_in(release: Release, first: Manifest) -> tuple[str, ...]:
    """Return the platforms that a manifest says will follow."""
    return tuple(name for name in release.platforms if first.absent.get(name) == LATER)


@step(phase=PHASE, where=HERE, after=[check_cycle], returns=Manifest, kinds=AMENDMENTS)
def find_missing(release: Release, world: World, _results: Results) -> Plan:
    """Find what is missing.

    The closed manifest of the release says which platforms will follow. It is held against what
    everybody can see: the release and the rows of its files on the site, its tag upstream, its
    branch opened again, which its own run does last. Where nothing was promised, nothing can be
    added: another file makes another release.
    """
    text = world.artifacts.read(name=MANIFEST)
    first = _manifest(text)
    yield Check(
        f"the manifest of {release.version} is here, as it was closed",
        first is not None and first.to_text() == text and first.version == str(release.version),
        found=first.version if first else "none that can be read",
        code="MANIFEST_ALTERED" if text else "MANIFEST_MISSING",
        remedy="Amend a release where its collected files are, with the manifest as it was closed.",
    )
    if first is None:
        return
    of = about(release, first)
    yield published(of, world)
    yield exact_rows(of, world, first)
    yield from tag_upstream(of, world, tag_of(of, world, first))
    yield _opened_again(of, world)
    missing = missing_in(of, first)
    yield Check(
        "the manifest says of a platform that it will follow",
        bool(missing),
        found=", ".join(missing),
        code="NOTHING_MISSING",
        remedy="There is nothing to deliver; a changed file needs a new release.",
    )
    yield Result(first)


def _manifest(text: str | None) -> Manifest | None:
    try:
        return Manifest.model_validate_json(text) if text else None
    except ValidationError:
        return None


def published(of: Release, world: World) -> Check:
    """Return the check that the site shows a release as it was published."""
    row = world.website.release(slug=of.slug)
    return Check(
        f"{of.slug} is published, as it was made",
        row is not None and row == site_release(of, published=True, latest=row.is_latest),
        found=in_words(row and row.model_dump(mode="json")),
        code="NOT_PUBLISHED",
        remedy="Until a release is published, its own run takes up what comes.",
    )


def _opened_again(of: Release, world: World) -> Check:
    found = world.tracker.protection(branch=of.branch)
    return Check(
        f"{of.branch} is open again, so that the run of {of.version} is over",
        not found.locked,
        found=in_words(found.model_dump(mode="json")),
        code="RELEASE_UNFINISHED",
        remedy="Finish that run; or waive this, if it is the next release that froze the branch.",
        waivable=True,
    )


def tag_of(of: Release, world: World, first: Manifest) -> Tag:
    """Return the tag as a manifest has it, signed as the policy asks."""
    return Tag(
        name=of.tag,
        tag_object=first.tag_object,
        commit=first.commit,
        signer=world.policy.gpg_fingerprint,
    )


@step(phase=PHASE, where="mail", after=[find_missing], kinds=AMENDMENTS)
def tell_late_experts(release: Release, world: World, results: Results) -> Plan:
    """Ask the experts.

    Those whose files are missing learn once more what to build, and where it goes: the commit id
    and the tag stand in the manifest and are those of the release.
    """
    first = results[find_missing]
    of = about(release, first)
    roles = {f"{name}-expert" for name in missing_in(of, first)}
    people = tuple(one for one in experts(of, world) if one.role in roles)
    subject = f"Python {of.version} waits for your files"
    body = please_build(of, world, people, commit=first.commit, tag_object=first.tag_object)
    text = notice(release, people, subject, body)
    yield from message(world, "late", subject, text, *(one.role for one in people))


@step(phase=PHASE, where=MACHINES, after=[tell_late_experts], kinds=AMENDMENTS)
def start_late_builds(release: Release, world: World, results: Results) -> Plan:
    """Start the late builds.

    One of each missing platform, for the commit id in the manifest. They are builds of this run,
    and are not taken for those that did not come.
    """
    first = results[find_missing]
    of = about(release, first)
    for name in missing_in(of, first):
        yield started(world, delivering(of, world, first.commit, name))


@step(
    phase=PHASE,
    where=MACHINES,
    after=[start_late_builds],
    returns=Artifacts,
    kinds=AMENDMENTS,
)
def collect_late(release: Release, world: World, results: Results) -> Plan:
    """Collect the late files.

    Exactly the files that are expected of each missing platform, built from the commit of the
    release and taken by digest. They come to those which were collected then; none of these is
    replaced.
    """
    first = results[find_missing]
    of = about(release, first)
    yield from platform_files(of, world, first.commit, *missing_in(of, first), waivable=False)


def late_of(release: Release, results: Results, platform: str) -> tuple[Artifact, ...]:
    """Return the late files of a platform; none if it was not missing."""
    names = {file.name for file in expected_of(release, platform)}
    return tuple(one for one in results[collect_late].files if one.name in names)


@step(
    phase=PHASE,
    where="macOS machine",
    after=[collect_late],
    actor="macos-expert",
    kinds=AMENDMENTS,
)
def confirm_late_notarisation(release: Release, world: World, results: Results) -> Plan:
    """Confirm that the late installer is notarised.

    As in a release: the macOS expert looks at the collected file and names its SHA-256. If macOS
    was not missing, nothing is asked.
    """
    yield from notarised(world, late_of(release, results, "macos"))


@step(
    phase=PHASE,
    where="Windows machine",
    after=[collect_late],
    gate="windows",
    actor="windows-expert",
    kinds=AMENDMENTS,
)
def approve_late_windows(release: Release, _world: World, results: Results) -> Plan:
    """Green light: late Windows files.

    The Windows expert has installed and tried exactly these files. If Windows was not missing,
    there is nothing to decide.
    """
    yield from late_of(release, results, "windows")


@step(
    phase=PHASE,
    where="macOS machine",
    after=[confirm_late_notarisation],
    gate="macos",
    actor="macos-expert",
    kinds=AMENDMENTS,
)
def approve_late_macos(release: Release, _world: World, results: Results) -> Plan:
    """Green light: late macOS installer.

    The macOS expert has installed and tried exactly this file. If macOS was not missing, there is
    nothing to decide.
    """
    yield from late_of(release, results, "macos")


@step(
    phase=PHASE,
    where=HERE,
    after=[approve_late_windows, approve_late_macos],
    returns=Manifest,
    kinds=AMENDMENTS,
)
def freeze_amendment(release: Release, world: World, results: Results) -> Plan:
    """Freeze the amended set.

    What was published and what came late make up the whole expected set, no file more or less. All
    of it is hashed again: the late files must be those that were approved, the others those that
    were published. The manifest of the release is named by its digest, and no longer holds.
    """
    first, late = results[find_missing], results[collect_late].files
    of = about(release, first)
    found = {file.name: file for file in (*first.subjects, *late)}
    wanted = [file.name for file in expected(of)]
    whole = sorted(found) == sorted(wanted)
    yield Check(
        "what was published and what is late are the whole expected set",
        whole and len(found) == len(first.subjects) + len(late),
        found=", ".join(sorted({*found} ^ {*wanted})),
        code="SET_NOT_CLOSED",
        remedy="Have the missing files delivered; what is public is never replaced.",
    )
    if not whole:
        return
    yield from unchanged(world, found.values())
    gone = {name: why for name, why in first.absent.items() if name not in missing_in(of, first)}
    subjects = tuple(found[name] for name in wanted)
    changed = {"policy_digest": world.policy.digest, "supersedes": first.digest}
    amended = first.model_copy(update={"subjects": subjects, "absent": gone} | changed)
    yield from late
    yield from written(world, AMENDED_SUBJECTS, amended)


def late_to_sign(release: Release, results: Results) -> tuple[tuple[str, Artifact], ...]:
    """Return each signature the late files must have: scheme and file."""
    late = {file.name for file in results[collect_late].files}
    every = to_sign(release.amended, results[freeze_amendment])
    return tuple((scheme, subject) for scheme, subject in every if subject.name in late)


@step(phase=PHASE, where=HERE, after=[freeze_amendment], kinds=AMENDMENTS)
def sign_late(release: Release, world: World, results: Results) -> Plan:
    """Sign the late files.

    By every scheme of the release, as the other files were; these keep the signatures they have.
    """
    yield from signing(world, late_to_sign(release, results))


@step(phase=PHASE, where=HERE, after=[sign_late], returns=Manifest, kinds=AMENDMENTS)
def close_amendment(release: Release, world: World, results: Results) -> Plan:
    """Close and sign the amendment.

    A second manifest: all files and signatures of the first with those that came late. It names
    the first by its digest, lies beside it, and is itself signed by every scheme of the release,
    so that nobody but the release manager can add a file to what was published. `SHA256SUMS-2` has
    the digests of all these files, for `sha256sum -c`.
    """
    frozen, first = results[freeze_amendment], results[find_missing]
    companions = yield from signed(world, late_to_sign(release, results))
    every = (*first.companions, *companions)
    amended = frozen.model_copy(update={"companions": every})
    yield from written(world, AMENDED, amended)
    yield summed(world, AMENDED_SUMS, amended)
    yield from signing(world, [(scheme, file_of(amended)) for scheme in schemes(release)])


def file_of(amended: Manifest) -> Artifact:
    """Return the amendment as the file that is signed."""
    text = amended.to_text()
    return Artifact(name=AMENDED, size=len(text.encode()), sha256=amended.digest)
