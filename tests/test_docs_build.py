"""The docs of a commit become archives that say what they are, or the build says why not.

The tree is a small one whose Makefile makes pages with the shell: what is tried is not Sphinx.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sources import BLURB, commit, git

from relkit.adapters.processes import Places, ProcessBuilders
from relkit.building.docs import _check_out, _require_tools
from relkit.building.docs_archives import (
    FORMS,
)
from relkit.building.docs_environment import (
    COMPLETE,
)
from relkit.building.objects import Objects
from relkit.errors import WorldError
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
\techo "Python $(RELEASE)" > build/epub/index.xhtml
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
        self.version = VERSION
        repository = folder / "tree.git"
        data = {name: text.encode() for name, text in files.items()}
        self.commit = commit(repository, data, modes={})
        self.places = Places(
            repository, folder / "artifacts", BLURB, folder / "site.url", folder / "packages"
        )
        self.builders = ProcessBuilders(folder / "builds", self.places)

    def ended(self, nonce: str = "n1", within: float = PATIENCE_SECONDS) -> BuildState:
        build = Build(name="docs", nonce=nonce, version=str(self.version), commit=self.commit)
        self.builders.start(build=build)
        deadline = time.monotonic() + within
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


@pytest.fixture(autouse=True)
def no_epubcheck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an epubcheck first on the path that cannot be started: a true one takes long."""
    tool = tmp_path / "tools" / "epubcheck"
    tool.parent.mkdir()
    tool.write_text("#!/no/such/shell\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    return tool


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
    assert str(facts["epubcheck"]).startswith("not run: ")
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


def test_a_book_with_errors_is_delivered_and_they_are_facts(docs: Make, no_epubcheck: Path) -> None:
    report = '{"messages": [], "checker": {"nFatal": 1, "nError": 2, "nWarning": 0, '
    report += '"checkerVersion": "5"}}'
    no_epubcheck.write_text(f"#!/bin/sh\necho '{report}' > \"$6\"\nexit 1\n")
    facts = docs(makefile()).made().facts
    assert (facts["epubcheck"], facts["epubcheck_fatal"]) == ("1 fatal error, 2 errors", 1)


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


def test_a_tool_that_is_missing_is_named() -> None:
    with pytest.raises(WorldError, match="TOOL_MISSING: the docs need no-such-tool"):
        _require_tools("make", "no-such-tool")


def test_a_commit_without_docs_fails_the_build(tmp_path: Path) -> None:
    state = Docs(tmp_path, {"README.rst": "x\n"}).ended()
    assert state.detail.startswith("DOCS_TARGET")


@pytest.mark.slow
def test_the_sample_tree_has_docs(tmp_path: Path) -> None:
    repository = tmp_path / "sample.git"
    make_repository(repository, Version.parse("3.15.0rc2"))
    place = Docs(tmp_path, {"README.rst": "x\n"})
    place.commit = git(repository, "rev-parse", f"v{VERSION}^{{commit}}")
    places = Places(
        repository, tmp_path / "artifacts", BLURB, tmp_path / "site.url", tmp_path / "packages"
    )
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


CPYTHON = os.environ.get("RELKIT_CPYTHON", "")
ENVIRONMENTS = os.environ.get("RELKIT_DOCS_ENVIRONMENTS", "")
ALPHA_5 = "076d169ebbe59f7035eaa28d33d517bcb375f342"


@pytest.mark.slow
@pytest.mark.skipif(
    not CPYTHON or not ENVIRONMENTS or not shutil.which("makeinfo"),
    reason="needs RELKIT_CPYTHON, RELKIT_DOCS_ENVIRONMENTS (a folder to install into), makeinfo",
)
def test_the_docs_of_an_official_alpha(tmp_path: Path) -> None:
    place = Docs(tmp_path, {"README.rst": "x\n"})
    tools = Path(ENVIRONMENTS)
    tools.mkdir(exist_ok=True)
    blurb = tools / "blurb-1.1.0"
    if not blurb.exists():
        blurb.symlink_to(BLURB.with_name(blurb.name))
    places = replace(place.places, repository=Path(CPYTHON), blurb=blurb)
    place.builders = ProcessBuilders(tmp_path / "builds", places)
    place.version, place.commit = Version.parse("3.13.0a5"), ALPHA_5
    state = place.ended("a5", within=3600.0)
    assert state.status == "done", place.builders.log(name="docs", nonce="a5")
    result = place.builders.result(name="docs", nonce="a5")
    assert result is not None
    release = Release.parse("3.13.0a5", "", "2024-03-12")
    assert {file.name for file in result.files} == {
        file.name for file in expected_of(release, "docs")
    }
    assert result.facts["unreleased"] == 0
    assert {form: result.facts[f"files_{form}"] for form in (*FORMS, "epub")} == {
        "html": 1003,
        "text": 465,
        "texinfo": 11,
        "epub": 519,
    }


# --- killed builds -----------------------------------------------------------------------------


def killed(place: Docs, nonce: str, when: Callable[[], bool]) -> None:
    """Start the build, and kill it as soon as `when` says so, or it has ended."""
    build = Build(name="docs", nonce=nonce, version=str(VERSION), commit=place.commit)
    place.builders.start(build=build)
    while place.builders.state(name="docs", nonce=nonce).status == "running" and not when():
        time.sleep(0.005)
    attempts = sorted((place.folder / "builds" / nonce / "docs").glob("attempt-*"))
    with suppress(ProcessLookupError, FileNotFoundError):
        os.killpg(int((attempts[-1] / "pid").read_text()), signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while place.builders.state(name="docs", nonce=nonce).status == "running":
        assert time.monotonic() < deadline, "it was not killed"
        time.sleep(0.005)


def after(instant: float) -> bool:
    return time.monotonic() > instant


WAITS = "\ttest -e {go} || sleep 60\n"


@pytest.mark.parametrize("target", ["text", "epub"])
def test_half_of_the_docs_are_no_result_and_a_new_attempt_makes_them(
    tmp_path: Path, target: str
) -> None:
    go = tmp_path / "go"
    text = (
        makefile(newer=True).replace(
            "$(STEM)-$*.tar.bz2 python-$(RELEASE)-docs-$*\n",
            "$(STEM)-$*.tar.bz2 python-$(RELEASE)-docs-$*\n" + WAITS.format(go=go),
        )
        if target == "text"
        else makefile() + WAITS.format(go=go)
    )
    place = Docs(tmp_path, {"Doc/Makefile": text})
    working = place.folder / "builds/n1/docs/attempt-1/work/tree/Doc"
    sign = "dist/*-html.tar.bz2" if target == "text" else "build/epub/Python.epub"
    killed(place, "n1", lambda: any(working.glob(sign)))
    assert place.builders.state(name="docs", nonce="n1").status == "lost"
    assert place.builders.result(name="docs", nonce="n1") is None
    go.touch()
    assert place.made().files == place.made("n2").files


@pytest.mark.slow
def test_a_build_that_is_killed_at_any_instant_is_whole_or_no_result(docs: Make) -> None:
    place, instants = docs(makefile(newer=True)), random.Random(4)  # noqa: S311 (no secret)
    began = time.monotonic()
    files = place.made("whole").files
    takes = time.monotonic() - began
    for number in range(25):
        nonce = f"n{number}"
        killed(place, nonce, partial(after, time.monotonic() + instants.uniform(0, takes)))
        state = place.builders.state(name="docs", nonce=nonce)
        result = place.builders.result(name="docs", nonce=nonce)
        assert (state.status, result and result.files) in {("lost", None), ("done", files)}
        assert place.made(nonce).files == files


# --- the environment ---------------------------------------------------------------------------


def wheel(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    about = f"{name}-1.0.dist-info"
    entries = {
        f"{name}.py": text,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, words in entries.items():
            archive.writestr(path, words)


@pytest.mark.slow
def test_the_true_pip_takes_no_other_file_than_the_list_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels, pages = tmp_path / "wheels", makefile()
    for name in "sphinx", "theme":
        wheel(wheels, name, "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    place = Docs(tmp_path, {"Doc/Makefile": pages, "Doc/requirements.txt": "sphinx\ntheme\n"})
    tools = tmp_path / "installed"
    tools.mkdir()
    (tools / BLURB.name).symlink_to(BLURB)
    place.builders = ProcessBuilders(
        tmp_path / "builds", replace(place.places, blurb=tools / BLURB.name)
    )
    first = place.made().facts
    [locked] = (tools / "docs").glob("*.txt")
    assert first["docs_lock"] == hashlib.sha256(locked.read_bytes()).hexdigest()
    assert (first["sphinx"], first["docs_packages"]) == ("1.0", 2)
    assert locked.read_text() in (place.out().parent / "log.txt").read_text()
    [complete] = (tools / "docs").glob(f"*/{COMPLETE}")
    shutil.rmtree(complete.parent)
    assert place.made("n2").facts["docs_lock"] == first["docs_lock"]
    shutil.rmtree(complete.parent)
    wheel(wheels, "theme", "print('other')")
    state = place.ended("n3")
    assert (state.status, state.detail.partition(":")[0]) == ("failed", "DOCS_LOCK")
    assert "DO NOT MATCH THE HASHES" in (place.out("n3").parent / "log.txt").read_text()
