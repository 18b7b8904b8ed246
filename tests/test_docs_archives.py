"""Archives of the docs hold what they should, byte for byte the same, or are refused."""

from __future__ import annotations

import bz2
import json
import os
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relkit.building.archive import Form
from relkit.building.docs_archives import _version_pattern, check_epub, examined, pack, repack_epub
from relkit.building.docs_epubcheck import epubcheck
from relkit.building.job import Job
from relkit.errors import CheckError
from relkit.release import Version

VERSION = Version.parse("3.15.0rc1")
STEM = f"python-{VERSION}-docs"
EPOCH = 1_700_000_000

# --- archives ----------------------------------------------------------------------------------

TOP = f"{STEM}-html"


def content(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    out = tmp_path / "out"
    out.mkdir()
    pages = content(tmp_path / "pages", index_html=f"Python {VERSION}", deep__b_html="b")
    pack(pages, Form(TOP, EPOCH), out)
    return out


def refused(folder: Path, why: str, code: str = "DOCS_ARCHIVE") -> None:
    with pytest.raises(CheckError, match=why) as caught:
        examined(folder, TOP, "html", VERSION)
    assert caught.value.code == code


def test_what_was_packed_is_read_back(packed: Path) -> None:
    found = examined(packed, TOP, "html", VERSION)
    assert (found.files, found.size, found.unreleased) == (2, len(f"Python {VERSION}b"), ())


@pytest.mark.parametrize("suffix", ["tar.bz2", "zip"])
@pytest.mark.parametrize("keep", [0, 1, 60, -1, -20, -40])
def test_an_archive_that_is_cut_is_no_archive(packed: Path, suffix: str, keep: int) -> None:
    path = packed / f"{TOP}.{suffix}"
    path.write_bytes(path.read_bytes()[:keep])
    refused(packed, "cannot be read")


@pytest.mark.parametrize("suffix", ["tar.bz2", "zip"])
def test_an_archive_that_is_missing_is_refused(packed: Path, suffix: str) -> None:
    (packed / f"{TOP}.{suffix}").unlink()
    refused(packed, "cannot be read")


@given(seed=st.integers(0, 2**32), suffix=st.sampled_from(["tar.bz2", "zip"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_damage_is_refused_or_hurts_nobody(packed: Path, seed: int, suffix: str) -> None:
    path = packed / f"{TOP}.{suffix}"
    whole, damaged = path.read_bytes(), bytearray(path.read_bytes())
    damaged[seed % len(whole)] ^= 1 + seed // len(whole) % 255
    path.write_bytes(damaged)
    try:
        found = examined(packed, TOP, "html", VERSION)
    except CheckError as error:
        assert error.code == "DOCS_ARCHIVE"  # noqa: PT017 (no damage is also right)
    else:
        assert (found.files, found.size) == (2, len(f"Python {VERSION}b"))
    finally:
        path.write_bytes(whole)


def zipped(packed: Path, entries: Mapping[str | zipfile.ZipInfo, bytes]) -> None:
    with zipfile.ZipFile(packed / f"{TOP}.zip", "a") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)


def entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


ODD_ENTRIES: dict[str, tuple[Mapping[str | zipfile.ZipInfo, bytes], str]] = {
    "more": ({f"{TOP}/more.html": b"more"}, "does not hold what"),
    "outside": ({"more.html": b"more"}, "is not below"),
    "above": ({f"{TOP}/../more.html": b""}, "no plain name"),
    "absolute": ({"/more.html": b""}, "no plain name"),
    "a line feed": ({f"{TOP}/more\n.html": b""}, "no plain name"),
    "a backslash": ({f"{TOP}/..\\more.html": b""}, "no plain name"),
    "in another case": ({f"{TOP}/INDEX.html": b""}, "twice"),
    "a link": ({entry(f"{TOP}/more", 0o120777): b"/etc/passwd"}, "no file"),
    "a folder that is a link": ({entry(f"{TOP}/more/", 0o120777): b""}, "no file"),
}


@pytest.mark.parametrize("name", ODD_ENTRIES)
def test_an_odd_entry_of_a_zip_is_refused(packed: Path, name: str) -> None:
    entries, why = ODD_ENTRIES[name]
    zipped(packed, entries)
    refused(packed, why)


def test_an_encrypted_entry_is_refused(packed: Path) -> None:
    path = packed / f"{TOP}.zip"
    data = path.read_bytes()
    place = data.index(b"PK\1\2") + 8
    path.write_bytes(data[:place] + b"\1" + data[place + 1 :])
    refused(packed, "no file that can be read")


def test_a_huge_file_is_refused_before_it_is_read(packed: Path) -> None:
    path = packed / f"{TOP}.zip"
    data = path.read_bytes()
    place = data.index(b"PK\1\2") + 24
    path.write_bytes(data[:place] + (2**31).to_bytes(4, "little") + data[place + 4 :])
    refused(packed, "says it has 2147483648 bytes")


def test_two_entries_of_one_name_are_refused(packed: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        zipped(packed, {f"{TOP}/index.html": b"other"})
    refused(packed, "twice")


@pytest.mark.parametrize("suffix", ["tar.bz2", "zip"])
@pytest.mark.parametrize("more", [b"x", b"x" * 40_000, bz2.compress(b"more")])
def test_nothing_stands_behind_an_archive(packed: Path, suffix: str, more: bytes) -> None:
    path = packed / f"{TOP}.{suffix}"
    path.write_bytes(path.read_bytes() + more)
    refused(packed, "cannot be read")


def test_nothing_stands_before_a_zip(packed: Path) -> None:
    path = packed / f"{TOP}.zip"
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    refused(packed, "before its first entry")


def test_a_flipped_byte_in_a_page_is_seen(packed: Path) -> None:
    path = packed / f"{TOP}.zip"
    data = bytearray(path.read_bytes())
    data[len(f"{TOP}/deep/b.html") + 30] ^= 0xFF
    path.write_bytes(data)
    refused(packed, "cannot be read")


def test_a_wrong_checksum_in_a_zip_is_seen(packed: Path) -> None:
    path = packed / f"{TOP}.zip"
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 16] ^= 0xFF
    path.write_bytes(data)
    refused(packed, "CRC")


def tarred(packed: Path, *more: tarfile.TarInfo) -> None:
    """Write both archives anew with further members, which the zip has not."""
    with tarfile.open(packed / f"{TOP}.tar.bz2", "w:bz2") as archive:
        for info in (tarfile.TarInfo(f"{TOP}/index.html"), *more):
            archive.addfile(info)


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


ODD_MEMBERS = {
    "a link": member(f"{TOP}/more", tarfile.SYMTYPE, "index.html"),
    "a link out of it": member(f"{TOP}/more", tarfile.SYMTYPE, "../../more"),
    "another name of a file": member(f"{TOP}/more", tarfile.LNKTYPE, f"{TOP}/index.html"),
    "a device": member(f"{TOP}/more", tarfile.CHRTYPE),
    "above": member(f"{TOP}/../more"),
    "absolute": member("/more"),
    "outside": member("more"),
    "twice": member(f"{TOP}/index.html"),
    "in another case": member(f"{TOP}/Index.html"),
}


@pytest.mark.parametrize("name", ODD_MEMBERS)
def test_an_odd_member_of_a_tar_is_refused(packed: Path, name: str) -> None:
    tarred(packed, ODD_MEMBERS[name])
    refused(packed, "cannot be read")


def test_an_empty_folder_is_no_documentation(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    pack(tmp_path / "pages", Form(TOP, EPOCH), tmp_path)
    refused(tmp_path, "it is empty")


def test_pages_without_a_word_are_no_documentation(tmp_path: Path) -> None:
    pack(content(tmp_path / "pages", index_html=""), Form(TOP, EPOCH), tmp_path)
    refused(tmp_path, "it is empty")


def test_html_without_an_index_is_no_documentation(tmp_path: Path) -> None:
    pages = content(tmp_path / "pages", deep__index_html=f"Python {VERSION}")
    pack(pages, Form(TOP, EPOCH), tmp_path)
    refused(tmp_path, "no index")


def test_a_pipe_is_no_page(tmp_path: Path) -> None:
    os.mkfifo(content(tmp_path / "pages", index_html="x") / "pipe")
    with pytest.raises(CheckError, match="DOCS_ARCHIVE"):
        pack(tmp_path / "pages", Form(TOP, EPOCH), tmp_path)


NEWS = "Changelog\n\nPython {}\n===\n\nPython 3.15.0 release candidate 1\n===\n"
TITLED = "<title>Index &#8212; Python {} documentation</title>"


@pytest.mark.parametrize(
    ("form", "pages", "why"),
    [
        ("html", {"index_html": TITLED.format(VERSION)}, ""),
        ("html", {"index_html": "", "changelog_html": f"Python {VERSION}"}, "does not say"),
        ("html", {"index_html": f"{VERSION}", "b_html": TITLED.format("3.15.0rc2")}, "rc2"),
        ("html", {"index_html": f"{VERSION}", "b_html": TITLED.format(VERSION)}, ""),
        ("html", {"index_html": f"{VERSION}", "b_txt": TITLED.format("3.15.0rc2")}, ""),
        ("texinfo", {"python_texi": f"@settitle Python {VERSION}", "python_info": "x"}, ""),
        ("texinfo", {"python_texi": "x", "python_info": f"{VERSION}"}, "does not say"),
        ("texinfo", {"python_texi": "\n" * 70_000 + f"{VERSION}"}, "does not say"),
        ("text", {"contents_txt": "x", "license_txt": f"Python {VERSION}"}, ""),
        ("text", {"contents_txt": "Python 3.15.0rc2"}, "does not say"),
        ("text", {"whatsnew__changelog_txt": NEWS.format("3.15.0 release candidate 1")}, ""),
        (
            "text",
            {"whatsnew__changelog_txt": NEWS.format("3.15.0 release candidate 2")},
            "candidate 2",
        ),
        ("text", {"whatsnew__changelog_txt": NEWS.format("3.15.0 final")}, "3.15.0"),
    ],
)
def test_docs_are_about_the_version_and_about_no_other(
    tmp_path: Path, form: str, pages: dict[str, str], why: str
) -> None:
    stem = f"{STEM}-{form}"
    pack(content(tmp_path / "pages", **pages), Form(stem, EPOCH), tmp_path)
    if not why:
        assert examined(tmp_path, stem, form, VERSION).files == len(pages)
        return
    with pytest.raises(CheckError, match=why) as caught:
        examined(tmp_path, stem, form, VERSION)
    assert caught.value.code == "DOCS_VERSION"


@pytest.mark.parametrize(
    ("version", "text", "stated"),
    [
        ("3.15.0rc1", "Python 3.15.0rc1 docs", True),
        ("3.15.0rc1", "Python 3.15.0 release candidate 1\n", True),
        ("3.15.0rc1", "Python 3.15.0rc11", False),
        ("3.15.0rc1", "Python 3.15.0", False),
        ("3.15.0", "Python 3.15.0.", True),
        ("3.15.0", "Python 3.15.0 final", True),
        ("3.15.0", "Python 3.15.0rc1, 3.15.0 alpha 1, 13.15.0, 3.15.0.1", False),
    ],
)
def test_the_version_is_known_from_longer_ones(version: str, text: str, *, stated: bool) -> None:
    assert bool(_version_pattern(Version.parse(version)).search(text.encode())) is stated


# --- the book ----------------------------------------------------------------------------------

BOOK = {
    "mimetype": b"application/epub+zip",
    "META-INF/container.xml": b'<rootfile media-type="x" full-path="a/b.opf"/>',
    "a/b.opf": b"<package><manifest></manifest></package>",
    "a/index.xhtml": f"Python {VERSION}".encode(),
}


def book(path: Path, entries: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("page", ["index.xhtml", "OEBPS/index.xhtml", "whatsnew/index.xhtml"])
def test_a_book_says_on_its_first_page_what_it_is_about(tmp_path: Path, page: str) -> None:
    book(tmp_path / f"{STEM}.epub", {"mimetype": b"x", page: f"Python {VERSION}".encode()})
    if page.startswith("whatsnew"):
        with pytest.raises(CheckError, match="DOCS_VERSION"):
            examined(tmp_path, STEM, "epub", VERSION)
        return
    assert examined(tmp_path, STEM, "epub", VERSION).files == 2


def test_a_book_is_packed_anew_in_its_order(tmp_path: Path) -> None:
    made = book(tmp_path / "made.epub", BOOK)
    check_epub(made)
    first, again = tmp_path / "1.epub", tmp_path / "2.epub"
    for target in first, again:
        repack_epub(made, target, EPOCH)
        check_epub(target)
    assert first.read_bytes() == again.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert archive.namelist() == list(BOOK)
        assert {one.date_time for one in archive.infolist()} == {time.gmtime(EPOCH)[:6]}
        assert archive.infolist()[0].extra == b""


BAD_BOOKS: dict[str, dict[str, bytes]] = {
    "nothing": {},
    "mimetype last": dict(reversed(BOOK.items())),
    "another mimetype": BOOK | {"mimetype": b"application/zip"},
    "no container": {name: data for name, data in BOOK.items() if "container" not in name},
    "no package": {name: data for name, data in BOOK.items() if ".opf" not in name},
    "an empty package": BOOK | {"a/b.opf": b""},
}


@pytest.mark.parametrize("name", BAD_BOOKS)
def test_what_is_no_book_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckError, match="EPUB_INVALID"):
        check_epub(book(tmp_path / "bad.epub", BAD_BOOKS[name]))


def test_a_compressed_mimetype_and_a_file_of_words_are_no_books(tmp_path: Path) -> None:
    compressed = book(tmp_path / "bad.epub", BOOK, zipfile.ZIP_DEFLATED)
    words = tmp_path / "words.epub"
    words.write_text("a book")
    for path in compressed, words:
        with pytest.raises(CheckError, match="EPUB_INVALID"):
            check_epub(path)


# --- epubcheck ---------------------------------------------------------------------------------


def message(severity: str, words: str, places: int = 1, more: int = 0) -> dict[str, object]:
    locations = [{"path": f"{n}.xhtml", "line": n, "column": 1} for n in range(places)]
    return {
        "ID": "RSC-016",
        "severity": severity,
        "message": words,
        "locations": locations,
        "additionalLocations": more,
    }


def report(*messages: dict[str, object]) -> str:
    counts = {
        f"n{word.capitalize()}": sum(one["severity"] == word for one in messages)
        for word in ("FATAL", "ERROR", "WARNING")
    }
    return json.dumps({"messages": messages, "checker": {**counts, "checkerVersion": "4.2.6"}})


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], Path]:
    """Return what puts an epubcheck first on the path that leaves a report and ends somehow."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def put(text: str, status: int) -> Path:
        (folder / "report").write_text(text)
        path = folder / "epubcheck"
        copied = f'cp "{folder}/report" "$6"' if text else "true"
        path.write_text(f'#!/bin/sh\n{copied}\necho "Check of $1 finished"\nexit {status}\n')
        path.chmod(0o755)
        return path

    return put


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "work").mkdir()
    here = tmp_path / "nowhere"
    return Job(tmp_path, "docs", VERSION, "1" * 40, (), {}, here, here, here, here, "", here)


CLEAN = report(message("WARNING", "in another order"), message("INFO", "a word"))
BAD_BOOK = report(
    message("ERROR", "no  such\nplace", 26, 100),
    message("WARNING", "in another order"),
    message("FATAL", "no such entity", 2),
)


def test_what_epubcheck_found_is_stated_by_kind_and_place(
    tool: Callable[[str, int], Path], job: Job
) -> None:
    tool(BAD_BOOK, 1)
    assert epubcheck(job, job.folder / "python.epub") == {
        "epubcheck": "1 fatal error, 1 error",
        "epubcheck_version": "4.2.6",
        "epubcheck_fatal": 1,
        "epubcheck_error": 1,
        "epubcheck_warning": 1,
        "epubcheck_first": (
            "fatal RSC-016 (2, 1.xhtml): no such entity",
            "error RSC-016 (125, 25.xhtml): no such place",
        ),
    }


@pytest.mark.parametrize(
    ("text", "status", "verdict"),
    [
        (CLEAN, 0, "no errors"),
        (CLEAN, 1, "no verdict: no error, but status 1"),
        (report(*[message("ERROR", "bad")] * 2), 1, "2 errors"),
        (report(message("ERROR", "bad")), 0, "1 error"),
        ("", 0, "no verdict: it ended with status 0: Check of python.epub finished"),
        ("", 1, "no verdict: it ended with status 1: Check of python.epub finished"),
        ("words", 0, "no verdict: it ended with status 0"),
        ("[]", 0, "no verdict: it ended with status 0"),
        ("{}", 0, "no verdict: it ended with status 0"),
        (CLEAN.replace('"nFatal": 0', '"nFatal": null'), 0, "no verdict: it ended with status 0"),
    ],
)
def test_only_a_report_without_errors_is_no_errors(
    tool: Callable[[str, int], Path], job: Job, text: str, status: int, verdict: str
) -> None:
    tool(text, status)
    assert str(epubcheck(job, job.folder / "python.epub")["epubcheck"]).startswith(verdict)


def test_an_epubcheck_that_is_missing_or_cannot_be_started_was_not_run(
    tool: Callable[[str, int], Path], job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(CLEAN, 0).write_text("#!/no/such/shell\n")
    said = epubcheck(job, job.folder / "python.epub")
    assert str(said["epubcheck"]).startswith("not run: ")
    monkeypatch.setenv("PATH", str(job.folder))
    assert epubcheck(job, job.folder) == {"epubcheck": "not run: it is not installed"}


def test_an_archive_of_java_is_run_by_java(tool: Callable[[str, int], Path], job: Job) -> None:
    path = tool(CLEAN, 0)
    script = path.read_text().replace("$6", "$8").replace("$1", "$3")
    book(path, {"META-INF/MANIFEST.MF": b"Main-Class: check\n"})
    java = path.with_name("java")
    java.write_text(script)
    java.chmod(0o755)
    assert epubcheck(job, job.folder / "python.epub")["epubcheck"] == "no errors"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("epubcheck"), reason="epubcheck is not installed")
def test_the_true_epubcheck_is_understood(tmp_path: Path, job: Job) -> None:
    said = epubcheck(job, book(tmp_path / "bad.epub", BOOK))
    assert str(said["epubcheck"]).endswith(("errors", "error"))
    assert int(str(said["epubcheck_error"])) + int(str(said["epubcheck_fatal"])) > 0
    assert said["epubcheck_first"]
