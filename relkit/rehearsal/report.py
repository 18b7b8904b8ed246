"""What a rehearsal says in the end: where everything is, and how long it took."""

from __future__ import annotations

from pathlib import Path

from relkit import records as log
from relkit.history import History
from relkit.rehearsal.world import export_page
from relkit.seal import PAGE
from relkit.steps.build import test_source
from relkit.steps.sign import close_manifest
from relkit.steps.source import commit_release, tag_release


def report(folder: Path, state: str = "world") -> str:
    """Return a few lines about a complete rehearsal."""
    history = History.read(folder)
    results, release = history.results, history.release
    manifest = results[close_manifest]
    facts = results[test_source].facts
    world = folder.parent / state
    page = export_page(folder.parent, release.slug, state)
    lines = [
        f"Python {release.version} was rehearsed in {len(history.steps)} steps.",
        f"  commit    {results[commit_release].commit}",
        f"  tag       {release.tag}, object {results[tag_release].tag_object}",
        *(f"  {one.sha256}  {one.name} ({one.size:,} bytes)" for one in manifest.subjects[:2]),
        f"  signed    {len(manifest.companions)} signatures over {len(manifest.subjects)} files",
        f"  tests     {facts.get('tests_run')} run: {facts.get('selection')}",
        f"  record    {folder / PAGE}",
        f"  archives  {world / 'servers' / 'public' / release.folder}",
        f"  page      {page} (relkit serve shows the whole site)",
    ]
    return "\n".join(lines)


def seconds_by_step(history: History) -> dict[str, float]:
    """Return how long each step took, from its first record to its last, in whole seconds."""
    found = {}
    for name in history.steps:
        times = [one.at for one in history.progress(name).records]
        ended = [
            one for one in history.progress(name).records if isinstance(one.entry, log.Completed)
        ]
        if ended:
            found[name] = (ended[-1].at - times[0]).total_seconds()
    return found
