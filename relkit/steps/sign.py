"""Sign: close the set, sign each file of it, verify what was written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable
from functools import partial
from typing import Any

from relkit.building.sums import SUMS, checksums
from relkit.manifest import Manifest, absent, expected, signatures
from relkit.plan import Action, Check, Evidence, Expect, Item, Plan, Result
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, Step, step
from relkit.steps.build import compare_source, try_source
from relkit.steps.collect import (
    collect_docs,
    collect_macos,
    collect_mobile,
    collect_source,
    collect_windows,
)
from relkit.steps.delivery import HERE, Artifacts
from relkit.steps.experts import approve_docs, approve_macos, approve_windows
from relkit.steps.source import commit_release, tag_release
from relkit.values import Artifact, Companion

PHASE = "Sign"
SUBJECTS, MANIFEST = "subjects.json", "manifest.json"
COLLECTIONS: tuple[Step[Any], ...] = (
    *(collect_source, collect_windows, collect_macos, collect_mobile),
    collect_docs,
)
LATER = "not delivered at publication; will follow"


@step(
    phase=PHASE,
    where=HERE,
    after=[
        *(compare_source, try_source, collect_mobile),
        *(approve_windows, approve_macos, approve_docs),
    ],
    returns=Manifest,
)
def freeze_subjects(release: Release, world: World, results: Results) -> Plan:
    """Freeze the set.

    From here on the set of files is closed: exactly the expected ones, by name, size and SHA-256. A
    file that is not in it is refused, not signed. What a reader may look for and will not find is
    named with the reason, as a warning. A platform that was waived is missing as a whole, and is
    waived here once more: the manifest then says that it will follow.
    """
    found = {file.name: file for one in COLLECTIONS for file in _files(release, results, one)}
    missing = missing_platforms(release, found)
    for name in release.platforms:
        yield Check(
            f"{name} is not missing",
            name not in missing,
            found="no file of it was delivered" if name in missing else "",
            code="PLATFORM_MISSING",
            remedy="Wait for it, or waive this: the release is then published without it.",
            waivable=True,
        )
    wanted = [file.name for file in expected(release) if file.build not in missing]
    closed = sorted(found) == sorted(wanted)
    yield Check(
        "the set is exactly the expected one",
        closed,
        found=", ".join(sorted({*found} ^ {*wanted})),
        code="SET_NOT_CLOSED",
        remedy="Have the missing files delivered; take out what is not expected.",
    )
    lacking = "".join(f"{name}: {reason}\n" for name, reason in absent(release).items())
    yield Evidence("What a reader may look for and will not find", lacking)
    if not closed:
        return
    yield from unchanged(world, found.values())
    gone = absent(release) | dict.fromkeys(missing, LATER)
    subjects = tuple(found[name] for name in wanted)
    manifest = _manifest(release, world, results, subjects, gone)
    yield from manifest.subjects
    yield from written(world, SUBJECTS, manifest)


def _files(release: Release, results: Results, one: Step[Any]) -> tuple[Artifact, ...]:
    """Return what a step has collected; nothing where this kind of release has no such step."""
    made: Artifacts = results[one] if release.kind in one.kinds else Artifacts()
    return made.files


def missing_platforms(release: Release, found: Iterable[str]) -> tuple[str, ...]:
    """Return the platforms of which not one file is among the names of the collected ones."""
    there = {*found}
    names: dict[str, set[str]] = defaultdict(set)
    for file in expected(release):
        names[file.build].add(file.name)
    return tuple(name for name in release.platforms if not names[name] & there)


def unchanged(world: World, files: Iterable[Artifact]) -> Plan:
    """Yield the checks that collected files still have the bytes that were collected."""
    for file in files:
        kept = world.artifacts.artifact(name=file.name)
        yield Check(
            f"{file.name} is still what was collected",
            kept == file,
            found=str(kept and kept.sha256),
            code="DIGEST_CHANGED",
            remedy="Somebody changed the collected file: find out who, and collect it anew.",
        )


def _manifest(
    release: Release,
    world: World,
    results: Results,
    subjects: tuple[Artifact, ...],
    gone: dict[str, str],
) -> Manifest:
    made = results[commit_release]
    return Manifest(
        version=str(release.version),
        commit=made.commit,
        tree=made.tree,
        tag_object=results[tag_release].tag_object,
        time=release.time,
        policy_digest=world.policy.digest,
        folder=release.folder,
        subjects=subjects,
        absent=gone,
    )


def written(world: World, name: str, manifest: Manifest) -> Plan:
    """Yield what writes a manifest beside the collected files; it is the result of the step."""
    yield _writing(world, name, manifest.to_text())
    yield Result(manifest)


def summed(world: World, name: str, manifest: Manifest) -> Action:
    """Return the action that writes the digests of a manifest's files as ``sha256sum -c`` reads."""
    return _writing(world, name, checksums(manifest.files))


