"""Pages, cache and state of the python.org stand-in."""

from __future__ import annotations

import re
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from site_helpers import DRAFT, URL, Client

from relkit.errors import UsageError, WorldError
from relkit.rehearsal.site import Fault, Site
from relkit.rehearsal.site_admin import enter_page_text
from relkit.rehearsal.site_http import Reply


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site.sqlite", tmp_path / "public", tmp_path / "docs") as site:
        yield site


@pytest.fixture
def client(site: Site) -> Client:
    """Return a client of a site with one draft, number 1."""
    client = Client(site)
    assert client.add("v2/release/", **DRAFT) == 1
    return client


# --- purges and the cache ---------------------------------------------------------------------

BOXES = [
    ("PURGE", f"https://www.python.org/box/{box}/")
    for box in ("supernav-python-downloads", "homepage-downloads", "download-sources")
]


def test_only_saving_a_published_release_purges_its_pages(client: Client) -> None:
    client.add("v1/release_file/", **client.file())
    assert client.site.purges == []
    client.ask("PATCH", "v2/release/1/", json={"is_published": True})
    calls = client.site.purges
    assert calls[0][0] == "POST"
    assert calls[0][1].endswith("/purge/downloads")
    assert calls[1:3] == [
        ("PURGE", "https://www.python.org/ftp/python/"),
        ("PURGE", "https://www.python.org/ftp/python/3.15.0/"),
    ]
    assert calls[3:] == BOXES
    client.ask("PATCH", "v2/release_file/1/", json={"description": "new"})
    assert client.site.purges[len(calls) :] == BOXES
    client.ask("PATCH", "v2/release/1/", json={"is_published": False})
    assert len(client.site.purges) == len(calls) + 3


PAGE = "downloads/release/python-3150a1/"


def test_a_draft_is_shown_to_who_guesses_its_address(client: Client) -> None:
    page = client.ask("GET", PAGE)
    assert page.status_code == 200
    assert "Draft" in page.text


def test_the_cache_keeps_a_page_until_the_release_is_published(client: Client) -> None:
    before = client.ask("GET", PAGE).text
    client.add("v1/release_file/", **client.file())
    assert client.ask("GET", PAGE).text == before
    origin = client.ask("GET", PAGE, headers={"X-Rehearsal-Origin": "1"}).text
    assert "Gzipped source tarball" in origin
    client.ask("PATCH", "v2/release/1/", json={"is_published": True})
    assert "Gzipped source tarball" in client.ask("GET", PAGE).text


@pytest.mark.parametrize("size", [10, 5_000_000])
def test_the_cache_keeps_a_replaced_file_until_its_address_is_purged(
    client: Client, tmp_path: Path, size: int
) -> None:
    folder = tmp_path / "public/ftp/python/3.15.0"
    folder.mkdir(parents=True)
    path = "ftp/python/3.15.0/a.tgz"
    assert client.ask("GET", path).status_code == 404
    (folder / "a.tgz").write_bytes(b"1" * size)
    assert client.ask("GET", path).status_code == 404
    assert client.ask("PURGE", path).json()["status"] == "ok"
    assert client.ask("GET", path).content == b"1" * size
    (folder / "new").write_bytes(b"2" * size)
    (folder / "new").replace(folder / "a.tgz")
    stale = client.ask("GET", path + "?x=1")
    assert (stale.content[:1], stale.headers["X-Cache"]) == (b"1", "HIT")
    assert client.ask("GET", path, headers={"X-Rehearsal-Origin": "1"}).content[:1] == b"2"
    client.ask("PURGE", path)
    fresh = client.ask("GET", path)
    assert (fresh.content, fresh.headers["X-Cache"]) == (b"2" * size, "MISS")


def test_an_answer_fetched_before_a_purge_is_not_kept_after_it(site: Site) -> None:
    mark = site.cache.mark()
    site.cache.purge("/ftp/a")
    site.cache.put("/ftp/a", Reply(200, b"old"), mark)
    assert site.cache.get("/ftp/a") is None


# --- pages ------------------------------------------------------------------------------------


def published(client: Client, name: str, date: str, **fields: object) -> None:
    slug = "python-" + name.replace(".", "")
    client.add(
        "v2/release/",
        name=f"Python {name}",
        slug=slug,
        release_date=f"{date}T12:00:00Z",
        is_published=True,
        **fields,
    )


