"""Sign: close the set, sign each file of it, verify what was written."""

from __future__ import annotations

from functools import partial

from relkit.manifest import Manifest, absent, expected, schemes
from relkit.plan import Action, Check, Expect, Plan, Result
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.build import (
    approve_macos,
    approve_windows,
    collect_macos,
    collect_mobile,
    collect_source,
    collect_windows,
    compare_source,
    try_source,
)
from relkit.steps.source import commit_release, tag_release
from relkit.values import Artifact

PHASE = "Sign"
HERE = "release manager's machine"
SUBJECTS, MANIFEST = "subjects.json", "manifest.json"


@step(
    phase=PHASE,
    where=HERE,
    after=[compare_source, try_source, collect_mobile, approve_windows, approve_macos],
    returns=Manifest,
)
def freeze_subjects(release: Release, world: World, results: Results) -> Plan:
    """Freeze the set.

    From here on the set of files is closed: exactly the expected ones, by name, size and
    SHA-256. A file that is not in it is refused, not signed. What a reader may look for and
    will not find is named with the reason.
    """
    collections = (collect_source, collect_windows, collect_macos, collect_mobile)
    found = {file.name: file for one in collections for file in results[one].files}
    wanted = [file.name for file in expected(release)]
    yield Check(
        "the set is exactly the expected one",
        sorted(found) == sorted(wanted),
        found=", ".join(sorted({*found} ^ {*wanted})),
        code="SET_NOT_CLOSED",
        remedy="Have the missing files delivered; take out what is not expected.",
    )
    for name, reason in absent(release).items():
        yield Check(f"no {name} in the set", None, found=reason, warns=True)
    if sorted(found) != sorted(wanted):
        return
    for name in wanted:
        kept = world.artifacts.artifact(name=name)
        yield Check(
            f"{name} is still what was collected",
            kept == found[name],
            found=str(kept and kept.sha256),
            code="DIGEST_CHANGED",
            remedy="Somebody changed the collected file: find out who, and collect it anew.",
        )
    manifest = Manifest(
        version=str(release.version),
        commit=results[commit_release].commit,
        tree=results[commit_release].tree,
        tag_object=results[tag_release].tag_object,
        time=release.time,
        policy_digest=world.policy.digest,
        folder=release.folder,
        subjects=tuple(found[name] for name in wanted),
        absent=absent(release),
    )
    yield from manifest.subjects
    yield from _written(world, SUBJECTS, manifest)


def _written(world: World, name: str, manifest: Manifest) -> Plan:
    text = manifest.to_text()
    yield Action(
        do=partial(world.artifacts.write, name=name, text=text),
        done=Expect(partial(world.artifacts.read, name=name), equals=text),
        undo="the manifest is this run's own",
    )
    yield Result(manifest)


@step(phase=PHASE, where=HERE, after=[freeze_subjects])
def sign_artifacts(release: Release, world: World, results: Results) -> Plan:
    """Sign the artifacts.

    Each file of the frozen set is signed with Sigstore, under one short-lived certificate, and
    before 3.14 with GPG too (PEP 761). Each signature is verified as it was written, against the
    exact identity of the policy. An entry in the transparency log stays for ever; a signature
    that is good already is kept.
    """
    for subject in results[freeze_subjects].subjects:
        for scheme in schemes(release):
            signed = {"scheme": scheme, "name": subject.name, "sha256": subject.sha256}
            yield Action(
                do=partial(world.signers.sign, **signed),
                done=Expect(
                    partial(world.signers.companion, **signed),
                    has={"scheme": scheme, "subject": subject},
                ),
                undo="the entry in the transparency log stays; the signature is not published",
            )


@step(phase=PHASE, where=HERE, after=[sign_artifacts], returns=Manifest)
def close_manifest(release: Release, world: World, results: Results) -> Plan:
    """Close the manifest.

    The signatures get their digests too. What is published from here on is what this file
    lists, and it is what the gate before publication is about.
    """
    frozen = results[freeze_subjects]
    companions = []
    for subject in frozen.subjects:
        for scheme in schemes(release):
            made = world.signers.companion(scheme=scheme, name=subject.name, sha256=subject.sha256)
            yield Check(
                f"{subject.name} is signed with {scheme} as the policy asks",
                made is not None,
                found=f"{made.identity} {made.issuer}" if made else "no good signature",
                code="SIGNATURE_MISSING",
                remedy="Run the step before this one again.",
            )
            companions += [made] if made else []
    manifest = frozen.model_copy(update={"companions": tuple(companions)})
    yield from _written(world, MANIFEST, manifest)


def signed_files(results: Results) -> tuple[Artifact, ...]:
    """Return all files of the closed manifest, signatures included, in order of name."""
    return results[close_manifest].files
