"""Forty rows, the real steps that write them in a toy world, and somebody who reads them."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, cast

import requests
import toy

import relkit.step
from relkit.adapters.website import PythonOrg
from relkit.expected import expected
from relkit.kinds import Kind
from relkit.manifest import Manifest
from relkit.plan import Plan
from relkit.ports import World
from relkit.rehearsal.site import ORIGIN_HEADER, Site
from relkit.rehearsal.site_admin import enter_page_text
from relkit.rehearsal.site_auth import Limits
from relkit.release import Release
from relkit.run import Run
from relkit.step import Results
from relkit.steps import late, place, site
from relkit.values import Artifact, SiteFile

DAY = "2026-02-03"
RELEASE = Release.parse("3.14.3", Kind.BUGFIX, DAY)
FOLDER = "https://www.python.org/ftp/python/3.14.3/"
FREE = Limits(v1_per_hour=10**6, v2_per_day=10**6, v2_anonymous_per_day=10**6)
SYSTEMS = ("windows", "macos", "source", "android", "ios")


def row(number: int, **changes: object) -> SiteFile:
    """Return a row; the first of each system has its button."""
    url = f"{FOLDER}file-{number:02}.tgz"
    made = SiteFile(
        name=f"File {number:02}",
        slug=f"3143-File-{number:02}",
        os=SYSTEMS[number % len(SYSTEMS)],
        release=RELEASE.slug,
        url=url,
        download_button=number < len(SYSTEMS),
        sha256_sum=f"{number:064x}",
        filesize=number + 1,
        sigstore_bundle_file=url + ".sigstore",
    )
    return made.model_copy(update=changes)


FORTY = tuple(row(number) for number in range(40))
LATER = (
    row(0, download_button=False),
    *FORTY[1:38],
    row(38, description="for macOS 10.15 and later"),
    row(39, description="Recommended", sha256_sum="f" * 64),
    row(40, download_button=True),
    row(41),
    row(42),
)
MANIFEST, AMENDED = (
    Manifest(
        version=str(RELEASE.version),
        commit="c" * 40,
        tree="d" * 40,
        tag_object="e" * 40,
        time=RELEASE.time,
        policy_digest="f" * 64,
        folder=RELEASE.folder,
        subjects=tuple(Artifact(name=x.name, size=7, sha256=one * 64) for x in expected(RELEASE)),
        absent={},
    )
    for one in ("1", "2")
)
RESULTS = Results(
    {
        "close-manifest": MANIFEST.to_data(),
        "find-missing": MANIFEST.to_data(),
        "close-amendment": AMENDED.to_data(),
    }
)


class Crowd(toy.People):
    """People who get messages with a subject."""

    def tell(self, *, nonce: str, subject: str, text: str, roles: tuple[str, ...]) -> None:  # type: ignore[override]
        self.change(nonce, [subject, text, *roles])


class Drafts(toy.Box):
    """Drafts of texts, and a cache that forgets."""

    def draft(self, *, channel: str, text: str) -> None:
        self.put(key=channel, value=text)

    def drafted(self, *, channel: str) -> str | None:
        return self.value(key=channel)

    def purge(self, *, paths: tuple[str, ...]) -> None:
        self.put(key="purged", value=" ".join(paths))

    def purged(self, *, paths: tuple[str, ...]) -> bool:
        return self.value(key="purged") == " ".join(paths)


@dataclass(frozen=True)
class Place(toy.Toy):
    """The toy world with a website; texts and cache are boxes."""

    website: Any = None
    announcements: Any = None
    public: Any = None


@dataclass
class Desk:
    """A run of the three steps, and every call that the adapter makes."""

    site: Site
    folder: Path
    calls: list[str] = field(default_factory=list)
    stop_after: int = 10**9

    @property
    def writes(self) -> list[str]:
        return [one for one in self.calls if not one.startswith("GET")]

    @contextmanager
    def open(self) -> Iterator[Run]:
        """Open the run as another process would, with another adapter."""
        world = cast("Place", Place.at(self.folder / "world"))
        people = Crowd(self.folder / "people.json")
        drafts, cache = Drafts(self.folder / "drafts.json"), Drafts(self.folder / "cache.json")
        own = replace(
            world, people=people, website=self.website(), announcements=drafts, public=cache
        )
        run = own.open(self.folder / "records" / "3.14.3", RELEASE)
        try:
            yield run
        finally:
            run.close()

    def website(self) -> PythonOrg:
        org = PythonOrg(
            self.site.url,
            v2_token=lambda: self.site.v2_token,
            v1_key=lambda: self.site.v1_key,
            origin_headers={ORIGIN_HEADER: "1"},
        )
        ask = org._web.request

        def counted(method: str, path: str, **given: Any) -> Any:  # noqa: ANN401 (passed on)
            if len(self.calls) >= self.stop_after:
                raise KeyboardInterrupt
            self.calls.append(f"{method} {path}")
            return ask(method, path, **given)

        org._web.request = counted  # type: ignore[method-assign]
        return org

    def carry_out(self, step: str) -> list[str]:
        """Carry out a step in a run opened anew, and return the calls it took."""
        before = len(self.calls)
        with self.open() as run:
            run.apply(step)
        return self.calls[before:]

    def text(self) -> None:
        """Put the approved text into the page, as the web editor does."""
        with self.open() as run:
            text = site.page_text(RELEASE, run.world, MANIFEST)
        enter_page_text(url=self.site.url, token=self.site.v2_token, slug=RELEASE.slug, text=text)


def declare() -> None:
    """Declare the three steps as the real ones plan them, without what comes before them."""

    @relkit.step.step(phase="Publish", where="python.org")
    def draft(release: Release, world: World, _results: Results) -> Plan:
        """Fill the site's draft."""
        yield from place.draft_website.planner(release, world, RESULTS)

    @relkit.step.step(phase="Publish", where="python.org", after=[draft], irreversible=True)
    def show(release: Release, world: World, _results: Results) -> Plan:
        """Publish the page."""
        yield from place.publish_website.planner(release, world, RESULTS)

    @relkit.step.step(phase="Publish", where="python.org", after=[show], irreversible=True)
    def add(release: Release, world: World, _results: Results) -> Plan:
        """Add the late rows."""
        yield from late.add_rows.planner(release, world, RESULTS)