def test_latest_follows_the_mark_and_a_series_the_newest_date(client: Client) -> None:
    published(client, "3.14.2", "2026-02-01", is_latest=True)
    published(client, "3.14.3", "2026-03-01")
    published(client, "3.14.4rc1", "2026-04-01", pre_release=True)
    leads = {
        name: client.ask("GET", f"downloads/latest/{name}/").headers["Location"]
        for name in ("python3", "python3.14", "python3.15", "prerelease", "python2")
    }
    assert leads == {
        "python3": "/downloads/release/python-3142/",
        "python3.14": "/downloads/release/python-3144rc1/",
        "python3.15": "/downloads/",
        "prerelease": "/downloads/release/python-3144rc1/",
        "python2": "/downloads/",
    }
    assert client.ask("GET", "downloads/latest/pymanager/").status_code == 500
    listed = client.ask("GET", "downloads/").text
    assert "Python 3.14.4rc1" in listed
    assert "Python 3.15.0a1" not in listed


def test_the_page_lists_each_file_with_its_digest_and_local_links(client: Client) -> None:
    fields = client.file(sigstore_bundle_file=URL + ".sigstore")
    client.add("v1/release_file/", **fields)
    page = client.ask("GET", PAGE).text
    assert '<a href="/ftp/python/3.15.0/Python-3.15.0a1.tgz"' in page
    assert '<a href="/ftp/python/3.15.0/Python-3.15.0a1.tgz.sigstore"' in page
    assert "ab" * 32 in page
    assert "27.0 MB" in page
    assert "5 May 2026" in page


def test_page_text_is_entered_in_the_form_and_shown_without_its_markup_working(
    client: Client,
) -> None:
    text = "# Hello\r\n<script>x</script>\r\n\r\n![p](https://x.org/p.png) [j](javascript:x)\r\n"
    enter_page_text(
        url=client.site.url, token=client.site.v2_token, slug="python-3150a1", text=text
    )
    assert client.site.content("python-3150a1") == text.replace("\r\n", "\n")
    page = client.ask("GET", PAGE).text
    assert "<h1>Hello</h1>" in page
    assert "<script" not in page
    assert "<img" not in page
    assert "javascript:" not in page


def test_the_form_is_for_staff(client: Client) -> None:
    path = "admin/downloads/release/python-3150a1/content/"
    assert client.ask("POST", path, key=None, data={"content": "x"}).status_code == 403
    with pytest.raises(WorldError, match="SITE_REFUSED"):
        enter_page_text(url=client.site.url, token="no", slug="python-3150a1", text="x")  # noqa: S106 (a wrong one)
    with pytest.raises(WorldError, match="404"):
        enter_page_text(url=client.site.url, token=client.site.v2_token, slug="x", text="x")
    assert client.site.content("python-3150a1") == ""


def test_a_person_logs_in_with_the_token_and_a_cookie(client: Client) -> None:
    path = "admin/downloads/release/python-3150a1/content/"
    with requests.Session() as browser:
        form = browser.get(client.site.url + path, timeout=20)
        assert "password" in form.text
        sent = {"token": client.site.v2_token, "next": f"/{path}"}
        action = re.findall(r'action="/([^"]+)"', form.text)
        login = client.site.url + action[0]
        shown = browser.post(login, data=sent, timeout=20)
        assert "<textarea" in shown.text
        browser.post(client.site.url + path, data={"content": "By hand"}, timeout=20)
    assert client.site.content("python-3150a1") == "By hand"
    assert client.site.v2_token not in shown.text


@pytest.mark.parametrize(
    "path", ["", "downloads/", PAGE, "ftp/", "nothing/", "admin/login/", "ftp/../../etc/passwd"]
)
def test_every_page_says_that_it_is_a_rehearsal_and_loads_nothing(
    client: Client, tmp_path: Path, path: str
) -> None:
    (tmp_path / "public/ftp").mkdir(parents=True)
    answer = requests.get(client.site.url + path, timeout=20)
    assert "Rehearsal \N{EN DASH} not python.org" in answer.text
    assert answer.headers["X-Rehearsal"] == "not python.org"
    loads = re.findall(r"""(?:src=|@import|url\(|<link[^>]+href=)["']?([^"'>\s)]+)""", answer.text)
    assert set(loads) <= {"data:,"}


