"""A source archive is tried as its users would, and what proves less than it should is refused."""

from __future__ import annotations

import hashlib
import http.server
import importlib.util
import io
import lzma
import sys
import sysconfig
import tarfile
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import TOP, VERSION

from relkit.building.counting import (
    Report,
    account,
    empty_files,
    failed_files,
    failures_said,
    listed_cases,
    listed_files,
    read_report,
    skipped_files,
)
from relkit.building.download import download
from relkit.building.interpreter import run_tests, use
from relkit.building.job import Input, Job
from relkit.building.naming import check_installation, check_tree, other_series
from relkit.building.unpack import unpack
from relkit.errors import CheckError
from relkit.rehearsal.tree import generate
from relkit.release import Version

# --- what interpreters say ----------------------------------------------------------------------

SAID_3_9_18 = """\
0:00:36 load avg: 4.57 [12/17/1] test_typing passed
0:00:37 load avg: 4.57 [13/17/2] test_nonexistent failed (uncaught exception)
0:00:37 load avg: 4.57 [15/17/2] test_smtpnet skipped (resource denied)
test_smtpnet skipped -- Use of the 'network' resource not enabled

== Tests result: FAILURE ==

11 tests OK.

2 tests failed:
    test_nonexistent test_socket

4 tests skipped:
    test_curses test_smtpnet test_tk test_winreg

Total duration: 41.4 sec
Tests result: FAILURE
"""
SAID_3_11_2 = """\
0:00:09 load avg: 5.65 [5/5] test_venv passed

== Tests result: SUCCESS ==

All 5 tests OK.

Total duration: 9.6 sec
Tests result: SUCCESS
"""
SAID_3_13_5 = """\
0:01:08 load avg: 3.76 [38/38] test_asyncio.test_tasks passed

== Tests result: SUCCESS ==

3 tests skipped:
    test_asyncio.test_windows_events test_asyncio.test_windows_utils
    test_winreg

1 test skipped (resource denied):
    test_smtpnet

34 tests OK.

Total duration: 1 min 8 sec
Total tests: run=2,942 skipped=39
Total test files: run=37/38 skipped=3 resource_denied=1
Result: SUCCESS
"""
LISTED_3_13_5 = """\
test.test_json.test_decode.TestPyDecode.test_decimal
test.test_json.test_decode.TestPyDecode.test_decimal
doctest.__test__.blank lines
json

3 tests skipped:
    test_asyncio.test_windows_events test_asyncio.test_windows_utils
    test_winreg
"""


def test_files_that_were_skipped_are_read_from_every_kind_of_summary() -> None:
    windows = ("test_asyncio.test_windows_events", "test_asyncio.test_windows_utils")
    assert skipped_files(SAID_3_13_5) == (*windows, "test_winreg", "test_smtpnet")
    assert skipped_files(SAID_3_9_18) == ("test_curses", "test_smtpnet", "test_tk", "test_winreg")
    assert skipped_files(SAID_3_11_2) == ()
    assert empty_files("\n1 test run no tests:\n    test_empty\n") == ("test_empty",)


def test_files_that_failed_are_read_from_the_last_list_of_them() -> None:
    assert failed_files(SAID_3_9_18) == ("test_nonexistent", "test_socket")
    assert failed_files(SAID_3_13_5) == ()
    again = "\n1 test failed:\n    test_a\n\n1 test failed again:\n    test_b\n"
    assert failed_files(again) == ("test_b",)


def test_cases_are_told_from_what_else_a_listing_says() -> None:
    assert listed_cases(LISTED_3_13_5) == {
        "test.test_json.test_decode.TestPyDecode.test_decimal": 2
    }
    assert listed_cases(LISTED_3_13_5, {"json", "other"}).total() == 3
    assert listed_files("test_int\ntest_asyncio.test_tasks\nno file\n") == (
        *("test_int", "test_asyncio.test_tasks"),
    )