def _writing(world: World, name: str, text: str) -> Action:
    return Action(
        do=partial(world.artifacts.write, name=name, text=text),
        done=Expect(partial(world.artifacts.read, name=name), equals=text),
        undo=partial(world.artifacts.discard, name=name),
    )


def to_sign(release: Release, frozen: Manifest) -> tuple[tuple[str, Artifact], ...]:
    """Return each signature the frozen set must have: scheme and file."""
    subjects = {one.name: one for one in frozen.subjects}
    wanted = [(scheme, name) for name, scheme in signatures(release) if name in subjects]
    return tuple((scheme, subjects[name]) for scheme, name in wanted)


@step(phase=PHASE, where=HERE, after=[freeze_subjects])
def sign_artifacts(release: Release, world: World, results: Results) -> Plan:
    """Sign the artifacts.

    Each file of the frozen set that is signed at all (the docs archives are not, the SBOMs are) is
    signed with Sigstore, under one short-lived certificate, and before 3.14 with GPG too ([PEP
    761](https://peps.python.org/pep-0761/)). Each signature is verified as it was written, against
    the exact identity of the policy. A signature that is good already is kept. An entry in the
    transparency log stays for ever, also after a respin.
    """
    yield from signing(world, to_sign(release, results[freeze_subjects]))


def signing(world: World, wanted: Iterable[tuple[str, Artifact]]) -> Plan:
    """Yield one action a scheme, that signs all files it is wanted for, several at a time."""
    files: dict[str, list[Artifact]] = defaultdict(list)
    for scheme, subject in wanted:
        files[scheme].append(subject)
    for scheme, subjects in files.items():
        these = tuple(subjects)
        yield Action(
            do=partial(world.signers.sign_all, scheme=scheme, files=these),
            done=Expect(partial(world.signers.companions, scheme=scheme, files=these)),
            undo=partial(world.signers.forget_all, scheme=scheme, files=these),
        )


@step(phase=PHASE, where=HERE, after=[sign_artifacts], returns=Manifest)
def close_manifest(release: Release, world: World, results: Results) -> Plan:
    """Close the manifest.

    The signatures get their digests too. What is published from here on is what this file lists,
    and it is what the gate before publication is about. Beside it lies `SHA256SUMS` with the same
    digests: `sha256sum -c SHA256SUMS` compares all files, without relkit.
    """
    frozen = results[freeze_subjects]
    companions = yield from signed(world, to_sign(release, frozen))
    manifest = frozen.model_copy(update={"companions": companions})
    yield from written(world, MANIFEST, manifest)
    yield summed(world, SUMS, manifest)


def signed(
    world: World, wanted: Iterable[tuple[str, Artifact]]
) -> Generator[Item, None, tuple[Companion, ...]]:
    """Yield the checks that files are signed, each scheme and file; return the signatures."""
    companions = []
    for scheme, subject in wanted:
        made = world.signers.companion(scheme=scheme, name=subject.name, sha256=subject.sha256)
        yield Check(
            f"{subject.name} is signed with {scheme} as the policy asks",
            made is not None,
            found=f"{made.identity} {made.issuer}" if made else "no good signature",
            code="SIGNATURE_MISSING",
            remedy="Run the step before this one again.",
        )
        companions += [made] if made else []
    return tuple(companions)


def signed_files(results: Results) -> tuple[Artifact, ...]:
    """Return all files of the closed manifest, signatures included, in order of name."""
    return results[close_manifest].files
