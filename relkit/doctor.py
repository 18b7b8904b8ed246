"""The day before: whether each system of a world answers, and lets us do what a release needs.

Nothing is begun and no record is written. Everything is only read, but for a small file that goes
to staging, which is not public, and is taken away again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from relkit.errors import ReleaseError
from relkit.plan import Check
from relkit.ports import World
from relkit.release import Release
from relkit.step import Results
from relkit.steps.prepare import preflight
from relkit.words import in_words

PROBE = "relkit-doctor.txt"
NOBODY = "0" * 64
"""The key of a request that nobody ever puts."""
MOST_SHOWN = 120


@dataclass(frozen=True)
class Finding:
    """What was found of one thing; `remedy` is empty where it is as it should be."""

    what: str
    stands: str
    found: str
    remedy: str = ""

    @property
    def well(self) -> bool:
        """Whether a release can go on with it."""
        return not self.remedy


def examine(release: Release, world: World) -> Iterator[Finding]:
    """Yield what is found of machine, keys and systems, each as soon as it is known."""
    for item in preflight.planner(release, world, Results({})):
        if isinstance(item, Check):
            yield _of_check(item)
    for what, probe in probes(release, world).items():
        yield _asked(what, probe)


def probes(release: Release, world: World) -> dict[str, Callable[[], object]]:
    """Return one question to each system; what is answered does not matter, but that it is."""
    head, site = f"refs/heads/{release.branch}", world.website
    return {
        "upstream, by git": lambda: _required(world.repo.remote_ref(remote="upstream", ref=head)),
        "the fork, by git": lambda: world.repo.remote_ref(remote="fork", ref=head) or "no branch",
        "protection of the branch": lambda: world.tracker.protection(branch=release.branch),
        "blockers of the branch": lambda: _blockers(world),
        "buildbots": lambda: _buildbots(release, world),
        "builds": lambda: world.builders.state(name="source", nonce=world.nonce).status,
        "staging of the download server": lambda: _staging(release, world),
        "docs server": lambda: world.docs.unpacked(version=str(release.version)) or "no docs yet",
        "links of the docs": lambda: world.docs.pointed(link="current"),
        "python.org, API v2": lambda: site.release(slug=release.slug) or "no row yet",
        "python.org, API v1": lambda: f"{len(site.files(slug=release.slug))} files",
        "python.org, as the public sees it": lambda: world.public.fetch(path="/downloads/").status,
        "release data": lambda: world.announcements.status(series=release.version.series),
        "messages to people": lambda: _told(world),
        "answers of people": lambda: (
            f"{len(world.people.answers(key=NOBODY))} to a request nobody put"
        ),
    }


def _of_check(item: Check) -> Finding:
    stands = {True: "well", False: item.code, None: "UNKNOWN"}[item.ok]
    stops = item.ok is not True and not item.warns
    return Finding(item.name, stands, item.found, item.remedy if stops else "")


def _asked(what: str, probe: Callable[[], object]) -> Finding:
    try:
        return Finding(what, "well", in_words(_plain(probe()))[:MOST_SHOWN])
    except ReleaseError as error:
        return Finding(what, error.code, Exception.__str__(error), error.remedy)


def _plain(value: object) -> object:
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if dump else value


def _required(head: str | None) -> str:
    if head is None:
        raise ReleaseError(
            "it answers, and does not have the branch",
            code="NO_BRANCH",
            remedy="Look at the address of upstream in the world's file.",
        )
    return head


def _blockers(world: World) -> str:
    found = world.tracker.labelled(label="release-blocker")
    return f"{len(found.items)} open, of all branches{'' if found.complete else ', and maybe more'}"


def _told(world: World) -> str:
    there = world.people.told(nonce=f"{world.nonce}-doctor")
    return "one of the doctor's" if there else "can be looked up"


def _buildbots(release: Release, world: World) -> str:
    head = world.repo.remote_ref(remote="upstream", ref=f"refs/heads/{release.branch}")
    bots = world.buildbots.stable(branch=release.branch, commit=_required(head))
    green = sum(bot.result in {"success", "warnings"} for bot in bots)
    return f"{len(bots)} stable builders, {green} green for the head"


def _staging(release: Release, world: World) -> str:
    """Put a small file into staging, read it there, and take it away again."""
    text = f"relkit looks whether the staging of Python {release.version} can be written.\n"
    path, digest = f"{release.folder}/{PROBE}", sha256(text.encode()).hexdigest()
    files = {path: digest}
    world.artifacts.write(name=PROBE, text=text)
    try:
        world.downloads.stage_all(files=files)
        there = world.downloads.staged_all(paths=(path,))[path]
        world.downloads.unstage_all(files=files)
    finally:
        world.artifacts.discard(name=PROBE)
    if (found := there.artifact.sha256 if there else "nothing") != digest:
        raise ReleaseError(
            f"{PROBE} was written with the SHA-256 {digest}, and read as {found}",
            code="DIGEST_CHANGED",
            remedy="See who else writes to staging just now; then run this again.",
        )
    return f"written, read as {found:.12}, removed"