@given(st.integers(0, 10**7), st.integers(0, 10**5), st.text())
def test_totals_survive_what_stands_before_them(run: int, failed: int, before: str) -> None:
    more = f" failures={failed:,}" if failed else ""
    said = f"{before}\nTotal tests: run={run:,} (filtered){more} skipped=2\n"
    assert failures_said(said) == failed


@given(st.text())
def test_no_text_is_too_odd_to_be_looked_through(said: str) -> None:
    assert failures_said(said) >= 0
    found = account(said, listed_files(said), listed_cases(said), Report(Counter(), Counter(), 0))
    assert found.run == 0


REPORT = """\
<testsuites tests="4"><testsuite start="2026-11-21 08:18:26.935349" tests="4">\
<testcase name="test.test_a.T.test_1" status="run" result="completed" time="0.000033" />\
<testcase name="test.test_a.T.test_2" status="run" result="completed"><skipped>no</skipped>\
</testcase>\
<testcase name="test.test_a.T.test_3" status="run" result="completed"><failure type="E">x</failure>\
</testcase>\
<testcase name="test.test_a.T.test_4" status="run" result="completed">\
<output type="E">expected</output></testcase>\
<testcase name="test.test_a.T.test_5" outcome="UNEXPECTED_SUCCESS" /><testcase />\
</testsuite></testsuites>"""


def test_a_report_tells_cases_that_ran_from_skipped_and_failed_ones(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT, encoding="ascii")
    report = read_report(tmp_path / "report.xml")
    assert (report.began.total(), report.skipped, report.failed) == (
        *(6, {"test.test_a.T.test_2": 1}, 3),
    )
    assert read_report(tmp_path / "none.xml") == Report(Counter(), Counter(), 0)


# --- what became of each case -------------------------------------------------------------------

names = st.sampled_from([f"test.test_{f}.{c}.test_{n}" for f in "ab" for c in "TU" for n in "123"])
cases = st.lists(names).map(Counter)


@given(cases, cases, cases, st.integers(0, 9))
def test_every_listed_case_ran_was_skipped_or_is_missing(
    listed: Counter[str], began: Counter[str], skipped: Counter[str], more: int
) -> None:
    report = Report(began, skipped & began, 0)
    said = f"Total tests: run=1 skipped={report.skipped.total() + more}\n"
    found = account(said, ("test_a", "test_b"), listed, report)
    assert found.expected == listed.total()
    assert found.run + found.skipped + len(found.missing) >= len(listed)
    assert not set(found.missing) & set(began - (began - listed)) - set(listed - began)
    if not more:
        assert set(found.missing) == set(listed - began)


ALL = Counter(f"test.test_{f}.{c}.test_{n}" for f in "ab" for c in "TU" for n in "12")


@pytest.mark.parametrize(
    ("lost", "said", "missing"),
    [
        ("test.test_a.T.test_1", "Total tests: run=7 skipped=9", True),
        ("test.test_a.T.", "Total tests: run=6 skipped=1", False),
        ("test.test_a.T.", "Total tests: run=6", True),
        ("test.test_a.T.", SAID_3_11_2, True),
        ("test.test_a.", "Total tests: run=4 skipped=1", False),
        ("test.test_a.", "1 test skipped:\n    test_a\n", False),
        ("test.test_a.", "1 test skipped:\n    test_b\n", True),
        ("test.", "Total tests: run=0 skipped=1", True),
        ("test.", "Total tests: run=0 skipped=2", False),
    ],
)
def test_what_did_not_begin_is_missing_unless_that_many_skips_were_counted(
    lost: str, said: str, *, missing: bool
) -> None:
    began = Counter({name: n for name, n in ALL.items() if not name.startswith(lost)})
    found = account(said, ("test_a", "test_b"), ALL, Report(began, Counter(), 0))
    assert bool(found.missing) is missing
    assert found.run == began.total()
    assert found.run + found.skipped + len(found.missing) == found.expected == 8


