"""What a rehearsal says in the end: where everything is, and how long it took."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from pathlib import Path

from relkit.history import History
from relkit.manifest import expected_of
from relkit.rehearsal.world import export_page
from relkit.sealing import GUIDE, PAGE, ROOT
from relkit.steps.build import test_source
from relkit.steps.sign import close_manifest
from relkit.steps.source import commit_release, tag_release


def report(folder: Path, state: str = "world") -> str:
    """Return a few lines about a complete rehearsal of any kind."""
    history = History.read(folder)
    release, world = history.release, folder.parent / state
    what = "Python" if release.facts.publishes else f"{release.kind} of"
    lines = [f"{what} {release.name} was rehearsed in {len(history.steps)} steps."]
    if release.facts.publishes:
        lines += _made(history)
    lines.append(f"  record    {folder / PAGE}")
    lines += [f"  check     {folder / GUIDE} says how, with stock tools; or with relkit:"]
    lines += [f"            {one}" for one in verifying(folder, history)]
    if release.facts.publishes:
        page = export_page(folder.parent, release.slug, state)
        lines.append(f"  archives  {world / 'servers' / 'public' / release.folder}")
        if release.facts.docs:
            lines.append(f"  docs      {world / 'servers' / 'public' / release.docs_folder}")
        lines.append(f"  page      {page} (relkit serve shows the whole site)")
    else:
        lines.append(f"  drafts    {world / 'drafts' / release.key}")
    return "\n".join(lines)


def verifying(folder: Path, history: History) -> Iterator[str]:
    """Yield the command that verifies a record, with the digests that a stranger needs."""
    given = [f"--policy {history.inputs.policy_digest}"]
    if (root := folder / ROOT).is_file():
        given += [f"--trust-root sha256:{hashlib.sha256(root.read_bytes()).hexdigest()}"]
    lines = [f"relkit verify record {shlex.quote(str(folder))}", *(f"  {one}" for one in given)]
    yield from (f"{one} \\" for one in lines[:-1])
    yield lines[-1]
    yield "Keep the digests elsewhere than the record: they are what a stranger trusts."


def _made(history: History) -> Iterator[str]:
    """Yield a line for each thing a release has made."""
    results = history.results
    manifest, facts = results[close_manifest], results[test_source].facts
    yield f"  commit    {results[commit_release].commit}"
    yield f"  tag       {history.release.tag}, object {results[tag_release].tag_object}"
    names = {one.name for one in expected_of(history.release, "source")}
    for one in (one for one in manifest.subjects if one.name in names):
        yield f"  {one.sha256}  {one.name} ({one.size:,} bytes)"
    yield f"  signed    {len(manifest.companions)} signatures over {len(manifest.subjects)} files"
    yield f"  tests     {facts.get('tests_run')} run: {facts.get('selection')}"
