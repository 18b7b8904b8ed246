"""The public side, by one contract: the stand-in's own cache, and a real one before a real server.

What was fetched is kept, also that there was nothing, until exactly that address is purged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from cdns import FOLDER, NO_SECRETS, Network, Tree, accept, artifact, network
from hostile import STRINGS

from relkit.adapters.cdn import CdnSite
from relkit.adapters.public import PublicSite
from relkit.errors import ReleaseError, WorldError
from relkit.ports import Public
from relkit.rehearsal.site import ORIGIN_HEADER
from relkit.values import Companion

DATA, OTHER, BUNDLE = b"release" * 100, b"another" * 101, b"signature"
FORMS = ("stand-in", "network")


@dataclass(frozen=True)
class Case:
    public: Public
    tree: Tree
    network: Network
    folder: str

    def path(self, name: str) -> str:
        return f"{self.folder}{name}"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("network")) as started:
        yield started


@pytest.fixture(params=FORMS)
def case(request: pytest.FixtureRequest, servers: Network, tmp_path: Path) -> Case:
    folder = f"/ftp/python/{tmp_path.name}/"
    (servers.tree.root / folder[1:]).mkdir(parents=True)
    public: Public
    if request.param == "stand-in":
        headers = {ORIGIN_HEADER: "1"}
        public = PublicSite(servers.site.url, verify=accept, origin_headers=headers)
    else:
        public = CdnSite(
            servers.cdn.url,
            verify=accept,
            origin=servers.tree.origin,
            notes=tmp_path / "purges.json",
            key=NO_SECRETS,
            per_second=1000,
        )
    return Case(public, servers.tree, servers, folder)


def refusal(ask: Callable[[], object]) -> list[str]:
    """Return the code of a refusal, if it is refused."""
    try:
        ask()
    except ReleaseError as error:
        return [error.code]
    return []


def test_a_file_is_fetched_whole_and_hashed(case: Case) -> None:
    put = case.tree.put(case.path("a.tgz"), DATA)
    got = case.public.fetch(path=case.path("a.tgz"))
    assert (got.status, got.size, got.sha256) == (200, put.size, put.sha256)
    assert got.content_type == "application/octet-stream"


def test_a_missing_file_and_a_redirect_are_answers(case: Case) -> None:
    assert case.public.fetch(path=case.path("none")).status == 404
    assert case.public.fetch(path="/downloads/latest/python3/").status == 302


def test_a_page_is_read_as_text_and_a_missing_one_is_refused(case: Case) -> None:
    assert "Download Python" in case.public.read(path="/downloads/")
    with pytest.raises(WorldError, match="UNEXPECTED_STATUS"):
        case.public.read(path="/downloads/release/none/")


def test_a_replaced_file_stays_old_until_it_is_purged(case: Case) -> None:
    path, beside = case.path("a.tgz"), case.path("b.tgz")
    for one in path, beside:
        case.tree.put(one, DATA)
        case.public.fetch(path=one)
        case.tree.put(one, OTHER)
        assert case.public.fetch(path=one).size == len(DATA)
    assert not case.public.purged(paths=(path,))
    case.public.purge(paths=(path,))
    assert case.public.purged(paths=(path,))
    assert case.public.fetch(path=path).size == len(OTHER)
    assert case.public.fetch(path=beside).size == len(DATA)


def test_that_there_was_no_file_is_forgotten_too(case: Case) -> None:
    # I13: readers got 404 for a file that was there.
    path = case.path("late.pkg")
    assert case.public.fetch(path=path).status == 404
    case.tree.put(path, DATA)
    assert case.public.fetch(path=path).status == 404
    assert not case.public.purged(paths=(path,))
    case.public.purge(paths=(path,))
    assert case.public.purged(paths=(path,))
    assert case.public.fetch(path=path).status == 200


def test_a_removed_file_is_gone_after_a_purge(case: Case) -> None:
    path = case.path("withdrawn.tgz")
    case.tree.put(path, DATA)
    case.public.fetch(path=path)
    case.tree.remove(path)
    case.public.purge(paths=(path,))
    assert case.public.purged(paths=(path,))
    assert case.public.fetch(path=path).status == 404


def test_a_listing_shows_a_new_file_after_a_purge(case: Case) -> None:
    # I16: the folder's listing was an old one.
    assert 'a.tgz"' not in case.public.read(path=case.folder)
    case.tree.put(case.path("a.tgz"), DATA)
    assert 'a.tgz"' not in case.public.read(path=case.folder)
    case.public.purge(paths=(case.folder,))
    assert case.public.purged(paths=(case.folder,))
    assert 'a.tgz"' in case.public.read(path=case.folder)


def test_pages_redirects_and_what_is_not_there_can_be_purged(case: Case) -> None:
    paths = ("/downloads/", "/downloads/latest/python3/", "/downloads/source/")
    for path in paths:
        case.public.fetch(path=path)
    case.public.purge(paths=paths)
    case.public.purge(paths=paths)
    assert case.public.purged(paths=paths)


def test_a_file_verifies_with_its_signatures_and_no_other_bytes_do(case: Case) -> None:
    path = case.path("a.tgz")
    case.tree.put(path, DATA)
    case.tree.put(f"{path}.sigstore", BUNDLE)
    subject = artifact("a.tgz", DATA)
    signed = Companion(
        scheme="sigstore",
        file=artifact("a.tgz.sigstore", BUNDLE),
        subject=subject,
        identity="rm@example.org",
    )
    assert case.public.verify(path=path, subject=subject, companions=(signed,))
    other = artifact("a.tgz", OTHER)
    assert not case.public.verify(path=path, subject=other, companions=())


def test_two_hundred_hostile_strings_are_refused_as_paths_or_are_plain_ones(case: Case) -> None:
    before, purged = sorted(case.tree.root.rglob("*")), case.network.cdn.purged()
    codes: list[str] = []
    for path in (one for string in STRINGS for one in (string, f"/{string}")):
        for ask in (
            partial(case.public.fetch, path=path),
            partial(case.public.read, path=path),
            partial(case.public.purge, paths=(path, "no path")),
            partial(case.public.purged, paths=(path, "no path")),
            partial(case.public.verify, path=path, subject=artifact("a", DATA), companions=()),
        ):
            codes += refusal(ask)
    assert set(codes) == {"BAD_PATH", "UNEXPECTED_STATUS"}  # that is: a plain path without a page
    assert codes.count("BAD_PATH") > 3 * len(STRINGS)
    assert (sorted(case.tree.root.rglob("*")), case.network.cdn.purged()) == (before, purged)


def test_no_file_of_the_release_is_asked_for_with_a_query_or_a_fragment(case: Case) -> None:
    for path in (FOLDER + "a?x=1", FOLDER + "a#x", FOLDER + "a;x", FOLDER + "%61"):
        with pytest.raises(WorldError, match="BAD_PATH"):
            case.public.fetch(path=path)