def test_a_file_of_which_nothing_ran_is_named_though_it_passed() -> None:
    """As ``test_dtrace`` and ``test_timeout`` of 3.13.5: ``passed``, with no case run."""
    began = Counter({name: n for name, n in ALL.items() if "test_a" in name})
    found = account(
        "Total tests: run=4 skipped=5", ("test_a", "test_b"), ALL, Report(began, +began, 0)
    )
    assert found.idle == ("test_a", "test_b")
    assert (found.run, found.skipped) == (0, 8)


# --- the sample's tests, and real ones ----------------------------------------------------------


def job_in(folder: Path, tests: str) -> Job:
    (folder / "work").mkdir()
    return Job(
        folder=folder,
        name="test",
        version=VERSION,
        commit="0" * 40,
        inputs=(),
        options={"tests": tests},
        repository=folder,
        artifacts=folder,
        blurb=folder,
        site=folder / "site.url",
        index="",
        packages=folder,
    )


def script(folder: Path, text: str) -> Path:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("sample") / "tree"
    generate(tree, VERSION)
    return tree / "Lib"


@pytest.fixture
def sample(library: Path, tmp_path: Path) -> Path:
    """An interpreter that runs the sample's tests, and those in the folder ``more``."""
    more = tmp_path / "more"
    more.mkdir()
    begin = f"import test; test.__path__.append({str(more)!r})"
    (more / "sitecustomize.py").write_text(begin, encoding="utf-8")
    return script(tmp_path, f'PYTHONPATH={more}:{library} exec {sys.executable} "$@"')


CASES = """\
import unittest
class T(unittest.TestCase):
    def test_1(self): pass
    def test_2(self): pass
"""


def put_test(sample: Path, text: str) -> None:
    (sample.parent / "more" / "test_more.py").write_text(text, encoding="utf-8")


def test_the_samples_tests_run_as_listed(sample: Path, tmp_path: Path) -> None:
    put_test(sample, CASES + "    @unittest.skip('x')\n    def test_3(self): pass\n")
    job = job_in(tmp_path, "test_int test_more")
    assert run_tests(job, sample)
    assert {name: job.facts[name] for name in job.facts if name.startswith("tests_")} == {
        "tests_expected": 5,
        "tests_run": 4,
        "tests_skipped": 1,
        "tests_failed": 0,
    }
    assert (job.facts["files_selected"], job.facts["files_run"]) == (2, 2)
    assert job.facts["files_skipped"] == job.facts["failures"] == ()


