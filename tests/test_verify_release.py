"""Verifying a published release: what each alteration is called, and that nothing is written."""

from __future__ import annotations

import argparse
import html
import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import rehearsals
import release_helpers as helpers
from git_helpers import git
from hypothesis import given
from hypothesis import strategies as st
from release_helpers import Published, add_release, add_row, change_row, codes, set_text

from relkit import cli_verify_release, seal
from relkit.adapters import stranger
from relkit.adapters.gpg import make_throwaway_key
from relkit.adapters.sigstore import trusted_root
from relkit.adapters.sigstore_root import production_root
from relkit.cli import main
from relkit.errors import CheckError, RecordError, UsageError, WorldError
from relkit.expected import SBOM
from relkit.manifest import Manifest, site_files
from relkit.rehearsal.sigstore import LoopbackSigstore
from relkit.rehearsal.site import Fault, Site
from relkit.rehearsal.site_http import Call, Reply
from relkit.rehearsal.world import serve
from relkit.release import Release, Version
from relkit.values import Artifact
from relkit.verify_release import files, from_files, from_record, nothing_given, verifying
from relkit.verify_release.folders import _name, _whose
from relkit.verify_release.given import Named
from relkit.verify_release.links import leads, links

SECURITY = Release.parse("3.12.13", "", "2026-03-03")
TGZ, XZ = "Python-3.12.13.tgz", "Python-3.12.13.tar.xz"
DOCS = "python-3.12.13-docs-html.zip"
FOLDER, DOCS_FOLDER = SECURITY.folder, SECURITY.docs_folder
ROWS = ("rows v1", "rows v2")
SLUG = SECURITY.slug
Codes = dict[str, set[str]]
Alter = Callable[[Published, Site], object]


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    with helpers.published(tmp_path_factory.mktemp("published"), SECURITY) as one:
        yield one


@pytest.fixture
def made(original: Published, tmp_path: Path) -> Published:
    return original.copy(tmp_path / "world")


@pytest.fixture
def site(made: Published) -> Iterator[Site]:
    with made.site() as site:
        yield site


@pytest.fixture
def without_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the repository, where only the site was altered."""
    monkeypatch.setattr(verifying, "LOOKS", verifying.LOOKS[:-1])


@pytest.fixture
def rows_and_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the files and the repository, where only the database was altered."""
    looks = [one for one in verifying.LOOKS[:-1] if "files" not in one[0]]
    monkeypatch.setattr(verifying, "LOOKS", looks)


def test_what_stands_as_it_was_is_verified_in_every_line(made: Published, site: Site) -> None:
    report = made.looked_at(site)
    assert codes(report) == {}
    assert (report.status, report.words) == (0, "VERIFIED")
    names = [name for names, _ in verifying.LOOKS for name in names]
    assert [line.name for line in report.lines] == ["manifest", *names]
    assert {line.since for line in report.lines} == {"2026-03-03"}


