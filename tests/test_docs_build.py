"""The docs of a commit become archives that say what they are, or the build says why not.

The tree is a small one whose Makefile makes pages with the shell: what is tried is not Sphinx.
"""

from __future__ import annotations

import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from sources import BLURB, commit, git

from relkit.adapters.processes import Places, ProcessBuilders
from relkit.building.archive import Form
from relkit.building.docs import _check_out
from relkit.building.docs_archives import (
    FORMS,
    _version_pattern,
    check_epub,
    examined,
    pack,
    repack_epub,
)
from relkit.building.docs_environment import COMPLETE, docs_environment, installed
from relkit.building.objects import Objects
from relkit.errors import CheckError, WorldError
from relkit.manifest import expected_of
from relkit.rehearsal.tree import make_repository
from relkit.release import Release, Version
from relkit.values import Build, BuildResult, BuildState

RELEASE = Release.parse("3.15.0rc1", "rc-1", "2026-07-28")
VERSION = RELEASE.version
STEM = f"python-{VERSION}-docs"
EPOCH = 1_700_000_000
PATIENCE_SECONDS = 60.0

PAGES = """\
RELEASE = {version}
STEM = dist/python-$(RELEASE)-docs
EXTRA = {extra}

html text texinfo:
\tmkdir -p build/$@/deep
\techo "Python $(RELEASE) $(EXTRA)" > build/$@/index.$(subst texinfo,texi,$(subst text,txt,$@))
\techo "a page" > build/$@/deep/page.txt
\ttest "$$SOURCE_DATE_EPOCH" = 1700000000
\t$(BLURB) help > build/blurb.txt
\techo "$(VENVDIR)" > build/venv.txt

epub:
\tmkdir -p build/epub/META-INF
\tprintf application/epub+zip > build/epub/mimetype
\techo '<rootfile full-path="content.opf"/>' > build/epub/META-INF/container.xml
\techo "<package><manifest/></package>" > build/epub/content.opf
\techo "Python $(RELEASE)" > build/epub/page.xhtml
\tcd build/epub && zip -q -X -0 Python.epub mimetype
\tcd build/epub && zip -q -X -r Python.epub . -x mimetype Python.epub
"""
NEWER = """\
dist-html dist-text dist-texinfo: dist-%:
\tmkdir -p dist
\t$(MAKE) $*
\tcp -pPR build/$* $(STEM)-$*
\ttar -C dist -cjf $(STEM)-$*.tar.bz2 python-$(RELEASE)-docs-$*

dist-html:
dist-text:
dist-texinfo:
dist-epub: epub
\tmkdir -p dist
\tcp build/epub/Python.epub $(STEM).epub
"""


def makefile(extra: str = "", version: object = VERSION, *, newer: bool = False) -> str:
    return PAGES.format(version=version, extra=extra) + (NEWER if newer else "")