SKIPPED_WHOLE = "import unittest\nraise unittest.SkipTest('x')\n"
SKIPPED_CLASS = CASES.replace("class", "@unittest.skip('x')\nclass")
STOPPED = f"{CASES}    def run(self, result):\n        result.stop(); super().run(result)\n"
FEWER = f"""{CASES}
def load_tests(loader, tests, pattern):
    import sys
    return tests if "--list-cases" in sys.argv else type(tests)()
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SKIPPED_WHOLE, "TESTS_SKIPPED: nothing ran of test_more"),
        ("", "TESTS_SKIPPED: nothing ran of test_more"),
        (SKIPPED_CLASS, "TESTS_SKIPPED: nothing ran of test_more"),
        (STOPPED, "TESTS_MISSING: 4 expected, 3 run, 0 skipped; missing: test.test_more.T.test_2"),
        (FEWER, "TESTS_MISSING: 4 expected, 2 run, 0 skipped; missing: test.test_more.T.test_1"),
    ],
    ids=["skipped whole", "no tests", "class skipped", "stopped in between", "fewer than listed"],
)
def test_tests_that_pass_and_prove_less_are_refused(
    sample: Path, tmp_path: Path, text: str, said: str
) -> None:
    put_test(sample, text)
    with pytest.raises(CheckError) as refused:
        run_tests(job_in(tmp_path, "test_int test_more"), sample)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        (CASES.replace("1(self): pass", "1(self): self.fail()"), (4, 4, 1)),
        (CASES.replace("1(self): pass", "1(self): import os; os._exit(9)"), (4, 0, 1)),
        (None, (2, 3, 1)),
    ],
    ids=["fails", "crashes", "is not there"],
)
def test_tests_that_fail_are_a_fact(
    sample: Path, tmp_path: Path, text: str | None, counts: tuple[int, int, int]
) -> None:
    if text is not None:
        put_test(sample, text)
    job = job_in(tmp_path, "test_int test_more")
    assert not run_tests(job, sample)
    names = ("tests_expected", "tests_run", "tests_failed")
    assert tuple(job.facts[name] for name in names) == counts


@pytest.mark.parametrize(
    ("tests", "said", "code"),
    [
        ("test_int", "echo 'Total tests: run=0'", "TESTS_EMPTY"),
        ("test_int", "echo 'Total tests: run=9'; echo 'All 1 tests OK.'", "TESTS_EMPTY"),
        ("test_int", "echo nothing at all", "TESTS_EMPTY"),
        ("test_int", "echo test.test_int.T.test_1", "TESTS_EMPTY"),
        ("test_int", 'case "$*" in *xml*) echo "<a" > ${4#*=};; esac', "TESTS_EMPTY"),
        ("test_int; touch /tmp/x", "", "TEST_SELECTION"),
        ("--help", "", "TEST_SELECTION"),
        ("", "", "TEST_SELECTION"),
    ],
)
def test_tests_that_prove_nothing_are_refused(
    tmp_path: Path, tests: str, said: str, code: str
) -> None:
    with pytest.raises(CheckError, match=code):
        run_tests(job_in(tmp_path, tests), script(tmp_path, said))


def test_tests_see_no_setting_of_the_builds_own_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("PYTHONIOENCODING", "PYTHONHASHSEED", "PIP_INDEX_URL", "HTTPS_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "0123")
    with pytest.raises(CheckError, match="TESTS_EMPTY"):
        run_tests(job_in(tmp_path, "test_int"), script(tmp_path, "env"))
    said = capfd.readouterr().out
    assert said.count("PIP_INDEX_URL=\n") == 3
    assert "0123" not in said


def test_an_interpreter_that_crashes_at_once_has_failed_its_tests(tmp_path: Path) -> None:
    job = job_in(tmp_path, "test_int")
    assert not run_tests(job, script(tmp_path, "kill -SEGV $$"))
    assert (job.facts["tests_run"], job.facts["tests_failed"]) == (0, 1)


@pytest.mark.skipif(
    importlib.util.find_spec("test.test_grammar") is None, reason="this Python has no tests"
)
def test_the_counts_of_a_real_interpreter_fit(tmp_path: Path) -> None:
    python = script(tmp_path, f'exec {sys.executable} "$@"')
    job = job_in(tmp_path, "test_grammar test_bool")
    assert run_tests(job, python)
    facts = job.facts
    assert int(str(facts["tests_expected"])) > 100
    assert facts["tests_expected"] == int(str(facts["tests_run"])) + int(
        str(facts["tests_skipped"])
    )
    assert facts["files_run"] == 2


# --- what is installed --------------------------------------------------------------------------

INSTALLED_PYTHON = """\
case "$*" in
    -V) echo Python 3.15.0a2;;
    "-m venv "*) mkdir -p $3/bin; cp $0 $3/bin/python;;
    "-m pip --version") echo pip 26.0 from here; env;;
    -c*) test -f $PYTHONPATH/relkit_probe.so && echo {answer};;