def test_verifying_reads_alone_and_shows_no_credentials(
    made: Published, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I61: those who did not make it run the checks themselves."""
    calls: list[Call] = []
    respond = site._respond

    def kept(call: Call) -> Reply:
        calls.append(call)
        return respond(call)

    monkeypatch.setattr(site, "_respond", kept)
    before = helpers.tree(made.folder)
    assert made.looked_at(site).status == 0
    assert {method for method, _, _ in site.log} == {"GET"}
    assert len(site.log) < 60
    assert not any({"authorization", "cookie"} & call.headers.keys() for call in calls)
    assert len(calls) == len(site.log)
    assert helpers.tree(made.folder) == before


# --- alterations of what is on the server ---------------------------------------------------------


def edit(name: str, change: Callable[[bytes], bytes]) -> Alter:
    def alter(made: Published, _: Site) -> None:
        path = made.path(name)
        path.write_bytes(change(path.read_bytes()))

    return alter


def remove(name: str) -> Alter:
    return lambda made, _: made.path(name).unlink()


def swap(name: str, other: str) -> Alter:
    return lambda made, _: made.path(name).write_bytes(made.path(other).read_bytes())


def add(path: str) -> Alter:
    return lambda made, _: (made.public / path).write_bytes(b"MZ")


def answer(path: str, reply: Reply) -> Alter:
    return lambda _, site: site.faults.append(Fault("GET", f"/{path}", reply))


def instead(path: str, reply: Reply) -> Alter:
    """Answer so at exactly this path, whenever it is asked for."""

    def alter(_: Published, site: Site) -> None:
        page = site._page
        shown = {f"/{path}": reply}
        vars(site)["_page"] = lambda asked: shown.get(asked) or page(asked)

    return alter


def listing(more: str) -> Alter:
    """Add something to the list of a folder."""

    def alter(_: Published, site: Site) -> None:
        page = site._page

        def shown(asked: str) -> Reply | None:
            reply = page(asked)
            if asked != f"/{FOLDER}/" or reply is None:
                return reply
            return Reply.text(200, reply.body.decode() + more)

        vars(site)["_page"] = shown

    return alter


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def sign_anew(name: str, who: str, of: str = "") -> Alter:
    def alter(made: Published, _: Site) -> None:
        bundle = made.sign(helpers.sha256(made.path(of or name)), who)
        made.path(f"{name}.sigstore").write_bytes(bundle + b"\n" * 64)

    return alter


def other_sbom(made: Published, _: Site) -> None:
    path = made.path(f"{TGZ}{SBOM}")
    path.write_bytes(helpers.sbom(SECURITY, made.path(XZ)))


class Endless:
    """A file that does not end."""

    size = 10**12

    def chunks(self) -> Iterator[bytes]:
        while True:
            yield b"x" * 65536


BAD_FILE: Codes = {
    "signatures": {"SIGNATURE_SIGSTORE_INVALID", "SIGNATURE_GPG_INVALID"},
    "SBOMs": {"SBOM_SUBJECT"},
}
NO_FILE: Codes = {"signatures": {"FILE_UNREAD"}, "SBOMs": {"FILE_UNREAD"}}
SERVER: dict[str, tuple[Alter, Codes]] = {
    "a file has another byte": (edit(TGZ, flipped), {"files": {"FILE_CHANGED"}} | BAD_FILE),
    "a file is cut, I22": (edit(TGZ, lambda data: data[:-1]), {"files": {"FILE_SIZE"}} | BAD_FILE),
    "a file is empty": (edit(TGZ, lambda _: b""), {"files": {"FILE_SIZE"}} | BAD_FILE),
    "a file is longer": (edit(TGZ, lambda d: d + b"x"), {"files": {"FILE_LONGER"}} | NO_FILE),
    "a file is gone, I13": (
        remove(TGZ),
        {"files": {"FILE_REMOVED"}, "folders": {"LISTING_STALE"}} | NO_FILE,
    ),
    "a file is another file": (swap(TGZ, XZ), {"files": {"FILE_LONGER"}} | NO_FILE),
    "a file is a page that says sorry": (
        instead(f"{FOLDER}/{TGZ}", Reply.text(200, "<h1>Sorry</h1>")),
        {"files": {"FILE_SIZE"}} | BAD_FILE,
    ),
    "a file is at another host": (
        instead(f"{FOLDER}/{TGZ}", Reply(302, headers={"Location": "https://evil.invalid/x"})),
        {"files": {"FILE_REDIRECTED"}} | NO_FILE,
    ),
    "a file may not be read, I16": (
        instead(f"{FOLDER}/{TGZ}", Reply.text(403, "no")),
        {"files": {"FILE_DENIED"}} | NO_FILE,
    ),
    "a file does not end": (
        instead(f"{FOLDER}/{TGZ}", Reply(200, file=Endless())),  # type: ignore[arg-type]
        {"files": {"FILE_LONGER"}} | NO_FILE,
    ),
    "a bundle is cut": (
        edit(f"{TGZ}.sigstore", lambda data: data[:-9]),
        {"files": {"FILE_SIZE"}, "signatures": {"SIGNATURE_SIGSTORE_INVALID"}},
    ),
    "a bundle is gone": (
        remove(f"{TGZ}.sigstore"),
        {
            "files": {"FILE_REMOVED"},
            "folders": {"LISTING_STALE"},
            "signatures": {"SIGNATURE_UNREAD"},
        },
    ),
    "a bundle is that of another file, I05": (
        sign_anew(TGZ, helpers.IDENTITY, of=XZ),
        {"files": {"FILE_SIZE"}, "signatures": {"SIGNATURE_SIGSTORE_INVALID"}},
    ),
    "a bundle was made anew": (sign_anew(TGZ, helpers.IDENTITY), {"files": {"FILE_SIZE"}}),
    "a bundle is somebody else's, I09": (
        sign_anew(TGZ, "mike@example.org"),
        {"files": {"FILE_SIZE"}, "signatures": {"SIGNATURE_SIGSTORE_IDENTITY"}},
    ),
    "a GPG signature is gone, I01": (
        remove(f"{TGZ}.asc"),
        {
            "files": {"FILE_REMOVED"},
            "folders": {"LISTING_STALE"},
            "signatures": {"SIGNATURE_UNREAD"},
        },
    ),
    "a GPG signature is that of another file, I05": (
        swap(f"{XZ}.asc", f"{TGZ}.asc"),
        {"files": {"FILE_CHANGED"}, "signatures": {"SIGNATURE_GPG_INVALID"}},
    ),
    "an SBOM is no JSON": (
        edit(f"{TGZ}{SBOM}", lambda data: b"{" * len(data)),
        {
            "files": {"FILE_CHANGED"},
            "SBOMs": {"SBOM_INVALID"},
            "signatures": BAD_FILE["signatures"],
        },
    ),
    "an SBOM is that of another archive": (
        other_sbom,
        {
            "files": {"FILE_SIZE"},
            "SBOMs": {"SBOM_INVALID"},
            "signatures": BAD_FILE["signatures"],
        },
    ),
    "the docs are others, I14": (edit(DOCS, flipped), {"files": {"FILE_CHANGED"}}),
    "the docs are gone, I14": (
        remove(DOCS),
        {"files": {"FILE_REMOVED"}, "folders": {"LISTING_STALE"}},
    ),
    "a file was added": (add(f"{FOLDER}/Python-3.12.13.tar.zst"), {"folders": {"FILE_ADDED"}}),
    "a file without a version was added": (
        add(f"{FOLDER}/get-python.sh"),
        {"folders": {"FILE_ADDED"}},
    ),
    "an installer was added to a source-only release": (
        add(f"{FOLDER}/python-3.12.13-amd64.exe"),
        {"folders": {"UNWANTED_FILE"}},
    ),
    "docs were added": (add(f"{DOCS_FOLDER}/docs.pdf"), {"folders": {"FILE_ADDED"}}),
    "a preview of the version lies beside it": (add(f"{FOLDER}/Python-3.12.13rc1.tgz"), {}),
    "a list has names that lead elsewhere": (
        instead(f"{FOLDER}/", Reply.text(200, '<a href="../../../etc/passwd">x</a>')),
        {"folders": {"LISTING_NAME", "LISTING_STALE"}},
    ),
    "a list has a million names": (
        instead(f"{FOLDER}/", Reply.text(200, '<a href="x">x</a>\n' * 1_000_000)),
        {"folders": {"LISTING_TOO_LARGE"}},
    ),
    "a list has a second page": (
        listing('<a href="?page=2">more</a>'),
        {"folders": {"LISTING_NAME"}},
    ),
    "a list makes its links lead elsewhere": (
        listing('<base href="https://evil.invalid/">'),
        {"folders": {"LISTING_NAME"}},
    ),
    "a list has a link of another kind": (
        listing(f'<AREA shape="x" HREF = {TGZ}.exe>'),
        {"folders": {"FILE_ADDED"}},
    ),
    "a signature was added": (
        add(f"{FOLDER}/{TGZ}.crt"),
        {"folders": {"FILE_ADDED"}},
    ),
    "a list is none": (
        instead(f"{FOLDER}/", Reply.json(200, [])),
        {"folders": {"LISTING_MISSING"}},
    ),
    "the docs cannot be read, I15": (
        lambda made, _: (made.folder / "docs/release/3.12.13").rename(made.folder / "moved"),
        {"docs": {"DOCS_MISSING"}},
    ),
    "the docs are of another version": (
        lambda made, _: (made.folder / "docs/release/3.12.13/index.html").write_text("3.12.1"),
        {"docs": {"DOCS_OTHER"}},
    ),
}


@pytest.mark.usefixtures("without_upstream")
@pytest.mark.parametrize("name", SERVER)
def test_what_was_altered_on_the_servers_is_named(made: Published, site: Site, name: str) -> None:
    alter, wanted = SERVER[name]
    alter(made, site)
    report = made.looked_at(site)
    assert codes(report) == wanted
    assert report.status == (1 if wanted else 0)


@pytest.mark.usefixtures("without_upstream")
def test_what_a_server_says_changes_no_terminal(made: Published, site: Site) -> None:
    strange = '<a href="\x1b]0;owned\x07\u202e%1b[2J/x">x</a>'
    instead(f"{FOLDER}/", Reply.text(200, strange))(made, site)
    instead(
        f"downloads/release/{SLUG}/",
        Reply.text(200, f'<a href="/{FOLDER}/\x1b[2J\u202ex">'),
    )(made, site)
    report = made.looked_at(site)
    assert {"LISTING_NAME", "LISTING_STALE"} == codes(report)["folders"]
    said = [f"{one.what}{one.text}" for one in report.changes] + [o.text for o in report.lines]
    assert all(one.isprintable() for one in said)


@given(st.text(max_size=60) | st.sampled_from(["../", "?C=N;O=D", "http://[", "a/../b", "%2e%2e/"]))
def test_no_link_of_a_list_is_a_name_that_leads_out_of_the_folder(link: str) -> None:
    name = _name(link, "ftp/python/3.15.0", "https://www.python.org/")
    assert not name or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*/?", name)


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("Python-3.15.0a1.tgz", "ours"),
        ("python-3.15.0a1t-amd64.zip.sigstore", "ours"),
        ("windows-3.15.0a1.json", "ours"),
        ("python3150a1.chm", "ours"),
        ("Python-3.15.0a1-and-3.15.0a2.diff", "ours"),
        ("Python-3.15.0a2.tgz", "theirs"),
        ("Python-3.15.0a11.tgz", "theirs"),
        ("Python-3.15.0.tgz", "theirs"),
        ("python3150rc1.chm.asc", "theirs"),
        ("amd64a1/", "nobody's"),
        ("latest.exe", "nobody's"),
        ("Python-13.15.0a1.tgz", "nobody's"),
    ],
)
def test_whose_file_it_is_follows_from_its_name(name: str, whose: str) -> None:
    alpha = Release.parse("3.15.0a1", "", "2026-05-05")
    assert _whose(name, alpha, alpha.folder) == whose


# --- alterations of rows and pages ----------------------------------------------------------------


def row_of(name: str) -> dict[str, object]:
    return {"url": f"https://www.python.org/{FOLDER}/{name}"}


def change(file: str, **fields: object) -> Alter:
    return lambda _, site: change_row(site, "release_file", row_of(file), **fields)


def release(**fields: object) -> Alter:
    return lambda _, site: change_row(site, "release", {"slug": SLUG}, **fields)


def drop_row(_: Published, site: Site) -> None:
    row = next(one for one in site._store.rows("release_file") if one["url"].endswith(".tgz"))
    site._store.delete("release_file", row["id"])


def new_row(name: str) -> Alter:
    def alter(made: Published, site: Site) -> None:
        number = next(one["id"] for one in site.releases() if one["slug"] == SLUG)
        row = site_files(made.release, made.manifest)[0].to_data()
        url = f"https://www.python.org/{FOLDER}/{name}"
        sides = dict.fromkeys(("gpg_signature_file", "sigstore_bundle_file", "sbom_spdx2_file"), "")
        button = {"download_button": False}
        add_row(site, number, row | sides | button | {"url": url, "slug": "another"})

    return alter


def listed(version: str, change_list: Callable[[Any], object]) -> Alter:
    """Alter what one API answers, once."""

    def alter(_: Published, site: Site) -> None:
        number = next(one["id"] for one in site.releases() if one["slug"] == SLUG)
        path = f"/api/{version}/downloads/release_file/"
        query = (("release__slug", SLUG), ("limit", "0")) if version == "v1" else ()
        call = Call("GET", path, query or (("release", str(number)),))
        reply = site.handle(call)
        assert reply
        found = json.loads(reply.body)
        change_list(found)
        site.faults.append(Fault("GET", path, Reply.json(200, found)))

    return alter


def text(words: str) -> Alter:
    return lambda _, site: set_text(site, SLUG, words)


def linked(target: str, before: str = "") -> Alter:
    """Put a link into the page as it is shown."""

    def alter(_: Published, site: Site) -> None:
        page, path = site._page, f"/downloads/release/{SLUG}/"

        def shown(asked: str) -> Reply | None:
            reply = page(asked)
            if asked != path or reply is None:
                return reply
            more = f'{before}<a href="{target}">Get it</a></body>'.encode()
            return Reply.text(200, reply.body.replace(b"</body>", more).decode())

        vars(site)["_page"] = shown

    return alter


def another(version: str, day: str, **fields: object) -> Alter:
    def alter(_: Published, site: Site) -> None:
        slug = "python-" + version.replace(".", "")
        about = {"name": f"Python {version}", "slug": slug, "release_date": f"{day}T12:00:00"}
        plain = {"version": 3, "is_published": True, "is_latest": False}
        flags = {"pre_release": False, "show_on_download_page": True}
        add_release(site, {**about, **plain, **flags, **fields})

    return alter


def both(code: str, *more: str) -> Codes:
    return {name: {code, *more} for name in ROWS}


HIDDEN: Codes = {"release row": {"RELEASE_HIDDEN"}} | both("RELEASE_HIDDEN")
DATABASE: dict[str, tuple[Alter, Codes]] = {
    "a size is wrong, I11": (change(TGZ, filesize=1), both("ROW_CHANGED")),
    "a digest is wrong, I12": (change(TGZ, sha256_sum="0" * 64), both("ROW_CHANGED")),
    "a title is another": (change(TGZ, name="Installer"), both("ROW_CHANGED")),
    "a signature is not linked": (
        change(TGZ, gpg_signature_file=""),
        both("ROW_CHANGED") | {"page": {"PAGE_INCOMPLETE"}},
    ),
    "a signature is of another file": (
        change(TGZ, sigstore_bundle_file=f"https://www.python.org/{FOLDER}/{XZ}.sigstore"),
        both("ROW_CHANGED") | {"page": {"PAGE_INCOMPLETE"}},
    ),
    "an address is another": (
        change(TGZ, url=f"https://www.python.org/{FOLDER}/Python-3.12.13.zip"),
        both("ROW_ADDED", "ROW_REMOVED") | {"page": {"PAGE_INCOMPLETE", "PAGE_LINK_UNKNOWN"}},
    ),
    "an address is at another host": (
        change(TGZ, url=f"https://evil.invalid/{TGZ}"),
        both("ROW_ADDED", "ROW_REMOVED") | {"page": {"PAGE_INCOMPLETE", "PAGE_LINK_ELSEWHERE"}},
    ),
    "a field is filled that relkit leaves empty": (
        change(TGZ, md5_sum="0" * 32),
        both("ROW_UNREADABLE", "ROW_REMOVED"),
    ),
    "a row is gone": (drop_row, both("ROW_REMOVED") | {"page": {"PAGE_INCOMPLETE"}}),
    "a row was added": (
        new_row("python-3.12.13.exe"),
        both("ROW_ADDED") | {"page": {"PAGE_LINK_UNKNOWN"}},
    ),
    "a row stands twice": (
        listed("v2", lambda rows: rows.append(rows[0])),
        {"rows v2": {"ROW_DOUBLED", "APIS_DIFFER"}},
    ),
    "one of the APIs lacks a row, I26": (
        listed("v2", lambda rows: rows.pop()),
        {"rows v2": {"ROW_REMOVED", "APIS_DIFFER"}},
    ),
    "it is a draft": (
        release(is_published=False),
        HIDDEN | {"latest": {"LATEST_WRONG"}, "page": {"PAGE_INCOMPLETE"}},
    ),
    "it is of another day": (
        release(release_date="2026-03-04T12:00:00"),
        {"release row": {"RELEASE_CHANGED"}},
    ),
    "it is not shown among the downloads, I26": (
        release(show_on_download_page=False),
        {"release row": {"RELEASE_CHANGED"}, "page": {"PAGE_INCOMPLETE"}},
    ),
    "it is taken for a preview": (
        release(pre_release=True),
        {"release row": {"RELEASE_CHANGED"}},
    ),
    "it is offered as the latest Python, I25": (
        release(is_latest=True),
        {"latest": {"LATEST_WRONG"}},
    ),
    "a preview is offered as the latest Python, I25": (
        another("3.15.0a1", "2026-03-04", is_latest=True, pre_release=True),
        {"latest": {"LATEST_WRONG"}},
    ),
    "an older one is offered as the latest of the series, I27": (
        another("3.12.1", "2026-03-05"),
        {"latest": {"LATEST_WRONG"}},
    ),
    "a later one has taken its place": (another("3.12.14", "2026-06-02"), {}),
    "the text links to a namesake elsewhere": (
        text(f"[Get it](https://evil.invalid/{TGZ})"),
        {"page": {"PAGE_LINK_ELSEWHERE"}},
    ),
    "the text links to a file that is not of the release": (
        text(f"[Get it](https://www.python.org/{FOLDER}/Python-3.12.13.tbz)"),
        {"page": {"PAGE_LINK_UNKNOWN"}},
    ),
    "the page links to a namesake by a query": (
        linked(f"https://evil.invalid/get?file={TGZ}"),
        {"page": {"PAGE_LINK_ELSEWHERE"}},
    ),
    "the page links to a namesake as browsers alone read it": (
        linked(rf"\\evil.invalid\{TGZ}"),
        {"page": {"PAGE_LINK_ELSEWHERE"}},
    ),
    "the page links to a stranger in the folder by way of another": (
        linked(f"/{FOLDER}/x/%2e%2E/evil.exe"),
        {"page": {"PAGE_LINK_UNKNOWN"}},
    ),
    "the page makes all its links lead elsewhere": (
        linked("#", before='<BASE href="https://evil.invalid/">'),
        {"page": {"PAGE_INCOMPLETE", "PAGE_LINK_ELSEWHERE"}},
    ),
    "the text says that something will follow": (
        text("Windows: not delivered at publication; will follow."),
        {"page": {"PAGE_STALE"}},
    ),
    "the page is gone": (
        answer(f"downloads/release/{SLUG}/", Reply.text(404, "no")),
        {"page": {"PAGE_MISSING"}},
    ),
}


@pytest.mark.usefixtures("rows_and_pages")
@pytest.mark.parametrize("name", DATABASE)
def test_what_was_altered_on_the_site_is_named(made: Published, site: Site, name: str) -> None:
    alter, wanted = DATABASE[name]
    alter(made, site)
    report = made.looked_at(site)
    assert codes(report) == wanted
    assert report.status == (1 if wanted else 0)


def test_a_later_release_in_its_place_is_no_fault_and_is_told(made: Published, site: Site) -> None:
    another("3.12.14", "2026-06-02")(made, site)
    report = made.looked_at(site)
    assert report.status == 0
    assert "superseded: python3.12 leads to Python 3.12.14, of 2026-06-02" in report.notes
    assert "superseded" in next(one.text for one in report.lines if one.name == "latest")


@pytest.mark.usefixtures("without_upstream")
def test_what_is_larger_than_any_file_is_not_read_though_the_rows_say_it_is_that_large(
    made: Published, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a manifest a size is the site's word."""
    monkeypatch.setattr(files, "LARGEST_FILE", 1000)
    change(TGZ, filesize=10**15)(made, site)
    instead(f"{FOLDER}/{TGZ}", Reply(200, file=Endless()))(made, site)  # type: ignore[arg-type]
    told = nothing_given(SECURITY.version, Named(), made.root, made.keys)
    assert "FILE_LONGER" in codes(made.looked_at(site, told))["files"]


@pytest.mark.usefixtures("without_upstream")
def test_a_download_that_broke_off_is_asked_for_once_more(
    made: Published, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = []
    fetch = stranger.Stranger.fetch

    def breaking(self: stranger.Stranger, path: str, **about: Any) -> stranger.Got:  # noqa: ANN401 (passed on)
        if path.endswith((TGZ, XZ)) and path not in broken:
            broken.append(path)
            raise WorldError("broke off", code="SITE_UNREACHABLE", remedy="Again.")
        return fetch(self, path, **about)

    monkeypatch.setattr(stranger.Stranger, "fetch", breaking)
    assert made.looked_at(site).status == 0
    assert len(broken) == 2


@pytest.mark.usefixtures("without_upstream")
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError()])
def test_what_ails_this_machine_accuses_nobody(
    made: Published, site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(stranger.Stranger, "_read", full)
    report = made.looked_at(site)
    assert {"THIS_MACHINE"} in codes(report).values()
    assert (report.status, report.words) == (4, "CANNOT CHECK")


@pytest.mark.usefixtures("without_upstream")
def test_who_interrupts_does_not_wait_for_what_is_under_way(
    made: Published, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    visits: list[stranger.Visit] = []

    def ended(visit: stranger.Visit) -> None:
        visits.append(visit)

    monkeypatch.setattr(stranger.Visit, "end", ended)
    monkeypatch.setattr(files._Fetching, "subject", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made.looked_at(site)
    assert len(visits) == 1


def test_after_the_end_of_a_visit_nothing_begins_and_nothing_goes_on() -> None:
    visit = stranger.Visit()
    visit.require_time()
    visit.end()
    for call in (visit.wait, visit.require_time):
        with pytest.raises(WorldError, match="DEADLINE"):
            call()


def test_a_page_made_to_be_slow_to_read_is_read_in_one_pass() -> None:
    """The standard library's parser needs minutes for these, and hours for as much as is read."""
    for odd in (b"<a ", b"<a href=", b'<a href="x', b'<a "', b"<!--", b"<a\n/ "):
        assert len(links(odd * 100_000)[0]) <= 100_000


ATTRIBUTE = st.sampled_from(["class=x", 'title="a > b"', "id='q'", "hidden"])
TARGET = st.text(st.characters(codec="utf-8", exclude_characters='"\r\0'), max_size=30)


@given(st.lists(st.tuples(TARGET, ATTRIBUTE, ATTRIBUTE), max_size=5))
def test_the_links_of_a_page_are_those_the_standard_library_finds(
    told: list[tuple[str, str, str]],
) -> None:
    page = "".join(
        f'<p>x</p><A {one}\nHref = "{html.escape(target)}" {other}>y</a>'
        for target, one, other in told
    )
    wanted = [target.strip() for target, _, _ in told if target.strip()]
    assert links(page.encode()) == (wanted, "")


HERE = "https://www.python.org/downloads/release/x/"


@pytest.mark.parametrize(
    ("link", "address"),
    [
        ("/ftp/a", "https://www.python.org/ftp/a"),
        ("//evil.invalid/x", "https://evil.invalid/x"),
        ("///evil.invalid/x", "https://evil.invalid/x"),
        (r"/\evil.invalid/x", "https://evil.invalid/x"),
        ("ht\ntps://evil.invalid/x", "https://evil.invalid/x"),
        ("HTTPS://WWW.Python.ORG:443/ftp/%2e%2E/%61", "https://www.python.org/a"),
        ("/a/b//../c", "https://www.python.org/a/b/c"),
        ("../y/?q=%41#z", "https://www.python.org/downloads/release/y/?q=A"),
        ("https://www.python.org@evil.invalid/x", "https://evil.invalid/x"),
        ("mailto:x@example.org", "mailto:x@example.org"),
        ("http://[", "http://["),
        ("https://x:y/", "https://x:y/"),
    ],
)
def test_a_link_leads_where_browsers_go(link: str, address: str) -> None:
    assert leads(HERE, link) == address


# --- what cannot be read --------------------------------------------------------------------------

V1 = "api/v1/downloads/"
UNREAD: dict[str, tuple[Alter, Codes]] = {
    "the server fails": (
        instead(f"{FOLDER}/{TGZ}", Reply.text(502, "")),
        {"files": {"SITE_FAILED"}} | NO_FILE,
    ),
    "a page comes instead of JSON": (
        answer(f"{V1}release_file/", Reply.text(200, "<p>busy")),
        {"rows v1": {"SITE_UNREADABLE"}},
    ),
    "JSON is cut": (
        answer(f"{V1}release_file/", Reply(200, b'{"meta": ', "application/json")),
        {"rows v1": {"SITE_UNREADABLE"}},
    ),
    "JSON is nested deeper than can be": (
        answer(f"{V1}release_file/", Reply(200, b"[" * 100_000, "application/json")),
        {"rows v1": {"SITE_UNREADABLE"}},
    ),
    "a list is not the whole": (
        listed("v1", lambda found: found["objects"].pop()),
        {"rows v1": {"SITE_UNREADABLE"}},
    ),
    "an API leads to another host": (
        answer(f"{V1}release/", Reply(301, headers={"Location": "https://evil.invalid/"})),
        {"rows v1": {"SITE_REDIRECT"}},
    ),
    "the site says later, much later": (
        answer(f"{V1}release/", Reply(429, headers={"Retry-After": "3600"})),
        {"rows v1": {"SITE_THROTTLED"}},
    ),
}


@pytest.mark.usefixtures("without_upstream")
@pytest.mark.parametrize("name", UNREAD)
def test_what_cannot_be_read_is_neither_good_nor_bad(
    made: Published, site: Site, name: str
) -> None:
    alter, wanted = UNREAD[name]
    alter(made, site)
    report = made.looked_at(site)
    assert codes(report) == wanted
    assert (report.status, report.words) == (4, "CANNOT CHECK")


@pytest.mark.usefixtures("without_upstream")
def test_a_site_that_says_later_is_asked_again_once(made: Published, site: Site) -> None:
    answer(f"{V1}release/", Reply(429, headers={"Retry-After": "1"}))(made, site)
    assert made.looked_at(site).status == 0


def test_after_the_deadline_nothing_is_asked(made: Published, site: Site) -> None:
    report = made.looked_at(site, seconds=-1)
    assert report.status == 4
    found = codes(report)
    assert found.keys() == {line.name for line in report.lines} - {"manifest"}
    unread = {"DEADLINE", "SIGNATURE_UNREAD", "FILE_UNREAD", "NOT_LOOKED_AT", "TAG_UNREAD"}
    assert set().union(*found.values()) == unread
    assert not site.log


# --- upstream -------------------------------------------------------------------------------------


def at_upstream(made: Published, *arguments: str) -> str:
    return git(made.folder / "upstream.git", *arguments)


def tag_again(made: Published, commit: str, *options: str) -> None:
    home = {"GNUPGHOME": str(made.home)}
    who = ["-u", made.key] if "-s" in options else []
    git(made.folder / "work", "tag", "-f", *who, *options, SECURITY.tag, commit, **home)
    git(made.folder / "work", "push", "--quiet", "--force", "../upstream.git", SECURITY.tag)


def long_ago(made: Published) -> None:
    """Make a commit after the release's as if by a clock that is years behind, and another."""
    work = made.folder / "work"
    for day in ("2020-01-01", "2026-03-04"):
        dates = {f"GIT_{who}_DATE": f"{day}T00:00:00Z" for who in ("AUTHOR", "COMMITTER")}
        git(work, "commit", "--quiet", "--allow-empty", "-m", day, **dates)
    git(work, "push", "--quiet", "../upstream.git", "HEAD:refs/heads/3.12")


def signed_by_another(made: Published) -> None:
    key = make_throwaway_key(made.folder / "other", "Mallory", helpers.IDENTITY)
    home = {"GNUPGHOME": str(made.folder / "other")}
    commit = made.manifest.commit
    git(made.folder / "work", "tag", "-f", "-u", key, *SIGNED, SECURITY.tag, commit, **home)
    git(made.folder / "work", "push", "--quiet", "--force", "../upstream.git", SECURITY.tag)


def rewritten(made: Published) -> None:
    work = made.folder / "work"
    git(work, "checkout", "--quiet", "--orphan", "new")
    git(work, "commit", "--quiet", "-m", "another history")
    git(work, "push", "--quiet", "--force", "../upstream.git", "HEAD:refs/heads/3.12")


SIGNED = ("-s", "-m", "again")
MOVED = {"UPSTREAM_DIVERGED"}
REPOSITORY: dict[str, tuple[Callable[[Published], object], Codes, int]] = {
    "the tag is on another commit, T48": (
        lambda made: tag_again(made, "HEAD", *SIGNED),
        {"tag": MOVED},
        1,
    ),
    "the tag was made again": (
        lambda made: tag_again(made, made.manifest.commit, *SIGNED),
        {"tag": MOVED},
        1,
    ),
    "the tag is nobody's word": (
        lambda made: tag_again(made, made.manifest.commit),
        {"tag": {*MOVED, "TAG_NOT_ANNOTATED"}, "tag signature": {"TAG_UNREAD"}},
        1,
    ),
    "the tag is not signed": (
        lambda made: tag_again(made, made.manifest.commit, "-a", "-m", "again"),
        {"tag": MOVED, "tag signature": {"TAG_SIGNATURE"}},
        1,
    ),
    "the tag is gone": (
        lambda made: at_upstream(made, "tag", "-d", SECURITY.tag),
        {"tag": MOVED, "tag signature": {"TAG_UNREAD"}},
        1,
    ),
    "the tag is by another key of the same name": (
        signed_by_another,
        {"tag": MOVED, "tag signature": {"TAG_SIGNATURE"}},
        1,
    ),
    "a later commit was made by a clock that is behind": (long_ago, {}, 0),
    "the branch was rewritten": (rewritten, {"tag": MOVED}, 1),
    "the branch is gone": (
        lambda made: at_upstream(made, "update-ref", "-d", "refs/heads/3.12"),
        {"tag": MOVED},
        1,
    ),
    "the repository is gone": (
        lambda made: (made.folder / "upstream.git").rename(made.folder / "moved.git"),
        {"tag": {"UPSTREAM_UNREAD"}, "tag signature": {"TAG_UNREAD"}},
        4,
    ),
}


@pytest.mark.parametrize("name", REPOSITORY)
def test_what_was_altered_upstream_is_named(
    made: Published, site: Site, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(verifying, "LOOKS", verifying.LOOKS[-1:])
    alter, wanted, status = REPOSITORY[name]
    alter(made)
    report = made.looked_at(site)
    assert codes(report) == wanted
    assert report.status == status


# --- on whose word --------------------------------------------------------------------------------


def test_without_a_trust_root_signatures_cannot_be_checked(made: Published, site: Site) -> None:
    report = made.looked_at(site, made.given(root=None))
    assert codes(report) == {"signatures": {"TRUST_ROOT_MISSING"}}
    assert report.status == 4


def test_a_foreign_trust_root_vouches_for_nothing(
    made: Published, site: Site, tmp_path: Path
) -> None:
    foreign = LoopbackSigstore(tmp_path / "foreign").trusted_root().encode()
    report = made.looked_at(site, made.given(root=foreign))
    assert codes(report) == {"signatures": {"SIGNATURE_SIGSTORE_INVALID"}}
    assert report.status == 1


def test_without_keys_nothing_signed_with_gpg_can_be_checked(made: Published, site: Site) -> None:
    report = made.looked_at(site, made.given(keys=b""))
    assert codes(report) == {
        "signatures": {"GPG_KEYS_MISSING"},
        "tag signature": {"GPG_KEYS_MISSING"},
    }
    assert report.status == 4


def test_who_must_have_signed_is_what_the_caller_says_and_no_table(
    made: Published, site: Site
) -> None:
    """I09: the tables of a tool were wrong. I04: it was another key than usual."""
    named = Named(identity=helpers.IDENTITY, issuer="https://accounts.example.org", key="A" * 40)
    report = made.looked_at(site, made.given(named=named))
    assert codes(report) == {
        "signatures": {"SIGNATURE_IDENTITY"},
        "tag signature": {"TAG_SIGNATURE"},
    }


def test_without_a_manifest_nothing_is_verified_and_that_is_said(
    made: Published, site: Site
) -> None:
    named = Named(helpers.IDENTITY, made.issuer, made.key)
    told = nothing_given(SECURITY.version, named, made.root, made.keys)
    report = made.looked_at(site, told)
    assert codes(report) == {"manifest": {"NO_MANIFEST"}}
    assert (report.status, report.words) == (3, "INCOMPLETE")
    assert {line.since for line in report.lines} == {""}


@pytest.mark.parametrize(
    ("alter", "wanted"),
    [
        (remove(f"{TGZ}.asc"), {"files", "folders", "signatures"}),
        (change(TGZ, gpg_signature_file=""), {"rows v1", "rows v2"}),
        (change(TGZ, filesize=5), {"files", "signatures", "SBOMs"}),
        (change(TGZ, sha256_sum="0" * 64), {"files"}),
        (drop_row, {"rows v1", "rows v2"}),
        (new_row("python-3.12.13.exe"), {"rows v1", "rows v2", "files"}),
        (remove(DOCS), {"folders"}),
        (add(f"{FOLDER}/python-3.12.13-amd64.exe"), {"folders"}),
    ],
)
@pytest.mark.usefixtures("without_upstream")
def test_without_a_manifest_what_the_site_says_is_held_against_itself_and_the_expected_set(
    made: Published, site: Site, alter: Alter, wanted: set[str]
) -> None:
    """I01, I02, I03, I11, I14: what could have been seen without any record."""
    alter(made, site)
    named = Named(helpers.IDENTITY, made.issuer, made.key)
    told = nothing_given(SECURITY.version, named, made.root, made.keys)
    report = made.looked_at(site, told)
    assert codes(report).keys() >= wanted
    assert report.status == 1


def test_without_a_manifest_and_without_names_signatures_cannot_be_checked(
    made: Published, site: Site
) -> None:
    told = nothing_given(SECURITY.version, Named(), made.root, made.keys)
    report = made.looked_at(site, told)
    assert codes(report) == {
        "manifest": {"NO_MANIFEST"},
        "signatures": {"IDENTITY_NOT_GIVEN"},
        "tag signature": {"KEY_NOT_GIVEN"},
    }
    assert report.status == 4


@pytest.mark.parametrize("day", ["tomorrow", "2026-13-01", "<b>", 7, ["2026-03-03"]])
def test_a_date_that_is_none_is_the_sites_fault_and_not_the_callers(
    made: Published, site: Site, day: object
) -> None:
    row = {"slug": SLUG, "release_date": day}
    answer("api/v2/downloads/release/", Reply.json(200, [row]))(made, site)
    told = nothing_given(SECURITY.version, Named(), made.root, made.keys)
    with pytest.raises(WorldError, match="SITE_UNREADABLE"):
        made.looked_at(site, told)


def test_what_is_not_public_at_all_has_no_date_to_be_looked_at_by(
    made: Published, site: Site
) -> None:
    told = nothing_given(Version.parse("3.12.14"), Named(), made.root, made.keys)
    with pytest.raises(CheckError, match="RELEASE_HIDDEN"):
        made.looked_at(site, told)


@pytest.mark.parametrize(
    "upstream",
    [
        *("ext::sh -c id", "-u", "--upload-pack=x", "git@github.com:python/cpython.git"),
        *("https://user:pw@github.com/python/cpython.git", "http://x.invalid/y", "", "relative"),
        "/a/../b",
    ],
)
def test_what_is_no_address_of_a_repository_is_wrong_usage(
    made: Published, site: Site, upstream: str
) -> None:
    with pytest.raises(UsageError, match="BAD_URL"):
        made.looked_at(site, upstream=upstream)


# --- manifests and amendments ---------------------------------------------------------------------


BUGFIX = Release.parse("3.14.3", "", "2026-02-03")


@pytest.fixture(scope="session")
def amended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    folder = tmp_path_factory.mktemp("amended")
    with helpers.published(folder, BUGFIX, late="macos") as one:
        yield one


def test_an_amended_release_is_verified_with_its_amendment(amended: Published) -> None:
    with amended.site() as site:
        report = amended.looked_at(site, amended.given(amended.first, amended.manifest))
    assert codes(report) == {}
    assert "amended" in report.lines[0].text


def test_without_its_amendment_what_came_late_is_named(amended: Published) -> None:
    with amended.site() as site:
        report = amended.looked_at(site, amended.given(amended.first))
    assert codes(report) == {
        "rows v1": {"ROW_ADDED"},
        "rows v2": {"ROW_ADDED"},
        "folders": {"FILE_ADDED"},
        "page": {"PAGE_LINK_UNKNOWN"},
    }
    package = f"{BUGFIX.folder}/python-3.14.3-macos11.pkg"
    added = {one.what for one in report.changes if one.line == "folders"}
    assert added == {package, f"{package}.sigstore"}
    assert {one.how for one in report.changes} == {"added"}


def test_an_amendment_of_another_manifest_is_wrong_usage(amended: Published) -> None:
    other = amended.first.model_copy(update={"policy_digest": "0" * 64})
    with pytest.raises(UsageError, match="MANIFEST_OTHER: the amendment is of another"):
        amended.given(other, amended.manifest)


def altered(made: Published, **fields: object) -> Manifest:
    return made.manifest.model_copy(update=fields)


@pytest.mark.parametrize("fields", [{"subjects": ()}, {"companions": ()}])
def test_a_manifest_that_does_not_list_what_it_must_is_refused(
    made: Published, site: Site, fields: dict[str, object]
) -> None:
    """I01-I03: the expected set is no matter of which files there are."""
    report = made.looked_at(site, made.given(altered(made, **fields)))
    assert codes(report)["manifest"] == {"MANIFEST_FILES"}
    assert report.status == 1


def test_a_manifest_with_a_stranger_is_refused_and_nothing_is_fetched_by_it(
    made: Published, site: Site
) -> None:
    strange = Artifact(name="evil.exe", size=1, sha256="0" * 64)
    manifest = altered(made, subjects=(*made.manifest.subjects, strange))
    report = made.looked_at(site, made.given(manifest))
    assert codes(report)["manifest"] == {"MANIFEST_FILES"}
    assert codes(report)["files"] == {"NOT_LOOKED_AT"}
    assert not any("/ftp/" in path for _, path, _ in site.log)


def test_a_manifest_of_another_version_is_wrong_usage(made: Published) -> None:
    with pytest.raises(UsageError, match="MANIFEST_OTHER"):
        made.given(altered(made, version="3.12.14"))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"[" * 10_000])
def test_what_is_no_manifest_is_wrong_usage(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m").write_bytes(data)
    with pytest.raises(UsageError, match="MANIFEST_UNREADABLE"):
        from_files(SECURITY.version, [tmp_path / "m"], named=Named())


def test_a_manifest_made_under_another_policy_than_the_callers_is_wrong_usage(
    made: Published,
) -> None:
    with pytest.raises(UsageError, match="POLICY_DIGEST"):
        made.given(policy_sha256="0" * 64)


# --- records --------------------------------------------------------------------------------------


def unsealed(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, text_ in files.items():
        (folder / f"{name.replace('_', '-')}.json").write_text(text_)
    return folder


def test_a_folder_that_nobody_has_sealed_vouches_for_nothing(
    made: Published, site: Site, tmp_path: Path
) -> None:
    folder = unsealed(tmp_path / "3.12.13", manifest=made.manifest.to_text())
    about: dict[str, Any] = {"named": Named(), "policy_sha256": None, "root": made.root}
    report = made.looked_at(site, from_record(SECURITY.version, [folder], **about))
    found = {line.name: line.outcome for line in report.lines}
    assert found["manifest"] != "verified"
    assert codes(report)["signatures"] == {"POLICY_NOT_GIVEN"}
    assert report.status in {1, 4}
    assert not any("sealed by" in one for one in report.trusted)


def test_the_record_of_an_amendment_stands_in_the_place_of_its_releases(
    amended: Published, tmp_path: Path
) -> None:
    folders = [
        unsealed(tmp_path / "3.14.3", manifest=amended.first.to_text()),
        unsealed(tmp_path / "3.14.3-amendment", manifest_2=amended.manifest.to_text()),
    ]
    about: dict[str, Any] = {"named": Named(), "policy_sha256": None, "root": None}
    told = from_record(BUGFIX.version, folders, **about)
    assert told.manifests == (amended.first, amended.manifest)
    with pytest.raises(UsageError, match="MANIFEST_OTHER"):
        from_record(BUGFIX.version, folders[::-1], **about)


def test_two_records_in_folders_of_one_name_are_two(amended: Published, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    folders = [
        unsealed(tmp_path / "a" / "3.14.3", manifest=amended.first.to_text()),
        unsealed(tmp_path / "b" / "3.14.3", manifest_2=amended.manifest.to_text()),
    ]
    about: dict[str, Any] = {"named": Named(), "policy_sha256": None, "root": None}
    told = from_record(BUGFIX.version, folders, **about)
    assert told.manifests == (amended.first, amended.manifest)


def test_an_older_manifest_than_the_one_that_holds_is_not_what_is_public(
    made: Published, site: Site
) -> None:
    """Of a revision that was given up: genuine, and of the same version."""
    older = made.manifest.subjects[0].model_copy(update={"sha256": "0" * 64})
    rest = made.manifest.subjects[1:]
    manifest = altered(made, subjects=(older, *rest), tag_object="0" * 40, commit="1" * 40)
    report = made.looked_at(site, made.given(manifest))
    found = codes(report)
    assert found["tag"] == {"UPSTREAM_DIVERGED"}
    assert "FILE_CHANGED" in found["files"]
    assert report.status == 1


def test_a_record_without_a_manifest_is_refused(tmp_path: Path) -> None:
    folder = unsealed(tmp_path / "3.12.13", policy="{}")
    with pytest.raises(RecordError, match="NO_MANIFEST"):
        from_record(SECURITY.version, [folder], named=Named(), policy_sha256=None, root=None)


@pytest.mark.slow
def test_a_whole_rehearsal_stands_as_its_sealed_record_says(
    snapshots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records, version = tmp_path / "records", rehearsals.VERSION
    rehearsals.copy(snapshots / "close-run", records)
    with rehearsals.opened_at(records) as opened:
        seal.close(records / version, opened.run.world)
    public = records / "world" / "servers" / "public" / opened.run.release.folder
    root = helpers.sha256(records / version / "trust" / "trusted_root.json")
    asked = [
        *("verify", "release", version, "--record", str(records / version)),
        *("--policy", f"sha256:{opened.run.inputs.policy_digest}"),
        *("--trust-root", f"sha256:{root}"),
        *("--upstream", str(records / "world" / "upstream.git")),
    ]
    with serve(records) as address:
        site = ["--site", address.removesuffix("downloads/")]
        assert main([*asked, *site]) == 0, capsys.readouterr().out
        assert "A REHEARSAL" in " ".join(capsys.readouterr().out.split())
        assert main([*asked[:7], *asked[9:], *site]) == 4
        swapped = records / version / "manifest.json"
        genuine = swapped.read_text()
        other = Manifest.model_validate_json(genuine).model_copy(update={"policy_digest": "0" * 64})
        swapped.write_text(other.to_text())
        assert main([*asked, *site]) == 1
        said = " ".join(capsys.readouterr().out.split())
        assert "manifest REFUSED" in said
        assert "of the record nothing" in said
        swapped.write_text(genuine)
    (public / f"Python-{version}.tgz.sigstore").unlink()
    (public / f"Python-{version}.tgz").write_bytes(b"")
    with serve(records) as address:
        assert main([*asked, "--site", address.removesuffix("downloads/")]) == 1
    said = capsys.readouterr().out
    assert "FILE_REMOVED" in said
    assert "FILE_SIZE" in said


# --- how a connection fails -----------------------------------------------------------------------


@pytest.fixture
def port() -> Iterator[int]:
    """Serve a body that is shorter than was said, without TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(("scheme", "words"), [("http", "broke off"), ("https", "TLS")])
def test_how_a_connection_failed_is_said(port: int, scheme: str, words: str) -> None:
    site = stranger.Stranger(f"{scheme}://127.0.0.1:{port}/", stranger.Visit())
    with pytest.raises(WorldError, match="SITE_UNREACHABLE") as caught:
        site.fetch("x")
    assert words in str(caught.value)


def test_a_name_that_leads_nowhere_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    site = stranger.Stranger("https://www.python.org/", stranger.Visit())
    with pytest.raises(WorldError, match=r"SITE_UNREACHABLE.*DNS"):
        site.fetch("x")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_server_that_outlives_every_limit_ends_the_command_with_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    """Headers that drip are read for as long as they do."""
    ended, statuses = threading.Event(), []

    def end(status: int) -> None:
        statuses.append(status)
        ended.set()

    monkeypatch.setattr(cli_verify_release, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(os, "_exit", end)
    with cli_verify_release._ending(argparse.Namespace(deadline=0.01, json=as_json)):
        assert ended.wait(60)
    said = capsys.readouterr()
    assert statuses == [4]
    assert "DEADLINE" in (said.out if as_json else said.err)


# --- the command ----------------------------------------------------------------------------------


def command(made: Published, site: Site, *more: str) -> list[str]:
    for name, data in (("root", made.root), ("keys", made.keys)):
        (made.folder / name).write_bytes(data)
    made.given()
    return [
        *("verify", "release", "3.12.13", "--site", site.url, "--docs", f"{site.url}docs/"),
        *("--upstream", str(made.folder / "upstream.git")),
        *("--manifest", str(made.folder.parent / "given-0.json")),
        *("--trust-root", str(made.folder / "root"), "--keys", str(made.folder / "keys")),
        *("--key", made.key, *more),
    ]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stranger, "PER_SECOND", 10_000)


@pytest.mark.usefixtures("quick")
def test_the_command_says_what_stands_and_what_was_taken_on_whose_word(
    made: Published, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(made, site)) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "VERIFIED"
    assert "you gave" in said
    assert made.key in said
    assert all(len(line) <= 80 or " " not in line.strip() for line in said.splitlines())
    first = " ".join(said[: said.index("what  ")].split())
    assert "Python 3.12.13: VERIFIED" in first
    assert f"GPG: {made.key}, as you named it" in first
    assert f"Sigstore: {helpers.IDENTITY}" in first
    assert "as the manifest names it" in first


@pytest.mark.usefixtures("quick")
def test_the_command_names_what_is_wrong_and_says_what_to_do(
    made: Published, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(DOCS, flipped)(made, site)
    assert main(command(made, site)) == 1
    said = capsys.readouterr().out
    assert "  changed  FILE_CHANGED: SHA-256\n" in said
    assert f"\n           {DOCS_FOLDER}/{DOCS}\n" in said
    assert "\nREFUSED\nWhat to do: " in said


@pytest.mark.usefixtures("quick")
def test_the_command_tells_a_monitor_the_same_as_json(
    made: Published, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(DOCS, flipped)(made, site)
    assert main(command(made, site, "--json")) == 1
    found = json.loads(capsys.readouterr().out)
    about = (1, 1, "REFUSED", "3.12.13")
    assert tuple(found[name] for name in ("form", "status", "verdict", "version")) == about
    (changed,) = found["changes"]
    assert changed["what"] == f"{DOCS_FOLDER}/{DOCS}"
    assert {line["name"]: line["outcome"] for line in found["lines"]}["tag"] == "verified"


@pytest.mark.parametrize(
    "more",
    [
        ["--jobs", "0"],
        ["--jobs", "99"],
        ["--identity", "x@example.org"],
        ["--key", "ABC"],
        ["--key", "Z" * 40],
        ["--deadline", "nan"],
        ["--deadline", "inf"],
        ["--site", "http://www.python.org/"],
        ["--site", "www.python.org"],
        ["--docs", "https://user@docs.python.org/"],
        ["--record", "records/3.12.13"],
        ["--keys", "/nonexistent"],
        ["--trust-root", "sha256:x"],
        ["--policy", "sha256:" + "0" * 64],
    ],
)
def test_wrong_usage_is_status_2_and_nothing_is_asked(
    made: Published, site: Site, more: list[str]
) -> None:
    assert main(command(made, site, *more)) == 2
    assert not site.log


@pytest.mark.parametrize(
    ("site_url", "status", "code"),
    [("", 1, "RELEASE_HIDDEN"), ("http://127.0.0.1:9/", 4, "SITE_UNREACHABLE")],
)
def test_where_nothing_can_be_compared_the_status_says_why(
    site: Site, capsys: pytest.CaptureFixture[str], site_url: str, status: int, code: str
) -> None:
    asked = ["verify", "release", "3.12.14", "--site", site_url or site.url]
    assert main(asked) == status
    assert code in capsys.readouterr().err
    assert main([*asked, "--json"]) == status
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["lines"][0]["code"]) == (status, code)


def test_every_code_is_in_the_documents_and_no_other() -> None:
    """A monitor goes by them."""
    project = Path(__file__).parents[1]
    sources = [*(project / "relkit/verify_release").glob("*.py")]
    sources += [project / "relkit/cli_verify_release.py", project / "relkit/cli_release_given.py"]
    code = re.compile(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"')
    used = {one for path in sources for one in code.findall(path.read_text("utf-8"))}
    used = {one for one in used if not one.startswith(("GIT_", "SSH_", "XDG_"))}
    text = (project / "docs/verify-release.md").read_text("utf-8").partition("### Codes")[2]
    told = {
        one for row in text.splitlines() for one in re.findall(r"`([A-Z0-9_]+_[A-Z0-9]+)`", row)
    }
    elsewhere = {"SITE_FAILED", "SITE_THROTTLED", "SITE_DENIED", "SITE_MISSING", "SITE_REDIRECT"}
    elsewhere |= {"DEADLINE", "TAG_NOT_ANNOTATED", "TAG_NAME_MISMATCH", "TAG_NOT_ON_COMMIT"}
    elsewhere |= {"SIGNATURE_SIGSTORE_INVALID", "SIGNATURE_SIGSTORE_IDENTITY", "SBOM_SUBJECT"}
    elsewhere |= {"SIGNATURE_GPG_INVALID", "SIGNATURE_GPG_KEY", "SIGNATURE_GPG_COUNT"}
    assert used - told == set()
    assert told - used - elsewhere - {"SIGNATURE_GPG_WEAK"} == set()


def test_the_trust_root_of_the_package_is_one_and_needs_no_network() -> None:
    trusted_root(production_root())
