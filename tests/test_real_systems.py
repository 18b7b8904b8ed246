"""Whole releases over real software: what was done is seen at the servers themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rehearsals
from real_world import MADE_BY_AZURE, MADE_BY_GITHUB, UPLOADED, RealWorld, real_world
from services.github_standin_state import kept

from relkit.building.provenance import read_provenance
from relkit.history import History
from relkit.manifest import Manifest, builds, public_paths
from relkit.rehearsal.ports import LocalTracker
from relkit.rehearsal.seeds import RULES
from relkit.rehearsal.sigstore import LoopbackSigstore
from relkit.steps.sign import close_manifest

pytestmark = pytest.mark.slow

RELEASES = [("3.14.2", "bugfix", "2025-12-02"), ("3.15.0b1", "beta-1", "2026-05-05")]


@pytest.mark.parametrize(("version", "kind", "day"), RELEASES, ids=[one[1] for one in RELEASES])
def test_a_release_goes_from_beginning_to_end_over_real_systems(
    tmp_path: Path, version: str, kind: str, day: str
) -> None:
    """I48: publishing could be tried only in a real release."""
    with real_world(tmp_path, version, kind, day) as world:
        asked = world.master.requests()
        done = world.run()
        assert done.returncode == 0, done.stderr[-4000:]
        history = History.read(world.records / world.release.key)
        assert history.complete
        manifest = history.results[close_manifest]
        purged(world, manifest)
        built_elsewhere(world)
        assert world.master.requests() == asked, "buildbots are only looked at"
        signed_in(world)
        pushed(world)
        verified(world, history)
        before = rehearsals.tree(world.state / "servers")
        again = world.run()
        assert again.returncode == 0, again.stderr[-4000:]
        assert rehearsals.tree(world.state / "servers") == before


def purged(world: RealWorld, manifest: Manifest) -> None:
    """Varnish was asked to forget what the manifest says, and nothing that is not the release's."""
    asked, wanted = {*world.cdn.purged()}, {*public_paths(world.release, manifest)}
    assert wanted <= asked
    assert all(path.startswith("/ftp/python/doc/") for path in asked - wanted)


def built_elsewhere(world: RealWorld) -> None:
    """Each service ran once, and the record names who built what."""
    assert len(kept(world.state).read().runs) == 1
    elsewhere = {*MADE_BY_GITHUB, *MADE_BY_AZURE, UPLOADED} & {*builds(world.release)}
    folder = world.records / world.release.key / "provenance"
    found = {}
    for name in elsewhere:
        text = (folder / f"provenance-{name}.json").read_text(encoding="utf-8")
        found[name] = read_provenance(text).line
    assert "azure" in found["windows"] or "pipelines/21" in found["windows"]
    assert str(world.incoming) in found[UPLOADED]


def signed_in(world: RealWorld) -> None:
    """The expert and the release manager came by SSH, each with the own key."""
    log = world.sshd.log.read_text(encoding="utf-8")
    for account in (world.sshd.me, world.sshd.others[0]):
        assert f"Accepted publickey for {account.name}" in log


def pushed(world: RealWorld) -> None:
    """Upstream has the tag; its branch is protected as it was, and locked by nobody."""
    upstream, branch = world.state / "upstream.git", world.release.branch
    assert rehearsals.git(upstream, "cat-file", "-t", f"refs/tags/{world.release.tag}") == "tag"
    tracker = LocalTracker(file=world.state / "tracker.json", upstream=upstream)
    found = tracker.protection(branch=branch)
    assert (found.locked, found.rules) == (False, RULES)


def verified(world: RealWorld, history: History) -> None:
    """A stranger verifies the record, and what is public through the cache."""
    root = LoopbackSigstore(world.state / "sigstore").trusted_root()
    trust = world.records / "root.json"
    trust.write_text(root, encoding="utf-8")
    policy = ("--policy", history.inputs.policy_digest, "--trust-root", trust)
    record = world.records / world.release.key
    done = world.relkit("verify", "record", record, *policy)
    assert done.returncode == 0, done.stdout
    where = ("--site", world.cdn.url, "--upstream", world.state / "upstream.git", "--json")
    told = ("--record", record, *policy, *where)
    done = world.relkit("verify", "release", str(world.release.version), *told)
    seen = json.loads(done.stdout)
    wrong = [one for one in seen["lines"] if one["outcome"] not in {"VERIFIED", "verified"}]
    assert done.returncode in {0, 4}, wrong
    assert all(one["name"] == "docs" for one in wrong), wrong