esac"""


def put_installation(folder: Path, answer: str) -> Path:
    """Install an interpreter that is none, with the headers of the one that runs this."""
    prefix = folder / "prefix"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "include").mkdir()
    (prefix / "include" / "python3.15").symlink_to(sysconfig.get_paths()["include"])
    python = script(folder, INSTALLED_PYTHON.format(answer=answer))
    python.rename(prefix / "bin" / "python3.15")
    return prefix


def test_an_installation_is_used_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.invalid/simple")
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:3128")
    job = job_in(tmp_path, "")
    use(job, put_installation(tmp_path, "42 3.15.0a2"))
    assert (job.facts["pip"], job.facts["extension"]) == ("pip 26.0", "42 3.15.0a2")
    said = capfd.readouterr().out.splitlines()
    assert {"PIP_NO_INDEX=1", "https_proxy=http://127.0.0.1:9/", "PIP_INDEX_URL="} <= set(said)
    assert not [line for line in said if ".invalid" in line]


@pytest.mark.parametrize("answer", ["42 3.15.0a1", "42 3.14.0", "0 3.15.0a2", ""])
def test_an_extension_of_another_version_is_refused(tmp_path: Path, answer: str) -> None:
    with pytest.raises(CheckError, match="EXTENSION_FAILED"):
        use(job_in(tmp_path, ""), put_installation(tmp_path, answer))


# --- unpacking ----------------------------------------------------------------------------------


def tar_of(*members: str, top: str = TOP) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in members:
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = 1000
            archive.addfile(info, io.BytesIO(b"x" * 1000))
    return file.getvalue()


TAR = tar_of("a", "b", "c")
MEMBER = 512 + 1024


def unpacked(folder: Path, data: bytes) -> Path:
    archive = folder / f"{TOP}.tar.xz"
    archive.write_bytes(data)
    target = folder / "unpacked"
    target.mkdir()
    return unpack(archive, target, TOP)


def test_a_whole_archive_is_unpacked(tmp_path: Path) -> None:
    assert sorted(path.name for path in unpacked(tmp_path, lzma.compress(TAR)).iterdir()) == [
        *("a", "b", "c"),
    ]


@pytest.mark.parametrize("part", [0, 0.1, 0.5, 0.9, 0.99])
def test_a_cut_archive_is_not_unpacked(tmp_path: Path, part: float) -> None:
    data = lzma.compress(TAR)
    with pytest.raises(CheckError, match="UNPACK_FAILED"):
        unpacked(tmp_path, data[: int(len(data) * part)])


@pytest.mark.parametrize(
    "data",
    [
        TAR[: 3 * MEMBER],
        TAR[: 2 * MEMBER],
        TAR[: 2 * MEMBER + 100],
        TAR[: 2 * MEMBER + 600],
        TAR[: 3 * MEMBER + 512],
        TAR + b"more",
        TAR[: MEMBER + 8] + b"\xff" + TAR[MEMBER + 9 :],
        b"no tar at all" * 100,
        b"",
        tar_of("a", top="Python-3.15.0a1"),
        tar_of("a", "../b"),
        tar_of("a", "../../b"),
        tar_of("", top=TOP).replace(f"{TOP}/".encode(), f"{TOP}\0".encode()),
    ],
    ids=[
        *("without its end", "between members", "in a header", "in a file", "with half an end"),
        *("with more after its end", "with a damaged header", "no tar", "empty"),
        *("another top", "two tops", "leading outside", "a file as its top"),
    ],
)
def test_a_damaged_or_foreign_tar_is_not_unpacked(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CheckError, match="UNPACK_FAILED"):
        unpacked(tmp_path, lzma.compress(data))
    assert not (tmp_path / "b").exists()


# --- downloading --------------------------------------------------------------------------------


class Breaking(http.server.BaseHTTPRequestHandler):
    """Breaks off in the middle of the first answer, and gives the whole in the second."""

    asked = 0

    def do_GET(self) -> None:
        Breaking.asked += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(TAR)))
        self.end_headers()
        self.wfile.write(TAR[:5000] if Breaking.asked == 1 else TAR)

    def log_message(self, *_: object) -> None:
        pass


def test_a_download_that_breaks_off_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relkit.building.download.PAUSE_SECONDS", 0.01)
    job = job_in(tmp_path, "")
    given = Input(name="a.tar", size=len(TAR), sha256=hashlib.sha256(TAR).hexdigest())
    with http.server.HTTPServer(("127.0.0.1", 0), Breaking) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        job.site.write_text(f"http://127.0.0.1:{server.server_port}/", encoding="ascii")
        try:
            path = download(job, given, "/a.tar")
        finally:
            server.shutdown()
    assert path.read_bytes() == TAR
    assert Breaking.asked == 2


# --- other versions' names ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("python3.14", "libpython3.14.a", "python-3.14.pc", "python-3.14-embed.pc", "pip3.9"),
        *("config-3.14-x86_64-linux-gnu", "x.cpython-314.pyc", "x.cpython-314t-darwin.so"),
        *("idle3.1", "pydoc3.10", "2to3-3.12", "python314.dll", "python3.150", "python3.14-config"),
    ],
)
def test_other_series_are_seen_in_names(name: str, tmp_path: Path) -> None:
    assert other_series(VERSION, name)
    (tmp_path / "lib" / name).mkdir(parents=True)
    with pytest.raises(CheckError, match=r"OTHER_VERSION.*the archive.* holds lib/"):
        check_tree(VERSION, tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        *("bin/python3.15", "bin/python3", "lib/libpython3.15t.so.1.0", "lib/libpython3.so"),
        *("share/man/man1/python3.1", "share/man/man1/python3.15.1", "lib/a.cpython-315d.pyc"),
        *("Doc/whatsnew/3.12.rst", "Lib/test/example-21.12-py3.6.egg", "Misc/python.man"),
        *("lib/pip-30.1.dist-info", "Doc/c-api-pending-removal-in-3.16.rst", "PC/python3.def"),
    ],
)
def test_names_of_this_series_and_of_documents_are_let_through(path: str, tmp_path: Path) -> None:
    (tmp_path / path).mkdir(parents=True)
    check_tree(VERSION, tmp_path)


INSTALLED = {
    "include/python3.15/patchlevel.h": '#define PY_VERSION    "3.15.0a2"\n',
    "lib/pkgconfig/python-3.15.pc": "Name: Python\nVersion: 3.15\nLibs: -lpython3.15\n",
    "lib/python3.15/_sysconfigdata__linux_.py": " 'LDVERSION': '3.15t',\n 'VERSION': '3.15',\n",
    "bin/python3.15": "\x7fELF\0python3.14",
    "bin/idle3.15": "#!{prefix}/bin/python3.15\n",
}


def install(folder: Path, **changed: str) -> Path:
    prefix = folder / "python3.11" / "prefix"
    for path, text in (INSTALLED | changed).items():
        (prefix / path).parent.mkdir(parents=True, exist_ok=True)
        (prefix / path).write_text(text.replace("{prefix}", str(prefix)), encoding="utf-8")
    return prefix


def test_an_installation_of_one_version_is_let_through(tmp_path: Path) -> None:
    check_installation(VERSION, install(tmp_path))


@pytest.mark.parametrize(
    ("path", "text", "code"),
    [
        ("bin/idle3.15", "#!/usr/bin/python3.14\n", "OTHER_VERSION"),
        ("bin/idle3.14", "", "OTHER_VERSION"),
        ("lib/python3.15/email/x.cpython-314.pyc", "", "OTHER_VERSION"),
        ("share/man/man1/python3.14.1", "", "OTHER_VERSION"),
        ("lib/pkgconfig/python-3.15.pc", "Version: 3.15\nLibs: -lpython3.14\n", "OTHER_VERSION"),
        ("lib/pkgconfig/python-3.15.pc", "Version: 3.14\n", "VERSION_STAMP"),
        ("lib/pkgconfig/python-3.15.pc", "", "VERSION_STAMP"),
        ("include/python3.15/patchlevel.h", '#define PY_VERSION "3.15.0a1"', "VERSION_STAMP"),
        ("include/python3.15/patchlevel.h", "", "VERSION_STAMP"),
        ("lib/python3.15/_sysconfigdata_2.py", " 'VERSION': '3.14',\n", "VERSION_STAMP"),
    ],
)
def test_an_installation_that_names_another_version_is_refused(
    tmp_path: Path, path: str, text: str, code: str
) -> None:
    with pytest.raises(CheckError, match=code):
        check_installation(VERSION, install(tmp_path, **{path: text}))


def test_an_installation_without_headers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"VERSION_STAMP.*missing"):
        check_installation(Version.parse("3.14.2"), install(tmp_path))
