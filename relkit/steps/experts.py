"""Build: the experts' green lights, each over exactly the files that were collected."""

from __future__ import annotations

import re

from relkit.plan import Check, Evidence, Plan
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results, step
from relkit.steps.build import try_source
from relkit.steps.collect import (
    DOCS,
    INSTALLERS,
    collect_docs,
    collect_macos,
    collect_windows,
    tell_experts,
)
from relkit.steps.delivery import MACHINES, PHASE
from relkit.steps.manual import manual
from relkit.values import Artifact

DIGEST = re.compile(r"\b[0-9a-fA-F]{64}\b")
AFTER_TRYING = try_source
"""Importing this module declares its steps, and those come after the trials of the source."""


@step(
    phase=PHASE,
    where="macOS machine",
    after=[collect_macos, tell_experts],
    actor="macos-expert",
    kinds=INSTALLERS,
)
def confirm_notarisation(_release: Release, world: World, results: Results) -> Plan:
    """Confirm that the installer is notarised.

    Apple's service has seen the macOS installer, and its ticket is stapled to the file: without it
    people's machines refuse to open it. Only the macOS expert can see that; the answer names the
    SHA-256 of the file that was looked at, and it must be the collected one, since stapling changes
    the file.
    """
    yield from notarised(world, results[collect_macos].files)


def notarised(world: World, files: tuple[Artifact, ...]) -> Plan:
    """Yield what shows that the macOS installer among files is notarised; nothing if none is."""
    installer = next((x for x in files if x.name.endswith(".pkg")), None)
    if installer is None:
        return
    ask = (
        f"Is {installer.name} notarised, with the ticket stapled to it? Look with\n"
        f"`xcrun stapler validate {installer.name}` and\n"
        f"`spctl --assess --type install --verbose {installer.name}`,\n"
        f"and give the digest of the file you looked at: `shasum -a 256 {installer.name}`."
    )
    example = f"notarised and stapled, SHA-256 {installer.sha256}"
    said = yield from manual(world, "notarisation", "macos-expert", ask, example)
    if said is not None:
        named = {one.lower() for one in DIGEST.findall(said)}
        yield Check(
            f"the notarised installer is the collected one, {installer.sha256}",
            named == {installer.sha256},
            found=", ".join(sorted(named)) or "no digest in the answer",
            code="NOT_NOTARISED",
            remedy="Have the collected file looked at, or the stapled one delivered by a respin.",
        )


@step(
    phase=PHASE,
    where="Windows machine",
    after=[collect_windows, tell_experts],
    gate="windows",
    actor="windows-expert",
    kinds=INSTALLERS,
)
def approve_windows(_release: Release, _world: World, results: Results) -> Plan:
    """Green light: Windows.

    The Windows expert has installed and tried exactly these files, and says so; nobody else can say
    it. A rejection stops the release: then the files are made anew, after a respin. Another
    platform's new file does not touch this approval.
    """
    yield from results[collect_windows].files


@step(
    phase=PHASE,
    where="macOS machine",
    after=[collect_macos, confirm_notarisation, tell_experts],
    gate="macos",
    actor="macos-expert",
    kinds=INSTALLERS,
)
def approve_macos(_release: Release, _world: World, results: Results) -> Plan:
    """Green light: macOS.

    The macOS expert has installed and tried exactly this file, and says so; nobody else can say it.
    A rejection stops the release: then the file is made anew, after a respin.
    """
    yield from results[collect_macos].files


@step(
    phase=PHASE,
    where=MACHINES,
    after=[collect_docs, tell_experts],
    gate="docs",
    actor="docs-expert",
    kinds=DOCS,
)
def approve_docs(_release: Release, _world: World, results: Results) -> Plan:
    """Green light: documentation.

    The documentation expert has opened the archives and the EPUB, and says that they can go out.
    What the build itself found out about them is shown beside; `epubcheck` is named there as not
    run where the build machine does not have it. A rejection stops the release: the docs are mended
    on the branch.
    """
    found = results[collect_docs]
    shown = (x for x in sorted(found.facts.items()) if not x[0].startswith("seconds_"))
    text = "".join(f"{name}: {value}\n" for name, value in shown)
    yield Evidence("What the build of the docs found", text)
    yield from found.files