class Docs:
    """Builders over a repository with one small commit."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self.folder = folder
        repository = folder / "tree.git"
        data = {name: text.encode() for name, text in files.items()}
        self.commit = commit(repository, data, modes={})
        self.places = Places(repository, folder / "artifacts", BLURB, folder / "site.url")
        self.builders = ProcessBuilders(folder / "builds", self.places)

    def ended(self, nonce: str = "n1") -> BuildState:
        build = Build(name="docs", nonce=nonce, version=str(VERSION), commit=self.commit)
        self.builders.start(build=build)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.builders.state(name="docs", nonce=nonce).status == "running":
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.02)
        return self.builders.state(name="docs", nonce=nonce)

    def made(self, nonce: str = "n1") -> BuildResult:
        state = self.ended(nonce)
        assert state.status == "done", self.builders.log(name="docs", nonce=nonce)
        result = self.builders.result(name="docs", nonce=nonce)
        assert result is not None
        return result

    def out(self, nonce: str = "n1") -> Path:
        return self.folder / "builds" / nonce / "docs" / "attempt-1" / "out"


Make = Callable[[str], Docs]


@pytest.fixture
def docs(tmp_path: Path) -> Make:
    return lambda text: Docs(tmp_path, {"Doc/Makefile": text, "Doc/about.rst": "About\n"})


# --- the build ---------------------------------------------------------------------------------


@pytest.mark.parametrize("newer", [False, True], ids=["older targets", "dist targets"])
def test_a_tree_gives_exactly_the_expected_archives(docs: Make, *, newer: bool) -> None:
    place = docs(makefile(newer=newer))
    result = place.made()
    names = sorted(file.name for file in result.files)
    assert names == sorted(file.name for file in expected_of(RELEASE, "docs"))
    facts = result.facts
    assert (facts["commit"], facts["version"]) == (place.commit, str(VERSION))
    assert (facts["unreleased"], facts["source_date_epoch"]) == (0, EPOCH)
    assert (facts["files_html"], facts["files_epub"]) == (2, 4)
    prefix = "dist-" if newer else ""
    assert facts["targets"] == tuple(f"{prefix}{form}" for form in (*FORMS, "epub"))
    assert str(facts["make"]).startswith("GNU Make")
    if shutil.which("epubcheck") is None:
        assert str(facts["epubcheck"]).startswith("not run")
    assert {"seconds_html", "seconds_pack_html", "seconds_epub"} <= facts.keys()
    assert not any(str(place.folder) in str(fact) for fact in facts.values())


def test_the_same_commit_gives_the_same_bytes_whatever_the_clock_says(docs: Make) -> None:
    place = docs(makefile())
    first = place.made()
    time.sleep(2.1)  # the times in a zip are even seconds
    assert place.made("n2").files == first.files
    with tarfile.open(place.out() / f"{STEM}-html.tar.bz2") as archive:
        assert {(one.mtime, one.uid, one.uname) for one in archive} == {(EPOCH, 0, "")}


@pytest.mark.parametrize(
    ("form", "page"), [("html", "index.html"), ("text", "index.txt"), ("texinfo", "index.texi")]
)
def test_both_archives_of_a_form_hold_the_same_below_one_folder(
    docs: Make, form: str, page: str
) -> None:
    place = docs(makefile())
    place.made()
    top = f"{STEM}-{form}"
    wanted = {f"{top}/{page}", f"{top}/deep/page.txt"}
    with tarfile.open(place.out() / f"{top}.tar.bz2") as archive:
        assert {one.name for one in archive if one.isfile()} == wanted
    with zipfile.ZipFile(place.out() / f"{top}.zip") as packed:
        assert {*packed.namelist()} == wanted


def test_pages_that_say_unreleased_are_counted_and_named_i49(docs: Make) -> None:
    facts = docs(makefile("(Unreleased)")).made().facts
    assert facts["unreleased"] == 3
    assert facts["unreleased_in"] == (
        f"{STEM}-html/index.html",
        f"{STEM}-text/index.txt",
        f"{STEM}-texinfo/index.texi",
    )


def test_what_sphinx_warns_of_is_counted_and_does_not_end_the_build(docs: Make) -> None:
    warn = '\techo "$(CURDIR)/a.rst:1: WARNING: twice" > $(word 2,$(SPHINXOPTS))'
    text = makefile().replace("\nepub:", f"{warn}\n\ttest -z '$(SPHINXERRORHANDLING)'\n\nepub:")
    facts = docs(f"SPHINXERRORHANDLING = -W\n{text}").made().facts
    assert (facts["warnings"], facts["warnings_first"]) == (3, ("a.rst:1: WARNING: twice",) * 3)


BAD = {
    "another version in the pages": (makefile(version="3.15.0rc2"), "DOCS_VERSION"),
    "other names": (makefile(version="3.14.0", newer=True), "DOCS_MISSING"),
    "no targets": ("help:\n\techo help\n", "DOCS_TARGET"),
    "a tool that fails": (makefile().replace('echo "a page"', "false; exit 3"), "BUILD_FAILED"),
    "a tool that does nothing": (makefile().replace("\tmkdir", "\texit 0 # "), "BUILD_FAILED"),
    "no index": (makefile().replace("/index.", "/page."), "DOCS_ARCHIVE"),
    "a link": (makefile().replace('echo "a page" >', "ln -s /etc/passwd"), "DOCS_ARCHIVE"),
    "no mimetype": (makefile().replace("-0 Python.epub mimetype", "-h >help"), "EPUB_INVALID"),
    "an archive of words": (
        makefile(newer=True).replace(
            "tar -C dist -cjf $(STEM)-$*.tar.bz2", "echo > $(STEM)-$*.tar.bz2"
        ),
        "DOCS_ARCHIVE",
    ),
    "Info files without makeinfo": (
        makefile() + "dist:\n\tmake info --directory=x\n",
        "TOOL_MISSING",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_docs_that_are_not_what_they_should_be_fail_the_build(docs: Make, name: str) -> None:
    text, code = BAD[name]
    if code == "TOOL_MISSING" and shutil.which("makeinfo"):
        pytest.skip("makeinfo is here")
    state = docs(text).ended()
    assert (state.status, state.detail.partition(":")[0]) == ("failed", code), state.detail


def test_a_commit_without_docs_fails_the_build(tmp_path: Path) -> None:
    state = Docs(tmp_path, {"README.rst": "x\n"}).ended()
    assert state.detail.startswith("DOCS_TARGET")


@pytest.mark.slow
def test_the_sample_tree_has_docs(tmp_path: Path) -> None:
    repository = tmp_path / "sample.git"
    make_repository(repository, Version.parse("3.15.0rc2"))
    place = Docs(tmp_path, {"README.rst": "x\n"})
    place.commit = git(repository, "rev-parse", f"v{VERSION}^{{commit}}")
    places = Places(repository, tmp_path / "artifacts", BLURB, tmp_path / "site.url")
    place.builders = ProcessBuilders(tmp_path / "builds", places)
    result = place.made()
    assert len(result.files) == len(expected_of(RELEASE, "docs"))
    assert place.made("n2").files == result.files


# --- checking out ------------------------------------------------------------------------------


def test_a_commit_is_checked_out_with_modes_and_links(tmp_path: Path) -> None:
    files = {"a/run.sh": b"x\n", "a/link": b"run.sh", "plain": b"y\n"}
    modes = {"a/run.sh": "100755", "a/link": "120000"}
    made = commit(tmp_path / "tree.git", files, modes=modes)
    (tmp_path / "git").mkdir()
    _check_out(Objects(tmp_path / "tree.git", tmp_path / "git"), made, tmp_path / "out")
    out = tmp_path / "out"
    assert (out / "a/run.sh").stat().st_mode & 0o777 == 0o755
    assert (out / "plain").stat().st_mode & 0o777 == 0o644
    assert (out / "a/link").readlink() == Path("run.sh")


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


def test_what_was_packed_is_read_back(packed: Path) -> None:
    found = examined(packed, TOP, "html", VERSION)
    assert (found.files, found.size, found.unreleased) == (2, len(f"Python {VERSION}b"), ())


@pytest.mark.parametrize("suffix", ["tar.bz2", "zip"])
@pytest.mark.parametrize("keep", [0, 1, 60, -1, -20, -40])
def test_an_archive_that_is_cut_is_no_archive(packed: Path, suffix: str, keep: int) -> None:
    path = packed / f"{TOP}.{suffix}"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckError, match="DOCS_ARCHIVE"):
        examined(packed, TOP, "html", VERSION)


def test_a_flipped_byte_in_a_page_is_seen(packed: Path) -> None:
    path = packed / f"{TOP}.zip"
    data = bytearray(path.read_bytes())
    data[len(f"{TOP}/deep/b.html") + 30] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(CheckError, match="DOCS_ARCHIVE"):
        examined(packed, TOP, "html", VERSION)


def test_two_archives_with_different_pages_are_refused(packed: Path) -> None:
    with zipfile.ZipFile(packed / f"{TOP}.zip", "a") as archive:
        archive.writestr(f"{TOP}/more.html", "more")
    with pytest.raises(CheckError, match="does not hold what"):
        examined(packed, TOP, "html", VERSION)


def test_an_empty_folder_is_no_documentation(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    pack(tmp_path / "pages", Form(TOP, EPOCH), tmp_path)
    with pytest.raises(CheckError, match="it is empty"):
        examined(tmp_path, TOP, "html", VERSION)


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
    "a/page.xhtml": f"Python {VERSION}".encode(),
}


def book(path: Path, entries: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


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


# --- the environment ---------------------------------------------------------------------------


def test_a_tree_without_requirements_needs_no_environment(tmp_path: Path) -> None:
    asked: list[str] = []
    found = docs_environment(
        tmp_path, kept=tmp_path / "kept", python="python", run=lambda name, _: asked.append(name)
    )
    assert (found.exists(), asked, installed(found)) == (False, [], {})


def test_an_environment_is_made_once_for_the_same_requirements(tmp_path: Path) -> None:
    asked: list[str] = []

    def make(docs: Path) -> Path:
        def run(name: str, command: Sequence[str]) -> None:
            asked.append(name)
            Path(command[-1]).mkdir() if "venv" in command else None

        return docs_environment(docs, kept=tmp_path / "kept", python="python", run=run)

    (tmp_path / "requirements.txt").write_text("sphinx~=7.2.0\n")
    first = make(tmp_path)
    assert asked == ["docs environment", "docs requirements", "docs packages"]
    assert make(tmp_path) == first
    assert len(asked) == 3
    (first / COMPLETE).unlink()  # as if it was killed
    assert make(tmp_path) == first
    (tmp_path / "constraints.txt").write_text("sphinx<8\n")
    assert make(tmp_path) != first
    assert len(asked) == 9


def test_an_environment_that_cannot_be_made_is_none(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("sphinx\n")

    def run(_name: str, _command: Sequence[str]) -> None:
        raise WorldError("no network", code="BUILD_FAILED", remedy="Mend it.")

    with pytest.raises(WorldError, match="no network"):
        docs_environment(tmp_path, kept=tmp_path / "kept", python="python", run=run)
    assert not list((tmp_path / "kept").rglob(COMPLETE))
