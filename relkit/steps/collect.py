"""Build: several machines at once, and everything they deliver collected by digest."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from relkit.expected import SBOM
from relkit.kinds import where
from relkit.manifest import builds, expected_of
from relkit.plan import Check, Plan, Result
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.delivery import (
    BUILD_MACHINE,
    HERE,
    MACHINES,
    PHASE,
    Artifacts,
    Documentation,
    build_of,
    built,
    collected,
    delivering,
    facts,
    in_order,
    provenance_fits,
    stamped,
    started,
)
from relkit.steps.prepare import experts, message
from relkit.steps.requests import please_build
from relkit.steps.sboms import LACKS, described, lacking
from relkit.steps.source import commit_release, push_to_fork, tag_release
from relkit.texts import notice
from relkit.values import Artifact, Build, ObjectId

INSTALLERS, DOCS = where(publishes=True, installers=True), where(docs=True)
NOT_RUN = "not run"


class Source(Artifacts):
    """The collected source archives with their SBOMs, and what their build states about them."""

    facts: dict[str, str] = Field(default_factory=dict)


@step(phase=PHASE, where=MACHINES, after=[push_to_fork])
def start_builds(release: Release, world: World, results: Results) -> Plan:
    """Start the builds.

    Source archives (twice, in different surroundings) and, as far as this kind has them, the docs
    and the platforms' builds start side by side, each for the commit id, never for a name that can
    move. They go on by themselves, for minutes to hours; the steps below collect them.
    """
    first, *others = builds(release)
    commit = results[commit_release].commit
    source = delivering(release, world, commit, first)
    yield started(world, source)
    yield started(world, second(source))
    for name in others:
        yield started(world, delivering(release, world, commit, name))


def second(source: Build) -> Build:
    """Describe the second build of the source, of which the archives are asked.

    Who makes it elsewhere need not describe them as we do: SBOMs are compared if they come.
    """
    archives = [one for one in source.options["files"].split(";") if not one.endswith(SBOM)]
    options = {**source.options, "files": ";".join(archives)}
    return source.model_copy(update={"name": "rebuild", "options": options})


@step(phase=PHASE, where="mail", after=[push_to_fork])
def tell_experts(release: Release, world: World, results: Results) -> Plan:
    """Hand over to the experts.

    They learn the commit id, the tag and its object id, and check that what they build is that;
    each also which files are wanted, where they go, what is put beside them, and by when. Only
    those hear of it whom this kind of release needs, and they answer from their own machines.
    A message cannot be taken back; if the commit changes after it, they are told anew.
    """
    people = experts(release, world)
    tag = results[tag_release]
    subject = f"Python {release.version} is tagged on the fork"
    body = please_build(release, world, people, commit=tag.commit, tag_object=tag.tag_object)
    text = notice(release, people, subject, body)
    yield from message(world, "tagged", subject, text, *(one.role for one in people))


@step(phase=PHASE, where=HERE, after=[start_builds], returns=Source)
def collect_source(release: Release, world: World, results: Results) -> Plan:
    """Collect the source archives.

    Both builds must have made the same bytes, archives and SBOMs: where they differ, something got
    in that is not in the commit. Each SBOM (from 3.12 on) must name the digest of the archive it
    lies beside. Then the files are taken by digest; from here on an artifact is known by its
    SHA-256. Comparing and testing them begins at once, beside what others do.
    """
    build = delivering(release, world, results[commit_release].commit, "source")
    again_build = second(build)
    first = yield from built(world, build, BUILD_MACHINE)
    again = yield from built(world, again_build, BUILD_MACHINE)
    if first is None or again is None:
        return
    archives = {file for file in first.files if not file.name.endswith(SBOM)}
    yield Check(
        "two builds in different surroundings made the same bytes",
        archives <= {*again.files} <= {*first.files},
        found="; ".join(f"{file.name} {file.sha256}" for file in again.files),
        code="REBUILD_DIFFERS",
        remedy="Compare the two builds; something of their surroundings is in the archive.",
    )
    yield provenance_fits(world, again_build, again)
    yield from described(world, build, first.files)
    yield from lacking(first)
    yield from collected(release, world, build, first)
    if any(file.name.endswith(".tar.xz") for file in first.files):
        for check in checks_of_source(release, world, results, first.files):
            yield started(world, check)
    stated = {name: said for name, said in facts(first).facts.items() if name != LACKS}
    yield Result(Source(files=in_order(first.files), facts=stated))


def checks_of_source(
    release: Release, world: World, results: Results, files: tuple[Artifact, ...]
) -> tuple[Build, Build]:
    """Describe the builds that judge the archives: the comparison with the tag, and the test."""
    archive = next(file for file in files if file.name.endswith(".tar.xz"))
    compare = build_of(release, world, results, "compare", *files)
    test = build_of(release, world, results, "test", archive, tests=" ".join(world.tests))
    return compare, test


@step(phase=PHASE, where=MACHINES, after=[start_builds], returns=Documentation, kinds=DOCS)
def collect_docs(release: Release, world: World, results: Results) -> Plan:
    """Collect the docs archives.

    HTML, text, Texinfo and EPUB, made by the tree's own rules with the Sphinx it pins. The build
    has read every archive to its end and found the version in it; no page may still say
    "(unreleased)", as some that were published did. Some ten minutes on a real tree.
    """
    build = delivering(release, world, results[commit_release].commit, "docs")
    result = yield from built(world, build, BUILD_MACHINE)
    if result is None:
        return
    yield stamped(release, build.commit, "docs", result)
    found = facts(result).facts
    count = found.get("unreleased", "")
    yield Check(
        'no page of the docs says "(unreleased)"',
        count == "0" if count else None,
        found=found.get("unreleased_in", ""),
        code="DOCS_UNRELEASED",
        remedy="Correct the page on the branch: it names a release that is this one.",
    )
    yield Check(
        "Sphinx warned of nothing",
        found.get("warnings") == "0",
        found=found.get("warnings_first", ""),
        remedy="Look at them with the documentation expert.",
        warns=True,
    )
    yield from book(found)
    yield from collected(release, world, build, result)
    yield Result(Documentation(files=in_order(result.files), facts=found))


def book(found: Mapping[str, str]) -> Plan:
    """Yield what epubcheck said of the EPUB, or that nobody has asked it.

    Real trees have errors that readers pass over, as CPython's own check does. A fatal error is a
    page that cannot be shown.
    """
    verdict = found.get("epubcheck", NOT_RUN)
    clean, not_run = verdict == "no errors", verdict.startswith(NOT_RUN)
    said = f"{verdict}. {found.get('epubcheck_first', '')}".strip()
    if not not_run:
        yield Check(
            "every page of the EPUB can be shown",
            clean or found.get("epubcheck_fatal") == "0",
            found=said,
            code="EPUB_INVALID",
            remedy="Read the log of the build docs, or waive it after a look at the book.",
            waivable=True,
        )
    yield Check(
        "epubcheck finds no error",
        None if not_run else clean,
        found=said,
        remedy="Install epubcheck on the build machine; show what it found to the docs expert.",
        warns=True,
    )


def platform_files(
    release: Release, world: World, commit: ObjectId, *names: str, waivable: bool = True
) -> Plan:
    """Yield what collecting the builds of some platforms takes, as far as this version has them.

    The wait for a platform can be waived: it is then delivered later (PLATFORM_MISSING).
    """
    files: list[Artifact] = []
    for name in [name for name in names if expected_of(release, name)]:
        build = delivering(release, world, commit, name)
        result = yield from built(world, build, f"{name}-expert", waivable=waivable)
        if result is None:
            continue
        yield stamped(release, commit, name, result)
        yield from described(world, build, result.files)
        yield from collected(release, world, build, result)
        files += result.files
    yield Result(Artifacts(files=in_order(files)))


@step(
    phase=PHASE,
    where="Windows machine",
    after=[start_builds],
    returns=Artifacts,
    actor="windows-expert",
    kinds=INSTALLERS,
)
def collect_windows(release: Release, world: World, results: Results) -> Plan:
    """Collect the Windows files.

    Installers and packages from the Windows expert's pipeline: exact names, built from the release
    commit, taken by digest. From 3.12 on installers and embeddable packages come with SBOMs, each
    of which must name the digest of its file. That can take hours; the cell returns meanwhile and
    is run again. If the expert is missing, waiving the wait lets the release go on without these
    files, and its page says so.
    """
    yield from platform_files(release, world, results[commit_release].commit, "windows")


@step(
    phase=PHASE,
    where="macOS machine",
    after=[start_builds],
    returns=Artifacts,
    actor="macos-expert",
    kinds=INSTALLERS,
)
def collect_macos(release: Release, world: World, results: Results) -> Plan:
    """Collect the macOS installer.

    The installer from the macOS expert's machine: exact name, built from the release commit, taken
    by digest. That can take hours; the cell returns meanwhile and is run again. This wait can be
    waived too.
    """
    yield from platform_files(release, world, results[commit_release].commit, "macos")


@step(phase=PHASE, where=MACHINES, after=[start_builds], returns=Artifacts, kinds=INSTALLERS)
def collect_mobile(release: Release, world: World, results: Results) -> Plan:
    """Collect the Android and iOS files.

    Android from 3.14 on, iOS from 3.15 on; before that there is nothing to collect. The files must
    have the expected names and be built from the release commit; then they are taken by digest.
    """
    yield from platform_files(release, world, results[commit_release].commit, "android", "ios")