def rows_of(_release: Release, manifest: Manifest) -> tuple[SiteFile, ...]:
    """Stand for the rows of a manifest."""
    return FORTY if manifest == MANIFEST else LATER


PATHS = {
    "page": f"downloads/release/{RELEASE.slug}/",
    "downloads": "downloads/",
    "v1": f"api/v1/downloads/release_file/?release__slug={RELEASE.slug}&limit=0",
    "v2": "api/v2/downloads/release_file/",
}
"""What somebody can read of the rows."""


class Reader:
    """Somebody who reads addresses of a site in turn, as fast as they come; no file may go.

    What was seen once must be seen again, if `during` says it is there before and after.
    """

    def __init__(self, url: str, read: Sequence[str] = tuple(PATHS)) -> None:
        self._url, self._names = url, read
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._keeps: dict[bool, frozenset[str]] = {False: frozenset(), True: frozenset()}
        self.seen: dict[str, set[str]] = {}
        self.missed: list[str] = []
        self.rounds = 0
        self.other: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=20)
        assert self.other is None, self.other
        assert not self._thread.is_alive()

    def _read(self) -> None:
        ask = requests.Session()
        ask.trust_env = False
        try:
            while not self._stop.is_set():
                for name in self._names:
                    kept = self._keeps
                    text = ask.get(self._url + PATHS[name], timeout=10).text
                    self._look(name, kept, set(re.findall(r"file-\d\d\.tgz(?=\")", text)))
                self.rounds += 1
        except Exception as error:  # noqa: BLE001 (raised where the reader is left)
            self.other = error

    def during(self, before: Sequence[SiteFile], after: Sequence[SiteFile]) -> None:
        """Say what is there before and after; the page of all downloads has the buttons only."""
        self._keeps = {
            False: names(before) & names(after),
            True: names([x for x in before if x.download_button])
            & names([x for x in after if x.download_button]),
        }

    def _look(self, name: str, keeps: dict[bool, frozenset[str]], found: set[str]) -> None:
        seen = self.seen.setdefault(name, set())
        missing = (seen & keeps[name == "downloads"]) - found
        self.missed += [f"{name}: {one}" for one in sorted(missing)]
        seen |= found

    def rest(self) -> None:
        """Wait until everything was read once more."""
        rounds = self.rounds + 2
        for _ in range(1000):
            if self.rounds >= rounds or self.other:
                return
            self._stop.wait(0.01)
        raise AssertionError("the reader stands still")


def names(rows: Sequence[SiteFile]) -> frozenset[str]:
    return frozenset(one.url.rpartition("/")[2] for one in rows)