def test_files_are_served_and_folders_listed_but_nothing_outside(
    client: Client, tmp_path: Path
) -> None:
    folder = tmp_path / "public/ftp/python"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"hello")
    (folder / ".part-b").write_bytes(b"half")
    (folder / "out").symlink_to(tmp_path / "site.sqlite")
    answer = client.ask("GET", "ftp/python/a.txt")
    assert (answer.content, answer.headers["Content-Length"]) == (b"hello", "5")
    assert client.ask("GET", "ftp/python").headers["Location"] == "/ftp/python/"
    listing = client.ask("GET", "ftp/python/").text
    assert 'href="a.txt"' in listing
    assert ".part-b" not in listing
    for path in ("ftp/python/.part-b", "ftp/python/out", "ftp/..%2f..%2fsite.sqlite", "ftp/a%00"):
        assert client.ask("GET", path).status_code == 404
    assert client.ask("HEAD", "ftp/python/a.txt").headers["Content-Length"] == "5"
    assert client.ask("POST", "ftp/python/a.txt").status_code == 405


def test_an_exported_page_links_to_the_files_beside_it(client: Client, tmp_path: Path) -> None:
    client.add("v1/release_file/", **client.file(sigstore_bundle_file=URL + ".sigstore"))
    folder = tmp_path / "public/ftp/python/3.15.0"
    folder.mkdir(parents=True)
    (folder / "Python-3.15.0a1.tgz").touch()
    page = client.site.export_page("python-3150a1", tmp_path / "record")
    text = page.read_text(encoding="utf-8")
    assert page == tmp_path / "record/python-3150a1.html"
    assert 'href="../public/ftp/python/3.15.0/Python-3.15.0a1.tgz"' in text
    assert "Python-3.15.0a1.tgz.sigstore" not in text  # there is no such file
    assert "Rehearsal \N{EN DASH} not python.org" in text
    assert 'href="/' not in text
    with pytest.raises(UsageError, match="SITE_MISSING"):
        client.site.export_page("python-3150a2", tmp_path)


# --- state and faults -------------------------------------------------------------------------


def test_rows_and_keys_survive_and_the_database_is_private(tmp_path: Path) -> None:
    where = (tmp_path / "site.sqlite", tmp_path, tmp_path)
    with Site(*where) as site:
        keys = site.v1_key, site.v2_token
        Client(site).add("v2/release/", **DRAFT)
        for file in tmp_path.glob("site.sqlite*"):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with Site(*where) as site:
        assert (site.v1_key, site.v2_token) == keys
        assert Client(site).ask("GET", "v2/release/1/").json()["slug"] == "python-3150a1"
        assert repr(site).find(site.v2_token) == -1


def test_two_sites_on_one_database_agree(tmp_path: Path) -> None:
    where = (tmp_path / "site.sqlite", tmp_path, tmp_path)
    with Site(*where) as first, Site(*where) as second:
        assert first.v2_token == second.v2_token
        Client(first).add("v2/release/", **DRAFT)
        assert Client(second).ask("GET", "v2/release/1/").status_code == 200


def test_writes_at_the_same_time_are_all_kept(client: Client) -> None:
    def add(number: int) -> None:
        client.add("v1/release/", name=f"Python 3.14.{number}")

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(client.ask("GET", "v2/release/").json()) == 9


def test_a_half_made_write_is_undone(client: Client) -> None:
    store = client.site._store
    row = store.rows("release")[0]

    def write() -> None:
        with store.write():
            store.set_content(1, "half")
            store.insert("release", 2, row)

    with pytest.raises(sqlite3.IntegrityError):
        write()
    assert client.site.content("python-3150a1") == ""


def test_a_fault_happens_once_after_the_effect(client: Client) -> None:
    client.site.faults.append(Fault("PATCH", "/api/v2/"))
    with pytest.raises(requests.ConnectionError):
        client.ask("PATCH", "v2/release/1/", json={"name": "Python 3.15.0a2"})
    assert client.ask("GET", "v2/release/1/").json()["name"] == "Python 3.15.0a2"
    assert client.site.log[-2] == ("PATCH", "/api/v2/downloads/release/1/", 0)


WRITING = """
import sys
from pathlib import Path
from relkit.rehearsal.site import Site
from site_helpers import DRAFT, Client

root = Path(sys.argv[1])
with Site(root / "site.sqlite", root, root) as site:
    for number in range(10_000):
        Client(site).add("v2/release/", **DRAFT | {"slug": f"r{number}", "is_latest": True})
        print(number, flush=True)
"""


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITING, str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    ) as process:
        assert process.stdout is not None
        answered = [int(process.stdout.readline()) for _ in range(10)][-1]
        process.kill()
    with Site(tmp_path / "site.sqlite", tmp_path, tmp_path) as site:
        rows = Client(site).ask("GET", "v2/release/").json()
    slugs = {row["slug"] for row in rows}
    assert {f"r{number}" for number in range(answered + 1)} <= slugs
    assert sum(row["is_latest"] for row in rows) == 1
